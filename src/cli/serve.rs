//! `overread serve` and `overread demo`: the server, until it is told to stop.

use crate::app;
use crate::cli::{Done, ServeArguments, load};
use crate::config::Flag;

/// Where the demo keeps its studies unless told otherwise: here, so that a second start finds them.
const DEMO_DIR: &str = "overread-demo-data";

pub(super) fn serve(arguments: ServeArguments) -> anyhow::Result<Done> {
    let settings = load(arguments.sources()?)?;
    app::serve(&settings, app::Samples::None)?;
    Ok(Done::Wholly)
}

pub(super) fn demo(arguments: ServeArguments) -> anyhow::Result<Done> {
    let mut sources = arguments.sources()?;
    sources
        .presets
        .push(Flag::new("demo", "server.data_dir", DEMO_DIR));
    let settings = load(sources)?;
    app::serve(&settings, app::Samples::Received)?;
    Ok(Done::Wholly)
}
