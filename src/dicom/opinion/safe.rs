//! What people wrote, made to fit its value representation (PS3.5 §6.1.2.2, §6.2): control characters that a VR has
//! no place for, backslashes that would part values, and lengths. In UTF-8; lengths count characters.

use std::borrow::Cow;

/// At the end of what was cut.
const CUT: &str = "...";

/// Free text (UT): lines end in CR LF, no other control characters, no characters that turn the direction of what
/// follows by force (a report must read as it was written), nothing at the ends.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push_str("\r\n");
            }
            '\n' | '\u{0B}' | '\u{0C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                out.push_str("\r\n");
            }
            '\t' => out.push(' '),
            c if is_unsafe(c) => {}
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The same on one line, without length.
pub(super) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars() {
        if is_unsafe(c) && !matches!(c, '\u{85}') {
            if matches!(c, '\n' | '\r' | '\t' | '\u{0B}' | '\u{0C}') {
                out.push(' ');
            }
        } else if matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}') {
            out.push(' ');
        } else {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// One value of a VR of `max` characters: a backslash becomes a slash, what is too long ends in three dots.
pub(super) fn short(text: &str, max: usize) -> String {
    let mut out = line(text).replace('\\', "/");
    if out.chars().nth(max).is_some() {
        let kept = out.char_indices().nth(max.saturating_sub(CUT.len()));
        out.truncate(kept.map_or(0, |(at, _)| at));
        out.truncate(out.trim_end().len());
        out.push_str(CUT);
    }
    out
}

/// A Person Name (PN): three groups of 64 characters and five components at most.
pub(super) fn person(name: &str) -> String {
    let name = line(name).replace('\\', "/");
    let groups: Vec<_> = name
        .splitn(3, '=')
        .map(|group| {
            let group = group.replace('=', " ");
            let components: Vec<_> = group
                .splitn(5, '^')
                .map(|part| part.replace('^', " "))
                .collect();
            short(&components.join("^"), 64)
        })
        .collect();
    groups.join("=").trim_end_matches('=').to_owned()
}

/// A value as the study has it: whatever its length and however many values, since every archive compares it.
pub(super) fn copied(value: &str) -> Cow<'_, str> {
    let value = value.trim_matches([' ', '\0']);
    // Escape sequences belong to character sets that the copy has no longer.
    if value.chars().any(is_control) {
        value.chars().filter(|c| !is_control(*c)).collect()
    } else {
        value.into()
    }
}

fn is_control(c: char) -> bool {
    c.is_control()
}

/// What no text may hold: control characters, overrides of direction, and code points that are no characters.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{FDD0}'..='\u{FDEF}')
        || u32::from(c) & 0xFFFE == 0xFFFE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_keeps_its_lines_and_loses_what_no_vr_has() {
        assert_eq!(
            text("\n a\nb\r\nc\rd\u{85}e\u{2028}f \t\0"),
            "a\r\nb\r\nc\r\nd\r\ne\r\nf"
        );
        assert_eq!(
            text("C:\\x\t1\u{1b}$B\u{202E}tfel\u{202C}\u{FFFF}"),
            "C:\\x 1$Btfel"
        );
        assert_eq!(text("\u{200F}שלום\u{200D}"), "\u{200F}שלום\u{200D}");
        assert_eq!(text(" \u{0}\u{7f} "), "");
    }

    #[test]
    fn short_values_are_one_value_of_their_length() {
        assert_eq!(short("a\\b\nc", 64), "a/b c");
        for (length, expected) in [(15, 15), (16, 16), (17, 16), (100_000, 16)] {
            let made = short(&"é".repeat(length), 16);
            assert_eq!(made.chars().count(), expected, "{length}");
            assert_eq!(made.ends_with(CUT), length > 16);
        }
    }

    #[test]
    fn names_keep_their_groups() {
        assert_eq!(person("Müller^Anna^^Dr"), "Müller^Anna^^Dr");
        assert_eq!(person("Dr. Anna\\Müller\r\n"), "Dr. Anna/Müller");
        assert_eq!(person("a=b=c=d"), "a=b=c d");
        assert_eq!(person("a^b^c^d^e^f"), "a^b^c^d^e f");
        let long = person(&format!("{}={}", "x".repeat(500), "y".repeat(64)));
        assert_eq!(
            long.split('=')
                .map(|group| group.chars().count())
                .collect::<Vec<_>>(),
            [64, 64]
        );
    }

    #[test]
    fn what_is_copied_stays_itself() {
        let long = "A".repeat(80);
        assert_eq!(copied(&long), long);
        assert_eq!(copied(" A\\B\u{1b}(J \0"), "A\\B(J");
    }
}
