//! What viewers ask of a DICOMweb server, request by request: recorded from OHIF 3.13 with cornerstone3D, read
//! from the sources of Weasis 4 (`$dicom:rs`), dicomweb-client of Python (the one in 3D Slicer) and of
//! JavaScript (the one in OHIF). Method, query and Accept are theirs to the letter.
//!
//! Paths are below the DICOMweb root. `{study}`, `{series}`, `{instance}`, `{frame}` are filled in;
//! so are attributes by keyword, of which only the keyword is ever shown.

use super::faults::{self, Fault};
use super::report::Viewer::{self, JavaScript, Ohif, Other, Slicer, Weasis};

/// A request and what it must bring.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) title: &'static str,
    pub(super) chapter: &'static str,
    pub(super) viewers: &'static [Viewer],
    /// What it is asked about.
    pub(super) on: On,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Empty: no Accept header.
    pub(super) accept: &'static str,
    pub(super) expect: Expect,
    /// What it means when it is not answered.
    pub(super) refused: &'static Fault,
}

/// What a request is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// The archive, once.
    Archive,
    /// Each study looked at.
    Study,
    /// Each series looked at.
    Series,
    /// Each kind of instance.
    Instance,
    /// Each kind of image that is no video.
    Image,
    /// Those of more than one frame.
    MultiFrame,
    /// Encapsulated documents.
    Document,
    /// Videos.
    Video,
    /// An image, below the URI service.
    WadoUri,
}

/// What an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// Study items.
    Studies,
    /// Study items, the study asked about among them, unless the page is full.
    StudiesWithThis,
    /// As above; all of the modality asked for.
    StudiesOfModality,
    /// Series items of one study.
    Series,
    /// Instance items of one series.
    Instances,
    /// Data sets of one series.
    SeriesMetadata,
    /// Data sets of one study.
    StudyMetadata,
    /// One frame, in a multipart body.
    Frame,
    /// One frame, by itself or not.
    LoneFrame,
    /// DICOM files, in a multipart body or alone.
    File,
    /// JPEG, PNG, GIF or the like.
    Picture,
    /// A document, a video: anything but an error page.
    Media,
    /// Part of a video.
    Range,
    /// Bulk data.
    Bulk,
    /// Nothing is looked at but the status.
    Status,
}

pub(super) const JSON: &str = "application/dicom+json";
const JSON_OR_PARTS: &str =
    "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*";
const PYTHON_JSON: &str = "application/dicom+json, application/json";
/// What Java's HttpURLConnection sends unless told otherwise, and Weasis does not tell it.
const JAVA: &str = "text/html, image/gif, image/jpeg, */*; q=0.2";
const FRAME: &str = "multipart/related; type=application/octet-stream; transfer-syntax=*";
const FRAME_QUOTED: &str =
    "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*";
pub(super) const OCTETS: &str = "multipart/related; type=\"application/octet-stream\"";
pub(super) const PDF_OR_OCTETS: &str = "multipart/related; type=\"application/pdf\", multipart/related; type=\"application/octet-stream\"";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/jxl,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";

const SEARCH: &str = "Study list and search";
const OPENING: &str = "Opening a study";
const PIXELS: &str = "Pixels";
const PICTURES: &str = "Thumbnails and rendered images";
const FILES: &str = "Files, documents, video";
pub(super) const BULK: &str = "Bulk data";

macro_rules! study_list {
    ($filter:literal) => {
        concat!("/studies?", $filter, "limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060%2C00080090%2C00100030")
    };
}
macro_rules! instance {
    ($rest:literal) => {
        concat!(
            "/studies/{study}/series/{series}/instances/{instance}",
            $rest
        )
    };
}

#[allow(
    clippy::too_many_arguments,
    reason = "a row of a table, read in columns"
)]
const fn row(
    chapter: &'static str,
    title: &'static str,
    viewers: &'static [Viewer],
    on: On,
    path: &'static str,
    accept: &'static str,
    expect: Expect,
    refused: &'static Fault,
) -> Request {
    Request {
        title,
        chapter,
        viewers,
        on,
        method: "GET",
        path,
        accept,
        expect,
        refused,
    }
}

