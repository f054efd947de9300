//! What a server can get wrong, and what that does to whom: the words of every finding, in one
//! table. Gathered from the trackers of the viewers and archives named; a code is stable, other
//! programs may go by it.

use super::report::Level::{self, Broken, Note, Warning};

/// One thing that can be wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its stable name.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What does not work then, and where.
    pub breaks: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

const fn fault(
    code: &'static str,
    level: Level,
    breaks: &'static str,
    hint: &'static str,
) -> Fault {
    Fault {
        code,
        level,
        breaks,
        hint,
    }
}

// --- The way there -------------------------------------------------------------------------------

pub(super) static UNREACHABLE: Fault = fault(
    "unreachable",
    Broken,
    "every viewer: nothing can be asked",
    "is the server running, is the URL that of the DICOMweb root, does a firewall or proxy stand between?",
);
pub(super) static REDIRECTED: Fault = fault(
    "redirected-elsewhere",
    Broken,
    "every viewer: a request from script does not follow to another host (CORS), and credentials are not sent there",
    "use the URL that it leads to, or let the proxy answer 401 to DICOMweb requests instead of showing a login page",
);
pub(super) static UNAUTHORIZED: Fault = fault(
    "unauthorized",
    Broken,
    "every viewer: lists stay empty, images do not load",
    "give what the viewer would send: --header 'Authorization: …', or OVERREAD_DOCTOR_AUTHORIZATION",
);
pub(super) static SERVER_ERROR: Fault = fault(
    "server-error",
    Broken,
    "whoever asks this gets nothing",
    "the log of the server says more; behind a proxy, 502 and 504 mean that the server itself was not reached",
);
pub(super) static TIMED_OUT: Fault = fault(
    "timed-out",
    Broken,
    "viewers show a spinner, or give up",
    "try a longer --timeout; if that helps, the server is too slow for a viewer",
);
pub(super) static BROKE_OFF: Fault = fault(
    "broke-off",
    Broken,
    "whoever asks this gets half an answer",
    "look for limits of size or time in the proxy (proxy_max_temp_file_size, proxy_read_timeout) and in the server's log",
);
pub(super) static TOO_LONG: Fault = fault(
    "too-long",
    Warning,
    "browsers hold such an answer in memory; nothing behind the limit was looked at",
    "is this the answer that was asked for? An endless body is a fault of the server or proxy",
);
pub(super) static UNASKED_CODING: Fault = fault(
    "unasked-coding",
    Broken,
    "clients other than browsers cannot read it",
    "let the server or proxy honour Accept-Encoding",
);
pub(super) static SLOW: Fault = fault(
    "slow",
    Warning,
    "the viewer seems to hang (OHIF #1491: study lists of 10 s and more)",
    "answer searches from an index, prepare metadata, look at the proxy's buffering",
);
pub(super) static NO_KEEP_ALIVE: Fault = fault(
    "no-keep-alive",
    Warning,
    "OHIF asks for frames one by one, up to 100 at a time: each pays for a new connection",
    "let the proxy and the server keep connections open (keepalive; proxy_http_version 1.1)",
);
pub(super) static SPENT: Fault = fault(
    "not-asked",
    Note,
    "nothing is known of this",
    "examine fewer studies: --studies, --study",
);
pub(super) static NOTHING_THERE: Fault = fault(
    "no-studies",
    Warning,
    "most requests need a study to ask about: they were not made",
    "store a study, or name one that these credentials may see: --study UID",
);
pub(super) static STUDY_UNKNOWN: Fault = fault(
    "study-not-found",
    Broken,
    "no viewer can open it from a link",
    "is the UID right, and may these credentials see it?",
);

// --- Lists -----------------------------------------------------------------------------------------

