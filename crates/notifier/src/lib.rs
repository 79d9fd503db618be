//! The worker that delivers notifications: by mail, by webhook and into the inbox.
//!
//! What is to be said stands in the outbox ([`OutboxStore`](usher_store::OutboxStore)), one
//! row for each message and way, written in the transaction of the change it tells about. A
//! [`Notifier`] takes due rows, writes them out from their templates, hands them to the
//! [`Dispatcher`] of their way, and notes what came of it. What failed is tried again, later
//! each time, unless another attempt cannot succeed or enough were made.
//!
//! **How often a message arrives.** Any number of workers may run: a message is leased before
//! it is sent, and nobody else takes it meanwhile. A worker starts no delivery that it could
//! not end within its lease. So a message arrives once, except that it arrives again when a
//! worker dies, loses the store or hears no answer between the delivery and the note of it.
//! For that case a mail's `Message-ID` and a webhook's `msg_id` are the same each time. The
//! inbox has no such gap: there delivery and note are one transaction.
//!
//! **What a name can do.** Nothing: values are inserted so that they have no effect as
//! Markdown, HTML or address, and cannot begin a new line or header (`render.rs`). A message
//! in somebody's own words goes to the inbox as it is, and is escaped everywhere else.
//!
//! **What the log knows.** The message's identifier, its template, way and attempt, and why an
//! attempt failed. Never an address or a text, since a text may be a passcode.
//!
//! Not here: who is told what (that is decided where the change is made), and the settings
//! (the binary reads them and passes [`SmtpSettings`] and the webhook's address).
//!
//! To add a way: give it a [`NotificationMethod`](usher_domain::notification::NotificationMethod),
//! and implement [`Dispatcher`] in a file of its own.

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
pub use worker::{Notifier, NotifierOptions, WakeHandle};
