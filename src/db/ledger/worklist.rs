//! Workitems and subscriptions in the ledger.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use crate::access::audit::AuditRecord;
use crate::access::ledger::LedgerError;
use crate::db::ledger::cases::offers::note_claim;
use crate::db::ledger::connection::error;
use crate::db::ledger::{Ledger, Write};
use crate::dicom::{AeTitle, Uid};
use crate::worklist::{
    DeletionLock, GlobalSubscription, Narrow, Offer, Offered, State, Subscriber, Workitem,
    WorkitemLedger,
};

const COLUMNS: &str =
    "id, uid, state, transaction_uid, revision, patient_id, is_incomplete, dataset";

/// So many bytes of data sets are read at once, besides the last one.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// A Global Subscription as it is kept: the AE, whether it holds a lock, attributes with their values.
type Subscription = (String, bool, Vec<(String, String)>);

impl WorkitemLedger for Ledger {
    fn insert_workitem(
        &self,
        workitem: &Workitem,
        subscribers: &[Subscriber],
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError> {
        let inserted = self.write(audit, |write| {
            let id = insert(write, workitem).map_err(error)?;
            let Some(id) = id else {
                return Err(NotDone::Not);
            };
            for subscriber in subscribers {
                put_subscription(write, id, subscriber).map_err(error)?;
            }
            Ok(())
        });
        done(inserted)
    }

    fn workitem(&self, uid: &Uid) -> Result<Option<Workitem>, LedgerError> {
        self.read(|reader| {
            let sql = format!("SELECT {COLUMNS} FROM workitem WHERE uid = ?1");
            let kept = reader
                .prepare_cached(&sql)
                .and_then(|mut statement| statement.query_row([uid.as_str()], kept).optional())
                .map_err(error)?;
            let Some(kept) = kept else {
                return Ok(None);
            };
            let studies = kept.studies(reader).map_err(error)?;
            kept.read(&studies).map(Some)
        })
    }

    fn replace_workitem(
        &self,
        workitem: &Workitem,
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError> {
        let replaced = self.write(audit, |write| {
            if replace(write, workitem).map_err(error)? {
                Ok(())
            } else {
                Err(NotDone::Not)
            }
        });
        done(replaced)
    }

    fn workitems(
        &self,
        narrow: &Narrow,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Workitem>, LedgerError> {
        // Every condition is in the text only when it is asked, so that each has its index.
        let mut sql = format!("SELECT {COLUMNS} FROM workitem WHERE id > :after");
        for (is_asked, condition) in [
            (narrow.uid.is_some(), " AND uid = :uid"),
            (narrow.state.is_some(), " AND state = :state"),
            (
                narrow.patient_id.is_some(),
                " AND patient_id = :patient_id AND patient_id <> ''",
            ),
            (
                narrow.studies.is_some(),
                " AND (id IN (SELECT workitem FROM workitem_study \
                 WHERE study_instance_uid IN (SELECT value FROM json_each(:studies))) \
                 OR uid IN (SELECT value FROM json_each(:offered)))",
            ),
            (narrow.is_incomplete, " AND is_incomplete = 1"),
        ] {
            if is_asked {
                sql.push_str(condition);
            }
        }
        sql.push_str(" ORDER BY id LIMIT :limit");
        self.read(|reader| {
            let run = |after: i64| -> rusqlite::Result<Vec<Kept>> {
                let mut statement = reader.prepare_cached(&sql)?;
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let uid = narrow.uid.as_ref().map(Uid::as_str);
                let state = narrow.state.map(State::term);
                let patient_id = narrow.patient_id.as_deref();
                let studies = narrow.studies.as_deref().map(array);
                let offered = array(&narrow.offered);
                let mut bound: Vec<(&str, &dyn rusqlite::ToSql)> =
                    vec![(":after", &after), (":limit", &limit)];
                if uid.is_some() {
                    bound.push((":uid", &uid));
                }
                if state.is_some() {
                    bound.push((":state", &state));
                }
                if patient_id.is_some() {
                    bound.push((":patient_id", &patient_id));
                }
                if studies.is_some() {
                    bound.push((":studies", &studies));
                    bound.push((":offered", &offered));
                }
                let (mut found, mut bytes) = (Vec::new(), 0);
                for row in statement.query_map(&*bound, kept)? {
                    let row = row?;
                    bytes += row.dataset.len();
                    found.push(row);
                    if bytes >= BATCH_BYTES_MAX {
                        break;
                    }
                }
                Ok(found)
            };
            let mut after = i64::try_from(after).unwrap_or(i64::MAX);
            let mut workitems = Vec::new();
            // One that is not as it was written holds up none of the others.
            while workitems.is_empty() {
                let found = run(after).map_err(error)?;
                let Some(last) = found.last() else {
                    break;
                };
                after = last.id;
                for kept in found {
                    let (number, studies) = (kept.id, kept.studies(reader).map_err(error)?);
                    match kept.read(&studies) {
                        Ok(workitem) => workitems.push(workitem),
                        Err(error) => {
                            tracing::warn!(%error, number, "a workitem cannot be read, and is passed over");
                        }
                    }
                }
            }
            Ok(workitems)
        })
    }

    fn offer(&self, workitem: &Uid, reader: &str) -> Result<Offer, LedgerError> {
        self.offer_of(workitem, reader)
    }

    fn offered(&self, reader: &str, limit: usize) -> Result<Offered, LedgerError> {
        self.offered_to(reader, limit)
    }

    fn subscribers(&self, uid: &Uid) -> Result<Vec<Subscriber>, LedgerError> {
        self.read(|reader| {
            let sql = "SELECT ae, has_lock FROM subscription \
                       WHERE workitem = (SELECT id FROM workitem WHERE uid = ?1) ORDER BY ae";
            let found = reader
                .prepare_cached(sql)
                .and_then(|mut statement| {
                    let rows = statement.query_map([uid.as_str()], |row| {
                        Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
                    })?;
                    rows.collect::<Result<Vec<_>, _>>()
                })
                .map_err(error)?;
            found
                .into_iter()
                .map(|(ae, has_lock)| subscriber(&ae, has_lock))
                .collect()
        })
    }

    fn subscribe(
        &self,
        uid: &Uid,
        subscriber: &Subscriber,
        audit: &AuditRecord,
    ) -> Result<(), LedgerError> {
        self.write(audit, |write| {
            let id = id_of(write, uid).map_err(error)?;
            let id = id.ok_or_else(|| {
                LedgerError::broken("subscribing", "there is no such workitem any more")
            })?;
            put_subscription(write, id, subscriber).map_err(error)
        })
    }

    fn unsubscribe(
        &self,
        uid: &Uid,
        ae: &AeTitle,
        audit: &AuditRecord,
    ) -> Result<bool, LedgerError> {
        let sql = "DELETE FROM subscription \
                   WHERE workitem = (SELECT id FROM workitem WHERE uid = ?1) AND ae = ?2";
        let ended = self.write(audit, |write| {
            let ended = write
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute(params![uid.as_str(), ae.as_str()]));
            if ended.map_err(error)? > 0 {
                Ok(())
            } else {
                Err(NotDone::Not)
            }
        });
        done(ended)
    }

    fn subscribe_globally(
        &self,
        global: &GlobalSubscription,
        workitems: &[Uid],
        audit: &AuditRecord,
    ) -> Result<(), LedgerError> {
        self.write(audit, |write| {
            put_global(write, global).map_err(error)?;
            let subscriber = &global.subscriber;
            let sql = "INSERT OR IGNORE INTO subscription (workitem, ae, has_lock) \
                       SELECT id, ?2, ?3 FROM workitem WHERE uid = ?1";
            let is_held = subscriber.lock == DeletionLock::Held;
            let mut statement = write.prepare_cached(sql).map_err(error)?;
            for uid in workitems {
                statement
                    .execute(params![uid.as_str(), subscriber.ae.as_str(), is_held])
                    .map_err(error)?;
            }
            Ok::<_, LedgerError>(())
        })
    }

    fn unsubscribe_globally(&self, ae: &AeTitle, audit: &AuditRecord) -> Result<bool, LedgerError> {
        let ended = self.write(audit, |write| {
            let run = |sql: &str| write.prepare_cached(sql)?.execute([ae.as_str()]);
            let of_all = run("DELETE FROM global_subscription WHERE ae = ?1").map_err(error)?;
            let of_one = run("DELETE FROM subscription WHERE ae = ?1").map_err(error)?;
            if of_all + of_one > 0 {
                Ok(())
            } else {
                Err(NotDone::Not)
            }
        });
        done(ended)
    }

    fn suspend(&self, ae: &AeTitle, audit: &AuditRecord) -> Result<bool, LedgerError> {
        let suspended = self.write(audit, |write| {
            let sql = "DELETE FROM global_subscription WHERE ae = ?1";
            let ended = write
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute([ae.as_str()]));
            if ended.map_err(error)? > 0 {
                Ok(())
            } else {
                Err(NotDone::Not)
            }
        });
        done(suspended)
    }

    fn global_subscriptions(&self) -> Result<Vec<GlobalSubscription>, LedgerError> {
        self.read(|reader| {
            let run = || -> rusqlite::Result<Vec<Subscription>> {
                let mut all = reader
                    .prepare_cached("SELECT ae, has_lock FROM global_subscription ORDER BY ae")?;
                let mut keys = reader.prepare_cached(
                    "SELECT attribute, value FROM subscription_filter WHERE ae = ?1 ORDER BY place",
                )?;
                let found: Vec<(String, bool)> = all
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<Result<_, _>>()?;
                let with_keys = |(ae, has_lock): (String, bool)| {
                    let filter = keys
                        .query_map([&ae], |row| Ok((row.get(0)?, row.get(1)?)))?
                        .collect::<Result<_, _>>()?;
                    Ok((ae, has_lock, filter))
                };
                found.into_iter().map(with_keys).collect()
            };
            let found = run().map_err(error)?;
            let read = |(ae, has_lock, filter): Subscription| {
                Ok(GlobalSubscription {
                    subscriber: subscriber(&ae, has_lock)?,
                    filter,
                })
            };
            found.into_iter().map(read).collect()
        })
    }

    fn all_subscribers(&self) -> Result<Vec<AeTitle>, LedgerError> {
        // From one title to the next in the index: it is not read through where one AE has many.
        let sql = "WITH RECURSIVE each (ae) AS (
                       SELECT min(ae) FROM subscription
                       UNION ALL
                       SELECT (SELECT min(ae) FROM subscription WHERE ae > each.ae) FROM each WHERE ae IS NOT NULL
                   )
                   SELECT ae FROM each WHERE ae IS NOT NULL
                   UNION SELECT ae FROM global_subscription ORDER BY ae";
        self.read(|reader| {
            let found = reader
                .prepare_cached(sql)
                .and_then(|mut statement| {
                    let rows = statement.query_map([], |row| row.get(0))?;
                    rows.collect::<Result<Vec<String>, _>>()
                })
                .map_err(error)?;
            found.iter().map(|ae| ae_title(ae)).collect()
        })
    }
}

