//! The files of one request, one after the other, each streamed to where it belongs as it comes. Papers wait for the end,
//! when it is known of which study the images beside them are.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::discs::Discs;
use super::kind::{HEAD_BYTES, Kind};
use super::papers::{BYTES_MAX, PaperError, Papers, Turn};
use super::report::{Fate, Report};
use super::unzip::{self, Entry, Inside, Source, Zip, ZipLimits};
use crate::archive::{
    Archive, Declared, Error, Gate, Handed, Incoming, Origin, Outcome, Refusal, Scratch,
};

/// Instances that may wait for their commit together, and how much they may hold in memory. Bytes.
const HANDED_MAX: usize = 32;
const HANDED_BYTES_MAX: usize = 4 << 20;
/// The most files of a request, those in archives too.
const FILES_MAX: u64 = 1_000_000;
/// The most papers of a request, and the most that wait until it is known which of them belong to the viewer of a disc.
const PAPERS_MAX: usize = 50;
const PAPERS_WAITING_MAX: usize = 200;
const TOO_MANY: &str = "too many documents at once";
/// How much is read of an archive's entry at a time. Bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// What is believed of an archive.
const ZIP_LIMITS: ZipLimits = ZipLimits {
    entries_max: 100_000,
    ratio_max: 200,
};

const NOT_OURS: &str = "neither images nor a document: not needed";
const DIRECTORY: &str = "the directory of a disc: not needed";
const OF_VIEWER: &str = "belongs to the disc's viewer; send it by itself if it is wanted";

/// Why papers have no place.
#[derive(Debug)]
pub enum Unplaced {
    /// What their sender has to do first.
    For(&'static str),
    /// The archive or the ledger failed.
    Failed(Error),
}

impl From<&'static str> for Unplaced {
    fn from(why: &'static str) -> Self {
        Self::For(why)
    }
}

impl From<Error> for Unplaced {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Takes the files of one request.
pub struct Taking {
    archive: Archive,
    origin: Origin,
    gate: Option<Gate>,
    report: Report,
    handed: VecDeque<(String, Handed)>,
    papers: Vec<Paper>,
    file: Option<File>,
    files: u64,
    discs: Discs,
}

struct Paper {
    name: String,
    /// As for a file.
    within: usize,
    kind: Kind,
    bytes: Scratch,
}

/// A file that is coming.
struct File {
    name: String,
    /// How much of its name is that of the archive that it is in.
    within: usize,
    stage: Stage,
}

enum Stage {
    /// So little has come that nobody can tell what it is.
    Head(Vec<u8>),
    Object(Box<Incoming>),
    /// Kept until it is whole.
    Whole(Kind, Scratch),
    /// The rest of it is read away.
    Over,
}

impl Taking {
    /// For what comes from `origin` through `gate`, if there is one.
    #[must_use]
    pub fn new(archive: Archive, origin: Origin, gate: Option<Gate>) -> Self {
        Self {
            archive,
            origin,
            gate,
            report: Report::default(),
            handed: VecDeque::new(),
            papers: Vec::new(),
            file: None,
            files: 0,
            discs: Discs::default(),
        }
    }

    /// A file begins.
    pub fn begin(&mut self, name: &str) {
        self.begin_file(name, 0);
    }

    fn begin_file(&mut self, name: &str, within: usize) {
        self.files += 1;
        let is_over = self.files > FILES_MAX;
        if is_over {
            self.report
                .add(name, Fate::Refused, "too many files at once");
        }
        self.file = Some(File {
            name: name.to_owned(),
            within,
            stage: if is_over {
                Stage::Over
            } else {
                Stage::Head(Vec::new())
            },
        });
    }

