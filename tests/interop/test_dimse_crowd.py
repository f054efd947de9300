"""A hundred associations at once, some of them hostile (conformance.md §8, 210; 203 to 205): each costs itself, memory stays
bounded, and the good ones lose nothing."""

import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import made, web
from harness.certificates import Authority
from harness.server import free_port
from harness.wire import (
    EXPLICIT, P_DATA, VERIFICATION, Aborted, Association, Closed, associate_rq, command, item, pdu,
)  # fmt: skip

PUSH_MODEL, FIND = "1.2.840.10008.1.20.1", "1.2.840.10008.5.1.4.1.2.2.1"
CONTEXTS = [(made.CT, [EXPLICIT]), (PUSH_MODEL, [EXPLICIT]), (FIND, [EXPLICIT]), (VERIFICATION, [EXPLICIT])]
WINDOW = item(0x53, struct.pack(">HH", 16, 1))


def resident_bytes(server):
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS")


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])
def test_a210_a_hundred_associations_that_are_open_together_lose_nothing(start, tmp_path, is_secure):
    dicom, port, tls = {"associations_max": 100}, free_port(), None
    if is_secure:
        authority = Authority(tmp_path / "authority")
        identity, tls = authority.issue("server"), authority.client()
        dicom |= {
            "tls_listen": f"127.0.0.1:{port}", "tls_certificate": str(identity.certificate), "tls_private_key": str(identity.key),
            "tls_trusted_certificates": str(authority.certificate),
        }  # fmt: skip
    server = start(config={"dicom": dicom})
    address = ("127.0.0.1", port) if is_secure else server.dicom_address
    together = threading.Barrier(100, timeout=60)
    objects = [[made.instance(rows=32, columns=32) for _ in range(3)] for _ in range(100)]

    def send(mine):
        with Association(address, CONTEXTS[:1], timeout=60, tls=tls) as peer:
            together.wait()
            statuses = [peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) for ds in mine]
            together.wait()
            return statuses

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(send, objects)) == [[0, 0, 0]] * 100
    kept = {row["00080018"]["Value"][0] for row in web.qido_all(server, "/instances", {})}
    assert kept == {str(ds.SOPInstanceUID) for mine in objects for ds in mine}


