//! Who may do what (PS3.8 §7.1.1.3, Calling AE Title): the table `[dicom] modalities`, a row for each
//! application entity that we know. Orthanc calls it DicomModalities and has `AllowStore` and so on.
//!
//! A title is what a peer says of itself, so a row may also name the hosts that it comes from. A known
//! title from elsewhere gets the same answer as an unknown one. What a peer has no right to is rejected
//! as a presentation context (result 1, user-rejection: we do have the service, but not for it), so
//! that nothing of it can be called.

use std::fmt;
use std::net::IpAddr;

use crate::dicom::AeTitle;

/// More rows than a hospital has machines.
const ROWS_MAX: usize = 4096;
/// The row of whoever has no row.
const ANYBODY: &str = "*";
/// Every right.
const EVERYTHING: &str = "all";

/// What can be allowed. C-ECHO is for everybody who is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// C-STORE.
    Store = 1,
    /// C-FIND.
    Find = 2,
    /// C-MOVE.
    Move = 4,
    /// C-GET.
    Get = 8,
    /// Storage commitment: to ask for it, and to report it to us.
    Commit = 16,
}

/// The words of the configuration.
const WORDS: &[(&str, Right)] = &[
    ("store", Right::Store),
    ("find", Right::Find),
    ("move", Right::Move),
    ("get", Right::Get),
    ("commit", Right::Commit),
];

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u8);

impl Rights {
    /// Every right.
    pub const ALL: Self = Self(0x1F);

    /// Those that words name; words that name none are passed over.
    pub(super) fn of_scope(words: &str) -> Self {
        words
            .split_ascii_whitespace()
            .filter_map(Self::word)
            .fold(Self::default(), Self::or)
    }

    /// Those that words name.
    ///
    /// # Errors
    /// The first word that names none.
    pub(super) fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        words.into_iter().try_fold(Self::default(), |rights, word| {
            Ok(rights.or(Self::word(word).ok_or(word)?))
        })
    }

    fn word(word: &str) -> Option<Self> {
        if word == EVERYTHING {
            return Some(Self::ALL);
        }
        let found = WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, right)| Self(*right as u8))
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The words of those that are among them.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let held = WORDS.iter().filter(move |(_, right)| self.hold(*right));
        held.map(|(word, _)| *word)
    }

    /// Whether one is among them.
    #[must_use]
    pub fn hold(self, right: Right) -> bool {
        self.0 & right as u8 != 0
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = WORDS.iter().filter(|(_, right)| self.hold(*right));
        f.debug_set().entries(held.map(|(word, _)| word)).finish()
    }
}

/// An address, or all that begin with the same bits (CIDR, RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(whole);
        let network = Self { address, bits };
        if bits > whole {
            return None;
        }
        // 10.0.0.5/8 is a slip of the pen: one host is meant, or another network.
        let shifted = network.shifted(address);
        let first = shifted.checked_shl((whole - bits).into()).unwrap_or(0);
        (first == number(address)).then_some(network)
    }

    /// As the configuration has it.
    fn text(&self) -> String {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        match self.bits == whole {
            true => self.address.to_string(),
            false => format!("{}/{}", self.address, self.bits),
        }
    }

    /// The bits that count.
    fn shifted(&self, address: IpAddr) -> u128 {
        let whole: u32 = if address.is_ipv4() { 32 } else { 128 };
        number(address)
            .checked_shr(whole - u32::from(self.bits))
            .unwrap_or(0)
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && self.shifted(self.address) == self.shifted(address)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// `None`: whoever has no row.
    title: Option<AeTitle>,
    rights: Rights,
    /// Where it may come from; empty: from anywhere.
    hosts: Vec<Network>,
    /// As whom it may call us; empty: as anybody we are.
    called: Vec<AeTitle>,
}

/// A row, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<'a> {
    /// Who; `None`: whoever has no row.
    pub title: Option<&'a AeTitle>,
    /// What they may do.
    pub rights: Rights,
    /// Addresses and networks that they may come from; none: from anywhere.
    pub hosts: Vec<String>,
    /// As whom they may call us; none: as anybody we are.
    pub called: &'a [AeTitle],
}

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modalities(Vec<Row>);

/// What a row says of somebody who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: there is no row for this title.
    Unknown,
    /// There is one, and it does not let this call in from this host.
    Refused,
    /// There is one, and it does not know us by this title.
    WrongCalled,
    /// Let in, with these rights.
    Admitted(Rights),
}

