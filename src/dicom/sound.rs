//! Person names by sound, for fuzzy matching (PS3.4 §C.2.2.2.1.1). Each word of a name has one key;
//! names match when every word asked for has its key among those of the name, in any order and in
//! any component or group. An index of keys therefore finds exactly what matches.
//!
//! A word is a run of letters and digits of the folded name (`person_name`: no case, no accents);
//! apostrophes are left out of it. The key of a word in Latin letters is its consonants by
//! [`RULES`], a table for European spellings: vowels count as one, and only at the beginning; a key
//! of one sound ends in its first vowel, so that `Li` finds `Lee` and not `Lu`. Other scripts are
//! never transliterated: the key of a word is the word, katakana for hiragana, and all words of a
//! group together make one more (`山田太郎` finds `山田^太郎`).

use crate::dicom::person_name::{fold, groups};

/// The values of an attribute with many names that are looked at.
const NAMES_MAX: usize = 8;
/// The words of a component group that have keys.
const WORDS_MAX: usize = 16;
/// The letters of a word that count.
const LETTERS_MAX: usize = 32;

/// Where in a word a rule holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Any,
    End,
}

/// Spelling, place, sound; the first that fits counts. Capitals are consonants, `-` is a vowel,
/// nothing is silent. A letter without a rule stands for itself.
const RULES: &[(&str, At, &str)] = &[
    ("tsch", At::Any, "S"),
    ("tch", At::Any, "S"),
    ("sch", At::Any, "S"),
    ("chs", At::Any, "KS"),
    ("ght", At::Any, "T"),
    ("kn", At::Start, "N"),
    ("gn", At::Start, "N"),
    ("wr", At::Start, "R"),
    ("ps", At::Start, "S"),
    ("ge", At::Start, "J-"),
    ("gi", At::Start, "J-"),
    ("gy", At::Start, "J-"),
    ("x", At::Start, "S"),
    ("y", At::Start, "J"),
    ("j", At::Start, "J"),
    ("h", At::Start, "H"),
    ("gh", At::End, ""),
    ("ch", At::Any, "K"),
    ("ck", At::Any, "K"),
    ("cz", At::Any, "S"),
    ("ce", At::Any, "S-"),
    ("ci", At::Any, "S-"),
    ("cy", At::Any, "S-"),
    ("dt", At::Any, "T"),
    ("gh", At::Any, "K"),
    ("ph", At::Any, "F"),
    ("qu", At::Any, "KF"),
    ("sh", At::Any, "S"),
    ("sz", At::Any, "S"),
    ("ts", At::Any, "S"),
    ("tz", At::Any, "S"),
    ("b", At::Any, "P"),
    ("c", At::Any, "K"),
    ("d", At::Any, "T"),
    ("f", At::Any, "F"),
    ("g", At::Any, "K"),
    ("h", At::Any, ""),
    ("k", At::Any, "K"),
    ("l", At::Any, "L"),
    ("m", At::Any, "M"),
    ("n", At::Any, "N"),
    ("p", At::Any, "P"),
    ("q", At::Any, "K"),
    ("r", At::Any, "R"),
    ("s", At::Any, "S"),
    ("t", At::Any, "T"),
    ("v", At::Any, "F"),
    ("w", At::Any, "F"),
    ("x", At::Any, "KS"),
    ("z", At::Any, "S"),
    ("a", At::Any, "-"),
    ("e", At::Any, "-"),
    ("i", At::Any, "-"),
    ("j", At::Any, "-"),
    ("o", At::Any, "-"),
    ("u", At::Any, "-"),
    ("y", At::Any, "-"),
];

