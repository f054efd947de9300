"""The DICOM listener as DCMTK, pynetdicom and a raw socket meet it (PS3.7, PS3.8; conformance.md §8, 201–211)."""

import contextlib
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom.uid import JPEG2000Lossless
from pynetdicom import AE, StoragePresentationContexts, build_role
from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation, UserIdentityNegotiation
from pynetdicom.sop_class import CTImageStorage, Verification

from harness import made, part10, web
from harness.wire import (
    ABORT, ASSOCIATE_AC, EXPLICIT, IMPLICIT, P_DATA, RELEASE_RP, VERIFICATION, Aborted, Association, Closed, Refused,
    associate_rq, command, item, pdu,
)  # fmt: skip

CT_EXPLICIT = [(made.CT, [EXPLICIT])]
BAD_TAIL = associate_rq(CT_EXPLICIT)[:-3] + b"\xff\xff\xff"
UNKNOWN_SYNTAX = "1.2.826.0.1.3680043.10.9999.777"


def storescu(address, *paths, called="OVERREAD", options=()):
    return subprocess.run(
        ["storescu", "-aec", called, *options, address[0], str(address[1]), *map(str, paths)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def stored_bytes(server, ds):
    response = web.get(server, web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID), web.AS_STORED)
    return part10.data_set(web.file_of(response))


def instances(server, ds):
    return web.qido(server, "/instances", {"SOPInstanceUID": str(ds.SOPInstanceUID)})


def store(server, ds, **keywords):
    with Association(server.dicom_address, CT_EXPLICIT, **keywords) as peer:
        return peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds))


