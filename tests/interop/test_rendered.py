"""Rendered resources and thumbnails (PS3.18 §10.4.1.1.3, §10.4.1.1.4; conformance.md §8, 51–77).

Greys are judged by the formulas of PS3.3 §C.11 in numpy and by pydicom, pictures are read by Pillow,
color profiles by LittleCMS, and DCMTK draws the same images as a second opinion."""

import io
import subprocess
import threading

import numpy
import pytest
import requests
from PIL import Image, ImageCms
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from harness import corpus, made, web
from harness.drawn import IN_COLORS, expected_picture, is_square, shade

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PARTS = 'multipart/related; type="image/jpeg"'
RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


def gradient(rows, columns, top=4096, start=0):
    """Every value of a range, and no two rows alike."""
    values = numpy.arange(rows * columns) * 37 + start
    return (values % top).astype("<u2").reshape(rows, columns)


def path_of(ds):
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def put(server, *objects, transfer_syntax=None):
    files = [made.file(ds, *([transfer_syntax] if transfer_syntax else [])) for ds in objects]
    response = web.stow(server, files)
    assert response.status_code == 200, response.text
    return path_of(objects[0])


def image(rows=48, columns=64, values=None, **attributes):
    """A 12-bit CT image with HU, and the array in it."""
    values = gradient(rows, columns) if values is None else values
    attributes = {"RescaleSlope": 1, "RescaleIntercept": -1024} | attributes
    ds = made.instance(rows=rows, columns=columns, pixels=values.tobytes(), **attributes)
    return ds, values


def picture(response, kind="JPEG"):
    assert response.status_code == 200, (response.status_code, response.text[:300])
    assert response.headers["content-type"] == f"image/{kind.lower()}"
    opened = Image.open(io.BytesIO(response.content))
    assert opened.format == kind
    opened.load()
    return opened


def png(server, path, accept="image/png", **params):
    """The picture without loss, as an array."""
    return numpy.asarray(picture(web.get(server, path, accept, params=params), "PNG"))


def as_read(ds):
    """The object as pydicom reads it from its file."""
    return dcmread(io.BytesIO(made.file(ds)))


def near(actual, expected, grey=1):
    assert actual.shape == expected.shape
    worst = numpy.abs(actual.astype(float) - expected.astype(float)).max()
    assert worst <= grey, f"{worst} greys apart"


def jpeg_markers(data):
    """(marker, payload) up to the scan."""
    at = 2
    assert data[:2] == b"\xff\xd8"
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], data[at + 4 : at + 2 + length]
        at += 2 + length


# --- Media types and negotiation -----------------------------------------------------------------


@pytest.fixture(scope="module")
def ct(server):
    ds, values = image(WindowCenter=40, WindowWidth=400)
    return put(server, ds), values


def test_a051_the_default_is_a_baseline_jpeg_of_the_size_of_the_image(server, ct):
    path, values = ct
    for accept in ("*/*", "image/*", "image/jpeg", BROWSER):
        response = web.get(server, path + "/rendered", accept)
        drawn = picture(response)
        assert (drawn.size, drawn.mode) == ((64, 48), "L"), accept
        markers = dict(jpeg_markers(response.content))
        assert 0xC0 in markers and 0xC2 not in markers, "not baseline"
        assert markers[0xC0][0] == 8
    near(numpy.asarray(drawn), shade(values - 1024.0, 40, 400), grey=24)


def test_a052_png_and_gif_are_given_too(server, ct):
    path, values = ct
    expected = shade(values - 1024.0, 40, 400)
    near(png(server, path + "/rendered"), expected)
    gif = picture(web.get(server, path + "/rendered", "image/gif"), "GIF")
    near(numpy.asarray(gif.convert("L")), expected)
    chosen = web.get(server, path + "/rendered", "image/jpeg;q=0.2, image/gif;q=0.4, image/png;q=0.9")
    picture(chosen, "PNG")


def test_a_colored_gif_has_the_colors(server):
    values = numpy.zeros((8, 8, 3), "u1")
    values[:, :4] = (200, 10, 30)
    values[:, 4:] = (5, 120, 250)
    path = put(server, rgb(values))
    gif = picture(web.get(server, path + "/rendered", "image/gif"), "GIF").convert("RGB")
    near(numpy.asarray(gif), values, grey=2)


