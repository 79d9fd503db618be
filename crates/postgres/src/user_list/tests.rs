//! The list of users on a real database.

mod counts;
mod page;
mod stream;
