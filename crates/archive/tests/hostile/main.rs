//! What a hostile layer could try, each attack built byte by byte. Whatever unpack says, nothing outside the
//! destination may change, and it may not panic, hang or fill memory.

#[path = "../tree/mod.rs"]
mod tree;

mod bed;
mod bombs;
mod broken;
mod metadata;
mod paths;
mod random;
