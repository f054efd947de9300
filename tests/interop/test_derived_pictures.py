"""Pictures of what is no plain image: waveforms, segmentations, dose grids and structure sets.

Traces are judged by the samples that pydicom reads, masks by pydicom's and highdicom's pixel arrays, colors by
LittleCMS, doses and contours by the numbers in the files."""

import copy
import io

import highdicom as hd
import numpy
import pytest
import requests
from highdicom.color import CIELabColor
from PIL import Image, ImageCms
from pydicom import dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from harness import corpus, made, web
from harness.derived import multiplex_group, structure_set, waveform

AMBULATORY = "1.2.840.10008.5.1.4.1.1.9.1.3"
RTDOSE = "1.2.840.10008.5.1.4.1.1.481.2"
HEMODYNAMIC = "1.2.840.10008.5.1.4.1.1.9.2.1"
# The sheet: 4 pixels for a millimetre, and its edges in millimetres (CONFORMANCE.md).
MM, TOP, LEFT, RIGHT, BOTTOM, NAME = 4, 5, 15, 10, 13, 5


def put(server, content):
    response = web.stow(server, [content if isinstance(content, bytes) else made.file(content)])
    assert response.status_code == 200, response.text
    ds = dcmread(io.BytesIO(content), force=True) if isinstance(content, bytes) else content
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def picture(server, path, accept="image/png", **params):
    response = web.get(server, path, accept, params=params)
    assert response.status_code == 200, (response.status_code, response.text[:300])
    opened = Image.open(io.BytesIO(response.content))
    assert response.headers["content-type"] == f"image/{opened.format.lower()}"
    return opened


def rgb(server, path, **params):
    return numpy.asarray(picture(server, path, **params).convert("RGB")).astype(int)


def rows_of(millivolts, gain=10, pulse=10):
    """Where the line of each channel is, in millimetres, and the size of the sheet in rows of pixels."""
    lines, top = [], TOP
    for channel in millivolts.T:
        low, high = channel.min(), channel.max()
        line = 0 if low <= 0 <= high else (low + high) / 2
        up, down = (max(5, 5 * numpy.ceil(x / 5 - 1e-6)) for x in (max((high - line) * gain, pulse), (line - low) * gain))
        lines.append((top + NAME + up, line))
        top += NAME + up + down
    return lines, (top + BOTTOM) * MM


def grown(mask, pixels):
    """With everything around it."""
    for axis in (0, 1):
        mask = numpy.any([numpy.roll(mask, shift, axis) for shift in range(-pixels, pixels + 1)], axis=0)
    return mask


# --- Waveforms -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ecg(server):
    case = corpus.by_name("test_files/waveform_ecg.dcm")
    return put(server, case.data), case.dataset


def test_every_sample_of_an_ecg_is_on_the_paper(server, ecg):
    path, ds = ecg
    millivolts = ds.waveform_array(0) / 1000
    drawn = rgb(server, path + "/rendered")
    lines, height = rows_of(millivolts)
    assert drawn.shape[:2] == (height, (LEFT + 250 + RIGHT) * MM)
    ink = drawn.sum(axis=2) < 250
    seconds = numpy.arange(len(millivolts)) / 1000
    columns = numpy.floor((LEFT + seconds * 25) * MM + 0.5).astype(int)
    expected = numpy.zeros_like(ink)
    for (line, zero), channel in zip(lines, millivolts.T, strict=True):
        rows = (line - (channel - zero) * 10) * MM + 0.5
        hit = [ink[numpy.floor(rows).astype(int) + aside, columns] for aside in (-1, 0, 1)]
        assert numpy.any(hit, axis=0).all(), "a sample is not drawn"
        between = numpy.linspace(rows[:-1], rows[1:], 9).astype(int)
        expected[between, columns[:-1]] = True
    # Nothing else is drawn in the color of the trace: the line of time and the words are lighter.
    trace = drawn.max(axis=2) < 70
    assert not (trace & ~grown(expected, 2)).any()


def test_a_patient_is_not_in_the_picture(server, ecg):
    path, ds = ecg
    other = copy.deepcopy(ds)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = made.uid()
    other.PatientName, other.PatientID, other.StudyInstanceUID = "Somebody^Else", "ELSE-1", made.uid()
    other.InstitutionName, other.SeriesInstanceUID = "Elsewhere", made.uid()
    stream = io.BytesIO()
    other.save_as(stream)
    assert (rgb(server, put(server, stream.getvalue()) + "/rendered") == rgb(server, path + "/rendered")).all()


