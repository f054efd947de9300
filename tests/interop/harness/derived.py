"""What readers and their programs add to a study: segmentations and measurement reports (made by highdicom), documents
and videos. Each keeps the patient and study of the image it belongs to. Waveforms and structure sets stand alone."""

import subprocess

import highdicom as hd
import numpy
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from . import made

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
VIDEO_ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
MPEG4_HIGH_4_1 = "1.2.840.10008.1.2.4.102"
OF_PIXELS = (
    "PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation",
)  # fmt: skip
MAKER = {"manufacturer": "Overread's tests"}


def segmentation(images, mask, label):
    """A binary segmentation with one segment; `mask` has the places of `images`, row and column."""
    algorithm = hd.AlgorithmIdentificationSequence("threshold", codes.DCM.ArtificialIntelligence, "1")
    segment = hd.seg.SegmentDescription(
        1, label, codes.SCT.AnatomicalStructure, codes.SCT.Bone, hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC, algorithm
    )
    return hd.seg.Segmentation(
        images, mask.astype(numpy.uint8), hd.seg.SegmentationTypeValues.BINARY, [segment], made.uid(), 301, made.uid(), 1,
        manufacturer_model_name="highdicom", software_versions=hd.__version__, device_serial_number="1",
        series_description=label, **MAKER,
    )  # fmt: skip


def measurement_report(image, line, millimetres, label):
    """A TID 1500 report of one length, drawn on `image` as ((column, row), (column, row))."""
    observer = hd.sr.ObserverContext(codes.DCM.Person, hd.sr.PersonObserverIdentifyingAttributes("Reader^Rita"))
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(made.uid(), label),
        referenced_region=hd.sr.ImageRegion(
            hd.sr.GraphicTypeValues.POLYLINE, numpy.array(line, float),
            hd.sr.SourceImageForRegion.from_source_image(image),
        ),
        finding_type=CodedConcept("4147007", "SCT", "Mass"),
        measurements=[hd.sr.Measurement(codes.SCT.Length, millimetres, codes.UCUM.Millimeter)],
    )  # fmt: skip
    report = hd.sr.MeasurementReport(
        hd.sr.ObservationContext(observer), codes.LN.CTUnspecifiedBodyRegion, [group],
        title=codes.DCM.ImagingMeasurementReport,
    )  # fmt: skip
    return hd.sr.Comprehensive3DSR(
        [image], report, made.uid(), 302, made.uid(), 1, institution_name="Overread", is_complete=True,
        series_description=label, **MAKER,
    )  # fmt: skip


def beside(image, sop_class, modality, number, description):
    """The beginning of an object in the study of `image`, in a series of its own."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, made.uid()
    for keyword in (
        "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyDescription",
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    ):  # fmt: skip
        setattr(ds, keyword, image.get(keyword))
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.InstanceNumber = made.uid(), number, 1
    ds.Modality, ds.SeriesDescription = modality, description
    ds.Manufacturer = MAKER["manufacturer"]
    return ds


def pdf(lines):
    """A one-page document in Helvetica (ISO 32000-1 §7.5)."""
    text = "BT /F1 36 Tf 60 700 Td 44 TL " + " ".join(f"({line}) '" for line in lines) + " ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        " /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n"
    return out + f"{head}startxref\n{len(out)}\n%%EOF\n".encode()


def document(image, lines, title):
    """An Encapsulated PDF (PS3.3 §A.45.1)."""
    ds = beside(image, ENCAPSULATED_PDF, "DOC", 303, title)
    ds.ConversionType, ds.BurnedInAnnotation, ds.DocumentTitle = "WSD", "YES", title
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    content = pdf(lines)
    ds.EncapsulatedDocumentLength = len(content)
    ds.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return ds


def video(image, folder, title):
    """Two seconds of ffmpeg's test picture, H.264 in MP4 (PS3.5 §8.2.7): as a data set for the syntax MPEG4_HIGH_4_1."""
    path = folder / "video.mp4"
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "testsrc=duration=2:size=640x480:rate=25", "-pix_fmt",
         "yuv420p", "-c:v", "libx264", "-profile:v", "high", "-level", "4.1", "-bf", "2", "-movflags", "+faststart", path],
        check=True, timeout=60,
    )  # fmt: skip
    ds = beside(image, VIDEO_ENDOSCOPIC, "ES", 304, title)
    ds.Rows, ds.Columns, ds.NumberOfFrames = 480, 640, 50
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_PARTIAL_420", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.FrameTime, ds.CineRate, ds.FrameIncrementPointer = "40", "25", 0x00181063
    ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_14496_10"
    ds.PixelData = encapsulate([path.read_bytes()], has_bot=False)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


def without_pixels(sop_class, modality):
    return made.instance(SOPClassUID=sop_class, Modality=modality, **dict.fromkeys(OF_PIXELS))


def code(value, scheme, meaning):
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def multiplex_group(stored, interpretation, frequency=250, unit="uV", sensitivity=1, baseline=0):
    """One item of the Waveform Sequence; `stored` are samples by channel, in their bytes."""
    samples, channels = stored.shape
    group = Dataset()
    group.WaveformOriginality, group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = "ORIGINAL", channels, samples
    group.SamplingFrequency, group.WaveformBitsAllocated = frequency, stored.dtype.itemsize * 8
    group.WaveformSampleInterpretation = interpretation
    group.ChannelDefinitionSequence = Sequence()
    for number in range(channels):
        channel = Dataset()
        channel.ChannelSourceSequence = Sequence([code(f"1-{number}", "99TEST", f"Lead V{number + 1}")])
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = sensitivity, 1
        channel.ChannelSensitivityUnitsSequence = Sequence([code(unit, "UCUM", unit)])
        channel.ChannelBaseline, channel.WaveformBitsStored = baseline, stored.dtype.itemsize * 8
        group.ChannelDefinitionSequence.append(channel)
    group.WaveformData = stored.tobytes()
    group["WaveformData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    return group


def waveform(*groups, sop_class=ECG):
    ds = without_pixels(sop_class, "ECG")
    ds.WaveformSequence = Sequence(groups)
    return ds


def structure_set(regions):
    """By their colors: contours of a type and points in millimetres."""
    ds = without_pixels(RTSTRUCT, "RTSTRUCT")
    ds.StructureSetROISequence, ds.ROIContourSequence = Sequence(), Sequence()
    for number, (color, contours) in enumerate(regions, 1):
        roi, region = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, f"Name {number}", made.uid()
        region.ReferencedROINumber, region.ContourSequence = number, Sequence()
        if color:
            region.ROIDisplayColor = list(color)
        for kind, points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [f"{n:.3f}" for point in points for n in point]
            region.ContourSequence.append(contour)
        ds.StructureSetROISequence.append(roi)
        ds.ROIContourSequence.append(region)
    return ds
