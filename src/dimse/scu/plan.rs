//! Which presentation contexts are proposed for what is going to be sent (PS3.8 §7.1.1.13, PS3.5 §10),
//! and in which accepted one an instance goes.
//!
//! Each transfer syntax has a context of its own, so that the peer's choice is told for each: the
//! stored one, then what every archive can be expected to read, Explicit and Implicit VR Little
//! Endian, and last, for images, the encodings without loss that we can make. Stored bytes are
//! preferred always; a peer that takes only one of the others gets that.

use std::collections::{BTreeMap, BTreeSet};

use super::proposal::{Accepted, Answer, CONTEXTS_MAX, Proposed};
use super::report::{Observer, Reason};
use super::send::Request;
use crate::access::Scope;
use crate::archive::index::Cursor;
use crate::archive::{Archive, Error, Located, Syntax, Target};
use crate::dicom::{TransferSyntax, Uid};
use crate::imaging::codec::Codec;

/// Rows read at a time: frame maps can be long.
const PAGE: usize = 16;
/// After so many rows it is asked whether to go on.
const LOOK_EVERY: u64 = 256;

/// The order in which accepted syntaxes are tried.
const PREFERRED: &[Syntax] = &[
    Syntax::Stored,
    Syntax::ExplicitLittle,
    Syntax::ImplicitLittle,
    Syntax::Encoded(Codec::Jpeg2000),
    Syntax::Encoded(Codec::JpegLs),
    Syntax::Encoded(Codec::Rle),
];

/// What is going to be sent of one SOP class.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Wanted {
    stored: BTreeSet<Uid>,
    has_frames: bool,
}

/// What one kind of association is for.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) proposed: Vec<Proposed>,
    classes: BTreeSet<Uid>,
}

/// Everything that is going to be sent.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) groups: Vec<Group>,
    /// Instances.
    pub(super) total: u64,
    /// Targets that hold nothing.
    pub(super) missing: Vec<Target>,
}

impl Plan {
    /// Looks through the rows of all targets. Memory holds classes and transfer syntaxes only. An
    /// interruption leaves nothing to do of what was found.
    pub(super) fn of(
        archive: &Archive,
        request: &Request<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let (scope, targets) = (request.scope, request.targets);
        let mut classes: BTreeMap<Uid, Wanted> = BTreeMap::new();
        let (mut total, mut missing) = (0, Vec::new());
        for target in targets {
            let before = total;
            let mut rows = Rows::new(std::slice::from_ref(target));
            while let Some(located) = rows.next(archive, scope)? {
                let wanted = classes.entry(located.sop_class_uid).or_default();
                wanted.stored.insert(located.transfer_syntax_uid);
                wanted.has_frames |= !located.frames.is_empty();
                total += 1;
                if total % LOOK_EVERY == 0 && observer.is_cancelled() {
                    return Ok(Self {
                        groups: Vec::new(),
                        total,
                        missing,
                    });
                }
            }
            if total == before {
                missing.push(target.clone());
            }
        }
        Ok(Self {
            groups: groups(classes),
            total,
            missing,
        })
    }
}

/// Packs classes into associations, a class never in two.
fn groups(classes: BTreeMap<Uid, Wanted>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (class, wanted) in classes {
        let contexts = contexts(&class, &wanted);
        match groups.last_mut() {
            Some(group) if group.proposed.len() + contexts.len() <= CONTEXTS_MAX => {
                group.proposed.extend(contexts);
                group.classes.insert(class);
            }
            _ => groups.push(Group {
                proposed: contexts,
                classes: BTreeSet::from([class]),
            }),
        }
    }
    groups
}

/// The contexts of one class: never more than there are transfer syntaxes, 39.
fn contexts(class: &Uid, wanted: &Wanted) -> Vec<Proposed> {
    let mut syntaxes: Vec<Uid> = wanted.stored.iter().cloned().collect();
    for syntax in PREFERRED {
        let is_fitting = wanted.has_frames || !matches!(syntax, Syntax::Encoded(_));
        if let Ok(uid) = Uid::parse(syntax.uid(""))
            && is_fitting
            && !syntaxes.contains(&uid)
        {
            syntaxes.push(uid);
        }
    }
    let context = |uid| Proposed {
        abstract_syntax: class.clone(),
        transfer_syntaxes: vec![uid],
    };
    syntaxes.into_iter().map(context).collect()
}

impl Group {
    /// Whether this is the association for instances of a class.
    pub(super) fn is_for(&self, class: &Uid) -> bool {
        self.classes.contains(class)
    }

