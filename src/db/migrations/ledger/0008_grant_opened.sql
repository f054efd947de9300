-- When a link was opened last; NULL before it was, or before this was kept.
ALTER TABLE access_grant ADD COLUMN opened_ms INTEGER;
