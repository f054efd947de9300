//! `overread case links`: what was given of the studies of a case.

use std::io;

use crate::access::{Grant, Holder, message};
use crate::cli::table;

/// Prints links and grants as a table.
pub(super) fn list(grants: &[Grant], now_ms: i64) -> anyhow::Result<()> {
    let rows: Vec<_> = grants.iter().map(|grant| row(grant, now_ms)).collect();
    let heading = [
        "Number", "Kind", "For", "Right", "State", "Expires", "Opened", "Last",
    ];
    table::write(&mut io::stdout().lock(), &heading, &rows)?;
    Ok(())
}

fn row(grant: &Grant, now_ms: i64) -> Vec<String> {
    let whom = match &grant.holder {
        Holder::Account(name) => name.as_str(),
        Holder::Link { .. } | Holder::Inbox { .. } => &grant.label,
    };
    let kind = match grant.is_reader() {
        true => "reader",
        false => grant.holder.word(),
    };
    let opened = match grant.opens_max {
        Some(max) => format!("{} of {max}", grant.opens),
        None => grant.opens.to_string(),
    };
    vec![
        grant.id.to_string(),
        kind.to_owned(),
        table::printable(whom),
        grant.right.word().to_owned(),
        grant.state(now_ms).to_owned(),
        message::time(grant.expires_ms),
        opened,
        grant.opened_ms.map(message::time).unwrap_or_default(),
    ]
}
