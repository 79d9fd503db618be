//! The client against a stub server.

mod calls;
mod responses;
mod stub;
