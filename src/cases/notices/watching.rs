//! What nobody does but time: an answer is wanted soon, or was wanted by now, and images come after an opinion. Each is
//! told once.

use crate::access::LedgerError;
use crate::cases::Cases;
use crate::cases::error::Error;

/// So many cases are looked at in one go for images that have come.
const BATCH: usize = 100;

/// How far the cases have been looked through for images that have come.
#[derive(Debug, Default)]
pub struct Watch {
    after: u64,
}

impl Watch {
    /// Keeps a notice of each of the next cases whose images have changed since its newest opinion. Says how many. One that
    /// cannot be looked at keeps nobody from the others.
    ///
    /// # Errors
    /// When ledger or archive fail.
    pub fn look(&mut self, cases: &Cases, now_ms: i64) -> Result<usize, Error> {
        let numbers = cases.ledger.watched(self.after, BATCH)?;
        self.after = match numbers.last() {
            Some(last) if numbers.len() == BATCH => *last,
            _ => 0,
        };
        let mut looked = Ok(0);
        for number in numbers {
            match (cases.images_changed(number, now_ms), &mut looked) {
                (Ok(true), Ok(count)) => *count += 1,
                (Err(error), Ok(_)) => looked = Err(error),
                _ => {}
            }
        }
        looked
    }
}

impl Cases {
    /// Keeps notices of cases whose answer is wanted within `soon_ms`, or was by now. Says how many.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn tell_due(&self, now_ms: i64, soon_ms: i64) -> Result<usize, LedgerError> {
        self.ledger.tell_due(now_ms, soon_ms)
    }

    /// Whether the images of a case have changed since its newest opinion, and nobody was told.
    fn images_changed(&self, number: u64, now_ms: i64) -> Result<bool, Error> {
        let Some(case) = self.ledger.case(number)? else {
            return Ok(false);
        };
        let opinions = self.ledger.opinions(number)?;
        let Some(newest) = opinions.into_iter().next_back() else {
            return Ok(false);
        };
        let opinion = newest.id;
        let told = self.told(&case, vec![newest])?;
        if !told.iter().any(|told| told.have_images_changed) {
            return Ok(false);
        }
        Ok(self.ledger.tell_images_changed(&case, opinion, now_ms)?)
    }
}
