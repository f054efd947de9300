//! What `import` is pointed at, one item at a time: folders are walked in order of name without
//! recursion and without going round in circles, ZIP archives are opened one level deep and read in
//! place. No name found on the way becomes a path to write to.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::ImportSettings;
use crate::inbox::unzip::{self, Entry, Inside, Source, ZipLimits};

/// Something that may hold an object.
pub(super) enum Item {
    /// A file.
    File(PathBuf),
    /// An entry of a ZIP archive.
    Entry(Arc<Zip>, Entry),
}

/// What the walk comes across.
pub(super) enum Found {
    /// Something to try.
    Item(Item),
    /// Something that cannot be read: its path, and why.
    Unreadable(String, String),
    /// Neither file nor folder.
    Other,
}

/// An open ZIP archive.
pub(super) struct Zip {
    path: PathBuf,
    inside: unzip::Zip<OnDisk>,
}

/// A file whose bytes are read from wherever they are wanted.
struct OnDisk(File);

impl Source for OnDisk {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl Item {
    /// What to call it in the report.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Entry(zip, entry) => {
                format!("{}: {}", zip.path.display(), unzip::name(entry))
            }
        }
    }

    /// Gives its bytes to `read`.
    pub(super) fn open<T>(self, read: impl FnOnce(&mut dyn Read) -> T) -> io::Result<T> {
        match self {
            Self::File(path) => Ok(read(&mut File::open(path)?)),
            Self::Entry(zip, entry) => zip.inside.open(*entry, read),
        }
    }
}

