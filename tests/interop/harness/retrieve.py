"""C-FIND and C-GET byte by byte (PS3.7 §9.1): requests, responses with identifiers, C-CANCEL."""

import struct

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from harness.wire import P_DATA, command


def identifier(level, **keys):
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    return ds


def even(value):
    return value + b" " * (len(value) % 2)


def request(peer, keys, message=1, field=0x20):
    peer.send_fragments(1, command({0x2: peer.contexts[0][0], 0x100: field, 0x110: message, 0x700: 0, 0x800: 1}), True)
    peer.send_fragments(1, keys, False)


def responses(peer):
    """(status, encoded identifier) of each response, to the last."""
    sets = {True: b"", False: b""}
    status, wants_data = None, False
    while True:
        kind, body = peer.read_pdu()
        assert kind == P_DATA, kind
        at = 0
        while at < len(body):
            length, _, header = struct.unpack_from(">IBB", body, at)
            is_command = bool(header & 1)
            sets[is_command] += body[at + 6 : at + 4 + length]
            at += 4 + length
            if not header & 2:
                continue
            whole, sets[is_command] = sets[is_command], b""
            if is_command:
                status = us(whole, 0x900)
                wants_data = us(whole, 0x800) != 0x101
            if not is_command or not wants_data:
                yield status, None if is_command else whole
                if status not in (0xFF00, 0xFF01):
                    return


def us(body, wanted):
    at = 0
    while at < len(body):
        _, element, length = struct.unpack_from("<HHI", body, at)
        if element == wanted:
            return struct.unpack_from("<H", body, at + 8)[0]
        at += 8 + length


def exchange(peer, keys):
    request(peer, keys)
    got = list(responses(peer))
    parsed = [read_dataset(DicomBytesIO(data), False, True) for _, data in got if data]
    for ds in parsed:
        ds.decode()
    return [status for status, _ in got], parsed


def cancel(message):
    return command({0x100: 0x0FFF, 0x120: message, 0x800: 0x101})
