//! C-MOVE and C-GET as their user (PS3.7 §9.1.3, §9.1.4, PS3.4 §C.4.2.2, §C.4.3.2): one archive is told
//! to send to another, or to us on the same association, through the ingest that every door uses.
//!
//! C-GET has to say beforehand what may come (PS3.4 §C.5.3): the SOP classes that a C-FIND told, each in
//! each transfer syntax if they fit into 128 contexts, so that objects come as they are stored there.

use std::fmt;

use dicom_core::Tag;
use tracing::{info, warn};

use super::association::{Association, Heard};
use super::failure::Failure;
use super::find::classes;
use super::proposal::{Answer, CONTEXTS_MAX, Proposed};
use super::question::{Operation, Question, STUDY_ROOT_GET, STUDY_ROOT_MOVE, context};
use super::{Peer, Said, Settings};
use crate::archive::{Archive, Door, Origin};
use crate::dicom::query::Identifier;
use crate::dicom::sop_class::STORAGE_SOP_CLASSES;
use crate::dicom::transfer_syntax::TRANSFER_SYNTAXES;
use crate::dicom::{AeTitle, Uid};
use crate::dimse::message::{C_GET_RQ, C_MOVE_RQ, C_STORE_RQ, Request};
use crate::dimse::pdu::{self, Violation};
use crate::dimse::scp::Store;
use crate::dimse::status::{Reply, Status};

const FAILED_SOP_INSTANCE_UID_LIST: Tag = Tag(0x0008, 0x0058);

/// Storage classes of which a fallback proposal has no room: rare ones, by the beginnings of their
/// UIDs below 1.2.840.10008.5.1.4.
const RARE: &[&str] = &[
    "1.1.11.5",
    "1.1.11.6",
    "1.1.11.7",
    "1.1.11.8",
    "1.1.11.9",
    "1.1.11.10",
    "1.1.11.11",
    "1.1.11.12",
    "1.1.14.",
    "1.1.68.",
    "1.1.77.1.5.",
    "1.1.77.1.8",
    "1.1.77.1.9",
    "1.1.78.",
    "1.1.79.",
    "1.1.80.",
    "1.1.81.",
    "1.1.82.",
    "1.1.9.100.",
    "1.1.9.7.",
    "1.1.9.8.",
    "1.1.200.",
    "1.1.481.1",
    "34.",
];

/// The transfer syntaxes that objects are found in, the commonest first.
const COMMON: &[&str] = &[
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.102",
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.100",
];

/// The sub-operations of a retrieval, as far as the peer tells them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Still to come.
    pub remaining: Option<u16>,
    /// Done.
    pub completed: Option<u16>,
    /// Failed.
    pub failed: Option<u16>,
    /// Done, with a warning.
    pub warning: Option<u16>,
}

/// How one retrieval ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What the peer said at last.
    pub said: RetrieveSaid,
    /// What it counted at last.
    pub counted: Counted,
    /// (0008,0058): what failed.
    pub failed_uids: Vec<Box<str>>,
}

/// The last status of a retrieval, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrieveSaid(pub Said);

impl fmt::Display for RetrieveSaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Said { status, comment } = &self.0;
        // PS3.4 Tables C.4-2 and C.4-3, PS3.7 Annex C.
        let words = match status {
            0x0000 => "done",
            0x0122 => "SOP class not supported",
            0x0124 => "not authorized",
            0x0211 => "unrecognized operation",
            0xA701 => "it cannot count the matches",
            0xA702 => "nothing could be sent",
            0xA801 => "it does not know the destination",
            0xA900 => "identifier does not match SOP class",
            0xB000 => "done in part, or with warnings",
            0xFE00 => "cancelled",
            0xA700..=0xA7FF => "out of resources",
            0xC000..=0xCFFF => "unable to process",
            _ => "failure",
        };
        write!(f, "{status:04X}H {words}")?;
        match comment {
            Some(comment) => write!(f, ": {comment}"),
            None => Ok(()),
        }
    }
}

