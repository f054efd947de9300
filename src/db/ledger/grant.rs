//! Grants in the ledger, and the sessions that began by them.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, ToSql, named_params, params};

use crate::access::View;
use crate::access::account::AccountName;
use crate::access::audit::AuditRecord;
use crate::access::grant::{
    Grant, GrantLedger, Holder, NewGrant, OF_ACCOUNT_MAX, OF_CASE_MAX, Opening, Right,
    SESSIONS_MAX, STUDIES_MAX,
};
use crate::access::inbox::{NO_CASE, OF_MAKER_MAX};
use crate::access::ledger::{AccessError, LedgerError};
use crate::access::secret::Digest;
use crate::db::ledger::access::{all, bound, count, found, one, run};
use crate::db::ledger::{Ledger, inbox};
use crate::dicom::Uid;

const GRANT: &str = "SELECT access_grant.id, case_number, kind, account.name, digest, pin, pin_failures, may_download, \
     label, not_before_ms, access_grant.expires_ms, opens_max, opens, issued_ms, revoked_ms, opened_ms \
     FROM access_grant LEFT JOIN account ON account.id = access_grant.account";

const MISSING: AccessError = AccessError::NotFound("there is no such grant");

impl GrantLedger for Ledger {
    fn add_grant(&self, new: &NewGrant, audit: &AuditRecord) -> Result<i64, AccessError> {
        self.write(audit, |write| {
            let sql = "SELECT count(*) FROM access_grant WHERE case_number = ?1";
            if new.case != NO_CASE && count(write, sql, [new.case])? >= OF_CASE_MAX {
                return Err(AccessError::TooMany("grants of this case"));
            }
            if let Some((maker, _)) = &new.inbox
                && inbox::waiting(write, maker, new.issued_ms)? >= OF_MAKER_MAX
            {
                return Err(AccessError::TooMany("inboxes without a case"));
            }
            let (account, digest, pin) = match &new.holder {
                Holder::Account(name) => {
                    let sql = "SELECT id FROM account WHERE name = ?1";
                    let account: Option<i64> = one(write, sql, [name.as_str()], |row| row.get(0))?;
                    let account = account.ok_or(AccessError::NotFound("there is no such account"))?;
                    let good = "SELECT count(*) FROM access_grant WHERE account = ?1 AND expires_ms > ?2 AND revoked_ms IS NULL";
                    if count(write, good, params![account, new.issued_ms])? >= OF_ACCOUNT_MAX {
                        return Err(AccessError::TooMany("grants of this account"));
                    }
                    (Some(account), None, None)
                }
                Holder::Link { digest, pin } => (None, Some(digest.0), pin.as_deref()),
                Holder::Inbox { digest } => (None, Some(digest.0), None),
            };
            let sql = "INSERT INTO access_grant (case_number, kind, account, digest, pin, may_download, label, \
                       not_before_ms, expires_ms, opens_max, issued_ms) VALUES (:case_number, :kind, :account, :digest, \
                       :pin, :may_download, :label, :not_before_ms, :expires_ms, :opens_max, :issued_ms)";
            let values = named_params! {
                ":case_number": new.case,
                ":kind": new.holder.word(),
                ":account": account,
                ":digest": digest,
                ":pin": pin,
                ":may_download": new.right == Right::Download,
                ":label": new.label,
                ":not_before_ms": new.not_before_ms,
                ":expires_ms": new.expires_ms,
                ":opens_max": new.opens_max,
                ":issued_ms": new.issued_ms,
            };
            run(write, sql, values)?;
            let id = write.last_insert_rowid();
            if let Some((maker, purpose)) = &new.inbox {
                inbox::insert(write, id, maker, purpose)?;
            }
            for (study, view) in &new.studies {
                insert_study(write, id, study, *view)?;
            }
            Ok(id)
        })
    }

    fn grant(&self, id: i64) -> Result<Option<Grant>, LedgerError> {
        self.read_entry(|reader| one_grant(reader, "access_grant.id = ?1", &id))
    }

    fn grant_by_digest(&self, digest: &Digest) -> Result<Option<Grant>, LedgerError> {
        self.read(|reader| one_grant(reader, "digest = ?1", &digest.0))
    }

