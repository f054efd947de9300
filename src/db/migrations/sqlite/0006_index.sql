-- The index: four tables for the four levels, the prepared metadata apart from them, and what
-- searches are driven by. The module doc of db::sqlite has the sizes and the plan of each query.
-- A column that bears the name of an attribute holds its value as received (UTF-8, padding off,
-- several values joined by a backslash): NULL when absent, '' when present without a value.

-- One row, kept up by every transaction, so that nothing is ever counted. "change" numbers the
-- changes of the whole index; versions are drawn from it and so never return.
CREATE TABLE counters (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  patients    INTEGER NOT NULL,
  studies     INTEGER NOT NULL,
  series      INTEGER NOT NULL,
  instances   INTEGER NOT NULL,
  blob_bytes  INTEGER NOT NULL,
  quarantined INTEGER NOT NULL,
  change      INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES (1, 0, 0, 0, 0, 0, 0, 0);

-- Which index this is, for good: a start with another one would take every blob for an orphan.
CREATE TABLE lineage (id TEXT NOT NULL) STRICT;
INSERT INTO lineage VALUES (lower(hex(randomblob(16))));

-- Senders, once each.
CREATE TABLE origin (
  id     INTEGER PRIMARY KEY,
  door   INTEGER NOT NULL,
  sender TEXT NOT NULL,
  peer   TEXT NOT NULL,
  UNIQUE (door, sender, peer)
) STRICT;

CREATE TABLE patient (
  id                   INTEGER PRIMARY KEY,
  -- Issuer and ID; of a study without Patient ID its UID: nobody knows whose it is.
  identity             TEXT NOT NULL UNIQUE,
  patient_name         TEXT,
  patient_id           TEXT,
  issuer_of_patient_id TEXT,
  patient_birth_date   TEXT,
  patient_birth_time   TEXT,
  patient_sex          TEXT,
  studies              INTEGER NOT NULL DEFAULT 0,
  received_at_ms       INTEGER NOT NULL,
  -- 1 when a study of it went. A patient says what its first study says, and is found by its studies;
  -- from then on by itself too.
  is_apart             INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX patient_by_patient_id ON patient (patient_id) WHERE is_apart = 1;
CREATE INDEX patient_by_patient_birth_date ON patient (patient_birth_date) WHERE is_apart = 1;

-- A study carries its own copy of the patient, as its first instance said: searching joins nothing.
CREATE TABLE study (
  id                              INTEGER PRIMARY KEY,
  patient                         INTEGER NOT NULL REFERENCES patient (id),
  -- Study Date and Time in one form; '' when absent or unreadable, which sorts last.
  sort_date                       TEXT NOT NULL,
  sort_time                       TEXT NOT NULL,
  series                          INTEGER NOT NULL DEFAULT 0,
  instances                       INTEGER NOT NULL DEFAULT 0,
  received_at_ms                  INTEGER NOT NULL,
  version                         INTEGER NOT NULL,
  -- Sorted, joined by a backslash.
  modalities_in_study             TEXT NOT NULL DEFAULT '',
  sop_classes_in_study            TEXT NOT NULL DEFAULT '',
  patient_name                    TEXT,
  patient_id                      TEXT,
  issuer_of_patient_id            TEXT,
  patient_birth_date              TEXT,
  patient_birth_time              TEXT,
  patient_sex                     TEXT,
  study_date                      TEXT,
  study_time                      TEXT,
  accession_number                TEXT,
  referring_physician_name        TEXT,
  timezone_offset_from_utc        TEXT,
  study_description               TEXT,
  name_of_physicians_reading_study TEXT,
  admitting_diagnoses_description TEXT,
  patient_age                     TEXT,
  patient_size                    TEXT,
  patient_weight                  TEXT,
  study_instance_uid              TEXT NOT NULL,
  study_id                        TEXT,
  -- Indexed sequences, each as a string of DICOM JSON with base marks: {"00081032": "[...]"}; NULL when there is none.
  sequences                       TEXT
) STRICT;
CREATE UNIQUE INDEX study_by_study_instance_uid ON study (study_instance_uid);
CREATE INDEX study_by_patient ON study (patient);
CREATE INDEX study_by_study_date ON study (sort_date, sort_time);
CREATE INDEX study_by_patient_id ON study (patient_id, sort_date, sort_time);
CREATE INDEX study_by_patient_birth_date ON study (patient_birth_date, sort_date, sort_time);
CREATE INDEX study_by_accession_number ON study (accession_number, sort_date, sort_time);
CREATE INDEX study_by_study_id ON study (study_id, sort_date, sort_time);
CREATE INDEX study_by_study_description ON study (study_description, sort_date, sort_time);

CREATE TABLE series (
  id                                  INTEGER PRIMARY KEY,
  study                               INTEGER NOT NULL REFERENCES study (id),
  -- Series Number as a number; the largest when it has none.
  series_order                        INTEGER NOT NULL,
  instances                           INTEGER NOT NULL DEFAULT 0,
  received_at_ms                      INTEGER NOT NULL,
  version                             INTEGER NOT NULL,
  series_date                         TEXT,
  series_time                         TEXT,
  modality                            TEXT,
  manufacturer                        TEXT,
  institution_name                    TEXT,
  station_name                        TEXT,
  series_description                  TEXT,
  institutional_department_name       TEXT,
  performing_physician_name           TEXT,
  operators_name                      TEXT,
  manufacturer_model_name             TEXT,
  body_part_examined                  TEXT,
  protocol_name                       TEXT,
  series_instance_uid                 TEXT NOT NULL,
  series_number                       TEXT,
  laterality                          TEXT,
  performed_procedure_step_start_date TEXT,
  performed_procedure_step_start_time TEXT,
  performed_procedure_step_description TEXT,
  sequences                           TEXT
) STRICT;
CREATE UNIQUE INDEX series_by_series_instance_uid ON series (series_instance_uid, study);
CREATE INDEX series_by_study ON series (study, series_order);
CREATE INDEX series_by_modality ON series (modality);
CREATE INDEX series_by_series_description ON series (series_description);
CREATE INDEX series_by_body_part_examined ON series (body_part_examined);
CREATE INDEX series_by_performed_procedure_step_start_date ON series (performed_procedure_step_start_date);

CREATE TABLE instance (
  id                    INTEGER PRIMARY KEY,
  series                INTEGER NOT NULL REFERENCES series (id),
  -- Instance Number as a number; the largest when it has none.
  instance_order        INTEGER NOT NULL,
  version               INTEGER NOT NULL,
  sop_instance_uid      TEXT NOT NULL,
  sop_class_uid         TEXT NOT NULL,
  transfer_syntax_uid   TEXT NOT NULL,
  locator_file          INTEGER NOT NULL,
  locator_offset        INTEGER NOT NULL,
  locator_length        INTEGER NOT NULL,
  dataset_offset        INTEGER NOT NULL,
  digest                BLOB NOT NULL,
  -- Of the data set as it arrived, where it was coerced.
  received_digest       BLOB,
  origin                INTEGER NOT NULL REFERENCES origin (id),
  received_at_ms        INTEGER NOT NULL,
  instance_number       TEXT,
  image_type            TEXT,
  acquisition_date      TEXT,
  content_date          TEXT,
  acquisition_date_time TEXT,
  acquisition_time      TEXT,
  content_time          TEXT,
  acquisition_number    TEXT,
  number_of_frames      TEXT,
  "rows"                TEXT,
  "columns"             TEXT,
  bits_allocated        TEXT,
  completion_flag       TEXT,
  verification_flag     TEXT,
  document_title        TEXT,
  content_label         TEXT,
  content_description   TEXT,
  content_creator_name  TEXT,
  sequences             TEXT,
  -- FrameMap::encode(), then prepared metadata and the rest of the header, compressed (db::record):
  -- last, because they can be long and searching by columns never needs them.
  frames                BLOB NOT NULL,
  pattern               INTEGER NOT NULL,
  body                  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX instance_by_sop_instance_uid ON instance (sop_instance_uid);
CREATE INDEX instance_by_series ON instance (series, instance_order);
CREATE INDEX instance_by_locator ON instance (locator_file, locator_offset);

-- What the bodies of instances are compressed against (db::sqlite::packing): a text of their series,
-- compressed. Goes with the series.
CREATE TABLE pattern (
  id     INTEGER PRIMARY KEY,
  series INTEGER NOT NULL REFERENCES series (id),
  key    BLOB NOT NULL,
  body   BLOB NOT NULL
) STRICT;
CREATE INDEX pattern_by_series ON pattern (series);

-- What a study is made of: series of each modality, instances of each SOP class. The sort key of
-- the study is in it, so that "newest XA first" is one range.
CREATE TABLE study_modality (
  modality  TEXT NOT NULL,
  sort_date TEXT NOT NULL,
  sort_time TEXT NOT NULL,
  study     INTEGER NOT NULL REFERENCES study (id),
  series    INTEGER NOT NULL,
  PRIMARY KEY (modality, sort_date, sort_time, study)
) STRICT, WITHOUT ROWID;
CREATE INDEX study_modality_by_study ON study_modality (study);
CREATE TABLE study_sop_class (
  sop_class_uid TEXT NOT NULL,
  study         INTEGER NOT NULL REFERENCES study (id),
  instances     INTEGER NOT NULL,
  PRIMARY KEY (sop_class_uid, study)
) STRICT, WITHOUT ROWID;
CREATE INDEX study_sop_class_by_study ON study_sop_class (study);

-- How many studies each month has, by sort_date without its day: by these a deep page is found.
CREATE TABLE study_month (
  month   TEXT PRIMARY KEY,
  studies INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Values to search by in another form than the column has: each group of a person name folded,
-- times in one form, and each of several values (db::sqlite::terms). level: 0 patient, 1 study,
-- 2 series, 3 instance; attribute: its tag; owner: the row's id in the table of that level.
CREATE TABLE search_value (
  level     INTEGER NOT NULL,
  attribute INTEGER NOT NULL,
  value     TEXT NOT NULL,
  owner     INTEGER NOT NULL,
  PRIMARY KEY (level, attribute, value, owner)
) STRICT, WITHOUT ROWID;

-- Values inside items of indexed sequences, one a row; sequence and attribute are tags.
CREATE TABLE sequence_value (
  sequence  INTEGER NOT NULL,
  owner     INTEGER NOT NULL,
  item      INTEGER NOT NULL,
  attribute INTEGER NOT NULL,
  value     TEXT NOT NULL,
  PRIMARY KEY (sequence, owner, item, attribute, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX sequence_value_by_value ON sequence_value (sequence, attribute, value, owner);

-- Substrings of one, two and three characters (db::sqlite::terms makes the tokens).
CREATE VIRTUAL TABLE patient_gram USING fts5 (
  gram, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);
CREATE VIRTUAL TABLE study_gram USING fts5 (
  gram, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);

-- Held back from viewers. The body is the whole instance (db::record).
CREATE TABLE quarantine (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  reason           INTEGER NOT NULL,
  sop_instance_uid TEXT NOT NULL,
  digest           BLOB NOT NULL,
  locator_file     INTEGER NOT NULL,
  locator_offset   INTEGER NOT NULL,
  locator_length   INTEGER NOT NULL,
  dataset_offset   INTEGER NOT NULL,
  differences      TEXT NOT NULL,
  body             BLOB NOT NULL
) STRICT;
CREATE INDEX quarantine_by_sop_instance_uid ON quarantine (sop_instance_uid);
CREATE INDEX quarantine_by_locator ON quarantine (locator_file, locator_offset);

CREATE TABLE accepted_conflict (
  id                 INTEGER PRIMARY KEY,
  study_instance_uid TEXT NOT NULL,
  sop_instance_uid   TEXT NOT NULL,
  differences        TEXT NOT NULL,
  received_at_ms     INTEGER NOT NULL
) STRICT;
CREATE INDEX accepted_conflict_by_sop_instance_uid ON accepted_conflict (sop_instance_uid);

-- What was removed and has not come again: so that 410 can be told from 404. '' stands for the UIDs
-- below the level of the row.
CREATE TABLE tombstone (
  study_instance_uid  TEXT NOT NULL,
  series_instance_uid TEXT NOT NULL,
  sop_instance_uid    TEXT NOT NULL,
  removed_at_ms       INTEGER NOT NULL,
  PRIMARY KEY (study_instance_uid, series_instance_uid, sop_instance_uid)
) STRICT, WITHOUT ROWID;

-- Storage commitment: what each request was told. The answer goes after a while, later the row.
CREATE TABLE commitment (
  transaction_uid TEXT PRIMARY KEY,
  answered_at_ms  INTEGER NOT NULL,
  answer          TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX commitment_by_answered_at ON commitment (answered_at_ms);

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
