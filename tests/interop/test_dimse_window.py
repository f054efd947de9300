"""Asynchronous operations (PS3.7 §D.3.3.3; conformance.md §8, 207): what a peer may send before it has an answer."""

import struct

import pytest

from harness import made, part10, web
from harness.retrieve import cancel
from harness.sending import a_study, counted, send
from harness.wire import EXPLICIT, P_DATA, VERIFICATION, Aborted, Association, Closed, command, item, pdu, read_command

FIND, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
ALL_STUDIES = made.element(8, 0x52, "CS", b"STUDY ") + made.element(0x20, 0xD, "UI", b"")
CONTEXTS = [(made.CT, [EXPLICIT]), (FIND, [EXPLICIT]), (GET, [EXPLICIT]), (VERIFICATION, [EXPLICIT])]
STORE, SEARCH, RETRIEVE, ECHO = 1, 3, 5, 7


def us(elements, wanted):
    return struct.unpack("<H", elements[wanted])[0]


def window(invoked, performed=1):
    return item(0x53, struct.pack(">HH", invoked, performed))


def message(context, elements, data=None):
    """A whole message as bytes."""
    elements = {0x700: 0, 0x800: 0x101 if data is None else 1} | elements
    pdvs = [(3, command(elements))]
    if data is not None:
        pieces = [data[at : at + 16000] for at in range(0, len(data), 16000)]
        pdvs += [(2 if piece is pieces[-1] else 0, piece) for piece in pieces]
    return b"".join(pdu(P_DATA, struct.pack(">IBB", len(p) + 2, context, h) + p) for h, p in pdvs)


def store(number, ds, data=None):
    return message(STORE, {0x2: made.CT, 0x100: 1, 0x110: number, 0x1000: str(ds.SOPInstanceUID)}, data or made.encode(ds))


def search(number, keys=ALL_STUDIES):
    return message(SEARCH, {0x2: FIND, 0x100: 0x20, 0x110: number}, keys)


def echo(number):
    return message(ECHO, {0x2: VERIFICATION, 0x100: 0x30, 0x110: number})


def cancelled(number):
    request = cancel(number)
    return pdu(P_DATA, struct.pack(">IBB", len(request) + 2, SEARCH, 3) + request)


class Peer(Association):
    def __init__(self, server, invoked=8, contexts=CONTEXTS, **request):
        asked = window(invoked) + item(0x54, struct.pack(">H", len(made.CT)) + made.CT.encode() + b"\1\1")
        super().__init__(server.dicom_address, contexts, extra_user_items=asked, **request)

    def whole(self):
        """One message: its command and its data set."""
        sets = {True: b"", False: None}
        while True:
            kind, body = self.read_pdu()
            assert kind == P_DATA, kind
            at = 0
            while at < len(body):
                length, _context, header = struct.unpack_from(">IBB", body, at)
                is_command = bool(header & 1)
                sets[is_command] = (sets[is_command] or b"") + body[at + 6 : at + 4 + length]
                at += 4 + length
                if header & 2 and not (is_command and us(read_command(sets[True]), 0x800) != 0x101):
                    return read_command(sets[True]), sets[False]

    def answers(self, count):
        """(command, message, status) of so many final answers, and how many pending ones came of each message."""
        final, pending = [], {}
        while len(final) < count:
            answer, _ = self.whole()
            number, status = us(answer, 0x120), us(answer, 0x900)
            if status in (0xFF00, 0xFF01):
                pending[number] = pending.get(number, 0) + 1
            else:
                final.append((us(answer, 0x100) & 0x7FFF, number, status))
        return final, pending


def found(server, ds):
    return len(web.qido(server, "/instances", {"SOPInstanceUID": str(ds.SOPInstanceUID)}))


@pytest.mark.parametrize(
    ("offered", "granted"), [((1, 1), (1, 1)), ((5, 1), (5, 1)), ((8, 7), (8, 1)), ((0, 0), (16, 1)), ((1000, 0), (16, 1))]
)
def test_a207_as_many_as_were_asked_for_and_no_more_than_we_bear(server, offered, granted):
    with Association(server.dicom_address, CONTEXTS, extra_user_items=window(*offered)) as peer:
        assert peer.user_items[0x53] == struct.pack(">HH", *granted)
    with Association(server.dicom_address, CONTEXTS, extra_user_items=item(0x53, b"\0\2")) as peer:
        assert 0x53 not in peer.user_items, "an item of another length says nothing"


def test_a207_stores_before_any_answer_are_answered_each_in_order(server):
    objects = [made.instance(rows=64, columns=64) for _ in range(8)]
    with Peer(server) as peer:
        bad = made.encode(objects[3])[:200]
        peer.socket.sendall(b"".join(store(n, ds, bad if n == 3 else None) for n, ds in enumerate(objects)))
        final, _ = peer.answers(8)
        assert final == [(1, n, 0xC001 if n == 3 else 0) for n in range(8)]
        # Answered is stored.
        assert [found(server, ds) for ds in objects] == [n != 3 for n in range(8)]
        peer.socket.sendall(echo(77) + store(78, objects[3]) + echo(79))
        assert peer.answers(3)[0] == [(0x30, 77, 0), (1, 78, 0), (0x30, 79, 0)]
    for ds in objects:
        path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
        assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == made.encode(ds)


