-- What goes on to other archives by rule. A study that goes to a destination: what comes for it
-- later goes too. Done with when it has no row in "forward".
CREATE TABLE forward_study (
  destination        TEXT NOT NULL,
  study_instance_uid TEXT NOT NULL,
  -- Nothing is sent before.
  stable_at_ms       INTEGER NOT NULL,
  -- When it is to be looked at; NULL when nothing of it waits.
  due_at_ms          INTEGER,
  sent               INTEGER NOT NULL DEFAULT 0,
  sent_at_ms         INTEGER,
  PRIMARY KEY (destination, study_instance_uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX forward_study_by_due_at ON forward_study (destination, due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX forward_study_by_study ON forward_study (study_instance_uid);

-- The queue: an instance that a destination has not got yet, as far as we know. "change" is that of
-- the index when it was queued: what took its place meanwhile has another.
CREATE TABLE forward (
  destination        TEXT NOT NULL,
  study_instance_uid TEXT NOT NULL,
  sop_instance_uid   TEXT NOT NULL,
  change             INTEGER NOT NULL,
  is_replacement     INTEGER NOT NULL,
  queued_at_ms       INTEGER NOT NULL,
  not_before_ms      INTEGER NOT NULL DEFAULT 0,
  attempts           INTEGER NOT NULL DEFAULT 0,
  is_failed          INTEGER NOT NULL DEFAULT 0,
  -- Sent, perhaps, and not heard of.
  is_doubtful        INTEGER NOT NULL DEFAULT 0,
  reason             TEXT,
  PRIMARY KEY (destination, study_instance_uid, sop_instance_uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX forward_by_sop_instance_uid ON forward (sop_instance_uid);

-- How many were ever sent, and since when a destination is left alone.
CREATE TABLE forward_destination (
  destination    TEXT PRIMARY KEY,
  sent           INTEGER NOT NULL DEFAULT 0,
  pause_failures INTEGER NOT NULL DEFAULT 0,
  pause_until_ms INTEGER,
  pause_reason   TEXT
) STRICT, WITHOUT ROWID;
