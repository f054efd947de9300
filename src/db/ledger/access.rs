//! Accounts, sessions and API tokens in the ledger.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Params, Row, named_params, params};

use crate::access::account::{
    ACCOUNTS_MAX, Account, AccountChange, Issuer, NewAccount, NewSession, NewToken, Revoking,
    SESSIONS_MAX, Session, TOKENS_MAX, Token,
};
use crate::access::audit::AuditRecord;
use crate::access::ledger::{AccessError, AccessLedger, LedgerError};
use crate::access::secret::Digest;
use crate::access::{Email, Role, Roles, View};
use crate::db::ledger::Ledger;
use crate::db::ledger::connection::error;
use crate::dicom::Uid;

pub(super) const ACCOUNT: &str = "account.id, account.name, account.roles, account.passcode, account.is_enabled, account.created_ms, account.email";

impl AccessLedger for Ledger {
    fn has_accounts(&self) -> Result<bool, LedgerError> {
        self.read_entry(|reader| {
            one(reader, "SELECT EXISTS (SELECT 1 FROM account)", [], |row| {
                row.get(0)
            })
            .map(|found| found.unwrap_or(false))
        })
    }

    fn account(&self, name: &str) -> Result<Option<Account>, LedgerError> {
        self.read(|reader| {
            let sql = format!("SELECT {ACCOUNT} FROM account WHERE name = ?1");
            one(reader, &sql, [name], |row| account(row, 0))
        })
    }

    fn accounts(&self, part: &str, after: &str, limit: usize) -> Result<Vec<Account>, LedgerError> {
        self.read(|reader| {
            let sql = format!(
                "SELECT {ACCOUNT} FROM account WHERE name > ?2 AND instr(name, ?1) > 0 ORDER BY name LIMIT ?3"
            );
            let values = params![part, after, bound(limit)];
            all(reader, &sql, values, |row| account(row, 0))
        })
    }

    fn add_account(&self, new: &NewAccount, audit: &AuditRecord) -> Result<(), AccessError> {
        self.write(audit, |write| {
            if count(write, "SELECT count(*) FROM account", [])? >= ACCOUNTS_MAX {
                return Err(AccessError::TooMany("accounts"));
            }
            let sql = "INSERT INTO account (name, roles, passcode, is_enabled, created_ms, email) \
                       VALUES (?1, ?2, ?3, 1, ?4, ?5) ON CONFLICT (name) DO NOTHING";
            let values = params![
                new.name.as_str(),
                new.roles.to_string(),
                new.passcode,
                new.created_ms,
                new.email.as_ref().map_or("", Email::as_str)
            ];
            match run(write, sql, values)? {
                0 => Err(AccessError::Conflict),
                _ => Ok(()),
            }
        })
    }

