//! The shell's door: one file a command, the same deeds as every other door. Exit codes are decided
//! here: 0 done, 1 it failed, 2 wrong usage, 3 done in part (of `doctor`: it has warnings).
//!
//! Whoever runs a command is an administrator: what is printed on stdout may name patients, what is
//! logged on stderr may not.

mod audit;
mod case;
mod check;
mod commit;
mod doctor;
mod echo;
mod evidence;
mod export;
mod find;
mod forward;
mod import;
mod keys;
mod notices;
mod quarantine;
mod query;
mod remove;
mod retrieve;
mod send;
mod serve;
mod shell;
mod stats;
mod table;
mod token;
mod user;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app;
use crate::config::{Flag, Settings, Sources};
use crate::dicom::asked::AskedError;
use crate::dimse::scu::PeerError;
use crate::doctor as examiner;
use crate::telemetry;

/// A DICOMweb archive in one binary, made for second opinions in radiology.
#[derive(Parser)]
#[command(name = "overread", version, about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 done in part.\n\
    Settings: defaults (config/default.toml) < --config FILE < OVERREAD_SECTION__KEY < flags.";

#[derive(Subcommand)]
enum Command {
    /// Run the server, web and DICOM, until SIGINT or SIGTERM.
    Serve(ServeArguments),
    /// Run a server with sample studies already received.
    Demo(ServeArguments),
    /// Bring files, folders, ZIP archives or DICOMDIR media into the archive.
    ///
    /// Can be interrupted and repeated: what is there already is counted and left alone. What is
    /// no DICOM is skipped and counted; so are DICOMDIR files, their folder is walked instead.
    Import(import::Arguments),
    /// Write studies as Part 10 files with a DICOMDIR into a folder or a ZIP archive.
    ///
    /// Files are byte for byte as stored. Their names tell nothing of the patient; the DICOMDIR does.
    Export(export::Arguments),
    /// Ask whether another application entity answers (C-ECHO).
    Echo(echo::Arguments),
    /// Send studies, or series or instances of one, to another application entity (C-STORE).
    ///
    /// As stored where the peer takes that, else in what it takes. What the peer has acknowledged
    /// is not sent again, what got lost on the way is.
    Send(send::Arguments),
    /// Look at what goes on to other archives by rule, and try again what has failed.
    Forward(forward::Arguments),
    /// Look at what people and programs are told of cases, and try again what has failed.
    Notices(notices::Arguments),
    /// Who may sign in on the web: accounts; or make a line of the file dicom.users.
    User(user::Arguments),
    /// API tokens: issue, list, revoke.
    Token(token::Arguments),
    /// Verify, export and search the trail of who did what to which study.
    Audit(audit::Arguments),
    /// Second opinions: open, list, show, close and verify cases; the pools of readers.
    Case(case::Arguments),
    /// List the studies of another application entity (C-FIND).
    Find(Box<find::Arguments>),
    /// Have another application entity send studies to us, or to somebody it knows (C-MOVE).
    ///
    /// They come in through the running server here, whose address the other one must know under our
    /// AE title. With --get they are fetched on one association (C-GET), while the server is stopped.
    Move(Box<retrieve::Arguments>),
    /// List studies, newest first.
    Query(query::Arguments),
    /// Tell what a study holds, and what of it seems to be missing or wrong.
    Evidence(evidence::Arguments),
    /// Tell what can be learned from all signed opinions.
    Stats(stats::Arguments),
    /// Remove a study for good. The server must be stopped.
    Remove(remove::Arguments),
    /// Compare the index with the blobs.
    Check(check::Arguments),
    /// Look at and resolve what was held back.
    Quarantine(quarantine::Arguments),
    /// Replay what viewers ask of a DICOMweb server, any server, and say what would break.
    #[command(after_help = doctor::EXIT_CODES)]
    Doctor(Box<doctor::Arguments>),
    /// Print the conformance statement, its tables made from those the program goes by.
    Conformance,
}

