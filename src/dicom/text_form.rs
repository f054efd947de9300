//! Values as people write them: dates, times, names; and text as HTML. Shared by the pages and by
//! reports.

use std::fmt::{self, Display, Write};

/// Text for an element or a quoted attribute.
#[must_use]
pub fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// See [`escaped`].
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                // Control characters are no HTML; browsers would guess. Nor are these two, and no XML either.
                c if c.is_control() => f.write_char('\u{fffd}')?,
                '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// `20260131` as `2026-01-31`; anything else as it is.
#[must_use]
pub fn date(value: &str) -> String {
    match value.as_bytes() {
        digits if digits.len() == 8 && digits.iter().all(u8::is_ascii_digit) => {
            format!("{}-{}-{}", &value[..4], &value[4..6], &value[6..])
        }
        _ => value.to_owned(),
    }
}

/// `142530.5` as `14:25`; anything else is left out.
#[must_use]
pub fn time(value: &str) -> String {
    match value.as_bytes() {
        digits if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_digit) => {
            format!("{}:{}", &value[..2], &value[2..4])
        }
        _ => String::new(),
    }
}

/// `20260131142530.5+0100` as `2026-01-31 14:25`; what does not begin with a date as it is.
#[must_use]
pub fn date_time(value: &str) -> String {
    let (day, rest) = value.split_at_checked(8).unwrap_or((value, ""));
    if !day.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.to_owned();
    }
    let time = time(rest.split(['+', '-']).next().unwrap_or_default());
    if time.is_empty() {
        date(day)
    } else {
        format!("{} {time}", date(day))
    }
}

/// A person name as plain text: its first group that says something.
#[must_use]
pub fn person(value: &str) -> String {
    value
        .split('=')
        .map(plain_name)
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}

/// `Family^Given^Middle^Prefix^Suffix` as `Family, Given Middle`.
#[must_use]
pub fn plain_name(group: &str) -> String {
    let mut parts = group.split('^').map(str::trim);
    let family = parts.next().unwrap_or_default();
    let given: Vec<&str> = parts.take(2).filter(|part| !part.is_empty()).collect();
    match (family.is_empty(), given.is_empty()) {
        (_, true) => family.to_owned(),
        (true, false) => given.join(" "),
        (false, false) => format!("{family}, {}", given.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        assert_eq!(date("20260131"), "2026-01-31");
        assert_eq!(date("2026"), "2026");
        assert_eq!(date("Ⅷ2345"), "Ⅷ2345");
        assert_eq!(time("142530.5"), "14:25");
        assert_eq!(time("1"), "");
        assert_eq!(date_time("20260131142530.5+0100"), "2026-01-31 14:25");
        assert_eq!(date_time("20260131"), "2026-01-31");
        assert_eq!(date_time("2026"), "2026");
        assert_eq!(date_time("Ⅷ12345678"), "Ⅷ12345678");
        assert_eq!(person("Doe^John^Q^Dr"), "Doe, John Q");
        assert_eq!(person("=山田^太郎"), "山田, 太郎");
    }
}