def test_a201_dcmtk_echoes(server):
    host, port = server.dicom_address
    done = subprocess.run(["echoscu", "-v", "-aec", "OVERREAD", host, str(port)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a201_pynetdicom_echoes(server):
    ae = AE()
    ae.add_requested_context(Verification)
    association = ae.associate(*server.dicom_address, ae_title="OVERREAD")
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()


def test_dcmtk_stores(server, tmp_path):
    ds = made.instance(rows=64, columns=64)
    (tmp_path / "ct.dcm").write_bytes(made.file(ds))
    done = storescu(server.dicom_address, tmp_path / "ct.dcm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(instances(server, ds)) == 1


def test_pynetdicom_stores(server):
    ae = AE()
    ae.requested_contexts = StoragePresentationContexts[:128]
    association = ae.associate(*server.dicom_address, ae_title="OVERREAD")
    assert association.is_established
    refused = [cx.abstract_syntax for cx in association.rejected_contexts]
    assert refused == []
    ds = made.instance()
    ds.file_meta = part10.split(made.file(ds))[0]
    assert association.send_c_store(ds).Status == 0
    association.release()
    assert len(instances(server, ds)) == 1


def test_all_storage_classes_of_pynetdicom_are_taken(server):
    classes = [cx.abstract_syntax for cx in StoragePresentationContexts] + CURRENT_AND_RETIRED
    for at in range(0, len(classes), 128):
        with Association(server.dicom_address, [(c, [EXPLICIT, IMPLICIT]) for c in classes[at : at + 128]]) as peer:
            refused = [classes[at + n // 2] for n, result in peer.results.items() if result]
            assert refused == []


# conformance.md §4.3: new since pynetdicom's list, and retired ones that archives still hold.
CURRENT_AND_RETIRED = [
    "1.2.840.10008.5.1.4.1.1." + suffix
    for suffix in "66.7 66.8 9.100.1 9.100.2 88.77 3 6 5 8 9 10 11 9.1 12.3 88.1 88.2 88.3 88.4 77.1 77.2".split()
]


def test_every_listed_transfer_syntax_is_taken_as_it_comes(server):
    syntaxes = made.TRANSFER_SYNTAXES
    assert len(syntaxes) == 39
    contexts = [(made.SECONDARY_CAPTURE, [s]) for s in syntaxes]
    with Association(server.dicom_address, contexts) as peer:
        assert {n: r for n, r in peer.results.items() if r} == {}
        assert [peer.accepted[2 * n + 1] for n in range(39)] == syntaxes


def test_a206_jpip_and_unknown_syntaxes_get_result_4_and_unknown_classes_3(server):
    contexts = [
        (made.CT, ["1.2.840.10008.1.2.4.94"]), (made.CT, [UNKNOWN_SYNTAX]), ("1.2.840.10008.5.1.4.1.2.2.99", [IMPLICIT]),
        (made.CT, [IMPLICIT]),
    ]  # fmt: skip
    with Association(server.dicom_address, contexts) as peer:
        assert (peer.results[1], peer.results[3], peer.results[7]) == (4, 4, 0)
        assert peer.results[5] == 3


def test_a206_128_contexts_and_unknown_sub_items(server):
    contexts = [(VERIFICATION, [IMPLICIT])] + [(made.CT, [EXPLICIT])] * 127
    extra = item(0x5C, b"who knows") + item(0x57, struct.pack(">H", 3) + b"1.2" + bytes(4))
    with Association(server.dicom_address, contexts, extra_user_items=extra) as peer:
        assert len(peer.results) == 128 and set(peer.results.values()) == {0}
        assert peer.echo() == 0


def test_a211_private_class_named_as_storage_is_taken(server):
    ae = AE()
    private = "1.2.826.0.1.3680043.10.9999.500"
    ae.add_requested_context(private, EXPLICIT)
    negotiation = SOPClassCommonExtendedNegotiation()
    negotiation.sop_class_uid = private
    negotiation.service_class_uid = "1.2.840.10008.4.2"
    association = ae.associate(*server.dicom_address, ae_title="OVERREAD", ext_neg=[negotiation])
    assert association.is_established
    ds = made.instance(SOPClassUID=private)
    ds.file_meta = part10.split(made.file(ds))[0]
    assert association.send_c_store(ds).Status == 0
    association.release()
    assert web.value(instances(server, ds)[0], "00080016") == private


def test_a202_called_and_calling_ae_policy(start):
    server = start(config={"dicom": {"called_ae_titles": ["SECOND"], "calling_ae_titles": ["MODALITY"]}})
    for called, calling, refusal in [
        ("OVERREAD", "MODALITY", None), ("SECOND", "MODALITY", None), ("NOBODY", "MODALITY", (1, 1, 7)), ("OVERREAD", "STRANGER", (1, 1, 3)),
    ]:  # fmt: skip
        try:
            with Association(server.dicom_address, [(VERIFICATION, [IMPLICIT])], called=called, calling=calling) as peer:
                assert refusal is None, (called, calling)
                assert peer.echo() == 0
        except Refused as error:
            assert error.triple == refusal, (called, calling)


def test_a202_application_context_version_and_load(start):
    server = start(config={"dicom": {"associations_max": 2}})
    echo = [(VERIFICATION, [IMPLICIT])]
    with pytest.raises(Refused) as refused:
        Association(server.dicom_address, echo, application_context="1.2.840.10008.3.1.1.2")
    assert refused.value.triple == (1, 1, 2)
    with pytest.raises(Refused) as refused:
        Association(server.dicom_address, echo, version=2)
    assert refused.value.triple == (1, 2, 2)
    with Association(server.dicom_address, echo), Association(server.dicom_address, echo):
        with pytest.raises(Refused) as refused:
            Association(server.dicom_address, echo)
        assert refused.value.triple == (2, 3, 2)


def test_a203_who_connects_and_says_nothing_is_let_go_after_artim(start):
    server = start(config={"dicom": {"artim_timeout_s": 1, "idle_timeout_s": 2}})
    for opening in (b"", associate_rq(CT_EXPLICIT)[:40]):
        with socket.create_connection(server.dicom_address, timeout=10) as s:
            s.sendall(opening)
            begun = time.monotonic()
            while s.recv(4096):
                pass
            assert 0.5 < time.monotonic() - begun < 6
    peer = Association(server.dicom_address, CT_EXPLICIT, timeout=10)
    with pytest.raises((Aborted, Closed)):
        peer.read_pdu()


def test_silent_connections_block_nobody(start):
    server = start()
    silent = [socket.create_connection(server.dicom_address) for _ in range(60)]
    web_silent = [socket.create_connection(server.http_address) for _ in range(60)]
    try:
        begun = time.monotonic()
        with Association(server.dicom_address, [(VERIFICATION, [IMPLICIT])]) as peer:
            assert peer.echo() == 0
        assert web.get(server, "/studies", web.JSON).status_code == 204
        assert time.monotonic() - begun < 2
    finally:
        for s in silent + web_silent:
            s.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(200), b"\xff" * 200, pdu(0x55, b"abc"), pdu(P_DATA, bytes(10)),
        struct.pack(">BBI", 1, 0, 0xFFFFFFFF), struct.pack(">BBI", 1, 0, 0), BAD_TAIL,
        pdu(1, associate_rq(CT_EXPLICIT)[6:74] + b"\x20\x00\xff\xff" + bytes(8)),
        pdu(1, associate_rq(CT_EXPLICIT)[6:74] + b"\x20\x00\x00\x02" + bytes(2)),
    ],
    ids=["http", "zeros", "ones", "unknown-type", "data-first", "huge-length", "empty-rq", "bad-tail", "item-too-long", "item-too-short"],
)  # fmt: skip
def test_a204_garbage_is_aborted_and_others_are_served(server, garbage):
    with socket.create_connection(server.dicom_address, timeout=10) as s:
        answer = b""
        try:
            s.sendall(garbage)
            s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(4096):
                answer += chunk
        except OSError:
            pass  # it hung up first
    # A bad tail spoils the implementation version name only: no reason to refuse.
    expected = ASSOCIATE_AC if garbage == BAD_TAIL else ABORT
    assert answer[:1] == bytes([expected]), answer[:20]
    with Association(server.dicom_address, [(VERIFICATION, [IMPLICIT])]) as peer:
        assert peer.echo() == 0


def test_a204_unknown_and_unexpected_pdus_are_aborted_with_their_reason(server):
    for sent, reason in ((pdu(0x55, bytes(4)), 1), (pdu(ASSOCIATE_AC, bytes(70)), 2), (associate_rq(CT_EXPLICIT), 2)):
        peer = Association(server.dicom_address, CT_EXPLICIT, timeout=10)
        peer.socket.sendall(sent)
        with pytest.raises(Aborted) as aborted:
            peer.read_pdu()
        assert aborted.value.pair == (2, reason)
    with socket.create_connection(server.dicom_address, timeout=10) as s:
        s.sendall(pdu(P_DATA, bytes(10)))
        answer = s.recv(10)
        assert answer[:1] == bytes([ABORT]) and answer[8:10] == bytes([2, 2])


@pytest.mark.parametrize("max_pdu", [64, 100, 16384, 0])
def test_a205_our_answers_keep_to_the_peers_limit(server, max_pdu):
    ds = made.instance(rows=128, columns=128)
    with Association(server.dicom_address, CT_EXPLICIT, max_pdu=max_pdu) as peer:
        peer.max_pdu_seen = 0  # the limit begins after the A-ASSOCIATE-AC (PS3.8 §D.1)
        assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) == 0
        assert 0 < peer.max_pdu_seen <= (max_pdu or 4096)
    assert stored_bytes(server, ds) == made.encode(ds)


@pytest.mark.parametrize("fragment", [1, 7, 333, 4090])
def test_a205_pdvs_may_split_anywhere(server, fragment):
    ds = made.instance(rows=8, columns=8)
    with Association(server.dicom_address, CT_EXPLICIT) as peer:
        assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds), max_fragment=fragment) == 0
    assert stored_bytes(server, ds) == made.encode(ds)