/// Where the archive and its settings are.
#[derive(Debug, Args)]
struct Place {
    /// Settings of your own, over the defaults.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the archive lives.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeArguments {
    #[command(flatten)]
    place: Place,
    /// Where web and DICOMweb listen.
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<String>,
    /// Where DICOM listens.
    #[arg(long, value_name = "ADDR:PORT")]
    dicom: Option<String>,
    /// Our AE title.
    #[arg(long, value_name = "TITLE")]
    ae_title: Option<String>,
    /// Listen beyond this machine although nobody has to log in.
    #[arg(long)]
    allow_anonymous: bool,
}

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Wholly,
    InPart,
    /// What was looked at is in a bad way, and the report of it has been printed.
    Broken,
}

/// Runs one command and gives its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Printing help or a usage error to a closed pipe is nothing to report.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    // Whatever a command makes (index, blobs, exported files) holds patient data.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    match dispatch(arguments.command) {
        Ok(Done::Wholly) => ExitCode::SUCCESS,
        Ok(Done::InPart) => ExitCode::from(3),
        Ok(Done::Broken) => ExitCode::from(1),
        // `overread query | head` closes our stdout: the reader has what it wanted.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overread: {}", told(&error));
            let is_usage = error.is::<AskedError>()
                || error.is::<examiner::Error>()
                || error.is::<PeerError>()
                || error.is::<send::WrongUsage>();
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<Done> {
    match command {
        Command::Serve(arguments) => serve::serve(arguments),
        Command::Demo(arguments) => serve::demo(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Echo(arguments) => echo::run(arguments),
        Command::Send(arguments) => send::run(arguments),
        Command::Forward(arguments) => forward::run(arguments),
        Command::Notices(arguments) => notices::run(arguments),
        Command::User(arguments) => user::run(arguments),
        Command::Token(arguments) => token::run(arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Case(arguments) => case::run(arguments),
        Command::Find(arguments) => find::run(*arguments),
        Command::Move(arguments) => retrieve::run(*arguments),
        Command::Query(arguments) => query::run(arguments),
        Command::Evidence(arguments) => evidence::run(arguments),
        Command::Stats(arguments) => stats::run(arguments),
        Command::Remove(arguments) => remove::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Quarantine(arguments) => quarantine::run(arguments),
        Command::Doctor(arguments) => doctor::run(*arguments),
        Command::Conformance => {
            io::stdout().write_all(app::conformance::statement().as_bytes())?;
            Ok(Done::Wholly)
        }
    }
}

/// An error and its causes, those that it does not tell itself.
fn told(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |text, cause| match text.is_empty() {
            true => cause,
            false if text.ends_with(&cause) => text,
            false => format!("{text}: {cause}"),
        })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

impl Place {
    /// The settings, with the log started as they say.
    fn settings(self) -> anyhow::Result<Settings> {
        self.sources().and_then(load)
    }

    fn sources(self) -> anyhow::Result<Sources> {
        let mut sources = Sources {
            file: self.config,
            ..Sources::from_environment()
        };
        if let Some(dir) = self.data_dir {
            let Some(dir) = dir.to_str() else {
                anyhow::bail!("--data-dir must be Unicode")
            };
            sources
                .flags
                .push(Flag::new("--data-dir", "server.data_dir", dir));
        }
        Ok(sources)
    }
}

impl ServeArguments {
    fn sources(self) -> anyhow::Result<Sources> {
        let mut sources = self.place.sources()?;
        let texts = [
            ("--http", "http.listen", self.http),
            ("--dicom", "dicom.listen", self.dicom),
            ("--ae-title", "dicom.ae_title", self.ae_title),
            (
                "--allow-anonymous",
                "http.allow_anonymous",
                self.allow_anonymous.then(|| "true".into()),
            ),
        ];
        let given = texts
            .into_iter()
            .filter_map(|(name, key, value)| Some(Flag::new(name, key, value?)));
        sources.flags.extend(given);
        Ok(sources)
    }
}

fn load(sources: Sources) -> anyhow::Result<Settings> {
    let settings = Settings::load(&sources)?;
    telemetry::start(&settings.log);
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_usage_ends_with_2_and_help_with_0() {
        let run = |words: &[&str]| {
            format!(
                "{:?}",
                super::run(words.iter().map(|word| OsString::from(*word)))
            )
        };
        assert_eq!(
            run(&["overread", "transmogrify"]),
            format!("{:?}", ExitCode::from(2))
        );
        assert_eq!(
            run(&["overread", "--version"]),
            format!("{:?}", ExitCode::SUCCESS)
        );
    }
}
