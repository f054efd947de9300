"""WADO-RS (PS3.18 §10.4) and what every resource shares: negotiation, methods, caching, ranges
(conformance.md §8, 1–50, 78–95)."""

import base64
import gzip
import http.client
import io
import json
import math
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import zstandard
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from harness import made, part10, web

J2K = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"


class Shelf:
    """One study of two series, and odd objects, in one archive."""

    def __init__(self, server):
        self.server = server
        self.objects = made.study(5, rows=16, columns=16)
        self.study = self.objects[0].StudyInstanceUID
        self.objects += [made.instance(study=self.study, series=made.uid(), rows=16, columns=16, frames=6)]
        self.multi = self.objects[-1]
        self.series = self.objects[0].SeriesInstanceUID
        response = web.stow(server, map(made.file, self.objects))
        assert response.status_code == 200, response.text

    def path(self, ds=None):
        ds = self.objects[0] if ds is None else ds
        return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


@pytest.fixture(scope="module")
def shelf(server):
    return Shelf(server)


def put(server, data):
    """Stores one file; gives its path."""
    response = web.stow(server, [data])
    assert response.status_code == 200, response.text
    ds = dcmread(io.BytesIO(data), stop_before_pixels=True)
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def encapsulated(ds, frames, syntax, **keywords):
    """A file with encapsulated pixel data, made byte by byte."""
    del ds.PixelData
    value = encapsulate(frames, **keywords)
    pixels = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff" + value + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return made.wrap(made.encode(ds) + pixels, made.CT, ds.SOPInstanceUID, syntax)


def metadata(server, ds):
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    response = web.get(server, path + "/metadata", web.JSON)
    assert response.status_code == 200, response.text
    return json.loads(response.text, parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))[0]


# --- Negotiation, methods, errors ----------------------------------------------------------------


def raw_request(server, method, path, headers=None):
    connection = http.client.HTTPConnection(*server.http_address, timeout=20)
    connection.putrequest(method, "/dicom-web" + path, skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_a1_without_accept_406(shelf):
    for path in (f"/studies/{shelf.study}", f"/studies/{shelf.study}/metadata", "/studies"):
        response, body = raw_request(shelf.server, "GET", path)
        assert response.status == 406 and body, path


def test_a2_a3_any_type_gets_the_default(shelf):
    response = web.get(shelf.server, f"/studies/{shelf.study}/metadata", "*/*")
    assert response.status_code == 200 and response.headers["content-type"].startswith(web.JSON)
    response = web.get(shelf.server, shelf.path(), "*/*")
    assert response.headers["content-type"].startswith("multipart/related") and "application/dicom" in response.headers["content-type"]
    assert part10.transfer_syntax(web.file_of(response)) == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ('multipart/related; type="application/dicom"', 200), ("multipart/related; type=application/dicom", 200),
        ('Multipart/Related; TYPE="application/dicom"', 200), ('multipart/related;type="application/dicom";transfer-syntax=*', 200),
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1', 200),
        ('multipart/related; type="application/dicom;transfer-syntax=*"', 200), ("application/dicom", 200),
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90', 200),
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.91', 406),
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2', 406),
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.2', 406),
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.3.4', 406), ("text/html", 406), ("image/png;q=0", 406),
        ('multipart/related; type="application/dicom"; q=0', 406), ("nonsense", 406), ("text/html, */*;q=0.1", 200),
        ('multipart/related; type="application/dicom"; boundary=**', 200),
    ],
)  # fmt: skip
def test_a9_a27_a29_accept_of_an_instance(shelf, accept, status):
    response = web.get(shelf.server, shelf.path(), accept)
    assert response.status_code == status, response.text[:200]
    assert response.content


def test_a4_dicom_and_rendered_together_400(shelf):
    assert web.get(shelf.server, shelf.path(), 'multipart/related; type="application/dicom", image/png').status_code == 400


