//! What is kept of a header beside its searchable columns, as one compressed body: the prepared
//! metadata first (that is what viewers fetch), then the rest as JSON, then, for instances in
//! quarantine, the frame map. Attributes go by tag, so a body outlives changes of the tables.
//!
//! A body may be compressed against a pattern, the plain text of a body that is much like it: then
//! it takes what differs, and only that pattern opens it again.

use std::cell::RefCell;

use dicom_core::{Tag, VR};
use serde::{Deserialize, Serialize};
use zstd::zstd_safe::{self, CCtx, CDict, DCtx};

use crate::archive::index::{Difference, Door, Made, NewInstance, Origin};
use crate::archive::{Error, Locator};
use crate::dicom::attributes::SequenceValue;
use crate::dicom::header::BulkValue;
use crate::dicom::{AttributeId, AttributeValues, FrameMap, Header, SEQUENCES, Uid};

/// The first byte of a body: metadata, record and frame map in one zstd frame.
const FORMAT: u8 = 1;
/// Format and three lengths.
const PREFIX_BYTES: usize = 13;
/// Fast, and within a few percent of what higher levels make of 4 KB of JSON.
const LEVEL: i32 = 3;
/// No body of ours is longer than this when unpacked; a longer one is damaged. Bytes.
const UNPACKED_BYTES_MAX: usize = 1 << 30;

// Made once a thread: making one costs more than packing one instance.
thread_local! {
    static COMPRESSOR: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static DECOMPRESSOR: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// The rest of a header, in a form that can be written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Tag, value.
    attributes: Vec<(u32, Box<str>)>,
    /// Sequence, item, attribute, value.
    sequences: Vec<(u32, u32, u32, Box<str>)>,
    /// Sequence, its `Value` array.
    sequence_json: Vec<(u32, Box<str>)>,
    bulk: Vec<BulkRecord>,
    dataset_bytes: u64,
    /// BLAKE3 of the data set as it arrived, where it was coerced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received_digest: Option<[u8; 32]>,
    /// Only in quarantine, where no columns hold it.
    held: Option<HeldRecord>,
}

/// Path, VR, span.
type BulkRecord = (Box<str>, Box<str>, Option<(u64, u64)>);

/// What the columns of `instance` hold of a stored instance.
#[derive(Debug, Serialize, Deserialize)]
struct HeldRecord {
    sop_class_uid: Box<str>,
    sop_instance_uid: Box<str>,
    study_instance_uid: Box<str>,
    series_instance_uid: Box<str>,
    transfer_syntax_uid: Box<str>,
    locator: (u64, u64, u64),
    dataset_offset: u32,
    digest: [u8; 32],
    origin: (u8, Box<str>, Box<str>),
    received_at_ms: i64,
}

/// The parts of a body, unpacked.
pub(super) struct Parts {
    pub(super) metadata: Vec<u8>,
    pub(super) record: Record,
    frames: Vec<u8>,
}

/// A tag as one number.
pub(super) fn tag_number(tag: Tag) -> u32 {
    u32::from(tag.0) << 16 | u32::from(tag.1)
}