def test_a001_a004_a005_a077_what_may_be_asked_for(server, ct):
    path, _ = ct
    url = path + "/rendered"
    assert raw_without_accept(server, url) == 406
    assert web.get(server, url, "application/dicom").status_code == 406
    refused = web.get(server, url, "image/webp")
    assert refused.status_code == 406 and "image/png" in refused.text
    assert web.get(server, url, 'multipart/related; type="application/dicom", image/png').status_code == 400
    picture(web.get(server, url, "image/*", params={"accept": "image/png"}), "PNG")
    picture(web.get(server, url, "*/*", params={"accept": "image/jpeg"}))
    assert web.get(server, url, "text/*", params={"accept": "image/png"}).status_code in (400, 406)
    assert web.get(server, url, "image/png", params={"accept": "image/*"}).status_code == 400
    plain = web.get(server, url, "image/jpeg")
    named = web.get(server, url, "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70")
    assert named.status_code in (400, 406) or named.content == plain.content
    assert web.get(server, url, "*/*", params={"nonsense": "1"}).content == plain.content


def raw_without_accept(server, path):
    session = requests.Session()
    session.headers.clear()
    return session.get(server.web + path, headers={"Accept": None}).status_code


def test_a018_head_is_get_without_its_body_and_a_known_picture_is_304(server, ct):
    url = server.web + ct[0] + "/rendered?viewport=32,32"
    whole = requests.get(url, headers={"Accept": "image/png"})
    head = requests.head(url, headers={"Accept": "image/png"})
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == str(len(whole.content))
    tag = whole.headers["etag"]
    assert "private" in whole.headers["cache-control"]
    again = requests.get(url, headers={"Accept": "image/png", "If-None-Match": tag})
    assert again.status_code == 304 and again.content == b""
    for other in (url + "&quality=5", url.replace("32,32", "16,16")):
        kept = requests.get(other, headers={"Accept": "image/png", "If-None-Match": tag})
        assert kept.status_code == 200
    as_jpeg = requests.get(url, headers={"Accept": "image/jpeg", "If-None-Match": tag})
    assert as_jpeg.status_code == 200


# --- Parameters ----------------------------------------------------------------------------------


def test_a053_window_linear_is_the_formula(server, ct):
    path, values = ct
    for center, width in ((40, 400), (-600, 1500), (0.5, 1), (300.25, 2.5), (1000, 4096)):
        drawn = png(server, path + "/rendered", window=f"{center},{width},linear")
        near(drawn, shade(values - 1024.0, center, width))


def test_a054_linear_exact_and_sigmoid_are_the_formulas(server, ct):
    path, values = ct
    for function in ("linear-exact", "sigmoid"):
        for center, width in ((40, 400), (-600, 0.25), (100, 2000)):
            drawn = png(server, path + "/rendered", window=f"{center},{width},{function}")
            near(drawn, shade(values - 1024.0, center, width, function))


@pytest.mark.parametrize("window", ["40,400", "40,400,LINEAR", "40,400,Sigmoid", "40,0,linear", "40,-5,sigmoid", "", "a,b,linear", "40,400,linear,1", "nan,4,linear"])
def test_a055_a_malformed_window_is_refused(server, ct, window):
    response = web.get(server, ct[0] + "/rendered", "*/*", params={"window": window})
    assert response.status_code == 400 and response.text.strip()


@pytest.fixture(scope="module")
def wide(server):
    """512 × 384, smooth, with four quarters that differ."""
    values = numpy.add.outer(numpy.arange(384) * 3, numpy.arange(512) * 5).astype("<u2")
    ds, _ = image(384, 512, values, RescaleIntercept=0, WindowCenter=1856, WindowWidth=3712)
    return put(server, ds), values


def test_a056_a_viewport_keeps_the_shape(server, wide):
    path, values = wide
    for viewport, size in {"256,256": (256, 192), "1024,1024": (1024, 768), "100,9": (12, 9), "512,384": (512, 384)}.items():
        drawn = picture(web.get(server, path + "/rendered", "*/*", params={"viewport": viewport}))
        assert drawn.size == size, viewport
    small = png(server, path + "/rendered", viewport="256,256")
    near(small, shade(values, 1856, 3712).reshape(192, 2, 256, 2).mean(axis=(1, 3)))
    third = png(server, path + "/rendered", viewport="200,150")
    judged = Image.fromarray(shade(values, 1856, 3712).astype("f4")).resize((200, 150), Image.Resampling.BOX)
    near(third, numpy.asarray(judged), grey=2)


