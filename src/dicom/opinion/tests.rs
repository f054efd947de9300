//! Opinions made into files. With `OVERREAD_OPINIONS=DIR` the files are left there for other people's programs
//! (tests/interop/test_opinions.py).

use std::path::Path;

use super::*;
use crate::dicom::header::HeaderReader;
use crate::dicom::part10::MetaReader;
use crate::dicom::walk::Limits;

const LIMITS: Limits = Limits {
    value_bytes_max: 1 << 20,
    depth_max: 32,
    metadata_bytes_max: 1 << 22,
    fragments_max: 100,
    object_bytes_max: 1 << 24,
    inline_bytes_max: 1 << 16,
};

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

const STUDY: &str = "1.2.826.0.1.3680043.10.9999.700";
const MULTI_FRAME: &str = "1.2.840.10008.5.1.4.1.1.7.2";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

fn reference(study: &str, series: u32, instance: u32) -> Reference {
    Reference {
        study_instance_uid: uid(study),
        series_instance_uid: uid(&format!("{study}.{series}")),
        sop_class_uid: uid(if series == 2 { MULTI_FRAME } else { CT }),
        sop_instance_uid: uid(&format!("{study}.{series}.{instance}")),
    }
}

fn place(of: &str, number: u32) -> Place {
    Place {
        series_instance_uid: uid(&format!("{STUDY}.{of}")),
        sop_instance_uid: uid(&format!("{STUDY}.{of}.1")),
        series_number: number,
    }
}

/// As a case would have it.
fn opinion() -> Opinion {
    let prior = format!("{STUDY}.9");
    Opinion {
        study: Study {
            patient_name: "Maker^Test".into(),
            patient_id: "MADE-1".into(),
            issuer_of_patient_id: String::new(),
            patient_birth_date: "19700102".into(),
            patient_sex: "O".into(),
            study_instance_uid: uid(STUDY),
            study_date: "20260102".into(),
            study_time: "101112".into(),
            study_id: "S1".into(),
            study_description: "CT of the chest".into(),
            accession_number: "ACC700".into(),
            referring_physician_name: "Refer^Rita".into(),
            modalities: vec!["CT".into(), "SR".into()],
            procedures: Vec::new(),
            target_regions: Vec::new(),
        },
        request: Request {
            requester: Person {
                name: "Dr. Rita Refer".into(),
                institution: "Village Practice".into(),
                identification: None,
            },
            case: "12".into(),
            question: "Is the nodule in the right upper lobe new?".into(),
            history: "Cough for six weeks.\nSmoker, 30 pack years.".into(),
            requested_procedure_id: "RP-1".into(),
            requested_procedure: "Second reading of CT of the chest".into(),
            ..Request::default()
        },
        title: codes::SECOND_OPINION,
        language: "en".into(),
        reader: Person {
            name: "Müller^Anna^^Dr".into(),
            institution: "Institute of Chest Radiology".into(),
            identification: None,
        },
        role: Role::Reviewer,
        signed: Moment {
            at_ms: 1_795_856_217_000,
            offset_minutes: 60,
        },
        is_final: true,
        version: 1,
        predecessors: Vec::new(),
        comparison: "CT of 2025-01-03".into(),
        findings: "Spiculated nodule of 14 mm in the right upper lobe.\n\nNo pleural effusion."
            .into(),
        impression: "New nodule, suspicious of malignancy.".into(),
        recommendation: "PET/CT, then biopsy.".into(),
        agreement: Some(Grade::Coded(codes::MAJOR)),
        significance: Some(Grade::Coded(codes::LIKELY_SIGNIFICANT)),
        management: Some(Grade::Coded(codes::MORE_INVASIVE)),
        stage: Some(Grade::Text("T1b instead of benign".into())),
        confidence: Some(Grade::Coded(codes::CONFIDENCE_HIGH)),
        cannot_judge: String::new(),
        comment: "The nodule was there a year before, and smaller.".into(),
        correction: String::new(),
        key_images: vec![
            KeyImage {
                image: reference(STUDY, 1, 2),
                frames: vec![1],
                note: "The nodule".into(),
                place: "series 1, image 2".into(),
            },
            KeyImage {
                image: reference(STUDY, 2, 1),
                frames: vec![1, 3],
                note: String::new(),
                place: "series 2, image 1".into(),
            },
            KeyImage {
                image: reference(&prior, 1, 1),
                frames: Vec::new(),
                note: "The same place a year before".into(),
                place: String::new(),
            },
        ],
        evidence: (1..=3)
            .map(|instance| reference(STUDY, 1, instance))
            .chain([reference(STUDY, 2, 1)])
            .collect(),
        priors: vec![reference(&prior, 1, 1), reference(&prior, 1, 2)],
        manifest: "5f2c".repeat(16),
    }
}

