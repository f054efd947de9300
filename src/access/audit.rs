//! The record of who did what to which study: the audit messages of PS3.15 §A.5 as rows, and the chain
//! that binds each row to all before it ([`link`]).
//!
//! An [`AuditRecord`] is written in the transaction of the change that it tells of; what changes nothing
//! (a search, a retrieve, a refusal) is recorded by itself. Patient IDs and what was asked for may stand
//! in it, as the standard wants: it is no log, and nobody but an administrator reads it.

use std::fmt;

use crate::dicom::Uid;

/// The longest text of a record; what is longer is cut off. Bytes.
pub const TEXT_BYTES_MAX: usize = 4096;

/// The most studies that one record names.
pub const STUDIES_MAX: usize = 1000;

/// A table of coded terms, as an enum: variant, code value, code meaning.
macro_rules! codes {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $code:literal $meaning:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $(#[doc = $meaning] $variant,)+ }

        impl $name {
            /// All of them, in the order of their codes.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code value (coding scheme DCM).
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The code meaning.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// The one with this code value.
            #[must_use]
            pub fn of_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

codes! {
    /// What happened (PS3.16 CID 400, PS3.15 §A.5.3).
    Event {
        ApplicationActivity = "110100" "Application Activity",
        AuditLogUsed = "110101" "Audit Log Used",
        BeginTransferring = "110102" "Begin Transferring DICOM Instances",
        InstancesAccessed = "110103" "DICOM Instances Accessed",
        InstancesTransferred = "110104" "DICOM Instances Transferred",
        StudyDeleted = "110105" "DICOM Study Deleted",
        Export = "110106" "Export",
        Import = "110107" "Import",
        NetworkEntry = "110108" "Network Entry",
        OrderRecord = "110109" "Order Record",
        PatientRecord = "110110" "Patient Record",
        ProcedureRecord = "110111" "Procedure Record",
        Query = "110112" "Query",
        SecurityAlert = "110113" "Security Alert",
        UserAuthentication = "110114" "User Authentication",
    }
}

codes! {
    /// What kind of it (PS3.16 CID 401, 402, 403).
    EventType {
        ApplicationStart = "110120" "Application Start",
        ApplicationStop = "110121" "Application Stop",
        Login = "110122" "Login",
        Logout = "110123" "Logout",
        NodeAuthentication = "110126" "Node Authentication",
        SecurityConfiguration = "110129" "Security Configuration",
        UseOfRestrictedFunction = "110132" "Use of Restricted Function",
        ObjectSecurityAttributesChanged = "110135" "Object Security Attributes Changed",
        SecurityRolesChanged = "110136" "Security Roles Changed",
        UserSecurityAttributesChanged = "110137" "User security Attributes Changed",
    }
}

/// What was done (EventActionCode, PS3.15 Table A.5.2-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionCode {
    /// Made.
    Create,
    /// Looked at.
    Read,
    /// Changed.
    Update,
    /// Removed.
    Delete,
    /// Run, searched, signed in.
    Execute,
}

impl ActionCode {
    const CODES: [(Self, &'static str); 5] = [
        (Self::Create, "C"),
        (Self::Read, "R"),
        (Self::Update, "U"),
        (Self::Delete, "D"),
        (Self::Execute, "E"),
    ];

    /// The letter of the standard.
    #[must_use]
    pub fn code(self) -> &'static str {
        let known = Self::CODES.iter().find(|(action, _)| *action == self);
        known.map_or("E", |(_, code)| code)
    }

    /// The one with this letter.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        let known = Self::CODES.iter().find(|(_, known)| *known == code);
        known.map(|(action, _)| *action)
    }
}

/// How it ended (EventOutcomeIndicator).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOutcome {
    /// As asked for.
    Success,
    /// Refused or failed, by somebody's mistake: a wrong passcode, a missing right.
    MinorFailure,
    /// Failed, and somebody should look: throttled, something of ours broke.
    SeriousFailure,
    /// Not available any more.
    MajorFailure,
}

impl AuditOutcome {
    const CODES: [(Self, i64); 4] = [
        (Self::Success, 0),
        (Self::MinorFailure, 4),
        (Self::SeriousFailure, 8),
        (Self::MajorFailure, 12),
    ];

    /// The number of the standard.
    #[must_use]
    pub fn code(self) -> i64 {
        let known = Self::CODES.iter().find(|(outcome, _)| *outcome == self);
        known.map_or(12, |(_, code)| *code)
    }

    /// The one with this number.
    #[must_use]
    pub fn of_code(code: i64) -> Option<Self> {
        let known = Self::CODES.iter().find(|(_, known)| *known == code);
        known.map(|(outcome, _)| *outcome)
    }
}

/// Who did it, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// The name of an account, an AE title, `anonymous`, or `uid 1000` at a shell.
    pub name: String,
    /// How it is known: `session`, `token 7`, `association`, `shell`; empty when not at all.
    pub means: String,
    /// The network address; empty for this machine's shell.
    pub address: String,
}