def test_waveforms_are_given_in_every_size_and_type(server, ecg):
    path, ds = ecg
    whole = picture(server, path + "/rendered")
    for kind in ("jpeg", "png", "gif"):
        assert picture(server, path + "/rendered", f"image/{kind}").size == whole.size
    small = picture(server, path + "/rendered", viewport="500,400")
    assert small.size[1] == 400 and small.size[0] <= 500
    part = picture(server, path + "/rendered", viewport="600,600,100,200,300,300")
    assert part.size == (600, 600)
    part = rgb(server, path + "/rendered", viewport="300,300,100,200,300,300")
    near = numpy.abs(part - numpy.asarray(whole.convert("RGB")).astype(int)[200:500, 100:400])
    assert near.max() <= 1
    mirrored = rgb(server, path + "/rendered", viewport="300,300,100,200,-300,-300")
    assert (mirrored[::-1, ::-1] == part).all()
    thumbnail = picture(server, path + "/thumbnail", "*/*")
    assert max(thumbnail.size) == 128 and numpy.asarray(thumbnail.convert("L")).min() < 60
    # As OHIF asks for it: three channels are wider than high, the sheet is not.
    wide = picture(server, path + "/thumbnail", "*/*", viewport="256,256")
    assert wide.size[0] == 256 and wide.size[1] < 200 and whole.size[1] > whole.size[0]
    assert picture(server, f"/studies/{ds.StudyInstanceUID}/thumbnail", "*/*").size == thumbnail.size
    assert web.get(server, path + "/rendered", params={"viewport": "9,9,5000,0"}).status_code == 400


def test_an_instance_without_frames_is_one_picture(server, ecg):
    path, ds = ecg
    assert picture(server, path + "/frames/1/rendered").size == picture(server, path + "/rendered").size
    for resource in ("rendered", "thumbnail"):
        refused = web.get(server, f"{path}/frames/2/{resource}", "image/png")
        assert refused.status_code == 404 and "one picture" in refused.text
    assert web.get(server, path + "/frames/1", "*/*").status_code in (404, 406)
    parts = web.get(server, path + "/rendered", 'multipart/related; type="image/png"')
    assert len(web.parts_of(parts)) == 1
    assert picture(server, f"/studies/{ds.StudyInstanceUID}/rendered", "image/png").size[0] == 1100
    uri = {"requestType": "WADO", "studyUID": ds.StudyInstanceUID, "seriesUID": ds.SeriesInstanceUID,
           "objectUID": ds.SOPInstanceUID, "contentType": "image/png"}  # fmt: skip
    root = server.web.removesuffix("/dicom-web")
    for more, status in (({}, 200), ({"frameNumber": 1}, 400), ({"region": "0,0,0.5,0.5"}, 400)):
        assert requests.get(root + "/wado", params=uri | more, timeout=60).status_code == status
    page = requests.get(f"{root}/studies/{ds.StudyInstanceUID}", timeout=60).text
    assert f"instances/{ds.SOPInstanceUID}/frames/1?size=" in page
    shown = requests.get(f"{root}/picture{path}/frames/1?size=256", timeout=60)
    assert Image.open(io.BytesIO(shown.content)).size[0] == 256


def test_every_sample_interpretation_gives_the_same_picture(server):
    counts = (100 * numpy.sin(numpy.arange(500) / 20)).round()[:, None] * [1, -1]
    scale = {"sensitivity": 10}
    forms = {
        "SB": ("<i1", 0), "UB": ("<u1", 128), "SS": ("<i2", 0), "US": ("<u2", 1000), "SL": ("<i4", 0), "UL": ("<u4", 70_000),
    }  # fmt: skip
    pictures = {}
    for interpretation, (dtype, offset) in forms.items():
        stored = (counts + offset).astype(dtype)
        group = multiplex_group(stored, interpretation, baseline=-10 * offset, **scale)
        pictures[interpretation] = rgb(server, put(server, waveform(group)) + "/rendered")
    first = pictures["SS"]
    assert all((other == first).all() for other in pictures.values())
    implicit = made.file(waveform(multiplex_group(counts.astype("<i2"), "SS", **scale)), ImplicitVRLittleEndian)
    assert (rgb(server, put(server, implicit) + "/rendered") == first).all()
    ds = waveform(multiplex_group(counts.astype(">i2"), "SS", **scale))
    stream = io.BytesIO()
    meta = dcmread(io.BytesIO(made.file(ds))).file_meta
    meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.file_meta = meta
    ds.save_as(stream, little_endian=False, implicit_vr=False, enforce_file_format=True)
    assert (rgb(server, put(server, stream.getvalue()) + "/rendered") == first).all()


