-- Who issued a token, as the trail names them, and by which token they came; of those from before nobody knows.
ALTER TABLE token ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN issuer_token INTEGER REFERENCES token (id);

CREATE INDEX token_by_issuer ON token (issuer_token) WHERE issuer_token IS NOT NULL;
