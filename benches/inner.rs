//! The inner pieces, one by one and a given number of times, for counting instructions: reading a
//! data set (walker, metadata, frame map), setting the base URL into metadata, packing a frame map, searches over
//! SQLite, commits alone and together.
//!
//! `scripts/instructions` runs each under callgrind with two counts: the difference is what one more costs, whatever the
//! preparation did. `cargo bench --bench inner` runs each for a moment and prints nanoseconds.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use overread::access::Scope;
use overread::archive::{
    Archive, Coercion, Declared, Door, DuplicatePolicy, Handed, IngestSettings, Origin, Outcome,
    PatientConflictPolicy,
};
use overread::dicom::frame_map::{Encapsulated, Span};
use overread::dicom::header::HeaderReader;
use overread::dicom::json::splice_base;
use overread::dicom::query::{Field, Keys, Order, Ranges, Syntax};
use overread::dicom::walk::Limits;
use overread::dicom::{FrameMap, Level, Query, Uid};
use overread::{db, store};
use tempfile::TempDir;

const EXPLICIT_LE: &str = "1.2.840.10008.1.2.1";
const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
/// As many as a P-DATA PDU brings.
const PIECE_BYTES: usize = 131_072;
/// How large the index is that is searched.
const STUDIES: u32 = 5000;
/// Names a folder in which the index that is searched is kept, so that not every run fills one.
const KEPT: &str = "INNER_INDEX";
/// Instances that share one commit.
const TOGETHER: u32 = 32;
/// How long one piece runs when nobody counts instructions.
const MOMENT: Duration = Duration::from_millis(200);

/// Does one operation; the number tells it from those before.
type Piece = Box<dyn FnMut(u32) -> Result<()>>;

/// Makes the inputs of a piece.
type Prepare = fn() -> Result<Piece>;

/// A name, and what prepares the piece.
const PIECES: &[(&str, Prepare)] = &[
    ("read-ct", || reading(EXPLICIT_LE, slice(1, 1, 512))),
    ("read-5-kb", || reading(EXPLICIT_LE, slice(1, 1, 8))),
    ("read-1000-frames", || reading(JPEG_BASELINE, film(1000))),
    ("read-nested", || reading(EXPLICIT_LE, nested())),
    ("metadata-base-url", base_url),
    ("frame-map-pack", || {
        let map = map_of(1000);
        Ok(Box::new(move |_| keep(&map.encode())))
    }),
    ("frame-map-unpack", || {
        let packed = map_of(1000).encode();
        Ok(Box::new(move |_| keep(&FrameMap::decode(&packed))))
    }),
    ("frame-map-find", || {
        let map = map_of(1000);
        Ok(Box::new(move |turn| keep(&map.frame(turn % 1000 + 1))))
    }),
    ("find-patient-id", || {
        searching("PatientID", |turn| format!("P{:06}", turn * 7 % STUDIES))
    }),
    ("find-study-uid", || {
        searching("StudyInstanceUID", |turn| study_uid(turn * 7 % STUDIES))
    }),
    ("find-accession", || {
        searching("AccessionNumber", |turn| {
            format!("A{:06}", turn * 7 % STUDIES)
        })
    }),
    ("find-name-prefix", || {
        searching("PatientName", |_| "SMITH*".into())
    }),
    ("find-name-part", || {
        searching("PatientName", |_| "*SON*".into())
    }),
    ("find-date-range", || {
        searching("StudyDate", |turn| {
            let year = 2015 + turn % 8;
            format!("{year}0101-{year}0331")
        })
    }),
    ("find-nothing", || {
        searching("PatientName", |_| "*QQXZ*".into())
    }),
    ("find-first-page", || searching("", |_| String::new())),
    ("commit-alone", || committing(1)),
    ("commit-32-together", || committing(TOGETHER)),
];

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    match words.as_slice() {
        [word] if word == "list" => PIECES.iter().for_each(|(name, _)| println!("{name}")),
        [name, count] => {
            let count = count.parse().context("how often is a number")?;
            let mut piece = piece(name)?;
            (0..count).try_for_each(&mut piece)?;
        }
        [] => {
            for (name, prepare) in PIECES {
                println!("{name:20} {:>12} ns", nanoseconds(&mut prepare()?)?);
            }
        }
        _ => bail!("inner [list | PIECE COUNT]"),
    }
    Ok(())
}

fn piece(name: &str) -> Result<Piece> {
    let found = PIECES.iter().find(|(known, _)| *known == name);
    let (_, prepare) = found.with_context(|| format!("there is no piece {name}"))?;
    prepare()
}

