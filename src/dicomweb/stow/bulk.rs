//! The bulk parts of a request, on their way to the instances that name them. Of each, memory holds
//! a few numbers; its bytes lie in the archive's scratch.

use std::collections::HashMap;

use super::location::Key;
use crate::archive::{Error, Scratch};
use crate::dicom::TransferSyntax;
use crate::dicom::transfer_syntax::TRANSFER_SYNTAXES;
use crate::dicomweb::media::{MediaType, OCTETS};

/// The longest media type of a document that is remembered. Bytes.
const MEDIA_TYPE_MAX: usize = 128;

/// What a part is, by its Content-Type (PS3.18 Table 8.7.3-5, Table 10.5.2-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bare values in little endian.
    Octets,
    /// A picture to be decoded: `image/png`.
    Png,
    /// Likewise `image/gif`.
    Gif,
    /// Compressed pixel data of that media type.
    Codestream(&'static str),
    /// Anything else: a document.
    Document(Box<str>),
}

impl Kind {
    pub(super) fn of(media: Option<&MediaType>) -> Self {
        let Some(media) = media else {
            return Self::Octets;
        };
        let compressed = TRANSFER_SYNTAXES
            .iter()
            .map(|syntax| syntax.media_type)
            .find(|known| *known != OCTETS && known.eq_ignore_ascii_case(&media.essence));
        match (&*media.essence, compressed) {
            (OCTETS, _) => Self::Octets,
            ("image/png", _) => Self::Png,
            ("image/gif", _) => Self::Gif,
            // The file around the codestream that image/jphc names.
            ("image/jph", _) => Self::Codestream("image/jphc"),
            (_, Some(name)) => Self::Codestream(name),
            (other, None) => Self::Document(other.chars().take(MEDIA_TYPE_MAX).collect()),
        }
    }
}

/// One part.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) kind: Kind,
    /// What its Content-Type says; `Err` for one that we do not know.
    pub(super) transfer_syntax: Result<Option<&'static TransferSyntax>, ()>,
    /// Its number where its location ends in `/frames/n`.
    pub(super) frame: Option<u32>,
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Part {
    /// A part that begins at `start`.
    pub(super) fn new(media: Option<&MediaType>, frame: Option<u32>, start: u64) -> Self {
        let named = media.and_then(|media| media.parameter("transfer-syntax"));
        Self {
            kind: Kind::of(media),
            transfer_syntax: named
                .map(|uid| TransferSyntax::of_uid(uid).ok_or(()))
                .transpose(),
            frame,
            start,
            length: 0,
        }
    }
}

/// All parts that no instance has taken yet.
#[derive(Default)]
pub(super) struct BulkParts {
    /// Made with the first bytes.
    scratch: Option<Scratch>,
    parts: HashMap<Key, Vec<Part>>,
}

impl BulkParts {
    /// Where the next byte goes.
    pub(super) fn end(&self) -> u64 {
        self.scratch.as_ref().map_or(0, Scratch::bytes)
    }

    /// Appends bytes of the part that is arriving.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        open: impl FnOnce() -> Result<Scratch, Error>,
    ) -> Result<(), Error> {
        let scratch = match &mut self.scratch {
            Some(scratch) => scratch,
            none => none.insert(open()?),
        };
        scratch.write(bytes)
    }

    /// A part came whole.
    pub(super) fn add(&mut self, key: Key, part: Part) {
        self.parts.entry(key).or_default().push(part);
    }

    /// The parts of a resource, in the order they came.
    pub(super) fn of(&self, key: &Key) -> &[Part] {
        self.parts.get(key).map_or(&[], Vec::as_slice)
    }

    /// Nobody needs these parts any more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.parts.remove(key);
        if self.parts.is_empty()
            && let Some(scratch) = &mut self.scratch
        {
            scratch.clear();
        }
    }

    /// How many parts nobody has taken.
    pub(super) fn left(&self) -> usize {
        self.parts.values().map(Vec::len).sum()
    }

    /// The bytes of all parts; `None` as long as none have come.
    pub(super) fn scratch(&self) -> Option<&Scratch> {
        self.scratch.as_ref()
    }
}