/// Walks `paths` and tells what it comes across, until that answers `false`. The folder `except`,
/// which is our own data directory, is passed over.
pub(super) fn walk(
    paths: &[PathBuf],
    except: &Path,
    limits: ImportSettings,
    tell: &mut dyn FnMut(Found) -> bool,
) {
    let mut seen: HashSet<(u64, u64)> = except.metadata().iter().map(identity).collect();
    // The next is at the end.
    let mut waiting: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = waiting.pop() {
        let goes_on = match path.metadata() {
            Ok(about) if about.is_dir() => {
                if !seen.insert(identity(&about)) {
                    continue;
                }
                match sorted(&path) {
                    Ok(inside) => {
                        waiting.extend(inside.into_iter().rev());
                        true
                    }
                    Err(error) => tell(unreadable(&path, &error)),
                }
            }
            Ok(about) if about.is_file() => match opened_zip(&path, limits) {
                Ok(Some(zip)) => entries(&Arc::new(zip), tell),
                Ok(None) => tell(Found::Item(Item::File(path))),
                Err(error) => tell(unreadable(&path, &error)),
            },
            Ok(_) => tell(Found::Other),
            Err(error) => tell(unreadable(&path, &error)),
        };
        if !goes_on {
            return;
        }
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Found {
    Found::Unreadable(
        path.display().to_string(),
        format!("cannot be read: {error}"),
    )
}

fn identity(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut inside = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    inside.sort_unstable();
    Ok(inside)
}

/// A DICOM preamble may look like anything (PS3.10 §7.1), so what is both DICOM and ZIP is DICOM.
fn opened_zip(path: &Path, limits: ImportSettings) -> io::Result<Option<Zip>> {
    let file = File::open(path)?;
    let mut head = [0; 132];
    let length = file.read_at(&mut head, 0)?;
    let is_zip = head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06");
    if !is_zip || (length == head.len() && head.ends_with(b"DICM")) {
        return Ok(None);
    }
    let limits = ZipLimits {
        entries_max: limits.zip_entries_max,
        ratio_max: limits.zip_ratio_max,
    };
    Ok(Some(Zip {
        path: path.to_owned(),
        inside: unzip::Zip::new(OnDisk(file), limits)?,
    }))
}

fn entries(zip: &Arc<Zip>, tell: &mut dyn FnMut(Found) -> bool) -> bool {
    zip.inside.each(&mut |inside| {
        tell(match inside {
            Inside::Entry(entry) => Found::Item(Item::Entry(Arc::clone(zip), entry)),
            Inside::Overlapping(entry) => {
                let name = Item::Entry(Arc::clone(zip), entry).name();
                Found::Unreadable(name, unzip::OVERLAPPING.into())
            }
            Inside::Link => Found::Other,
            Inside::Unreadable(why) => Found::Unreadable(zip.path.display().to_string(), why),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const LIMITS: ImportSettings = ImportSettings {
        zip_entries_max: 3,
        zip_ratio_max: 1,
    };

    fn zip_at(path: &Path, entries: &[(&str, &[u8])]) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        for (name, bytes) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
    }

    /// What is found below `paths`: names and bytes of items, reasons of what is unreadable.
    fn found(paths: &[PathBuf], except: &Path) -> Vec<(String, String)> {
        let mut told = Vec::new();
        walk(paths, except, LIMITS, &mut |found| {
            told.push(match found {
                Found::Item(item) => {
                    let name = item.name();
                    let mut bytes = Vec::new();
                    let read = item
                        .open(|source| source.read_to_end(&mut bytes).map(|_| ()))
                        .and_then(|read| read);
                    (
                        name,
                        read.map_or_else(
                            |error| error.to_string(),
                            |()| String::from_utf8_lossy(&bytes).into(),
                        ),
                    )
                }
                Found::Unreadable(name, reason) => (name, reason),
                Found::Other => ("other".into(), String::new()),
            });
            true
        });
        told
    }

    #[test]
    fn folders_are_walked_in_order_and_not_in_circles() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::create_dir_all(root.join("data")).unwrap();
        for name in ["a", "b/2", "b/10", "b/c/x", "data/blob"] {
            fs::write(root.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
        std::os::unix::fs::symlink(root.join("nowhere"), root.join("z")).unwrap();
        let names: Vec<_> = found(&[root.to_owned()], &root.join("data"))
            .into_iter()
            .map(|(name, _)| {
                Path::new(&name)
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(names, ["a", "b/10", "b/2", "b/c/x", "z"]);
    }

    #[test]
    fn zip_archives_are_opened_one_level_deep() {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("inner");
        zip_at(&inner, &[("deep", b"deep")]);
        let outer = place.path().join("outer");
        zip_at(
            &outer,
            &[
                ("../../up", b"1"),
                ("same", b"2"),
                ("inner.zip", &fs::read(&inner).unwrap()),
            ],
        );
        let told = found(std::slice::from_ref(&outer), Path::new("/nowhere"));
        let outer = outer.display();
        assert_eq!(told[0], (format!("{outer}: ../../up"), "1".into()));
        assert_eq!(told[1], (format!("{outer}: same"), "2".into()));
        assert!(told[2].1.starts_with("PK"));
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn bombs_are_stopped() {
        let place = tempfile::tempdir().unwrap();
        let bomb = place.path().join("bomb");
        zip_at(&bomb, &[("zeros", &vec![0; 65 << 20])]);
        assert!(
            found(&[bomb], Path::new("/nowhere"))[0]
                .1
                .contains("inflates to more")
        );
        let crowd = place.path().join("crowd");
        zip_at(&crowd, &[("1", b""), ("2", b""), ("3", b""), ("4", b"")]);
        assert!(
            found(&[crowd], Path::new("/nowhere"))[0]
                .1
                .contains("more than 3 entries")
        );
    }

    #[test]
    fn what_is_both_zip_and_dicom_is_dicom() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("both");
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(128, 0);
        bytes.extend(b"DICM rest");
        fs::write(&path, &bytes).unwrap();
        let cut = place.path().join("cut.zip");
        fs::write(&cut, b"PK\x03\x04 and no more").unwrap();
        let told = found(&[path, cut], Path::new("/nowhere"));
        assert!(told[0].1.ends_with("DICM rest"));
        assert!(told[1].1.starts_with("cannot be read"));
    }
}
