//! The links of a directory, read back by dicom-object and by bytes.

use super::*;

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn row(values: &[(&str, &str)]) -> AttributeValues {
    let mut row = AttributeValues::default();
    for (keyword, value) in values {
        let id = crate::dicom::AttributeId::of_keyword(keyword).unwrap();
        row.set(id, *value);
    }
    row
}

fn add_instance(directory: &mut Directory, class: &str, number: u32) -> String {
    let metadata = format!(r#"{{"00200013":{{"vr":"IS","Value":[{number}]}}}}"#);
    directory
        .add_instance(Referenced {
            sop_class_uid: &uid(class),
            sop_instance_uid: &uid(&format!("1.2.3.{number}")),
            transfer_syntax_uid: &uid("1.2.840.10008.1.2.4.50"),
            metadata: metadata.as_bytes(),
        })
        .unwrap()
}

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const SR: &str = "1.2.840.10008.5.1.4.1.1.88.11";

/// Two patients; the first with a study of two series (CT, CT | SR), the second with one CT.
fn sample() -> (Vec<u8>, Vec<String>) {
    let mut directory = Directory::new(&uid("2.25.7")).unwrap();
    let mut names = Vec::new();
    directory
        .add_patient(&row(&[("PatientName", "Müller^Änne"), ("PatientID", "P1")]))
        .unwrap();
    directory
        .add_study(&row(&[("StudyDate", "20260102")]))
        .unwrap();
    directory.add_series(&row(&[("Modality", "CT")])).unwrap();
    names.push(add_instance(&mut directory, CT, 1));
    names.push(add_instance(&mut directory, CT, 2));
    directory.add_series(&row(&[("Modality", "SR")])).unwrap();
    names.push(add_instance(&mut directory, SR, 3));
    directory.add_patient(&row(&[])).unwrap();
    directory.add_study(&row(&[])).unwrap();
    directory.add_series(&row(&[])).unwrap();
    names.push(add_instance(&mut directory, CT, 4));
    (directory.finish(), names)
}

/// The item at `offset` of the file: its (next, lower) offsets and its record type.
fn record(bytes: &[u8], offset: u32) -> (u32, u32, String) {
    let item = &bytes[offset as usize..];
    assert_eq!(item[..4], *ITEM);
    let length = u32::from_le_bytes(item[4..8].try_into().unwrap()) as usize;
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(MEDIA_STORAGE_DIRECTORY)
        .media_storage_sop_instance_uid("2.25.7")
        .transfer_syntax(EXPLICIT_VR_LITTLE_ENDIAN)
        .build()
        .unwrap();
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    meta.write(&mut file).unwrap();
    file.extend_from_slice(&item[8..8 + length]);
    let object = dicom_object::OpenFileOptions::new()
        .from_reader(&file[..])
        .unwrap();
    let number = |tag| object.element(tag).unwrap().to_int::<u32>().unwrap();
    (
        number(tags::OFFSET_OF_THE_NEXT_DIRECTORY_RECORD),
        number(tags::OFFSET_OF_REFERENCED_LOWER_LEVEL_DIRECTORY_ENTITY),
        object
            .element(tags::DIRECTORY_RECORD_TYPE)
            .unwrap()
            .to_str()
            .unwrap()
            .into_owned(),
    )
}

/// The records under an offset, depth first, with their depths.
fn walk(bytes: &[u8], mut offset: u32, depth: usize, found: &mut Vec<(usize, String)>) {
    while offset != 0 {
        let (next, lower, name) = record(bytes, offset);
        found.push((depth, name));
        walk(bytes, lower, depth + 1, found);
        offset = next;
    }
}

#[test]
fn offsets_lead_from_the_root_to_every_record() {
    let (bytes, _) = sample();
    let object = dicom_object::OpenFileOptions::new()
        .from_reader(&bytes[..])
        .unwrap();
    let number = |tag| object.element(tag).unwrap().to_int::<u32>().unwrap();
    let first = number(tags::OFFSET_OF_THE_FIRST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY);
    let last = number(tags::OFFSET_OF_THE_LAST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY);
    let mut found = Vec::new();
    walk(&bytes, first, 0, &mut found);
    let found: Vec<_> = found.iter().map(|(d, name)| (*d, name.as_str())).collect();
    assert_eq!(
        found,
        [
            (0, "PATIENT"),
            (1, "STUDY"),
            (2, "SERIES"),
            (3, "IMAGE"),
            (3, "IMAGE"),
            (2, "SERIES"),
            (3, "SR DOCUMENT"),
            (0, "PATIENT"),
            (1, "STUDY"),
            (2, "SERIES"),
            (3, "IMAGE"),
        ]
    );
    let (next, _, name) = record(&bytes, last);
    assert_eq!((next, name.as_str()), (0, "PATIENT"));
    assert_eq!(record(&bytes, first).0, last);
    let items = object
        .element(tags::DIRECTORY_RECORD_SEQUENCE)
        .unwrap()
        .items()
        .unwrap();
    assert_eq!(items.len(), 11);
    let name = items[0].element(tags::PATIENT_NAME).unwrap();
    assert_eq!(name.to_str().unwrap(), "Müller^Änne");
    // What the second patient and study lack is made up.
    for (item, tag, value) in [
        (7, tags::PATIENT_ID, "NO_ID_2"),
        (8, tags::STUDY_DATE, "19000101"),
        (8, tags::STUDY_ID, "NO_ID_1"),
        (9, tags::SERIES_NUMBER, "1"),
    ] {
        let element = items[item].element(tag).unwrap();
        assert_eq!(element.to_str().unwrap(), value, "{tag}");
    }
}

#[test]
fn files_get_names_that_every_medium_can_bear() {
    let (_, names) = sample();
    assert_eq!(
        names,
        [
            "DICOM/PT000001/ST000001/SE000001/IM000001",
            "DICOM/PT000001/ST000001/SE000001/IM000002",
            "DICOM/PT000001/ST000001/SE000002/IM000001",
            "DICOM/PT000002/ST000001/SE000001/IM000001",
        ]
    );
}

#[test]
fn a_record_without_the_one_above_it_is_refused() {
    let mut directory = Directory::new(&uid("2.25.7")).unwrap();
    let empty = row(&[]);
    assert_eq!(directory.add_study(&empty), Err(DirectoryError::Orphan));
    directory.add_patient(&empty).unwrap();
    assert_eq!(directory.add_series(&empty), Err(DirectoryError::Orphan));
}
