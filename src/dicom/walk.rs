//! One bounded, resumable walk over an encoded data set (PS3.5 §7), fed in pieces of any size.
//! What the index, the metadata and the frame map need to know are visitors of this one walk:
//! nothing else in the house parses a data set.
//!
//! [`Walker`] reads the encoding, [`Inflater`] stands before it when the transfer syntax is
//! deflated, and `dictionary` tells what Implicit VR leaves out.

use dicom_core::{Tag, VR};

mod dictionary;
mod inflate;
mod level;
mod syntax;
mod walker;

pub use inflate::Inflater;
pub use walker::Walker;

pub(crate) use dictionary::{Meaning, look_up};
pub(crate) use syntax::{is_long, plausible_elements, read_header};

/// The byte order of a data set's binary values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Little endian: every transfer syntax in use.
    Little,
    /// Explicit VR Big Endian (retired).
    Big,
}

impl ByteOrder {
    /// The number in two bytes.
    #[must_use]
    pub fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    /// The number in four bytes.
    #[must_use]
    pub fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The number in eight bytes.
    #[must_use]
    pub fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// How the elements of a data set are encoded (PS3.5 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// Whether each element names its value representation.
    pub explicit: bool,
    /// The byte order.
    pub order: ByteOrder,
}

/// What an element says of itself, and where its value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElementHead {
    /// Its tag.
    pub tag: Tag,
    /// Its value representation: as encoded, or from the dictionary under Implicit VR; `UN` when unknown.
    pub vr: VR,
    /// The first byte of the value, counted from the first byte of the (inflated) data set.
    pub offset: u64,
    /// The length of the value in bytes, padding included.
    pub length: u64,
}

/// The value of an element.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// All of it, as encoded.
    Bytes(&'a [u8]),
    /// Longer than [`Limits::value_bytes_max`]: it went by and is not in memory.
    Outside,
}

/// Who looks at a data set while it is walked. Calls come in the order of the bytes; starts and
/// ends are balanced. An error ends the walk.
pub trait Visitor {
    /// An element that is neither sequence nor encapsulated pixel data.
    fn element(
        &mut self,
        head: &ElementHead,
        value: Value<'_>,
        order: ByteOrder,
    ) -> Result<(), Fault>;
    /// A sequence begins.
    fn sequence_start(&mut self, tag: Tag) -> Result<(), Fault>;
    /// An item of the innermost sequence begins.
    fn item_start(&mut self) -> Result<(), Fault>;
    /// That item ends.
    fn item_end(&mut self) -> Result<(), Fault>;
    /// The innermost sequence ends.
    fn sequence_end(&mut self) -> Result<(), Fault>;
    /// Encapsulated pixel data begins (PS3.5 §A.4); `offset_table` is the Basic Offset Table, often empty.
    fn fragments_start(&mut self, tag: Tag, vr: VR, offset_table: &[u8]) -> Result<(), Fault>;
    /// A fragment, without its item header; `start` is its first 16 bytes, or all when shorter.
    fn fragment(&mut self, offset: u64, length: u64, start: &[u8]) -> Result<(), Fault>;
    /// Encapsulated pixel data ends.
    fn fragments_end(&mut self) -> Result<(), Fault>;
    /// The next bytes of the value that was [`Value::Outside`], or of the fragment, as they go by.
    fn piece(&mut self, _bytes: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
    /// The header of an element of the data set itself, sequences too, begins at byte `at`. Comes
    /// before anything else of the element; may come again for the same byte.
    fn root_element(&mut self, _tag: Tag, _at: u64) -> Result<(), Fault> {
        Ok(())
    }
}

/// What is believed of a data set before its bytes have arrived. Set from `[ingest]`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest value that is kept in memory and given to visitors, in bytes.
    pub value_bytes_max: u32,
    /// The deepest nesting of sequences.
    pub depth_max: u32,
    /// The largest prepared metadata of one instance, in bytes of JSON.
    pub metadata_bytes_max: u64,
    /// The most fragments or frames of one instance.
    pub fragments_max: u32,
    /// The largest object, in bytes; a deflated one is held to it inflated too.
    pub object_bytes_max: u64,
    /// Binary values up to this length stand in the metadata as `InlineBinary`, longer ones as `BulkDataURI`.
    pub inline_bytes_max: u32,
}

/// Why a data set cannot be understood. Texts hold tags and numbers, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes end inside an element, an item or the pixel data.
    #[error("the data set is cut off at byte {at}")]
    Truncated {
        /// Where the bytes ended.
        at: u64,
    },
    /// Something that no reader can make sense of.
    #[error("the data set is unreadable at byte {at}: {what}")]
    Unreadable {
        /// Where.
        at: u64,
        /// What, in words.
        what: &'static str,
    },
    /// A bound from the configuration.
    #[error("the data set exceeds {limit} = {max}")]
    TooLarge {
        /// The key of the limit in the configuration.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// One of the four identifying UIDs is missing or malformed.
    #[error("{keyword} is {problem}")]
    Identity {
        /// The attribute.
        keyword: &'static str,
        /// `missing`, or what is wrong with it.
        problem: &'static str,
    },
}