    fn grants_of_account(&self, account: &str, now_ms: i64) -> Result<Vec<Grant>, LedgerError> {
        self.read_entry(|reader| {
            let sql = format!(
                "{GRANT} WHERE access_grant.account = (SELECT id FROM account WHERE name = ?1) \
                 AND access_grant.expires_ms > ?2 AND not_before_ms <= ?2 AND revoked_ms IS NULL ORDER BY access_grant.id LIMIT ?3"
            );
            let values = params![account, now_ms, bound(OF_ACCOUNT_MAX)];
            let grants = all(reader, &sql, values, grant)?.into_iter();
            grants.map(|grant| with_studies(reader, grant)).collect()
        })
    }

    fn grants_of_case(&self, case: i64) -> Result<Vec<Grant>, LedgerError> {
        self.read(|reader| {
            let sql = format!("{GRANT} WHERE case_number = ?1 ORDER BY access_grant.id");
            let grants = all(reader, &sql, [case], grant)?.into_iter();
            grants.map(|grant| with_studies(reader, grant)).collect()
        })
    }

    fn revoke_grant(&self, id: i64, at_ms: i64, audit: &AuditRecord) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let sql =
                "UPDATE access_grant SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms IS NULL";
            found(
                run(write, sql, params![id, at_ms])?,
                "there is no such grant",
            )?;
            let sql = "DELETE FROM access_grant_session WHERE access_grant = ?1";
            run(write, sql, [id])?;
            Ok(())
        })
    }

    fn note_opening(&self, opening: &Opening, audit: &AuditRecord) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let sql = "UPDATE access_grant SET opens = opens + 1, opened_ms = ?2, pin_failures = 0 WHERE id = ?1 AND revoked_ms IS NULL \
                       AND not_before_ms <= ?2 AND expires_ms > ?2 AND pin_failures < ?3 \
                       AND (opens_max IS NULL OR opens < opens_max)";
            let values = params![opening.grant, opening.at_ms, opening.pin_tries_max];
            found(run(write, sql, values)?, "there is no such grant")?;
            let sql = "DELETE FROM access_grant_session WHERE access_grant = ?1 AND expires_ms <= ?2";
            run(write, sql, params![opening.grant, opening.at_ms])?;
            let sql = "DELETE FROM access_grant_session WHERE digest IN (SELECT digest FROM access_grant_session \
                       WHERE access_grant = ?1 ORDER BY begun_ms DESC, digest LIMIT -1 OFFSET ?2)";
            run(write, sql, params![opening.grant, bound(SESSIONS_MAX - 1)])?;
            let sql = "INSERT INTO access_grant_session (digest, access_grant, begun_ms, expires_ms) VALUES (?1, ?2, ?3, ?4)";
            let values = params![opening.digest.0, opening.grant, opening.at_ms, opening.expires_ms];
            run(write, sql, values)?;
            Ok(())
        })
    }

    fn note_wrong_pin(&self, id: i64, audit: &AuditRecord) -> Result<u32, AccessError> {
        self.write(audit, |write| {
            let sql = "UPDATE access_grant SET pin_failures = pin_failures + 1 WHERE id = ?1";
            found(run(write, sql, [id])?, "there is no such grant")?;
            let sql = "SELECT pin_failures FROM access_grant WHERE id = ?1";
            one(write, sql, [id], |row| row.get(0))?.ok_or(MISSING)
        })
    }

    fn grant_session(&self, digest: &Digest) -> Result<Option<(Grant, i64)>, LedgerError> {
        self.read_entry(|reader| {
            let sql = "SELECT access_grant, expires_ms FROM access_grant_session WHERE digest = ?1";
            let session = one(reader, sql, [digest.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            let Some((id, expires_ms)): Option<(i64, i64)> = session else {
                return Ok(None);
            };
            let grant = one_grant(reader, "access_grant.id = ?1", &id)?;
            Ok(grant.map(|grant| (grant, expires_ms)))
        })
    }

    fn end_grant_session(&self, digest: &Digest, audit: &AuditRecord) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let sql = "DELETE FROM access_grant_session WHERE digest = ?1";
            found(run(write, sql, [digest.0])?, "there is no such session")
        })
    }

    fn add_study(
        &self,
        id: i64,
        study_instance_uid: &Uid,
        view: View,
        audit: &AuditRecord,
    ) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let sql = "SELECT count(*) FROM access_grant WHERE id = ?1 AND revoked_ms IS NULL";
            if count(write, sql, [id])? == 0 {
                return Err(MISSING);
            }
            let sql = "SELECT count(*) FROM access_grant_study WHERE access_grant = ?1";
            if count(write, sql, [id])? >= STUDIES_MAX {
                return Err(AccessError::TooMany("studies of this grant"));
            }
            insert_study(write, id, study_instance_uid, view)
        })
    }
}