/// How far several retrievals came.
#[derive(Debug, Default)]
pub struct Retrieved {
    /// In the order of the questions; fewer than those, when something ended them.
    pub outcomes: Vec<Outcome>,
    /// What ended them.
    pub failure: Option<Failure>,
}

/// Who watches retrievals, on the thread that called.
pub trait Watcher {
    /// The peer has counted anew: the sub-operations of the question with this number.
    fn counted(&mut self, question: usize, counted: Counted);
    /// Asked several times a second: `true` cancels what is under way, and begins nothing more.
    fn is_cancelled(&mut self) -> bool;
}

/// Has the peer send to `destination` what is asked for, one question after the other.
///
/// # Errors
/// When there is no association. What ends one later is told in the account.
pub fn move_to(
    peer: &Peer,
    settings: &Settings,
    questions: &[Question],
    destination: &AeTitle,
    watcher: &mut dyn Watcher,
) -> Result<Retrieved, Failure> {
    let association =
        Association::open(peer, settings, &[context(STUDY_ROOT_MOVE)], 1, &mut || {
            watcher.is_cancelled()
        })?;
    let session = Session {
        association,
        deed: Deed::Move(destination),
    };
    let mut retrieved = Retrieved::default();
    session.retrieve(questions, &mut retrieved, watcher);
    Ok(retrieved)
}

/// Fetches into `archive` what is asked for, one question after the other, an association for each
/// study.
///
/// # Errors
/// When there is no association. What ends one later is told in the account.
pub fn get(
    archive: &Archive,
    peer: &Peer,
    settings: &Settings,
    questions: &[Question],
    watcher: &mut dyn Watcher,
) -> Result<Retrieved, Failure> {
    let mut studies: Vec<Uid> = questions.iter().filter_map(Question::of_study).collect();
    studies.dedup();
    let told = classes(peer, settings, &studies, &mut || watcher.is_cancelled());
    let mut retrieved = Retrieved::default();
    for some in questions.chunk_by(|a, b| a.of_study() == b.of_study()) {
        let classes = some
            .first()
            .and_then(Question::of_study)
            .and_then(|study| told.get(&study))
            .filter(|classes| classes.len() < CONTEXTS_MAX)
            .cloned()
            .unwrap_or_else(usual_classes);
        let proposed = storage_contexts(&classes);
        let opened =
            Association::open_with_roles(peer, settings, &proposed, 1, &classes, &mut || {
                watcher.is_cancelled()
            });
        let association = match opened {
            Ok(association) => association,
            Err(failure) if retrieved.outcomes.is_empty() => return Err(failure),
            Err(failure) => {
                retrieved.failure = Some(failure);
                break;
            }
        };
        let session = Session {
            association,
            deed: Deed::Get {
                archive,
                proposed: &proposed,
                origin: Origin {
                    door: Door::Dimse,
                    sender: peer.ae_title.as_str().into(),
                    peer: format!("{}:{}", peer.host, peer.port).into(),
                },
                object_bytes_max: settings.object_bytes_max,
            },
        };
        session.retrieve(some, &mut retrieved, watcher);
        if retrieved.failure.is_some() {
            break;
        }
    }
    Ok(retrieved)
}

/// As many classes as one association can name, without the retired and the rare ones.
fn usual_classes() -> Vec<Uid> {
    STORAGE_SOP_CLASSES
        .iter()
        .filter(|class| !class.name.contains("Retired"))
        .filter(|class| {
            let end = class.uid.trim_start_matches("1.2.840.10008.5.1.4.");
            let is_plain_radiotherapy = ["1.1.481.1"].contains(&end);
            is_plain_radiotherapy || !RARE.iter().any(|rare| end.starts_with(rare))
        })
        .filter_map(|class| Uid::parse(class.uid).ok())
        .take(CONTEXTS_MAX - 1)
        .collect()
}

