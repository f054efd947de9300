//! One object made of its metadata and its bulk parts: completed, encoded as it goes, and written to
//! the archive without ever being whole in memory. A part that is missing fails the instance; no
//! URI is ever followed.

use dicom_core::{Tag, VR};

use super::bulk::{BulkParts, Kind, Part};
use super::commits::Commits;
use super::location::key_of;
use super::pixels::{self, Pixels};
use crate::archive::{Error, Incoming, Scratch};
use crate::dicom::dataset::{Element, ParseError, Value};
use crate::dicom::encode::{self, EncodeError, Offsets, Piece};
use crate::dicom::transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN;
use crate::dicom::{Dataset, Uid};
use crate::imaging::codestream;
use crate::imaging::pixel_module::{self, Mismatch};

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
/// The tables that belong to encapsulated pixel data; we make our own.
const OFFSET_TABLES: [Tag; 2] = [Tag(0x7FE0, 0x0001), Tag(0x7FE0, 0x0002)];
const DOCUMENT: Tag = Tag(0x0042, 0x0011);
const DOCUMENT_TYPE: Tag = Tag(0x0042, 0x0012);
const DOCUMENT_LENGTH: Tag = Tag(0x0042, 0x0015);
/// So much is copied at a time. Bytes.
const COPY_BYTES: usize = 128 * 1024;