    /// Some of its bytes.
    pub fn data(&mut self, bytes: &[u8]) {
        let Some(mut file) = self.file.take() else {
            return;
        };
        file.stage = match file.stage {
            Stage::Head(mut head) => {
                let missing = HEAD_BYTES - head.len();
                let (first, rest) = bytes.split_at(missing.min(bytes.len()));
                head.extend_from_slice(first);
                if head.len() < HEAD_BYTES {
                    Stage::Head(head)
                } else {
                    let stage = self.told(&file.name, file.within, &head);
                    self.write(&file.name, stage, rest)
                }
            }
            stage => self.write(&file.name, stage, bytes),
        };
        self.file = Some(file);
    }

    /// Whether the rest of the file is read away.
    fn is_over(&self) -> bool {
        let stage = self.file.as_ref().map(|file| &file.stage);
        matches!(stage, Some(Stage::Over))
    }

    /// It is whole.
    pub fn end(&mut self) {
        let Some(file) = self.file.take() else {
            return;
        };
        let File {
            name,
            within,
            mut stage,
        } = file;
        if let Stage::Head(head) = stage {
            if head.is_empty() {
                return;
            }
            stage = self.told(&name, within, &head);
        }
        match stage {
            Stage::Object(incoming) => self.hand_over(&name, *incoming),
            Stage::Whole(Kind::Zip, scratch) => self.unzip(&name, scratch),
            Stage::Whole(kind, bytes) => {
                if self.papers.len() < PAPERS_WAITING_MAX {
                    self.papers.push(Paper {
                        name,
                        within,
                        kind,
                        bytes,
                    });
                } else {
                    self.report.add(&name, Fate::Refused, TOO_MANY);
                }
            }
            Stage::Head(_) | Stage::Over => {}
        }
    }

    /// The request ended in the middle: what has come of a file is nothing.
    pub fn cut(&mut self) {
        if let Some(file) = self.file.take() {
            self.report.is_to_be_repeated = true;
            self.report
                .add(&file.name, Fate::Refused, "did not arrive as a whole");
        }
    }

    /// Waits until all objects are stored; whether papers wait to be told where they belong.
    pub fn settle(&mut self) -> bool {
        self.leave_out_from(0);
        for paper in self.papers.split_off(self.papers.len().min(PAPERS_MAX)) {
            self.report.add(&paper.name, Fate::Refused, TOO_MANY);
        }
        self.wait(0);
        !self.papers.is_empty()
    }

    /// Stores the papers where they belong; without a place they are refused.
    #[must_use]
    pub fn finish(mut self, place: Result<Papers, Unplaced>, at_ms: i64) -> Report {
        for paper in std::mem::take(&mut self.papers) {
            match &place {
                Ok(papers) => self.paper(papers, &paper, at_ms),
                Err(Unplaced::For(why)) => self.report.add(&paper.name, Fate::Refused, *why),
                Err(Unplaced::Failed(error)) => self.failed(&paper.name, error),
            }
        }
        self.wait(0);
        self.report
    }

    /// What a file is, and what is to be done with it.
    fn told(&mut self, name: &str, within: usize, head: &[u8]) -> Stage {
        let is_zipped = within > 0;
        let begun = match Kind::of(head) {
            Kind::Object => {
                let declared = self.declared();
                let begun = self.archive.receive_part10(self.origin.clone(), declared);
                begun.map(|incoming| Stage::Object(Box::new(incoming)))
            }
            Kind::Zip if is_zipped => {
                let why = "an archive within an archive: unpack it first";
                self.report.add(name, Fate::Refused, why);
                return Stage::Over;
            }
            Kind::Pdf | Kind::Picture if self.discs.hold(name) => {
                self.report.add(name, Fate::Skipped, OF_VIEWER);
                return Stage::Over;
            }
            kind @ (Kind::Zip | Kind::Pdf | Kind::Picture) => self
                .archive
                .scratch(self.gate.clone())
                .map(|scratch| Stage::Whole(kind, scratch)),
            Kind::Directory => {
                self.discs.add(name, within);
                self.report.add(name, Fate::Skipped, DIRECTORY);
                return Stage::Over;
            }
            Kind::Other => {
                self.report.add(name, Fate::Skipped, NOT_OURS);
                return Stage::Over;
            }
        };
        match begun {
            Ok(stage) => self.write(name, stage, head),
            Err(error) => {
                self.failed(name, &error);
                Stage::Over
            }
        }
    }

