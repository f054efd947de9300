//! What can be learned from the verdicts of second opinions: how often they differ from the first, whether it matters,
//! what it changes, and how long it takes; all of them, and by modality, body part, subspecialty, reader, sender and the
//! month of the answer.
//!
//! *Shares* have Wilson score intervals of 95 % ([`rate`]). *Turnaround* is from asking to signing; its quantiles are
//! those of numpy's default (linear, type 7 of Hyndman and Fan).
//!
//! *Small groups are not told* ([`suppress`]); of a group that is, every count is told, however small, but for a turnaround
//! that fewer tell of. There is no period to choose and no second key to group by, because what is hidden in one answer
//! could be had by taking another away from it; months are one key more, each verdict in one of them. Two answers at different times still differ by
//! what was signed between them, so they are for those only who may know how somebody reads.
//!
//! Pure: the rows come from a [`VerdictSource`].

pub mod published;
pub mod rate;
pub mod suppress;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::access::LedgerError;
use crate::cases::grade::{Agreement, Management, Significance};

pub use published::{Like, PUBLISHED, Published};
pub use rate::{Rate, quantile};

/// The fewest verdicts that a group is told of, unless somebody has set another number.
pub const GROUP_MIN: u64 = 10;

/// One signed opinion, or its latest version. Texts that are not known are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Modality of what was read.
    pub modality: String,
    /// Body part.
    pub body_part: String,
    /// The subspecialty that was asked for.
    pub subspecialty: String,
    /// Who signed.
    pub reader: String,
    /// Where the study came from.
    pub sender: String,
    /// How far both readings agree; `None` when there was nothing to compare with.
    pub agreement: Option<Agreement>,
    /// Whether the difference matters, where the reader said so.
    pub significance: Option<Significance>,
    /// What it changes, where the reader said so.
    pub management: Option<Management>,
    /// When the reading was asked for, milliseconds since 1970 UTC.
    pub asked_ms: i64,
    /// When it was signed.
    pub answered_ms: i64,
}

/// Where verdicts come from.
pub trait VerdictSource: Send + Sync {
    /// Gives every signed opinion that no later version has replaced, once, in any order.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn each_verdict(&self, each: &mut dyn FnMut(Verdict)) -> Result<(), LedgerError>;
}

/// What verdicts are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Modality.
    Modality,
    /// Body part.
    BodyPart,
    /// Subspecialty.
    Subspecialty,
    /// Reader.
    Reader,
    /// Sender.
    Sender,
    /// The month of the answer, UTC.
    Month,
}

impl By {
    /// All of them, with their words.
    pub const WORDS: [(Self, &'static str); 6] = [
        (Self::Modality, "modality"),
        (Self::BodyPart, "body_part"),
        (Self::Subspecialty, "subspecialty"),
        (Self::Reader, "reader"),
        (Self::Sender, "sender"),
        (Self::Month, "month"),
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(by, _)| *by == self);
        known.map_or("", |(_, word)| word)
    }

    fn of(self, verdict: &Verdict) -> Cow<'_, str> {
        let name = match self {
            Self::Modality => &verdict.modality,
            Self::BodyPart => &verdict.body_part,
            Self::Subspecialty => &verdict.subspecialty,
            Self::Reader => &verdict.reader,
            Self::Sender => &verdict.sender,
            Self::Month => return Cow::Owned(month(verdict.answered_ms)),
        };
        Cow::Borrowed(name.trim())
    }
}

/// A month as `2026-03`, so that they stand in their order; nothing for what is no moment of the calendar.
fn month(at_ms: i64) -> String {
    let Ok(moment) = jiff::Timestamp::from_millisecond(at_ms) else {
        return String::new();
    };
    let moment = jiff::tz::Offset::UTC.to_datetime(moment);
    match moment.year() {
        year @ 0..=9999 => format!("{year:04}-{:02}", moment.month()),
        _ => String::new(),
    }
}

/// What can be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// The fewest verdicts that a group is told of.
    pub group_min: u64,
    /// All verdicts; `None` when they are fewer.
    pub total: Option<Figures>,
    /// By each key.
    pub tables: Vec<Table>,
}

/// The groups of one key. Each verdict is in one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The key.
    pub by: By,
    /// Groups that can be told of, by name; what is not known has an empty one.
    pub groups: Vec<(String, Figures)>,
    /// Groups that are not told of, and not named either.
    pub suppressed: u64,
}

/// What is told of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Verdicts.
    pub verdicts: u64,
    /// How many of each agreement, in the order of [`Agreement::ALL`].
    pub agreement: Vec<(Agreement, u64)>,
    /// How many of each significance, in the order of [`Significance::ALL`].
    pub significance: Vec<(Significance, u64)>,
    /// How many of each effect on management, in the order of [`Management::ALL`].
    pub management: Vec<(Management, u64)>,
    /// Whose reader could not judge, of those that had something to compare with.
    pub cannot_judge: Rate,
    /// Discrepancies, of those that were compared.
    pub discordant: Rate,
    /// Major discrepancies, of those that were compared.
    pub major: Rate,
    /// What likely matters, of those that were compared.
    pub significant: Rate,
    /// What changes management, of those that say; whoever could not judge says nothing.
    pub management_changed: Rate,
    /// What makes management more conservative, of the discrepancies that say.
    pub more_conservative: Rate,
    /// How long it took; `None` when too few verdicts tell.
    pub turnaround: Option<Turnaround>,
}

/// How long it took from asking to signing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turnaround {
    /// Verdicts that tell: signed no earlier than asked.
    pub verdicts: u64,
    /// Half of them took no longer. Milliseconds.
    pub median_ms: f64,
    /// Nine of ten took no longer. Milliseconds.
    pub percentile_90_ms: f64,
}

