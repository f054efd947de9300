//! The course of an examination: the study list tells which studies there are, their series and
//! metadata tell what is in them, and what was chosen of it is asked about as the table says.

use super::address::{self, Address};
use super::checks::{self, Found, Place, came};
use super::client::Client;
use super::datasets;
use super::faults;
use super::replay::{self, Expect, On, REQUESTS, Request};
use super::report::Step;
use super::subjects::{
    INSTANCES_MAX, Instance, Kind, SERIES_MAX, Series, Study, choose_series, choose_studies,
    is_new_kind,
};
use crate::dicom::Uid;

/// A study of more instances is not asked for as one piece of metadata.
const STUDY_METADATA_MAX: u64 = 2_000;
/// The most BulkDataURIs of one instance that are read.
const URIS_READ: usize = 2;
/// How often the URI service is asked.
const WADO_URI_ASKED: usize = 2;

/// One examination under way.
pub(super) struct Examination<'a> {
    pub(super) client: Client,
    pub(super) root: Address,
    pub(super) uri_root: Address,
    /// An origin that a viewer comes from.
    pub(super) page_origin: Option<String>,
    /// A study to look at instead of the newest.
    pub(super) study: Option<Uid>,
    /// How many of the newest are looked at.
    pub(super) newest: usize,
    pub(super) progress: &'a mut dyn FnMut(&str),
    pub(super) steps: Vec<Step>,
    pub(super) server: Option<String>,
    pub(super) studies: usize,
    pub(super) series: usize,
    pub(super) instances: Vec<(String, Instance)>,
    /// Nothing more will come.
    pub(super) is_over: bool,
}

