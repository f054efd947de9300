//! One request of somebody who brings files: what they say beside the files, where their papers go, what is noted of it.

use std::sync::Arc;

use super::belonging::{self, Belonging};
use super::gate::Gatekeeper;
use super::papers::{Papers, Person, Shown};
use super::report::Report;
use super::taking::{Taking, Unplaced};
use crate::access::audit::Actor;
use crate::access::{Desk, Holder, Inbox, Scope};
use crate::archive::{Archive, Door, Error, Origin, Target};
use crate::dicom::Uid;
use crate::dicom::opinion::Study;

/// Instances of a study that are looked at for one that is no paper.
const LOOKED_AT_MAX: usize = 100;

const WHOSE: &str = "send the images first, or say whose it is: name and date of birth";
const WHERE: &str = "say to which study it belongs";
const TOO_MUCH: &str = "too much has come to find the study that it belongs to: choose one";
const WHAT: &str = "photographs are \"image\" or \"paper\": say which, and send it again";

/// Who brings, and from where.
pub struct Bringer {
    /// Who lets them in.
    pub desk: Arc<Desk>,
    /// Where it goes.
    pub archive: Archive,
    /// The inbox that they came by.
    pub inbox: Option<i64>,
    /// What they may find: of those studies papers may be, when they came by no inbox.
    pub scope: Scope,
    /// As the archive names who sends.
    pub sender: Box<str>,
    /// As the trail does.
    pub actor: Actor,
}

/// The files of one request, and what is said beside them.
pub struct Bringing {
    bringer: Bringer,
    taking: Taking,
    study: Option<Uid>,
    person: Person,
    /// What photographs show; `None` when that is said in a word that we do not know.
    shown: Option<Shown>,
}

impl Bringing {
    /// Begins.
    #[must_use]
    pub fn begin(bringer: Bringer) -> Self {
        let origin = Origin {
            door: Door::Stow,
            sender: bringer.sender.clone(),
            peer: bringer.actor.address.as_str().into(),
        };
        let gate = bringer
            .inbox
            .map(|grant| Gatekeeper::gate(Arc::clone(&bringer.desk), grant, bringer.actor.clone()));
        Self {
            taking: Taking::new(bringer.archive.clone(), origin, gate),
            bringer,
            study: None,
            person: Person::default(),
            shown: Some(Shown::default()),
        }
    }

    /// Takes what is said beside the files: `study`, `family_name`, `given_name`, `birth_date`, and `photographs`, which are
    /// `image` or `paper`; another word is none, and papers are refused.
    pub fn field(&mut self, name: &str, value: &str) {
        match name {
            "study" => self.study = Uid::parse(value.trim()).ok(),
            "family_name" => self.person.family = value.to_owned(),
            "given_name" => self.person.given = value.to_owned(),
            "birth_date" => self.person.birth_date = value.to_owned(),
            "photographs" => self.shown = Shown::of(value),
            _ => {}
        }
    }

    /// The files.
    pub fn files(&mut self) -> &mut Taking {
        &mut self.taking
    }

    /// Stores what waits, and tells what became of everything. Blocks.
    #[must_use]
    pub fn finish(mut self, now_ms: i64) -> Report {
        let place = match self.taking.settle() {
            true => self.place(now_ms),
            false => Err(WHERE.into()),
        };
        self.taking.finish(place, now_ms)
    }

    /// Where papers go.
    fn place(&self, now_ms: i64) -> Result<Papers, Unplaced> {
        let shown = self.shown.ok_or(WHAT)?;
        let inbox = match self.bringer.inbox {
            Some(grant) => self
                .bringer
                .desk
                .ledger()
                .inbox(grant)
                .map_err(|error| Unplaced::Failed(Error::Broken(error.to_string())))?,
            None => None,
        };
        match inbox {
            Some(inbox) => Ok(self.place_of(&inbox, shown, now_ms)??),
            None => Ok(self.place_in_archive(shown)?.ok_or(WHERE)?),
        }
    }

    /// The study that was chosen of those that came, else the one that came last; else one of its own.
    fn place_of(
        &self,
        inbox: &Inbox,
        shown: Shown,
        now_ms: i64,
    ) -> Result<Result<Papers, &'static str>, Error> {
        let seed = match &inbox.grant.holder {
            Holder::Inbox { digest } => digest.0.to_vec(),
            Holder::Account(_) | Holder::Link { .. } => return Ok(Err(WHOSE)),
        };
        let (archive, chosen) = (&self.bringer.archive, self.study.as_ref());
        let max = belonging::INSTANCES_MAX;
        match belonging::belonging(archive, &inbox.grant, chosen, max)? {
            Belonging::Study(study) => {
                let study = *study;
                return Ok(Ok(Papers { study, seed, shown }));
            }
            Belonging::TooMuch => return Ok(Err(TOO_MUCH)),
            Belonging::Nothing => {}
        }
        let known = &inbox.purpose.patient;
        let patient = match known.name().is_empty() {
            true => self.person.patient(),
            false => Ok(Some(known.clone())),
        };
        let patient = patient.and_then(|patient| patient.ok_or(WHOSE));
        Ok(patient.map(|patient| Papers::alone(&patient, seed, shown, now_ms)))
    }

    /// The study that was named, if it may be found.
    fn place_in_archive(&self, shown: Shown) -> Result<Option<Papers>, Error> {
        let (archive, scope) = (&self.bringer.archive, &self.bringer.scope);
        let Some(study) = self.study.as_ref().filter(|study| scope.holds(study)) else {
            return Ok(None);
        };
        let target = Target::Study(study.clone());
        let located = archive.locate(&target, scope, None, LOOKED_AT_MAX)?;
        let first = located
            .iter()
            .find(|found| !belonging::is_paper(found.sop_class_uid.as_str()));
        let Some(first) = first.or(located.first()) else {
            return Ok(None);
        };
        let target = Target::Instance(
            study.clone(),
            first.series_instance_uid.clone(),
            first.sop_instance_uid.clone(),
        );
        let metadata = archive.metadata(&target, scope, None, 1)?;
        let study = metadata
            .first()
            .and_then(|prepared| Study::of_metadata(&prepared.metadata));
        Ok(study.map(|study| Papers {
            study,
            seed: b"upload".to_vec(),
            shown,
        }))
    }
}
