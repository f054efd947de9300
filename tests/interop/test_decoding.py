"""Compressed images decoded on the way out (PS3.18 §8.7.3.4; conformance.md §8, 23–46): every sample against DCMTK,
OpenJPEG and pydicom, every other element as it was, and what is not decoded, with its reason."""

import importlib.util
import io
from pathlib import Path

import numpy
import pytest
import requests
from PIL import Image

from harness import codestreams, corpus, made, pixels, web
from harness.drawn import IN_COLORS, expected_picture, is_square
from harness.pixels import BASELINE, EXPLICIT, EXTENDED, HTJ2K, HTJ2K_LOSSY, HTJ2K_RPCL, J2K, J2K_LOSSY, JPEG_LS, JXL
from harness.pixels import JXL_LOSSY, JXL_RECOMPRESSED, LOSSLESS, LOSSLESS_SV1, NEAR_LOSSLESS, RLE, put

OCTETS = 'multipart/related; type="application/octet-stream"'
# Files of the corpus that are not decoded, and why.
REFUSED = {
    # Its header has been written over: FFFE,E0DD where the width stands.
    "test_files/JPEG2000-embedded-sequence-delimiter.dcm": "an image of more than 65535 rows or columns",
}
FILES = dict(pixels.corpus_files())
DECODED = [name for name in FILES if name not in REFUSED]


@pytest.fixture(scope="module")
def replacing(start_module):
    """Takes the same instance in another dress."""
    return start_module(config={"ingest": {"duplicate": "replace", "patient_conflict": "accept"}})


# --- The whole corpus ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECODED)
def test_a023_a034_every_compressed_image_of_the_corpus_decoded_and_drawn(replacing, tmp_path, name):
    data = pixels.file_of(FILES[name])
    stored, path = pixels.read(data), put(replacing, data)
    given = pixels.read(pixels.ask(replacing, path, EXPLICIT))
    judged = implicit_made_explicit(data) if name == "test_files/SC_rgb_jpeg.dcm" else data
    theirs = pixels.judge(given, judged, tmp_path)
    looks_right(replacing, path, theirs, pixels.syntax_of(data) == J2K_LOSSY)
    assert pixels.differences(stored, given) == []
    was, now = stored.PhotometricInterpretation, given.PhotometricInterpretation
    is_made_rgb = was in ("YBR_ICT", "YBR_RCT") or was.startswith("YBR") and pixels.syntax_of(data) == BASELINE
    assert now == ("RGB" if is_made_rgb else was)
    assert given.get("PlanarConfiguration") == (0 if given.SamplesPerPixel == 3 else None)
    assert given["PixelData"].VR == ("OB" if given.BitsAllocated == 8 else "OW")
    assert len(given.PixelData) % 2 == 0 and not any(tag in given for tag in pixels.TABLES)
    octets_are(replacing, path, given)


def octets_are(server, path, given):
    """The other resources give the same octets."""
    whole, count = pixels.native_bytes(given), int(given.get("NumberOfFrames") or 1)
    size = len(whole) // count
    wanted = sorted({1, 2, count} & set(range(1, count + 1)), reverse=True)
    parts = web.parts_of(web.get(server, f"{path}/frames/{','.join(map(str, wanted))}", OCTETS))
    assert [body for _, body in parts] == [whole[(n - 1) * size : n * size] for n in wanted]
    assert all(head["content-type"].startswith("application/octet-stream") for head, _ in parts)
    if count == 1:
        for resource in ("bulkdata/7FE00010", "pixeldata"):
            [(_, body)] = web.parts_of(web.get(server, f"{path}/{resource}", OCTETS))
            assert body == whole


def looks_right(server, path, theirs, is_rounded):
    """Colors and windows of what others decoded. Where decoders may be apart by one, a window widens that."""
    response = web.get(server, path + "/frames/1/rendered", "image/png")
    assert response.status_code == 200, response.text
    drawn = numpy.asarray(Image.open(io.BytesIO(response.content)))
    if is_square(theirs) and theirs.SOPClassUID not in IN_COLORS:
        expected = expected_picture(theirs)
        assert drawn.shape == expected.shape
        assert numpy.abs(drawn - expected).max() <= (2 if is_rounded else 1)


