//! An instance as a whole Part 10 file in the transfer syntax that is wanted, in pieces of bounded
//! size: stored bytes as they lie, or the data set rewritten as it is read (PS3.18 §8.7.3.4).
//!
//! [`Archive::can_give`] and [`Archive::given`] are the one place that knows what can be made of
//! what, for every door.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;

use super::made::{self, EXPLICIT_LITTLE, Making, Pixels};
use super::retrieve::{Run, STORED_CHUNK_BYTES, Stored};
use crate::access::Scope;
use crate::archive::{Archive, Error, FrameError, Located};
use crate::dicom::frame_map::FrameMap;
use crate::dicom::part10;
use crate::dicom::rewrite::Recoder;
use crate::dicom::transfer_syntax::{
    ENCAPSULATED_UNCOMPRESSED, EXPLICIT_VR_LITTLE_ENDIAN, Form, IMPLICIT_VR_LITTLE_ENDIAN,
};
use crate::dicom::walk::read_header;
use crate::dicom::{TransferSyntax, Uid};
use crate::imaging::codec::Codec;

/// The transfer syntax in which an instance is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// The one it is stored in.
    Stored,
    /// Explicit VR Little Endian, native pixel data: the default of the web (PS3.18 §8.7.3).
    ExplicitLittle,
    /// Implicit VR Little Endian, native pixel data: the default of DIMSE (PS3.5 §10.1).
    ImplicitLittle,
    /// The lossless transfer syntax of a codec that we encode.
    Encoded(Codec),
}

impl Syntax {
    /// The lossless one that is encoded here, by its UID.
    #[must_use]
    pub fn lossless(uid: &str) -> Option<Self> {
        let codec = Codec::of_syntax(uid)?;
        (codec.lossless_syntax() == Some(uid)).then_some(Self::Encoded(codec))
    }

    /// Its UID, of an instance stored in `stored`.
    #[must_use]
    pub fn uid(self, stored: &str) -> &str {
        match self {
            Self::Stored => stored,
            Self::ExplicitLittle => EXPLICIT_VR_LITTLE_ENDIAN,
            Self::ImplicitLittle => IMPLICIT_VR_LITTLE_ENDIAN,
            Self::Encoded(codec) => codec.lossless_syntax().unwrap_or(stored),
        }
    }

    /// Whether frames are decoded or encoded for it: work for the processor.
    #[must_use]
    pub fn is_work(self, stored: &str) -> bool {
        match self {
            Self::Stored => false,
            Self::ExplicitLittle | Self::ImplicitLittle => Codec::of_syntax(stored).is_some(),
            Self::Encoded(_) => true,
        }
    }
}

/// One instance as a Part 10 file that is read once, from its beginning.
pub struct Given {
    /// Bytes that come before those of the body.
    head: Vec<u8>,
    body: Body,
    length: Option<u64>,
}

enum Body {
    /// Stored bytes: no parse.
    Stored(Stored),
    /// Explicit VR Little Endian once inflated.
    Inflated(Box<DeflateDecoder<Stored>>),
    /// Another encoding, until its end has been read.
    Recoded(Stored, Option<Box<Recoder>>),
    /// Other pixel data.
    Made(Box<Making>),
    /// One of these, Explicit VR Little Endian, without the VRs.
    Implicit(Box<Body>, Option<Box<Recoder>>),
}

impl Archive {
    /// Whether an instance can be given so, as far as can be told before its frames are made: of
    /// compressed ones what the data set and the first codestream's header say. Encapsulated
    /// Uncompressed Explicit VR Little Endian is read whole: it may have been put together wrongly,
    /// and what has begun to go out cannot be refused any more.
    ///
    /// # Errors
    /// As [`Archive::read_at`].
    pub fn can_give(
        &self,
        located: &Located,
        syntax: Syntax,
        scope: &Scope,
    ) -> Result<bool, Error> {
        let stored = located.transfer_syntax_uid.as_str();
        if syntax.uid(stored) == stored {
            return Ok(true);
        }
        if syntax == Syntax::ImplicitLittle && stored != EXPLICIT_VR_LITTLE_ENDIAN {
            return self.can_give(located, Syntax::ExplicitLittle, scope);
        }
        if let Some(pixels) = pixels_of(located, syntax) {
            let checked = self.frames(located, scope).and_then(|mut frames| {
                made::check(&frames, pixels)?;
                frames.look()
            });
            return match checked {
                Ok(()) => Ok(true),
                Err(FrameError::Archive(error)) => Err(error),
                Err(_) => Ok(false),
            };
        }
        if stored == ENCAPSULATED_UNCOMPRESSED {
            return self.is_joinable(located);
        }
        let is_encapsulated = matches!(located.frames, FrameMap::Encapsulated(_));
        let form = TransferSyntax::of_uid(stored).map(|syntax| syntax.form);
        // Fragments under a syntax that has none are in nobody knows what encoding.
        Ok(matches!(form, Some(Form::Native | Form::Deflated)) && !is_encapsulated)
    }

