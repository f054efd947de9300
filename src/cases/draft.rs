//! Drafts: what a reader has typed and marked and not said yet. Whatever JSON object their page makes of it; it is no
//! opinion, and its reader's alone.
//!
//! A reader has several pages open, each of which saves: the form of the case, the images in which they mark. Who says which
//! draft they have read ([`DraftTag`]) replaces that one or none, so that no page undoes what another has kept.

use std::collections::HashSet;
use std::fmt;

use serde_json::{Map, Value};

use super::caller::Caller;
use super::error::{Error, Fault};
use super::opinion::KeyImage;
use super::reading::held;
use super::state::{Act, Refusal};
use super::task::TaskState;
use super::{Cases, TRIES, crowded};

/// The longest draft. Bytes.
pub const DRAFT_BYTES_MAX: usize = 256 * 1024;
/// The field of a draft with its key images.
const KEY_IMAGES: &str = "key_images";
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

    /// The same, when it is of the form of a draft's: that of no revision of a case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let is_one = text.len() == TAG_CHARS && text.bytes().all(is_digit);
        is_one.then(|| Self::said(text))
    }
}

/// What somebody has decided on who says what they have read: where there is another by now, nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Basis {
    /// A revision of the case.
    Case(u64),
    /// A draft of what they say.
    Draft(DraftTag),
}

impl Basis {
    /// The revision of the case, or the draft.
    pub(super) fn parts(basis: Option<Self>) -> (Option<u64>, Option<DraftTag>) {
        match basis {
            None => (None, None),
            Some(Self::Case(revision)) => (Some(revision), None),
            Some(Self::Draft(tag)) => (None, Some(tag)),
        }
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
    /// Its reader does not hold the task, or the task has another state by now.
    NotHeld,
}

impl Cases {
    /// Keeps a draft in the place of the one that was read, or of whichever there is; gives its tag.
    ///
    /// Key images are named `study/series/instance[/frame]`; what else is among them from before stays as it is. They are
    /// marked until the impression is committed: later marks would be in nothing that is ever said.
    ///
    /// # Errors
    /// As [`Cases::decide`]; when it is no JSON object, or has key images of another kind; [`Error::DraftChanged`];
    /// [`Refusal::Committed`] with other key images than there were.
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
        let fields = object(body).ok_or_else(|| Fault::new("draft", "is no JSON object"))?;
        let draft = Draft {
            body: body.into(),
            saved_ms: caller.at_ms,
        };
        for _ in 0..TRIES {
            let (case, _, _) = self.admitted(number, Act::Draft, caller)?;
            let task = held(&case, &caller.name)?;
            let there = self.ledger.draft(task.id)?;
            let tag = DraftTag::of(there.as_ref());
            if read.is_some_and(|read| *read != tag) {
                return Err(Error::DraftChanged);
            }
            // What is only right beside the draft that is there takes the place of no other.
            let depends = check_images(&fields, there.as_ref(), task.state)?;
            let read = read.or(depends.then_some(&tag));
            let (id, name) = (task.id, &caller.name);
            match self.ledger.save_draft(id, name, &draft, task.state, read)? {
                DraftSaved::Yes => return Ok(DraftTag::of(Some(&draft))),
                DraftSaved::Changed | DraftSaved::NotHeld => {}
            }
        }
        Err(crowded())
    }

