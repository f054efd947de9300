"""What people bring who have no DICOM programs: discs, archives, papers, photographs; and inboxes for them."""

import io
import zipfile

import numpy
from PIL import Image

from harness import made

# A whole PDF, which no viewer complains of.
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


def scene(rows=48, columns=64):
    """Soft colors, no two corners alike."""
    y, x = numpy.mgrid[0:rows, 0:columns]
    return numpy.stack([x * 255 // columns, y * 255 // rows, (x + y) * 255 // (rows + columns)], axis=-1).astype(numpy.uint8)


def jpeg(pixels, *, orientation=None, progressive=False, subsampling=2, quality=95):
    """With the place where it was taken, and more that is nobody's business."""
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    exif[0x010F] = "SECRET CAMERA"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 13.0)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(
        stream, "JPEG", exif=exif, comment=b"SECRET PLACE", progressive=progressive, subsampling=subsampling, quality=quality
    )
    return stream.getvalue() + b"SECRET TRAILER"


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


# Every disc has a viewer, with its pictures and its manual.
PROGRAMS = {"AUTORUN.INF": b"[autorun]\nopen=VIEWER.EXE\n", "VIEWER.EXE": b"MZ\x90\0" + bytes(5000), "HELP/INDEX.HTM": b"<html></html>",
            "HELP/logo.png": png(scene()), "manual.pdf": PDF + b"% of the viewer\n"}  # fmt: skip


def zipped(files, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def slices(count, **attributes):
    """A series of axial slices, 5 mm apart."""
    found = made.study(count, **attributes)
    for place, ds in enumerate(found):
        ds.ImagePositionPatient = [0, 0, 5 * place]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing = [1, 1]
        ds.PixelData = bytes([place % 256]) * len(ds.PixelData)
    return found


def disc(objects):
    """The files of a CD, by their paths."""
    files = {f"DICOM/IM{place:04}": made.file(ds) for place, ds in enumerate(objects)}
    directory = made.instance(SOPClassUID="1.2.840.10008.1.3.10")
    return {"DICOMDIR": made.file(directory)} | files | PROGRAMS
