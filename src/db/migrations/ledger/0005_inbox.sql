-- What stands beside a grant that is an inbox (access::inbox). A grant with case_number 0 is an inbox without a case.

CREATE TABLE inbox (
    access_grant INTEGER PRIMARY KEY REFERENCES access_grant (id),
    -- The name of the account.
    maker TEXT NOT NULL,
    question TEXT NOT NULL,
    context TEXT NOT NULL,
    patient_name TEXT NOT NULL,
    patient_id TEXT NOT NULL,
    patient_birth_date TEXT NOT NULL,
    -- When its holder said that all was sent.
    finished_ms INTEGER
) STRICT;

CREATE INDEX inbox_by_maker ON inbox (maker, access_grant);

-- Those from before are of whoever asked in their case.
INSERT INTO inbox (access_grant, maker, question, context, patient_name, patient_id, patient_birth_date)
SELECT access_grant.id, requester, '', '', '', '', '' FROM access_grant
JOIN second_case ON second_case.number = case_number WHERE kind = 'inbox';
