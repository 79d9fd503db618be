#![doc = include_str!("../README.md")]

mod devtools;
mod monitor;
mod window;

pub use window::{View, Window};
