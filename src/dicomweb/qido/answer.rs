//! The answers of a search (PS3.18 §10.6.3): which attributes stand in them, and
//! their values from the index.

use bytes::Bytes;
use dicom_core::{Tag, VR};

use super::super::call::url_of;
use super::super::notation::Notation;
use crate::access::Scope;
use crate::archive::{Archive, Error, Row, Target};
use crate::dicom::json::write::tag_digits;
use crate::dicom::json::{prepared, splice_base, write_attribute, write_string};
use crate::dicom::modules::level_of;
use crate::dicom::query::{FACTS, Fact, Field, data, is_fact};
use crate::dicom::{ATTRIBUTES, AttributeId, Level, SEQUENCES, Uid};

/// Answers are sent on in pieces of about this size. Bytes.
const PIECE_BYTES: usize = 128 * 1024;
/// About what one answer takes. Bytes.
const ROW_BYTES: usize = 1024;

/// Attributes of the tables that are left out when they have no value ("C" in Tables 10.6.3-3 to
/// 10.6.3-5); the others are then shown empty.
const CONDITIONAL: &[Tag] = &[
    Tag(0x0008, 0x0201),
    Tag(0x0008, 0x103E),
    Tag(0x0028, 0x0008),
    Tag(0x0028, 0x0010),
    Tag(0x0028, 0x0011),
    Tag(0x0028, 0x0100),
    Tag(0x0040, 0x0244),
    Tag(0x0040, 0x0245),
];
const TIMEZONE: Tag = Tag(0x0008, 0x0201);

/// Whether an attribute without a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenEmpty {
    Shown,
    LeftOut,
}

/// Which attributes stand in each answer of one search.
#[derive(Debug)]
pub(super) struct Plan {
    level: Level,
    attributes: Vec<(AttributeId, WhenEmpty)>,
    /// Positions in `SEQUENCES`.
    sequences: Vec<u8>,
    facts: Vec<(Tag, Fact)>,
    /// Attributes outside the index, looked up in the prepared metadata of instances, with their
    /// private creators.
    others: Vec<(Tag, Option<Box<str>>)>,
    /// Everything that the metadata say of the level and those above (`includefield=all`).
    has_all: bool,
}

impl Plan {
    /// What the tables ask for at `level`, below the study and series that the path names. The path's
    /// own UIDs are match attributes, so they stand in the answers.
    pub(super) fn new(level: Level, (study, series): &(Option<Uid>, Option<Uid>)) -> Self {
        // The levels above come along when the path does not fix them (Table 10.6.1-4).
        let is_shown = |of: Level| {
            of == level
                || (of < level
                    && (if of == Level::Series {
                        series.is_none()
                    } else {
                        study.is_none()
                    }))
        };
        let mut plan = Self {
            level,
            attributes: Vec::new(),
            sequences: Vec::new(),
            facts: Vec::new(),
            others: Vec::new(),
            has_all: false,
        };
        for (place, row) in (0_u8..).zip(ATTRIBUTES) {
            let is_of_path = matches!(
                (row.keyword, study, series),
                ("StudyInstanceUID", Some(_), _) | ("SeriesInstanceUID", _, Some(_))
            );
            if is_of_path || (row.is_default && (is_shown(row.level) || row.tag == TIMEZONE)) {
                let is_conditional = CONDITIONAL.contains(&row.tag);
                let when_empty = if is_conditional {
                    WhenEmpty::LeftOut
                } else {
                    WhenEmpty::Shown
                };
                plan.attributes.push((AttributeId(place), when_empty));
            }
        }
        for (place, row) in (0_u8..).zip(SEQUENCES) {
            if row.is_default && is_shown(row.level) {
                plan.sequences.push(place);
            }
        }
        for (tag, fact, levels, _) in FACTS {
            if levels.iter().any(|of| is_shown(*of)) {
                plan.facts.push((*tag, *fact));
            }
        }
        plan
    }

    /// Whether prepared metadata are read for each answer.
    pub(super) fn reads_metadata(&self) -> bool {
        !self.others.is_empty() || self.has_all
    }

