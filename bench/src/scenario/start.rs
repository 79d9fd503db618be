//! From exec to the first response.

use anyhow::Result;

use crate::{
    bench::Bench,
    format::millis,
    goals::Facts,
    report::{Section, Table},
    server::Limits,
};

const STARTS: usize = 30;

const TEXT: &str = "\
From exec to the first 200 of `GET /healthz`, which queries the database, on a migrated
database.";

pub(super) async fn measure(bench: &mut Bench, facts: &mut Facts) -> Result<Section> {
    let database = bench.database(bench.least()).await?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let server = bench.server(&database, Limits::Counted).await?;
        times.push(server.started_in.as_secs_f64() * 1000.0);
        server.stop().await?;
    }
    times.sort_by(f64::total_cmp);
    let (least, median, most) = (times[0], times[STARTS / 2], times[STARTS - 1]);
    facts.insert("start".to_owned(), median);
    let mut table = Table::new(["starts", "fastest", "median", "slowest"]);
    table.row([
        STARTS.to_string(),
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
