//! PDUs on an association (PS3.8 §9.3): P-DATA-TF framed in place, and the few PDUs that we write.
//!
//! [`Framer`] takes bytes as the socket gives them, cut anywhere, and yields pieces of fragments
//! that still lie in the read buffer: between the socket and the archive nothing is copied and
//! nothing allocated. It holds at most one header, so no length from the wire sizes any memory.
//! The association PDUs, which are small and rare, are read and written by dicom-ul.

use dicom_ul::pdu::{AbortRQServiceProviderReason, Pdu, write_pdu};

/// Type, reserved byte and length of a PDU (PS3.8 §9.3.1).
pub(crate) const HEADER_BYTES: usize = 6;
/// Length, presentation context and message control header of a PDV (PS3.8 §9.3.5.1, §E.2).
pub(super) const ITEM_BYTES: u32 = 6;

/// PDU types (PS3.8 §9.3.2 to §9.3.8), which run from A-ASSOCIATE-RQ to A-ABORT without a gap.
pub(crate) const ASSOCIATE_RQ: u8 = 0x01;
pub(super) const ASSOCIATE_AC: u8 = 0x02;
pub(super) const ASSOCIATE_RJ: u8 = 0x03;
pub(super) const P_DATA_TF: u8 = 0x04;
const RELEASE_RQ: u8 = 0x05;
const RELEASE_RP: u8 = 0x06;
pub(crate) const ABORT: u8 = 0x07;

/// What an association receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Bytes of a message fragment; a fragment may come in several pieces.
    Fragment {
        /// On which presentation context.
        context_id: u8,
        /// Of the command set, else of the data set.
        is_command: bool,
        /// Whether the command or data set ends with these bytes.
        is_last: bool,
        /// The bytes; none when an empty fragment ends the message.
        bytes: &'a [u8],
    },
    /// A-RELEASE-RQ.
    ReleaseRequest,
    /// A-RELEASE-RP; only who may ask for release hears it.
    ReleaseResponse,
    /// A-ABORT with its source and reason.
    Abort(u8, u8),
}

/// How a peer broke PS3.8; each has its reason in A-ABORT (§9.3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// Reason 1.
    #[error("unrecognized PDU")]
    UnrecognizedPdu,
    /// Reason 2: known, but not in this state.
    #[error("unexpected PDU")]
    UnexpectedPdu,
    /// Reason 4.
    #[error("unrecognized PDU parameter")]
    UnrecognizedParameter,
    /// Reason 5.
    #[error("unexpected PDU parameter")]
    UnexpectedParameter,
    /// Reason 6: a length or a value that cannot be.
    #[error("invalid PDU parameter value")]
    InvalidParameter,
}

impl Violation {
    /// The reason as dicom-ul names it.
    pub(crate) fn reason(self) -> AbortRQServiceProviderReason {
        match self {
            Self::UnrecognizedPdu => AbortRQServiceProviderReason::UnrecognizedPdu,
            Self::UnexpectedPdu => AbortRQServiceProviderReason::UnexpectedPdu,
            Self::UnrecognizedParameter => AbortRQServiceProviderReason::UnrecognizedPduParameter,
            Self::UnexpectedParameter => AbortRQServiceProviderReason::UnexpectedPduParameter,
            Self::InvalidParameter => AbortRQServiceProviderReason::InvalidPduParameter,
        }
    }

    /// What is wrong with a PDU of this type that comes where another one belongs.
    pub(crate) fn of_type(pdu_type: u8) -> Self {
        match pdu_type {
            ASSOCIATE_RQ..=ABORT => Self::UnexpectedPdu,
            _ => Self::UnrecognizedPdu,
        }
    }
}

/// Where in the stream of an established association the next byte belongs.
#[derive(Debug, Clone, Copy)]
enum State {
    /// The header of a PDU.
    Header,
    /// The header of a PDV; so many bytes of the PDU are to come.
    Item { pdu_left: u32 },
    /// The fragment of a PDV.
    Fragment(Fragment),
    /// The four bytes of A-RELEASE-RQ, A-RELEASE-RP or A-ABORT.
    Fixed { pdu_type: u8 },
}

