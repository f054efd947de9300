"""The upper layer state table (PS3.8 Table 9-10) with raw bytes, row by row: every state × event that a peer can bring about,
and what we do then. As acceptor against the listener, as requestor (`overread echo`) against a socket that accepts.

| not here | why |
|---|---|
| Sta1 | no connection, no event |
| Sta4 | the connection of the requestor: `test_who_is_not_there` |
| Sta8 | we answer A-RELEASE-RQ at once: Sta8 with its indication and Sta13 are one moment |
| Sta9, Sta10, Sta12 | left as soon as they are entered (Sta9), or an acceptor's that asks for release, which ours never does |

Two choices within the table. In Sta2 the A-ABORT of AA-1 names the service provider as its source, not the user, because only
then its reason means something. In Sta13 the A-ABORT of AA-7 is left out: our side of the connection is closed with our last word.
"""

import contextlib
import socket
import struct
import threading

import pytest

from harness import made, receiver, wire
from harness.receiver import Raw
from harness.wire import (
    ABORT, ASSOCIATE_AC, ASSOCIATE_RJ, ASSOCIATE_RQ, EXPLICIT, IMPLICIT, P_DATA, RELEASE_RP, RELEASE_RQ, VERIFICATION, Association,
    associate_rq, command, pdu,
)  # fmt: skip

CONTEXTS = [(VERIFICATION, [IMPLICIT]), (made.CT, [EXPLICIT])]
NAMES = dict(enumerate("AC RJ P-DATA RELEASE-RQ RELEASE-RP".split(), 2)) | {ASSOCIATE_RQ: "RQ"}


def data(context, elements):
    rq = command(elements)
    return pdu(P_DATA, struct.pack(">IBB", len(rq) + 2, context, 3) + rq)


ECHO = data(1, {0x2: VERIFICATION, 0x100: 0x30, 0x110: 1, 0x800: 0x101})
ECHOED = data(1, {0x2: VERIFICATION, 0x100: 0x8030, 0x120: 1, 0x800: 0x101, 0x900: 0})

