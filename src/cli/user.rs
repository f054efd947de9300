//! `overread user hash`: a line for the file `[dicom] users`, with a passcode that nobody can read
//! there. The passcode comes from the terminal, unseen, or from a pipe, never from the command line,
//! which everybody on the machine can read.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::{Context, bail, ensure};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::access::passcode::{BYTES_MAX, Hash};
use crate::cli::Done;
use crate::dimse::identity::line;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, clap::Subcommand)]
enum Deed {
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

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let Deed::Hash { name, rights } = arguments.deed;
    // Whatever is wrong with the name is told before the passcode is asked for.
    line(&name, "", rights.as_deref()).map_err(anyhow::Error::msg)?;
    let passcode = passcode()?;
    ensure!(!passcode.is_empty(), "the passcode is empty");
    let hash = Hash::of(passcode.as_bytes())
        .map_err(|error| anyhow::anyhow!("the passcode {error}"))?
        .to_string();
    let line = line(&name, &hash, rights.as_deref()).map_err(anyhow::Error::msg)?;
    writeln!(io::stdout(), "{line}")?;
    Ok(Done::Wholly)
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
