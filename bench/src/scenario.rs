//! What is measured, each thing in a file of its own.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::Result;

use crate::{
    Arguments, Scenario,
    goals::number,
    load::{Latencies, Load, Requests},
    machine,
    pgbench::{self, Reached},
    postgres::{Postgres, value},
    report::Report,
    seed,
    server::{Limits, Server},
};

mod list;
mod login;
mod me;
mod memory;
mod start;
mod write;

/// The numbers of people that are measured.
const PEOPLE: [usize; 3] = [1_000, 100_000, seed::MOST];

/// How often what is measured is measured.
const ROUNDS: usize = 3;

/// How long the numbers that the database keeps of people may take to be put in order.
const PATIENCE: Duration = Duration::from_mins(2);

/// What measurements share.
pub(crate) struct Bench {
    postgres: Postgres,
    binary: PathBuf,
    duration: Duration,
    /// The numbers of people to measure, in their order.
    people: Vec<usize>,
    seeded: BTreeSet<usize>,
}

/// Measures what is asked for. What fails is told, and does not keep the rest from being
/// measured.
pub(crate) async fn run(bench: &mut Bench, scenarios: &[Scenario]) -> Report {
    let mut report = Report {
        circumstances: circumstances(bench),
        ..Report::default()
    };
    for scenario in scenarios {
        println!("{scenario:?} …");
        let measured = match scenario {
            Scenario::Start => start::measure(bench, &mut report.facts).await,
            Scenario::Me => me::measure(bench, &mut report.facts).await,
            Scenario::Login => login::measure(bench, &mut report.facts).await,
            Scenario::Write => write::measure(bench, &mut report.facts).await,
            Scenario::List => list::measure(bench, &mut report.facts).await,
            Scenario::Memory => memory::measure(bench, &mut report.facts).await,
        };
        match measured {
            Ok(section) => report.sections.push(section),
            Err(error) => {
                println!("  failed: {error:#}");
                report.has_failed = true;
            }
        }
    }
    report
}

fn circumstances(bench: &Bench) -> Vec<(&'static str, String)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match arguments.as_slice() {
        [] => "`make bench`".to_owned(),
        arguments => format!("`make bench ARGS=\"{}\"`", arguments.join(" ")),
    };
    vec![
        ("Machine", machine::describe()),
        ("Postgres", bench.postgres.version().to_owned()),
        ("Date", format!("{}", chrono::Utc::now().format("%Y-%m-%d"))),
        ("Commit", machine::commit()),
        ("Command", command),
        ("Load of the machine before it began", machine::load()),
    ]
}

impl Bench {
    /// Starts Postgres.
    pub(crate) async fn start(arguments: &Arguments) -> Result<Self> {
        let binary = std::path::absolute(&arguments.binary)?;
        let mut people = PEOPLE.to_vec();
        people.retain(|people| *people <= arguments.people);
        if people.is_empty() {
            people.push(PEOPLE[0]);
        }
        Ok(Self {
            postgres: Postgres::start().await?,
            binary,
            duration: Duration::from_secs_f64(arguments.seconds),
            people,
            seeded: BTreeSet::new(),
        })
    }

    /// Stops Postgres and forgets its data.
    pub(crate) async fn stop(self) -> Result<()> {
        self.postgres.stop().await
    }

    fn least(&self) -> usize {
        self.people[0]
    }

    fn most(&self) -> usize {
        self.people[self.people.len() - 1]
    }

    /// The name of the database with so many people, made when it is first asked for.
    async fn database(&mut self, people: usize) -> Result<String> {
        let name = format!("people_{people}");
        if self.seeded.insert(people) {
            println!("  making a database of {} people", number(people as f64));
            self.postgres.create(&name, &self.binary).await?;
            let client = self.postgres.connect(&name).await?;
            seed::people(&client, people).await?;
            self.settle(&name, people).await?;
        }
        Ok(name)
    }

    /// Waits until the server has put the numbers in order that are kept of people, as it
    /// does after an import.
    async fn settle(&self, name: &str, people: usize) -> Result<()> {
        const IS_SETTLED: &str = "SELECT (SELECT count(*) FROM user_count_deltas) < 1000 \
                                  AND (SELECT count(DISTINCT lo) FROM user_buckets) > ";
        let server = Server::start(&self.binary, &self.postgres.url(name), Limits::Off).await?;
        let client = self.postgres.connect(name).await?;
        let query = format!("{IS_SETTLED}{}", people / 4000);
        let waiting = async {
            while value(&client, &query).await? != "t" {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok::<_, anyhow::Error>(())
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(settled) => settled?,
            Err(_) => println!("  the numbers that are kept of people are not in order yet"),
        }
        server.stop().await?;
        client.batch_execute("VACUUM (ANALYZE)").await?;
        client.batch_execute("CHECKPOINT").await?;
        Ok(())
    }

    async fn server(&self, database: &str, limits: Limits) -> Result<Server> {
        Server::start(&self.binary, &self.postgres.url(database), limits).await
    }

    /// Sends requests, and tells what each cost: the best of several rounds, since whatever
    /// else goes on in a machine can only make it slower. What is sent is new in each round.
    async fn best<R: Requests>(
        &self,
        server: &Server,
        load: Load,
        requests: impl Fn(usize) -> R,
    ) -> Result<Cost> {
        let mut best = self.cost(server, load, requests(0)).await?;
        for round in 1..ROUNDS {
            let cost = self.cost(server, load, requests(round)).await?;
            if cost.latencies.per_second() > best.latencies.per_second() {
                best = cost;
            }
        }
        Ok(best)
    }

    /// The same by `pgbench`.
    async fn best_of_pgbench(
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

    /// Sends requests, and tells what each cost.
    async fn cost(&self, server: &Server, load: Load, requests: impl Requests) -> Result<Cost> {
        let (of_server, of_postgres) = (server.cpu()?, self.postgres.cpu()?);
        let latencies = load.run(requests).await?;
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / latencies.count().max(1) as f64;
        Ok(Cost {
            server: each(server.cpu()?.saturating_sub(of_server)),
            postgres: each(self.postgres.cpu()?.saturating_sub(of_postgres)),
            latencies,
        })
    }

    fn load(&self, server: &Server, connections: usize) -> Load {
        Load::new(server.address, connections, self.duration)
    }
}

/// What requests took.
struct Cost {
    latencies: Latencies,
    /// The CPU time of the server for each, in microseconds.
    server: f64,
    /// The same of Postgres.
    postgres: f64,
}

impl Cost {
    /// In a second, p50, p99, server, Postgres.
    fn cells(&self) -> [String; 5] {
        [
            number(self.latencies.per_second()),
            millis(self.latencies.quantile(0.5)),
            millis(self.latencies.quantile(0.99)),
            micros(self.server),
            micros(self.postgres),
        ]
    }

    /// How it compares with `pgbench`, and the CPU time there.
    fn beside(&self, reached: Option<Reached>) -> [String; 2] {
        match reached {
            Some(reached) => [
                number(self.latencies.per_second() / reached.per_second),
                micros(reached.micros),
            ],
            None => ["–".to_owned(), "–".to_owned()],
        }
    }
}

fn millis(value: f64) -> String {
    number(value) + " ms"
}

fn micros(value: f64) -> String {
    number(value) + " µs"
}

/// The statements of a measurement as a script, with what must be new each time replaced.
fn script(statements: &[String]) -> String {
    let mut script = statements.join(";\n");
    script.push_str(";\n");
    script
}
