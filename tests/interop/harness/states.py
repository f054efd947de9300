"""Presentation states made by the tests (PS3.3 §A.33), and DCMTK's opinion of them."""

import io
import subprocess

import numpy
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from harness import made, web

ROWS, COLUMNS = 48, 64
RAMP = ((numpy.arange(ROWS * COLUMNS) * 37) % 4096).astype("<u2").reshape(ROWS, COLUMNS)
CLASS = "1.2.840.10008.5.1.4.1.1.11."
GREY, COLOR, PSEUDO = CLASS + "1", CLASS + "2", CLASS + "3"


def item(**attributes):
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def items(*datasets):
    return Sequence(datasets)


def reference(image, frames=None):
    ref = item(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID)
    if frames:
        ref.ReferencedFrameNumber = frames
    return ref


def area(image, first=(1, 1), last=None, mode="SCALE TO FIT", **attributes):
    last = last or (image.Columns, image.Rows)
    attributes.setdefault("PresentationPixelAspectRatio", [1, 1])
    return item(DisplayedAreaTopLeftHandCorner=list(first), DisplayedAreaBottomRightHandCorner=list(last),
                PresentationSizeMode=mode, **attributes)  # fmt: skip


def state(*images, sop_class=GREY, frames=None, study=None, **attributes):
    """A state of images, the first of which it is drawn for; whole, upright and as they are."""
    ds = made.instance(study=study or images[0].StudyInstanceUID, SOPClassUID=sop_class, Modality="PR", InstanceNumber=1)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation"):  # fmt: skip
        delattr(ds, keyword)
    ds.ContentLabel, ds.ContentDescription = "MADE", "made"
    ds.PresentationCreationDate, ds.PresentationCreationTime, ds.ContentCreatorName = "20260102", "101112", "Maker^Test"
    series = {}
    for image in images:
        series.setdefault(image.SeriesInstanceUID, []).append(reference(image, frames))
    ds.ReferencedSeriesSequence = items(
        *(item(SeriesInstanceUID=uid, ReferencedImageSequence=items(*refs)) for uid, refs in series.items())
    )
    ds.DisplayedAreaSelectionSequence = items(area(images[0]))
    if sop_class == GREY:
        ds.PresentationLUTShape = "IDENTITY"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def window(center, width, *images, frames=None):
    voi = item(WindowCenter=center, WindowWidth=width)
    if images:
        voi.ReferencedImageSequence = items(*(reference(image, frames) for image in images))
    return voi


def layer(name="LAYER", order=1, grey=None, lab=None):
    ds = item(GraphicLayer=name, GraphicLayerOrder=order)
    if grey is not None:
        ds.GraphicLayerRecommendedDisplayGrayscaleValue = grey
    if lab is not None:
        ds.GraphicLayerRecommendedDisplayCIELabValue = lab
    return ds


def graphic(kind, points, units="PIXEL", filled="N"):
    return item(GraphicAnnotationUnits=units, GraphicDimensions=2, NumberOfGraphicPoints=len(points) // 2,
                GraphicData=list(map(float, points)), GraphicType=kind, GraphicFilled=filled)  # fmt: skip


def annotation(*graphics, name="LAYER", images=(), texts=()):
    ds = item(GraphicLayer=name)
    if images:
        ds.ReferencedImageSequence = items(*map(reference, images))
    if graphics:
        ds.GraphicObjectSequence = items(*graphics)
    if texts:
        ds.TextObjectSequence = items(*texts)
    return ds


def overlay(ds, bits, group=0x6000, origin=(1, 1), frames=None, first=None, activation=None):
    """Puts an overlay plane into an object: rows and columns of booleans, after each other for frames."""
    ds.add_new((group, 0x0010), "US", bits.shape[-2])
    ds.add_new((group, 0x0011), "US", bits.shape[-1])
    if frames:
        ds.add_new((group, 0x0015), "IS", frames)
    ds.add_new((group, 0x0040), "CS", "G")
    ds.add_new((group, 0x0050), "SS", list(origin))
    if first:
        ds.add_new((group, 0x0051), "US", first)
    ds.add_new((group, 0x0100), "US", 1)
    ds.add_new((group, 0x0102), "US", 0)
    if activation:
        ds.add_new((group, 0x1001), "CS", activation)
    packed = numpy.packbits(bits.astype("u1").ravel(), bitorder="little").tobytes()
    ds.add_new((group, 0x3000), "OW", packed + b"\0" * (len(packed) % 2))
    return ds


def dcmtk(folder, image, ps, frame=1):
    """What DCMTK's dcmp2pgm makes of them."""
    (folder / "image.dcm").write_bytes(made.file(image))
    (folder / "state.dcm").write_bytes(made.file(ps))
    run = subprocess.run(["dcmp2pgm", "-f", str(frame), "-p", "state.dcm", "image.dcm", "out.pgm"], cwd=folder, capture_output=True)
    assert run.returncode == 0, run.stderr
    return numpy.asarray(Image.open(io.BytesIO((folder / "out.pgm").read_bytes())))


def image(values=RAMP, **attributes):
    rows, columns = values.shape[-2:]
    frames = values.shape[0] if values.ndim == 3 else None
    return made.instance(rows=rows, columns=columns, pixels=values.astype("<u2").tobytes(), frames=frames, **attributes)


def path_of(ds):
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def put(server, *objects):
    response = web.stow(server, [made.file(ds) for ds in objects])
    assert response.status_code == 200, response.text
    return path_of(objects[-1]) + "/rendered"


def array(content):
    return numpy.asarray(Image.open(io.BytesIO(content))).astype(float)


def png(server, path, **params):
    response = web.get(server, path, "image/png", params=params)
    assert response.status_code == 200, (response.status_code, response.text[:300])
    return array(response.content)


def drawn(server, *images, **attributes):
    ps = state(*images, **attributes)
    return png(server, put(server, *images, ps)), ps


def near(actual, expected, grey=1):
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    worst = numpy.abs(actual - expected).max()
    assert worst <= grey, f"{worst} greys apart"


def shade(x, center, width):
    """PS3.3 §C.11.2.1.2."""
    return numpy.clip(((numpy.asarray(x, float) - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)


def lut(entries, bits, first=0):
    ds = Dataset()
    ds.add_new(0x00283002, "US", [len(entries) % 65536, first, bits])
    ds.add_new(0x00283006, "OW", numpy.asarray(entries, "<u2").tobytes())
    return ds
