"""Part 10 files in the transfer syntax that is asked for (PS3.18 §8.7.3.4), ranges of them, and
coercion (conformance.md §8, 21–31, 46–49, 146). pydicom and DCMTK's dcmconv say what must come out."""

import io
import os
import struct
import subprocess
import warnings
import zlib
from pathlib import Path

import pytest
import requests
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_dataset

from harness import corpus, made, part10, web, wire
from harness.pixels import elements
from harness.server import Server

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
ENCAPSULATED = "1.2.840.10008.1.2.1.98"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG = "1.2.840.10008.1.2.2"
J2K = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
BASELINE = "1.2.840.10008.1.2.4.50"
REWRITTEN = (IMPLICIT, BIG, DEFLATED, ENCAPSULATED)


def big_endian(ds):
    """The data set in Explicit VR Big Endian; pydicom turns numbers round, bytes are the test's."""
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, False
    write_dataset(stream, ds)
    return stream.getvalue()


def wrapped(ds, body, syntax):
    return made.wrap(body, str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax)


def put(server, data):
    response = web.stow(server, [data])
    assert response.status_code == 200, response.text
    return path_of(data)


def path_of(data):
    ds = dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def read(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(io.BytesIO(data), force=True)


def named(syntax):
    return f"{web.DICOM}; transfer-syntax={syntax}"


def same(ours, theirs):
    return ours == theirs or repr(ours) == repr(theirs)


# --- The whole corpus ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def replacing(start_module):
    """An archive that takes the same instance again in another dress."""
    return start_module(config={"ingest": {"duplicate": "replace"}})


# Without the private dictionaries that DCMTK brings: we consult none (CONFORMANCE.md).
DICTIONARY = next(iter(sorted(Path("/usr/share").glob("*dcmtk*/dicom.dic"))))


def dcmconv(data, folder, *options):
    (folder / "in").write_bytes(data)
    command = ["dcmconv", "-q", *options, folder / "in", folder / "out"]
    environment = os.environ | {"DCMDICTPATH": str(DICTIONARY)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return (folder / "out").read_bytes()


def explicit(server, data):
    """What the archive makes of a file, by default and by name."""
    assert web.stow(server, [data]).status_code == 200
    response = web.get(server, path_of(data), web.DICOM)
    given = web.file_of(response)
    assert part10.transfer_syntax(given) == EXPLICIT
    assert web.parts_of(response)[0][0]["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert web.file_of(web.get(server, path_of(data), named(EXPLICIT))) == given
    return given


def rewritten_cases():
    return [case for case in corpus.storable() if case.transfer_syntax in REWRITTEN]


@pytest.mark.parametrize("case", rewritten_cases(), ids=lambda case: case.name)
def test_a023_every_element_of_the_corpus_as_pydicom_reads_it(replacing, case):
    stored = read(case.data)
    given = read(explicit(replacing, case.data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        correct_ambiguous_vr(stored, case.transfer_syntax != BIG)
        ours, theirs = list(elements(given)), list(elements(stored))
    assert [e[0] for e in ours] == [e[0] for e in theirs]
    for (path, vr, value), (_, expected_vr, expected) in zip(ours, theirs):
        # Pixel data are OW under Implicit VR, and UN may be what PS3.6 says (CONFORMANCE.md).
        assert vr == expected_vr or {vr, expected_vr} == {"OB", "OW"} or expected_vr == "UN", path
        if case.transfer_syntax != BIG or vr not in ("OW", "OF", "OL", "OD", "OV"):
            # Of those pydicom leaves the bytes in their order: see dcmconv's.
            assert same(value, expected), (path, vr)


def native_cases():
    """What DCMTK can write in every uncompressed encoding."""
    return [case for case in corpus.storable() if case.transfer_syntax in (EXPLICIT, IMPLICIT, BIG, DEFLATED)]


# Where DCMTK and we part on purpose.
PIXELS_OF_32_BITS = "DCMTK turns OW round by 16 bits, we big endian pixels by their size, as pydicom and GDCM do"
SIGNED_LUT = "LUT Descriptor is SS when Pixel Representation says signed (PS3.3 C.11.1.1, pydicom); DCMTK writes US"
DIFFERENT = {
    "test_files/badVR.dcm": PIXELS_OF_32_BITS,
    "test_files/rtdose.dcm": PIXELS_OF_32_BITS,
    "test_files/rtdose_1frame.dcm": PIXELS_OF_32_BITS,
    "test_files/rtdose_expb.dcm": PIXELS_OF_32_BITS,
    "test_files/rtdose_expb_1frame.dcm": PIXELS_OF_32_BITS,
    "data_store/mlut_18.dcm": SIGNED_LUT,
}


@pytest.mark.parametrize("case", [case for case in native_cases() if case.name not in DIFFERENT], ids=lambda case: case.name)
def test_a023_the_corpus_in_every_encoding_as_dcmconv_writes_it(replacing, tmp_path, case):
    variants = [case.data] if case.transfer_syntax != EXPLICIT else []
    variants += [dcmconv(case.data, tmp_path, option, length) for option in ("+ti", "+tb") for length in ("+e", "-e")]
    for data in variants:
        ours = part10.data_set(explicit(replacing, data))
        theirs = part10.data_set(dcmconv(data, tmp_path, "+te", "-e", "-g"))
        if ours != theirs:
            # DCMTK takes needless padding off, we do not: so it shall write ours as well.
            ours = part10.data_set(dcmconv(wrapped(case.dataset, ours, EXPLICIT), tmp_path, "+te", "-e", "-g"))
        assert ours == theirs, first_difference(ours, theirs)


def first_difference(ours, theirs):
    at = next((n for n, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    return at, ours[max(0, at - 24) : at + 24], theirs[max(0, at - 24) : at + 24]


def test_a023_big_endian_pixels_of_32_bits(replacing):
    for big, little in (("rtdose_expb", "rtdose"), ("rtdose_expb_1frame", "rtdose_1frame")):
        given = read(explicit(replacing, corpus.by_name(f"test_files/{big}.dcm").data))
        assert given.PixelData == corpus.by_name(f"test_files/{little}.dcm").dataset.PixelData


def test_a023_a_signed_lut_descriptor_stays_signed(replacing, tmp_path):
    case = corpus.by_name("data_store/mlut_18.dcm")
    descriptors = []
    for data in (explicit(replacing, dcmconv(case.data, tmp_path, "+ti")), case.data):
        descriptors.append([e for e in elements(read(data)) if e[0][-1] == "(0028,3002)"])
    assert descriptors[0] == descriptors[1] and descriptors[0][0][1] == "SS"


# --- One object in each dress ----------------------------------------------------------------------


def dressed(syntax, **attributes):
    """(data set, file) of an object in a transfer syntax, its bytes made by pydicom or by hand."""
    ds = made.instance(rows=8, columns=8, InstitutionName="Haus", **attributes)
    ds["PixelData"].VR = "OW"
    plain = made.encode(ds)
    body = {
        EXPLICIT: lambda: plain,
        IMPLICIT: lambda: made.encode(ds, IMPLICIT),
        BIG: lambda: big_endian(swapped(ds)),
        DEFLATED: lambda: deflated(plain),
        ENCAPSULATED: lambda: in_fragments(ds, [ds.PixelData]),
    }[syntax]()
    return ds, wrapped(ds, body, syntax)


def swapped(ds):
    """Pixels of 16 bits turned round: pydicom leaves the bytes of OW alone."""
    ds = dcmread(io.BytesIO(made.file(ds)))
    pixels = bytearray(ds.PixelData)
    pixels[::2], pixels[1::2] = pixels[1::2], pixels[::2]
    ds.PixelData = bytes(pixels)
    return ds


def deflated(body):
    compressor = zlib.compressobj(wbits=-15)
    body = compressor.compress(body) + compressor.flush()
    return body + b"\0" * (len(body) % 2)


def in_fragments(ds, frames):
    ds = dcmread(io.BytesIO(made.file(ds)))
    del ds.PixelData
    pixels = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff" + encapsulate(frames)
    return made.encode(ds) + pixels + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def compressed(syntax, frame=b"\xff\x4f\xff\x51not really a picture"):
    ds = made.instance(rows=8, columns=8)
    return ds, wrapped(ds, in_fragments(ds, [frame]), syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT, *REWRITTEN])
@pytest.mark.parametrize("accept", [web.DICOM, "*/*", "application/dicom", named(EXPLICIT), f"application/dicom; transfer-syntax={EXPLICIT}"])
def test_a002_a023_a047_default_syntax_is_explicit_little_endian(server, syntax, accept):
    ds, data = dressed(syntax)
    response = web.get(server, put(server, data), accept)
    assert response.status_code == 200, response.text
    given = response.content if accept.startswith("application/dicom") else web.file_of(response)
    meta, body = part10.split(given)
    assert body == made.encode(ds)
    assert meta.TransferSyntaxUID == EXPLICIT
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (ds.SOPClassUID, ds.SOPInstanceUID)
    assert given[:132] == bytes(128) + b"DICM"


@pytest.mark.parametrize("syntax", [EXPLICIT, *REWRITTEN])
def test_a024_a_star_takes_what_is_stored(server, syntax):
    _, data = dressed(syntax)
    path = put(server, data)
    for accept in (web.AS_STORED, "application/dicom; transfer-syntax=*"):
        response = web.get(server, path, accept)
        given = response.content if accept.startswith("application") else web.file_of(response)
        assert part10.transfer_syntax(given) == syntax and part10.data_set(given) == part10.data_set(data)


def test_a025_by_its_own_name_bit_by_bit(server):
    for syntax, data in [(s, dressed(s)[1]) for s in (EXPLICIT, DEFLATED, ENCAPSULATED)] + [(s, compressed(s)[1]) for s in (J2K, RLE, BASELINE)]:
        given = web.file_of(web.get(server, put(server, data), named(syntax)))
        assert part10.transfer_syntax(given) == syntax and part10.data_set(given) == part10.data_set(data)


def test_a027_neither_implicit_nor_big_endian_by_name(server):
    for syntax in (IMPLICIT, BIG, EXPLICIT):
        path = put(server, dressed(syntax)[1])
        for wanted in (IMPLICIT, BIG):
            response = web.get(server, path, named(wanted))
            assert response.status_code == 406 and "transfer-syntax=*" in response.text


def test_a028_a_lossy_object_is_given_as_it_is(server):
    for syntax in (BASELINE, "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"):
        path = put(server, compressed(syntax)[1])
        assert part10.transfer_syntax(web.file_of(web.get(server, path, web.DICOM))) == syntax


# Deflated, lossy, and lossless that we do not encode.
@pytest.mark.parametrize("wanted", [DEFLATED, BASELINE, J2K[:-1] + "1", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.201", "1.2.3.4"])
def test_a029_what_cannot_be_made_is_406(server, wanted):
    for syntax in (EXPLICIT, IMPLICIT):
        response = web.get(server, put(server, dressed(syntax)[1]), named(wanted))
        assert response.status_code == 406 and "transfer-syntax=*" in response.text


def test_a021_a022_a_study_in_many_syntaxes_in_one(server):
    study = made.uid()
    objects = [dressed(syntax, study=study) for syntax in (EXPLICIT, *REWRITTEN)]
    for _, data in objects:
        put(server, data)
    given = {}
    for headers, body in web.parts_of(web.get(server, f"/studies/{study}", web.DICOM)):
        assert headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
        given[part10.split(body)[0].MediaStorageSOPInstanceUID] = part10.data_set(body)
    assert given == {ds.SOPInstanceUID: made.encode(ds) for ds, _ in objects}
    stored = web.parts_of(web.get(server, f"/studies/{study}", web.AS_STORED))
    assert {part10.transfer_syntax(body) for _, body in stored} == {EXPLICIT, *REWRITTEN}
    mixed = f"{named(DEFLATED)}; q=0.9, {named(EXPLICIT)}; q=0.5"
    parts = web.parts_of(web.get(server, f"/studies/{study}", mixed))
    assert sorted(part10.transfer_syntax(body) for _, body in parts) == [EXPLICIT] * 4 + [DEFLATED]


def test_a046_one_that_cannot_be_given_is_told_and_the_others_are_intact(server):
    study = made.uid()
    ds, data = dressed(IMPLICIT, study=study)
    path = put(server, data)
    other = made.instance(study=study)
    lossless = put(server, wrapped(other, in_fragments(other, [b"\xff\x4f\xff\x51"]), J2K))
    for url in (f"/studies/{study}", lossless):
        response = web.get(server, url, web.DICOM)
        assert response.status_code == 406 and J2K in response.text
    assert part10.data_set(web.file_of(web.get(server, path, web.DICOM))) == made.encode(ds)
    either = f"{named(EXPLICIT)}, {named('*')}; q=0.5"
    parts = web.parts_of(web.get(server, f"/studies/{study}", either))
    assert sorted(part10.transfer_syntax(body) for _, body in parts) == sorted([EXPLICIT, J2K])


def test_a023_fragments_that_are_no_frames_are_not_passed_off_as_pixels(server):
    ds = made.instance(rows=8, columns=8, frames=2)
    path = put(server, wrapped(ds, in_fragments(ds, [ds.PixelData[:100], ds.PixelData[100:]]), ENCAPSULATED))
    assert web.get(server, path, web.DICOM).status_code == 406
    assert web.get(server, path, web.AS_STORED).status_code == 200


def test_a023_odd_frames_are_joined_without_padding(server):
    pixels = bytes(range(27)) + b"\0"
    ds = made.instance(rows=3, columns=3, frames=3, pixels=pixels, BitsAllocated=8, BitsStored=8, HighBit=7)
    path = put(server, wrapped(ds, in_fragments(ds, [pixels[n : n + 9] for n in (0, 9, 18)]), ENCAPSULATED))
    given = read(web.file_of(web.get(server, path, web.DICOM)))
    assert given.PixelData == pixels and not given["PixelData"].is_undefined_length


def test_a023_what_is_too_long_for_its_vr_is_un(server):
    ds = made.instance()
    ds.add_new(0x00081030, "LO", "x" * 70_000)
    path = put(server, made.file(ds, IMPLICIT))
    given = part10.data_set(web.file_of(web.get(server, path, web.DICOM)))
    assert struct.pack("<HH2sHI", 0x0008, 0x1030, b"UN", 0, 70_000) + b"x" * 70_000 in given


def test_a049_a_large_object_is_rewritten_in_little_memory(start):
    server = start()
    ds = made.instance(rows=1024, columns=1024, frames=32, pixels=bytes(range(256)) * (1024 * 256))
    path = put(server, made.file(ds, IMPLICIT))
    before = server.memory_peak_bytes()
    for _ in range(2):
        with requests.get(server.web + path, headers={"Accept": web.DICOM}, stream=True, timeout=120) as response:
            length = sum(len(chunk) for chunk in response.iter_content(1 << 20))
    assert length > len(ds.PixelData)
    assert server.memory_peak_bytes() - before < 48 << 20


# --- Big endian frames, ranges, entity tags ---------------------------------------------------------


@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_a023_a039_one_bit_frames_of_a_big_endian_object(server, vr):
    bits = [[(n * 7 + i * i) % 3 == 0 for i in range(3 * 5)] for n in range(5)]
    packed = sum(bit << place for place, bit in enumerate(b for frame in bits for b in frame)).to_bytes(10, "little")
    frames = [sum(bit << place for place, bit in enumerate(frame)).to_bytes(2, "little") for frame in bits]
    ds = made.instance(rows=3, columns=5, frames=5, pixels=packed, BitsAllocated=1, BitsStored=1, HighBit=0)
    ds["PixelData"].VR = vr
    path = put(server, wrapped(ds, big_endian(swapped(ds) if vr == "OW" else ds), BIG))
    parts = web.parts_of(web.get(server, path + "/frames/1,2,3,4,5", web.OCTETS))
    assert [body for _, body in parts] == frames
    assert read(web.file_of(web.get(server, path, web.DICOM))).PixelData == packed


def test_a030_ranges_of_one_file(server):
    ds, data = dressed(EXPLICIT)
    path = put(server, data)
    whole = web.get(server, path, "application/dicom")
    tag = whole.headers["etag"]
    assert not tag.startswith("W/") and whole.headers["accept-ranges"] == "bytes"
    size = len(whole.content)
    for asked, first, last in (("bytes=0-131", 0, 131), ("bytes=100-", 100, size - 1), ("bytes=-5", size - 5, size - 1)):
        response = web.get(server, path, "application/dicom", headers={"Range": asked, "If-Range": tag})
        assert response.status_code == 206 and response.content == whole.content[first : last + 1]
        assert response.headers["content-range"] == f"bytes {first}-{last}/{size}"
    beyond = web.get(server, path, "application/dicom", headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    for headers in ({"Range": "bytes=0-1", "If-Range": '"other"'}, {"Range": "bytes=1-0"}):
        response = web.get(server, path, "application/dicom", headers=headers)
        assert response.status_code == 200 and response.content == whole.content
    again = web.get(server, path, "application/dicom", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


def test_a030_entity_tags_tell_representations_apart(server):
    path = put(server, dressed(IMPLICIT)[1])
    tags = {}
    for accept in ("application/dicom", "application/dicom; transfer-syntax=*", web.DICOM, web.AS_STORED):
        response = web.get(server, path, accept)
        tags[accept] = response.headers["etag"]
        known = web.get(server, path, accept, headers={"If-None-Match": tags[accept]})
        assert (known.status_code, known.content) == (304, b"")
        assert tags[accept].startswith("W/") == accept.startswith("multipart")
    assert len(set(tags.values())) == 4
    # What is made as it is read has no places to begin at.
    response = web.get(server, path, "application/dicom", headers={"Range": "bytes=0-9"})
    assert response.status_code == 200 and "accept-ranges" not in response.headers


# --- Coercion (PS3.18 §10.5.2, PS3.3 §C.12.1.1.9) ---------------------------------------------------

RULES = [
    "InstitutionName = Haus am See",
    "IssuerOfPatientID ?= KSA",
    "from CT1 via dimse: StationName = CT1",
    "via import: StudyDescription ?= From disc",
]


@pytest.fixture(scope="module")
def coercing(start_module):
    return start_module(config={"coercion": {"rules": RULES}})


def instances_of(server, ds):
    return web.qido(server, f"/studies/{ds.StudyInstanceUID}/instances")


def as_stored(server, data):
    return web.file_of(web.get(server, path_of(data), web.AS_STORED))


@pytest.mark.parametrize("syntax", [EXPLICIT, *REWRITTEN, J2K])
def test_a146_coercion_is_warned_of_and_kept_on_record(coercing, syntax):
    ds, data = compressed(J2K) if syntax == J2K else dressed(syntax)
    response = web.stow(coercing, [data])
    stored, failed, _ = web.outcome(response)
    assert (response.status_code, stored, failed) == (202, {ds.SOPInstanceUID: 0xB000}, {})
    given = as_stored(coercing, data)
    assert part10.transfer_syntax(given) == syntax
    now, before = read(given), read(data)
    assert (now.InstitutionName, now.IssuerOfPatientID) == ("Haus am See", "KSA")
    assert "StationName" not in now and "StudyDescription" not in now
    [item] = now.OriginalAttributesSequence
    assert item.ReasonForTheAttributeModification == "COERCE" and item.ModifyingSystem == "OVERREAD"
    assert item.AttributeModificationDateTime.endswith("+0000") and len(item.AttributeModificationDateTime) == 23
    [previous] = item.ModifiedAttributesSequence
    assert previous.get("InstitutionName", "") == before.get("InstitutionName", "") and previous.IssuerOfPatientID == ""
    assert {e.keyword for e in previous} == {"InstitutionName", "IssuerOfPatientID"}
    # All else is as it came.
    for tag in ("InstitutionName", "IssuerOfPatientID", "OriginalAttributesSequence"):
        for each in (now, before):
            if tag in each:
                delattr(each, tag)
    assert list(elements(now)) == list(elements(before))
    [row] = web.get(coercing, path_of(data) + "/metadata", web.JSON).json()
    assert web.value(row, "00080080") == "Haus am See" and "04000561" in row


@pytest.mark.parametrize("syntax", [EXPLICIT, DEFLATED])
def test_a146_the_same_object_again_is_stored_already(coercing, syntax):
    ds, data = dressed(syntax)
    for _ in range(3):
        assert web.outcome(web.stow(coercing, [data]))[0] == {ds.SOPInstanceUID: 0xB000}
    first = as_stored(coercing, data)
    assert len(instances_of(coercing, ds)) == 1
    # What it became is nothing new either, and needs no change.
    response = web.stow(coercing, [first])
    assert response.status_code == 200 and web.outcome(response)[0] == {ds.SOPInstanceUID: None}
    assert as_stored(coercing, data) == first
    done = coercing.cli("quarantine list")
    assert str(ds.SOPInstanceUID) not in done.stdout


def test_a146_an_object_that_says_so_already_is_left_alone(coercing):
    ds = made.instance(InstitutionName="Haus am See", IssuerOfPatientID="OTHER")
    data = made.file(ds)
    response = web.stow(coercing, [data])
    assert response.status_code == 200 and web.outcome(response)[0] == {ds.SOPInstanceUID: None}
    assert part10.data_set(as_stored(coercing, data)) == made.encode(ds)


def test_a146_items_are_added_behind_those_there(coercing):
    item = Dataset()
    item.SourceOfPreviousValues, item.ReasonForTheAttributeModification = "EARLIER", "CORRECT"
    for syntax in (EXPLICIT, IMPLICIT):
        ds = made.instance(OriginalAttributesSequence=[item])
        data = made.file(ds, syntax)
        assert web.stow(coercing, [data]).status_code == 202
        items = read(as_stored(coercing, data)).OriginalAttributesSequence
        assert [i.ReasonForTheAttributeModification for i in items] == ["CORRECT", "COERCE"]


def test_a146_a_large_object_in_the_same_way(coercing):
    ds = made.instance(rows=1024, columns=1024, frames=8)
    data = made.file(ds)
    assert len(data) > 8 << 20
    assert web.stow(coercing, [data]).status_code == 202
    now = read(as_stored(coercing, data))
    assert now.InstitutionName == "Haus am See" and now.PixelData == ds.PixelData
    assert web.stow(coercing, [data]).status_code == 202 and len(instances_of(coercing, ds)) == 1
    assert coercing.cli("check --deep").returncode == 0


def test_a146_c_store_is_answered_b000(coercing):
    ds, _ = dressed(EXPLICIT)
    with wire.Association(coercing.dicom_address, [(made.CT, [EXPLICIT])], calling="CT1") as peer:
        for _ in range(2):
            assert peer.store(made.CT, ds.SOPInstanceUID, EXPLICIT, made.encode(ds)) == 0xB000
    now = read(as_stored(coercing, made.file(ds)))
    assert now.StationName == "CT1" and now.OriginalAttributesSequence[0].SourceOfPreviousValues == "CT1"


def test_a146_what_is_held_back_is_held_back_once(coercing):
    ds, data = dressed(EXPLICIT)
    assert web.stow(coercing, [data]).status_code == 202
    ds.StudyID = "OTHER"
    for _ in range(3):
        assert web.stow(coercing, [made.file(ds)]).status_code == 409
    listed = coercing.cli("quarantine list").stdout
    assert listed.count(str(ds.SOPInstanceUID)) == 1


def test_a146_rules_are_checked_at_the_start(tmp_path):
    for rule in ("StudyInstanceUID = 1.2", "NoSuchKeyword = X", "InstitutionName", "InstitutionName = Zürich"):
        server = Server(tmp_path / "data", config={"coercion": {"rules": [rule]}})
        done = server.cli("query")
        assert done.returncode != 0 and "coercion.rules" in done.stderr
