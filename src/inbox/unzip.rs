//! ZIP archives opened one level deep and read in place. No name found in one becomes a path; entries, the bytes that are
//! read of them and those that they inflate to are bounded. Bytes that inflate to nothing are work too, so both are counted,
//! for all entries together; entries that lie over one another are refused, because those of a bomb share their bytes.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use zip::ZipReadOptions;
use zip::read::ZipFileEntry;
use zip::unstable::read::ZipIterable;

/// What a ZIP archive may always inflate to, however small it is. Bytes.
const INFLATED_BYTES_FREE: u64 = 64 << 20;
/// A local file header without what varies (APPNOTE 4.3.7). Bytes.
const LOCAL_HEADER_BYTES: u64 = 30;

/// Why [`Inside::Overlapping`] is not read.
pub const OVERLAPPING: &str = "cannot be read: it lies over another file of the archive";
const INFLATES: &str = "the archive inflates to more than its size allows";

/// How much is believed of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZipLimits {
    /// The most entries.
    pub entries_max: u64,
    /// How many times its own size it may inflate to, beyond a free allowance.
    pub ratio_max: u64,
}

/// Where the bytes of an archive are.
pub trait Source {
    /// Reads from a place; how many bytes, none at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// How many bytes there are.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn length(&self) -> io::Result<u64>;
}

/// An entry.
pub type Entry = Box<ZipFileEntry<'static>>;

/// What is in an archive.
pub enum Inside {
    /// A file.
    Entry(Entry),
    /// A file that lies over one that was told before.
    Overlapping(Entry),
    /// A symbolic link.
    Link,
    /// Something that cannot be read, and why; maybe the archive as a whole.
    Unreadable(String),
}

/// An open archive.
pub struct Zip<S> {
    source: S,
    account: Account,
    entries_max: u64,
}

/// What all entries of an archive together may still inflate to. What is read of them needs no account: they lie beside one
/// another ([`Spans`]), so that it is no more than the archive.
struct Account {
    inflated: AtomicU64,
    /// Whether an entry wanted more than was left: then there is nothing for any.
    is_spent: AtomicBool,
}

impl Account {
    fn charge(&self, length: usize) -> io::Result<usize> {
        let taken = length as u64;
        let charged = self
            .inflated
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(taken)
            });
        if charged.is_err() {
            self.is_spent.store(true, Ordering::Relaxed);
        }
        self.check().map(|()| length)
    }

    fn check(&self) -> io::Result<()> {
        match self.is_spent.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(io::Error::other(INFLATES)),
        }
    }
}

impl<S: Source> Zip<S> {
    /// Opens one.
    ///
    /// # Errors
    /// When its length cannot be found out.
    pub fn new(source: S, limits: ZipLimits) -> io::Result<Self> {
        let length = source.length()?;
        let inflated = length.saturating_mul(limits.ratio_max);
        let inflated = inflated.saturating_add(INFLATED_BYTES_FREE);
        Ok(Self {
            source,
            account: Account {
                inflated: AtomicU64::new(inflated),
                is_spent: AtomicBool::new(false),
            },
            entries_max: limits.entries_max,
        })
    }

