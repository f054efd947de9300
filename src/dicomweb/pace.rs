//! How many rows to ask the index for at a time. It counts rows, memory counts bytes: a row may be
//! of a slice (some kilobytes) or of an enhanced multi-frame object (some megabytes). So a walk
//! begins with one row and asks for more as long as those before it were light.

/// About so much is to be held of one page. Bytes.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;
/// The most rows of a page. What a page may weigh at worst, when heavy rows follow light ones, is
/// this times the heaviest row (`metadata_bytes_max`), so it is small.
const ROWS_MAX: usize = 16;

/// The size of the next page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    rows: usize,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { rows: 1 }
    }

    /// How many rows to ask for.
    pub(super) const fn rows(self) -> usize {
        self.rows
    }

    /// Learns from a page: at most twice as many rows next, and no more than fit when all weigh
    /// what its heaviest one did.
    pub(super) fn learn(&mut self, heaviest: usize) {
        let fitting = PAGE_BYTES / heaviest.max(1);
        self.rows = (self.rows * 2).min(fitting).clamp(1, ROWS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_grow_while_rows_are_light_and_shrink_at_once() {
        let mut pace = Pace::new();
        let mut asked = vec![pace.rows()];
        for heaviest in [4096, 0, 4096, 4096, 4096, 300_000, 32 << 20, 600_000, 1, 1] {
            pace.learn(heaviest);
            asked.push(pace.rows());
        }
        assert_eq!(asked, [1, 2, 4, 8, 16, 16, 3, 1, 1, 2, 4]);
    }
}