fn is_blind(view: View) -> bool {
    view == View::WithoutReports
}

fn insert_study(write: &Connection, id: i64, study: &Uid, view: View) -> Result<(), AccessError> {
    let sql = "INSERT INTO access_grant_study (access_grant, study_instance_uid, is_blind) VALUES (?1, ?2, ?3) \
               ON CONFLICT DO NOTHING";
    run(write, sql, params![id, study.as_str(), is_blind(view)])?;
    Ok(())
}

pub(super) fn one_grant(
    reader: &Connection,
    which: &str,
    value: &dyn ToSql,
) -> Result<Option<Grant>, LedgerError> {
    let sql = format!("{GRANT} WHERE {which}");
    let grant = one(reader, &sql, [value], grant)?;
    grant.map(|grant| with_studies(reader, grant)).transpose()
}

fn grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    let kind: String = row.get(2)?;
    let broken = |at: usize| {
        let what = "a grant without a holder".into();
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, what)
    };
    let digest = || row.get(4).map(Digest);
    let holder = match kind.as_str() {
        "account" => {
            let name = AccountName::parse(&row.get::<_, String>(3)?);
            Holder::Account(name.map_err(|_| broken(3))?)
        }
        "link" => Holder::Link {
            digest: digest()?,
            pin: row.get(5)?,
        },
        "inbox" => Holder::Inbox { digest: digest()? },
        _ => return Err(broken(2)),
    };
    Ok(Grant {
        id: row.get(0)?,
        case: row.get(1)?,
        holder,
        studies: BTreeMap::new(),
        pin_failures: row.get(6)?,
        right: if row.get(7)? {
            Right::Download
        } else {
            Right::View
        },
        label: row.get(8)?,
        not_before_ms: row.get(9)?,
        expires_ms: row.get(10)?,
        opens_max: row.get(11)?,
        opens: row.get(12)?,
        issued_ms: row.get(13)?,
        revoked_ms: row.get(14)?,
        opened_ms: row.get(15)?,
    })
}

