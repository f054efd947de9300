//! Attributes that arriving objects get by configuration (PS3.18 §10.5.2, PS3.4 §B.4.1.3): rules,
//! what they change of an object, and the Original Attributes Sequence that tells of it (PS3.3
//! §C.12.1.1.9). The change itself is a splice: every other byte stays as it came.
//!
//! An object is known by the digest of what was received, not of what it became, so that the same
//! object sent again is stored already, whenever it was coerced and whatever the rules are by then.

use std::collections::BTreeMap;
use std::io::{self, Write};

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::archive::{Door, Error, Origin, Refusal};
use crate::dicom::TransferSyntax;
use crate::dicom::dataset::{Dataset, Element, Value};
use crate::dicom::header::RootValue;
use crate::dicom::rewrite::{Edit, Splicer};
use crate::dicom::transfer_syntax::Form;
use crate::dicom::walk::{Inflater, Limits};

/// (0400,0561) Original Attributes Sequence.
const ORIGINAL_ATTRIBUTES: Tag = Tag(0x0400, 0x0561);

/// The value representations that a rule may set, and how long their values are at most (PS3.5
/// §6.2): texts. UIDs are none of them, so that no rule touches identity.
const SETTABLE: &[(VR, usize)] = &[
    (VR::AE, 16),
    (VR::AS, 4),
    (VR::CS, 16),
    (VR::DA, 8),
    (VR::DT, 26),
    (VR::LO, 64),
    (VR::LT, 10_240),
    (VR::PN, 64),
    (VR::SH, 16),
    (VR::ST, 1_024),
    (VR::TM, 14),
    (VR::UT, 10_240),
];

/// `[coercion]`: nothing unless it is configured.
#[derive(Debug, Clone, Default)]
pub struct Coercion {
    /// (0400,0563) Modifying System: our AE title.
    pub modifying_system: Box<str>,
    /// In the order of the configuration; a later one sees what an earlier one has set.
    pub rules: Vec<Rule>,
}

/// One rule: `[from SENDER ][via DOOR]: KEYWORD = VALUE`, or `?=` to set only what has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    sender: Option<Box<str>>,
    door: Option<Door>,
    tag: Tag,
    vr: VR,
    /// Printable ASCII, which every character set of DICOM holds; never empty.
    value: Box<str>,
    /// Only where the object has no value.
    only_if_absent: bool,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever wrote it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (left, value) = text
            .split_once('=')
            .ok_or("must be KEYWORD = VALUE or KEYWORD ?= VALUE")?;
        let (left, only_if_absent) = match left.trim_end().strip_suffix('?') {
            Some(left) => (left, true),
            None => (left, false),
        };
        let (conditions, keyword) = left.rsplit_once(':').unwrap_or(("", left));
        let (sender, door) = conditions_of(conditions.trim())?;
        let entry = StandardDataDictionary
            .by_name(keyword.trim())
            .ok_or("names no attribute of PS3.6 by its keyword")?;
        let (tag, vr) = (entry.tag(), entry.vr().exact().unwrap_or(VR::UN));
        let is_free = matches!(tag.0, 0x0008..=0x0018 | 0x0032..=0x0040 | 0x4008)
            && tag != Tag(0x0008, 0x0005);
        let value = value.trim();
        let max = SETTABLE.iter().find(|(settable, _)| *settable == vr);
        match max {
            Some(_) if !is_free => Err("names an attribute that says how the object is to be read"),
            None => Err("names an attribute that is no text; UIDs and numbers are not set"),
            Some((_, max)) if value.is_empty() || value.len() > *max => {
                Err("has no value, or one that is too long for the attribute")
            }
            Some(_) if !is_valid(vr, value) => Err(
                "has a value that the attribute cannot have, or one outside printable ASCII, which \
                 would not fit every character set; \\ and ~ are outside too",
            ),
            Some(_) => Ok(Self {
                sender,
                door,
                tag,
                vr,
                value: value.into(),
                only_if_absent,
            }),
        }
    }

    fn is_for(&self, origin: &Origin) -> bool {
        self.sender.as_ref().is_none_or(|s| **s == *origin.sender)
            && self.door.is_none_or(|door| door == origin.door)
    }
}

