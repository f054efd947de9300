-- Who last said that the studies of a case are complete enough to be read, when that was said again after the case had gone
-- out; '' and no confirmed_ms before.
ALTER TABLE second_case ADD COLUMN confirmed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE second_case ADD COLUMN confirmed_ms INTEGER;

-- What the studies of a case held when that was last said (cases::growth); nothing for a case that went out before there were marks.
CREATE TABLE case_mark (
    id INTEGER PRIMARY KEY,
    case_number INTEGER NOT NULL REFERENCES second_case (number),
    study_instance_uid TEXT NOT NULL,
    -- The version that the index had of it.
    version INTEGER NOT NULL,
    -- 32 bytes an instance.
    listing BLOB NOT NULL CHECK (length(listing) % 32 = 0),
    UNIQUE (case_number, study_instance_uid)
) STRICT;
