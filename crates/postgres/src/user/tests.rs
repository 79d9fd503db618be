//! Users on a real database.

mod change;
mod create;
mod notice;
mod plans;
mod secret;
