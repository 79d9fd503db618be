//! Shutdown signals: SIGTERM and SIGINT (Ctrl-C).

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that shut down the program.
pub struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl ShutdownSignals {
    /// Starts listening. From now on the signals do not terminate the program by themselves.
    ///
    /// # Errors
    ///
    /// If the system refuses the signal handlers.
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("could not listen for shutdown signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
