//! `overread token`: API tokens, for programs that sign in without a person, beside a running server. A token is shown once,
//! alone on stdout, and kept as a digest.

use std::io::{self, Write};

use serde_json::json;

use crate::access::account::{AccountName, Issuer, TOKEN_DAYS, TOKEN_DAYS_MAX, Token};
use crate::access::register::Issuing;
use crate::access::{AccessLedger, Roles, message};
use crate::app;
use crate::cli::{Done, Place, shell, table};
use crate::dicom::Uid;

/// Tokens read at a time.
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
    /// Issue a token of an account and print it. It is not kept: nobody can print it again.
    Issue {
        /// The account.
        #[arg(value_name = "NAME", value_parser = AccountName::parse)]
        name: AccountName,
        /// Which roles of the account it has; all of them if left out.
        #[arg(long, value_name = "ROLES", value_parser = Roles::parse)]
        role: Option<Roles>,
        /// The only studies it is good for; may be said again and again. Such a token stores nothing.
        #[arg(long = "study", value_name = "STUDY_UID")]
        studies: Vec<Uid>,
        /// What it is for.
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// How long it is good for.
        #[arg(long, value_name = "DAYS", default_value_t = TOKEN_DAYS, value_parser = clap::value_parser!(i64).range(1..=TOKEN_DAYS_MAX))]
        days: i64,
    },
    /// List tokens, those that are good for nothing any more too.
    List {
        /// Of one account.
        #[arg(long, value_name = "NAME", value_parser = AccountName::parse)]
        user: Option<AccountName>,
        /// One JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token: it opens nothing from now on.
    Revoke {
        /// Its number, as `list` has it.
        #[arg(value_name = "ID")]
        id: i64,
        /// With it the tokens that it issued, those that these issued, and so on; their numbers are printed.
        #[arg(long)]
        issued: bool,
    },
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    match arguments.deed {
        Deed::Issue {
            name,
            role,
            studies,
            label,
            days,
        } => {
            let issued = shell::register(&*app::ledger(&settings)?).issue(Issuing {
                account: name,
                roles: role,
                studies: studies.into_iter().collect(),
                label,
                days,
            })?;
            let until = message::time(issued.expires_ms);
            eprintln!("token {}, good until {until}", issued.id);
            writeln!(io::stdout(), "{}", issued.secret.token())?;
        }
        Deed::List { user, json } => {
            let ledger = app::look_at_ledger(&settings)?;
            list(&*ledger, user.as_ref().map(AccountName::as_str), json)?;
        }
        Deed::Revoke { id, issued } => {
            let ledger = app::ledger(&settings)?;
            let register = shell::register(&*ledger);
            if issued {
                for id in register.revoke_with_issued(id)? {
                    writeln!(io::stdout(), "{id}")?;
                }
            } else {
                register.revoke(id)?;
            }
        }
    }
    Ok(Done::Wholly)
}

fn list(ledger: &dyn AccessLedger, account: Option<&str>, is_json: bool) -> anyhow::Result<()> {
    let mut tokens: Vec<Token> = Vec::new();
    loop {
        let before = tokens.last().map(|last| last.id);
        let page = ledger.tokens(account, before, PAGE_ROWS)?;
        if page.is_empty() {
            break;
        }
        tokens.extend(page);
    }
    tokens.reverse();
    let now_ms = shell::now_ms();
    let out = &mut io::stdout().lock();
    if is_json {
        let list: Vec<_> = tokens.iter().map(|token| json_of(token, now_ms)).collect();
        serde_json::to_writer_pretty(&mut *out, &list).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let rows = tokens.iter().map(|token| {
        vec![
            token.id.to_string(),
            token.account.name.clone(),
            token.label.clone(),
            token.roles.within(token.account.roles).to_string(),
            match &token.studies {
                Some(studies) => studies.len().to_string(),
                None => "all".into(),
            },
            token.state(now_ms).words().into(),
            message::time(token.expires_ms),
            token.issuer.as_ref().map_or_else(String::new, words_of),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let heading = [
        "Token",
        "Account",
        "For",
        "Roles",
        "Studies",
        "State",
        "Until",
        "Issued by",
    ];
    table::write(out, &heading, &rows)?;
    Ok(())
}

/// Who issued it, in words.
fn words_of(issuer: &Issuer) -> String {
    match issuer.token {
        Some(token) => format!("{}, token {token}", issuer.who),
        None => issuer.who.clone(),
    }
}

fn json_of(token: &Token, now_ms: i64) -> serde_json::Value {
    let issuer = token.issuer.as_ref();
    let issued_by = issuer.map(|issuer| json!({"who": issuer.who, "token": issuer.token}));
    let studies = token.studies.as_ref();
    let studies = studies.map(|studies| studies.iter().map(Uid::as_str).collect::<Vec<_>>());
    json!({
        "id": token.id,
        "account": token.account.name,
        "label": token.label,
        "roles": token.roles.words().collect::<Vec<_>>(),
        "studies": studies,
        "state": token.state(now_ms).words(),
        "issued": message::time(token.issued_ms),
        "expires": message::time(token.expires_ms),
        "issued_by": issued_by,
    })
}
