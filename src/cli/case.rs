//! `overread case`: second opinions at the shell, beside a running server. Whoever sits there is an administrator: they see
//! every case, open and close them, and read none. What changes here, the server takes to its worklist within seconds.

mod sharing;
mod verifying;

use std::io::{self, Write};

use anyhow::{Context, bail, ensure};
use serde_json::json;

use crate::access::Scope;
use crate::access::account::AccountName;
use crate::access::audit::{ActionCode, AuditRecord, Event, EventType};
use crate::access::message;
use crate::app;
use crate::cases::{
    Asked, Caller, Case, CaseLedger, Cases, Look, Order, Pool, Question, Request, State, Urgency,
};
use crate::cli::{Done, Place, shell, table};
use crate::dicom::Uid;

/// Cases read at a time.
const PAGE_ROWS: usize = 200;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, clap::Subcommand)]
enum Deed {
    /// Open a case on a study, and print its number.
    Open(Box<OpenArguments>),
    /// List cases, newest first.
    List {
        /// Only those in this state; may be said again and again.
        #[arg(long, value_name = "STATE", value_parser = state)]
        state: Vec<State>,
        /// Only those that are due and not answered.
        #[arg(long)]
        overdue: bool,
        /// One JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show a case and its opinions.
    Show {
        /// Its number.
        number: u64,
    },
    /// Say that the study of a case is complete enough to be read: the case goes out. Said again, of what came meanwhile.
    Complete {
        /// Its number.
        number: u64,
    },
    /// Ask one more reader, or whoever of a pool is first.
    Ask {
        /// Its number.
        number: u64,
        /// The account to be asked.
        #[arg(long, value_name = "NAME", value_parser = AccountName::parse, required_unless_present = "pool")]
        reader: Option<AccountName>,
        /// The pool to be asked.
        #[arg(long, value_name = "WORD", value_parser = pool, conflicts_with = "reader")]
        pool: Option<Pool>,
    },
    /// Wait no longer for one of those who were asked; the case goes on with the others.
    End {
        /// Its number.
        number: u64,
        /// The number of the task, as `case show` has it.
        task: u32,
    },
    /// List the links and grants of a case: for whom, whether they are good, how often and when they were opened.
    Links {
        /// Its number.
        number: u64,
    },
    /// Take back a link or grant of a case, at once.
    Revoke {
        /// The number of the case.
        number: u64,
        /// The number of the link or grant, as `case links` has it.
        grant: i64,
    },
    /// Take note of the answers.
    Close {
        /// Its number.
        number: u64,
    },
    /// Want no answer any more.
    Withdraw {
        /// Its number.
        number: u64,
    },
    /// Prove that opinions are as they were signed, and say what has become of the images that were seen.
    ///
    /// That the audit trail, which holds the digests, is whole itself, `overread audit verify` proves; that blobs still
    /// have the digests of the index, `overread check --deep`. Exit code 3 when images have changed since, 1 when an
    /// opinion or a manifest is not as it was signed.
    Verify {
        /// Its number.
        number: u64,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Set the pools of an account: the subspecialties that it may be asked to read without being named.
    Pools {
        /// The account.
        #[arg(value_parser = AccountName::parse)]
        name: AccountName,
        /// The pools; none to take all away.
        #[arg(value_parser = pool)]
        pools: Vec<Pool>,
    },
}

#[derive(Debug, clap::Args)]
struct OpenArguments {
    /// The study to be read.
    #[arg(value_name = "STUDY_UID")]
    study: Uid,
    /// A study to compare with; may be said again and again.
    #[arg(long = "prior", value_name = "STUDY_UID")]
    priors: Vec<Uid>,
    /// The clinical question.
    #[arg(long, value_name = "TEXT")]
    question: String,
    /// What else there is to know.
    #[arg(long, value_name = "TEXT", default_value = "")]
    context: String,
    /// What was examined.
    #[arg(long, value_name = "TEXT", default_value = "")]
    body_part: String,
    /// Who should read it, in one word, as neuro.
    #[arg(long, value_name = "WORD", value_parser = pool)]
    subspecialty: Pool,
    /// routine, urgent or stat.
    #[arg(long, value_name = "WORD", default_value = "routine", value_parser = urgency)]
    urgency: Urgency,
    /// When the answer is wanted, as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "INSTANT")]
    due: Option<jiff::Timestamp>,
    /// When nobody waits for it any more; 14 days after it is due if left out.
    #[arg(long, value_name = "INSTANT")]
    expires: Option<jiff::Timestamp>,
    /// Readers commit what they see before they know of any report.
    #[arg(long)]
    blinded: bool,
    /// It is complete enough to be read: it goes out at once.
    #[arg(long)]
    complete: bool,
    /// The first report, as text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    first_report: String,
    /// An account to be asked; may be said again and again.
    #[arg(long = "reader", value_name = "NAME", value_parser = AccountName::parse, required_unless_present = "pools")]
    readers: Vec<AccountName>,
    /// A pool to be asked; may be said again and again.
    #[arg(long = "pool", value_name = "WORD", value_parser = pool)]
    pools: Vec<Pool>,
    /// The account that asks; whoever sits at the shell if left out.
    #[arg(long, value_name = "NAME", value_parser = AccountName::parse)]
    requester: Option<AccountName>,
}

fn pool(text: &str) -> Result<Pool, String> {
    Pool::parse(text).map_err(|fault| fault.why.into_owned())
}

fn state(text: &str) -> Result<State, &'static str> {
    State::parse(text).ok_or("states are open, in-review, answered, closed, withdrawn and expired")
}

fn urgency(text: &str) -> Result<Urgency, &'static str> {
    Urgency::parse(text).ok_or("is not routine, urgent or stat")
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let settings = arguments.place.settings()?;
    let ledger = app::case_ledger(&settings)?;
    if let Deed::Pools { name, pools } = &arguments.deed {
        set_pools(&*ledger, name, pools)?;
        return Ok(Done::Wholly);
    }
    let opened = app::look(&settings)?;
    let our_ae = settings.dicom.ae_title.clone();
    let cases = Cases::beside(ledger, opened.archive().clone(), our_ae);
    let who = administrator();
    match arguments.deed {
        Deed::Open(arguments) => open(&cases, *arguments, who)?,
        Deed::List {
            state,
            overdue,
            json,
        } => {
            let question = Question {
                states: state,
                due_before_ms: overdue.then_some(who.at_ms),
                limit: PAGE_ROWS,
                ..Question::default()
            };
            list(&cases, question, &who, json)?;
        }
        Deed::Show { number } => show(&cases.show(number, &who).context(named(number))?, &who)?,
        Deed::Complete { number } => {
            told(&cases.complete(number, None, &who).context(named(number))?)?;
        }
        Deed::Ask {
            number,
            reader,
            pool,
        } => {
            let asked = reader.map(Asked::Reader).or(pool.map(Asked::Pool));
            let asked = asked.context("nobody is named")?;
            told(
                &cases
                    .assign(number, &asked, None, &who)
                    .context(named(number))?,
            )?;
        }
        Deed::End { number, task } => {
            told(&cases.end(number, task, None, &who).context(named(number))?)?;
        }
        Deed::Links { number } => {
            let given = cases.given(number, &Scope::All, &who);
            sharing::list(&given.context(named(number))?, who.at_ms)?;
        }
        Deed::Revoke { number, grant } => {
            let taken = cases.take_back(grant, Some(number), &Scope::All, &who);
            taken.with_context(|| format!("grant {grant} of case {number}"))?;
        }
        Deed::Close { number } => told(&cases.close(number, None, &who).context(named(number))?)?,
        Deed::Withdraw { number } => {
            told(&cases.withdraw(number, None, &who).context(named(number))?)?;
        }
        Deed::Verify { number, json } => {
            let (_, verified) = cases.verify(number, &who).context(named(number))?;
            return verifying::tell(&verified, json);
        }
        Deed::Pools { .. } => {}
    }
    Ok(Done::Wholly)
}

