"""DICOM JSON as pydicom's reading of a file demands it (PS3.18 §F.2), compared value by value.

Nothing here asks Overread how it came to its answer: the values are pydicom's, the rules are the
standard's. Where pydicom knows more or less than a file says, the quirk is named below."""

import base64
import io
import math
import struct
import warnings

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue

TEXT_ONE = {"LT", "ST", "UT", "UR"}
TEXT_MANY = {"AE", "AS", "CS", "DA", "DT", "LO", "SH", "TM", "UC", "UI"}
NUMBERS = {"SL", "SS", "UL", "US", "SV", "UV", "FL", "FD"}
DECIMAL = {"DS", "IS"}
BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
# MPEG2, H.264, H.265 (PS3.6 Table A-1).
VIDEOS = "1.2.840.10008.1.2.4.10"
SWAP = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def differences(data, actual, fetch):
    """Every place where the metadata `actual` is not what pydicom derives from the file `data`.
    `fetch(uri)` gives the bytes behind a BulkDataURI."""
    found, keys = [], list(actual)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(io.BytesIO(data), force=True)
        # A video says so in its metadata, although not in its data set.
        syntax = getattr(getattr(ds, "file_meta", None), "TransferSyntaxUID", "")
        if syntax.startswith(VIDEOS) and "AvailableTransferSyntaxUID" not in ds:
            if actual.get("00083002") != {"vr": "UI", "Value": [syntax]}:
                found.append("00083002 does not name the syntax of the video")
            actual = {key: member for key, member in actual.items() if key != "00083002"}
        found += compare_dataset(ds, actual, "", fetch)
    if has_non_ascii(actual) and actual.get("00080005", {}).get("Value") != ["ISO_IR 192"]:
        found.append("00080005 must be ISO_IR 192 beside text that is not ASCII")
    if keys != sorted(keys) or any(len(k) != 8 or k.upper() != k for k in keys):
        found.append("keys not in order or not eight upper case digits")
    return found


def compare_dataset(ds, actual, where, fetch):
    is_implicit, is_little = original_encoding(ds)
    pixel_width = pixel_bytes(ds)
    expected = set()
    for tag in sorted(ds.keys()):
        if tag.group == 2 or tag.element == 0 or tag == 0xFFFCFFFC:
            # No File Meta, no group lengths (PS3.18 §F.2.2); trailing padding may be left out (PS3.10 §7.2).
            continue
        key = f"{tag:08X}"
        expected.add(key)
        raw = ds.get_item(tag)
        raw_bytes, raw_vr = (raw.value, raw.VR) if isinstance(raw, RawDataElement) else (None, None)
        if key == "00080005":
            continue
        if key not in actual:
            yield f"{where}{key} is missing"
            continue
        try:
            element = ds[tag]
        except Exception as error:  # pydicom gives up on a value: then only presence is judged
            yield from ([] if raw_bytes is not None else [f"{where}{key} pydicom: {error!r}"])
            continue
        yield from compare_element(element, actual[key], f"{where}{key}", fetch, raw_bytes, raw_vr, is_implicit, is_little, pixel_width)
    for key in actual.keys() - expected - {"FFFCFFFC"}:
        if key != "00080005":
            yield f"{where}{key} is not in the file"