def test_a057_a058_regions_are_cut_out_and_turned(server, wide):
    path, values = wide
    expected = shade(values, 1856, 3712)
    cases = {
        "256,256,,,256,256": expected[:256, :256],
        "256,256,256,128": expected[128:, 256:],
        "256,256,256,128,": expected[128:, 256:],
        "100,50,30,20,100,50": expected[20:70, 30:130],
        "100,50,30,20,-100,50": expected[20:70, 30:130][:, ::-1],
        "100,50,30,20,100,-50": expected[20:70, 30:130][::-1],
        "512,384,,,-512,-384": expected[::-1, ::-1],
        "64,64,500,,64,64": None,
    }
    for viewport, part in cases.items():
        drawn = png(server, path + "/rendered", viewport=viewport)
        if part is None:
            assert drawn.shape == (64, 12), "a region ends where the image ends"
        else:
            near(drawn, part)
    enlarged = png(server, path + "/rendered", viewport="512,512,,,256,256")
    assert enlarged.shape == (512, 512)


@pytest.mark.parametrize("viewport", ["0,5", "5,0", "-5,5", "5", "a,b", "5.5,5", "", "5,5,x", "5,5,1,1,0,1", "1,2,3,4,5,6,7", "100000000,100000000", "8192,8192", "64,64,9999,0", "64,64,-1,0"])
def test_a059_a_malformed_viewport_is_refused(server, wide, viewport):
    response = web.get(server, wide[0] + "/rendered", "*/*", params={"viewport": viewport})
    assert response.status_code == 400 and response.text.strip()


def test_a060_quality(server, wide):
    url = wide[0] + "/rendered"
    for bad in ("0", "101", "x", "", "5.5", "-1"):
        assert web.get(server, url, "*/*", params={"quality": bad}).status_code == 400, bad
    sizes = [len(web.get(server, url, "*/*", params={"quality": q}).content) for q in (1, 10, 90, 100)]
    assert sizes == sorted(sizes) and sizes[1] < sizes[2]
    assert (png(server, url, quality=1) == png(server, url, quality=100)).all(), "PNG loses nothing"


def test_a061_annotations_are_never_drawn_and_that_is_told(server, ct):
    url = ct[0] + "/rendered"
    assert web.get(server, url, "*/*", params={"annotation": ""}).status_code == 400
    plain = web.get(server, url, "*/*")
    assert "warning" not in plain.headers
    for value in ("foo", "patient,technique"):
        response = web.get(server, url, "*/*", params={"annotation": value})
        assert response.content == plain.content
        warning = response.headers["warning"]
        assert warning.startswith("299 ")
        assert "The following annotation values are not supported: " + value.replace(",", ", ") in warning


