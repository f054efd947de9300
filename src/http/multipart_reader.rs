//! `multipart/related` bodies as clients send them (RFC 2046 §5.1), split while they arrive.
//!
//! A splitter of our own rather than actix-multipart: it runs on the thread that stores, takes any
//! legal boundary, and keeps no more than a delimiter's length of a part in memory. What the headers
//! of a part say is for its reader.

use memchr::memmem::{Finder, FinderBuilder};

/// The longest preamble, and the longest header block of a part, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// The longest white space allowed between a delimiter and its line end (RFC 2046 §5.1.1).
const PADDING_MAX: usize = 256;
/// The longest boundary (RFC 2046 §5.1.1 says 70), in bytes.
const BOUNDARY_MAX: usize = 256;

/// What the splitter saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A part begins; its header lines.
    Begin(&'a [u8]),
    /// Some of its bytes.
    Data(&'a [u8]),
    /// It ended at a delimiter: it is whole.
    End,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With the closing delimiter.
    Closed,
    /// Without any delimiter: this is no body of that boundary.
    NoDelimiter,
    /// Inside a part, or before the closing delimiter.
    Cut,
}

/// Why a body cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The boundary parameter cannot be one.
    #[error("the boundary parameter is missing or malformed")]
    Boundary,
    /// No delimiter where one must be.
    #[error("the body does not begin with the boundary that the Content-Type names")]
    Preamble,
    /// Part headers that never end.
    #[error("the headers of a part are too long")]
    Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Head,
    Body,
    Epilogue,
}

/// Splits one body.
#[derive(Debug)]
pub struct Splitter {
    delimiter: Finder<'static>,
    /// What has arrived and is not told yet.
    buffer: Vec<u8>,
    state: State,
    /// How many bytes of the buffer belong to the line before the part's first byte. They are kept
    /// because the delimiter of an empty part may share them.
    borrowed: usize,
}

/// What follows a match of the delimiter.
enum After {
    /// The line ends here: a part begins after so many bytes.
    Part(usize),
    /// `--`: the body is complete.
    Close,
    /// Not a delimiter after all, only bytes that look alike.
    Content,
    /// Too few bytes to tell.
    Unknown,
}

impl Splitter {
    /// Splits at `boundary`, as the Content-Type names it.
    ///
    /// # Errors
    /// When it cannot be a boundary. Characters beyond RFC 2046's are let through: some clients use them.
    pub fn new(boundary: &str) -> Result<Self, Malformed> {
        let is_usable = !boundary.is_empty()
            && boundary.len() <= BOUNDARY_MAX
            && !boundary.contains(['\r', '\n']);
        if !is_usable {
            return Err(Malformed::Boundary);
        }
        let delimiter = format!("\r\n--{boundary}");
        // The first delimiter may stand at the very beginning, without a line end of its own.
        let buffer = b"\r\n".to_vec();
        let delimiter = FinderBuilder::new()
            .build_forward(delimiter.as_bytes())
            .into_owned();
        Ok(Self {
            delimiter,
            buffer,
            state: State::Preamble,
            borrowed: 0,
        })
    }

    /// Takes the next bytes and tells `sink` what they hold.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<(), Malformed> {
        if self.state == State::Epilogue {
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        while let Some(used) = self.step(&buffer[at..], sink)? {
            at += used;
        }
        buffer.drain(..at);
        self.buffer = buffer;
        Ok(())
    }

    /// The last byte has been fed.
    pub fn finish(&self) -> Ending {
        match self.state {
            State::Preamble => Ending::NoDelimiter,
            State::Head | State::Body => Ending::Cut,
            State::Epilogue => Ending::Closed,
        }
    }

