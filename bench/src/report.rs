//! The results as a Markdown page and images.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    goals::{Facts, GOALS},
    plot::Plot,
};

/// The results of a run.
#[derive(Default)]
pub(crate) struct Report {
    /// Machine, versions, date and command.
    pub(crate) circumstances: Vec<(&'static str, String)>,
    pub(crate) sections: Vec<Section>,
    pub(crate) facts: Facts,
    /// Whether a scenario failed.
    pub(crate) has_failed: bool,
}

/// The results of one scenario.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// What was measured and how.
    pub(crate) text: &'static str,
    pub(crate) tables: Vec<Table>,
    pub(crate) plot: Option<Plot>,
}

/// A table, whose first column is text and whose others are numbers.
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(columns: [&str; N]) -> Self {
        Self {
            columns: columns.map(str::to_owned).to_vec(),
            rows: Vec::new(),
        }
    }

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

For operators who size a deployment, and for contributors who change something that every
request runs through.

Written by `make bench`; do not edit. It drives the real binary over loopback on a durable
Postgres of its own with default settings, and runs `pgbench` with the same statements on the
same database. Client, server and Postgres share the machine, so every number is of all three
together. CPU times come from `/proc`. \"The reference\" is the server whose API this is,
Coder 2.29, measured on a machine with two cores.
";

const METHOD: &str = "\
## Method

`make bench` measures everything and writes this page, in about twenty minutes.
`make bench ARGS=\"me start\"` measures some of it and prints the results. `--users 100000`
leaves out larger databases, `--seconds 10` measures longer, `--docs DIRECTORY` writes the
page of a partial run.

- The client is one thread without an HTTP library. It checks the status of every response
  and reads it to its end.
- Throughput, lists and changes are the best of three rounds, for `pgbench` too: other load on
  the machine can only slow a round down.
- p50 and p99 are over all requests of a measurement, as seen by the client.
- \"server\" and \"Postgres\" are CPU time per request over all threads and processes, including
  the background processes of Postgres.
- \"÷ `pgbench`\" is requests per second ÷ transactions per second of `pgbench
  --protocol=prepared` with as many clients. It runs the statements of that request, read from
  the log of Postgres, one transaction for each request. `pgbench` may reuse a plan where the
  server plans each time, since its values change.
- Users are distributed as in the database on which the reference was measured: of 1,000,002,
  55,725 match `ann`, 30,183 are suspended, 947 are owners, and 222,036 were last seen before
  the date of the filter.
- `cargo bench --package usher-bench` measures the inner loops alone.
";

impl Report {
    pub(crate) fn to_markdown(&self) -> String {
        let mut out = String::from(HEAD);
        out.push('\n');
        for (name, value) in &self.circumstances {
            let _ = writeln!(out, "- {name}: {value}");
        }
        out.push_str("\n## Targets\n\nLists are measured at 1,000,002 users.\n\n");
        let mut table = Table::new(["", "target", "measured", ""]);
        for goal in GOALS {
            if let Some([target, measured, verdict]) = goal.cells(&self.facts) {
                table.row([goal.what.to_owned(), target, measured, verdict]);
            }
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
        out.push_str(METHOD);
        out
    }

    /// Writes the page and its images.
    pub(crate) fn write(&self, docs: &Path) -> Result<()> {
        let images = docs.join("images");
        fs::create_dir_all(&images).with_context(|| images.display().to_string())?;
        for section in &self.sections {
            if let Some(plot) = &section.plot {
                fs::write(images.join(format!("{}.svg", plot.name)), plot.to_svg()?)?;
            }
        }
        let page = docs.join("performance.md");
        fs::write(&page, self.to_markdown()).with_context(|| page.display().to_string())
    }
}