def test_a205_command_and_data_may_share_a_pdu(server):
    ds = made.instance()
    body = made.encode(ds)
    rq = command({0x2: made.CT, 0x100: 1, 0x110: 9, 0x700: 0, 0x800: 0, 0x1000: str(ds.SOPInstanceUID)})
    with Association(server.dicom_address, CT_EXPLICIT) as peer:
        pdvs = [(3, rq), (0, body[:100]), (2, body[100:])]
        peer.socket.sendall(pdu(P_DATA, b"".join(struct.pack(">IBB", len(p) + 2, 1, h) + p for h, p in pdvs)))
        assert peer.store_response() == 0
    assert stored_bytes(server, ds) == body


def test_pdu_over_our_limit_is_aborted(start):
    server = start(config={"dicom": {"max_pdu_bytes": 16384}})
    peer = Association(server.dicom_address, CT_EXPLICIT, timeout=10)
    assert peer.peer_max_pdu == 16384
    with pytest.raises((Aborted, Closed, ConnectionError)):
        peer.socket.sendall(struct.pack(">BBI", P_DATA, 0, 1 << 30) + bytes(100000))
        peer.read_pdu()


def test_a207_async_not_offered_is_not_answered_and_roles_do_no_harm(server):
    with Association(server.dicom_address, CT_EXPLICIT) as peer:
        assert 0x53 not in peer.user_items and 0x51 in peer.user_items and 0x52 in peer.user_items
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field, identity.positive_response_requested = 1, b"someone", False
    ae = AE()
    ae.add_requested_context(CTImageStorage, EXPLICIT)
    association = ae.associate(
        *server.dicom_address, ae_title="OVERREAD", ext_neg=[build_role(CTImageStorage, scp_role=True), identity]
    )
    assert association.is_established
    association.release()


