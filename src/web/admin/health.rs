//! Whether all is well, in plain words, on the first page of administrators: what is checked here is looked at when the page
//! is asked for, and nothing of it changes anything.

use std::fmt::Write;

use crate::access::AccessLedger;
use crate::archive::index::Totals;
use crate::archive::queue::{DestinationState, StudyForward};
use crate::archive::{self, Archive};
use crate::cases::notices::{Listed, NoticeDestination};
use crate::dicom::text_form::escaped;
use crate::web::admin::overview::bytes;
use crate::web::cases::moment;

/// So much the clock may go back before it is told.
const BACK_MS: i64 = 60_000;

/// What was found.
pub(super) struct Health(Vec<Finding>);

struct Finding {
    is_well: bool,
    /// What is looked at.
    what: &'static str,
    /// How it is; HTML.
    how: String,
}

impl Health {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self(vec![Finding {
            is_well: true,
            what: "Version",
            how: format!("Overread {version}"),
        }])
    }

    fn add(&mut self, what: &'static str, found: Result<String, String>) {
        let is_well = found.is_ok();
        let how = match found {
            Ok(how) | Err(how) => how,
        };
        self.0.push(Finding { is_well, what, how });
    }

    /// Whether anybody has to sign in.
    pub(super) fn check_door(&mut self, is_anybody: bool) {
        self.add(
            "Sign-in",
            match is_anybody {
                false => Ok("Everybody has to sign in.".into()),
                true => Err(
                    "Nobody has to sign in: whoever reaches this server sees and changes everything."
                        .into(),
                ),
            },
        );
    }

    /// The disk, and whether anything is taken in. Blocks.
    pub(super) fn check_room(&mut self, archive: &Archive) {
        let free = match archive.free_bytes() {
            Ok(Some(free)) => format!(" {} are free.", bytes(free)),
            Ok(None) => String::new(),
            Err(error) => format!(" {}", escaped(&told(&error))),
        };
        self.add(
            "Disk",
            match archive.check_room() {
                Ok(()) => Ok(format!("Studies are taken in.{free}")),
                Err(error) => Err(format!(
                    "Nothing is taken in: {}.{free}",
                    escaped(&told(&error))
                )),
            },
        );
    }

    /// The index, by what it says of itself.
    pub(super) fn check_index(&mut self, totals: &Result<Totals, archive::Error>) {
        self.add(
            "Index",
            match totals {
                Ok(totals) if totals.quarantined > 0 => Err(format!(
                    "It answers. {} held back: <a href=\"admin/quarantine\">decide</a> what shall become of it.",
                    match totals.quarantined {
                        1 => "One instance is".to_owned(),
                        many => format!("{many} instances are"),
                    }
                )),
                Ok(_) => Ok("It answers. Nothing is held back.".into()),
                Err(error) => Err(format!("It does not answer: {}.", escaped(&told(error)))),
            },
        );
    }

    /// The ledger, and the clock by its last row. Blocks.
    pub(super) fn check_ledger(&mut self, ledger: &dyn AccessLedger, now_ms: i64) {
        let last = ledger.audit_head().map_err(|error| error.to_string());
        let last = last.and_then(|head| {
            let before = head.id.saturating_sub(1);
            let rows = ledger
                .audit_rows(before, 1)
                .map_err(|flaw| flaw.to_string());
            Ok((head.id, rows?.first().map(|row| row.record.at_ms)))
        });
        match last {
            Ok((count, last_ms)) => {
                self.add(
                    "Ledger",
                    Ok(format!("It answers. The audit trail has {count} rows.")),
                );
                let back = last_ms.filter(|last_ms| *last_ms > now_ms.saturating_add(BACK_MS));
                self.add(
                    "Clock",
                    match back {
                        None => Ok(format!("It is {} UTC.", moment(now_ms))),
                        Some(last_ms) => Err(format!(
                            "It is {} UTC here, and the last row of the audit trail is of {} UTC: the clock was set back, or was \
                             wrong before.",
                            moment(now_ms),
                            moment(last_ms)
                        )),
                    },
                );
            }
            Err(why) => self.add(
                "Ledger",
                Err(format!("Something is wrong with it: {}.", escaped(&why))),
            ),
        }
    }

    /// What goes on to other archives; `waiting` says of studies why.
    pub(super) fn check_forwarding(
        &mut self,
        found: &[DestinationState],
        waiting: &[StudyForward],
    ) {
        let stuck = found.iter().filter_map(|to| {
            let pause = to.pause.as_ref().map(|pause| &*pause.reason);
            let of_it = waiting
                .iter()
                .filter(|study| study.destination == to.destination);
            let reason = of_it
                .filter_map(|study| study.reason.as_deref())
                .next_back();
            trouble(&to.destination, to.failed, pause, reason)
        });
        self.add_queue("Forwarding", found.is_empty(), stuck.collect());
    }

    /// What is told of cases; `waiting` says of notices why.
    pub(super) fn check_notices(&mut self, found: &[NoticeDestination], waiting: &[Listed]) {
        let stuck = found.iter().filter_map(|to| {
            let pause = to.pause.as_ref().map(|pause| &*pause.reason);
            let of_it = waiting
                .iter()
                .filter(|listed| listed.destination == to.name);
            let mut reasons = of_it.map(|listed| &*listed.reason);
            let reason = reasons.rfind(|reason| !reason.is_empty());
            trouble(&to.name, to.failed, pause, reason)
        });
        self.add_queue("Notices", found.is_empty(), stuck.collect());
    }

    /// Says that nobody can tell.
    pub(super) fn unknown(&mut self, what: &'static str, error: &dyn std::error::Error) {
        tracing::warn!(%error, what, "health is not known");
        self.add(
            what,
            Err("It cannot be told; the server's log has the cause.".into()),
        );
    }

    fn add_queue(&mut self, what: &'static str, is_none: bool, stuck: Vec<String>) {
        match (is_none, stuck.is_empty()) {
            // Who uses none of it need not hear of it.
            (true, _) => {}
            (false, true) => self.add(what, Ok("Nothing has failed.".into())),
            (false, false) => self.add(what, Err(stuck.join(" "))),
        }
    }

    /// Writes it down.
    pub(super) fn write(&self, html: &mut String) {
        html.push_str(
            "<section class=\"card\"><h2>Health</h2><table class=\"figures health\"><tbody>\n",
        );
        for finding in &self.0 {
            let chip = match finding.is_well {
                true => "<span class=\"chip good\">well</span>",
                false => "<span class=\"chip warn\">look</span>",
            };
            let _ = writeln!(
                html,
                "<tr><th scope=\"row\">{}</th><td>{chip}</td><td>{}</td></tr>",
                finding.what, finding.how
            );
        }
        html.push_str("</tbody></table></section>\n");
    }
}

/// What is wrong with a destination, if anything is; HTML.
fn trouble(name: &str, failed: u64, pause: Option<&str>, reason: Option<&str>) -> Option<String> {
    if failed == 0 && pause.is_none() {
        return None;
    }
    let failed = match failed {
        0 => String::new(),
        failed => format!(" {failed} failed."),
    };
    let why = match (pause, reason) {
        (Some(why), _) => format!(" It waits: {}.", escaped(why)),
        (None, Some(why)) => format!(" The last: {}.", escaped(why)),
        (None, None) => String::new(),
    };
    Some(format!("<bdi>{}</bdi>:{failed}{why}", escaped(name)))
}

/// An error for people; what only the log may have stays there.
fn told(error: &archive::Error) -> String {
    match error {
        archive::Error::Broken(cause) => {
            tracing::error!(%cause, "the archive is not well");
            "internal failure; the server's log has the cause".to_owned()
        }
        error => error.to_string(),
    }
}
