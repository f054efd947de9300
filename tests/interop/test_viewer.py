"""OHIF in headless Chromium against a running server (viewers-and-peers.md §1): what a radiologist opens, looks at and
writes. Every test ends with the browser's own log: no request that failed, no error, nobody else asked.

Screenshots are left in target/screenshots."""

import io
import subprocess

import numpy
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from harness import corpus, derived, made, web
from harness.browser import Browser
from harness.ohif import CANVAS, VIEWPORTS, Ohif, is_drawn, until, windowed
from harness.server import REPOSITORY

VIEWER = REPOSITORY / "tests/.cache/overread-viewer"
PATIENTS = {
    "Müller, Jürgen": "PET/CT Thorax, Verlaufskontrolle Rundherd", "Yamada, Tarou": "MR Brain 頭部",
    "Иванова, Мария Петровна": "Рентгенография грудной клетки", "Wang, XiaoDong": "Echocardiography 超声心动图",
    "Παπαδοπούλου, Ελένη": "Ακτινογραφία αριστερού χεριού",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(start_module):
    """The sample studies and the viewer."""
    subprocess.run([REPOSITORY / "scripts/install-viewer", VIEWER], check=True, timeout=200)
    return start_module(config={"viewer": {"dir": str(VIEWER)}}, command="demo", start_s=180)


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        Ohif(browser.open(), server).skip_tour()
        yield browser


@pytest.fixture
def ohif(server, browser):
    """A new tab, judged at the end."""
    page = browser.open()
    viewer = Ohif(page, server)
    yield viewer
    try:
        viewer.judge()
    finally:
        page.close()


def study_of(server, description):
    rows = [row for row in web.qido(server, "/studies", {"includefield": "00081030"}) if web.value(row, "00081030") == description]
    assert len(rows) == 1
    return web.value(rows[0], "0020000D")


def images_of(server, study, modality, description=None):
    """The images of a series as pydicom reads them, by instance number."""
    rows = web.qido(server, f"/studies/{study}/series", {"Modality": modality, "includefield": "0008103E"})
    rows = [row for row in rows if description in (None, web.value(row, "0008103E"))]
    assert len(rows) == 1
    answer = web.get(server, f"/studies/{study}/series/{web.value(rows[0], '0020000E')}", web.AS_STORED)
    images = [dcmread(io.BytesIO(content)) for _, content in web.parts_of(answer)]
    return sorted(images, key=lambda image: int(image.InstanceNumber))


def rescaled(image):
    return image.pixel_array * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0))


def store(server, ds, syntax=ExplicitVRLittleEndian):
    answer = web.stow(server, [made.file(ds, syntax)])
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def chest(server):
    """The CT of the sample PET/CT."""
    return images_of(server, study_of(server, PATIENTS["Müller, Jürgen"]), "CT")


def check_numbers(ohif, image, frame=None, off_max=0):
    """What cornerstone has decoded is what pydicom decodes."""
    _, numbers, is_scaled = ohif.shown()
    expected = image.pixel_array if frame is None else image.pixel_array[frame]
    if is_scaled:
        expected = expected * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0))
    if expected.ndim == 3:
        # The viewer may have added an alpha channel.
        numbers = numbers[..., :3]
    assert numbers.shape == expected.shape
    off = numpy.abs(numbers.astype(float) - expected).max()
    assert off <= off_max, f"the values differ by {off}"


def test_the_study_list_finds_and_opens(ohif, server):
    page = ohif.page
    ohif.goto("")
    for patient, description in PATIENTS.items():
        page.see(f'text="{description}"')
        assert patient.split(",")[0] in page.call("textContent", "body")
    page.screenshot("study-list")
    # Not "muller": the server would find it, but OHIF looks through the answer once more, letter by letter.
    page.call("fill", "input >> nth=0", "müller")
    page.until("!document.body.innerText.includes('MR Brain') && document.body.innerText.includes('CT Thorax mit Kontrastmittel')", "the list is filtered")
    page.click('text="PET/CT Thorax, Verlaufskontrolle Rundherd"')
    page.until("[...document.querySelectorAll('img')].filter((i) => i.src.startsWith('blob:') && i.naturalWidth > 1).length >= 2", "two previews")
    page.screenshot("study-list-preview")
    # The list asks for the previews again at the first click of the two, and takes it back at the second.
    ohif.forgiven = [
        (r"failed: GET .*/thumbnail\?viewport=256%2C256 net::ERR_ABORTED", "OHIF took it back"),
        # A preview that came is the browser's own blob by then; leaving the list lets go of it.
        (r"blob:http://\S+ net::ERR_FILE_NOT_FOUND|ERR_FILE_NOT_FOUND \(blob:http://", "OHIF let go of a preview being shown"),
    ]
    page.call("dblclick", 'text="PET/CT Thorax, Verlaufskontrolle Rundherd"')
    ohif.drawn()


