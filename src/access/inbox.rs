//! Inboxes: a link by which somebody without an account brings studies, into a case or before there is one.
//!
//! An inbox is a grant whose studies are those that came by it. Beside the grant stands who made it, what the case that
//! comes of it shall be about, and whose images are awaited, so that papers that come before any image have a name.

use crate::access::audit::AuditRecord;
use crate::access::grant::Grant;
use crate::access::ledger::{AccessError, LedgerError};

/// The case of an inbox for which none has been opened yet.
pub const NO_CASE: i64 = 0;
/// The most inboxes of one account that are good and have no case yet.
pub const OF_MAKER_MAX: usize = 200;
/// The longest question. Bytes.
pub const QUESTION_BYTES_MAX: usize = 2048;
/// The longest context. Bytes.
pub const CONTEXT_BYTES_MAX: usize = 16 * 1024;
/// The most component groups of a patient's name, and the most components and characters of each (PS3.5 §6.2.1).
const NAME_GROUPS_MAX: usize = 3;
const NAME_COMPONENTS_MAX: usize = 5;
const NAME_CHARS_MAX: usize = 64;
/// The longest ID of a patient (LO). Characters.
const ID_CHARS_MAX: usize = 64;

/// The patient whose studies are awaited, as DICOM can have them; empty where nobody said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patient {
    name: String,
    id: String,
    birth_date: String,
}

impl Patient {
    /// One as DICOM has it; what is not known is empty.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(name: &str, id: &str, birth_date: &str) -> Result<Self, &'static str> {
        // Delimiters at the end say nothing (PS3.5 §6.2.1).
        let name = name.trim().trim_end_matches(['^', '=', ' ']);
        let patient = Self {
            name: name.into(),
            id: id.trim().into(),
            birth_date: birth_date.into(),
        };
        patient.fault().map_or(Ok(patient), Err)
    }

    /// One as people type it: family and given name, and the date as a date field has it (1970-01-31) or as DICOM does.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn typed(
        (family, given): (&str, &str),
        id: &str,
        birth_date: &str,
    ) -> Result<Self, &'static str> {
        let part = |text: &str| {
            let kept = text.chars();
            let kept = kept.filter(|c| !c.is_control() && !matches!(c, '^' | '=' | '\\'));
            kept.collect::<String>().trim().to_owned()
        };
        // Whoever has a given name only has no family name (PS3.5 §6.2.1.1).
        let name = format!("{}^{}", part(family), part(given));
        let birth_date = birth_date.trim();
        let is_split = matches!(birth_date.as_bytes(), [_, _, _, _, b'-', _, _, b'-', _, _]);
        let birth_date = match is_split {
            true => birth_date.replace('-', ""),
            false => birth_date.into(),
        };
        Self::new(&name, id, &birth_date)
    }

    /// Patient's Name (0010,0010).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Patient ID (0010,0020).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Patient's Birth Date (0010,0030).
    #[must_use]
    pub fn birth_date(&self) -> &str {
        &self.birth_date
    }

    fn fault(&self) -> Option<&'static str> {
        let is_line = |text: &str| !text.contains(|c: char| c.is_control() || c == '\\');
        if !is_line(&self.name) || !is_line(&self.id) || self.id.chars().count() > ID_CHARS_MAX {
            return Some("a patient's name or ID is one short line without backslash");
        }
        let is_group = |group: &str| {
            group.chars().count() <= NAME_CHARS_MAX
                && group.split('^').count() <= NAME_COMPONENTS_MAX
        };
        let groups = self.name.split('=');
        if groups.clone().count() > NAME_GROUPS_MAX || !groups.clone().all(is_group) {
            return Some("a patient's name has 64 characters at most");
        }
        if !self.birth_date.is_empty() && !is_date(&self.birth_date) {
            return Some("a birth date is a day of the calendar, eight digits: 19700131");
        }
        None
    }
}

/// Whether a text is a date (DA) and there was such a day.
fn is_date(text: &str) -> bool {
    let is_written = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    is_written && jiff::civil::Date::strptime("%Y%m%d", text).is_ok()
}

/// What an inbox is made for; empty where nobody said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purpose {
    /// What the case shall ask.
    pub question: String,
    /// What else its reader shall know.
    pub context: String,
    /// Whose studies are awaited.
    pub patient: Patient,
}

/// An inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox {
    /// The grant, with what came by it.
    pub grant: Grant,
    /// The account that made it.
    pub maker: Box<str>,
    /// What for.
    pub purpose: Purpose,
    /// When its holder said that all was sent; more may have come since.
    pub finished_ms: Option<i64>,
    /// How much came by it and was kept. Bytes.
    pub bytes: u64,
}

impl Inbox {
    /// The number of the case that was opened of it.
    #[must_use]
    pub fn case(&self) -> Option<u64> {
        u64::try_from(self.grant.case).ok().filter(|case| *case > 0)
    }
}

