//! The structured report (PS3.16 TID 2000 "Basic Diagnostic Imaging Report").
//!
//! As Enhanced SR (PS3.3 §A.35.2), not Comprehensive SR: the template needs texts, codes and images under headings and
//! INFERRED FROM by value, which Enhanced SR has; what Comprehensive SR adds (references across the tree, spatial
//! coordinates under them) nothing here uses, and readers that show Enhanced SR are at least as many.

use dicom_core::Tag;

use super::content::{self, Rel, code, object, section, text, under};
use super::evidence::{Kind, kind};
use super::file::Set;
use super::{Grade, KeyImage, Opinion, OpinionError, Place, codes, evidence, modules, safe};
use crate::dicom::sop_class;

/// Enhanced SR Storage.
pub const REPORT_SOP_CLASS_UID: &str = "1.2.840.10008.5.1.4.1.1.88.22";

/// The Part 10 file of the report, Modality SR.
///
/// # Errors
/// [`OpinionError`].
pub fn report(opinion: &Opinion, place: &Place) -> Result<Vec<u8>, OpinionError> {
    opinion.check()?;
    let mut set = Set::default();
    modules::common(&mut set, opinion, place, "SR", "report");
    modules::coding_schemes(&mut set);
    modules::observers(&mut set, opinion);
    modules::request(&mut set, opinion);
    modules::predecessors(&mut set, opinion);
    set.items(Tag(0x0008, 0x1111), []);
    set.codes(Tag(0x0040, 0xA372), &opinion.study.procedures);
    if !opinion.evidence.is_empty() {
        set.items(Tag(0x0040, 0xA375), evidence::hierarchy(&opinion.evidence));
    }
    if !opinion.priors.is_empty() {
        set.items(Tag(0x0040, 0xA385), evidence::hierarchy(&opinion.priors));
    }
    content::root(&mut set, &opinion.title, "2000", tree(opinion));
    Ok(set.part10(REPORT_SOP_CLASS_UID, &place.sop_instance_uid)?)
}

/// The rows of TID 2000 in order.
fn tree(opinion: &Opinion) -> Vec<Set> {
    let study = &opinion.study;
    let procedures = study
        .procedures
        .iter()
        .map(|procedure| code(Rel::HasConceptMod, &codes::PROCEDURE_REPORTED, procedure));
    let devices = study
        .modalities
        .iter()
        .filter_map(|modality| codes::device(modality))
        .map(|device| code(Rel::HasConceptMod, &codes::ACQUISITION_DEVICE, device));
    let regions = study
        .target_regions
        .iter()
        .map(|region| code(Rel::HasConceptMod, &codes::TARGET_REGION, region));
    let mut rows: Vec<Set> = procedures.chain(devices).chain(regions).collect();
    rows.push(content::language(opinion));
    rows.extend(content::observer(opinion));
    rows.extend(content::procedure(opinion));
    rows.extend(sections(opinion));
    rows
}

fn sections(opinion: &Opinion) -> impl Iterator<Item = Set> {
    let said = |heading, concept, words: &str| {
        let content = narrative(concept, words).into_iter().collect();
        section(heading, content)
    };
    [
        section(&codes::REQUEST, request(opinion)),
        said(&codes::HISTORY, &codes::HISTORY, &opinion.request.history),
        said(
            &codes::PREVIOUS_FINDINGS,
            &codes::PREVIOUS_FINDING,
            &opinion.comparison,
        ),
        said(&codes::FINDINGS, &codes::FINDING, &opinion.findings),
        said(&codes::IMPRESSIONS, &codes::IMPRESSION, &opinion.impression),
        section(&codes::CONCLUSIONS, conclusions(opinion)),
        said(
            &codes::RECOMMENDATIONS,
            &codes::RECOMMENDATION,
            &opinion.recommendation,
        ),
        said(&codes::ADDENDUM, &codes::SUMMARY, &opinion.correction),
        section(
            &codes::KEY_IMAGES,
            opinion.key_images.iter().map(key_image).collect(),
        ),
    ]
    .into_iter()
    .flatten()
}

/// A text of TID 2002; `None` for one that says nothing.
fn narrative(concept: &super::Code, words: &str) -> Option<Set> {
    (!safe::text(words).is_empty()).then(|| text(Rel::Contains, concept, words))
}

fn request(opinion: &Opinion) -> Vec<Set> {
    let request = &opinion.request;
    let requester = modules::signature(&request.requester);
    let by = (!requester.is_empty()).then(|| format!("Requested by {requester}"));
    [Some(request.question.clone()), by]
        .into_iter()
        .flatten()
        .filter_map(|words| narrative(&codes::REQUEST, &words))
        .collect()
}

/// The grades by TID 2002: agreement by the standard's own word (CID 3217), then each grade by what it answers.
fn conclusions(opinion: &Opinion) -> Vec<Set> {
    let mut all = Vec::new();
    if let Some(Grade::Coded(grade)) = &opinion.agreement
        && let Some(standard) = codes::concordance(grade)
    {
        all.push(code(Rel::Contains, &codes::CONCLUSION, &standard));
    }
    for (concept, grade) in opinion.grades() {
        match grade {
            Grade::Coded(grade) if grade.scheme == "DCM" => {
                // Said already.
                if codes::concordance(grade).is_none() {
                    all.push(code(Rel::Contains, &concept, grade));
                }
            }
            Grade::Coded(grade) => all.push(code(Rel::Contains, &concept, grade)),
            Grade::Text(words) => all.extend(narrative(&concept, words)),
        }
    }
    all.extend(narrative(&codes::CONCLUSION, &opinion.cannot_judge));
    all.extend(narrative(&codes::CONCLUSION, &opinion.comment));
    all
}

/// A key image: by itself, or under what it shows (TID 2002 rows 3 to 5). The template points at images only, so that
/// anything else is told in words.
fn key_image(key: &KeyImage) -> Set {
    let class = key.image.sop_class_uid.as_str();
    if kind(class) != Kind::Image {
        let name = sop_class::storage(class).map_or(class, |class| class.name);
        let words = format!("{}\n{name} {}", key.note, key.image.sop_instance_uid);
        return text(Rel::Contains, &codes::FINDING, &words);
    }
    let purpose = Some(&codes::BEST_ILLUSTRATION);
    match narrative(&codes::FINDING, &key.note) {
        Some(note) => under(note, vec![object(Rel::InferredFrom, purpose, key)]),
        None => object(Rel::Contains, purpose, key),
    }
}