pub(super) static SEARCH_REFUSED: Fault = fault(
    "search-refused",
    Broken,
    "OHIF: the study list stays empty, or the viewer crashes (dicom-server #1847, #641)",
    "answer searches with limit, offset, fuzzymatching and a percent-encoded comma in includefield; ignore what is not supported",
);
pub(super) static FILTER_REFUSED: Fault = fault(
    "filter-refused",
    Broken,
    "OHIF: typing into this filter of the study list ends in an error (dicom-server #1847)",
    "support this attribute as a search key, by keyword and by tag",
);
pub(super) static FILTER_FINDS_NOTHING: Fault = fault(
    "filter-misses",
    Warning,
    "OHIF: this filter of the study list does not find the study it was made from",
    "wildcards (*), date ranges and case are matched by PS3.4 C.2.2.2; OHIF's supportsWildcard must fit the server",
);
pub(super) static FILTER_IGNORED: Fault = fault(
    "filter-ignored",
    Warning,
    "OHIF: the list shows studies that do not match; a modality filter seems dead",
    "support ModalitiesInStudy as a search key",
);
pub(super) static STUDY_BY_UID: Fault = fault(
    "study-by-uid",
    Broken,
    "OHIF: the study browser stays empty; Weasis: the study does not open from a link",
    "support StudyInstanceUID as a search key, by keyword and by tag",
);
pub(super) static BY_PATIENT: Fault = fault(
    "studies-of-patient",
    Broken,
    "OHIF: the study browser shows no priors, or an error",
    "support 00100020 as a search key",
);
pub(super) static SERIES_REFUSED: Fault = fault(
    "series-refused",
    Broken,
    "OHIF and Weasis: the study does not open",
    "answer /studies/{study}/series, below the same root as the images",
);
pub(super) static INSTANCES_REFUSED: Fault = fault(
    "instances-refused",
    Broken,
    "Weasis and 3D Slicer: the series stays empty",
    "answer /studies/{study}/series/{series}/instances",
);
pub(super) static QUERY_IN_HTML: Fault = fault(
    "default-accept",
    Broken,
    "Weasis sends the Accept of Java (text/html, image/gif, image/jpeg, */*): it finds no study",
    "answer searches in application/dicom+json wherever */* is acceptable",
);
pub(super) static PYTHON_QUERY: Fault = fault(
    "list-of-media-types",
    Broken,
    "3D Slicer and dicomweb-client (Python): nothing is found",
    "take a list of media types in Accept: application/dicom+json, application/json",
);
pub(super) static NOT_JSON: Fault = fault(
    "not-json",
    Broken,
    "every viewer: the list or the metadata cannot be read, the study does not open",
    "HTML here is a login or error page of a proxy; if it is JSON cut short, look for limits of size or time",
);
pub(super) static NOT_AN_ARRAY: Fault = fault(
    "not-an-array",
    Broken,
    "every viewer expects an array of data sets (PS3.18 F.2)",
    "is this the DICOMweb root? Orthanc's is /dicom-web, dcm4chee's /dcm4chee-arc/aets/AET/rs",
);
pub(super) static NOT_DICOM_JSON: Fault = fault(
    "not-dicom-json",
    Note,
    "strict clients refuse what PS3.18 Annex F does not allow",
    "see PS3.18 Annex F",
);
pub(super) static CONTENT_TYPE: Fault = fault(
    "content-type",
    Warning,
    "clients that look at Content-Type refuse or misread it",
    "label the answer with the type that it has; a proxy may have dropped or changed it",
);
pub(super) static NULL_VALUE: Fault = fault(
    "null-value",
    Warning,
    "violates PS3.18 F.2.5; OHIF and dcmjs read a null where they expect text (fo-dicom #2162, #873)",
    "leave Value out of an attribute that is empty",
);
pub(super) static MODALITIES_EMPTY: Fault = fault(
    "modalities-empty",
    Broken,
    "OHIF: the study list crashes on a study with an empty ModalitiesInStudy",
    "leave (0008,0061) out, or fill it from the series",
);
pub(super) static MODALITIES_MISSING: Fault = fault(
    "modalities-missing",
    Warning,
    "OHIF: the modality column is blank (OHIF #7, DICOMcloud #34)",
    "return (0008,0061) with each study",
);
pub(super) static COUNT_MISSING: Fault = fault(
    "instance-count-missing",
    Warning,
    "OHIF: the list shows 0 or NaN instances (dcm4chee #2825)",
    "return (0020,1208) with each study and (0020,1209) with each series",
);
pub(super) static UID_MISSING: Fault = fault(
    "uid-missing",
    Broken,
    "broken links: a viewer cannot ask for the study, series or instance (DICOM-RST #18)",
    "return 0020000D, 0020000E and 00080018 with each item that has them",
);
pub(super) static UID_MALFORMED: Fault = fault(
    "uid-malformed",
    Note,
    "3D Slicer: dicomweb-client (Python) refuses UIDs that PS3.5 §9.1 does not allow; they were not asked about",
    "such UIDs come from the sender of the study",
);
pub(super) static FOREIGN_SERIES: Fault = fault(
    "wrong-study",
    Broken,
    "OHIF: series of another study appear in this one",
    "items below /studies/{study} must be those of that study only",
);
pub(super) static RETRIEVE_URL: Fault = fault(
    "retrieve-url-elsewhere",
    Broken,
    "Weasis takes the images from the RetrieveURL: it would ask another host",
    "tell the server its public URL (Orthanc: Host/PublicRoot; Overread: http.public_url), or pass Forwarded/X-Forwarded-*",
);

