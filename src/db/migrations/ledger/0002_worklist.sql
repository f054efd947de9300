-- Workitems (PS3.4 Annex CC) and who is told of them.

CREATE TABLE workitem (
    -- The order of creation, in which searches answer.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL UNIQUE,
    -- The defined term of Procedure Step State.
    state TEXT NOT NULL,
    -- What it was claimed with; '' before that. It stands nowhere else.
    transaction_uid TEXT NOT NULL,
    revision INTEGER NOT NULL,
    patient_id TEXT NOT NULL,
    is_incomplete INTEGER NOT NULL CHECK (is_incomplete IN (0, 1)),
    -- DICOM JSON.
    dataset BLOB NOT NULL
) STRICT;

CREATE INDEX workitem_by_state ON workitem (state, id);
CREATE INDEX workitem_by_patient ON workitem (patient_id, id) WHERE patient_id <> '';
CREATE INDEX workitem_incomplete ON workitem (id) WHERE is_incomplete = 1;

-- The studies that a workitem names.
CREATE TABLE workitem_study (
    workitem INTEGER NOT NULL REFERENCES workitem (id),
    study_instance_uid TEXT NOT NULL,
    PRIMARY KEY (workitem, study_instance_uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX workitem_by_study ON workitem_study (study_instance_uid, workitem);

CREATE TABLE subscription (
    workitem INTEGER NOT NULL REFERENCES workitem (id),
    ae TEXT NOT NULL,
    -- Whether the workitem is kept for it (Subscribed with Lock).
    has_lock INTEGER NOT NULL CHECK (has_lock IN (0, 1)),
    PRIMARY KEY (workitem, ae)
) STRICT, WITHOUT ROWID;

CREATE INDEX subscription_by_ae ON subscription (ae, workitem);

-- The Global Subscription State of an AE that has one.
CREATE TABLE global_subscription (
    ae TEXT PRIMARY KEY,
    has_lock INTEGER NOT NULL CHECK (has_lock IN (0, 1))
) STRICT, WITHOUT ROWID;

-- The matching keys of a filtered one.
CREATE TABLE subscription_filter (
    ae TEXT NOT NULL REFERENCES global_subscription (ae) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    attribute TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (ae, place)
) STRICT, WITHOUT ROWID;