/// Whoever sits at the shell, as cases know them.
fn administrator() -> Caller {
    let actor = shell::actor();
    Caller {
        name: actor.name.as_str().into(),
        requests: true,
        works: false,
        administers: true,
        sees_reports: true,
        is_anyone: false,
        studies: None,
        actor,
        at_ms: shell::now_ms(),
    }
}

fn named(number: u64) -> String {
    format!("case {number}")
}

fn set_pools(ledger: &dyn CaseLedger, name: &AccountName, pools: &[Pool]) -> anyhow::Result<()> {
    ensure!(
        ledger.account(name.as_str())?.is_some(),
        "there is no account {name}"
    );
    let words: Vec<_> = pools.iter().map(Pool::as_str).collect();
    let record = AuditRecord::new(
        Event::SecurityAlert,
        ActionCode::Update,
        shell::actor(),
        shell::now_ms(),
    );
    let record = record
        .of_type(EventType::UserSecurityAttributesChanged)
        .on(format!("account {name}"))
        .saying(format!("pools: {}", words.join(" ")));
    ledger.set_pools(name.as_str(), pools, &record)?;
    Ok(())
}

fn open(cases: &Cases, arguments: OpenArguments, mut who: Caller) -> anyhow::Result<()> {
    if let Some(requester) = &arguments.requester {
        let account = cases.ledger().account(requester.as_str())?;
        ensure!(account.is_some(), "there is no account {requester}");
        who.name = requester.as_str().into();
    }
    let request = Request {
        study: arguments.study,
        priors: arguments.priors,
        question: arguments.question,
        context: arguments.context,
        body_part: arguments.body_part,
        subspecialty: arguments.subspecialty,
        urgency: arguments.urgency,
        due_ms: arguments.due.map(jiff::Timestamp::as_millisecond),
        expires_ms: arguments.expires.map(jiff::Timestamp::as_millisecond),
        is_blinded: arguments.blinded,
        needs_complete: !arguments.complete,
        first_report: arguments.first_report,
        report_instances: Vec::new(),
    };
    let readers = arguments.readers.into_iter().map(Asked::Reader);
    let pools = arguments.pools.into_iter().map(Asked::Pool);
    let asked: Vec<_> = readers.chain(pools).collect();
    let opened = match cases.open(request, &[], &asked, &who) {
        Err(crate::cases::Error::NotFound) => bail!("there is no such study, or no such prior"),
        opened => opened?,
    };
    writeln!(io::stdout(), "{}", opened.number)?;
    Ok(())
}

