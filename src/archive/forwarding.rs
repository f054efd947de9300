//! Where arriving studies go on to by configuration: rules, and which destinations an instance is
//! bound for. What is bound for one is queued in the transaction that stores it
//! ([`crate::archive::queue`]).
//!
//! A rule looks at one instance; the study of which one instance matches goes on as a whole, what is
//! there already and what comes later, so that reports, presentation states and series without the
//! attribute stay with their images. What came from a destination is not sent back to it.

use crate::archive::{Door, NewInstance};
use crate::dicom::AttributeId;
use crate::dicom::query::{Lists, Matching, Syntax, matches};

/// Rules are about UIDs of this attribute only; the others say which one, not what kind.
const SOP_CLASS_UID: &str = "SOPClassUID";

/// The longest AE title (PS3.5 §6.2); what other doors call senders is no longer.
const SENDER_BYTES_MAX: usize = 16;

/// Values as rules write them.
const SYNTAX: Syntax = Syntax {
    has_commas: false,
    has_empty_values: true,
    has_fuzzy_names: false,
    lists: Lists::Any,
};

/// `[forward]`, as far as storing needs it: nothing unless it is configured.
#[derive(Debug, Clone, Default)]
pub struct Forwarding {
    /// Nobody's name comes twice.
    pub destinations: Vec<Destination>,
    /// Each with the place of its destination.
    pub rules: Vec<(ForwardRule, usize)>,
    /// A study is stable when nothing has come for so long. Milliseconds.
    pub stable_ms: i64,
}

/// Where studies go on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// As the rules call it; the queue is kept under this name.
    pub name: Box<str>,
    /// Of a DICOM destination: what it calls itself when it sends to us.
    pub ae_title: Option<Box<str>>,
}

/// What a destination is to a new instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<'a> {
    /// See [`Destination::name`].
    pub destination: &'a str,
    /// A rule sends the instance's study there. If not, it goes only when its study goes already.
    pub is_matched: bool,
    /// The calling AE title whose C-STOREs do not go: the destination's own.
    pub not_from: Option<&'a str>,
}

/// The conditions of a rule: `[from SENDER] [via DOOR] [where KEYWORD = VALUE [and …]]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForwardRule {
    sender: Option<Box<str>>,
    door: Option<Door>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
struct Condition {
    attribute: AttributeId,
    matching: Matching,
    /// `!=`
    is_negated: bool,
}

impl ForwardRule {
    /// Reads a whole rule, `CONDITIONS -> DESTINATION`; gives the name of the destination too.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever wrote it.
    pub fn parse(text: &str) -> Result<(Self, &str), &'static str> {
        let (left, destination) = text
            .rsplit_once("->")
            .ok_or("must be CONDITIONS -> DESTINATION")?;
        let destination = destination.trim();
        if destination.is_empty() {
            return Err("names no destination after ->");
        }
        // With a space on either side, so that words are found whole.
        let left = format!(
            " {} ",
            left.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        let (left, conditions) = match left.split_once(" where ") {
            Some((left, conditions)) => (format!("{left} "), read_conditions(conditions)?),
            None => (left, Vec::new()),
        };
        let (left, door) = match left.split_once(" via ") {
            Some((left, door)) => (format!("{left} "), Some(read_door(door.trim())?)),
            None => (left, None),
        };
        let sender = match left.strip_prefix(" from ").map(str::trim) {
            Some("") => return Err("has no sender after from"),
            // A misspelled "where" must not become part of a name that nobody has.
            Some(sender) if sender.len() > SENDER_BYTES_MAX || sender.contains('=') => {
                return Err("has a sender that is no AE title; conditions stand after where");
            }
            Some(sender) => Some(sender.into()),
            None if left.trim().is_empty() => None,
            None => return Err("begins with something other than from, via, where or ->"),
        };
        let rule = Self {
            sender,
            door,
            conditions,
        };
        Ok((rule, destination))
    }

    fn holds(&self, new: &NewInstance) -> bool {
        let origin = &new.origin;
        self.sender.as_ref().is_none_or(|s| **s == *origin.sender)
            && self.door.is_none_or(|door| door == origin.door)
            && self.conditions.iter().all(|condition| condition.holds(new))
    }
}

