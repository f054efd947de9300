//! `overread user`: the accounts of the web, beside a running server, and `hash`, a line for the file `[dicom] users`, with
//! a passcode that nobody can read there. A passcode comes from the terminal, unseen, or from a pipe, never from the
//! command line, which everybody on the machine can read.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::{Context, bail, ensure};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use crate::access::account::{Account, AccountChange, AccountName};
use crate::access::passcode::{BYTES_MAX, Hash};
use crate::access::{AccessLedger, Email, Roles, message};
use crate::app;
use crate::cli::{Done, Place, shell, table};
use crate::dimse::identity::line;

/// Accounts read at a time.
const PAGE_ROWS: usize = 500;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, clap::Subcommand)]
enum Deed {
    /// Make an account for the web; its passcode is asked for or read from a pipe.
    ///
    /// With the first account everybody has to sign in (`access.sign_in`).
    Add {
        /// The name of the account.
        #[arg(value_name = "NAME", value_parser = AccountName::parse)]
        name: AccountName,
        /// What its owner is: administrator, sender, requester, reader, viewer; several with commas.
        #[arg(long, alias = "roles", value_name = "ROLES", value_parser = Roles::parse)]
        role: Roles,
        /// Where its owner is told what is asked of them, when the server sends mail (`notices.email_server`).
        #[arg(long, value_name = "ADDRESS", value_parser = Email::parse)]
        email: Option<Email>,
    },
    /// Change what the owner of an account is here, or where they are told what is asked of them.
    ///
    /// It counts from the next request on, also for whoever has signed in already. Somebody stays an administrator.
    Set(Set),
    /// List the accounts.
    List {
        /// One JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Give an account another passcode; its sessions end.
    Password {
        /// The name of the account.
        #[arg(value_name = "NAME", value_parser = AccountName::parse)]
        name: AccountName,
    },
    /// Let the owner of an account in no more: its sessions end, its tokens open nothing. Somebody stays an administrator.
    Disable {
        /// The name of the account.
        #[arg(value_name = "NAME", value_parser = AccountName::parse)]
        name: AccountName,
    },
    /// Let the owner of an account in again.
    Enable {
        /// The name of the account.
        #[arg(value_name = "NAME", value_parser = AccountName::parse)]
        name: AccountName,
    },
    /// Hash a passcode, which is asked for or read from a pipe, and print a line for dicom.users.
    Hash {
        /// The name of the user.
        #[arg(value_name = "NAME")]
        name: String,
        /// What the user may do, such as "find get"; everything if left out.
        #[arg(long, value_name = "RIGHTS")]
        rights: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Set {
    /// The name of the account.
    #[arg(value_name = "NAME", value_parser = AccountName::parse)]
    name: AccountName,
    /// What its owner is from now on: administrator, sender, requester, reader, viewer; several with commas.
    #[arg(long, alias = "role", value_name = "ROLES", value_parser = Roles::parse)]
    roles: Option<Roles>,
    /// Where its owner is told what is asked of them, when the server sends mail (`notices.email_server`).
    #[arg(long, value_name = "ADDRESS", value_parser = Email::parse)]
    email: Option<Email>,
    /// Tell its owner nothing by e-mail any more.
    #[arg(long, conflicts_with = "email")]
    no_email: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let place = arguments.place;
    match arguments.deed {
        Deed::Add { name, role, email } => {
            // Told before the passcode is asked for.
            ensure!(!role.is_empty(), "an account without a role can do nothing");
            let ledger = app::ledger(&place.settings()?)?;
            let passcode = passcode()?;
            shell::register(&*ledger).add(name, role, email, &passcode)?;
        }
        Deed::Set(set) => change(&*app::ledger(&place.settings()?)?, &set)?,
        Deed::List { json } => list(&*app::look_at_ledger(&place.settings()?)?, json)?,
        Deed::Password { name } => {
            let ledger = app::ledger(&place.settings()?)?;
            ensure!(
                ledger.account(name.as_str())?.is_some(),
                "there is no such account"
            );
            let passcode = passcode()?;
            shell::register(&*ledger).set_passcode(&name, &passcode)?;
        }
        Deed::Disable { name } => {
            let ledger = app::ledger(&place.settings()?)?;
            shell::register(&*ledger).change(&name, &AccountChange::enabled(false))?;
        }
        Deed::Enable { name } => {
            let ledger = app::ledger(&place.settings()?)?;
            shell::register(&*ledger).change(&name, &AccountChange::enabled(true))?;
        }
        Deed::Hash { name, rights } => hash(&name, rights.as_deref())?,
    }
    Ok(Done::Wholly)
}

fn change(ledger: &dyn AccessLedger, set: &Set) -> anyhow::Result<()> {
    let change = AccountChange {
        roles: set.roles,
        email: match (&set.email, set.no_email) {
            (Some(email), _) => Some(Some(email.clone())),
            (None, true) => Some(None),
            (None, false) => None,
        },
        is_enabled: None,
    };
    ensure!(
        change != AccountChange::default(),
        "say what is to be changed: --roles, --email or --no-email"
    );
    Ok(shell::register(ledger).change(&set.name, &change)?)
}

fn list(ledger: &dyn AccessLedger, is_json: bool) -> anyhow::Result<()> {
    let mut accounts: Vec<Account> = Vec::new();
    loop {
        let after = accounts.last().map_or("", |last| &last.name);
        let page = ledger.accounts("", after, PAGE_ROWS)?;
        if page.is_empty() {
            break;
        }
        accounts.extend(page);
    }
    let out = &mut io::stdout().lock();
    let created = |account: &Account| message::time(account.created_ms);
    if is_json {
        let list = accounts.iter().map(|account| {
            json!({
                "name": account.name,
                "roles": account.roles.words().collect::<Vec<_>>(),
                "email": account.email.as_ref().map(Email::as_str),
                "enabled": account.is_enabled,
                "created": created(account),
            })
        });
        let list: Vec<_> = list.collect();
        serde_json::to_writer_pretty(&mut *out, &list).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let rows = accounts.iter().map(|account| {
        vec![
            account.name.clone(),
            account.roles.to_string(),
            if account.is_enabled { "yes" } else { "no" }.into(),
            created(account),
            account
                .email
                .as_ref()
                .map_or_else(String::new, Email::to_string),
        ]
    });
    let rows: Vec<_> = rows.collect();
    table::write(
        out,
        &["Account", "Roles", "Enabled", "Made", "E-mail"],
        &rows,
    )?;
    Ok(())
}

fn hash(name: &str, rights: Option<&str>) -> anyhow::Result<()> {
    // Whatever is wrong with the name is told before the passcode is asked for.
    line(name, "", rights).map_err(anyhow::Error::msg)?;
    let passcode = passcode()?;
    ensure!(!passcode.is_empty(), "the passcode is empty");
    let hash = Hash::of(passcode.as_bytes())
        .map_err(|error| anyhow::anyhow!("the passcode {error}"))?
        .to_string();
    let line = line(name, &hash, rights).map_err(anyhow::Error::msg)?;
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

fn passcode() -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        return first_line();
    }
    let passcode = unseen("Passcode: ")?;
    if passcode != unseen("Again: ")? {
        bail!("these are two different passcodes");
    }
    Ok(passcode)
}

/// Asks on the terminal, which shows nothing of what is typed.
fn unseen(question: &str) -> anyhow::Result<String> {
    let terminal = io::stdin();
    let before = tcgetattr(&terminal).context("the terminal")?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    eprint!("{question}");
    tcsetattr(&terminal, OptionalActions::Flush, &quiet).context("the terminal")?;
    let answer = first_line();
    tcsetattr(&terminal, OptionalActions::Flush, &before).context("the terminal")?;
    eprintln!();
    answer
}

fn first_line() -> anyhow::Result<String> {
    let mut line = String::new();
    let most = BYTES_MAX as u64 + 3;
    io::stdin().lock().take(most).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