def test_a6_accept_parameter(shelf):
    path = f"/studies/{shelf.study}/metadata"
    assert web.get(shelf.server, path, "*/*", params={"accept": "*/*"}).status_code == 400
    assert web.get(shelf.server, path, "*/*", params={"accept": web.JSON}).status_code == 200
    assert web.get(shelf.server, path, "text/html", params={"accept": web.JSON}).status_code == 406


def test_a8_q_0_excludes(shelf):
    assert web.get(shelf.server, f"/studies/{shelf.study}/metadata", "application/dicom+json;q=0").status_code == 406
    other = web.get(shelf.server, f"/studies/{shelf.study}/metadata", "application/dicom+json;q=0, */*")
    assert (other.status_code, other.headers["content-type"]) == (200, "application/json")


def test_a15_other_methods_405_with_allow(shelf):
    for method, path in (("DELETE", "/studies"), ("PUT", f"/studies/{shelf.study}"), ("PATCH", "/series"), ("POST", shelf.path() + "/frames/1"), ("TRACE", "/studies")):  # fmt: skip
        response, _ = raw_request(shelf.server, method, path, {"Accept": "*/*", "Content-Length": "0"})
        assert response.status == 405, (method, path)
        assert "GET" in response.getheader("Allow"), (method, path)
    assert "POST" in raw_request(shelf.server, "PUT", "/studies", {"Content-Length": "0"})[0].getheader("Allow")


def test_options_names_the_methods(shelf):
    for path in ("/studies", shelf.path(), shelf.path() + "/metadata", "/series"):
        response, _ = raw_request(shelf.server, "OPTIONS", path)
        assert response.status == 204 and "GET" in response.getheader("Allow"), path


def test_cors_preflight_for_named_viewers(start):
    server = start(config={"http": {"allowed_origins": ["https://viewer.example.org"]}})
    headers = {"Origin": "https://viewer.example.org", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "accept"}
    response, _ = raw_request(server, "OPTIONS", "/studies", headers)
    assert response.status == 204 and response.getheader("Access-Control-Allow-Origin") == "https://viewer.example.org"
    response, _ = raw_request(server, "OPTIONS", "/studies", headers | {"Origin": "https://evil.example.org"})
    assert response.getheader("Access-Control-Allow-Origin") is None
    response, _ = raw_request(server, "GET", "/studies", {"Origin": "https://viewer.example.org", "Accept": "*/*"})
    assert response.getheader("Access-Control-Allow-Origin") == "https://viewer.example.org"


def test_a16_errors_have_a_body_without_patient_data(shelf):
    secret = "Geheim^Patient"
    for response in (
        web.get(shelf.server, "/studies/1.2.3", web.AS_STORED), web.get(shelf.server, "/studies", web.JSON, params={"StudyDate": secret}),
        web.get(shelf.server, "/studies", "image/png", params={"PatientName": secret}), web.get(shelf.server, "/nowhere", web.JSON),
        web.get(shelf.server, "/studies", web.JSON, params={"limit": secret}),
    ):  # fmt: skip
        assert response.status_code >= 400 and response.text and "Geheim" not in response.text


def test_a18_head_is_get_without_a_body(shelf):
    for path, accept in ((f"/studies/{shelf.study}/metadata", web.JSON), (shelf.path(), web.AS_STORED), ("/studies", web.JSON), (shelf.path() + "/frames/1", web.OCTETS)):
        get, body = raw_request(shelf.server, "GET", path, {"Accept": accept})
        head, nothing = raw_request(shelf.server, "HEAD", path, {"Accept": accept})
        assert (head.status, nothing) == (get.status, b""), path
        assert head.getheader("Content-Type").split(";")[0] == get.getheader("Content-Type").split(";")[0]
        for answer in (get, head):
            assert not (answer.getheader("Content-Length") and answer.getheader("Transfer-Encoding")), path
        if get.getheader("Content-Length"):
            assert int(get.getheader("Content-Length")) == len(body)


