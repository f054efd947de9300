-- Who may come in, and what was done. Instants are milliseconds since 1970 UTC; digests are BLAKE3, 32 bytes.

CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- Words of access::Role, separated by spaces.
    roles TEXT NOT NULL,
    -- A PHC string (access::passcode).
    passcode TEXT NOT NULL,
    is_enabled INTEGER NOT NULL CHECK (is_enabled IN (0, 1)),
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
    -- Of the secret in the cookie, which is kept nowhere.
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    account INTEGER NOT NULL REFERENCES account (id),
    begun_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    -- However busy it is.
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_by_account ON session (account, begun_ms);
CREATE INDEX session_by_expiry ON session (expires_ms);

CREATE TABLE token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Of the token as it was shown once.
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    account INTEGER NOT NULL REFERENCES account (id),
    label TEXT NOT NULL,
    -- Of those of the account.
    roles TEXT NOT NULL,
    -- Whether it is good for the studies of token_study only.
    is_limited INTEGER NOT NULL CHECK (is_limited IN (0, 1)),
    issued_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT;

CREATE INDEX token_by_account ON token (account, id);

CREATE TABLE token_study (
    token INTEGER NOT NULL REFERENCES token (id),
    study_instance_uid TEXT NOT NULL,
    PRIMARY KEY (token, study_instance_uid)
) STRICT, WITHOUT ROWID;

-- The audit trail (PS3.15 A.5). Rows are numbered from 1 without a gap and never changed; each holds the
-- digest of the one before and of itself (access::audit::link).
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    -- Codes of PS3.16 CID 400 and CID 401; no type is ''.
    event TEXT NOT NULL,
    event_type TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome INTEGER NOT NULL,
    who TEXT NOT NULL,
    means TEXT NOT NULL,
    address TEXT NOT NULL,
    patient_id TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32)
) STRICT;

CREATE INDEX audit_by_time ON audit (at_ms);
CREATE INDEX audit_by_patient ON audit (patient_id) WHERE patient_id <> '';

-- The studies of a row, in order.
CREATE TABLE audit_study (
    audit INTEGER NOT NULL REFERENCES audit (id),
    place INTEGER NOT NULL,
    study_instance_uid TEXT NOT NULL,
    PRIMARY KEY (audit, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_by_study ON audit_study (study_instance_uid, audit);

-- The last row, so that the end cannot be cut off unseen.
CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32)
) STRICT;

INSERT INTO audit_head (one, id, digest) VALUES (1, 0, zeroblob(32));
