"""Compressed pixel data and what others than Overread make of them: DCMTK's decoders of JPEG, JPEG-LS and
RLE, OpenJPEG (by pydicom) of JPEG 2000. Where both have a say, both are asked."""

import io
import struct
import subprocess
import warnings

import numpy
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder

from . import corpus, made, web

_P = "1.2.840.10008.1.2"
EXPLICIT, IMPLICIT, BIG, DEFLATED = _P + ".1", _P, _P + ".2", _P + ".1.99"
NATIVE = (EXPLICIT, IMPLICIT, BIG, DEFLATED)
BASELINE, EXTENDED, LOSSLESS, LOSSLESS_SV1 = _P + ".4.50", _P + ".4.51", _P + ".4.57", _P + ".4.70"
JPEG_LS, NEAR_LOSSLESS, J2K, J2K_LOSSY, RLE = _P + ".4.80", _P + ".4.81", _P + ".4.90", _P + ".4.91", _P + ".5"
HTJ2K, HTJ2K_RPCL, HTJ2K_LOSSY = _P + ".4.201", _P + ".4.202", _P + ".4.203"
JXL, JXL_RECOMPRESSED, JXL_LOSSY = _P + ".4.110", _P + ".4.111", _P + ".4.112"
DCMTK = {
    BASELINE: "dcmdjpeg", EXTENDED: "dcmdjpeg", LOSSLESS: "dcmdjpeg", LOSSLESS_SV1: "dcmdjpeg",
    JPEG_LS: "dcmdjpls", NEAR_LOSSLESS: "dcmdjpls", RLE: "dcmdrle",
}  # fmt: skip
COLORS, PLANES, TABLES = 0x00280004, 0x00280006, (0x7FE00001, 0x7FE00002, 0x7FE00003)


