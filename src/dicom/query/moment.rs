//! Dates and times by meaning (PS3.5 §6.2: DA, TM, DT): each text names a span of time, from its
//! first to its last microsecond. A value counts as its first moment; a key covers its whole span.
//!
//! Normal forms have a fixed width, so that texts compare as moments do: `YYYYMMDD`,
//! `HHMMSS.FFFFFF`, `YYYYMMDDHHMMSS.FFFFFF`. A DT with an offset from UTC is moved to UTC; one
//! without is taken as it stands.

use dicom_core::VR;
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};

/// A date as `YYYYMMDD`. The form of ACR-NEMA, `YYYY.MM.DD`, is understood. `None` when it is no
/// date of the calendar.
#[must_use]
pub fn normal_date(text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\0']);
    let bytes = text.as_bytes();
    let digits = match bytes {
        [_, _, _, _, b'.', _, _, b'.', _, _] => text.replace('.', ""),
        _ => text.to_owned(),
    };
    (digits.len() == 8 && date_of(&digits).is_some()).then_some(digits)
}

/// The first moment of a time, as `HHMMSS.FFFFFF`. The form of ACR-NEMA, `HH:MM:SS`, is
/// understood. `None` when it is no time of day.
#[must_use]
pub fn normal_time(text: &str) -> Option<String> {
    moments(VR::TM, text).map(|(first, _)| first)
}

/// The first moment of a date-time, as `YYYYMMDDHHMMSS.FFFFFF`. `None` when it is none.
#[must_use]
pub fn normal_date_time(text: &str) -> Option<String> {
    moments(VR::DT, text).map(|(first, _)| first)
}

/// The first and the last moment that a text can mean, in the normal form of its VR (DA, TM or DT).
/// `None` when it is malformed or of another VR.
#[must_use]
pub fn moments(vr: VR, text: &str) -> Option<(String, String)> {
    let text = text.trim_matches([' ', '\0']);
    match vr {
        VR::DA => normal_date(text).map(|date| (date.clone(), date)),
        VR::TM => time_moments(&without_colons(text)),
        VR::DT => date_time_moments(text),
        _ => None,
    }
}

fn without_colons(text: &str) -> String {
    match text.as_bytes() {
        [_, _, b':', _, _] | [_, _, b':', _, _, b':', ..] => text.replacen(':', "", 2),
        _ => text.to_owned(),
    }
}

/// `HH`, `HHMM`, `HHMMSS` or `HHMMSS.F` to `.FFFFFF`.
fn time_moments(text: &str) -> Option<(String, String)> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let fraction_is_good =
        fraction.is_none_or(|f| whole.len() == 6 && (1..=6).contains(&f.len()) && is_digits(f));
    if !fraction_is_good || !matches!(whole.len(), 2 | 4 | 6) || !is_digits(whole) {
        return None;
    }
    // 60 is a leap second (PS3.5 §6.2).
    for (at, max) in [(0, 23), (2, 59), (4, 60)] {
        if let Some(pair) = whole.get(at..at + 2)
            && pair.parse::<u8>().ok()? > max
        {
            return None;
        }
    }
    let fraction = fraction.unwrap_or("");
    Some((
        format!("{whole}{}.{fraction:0<6}", &"000000"[whole.len()..]),
        format!("{whole}{}.{fraction:9<6}", &"005959"[whole.len()..]),
    ))
}

/// `YYYY` to `YYYYMMDDHHMMSS.FFFFFF`, with or without `+ZZXX` or `-ZZXX`.
fn date_time_moments(text: &str) -> Option<(String, String)> {
    let (local, offset_min) = split_offset(text)?;
    let (first, last) = if local.len() > 8 {
        let date = local.get(..8).filter(|date| date_of(date).is_some())?;
        let (first, last) = time_moments(local.get(8..)?)?;
        (format!("{date}{first}"), format!("{date}{last}"))
    } else {
        let (first, last) = match local.len() {
            4 => (format!("{local}0101"), format!("{local}1231")),
            6 => (format!("{local}01"), last_of_month(local)?),
            8 => (local.to_owned(), local.to_owned()),
            _ => return None,
        };
        date_of(&first)?;
        (
            format!("{first}000000.000000"),
            format!("{last}235959.999999"),
        )
    };
    match offset_min {
        None => Some((first, last)),
        Some(minutes) => Some((to_utc(&first, minutes)?, to_utc(&last, minutes)?)),
    }
}