def test_a_study_of_the_pages_opens_in_the_viewer(ohif, server):
    page = ohif.page
    study = study_of(server, PATIENTS["Παπαδοπούλου, Ελένη"])
    page.call("goto", f"{server.url}/studies/{study}")
    page.call("click", 'a[href*="viewer?StudyInstanceUIDs"]')
    ohif.drawn()
    [image] = images_of(server, study, "CR")
    check_numbers(ohif, image)


def test_a_ct_is_scrolled_and_its_priors_are_there(ohif, server, chest):
    page = ohif.page
    ohif.open_study(chest[0].StudyInstanceUID)
    page.see('text="CT Thorax mit Kontrastmittel"')
    page.until("document.querySelectorAll('[data-cy=\"studyBrowser-panel\"] img').length >= 2", "thumbnails")
    until(lambda: ohif.thumbnails() >= 2, "thumbnails are pictures")
    seen = []
    for place in (0, 1, 2, 3):
        page.until(f"{VIEWPORTS}[0].getCurrentImageIdIndex() === {place}", f"slice {place}")
        page.until(f"{VIEWPORTS}[0].getCornerstoneImage().imageId === {VIEWPORTS}[0].getCurrentImageId()", f"slice {place} loaded")
        image = chest[place]
        assert ohif.instance_shown()[0] == image.SOPInstanceUID
        check_numbers(ohif, image)
        seen.append(page.picture(CANVAS))
        check_greys(ohif, rescaled(image), seen[-1])
        [[x, y]] = ohif.places([[256, 256]])
        page.call("mouse.move", x, y)
        page.call("mouse.wheel", 0, 100)
    assert all((a != b).any() for a, b in zip(seen, seen[1:], strict=False))
    page.screenshot("ct-scrolled")


def check_greys(ohif, values, picture, center=40, width=400):
    """The screen shows the window of the image: in the middle of pixels whose neighbours are like them."""
    inner = values[1:-1, 1:-1]
    near = numpy.stack([values[1 + y : values.shape[0] - 1 + y, 1 + x : values.shape[1] - 1 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)])
    rows, columns = numpy.nonzero((near.max(0) - near.min(0) < 60) & (inner > -150) & (inner < 230))
    chosen = numpy.random.default_rng(1).choice(len(rows), 300, replace=False)
    points = [[float(columns[i] + 1), float(rows[i] + 1)] for i in chosen]
    box = ohif.page.evaluate(f"(() => {{ const b = document.querySelector('{CANVAS}').getBoundingClientRect(); return [b.x, b.y] }})()")
    wanted, found = [], []
    for (x, y), (column, row) in zip(ohif.places(points), points, strict=True):
        wanted.append(windowed(values[int(row), int(column)], center, width))
        found.append(picture[int(y - box[1]), int(x - box[0])].mean())
    off = numpy.abs(numpy.array(wanted) - numpy.array(found))
    # Pixels of the screen lie between those of the image, whose noise is ten or so.
    assert numpy.median(off) < 8 and numpy.corrcoef(wanted, found)[0, 1] > 0.8, (numpy.median(off), numpy.corrcoef(wanted, found)[0, 1])


def test_an_mr_has_two_series(ohif, server):
    study = study_of(server, PATIENTS["Yamada, Tarou"])
    ohif.open_study(study)
    until(lambda: ohif.thumbnails() == 2, "two thumbnails")
    for description in ("T2 TSE tra", "T1 SE tra"):
        images = images_of(server, study, "MR", description)
        ohif.show(description, images[0].SeriesInstanceUID)
        by_uid = {image.SOPInstanceUID: image for image in images}
        check_numbers(ohif, by_uid[ohif.instance_shown()[0]])
        ohif.page.screenshot("mr-" + description[:2])


