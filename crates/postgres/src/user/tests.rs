//! Users on a real database.

mod change;
mod create;
mod list;
mod plans;
mod secret;
