//! What all scenarios share: Postgres, databases of several sizes, and measured requests.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use tokio_postgres::Client;

use crate::{
    format::{micros, millis, number},
    load::{Latencies, Load, Requests, get},
    pgbench::{self, Reached},
    postgres::{Postgres, value},
    seed,
    server::{Limits, Server},
};

/// The measured numbers of users.
const USERS: [usize; 3] = [1_000, 100_000, seed::MOST];

/// How often a measurement is repeated; the best round counts.
const ROUNDS: usize = 3;

/// How long the server may take to fold the deltas of a bulk load.
const FOLD_TIMEOUT: Duration = Duration::from_mins(2);

/// The table with changes of the maintained counts that are not folded yet.
const DELTAS: &str = "user_count_deltas";

/// A running Postgres and what to measure on it.
pub(crate) struct Bench {
    pub(crate) postgres: Postgres,
    pub(crate) duration: Duration,
    /// The numbers of users to measure, ascending.
    pub(crate) sizes: Vec<usize>,
    binary: PathBuf,
    /// By number of users: the first page right after the database was loaded.
    loaded: BTreeMap<usize, Cost>,
}

impl Bench {
    /// Starts Postgres.
    pub(crate) async fn start(binary: &Path, duration: Duration, users: usize) -> Result<Self> {
        let mut sizes = USERS.to_vec();
        sizes.retain(|size| *size <= users);
        if sizes.is_empty() {
            sizes.push(USERS[0]);
        }
        Ok(Self {
            postgres: Postgres::start().await?,
            duration,
            sizes,
            binary: std::path::absolute(binary)?,
            loaded: BTreeMap::new(),
        })
    }

    /// Stops Postgres and removes its data.
    pub(crate) async fn stop(self) -> Result<()> {
        self.postgres.stop().await
    }

    pub(crate) fn least(&self) -> usize {
        self.sizes[0]
    }

    pub(crate) fn most(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// The name of the database with that many users, which the first call creates.
    pub(crate) async fn database(&mut self, users: usize) -> Result<String> {
        let name = format!("users_{users}");
        if !self.loaded.contains_key(&users) {
            println!("  creating a database of {} users", number(users as f64));
            self.postgres.create(&name, &self.binary).await?;
            let client = self.postgres.connect(&name).await?;
            seed::load(&client, users).await?;
            let server = self.server(&name, Limits::Off).await?;
            let cost = self.first_page_unfolded(&client, &server).await?;
            self.loaded.insert(users, cost);
            settle(&client).await?;
            server.stop().await?;
        }
        Ok(name)
    }

    /// The first page right after the bulk load of that many users, once
    /// [`Bench::database`] has created it.
    pub(crate) fn first_page_after_load(&self, users: usize) -> Option<&Cost> {
        self.loaded.get(&users)
    }

    /// Measures the first page while a lock prevents the server from folding deltas.
    async fn first_page_unfolded(&self, client: &Client, server: &Server) -> Result<Cost> {
        let lock = format!("BEGIN; LOCK TABLE {DELTAS} IN SHARE MODE");
        client.batch_execute(&lock).await?;
        let load = Load {
            duration: self.duration.min(Duration::from_secs(2)),
            ..self.load(server, 1)
        };
        let first_page = |_: usize, _: usize, out: &mut Vec<u8>| {
            get(out, "/api/v2/users?limit=25", &seed::owner());
        };
        let cost = self.cost(server, load, first_page).await?;
        client.batch_execute("ROLLBACK").await?;
        Ok(cost)
    }

    pub(crate) async fn server(&self, database: &str, limits: Limits) -> Result<Server> {
        Server::start(&self.binary, &self.postgres.url(database), limits).await
    }

    /// Requests as fast as responses arrive, for the usual duration.
    pub(crate) fn load(&self, server: &Server, connections: usize) -> Load {
        Load::new(server.address, connections, self.duration)
    }

    /// The best of several rounds, since anything else on the machine only slows it down.
    /// `requests` gets the number of the round, so that each can create something new.
    pub(crate) async fn best<R: Requests>(
        &self,
        server: &Server,
        load: Load,
        requests: impl Fn(usize) -> R,
    ) -> Result<Cost> {
        let mut best = self.cost(server, load, requests(0)).await?;
        for round in 1..ROUNDS {
            let cost = self.cost(server, load, requests(round)).await?;
            if cost.per_second() > best.per_second() {
                best = cost;
            }
        }
        Ok(best)
    }

    /// The best of several rounds of `pgbench`.
    pub(crate) async fn best_of_pgbench(
        &self,
        database: &str,
        scripts: &[String],
        clients: usize,
        duration: Duration,
    ) -> Result<Option<Reached>> {
        let mut best = None::<Reached>;
        for _ in 0..ROUNDS {
            let reached =
                pgbench::run(&self.postgres, database, scripts, clients, duration).await?;
            let is_better =
                |reached: &Reached| best.is_none_or(|best| reached.per_second > best.per_second);
            best = reached.filter(is_better).or(best);
        }
        Ok(best)
    }

    /// Sends the requests once and measures them.
    pub(crate) async fn cost(
        &self,
        server: &Server,
        load: Load,
        requests: impl Requests,
    ) -> Result<Cost> {
        let (of_server, of_postgres) = (server.cpu()?, self.postgres.cpu()?);
        let latencies = load.run(requests).await?;
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / latencies.count().max(1) as f64;
        Ok(Cost {
            server: each(server.cpu()?.saturating_sub(of_server)),
            postgres: each(self.postgres.cpu()?.saturating_sub(of_postgres)),
            latencies,
        })
    }
}

/// Waits until the server has folded the deltas of the load, then leaves the database as
/// autovacuum would.
async fn settle(client: &Client) -> Result<()> {
    let query = format!("SELECT count(*) = 0 FROM {DELTAS}");
    let folded = async {
        while value(client, &query).await? != "t" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    match tokio::time::timeout(FOLD_TIMEOUT, folded).await {
        Ok(folded) => folded?,
        Err(_) => println!("  the maintained counts are not folded yet"),
    }
    client.batch_execute("VACUUM (ANALYZE)").await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(())
}

/// What requests took.
pub(crate) struct Cost {
    pub(crate) latencies: Latencies,
    /// CPU time of the server for each request, in microseconds.
    server: f64,
    /// The same of Postgres.
    postgres: f64,
}

impl Cost {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.per_second()
    }

    /// In milliseconds.
    pub(crate) fn p50(&self) -> f64 {
        self.latencies.quantile(0.5)
    }

    /// Requests per second, p50, p99, CPU of the server, CPU of Postgres.
    pub(crate) fn cells(&self) -> [String; 5] {
        [
            number(self.per_second()),
            millis(self.p50()),
            millis(self.latencies.quantile(0.99)),
            micros(self.server),
            micros(self.postgres),
        ]
    }

    /// Requests per second as a share of `pgbench`'s transactions per second.
    pub(crate) fn share_of(&self, reached: Option<Reached>) -> Option<f64> {
        Some(self.per_second() / reached?.per_second)
    }
}
