//! Which part of a list is asked for, and the answer.

/// A part of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The greatest number of rows; `None` is all of them.
    pub limit: Option<u32>,
    /// How many rows to leave out first.
    pub offset: u32,
}

/// A page of a list with the number of rows that the whole list has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The rows of the page, in order.
    pub items: Vec<T>,
    /// How many rows match, on this page and elsewhere.
    pub count: u64,
}
