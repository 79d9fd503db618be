//! `GET /users`: pages, whole lists, and the counts that the database maintains for them.
//!
//! The statements are the `.sql` files of this directory. Its `README.md` says what is
//! maintained, how to try a statement in `psql`, and what was measured.

mod counts;
mod page;
pub(crate) mod statement;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

pub(crate) use page::list_users;
