"""Storage Commitment Push Model over DIMSE (PS3.4 Annex J; conformance.md §8, 225), with pynetdicom in both roles and a raw socket."""

import queue
import struct
import threading
import time

import pytest
import requests

from harness import committing, made, wait, web
from harness.committing import CONFLICT, INSTANCE, NO_SUCH, Committer, Requester, asking, reference
from harness.receiver import Raw
from harness.sending import a_study, counted, send
from harness.wire import EXPLICIT, IMPLICIT, P_DATA, Association, command, item, pdu

PUSH_MODEL = "1.2.840.10008.1.20.1"
MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture(scope="module")
def held(server):
    """Instances that the server keeps."""
    return list(a_study(server, 4)[1])


def test_a225_known_and_unknown_are_reported_on_the_same_association(server, held):
    unknown, transaction = made.uid(), made.uid()
    with Requester() as asker:
        association = asker.associate(server)
        ds = asking(*map(reference, held[:2]), reference(unknown), reference(held[2], MR), reference(held[0]), transaction=transaction)
        assert asker.ask(association, ds) == 0
        report = asker.report()
        assert (report.door, report.type, report.transaction, report.instance) == ("same", 2, transaction, INSTANCE)
        assert report.committed == {held[0]: made.CT, held[1]: made.CT}
        assert report.failed == {unknown: NO_SUCH, held[2]: CONFLICT}
        # The association goes on.
        assert asker.ask(association, asking(*map(reference, held))) == 0
        report = asker.report()
        assert (report.type, set(report.committed), report.failed) == (1, set(held), {})
        assert report.keywords == {"TransactionUID", "RetrieveAETitle", "ReferencedSOPSequence"}
        association.release()
    # One engine, two dresses: the answer can be asked for over the web too.
    answer = requests.get(f"{server.web}/commitment-requests/{transaction}", headers={"Accept": web.JSON}, timeout=60).json()
    assert {i["00081155"]["Value"][0] for i in answer["00081199"]["Value"]} == {held[0], held[1]}


def test_a225_nothing_known_is_a_report_of_failures_alone(server):
    with Requester() as asker:
        association = asker.associate(server)
        unknown = made.uid()
        assert asker.ask(association, asking(reference(unknown))) == 0
        report = asker.report()
        assert (report.type, report.committed, report.failed) == (2, {}, {unknown: NO_SUCH})
        assert report.keywords == {"TransactionUID", "FailedSOPSequence"}
        association.release()


def test_a225_who_leaves_at_once_is_called(start):
    with Requester() as asker:
        server = start(config={"dicom": {"peers": [f"asker = {asker.peer}"], "called_ae_titles": ["SECOND"]}})
        ds = made.instance()
        web.stow(server, [made.file(ds)])
        asker.listen()
        for called in ("OVERREAD", "SECOND"):
            for leave in ("release", "abort"):
                association = asker.associate(server, called)
                unknown = made.uid()
                asked = asking(reference(ds.SOPInstanceUID), reference(unknown))
                assert asker.ask(association, asked) == 0
                getattr(association, leave)()
                report = asker.report()
                assert (report.door, report.type, report.transaction) == ("other", 2, asked.TransactionUID)
                assert (report.committed, report.failed) == ({ds.SOPInstanceUID: made.CT}, {unknown: NO_SUCH})
                # As whom it was asked, it calls back; in the role of the SCP.
                assert (report.calling, report.called) == (called, "ASKER")
        assert asker.reports.empty()


def test_a225_a_transaction_uid_is_used_once_through_either_door(server, held):
    with Requester() as asker, Requester("OTHER") as other:
        association = asker.associate(server)
        ds = asking(reference(held[0]))
        assert asker.ask(association, ds) == 0
        assert asker.ask(association, ds) == 0x0115
        assert asker.report().type == 1
        association.release()
        # Another one: pynetdicom may wait for itself when it asks right after it was asked.
        association = asker.associate(server)
        assert asker.ask(association, ds) == 0x0115
        association.release()
        association = other.associate(server)
        assert other.ask(association, ds) == 0x0115
        over_the_web = made.uid()
        body = asking(reference(held[0]), transaction=over_the_web).to_json()
        url = f"{server.web}/commitment-requests/"
        headers = {"Content-Type": web.JSON, "Accept": web.JSON}
        assert requests.post(url + over_the_web, data=body, headers=headers, timeout=60).status_code == 200
        assert other.ask(association, asking(reference(held[0]), transaction=over_the_web)) == 0x0115
        body = ds.to_json()
        assert requests.post(url + ds.TransactionUID, data=body, headers=headers, timeout=60).status_code == 409
        association.release()
        with pytest.raises(queue.Empty):
            other.report(timeout=1)
        assert asker.reports.empty()