def test_a20_keep_alive_and_pipelines_give_the_same_bytes(shelf):
    import socket

    one = f"GET /dicom-web{shelf.path()}/frames/1 HTTP/1.1\r\nHost: x\r\nAccept: application/octet-stream\r\n\r\n".encode()
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with socket.create_connection(shelf.server.http_address, timeout=10) as s:
        s.sendall(one * 5 + last)
        got = b""
        while chunk := s.recv(65536):
            got += chunk
    assert got.count(b"HTTP/1.1 200") == 6
    assert got.count(bytes(shelf.objects[0].PixelData)) == 6


# --- Study, series, instance ----------------------------------------------------------------------


def test_a21_a22_every_instance_once(shelf):
    for path, objects in [
        (f"/studies/{shelf.study}", shelf.objects), (f"/studies/{shelf.study}/series/{shelf.series}", shelf.objects[:5]),
        (shelf.path(), shelf.objects[:1]),
    ]:  # fmt: skip
        parts = web.parts_of(web.get(shelf.server, path, web.AS_STORED))
        got = {str(dcmread(io.BytesIO(body)).SOPInstanceUID): part10.data_set(body) for _, body in parts}
        assert len(parts) == len(objects)
        assert got == {str(ds.SOPInstanceUID): made.encode(ds) for ds in objects}


def test_a11_a12_parts_and_their_headers(shelf):
    response = web.get(shelf.server, f"/studies/{shelf.study}", web.AS_STORED)
    boundary = web.header_parameter(response.headers["content-type"], "boundary").encode()
    for headers, body in web.parts_of(response):
        assert boundary not in body
        assert headers["content-type"].startswith("application/dicom")
        assert part10.transfer_syntax(body) in headers["content-type"]
        assert web.file_of(web.get(shelf.server, headers["content-location"], web.AS_STORED)) == body


def test_a30_single_part(shelf):
    response = web.get(shelf.server, shelf.path(), "application/dicom")
    assert response.status_code == 200 and response.headers["content-type"].startswith("application/dicom")
    assert part10.data_set(response.content) == made.encode(shelf.objects[0])
    assert web.get(shelf.server, f"/studies/{shelf.study}/series/{shelf.series}", "application/dicom").status_code == 406


def test_a31_unknown_or_misplaced_404(shelf):
    other_series = shelf.multi.SeriesInstanceUID
    for path in (
        "/studies/1.2.3", f"/studies/{shelf.study}/series/1.2.3", web.instance_path(shelf.study, shelf.series, "1.2.3"),
        web.instance_path(shelf.study, other_series, shelf.objects[0].SOPInstanceUID), f"/studies/1.2.3/series/{shelf.series}",
    ):  # fmt: skip
        assert web.get(shelf.server, path, web.AS_STORED).status_code == 404, path
        assert web.get(shelf.server, path + "/metadata", web.JSON).status_code == 404, path
    assert web.get(shelf.server, "/studies/1.2.3/instances", web.JSON).status_code == 204


def test_dicomweb_client_retrieves(shelf):
    client = DICOMwebClient(shelf.server.web)
    instances = client.retrieve_series(shelf.study, shelf.series, media_types=(("application/dicom", "*"),))
    assert len(instances) == 5
    frames = client.retrieve_instance_frames(shelf.study, shelf.multi.SeriesInstanceUID, shelf.multi.SOPInstanceUID, [1, 6])
    size = 16 * 16 * 2
    assert frames == [shelf.multi.PixelData[:size], shelf.multi.PixelData[5 * size :]]
    assert len(client.retrieve_study_metadata(shelf.study)) == 6


# --- Frames ---------------------------------------------------------------------------------------


def test_a33_a34_native_frames(shelf):
    size = 16 * 16 * 2
    path = shelf.path(shelf.multi) + "/frames/"
    response = web.get(shelf.server, path + "1,3,5", web.OCTETS)
    parts = web.parts_of(response)
    assert [body for _, body in parts] == [shelf.multi.PixelData[n * size : (n + 1) * size] for n in (0, 2, 4)]
    assert [h["content-location"].rsplit("/", 2)[-2:] for h, _ in parts] == [["frames", n] for n in "135"]
    single = web.get(shelf.server, path + "2", "application/octet-stream")
    assert single.content == shelf.multi.PixelData[size : 2 * size]
    assert int(single.headers["content-length"]) == size
    assert web.get(shelf.server, path + "1,2", "application/octet-stream").status_code == 406


