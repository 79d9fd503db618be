//! A list of any length, in parts.
//!
//! A task reads a cursor of one transaction, and so of one snapshot, no faster than the parts
//! are consumed. It releases the connection at the end of the list, when the stream is
//! dropped, or when a part is not consumed in time.

use std::{sync::Arc, time::Duration};

use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};
use usher_domain::{Page, User};
use usher_store::{StoreError, UserListPart, UserListQuery, UserListStream};

use super::{
    page::list_users,
    statement::{DeclareStatement, FetchStatement, Start},
};
use crate::{
    PgError,
    pool::{Pool, long::Reading},
    user::row::UserRow,
};

/// The number of users in a part.
const BATCH: usize = 500;

/// How long a part may wait to be consumed.
const STALL: Duration = Duration::from_mins(1);

/// How long a list may be read in total. Postgres keeps deleted rows for as long.
const LONGEST: Duration = Duration::from_mins(30);

/// Limits how many long lists are read concurrently, since each occupies a connection.
#[derive(Clone)]
pub(crate) struct Readers {
    permits: Arc<Semaphore>,
    acquire_timeout: Duration,
}

impl Readers {
    /// Leaves three quarters of the connections to other calls.
    pub(crate) fn new(connections: usize, acquire_timeout: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new((connections / 4).max(1))),
            acquire_timeout,
        }
    }

    fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    async fn acquire(&self) -> Result<OwnedSemaphorePermit, PgError> {
        match timeout(
            self.acquire_timeout,
            Arc::clone(&self.permits).acquire_owned(),
        )
        .await
        {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(PgError::TimedOut("too many long lists are read".to_owned())),
        }
    }
}

/// Reads the first part, and leaves the rest to a task if there is more.
pub(crate) async fn stream_users(
    pool: &Pool,
    readers: &Readers,
    query: UserListQuery,
) -> Result<UserListStream, PgError> {
    let mut list = OpenList::open(pool, &query).await?;
    if list.is_complete() {
        return Ok(stream::iter(list.finish().await.map(Ok)).boxed());
    }
    let permit = if let Some(permit) = readers.try_acquire() {
        permit
    } else {
        // The connection is released while this waits, since others may need it.
        list.reading.end().await;
        let permit = readers.acquire().await?;
        list = OpenList::open(pool, &query).await?;
        permit
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        send(list, &sender).await;
        drop(permit);
    });
    let parts = stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    });
    Ok(parts.boxed())
}

/// A list that is being read.
struct OpenList {
    reading: Reading,
    /// The part that was read last.
    batch: Vec<User>,
    /// How many users were read, this part included.
    total: u64,
    /// How many users match; `None` without a limit, where the rows are counted.
    count: Option<u64>,
    offset: u64,
}

impl OpenList {
    async fn open(pool: &Pool, query: &UserListQuery) -> Result<Self, PgError> {
        let mut reading = pool.begin_reading().await?;
        let opened = reading
            .run(async |conn: &mut AsyncPgConnection| open(conn, query).await)
            .await;
        match opened {
            Ok((batch, count)) => Ok(Self {
                reading,
                total: batch.len() as u64,
                batch,
                count,
                offset: query.page.offset.into(),
            }),
            Err(error) => {
                reading.end().await;
                Err(error)
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.batch.len() < BATCH
    }

    async fn read_on(&mut self) -> Result<(), PgError> {
        self.batch = self.reading.run(fetch).await?;
        self.total += self.batch.len() as u64;
        Ok(())
    }

    /// Ends the transaction, which changed nothing, and returns the last parts.
    async fn finish(self) -> impl Iterator<Item = UserListPart> + Send {
        self.reading.end().await;
        let count = match self.total {
            0 => 0,
            total => self.count.unwrap_or(self.offset + total),
        };
        let users = (!self.batch.is_empty()).then_some(UserListPart::Users(self.batch));
        users.into_iter().chain([UserListPart::Count(count)])
    }
}

/// Opens the cursor. Returns the first users, and how many match if a limit hides that.
async fn open(
    conn: &mut AsyncPgConnection,
    query: &UserListQuery,
) -> Result<(Vec<User>, Option<u64>), PgError> {
    let Some(start) = Start::find(conn, query).await? else {
        return Ok((Vec::new(), None));
    };
    let mut count = None;
    if query.page.limit.is_some() {
        let first = Page {
            limit: Some(1),
            offset: 0,
        };
        let first = UserListQuery {
            page: first,
            ..query.clone()
        };
        count = Some(list_users(conn, &first).await?.count);
    }
    DeclareStatement::new(query, &start).execute(conn).await?;
    Ok((fetch(conn).await?, count))
}

async fn fetch(conn: &mut AsyncPgConnection) -> Result<Vec<User>, PgError> {
    let rows: Vec<UserRow> = FetchStatement(BATCH).load(conn).await?;
    rows.into_iter().map(User::try_from).collect()
}

type Part = Result<UserListPart, StoreError>;

/// Sends the whole list, unless its reader goes away or is too slow.
async fn send(mut list: OpenList, sender: &mpsc::Sender<Part>) {
    let deadline = Instant::now() + LONGEST;
    while !list.is_complete() {
        let users = UserListPart::Users(std::mem::take(&mut list.batch));
        if !send_part(sender, users).await {
            return list.reading.end().await;
        }
        if Instant::now() > deadline {
            tracing::warn!("aborted a list of users that took longer than 30 minutes");
            return list.reading.end().await;
        }
        if let Err(error) = list.read_on().await {
            list.reading.end().await;
            let _ = sender.try_send(Err(error.into()));
            return;
        }
    }
    for part in list.finish().await {
        if !send_part(sender, part).await {
            return;
        }
    }
}

/// Whether the part was consumed.
async fn send_part(sender: &mpsc::Sender<Part>, part: UserListPart) -> bool {
    let Ok(sent) = timeout(STALL, sender.send(Ok(part))).await else {
        tracing::warn!("aborted a list of users that was not consumed for a minute");
        return false;
    };
    sent.is_ok()
}
