//! `overread echo`: whether another application entity is there, knows us, and speaks DICOM (C-ECHO).

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cli::{Done, Place};
use crate::dicom::AeTitle;
use crate::dimse::scu;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// AE@HOST:PORT, or a name of dicom.peers.
    #[arg(value_name = "PEER")]
    peer: String,
    #[command(flatten)]
    calling: Calling,
}

/// How we call.
#[derive(Debug, clap::Args)]
pub(super) struct Calling {
    /// Our AE title, if it is to be another than dicom.ae_title.
    #[arg(long, value_name = "TITLE")]
    calling_ae: Option<AeTitle>,
    /// How long a connection may take, in seconds (dicom.connect_timeout_s).
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    connect_timeout: Option<u64>,
    /// How long an answer may take, in seconds (dicom.idle_timeout_s).
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: Option<u64>,
}

impl Calling {
    pub(super) fn apply(self, mut settings: scu::Settings) -> scu::Settings {
        settings.calling = self.calling_ae.unwrap_or(settings.calling);
        let seconds = |given: Option<u64>, otherwise| given.map_or(otherwise, Duration::from_secs);
        settings.connect_timeout = seconds(self.connect_timeout, settings.connect_timeout);
        settings.answer_timeout = seconds(self.timeout, settings.answer_timeout);
        settings
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    let outgoing = arguments.calling.apply(settings.dicom.outgoing);
    let peer = outgoing.peers.resolve(&arguments.peer)?;
    let echo = scu::echo(&peer, &outgoing).with_context(|| peer.to_string())?;
    if echo.status != 0 {
        bail!("{peer} answers with status {:04X}H", echo.status);
    }
    let milliseconds = echo.took.as_secs_f64() * 1000.0;
    write!(io::stdout(), "{peer} answers in {milliseconds:.1} ms")?;
    if let Some(implementation) = echo.implementation {
        write!(io::stdout(), " ({implementation})")?;
    }
    writeln!(io::stdout())?;
    Ok(Done::Wholly)
}