    fn set_passcode(
        &self,
        name: &str,
        passcode: &str,
        audit: &AuditRecord,
    ) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let sql = "UPDATE account SET passcode = ?2 WHERE name = ?1";
            found(
                run(write, sql, params![name, passcode])?,
                "there is no such account",
            )?;
            end_sessions(write, name)
        })
    }

    fn change_passcode(
        &self,
        name: &str,
        (before, passcode): (&str, &str),
        kept: &Digest,
        audit: &AuditRecord,
    ) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let sql = "UPDATE account SET passcode = ?3 WHERE name = ?1 AND passcode = ?2 AND is_enabled";
            found(
                run(write, sql, params![name, before, passcode])?,
                "this account has another passcode by now, or is disabled",
            )?;
            let sql = "DELETE FROM session WHERE account = (SELECT id FROM account WHERE name = ?1) AND digest <> ?2";
            run(write, sql, params![name, kept.0])?;
            Ok(())
        })
    }

    fn change_account(
        &self,
        name: &str,
        change: &AccountChange,
        audit: &AuditRecord,
    ) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let sql = format!("SELECT {ACCOUNT} FROM account WHERE name = ?1");
            let before = one(write, &sql, [name], |row| account(row, 0))?;
            let before = before.ok_or(AccessError::NotFound("there is no such account"))?;
            let sees_to_it =
                |is_enabled: bool, roles: Roles| is_enabled && roles.hold(Role::Administrator);
            let is_one_less = sees_to_it(before.is_enabled, before.roles)
                && !sees_to_it(
                    change.is_enabled.unwrap_or(before.is_enabled),
                    change.roles.unwrap_or(before.roles),
                );
            if is_one_less && !has_other_administrator(write, name)? {
                return Err(AccessError::LastAdministrator);
            }
            if let Some(roles) = change.roles {
                let sql = "UPDATE account SET roles = ?2 WHERE name = ?1";
                run(write, sql, params![name, roles.to_string()])?;
            }
            if let Some(email) = &change.email {
                let sql = "UPDATE account SET email = ?2 WHERE name = ?1";
                let email = email.as_ref().map_or("", Email::as_str);
                run(write, sql, params![name, email])?;
            }
            if let Some(is_enabled) = change.is_enabled {
                let sql = "UPDATE account SET is_enabled = ?2 WHERE name = ?1";
                run(write, sql, params![name, is_enabled])?;
                if !is_enabled {
                    end_sessions(write, name)?;
                }
            }
            Ok(())
        })
    }

    fn begin_session(&self, new: &NewSession, audit: &AuditRecord) -> Result<(), AccessError> {
        self.write(audit, |write| {
            run(
                write,
                "DELETE FROM session WHERE expires_ms <= ?1",
                [new.begun_ms],
            )?;
            run(
                write,
                "DELETE FROM session WHERE account = ?1 AND seen_ms <= ?2",
                params![new.account, new.idle_since_ms],
            )?;
            run(
                write,
                "DELETE FROM session WHERE digest IN \
                 (SELECT digest FROM session WHERE account = ?1 ORDER BY begun_ms DESC, digest LIMIT -1 OFFSET ?2)",
                params![new.account, bound(SESSIONS_MAX - 1)],
            )?;
            let sql = "INSERT INTO session (digest, account, begun_ms, seen_ms, expires_ms) \
                       SELECT ?1, id, ?3, ?3, ?4 FROM account WHERE id = ?2 AND passcode = ?5 AND is_enabled";
            let values = params![
                new.digest.0,
                new.account,
                new.begun_ms,
                new.expires_ms,
                new.passcode
            ];
            found(run(write, sql, values)?, "there is no such account")
        })
    }

    fn session(&self, digest: &Digest) -> Result<Option<Session>, LedgerError> {
        self.read_entry(|reader| {
            let sql = format!(
                "SELECT {ACCOUNT}, seen_ms, expires_ms FROM session JOIN account ON account.id = session.account \
                 WHERE digest = ?1"
            );
            one(reader, &sql, [digest.0], |row| {
                Ok(Session {
                    account: account(row, 0)?,
                    seen_ms: row.get(7)?,
                    expires_ms: row.get(8)?,
                })
            })
        })
    }

    fn touch_session(&self, digest: &Digest, seen_ms: i64) -> Result<(), LedgerError> {
        self.transact(|write| {
            // Two requests may come here in either order.
            let sql = "UPDATE session SET seen_ms = max(seen_ms, ?2) WHERE digest = ?1";
            run(write, sql, params![digest.0, seen_ms]).map(|_| ())
        })
    }

    fn end_session(&self, digest: &Digest, audit: &AuditRecord) -> Result<(), AccessError> {
        self.write(audit, |write| {
            let ended = run(write, "DELETE FROM session WHERE digest = ?1", [digest.0])?;
            found(ended, "there is no such session")
        })
    }

    fn issue_token(
        &self,
        new: &NewToken,
        audit: &dyn Fn(i64) -> AuditRecord,
    ) -> Result<i64, AccessError> {
        self.write_told(|write| {
            let sql = "SELECT id FROM account WHERE name = ?1";
            let account: Option<i64> = one(write, sql, [new.account.as_str()], |row| row.get(0))?;
            let account = account.ok_or(AccessError::NotFound("there is no such account"))?;
            let revoked = "SELECT count(*) FROM token WHERE id = ?1 AND revoked_ms IS NOT NULL";
            if count(write, revoked, [new.issuer.token])? > 0 {
                return Err(AccessError::NotFound("there is no such token"));
            }
            let good = "SELECT count(*) FROM token WHERE account = ?1 AND revoked_ms IS NULL AND expires_ms > ?2";
            if count(write, good, params![account, new.issued_ms])? >= TOKENS_MAX {
                return Err(AccessError::TooMany("tokens of this account"));
            }
            let sql = "INSERT INTO token (digest, account, label, roles, is_limited, issued_ms, expires_ms, issuer, \
                       issuer_token) VALUES (:digest, :account, :label, :roles, :is_limited, :issued_ms, :expires_ms, \
                       :issuer, :issuer_token)";
            let values = named_params! {
                ":digest": new.digest.0,
                ":account": account,
                ":label": new.label,
                ":roles": new.roles.to_string(),
                ":is_limited": new.studies.is_some(),
                ":issued_ms": new.issued_ms,
                ":expires_ms": new.expires_ms,
                ":issuer": new.issuer.who,
                ":issuer_token": new.issuer.token,
            };
            run(write, sql, values)?;
            let id = write.last_insert_rowid();
            for study in new.studies.iter().flatten() {
                let sql = "INSERT INTO token_study (token, study_instance_uid) VALUES (?1, ?2)";
                run(write, sql, params![id, study.as_str()])?;
            }
            Ok((id, vec![audit(id)]))
        })
    }

    fn token(&self, digest: &Digest) -> Result<Option<Token>, LedgerError> {
        self.read_entry(|reader| {
            let sql = format!("{TOKEN} WHERE digest = ?1");
            let token = one(reader, &sql.replace("ACCOUNT", ACCOUNT), [digest.0], token)?;
            token.map(|token| with_studies(reader, token)).transpose()
        })
    }

    fn tokens(
        &self,
        account: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Token>, LedgerError> {
        self.read(|reader| {
            // Each has an index of its own.
            let of_whom = match account {
                Some(_) => "token.account = (SELECT id FROM account WHERE name = ?2)",
                None => "?2 IS NULL",
            };
            let sql = format!(
                "{TOKEN} WHERE {of_whom} AND token.id < ?1 ORDER BY token.id DESC LIMIT ?3"
            );
            let values = params![before.unwrap_or(i64::MAX), account, bound(limit)];
            let tokens = all(reader, &sql.replace("ACCOUNT", ACCOUNT), values, token)?;
            let tokens = tokens.into_iter();
            tokens.map(|token| with_studies(reader, token)).collect()
        })
    }

    fn revoke_token(
        &self,
        id: i64,
        reach: Revoking,
        at_ms: i64,
        audit: &dyn Fn(i64) -> AuditRecord,
    ) -> Result<Vec<i64>, AccessError> {
        self.write_told(|write| {
            let sql = match reach {
                Revoking::Alone => "SELECT id FROM token WHERE id = ?1 AND revoked_ms IS NULL",
                Revoking::WithIssued => {
                    "WITH RECURSIVE below (id) AS (VALUES (?1) UNION \
                     SELECT token.id FROM token JOIN below ON issuer_token = below.id) \
                     SELECT token.id FROM below JOIN token ON token.id = below.id WHERE revoked_ms IS NULL ORDER BY token.id"
                }
            };
            let revoked = all(write, sql, [id], |row| row.get(0))?;
            found(revoked.len(), "there is no such token")?;
            for id in &revoked {
                run(write, "UPDATE token SET revoked_ms = ?2 WHERE id = ?1", params![id, at_ms])?;
            }
            let records = revoked.iter().map(|id| audit(*id)).collect();
            Ok((revoked, records))
        })
    }

    fn case_views(&self, reader: &str) -> Result<BTreeMap<Uid, View>, LedgerError> {
        self.views_of(reader)
    }
}