def test_a208_stored_is_visible_at_once(server):
    ds = made.instance()
    assert store(server, ds) == 0
    assert len(instances(server, ds)) == 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("other SOP Instance UID", 0xA900), ("other SOP Class UID", 0xA900), ("no Study UID", 0xC004),
        ("malformed UID", 0xC004), ("cut in an element", 0xC001), ("cut in the pixels", 0xC001), ("random bytes", 0xC001),
        ("empty", 0xC004), ("other syntax than negotiated", 0xC001),
    ],
)  # fmt: skip
def test_a209_what_cannot_be_kept_gets_its_status(server, kind, expected):
    ds = made.instance()
    sop_class, sop, body = made.CT, str(ds.SOPInstanceUID), made.encode(ds)
    match kind:
        case "other SOP Instance UID":
            sop = made.uid()
        case "other SOP Class UID":
            ds.SOPClassUID = made.SECONDARY_CAPTURE
            body = made.encode(ds)
        case "no Study UID":
            del ds.StudyInstanceUID
            body = made.encode(ds)
        case "malformed UID":
            body = body.replace(str(ds.StudyInstanceUID).encode(), b"x" * len(ds.StudyInstanceUID))
        case "cut in an element":
            body = body[:150]
        case "cut in the pixels":
            body = body[:-10]
        case "random bytes":
            body = bytes((i * 37 + 11) % 251 for i in range(5000))
        case "empty":
            body = b""
        case "other syntax than negotiated":
            body = made.element(0x0008, 0x0018, "UI", b"1.2.3 ", order=">") * 3
    with Association(server.dicom_address, CT_EXPLICIT) as peer:
        assert f"{peer.store(sop_class, sop, EXPLICIT, body):04X}" == f"{expected:04X}"
        # The association goes on.
        good = made.instance()
        assert peer.store(made.CT, str(good.SOPInstanceUID), EXPLICIT, made.encode(good)) == 0
    assert web.qido(server, "/instances", {"SOPInstanceUID": sop}) == []


def test_a209_a_store_without_a_data_set_is_refused(server):
    with Association(server.dicom_address, CT_EXPLICIT) as peer:
        request = command({0x2: made.CT, 0x100: 1, 0x110: 1, 0x700: 0, 0x800: 0x101, 0x1000: made.uid()})
        peer.send_fragments(1, request, True)
        assert peer.store_response() == 0xC000
        good = made.instance()
        assert peer.store(made.CT, str(good.SOPInstanceUID), EXPLICIT, made.encode(good)) == 0


def test_a210_a_hundred_associations_at_once_lose_nothing(server):
    objects = [made.instance() for _ in range(300)]

    def send(mine):
        with Association(server.dicom_address, CT_EXPLICIT) as peer:
            for ds in mine:
                assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) == 0

    barrier = threading.Barrier(100)

    def one(n):
        barrier.wait()
        send(objects[3 * n : 3 * n + 3])

    with ThreadPoolExecutor(100) as pool:
        list(pool.map(one, range(100)))
    for ds in objects:
        assert stored_bytes(server, ds) == made.encode(ds)


def test_a210_the_same_instance_from_many_senders_is_kept_once(server):
    ds = made.instance()
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: store(server, ds), range(20))) == {0}
    assert len(instances(server, ds)) == 1