def test_a_day_of_an_ecg_is_read_only_as_far_as_it_is_drawn(start):
    server = start()
    hour = numpy.zeros((250 * 3600 * 10, 3), "<i2")
    hour[2500] = 2000
    hour[250 * 25] = 30_000
    path = put(server, waveform(multiplex_group(hour, "SS"), sop_class=AMBULATORY))
    before = server.memory_peak_bytes()
    drawn = rgb(server, path + "/rendered")
    # Twenty seconds; what comes later has made no room for itself.
    assert drawn.shape[:2] == ((TOP + 3 * (NAME + 20 + 5) + BOTTOM) * MM, (LEFT + 500 + RIGHT) * MM)
    assert (drawn[:, (LEFT + 250) * MM].max(axis=1) < 70).sum() > 3 * 70
    assert server.memory_peak_bytes() - before < 64 << 20


def test_other_waveforms_have_a_gain_for_each_channel(server):
    stored = numpy.stack([800 + 400 * numpy.sin(numpy.arange(3000) / 30), numpy.full(3000, 5)], axis=1).astype("<i2")
    path = put(server, waveform(multiplex_group(stored, "SS", unit="mm[Hg]", sensitivity=0.1), sop_class=HEMODYNAMIC))
    drawn = rgb(server, path + "/rendered")
    # 12 s at 20 mm/s; 80 mm[Hg] at 50 to the centimetre, around the middle, and one that is flat.
    assert drawn.shape[:2] == ((TOP + NAME + 10 + 10 + NAME + 5 + 5 + BOTTOM) * MM, (LEFT + 240 + RIGHT) * MM)
    ink = drawn.max(axis=2) < 70
    seconds = numpy.arange(3000) / 250
    columns = ((LEFT + seconds * 20) * MM + 0.5).astype(int)
    rows = ((TOP + NAME + 10 - (stored[:, 0] * 0.1 - 80) / 5) * MM + 0.5).astype(int)
    assert numpy.any([ink[rows + aside, columns] for aside in (-1, 0, 1)], axis=0).all()
    assert ink[(TOP + NAME + 20 + NAME + 5) * MM, columns].all()


def test_groups_that_fit_are_drawn_and_damage_is_told(server):
    leads = numpy.zeros((500, 3), "<i2")
    groups = [multiplex_group(leads, "SS") for _ in range(4)]
    assert rgb(server, put(server, waveform(*groups)) + "/rendered").shape[0] == (TOP + 12 * 20 + BOTTOM) * MM
    many = [multiplex_group(numpy.zeros((500, 40), "<i2"), "SS"), groups[0]]
    assert rgb(server, put(server, waveform(*many)) + "/rendered").shape[0] == (TOP + 32 * 20 + BOTTOM) * MM
    short = multiplex_group(leads, "SS")
    short.NumberOfWaveformSamples = 50_000
    unknown = multiplex_group(leads, "XX")
    for damaged in (waveform(short), waveform(unknown), waveform()):
        path = put(server, damaged)
        assert web.get(server, path + "/rendered", "image/png").status_code == 406
        assert web.get(server, path + "/thumbnail", "image/png").status_code == 406


# --- Segmentations, doses, structure sets --------------------------------------------------------

LABS = [(60.0, 60.0, 40.0), (70.0, -50.0, 20.0), (50.0, 10.0, -40.0)]


def littlecms(lab):
    to = ImageCms.buildTransform(ImageCms.createProfile("LAB", 5000), ImageCms.createProfile("sRGB"), "LAB", "RGB", 1)
    pixel = bytes([round(lab[0] * 2.55), round(lab[1]) % 256, round(lab[2]) % 256])
    return ImageCms.applyTransform(Image.frombytes("LAB", (1, 1), pixel), to).getpixel((0, 0))


@pytest.fixture(scope="module")
def slices():
    study, series, frame_of_reference = made.uid(), made.uid(), made.uid()
    return [
        dcmread(io.BytesIO(made.file(made.instance(
            study=study, series=series, rows=40, columns=50, FrameOfReferenceUID=frame_of_reference, PixelSpacing=[1, 1],
            ImagePositionPatient=[0, 0, z], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], SliceThickness=1,
            PositionReferenceIndicator="",
        ))))
        for z in range(3)
    ]  # fmt: skip


