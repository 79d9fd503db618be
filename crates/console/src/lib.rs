//! Usher's web console: embedded pages that are a client of `/api/v2`.
//!
//! The pages are ES modules and one stylesheet in `assets/`, served without a build step. The
//! server sends the same small [shell](pages()) for every page, and its script calls the API
//! for everything else. This crate does not depend on the API or the store: all that a page
//! needs from the server is the CSRF token.
//!
//! To add a page, add a file to `assets/pages/` and a row to `assets/router.js`. If the path
//! starts with a new segment, add it to `src/pages.rs` too.

mod assets;
mod headers;
mod pages;

pub use assets::assets;
pub use pages::pages;