@pytest.mark.parametrize(("frames", "status"), [("7", 404), ("1,7", 404), ("0", 400), ("-1", 400), ("a", 400), ("1,,2", 400), ("1.5", 400), ("99999999999999999999", 404), ("3,1", 200)])  # fmt: skip
def test_a35_frame_numbers(shelf, frames, status):
    response = web.get(shelf.server, shelf.path(shelf.multi) + f"/frames/{frames}", web.OCTETS)
    assert response.status_code == status
    if status == 200:
        size = 16 * 16 * 2
        assert [body for _, body in web.parts_of(response)] == [shelf.multi.PixelData[n * size : (n + 1) * size] for n in (2, 0)]


@pytest.mark.parametrize("accept", ['multipart/related; type="image/jp2"', f'multipart/related; type="image/jp2"; transfer-syntax={J2K}', "image/jp2", web.OCTETS])
def test_a36_compressed_frames_are_the_stored_codestream(server, accept):
    frames = [b"\xff\x4f\xff\x51" + bytes([n]) * (20 + n) for n in range(3)]
    path = put(server, encapsulated(made.instance(frames=3), frames, J2K))
    response = web.get(server, path + "/frames/2", accept)
    body = response.content if accept == "image/jp2" else web.parts_of(response)[0][1]
    assert body.rstrip(b"\0")[:21] == frames[1][:21] and len(body) - len(frames[1]) in (0, 1)


def test_a37_rle(server):
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x01\x00\x00"
    path = put(server, encapsulated(made.instance(), [frame + b"\0"], RLE))
    for accept in ('multipart/related; type="image/dicom-rle"', web.OCTETS):
        parts = web.parts_of(web.get(server, path + "/frames/1", accept))
        assert parts[0][1][:4] == b"\x01\0\0\0"


def item(value):
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value


# With an extended offset table each frame is one fragment (PS3.3 §C.7.6.3.1.8).
@pytest.mark.parametrize(("table", "fragments"), [("basic", 1), ("basic", 3), ("none", 1), ("none", 3), ("extended", 1)])
def test_a38_frames_of_several_fragments(server, table, fragments):
    count = 4
    # JPEG-like frames, so that without any table their ends can be told.
    frames = [b"\xff\xd8\xff\xe0" + bytes([65 + n]) * 30 + b"\xff\xd9" for n in range(count)]
    pieces = [[f[at : at + 12] for at in range(0, 36, 12)] if fragments == 3 else [f] for f in frames]
    starts, at = [], 0
    for frame in pieces:
        starts.append(at)
        at += sum(8 + len(p) for p in frame)
    ds = made.instance(frames=count)
    del ds.PixelData
    if table == "extended":
        ds.ExtendedOffsetTable = struct.pack(f"<{count}Q", *starts)
        ds.ExtendedOffsetTableLengths = struct.pack(f"<{count}Q", *[36] * count)
    offsets = struct.pack(f"<{count}I", *starts) if table == "basic" else b""
    value = item(offsets) + b"".join(item(p) for frame in pieces for p in frame)
    pixels = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff" + value + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    path = put(server, made.wrap(made.encode(ds) + pixels, made.CT, ds.SOPInstanceUID, "1.2.840.10008.1.2.4.50"))
    parts = web.parts_of(web.get(server, path + "/frames/1,2,3,4", web.OCTETS))
    assert [body for _, body in parts] == frames


