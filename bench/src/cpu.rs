//! CPU time of processes, from `/proc`.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

/// The CPU time of a process and all of its threads, those that have ended included.
pub(crate) fn of_process(pid: u32) -> Result<Duration> {
    let times = Times::read(pid)?;
    Ok(ticks(times.own))
}

/// The CPU time of a process and its children, those that have ended included: of all of
/// Postgres, given its postmaster.
pub(crate) fn of_family(parent: u32) -> Result<Duration> {
    // The children first: one that ends meanwhile is then counted twice rather than never,
    // which is less wrong, being a few milliseconds.
    let mut sum = 0;
    for entry in fs::read_dir("/proc").context("there is no /proc: this needs Linux")? {
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
        // The name of the program stands in parentheses and may hold anything.
        let (_, rest) = stat.rsplit_once(") ").with_context(|| path.clone())?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| -> Result<u64> {
            let field = fields.get(at - 3).with_context(|| path.clone())?;
            field.parse().with_context(|| path.clone())
        };
        // The numbers of proc_pid_stat(5).
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
    /// What is resident now.
    pub(crate) resident: u64,
    /// The most that was resident, since the start or [`forget_peak`].
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

/// Has the peak begin anew.
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(Path::new(&path), "5").context(path)
}