/// The first, corrected.
fn corrected() -> Opinion {
    let earlier = |of: &str, class: &str| Reference {
        study_instance_uid: uid(STUDY),
        series_instance_uid: place(of, 1).series_instance_uid,
        sop_class_uid: uid(class),
        sop_instance_uid: place(of, 1).sop_instance_uid,
    };
    Opinion {
        version: 2,
        predecessors: vec![
            earlier("881", report::REPORT_SOP_CLASS_UID),
            earlier("882", document::PRINT_SOP_CLASS_UID),
        ],
        agreement: Some(Grade::Coded(codes::AGREE)),
        significance: Some(Grade::Coded(codes::NOT_SIGNIFICANT)),
        management: None,
        stage: None,
        impression: "Known nodule, unchanged since 2025.".into(),
        correction: "The prior came only after the first version.".into(),
        role: Role::Adjudicator,
        priors: Vec::new(),
        key_images: Vec::new(),
        study: Study {
            procedures: vec![Code::of("24627-2", "LN", "CT Chest")],
            target_regions: vec![Code::of("43799004", "SCT", "Thoracic cavity")],
            ..opinion().study
        },
        ..opinion()
    }
}

/// Everything that people can do to a form.
fn hostile() -> Opinion {
    let evil = "</p><script>alert(1)</script>\0\u{1b}$B\\\u{202E}evil\u{7}\u{FFFF} ";
    let long = format!("{evil}{}", "words ".repeat(2000));
    let line: String = long.chars().take(LINE_CHARS_MAX).collect();
    Opinion {
        language: "en\\de".into(),
        reader: Person {
            name: line.clone(),
            institution: line.clone(),
            identification: Some(Code {
                value: long[..60].to_owned().into(),
                scheme: evil.to_owned().into(),
                meaning: evil.to_owned().into(),
            }),
        },
        request: Request {
            requester: Person {
                name: evil.into(),
                institution: evil.into(),
                identification: None,
            },
            case: line.clone(),
            question: long.clone(),
            history: evil.into(),
            placer_order_number: line.clone(),
            filler_order_number: evil.into(),
            requested_procedure_id: line.clone(),
            requested_procedure: line.clone(),
        },
        agreement: None,
        significance: Some(Grade::Text(evil.into())),
        management: None,
        stage: None,
        confidence: None,
        impression: String::new(),
        cannot_judge: long.clone(),
        findings: "x".repeat(50_000),
        is_final: false,
        version: u32::MAX,
        manifest: line,
        ..opinion()
    }
}

/// In scripts of the world, with a waveform and a document among the key images.
fn worldly() -> Opinion {
    let mut opinion = opinion();
    for (key, class) in [
        (0, "1.2.840.10008.5.1.4.1.1.9.1.1"),
        (1, document::PRINT_SOP_CLASS_UID),
    ] {
        let image = &mut opinion.key_images[key].image;
        let read = opinion
            .evidence
            .iter_mut()
            .find(|read| *read == image)
            .unwrap();
        read.sop_class_uid = uid(class);
        image.sop_class_uid = uid(class);
    }
    Opinion {
        language: "zh".into(),
        findings: "Zażółć gęślą jaźń · Đặng Thị Ngọc: phổi phải\nΟζίδιο στον δεξιό πνεύμονα\nУзел в правом лёгком\n右上葉に結節あり。右肺上叶见结节，直径14毫米。우상엽에 결절이 있다.\nعقدة في الفص العلوي الأيمن 14 مم CT\nגוש באונה העליונה הימנית\nก้อนในปอดกลีบบนขวา · दाएँ ऊपरी लोब में गाँठ है। · ডান ফুসফুসে গুটি · நுரையீரல் கட்டி\nགློ་བ 🫁".into(),
        impression: "右肺上叶结节，考虑恶性。".into(),
        reader: Person {
            name: "Yamada^Tarou=山田^太郎".into(),
            institution: "東京病院".into(),
            identification: None,
        },
        ..opinion
    }
}

fn all() -> Vec<(&'static str, Opinion)> {
    vec![
        ("first", opinion()),
        ("corrected", corrected()),
        ("hostile", hostile()),
        ("worldly", worldly()),
    ]
}

