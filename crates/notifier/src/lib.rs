//! The worker that delivers notifications by e-mail, by webhook and to the inbox.
//!
//! Messages are rows of the outbox ([`OutboxStore`](usher_store::OutboxStore)), one per recipient
//! and delivery method, written in the transaction of the change they are about. A [`Notifier`]
//! leases due rows, renders their templates, passes them to the [`Dispatcher`] of their delivery
//! method and records the result. Failed deliveries are retried with exponential back-off, unless
//! the failure is permanent or the attempts are exhausted. The worker subscribes to the outbox,
//! so that new messages are delivered immediately, and polls as well.
//!
//! **Delivery guarantee.** Any number of workers may run. A message is leased before it is
//! delivered, and a worker starts no delivery that could outlast its lease. So a message is
//! delivered once, or more often if a worker crashes, loses the store or gets no response between
//! the delivery and recording it. Repeated deliveries have the same `Message-ID` (e-mail) or
//! `msg_id` (webhook). Delivery to the inbox is exactly once, since it is recorded in the same
//! transaction.
//!
//! **Injection.** Values are escaped so that they have no effect as Markdown, HTML, URL or mail
//! header (`render.rs`). Custom messages are stored in the inbox unchanged and escaped elsewhere.
//!
//! **Logging.** The message's ID, template, delivery method, attempt and the reason of a failure.
//! Never an e-mail address or a text, since it may contain a passcode.
//!
//! Out of scope: who receives which message (decided where the change is made), and settings (the
//! binary passes [`SmtpSettings`] and the webhook's URL).
//!
//! To add a delivery method, add it to
//! [`NotificationMethod`](usher_domain::notification::NotificationMethod) and implement
//! [`Dispatcher`] in a file of its own.

mod dispatch;
mod escape;
mod markdown;
mod notification;
mod render;
#[cfg(test)]
mod sample;
mod smtp;
mod webhook;
mod worker;

pub use dispatch::{DispatchError, Dispatcher};
pub use notification::{Action, Notification, Recipient};
pub use smtp::{Smtp, SmtpCredentials, SmtpSettings, SmtpSettingsError, SmtpTls};
pub use webhook::{Webhook, WebhookError};
pub use worker::{Notifier, NotifierOptions};