#[cfg(test)]
impl Ledger {
    /// Alters a workitem so that it cannot be read any more, for tests.
    pub(crate) fn break_workitem(&self, uid: &Uid) {
        let sql = "UPDATE workitem SET state = 'NONE' WHERE uid = ?1";
        let altered = self.transact(|write| write.execute(sql, [uid.as_str()]).map_err(error));
        assert_eq!(altered.unwrap(), 1);
    }
}

/// Why a transaction is undone: there was nothing to do, or it failed.
enum NotDone {
    Not,
    Failed(LedgerError),
}

impl From<LedgerError> for NotDone {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error)
    }
}

fn done(result: Result<(), NotDone>) -> Result<bool, LedgerError> {
    match result {
        Ok(()) => Ok(true),
        Err(NotDone::Not) => Ok(false),
        Err(NotDone::Failed(error)) => Err(error),
    }
}

/// The number of the new row; `None` when there is one of its UID.
fn insert(write: &Write<'_>, workitem: &Workitem) -> rusqlite::Result<Option<i64>> {
    let sql = "INSERT INTO workitem (uid, state, transaction_uid, revision, patient_id, is_incomplete, dataset) \
               VALUES (:uid, :state, :transaction_uid, :revision, :patient_id, :is_incomplete, :dataset) \
               ON CONFLICT (uid) DO NOTHING";
    let added = write.prepare_cached(sql)?.execute(named_params! {
        ":uid": workitem.uid.as_str(),
        ":state": workitem.state.term(),
        ":transaction_uid": transaction_uid(workitem),
        ":revision": signed(workitem.revision),
        ":patient_id": &*workitem.patient_id,
        ":is_incomplete": workitem.is_incomplete,
        ":dataset": &*workitem.json,
    })?;
    if added == 0 {
        return Ok(None);
    }
    let id = write.last_insert_rowid();
    put_studies(write, id, workitem)?;
    Ok(Some(id))
}

