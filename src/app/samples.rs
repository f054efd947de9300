//! The sample studies of `overread demo`, received through the one ingest like everything else.

use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::archive::{Archive, Declared, Door, Error, Origin};
use crate::demo;

/// Threads that make and store samples.
const WORKERS: usize = 4;

/// Receives the samples, unless as many instances are there already. A start that was interrupted
/// is simply done again: the same bytes are told by their digest.
pub(super) fn receive(archive: &Archive) -> Result<(), Error> {
    let total = archive.totals()?;
    if total.instances >= demo::count() as u64 {
        return Ok(());
    }
    tracing::info!(instances = demo::count(), "receiving the sample studies");
    let objects = Mutex::new(demo::objects());
    let next = || {
        objects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    };
    let work = || {
        while let Some((name, bytes)) = next() {
            store(archive, &bytes)
                .inspect_err(|cause| tracing::error!(name, %cause, "a sample was not stored"))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(_) => Err(Error::broken("making the samples", "a thread panicked")),
            })
    })
}

fn store(archive: &Archive, bytes: &[u8]) -> Result<(), Error> {
    let origin = Origin {
        door: Door::Import,
        sender: "demo".into(),
        peer: "".into(),
    };
    let mut incoming = archive.receive_part10(origin, Declared::default())?;
    incoming.write(bytes)?;
    incoming.finish().map(|_| ())
}
