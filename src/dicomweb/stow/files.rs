//! Part 10 files, each streamed into the archive as it arrives (PS3.18 §8.7.3.2).

use super::commits::Commits;
use crate::archive::Incoming;
use crate::http::multipart_reader::Event;

/// The part being received; `Some(None)` when its rest is read away.
#[derive(Default)]
pub(super) struct Files {
    current: Option<Option<Incoming>>,
}

impl Files {
    pub(super) fn event(&mut self, event: Event<'_>, commits: &mut Commits) {
        match event {
            Event::Begin(_) => {
                self.current = Some(match commits.begin_file() {
                    Ok(incoming) => Some(incoming),
                    Err(error) => {
                        commits.failed((None, None), &error);
                        None
                    }
                });
            }
            Event::Data(bytes) => {
                if let Some(Some(incoming)) = &mut self.current
                    && let Err(error) = commits.write(incoming, bytes)
                {
                    let identity = incoming.identity();
                    self.current = Some(None);
                    commits.failed(identity, &error);
                }
            }
            Event::End => {
                if let Some(Some(incoming)) = self.current.take() {
                    commits.hand_over(incoming);
                }
            }
        }
    }

    /// Whether a part is being received.
    pub(super) fn is_inside(&self) -> bool {
        self.current.is_some()
    }

    /// The body ended in the middle.
    pub(super) fn cut(&mut self, commits: &mut Commits) {
        let identity = self
            .current
            .take()
            .flatten()
            .map(|incoming| incoming.identity());
        commits.cut(identity.unwrap_or_default());
    }
}
