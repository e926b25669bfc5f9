//! The OCI distribution client: resolve, fetch.