/// The context of C-GET, and those on which instances may come.
fn storage_contexts(classes: &[Uid]) -> Vec<Proposed> {
    let others = TRANSFER_SYNTAXES.iter().map(|syntax| syntax.uid);
    let others = others.filter(|uid| !COMMON.contains(uid));
    let syntaxes = COMMON.iter().copied().chain(others);
    let syntaxes: Vec<Uid> = syntaxes.filter_map(|uid| Uid::parse(uid).ok()).collect();
    // One each, and all that are left in the last: the peer has to choose one of those.
    let room = (CONTEXTS_MAX - 1) / classes.len().max(1);
    let alone = match room {
        room if room >= syntaxes.len() => syntaxes.len(),
        room => room.saturating_sub(1),
    };
    let (alone, together) = syntaxes.split_at(alone);
    let mut ways: Vec<&[Uid]> = alone.chunks(1).collect();
    ways.extend((!together.is_empty()).then_some(together));
    let mut proposed = vec![context(STUDY_ROOT_GET)];
    for class in classes {
        proposed.extend(ways.iter().map(|syntaxes| Proposed {
            abstract_syntax: class.clone(),
            transfer_syntaxes: syntaxes.to_vec(),
        }));
    }
    proposed
}

enum Deed<'a> {
    Move(&'a AeTitle),
    Get {
        archive: &'a Archive,
        proposed: &'a [Proposed],
        origin: Origin,
        object_bytes_max: u64,
    },
}

/// An association on which one question follows the other.
struct Session<'a> {
    association: Association,
    deed: Deed<'a>,
}

impl Session<'_> {
    /// Adds to an account.
    fn retrieve(
        mut self,
        questions: &[Question],
        retrieved: &mut Retrieved,
        watcher: &mut dyn Watcher,
    ) {
        for question in questions {
            if watcher.is_cancelled() {
                retrieved.failure = Some(Failure::Cancelled);
                break;
            }
            match self.ask(retrieved.outcomes.len(), question, watcher) {
                Ok(outcome) => retrieved.outcomes.push(outcome),
                Err(failure) => {
                    warn!(%failure, "association failed");
                    self.association.close(&failure);
                    retrieved.failure = Some(failure);
                    return;
                }
            }
        }
        self.association.release();
    }

    fn ask(
        &mut self,
        number: usize,
        question: &Question,
        watcher: &mut dyn Watcher,
    ) -> Result<Outcome, Failure> {
        let (class, command, destination) = match &self.deed {
            Deed::Move(title) => (STUDY_ROOT_MOVE, C_MOVE_RQ, Some(*title)),
            Deed::Get { .. } => (STUDY_ROOT_GET, C_GET_RQ, None),
        };
        let association = &mut self.association;
        let mut operation = Operation::begin(association, class, command, question, destination)?;
        loop {
            let is_cancelled = &mut || watcher.is_cancelled();
            let Heard::Command(context_id) = operation.hear(is_cancelled)? else {
                return Err(Violation::UnexpectedPdu.into());
            };
            let request = operation.association.request()?;
            if request.command == C_STORE_RQ {
                self.deed
                    .store(&mut operation, context_id, &request, is_cancelled)?;
                continue;
            }
            let (response, data_set) = operation.response(context_id, is_cancelled)?;
            let [remaining, completed, failed, warning] = response.counted;
            let counted = Counted {
                remaining,
                completed,
                failed,
                warning,
            };
            watcher.counted(number, counted);
            if Status(response.status).is_pending() {
                continue;
            }
            let list = Identifier::read_answer(&data_set, operation.encoding).ok();
            let list = list
                .as_ref()
                .and_then(|ds| ds.text(FAILED_SOP_INSTANCE_UID_LIST));
            let uids = list.unwrap_or_default().split('\\');
            let outcome = Outcome {
                said: RetrieveSaid(Said {
                    status: response.status,
                    comment: response.comment,
                }),
                counted,
                // Not believed to be UIDs before they are.
                failed_uids: uids
                    .filter_map(|uid| Uid::parse(uid.trim_matches([' ', '\0'])).ok())
                    .map(|uid| uid.as_str().into())
                    .collect(),
            };
            let status = Status(response.status);
            info!(%status, completed, failed, warning, "retrieved");
            return Ok(outcome);
        }
    }
}

