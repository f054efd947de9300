//! `overread notices`: what people and programs are told of cases, beside a running server, which goes on with what is
//! changed here within a second.

use std::io::{self, Write};

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::access::AuditRecord;
use crate::access::audit::{ActionCode, Event};
use crate::app;
use crate::cases::notices::{
    DeliveryState, EMAIL, Listed, NoticeDestination, NoticeLedger, NoticePart,
};
use crate::cli::{Done, Place, shell, table};
use crate::notices::{Settings, new_secret};

/// Deliveries read at a time.
const PAGE_ROWS: usize = 500;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Destinations, and the notices that wait for one or have failed.
    List {
        /// Those that were delivered lately, too.
        #[arg(long)]
        all: bool,
        /// One JSON object instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Try again at once what has failed or waits for another attempt.
    Retry(Which),
    /// Take out of the queue what waits or has failed: nobody is told of it.
    Forget(Which),
    /// Print a secret that nobody has had before, for the file that a webhook names and for its receiver.
    Secret,
}

/// Which part of the queue.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// Everything.
    #[arg(long, conflicts_with_all = ["to", "case"])]
    all: bool,
    /// What goes to this webhook, or by "email".
    #[arg(long, value_name = "DESTINATION")]
    to: Option<String>,
    /// What is of this case.
    #[arg(long, value_name = "NUMBER")]
    case: Option<u64>,
}

impl Which {
    fn part(&self) -> NoticePart<'_> {
        NoticePart {
            destination: self.to.as_deref(),
            case: self.case,
        }
    }

    /// What the audit trail says of it.
    fn record(&self, what: &str) -> AuditRecord {
        let (event, action) = (Event::ApplicationActivity, ActionCode::Update);
        let record = AuditRecord::new(event, action, shell::actor(), shell::now_ms());
        let to = self.to.as_deref().unwrap_or("anybody");
        let record = record.saying(format!("notices to {to} {what}"));
        match self.case {
            Some(case) => record.on(format!("case {case}")),
            None => record,
        }
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let out = &mut io::stdout().lock();
    if matches!(arguments.command, Command::Secret) {
        let secret = new_secret().context("the system has no random numbers")?;
        writeln!(out, "{secret}")?;
        return Ok(Done::Wholly);
    }
    let settings = arguments.place.settings()?;
    match arguments.command {
        Command::List { all, json } => {
            let ledger = app::look_at_notices(&settings)?;
            let destinations = ledger.notice_destinations()?;
            let listed = listed(&*ledger, all)?;
            if json {
                let whole = json!({
                    "destinations": destinations.iter().map(destination_json).collect::<Vec<_>>(),
                    "notices": listed.iter().map(listed_json).collect::<Vec<_>>(),
                });
                serde_json::to_writer_pretty(&mut *out, &whole).map_err(io::Error::from)?;
                writeln!(out)?;
            } else {
                write_tables(out, &destinations, &listed, &settings.notices)?;
            }
        }
        Command::Retry(which) => {
            let (ledger, record) = (app::case_ledger(&settings)?, which.record("tried again"));
            let count = ledger.retry_deliveries(which.part(), record.at_ms, &record)?;
            writeln!(out, "{count} notices are tried again")?;
        }
        Command::Forget(which) => {
            let record = which.record("forgotten");
            let count = app::case_ledger(&settings)?.forget_deliveries(which.part(), &record)?;
            writeln!(out, "{count} notices are not sent any more")?;
        }
        Command::Secret => {}
    }
    Ok(Done::Wholly)
}

fn listed(ledger: &dyn NoticeLedger, is_all: bool) -> anyhow::Result<Vec<Listed>> {
    let mut listed: Vec<Listed> = Vec::new();
    loop {
        let after = listed.last().map_or(0, |last| last.delivery.id);
        let page = ledger.deliveries(after, is_all, PAGE_ROWS)?;
        if page.is_empty() {
            return Ok(listed);
        }
        listed.extend(page);
    }
}

fn write_tables(
    out: &mut dyn Write,
    destinations: &[NoticeDestination],
    listed: &[Listed],
    settings: &Settings,
) -> io::Result<()> {
    let is_known = |name: &str| match name {
        EMAIL => settings.email.is_some(),
        _ => settings.webhooks.iter().any(|(known, _)| **known == *name),
    };
    let now_ms = shell::now_ms();
    let rows: Vec<Vec<String>> = destinations
        .iter()
        .map(|d| {
            let state = match &d.pause {
                _ if !is_known(&d.name) => "not configured".into(),
                Some(pause) if pause.is_gone => "wants nothing any more".into(),
                Some(pause) if pause.until_ms > now_ms => {
                    format!("not before {}", table::moment(pause.until_ms))
                }
                Some(_) => "tried again".into(),
                None => "open".into(),
            };
            let counts = [d.waiting, d.failed, d.delivered].map(|n| n.to_string());
            let reason = d.pause.as_ref().map_or("", |pause| &pause.reason);
            [d.name.to_string(), state]
                .into_iter()
                .chain(counts)
                .chain([reason.to_owned()])
                .collect()
        })
        .collect();
    let heading = [
        "DESTINATION",
        "STATE",
        "WAITING",
        "FAILED",
        "DELIVERED",
        "WHY",
    ];
    table::write(out, &heading, &rows)?;
    if listed.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|l| {
            let notice = &l.delivery.notice;
            let to = match &*l.delivery.recipient {
                "" => l.destination.to_string(),
                recipient => format!("{} {recipient}", l.destination),
            };
            let next = match l.state {
                DeliveryState::Waiting if l.not_before_ms > 0 => table::moment(l.not_before_ms),
                _ => String::new(),
            };
            vec![
                notice.case.to_string(),
                notice.event.word().to_owned(),
                table::moment(notice.at_ms),
                to,
                l.state.word().to_owned(),
                l.delivery.attempts.to_string(),
                next,
                l.reason.to_string(),
            ]
        })
        .collect();
    writeln!(out)?;
    let heading = [
        "CASE", "WHAT", "WHEN", "TO", "STATE", "ATTEMPTS", "NEXT", "WHY",
    ];
    table::write(out, &heading, &rows)
}

fn destination_json(d: &NoticeDestination) -> Value {
    json!({
        "destination": d.name,
        "waiting": d.waiting,
        "failed": d.failed,
        "delivered": d.delivered,
        "pause": d.pause.as_ref().map(|pause| json!({
            "reason": pause.reason,
            "failures": pause.failures,
            "gone": pause.is_gone,
            "until": (!pause.is_gone).then(|| table::moment(pause.until_ms)),
        })),
    })
}

fn listed_json(l: &Listed) -> Value {
    let notice = &l.delivery.notice;
    json!({
        "id": notice.id,
        "case": notice.case,
        "event": notice.event.word(),
        "at": table::moment(notice.at_ms),
        "destination": l.destination,
        "account": (!l.delivery.recipient.is_empty()).then_some(&l.delivery.recipient),
        "state": l.state.word(),
        "attempts": l.delivery.attempts,
        "notBefore": (l.not_before_ms > 0).then(|| table::moment(l.not_before_ms)),
        "ended": l.ended_ms.map(table::moment),
        "reason": (!l.reason.is_empty()).then_some(&l.reason),
    })
}
