"""The client side of Query/Retrieve: `overread find`, `overread move`, `overread move --get` with DCMTK's dcmqrscp, Orthanc,
another of our servers, pynetdicom and raw sockets (conformance.md §8, 226)."""

import io
import json
import struct
import subprocess
import threading
import time

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind as FIND,
    StudyRootQueryRetrieveInformationModelGet as GET,
    StudyRootQueryRetrieveInformationModelMove as MOVE,
)

from harness import corpus, made, part10, receiver, wait, web, wire
from harness.archives import Dcmqrscp, Orthanc
from harness.receiver import Raw
from harness.sending import a_study, counted, kept, send
from harness.server import BINARY, free_port
from test_scu_faults import dribble, flood, saying, silence

EXPLICIT = wire.EXPLICIT


def stored(server, study):
    """The data sets that a server holds of a study, by SOP Instance UID."""
    found = web.qido_all(server, "/instances", {"StudyInstanceUID": study})
    uids = [(i["0020000E"]["Value"][0], i["00080018"]["Value"][0]) for i in found]
    return {uid: part10.data_set(web.file_of(web.get(server, web.instance_path(study, series, uid), web.AS_STORED))) for series, uid in uids}


def encoded(objects):
    return {uid: made.encode(ds) for uid, ds in objects.items()}


def cli(server, *words, code=0, timeout=120):
    ran = server.cli(words[0], *words[1:], timeout=timeout)
    assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def remote(start_module):
    """Another archive, which knows where NEAR is."""
    port = free_port()
    server = start_module(config={"dicom": {"ae_title": "REMOTE", "peers": [f"NEAR@127.0.0.1:{port}"]}})
    server.near = port
    return server


def peer_of(server, title="REMOTE"):
    return f"{title}@127.0.0.1:{server.ports[1]}"


@pytest.fixture
def near(start, remote, monkeypatch):
    """Ours, on the port where REMOTE moves to."""
    ports = iter([free_port(), remote.near])
    monkeypatch.setattr("harness.server.free_port", lambda: next(ports))
    server = start(config={"dicom": {"ae_title": "NEAR"}})
    monkeypatch.undo()
    return server


# Find


def test_studies_of_another_archive_are_listed(remote, start):
    people = [("Müller^Zoë", "FIND-1", "20260101"), ("Sørensen^Åse", "FIND-2", "20260105"), ("Unseen^Una", "FIND-3", "20260105")]
    studies = {}
    for name, number, day in people:
        studies[number], _ = a_study(remote, 2, PatientName=name, PatientID=number, StudyDate=day, StudyDescription="Skull\nbase")
    ours = start()

    def ids(*words):
        return {study["PatientID"] for study in json.loads(cli(ours, "find", peer_of(remote), *words, "--json"))}

    assert ids("--patient-id", "FIND-*") == {"FIND-1", "FIND-2", "FIND-3"}
    assert ids("--patient-name", "muller z") == {"FIND-1"}
    assert ids("--patient-name", "Sørensen") == {"FIND-2"}
    assert ids("--patient-id", "FIND-*", "--study-date", "2026-01-02-") == {"FIND-2", "FIND-3"}
    assert ids("--patient-id", "FIND-*", "--modality", "mr") == set()
    table = cli(ours, "find", peer_of(remote), "--patient-id", "FIND-1")
    assert "Müller^Zoë" in table and studies["FIND-1"] in table and "Skull·base" in table and table.splitlines()[1].split()[-2:] == ["1", "2"]
    text = cli(ours, "find", peer_of(remote), "--patient-id", "FIND-*", "--limit", "2")
    assert "there are more" in text and len(text.splitlines()) == 4
    assert cli(ours, "find", peer_of(remote), "--study-date", "yesterday", code=2)
    assert "Müller" not in remote.log()


def test_dcmqrscp_and_orthanc_are_asked_too(start, tmp_path):
    ours = start()
    study, _ = a_study(ours, 3, PatientID="ASK-1", PatientName="Ask^Me", AccessionNumber="A7")
    with Dcmqrscp(tmp_path / "qr") as qr, Orthanc(tmp_path / "orthanc", {"ours": ("OVERREAD", ours.ports[1])}) as orthanc:
        for peer in (qr.peer, orthanc.peer):
            send(ours, peer, study)
            [found] = json.loads(ours.cli("find", peer, "--patient-id", "ASK-1", "--json").stdout)
            assert (found["StudyInstanceUID"], found["PatientName"], found["AccessionNumber"]) == (study, "Ask^Me", "A7")
            assert json.loads(ours.cli("find", peer, "--patient-id", "NOBODY", "--json").stdout) == []


