//! Sample studies for `overread demo`, made in code: nothing is shipped, nobody's data is in
//! them, and each start makes the same objects, so that a second start finds its own there.
//!
//! Five patients, five character sets: a chest CT with PET and last year's CT in which the nodule
//! is smaller, an MR of a head in two series, radiographs of a chest and a hand, a beating heart.
//! Some 60 MB in all, made one object at a time.

mod dataset;
mod hand;
mod head;
mod heart;
mod study;
mod thorax;

use dataset::{Charset, DataSet};
use head::Weighting;
use study::{Patient, Series, Study};

static MUELLER: Patient = Patient {
    charset: Charset::Latin1,
    name: "Müller^Jürgen",
    id: "OVR-0001",
    birth_date: "19580412",
    sex: "M",
};
static YAMADA: Patient = Patient {
    charset: Charset::Japanese,
    name: "Yamada^Tarou=山田^太郎=やまだ^たろう",
    id: "OVR-0002",
    birth_date: "19740823",
    sex: "M",
};
static IVANOVA: Patient = Patient {
    charset: Charset::Cyrillic,
    name: "Иванова^Мария^Петровна",
    id: "OVR-0003",
    birth_date: "19660105",
    sex: "F",
};
static WANG: Patient = Patient {
    charset: Charset::Chinese,
    name: "Wang^XiaoDong=王^小东",
    id: "OVR-0004",
    birth_date: "19911130",
    sex: "M",
};
static PAPADOPOULOU: Patient = Patient {
    charset: Charset::Utf8,
    name: "Παπαδοπούλου^Ελένη",
    id: "OVR-0005",
    birth_date: "20090617",
    sex: "F",
};

static CHEST: Study = Study {
    patient: &MUELLER,
    key: "chest",
    date: "20260217",
    time: "101530",
    id: "1001",
    accession: "OVR26-0217",
    description: "PET/CT Thorax, Verlaufskontrolle Rundherd",
    referring: "Größmann^Änne^^Dr.",
    age: "067Y",
};
static CHEST_PRIOR: Study = Study {
    patient: &MUELLER,
    key: "chest prior",
    date: "20250211",
    time: "143005",
    id: "884",
    accession: "OVR25-0211",
    description: "CT Thorax mit Kontrastmittel",
    referring: "Größmann^Änne^^Dr.",
    age: "066Y",
};
static HEAD: Study = Study {
    patient: &YAMADA,
    key: "head",
    date: "20260302",
    time: "090210",
    id: "1014",
    accession: "OVR26-0302",
    description: "MR Brain 頭部",
    referring: "Suzuki^Hanako=鈴木^花子",
    age: "051Y",
};
static CHEST_FILM: Study = Study {
    patient: &IVANOVA,
    key: "chest film",
    date: "20260303",
    time: "081155",
    id: "1017",
    accession: "OVR26-0303",
    description: "Рентгенография грудной клетки",
    referring: "Петров^Алексей",
    age: "060Y",
};
static HEART: Study = Study {
    patient: &WANG,
    key: "heart",
    date: "20260305",
    time: "160742",
    id: "1023",
    accession: "OVR26-0305",
    description: "Echocardiography 超声心动图",
    referring: "Li^Na=李^娜",
    age: "034Y",
};
static HAND: Study = Study {
    patient: &PAPADOPOULOU,
    key: "hand",
    date: "20260306",
    time: "113820",
    id: "1026",
    accession: "OVR26-0306",
    description: "Ακτινογραφία αριστερού χεριού",
    referring: "Γεωργίου^Νίκος",
    age: "016Y",
};

const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const PET_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.128";
const MR_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
const CR_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.1";
const US_MULTI_FRAME_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.3.1";

/// A series with how to make each of its instances, numbered from 1.
struct Sample {
    series: Series,
    instances: usize,
    make: fn(&Series, usize) -> DataSet,
}

