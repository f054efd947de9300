//! How the bodies of `db::record` are kept small. The instances of a series say nearly the same, so
//! each is compressed against a pattern of its series, which is the text of one of them: a CT of
//! 12 KB takes 90 bytes so, and 2.9 KB alone.
//!
//! Packing is done before the transaction, by whoever sends ([`Packing::pack`]). What is packed holds
//! on to its pattern, and whichever comes first brings the pattern into the index: it does not matter
//! whether what proposed it was kept. A series has another pattern only when two senders began it at
//! once, or when what it began with says less than half of what came later.
//!
//! A pattern goes with its series. Until then it may hold what a removed instance said: text of the
//! same study, which no query reads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use zstd::zstd_safe::CDict;

use crate::archive::Error;
use crate::archive::index::NewInstance;
use crate::db::record::{self, Against, Parts};
use crate::db::sqlite::connection::error;
use crate::db::sqlite::read::blob_at;
use crate::db::sqlite::write::Write;
use crate::dicom::Uid;

/// What [`Bodies`] reads of an instance joined by [`BODY_JOIN`]: three columns.
pub(super) const BODY: &str = "pattern.id, pattern.body, instance.body";

/// How an instance's pattern is joined.
pub(super) const BODY_JOIN: &str = "JOIN pattern ON pattern.id = instance.pattern";

/// Of a longer text the beginning is the pattern. Bytes.
const PATTERN_BYTES_MAX: usize = 64 << 10;

/// The patterns of so many series are kept at hand; one that is made ready takes up to some 250 KB.
const RECENT_MAX: usize = 32;

/// What bodies are compressed against.
pub(super) struct Pattern {
    /// By which a series knows it again.
    key: [u8; 16],
    text: Vec<u8>,
    is_used: AtomicBool,
    /// From the second use on: to read the text anew each time is a third of packing.
    ready: OnceLock<CDict<'static>>,
}

/// A body made ahead of its transaction.
pub(super) struct Packed {
    pattern: Arc<Pattern>,
    body: Vec<u8>,
}

/// The patterns of the series that came last, each by Series Instance UID; the latest used stands last.
#[derive(Default)]
pub(super) struct Packing {
    recent: Mutex<VecDeque<(Uid, Arc<Pattern>)>>,
}

impl Pattern {
    fn new(mut text: Vec<u8>) -> Arc<Self> {
        text.truncate(PATTERN_BYTES_MAX);
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(&text).as_bytes()[..16]);
        Arc::new(Self {
            key,
            text,
            is_used: AtomicBool::new(false),
            ready: OnceLock::new(),
        })
    }

    fn against(&self) -> Against<'_> {
        if self.is_used.swap(true, Ordering::Relaxed) {
            Against::Ready(self.ready.get_or_init(|| record::ready(&self.text)))
        } else {
            Against::Text(&self.text)
        }
    }
}

impl Packing {
    /// Packs an instance against the pattern of its series; `stored` reads one from the index. What
    /// begins a series is its pattern.
    pub(super) fn pack(
        &self,
        new: &NewInstance,
        stored: impl FnOnce(&Uid) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<Packed, Error> {
        let series = &new.header.series_instance_uid;
        let plain = record::plain_stored(new)?;
        let known = match self.recent(series) {
            Some(pattern) => Some(pattern),
            None => stored(series)?.map(Pattern::new),
        };
        let says_little = |known: &Arc<Pattern>| {
            known.text.len() * 2 < plain.bytes.len() && known.text.len() < PATTERN_BYTES_MAX / 2
        };
        let pattern = match known {
            Some(known) if !says_little(&known) => known,
            _ => Pattern::new(plain.bytes.clone()),
        };
        let pattern = self.keep(series, pattern);
        let body = plain.pack(&pattern.against())?;
        Ok(Packed { pattern, body })
    }

    fn recent(&self, series: &Uid) -> Option<Arc<Pattern>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let found = recent.iter().rev().find(|(uid, _)| uid == series);
        found.map(|(_, pattern)| pattern.clone())
    }