# Move


def test_a226_another_archive_sends_to_us(remote, near):
    study, objects = a_study(remote, 5, PatientID="MOVE-A")
    other, others = a_study(remote, 3, PatientID="MOVE-A")
    text = cli(near, "move", peer_of(remote), study)
    assert (counted(text, "moved"), counted(text, "failed")) == (5, 0)
    assert stored(near, study) == encoded(objects) and stored(near, other) == {}
    # Both, by the patient; what is here already is no harm.
    assert counted(cli(near, "move", peer_of(remote), "--patient-id", "MOVE-A"), "moved") == 8
    assert stored(near, other) == encoded(others)


def test_a_series_of_a_study(remote, near):
    study, objects = a_study(remote, 2)
    more = made.study(3, study=study)
    kept(remote, *(made.file(ds) for ds in more))
    assert counted(cli(near, "move", peer_of(remote), study, "--series", more[0].SeriesInstanceUID), "moved") == 3
    assert set(stored(near, study)) == {str(ds.SOPInstanceUID) for ds in more}


def test_what_cannot_be_moved_is_told(remote, near, start):
    study, objects = a_study(remote, 2)
    assert "there is no study 1.2.3.4" in cli(near, "move", peer_of(remote), "1.2.3.4", code=1)
    text = cli(near, "move", peer_of(remote), "1.2.3.4", study, code=3)
    assert "there is no study 1.2.3.4" in text and counted(text, "moved") == 2
    text = cli(near, "move", peer_of(remote), study, "--to", "NOBODY", code=1)
    assert "A801H it does not know the destination: Move Destination is not in dicom.peers" in text
    assert "no study has these keys" in cli(near, "move", peer_of(remote), "--patient-id", "NOBODY-AT-ALL", code=1)
    near.stop()
    text = cli(near, "move", peer_of(remote), study, code=1)
    assert "A702H nothing could be sent" in text and all(f"failed {uid}" in text for uid in objects) and counted(text, "failed") == 2
    for usage in ([], [study, "--patient-id", "x"], ["x"], [study, "1.2", "--series", "1.3"], [study, "--get", "--to", "X"], ["--series", "1.2"]):
        assert near.cli("move", peer_of(remote), *usage).returncode == 2, usage
    assert "cannot connect" in cli(near, "move", f"X@127.0.0.1:{free_port()}", study, code=1)


def test_a226_orthanc_is_moved_from_and_got_from(start, tmp_path):
    server = start()
    study, objects = a_study(server, 4, PatientID="ORTHANC-1")
    ours = start()
    with Orthanc(tmp_path / "orthanc", {"ours": ("OVERREAD", ours.ports[1])}) as orthanc:
        send(server, orthanc.peer, study)
        assert counted(cli(ours, "move", orthanc.peer, "--patient-id", "ORTHANC-1"), "moved") == 4
        assert stored(ours, study) == encoded(objects)
        ours.stop()
        ours.forget()
        assert counted(cli(ours, "move", orthanc.peer, "--get", study), "moved") == 4
        ours.start()
        assert stored(ours, study) == encoded(objects)


def test_a226_dcmqrscp_is_moved_from_and_got_from(start, tmp_path):
    server = start()
    study, objects = a_study(server, 4, PatientID="QR-1")
    ours = start()
    with Dcmqrscp(tmp_path / "qr", {"OVERREAD": ours.ports[1]}) as qr:
        send(server, qr.peer, study)
        assert counted(cli(ours, "move", qr.peer, study), "moved") == 4
        assert set(stored(ours, study)) == set(objects)
        ours.stop()
        ours.forget()
        assert counted(cli(ours, "move", qr.peer, "--get", study), "moved") == 4
        ours.start()
    got = {uid: dcmread(io.BytesIO(made.wrap(data, made.CT, uid))) for uid, data in stored(ours, study).items()}
    assert {uid: ds.PixelData for uid, ds in got.items()} == {uid: ds.PixelData for uid, ds in objects.items()}


# Get


