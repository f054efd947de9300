"""STOW-RS of pixels in the media types of PS3.18 Tables 8.7.3-5 and 10.5.2-1: what codestreams and
pictures say of themselves is what pydicom, Pillow and the files' makers say (conformance.md §8, 141, 143)."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import generate_frames

from harness import codestreams, corpus, made, web
from harness.described import (
    PIXEL_KEYWORDS, encoded, in_json, in_xml, is_absent, metadata_of, noise, path_of, picture, png, post, stored, without_pixels,
)  # fmt: skip

UID = "1.2.840.10008.1.2.4."
LOSS = ["LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"]


def padded(frame):
    return frame + b"\0" * (len(frame) % 2)


def send(server, ds, frames, media, in_notation=in_json):
    """Metadata and frames under one name, in order."""
    if in_notation is in_json:
        metadata = in_json(metadata_of(ds, PixelData="pixels"))
    else:
        metadata = in_xml(ds, PixelData="pixels")
    return post(server, [metadata, *((media, "pixels", frame) for frame in frames)])


def made_of(server, ds, frames, media, in_notation=in_json):
    response = send(server, ds, frames, media, in_notation)
    assert response.status_code == 200, (response.text, response.headers)
    return stored(server, ds)


def described_as(ds):
    """Rows to PixelRepresentation."""
    return [ds[keyword].value for keyword in PIXEL_KEYWORDS]


# --- Codestreams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_notation", [in_json, in_xml])
@pytest.mark.parametrize(
    ("mode", "options", "photometric"),
    [("L", {}, "MONOCHROME2"), ("RGB", {"subsampling": "4:4:4"}, "YBR_FULL"), ("RGB", {"subsampling": "4:2:0"}, "YBR_FULL_422"),
     ("RGB", {"subsampling": "4:2:2"}, "YBR_FULL_422"), ("RGB", {"keep_rgb": True}, "RGB")],
)  # fmt: skip
def test_a141_a_jpeg_says_everything_of_its_pixels(server, in_notation, mode, options, photometric):
    y, x = np.mgrid[0:61, 0:90]
    samples = (x * 2 + y).astype(np.uint8) if mode == "L" else np.stack([x * 2, y * 3, x + y], -1).astype(np.uint8)
    jpeg = encoded(Image.fromarray(samples), "JPEG", quality=90, **options)
    ds = without_pixels()
    back = made_of(server, ds, [jpeg], "image/jpeg", in_notation)
    assert back.file_meta.TransferSyntaxUID == UID + "50"
    count = len(mode)
    assert described_as(back) == [61, 90, count, photometric, 8, 8, 7, 0]
    assert back.get("PlanarConfiguration") == (0 if count == 3 else None) and "NumberOfFrames" not in back
    assert [back[keyword].value for keyword in LOSS] == ["01", round(61 * 90 * count / len(jpeg), 2), "ISO_10918_1"]
    assert list(generate_frames(back.PixelData)) == [padded(jpeg)]
    # pydicom makes it RGB again; two decoders may round differently.
    assert np.abs(back.pixel_array.astype(int) - np.asarray(Image.open(io.BytesIO(jpeg)))).max() <= 3
    for element in ds:
        assert back[element.tag].value == element.value, element.keyword
    frame = web.get(server, path_of(ds) + "/frames/1", 'multipart/related; type="image/jpeg"')
    assert web.parts_of(frame)[0][1] in (jpeg, padded(jpeg))


# What a codestream cannot say stands in the metadata: signs (JPEG, JPEG-LS), MONOCHROME1, and
# that a JPEG file's colors are what they are not.
REAL = [
    ("test_files/JPGExtended.dcm", "image/jpeg", "51", {}),
    ("data_store/JPGLosslessP14SV1_1s_1f_8b.dcm", "image/jpeg", "70", {}),
    ("data_store/JPEG-LL.dcm", "image/jpeg", "70", {"PixelRepresentation": 1}),
    ("test_files/SC_rgb_jpeg_gdcm.dcm", "image/jpeg", "70", {}),
    ("test_files/SC_rgb_dcmtk_+eb+cr.dcm", "image/jpeg", "50", {}),
    ("test_files/SC_rgb_dcmtk_+eb+cy+np.dcm", "image/jpeg", "50", {}),
    ("test_files/SC_rgb_dcmtk_+eb+cy+n1.dcm", "image/jpeg", "50", {"PhotometricInterpretation": "YBR_FULL"}),
    ("test_files/SC_rgb_jpeg_dcmtk.dcm", "image/jpeg", "50", {}),
    ("test_files/SC_jpeg_no_color_transform.dcm", "image/jpeg", "50", {"PhotometricInterpretation": "RGB"}),
    ("test_files/SC_jpeg_no_color_transform_2.dcm", "image/jpeg", "50", {}),
    ("test_files/examples_ybr_color.dcm", "image/jpeg", "50", {}),
    ("test_files/MR_small_jpeg_ls_lossless.dcm", "image/jls", "80", {"PixelRepresentation": 1}),
    ("data_store/emri_small_jpeg_ls_lossless.dcm", "image/jls", "80", {"BitsStored": 12}),
    ("test_files/JPEGLSNearLossless_08.dcm", "image/jls", "81", {}),
    ("test_files/JPEGLSNearLossless_16.dcm", "image/jls", "81", {}),
    ("test_files/SC_rgb_jls_lossy_line.dcm", "image/jls", "81", {}),
    ("test_files/MR_small_jp2klossless.dcm", "image/jp2", "90", {}),
    ("test_files/examples_jpeg2k.dcm", "image/jp2", "90", {}),
    ("data_store/RG3_J2KR.dcm", "image/jp2", "90", {"PhotometricInterpretation": "MONOCHROME1"}),
    ("data_store/emri_small_jpeg_2k_lossless.dcm", "image/jp2", "90", {"BitsStored": 12}),
    ("test_files/JPEG2000.dcm", "image/jp2", "91", {}),
    ("data_store/MR2_J2KI.dcm", "image/jp2", "91", {}),
    ("data_store/US1_J2KI.dcm", "image/jp2", "91", {}),
]
LOSSY = {"50": "ISO_10918_1", "51": "ISO_10918_1", "81": "ISO_14495_1", "91": "ISO_15444_1"}


@pytest.mark.parametrize(("name", "media", "syntax", "said"), REAL, ids=lambda value: value if isinstance(value, str) else "")
def test_a141_real_codestreams_say_what_their_makers_say(server, name, media, syntax, said):
    original = corpus.by_name(name).dataset
    count = int(original.get("NumberOfFrames") or 1)
    frames = list(generate_frames(original.PixelData, number_of_frames=count))
    back = made_of(server, without_pixels(**said), frames, media)
    assert back.file_meta.TransferSyntaxUID == UID + syntax == corpus.by_name(name).transfer_syntax
    assert described_as(back) == described_as(original)
    assert back.get("PlanarConfiguration") == original.get("PlanarConfiguration")
    assert int(back.get("NumberOfFrames") or 1) == count
    assert list(generate_frames(back.PixelData, number_of_frames=count)) == frames
    assert back.get("LossyImageCompressionMethod") == LOSSY.get(syntax)
    assert back.get("LossyImageCompression") == ("01" if syntax in LOSSY else None)
    if "+eb" in name:
        # DCMTK wrote these and says how much smaller they became.
        assert float(back.LossyImageCompressionRatio) == pytest.approx(float(original.LossyImageCompressionRatio), abs=0.006)


HERE = [
    ("image/jxl", codestreams.JXL_GRAY, "110", codestreams.GRAY, "MONOCHROME2", 12, None),
    ("image/jxl", codestreams.JXL_RGB, "110", codestreams.RGB, "RGB", 8, None),
    ("image/jxl", codestreams.JXL_RGB_IN_A_FILE, "110", codestreams.RGB, "RGB", 8, None),
    ("image/jxl", codestreams.JXL_LOSSY, "112", codestreams.RGB, "XYB", 8, "ISO_18181_1"),
    ("image/jphc", codestreams.HTJ2K_GRAY, "201", codestreams.GRAY, "MONOCHROME2", 16, None),
    ("image/jph", codestreams.HTJ2K_SIGNED, "201", codestreams.SIGNED, "MONOCHROME2", 16, None),
    ("image/jphc", codestreams.HTJ2K_RGB, "201", codestreams.RGB, "YBR_RCT", 8, None),
    (f"image/jphc; transfer-syntax={UID}202", codestreams.HTJ2K_RGB, "202", codestreams.RGB, "YBR_RCT", 8, None),
    ("image/jphc", codestreams.HTJ2K_LOSSY, "203", codestreams.RGB, "YBR_ICT", 8, "ISO_15444_15"),
]  # fmt: skip


@pytest.mark.parametrize(("media", "stream", "syntax", "pixels", "photometric", "bits", "loss"), HERE, ids=[f"{n}-{h[2]}" for n, h in enumerate(HERE)])
def test_a141_jpeg_xl_and_htj2k(server, media, stream, syntax, pixels, photometric, bits, loss):
    back = made_of(server, without_pixels(), [stream], media)
    assert back.file_meta.TransferSyntaxUID == UID + syntax
    samples, allocated = pixels.ndim * 2 - 3, 8 if bits == 8 else 16
    assert described_as(back) == [16, 24, samples, photometric, allocated, bits, bits - 1, int(pixels.dtype.kind == "i")]
    assert back.get("LossyImageCompressionMethod") == loss
    assert list(generate_frames(back.PixelData)) == [padded(stream)]
    if media.startswith("image/jp"):
        # OpenJPEG reads HTJ2K; nothing here reads JPEG XL.
        difference = np.abs(back.pixel_array.astype(int) - pixels).max()
        assert difference == 0 if loss is None else difference < 16


def test_a141_frames_of_a_rle_object_need_their_attributes(server):
    original = corpus.by_name("test_files/SC_rgb_rle_2frame.dcm").dataset
    frames = list(generate_frames(original.PixelData, number_of_frames=2))
    told = {keyword: original[keyword].value for keyword in [*PIXEL_KEYWORDS, "PlanarConfiguration"]}
    back = made_of(server, without_pixels(**told), frames, "image/dicom-rle")
    assert back.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5" and back.NumberOfFrames == 2
    assert list(generate_frames(back.PixelData, number_of_frames=2)) == frames
    ds = without_pixels()
    response = send(server, ds, frames, "image/dicom-rle")
    assert (response.status_code, web.outcome(response)[1]) == (409, {ds.SOPInstanceUID: 0xA900})


# --- What does not go together ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [{"Rows": 20}, {"Columns": 38}, {"SamplesPerPixel": 3}, {"PhotometricInterpretation": "RGB"}, {"BitsAllocated": 1}, {"BitsStored": 12},
     {"HighBit": 8}, {"NumberOfFrames": 2}, {"LossyImageCompression": "00"}],
    ids=str,
)  # fmt: skip
def test_a_jpeg_that_contradicts_its_metadata_fails_the_instance(server, attributes):
    ds, good = without_pixels(**attributes), without_pixels()
    jpeg = encoded(picture("L"), "JPEG")
    parts = [in_json(metadata_of(ds, PixelData="bad"), metadata_of(good, PixelData="good"))]
    response = post(server, [*parts, ("image/jpeg", "bad", jpeg), ("image/jpeg", "good", jpeg)])
    assert response.status_code == 202
    succeeded, failed, _ = web.outcome(response)
    assert (set(succeeded), failed) == ({good.SOPInstanceUID}, {ds.SOPInstanceUID: 0xA900})
    assert next(iter(attributes)) in response.headers["warning"]
    assert is_absent(server, ds)


GRAY_JPEG, GRAY_JP2 = encoded(picture("L"), "JPEG"), encoded(picture("L"), "JPEG2000", irreversible=False)


@pytest.mark.parametrize(
    ("media", "frames", "reason"),
    [("image/jp2", [GRAY_JPEG], 0xC000), ("image/jpeg", [GRAY_JP2], 0xC000), ("image/jls", [GRAY_JPEG], 0xA900), ("image/jphc", [GRAY_JP2], 0xA900),
     ("image/jpeg", [GRAY_JPEG[:50]], 0xC000), ("image/jpeg", [b""], 0xC000), ("image/jpeg", [GRAY_JPEG, encoded(picture("RGB"), "JPEG")], 0xC000),
     (f"image/jp2; transfer-syntax={UID}91", [encoded(picture("L"), "JPEG2000", irreversible=True)], None),
     (f"image/jp2; transfer-syntax={UID}90", [encoded(picture("L"), "JPEG2000", irreversible=True)], 0xA900),
     (f"image/jp2; transfer-syntax={UID}94", [GRAY_JP2], 0xC122), ("image/jpeg", [encoded(picture("L"), "JPEG", progressive=True)], 0xC000),
     ("image/jpeg", [encoded(Image.new("CMYK", (9, 9)), "JPEG")], 0xC000), ("text/plain", [b"pixels"], 0xA900)],
    ids=range(13),
)  # fmt: skip
def test_a_codestream_that_is_not_what_its_part_says_fails_the_instance(server, media, frames, reason):
    ds = without_pixels()
    response = send(server, ds, frames, media)
    assert response.status_code == (200 if reason is None else 409), response.headers
    assert web.outcome(response)[1] == ({} if reason is None else {ds.SOPInstanceUID: reason})
    assert is_absent(server, ds) == (reason is not None)


# --- Pictures that become native pixels -----------------------------------------------------------------

ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def pictures():
    """(name, file, samples that pixels must be)."""
    for mode in ("L", "LA", "RGB", "RGBA"):
        image = picture(mode)
        yield mode, encoded(image, "PNG"), np.asarray(image.convert("L" if mode.startswith("L") else "RGB"))
    deep = noise(21, 37, high=65536, dtype=np.uint16)
    yield "I;16", encoded(Image.fromarray(deep), "PNG"), deep
    bits = picture("L").point(lambda value: 255 * (value > 127)).convert("1")
    yield "1", encoded(bits, "PNG"), np.asarray(bits.convert("L"))
    for colors in (2, 4, 16, 200):
        image = picture("RGB").quantize(colors)
        yield f"P{colors}", encoded(image, "PNG"), np.asarray(image.convert("RGB"))
    image = picture("RGB").quantize(200)
    yield "P with alpha", encoded(image, "PNG", transparency=bytes(range(200))), np.asarray(image.convert("RGB"))
    gray = picture("L")
    yield "L with a transparent value", encoded(gray, "PNG", transparency=int(np.asarray(gray)[0, 0])), np.asarray(gray)
    deep = noise(21, 37, 3, high=65536, dtype=np.uint16)
    yield "RGB of 16 bits", png(deep, 2, 16), deep
    alpha = noise(21, 37, 4, high=65536, dtype=np.uint16)
    yield "RGBA of 16 bits, interlaced", png(alpha, 6, 16, ADAM7), alpha[..., :3]
    yield "L interlaced", png(np.asarray(gray), 0, 8, ADAM7), np.asarray(gray)
    yield "one pixel", encoded(picture("L", (1, 1)), "PNG"), np.asarray(picture("L", (1, 1)))
    image = picture("RGB").quantize(256)
    yield "GIF", encoded(image, "GIF"), np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(("name", "file", "samples"), [pytest.param(*p, id=p[0]) for p in pictures()])
def test_a143_pictures_become_native_pixels(server, name, file, samples):
    media = "image/gif" if name == "GIF" else "image/png"
    back = made_of(server, without_pixels(), [file], media)
    assert back.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    bits, count = samples.dtype.itemsize * 8, 3 if samples.ndim == 3 else 1
    photometric = "RGB" if count == 3 else "MONOCHROME2"
    assert described_as(back) == [*samples.shape[:2], count, photometric, bits, bits, bits - 1, 0]
    assert back.get("PlanarConfiguration") == (0 if count == 3 else None)
    assert not any(keyword in back for keyword in [*LOSS, "NumberOfFrames"])
    assert bytes(back.PixelData) == padded(samples.astype(samples.dtype.newbyteorder("<")).tobytes())
    assert np.array_equal(back.pixel_array, samples)


def test_a143_an_animation_becomes_frames(server):
    frames = [picture("RGB", seed=n).quantize(60) for n in range(4)]
    file = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40)
    image, expected = Image.open(io.BytesIO(file)), []
    for n in range(4):
        image.seek(n)
        expected.append(np.asarray(image.convert("RGB")))
    back = made_of(server, without_pixels(), [file], "image/gif")
    assert back.NumberOfFrames == 4 and np.array_equal(back.pixel_array, np.stack(expected))


def test_a143_several_pictures_are_frames_and_must_be_alike(server):
    files = [encoded(picture("RGB", seed=n), "PNG") for n in range(3)]
    back = made_of(server, without_pixels(), files, "image/png")
    assert back.NumberOfFrames == 3
    assert np.array_equal(back.pixel_array, np.stack([np.asarray(picture("RGB", seed=n)) for n in range(3)]))
    for other in (picture("L"), picture("RGB", (38, 21))):
        ds = without_pixels()
        response = send(server, ds, [files[0], encoded(other, "PNG")], "image/png")
        assert web.outcome(response)[1] == {ds.SOPInstanceUID: 0xC000} and is_absent(server, ds)


def bombs():
    """(media type, file): a few bytes that ask for much memory or disk."""
    some = np.zeros((1, 8), np.uint8)
    for side in (40_000, 65_535, 65_536, 0x7FFFFFFF, 0):
        yield "image/png", png(some, 0, 8, size=(side, side))
        yield "image/png", png(some, 6, 16, [(0, 0, 1, 1)], size=(side, side))
    rows = zlib.compressobj()
    zeros = b"".join(rows.compress(bytes(12_001)) for _ in range(12_000)) + rows.flush()
    yield "image/png", png(some, 0, 8, size=(12_000, 12_000), data=zeros)
    yield "image/gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;"
    # As many frames of a large canvas as bytes allow.
    frame = b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0"
    yield "image/gif", b"GIF89a\xa0\x0f\xa0\x0f\x80\0\0" + bytes(6) + frame * 5000 + b";"


def test_a143_a_bomb_is_refused_in_bounded_memory(start):
    server = start(config={"ingest": {"object_bytes_max": 8 << 20}})
    assert made_of(server, without_pixels(), [encoded(picture("L"), "PNG")], "image/png")
    before = server.memory_peak_bytes()
    for media, file in bombs():
        ds = without_pixels()
        assert len(file) < 200_000
        response = send(server, ds, [file], media)
        assert response.status_code in (409, 413), response.text
        assert set(web.outcome(response)[1].values()) <= {0xC000, 0xA700} and is_absent(server, ds)
    # A profile of 100 MB, packed, is none of the pixels' business.
    ds = without_pixels()
    profile = b"p\0\0" + zlib.compress(bytes(100 << 20))
    file = png(np.asarray(picture("L")), 0, 8, before=[(b"iCCP", profile), (b"zTXt", profile)])
    assert np.array_equal(made_of(server, ds, [file], "image/png").pixel_array, np.asarray(picture("L")))
    assert server.memory_peak_bytes() - before < 100 << 20
    assert made_of(server, without_pixels(), [encoded(picture("L"), "PNG")], "image/png")
