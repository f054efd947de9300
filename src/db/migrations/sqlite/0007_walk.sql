-- A walk through the studies by date looks at names without looking at the studies, which lie
-- anywhere. The id before the name keeps the order of the answers.
DROP INDEX study_by_study_date;
CREATE INDEX study_by_study_date ON study (sort_date, sort_time, id, patient_name);
