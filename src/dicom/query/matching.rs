//! The matching rules of PS3.4 §C.2.2.2, as pure functions: reading a key's text into a
//! [`Matching`], and judging a value by it. QIDO-RS, C-FIND and the shell read keys here; every
//! index must find what [`matches()`] finds.
//!
//! Choices where the standard leaves one: person names match without case, accents, width and
//! trailing empty components, in any of their groups; IS, DS and binary numbers match as numbers;
//! all other values case-sensitively. A value that is absent or empty matches nothing but
//! [`Matching::Universal`] and [`Matching::Empty`] (we do not follow PS3.4 §C.2.2.1.2, by which
//! an unknown required key matches every search). Names match fuzzily by [`sound`], and only where
//! the key has no wildcards: those stay wildcards. An attribute is found by its first [`FINDABLE_VALUES_MAX`] values: what a single instance adds to an
//! index must have an end.

use dicom_core::VR;

use crate::dicom::query::Matching;
use crate::dicom::query::moment::{moments, normal_date, normal_date_time, normal_time};
use crate::dicom::{Uid, charset, person_name, sound};

/// How a door writes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax {
    /// Whether a comma separates values too, as in a URL (PS3.18 §8.3.4.1).
    pub has_commas: bool,
    /// Whether `""` asks for values that are absent or empty (PS3.4 §C.2.2.2.7).
    pub has_empty_values: bool,
    /// Whether names without wildcards match by sound (PS3.4 §C.2.2.2.1.1).
    pub has_fuzzy_names: bool,
    /// What several values of another VR than UI mean.
    pub lists: Lists,
}

/// What several values in a key mean. Several UIDs are always alternatives (PS3.4 §C.2.2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// Nothing: the standard leaves it undefined.
    Refused,
    /// One of them is enough.
    Any,
    /// Multiple value matching (PS3.4 §C.2.2.2.8): the attribute has each of them.
    All,
}

impl Syntax {
    /// C-FIND: backslashes only.
    pub const DIMSE: Self = Self {
        has_commas: false,
        has_empty_values: false,
        has_fuzzy_names: false,
        lists: Lists::Any,
    };
    /// QIDO-RS without its three parameters.
    pub const WEB: Self = Self {
        has_commas: true,
        has_empty_values: false,
        has_fuzzy_names: false,
        lists: Lists::Refused,
    };
}

/// The most values of one attribute that it is found by.
pub const FINDABLE_VALUES_MAX: usize = 64;

/// The part of a value, of a VR that allows several, that it is found by.
#[must_use]
pub fn findable(value: &str) -> &str {
    let end = memchr::memchr_iter(b'\\', value.as_bytes()).nth(FINDABLE_VALUES_MAX - 1);
    &value[..end.unwrap_or(value.len())]
}

/// Why a text is no key for its VR. Holds no part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// Neither a date nor a range of dates.
    #[error("not a date YYYYMMDD or a range of dates")]
    Date,
    /// Neither a time nor a range of times.
    #[error("not a time HHMMSS.FFFFFF (or its beginning) or a range of times")]
    Time,
    /// Neither a date-time nor a range of date-times.
    #[error(
        "not a date-time YYYYMMDDHHMMSS.FFFFFF&ZZXX (or its beginning) or a range of date-times"
    )]
    DateTime,
    /// The second end of a range lies before the first.
    #[error("the range ends before it begins")]
    Backwards,
    /// Not a UID or a list of UIDs.
    #[error("not a UID or a list of UIDs")]
    Uid,
    /// Not a number.
    #[error("not a number")]
    Number,
    /// A pattern inside a list.
    #[error("a list cannot hold wildcards")]
    WildcardInList,
    /// Several values where one is meant.
    #[error("several values need multiplevaluematching=true, and a text, code or name attribute")]
    List,
    /// A value for a sequence.
    #[error("a sequence is matched by the attributes in its items")]
    Sequence,
}

impl Matching {
    /// Reads the text of a key for an attribute of this VR.
    ///
    /// # Errors
    /// When the VR does not allow such a text.
    pub fn parse(vr: VR, text: &str, syntax: Syntax) -> Result<Self, MatchError> {
        let text = if charset::is_single_valued(vr) {
            text.trim_end_matches([' ', '\0'])
        } else {
            text.trim_matches([' ', '\0'])
        };
        if text.bytes().all(|b| b == b'*') {
            return Ok(Self::Universal);
        }
        if syntax.has_empty_values && text == "\"\"" {
            return Ok(Self::Empty);
        }
        match vr {
            VR::DA => parse_range(vr, text).ok_or(MatchError::Date)?.checked(),
            VR::TM => parse_range(vr, text).ok_or(MatchError::Time)?.checked(),
            VR::DT => parse_range(vr, text).ok_or(MatchError::DateTime)?.checked(),
            _ => parse_values(vr, text, syntax),
        }
    }

