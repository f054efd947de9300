//! `overread serve`: the server, until it is told to stop.

use crate::app;
use crate::cli::{Done, ServeArguments, load};

pub(super) fn serve(arguments: ServeArguments) -> anyhow::Result<Done> {
    let settings = load(arguments.sources()?)?;
    app::serve(&settings)?;
    Ok(Done::Wholly)
}
