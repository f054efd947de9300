"""A DICOM association spoken byte by byte (PS3.8 §9.3): sends exactly what a test says, sound or not."""

import itertools
import socket
import struct

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)


def pdu(kind, body):
    return struct.pack(">BBI", kind, 0, len(body)) + body


def item(kind, body):
    body = body.encode() if isinstance(body, str) else body
    return struct.pack(">BBH", kind, 0, len(body)) + body


def associate_rq(contexts, *, called="OVERREAD", calling="INTEROP", max_pdu=16384, application_context=APPLICATION_CONTEXT,
                 version=1, extra_user_items=b""):  # fmt: skip
    """`contexts` is a list of (abstract syntax, [transfer syntaxes]); identifiers are 1, 3, 5 …"""
    body = struct.pack(">HH", version, 0) + called.encode().ljust(16)[:16] + calling.encode().ljust(16)[:16] + bytes(32)
    body += item(0x10, application_context)
    for number, (abstract, transfer) in enumerate(contexts):
        inner = struct.pack(">BBBB", 2 * number + 1, 0, 0, 0) + item(0x30, abstract)
        body += item(0x20, inner + b"".join(item(0x40, t) for t in transfer))
    user = item(0x51, struct.pack(">I", max_pdu)) + item(0x52, "1.2.826.0.1.3680043.10.9999.1") + item(0x55, "INTEROP")
    return pdu(ASSOCIATE_RQ, body + item(0x50, user + extra_user_items))


def command(elements):
    """A command set (PS3.7 §6.3.1): Implicit VR Little Endian, group 0000."""
    body = b""
    for element, value in sorted(elements.items()):
        if isinstance(value, int):
            value = struct.pack("<H", value)
        elif isinstance(value, str):
            value = value.encode()
            value += b"\0" * (len(value) % 2)
        body += struct.pack("<HHI", 0, element, len(value)) + value
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def read_command(body):
    found, at = {}, 0
    while at < len(body):
        _group, element, length = struct.unpack_from("<HHI", body, at)
        found[element] = body[at + 8 : at + 8 + length]
        at += 8 + length
    return found


class Refused(Exception):
    """A-ASSOCIATE-RJ: result, source, reason."""

    def __init__(self, result, source, reason):
        super().__init__(result, source, reason)
        self.triple = (result, source, reason)


class Aborted(Exception):
    """A-ABORT: source, reason."""

    def __init__(self, source, reason):
        super().__init__(source, reason)
        self.pair = (source, reason)


class Closed(Exception):
    """The peer closed the connection."""


class Association:
    """An association as its requestor. `contexts` is a list of (abstract syntax, [transfer syntaxes]); `tls` is an
    ssl.SSLContext."""

    def __init__(self, address, contexts, *, timeout=30, tls=None, **request):
        self.contexts = list(contexts)
        self.max_pdu_seen = 0
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.messages = itertools.count(1)
        try:
            if tls:
                self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
            self.socket.sendall(associate_rq(contexts, **request))
            kind, body = self.read_pdu()
            if kind == ASSOCIATE_RJ:
                raise Refused(*body[1:4])
            assert kind == ASSOCIATE_AC, kind
            self.read_accept(body)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.release()
        self.socket.close()

    def read_accept(self, body):
        self.accept_body = body
        self.results, self.accepted, self.user_items = {}, {}, {}
        at = 68
        while at < len(body):
            kind, _, length = struct.unpack_from(">BBH", body, at)
            value = body[at + 4 : at + 4 + length]
            if kind == 0x21:
                number, result = value[0], value[2]
                self.results[number] = result
                if result == 0:
                    syntax_length = struct.unpack_from(">H", value, 6)[0]
                    self.accepted[number] = value[8 : 8 + syntax_length].decode().rstrip("\0 ")
            elif kind == 0x50:
                inner = 0
                while inner < len(value):
                    sub, _, sub_length = struct.unpack_from(">BBH", value, inner)
                    self.user_items[sub] = value[inner + 4 : inner + 4 + sub_length]
                    inner += 4 + sub_length
            at += 4 + length
        # 0 means that the peer sets no limit (PS3.8 §D.1); we then send 16 KiB at a time.
        self.peer_max_pdu = struct.unpack(">I", self.user_items[0x51])[0]

    def context_for(self, abstract, transfer):
        for number, (asked, syntaxes) in enumerate(self.contexts):
            context = 2 * number + 1
            if asked == abstract and self.accepted.get(context) == transfer and transfer in syntaxes:
                return context
        raise LookupError(f"no accepted context for {abstract} in {transfer}")

    def read_exactly(self, count):
        parts = bytearray()
        while len(parts) < count:
            got = self.socket.recv(count - len(parts))
            if not got:
                raise Closed
            parts += got
        return bytes(parts)

    def read_pdu(self):
        kind, _, length = struct.unpack(">BBI", self.read_exactly(6))
        body = self.read_exactly(length)
        self.max_pdu_seen = max(self.max_pdu_seen, length)
        if kind == ABORT:
            raise Aborted(body[2], body[3])
        return kind, body

    def read_message(self):
        """One command set; DIMSE answers to C-ECHO and C-STORE have no data set."""
        collected = b""
        while True:
            kind, body = self.read_pdu()
            assert kind == P_DATA, kind
            at = 0
            while at < len(body):
                length, _context, header = struct.unpack_from(">IBB", body, at)
                collected += body[at + 6 : at + 4 + length]
                at += 4 + length
                if header & 2:
                    return read_command(collected)

    def send_fragments(self, context, data, is_command, max_fragment=None):
        limit = max_fragment or ((self.peer_max_pdu or 16384) - 6)
        data = memoryview(data)
        at = 0
        while True:
            piece = data[at : at + limit]
            at += len(piece)
            header = (1 if is_command else 0) | (2 if at >= len(data) else 0)
            pdv = struct.pack(">IBB", len(piece) + 2, context, header) + bytes(piece)
            self.socket.sendall(pdu(P_DATA, pdv))
            if at >= len(data):
                return

    def echo(self):
        context = self.context_for(VERIFICATION, self.accepted[1])
        self.send_fragments(context, command({0x2: VERIFICATION, 0x100: 0x30, 0x110: next(self.messages), 0x800: 0x101}), True)
        return struct.unpack("<H", self.read_message()[0x900])[0]

    def store_request(self, context, sop_class, sop_instance):
        message = next(self.messages)
        self.send_fragments(
            context,
            command({0x2: sop_class, 0x100: 1, 0x110: message, 0x700: 0, 0x800: 0, 0x1000: sop_instance}),
            True,
        )
        return message

    def store_response(self):
        return struct.unpack("<H", self.read_message()[0x900])[0]

    def store(self, sop_class, sop_instance, transfer, data_set, *, max_fragment=None, context=None):
        """C-STORE of exactly these bytes; gives the status."""
        context = context or self.context_for(sop_class, transfer)
        self.store_request(context, sop_class, sop_instance)
        self.send_fragments(context, data_set, False, max_fragment)
        return self.store_response()

    def release(self):
        self.socket.sendall(pdu(RELEASE_RQ, bytes(4)))
        kind, _ = self.read_pdu()
        assert kind == RELEASE_RP, kind

    def abort(self):
        self.socket.sendall(pdu(ABORT, bytes(4)))
        self.socket.close()
