"""STOW-RS of metadata and bulk data (PS3.18 §8.6.1.2.2, §10.5.2): which part belongs to which
instance, and what is made of them (conformance.md §8, 140, 142, 144, 147, 148)."""

import io
import itertools
import time

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames, parse_basic_offsets
from pydicom.uid import JPEG2000Lossless

from harness import made, web
from harness.described import (
    JSON_PART, OCTET_PART, XML_PART, encoded, in_json, in_xml, is_absent, metadata_of, path_of, picture, post, stored, without_pixels,
)  # fmt: skip

PDF_CLASS = "1.2.840.10008.5.1.4.1.1.104.1"


def counts(server):
    return web.get(server, "/instances", web.JSON, params={"limit": 1000}).content


def in_notation(kind, *datasets):
    """Parts of metadata of (data set, {keyword: location})."""
    if kind == JSON_PART:
        return [in_json(*(metadata_of(ds, **bulk) for ds, bulk in datasets))]
    return [in_xml(ds, **bulk) for ds, bulk in datasets]


# --- What is made --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [JSON_PART, XML_PART])
def test_a140_metadata_with_native_pixels_come_back_equal(server, kind):
    ds = made.instance(rows=64, columns=48, PatientName="Müller^Jürgen=山田^太郎")
    response = post(server, [*in_notation(kind, (ds, {"PixelData": "bulk/1"})), (OCTET_PART, "bulk/1", ds.PixelData)])
    assert response.status_code == 200, (response.text, response.headers)
    back = stored(server, ds)
    assert back.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert back.PixelData == ds.PixelData and back["PixelData"].VR == "OW"
    assert back.PatientName == ds.PatientName
    assert {element.tag for element in back} == {element.tag for element in ds}
    for element in ds:
        if element.keyword not in ("PixelData", "SpecificCharacterSet"):
            assert back[element.tag] == element, element.keyword
    assert web.parts_of(web.get(server, path_of(ds) + "/frames/1", web.OCTETS))[0][1] == ds.PixelData


@pytest.mark.parametrize("is_file", [True, False], ids=["jp2", "j2k"])
@pytest.mark.parametrize("says_how_many", [True, False])
def test_a142_jp2_parts_become_frames_with_an_offset_table(server, is_file, says_how_many):
    pictures = [picture("L", seed=n) for n in range(5)]
    frames = [encoded(p, "JPEG2000", irreversible=False, no_jp2=not is_file) for p in pictures]
    ds = without_pixels(NumberOfFrames=5 if says_how_many else None)
    parts = [in_json(metadata_of(ds, PixelData="bulk/1"))]
    parts += [("image/jp2", f"bulk/1/frames/{n}", frame) for n, frame in enumerate(frames, 1)]
    response = post(server, parts)
    assert response.status_code == 200, (response.text, response.headers)
    back = stored(server, ds)
    assert back.file_meta.TransferSyntaxUID == JPEG2000Lossless and back.NumberOfFrames == 5
    # A frame is the codestream, without the boxes of a file around it (PS3.5 §A.4.4).
    streams = [encoded(p, "JPEG2000", irreversible=False, no_jp2=True) for p in pictures]
    at, offsets = 0, []
    for stream in streams:
        offsets.append(at)
        at += 8 + len(stream) + len(stream) % 2
    assert parse_basic_offsets(back.PixelData) == offsets
    assert list(generate_frames(back.PixelData, number_of_frames=5)) == [s + b"\0" * (len(s) % 2) for s in streams]
    assert np.array_equal(back.pixel_array, np.stack([np.asarray(p) for p in pictures]))