/// The text before the offset, and the offset in minutes. `None` when the offset is malformed.
fn split_offset(text: &str) -> Option<(&str, Option<i64>)> {
    let Some(at) = text.rfind(['+', '-']) else {
        return Some((text, None));
    };
    let digits = text
        .get(at + 1..)
        .filter(|digits| digits.len() == 4 && is_digits(digits))?;
    let number: i64 = digits.parse().ok()?;
    let minutes = number / 100 * 60 + number % 100;
    let signed = if text.as_bytes()[at] == b'-' {
        -minutes
    } else {
        minutes
    };
    // PS3.5 §6.2: -1200 to +1400.
    (number % 100 < 60 && (-720..=840).contains(&signed)).then_some((&text[..at], Some(signed)))
}

fn to_utc(moment: &str, offset_min: i64) -> Option<String> {
    let (whole, fraction) = moment.split_once('.')?;
    let pair = |at: usize| whole.get(at..at + 2)?.parse::<i8>().ok();
    // A leap second has no place in the civil calendar: it is moved like the second before it.
    let (second, is_leap) = match pair(12)? {
        60 => (59, true),
        second => (second, false),
    };
    let local: DateTime = date_of(whole.get(..8)?)?.at(pair(8)?, pair(10)?, second, 0);
    let utc = local.checked_sub(offset_min.minutes()).ok()?;
    let second = if is_leap { 60 } else { utc.second() };
    Some(format!(
        "{:04}{:02}{:02}{:02}{:02}{second:02}.{fraction}",
        utc.year(),
        utc.month(),
        utc.day(),
        utc.hour(),
        utc.minute()
    ))
}

fn last_of_month(year_month: &str) -> Option<String> {
    let first = date_of(&format!("{year_month}01"))?;
    Some(format!("{year_month}{:02}", first.days_in_month()))
}

fn date_of(digits: &str) -> Option<Date> {
    if digits.len() != 8 || !is_digits(digits) {
        return None;
    }
    Date::new(
        digits[..4].parse().ok()?,
        digits[4..6].parse().ok()?,
        digits[6..].parse().ok()?,
    )
    .ok()
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, normal) in [
            ("20240229", Some("20240229")),
            ("2024.02.29 ", Some("20240229")),
            ("20230229", None),
            ("202402", None),
            ("2024-02-29", None),
            ("", None),
            ("2024022\u{e9}", None),
        ] {
            assert_eq!(normal_date(text).as_deref(), normal, "{text}");
        }
    }

    #[test]
    fn times_mean_all_that_they_leave_open() {
        for (text, span) in [
            ("22", Some(("220000.000000", "225959.999999"))),
            ("2230", Some(("223000.000000", "223059.999999"))),
            ("223015", Some(("223015.000000", "223015.999999"))),
            ("223015.5 ", Some(("223015.500000", "223015.599999"))),
            ("223015.123456", Some(("223015.123456", "223015.123456"))),
            ("22:30:15.5", Some(("223015.500000", "223015.599999"))),
            ("22:30", Some(("223000.000000", "223059.999999"))),
            ("235960", Some(("235960.000000", "235960.999999"))),
            ("24", None),
            ("2260", None),
            ("223", None),
            ("2230.5", None),
            ("223015.", None),
            ("223015.1234567", None),
            ("", None),
        ] {
            let found = moments(VR::TM, text);
            assert_eq!(
                found.as_ref().map(|(a, b)| (a.as_str(), b.as_str())),
                span,
                "{text}"
            );
        }
    }

    #[test]
    fn date_times() {
        for (text, span) in [
            (
                "2024",
                Some(("20240101000000.000000", "20241231235959.999999")),
            ),
            (
                "202402",
                Some(("20240201000000.000000", "20240229235959.999999")),
            ),
            (
                "20240229",
                Some(("20240229000000.000000", "20240229235959.999999")),
            ),
            (
                "2024022912",
                Some(("20240229120000.000000", "20240229125959.999999")),
            ),
            (
                "20240229120000.25",
                Some(("20240229120000.250000", "20240229120000.259999")),
            ),
            (
                "20240301010000+0200",
                Some(("20240229230000.000000", "20240229230000.999999")),
            ),
            (
                "20231231200000-0500",
                Some(("20240101010000.000000", "20240101010000.999999")),
            ),
            ("20240229-1300", None),
            ("20240229+05", None),
            ("20230229", None),
            ("2024.5", None),
        ] {
            let found = moments(VR::DT, text);
            assert_eq!(
                found.as_ref().map(|(a, b)| (a.as_str(), b.as_str())),
                span,
                "{text}"
            );
        }
    }
}
