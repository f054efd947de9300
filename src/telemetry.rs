//! The log: one line an event on stderr, as text for people or JSON for collectors. Lines carry
//! identifiers (UIDs, AE titles, addresses, numbers) and no patient data; whoever logs sees to that.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};

/// Starts logging for the life of the process. A second call changes nothing.
pub fn start(settings: &LogSettings) {
    // The filter was checked with the configuration.
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // The only failure is that a log was started before, which then stays.
    let _ = match settings.format {
        LogFormat::Text => lines
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .try_init()
            .ok(),
        LogFormat::Json => lines.json().flatten_event(true).try_init().ok(),
    };
}