fn nanoseconds(piece: &mut Piece) -> Result<u128> {
    let (begun, mut turns) = (Instant::now(), 0);
    while begun.elapsed() < MOMENT {
        piece(turns)?;
        turns += 1;
    }
    Ok(begun.elapsed().as_nanos() / u128::from(turns))
}

#[expect(clippy::unnecessary_wraps, reason = "it ends a piece")]
fn keep<T>(result: &T) -> Result<()> {
    black_box(result);
    Ok(())
}

/// A data set read from end to end, in pieces as the network brings them.
fn reading(syntax: &'static str, dataset: Vec<u8>) -> Result<Piece> {
    let syntax = Uid::parse(syntax)?;
    let limits = settings().limits;
    Ok(Box::new(move |_| {
        let mut reader = HeaderReader::new(&syntax, &limits)?;
        for bytes in dataset.chunks(PIECE_BYTES) {
            reader.feed(bytes)?;
        }
        keep(&reader.finish()?)
    }))
}

fn base_url() -> Result<Piece> {
    let mut reader = HeaderReader::new(&Uid::parse(EXPLICIT_LE)?, &settings().limits)?;
    reader.feed(&slice(1, 1, 512))?;
    let metadata = reader.finish()?.metadata;
    Ok(Box::new(move |_| {
        let mut out = Vec::new();
        splice_base(&metadata, "https://pacs.example.org/dicom-web", &mut out);
        keep(&out)
    }))
}

fn map_of(frames: u64) -> FrameMap {
    // As long as JPEG frames are: no two alike.
    let spans = (0..frames).scan(0, |offset, number| {
        let length = 100_000 + number * 7919 % 10_000 * 2;
        let span = Span {
            offset: *offset,
            length,
        };
        *offset += 8 + length;
        Some(span)
    });
    FrameMap::Encapsulated(Encapsulated::of_single(spans.collect()))
}

/// One search after another over SQLite; each time other values.
fn searching(keyword: &'static str, value: fn(u32) -> String) -> Result<Piece> {
    let house = match std::env::var_os(KEPT) {
        Some(folder) => House::at(&PathBuf::from(folder), None)?,
        None => House::open()?,
    };
    if house.archive.totals()?.studies == 0 {
        for study in 0..STUDIES {
            house.hand_over(study, 1)?;
            if study % TOGETHER == 0 {
                house.settle()?;
            }
        }
        house.settle()?;
    }
    let field = Field::read(keyword);
    Ok(Box::new(move |turn| {
        let text = value(turn);
        let mut keys = Keys::new(Level::Study, []);
        if let Some(field) = &field {
            keys.add(field, &text, Syntax::WEB)?;
        }
        let query = Query {
            level: Level::Study,
            keys: keys.finish(Ranges::Combined),
            limit: 50,
            offset: 0,
            order: Order::NEWEST,
        };
        keep(&house.archive.find(&query, &Scope::All)?)
    }))
}

/// So many instances handed over at once, and waited for.
fn committing(together: u32) -> Result<Piece> {
    let house = House::open()?;
    Ok(Box::new(move |turn| {
        for number in 0..together {
            house.hand_over(turn, number)?;
        }
        house.settle()
    }))
}

/// An archive over SQLite and the file system.
struct House {
    archive: Archive,
    handed: RefCell<Vec<Handed>>,
    _folder: Option<TempDir>,
}

impl House {
    fn open() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().to_owned();
        Self::at(&path, Some(folder))
    }

    fn at(path: &Path, folder: Option<TempDir>) -> Result<Self> {
        let index = Arc::new(db::Sqlite::open(&path.join("index.sqlite"), 1)?);
        let blobs = Arc::new(store::Filesystem::open(&path.join("blobs"))?);
        let (archive, _) = Archive::open(index, blobs, settings())?;
        Ok(Self {
            archive,
            handed: RefCell::default(),
            _folder: folder,
        })
    }

    fn hand_over(&self, study: u32, number: u32) -> Result<()> {
        let origin = Origin {
            door: Door::Dimse,
            sender: "BENCH".into(),
            peer: "127.0.0.1".into(),
        };
        let syntax = Uid::parse(EXPLICIT_LE)?;
        let mut incoming = self
            .archive
            .receive_dataset(origin, &syntax, Declared::default())?;
        incoming.write(&slice(study, number, 8))?;
        self.handed.borrow_mut().push(incoming.hand_over()?);
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        let stored: Vec<_> = self.handed.borrow_mut().drain(..).collect();
        for handed in stored {
            let outcome = handed.wait()?.outcome;
            ensure!(outcome == Outcome::Stored, "not stored: {outcome:?}");
        }
        Ok(())
    }
}

