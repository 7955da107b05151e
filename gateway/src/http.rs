//! HTTP/1.1: listening, connections, bodies, the route table. It knows bytes and headers, never features.

pub(crate) mod body;
pub(crate) mod connection;
pub(crate) mod patience;
pub(crate) mod reply;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod trace;