    /// Whether the draft of a task is the one that was read, where that is said; the ledger looks again when it commits.
    ///
    /// # Errors
    /// [`Error::DraftChanged`].
    pub(super) fn check_draft(&self, task: u64, read: Option<&DraftTag>) -> Result<(), Error> {
        match read {
            Some(read) if DraftTag::of(self.ledger.draft(task)?.as_ref()) != *read => {
                Err(Error::DraftChanged)
            }
            _ => Ok(()),
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

fn object(body: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(body).ok()
}

/// What a draft has as key images, whatever it is.
fn images(fields: &Map<String, Value>) -> &[Value] {
    match fields.get(KEY_IMAGES) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(images)) => images,
        Some(other) => std::slice::from_ref(other),
    }
}

/// Checks the key images of a draft against those that are there; says whether those had to be known.
fn check_images(
    fields: &Map<String, Value>,
    there: Option<&Draft>,
    state: TaskState,
) -> Result<bool, Error> {
    let there = there.and_then(|draft| object(&draft.body));
    let there: HashSet<String> = there
        .iter()
        .flat_map(images)
        .map(Value::to_string)
        .collect();
    let wanted = images(fields);
    if state != TaskState::Claimed && fields.contains_key(KEY_IMAGES) {
        let wanted: HashSet<String> = wanted.iter().map(Value::to_string).collect();
        return match wanted == there {
            true => Ok(true),
            false => Err(Refusal::Committed.into()),
        };
    }
    let is_named = |image: &Value| {
        image
            .as_str()
            .is_some_and(|name| KeyImage::named(name).is_some())
    };
    let mut others = wanted.iter().filter(|image| !is_named(image)).peekable();
    let depends = others.peek().is_some();
    match others.all(|image| there.contains(&image.to_string())) {
        true => Ok(depends),
        false => Err(Fault::new(KEY_IMAGES, "are not study/series/instance[/frame]").into()),
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
        let text = tag("{}", 1).to_string();
        assert_eq!(DraftTag::parse(&text), Some(tag("{}", 1)));
        for other in ["", "3", &text[1..], &text.replace(|_| true, "g")] {
            assert_eq!(DraftTag::parse(other), None, "{other}");
        }
        assert_ne!(tag("{}", 1), DraftTag::of(None));
        // The first 128 bits of BLAKE3 of nothing, by its published test vectors.
        assert_eq!(
            DraftTag::of(None).to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc949"
        );
    }

    #[test]
    fn key_images_have_names_and_stay_once_the_impression_is_committed() {
        use serde_json::json;
        const ONE: &str = "1.2/1.3/1.4";
        const TWO: &str = "1.2/1.3/1.5/7";
        let check = |wanted: Value, there: Value, state| {
            let wanted = json!({ "findings": "a", "key_images": wanted });
            let there = Draft {
                body: json!({ "key_images": there }).to_string().into(),
                saved_ms: 0,
            };
            match check_images(wanted.as_object().unwrap(), Some(&there), state) {
                Ok(depends) => Ok(depends),
                Err(Error::Invalid(fault)) => Err(fault.field),
                Err(error) => Err(match error {
                    Error::Refused(Refusal::Committed) => "committed",
                    _ => "otherwise",
                }),
            }
        };
        let odd = json!({ "sop_instance_uid": "1.4" });
        for (wanted, there, expected) in [
            (json!([ONE, TWO]), json!([]), Ok(false)),
            (json!([]), json!([ONE, odd, 5]), Ok(false)),
            (json!(null), json!([ONE]), Ok(false)),
            (json!([ONE, odd]), json!([odd, TWO]), Ok(true)),
            (odd.clone(), odd.clone(), Ok(true)),
            (json!([odd]), odd.clone(), Ok(true)),
            (json!(["none"]), json!(["none"]), Ok(true)),
            (json!([odd]), json!([ONE]), Err("key_images")),
            (json!([ONE, 5]), json!([ONE, odd]), Err("key_images")),
            (json!(["none"]), json!([]), Err("key_images")),
            (json!([null]), json!([]), Err("key_images")),
            (json!(ONE), json!([]), Ok(false)),
            (json!({}), json!([]), Err("key_images")),
        ] {
            let found = check(wanted.clone(), there.clone(), TaskState::Claimed);
            assert_eq!(found, expected, "{wanted} {there}");
        }
        for (wanted, there, expected) in [
            (json!([ONE, odd]), json!([odd, ONE]), Ok(true)),
            (json!([ONE]), json!([]), Err("committed")),
            (json!([]), json!([ONE]), Err("committed")),
        ] {
            let found = check(wanted.clone(), there.clone(), TaskState::Committed);
            assert_eq!(found, expected, "{wanted} {there}");
        }
        let nothing = Map::new();
        assert!(matches!(
            check_images(&nothing, None, TaskState::Committed),
            Ok(false)
        ));
    }
}