def read(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(io.BytesIO(data), force=True)


def syntax_of(data):
    return str(read(data).file_meta.TransferSyntaxUID)


def path_of(ds):
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def put(server, data):
    """Stores a file; the path of its instance."""
    response = web.stow(server, [data])
    assert response.status_code in (200, 202), response.text
    return path_of(read(data))


def named(syntax):
    return f"{web.DICOM}; transfer-syntax={syntax}"


def ask(server, path, syntax):
    """The file in a syntax by its name, which must say so itself."""
    response = web.get(server, path, named(syntax), timeout=200)
    data = web.file_of(response)
    [(head, _)] = web.parts_of(response)
    assert head["content-type"] == f"application/dicom; transfer-syntax={syntax}" and syntax_of(data) == syntax
    return data


def compressed(ds, fragments, syntax, has_table=True):
    """A Part 10 file of `ds` with these fragments: frames, when there is an offset table."""
    ds = dcmread(io.BytesIO(made.file(ds)))
    if "PixelData" in ds:
        del ds.PixelData
    pixels = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff" + encapsulate(fragments, has_bot=has_table)
    body = made.encode(ds) + pixels + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return made.wrap(body, str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax)


def image(rows, columns, samples=1, allocated=8, stored=None, photometric=None, **attributes):
    """An object of this shape, whose pixels are zeros."""
    stored = stored or allocated
    if samples == 3:
        attributes = {"PlanarConfiguration": 0, **attributes}
    return made.instance(
        rows=rows, columns=columns, SOPClassUID=made.SECONDARY_CAPTURE, Modality="OT", SamplesPerPixel=samples,
        PhotometricInterpretation=photometric or ("RGB" if samples == 3 else "MONOCHROME2"),
        BitsAllocated=allocated, BitsStored=stored, HighBit=stored - 1, **{"pixels": bytes(rows * columns * samples * allocated // 8), **attributes},
    )  # fmt: skip


def by_dcmtk(data, folder, *options):
    """The data set as DCMTK decodes it."""
    (folder / "in.dcm").write_bytes(data)
    command = [DCMTK[syntax_of(data)], "-q", *options, folder / "in.dcm", folder / "out.dcm"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dcmread(folder / "out.dcm")


def by_pydicom(data):
    """The samples as the codestreams hold them, by pixel, no colors converted."""
    ds = read(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array, _ = get_decoder(ds.file_meta.TransferSyntaxUID).as_array(ds, raw=True)
    return array


def native_bytes(ds):
    """Pixel data without the padding to an even length."""
    frames = int(ds.get("NumberOfFrames") or 1)
    samples = 2 if ds.PhotometricInterpretation == "YBR_FULL_422" else ds.SamplesPerPixel
    return ds.PixelData[: (frames * ds.Rows * ds.Columns * samples * ds.BitsAllocated + 7) // 8]


def cells(data, ds):
    kind = {8: "u1", 16: "<u2", 32: "<u4"}[ds.BitsAllocated]
    if ds.PixelRepresentation:
        kind = kind.replace("u", "i")
    return numpy.frombuffer(data, kind)


def apart(ours, theirs):
    assert ours.size == theirs.size, (ours.size, theirs.size)
    return int(numpy.abs(ours.reshape(-1).astype(numpy.int64) - theirs.reshape(-1).astype(numpy.int64)).max())


def judge(given, data, folder):
    """Holds a decoded data set against every independent decoder that knows the syntax; what they make of it."""
    syntax, ours, decoded = syntax_of(data), cells(native_bytes(given), given), read(data)
    if syntax in DCMTK:
        is_converted = syntax == BASELINE and decoded.PhotometricInterpretation.startswith("YBR")
        decoded = by_dcmtk(data, folder)
        assert apart(ours, cells(native_bytes(decoded), decoded)) == 0, "not what DCMTK decodes"
        assert given.PhotometricInterpretation == decoded.PhotometricInterpretation
        assert given.get("PlanarConfiguration") == decoded.get("PlanarConfiguration")
        if is_converted:
            return decoded
    try:
        theirs = by_pydicom(data)
    except RuntimeError:
        # libjpeg refuses a scan that says where it ends otherwise than the standard: DCMTK alone judges.
        assert syntax in DCMTK
        return decoded
    assert apart(ours, theirs) <= tolerance(syntax, given.BitsStored), f"{apart(ours, theirs)} from what pydicom decodes"
    return decoded


def tolerance(syntax, bits):
    """How far decoders of the same codestream may be apart."""
    if syntax in (J2K_LOSSY, HTJ2K_LOSSY):
        # A wavelet in floating point: what its rounding leaves, 1 up to 14 bits (ISO 15444-4 allows more).
        return max(1, 2**bits >> 14)
    # Cosine transforms: libjpeg's of pylibjpeg rounds otherwise than DCMTK's, whose results are ours to the last bit.
    return {BASELINE: 1, EXTENDED: 2}.get(syntax, 0)


def elements(ds, path=()):
    """(path, VR, value) of every element, items too, as pydicom understands them; no group lengths."""
    for element in ds:
        here = (*path, str(element.tag))
        if element.tag.element == 0:
            continue
        if element.VR == "SQ":
            yield here, "SQ", len(element.value)
            for number, item in enumerate(element.value):
                yield from elements(item, (*here, number))
        else:
            yield here, element.VR, element.value


def differences(before, after):
    """Elements that are not the same in both, but for what must change with the form of pixel data."""

    def table(ds):
        leave_out = {str(e.tag) for e in ds if e.tag in (COLORS, PLANES, 0x7FE00010, *TABLES)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {path: (vr, value) for path, vr, value in elements(ds) if path[0] not in leave_out}

    before, after = table(before), table(after)
    assert list(before) == list(after)
    return [path for path in before if repr(before[path]) != repr(after[path])]


def corpus_files():
    """(name, file) of every compressed image of the corpus. Who lacks UIDs gets them; of very many frames five."""
    for case in corpus.cases():
        if case.refusal not in (None, corpus.NO_STUDY) or case.transfer_syntax in NATIVE:
            continue
        yield case.name, case


def file_of(case):
    ds = case.dataset
    if case.refusal is None and int(ds.get("NumberOfFrames") or 1) <= 30:
        return case.data
    ds = read(case.data)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if keyword not in ds:
            setattr(ds, keyword, made.uid())
    frames = int(ds.get("NumberOfFrames") or 1)
    if frames > 30:
        first = [frame for frame, _ in zip(generate_frames(ds.PixelData, number_of_frames=frames), range(5))]
        ds.NumberOfFrames, ds.PixelData = 5, encapsulate(first)
    stream = io.BytesIO()
    ds.save_as(stream)
    return stream.getvalue()
