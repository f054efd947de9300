"""The quick look in Chromium: what is on its canvas is what pydicom makes of the same file, hands and keys do what they
say, and nobody sees there what they may not see. Every test ends with the browser's own log: no error, no violation of
the page's policy. Screenshots are left in target/screenshots."""

import io
import re
import struct

import numpy
import pytest
import requests
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from harness import corpus, derived, made, people, pixels, wait, web
from harness.browser import Browser
from harness.granting import HOUR_MS, Office, now_ms, report
from harness.looking import Look, greys, palette
from test_languages import CATALOGUES, TAGS, TEXTS, is_english

RNG = numpy.random.default_rng(8)
AXIAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def look(server, browser):
    """A new tab, judged at the end."""
    page = browser.open()
    page.call("setViewportSize", {"width": 1280, "height": 800})
    look = Look(page, server)
    yield look
    try:
        look.judge()
    finally:
        page.close()


def store(server, *objects, syntax=ExplicitVRLittleEndian, session=requests):
    answer = web.stow(server, [made.file(ds, syntax) for ds in objects], session=session)
    assert answer.status_code == 200, answer.text


def noise(rows, columns, lowest, highest, dtype="<i2"):
    return RNG.integers(lowest, highest + 1, (rows, columns)).astype(dtype)


def grey(array, **attributes):
    """An image of these stored values."""
    allocated = array.dtype.itemsize * 8
    return made.instance(
        rows=array.shape[0], columns=array.shape[1], pixels=array.tobytes(), BitsAllocated=allocated,
        **({"BitsStored": allocated, "HighBit": allocated - 1, "PixelRepresentation": int(array.dtype.kind == "i")} | attributes),
    )  # fmt: skip


def stack(study, series, places, orientation=AXIAL, **attributes):
    """Slices at these places along the normal, numbered in their order."""
    along = {tuple(AXIAL): 2, tuple(SAGITTAL): 0}[tuple(orientation)]
    sign = {2: 1, 0: -1}[along]
    for number, place in enumerate(places, 1):
        position = [-100.0, -100.0, -100.0]
        position[along] = sign * float(place)
        yield grey(
            noise(64, 64, 0, 2000, "<u2"), study=study, series=series, InstanceNumber=number, ImageOrientationPatient=orientation,
            ImagePositionPatient=position, PixelSpacing=[0.5, 0.5], WindowCenter=1000, WindowWidth=2000, **attributes,
        )  # fmt: skip


def check_greys(look, expected, off_max=1.0, pane=0):
    """What is shown, pixel for pixel, is within a grey of what it must be."""
    shown, part = look.pixels(*expected.shape[:2], pane=pane)
    expected = expected[part]
    if expected.ndim == 2:
        assert (shown.max(2) == shown.min(2)).all(), "greys are grey"
        shown = shown[..., 0]
    assert shown.shape == expected.shape and shown.size > 15
    off = numpy.abs(shown - expected).max()
    assert off <= off_max, f"greys differ by {off}"


# What pictures are made of

