//! How to lay blobs on a disk: a file per instance, a growing file per series, or segments shared
//! by all senders. Each case writes real files and makes them durable as an archive must before
//! it says "stored"; rates are given as ratios to a raw synced append of the same size in the same
//! run, so that they mean something on another machine.
//!
//! `cargo bench --bench blob_layout [-- DIR]` takes about 30 seconds and some 2 GB, removed after.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use overread::archive::BlobStore;
use overread::store::Filesystem;

const SIZES: [usize; 2] = [5 << 10, 512 << 10];
/// Senders at once, each with a series of its own.
const WRITERS: [usize; 2] = [1, 4];
/// Instances under one sync.
const BATCHES: [usize; 2] = [1, 32];
/// Each case is measured so often, in turn with the others.
const ROUNDS: usize = 4;
/// How long one measurement runs.
const CASE: Duration = Duration::from_millis(180);
/// A measurement ends early after so many bytes: the page cache is not what is measured.
const CASE_BYTES_MAX: usize = 256 << 20;

/// Writes and syncs one batch of blobs; each writer has its own.
type Batch<'a> = Box<dyn FnMut() -> Result<()> + Send + 'a>;

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let parent = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
    let root = parent.join(format!("overread-blob-layout-{}", std::process::id()));
    fs::create_dir_all(&root)?;
    let outcome = run(&root);
    fs::remove_dir_all(&root)?;
    outcome
}

fn run(root: &Path) -> Result<()> {
    println!(
        "|    size | writers | batch | file per instance | file per series | shared segment |"
    );
    println!(
        "|--------:|--------:|------:|------------------:|----------------:|---------------:|"
    );
    for size in SIZES {
        let blob = noise(size);
        for (writers, batch) in WRITERS.into_iter().flat_map(|w| BATCHES.map(|b| (w, b))) {
            // A group is what one commit of the archive makes durable for all senders together.
            let (threads, series) = if batch > 1 {
                (1, writers)
            } else {
                (writers, 1)
            };
            let mut rates = [0.0; 4];
            for round in 0..ROUNDS {
                // Each round begins with another layout: what one leaves to the disk to do burdens the next.
                for layout in (0..4).map(|i| (i + round) % 4) {
                    let path = root.join("case");
                    fs::create_dir(&path)?;
                    rates[layout] += match layout {
                        0 => measure(1, 1, size, |_| growing_files(&path, 0, 1, &blob, 1))?,
                        1 => measure(threads, batch, size, |writer| {
                            Ok(file_per_instance(path.clone(), writer, &blob, batch))
                        })?,
                        2 => measure(threads, batch, size, |writer| {
                            growing_files(&path, writer, series, &blob, batch)
                        })?,
                        _ => {
                            let store = Filesystem::open(&path)?;
                            measure(threads, batch, size, |_| {
                                Ok(shared_segment(&store, &blob, batch))
                            })?
                        }
                    };
                    fs::remove_dir_all(&path)?;
                }
            }
            let [raw, a, b, c] = rates;
            println!(
                "| {:>4} KB | {writers:>7} | {batch:>5} | {:>17.2} | {:>15.2} | {:>14.2} | {:>12.0} |",
                size >> 10,
                a / raw,
                b / raw,
                c / raw,
                raw / ROUNDS as f64
            );
        }
    }
    Ok(())
}

/// Instances a second that became durable.
fn measure<'a>(
    writers: usize,
    batch: usize,
    size: usize,
    begin: impl Fn(usize) -> Result<Batch<'a>>,
) -> Result<f64> {
    let batches_max = (CASE_BYTES_MAX / size / batch / writers).max(1);
    let (start, is_over) = (Barrier::new(writers + 1), AtomicBool::new(false));
    let work: Vec<Batch<'_>> = (0..writers).map(begin).collect::<Result<_>>()?;
    thread::scope(|scope| {
        let threads: Vec<_> = work
            .into_iter()
            .map(|mut write| {
                let (start, is_over) = (&start, &is_over);
                scope.spawn(move || -> Result<usize> {
                    start.wait();
                    let began = Instant::now();
                    let mut done = 0;
                    while done < batches_max
                        && began.elapsed() < CASE
                        && !is_over.load(Ordering::Relaxed)
                    {
                        write()?;
                        done += 1;
                    }
                    is_over.store(true, Ordering::Relaxed);
                    Ok(done)
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        let mut instances = 0;
        for thread in threads {
            instances += batch * thread.join().ok().context("a writer panicked")??;
        }
        Ok(instances as f64 / began.elapsed().as_secs_f64())
    })
}

fn file_per_instance(folder: PathBuf, writer: usize, blob: &[u8], batch: usize) -> Batch<'_> {
    let mut next = 0;
    Box::new(move || {
        let mut written = Vec::with_capacity(batch);
        for _ in 0..batch {
            let mut file = File::create_new(folder.join(format!("{writer}-{next}")))?;
            next += 1;
            file.write_all(blob)?;
            written.push(file);
        }
        written.iter().try_for_each(File::sync_data)?;
        Ok(File::open(&folder)?.sync_all()?)
    })
}

fn growing_files<'a>(
    folder: &Path,
    writer: usize,
    series: usize,
    blob: &'a [u8],
    batch: usize,
) -> Result<Batch<'a>> {
    let open = |i| {
        OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(folder.join(format!("{writer}-{i}")))
    };
    let mut files = (0..series).map(open).collect::<Result<Vec<_>, _>>()?;
    File::open(folder)?.sync_all()?;
    Ok(Box::new(move || {
        (0..batch).try_for_each(|i| files[i % series].write_all(blob))?;
        Ok(files.iter().try_for_each(File::sync_data)?)
    }))
}

fn shared_segment<'a>(store: &'a Filesystem, blob: &'a [u8], batch: usize) -> Batch<'a> {
    Box::new(move || {
        let written = (0..batch)
            .map(|_| store.put(&blob[..128], &blob[128..], b""))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(store.sync(&written)?)
    })
}

/// Bytes that no file system compresses.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let next = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state.to_le_bytes())
    });
    next.flatten().take(length).collect()
}