    /// Tells what is in it, folders left out, until `tell` answers `false`: then it is `false` too. An archive that has cost
    /// more than it may is told no further.
    pub fn each(&self, tell: &mut dyn FnMut(Inside) -> bool) -> bool {
        let mut directory = match self.directory() {
            Ok(directory) => directory,
            Err(why) => return tell(Inside::Unreadable(why)),
        };
        let files = match directory.files() {
            Ok(files) => files,
            Err(error) => return tell(Inside::Unreadable(unreadable(&error))),
        };
        let mut taken = Spans::default();
        for entry in files {
            if self.account.check().is_err() {
                let why = "the rest of the archive was not read: its entries cost too much";
                return tell(Inside::Unreadable(why.into()));
            }
            let goes_on = match entry {
                Ok(entry) if entry.is_dir() => true,
                Ok(entry) if entry.is_symlink() => tell(Inside::Link),
                Ok(entry) if taken.take(span(&entry)) => tell(Inside::Entry(Box::new(entry))),
                Ok(entry) => tell(Inside::Overlapping(Box::new(entry))),
                Err(error) => tell(Inside::Unreadable(unreadable(&error))),
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    /// Tells what its files are called, as far as it can be read, before any of them is.
    pub fn names(&self, tell: &mut dyn FnMut(&[u8])) {
        let Ok(mut directory) = self.directory() else {
            return;
        };
        let Ok(files) = directory.files() else { return };
        for entry in files.map_while(Result::ok) {
            tell(entry.name_raw());
        }
    }

    fn directory(&self) -> Result<ZipIterable<Place<'_, S>>, String> {
        let place = Place {
            source: &self.source,
            at: 0,
        };
        let directory = ZipIterable::try_new(place, zip::read::Config::default());
        let directory = directory.map_err(|error| unreadable(&error))?;
        match directory.len() as u64 > self.entries_max {
            true => Err(format!("more than {} entries", self.entries_max)),
            false => Ok(directory),
        }
    }

    /// Gives the bytes of an entry to `read`.
    ///
    /// # Errors
    /// When it cannot be read: encrypted, of a method that we do not know, of an archive that has cost more than it may.
    pub fn open<T>(
        &self,
        entry: ZipFileEntry<'static>,
        read: impl FnOnce(&mut dyn Read) -> T,
    ) -> io::Result<T> {
        let mut place = Place {
            source: &self.source,
            at: 0,
        };
        let inflated = entry
            .with_reader(&mut place, ZipReadOptions::new())
            .map_err(io::Error::other)?;
        Ok(read(&mut Bounded {
            inner: inflated,
            account: &self.account,
        }))
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> String {
    format!("cannot be read: {error}")
}

/// From where to where an entry lies at least: its name and more in its local header may be others than in the directory.
fn span(entry: &ZipFileEntry<'_>) -> (u64, u64) {
    let start = entry.header_start();
    let end = start.saturating_add(LOCAL_HEADER_BYTES);
    (start, end.saturating_add(entry.compressed_size()))
}

/// Parts of an archive that lie beside one another: where each ends, by where it begins.
#[derive(Default)]
struct Spans(BTreeMap<u64, u64>);

impl Spans {
    /// Whether a part lies over none that was taken before; then it is taken.
    fn take(&mut self, (start, end): (u64, u64)) -> bool {
        let before = self.0.range(..end).next_back();
        let is_free = before.is_none_or(|(_, before)| *before <= start);
        if is_free {
            self.0.insert(start, end);
        }
        is_free
    }
}

/// What an entry is called.
#[must_use]
pub fn name(entry: &Entry) -> String {
    String::from_utf8_lossy(entry.name_raw()).into_owned()
}

/// A place of one's own in a shared source.
struct Place<'a, S> {
    source: &'a S,
    at: u64,
}

impl<S: Source> Read for Place<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl<S: Source> Seek for Place<'_, S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.source.length()?.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Stops when the archive has inflated to more than it may.
struct Bounded<'a, R> {
    inner: R,
    account: &'a Account,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.account.check()?;
        let length = self.inner.read(buffer)?;
        self.account.charge(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes at hand, and how many of them were read.
    struct Counted(Vec<u8>, AtomicU64);

    impl Source for Counted {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let start = usize::try_from(offset).unwrap().min(self.0.len());
            let length = (&self.0[start..]).read(buffer)?;
            self.1.fetch_add(length as u64, Ordering::Relaxed);
            Ok(length)
        }

        fn length(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }

    /// An archive (APPNOTE 4.3) of one deflated stream; its entries begin at `starts`, and claim so many bytes each.
    fn archive(starts: &[u32], stream: &[u8], (packed, inflated): (u32, u32)) -> Vec<u8> {
        let common = [
            // Version 2.0, no flags, deflated, no time, no CRC.
            &[20, 0, 0, 0, 8, 0, 0, 0, 0x21, 0x28, 0, 0, 0, 0][..],
            &packed.to_le_bytes(),
            &inflated.to_le_bytes(),
            &[1, 0, 0, 0],
        ];
        let common = common.concat();
        let mut bytes = [b"PK\x03\x04", &common[..], b"x", stream].concat();
        let directory = u32::try_from(bytes.len()).unwrap();
        for start in starts {
            let entry = [
                b"PK\x01\x02\x14\0",
                &common[..],
                &[0; 10],
                &start.to_le_bytes(),
            ];
            bytes.extend([&entry.concat()[..], b"x"].concat());
        }
        let size = u32::try_from(bytes.len()).unwrap() - directory;
        let count = u16::try_from(starts.len()).unwrap().to_le_bytes();
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend([count, count].concat());
        bytes.extend([size.to_le_bytes(), directory.to_le_bytes()].concat());
        bytes.extend([0, 0]);
        bytes
    }

    #[derive(Debug, Default, PartialEq)]
    struct Told {
        entries: usize,
        overlapping: usize,
        faults: Vec<String>,
        /// Bytes of the archive.
        read: u64,
        length: u64,
    }

    /// What is told of an archive, and how much of it is read, when each of its entries is read; or only begun.
    fn told(bytes: Vec<u8>, is_read: bool) -> Told {
        let mut told = Told {
            length: bytes.len() as u64,
            ..Told::default()
        };
        let limits = ZipLimits {
            entries_max: 100_000,
            ratio_max: 1,
        };
        let zip = Zip::new(Counted(bytes, AtomicU64::new(0)), limits).unwrap();
        let goes_on = zip.each(&mut |inside| {
            let read = match inside {
                Inside::Entry(entry) => {
                    told.entries += 1;
                    zip.open(*entry, |bytes| match is_read {
                        true => io::copy(bytes, &mut io::sink()).map(|_| ()),
                        false => bytes.read(&mut [0; 16]).map(|_| ()),
                    })
                    .and_then(|read| read)
                }
                Inside::Overlapping(_) => {
                    told.overlapping += 1;
                    Ok(())
                }
                Inside::Link => Ok(()),
                Inside::Unreadable(why) => Err(io::Error::other(why)),
            };
            told.faults
                .extend(read.err().map(|error| error.to_string()));
            true
        });
        assert!(goes_on);
        told.read = zip.source.1.into_inner();
        told
    }

    /// Stored blocks of length zero (RFC 1951 §3.2.4), and no end.
    fn empty_blocks(bytes: usize) -> Vec<u8> {
        [0, 0, 0, 0xFF, 0xFF].repeat(bytes / 5)
    }

    #[test]
    fn bytes_that_inflate_to_nothing_are_read_once() {
        let stream = empty_blocks(10 << 20);
        let packed = u32::try_from(stream.len()).unwrap();
        for is_read in [true, false] {
            // Sixty thousand entries, all the same bytes.
            let bytes = archive(&[0; 60_000], &stream, (packed, 1));
            let told = told(bytes, is_read);
            assert_eq!((told.entries, told.overlapping), (1, 59_999));
            assert!(told.read < 2 * told.length, "{told:?}");
        }
    }

    #[test]
    fn entries_whose_headers_lead_to_the_same_bytes_are_read_once() {
        // A header of an entry every 31 bytes, each with an extra field that ends where the stream begins: of the directory
        // they lie beside one another, if each claims to be empty; claiming more they do not.
        let (count, stream) = (2000_u32, empty_blocks(1 << 20));
        let mut headers = Vec::new();
        for place in 1..count {
            let extra = u16::try_from((count - 1 - place) * 31)
                .unwrap()
                .to_le_bytes();
            headers.extend(b"PK\x03\x04");
            headers.extend([20, 0, 0, 0, 8, 0, 0, 0, 0x21, 0x28, 0, 0, 0, 0]);
            headers.extend([[0; 8], [1, 0, extra[0], extra[1], b'x', 0, 0, 0]].concat());
            headers.truncate(place as usize * 31);
        }
        headers.extend(&stream);
        let starts: Vec<_> = (1..count).map(|place| place * 31).collect();
        let claimed = u32::try_from(stream.len()).unwrap();
        let all = told(archive(&starts, &headers, (claimed, 1)), true);
        assert_eq!((all.entries, all.overlapping), (1, 1998));
        assert!(all.read < 2 * all.length, "{all:?}");
        let none = told(archive(&starts, &headers, (0, 1)), true);
        assert_eq!((none.entries, none.overlapping), (1999, 0));
        assert!(none.read < 2 * none.length, "{none:?}");
    }

    #[test]
    fn what_inflates_to_too_much_is_the_end_of_the_archive() {
        let mut zeros = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        io::copy(&mut io::repeat(0).take(100 << 20), &mut zeros).unwrap();
        let stream = zeros.finish().unwrap();
        let packed = u32::try_from(stream.len()).unwrap();
        let told = told(archive(&[0, 1 << 30], &stream, (packed, 100 << 20)), true);
        assert_eq!(told.entries, 1);
        assert_eq!(told.faults[0], INFLATES);
        assert!(told.faults[1].contains("cost too much") && told.faults.len() == 2);
    }

    #[test]
    fn parts_lie_beside_one_another_in_any_order() {
        let mut spans = Spans::default();
        for (span, is_free) in [
            ((100, 200), true),
            ((200, 300), true),
            ((0, 100), true),
            ((400, 500), true),
            ((100, 200), false),
            ((150, 160), false),
            ((0, 1000), false),
            ((299, 301), false),
            ((399, 401), false),
            ((300, u64::MAX), false),
            ((300, 400), true),
            ((500, u64::MAX), true),
            ((u64::MAX - 1, u64::MAX), false),
        ] {
            assert_eq!(spans.take(span), is_free, "{span:?}");
        }
    }
}