# --- Missing parts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [JSON_PART, XML_PART])
def test_a144_an_instance_without_its_bulk_data_fails_and_the_others_are_stored(server, kind):
    whole, bare, other = made.study(3)
    datasets = [(ds, {"PixelData": f"bulk/{ds.SOPInstanceUID}"}) for ds in (whole, bare, other)]
    parts = [(OCTET_PART, f"bulk/{ds.SOPInstanceUID}", ds.PixelData) for ds in (whole, other)]
    response = post(server, [*in_notation(kind, *datasets), *parts])
    assert response.status_code == 202
    succeeded, failed, others = web.outcome(response)
    assert (set(succeeded), failed, others) == ({whole.SOPInstanceUID, other.SOPInstanceUID}, {bare.SOPInstanceUID: 0xC000}, [])
    assert "(7FE0,0010)" in response.headers["warning"]
    assert is_absent(server, bare)
    assert stored(server, other).PixelData == other.PixelData
    # It is not remembered either: sent again whole, it is stored.
    parts = [*in_notation(kind, datasets[1]), (OCTET_PART, f"bulk/{bare.SOPInstanceUID}", bare.PixelData)]
    assert post(server, parts).status_code == 200


def test_a144_alone_it_is_a_409(server):
    ds = made.instance()
    response = post(server, [in_json(metadata_of(ds, PixelData="bulk/1"))])
    assert response.status_code == 409
    assert web.outcome(response) == ({}, {ds.SOPInstanceUID: 0xC000}, [])
    assert is_absent(server, ds)


def test_a144_nothing_is_made_of_some_of_its_bulk_data(server):
    """Inside a sequence, one of two values, two frames of three."""
    nested, two, frames = made.instance(), made.instance(), without_pixels(NumberOfFrames=3)
    in_item = metadata_of(nested, PixelData="bulk/n")
    in_item["00089215"] = {"vr": "SQ", "Value": [{"00420011": {"vr": "OB", "BulkDataURI": "bulk/in-item"}}]}
    jp2 = encoded(picture("L"), "JPEG2000")
    parts = [
        in_json(in_item, metadata_of(two, PixelData="bulk/t", ICCProfile="bulk/icc"), metadata_of(frames, PixelData="bulk/f")),
        (OCTET_PART, "bulk/n", nested.PixelData), (OCTET_PART, "bulk/t", two.PixelData),
        ("image/jp2", "bulk/f/frames/1", jp2), ("image/jp2", "bulk/f/frames/2", jp2),
    ]  # fmt: skip
    response = post(server, parts)
    assert response.status_code == 409
    succeeded, failed, _ = web.outcome(response)
    assert not succeeded
    assert failed == {nested.SOPInstanceUID: 0xC000, two.SOPInstanceUID: 0xC000, frames.SOPInstanceUID: 0xA900}
    assert all(is_absent(server, ds) for ds in (nested, two, frames))
    gap = [in_json(metadata_of(frames, PixelData="bulk/f")), *(("image/jp2", f"bulk/f/frames/{n}", jp2) for n in (1, 2, 4))]
    assert web.outcome(post(server, gap))[1] == {frames.SOPInstanceUID: 0xC000}
    assert is_absent(server, frames)


# --- Documents -------------------------------------------------------------------------------------


def document_of(**attributes):
    nothing = dict.fromkeys(["Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"])
    nothing |= dict.fromkeys(["BitsStored", "HighBit", "PixelRepresentation", "PixelData"])
    return made.instance(SOPClassUID=PDF_CLASS, Modality="DOC", **(nothing | attributes))


@pytest.fixture(scope="module")
def pdf():
    """A document of odd length."""
    content = encoded(picture("RGB", (400, 300)), "PDF", title="Second opinion")
    return content + b"\n" * (1 - len(content) % 2)