def segmentation(images, values, kind, labs):
    segments = [
        hd.seg.SegmentDescription(
            number, f"Segment {number}", codes.SCT.Organ, codes.SCT.Liver, hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            display_color=CIELabColor(*lab) if lab else None,
        )
        for number, lab in enumerate(labs, 1)
    ]  # fmt: skip
    return hd.seg.Segmentation(
        images, values, hd.seg.SegmentationTypeValues[kind], segments, made.uid(), 1, made.uid(), 1, manufacturer="Tests",
        manufacturer_model_name="Tests", software_versions="1", device_serial_number="1", omit_empty_frames=False,
    )  # fmt: skip


def frames_of(server, path, count):
    return [rgb(server, f"{path}/frames/{number}/rendered") for number in range(1, count + 1)]


def test_binary_segments_have_their_own_color(server, slices):
    mask = numpy.zeros((3, 40, 50), numpy.uint8)
    mask[:, 5:20, 3:30], mask[1:, 18:35, 25:47] = 1, 2
    ds = segmentation(slices, mask, "BINARY", LABS[:2])
    drawn = frames_of(server, put(server, ds), 6)
    colors = set()
    for frame, stored, groups in zip(drawn, ds.pixel_array, ds.PerFrameFunctionalGroupsSequence, strict=True):
        segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert ((frame.max(axis=2) > 0) == (stored > 0)).all()
        if stored.any():
            assert numpy.abs(frame[stored > 0] - littlecms(LABS[segment - 1])).max() <= 3
            colors.add(tuple(frame[stored > 0][0]))
    assert len(colors) == 2
    case = corpus.by_name("test_files/liver_1frame.dcm")
    liver = rgb(server, put(server, case.data) + "/rendered")
    assert ((liver.max(axis=2) > 0) == (case.dataset.pixel_array > 0)).all()


def test_segments_without_a_color_get_one(server, slices):
    mask = numpy.zeros((3, 40, 50), numpy.uint8)
    mask[0, 5:20], mask[0, 25:35] = 1, 2
    drawn = frames_of(server, put(server, segmentation(slices, mask, "BINARY", [None, None])), 6)
    colors = {tuple(pixel) for frame in drawn for pixel in frame.reshape(-1, 3)} - {(0, 0, 0)}
    assert len(colors) == 2 and all(max(color) - min(color) > 60 for color in colors)


def test_fractions_are_as_bright_as_they_are_large(server, slices):
    ramp = numpy.broadcast_to(numpy.linspace(0, 1, 50), (3, 40, 50)).copy()
    ds = segmentation(slices, ramp, "FRACTIONAL", LABS[:1])
    drawn = frames_of(server, put(server, ds), 1)[0]
    share = ds.pixel_array[0] / ds.MaximumFractionalValue
    assert numpy.abs(drawn - share[..., None] * littlecms(LABS[0])).max() <= 3


def test_a_label_map_shows_all_segments_at_once(server, slices):
    labels = numpy.zeros((3, 40, 50), numpy.uint8)
    labels[1, 5:20, :20], labels[1, 5:20, 20:40], labels[1, 25:30] = 1, 2, 3
    ds = segmentation(slices, labels, "LABELMAP", LABS)
    path = put(server, ds)
    drawn, stored = frames_of(server, path, 3)[1], ds.pixel_array[1]
    assert (drawn[stored == 0] == 0).all()
    for number, lab in enumerate(LABS, 1):
        assert numpy.abs(drawn[stored == number] - littlecms(lab)).max() <= 3
    # The thumbnail shows the frame in the middle.
    assert "/frames/1/thumbnail" in web.get(server, path + "/thumbnail", "image/png").headers["content-location"]


def test_doses_are_a_color_wash_over_the_whole_grid(server):
    case = corpus.by_name("test_files/rtdose.dcm")
    path, stored = put(server, case.data), case.dataset.pixel_array
    drawn = numpy.array(frames_of(server, path, 15))
    highest = numpy.unravel_index(stored.argmax(), stored.shape)
    assert tuple(drawn[highest]) == (255, 0, 0)
    assert ((drawn.max(axis=3) > 0) == (stored > 0)).all()
    share = stored / stored.max()
    red = (drawn[..., 0] > 200) & (drawn[..., 1] < 130)
    assert (share[red] > 0.85).all() and red[share > 0.93].all()
    # A window is in Gy, and grey.
    grey = rgb(server, f"{path}/frames/{highest[0] + 1}/rendered", window="0.5,1,linear-exact")
    expected = numpy.clip(stored[highest[0]] * float(case.dataset.DoseGridScaling), 0, 1) * 255
    assert numpy.abs(grey - expected[..., None]).max() <= 1


