//! CPU time and memory of processes, from `/proc`.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

/// The CPU time of a process, including threads that have exited.
pub(crate) fn of_process(pid: u32) -> Result<Duration> {
    let times = Times::read(pid)?;
    Ok(ticks(times.own))
}

/// The CPU time of a process and its children, including those that have exited. For the
/// postmaster, this is all of Postgres.
pub(crate) fn of_family(parent: u32) -> Result<Duration> {
    // Children first: one that exits in between is then counted twice instead of never.
    let mut sum = 0;
    for entry in fs::read_dir("/proc").context("cannot read /proc, which only Linux has")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Ok(times) = Times::read(pid)
            && times.parent == parent
        {
            sum += times.own;
        }
    }
    let times = Times::read(parent)?;
    Ok(ticks(sum + times.own + times.reaped))
}

struct Times {
    parent: u32,
    own: u64,
    reaped: u64,
}

impl Times {
    fn read(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
        // The program name is in parentheses and may contain anything.
        let (_, rest) = stat.rsplit_once(") ").with_context(|| path.clone())?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| -> Result<u64> {
            let field = fields.get(at - 3).with_context(|| path.clone())?;
            field.parse().with_context(|| path.clone())
        };
        // Field numbers as in proc_pid_stat(5).
        Ok(Self {
            parent: u32::try_from(number(4)?)?,
            own: number(14)? + number(15)?,
            reaped: number(16)? + number(17)?,
        })
    }
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// The largest resident size since the start or [`reset_peak`].
    pub(crate) peak: u64,
}

/// The memory of a process.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let field = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.with_context(|| path.clone())?.parse::<u64>()? * 1024)
    };
    Ok(Memory {
        resident: field("VmRSS:")?,
        peak: field("VmHWM:")?,
    })
}

/// Resets the peak to the current size.
pub(crate) fn reset_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(Path::new(&path), "5").context(path)
}
