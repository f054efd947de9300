//! Searches among workitems (PS3.4 §CC.2.8, PS3.18 §11.9): the keys of QIDO-RS, judged on each data set in the
//! order of creation.

use dicom_core::{Tag, VR};

use super::Error;
use super::ledger::{Narrow, WorkitemLedger};
use super::state::State;
use super::tags::{PATIENT_ID, PROCEDURE_STEP_STATE, SOP_INSTANCE_UID, TRANSACTION_UID};
use super::workitem::Workitem;
use super::{Caller, seen};
use crate::access::Scope;
use crate::dicom::Uid;
use crate::dicom::query::{
    DataKey, DatasetKeys, Field, Lists, MatchError, Matching, Syntax, Wanted,
};

/// So many workitems are looked at for one search.
const LOOKED_AT_MAX: usize = 50_000;

/// So many cases that wait for a pool of the caller are among them, those that have waited longest.
const OFFERED_MAX: usize = 1_000;

/// So many are read at once.
const BATCH: usize = 200;

/// A page holds so many bytes of data sets, besides its last one.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// A search.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// All must hold.
    pub keys: Vec<DataKey>,
    /// The most answers wanted.
    pub limit: u32,
    /// How many matches to pass over first.
    pub offset: u64,
}

/// What was found.
#[derive(Debug)]
pub struct Page {
    /// In the order of their creation.
    pub workitems: Vec<Workitem>,
    /// Whether and how many more there are.
    pub remaining: Remaining,
}

/// How many more match than a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// So many.
    Exactly(u64),
    /// So many and perhaps more.
    AtLeast(u64),
}

/// The keys of a search, as they are read.
#[derive(Debug)]
pub struct WorkitemKeys {
    keys: DatasetKeys,
}

impl WorkitemKeys {
    /// For a search that asks for these attributes, with their texts.
    #[must_use]
    pub fn new<'t>(asked: impl IntoIterator<Item = (Field, &'t str)>) -> Self {
        Self {
            keys: DatasetKeys::new(asked),
        }
    }

    /// Why an attribute is no key; `None` when it is one.
    #[must_use]
    pub fn reason_to_ignore(&self, field: &Field) -> Option<&'static str> {
        if field.path().contains(&TRANSACTION_UID) {
            return Some("nobody is told Transaction UIDs");
        }
        self.keys.reason_to_ignore(field)
    }

    /// Adds a key. Several states are alternatives.
    ///
    /// # Errors
    /// When its VR does not allow such a text.
    pub fn add(&mut self, field: &Field, text: &str, syntax: Syntax) -> Result<(), MatchError> {
        let is_state = field.path() == [PROCEDURE_STEP_STATE];
        let syntax = match syntax.lists {
            Lists::Refused if is_state => Syntax {
                lists: Lists::Any,
                ..syntax
            },
            _ => syntax,
        };
        self.keys.add(field, text, syntax)
    }

    /// The keys of a [`Question`].
    #[must_use]
    pub fn finish(self) -> Vec<DataKey> {
        self.keys.finish()
    }
}

/// The keys of a Filtered Global Subscription.
///
/// # Errors
/// What is wrong with which attribute, in words.
pub(super) fn filter_keys(filter: &[(String, String)]) -> Result<Vec<DataKey>, String> {
    let mut fields = Vec::new();
    for (name, text) in filter {
        let field = Field::read(name).ok_or("an attribute of the filter is not known")?;
        fields.push((field, text.as_str()));
    }
    let mut keys = WorkitemKeys::new(fields.clone());
    for (place, (field, text)) in fields.iter().enumerate() {
        if fields[..place].iter().any(|(known, _)| known == field) {
            return Err("an attribute of the filter stands twice".to_owned());
        }
        if let Some(reason) = keys.reason_to_ignore(field) {
            return Err(format!("{} of the filter: {reason}", field.keyword()));
        }
        if field.is_creator() {
            continue;
        }
        keys.add(field, text, Syntax::WEB)
            .map_err(|error| format!("{} of the filter: {error}", field.keyword()))?;
    }
    Ok(keys.finish())
}

/// Whether a workitem satisfies all keys.
pub(super) fn holds(keys: &[DataKey], workitem: &Workitem) -> bool {
    keys.iter().all(|key| key.holds(&workitem.json))
}

