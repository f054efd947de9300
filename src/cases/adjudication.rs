//! Judging between opinions: a further task that names those that differ, whose reader sees them from the start.

use super::Cases;
use super::caller::Caller;
use super::case::Case;
use super::deciding::Change;
use super::error::{Error, Fault};
use super::grade::Agreement;
use super::opinion::Opinion;
use super::state::{Act, Refusal};
use super::task::{Asked, Task};

impl Cases {
    /// Asks somebody to judge between two opinions, or between one that differs and the first report.
    ///
    /// # Errors
    /// As [`Cases::decide`]; [`Refusal::NotDiscordant`]; when an opinion is none of the case, or was corrected since, or
    /// who is asked has given one of them.
    pub fn adjudicate(
        &self,
        number: u64,
        named: &[u64],
        asked: &Asked,
        expected: Option<u64>,
        caller: &Caller,
    ) -> Result<Case, Error> {
        self.decide(number, Act::Adjudicate, expected, caller, |case| {
            let opinions = self.ledger.opinions(number)?;
            let judged = judged(&opinions, named)?;
            check_reader(&case.tasks, &judged, asked)?;
            let mut task = self.new_task(case, asked, false, caller.at_ms)?;
            task.adjudicates = judged.iter().map(|opinion| opinion.id).collect();
            let said = format!(
                "task {}: asks {} to judge opinions {:?}",
                task.place, task.asked, task.adjudicates
            );
            case.tasks.push(task);
            Ok(Change::saying(said))
        })
    }
}

/// The opinions that are named: the newest versions of one or two tasks. A person says that two differ; that one differs
/// from the first report it says itself.
fn judged<'o>(opinions: &'o [Opinion], named: &[u64]) -> Result<Vec<&'o Opinion>, Error> {
    let newest = |opinion: &&Opinion| {
        let later = |other: &Opinion| other.task == opinion.task && other.id > opinion.id;
        !opinions.iter().any(later)
    };
    let mut judged: Vec<&Opinion> = Vec::new();
    for id in named.iter().take(3) {
        let opinion = opinions
            .iter()
            .filter(newest)
            .find(|opinion| opinion.id == *id);
        let Some(opinion) = opinion.filter(|opinion| !judged.contains(opinion)) else {
            let why = "name what is no opinion of the case in its newest version, or one twice";
            return Err(Fault::new("opinions", why).into());
        };
        judged.push(opinion);
    }
    match judged.as_slice() {
        [one] => {
            let agreement = one.said.comparison.agreement;
            if !agreement.is_some_and(Agreement::is_discrepancy) {
                return Err(Refusal::NotDiscordant.into());
            }
        }
        [_, _] => {}
        _ => return Err(Fault::new("opinions", "are not one or two").into()),
    }
    Ok(judged)
}

/// Nobody judges their own opinion.
fn check_reader(tasks: &[Task], judged: &[&Opinion], asked: &Asked) -> Result<(), Error> {
    let Asked::Reader(name) = asked else {
        // Of a pool, whoever has held a task of the case cannot claim another one.
        return Ok(());
    };
    let is_theirs = judged
        .iter()
        .any(|opinion| *opinion.reader == *name.as_str())
        || tasks.iter().any(|task| task.is_held_by(name.as_str()));
    if is_theirs {
        return Err(Fault::new("reader", "has given an opinion in the case").into());
    }
    Ok(())
}