def implicit_made_explicit(data):
    """SC_rgb_jpeg.dcm is in Implicit VR, whatever it says, and DCMTK reads nothing of it."""
    ds = pixels.read(data)
    [frame] = [f for f in pixels.generate_frames(ds.PixelData, number_of_frames=1)]
    return pixels.compressed(pixels.image(ds.Rows, ds.Columns, 3), [frame], BASELINE)


def test_every_refused_file_says_why_and_what_there_is(replacing):
    for name, why in REFUSED.items():
        path = put(replacing, pixels.file_of(FILES[name]))
        for resource, accept in (("", pixels.named(EXPLICIT)), ("/frames/1", OCTETS), ("/rendered", "image/png")):
            response = web.get(replacing, path + resource, accept)
            assert response.status_code == 406 and "transfer-syntax=*" in response.text, (resource, response.text)
        assert why in web.get(replacing, path + "/frames/1", OCTETS).text
        assert web.get(replacing, path, web.AS_STORED).status_code == 200


# --- Codestreams of other packages -----------------------------------------------------------------

WSI = Path(importlib.util.find_spec("wsidicom_data").submodule_search_locations[0]) / "data/encoded"
PLAIN = {
    ("GRAYSCALE", 8): "Explicit_VR_Little_Endian-GRAYSCALE-8.raw", ("GRAYSCALE", 16): "Explicit_VR_Little_Endian-GRAYSCALE-16.raw",
    ("RGB", 8): "Explicit_VR_Little_Endian-RGB-8.raw",
}  # fmt: skip
KINDS = {
    "JPEG_Baseline": BASELINE, "JPEG_Extended": EXTENDED, "JPEG_Lossless,_Non-Hierarchical_(Process_14)": LOSSLESS,
    "JPEG-LS_Lossless": JPEG_LS, "JPEG-LS_Lossy": NEAR_LOSSLESS, "JPEG_2000_Image_Compression_(": J2K,
    "JPEG_2000_Image_Compression-": J2K_LOSSY, "RLE": RLE,
}  # fmt: skip
STREAMS = sorted(path for path in WSI.iterdir() if path.suffix != ".raw")


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a023_every_codestream_of_wsidicom(server, tmp_path, path):
    kind, colors, bits = path.stem.rsplit("-", 2)
    syntax = next(syntax for begin, syntax in KINDS.items() if path.stem.startswith(begin))
    is_j2k = syntax in (J2K, J2K_LOSSY)
    photometric = {"RGB": "RGB", "YBR": "YBR_RCT" if syntax == J2K else "YBR_ICT" if is_j2k else "YBR_FULL"}.get(colors)
    samples = 1 if colors == "GRAYSCALE" else 3
    ds = pixels.image(240, 240, samples, 8 if bits == "8" else 16, int(bits), photometric)
    data = pixels.compressed(ds, [path.read_bytes()], syntax)
    given = pixels.read(pixels.ask(server, put(server, data), EXPLICIT))
    if syntax in (LOSSLESS, JPEG_LS, J2K, RLE):
        # What they were made from; luminance without loss stays what it is.
        name = PLAIN["RGB" if colors == "YBR" else colors, int(bits)]
        if not (syntax == LOSSLESS and colors == "YBR"):
            assert pixels.native_bytes(given) == (WSI / name).read_bytes()
    if not (syntax == LOSSLESS and colors == "YBR"):
        pixels.judge(given, data, tmp_path)
    else:
        theirs = pixels.by_dcmtk(data, tmp_path, "+cn")
        assert (given.PixelData, given.PhotometricInterpretation) == (theirs.PixelData, "YBR_FULL")