def store_begun(length):
    """A C-STORE whose object never ends: `length` bytes of pixels that are going to be 4 GiB."""
    ds = made.instance()
    del ds.PixelData
    rq = command({0x2: made.CT, 0x100: 1, 0x110: 1, 0x700: 0, 0x800: 1, 0x1000: str(ds.SOPInstanceUID)})
    head = made.encode(ds) + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0xFFFFFFFE)
    pdus = pdu(P_DATA, struct.pack(">IBB", len(rq) + 2, 1, 3) + rq) + pdu(P_DATA, struct.pack(">IBB", len(head) + 2, 1, 0) + head)
    return pdus + pdu(P_DATA, struct.pack(">IBB", 100_002, 1, 0) + bytes(100_000)) * (length // 100_000)


def commitment_begun(items):
    rq = command({0x3: PUSH_MODEL, 0x100: 0x130, 0x110: 1, 0x800: 1, 0x1001: "1.2.840.10008.1.20.1.1", 0x1008: 1})
    head = struct.pack("<HH2sHI", 0x8, 0x1199, b"SQ", 0, 0xFFFFFFFF)
    inner = made.element(8, 0x1150, "UI", b"1.2\0") + made.element(8, 0x1155, "UI", b"1.2.3\0")
    one = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    pdus = pdu(P_DATA, struct.pack(">IBB", len(rq) + 2, 3, 3) + rq) + pdu(P_DATA, struct.pack(">IBB", len(head) + 2, 3, 0) + head)
    body = one * 1000
    return pdus + pdu(P_DATA, struct.pack(">IBB", len(body) + 2, 3, 0) + body) * (items // 1000)


def identifiers_begun():
    """A search whose identifier is a megabyte, and more of them than may wait."""
    rq = lambda n: command({0x2: FIND, 0x100: 0x20, 0x110: n, 0x700: 0, 0x800: 1})  # noqa: E731
    value = struct.pack("<HH2sHI", 0x9, 0x1010, b"UN", 0, 0xFFFFFFF0) + bytes(99_988)
    said = b""
    for n in range(1, 8):
        said += pdu(P_DATA, struct.pack(">IBB", len(rq(n)) + 2, 5, 3) + rq(n))
        said += pdu(P_DATA, struct.pack(">IBB", len(value) + 2, 5, 0) + value)
        said += pdu(P_DATA, struct.pack(">IBB", 100_002, 5, 0) + bytes(100_000)) * 9
        said += pdu(P_DATA, struct.pack(">IBB", 2, 5, 2))
    return said


# What is said once associated, or instead; then silence, the connection held open.
HOSTILE = {
    "nothing": (False, b""),
    "half a request": (False, associate_rq(CONTEXTS)[:80]),
    "a request of 1 MiB": (False, struct.pack(">BBI", 1, 0, 1 << 20) + bytes(100)),
    "garbage": (False, bytes((i * 73 + 5) % 256 for i in range(10_000))),
    "silence": (True, b""),
    "a PDU that lies": (True, struct.pack(">BBI", P_DATA, 0, 131_072) + b"\0"),
    "an object without end": (True, store_begun(4_000_000)),
    "a command without end": (True, pdu(P_DATA, struct.pack(">IBB", 60_002, 1, 1) + bytes(60_000))),
    "references without end": (True, commitment_begun(20_000)),
    "large searches": (True, identifiers_begun()),
}


def test_a203_hostile_peers_cost_only_their_own_associations(start):
    server = start(config={"dicom": {"associations_max": 128, "idle_timeout_s": 3600, "artim_timeout_s": 3600}})
    before = resident_bytes(server)
    held = []

    def stall(is_associated, said):
        if is_associated:
            connection = Association(server.dicom_address, CONTEXTS, timeout=60, extra_user_items=WINDOW).socket
        else:
            connection = socket.create_connection(server.dicom_address, timeout=60)
        held.append(connection)
        try:
            connection.sendall(said)
        except OSError:
            pass  # it was told to go

    try:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda one: stall(*one), [one for one in HOSTILE.values() for _ in range(9)]))
        # All of them are still there; the good ones come and go among them.
        objects = [made.instance(rows=64, columns=64) for _ in range(40)]

        def send(ds):
            with Association(server.dicom_address, CONTEXTS, timeout=60) as peer:
                return peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds))

        with ThreadPoolExecutor(10) as pool:
            assert list(pool.map(send, objects)) == [0] * 40
        grown = resident_bytes(server) - before
        # 90 of them: a read buffer each, what is bounded of an object, an identifier or references, and no more.
        assert grown < 150 << 20, f"{grown >> 20} MiB"
    finally:
        for connection in held:
            connection.close()
    kept = {row["00080018"]["Value"][0] for row in web.qido_all(server, "/instances", {})}
    assert kept == {str(ds.SOPInstanceUID) for ds in objects}


def test_a204_those_who_lie_again_and_again_stop_nobody(server):
    """Each lie ends its association; others are let in meanwhile, and nothing is left of it."""
    lies = [said for is_associated, said in HOSTILE.values() if is_associated and said] + [bytes([kind]) * 64 for kind in (0, 1, 3, 9, 255)]
    is_over = threading.Event()

    def lie(said):
        while not is_over.is_set():
            try:
                peer = Association(server.dicom_address, CONTEXTS, timeout=30, extra_user_items=WINDOW)
                peer.socket.sendall(said)
                peer.socket.close()
            except (OSError, Aborted, Closed):
                pass

    with ThreadPoolExecutor(len(lies)) as pool:
        futures = [pool.submit(lie, said) for said in lies]
        objects = [made.instance() for _ in range(20)]
        try:
            for ds in objects:
                with Association(server.dicom_address, CONTEXTS, timeout=60) as peer:
                    assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) == 0
        finally:
            is_over.set()
        for future in futures:
            future.result()
    assert server.process.poll() is None and "panicked" not in server.log()