/// What is counted of a group while verdicts go by.
#[derive(Debug, Clone, Default)]
struct Tally {
    verdicts: u64,
    agreement: [u64; Agreement::ALL.len()],
    significance: [u64; Significance::ALL.len()],
    management: [u64; Management::ALL.len()],
    significant: u64,
    management_changed: Rate,
    more_conservative: Rate,
    /// 8 bytes a verdict.
    turnarounds_ms: Vec<i64>,
}

/// Gathers verdicts, one at a time.
#[derive(Debug, Clone, Default)]
pub struct Gathering {
    total: Tally,
    tables: [BTreeMap<String, Tally>; By::WORDS.len()],
}

impl Gathering {
    /// Takes a verdict in.
    pub fn add(&mut self, verdict: &Verdict) {
        self.total.add(verdict);
        for ((by, _), table) in By::WORDS.iter().zip(&mut self.tables) {
            let name = by.of(verdict);
            match table.get_mut(&*name) {
                Some(tally) => tally.add(verdict),
                None => table.entry(name.into_owned()).or_default().add(verdict),
            }
        }
    }

    /// What can be told when no group may be smaller than `group_min`, which is at least 1.
    #[must_use]
    pub fn statistics(self, group_min: u64) -> Statistics {
        let group_min = group_min.max(1);
        let is_told = self.total.verdicts >= group_min;
        let tables = By::WORDS.iter().zip(self.tables).map(|((by, _), groups)| {
            let sizes = groups.values().map(|tally| tally.verdicts);
            let told = suppress::told(&sizes.collect::<Vec<_>>(), group_min);
            let count = told.iter().filter(|is_told| !**is_told).count() as u64;
            let groups = groups.into_iter().zip(told);
            let groups = groups.filter(|(_, is_told)| *is_told);
            Table {
                by: *by,
                groups: groups
                    .map(|((name, tally), _)| (name, tally.figures(group_min)))
                    .collect(),
                suppressed: count,
            }
        });
        Statistics {
            group_min,
            tables: tables.collect(),
            total: is_told.then(|| self.total.figures(group_min)),
        }
    }
}

/// The statistics of all verdicts of a source.
///
/// # Errors
/// When the ledger cannot be read.
pub fn of_source(source: &dyn VerdictSource, group_min: u64) -> Result<Statistics, LedgerError> {
    let mut gathering = Gathering::default();
    source.each_verdict(&mut |verdict| gathering.add(&verdict))?;
    Ok(gathering.statistics(group_min))
}

impl Tally {
    fn add(&mut self, verdict: &Verdict) {
        // The variants stand in the order of ALL.
        let agreement = verdict.agreement.map(|grade| grade as usize);
        let significance = verdict.significance.map(|grade| grade as usize);
        let management = verdict.management.map(|grade| grade as usize);
        let counts = [
            agreement.and_then(|at| self.agreement.get_mut(at)),
            significance.and_then(|at| self.significance.get_mut(at)),
            management.and_then(|at| self.management.get_mut(at)),
        ];
        counts.into_iter().flatten().for_each(|count| *count += 1);
        self.verdicts += 1;
        let is_compared = verdict
            .agreement
            .is_some_and(|grade| grade != Agreement::CannotJudge);
        let is_likely = verdict.significance == Some(Significance::Likely);
        self.significant += u64::from(is_compared && is_likely);
        // What a reader says who could not judge is no effect of a judgement.
        let said = verdict
            .management
            .filter(|_| verdict.agreement != Some(Agreement::CannotJudge));
        if let Some(said) = said {
            self.management_changed.take(said != Management::None);
            if verdict.agreement.is_some_and(Agreement::is_discrepancy) {
                self.more_conservative
                    .take(said == Management::MoreConservative);
            }
        }
        if let Some(took) = verdict.answered_ms.checked_sub(verdict.asked_ms)
            && took >= 0
        {
            self.turnarounds_ms.push(took);
        }
    }

    fn figures(mut self, group_min: u64) -> Figures {
        let of = |wanted: Agreement| {
            let counts = Agreement::ALL.iter().zip(self.agreement);
            counts
                .filter(|(grade, _)| **grade == wanted)
                .map(|(_, count)| count)
                .sum::<u64>()
        };
        let (minor, major) = (of(Agreement::Minor), of(Agreement::Major));
        let cannot_judge = of(Agreement::CannotJudge);
        let compared = of(Agreement::Agree) + minor + major;
        self.turnarounds_ms.sort_unstable();
        let quantile = |share| quantile(&self.turnarounds_ms, share);
        let is_told = self.turnarounds_ms.len() as u64 >= group_min;
        let turnaround = quantile(0.5).zip(quantile(0.9)).filter(|_| is_told);
        Figures {
            verdicts: self.verdicts,
            agreement: Agreement::ALL.iter().copied().zip(self.agreement).collect(),
            significance: Significance::ALL
                .iter()
                .copied()
                .zip(self.significance)
                .collect(),
            management: Management::ALL
                .iter()
                .copied()
                .zip(self.management)
                .collect(),
            cannot_judge: Rate::new(cannot_judge, compared + cannot_judge),
            discordant: Rate::new(minor + major, compared),
            major: Rate::new(major, compared),
            significant: Rate::new(self.significant, compared),
            management_changed: self.management_changed,
            more_conservative: self.more_conservative,
            turnaround: turnaround.map(|(median_ms, percentile_90_ms)| Turnaround {
                verdicts: self.turnarounds_ms.len() as u64,
                median_ms,
                percentile_90_ms,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