fn told(case: &Case) -> anyhow::Result<()> {
    writeln!(io::stdout(), "case {} is {}", case.number, case.state)?;
    Ok(())
}

fn list(cases: &Cases, mut question: Question, who: &Caller, is_json: bool) -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    loop {
        let page = cases.list(question.clone(), who)?;
        let Some(last) = page.last() else { break };
        question.order = Order::Newest(Some(last.case.number));
        for listed in &page {
            let case = &listed.case;
            let request = &case.request;
            let due = request.due_ms.map(message::time);
            if is_json {
                objects.push(json!({
                    "number": case.number,
                    "state": case.state.word(),
                    "study_instance_uid": request.study.as_str(),
                    "requester": &*case.requester,
                    "subspecialty": request.subspecialty.as_str(),
                    "urgency": request.urgency.word(),
                    "due": due,
                    "is_overdue": case.is_overdue(who.at_ms),
                    "has_gone_out": case.has_gone_out(),
                    "images_changed_since": listed.have_images_changed,
                    "is_grown": listed.growth.is_some(),
                }));
                continue;
            }
            let state = match (case.has_gone_out(), case.is_overdue(who.at_ms)) {
                (false, _) => format!("{}, not out yet", case.state),
                (true, true) => format!("{}, overdue", case.state),
                (true, false) => case.state.to_string(),
            };
            rows.push(vec![
                case.number.to_string(),
                state,
                request.urgency.word().into(),
                request.subspecialty.to_string(),
                case.requester.to_string(),
                due.unwrap_or_default(),
                match (&listed.growth, listed.have_images_changed) {
                    (Some(growth), _) => growth.sentence(),
                    (None, true) => "changed".into(),
                    (None, false) => String::new(),
                },
                request.study.to_string(),
            ]);
        }
    }
    if is_json {
        serde_json::to_writer_pretty(&mut *out, &objects).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let heading = [
        "Case",
        "State",
        "Urgency",
        "For",
        "Requester",
        "Due",
        "Images",
        "Study",
    ];
    table::write(out, &heading, &rows)?;
    Ok(())
}