impl Modalities {
    /// Reads rows `TITLE = RIGHT… [from HOST…] [to CALLED | CALLED…]`.
    ///
    /// # Errors
    /// What is wrong, with the entry in which it is.
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, String> {
        if list.len() > ROWS_MAX {
            return Err(format!("has more than {ROWS_MAX} entries"));
        }
        let mut rows: Vec<Row> = Vec::with_capacity(list.len());
        for entry in list {
            let entry = entry.as_ref();
            let wrong = |problem: String| format!("the entry \"{entry}\" {problem}");
            let row = row(entry).map_err(wrong)?;
            if rows.iter().any(|known| known.title == row.title) {
                return Err(wrong("has the title of another one".into()));
            }
            rows.push(row);
        }
        Ok(Self(rows))
    }

    /// Whether there is no table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its rows, for people.
    pub fn known(&self) -> impl Iterator<Item = Known<'_>> {
        self.0.iter().map(|row| Known {
            title: row.title.as_ref(),
            rights: row.rights,
            hosts: row.hosts.iter().map(Network::text).collect(),
            called: &row.called,
        })
    }

    /// A called title of a row that `is_ours` does not know.
    #[must_use]
    pub fn stranger(&self, is_ours: impl Fn(&AeTitle) -> bool) -> Option<&AeTitle> {
        let mut called = self.0.iter().flat_map(|row| &row.called);
        called.find(|title| !is_ours(title))
    }

    /// Judges somebody who calls.
    pub(super) fn judge(&self, calling: &AeTitle, called: &AeTitle, from: IpAddr) -> Verdict {
        self.judge_by(|row| row.title.as_ref() == Some(calling), called, from)
    }

    /// Judges somebody without a row.
    pub(super) fn judge_stranger(&self, called: &AeTitle, from: IpAddr) -> Verdict {
        self.judge_by(|row| row.title.is_none(), called, from)
    }

    fn judge_by(&self, is_meant: impl Fn(&Row) -> bool, called: &AeTitle, from: IpAddr) -> Verdict {
        let from = from.to_canonical();
        let Some(row) = self.0.iter().find(|row| is_meant(row)) else {
            return Verdict::Unknown;
        };
        if !row.hosts.is_empty() && !row.hosts.iter().any(|network| network.holds(from)) {
            return Verdict::Refused;
        }
        if !row.called.is_empty() && !row.called.contains(called) {
            return Verdict::WrongCalled;
        }
        Verdict::Admitted(row.rights)
    }
}

