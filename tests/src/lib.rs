//! Shared by the black-box tests.
