//! What a row can be found by beside its columns.
//!
//! *Search values* (table `search_value`) are the forms of a value that its column has not: each
//! group of a person name folded, a time as its first moment, a date in the form of today, each of
//! several values, what is left without padding. What counts as empty
//! though its column is not, and an empty name or time, has the empty search value. Most rows have
//! search values for names and times only.
//!
//! Of an attribute with many values the first 64 count ([`findable`]), for an object could have
//! tens of thousands, and it is the one thread that writes which would put them in.
//!
//! A name that has search values has those of its sound too (`dicom::sound`), each after a control
//! character that no valid name holds.
//!
//! *Grams* (FTS5) find substrings of names, Patient ID, Accession Number and Study Description.
//! Every window of three characters is a token; so are windows of two in names or with a character
//! beyond ASCII, and single characters beyond ASCII: a Chinese family name is one character long.
//! SQLite's own trigram tokenizer knows windows of three only, so the tokens are made here, each
//! beginning with the letter of its attribute, and the `ascii` tokenizer takes them as they are
//! (what it would split at or fold is moved to the private use area). Text is folded as names are;
//! whoever searches by grams checks what was found against the exact rules.

use dicom_core::VR;

use crate::db::rules::sort_date;
use crate::dicom::person_name::{fold, folded};
use crate::dicom::query::{findable, normal_date, normal_time};
use crate::dicom::{Attribute, AttributeId, sound};

/// The attributes that have grams, and the letter their tokens begin with.
const GRAMS: &[(&str, char)] = &[
    ("PatientName", 'n'),
    ("PatientID", 'p'),
    ("AccessionNumber", 'a'),
    ("ReferringPhysicianName", 'r'),
    ("StudyDescription", 'd'),
];

/// The most characters of one value that are cut into grams: longer than any valid value.
const GRAM_CHARS_MAX: usize = 1024;

/// The most tokens of a pattern that are looked up one by one.
const GRAMS_ASKED_MAX: usize = 8;

/// The most tokens that must be in one value together. FTS5 walks through all their postings and
/// cannot be interrupted.
const GRAMS_JOINED_MAX: usize = 3;

/// The search values of an attribute of a row, none when an index on its column finds it anyway.
pub(super) fn search_values(attribute: &Attribute, value: Option<&str>) -> Vec<String> {
    if !attribute.is_indexed {
        return Vec::new();
    }
    let whole = value.unwrap_or_default();
    let value = findable(whole);
    let mut forms: Vec<String> = value
        .split('\\')
        .flat_map(|one| forms(attribute.vr, one))
        .collect();
    if value.bytes().all(|b| matches!(b, b' ' | b'\\' | b'\0')) {
        forms.push(String::new());
    }
    if attribute.vr == VR::PN {
        forms.extend(sound_values(value));
    }
    forms.sort_unstable();
    forms.dedup();
    let in_column = if attribute.column == "study_date" {
        sort_date(Some(whole))
    } else {
        whole.to_owned()
    };
    if !is_by_search_value(attribute.vr) && forms == [in_column] {
        Vec::new()
    } else {
        forms
    }
}

/// What an attribute's names are found by when they are asked for by sound.
pub(super) fn sound_values(value: &str) -> impl Iterator<Item = String> {
    sound::keys(findable(value))
        .into_iter()
        .map(|key| sound_value(&key))
}

/// A key of a name as a search value.
pub(super) fn sound_value(key: &str) -> String {
    format!("\u{1f}{key}")
}

/// The forms in which one value may be asked for.
fn forms(vr: VR, value: &str) -> Vec<String> {
    match vr {
        VR::PN => folded(value),
        VR::TM => vec![normal_time(value).unwrap_or_else(|| value.to_owned())],
        VR::DA => vec![normal_date(value).unwrap_or_else(|| value.to_owned())],
        _ => vec![value.to_owned(), value.trim_matches(' ').to_owned()],
    }
}

/// Whether an attribute of this VR is found by its search values only, not by its column.
pub(super) fn is_by_search_value(vr: VR) -> bool {
    matches!(vr, VR::PN | VR::TM)
}

/// All tokens of one attribute's value, appended to `text`, the row's document.
pub(super) fn push_grams(id: AttributeId, value: &str, text: &mut String) {
    let attribute = id.attribute();
    let Some(letter) = gram_letter(attribute) else {
        return;
    };
    let mut tokens: Vec<String> = Vec::new();
    for part in parts(attribute.vr, value) {
        let chars: Vec<char> = part.chars().take(GRAM_CHARS_MAX).collect();
        for width in 1..=3 {
            for window in chars.windows(width).filter(|w| is_token(attribute.vr, w)) {
                tokens.push(token(letter, window));
            }
        }
    }
    tokens.sort_unstable();
    tokens.dedup();
    for token in tokens {
        text.push_str(&token);
        text.push(' ');
    }
}

