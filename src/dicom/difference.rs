//! What differs between two prepared metadata objects: shown to an administrator who has to decide
//! about a quarantined instance. Both were written by the same code, so equal values are equal
//! bytes; nothing is parsed, and depth costs no stack.

use std::collections::BTreeMap;

use crate::dicom::json::prepared::{items, members};

/// The most differences that are listed; whoever needs more compares the files.
pub const DIFFERENCES_MAX: usize = 500;

/// A longer value is shown by its VR alone. Bytes of JSON.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// One place in which two objects differ: path (`00400275/0/00400009`, items from 0), the JSON of
/// what is held and of the newcomer, `None` where it is absent. What ends in an item number is an
/// item that only one of them has.
pub type Differing = (Box<str>, Option<Box<str>>, Option<Box<str>>);

/// Lists what differs, by path in ascending order, at most [`DIFFERENCES_MAX`] places. Values that
/// both link to as bulk data count as equal: a link says nothing of its content.
#[must_use]
pub fn between(held: &[u8], newcomer: &[u8]) -> Vec<Differing> {
    let mut found = Vec::new();
    let mut pending = vec![(String::new(), held, newcomer)];
    while found.len() < DIFFERENCES_MAX
        && let Some((path, held, newcomer)) = pending.pop()
    {
        for (digits, pair) in pairs(members(held), members(newcomer)) {
            let path = format!("{path}{}", String::from_utf8_lossy(digits));
            compare(path, pair, &mut pending, &mut found);
            if found.len() >= DIFFERENCES_MAX {
                break;
            }
        }
    }
    found.truncate(DIFFERENCES_MAX);
    found.sort();
    found
}

type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Judges one attribute; items that both have are left for later.
fn compare<'a>(
    path: String,
    pair: Pair<'a>,
    pending: &mut Vec<(String, &'a [u8], &'a [u8])>,
    found: &mut Vec<Differing>,
) {
    let (Some(held), Some(newcomer)) = pair else {
        return push(path, pair, found);
    };
    if held == newcomer || are_links(held, newcomer) {
        return;
    }
    let (Some(held_items), Some(newcomer_items)) = (items(held), items(newcomer)) else {
        return push(path, pair, found);
    };
    let number = |items: Vec<&'a [u8]>| items.into_iter().enumerate();
    for (item, pair) in pairs(
        number(held_items.collect()),
        number(newcomer_items.collect()),
    ) {
        match pair {
            (Some(held), Some(newcomer)) if held == newcomer => {}
            (Some(held), Some(newcomer)) => {
                pending.push((format!("{path}/{item}/"), held, newcomer))
            }
            _ if found.len() < DIFFERENCES_MAX => push(format!("{path}/{item}"), pair, found),
            _ => return,
        }
    }
}

/// Lays two lists side by side by their keys.
fn pairs<'a, K: Ord>(
    held: impl Iterator<Item = (K, &'a [u8])>,
    newcomer: impl Iterator<Item = (K, &'a [u8])>,
) -> BTreeMap<K, Pair<'a>> {
    let mut both: BTreeMap<K, Pair<'a>> = held
        .map(|(key, value)| (key, (Some(value), None)))
        .collect();
    for (key, value) in newcomer {
        both.entry(key).or_default().1 = Some(value);
    }
    both
}

/// Whether both say the same VR and `BulkDataURI`.
fn are_links(held: &[u8], newcomer: &[u8]) -> bool {
    const LINK: &[u8] = br#"{"vr":"??","BulkDataURI":"#;
    let head = |member: &'_ [u8]| member.get(..LINK.len()).map(<[u8]>::to_vec);
    match (head(held), head(newcomer)) {
        (Some(a), Some(b)) => a == b && a[10..] == LINK[10..],
        _ => false,
    }
}

fn push(path: String, (held, newcomer): Pair<'_>, found: &mut Vec<Differing>) {
    found.push((path.into(), held.map(shown), newcomer.map(shown)));
}

fn shown(json: &[u8]) -> Box<str> {
    match json.get(..10) {
        Some(vr) if json.len() > VALUE_BYTES_MAX && vr.starts_with(br#"{"vr":""#) => {
            format!("{}\"}}", String::from_utf8_lossy(&vr[..9])).into()
        }
        _ if json.len() > VALUE_BYTES_MAX => "{}".into(),
        _ => String::from_utf8_lossy(json).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(held: &str, newcomer: &str, expected: &[(&str, Option<&str>, Option<&str>)]) {
        let found = between(held.as_bytes(), newcomer.as_bytes());
        let found: Vec<_> = found
            .iter()
            .map(|(path, a, b)| (&**path, a.as_deref(), b.as_deref()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn differences_are_listed_by_path() {
        let held = r#"{"00100010":{"vr":"PN","Value":[{"Alphabetic":"A"}]},"00100020":{"vr":"LO","Value":["1"]},"00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"SH","Value":["x"]}},{}]}}"#;
        let newcomer = r#"{"00100010":{"vr":"PN","Value":[{"Alphabetic":"B"}]},"00100030":{"vr":"DA"},"00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"SH","Value":["y"]}}]}}"#;
        check(held, held, &[]);
        check(
            held,
            newcomer,
            &[
                (
                    "00100010",
                    Some(r#"{"vr":"PN","Value":[{"Alphabetic":"A"}]}"#),
                    Some(r#"{"vr":"PN","Value":[{"Alphabetic":"B"}]}"#),
                ),
                ("00100020", Some(r#"{"vr":"LO","Value":["1"]}"#), None),
                ("00100030", None, Some(r#"{"vr":"DA"}"#)),
                (
                    "00400275/0/00400009",
                    Some(r#"{"vr":"SH","Value":["x"]}"#),
                    Some(r#"{"vr":"SH","Value":["y"]}"#),
                ),
                ("00400275/1", Some("{}"), None),
            ],
        );
    }

    #[test]
    fn links_and_sequences_without_items() {
        let link = |to: &str| format!(r#"{{"7FE00010":{{"vr":"OW","BulkDataURI":"{to}"}}}}"#);
        check(&link("a"), &link("b"), &[]);
        let other = r#"{"7FE00010":{"vr":"OB","BulkDataURI":"b"}}"#;
        assert_eq!(between(link("a").as_bytes(), other.as_bytes()).len(), 1);
        check(
            r#"{"00400275":{"vr":"SQ"}}"#,
            r#"{"00400275":{"vr":"SQ","Value":[{}]}}"#,
            &[(
                "00400275",
                Some(r#"{"vr":"SQ"}"#),
                Some(r#"{"vr":"SQ","Value":[{}]}"#),
            )],
        );
    }

    #[test]
    fn the_list_and_its_values_are_bounded() {
        let many = |value: &str| {
            let members: Vec<_> = (0..600)
                .map(|i| format!(r#""0009{i:04X}":{{"vr":"LO","Value":["{value}"]}}"#))
                .collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(
            between(many("a").as_bytes(), many("b").as_bytes()).len(),
            DIFFERENCES_MAX
        );
        let long = format!(
            r#"{{"00090001":{{"vr":"LT","Value":["{}"]}}}}"#,
            "x".repeat(20_000)
        );
        check(&long, "{}", &[("00090001", Some(r#"{"vr":"LT"}"#), None)]);
    }
}
