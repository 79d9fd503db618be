//! One way to deliver a message.

use async_trait::async_trait;
use usher_domain::notification::NotificationMethod;

use crate::Notification;

/// One way to deliver a message.
///
/// A dispatcher makes one attempt and says what came of it. It does not try again and does
/// not log; the worker does. It may be dropped at any point, when its time is over.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Dispatcher: Send + Sync {
    /// The way. The inbox needs no dispatcher.
    fn method(&self) -> NotificationMethod;

    /// Delivers the message.
    async fn dispatch(&self, notification: &Notification) -> Result<(), DispatchError>;

    /// Goes the way as far as it can be gone without a message, to tell those who run the
    /// service whether it is open.
    ///
    /// # Errors
    ///
    /// What is in the way.
    async fn check(&self) -> Result<(), DispatchError>;
}

/// Why a message was not delivered.
///
/// The reasons are kept and logged, so they contain no address and nothing of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// Another attempt may succeed.
    #[error("{0}")]
    Temporary(String),
    /// No other attempt can succeed.
    #[error("{0}")]
    Permanent(String),
}
