//! A list too long to be held at once, in batches.
//!
//! A task of its own reads a cursor of one transaction, and so of one moment, no faster than
//! the batches are taken. It gives the connection back when the list is at its end, when
//! nobody wants it any more, or when whoever does takes too long over one batch.

use std::{sync::Arc, time::Duration};

use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};
use usher_domain::User;
use usher_store::{UserListPart, UserListQuery, UserListStream};

use super::{
    list::Cursor,
    row::UserRow,
    statement::{CountStatement, DeclareStatement, FetchStatement},
};
use crate::{
    PgError,
    pool::{Pool, long::Reading},
};

/// How many users one batch has.
const BATCH: usize = 500;

/// How long one batch may wait to be taken.
const STALL: Duration = Duration::from_mins(1);

/// How long a list may be read altogether: as long, Postgres keeps what was deleted since.
const LONGEST: Duration = Duration::from_mins(30);

/// How many long lists are read at once, each of which holds a connection of the pool.
#[derive(Clone)]
pub(crate) struct Readers {
    permits: Arc<Semaphore>,
    patience: Duration,
}

impl Readers {
    /// As many as leave most of the connections to others, who wait as long for a turn as
    /// for a connection.
    pub(crate) fn new(connections: usize, patience: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new((connections / 4).max(1))),
            patience,
        }
    }

    async fn take_turn(&self) -> Result<OwnedSemaphorePermit, PgError> {
        match timeout(self.patience, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(PgError::TimedOut("too many long lists are read".to_owned())),
        }
    }
}

/// Opens the list, and leaves it to a task to read it.
pub(crate) async fn stream_users(
    pool: &Pool,
    readers: &Readers,
    query: UserListQuery,
) -> Result<UserListStream, PgError> {
    let permit = readers.take_turn().await?;
    let mut reading = pool.begin_reading().await?;
    let opened = reading
        .run(async |conn: &mut AsyncPgConnection| open(conn, &query).await)
        .await;
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => {
            reading.end().await;
            return Err(error);
        }
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        read(reading, opened, &sender).await;
        drop(permit);
    });
    let parts = stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    });
    Ok(parts.boxed())
}

/// A list of which rows can be fetched.
struct Opened {
    /// Whether there is a cursor. There is none after a user who does not exist.
    has_rows: bool,
    /// How many match. Without a limit the rows tell it.
    count: Option<u64>,
    /// How many rows come before the first.
    offset: u64,
}

async fn open(conn: &mut AsyncPgConnection, query: &UserListQuery) -> Result<Opened, PgError> {
    let offset = query.page.offset.into();
    let Some(cursor) = Cursor::find(conn, query).await? else {
        return Ok(Opened {
            has_rows: false,
            count: None,
            offset,
        });
    };
    let mut count = None;
    if query.page.limit.is_some() {
        let counted: i64 = CountStatement::new(query, &cursor).get_result(conn).await?;
        count = Some(counted.unsigned_abs());
    }
    DeclareStatement::new(query, &cursor).execute(conn).await?;
    Ok(Opened {
        has_rows: true,
        count,
        offset,
    })
}

type Part = Result<UserListPart, usher_store::StoreError>;

async fn read(mut reading: Reading, opened: Opened, sender: &mpsc::Sender<Part>) {
    let end = Instant::now() + LONGEST;
    let mut total = 0;
    let mut is_at_end = !opened.has_rows;
    while !is_at_end {
        let batch = match reading.run(fetch).await {
            Ok(batch) => batch,
            Err(error) => {
                reading.end().await;
                let _ = sender.try_send(Err(error.into()));
                return;
            }
        };
        is_at_end = batch.len() < BATCH;
        total += batch.len() as u64;
        if !batch.is_empty() && !hand_over(sender, UserListPart::Users(batch)).await {
            reading.end().await;
            return;
        }
        if Instant::now() > end {
            tracing::warn!("a long list was given up, since it took too long altogether");
            reading.end().await;
            return;
        }
    }
    // Nothing was changed, so that this ends it as well as a commit.
    reading.end().await;
    let count = match total {
        0 => 0,
        _ => opened.count.unwrap_or(opened.offset + total),
    };
    hand_over(sender, UserListPart::Count(count)).await;
}

async fn fetch(conn: &mut AsyncPgConnection) -> Result<Vec<User>, PgError> {
    let rows: Vec<UserRow> = FetchStatement(BATCH).load(conn).await?;
    rows.into_iter().map(User::try_from).collect()
}

/// Whether the part was taken.
async fn hand_over(sender: &mpsc::Sender<Part>, part: UserListPart) -> bool {
    let Ok(sent) = timeout(STALL, sender.send(Ok(part))).await else {
        tracing::warn!("a long list was given up, since nobody took more of it in time");
        return false;
    };
    sent.is_ok()
}