fn tag_of(number: u32) -> Tag {
    let [a, b, c, d] = number.to_be_bytes();
    Tag(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// The position in [`SEQUENCES`] of the sequence with this tag.
pub(super) fn sequence_position(number: u32) -> Option<u8> {
    let tag = tag_of(number);
    u8::try_from(SEQUENCES.iter().position(|s| s.tag == tag)?).ok()
}

/// The number of a door in the database and in bodies.
pub(super) fn door_number(door: Door) -> u8 {
    match door {
        Door::Dimse => 0,
        Door::Stow => 1,
        Door::Import => 2,
        Door::Case => 3,
    }
}

/// The door with this number.
pub(super) fn door_of(number: u8) -> Result<Door, Error> {
    match number {
        0 => Ok(Door::Dimse),
        1 => Ok(Door::Stow),
        2 => Ok(Door::Import),
        3 => Ok(Door::Case),
        _ => Err(Error::broken("reading the index", "unknown door")),
    }
}

/// A UID from the database.
pub(super) fn uid(text: &str) -> Result<Uid, Error> {
    Uid::parse(text).map_err(|e| Error::broken("reading the index", e))
}

/// A body before it is compressed.
pub(super) struct Plain {
    lengths: [usize; 3],
    pub(super) bytes: Vec<u8>,
}

/// The body of a stored instance: metadata and record.
pub(super) fn plain_stored(new: &NewInstance) -> Result<Plain, Error> {
    plain(new, None, &[])
}

/// The body of an instance in quarantine: everything.
pub(super) fn pack_held(new: &NewInstance) -> Result<Vec<u8>, Error> {
    let header = &new.header;
    let held = HeldRecord {
        sop_class_uid: header.sop_class_uid.as_str().into(),
        sop_instance_uid: header.sop_instance_uid.as_str().into(),
        study_instance_uid: header.study_instance_uid.as_str().into(),
        series_instance_uid: header.series_instance_uid.as_str().into(),
        transfer_syntax_uid: new.transfer_syntax_uid.as_str().into(),
        locator: (new.locator.file, new.locator.offset, new.locator.length),
        dataset_offset: new.dataset_offset,
        digest: new.digest,
        origin: (
            door_number(new.origin.door),
            new.origin.sender.clone(),
            new.origin.peer.clone(),
        ),
        received_at_ms: new.received_at_ms,
    };
    plain(new, Some(held), &header.frames.encode())?.pack(&Against::Text(&[]))
}

fn plain(new: &NewInstance, held: Option<HeldRecord>, frames: &[u8]) -> Result<Plain, Error> {
    let header = &new.header;
    let received_digest = (new.received_digest != new.digest).then_some(new.received_digest);
    let record = Record {
        // A stored instance has it in a column.
        received_digest: received_digest.filter(|_| held.is_some()),
        attributes: header
            .attributes
            .iter()
            .map(|(id, v)| (tag_number(id.attribute().tag), v.into()))
            .collect(),
        sequences: header
            .sequences
            .iter()
            .filter_map(sequence_record)
            .collect(),
        sequence_json: header
            .sequence_json
            .iter()
            .filter_map(|(at, json)| {
                Some((
                    tag_number(SEQUENCES.get(usize::from(*at))?.tag),
                    json.clone(),
                ))
            })
            .collect(),
        bulk: header
            .bulk
            .iter()
            .map(|b| (b.path.clone(), b.vr.to_string().into(), b.span))
            .collect(),
        dataset_bytes: header.dataset_bytes,
        held,
    };
    let record = serde_json::to_vec(&record).map_err(|e| Error::broken("writing a record", e))?;
    Ok(Plain {
        lengths: [header.metadata.len(), record.len(), frames.len()],
        bytes: [header.metadata.as_slice(), &record, frames].concat(),
    })
}

/// What a body is compressed against.
pub(super) enum Against<'a> {
    /// A text, read anew each time; an empty one is none.
    Text(&'a [u8]),
    /// One that was made ready.
    Ready(&'a CDict<'static>),
}

impl Plain {
    /// The body, compressed against a pattern.
    pub(super) fn pack(&self, pattern: &Against<'_>) -> Result<Vec<u8>, Error> {
        let packed = compress(&self.bytes, pattern)?;
        let mut body = Vec::with_capacity(PREFIX_BYTES + packed.len());
        body.push(FORMAT);
        for part in self.lengths {
            let length = u32::try_from(part).map_err(|e| Error::broken("writing a record", e))?;
            body.extend_from_slice(&length.to_le_bytes());
        }
        body.extend_from_slice(&packed);
        Ok(body)
    }
}

/// A pattern as it is kept.
pub(super) fn pack_pattern(pattern: &[u8]) -> Result<Vec<u8>, Error> {
    compress(pattern, &Against::Text(&[]))
}

/// A pattern made ready for many bodies.
pub(super) fn ready(pattern: &[u8]) -> CDict<'static> {
    zstd_safe::create_cdict(pattern, LEVEL)
}

/// A pattern out of the store; none is longer than `bytes_max`.
pub(super) fn unpack_pattern(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::with_capacity(bytes_max);
    decompress(packed, &[], &mut plain)?;
    Ok(plain)
}

fn sequence_record(value: &SequenceValue) -> Option<(u32, u32, u32, Box<str>)> {
    let sequence = SEQUENCES.get(usize::from(value.sequence))?;
    let (tag, _, _) = sequence.items.get(usize::from(value.attribute))?;
    Some((
        tag_number(sequence.tag),
        value.item,
        tag_number(*tag),
        value.value.clone(),
    ))
}

/// How long a body is when it is unpacked.
pub(super) fn unpacked_length(body: &[u8]) -> Result<usize, Error> {
    Ok(prefix(body)?.0.iter().sum())
}

/// The prepared metadata alone.
pub(super) fn metadata(body: &[u8], pattern: &[u8]) -> Result<Vec<u8>, Error> {
    let (lengths, mut plain) = unpack_plain(body, pattern)?;
    plain.truncate(lengths[0]);
    Ok(plain)
}

/// The same, unpacked into a buffer that is used again.
pub(super) fn metadata_in<'a>(
    body: &[u8],
    pattern: &[u8],
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], Error> {
    let lengths = unpack_into(body, pattern, buffer)?;
    Ok(&buffer[..lengths[0]])
}

