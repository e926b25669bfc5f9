//! Nothing lost: commands and supervisors killed at random moments, two commands at one container, a clock that jumps, a root directory that cannot be
//! written. The state that is told is the true one, and what was acknowledged stays.

mod killed;
mod races;
mod scarce;
mod truth;