    /// Keeps a pattern at hand; gives the one that another sender kept meanwhile, when that says more.
    fn keep(&self, series: &Uid, pattern: Arc<Pattern>) -> Arc<Pattern> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut best = pattern;
        if let Some(at) = recent.iter().rposition(|(uid, _)| uid == series)
            && let Some((_, known)) = recent.remove(at)
            && known.text.len() >= best.text.len() / 2
        {
            best = known;
        } else if recent.len() >= RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back((series.clone(), best.clone()));
        best
    }
}

/// The text of the newest pattern of a series.
pub(super) fn latest(connection: &Connection, series: &Uid) -> Result<Option<Vec<u8>>, Error> {
    let sql = "SELECT body FROM pattern WHERE series = (SELECT id FROM series WHERE series_instance_uid = ?1) \
         ORDER BY id DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let mut rows = statement.query([series.as_str()]).map_err(error)?;
    let Some(row) = rows.next().map_err(error)? else {
        return Ok(None);
    };
    record::unpack_pattern(blob_at(row, 0)?, PATTERN_BYTES_MAX).map(Some)
}

impl Write<'_> {
    /// The pattern and the body of an instance for its row.
    pub(super) fn body(&self, new: &NewInstance, series: i64) -> Result<(i64, Vec<u8>), Error> {
        if let Some(packed) = new.made.get::<Packed>() {
            return Ok((self.pattern(&packed.pattern, series)?, packed.body.clone()));
        }
        let packed = self
            .connection
            .packing()
            .pack(new, |uid| latest(&self.connection, uid))?;
        Ok((self.pattern(&packed.pattern, series)?, packed.body))
    }

    /// The number of a pattern of a series, which learns of it when it does not know it. It is that of
    /// the change that brings it, so that none comes twice.
    fn pattern(&self, pattern: &Pattern, series: i64) -> Result<i64, Error> {
        let known = self
            .connection
            .prepare_cached("SELECT id FROM pattern WHERE series = ?1 AND key = ?2")
            .and_then(|mut s| {
                s.query_row(params![series, pattern.key], |row| row.get(0))
                    .optional()
            })
            .map_err(error)?;
        if let Some(id) = known {
            return Ok(id);
        }
        let id = self.counters.change;
        self.execute(
            "INSERT INTO pattern VALUES (?1, ?2, ?3, ?4)",
            params![
                id,
                series,
                pattern.key,
                record::pack_pattern(&pattern.text)?
            ],
        )?;
        Ok(id)
    }
}

/// Opens bodies; neighbours share their pattern, which is opened once.
#[derive(Default)]
pub(super) struct Bodies {
    pattern: Option<(i64, Vec<u8>)>,
    unpacked: Vec<u8>,
}

impl Bodies {
    /// As [`Bodies::metadata`], until the next row.
    pub(super) fn metadata_in(&mut self, row: &Row<'_>, first: usize) -> Result<&[u8], Error> {
        let mut unpacked = std::mem::take(&mut self.unpacked);
        let pattern = self.pattern(row, first)?;
        let length = record::metadata_in(blob_at(row, first + 2)?, pattern, &mut unpacked)?.len();
        self.unpacked = unpacked;
        Ok(&self.unpacked[..length])
    }

    /// The prepared metadata of a row whose columns [`BODY`] begin at `first`.
    pub(super) fn metadata(&mut self, row: &Row<'_>, first: usize) -> Result<Vec<u8>, Error> {
        let pattern = self.pattern(row, first)?;
        record::metadata(blob_at(row, first + 2)?, pattern)
    }

    /// All parts of the body, likewise.
    pub(super) fn parts(&mut self, row: &Row<'_>, first: usize) -> Result<Parts, Error> {
        let pattern = self.pattern(row, first)?;
        record::unpack(blob_at(row, first + 2)?, pattern)
    }

    fn pattern(&mut self, row: &Row<'_>, first: usize) -> Result<&[u8], Error> {
        let id: i64 = row.get(first).map_err(error)?;
        if self.pattern.as_ref().is_none_or(|(known, _)| *known != id) {
            let text = record::unpack_pattern(blob_at(row, first + 1)?, PATTERN_BYTES_MAX)?;
            self.pattern = Some((id, text));
        }
        Ok(self.pattern.as_ref().map_or(&[], |(_, text)| text))
    }
}