    /// The place of the context in which an instance goes, and as what.
    pub(super) fn choose(
        &self,
        accepted: &Accepted,
        archive: &Archive,
        located: &Located,
        scope: &Scope,
    ) -> Result<(usize, Syntax), Reason> {
        let stored = located.transfer_syntax_uid.as_str();
        let mut refused = Answer::Unsaid;
        let mut offered: Vec<(usize, &'static TransferSyntax)> = Vec::new();
        for (place, context) in self.proposed.iter().enumerate() {
            if context.abstract_syntax != located.sop_class_uid {
                continue;
            }
            match accepted.answers[place] {
                Answer::Accepted(syntax) => offered.push((place, syntax)),
                other => refused = other,
            }
        }
        if offered.is_empty() {
            return Err(Reason::NoContext(refused.words()));
        }
        for syntax in PREFERRED {
            let uid = syntax.uid(stored);
            let Some((place, _)) = offered.iter().find(|(_, taken)| taken.uid == uid) else {
                continue;
            };
            if archive
                .can_give(located, *syntax, scope)
                .map_err(|error| Reason::Unreadable(error.to_string()))?
            {
                return Ok((*place, *syntax));
            }
        }
        let name = |uid: &str| TransferSyntax::of_uid(uid).map_or("its syntax", |s| s.name);
        Err(Reason::Unsuitable(name(stored)))
    }
}

/// Rows of targets, one after the other.
pub(super) struct Rows<'a> {
    targets: std::slice::Iter<'a, Target>,
    open: Option<(&'a Target, Option<Cursor>)>,
    page: std::vec::IntoIter<Located>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(targets: &'a [Target]) -> Self {
        Self {
            targets: targets.iter(),
            open: None,
            page: Vec::new().into_iter(),
        }
    }

    pub(super) fn next(
        &mut self,
        archive: &Archive,
        scope: &Scope,
    ) -> Result<Option<Located>, Error> {
        loop {
            if let Some(located) = self.page.next() {
                if let Some((_, after)) = &mut self.open {
                    *after = Some(located.cursor);
                }
                return Ok(Some(located));
            }
            let (target, after) = match self.open {
                Some(open) => open,
                None => match self.targets.next() {
                    Some(target) => (target, None),
                    None => return Ok(None),
                },
            };
            let page = archive.locate(target, scope, after, PAGE)?;
            self.open = (!page.is_empty()).then_some((target, after));
            self.page = page.into_iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::transfer_syntax::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    #[test]
    fn a_class_is_proposed_as_stored_and_as_everybody_reads_it() {
        let wanted = Wanted {
            stored: BTreeSet::from([
                uid("1.2.840.10008.1.2.4.50"),
                uid(EXPLICIT_VR_LITTLE_ENDIAN),
            ]),
            has_frames: false,
        };
        let syntaxes = |wanted: &Wanted| -> Vec<String> {
            let contexts = contexts(&uid("1.2.3"), wanted);
            assert!(contexts.iter().all(|c| c.transfer_syntaxes.len() == 1));
            let syntax = |c: &Proposed| c.transfer_syntaxes[0].as_str().to_owned();
            contexts.iter().map(syntax).collect()
        };
        let of_report = syntaxes(&wanted);
        assert_eq!(of_report.len(), 3);
        for uid in [
            "1.2.840.10008.1.2.4.50",
            EXPLICIT_VR_LITTLE_ENDIAN,
            IMPLICIT_VR_LITTLE_ENDIAN,
        ] {
            assert!(of_report.iter().any(|s| s == uid), "{uid}");
        }
        // And J2K, JPEG-LS and RLE.
        let of_image = syntaxes(&Wanted {
            has_frames: true,
            ..wanted
        });
        assert_eq!(of_image.len(), 6);
    }

    #[test]
    fn many_classes_take_several_associations() {
        let wanted = Wanted {
            stored: BTreeSet::from([uid(IMPLICIT_VR_LITTLE_ENDIAN)]),
            has_frames: true,
        };
        let classes = (1..=100).map(|n| (uid(&format!("1.2.{n}")), wanted.clone()));
        let groups = groups(classes.collect());
        // Five contexts each: 25 classes an association.
        assert_eq!(groups.len(), 4);
        assert!(groups.iter().all(|g| g.proposed.len() <= CONTEXTS_MAX));
        for n in 1..=100 {
            let class = uid(&format!("1.2.{n}"));
            assert_eq!(groups.iter().filter(|g| g.is_for(&class)).count(), 1);
        }
    }
}