/// The fragment we are in.
#[derive(Debug, Clone, Copy)]
struct Fragment {
    /// Bytes of the PDU that follow this fragment.
    pdu_left: u32,
    /// Bytes of the fragment to come.
    left: u32,
    context_id: u8,
    /// The message control header (PS3.8 §E.2).
    control: u8,
}

/// Cuts the stream of an established association into pieces.
#[derive(Debug)]
pub(crate) struct Framer {
    state: State,
    /// A header that the end of a read cut in two.
    header: [u8; HEADER_BYTES],
    filled: usize,
    pdu_bytes_max: u32,
    is_requestor: bool,
}

impl Framer {
    /// For an association on which we announced `pdu_bytes_max`.
    pub(crate) fn new(pdu_bytes_max: u32) -> Self {
        Self {
            state: State::Header,
            header: [0; HEADER_BYTES],
            filled: 0,
            pdu_bytes_max,
            is_requestor: false,
        }
    }

    /// The same for who asked for the association, and will ask for its release.
    pub(crate) fn of_requestor(pdu_bytes_max: u32) -> Self {
        Self {
            is_requestor: true,
            ..Self::new(pdu_bytes_max)
        }
    }

    /// Takes the next piece off the front of `bytes`; `None` when all bytes are used up.
    pub(crate) fn next<'a>(
        &mut self,
        bytes: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, Violation> {
        loop {
            match self.state {
                State::Header => {
                    let Some(header) = self.collect::<HEADER_BYTES>(bytes) else {
                        return Ok(None);
                    };
                    self.state = self.pdu(header)?;
                }
                State::Item { pdu_left } => {
                    let Some(header) = self.collect::<HEADER_BYTES>(bytes) else {
                        return Ok(None);
                    };
                    let fragment = item(header, pdu_left)?;
                    self.state = State::Fragment(fragment);
                    if fragment.left == 0 {
                        return Ok(Some(self.cut(fragment, bytes)));
                    }
                }
                State::Fragment(_) if bytes.is_empty() => return Ok(None),
                State::Fragment(fragment) => return Ok(Some(self.cut(fragment, bytes))),
                State::Fixed { pdu_type } => {
                    let Some([_, _, source, reason]) = self.collect(bytes) else {
                        return Ok(None);
                    };
                    self.state = State::Header;
                    let piece = match pdu_type {
                        ABORT => Piece::Abort(source, reason),
                        RELEASE_RP => Piece::ReleaseResponse,
                        _ => Piece::ReleaseRequest,
                    };
                    return Ok(Some(piece));
                }
            }
        }
    }

    /// Joins the `N` bytes of a header; `None` when some are still to come.
    fn collect<const N: usize>(&mut self, bytes: &mut &[u8]) -> Option<[u8; N]> {
        let taken = bytes.len().min(N - self.filled);
        let (head, rest) = bytes.split_at(taken);
        self.header[self.filled..self.filled + taken].copy_from_slice(head);
        *bytes = rest;
        self.filled += taken;
        if self.filled < N {
            return None;
        }
        self.filled = 0;
        self.header[..N].try_into().ok()
    }

    /// What follows the header of a PDU (PS3.8 §9.2, Table 9-10, state Sta6).
    fn pdu(&self, [pdu_type, _, length @ ..]: [u8; HEADER_BYTES]) -> Result<State, Violation> {
        let length = u32::from_be_bytes(length);
        match pdu_type {
            P_DATA_TF if length > self.pdu_bytes_max || length < ITEM_BYTES => {
                Err(Violation::InvalidParameter)
            }
            P_DATA_TF => Ok(State::Item { pdu_left: length }),
            RELEASE_RP if !self.is_requestor => Err(Violation::UnexpectedPdu),
            RELEASE_RQ | RELEASE_RP | ABORT if length != 4 => Err(Violation::InvalidParameter),
            RELEASE_RQ | RELEASE_RP | ABORT => Ok(State::Fixed { pdu_type }),
            other => Err(Violation::of_type(other)),
        }
    }

