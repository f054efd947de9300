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
mod tests;
