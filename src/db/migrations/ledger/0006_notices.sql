-- Who is to be told what of a case (cases::notices). Instants are milliseconds since 1970 UTC.

-- Where an account is told; '' when it is not.
ALTER TABLE account ADD COLUMN email TEXT NOT NULL DEFAULT '';

-- What there is to be told, in the order in which it happened: written with the change that it tells of.
CREATE TABLE notice (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- By which receivers know what they have had already.
    id TEXT NOT NULL UNIQUE,
    case_number INTEGER NOT NULL REFERENCES second_case (number),
    -- A word of cases::NoticeEvent.
    event TEXT NOT NULL,
    -- The case as it was then.
    state TEXT NOT NULL,
    revision INTEGER NOT NULL,
    -- The place of the task that it is about.
    task INTEGER,
    at_ms INTEGER NOT NULL,
    -- Whether its deliveries have been queued.
    is_addressed INTEGER NOT NULL DEFAULT 0 CHECK (is_addressed IN (0, 1))
) STRICT;

CREATE INDEX notice_unaddressed ON notice (number) WHERE is_addressed = 0;
CREATE INDEX notice_by_time ON notice (at_ms);

-- A notice on its way to somebody.
CREATE TABLE notice_delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    notice INTEGER NOT NULL REFERENCES notice (number) ON DELETE CASCADE,
    -- The name of a webhook, or 'email'.
    destination TEXT NOT NULL,
    -- The account that mail goes to; '' of a webhook.
    recipient TEXT NOT NULL,
    -- That of the notice: deliveries of one case to one recipient keep their order.
    case_number INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    queued_ms INTEGER NOT NULL,
    not_before_ms INTEGER NOT NULL DEFAULT 0,
    ended_ms INTEGER,
    -- Why the last attempt was in vain; '' when none was.
    reason TEXT NOT NULL DEFAULT '',
    UNIQUE (notice, destination, recipient)
) STRICT;

CREATE INDEX notice_delivery_waiting ON notice_delivery (destination, notice) WHERE state = 'waiting';
CREATE INDEX notice_delivery_in_order ON notice_delivery (destination, case_number, recipient, notice) WHERE state = 'waiting';
CREATE INDEX notice_delivery_ended ON notice_delivery (ended_ms) WHERE state <> 'waiting';

-- Where notices go, and why they do not at present.
CREATE TABLE notice_destination (
    name TEXT PRIMARY KEY,
    delivered INTEGER NOT NULL DEFAULT 0,
    -- '' when it can be reached, as far as we know.
    reason TEXT NOT NULL DEFAULT '',
    failures INTEGER NOT NULL DEFAULT 0,
    until_ms INTEGER NOT NULL DEFAULT 0,
    -- Whether it has said that it wants nothing any more (410 Gone).
    is_gone INTEGER NOT NULL DEFAULT 0 CHECK (is_gone IN (0, 1))
) STRICT, WITHOUT ROWID;

-- What is told once: that a case is due soon (occasion 0), that images have come after an opinion (its number).
CREATE TABLE notice_told (
    case_number INTEGER NOT NULL REFERENCES second_case (number),
    event TEXT NOT NULL,
    occasion INTEGER NOT NULL,
    PRIMARY KEY (case_number, event, occasion)
) STRICT, WITHOUT ROWID;

CREATE INDEX second_case_due ON second_case (due_ms) WHERE state IN ('open', 'in-review') AND due_ms IS NOT NULL;
