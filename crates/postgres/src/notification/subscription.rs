//! `LISTEN` for messages that are put into the outbox, on a connection outside of the pool.
//!
//! A trigger on `notification_messages` sends the `NOTIFY` when the transaction commits.
//! PgBouncer in transaction mode accepts `LISTEN` and delivers nothing; polling covers that.

use std::{future::poll_fn, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::AsyncMessage;
use usher_store::Subscription;

use crate::{PgError, connect::Target};

const LISTEN: &str = "LISTEN notification_messages";

/// Opens connections that listen.
#[derive(Clone)]
pub(crate) struct Listener {
    target: Target,
    connect_timeout: Duration,
}

impl Listener {
    pub(crate) fn new(mut target: Target, connect_timeout: Duration) -> Self {
        target.detect_lost_connection();
        Self {
            target,
            connect_timeout,
        }
    }

    pub(super) async fn listen(&self) -> Result<Subscription, PgError> {
        let opened = timeout(self.connect_timeout, self.open()).await;
        opened.unwrap_or_else(|_| {
            Err(PgError::TimedOut(
                "could not listen for messages".to_owned(),
            ))
        })
    }

    async fn open(&self) -> Result<Subscription, PgError> {
        let (client, mut connection) = self.target.open().await?;
        // One place: a signal that was not taken yet stands for all later ones.
        let (signal, signals) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    let _ = signal.try_send(());
                }
            }
        });
        client.batch_execute(LISTEN).await?;
        // The connection closes when the client is dropped.
        let signals = stream::unfold((signals, client), async |(mut signals, client)| {
            signals.recv().await.map(|()| ((), (signals, client)))
        });
        Ok(signals.boxed())
    }
}
