-- What was removed and has not come again: so that 410 can be told from 404. '' stands for the UIDs
-- below the level of the row.
CREATE TABLE tombstone (
  study_instance_uid  TEXT NOT NULL,
  series_instance_uid TEXT NOT NULL,
  sop_instance_uid    TEXT NOT NULL,
  removed_at_ms       INTEGER NOT NULL,
  PRIMARY KEY (study_instance_uid, series_instance_uid, sop_instance_uid)
) STRICT, WITHOUT ROWID;

-- Storage commitment: what each request was told. The answer goes after a while, later the row.
CREATE TABLE commitment (
  transaction_uid TEXT PRIMARY KEY,
  answered_at_ms  INTEGER NOT NULL,
  answer          TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX commitment_by_answered_at ON commitment (answered_at_ms);
