//! Presentation states and the images they are for (PS3.4 §N.2, PS3.18 §10.4.1.1.3), which may lie
//! anywhere in the archive: they are found under the caller's [`Scope`] or not at all.

use super::frames::{FrameError, decodable};
use super::picture::{Linked, MARKS_BYTES_MAX, PictureError};
use crate::access::Scope;
use crate::archive::{Archive, DatasetReader, Error, Located, Target};
use crate::dicom::header::BulkValue;
use crate::dicom::query::{Key, Matching, Order};
use crate::dicom::transfer_syntax::TransferSyntax;
use crate::dicom::walk::ByteOrder;
use crate::dicom::{AttributeId, Level, Query, Uid};
use crate::imaging::Presentation;
use crate::imaging::presentation::Reference;

/// Instances of one UID that are looked at.
const NAMESAKES_MAX: u32 = 4;
/// The most frames that one state is drawn on.
const FRAMES_MAX: usize = 4096;

/// A presentation state that is held here.
pub struct State {
    located: Located,
    presentation: Presentation,
    bulk: Vec<BulkValue>,
    order: ByteOrder,
    archive: Archive,
}

/// An image that a state is for, and its frames, from 1.
pub type Presented = (Located, Vec<u32>);

impl Archive {
    /// Gets a presentation state ready.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it was removed meanwhile, or why it cannot be applied.
    pub fn state(&self, located: &Located, scope: &Scope) -> Result<State, PictureError> {
        let target = Target::Instance(
            located.study_instance_uid.clone(),
            located.series_instance_uid.clone(),
            located.sop_instance_uid.clone(),
        );
        let prepared = self.metadata(&target, scope, None, 1)?.pop();
        let metadata = prepared.ok_or(Error::NotFound)?.metadata;
        let presentation = Presentation::parse(&metadata, located.sop_class_uid.as_str())?;
        let (_, bulk) = self.bulk(&target, scope)?.ok_or(Error::NotFound)?;
        let syntax = TransferSyntax::of_uid(located.transfer_syntax_uid.as_str());
        Ok(State {
            located: located.clone(),
            presentation,
            bulk,
            order: syntax.map_or(ByteOrder::Little, |syntax| syntax.encoding.order),
            archive: self.clone(),
        })
    }

    /// The images that a state is for, in its order, or the first only; all of them can be drawn, or
    /// none is given.
    ///
    /// # Errors
    /// [`PictureError::NoSubject`] for one that is not here or not for the caller,
    /// [`PictureError::SubjectWithoutPixels`], or why it cannot be drawn.
    pub fn presented(
        &self,
        state: &State,
        is_first_enough: bool,
        scope: &Scope,
    ) -> Result<Vec<Presented>, PictureError> {
        let mut references = state.presentation.references()?;
        if is_first_enough {
            references.truncate(1);
        }
        let mut images: Vec<Presented> = Vec::new();
        let mut frames_in_all = 0;
        for reference in references {
            let located = self.subject(state, &reference, scope)?;
            match decodable(&located) {
                Err(FrameError::NoPixels) => {
                    return Err(PictureError::SubjectWithoutPixels);
                }
                other => drop(other?),
            }
            let count = located.frames.len();
            if reference.frames.iter().any(|number| *number > count) {
                return Err(PictureError::NoSubject);
            }
            let frames = if reference.frames.is_empty() {
                (1..=count).collect()
            } else {
                reference.frames
            };
            frames_in_all += frames.len();
            if frames_in_all > FRAMES_MAX && !is_first_enough {
                return Err(PictureError::TooManySubjects);
            }
            images.push((located, frames));
        }
        Ok(images)
    }

    /// The image of a reference: where the state says, else wherever it is.
    fn subject(
        &self,
        state: &State,
        reference: &Reference,
        scope: &Scope,
    ) -> Result<Located, PictureError> {
        let image = Uid::parse(&reference.sop_instance_uid).map_err(|_| PictureError::NoSubject)?;
        if let Ok(series) = Uid::parse(&reference.series_instance_uid) {
            let study = state.located.study_instance_uid.clone();
            let target = Target::Instance(study, series, image.clone());
            if let Some(located) = self.locate_one(&target, scope)? {
                return Ok(located);
            }
        }
        let key = AttributeId::of_keyword("SOPInstanceUID").ok_or(PictureError::NoSubject)?;
        let query = Query {
            level: Level::Instance,
            keys: vec![Key::Attribute(key, Matching::Single(image.as_str().into()))],
            limit: NAMESAKES_MAX,
            offset: 0,
            order: Order::NEWEST,
        };
        for row in self.find(&query, scope)?.rows {
            let uid = |keyword| Uid::parse(row.attributes.by_keyword(keyword)?).ok();
            let place = uid("StudyInstanceUID").zip(uid("SeriesInstanceUID"));
            if let Some((study, series)) = place {
                let target = Target::Instance(study, series, image.clone());
                if let Some(located) = self.locate_one(&target, scope)? {
                    return Ok(located);
                }
            }
        }
        Err(PictureError::NoSubject)
    }

    fn locate_one(&self, target: &Target, scope: &Scope) -> Result<Option<Located>, Error> {
        match self.locate(target, scope, None, 1) {
            Ok(mut located) => Ok(located.pop()),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl State {
    /// The frame of an image of `count` that it is for: the wanted one, else the first. `None` when it is
    /// for none such.
    ///
    /// # Errors
    /// When its references are malformed or too many.
    pub fn frame_for(
        &self,
        image: &Uid,
        wanted: Option<u32>,
        count: u32,
    ) -> Result<Option<u32>, PictureError> {
        let references = self.presentation.references()?;
        let mut frames = references
            .iter()
            .filter(|reference| reference.sop_instance_uid == image.as_str())
            .map(|reference| &reference.frames);
        Ok(match wanted {
            Some(number) => frames
                .any(|frames| frames.is_empty() || frames.contains(&number))
                .then_some(number),
            None => frames
                .filter_map(|frames| match frames.is_empty() {
                    true => (count > 0).then_some(1),
                    false => frames
                        .iter()
                        .copied()
                        .filter(|n| (1..=count).contains(n))
                        .min(),
                })
                .min(),
        })
    }

    pub(super) fn presentation(&self) -> &Presentation {
        &self.presentation
    }

    /// What its metadata only link, for one picture.
    pub(super) fn linked(&self) -> Linked<'_, DatasetReader> {
        let dataset = self.archive.dataset(&self.located);
        Linked::new(dataset, &self.bulk, self.order, MARKS_BYTES_MAX)
    }
}
