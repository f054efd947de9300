"""Objects as metadata and bulk data (PS3.18 §8.6.1.2.2): requests made by pydicom, DCMTK and Pillow."""

import io
import json
import os
import re
import struct
import subprocess
import tempfile
import zlib

import numpy as np
import requests
from PIL import Image
from pydicom import dcmread

from . import made, web

JSON_PART, XML_PART, OCTET_PART = "application/dicom+json", "application/dicom+xml", "application/octet-stream"
PIXEL_KEYWORDS = [
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
]  # fmt: skip
BULK = {"PixelData": ("7FE00010", "OW"), "EncapsulatedDocument": ("00420011", "OB"), "ICCProfile": ("00282000", "OB")}


def body_of(parts, boundary="overread-bulk"):
    """Parts as (Content-Type, Content-Location or None, bytes)."""
    pieces = []
    for media, location, content in parts:
        head = f"--{boundary}\r\nContent-Type: {media}\r\n"
        head += f"Content-Location: {location}\r\n" if location is not None else ""
        pieces += [head.encode(), b"\r\n", content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def post(server, parts, study=None, boundary="overread-bulk"):
    """Stores; the kind of the request is that of its first metadata."""
    kind = next((media for media, *_ in parts if media in (JSON_PART, XML_PART)), JSON_PART)
    url = f"{server.web}/studies" + (f"/{study}" if study else "")
    content_type = f'multipart/related; type="{kind}"; boundary={boundary}'
    return requests.post(url, data=body_of(parts), headers={"Content-Type": content_type, "Accept": web.JSON}, timeout=120)


def metadata_of(ds, **bulk):
    """DICOM JSON of pydicom in which elements (by keyword) are bulk data at the given locations."""
    metadata = ds.to_json_dict()
    if metadata.get("7FE00010", {}).get("vr") == "OB or OW":
        metadata["7FE00010"]["vr"] = "OW"
    for keyword, location in bulk.items():
        tag, vr = BULK[keyword]
        metadata[tag] = {"vr": vr, "BulkDataURI": location}
    return metadata


def in_json(*datasets):
    """The part of metadata, of data sets in DICOM JSON."""
    return (JSON_PART, None, json.dumps(datasets).encode())


def in_xml(ds, **bulk):
    """The part of metadata of one data set, in the Native DICOM Model as DCMTK's dcm2xml writes it;
    elements (by keyword) are bulk data at the given locations."""
    with tempfile.NamedTemporaryFile(suffix=".dcm", delete=False) as file:
        file.write(made.file(ds))
    try:
        command = ["dcm2xml", "--native-format", "--use-xml-namespace", file.name]
        model = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    finally:
        os.unlink(file.name)
    for keyword, location in bulk.items():
        tag, vr = BULK[keyword]
        attribute = f'<DicomAttribute tag="{tag}" vr="{vr}" keyword="{keyword}"><BulkData uri="{location}"/></DicomAttribute>'
        model = re.sub(rf'<DicomAttribute tag="{tag}".*?</DicomAttribute>', "", model, flags=re.DOTALL)
        model = model.replace("</NativeDicomModel>", attribute + "</NativeDicomModel>")
    return (XML_PART, None, model.encode())


def without_pixels(**attributes):
    """An instance without pixels and without anything that describes them."""
    nothing = dict.fromkeys([*PIXEL_KEYWORDS, "PixelData"])
    return made.instance(SOPClassUID=made.SECONDARY_CAPTURE, **(nothing | attributes))


def path_of(ds):
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def stored(server, ds):
    """The object as it lies in the archive, read by pydicom."""
    return dcmread(io.BytesIO(web.file_of(web.get(server, path_of(ds), web.AS_STORED))))


def is_absent(server, ds):
    is_unknown = web.get(server, path_of(ds), web.AS_STORED).status_code == 404
    return is_unknown and web.qido(server, "/instances", {"SOPInstanceUID": str(ds.SOPInstanceUID)}) == []


def noise(*shape, seed=1, high=256, dtype=np.uint8):
    """Nothing that a codec could guess."""
    return np.random.default_rng(seed).integers(0, high, shape, dtype=dtype)


def encoded(image, form, **options):
    """An image file that Pillow writes."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def png(samples, color, depth, passes=None, *, size=None, data=None, before=()):
    """A PNG file (RFC 2083) of kinds that Pillow does not write: `samples` by row, pixel and channel;
    `passes` are the (first row, first column, row step, column step) of an interlaced one. `size`
    and `data` are what it claims and holds instead, `before` other chunks before the pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    lines = b""
    for top, left, down, right in passes or [(0, 0, 1, 1)]:
        part = samples[top::down, left::right]
        if part.size:
            part = part.astype(">u2" if depth == 16 else np.uint8)
            lines += b"".join(b"\0" + row.tobytes() for row in part)
    rows, columns = size or samples.shape[:2]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, depth, color, 0, 0, int(passes is not None)))
    pixels = chunk(b"IDAT", data if data is not None else zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*pair) for pair in before) + pixels + chunk(b"IEND", b"")


def picture(mode, size=(37, 21), seed=1):
    """Noise as a picture of Pillow's."""
    channels = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}[mode]
    return Image.fromarray(noise(size[1], size[0], *channels, seed=seed))
