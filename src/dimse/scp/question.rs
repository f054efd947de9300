//! The identifier of C-FIND, C-MOVE and C-GET (PS3.4 §C.4.1.1, §C.4.2.1, §C.4.3.1) on its way in: collected, read, and
//! held against its information model.

use dicom_core::{Tag, VR};
use tracing::{error, warn};

use super::{Answer, Retrieval, Search};
use crate::archive::Error;
use crate::dicom::query::{Identifier, Matching, Syntax};
use crate::dicom::walk::{Encoding, Fault};
use crate::dicom::{AttributeId, Level, TransferSyntax};
use crate::dimse::association::Peer;
use crate::dimse::negotiation::{Context, Deed, Model, Options, Service};
use crate::dimse::scu;
use crate::dimse::status::{Reply, Status};

/// The longest identifier taken; more is read away and refused. Ten thousand UIDs fit in.
const IDENTIFIER_BYTES_MAX: usize = 1 << 20;

/// (0008,0052)
pub(in crate::dimse) const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);

/// The levels by their names (PS3.4 §C.6), from the top, with their unique keys.
const LEVELS: [(Level, &str, Tag); 4] = [
    (Level::Patient, "PATIENT", Tag(0x0010, 0x0020)),
    (Level::Study, "STUDY", Tag(0x0020, 0x000D)),
    (Level::Series, "SERIES", Tag(0x0020, 0x000E)),
    (Level::Instance, "IMAGE", Tag(0x0008, 0x0018)),
];

/// An identifier on its way in.
pub(crate) struct Question {
    deed: Deed,
    model: Model,
    options: Options,
    encoding: Encoding,
    bytes: Vec<u8>,
    /// Of a C-MOVE.
    destination: Option<scu::Peer>,
}

/// An identifier that its information model allows.
pub(super) struct Asked {
    pub(super) identifier: Identifier,
    pub(super) model: Model,
    pub(super) options: Options,
    pub(super) level: Level,
    /// How responses are encoded.
    pub(super) encoding: Encoding,
}

impl Question {
    pub(super) fn begin(context: &Context, model: Model, options: Options) -> Self {
        let deed = match context.service {
            Service::QueryRetrieve(_, deed, _) => deed,
            Service::Verification | Service::Storage | Service::Commitment => Deed::Find,
        };
        let syntax = TransferSyntax::of_uid(context.transfer_syntax_uid.as_str());
        Self {
            deed,
            model,
            options,
            encoding: syntax.expect("negotiated from the table").encoding,
            bytes: Vec::new(),
            destination: None,
        }
    }

    /// The same, of a C-MOVE to this peer.
    pub(super) fn with(self, destination: scu::Peer) -> Self {
        Self {
            destination: Some(destination),
            ..self
        }
    }