    fn checked(self) -> Result<Self, MatchError> {
        match &self {
            Self::Range(Some(first), Some(last)) if first > last => Err(MatchError::Backwards),
            _ => Ok(self),
        }
    }
}

/// A single moment, or a range: `a-b`, `a-`, `-b`. A hyphen may also begin the offset of a DT
/// (PS3.4 §C.2.2.2.5): the first reading that makes sense counts, one moment before two.
fn parse_range(vr: VR, text: &str) -> Option<Matching> {
    if moments(vr, text).is_some() {
        let text = normal_date(text)
            .filter(|_| vr == VR::DA)
            .unwrap_or_else(|| text.to_owned());
        return Some(Matching::Single(text.into()));
    }
    let first_end = |text: &str| match text {
        "" => Some(None),
        _ => moments(vr, text).map(|(first, _)| Some(first.into_boxed_str())),
    };
    let last_end = |text: &str| match text {
        "" => Some(None),
        _ => moments(vr, text).map(|(_, last)| Some(last.into_boxed_str())),
    };
    text.match_indices('-').find_map(|(at, _)| {
        let ends = (
            first_end(text[..at].trim_end())?,
            last_end(text[at + 1..].trim_start())?,
        );
        (ends != (None, None)).then_some(Matching::Range(ends.0, ends.1))
    })
}

/// One value, a list, or a pattern.
fn parse_values(vr: VR, text: &str, syntax: Syntax) -> Result<Matching, MatchError> {
    let separators: &[char] = match vr {
        _ if charset::is_single_valued(vr) => &[],
        _ if syntax.has_commas && (syntax.lists == Lists::All || !may_hold_commas(vr)) => {
            &['\\', ',']
        }
        _ => &['\\'],
    };
    if !text.contains(separators) {
        if allows_wildcards(vr) && text.contains(['*', '?']) {
            return Ok(Matching::Wildcard(text.into()));
        }
        check(vr, text)?;
        if vr == VR::PN && syntax.has_fuzzy_names {
            let keys = sound::asked(text);
            if !keys.is_empty() {
                return Ok(Matching::Sounds(keys));
            }
        }
        return Ok(Matching::Single(text.into()));
    }
    let is_allowed = match syntax.lists {
        Lists::Any => true,
        Lists::All => vr == VR::UI || allows_multiple_values(vr),
        Lists::Refused => vr == VR::UI,
    };
    if !is_allowed {
        return Err(MatchError::List);
    }
    let mut values = Vec::new();
    for value in text
        .split(separators)
        .map(str::trim)
        .filter(|value| !value.is_empty())
    {
        if allows_wildcards(vr) && value.contains(['*', '?']) {
            return Err(MatchError::WildcardInList);
        }
        check(vr, value)?;
        values.push(value.into());
    }
    Ok(if values.is_empty() {
        Matching::Universal
    } else if syntax.lists == Lists::All && vr != VR::UI {
        Matching::All(values)
    } else {
        Matching::List(values)
    })
}

/// Whether a comma can be a character of a value: elsewhere it only separates.
fn may_hold_commas(vr: VR) -> bool {
    !matches!(vr, VR::UI | VR::CS | VR::AS | VR::AT) && !is_number(vr)
}

/// The VRs of multiple value matching (PS3.4 §C.2.2.2.8).
fn allows_multiple_values(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE | VR::AS | VR::AT | VR::CS | VR::LO | VR::PN | VR::SH | VR::UC
    )
}

/// The VRs that wildcards work on (PS3.4 §C.2.2.2.4).
fn allows_wildcards(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE | VR::CS | VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UR | VR::UT
    )
}

fn is_number(vr: VR) -> bool {
    matches!(
        vr,
        VR::IS | VR::DS | VR::US | VR::SS | VR::UL | VR::SL | VR::UV | VR::SV | VR::FL | VR::FD
    )
}

fn check(vr: VR, value: &str) -> Result<(), MatchError> {
    match vr {
        VR::UI => Uid::parse(value).map(|_| ()).map_err(|_| MatchError::Uid),
        _ if is_number(vr) => number(value).map(|_| ()).ok_or(MatchError::Number),
        _ => Ok(()),
    }
}

/// A decimal text as a number, `None` when it is none or not finite.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim_matches([' ', '\0']);
    // Rust also reads "inf" and "nan".
    let is_decimal = text
        .bytes()
        .all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse()
        .ok()
        .filter(|n: &f64| is_decimal && n.is_finite())
}

