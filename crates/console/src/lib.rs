//! The pages of Usher in a browser: a client of `/api/v2` like any other, embedded in the
//! program.
//!
//! The pages are ES modules and one stylesheet in `assets/`, sent as they are: what one
//! reads there is what runs. The server sends the same small [shell](pages()) for every page,
//! and the script in it asks the API for everything else. So nothing here knows a user, a
//! store or the API; all that a page needs from the server is the token that the API wants
//! to see from pages of its own.
//!
//! To add a page: a file in `assets/pages/` and a row in `assets/router.js`; a new first
//! word of paths also stands in `src/pages.rs`.

mod assets;
mod headers;
mod pages;

pub use assets::assets;
pub use pages::pages;
