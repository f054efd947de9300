//! Whom a notice goes to: every webhook, and by e-mail those accounts whom the table of events names. What an account may
//! not do any more, it is not told of; and a link has no address: its secret is kept nowhere, so no mail could hold it.

use std::collections::BTreeSet;

use super::event::Audience;
use super::queue::{EMAIL, Notice};
use crate::access::account::{Account, AccountName};
use crate::access::{LedgerError, Role};
use crate::cases::Cases;
use crate::cases::case::Case;
use crate::cases::task::{Asked, Task, TaskState};

/// So many notices are addressed in one go.
const BATCH: usize = 100;
/// So many accounts get mail about one notice.
const RECIPIENTS_MAX: usize = 1000;

/// Where notices can go.
#[derive(Debug, Clone, Default)]
pub struct Channels {
    /// The names of the webhooks.
    pub webhooks: Vec<Box<str>>,
    /// Whether mail is sent.
    pub has_email: bool,
}

impl Cases {
    /// Queues what has happened for all whom it concerns. Says how many notices those were.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn address_notices(&self, channels: &Channels, now_ms: i64) -> Result<usize, LedgerError> {
        let notices = self.ledger.unaddressed(BATCH)?;
        for notice in &notices {
            let hooks = channels.webhooks.iter();
            let mut to: Vec<_> = hooks.map(|name| (name.clone(), Box::default())).collect();
            if channels.has_email {
                let names = self.recipients(notice)?;
                to.extend(names.into_iter().map(|name| (EMAIL.into(), name)));
            }
            self.ledger.address(notice.number, &to, now_ms)?;
        }
        Ok(notices.len())
    }

    /// The accounts that get mail about a notice.
    fn recipients(&self, notice: &Notice) -> Result<BTreeSet<Box<str>>, LedgerError> {
        let mut names = BTreeSet::new();
        let Some(case) = self.ledger.case(notice.case)? else {
            return Ok(names);
        };
        for audience in notice.event.audience() {
            if *audience == Audience::Requester {
                let account = self.ledger.account(&case.requester)?;
                names.extend(
                    account
                        .filter(|account| hears(account, Role::Requester))
                        .map(|account| account.name.into()),
                );
                continue;
            }
            for asked in readers(&case, *audience, notice) {
                let accounts = match &asked {
                    Asked::Reader(name) => Vec::from_iter(self.ledger.account(name.as_str())?),
                    Asked::Pool(pool) => self.ledger.accounts_of_pool(pool)?,
                };
                let heard = accounts
                    .into_iter()
                    .filter(|account| hears(account, Role::Reader));
                names.extend(heard.map(|account| Box::from(account.name)));
            }
        }
        Ok(names.into_iter().take(RECIPIENTS_MAX).collect())
    }
}

/// Whether an account in such a part is told of anything.
fn hears(account: &Account, role: Role) -> bool {
    let roles = account.roles;
    let has_part = roles.hold(role) || roles.hold(Role::Administrator);
    account.is_enabled && account.email.is_some() && has_part
}

/// The readers of a case who are meant.
fn readers(case: &Case, audience: Audience, notice: &Notice) -> Vec<Asked> {
    if !case.has_gone_out() {
        return Vec::new();
    }
    let place = notice.task.as_ref().map(|(place, _)| *place);
    let is_it = |task: &Task| place == Some(task.place);
    let is_meant = |task: &&Task| match audience {
        Audience::Requester => false,
        Audience::Asked => is_it(task) && task.state.is_pending(),
        Audience::Released => is_it(task) && task.state == TaskState::Ended,
        Audience::Pending => task.state.is_pending(),
        Audience::Ended => {
            let is_somebody = task.held_by.is_some() || matches!(task.asked, Asked::Reader(_));
            // Whoever was let go before that has heard of it then.
            task.ended_in == Some(notice.revision) && is_somebody
        }
        Audience::Signed => task.state == TaskState::Signed,
    };
    let who = |task: &Task| match task.held_by.as_deref() {
        // Whoever holds it has taken it from the others.
        Some(name) => AccountName::kept(name).ok().map(Asked::Reader),
        None => Some(task.asked.clone()),
    };
    case.tasks.iter().filter(is_meant).filter_map(who).collect()
}