fn show(look: &Look, who: &Caller) -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    let (case, request) = (&look.case, &look.case.request);
    let mut line = |name: &str, text: &str| {
        // Several lines stay several, and none of them steers the terminal.
        let lines = text.split('\n').map(table::printable);
        let indented = lines.collect::<Vec<_>>().join("\n             ");
        if text.is_empty() {
            Ok(())
        } else {
            writeln!(out, "{name:<13}{indented}")
        }
    };
    line("Case", &case.number.to_string())?;
    let overdue = if case.is_overdue(who.at_ms) {
        ", overdue"
    } else {
        ""
    };
    line("State", &format!("{}{overdue}", case.state))?;
    line("Study", request.study.as_str())?;
    for prior in &request.priors {
        line("Prior", prior.as_str())?;
    }
    line("Requester", &case.requester)?;
    let word = case.confirmed.as_ref().or(case.completed.as_ref());
    let word = word.map(|word| format!("says {}, {}", word.by, message::time(word.at_ms)));
    line("Complete", &word.unwrap_or_default())?;
    if let Some(growth) = &look.growth {
        let last = growth.last.as_ref().map_or_else(String::new, |last| {
            let at = message::time(last.at_ms);
            format!(", the last on {at} from {}", last.sender)
        });
        let sentence = growth.sentence();
        line(
            "",
            &format!("SINCE IT WAS SAID TO BE COMPLETE: {sentence}{last}"),
        )?;
    }
    line("Question", &request.question)?;
    line("Context", &request.context)?;
    line("Body part", &request.body_part)?;
    line("For", request.subspecialty.as_str())?;
    line("Urgency", request.urgency.word())?;
    line(
        "Due",
        &request.due_ms.map(message::time).unwrap_or_default(),
    )?;
    line("First report", &request.first_report)?;
    for task in &case.tasks {
        let by = match &task.held_by {
            Some(name) => format!(" by {name}"),
            None if task.is_at_workstation() => " at a workstation".to_owned(),
            None => String::new(),
        };
        let text = format!("{}: {}{by}", task.asked, task.state.word());
        line(&format!("Task {}", task.place), &text)?;
    }
    for told in &look.opinions {
        let opinion = &told.opinion;
        let signed = message::time(opinion.signed_ms);
        let heading = format!(
            "version {} by {}, {signed}",
            opinion.version, opinion.reader
        );
        line(&format!("Opinion {}", opinion.id), &heading)?;
        line("", &opinion.said.impression.findings)?;
        line("", &opinion.said.impression.impression)?;
        line("", &opinion.said.impression.recommendation)?;
        let comparison = &opinion.said.comparison;
        let words = [
            comparison.agreement.map(|grade| grade.word()),
            comparison.significance.map(|grade| grade.word()),
            comparison.management.map(|grade| grade.word()),
            comparison.stage.map(|grade| grade.word()),
        ];
        let words: Vec<_> = words.into_iter().flatten().collect();
        line("", &words.join(", "))?;
        if told.have_images_changed {
            line("", "IMAGES HAVE CHANGED SINCE (overread case verify)")?;
        }
    }
    Ok(())
}
