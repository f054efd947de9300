//! The directory of a medium (Basic Directory IOD, PS3.3 Annex F; PS3.10 §8.6): patients, studies,
//! series and instances in, the bytes of the file DICOMDIR out. It also names the files, as only
//! it knows how many there are: components of eight characters, which tell nothing of anybody.
//!
//! Records are encoded one by one as they come, depth first; the offsets that link them are set
//! when their target is known. Where an object lacks what a record must have, a value is made up
//! (`record_type`), as DCMTK does.

mod record_type;
mod values;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::{FileMetaTable, FileMetaTableBuilder, InMemDicomObject};

use crate::dicom::sop_class::MEDIA_STORAGE_DIRECTORY;
use crate::dicom::transfer_syntax::EXPLICIT_VR_LITTLE_ENDIAN;
use crate::dicom::{AttributeValues, Level, Uid, part10};
use record_type::{Key, Otherwise, RecordType};
use values::Values;

/// The name of the directory in the root of a medium (PS3.10 §8.6).
pub const FILE_NAME: &str = "DICOMDIR";

/// The folder beside it that holds all files.
pub const FOLDER_NAME: &str = "DICOM";

/// (0004,1130)
const FILE_SET_ID: &str = "OVERREAD";

/// What fits into the six digits of a file name.
const SIBLINGS_MAX: u32 = 999_999;

/// Offsets have 32 bits; some readers take them as signed.
const BYTES_MAX: usize = i32::MAX as usize;

/// Where the links lie in a record, in bytes from its item header: item header, then (0004,1400)
/// in 12 bytes, (0004,1410) in 10, (0004,1420) in 12, each value last.
const NEXT_AT: usize = 8 + 8;
const LOWER_AT: usize = 8 + 12 + 10 + 8;

const ITEM: &[u8; 4] = b"\xFE\xFF\x00\xE0";

/// Why there is no directory. Holds nothing of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// More than the names of files or the offsets can tell apart.
    #[error("too many objects for one DICOMDIR")]
    TooMany,
    /// A record without the one that it belongs to.
    #[error("a directory record came before the one above it")]
    Orphan,
    /// A value cannot be encoded.
    #[error("a directory record cannot be encoded")]
    Unencodable,
}

/// An instance that the directory leads to.
#[derive(Debug, Clone, Copy)]
pub struct Referenced<'a> {
    /// (0004,1510)
    pub sop_class_uid: &'a Uid,
    /// (0004,1511)
    pub sop_instance_uid: &'a Uid,
    /// (0004,1512)
    pub transfer_syntax_uid: &'a Uid,
    /// Its prepared metadata (see `header`).
    pub metadata: &'a [u8],
}

/// A directory that grows. Its memory is that of its bytes.
#[derive(Debug)]
pub struct Directory {
    bytes: Vec<u8>,
    encoding: FileMetaTable,
    /// Where the first record begins.
    records_at: usize,
    /// The open record of each level and its number among its siblings.
    open: [Option<Open>; 4],
}

#[derive(Debug, Clone, Copy)]
struct Open {
    at: usize,
    number: u32,
}

impl Directory {
    /// An empty directory; the UID names the file-set and must be new.
    ///
    /// # Errors
    /// None that a well-formed UID can cause.
    pub fn new(file_set_uid: &Uid) -> Result<Self, DirectoryError> {
        let class = Uid::parse(MEDIA_STORAGE_DIRECTORY).expect("a UID of the standard");
        let syntax = Uid::parse(EXPLICIT_VR_LITTLE_ENDIAN).expect("a UID of the standard");
        let encoding = FileMetaTableBuilder::new()
            .media_storage_sop_class_uid(class.as_str())
            .media_storage_sop_instance_uid(file_set_uid.as_str())
            .transfer_syntax(syntax.as_str())
            .build()
            .map_err(|_| DirectoryError::Unencodable)?;
        let mut directory = Self {
            bytes: part10::head(&class, file_set_uid, &syntax),
            encoding,
            records_at: 0,
            open: [None; 4],
        };
        // PS3.3 Tables F.3-2 and F.3-3. Offsets and the length are set by `finish`.
        directory.encode([
            text(tags::FILE_SET_ID, VR::CS, FILE_SET_ID),
            long(
                tags::OFFSET_OF_THE_FIRST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY,
                0,
            ),
            long(
                tags::OFFSET_OF_THE_LAST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY,
                0,
            ),
            short(tags::FILE_SET_CONSISTENCY_FLAG, 0),
        ])?;
        directory
            .bytes
            .extend_from_slice(b"\x04\x00\x20\x12SQ\x00\x00\x00\x00\x00\x00");
        directory.records_at = directory.bytes.len();
        Ok(directory)
    }