    /// Adds what a match attribute or an `includefield` names; of what lies in a sequence, the
    /// sequence. Attributes of a lower level are not returned (PS3.18 §10.6.3.3).
    pub(super) fn include(&mut self, field: Field, creator: Option<Box<str>>) {
        if let Field::Other(path) = &field
            && let Some(tag) = path.first().copied()
            && is_fact(tag)
        {
            return self.include_fact(tag);
        }
        if field.level() > self.level {
            return;
        }
        match field {
            Field::Attribute(id) => {
                self.attributes.retain(|(known, _)| *known != id);
                self.attributes.push((id, WhenEmpty::Shown));
            }
            Field::Sequence(place) | Field::SequenceItem(place, _) => {
                push_new(&mut self.sequences, place)
            }
            Field::ModalitiesInStudy => self.include_fact(Tag(0x0008, 0x0061)),
            Field::SopClassesInStudy => self.include_fact(Tag(0x0008, 0x0062)),
            Field::Other(path) => {
                if let Some(tag) = path.first() {
                    push_new(&mut self.others, (*tag, creator));
                }
            }
        }
    }

    /// Adds everything that is known of the level and those above (`includefield=all`).
    pub(super) fn include_all(&mut self) {
        self.has_all = true;
        for (place, row) in (0_u8..).zip(ATTRIBUTES) {
            if row.level <= self.level && !self.attributes.iter().any(|(id, _)| id.0 == place) {
                self.attributes
                    .push((AttributeId(place), WhenEmpty::LeftOut));
            }
        }
        for (place, row) in (0_u8..).zip(SEQUENCES) {
            if row.level <= self.level {
                push_new(&mut self.sequences, place);
            }
        }
        for (tag, ..) in FACTS {
            self.include_fact(*tag);
        }
    }

    /// What stands in each answer from the index, in ascending order of tags, each once.
    fn members(&self) -> Vec<(Tag, Member)> {
        let attributes = self.attributes.iter().map(|(id, when_empty)| {
            let member = Member::Attribute(*id, *when_empty);
            (id.attribute().tag, member)
        });
        let sequences = self.sequences.iter().map(|place| {
            let tag = SEQUENCES[usize::from(*place)].tag;
            (tag, Member::Sequence(*place))
        });
        let facts = self
            .facts
            .iter()
            .map(|(tag, fact)| (*tag, Member::Fact(*fact)));
        let mut members: Vec<_> = attributes.chain(sequences).chain(facts).collect();
        members.sort_by_key(|(tag, _)| *tag);
        members.dedup_by_key(|(tag, _)| *tag);
        members
    }

    fn include_fact(&mut self, tag: Tag) {
        let row = FACTS
            .iter()
            .find(|(known, _, _, level)| *known == tag && *level <= self.level);
        if let Some((tag, fact, ..)) = row {
            push_new(&mut self.facts, (*tag, *fact));
        }
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, new: T) {
    if !list.contains(&new) {
        list.push(new);
    }
}

/// A member of every answer.
#[derive(Debug, Clone, Copy)]
enum Member {
    Attribute(AttributeId, WhenEmpty),
    /// Position in `SEQUENCES`.
    Sequence(u8),
    Fact(Fact),
}

/// The rows of one search, in pieces.
pub(super) struct Answers {
    archive: Archive,
    scope: Scope,
    base: String,
    notation: Notation,
    plan: Plan,
    /// What the plan shows from the index, in ascending order of tags, each once.
    members: Vec<(Tag, Member)>,
    rows: std::vec::IntoIter<Row>,
    is_begun: bool,
    is_done: bool,
}

impl Answers {
    pub(super) fn new(
        archive: Archive,
        scope: Scope,
        base: String,
        notation: Notation,
        plan: Plan,
        rows: Vec<Row>,
    ) -> Self {
        Self {
            archive,
            scope,
            base,
            notation,
            members: plan.members(),
            plan,
            rows: rows.into_iter(),
            is_begun: false,
            is_done: false,
        }
    }