fn settings() -> IngestSettings {
    IngestSettings {
        duplicate: DuplicatePolicy::Quarantine,
        patient_conflict: PatientConflictPolicy::Quarantine,
        buffer_bytes_max: 2 << 20,
        free_bytes_min: 0,
        limits: Limits {
            value_bytes_max: 65_536,
            depth_max: 64,
            metadata_bytes_max: 32 << 20,
            fragments_max: 1_000_000,
            object_bytes_max: 64 << 30,
            inline_bytes_max: 4096,
        },
        coercion: Coercion::default(),
        forwarding: Arc::default(),
        made_bytes_max: 0,
    }
}

fn study_uid(study: u32) -> String {
    format!("1.2.826.0.1.3680043.10.9999.{}", 1_000_000 + study)
}

/// A data set in Explicit VR Little Endian (PS3.5 §7.1.2), written in ascending order of tags.
#[derive(Default)]
struct Encoder {
    out: Vec<u8>,
    seen: BTreeSet<u32>,
}

impl Encoder {
    fn put(&mut self, tag: u32, vr: &str, value: &[u8]) {
        assert!(self.seen.range(tag..).next().is_none(), "{tag:08X}");
        self.seen.insert(tag);
        self.out.extend(((tag >> 16) as u16).to_le_bytes());
        self.out.extend((tag as u16).to_le_bytes());
        self.out.extend(vr.as_bytes());
        let is_odd = value.len() % 2 == 1;
        let length = (value.len() + usize::from(is_odd)) as u32;
        if matches!(vr, "OB" | "OW" | "SQ" | "UN" | "UT") {
            self.out.extend([0, 0]);
            self.out.extend(length.to_le_bytes());
        } else {
            self.out.extend((length as u16).to_le_bytes());
        }
        self.out.extend(value);
        if is_odd {
            self.out.push(if vr == "UI" { 0 } else { b' ' });
        }
    }

    fn text(&mut self, tag: u32, vr: &str, value: &str) {
        self.put(tag, vr, value.as_bytes());
    }

    /// A sequence of so many coded concepts (PS3.3 §8), each with an item in it when it is nested.
    fn codes(&mut self, tag: u32, items: u32, depth: u32) {
        let mut value = Vec::new();
        for number in 0..items {
            let mut item = Encoder::default();
            item.text(0x0008_0100, "SH", &format!("{}", 121_000 + number));
            item.text(0x0008_0102, "SH", "DCM");
            item.text(0x0008_0104, "LO", "A meaning in words");
            if depth > 0 {
                item.codes(0x0040_A043, items, depth - 1);
            }
            value.extend([0xFE, 0xFF, 0x00, 0xE0]);
            value.extend((item.out.len() as u32).to_le_bytes());
            value.extend(item.out);
        }
        self.put(tag, "SQ", &value);
    }
}