// --- Metadata --------------------------------------------------------------------------------------

pub(super) static METADATA_REFUSED: Fault = fault(
    "metadata-refused",
    Broken,
    "OHIF: the study does not open",
    "answer …/metadata in application/dicom+json",
);
pub(super) static METADATA_OLD_ACCEPT: Fault = fault(
    "metadata-accept-list",
    Warning,
    "OHIF before 3.5: the study does not open (Orthanc DICOMweb NEWS 1.21)",
    "take a list of media types in Accept; application/dicom+json stands first",
);
pub(super) static STUDY_METADATA: Fault = fault(
    "study-metadata",
    Warning,
    "OHIF with enableStudyLazyLoad: false: the study does not open",
    "answer /studies/{study}/metadata",
);
pub(super) static METADATA_COUNT: Fault = fault(
    "metadata-count",
    Broken,
    "OHIF: slices are missing, silently (medplum PR #10154: a default page of 20)",
    "metadata is not paged; NumberOfSeriesRelatedInstances must be that of the series",
);
pub(super) static METADATA_SUBSET: Fault = fault(
    "metadata-subset",
    Broken,
    "OHIF: hangs after fetching metadata, or draws the image wrong (OHIF #1680, #1638)",
    "return the whole header (Orthanc: StudiesMetadata, SeriesMetadata = \"Full\")",
);
pub(super) static METADATA_NO_IMAGE: Fault = fault(
    "metadata-without-image",
    Warning,
    "OHIF: nothing to draw, though these are of an image storage class",
    "either the stored objects have no pixels, or the server cuts headers (Orthanc: StudiesMetadata, SeriesMetadata = \"Full\")",
);
pub(super) static NO_GZIP: Fault = fault(
    "no-gzip",
    Warning,
    "OHIF: minutes until a study of 15 to 20 series opens (OHIF #824)",
    "compress application/dicom+json in the server or proxy (nginx: gzip_types application/dicom+json)",
);
pub(super) static BULK_ELSEWHERE: Fault = fault(
    "bulk-elsewhere",
    Broken,
    "OHIF: PDF and video stay blank (OHIF #4256): the BulkDataURI leads to another host",
    "tell the server its public URL (Orthanc: Host/PublicRoot; Overread: http.public_url), or pass Forwarded/X-Forwarded-*; OHIF's bulkDataURI.startsWith/prefixWith can patch it",
);
pub(super) static BULK_UNREADABLE: Fault = fault(
    "bulk-unreadable",
    Broken,
    "OHIF: documents, overlays and segmentations behind this BulkDataURI stay blank",
    "the URI must answer multipart/related; type=\"application/octet-stream\"",
);
pub(super) static BULK_DOCUMENT: Fault = fault(
    "bulk-document",
    Broken,
    "OHIF: the PDF does not open (OHIF #3826, PR #3878)",
    "answer the BulkDataURI of a document for application/pdf and for application/octet-stream",
);

// --- Pixels ----------------------------------------------------------------------------------------

