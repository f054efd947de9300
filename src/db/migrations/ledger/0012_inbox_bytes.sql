-- How much came by an inbox and was kept; of those from before nothing is known.
ALTER TABLE inbox ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