fn row(entry: &str) -> Result<Row, String> {
    const FORM: &str = "is no \"TITLE = RIGHTS from HOSTS to CALLED\"";
    let (title, rest) = entry.split_once('=').ok_or(FORM)?;
    let read = |text: &str| AeTitle::parse(text).map_err(|error| format!("is no good: {error}"));
    let title = match title.trim() {
        ANYBODY => None,
        title => Some(read(title)?),
    };
    // Titles may hold spaces, so they come last, with bars between them.
    let (words, called) = match rest.split_once(" to ") {
        Some((words, called)) => (
            words,
            called.split('|').map(read).collect::<Result<_, _>>()?,
        ),
        None => (rest, Vec::new()),
    };
    let words: Vec<&str> = words.split_whitespace().collect();
    let (rights, hosts) = match words.iter().position(|word| *word == "from") {
        Some(at) => (&words[..at], Some(&words[at + 1..])),
        None => (&words[..], None),
    };
    if hosts.is_some_and(<[_]>::is_empty) {
        return Err("names no host after \"from\"".into());
    }
    let rights = Rights::parse(rights.iter().copied()).map_err(|word| {
        let known: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        let known = known.join(", ");
        format!("has the right \"{word}\", which there is not; there are {known} and {EVERYTHING}")
    })?;
    let hosts = hosts.unwrap_or_default().iter().map(|text| {
        let problem = "which is no IP address and no network such as 10.1.0.0/16";
        Network::parse(text).ok_or_else(|| format!("has the host \"{text}\", {problem}"))
    });
    Ok(Row {
        title,
        rights,
        hosts: hosts.collect::<Result<_, _>>()?,
        called,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(text: &str) -> AeTitle {
        AeTitle::parse(text).unwrap()
    }

    fn judge(rows: &[&str], calling: &str, called: &str, from: &str) -> Verdict {
        let table = Modalities::parse(rows).unwrap();
        table.judge(&title(calling), &title(called), from.parse().unwrap())
    }

    #[test]
    fn a_row_says_what_from_where_and_to_whom() {
        let rows = [
            "CT 1 = store from 10.0.0.5 10.1.0.0/16 2001:db8::/32 to OVERREAD | RESEARCH A",
            "WS = find move get",
            "NOTHING =",
        ];
        let store = Verdict::Admitted(Rights(Right::Store as u8));
        for (calling, called, from, verdict) in [
            ("CT 1", "OVERREAD", "10.0.0.5", store),
            ("CT 1", "RESEARCH A", "10.1.255.255", store),
            ("CT 1", "OVERREAD", "::ffff:10.1.2.3", store),
            ("CT 1", "OVERREAD", "2001:db8:1::7", store),
            ("CT 1", "OVERREAD", "10.0.0.6", Verdict::Refused),
            ("CT 1", "OVERREAD", "10.2.0.0", Verdict::Refused),
            ("CT 1", "OVERREAD", "2001:db9::", Verdict::Refused),
            ("CT 1", "OTHER", "10.0.0.5", Verdict::WrongCalled),
            ("CT 1", "OTHER", "10.0.0.6", Verdict::Refused),
            (
                "WS",
                "ANY",
                "192.0.2.1",
                Verdict::Admitted(Rights(2 | 4 | 8)),
            ),
            ("NOTHING", "ANY", "::1", Verdict::Admitted(Rights(0))),
            ("ws", "ANY", "::1", Verdict::Unknown),
        ] {
            assert_eq!(
                judge(&rows, calling, called, from),
                verdict,
                "{calling} {called} {from}"
            );
        }
    }

    #[test]
    fn rows_are_told_as_they_were_written() {
        let rows = [
            "CT 1 = store find from 10.0.0.5 10.1.0.0/16 2001:db8::/32 to A | B C",
            "* =",
        ];
        let table = Modalities::parse(&rows).unwrap();
        let told: Vec<_> = table.known().collect();
        assert_eq!(told[0].title, Some(&title("CT 1")));
        assert_eq!(
            told[0].rights.words().collect::<Vec<_>>(),
            ["store", "find"]
        );
        assert_eq!(told[0].hosts, ["10.0.0.5", "10.1.0.0/16", "2001:db8::/32"]);
        assert_eq!(told[0].called, [title("A"), title("B C")]);
        assert_eq!((told[1].title, told[1].rights.words().count()), (None, 0));
    }

    #[test]
    fn a_star_is_for_whoever_has_no_row() {
        let table = Modalities::parse(&["* = store", "A = find"]).unwrap();
        let (called, from) = (title("OVERREAD"), "::1".parse().unwrap());
        assert_eq!(table.judge(&title("B"), &called, from), Verdict::Unknown);
        let verdict = table.judge_stranger(&called, from);
        assert_eq!(verdict, Verdict::Admitted(Rights(Right::Store as u8)));
    }

    #[test]
    fn networks_have_the_bits_they_say() {
        for (network, inside, outside) in [
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "ff::1", "1.2.3.4"),
            ("10.1.2.128/25", "10.1.2.255", "10.1.2.127"),
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.2"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.holds(inside.parse().unwrap()), "{network:?}");
            assert!(!network.holds(outside.parse().unwrap()), "{network:?}");
        }
    }

    #[test]
    fn what_is_no_row_is_told() {
        for (entry, told) in [
            ("CT1", "TITLE = RIGHTS"),
            ("= store", "AE title is empty"),
            ("SEVENTEEN LETTERS = store", "longer than 16"),
            ("A = stor", "\"stor\""),
            ("A = store from", "no host"),
            ("A = store from host.example", "\"host.example\""),
            ("A = store from 10.0.0.0/33", "\"10.0.0.0/33\""),
            ("A = store from 10.0.0.5/8", "\"10.0.0.5/8\""),
            ("A = store from ::1/129", "\"::1/129\""),
            ("A = store to ", "AE title is empty"),
            ("A = store to B |", "AE title is empty"),
        ] {
            let problem = Modalities::parse(&[entry]).unwrap_err();
            assert!(
                problem.contains(told) && problem.contains(entry),
                "{problem}"
            );
        }
        assert!(Modalities::parse(&["A = store", "A = find"]).is_err());
        assert!(Modalities::parse(&["* = store", "* = find"]).is_err());
    }
}
