//! The text of a search for cases: every condition is in it only when it is asked, so that each has its index.

use rusqlite::{Connection, Rows, ToSql, named_params};

use crate::cases::{Order, Pool, Question, Sight, State};
use crate::dicom::Uid;

use super::read::signed;

/// Cases whose tasks and workitems do not say the same, or that lack a workitem. Looked for every few seconds: it goes from
/// the tasks that are to be done, and from the workitems that are, of which there are few.
pub(super) const UNSETTLED: &str = "\
    SELECT c.number FROM task AS t \
    JOIN second_case AS c ON c.number = t.case_number \
    LEFT JOIN workitem AS w ON w.uid = t.workitem \
    WHERE t.state IN ('waiting', 'claimed', 'committed') AND c.number > ?1 AND ( \
        (t.state = 'waiting' AND w.uid IS NULL AND (c.needs_complete = 0 OR c.completed_ms IS NOT NULL)) \
        OR (t.state = 'waiting' AND w.state <> 'SCHEDULED') \
        OR (t.state <> 'waiting' AND w.state IN ('COMPLETED', 'CANCELED'))) \
    UNION \
    SELECT t.case_number FROM workitem AS w CROSS JOIN task AS t ON t.workitem = w.uid \
    WHERE w.state IN ('SCHEDULED', 'IN PROGRESS') AND t.case_number > ?1 AND ( \
        (t.state = 'signed' AND w.state = 'IN PROGRESS') \
        OR (t.state = 'ended' AND (w.state = 'SCHEDULED' OR EXISTS \
            (SELECT 1 FROM claim_attempt AS a WHERE a.transaction_uid = w.transaction_uid AND a.task = t.id)))) \
    ORDER BY 1 LIMIT ?2";

/// Whoever reads in so few cases has them looked at one by one. Of others each case is asked whether it is theirs: a page of
/// them is full soon, however many there are.
const FEW_MAX: usize = 1000;

/// Whether a task asks somebody by name, or is held by them.
const MINE: &str =
    "(t.reader = :name AND t.reader <> '') OR (t.held_by = :name AND t.held_by <> '')";

/// Whether it waits for one of their pools.
const WAITS: &str = "t.state = 'waiting' AND t.pool <> '' AND (:pools IS NULL OR \
    t.pool IN (SELECT value FROM json_each(:pools)))";

/// The same as lists of cases, with some more than once.
const THEIRS: &str = "SELECT case_number FROM task WHERE reader = :name AND reader <> '' \
    UNION ALL SELECT case_number FROM task WHERE held_by = :name AND held_by <> '' \
    UNION ALL SELECT t.case_number FROM task AS t WHERE";

/// The states of what is not over, in the words of the index of what is due (`second_case_current_due`).
const CURRENT: [State; 3] = [State::Open, State::InReview, State::Answered];

const HAS_GONE_OUT: &str = "(c.needs_complete = 0 OR c.completed_ms IS NOT NULL)";

/// When a case is due: after everything else when never.
const DUE: &str = "coalesce(c.due_ms, 9223372036854775807)";

/// The numbers of the cases that answer a question, in its order.
pub(super) fn numbers(connection: &Connection, question: &Question) -> rusqlite::Result<Vec<i64>> {
    let few = few(connection, &question.sight)?;
    numbers_of(connection, question, few)
}

/// The same, with the cases of the reader listed or not.
pub(super) fn numbers_of(
    connection: &Connection,
    question: &Question,
    few: Option<String>,
) -> rusqlite::Result<Vec<i64>> {
    let order = match question.order {
        Order::Newest(_) => "c.number DESC".to_owned(),
        // Of what is due nothing is never due: so its index has the order.
        Order::Due(_) if question.due_before_ms.is_some() => "c.due_ms, c.number".to_owned(),
        Order::Due(_) => format!("{DUE}, c.number"),
    };
    let sql = format!(
        "SELECT c.number FROM second_case AS c {index} WHERE {conditions} ORDER BY {order} LIMIT :limit",
        index = index(question, few.is_some()),
        conditions = conditions(question, few.is_some()),
    );
    answers(connection, question, few, &sql, |rows| {
        rows.mapped(|row| row.get(0)).collect()
    })
}

/// The index that has the order of a question, where a search would sort all that answers it.
fn index(question: &Question, is_of_few: bool) -> &'static str {
    let is_by_due = matches!(question.order, Order::Due(_));
    let sight = &question.sight;
    if !is_by_due || is_of_few || question.study.is_some() || sight.studies.is_some() {
        return "";
    }
    if question.due_before_ms.is_some() {
        "INDEXED BY second_case_due"
    } else if question.states == CURRENT {
        "INDEXED BY second_case_current_due"
    } else {
        ""
    }
}

/// How many there are, in no order, as far as the limit.
pub(super) fn count(connection: &Connection, question: &Question) -> rusqlite::Result<usize> {
    let few = few(connection, &question.sight)?;
    let sql = format!(
        "SELECT count(*) FROM (SELECT c.number FROM second_case AS c WHERE {} LIMIT :limit)",
        conditions(question, few.is_some())
    );
    answers(connection, question, few, &sql, |mut rows| {
        let count = rows.next()?.map_or(Ok(0), |row| row.get::<_, i64>(0))?;
        Ok(usize::try_from(count).unwrap_or(0))
    })
}

