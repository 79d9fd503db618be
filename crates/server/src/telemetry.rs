//! Logging to standard error, human-readable or as JSON.

use std::{
    io::{self, IsTerminal as _},
    panic,
};

use tracing_subscriber::{
    Layer as _, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::settings::{LogFormat, LogSettings};

/// Sets up logging, including of panics. To be called once.
pub fn start(settings: &LogSettings) {
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match settings.log_format {
        LogFormat::Human => lines
            .compact()
            .with_ansi(io::stderr().is_terminal())
            .boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(settings.log.clone())
        .with(lines)
        .init();
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(
            panic.location = location.unwrap_or_default(),
            panic.message = panic.payload_as_str().unwrap_or("no message"),
            "a thread panicked"
        );
    }));
}