def test_a207_an_answer_is_not_kept_back_for_the_next_request(server):
    """A peer that sends half of an object and waits for the answers to those before it gets them."""
    first, second = made.instance(), made.instance(rows=64, columns=64)
    with Peer(server) as peer:
        whole = store(2, second)
        peer.socket.sendall(store(1, first) + whole[:3000])
        assert peer.answers(1)[0] == [(1, 1, 0)]
        peer.socket.sendall(whole[3000:])
        assert peer.answers(1)[0] == [(1, 2, 0)]


def test_a207_what_was_asked_before_a_release_is_answered(server):
    objects = [made.instance() for _ in range(5)]
    with Peer(server) as peer:
        peer.socket.sendall(b"".join(store(n, ds) for n, ds in enumerate(objects)) + pdu(5, bytes(4)))
        assert [number for _, number, status in peer.answers(5)[0] if status == 0] == [0, 1, 2, 3, 4]
        assert peer.read_pdu()[0] == 6
        peer.release = lambda: None


def test_a207_other_requests_between_the_answers_of_a_search(server):
    a_study(server, 1)
    studies = len(web.qido_all(server, "/studies", {}))
    one, two = made.instance(), made.instance()
    with Peer(server) as peer:
        peer.socket.sendall(search(1) + echo(2) + store(3, one) + search(4) + store(5, two))
        final, pending = peer.answers(5)
        assert sorted(final) == [(1, 3, 0), (1, 5, 0), (0x20, 1, 0), (0x20, 4, 0), (0x30, 2, 0)]
        # The second search begins when the first has ended; both may have seen what came between.
        assert final.index((0x20, 1, 0)) < final.index((0x20, 4, 0))
        assert set(pending) == {1, 4} and all(studies <= n <= studies + 2 for n in pending.values())
    assert found(server, one) == found(server, two) == 1


def test_a207_a_search_that_waits_can_be_cancelled(server):
    a_study(server, 1)
    with Peer(server) as peer:
        # In one write, so that the first has not been answered when the cancellation is read.
        peer.socket.sendall(search(1) + search(2) + cancelled(2) + cancelled(1))
        final, pending = peer.answers(2)
        assert final == [(0x20, 1, 0xFE00), (0x20, 2, 0xFE00)] and 2 not in pending
        # More than wait their turn are refused, and none is forgotten.
        peer.socket.sendall(b"".join(search(n) for n in range(10, 18)))
        final, _ = peer.answers(8)
        assert sorted(number for _, number, _ in final) == list(range(10, 18))
        assert {status for _, _, status in final} <= {0, 0xA700} and (0x20, 10, 0) in final


def test_a207_a_store_in_the_middle_of_a_retrieval(server):
    study, objects = a_study(server, 4)
    mine = made.instance(rows=64, columns=64)
    keys = made.element(8, 0x52, "CS", b"STUDY ") + made.element(0x20, 0xD, "UI", (study + "\0" * (len(study) % 2)).encode())
    with Peer(server) as peer:
        peer.socket.sendall(message(RETRIEVE, {0x2: GET, 0x100: 0x10, 0x110: 1}, keys) + store(2, mine))
        arrived, answered, last = set(), None, None
        while last is None:
            heard, data = peer.whole()
            if us(heard, 0x100) == 1:
                uid = heard[0x1000].rstrip(b"\0").decode()
                assert data == made.encode(objects[uid])
                arrived.add(uid)
                # Behind another request, whose data set it has to hear first.
                peer.socket.sendall(echo(100 + len(arrived)))
                response = {0x2: made.CT, 0x100: 0x8001, 0x120: us(heard, 0x110), 0x800: 0x101, 0x900: 0}
                peer.send_fragments(STORE, command(response), True)
            elif us(heard, 0x100) == 0x8001:
                answered = us(heard, 0x900)
            elif us(heard, 0x100) == 0x8010 and us(heard, 0x900) != 0xFF00:
                last = us(heard, 0x900)
        assert (arrived, answered, last) == (set(objects), 0, 0)
    assert found(server, mine) == 1


def test_without_an_agreement_operations_are_one_after_the_other(server):
    a_study(server, 1)
    peer = Association(server.dicom_address, CONTEXTS)
    peer.socket.sendall(search(1) + search(2))
    with pytest.raises((Aborted, Closed, ConnectionError)):
        while True:
            peer.read_pdu()
    peer.socket.close()


def test_an_abort_behind_requests_costs_nobody_else(server):
    objects = [made.instance() for _ in range(6)]
    peer = Peer(server)
    peer.socket.sendall(b"".join(store(n, ds) for n, ds in enumerate(objects)))
    peer.abort()
    with Peer(server) as other:
        other.socket.sendall(b"".join(store(n, ds) for n, ds in enumerate(objects)))
        assert [status for *_, status in other.answers(6)[0]] == [0] * 6
    assert all(found(server, ds) == 1 for ds in objects)


def test_our_own_sender_uses_what_our_own_server_grants(server, start):
    study, objects = a_study(server, 60)
    other = start()
    text = send(server, f"OVERREAD@127.0.0.1:{other.ports[1]}", study, "--associations", 1)
    assert counted(text, "sent") == 60
    assert len(web.qido_all(other, "/instances", {"StudyInstanceUID": study})) == 60
