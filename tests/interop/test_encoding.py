"""Images encoded on the way out, without loss (PS3.18 §8.7.3.4; conformance.md §8, 26–29): as JPEG-LS, JPEG 2000 and
RLE by name. DCMTK, CharLS and OpenJPEG must decode the very bytes, and so must we when the object comes back."""

import copy
import struct
import zlib

import numpy
import pytest
from pydicom.encaps import generate_fragments
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.pixels import apply_color_lut

from harness import corpus, made, pixels, web
from harness.pixels import BIG, DEFLATED, EXPLICIT, IMPLICIT, J2K, JPEG_LS, RLE, put

ENCODED = {JPEG_LS: "image/jls", J2K: "image/jp2", RLE: "image/dicom-rle"}
# Shapes of pixels that a codec does not take.
REFUSED = {JPEG_LS: (1, 32, 64), J2K: (1, 32, 64), RLE: (1, 64)}


@pytest.fixture(scope="module")
def replacing(start_module):
    return start_module(config={"ingest": {"duplicate": "replace", "patient_conflict": "accept"}})


def planar_of(ds):
    """Pixel data plane by plane made by pixel, frame by frame."""
    data, frames = pixels.native_bytes(ds), int(ds.get("NumberOfFrames") or 1)
    if ds.SamplesPerPixel == 1 or not ds.get("PlanarConfiguration"):
        return data
    array = pixels.cells(data, ds).reshape(frames, 3, -1)
    return numpy.ascontiguousarray(array.transpose(0, 2, 1)).tobytes()


def frame_of(data, syntax, number, count):
    return list(pixels.generate_frames(pixels.read(data).PixelData, number_of_frames=count))[number - 1]


def check(server, native, given, folder):
    """An encoded file against the native data set (Explicit VR Little Endian) it was made of."""
    syntax, ds = pixels.syntax_of(given), pixels.read(given)
    expected = planar_of(native)
    assert pixels.differences(native, ds) == []
    colors = native.PhotometricInterpretation
    assert ds.PhotometricInterpretation == ("YBR_RCT" if (syntax, colors) == (J2K, "RGB") else colors)
    planar = native.get("PlanarConfiguration") if ds.SamplesPerPixel == 1 else int(syntax == RLE)
    assert ds.get("PlanarConfiguration") == planar
    assert ds["PixelData"].VR == "OB" and ds["PixelData"].is_undefined_length
    frames = int(ds.get("NumberOfFrames") or 1)
    assert len(list(generate_fragments(ds.PixelData))) == 1 + frames, "an empty table, a fragment a frame"
    theirs = pixels.by_pydicom(given)
    ours = pixels.cells(expected, ds)
    if syntax == RLE and ds.BitsStored < ds.BitsAllocated:
        # Of RLE pydicom gives the samples only: bits above them are DCMTK's to judge.
        unused = ds.BitsAllocated - ds.BitsStored
        ours, theirs = ours << unused >> unused, theirs << unused >> unused
    assert theirs.dtype == ours.dtype and theirs.tobytes() == ours.tobytes(), "not what pydicom decodes"
    if syntax in pixels.DCMTK:
        assert planar_of(pixels.by_dcmtk(given, folder)) == expected, "not what DCMTK decodes"


UNJUDGED = {"test_files/badVR.dcm": "a Number of Frames of 1A"}
# Larger ones cost seconds in a debug build and are of the same shapes.
BYTES_MAX = 140_000


def native_cases():
    """Uncompressed images of the corpus, one of each shape and syntax."""
    seen = set()
    for case in corpus.storable():
        if case.transfer_syntax not in pixels.NATIVE:
            continue
        ds = case.dataset
        if "PixelData" not in ds or "Rows" not in ds or len(ds.PixelData) > BYTES_MAX or case.name in UNJUDGED:
            continue
        keywords = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation", "NumberOfFrames")
        key = (case.transfer_syntax, *(str(ds.get(keyword)) for keyword in (*keywords, "PlanarConfiguration", "Rows")))
        if key not in seen:
            seen.add(key)
            yield case


def decoded(ds, uid):
    """The same as it is once it has been decoded, by another name."""
    ds = copy.deepcopy(ds)
    ds.SOPInstanceUID = uid
    if ds.SamplesPerPixel == 3:
        ds.PixelData, ds.PlanarConfiguration = planar_of(ds), 0
    return ds


def is_encoded(ds, syntax):
    """Whether there is such an encoding of it."""
    if ds.PhotometricInterpretation == "YBR_FULL_422" or ds.BitsAllocated in REFUSED[syntax]:
        return False
    return pixels.native_bytes(ds) and len(pixels.native_bytes(ds)) == expected_length(ds)


def expected_length(ds):
    return int(ds.get("NumberOfFrames") or 1) * ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated // 8


