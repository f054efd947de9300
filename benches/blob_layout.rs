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
const WRITERS: [usize; 2] = [1, 4];
/// Instances under one sync.
const BATCHES: [usize; 2] = [1, 32];
/// How long each case runs.
const CASE: Duration = Duration::from_millis(1000);
/// A case ends early after so many bytes: the page cache is not what is measured.
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
    let mut case = 0;
    let mut folder = || {
        case += 1;
        let path = root.join(case.to_string());
        fs::create_dir(&path).map(|()| path)
    };
    for size in SIZES {
        let blob = noise(size);
        let path = folder()?;
        let raw = measure(1, 1, size, |_| one_growing_file(&path, 0, &blob, 1))?;
        for writers in WRITERS {
            for batch in BATCHES {
                let path = folder()?;
                let per_instance = measure(writers, batch, size, |writer| {
                    Ok(file_per_instance(path.clone(), writer, &blob, batch))
                })?;
                let path = folder()?;
                let per_series = measure(writers, batch, size, |writer| {
                    one_growing_file(&path, writer, &blob, batch)
                })?;
                let store = Filesystem::open(&folder()?)?;
                let shared = measure(writers, batch, size, |_| {
                    Ok(shared_segment(&store, &blob, batch))
                })?;
                let size = format!("{} KB", size >> 10);
                let [a, b, c] = [per_instance, per_series, shared].map(|rate| rate / raw);
                println!(
                    "| {size:>7} | {writers:>7} | {batch:>5} | {a:>17.2} | {b:>15.2} | {c:>14.2} |"
                );
            }
        }
        println!("raw synced append of {} KB: {raw:.0} a second", size >> 10);
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

fn one_growing_file<'a>(
    folder: &Path,
    writer: usize,
    blob: &'a [u8],
    batch: usize,
) -> Result<Batch<'a>> {
    let path = folder.join(writer.to_string());
    let mut file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(path)?;
    File::open(folder)?.sync_all()?;
    Ok(Box::new(move || {
        (0..batch).try_for_each(|_| file.write_all(blob))?;
        Ok(file.sync_data()?)
    }))
}

fn shared_segment<'a>(store: &'a Filesystem, blob: &'a [u8], batch: usize) -> Batch<'a> {
    Box::new(move || {
        let written = (0..batch)
            .map(|_| store.put(&blob[..128], &blob[128..]))
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
