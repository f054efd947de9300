//! Whoever sits at the shell, as the audit trail names them.

use crate::access::audit::Actor;
use crate::access::{AccessLedger, AuditRecord, Register};
use crate::app;
use crate::config::Settings;

pub(super) fn actor() -> Actor {
    Actor {
        name: format!("uid {}", rustix::process::getuid().as_raw()),
        means: "shell".into(),
        address: String::new(),
    }
}

/// Tells the audit trail what was given away at the shell. Whoever sits there can read the files themselves, so that an
/// archive whose ledger cannot be written (a copy on a medium, say) is still read, with a warning.
pub(super) fn tell(settings: &Settings, record: &AuditRecord) {
    let told = app::ledger(settings).and_then(|ledger| Ok(ledger.record(record)?));
    if let Err(error) = told {
        tracing::warn!(%error, event = record.event.meaning(), "not in the audit trail");
    }
}

pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The register of accounts and tokens, open for whoever sits here.
pub(super) fn register(ledger: &dyn AccessLedger) -> Register<'_> {
    Register::new(ledger, actor(), now_ms())
}