    /// An instance as a Part 10 file, after [`Archive::can_give`] has said that it can be.
    ///
    /// # Errors
    /// When it cannot be given so.
    pub fn given(&self, located: &Located, syntax: Syntax, scope: &Scope) -> Result<Given, Error> {
        let stored = located.transfer_syntax_uid.as_str();
        let uid = syntax.uid(stored);
        if uid == stored {
            return Ok(Given {
                head: Vec::new(),
                body: Body::Stored(Stored::new(self, located.locator, 0)),
                length: Some(located.locator.length),
            });
        }
        let uid =
            Uid::parse(uid).map_err(|cause| Error::broken("naming a transfer syntax", cause))?;
        let body = match syntax {
            Syntax::ImplicitLittle => {
                let explicit = self.body(located, Syntax::ExplicitLittle, scope)?;
                let recoder = Recoder::to_implicit(&self.inner.settings.limits);
                Body::Implicit(Box::new(explicit), Some(Box::new(recoder)))
            }
            Syntax::Stored | Syntax::ExplicitLittle | Syntax::Encoded(_) => {
                self.body(located, syntax, scope)?
            }
        };
        Ok(Given {
            head: part10::head(&located.sop_class_uid, &located.sop_instance_uid, &uid),
            body,
            length: None,
        })
    }

    /// The data set in another syntax; as it is stored when it is in that one already.
    fn body(&self, located: &Located, syntax: Syntax, scope: &Scope) -> Result<Body, Error> {
        let stored = located.transfer_syntax_uid.as_str();
        let dataset = Stored::new(self, located.locator, located.dataset_offset.into());
        if syntax.uid(stored) == stored {
            return Ok(Body::Stored(dataset));
        }
        let form = TransferSyntax::of_uid(stored).map(|syntax| syntax.form);
        if let Some(pixels) = pixels_of(located, syntax) {
            let frames = self.frames(located, scope)?;
            let (source, recoder): (Box<dyn Read + Send>, _) = match form {
                Some(Form::Deflated) => (Box::new(DeflateDecoder::new(dataset)), None),
                Some(Form::Native) => (Box::new(dataset), Some(Box::new(self.recoder(located)?))),
                _ if self.is_implicit(located)? => {
                    (Box::new(dataset), Some(Box::new(self.explicit_recoder()?)))
                }
                _ => (Box::new(dataset), None),
            };
            let limits = &self.inner.settings.limits;
            let making = Making::new(source, recoder, frames, pixels, limits)?;
            return Ok(Body::Made(Box::new(making)));
        }
        Ok(match form {
            Some(Form::Deflated) => Body::Inflated(Box::new(DeflateDecoder::new(dataset))),
            _ => Body::Recoded(dataset, Some(Box::new(self.recoder(located)?))),
        })
    }

    fn recoder(&self, located: &Located) -> Result<Recoder, Error> {
        TransferSyntax::of_uid(located.transfer_syntax_uid.as_str())
            .and_then(|syntax| Recoder::new(syntax, &self.inner.settings.limits))
            .ok_or_else(|| {
                Error::broken(
                    "giving an instance",
                    "its pixel data would have to be decoded",
                )
            })
    }

    /// Whether a data set that goes with compressed pixel data begins in Implicit VR, which its
    /// transfer syntax rules out and some writers use all the same.
    fn is_implicit(&self, located: &Located) -> Result<bool, Error> {
        let mut first = [0; 12];
        self.read_at(located, located.dataset_offset.into(), &mut first)?;
        Ok(read_header(&first, EXPLICIT_LITTLE).is_some_and(|header| !header.is_explicit))
    }

    /// What makes a data set explicit and leaves its fragments alone.
    fn explicit_recoder(&self) -> Result<Recoder, Error> {
        TransferSyntax::of_uid(EXPLICIT_VR_LITTLE_ENDIAN)
            .and_then(|syntax| Recoder::new(syntax, &self.inner.settings.limits))
            .ok_or_else(|| Error::broken("giving an instance", "no table of transfer syntaxes"))
    }

    /// Whether its fragments are its frames, and no more than native pixel data can hold.
    fn is_joinable(&self, located: &Located) -> Result<bool, Error> {
        let mut dataset = Stored::new(self, located.locator, located.dataset_offset.into());
        let mut recoder = self.recoder(located)?;
        let (mut piece, mut out) = (vec![0; STORED_CHUNK_BYTES], Vec::new());
        loop {
            let count = dataset.read(&mut piece).map_err(failed)?;
            if count == 0 {
                return Ok(recoder.finish(&mut out).is_ok());
            }
            if recoder.feed(&piece[..count], &mut out).is_err() {
                return Ok(false);
            }
            out.clear();
        }
    }
}

