"""`overread send` when peers warn, refuse, abort, die, are slow or lie: nothing is lost, nothing that was acknowledged is
sent again, and the sender ends in time. pynetdicom, DCMTK, another of our servers, and raw sockets."""

import struct
import subprocess
import threading
import time

import harness.server
import pytest

from harness import made, part10, receiver, wait, web, wire
from harness.receiver import Raw, Scripted, Storescp
from harness.sending import a_study, counted, send
from harness.server import BINARY

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


def test_warnings_and_failures_are_told_for_each_instance(server):
    study, objects = a_study(server, 6)
    statuses = {2: 0xB007, 4: 0xC123, 5: 0xA900}

    def answer(number, event):
        return statuses.get(number, 0)

    with Scripted(answer) as peer:
        text = send(server, peer.peer, study, code=3, retries=3)
        uids = [str(r.AffectedSOPInstanceUID) for r in peer.requests]
    assert (counted(text, "sent"), counted(text, "sent, with a warning"), counted(text, "failed")) == (3, 1, 2)
    assert f"warning {uids[1]}: B007H" in text and f"failed {uids[3]}: C123H" in text and f"failed {uids[4]}: A900H" in text
    # A failure for good is not tried again.
    assert len(uids) == len(set(uids)) == 6


def test_out_of_resources_is_tried_again(server):
    study, objects = a_study(server, 4)
    with Scripted(lambda number, event: 0xA700 if number in (2, 3) else 0) as peer:
        assert counted(send(server, peer.peer, study, retries=2), "sent") == 4
        assert sorted(peer.acknowledged) == sorted(objects)
    with Scripted(lambda number, event: 0xA700) as full:
        text = send(server, full.peer, study, retries=1, code=1)
        assert counted(text, "failed") == 4 and "A700H out of resources" in text
        assert 4 <= len(full.requests) <= 8


@pytest.mark.parametrize("how", ["abort", "close"])
def test_an_association_lost_in_the_middle_costs_nothing(server, how):
    study, objects = a_study(server, 8)

    def answer(number, event):
        if number in (3, 6):
            event.assoc.dul.socket.socket.close() if how == "close" else event.assoc.abort()
            return 0xFFFF
        return 0

    with Scripted(answer) as peer:
        text = send(server, peer.peer, study, "--associations", 1, retries=2)
        assert counted(text, "sent") == 8
        # Nothing that was acknowledged came again.
        assert sorted(peer.acknowledged) == sorted(objects)
        assert len(peer.requests) == 10


def test_an_object_that_the_peer_cannot_stand_costs_only_itself(server):
    study, objects = a_study(server, 8)
    poison = sorted(objects)[3]

    def answer(number, event):
        if event.request.AffectedSOPInstanceUID == poison:
            event.assoc.abort()
        return 0

    with Scripted(answer) as peer:
        text = send(server, peer.peer, study, "--associations", 1, retries=2, code=3)
        tries = [str(r.AffectedSOPInstanceUID) for r in peer.requests].count(poison)
    assert (counted(text, "sent"), counted(text, "failed"), tries) == (7, 1, 3)
    assert f"failed {poison}: lost on the way: the peer aborts" in text


def test_storescp_that_aborts_each_time_is_given_up(server, tmp_path):
    study, objects = a_study(server, 3)
    for option in ("--abort-during", "--abort-after"):
        with Storescp(tmp_path / option.strip("-"), option) as scp:
            text = send(server, scp.peer, study, retries=1, code=1)
            assert counted(text, "failed") == 3 and "aborts" in text
    with Storescp(tmp_path / "refuse", "--refuse") as scp:
        text = send(server, scp.peer, study, retries=3, code=1)
        assert "no reason given, for good (1/1/1)" in text and counted(text, "failed") == 3


def test_several_associations_share_the_work(server):
    study, objects = a_study(server, 60)
    together = threading.Barrier(3, timeout=30)

    def answer(number, event):
        # The first three are answered only once three are here: three associations at once.
        if number <= 3:
            together.wait()
        return 0

    with Scripted(answer) as peer:
        assert counted(send(server, peer.peer, study, "--associations", 3), "sent") == 60
        assert sorted(peer.acknowledged) == sorted(objects) and peer.most_at_once == 3
    # A peer that lets in only one still gets everything.
    with Scripted(maximum_associations=1) as narrow:
        assert counted(send(server, narrow.peer, study, "--associations", 3, retries=1), "sent") == 60
        assert sorted(narrow.acknowledged) == sorted(objects)