def test_an_ultrasound_loop_plays(ohif, server):
    page = ohif.page
    study = study_of(server, PATIENTS["Wang, XiaoDong"])
    [loop] = images_of(server, study, "US")
    ohif.open_study(study)
    assert page.evaluate(f"{VIEWPORTS}[0].getImageIds().length") == loop.NumberOfFrames == 30
    check_numbers(ohif, loop, 0)
    page.evaluate(f"window.framesSeen = new Set(); {VIEWPORTS}[0].element.addEventListener(cornerstone.Enums.Events.STACK_NEW_IMAGE,"
                  " (event) => framesSeen.add(event.detail.imageIdIndex))")  # fmt: skip
    page.click('[data-cy="cine-player-play-pause"]')
    page.until("framesSeen.size === 30", "every frame was shown")
    page.screenshot("us-playing")


def test_pet_and_ct_are_fused(ohif, server, chest):
    page = ohif.page
    ohif.open_study(chest[0].StudyInstanceUID, "tmtv")
    page.until(f"window.cornerstone && {VIEWPORTS}.filter((v) => v.getAllVolumeIds?.().length).length === 10", "ten viewports")
    page.until("cornerstone.cache.getVolumes().length === 2 && cornerstone.cache.getVolumes().every((v) => v.loadStatus.loaded)", "CT and PET loaded")
    # Fusion: CT below, PET in colours above.
    assert page.evaluate(f"{VIEWPORTS}.filter((v) => v.getActors().length === 2).length") == 3
    place = f"{VIEWPORTS}.find((v) => v.id === 'fusionSAGITTAL').canvas"
    page.evaluate(f"({place}).setAttribute('data-test', 'fusion')")
    until(lambda: is_fused(page.picture("[data-test=fusion]")), "fusion drawn")
    # In standardized uptake values: activity by body weight and injected dose, decayed (PS3.3 §C.8.9.1).
    pet = images_of(server, chest[0].StudyInstanceUID, "PT")
    highest = max(suv(image).max() for image in pet)
    told = page.evaluate("cornerstone.cache.getVolumes().map((v) => v.voxelManager.getRange?.() ?? v.voxelManager.getMinMax?.()).map((r) => [].concat(r.min ?? r[0], r.max ?? r[1]))")
    assert any(abs(high - highest) < 0.01 * highest for _, high in told), (told, highest)
    page.screenshot("pet-ct-fusion")


def is_fused(picture):
    """Colours (PET) and greys (CT) in one picture."""
    spread = picture.max(axis=2).astype(int) - picture.min(axis=2)
    return is_drawn(picture) and (spread > 60).mean() > 0.02


def suv(image):
    isotope = image.RadiopharmaceuticalInformationSequence[0]
    clock = [float(t[:2]) * 3600 + float(t[2:4]) * 60 + float(t[4:]) for t in (image.SeriesTime, isotope.RadiopharmaceuticalStartTime)]
    dose = float(isotope.RadionuclideTotalDose) * 2 ** (-(clock[0] - clock[1]) / float(isotope.RadionuclideHalfLife))
    return rescaled(image) * float(image.PatientWeight) * 1000 / dose


def test_a_segmentation_is_loaded(ohif, server, chest):
    page = ohif.page
    mask = numpy.stack([rescaled(image) for image in chest]) > 300
    store(server, derived.segmentation(chest, mask, "Bone"))
    ohif.open_study(chest[0].StudyInstanceUID)
    before = page.picture(CANVAS)
    ohif.series("Bone")
    page.see("text=Do you want to open this Segmentation?")
    page.click('text="Yes"')
    page.click('[data-cy="panelSegmentation-btn"]')
    page.see('[data-cy="data-row-title"] >> text="Bone"')
    # Every voxel of it, where it belongs.
    told = page.evaluate("""services.segmentationService.getSegmentations().map(({ representationData }) => {
        const { imageIds } = representationData.Labelmap;
        return imageIds.map((id) => {
            const image = cornerstone.cache.getImage(id);
            const data = image.voxelManager.getScalarData();
            return [image.referencedImageId.match(/instances\\/([0-9.]+)/)[1], data.reduce((sum, one) => sum + (one === 1), 0)];
        });
    })""")
    assert len(told) == 1
    assert dict(told[0]) == {image.SOPInstanceUID: int(plane.sum()) for image, plane in zip(chest, mask, strict=True)}
    until(lambda: reds(page.picture(CANVAS)) > reds(before) + 500, "its outline")
    page.screenshot("segmentation")