/// One row of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// What happened.
    pub event: Event,
    /// What kind of it.
    pub event_type: Option<EventType>,
    /// What was done.
    pub action: ActionCode,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Who did it.
    pub who: Actor,
    /// The studies it was done to, in order.
    pub studies: Vec<Uid>,
    /// The patient, where the door knew; empty otherwise.
    pub patient_id: String,
    /// What else it was done to, as `account anna` or `workitem 1.2.3`; empty when nothing.
    pub object: String,
    /// What was asked for, or why it was refused; empty when there is nothing to say.
    pub detail: String,
}

impl AuditRecord {
    /// Something that `who` did at `at_ms`, and that went well.
    #[must_use]
    pub fn new(event: Event, action: ActionCode, who: Actor, at_ms: i64) -> Self {
        Self {
            at_ms,
            event,
            event_type: None,
            action,
            outcome: AuditOutcome::Success,
            who: Actor {
                name: cut(who.name),
                means: cut(who.means),
                address: cut(who.address),
            },
            studies: Vec::new(),
            patient_id: String::new(),
            object: String::new(),
            detail: String::new(),
        }
    }

    /// Says what kind of event it is.
    #[must_use]
    pub fn of_type(mut self, event_type: EventType) -> Self {
        self.event_type = Some(event_type);
        self
    }

    /// Says that it ended otherwise.
    #[must_use]
    pub fn ended(mut self, outcome: AuditOutcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Adds a study that it was done to, once; beyond [`STUDIES_MAX`] they are not named any more.
    #[must_use]
    pub fn about(mut self, study_instance_uid: &Uid) -> Self {
        if self.studies.len() < STUDIES_MAX && !self.studies.contains(study_instance_uid) {
            self.studies.push(study_instance_uid.clone());
        }
        self
    }

    /// Names the patient.
    #[must_use]
    pub fn of_patient(mut self, patient_id: impl Into<String>) -> Self {
        self.patient_id = cut(patient_id.into());
        self
    }

    /// Names what else it was done to.
    #[must_use]
    pub fn on(mut self, object: impl Into<String>) -> Self {
        self.object = cut(object.into());
        self
    }

    /// Says what was asked for, or why it was refused.
    #[must_use]
    pub fn saying(mut self, detail: impl Into<String>) -> Self {
        self.detail = cut(detail.into());
        self
    }

    /// A digest of all that it says but the time: of the same done again it is the same.
    #[must_use]
    pub(super) fn digest(&self) -> [u8; 32] {
        let timeless = Self {
            at_ms: 0,
            ..self.clone()
        };
        *blake3::hash(&timeless.canonical(0)).as_bytes()
    }

    /// The record as bytes, each text with its length before it: no two records have the same.
    fn canonical(&self, id: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(id.to_le_bytes());
        bytes.extend(self.at_ms.to_le_bytes());
        bytes.extend(self.outcome.code().to_le_bytes());
        let texts = [
            self.event.code(),
            self.event_type.map_or("", EventType::code),
            self.action.code(),
            &self.who.name,
            &self.who.means,
            &self.who.address,
            &self.patient_id,
            &self.object,
            &self.detail,
        ];
        let studies = self.studies.iter().map(Uid::as_str);
        for text in texts.into_iter().chain(studies) {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }
}

/// Cuts a text at [`TEXT_BYTES_MAX`], between two characters.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    }
    text
}

/// The digest of a row, or of what stands before the first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link(pub [u8; 32]);

impl Link {
    /// What stands before the first row.
    pub const START: Self = Self([0; 32]);
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The digest of the row `id` after the one whose digest is `before`: BLAKE3 over both. Whoever alters a
/// row has to alter all after it, and the head.
#[must_use]
pub fn link(before: Link, id: u64, record: &AuditRecord) -> Link {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.0);
    hasher.update(&record.canonical(id));
    Link(*hasher.finalize().as_bytes())
}

/// A row as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its number, from 1 without a gap.
    pub id: u64,
    /// What it tells.
    pub record: AuditRecord,
    /// Its digest.
    pub link: Link,
}

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the last row; 0 when there is none.
    pub id: u64,
    /// Its digest.
    pub link: Link,
}

/// Where the trail is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A row is not there.
    #[error("row {0} of the audit trail is missing")]
    Missing(u64),
    /// A row holds something else than was written, or one before it was taken out and all renumbered.
    #[error("row {0} of the audit trail was altered")]
    Altered(u64),
    /// There are rows after the end.
    #[error("row {0} of the audit trail stands after its end")]
    Beyond(u64),
    /// The last row is not the one that the head names.
    #[error("the end of the audit trail was altered")]
    End,
}