def test_a062_color_profiles(server, ct):
    colored = put(server, rgb(numpy.arange(48, dtype="u1").reshape(4, 4, 3)))
    for path, space in ((ct[0], "GRAY"), (colored, "RGB ")):
        for value in ("yes", "srgb"):
            jpeg = web.get(server, path + "/rendered", "image/jpeg", params={"iccprofile": value})
            assert any(m == 0xE2 and p.startswith(b"ICC_PROFILE\0") for m, p in jpeg_markers(jpeg.content))
            as_png = web.get(server, path + "/rendered", "image/png", params={"iccprofile": value})
            for kind, response in (("JPEG", jpeg), ("PNG", as_png)):
                drawn = picture(response, kind)
                profile = ImageCms.ImageCmsProfile(io.BytesIO(drawn.info["icc_profile"]))
                assert profile.profile.xcolor_space == space
                # LittleCMS takes it for what it is: to sRGB and it is the same picture.
                same = ImageCms.profileToProfile(drawn, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
                near(numpy.asarray(same), numpy.asarray(drawn.convert("RGB")), grey=2)
        assert "icc_profile" not in picture(web.get(server, path + "/rendered", "image/jpeg", params={"iccprofile": "no"})).info
        assert "icc_profile" not in picture(web.get(server, path + "/rendered", "image/jpeg")).info
        picture(web.get(server, path + "/rendered", "image/gif", params={"iccprofile": "no"}), "GIF")
        assert web.get(server, path + "/rendered", "image/gif", params={"iccprofile": "yes"}).status_code == 400
        for bad in ("", "maybe", "YES", "adobergb", "rommrgb"):
            assert web.get(server, path + "/rendered", "*/*", params={"iccprofile": bad}).status_code == 400, bad


# --- Pixels --------------------------------------------------------------------------------------


def rgb(values, photometric="RGB", planar=0, **attributes):
    rows, columns, _ = values.shape
    stored = values.transpose(2, 0, 1) if planar else values
    return made.instance(
        rows=rows, columns=columns, pixels=numpy.ascontiguousarray(stored).tobytes(), SOPClassUID=made.SECONDARY_CAPTURE,
        SamplesPerPixel=3, PhotometricInterpretation=photometric, PlanarConfiguration=planar,
        BitsAllocated=8, BitsStored=8, HighBit=7, **attributes,
    )  # fmt: skip


def test_a063_monochrome1_shows_zero_as_white(server):
    ds, values = image(PhotometricInterpretation="MONOCHROME1", WindowCenter=0, WindowWidth=2048)
    drawn = png(server, put(server, ds) + "/rendered")
    near(drawn, 255 - shade(values - 1024.0, 0, 2048))
    assert drawn[values == 0].min() == 255


def test_a064_palettes_of_65536_entries(server):
    values = numpy.linspace(0, 65535, 48 * 64).astype("<u2").reshape(48, 64)
    steps = numpy.arange(65536)
    tables = [(65535 - steps).astype("<u2"), (steps // 2).astype("<u2"), (steps * 7 % 65536).astype("<u2")]
    ds = made.instance(
        rows=48, columns=64, pixels=values.tobytes(), SOPClassUID=made.SECONDARY_CAPTURE, PhotometricInterpretation="PALETTE COLOR",
        BitsStored=16, HighBit=15,
        **{f"{c}PaletteColorLookupTableDescriptor": [0, 0, 16] for c in ("Red", "Green", "Blue")},
        **{f"{c}PaletteColorLookupTableData": t.tobytes() for c, t in zip(("Red", "Green", "Blue"), tables)},
    )  # fmt: skip
    expected = numpy.stack([table[values] / 65535 * 255 for table in tables], axis=-1)
    near(png(server, put(server, ds) + "/rendered"), expected)


def test_a065_native_colors_by_pixel_by_plane_and_ybr(server):
    values = (numpy.arange(8 * 10 * 3) * 11 % 256).astype("u1").reshape(8, 10, 3)
    near(png(server, put(server, rgb(values)) + "/rendered"), values, grey=0)
    near(png(server, put(server, rgb(values, planar=1)) + "/rendered"), values, grey=0)
    full = rgb(values, "YBR_FULL")
    y, cb, cr = (values[..., i].astype(float) for i in range(3))
    expected = numpy.stack([y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)], axis=-1)
    near(png(server, put(server, full) + "/rendered"), numpy.clip(expected, 0, 255))


def test_a066_negative_slopes_and_intercepts(server):
    ds, values = image(RescaleSlope=-1, RescaleIntercept=-500, WindowCenter=-2000, WindowWidth=3000)
    near(png(server, put(server, ds) + "/rendered"), shade(-1.0 * values - 500, -2000, 3000))
    signed = (gradient(48, 64).astype("<i4") - 2048).astype("<i2")
    ds, _ = image(values=signed, PixelRepresentation=1, RescaleSlope=2.5, RescaleIntercept=10, WindowCenter=40, WindowWidth=4000)
    near(png(server, put(server, ds) + "/rendered"), shade(signed * 2.5 + 10, 40, 4000))


def lookup(first, bits, entries, is_signed=False):
    item = Dataset()
    item.add_new(0x00283002, "SS" if is_signed else "US", [len(entries) % 65536, first, bits])
    item.add_new(0x00283006, "OW", numpy.asarray(entries, "<u2").tobytes())
    return Sequence([item])


def test_a067_lookup_tables_go_before_windows(server):
    curve = (numpy.sqrt(numpy.arange(4096)) * 1023 / 64).astype(int)
    # 4096 entries of a word are more than stands inside the metadata.
    ds, values = image(RescaleSlope=None, RescaleIntercept=None, WindowCenter=40, WindowWidth=4, VOILUTSequence=lookup(0, 10, curve))
    path = put(server, ds) + "/rendered"
    near(png(server, path), apply_voi_lut(values, as_read(ds)) / 1023 * 255)
    near(png(server, path, window="2000,1000,linear"), shade(values, 2000, 1000))
    # A table in signed values, of which only a part is given: the ends go on.
    ds, values = image(values=gradient(48, 64, top=2048), VOILUTSequence=lookup(-500, 12, numpy.arange(0, 2500, 10), is_signed=True), PixelRepresentation=1)
    hu = apply_modality_lut(values.astype("<i2"), as_read(ds))
    near(png(server, put(server, ds) + "/rendered"), apply_voi_lut(hu.astype("<i2"), as_read(ds)) / 4095 * 255)
    modality = lookup(100, 16, numpy.arange(60000, 40000, -10))
    ds, values = image(RescaleSlope=None, RescaleIntercept=None, ModalityLUTSequence=modality, WindowCenter=50000, WindowWidth=20000)
    ds.ModalityLUTSequence[0].ModalityLUTType = "US"
    near(png(server, put(server, ds) + "/rendered"), shade(apply_modality_lut(values, as_read(ds)), 50000, 20000))


def test_a068_pixels_that_are_not_square_come_out_square(server):
    for attributes, size in (
        ({"PixelAspectRatio": [2, 1]}, (64, 96)),
        ({"PixelSpacing": [0.5, 1.0]}, (128, 48)),
        ({"PixelAspectRatio": [1, 1]}, (64, 48)),
    ):
        ds, _ = image(**attributes)
        path = put(server, ds) + "/rendered"
        assert picture(web.get(server, path, "*/*")).size == size
        boxed = picture(web.get(server, path, "*/*", params={"viewport": "32,32"}))
        assert max(boxed.size) == 32 and abs(boxed.size[0] / boxed.size[1] - size[0] / size[1]) < 0.1


def test_a069_padding_takes_no_part_in_the_window(server):
    values = gradient(48, 64, top=1000, start=500) + 100
    values[:10] = 0
    ds, _ = image(values=values.astype("<u2"), PixelPaddingValue=0)
    drawn = png(server, put(server, ds) + "/rendered")[10:]
    inside = values[10:].astype(float)
    near(drawn, (inside - inside.min()) / (inside.max() - inside.min()) * 255)


def test_a070_a071_frames_have_their_own_values(server):
    values = numpy.stack([gradient(16, 20, start=i * 999) for i in range(3)])
    ds = made.instance(rows=16, columns=20, frames=3, pixels=values.astype("<u2").tobytes())
    windows = [(500, 1000), (2000, 800), (3000, 100)]

    def groups(center, width, slope):
        voi, transform, item = Dataset(), Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, width
        transform.RescaleIntercept, transform.RescaleSlope, transform.RescaleType = -7, slope, "US"
        item.FrameVOILUTSequence, item.PixelValueTransformationSequence = Sequence([voi]), Sequence([transform])
        return item

    ds.PerFrameFunctionalGroupsSequence = Sequence([groups(*window, n + 1) for n, window in enumerate(windows)])
    path = put(server, ds)
    for n, (center, width) in enumerate(windows):
        near(png(server, f"{path}/frames/{n + 1}/rendered"), shade(values[n] * (n + 1.0) - 7, center, width))
    one, three = (web.get(server, f"{path}/frames/{n}/rendered", "*/*").content for n in (1, 3))
    assert one != three
    assert web.get(server, f"{path}/frames/4/rendered", "*/*").status_code == 404
    for bad in ("0", "-1", "a", "1,,2"):
        assert web.get(server, f"{path}/frames/{bad}/rendered", "*/*").status_code == 400, bad


def test_one_bit_and_32_bit_pixels(server):
    bits = (numpy.arange(2 * 9 * 7) * 7 % 5 < 2).reshape(2, 9, 7)
    packed = numpy.packbits(bits.ravel(), bitorder="little").tobytes()
    ds = made.instance(rows=9, columns=7, frames=2, pixels=packed + b"\0" * (len(packed) % 2), BitsAllocated=1, BitsStored=1, HighBit=0)
    path = put(server, ds)
    for n in (1, 2):
        near(png(server, f"{path}/frames/{n}/rendered"), bits[n - 1] * 255, grey=0)
    values = (numpy.arange(48 * 64, dtype="<u4") * 1_000_003).reshape(48, 64)
    ds = made.instance(rows=48, columns=64, pixels=values.tobytes(), BitsAllocated=32, BitsStored=32, HighBit=31)
    near(png(server, put(server, ds) + "/rendered"), (values - 0.0) / values.max() * 255)


def test_floats_and_doubles(server):
    for kind, keyword, bits in (("<f4", "FloatPixelData", 32), ("<f8", "DoubleFloatPixelData", 64)):
        values = (numpy.arange(48 * 64) * 0.001 - 1).astype(kind).reshape(48, 64)
        ds = made.instance(rows=48, columns=64, PixelData=None, BitsAllocated=bits, BitsStored=None, HighBit=None, PixelRepresentation=None)
        setattr(ds, keyword, values.tobytes())
        path = put(server, ds) + "/rendered"
        near(png(server, path), (values - values.min()) / (values.max() - values.min()) * 255)
        near(png(server, path, window="0.5,1,linear-exact"), shade(values, 0.5, 1, "linear-exact"))


def test_a_multi_frame_image_of_odd_bytes_in_big_endian(server):
    values = (numpy.arange(3 * 5 * 7) * 3 % 256).astype("u1").reshape(3, 5, 7)
    ds, _ = image(5, 7, BitsAllocated=8, BitsStored=8, HighBit=7, RescaleIntercept=0, WindowCenter=128, WindowWidth=256)
    ds.NumberOfFrames = 3
    ds.PixelData = values.tobytes() + b"\0"
    # Words of two pixels, the second one first (PS3.5 §8.1.1).
    swapped = numpy.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    del ds.PixelData
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = False, False
    write_dataset(stream, ds)
    body = stream.getvalue() + made.element(0x7FE0, 0x0010, "OW", swapped, order=">")
    response = web.stow(server, [made.wrap(body, made.CT, ds.SOPInstanceUID, "1.2.840.10008.1.2.2")])
    assert response.status_code == 200, response.text
    for n in (1, 2, 3):
        near(png(server, f"{path_of(ds)}/frames/{n}/rendered"), values[n - 1], grey=0)


def test_dcmtk_draws_the_same(server, tmp_path):
    ds, _ = image(WindowCenter=40, WindowWidth=400)
    (tmp_path / "a.dcm").write_bytes(made.file(ds))
    path = put(server, ds)
    for flags, params in ((["+Wi", "1"], {}), (["+Ww", "-600", "1500"], {"window": "-600,1500,linear"})):
        subprocess.run(["dcmj2pnm", *flags, "--write-png", "a.dcm", "a.png"], cwd=tmp_path, check=True, capture_output=True)
        near(png(server, path + "/rendered", **params), numpy.asarray(Image.open(tmp_path / "a.png").convert("L")))


# --- Studies and series --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(server):
    """Two series: three images and a multi-frame image; a report beside them."""
    study_uid, first, second = made.uid(), made.uid(), made.uid()
    objects = [image(study=study_uid, series=first, InstanceNumber=n, values=gradient(48, 64, start=n * 700))[0] for n in (1, 2, 3)]
    multi = made.instance(study=study_uid, series=second, rows=16, columns=20, frames=4)
    report = without_pixels(SR, study=study_uid, series=made.uid(), Modality="SR")
    put(server, *objects, multi, report)
    return objects, multi, report


def without_pixels(sop_class, **attributes):
    ds = made.instance(SOPClassUID=sop_class, **attributes)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation"):
        delattr(ds, keyword)
    return ds


def test_a072_a012_many_pictures_are_parts(server, study):
    objects, multi, _ = study
    at_study = f"/studies/{multi.StudyInstanceUID}"
    at_series = f"{at_study}/series/{objects[0].SeriesInstanceUID}"
    for path, count in ((at_study, 7), (at_series, 3), (path_of(multi), 4), (path_of(multi) + "/frames/1,3", 2)):
        url = path + "/rendered"
        response = web.get(server, url, PARTS, params={"viewport": "32,32"})
        assert response.status_code == 200, response.text
        parts = web.parts_of(response)
        assert len(parts) == count
        for headers, content in parts:
            assert headers["content-type"] == "image/jpeg"
            assert max(Image.open(io.BytesIO(content)).size) == 32
            alone = web.get(server, headers["content-location"], "*/*")
            assert alone.content == content
        if path != path_of(multi):
            refused = web.get(server, url, "image/jpeg")
            assert refused.status_code == 406 and "multipart/related" in refused.text
            default = web.get(server, url, "*/*")
            assert default.headers["content-type"].startswith('multipart/related; type="image/jpeg"')
        pngs = web.parts_of(web.get(server, url, 'multipart/related; type="image/png"'))
        assert {headers["content-type"] for headers, _ in pngs} == {"image/png"} and len(pngs) == count
    numbers = [h["content-location"].split("/")[-2] for h, _ in web.parts_of(web.get(server, path_of(multi) + "/frames/3,1/rendered", PARTS))]
    assert numbers == ["3", "1"]


def test_one_body_of_many_frames_is_the_one_that_stands_for_them(server):
    values = numpy.stack([gradient(16, 20, start=i * 999) for i in range(3)]).astype("<u2")
    plain = made.instance(rows=16, columns=20, frames=3, pixels=values.tobytes())
    named = made.instance(rows=16, columns=20, frames=3, pixels=values.tobytes(), RepresentativeFrameNumber=2)
    for ds, number in ((plain, 1), (named, 2)):
        path = put(server, ds)
        response = web.get(server, path + "/rendered", "image/png")
        assert response.content == web.get(server, f"{path}/frames/{number}/rendered", "image/png").content
        assert response.headers["content-location"].endswith(f"/frames/{number}/rendered")


def test_one_image_may_be_one_body(server):
    ds, _ = image()
    put(server, ds)
    for path in (f"/studies/{ds.StudyInstanceUID}", f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}"):
        picture(web.get(server, path + "/rendered", "image/jpeg"))
        assert len(web.parts_of(web.get(server, path + "/rendered", "*/*"))) == 1


def test_a076_objects_without_pixels_have_no_picture(server, study):
    plan = without_pixels(RT_PLAN, Modality="RTPLAN")
    path = put(server, plan)
    for url in (path, path.rsplit("/instances", 1)[0], path.rsplit("/series", 1)[0], path_of(study[2])):
        for resource in ("rendered", "thumbnail"):
            response = web.get(server, f"{url}/{resource}", "*/*")
            assert response.status_code in (404, 406) and response.text.strip(), (url, resource)
            assert "Maker" not in response.text and "MADE" not in response.text
    for resource in ("rendered", "thumbnail"):
        assert web.get(server, f"/studies/{made.uid()}/{resource}", "*/*").status_code == 404
        elsewhere = path.rsplit("/", 1)[0] + "/" + made.uid()
        assert web.get(server, f"{elsewhere}/{resource}", "*/*").status_code == 404


def test_what_cannot_be_decoded_says_what_is_on_offer(server):
    ds, _ = image()
    ds.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
    ds["PixelData"].is_undefined_length = True
    body = made.encode(ds)
    response = web.stow(server, [made.wrap(body, made.CT, ds.SOPInstanceUID, "1.2.840.10008.1.2.4.90")])
    assert response.status_code == 200, response.text
    for url in (path_of(ds) + "/rendered", path_of(ds) + "/thumbnail", f"/studies/{ds.StudyInstanceUID}/rendered", f"/studies/{ds.StudyInstanceUID}/thumbnail"):
        response = web.get(server, url, "*/*")
        assert response.status_code == 406 and "transfer-syntax=*" in response.text, url


def test_a065_a_reversible_color_transform_is_undone(server):
    pixels = numpy.random.default_rng(7).integers(0, 256, (40, 56, 3), numpy.uint8)
    codestream = io.BytesIO()
    Image.fromarray(pixels).save(codestream, "JPEG2000", no_jp2=True, mct=1)
    ds = made.instance(rows=40, columns=56, SamplesPerPixel=3, PhotometricInterpretation="YBR_RCT", PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7)
    ds.PixelData = encapsulate([codestream.getvalue()])
    ds["PixelData"].is_undefined_length = True
    data = made.wrap(made.encode(ds), ds.SOPClassUID, ds.SOPInstanceUID, "1.2.840.10008.1.2.4.90")
    assert web.stow(server, [data]).status_code == 200
    picture = web.get(server, path_of(ds) + "/rendered", "image/png")
    assert (numpy.asarray(Image.open(io.BytesIO(picture.content))) == pixels).all()


# --- Thumbnails ----------------------------------------------------------------------------------


def test_a075_thumbnails_at_four_levels(server, study):
    objects, multi, _ = study
    at_study = f"/studies/{multi.StudyInstanceUID}"
    paths = {
        at_study: objects[1],
        f"{at_study}/series/{objects[0].SeriesInstanceUID}": objects[1],
        path_of(objects[2]): objects[2],
        path_of(multi) + "/frames/3": None,
    }
    for path, expected in paths.items():
        for accept, query in (("*/*", ""), ("image/jpeg", ""), ("*/*", "?accept=image%2Fjpeg"), (BROWSER, "")):
            response = web.get(server, f"{path}/thumbnail{query}", accept)
            drawn = picture(response)
            assert max(drawn.size) <= 128
            assert b"Maker" not in response.content and b"MADE-1" not in response.content
            assert all(marker not in (0xE1, 0xFE) for marker, _ in jpeg_markers(response.content)), "EXIF or a comment"
        boxed = web.get(server, f"{path}/thumbnail", "*/*", params={"viewport": "64,64"})
        assert max(picture(boxed).size) == 64
        if expected is not None:
            same = web.get(server, path_of(expected) + "/rendered", "*/*", params={"viewport": "64,64"})
            assert boxed.content == same.content, "not the image in the middle"
        for bad in ("64", "0,64", "64,64,0,0", "x"):
            assert web.get(server, f"{path}/thumbnail", "*/*", params={"viewport": bad}).status_code == 400
        assert web.get(server, f"{path}/thumbnail", PARTS).status_code == 406
    assert web.get(server, path_of(multi) + "/frames/9/thumbnail", "*/*").status_code == 404


def test_a_large_image_gets_a_small_thumbnail(server, wide):
    response = web.get(server, wide[0] + "/thumbnail", "*/*")
    assert picture(response).size == (128, 96)
    assert len(response.content) < 20_000


# --- Limits --------------------------------------------------------------------------------------


def test_many_at_once_are_all_answered(server, wide):
    answers = []

    def ask(n):
        answers.append(web.get(server, wide[0] + "/rendered", "image/png", params={"window": f"{n},400,linear"}).status_code)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) == {200}


def test_pixels_that_are_not_what_they_say_cost_an_error_only(server):
    odd = [
        {"Rows": 65535, "Columns": 65535},
        {"BitsAllocated": 24},
        {"PhotometricInterpretation": "CMYK"},
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3},
        {"HighBit": 99},
        {"VOILUTSequence": lookup(0, 16, [])},
        {"VOILUTSequence": lookup(0, 99, [1, 2])},
    ]
    for attributes in odd:
        ds = made.instance(**attributes)
        if web.stow(server, [made.file(ds)]).status_code != 200:
            continue
        for resource in ("rendered", "thumbnail"):
            response = web.get(server, f"{path_of(ds)}/{resource}", "*/*")
            assert response.status_code in (200, 400, 404, 406, 413), (attributes, response.status_code)
    assert "panicked" not in server.log()


