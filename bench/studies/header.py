"""Whole headers of each modality, 120 to 200 elements with sequences and private blocks, as scanners write them.

A header is made once for a modality and a character set with pydicom and cut into its top-level elements; of these only what
differs from instance to instance is encoded anew, which makes 100,000 small instances cheap.
"""
import functools
import hashlib
import io
import struct

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

ROOT = "1.2.826.0.1.3680043.10.9999."  # an example root, of no product
SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "PT": "1.2.840.10008.5.1.4.1.1.128",
    "CR": "1.2.840.10008.5.1.4.1.1.1", "DX": "1.2.840.10008.5.1.4.1.1.1.1", "US": "1.2.840.10008.5.1.4.1.1.3.1",
    "ECT": "1.2.840.10008.5.1.4.1.1.2.1",
}
CHARACTER_SETS = {"latin1": "ISO_IR 100", "utf8": "ISO_IR 192", "jp": ["", "ISO 2022 IR 87"]}
MANUFACTURERS = {"CT": "SIEMENS", "MR": "GE MEDICAL SYSTEMS", "PT": "Philips", "US": "Canon"}
LONG_VRS = {b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"UC", b"UR", b"OD", b"OL", b"OV", b"SV", b"UV"}

WORDS = dict(
    InstanceCreationDate="20230101", InstanceCreationTime="101010.120000", AcquisitionDateTime="20230101101112.130000+0100",
    AccessionNumber="A0000001", InstitutionAddress="Hauptstrasse 1, Musterstadt", ReferringPhysicianName="REFERRER^ANNE^^DR",
    TimezoneOffsetFromUTC="+0100", StationName="STATION01", StudyDescription="DESC", SeriesDescription="SERIES",
    InstitutionalDepartmentName="Radiology", PhysiciansOfRecord="RECORD^R", PerformingPhysicianName="PERFORM^P",
    NameOfPhysiciansReadingStudy="READER^RAY", OperatorsName="OP^ERATOR", AdmittingDiagnosesDescription="Suspected pneumonia",
    ManufacturerModelName="Model X 128", PatientName="X", PatientID="P", IssuerOfPatientID="HOSP", PatientBirthDate="19700101",
    PatientSex="M", PatientBirthTime="120000", OtherPatientNames="ALIAS^A", PatientAge="053Y", PatientSize="1.75",
    PatientWeight="78.5", MedicalAlerts="none", Allergies="none", EthnicGroup="n/a", Occupation="engineer", SmokingStatus="NO",
    AdditionalPatientHistory="Cough for three weeks, no fever.", PregnancyStatus=4, PatientComments="synthetic",
    ContrastBolusAgent="Iomeprol 350", BodyPartExamined="CHEST", ScanOptions="HELICAL_CT", SliceThickness="1.5", KVP="120",
    DataCollectionDiameter="500", DeviceSerialNumber="SN12345", SoftwareVersions=["syngo CT VB20A", "1.0"],
    ProtocolName="Thorax^Routine", ContrastBolusRoute="IV", ContrastBolusVolume="80", SpacingBetweenSlices="1.5",
    DistanceSourceToDetector="1085.6", DistanceSourceToPatient="595", GantryDetectorTilt="0", TableHeight="150.5",
    RotationDirection="CW", ExposureTime="500", XRayTubeCurrent="250", Exposure="125", FilterType="FLAT", GeneratorPower="40",
    FocalSpots=["0.7", "1.2"], DateOfLastCalibration="20221230", TimeOfLastCalibration="060000",
    ConvolutionKernel=["Br40d", "3"], PatientPosition="HFS", SingleCollimationWidth=0.6, TotalCollimationWidth=38.4,
    TableSpeed=46.0, SpiralPitchFactor=0.6, CTDIvol=7.31, StudyID="1", SeriesNumber="1", AcquisitionNumber="1",
    InstanceNumber="1", ImagePositionPatient=["-249.5", "-249.5", "0"], ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
    PositionReferenceIndicator="SN", SliceLocation="0", ImageComments="synthetic benchmark data, no patient",
    PixelSpacing=["0.9765625", "0.9765625"], PixelRepresentation=0, LossyImageCompression="00",
    RequestingPhysician="REQ^UESTER", RequestingService="Pulmonology", RequestedProcedureDescription="CT Thorax",
    CurrentPatientLocation="WARD 7", PerformedProcedureStepStartDate="20230101", PerformedProcedureStepStartTime="100500",
    PerformedProcedureStepID="PPS1", PerformedProcedureStepDescription="Thorax routine",
)
MR_WORDS = dict(
    ScanningSequence=["SE", "IR"], SequenceVariant="SK", MRAcquisitionType="2D", SequenceName="*tir2d1_16", RepetitionTime="9000",
    EchoTime="93", InversionTime="2500", NumberOfAverages="1", ImagingFrequency="123.25", ImagedNucleus="1H", EchoNumbers="1",
    MagneticFieldStrength="3", NumberOfPhaseEncodingSteps="200", EchoTrainLength="16", PercentSampling="70", PixelBandwidth="220",
    FlipAngle="150", SAR="1.2",
)
PT_WORDS = dict(Units="BQML", CountsSource="EMISSION", DecayCorrection="START", FrameReferenceTime="1200")
PROJECTION_WORDS = dict(
    PresentationIntentType="FOR PRESENTATION", ViewPosition="PA", DetectorType="SCINTILLATOR",
    ImagerPixelSpacing=["0.139", "0.139"], RelativeXRayExposure="300", Laterality="",
)
REGION = dict(
    RegionSpatialFormat=1, RegionDataType=1, RegionFlags=0, RegionLocationMinX0=0, RegionLocationMinY0=0,
    PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3, PhysicalDeltaX=0.04, PhysicalDeltaY=0.04,
)
GRAY_WORDS = dict(
    SmallestImagePixelValue=0, LargestImagePixelValue=4095, WindowCenter=["1064", "424"], WindowWidth=["400", "1500"],
    WindowCenterWidthExplanation=["SOFT", "LUNG"], RescaleSlope="1",
)