    /// Begins a patient, by the attributes of the index.
    ///
    /// # Errors
    /// [`DirectoryError`]; likewise below.
    pub fn add_patient(&mut self, row: &AttributeValues) -> Result<(), DirectoryError> {
        let record_type = &record_type::PATIENT;
        self.add(Level::Patient, record_type, Values::Row(row), Vec::new())
    }

    /// Begins a study of the patient begun last.
    #[expect(clippy::missing_errors_doc, reason = "as above")]
    pub fn add_study(&mut self, row: &AttributeValues) -> Result<(), DirectoryError> {
        let record_type = &record_type::STUDY;
        self.add(Level::Study, record_type, Values::Row(row), Vec::new())
    }

    /// Begins a series of the study begun last.
    #[expect(clippy::missing_errors_doc, reason = "as above")]
    pub fn add_series(&mut self, row: &AttributeValues) -> Result<(), DirectoryError> {
        let record_type = &record_type::SERIES;
        self.add(Level::Series, record_type, Values::Row(row), Vec::new())
    }

    /// Adds an instance to the series begun last. Gives the name that its file must get: a path
    /// from the root of the medium, components joined by slashes.
    #[expect(clippy::missing_errors_doc, reason = "as above")]
    pub fn add_instance(&mut self, instance: Referenced<'_>) -> Result<String, DirectoryError> {
        let values = Values::Metadata(instance.metadata);
        let has_rows = values.text(tags::ROWS, VR::US).is_some();
        let record_type = record_type::of_instance(instance.sop_class_uid.as_str(), has_rows);
        let file_id = self.file_id()?;
        let reference = vec![
            DataElement::new(
                tags::REFERENCED_FILE_ID,
                VR::CS,
                PrimitiveValue::Strs(file_id.iter().cloned().collect()),
            ),
            text(
                tags::REFERENCED_SOP_CLASS_UID_IN_FILE,
                VR::UI,
                instance.sop_class_uid.as_str(),
            ),
            text(
                tags::REFERENCED_SOP_INSTANCE_UID_IN_FILE,
                VR::UI,
                instance.sop_instance_uid.as_str(),
            ),
            text(
                tags::REFERENCED_TRANSFER_SYNTAX_UID_IN_FILE,
                VR::UI,
                instance.transfer_syntax_uid.as_str(),
            ),
        ];
        self.add(Level::Instance, record_type, values, reference)?;
        Ok(file_id.join("/"))
    }