const TOKEN: &str = "SELECT ACCOUNT, token.id, label, token.roles, is_limited, issued_ms, expires_ms, revoked_ms, \
                     issuer, issuer_token FROM token JOIN account ON account.id = token.account";

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        account: account(row, 0)?,
        id: row.get(7)?,
        label: row.get(8)?,
        roles: roles(row, 9)?,
        studies: row.get::<_, bool>(10)?.then(BTreeSet::new),
        issued_ms: row.get(11)?,
        expires_ms: row.get(12)?,
        revoked_ms: row.get(13)?,
        issuer: issuer(row, 14)?,
    })
}

fn issuer(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Issuer>> {
    let (who, token): (String, _) = (row.get(at)?, row.get(at + 1)?);
    Ok((!who.is_empty()).then_some(Issuer { who, token }))
}

fn with_studies(reader: &Connection, mut token: Token) -> Result<Token, LedgerError> {
    if let Some(studies) = &mut token.studies {
        let sql = "SELECT study_instance_uid FROM token_study WHERE token = ?1";
        let found = all(reader, sql, [token.id], |row| row.get::<_, String>(0))?;
        // A UID that is none opens nothing.
        studies.extend(found.iter().filter_map(|text| Uid::parse(text).ok()));
    }
    Ok(token)
}

/// Whether somebody else who may come in sees to the archive.
fn has_other_administrator(write: &Connection, name: &str) -> Result<bool, LedgerError> {
    let sql = "SELECT roles FROM account WHERE is_enabled AND name <> ?1";
    let others = all(write, sql, [name], |row| roles(row, 0))?;
    Ok(others.iter().any(|roles| roles.hold(Role::Administrator)))
}

pub(super) fn account(row: &Row<'_>, at: usize) -> rusqlite::Result<Account> {
    let email: String = row.get(at + 6)?;
    Ok(Account {
        email: Email::parse(&email).ok(),
        id: row.get(at)?,
        name: row.get(at + 1)?,
        roles: roles(row, at + 2)?,
        passcode: row.get(at + 3)?,
        is_enabled: row.get(at + 4)?,
        created_ms: row.get(at + 5)?,
    })
}

/// Words that a newer program knows give no right here.
fn roles(row: &Row<'_>, at: usize) -> rusqlite::Result<Roles> {
    let text: String = row.get(at)?;
    Ok(Roles::parse(&text).unwrap_or(Roles::NONE))
}

fn end_sessions(write: &Connection, name: &str) -> Result<(), AccessError> {
    let sql = "DELETE FROM session WHERE account = (SELECT id FROM account WHERE name = ?1)";
    run(write, sql, [name])?;
    Ok(())
}

pub(super) fn found(changed: usize, what: &'static str) -> Result<(), AccessError> {
    match changed {
        0 => Err(AccessError::NotFound(what)),
        _ => Ok(()),
    }
}

pub(super) fn run(
    connection: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<usize, LedgerError> {
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    statement.execute(values).map_err(error)
}

pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, LedgerError> {
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    statement.query_row(values, read).optional().map_err(error)
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, LedgerError> {
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    let rows = statement.query_map(values, read).map_err(error)?;
    rows.collect::<Result<_, _>>().map_err(error)
}

pub(super) fn count(
    connection: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<usize, LedgerError> {
    let count = one(connection, sql, values, |row| row.get::<_, i64>(0))?;
    Ok(usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX))
}

pub(super) fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::account::AccountName;
    use crate::access::audit::{ActionCode, Actor, Event};
    use crate::access::ledger::AuditLedger;
    use crate::access::secret::Secret;

    fn audit() -> AuditRecord {
        let event = Event::SecurityAlert;
        AuditRecord::new(event, ActionCode::Update, Actor::default(), 1)
    }

    fn ledger(folder: &tempfile::TempDir) -> Ledger {
        Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap()
    }

    fn add(ledger: &Ledger, name: &str) -> Account {
        let new = NewAccount {
            name: AccountName::parse(name).unwrap(),
            roles: Roles::parse("viewer sender").unwrap(),
            passcode: "hash".into(),
            email: None,
            created_ms: 5,
        };
        ledger.add_account(&new, &audit()).unwrap();
        assert!(matches!(
            ledger.add_account(&new, &audit()),
            Err(AccessError::Conflict)
        ));
        ledger.account(name).unwrap().unwrap()
    }

    fn session(account: &Account, begun_ms: i64) -> NewSession {
        NewSession {
            digest: Secret::new().unwrap().digest(),
            account: account.id,
            passcode: account.passcode.clone(),
            begun_ms,
            expires_ms: begun_ms + 1000,
            idle_since_ms: begun_ms - 500,
        }
    }

    #[test]
    fn sessions_are_bounded_and_end_with_the_passcode() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder);
        assert!(!ledger.has_accounts().unwrap());
        let (anna, bert) = (add(&ledger, "anna"), add(&ledger, "bert"));
        assert!(ledger.has_accounts().unwrap());
        let of_bert = session(&bert, 100);
        ledger.begin_session(&of_bert, &audit()).unwrap();
        let many: Vec<_> = (0..40).map(|n| session(&anna, 100 + n)).collect();
        for new in &many {
            ledger.begin_session(new, &audit()).unwrap();
        }
        let is_there = |new: &NewSession| ledger.session(&new.digest).unwrap().is_some();
        let there: Vec<_> = many.iter().map(is_there).collect();
        assert_eq!(there.iter().filter(|there| **there).count(), SESSIONS_MAX);
        assert!(there[8..].iter().all(|there| *there) && is_there(&of_bert));

        ledger.touch_session(&many[39].digest, 777).unwrap();
        ledger.touch_session(&many[39].digest, 700).unwrap();
        let seen = ledger.session(&many[39].digest).unwrap().unwrap();
        assert_eq!((seen.seen_ms, seen.expires_ms), (777, 1139));
        assert_eq!(seen.account, anna);
        // Those not seen for long, and those that have expired, are forgotten.
        let later = session(&anna, 1_000);
        ledger.begin_session(&later, &audit()).unwrap();
        assert!(is_there(&later) && is_there(&many[39]) && !is_there(&many[38]));
        ledger.end_session(&later.digest, &audit()).unwrap();
        assert!(matches!(
            ledger.end_session(&later.digest, &audit()),
            Err(AccessError::NotFound(_))
        ));
        ledger.set_passcode("anna", "other", &audit()).unwrap();
        assert!(!is_there(&many[39]) && is_there(&of_bert));
        let enable = |name: &str, is_enabled| {
            ledger.change_account(name, &AccountChange::enabled(is_enabled), &audit())
        };
        enable("bert", false).unwrap();
        assert!(!is_there(&of_bert));
        // Nor does one begin by what was checked just before.
        for late in [session(&anna, 1_100), session(&bert, 1_100)] {
            let rows = ledger.audit_head().unwrap().id;
            let begun = ledger.begin_session(&late, &audit());
            assert!(matches!(begun, Err(AccessError::NotFound(_))));
            assert!(!is_there(&late) && ledger.audit_head().unwrap().id == rows);
        }
        let names = ledger.accounts("", "", 10).unwrap();
        let names: Vec<_> = names
            .iter()
            .map(|a| (a.name.as_str(), a.is_enabled))
            .collect();
        assert_eq!(names, [("anna", true), ("bert", false)]);
        assert!(enable("carl", true).is_err());
        let listed = |part: &str, after: &str, limit: usize| {
            let accounts = ledger.accounts(part, after, limit).unwrap();
            let names = accounts.into_iter().map(|account| account.name);
            names.collect::<Vec<_>>()
        };
        assert_eq!(listed("", "", 1), ["anna"]);
        assert_eq!(listed("", "anna", 9), ["bert"]);
        assert_eq!(listed("er", "", 9), ["bert"]);
        assert_eq!(listed("%", "", 9), [""; 0]);
    }

    #[test]
    fn accounts_are_changed_and_one_administrator_stays() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder);
        for name in ["anna", "bert"] {
            add(&ledger, name);
        }
        let roles = |words: &str| AccountChange {
            roles: Some(Roles::parse(words).unwrap()),
            ..AccountChange::default()
        };
        let enabled = AccountChange::enabled;
        let change = |name: &str, change: &AccountChange| {
            let rows = ledger.audit_head().unwrap().id;
            let changed = ledger.change_account(name, change, &audit());
            let is_told = ledger.audit_head().unwrap().id > rows;
            assert_eq!(is_told, changed.is_ok(), "a change and its row are one");
            changed
        };
        let of = |name: &str| ledger.account(name).unwrap().unwrap();
        change("anna", &roles("administrator reader")).unwrap();
        let last = |name: &str| {
            let refused = change(name, &roles("reader"));
            matches!(refused, Err(AccessError::LastAdministrator))
        };
        assert!(last("anna"));
        change("anna", &roles("administrator")).unwrap();
        assert_eq!(of("anna").roles.to_string(), "administrator");
        // One who may not come in sees to nothing.
        change("bert", &roles("administrator")).unwrap();
        change("bert", &enabled(false)).unwrap();
        assert!(last("anna"));
        // Nor does the last go by not being let in, whether or not they stay one.
        for roles in [None, Some("administrator"), Some("reader")] {
            let mut out = enabled(false);
            out.roles = roles.map(|words| Roles::parse(words).unwrap());
            assert!(matches!(
                change("anna", &out),
                Err(AccessError::LastAdministrator)
            ));
        }
        assert!(of("anna").is_enabled);
        // Who is not let in may stay outside and be less.
        change("bert", &enabled(false)).unwrap();
        change("bert", &roles("viewer")).unwrap();
        change("bert", &roles("administrator")).unwrap();
        change("bert", &enabled(true)).unwrap();
        // What is not named stays as it is.
        let email = Email::parse("anna@example.org").unwrap();
        let mut both = roles("reader");
        both.email = Some(Some(email.clone()));
        change("anna", &both).unwrap();
        assert_eq!(of("anna").email, Some(email.clone()));
        change("anna", &roles("viewer")).unwrap();
        assert_eq!((of("anna").email, of("bert").email), (Some(email), None));
        both = AccountChange {
            email: Some(None),
            ..AccountChange::default()
        };
        change("anna", &both).unwrap();
        assert_eq!(
            (of("anna").email, of("anna").roles.to_string()),
            (None, "viewer".into())
        );
        assert!(last("bert"));
        assert!(matches!(
            change("carl", &roles("reader")),
            Err(AccessError::NotFound("there is no such account"))
        ));
    }

    #[test]
    fn tokens_come_back_and_are_revoked_once() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder);
        add(&ledger, "anna");
        let new = |name: &str, studies: Option<&str>| NewToken {
            digest: Secret::new().unwrap().digest(),
            account: AccountName::parse(name).unwrap(),
            label: "of a viewer".into(),
            roles: Roles::parse("viewer").unwrap(),
            studies: studies.map(|text| [Uid::parse(text).unwrap()].into()),
            issued_ms: 10,
            expires_ms: 20,
            issuer: Issuer {
                who: "root".into(),
                token: None,
            },
        };
        let row = |id| audit().on(format!("token {id}"));
        let revoke = |id, at_ms| ledger.revoke_token(id, Revoking::Alone, at_ms, &row);
        let (wide, narrow) = (new("anna", None), new("anna", Some("1.2.3")));
        assert_eq!(ledger.issue_token(&wide, &row).unwrap(), 1);
        assert_eq!(ledger.issue_token(&narrow, &row).unwrap(), 2);
        let before = ledger.audit_head().unwrap().id;
        assert!(ledger.issue_token(&new("bert", None), &row).is_err());
        assert_eq!(ledger.audit_head().unwrap().id, before);
        assert!(ledger.token(&new("anna", None).digest).unwrap().is_none());
        let token = ledger.token(&narrow.digest).unwrap().unwrap();
        assert_eq!((token.id, token.studies.clone()), (2, narrow.studies));
        assert_eq!(token.account.name, "anna");
        assert!(token.is_good(19) && !token.is_good(20));
        assert_eq!(token.issuer.as_ref(), Some(&narrow.issuer));
        assert_eq!(revoke(2, 15).unwrap(), [2]);
        assert!(revoke(2, 16).is_err());
        let tokens = ledger.tokens(Some("anna"), None, 10).unwrap();
        let revoked: Vec<_> = tokens.iter().map(|token| token.revoked_ms).collect();
        assert_eq!(revoked, [Some(15), None]);
        assert!(tokens[1].studies.is_none() && !tokens[0].is_good(19));
        let older = ledger.tokens(None, Some(2), 10).unwrap();
        assert_eq!(older.iter().map(|token| token.id).collect::<Vec<_>>(), [1]);
        assert!(ledger.tokens(Some("bert"), None, 10).unwrap().is_empty());
        for _ in 0..TOKENS_MAX - 1 {
            ledger.issue_token(&new("anna", None), &row).unwrap();
        }
        assert!(matches!(
            ledger.issue_token(&new("anna", None), &row),
            Err(AccessError::TooMany(_))
        ));
    }

    #[test]
    fn what_a_token_issued_goes_with_it_when_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder);
        add(&ledger, "anna");
        let row = |id| audit().on(format!("token {id}"));
        let issue = |token| {
            let new = NewToken {
                digest: Secret::new().unwrap().digest(),
                account: AccountName::parse("anna").unwrap(),
                label: String::new(),
                roles: Roles::parse("viewer").unwrap(),
                studies: None,
                issued_ms: 10,
                expires_ms: 20,
                issuer: Issuer {
                    who: "anna".into(),
                    token,
                },
            };
            ledger.issue_token(&new, &row)
        };
        // 1 and 5 by a session; 2 and 3 by 1, 4 by 3, 6 by 5.
        for (issuer, id) in [None, Some(1), Some(1), Some(3)].into_iter().zip(1..) {
            assert_eq!(issue(issuer).unwrap(), id);
        }
        assert_eq!(issue(None).unwrap(), 5);
        assert_eq!(issue(Some(5)).unwrap(), 6);
        let revoke = |id, reach| ledger.revoke_token(id, reach, 15, &row).ok();
        let told = || {
            let rows = ledger.audit_rows(7, 100).unwrap().into_iter();
            rows.map(|row| row.record.object).collect::<Vec<_>>()
        };
        assert_eq!(told().len(), 0);
        assert_eq!(revoke(2, Revoking::Alone), Some(vec![2]));
        // A token that is revoked issues nothing more.
        assert!(issue(Some(2)).is_err());
        assert_eq!(revoke(1, Revoking::WithIssued), Some(vec![1, 3, 4]));
        assert_eq!(revoke(1, Revoking::WithIssued), None);
        assert_eq!(revoke(9, Revoking::WithIssued), None);
        assert_eq!(revoke(5, Revoking::Alone), Some(vec![5]));
        // What it issued can go later too.
        assert_eq!(revoke(5, Revoking::WithIssued), Some(vec![6]));
        let tokens = [2, 1, 3, 4, 5, 6].map(|id| format!("token {id}"));
        assert_eq!(told(), tokens);
    }
}