/// FTS5 queries that each find every value which fits a wildcard pattern: one for each token of its
/// literal runs, and last, when there are several, one for some of them together. None when no run
/// is long enough to have a token.
pub(super) fn gram_queries(attribute: &Attribute, pattern: &str) -> Vec<String> {
    let Some(letter) = gram_letter(attribute) else {
        return Vec::new();
    };
    let mut tokens: Vec<String> = Vec::new();
    let patterns = if attribute.vr == VR::PN {
        folded(pattern)
    } else {
        vec![fold(pattern)]
    };
    for run in patterns
        .iter()
        .flat_map(|pattern| pattern.split(['*', '?']))
    {
        // A name counts as followed by empty components: their carets are not in it.
        let chars: Vec<char> = run
            .trim_end_matches(['^', ' '])
            .chars()
            .take(GRAM_CHARS_MAX)
            .collect();
        let width = chars.len().min(3);
        if width > 0 {
            tokens.extend(
                chars
                    .windows(width)
                    .filter(|w| is_token(attribute.vr, w))
                    .map(|w| token(letter, w)),
            );
        }
    }
    tokens.dedup();
    let quote = |token: &String| format!("\"{token}\"");
    let mut queries: Vec<String> = spread(&tokens, GRAMS_ASKED_MAX).map(quote).collect();
    if tokens.len() > 1 {
        let joined: Vec<String> = spread(&tokens, GRAMS_JOINED_MAX).map(quote).collect();
        queries.push(joined.join(" AND "));
    }
    queries
}

/// Up to so many members of a list, evenly spread: neighbouring windows tell nearly the same.
fn spread<T>(list: &[T], count: usize) -> impl Iterator<Item = &T> {
    let step = list.len().div_ceil(count).max(1);
    list.iter().step_by(step)
}

fn gram_letter(attribute: &Attribute) -> Option<char> {
    GRAMS
        .iter()
        .find(|(keyword, _)| *keyword == attribute.keyword)
        .map(|(_, letter)| *letter)
}

fn parts(vr: VR, value: &str) -> Vec<String> {
    let value = findable(value);
    if vr == VR::PN {
        value.split('\\').flat_map(folded).collect()
    } else {
        value.split('\\').map(fold).collect()
    }
}

fn is_token(vr: VR, window: &[char]) -> bool {
    match window.len() {
        1 => !window[0].is_ascii(),
        2 => vr == VR::PN || window.iter().any(|c| !c.is_ascii()),
        _ => true,
    }
}

/// Letters and digits as they are (folded text has no capitals); other ASCII moved to the private
/// use area, where the tokenizer neither splits nor folds. NUL would end the text.
fn token(letter: char, window: &[char]) -> String {
    let mut token = String::with_capacity(8);
    token.push(letter);
    for &c in window {
        let is_plain = c.is_ascii_lowercase() || c.is_ascii_digit() || !c.is_ascii();
        token.push(if is_plain {
            c
        } else {
            char::from_u32(0xE000 + u32::from(c)).unwrap_or('\u{E000}')
        });
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::query::FINDABLE_VALUES_MAX;

    fn attribute(keyword: &str) -> &'static Attribute {
        AttributeId::of_keyword(keyword).unwrap().attribute()
    }

    #[test]
    fn many_values_make_few_rows() {
        let names: Vec<_> = (0..30_000).map(|n| format!("N{n}")).collect();
        let value = names.join("\\");
        let name = attribute("PatientName");
        // The sounds are those of N0 to N7.
        assert_eq!(
            search_values(name, Some(&value)).len(),
            FINDABLE_VALUES_MAX + 8
        );
        let mut grams = String::new();
        push_grams(
            AttributeId::of_keyword("PatientName").unwrap(),
            &value,
            &mut grams,
        );
        // Four characters at most have five windows of two or three.
        assert!(grams.split(' ').count() <= 5 * FINDABLE_VALUES_MAX);
    }

    #[test]
    fn search_values_are_the_forms_that_the_column_has_not() {
        for (keyword, value, forms) in [
            (
                "PatientName",
                "Müller^J=山田",
                vec!["\u{1f}J", "\u{1f}MLR", "\u{1f}山田", "muller^j", "山田"],
            ),
            ("PatientName", "", vec![""]),
            ("StudyTime", "1030", vec!["103000.000000"]),
            ("StudyDate", "20240101", vec![]),
            ("StudyDate", "2024.01.01", vec![]),
            ("PatientBirthDate", "1970.01.01", vec!["19700101"]),
            ("AccessionNumber", "A1", vec![]),
            ("AccessionNumber", "A2\\A1", vec!["A1", "A2"]),
            ("PatientSex", "M\\F", vec![]),
        ] {
            assert_eq!(
                search_values(attribute(keyword), Some(value)),
                forms,
                "{keyword} {value}"
            );
        }
    }

    #[test]
    fn every_run_of_a_pattern_finds_its_value() {
        for (keyword, value, pattern, is_asked) in [
            ("PatientName", "Müller^Jürgen", "*ULL*", true),
            ("PatientName", "Li^Bo", "*li*", true),
            ("PatientName", "Li^Bo", "*l*", false),
            ("PatientName", "Yamada^Tarou=山田^太郎", "*山田*", true),
            ("PatientName", "Yamada^Tarou=山田^太郎", "*太*", true),
            ("PatientName", "Yamada^Tarou=山田^太郎", "*田^?郎*", true),
            ("PatientID", "AB-1234/7", "*-12*", true),
            ("PatientID", "AB-1234/7", "*12*", false),
            ("StudyDescription", "CT 头部", "*头*", true),
            ("StudyDescription", "say \"NO\" AND", "*\"no\" a*", true),
        ] {
            let mut document = String::new();
            push_grams(
                AttributeId::of_keyword(keyword).unwrap(),
                value,
                &mut document,
            );
            let tokens: Vec<_> = document.split(' ').collect();
            let queries = gram_queries(attribute(keyword), pattern);
            assert_eq!(!queries.is_empty(), is_asked, "{pattern}");
            for asked in queries.iter().flat_map(|q| q.split(" AND ")) {
                assert!(
                    tokens.contains(&asked.trim_matches('"')),
                    "{pattern}: {asked} in {document}"
                );
            }
        }
    }
}