/// Whether a value satisfies a key. `value` is as the index keeps it
/// ([`AttributeValues`](crate::dicom::AttributeValues)); of several values one is enough
/// (PS3.4 §C.2.2.3), among the first [`FINDABLE_VALUES_MAX`].
#[must_use]
pub fn matches(matching: &Matching, vr: VR, value: Option<&str>) -> bool {
    let value = value.unwrap_or("");
    if charset::is_single_valued(vr) {
        matches_list(matching, vr, value)
    } else {
        matches_list(matching, vr, findable(value))
    }
}

/// As [`matches()`], for a list that the index has put together: all its members count.
#[must_use]
pub fn matches_list(matching: &Matching, vr: VR, value: &str) -> bool {
    match matching {
        Matching::Universal => true,
        Matching::Empty => is_empty(value),
        _ if is_empty(value) => false,
        Matching::Sounds(keys) => sound::matches(keys, value),
        Matching::All(keys) => keys
            .iter()
            .all(|key| value.split('\\').any(|value| equals(vr, key, value))),
        _ if charset::is_single_valued(vr) => matches_one(matching, vr, value),
        _ => value
            .split('\\')
            .any(|value| matches_one(matching, vr, value)),
    }
}

fn is_empty(value: &str) -> bool {
    value.bytes().all(|b| matches!(b, b' ' | b'\\' | b'\0'))
}

fn matches_one(matching: &Matching, vr: VR, value: &str) -> bool {
    match matching {
        Matching::Universal => true,
        Matching::Empty => value.is_empty(),
        Matching::Single(key) => equals(vr, key, value),
        Matching::List(keys) => keys.iter().any(|key| equals(vr, key, value)),
        Matching::All(keys) => keys.iter().all(|key| equals(vr, key, value)),
        Matching::Sounds(keys) => sound::matches(keys, value),
        Matching::Wildcard(pattern) if vr == VR::PN => name_matches(pattern, value),
        Matching::Wildcard(pattern) => glob(pattern, value),
        Matching::Range(first, last) => {
            normal(vr, value).is_some_and(|at| lies_within(&at, first.as_deref(), last.as_deref()))
        }
    }
}

fn equals(vr: VR, key: &str, value: &str) -> bool {
    match vr {
        VR::PN => name_matches_exactly(key, value),
        VR::DA | VR::TM | VR::DT => match (moments(vr, key), normal(vr, value)) {
            (Some((first, last)), Some(at)) => lies_within(&at, Some(&first), Some(&last)),
            // A value that is no date can still be found by its very text.
            _ => key == value,
        },
        _ if is_number(vr) => match (number(key), number(value)) {
            (Some(key), Some(value)) => key == value,
            _ => key == value,
        },
        _ if charset::is_single_valued(vr) => key == value.trim_end_matches(' '),
        _ => key == value.trim_matches(' '),
    }
}

/// The first moment of a value, as the ends of a [`Matching::Range`] are written.
fn normal(vr: VR, value: &str) -> Option<String> {
    match vr {
        VR::DA => normal_date(value),
        VR::TM => normal_time(value),
        VR::DT => normal_date_time(value),
        _ => None,
    }
}

fn lies_within(at: &str, first: Option<&str>, last: Option<&str>) -> bool {
    first.is_none_or(|first| first <= at) && last.is_none_or(|last| at <= last)
}

/// Each group of the key equals some group of the name.
fn name_matches_exactly(key: &str, name: &str) -> bool {
    groups_equal(&person_name::folded(key), name)
}

/// Each group of the pattern fits some group of the name. A name counts as followed by as many
/// empty components as the pattern asks for: `Doe^*` finds `Doe`.
fn name_matches(pattern: &str, name: &str) -> bool {
    groups_fit(&person_name::folded(pattern), name)
}

fn groups_equal(keys: &[String], name: &str) -> bool {
    let groups = person_name::folded(name);
    !keys.is_empty() && keys.iter().all(|key| groups.contains(key))
}

fn groups_fit(patterns: &[String], name: &str) -> bool {
    let groups = person_name::folded(name);
    let carets = |text: &str| text.bytes().filter(|b| *b == b'^').count();
    patterns.iter().all(|pattern| {
        groups.iter().any(|group| {
            let missing = carets(pattern).saturating_sub(carets(group));
            glob(pattern, group)
                || missing > 0 && glob(pattern, &format!("{group}{}", "^".repeat(missing)))
        })
    })
}