# --- Real files ----------------------------------------------------------------------------------


# Files that pydicom does not draw as the standard has it, with the reason.
UNJUDGED = {
    "test_files/badVR.dcm": "pydicom reads an IS that is none",
    "data_store/OT-PAL-8-face.dcm": "pydicom finds no transfer syntax",
    "data_store/eCT_Supplemental.dcm": "windows in functional groups, and a supplemental palette, which is not drawn",
}
# pydicom reads big endian tables as little endian ones: the same image in the other order is its judge.
JUDGED_BY = {
    "data_store/OBXXXX1A_expb.dcm": "data_store/OBXXXX1A.dcm",
    "data_store/OBXXXX1A_expb_2frame.dcm": "data_store/OBXXXX1A_2frame.dcm",
    "data_store/gdcm-US-ALOKA-16_big.dcm": "data_store/gdcm-US-ALOKA-16.dcm",
}


def test_real_native_images_look_as_pydicom_draws_them(start):
    # Many of the files are the same instance in another dress: the last one counts.
    server = start(config={"ingest": {"duplicate": "replace", "patient_conflict": "accept"}})
    looked, odd = 0, []
    for case in corpus.storable():
        ds = case.dataset
        if case.transfer_syntax not in NATIVE or "PixelData" not in ds or "Rows" not in ds:
            continue
        assert web.stow(server, [case.data]).status_code == 200
        path = web.instance_path(*case.uids) + "/frames/1/rendered"
        response = web.get(server, path, "image/png")
        if response.status_code != 200:
            odd.append((case.name, response.status_code, response.text[:100]))
            continue
        drawn = numpy.asarray(Image.open(io.BytesIO(response.content)))
        if case.name in UNJUDGED or case.sop_class in IN_COLORS or not is_square(ds):
            continue
        expected = expected_picture(corpus.by_name(JUDGED_BY.get(case.name, case.name)).dataset)
        looked += 1
        if drawn.shape != expected.shape:
            odd.append((case.name, drawn.shape, expected.shape))
        elif numpy.abs(drawn - expected).max() > 1:
            odd.append((case.name, ds.PhotometricInterpretation, float(numpy.abs(drawn - expected).max())))
    assert looked > 90 and not odd, (looked, odd)
