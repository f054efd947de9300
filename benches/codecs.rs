//! How fast frames are decoded and encoded: every codec on pictures like a CT slice, a chest
//! radiograph and a colour frame, one thread, in MB of native bytes a second. To mean something on
//! another machine, rates are also given as parts of what a plain copy of the frame reaches in the
//! same run, and of what the decoder of others underneath reaches by itself; and the whole way out
//! of an archive in memory as a part of decoding alone.
//!
//! `cargo bench --bench codecs [-- FILE…]` takes about a minute. The codecs that nothing here can
//! write are measured on FILEs: bare codestreams named `*.jph` (HTJ2K) or `*.jxl`, lossless, of
//! whatever size they say, for instance by `imagecodecs` in Python.

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use flate2::{Compression, write::DeflateEncoder};
use overread::access::Scope;
use overread::archive::{
    Archive, Coercion, Declared, Door, DuplicatePolicy, IngestSettings, Origin,
    PatientConflictPolicy, Target,
};
use overread::dicom::Uid;
use overread::dicom::walk::Limits;
use overread::imaging::codec::{Codec, decode, encode};
use overread::imaging::{Photometric, Sample, Shape, codestream};
use overread::{db, store};

/// Each case is measured so often; the best counts, since others only take away.
const ROUNDS: usize = 3;
/// How long a round lasts at least.
const ROUND: Duration = Duration::from_millis(250);

const STUDY: &str = "1.2.826.0.1.3680043.10.1";

fn main() -> Result<()> {
    println!(
        "{:<10} {:<22} {:>6} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "frame", "codec", "ratio", "decode", "of copy", "of raw", "archive", "encode"
    );
    for (name, shape, native) in [ct(), cr(), color()] {
        let copy = rate(native.len(), || Ok(native.clone()))?;
        println!("{name:<10} {:<22} {:>6} {copy:>8.0}", "copy", "");
        for (codec, syntax, codestream) in codestreams(&shape, &native)? {
            let encode_rate = if Codec::ENCODED.contains(&codec) {
                Some(rate(native.len(), || Ok(encode(codec, &native, &shape)?))?)
            } else {
                None
            };
            let stored = as_stored(&shape, codec);
            measure(name, codec, syntax, &stored, &codestream, copy, encode_rate)?;
        }
    }
    // `cargo bench` adds `--bench`.
    for path in std::env::args()
        .skip(1)
        .filter(|one| !one.starts_with("--"))
    {
        let codestream = std::fs::read(&path).with_context(|| path.clone())?;
        let (codec, syntax, media_type) = match path.rsplit('.').next() {
            Some("jph") => (Codec::Jpeg2000, "1.2.840.10008.1.2.4.201", "image/jphc"),
            Some("jxl") => (Codec::JpegXl, "1.2.840.10008.1.2.4.110", "image/jxl"),
            _ => return Err(anyhow!("{path} is neither .jph nor .jxl")),
        };
        let found = codestream::read(media_type, &mut Cursor::new(&codestream))?
            .context("no codestream")?;
        let photometric = match found.samples {
            1 => Photometric::Monochrome2,
            _ => Photometric::Rgb,
        };
        let allocated = if found.bits > 8 { 16 } else { 8 };
        let shape = Shape {
            rows: found.rows,
            columns: found.columns,
            ..shape(photometric, allocated, found.bits)
        };
        let stored = as_stored(&shape, codec);
        let native = decode(codec, &codestream, &stored)?;
        let copy = rate(native.len(), || Ok(native.clone()))?;
        let name = std::path::Path::new(&path).file_stem().unwrap_or_default();
        measure(
            &name.to_string_lossy(),
            codec,
            syntax,
            &stored,
            &codestream,
            copy,
            None,
        )?;
    }
    Ok(())
}

/// Prints the line of one codec.
fn measure(
    name: &str,
    codec: Codec,
    syntax: &'static str,
    shape: &Shape,
    codestream: &[u8],
    copy: f64,
    encode_rate: Option<f64>,
) -> Result<()> {
    let bytes = decode(codec, codestream, shape)?.len();
    let decode_rate = rate(bytes, || Ok(decode(codec, codestream, shape)?))?;
    let part = |rate: f64| format!("{:.2}", decode_rate / rate);
    let raw = raw(codec, syntax, bytes, codestream)?.map_or_else(String::new, part);
    let whole = through_the_archive(syntax, shape, codestream, bytes)?;
    println!(
        "{name:<10} {:<22} {:>6.2} {decode_rate:>8.0} {:>8.4} {raw:>8} {:>8.2} {:>9}",
        format!(
            "{codec:?} {}",
            syntax.trim_start_matches("1.2.840.10008.1.2.")
        ),
        bytes as f64 / codestream.len() as f64,
        decode_rate / copy,
        whole / decode_rate,
        encode_rate.map_or_else(String::new, |rate| format!("{rate:.0}")),
    );
    Ok(())
}