    /// Looks at `rest` once: how many of its bytes are done with, `None` when more must arrive.
    fn step(
        &mut self,
        rest: &[u8],
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<Option<usize>, Malformed> {
        match self.state {
            State::Preamble | State::Body => self.seek_delimiter(rest, sink),
            State::Head => self.head(rest, sink),
            State::Epilogue => Ok(None),
        }
    }

    fn seek_delimiter(
        &mut self,
        rest: &[u8],
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<Option<usize>, Malformed> {
        let length = self.delimiter.needle().len();
        let Some(place) = self.delimiter.find(rest) else {
            // A delimiter may have begun in the last bytes.
            let done = rest.len().saturating_sub(length - 1);
            self.content(&rest[..done], sink)?;
            return Ok((done > 0).then_some(done));
        };
        let end = place + length;
        match after_delimiter(&rest[end..]) {
            After::Unknown => {
                self.content(&rest[..place], sink)?;
                Ok((place > 0).then_some(place))
            }
            After::Content => {
                self.content(&rest[..end], sink)?;
                Ok(Some(end))
            }
            After::Part(padding) => {
                self.part_end(&rest[..place], sink)?;
                self.state = State::Head;
                // The line end stays: it may be the empty line that ends empty headers.
                Ok(Some(end + padding))
            }
            After::Close => {
                self.part_end(&rest[..place], sink)?;
                self.state = State::Epilogue;
                Ok(Some(rest.len()))
            }
        }
    }

    fn part_end(&mut self, last: &[u8], sink: &mut impl FnMut(Event<'_>)) -> Result<(), Malformed> {
        self.content(last, sink)?;
        if self.state == State::Body {
            sink(Event::End);
        }
        Ok(())
    }

    /// Bytes that belong to no delimiter.
    fn content(&mut self, bytes: &[u8], sink: &mut impl FnMut(Event<'_>)) -> Result<(), Malformed> {
        if self.state == State::Preamble {
            // `borrowed` counts the preamble here.
            self.borrowed += bytes.len();
            return if self.borrowed > HEAD_MAX {
                Err(Malformed::Preamble)
            } else {
                Ok(())
            };
        }
        let own = &bytes[self.borrowed.min(bytes.len())..];
        self.borrowed -= self.borrowed.min(bytes.len());
        if !own.is_empty() {
            sink(Event::Data(own));
        }
        Ok(())
    }

    /// `rest` begins with the line end of the delimiter.
    fn head(
        &mut self,
        rest: &[u8],
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<Option<usize>, Malformed> {
        match memchr::memmem::find(rest, b"\r\n\r\n") {
            Some(end) => {
                self.state = State::Body;
                // The last line end stays: the delimiter of an empty part may use it.
                self.borrowed = 2;
                sink(Event::Begin(&rest[..end]));
                Ok(Some(end + 2))
            }
            None if rest.len() > HEAD_MAX => Err(Malformed::Head),
            None => Ok(None),
        }
    }
}

fn after_delimiter(rest: &[u8]) -> After {
    if rest.starts_with(b"--") {
        return After::Close;
    }
    let padding = rest
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    match rest[padding..] {
        [b'\r', b'\n', ..] if padding <= PADDING_MAX => After::Part(padding),
        [] | [b'\r'] if padding <= PADDING_MAX => After::Unknown,
        [b'-'] if padding == 0 => After::Unknown,
        _ => After::Content,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The whole parts, the bytes of one that did not end, the ending.
    type Split = (Vec<Vec<u8>>, Option<Vec<u8>>, Ending);

    /// Splits a body fed in pieces of `size`.
    fn split(boundary: &str, body: &[u8], size: usize) -> Result<Split, Malformed> {
        let mut splitter = Splitter::new(boundary)?;
        let (mut parts, mut open) = (Vec::new(), None::<Vec<u8>>);
        for piece in body.chunks(size) {
            splitter.feed(piece, &mut |event| match event {
                Event::Begin(_) => assert!(open.replace(Vec::new()).is_none()),
                Event::Data(data) => open.as_mut().unwrap().extend_from_slice(data),
                Event::End => parts.push(open.take().unwrap()),
            })?;
        }
        Ok((parts, open, splitter.finish()))
    }

    fn check(boundary: &str, body: &str, parts: &[&str], ending: Ending) {
        for size in [1, 2, 3, 7, 64, 4096] {
            let (found, _, ended) = split(boundary, body.as_bytes(), size).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|part| std::str::from_utf8(part).unwrap())
                .collect();
            assert_eq!(
                (found.as_slice(), ended),
                (parts, ending),
                "{body:?} by {size}"
            );
        }
    }

    #[test]
    fn bodies_of_every_legal_form_are_split() {
        check(
            "b",
            "--b\r\nA: x\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
            &["one", "two"],
            Ending::Closed,
        );
        check(
            "b",
            "pre\r\namble\r\n--b \t\r\nA: x\r\n\r\none\r\n--b--  epilogue\r\n--b\r\n",
            &["one"],
            Ending::Closed,
        );
        check("b", "\r\n--b\r\n\r\n\r\n--b--", &[""], Ending::Closed);
        check(
            "b",
            "--b\r\nA: x\r\n\r\n--b\r\nA: y\r\n\r\n\r\n--b--",
            &["", ""],
            Ending::Closed,
        );
        check(
            "b",
            "--b\r\n\r\n\r\n\r\n\r\n--b--",
            &["\r\n\r\n"],
            Ending::Closed,
        );
        check(
            "a b'()+_,-./:=?",
            "--a b'()+_,-./:=?\r\n\r\nx\r\n--a b'()+_,-./:=?--",
            &["x"],
            Ending::Closed,
        );
        check("b", "--b--", &[], Ending::Closed);
    }

    #[test]
    fn the_headers_of_a_part_come_with_its_beginning() {
        let body = b"--b\r\nA: x\r\nB: y\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--";
        for size in [1, 5, 100] {
            let mut splitter = Splitter::new("b").unwrap();
            let mut heads = Vec::new();
            for piece in body.chunks(size) {
                let mut sink = |event: Event<'_>| {
                    if let Event::Begin(head) = event {
                        heads.push(head.to_vec());
                    }
                };
                splitter.feed(piece, &mut sink).unwrap();
            }
            assert_eq!(heads, [b"\r\nA: x\r\nB: y".to_vec(), Vec::new()]);
        }
    }

    #[test]
    fn bytes_that_look_like_a_delimiter_are_content() {
        check(
            "b",
            "--b\r\n\r\nx\r\n--bc\r\n--\r\n-b--b\r\n--b--",
            &["x\r\n--bc\r\n--\r\n-b--b"],
            Ending::Closed,
        );
        check(
            "b",
            "--b\r\n\r\nx\r\n--b-c\r\n\r\n--b--",
            &["x\r\n--b-c\r\n"],
            Ending::Closed,
        );
        check(
            "b",
            "--b\r\n\r\nx\r\n--b\rc\r\n--b--",
            &["x\r\n--b\rc"],
            Ending::Closed,
        );
    }

    #[test]
    fn a_cut_body_is_told_from_a_whole_one() {
        check(
            "b",
            "--b\r\n\r\none\r\n--b\r\n\r\ntw",
            &["one"],
            Ending::Cut,
        );
        check("b", "--b\r\n\r\none\r\n--b\r\n", &["one"], Ending::Cut);
        check("b", "--b\r\n\r\none\r\n--b", &[], Ending::Cut);
        check("b", "--c\r\n\r\none\r\n--c--", &[], Ending::NoDelimiter);
        check("b", "", &[], Ending::NoDelimiter);
        let (_, open, _) = split("b", b"--b\r\n\r\none", 2).unwrap();
        assert_eq!(
            open.as_deref(),
            Some(&b""[..]),
            "the last bytes wait for a delimiter"
        );
    }

    #[test]
    fn endless_heads_are_refused() {
        assert_eq!(
            split("b", &vec![b'x'; HEAD_MAX + 100], 512).unwrap_err(),
            Malformed::Preamble
        );
        let head = [b"--b\r\n".to_vec(), vec![b'x'; HEAD_MAX + 100]].concat();
        assert_eq!(split("b", &head, 512).unwrap_err(), Malformed::Head);
        for bad in ["", "a\r\nb", &"x".repeat(BOUNDARY_MAX + 1)] {
            assert_eq!(split(bad, b"", 1).unwrap_err(), Malformed::Boundary);
        }
    }

    proptest! {
        #[test]
        fn any_parts_come_back_however_they_are_cut(
            parts in prop::collection::vec(prop::collection::vec(prop::sample::select(b"\r\n-bX \0".to_vec()), 0..40), 0..5),
            size in 1_usize..20,
        ) {
            // The boundary holds a byte that the parts cannot.
            let mut body = Vec::new();
            for part in &parts {
                body.extend_from_slice(b"--b!\r\nContent-Type: a/b\r\n\r\n");
                body.extend_from_slice(part);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"--b!--\r\n");
            let (found, open, ending) = split("b!", &body, size).unwrap();
            prop_assert_eq!((found, open, ending), (parts, None, Ending::Closed));
        }

        #[test]
        fn nothing_makes_it_panic(body in prop::collection::vec(prop::sample::select(b"\r\n-b :x".to_vec()), 0..400), size in 1_usize..30) {
            let _ = split("b", &body, size);
        }
    }
}
