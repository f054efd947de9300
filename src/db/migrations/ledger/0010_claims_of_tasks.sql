-- Workstations choose their Transaction UIDs, and may choose one for several workitems: what a claim is known by is both.
CREATE TABLE claim_of_task (
    transaction_uid TEXT NOT NULL,
    task INTEGER NOT NULL REFERENCES task (id),
    reader TEXT NOT NULL,
    PRIMARY KEY (transaction_uid, task)
) STRICT, WITHOUT ROWID;

INSERT INTO claim_of_task (transaction_uid, task, reader) SELECT transaction_uid, task, reader FROM claim_attempt;
DROP TABLE claim_attempt;
ALTER TABLE claim_of_task RENAME TO claim_attempt;
CREATE INDEX claim_attempt_by_task ON claim_attempt (task);
CREATE INDEX claim_attempt_by_reader ON claim_attempt (reader);
