//! What there is to be told of a case, as one table, and what a change of a case has to tell.

use std::fmt;

use crate::cases::case::Case;
use crate::cases::ledger::Alongside;
use crate::cases::state::State;
use crate::cases::task::{Task, TaskState};

/// What has happened to a case, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeEvent {
    /// It was opened.
    Opened,
    /// Somebody was asked to read it, and may have it.
    Assigned,
    /// Somebody reads.
    Claimed,
    /// Somebody who was asked will not answer.
    GivenBack,
    /// Somebody who was asked is not waited for any longer, and the case goes on without them.
    TaskEnded,
    /// An opinion was signed.
    Signed,
    /// Nobody is left to wait for.
    Answered,
    /// A signed opinion was corrected.
    Corrected,
    /// Somebody was asked to judge between opinions.
    AdjudicationAsked,
    /// The requester has taken note.
    Closed,
    /// The requester wants no answer any more.
    Withdrawn,
    /// Nobody answered in time.
    Expired,
    /// The answer is wanted soon.
    DueSoon,
    /// The answer was wanted by now.
    Overdue,
    /// Images have come, changed or gone since an opinion was signed.
    ImagesChanged,
}

/// Who gets mail about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Who opened the case.
    Requester,
    /// Whom the task asks.
    Asked,
    /// Whom the task asked, or who held it, when it ended.
    Released,
    /// Those of whom an answer is still wanted.
    Pending,
    /// Those who were asked by name or had begun, and whose task ended with the case.
    Ended,
    /// Those who have signed.
    Signed,
}

use Audience as A;
use NoticeEvent as E;

/// Each event: the word that is kept and sent, and who gets mail about it. Webhooks hear of all.
#[rustfmt::skip]
const TABLE: &[(E, &str, &[A])] = &[
    (E::Opened,            "case.opened",             &[]),
    (E::Assigned,          "case.assigned",           &[A::Asked]),
    (E::Claimed,           "case.claimed",            &[]),
    (E::GivenBack,         "case.given_back",         &[A::Requester]),
    (E::TaskEnded,         "case.task_ended",         &[A::Released]),
    (E::Signed,            "case.signed",             &[]),
    (E::Answered,          "case.answered",           &[A::Requester]),
    (E::Corrected,         "case.corrected",          &[A::Requester]),
    (E::AdjudicationAsked, "case.adjudication_asked", &[A::Asked]),
    (E::Closed,            "case.closed",             &[]),
    (E::Withdrawn,         "case.withdrawn",          &[A::Ended]),
    (E::Expired,           "case.expired",            &[A::Requester, A::Ended]),
    (E::DueSoon,           "case.due_soon",           &[A::Pending]),
    (E::Overdue,           "case.overdue",            &[A::Requester, A::Pending]),
    (E::ImagesChanged,     "case.images_changed",     &[A::Requester, A::Signed]),
];

impl NoticeEvent {
    /// All of them, with their words.
    pub fn all() -> impl Iterator<Item = (Self, &'static str)> {
        TABLE.iter().map(|(event, word, _)| (*event, *word))
    }

    /// The word that is kept and sent.
    #[must_use]
    pub fn word(self) -> &'static str {
        let known = TABLE.iter().find(|(event, ..)| *event == self);
        known.map_or("", |(_, word, _)| word)
    }

    /// The event of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let known = TABLE.iter().find(|(_, known, _)| *known == word);
        known.map(|(event, ..)| *event)
    }

    /// Who gets mail about it.
    #[must_use]
    pub fn audience(self) -> &'static [Audience] {
        let known = TABLE.iter().find(|(event, ..)| *event == self);
        known.map_or(&[], |(_, _, audience)| audience)
    }
}

impl fmt::Display for NoticeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Something to be told, and the place of the task that it is about.
pub type News = (NoticeEvent, Option<u32>);

/// What a change of a case has to tell, in order; `before` is `None` of a new one.
#[must_use]
pub fn news(before: Option<&Case>, after: &Case, alongside: &Alongside<'_>) -> Vec<News> {
    let mut news = Vec::new();
    if before.is_none() {
        news.push((E::Opened, None));
    }
    for task in &after.tasks {
        let of_before = before.and_then(|case| case.tasks.iter().find(|b| b.place == task.place));
        let had_it = before.is_some_and(Case::has_gone_out) && of_before.is_some();
        if !had_it && after.has_gone_out() && task.state == TaskState::Waiting {
            let event = match task.adjudicates.is_empty() {
                true => E::Assigned,
                false => E::AdjudicationAsked,
            };
            news.push((event, Some(task.place)));
        }
        if let Some(event) = of_before.and_then(|before| of_task(before, task)) {
            news.push((event, Some(task.place)));
        }
        // The end of the case is told as such; and whoever never heard that they are asked need not hear that they are not.
        let goes_on = !matches!(after.state, State::Withdrawn | State::Expired);
        let has_ended = of_before.is_some_and(|before| before.state != TaskState::Ended)
            && task.state == TaskState::Ended;
        if had_it && has_ended && goes_on {
            news.push((E::TaskEnded, Some(task.place)));
        }
    }
    if let Alongside::Opinion(new) = alongside
        && new.opinion.corrects.is_some()
    {
        let task = after.tasks.iter().find(|task| task.id == new.opinion.task);
        news.push((E::Corrected, task.map(|task| task.place)));
    }
    if let Some(before) = before
        && let Some(event) = of_state(before.state, after.state)
    {
        news.push((event, None));
    }
    news
}

