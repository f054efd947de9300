-- The trail by who did what, and the searches that named nobody, which a list of disclosures counts
-- (access::found::BROAD).
CREATE INDEX audit_by_who ON audit (who, at_ms);
CREATE INDEX audit_by_event ON audit (event, at_ms);
CREATE INDEX audit_broad ON audit (at_ms) WHERE object = 'search that told of more than 20 studies';