/// MB a second of `bytes` at a time, the best of the rounds.
fn rate<T>(bytes: usize, mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            std::hint::black_box(work()?);
            count += 1;
        }
        let seconds = start.elapsed().as_secs_f64();
        best = best.max(bytes as f64 * f64::from(count) / 1e6 / seconds);
    }
    Ok(best)
}

/// The decoder of others under ours, by itself.
fn raw(codec: Codec, syntax: &str, bytes: usize, codestream: &[u8]) -> Result<Option<f64>> {
    let found = match codec {
        Codec::Jpeg2000 if syntax.ends_with("201") => rate(bytes, || {
            let strict = jpeg2k::DecodeParameters::new().strict(true);
            Ok(jpeg2k::Image::from_bytes_with(codestream, strict)?)
        })?,
        Codec::Jpeg2000 => rate(bytes, || {
            let settings = hayro_jpeg2000::DecodeSettings {
                resolve_palette_indices: false,
                strict: true,
                target_resolution: None,
            };
            let image = hayro_jpeg2000::Image::new(codestream, &settings)
                .map_err(|_| anyhow!("not read"))?;
            let mut context = hayro_jpeg2000::DecoderContext::default();
            let decoded = image
                .decode(&mut context)
                .map_err(|_| anyhow!("not decoded"))?;
            Ok(decoded.components().len())
        })?,
        Codec::JpegXl => rate(bytes, || {
            let image = jxl_oxide::JxlImage::builder()
                .read(codestream)
                .map_err(|error| anyhow!(error))?;
            Ok(image
                .render_frame(0)
                .map_err(|error| anyhow!(error))?
                .image_all_channels())
        })?,
        _ => return Ok(None),
    };
    Ok(Some(found))
}

/// The same frame from an archive in memory: found, located, read, decoded.
fn through_the_archive(
    syntax: &'static str,
    shape: &Shape,
    codestream: &[u8],
    bytes: usize,
) -> Result<f64> {
    let settings = IngestSettings {
        duplicate: DuplicatePolicy::Quarantine,
        patient_conflict: PatientConflictPolicy::Quarantine,
        buffer_bytes_max: 64 << 20,
        free_bytes_min: 0,
        limits: Limits {
            value_bytes_max: 1 << 20,
            depth_max: 64,
            metadata_bytes_max: 4 << 20,
            fragments_max: 1000,
            object_bytes_max: 1 << 30,
            inline_bytes_max: 4096,
        },
        coercion: Coercion::default(),
        forwarding: Arc::default(),
        made_bytes_max: 0,
    };
    let index = Arc::new(db::Memory::default());
    let (archive, _) = Archive::open(index, Arc::new(store::Memory::default()), settings)?;
    let uid = |text| Uid::parse(text).context("a UID");
    let origin = Origin {
        door: Door::Dimse,
        sender: "BENCH".into(),
        peer: "127.0.0.1".into(),
    };
    let mut incoming = archive.receive_dataset(origin, &uid(syntax)?, Declared::default())?;
    incoming.write(&object(shape, codestream))?;
    incoming.finish()?;
    let target = Target::Study(uid(STUDY)?);
    rate(bytes, || {
        let located = archive.locate(&target, &Scope::All, None, 1)?;
        let located = located.first().context("an instance")?;
        let frame = archive.frames(located, &Scope::All)?.frame(1)?;
        ensure!(frame.len() == bytes, "a frame of {} bytes", frame.len());
        Ok(frame)
    })
}