/// The three documents.
fn files(opinion: &Opinion, at: u32) -> Vec<(&'static str, Vec<u8>)> {
    let base = 880 + at * 10;
    let [sr, pdf, ko] = [1, 2, 3].map(|n| place(&(base + n).to_string(), base + n));
    let reference = Reference {
        study_instance_uid: uid(STUDY),
        series_instance_uid: sr.series_instance_uid.clone(),
        sop_class_uid: uid(report::REPORT_SOP_CLASS_UID),
        sop_instance_uid: sr.sop_instance_uid.clone(),
    };
    let mut all = vec![
        ("sr", report(opinion, &sr).unwrap()),
        ("pdf", document(opinion, &pdf, &reference).unwrap()),
    ];
    all.extend(selection(opinion, &ko).unwrap().map(|bytes| ("ko", bytes)));
    all
}

#[test]
fn every_opinion_becomes_files() {
    let folder = std::env::var_os("OVERREAD_OPINIONS");
    for (at, (name, opinion)) in all().iter().enumerate() {
        let files = files(opinion, u32::try_from(at).unwrap());
        assert_eq!(
            files.len(),
            if opinion.key_images.is_empty() { 2 } else { 3 }
        );
        for (kind, bytes) in files {
            assert_eq!(&bytes[128..132], b"DICM");
            if let Some(folder) = &folder {
                std::fs::create_dir_all(folder).unwrap();
                std::fs::write(Path::new(folder).join(format!("{name}.{kind}.dcm")), bytes)
                    .unwrap();
            }
        }
    }
}

#[test]
fn the_same_opinion_makes_the_same_bytes() {
    assert_eq!(files(&opinion(), 0), files(&opinion(), 0));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let check = |change: fn(&mut Opinion), expected: OpinionError| {
        let mut opinion = opinion();
        change(&mut opinion);
        let sr = place("881", 881);
        assert_eq!(report(&opinion, &sr), Err(expected.clone()));
        assert_eq!(selection(&opinion, &sr), Err(expected.clone()));
        assert_eq!(
            document(&opinion, &sr, &reference(STUDY, 1, 1)),
            Err(expected)
        );
    };
    check(|o| o.impression = "\0 \n".into(), OpinionError::Silent);
    check(|o| o.signed.at_ms = -1, OpinionError::NoMoment);
    check(|o| o.reader.name = " ".into(), OpinionError::NoReader);
    check(
        |o| o.findings = "é".repeat(TEXT_CHARS_MAX + 1),
        OpinionError::TextTooLong {
            what: "findings",
            max: TEXT_CHARS_MAX,
        },
    );
    check(
        |o| o.key_images[0].note = "n".repeat(NOTE_CHARS_MAX + 1),
        OpinionError::TextTooLong {
            what: "note of a key image",
            max: NOTE_CHARS_MAX,
        },
    );
    check(
        |o| o.key_images = vec![o.key_images[0].clone(); KEY_IMAGES_MAX + 1],
        OpinionError::TooMany {
            what: "key images",
            max: KEY_IMAGES_MAX,
        },
    );
    check(
        |o| o.evidence.push(o.priors[0].clone()),
        OpinionError::WrongStudy(uid(&format!("{STUDY}.9.1.1"))),
    );
    check(
        |o| o.priors.push(o.evidence[0].clone()),
        OpinionError::WrongStudy(uid(&format!("{STUDY}.1.1"))),
    );
    check(
        |o| {
            o.evidence.remove(1);
        },
        OpinionError::NotRead(uid(&format!("{STUDY}.1.2"))),
    );
    check(
        |o| o.key_images[1].frames = vec![1, 0],
        OpinionError::NotAFrame(uid(&format!("{STUDY}.2.1"))),
    );
    check(
        |o| o.key_images[1].frames = vec![u32::MAX],
        OpinionError::NotAFrame(uid(&format!("{STUDY}.2.1"))),
    );
}

/// The metadata that ingest keeps of a file.
fn metadata(file: &[u8]) -> Vec<u8> {
    let mut head = MetaReader::new();
    let meta = match head.feed(file).unwrap() {
        Some(meta) => meta,
        None => head.finish().unwrap(),
    };
    let mut reader = HeaderReader::new(&meta.transfer_syntax_uid, &LIMITS).unwrap();
    reader.feed(&file[meta.dataset_offset..]).unwrap();
    reader.finish().unwrap().metadata
}

