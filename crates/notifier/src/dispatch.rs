//! The trait of delivery methods.

use async_trait::async_trait;
use usher_domain::notification::NotificationMethod;

use crate::Notification;

/// Delivers messages by one delivery method.
///
/// A dispatcher makes a single attempt and returns its result. The worker retries and logs. The
/// future may be dropped at any point, when the time limit is reached.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Dispatcher: Send + Sync {
    /// The delivery method. The inbox needs no dispatcher.
    fn method(&self) -> NotificationMethod;

    /// Delivers the message.
    async fn dispatch(&self, notification: &Notification) -> Result<(), DispatchError>;

    /// Checks without sending a message whether delivery would succeed.
    async fn check(&self) -> Result<(), DispatchError>;
}

/// Why a message was not delivered.
///
/// The reasons are stored and logged, so they contain no e-mail address and no message text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// Another attempt may succeed.
    #[error("{0}")]
    Temporary(String),
    /// No other attempt can succeed.
    #[error("{0}")]
    Permanent(String),
}