/// What comes before the pixels of an image: some 90 elements, sequences and private blocks among them.
fn head(study: u32, number: u32) -> Encoder {
    const NAMES: [&str; 6] = [
        "SMITH^JOHN",
        "MÜLLER^HANS",
        "JOHNSON^MARY",
        "ROSSI^GIULIA",
        "ANDERSON^ANNA",
        "SMITHERS^PETER",
    ];
    let mut e = Encoder::default();
    let (year, month, day) = (2015 + study % 8, 1 + study % 12, 1 + study % 28);
    let date = format!("{year}{month:02}{day:02}");
    e.text(0x0008_0005, "CS", "ISO_IR 192");
    e.text(0x0008_0008, "CS", "ORIGINAL\\PRIMARY\\AXIAL");
    e.text(0x0008_0016, "UI", "1.2.840.10008.5.1.4.1.1.2");
    e.text(
        0x0008_0018,
        "UI",
        &format!("{}.1.{number}", study_uid(study)),
    );
    for tag in [0x0008_0020, 0x0008_0021, 0x0008_0022, 0x0008_0023] {
        e.text(tag, "DA", &date);
    }
    for tag in [0x0008_0030, 0x0008_0031, 0x0008_0032, 0x0008_0033] {
        e.text(tag, "TM", "101112.130000");
    }
    e.text(0x0008_0050, "SH", &format!("A{study:06}"));
    e.text(0x0008_0060, "CS", "CT");
    e.text(0x0008_0070, "LO", "A MANUFACTURER");
    e.text(0x0008_0080, "LO", "Universitätsklinikum");
    e.text(0x0008_0090, "PN", "REFERRER^ANNE^^DR");
    e.text(0x0008_1030, "LO", "CT THORAX/ABDOMEN");
    e.codes(0x0008_1032, 1, 0);
    e.text(0x0008_103E, "LO", "AXIAL 1.5");
    e.codes(0x0008_1140, 3, 0);
    e.text(0x0010_0010, "PN", NAMES[study as usize % NAMES.len()]);
    e.text(0x0010_0020, "LO", &format!("P{study:06}"));
    e.text(0x0010_0030, "DA", "19700101");
    e.text(0x0010_0040, "CS", "F");
    for (place, value) in ["HELICAL_CT", "1.5", "120", "500"].into_iter().enumerate() {
        e.text(0x0018_0022 + 0x10 * place as u32, "LO", value);
    }
    for place in 0..24 {
        e.text(0x0018_1100 + place, "DS", "1085.6");
    }
    e.text(0x0019_0010, "LO", "A BLOCK OF ONE");
    for place in 0..6 {
        e.text(0x0019_1060 + place, "LO", "Br40d/3");
    }
    e.text(0x0020_000D, "UI", &study_uid(study));
    e.text(0x0020_000E, "UI", &format!("{}.1", study_uid(study)));
    e.text(0x0020_0010, "SH", "1");
    e.text(0x0020_0011, "IS", "1");
    e.text(0x0020_0013, "IS", &number.to_string());
    e.text(0x0020_0032, "DS", "-249.5\\-249.5\\12.5");
    e.text(0x0020_0037, "DS", "1\\0\\0\\0\\1\\0");
    e.text(0x0020_0052, "UI", &format!("{}.2", study_uid(study)));
    e
}

fn pixel_module(e: &mut Encoder, side: u16, frames: u32, is_color: bool) {
    let (samples, bits): (u16, u16) = if is_color { (3, 8) } else { (1, 16) };
    e.put(0x0028_0002, "US", &samples.to_le_bytes());
    let photometric = if is_color { "YBR_FULL" } else { "MONOCHROME2" };
    e.text(0x0028_0004, "CS", photometric);
    if is_color {
        e.put(0x0028_0006, "US", &[0, 0]);
    }
    e.text(0x0028_0008, "IS", &frames.to_string());
    for (tag, value) in [(0x0028_0010, side), (0x0028_0011, side)] {
        e.put(tag, "US", &value.to_le_bytes());
    }
    e.text(0x0028_0030, "DS", "0.9765625\\0.9765625");
    for (tag, value) in [
        (0x0028_0100, bits),
        (0x0028_0101, bits),
        (0x0028_0102, bits - 1),
        (0x0028_0103, 0),
    ] {
        e.put(tag, "US", &value.to_le_bytes());
    }
    e.text(0x0028_1050, "DS", "40\\400");
    e.text(0x0028_1051, "DS", "350\\1500");
}

/// A CT slice of `side` × `side`.
fn slice(study: u32, number: u32, side: u16) -> Vec<u8> {
    let mut e = head(study, number);
    pixel_module(&mut e, side, 1, false);
    e.put(0x0029_0010, "LO", b"A BLOCK OF BYTES");
    e.put(
        0x0029_1010,
        "OB",
        &vec![7; if side < 100 { 256 } else { 9000 }],
    );
    e.codes(0x0040_0260, 2, 1);
    let pixels = vec![5; usize::from(side) * usize::from(side) * 2];
    e.put(0x7FE0_0010, "OW", &pixels);
    e.out
}

/// So many encapsulated frames, a fragment each (PS3.5 §A.4).
fn film(frames: u32) -> Vec<u8> {
    let mut e = head(1, 1);
    pixel_module(&mut e, 64, frames, true);
    let mut out = e.out;
    out.extend(*b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0");
    for number in 0..frames {
        let length = 400 + number % 64 * 2;
        out.extend(*b"\xFE\xFF\0\xE0");
        out.extend(length.to_le_bytes());
        out.extend(vec![0xD8; length as usize]);
    }
    out.extend(*b"\xFE\xFF\xDD\xE0\0\0\0\0");
    out
}

/// As deep and wide as a structured report: some 1,400 elements in sequences.
fn nested() -> Vec<u8> {
    let mut e = head(1, 1);
    e.codes(0x0040_A730, 7, 2);
    e.out
}
