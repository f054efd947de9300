-- The studies by the name of their patient, folded as people would look it up (sort_name, db::rules): a
-- walk through them in the order of names looks at one range for each name.
CREATE TABLE study_name (
  sort_name TEXT NOT NULL,
  sort_date TEXT NOT NULL,
  sort_time TEXT NOT NULL,
  -- The id of a study. Were it said to refer to it, each study that goes would be looked for here by it.
  study     INTEGER NOT NULL,
  PRIMARY KEY (sort_name, sort_date, sort_time, study)
) STRICT, WITHOUT ROWID;
INSERT INTO study_name
SELECT sort_name(patient_name), sort_date, sort_time, id FROM study ORDER BY 1, 2, 3, 4;
