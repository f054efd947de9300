//! How the index grows: fills one with made-up studies, and measures what inserting costs in it
//! beside an empty one, and what a page of studies costs in each order.
//!
//! ```text
//! cargo bench --bench growth -- fill DIR 1000000   # DIR/index.sqlite, about 6 GB, some minutes
//! cargo bench --bench growth -- rates DIR          # adds some thousand studies to it
//! cargo bench --bench growth -- pages DIR
//! ```
//!
//! `overread serve --data-dir DIR` answers searches in it; its instances have no pixels anywhere.

mod mix;
mod pages;
mod straight;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use overread::archive::NewInstance;
use overread::archive::index::Index;
use overread::db::Sqlite;

/// How long one measurement runs.
const CASE: Duration = Duration::from_secs(2);
/// Each is measured so often, in turn with the others.
const ROUNDS: usize = 3;
/// The studies of the empty index are far from those of any other.
const ELSEWHERE: u64 = 1 << 40;

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["fill", dir, studies] => {
            fill(Path::new(dir), studies.parse().context("how many studies")?)
        }
        ["rates", dir] => rates(Path::new(dir)),
        ["pages", dir] => pages::measure(Path::new(dir)),
        _ => bail!("fill DIR STUDIES, rates DIR, or pages DIR"),
    }
}

fn fill(dir: &Path, studies: u64) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let index = Sqlite::open(&dir.join("index.sqlite"), 2)?;
    let begin = Instant::now();
    straight::fill(&index, studies, |done| {
        eprint!("\r{done} studies, {} s ", begin.elapsed().as_secs());
    })?;
    let (totals, seconds) = (index.totals()?, begin.elapsed().as_secs_f64());
    println!(
        "{} studies, {} series, {} instances: {seconds:.0} s",
        totals.studies, totals.series, totals.instances
    );
    Ok(())
}

/// What a batch is made of.
#[derive(Clone, Copy)]
enum Work {
    /// Whole studies of the mix.
    Studies,
    /// Instances of one series.
    Series,
}

/// An index and how far it was filled.
struct Shelf {
    index: Sqlite,
    study: u64,
    number: u64,
    /// An instance whose series goes on.
    series: Option<NewInstance>,
}

impl Shelf {
    fn next(&mut self, work: Work, count: usize) -> Result<Vec<NewInstance>> {
        let mut batch = Vec::new();
        while batch.len() < count {
            match (work, &self.series) {
                (Work::Series, Some(model)) => {
                    self.number += 1;
                    let uid = format!(
                        "1.2.826.0.1.3680043.10.9998.{}",
                        self.number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
                    );
                    let mut new = model.clone();
                    new.header.sop_instance_uid = overread::dicom::Uid::parse(&uid)?;
                    new.locator.file = self.number;
                    self.index.prepare(&mut new)?;
                    batch.push(new);
                }
                _ => {
                    let mut study = straight::prepared(&self.index, self.study, &mut self.number)?;
                    self.study += 1;
                    self.series = study.first().cloned();
                    batch.append(&mut study);
                }
            }
        }
        batch.truncate(count.max(1));
        Ok(batch)
    }
}

fn rates(dir: &Path) -> Result<()> {
    let full = Sqlite::open(&dir.join("index.sqlite"), 2)?;
    let totals = full.totals()?;
    let empty_dir = dir.join("empty");
    std::fs::create_dir_all(&empty_dir)?;
    let empty = Sqlite::open(&empty_dir.join("index.sqlite"), 2)?;
    let mut shelves = [
        Shelf {
            index: empty,
            study: ELSEWHERE,
            number: ELSEWHERE,
            series: None,
        },
        Shelf {
            index: full,
            study: ELSEWHERE + totals.studies,
            number: ELSEWHERE,
            series: None,
        },
    ];
    println!(
        "instances a second into an empty index and into one of {} studies, {} instances",
        totals.studies, totals.instances
    );
    for (work, name) in [(Work::Studies, "new studies"), (Work::Series, "one series")] {
        for count in [1, 50] {
            let mut best = [0.0_f64; 2];
            for _ in 0..ROUNDS {
                for (shelf, best) in shelves.iter_mut().zip(&mut best) {
                    let (mut busy, mut done) = (Duration::ZERO, 0_u32);
                    while busy < CASE {
                        let batch = shelf.next(work, count)?;
                        let begin = Instant::now();
                        straight::insert(&shelf.index, &batch)?;
                        busy += begin.elapsed();
                        done += u32::try_from(batch.len())?;
                    }
                    *best = best.max(f64::from(done) / busy.as_secs_f64());
                }
            }
            println!(
                "{name}, {count} a transaction: {:.0} and {:.0}, {:.2}",
                best[0],
                best[1],
                best[1] / best[0]
            );
        }
    }
    drop(shelves);
    std::fs::remove_dir_all(&empty_dir)?;
    Ok(())
}