/// `from SENDER via DOOR`, either or none of them.
fn conditions_of(text: &str) -> Result<(Option<Box<str>>, Option<Door>), &'static str> {
    let (sender, door) = match text.rsplit_once("via ") {
        Some((before, door)) => (before.trim(), Some(door.trim())),
        None => (text, None),
    };
    let door = match door {
        None => None,
        Some("dimse") => Some(Door::Dimse),
        Some("stow") => Some(Door::Stow),
        Some("import") => Some(Door::Import),
        Some("case") => Some(Door::Case),
        Some(_) => return Err("knows the doors dimse, stow, import and case only"),
    };
    match (sender, sender.strip_prefix("from ").map(str::trim)) {
        ("", _) => Ok((None, door)),
        (_, Some(name)) if !name.is_empty() => Ok((Some(name.into()), door)),
        _ => Err("begins with something other than from SENDER or via DOOR"),
    }
}

/// Characters as PS3.5 §6.2 has them, of the default repertoire.
fn is_valid(vr: VR, value: &str) -> bool {
    let all = |allowed: fn(u8) -> bool| value.bytes().all(allowed);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // ISO-IR 14, of ISO_IR 13, has other characters for \ and ~.
    all(|b| (b' '..=b'}').contains(&b) && b != b'\\')
        && match vr {
            VR::AS => digits(&value[..value.len() - 1]) && value.ends_with(['D', 'W', 'M', 'Y']),
            VR::CS => {
                all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b' ')
            }
            VR::DA => value.len() == 8 && digits(value),
            VR::TM => all(|b| b.is_ascii_digit() || b == b'.'),
            VR::DT => all(|b| b.is_ascii_digit() || b".+-".contains(&b)),
            _ => true,
        }
}

impl Coercion {
    /// The attributes that rules are about.
    pub(super) fn tags(&self) -> Vec<Tag> {
        self.rules.iter().map(|rule| rule.tag).collect()
    }

    /// What is to become of an object from `origin`, received at `at_ms`, whose values of
    /// [`Coercion::tags`] are these. Empty when no rule changes it.
    pub(super) fn edits(
        &self,
        origin: &Origin,
        found: &[RootValue],
        at_ms: i64,
    ) -> BTreeMap<Tag, Edit> {
        let held = |tag| found.iter().find(|value| value.tag == tag);
        let mut set: BTreeMap<Tag, &Rule> = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| rule.is_for(origin)) {
            let before = held(rule.tag);
            // What is too long to be kept as it was is left as it is.
            if before.is_some_and(|value| value.bytes.is_none()) {
                continue;
            }
            let has_value = set.contains_key(&rule.tag)
                || before.is_some_and(|value| !trimmed(value).is_empty());
            if !(rule.only_if_absent && has_value) {
                set.insert(rule.tag, rule);
            }
        }
        set.retain(|tag, rule| {
            held(*tag).is_none_or(|value| trimmed(value) != rule.value.as_bytes())
        });
        if set.is_empty() {
            return BTreeMap::new();
        }
        let mut previous = Dataset::default();
        for (tag, rule) in &set {
            // What was not there is told by an empty value.
            let value = held(*tag);
            previous.set(Element {
                tag: *tag,
                vr: value.map_or(rule.vr, |value| value.vr),
                value: Value::Bytes(
                    value
                        .and_then(|value| value.bytes.clone())
                        .unwrap_or_default(),
                ),
            });
        }
        let item = self.original(previous, origin, at_ms);
        let change = |rule: &Rule| Edit::Set(text(rule.tag, rule.vr, &rule.value));
        set.into_iter()
            .map(|(tag, rule)| (tag, change(rule)))
            .chain([(ORIGINAL_ATTRIBUTES, Edit::Append(item))])
            .collect()
    }

    /// An item of the Original Attributes Sequence (PS3.3 Table C.12.1-9).
    fn original(&self, previous: Dataset, origin: &Origin, at_ms: i64) -> Dataset {
        // RFC 3339 in UTC, to the millisecond: `2026-01-02T10:11:12.345Z`.
        let moment = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
        let moment: String = format!("{moment:.3}")
            .chars()
            .filter(|c| c.is_ascii_digit() || *c == '.')
            .chain("+0000".chars())
            .collect();
        let is_text = origin.sender.len() <= 64 && is_valid(VR::LO, &origin.sender);
        let source = if is_text { &*origin.sender } else { "" };
        let mut item = Dataset::default();
        item.set(Element {
            tag: Tag(0x0400, 0x0550),
            vr: VR::SQ,
            value: Value::Items(vec![previous]),
        });
        item.set(text(Tag(0x0400, 0x0562), VR::DT, &moment));
        item.set(text(Tag(0x0400, 0x0563), VR::LO, &self.modifying_system));
        item.set(text(Tag(0x0400, 0x0564), VR::LO, source));
        item.set(text(Tag(0x0400, 0x0565), VR::CS, "COERCE"));
        item
    }
}