def uid(*parts):
    """56 characters, always the same for the same parts."""
    number = int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest()[:16], "big")
    digits = 56 - len(ROOT)
    return ROOT + str(number % (9 * 10 ** (digits - 1)) + 10 ** (digits - 1))


def item(words):
    dataset = Dataset()
    for keyword, value in words.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value, scheme, meaning, **more):
    return item(dict(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning, **more))


def reference(sop_class, of, **more):
    return item(dict(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=of, **more))


def sequences(modality):
    """The sequences that every modality has."""
    localizer = Sequence([code("121311", "DCM", "Localizer")])
    images = [reference(SOP_CLASSES[modality], uid("refimg", i), PurposeOfReferenceCodeSequence=localizer) for i in range(3)]
    protocol = code("P5-08000", "SRT", "CT", ProtocolContextSequence=Sequence([code("1", "99X", "ctx")]))
    request = item(dict(
        RequestedProcedureDescription="CT Thorax", ScheduledProcedureStepDescription="step", ScheduledProcedureStepID="SPS1",
        RequestedProcedureID="RP1", ScheduledProtocolCodeSequence=Sequence([code("T1", "99LOCAL", "Thorax")]),
    ))
    return dict(
        ProcedureCodeSequence=[code("RPID16", "RADLEX", "CT Thorax")],
        ReferencedStudySequence=[reference("1.2.840.10008.3.1.2.3.1", uid("refstudy"))],
        ReferencedPerformedProcedureStepSequence=[reference("1.2.840.10008.3.1.2.3.3", uid("refpps"))],
        ReferencedImageSequence=images, SourceImageSequence=images[:1],
        OtherPatientIDsSequence=[item(dict(PatientID="MRN-OLD", TypeOfPatientID="TEXT", IssuerOfPatientID="OLDHIS"))],
        PerformedProtocolCodeSequence=[protocol], RequestAttributesSequence=[request],
        AnatomicRegionSequence=[code("T-D3000", "SRT", "Chest")],
    )


def add_private_blocks(dataset, modality, is_small):
    block = dataset.private_block(0x0019, "SIEMENS CT VA0  COAD", create=True)
    for place, value in enumerate(["45", "Br40d/3", "SAFIRE", "-12.5"]):
        block.add_new(0x60 + place, "LO", value)
    block = dataset.private_block(0x0021, "GEMS_RELA_01", create=True)
    for place, vr, value in [(0x03, "SS", 1), (0x35, "DS", "1.5"), (0x91, "DS", "0.25")]:
        block.add_new(place, vr, value)
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x09, "LO", "20230101")
    # As long as such blocks are in life: most of what inline metadata weighs.
    block.add_new(0x10, "OB", hashlib.shake_256(b"csa" + modality.encode()).digest(256 if is_small else 9000))
    block = dataset.private_block(0x0051, "ACME 1.0", create=True)
    block.add_new(0x10, "SQ", Sequence([item(dict(CodeValue="PRIV", CodeMeaning="private sequence item"))]))
    block.add_new(0x11, "UN", b"\x01\x02\x03\x04")