def reds(picture):
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    return ((red - green > 60) & (red - blue > 60)).sum()


def test_a_report_of_another_program_is_drawn(ohif, server, chest):
    page = ohif.page
    image = chest[20]
    millimetres = 96 * float(image.PixelSpacing[1])
    assert millimetres == 75
    store(server, derived.measurement_report(image, ((200, 256), (296, 256)), millimetres, "Lesion"))
    ohif.open_study(image.StudyInstanceUID)
    ohif.series("Lesion")
    # On its image, at its place.
    page.until(f"{VIEWPORTS}[0]?.getCurrentImageId?.()?.includes('{image.SOPInstanceUID}')", "the image that was measured")
    page.until("[...document.querySelectorAll('svg text')].some((e) => e.textContent.includes('75.00 mm'))", "its value")
    ends = page.evaluate("[...document.querySelectorAll('svg polyline, svg path, svg line')].filter((e) => e.getBoundingClientRect().width > 50)"
                         ".map((e) => { const b = e.getBoundingClientRect(); return [b.left, b.right, b.top] })")  # fmt: skip
    (left, top), (right, _) = ohif.places([[200, 256], [296, 256]])
    assert any(abs(a - left) < 3 and abs(b - right) < 3 and abs(c - top) < 3 for a, b, c in ends), (ends, left, right, top)
    page.screenshot("report-of-another-program")


def test_a_document_is_shown(ohif, server, chest):
    page = ohif.page
    ds = derived.document(chest[0], ["Second opinion", "The nodule has grown."], "Letter")
    store(server, ds)
    ohif.open_study(chest[0].StudyInstanceUID)
    ohif.series("Letter")
    page.see('[data-cy="viewport-pane"] object, [data-cy="viewport-pane"] iframe, [data-cy="viewport-pane"] embed')
    # A white page with black letters on it.
    until(lambda: is_page(page.picture('[data-cy="viewport-pane"]')), "the page")
    page.screenshot("document")


def is_page(picture):
    grey = picture.mean(axis=2)
    return (grey > 250).mean() > 0.3 and (grey < 10).mean() > 0.001


def test_a_video_plays(ohif, server, chest, tmp_path):
    page = ohif.page
    ds = derived.video(chest[0], tmp_path, "Bronchoscopy")
    store(server, ds, derived.MPEG4_HIGH_4_1)
    ohif.open_study(chest[0].StudyInstanceUID)
    # OHIF asks for a thumbnail although it does not show it; refused, it would ask for frames, and show an error.
    until(lambda: any(f"{ds.SOPInstanceUID}/thumbnail" in request["url"] for request in page.requests()), "its thumbnail")
    ohif.series("Bronchoscopy")
    page.until(f"{VIEWPORTS}[0]?.type === 'video' && {VIEWPORTS}[0].getFrameNumber() >= 1", "a video viewport")
    until(lambda: is_test_picture(page.picture(CANVAS)), "ffmpeg's test picture")
    page.evaluate(f"{VIEWPORTS}[0].play()")
    page.until(f"{VIEWPORTS}[0].getFrameNumber() > 20", "twenty frames")
    page.screenshot("video")


def is_test_picture(picture):
    """The bars of ffmpeg's testsrc: red, green, blue and what is between them."""
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    shares = [((a > 180) & (b < 80) & (c < 80)).mean() for a, b, c in ((red, green, blue), (green, red, blue), (blue, red, green))]
    return min(shares) > 0.01


# Real files of pydicom, one of each way to compress that browsers' viewers decode.
COMPRESSED = {
    "JPEG 8 bit": "test_files/examples_ybr_color.dcm", "JPEG 12 bit": "test_files/JPGExtended.dcm",
    "JPEG lossless": "data_store/JPGLosslessP14SV1_1s_1f_8b.dcm", "JPEG-LS": "test_files/MR_small_jpeg_ls_lossless.dcm",
    "JPEG 2000": "data_store/693_J2KR.dcm", "JPEG 2000 lossy": "test_files/693_J2KI.dcm",
    "RLE": "test_files/MR_small_RLE.dcm", "RLE color": "test_files/SC_rgb_rle.dcm",
}  # fmt: skip