/// The study list, which tells what else can be asked.
pub(super) static STUDY_LIST: Request = row(
    SEARCH,
    "study list",
    &[Ohif],
    On::Archive,
    study_list!(""),
    JSON,
    Expect::Studies,
    &faults::SEARCH_REFUSED,
);
/// The study behind a link.
pub(super) static STUDY_BY_UID: Request = row(
    SEARCH,
    "study by UID",
    &[Ohif],
    On::Study,
    "/studies?limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060%2C00080090%2C00100030&StudyInstanceUID={study}",
    JSON,
    Expect::StudiesWithThis,
    &faults::STUDY_BY_UID,
);
/// The series of a study, with what the study browser shows.
pub(super) static SERIES_LIST: Request = row(
    OPENING,
    "series, study browser",
    &[Ohif],
    On::Study,
    "/studies/{study}/series?includefield=00080021%2C00080031%2C0008103E%2C00200011",
    JSON,
    Expect::Series,
    &faults::SERIES_REFUSED,
);
/// The metadata of a series, which tells what instances there are.
pub(super) static SERIES_METADATA: Request = row(
    OPENING,
    "metadata of a series",
    &[Ohif],
    On::Series,
    "/studies/{study}/series/{series}/metadata",
    JSON,
    Expect::SeriesMetadata,
    &faults::METADATA_REFUSED,
);
/// A BulkDataURI.
pub(super) static BULK_DATA: Request = row(
    BULK,
    "bulk data by its URI",
    &[Ohif],
    On::Instance,
    "",
    OCTETS,
    Expect::Bulk,
    &faults::BULK_UNREADABLE,
);
/// The BulkDataURI of a document.
pub(super) static BULK_PDF: Request = row(
    BULK,
    "document by its BulkDataURI",
    &[Ohif],
    On::Document,
    "",
    PDF_OR_OCTETS,
    Expect::Bulk,
    &faults::BULK_DOCUMENT,
);

