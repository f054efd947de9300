//! The discs among what is brought: a folder, or an archive, with a DICOMDIR. Papers in one are pictures and manuals of the
//! viewer that every disc has; nobody who sends a disc means them.

/// The most discs of a request that are known; papers of more are taken.
const DISCS_MAX: usize = 100;

/// What the names of all files of a disc begin with, disc by disc.
#[derive(Debug, Default)]
pub(super) struct Discs(Vec<String>);

impl Discs {
    /// By its directory, of whose name `within` bytes are that of the archive that it is in. A single file is no disc.
    pub(super) fn add(&mut self, name: &str, within: usize) {
        let (archive, own) = name.split_at(within);
        let folder = own.rfind(['/', '\\']).map_or("", |at| &own[..=at]);
        let start = format!("{archive}{folder}");
        if !start.is_empty() && self.0.len() < DISCS_MAX && !self.0.contains(&start) {
            self.0.push(start);
        }
    }

    /// The same of a file in an archive of which nothing is known but its name.
    pub(super) fn add_named(&mut self, archive: &str, name: &[u8]) {
        let last = name.rsplit(|byte| matches!(byte, b'/' | b'\\')).next();
        if last.is_some_and(|last| last.eq_ignore_ascii_case(b"DICOMDIR")) {
            let name = format!("{archive}{}", String::from_utf8_lossy(name));
            self.add(&name, archive.len());
        }
    }

    /// Whether one holds a file.
    pub(super) fn hold(&self, name: &str) -> bool {
        self.0.iter().any(|start| name.starts_with(start))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets all but the first.
    pub(super) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disc_is_the_folder_of_its_directory() {
        let mut discs = Discs::default();
        discs.add("DICOMDIR", 0);
        assert!(!discs.hold("letter.pdf") && discs.len() == 0);
        discs.add("CD/DICOMDIR", 0);
        discs.add_named("a/b.zip: ", b"one/dicomdir");
        discs.add_named("a/b.zip: ", b"one/DICOMDIR.TXT");
        discs.add_named("c.zip: ", b"DICOMDIR");
        discs.add_named("d.zip: ", b"two\\\xFF\\DICOMDIR");
        for (name, is_held) in [
            ("CD/HELP/logo.png", true),
            ("CD/viewer.jar: logo.png", true),
            ("CDs/logo.png", false),
            ("a/b.zip: one/logo.png", true),
            ("a/b.zip: letter.pdf", false),
            ("a/letter.pdf", false),
            ("c.zip: HELP/logo.png", true),
            ("c.zip", false),
            ("d.zip: two\\\u{FFFD}\\logo.png", true),
            ("d.zip: two\\logo.png", false),
        ] {
            assert_eq!(discs.hold(name), is_held, "{name}");
        }
        discs.truncate(1);
        assert!(discs.hold("CD/logo.png") && !discs.hold("c.zip: logo.png"));
        for place in 0..1000 {
            discs.add(&format!("{place}/DICOMDIR"), 0);
        }
        assert_eq!(discs.len(), DISCS_MAX);
    }
}
