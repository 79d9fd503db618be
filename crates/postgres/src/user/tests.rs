//! Users on a real database.

mod change;
mod create;
mod list;
mod notice;
mod plans;
mod secret;
mod stream;
