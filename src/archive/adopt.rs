//! What lies beside each blob, and what it is good for: when power fails, the last commits of the index
//! may be gone, while the blobs were synced before their senders were told "stored". So the
//! next start takes every whole blob that no row names through the same decision again, with where it came
//! from as its note says. What no sender was told of may be among them: it came whole, too.

use crate::archive::blob::{BlobStore, Locator, NOTE_BYTES_MAX};
use crate::archive::commit::{Policy, commit_one};
use crate::archive::index::{Index, Made, NewInstance};
use crate::archive::{Door, Error, IngestSettings, Origin, Refusal};
use crate::dicom::header::HeaderReader;
use crate::dicom::part10::MetaReader;

/// Bytes of a blob read at a time.
const PIECE_BYTES: usize = 1 << 18;

/// Power loss takes fewer changes of the index than this: its log is synced long before.
const LOST_CHANGES_MAX: u64 = 1 << 20;

/// The version of the note; another one is not understood.
const VERSION: u8 = 1;
/// Longest names kept in a note, in bytes.
const SENDER_BYTES_MAX: usize = 110;
const PEER_BYTES_MAX: usize = 64;

const _: () = assert!(2 + 8 + 32 + 1 + SENDER_BYTES_MAX + 1 + PEER_BYTES_MAX <= NOTE_BYTES_MAX);

/// What of an instance is not in its blob.
#[derive(Debug, PartialEq)]
pub(super) struct Note {
    pub(super) origin: Origin,
    pub(super) received_at_ms: i64,
    pub(super) received_digest: [u8; 32],
}

impl Note {
    /// Version, door, time, digest, then each name after its length. A name that is too long is cut.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(NOTE_BYTES_MAX);
        out.extend([VERSION, door_number(self.origin.door)]);
        out.extend(self.received_at_ms.to_le_bytes());
        out.extend(self.received_digest);
        for (name, max) in [
            (&self.origin.sender, SENDER_BYTES_MAX),
            (&self.origin.peer, PEER_BYTES_MAX),
        ] {
            let name = &name[..name.floor_char_boundary(max)];
            out.push(u8::try_from(name.len()).unwrap_or(0));
            out.extend(name.as_bytes());
        }
        out
    }

    /// Reads one; `None` when it is none of ours.
    fn read(note: &[u8]) -> Option<Self> {
        let (&[version, door], rest) = note.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (digest, mut rest) = rest.split_first_chunk()?;
        let mut name = || {
            let (length, after) = rest.split_first()?;
            let (name, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            Some(Box::from(std::str::from_utf8(name).ok()?))
        };
        let (sender, peer) = (name()?, name()?);
        let door = DOORS
            .into_iter()
            .find(|known| door_number(*known) == door)?;
        (version == VERSION).then_some(Self {
            origin: Origin { door, sender, peer },
            received_at_ms: i64::from_le_bytes(*time),
            received_digest: *digest,
        })
    }
}

const DOORS: [Door; 4] = [Door::Dimse, Door::Stow, Door::Import, Door::Case];

fn door_number(door: Door) -> u8 {
    match door {
        Door::Dimse => 1,
        Door::Stow => 2,
        Door::Import => 3,
        Door::Case => 4,
    }
}

/// Gives every whole blob without a row its row; durable on return. Tells how many there were.
///
/// # Errors
/// When index or shelf fail, and when one that came whole can no longer be taken, so that nothing
/// that may have been acknowledged is removed after it.
pub(super) fn adopt(
    index: &dyn Index,
    blobs: &dyn BlobStore,
    settings: &IngestSettings,
    policy: &Policy,
) -> Result<u64, Error> {
    let mut adopted = 0;
    blobs.orphans(&mut |file| index.live_blobs(file), &mut |locator, note| {
        if adopted == 0 {
            index.skip_changes(LOST_CHANGES_MAX)?;
        }
        let taken = again(blobs, settings, locator, note)
            .and_then(|new| commit_one(new, index, blobs, policy));
        adopted += 1;
        taken.inspect_err(|error| {
            tracing::error!(?locator, %error, "a blob without a row cannot be taken in");
        })
    })?;
    if adopted > 0 {
        index.harden()?;
    }
    Ok(adopted)
}

/// What ingest read from an object, read again from its blob.
fn again(
    blobs: &dyn BlobStore,
    settings: &IngestSettings,
    locator: Locator,
    note: &[u8],
) -> Result<NewInstance, Error> {
    let foreign = || Error::broken("taking a blob in", "this program has not written it");
    let note = Note::read(note).ok_or_else(foreign)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    let mut next = |piece: &mut Vec<u8>| {
        let left = usize::try_from(locator.length - at).unwrap_or(PIECE_BYTES);
        piece.resize(left.min(PIECE_BYTES), 0);
        let read = blobs.read_at(&locator, at, piece);
        at += piece.len() as u64;
        read
    };
    // Far more than the head, which is ours.
    next(&mut piece)?;
    let mut meta = MetaReader::default();
    let head = match meta.feed(&piece) {
        Ok(None) => meta.finish(),
        Ok(Some(head)) => Ok(head),
        Err(error) => Err(error),
    };
    let head = head.map_err(|_| foreign())?;
    let limits = &settings.limits;
    let reader = HeaderReader::new(&head.transfer_syntax_uid, limits);
    let mut reader = reader.map_err(Refusal::Fault)?;
    let mut digest = blake3::Hasher::new();
    let dataset_offset = head.dataset_offset;
    piece.drain(..dataset_offset);
    while !piece.is_empty() {
        digest.update(&piece);
        reader.feed(&piece).map_err(Refusal::Fault)?;
        next(&mut piece)?;
    }
    Ok(NewInstance {
        header: reader.finish().map_err(Refusal::Fault)?,
        transfer_syntax_uid: head.transfer_syntax_uid,
        locator,
        dataset_offset: u32::try_from(dataset_offset).map_err(|_| foreign())?,
        digest: *digest.finalize().as_bytes(),
        received_digest: note.received_digest,
        origin: note.origin,
        received_at_ms: note.received_at_ms,
        made: Made::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_cut_to_its_room() {
        let note = |sender: &str, peer: &str| Note {
            origin: Origin {
                door: Door::Stow,
                sender: sender.into(),
                peer: peer.into(),
            },
            received_at_ms: -5,
            received_digest: [7; 32],
        };
        for note in [note("", ""), note("CT1", "[::1]:1234"), note("ä", "")] {
            assert_eq!(Note::read(&note.write()), Some(note));
        }
        let long = note(&"ä".repeat(90), &"x".repeat(300));
        let written = long.write();
        assert!(written.len() <= NOTE_BYTES_MAX);
        let cut = note(&"ä".repeat(55), &"x".repeat(64));
        assert_eq!(Note::read(&written), Some(cut));
        for end in 0..written.len() {
            assert_eq!(Note::read(&written[..end]), None);
        }
        assert_eq!(Note::read(&[2; 224]), None);
    }
}