# Events of Table 9-10 as bytes. Evt17 is the end of the stream, Evt18 silence.
EVENTS = {
    "Evt3 A-ASSOCIATE-AC": pdu(ASSOCIATE_AC, receiver.accept_body([(1, 0, IMPLICIT)], receiver.MAX_LENGTH)),
    "Evt4 A-ASSOCIATE-RJ": pdu(ASSOCIATE_RJ, bytes([0, 1, 1, 1])),
    "Evt6 A-ASSOCIATE-RQ": associate_rq(CONTEXTS),
    "Evt10 P-DATA-TF": ECHO,
    "Evt12 A-RELEASE-RQ": pdu(RELEASE_RQ, bytes(4)),
    "Evt13 A-RELEASE-RP": pdu(RELEASE_RP, bytes(4)),
    "Evt16 A-ABORT": pdu(ABORT, bytes(4)),
    "Evt17 closed": None,
    "Evt18 silence": b"",
    "Evt19 unknown type": pdu(0x08, bytes(4)),
    "Evt19 reserved type": pdu(0xFF, bytes(4)),
    "Evt19 HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


def said(read):
    """The PDUs that come until the end of the stream; of an A-ABORT its source and reason."""
    heard = []
    with contextlib.suppress(OSError, wire.Closed):
        while True:
            kind, _, length = struct.unpack(">BBI", read(6))
            body = read(length)
            heard.append(f"ABORT {body[2]}/{body[3]}" if kind == ABORT else NAMES[kind])
    return heard


def until_closed(connection):
    def read(count):
        parts = b""
        while len(parts) < count:
            got = connection.recv(count - len(parts))
            if not got:
                raise wire.Closed
            parts += got
        return parts

    return said(read)


# As acceptor


@pytest.fixture(scope="module")
def acceptor(start_module):
    """Timers that a test can wait for."""
    return start_module(config={"dicom": {"artim_timeout_s": 1, "idle_timeout_s": 1}})


UNEXPECTED, UNRECOGNIZED = ["ABORT 2/2"], ["ABORT 2/1"]

ACCEPTOR = {
    # AA-1: A-ABORT; AE-6: accepted; AA-2, AA-5: closed.
    "Sta2": {
        "Evt3 A-ASSOCIATE-AC": UNEXPECTED, "Evt4 A-ASSOCIATE-RJ": UNEXPECTED, "Evt6 A-ASSOCIATE-RQ": ["AC", "ABORT 0/0"],
        "Evt10 P-DATA-TF": UNEXPECTED, "Evt12 A-RELEASE-RQ": UNEXPECTED, "Evt13 A-RELEASE-RP": UNEXPECTED, "Evt16 A-ABORT": [],
        "Evt17 closed": [], "Evt18 silence": [], "Evt19 unknown type": UNRECOGNIZED, "Evt19 reserved type": UNRECOGNIZED,
        "Evt19 HTTP": UNRECOGNIZED,
    },
    # We decide before we hear more: what comes in the same write as the request is heard in Sta6.
    "Sta3": {
        "Evt3 A-ASSOCIATE-AC": ["AC", *UNEXPECTED], "Evt4 A-ASSOCIATE-RJ": ["AC", *UNEXPECTED], "Evt6 A-ASSOCIATE-RQ": ["AC", *UNEXPECTED],
        "Evt10 P-DATA-TF": ["AC", "P-DATA", "ABORT 0/0"], "Evt12 A-RELEASE-RQ": ["AC", "RELEASE-RP"],
        "Evt13 A-RELEASE-RP": ["AC", *UNEXPECTED], "Evt16 A-ABORT": ["AC"], "Evt17 closed": ["AC"],
        "Evt19 unknown type": ["AC", *UNRECOGNIZED], "Evt19 reserved type": ["AC", *UNRECOGNIZED], "Evt19 HTTP": ["AC", *UNRECOGNIZED],
    },
    # AA-8: A-ABORT by the provider; DT-2: answered; AR-2: released; AA-3, AA-4: closed. Silence is not the table's: our own timer.
    "Sta6": {
        "Evt3 A-ASSOCIATE-AC": UNEXPECTED, "Evt4 A-ASSOCIATE-RJ": UNEXPECTED, "Evt6 A-ASSOCIATE-RQ": UNEXPECTED,
        "Evt10 P-DATA-TF": ["P-DATA", "ABORT 0/0"], "Evt12 A-RELEASE-RQ": ["RELEASE-RP"], "Evt13 A-RELEASE-RP": UNEXPECTED,
        "Evt16 A-ABORT": [], "Evt17 closed": [], "Evt18 silence": ["ABORT 0/0"], "Evt19 unknown type": UNRECOGNIZED,
        "Evt19 reserved type": UNRECOGNIZED, "Evt19 HTTP": UNRECOGNIZED,
    },
    # In the middle of an object: the same.
    "Sta6 in data": {
        "Evt3 A-ASSOCIATE-AC": UNEXPECTED, "Evt4 A-ASSOCIATE-RJ": UNEXPECTED, "Evt6 A-ASSOCIATE-RQ": UNEXPECTED,
        "Evt10 P-DATA-TF": ["ABORT 2/5"], "Evt12 A-RELEASE-RQ": ["RELEASE-RP"], "Evt13 A-RELEASE-RP": UNEXPECTED, "Evt16 A-ABORT": [],
        "Evt17 closed": [], "Evt18 silence": ["ABORT 0/0"], "Evt19 unknown type": UNRECOGNIZED, "Evt19 reserved type": UNRECOGNIZED,
        "Evt19 HTTP": UNRECOGNIZED,
    },
}  # fmt: skip
# AA-6, AR-5, AA-2: whatever comes after our last word is read and not answered, until the peer or ARTIM ends it.
for state in ("Sta13 released", "Sta13 aborted", "Sta13 rejected"):
    ACCEPTOR[state] = dict.fromkeys(EVENTS, [])

STORE = data(3, {0x2: made.CT, 0x100: 1, 0x110: 1, 0x700: 0, 0x800: 1, 0x1000: "1.2.3"})


def bring(address, state):
    """A connection on which our acceptor is in a state."""
    if state in ("Sta2", "Sta3"):
        return socket.create_connection(address, timeout=15)
    if state == "Sta13 rejected":
        connection = socket.create_connection(address, timeout=15)
        connection.sendall(associate_rq(CONTEXTS, called="NOBODY"))
        assert connection.recv(10)[:1] == bytes([ASSOCIATE_RJ])
        return connection
    association = Association(address, CONTEXTS, timeout=15)
    connection = association.socket
    if state == "Sta6 in data":
        connection.sendall(STORE)
    elif state == "Sta13 released":
        association.release()
    elif state == "Sta13 aborted":
        connection.sendall(pdu(ASSOCIATE_RJ, bytes(4)))
        assert connection.recv(10)[:1] == bytes([ABORT])
    return connection


@pytest.mark.parametrize(("state", "event"), [(s, e) for s, row in ACCEPTOR.items() for e in row])
def test_a204_what_the_acceptor_does(acceptor, state, event):
    with bring(acceptor.dicom_address, state) as connection:
        first = associate_rq(CONTEXTS) if state == "Sta3" else b""
        with contextlib.suppress(OSError):  # in Sta13 it may have hung up
            connection.sendall(first + (EVENTS[event] or b""))
            if EVENTS[event] is None:
                connection.shutdown(socket.SHUT_WR)
        assert until_closed(connection) == ACCEPTOR[state][event]
    # Nobody else has noticed.
    with Association(acceptor.dicom_address, CONTEXTS) as peer:
        assert peer.echo() == 0


@pytest.mark.parametrize("cut", [1, 3, 5, 6, 7, 40, 74, 100])
def test_a203_half_a_pdu_ends_with_the_timer(acceptor, cut):
    """Evt18 in the middle of a PDU, in Sta2 and in Sta6."""
    with socket.create_connection(acceptor.dicom_address, timeout=15) as connection:
        connection.sendall(associate_rq(CONTEXTS)[:cut])
        assert until_closed(connection) == []
    association = Association(acceptor.dicom_address, CONTEXTS, timeout=15)
    with association.socket as connection:
        connection.sendall(ECHO[:cut])
        assert until_closed(connection) == (["ABORT 0/0"] if cut < len(ECHO) else ["P-DATA", "ABORT 0/0"])


def test_a205_a_request_and_a_message_cut_at_every_byte(server):
    """Each cut as two segments: the whole of PS3.8 §9.3 and PS3.7 §6.3 between any two bytes."""
    whole = associate_rq(CONTEXTS) + ECHO + pdu(RELEASE_RQ, bytes(4))
    for cut in range(1, len(whole)):
        with socket.create_connection(server.dicom_address, timeout=15) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(whole[:cut])
            connection.sendall(whole[cut:])
            assert until_closed(connection) == ["AC", "P-DATA", "RELEASE-RP"], cut


# As requestor

ABORTS = "ABORT 2"
REQUESTOR = {
    # AE-3: associated; AE-4: rejected; AA-8: A-ABORT; AA-3, AA-4: closed. Silence: our own timer.
    "Sta5": {
        "Evt3 A-ASSOCIATE-AC": "P-DATA", "Evt4 A-ASSOCIATE-RJ": "", "Evt6 A-ASSOCIATE-RQ": ABORTS, "Evt10 P-DATA-TF": ABORTS,
        "Evt12 A-RELEASE-RQ": ABORTS, "Evt13 A-RELEASE-RP": ABORTS, "Evt16 A-ABORT": "", "Evt17 closed": "", "Evt18 silence": "ABORT 0",
        "Evt19 unknown type": ABORTS, "Evt19 reserved type": ABORTS, "Evt19 HTTP": ABORTS,
    },
    # The answer to our C-ECHO is awaited; Evt10 is that answer. A request instead of it is no answer.
    "Sta6": {
        "Evt3 A-ASSOCIATE-AC": ABORTS, "Evt4 A-ASSOCIATE-RJ": ABORTS, "Evt6 A-ASSOCIATE-RQ": ABORTS, "Evt10 P-DATA-TF": "RELEASE-RQ",
        "Evt12 A-RELEASE-RQ": "RELEASE-RP", "Evt13 A-RELEASE-RP": ABORTS, "Evt16 A-ABORT": "", "Evt17 closed": "",
        "Evt18 silence": "ABORT 0", "Evt19 unknown type": ABORTS, "Evt19 reserved type": ABORTS, "Evt19 HTTP": ABORTS,
    },
    # AR-6: data is heard, and the answer to our release still awaited; AR-8: a collision, Sta9; AR-3: closed.
    "Sta7": {
        "Evt3 A-ASSOCIATE-AC": ABORTS, "Evt4 A-ASSOCIATE-RJ": ABORTS, "Evt6 A-ASSOCIATE-RQ": ABORTS, "Evt10 P-DATA-TF": "ABORT 0",
        "Evt12 A-RELEASE-RQ": "RELEASE-RP", "Evt13 A-RELEASE-RP": "", "Evt16 A-ABORT": "", "Evt17 closed": "", "Evt18 silence": "ABORT 0",
        "Evt19 unknown type": ABORTS, "Evt19 reserved type": ABORTS, "Evt19 HTTP": ABORTS,
    },
    # After the collision only A-RELEASE-RP is due.
    "Sta11": {
        "Evt3 A-ASSOCIATE-AC": ABORTS, "Evt4 A-ASSOCIATE-RJ": ABORTS, "Evt6 A-ASSOCIATE-RQ": ABORTS, "Evt10 P-DATA-TF": ABORTS,
        "Evt12 A-RELEASE-RQ": ABORTS, "Evt13 A-RELEASE-RP": "", "Evt16 A-ABORT": "", "Evt17 closed": "", "Evt18 silence": "ABORT 0",
        "Evt19 unknown type": ABORTS, "Evt19 reserved type": ABORTS, "Evt19 HTTP": ABORTS,
    },
    # Our A-ABORT is said; what comes is not answered.
    "Sta13": dict.fromkeys(EVENTS, ""),
}  # fmt: skip


def lead(raw, connection, state):
    """Brings our requestor into a state."""
    if state == "Sta5":
        assert raw.read(connection)[0] == ASSOCIATE_RQ
        return
    raw.accept(connection)
    assert raw.read(connection)[0] == P_DATA
    if state == "Sta13":
        connection.sendall(pdu(0x08, bytes(4)))
        assert raw.read(connection)[0] == ABORT
    if state in ("Sta7", "Sta11"):
        connection.sendall(ECHOED)
        assert raw.read(connection)[0] == RELEASE_RQ
    if state == "Sta11":
        connection.sendall(pdu(RELEASE_RQ, bytes(4)))
        assert raw.read(connection)[0] == RELEASE_RP


@pytest.mark.parametrize(("state", "event"), [(s, e) for s, row in REQUESTOR.items() for e in row])
def test_a204_what_the_requestor_does(server, state, event):
    heard, is_done = [], threading.Event()

    def serve(raw, connection):
        try:
            lead(raw, connection, state)
            what = ECHOED if event.startswith("Evt10") else EVENTS[event]
            with contextlib.suppress(OSError):
                connection.sendall(what or b"")
                if what is None:
                    connection.shutdown(socket.SHUT_WR)
            if state == "Sta5" and event.startswith("Evt3") or state == "Sta6" and event.startswith("Evt10"):
                kind, _ = raw.read(connection)
                heard.append(NAMES[kind])
            else:
                heard.extend(until_closed(connection))
        except AssertionError as error:
            heard.append(error)
        finally:
            is_done.set()

    with Raw(serve) as raw:
        ran = server.cli("echo", raw.peer, "--timeout", 1)
        assert is_done.wait(15)
    expected = REQUESTOR[state][event]
    if state == "Sta7" and event.startswith("Evt12"):
        # Then it waits in Sta11, and nobody answers.
        assert heard[:1] == [expected] and heard[1:] in ([], ["ABORT 0/0"]), heard
    else:
        assert [h.split("/")[0] for h in heard] == ([expected] if expected else []), heard
    # What was answered was answered, however the association ends.
    is_answered = state in ("Sta7", "Sta11") or (state, event) == ("Sta6", "Evt10 P-DATA-TF")
    assert ran.returncode == (0 if is_answered else 1), ran.stderr


def test_who_is_not_there(server):
    """Sta4: nobody listens; somebody listens and never accepts is Sta5 with Evt18."""
    from harness.server import free_port

    ran = server.cli("echo", f"NOBODY@127.0.0.1:{free_port()}")
    assert ran.returncode == 1 and "refused" in ran.stderr
