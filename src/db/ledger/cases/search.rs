//! The text of a search for cases: every condition is in it only when it is asked, so that each has its index.

use rusqlite::{Connection, Rows, ToSql};

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

/// Cases that somebody was asked for by name, or holds a task of.
const MINE: &str = "SELECT case_number FROM task WHERE reader = :name AND reader <> '' \
    UNION SELECT case_number FROM task WHERE held_by = :name AND held_by <> ''";

/// Cases that wait for a pool.
const WAITING: &str = "SELECT case_number FROM task WHERE state = 'waiting' AND pool <> '' AND (:pools IS NULL OR \
    pool IN (SELECT value FROM json_each(:pools)))";

const HAS_GONE_OUT: &str = "(c.needs_complete = 0 OR c.completed_ms IS NOT NULL)";

/// When a case is due: after everything else when never.
const DUE: &str = "coalesce(c.due_ms, 9223372036854775807)";

/// The numbers of the cases that answer a question, in its order.
pub(super) fn numbers(connection: &Connection, question: &Question) -> rusqlite::Result<Vec<i64>> {
    let mut sql = text(question);
    sql.push_str(&match question.order {
        Order::Newest(_) => " ORDER BY c.number DESC LIMIT :limit".to_owned(),
        Order::Due(_) => format!(" ORDER BY {DUE}, c.number LIMIT :limit"),
    });
    answers(connection, question, &sql, |rows| {
        rows.mapped(|row| row.get(0)).collect()
    })
}

/// How many there are, in no order, as far as the limit.
pub(super) fn count(connection: &Connection, question: &Question) -> rusqlite::Result<usize> {
    let sql = format!("SELECT count(*) FROM ({} LIMIT :limit)", text(question));
    answers(connection, question, &sql, |mut rows| {
        let count = rows.next()?.map_or(Ok(0), |row| row.get::<_, i64>(0))?;
        Ok(usize::try_from(count).unwrap_or(0))
    })
}

/// Asks with all values that a text names.
fn answers<T>(
    connection: &Connection,
    question: &Question,
    sql: &str,
    read: impl FnOnce(Rows<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let sight = &question.sight;
    let list = |words: Vec<&str>| serde_json::Value::from(words).to_string();
    let pools = sight.pools.as_ref();
    let pools = pools.map(|pools| list(pools.iter().map(Pool::as_str).collect()));
    let studies = sight.studies.as_ref();
    let studies = studies.map(|studies| list(studies.iter().map(Uid::as_str).collect()));
    let states = list(question.states.iter().map(|state| state.word()).collect());
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
        (":states", &states),
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

fn text(question: &Question) -> String {
    let mut sql = String::from("SELECT c.number FROM second_case AS c WHERE ");
    sql.push_str(&seen(&question.sight));
    let conditions = [
        (!question.states.is_empty(), " AND c.state IN (SELECT value FROM json_each(:states))".to_owned()),
        (
            question.mine,
            format!(" AND (c.requester = :name OR c.number IN ({MINE}))"),
        ),
        (
            question.pool,
            format!(" AND {HAS_GONE_OUT} AND c.number IN ({WAITING})"),
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
            format!(" AND ({DUE}, c.number) > (:after_due, :after_number)"),
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

/// What somebody may see at all.
fn seen(sight: &Sight) -> String {
    if sight.all {
        return "1".to_owned();
    }
    let mut any = vec!["0".to_owned()];
    if sight.requested {
        any.push("c.requester = :name".to_owned());
    }
    if sight.reads {
        any.push(format!(
            "({HAS_GONE_OUT} AND c.number IN ({MINE} UNION {WAITING}))"
        ));
    }
    format!("({})", any.join(" OR "))
}