/// A data set in Explicit VR Little Endian with one frame (PS3.5 §A.4).
fn object(shape: &Shape, codestream: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |group: u16, element: u16, vr: &[u8; 2], value: &[u8]| {
        out.extend(group.to_le_bytes());
        out.extend(element.to_le_bytes());
        out.extend(vr);
        let pad = if vr == b"UI" { 0 } else { b' ' };
        let is_odd = value.len() % 2 == 1;
        out.extend((value.len() as u16 + u16::from(is_odd)).to_le_bytes());
        out.extend(value);
        out.extend(is_odd.then_some(pad));
    };
    put(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.7");
    put(8, 0x18, b"UI", format!("{STUDY}.1.1").as_bytes());
    put(0x20, 0x0D, b"UI", STUDY.as_bytes());
    put(0x20, 0x0E, b"UI", format!("{STUDY}.1").as_bytes());
    let mut number = |element: u16, value: u16| put(0x28, element, b"US", &value.to_le_bytes());
    number(2, shape.samples);
    put(0x28, 4, b"CS", shape.photometric.term().as_bytes());
    let mut number = |element: u16, value: u16| put(0x28, element, b"US", &value.to_le_bytes());
    if shape.samples > 1 {
        number(6, shape.is_planar.into());
    }
    number(0x10, shape.rows as u16);
    number(0x11, shape.columns as u16);
    number(0x100, shape.bits_allocated);
    number(0x101, shape.bits_stored);
    number(0x102, shape.bits_stored - 1);
    number(0x103, shape.is_signed.into());
    out.extend(*b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0\xFE\xFF\0\xE0");
    let is_odd = codestream.len() % 2 == 1;
    out.extend((codestream.len() as u32 + u32::from(is_odd)).to_le_bytes());
    out.extend(codestream);
    out.extend(is_odd.then_some(0));
    out.extend(*b"\xFE\xFF\xDD\xE0\0\0\0\0");
    out
}

fn shape(photometric: Photometric, bits_allocated: u16, bits_stored: u16) -> Shape {
    Shape {
        rows: 0,
        columns: 0,
        samples: if photometric.is_color() { 3 } else { 1 },
        photometric,
        is_planar: false,
        bits_allocated,
        bits_stored,
        is_signed: false,
        sample: Sample::Whole,
        frames: 1,
        is_word_stream: false,
    }
}

/// What a data set says of frames of this codec, where it differs.
fn as_stored(shape: &Shape, codec: Codec) -> Shape {
    let photometric = match (codec, shape.photometric) {
        (Codec::JpegDct, Photometric::Rgb) => Photometric::YbrFull422,
        (Codec::Jpeg2000, Photometric::Rgb) => Photometric::YbrRct,
        (_, other) => other,
    };
    let is_planar = codec == Codec::Rle && shape.samples > 1;
    Shape {
        photometric,
        is_planar,
        ..shape.clone()
    }
}

/// The native frame by every codec that can be written here.
fn codestreams(shape: &Shape, native: &[u8]) -> Result<Vec<(Codec, &'static str, Vec<u8>)>> {
    let mut all = Vec::new();
    for codec in Codec::ENCODED.iter().copied() {
        let syntax = codec.lossless_syntax().context("a codec that we encode")?;
        all.push((codec, syntax, encode(codec, native, shape)?));
    }
    let mut deflater = DeflateEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut deflater, native)?;
    all.push((Codec::Deflate, "1.2.840.10008.1.2.8.1", deflater.finish()?));
    all.push((
        Codec::JpegLossless,
        "1.2.840.10008.1.2.4.70",
        lossless_jpeg(shape, native),
    ));
    if shape.bits_allocated == 8 {
        let mut file = Vec::new();
        let kind = match shape.samples {
            1 => jpeg_encoder::ColorType::Luma,
            _ => jpeg_encoder::ColorType::Rgb,
        };
        let encoder = jpeg_encoder::Encoder::new(&mut file, 90);
        encoder.encode(native, shape.columns as u16, shape.rows as u16, kind)?;
        all.push((Codec::JpegDct, "1.2.840.10008.1.2.4.50", file));
    }
    Ok(all)
}

/// JPEG process 14, predictor 1 (ISO/IEC 10918-1 Annex H), every category with a code of five bits.
fn lossless_jpeg(shape: &Shape, native: &[u8]) -> Vec<u8> {
    let samples = usize::from(shape.samples);
    let mut file = vec![0xFF, 0xD8, 0xFF, 0xC3, 0, 8 + 3 * samples as u8];
    file.push(shape.bits_stored as u8);
    file.extend((shape.rows as u16).to_be_bytes());
    file.extend((shape.columns as u16).to_be_bytes());
    file.push(samples as u8);
    file.extend((1..=samples as u8).flat_map(|id| [id, 0x11, 0]));
    file.extend([0xFF, 0xC4, 0, 19 + 17, 0, 0, 0, 0, 0, 17]);
    file.extend([0; 11]);
    file.extend(0..17);
    file.extend([0xFF, 0xDA, 0, 6 + 2 * samples as u8, samples as u8]);
    file.extend((1..=samples as u8).flat_map(|id| [id, 0]));
    file.extend([1, 0, 0]);
    let value = |place: usize| match shape.bits_allocated {
        8 => i32::from(native[place]),
        _ => i32::from(u16::from_le_bytes([
            native[2 * place],
            native[2 * place + 1],
        ])),
    };
    let (mut register, mut held) = (0_u64, 0);
    let mut put = |bits: u32, count: u32| {
        register = register << count | u64::from(bits);
        held += count;
        while held >= 8 {
            held -= 8;
            let byte = (register >> held) as u8;
            file.push(byte);
            if byte == 0xFF {
                file.push(0);
            }
        }
    };
    let row = shape.columns as usize * samples;
    for place in 0..row * shape.rows as usize {
        let before = if place < samples {
            1 << (shape.bits_stored - 1)
        } else if place % row < samples {
            value(place - row)
        } else {
            value(place - samples)
        };
        let difference = value(place) - before;
        let category = 32 - difference.unsigned_abs().leading_zeros();
        put(category, 5);
        let low = difference - i32::from(difference < 0);
        put(low.cast_unsigned() & ((1 << category) - 1), category);
    }
    put(0x7F, 7);
    file.extend([0xFF, 0xD9]);
    file
}

/// Noise that is the same in every run.
struct Noise(u32);

impl Noise {
    /// Around zero, like the sum of four dice.
    fn next(&mut self, size: i32) -> i32 {
        (0..4)
            .map(|_| {
                self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (self.0 >> 16) as i32 % (size + 1) - size / 2
            })
            .sum::<i32>()
            / 2
    }
}

/// A slice of a body in air: 512 × 512, 12 bits in 16, noise of some 10 units.
fn ct() -> (&'static str, Shape, Vec<u8>) {
    let mut noise = Noise(1);
    let pixel = |row: i32, column: i32| {
        let (y, x) = (row - 256, column - 256);
        let body = x * x / 4 + y * y / 2;
        let value = match body {
            15_000.. => 24 + noise.next(6),
            13_500.. => 960 + noise.next(20),
            _ if (x - 20).pow(2) + (y - 90).pow(2) < 900 => 1900 + (x * y) % 300 + noise.next(40),
            _ if (x.abs() - 110).pow(2) + y * y < 5000 => 180 + (x + y).abs() % 40 + noise.next(40),
            _ => 1040 + (x / 8 + y / 16) % 30 + noise.next(20),
        };
        value.clamp(0, 4095) as u16
    };
    gray("CT 512", 512, 512, pixel)
}

/// A chest by X-rays: 2048 × 2048, 12 bits in 16, smooth with fine noise.
fn cr() -> (&'static str, Shape, Vec<u8>) {
    let mut noise = Noise(2);
    let pixel = |row: i32, column: i32| {
        let (y, x) = (
            f64::from(row - 1024) / 1024.0,
            f64::from(column - 1024) / 1024.0,
        );
        let lungs = (-((x.abs() - 0.45).powi(2) * 12.0 + y * y * 3.0)).exp();
        let ribs = (y * 28.0 + x * x * 9.0).sin() * 90.0;
        let value = 900.0 + 1800.0 * lungs + ribs * (1.0 - x * x);
        (value as i32 + noise.next(12)).clamp(0, 4095) as u16
    };
    gray("CR 2048", 2048, 2048, pixel)
}

fn gray(
    name: &'static str,
    rows: u32,
    columns: u32,
    mut pixel: impl FnMut(i32, i32) -> u16,
) -> (&'static str, Shape, Vec<u8>) {
    let mut native = Vec::with_capacity((rows * columns * 2) as usize);
    for row in 0..rows as i32 {
        for column in 0..columns as i32 {
            native.extend(pixel(row, column).to_le_bytes());
        }
    }
    let shape = Shape {
        rows,
        columns,
        ..shape(Photometric::Monochrome2, 16, 12)
    };
    (name, shape, native)
}

/// An endoscope's view: 768 × 1024, 8 bits of red, green and blue, dark corners.
fn color() -> (&'static str, Shape, Vec<u8>) {
    let mut noise = Noise(3);
    let mut native = Vec::with_capacity(768 * 1024 * 3);
    for row in 0..768_i32 {
        for column in 0..1024_i32 {
            let (y, x) = (row - 384, column - 512);
            let folds = (f64::from(x * x + y * y).sqrt() / 30.0).sin() * 30.0;
            let light = 200 - (x * x + y * y) / 1200 + folds as i32;
            for share in [10, 6, 5] {
                let value = match x * x + y * y {
                    140_000.. => 4,
                    _ => light * share / 10 + noise.next(4),
                };
                native.push(value.clamp(0, 255) as u8);
            }
        }
    }
    let shape = Shape {
        rows: 768,
        columns: 1024,
        ..shape(Photometric::Rgb, 8, 8)
    };
    ("color", shape, native)
}
