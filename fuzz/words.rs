//! The words of the archive by themselves, so that a target builds in a minute, and the watch that
//! every decoder is fuzzed under: no panic of our own, memory within what the data set agreed to.

// Tests and doors use the rest.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../src/dicom/mod.rs"]
pub mod dicom;
#[path = "../src/imaging/mod.rs"]
pub mod imaging;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use imaging::codec::{Bounds, Fault, Raster, sample_bytes};

/// Samples of the largest frame that is tried.
const SAMPLES_MAX: usize = 1 << 19;

/// The system's memory, counted.
struct Counted;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(held, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        took(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// What a decoder may take besides its output.
#[derive(Clone, Copy)]
pub struct Allowance {
    /// For each sample of the frame.
    pub per_sample: usize,
    /// For each byte of the codestream.
    pub per_byte: usize,
    /// However small both are.
    pub free: usize,
}

/// The first bytes of an input are a data set's word on the frame: rows and columns (16 bits each),
/// samples of a pixel, bits allocated. The rest is the codestream.
pub fn split(input: &[u8]) -> Option<(Bounds, &[u8])> {
    let [r0, r1, c0, c1, samples, bits_allocated, codestream @ ..] = input else {
        return None;
    };
    let bounds = Bounds {
        rows: u16::from_le_bytes([*r0, *r1]).into(),
        columns: u16::from_le_bytes([*c0, *c1]).into(),
        samples: (*samples).into(),
        bits_allocated: (*bits_allocated).into(),
    };
    let is_small = bounds.sample_count().ok()? <= SAMPLES_MAX;
    is_small.then_some((bounds, codestream))
}

/// Decodes under watch: memory within the allowance, and as many samples as were agreed on.
pub fn watched(
    decode: fn(&[u8], &Bounds) -> Result<Raster, Fault>,
    bounds: &Bounds,
    codestream: &[u8],
    allowance: Allowance,
) -> Option<Raster> {
    let samples = bounds.sample_count().expect("split has counted them");
    let most =
        samples * allowance.per_sample + codestream.len() * allowance.per_byte + allowance.free;
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let found = decode(codestream, bounds);
    let peak = PEAK.load(Relaxed) - before;
    assert!(
        peak <= most,
        "{peak} bytes of memory for {samples} samples, allowed {most}"
    );
    let raster = found.ok()?;
    assert_eq!(
        (raster.rows, raster.columns, raster.samples),
        (bounds.rows, bounds.columns, bounds.samples)
    );
    let expected = match raster.bits {
        // Single bits of deflated frames stand eight in a byte.
        1 if raster.bytes.len() == samples.div_ceil(8) => samples.div_ceil(8),
        bits => samples * sample_bytes(bits),
    };
    assert_eq!(raster.bytes.len(), expected);
    Some(raster)
}

/// libFuzzer ends the program at the first panic. Decoders of other makers may panic, since our own
/// code catches them; whatever else panics is a finding.
pub fn let_others_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let is_ours = panic
            .location()
            .is_none_or(|place| !place.file().contains("/registry/src/"));
        if is_ours {
            eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
            std::process::abort();
        }
    }));
}