@pytest.mark.parametrize("case", list(native_cases()), ids=lambda case: case.name)
def test_a026_every_native_image_of_the_corpus_there_and_back(replacing, tmp_path, case):
    path = put(replacing, case.data)
    native_file = pixels.ask(replacing, path, EXPLICIT)
    native = pixels.read(native_file)
    for syntax, media_type in ENCODED.items():
        if not is_encoded(native, syntax):
            response = web.get(replacing, path, pixels.named(syntax))
            assert response.status_code == 406 and "transfer-syntax=*" in response.text
            continue
        given = pixels.ask(replacing, path, syntax)
        check(replacing, native, given, tmp_path)
        # Its frames by their media type are the same codestreams.
        count = int(native.get("NumberOfFrames") or 1)
        [(head, body)] = web.parts_of(web.get(replacing, f"{path}/frames/{count}", f'multipart/related; type="{media_type}"'))
        assert head["content-type"] == f"{media_type}; transfer-syntax={syntax}"
        assert frame_of(given, syntax, count, count) in (body, body + b"\0")
        # There and back through our own decoder.
        assert put(replacing, given) == path
        back = pixels.read(pixels.ask(replacing, path, EXPLICIT))
        assert pixels.native_bytes(back) == planar_of(native)
        assert pixels.differences(native, back) == []
        assert back.PhotometricInterpretation == native.PhotometricInterpretation
        put(replacing, case.data)


# --- Every shape -----------------------------------------------------------------------------------


def noise(shape, low, high, kind):
    """Not smooth, known, reaching both ends."""
    values = numpy.arange(numpy.prod(shape), dtype="u8") * 2654435761 >> 7
    values = (values % numpy.uint64(high - low + 1)).astype("i8") + low
    values[:2] = low, high
    return values.astype(kind).reshape(shape)


def samples_of(allocated, stored, is_signed, shape):
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if is_signed else (0, (1 << stored) - 1)
    return noise(shape, low, high, f"<{'i' if is_signed else 'u'}{allocated // 8}")


DEPTHS = [(8, 1, 0), (8, 5, 1), (8, 7, 0), (8, 8, 0), (8, 8, 1)]
DEPTHS += [(16, bits, signed) for bits, signed in ((3, 1), (8, 0), (8, 1), (9, 1), (12, 0), (12, 1), (15, 0), (16, 0), (16, 1))]


@pytest.mark.parametrize(("allocated", "stored", "signed"), DEPTHS)
def test_a026_every_depth_signed_or_not(server, tmp_path, allocated, stored, signed):
    values = samples_of(allocated, stored, signed, (2, 13, 17))
    ds = pixels.image(13, 17, 1, allocated, stored, pixels=padded(values), frames=2, PixelRepresentation=signed)
    there_and_back(server, ds, made.file(ds), tmp_path, values.tobytes())


def padded(values):
    data = values.tobytes()
    return data + b"\0" * (len(data) % 2)


def there_and_back(server, ds, data, folder, expected, syntaxes=tuple(ENCODED)):
    """`data` and what is made of it, and of that: `expected` are the native bytes by pixel."""
    native = pixels.read(made.file(ds))
    path = put(server, data)
    for syntax in syntaxes:
        given = pixels.ask(server, path, syntax)
        assert planar_of(native) == expected
        check(server, native, given, folder)
        again = pixels.read(given)
        again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = made.uid()
        stream = DicomBytesIO()
        again.save_as(stream)
        other = put(server, stream.getvalue())
        back = pixels.read(pixels.ask(server, other, EXPLICIT))
        assert pixels.native_bytes(back) == expected and back.PhotometricInterpretation == native.PhotometricInterpretation
        # From one codec to every other.
        for further in ENCODED:
            if further != syntax:
                check(server, decoded(native, again.SOPInstanceUID), pixels.ask(server, other, further), folder)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize(("photometric", "allocated"), [("RGB", 8), ("RGB", 16), ("YBR_FULL", 8)])
def test_a026_colors_by_pixel_and_by_plane(server, tmp_path, photometric, allocated, planar):
    values = samples_of(allocated, allocated, 0, (2, 11, 9, 3))
    stored = values.transpose(0, 3, 1, 2) if planar else values
    ds = pixels.image(11, 9, 3, allocated, photometric=photometric, pixels=padded(numpy.ascontiguousarray(stored)), frames=2,
                      PlanarConfiguration=planar)  # fmt: skip
    there_and_back(server, ds, made.file(ds), tmp_path, values.tobytes())


