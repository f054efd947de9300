//! C-FIND as its user (PS3.7 §9.1.2, PS3.4 §C.4.1.2): what another archive has, answer by answer.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use dicom_core::{Tag, VR};
use tracing::debug;

use super::association::{Association, Heard};
use super::failure::Failure;
use super::question::{Operation, Question, STUDY_ROOT_FIND, context};
use super::{Peer, Said, Settings};
use crate::dicom::query::Identifier;
use crate::dicom::{Level, Uid};
use crate::dimse::message::C_FIND_RQ;
use crate::dimse::pdu::Violation;
use crate::dimse::status::Status;

/// UIDs of a list that are asked for at once.
const LIST_UIDS: usize = 100;

/// Answers that may be no data sets.
const UNREADABLE_MAX: u64 = 1000;

const STUDY: Tag = Tag(0x0020, 0x000D);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// 0000, or FE00 after an interruption, or what went wrong.
    pub said: Said,
    /// Whether the peer says that it looks at every key (never FF01).
    pub is_by_all_keys: bool,
    /// Answers that are no data sets.
    pub unreadable: u64,
}

/// Searches on the Study Root model. `each` gets the answers one by one and may end the search;
/// `is_cancelled` is asked several times a second.
///
/// # Errors
/// When there is no association, or it ends before the last response.
pub fn find(
    peer: &Peer,
    settings: &Settings,
    question: &Question,
    each: &mut dyn FnMut(&Identifier) -> ControlFlow<()>,
    is_cancelled: &mut dyn FnMut() -> bool,
) -> Result<Found, Failure> {
    let mut association =
        Association::open(peer, settings, &[context(STUDY_ROOT_FIND)], 1, is_cancelled)?;
    match ask(&mut association, question, each, is_cancelled) {
        Ok(found) => {
            association.release();
            Ok(found)
        }
        Err(failure) => {
            association.close(&failure);
            Err(failure)
        }
    }
}

fn ask(
    association: &mut Association,
    question: &Question,
    each: &mut dyn FnMut(&Identifier) -> ControlFlow<()>,
    is_cancelled: &mut dyn FnMut() -> bool,
) -> Result<Found, Failure> {
    let mut operation = Operation::begin(association, STUDY_ROOT_FIND, C_FIND_RQ, question, None)?;
    let (mut is_by_all_keys, mut unreadable) = (true, 0);
    loop {
        let Heard::Command(context_id) = operation.hear(is_cancelled)? else {
            return Err(Violation::UnexpectedPdu.into());
        };
        let (response, data_set) = operation.response(context_id, is_cancelled)?;
        let status = Status(response.status);
        if !status.is_pending() {
            return Ok(Found {
                said: Said {
                    status: response.status,
                    comment: response.comment,
                },
                is_by_all_keys,
                unreadable,
            });
        }
        is_by_all_keys &= status == Status::PENDING;
        if operation.is_cancelled {
            continue;
        }
        match Identifier::read_answer(&data_set, operation.encoding) {
            Ok(answer) => {
                if each(&answer).is_break() {
                    operation.cancel()?;
                }
            }
            Err(_) if unreadable >= UNREADABLE_MAX => {
                return Err(Failure::Violated("its answers are no data sets"));
            }
            Err(_) => unreadable += 1,
        }
    }
}

/// The SOP classes of those studies of which the peer tells them.
pub(super) fn classes(
    peer: &Peer,
    settings: &Settings,
    studies: &[Uid],
    is_cancelled: &mut dyn FnMut() -> bool,
) -> BTreeMap<Uid, Vec<Uid>> {
    let mut told = BTreeMap::new();
    let uids = |answer: &Identifier, tag| -> Vec<Uid> {
        let values = answer.text(tag).unwrap_or_default().split('\\');
        values
            .filter_map(|uid| Uid::parse(uid.trim_matches([' ', '\0'])).ok())
            .collect()
    };
    for some in studies.chunks(LIST_UIDS) {
        let list: Vec<&str> = some.iter().map(Uid::as_str).collect();
        let question = Question::of_level(Level::Study)
            .key("StudyInstanceUID", &list.join("\\"))
            .tag(SOP_CLASSES_IN_STUDY, VR::UI, "");
        let mut left = some.len() + 1;
        let mut each = |answer: &Identifier| {
            let (study, classes) = (uids(answer, STUDY), uids(answer, SOP_CLASSES_IN_STUDY));
            if let ([study], false) = (&study[..], classes.is_empty())
                && some.contains(study)
            {
                told.insert(study.clone(), classes);
            }
            left = left.saturating_sub(1);
            match left {
                // A peer that looks at no key would tell of all that it has.
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        if let Err(failure) = find(peer, settings, &question, &mut each, is_cancelled) {
            debug!(%failure, "the SOP classes are not told");
            break;
        }
    }
    told
}
