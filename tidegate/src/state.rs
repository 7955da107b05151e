//! A state folder has one owner: a lock says who, a socket in the folder takes work for it.
//!
//! A command that touches the state either becomes the owner, or finds a live one and hands it the work
//! ([`handover`]); after a `kill -9` the kernel has dropped the lock, and the next command owns the folder again.

mod folder;
pub mod handover;
mod socket;

pub use folder::{Ownership, StateFolder, StateFolderError};
pub use socket::{OwnerListener, OwnerStream};
