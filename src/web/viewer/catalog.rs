//! What is installed: the plain files below `[viewer] dir`, listed once and again when another viewer
//! has been installed.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::INDEX;

/// The most files listed. OHIF has 300 with their compressed forms.
const FILES_MAX: usize = 10_000;

/// The deepest folder listed.
const DEPTH_MAX: usize = 8;

/// The files of a viewer by the name that stands in a URL after `/viewer/`.
#[derive(Debug)]
pub(super) struct Catalog {
    entries: HashMap<String, Entry>,
    index: PathBuf,
    /// Of the page when this was read: an installation writes a new one.
    stamp: Stamp,
}

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    path: PathBuf,
    /// Whether the same name with `.br` is there too.
    pub(super) has_brotli: bool,
    /// Whether the same name with `.gz` is there too.
    pub(super) has_gzip: bool,
}

/// Tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Bytes.
    pub(super) length: u64,
    /// When it was last written, seconds and nanoseconds.
    pub(super) modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Whether a viewer is in `dir`.
pub(super) fn is_installed(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(INDEX)).is_ok_and(|found| found.is_file())
}

impl Catalog {
    /// Lists the viewer in `dir`; `None` when there is none. What cannot be read is not listed.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        let index = dir.join(INDEX);
        let found = fs::symlink_metadata(&index)
            .ok()
            .filter(Metadata::is_file)?;
        let mut names = HashMap::new();
        list(dir, &mut names);
        let entries = names
            .iter()
            .map(|(name, path)| {
                let entry = Entry {
                    path: path.clone(),
                    has_brotli: names.contains_key(&format!("{name}.br")),
                    has_gzip: names.contains_key(&format!("{name}.gz")),
                };
                (name.clone(), entry)
            })
            .collect();
        Some(Self {
            entries,
            index,
            stamp: Stamp::of(&found),
        })
    }

    /// Whether the page is still the one that was listed.
    pub(super) fn is_current(&self) -> bool {
        fs::symlink_metadata(&self.index).is_ok_and(|found| Stamp::of(&found) == self.stamp)
    }

    /// A file by its name in the URL.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }
}

/// Plain files below `dir` by their name there. Symbolic links are passed over: what they lead to
/// may lie anywhere.
fn list(dir: &Path, names: &mut HashMap<String, PathBuf>) {
    let mut waiting = vec![(dir.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = waiting.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let name = format!("{prefix}{name}");
            match entry.file_type() {
                Ok(kind) if kind.is_file() && names.len() < FILES_MAX => {
                    names.insert(name, entry.path());
                }
                Ok(kind) if kind.is_dir() && depth < DEPTH_MAX => {
                    waiting.push((entry.path(), format!("{name}/"), depth + 1));
                }
                _ => {}
            }
        }
    }
}

impl Entry {
    /// Opens the file, or its form with `suffix`.
    pub(super) fn open(&self, suffix: &str) -> io::Result<(File, Stamp)> {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        let file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        Ok((file, stamp))
    }

    /// The whole file, of at most `bytes_max`.
    pub(super) fn read(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let (file, stamp) = self.open("")?;
        if stamp.length > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_plain_files_inside_the_folder_are_listed() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("viewer");
        fs::create_dir_all(dir.join("assets")).unwrap();
        fs::write(place.path().join("secret"), "no").unwrap();
        assert!(Catalog::read(&dir).is_none() && !is_installed(&dir));
        fs::write(dir.join(INDEX), "<html>").unwrap();
        fs::write(dir.join("assets/a.js"), "a").unwrap();
        fs::write(dir.join("assets/a.js.gz"), "z").unwrap();
        symlink(place.path().join("secret"), dir.join("link.js")).unwrap();
        symlink(place.path(), dir.join("up")).unwrap();
        let catalog = Catalog::read(&dir).unwrap();
        let mut names: Vec<_> = catalog.entries.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["assets/a.js", "assets/a.js.gz", INDEX]);
        let entry = catalog.get("assets/a.js").unwrap();
        assert!(entry.has_gzip && !entry.has_brotli);
        assert!(catalog.get("assets/../../secret").is_none());
    }

    #[test]
    fn another_installation_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(INDEX), "one").unwrap();
        let catalog = Catalog::read(dir.path()).unwrap();
        assert!(catalog.is_current());
        fs::write(dir.path().join(INDEX), "another").unwrap();
        assert!(!catalog.is_current());
        fs::remove_file(dir.path().join(INDEX)).unwrap();
        assert!(!catalog.is_current());
    }

    #[test]
    fn a_page_beyond_the_limit_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(INDEX), "12345").unwrap();
        let catalog = Catalog::read(dir.path()).unwrap();
        assert_eq!(catalog.get(INDEX).unwrap().read(5).unwrap(), b"12345");
        assert!(catalog.get(INDEX).unwrap().read(4).is_err());
    }
}