    fn write(&mut self, name: &str, mut stage: Stage, bytes: &[u8]) -> Stage {
        let written = match &mut stage {
            Stage::Object(incoming) => self.write_object(incoming, bytes),
            Stage::Whole(Kind::Zip, scratch) => scratch.write(bytes),
            Stage::Whole(_, scratch) if scratch.bytes() + bytes.len() as u64 > BYTES_MAX => {
                let why = "larger than 64 MB, which is too large for a document";
                self.report.add(name, Fate::Refused, why);
                return Stage::Over;
            }
            Stage::Whole(_, scratch) => scratch.write(bytes),
            Stage::Head(_) | Stage::Over => Ok(()),
        };
        match written {
            Ok(()) => stage,
            Err(error) => {
                self.failed(name, &error);
                Stage::Over
            }
        }
    }

    /// Where the inbox seems full, what is being committed comes first: what is here already takes nothing.
    fn write_object(&mut self, incoming: &mut Incoming, bytes: &[u8]) -> Result<(), Error> {
        match incoming.write(bytes) {
            Err(Error::Refused(Refusal::InboxFull)) if !self.handed.is_empty() => {
                self.wait(0);
                incoming.write(bytes)
            }
            written => written,
        }
    }

    fn declared(&self) -> Declared {
        Declared {
            gate: self.gate.clone(),
            ..Declared::default()
        }
    }

    fn hand_over(&mut self, name: &str, incoming: Incoming) {
        match incoming.hand_over() {
            Ok(handed) => self.handed.push_back((name.to_owned(), handed)),
            Err(error) => self.failed(name, &error),
        }
        self.wait(HANDED_MAX);
        let held = |taking: &Self| -> usize {
            taking
                .handed
                .iter()
                .map(|(_, handed)| handed.held_bytes())
                .sum()
        };
        while held(self) > HANDED_BYTES_MAX {
            self.wait(self.handed.len() - 1);
        }
    }

    /// Waits for commits until at most `left` are outstanding.
    fn wait(&mut self, left: usize) {
        while self.handed.len() > left {
            let Some((name, handed)) = self.handed.pop_front() else {
                return;
            };
            let receipt = match handed.wait() {
                Ok(receipt) => receipt,
                Err(error) => {
                    self.failed(&name, &error);
                    continue;
                }
            };
            let (fate, why) = match receipt.outcome {
                Outcome::Stored | Outcome::Replaced | Outcome::StoredInConflict => {
                    (Fate::Stored, "")
                }
                Outcome::AlreadyStored => (Fate::AlreadyStored, ""),
                Outcome::KeptFirst => (
                    Fate::Refused,
                    "another image with the same number is here already",
                ),
                Outcome::Quarantined { .. } => (
                    Fate::Refused,
                    "it contradicts what is here already, and was put aside",
                ),
            };
            if fate != Fate::Refused {
                self.report.studies.insert(receipt.study_instance_uid);
            }
            self.report.add(&name, fate, why);
        }
    }

    fn failed(&mut self, name: &str, error: &Error) {
        let why = match error {
            Error::Refused(Refusal::NotDicom) => {
                return self.report.add(name, Fate::Skipped, NOT_OURS);
            }
            Error::Refused(Refusal::NotAdmitted) => {
                "this study is here already, or is not yours to add to".to_owned()
            }
            Error::Refused(Refusal::InboxFull) => {
                if let Some(gate) = &self.gate {
                    gate.0.tell_full();
                }
                error.to_string()
            }
            Error::Full | Error::Busy(_) | Error::Broken(_) => {
                self.report.is_to_be_repeated = true;
                tracing::warn!(%error, "a file was not stored");
                "there is no room or no time for it now: try again later".to_owned()
            }
            Error::Refused(_)
            | Error::TooLarge { .. }
            | Error::NotFound
            | Error::TooBroad(_)
            | Error::Unmakable(_) => error.to_string(),
        };
        self.report.add(name, Fate::Refused, why);
    }

