-- What was given of the studies of a case: to an account, to whoever has a link, or as an inbox (access::grant).

CREATE TABLE access_grant (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    case_number INTEGER NOT NULL,
    -- account, link or inbox.
    kind TEXT NOT NULL CHECK (kind IN ('account', 'link', 'inbox')),
    account INTEGER REFERENCES account (id),
    -- Of the secret in the link, which is kept nowhere.
    digest BLOB UNIQUE CHECK (length(digest) = 32),
    -- A PHC string (access::passcode).
    pin TEXT,
    -- Wrong ones since a right one.
    pin_failures INTEGER NOT NULL DEFAULT 0,
    may_download INTEGER NOT NULL CHECK (may_download IN (0, 1)),
    label TEXT NOT NULL,
    not_before_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    opens_max INTEGER,
    opens INTEGER NOT NULL DEFAULT 0,
    issued_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    CHECK ((kind = 'account') = (account IS NOT NULL)),
    CHECK ((kind = 'account') = (digest IS NULL))
) STRICT;

CREATE INDEX access_grant_by_account ON access_grant (account, expires_ms) WHERE account IS NOT NULL;
CREATE INDEX access_grant_by_case ON access_grant (case_number, id);

CREATE TABLE access_grant_study (
    access_grant INTEGER NOT NULL REFERENCES access_grant (id),
    study_instance_uid TEXT NOT NULL,
    -- Whether its reports are not there for the holder.
    is_blind INTEGER NOT NULL CHECK (is_blind IN (0, 1)),
    PRIMARY KEY (access_grant, study_instance_uid)
) STRICT, WITHOUT ROWID;

-- A session that began by a link: whether it is good is asked of the grant each time.
CREATE TABLE access_grant_session (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    access_grant INTEGER NOT NULL REFERENCES access_grant (id),
    begun_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX access_grant_session_by_grant ON access_grant_session (access_grant, begun_ms);