def test_a026_a_palette_stays_one(server, tmp_path):
    values = samples_of(8, 8, 0, (12, 14))
    ds = pixels.image(12, 14, photometric="PALETTE COLOR", pixels=values.tobytes())
    for color, step in (("Red", 1), ("Green", 3), ("Blue", 7)):
        setattr(ds, f"{color}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(ds, f"{color}PaletteColorLookupTableData", (numpy.arange(256) * step * 256 % 65536).astype("<u2").tobytes())
    colors = apply_color_lut(values, pixels.read(made.file(ds)))
    there_and_back(server, ds, made.file(ds), tmp_path, values.tobytes())
    given = pixels.read(pixels.ask(server, pixels.path_of(ds), JPEG_LS))
    assert (apply_color_lut(given.pixel_array, given) == colors).all()


def big_endian(ds):
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, False
    ds = pixels.read(made.file(ds))
    ds.PixelData = numpy.frombuffer(ds.PixelData, "<u2").byteswap().tobytes()
    write_dataset(stream, ds)
    return made.wrap(stream.getvalue(), str(ds.SOPClassUID), str(ds.SOPInstanceUID), BIG)


def deflated(ds):
    squeeze = zlib.compressobj(wbits=-15)
    body = squeeze.compress(made.encode(ds)) + squeeze.flush()
    return made.wrap(body + b"\0" * (len(body) % 2), str(ds.SOPClassUID), str(ds.SOPInstanceUID), DEFLATED)


DRESSES = {IMPLICIT: lambda ds: made.file(ds, IMPLICIT), BIG: big_endian, DEFLATED: deflated}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("allocated", [8, 16])
def test_a026_from_every_uncompressed_encoding(server, tmp_path, dress, allocated):
    values = samples_of(allocated, allocated, 0, (3, 9, 5) if allocated == 16 else (3, 5, 5))
    ds = pixels.image(values.shape[1], 5, 1, allocated, pixels=padded(values), frames=3)
    ds["PixelData"].VR = "OW"
    there_and_back(server, ds, DRESSES[dress](ds), tmp_path, values.tobytes())


@pytest.mark.parametrize("signed", [0, 1])
def test_a026_what_stands_above_the_samples_is_kept(server, tmp_path, signed):
    """Overlays in bits 12 to 15 (retired, PS3.5 §8.1.2), a High Bit that is not Bits Stored - 1."""
    values = samples_of(16, 12, signed, (16, 20)).view("<u2")
    overlay = (values & 0x0FFF) | (numpy.arange(320, dtype="<u2").reshape(16, 20) % 16 << 12)
    shifted = (values & 0x0FFF) << 4
    for cells, high_bit in ((overlay, 11), (shifted, 15)):
        ds = pixels.image(16, 20, 1, 16, 12, pixels=cells.astype("<u2").tobytes(), PixelRepresentation=signed)
        ds.HighBit = high_bit
        there_and_back(server, ds, made.file(ds), tmp_path, cells.astype("<u2").tobytes())


def test_a028_lossy_pixels_encoded_anew_stay_marked_lossy(server, tmp_path):
    case = corpus.by_name("test_files/JPGExtended.dcm")
    path = put(server, case.data)
    native = pixels.read(pixels.ask(server, path, EXPLICIT))
    for syntax in ENCODED:
        given = pixels.ask(server, path, syntax)
        check(server, native, given, tmp_path)
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            assert pixels.read(given).get(keyword) == case.dataset.get(keyword)


def test_a029_what_a_codec_does_not_hold_is_406(server):
    bits = pixels.image(8, 8, 1, 1, pixels=bytes(8))
    doubles = made.instance(rows=4, columns=4, PixelData=None, BitsAllocated=64, BitsStored=None, HighBit=None, PixelRepresentation=None)
    doubles.DoubleFloatPixelData = struct.pack("<16d", *range(16))
    wide = pixels.image(4, 4, 1, 32)
    half = pixels.image(4, 4, 3, photometric="YBR_FULL_422", pixels=bytes(32))
    short = pixels.image(4, 4, 1, 16, pixels=bytes(10))
    for ds, syntaxes in ((bits, ENCODED), (doubles, ENCODED), (wide, (JPEG_LS, J2K)), (half, ENCODED), (short, ENCODED)):
        path = put(server, made.file(ds))
        for syntax in syntaxes:
            response = web.get(server, path, pixels.named(syntax))
            assert response.status_code == 406 and "transfer-syntax=*" in response.text
            response = web.get(server, path + "/frames/1", ENCODED[syntax])
            assert response.status_code in (404, 406), (response.status_code, response.text)
        assert web.get(server, path, web.DICOM).status_code == 200, "all else goes on"


def test_no_frame_is_a_frame_of_its_codec_alone(server):
    """A list of frames, in the order that was asked for, each in its own part."""
    values = samples_of(16, 12, 0, (5, 8, 8))
    ds = pixels.image(8, 8, 1, 16, 12, pixels=values.tobytes(), frames=5)
    path = put(server, made.file(ds))
    for syntax, media_type in ENCODED.items():
        parts = web.parts_of(web.get(server, path + "/frames/5,1,3", f'multipart/related; type="{media_type}"'))
        for number, (head, body) in zip((5, 1, 3), parts, strict=True):
            one = pixels.compressed(pixels.image(8, 8, 1, 16, 12), [body], syntax)
            assert (pixels.by_pydicom(one) == values[number - 1]).all()
            assert head["content-type"] == f"{media_type}; transfer-syntax={syntax}"
            alone = web.get(server, f"{path}/frames/{number}", media_type)
            assert (alone.content, alone.headers["content-type"]) == (body, head["content-type"])
