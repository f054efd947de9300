"""Objects made by the tests: small, sound, and known in every value."""

import itertools
import struct

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Every transfer syntax of PS3.6 that carries a whole object, and the retired big endian.
TRANSFER_SYNTAXES = [
    "1.2.840.10008." + suffix
    for suffix in (
        "1.2 1.2.1 1.2.1.98 1.2.1.99 1.2.2 1.2.4.50 1.2.4.51 1.2.4.57 1.2.4.70 1.2.4.80 1.2.4.81 1.2.4.90 1.2.4.91 1.2.4.92 "
        "1.2.4.93 1.2.4.100 1.2.4.100.1 1.2.4.101 1.2.4.101.1 1.2.4.102 1.2.4.102.1 1.2.4.103 1.2.4.103.1 1.2.4.104 "
        "1.2.4.104.1 1.2.4.105 1.2.4.105.1 1.2.4.106 1.2.4.106.1 1.2.4.107 1.2.4.108 1.2.4.110 1.2.4.111 1.2.4.112 "
        "1.2.4.201 1.2.4.202 1.2.4.203 1.2.5 1.2.8.1"
    ).split()
]
ROOT = "1.2.826.0.1.3680043.10.9999."

_numbers = itertools.count(1)


def uid():
    """A UID that no other call gives, in this process or another."""
    return generate_uid(ROOT)


def instance(*, study=None, series=None, sop=None, rows=4, columns=4, pixels=None, frames=None, **attributes):
    """A CT image. Keywords are DICOM keywords; `None` leaves an attribute out, "" leaves it empty."""
    number = next(_numbers)
    ds = Dataset()
    ds.SpecificCharacterSet = attributes.pop("SpecificCharacterSet", "ISO_IR 192")
    ds.SOPClassUID = CT
    ds.SOPInstanceUID = sop or uid()
    ds.StudyInstanceUID = study or uid()
    ds.SeriesInstanceUID = series or uid()
    ds.PatientName = "Maker^Test"
    ds.PatientID = "MADE-1"
    ds.PatientBirthDate = "19700102"
    ds.PatientSex = "O"
    ds.StudyDate = "20260102"
    ds.StudyTime = "101112"
    ds.AccessionNumber = f"ACC{number}"
    ds.ReferringPhysicianName = "Refer^Rita"
    ds.StudyID = "S1"
    ds.Modality = "CT"
    ds.SeriesNumber = 1
    ds.InstanceNumber = number
    ds.Rows, ds.Columns = rows, columns
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    if frames:
        ds.NumberOfFrames = frames
    if pixels is None:
        pixels = bytes(range(256)) * (rows * columns * 2 * (frames or 1) // 256 + 1)
        pixels = pixels[: rows * columns * 2 * (frames or 1)]
    ds.PixelData = pixels
    for keyword, value in attributes.items():
        if value is None:
            if keyword in ds:
                delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def encode(ds, transfer_syntax=ExplicitVRLittleEndian):
    """The bytes of the data set, no File Meta."""
    stream = DicomBytesIO()
    stream.is_implicit_VR = transfer_syntax == ImplicitVRLittleEndian
    stream.is_little_endian = True
    for element in ds:
        if element.tag == 0x7FE00010 and element.VR == "OB or OW":
            element.VR = "OW"
    write_dataset(stream, ds)
    return stream.getvalue()


def file(ds, transfer_syntax=ExplicitVRLittleEndian, preamble=bytes(128)):
    """A Part 10 file."""
    return wrap(encode(ds, transfer_syntax), str(ds.get("SOPClassUID", CT)), str(ds.get("SOPInstanceUID", "1.2.3")),
                transfer_syntax, preamble)  # fmt: skip


def wrap(data_set, sop_class, sop_instance, transfer_syntax=ExplicitVRLittleEndian, preamble=bytes(128)):
    """A Part 10 file around these very bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_instance
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = ROOT + "1"
    # Not dcmwrite: behind a File Meta that says "deflated" it puts an empty deflated data set.
    stream = DicomBytesIO()
    write_file_meta_info(stream, meta, enforce_standard=True)
    return preamble + b"DICM" + stream.getvalue() + data_set


def element(group, number, vr, value, order="<"):
    """One explicit VR element, whatever it says."""
    head = struct.pack(order + "HH", group, number) + vr.encode()
    if vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"):
        return head + struct.pack(order + "HI", 0, len(value)) + value
    return head + struct.pack(order + "H", len(value)) + value


def study(count, **attributes):
    """`count` instances of one series, numbered from 1."""
    study_uid, series_uid = attributes.pop("study", None) or uid(), uid()
    return [instance(study=study_uid, series=series_uid, InstanceNumber=n, **attributes) for n in range(1, count + 1)]