    /// The bytes at hand of `fragment`.
    fn cut<'a>(&mut self, fragment: Fragment, bytes: &mut &'a [u8]) -> Piece<'a> {
        let at_hand = u32::try_from(bytes.len()).map_or(fragment.left, |n| n.min(fragment.left));
        let (piece, rest) = bytes.split_at(at_hand as usize);
        *bytes = rest;
        let left = fragment.left - at_hand;
        self.state = match (left, fragment.pdu_left) {
            (0, 0) => State::Header,
            (0, pdu_left) => State::Item { pdu_left },
            _ => State::Fragment(Fragment { left, ..fragment }),
        };
        Piece::Fragment {
            context_id: fragment.context_id,
            is_command: fragment.control & 1 != 0,
            is_last: fragment.control & 2 != 0 && left == 0,
            bytes: piece,
        }
    }
}

/// What follows the header of a PDV. The reserved bits of the message control header are not tested.
fn item(
    [a, b, c, d, context_id, control]: [u8; HEADER_BYTES],
    pdu_left: u32,
) -> Result<Fragment, Violation> {
    let length = u32::from_be_bytes([a, b, c, d]);
    // The length counts the context and the control header, not itself.
    let left = length.checked_sub(2).ok_or(Violation::InvalidParameter)?;
    let pdu_left = pdu_left
        .checked_sub(4)
        .and_then(|n| n.checked_sub(length))
        .ok_or(Violation::InvalidParameter)?;
    // What remains must hold another PDV header, or nothing.
    if (1..ITEM_BYTES).contains(&pdu_left) {
        return Err(Violation::InvalidParameter);
    }
    Ok(Fragment {
        pdu_left,
        left,
        context_id,
        control,
    })
}

/// The bytes of an association PDU.
///
/// # Errors
/// When a text does not fit its field.
pub(crate) fn encode(pdu: &Pdu) -> Result<Vec<u8>, dicom_ul::pdu::WriteError> {
    let mut bytes = Vec::with_capacity(1024);
    write_pdu(&mut bytes, pdu)?;
    Ok(bytes)
}

/// What a fragment belongs to, and whether the command or data set ends with it (PS3.8 §E.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A whole command set.
    Command,
    /// The beginning or the middle of a data set.
    Data,
    /// The end of a data set, or a whole one.
    LastData,
}

/// The bytes that one P-DATA-TF PDU of at most `pdu_bytes_max` carries. Fragments have an even length
/// (PS3.8 §E.1), and the smallest makes a PDU of 8 bytes.
pub(crate) fn room(pdu_bytes_max: u32) -> usize {
    (pdu_bytes_max.max(ITEM_BYTES + 2) - ITEM_BYTES) as usize & !1
}

/// Wraps bytes into P-DATA-TF PDUs (PS3.8 §9.3.5), none above `pdu_bytes_max`, one after the other
/// behind what is in `out`: an answer is one write, or the peer's delayed acknowledgement costs 40 ms.
pub(crate) fn put_fragments(
    out: &mut Vec<u8>,
    context_id: u8,
    part: Part,
    bytes: &[u8],
    pdu_bytes_max: u32,
) {
    let fragments = bytes.chunks(room(pdu_bytes_max));
    let last = fragments.len().saturating_sub(1);
    out.reserve(bytes.len() + (last + 1) * 2 * HEADER_BYTES);
    for (number, fragment) in fragments.enumerate() {
        let length = u32::try_from(fragment.len()).expect("at most the longest PDU");
        let is_last = number == last;
        let control = match part {
            Part::Command => 1 | u8::from(is_last) << 1,
            Part::LastData => u8::from(is_last) << 1,
            Part::Data => 0,
        };
        out.extend([P_DATA_TF, 0]);
        out.extend((length + ITEM_BYTES).to_be_bytes());
        out.extend((length + 2).to_be_bytes());
        out.extend([context_id, control]);
        out.extend(fragment);
    }
}

