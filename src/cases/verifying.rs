//! What can be proven of a case later: that opinions and manifests are as they were signed, and what has become of the
//! instances that were seen.

use super::Cases;
use super::caller::Caller;
use super::case::Case;
use super::error::Error;
use super::ledger::KeptOpinion;
use super::looking::Look;
use super::manifest::{Manifest, Since};
use super::opinion::Opinion;
use super::recording::made_of;
use super::signing::signature;
use crate::access::ledger::LedgerFlaw;
use crate::access::{LedgerError, Scope};

/// Rows of the audit trail read at a time.
const BATCH: usize = 500;

/// What can be said of a signed opinion.
#[derive(Debug)]
pub struct Verified {
    /// The opinion.
    pub opinion: Opinion,
    /// Whether what it says has the digest that was kept with it.
    pub is_opinion_intact: bool,
    /// Whether its manifest has the digest that was kept with it.
    pub is_manifest_intact: bool,
    /// Whether the audit trail tells of its signing with the same two digests. (That the trail itself is whole, `overread
    /// audit verify` says.)
    pub is_in_trail: bool,
    /// What has become of the instances.
    pub since: Since,
}

impl Verified {
    /// Whether opinion and manifest are as they were signed.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.is_opinion_intact && self.is_manifest_intact && self.is_in_trail
    }
}

impl Cases {
    /// Verifies all versions of all opinions of a case that the caller may see, and compares with what the archive has now. The
    /// look at the case comes without them.
    ///
    /// # Errors
    /// [`Error::NotFound`] also when the caller may not see the case; when ledger or archive fail.
    pub fn verify(&self, number: u64, caller: &Caller) -> Result<(Look, Vec<Verified>), Error> {
        let mut look = self.show(number, caller)?;
        // What has come since names instances: it is for whoever may see them still.
        if look.is_reader_only && !look.case.state.is_current() {
            return Err(Error::NotFound);
        }
        let opinions = std::mem::take(&mut look.opinions);
        let told = opinions.into_iter().map(|told| told.opinion);
        let verified = self.verified(&look.case, told.collect())?;
        Ok((look, verified))
    }

    fn verified(&self, case: &Case, opinions: Vec<Opinion>) -> Result<Vec<Verified>, Error> {
        if opinions.is_empty() {
            return Ok(Vec::new());
        }
        let now = Manifest::read(&self.archive, case.request.studies(), &Scope::All)?;
        let mut ours = self.ledger.recorded(case.number)?;
        ours.extend(made_of(self.ledger.opinions(case.number)?.iter()));
        let signatures = self.signatures(case)?;
        let mut verified = Vec::new();
        for opinion in opinions {
            let kept = self.ledger.kept_opinion(opinion.id)?;
            let kept =
                kept.ok_or_else(|| LedgerError::broken("reading an opinion", "it is gone"))?;
            let said = case
                .tasks
                .iter()
                .find(|task| task.id == opinion.task)
                .map(|task| signature(task, &opinion, &kept.body));
            let since = match Manifest::parse(&kept.rows) {
                Ok(before) => before.since(&now, &ours),
                Err(_) => Since::default(),
            };
            verified.push(Verified {
                is_opinion_intact: Opinion::digest(&kept.body) == kept.body_digest,
                is_manifest_intact: is_manifest_intact(&kept, &opinion),
                is_in_trail: said.is_some_and(|said| signatures.contains(&said)),
                since,
                opinion,
            });
        }
        Ok(verified)
    }

    /// What the audit trail says of a case.
    fn signatures(&self, case: &Case) -> Result<Vec<String>, Error> {
        let object = format!("case {}", case.number);
        let studies = [case.request.study.clone()];
        let (mut after, mut said) = (0, Vec::new());
        loop {
            let rows = self.ledger.audit_rows_about(&studies, None, after, BATCH);
            let rows = rows.map_err(|flaw| match flaw {
                LedgerFlaw::Ledger(error) => error,
                LedgerFlaw::Trail(flaw) => LedgerError::broken("reading the audit trail", flaw),
            })?;
            let Some(last) = rows.last() else {
                return Ok(said);
            };
            after = last.id;
            let of_case = rows.into_iter().filter(|row| row.record.object == object);
            said.extend(of_case.map(|row| row.record.detail));
        }
    }
}

fn is_manifest_intact(kept: &KeptOpinion, opinion: &Opinion) -> bool {
    let digest = Manifest::digest(&kept.rows);
    digest == kept.rows_digest
        && digest == opinion.manifest.digest
        && kept.rows.lines().count() as u64 == opinion.manifest.instances
}