pub(super) static FRAME_REFUSED: Fault = fault(
    "frame-refused",
    Broken,
    "OHIF: no image. An unquoted transfer-syntax=* must be understood (Orthanc DICOMweb NEWS 1.14, issue 216; dcm4chee #1715)",
    "parse Accept leniently: parameters unquoted, with spaces, * as transfer syntax",
);
pub(super) static NO_PIXELS: Fault = fault(
    "no-pixel-data",
    Note,
    "nothing of this object can be drawn; its metadata mention no pixel data either",
    "the object may well have none",
);
pub(super) static FRAME_QUOTED: Fault = fault(
    "frame-quoted-refused",
    Broken,
    "OHIF with omitQuotationForMultipartRequest: false, and other clients: no image",
    "take type=\"application/octet-stream\" in quotes, too",
);
pub(super) static FRAME_OCTETS: Fault = fault(
    "frame-octets-refused",
    Note,
    "dicomweb-client (JavaScript): retrieveInstanceFrames without media types gets nothing for this image",
    "uncompressed frames on demand need transcoding",
);
pub(super) static FRAME_SINGLE: Fault = fault(
    "frame-single-part-refused",
    Note,
    "clients that ask for a single part get nothing; OHIF does not",
    "answer a lone frame without multipart where only application/octet-stream is acceptable",
);
pub(super) static FRAME_ANY: Fault = fault(
    "frame-any-refused",
    Warning,
    "3D Slicer and dicomweb-client (Python): retrieve_instance_frames without media types fails",
    "take multipart/related; type=\"*/*\"",
);
pub(super) static FRAME_LAST: Fault = fault(
    "last-frame-refused",
    Broken,
    "OHIF: a multi-frame image stops before its end",
    "frames are numbered from 1 to NumberOfFrames",
);
pub(super) static FRAME_SINGLE_PART: Fault = fault(
    "single-part",
    Warning,
    "older loaders fail where multipart was asked for (dicom-ohif #10)",
    "answer multipart/related when that is what Accept says",
);
pub(super) static PART_HEAD: Fault = fault(
    "part-head",
    Broken,
    "OHIF: \"invalid response - no multipart mime header\", no image",
    "end the headers of a part with an empty line (CR LF CR LF)",
);
pub(super) static PART_BOUNDARY: Fault = fault(
    "part-boundary",
    Broken,
    "OHIF: \"invalid response - no boundary marker\" or \"terminating boundary not found\", no image",
    "begin the body with the delimiter line, end it with CR LF and the closing delimiter; a cut body means a limit in a proxy",
);
pub(super) static PART_BOUNDARY_BREAK: Fault = fault(
    "part-boundary-line-break",
    Broken,
    "OHIF takes two bytes before the closing delimiter for its line break: the image lacks them",
    "write CR LF before the closing delimiter",
);
pub(super) static PART_BOUNDARY_OTHER: Fault = fault(
    "part-boundary-differs",
    Broken,
    "dicomweb-client (Python and JavaScript) splits at the boundary of Content-Type: nothing is found",
    "the body must use the boundary that Content-Type names",
);
pub(super) static PART_CONTENT_TYPE: Fault = fault(
    "part-content-type",
    Broken,
    "OHIF looks for a line that begins with \"Content-Type:\", spelled so: without it the frame is decoded as Implicit VR Little Endian",
    "label each part, in this spelling; a proxy may rewrite headers, never bodies",
);
pub(super) static PART_NO_SYNTAX: Fault = fault(
    "part-without-transfer-syntax",
    Broken,
    "OHIF decodes it as Implicit VR Little Endian: grey, garbled or \"Couldn't decode\" (shanoir-ng PR #3712, OHIF #2934)",
    "say transfer-syntax=… in the Content-Type of each part",
);
pub(super) static PART_NO_SYNTAX_HARMLESS: Fault = fault(
    "part-without-transfer-syntax",
    Warning,
    "OHIF decodes it as Implicit VR Little Endian, or by its media type: right for this image, wrong for other compressed ones",
    "say transfer-syntax=… in the Content-Type of each part",
);
pub(super) static FRAME_LENGTH: Fault = fault(
    "frame-length",
    Broken,
    "viewers: a garbled or cut image",
    "a native frame has Rows × Columns × SamplesPerPixel × BitsAllocated / 8 bytes; is it compressed and not labelled?",
);
pub(super) static FRAME_CODE: Fault = fault(
    "frame-code",
    Broken,
    "viewers: \"Couldn't decode\"",
    "the bytes are not of the transfer syntax that the part names; was it transcoded, or is the label wrong?",
);

// --- Pictures, files, documents --------------------------------------------------------------------