/// All parts of a body.
pub(super) fn unpack(body: &[u8], pattern: &[u8]) -> Result<Parts, Error> {
    let (lengths, mut plain) = unpack_plain(body, pattern)?;
    let frames = plain.split_off(lengths[0] + lengths[1]);
    let record = serde_json::from_slice(&plain[lengths[0]..]).map_err(damaged)?;
    plain.truncate(lengths[0]);
    Ok(Parts {
        metadata: plain,
        record,
        frames,
    })
}

/// The lengths of the parts, and the parts still packed.
fn prefix(body: &[u8]) -> Result<([usize; 3], &[u8]), Error> {
    let (prefix, packed) = body
        .split_at_checked(PREFIX_BYTES)
        .ok_or_else(|| damaged("cut off"))?;
    if prefix[0] != FORMAT {
        return Err(damaged("unknown format"));
    }
    let mut lengths = [0; 3];
    for (length, bytes) in lengths.iter_mut().zip(prefix[1..].chunks_exact(4)) {
        *length = u32::from_le_bytes(bytes.try_into().expect("chunks of four")) as usize;
    }
    Ok((lengths, packed))
}

fn unpack_plain(body: &[u8], pattern: &[u8]) -> Result<([usize; 3], Vec<u8>), Error> {
    let mut plain = Vec::new();
    let lengths = unpack_into(body, pattern, &mut plain)?;
    Ok((lengths, plain))
}

fn unpack_into(body: &[u8], pattern: &[u8], plain: &mut Vec<u8>) -> Result<[usize; 3], Error> {
    let (lengths, packed) = prefix(body)?;
    let total = lengths.iter().sum();
    if total > UNPACKED_BYTES_MAX {
        return Err(damaged("too long"));
    }
    plain.clear();
    plain.reserve(total);
    decompress(packed, pattern, plain)?;
    if plain.len() == total {
        Ok(lengths)
    } else {
        Err(damaged("lengths differ"))
    }
}

fn damaged(cause: impl std::fmt::Display) -> Error {
    Error::broken("reading a metadata body", cause)
}

fn compress(plain: &[u8], pattern: &Against<'_>) -> Result<Vec<u8>, Error> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    COMPRESSOR
        .with_borrow_mut(|context| match pattern {
            Against::Text(text) => context.compress_using_dict(&mut packed, plain, text, LEVEL),
            Against::Ready(ready) => context.compress_using_cdict(&mut packed, plain, ready),
        })
        .map_err(|code| Error::broken("compressing metadata", zstd_safe::get_error_name(code)))?;
    Ok(packed)
}

/// Fills what is reserved of a buffer.
fn decompress(packed: &[u8], pattern: &[u8], plain: &mut Vec<u8>) -> Result<(), Error> {
    DECOMPRESSOR
        .with_borrow_mut(|context| context.decompress_using_dict(plain, packed, pattern))
        .map_err(|code| damaged(zstd_safe::get_error_name(code)))?;
    Ok(())
}

impl Record {
    /// BLAKE3 of the data set as it arrived; `digest` is that of the data set as it is kept.
    fn received_digest(&self, digest: [u8; 32]) -> [u8; 32] {
        self.received_digest.unwrap_or(digest)
    }

    /// The values of [`crate::dicom::ATTRIBUTES`]; rows that the table no longer has are left out.
    pub(super) fn attributes(&self) -> AttributeValues {
        let mut values = AttributeValues::default();
        for (tag, value) in &self.attributes {
            if let Some(id) = AttributeId::of_tag(tag_of(*tag)) {
                values.set(id, value.clone());
            }
        }
        values
    }

    /// The bulk values.
    pub(super) fn bulk(&self) -> Result<Vec<BulkValue>, Error> {
        let value = |(path, vr, span): &BulkRecord| {
            let vr: VR = vr.parse().map_err(|_| damaged("unknown VR"))?;
            Ok(BulkValue {
                path: path.clone(),
                vr,
                span: *span,
            })
        };
        self.bulk.iter().map(value).collect()
    }

