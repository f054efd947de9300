//! What one pass over an arriving data set leaves behind: everything that index, search and
//! retrieve will ever need, so that nothing parses the object again.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use crate::dicom::attributes::SequenceValue;
use crate::dicom::frame_map::Collector;
use crate::dicom::json::{self, Builder};
use crate::dicom::rewrite::Swap;
use crate::dicom::transfer_syntax::Form;
use crate::dicom::walk::{ByteOrder, ElementHead, Fault, Inflater, Limits, Value, Visitor, Walker};
use crate::dicom::{AttributeValues, FrameMap, TransferSyntax, Uid};

/// Stands in [`Header::metadata`] where the base of every `BulkDataURI` belongs (for example
/// `https://host/dicom-web`). A control character, so it occurs nowhere else in valid JSON.
pub const BASE_MARK: u8 = 0x01;

/// The result of reading one data set from end to end.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// (0008,0016)
    pub sop_class_uid: Uid,
    /// (0008,0018)
    pub sop_instance_uid: Uid,
    /// (0020,000D)
    pub study_instance_uid: Uid,
    /// (0020,000E)
    pub series_instance_uid: Uid,
    /// The values of the indexed attributes.
    pub attributes: AttributeValues,
    /// The values inside indexed sequences.
    pub sequences: Vec<SequenceValue>,
    /// Per indexed sequence present (position in `SEQUENCES`): its DICOM JSON `Value` array, as text,
    /// with [`BASE_MARK`] as in the metadata.
    pub sequence_json: Vec<(u8, Box<str>)>,
    /// Where each frame lies.
    pub frames: FrameMap,
    /// Every value that the metadata gives as `BulkDataURI`.
    pub bulk: Vec<BulkValue>,
    /// One DICOM JSON object (PS3.18 §F.2) in UTF-8, with [`BASE_MARK`] before each `/studies/…` bulk data path.
    /// Of a video it names the transfer syntax too.
    pub metadata: Vec<u8>,
    /// The length of the data set as it arrived (deflated when the transfer syntax is).
    pub dataset_bytes: u64,
}

/// A value kept out of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkValue {
    /// Tags and item numbers (from 0), as in the URI: `7FE00010`, `52009230/3/00281201`.
    pub path: Box<str>,
    /// Its value representation.
    pub vr: VR,
    /// Where it lies in the (inflated) data set; `None` for encapsulated pixel data, whose parts are its frames.
    pub span: Option<(u64, u64)>,
}

/// A value of the data set itself that was asked for by its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootValue {
    /// Its tag.
    pub tag: Tag,
    /// Its value representation.
    pub vr: VR,
    /// Its bytes in little endian; `None` when it is too long to be kept.
    pub bytes: Option<Vec<u8>>,
}

/// Reads a data set as it arrives, once, in memory bounded by [`Limits`] whatever its size.
pub struct HeaderReader {
    inflater: Option<Inflater>,
    walker: Walker<Both>,
    bytes: u64,
    video_syntax: Option<&'static str>,
}

impl HeaderReader {
    /// Begins at the first byte of a data set.
    ///
    /// # Errors
    /// When the transfer syntax is not one of `TRANSFER_SYNTAXES`.
    pub fn new(transfer_syntax: &Uid, limits: &Limits) -> Result<Self, Fault> {
        let transfer_syntax =
            TransferSyntax::of_uid(transfer_syntax.as_str()).ok_or(Fault::Unreadable {
                at: 0,
                what: "the transfer syntax is not supported",
            })?;
        let both = Both {
            json: Builder::new(limits),
            frames: Collector::new(transfer_syntax),
            watched: Vec::new(),
            found: Vec::new(),
            depth: 0,
            is_pixel_data: false,
        };
        Ok(Self {
            inflater: (transfer_syntax.form == Form::Deflated)
                .then(|| Inflater::new(limits.object_bytes_max)),
            walker: Walker::new(transfer_syntax.encoding, limits, both),
            bytes: 0,
            video_syntax: transfer_syntax.is_video().then_some(transfer_syntax.uid),
        })
    }

