//! The only place that joins doors, deeds and shelves: opening an archive ([`own`], [`look`], [`beside`]), and
//! running the server until it is told to stop ([`serve`]).

mod cases;
pub mod conformance;
mod data_dir;
mod every;
mod network;
mod samples;
mod server;
pub mod stop;
mod worklist;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::access::{AccessLedger, LedgerError, SignInError};
use crate::archive::blob::Swept;
use crate::archive::index::Index as _;
use crate::archive::{self, Archive};
use crate::cases::CaseLedger;
use crate::cases::notices::NoticeLedger;
use crate::config::{self, Settings};
use crate::db::{Ledger, Sqlite};
use crate::dimse;
use crate::store::{Filesystem, FilesystemReader};
use crate::worklist::WorkitemLedger;
use data_dir::DataDir;

pub use server::{Samples, serve};

/// Connections of the index that read at once.
const INDEX_READERS: usize = 8;

/// Connections of the ledger that read at once: a row each, by its key.
const LEDGER_READERS: usize = 4;

/// The file of the ledger in the data directory.
const LEDGER: &str = "ledger.sqlite";

/// Why the program cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that do not go together.
    #[error(transparent)]
    Settings(#[from] config::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The archive cannot be opened or used.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The ledger cannot be opened or used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Nobody can be let in.
    #[error(transparent)]
    Access(#[from] SignInError),
    /// The DICOM listener does not start.
    #[error(transparent)]
    Dimse(#[from] dimse::Error),
    /// The web address is taken, or not ours.
    #[error("cannot listen for the web on {address}: {source}")]
    Http {
        /// The address of the settings.
        address: SocketAddr,
        /// The system's word for it.
        source: std::io::Error,
    },
    /// The system refuses something that every program needs.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// Something was still running when the time to stop was over.
    #[error("stopped before everything had ended")]
    Deadline,
}

/// An open archive. Its directory is given up when this is dropped, after the archive.
pub struct Opened {
    archive: Archive,
    /// There when the directory is owned.
    ledger: Option<Arc<Ledger>>,
    swept: Swept,
    is_owner: bool,
    data_dir: DataDir,
}

impl Drop for Opened {
    /// Notes how far the index has come, for the next start to compare.
    fn drop(&mut self) {
        if !self.is_owner {
            return;
        }
        let noted = self
            .archive
            .lineage()
            .map(|lineage| self.data_dir.note_lineage(&lineage));
        if !matches!(noted, Ok(Ok(()))) {
            tracing::warn!("how far the index has come could not be noted");
        }
    }
}

impl Opened {
    /// The archive.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The ledger, where the directory is owned.
    #[must_use]
    pub fn ledger(&self) -> Option<Arc<dyn AccessLedger>> {
        let ledger = self.ledger.clone()?;
        Some(ledger)
    }

    /// The ledger as the worklist knows it, where the directory is owned.
    #[must_use]
    pub fn workitem_ledger(&self) -> Option<Arc<dyn WorkitemLedger>> {
        let ledger = self.ledger.clone()?;
        Some(ledger)
    }

    /// The ledger as cases know it, where the directory is owned.
    #[must_use]
    pub fn case_ledger(&self) -> Option<Arc<dyn CaseLedger>> {
        let ledger = self.ledger.clone()?;
        Some(ledger)
    }

    /// What a killed process had left and opening removed.
    #[must_use]
    pub fn swept(&self) -> Swept {
        self.swept
    }

    /// Where it is.
    #[must_use]
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }
}

/// Opens the archive for this process alone, making it when it is not there.
///
/// # Errors
/// When another process owns it, or a newer program made it.
pub fn own(settings: &Settings) -> Result<Opened, Error> {
    let data_dir = DataDir::own(&settings.data_dir)?;
    // The index first: it knows the version of the format, and refuses a newer one before anything changes.
    let index = Sqlite::open(&data_dir.index(), INDEX_READERS)?;
    let lineage = index.lineage()?;
    let is_known = data_dir.check_lineage(&lineage)?;
    let ledger = Ledger::open(&data_dir.ledger(), LEDGER_READERS)?;
    // What is noted must not be ahead of what is on the disk.
    index.harden()?;
    data_dir.note_lineage(&lineage).map_err(|source| {
        Error::DataDir(data_dir::Error::Unusable {
            path: data_dir.path().to_owned(),
            source,
        })
    })?;
    let blobs = Filesystem::open(&data_dir.blobs())?;
    if !is_known {
        blobs.distrust();
    }
    let (archive, swept) =
        Archive::open(Arc::new(index), Arc::new(blobs), settings.ingest.clone())?;
    if swept != Swept::default() {
        tracing::warn!(
            adopted = swept.adopted,
            orphan_bytes = swept.orphan_bytes,
            staged_files = swept.staged_files,
            "took up or removed what an earlier run had not finished"
        );
    }
    Ok(Opened {
        archive,
        ledger: Some(Arc::new(ledger)),
        swept,
        is_owner: true,
        data_dir,
    })
}

/// Opens an archive that is there, for reading only, whether or not another process owns it.
///
/// # Errors
/// When there is none, or another version of the program made it.
pub fn look(settings: &Settings) -> Result<Opened, Error> {
    let data_dir = DataDir::look(&settings.data_dir)?;
    let index = Sqlite::open_read_only(&data_dir.index())?;
    over(settings, data_dir, index)
}

/// Opens an archive that is there for small changes of what is on its way elsewhere, whether or not
/// another process owns it: nothing of what is stored may be changed.
///
/// # Errors
/// As [`look`].
pub fn beside(settings: &Settings) -> Result<Opened, Error> {
    let data_dir = DataDir::look(&settings.data_dir)?;
    let index = Sqlite::open_beside(&data_dir.index())?;
    over(settings, data_dir, index)
}

fn over(settings: &Settings, data_dir: DataDir, index: Sqlite) -> Result<Opened, Error> {
    let blobs = FilesystemReader::open(&data_dir.blobs())?;
    let archive = Archive::over(Arc::new(index), Arc::new(blobs), settings.ingest.clone())?;
    Ok(Opened {
        archive,
        ledger: None,
        swept: Swept::default(),
        is_owner: false,
        data_dir,
    })
}

/// Opens the ledger to change it, whether or not a server is running; makes it when it is not there.
///
/// # Errors
/// When it cannot be used, or it is not there and another process has the data directory.
pub fn ledger(settings: &Settings) -> Result<Arc<dyn AccessLedger>, Error> {
    Ok(shared_ledger(settings)?)
}

/// The same, as cases know it.
///
/// # Errors
/// As [`ledger`].
pub fn case_ledger(settings: &Settings) -> Result<Arc<dyn CaseLedger>, Error> {
    Ok(shared_ledger(settings)?)
}

fn shared_ledger(settings: &Settings) -> Result<Arc<Ledger>, Error> {
    let path = settings.data_dir.join(LEDGER);
    let beside = path.is_file().then(|| Ledger::open_beside(&path));
    let failure = match beside {
        Some(Ok(ledger)) => return Ok(Arc::new(ledger)),
        Some(Err(failure)) => Some(failure),
        None => None,
    };
    // There is none, or it is of an older program: then it is for whoever owns the directory to make it.
    match (DataDir::own(&settings.data_dir), failure) {
        (Ok(owned), _) => Ok(Arc::new(Ledger::open(&owned.ledger(), 1)?)),
        (Err(_), Some(failure)) => Err(failure.into()),
        (Err(error), None) => Err(error.into()),
    }
}

/// Opens the ledger for reading only, whether or not a server is running.
///
/// # Errors
/// When there is none, or another version of the program made it.
pub fn look_at_ledger(settings: &Settings) -> Result<Arc<dyn AccessLedger>, Error> {
    Ok(seen_ledger(settings)?)
}

/// The same, as notices know it.
///
/// # Errors
/// As [`look_at_ledger`].
pub fn look_at_notices(settings: &Settings) -> Result<Arc<dyn NoticeLedger>, Error> {
    Ok(seen_ledger(settings)?)
}

fn seen_ledger(settings: &Settings) -> Result<Arc<Ledger>, Error> {
    let path = settings.data_dir.join(LEDGER);
    if !path.is_file() {
        return Err(data_dir::Error::Missing {
            path: settings.data_dir.clone(),
        }
        .into());
    }
    Ok(Arc::new(Ledger::open_read_only(&path)?))
}