SHAPES = {
    "signed CT with intercept": (noise(128, 96, -2000, 3000), {"RescaleSlope": 1, "RescaleIntercept": -24, "WindowCenter": 40, "WindowWidth": 400}),
    "a slope below one": (noise(40, 40, 0, 4095, "<u2"), {"RescaleSlope": "0.25", "RescaleIntercept": "-10.5", "WindowCenter": "300.5", "WindowWidth": "611.3"}),
    "exact": (noise(40, 40, 0, 4095, "<u2"), {"WindowCenter": 2000, "WindowWidth": 777, "VOILUTFunction": "LINEAR_EXACT"}),
    "sigmoid": (noise(40, 40, 0, 4095, "<u2"), {"WindowCenter": 2000, "WindowWidth": 777, "VOILUTFunction": "SIGMOID"}),
    "a window of one": (noise(40, 40, -3, 3), {"WindowCenter": 1, "WindowWidth": 1}),
    "no window": (noise(40, 40, -700, 900), {}),
    "no window, padding": (numpy.where(noise(40, 40, 0, 3) == 0, -2000, noise(40, 40, 0, 900)).astype("<i2"), {"PixelPaddingValue": -2000}),
    "bytes": (noise(33, 47, 0, 255, "u1"), {"WindowCenter": 128, "WindowWidth": 256, "PixelRepresentation": 0}),
    "signed bytes": (noise(33, 46, -128, 127, "i1"), {"WindowCenter": 0, "WindowWidth": 100}),
    "MONOCHROME1": (noise(200, 160, 0, 4095, "<u2"), {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2048, "WindowWidth": 3000}),
    "32 bits": (noise(20, 30, -100_000, 3_000_000, "<i4"), {}),
    "32 bits unsigned": (noise(20, 30, 0, 4_000_000_000, "<u4"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_greys_are_those_of_the_formula(look, server, name):
    array, attributes = SHAPES[name]
    ds = grey(array, **attributes)
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    check_greys(look, greys(dcmread(io.BytesIO(made.file(ds)))))


def test_bits_above_those_stored_are_nothing(look, server):
    """Overlays lay there once; the sign is the highest bit stored (PS3.5 §8.1.1)."""
    values = noise(40, 40, -2048, 2047)
    cells = ((values & 0xFFF) | (noise(40, 40, 0, 15) << 12)).astype("<u2")
    ds = grey(cells, BitsStored=12, HighBit=11, PixelRepresentation=1, WindowCenter=0, WindowWidth=4096)
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    # pydicom masks by itself, to the same values.
    assert (dcmread(io.BytesIO(made.file(ds))).pixel_array == values).all()
    check_greys(look, greys(dcmread(io.BytesIO(made.file(ds)))))


def test_floats_and_single_bits_are_greys(look, server):
    values = RNG.normal(0.2, 3, (30, 40)).astype("<f4")
    ds = grey(noise(30, 40, 0, 9, "<i4"), BitsStored=None, HighBit=None, PixelRepresentation=None, PixelData=None, WindowCenter="0.5", WindowWidth="4.5", VOILUTFunction="LINEAR_EXACT", SOPClassUID="1.2.840.10008.5.1.4.1.1.30")  # fmt: skip
    ds.add_new(0x7FE00008, "OF", values.tobytes())
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    check_greys(look, ((values.astype(float) - 0.5) / 4.5 + 0.5).clip(0, 1) * 255)
    bits = noise(16, 24, 0, 1, "u1")
    ds = made.instance(rows=16, columns=24, pixels=numpy.packbits(bits, bitorder="little").tobytes(), BitsAllocated=1, BitsStored=1, HighBit=0)
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    check_greys(look, bits.astype(float) * 255, off_max=0)


def table(first, entries, bits):
    item = Dataset()
    item.add_new(0x00283002, "US" if first >= 0 else "SS", [len(entries) % 65536, first, bits])
    item.add_new(0x00283006, "OW", numpy.asarray(entries, "<u2").tobytes())
    return item


@pytest.mark.parametrize("entries", [256, 4096])
def test_a_table_of_the_image_is_its_tone(look, server, entries):
    """VOI LUT Sequence, short enough to stand in the metadata and long enough to lie behind a link."""
    curve = numpy.round((numpy.arange(entries) / (entries - 1)) ** 0.5 * 1023)
    ds = grey(noise(60, 60, 0, entries + 50, "<u2"), VOILUTSequence=Sequence([table(20, curve, 10)]))
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    check_greys(look, greys(dcmread(io.BytesIO(made.file(ds)))))
    assert "Table of the image" in look.text("tones")
    # Who drags begins with the window that spans the table.
    look.drag(64, 0)
    assert look.window() == (pytest.approx(entries * 1.25, abs=1), pytest.approx(20 + entries / 2, abs=1))


def test_a_modality_table_goes_before_the_window(look, server):
    curve = numpy.round(numpy.linspace(5000, 100, 1000))
    ds = grey(noise(60, 60, 0, 1100, "<u2"), ModalityLUTSequence=Sequence([table(10, curve, 16)]), WindowCenter=2500, WindowWidth=3000)
    ds.ModalityLUTSequence[0].ModalityLUTType = "US"
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    values = curve[(ds_values(ds) - 10).clip(0, 999)]
    expected = ((values - 2499.5) / 2999 + 0.5).clip(0, 1) * 255
    check_greys(look, expected)


def ds_values(ds):
    return dcmread(io.BytesIO(made.file(ds))).pixel_array.astype(int)


GREY_FILES = """
CT_small.dcm MR_small_RLE.dcm MR_small_jp2klossless.dcm MR_small_bigendian.dcm JPEG-LL.dcm
MR_small_jpeg_ls_lossless.dcm examples_jpeg2k.dcm
""".split()


@pytest.mark.parametrize("name", GREY_FILES)
def test_real_files_in_every_syntax(look, server, name):
    case = next((one for one in corpus.storable() if one.name.endswith("/" + name)), None)
    assert case, name
    ds = dcmread(io.BytesIO(case.data), force=True)
    store_file(server, case.data)
    look.open(ds.StudyInstanceUID, series=ds.SeriesInstanceUID, instance=ds.SOPInstanceUID)
    check_greys(look, ds.pixel_array if ds.SamplesPerPixel == 3 else greys(ds))


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG2000.dcm"])
def test_lossy_greys_are_those_of_the_reference_decoders(look, server, tmp_path, name):
    """DCMTK's to the value; OpenJPEG's within one stored value, which the window may make two greys of."""
    case = corpus.by_name(f"test_files/{name}")
    ds = store_file(server, case.data)
    look.open(ds.StudyInstanceUID, series=ds.SeriesInstanceUID, instance=ds.SOPInstanceUID)
    if pixels.syntax_of(case.data) in pixels.DCMTK:
        check_greys(look, greys(pixels.by_dcmtk(case.data, tmp_path)))
    else:
        check_greys(look, greys(ds), off_max=1 + 255 / float(ds.WindowWidth) if "WindowWidth" in ds else 2)
    assert look.text("notes").startswith("Lossy")


def store_file(server, data):
    answer = web.stow(server, [data])
    assert answer.status_code in (200, 202, 409), answer.text
    return dcmread(io.BytesIO(data), force=True)


def test_a_palette_has_its_colors(look, server):
    case = corpus.by_name("test_files/examples_palette.dcm")
    ds = store_file(server, case.data)
    look.open(ds.StudyInstanceUID)
    check_greys(look, palette(ds))


def test_lossy_colors_are_those_of_dcmtk_and_say_that_they_are_lossy(look, server, tmp_path):
    case = corpus.by_name("test_files/SC_rgb_jpeg_dcmtk.dcm")
    ds = store_file(server, case.data)
    look.open(ds.StudyInstanceUID, series=ds.SeriesInstanceUID, instance=ds.SOPInstanceUID)
    check_greys(look, pixels.by_dcmtk(case.data, tmp_path).pixel_array)
    assert look.text("notes").startswith("Lossy")


def loop(frames=24):
    """An ultrasound loop in colors, each frame unlike the others."""
    pictures = RNG.integers(0, 256, (frames, 60, 80, 3)).astype("u1")
    return pictures, made.instance(
        rows=60, columns=80, frames=frames, pixels=pictures.tobytes(), SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", Modality="US",
        SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7,
        FrameTime="40", FrameIncrementPointer=0x00181063,
    )  # fmt: skip


def test_a_loop_plays_from_its_end_to_its_beginning(look, server):
    pictures, ds = loop()
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    check_greys(look, pictures[0], off_max=0)
    look.press("End")
    look.at(24)
    check_greys(look, pictures[23], off_max=0)
    assert "frame 24" in look.text("where") and "Colors as stored" in look.text("tones")
    look.page.evaluate("window.seen = []; new MutationObserver(() => seen.push(Number(document.querySelector('.pane').dataset.shown)))"
                       ".observe(document.querySelector('.pane'), { attributeFilter: ['data-shown'] })")  # fmt: skip
    look.press(" ")
    look.page.until("seen.length >= 60", "sixty pictures")
    look.press(" ")
    seen = [one for one, before in zip(look.page.evaluate("seen"), [24, *look.page.evaluate("seen")], strict=False) if one != before]
    assert all(b == a % 24 + 1 for a, b in zip(seen, seen[1:], strict=False)), seen
    rest = look.shown()
    look.drawn()
    assert look.shown() == rest, "it has stopped"


def test_colors_are_made_brighter_channel_by_channel(look, server):
    pictures, ds = loop(1)
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    look.drag(0, -64)
    # A quarter of the width of 255 down from its middle: brighter.
    center = 127.5 - 64 * 255 / 256
    check_greys(look, ((pictures[0] - center) / 255 + 0.5).clip(0, 1) * 255)
    look.press("i")
    check_greys(look, 255 - ((pictures[0] - center) / 255 + 0.5).clip(0, 1) * 255)


def test_frames_have_windows_and_places_of_their_own(look, server):
    """Functional groups of an enhanced CT: per frame before shared; the order is that of places, which rise with the frames."""
    places = [30.0, 10.0, 20.0, 0.0]
    values = [noise(32, 32, 0, 4000, "<u2") for _ in places]
    ds = made.instance(
        rows=32, columns=32, frames=4, pixels=b"".join(v.tobytes() for v in values), SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1",
        BitsAllocated=16, BitsStored=16, HighBit=15, WindowCenter=1, WindowWidth=2,
    )  # fmt: skip
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = [0.5, 0.5], AXIAL
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for number, place in enumerate(places):
        group, position, window, change = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0.0, 0.0, place]
        window.WindowCenter, window.WindowWidth = 500 * (number + 1), 800
        change.RescaleIntercept, change.RescaleSlope, change.RescaleType = -100 * number, 1, "HU"
        group.PlanePositionSequence, group.FrameVOILUTSequence = Sequence([position]), Sequence([window])
        group.PixelValueTransformationSequence = Sequence([change])
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    # Frame 1 lies at 30, so the stack begins with it and goes down.
    for at, frame in enumerate((0, 2, 1, 3), 1):
        look.at(at)
        assert f"frame {frame + 1}" in look.text("where") and f"Slice {places[frame]:.1f} mm" in look.text("where")
        expected = ((values[frame] - 100.0 * frame - (500 * (frame + 1) - 0.5)) / 799 + 0.5).clip(0, 1) * 255
        check_greys(look, expected)
        look.press("ArrowDown")


# Hands and keys


def test_wheel_keys_and_slider_go_through_the_stack(look, server):
    study = made.uid()
    slices = list(stack(study, made.uid(), [0, 5, 10, 15, 20] + [30 + n for n in range(20)]))
    # Numbers of their own order, and sent in another: places decide, in the direction of the numbers.
    store(server, *slices[::-1])
    look.open(study)
    box = look.box()
    look.page.call("mouse.move", box["x"] + 50, box["y"] + 50)
    for notch, expected in ((100, 2), (100, 3), (-100, 2)):
        look.page.call("mouse.wheel", 0, notch)
        look.at(expected)
    for key, expected in (("ArrowDown", 3), ("ArrowRight", 4), ("ArrowUp", 3), ("PageDown", 13), ("End", 25), ("ArrowDown", 25), ("PageUp", 15), ("Home", 1)):  # fmt: skip
        look.press(key)
        look.at(expected)
    look.page.call("fill", ".slider", "7")
    look.at(7)
    assert look.text("where").split("\n") == ["7 / 25", "Image 7", "Slice 31.0 mm"]
    check_greys(look, greys(dcmread(io.BytesIO(made.file(slices[6])))))
    told = look.text("patient")
    assert all(word in told for word in ("Maker, Test", "MADE-1", "2026-01-02", "CT"))
    assert look.page.evaluate("document.querySelector('.slider').getAttribute('aria-valuetext')") == "Image 7 of 25"


def test_a_drag_changes_the_window_by_its_length(look, server):
    values = noise(256, 256, -1024, 3000)
    ds = grey(values, WindowCenter=40, WindowWidth=400, RescaleSlope=1, RescaleIntercept=0)
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    assert look.window() == (400, 40)
    # A pixel is a 256th of the width.
    look.drag(64, 32)
    assert look.window() == (500, 90)
    check_greys(look, greys(ds_of(ds), window=(90, 500)))
    look.drag(-10_000, 0)
    assert look.window() == (1, 90)
    look.press("3")
    assert look.window() == (1500, -600)
    check_greys(look, greys(ds_of(ds), window=(-600, 1500)))
    look.press("i")
    check_greys(look, 255 - greys(ds_of(ds), window=(-600, 1500)))
    look.press("r")
    assert look.window() == (400, 40)
    check_greys(look, greys(ds_of(ds)))
    look.page.call("selectOption", "#bar select", {"index": 3})
    look.drawn()
    assert look.window() == (2500, 480)


def ds_of(ds):
    return dcmread(io.BytesIO(made.file(ds)))


def test_pictures_are_turned_flipped_moved_and_enlarged(look, server):
    values = noise(48, 80, 0, 255, "u1")
    ds = grey(values, WindowCenter=128, WindowWidth=256, ImageOrientationPatient=AXIAL, ImagePositionPatient=[0, 0, 0], PixelSpacing=[1, 1])
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    assert look.edges() == "RLAP"
    look.press("t")
    assert look.edges() == "PARL"
    check_greys(look, greys(ds_of(ds))[::-1].T)
    look.press("h")
    assert look.edges() == "APRL"
    check_greys(look, greys(ds_of(ds)).T)
    look.press("v")
    check_greys(look, greys(ds_of(ds)).T[::-1])
    look.press("r", "v")
    assert look.edges() == "RLPA"
    look.press("r", "0")
    before = look.canvas()
    look.tool("Pan")
    look.drag(30, -20)
    assert (numpy.roll(before, (-20, 30), (0, 1)) == look.canvas()).all()
    look.press("f")
    assert re.search(r"Zoom \d+ %", look.text("tones"))
    fitted = look.canvas()[..., 0]
    # The whole height or width is filled.
    assert (fitted.max(0) > 0).mean() > 0.98 or (fitted.max(1) > 0).mean() > 0.98
    words, length = look.scale()
    millimetres = float(words.split()[0])
    width = (fitted.max(0) > 0).sum()
    assert words.endswith("mm") and length == pytest.approx(millimetres * width / 80, abs=1.5)


def test_a_detector_is_not_the_patient(look, server):
    values = noise(300, 250, 0, 4095, "<u2")
    ds = grey(values, SOPClassUID="1.2.840.10008.5.1.4.1.1.1", Modality="CR", ImagerPixelSpacing=[0.2, 0.2], PatientOrientation=["L", "F"], PhotometricInterpretation="MONOCHROME1")  # fmt: skip
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    look.press("0")
    words, length = look.scale()
    assert "not calibrated" in words and length == pytest.approx(float(words.split()[0]) / 0.2, abs=0.5)
    assert look.edges() == "RLHF"
    look.press("h")
    assert look.edges() == "LRHF"


def test_without_spacing_there_is_no_bar(look, server):
    ds = grey(noise(64, 64, 0, 255, "u1"))
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    assert look.scale() is None and look.edges() == ""


def test_the_value_under_the_pointer_is_told(look, server):
    values = noise(64, 64, -1000, 1000)
    ds = grey(values, WindowCenter=0, WindowWidth=2000, RescaleSlope=2, RescaleIntercept=-7)
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    look.press("0")
    box = look.box()
    left, top = ((int(box[side]) - 64 + 1) // 2 for side in ("width", "height"))
    for column, row in ((0, 0), (63, 10), (17, 63)):
        look.page.call("mouse.move", box["x"] + left + column + 0.5, box["y"] + top + row + 0.5)
        told = look.page.evaluate("document.querySelector('.tones').dataset.value")
        assert told == f"{column}, {row}: {values[row, column] * 2 - 7} HU"


def test_fingers_scroll_window_and_enlarge(look, server):
    study = made.uid()
    store(server, *stack(study, made.uid(), range(0, 30)))
    look.open(study)
    x, y = look.middle()

    def touch(kind, *points):
        told = [{"x": a, "y": b, "id": n} for n, (a, b) in enumerate(points)]
        look.page.call("devtools", "Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    def swipe(*fingers):
        touch("touchStart", *[path[0] for path in fingers])
        for step in range(1, len(fingers[0])):
            touch("touchMove", *[path[step] for path in fingers])
        touch("touchEnd")
        look.drawn()

    look.page.call("devtools", "Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    look.tool("Scroll")
    swipe([(x, y), (x, y + 30), (x, y + 61)])
    look.at(6)
    look.tool("Window")
    width, center = look.window()
    swipe([(x, y), (x + 20, y), (x + 64, y)])
    assert look.window() == (pytest.approx(width * 1.25, rel=0.01), center)
    look.press("0")
    swipe([(x - 50, y), (x - 75, y), (x - 100, y)], [(x + 50, y), (x + 75, y), (x + 100, y)])
    assert "Zoom 200 %" in look.text("tones")
    assert look.shown() == 6


def test_help_is_there_and_every_button_has_a_name(look, server):
    ds = grey(noise(64, 64, 0, 255, "u1"))
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    look.press("?")
    look.page.see("dialog[open] h2")
    look.page.screenshot("quick-look-help")
    look.press("i")
    assert "inverted" not in look.text("tones"), "keys rest while the help is open"
    look.press("Escape")
    look.press("i")
    assert "inverted" in look.text("tones")
    names = look.page.evaluate("[...document.querySelectorAll('button, select, input')].map((e) => e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.textContent)")  # fmt: skip
    assert all(name.strip() for name in names) and len(names) > 14


# Two studies


def two(server, orientation=AXIAL, there=AXIAL, places=(range(0, 60, 5), range(2, 62, 3))):
    now, before = made.uid(), made.uid()
    patient = {"PatientID": made.uid()[-16:]}
    store(server, *stack(now, made.uid(), places[0], orientation, **patient))
    store(server, *stack(before, made.uid(), places[1], there, StudyDate="20250101", **patient))
    return now, before, [list(one) for one in places]


def test_a_prior_is_scrolled_to_the_nearest_place(look, server):
    now, before, (here, there) = two(server)
    look.open(now)
    look.page.click("summary")
    look.page.click(f"details a[href*='prior={before}']")
    look.page.until("document.querySelectorAll('.pane').length === 2", "two panes")
    look.ready(1)
    look.page.until("document.querySelector('output').textContent === 'Linked by place'", "how they are linked")
    for number in (1, 4, 8, 12):
        look.page.call("fill", ".slider >> nth=0", str(number))
        look.at(number)
        nearest = min(range(len(there)), key=lambda n: abs(there[n] - here[number - 1]))
        look.at(nearest + 1, pane=1)
    # The other way round.
    look.page.call("fill", ".slider >> nth=1", "11")
    look.at(11, pane=1)
    look.at(min(range(len(here)), key=lambda n: abs(here[n] - there[10])) + 1)
    # Alone, and then together again as far apart as they are.
    look.press("l")
    look.page.call("fill", ".slider >> nth=0", "2")
    look.at(2)
    assert look.shown(1) == 11
    look.press("l")
    apart = there[10] - here[1]
    look.page.call("fill", ".slider >> nth=0", "5")
    look.at(5)
    look.at(min(range(len(there)), key=lambda n: abs(there[n] - here[4] - apart)) + 1, pane=1)
    assert f"{apart:.1f} mm apart" in look.page.evaluate("document.querySelector('output').textContent")
    look.page.screenshot("quick-look-prior")


def test_planes_that_cross_are_linked_by_part(look, server):
    now, before, (here, there) = two(server, AXIAL, SAGITTAL)
    look.open(now, panes=2, prior=before)
    look.page.until("document.querySelector('output').textContent === 'Linked by part of the stack'", "how they are linked")
    assert look.edges(1) == "APHF"
    for number in (1, 6, 12):
        look.page.call("fill", ".slider >> nth=0", str(number))
        look.at(number)
        look.at(round((number - 1) / (len(here) - 1) * (len(there) - 1)) + 1, pane=1)


def test_other_patients_are_said_to_be_others(look, server):
    one, other = grey(noise(32, 32, 0, 9, "u1"), PatientID="ONE-1"), grey(noise(32, 32, 0, 9, "u1"), PatientID="OTHER-1")
    store(server, one, other)
    look.open(one.StudyInstanceUID, panes=2, prior=other.StudyInstanceUID)
    assert "different Patient IDs" in look.page.call("textContent", "header [role=alert]")


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (("IDS-1", "A"), ("IDS-1", "B"), "The two studies have Patient IDs of different issuers"),
        (("IDS-2", "A"), ("IDS-2", ""), "The two studies have Patient IDs of different issuers"),
        (("", ""), ("", ""), "Without Patient IDs nobody knows whether the two studies are of one patient"),
        (("IDS-3", ""), ("", ""), "Without Patient IDs nobody knows whether the two studies are of one patient"),
        (("IDS-4", "A"), ("IDS-4", "A"), ""),
        (("IDS-5", ""), ("IDS-5", ""), ""),
    ],
)
def test_a_patient_is_an_id_of_an_issuer(server, one, other, words):
    """Offered to be compared with, or to go along with a case, are studies of the same patient only."""
    studies = []
    for number, (patient, issuer) in enumerate((one, other)):
        ds = made.instance(PatientID=patient, IssuerOfPatientID=issuer, StudyDescription=f"Study {number}")
        store(server, ds)
        studies.append(ds.StudyInstanceUID)
    for study, beside in (studies, studies[::-1]):
        here = f"{server.url}/studies/{study}"
        together = requests.get(f"{here}/look?prior={beside}", timeout=30)
        assert together.status_code == 200
        assert re.findall(r'role="alert">([^<]*)<', together.text) == [words] * bool(words)
        alone = requests.get(f"{here}/look", timeout=30).text
        assert (f"prior={beside}" in alone) == ("<summary>Compare" in alone) == (not words)
        form = requests.get(f"{here}/case", timeout=30)
        assert form.status_code == 200 and (f'name="prior" value="{beside}"' in form.text) == (not words)


def test_a_study_without_an_id_is_of_the_same_patient_as_itself(server):
    ds = made.instance(PatientID="")
    store(server, ds)
    uid = ds.StudyInstanceUID
    assert 'role="alert"' not in requests.get(f"{server.url}/studies/{uid}/look?prior={uid}", timeout=30).text


# What goes wrong, and how much is asked for


def test_one_broken_image_does_not_stop_the_others(look, server):
    study, series = made.uid(), made.uid()
    slices = list(stack(study, series, range(5)))
    broken = pixels.compressed(slices[2], [b"\xff\xd8\xff\xe0 this is no JPEG \xff\xd9"], pixels.LOSSLESS_SV1)
    store(server, *slices[:2], *slices[3:])
    assert web.stow(server, [broken]).status_code == 200
    # Asked for as octets, and then as the server draws it.
    look.forgiven += [r"^status: 406 GET \S+/(frames/1|frames/1/rendered|thumbnail)$", r"^console: Failed to load resource: .*406"]
    look.open(study)
    for number in (1, 2, 3, 4, 5):
        look.page.call("fill", ".slider", str(number))
        look.ready(state="error" if number == 3 else "ready")
        assert look.shown() == number
        if number == 3:
            assert "Image 3 cannot be shown" in look.text("message")
            assert look.canvas().max() == 0, "no picture under the wrong number"
        else:
            assert look.text("message") == ""
            check_greys(look, greys(ds_of(slices[number - 1])))
    assert {re.search(r"status: (\d+)", fault).group(1) for fault in look.page.faults() if fault.startswith("status")} == {"406"}


def test_few_frames_are_asked_for_at_once(look, server):
    study = made.uid()
    store(server, *stack(study, made.uid(), range(60)))
    look.open(study)
    look.page.until("performance.getEntriesByType('resource').filter((e) => e.name.includes('/frames/')).length === 60", "all have come")
    entries = look.page.evaluate("performance.getEntriesByType('resource').filter((e) => e.name.includes('/frames/')).map((e) => [e.startTime, e.responseEnd])")  # fmt: skip
    at_once = max(sum(start <= begin < end for start, end in entries) for begin, _ in entries)
    assert 1 <= at_once <= 4
    # One request for all metadata of the series.
    assert sum("/metadata" in request["url"] for request in look.page.requests()) == 1


def frames_asked(look, of=""):
    """The frames that a page has asked for, one for each time."""
    asked = [request["url"] for request in look.page.requests() if "/frames/" in request["url"]]
    return [url.removesuffix("/rendered") for url in asked if of in url]


def test_large_images_behind_a_small_one_come_to_rest(look, server):
    """A localizer first: what is read ahead is counted by its own size, not by that of what is shown."""
    study, series = made.uid(), made.uid()
    small = grey(numpy.zeros((512, 512), "<u2"), study=study, series=series, InstanceNumber=1)
    objects = [made.file(small)]
    # RLE of zeros (PS3.5 §G): two segments, each row of them 31 runs of 128 and one of 32.
    segment = (b"\x81\0" * 31 + b"\xe1\0") * 3000
    zeros = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2
    for number in range(2, 32):
        large = made.instance(rows=3000, columns=4000, pixels=b"", BitsAllocated=16, BitsStored=16, HighBit=15, study=study, series=series, InstanceNumber=number)
        objects.append(pixels.compressed(large, [zeros], pixels.RLE))
    answer = web.stow(server, objects)
    assert answer.status_code == 200, answer.text
    look.open(study)
    # Half of 256 MiB: the small one, and five of 24 million bytes.
    finished = "performance.getEntriesByType('resource').filter((e) => e.name.includes('/frames/') && e.responseEnd).length"
    look.page.until(f"{finished} >= 6", "what is wanted has come")
    # Whatever was begun when the last of them had come is answered when one that was asked for later is here.
    last = f"{server.url}/dicom-web/studies/{study}/series/{series}/instances/{small.SOPInstanceUID}/thumbnail?viewport=16,16"
    look.page.evaluate(f"(async () => (await fetch('{last}')).arrayBuffer().then((all) => all.byteLength))()")
    look.drawn()
    asked = frames_asked(look)
    assert len(asked) == len(set(asked)) == 6, asked


# The loader of the page with less room: where it comes to rest, or that it does not.
LOADED = """(async () => {
    const address = (name) => [...document.querySelectorAll('link[rel=modulepreload]')].find((e) => e.href.endsWith(name)).href;
    const { Loader } = await import(address('/look/loader.js'));
    const { imagesOf } = await import(address('/look/images.js'));
    const root = new URL(document.body.dataset.dicomweb, location).href;
    const answer = await fetch(`${root}/studies/%(study)s/series/%(series)s/metadata`, { headers: { Accept: 'application/dicom+json' } });
    const { images } = imagesOf(await answer.json(), root, '');
    const sizeOf = ({ frame }) => (frame?.cells ?? frame?.colors)?.byteLength ?? 0;
    let came = 0;
    let changed;
    const listed = [];
    const rests = (loader) => new Promise((done) => {
        const look = () => {
            const isAtRest = ![...loader.entries.values()].some((entry) => entry.controller);
            if (isAtRest || came > 3 * images.length) done(isAtRest);
        };
        // When all that goes on from there has begun.
        changed = () => setTimeout(look);
        look();
    });
    const heard = () => { came += 1; changed?.(); };
    const one = new Loader(root, heard);
    one.want(one, images.slice(0, 1), 0);
    await rests(one);
    const largest = Math.max(...[...one.entries.values()].map(sizeOf));
    came = 0;
    const loader = new Loader(root, heard, largest * %(room)s);
    for (const place of [0, 1]) {
        loader.want(loader, images, place);
        const isAtRest = await rests(loader);
        const held = [...loader.entries.values()].map(sizeOf);
        listed.push({ isAtRest, came, count: held.length, held: held.reduce((sum, one) => sum + one, 0), bytes: loader.bytes, max: loader.bytesMax });
        loader.changed = heard;
    }
    return listed;
})()"""


def loaded(look, ds, room):
    return look.page.evaluate(LOADED % {"study": ds.StudyInstanceUID, "series": ds.SeriesInstanceUID, "room": room})


def test_pictures_whose_size_nobody_knew_come_to_rest(look, server):
    """Waveforms have no Rows and Columns: they are counted when they come, and what had to go is not fetched again."""
    study, series = made.uid(), made.uid()
    samples = RNG.integers(-300, 300, (500, 2)).astype("<i2")
    objects = []
    for number in range(1, 13):
        ds = derived.waveform(derived.multiplex_group(samples, "SS"))
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber = study, series, number
        objects.append(ds)
    store(server, *objects)
    # Broken off, as those that are no longer wanted are.
    look.forgiven.append(r"^failed: GET \S+/frames/1/rendered net::ERR_ABORTED$")
    look.open(study)
    first, second = loaded(look, objects[0], room=3.5)
    assert first["isAtRest"] and second["isAtRest"], (first, second)
    for told in (first, second):
        assert told["held"] == told["bytes"] <= told["max"] and told["count"] == 3
    # All that were begun before it was known how large they are; then the size is known, and nothing more is read ahead.
    assert first["came"] <= 7 and second["came"] == first["came"]


def test_what_single_bits_take_is_counted(look, server):
    """A byte each, when they are unpacked."""
    bits = numpy.zeros((12, 64, 64), "u1")
    ds = made.instance(rows=64, columns=64, frames=12, pixels=numpy.packbits(bits, bitorder="little").tobytes(), BitsAllocated=1, BitsStored=1, HighBit=0)
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    for told in loaded(look, ds, room=5):
        assert told["isAtRest"] and told["held"] == told["bytes"] <= told["max"] == 5 * 64 * 64


def test_what_has_no_pictures_says_so(look, server):
    study = made.uid()
    text = report(study, SeriesDescription="A report")
    image = grey(noise(32, 32, 0, 9, "u1"), study=study)
    store(server, image, text)
    look.open(study)
    other = look.page.evaluate("[...document.querySelectorAll('#shelf .other')].map((e) => e.textContent)")
    assert len(other) == 1 and "A report" in other[0] and "No pictures" in other[0]
    where = look.page.evaluate("document.querySelector('#shelf .other a').href")
    assert text.SOPInstanceUID in where and where.endswith("/rendered")


# Without scripts, and who sees what


def test_without_scripts_there_is_a_picture_of_each_series(server):
    study = made.uid()
    objects = [grey(noise(32, 32, 0, 9, "u1"), study=study, SeriesNumber=n) for n in (1, 2)]
    store(server, *objects)
    answer = requests.get(f"{server.url}/studies/{study}/look", timeout=30)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:", "connect-src 'self'"):
        assert rule in policy
    assert "unsafe" not in policy and not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=", answer.text)
    plain = re.search(r"<noscript>(.*?)</noscript>", answer.text, re.S).group(1)
    links = re.findall(r'<a href="([^"]+)"><img src="([^"]+)"', plain)
    assert len(links) == 2
    for page, picture in links:
        for address, kind in ((page, "text/html"), (picture, "image/")):
            got = requests.get(requests.compat.urljoin(answer.url, address), timeout=30)
            assert got.status_code == 200 and got.headers["Content-Type"].startswith(kind)


def test_hostile_words_stay_words(look, server):
    words = "<u>not me</u>"
    ds = grey(noise(32, 32, 0, 9, "u1"), PatientName=words, PatientID="<b>1</b>", SeriesDescription=words, StudyDescription="</title><script>alert(1)</script>")
    store(server, ds)
    look.open(ds.StudyInstanceUID)
    assert words in look.text("patient") and "<b>1</b>" in look.text("patient")
    assert look.page.evaluate("document.querySelectorAll('script').length") == 1
    assert look.page.evaluate("document.querySelectorAll('u, b > b, p b').length") == 0
    assert words in look.page.call("textContent", "#shelf .entry") and words in look.page.call("textContent", "h1")


def test_scripts_are_of_one_version_and_kept(server):
    ds = grey(noise(8, 8, 0, 9, "u1"))
    store(server, ds)
    text = requests.get(f"{server.url}/studies/{ds.StudyInstanceUID}/look", timeout=30).text
    addresses = re.findall(r'(?:href|src)="(\.\./\.\./assets/[^"]+\.(?:js|css))"', text)
    assert len(addresses) > 12
    for address in addresses:
        answer = requests.get(requests.compat.urljoin(f"{server.url}/studies/1/look", address), timeout=30)
        assert answer.status_code == 200 and "immutable" in answer.headers["Cache-Control"], address
    assert requests.get(f"{server.url}/assets/0123456789abcdef/look.js", timeout=30).status_code == 404


def test_ways_lead_to_it(server):
    study = made.uid()
    ds = grey(noise(8, 8, 0, 9, "u1"), study=study, PatientID="WAYS-1")
    store(server, ds)
    assert f'href="studies/{study}/look"' in requests.get(f"{server.url}/?id=WAYS-1", timeout=30).text
    page = requests.get(f"{server.url}/studies/{study}", timeout=30).text
    assert f'href="{study}/look"' in page
    assert f'href="{study}/look?series={ds.SeriesInstanceUID}&amp;instance={ds.SOPInstanceUID}"' in page


def test_a_study_that_is_not_here(server):
    ds = grey(noise(8, 8, 0, 9, "u1"))
    store(server, ds)
    here = f"{server.url}/studies/{ds.StudyInstanceUID}/look"
    assert requests.get(here, timeout=30).status_code == 200
    for address in (f"{server.url}/studies/{made.uid()}/look", f"{here}?prior={made.uid()}", f"{here}?prior=x", f"{server.url}/studies/..%2f/look"):
        assert requests.get(address, timeout=30).status_code == 404, address


def test_a_blinded_reader_marks_images_and_finds_no_report(start, tmp_path):
    """By a link, in a browser of their own: the first report is nowhere, the key image is in the draft and on the case."""
    server = start()
    study, before, series = made.uid(), made.uid(), made.uid()
    patient = {"PatientID": "BLIND-1"}
    slices = list(stack(study, series, range(6), **patient))
    first = report(study, SeriesDescription="First reading", **patient)
    store(server, *slices, first, *stack(before, made.uid(), range(6), StudyDate="20250101", **patient))
    stranger = grey(noise(8, 8, 0, 9, "u1"), PatientID="BLIND-1", StudyDescription="Not of this case")
    store(server, stranger)
    office = Office(server)
    people.add_user(server, "rita", "requester")
    rita = requests.Session()
    rita.headers.update(people.bearer(people.token(server, "rita")[1]))
    api = f"{server.url}/api/v1"
    asked = rita.post(f"{api}/cases", json={
        "study_instance_uid": study, "priors": [before], "question": "?", "subspecialty": "any", "blinded": True, "readers": [{"pool": "any"}],
        "first_report": {"text": "A secret.", "instances": [{"series_instance_uid": first.SeriesInstanceUID, "sop_instance_uid": first.SOPInstanceUID}]},
    }, timeout=60)  # fmt: skip
    assert asked.status_code == 201, asked.text
    number = asked.json()["number"]
    assert rita.post(f"{api}/cases/{number}/complete", timeout=60).status_code == 200
    given = office.api("POST", "/grants", json={"case": number, "to": "reader", "label": "Dr. Dora Else", "expires_ms": now_ms() + HOUR_MS})
    assert given.status_code == 201, given.text
    with Browser(tmp_path) as own:
        tab = own.open()
        tab.call("goto", given.json()["link"])
        tab.click("main button")
        tab.click("button:has-text('Take the case')")
        tab.see("textarea[name=findings]")
        look = Look(tab, server)
        tab.click("a:has-text('Compare')")
        for pane in (0, 1):
            tab.until(f"document.querySelectorAll('.pane')[{pane}]?.dataset.state === 'ready'", "pictures")
        everything = tab.evaluate("document.documentElement.outerHTML")
        for secret in (first.SOPInstanceUID, first.SeriesInstanceUID, "First reading", "SR", "A secret", stranger.StudyInstanceUID, "Not of this case"):
            assert secret not in everything, secret
        assert before in everything
        look.press("ArrowDown", "k")
        tab.until("document.querySelector('output').textContent.includes('Marked as key image')", "the mark")
        assert "key image" in look.text("key-mark")
        tab.screenshot("quick-look-marked")
        look.press("ArrowDown", "k")
        tab.until("document.querySelector('.key-mark').textContent && document.querySelector('.pane').dataset.shown === '3'", "the second mark")
        look.press("k")
        tab.until("!document.querySelector('.key-mark').textContent", "unmarked")
        tab.click("header a:has-text('Case')")
        tab.see("input[name=key_image]")
        names = tab.evaluate("[...document.querySelectorAll('input[name=key_image]')].map((e) => e.value)")
        assert names == [f"{study}/{series}/{slices[1].SOPInstanceUID}"]
        look.judge()
    # What was looked at is in the trail.
    wait.until(lambda: any(before in row["studies"] and row["who"].startswith("link ") for row in people.trail(server)), "the trail tells", 30)


def test_a_link_to_look_is_enough(start, tmp_path):
    """A grant that is not for download: frames, and a table that lies behind a link of the metadata."""
    server = start()
    curve = numpy.round((numpy.arange(4096) / 4095) ** 2 * 4095)
    ds = grey(noise(60, 60, 0, 4095, "<u2"), VOILUTSequence=Sequence([table(0, curve, 12)]))
    other = grey(noise(8, 8, 0, 9, "u1"))
    store(server, ds, other)
    _, link = Office(server).give(ds.StudyInstanceUID)
    with Browser(tmp_path) as own:
        tab = own.open()
        tab.call("goto", link)
        tab.click("main button")
        tab.click("a:text-is('quick look')")
        look = Look(tab, server)
        tab.until("Boolean(document.querySelector('.pane'))", "a pane")
        look.ready()
        check_greys(look, greys(ds_of(ds)))
        look.judge()
        probe = own.open()
        probe.call("goto", f"{server.url}/studies/{other.StudyInstanceUID}/look")
        assert probe.requests()[0]["status"] == 404 and other.StudyInstanceUID not in probe.evaluate("document.body.textContent")


@pytest.mark.parametrize("tag", TAGS)
def test_it_speaks_as_its_reader_does(server, tmp_path, tag):
    said = CATALOGUES[tag]
    now, before, (here, _) = two(server)
    with Browser(tmp_path) as own:
        tab = own.open()
        tab.call("setExtraHTTPHeaders", {"Accept-Language": tag})
        look = Look(tab, server)
        look.open(now, panes=2, prior=before)
        look.press("ArrowDown", "i")
        look.at(2)
        assert tab.evaluate("document.documentElement.lang") == tag
        assert look.text("where").split("\n") == [
            f"2 / {len(here)}", said["Image {number}"].replace("{number}", "2"), said["Slice {place} mm"].replace("{place}", f"{here[1]:.1f}"),
        ]  # fmt: skip
        assert said["inverted"] in look.text("tones")
        assert tab.evaluate("document.querySelector('output').textContent") == said["Linked by place"]
        presets = tab.evaluate("[...document.querySelectorAll('#bar option')].map((e) => e.textContent)")
        assert presets[0] == "1 " + said["As the image says"] and said["Whole range"] in presets[-1]
        look.press("?")
        tab.see("dialog[open] h2")
        assert not [text for text in tab.evaluate(TEXTS) if is_english(tag, text)]
        look.press("Escape")
        tab.click("summary")
        for width in (1280, 390):
            tab.call("setViewportSize", {"width": width, "height": 800})
            tab.screenshot(f"quick-look-{tag}-{width}")
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight")
            assert tab.evaluate("document.querySelector('details ul').getBoundingClientRect().left >= 0")
        assert tab.complaints() == []
        # Another language is chosen here, and this page speaks it.
        address = tab.evaluate("location.href")
        tab.click(".languages a[hreflang=en]")
        tab.until("document.documentElement.lang === 'en' && document.querySelector('.pane')?.dataset.state === 'ready'", "English")
        assert tab.evaluate("location.href") == address
        look.judge()


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen(look, server, width):
    now, before, _ = two(server)
    look.page.call("setViewportSize", {"width": width, "height": 800})
    look.open(now, panes=2, prior=before)
    look.press("ArrowDown")
    assert look.page.evaluate("document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight")
    boxes = [look.box(pane) for pane in (0, 1)]
    assert all(box["width"] > 300 and box["height"] > 150 for box in boxes)
    look.page.screenshot(f"quick-look-{width}")
    look.page.call("goto", f"{server.url}/studies/{now}")
    look.page.see("a:text-is('Quick look')")
    look.page.screenshot(f"quick-look-way-{width}")
    look.page.click("p.open a:text-is('Quick look')")
    look.page.until("document.querySelector('.pane')?.dataset.state === 'ready'", "the picture")