    /// Takes the next bytes. After an error there is nothing more to write.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Reply> {
        if self.bytes.len() + bytes.len() > IDENTIFIER_BYTES_MAX {
            let status = self.out_of_resources();
            return Err(Reply::because(status, "the identifier is too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The identifier is complete.
    pub(super) fn finish(self, peer: &Peer<'_>) -> Result<Answer, Reply> {
        let out_of_resources = self.out_of_resources();
        let identifier =
            Identifier::read(&self.bytes, self.encoding).map_err(|fault| match fault {
                Fault::TooLarge { .. } => Reply::because(
                    out_of_resources,
                    "the identifier is too deep or has too many keys",
                ),
                fault => Reply::because(Status::UNREADABLE_IDENTIFIER, &fault.to_string()),
            })?;
        let level = level(&identifier, self.model)?;
        let asked = Asked {
            identifier,
            model: self.model,
            options: self.options,
            level,
            encoding: self.encoding,
        };
        asked.check_above()?;
        match self.deed {
            Deed::Find => Search::begin(peer, asked).map(|search| Answer::Search(Box::new(search))),
            Deed::Get | Deed::Move => {
                let found = Box::new(Retrieval::begin(peer, &asked)?);
                Ok(match self.destination {
                    Some(destination) => Answer::Move(found, destination),
                    None => Answer::Retrieval(found),
                })
            }
        }
    }

    fn out_of_resources(&self) -> Status {
        match self.deed {
            Deed::Find => Status::TOO_BROAD,
            Deed::Move | Deed::Get => Status::UNCOUNTABLE,
        }
    }
}

impl Asked {
    /// The unique keys above the level stand there as single values (PS3.4 §C.4.1.2.1), unless
    /// relational queries were agreed on (§C.4.1.3.2).
    fn check_above(&self) -> Result<(), Reply> {
        if self.options.is_relational {
            return Ok(());
        }
        for (of, _, tag) in LEVELS {
            if self.model.has(of) && of < self.level {
                self.single(tag)?;
            }
        }
        Ok(())
    }

    /// The one value of a unique key.
    pub(super) fn single(&self, tag: Tag) -> Result<Matching, Reply> {
        match self.matching(tag)? {
            Some(Matching::Single(value)) => Ok(Matching::Single(value)),
            Some(_) => Err(wrong("a unique key needs a single value here").about(tag)),
            None => Err(wrong("a unique key is missing").about(tag)),
        }
    }

    /// What a unique key says; `None` when it is absent or says nothing.
    pub(super) fn matching(&self, tag: Tag) -> Result<Option<Matching>, Reply> {
        let vr = AttributeId::of_tag(tag).map_or(VR::LO, |id| id.attribute().vr);
        let text = self.identifier.text(tag).unwrap_or_default();
        match Matching::parse(vr, text, Syntax::DIMSE) {
            Ok(Matching::Universal) => Ok(None),
            Ok(matching) => Ok(Some(matching)),
            Err(error) => {
                Err(Reply::because(Status::WRONG_IDENTIFIER, &error.to_string()).about(tag))
            }
        }
    }
}

/// A900
pub(super) fn wrong(why: &str) -> Reply {
    Reply::because(Status::WRONG_IDENTIFIER, why)
}

/// The level that is asked for.
fn level(identifier: &Identifier, model: Model) -> Result<Level, Reply> {
    let name = identifier.text(QUERY_RETRIEVE_LEVEL).unwrap_or_default();
    let known = LEVELS.iter().find(|(_, known, _)| *known == name);
    match known {
        Some((level, ..)) if model.has(*level) => Ok(*level),
        Some(_) => Err(wrong("the information model has no such level")),
        None if name.is_empty() => Err(wrong("Query/Retrieve Level is missing")),
        None => Err(wrong("Query/Retrieve Level is unknown")),
    }
    .map_err(|reply| reply.about(QUERY_RETRIEVE_LEVEL))
}

/// The name of a level in (0008,0052).
pub(in crate::dimse) fn name_of(level: Level) -> &'static str {
    let named = LEVELS.iter().find(|(of, ..)| *of == level);
    named.map_or("", |(_, name, _)| name)
}

/// The unique keys of a model from the top down to a level.
pub(super) fn unique_keys(model: Model, level: Level) -> impl Iterator<Item = Tag> {
    LEVELS
        .iter()
        .filter(move |(of, ..)| model.has(*of) && *of <= level)
        .map(|(.., tag)| *tag)
}

/// The answer to a search that the archive could not finish; logs it, which ends here.
pub(super) fn failed(out_of_resources: Status, cause: &Error) -> Reply {
    match cause {
        Error::TooBroad(_) | Error::Busy(_) => {
            warn!(%cause, "not searched");
            Reply::because(out_of_resources, &cause.to_string())
        }
        Error::Refused(_)
        | Error::TooLarge { .. }
        | Error::Full
        | Error::NotFound
        | Error::Unmakable(_)
        | Error::Broken(_) => {
            error!(%cause, "not searched");
            Reply::because(Status::UNABLE, "internal failure")
        }
    }
}
