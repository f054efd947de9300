//! `overread import`: the same ingest as the network doors, fed from disk by a few threads, whose
//! commits the archive groups. Interrupted or killed, it is simply run again.

mod report;
mod sources;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use memchr::memmem;

use crate::app::{self, stop::Stop};
use crate::archive::{Archive, Declared, Door, Error, Origin, Outcome, Refusal};
use crate::cli::{Done, Place, shell};
use crate::config::ImportSettings;
use crate::dicom::Uid;
use report::Report;
use sources::{Found, Item};

/// Threads that read and store. More than cores: they mostly wait for the disk, together.
const WORKERS: usize = 4;

/// Items found and not yet taken up.
const WAITING_MAX: usize = 16_384;

/// How much is read at a time. Bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// (0002,0002) Media Storage Directory Storage, as it stands in the File Meta of a DICOMDIR.
const DICOMDIR_CLASS: &[u8] = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Files, folders, ZIP archives; a DICOMDIR stands for its medium.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// What became of one item.
enum Fate {
    /// Of a study.
    Received(Outcome, Uid),
    Refused(String),
    NotDicom,
    Directory,
    /// Somebody asked us to stop; nothing of it was kept.
    Abandoned,
    /// The archive takes nothing more.
    Full,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let paths = arguments
        .paths
        .iter()
        .map(|path| media(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let settings = arguments.place.settings()?;
    let opened = app::own(&settings)?;
    let progress = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{bar:30} {human_pos}/{human_len} {per_sec} {msg}",
    )?);
    let shown = progress.clone();
    let stop = Stop::on_signals(move || shown.set_message("stopping"))?;
    let task = Task {
        archive: opened.archive(),
        stop: &stop,
        progress: &progress,
        report: Mutex::default(),
    };
    task.run(&paths, opened.data_dir().path(), settings.import);
    progress.finish_and_clear();
    let mut report = task
        .report
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    // A run that was killed has no row; the index says of each instance that it came by import, and whose.
    let ledger = opened.ledger().context("the ledger is not open")?;
    let told = ledger.record(&report.record(stop.is_asked()));
    report.print(&mut std::io::stdout().lock(), stop.is_asked())?;
    told.context("what was imported is not in the audit trail")?;
    if report.is_full {
        anyhow::bail!("out of storage space: free some, then run the same import again");
    }
    Ok(if report.is_complete() && !stop.is_asked() {
        Done::Wholly
    } else {
        Done::InPart
    })
}

/// What is to be walked: for a DICOMDIR, the medium that it stands at the top of (PS3.10 §8.6).
fn media(path: &Path) -> anyhow::Result<PathBuf> {
    let about = path
        .metadata()
        .with_context(|| format!("cannot read {}", path.display()))?;
    let is_directory = path
        .file_name()
        .is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR"));
    match path.parent() {
        Some(top) if is_directory && about.is_file() => Ok(Path::new(".").join(top)),
        _ => Ok(path.to_owned()),
    }
}

struct Task<'a> {
    archive: &'a Archive,
    stop: &'a Stop,
    progress: &'a ProgressBar,
    report: Mutex<Report>,
}

impl Task<'_> {
    /// One thread walks, the others store.
    fn run(&self, paths: &[PathBuf], except: &Path, limits: ImportSettings) {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let receiver = Mutex::new(receiver);
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| self.store_all(&receiver));
            }
            sources::walk(paths, except, limits, &mut |found| {
                self.found(found, &sender)
            });
            drop(sender);
        });
    }

    fn found(&self, found: Found, sender: &SyncSender<Item>) -> bool {
        match found {
            Found::Item(item) => {
                self.progress.inc_length(1);
                // An error here means that all workers are gone; then the walk ends too.
                if sender.send(item).is_err() {
                    return false;
                }
            }
            Found::Unreadable(name, reason) => self.report().refuse(name, reason),
            Found::Other => self.report().other += 1,
        }
        !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.stop.is_asked() || self.report().is_full
    }

    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store_all(&self, receiver: &Mutex<Receiver<Item>>) {
        let origin = Origin {
            door: Door::Import,
            sender: shell::actor().name.into(),
            peer: "".into(),
        };
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            // The lock is held while waiting: whoever waits for the lock waits for an item as well.
            let next = receiver
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok(item) = next else { return };
            // What is found after a stop is taken from the channel, so that the walk never hangs on it.
            if self.is_over() {
                continue;
            }
            let name = item.name();
            let fate = item
                .open(|bytes| self.store(bytes, origin.clone(), &mut chunk))
                .unwrap_or_else(|error| Fate::Refused(format!("cannot be read: {error}")));
            self.report().add(name, fate);
            self.progress.inc(1);
        }
    }

    fn store(&self, bytes: &mut dyn Read, origin: Origin, chunk: &mut [u8]) -> Fate {
        let head = match fill(bytes, chunk) {
            Ok(0) => return Fate::NotDicom,
            Ok(length) => length,
            Err(error) => return Fate::Refused(format!("cannot be read: {error}")),
        };
        if memmem::find(&chunk[..head.min(4096)], DICOMDIR_CLASS).is_some() {
            return Fate::Directory;
        }
        let mut incoming = match self.archive.receive_part10(origin, Declared::default()) {
            Ok(incoming) => incoming,
            Err(error) => return Fate::of(error),
        };
        let mut length = head;
        while length > 0 {
            if self.stop.is_asked() {
                return Fate::Abandoned;
            }
            if let Err(error) = incoming.write(&chunk[..length]) {
                return Fate::of(error);
            }
            length = match fill(bytes, chunk) {
                Ok(length) => length,
                Err(error) => return Fate::Refused(format!("cannot be read: {error}")),
            };
        }
        match incoming.finish() {
            Ok(receipt) => Fate::Received(receipt.outcome, receipt.study_instance_uid),
            Err(error) => Fate::of(error),
        }
    }
}

impl Fate {
    fn of(error: Error) -> Self {
        match error {
            Error::Refused(Refusal::NotDicom) => Self::NotDicom,
            Error::Full => Self::Full,
            error @ (Error::NotFound
            | Error::Refused(_)
            | Error::TooLarge { .. }
            | Error::Busy(_)
            | Error::TooBroad(_)
            | Error::Unmakable(_)
            | Error::Broken(_)) => Self::Refused(error.to_string()),
        }
    }
}

/// Reads until `chunk` is full or the source ends.
fn fill(bytes: &mut dyn Read, chunk: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < chunk.len() {
        match bytes.read(&mut chunk[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