impl Given {
    /// The length of the whole file in bytes, when it is known before the end.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Appends the next bytes to `chunk` until it holds `bytes` (or, rewritten, somewhat more).
    /// `false` when the file has ended.
    ///
    /// # Errors
    /// As [`Archive::read_at`]; when the data set turns out unreadable. What was read so far must
    /// not be taken for the whole.
    pub fn append(&mut self, chunk: &mut Vec<u8>, bytes: usize) -> Result<bool, Error> {
        chunk.append(&mut self.head);
        while chunk.len() < bytes {
            if !self.body.append(chunk, bytes)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All of it, where it is given as it lies.
    #[must_use]
    pub fn run(&self) -> Option<Run> {
        match &self.body {
            Body::Stored(stored) if self.head.is_empty() => Some(stored.rest()),
            Body::Stored(_)
            | Body::Inflated(_)
            | Body::Recoded(..)
            | Body::Made(_)
            | Body::Implicit(..) => None,
        }
    }

    /// Leaves out what comes before the data set: preamble and File Meta. Before the first read.
    pub fn skip_head(&mut self, located: &Located) {
        self.head.clear();
        if let Body::Stored(stored) = &mut self.body {
            stored.at = located.dataset_offset.into();
        }
        self.length = None;
    }

    /// Goes on at byte `at` of the file. Only stored bytes have places that are known.
    ///
    /// # Errors
    /// When the bytes are being rewritten.
    pub fn skip_to(&mut self, at: u64) -> Result<(), Error> {
        match &mut self.body {
            Body::Stored(stored) => {
                stored.at = at;
                Ok(())
            }
            Body::Inflated(_) | Body::Recoded(..) | Body::Made(_) | Body::Implicit(..) => {
                Err(Error::broken(
                    "reading a part of an instance",
                    "its bytes are made as they are read",
                ))
            }
        }
    }
}

impl Body {
    /// Appends the next bytes, as far as there is room, or, rewritten, somewhat more. `false` at the end.
    fn append(&mut self, chunk: &mut Vec<u8>, bytes: usize) -> Result<bool, Error> {
        match self {
            Self::Stored(stored) => read_into(stored, chunk, bytes),
            Self::Inflated(inflated) => read_into(inflated, chunk, bytes),
            Self::Recoded(stored, recoder) => recode(stored, recoder, chunk),
            Self::Made(making) => making.append(chunk),
            Self::Implicit(explicit, recoder) => {
                let unreadable = |fault| Error::broken("rewriting a stored object", fault);
                let Some(open) = recoder else {
                    return Ok(false);
                };
                let mut piece = Vec::new();
                // As deep as one: what is inside is explicit.
                let is_more = explicit.append(&mut piece, STORED_CHUNK_BYTES)?;
                open.feed(&piece, chunk).map_err(unreadable)?;
                if !is_more && let Some(done) = recoder.take() {
                    done.finish(chunk).map_err(unreadable)?;
                }
                Ok(is_more)
            }
        }
    }
}

/// What the pixel data become where frames have to be decoded or encoded.
fn pixels_of(located: &Located, syntax: Syntax) -> Option<Pixels> {
    match syntax {
        Syntax::Stored => None,
        Syntax::ExplicitLittle | Syntax::ImplicitLittle => {
            let is_compressed = matches!(located.frames, FrameMap::Encapsulated(_))
                && Codec::of_syntax(located.transfer_syntax_uid.as_str()).is_some();
            is_compressed.then_some(Pixels::Native)
        }
        Syntax::Encoded(codec) => Some(Pixels::Encoded(codec)),
    }
}

/// Reads once, as far as there is room. `false` at the end.
fn read_into(source: &mut impl Read, chunk: &mut Vec<u8>, bytes: usize) -> Result<bool, Error> {
    let begin = chunk.len();
    chunk.resize(bytes, 0);
    let count = source.read(&mut chunk[begin..]).map_err(failed)?;
    chunk.truncate(begin + count);
    Ok(count > 0)
}

/// Rewrites the next piece. `false` at the end.
fn recode(
    stored: &mut Stored,
    recoder: &mut Option<Box<Recoder>>,
    chunk: &mut Vec<u8>,
) -> Result<bool, Error> {
    let unreadable = |fault| Error::broken("rewriting a stored object", fault);
    let Some(open) = recoder else {
        return Ok(false);
    };
    let mut piece = vec![0; STORED_CHUNK_BYTES];
    let count = stored.read(&mut piece).map_err(failed)?;
    if count > 0 {
        open.feed(&piece[..count], chunk).map_err(unreadable)?;
    } else if let Some(done) = recoder.take() {
        done.finish(chunk).map_err(unreadable)?;
    }
    Ok(count > 0)
}

/// The archive's own error, where a reader had to wrap it.
pub(super) fn failed(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(other) => Error::broken("inflating a stored object", other),
    }
}
