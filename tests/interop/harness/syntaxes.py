"""An object in each transfer syntax. Compressed frames are bytes that no codec knows: who keeps an object as it comes need not."""

import zlib

from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from . import made

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def body_in(ds, syntax):
    """The data set in a transfer syntax."""
    ds["PixelData"].VR = "OW"
    if syntax not in NATIVE:
        ds.PixelData = encapsulate([b"a frame of " + syntax.encode(), b"the next one"])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    write_dataset(stream, ds)
    body = stream.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        compressor = zlib.compressobj(wbits=-15)
        body = compressor.compress(body) + compressor.flush()
        body += b"\0" * (len(body) % 2)
    return body


class Each:
    """A study with one object in each of these transfer syntaxes."""

    def __init__(self, syntaxes=tuple(made.TRANSFER_SYNTAXES)):
        self.study, series = made.uid(), made.uid()
        self.files, self.bodies, self.syntaxes = {}, {}, {}
        for syntax in syntaxes:
            ds = made.instance(study=self.study, series=series, SOPClassUID=made.SECONDARY_CAPTURE, frames=2, rows=8, columns=8)
            uid = str(ds.SOPInstanceUID)
            self.syntaxes[uid], self.bodies[uid] = syntax, body_in(ds, syntax)
            self.files[uid] = made.wrap(self.bodies[uid], ds.SOPClassUID, uid, syntax)
