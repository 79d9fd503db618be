//! Pages of lists.

/// The requested page of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The maximum number of rows, or `None` for all.
    pub limit: Option<u32>,
    /// The number of rows to skip.
    pub offset: u32,
}

/// A page of a list, with the number of rows in the whole list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The rows of the page, in order.
    pub items: Vec<T>,
    /// The number of matching rows on all pages.
    pub count: u64,
}
