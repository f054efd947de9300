//! Searching the audit trail in the ledger: the latest rows first, a page at a time, and never through more of it at once
//! than [`LOOKED_MAX`] rows. What says who or what happened drives an index; what names studies or a patient is looked up by
//! these.

use std::collections::BTreeSet;

use rusqlite::{Connection, Params, named_params};

use crate::access::audit::Event;
use crate::access::ledger::{LedgerError, LedgerFlaw};
use crate::access::trail::{Asked, Broad, FoundRows, Place, Whose};
use crate::db::ledger::audit::{bound, kept, signed};
use crate::db::ledger::connection::error;

/// So many rows are looked at for one page; then it is told where to go on.
const LOOKED_MAX: usize = 50_000;

/// Rows as they come: the latest first. What is not before a place has been told.
const ORDER: &str = "at_ms >= :from AND at_ms <= :at AND NOT (at_ms = :at AND id >= :id) \
                     ORDER BY at_ms DESC, id DESC LIMIT :limit";

/// The bounds of a search, as statements have them.
struct Bounds {
    from: i64,
    at: i64,
    id: i64,
}

impl Bounds {
    fn of(asked: &Asked, before: Option<Place>) -> Self {
        let to = asked.to_ms.unwrap_or(i64::MAX);
        let (at, id) = match before {
            Some(place) if place.at_ms <= to => (place.at_ms, signed(place.id)),
            _ => (to, i64::MAX),
        };
        Self {
            from: asked.from_ms.unwrap_or(i64::MIN),
            at,
            id,
        }
    }
}

/// The next page of a search.
pub(super) fn found(
    reader: &Connection,
    asked: &Asked,
    before: Option<Place>,
    limit: usize,
) -> Result<FoundRows, LedgerFlaw> {
    let bounds = Bounds::of(asked, before);
    let (places, next) = match &asked.whose {
        Some(whose) => about(reader, asked, whose, &bounds, limit)?,
        None => at_large(reader, asked, &bounds, limit)?,
    };
    let ids = places.into_iter().map(|place| signed(place.id));
    let rows = ids.map(|id| kept(reader, id)).collect::<Result<_, _>>()?;
    Ok(FoundRows { rows, next })
}

type Places = (Vec<Place>, Option<Place>);

/// All rows, by time: those asked for among the next that are looked at.
fn at_large(
    reader: &Connection,
    asked: &Asked,
    bounds: &Bounds,
    limit: usize,
) -> Result<Places, LedgerError> {
    let sql = statement(asked);
    let run = || {
        let mut statement = reader.prepare_cached(&sql)?;
        let mut rows = statement.query(named_params! {
            ":by": by(asked),
            ":from": bounds.from,
            ":at": bounds.at,
            ":id": bounds.id,
            ":limit": bound(LOOKED_MAX),
        })?;
        let (mut places, mut last, mut looked) = (Vec::new(), None, 0);
        while let Some(row) = rows.next()? {
            if places.len() == limit {
                return Ok((places, last));
            }
            let id: i64 = row.get(0)?;
            let place = Place {
                at_ms: row.get(1)?,
                id: id.unsigned_abs(),
            };
            let [who, event, means] = [row.get_ref(2)?, row.get_ref(3)?, row.get_ref(4)?]
                .map(|text| text.as_str().unwrap_or(""));
            if asked.is_by(who, means, event) {
                places.push(place);
            }
            last = Some(place);
            looked += 1;
        }
        let next = if looked == LOOKED_MAX { last } else { None };
        Ok((places, next))
    };
    run().map_err(error)
}

/// What drives the index that the statement walks.
fn by(asked: &Asked) -> Option<&str> {
    match (&asked.who, asked.event) {
        (Some(who), _) => Some(who),
        (None, event) => event.map(Event::code),
    }
}

fn statement(asked: &Asked) -> String {
    let (index, by) = match (&asked.who, asked.event) {
        (Some(_), _) => ("audit_by_who", "who = :by"),
        (None, Some(_)) => ("audit_by_event", "event = :by"),
        (None, None) => ("audit_by_time", ":by IS NULL"),
    };
    format!(
        "SELECT id, at_ms, who, event, means FROM audit INDEXED BY {index} WHERE {by} AND {ORDER}"
    )
}