def test_a225_what_is_owed_survives_a_kill_and_is_told_when_the_peer_is_back(start):
    with Requester() as asker:
        server = start(config={"dicom": {"peers": [asker.peer]}})
        ds = made.instance()
        web.stow(server, [made.file(ds)])
        transactions = []
        for _ in range(3):
            association = asker.associate(server)
            asked = asking(reference(ds.SOPInstanceUID))
            assert asker.ask(association, asked) == 0
            # Accepted is durable, whoever dies next.
            transactions.append(asked.TransactionUID)
            association.abort()
        server.kill()
        server.start()
        # Nobody listens yet: it has called, and will again.
        wait.until(lambda: "it is tried again" in server.log(), "it has called in vain")
        assert asker.reports.empty()
        asker.listen()
        reports = [asker.report(30) for _ in transactions]
        assert {r.transaction for r in reports} == set(transactions) and {r.type for r in reports} == {1}
        server.restart()
        with pytest.raises(queue.Empty):
            asker.report(timeout=1)


def test_a_peer_that_does_not_answer_our_call_holds_up_no_stop(start):
    called, over = threading.Event(), threading.Event()

    def silence(raw, connection):
        raw.read(connection)
        called.set()
        over.wait(60)

    with Raw(silence) as raw, Requester() as asker:
        server = start(config={"dicom": {"peers": [f"ASKER@127.0.0.1:{raw.port}"]}})
        association = asker.associate(server)
        assert asker.ask(association, asking(reference(made.uid()))) == 0
        association.abort()
        assert called.wait(30)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 10
        over.set()


def test_a_report_that_is_refused_is_told_again(start):
    with Requester(status=lambda number: 0x0213 if number < 3 else 0) as asker:
        server = start(config={"dicom": {"peers": [asker.peer]}})
        asker.listen()
        association = asker.associate(server)
        asked = asking(reference(made.uid()))
        assert asker.ask(association, asked) == 0
        # First on its own association, which then may go.
        wait.until(lambda: asker.count >= 1, "the first report")
        association.release()
        report = asker.report()
        assert (report.transaction, asker.count) == (asked.TransactionUID, 3)


def test_a_stranger_hears_its_report_on_its_own_association_only(server, held):
    """Nobody of dicom.peers: it is not called, and nothing is kept for it."""
    with Requester("STRANGER") as stranger:
        association = stranger.associate(server)
        assert stranger.ask(association, asking(reference(held[0]))) == 0
        association.release()
        association = stranger.associate(server)
        asked = asking(reference(held[1]))
        assert stranger.ask(association, asked) == 0
        assert stranger.report().transaction == asked.TransactionUID
        association.release()
        wait.until(lambda: "no peer of dicom.peers has this AE title" in server.log(), "whoever runs the server is told")


def broken(kind):
    good = asking(reference(made.uid()))
    match kind:
        case "no transaction":
            del good.TransactionUID
        case "no UID":
            good.TransactionUID = "1.02.x"
        case "no references":
            del good.ReferencedSOPSequence
        case "no item":
            good.ReferencedSOPSequence = []
        case "no class":
            del good.ReferencedSOPSequence[0].ReferencedSOPClassUID
        case "no instance":
            del good.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    return made.encode(good, EXPLICIT)


def act(peer, data, *, sop_class=PUSH_MODEL, instance=INSTANCE, action=1):
    """An N-ACTION of exactly these bytes; gives the response."""
    elements = {0x3: sop_class, 0x100: 0x130, 0x110: next(peer.messages), 0x800: 0x101 if data is None else 1, 0x1001: instance, 0x1008: action}
    peer.send_fragments(1, command({k: v for k, v in elements.items() if v is not None}), True)
    if data is not None:
        peer.send_fragments(1, data, False)
    return peer.read_message()