def pixel_bytes(ds):
    """How many bytes are turned round when big endian pixel data becomes little endian. As pydicom
    reads it: cells of 32 bits as one number, cells of 8 bits under OW in words (PS3.5 §8.1.1)."""
    if "PixelData" not in ds or ds["PixelData"].VR != "OW":
        return 1
    return max(2, int(ds.get("BitsAllocated") or 16) // 8)


def original_encoding(ds):
    implicit, little = ds.original_encoding
    return bool(implicit), little is not False


def compare_element(element, member, where, fetch, raw_bytes, raw_vr, is_implicit, is_little, pixel_width):
    vr = element.VR
    if not set(member) <= {"vr", "Value", "BulkDataURI", "InlineBinary"} or len(member) > 2:
        yield f"{where} has members {sorted(member)}"
        return
    if member["vr"] == "UN" and vr != "UN" and (raw_vr == "UN" or (is_implicit and element.tag.is_private)):
        # Quirk: pydicom looks the VR of UN elements and of private elements under Implicit VR up in
        # its dictionaries. The file does not say it, so UN with the untouched bytes is as right.
        if raw_bytes is not None and binary(member, fetch) != raw_bytes:
            yield f"{where} UN differs from the bytes in the file"
        return
    if member["vr"] != vr:
        yield f"{where} vr is {member['vr']}, not {vr}"
        return
    if vr == "SQ":
        items = member.get("Value", [])
        if len(items) != len(element.value):
            yield f"{where} has {len(items)} items, not {len(element.value)}"
            return
        for number, (item, answer) in enumerate(zip(element.value, items)):
            yield from compare_dataset(item, answer, f"{where}/{number}/", fetch)
    elif vr in BINARY:
        yield from compare_binary(element, member, where, fetch, is_little, pixel_width)
    else:
        wanted = expected_values(element, vr)
        if "BulkDataURI" in member:
            if raw_bytes is not None and not same_bulk(fetch(member["BulkDataURI"]), raw_bytes, vr, is_little):
                yield f"{where} bulk data differs"
            return
        got = member.get("Value")
        if wanted is None or got is None:
            if (wanted is None) != (got is None):
                yield f"{where} is {short(got)}, not {short(wanted)}"
            return
        if len(wanted) != len(got) or not all(same_value(vr, w, g) for w, g in zip(wanted, got)):
            yield f"{where} {vr} is {short(got)}, not {short(wanted)}"


def same_bulk(got, raw, vr, is_little):
    if is_little:
        return got == raw
    width = {"FL": 4, "FD": 8, "SL": 4, "SS": 2, "UL": 4, "US": 2, "SV": 8, "UV": 8}.get(vr, SWAP.get(vr, 1))
    return got == swapped(raw, width)


def compare_binary(element, member, where, fetch, is_little, pixel_width):
    value = element.value or b""
    if element.tag == 0x7FE00010 and element.is_undefined_length:
        # Encapsulated: its frames are compared one by one elsewhere.
        if "BulkDataURI" not in member:
            yield f"{where} encapsulated pixel data without BulkDataURI"
        return
    if not value:
        if set(member) != {"vr"}:
            yield f"{where} is empty in the file"
        return
    value = bytes(value)
    if not is_little:
        value = swapped(value, SWAP.get(element.VR, 1) if element.tag != 0x7FE00010 else pixel_width)
    if binary(member, fetch) != value:
        yield f"{where} {element.VR} of {len(value)} bytes differs"


def swapped(value, width):
    if width == 1:
        return value
    return b"".join(value[i : i + width][::-1] for i in range(0, len(value), width))


def binary(member, fetch):
    if "InlineBinary" in member:
        return base64.b64decode(member["InlineBinary"], validate=True)
    if "BulkDataURI" in member:
        return fetch(member["BulkDataURI"])
    return b""


def expected_values(element, vr):
    """The `Value` array, `None` when there must be none."""
    value = element.value
    if value is None or (not isinstance(value, (int, float)) and len(value) == 0):
        return None
    many = list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]
    if vr == "PN":
        return [name_groups(name) for name in many] if any(name_groups(n) for n in many) else None
    if vr == "AT":
        return [f"{int(tag):08X}" for tag in many]
    if vr in NUMBERS:
        return many
    if vr in DECIMAL:
        return [getattr(v, "original_string", v) if v not in ("", None) else None for v in many]
    texts = [str(v.original_string if getattr(v, "original_string", None) else v) for v in many]
    if vr in TEXT_ONE:
        text = texts[0].rstrip(" \0")
        return [text] if text else None
    texts = [text.strip(" \0") or None for text in texts]
    return texts if any(t is not None for t in texts) else (None if len(texts) == 1 else texts)


def name_groups(name):
    groups = {"Alphabetic": name.alphabetic, "Ideographic": name.ideographic, "Phonetic": name.phonetic}
    return {key: text for key, text in ((k, t.strip(" \0")) for k, t in groups.items()) if text} or None


def same_value(vr, wanted, got):
    if wanted is None or got is None:
        return wanted is None and got is None
    if vr in ("FL", "FD"):
        wanted = float(wanted)
        if vr == "FL":
            return struct.pack("<f", wanted) == struct.pack("<f", float(got))
        return wanted == float(got) or (math.isnan(wanted) and got == "NaN")
    if vr in NUMBERS:
        return int(wanted) == int(got)
    if vr in DECIMAL:
        try:
            return float(wanted) == float(got)
        except ValueError:
            return str(wanted).strip(" \0") == str(got).strip(" \0")
    if vr == "PN":
        # Trailing carets and spaces carry no meaning (PS3.5 §6.2.1.1).
        return {k: t.rstrip("^ ") for k, t in wanted.items()} == {k: t.rstrip("^ ") for k, t in got.items()}
    if vr in TEXT_ONE:
        return wanted == got.rstrip(" \0")
    return wanted == got.strip(" \0")


def has_non_ascii(value):
    if isinstance(value, dict):
        return any(has_non_ascii(v) for v in value.values())
    if isinstance(value, list):
        return any(has_non_ascii(v) for v in value)
    return isinstance(value, str) and not value.isascii()


def short(value):
    text = repr(value)
    return text if len(text) < 90 else text[:87] + "..."