    /// The whole file.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let records = self.records_at;
        if let Some(last) = self.open[0] {
            // Value of the first offset, 12 bytes; of the last, 10 of the flag, 12 of the sequence.
            self.set(records - 12 - 10 - 12 - 4, records);
            self.set(records - 12 - 10 - 4, last.at);
        }
        self.set(records - 4, self.bytes.len() - records);
        self.bytes
    }

    /// The name of the next instance (PS3.10 §8.2).
    fn file_id(&self) -> Result<[String; 5], DirectoryError> {
        let number = |level: Level| self.open[level as usize].map_or(0, |open| open.number);
        let next = number(Level::Instance) + 1;
        Ok([
            FOLDER_NAME.to_owned(),
            format!("PT{:06}", number(Level::Patient)),
            format!("ST{:06}", number(Level::Study)),
            format!("SE{:06}", number(Level::Series)),
            format!("IM{next:06}"),
        ])
    }

    /// Appends a record and links it to its elder sibling, or as first to the one above.
    fn add(
        &mut self,
        level: Level,
        record_type: &RecordType,
        values: Values<'_>,
        reference: Vec<DataElement<InMemDicomObject>>,
    ) -> Result<(), DirectoryError> {
        let depth = level as usize;
        let at = self.bytes.len();
        let number = self.open[depth].map_or(1, |sibling| sibling.number + 1);
        if number > SIBLINGS_MAX {
            return Err(DirectoryError::TooMany);
        }
        match (self.open[depth], depth.checked_sub(1)) {
            (Some(sibling), _) => self.set(sibling.at + NEXT_AT, at),
            (None, None) => {}
            (None, Some(above)) => {
                let above = self.open[above].ok_or(DirectoryError::Orphan)?;
                self.set(above.at + LOWER_AT, at);
            }
        }
        self.open[depth] = Some(Open { at, number });
        self.open[depth + 1..].fill(None);

        self.bytes.extend_from_slice(ITEM);
        self.bytes.extend_from_slice(&[0; 4]);
        let links = [
            long(tags::OFFSET_OF_THE_NEXT_DIRECTORY_RECORD, 0),
            short(tags::RECORD_IN_USE_FLAG, 0xFFFF),
            long(tags::OFFSET_OF_REFERENCED_LOWER_LEVEL_DIRECTORY_ENTITY, 0),
            text(tags::DIRECTORY_RECORD_TYPE, VR::CS, record_type.name),
            text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        ];
        let keys = record_type
            .keys
            .iter()
            .filter_map(|key| element(key, values, number));
        self.encode(links.into_iter().chain(reference).chain(keys))?;
        self.set(at + 4, self.bytes.len() - at - 8);
        if self.bytes.len() > BYTES_MAX {
            return Err(DirectoryError::TooMany);
        }
        Ok(())
    }

    fn encode(
        &mut self,
        elements: impl IntoIterator<Item = DataElement<InMemDicomObject>>,
    ) -> Result<(), DirectoryError> {
        InMemDicomObject::from_element_iter(elements)
            .with_exact_meta(self.encoding.clone())
            .write_dataset(&mut self.bytes)
            .map_err(|_| DirectoryError::Unencodable)
    }

    /// Overwrites the 32 bits at `at`. What is written is at most the length of the bytes, whose
    /// limit is checked after each record: what does not fit is never given out.
    fn set(&mut self, at: usize, number: usize) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
}

/// One attribute of a record; `None` when it may be left out and has no value.
fn element(key: &Key, values: Values<'_>, number: u32) -> Option<DataElement<InMemDicomObject>> {
    if key.vr == VR::SQ {
        return Some(values.code_sequence(key.tag));
    }
    let value = values.text(key.tag, key.vr);
    let value = match (value, &key.otherwise) {
        (Some(value), _) => value,
        (None, Otherwise::Omitted) => return None,
        (None, Otherwise::Empty) => String::new(),
        (None, Otherwise::Text(text)) => (*text).to_owned(),
        (None, Otherwise::Numbered(prefix)) => format!("{prefix}{number}"),
    };
    // `Values::text` gives numbers in range, the table has such as well.
    Some(match key.vr {
        VR::US => short(key.tag, value.parse().unwrap_or_default()),
        VR::UL => long(key.tag, value.parse().unwrap_or_default()),
        _ => text(key.tag, key.vr, &value),
    })
}

fn text(tag: Tag, vr: VR, value: &str) -> DataElement<InMemDicomObject> {
    DataElement::new(tag, vr, PrimitiveValue::from(value))
}

fn long(tag: Tag, value: u32) -> DataElement<InMemDicomObject> {
    DataElement::new(tag, VR::UL, PrimitiveValue::from(value))
}

fn short(tag: Tag, value: u16) -> DataElement<InMemDicomObject> {
    DataElement::new(tag, VR::US, PrimitiveValue::from(value))
}

#[cfg(test)]
mod tests;
