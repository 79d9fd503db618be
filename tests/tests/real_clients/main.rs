//! The clients that exist for this API, imitated call by call on the real server: what they
//! send, to the header, and the statuses, fields and types that they insist on. They know
//! nothing of Usher, and Usher must do without knowing them.

mod cli;
mod go;
mod go_sdk;
mod terraform;
mod typescript;
