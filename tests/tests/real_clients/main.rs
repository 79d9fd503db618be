//! The existing clients of this API, imitated call by call against the real server: the
//! requests that they send, including headers, and the statuses, fields and types that they
//! require.

mod cli;
mod go;
mod go_sdk;
mod terraform;
mod typescript;