# How far the values of two decoders may lie apart. The decoder of 12 bits in OHIF is a rough one: 15 of 4095.
LOSSY = {"JPEG 8 bit": 3, "JPEG 12 bit": 15, "JPEG 2000 lossy": 1}


def test_compressed_images_are_decoded(ohif, server):
    page = ohif.page
    study, originals = made.uid(), {}
    for number, (description, name) in enumerate(COMPRESSED.items(), 1):
        ds = dcmread(corpus.by_name(name).path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, made.uid(), made.uid()
        ds.PatientID, ds.PatientName, ds.StudyDate, ds.SeriesNumber, ds.SeriesDescription = "ZIP-1", "Zip^Zoe", "20260101", number, description
        store(server, ds, ds.file_meta.TransferSyntaxUID)
        originals[description] = ds
    ohif.open_study(study)
    for description, ds in originals.items():
        ohif.show(description, ds.SeriesInstanceUID)
        frame = int(ohif.instance_shown()[1]) - 1 if ds.get("NumberOfFrames", 1) > 1 else None
        check_numbers(ohif, ds, frame, LOSSY.get(description, 0))
        page.screenshot("compressed-" + description.replace(" ", "-"))


def test_a_measurement_is_saved_and_found_again(ohif, server, browser):
    page = ohif.page
    study = study_of(server, "CT Thorax mit Kontrastmittel")
    images = images_of(server, study, "CT")
    ohif.open_study(study)
    page.click('[data-cy="MeasurementTools-split-button-primary"]')
    (x1, y1), (x2, y2) = ohif.places([[200, 256], [280, 256]])
    page.call("mouse.move", x1, y1)
    page.call("mouse.down")
    page.call("mouse.move", (x1 + x2) / 2, y1, {"steps": 5})
    page.call("mouse.move", x2, y2, {"steps": 5})
    page.call("mouse.up")
    page.see("text=Track measurements for this series?")
    page.click('text="Yes"')
    page.click('[data-cy="trackedMeasurements-btn"]')
    shown = page.call("textContent", '[data-cy="data-row-details-primary"]')
    millimetres = float(shown.split()[0])
    # The mouse goes by whole pixels of the screen.
    assert shown.endswith("mm") and abs(millimetres - 80 * float(images[0].PixelSpacing[1])) < 1
    page.screenshot("measurement")
    page.click("text=Create SR")
    page.call("fill", '[data-cy="dialog-input"]', "Second look")
    page.click('[role=dialog] >> text="Save"')
    page.see('[data-cy="studyBrowser-panel"] >> text="Second look"')

    # What was stored is of this patient and study, and about the image that was measured.
    rows = web.qido(server, f"/studies/{study}/series", {"Modality": "SR", "includefield": "0008103E"})
    assert [web.value(row, "0008103E") for row in rows] == ["Second look"]
    [report] = images_of(server, study, "SR")
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID"):
        assert report[keyword].value == images[0][keyword].value, keyword
    referenced = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items_of(report) if "ReferencedSOPSequence" in item]
    assert set(referenced) == {images[0].SOPInstanceUID}
    lengths = [float(item.MeasuredValueSequence[0].NumericValue) for item in items_of(report) if "MeasuredValueSequence" in item]
    assert len(lengths) == 1 and abs(lengths[0] - millimetres) < 0.06

    # Somebody else opens it.
    other = Ohif(browser.open(), server)
    other.open_study(study)
    other.series("Second look")
    other.page.see("text=Do you want to continue tracking measurements for this study?")
    other.page.click('text="Yes"')
    other.page.click('[data-cy="trackedMeasurements-btn"]')
    other.page.see('[data-cy="data-row-details-primary"]')
    assert other.page.call("textContent", '[data-cy="data-row-details-primary"]') == shown
    other.page.screenshot("measurement-again")
    other.judge()
    other.page.close()


def items_of(item):
    """A content tree, item by item (PS3.3 §C.17.3)."""
    yield item
    for inner in item.get("ContentSequence", []):
        yield from items_of(inner)
