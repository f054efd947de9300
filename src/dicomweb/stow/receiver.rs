//! The blocking side of one request: takes the body from the queue, splits it, and shows its parts
//! to whoever makes instances of them.

use actix_web::http::StatusCode;
use tokio::sync::mpsc;

use super::PARTS_MAX;
use super::commits::Commits;
use super::described::Described;
use super::files::Files;
use crate::dicomweb::store_answer::StoreAnswer;
use crate::http::Arriving;
use crate::http::Problem;
use crate::http::multipart_reader::{Ending, Event, Malformed, Splitter};

/// Who makes instances of the parts.
pub(super) enum Taker {
    Files(Files),
    Described(Box<Described>),
}

pub(super) struct Receiver {
    commits: Commits,
    /// `None`: the body is one file.
    splitter: Option<Box<Splitter>>,
    taker: Taker,
    parts: usize,
}

impl Receiver {
    pub(super) fn new(commits: Commits, splitter: Option<Box<Splitter>>, taker: Taker) -> Self {
        Self {
            commits,
            splitter,
            taker,
            parts: 0,
        }
    }

    /// Receives the whole body: what became of the instances, and what is wrong with the body itself.
    pub(super) fn run(
        mut self,
        mut arriving: mpsc::Receiver<Arriving>,
    ) -> (StoreAnswer, Option<Problem>) {
        let flaw = self.receive(&mut arriving).err();
        match (&mut self.taker, &flaw) {
            (Taker::Files(files), Some(_)) => files.cut(&mut self.commits),
            (Taker::Files(_), None) => {}
            (Taker::Described(described), Some(_)) => described.cut(&mut self.commits),
            (Taker::Described(described), None) => described.finish(&mut self.commits),
        }
        // Whoever still sends learns that nobody listens before the last commits are waited for.
        drop(arriving);
        (self.commits.finish(), flaw)
    }

    fn receive(&mut self, arriving: &mut mpsc::Receiver<Arriving>) -> Result<(), Problem> {
        loop {
            match arriving.blocking_recv() {
                Some(Arriving::Bytes(bytes)) => self.take(&bytes)?,
                Some(Arriving::End) => return self.end(),
                None => return Err(Problem::bad_request("the body is cut off")),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let Self {
            commits,
            splitter,
            taker,
            parts,
        } = self;
        let mut sink = |event: Event<'_>| {
            *parts += usize::from(matches!(event, Event::Begin(_)));
            match taker {
                Taker::Files(files) => files.event(event, commits),
                Taker::Described(described) => described.event(event, commits),
            }
        };
        match splitter {
            Some(splitter) => splitter
                .feed(bytes, &mut sink)
                .map_err(|malformed| Problem::bad_request(malformed.to_string()))?,
            None => {
                if !self.is_inside_file() {
                    self.single(Event::Begin(&[]));
                }
                self.single(Event::Data(bytes));
            }
        }
        if self.parts > PARTS_MAX {
            let text = format!("a request may hold {PARTS_MAX} parts");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        match &mut self.taker {
            Taker::Described(described) => described.take_problem().map_or(Ok(()), Err),
            Taker::Files(_) => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Problem> {
        match &self.splitter {
            None => {
                if self.is_inside_file() {
                    self.single(Event::End);
                }
                Ok(())
            }
            Some(splitter) => match splitter.finish() {
                Ending::Closed => Ok(()),
                Ending::NoDelimiter => Err(Problem::bad_request(Malformed::Preamble.to_string())),
                Ending::Cut => Err(Problem::bad_request(
                    "the body ends before its closing boundary",
                )),
            },
        }
    }

    /// A body that is one file.
    fn single(&mut self, event: Event<'_>) {
        if let Taker::Files(files) = &mut self.taker {
            files.event(event, &mut self.commits);
        }
    }

    fn is_inside_file(&self) -> bool {
        matches!(&self.taker, Taker::Files(files) if files.is_inside())
    }
}