impl Purpose {
    /// What is wrong with it, in words.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let is_steering = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
        if self.question.len() > QUESTION_BYTES_MAX || self.question.contains(is_steering) {
            return Some("a question has 2048 bytes at most");
        }
        if self.context.len() > CONTEXT_BYTES_MAX || self.context.contains(is_steering) {
            return Some("a context has 16384 bytes at most");
        }
        None
    }
}

/// The port to where inboxes are kept. What changes anything is durable on return, and so is its row of the trail.
pub trait InboxLedger: Send + Sync {
    /// The inbox of a grant; `None` when it is none.
    ///
    /// # Errors
    /// When the ledger cannot be read. (So for all that only reads.)
    fn inbox(&self, grant: i64) -> Result<Option<Inbox>, LedgerError>;

    /// How much came by an inbox; nothing when it is none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn inbox_bytes(&self, grant: i64) -> Result<u64, LedgerError>;

    /// Counts so many bytes more. Bookkeeping: what came is told of where it is stored.
    ///
    /// # Errors
    /// When it cannot be written.
    fn count_inbox(&self, grant: i64, bytes: u64) -> Result<(), LedgerError>;

    /// The inboxes that an account made, or all, the newest first: at most `limit` before the number `before`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn inboxes(
        &self,
        maker: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Inbox>, LedgerError>;

    /// Says which case was opened of an inbox that had none.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when it is none, or has a case.
    fn tie_inbox(&self, grant: i64, case: i64, audit: &AuditRecord) -> Result<(), AccessError>;

    /// Notes that the holder says to have sent everything.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    fn finish_inbox(&self, grant: i64, at_ms: i64, audit: &AuditRecord) -> Result<(), AccessError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_are_bounded() {
        let with = |change: fn(&mut Purpose)| {
            let mut purpose = Purpose::default();
            change(&mut purpose);
            purpose.fault().is_none()
        };
        assert!(with(|_| ()));
        assert!(with(|p| p.question = "Is it broken?\nReally?".into()));
        assert!(!with(|p| p.question = "x".repeat(QUESTION_BYTES_MAX + 1)));
        assert!(!with(|p| p.context = "\u{1b}[2J".into()));
    }

    #[test]
    fn patients_are_as_dicom_has_them() {
        let long = "ä".repeat(64);
        for (name, id, birth_date) in [
            ("", "", ""),
            (&*long, &*long, "20000229"),
            ("^Anna", "1", "19000101"),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "", ""),
            (&format!("{long}={long}={long}"), "", ""),
            ("a^b^c^d^e", "", ""),
        ] {
            assert!(
                Patient::new(name, id, birth_date).is_ok(),
                "{name} {id} {birth_date}"
            );
        }
        for (name, id, birth_date) in [
            ("", "", "99999999"),
            ("", "", "20010229"),
            ("", "", "19701301"),
            ("", "", "19700100"),
            ("", "", "1970 131"),
            ("", "", "+1970131"),
            ("", "", "197001311"),
            (&format!("{long}a"), "", ""),
            (&format!("a={long}a"), "", ""),
            ("a=b=c=d", "", ""),
            ("a^b^c^d^e^f", "", ""),
            ("a\\b", "", ""),
            ("a\nb", "", ""),
            ("", &format!("{long}a"), ""),
            ("", "a\\b", ""),
            ("", "1\n2", ""),
            ("", "", "1970-01-31"),
        ] {
            assert!(
                Patient::new(name, id, birth_date).is_err(),
                "{name} {id} {birth_date}"
            );
        }
        // Delimiters alone are no name.
        for (name, kept) in [("^^", ""), ("=", ""), (" a^ ", "a"), ("=b^", "=b")] {
            assert_eq!(Patient::new(name, "", "").unwrap().name(), kept);
        }
    }

    #[test]
    fn what_people_type_becomes_a_patient() {
        let typed = |family, given, birth_date| {
            let patient = Patient::typed((family, given), " 7 ", birth_date);
            patient.map(|patient| (patient.name, patient.birth_date))
        };
        let found = |name: &str, date: &str| Ok((name.to_owned(), date.to_owned()));
        assert_eq!(
            typed("Meier", "Anna", "1970-01-31"),
            found("Meier^Anna", "19700131")
        );
        assert_eq!(
            typed(" Mei=er^\\", "", "19700131"),
            found("Meier", "19700131")
        );
        // A given name is no family name.
        assert_eq!(typed("", "Anna", ""), found("^Anna", ""));
        assert_eq!(typed("", "", ""), found("", ""));
        assert!(typed("Meier", "Anna", "197-00131").is_err());
        assert!(typed("Meier", "Anna", "1970-02-30").is_err());
        assert!(typed(&"x".repeat(40), &"y".repeat(40), "").is_err());
        assert_eq!(Patient::typed(("", ""), " 7 ", "").unwrap().id, "7");
    }
}