/// The rows about studies or a patient: few, whatever the trail holds.
fn about(
    reader: &Connection,
    asked: &Asked,
    whose: &Whose,
    bounds: &Bounds,
    limit: usize,
) -> Result<Places, LedgerError> {
    // One more, to know whether there is one.
    let most = bound(limit.saturating_add(1));
    let event = asked.event.map(Event::code);
    let mut places = BTreeSet::new();
    for study in &whose.studies {
        let sql = format!(
            "SELECT id, at_ms FROM audit_study JOIN audit ON id = audit WHERE study_instance_uid = :about \
             AND (:who IS NULL OR who = :who) AND (:means IS NULL OR means = :means) AND (:event IS NULL OR event = :event) AND {ORDER}"
        );
        let values = named_params! {
            ":about": study.as_str(), ":who": asked.who, ":means": asked.means, ":event": event,
            ":from": bounds.from, ":at": bounds.at, ":id": bounds.id, ":limit": most,
        };
        places.extend(listed(reader, &sql, values)?);
    }
    if let Some(patient_id) = whose.patient_id.as_deref().filter(|id| !id.is_empty()) {
        let sql = format!(
            "SELECT id, at_ms FROM audit WHERE patient_id = :about AND patient_id <> '' \
             AND (:who IS NULL OR who = :who) AND (:means IS NULL OR means = :means) AND (:event IS NULL OR event = :event) AND {ORDER}"
        );
        let values = named_params! {
            ":about": patient_id, ":who": asked.who, ":means": asked.means, ":event": event,
            ":from": bounds.from, ":at": bounds.at, ":id": bounds.id, ":limit": most,
        };
        places.extend(listed(reader, &sql, values)?);
    }
    let is_more = places.len() > limit;
    let places: Vec<_> = places.into_iter().rev().take(limit).collect();
    let next = places.last().copied().filter(|_| is_more);
    Ok((places, next))
}

fn listed(reader: &Connection, sql: &str, values: impl Params) -> Result<Vec<Place>, LedgerError> {
    let run = || {
        let mut statement = reader.prepare_cached(sql)?;
        let rows = statement.query_map(values, |row| {
            let id: i64 = row.get(0)?;
            Ok(Place {
                at_ms: row.get(1)?,
                id: id.unsigned_abs(),
            })
        })?;
        rows.collect::<Result<_, _>>()
    };
    run().map_err(error)
}

