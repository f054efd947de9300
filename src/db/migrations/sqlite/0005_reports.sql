-- Storage commitment over DIMSE: who is still to be told the answer to its request.
CREATE TABLE owed_report (
  transaction_uid TEXT PRIMARY KEY,
  requester       TEXT NOT NULL,
  called          TEXT NOT NULL,
  attempts        INTEGER NOT NULL,
  due_at_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What others told of transactions that were begun in our name.
CREATE TABLE told_report (
  id              INTEGER PRIMARY KEY,
  transaction_uid TEXT NOT NULL UNIQUE,
  told_by         TEXT NOT NULL,
  report          TEXT NOT NULL
) STRICT;