def add_pixel_module(dataset, modality, rows, columns, frames):
    dataset.Rows, dataset.Columns = rows, columns
    is_color = modality == "US"
    bits = 8 if is_color else 16
    stored = 8 if is_color else 12 if modality in ("CT", "ECT", "CR", "DX") else 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, stored, stored - 1
    if is_color:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.NumberOfFrames, dataset.FrameTime, dataset.FrameIncrementPointer = str(frames), "33.3", 0x00181063
        region = item(dict(REGION, RegionLocationMaxX1=columns - 1, RegionLocationMaxY1=rows - 1))
        dataset.SequenceOfUltrasoundRegions = Sequence([region])
        return
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    is_hounsfield = modality in ("CT", "ECT")
    words = dict(GRAY_WORDS, RescaleIntercept="-1024" if is_hounsfield else "0", RescaleType="HU" if is_hounsfield else "US")
    for keyword, value in words.items():
        setattr(dataset, keyword, value)
    if modality == "ECT":
        dataset.NumberOfFrames = str(frames)
        measures = item(dict(SliceThickness="1.5", PixelSpacing=["0.97", "0.97"]))
        dataset.SharedFunctionalGroupsSequence = Sequence([item(dict(PixelMeasuresSequence=Sequence([measures])))])
        places = [item(dict(ImagePositionPatient=["0", "0", str(i)])) for i in range(frames)]
        dataset.PerFrameFunctionalGroupsSequence = Sequence(
            [item(dict(PlanePositionSequence=Sequence([place]))) for place in places])


def header(modality, character_set, is_small, rows, columns, frames):
    """A full header; what varies is put in its place later."""
    shown = "CT" if modality == "ECT" else modality
    words = dict(WORDS)
    words.update(
        SpecificCharacterSet=CHARACTER_SETS[character_set], SOPClassUID=SOP_CLASSES[modality], SOPInstanceUID=uid("x"),
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL" if modality in ("CT", "ECT", "PT") else "M"], Modality=shown,
        InstanceCreatorUID=uid("creator", modality), Manufacturer=MANUFACTURERS.get(shown, "AGFA"),
        InstitutionName="University Hospital" if character_set == "jp" else "Universitätsklinikum",
        StudyInstanceUID=uid("s"), SeriesInstanceUID=uid("se"), FrameOfReferenceUID=uid("for"),
    )
    for of in ("Study", "Series", "Acquisition", "Content"):
        words.update({f"{of}Date": "20230101", f"{of}Time": "101112.130000"})
    words.update({"MR": MR_WORDS, "PT": PT_WORDS, "CR": PROJECTION_WORDS, "DX": PROJECTION_WORDS}.get(modality, {}))
    dataset = item(words)
    for keyword, items in sequences(modality).items():
        setattr(dataset, keyword, Sequence(items))
    if modality == "PT":
        tracer = dict(Radiopharmaceutical="FDG", RadiopharmaceuticalStartTime="090000", RadionuclideTotalDose="350000000",
                      RadionuclideHalfLife="6586.2", RadionuclideCodeSequence=Sequence([code("C-111A1", "SRT", "^18^Fluorine")]))
        dataset.RadiopharmaceuticalInformationSequence = Sequence([item(tracer)])
    add_pixel_module(dataset, modality, rows, columns, frames)
    add_private_blocks(dataset, modality, is_small)
    return dataset


@functools.cache
def elements(modality, character_set, is_small, rows, columns, frames):
    """The header as [(tag, its bytes)], in Explicit VR Little Endian (PS3.5 §7.1.2)."""
    file = io.BytesIO()
    dataset = header(modality, character_set, is_small, rows, columns, frames)
    dataset.save_as(file, implicit_vr=False, little_endian=True, enforce_file_format=False)
    encoded, place, found = file.getvalue(), 0, []
    while place < len(encoded):
        group, number = struct.unpack_from("<HH", encoded, place)
        if encoded[place + 4:place + 6] in LONG_VRS:
            end = place + 12 + struct.unpack_from("<I", encoded, place + 8)[0]
        else:
            end = place + 8 + struct.unpack_from("<H", encoded, place + 6)[0]
        found.append((group << 16 | number, encoded[place:end]))
        place = end
    return found


def element(tag, vr, value):
    """One element in Explicit VR Little Endian."""
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr.encode() in LONG_VRS:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def file_meta(sop_class, sop_instance, transfer_syntax):
    """Preamble and File Meta Information (PS3.10 §7.1)."""
    body = b"".join([
        element(0x00020001, "OB", b"\0\1"), element(0x00020002, "UI", sop_class.encode()),
        element(0x00020003, "UI", sop_instance.encode()), element(0x00020010, "UI", transfer_syntax.encode()),
        element(0x00020012, "UI", (ROOT + "1").encode()), element(0x00020013, "SH", b"BENCHGEN_1"),
    ])
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(body))) + body