fn with_studies(reader: &Connection, mut grant: Grant) -> Result<Grant, LedgerError> {
    let sql = "SELECT study_instance_uid, is_blind FROM access_grant_study WHERE access_grant = ?1";
    let studies = all(reader, sql, [grant.id], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
    })?;
    for (text, is_blind) in studies {
        // A UID that is none opens nothing.
        let Ok(uid) = Uid::parse(&text) else { continue };
        let view = if is_blind {
            View::WithoutReports
        } else {
            View::Whole
        };
        grant.studies.insert(uid, view);
    }
    Ok(grant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::audit::{ActionCode, Actor, Event};
    use crate::access::ledger::{AccessLedger as _, AuditLedger as _};
    use crate::access::secret::Secret;
    use crate::access::{Roles, account};

    fn audit() -> AuditRecord {
        let event = Event::SecurityAlert;
        AuditRecord::new(event, ActionCode::Update, Actor::default(), 1)
    }

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn new(holder: Holder) -> NewGrant {
        NewGrant {
            case: 7,
            holder,
            studies: [
                (uid("1.1"), View::WithoutReports),
                (uid("1.2"), View::Whole),
            ]
            .into(),
            not_before_ms: 10,
            expires_ms: 100,
            opens_max: Some(2),
            right: Right::Download,
            label: "Dr. B".into(),
            issued_ms: 5,
            inbox: None,
        }
    }

    fn link(pin: Option<&str>) -> (Digest, Holder) {
        let digest = Secret::new().unwrap().digest();
        let pin = pin.map(str::to_owned);
        (digest, Holder::Link { digest, pin })
    }

    fn ledger(folder: &tempfile::TempDir) -> Ledger {
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
        let anna = account::NewAccount {
            name: AccountName::parse("anna").unwrap(),
            roles: Roles::READER,
            passcode: "hash".into(),
            email: None,
            created_ms: 1,
        };
        ledger.add_account(&anna, &audit()).unwrap();
        ledger
    }

    #[test]
    fn a_grant_comes_back_as_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder);
        let anna = Holder::Account(AccountName::parse("anna").unwrap());
        let bert = Holder::Account(AccountName::parse("bert").unwrap());
        let (digest, holder) = link(Some("pin"));
        let inbox = Secret::new().unwrap().digest();
        let before = ledger.audit_head().unwrap().id;
        assert!(ledger.add_grant(&new(bert), &audit()).is_err());
        assert_eq!(ledger.audit_head().unwrap().id, before);
        for holder in [&anna, &holder, &Holder::Inbox { digest: inbox }] {
            ledger.add_grant(&new(holder.clone()), &audit()).unwrap();
        }
        let all = ledger.grants_of_case(7).unwrap();
        assert_eq!(all.iter().map(|g| g.id).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(all[0].holder, anna);
        assert_eq!(all[0].studies, new(anna).studies);
        assert_eq!((all[0].right, all[0].opens_max), (Right::Download, Some(2)));
        assert_eq!(ledger.grant(2).unwrap().unwrap(), all[1]);
        assert_eq!(ledger.grant_by_digest(&digest).unwrap().unwrap(), all[1]);
        assert_eq!(ledger.grant_by_digest(&inbox).unwrap().unwrap().id, 3);
        assert!(ledger.grants_of_case(8).unwrap().is_empty());
        let of_anna = |now| ledger.grants_of_account("anna", now).unwrap().len();
        assert_eq!([9, 10, 99, 100].map(of_anna), [0, 1, 1, 0]);
        ledger.revoke_grant(1, 50, &audit()).unwrap();
        assert!(ledger.revoke_grant(1, 50, &audit()).is_err());
        assert_eq!(of_anna(50), 0);
    }

    #[test]
    fn openings_are_counted_and_sessions_go_with_the_grant() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder);
        let id = ledger
            .add_grant(&new(link(Some("pin")).1), &audit())
            .unwrap();
        let open = |at_ms: i64| {
            let digest = Secret::new().unwrap().digest();
            let opening = Opening {
                digest,
                grant: id,
                at_ms,
                expires_ms: 90,
                pin_tries_max: 2,
            };
            ledger.note_opening(&opening, &audit()).map(|()| digest)
        };
        assert!(open(9).is_err() && open(100).is_err());
        assert_eq!(ledger.note_wrong_pin(id, &audit()).unwrap(), 1);
        let one = open(20).unwrap();
        assert_eq!(ledger.grant(id).unwrap().unwrap().pin_failures, 0);
        for failures in [1, 2] {
            assert_eq!(ledger.note_wrong_pin(id, &audit()).unwrap(), failures);
        }
        assert!(open(20).is_err(), "locked");
        assert_eq!(ledger.grant(id).unwrap().unwrap().opens, 1);
        let (grant, expires_ms) = ledger.grant_session(&one).unwrap().unwrap();
        assert_eq!((grant.id, expires_ms), (id, 90));
        ledger.revoke_grant(id, 30, &audit()).unwrap();
        assert!(ledger.grant_session(&one).unwrap().is_none());

        let id = ledger.add_grant(&new(link(None).1), &audit()).unwrap();
        let open = |at_ms: i64| {
            let opening = Opening {
                digest: Secret::new().unwrap().digest(),
                grant: id,
                at_ms,
                expires_ms: 90,
                pin_tries_max: 2,
            };
            ledger.note_opening(&opening, &audit())
        };
        assert!(open(20).is_ok() && open(21).is_ok() && open(22).is_err());
    }

    #[test]
    fn a_study_is_added_once_while_the_grant_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder);
        ledger.add_grant(&new(link(None).1), &audit()).unwrap();
        let add = |study: &str| ledger.add_study(1, &uid(study), View::Whole, &audit());
        add("1.3").unwrap();
        add("1.1").unwrap();
        let studies = ledger.grant(1).unwrap().unwrap().studies;
        assert_eq!(studies.len(), 3);
        assert_eq!(
            studies[&uid("1.1")],
            View::WithoutReports,
            "it was there before"
        );
        ledger.revoke_grant(1, 50, &audit()).unwrap();
        assert!(add("1.4").is_err());
    }
}