/// A command set as P-DATA-TF PDUs (see [`put_fragments`]).
pub(crate) fn encode_command(context_id: u8, command: &[u8], pdu_bytes_max: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_fragments(
        &mut bytes,
        context_id,
        Part::Command,
        command,
        pdu_bytes_max,
    );
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream says, with the pieces of each fragment joined.
    #[derive(Debug, PartialEq, Eq, Clone)]
    enum Said {
        Set {
            context_id: u8,
            is_command: bool,
            bytes: Vec<u8>,
        },
        Release,
        Abort(u8, u8),
    }

    fn listen(reads: &[&[u8]]) -> Result<Vec<Said>, Violation> {
        let mut framer = Framer::new(4096);
        let mut said = Vec::new();
        let mut joined = Vec::new();
        for read in reads {
            let mut bytes = *read;
            while let Some(piece) = framer.next(&mut bytes)? {
                match piece {
                    Piece::Fragment {
                        context_id,
                        is_command,
                        is_last,
                        bytes,
                    } => {
                        joined.extend(bytes);
                        if is_last {
                            said.push(Said::Set {
                                context_id,
                                is_command,
                                bytes: std::mem::take(&mut joined),
                            });
                        }
                    }
                    Piece::ReleaseRequest | Piece::ReleaseResponse => said.push(Said::Release),
                    Piece::Abort(source, reason) => said.push(Said::Abort(source, reason)),
                }
            }
        }
        Ok(said)
    }

    const STREAM: &[u8] = &[
        4, 0, 0, 0, 0, 17, // P-DATA-TF, reserved, 17 bytes follow: two PDVs
        0, 0, 0, 4, 1, 0x03, 0xC0, 0xC1, // PDV of 4: context 1, last fragment of a command
        0, 0, 0, 5, 1, 0x00, 0xD0, 0xD1, 0xD2, // PDV of 5: context 1, data, more to come
        4, 0, 0, 0, 0, 15, // P-DATA-TF: a fragment, then an empty last one
        0, 0, 0, 5, 1, 0xFC, 0xD3, 0xD4,
        0xD5, // reserved bits set, not tested: data, more to come
        0, 0, 0, 2, 1, 0x02, // PDV of 2: nothing but "that was all"
        5, 0xFF, 0, 0, 0, 4, 9, 9, 9, 9, // A-RELEASE-RQ, reserved fields not tested
        7, 0, 0, 0, 0, 4, 0, 0, 2, 6, // A-ABORT by the provider, invalid parameter value
    ];

    #[test]
    fn a_stream_cut_anywhere_says_the_same() {
        let expected = vec![
            Said::Set {
                context_id: 1,
                is_command: true,
                bytes: vec![0xC0, 0xC1],
            },
            Said::Set {
                context_id: 1,
                is_command: false,
                bytes: vec![0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5],
            },
            Said::Release,
            Said::Abort(2, 6),
        ];
        for first in 0..=STREAM.len() {
            for second in first..=STREAM.len() {
                let reads = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
                assert_eq!(
                    listen(&reads).as_ref(),
                    Ok(&expected),
                    "cut at {first} and {second}"
                );
            }
        }
        let single: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(listen(&single), Ok(expected));
    }

    #[test]
    fn what_breaks_the_protocol_is_named() {
        use Violation::{InvalidParameter, UnexpectedPdu, UnrecognizedPdu};
        let cases: &[(&str, &[u8], Violation)] = &[
            ("A-ASSOCIATE-RQ again", &[1, 0, 0, 0, 0, 68], UnexpectedPdu),
            ("A-ASSOCIATE-AC", &[2, 0, 0, 0, 0, 68], UnexpectedPdu),
            ("A-ASSOCIATE-RJ", &[3, 0, 0, 0, 0, 4], UnexpectedPdu),
            ("A-RELEASE-RP", &[6, 0, 0, 0, 0, 4], UnexpectedPdu),
            ("type 0", &[0, 0, 0, 0, 0, 0], UnrecognizedPdu),
            ("type 8", &[8, 0, 0, 0, 0, 4], UnrecognizedPdu),
            ("an HTTP request", b"GET / HTTP/1.1", UnrecognizedPdu),
            (
                "P-DATA-TF above the announced length",
                &[4, 0, 0, 0, 0x10, 1],
                InvalidParameter,
            ),
            (
                "P-DATA-TF of 4 GiB",
                &[4, 0, 0xFF, 0xFF, 0xFF, 0xFF],
                InvalidParameter,
            ),
            (
                "P-DATA-TF without PDV",
                &[4, 0, 0, 0, 0, 0],
                InvalidParameter,
            ),
            (
                "P-DATA-TF shorter than a PDV header",
                &[4, 0, 0, 0, 0, 5],
                InvalidParameter,
            ),
            (
                "PDV of 1",
                &[4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 3],
                InvalidParameter,
            ),
            (
                "PDV of 0",
                &[4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 1, 3],
                InvalidParameter,
            ),
            (
                "PDV longer than its PDU",
                &[4, 0, 0, 0, 0, 6, 0, 0, 0, 3, 1, 3],
                InvalidParameter,
            ),
            (
                "PDV of 4 GiB",
                &[4, 0, 0, 0, 0, 6, 0xFF, 0xFF, 0xFF, 0xFF, 1, 3],
                InvalidParameter,
            ),
            (
                "half a PDV header left",
                &[4, 0, 0, 0, 0, 9, 0, 0, 0, 2, 1, 3, 0, 0, 0],
                InvalidParameter,
            ),
            ("A-RELEASE-RQ of 5", &[5, 0, 0, 0, 0, 5], InvalidParameter),
            (
                "A-ABORT of 4 GiB",
                &[7, 0, 0xFF, 0xFF, 0xFF, 0xFF],
                InvalidParameter,
            ),
        ];
        for (what, bytes, violation) in cases {
            assert_eq!(listen(&[bytes]), Err(*violation), "{what}");
        }
    }

    #[test]
    fn a_pdu_of_exactly_the_announced_length_is_taken() {
        let mut bytes = vec![4, 0, 0, 0, 0x10, 0]; // P-DATA-TF of 4096
        bytes.extend([0, 0, 0x0F, 0xFC, 3, 2]); // PDV of 4092: context 3, last of the data set
        bytes.extend([7; 4090]);
        let said = listen(&[&bytes]).unwrap();
        assert_eq!(
            said,
            [Said::Set {
                context_id: 3,
                is_command: false,
                bytes: vec![7; 4090]
            }]
        );
    }

    #[test]
    fn no_pdu_is_above_what_the_peer_takes() {
        let command: Vec<u8> = (0..200).collect();
        for pdu_bytes_max in [0, 1, 8, 9, 10, 64, 205, 206, 207, 4096, u32::MAX] {
            let bytes = encode_command(5, &command, pdu_bytes_max);
            let mut at = 0;
            while at < bytes.len() {
                let length = u32::from_be_bytes(bytes[at + 2..at + 6].try_into().unwrap());
                assert!(
                    length <= pdu_bytes_max.max(8),
                    "{length} above {pdu_bytes_max}"
                );
                assert_eq!(length % 2, 0);
                at += 6 + length as usize;
            }
            let expected = Said::Set {
                context_id: 5,
                is_command: true,
                bytes: command.clone(),
            };
            assert_eq!(listen(&[&bytes]), Ok(vec![expected]));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_framed_or_named(bytes: Vec<u8>, cut: proptest::sample::Index) {
            // Every other PDU type is refused at its first byte.
            let stream = [&[4, 0, 0, 0, 0, 60][..], &bytes].concat();
            let (first, second) = stream.split_at(cut.index(stream.len()));
            proptest::prop_assert_eq!(listen(&[first, second]), listen(&[&stream]));
        }
    }
}
