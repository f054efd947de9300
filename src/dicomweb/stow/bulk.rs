//! The bulk parts of a request, on their way to the instances that name them. Of each, memory holds
//! a few numbers; its bytes lie in the archive's scratch.

use std::collections::HashMap;

use super::PARTS_MAX;
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

/// The parts of one resource.
#[derive(Default)]
struct Resource {
    parts: Vec<Part>,
    bytes: u64,
    /// Whether an object was made of it.
    is_used: bool,
}

/// All parts that no instance has taken yet.
#[derive(Default)]
pub(super) struct BulkParts {
    /// Made with the first bytes.
    scratch: Option<Scratch>,
    resources: HashMap<Key, Resource>,
    /// Parts and bytes that went into objects again, after the first time.
    repeated: (u64, u64),
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
        let resource = self.resources.entry(key).or_default();
        resource.bytes = resource.bytes.saturating_add(part.length);
        resource.parts.push(part);
    }

    /// The parts of a resource, in the order they came.
    pub(super) fn of(&self, key: &Key) -> &[Part] {
        self.resources
            .get(key)
            .map_or(&[], |resource| resource.parts.as_slice())
    }

    /// The bytes of the parts of a resource together.
    pub(super) fn bytes_of(&self, key: &Key) -> u64 {
        self.resources.get(key).map_or(0, |resource| resource.bytes)
    }

    /// Notes that an object names a resource so many times. `false` when what is named again would
    /// come to more than `bytes_max`, or more than a request may hold parts: a small request must
    /// not make us write, and read, without end.
    pub(super) fn note_use(&mut self, key: &Key, times: u64, bytes_max: u64) -> bool {
        let Some(resource) = self.resources.get_mut(key) else {
            return true;
        };
        let again = times.saturating_sub(u64::from(!resource.is_used));
        resource.is_used = true;
        let (parts, bytes) = self.repeated;
        let parts = parts.saturating_add(again.saturating_mul(resource.parts.len() as u64));
        let bytes = bytes.saturating_add(again.saturating_mul(resource.bytes));
        let is_bounded = again == 0 || (parts <= PARTS_MAX as u64 && bytes <= bytes_max);
        if is_bounded {
            self.repeated = (parts, bytes);
        }
        is_bounded
    }

    /// Nobody needs these parts any more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.resources.remove(key);
        if self.resources.is_empty()
            && let Some(scratch) = &mut self.scratch
        {
            scratch.clear();
        }
    }

    /// How many parts nobody has taken.
    pub(super) fn left(&self) -> usize {
        self.resources
            .values()
            .map(|resource| resource.parts.len())
            .sum()
    }

    /// The bytes of all parts; `None` as long as none have come.
    pub(super) fn scratch(&self) -> Option<&Scratch> {
        self.scratch.as_ref()
    }
}