@pytest.mark.parametrize("kind", [JSON_PART, XML_PART])
@pytest.mark.parametrize("media", ["application/pdf", "Application/PDF; charset=x", OCTET_PART])
def test_a147_a_pdf_comes_back_as_it_was_sent(server, pdf, kind, media):
    ds = document_of(MIMETypeOfEncapsulatedDocument="application/pdf" if media == OCTET_PART else None)
    response = post(server, [*in_notation(kind, (ds, {"EncapsulatedDocument": "doc"})), (media, "doc", pdf)])
    assert response.status_code == 200, (response.text, response.headers)
    back = stored(server, ds)
    assert (back.MIMETypeOfEncapsulatedDocument, back.EncapsulatedDocumentLength) == ("application/pdf", len(pdf))
    assert back["EncapsulatedDocument"].VR == "OB" and back.EncapsulatedDocument == pdf + b"\0"
    rendered = web.get(server, path_of(ds) + "/rendered", "application/pdf")
    assert (rendered.status_code, rendered.headers["content-type"], rendered.content) == (200, "application/pdf", pdf)
    member = web.get(server, path_of(ds) + "/metadata", web.JSON).json()[0]["00420011"]
    bulk = web.get(server, member["BulkDataURI"], "application/pdf")
    assert (bulk.status_code, bulk.headers["content-type"], bulk.content) == (200, "application/pdf", pdf)


@pytest.mark.parametrize(
    ("attributes", "media"),
    [({"MIMETypeOfEncapsulatedDocument": "text/xml"}, "application/pdf"), ({"EncapsulatedDocumentLength": 5}, "application/pdf"),
     ({}, OCTET_PART), ({}, "image/jpeg")],
)  # fmt: skip
def test_a147_a_document_that_is_not_what_it_says_is_refused(server, pdf, attributes, media):
    ds = document_of(**attributes)
    response = post(server, [in_json(metadata_of(ds, EncapsulatedDocument="doc")), (media, "doc", pdf)])
    assert response.status_code == 409
    assert web.outcome(response)[1] == {ds.SOPInstanceUID: 0xA900}
    assert is_absent(server, ds)


# --- Order -----------------------------------------------------------------------------------------


def test_a148_parts_come_in_any_order(server):
    """Two instances and their pixels, in all 24 orders."""
    for order in itertools.permutations(range(4)):
        one, two = made.study(2)
        two.PixelData = bytes(reversed(two.PixelData))
        parts = []
        for ds in (one, two):
            location = f"bulk/{ds.SOPInstanceUID}"
            parts += [in_json(metadata_of(ds, PixelData=location)), (OCTET_PART, location, ds.PixelData)]
        response = post(server, [parts[at] for at in order])
        assert response.status_code == 200, (order, response.text, response.headers)
        assert [stored(server, ds).PixelData for ds in (one, two)] == [one.PixelData, two.PixelData], order


@pytest.mark.parametrize("says_how_many", [True, False])
def test_a148_numbered_frames_come_in_any_order_between_others(server, says_how_many):
    """Frames and metadata of two instances in turns, one of them with an ICC profile as well."""
    profile = bytes(range(128))
    pictures = [picture("L", seed=n) for n in range(3)]
    frames = [encoded(p, "JPEG2000", irreversible=False) for p in pictures]
    for order in itertools.permutations(range(3)):
        one, two = (without_pixels(NumberOfFrames=3 if says_how_many else None) for _ in range(2))
        parts = [in_json(metadata_of(one, PixelData="one", ICCProfile="icc"))]
        for n in order:
            parts += [("image/jp2", f"{name}/frames/{n + 1}", frames[n]) for name in ("one", "two")]
        parts.insert(3, in_json(metadata_of(two, PixelData="two")))
        parts.insert(5, (OCTET_PART, "icc", profile))
        response = post(server, parts)
        assert response.status_code == 200, (order, response.text, response.headers)
        for ds in (one, two):
            assert np.array_equal(stored(server, ds).pixel_array, np.stack([np.asarray(p) for p in pictures])), order
        assert stored(server, one).ICCProfile == profile


# --- Locations -------------------------------------------------------------------------------------