def test_a38_one_frame_of_many_fragments_without_a_table(server):
    frame = b"\xff\xd8" + bytes(range(200)) + b"\xff\xd9"
    ds = made.instance()
    del ds.PixelData
    value = item(b"") + b"".join(item(frame[at : at + 34]) for at in range(0, len(frame), 34))
    pixels = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff" + value + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    path = put(server, made.wrap(made.encode(ds) + pixels, made.CT, ds.SOPInstanceUID, "1.2.840.10008.1.2.4.70"))
    assert web.parts_of(web.get(server, path + "/frames/1", web.OCTETS))[0][1] == frame
    assert web.get(server, path + "/frames/2", web.OCTETS).status_code == 404


def test_a39_one_bit_frames_begin_on_a_byte(server):
    bits = [[(n * 7 + i * i) % 3 == 0 for i in range(3 * 5)] for n in range(5)]
    packed = sum(bit << place for place, bit in enumerate(b for frame in bits for b in frame)).to_bytes(10, "little")
    ds = made.instance(rows=3, columns=5, frames=5, pixels=packed, BitsAllocated=1, BitsStored=1, HighBit=0)
    ds["PixelData"].VR = "OB"
    path = put(server, made.file(ds))
    parts = web.parts_of(web.get(server, path + "/frames/1,2,3,4,5", web.OCTETS))
    assert [body for _, body in parts] == [sum(bit << place for place, bit in enumerate(frame)).to_bytes(2, "little") for frame in bits]


def test_a40_no_padding_after_an_odd_frame(server):
    ds = made.instance(rows=3, columns=3, pixels=bytes(range(9)) + b"\0", BitsAllocated=8, BitsStored=8, HighBit=7)
    ds["PixelData"].VR = "OB"
    path = put(server, made.file(ds))
    assert web.get(server, path + "/frames/1", "application/octet-stream").content == bytes(range(9))


def test_an_instance_without_pixels_has_no_frames(server):
    ds = made.instance()
    del ds.PixelData
    path = put(server, made.file(ds))
    assert web.get(server, path + "/frames/1", web.OCTETS).status_code == 404
    assert web.get(server, path, web.AS_STORED).status_code == 200


# --- Bulk data ------------------------------------------------------------------------------------


def with_bulk():
    ds = made.instance(rows=64, columns=64)
    ds.add_new(0x00420011, "OB", bytes(range(256)) * 64)
    ds.add_new(0x00660016, "OF", struct.pack("<5000f", *range(5000)))
    return ds


def test_a41_a87_bulk_data_uris_are_reachable(server):
    ds = with_bulk()
    put(server, made.file(ds))
    described = metadata(server, ds)
    for tag in ("00420011", "00660016", "7FE00010"):
        uri = described[tag]["BulkDataURI"]
        assert uri.startswith(server.web)
        expected = bytes(ds[int(tag, 16)].value)
        response = web.get(server, uri, "application/octet-stream")
        assert response.status_code == 200 and response.content == expected
        response = web.get(server, uri, 'multipart/related; type="application/octet-stream"')
        parts = web.parts_of(response)
        assert len(parts) == 1 and parts[0][1] == expected
        assert web.get(server, uri, "*/*").status_code == 200


@pytest.mark.parametrize(
    ("value", "status", "first", "end"),
    [("bytes=0-9", 206, 0, 10), ("bytes=100-199", 206, 100, 200), ("bytes=-5", 206, 16379, 16384), ("bytes=16000-", 206, 16000, 16384),
     ("bytes=16383-99999", 206, 16383, 16384), ("bytes=16384-", 416, 0, 0), ("bytes=x", 200, 0, 16384), ("bytes=5-2", 200, 0, 16384)],
)  # fmt: skip
def test_a45_ranges(server, value, status, first, end):
    ds = with_bulk()
    put(server, made.file(ds))
    uri = metadata(server, ds)["00420011"]["BulkDataURI"]
    response = web.get(server, uri, "application/octet-stream", headers={"Range": value})
    assert response.status_code == status
    if status == 200:
        assert response.content == bytes(ds[0x00420011].value)
    if status == 206:
        assert response.content == bytes(ds[0x00420011].value)[first:end]
        assert response.headers["content-range"] == f"bytes {first}-{end - 1}/16384"
    if status == 416:
        assert response.headers["content-range"] == "bytes */16384"


