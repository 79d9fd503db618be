//! From exec to the first answer.

use anyhow::Result;

use super::{Bench, millis};
use crate::{
    report::{Facts, Section, Table},
    server::Limits,
};

const ROUNDS: usize = 30;

const TEXT: &str = "\
From the start of the process to its first 200 (of `GET /healthz`, which asks the database),
on a database that is migrated.";

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let database = bench.database(bench.least()).await?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let server = bench.server(&database, Limits::Counted).await?;
        times.push(server.started_in.as_secs_f64() * 1000.0);
        server.stop().await?;
    }
    times.sort_by(f64::total_cmp);
    let (least, median, most) = (times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
    facts.insert("start".to_owned(), median);
    let mut table = Table::new(["starts", "fastest", "median", "slowest"]);
    table.row([
        ROUNDS.to_string(),
        millis(least),
        millis(median),
        millis(most),
    ]);
    Ok(Section {
        title: "Start",
        text: TEXT,
        tables: vec![table],
        plot: None,
    })
}