MADE = [
    ("JXL_GRAY", JXL, codestreams.GRAY, 0), ("JXL_RGB", JXL, codestreams.RGB, 0), ("JXL_RGB_IN_A_FILE", JXL, codestreams.RGB, 0),
    ("JXL_RGB", JXL_RECOMPRESSED, codestreams.RGB, 0), ("JXL_LOSSY", JXL_LOSSY, codestreams.JXL_LOSSY_DECODED, 1),
    ("HTJ2K_GRAY", HTJ2K, codestreams.GRAY, 0), ("HTJ2K_SIGNED", HTJ2K_RPCL, codestreams.SIGNED, 0),
    ("HTJ2K_RGB", HTJ2K_RPCL, codestreams.RGB, 0), ("HTJ2K_LOSSY", HTJ2K_LOSSY, codestreams.RGB, 4),
]  # fmt: skip


@pytest.mark.parametrize(("name", "syntax", "picture", "tolerance"), MADE, ids=lambda value: value if isinstance(value, str) else "")
def test_a023_jpeg_xl_and_high_throughput(server, name, syntax, picture, tolerance):
    samples, allocated = (3, 8) if picture.ndim == 3 else (1, 16)
    ds = pixels.image(16, 24, samples, allocated, 8 if samples == 3 else 12, PixelRepresentation=int(picture.dtype.kind == "i"))
    path = put(server, pixels.compressed(ds, [getattr(codestreams, name)], syntax))
    given = pixels.read(pixels.ask(server, path, EXPLICIT))
    ours = pixels.cells(pixels.native_bytes(given), given)
    assert pixels.apart(ours, picture) <= tolerance
    octets_are(server, path, given)


# --- Which syntax leaves us ------------------------------------------------------------------------

LOSSLESS_FILES = {
    LOSSLESS_SV1: "data_store/JPEG-LL.dcm", JPEG_LS: "test_files/MR_small_jpeg_ls_lossless.dcm",
    J2K: "test_files/MR_small_jp2klossless.dcm", RLE: "test_files/MR_small_RLE.dcm",
}  # fmt: skip
LOSSY_FILES = {
    BASELINE: "test_files/SC_rgb_jpeg_dcmtk.dcm", EXTENDED: "test_files/JPGExtended.dcm",
    NEAR_LOSSLESS: "test_files/JPEGLSNearLossless_08.dcm", J2K_LOSSY: "test_files/JPEG2000.dcm",
}  # fmt: skip


def of_study(name, study):
    """The file as another instance, of this study."""
    ds = pixels.read(pixels.file_of(FILES[name]))
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, made.uid(), made.uid()
    ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "MIXED", "Mixed^Mia", "", ""
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    stream = io.BytesIO()
    ds.save_as(stream)
    return stream.getvalue()


@pytest.mark.parametrize(("syntax", "name"), LOSSLESS_FILES.items())
def test_a023_a024_lossless_leaves_decoded_unless_any_syntax_is_taken(replacing, syntax, name):
    data = pixels.file_of(FILES[name])
    path = put(replacing, data)
    decoded = pixels.ask(replacing, path, EXPLICIT)
    for accept in ("*/*", web.DICOM, "application/dicom"):
        response = web.get(replacing, path, accept)
        given = response.content if accept == "application/dicom" else web.file_of(response)
        assert given == decoded
    for accept in (web.AS_STORED, pixels.named(syntax)):
        given = web.file_of(web.get(replacing, path, accept))
        assert pixels.syntax_of(given) == syntax and given.endswith(FILES[name].body)


@pytest.mark.parametrize(("syntax", "name"), LOSSY_FILES.items())
def test_a028_lossy_leaves_as_stored_unless_native_is_named(replacing, syntax, name):
    data = pixels.file_of(FILES[name])
    path, stored = put(replacing, data), pixels.read(data)
    for accept in ("*/*", web.DICOM, web.AS_STORED, pixels.named(syntax)):
        given = pixels.read(web.file_of(web.get(replacing, path, accept)))
        assert (str(given.file_meta.TransferSyntaxUID), given.PixelData) == (syntax, stored.PixelData)
    decoded = pixels.read(pixels.ask(replacing, path, EXPLICIT))
    assert len(decoded.PixelData) >= decoded.Rows * decoded.Columns
    # What was lost stays told (PS3.3 C.7.6.1.1.5).
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod", "DerivationDescription"):
        assert decoded.get(keyword) == stored.get(keyword)


