"""Where the targets begin: fuzz/seeds/TARGET, made of the byte fixtures of the Rust tests, of small real
files that come with pydicom, and of frames that other encoders have written. Nothing of it is committed.

An input of a decoder begins with what the data set says: rows, columns (16 bits each, little endian),
samples, bits allocated."""

import hashlib
import io
import re
import shutil
import struct
import sys
import warnings
import zlib
from pathlib import Path

import jpeg_ls
import numpy as np
from openjpeg.utils import encode_array
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests/interop"))

from harness import codestreams, corpus  # noqa: E402

CODEC = HERE.parent / "src/imaging/codec"
TARGETS = {
    "1.2.840.10008.1.2.5": "decode_rle",
    "1.2.840.10008.1.2.8.1": "decode_deflate",
    **{f"1.2.840.10008.1.2.4.{n}": "decode_jpeg" for n in (50, 51, 57, 70)},
    **{f"1.2.840.10008.1.2.4.{n}": "decode_jpeg_ls" for n in (80, 81)},
    **{f"1.2.840.10008.1.2.4.{n}": "decode_jpeg2000" for n in (90, 91)},
}
BYTES_MAX = 12 * 1024
SAMPLES_MAX = 40_000


def write(target, data):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def seed(target, rows, columns, samples, bits, codestream):
    data = struct.pack("<HHBB", rows, columns, samples, bits) + codestream
    write(target, data)
    write("codestream", data)


def of_codestream(codestream, bits=None):
    """A codestream whose headers tell its size: JPEG, JPEG-LS, JPEG 2000."""
    if codestream[:2] == b"\xff\x4f":
        right, bottom, left, top = struct.unpack(">4I", codestream[8:24])
        samples = codestream[41]
        target = "decode_htj2k" if b"\xff\x50" in codestream[:120] else "decode_jpeg2000"
        seed(target, bottom - top, right - left, samples, bits or 16, codestream)
        return
    for at in re.finditer(rb"\xff[\xc0-\xc3\xf7]\x00.", codestream, re.DOTALL):
        depth, rows, columns, samples = struct.unpack(">BHHB", codestream[at.start() + 4 :][:6])
        target = "decode_jpeg_ls" if at.group()[1] == 0xF7 else "decode_jpeg"
        seed(target, rows, columns, samples, bits or (8 if depth <= 8 else 16), codestream)
        return


def fixtures():
    """Arrays of bytes in the Rust tests, and the JPEG ones, which are in hexadecimal by segment."""
    for path in CODEC.rglob("*.rs"):
        for array in re.findall(r"&\[((?:\s*0x[0-9A-Fa-f]{2},?)+)\s*\]", path.read_text()):
            data = bytes(int(one, 16) for one in re.findall(r"0x(..)", array))
            if data[:2] == b"\xff\x0a" or data[4:8] == b"JXL ":
                for samples, bits in ((1, 16), (3, 8)):
                    seed("decode_jpeg_xl", 5, 7, samples, bits, data)
            elif data[:1] == b"\xff":
                of_codestream(data)
    for array in (CODEC / "jpeg/fixtures.rs").read_text().split("&[Segment] = &[")[1:]:
        parts = re.findall(r'"((?:[0-9a-f]{2}|\\\n\s*)+)"', array.split("\n];")[0])
        of_codestream(bytes.fromhex(re.sub(r"\\\n\s*", "", "".join(parts))))


def real():
    for root in corpus.ROOTS.values():
        for path in sorted(root.rglob("*")):
            if not path.is_file() or path.stat().st_size > 1 << 20:
                continue
            data = path.read_bytes()
            if len(data) <= BYTES_MAX and path.suffix == ".dcm":
                write("part10", b"\x3f" + data)
            try:
                dataset = dcmread(io.BytesIO(data))
                syntax = dataset.file_meta.TransferSyntaxUID
                if len(data) <= BYTES_MAX:
                    head = 144 + dataset.file_meta.FileMetaInformationGroupLength
                    for choice in range(2):
                        write("header", bytes([choice, 255]) + data[head:])
                        write("walk", bytes([choice, 255]) + data[head:])
                if syntax not in TARGETS:
                    continue
                frame = next(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1))))
            except Exception:  # noqa: BLE001  not for these seeds
                continue
            count = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
            if len(frame) <= BYTES_MAX and count <= SAMPLES_MAX:
                seed(TARGETS[syntax], dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.BitsAllocated, frame)


def pictures():
    y, x = np.mgrid[0:33, 0:41]
    noise = np.random.default_rng(7).integers(0, 9, (33, 41))
    yield (x * 150 + y * 40 + noise).astype(np.uint16)
    yield (x * 4 + y * 2 + noise).astype(np.uint8)
    yield np.stack([x * 6, y * 7, (x + y) * 3 + noise], -1).astype(np.uint8)
    yield np.full((33, 41), 77, np.uint8)


def others():
    for picture in pictures():
        rows, columns, samples = (*picture.shape, 1)[:3]
        bits = picture.itemsize * 8
        for near in (0, 2):
            for interleave in (0, 1, 2) if samples == 3 else (0,):
                pixels = picture.transpose(2, 0, 1) if samples == 3 and interleave == 0 else picture
                of_codestream(bytes(jpeg_ls.encode_array(np.ascontiguousarray(pixels), lossy_error=near, interleave_mode=interleave)))
        for more in ({}, {"compression_ratios": [4, 2, 1]}, {"signal_noise_ratios": [30, 40]}):
            of_codestream(encode_array(picture, photometric_interpretation=1 if samples == 3 else 2, use_mct=samples == 3, **more), bits)
        raw = picture.tobytes()
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        seed("decode_deflate", rows, columns, samples, bits, deflater.compress(raw) + deflater.flush())
        write("encode", struct.pack("<BBHHBB", 3, bits - 1, rows, columns, 2 if samples == 3 else 1, bits // 8) + raw)
        write("encode", struct.pack("<BBHHBB", 7, 11, rows, columns, 1, 2) + raw)
        if bits == 8:
            for more in ({"progressive": True}, {"quality": 95, "subsampling": 0}, {"restart_marker_blocks": 2}):
                file = io.BytesIO()
                Image.fromarray(picture).save(file, "JPEG", **more)
                of_codestream(file.getvalue())
    for name, codestream in vars(codestreams).items():
        if not isinstance(codestream, bytes):
            continue
        if name.startswith("JXL"):
            color = "GRAY" not in name
            seed("decode_jpeg_xl", 16, 24, 3 if color else 1, 8 if color else 16, codestream)
        elif name.startswith("HTJ2K"):
            of_codestream(codestream)


warnings.simplefilter("ignore")
shutil.rmtree(HERE / "seeds", ignore_errors=True)
for target in (HERE / "fuzz_targets").glob("*.rs"):
    (HERE / "seeds" / target.stem).mkdir(parents=True, exist_ok=True)
fixtures()
real()
others()