@pytest.mark.parametrize("how", ["abort", "close", "release in the data"])
def test_a_sender_that_leaves_in_the_middle_leaves_nothing(server, how):
    ds = made.instance(rows=256, columns=256)
    peer = Association(server.dicom_address, CT_EXPLICIT)
    peer.store_request(1, made.CT, str(ds.SOPInstanceUID))
    half = made.encode(ds)[:60000]
    for at in range(0, len(half), 10000):
        piece = half[at : at + 10000]
        peer.socket.sendall(pdu(P_DATA, struct.pack(">IBB", len(piece) + 2, 1, 0) + piece))
    if how == "abort":
        peer.abort()
    elif how == "close":
        peer.socket.close()
    else:
        peer.socket.sendall(pdu(5, bytes(4)))
        # PS3.8 §9.2 lets a release through at any moment; aborting is as sound.
        with contextlib.suppress(Aborted, Closed):
            assert peer.read_pdu()[0] == RELEASE_RP
    assert instances(server, ds) == []
    assert store(server, ds) == 0
    assert stored_bytes(server, ds) == made.encode(ds)


def test_a_stalled_sender_stops_nobody_and_leaves_nothing(start):
    server = start(config={"dicom": {"idle_timeout_s": 2}})
    ds = made.instance(rows=256, columns=256)
    stalled = Association(server.dicom_address, CT_EXPLICIT, timeout=15)
    stalled.store_request(1, made.CT, str(ds.SOPInstanceUID))
    piece = made.encode(ds)[:30000]
    stalled.socket.sendall(pdu(P_DATA, struct.pack(">IBB", len(piece) + 2, 1, 0) + piece))
    other = made.instance()
    assert store(server, other) == 0
    with pytest.raises((Aborted, Closed)):
        stalled.read_pdu()
    assert instances(server, ds) == []
    # The same instance, whole, from someone else.
    assert store(server, ds) == 0


def test_data_in_an_unaccepted_context_is_aborted(server):
    peer = Association(server.dicom_address, [(made.CT, [EXPLICIT]), (made.CT, [UNKNOWN_SYNTAX])], timeout=10)
    peer.socket.sendall(pdu(P_DATA, struct.pack(">IBB", 12, 3, 3) + bytes(10)))
    with pytest.raises((Aborted, Closed)):
        peer.read_pdu()


def test_an_unknown_command_is_answered_not_hung(server):
    with Association(server.dicom_address, [(VERIFICATION, [IMPLICIT])]) as peer:
        peer.send_fragments(1, command({0x2: VERIFICATION, 0x100: 0x0150, 0x110: 7, 0x800: 0x101}), True)
        answer = {element: struct.unpack("<H", value)[0] for element, value in peer.read_message().items() if len(value) == 2}
        # Unrecognized operation (PS3.7 §C.5.22), told in the response to that very command.
        assert (answer[0x100], answer[0x120], answer[0x900]) == (0x8150, 7, 0x0211)
        assert peer.echo() == 0


def test_graceful_stop_lets_the_message_under_way_finish(start):
    server = start()
    ds = made.instance(rows=256, columns=256)
    body = made.encode(ds)
    with Association(server.dicom_address, CT_EXPLICIT) as peer, ThreadPoolExecutor(1) as pool:
        peer.store_request(1, made.CT, str(ds.SOPInstanceUID))
        first = body[:16000]
        peer.socket.sendall(pdu(P_DATA, struct.pack(">IBB", len(first) + 2, 1, 0) + first))
        address = server.dicom_address
        code = pool.submit(server.stop)
        wait_refused(address)
        peer.send_fragments(1, body[16000:], False)
        assert peer.store_response() == 0, "what had begun is taken to its end"
        assert code.result() == 0
        peer.release = lambda: None  # the server may have hung up since
    server.start()
    assert stored_bytes(server, ds) == body


def wait_refused(address):
    """Until the server, told to stop, takes no new association."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            with Association(address, [(VERIFICATION, [IMPLICIT])], timeout=5):
                pass
        except (Refused, Aborted, Closed, OSError):
            return
        time.sleep(0.02)
    raise AssertionError("the server goes on taking associations")


def test_compressed_bytes_are_kept_as_they_come(server):
    ds = made.instance()
    del ds.PixelData
    fragments = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0" + bytes(4)
    fragments += b"\xfe\xff\x00\xe0" + struct.pack("<I", 6) + b"\xff\x4f\xff\x51\x00\x00" + b"\xfe\xff\xdd\xe0" + bytes(4)
    body = made.encode(ds) + fragments
    with Association(server.dicom_address, [(made.CT, [JPEG2000Lossless])]) as peer:
        assert peer.store(made.CT, str(ds.SOPInstanceUID), JPEG2000Lossless, body) == 0
    assert stored_bytes(server, ds) == body
