//! C-FIND (PS3.7 §9.1.2, PS3.4 §C.4.1): an identifier made a [`Query`], the same that QIDO-RS makes,
//! and a response for every row that the archive finds, page by page.
//!
//! Choices where the standard leaves one: keys of the levels above are matched and returned in the
//! baseline too, as QIDO-RS does; keys of the levels below, and what cannot be matched, make the
//! status FF01. What is in no data set of a match is returned without a value.

use tracing::debug;

use super::found::Plan;
use super::question::{Asked, QUERY_RETRIEVE_LEVEL, failed};
use crate::access::{Action, Found, Scope};
use crate::archive::{Archive, Row};
use crate::dicom::query::{Field, KeyElement, Keys, Lists, Order, Query, Ranges, Syntax, is_fact};
use crate::dimse::association::Peer;
use crate::dimse::negotiation::Options;
use crate::dimse::status::{Reply, Status};

/// Rows fetched at a time: the first page is small, so that the first answer is not late.
const FIRST_PAGE_ROWS: u32 = 64;
const PAGE_ROWS: u32 = 1000;
/// The most values of one key: each is compared with every row that is looked at.
const KEY_VALUES_MAX: usize = 1000;

/// A search whose rows are given one by one.
pub(crate) struct Search {
    archive: Archive,
    scope: Scope,
    plan: Plan,
    query: Query,
    rows: std::vec::IntoIter<Row>,
    is_whole: bool,
    /// FF00, or FF01.
    pending: Status,
    found: Found,
}

impl Search {
    pub(super) fn begin(peer: &Peer<'_>, asked: Asked) -> Result<Self, Reply> {
        let scope = peer.admit(Action::Find)?;
        let syntax = syntax(asked.options);
        let leaves = leaves(&asked.identifier.elements);
        let mut keys = Keys::new(
            asked.level,
            leaves
                .iter()
                .map(|(field, element)| (field.clone(), element.text.as_str())),
        );
        let mut pending = Status::PENDING;
        for (field, element) in &leaves {
            let text = element.text.trim_matches([' ', '\0']);
            let is_told =
                matches!(field, Field::Other(path) if path.iter().all(|tag| is_fact(*tag)));
            if is_told {
                // The plan knows at which levels.
                if !text.is_empty() {
                    pending = Status::PENDING_IN_PART;
                }
            } else if field.level() > asked.level {
                pending = Status::PENDING_IN_PART;
            } else if keys.reason_to_ignore(field).is_some() {
                // Only asked for, it can still be told.
                if !text.is_empty() {
                    pending = Status::PENDING_IN_PART;
                }
            } else if !field.is_creator() {
                if text.bytes().filter(|b| *b == b'\\').count() >= KEY_VALUES_MAX {
                    let reply = Reply::because(Status::TOO_BROAD, "a key has too many values");
                    return Err(reply.about(element.tag));
                }
                keys.add(field, text, syntax).map_err(|error| {
                    Reply::because(Status::BAD_KEY, &error.to_string()).about(element.tag)
                })?;
            }
        }
        let ranges = if asked.options.has_combined_times {
            Ranges::Combined
        } else {
            Ranges::Separate
        };
        let creators = leaves
            .iter()
            .filter_map(|(field, element)| match field {
                Field::Other(path) if path.len() == 1 => Some((element.tag, keys.creator(path)?)),
                _ => None,
            })
            .collect();
        let query = Query {
            level: asked.level,
            keys: keys.finish(ranges),
            limit: FIRST_PAGE_ROWS,
            offset: 0,
            order: Order::NEWEST,
        };
        debug!(level = ?query.level, keys = query.keys.len(), "searching");
        let plan = Plan::new(asked, peer.ae_title.as_str(), creators);
        if plan.lacks_something() {
            pending = Status::PENDING_IN_PART;
        }
        Ok(Self {
            archive: peer.archive.clone(),
            scope,
            plan,
            query,
            rows: Vec::new().into_iter(),
            is_whole: false,
            pending,
            found: Found::default(),
        })
    }

    /// The studies of which it has told.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// The next response: pending with its identifier, or a failure, which is the last. `None` when
    /// all matches have been given.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        if self.rows.len() == 0 && !self.is_whole {
            let page = match self.archive.find(&self.query, &self.scope) {
                Ok(page) => page,
                Err(cause) => return Some(failed(Status::TOO_BROAD, &cause)),
            };
            self.is_whole = page.rows.len() < self.query.limit as usize;
            self.query.offset += page.rows.len() as u64;
            self.query.limit = PAGE_ROWS;
            self.rows = page.rows.into_iter();
        }
        let row = self.rows.next()?;
        self.found
            .take(row.attributes.by_keyword("StudyInstanceUID"));
        Some(
            match self.plan.identifier(&self.archive, &self.scope, &row) {
                Ok(identifier) => Reply {
                    data_set: Some(identifier),
                    ..Reply::plain(self.pending)
                },
                Err(cause) => failed(Status::TOO_BROAD, &cause),
            },
        )
    }
}

/// How keys are written, as far as it was agreed on.
fn syntax(options: Options) -> Syntax {
    Syntax {
        has_empty_values: options.has_empty_values,
        has_fuzzy_names: options.has_fuzzy_names,
        lists: if options.has_multiple_values {
            Lists::All
        } else {
            Lists::Any
        },
        ..Syntax::DIMSE
    }
}

/// The attributes that are asked for, those inside the items of sequences in their place; the
/// Query/Retrieve Level and the Retrieve AE Title are ours to say. As deep as the identifier, whose
/// reader bounded it.
fn leaves(elements: &[KeyElement]) -> Vec<(Field, &KeyElement)> {
    let mut found = Vec::new();
    let mut open: Vec<(Vec<_>, &KeyElement)> = elements
        .iter()
        .rev()
        .filter(|element| {
            ![QUERY_RETRIEVE_LEVEL, super::found::RETRIEVE_AE_TITLE].contains(&element.tag)
        })
        .map(|element| (vec![element.tag], element))
        .collect();
    while let Some((path, element)) = open.pop() {
        if element.item.is_empty() {
            found.extend(Field::of_path(path).map(|field| (field, element)));
            continue;
        }
        for inner in element.item.iter().rev() {
            let below = path.iter().copied().chain([inner.tag]).collect();
            open.push((below, inner));
        }
    }
    found
}