fn text(tag: Tag, vr: VR, value: &str) -> Element {
    let mut bytes = value.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(b' ');
    }
    let value = Value::Bytes(bytes);
    Element { tag, vr, value }
}

/// A value without its padding.
fn trimmed(value: &RootValue) -> &[u8] {
    let bytes = value.bytes.as_deref().unwrap_or_default();
    let end = bytes.iter().rposition(|byte| !matches!(byte, b' ' | 0));
    let begin = bytes.iter().position(|byte| *byte != b' ').unwrap_or(0);
    end.map_or(&[], |end| &bytes[begin..=end])
}

/// A data set on its way to another one, in its own transfer syntax.
pub(super) struct Coercer {
    splicer: Splicer,
    /// For a deflated one.
    around: Option<(Inflater, DeflateEncoder<Vec<u8>>)>,
    out: Vec<u8>,
    bytes: u64,
}

impl Coercer {
    pub(super) fn new(
        syntax: &TransferSyntax,
        limits: &Limits,
        edits: BTreeMap<Tag, Edit>,
    ) -> Self {
        let around = (syntax.form == Form::Deflated).then(|| {
            (
                Inflater::new(limits.object_bytes_max),
                DeflateEncoder::new(Vec::new(), Compression::default()),
            )
        });
        Self {
            splicer: Splicer::new(syntax.encoding, limits, edits),
            around,
            out: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes the next bytes as they were received; gives what they become.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<&[u8], Error> {
        self.out.clear();
        let Self {
            splicer,
            around,
            out,
            ..
        } = self;
        match around {
            None => splicer.feed(bytes, out).map_err(Refusal::Fault)?,
            Some((inflater, deflater)) => {
                let mut written = Ok(());
                inflater
                    .feed(bytes, |inflated| {
                        let mut plain = Vec::new();
                        splicer.feed(inflated, &mut plain)?;
                        written = std::mem::replace(&mut written, Ok(()))
                            .and_then(|()| deflater.write_all(&plain));
                        Ok(())
                    })
                    .map_err(Refusal::Fault)?;
                written.map_err(deflating)?;
                out.append(deflater.get_mut());
            }
        }
        self.bytes += self.out.len() as u64;
        Ok(&self.out)
    }

    /// The last of it.
    pub(super) fn finish(self) -> Result<Vec<u8>, Error> {
        let mut rest = Vec::new();
        self.splicer.finish(&mut rest).map_err(Refusal::Fault)?;
        let Some((inflater, mut deflater)) = self.around else {
            return Ok(rest);
        };
        inflater.finish().map_err(Refusal::Fault)?;
        deflater.write_all(&rest).map_err(deflating)?;
        let mut out = deflater.finish().map_err(deflating)?;
        // Of even length (PS3.5 §A.5).
        if (self.bytes + out.len() as u64) % 2 == 1 {
            out.push(0);
        }
        Ok(out)
    }
}

fn deflating(cause: io::Error) -> Error {
    Error::broken("deflating a data set", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(door: Door, sender: &str) -> Origin {
        Origin {
            door,
            sender: sender.into(),
            peer: "".into(),
        }
    }

    fn coercion(rules: &[&str]) -> Coercion {
        Coercion {
            modifying_system: "OVERREAD".into(),
            rules: rules
                .iter()
                .map(|rule| Rule::parse(rule).unwrap())
                .collect(),
        }
    }

    fn held(tag: Tag, value: &str) -> RootValue {
        RootValue {
            tag,
            vr: VR::LO,
            bytes: Some(value.into()),
        }
    }

    #[test]
    fn rules_are_sentences_about_texts() {
        for good in [
            "InstitutionName = Haus am See",
            "IssuerOfPatientID?=KSA",
            "from CT 1: StationName = CT1",
            "via stow: Modality = CT",
            "from CT1 via dimse: PatientSex ?= O",
            "StudyDescription = a: b = c",
            "StudyDate ?= 20260102",
            "PatientAge = 042Y",
        ] {
            assert!(Rule::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "InstitutionName",
            "InstitutionName =",
            "NoSuchKeyword = 1",
            "StudyInstanceUID = 1.2",
            "SOPInstanceUID = 1.2",
            "SpecificCharacterSet = ISO_IR 192",
            "PhotometricInterpretation = RGB",
            "NumberOfFrames = 2",
            "Rows = 2",
            "InstitutionName = Zürich",
            "InstitutionName = a\\b",
            "StudyDate = yesterday",
            "Modality = ct",
            "PatientAge = Y",
            "StationName = longer than sixteen",
            "via door: Modality = CT",
            "CT1: Modality = CT",
            "ModifyingSystem = X",
        ] {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_changes_what_it_is_about_and_tells() {
        let institution = Tag(0x0008, 0x0080);
        let dimse = origin(Door::Dimse, "CT1");
        let changed = |rules: &[&str], found: &[RootValue], origin: &Origin| {
            let edits = coercion(rules).edits(origin, found, 0);
            match edits.get(&institution) {
                Some(Edit::Set(element)) => match &element.value {
                    Value::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
                    other => panic!("{other:?}"),
                },
                _ => {
                    assert!(edits.is_empty());
                    "-".to_owned()
                }
            }
        };
        let absent = "InstitutionName ?= A";
        let always = "InstitutionName = B";
        let old = [held(institution, "OLD ")];
        let empty = [held(institution, "  ")];
        assert_eq!(changed(&[absent], &[], &dimse), "A ");
        assert_eq!(changed(&[absent], &empty, &dimse), "A ");
        assert_eq!(changed(&[absent], &old, &dimse), "-");
        assert_eq!(changed(&[always], &old, &dimse), "B ");
        assert_eq!(changed(&[always], &[held(institution, "B")], &dimse), "-");
        assert_eq!(changed(&[absent, always], &[], &dimse), "B ");
        assert_eq!(changed(&[always, absent], &[], &dimse), "B ");
        assert_eq!(
            changed(&["from CT2: InstitutionName = C"], &[], &dimse),
            "-"
        );
        assert_eq!(
            changed(&["via stow: InstitutionName = C"], &[], &dimse),
            "-"
        );
        assert_eq!(
            changed(&["from CT1 via dimse: InstitutionName = C"], &[], &dimse),
            "C "
        );
        let too_long = RootValue {
            bytes: None,
            ..held(institution, "")
        };
        assert_eq!(changed(&[always], &[too_long], &dimse), "-");

        let edits = coercion(&[always]).edits(&dimse, &old, 1_767_348_672_345);
        let Some(Edit::Append(item)) = edits.get(&ORIGINAL_ATTRIBUTES) else {
            panic!("no original attributes");
        };
        assert_eq!(
            item.text(Tag(0x0400, 0x0562)),
            Some("20260102101112.345+0000")
        );
        assert_eq!(item.text(Tag(0x0400, 0x0563)), Some("OVERREAD"));
        assert_eq!(item.text(Tag(0x0400, 0x0564)), Some("CT1"));
        assert_eq!(item.text(Tag(0x0400, 0x0565)), Some("COERCE"));
        let Some(Value::Items(items)) = item.get(Tag(0x0400, 0x0550)).map(|e| &e.value) else {
            panic!("no modified attributes");
        };
        assert_eq!(items[0].text(institution), Some("OLD"));
    }
}
