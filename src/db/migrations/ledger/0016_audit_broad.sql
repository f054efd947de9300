-- The searches that named nobody (access::found::BROAD), counted as they are told, so that no list of disclosures has to.
DROP INDEX audit_broad;

CREATE TABLE audit_broad (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    rows INTEGER NOT NULL,
    -- Of the first and the last, by time; nothing while there is none.
    first_ms INTEGER,
    last_ms INTEGER
) STRICT;

INSERT INTO audit_broad (one, rows, first_ms, last_ms)
SELECT 1, count(*), min(at_ms), max(at_ms) FROM audit WHERE object = 'search that told of more than 20 studies';