/// Answers a search.
///
/// # Errors
/// [`Error::TooBroad`] when it would look at too many before its page is full.
pub(super) fn search(
    ledger: &dyn WorkitemLedger,
    question: &Question,
    caller: &Caller,
) -> Result<Page, Error> {
    let mut workitems = Vec::new();
    let (mut passed, mut bytes, mut more) = (0_u64, 0_usize, 0_u64);
    let mut is_whole = true;
    let looked = each(ledger, &question.keys, caller, |workitem| {
        if !holds(&question.keys, &workitem) {
            return;
        }
        if passed < question.offset {
            passed += 1;
        } else if workitems.len() < question.limit as usize && bytes < PAGE_BYTES_MAX {
            bytes += workitem.json.len();
            workitems.push(workitem);
        } else {
            more += 1;
        }
    })?;
    if looked == Looked::Stopped {
        is_whole = false;
        // What is on the page is right; without a full page there may be some that should be on it.
        if workitems.len() < question.limit as usize && bytes < PAGE_BYTES_MAX {
            return Err(Error::TooBroad);
        }
    }
    Ok(Page {
        workitems,
        remaining: if is_whole {
            Remaining::Exactly(more)
        } else {
            Remaining::AtLeast(more)
        },
    })
}

/// All workitems that the caller may see and that satisfy all keys, by UID: those that are not final first.
///
/// # Errors
/// [`Error::TooBroad`] when there are too many to look at.
pub(super) fn matching(
    ledger: &dyn WorkitemLedger,
    keys: &[DataKey],
    caller: &Caller,
) -> Result<Vec<Uid>, Error> {
    let (mut open, mut ended) = (Vec::new(), Vec::new());
    let looked = each(ledger, keys, caller, |workitem| {
        if holds(keys, &workitem) {
            let list = if workitem.state.is_final() {
                &mut ended
            } else {
                &mut open
            };
            list.push(workitem.uid);
        }
    })?;
    if looked == Looked::Stopped {
        return Err(Error::TooBroad);
    }
    open.append(&mut ended);
    Ok(open)
}

#[derive(Debug, PartialEq, Eq)]
enum Looked {
    AtAll,
    Stopped,
}

fn each(
    ledger: &dyn WorkitemLedger,
    keys: &[DataKey],
    caller: &Caller,
    mut found: impl FnMut(Workitem),
) -> Result<Looked, Error> {
    let mut narrow = narrowed(keys, &caller.scope);
    let mut at_end = Looked::AtAll;
    if let (Some(_), Some(reader)) = (&narrow.studies, &caller.reader) {
        let offered = ledger.offered(reader, OFFERED_MAX)?;
        narrow.offered = offered.workitems;
        if !offered.is_whole {
            at_end = Looked::Stopped;
        }
    }
    let (mut after, mut looked_at) = (0, 0);
    while looked_at < LOOKED_AT_MAX {
        let batch = ledger.workitems(&narrow, after, BATCH)?;
        let Some(last) = batch.last() else {
            return Ok(at_end);
        };
        after = last.number;
        looked_at += batch.len();
        for workitem in batch {
            if seen(ledger, &workitem, caller)?.1 {
                found(workitem);
            }
        }
    }
    let is_end = ledger.workitems(&narrow, after, 1)?.is_empty();
    Ok(if is_end { at_end } else { Looked::Stopped })
}

/// What the keys and the scope say of what the ledger finds workitems by.
pub(super) fn narrowed(keys: &[DataKey], scope: &Scope) -> Narrow {
    let single = |tag: Tag, vr: VR| {
        keys.iter().find_map(|key| match &key.wanted {
            Wanted::Value(of, Matching::Single(text)) if key.tag == tag && *of == vr => {
                Some(text.clone())
            }
            _ => None,
        })
    };
    Narrow {
        uid: single(SOP_INSTANCE_UID, VR::UI).and_then(|text| Uid::parse(&text).ok()),
        state: single(PROCEDURE_STEP_STATE, VR::CS).and_then(|text| State::of_term(&text)),
        patient_id: single(PATIENT_ID, VR::LO),
        studies: match scope {
            Scope::All => None,
            Scope::Studies(studies) => Some(studies.keys().cloned().collect()),
            Scope::Nothing => Some(Vec::new()),
        },
        offered: Vec::new(),
        is_incomplete: false,
    }
}