impl Examination<'_> {
    /// Asks everything of the table.
    pub(super) fn run(&mut self) {
        let asked = self.ask(&replay::STUDY_LIST, Place::default());
        let listed = asked.and_then(|asked| {
            self.judge(&asked, Place::default(), |answer, place, found| {
                checks::lists::studies(answer, Expect::Studies, place, found)
            })
        });
        if self.is_over {
            return;
        }
        let is_listed = listed.is_some() && self.study.is_none();
        self.ask_all(Place::default(), |on| on == On::Archive);
        if self.page_origin.is_some() {
            self.preflight();
        }
        let studies = match self.study.clone() {
            Some(uid) => self.named_study(uid),
            None => choose_studies(listed.unwrap_or_default(), self.newest),
        };
        if studies.is_empty() && is_listed {
            self.say(
                &replay::STUDY_LIST,
                &faults::NOTHING_THERE,
                "GET …/studies",
                "no study that could be asked about".into(),
            );
        }
        let mut modalities = Vec::new();
        for study in &studies {
            if self.is_over {
                return;
            }
            self.studies += 1;
            self.look_at_study(study, &mut modalities);
        }
    }

    /// The study of `--study`.
    fn named_study(&mut self, uid: Uid) -> Vec<Study> {
        let wanted = Study {
            uid,
            patient_name: None,
            patient_id: None,
            date: None,
            time: None,
            accession_number: None,
            description: None,
            modalities: Vec::new(),
            instances: None,
        };
        let place = Place {
            study: Some(&wanted),
            ..Place::default()
        };
        let Some(asked) = self.ask(&replay::STUDY_BY_UID, place) else {
            return Vec::new();
        };
        // It is asked again with all others, and judged then.
        let mut ignored = Found::new();
        let found = checks::lists::studies(&asked.answer, Expect::Studies, place, &mut ignored);
        let mut found = found.unwrap_or_default();
        found.retain(|study| study.uid == wanted.uid);
        if found.is_empty() {
            self.say(
                &replay::STUDY_BY_UID,
                &faults::STUDY_UNKNOWN,
                &asked.shown,
                came(&asked.answer),
            );
        }
        found
    }

    fn look_at_study(&mut self, study: &Study, modalities: &mut Vec<String>) {
        let place = self.place(study);
        self.ask_and_judge(&replay::STUDY_BY_UID, place);
        let is_large = study
            .instances
            .is_some_and(|count| count > STUDY_METADATA_MAX);
        for request in REQUESTS.iter().filter(|request| request.on == On::Study) {
            if request.expect != Expect::StudyMetadata || !is_large {
                self.ask_and_judge(request, place);
            }
        }
        let Some(asked) = self.ask(&replay::SERIES_LIST, place) else {
            return;
        };
        let series = self.judge(&asked, place, checks::lists::series);
        for series in choose_series(series.unwrap_or_default(), modalities) {
            if self.is_over || self.series >= SERIES_MAX {
                return;
            }
            self.series += 1;
            self.look_at_series(study, &series);
        }
    }

    fn look_at_series(&mut self, study: &Study, series: &Series) {
        let place = Place {
            series: Some(series),
            ..self.place(study)
        };
        self.ask_all(place, |on| on == On::Series);
        let Some(asked) = self.ask(&replay::SERIES_METADATA, place) else {
            return;
        };
        let kinds = self.judge(&asked, place, |answer, place, found| {
            checks::metadata::metadata(answer, series.instances, place, found)
        });
        for instance in kinds.unwrap_or_default() {
            let known: Vec<Instance> = self.instances.iter().map(|known| known.1.clone()).collect();
            if known.len() >= INSTANCES_MAX || self.is_over {
                return;
            }
            if is_new_kind(&instance, &known) {
                self.look_at_instance(study, series, &instance);
                self.instances.push((series.modality.clone(), instance));
            }
        }
    }

    fn look_at_instance(&mut self, study: &Study, series: &Series, instance: &Instance) {
        let place = Place {
            series: Some(series),
            instance: Some(instance),
            ..self.place(study)
        };
        let kind = instance.kind;
        let is_early = self.instances.len() < WADO_URI_ASKED;
        self.ask_all(place, |on| match on {
            On::Instance => true,
            On::Image => kind.has_frames(),
            On::MultiFrame => kind.has_frames() && instance.frames > 1,
            On::Document => kind == Kind::Document,
            On::Video => kind == Kind::Video,
            On::WadoUri => is_early && kind.has_frames(),
            On::Archive | On::Study | On::Series => false,
        });
        self.read_bulk_data(place, instance);
    }

    /// Follows BulkDataURIs as OHIF does, those of documents first; it asks for pixels by their frames.
    fn read_bulk_data(&mut self, place: Place<'_>, instance: &Instance) {
        const DOCUMENT: &str = "00420011";
        let mut bulk: Vec<_> = instance.bulk.iter().collect();
        bulk.retain(|(tag, _)| !tag.starts_with("7FE0"));
        bulk.sort_by_key(|(tag, _)| tag != DOCUMENT);
        for (tag, uri) in bulk.into_iter().take(URIS_READ) {
            let Some(url) = self.bulk_url(place, uri) else {
                continue;
            };
            // What leads elsewhere has been found in the metadata, and is not asked.
            if address::origin(&url).as_deref() != Ok(self.root.origin()) {
                continue;
            }
            let shown = format!("the BulkDataURI of {}", datasets::tag_name(tag));
            let requests = [&replay::BULK_DATA, &replay::BULK_PDF];
            for request in requests.into_iter().take(1 + usize::from(tag == DOCUMENT)) {
                if let Some(asked) = self.send(request, request.refused, &shown, &url) {
                    self.judge(&asked, place, |answer, _, found| {
                        checks::media::bulk(answer, request.refused, found);
                    });
                }
            }
        }
    }

    /// What OHIF makes of a BulkDataURI.
    fn bulk_url(&self, place: Place<'_>, uri: &str) -> Option<String> {
        let study = format!("{}/studies/{}/", self.root.url(), place.study?.uid);
        let series = format!("{study}series/{}/", place.series?.uid);
        let base = if uri.starts_with("series/") || uri.starts_with("bulkdata/") {
            study
        } else {
            series
        };
        address::join(&base, uri)
    }

    fn place<'p>(&self, study: &'p Study) -> Place<'p> {
        Place {
            study: Some(study),
            ..Place::default()
        }
    }

    fn ask_all(&mut self, place: Place<'_>, is_meant: impl Fn(On) -> bool) {
        for request in REQUESTS.iter().filter(|request| is_meant(request.on)) {
            if self.is_over {
                return;
            }
            self.ask_and_judge(request, place);
        }
    }

    fn ask_and_judge(&mut self, request: &'static Request, place: Place<'_>) {
        let Some(asked) = self.ask(request, place) else {
            return;
        };
        self.judge(&asked, place, |answer, place, found| match request.expect {
            Expect::Studies | Expect::StudiesWithThis | Expect::StudiesOfModality => {
                checks::lists::studies(answer, request.expect, place, found);
            }
            Expect::Series => {
                checks::lists::series(answer, place, found);
            }
            Expect::Instances => checks::lists::instances(answer, place, found),
            Expect::SeriesMetadata => {
                let expected = place.series.and_then(|series| series.instances);
                checks::metadata::metadata(answer, expected, place, found);
            }
            Expect::StudyMetadata => {
                let expected = place.study.and_then(|study| study.instances);
                checks::metadata::metadata(answer, expected, place, found);
            }
            Expect::Frame => checks::pixels::frame(answer, false, place, found),
            Expect::LoneFrame => checks::pixels::frame(answer, true, place, found),
            Expect::File => checks::media::file(answer, found),
            Expect::Picture => checks::pixels::picture(answer, found),
            Expect::Media => checks::media::media(answer, request.refused, found),
            Expect::Range => checks::media::range(answer, found),
            Expect::Bulk => checks::media::bulk(answer, request.refused, found),
            Expect::Status => {}
        });
    }
}
