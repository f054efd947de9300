-- In which revision of its case a task ended that nobody waited for any longer; nothing of those that ended before this was noted.
ALTER TABLE task ADD COLUMN ended_in INTEGER;
