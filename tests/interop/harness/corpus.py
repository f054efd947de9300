"""The real files that come with pydicom and pydicom-data, and what is expected of each."""

import functools
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import data_store
import pydicom
from pydicom import dcmread

from . import part10

ROOTS = {
    "test_files": Path(pydicom.__file__).parent / "data/test_files",
    "charset_files": Path(pydicom.__file__).parent / "data/charset_files",
    "data_store": Path(data_store.__file__).parent / "data",
}

NO_DICOM = "no DICOM object"
NO_STUDY = "Study and Series Instance UID are missing"
NO_UIDS = "no identifying UID at all"
DIRECTORY = "a media directory is no instance of a study"
CUT = "the data set is cut off"
MALFORMED = "malformed UIDs"

# Everything else must be stored. The reasons are the files' own, read off with dcmdump.
REFUSALS = {
    "test_files/README.txt": NO_DICOM,
    "test_files/crayons.icc": NO_DICOM,
    "test_files/rtplan.dump": NO_DICOM,
    "test_files/rtstruct.dump": NO_DICOM,
    "test_files/test1.json": NO_DICOM,
    "test_files/test_PN.json": NO_DICOM,
    "test_files/zipMR.gz": NO_DICOM,
    "test_files/dicomdirtests/README.txt": NO_DICOM,
    "test_files/dicomdirtests/TINY_ALPHA/README": NO_DICOM,
    "charset_files/FileInfo.txt": NO_DICOM,
    # Begins with a stray byte 20H before (0008,0005): no reader finds an element.
    "test_files/no_meta.dcm": NO_DICOM,
    "test_files/JPEGLSNearLossless_08.dcm": NO_STUDY,
    "test_files/JPEGLSNearLossless_16.dcm": NO_STUDY,
    "test_files/SC_rgb_jls_lossy_line.dcm": NO_STUDY,
    "test_files/SC_rgb_jls_lossy_sample.dcm": NO_STUDY,
    "test_files/UN_sequence.dcm": NO_UIDS,
    "test_files/empty_charset_LEI.dcm": NO_UIDS,
    "test_files/meta_missing_tsyntax.dcm": NO_UIDS,
    "test_files/nested_priv_SQ.dcm": NO_UIDS,
    "test_files/no_meta_group_length.dcm": NO_UIDS,
    "test_files/priv_SQ.dcm": NO_UIDS,
    "charset_files/chrSQEncoding.dcm": NO_UIDS,
    "charset_files/chrSQEncoding1.dcm": NO_UIDS,
    "test_files/dicomdirtests/DICOMDIR": DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-bigEnd": DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-empty.dcm": DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-implicit": DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-nooffset": DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-nopatient": DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-reordered": DIRECTORY,
    "test_files/dicomdirtests/TINY_ALPHA/DICOMDIR": DIRECTORY,
    "test_files/MR_truncated.dcm": CUT,
    "test_files/rtplan_truncated.dcm": CUT,
    "data_store/emri_small_jpeg_2k_lossless_too_short.dcm": CUT,
    # Its UIDs are 64 hexadecimal digits.
    "data_store/bad_sequence.dcm": MALFORMED,
}


@dataclass(frozen=True)
class Case:
    """One file of the corpus."""

    name: str
    path: Path

    @functools.cached_property
    def data(self):
        return self.path.read_bytes()

    @functools.cached_property
    def dataset(self):
        """As pydicom reads it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dcmread(io.BytesIO(self.data), force=True)

    @functools.cached_property
    def body(self):
        """The bytes of the data set."""
        return part10.data_set(self.data)

    @functools.cached_property
    def transfer_syntax(self):
        return part10.transfer_syntax(self.data)

    @property
    def refusal(self):
        return REFUSALS.get(self.name)

    @functools.cached_property
    def uids(self):
        """Study, series, instance."""
        ds = self.dataset
        return tuple(str(ds[k].value) for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))

    @property
    def sop_class(self):
        return str(self.dataset.SOPClassUID)


@functools.cache
def cases():
    return [
        Case(f"{root}/{path.relative_to(folder)}", path)
        for root, folder in ROOTS.items()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]


def storable():
    return [case for case in cases() if case.refusal is None]


def refused():
    return [case for case in cases() if case.refusal is not None]


def by_name(name):
    return next(case for case in cases() if case.name == name)


@functools.cache
def layers():
    """The storable files in lists without a SOP Instance UID twice: many files of the corpus are
    the same instance in another dress, and one archive rightly keeps only one of them."""
    result = []
    for case in storable():
        for layer in result:
            if case.uids[2] not in layer:
                layer[case.uids[2]] = case
                break
        else:
            result.append({case.uids[2]: case})
    return [list(layer.values()) for layer in result]


@functools.cache
def patient_texts():
    """Every patient name and ID of the corpus, long enough to be told from other text."""
    texts = set()
    for case in storable():
        for keyword in ("PatientName", "PatientID"):
            text = str(case.dataset.get(keyword, "")).strip()
            if len(text) >= 5 and not text.replace(".", "").isdigit():
                texts.add(text)
    return texts