/// `false` when the row has another revision than the one before.
fn replace(write: &Write<'_>, workitem: &Workitem) -> rusqlite::Result<bool> {
    let sql = "UPDATE workitem SET state = :state, transaction_uid = :transaction_uid, revision = :revision, \
               patient_id = :patient_id, is_incomplete = :is_incomplete, dataset = :dataset \
               WHERE uid = :uid AND revision = :revision - 1";
    let changed = write.prepare_cached(sql)?.execute(named_params! {
        ":uid": workitem.uid.as_str(),
        ":state": workitem.state.term(),
        ":transaction_uid": transaction_uid(workitem),
        ":revision": signed(workitem.revision),
        ":patient_id": &*workitem.patient_id,
        ":is_incomplete": workitem.is_incomplete,
        ":dataset": &*workitem.json,
    })?;
    let Some(id) = id_of(write, &workitem.uid)?.filter(|_| changed > 0) else {
        return Ok(false);
    };
    write
        .prepare_cached("DELETE FROM workitem_study WHERE workitem = ?1")?
        .execute([id])?;
    put_studies(write, id, workitem)?;
    note_claim(write, workitem)?;
    Ok(true)
}

fn put_studies(write: &Write<'_>, id: i64, workitem: &Workitem) -> rusqlite::Result<()> {
    let mut statement = write.prepare_cached(
        "INSERT INTO workitem_study (workitem, study_instance_uid) VALUES (?1, ?2)",
    )?;
    for study in &workitem.studies {
        statement.execute(params![id, study.as_str()])?;
    }
    Ok(())
}