def test_bulk_data_in_nested_items(server):
    inner = Dataset()
    inner.add_new(0x00281201, "OW", struct.pack("<4096H", *range(4096)))
    ds = made.instance()
    ds.add_new(0x00082112, "SQ", [Dataset(), inner])
    put(server, made.file(ds))
    member = metadata(server, ds)["00082112"]["Value"][1]["00281201"]
    assert web.get(server, member["BulkDataURI"], "application/octet-stream").content == bytes(inner[0x00281201].value)


def test_unknown_bulk_data_404(shelf):
    for tail in ("/bulkdata/00420011", "/bulkdata/zzz", "/bulkdata/../../../../etc/passwd", "/bulkdata/7FE00010/0/1"):
        assert web.get(shelf.server, shelf.path() + tail, "application/octet-stream").status_code == 404, tail


# --- Metadata -------------------------------------------------------------------------------------


def test_a94_metadata_of_three_levels(shelf):
    whole = web.get(shelf.server, f"/studies/{shelf.study}/metadata", web.JSON).json()
    assert len(whole) == 6
    series = web.get(shelf.server, f"/studies/{shelf.study}/series/{shelf.series}/metadata", web.JSON).json()
    assert series == [o for o in whole if web.value(o, "0020000E") == shelf.series]
    assert metadata(shelf.server, shelf.objects[0]) in whole
    assert [web.value(o, "00200013") for o in series] == sorted(web.value(o, "00200013") for o in series)


def test_metadata_etag_and_304(server):
    study = made.uid()
    put(server, made.file(made.instance(study=study)))
    url = f"/studies/{study}/metadata"
    first = web.get(server, url, web.JSON)
    tag = first.headers["etag"]
    again = web.get(server, url, web.JSON, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"") and again.headers["etag"] == tag
    assert web.get(server, url, web.JSON, headers={"If-None-Match": f'"x", {tag}'}).status_code == 304
    put(server, made.file(made.instance(study=study)))
    changed = web.get(server, url, web.JSON, headers={"If-None-Match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag and len(changed.json()) == 2


@pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("zstd", lambda b: zstandard.ZstdDecompressor().decompressobj().decompress(b))])
def test_metadata_is_compressed_when_asked(shelf, coding, decode):
    path = f"/studies/{shelf.study}/metadata"
    plain, body = raw_request(shelf.server, "GET", path, {"Accept": web.JSON})
    assert plain.getheader("Content-Encoding") is None
    packed, small = raw_request(shelf.server, "GET", path, {"Accept": web.JSON, "Accept-Encoding": f"{coding};q=1"})
    assert packed.getheader("Content-Encoding") == coding and len(small) < len(body)
    assert decode(small) == body
    assert "accept-encoding" in packed.getheader("Vary", "").lower()
    assert packed.getheader("ETag") != plain.getheader("ETag") or packed.getheader("ETag").startswith("W/")
    refused, _ = raw_request(shelf.server, "GET", path, {"Accept": web.JSON, "Accept-Encoding": f"{coding};q=0"})
    assert refused.getheader("Content-Encoding") != coding


