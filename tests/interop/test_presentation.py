"""Presentation states, shutters, annotations and overlays (PS3.4 §N.2; PS3.3 §A.33, §C.9.2, §C.10.5, §C.7.6.11).

Greys and turns are judged by DCMTK's dcmp2pgm and by the formulas in numpy, overlays of images by dcm2pnm,
figures by geometry and by Pillow."""

import subprocess
import time

import numpy
import pytest
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from harness import made, web
from harness import states as st
from harness.states import COLUMNS, RAMP, ROWS, array, drawn, image, lut, near, png, put, shade

HU = {"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"}
# The state says nothing of greys: all values that 12 bits can have.
WHOLE = RAMP / 4095 * 255
PARTS = 'multipart/related; type="image/png"'


# --- Greys ---------------------------------------------------------------------------------------

CURVE = (numpy.sqrt(numpy.arange(4096)) * 1023 / 64).astype(int)
GREYS = {
    "identity": ({}, WHOLE),
    "inverse": ({"PresentationLUTShape": "INVERSE"}, 255 - WHOLE),
    "window": (HU | {"SoftcopyVOILUTSequence": st.items(st.window(40, 400))}, shade(RAMP - 1024.0, 40, 400)),
    "no modality of its own": ({"SoftcopyVOILUTSequence": st.items(st.window(2000, 1000))}, shade(RAMP, 2000, 1000)),
    "modality table": ({"ModalityLUTSequence": st.items(lut(CURVE, 10)), "SoftcopyVOILUTSequence": st.items(st.window(500, 300))},
                       shade(CURVE[RAMP], 500, 300)),
    "VOI table": ({"SoftcopyVOILUTSequence": st.items(st.item(VOILUTSequence=st.items(lut(CURVE, 10))))}, CURVE[RAMP] / 1023 * 255),
    "presentation table": ({"PresentationLUTShape": None, "PresentationLUTSequence": st.items(lut(CURVE, 10))}, CURVE[RAMP] / 1023 * 255),
}  # fmt: skip


@pytest.mark.parametrize("name", GREYS)
def test_greys_are_those_of_the_state(server, tmp_path, name):
    attributes, expected = GREYS[name]
    # The image's own window and MONOCHROME1 count for nothing (PS3.4 §N.2).
    ds = image(WindowCenter=100, WindowWidth=10, RescaleSlope=2, RescaleIntercept=7)
    if attributes.get("ModalityLUTSequence"):
        attributes["ModalityLUTSequence"][0].ModalityLUTType = "US"
    ps = st.state(ds)
    for keyword, value in attributes.items():
        setattr(ps, keyword, value) if value is not None else delattr(ps, keyword)
    got = png(server, put(server, ds, ps))
    near(got, expected)
    near(got, st.dcmtk(tmp_path, ds, ps).astype(float), grey=1)


def test_the_photometric_interpretation_counts_for_nothing(server):
    got, _ = drawn(server, image(PhotometricInterpretation="MONOCHROME1"))
    near(got, WHOLE)


def test_a_window_is_for_the_images_it_names(server):
    one = image()
    other = image(study=one.StudyInstanceUID, series=one.SeriesInstanceUID)
    windows = st.items(st.window(1000, 500, other), st.window(3000, 900, one))
    ps = st.state(one, other, SoftcopyVOILUTSequence=windows)
    path = put(server, one, other, ps)
    near(png(server, path), shade(RAMP, 3000, 900))
    parts = web.parts_of(web.get(server, path, PARTS))
    near(array(parts[0][1]), shade(RAMP, 3000, 900))
    near(array(parts[1][1]), shade(RAMP, 1000, 500))
    frames = numpy.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]])
    multi = image(frames)
    ps = st.state(multi, frames=[3, 2], SoftcopyVOILUTSequence=st.items(st.window(500, 200, multi, frames=2), st.window(2000, 1000, multi, frames=[3])))
    path = put(server, multi, ps)
    near(png(server, path), shade(frames[2], 2000, 1000))
    parts = web.parts_of(web.get(server, path, PARTS))
    assert len(parts) == 2
    near(array(parts[1][1]), shade(frames[1], 500, 200))


