-- How often something has changed of the cases that a reader was asked for by name or holds a task of: who has counted so far
-- has all of them before them (db::ledger::cases::views).
CREATE TABLE reader_change (
    name TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER reader_change_of_case AFTER UPDATE ON second_case BEGIN
    INSERT INTO reader_change (name, count)
    SELECT name, 1 FROM (
        SELECT reader AS name FROM task WHERE case_number = NEW.number
        UNION SELECT held_by FROM task WHERE case_number = NEW.number
    ) WHERE name <> ''
    ON CONFLICT (name) DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER reader_change_of_new_task AFTER INSERT ON task BEGIN
    INSERT INTO reader_change (name, count)
    SELECT name, 1 FROM (SELECT NEW.reader AS name UNION SELECT NEW.held_by) WHERE name <> ''
    ON CONFLICT (name) DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER reader_change_of_task AFTER UPDATE ON task BEGIN
    INSERT INTO reader_change (name, count)
    SELECT name, 1 FROM (SELECT NEW.reader AS name UNION SELECT NEW.held_by UNION SELECT OLD.held_by) WHERE name <> ''
    ON CONFLICT (name) DO UPDATE SET count = count + 1;
END;

-- What is not over, in the order in which it is due.
CREATE INDEX second_case_current_due ON second_case (coalesce(due_ms, 9223372036854775807), number)
    WHERE state IN ('open', 'in-review', 'answered');