fn read_door(text: &str) -> Result<Door, &'static str> {
    match text {
        "dimse" => Ok(Door::Dimse),
        "stow" => Ok(Door::Stow),
        "import" => Ok(Door::Import),
        "case" => Ok(Door::Case),
        _ => Err("knows the doors dimse, stow, import and case only"),
    }
}

fn read_conditions(text: &str) -> Result<Vec<Condition>, &'static str> {
    let mut texts: Vec<String> = Vec::new();
    for part in text.split(" and ") {
        match texts.last_mut() {
            // A value may have an "and" in it, a condition has its equals sign.
            Some(before) if !part.contains('=') => *before = format!("{before} and {part}"),
            _ => texts.push(part.to_owned()),
        }
    }
    texts.iter().map(|text| Condition::parse(text)).collect()
}

impl Condition {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (keyword, value) = text
            .split_once('=')
            .ok_or("has a condition that is not KEYWORD = VALUE or KEYWORD != VALUE")?;
        let (keyword, is_negated) = match keyword.trim_end().strip_suffix('!') {
            Some(keyword) => (keyword, true),
            None => (keyword, false),
        };
        let (keyword, value) = (keyword.trim(), value.trim());
        let attribute = AttributeId::of_keyword(keyword)
            .filter(|id| id.attribute().vr != dicom_core::VR::UI || keyword == SOP_CLASS_UID)
            .ok_or(
                "names an attribute that no rule can look at: those of the search keys can, such as Modality, \
                 BodyPartExamined, StudyDescription, StationName, InstitutionName or SOPClassUID, not UIDs of one object",
            )?;
        if value.is_empty() {
            return Err("has a condition without a value; \"\" stands for an absent or empty one");
        }
        let matching = Matching::parse(attribute.attribute().vr, value, SYNTAX)
            .map_err(|_| "has a value that its attribute cannot have")?;
        Ok(Self {
            attribute,
            matching,
            is_negated,
        })
    }

    fn holds(&self, new: &NewInstance) -> bool {
        let attribute = self.attribute.attribute();
        let value = match attribute.keyword {
            SOP_CLASS_UID => Some(new.header.sop_class_uid.as_str()),
            _ => new.header.attributes.get(self.attribute),
        };
        matches(&self.matching, attribute.vr, value) != self.is_negated
    }
}