def test_a_frame_with_little_dose_is_not_made_brighter(server):
    """From blue over green to red by the highest dose of the grid; what is below zero is none."""
    stored = numpy.zeros((3, 4, 101), "<i4")
    stored[1], stored[0] = numpy.arange(101) * 1000, numpy.arange(101) * 100 - 1000
    ds = made.instance(
        rows=4, columns=101, frames=3, pixels=stored.tobytes(), SOPClassUID=RTDOSE, Modality="RTDOSE", BitsAllocated=32,
        BitsStored=32, HighBit=31, PixelRepresentation=1, DoseGridScaling="1e-5", DoseUnits="GY",
    )  # fmt: skip
    drawn = numpy.array(frames_of(server, put(server, ds), 3))
    for low, high, channel in ((5, 35, 2), (52, 60, 1), (85, 101, 0)):
        assert (drawn[1, 0, low:high].argmax(axis=1) == channel).all()
    assert ((drawn[0, 0].max(axis=1) > 0) == (stored[0, 0] > 0)).all()
    assert drawn[0, 0, :, 0].max() == 0 and drawn[2].max() == 0


def circle(x, y, radius, z, count):
    angles = numpy.linspace(0, 2 * numpy.pi, count, endpoint=False)
    return numpy.stack([x + radius * numpy.cos(angles), y + radius * numpy.sin(angles), numpy.full(count, z)], axis=1)


def test_contours_are_seen_along_the_body_in_their_colors(server):
    # The last one has more text than stands in the metadata.
    body, tumour = circle(10, -20, 150, 0, 400), circle(60, 10, 20, 5, 9000)
    regions = [((0, 255, 0), [("CLOSED_PLANAR", body)]), ((255, 0, 0), [("CLOSED_PLANAR", tumour)]),
               ((0, 128, 255), [("POINT", [(10, -20, 0)])]), (None, [("OPEN_PLANAR", [(-40, 0, 0), (-20, 0, 0)])])]  # fmt: skip
    ds = structure_set(regions)
    drawn = rgb(server, put(server, ds) + "/rendered")
    assert drawn.shape == (1024, 1024, 3)
    scale = (1024 - 2 * 48) / 300

    def hit(points, test):
        places = numpy.floor(512 + (numpy.asarray(points)[:, :2] - (10, -20)) * scale).astype(int)
        lit = grown(test(drawn[..., 0], drawn[..., 1], drawn[..., 2]), 1)
        return lit[places[:, 1], places[:, 0]].all()

    assert hit(body, lambda r, g, b: (g > 100) & (r < 60))
    assert hit(tumour, lambda r, g, b: (r > 100) & (g < 60))
    assert hit([(10, -20, 0)], lambda r, g, b: (b > 200) & (r < 60))
    assert hit([(-40, 0, 0), (-30, 0, 0), (-21, 0, 0)], lambda r, g, b: numpy.minimum(r, b) > 100)
    # Names are not in the picture.
    for roi in ds.StructureSetROISequence:
        roi.ROIName = "Somebody Else"
    ds.SOPInstanceUID, ds.PatientName = made.uid(), "Somebody^Else"
    assert (rgb(server, put(server, ds) + "/rendered") == drawn).all()


def test_a_real_structure_set_and_one_without_contours(server):
    case = corpus.by_name("test_files/rtstruct.dcm")
    path = put(server, case.data)
    drawn = rgb(server, path + "/rendered")
    first = numpy.array(case.dataset.ROIContourSequence[0].ContourSequence[0].ContourData, float).reshape(-1, 3)
    places = numpy.floor(512 + first[:, :2] * (1024 - 96) / 400).astype(int)
    skin = grown((numpy.abs(drawn / (drawn.max(axis=2, keepdims=True) + 1) - (1, 160 / 220, 120 / 220)).max(axis=2) < 0.1), 1)
    assert skin[places[:, 1], places[:, 0]].all()
    assert max(picture(server, path + "/thumbnail").size) == 128
    empty = rgb(server, put(server, structure_set([])) + "/rendered")
    assert empty.shape == (1024, 1024, 3) and 0 < (empty.max(axis=2) > 100).sum() < 20_000