    fn piece(&mut self) -> Result<Bytes, Error> {
        let expected = self.rows.len().saturating_mul(ROW_BYTES);
        let mut out = Vec::with_capacity(expected.min(PIECE_BYTES) + PIECE_BYTES / 8);
        let mut object = Vec::with_capacity(2 * ROW_BYTES);
        while out.len() < PIECE_BYTES {
            let Some(row) = self.rows.next() else {
                self.notation.end(&mut out);
                self.is_done = true;
                break;
            };
            object.clear();
            self.write(&mut object, &row)?;
            self.notation.write(&mut out, !self.is_begun, "", &object)?;
            self.is_begun = true;
        }
        Ok(Bytes::from(out))
    }

    /// One row as an object, its members in ascending order of their tags (PS3.18 §F.2.2).
    fn write(&self, out: &mut Vec<u8>, row: &Row) -> Result<(), Error> {
        let target = row.target(self.plan.level)?;
        let mut others = self.others(&target)?;
        others.sort_by_key(|(tag, _)| *tag);
        others.dedup_by_key(|(tag, _)| *tag);
        let mut others = others.into_iter().peekable();
        out.push(b'{');
        for (tag, member) in &self.members {
            while let Some((before, found)) = others.next_if(|(other, _)| other < tag) {
                write_name(out, before);
                out.extend_from_slice(&found);
            }
            let begin = out.len();
            write_name(out, *tag);
            if self.write_member(out, *member, row, &target) {
                // The index speaks first.
                others.next_if(|(other, _)| other == tag);
            } else {
                out.truncate(begin);
            }
        }
        for (tag, found) in others {
            write_name(out, tag);
            out.extend_from_slice(&found);
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes a member; false, with nothing or a part of it written, when it is left out.
    fn write_member(&self, out: &mut Vec<u8>, member: Member, row: &Row, target: &Target) -> bool {
        match member {
            Member::Attribute(id, when_empty) => {
                let value = row.attributes.get(id).unwrap_or_default();
                write_attribute(out, id.attribute(), value);
                !value.is_empty() || when_empty == WhenEmpty::Shown
            }
            Member::Sequence(place) => {
                let found = row.sequence_json.iter().find(|(known, _)| *known == place);
                let Some((_, items)) = found else {
                    return false;
                };
                out.extend_from_slice(br#"{"vr":"SQ","Value":"#);
                splice_base(items.as_bytes(), &self.base, out);
                out.push(b'}');
                true
            }
            Member::Fact(fact) => write_fact(out, fact, row, &self.base, target),
        }
    }

    /// Attributes outside the index, from the prepared metadata of the instance, or of the first of
    /// the series or study.
    fn others(&self, target: &Target) -> Result<Vec<(Tag, Vec<u8>)>, Error> {
        let mut members = Vec::new();
        if !self.plan.reads_metadata() {
            return Ok(members);
        }
        let Some(prepared) = self.archive.metadata(target, &self.scope, None, 1)?.pop() else {
            return Ok(members);
        };
        let mut write = |tag: Tag, found: &[u8]| {
            let mut member = Vec::with_capacity(found.len());
            splice_base(found, &self.base, &mut member);
            members.push((tag, member));
        };
        for (tag, creator) in &self.plan.others {
            let mut tags = [Some(*tag), None];
            if let Some(creator) = creator {
                // A private attribute is worth nothing without the creator of its block.
                let block = data::block_of(&prepared.metadata, *tag, creator);
                tags = [
                    block.map(|block| data::in_block(*tag, block)),
                    block.map(|block| Tag(tag.group(), block.into())),
                ];
            }
            for tag in tags.into_iter().flatten() {
                if let Some(found) = data::member(&prepared.metadata, tag, None) {
                    write(tag, found);
                }
            }
        }
        if self.plan.has_all {
            for (tag, found) in prepared::tagged_members(&prepared.metadata) {
                // What the index keeps was written as the index has it.
                let is_indexed = AttributeId::of_tag(tag).is_some()
                    || SEQUENCES.iter().any(|sequence| sequence.tag == tag);
                if !is_indexed && !is_fact(tag) && level_of(tag) <= self.plan.level {
                    write(tag, found);
                }
            }
        }
        Ok(members)
    }
}

impl Iterator for Answers {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.is_done).then(|| self.piece())
    }
}

/// `"GGGGEEEE":`, after a comma where another member stands before it.
fn write_name(out: &mut Vec<u8>, tag: Tag) {
    if out.len() > 1 {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(&tag_digits(tag));
    out.extend_from_slice(b"\":");
}

/// Writes the member of a fact; false when there is nothing to tell. An empty ModalitiesInStudy is
/// never shown: OHIF's study list dies of it.
fn write_fact(out: &mut Vec<u8>, fact: Fact, row: &Row, base: &str, target: &Target) -> bool {
    match fact {
        Fact::InstanceAvailability => write_texts(out, VR::CS, ["ONLINE"]),
        Fact::ModalitiesInStudy => write_texts(out, VR::CS, &row.modalities_in_study),
        Fact::SopClassesInStudy => write_texts(out, VR::UI, &row.sop_classes_in_study),
        Fact::RetrieveUrl => write_texts(out, VR::UR, [url_of(base, target)]),
        Fact::AvailableTransferSyntax => write_texts(
            out,
            VR::UI,
            row.transfer_syntax_uid.as_ref().map(Uid::as_str),
        ),
        Fact::StudiesOfPatient => write_number(out, row.studies_of_patient),
        Fact::SeriesOfStudy => write_number(out, row.series_of_study),
        Fact::InstancesOfStudy => write_number(out, row.instances_of_study),
        Fact::InstancesOfSeries => write_number(out, row.instances_of_series),
    }
}

fn write_texts<T: AsRef<str>>(
    out: &mut Vec<u8>,
    vr: VR,
    values: impl IntoIterator<Item = T>,
) -> bool {
    out.extend_from_slice(br#"{"vr":""#);
    out.extend_from_slice(vr.to_string().as_bytes());
    out.extend_from_slice(br#"","Value":["#);
    let begin = out.len();
    for value in values {
        if out.len() > begin {
            out.push(b',');
        }
        write_string(out, value.as_ref());
    }
    let is_any = out.len() > begin;
    out.extend_from_slice(b"]}");
    is_any
}

fn write_number(out: &mut Vec<u8>, value: u64) -> bool {
    out.extend_from_slice(br#"{"vr":"IS","Value":["#);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"]}");
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The tags that a plan can show, conditional ones too.
    fn tags(plan: &Plan) -> BTreeSet<String> {
        let attributes = plan.attributes.iter().map(|(id, _)| id.attribute().tag);
        let sequences = plan
            .sequences
            .iter()
            .map(|place| SEQUENCES[usize::from(*place)].tag);
        let facts = plan.facts.iter().map(|(tag, _)| *tag);
        let others = plan.others.iter().map(|(tag, _)| *tag);
        let all = attributes.chain(sequences).chain(facts).chain(others);
        all.map(|Tag(group, element)| format!("{group:04X}{element:04X}"))
            .collect()
    }

    fn set(text: &str) -> BTreeSet<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn plan(level: Level, study: bool, series: bool) -> Plan {
        let uid = || Uid::parse("1.2").ok();
        Plan::new(
            level,
            &(study.then(uid).flatten(), series.then(uid).flatten()),
        )
    }

    // PS3.18 Tables 10.6.3-3, 10.6.3-4, 10.6.3-5.
    const STUDY: &str = "00080020 00080030 00080050 00080056 00080061 00080090 00080201 00081190 \
                         00100010 00100020 00100030 00100040 0020000D 00200010 00201206 00201208";
    const SERIES: &str =
        "00080060 00080201 0008103E 00081190 0020000E 00200011 00201209 00400244 00400245 00400275";
    const INSTANCE: &str =
        "00080016 00080018 00080056 00080201 00081190 00200013 00280008 00280010 00280011 00280100";

    #[test]
    fn each_resource_answers_with_the_attributes_of_its_tables() {
        assert_eq!(tags(&plan(Level::Study, false, false)), set(STUDY));
        assert_eq!(
            tags(&plan(Level::Series, false, false)),
            set(&[STUDY, SERIES].join(" "))
        );
        assert_eq!(
            tags(&plan(Level::Series, true, false)),
            set(&[SERIES, "0020000D"].join(" "))
        );
        assert_eq!(
            tags(&plan(Level::Instance, false, false)),
            set(&[STUDY, SERIES, INSTANCE].join(" "))
        );
        assert_eq!(
            tags(&plan(Level::Instance, true, false)),
            set(&[SERIES, INSTANCE, "0020000D"].join(" "))
        );
        assert_eq!(
            tags(&plan(Level::Instance, true, true)),
            set(&[INSTANCE, "0020000D 0020000E"].join(" "))
        );
    }

    #[test]
    fn more_is_shown_when_it_is_asked_for_unless_it_lies_below() {
        let mut plan = plan(Level::Study, false, false);
        for name in [
            "StudyDescription",
            "SOPClassesInStudy",
            "ProcedureCodeSequence",
            "00201200",
        ] {
            plan.include(Field::read(name).unwrap(), None);
        }
        for below in [
            "00080060",
            "00083002",
            "00201209",
            "RequestAttributesSequence",
            "SliceThickness",
            "DeviceSerialNumber",
            "00091010",
        ] {
            plan.include(Field::read(below).unwrap(), None);
        }
        assert_eq!(
            tags(&plan),
            set(&[STUDY, "00081030 00080062 00081032 00201200"].join(" "))
        );
        for name in ["PatientComments", "OtherPatientIDsSequence.PatientID"] {
            plan.include(Field::read(name).unwrap(), None);
        }
        assert!(tags(&plan).is_superset(&set("00101002 00104000")));

        let mut plan = self::plan(Level::Instance, true, true);
        for name in ["00083002", "PatientComments", "00091010"] {
            plan.include(Field::read(name).unwrap(), None);
        }
        assert_eq!(
            tags(&plan),
            set(&[INSTANCE, "0020000D 0020000E 00083002 00104000 00091010"].join(" "))
        );
    }

    #[test]
    fn all_is_everything_of_the_level_and_above() {
        let mut plan = plan(Level::Series, true, false);
        plan.include_all();
        let all = tags(&plan);
        for (place, row) in (0_u8..).zip(ATTRIBUTES) {
            let Tag(group, element) = AttributeId(place).attribute().tag;
            assert_eq!(
                all.contains(&format!("{group:04X}{element:04X}")),
                row.level <= Level::Series,
                "{}",
                row.keyword
            );
        }
        assert!(!all.contains("00083002"));
    }

    #[test]
    fn facts_are_told_in_their_vr_and_modalities_never_empty() {
        let mut row = Row {
            series_of_study: 3,
            ..Row::default()
        };
        let target = Target::Study(Uid::parse("1.2").unwrap());
        let text = |fact, row: &Row| {
            let mut out = Vec::new();
            let is_told = write_fact(&mut out, fact, row, "http://h/dicom-web", &target);
            is_told.then(|| String::from_utf8(out).unwrap())
        };
        assert_eq!(text(Fact::ModalitiesInStudy, &row), None);
        row.modalities_in_study = vec!["CT".into(), "PT".into()];
        assert_eq!(
            text(Fact::ModalitiesInStudy, &row).unwrap(),
            r#"{"vr":"CS","Value":["CT","PT"]}"#
        );
        assert_eq!(
            text(Fact::SeriesOfStudy, &row).unwrap(),
            r#"{"vr":"IS","Value":[3]}"#
        );
        let url = r#"{"vr":"UR","Value":["http://h/dicom-web/studies/1.2"]}"#;
        assert_eq!(text(Fact::RetrieveUrl, &row).unwrap(), url);
    }
}