@pytest.mark.parametrize(
    ("kind", "changes", "status"),
    [
        ("no transaction", {}, 0x0115), ("no UID", {}, 0x0115), ("no references", {}, 0x0115), ("no item", {}, 0x0115),
        ("no class", {}, 0x0115), ("no instance", {}, 0x0115), ("fine", {"sop_class": made.CT}, 0x0118), ("fine", {"sop_class": None}, 0x0118),
        ("fine", {"instance": "1.2.3"}, 0x0112), ("fine", {"instance": None}, 0x0112), ("fine", {"action": 2}, 0x0123),
        ("fine", {"action": None}, 0x0123), ("no data set", {}, 0x0115), ("cut", {}, 0x0212), ("garbage", {}, 0x0212), ("deep", {}, 0x0213),
        ("too many", {}, 0x0213),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_is_refused_by_the_table(server, kind, changes, status):
    """PS3.7 §10.1.4.1.10."""
    data = broken(kind)
    match kind:
        case "no data set":
            data = None
        case "cut":
            data = data[:-3]
        case "garbage":
            data = bytes((i * 37 + 11) % 251 for i in range(5000))
        case "deep":
            data = b""
            for _ in range(40):
                data = struct.pack("<HH2sHI", 0x0008, 0x1199, b"SQ", 0, len(data) + 8) + struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data
        case "too many":
            data = struct.pack("<HH2sHI", 0x0008, 0x1199, b"SQ", 0, 8 * 50_001) + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 50_001
    with Association(server.dicom_address, [(PUSH_MODEL, [EXPLICIT])]) as peer:
        answer = act(peer, data, **changes)
        assert struct.unpack("<H", answer[0x100])[0] == 0x8130
        assert f"{struct.unpack('<H', answer[0x900])[0]:04X}" == f"{status:04X}"
        # The association goes on.
        assert struct.unpack("<H", act(peer, broken("fine"))[0x900])[0] == 0


def test_a_request_and_its_report_byte_by_byte(server, held):
    """PS3.7 Tables 10.3-1 and 10.3-8, in each transfer syntax; commands of nobody are no answer to ours."""
    for syntax in (IMPLICIT, EXPLICIT):
        transaction = made.uid()
        with Association(server.dicom_address, [(PUSH_MODEL, [syntax])]) as peer:
            answer = act(peer, made.encode(asking(reference(held[0]), transaction=transaction), syntax))
            expected = {0x2: PUSH_MODEL.encode(), 0x100: b"\x30\x81", 0x120: b"\1\0", 0x800: b"\1\1", 0x900: b"\0\0",
                        0x1000: INSTANCE.encode(), 0x1008: b"\1\0"}  # fmt: skip
            assert {k: v.rstrip(b"\0") if k in (0x2, 0x1000) else v for k, v in answer.items() if k} == expected
            event = peer.read_message()
            message_id = struct.unpack("<H", event[0x110])[0]
            assert (event[0x100], event[0x1002], event[0x1000].rstrip(b"\0")) == (b"\0\1", b"\1\0", INSTANCE.encode())
            assert event[0x800] != b"\1\1"
            kind, body = peer.read_pdu()
            assert kind == P_DATA and body[5] == 2
            assert transaction.encode() in body and held[0].encode() in body
            # An answer to something else is passed over.
            for responded in (message_id + 1, message_id):
                response = {0x2: PUSH_MODEL, 0x100: 0x8100, 0x120: responded, 0x800: 0x101, 0x900: 0, 0x1000: INSTANCE}
                peer.send_fragments(1, command(response), True)
            assert struct.unpack("<H", act(peer, broken("no item"))[0x900])[0] == 0x0115


def test_a_request_with_the_release_behind_it_is_answered_and_let_go(start):
    with Requester() as asker:
        server = start(config={"dicom": {"peers": [asker.peer]}})
        asker.listen()
        asked = asking(reference(made.uid()))
        with Association(server.dicom_address, [(PUSH_MODEL, [EXPLICIT])], calling="ASKER") as peer:
            rq = command({0x3: PUSH_MODEL, 0x100: 0x130, 0x110: 1, 0x800: 1, 0x1001: INSTANCE, 0x1008: 1})
            pdvs = [(3, rq), (2, made.encode(asked, EXPLICIT))]
            peer.socket.sendall(pdu(P_DATA, b"".join(struct.pack(">IBB", len(p) + 2, 1, h) + p for h, p in pdvs)) + pdu(5, bytes(4)))
            assert peer.read_message()[0x900] == b"\0\0"
            assert peer.read_pdu()[0] == 6
            peer.release = lambda: None
        assert asker.report().transaction == asked.TransactionUID


def test_many_instances_are_committed_in_one_transaction(server, held):
    """More than fits a PDU; the report is as long."""
    with Requester() as asker:
        association = asker.associate(server)
        unknown = [made.uid() for _ in range(3000)]
        assert asker.ask(association, asking(*map(reference, [*held, *unknown]))) == 0
        report = asker.report(60)
        assert (set(report.committed), report.failed) == (set(held), dict.fromkeys(unknown, NO_SUCH))
        association.release()


def test_a_blob_that_is_gone_is_not_committed(start):
    server = start()
    # Large enough for a file of its own.
    ds = made.instance(rows=2048, columns=2048)
    web.stow(server, [made.file(ds)])
    blobs = [path for path in (server.data_dir / "blobs").rglob("*") if path.is_file() and path.stat().st_size > 4_000_000]
    with Requester() as asker:
        association = asker.associate(server)
        assert asker.ask(association, asking(reference(ds.SOPInstanceUID))) == 0
        assert asker.report().type == 1
        for path in blobs:
            with open(path, "r+b") as blob:
                blob.truncate(1000)
        assert asker.ask(association, asking(reference(ds.SOPInstanceUID))) == 0
        report = asker.report()
        assert (report.type, report.failed) == (2, {ds.SOPInstanceUID: 0x0110})
        association.release()


# As SCU


@pytest.mark.parametrize("how", ["same", "other"])
def test_what_was_sent_is_committed_on_either_association(server, how):
    study, objects = a_study(server, 5)
    with Committer(how, address=server.dicom_address) as peer:
        text = send(server, peer.peer, study, "--commit=60")
        [asked] = peer.asked
        assert {(i.ReferencedSOPInstanceUID, i.ReferencedSOPClassUID) for i in asked.ReferencedSOPSequence} == {(o, made.CT) for o in objects}
    assert (counted(text, "sent"), counted(text, "committed"), counted(text, "not committed")) == (5, 5, 0)
    assert peer.answers == [0]


@pytest.mark.parametrize("how", ["same", "other"])
def test_what_is_not_committed_is_told_by_name(server, how):
    study, objects = a_study(server, 3)
    bad = sorted(objects)[1]
    with Committer(how, lambda instances: {bad: NO_SUCH}, server.dicom_address) as peer:
        text = send(server, peer.peer, study, "--commit=60", code=3)
    assert (counted(text, "committed"), counted(text, "not committed")) == (2, 1)
    assert f"not committed {bad}: 0112H no such object instance" in text


def test_who_cannot_or_does_not_commit_is_told_so(server, tmp_path):
    study, objects = a_study(server, 2)
    from harness.receiver import Storescp

    with Storescp(tmp_path / "scp") as scp:
        text = send(server, scp.peer, study, "--commit=20", code=3)
        assert counted(text, "not committed") == 2 and "abstract syntax not supported" in text
    with Committer("same", accept=0x0213) as peer:
        text = send(server, peer.peer, study, "--commit=20", code=3)
        assert counted(text, "not committed") == 2 and "refuses the request: 0213H" in text
    with Committer(None) as peer:
        begun = time.monotonic()
        text = send(server, peer.peer, study, "--commit=2", code=3)
        assert counted(text, "not committed") == 2 and "not reported in time" in text
        assert time.monotonic() - begun < 15


def test_a_report_counts_only_from_the_peer_that_was_asked(server):
    """Somebody else, who knows the transaction even, commits nothing."""
    study, objects = a_study(server, 1)

    class Liar(Committer):
        def tell(self, association, asked):
            ae = committing.AE(ae_title="SOMEBODY")
            ae.add_requested_context(PUSH_MODEL)
            other = ae.associate(*self.address, ae_title="OVERREAD", ext_neg=[committing.build_role(PUSH_MODEL, scp_role=True)])
            status, _ = other.send_n_event_report(asked, 1, PUSH_MODEL, INSTANCE)
            self.answers.append(status.Status)
            other.release()

    with Liar("other", address=server.dicom_address) as peer:
        text = send(server, peer.peer, study, "--commit=3", code=3)
    assert peer.answers == [0] and counted(text, "not committed") == 1


def test_roles_are_answered_as_they_are_offered(server):
    """PS3.7 §D.3.3.4: a peer that reports to us is SCP, and says so."""
    role = struct.pack(">H", len(PUSH_MODEL)) + PUSH_MODEL.encode()
    for offered in (b"\0\1", b"\1\0", b"\1\1"):
        with Association(server.dicom_address, [(PUSH_MODEL, [EXPLICIT])], extra_user_items=item(0x54, role + offered)) as peer:
            assert peer.user_items[0x54] == role + offered
    with Association(server.dicom_address, [(PUSH_MODEL, [EXPLICIT])]) as peer:
        assert 0x54 not in peer.user_items
