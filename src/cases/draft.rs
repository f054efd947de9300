//! Drafts: what a reader has typed and marked and not said yet. Whatever JSON object their page makes of it; it is no
//! opinion, and its reader's alone.
//!
//! A reader has several pages open, each of which saves: the form of the case, the images in which they mark. Who says which
//! draft they have read ([`DraftTag`]) replaces that one or none, so that no page undoes what another has kept.

use std::fmt;

use super::Cases;
use super::caller::Caller;
use super::error::{Error, Fault};
use super::reading::held;
use super::state::Act;

/// The longest draft. Bytes.
pub const DRAFT_BYTES_MAX: usize = 256 * 1024;
/// Characters of a tag: 128 bits of its digest.
const TAG_CHARS: usize = 32;

/// A draft: not an opinion, and replaced freely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// As its reader's page sent it.
    pub body: Box<str>,
    /// When it was last saved.
    pub saved_ms: i64,
}

/// Which draft somebody has read: the same text is the same draft, and nothing is one too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftTag(Box<str>);

impl DraftTag {
    /// The tag of a draft, or of none.
    #[must_use]
    pub fn of(draft: Option<&Draft>) -> Self {
        Self::of_text(draft.map_or("", |draft| &draft.body))
    }

    /// The same of its text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()).to_hex()[..TAG_CHARS].into())
    }

    /// What somebody says that they have read; of another form it is no draft's.
    #[must_use]
    pub fn said(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for DraftTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What has become of a draft that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftSaved {
    /// It is kept.
    Yes,
    /// There is another than the one that was read.
    Changed,
    /// Its reader does not hold the task, or has signed.
    NotHeld,
}

impl Cases {
    /// Keeps a draft in the place of the one that was read, or of whichever there is; gives its tag.
    ///
    /// # Errors
    /// As [`Cases::decide`]; when it is no JSON object; [`Error::DraftChanged`].
    pub fn save_draft(
        &self,
        number: u64,
        body: &str,
        read: Option<&DraftTag>,
        caller: &Caller,
    ) -> Result<DraftTag, Error> {
        if body.len() > DRAFT_BYTES_MAX {
            let why = format!("is longer than {DRAFT_BYTES_MAX} bytes");
            return Err(Fault::new("draft", why).into());
        }
        let is_object =
            serde_json::from_str::<serde_json::Value>(body).is_ok_and(|value| value.is_object());
        if !is_object {
            return Err(Fault::new("draft", "is no JSON object").into());
        }
        let (case, _, _) = self.admitted(number, Act::Draft, caller)?;
        let task = held(&case, &caller.name)?;
        let draft = Draft {
            body: body.into(),
            saved_ms: caller.at_ms,
        };
        match self
            .ledger
            .save_draft(task.id, &caller.name, &draft, read)?
        {
            DraftSaved::Yes => Ok(DraftTag::of(Some(&draft))),
            DraftSaved::Changed => Err(Error::DraftChanged),
            DraftSaved::NotHeld => Err(Error::Changed),
        }
    }

    /// The draft of the caller's task; `None` when there is none.
    ///
    /// # Errors
    /// As [`Cases::decide`].
    pub fn draft(&self, number: u64, caller: &Caller) -> Result<Option<Draft>, Error> {
        let (case, meeting) = self.met(number, caller)?;
        if !meeting.may(Act::Draft) {
            return Err(Error::Forbidden(Act::Draft));
        }
        match case.task_of(&caller.name) {
            Some(task) => Ok(self.ledger.draft(task.id)?),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_of_the_text() {
        let draft = |body: &str, saved_ms| Draft {
            body: body.into(),
            saved_ms,
        };
        let tag = |body, saved_ms| DraftTag::of(Some(&draft(body, saved_ms)));
        assert_eq!(tag("{}", 1), tag("{}", 2));
        assert_eq!(DraftTag::said(&tag("{}", 1).to_string()), tag("{}", 1));
        assert_ne!(tag("{}", 1), tag("{ }", 1));
        assert_ne!(tag("{}", 1), DraftTag::of(None));
        // The first 128 bits of BLAKE3 of nothing, by its published test vectors.
        assert_eq!(
            DraftTag::of(None).to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc949"
        );
    }
}