def test_a78_to_a90_values(server):
    ds = made.instance(PatientName="A^B=C=D", OtherPatientNames=["X^Y", "", "Z"])
    ds.add_new(0x00081070, "PN", "")
    ds.add_new(0x00200037, "DS", ["1.50", "-0.0000000001", "3"])
    ds.add_new(0x00081150, "UI", "1.2.3")
    ds.add_new(0x00720026, "AT", [0x00280010, 0x7FE00010])
    ds.add_new(0x00189074, "DT", "20260102101112.000000+0100")
    ds.add_new(0x00102110, "LO", ["A", "", "B"])
    ds.add_new(0x00104000, "LT", "  leading kept, \\ no split  ")
    ds.add_new(0x00081140, "SQ", [Dataset(), item_with_uid()])
    ds.add_new(0x00081115, "SQ", [])
    ds.add_new(0x00189073, "FD", float("nan"))
    ds.add_new(0x00720083, "UV", 2**63)
    ds.add_new(0x00720082, "SV", -(2**40))
    put(server, made.file(ds))
    got = metadata(server, ds)
    assert list(got) == sorted(got) and not any(k.startswith("0002") or k.endswith("0000") and k[4:] == "0000" for k in got)
    assert got["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": "C", "Phonetic": "D"}]}
    assert got["00101001"]["Value"] == [{"Alphabetic": "X^Y"}, None, {"Alphabetic": "Z"}]
    assert got["00081070"] == {"vr": "PN"} and got["00081115"] == {"vr": "SQ"}
    assert [float(v) for v in got["00200037"]["Value"]] == [1.5, -1e-10, 3.0]
    assert got["00720026"]["Value"] == ["00280010", "7FE00010"]
    assert got["00102110"]["Value"] == ["A", None, "B"]
    assert got["00104000"]["Value"] == ["  leading kept, \\ no split"]
    assert got["00081140"]["Value"] == [{}, {"00081155": {"vr": "UI", "Value": ["1.2.3.4"]}}]
    assert int(got["00720083"]["Value"][0]) == 2**63 and int(got["00720082"]["Value"][0]) == -(2**40)
    assert "Value" not in got["00189073"] or math.isnan(float(got["00189073"]["Value"][0]))


def item_with_uid():
    ds = Dataset()
    ds.ReferencedSOPInstanceUID = "1.2.3.4"
    return ds


def test_a86_short_binaries_stand_inline_little_endian(server):
    ds = made.instance()
    ds.add_new(0x00281201, "OW", struct.pack("<4H", 1, 2, 3, 0x1234))
    put(server, made.file(ds))
    member = metadata(server, ds)["00281201"]
    assert base64.b64decode(member["InlineBinary"]) == struct.pack("<4H", 1, 2, 3, 0x1234)


def test_a85_nan_leaves_valid_json(server):
    ds = made.instance()
    ds.add_new(0x00189073, "FD", float("inf"))
    ds.add_new(0x00720076, "FL", [1.0, float("-inf")])
    put(server, made.file(ds))
    metadata(server, ds)


# --- Under load -----------------------------------------------------------------------------------


def test_a48_readers_never_see_half_an_instance(server):
    study = made.uid()
    objects = [made.instance(study=study, rows=128, columns=128) for _ in range(60)]
    sent = {str(ds.SOPInstanceUID): made.encode(ds) for ds in objects}
    put(server, made.file(objects[0]))

    def write(ds):
        assert web.stow(server, [made.file(ds)]).status_code == 200

    def read(_):
        response = web.get(server, f"/studies/{study}", web.AS_STORED)
        for _, body in web.parts_of(response):
            assert part10.data_set(body) == sent[part10.split(body)[0].MediaStorageSOPInstanceUID]

    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(write, ds) for ds in objects[1:]] + [pool.submit(read, n) for n in range(40)]
        for job in jobs:
            job.result()
    assert len(web.parts_of(web.get(server, f"/studies/{study}", web.AS_STORED))) == 60


def test_readers_that_leave_do_no_harm(shelf):
    for _ in range(30):
        response = requests.get(f"{shelf.server.web}/studies/{shelf.study}", headers={"Accept": web.AS_STORED}, stream=True, timeout=10)
        next(response.iter_content(100))
        response.close()
    assert web.get(shelf.server, f"/studies/{shelf.study}", web.AS_STORED).status_code == 200


def test_the_first_page_and_the_probes(shelf):
    for path in ("/", "/healthz", "/readyz", "/metrics"):
        response = requests.get(shelf.server.url + path, timeout=10)
        assert response.status_code == 200, path
    assert "MADE-1" not in requests.get(shelf.server.url + "/metrics", timeout=10).text
    assert "Maker" in requests.get(shelf.server.url + "/", timeout=10).text
