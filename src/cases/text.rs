//! Texts that people write: bounded, in one form, and without what could steer a terminal or end a DICOM value.

use super::error::Fault;

/// Whether a text may have several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    One,
    Many,
}

/// Brings a text into the form in which it is kept: line ends are line feeds, spaces at both ends are gone.
///
/// # Errors
/// When it is longer than `bytes_max`, or has control characters.
pub(super) fn tidy(
    text: &mut String,
    field: &'static str,
    bytes_max: usize,
    lines: Lines,
) -> Result<(), Fault> {
    let tidied = text.replace("\r\n", "\n").replace('\r', "\n");
    let tidied = tidied.trim();
    if tidied.len() > bytes_max {
        return Err(Fault::new(
            field,
            format!("is longer than {bytes_max} bytes"),
        ));
    }
    let is_steering =
        |c: char| c.is_control() && !(lines == Lines::Many && matches!(c, '\n' | '\t'));
    if tidied.chars().any(is_steering) {
        return Err(Fault::new(field, "has control characters"));
    }
    // In one line it becomes a Long String, where a backslash parts values (PS3.5 §6.2).
    if lines == Lines::One && tidied.contains('\\') {
        return Err(Fault::new(field, "has a backslash"));
    }
    *text = tidied.to_owned();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_tidied_or_refused() {
        let tidied = |text: &str, lines| {
            let mut text = text.to_owned();
            tidy(&mut text, "question", 10, lines).map(|()| text)
        };
        assert_eq!(tidied(" a\r\nb\r", Lines::Many).as_deref(), Ok("a\nb"));
        assert_eq!(tidied("Müller 12", Lines::One).as_deref(), Ok("Müller 12"));
        assert!(tidied("a\nb", Lines::One).is_err());
        assert!(tidied("a\\b", Lines::One).is_err() && tidied("a\\b", Lines::Many).is_ok());
        assert!(tidied("a\u{1b}[2J", Lines::Many).is_err());
        assert!(tidied("12345678901", Lines::Many).is_err());
        assert!(tidied("1234567890", Lines::Many).is_ok());
    }
}
