//! JSON, read piece by piece (RFC 8259). Of our own because numbers must keep their digits (DS is
//! decimal text) and one pass must do whatever the order of members; strings with escapes are left to
//! `serde_json`.

use std::borrow::Cow;

use crate::dicom::dataset::ParseError;

/// A place in a JSON text.
pub(in crate::dicom) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins behind a byte order mark, if there is one.
    pub(in crate::dicom) fn new(text: &'a [u8]) -> Self {
        let at = if text.starts_with(b"\xEF\xBB\xBF") {
            3
        } else {
            0
        };
        Self { text, at }
    }

    /// An error at this place.
    pub(in crate::dicom) fn malformed<T>(&self, what: &'static str) -> Result<T, ParseError> {
        Err(ParseError::Malformed { at: self.at, what })
    }

    /// The first byte of what comes next, white space left out; it stays.
    pub(in crate::dicom) fn peek(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().take_while(|b| is_space(b)).count();
        self.text.get(self.at).copied()
    }

    /// Takes `byte` when it comes next.
    pub(in crate::dicom) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes `byte`, which must come next.
    pub(in crate::dicom) fn expect(
        &mut self,
        byte: u8,
        what: &'static str,
    ) -> Result<(), ParseError> {
        if self.take(byte) {
            return Ok(());
        }
        self.malformed(what)
    }

    /// Takes the word `null` when it comes next.
    pub(in crate::dicom) fn take_null(&mut self) -> bool {
        let is_next = self.peek().is_some() && self.text[self.at..].starts_with(b"null");
        self.at += if is_next { 4 } else { 0 };
        is_next
    }

    /// Nothing but white space may be left.
    pub(in crate::dicom) fn end(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.malformed("nothing may follow"),
        }
    }

    /// Whether another member or element comes, before `close`; takes the comma or `close`.
    /// `is_first` is true for the first question behind the opening bracket.
    pub(in crate::dicom) fn more(
        &mut self,
        close: u8,
        is_first: &mut bool,
    ) -> Result<bool, ParseError> {
        let was_first = std::mem::replace(is_first, false);
        if self.take(close) {
            return Ok(false);
        }
        if !was_first {
            self.expect(b',', "a comma or the end was expected")?;
        }
        Ok(true)
    }

    /// The name of a member, and the colon.
    pub(in crate::dicom) fn name(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let name = self.string()?;
        self.expect(b':', "a colon was expected")?;
        Ok(name)
    }

    /// Whether an object comes next whose first name is one of `names`; nothing is taken.
    pub(in crate::dicom) fn is_name_of(&mut self, names: &[&str]) -> bool {
        let start = self.at;
        let is_so = self.take(b'{') && self.string().is_ok_and(|name| names.contains(&&*name));
        self.at = start;
        is_so
    }

    /// A string.
    pub(in crate::dicom) fn string(&mut self) -> Result<Cow<'a, str>, ParseError> {
        self.expect(b'"', "a string was expected")?;
        let start = self.at;
        let mut has_escape = false;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(next) = memchr::memchr2(b'"', b'\\', rest) else {
                return self.malformed("a string does not end");
            };
            self.at += next + 1;
            if rest[next] == b'"' {
                break;
            }
            has_escape = true;
            self.at += 1;
        }
        let quoted = &self.text[start - 1..self.at];
        let inner = &quoted[1..quoted.len() - 1];
        if has_escape {
            return serde_json::from_slice(quoted)
                .map(Cow::Owned)
                .or_else(|_| self.malformed("a string is not well formed"));
        }
        match std::str::from_utf8(inner) {
            Ok(text) if text.bytes().all(|b| b >= 0x20) => Ok(Cow::Borrowed(text)),
            _ => self.malformed("a string is not well formed"),
        }
    }

    /// A number, as it is written.
    pub(in crate::dicom) fn number(&mut self) -> Result<&'a str, ParseError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_part = |b: &u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(|b| is_part(b)).count();
        let number = std::str::from_utf8(&rest[..length]).unwrap_or_default();
        if !is_number(number) {
            return self.malformed("a value was expected");
        }
        self.at += length;
        Ok(number)
    }
}

/// Whether a text is a number by RFC 8259 §6.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}
