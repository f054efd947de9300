"""Bulk data, pixel data and frames as resources of their own, and ZIP archives (PS3.18 §10.4.1.1.5
to §10.4.1.1.7; conformance.md §8, 11, 12, 33–45, 50). Expected bytes are those that went in, read by
pydicom, or a medium as pydicom and DCMTK read it."""

import io
import os
import struct
import subprocess
import warnings
import zipfile
import zlib

import pytest
import requests
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.fileset import FileSet

from harness import corpus, made, part10, web

JPEG, JPEG_LOSSLESS, JLS, J2K = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
RLE, MP4, DEFLATED, BIG, PLAIN = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1"
MULTI_OCTETS = 'multipart/related; type="application/octet-stream"'


def path_of(ds):
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def put(server, data):
    response = web.stow(server, [data])
    assert response.status_code == 200, response.text
    return path_of(dcmread(io.BytesIO(data), stop_before_pixels=True))


def fragments(*values, table=b""):
    """Pixel data of these very fragments."""
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(v)) + v for v in (table, *values))
    return struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff" + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def compressed(ds, syntax, pixels):
    """A file whose pixel data are these encoded bytes."""
    del ds.PixelData
    return made.wrap(made.encode(ds) + pixels, str(ds.SOPClassUID), ds.SOPInstanceUID, syntax)


def encapsulated(ds, frames, syntax):
    value = encapsulate(frames, has_bot=True)
    pixels = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff" + value + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return compressed(ds, syntax, pixels)


def stored_frames(data, count):
    """The frames of a file as pydicom takes them out of it."""
    return list(generate_frames(dcmread(io.BytesIO(data)).PixelData, number_of_frames=count))


def j2k(seed, size=16):
    image = Image.frombytes("L", (size, size), bytes((i * seed) % 251 for i in range(size * size)))
    out = io.BytesIO()
    image.save(out, "JPEG2000", no_jp2=True)
    return out.getvalue() + b"\0" * (len(out.getvalue()) % 2)


def video_bytes():
    """An MP4 as encapsulated in MPEG-4 AVC: made by hand where it matters, the boxes' frame."""
    box = lambda kind, body: struct.pack(">I", 8 + len(body)) + kind + body  # noqa: E731
    return box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41") + box(b"mdat", bytes((i * i) % 256 for i in range(300_001)))


def video(pieces=3, **attributes):
    ds = made.instance(rows=16, columns=16, frames=25, **attributes)
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
    ds.PhotometricInterpretation, ds.SamplesPerPixel, ds.PlanarConfiguration = "YBR_PARTIAL_420", 3, 0
    stream = video_bytes()
    stream += b"\0" * (len(stream) % 2)
    size = len(stream) // pieces // 2 * 2
    cut = [stream[at * size : (at + 1) * size if at < pieces - 1 else None] for at in range(pieces)]
    return ds, stream, compressed(ds, MP4, fragments(*cut))


