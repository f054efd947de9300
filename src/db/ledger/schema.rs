//! The versions of the ledger's schema.

use rusqlite::Connection;

use crate::access::ledger::LedgerError;
use crate::db::ledger::connection::error;
use crate::db::versions::{Flaw, Versions};

const VERSIONS: Versions = Versions {
    what: "a ledger",
    // "OvRl".
    application_id: 0x4f76_526c,
    first: 1,
    migrations: &[
        include_str!("../migrations/ledger/0001_access.sql"),
        include_str!("../migrations/ledger/0002_worklist.sql"),
        include_str!("../migrations/ledger/0003_cases.sql"),
        include_str!("../migrations/ledger/0004_grants.sql"),
        include_str!("../migrations/ledger/0005_inbox.sql"),
        include_str!("../migrations/ledger/0006_notices.sql"),
        include_str!("../migrations/ledger/0007_growth.sql"),
        include_str!("../migrations/ledger/0008_grant_opened.sql"),
        include_str!("../migrations/ledger/0009_pool_claims.sql"),
        include_str!("../migrations/ledger/0010_claims_of_tasks.sql"),
        include_str!("../migrations/ledger/0011_audit_search.sql"),
        include_str!("../migrations/ledger/0012_inbox_bytes.sql"),
        include_str!("../migrations/ledger/0013_token_issuer.sql"),
        include_str!("../migrations/ledger/0014_task_ends.sql"),
        include_str!("../migrations/ledger/0015_readers.sql"),
        include_str!("../migrations/ledger/0016_audit_broad.sql"),
    ],
    pragmas: "PRAGMA journal_mode = WAL;",
};

/// Brings a ledger to the newest version and makes it a write-ahead-log one.
pub(super) fn prepare(connection: &Connection) -> Result<(), LedgerError> {
    VERSIONS.prepare(connection).map_err(unusable)
}

/// Whether this program can use the ledger as it is.
pub(super) fn check_current(connection: &Connection) -> Result<(), LedgerError> {
    VERSIONS.check_current(connection).map_err(unusable)
}

fn unusable(flaw: Flaw) -> LedgerError {
    match flaw {
        Flaw::Sql(cause) => error(cause),
        Flaw::Unusable(why) => LedgerError::broken("opening the ledger", why),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::access::ledger::AuditLedger;
    use crate::db::Ledger;

    fn open(path: &Path) -> Result<Ledger, String> {
        Ledger::open(path, 1).map_err(|error| error.to_string())
    }

    #[test]
    fn a_ledger_is_for_its_owner_and_there_again_when_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        assert!(Ledger::open_read_only(&path).is_err());
        assert!(!path.exists());
        let ledger = open(&path).unwrap();
        for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
            let mode = folder.path().join(name).metadata().unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
        }
        drop(ledger);
        assert_eq!(open(&path).unwrap().audit_head().unwrap().id, 0);
    }

    #[test]
    fn what_is_not_ours_or_newer_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for (name, sql, text) in [
            (
                "newer",
                "PRAGMA user_version = 1000",
                "made by a newer overread",
            ),
            (
                "other",
                "PRAGMA application_id = 7",
                "not a ledger of overread",
            ),
        ] {
            let path = folder.path().join(name);
            drop(open(&path).unwrap());
            Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            let before = std::fs::read(&path).unwrap();
            for refusal in [
                open(&path).err(),
                Ledger::open_read_only(&path).err().map(|e| e.to_string()),
                Ledger::open_beside(&path).err().map(|e| e.to_string()),
            ] {
                let refusal = refusal.expect("refused");
                assert!(refusal.contains(text), "{refusal}");
            }
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
        let path = folder.path().join("text");
        std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
        assert!(open(&path).is_err());
    }

    #[test]
    fn two_may_make_it_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        std::thread::scope(|threads| {
            let opening = [(); 4].map(|()| threads.spawn(|| open(&path).map(|_| ())));
            for opened in opening {
                assert_eq!(opened.join().unwrap(), Ok(()));
            }
        });
    }
}