def test_everything_is_got_as_it_is_stored_there(remote, start):
    """Real objects of every transfer syntax and of many classes."""
    files = [c.data for c in corpus.storable() if part10.transfer_syntax(c.data) in made.TRANSFER_SYNTAXES][:40]
    uids, _, _ = web.outcome(web.stow(remote, files))
    by_study = {}
    for data in files:
        ds = dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
        if str(ds.get("SOPInstanceUID", "")) in uids:
            by_study.setdefault(str(ds.StudyInstanceUID), set()).add(str(ds.SOPInstanceUID))
    ours = start()
    ours.stop()
    text = cli(ours, "move", peer_of(remote), "--get", *by_study)
    assert counted(text, "moved") >= len(set.union(*by_study.values())) > 15
    ours.start()
    for study, uids in by_study.items():
        assert set(stored(ours, study)) == uids
        assert stored(ours, study) == stored(remote, study), study


def test_getting_needs_the_archive_for_itself(remote, start):
    study, _ = a_study(remote, 1)
    ours = start()
    assert "in use" in cli(ours, "move", peer_of(remote), "--get", study, code=1)


class Scp:
    """pynetdicom as Query/Retrieve SCP of a script."""

    def __init__(self, find=None, move=None, get=None):
        self.port = free_port()
        ae = AE(ae_title="SCP")
        for model in (FIND, MOVE, GET):
            ae.add_supported_context(model)
        ae.add_supported_context(made.CT, [EXPLICIT], scu_role=True, scp_role=True)
        ae.add_requested_context(made.CT, [EXPLICIT])
        handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move), (evt.EVT_C_GET, get)]
        self.server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=[h for h in handlers if h[1]])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    @property
    def peer(self):
        return f"SCP@127.0.0.1:{self.port}"