/// A name that is asked for, folded once to be held against very many.
#[derive(Debug)]
pub struct NameKey {
    groups: Vec<String>,
    is_pattern: bool,
    /// The longest run of ASCII letters and digits in it: every name in ASCII that matches has it.
    run: String,
    /// The run that it begins with, when it is one group: every name of one group begins with it.
    lead: String,
}

impl NameKey {
    /// Of one name or one pattern; `None` of what else can be asked for.
    #[must_use]
    pub fn new(matching: &Matching) -> Option<Self> {
        let (text, is_pattern) = match matching {
            Matching::Single(text) => (text, false),
            Matching::Wildcard(text) => (text, true),
            _ => return None,
        };
        let groups = person_name::folded(text);
        let runs = groups
            .iter()
            .flat_map(|group| group.split(|c: char| !c.is_ascii_alphanumeric()));
        let run = runs.max_by_key(|run| run.len()).unwrap_or_default();
        let lead = match &groups[..] {
            [group] => group.split(|c: char| !c.is_ascii_alphanumeric()).next(),
            _ => None,
        };
        Some(Self {
            run: run.to_owned(),
            lead: lead.unwrap_or_default().to_owned(),
            is_pattern,
            groups,
        })
    }

    /// As [`matches()`] for a name.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let value = value.unwrap_or("");
        // Most names are told from this one without folding them.
        if !self.may_begin(value) || value.is_ascii() && !self.is_in(value) {
            return false;
        }
        let value = findable(value);
        let mut names = value.split('\\');
        !is_empty(value)
            && names.any(|name| {
                if self.is_pattern {
                    groups_fit(&self.groups, name)
                } else {
                    groups_equal(&self.groups, name)
                }
            })
    }

    /// Folding takes blanks away at the beginning, and keeps what is ASCII up to the first that is not.
    fn may_begin(&self, value: &str) -> bool {
        if self.lead.is_empty() || value.contains(['=', '\\']) {
            return true;
        }
        let asked = self.lead.bytes();
        let differs = asked
            .zip(value.trim_start().bytes())
            .find(|(asked, byte)| !byte.eq_ignore_ascii_case(asked));
        differs.is_none_or(|(_, byte)| !byte.is_ascii())
    }

    /// Folding leaves letters and digits of ASCII side by side, in the small letters of the run.
    fn is_in(&self, value: &str) -> bool {
        let run = self.run.as_bytes();
        run.is_empty()
            || value
                .as_bytes()
                .windows(run.len())
                .any(|window| window.eq_ignore_ascii_case(run))
    }
}

/// Wildcard matching (PS3.4 §C.2.2.2.4): `*` any run, also none; `?` exactly one character.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // After a star, where to go on when what follows it does not fit here.
    let mut retry = None;
    loop {
        let here = (pattern.clone(), text.clone());
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = here.1;
                retry = Some((pattern.clone(), text.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(p), Some(t)) if p == t => {}
            _ => {
                let Some((after_star, mut from)) = retry else {
                    return false;
                };
                if from.next().is_none() {
                    return false;
                }
                (pattern, text) = (after_star.clone(), from.clone());
                retry = Some((after_star, from));
            }
        }
    }
}

/// The two ends of a range, both inclusive; an open one is `None`.
pub type Ends = (Option<Box<str>>, Option<Box<str>>);

/// The two ends of a combined date-time range (PS3.4 §C.2.2.2.5.1): `Some` when date and time are
/// both ranges, the time filled in where it is open.
#[must_use]
pub fn combined(date: &Matching, time: &Matching) -> Option<Ends> {
    let (Matching::Range(first_date, last_date), Matching::Range(first_time, last_time)) =
        (date, time)
    else {
        return None;
    };
    let end = |date: &Option<Box<str>>, time: &Option<Box<str>>, open: &str| {
        date.as_ref()
            .map(|date| format!("{date}{}", time.as_deref().unwrap_or(open)).into_boxed_str())
    };
    Some((
        end(first_date, first_time, "000000.000000"),
        end(last_date, last_time, "235959.999999"),
    ))
}

/// Whether the moment of a date and a time lies in a combined range. A date without a time counts
/// as midnight.
#[must_use]
pub fn matches_combined(
    first: Option<&str>,
    last: Option<&str>,
    date: Option<&str>,
    time: Option<&str>,
) -> bool {
    let Some(date) = date.and_then(normal_date) else {
        return false;
    };
    let time = time
        .and_then(normal_time)
        .unwrap_or_else(|| "000000.000000".to_owned());
    lies_within(&format!("{date}{time}"), first, last)
}

#[cfg(test)]
mod tests;
