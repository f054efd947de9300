//! Person names (PS3.5 §6.2.1): component groups, components, and the folded form in which names
//! are matched (PS3.4 §C.2.2.2.1.1 leaves case and accents to the implementation).
//!
//! Folding makes names equal that a person would call the same: case, accents, ligatures, full and
//! half width, kana width, repeated and stray spaces, and empty components at the end do not count.
//! Order of components does. Spelling variants and sound are the business of [`sound`](crate::dicom::sound).

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Letters that have no decomposition in Unicode though people write them plain.
const PLAIN: &[(char, &str)] = &[
    ('ß', "ss"),
    ('æ', "ae"),
    ('œ', "oe"),
    ('ø', "o"),
    ('ł', "l"),
    ('đ', "d"),
    ('ð', "d"),
    ('þ', "th"),
    ('ħ', "h"),
    ('ı', "i"),
    ('ŧ', "t"),
    ('ŋ', "n"),
    ('ĸ', "k"),
    ('ς', "σ"),
    // Apostrophes and hyphens come in many shapes.
    ('\u{2019}', "'"),
    ('\u{2018}', "'"),
    ('\u{02BC}', "'"),
    ('\u{00B4}', "'"),
    ('\u{0060}', "'"),
    ('\u{2010}', "-"),
    ('\u{2011}', "-"),
    ('\u{2013}', "-"),
    ('\u{2212}', "-"),
];

/// The alphabetic, ideographic and phonetic groups of a name; what is absent is empty.
#[must_use]
pub fn groups(name: &str) -> [&str; 3] {
    let mut parts = name.split('=');
    std::array::from_fn(|_| parts.next().unwrap_or(""))
}

/// The family, given and middle name, prefix and suffix of one group; what is absent is empty.
#[must_use]
pub fn components(group: &str) -> [&str; 5] {
    let mut parts = group.splitn(5, '^');
    std::array::from_fn(|_| parts.next().unwrap_or("").trim())
}

/// Folds one group, or a pattern for one: `*` and `?` stay what they are, `^` stays between
/// components, each component is trimmed, and empty components at the end are dropped.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Nearly every name: nothing to take apart, and a search may fold very many.
    if text.is_ascii() {
        text.chars()
            .for_each(|c| push(&mut out, c.to_ascii_lowercase()));
        trim_end(&mut out);
        return out;
    }
    for c in text.nfkd() {
        if is_combining_mark(c) && !is_kana_voice(c) {
            continue;
        }
        for lower in c.to_lowercase() {
            push(&mut out, lower);
        }
    }
    trim_end(&mut out);
    // Voiced kana were taken apart with the accents; full and half width meet here.
    out.nfc().collect()
}

/// Folds each group and joins those that are not empty by `=`: what the index keeps and searches
/// for names. Groups that fold to the same text stand once.
#[must_use]
pub fn folded_groups(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for group in folded(name) {
        if !out.is_empty() {
            out.push('=');
        }
        out.push_str(&group);
    }
    out
}

/// The folded groups that are not empty, each once.
pub(crate) fn folded(name: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(3);
    for group in groups(name).map(fold) {
        if !group.is_empty() && !out.contains(&group) {
            out.push(group);
        }
    }
    out
}

/// The sound marks of kana: another letter, not an accent.
fn is_kana_voice(c: char) -> bool {
    matches!(c, '\u{3099}' | '\u{309A}')
}

fn trim_end(out: &mut String) {
    while out.ends_with([' ', '^']) {
        out.pop();
    }
}

fn push(out: &mut String, c: char) {
    // A decomposed capital İ leaves its dot behind as a combining mark.
    if !c.is_ascii() && is_combining_mark(c) && !is_kana_voice(c) {
        return;
    }
    let is_plain = c.is_ascii() && c != '`';
    if let Some((_, plain)) = PLAIN.iter().find(|(letter, _)| !is_plain && *letter == c) {
        out.push_str(plain);
    } else if c.is_whitespace() {
        if !out.is_empty() && !out.ends_with([' ', '^']) {
            out.push(' ');
        }
    } else {
        if c == '^' && out.ends_with(' ') {
            out.pop();
        }
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_forgets_case_accents_width_and_padding() {
        for (name, folded) in [
            ("Müller^Jürgen", "muller^jurgen"),
            ("MU\u{308}LLER^JU\u{308}RGEN ", "muller^jurgen"),
            ("Straße", "strasse"),
            ("STRASSE", "strasse"),
            ("Sørensen^Kjær", "sorensen^kjaer"),
            ("Wałęsa^Lech^^^", "walesa^lech"),
            ("  Doe   Smith ^ Jane ^^^ ", "doe smith^jane"),
            ("Διονύσιος", "διονυσιοσ"),
            ("ΔΙΟΝΥΣΙΟΣ", "διονυσιοσ"),
            ("İstanbul", "istanbul"),
            ("Ｄｏｅ", "doe"),
            ("ﾔﾏﾀﾞ^ﾀﾛｳ", "ヤマダ^タロウ"),
            ("ヤマダ^タロウ", "ヤマダ^タロウ"),
            ("O\u{2019}Brien", "o'brien"),
            ("^Jane", "^jane"),
            ("Йод", "иод"),
            ("홍^길동", "홍^길동"),
            ("^^^^", ""),
        ] {
            assert_eq!(fold(name), folded, "{name}");
        }
    }

    #[test]
    fn groups_and_components() {
        assert_eq!(
            groups("Yamada^Tarou=山田^太郎=やまだ^たろう"),
            ["Yamada^Tarou", "山田^太郎", "やまだ^たろう"]
        );
        assert_eq!(groups("=山田"), ["", "山田", ""]);
        assert_eq!(
            components("Adams^John Robert Quincy^^Rev.^B.A. M.Div."),
            ["Adams", "John Robert Quincy", "", "Rev.", "B.A. M.Div."]
        );
        assert_eq!(
            folded_groups("YAMADA^Tarou=山田^太郎=やまだ^たろう"),
            "yamada^tarou=山田^太郎=やまだ^たろう"
        );
        assert_eq!(folded_groups("=山田^=山田"), "山田");
    }
}