fn put_subscription(write: &Write<'_>, id: i64, subscriber: &Subscriber) -> rusqlite::Result<()> {
    let sql = "INSERT INTO subscription (workitem, ae, has_lock) VALUES (?1, ?2, ?3) \
               ON CONFLICT (workitem, ae) DO UPDATE SET has_lock = excluded.has_lock";
    let is_held = subscriber.lock == DeletionLock::Held;
    write
        .prepare_cached(sql)?
        .execute(params![id, subscriber.ae.as_str(), is_held])?;
    Ok(())
}

fn put_global(write: &Write<'_>, global: &GlobalSubscription) -> rusqlite::Result<()> {
    let ae = global.subscriber.ae.as_str();
    let is_held = global.subscriber.lock == DeletionLock::Held;
    write
        .prepare_cached("DELETE FROM global_subscription WHERE ae = ?1")?
        .execute([ae])?;
    write
        .prepare_cached("INSERT INTO global_subscription (ae, has_lock) VALUES (?1, ?2)")?
        .execute(params![ae, is_held])?;
    let mut key = write.prepare_cached(
        "INSERT INTO subscription_filter (ae, place, attribute, value) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (place, (attribute, value)) in (0_i64..).zip(&global.filter) {
        key.execute(params![ae, place, attribute, value])?;
    }
    Ok(())
}

fn id_of(connection: &Connection, uid: &Uid) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM workitem WHERE uid = ?1")?
        .query_row([uid.as_str()], |row| row.get(0))
        .optional()
}

/// A row of `workitem` as it lies there.
struct Kept {
    id: i64,
    uid: String,
    state: String,
    transaction_uid: String,
    revision: i64,
    patient_id: String,
    is_incomplete: bool,
    dataset: Vec<u8>,
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        id: row.get(0)?,
        uid: row.get(1)?,
        state: row.get(2)?,
        transaction_uid: row.get(3)?,
        revision: row.get(4)?,
        patient_id: row.get(5)?,
        is_incomplete: row.get(6)?,
        dataset: row.get(7)?,
    })
}

impl Kept {
    /// The studies that it names.
    fn studies(&self, reader: &Connection) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT study_instance_uid FROM workitem_study WHERE workitem = ?1 ORDER BY 1";
        let mut statement = reader.prepare_cached(sql)?;
        let rows = statement.query_map([self.id], |row| row.get(0))?;
        rows.collect()
    }

    /// As the deed has it, with its studies.
    fn read(self, studies: &[String]) -> Result<Workitem, LedgerError> {
        let mut studies: Vec<Uid> = studies
            .iter()
            .map(|study| parsed(study))
            .collect::<Result<_, _>>()?;
        studies.sort_unstable();
        let state = State::of_term(&self.state)
            .ok_or_else(|| LedgerError::broken("reading a workitem", "its state is none"))?;
        let claimed = Some(&*self.transaction_uid).filter(|uid| !uid.is_empty());
        Ok(Workitem {
            number: self.id.unsigned_abs(),
            uid: parsed(&self.uid)?,
            state,
            transaction_uid: claimed.map(parsed).transpose()?,
            revision: self.revision.unsigned_abs(),
            json: self.dataset.into(),
            patient_id: self.patient_id.into(),
            is_incomplete: self.is_incomplete,
            studies,
            claims: None,
        })
    }
}

fn transaction_uid(workitem: &Workitem) -> &str {
    workitem.transaction_uid.as_ref().map_or("", Uid::as_str)
}

/// UIDs as the array that `json_each` takes apart. They have nothing in them to be escaped.
fn array(uids: &[Uid]) -> String {
    let texts: Vec<String> = uids.iter().map(|uid| format!("\"{uid}\"")).collect();
    format!("[{}]", texts.join(","))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn parsed(uid: &str) -> Result<Uid, LedgerError> {
    Uid::parse(uid).map_err(|cause| LedgerError::broken("reading a workitem", cause))
}

fn ae_title(ae: &str) -> Result<AeTitle, LedgerError> {
    AeTitle::parse(ae).map_err(|cause| LedgerError::broken("reading a subscriber", cause))
}

fn subscriber(ae: &str, has_lock: bool) -> Result<Subscriber, LedgerError> {
    Ok(Subscriber {
        ae: ae_title(ae)?,
        lock: if has_lock {
            DeletionLock::Held
        } else {
            DeletionLock::None
        },
    })
}