/// The cases that a reader may have something to do with, when those are few; as the array that `json_each` takes apart.
fn few(connection: &Connection, sight: &Sight) -> rusqlite::Result<Option<String>> {
    if sight.all || !sight.reads {
        return Ok(None);
    }
    let sql = format!("{THEIRS} {WAITS} LIMIT {}", FEW_MAX + 1);
    let pools = pools(sight);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(
        named_params! { ":name": sight.name, ":pools": pools },
        |row| row.get(0),
    )?;
    let numbers = rows.collect::<rusqlite::Result<Vec<i64>>>()?;
    let is_few = numbers.len() <= FEW_MAX;
    Ok(is_few.then(|| serde_json::Value::from(numbers).to_string()))
}

fn pools(sight: &Sight) -> Option<String> {
    let pools = sight.pools.as_ref()?.iter();
    let words: Vec<&str> = pools.map(Pool::as_str).collect();
    Some(serde_json::Value::from(words).to_string())
}

/// Asks with all values that a text names.
fn answers<T>(
    connection: &Connection,
    question: &Question,
    few: Option<String>,
    sql: &str,
    read: impl FnOnce(Rows<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let sight = &question.sight;
    let list = |words: Vec<&str>| serde_json::Value::from(words).to_string();
    let pools = pools(sight);
    let studies = sight.studies.as_ref();
    let studies = studies.map(|studies| list(studies.iter().map(Uid::as_str).collect()));
    let study = question.study.as_ref().map(Uid::as_str);
    let (before, after) = match question.order {
        Order::Newest(before) => (before.map(signed), None),
        Order::Due(after) => (None, after),
    };
    let (after_due, after_number) = (
        after.map(|after| after.0),
        after.map(|after| signed(after.1)),
    );
    let limit = i64::try_from(question.limit).unwrap_or(i64::MAX);

    let mut bound: Vec<(&str, &dyn ToSql)> = vec![(":limit", &limit)];
    let all: [(&str, &dyn ToSql); 9] = [
        (":name", &sight.name),
        (":pools", &pools),
        (":studies", &studies),
        (":few", &few),
        (":study", &study),
        (":before", &before),
        (":after_due", &after_due),
        (":after_number", &after_number),
        (":due_before", &question.due_before_ms),
    ];
    bound.extend(all.into_iter().filter(|(name, _)| sql.contains(name)));
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query(&*bound)?;
    read(rows)
}

/// All that a case has to be. `is_of_few`: whether the cases of the reader are listed.
fn conditions(question: &Question, is_of_few: bool) -> String {
    let mut sql = seen(&question.sight, is_of_few);
    let words = question.states.iter().map(|state| format!("'{state}'"));
    let conditions = [
        (
            !question.states.is_empty(),
            format!(" AND c.state IN ({})", words.collect::<Vec<_>>().join(", ")),
        ),
        (
            question.mine,
            format!(" AND (c.requester = :name OR {})", has_task(MINE)),
        ),
        (
            question.pool,
            format!(
                " AND {HAS_GONE_OUT} AND c.number IN (SELECT t.case_number FROM task AS t WHERE {WAITS})"
            ),
        ),
        (
            question.due_before_ms.is_some(),
            format!(
                " AND c.due_ms < :due_before AND c.state IN ('{}', '{}')",
                State::Open,
                State::InReview
            ),
        ),
        (
            question.study.is_some(),
            " AND (c.study_instance_uid = :study OR c.number IN (SELECT case_number FROM case_prior WHERE \
             study_instance_uid = :study))"
                .to_owned(),
        ),
        (
            matches!(question.order, Order::Newest(Some(_))),
            " AND c.number < :before".to_owned(),
        ),
        (
            matches!(question.order, Order::Due(Some(_))),
            match question.due_before_ms {
                Some(_) => " AND (c.due_ms, c.number) > (:after_due, :after_number)".to_owned(),
                None => format!(" AND ({DUE}, c.number) > (:after_due, :after_number)"),
            },
        ),
        (
            question.sight.studies.is_some(),
            " AND c.study_instance_uid IN (SELECT value FROM json_each(:studies)) AND NOT EXISTS \
             (SELECT 1 FROM case_prior AS p WHERE p.case_number = c.number AND p.study_instance_uid NOT IN \
             (SELECT value FROM json_each(:studies)))"
                .to_owned(),
        ),
    ];
    for (is_asked, condition) in conditions {
        if is_asked {
            sql.push_str(&condition);
        }
    }
    sql
}

/// Whether a case has such a task.
fn has_task(condition: &str) -> String {
    format!("EXISTS (SELECT 1 FROM task AS t WHERE t.case_number = c.number AND ({condition}))")
}

/// What somebody may see at all.
fn seen(sight: &Sight, is_of_few: bool) -> String {
    if sight.all {
        return "1".to_owned();
    }
    let mut any = Vec::new();
    if sight.requested {
        any.push("c.requester = :name".to_owned());
    }
    if sight.reads {
        let is_theirs = match is_of_few {
            true => "c.number IN (SELECT value FROM json_each(:few))".to_owned(),
            false => has_task(&format!("{MINE} OR ({WAITS})")),
        };
        any.push(format!("({HAS_GONE_OUT} AND {is_theirs})"));
    }
    match any.is_empty() {
        true => "0".to_owned(),
        false => format!("({})", any.join(" OR ")),
    }
}