/// All others, in the order in which they are asked.
#[rustfmt::skip]
pub(super) static REQUESTS: &[Request] = &[
    row(SEARCH, "filter: name and patient ID", &[Ohif], On::Study, study_list!("PatientName=*{PatientName}*&00100020=*{PatientID}*&"), JSON, Expect::StudiesWithThis, &faults::FILTER_REFUSED),
    row(SEARCH, "filter: modality", &[Ohif], On::Study, study_list!("ModalitiesInStudy={ModalitiesInStudy}&"), JSON, Expect::StudiesOfModality, &faults::FILTER_REFUSED),
    row(SEARCH, "filter: dates", &[Ohif], On::Study, "/studies?limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060%2C00080090%2C00100030&StudyDate={StudyDate}-{StudyDate}", JSON, Expect::StudiesWithThis, &faults::FILTER_REFUSED),
    row(SEARCH, "filter: description", &[Ohif], On::Study, study_list!("StudyDescription=*{StudyDescription}*&"), JSON, Expect::StudiesWithThis, &faults::FILTER_REFUSED),
    row(SEARCH, "filter: accession number", &[Ohif], On::Study, study_list!("AccessionNumber=*{AccessionNumber}*&"), JSON, Expect::StudiesWithThis, &faults::FILTER_REFUSED),
    row(SEARCH, "studies of the patient", &[Ohif], On::Study, study_list!("00100020={PatientID}&"), JSON, Expect::StudiesWithThis, &faults::BY_PATIENT),
    row(SEARCH, "study by UID, Accept of Java", &[Weasis], On::Study, "/studies?0020000D={study}&includefield=00080020,00080030,00080050,00080061,00080090,00081030,00100010,00100020,00100021,00100030,00100040,0020000D,00200010", JAVA, Expect::StudiesWithThis, &faults::QUERY_IN_HTML),
    row(SEARCH, "studies of the patient, Accept of Java", &[Weasis], On::Study, "/studies?00100020={PatientID}&includefield=00080020,00080030,00080050,00080061,00080090,00081030,00100010,00100020,00100021,00100030,00100040,0020000D,00200010", JAVA, Expect::StudiesWithThis, &faults::QUERY_IN_HTML),
    row(SEARCH, "study list, two media types", &[Slicer], On::Archive, "/studies?offset=0&limit=20", PYTHON_JSON, Expect::Studies, &faults::PYTHON_QUERY),

    row(OPENING, "series, viewer", &[Ohif, JavaScript], On::Study, "/studies/{study}/series", JSON, Expect::Series, &faults::SERIES_REFUSED),
    row(OPENING, "series, Accept of Java", &[Weasis], On::Study, "/studies/{study}/series?includefield=0008103E,00080060,0020000E,00200011,00081190", JAVA, Expect::Series, &faults::SERIES_REFUSED),
    row(OPENING, "series, two media types", &[Slicer], On::Study, "/studies/{study}/series", PYTHON_JSON, Expect::Series, &faults::SERIES_REFUSED),
    row(OPENING, "instances, Accept of Java", &[Weasis], On::Series, "/studies/{study}/series/{series}/instances?includefield=00080018,00200013,00081190", JAVA, Expect::Instances, &faults::INSTANCES_REFUSED),
    row(OPENING, "instances, two media types", &[Slicer], On::Series, "/studies/{study}/series/{series}/instances", PYTHON_JSON, Expect::Instances, &faults::INSTANCES_REFUSED),
    row(OPENING, "metadata of a series, older OHIF", &[Ohif], On::Series, "/studies/{study}/series/{series}/metadata", JSON_OR_PARTS, Expect::SeriesMetadata, &faults::METADATA_OLD_ACCEPT),
    row(OPENING, "metadata of a study", &[Ohif, JavaScript], On::Study, "/studies/{study}/metadata", JSON, Expect::StudyMetadata, &faults::STUDY_METADATA),

    row(PIXELS, "frame, transfer-syntax=*", &[Ohif], On::Image, instance!("/frames/1"), FRAME, Expect::Frame, &faults::FRAME_REFUSED),
    row(PIXELS, "last frame", &[Ohif], On::MultiFrame, instance!("/frames/{frame}"), FRAME, Expect::Frame, &faults::FRAME_LAST),
    row(PIXELS, "frame, quoted type", &[Ohif], On::Image, instance!("/frames/1"), FRAME_QUOTED, Expect::Frame, &faults::FRAME_QUOTED),
    row(PIXELS, "frame, octet-stream", &[JavaScript], On::Image, instance!("/frames/1"), OCTETS, Expect::Frame, &faults::FRAME_OCTETS),
    row(PIXELS, "frame, any type", &[Slicer], On::Image, instance!("/frames/1"), "multipart/related; type=\"*/*\"", Expect::Frame, &faults::FRAME_ANY),
    row(PIXELS, "frame, single part", &[Other], On::Image, instance!("/frames/1"), "application/octet-stream; transfer-syntax=*", Expect::LoneFrame, &faults::FRAME_SINGLE),

    row(PICTURES, "thumbnail, accept= in the query", &[Ohif], On::Image, instance!("/thumbnail?accept=image%2Fjpeg"), "*/*", Expect::Picture, &faults::THUMBNAIL),
    row(PICTURES, "rendered, accept= in the query", &[Ohif], On::Image, instance!("/rendered?accept=image%2Fjpeg"), "*/*", Expect::Picture, &faults::RENDERED),
    row(PICTURES, "rendered, viewport", &[Ohif], On::Image, instance!("/rendered?viewport=256%2C256"), "image/jpeg", Expect::Picture, &faults::RENDERED),
    row(PICTURES, "rendered, Accept of a browser", &[Other], On::Image, instance!("/rendered"), BROWSER, Expect::Picture, &faults::RENDERED_BROWSER),

    row(FILES, "instance, transfer-syntax=*", &[Weasis], On::Instance, instance!(""), "multipart/related;type=\"application/dicom\";transfer-syntax=*", Expect::File, &faults::FILE_REFUSED),
    row(FILES, "instance, transfer-syntax=* with spaces", &[Slicer], On::Instance, instance!(""), "multipart/related; type=\"application/dicom\"; transfer-syntax=*", Expect::File, &faults::FILE_REFUSED),
    row(FILES, "instance, no transfer syntax", &[JavaScript], On::Instance, instance!(""), "multipart/related; type=\"application/dicom\"", Expect::File, &faults::FILE_DEFAULT),
    row(FILES, "instance, octet-stream", &[Other], On::Image, instance!(""), FRAME, Expect::Status, &faults::FILE_OCTETS),
    row(FILES, "WADO-URI", &[Ohif], On::WadoUri, "?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}&contentType=application/dicom&transferSyntax=*", FRAME, Expect::File, &faults::WADO_URI),
    row(FILES, "rendered document", &[Ohif], On::Document, instance!("/rendered"), "*/*", Expect::Media, &faults::DOCUMENT),
    row(FILES, "rendered video", &[Ohif], On::Video, instance!("/rendered"), "*/*", Expect::Media, &faults::VIDEO),
    row(FILES, "part of a video", &[Other], On::Video, instance!("/rendered"), "*/*", Expect::Range, &faults::NO_RANGES),
    Request { method: "HEAD", ..row(FILES, "head of metadata", &[Other], On::Series, "/studies/{study}/series/{series}/metadata", JSON, Expect::Status, &faults::HEAD) },
];

/// The headings in the order in which they are shown.
pub(super) const CHAPTERS: &[&str] = &[
    SEARCH,
    OPENING,
    PIXELS,
    PICTURES,
    FILES,
    BULK,
    OTHER_ORIGINS,
    STORING,
];
pub(super) const OTHER_ORIGINS: &str = "Viewers on other origins";
pub(super) const STORING: &str = "Storing";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_unique_and_placeholders_fit_what_is_asked_about() {
        let mut titles: Vec<_> = REQUESTS.iter().map(|r| r.title).collect();
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), REQUESTS.len());
        for request in REQUESTS {
            let needs = |name| request.path.contains(name);
            assert!(
                !needs("{instance}") || !matches!(request.on, On::Archive | On::Study | On::Series),
                "{}",
                request.title
            );
            assert!(
                !needs("{study}") || request.on != On::Archive,
                "{}",
                request.title
            );
            assert!(CHAPTERS.contains(&request.chapter));
        }
    }
}