def test_nothing_is_ever_fetched(server, tmp_path):
    """URIs that point elsewhere are names: of a part that came, else of none."""
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(32))
    known = made.instance()
    assert web.stow(server, [made.file(known)]).status_code == 200
    before = counts(server)
    for uri in (
        secret.as_uri(), str(secret), f"../../../../../..{secret}", f"{server.web}{path_of(known)}/frames/1",
        f"{server.web}{path_of(known)}/bulkdata/7FE00010", "http://127.0.0.1:1/x", "//127.0.0.1:1/x", "cid:x", "\\\\host\\share", "", "?", "#",
        "http://[::1", "http:", "%", "a" * 100_000, "\u2028../x",
    ):  # fmt: skip
        ds = made.instance()
        response = post(server, [in_json(metadata_of(ds, PixelData=uri))])
        assert (response.status_code, web.outcome(response)[1]) == (409, {ds.SOPInstanceUID: 0xC000}), uri
        assert "secret" not in response.text + str(response.headers)
    assert counts(server) == before


@pytest.mark.parametrize(
    ("uri", "location"),
    [("http://elsewhere.example/a/b", "http://ELSEWHERE.example/a/./c/../b"), ("../../../../etc/passwd", "/etc/passwd"), ("x", "<x>"),
     ("cid:1@here", "cid:1@here"), ("/dicom-web/bulk", "bulk"), ("a?b=/../c", "a?b=/../c")],
)  # fmt: skip
def test_a_part_is_found_by_what_its_location_resolves_to(server, uri, location):
    ds = made.instance()
    response = post(server, [in_json(metadata_of(ds, PixelData=uri)), (OCTET_PART, location, ds.PixelData)])
    assert response.status_code == 200, (response.text, response.headers)
    assert stored(server, ds).PixelData == ds.PixelData


def test_a_location_twice_is_told_and_stores_nothing(server):
    """Native pixels that are there twice are too long, a document is ambiguous; neither is a guess."""
    image, document = made.instance(), document_of()
    parts = [(OCTET_PART, "pixels", image.PixelData)] * 2 + [("application/pdf", "doc", b"%PDF-1"), ("application/pdf", "doc", b"%PDF-2")]
    parts.append(in_json(metadata_of(image, PixelData="pixels"), metadata_of(document, EncapsulatedDocument="doc")))
    response = post(server, parts)
    assert response.status_code == 409
    assert web.outcome(response)[1] == {image.SOPInstanceUID: 0xA900, document.SOPInstanceUID: 0xC000}
    assert is_absent(server, image) and is_absent(server, document)


def test_a_part_that_nobody_names_is_told(server):
    ds = made.instance()
    parts = [in_json(metadata_of(ds, PixelData="a")), (OCTET_PART, "a", ds.PixelData), (OCTET_PART, "b", b"xx"), (OCTET_PART, None, b"yy")]
    response = post(server, parts)
    assert response.status_code == 202
    assert web.outcome(response) == ({ds.SOPInstanceUID: None}, {}, [0xC000, 0xC000])


def test_instances_may_share_a_part(server):
    pictures = made.study(2)
    datasets = [metadata_of(ds, PixelData="pixels", ICCProfile="icc") for ds in pictures]
    parts = [in_json(*datasets), (OCTET_PART, "icc", bytes(128)), (OCTET_PART, "pixels", pictures[0].PixelData)]
    assert post(server, parts).status_code == 200
    assert {stored(server, ds).PixelData for ds in pictures} == {pictures[0].PixelData}
    many = made.study(200)
    datasets = [metadata_of(ds, ICCProfile="icc") for ds in many]
    assert post(server, [in_json(*datasets), (OCTET_PART, "icc", bytes(128))]).status_code == 200
    in_turn = made.study(20)
    pairs = [(in_json(metadata_of(ds, PixelData="pixels")), (OCTET_PART, "pixels", ds.PixelData)) for ds in in_turn]
    assert post(server, list(itertools.chain(*pairs))).status_code == 200


@pytest.mark.parametrize("kind", [JSON_PART, XML_PART])
def test_a_shared_part_is_let_go_with_the_last_that_named_it(server, kind):
    """Behind the metadata of both it serves both; who comes later is told that it is not there."""
    one, two, late = made.study(3)
    metadata = [in_notation(kind, (ds, {"PixelData": "pixels"}))[0] for ds in (one, two, late)]
    response = post(server, [*metadata[:2], (OCTET_PART, "pixels", one.PixelData), metadata[2]])
    assert response.status_code == 202
    assert web.outcome(response) == ({one.SOPInstanceUID: None, two.SOPInstanceUID: None}, {late.SOPInstanceUID: 0xC000}, [])
    assert stored(server, two).PixelData == one.PixelData and is_absent(server, late)