def test_a023_a028_a_study_of_many_syntaxes_in_one_answer(server):
    study, sent = made.uid(), {}
    for syntax, name in (LOSSLESS_FILES | LOSSY_FILES).items():
        data = of_study(name, study)
        put(server, data)
        sent[str(pixels.read(data).SOPInstanceUID)] = (syntax, data)
    native = made.instance(study=study, PatientID="MIXED", PatientName="Mixed^Mia", PatientBirthDate="", PatientSex="")
    put(server, made.file(native))
    sent[str(native.SOPInstanceUID)] = (EXPLICIT, made.file(native))
    answers = {
        web.DICOM: lambda syntax: syntax if syntax in LOSSY_FILES else EXPLICIT, web.AS_STORED: lambda syntax: syntax,
        pixels.named(EXPLICIT): lambda _: EXPLICIT, f"{pixels.named(J2K)}, {pixels.named(EXPLICIT)}; q=0.5": lambda _: J2K,
    }  # fmt: skip
    for accept, expected in answers.items():
        parts = web.parts_of(web.get(server, f"/studies/{study}", accept))
        given = {}
        for head, body in parts:
            ds = pixels.read(body)
            given[str(ds.SOPInstanceUID)] = str(ds.file_meta.TransferSyntaxUID)
            assert head["content-type"] == f"application/dicom; transfer-syntax={ds.file_meta.TransferSyntaxUID}"
        assert given == {uid: expected(syntax) for uid, (syntax, _) in sent.items()}, accept


def test_a026_jpeg_2000_by_name_has_the_same_pixels(server):
    pattern = (numpy.arange(96 * 80, dtype="<u4") * 2654435761 >> 16).astype("<u2").reshape(96, 80)
    for stored in (12, 16):
        values = pattern >> (16 - stored)
        ds = pixels.image(96, 80, 1, 16, stored, pixels=values.tobytes())
        given = pixels.ask(server, put(server, made.file(ds)), J2K)
        assert (pixels.by_pydicom(given) == values).all()
        assert pixels.differences(pixels.read(made.file(ds)), pixels.read(given)) == []


def test_a036_a_codestream_in_fragments_comes_joined(server):
    case = corpus.by_name("test_files/MR_small_jp2klossless.dcm")
    [whole] = pixels.generate_frames(case.dataset.PixelData, number_of_frames=1)
    pieces = [whole[at : at + 1000] for at in range(0, len(whole), 1000)]
    ds = pixels.image(64, 64, 1, 16, PixelRepresentation=1)
    path = put(server, pixels.compressed(ds, pieces, J2K, has_table=False))
    [(head, body)] = web.parts_of(web.get(server, path + "/frames/1", 'multipart/related; type="image/jp2"'))
    assert head["content-type"] == f"image/jp2; transfer-syntax={J2K}" and body == whole
    native = web.get(server, path + "/frames/1", "application/octet-stream").content
    assert native == pixels.by_pydicom(case.data).tobytes()