def test_pseudo_color_states_paint_greys(server):
    ramp = numpy.arange(256)
    tables = {"Red": ramp * 257, "Green": (255 - ramp) * 257, "Blue": (ramp // 2) * 257}
    attributes = {"SoftcopyVOILUTSequence": st.items(st.window(2000, 3000))}
    for name, table in tables.items():
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        attributes[f"{name}PaletteColorLookupTableData"] = table.astype("<u2").tobytes()
    got, _ = drawn(server, image(), sop_class=st.PSEUDO, **attributes)
    place = numpy.round(shade(RAMP, 2000, 3000)).astype(int)
    near(got, numpy.stack([tables[name][place] // 257 for name in ("Red", "Green", "Blue")], axis=-1).astype(float))


def test_color_states_turn_and_mark_colors(server):
    pixels = numpy.arange(6 * 8 * 3, dtype="u1").reshape(6, 8, 3)
    ds = made.instance(rows=6, columns=8, pixels=pixels.tobytes(), SamplesPerPixel=3, PhotometricInterpretation="RGB",
                       PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7)  # fmt: skip
    # CIELab of pure red under D50: 54.29, 80.81, 69.89.
    lab = [int(54.29 / 100 * 65535), int((80.81 + 128) / 255 * 65535), int((69.89 + 128) / 255 * 65535)]
    got, _ = drawn(server, ds, sop_class=st.COLOR, ImageRotation=90, ImageHorizontalFlip="N", GraphicLayerSequence=st.items(st.layer(lab=lab)),
                   GraphicAnnotationSequence=st.items(st.annotation(st.graphic("POLYLINE", [0, 0.5, 8, 0.5]))))  # fmt: skip
    expected = numpy.rot90(pixels, -1).astype(float).copy()
    near(got[:, :-1], expected[:, :-1], grey=0)
    near(got[:, -1], numpy.broadcast_to([255.0, 0, 0], (8, 3)), grey=2)
    grey = image()
    for ps, why in ((st.state(ds), "a grayscale presentation state of a color image"),
                    (st.state(grey, sop_class=st.COLOR), "a color presentation state of a grey image")):  # fmt: skip
        refused = web.get(server, put(server, ds, grey, ps), "image/png")
        assert (refused.status_code, why in refused.text) == (406, True), refused.text


# --- Geometry ------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", ["N", "Y"])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_turned_clockwise_then_mirrored(server, tmp_path, angle, flip):
    ds = image()
    got, ps = drawn(server, ds, ImageRotation=angle, ImageHorizontalFlip=flip)
    expected = numpy.rot90(WHOLE, -angle // 90)
    near(got, numpy.fliplr(expected) if flip == "Y" else expected)
    near(got, st.dcmtk(tmp_path, ds, ps).astype(float))


def test_the_displayed_area_is_shown_and_beyond_the_image_is_black(server):
    ds = image()
    got, _ = drawn(server, ds, DisplayedAreaSelectionSequence=st.items(st.area(ds, (11, 6), (30, 25))))
    near(got, WHOLE[5:25, 10:30])
    # The corners are those once turned (PS3.3 §C.10.4): here top right and bottom left of the image.
    got, _ = drawn(server, ds, ImageRotation=0, ImageHorizontalFlip="Y", DisplayedAreaSelectionSequence=st.items(st.area(ds, (30, 6), (11, 25))))
    near(got, numpy.fliplr(WHOLE[5:25, 10:30]))
    got, _ = drawn(server, ds, DisplayedAreaSelectionSequence=st.items(st.area(ds, (-7, -3), (COLUMNS + 8, ROWS))))
    expected = numpy.zeros((ROWS + 4, COLUMNS + 16))
    expected[4:, 8:-8] = WHOLE
    near(got, expected)
    ps = st.state(ds, ImageRotation=90, ImageHorizontalFlip="N")
    path = put(server, ps)
    assert png(server, path, viewport="24,1000").shape == (32, 24)
    got, _ = drawn(server, ds, DisplayedAreaSelectionSequence=st.items(st.area(ds, mode="MAGNIFY", PresentationPixelMagnificationRatio=2.0)))
    assert got.shape == (2 * ROWS, 2 * COLUMNS)
    got, _ = drawn(server, ds, DisplayedAreaSelectionSequence=st.items(st.area(ds, PresentationPixelAspectRatio=[2, 1])))
    assert got.shape == (2 * ROWS, COLUMNS)


# --- Shutters ------------------------------------------------------------------------------------

ROW, COLUMN = numpy.mgrid[1 : ROWS + 1, 1 : COLUMNS + 1]
RECTANGLE = {"ShutterLeftVerticalEdge": 10, "ShutterRightVerticalEdge": 50, "ShutterUpperHorizontalEdge": 5, "ShutterLowerHorizontalEdge": 40}
CIRCLE = {"CenterOfCircularShutter": [24, 32], "RadiusOfCircularShutter": 15}
IN_RECTANGLE = (COLUMN >= 10) & (COLUMN <= 50) & (ROW >= 5) & (ROW <= 40)
IN_CIRCLE = (COLUMN - 32) ** 2 + (ROW - 24) ** 2 <= 15**2


def test_a074_a_state_decides_the_window_and_its_shutter_and_lines_are_there(server):
    ds = image()
    ps = st.state(ds, ShutterShape="CIRCULAR", ShutterPresentationValue=0x8000, GraphicLayerSequence=st.items(st.layer(grey=0xFFFF)),
                  GraphicAnnotationSequence=st.items(st.annotation(st.graphic("POLYLINE", [2, 3.5, 60, 3.5]))), **CIRCLE)  # fmt: skip
    path = put(server, ds, ps)
    expected = numpy.where(IN_CIRCLE, WHOLE, 128)
    expected[3, 2:61] = 255
    near(png(server, path), expected)
    for name, value in {"window": "40,400,linear", "overlays": "yes", "viewport": "9,9,1,1,5,5"}.items():
        refused = web.get(server, path, "image/png", params={name: value})
        assert refused.status_code == 400 and refused.text.strip(), name
    response = web.get(server, path, "*/*", params={"annotation": "patient"})
    assert response.headers["content-type"] == "image/jpeg" and "not supported" in response.headers["warning"]
    assert response.headers["content-location"].endswith(path + "?annotation=patient")
    again = web.get(server, path, "*/*", params={"annotation": "patient"}, headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304
    thumbnail = web.get(server, path.replace("rendered", "thumbnail"), "image/png", params={"viewport": "32,32"})
    assert array(thumbnail.content).shape == (24, 32) and abs(array(thumbnail.content)[20, 2] - 128) <= 1
    # Words may name the patient: a thumbnail has none (PS3.18 §10.4.3.3.4).
    words = st.item(AnchorPoint=[20.0, 20.0], AnchorPointAnnotationUnits="PIXEL", AnchorPointVisibility="N", UnformattedTextValue="Doe")
    worded = st.state(ds, GraphicAnnotationSequence=st.items(st.annotation(texts=[words])))
    path = put(server, worded)
    assert numpy.abs(png(server, path) - WHOLE).max() > 1
    near(png(server, path.replace("rendered", "thumbnail"), viewport=f"{COLUMNS},{ROWS}"), WHOLE)


def test_shutters_hide_what_is_outside_of_any_of_them(server):
    ds = image()
    got, _ = drawn(server, ds, ShutterShape="RECTANGULAR", ShutterPresentationValue=0xFFFF, **RECTANGLE)
    near(got, numpy.where(IN_RECTANGLE, WHOLE, 255))
    got, _ = drawn(server, ds, ShutterShape=["RECTANGULAR", "CIRCULAR"], ShutterPresentationValue=0, **(RECTANGLE | CIRCLE))
    near(got, numpy.where(IN_RECTANGLE & IN_CIRCLE, WHOLE, 0))
    corners = [(5, 5), (5, 60), (40, 50), (30, 8)]
    got, _ = drawn(server, ds, ShutterShape="POLYGONAL", ShutterPresentationValue=0, VerticesOfThePolygonalShutter=[n for corner in corners for n in corner])
    mask = Image.new("L", (COLUMNS, ROWS))
    ImageDraw.Draw(mask).polygon([(column - 1, row - 1) for row, column in corners], fill=1)
    mask = numpy.asarray(mask) == 1
    # Pixels whose middle lies on a side belong to either.
    inner = mask.copy()
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        inner &= numpy.roll(mask, shift, (0, 1))
    outer = ~(mask | numpy.roll(mask, 1, 0) | numpy.roll(mask, -1, 0) | numpy.roll(mask, 1, 1) | numpy.roll(mask, -1, 1))
    near(got[inner], WHOLE[inner])
    assert not got[outer].any() and inner.sum() > 1000
    bits = (ROW + COLUMN) % 3 == 0
    ps = st.state(ds, ShutterShape="BITMAP", ShutterOverlayGroup=0x6002, ShutterPresentationValue=0x4000)
    near(png(server, put(server, ds, st.overlay(ps, bits, group=0x6002))), numpy.where(bits, 64, WHOLE))
    # Turned with the image, and the image's own is for none but whoever looks at it (PS3.3 §C.7.6.11 "may be applied").
    own = image(ShutterShape="CIRCULAR", ShutterPresentationValue=0, WindowCenter=2048, WindowWidth=4096, **CIRCLE)
    near(png(server, put(server, own)), shade(RAMP, 2048, 4096))
    got, _ = drawn(server, own, ImageRotation=90, ImageHorizontalFlip="N", ShutterShape="RECTANGULAR", ShutterPresentationValue=0, **RECTANGLE)
    near(got, numpy.rot90(numpy.where(IN_RECTANGLE, WHOLE, 0), -1))


# --- Graphics and overlays -----------------------------------------------------------------------


def test_graphics_lie_where_their_points_say(server):
    ds = image(numpy.full((128, 128), 1000))
    grey = 1000 / 4095 * 255
    y, x = numpy.mgrid[0:128, 0:128] + 0.5

    def one(*graphics, **attributes):
        return drawn(server, ds, GraphicLayerSequence=st.items(st.layer(grey=0xFFFF)), GraphicAnnotationSequence=st.items(st.annotation(*graphics)), **attributes)[0]

    circle = one(st.graphic("CIRCLE", [64, 60, 94, 60]))
    distance = numpy.abs(numpy.hypot(x - 64, y - 60) - 30)
    assert (distance[circle == 255] <= 1.1).all() and (circle == 255).sum() > 150
    angles = numpy.degrees(numpy.arctan2(y - 60, x - 64))[circle == 255]
    assert len(numpy.unique(angles // 10)) == 36, "a gap in the circle"
    disc = one(st.graphic("CIRCLE", [64, 60, 94, 60], filled="Y"))
    assert (disc[numpy.hypot(x - 64, y - 60) < 29] == 255).all() and not (disc[numpy.hypot(x - 64, y - 60) > 32] == 255).any()
    ellipse = one(st.graphic("ELLIPSE", [24, 60, 104, 60, 64, 40, 64, 80], filled="Y"))
    form = ((x - 64) / 40) ** 2 + ((y - 60) / 20) ** 2
    assert (ellipse[form < 0.9] == 255).all() and not (ellipse[form > 1.15] == 255).any()
    square = one(st.graphic("POLYLINE", [10, 20, 30, 20, 30, 50, 10, 50, 10, 20], filled="Y"))
    assert (square[20:50, 10:30] == 255).all() and not (square[:19] == 255).any() and not (square[52:] == 255).any()
    diagonal = one(st.graphic("POLYLINE", [0.5, 0.5, 127.5, 127.5]))
    assert (numpy.diag(diagonal) == 255).all() and (diagonal == 255).sum() == 128
    point = one(st.graphic("POINT", [40.5, 50.5]))
    assert point[50, 40] == 255 and (point == 255).sum() < 30
    # Parts of what is displayed, whichever way the image lies: the upper left quarter of the picture.
    for angle in (0, 90):
        part = one(st.graphic("POLYLINE", [0, 0, 0.5, 0, 0.5, 0.5, 0, 0.5, 0, 0], "DISPLAY", "Y"), ImageRotation=angle, ImageHorizontalFlip="N")
        assert (part[:64, :64] == 255).all() and numpy.abs(part[66:, 66:] - grey).max() <= 1
    # Without a value of its own a layer is white with a dark line around it; annotations of other images are left out.
    ps = st.state(ds, GraphicAnnotationSequence=st.items(st.annotation(st.graphic("POLYLINE", [10, 40.5, 100, 40.5])),
                                                         st.annotation(st.graphic("POINT", [5, 5]), images=[image()])))  # fmt: skip
    outlined = png(server, put(server, ds, ps))
    assert outlined[39:42, 50].tolist() == [0, 255, 0] and abs(outlined[5, 5] - grey) <= 1


def test_words_are_drawn_at_their_box(server):
    ds = image(numpy.full((128, 128), 1000))
    words = st.item(BoundingBoxAnnotationUnits="PIXEL", UnformattedTextValue="12.5 mm\r\nL", BoundingBoxTopLeftHandCorner=[20.0, 30.0],
                    BoundingBoxBottomRightHandCorner=[90.0, 50.0], BoundingBoxTextHorizontalJustification="LEFT")  # fmt: skip
    got, _ = drawn(server, ds, GraphicLayerSequence=st.items(st.layer(grey=0xFFFF)), GraphicAnnotationSequence=st.items(st.annotation(texts=[words])))
    rows, columns = numpy.where(got == 255)
    assert rows.min() == 30 and 41 <= rows.max() <= 50 and columns.min() == 20 and columns.max() < 20 + 7 * 6
    # The L: a stem and a foot.
    assert (got[41:48, 20] == 255).all() and (got[47, 20:25] == 255).all() and not (got[41:47, 21:25] == 255).any()

    # What would run out of the picture is moved and broken, so that no end of it is lost.
    words.UnformattedTextValue, words.BoundingBoxTopLeftHandCorner = "0123456789012345 ABCDEFGHIJ", [100.0, 30.0]
    got, _ = drawn(server, ds, GraphicLayerSequence=st.items(st.layer(grey=0xFFFF)), GraphicAnnotationSequence=st.items(st.annotation(texts=[words])))
    letters = [[(got[y : y + 9, x : x + 5] == 255).sum() > 4 for x in range(128 - 16 * 6, 128, 6)] for y in (30, 41)]
    assert letters == [[True] * 16, [True] * 10 + [False] * 6] and not (got[:, :32] == 255).any()


def test_overlays_of_the_state_and_of_the_image_are_shown_in_their_layers(server):
    bits = numpy.zeros((ROWS, COLUMNS), bool)
    bits[10:20, 5:30] = True
    ds = st.overlay(st.overlay(image(), bits), numpy.ones((8, 8), bool), group=0x6004, origin=(40, 60))
    layers = st.items(st.layer("UPPER", order=2, grey=0x4000), st.layer("LOWER", order=1, grey=0xC000))
    ps = st.state(ds, GraphicLayerSequence=layers)
    path = put(server, ds, ps)
    near(png(server, path), WHOLE)
    ps = st.state(ds, GraphicLayerSequence=layers)
    ps.add_new(0x60001001, "CS", "UPPER")
    own = numpy.zeros((ROWS, COLUMNS), bool)
    own[15:25, 20:40] = True
    got = png(server, put(server, st.overlay(ps, own, group=0x6002, activation="LOWER")))
    near(got, numpy.where(bits, 64, numpy.where(own, 191, WHOLE)))


def test_overlays_of_an_image_are_drawn_when_asked_for(server, tmp_path):
    bits = (ROW // 3 + COLUMN // 5) % 4 == 0
    cells = RAMP | (bits.astype("<u2") << 14)
    # In the bits of the pixels that older objects have them in.
    hidden = image(cells)
    hidden.add_new(0x60020010, "US", ROWS)
    hidden.add_new(0x60020011, "US", COLUMNS)
    hidden.add_new(0x60020040, "CS", "G")
    hidden.add_new(0x60020050, "SS", [1, 1])
    hidden.add_new(0x60020100, "US", 16)
    hidden.add_new(0x60020102, "US", 14)
    for ds in (st.overlay(image(WindowCenter=2048, WindowWidth=4096), bits), hidden):
        ds.WindowCenter, ds.WindowWidth = 2048, 4096
        path = put(server, ds)
        near(png(server, path), shade(RAMP, 2048, 4096))
        near(png(server, path, overlays="no"), shade(RAMP, 2048, 4096))
        got = png(server, path, overlays="yes")
        (tmp_path / "image.dcm").write_bytes(made.file(ds))
        subprocess.run(["dcm2pnm", "+O", "0", "+Wi", "1", "image.dcm", "out.pgm"], cwd=tmp_path, check=True, capture_output=True)
        white = array((tmp_path / "out.pgm").read_bytes()) == 255
        assert (white[RAMP < 4000] == bits[RAMP < 4000]).all(), "DCMTK sees the overlay elsewhere"
        assert (got[bits] == 255).all()
        beside = numpy.zeros_like(bits)
        padded = numpy.pad(bits, 1)
        for dy in range(3):
            for dx in range(3):
                beside |= padded[dy : dy + ROWS, dx : dx + COLUMNS]
        assert not got[beside & ~bits].any()
        near(got[~beside], shade(RAMP, 2048, 4096)[~beside])
        mirrored = png(server, path, overlays="yes", viewport=f"{COLUMNS},{ROWS},,,-{COLUMNS},-{ROWS}")
        near(mirrored, got[::-1, ::-1])
    frames = numpy.stack([RAMP] * 3)
    marks = numpy.zeros((2, ROWS, COLUMNS), bool)
    marks[0, 4, 4] = marks[1, 9, 9] = True
    path = put(server, st.overlay(image(frames), marks, frames=2, first=2)).replace("/rendered", "/frames/%d/rendered")
    at = [[png(server, path % n, overlays="yes")[4, 4] == 255, png(server, path % n, overlays="yes")[9, 9] == 255] for n in (1, 2, 3)]
    assert at == [[False, False], [True, False], [False, True]]
    assert web.get(server, path % 1, "image/png", params={"overlays": "maybe"}).status_code == 400


# --- What is referred to, the URI Service, hostile states ----------------------------------------


def test_images_are_found_wherever_they_are_or_it_is_a_404(server):
    ds, elsewhere = image(), image()
    near(drawn(server, ds, study=made.uid())[0], WHOLE)
    path = put(server, ds, st.state(ds, elsewhere))
    near(png(server, path), WHOLE)
    for ps in (st.state(elsewhere), st.state(ds, frames=[2])):
        missing = web.get(server, put(server, ps), "image/png")
        assert missing.status_code == 404 and "not held here" in missing.text
    assert web.get(server, path, PARTS).status_code == 404, "a gap would be taken for the whole"
    put(server, elsewhere)
    assert len(web.parts_of(web.get(server, path, PARTS))) == 2
    ps = st.state(ds)
    ps.ReferencedSeriesSequence = st.items(st.item(SeriesInstanceUID=ps.SeriesInstanceUID, ReferencedImageSequence=st.items(st.reference(ps))))
    itself = web.get(server, put(server, ps), "image/png")
    assert itself.status_code == 406 and "without pixels" in itself.text
    del ps.ReferencedSeriesSequence
    ps.SOPInstanceUID = made.uid()
    assert web.get(server, put(server, ps), "image/png").status_code == 406
    blending = st.state(ds, sop_class=st.CLASS + "4")
    assert web.get(server, put(server, blending), "image/png").status_code == 406


def test_the_uri_service_applies_a_state(server):
    frames = numpy.stack([RAMP, RAMP[::-1]])
    ds = image(frames)
    ps = st.state(ds, frames=[2], SoftcopyVOILUTSequence=st.items(st.window(2000, 1000)))
    put(server, ds, ps)

    def get(**more):
        query = {"requestType": "WADO", "studyUID": ds.StudyInstanceUID, "seriesUID": ds.SeriesInstanceUID, "objectUID": ds.SOPInstanceUID,
                 "contentType": "image/png", "presentationSeriesUID": ps.SeriesInstanceUID, "presentationUID": ps.SOPInstanceUID} | more  # fmt: skip
        query = {name: value for name, value in query.items() if value is not None}
        return web.get(server, server.url + "/wado", "*/*", params=query)

    expected = shade(frames[1], 2000, 1000)
    near(array(get().content), expected)
    near(array(get(frameNumber=2).content), expected)
    near(array(get(region="0.5,0,1,0.5").content), expected[: ROWS // 2, COLUMNS // 2 :])
    assert array(get(rows=24).content).shape == (24, 32)
    assert get(frameNumber=1).status_code == 400
    for bad in ({"windowCenter": 40, "windowWidth": 400}, {"presentationUID": None}, {"presentationSeriesUID": None}, {"presentationUID": "1.x"}):
        assert get(**bad).status_code == 400, bad
    assert get(presentationUID="1.2").status_code == 404


def test_hostile_states_cost_little_and_break_nothing(server):
    ds = image()
    # The most points of one object, and so many of it that they are millions.
    zigzag = st.graphic("POLYLINE", numpy.tile([0.0, 0.0, 64.0, 48.0], 32_767).tolist())
    crossings = st.graphic("POLYLINE", numpy.random.default_rng(1).uniform(0, 64, 131_068).tolist(), filled="Y")
    crossings.GraphicData = list(crossings.GraphicData) + list(crossings.GraphicData[:2])
    crossings.NumberOfGraphicPoints = 65_535
    lies = st.graphic("POLYLINE", [1, 2, 3, 4])
    lies.NumberOfGraphicPoints = 65_535
    nan = st.graphic("POLYLINE", [1, 2, float("nan"), 4])
    far = st.graphic("POLYLINE", [-3e38, -3e38, 3e38, 3e38, 1e30, -1e30])
    huge = st.graphic("CIRCLE", [0, 0, 3e38, 3e38])
    for graphics, status in [([zigzag], 406), ([crossings], 406), ([zigzag] * 16, 406), ([lies], 406), ([nan], 406), ([far], 200), ([huge], 200)]:
        path = put(server, ds, st.state(ds, GraphicAnnotationSequence=st.items(st.annotation(*graphics))))
        began = time.monotonic()
        response = web.get(server, path, "image/png", params={"viewport": "2048,2048"})
        assert response.status_code == status and (status == 200 or response.text.strip()), (response.status_code, response.text[:200])
        assert time.monotonic() - began < 20
    attributes = [
        {"DisplayedAreaSelectionSequence": st.items(st.area(ds, (-(2**31), -(2**31)), (2**31 - 1, 2**31 - 1)))},
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [2**31 - 1, -(2**31)], "RadiusOfCircularShutter": 2**31 - 1},
        {"DisplayedAreaSelectionSequence": st.items(st.area(ds, (2**30, 1), (2**30, 1)))},
    ]
    for more in attributes:
        assert web.get(server, put(server, ds, st.state(ds, **more)), "image/png").status_code == 200, more
    for more in ({"ShutterShape": "CIRCULAR"}, {"ImageRotation": 45}, {"MaskSubtractionSequence": Sequence([Dataset()])}, {"PresentationLUTShape": "ODD"}):
        refused = web.get(server, put(server, st.state(ds, **more)), "image/png")
        assert refused.status_code == 406 and refused.text.strip(), more