    /// Takes the next bytes, as many or few as there are.
    ///
    /// # Errors
    /// When the data set is unreadable or exceeds a limit; nothing more can be fed then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.bytes += bytes.len() as u64;
        let walker = &mut self.walker;
        match &mut self.inflater {
            Some(inflater) => inflater.feed(bytes, |inflated| walker.feed(inflated)),
            None => walker.feed(bytes),
        }
    }

    /// Keeps the values of these tags, of which there are few.
    #[must_use]
    pub fn watching(mut self, tags: Vec<Tag>) -> Self {
        self.walker.visitor_mut().watched = tags;
        self
    }

    /// What has gone by of the values that are kept.
    pub fn found(&mut self) -> Vec<RootValue> {
        std::mem::take(&mut self.walker.visitor_mut().found)
    }

    /// What has gone by of the identity: SOP class, SOP instance, study, series.
    #[must_use]
    pub fn identity(&self) -> [Option<&Uid>; 4] {
        self.walker.visitor().json.identity()
    }

    /// Ends the data set.
    ///
    /// # Errors
    /// When it is cut off, or one of the four UIDs is missing or malformed.
    pub fn finish(self) -> Result<Header, Fault> {
        if let Some(inflater) = &self.inflater {
            inflater.finish()?;
        }
        let both = self.walker.finish()?;
        let mut built = both.json.finish()?;
        if let Some(uid) = self.video_syntax {
            // Whoever reads metadata alone, without File Meta, sees by nothing else that this is a
            // video, and would ask for frames that it does not have.
            let member = format!(r#"{{"vr":"UI","Value":["{uid}"]}}"#);
            json::add_member(
                &mut built.metadata,
                tags::AVAILABLE_TRANSFER_SYNTAX_UID,
                &member,
            );
        }
        Ok(Header {
            sop_class_uid: built.sop_class_uid,
            sop_instance_uid: built.sop_instance_uid,
            study_instance_uid: built.study_instance_uid,
            series_instance_uid: built.series_instance_uid,
            attributes: built.attributes,
            sequences: built.sequences,
            sequence_json: built.sequence_json,
            frames: both.frames.finish(),
            bulk: built.bulk,
            metadata: built.metadata,
            dataset_bytes: self.bytes,
        })
    }
}

/// Shows one walk to the metadata and, as far as the data set itself goes, to the frame map. Of an
/// attribute that stands twice both know the first only.
struct Both {
    json: Builder,
    frames: Collector,
    watched: Vec<Tag>,
    found: Vec<RootValue>,
    /// How many sequences are open.
    depth: u32,
    /// Whether the fragments going by are the data set's own pixel data.
    is_pixel_data: bool,
}

impl Visitor for Both {
    fn element(
        &mut self,
        head: &ElementHead,
        value: Value<'_>,
        order: ByteOrder,
    ) -> Result<(), Fault> {
        if self.depth == 0 && !self.json.has(head.tag) {
            self.frames.element(head, value, order);
            if self.watched.contains(&head.tag) {
                self.found.push(root_value(head, value, order));
            }
        }
        self.json.element(head, value, order)
    }

    fn sequence_start(&mut self, tag: Tag) -> Result<(), Fault> {
        self.depth += 1;
        self.json.sequence_start(tag)
    }

    fn item_start(&mut self) -> Result<(), Fault> {
        self.json.item_start()
    }

    fn item_end(&mut self) -> Result<(), Fault> {
        self.json.item_end()
    }

    fn sequence_end(&mut self) -> Result<(), Fault> {
        self.depth -= 1;
        self.json.sequence_end()
    }

    fn fragments_start(&mut self, tag: Tag, vr: VR, offset_table: &[u8]) -> Result<(), Fault> {
        let is_pixel_data = self.depth == 0 && tag == Tag(0x7FE0, 0x0010);
        self.is_pixel_data = is_pixel_data && !self.json.has(tag);
        if self.is_pixel_data {
            self.frames.fragments_start(offset_table);
        }
        self.json.fragments_start(tag, vr, offset_table)
    }

    fn fragment(&mut self, offset: u64, length: u64, start: &[u8]) -> Result<(), Fault> {
        if self.is_pixel_data {
            self.frames.fragment(offset, length, start);
        }
        self.json.fragment(offset, length, start)
    }

    fn fragments_end(&mut self) -> Result<(), Fault> {
        self.json.fragments_end()
    }
}