    /// The values inside of indexed sequences.
    pub(super) fn sequences(&self) -> Vec<SequenceValue> {
        let value = |(sequence, item, tag, value): &(u32, u32, u32, Box<str>)| {
            let at = sequence_position(*sequence)?;
            let tag = tag_of(*tag);
            let attribute = SEQUENCES[usize::from(at)]
                .items
                .iter()
                .position(|(t, _, _)| *t == tag)?;
            let attribute = u8::try_from(attribute).ok()?;
            Some(SequenceValue {
                sequence: at,
                item: *item,
                attribute,
                value: value.clone(),
            })
        };
        self.sequences.iter().filter_map(value).collect()
    }

    /// Indexed sequences as they are answered with.
    pub(super) fn sequence_json(&self) -> Vec<(u8, Box<str>)> {
        let json = self.sequence_json.iter();
        json.filter_map(|(tag, json)| Some((sequence_position(*tag)?, json.clone())))
            .collect()
    }
}

/// Identity that a header needs and a record has not.
pub(super) struct Identity {
    pub(super) sop_class_uid: Uid,
    pub(super) sop_instance_uid: Uid,
    pub(super) study_instance_uid: Uid,
    pub(super) series_instance_uid: Uid,
}

/// The header again, as it was taken in.
pub(super) fn header(parts: Parts, identity: Identity, frames: FrameMap) -> Result<Header, Error> {
    let Parts {
        metadata, record, ..
    } = parts;
    Ok(Header {
        sop_class_uid: identity.sop_class_uid,
        sop_instance_uid: identity.sop_instance_uid,
        study_instance_uid: identity.study_instance_uid,
        series_instance_uid: identity.series_instance_uid,
        attributes: record.attributes(),
        sequences: record.sequences(),
        sequence_json: record.sequence_json(),
        frames,
        bulk: record.bulk()?,
        metadata,
        dataset_bytes: record.dataset_bytes,
    })
}

/// An instance out of a quarantine body.
pub(super) fn unpack_held(body: &[u8]) -> Result<NewInstance, Error> {
    let mut parts = unpack(body, &[])?;
    let held = parts
        .record
        .held
        .take()
        .ok_or_else(|| damaged("not of quarantine"))?;
    let received_digest = parts.record.received_digest(held.digest);
    let frames = decode_frames(&parts.frames)?;
    let identity = Identity {
        sop_class_uid: uid(&held.sop_class_uid)?,
        sop_instance_uid: uid(&held.sop_instance_uid)?,
        study_instance_uid: uid(&held.study_instance_uid)?,
        series_instance_uid: uid(&held.series_instance_uid)?,
    };
    let (file, offset, length) = held.locator;
    let (door, sender, peer) = held.origin;
    Ok(NewInstance {
        header: header(parts, identity, frames)?,
        transfer_syntax_uid: uid(&held.transfer_syntax_uid)?,
        locator: Locator {
            file,
            offset,
            length,
        },
        dataset_offset: held.dataset_offset,
        digest: held.digest,
        received_digest,
        origin: Origin {
            door: door_of(door)?,
            sender,
            peer,
        },
        received_at_ms: held.received_at_ms,
        made: Made::default(),
    })
}

#[derive(Serialize, Deserialize)]
struct DifferenceRecord(Box<str>, Option<Box<str>>, Option<Box<str>>);

/// Differences as JSON.
pub(super) fn pack_differences(differences: &[Difference]) -> Result<String, Error> {
    let records: Vec<_> = differences
        .iter()
        .map(|d| DifferenceRecord(d.path.clone(), d.held.clone(), d.newcomer.clone()))
        .collect();
    serde_json::to_string(&records).map_err(|e| Error::broken("writing differences", e))
}

/// Differences from JSON.
pub(super) fn unpack_differences(text: &str) -> Result<Vec<Difference>, Error> {
    let records: Vec<DifferenceRecord> =
        serde_json::from_str(text).map_err(|e| Error::broken("reading differences", e))?;
    Ok(records
        .into_iter()
        .map(|DifferenceRecord(path, held, newcomer)| Difference {
            path,
            held,
            newcomer,
        })
        .collect())
}

/// A frame map out of the store.
pub(super) fn decode_frames(bytes: &[u8]) -> Result<FrameMap, Error> {
    FrameMap::decode(bytes)
        .ok_or_else(|| Error::broken("reading the index", "a frame map is damaged"))
}