/// Why no object can be made of what came. Texts hold tags and names, never values.
#[derive(Debug, thiserror::Error)]
pub(in crate::dicomweb) enum Flaw {
    /// The metadata cannot be read.
    #[error("{0}")]
    Metadata(#[from] ParseError),
    /// An attribute names bulk data that no part brought.
    #[error("the request has no part for the bulk data of {0}")]
    Missing(Tag),
    /// Bulk data where none can be.
    #[error("{0} cannot be bulk data")]
    NoBulk(Tag),
    /// The parts of one attribute do not go together.
    #[error("bulk data: {0}")]
    Parts(&'static str),
    /// A media type that does not go with the attribute.
    #[error("the media type of a part does not go with its attribute")]
    MediaType,
    /// A transfer syntax that is not taken.
    #[error("the transfer syntax of a part is not supported")]
    TransferSyntax,
    /// The codestream is not what its part says.
    #[error("the codestream is not of the transfer syntax or media type that its part names")]
    NotThatSyntax,
    /// The codestream cannot be described.
    #[error("{0}")]
    Codestream(#[from] codestream::Fault),
    /// Metadata and pixel data do not go together.
    #[error("{0}")]
    Pixels(#[from] Mismatch),
    /// DICOM has no way to encode it.
    #[error("{0}")]
    Encode(#[from] EncodeError),
    /// A part that no attribute names, or that cannot be told from others.
    #[error("a part {0}")]
    Part(&'static str),
    /// The archive does not take it.
    #[error("{0}")]
    Archive(#[from] Error),
}

impl Flaw {
    pub(super) fn too_large(max: u64) -> Self {
        let limit = "ingest.object_bytes_max";
        Self::Archive(Error::TooLarge { limit, max })
    }
}

/// Where the bytes come from.
struct Source<'a> {
    bulk: &'a BulkParts,
    request_url: &'a str,
}

/// Makes the object and writes it. What is returned only has to be handed over.
pub(super) fn compose(
    mut dataset: Dataset,
    bulk: &BulkParts,
    request_url: &str,
    commits: &Commits,
) -> Result<Incoming, Flaw> {
    let source = Source { bulk, request_url };
    let behind = take_behind(&mut dataset);
    let pixels = source.pixels(&mut dataset, commits)?;
    source.document(&mut dataset)?;
    let transfer_syntax = pixels
        .as_ref()
        .map_or(EXPLICIT_VR_LITTLE_ENDIAN, |pixels| pixels.transfer_syntax);
    let transfer_syntax = Uid::parse(transfer_syntax).map_err(|_| Flaw::TransferSyntax)?;
    let mut incoming = commits.begin_dataset(&transfer_syntax)?;
    source.write(&dataset, &mut incoming)?;
    if let Some(pixels) = pixels {
        write_pixels(&pixels, bulk, &mut incoming)?;
    }
    source.write(&behind, &mut incoming)?;
    Ok(incoming)
}

/// Takes out what stands behind Pixel Data.
fn take_behind(dataset: &mut Dataset) -> Dataset {
    let tags: Vec<Tag> = dataset
        .iter()
        .map(|element| element.tag)
        .filter(|tag| *tag > PIXEL_DATA)
        .collect();
    let mut behind = Dataset::default();
    for tag in tags {
        if let Some(element) = dataset.remove(tag) {
            behind.set(element);
        }
    }
    behind
}

impl Source<'_> {
    /// The parts that a URI names.
    fn parts(&self, tag: Tag, uri: &str) -> Result<(Vec<Part>, &Scratch), Flaw> {
        let (key, frame) = key_of(self.request_url, uri);
        let parts: Vec<Part> = self
            .bulk
            .of(&key)
            .iter()
            .filter(|part| frame.is_none() || part.frame == frame)
            .cloned()
            .map(|part| Part {
                // Named by its number, it is the whole.
                frame: part.frame.filter(|_| frame.is_none()),
                ..part
            })
            .collect();
        match self.bulk.scratch() {
            Some(scratch) if !parts.is_empty() => Ok((parts, scratch)),
            _ => Err(Flaw::Missing(tag)),
        }
    }

    /// The one part that a URI names.
    fn part(&self, tag: Tag, uri: &str) -> Result<(Part, &Scratch), Flaw> {
        let (key, frame) = key_of(self.request_url, uri);
        let parts = self.bulk.of(&key).iter();
        let mut named = parts.filter(|part| frame.is_none() || part.frame == frame);
        match (named.next(), named.next(), self.bulk.scratch()) {
            (Some(part), None, Some(scratch)) => Ok((part.clone(), scratch)),
            (Some(_), Some(_), _) => Err(Flaw::Parts("several parts have the same location")),
            _ => Err(Flaw::Missing(tag)),
        }
    }

    /// Takes Pixel Data out of the data set when they are bulk data, and completes what describes them.
    fn pixels(&self, dataset: &mut Dataset, commits: &Commits) -> Result<Option<Pixels>, Flaw> {
        let Some(element) = dataset.get(PIXEL_DATA) else {
            return Ok(None);
        };
        match &element.value {
            Value::Bulk(uri) => {
                let (parts, scratch) = self.parts(PIXEL_DATA, uri)?;
                let said = element.vr;
                dataset.remove(PIXEL_DATA);
                for table in OFFSET_TABLES {
                    dataset.remove(table);
                }
                let mut pixels = pixels::make(dataset, &parts, scratch, commits.archive())?;
                // PS3.5 §A.2: words unless the samples are bytes and were said to be.
                pixels.vr = match pixel_module::bits_allocated(dataset) {
                    Some(..=8) if said != VR::OW => VR::OB,
                    _ => VR::OW,
                };
                Ok(Some(pixels))
            }
            Value::Bytes(bytes) => {
                if !bytes.is_empty() {
                    pixel_module::check_native(dataset, bytes.len() as u64)?;
                }
                Ok(None)
            }
            Value::Items(_) => Err(Flaw::NoBulk(PIXEL_DATA)),
        }
    }

    /// The media type of an Encapsulated Document is that of its part (PS3.18 §10.5.2).
    fn document(&self, dataset: &mut Dataset) -> Result<(), Flaw> {
        let Some(Value::Bulk(uri)) = dataset.get(DOCUMENT).map(|element| &element.value) else {
            return Ok(());
        };
        let (part, _) = self.part(DOCUMENT, uri)?;
        let said = dataset
            .text(DOCUMENT_TYPE)
            .map(str::trim)
            .filter(|said| !said.is_empty());
        match (part.kind, said) {
            (Kind::Octets, Some(_)) => {}
            (Kind::Octets, None) => {
                return Err(Mismatch::Missing("MIMETypeOfEncapsulatedDocument").into());
            }
            (Kind::Document(is), Some(said)) if said.eq_ignore_ascii_case(&is) => {}
            (Kind::Document(is), None) => {
                let mut value = is.as_bytes().to_vec();
                value.extend((value.len() % 2 == 1).then_some(b' '));
                set(dataset, DOCUMENT_TYPE, VR::LO, value);
            }
            _ => return Err(Mismatch::Contradicted("MIMETypeOfEncapsulatedDocument").into()),
        }
        let length =
            u32::try_from(part.length).map_err(|_| EncodeError::TooLong { tag: DOCUMENT })?;
        let length = length.to_le_bytes().to_vec();
        match dataset.get(DOCUMENT_LENGTH).map(|element| &element.value) {
            Some(Value::Bytes(said)) if !said.is_empty() && *said != length => {
                Err(Mismatch::Contradicted("EncapsulatedDocumentLength").into())
            }
            _ => {
                set(dataset, DOCUMENT_LENGTH, VR::UL, length);
                Ok(())
            }
        }
    }

    /// Writes a data set, bulk data in their places.
    fn write(&self, dataset: &Dataset, incoming: &mut Incoming) -> Result<(), Flaw> {
        for piece in encode::pieces(dataset)? {
            match piece {
                Piece::Bytes(bytes) => incoming.write(&bytes)?,
                Piece::Bulk { tag, vr, uri } => {
                    if vr == VR::SQ {
                        return Err(Flaw::NoBulk(tag));
                    }
                    let (part, scratch) = self.part(tag, uri)?;
                    if part.kind != Kind::Octets && tag != DOCUMENT {
                        return Err(Flaw::MediaType);
                    }
                    let mut head = Vec::new();
                    encode::element_head(&mut head, tag, vr, part.length)?;
                    incoming.write(&head)?;
                    copy(scratch, (part.start, part.length), incoming)?;
                    pad(part.length, encode::padding(vr), incoming)?;
                }
            }
        }
        Ok(())
    }
}

fn set(dataset: &mut Dataset, tag: Tag, vr: VR, value: Vec<u8>) {
    let value = Value::Bytes(value);
    dataset.set(Element { tag, vr, value });
}

fn write_pixels(pixels: &Pixels, bulk: &BulkParts, incoming: &mut Incoming) -> Result<(), Flaw> {
    let scratch = pixels.decoded.as_ref().or(bulk.scratch());
    let scratch = scratch.ok_or(Flaw::Missing(PIXEL_DATA))?;
    let lengths: Vec<u64> = pixels.spans.iter().map(|(_, length)| *length).collect();
    let mut head = Vec::new();
    if !pixels.is_encapsulated {
        let length = lengths.iter().sum();
        encode::element_head(&mut head, PIXEL_DATA, pixels.vr, length)?;
        incoming.write(&head)?;
        for span in &pixels.spans {
            copy(scratch, *span, incoming)?;
        }
        return pad(length, 0, incoming);
    }
    encode::fragments_start(&mut head, &Offsets::of_frames(&lengths))?;
    incoming.write(&head)?;
    for span in &pixels.spans {
        head.clear();
        encode::fragment_head(&mut head, span.1)?;
        incoming.write(&head)?;
        copy(scratch, *span, incoming)?;
        pad(span.1, 0, incoming)?;
    }
    head.clear();
    encode::fragments_end(&mut head);
    Ok(incoming.write(&head)?)
}

fn copy(from: &Scratch, (start, length): (u64, u64), to: &mut Incoming) -> Result<(), Flaw> {
    let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(length).unwrap_or(COPY_BYTES))];
    let mut done = 0;
    while done < length {
        let left = usize::try_from(length - done).unwrap_or(usize::MAX);
        let piece = left.min(buffer.len());
        from.read_at(start + done, &mut buffer[..piece])?;
        to.write(&buffer[..piece])?;
        done += piece as u64;
    }
    Ok(())
}

fn pad(length: u64, with: u8, to: &mut Incoming) -> Result<(), Flaw> {
    if length % 2 == 1 {
        to.write(&[with])?;
    }
    Ok(())
}