def test_a030_a_decoded_frame_alone_has_a_tag_and_ranges(replacing):
    path = put(replacing, FILES["test_files/rtdose_rle.dcm"].data) + "/frames/7"
    whole = web.get(replacing, path, "application/octet-stream")
    assert len(whole.content) == 400 and whole.headers["content-type"].startswith("application/octet-stream")
    tag = whole.headers["etag"]
    assert not tag.startswith("W/") and whole.headers["accept-ranges"] == "bytes"
    for asked, first, last in (("bytes=0-9", 0, 9), ("bytes=390-", 390, 399), ("bytes=-1", 399, 399)):
        part = web.get(replacing, path, "application/octet-stream", headers={"Range": asked, "If-Range": tag})
        assert (part.status_code, part.content) == (206, whole.content[first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/400"
    beyond = web.get(replacing, path, "application/octet-stream", headers={"Range": "bytes=400-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */400")
    known = web.get(replacing, path, "application/octet-stream", headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    stored = web.get(replacing, path, "image/dicom-rle")
    assert stored.headers["etag"] != tag and stored.headers["content-type"] == f"image/dicom-rle; transfer-syntax={RLE}"
    head = requests.head(replacing.web + path, headers={"Accept": "application/octet-stream"})
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "400")


# --- What is not decoded ---------------------------------------------------------------------------

_ = "1.2.840.10008.1.2.4."
# Transfer syntax, codestream, what the data set says of it, what is said of that.
UNDECODED = {
    "Part 2 lossless": (_ + "92", codestreams.HTJ2K_GRAY, {}, "JPEG 2000 Part 2"),
    "Part 2": (_ + "93", codestreams.HTJ2K_GRAY, {}, "JPEG 2000 Part 2"),
    "reduced chroma of a video": (BASELINE, b"\xff\xd8\xff\xd9", {"samples": 3, "photometric": "YBR_PARTIAL_420"}, "photometric interpretation"),
    "colors of another codec": (JPEG_LS, b"\xff\xd8\xff\xd9", {"samples": 3, "photometric": "YBR_ICT"}, "photometric interpretation"),
    "single bits": (JPEG_LS, b"\xff\xd8\xff\xd9", {"allocated": 1}, "single bits"),
    "deeper than its cells": (HTJ2K, codestreams.HTJ2K_GRAY, {"allocated": 8}, "depth"),
    "more samples than it says": (HTJ2K, codestreams.HTJ2K_RGB, {"allocated": 8}, "number of samples"),
}


@pytest.mark.parametrize("what", UNDECODED)
def test_a029_what_is_not_decoded_is_406_with_its_reason(server, what):
    syntax, stream, shape, why = UNDECODED[what]
    ds = pixels.image(16, 24, **{"allocated": 16, **({"allocated": 8} if "samples" in shape else {}), **shape})
    path = put(server, pixels.compressed(ds, [stream], syntax))
    for wanted in (EXPLICIT, J2K, JPEG_LS, RLE):
        if wanted != syntax:
            response = web.get(server, path, pixels.named(wanted))
            assert response.status_code == 406 and "transfer-syntax=*" in response.text and syntax in response.text
    for resource, accept in (("/frames/1", OCTETS), ("/frames/1", "application/octet-stream"), ("/rendered", "image/png")):
        response = web.get(server, path + resource, accept)
        assert response.status_code == 406 and "transfer-syntax=*" in response.text and why in response.text, response.text
    [(_, body)] = web.parts_of(web.get(server, path + "/frames/1", web.OCTETS))
    assert body == stream + b"\0" * (len(stream) % 2), "as stored it is given all the same"
    assert web.get(server, path, web.AS_STORED).status_code == 200


def test_a029_a_video_has_no_frames_by_number(server):
    ds = pixels.image(16, 24, 3, photometric="YBR_PARTIAL_420", frames=25)
    path = put(server, pixels.compressed(ds, [bytes(64)], _ + "102"))
    assert web.get(server, path, pixels.named(EXPLICIT)).status_code == 406
    response = web.get(server, path + "/frames/1", OCTETS)
    assert response.status_code == 406 and "bulkdata/7FE00010" in response.text


def test_a038_a_label_of_the_wrong_jpeg_does_no_harm(server, tmp_path):
    """Writers name the wrong process: the codestream tells, as it does to DCMTK and pydicom."""
    case = corpus.by_name("data_store/JPGLosslessP14SV1_1s_1f_8b.dcm")
    frame = next(iter(pixels.generate_frames(case.dataset.PixelData, number_of_frames=1)))
    ds = pixels.image(case.dataset.Rows, case.dataset.Columns)
    for syntax in (LOSSLESS, EXTENDED):
        given = pixels.read(pixels.ask(server, put(server, pixels.compressed(ds, [frame], syntax)), EXPLICIT))
        assert given.PixelData == pixels.by_dcmtk(case.data, tmp_path).PixelData
        ds.SOPInstanceUID = made.uid()