/// Follows the chain row by row.
#[derive(Debug)]
pub struct Verifier {
    head: Head,
    last: Head,
}

impl Verifier {
    /// Begins before the first row.
    #[must_use]
    pub fn new(head: Head) -> Self {
        let last = Head {
            id: 0,
            link: Link::START,
        };
        Self { head, last }
    }

    /// The next row, in the order of numbers.
    ///
    /// # Errors
    /// The first flaw.
    pub fn next(&mut self, kept: &Kept) -> Result<(), Flaw> {
        let id = self.last.id + 1;
        if kept.id > self.head.id {
            return Err(Flaw::Beyond(kept.id));
        }
        if kept.id != id {
            return Err(Flaw::Missing(id));
        }
        let found = link(self.last.link, id, &kept.record);
        if found != kept.link {
            return Err(Flaw::Altered(id));
        }
        self.last = Head { id, link: found };
        Ok(())
    }

    /// After the last row.
    ///
    /// # Errors
    /// When rows are missing at the end.
    pub fn end(self) -> Result<Head, Flaw> {
        if self.last.id < self.head.id {
            return Err(Flaw::Missing(self.last.id + 1));
        }
        if self.last != self.head {
            return Err(Flaw::End);
        }
        Ok(self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> AuditRecord {
        let who = Actor {
            name: name.into(),
            ..Actor::default()
        };
        AuditRecord::new(Event::Query, ActionCode::Execute, who, 1_000)
    }

    fn chain(names: &[&str]) -> (Vec<Kept>, Head) {
        let mut last = Head {
            id: 0,
            link: Link::START,
        };
        let mut rows = Vec::new();
        for name in names {
            let record = record(name);
            let id = last.id + 1;
            let link = link(last.link, id, &record);
            last = Head { id, link };
            rows.push(Kept { id, record, link });
        }
        (rows, last)
    }

    fn verified(rows: &[Kept], head: Head) -> Result<Head, Flaw> {
        let mut verifier = Verifier::new(head);
        for row in rows {
            verifier.next(row)?;
        }
        verifier.end()
    }

    #[test]
    fn whatever_is_done_to_the_chain_is_found() {
        let (rows, head) = chain(&["a", "b", "c", "d"]);
        assert_eq!(verified(&rows, head), Ok(head));
        let mut altered = rows.clone();
        altered[1].record.who.address = "10.0.0.1".into();
        assert_eq!(verified(&altered, head), Err(Flaw::Altered(2)));
        // With a new digest of its own, the next one tells.
        altered[1].link = link(altered[0].link, 2, &altered[1].record);
        assert_eq!(verified(&altered, head), Err(Flaw::Altered(3)));
        let mut without = rows.clone();
        without.remove(2);
        assert_eq!(verified(&without, head), Err(Flaw::Missing(3)));
        assert_eq!(verified(&rows[..3], head), Err(Flaw::Missing(4)));
        let shorter = Head {
            id: 3,
            link: rows[2].link,
        };
        assert_eq!(verified(&rows, shorter), Err(Flaw::Beyond(4)));
        let other = Head {
            id: 4,
            link: Link::START,
        };
        assert_eq!(verified(&rows, other), Err(Flaw::End));
        assert_eq!(
            verified(
                &[],
                Head {
                    id: 0,
                    link: Link::START
                }
            )
            .map(|head| head.id),
            Ok(0)
        );
    }

    #[test]
    fn texts_cannot_run_into_each_other() {
        let (mut one, mut other) = (record("a"), record("a"));
        one.object = "xy".into();
        (other.object, other.detail) = ("x".into(), "y".into());
        assert_ne!(link(Link::START, 1, &one), link(Link::START, 1, &other));
        assert_ne!(link(Link::START, 1, &one), link(Link::START, 2, &one));
    }

    #[test]
    fn records_are_bounded() {
        let record = record("a").saying("ü".repeat(TEXT_BYTES_MAX));
        assert!(record.detail.len() <= TEXT_BYTES_MAX);
        let uid = |n: usize| Uid::parse(&format!("1.2.{n}")).unwrap();
        let many = (0..STUDIES_MAX + 5).fold(record, |record, n| record.about(&uid(n)));
        assert_eq!(many.studies.len(), STUDIES_MAX);
        assert_eq!(many.clone().about(&uid(0)).studies.len(), STUDIES_MAX);
    }

    #[test]
    fn codes_are_read_back() {
        for event in Event::ALL {
            assert_eq!(Event::of_code(event.code()), Some(*event));
        }
        for kind in EventType::ALL {
            assert_eq!(EventType::of_code(kind.code()), Some(*kind));
        }
        for (action, code) in ActionCode::CODES {
            assert_eq!(ActionCode::of_code(code), Some(action));
        }
        for (outcome, code) in AuditOutcome::CODES {
            assert_eq!(AuditOutcome::of_code(code), Some(outcome));
        }
    }
}
