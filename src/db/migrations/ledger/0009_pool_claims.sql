-- What a reader has claimed of a pool at a workstation is theirs from that moment (db::ledger::cases::offers).
CREATE INDEX claim_attempt_by_reader ON claim_attempt (reader);