def test_a_part_named_over_and_over_is_refused_before_it_fills_the_disk(start):
    """A thousandfold of what was sent would be written; and pixels decoded again each time."""
    server = start(config={"ingest": {"object_bytes_max": 8 << 20}})
    profile, many, alone = bytes(1 << 20), made.study(100), made.instance()
    metadata = [*(metadata_of(ds, ICCProfile="icc") for ds in many), metadata_of(alone, PixelData="alone")]
    response = post(server, [in_json(*metadata), (OCTET_PART, "icc", profile), (OCTET_PART, "alone", alone.PixelData)])
    assert response.status_code == 202
    succeeded, failed, _ = web.outcome(response)
    assert alone.SOPInstanceUID in succeeded
    assert (len(succeeded) - 1, set(failed.values())) == (9, {0xC000}), "once, and eight times again"
    assert "named too often" in response.headers["warning"]
    one = made.instance()
    metadata = metadata_of(one)
    metadata["00089215"] = {"vr": "SQ", "Value": [{"00282000": {"vr": "OB", "BulkDataURI": "icc"}} for _ in range(1000)]}
    assert post(server, [in_json(metadata), (OCTET_PART, "icc", profile)]).status_code == 409
    many = [without_pixels() for _ in range(40)]
    response = post(server, [in_json(*(metadata_of(ds, PixelData="p") for ds in many)), ("image/png", "p", encoded(picture("L"), "PNG"))])
    assert (response.status_code, len(web.outcome(response)[0])) == (202, 8)


def test_many_instances_and_many_parts_of_one_name_cost_no_square(server):
    """3,000 instances wait for more of their pixels, 3,000 for something else, while 3,000 parts come."""
    vast = metadata_of(made.instance(rows=60_000, columns=60_000, pixels=b""), PixelData="shared")
    bare = metadata_of(without_pixels(), ICCProfile="shared", EncapsulatedDocument="never")
    datasets = [kind | {"00080018": {"vr": "UI", "Value": [made.uid()]}} for kind in (vast, bare) for _ in range(3000)]
    began = time.monotonic()
    response = post(server, [in_json(*datasets), *[(OCTET_PART, "shared", b"ab")] * 3000])
    assert response.status_code == 409
    reasons = list(web.outcome(response)[1].values())
    assert (reasons.count(0xA900), reasons.count(0xC000)) == (8, 5992)
    assert time.monotonic() - began < 30


# --- Bodies ----------------------------------------------------------------------------------------


def test_a_boundary_that_is_not_the_one_announced(server):
    ds = made.instance()
    parts = [in_json(metadata_of(ds, PixelData="a")), (OCTET_PART, "a", ds.PixelData)]
    response = post(server, parts, boundary="another")
    assert response.status_code == 400 and response.text
    assert is_absent(server, ds)


@pytest.mark.parametrize("kind", [JSON_PART, XML_PART])
def test_metadata_10_000_deep_are_refused(server, kind):
    text = b'[{"00081140":{"vr":"SQ","Value":' * 10_000 + b"[]" + b"}}]" * 10_000
    if kind == XML_PART:
        begin, end = b'<DicomAttribute tag="00081140" vr="SQ"><Item number="1">', b"</Item></DicomAttribute>"
        text = b"<NativeDicomModel>" + begin * 10_000 + end * 10_000 + b"</NativeDicomModel>"
    response = post(server, [(kind, None, text)])
    assert response.status_code == (400 if kind == JSON_PART else 409)
    good = made.instance()
    assert post(server, [in_json(metadata_of(good))]).status_code == 200
    assert dcmread(io.BytesIO(web.file_of(web.get(server, path_of(good), web.AS_STORED)))).SOPInstanceUID == good.SOPInstanceUID