pub(super) static THUMBNAIL: Fault = fault(
    "thumbnail-missing",
    Warning,
    "OHIF with thumbnailRendering: thumbnail: no previews. With wadors (the default) it pulls whole frames instead",
    "serve …/thumbnail, or leave thumbnailRendering at wadors",
);
pub(super) static RENDERED: Fault = fault(
    "rendered-missing",
    Warning,
    "OHIF with thumbnailRendering: rendered: no previews",
    "serve …/rendered as image/jpeg, with viewport",
);
pub(super) static RENDERED_BROWSER: Fault = fault(
    "rendered-in-browser",
    Note,
    "a rendered image opened in a tab of the browser is an error page",
    "*/* and image/webp stand in a browser's Accept: choose image/jpeg or image/png",
);
pub(super) static PICTURE: Fault = fault(
    "not-a-picture",
    Broken,
    "OHIF: broken previews",
    "the bytes must be of the media type that Content-Type names",
);
pub(super) static FILE_REFUSED: Fault = fault(
    "file-refused",
    Broken,
    "Weasis and 3D Slicer: images do not load (transfer-syntax=* asks for the stored one)",
    "answer an instance as multipart/related; type=\"application/dicom\", whatever its transfer syntax",
);
pub(super) static FILE_DEFAULT: Fault = fault(
    "file-default-refused",
    Warning,
    "dicomweb-client (JavaScript): an instance cannot be downloaded without naming a transfer syntax",
    "answer in Explicit VR Little Endian, or in the stored syntax",
);
pub(super) static FILE_OCTETS: Fault = fault(
    "file-octets-refused",
    Note,
    "old cornerstone loaders ask an instance for octet-stream (cornerstoneWADOImageLoader #356)",
    "harmless for OHIF 3",
);
pub(super) static NOT_A_FILE: Fault = fault(
    "not-dicom",
    Broken,
    "Weasis and 3D Slicer: what comes is no DICOM file",
    "each part must be a whole DICOM file (PS3.10)",
);
pub(super) static DOCUMENT: Fault = fault(
    "document-rendered",
    Warning,
    "OHIF: a PDF without bulk data does not open",
    "serve …/rendered of encapsulated documents in their own type",
);
pub(super) static VIDEO: Fault = fault(
    "video-rendered",
    Broken,
    "OHIF: black viewport (OHIF #4257; fixed in Orthanc 1.19)",
    "serve …/rendered of videos in their own type",
);
pub(super) static NO_RANGES: Fault = fault(
    "no-ranges",
    Note,
    "a video in a browser cannot be wound forward before it has been loaded",
    "answer Range with 206",
);
pub(super) static WADO_URI: Fault = fault(
    "wado-uri-missing",
    Note,
    "OHIF with imageRendering: wadouri: no images. With wadors (the default) nothing",
    "serve WADO-URI, name it by --wado-uri, or leave imageRendering at wadors",
);
pub(super) static HEAD: Fault = fault(
    "head-refused",
    Note,
    "download managers and health checks that ask by HEAD",
    "answer HEAD as GET without a body",
);

// --- Other origins, storing ------------------------------------------------------------------------

pub(super) static CORS_PREFLIGHT: Fault = fault(
    "cors-preflight",
    Broken,
    "OHIF on that origin: every request fails before it is sent (OHIF #663, #2546)",
    "answer OPTIONS without asking for a login, with Access-Control-Allow-Origin, -Methods and -Headers (accept, authorization, content-type)",
);
pub(super) static CORS_ANSWER: Fault = fault(
    "cors-answer",
    Broken,
    "OHIF on that origin: the browser withholds the answer from the viewer",
    "send Access-Control-Allow-Origin with every answer, errors too (Overread: http.allowed_origins)",
);
pub(super) static STORE_REFUSED: Fault = fault(
    "store-refused",
    Broken,
    "OHIF: measurements (SR), segmentations and uploads are not saved; its client takes 200, 202 and 204 for success",
    "answer POST /studies with 200; behind nginx raise client_max_body_size",
);
pub(super) static STORED_NOT_FOUND: Fault = fault(
    "stored-not-found",
    Warning,
    "OHIF: what was just saved does not appear",
    "a stored instance should be found by the next search",
);
pub(super) static LEFT_BEHIND: Fault = fault(
    "left-behind",
    Note,
    "the object made for this examination is still on the server",
    "remove the study that is named above",
);
