//! What was measured, as text and images.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    goals::{self, GOALS},
    limits,
    plot::Plot,
};

/// Numbers by their names, for the [`goals`].
pub(crate) type Facts = BTreeMap<String, f64>;

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    /// On what, when and how.
    pub(crate) circumstances: Vec<(&'static str, String)>,
    /// The parts, in their order.
    pub(crate) sections: Vec<Section>,
    /// Numbers by their names.
    pub(crate) facts: Facts,
    /// Whether something could not be measured.
    pub(crate) has_failed: bool,
}

/// What was measured of one thing.
pub(crate) struct Section {
    /// Its heading.
    pub(crate) title: &'static str,
    /// What was done.
    pub(crate) text: &'static str,
    /// The numbers.
    pub(crate) tables: Vec<Table>,
    /// The same to look at.
    pub(crate) plot: Option<Plot>,
}

/// A table.
pub(crate) struct Table {
    /// The names of the columns.
    pub(crate) columns: Vec<String>,
    /// The rows.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows yet.
    pub(crate) fn new<const N: usize>(columns: [&str; N]) -> Self {
        Self {
            columns: columns.map(str::to_owned).to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    fn write(&self, out: &mut String) {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        out.push_str(&line(&self.columns));
        let rule: Vec<String> = (0..self.columns.len())
            .map(|at| if at == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        out.push_str(&line(&rule));
        for row in &self.rows {
            out.push_str(&line(row));
        }
        out.push('\n');
    }
}

const HEAD: &str = "\
# Performance

Written by `make bench`, which drives the real binary over loopback on a durable Postgres of
its own with the settings that Postgres comes with, and runs `pgbench` with the same
statements on the same database. Client, server and Postgres share the machine, so that every
number is of all three together. CPU times are of the processes, from `/proc`. Do not edit
this file by hand.
";

const METHOD: &str = "\
## How it is measured

`make bench` measures everything and writes this page, in about twenty minutes.
`make bench ARGS=\"me start\"` measures some of it and prints what came of it;
`--people 100000` leaves out the greater databases, `--seconds 10` takes longer for each
number, `--docs DIRECTORY` writes the page all the same.

- The client is one thread without an HTTP library. It checks the status of every answer,
  and reads each to its end.
- Throughput, lists and changes are the best of three rounds, those of `pgbench` too: what
  else goes on in a machine, or beside a virtual one, only ever slows.
- p50 and p99 are over all requests of a measurement, as the client sees them.
- \"server\" and \"Postgres\" are the CPU time for each request, of all threads and processes;
  Postgres with its background processes.
- \"÷ pgbench\" compares the requests in a second with the transactions of `pgbench
  --protocol=prepared`, which runs the statements of that request, as read from the log of
  Postgres, by as many clients. A plan that `pgbench` makes once, the server may make each
  time, since it has other values each time.
- People are spread as in the database on which the reference was measured: of 1,000,002,
  55,725 match `ann`, 30,183 are suspended, 947 own the deployment, 222,036 were last seen
  before the date.
- `cargo bench --package usher-bench` measures the inner loops alone.
";

impl Report {
    /// The report as a page.
    pub(crate) fn to_markdown(&self) -> String {
        let mut out = String::from(HEAD);
        out.push('\n');
        for (name, value) in &self.circumstances {
            let _ = writeln!(out, "- {name}: {value}");
        }
        out.push_str("\n## What it must reach\n\n");
        let mut table = Table::new(["Goal", "wanted", "measured", ""]);
        for goal in GOALS {
            let Some(measured) = (goal.measured)(&self.facts) else {
                continue;
            };
            table.row([
                goal.what.to_owned(),
                goal.wanted(),
                goals::number(measured) + goal.unit,
                if goal.is_met(measured) {
                    "met"
                } else {
                    "**not met**"
                }
                .to_owned(),
            ]);
        }
        table.write(&mut out);
        for section in &self.sections {
            let _ = write!(out, "## {}\n\n{}\n\n", section.title, section.text);
            for table in &section.tables {
                table.write(&mut out);
            }
            if let Some(plot) = &section.plot {
                let _ = writeln!(out, "![{}](images/{}.svg)\n", plot.title, plot.name);
            }
        }
        out.push_str(&limits::to_markdown(&self.facts));
        out.push_str(METHOD);
        out
    }

    /// Writes the page and its images.
    pub(crate) fn write(&self, docs: &Path) -> Result<()> {
        let images = docs.join("images");
        fs::create_dir_all(&images).with_context(|| images.display().to_string())?;
        for plot in self
            .sections
            .iter()
            .filter_map(|section| section.plot.as_ref())
        {
            fs::write(images.join(format!("{}.svg", plot.name)), plot.to_svg())?;
        }
        let page = docs.join("performance.md");
        fs::write(&page, self.to_markdown()).with_context(|| page.display().to_string())
    }
}