fn of_task(before: &Task, after: &Task) -> Option<NoticeEvent> {
    if before.state == after.state {
        return None;
    }
    match after.state {
        TaskState::Claimed => Some(E::Claimed),
        TaskState::GivenBack => Some(E::GivenBack),
        TaskState::Signed => Some(E::Signed),
        // An end is told in `news`, where it is known what becomes of the case.
        TaskState::Waiting | TaskState::Committed | TaskState::Elsewhere | TaskState::Ended => None,
    }
}

fn of_state(before: State, after: State) -> Option<NoticeEvent> {
    match (before, after) {
        // A closed case that is answered again was corrected, and that is told.
        (State::Closed, State::Answered) => None,
        (before, after) if before == after => None,
        (_, State::Answered) => Some(E::Answered),
        (_, State::Closed) => Some(E::Closed),
        (_, State::Withdrawn) => Some(E::Withdrawn),
        (_, State::Expired) => Some(E::Expired),
        (_, State::Open | State::InReview) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: Option<&Case>, after: &Case) -> String {
        let news = news(before, after, &Alongside::Nothing);
        let words = news.iter().map(|(event, task)| match task {
            Some(task) => format!("{event} {task}"),
            None => event.to_string(),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn with(case: &Case, state: State, task: TaskState) -> Case {
        let mut case = case.clone();
        case.state = state;
        case.tasks[0].state = task;
        case
    }

    #[test]
    fn every_event_has_one_row_and_its_word_is_read_back() {
        for (event, word) in NoticeEvent::all() {
            assert_eq!(NoticeEvent::parse(word), Some(event));
            assert_eq!(event.word(), word);
            // What Standard Webhooks lets a type be.
            let is_good = |b: u8| b.is_ascii_lowercase() || b == b'_' || b == b'.';
            assert!(word.bytes().all(is_good), "{word}");
        }
        assert_eq!(NoticeEvent::all().count(), TABLE.len());
        assert_eq!(NoticeEvent::parse("case.read"), None);
    }

    #[test]
    fn readers_hear_of_it_when_it_goes_out() {
        let out = Case::example();
        assert_eq!(told(None, &out), "case.opened, case.assigned 1");
        let mut held = out.clone();
        held.completed = None;
        assert_eq!(told(None, &held), "case.opened");
        assert_eq!(told(Some(&held), &out), "case.assigned 1");
        let mut more = out.clone();
        let mut task = Task::example(TaskState::Waiting);
        task.place = 2;
        more.tasks.push(task);
        assert_eq!(told(Some(&out), &more), "case.assigned 2");
        more.tasks[1].adjudicates = vec![1];
        assert_eq!(told(Some(&out), &more), "case.adjudication_asked 2");
        more.completed = None;
        assert_eq!(told(Some(&held), &more), "", "before it goes out");
    }

    #[test]
    fn whose_task_ends_alone_is_told_unless_they_never_heard_of_it() {
        let mut out = Case::example();
        let mut task = Task::example(TaskState::Waiting);
        task.place = 2;
        out.tasks.push(task);
        for state in [TaskState::Waiting, TaskState::Claimed, TaskState::Committed] {
            out.tasks[1].state = state;
            let mut ended = out.clone();
            ended.tasks[1].state = TaskState::Ended;
            assert_eq!(told(Some(&out), &ended), "case.task_ended 2");
            assert_eq!(told(Some(&ended), &ended), "", "once");
            // Nobody else is waited for.
            ended.state = State::Answered;
            assert_eq!(told(Some(&out), &ended), "case.task_ended 2, case.answered");
            ended.state = State::Withdrawn;
            assert_eq!(told(Some(&out), &ended), "case.withdrawn");
            ended.state = State::Expired;
            assert_eq!(told(Some(&out), &ended), "case.expired");
        }
        out.tasks[1].state = TaskState::Waiting;
        out.completed = None;
        let mut ended = out.clone();
        ended.tasks[1].state = TaskState::Ended;
        assert_eq!(told(Some(&out), &ended), "", "before it goes out");
    }

    #[test]
    fn what_becomes_of_it_is_told() {
        use State as S;
        use TaskState as T;
        let open = Case::example();
        let case = |state, task| with(&open, state, task);
        for (before, after, expected) in [
            ((S::Open, T::Waiting), (S::Open, T::Waiting), ""),
            (
                (S::Open, T::Waiting),
                (S::InReview, T::Claimed),
                "case.claimed 1",
            ),
            ((S::InReview, T::Claimed), (S::InReview, T::Committed), ""),
            (
                (S::InReview, T::Committed),
                (S::Answered, T::Signed),
                "case.signed 1, case.answered",
            ),
            (
                (S::InReview, T::Committed),
                (S::InReview, T::Signed),
                "case.signed 1",
            ),
            (
                (S::InReview, T::Claimed),
                (S::Answered, T::Elsewhere),
                "case.answered",
            ),
            (
                (S::InReview, T::Claimed),
                (S::Open, T::GivenBack),
                "case.given_back 1",
            ),
            (
                (S::Answered, T::Signed),
                (S::Closed, T::Signed),
                "case.closed",
            ),
            ((S::Closed, T::Signed), (S::Answered, T::Signed), ""),
            ((S::Answered, T::Signed), (S::InReview, T::Signed), ""),
            (
                (S::Open, T::Waiting),
                (S::Withdrawn, T::Ended),
                "case.withdrawn",
            ),
            (
                (S::InReview, T::Claimed),
                (S::Expired, T::Ended),
                "case.expired",
            ),
        ] {
            let (before, after) = (case(before.0, before.1), case(after.0, after.1));
            assert_eq!(told(Some(&before), &after), expected);
        }
    }
}