/// The keys of an attribute's names, by which an index finds them; sorted, each once.
#[must_use]
pub fn keys(value: &str) -> Vec<String> {
    let mut keys: Vec<String> = names(value).flat_map(keys_of_name).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The keys of what is asked for: a name has to have them all. Empty when no word is in it.
#[must_use]
pub fn asked(name: &str) -> Vec<Box<str>> {
    let words = groups(name)
        .into_iter()
        .flat_map(words)
        .map(|word| key(&word));
    let mut keys: Vec<Box<str>> = words.map(String::into_boxed_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Whether one name of an attribute has all keys that are asked for.
#[must_use]
pub fn matches(asked: &[Box<str>], value: &str) -> bool {
    names(value).any(|name| {
        let keys = keys_of_name(name);
        asked
            .iter()
            .all(|wanted| keys.iter().any(|key| **key == **wanted))
    })
}

fn names(value: &str) -> impl Iterator<Item = &str> {
    value.split('\\').take(NAMES_MAX)
}

fn keys_of_name(name: &str) -> Vec<String> {
    let mut keys = Vec::with_capacity(8);
    for group in groups(name) {
        let words = words(group);
        if words.len() > 1 && words.iter().all(|word| !is_latin(word)) {
            keys.push(key(&words.concat()));
        }
        keys.extend(words.iter().map(|word| key(word)));
    }
    keys
}

/// The words of a component group.
fn words(group: &str) -> Vec<String> {
    let folded = fold(group).replace('\'', "");
    folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(WORDS_MAX)
        .map(str::to_owned)
        .collect()
}

fn is_latin(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_lowercase())
}

fn key(word: &str) -> String {
    if is_latin(word) {
        sound(&word[..word.len().min(LETTERS_MAX)])
    } else {
        word.chars().take(LETTERS_MAX).map(to_katakana).collect()
    }
}

/// Hiragana lies 0x60 below katakana.
fn to_katakana(c: char) -> char {
    match c {
        '\u{3041}'..='\u{3096}' => char::from_u32(u32::from(c) + 0x60).unwrap_or(c),
        _ => c,
    }
}

/// The consonants of a word of `a` to `z`.
fn sound(word: &str) -> String {
    let mut out = String::with_capacity(8);
    let mut before = None;
    let mut at = 0;
    while let Some(rest) = word.get(at..).filter(|rest| !rest.is_empty()) {
        let fits = |(spelling, place, _): &&(&str, At, &str)| {
            rest.starts_with(spelling)
                && match place {
                    At::Start => at == 0,
                    At::Any => true,
                    At::End => rest.len() == spelling.len(),
                }
        };
        // Every letter has a rule of its own.
        let (length, sounds) = RULES
            .iter()
            .find(fits)
            .map_or((1, ""), |(spelling, _, sounds)| (spelling.len(), *sounds));
        for sound in sounds.chars() {
            if sound != '-' && before != Some(sound) {
                out.push(sound);
            } else if sound == '-' && out.is_empty() {
                out.push('A');
            }
            before = Some(sound);
        }
        at += length;
    }
    if out.len() == 1 {
        out.extend(word.chars().find_map(vowel));
    }
    out
}

fn vowel(letter: char) -> Option<char> {
    match letter {
        'a' => Some('A'),
        'e' | 'i' | 'y' => Some('I'),
        'o' | 'u' => Some('U'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, name: &str, expected: bool) {
        assert_eq!(matches(&asked(key), name), expected, "{key} {name}");
        let held = keys(name);
        let is_found = asked(key)
            .iter()
            .all(|key| held.iter().any(|h| **h == **key));
        assert!(is_found || !expected, "the index finds {key} {name}");
    }

    #[test]
    fn names_that_sound_alike_match() {
        for (key, name) in [
            ("Meier", "Meyer^Anna"),
            ("Mayr", "Maier"),
            ("Mueller", "Müller^Jörg"),
            ("Schmidt", "Smith^John"),
            ("schmitt", "SCHMID^A"),
            ("Philipp", "Filip"),
            ("Stephen", "Steven^X"),
            ("Catherine", "Katharina"),
            ("Kathryn", "Catarina"),
            ("Yusuf", "Youssef"),
            ("Jusuf", "Yusuf"),
            ("Mohammed", "Muhammad"),
            ("Iwanow", "Ivanoff"),
            ("Christian", "Kristian"),
            ("Alexander", "Aleksander"),
            ("Schulz", "Schultze"),
            ("Wright", "Rite"),
            ("Georg", "Joerg"),
            ("Johnson", "Jansen"),
            ("Li", "Lee"),
            ("ONeil", "O'Neill^Pat"),
            ("John Smith", "Smith^John^Quincy"),
            ("Smith, John", "Smyth^Jon"),
            ("Schmidt", "Meyer-Schmitt^Anna"),
            ("山田", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
            ("山田太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
            ("ヤマダ", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
            ("太郎 Jamada", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
            ("홍길동", "Hong^Gildong=洪^吉洞=홍^길동"),
            ("люксембург", "Люксембург"),
            ("Doe", "Roe^Richard\\Doe^Jane"),
        ] {
            check(key, name, true);
        }
    }

    #[test]
    fn other_names_do_not() {
        for (key, name) in [
            ("Meier", "Weber^Anna"),
            ("Anna Meier", "Meyer^Otto"),
            ("Li", "Lu"),
            ("Anna", "Hanna"),
            ("Jane Roe", "Roe^Richard\\Doe^Jane"),
            ("山", "山田^太郎"),
            ("Ivanov", "Иванов"),
            ("Meier", ""),
        ] {
            check(key, name, false);
        }
        assert!(asked("%_^'\"").is_empty());
    }

    #[test]
    fn what_is_looked_at_has_an_end() {
        let long = "a b".repeat(100_000);
        assert!(keys(&format!("{long}\\{long}")).len() <= 3 * NAMES_MAX * (WORDS_MAX + 1));
        assert!(sound(&"xa".repeat(LETTERS_MAX)[..LETTERS_MAX]).len() <= 2 * LETTERS_MAX);
    }

    #[test]
    fn every_letter_has_a_rule() {
        for letter in 'a'..='z' {
            let letter = letter.to_string();
            assert!(
                RULES
                    .iter()
                    .any(|(spelling, at, _)| *spelling == letter && *at == At::Any)
            );
        }
    }
}