    fn unzip(&mut self, name: &str, scratch: Scratch) {
        let zip = match Zip::new(Packed(scratch), ZIP_LIMITS) {
            Ok(zip) => zip,
            Err(error) => {
                return self
                    .report
                    .add(name, Fate::Refused, format!("cannot be read: {error}"));
            }
        };
        let mut chunk = vec![0; CHUNK_BYTES];
        let (papers, discs) = (self.papers.len(), self.discs.len());
        let within = format!("{name}: ");
        zip.names(&mut |entry| self.discs.add_named(&within, entry));
        zip.each(&mut |inside| {
            match inside {
                Inside::Entry(entry) => self.entry(&within, &zip, entry, &mut chunk),
                Inside::Overlapping(entry) => {
                    let name = format!("{within}{}", unzip::name(&entry));
                    self.report.add(&name, Fate::Refused, unzip::OVERLAPPING);
                }
                Inside::Link => self
                    .report
                    .add(name, Fate::Skipped, "a link within the archive"),
                Inside::Unreadable(why) => self.report.add(name, Fate::Refused, why),
            }
            self.files <= FILES_MAX
        });
        self.leave_out_from(papers);
        // Another archive may have the same name.
        self.discs.truncate(discs);
    }

    /// Leaves out papers that came before the directory of their disc.
    fn leave_out_from(&mut self, first: usize) {
        for paper in self.papers.split_off(first) {
            if self.discs.hold(&paper.name) {
                self.report.add(&paper.name, Fate::Skipped, OF_VIEWER);
            } else {
                self.papers.push(paper);
            }
        }
    }

    fn entry(&mut self, within: &str, zip: &Zip<Packed>, entry: Entry, chunk: &mut [u8]) {
        let name = format!("{within}{}", unzip::name(&entry));
        self.begin_file(&name, within.len());
        let read = zip.open(*entry, |bytes| {
            loop {
                match bytes.read(chunk) {
                    Ok(0) => return Ok(()),
                    Ok(length) => {
                        self.data(&chunk[..length]);
                        // What nobody wants is not inflated.
                        if self.is_over() {
                            return Ok(());
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        });
        match read.and_then(|read| read) {
            Ok(()) => self.end(),
            Err(error) => {
                self.file = None;
                self.report
                    .add(&name, Fate::Refused, format!("cannot be read: {error}"));
            }
        }
    }

    fn paper(&mut self, papers: &Papers, paper: &Paper, at_ms: i64) {
        let turn = Turn::wait();
        let mut bytes = Vec::new();
        let length = paper.bytes.bytes();
        // At most BYTES_MAX were written.
        if let Err(error) = paper.bytes.reader(0, length).read_to_end(&mut bytes) {
            let why = format!("cannot be read: {error}");
            return self.report.add(&paper.name, Fate::Refused, why);
        }
        let from = (self.origin.clone(), self.declared());
        let what = (&paper.name[paper.within..], paper.kind);
        let begun = papers.begin(&self.archive, &turn, from, what, bytes, at_ms);
        drop(turn);
        let incoming = match begun {
            Ok(Some(incoming)) => incoming,
            Ok(None) => {
                let study = papers.study.study_instance_uid.clone();
                self.report.studies.insert(study);
                let why = "this document was here already";
                return self.report.add(&paper.name, Fate::AlreadyStored, why);
            }
            Err(PaperError::Archive(error)) => return self.failed(&paper.name, &error),
            Err(error) => {
                return self
                    .report
                    .add(&paper.name, Fate::Refused, error.to_string());
            }
        };
        // One after the other, so that the next one counts it.
        self.hand_over(&paper.name, incoming);
        self.wait(0);
    }
}

/// An archive that has come whole.
struct Packed(Scratch);

impl Source for Packed {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.0.bytes().saturating_sub(offset);
        self.0.reader(offset, left).read(buffer)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.bytes())
    }
}