static SAMPLES: [Sample; 8] = [
    Sample {
        series: series(
            &CHEST,
            "ct",
            CT_IMAGE_STORAGE,
            "CT",
            2,
            "Thorax 5.0 Weichteil",
            "CHEST",
        ),
        instances: CT_SLICES,
        make: |series, number| thorax::ct(series, number, CT_SLICES, 7.5, 9.0),
    },
    Sample {
        series: series(
            &CHEST,
            "pet",
            PET_IMAGE_STORAGE,
            "PT",
            3,
            "PET FDG korrigiert",
            "CHEST",
        ),
        instances: CT_SLICES,
        make: |series, number| thorax::pet(series, number, CT_SLICES, 7.5, 9.0),
    },
    Sample {
        series: series(
            &CHEST_PRIOR,
            "ct",
            CT_IMAGE_STORAGE,
            "CT",
            2,
            "Thorax 10.0 Weichteil",
            "CHEST",
        ),
        instances: PRIOR_SLICES,
        make: |series, number| thorax::ct(series, number, PRIOR_SLICES, 10.0, 5.5),
    },
    Sample {
        series: series(&HEAD, "t1", MR_IMAGE_STORAGE, "MR", 2, "T1 SE tra", "HEAD"),
        instances: MR_SLICES,
        make: |series, number| head::mr(series, number, MR_SLICES, Weighting::T1),
    },
    Sample {
        series: series(&HEAD, "t2", MR_IMAGE_STORAGE, "MR", 3, "T2 TSE tra", "HEAD"),
        instances: MR_SLICES,
        make: |series, number| head::mr(series, number, MR_SLICES, Weighting::T2),
    },
    Sample {
        series: series(
            &CHEST_FILM,
            "pa",
            CR_IMAGE_STORAGE,
            "CR",
            1,
            "Грудная клетка PA",
            "CHEST",
        ),
        instances: 1,
        make: |series, _| thorax::radiograph(series),
    },
    Sample {
        series: series(
            &HEART,
            "loop",
            US_MULTI_FRAME_IMAGE_STORAGE,
            "US",
            1,
            "四腔心切面",
            "HEART",
        ),
        instances: 1,
        make: |series, _| heart::ultrasound(series),
    },
    Sample {
        series: Series {
            laterality: Some("L"),
            ..series(&HAND, "pa", CR_IMAGE_STORAGE, "CR", 1, "Χέρι PA", "HAND")
        },
        instances: 1,
        make: |series, _| hand::radiograph(series),
    },
];

const CT_SLICES: usize = 41;
const PRIOR_SLICES: usize = 31;
const MR_SLICES: usize = 24;

const fn series(
    study: &'static Study,
    key: &'static str,
    sop_class_uid: &'static str,
    modality: &'static str,
    number: u16,
    description: &'static str,
    body_part: &'static str,
) -> Series {
    Series {
        study,
        key,
        sop_class_uid,
        modality,
        number,
        description,
        body_part,
        laterality: None,
    }
}

/// How many there are.
#[must_use]
pub fn count() -> usize {
    SAMPLES.iter().map(|sample| sample.instances).sum()
}

/// The samples: a name for messages, and a Part 10 file. Each is made when it is asked for, and
/// is the same every time.
pub fn objects() -> impl Iterator<Item = (String, Vec<u8>)> {
    SAMPLES
        .iter()
        .flat_map(|sample| (1..=sample.instances).map(move |number| object(sample, number)))
}

fn object(sample: &Sample, number: usize) -> (String, Vec<u8>) {
    let series = &sample.series;
    let name = format!(
        "{}/{}/{number:03}.dcm",
        series.study.key.replace(' ', "-"),
        series.key
    );
    let file = (sample.make)(series, number)
        .part10(series.sop_class_uid, &series.sop_instance_uid(number));
    (name, file)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_second_start_makes_the_same() {
        for sample in SAMPLES.iter().filter(|sample| sample.instances > 1) {
            assert!(object(sample, sample.instances) == object(sample, sample.instances));
        }
        // As of the first release: were it to change, a demo would hold everything twice.
        assert_eq!(
            study::uid_of("chest"),
            "2.25.317323303847485429351711098813378257280"
        );
    }

    #[test]
    fn every_object_has_a_uid_of_its_own() {
        let uids: HashSet<String> = SAMPLES
            .iter()
            .flat_map(|sample| (1..=sample.instances).map(|n| sample.series.sop_instance_uid(n)))
            .collect();
        assert_eq!(uids.len(), count());
        assert!(uids.iter().all(|uid| uid.len() <= 64));
    }
}
