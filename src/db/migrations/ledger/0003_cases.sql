-- Second opinions. Instants are milliseconds since 1970 UTC; digests are BLAKE3, 32 bytes.

CREATE TABLE second_case (
    number INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    -- A word of cases::State.
    state TEXT NOT NULL,
    requester TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    patient_id TEXT NOT NULL,
    question TEXT NOT NULL,
    context TEXT NOT NULL,
    body_part TEXT NOT NULL,
    subspecialty TEXT NOT NULL,
    urgency TEXT NOT NULL,
    due_ms INTEGER,
    expires_ms INTEGER,
    is_blinded INTEGER NOT NULL CHECK (is_blinded IN (0, 1)),
    needs_complete INTEGER NOT NULL CHECK (needs_complete IN (0, 1)),
    -- '' and no completed_ms before anybody said so.
    completed_by TEXT NOT NULL,
    completed_ms INTEGER,
    -- As text; '' when there is none.
    first_report TEXT NOT NULL,
    opened_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX second_case_by_state ON second_case (state, number);
CREATE INDEX second_case_by_requester ON second_case (requester, number);
CREATE INDEX second_case_by_study ON second_case (study_instance_uid);
CREATE INDEX second_case_expiring ON second_case (expires_ms) WHERE state IN ('open', 'in-review');

CREATE TABLE case_prior (
    case_number INTEGER NOT NULL REFERENCES second_case (number),
    place INTEGER NOT NULL,
    study_instance_uid TEXT NOT NULL,
    PRIMARY KEY (case_number, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX case_by_prior ON case_prior (study_instance_uid, case_number);

-- The first report, as far as it is instances of the study.
CREATE TABLE case_report (
    case_number INTEGER NOT NULL REFERENCES second_case (number),
    place INTEGER NOT NULL,
    series_instance_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL,
    PRIMARY KEY (case_number, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    case_number INTEGER NOT NULL REFERENCES second_case (number),
    place INTEGER NOT NULL,
    -- One of the two is ''.
    reader TEXT NOT NULL,
    pool TEXT NOT NULL,
    -- Allocated here; made after it.
    workitem TEXT NOT NULL UNIQUE,
    -- A word of cases::TaskState.
    state TEXT NOT NULL,
    -- '' before the claim, and when a workstation has claimed it.
    held_by TEXT NOT NULL,
    -- What the workitem was claimed with here; '' as above.
    transaction_uid TEXT NOT NULL,
    claimed_ms INTEGER,
    committed_ms INTEGER,
    signed_ms INTEGER,
    UNIQUE (case_number, place),
    CHECK ((reader = '') <> (pool = ''))
) STRICT;

CREATE INDEX task_by_reader ON task (reader, case_number) WHERE reader <> '';
CREATE INDEX task_by_holder ON task (held_by, case_number) WHERE held_by <> '';
CREATE INDEX task_waiting ON task (pool, case_number) WHERE state = 'waiting';
CREATE INDEX task_pending ON task (case_number) WHERE state IN ('waiting', 'claimed', 'committed');

-- The opinions that a task judges between.
CREATE TABLE adjudicated (
    task INTEGER NOT NULL REFERENCES task (id),
    opinion INTEGER NOT NULL REFERENCES opinion (id),
    PRIMARY KEY (task, opinion)
) STRICT, WITHOUT ROWID;

-- Claims that were begun: whichever the workitem was claimed with has won.
CREATE TABLE claim_attempt (
    transaction_uid TEXT PRIMARY KEY,
    task INTEGER NOT NULL REFERENCES task (id),
    reader TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX claim_attempt_by_task ON claim_attempt (task);

CREATE TABLE draft (
    task INTEGER PRIMARY KEY REFERENCES task (id),
    body TEXT NOT NULL,
    saved_ms INTEGER NOT NULL
) STRICT;

-- What was seen before anything else was known: JSON of cases::Impression. Rows are never changed.
CREATE TABLE commitment (
    task INTEGER PRIMARY KEY REFERENCES task (id),
    body TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

-- Signed opinions, every version. Rows are never changed.
CREATE TABLE opinion (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task INTEGER NOT NULL REFERENCES task (id),
    version INTEGER NOT NULL,
    -- The version before it.
    corrects INTEGER REFERENCES opinion (id),
    reason TEXT NOT NULL,
    reader TEXT NOT NULL,
    signed_ms INTEGER NOT NULL,
    -- JSON of cases::Said.
    body TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    UNIQUE (task, version)
) STRICT;

-- What the reader could see then: a line an instance (cases::manifest).
CREATE TABLE manifest (
    opinion INTEGER PRIMARY KEY REFERENCES opinion (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    instances INTEGER NOT NULL,
    listing TEXT NOT NULL
) STRICT;

-- The version that the index had of each study then.
CREATE TABLE manifest_study (
    opinion INTEGER NOT NULL REFERENCES manifest (opinion),
    study_instance_uid TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (opinion, study_instance_uid)
) STRICT, WITHOUT ROWID;

-- What was made of an opinion and stored with the study.
CREATE TABLE case_record (
    sop_instance_uid TEXT PRIMARY KEY,
    opinion INTEGER NOT NULL REFERENCES opinion (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX case_record_by_opinion ON case_record (opinion);

CREATE TRIGGER commitment_stays BEFORE UPDATE ON commitment BEGIN SELECT raise(ABORT, 'a commitment stays'); END;
CREATE TRIGGER commitment_is_kept BEFORE DELETE ON commitment BEGIN SELECT raise(ABORT, 'a commitment is kept'); END;
CREATE TRIGGER opinion_stays BEFORE UPDATE ON opinion BEGIN SELECT raise(ABORT, 'an opinion stays'); END;
CREATE TRIGGER opinion_is_kept BEFORE DELETE ON opinion BEGIN SELECT raise(ABORT, 'an opinion is kept'); END;
CREATE TRIGGER manifest_stays BEFORE UPDATE ON manifest BEGIN SELECT raise(ABORT, 'a manifest stays'); END;
CREATE TRIGGER manifest_is_kept BEFORE DELETE ON manifest BEGIN SELECT raise(ABORT, 'a manifest is kept'); END;

-- The pools of an account: what it may be asked to read without being named.
CREATE TABLE reader_pool (
    account TEXT NOT NULL,
    pool TEXT NOT NULL,
    PRIMARY KEY (account, pool)
) STRICT, WITHOUT ROWID;