/// How many rows tell of searches that named nobody, and from when to when; `None` when there is none. They were counted as
/// they were written.
pub(super) fn broad(reader: &Connection) -> Result<Option<Broad>, LedgerError> {
    let sql = "SELECT rows, first_ms, last_ms FROM audit_broad";
    let run = || {
        let mut statement = reader.prepare_cached(sql)?;
        statement.query_row([], |row| {
            let rows: i64 = row.get(0)?;
            let (first_ms, last_ms) = (row.get(1)?, row.get(2)?);
            Ok(match (first_ms, last_ms) {
                (Some(first_ms), Some(last_ms)) => Some(Broad {
                    rows: rows.unsigned_abs(),
                    first_ms,
                    last_ms,
                }),
                _ => None,
            })
        })
    };
    run().map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::audit::{ActionCode, Actor, AuditRecord};
    use crate::access::found::BROAD;
    use crate::access::ledger::AuditLedger;
    use crate::db::Ledger;
    use crate::dicom::Uid;

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn record(at_ms: i64, who: &str, event: Event, study: &str) -> AuditRecord {
        let who = Actor {
            name: who.into(),
            ..Actor::default()
        };
        let record = AuditRecord::new(event, ActionCode::Read, who, at_ms);
        match study {
            "" => record,
            study => record.about(&uid(study)),
        }
    }

    struct House {
        ledger: Ledger,
        _folder: tempfile::TempDir,
    }

    fn house() -> House {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
        // The clock was set back once.
        let mut rows = [
            record(10, "anna", Event::Query, "1.1"),
            record(20, "bert", Event::InstancesAccessed, "1.1"),
            record(20, "anna", Event::InstancesAccessed, "1.2"),
            record(15, "anna", Event::UserAuthentication, ""),
            record(30, "carl", Event::Query, "").of_patient("P1"),
            record(30, "anna", Event::Query, "").on(BROAD),
        ];
        for place in [2, 5] {
            rows[place].who.means = "token 7".into();
        }
        ledger.record_all(&rows).unwrap();
        House {
            ledger,
            _folder: folder,
        }
    }

    impl House {
        /// The numbers of all rows that are found, a page of `limit` after the other.
        fn ids(&self, asked: &Asked, limit: usize) -> Vec<u64> {
            let (mut ids, mut before) = (Vec::new(), None);
            loop {
                let found = self.ledger.audit_found(asked, before, limit).unwrap();
                assert!(found.rows.len() <= limit);
                ids.extend(found.rows.iter().map(|row| row.id));
                before = found.next;
                if before.is_none() {
                    return ids;
                }
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_found_page_by_page() {
        let house = house();
        let who = |name: &str| Asked {
            who: Some(name.into()),
            ..Asked::default()
        };
        let whose = |studies: &[&str], patient_id: Option<&str>| Asked {
            whose: Some(Whose {
                studies: studies.iter().map(|text| uid(text)).collect(),
                patient_id: patient_id.map(str::to_owned),
            }),
            ..Asked::default()
        };
        let between = |from_ms, to_ms| Asked {
            from_ms: Some(from_ms),
            to_ms: Some(to_ms),
            ..Asked::default()
        };
        let by_means = |means: &str| Asked {
            means: Some(means.into()),
            ..Asked::default()
        };
        let query = Asked {
            event: Some(Event::Query),
            ..Asked::default()
        };
        for (asked, expected) in [
            (Asked::default(), vec![6, 5, 3, 2, 4, 1]),
            (who("anna"), vec![6, 3, 4, 1]),
            (who("ann"), vec![]),
            (query.clone(), vec![6, 5, 1]),
            (
                Asked {
                    who: Some("anna".into()),
                    ..query
                },
                vec![6, 1],
            ),
            (by_means("token 7"), vec![6, 3]),
            (
                Asked {
                    who: Some("carl".into()),
                    ..by_means("token 7")
                },
                vec![],
            ),
            (
                Asked {
                    whose: whose(&["1.1", "1.2"], None).whose,
                    ..by_means("token 7")
                },
                vec![3],
            ),
            (between(15, 20), vec![3, 2, 4]),
            (between(21, 29), vec![]),
            (between(30, i64::MAX), vec![6, 5]),
            (whose(&["1.1"], None), vec![2, 1]),
            (whose(&["1.1", "1.2"], Some("P1")), vec![5, 3, 2, 1]),
            (whose(&[], Some("")), vec![]),
            (whose(&["1.9"], None), vec![]),
            (
                Asked {
                    who: Some("anna".into()),
                    ..whose(&["1.1", "1.2"], None)
                },
                vec![3, 1],
            ),
        ] {
            for limit in [1, 2, 3, 100] {
                assert_eq!(house.ids(&asked, limit), expected, "{asked:?} by {limit}");
            }
        }
    }

    #[test]
    fn searches_that_named_nobody_are_counted_as_they_are_told() {
        let house = house();
        let broad = |ledger: &Ledger| {
            let broad = ledger.audit_broad().unwrap();
            broad.map(|broad| (broad.rows, broad.first_ms, broad.last_ms))
        };
        assert_eq!(broad(&house.ledger), Some((1, 30, 30)));
        // The clock was set back.
        for at_ms in [50, 5, 40] {
            let row = record(at_ms, "bert", Event::Query, "").on(BROAD);
            house.ledger.record(&row).unwrap();
        }
        assert_eq!(broad(&house.ledger), Some((4, 5, 50)));
        let folder = tempfile::tempdir().unwrap();
        let none = Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
        none.record(&record(1, "anna", Event::Query, "1.1"))
            .unwrap();
        assert_eq!(broad(&none), None);
    }

    #[test]
    fn those_of_an_older_ledger_are_counted_once() {
        let House {
            ledger,
            _folder: folder,
        } = house();
        drop(ledger);
        let path = folder.path().join("ledger.sqlite");
        let older = format!(
            "DROP TABLE audit_broad; CREATE INDEX audit_broad ON audit (at_ms) WHERE object = '{BROAD}'; \
             PRAGMA user_version = 15;"
        );
        Connection::open(&path)
            .unwrap()
            .execute_batch(&older)
            .unwrap();
        let ledger = Ledger::open(&path, 1).unwrap();
        let row = record(40, "anna", Event::Query, "").on(BROAD);
        ledger.record(&row).unwrap();
        let broad = ledger.audit_broad().unwrap().unwrap();
        assert_eq!((broad.rows, broad.first_ms, broad.last_ms), (2, 30, 40));
    }

    #[test]
    fn each_search_walks_an_index_and_sorts_nothing() {
        let house = house();
        let plan = |sql: &str| {
            let read = house.ledger.read(|reader| {
                let run = || {
                    let mut statement = reader.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                    let mut rows = statement.raw_query();
                    let mut lines = String::new();
                    while let Some(row) = rows.next()? {
                        lines += &row.get::<_, String>(3)?;
                    }
                    Ok::<_, rusqlite::Error>(lines)
                };
                run().map_err(error)
            });
            read.unwrap()
        };
        let event = Some(Event::Query);
        for (who, event, index) in [
            (Some("anna".to_owned()), event, "audit_by_who"),
            (None, event, "audit_by_event"),
            (None, None, "audit_by_time"),
        ] {
            let asked = Asked {
                who,
                event,
                ..Asked::default()
            };
            let lines = plan(&statement(&asked));
            assert!(
                lines.contains(index) && !lines.contains("TEMP B-TREE"),
                "{lines}"
            );
        }
    }
}