impl Forwarding {
    /// What each destination is to an instance; the one that it came from is left out.
    pub(super) fn bound(&self, new: &NewInstance) -> Vec<Bound<'_>> {
        let is_from = |ae_title: &Option<Box<str>>| {
            new.origin.door == Door::Dimse && ae_title.as_deref() == Some(&*new.origin.sender)
        };
        self.destinations
            .iter()
            .enumerate()
            .filter(|(_, destination)| !is_from(&destination.ae_title))
            // What no rule names any more gets what is queued for it, and nothing new.
            .filter(|(place, _)| self.rules.iter().any(|(_, to)| to == place))
            .map(|(place, destination)| Bound {
                destination: &destination.name,
                is_matched: self
                    .rules
                    .iter()
                    .any(|(rule, to)| *to == place && rule.holds(new)),
                not_from: destination.ae_title.as_deref(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Locator, Origin};
    use crate::dicom::{AttributeValues, FrameMap, Header, Uid};

    fn instance(door: Door, sender: &str, values: &[(&str, &str)]) -> NewInstance {
        let uid = |text| Uid::parse(text).unwrap();
        let mut attributes = AttributeValues::default();
        for (keyword, value) in values {
            attributes.set(AttributeId::of_keyword(keyword).unwrap(), *value);
        }
        NewInstance {
            header: Header {
                sop_class_uid: uid("1.2.840.10008.5.1.4.1.1.2"),
                sop_instance_uid: uid("1.1.1.1"),
                study_instance_uid: uid("1.1"),
                series_instance_uid: uid("1.1.1"),
                attributes,
                sequences: Vec::new(),
                sequence_json: Vec::new(),
                frames: FrameMap::Encapsulated(Default::default()),
                bulk: Vec::new(),
                metadata: Vec::new(),
                dataset_bytes: 0,
            },
            transfer_syntax_uid: uid("1.2.840.10008.1.2.1"),
            locator: Locator {
                file: 1,
                offset: 0,
                length: 0,
            },
            dataset_offset: 0,
            digest: [0; 32],
            received_digest: [0; 32],
            origin: Origin {
                door,
                sender: sender.into(),
                peer: "".into(),
            },
            received_at_ms: 0,
            made: crate::archive::index::Made::default(),
        }
    }

    #[test]
    fn rules_hold_for_what_they_say() {
        let chest = instance(
            Door::Dimse,
            "CT 1",
            &[
                ("Modality", "CT"),
                ("BodyPartExamined", "CHEST"),
                ("StudyDescription", "Head and Neck = both"),
                ("InstitutionName", "Müller\\Haus"),
            ],
        );
        for (rule, holds) in [
            ("-> x", true),
            ("from CT 1 -> x", true),
            ("from CT -> x", false),
            ("via dimse -> x", true),
            ("via stow -> x", false),
            ("from CT 1 via dimse where Modality = CT -> x", true),
            ("from CT 1 via import where Modality = CT -> x", false),
            ("where Modality = MR\\CT -> x", true),
            ("where Modality = MR -> x", false),
            ("where Modality != MR -> x", true),
            ("where Modality != CT -> x", false),
            ("where BodyPartExamined = CH?S* -> x", true),
            (
                "where Modality = CT and BodyPartExamined = HEAD -> x",
                false,
            ),
            ("where StudyDescription = *Head and Neck* -> x", true),
            ("where InstitutionName = Haus -> x", true),
            ("where StationName = \"\" -> x", true),
            ("where StationName != \"\" -> x", false),
            ("where SOPClassUID = 1.2.840.10008.5.1.4.1.1.2 -> x", true),
            ("where SOPClassUID = 1.2.840.10008.5.1.4.1.1.4 -> x", false),
        ] {
            let (read, destination) = ForwardRule::parse(rule).unwrap();
            assert_eq!((read.holds(&chest), destination), (holds, "x"), "{rule}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for rule in [
            "Modality = CT",
            "from CT1 ->",
            "Modality = CT -> x",
            "from -> x",
            "from CT1 wehre Modality = CT -> x",
            "from CT1 whee A=B -> x",
            "from SEVENTEEN LETTERS -> x",
            "via fax -> x",
            "where -> x",
            "where Modality -> x",
            "where Modality = -> x",
            "where Colour = red -> x",
            "where SOPInstanceUID = 1.2 -> x",
            "where StudyDate = yesterday -> x",
        ] {
            assert!(ForwardRule::parse(rule).is_err(), "{rule}");
        }
        let (_, url) = ForwardRule::parse("-> https://a:8042/dicom-web").unwrap();
        assert_eq!(url, "https://a:8042/dicom-web");
    }

    #[test]
    fn what_came_from_a_destination_is_not_bound_for_it() {
        let destination = |name: &str, ae_title: Option<&str>| Destination {
            name: name.into(),
            ae_title: ae_title.map(Into::into),
        };
        let forwarding = Forwarding {
            destinations: vec![
                destination("archive", Some("PACS")),
                destination("cloud", None),
                destination("nowhere, since its rule is gone", None),
            ],
            rules: vec![
                (ForwardRule::parse("-> archive").unwrap().0, 0),
                (
                    ForwardRule::parse("where Modality = CT -> cloud")
                        .unwrap()
                        .0,
                    1,
                ),
            ],
            stable_ms: 0,
        };
        let bound = |new: &NewInstance| -> Vec<(String, bool)> {
            let bound = forwarding.bound(new);
            let pair = |b: &Bound<'_>| (b.destination.to_owned(), b.is_matched);
            bound.iter().map(pair).collect()
        };
        let cloud = |is_matched| ("cloud".to_owned(), is_matched);
        let archive = ("archive".to_owned(), true);
        assert_eq!(
            bound(&instance(Door::Dimse, "CT1", &[("Modality", "CT")])),
            [archive.clone(), cloud(true)]
        );
        assert_eq!(bound(&instance(Door::Dimse, "PACS", &[])), [cloud(false)]);
        // Only a calling AE title says who it was.
        assert_eq!(
            bound(&instance(Door::Stow, "PACS", &[])),
            [archive, cloud(false)]
        );
    }
}
