"""C-MOVE where asynchronous operations were agreed on (PS3.7 §D.3.3.3, PS3.4 §C.4.2; conformance.md §8, 207, 221): what else a peer
may say while its instances go elsewhere."""

import struct
import threading

import pytest
from pynetdicom.sop_class import StorageCommitmentPushModel as COMMITMENT, StudyRootQueryRetrieveInformationModelMove as MOVE

from harness import made, wait, web
from harness.committing import INSTANCE
from harness.receiver import Scripted
from harness.sending import a_study
from harness.wire import EXPLICIT, VERIFICATION, command, pdu
from test_dimse_window import FIND, Peer, cancelled, echo, found, message, search, store, us

ECHO_RSP, FIND_RSP, MOVE_RSP, STORE_RSP, ACTION_RSP = 0x30, 0x20, 0x21, 1, 0x130
CONTEXTS = [(made.CT, [EXPLICIT]), (FIND, [EXPLICIT]), (MOVE, [EXPLICIT]), (VERIFICATION, [EXPLICIT]), (COMMITMENT, [EXPLICIT])]
MOVING, COMMITTING = 5, 9


def ask(number, study, destination):
    keys = made.element(8, 0x52, "CS", b"STUDY ") + made.element(0x20, 0xD, "UI", (study + "\0" * (len(study) % 2)).encode())
    title = destination + " " * (len(destination) % 2)
    return message(MOVING, {0x2: MOVE, 0x100: 0x21, 0x110: number, 0x600: title}, keys)


def commit(number, instance):
    def uid(group, element, value):
        return made.element(group, element, "UI", (value + "\0" * (len(value) % 2)).encode())

    item = uid(8, 0x1150, made.CT) + uid(8, 0x1155, instance)
    whole = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    data = uid(8, 0x1195, made.uid()) + struct.pack("<HH2sHI", 8, 0x1199, b"SQ", 0, len(whole)) + whole
    return message(COMMITTING, {0x3: COMMITMENT, 0x100: 0x130, 0x110: number, 0x1001: INSTANCE, 0x1008: 1}, data)


class Destination(Scripted):
    """Keeps the answer to one store back until it is told to go on."""

    def __init__(self, hangs_at, **settings):
        self.hangs, self.over, self.at = threading.Event(), threading.Event(), hangs_at
        super().__init__(self.hang, **settings)

    def hang(self, number, event):
        if number == self.at:
            self.hangs.set()
            assert self.over.wait(60)
        return 0x0000


@pytest.fixture
def place(start):
    with Destination(2) as destination:
        yield start(config={"dicom": {"peers": [destination.peer], "send_retries": 0}}), destination
        destination.over.set()


class Requestor(Peer):
    def __init__(self, server, **request):
        super().__init__(server, contexts=CONTEXTS, **request)

    def until(self, wanted):
        """Answers up to that of the message `wanted`."""
        final = []
        while not any(number == wanted for _, number, _ in final):
            final += self.answers(1)[0]
        return final


def test_a207_other_requests_while_a_move_goes_on(place):
    server, destination = place
    study, objects = a_study(server, 4)
    mine = made.instance(rows=64, columns=64)
    with Requestor(server) as peer:
        peer.socket.sendall(ask(1, study, "SCRIPTED"))
        assert destination.hangs.wait(30)
        # The destination has not answered the second: none of this waits for it, but the search does.
        peer.socket.sendall(echo(2) + search(3) + store(4, mine) + commit(5, next(iter(objects))) + echo(6))
        answers = peer.until(6)
        assert sorted(answers) == [(STORE_RSP, 4, 0), (ECHO_RSP, 2, 0), (ECHO_RSP, 6, 0), (ACTION_RSP, 5, 0)]
        assert found(server, mine) == 1
        destination.over.set()
        assert peer.until(3) == [(MOVE_RSP, 1, 0), (FIND_RSP, 3, 0)]
        # What it is owed comes when it is silent, on the same association.
        report, _ = peer.whole()
        assert us(report, 0x100) == 0x100 and us(report, 0x1002) == 1
        answer = {0x2: COMMITMENT, 0x100: 0x8100, 0x120: us(report, 0x110), 0x800: 0x101, 0x900: 0}
        peer.send_fragments(COMMITTING, command(answer), True)
    assert sorted(destination.acknowledged) == sorted(objects)


def test_a221_each_of_several_moves_is_cancelled_by_its_own_number(place):
    server, destination = place
    (study, objects), (other, _) = a_study(server, 4), a_study(server, 3)
    with Requestor(server) as peer:
        peer.socket.sendall(ask(1, study, "SCRIPTED"))
        assert destination.hangs.wait(30)
        # One that waits, is cancelled and calls nobody; then the one that is under way; the third goes on.
        peer.socket.sendall(ask(2, other, "SCRIPTED") + ask(3, other, "SCRIPTED") + cancelled(2) + cancelled(1) + echo(4))
        assert peer.until(4) == [(ECHO_RSP, 4, 0)]
        answers = peer.until(3)
        assert answers == [(MOVE_RSP, 1, 0xFE00), (MOVE_RSP, 2, 0xFE00), (MOVE_RSP, 3, 0)]
    first, third = destination.requests[:2], destination.requests[2:]
    assert {(r.MoveOriginatorMessageID, len(of)) for of in (first, third) for r in of} == {(1, 2), (3, 3)}


def test_a207_more_moves_than_wait_are_refused_and_none_is_forgotten(place):
    server, destination = place
    study, objects = a_study(server, 3)
    with Requestor(server) as peer:
        peer.socket.sendall(ask(1, study, "SCRIPTED"))
        assert destination.hangs.wait(30)
        peer.socket.sendall(b"".join(ask(n, study, "SCRIPTED") for n in range(2, 8)) + search(8) + echo(9))
        # Four wait. A702 of a retrieval, A700 of a search.
        assert peer.until(9) == [(MOVE_RSP, 6, 0xA702), (MOVE_RSP, 7, 0xA702), (FIND_RSP, 8, 0xA700), (ECHO_RSP, 9, 0)]
        destination.over.set()
        assert peer.until(5) == [(MOVE_RSP, n, 0) for n in range(1, 6)]
    assert len(destination.requests) == 15


@pytest.mark.parametrize("how", ["abort", "close"])
def test_who_leaves_while_moves_wait_has_none_of_them(place, how):
    server, destination = place
    study, objects = a_study(server, 4)
    peer = Requestor(server)
    peer.socket.sendall(ask(1, study, "SCRIPTED") + ask(2, study, "SCRIPTED"))
    assert destination.hangs.wait(30)
    if how == "abort":
        peer.socket.sendall(pdu(7, bytes(4)))
    peer.socket.close()
    wait.until(lambda: "association ended" in server.log(), "it is noticed")
    destination.over.set()
    wait.until(lambda: destination.open == 0, "the destination is left")
    assert {r.MoveOriginatorMessageID for r in destination.requests} == {1} and len(destination.requests) <= 3
    # Everybody else is served.
    with Requestor(server) as other:
        assert web.qido(server, "/studies", {"StudyInstanceUID": study})
        other.socket.sendall(echo(1))
        assert other.until(1) == [(ECHO_RSP, 1, 0)]
