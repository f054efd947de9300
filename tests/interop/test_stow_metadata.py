"""STOW-RS of metadata and bulk data (PS3.18 §8.6.1.2.2, §10.5.2): what is made of them is what
pydicom, Pillow and DCMTK say it must be (conformance.md §8, 140–148)."""

import io
import json
import struct
import subprocess

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames, parse_basic_offsets
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from harness import made, web

JSON_PART, XML_PART, OCTET_PART = "application/dicom+json", "application/dicom+xml", "application/octet-stream"


def body_of(parts, boundary="overread-bulk"):
    """Parts as (Content-Type, Content-Location or None, bytes)."""
    body = b""
    for media, location, content in parts:
        body += f"--{boundary}\r\nContent-Type: {media}\r\n".encode()
        body += f"Content-Location: {location}\r\n".encode() if location is not None else b""
        body += b"\r\n" + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def post(server, parts, kind=JSON_PART, study=None, **headers):
    url = f"{server.web}/studies" + (f"/{study}" if study else "")
    content_type = f'multipart/related; type="{kind}"; boundary=overread-bulk'
    return requests.post(url, data=body_of(parts), headers={"Content-Type": content_type, "Accept": web.JSON} | headers, timeout=120)


def split(ds, *keywords, prefix="bulk/"):
    """(DICOM JSON of pydicom, {location: bytes}): the elements of these keywords are bulk data."""
    tags = {ds[keyword].tag: f"{prefix}{ds.SOPInstanceUID}/{keyword}" for keyword in keywords}
    bulk = {}

    def handler(element):
        location = tags.get(element.tag) or f"{prefix}{ds.SOPInstanceUID}/{element.tag:08x}-{len(bulk)}"
        bulk[location] = element.value
        return location

    metadata = ds.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=handler)
    return metadata, bulk


def metadata_of(ds, **bulk):
    """DICOM JSON of pydicom in which elements (by keyword) are bulk data at the given locations."""
    metadata = ds.to_json_dict()
    for keyword, location in bulk.items():
        tag, vr = made_tag(keyword)
        metadata[tag] = {"vr": vr, "BulkDataURI": location}
    return metadata


def made_tag(keyword):
    return {"PixelData": ("7FE00010", "OW"), "EncapsulatedDocument": ("00420011", "OB")}[keyword]


def described(**attributes):
    """An instance without pixels and without anything that describes them."""
    nothing = dict.fromkeys(
        ["Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
         "PixelRepresentation", "PixelData"])  # fmt: skip
    return made.instance(SOPClassUID=made.SECONDARY_CAPTURE, **(nothing | attributes))


def text(*datasets):
    return (JSON_PART, None, json.dumps(datasets).encode())


def stored(server, ds):
    """The object as it lies in the archive, read by pydicom."""
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    return dcmread(io.BytesIO(web.file_of(web.get(server, path, web.AS_STORED))))


def is_absent(server, ds):
    return web.qido(server, "/instances", {"SOPInstanceUID": str(ds.SOPInstanceUID)}) == []


def picture(mode, size=(37, 21), seed=1):
    """Noise: nothing that a codec could guess."""
    random = np.random.default_rng(seed)
    depth = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}[mode]
    return Image.fromarray(random.integers(0, 256, (size[1], size[0], *depth), dtype=np.uint8))


def encoded(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def test_a140_json_with_native_pixels_comes_back_equal(server):
    ds = made.instance(rows=64, columns=48, PatientName="Müller^Jürgen=山田^太郎")
    metadata = metadata_of(ds, PixelData="bulk/1")
    response = post(server, [text(metadata), (OCTET_PART, "bulk/1", ds.PixelData)])
    assert response.status_code == 200, (response.text, response.headers)
    back = stored(server, ds)
    assert back.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert back.PixelData == ds.PixelData and back["PixelData"].VR == "OW"
    assert back.PatientName == ds.PatientName
    for element in ds:
        if element.keyword not in ("PixelData", "SpecificCharacterSet"):
            assert back[element.tag] == element, element.keyword


def test_a142_jp2_parts_become_frames_with_an_offset_table(server):
    frames = [encoded(picture("L", seed=n), "JPEG2000", irreversible=False) for n in range(5)]
    ds = described(NumberOfFrames=5)
    metadata = metadata_of(ds, PixelData="bulk/1")
    parts = [text(metadata)] + [("image/jp2", f"bulk/1/frames/{n}", frame) for n, frame in enumerate(frames, 1)]
    response = post(server, parts)
    assert response.status_code == 200, (response.text, response.headers)
    back = stored(server, ds)
    assert back.file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert len(parse_basic_offsets(back.PixelData)) == 5
    expected = np.stack([np.asarray(picture("L", seed=n)) for n in range(5)])
    assert np.array_equal(back.pixel_array, expected)