def test_operations_are_unanswered_as_many_as_the_peer_allows(server):
    """The window of PS3.7 §D.3.3.3; the answers come in another order."""
    study, objects = a_study(server, 9)
    most = []

    def serve(raw, connection):
        window = wire.item(0x53, struct.pack(">HH", 3, 1))
        raw.accept(connection, receiver.MAX_LENGTH + window)
        for _ in range(3):
            requests_ = [raw.message(connection) for _ in range(3)]
            # A fourth does not come before an answer.
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(30)
            most.append(len({r[0x110] for r in requests_}))
            for request in reversed(requests_):
                raw.respond(connection, request)
        assert raw.message(connection) is None

    with Raw(serve) as raw:
        assert counted(send(server, raw.peer, study, "--associations", 1), "sent") == 9
    assert most == [3, 3, 3]


def test_a_killed_receiver_gets_everything_in_the_end(server, start, monkeypatch):
    study, objects = a_study(server, 150, rows=256, columns=256)
    other = start()
    ports, stored = other.ports, lambda: len(web.qido_all(other, "/instances", {"StudyInstanceUID": study}))
    command = ["send", f"OVERREAD@127.0.0.1:{ports[1]}", study, "--associations", "2", "--retries", "8", "--data-dir", server.data_dir]
    sending = subprocess.Popen([BINARY, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait.until(lambda: stored() > 0, "the first ones arrive")
    other.kill()
    # Back on the same ports.
    taken = iter(ports)
    monkeypatch.setattr(harness.server, "free_port", lambda: next(taken))
    other.start()
    out, log = sending.communicate(timeout=120)
    assert sending.returncode == 0, out
    # It was in the middle.
    assert "association failed" in log
    assert counted(out, "sent") == 150 and stored() == 150
    for uid, ds in list(objects.items())[:5]:
        path = web.instance_path(study, ds.SeriesInstanceUID, uid)
        assert part10.data_set(web.file_of(web.get(other, path, web.AS_STORED))) == made.encode(ds)


# Peers that lie


def flood(raw, connection):
    raw.accept(connection)
    while True:
        connection.sendall(wire.pdu(wire.P_DATA, struct.pack(">IBB", 2, 1, 1)) * 1000)


def dribble(raw, connection):
    raw.accept(connection)
    for byte in wire.pdu(wire.P_DATA, struct.pack(">IBB", 2, 1, 1)) * 50:
        connection.sendall(bytes([byte]))
        time.sleep(0.2)


def silence(raw, connection):
    raw.accept(connection)
    while connection.recv(1 << 16):
        pass


def answering(make):
    def serve(raw, connection):
        raw.accept(connection)
        request = raw.message(connection)
        make(raw, connection, request)
        connection.recv(1)

    return serve


def saying(data):
    def serve(raw, connection):
        raw.read(connection)
        connection.sendall(data)
        while connection.recv(1 << 16):
            pass

    return serve


LIARS = {
    "garbage": (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "unrecognized PDU"),
    "an answer of 4 GiB": (saying(b"\2\0\xff\xff\xff\xff"), "invalid PDU parameter value"),
    "an answer that does not end": (saying(b"\2\0\0\x0f\xff\xff" + bytes(100)), "no answer in time"),
    "an item beyond the end": (saying(wire.pdu(2, bytes(68) + b"\x21\0\xff\xff")), "invalid PDU parameter value"),
    "a request for an answer": (saying(wire.associate_rq([(made.CT, [EXPLICIT])])), "unexpected PDU"),
    "transient": (saying(wire.pdu(3, bytes([0, 2, 3, 2]))), "local limit exceeded, for now (2/3/2)"),
    "silence": (silence, "no answer in time"),
    "a flood": (flood, "no answer in time"),
    "a dribble": (dribble, "no answer in time"),
    "a PDU of 4 GiB": (answering(lambda raw, c, r: c.sendall(b"\4\0\xff\xff\xff\xff")), "invalid PDU parameter value"),
    "another message": (answering(lambda raw, c, r: raw.respond(c, r | {0x110: b"\x99\x99"})), "answers what was not asked"),
    "pending": (answering(lambda raw, c, r: raw.respond(c, r, 0xFF00)), "a status that no C-STORE has"),
    "a data set": (answering(lambda raw, c, r: raw.respond(c, r, also={0x800: 1})), "invalid PDU parameter value"),
    "release": (answering(lambda raw, c, r: c.sendall(wire.pdu(5, bytes(4)))), "ends the association"),
    "released": (answering(lambda raw, c, r: c.sendall(wire.pdu(6, bytes(4)))), "unexpected PDU"),
    "abort": (answering(lambda raw, c, r: c.sendall(wire.pdu(7, bytes([0, 0, 2, 6])))), "the peer aborts: invalid PDU parameter value"),
}


@pytest.mark.parametrize("liar", LIARS)
def test_a_peer_that_lies_costs_its_association(server, liar):
    serve, words = LIARS[liar]
    study, _ = a_study(server, 2)
    began = time.monotonic()
    with Raw(serve) as raw:
        ran = server.cli("send", raw.peer, study, "--retries", 0, "--timeout", 2)
    assert ran.returncode == 1 and words in ran.stdout + ran.stderr, (ran.stdout, ran.stderr)
    assert time.monotonic() - began < 20
    assert raw.connections == 1


@pytest.mark.parametrize("how", ["silence", "collision", "close"])
def test_a_release_in_every_way(server, how):
    study, _ = a_study(server, 1)
    heard = []

    def serve(raw, connection):
        raw.accept(connection)
        raw.respond(connection, raw.message(connection))
        heard.append(raw.read(connection)[0])
        if how == "collision":
            # PS3.8 Table 9-10, Sta7 and Sta9: both ask, we answer first.
            connection.sendall(wire.pdu(wire.RELEASE_RQ, bytes(4)))
            heard.append(raw.read(connection)[0])
            connection.sendall(wire.pdu(wire.RELEASE_RP, bytes(4)))
        if how != "close":
            heard.append(connection.recv(1000)[:1])

    with Raw(serve) as raw:
        assert counted(send(server, raw.peer, study, "--timeout", 2), "sent") == 1
        raw_is_done = lambda: len(heard) == {"silence": 2, "collision": 3, "close": 1}[how]  # noqa: E731
        wait.until(raw_is_done, "all is heard")
    # An unanswered release ends with an abort, an answered one with the close of the connection.
    assert heard == {"silence": [5, b"\7"], "collision": [5, 6, b""], "close": [5]}[how]


def test_nothing_is_sent_of_what_is_not_there(server):
    study, objects = a_study(server, 1)
    with Scripted() as peer:
        missing = server.cli("send", peer.peer, "1.2.3.4")
        assert (missing.returncode, missing.stderr) == (1, "overread: there is no study 1.2.3.4\noverread: nothing was sent\n")
        text = send(server, peer.peer, study, "1.2.3.4", study, code=3)
        assert counted(text, "sent") == 1 and peer.acknowledged == list(objects)
    for usage in ([], [study, "1.2.3.4", "--series", "1.2"], [study, "--instance", "1.2"], ["not a UID"]):
        assert server.cli("send", peer.peer, *usage).returncode == 2, usage


def test_an_interruption_ends_in_peace(server):
    """What waits for its answer is waited for a few seconds, and nothing more is sent."""
    study, objects = a_study(server, 30)
    fourth, over = threading.Event(), threading.Event()

    def answer(number, event):
        if number == 4:
            fourth.set()
            over.wait(30)
        return 0

    with Scripted(answer) as peer:
        command = [BINARY, "send", peer.peer, study, "--associations", "1", "--data-dir", server.data_dir]
        sending = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert fourth.wait(30)
        sending.terminate()
        out, _ = sending.communicate(timeout=30)
        over.set()
        assert (sending.returncode, len(peer.requests)) == (3, 4)
    assert "interrupted; run the same send again" in out
    assert (counted(out, "sent"), counted(out, "failed"), counted(out, "not sent")) == (3, 0, 27)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_memory_does_not_grow_with_the_object(server, syntax):
    """100 MiB, as stored and made Implicit VR: the sender holds a few PDUs of it."""
    ds = made.instance(rows=1024, columns=1024, frames=50)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    peaks = []

    def serve(raw, connection):
        raw.accept(connection, pick=lambda syntaxes: syntaxes == [syntax])
        request = raw.message(connection)
        status = open(f"/proc/{sending.pid}/status").read()
        peaks.extend(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        raw.respond(connection, request)
        assert raw.message(connection) is None

    with Raw(serve) as raw:
        command = [BINARY, "send", raw.peer, ds.StudyInstanceUID, "--data-dir", server.data_dir]
        sending = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        out, _ = sending.communicate(timeout=120)
    assert (sending.returncode, counted(out, "sent")) == (0, 1)
    assert peaks and peaks[0] < 64 * 1024, f"{peaks} KiB"