fn root_value(head: &ElementHead, value: Value<'_>, order: ByteOrder) -> RootValue {
    let bytes = match value {
        Value::Outside => None,
        Value::Bytes(bytes) => {
            let mut bytes = bytes.to_vec();
            if order == ByteOrder::Big {
                Swap::of_vr(head.vr).apply(&mut bytes);
            }
            Some(bytes)
        }
    };
    RootValue {
        tag: head.tag,
        vr: head.vr,
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::dicom::frame_map::Span;
    use crate::dicom::json::splice_base;
    use crate::dicom::transfer_syntax::{
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
    };

    const LIMITS: Limits = Limits {
        value_bytes_max: 1024,
        depth_max: 8,
        metadata_bytes_max: 1 << 16,
        fragments_max: 100,
        object_bytes_max: 1 << 20,
        inline_bytes_max: 64,
    };
    const IDENTITY: [&[u8]; 4] = [
        b"\x08\x00\x16\x00UI\x02\x001\x00",
        b"\x08\x00\x18\x00UI\x02\x002\x00",
        b"\x20\x00\x0D\x00UI\x02\x003\x00",
        b"\x20\x00\x0E\x00UI\x02\x004\x00",
    ];
    /// One image of 1 × 2 pixels of 8 bits, after an icon of its own in (0088,0200).
    const IMAGE: &[u8] = b"\x28\x00\x10\x00US\x02\x00\x01\x00\x28\x00\x11\x00US\x02\x00\x02\x00\
        \x28\x00\x00\x01US\x02\x00\x08\x00\
        \x88\x00\x00\x02SQ\x00\x00\x26\x00\x00\x00\xFE\xFF\x00\xE0\x1E\x00\x00\x00\
        \x28\x00\x10\x00US\x02\x00\x07\x00\xE0\x7F\x10\x00OB\x00\x00\x08\x00\x00\x0012345678\
        \xE0\x7F\x10\x00OB\x00\x00\x02\x00\x00\x00ab";

    fn read(transfer_syntax: &str, dataset: &[u8], piece: usize) -> Result<Header, Fault> {
        let mut reader = HeaderReader::new(&Uid::parse(transfer_syntax).unwrap(), &LIMITS)?;
        for piece in dataset.chunks(piece) {
            reader.feed(piece)?;
        }
        reader.finish()
    }

    #[test]
    fn a_data_set_leaves_identity_frames_and_metadata() {
        let plain = [&IDENTITY.concat()[..], IMAGE].concat();
        let header = read(EXPLICIT_VR_LITTLE_ENDIAN, &plain, 5).unwrap();
        let uids = [
            &header.sop_class_uid,
            &header.sop_instance_uid,
            &header.study_instance_uid,
            &header.series_instance_uid,
        ];
        assert_eq!(uids.map(Uid::as_str), ["1", "2", "3", "4"]);
        let span = Span {
            offset: plain.len() as u64 - 2,
            length: 2,
        };
        assert_eq!(
            header.frames,
            FrameMap::Native {
                span,
                frame_bits: 16,
                frames: 1
            }
        );
        assert_eq!(header.dataset_bytes, plain.len() as u64);

        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&plain).unwrap();
        let deflated = encoder.finish().unwrap();
        let inflated = read(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, &deflated, 3).unwrap();
        let dataset_bytes = deflated.len() as u64;
        assert_eq!(
            inflated,
            Header {
                dataset_bytes,
                ..header
            }
        );
        let cut = read(
            DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
            &deflated[..deflated.len() - 1],
            64,
        );
        assert!(matches!(cut, Err(Fault::Truncated { .. })));
    }

    #[test]
    fn bulk_data_in_an_indexed_sequence_is_linked_as_in_the_metadata() {
        // An item of (0040,0275) with 66 bytes in (0009,1001): more than stand inline here.
        let dataset = [
            &IDENTITY.concat()[..],
            b"\x40\x00\x75\x02SQ\x00\x00\x56\x00\x00\x00\xFE\xFF\x00\xE0\x4E\x00\x00\x00",
            b"\x09\x00\x01\x10OB\x00\x00\x42\x00\x00\x00",
            &[7; 66],
        ]
        .concat();
        let header = read(EXPLICIT_VR_LITTLE_ENDIAN, &dataset, 5).unwrap();
        let items = "[{\"00091001\":{\"vr\":\"OB\",\"BulkDataURI\":\"\u{1}/studies/3/series/4/instances/2/bulkdata/00400275/0/00091001\"}}]";
        assert_eq!(header.sequence_json, [(0, items.into())]);
        let mut answer = Vec::new();
        splice_base(items.as_bytes(), "http://host", &mut answer);
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            answer[0]["00091001"]["BulkDataURI"],
            "http://host/studies/3/series/4/instances/2/bulkdata/00400275/0/00091001"
        );
    }

    #[test]
    fn of_what_stands_twice_frames_and_metadata_know_the_first() {
        let plain = [&IDENTITY.concat()[..], IMAGE].concat();
        let once = read(EXPLICIT_VR_LITTLE_ENDIAN, &plain, 64).unwrap();
        // Columns again (out of order, at once, and after that), and native pixel data again.
        let again = b"\x28\x00\x11\x00US\x02\x00\x01\x00";
        let pixels = b"\xE0\x7F\x10\x00OB\x00\x00\x02\x00\x00\x00cd";
        let twice = [&plain[..], again, pixels, again].concat();
        let header = read(EXPLICIT_VR_LITTLE_ENDIAN, &twice, 64).unwrap();
        assert_eq!(header.frames, once.frames);
        assert_eq!(header.metadata, once.metadata);
        assert_eq!(header.bulk, once.bulk);

        // Encapsulated pixel data, twice: two fragments of the first are the frames.
        let fragments = |length: u8| {
            let mut bytes = b"\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF\
                \xFE\xFF\x00\xE0\x00\x00\x00\x00"
                .to_vec();
            bytes.extend_from_slice(b"\xFE\xFF\x00\xE0");
            bytes.extend_from_slice(&[length, 0, 0, 0]);
            bytes.extend(std::iter::repeat_n(7, usize::from(length)));
            bytes.extend_from_slice(b"\xFE\xFF\xDD\xE0\x00\x00\x00\x00");
            bytes
        };
        const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
        let one = [IDENTITY.concat(), fragments(2)].concat();
        let two = [&one[..], &fragments(4)].concat();
        let one = read(JPEG_BASELINE, &one, 64).unwrap();
        let two = read(JPEG_BASELINE, &two, 64).unwrap();
        assert_eq!((one.frames.len(), &one.frames), (1, &two.frames));
        assert_eq!(one.bulk, two.bulk);
    }

    #[test]
    fn identity_is_the_root_s_and_must_be_whole() {
        let keywords = [
            "SOPClassUID",
            "SOPInstanceUID",
            "StudyInstanceUID",
            "SeriesInstanceUID",
        ];
        for (missing, keyword) in keywords.into_iter().enumerate() {
            let mut parts = IDENTITY.to_vec();
            parts.remove(missing);
            let fault = read(EXPLICIT_VR_LITTLE_ENDIAN, &parts.concat(), 64).unwrap_err();
            assert_eq!(
                fault,
                Fault::Identity {
                    keyword,
                    problem: "missing"
                }
            );
        }
        // A SOP Instance UID inside an item does not count.
        let nested = [
            IDENTITY[0],
            b"\x08\x00\x40\x11SQ\x00\x00\x12\x00\x00\x00\xFE\xFF\x00\xE0\x0A\x00\x00\x00",
            IDENTITY[1],
            IDENTITY[2],
            IDENTITY[3],
        ];
        let fault = read(EXPLICIT_VR_LITTLE_ENDIAN, &nested.concat(), 64).unwrap_err();
        assert_eq!(
            fault,
            Fault::Identity {
                keyword: "SOPInstanceUID",
                problem: "missing"
            }
        );
    }

    #[test]
    fn identity_is_known_as_soon_as_it_has_gone_by() {
        let uid = Uid::parse(EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let mut reader = HeaderReader::new(&uid, &LIMITS).unwrap();
        assert_eq!(reader.identity(), [None; 4]);
        reader.feed(&IDENTITY[..2].concat()).unwrap();
        let [class, instance, study, series] = reader.identity().map(|uid| uid.map(Uid::as_str));
        assert_eq!(
            [class, instance, study, series],
            [Some("1"), Some("2"), None, None]
        );
        assert!(
            HeaderReader::new(&Uid::parse("1.2.840.10008.1.2.4.94").unwrap(), &LIMITS).is_err()
        );
    }
}