impl Deed<'_> {
    /// C-STORE of an instance that was asked for.
    fn store(
        &self,
        operation: &mut Operation<'_>,
        context_id: u8,
        request: &Request,
        is_cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<(), Failure> {
        let Self::Get {
            archive,
            proposed,
            origin,
            object_bytes_max,
        } = self
        else {
            return Err(Failure::Violated(
                "it sends instances on the wrong association",
            ));
        };
        let place = usize::from(context_id / 2);
        let answer = operation.association.accepted.answers.get(place);
        let (Some(Answer::Accepted(syntax)), Some(context), true) =
            (answer, proposed.get(place), place > 0)
        else {
            return Err(Violation::InvalidParameter.into());
        };
        let syntax = Uid::parse(syntax.uid).expect("the table holds UIDs");
        let mut store = match &request.sop_class_uid {
            Some(Ok(class)) if *class == context.abstract_syntax => {
                Store::begin(archive, origin.clone(), &syntax, request)
            }
            _ => Err(Reply::plain(Status::CLASS_NOT_SUPPORTED)),
        };
        if request.has_data {
            operation.association.expect_data(context_id);
            let mut discarded = 0;
            loop {
                let Heard::Data(place, is_last) = operation.hear(is_cancelled)? else {
                    return Err(Violation::UnexpectedPdu.into());
                };
                match &mut store {
                    Ok(storing) => {
                        let written = storing.write(operation.association.bytes(place));
                        if let Err(reply) = written {
                            store = Err(reply);
                        }
                    }
                    Err(_) => {
                        discarded += place.len() as u64;
                        if discarded > *object_bytes_max {
                            return Err(Failure::Violated("a refused object does not end"));
                        }
                    }
                }
                if is_last {
                    break;
                }
            }
        }
        let reply = store.map_or_else(|refused| refused, Store::finish);
        let max = operation.association.accepted.sent_pdu_bytes_max;
        let pdus = pdu::encode_command(context_id, &request.response(&reply), max);
        operation.association.send(&pdus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: usize) -> Vec<Uid> {
        let uid = |n| Uid::parse(&format!("1.2.{n}")).unwrap();
        (1..=count).map(uid).collect()
    }

    #[test]
    fn what_may_come_fits_into_an_association() {
        for count in [0, 1, 3, 4, 63, 64, 127] {
            let classes = some(count);
            let proposed = storage_contexts(&classes);
            assert!(
                proposed.len() <= CONTEXTS_MAX,
                "{count}: {}",
                proposed.len()
            );
            for class in &classes {
                let syntaxes: usize = proposed
                    .iter()
                    .filter(|context| context.abstract_syntax == *class)
                    .map(|context| context.transfer_syntaxes.len())
                    .sum();
                assert_eq!(syntaxes, TRANSFER_SYNTAXES.len());
            }
        }
    }

    #[test]
    fn the_usual_classes_are_those_that_people_have() {
        let usual = usual_classes();
        assert!(usual.len() < CONTEXTS_MAX, "{}", usual.len());
        for class in [
            "1.2.840.10008.5.1.4.1.1.1",
            "1.2.840.10008.5.1.4.1.1.2",
            "1.2.840.10008.5.1.4.1.1.4",
            "1.2.840.10008.5.1.4.1.1.6.1",
            "1.2.840.10008.5.1.4.1.1.7",
            "1.2.840.10008.5.1.4.1.1.11.1",
            "1.2.840.10008.5.1.4.1.1.66.4",
            "1.2.840.10008.5.1.4.1.1.88.33",
            "1.2.840.10008.5.1.4.1.1.88.67",
            "1.2.840.10008.5.1.4.1.1.104.1",
            "1.2.840.10008.5.1.4.1.1.128",
            "1.2.840.10008.5.1.4.1.1.481.3",
            "1.2.840.10008.5.1.4.1.1.481.5",
        ] {
            assert!(usual.iter().any(|uid| uid.as_str() == class), "{class}");
        }
    }
}