def bulk_uris(node):
    """Every BulkDataURI of DICOM JSON."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "BulkDataURI":
                yield value
            else:
                yield from bulk_uris(value)
    elif isinstance(node, list):
        for value in node:
            yield from bulk_uris(value)


def metadata(server, path):
    response = web.get(server, path + "/metadata", web.JSON)
    assert response.status_code == 200, response.text
    return response.json()


def value_at(ds, uri):
    """The value that a BulkDataURI means, by its path of tags and item numbers."""
    steps = uri.split("/bulkdata/")[1].split("/")
    for tag, item in zip(steps[:-1:2], steps[1:-1:2], strict=True):
        ds = ds[int(tag, 16)].value[int(item)]
    return bytes(ds[int(steps[-1], 16)].value)


class Mixed:
    """A study of two series: native, compressed, video, a document, nested values, an icon, floats."""

    def __init__(self, server):
        self.server, self.study, self.series = server, made.uid(), made.uid()
        same = {"study": self.study, "series": self.series}
        icon = Dataset()
        icon.Rows = icon.Columns = 8
        icon.BitsAllocated, icon.SamplesPerPixel = 8, 1
        icon.add_new(0x7FE00010, "OB", bytes(range(64)))
        inner = Dataset()
        inner.add_new(0x00281201, "OW", struct.pack("<4096H", *range(4096)))
        plain = made.instance(rows=33, columns=17, InstanceNumber=1, **same)
        plain.add_new(0x00880200, "SQ", [icon])
        plain.add_new(0x00082112, "SQ", [Dataset(), inner])
        plain.add_new(0x00281203, "OW", bytes(range(256)) * 40)
        self.plain = plain
        self.frames = [j2k(n) for n in (3, 5, 7)]
        self.small = made.instance(rows=16, columns=16, frames=3, InstanceNumber=2, BitsAllocated=8, BitsStored=8, HighBit=7, **same)
        self.thumb = [j2k(2), b"one more"]
        packed = encapsulated(self.small, self.frames, J2K)
        at = packed.index(struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff")
        icon = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + fragments(*self.thumb) + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        icons = struct.pack("<HH", 0x0088, 0x0200) + b"SQ\0\0\xff\xff\xff\xff" + icon + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        packed = packed[:at] + icons + packed[at:]
        self.film, self.stream, film = video(study=self.study, series=made.uid(), InstanceNumber=3)
        self.document = document(b"%PDF-1.7\n" + bytes(range(256)) * 40 + b"\n%%EOF", study=self.study, series=self.film.SeriesInstanceUID)
        floats = made.instance(rows=4, columns=4, InstanceNumber=5, BitsAllocated=32, study=self.study, series=self.film.SeriesInstanceUID)
        del floats.PixelData
        floats.add_new(0x7FE00008, "OF", struct.pack("<16f", *range(16)))
        self.floats = floats
        response = web.stow(server, [made.file(plain), packed, film, made.file(self.document), made.file(floats)])
        assert response.status_code == 200, response.text
        self.frames = stored_frames(packed, 3)

    def expected(self, whole=True):
        """Location → (media type, bytes) of the bulk data, or of the pixel data only."""
        root = self.server.web
        parts = {f"{root}{path_of(self.small)}/frames/{n + 1}": ("image/jp2", frame) for n, frame in enumerate(self.frames)}
        parts[f"{root}{path_of(self.film)}/bulkdata/7FE00010"] = ("video/mp4", self.stream)
        if whole:
            parts[f"{root}{path_of(self.small)}/bulkdata/00880200/0/7FE00010"] = ("image/jp2", b"".join(self.thumb))
        tags = [(self.plain, "7FE00010"), (self.floats, "7FE00008")]
        if whole:
            tags += [(self.plain, path) for path in ("00880200/0/7FE00010", "00082112/1/00281201", "00281203")]
            tags += [(self.document, "00420011")]
        for ds, path in tags:
            uri = f"{root}{path_of(ds)}/bulkdata/{path}"
            parts[uri] = ("application/octet-stream", value_at(ds, uri))
        return parts


def document(content, **attributes):
    ds = made.instance(**attributes)
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation"):
        delattr(ds, keyword)
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocumentLength = len(content)
    ds.add_new(0x00420011, "OB", content + b"\0" * (len(content) % 2))
    return ds


@pytest.fixture(scope="module")
def linking(start_module):
    """A server that links even the 64 bytes of a small icon."""
    return start_module(config={"ingest": {"inline_bytes_max": 63}})


@pytest.fixture(scope="module")
def linked(linking):
    return Mixed(linking)


def got(response):
    parts = web.parts_of(response)
    found = {h["content-location"]: (h["content-type"].split(";")[0], body) for h, body in parts}
    assert len(found) == len(parts), "one part for each location"
    return found


# --- All bulk data of something --------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["*/*", web.OCTETS, 'multipart/related; type="application/octet-stream", multipart/related; type="image/jp2", multipart/related; type="video/*"'])
def test_a042_a050_bulk_data_of_a_study_is_all_that_its_metadata_links(linked, accept):
    response = web.get(linked.server, f"/studies/{linked.study}/bulkdata", accept)
    assert response.status_code == 200, response.text
    expected = linked.expected()
    if accept == "*/*":
        uri = f"{linked.server.web}{path_of(linked.document)}/bulkdata/00420011"
        expected[uri] = ("application/pdf", expected[uri][1][: linked.document.EncapsulatedDocumentLength])
    assert got(response) == expected
    linked_uris = set(bulk_uris(metadata(linked.server, f"/studies/{linked.study}")))
    compressed_uri = f"{linked.server.web}{path_of(linked.small)}/bulkdata/7FE00010"
    assert linked_uris - {compressed_uri} == {uri for uri in expected if "/frames/" not in uri}


def test_a043_pixel_data_are_not_icons_and_may_be_floats(linked):
    response = web.get(linked.server, f"/studies/{linked.study}/pixeldata", "*/*")
    assert response.status_code == 200, response.text
    assert got(response) == linked.expected(whole=False)


@pytest.mark.parametrize("what", ["bulkdata", "pixeldata"])
def test_a042_a043_series_and_instance_are_parts_of_the_study(linked, what):
    whole = got(web.get(linked.server, f"/studies/{linked.study}/{what}", web.OCTETS))
    series = {}
    for uid in (linked.series, linked.film.SeriesInstanceUID):
        part = got(web.get(linked.server, f"/studies/{linked.study}/series/{uid}/{what}", web.OCTETS))
        assert all(f"/series/{uid}/" in location for location in part)
        series |= part
    assert series == whole
    instances = {}
    for ds in (linked.plain, linked.small, linked.film, linked.floats):
        instances |= got(web.get(linked.server, f"{path_of(ds)}/{what}", web.OCTETS))
    assert instances == {k: v for k, v in whole.items() if path_of(linked.document) not in k}


def test_a044_octets_of_a_resource_are_its_bulk_data(linked):
    for path in (f"/studies/{linked.study}", f"/studies/{linked.study}/series/{linked.series}", path_of(linked.plain)):
        historic = web.get(linked.server, path, web.OCTETS)
        assert historic.status_code == 200, historic.text
        assert got(historic) == got(web.get(linked.server, path + "/bulkdata", web.OCTETS))
    named = web.get(linked.server, path_of(linked.plain), MULTI_OCTETS)
    assert got(named)[f"{linked.server.web}{path_of(linked.plain)}/bulkdata/7FE00010"][1] == linked.plain.PixelData
    preferred = web.get(linked.server, path_of(linked.plain), f"{web.AS_STORED}, {MULTI_OCTETS};q=0.5")
    assert "application/dicom" in preferred.headers["content-type"]


def test_a044_the_first_part_of_an_image_is_its_pixels(linked):
    """Viewers that ask an instance for octets look at no other part."""
    native = web.parts_of(web.get(linked.server, path_of(linked.plain), web.OCTETS))
    assert native[0][1] == linked.plain.PixelData and PLAIN in native[0][0]["content-type"]
    coded = web.parts_of(web.get(linked.server, path_of(linked.small), web.OCTETS))
    assert coded[0][1] == linked.frames[0] and J2K in coded[0][0]["content-type"]


def test_a011_a012_parts_say_what_they_are(linked):
    response = web.get(linked.server, f"/studies/{linked.study}/bulkdata", web.OCTETS)
    boundary = web.header_parameter(response.headers["content-type"], "boundary").encode()
    for headers, body in web.parts_of(response):
        assert boundary not in body
        assert int(headers["content-length"]) == len(body)
        assert headers["content-location"].startswith(linked.server.web)
        syntax = {"image/jp2": J2K, "video/mp4": MP4, "application/octet-stream": PLAIN}[headers["content-type"].split(";")[0]]
        assert headers["content-type"].endswith(f"; transfer-syntax={syntax}")


def test_what_is_not_accepted_is_refused_before_the_first_byte(linked):
    for path, accept in (
        (f"/studies/{linked.study}/bulkdata", MULTI_OCTETS), (f"/studies/{linked.study}/pixeldata", 'multipart/related; type="image/jp2"'),
        (f"/studies/{linked.study}/pixeldata", "application/octet-stream"), (f"/studies/{linked.study}/bulkdata", "image/png"),
    ):  # fmt: skip
        response = web.get(linked.server, path, accept)
        assert response.status_code == 406 and len(response.text) > 20, (path, accept)
    jp2 = web.get(linked.server, path_of(linked.small) + "/pixeldata", 'multipart/related; type="image/jp2"')
    assert [body for _, body in web.parts_of(jp2)] == linked.frames


def test_nothing_there_404(linked):
    for path in ("/studies/1.2.3/bulkdata", f"/studies/{linked.study}/series/1.2.3/pixeldata", path_of(linked.document) + "/pixeldata"):
        assert web.get(linked.server, path, "*/*").status_code == 404, path


# --- One value --------------------------------------------------------------------------------------


def test_a041_every_uri_of_metadata_gives_its_value(linked):
    for uri in bulk_uris(metadata(linked.server, f"/studies/{linked.study}")):
        if path_of(linked.small) in uri and uri.endswith("/bulkdata/7FE00010"):
            response = web.get(linked.server, uri, "*/*")
            assert [body for _, body in web.parts_of(response)] == linked.frames
            continue
        response = web.get(linked.server, uri, "application/octet-stream; transfer-syntax=*")
        expected = linked.stream if path_of(linked.film) in uri and uri.endswith("/7FE00010") else None
        if path_of(linked.small) in uri and uri.endswith("/bulkdata/00880200/0/7FE00010"):
            expected = b"".join(linked.thumb)
        if expected is None:
            ds = next(ds for ds in (linked.plain, linked.small, linked.film, linked.document, linked.floats) if path_of(ds) in uri)
            expected = value_at(ds, uri)
        assert response.status_code == 200 and response.content == expected, uri


@pytest.mark.parametrize(
    ("accept", "essence", "is_multipart"),
    [('multipart/related; type="application/pdf"', "application/pdf", True), ("multipart/related; type=application/pdf", "application/pdf", True),
     ('multipart/related; type="application/pdf", multipart/related; type="application/octet-stream"', "application/pdf", True),
     ("multipart/related", "application/pdf", True), ("application/pdf", "application/pdf", False), ("*/*", "application/pdf", False),
     ("application/octet-stream", "application/octet-stream", False), (MULTI_OCTETS, "application/octet-stream", True),
     (web.OCTETS, "application/octet-stream", True)],
)  # fmt: skip
def test_a_document_is_given_as_asked(server, accept, essence, is_multipart):
    content = b"%PDF-1.7\n" + bytes(range(256)) * 20 + b"\n%%EOF"
    assert len(content) % 2 == 1
    path = put(server, made.file(document(content)))
    response = web.get(server, path + "/bulkdata/00420011", accept)
    assert response.status_code == 200, response.text
    if is_multipart:
        ((headers, body),) = web.parts_of(response)
        assert headers["content-location"] == f"{server.web}{path}/bulkdata/00420011"
        kind = headers["content-type"]
    else:
        kind, body = response.headers["content-type"], response.content
    assert kind.split(";")[0] == essence
    # Octets are the element's value, which is padded; the document is not.
    assert body == (content if essence == "application/pdf" else content + b"\0")


@pytest.mark.parametrize("accept", ["video/mp4", "*/*", "video/*", "application/octet-stream; transfer-syntax=*", f"video/mp4; transfer-syntax={MP4}"])
def test_a050_a_video_is_one_stream(server, accept):
    _, stream, data = video()
    path = put(server, data)
    response = web.get(server, path + "/bulkdata/7FE00010", accept)
    assert response.status_code == 200 and response.headers["content-type"] == f"video/mp4; transfer-syntax={MP4}"
    assert response.content == stream and response.headers["accept-ranges"] == "bytes"
    by_query = web.get(server, path + "/bulkdata/7FE00010", "*/*", params={"accept": "video/mp4"})
    assert by_query.content == stream


def test_a050_a_video_as_the_only_part(server):
    _, stream, data = video()
    path = put(server, data)
    for tail in ("/bulkdata", "/pixeldata", "/bulkdata/7FE00010"):
        ((headers, body),) = web.parts_of(web.get(server, path + tail, 'multipart/related; type="video/mp4"'))
        assert body == stream and headers["content-location"] == f"{server.web}{path}/bulkdata/7FE00010"


def test_a045_ranges_of_a_video_go_over_its_fragments(server):
    _, stream, data = video(pieces=7)
    url = put(server, data) + "/bulkdata/7FE00010"
    size = len(stream)
    edge = size // 7 // 2 * 2
    tag = web.get(server, url, "video/mp4").headers["etag"]
    for first, last in ((0, 0), (edge - 1, edge), (edge - 5, 3 * edge + 5), (0, size - 1), (size - 1, size - 1), (6 * edge - 1, size - 1)):
        response = web.get(server, url, "video/mp4", headers={"Range": f"bytes={first}-{last}", "If-Range": tag})
        assert response.status_code == 206 and response.content == stream[first : last + 1], (first, last)
        assert response.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert response.headers["etag"] == tag
    beyond = web.get(server, url, "video/mp4", headers={"Range": f"bytes={size}-"})
    assert beyond.status_code == 416 and beyond.headers["content-range"] == f"bytes */{size}"
    stale = web.get(server, url, "video/mp4", headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert stale.status_code == 200 and stale.content == stream
    head = requests.head(server.web + url, headers={"Accept": "video/mp4"}, timeout=20)
    assert (head.status_code, head.content, int(head.headers["content-length"])) == (200, b"", size)


def test_frames_of_a_video_are_refused_with_the_way_to_go(server):
    _, _, data = video()
    path = put(server, data)
    for number in ("1", "7", "1,2"):
        response = web.get(server, f"{path}/frames/{number}", web.OCTETS)
        assert response.status_code == 406 and "bulkdata/7FE00010" in response.text


def test_a045_ranges_of_big_endian_values_count_little_endian_bytes(server):
    ds = made.instance()
    words = struct.pack(">300H", *range(300))
    # Rows of the data set, in big endian throughout.
    def element(group, number, vr, value):
        return made.element(group, number, vr, value, order=">")
    strings = [(0x0008, 0x0016, "UI", ds.SOPClassUID), (0x0008, 0x0018, "UI", ds.SOPInstanceUID), (0x0020, 0x000D, "UI", ds.StudyInstanceUID), (0x0020, 0x000E, "UI", ds.SeriesInstanceUID)]
    data = b"".join(element(g, e, vr, v.encode() + b"\0" * (len(v) % 2)) for g, e, vr, v in strings)
    for number, value in ((0x0002, 1), (0x0010, 15), (0x0011, 20), (0x0100, 16), (0x0101, 16), (0x0102, 15), (0x0103, 0)):
        data += element(0x0028, number, "US", struct.pack(">H", value))
    data += element(0x7FE0, 0x0010, "OW", words)
    path = put(server, made.wrap(data, ds.SOPClassUID, ds.SOPInstanceUID, BIG))
    expected = struct.pack("<300H", *range(300))
    for tail in ("/bulkdata/7FE00010", "/frames/1"):
        for first, last in ((0, 599), (1, 1), (3, 8), (599, 599)):
            response = web.get(server, path + tail, "application/octet-stream", headers={"Range": f"bytes={first}-{last}"})
            assert response.status_code == 206 and response.content == expected[first : last + 1]
    ((_, body),) = web.parts_of(web.get(server, path + "/bulkdata", web.OCTETS))
    assert body == expected


# --- Frames -----------------------------------------------------------------------------------------


def test_a033_frames_come_as_listed(server):
    frames = [j2k(n) for n in (3, 5, 7, 11)]
    ds = made.instance(rows=16, columns=16, frames=4)
    data = encapsulated(ds, frames, J2K)
    path = put(server, data)
    stored = stored_frames(data, 4)
    for numbers in ([1, 3, 4], [4, 3, 2, 1], [2, 2, 1]):
        parts = web.parts_of(web.get(server, path + "/frames/" + ",".join(map(str, numbers)), web.OCTETS))
        assert [body for _, body in parts] == [stored[n - 1] for n in numbers]
        assert [h["content-location"] for h, _ in parts] == [f"{server.web}{path}/frames/{n}" for n in numbers]


def test_a034_a045_one_frame_alone_has_ranges_and_a_tag(server):
    ds = made.instance(rows=16, columns=16, frames=3)
    path = put(server, made.file(ds))
    frame = ds.PixelData[512:1024]
    whole = web.get(server, path + "/frames/2", "application/octet-stream")
    assert whole.content == frame and whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-location"] == f"{server.web}{path}/frames/2"
    tag = whole.headers["etag"]
    part = web.get(server, path + "/frames/2", "application/octet-stream", headers={"Range": "bytes=100-199", "If-Range": tag})
    assert (part.status_code, part.content) == (206, frame[100:200])
    known = web.get(server, path + "/frames/2", "application/octet-stream", headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"") and known.headers["etag"] == tag
    assert web.get(server, path + "/frames/3", "application/octet-stream").headers["etag"] != tag


@pytest.mark.parametrize(
    ("syntax", "accept", "packing"),
    [(J2K, "image/jp2", "single"), (JPEG, "image/jpeg", "single"), (JPEG_LOSSLESS, 'multipart/related; type="image/jpeg"', "multipart"),
     (JLS, "image/jls", "single"), (JLS, 'multipart/related; type="image/x-jls"', "multipart"), (J2K, "multipart/related; type=image/jp2", "multipart"),
     ("1.2.840.10008.1.2.4.201", "image/jphc", "single"), ("1.2.840.10008.1.2.4.110", "image/jxl", "single"), ("1.2.840.10008.1.2.4.92", "image/jpx", "single"),
     (RLE, "image/dicom-rle", "single")],
)  # fmt: skip
def test_a036_a037_compressed_frames_by_their_names(server, syntax, accept, packing):
    frame = {RLE: struct.pack("<16I", 1, 64, *[0] * 14) + b"\x01\x00\x00\x00"}.get(syntax) or {J2K: j2k(3)}.get(syntax) or b"\xff\xd8\xff\xe0" + bytes(range(64))
    data = encapsulated(made.instance(rows=16, columns=16), [frame], syntax)
    path = put(server, data)
    for tail in ("/frames/1", "/bulkdata/7FE00010", "/pixeldata"):
        if packing == "single" and tail == "/pixeldata":
            assert web.get(server, path + tail, accept).status_code == 406, "parts only"
            continue
        response = web.get(server, path + tail, accept)
        assert response.status_code == 200, (tail, response.text)
        if packing == "single":
            kind, body = response.headers["content-type"], response.content
        else:
            ((headers, body),) = web.parts_of(response)
            kind = headers["content-type"]
        assert kind.endswith(f"; transfer-syntax={syntax}") and body == stored_frames(data, 1)[0]


def test_octets_of_a_compressed_frame_are_decoded_or_told_what_there_is(server):
    ds = made.instance(rows=16, columns=16, BitsAllocated=8, BitsStored=8, HighBit=7)
    path = put(server, encapsulated(ds, [j2k(3)], J2K))
    values = bytes((i * 3) % 251 for i in range(256))
    accepts = (MULTI_OCTETS, "application/octet-stream", f"application/octet-stream; transfer-syntax={PLAIN}")
    for accept in accepts:
        response = web.get(server, path + "/frames/1", accept)
        assert response.status_code == 200, response.text
        body = response.content if accept != MULTI_OCTETS else web.parts_of(response)[0][1]
        assert body == values
    broken = put(server, encapsulated(made.instance(rows=16, columns=16), [b"\xff\x4f\xff\x51" + bytes(60)], J2K))
    for accept in accepts:
        response = web.get(server, broken + "/frames/1", accept)
        assert response.status_code == 406 and "image/jp2" in response.text and J2K in response.text


def test_a038_extended_offset_table_cuts_the_padding_off(server):
    frames = [b"\xff\xd8\xff\xe0" + bytes([n]) * (31 + n) for n in range(3)]
    ds = made.instance(rows=16, columns=16, frames=3)
    value, ds.ExtendedOffsetTable, _ = encapsulate_extended(frames)
    # PS3.3 §C.7.6.3.1.8: the length of the frame, which does not count the padding.
    ds.ExtendedOffsetTableLengths = struct.pack("<3Q", *map(len, frames))
    pixels = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff" + value + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    path = put(server, compressed(ds, JPEG, pixels))
    parts = web.parts_of(web.get(server, path + "/frames/1,2,3", web.OCTETS))
    assert [body for _, body in parts] == frames


def test_a039_a_one_bit_frame_begins_at_a_byte_also_alone(server):
    bits = [[(n * 5 + i * i) % 3 == 0 for i in range(15)] for n in range(5)]
    packed = sum(bit << place for place, bit in enumerate(b for frame in bits for b in frame)).to_bytes(10, "little")
    ds = made.instance(rows=3, columns=5, frames=5, pixels=packed, BitsAllocated=1, BitsStored=1, HighBit=0)
    ds["PixelData"].VR = "OB"
    path = put(server, made.file(ds))
    for number, frame in enumerate(bits, 1):
        expected = sum(bit << place for place, bit in enumerate(frame)).to_bytes(2, "little")
        alone = web.get(server, f"{path}/frames/{number}", "application/octet-stream")
        assert alone.content == expected
    assert web.get(server, path + "/bulkdata/7FE00010", "application/octet-stream").content == packed, "together they stay packed"


def test_a040_a_frame_of_odd_length_has_no_padding_between_or_after(server):
    ds = made.instance(rows=3, columns=3, frames=3, pixels=bytes(range(27)) + b"\0", BitsAllocated=8, BitsStored=8, HighBit=7)
    ds["PixelData"].VR = "OB"
    path = put(server, made.file(ds))
    parts = web.parts_of(web.get(server, path + "/frames/1,2,3", MULTI_OCTETS))
    assert [body for _, body in parts] == [bytes(range(9)), bytes(range(9, 18)), bytes(range(18, 27))]


def test_frames_of_a_deflated_object_in_any_order(server):
    """24 MiB, more than is read ahead at a time."""
    count, size = 48, 512 * 512 * 2
    ds = made.instance(rows=512, columns=512, frames=count, pixels=b"".join(bytes([n]) * size for n in range(count)))
    squeeze = zlib.compressobj(wbits=-15)
    deflated = squeeze.compress(made.encode(ds)) + squeeze.flush()
    deflated += b"\0" * (len(deflated) % 2)
    path = put(server, made.wrap(deflated, ds.SOPClassUID, ds.SOPInstanceUID, DEFLATED))
    for numbers in (range(1, count + 1), range(count, 0, -1), (count, 1, count, 2, 2, 1), (7,)):
        parts = web.parts_of(web.get(server, f"{path}/frames/{','.join(map(str, numbers))}", web.OCTETS))
        assert [body for _, body in parts] == [bytes([n - 1]) * size for n in numbers]


def test_multipart_bodies_have_weak_tags(linked):
    for path in (f"/studies/{linked.study}/bulkdata", path_of(linked.small) + "/frames/1,2", path_of(linked.plain) + "/pixeldata"):
        first = web.get(linked.server, path, web.OCTETS)
        tag = first.headers["etag"]
        assert tag.startswith('W/"')
        known = web.get(linked.server, path, web.OCTETS, headers={"If-None-Match": tag})
        assert (known.status_code, known.content) == (304, b"")
        assert web.get(linked.server, path, web.OCTETS, headers={"If-None-Match": '"x"'}).status_code == 200
    one, two = (web.get(linked.server, f"{path_of(linked.small)}/frames/{n}", web.OCTETS).headers["etag"] for n in (1, 2))
    assert one != two


def test_a_tag_of_a_study_changes_with_it(server):
    study = made.uid()
    put(server, made.file(made.instance(study=study)))
    first = web.get(server, f"/studies/{study}/bulkdata", web.OCTETS)
    put(server, made.file(made.instance(study=study)))
    again = web.get(server, f"/studies/{study}/bulkdata", web.OCTETS, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 200 and len(web.parts_of(again)) == 2


# --- ZIP --------------------------------------------------------------------------------------------


def unpacked(response, folder):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def test_a_study_as_zip_is_a_medium(linked, tmp_path):
    response = web.get(linked.server, f"/studies/{linked.study}", "application/zip")
    folder = unpacked(response, tmp_path)
    stored = web.parts_of(web.get(linked.server, f"/studies/{linked.study}", web.AS_STORED))
    expected = {str(part10.split(body)[0].MediaStorageSOPInstanceUID): body for _, body in stored}
    medium = FileSet(dcmread(folder / "DICOMDIR"))
    found = {str(instance.ReferencedSOPInstanceUIDInFile): open(instance.path, "rb").read() for instance in medium}
    assert found == expected and len(found) == 5
    assert medium.find_values("StudyInstanceUID") == [linked.study]
    assert len(medium.find_values("SeriesInstanceUID")) == 2
    for instance in medium:
        assert all(len(piece) <= 8 and piece == piece.upper() for piece in instance.ReferencedFileID)
    dumped = subprocess.run(["dcmdump", "+P", "0004,1500", str(folder / "DICOMDIR")], capture_output=True, text=True, check=True)
    assert dumped.stdout.count("DICOM\\PT000001\\ST000001") == 5


def test_series_and_instance_as_zip_by_header_or_query(linked, tmp_path):
    series = f"/studies/{linked.study}/series/{linked.series}"
    folder = unpacked(web.get(linked.server, series, "application/zip;q=0.9, application/dicom;q=0"), tmp_path / "series")
    assert {str(i.SOPInstanceUID) for i in FileSet(dcmread(folder / "DICOMDIR"))} == {linked.plain.SOPInstanceUID, linked.small.SOPInstanceUID}
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
    one = web.get(linked.server, path_of(linked.plain), browser, params={"accept": "application/zip"})
    folder = unpacked(one, tmp_path / "one")
    assert [str(i.SOPInstanceUID) for i in FileSet(dcmread(folder / "DICOMDIR"))] == [linked.plain.SOPInstanceUID]
    assert web.get(linked.server, "/studies/1.2.3", "application/zip").status_code == 404
    assert "application/dicom" in web.get(linked.server, series, "*/*;q=0.1, " + web.AS_STORED).headers["content-type"]


def test_a_zip_can_be_unpacked_by_unzip_while_it_is_a_stream(linked, tmp_path):
    response = web.get(linked.server, f"/studies/{linked.study}", "application/zip")
    (tmp_path / "study.zip").write_bytes(response.content)
    subprocess.run(["unzip", "-q", "study.zip", "-d", "out"], cwd=tmp_path, check=True)
    files = [p for p in (tmp_path / "out" / "DICOM").rglob("*") if p.is_file()]
    assert len(files) == 5
    for file in files:
        subprocess.run(["dcmdump", "-q", "+L", str(file)], check=True, capture_output=True)
    # A reader that goes from front to back finds every file too.
    names, data, at = [], response.content, 0
    while data[at : at + 4] == b"PK\x03\x04":
        length, extra = struct.unpack_from("<HH", data, at + 26)
        names.append(data[at + 30 : at + 30 + length].decode())
        inflate = zlib.decompressobj(wbits=-15)
        inflate.decompress(data[at + 30 + length + extra :])
        assert inflate.eof
        at = len(data) - len(inflate.unused_data)
        assert data[at : at + 4] == b"PK\x07\x08", "sizes stand behind"
        at += 16
    assert sorted(names) == sorted(["DICOMDIR", *(str(p.relative_to(tmp_path / "out")) for p in files)])


def test_large_values_are_never_held_whole(start):
    """96 MiB by every way out; what the server holds for it is a few pieces."""
    server = start()
    size = 96 << 20
    ds = made.instance(rows=8192, columns=6144, pixels=os.urandom(size))
    assert len(ds.PixelData) == 8192 * 6144 * 2 == size
    path = put(server, made.file(ds))
    before = server.memory_peak_bytes()
    for tail, accept in (
        ("/bulkdata", web.OCTETS), ("/pixeldata", web.OCTETS), ("/frames/1", web.OCTETS), ("/frames/1", "application/octet-stream"),
        ("/bulkdata/7FE00010", "application/octet-stream"), ("", web.OCTETS), ("", "application/zip"),
    ):  # fmt: skip
        with requests.get(server.web + path + tail, headers={"Accept": accept}, stream=True, timeout=120) as response:
            assert response.status_code == 200, (tail, accept)
            assert sum(map(len, response.iter_content(1 << 20))) >= size, (tail, accept)
    assert server.memory_peak_bytes() - before < 24 << 20


# --- Real objects -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(start_module):
    """The files of pydicom in one archive, each instance once."""
    server = start_module(config={"ingest": {"patient_conflict": "accept"}})
    cases = corpus.layers()[0]
    for case in cases:
        assert web.stow(server, [case.data]).status_code == 200, case.name
    return server, cases


def test_a042_bulk_data_of_real_objects_are_the_values_of_their_uris(real):
    server, cases = real
    seen = 0
    for case in cases:
        path = web.instance_path(*case.uids)
        uris = sorted(set(bulk_uris(metadata(server, path))))
        answer = web.get(server, path + "/bulkdata", web.OCTETS)
        if not uris:
            assert answer.status_code == 404, case.name
            continue
        found, expected = got(answer), {}
        for uri in uris:
            one = web.get(server, uri, web.OCTETS)
            expected |= got(one)
        assert found == expected, case.name
        frames = [body for location, (_, body) in found.items() if "/frames/" in location]
        if frames:
            count = int(case.dataset.get("NumberOfFrames") or 1)
            assert len(frames) == count
            assert b"".join(frames) == b"".join(generate_frames(case.dataset.PixelData, number_of_frames=count)), case.name
        seen += len(found)
    assert seen > 100


def test_a_real_study_as_zip_is_a_medium(real, tmp_path):
    server, cases = real
    studies = {}
    for case in cases:
        studies.setdefault(case.uids[0], []).append(case)
    assert max(map(len, studies.values())) > 3
    for number, (study, members) in enumerate(studies.items()):
        folder = unpacked(web.get(server, f"/studies/{study}", "application/zip"), tmp_path / str(number))
        with warnings.catch_warnings():
            # Odd values of odd files, which are theirs.
            warnings.simplefilter("ignore")
            medium = FileSet(dcmread(folder / "DICOMDIR"))
        found = {str(instance.ReferencedSOPInstanceUIDInFile): part10.data_set(open(instance.path, "rb").read()) for instance in medium}
        assert found == {case.uids[2]: case.body for case in members}, study