#[test]
fn grades_are_read_back() {
    let read = |opinion: &Opinion| {
        let file = report(opinion, &place("881", 881)).unwrap();
        graded(&metadata(&file))
    };
    let first = read(&opinion());
    let values: Vec<_> = first
        .iter()
        .map(|(concept, value)| (&*concept.value, &*value.value))
        .collect();
    assert_eq!(
        values,
        [
            ("121077", "122776"),
            ("AGREEMENT", "MAJOR"),
            ("SIGNIFICANCE", "SIGLIKELY"),
            ("MANAGEMENT", "MGTMORE"),
            ("CONFIDENCE", "CNFHIGH"),
        ]
    );
    for (grade, standard) in [
        (codes::AGREE, Some(codes::AGREES_WITH_PRIOR)),
        (codes::MINOR, Some(codes::DISAGREES_WITH_PRIOR)),
        (codes::MAJOR, Some(codes::DISAGREES_WITH_PRIOR)),
        (codes::CANNOT_JUDGE, None),
    ] {
        let opinion = Opinion {
            agreement: Some(Grade::Coded(grade.clone())),
            ..opinion()
        };
        let read = read(&opinion);
        let of = |concept: &Code| {
            read.iter()
                .find(|(asked, _)| asked.is(concept))
                .map(|(_, value)| value.clone())
        };
        assert_eq!(of(&codes::CONCLUSION), standard);
        assert_eq!(of(&codes::AGREEMENT), Some(grade));
    }
}

#[test]
fn every_section_stands_in_our_own_rendering() {
    let file = report(&opinion(), &place("881", 881)).unwrap();
    let report = crate::dicom::report::Report::of_metadata(&metadata(&file)).unwrap();
    assert_eq!(report.title, "Consultation 2nd opinion");
    let headings: Vec<_> = report
        .lines
        .iter()
        .filter(|line| line.is_heading)
        .map(|line| &*line.concept)
        .collect();
    assert_eq!(
        headings,
        [
            "Request",
            "History",
            "Previous Findings",
            "Findings",
            "Impressions",
            "Conclusions",
            "Recommendations",
            "Key Images"
        ]
    );
}

#[test]
fn long_texts_are_printed_to_their_end() {
    let opinion = Opinion {
        findings: "肺".repeat(TEXT_CHARS_MAX),
        comparison: "x".repeat(TEXT_CHARS_MAX),
        impression: "words and words ".repeat(TEXT_CHARS_MAX / 16),
        ..opinion()
    };
    let file = document(&opinion, &place("882", 882), &reference(STUDY, 1, 1)).unwrap();
    let count = memchr::memmem::find(&file, b"/Type /Pages /Count ").unwrap() + 20;
    let digits: String = file[count..]
        .iter()
        .map(|byte| char::from(*byte))
        .take_while(char::is_ascii_digit)
        .collect();
    // 48 ideographs of 10 points on a line of 483, 81 x, some 68 letters of the words; 51 lines on a page.
    let pages = digits.parse::<u32>().unwrap();
    assert!((90..=96).contains(&pages), "{pages}");
}

#[test]
fn a_study_is_copied_out_of_the_metadata_of_its_instances() {
    for opinion in [opinion(), worldly()] {
        let original = Study {
            modalities: vec!["SR".into()],
            patient_name: "Yamada^Tarou=山田^太郎".into(),
            issuer_of_patient_id: "Here".into(),
            ..opinion.study.clone()
        };
        let opinion = Opinion {
            study: original.clone(),
            ..opinion
        };
        let file = report(&opinion, &place("881", 881)).unwrap();
        assert_eq!(Study::of_metadata(&metadata(&file)), Some(original));
    }
    assert_eq!(Study::of_metadata(b"{}"), None);
    let sparse = br#"{"00081032":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["24627-2"]},"00080102":{"vr":"SH","Value":["LN"]},"00080104":{"vr":"LO","Value":["CT Chest"]}}]},"0020000D":{"vr":"UI","Value":["1.2"]}}"#;
    let study = Study::of_metadata(sparse).unwrap();
    assert_eq!(study.procedures, [Code::of("24627-2", "LN", "CT Chest")]);
    assert_eq!((study.patient_id.as_str(), study.modalities.len()), ("", 0));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_people_write_becomes_files(
        texts in proptest::collection::vec(proptest::prelude::any::<String>(), 12),
        scripts in "[\\p{Arabic}\\p{Hebrew}\\p{Devanagari}\\p{Thai}\\p{Han}\\p{Hangul}\\p{Khmer}\\p{Myanmar}\\p{M}a-z \n-]{0,300}",
    ) {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().unwrap_or_default();
        let mut opinion = Opinion { findings: scripts, ..opinion() };
        opinion.impression = format!("!{}", next());
        opinion.recommendation = next();
        opinion.cannot_judge = next();
        opinion.comparison = next();
        opinion.language = next();
        opinion.reader.name = format!("!{}", next());
        opinion.reader.institution = next();
        opinion.request.question = next();
        opinion.request.case = next();
        opinion.study.patient_name = next();
        opinion.key_images[0].note = next();
        opinion.stage = Some(Grade::Text(next()));
        let files = files(&opinion, 0);
        proptest::prop_assert_eq!(files.len(), 3);
        for (_, file) in files {
            metadata(&file);
        }
    }
}