def told(ds):
    """As pynetdicom wants what it sends."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = EXPLICIT
    return ds


def test_what_cannot_be_stored_is_refused_and_counted(start):
    """C-GET: the peer hears of each instance whether it is kept."""
    ours = start()
    good, bad = made.instance(), made.instance()
    bad.SOPInstanceUID = "1.2.3"
    del bad.SeriesInstanceUID
    mixed = {"good": good, "bad": bad}

    def find(event):
        yield 0x0000, None

    def get(event):
        yield len(mixed)
        for ds in mixed.values():
            yield 0xFF00, told(ds)

    ours.stop()
    with Scp(find=find, get=get) as scp:
        text = cli(ours, "move", scp.peer, "--get", good.StudyInstanceUID, code=3)
    assert counted(text, "moved") == 1 and counted(text, "failed") == 1 and "failed 1.2.3" in text
    ours.start()
    assert set(stored(ours, good.StudyInstanceUID)) == {str(good.SOPInstanceUID)}


def test_keys_that_the_peer_does_not_look_at_move_nothing(start):
    def find(event):
        ds = Dataset()
        ds.QueryRetrieveLevel, ds.StudyInstanceUID = "STUDY", "1.2.3"
        yield 0xFF01, ds

    def move(event):
        raise AssertionError("moved")

    with Scp(find=find, move=move) as scp:
        text = cli(start(), "move", scp.peer, "--modality", "CT", code=1)
    assert "does not search by all of these keys" in text


def test_an_interrupted_move_is_cancelled_there(start):
    began, cancelled = threading.Event(), threading.Event()

    def move(event):
        yield ("127.0.0.1", sink.port)
        yield 1000
        for _ in range(3):
            yield 0xFF00, told(made.instance())
        began.set()
        wait.until(lambda: event.is_cancelled, "C-CANCEL", 30)
        cancelled.set()
        yield 0xFE00, None

    server = start()
    with receiver.Scripted() as sink, Scp(move=move) as scp:
        moving = subprocess.Popen([BINARY, "move", scp.peer, "1.2.3", "--data-dir", server.data_dir], stdout=subprocess.PIPE, text=True)
        assert began.wait(30)
        moving.terminate()
        out, _ = moving.communicate(timeout=30)
        assert cancelled.wait(10)
    assert moving.returncode == 3 and "FE00H cancelled" in out and counted(out, "moved") == 3


LIARS = {
    "garbage": (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "unrecognized PDU"),
    "silence": (silence, "no answer in time"),
    "a flood": (flood, "answer"),
    "a dribble": (dribble, "no answer in time"),
}


def question(make):
    def serve(raw, connection):
        raw.accept(connection)
        request = raw.message(connection)
        make(raw, connection, request)
        while connection.recv(1 << 16):
            pass

    return serve


def data(connection, context, header, body):
    connection.sendall(wire.pdu(wire.P_DATA, struct.pack(">IBB", len(body) + 2, context, header) + body))


def endless_identifier(raw, connection, request):
    raw.respond(connection, request, 0xFF00, also={0x800: 1})
    for _ in range(1000):
        data(connection, 1, 0, bytes(16000))


def unasked_instance(raw, connection, request):
    command = wire.command({0x2: made.CT, 0x100: 1, 0x110: 5, 0x700: 0, 0x800: 1, 0x1000: "1.2.3"})
    data(connection, 1, 3, command)


LIARS |= {
    "an identifier without end": (question(endless_identifier), "longer than 1 MiB"),
    "an instance that nobody asked for": (question(unasked_instance), ""),
    "a data set without a command": (question(lambda raw, c, r: data(c, 1, 2, b"1234")), "unexpected PDU parameter"),
    "another message": (question(lambda raw, c, r: raw.respond(c, r | {0x110: b"\x99\x99"})), "answers what was not asked"),
    "another command": (question(lambda raw, c, r: raw.respond(c, r | {0x100: b"\x30\x00"})), "answers what was not asked"),
    "another context": (question(lambda raw, c, r: (setattr(raw, "context", 3), raw.respond(c, r))), "answers what was not asked"),
    "release": (question(lambda raw, c, r: c.sendall(wire.pdu(5, bytes(4)))), "ends the association"),
    "half a data set": (question(lambda raw, c, r: (raw.respond(c, r, 0xFF00, also={0x800: 1}), data(c, 1, 0, b"12"))), "no answer in time"),
}


@pytest.mark.parametrize("deed", ["find", "move", "get"])
@pytest.mark.parametrize("liar", LIARS)
def test_a_peer_that_lies_is_left(start_module, deed, liar):
    serve, words = LIARS[liar]
    server = quiet(start_module)
    began = time.monotonic()
    with Raw(serve) as raw:
        command = {"find": ["find", raw.peer], "move": ["move", raw.peer, "1.2.3"], "get": ["move", raw.peer, "1.2.3", "--get"]}[deed]
        ran = server.cli(*command[:1], *command[1:], "--timeout", 2)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 1 and "panicked" not in said, said
    assert words in said or deed == "get", said
    assert time.monotonic() - began < 30


_quiet = []


def quiet(start_module):
    """A data directory that no server holds."""
    if not _quiet:
        server = start_module()
        server.stop()
        _quiet.append(server)
    return _quiet[0]


@pytest.mark.parametrize("what", ["no data sets", "no UIDs"])
def test_answers_that_are_none_do_not_go_on_for_ever(start, what):
    def serve(raw, connection):
        raw.accept(connection)
        request = raw.message(connection)
        threading.Thread(target=lambda: [None for _ in iter(lambda: connection.recv(1 << 16), b"")], daemon=True).start()
        while True:
            raw.respond(connection, request, 0xFF00, also={0x800: 1})
            data(connection, 1, 2, b"\xff" * 9 if what == "no data sets" else made.element(8, 0x52, "CS", b"STUDY "))

    with Raw(serve) as raw:
        ran = start().cli("move", raw.peer, "--patient-id", "X", timeout=60)
    words = {"no data sets": "answers are no data sets", "no UIDs": "more than 10000"}[what]
    assert ran.returncode == 1 and words in ran.stderr, ran.stderr


def test_answers_without_end_are_cut_at_the_limit(start):
    heard = []

    def serve(raw, connection):
        raw.accept(connection)
        request = raw.message(connection)
        body = made.element(8, 0x52, "CS", b"STUDY ") + made.element(0x20, 0xD, "UI", b"1.2.3\0")

        def listen():
            while kind := connection.recv(1 << 16):
                heard.append(kind)

        threading.Thread(target=listen, daemon=True).start()
        while True:
            raw.respond(connection, request, 0xFF00, also={0x800: 1})
            data(connection, 1, 2, body)

    server = start()
    with Raw(serve) as raw:
        began = time.monotonic()
        ran = server.cli("find", raw.peer, "--limit", 5)
    # C-CANCEL was said, and not heeded: the association is ended after a few seconds.
    assert ran.returncode == 0 and "there are more" in ran.stderr and time.monotonic() - began < 20
    assert len(ran.stdout.splitlines()) == 6
    assert b"\xff\x0f" in b"".join(heard)
