"""Application entities that our program calls: DCMTK's storescp, pynetdicom with a script, and a raw socket."""

import socket
import struct
import subprocess
import threading

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from . import made, wait, wire
from .server import free_port


def is_listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Storescp:
    """DCMTK's storescp; `+B` in its options makes it write the data set exactly as it came."""

    def __init__(self, folder, *options, port=None):
        self.port = port or free_port()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.log = folder.parent / f"{folder.name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["storescp", "-v", "-pm", "-od", folder, *options, str(self.port)], stdout=log, stderr=log)
        wait.until(lambda: is_listening(self.port), "storescp listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    @property
    def peer(self):
        return f"STORESCP@127.0.0.1:{self.port}"

    def files(self):
        """Data by SOP Instance UID, as the names of the files say."""
        return {path.name.split(".", 1)[1]: path.read_bytes() for path in self.folder.iterdir()}


class Scripted:
    """pynetdicom; `answer(number, event)` gives the status to the store of this number, from 1."""

    def __init__(self, answer=lambda number, event: 0x0000, syntaxes=None, window=None, contexts=None, tls=None, **settings):
        self.port = settings.pop("port", None) or free_port()
        self.events, self.acknowledged, self.requests, self.most_at_once, self.open, self.associations = [], [], [], 0, 0, 0
        self.lock = threading.Lock()
        self.answer = answer
        self.ae = AE(ae_title="SCRIPTED")
        self.ae.maximum_associations = settings.pop("maximum_associations", 10)
        for name, value in settings.items():
            setattr(self.ae, name, value)
        for context in contexts or AllStoragePresentationContexts:
            self.ae.add_supported_context(context if isinstance(context, str) else context.abstract_syntax, syntaxes or made.TRANSFER_SYNTAXES)
        self.ae.add_supported_context(Verification)
        handlers = [(evt.EVT_C_STORE, self.store), (evt.EVT_ESTABLISHED, self.count, [1]), (evt.EVT_CONN_CLOSE, self.count, [-1])]
        if window:
            handlers.append((evt.EVT_ASYNC_OPS, lambda event: window))
        self.server = self.ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=tls)

    def count(self, event, step):
        with self.lock:
            self.open += step
            self.associations += step == 1
            self.most_at_once = max(self.most_at_once, self.open)

    def store(self, event):
        with self.lock:
            uid = str(event.request.AffectedSOPInstanceUID)
            self.requests.append(event.request)
            number = len(self.requests)
        status = self.answer(number, event)
        if isinstance(status, int) and (status == 0 or status >> 12 == 0xB):
            with self.lock:
                self.acknowledged.append(uid)
                self.events.append((uid, event.context.transfer_syntax, event.request.DataSet.getvalue()))
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    @property
    def peer(self):
        return f"SCRIPTED@127.0.0.1:{self.port}"


def accept_body(contexts, user):
    """What follows the header of A-ASSOCIATE-AC (PS3.8 §9.3.3); `contexts` is a list of (id, result, syntax)."""
    body = struct.pack(">HH", 1, 0) + bytes(64) + wire.item(0x10, wire.APPLICATION_CONTEXT)
    for number, result, syntax in contexts:
        body += wire.item(0x21, struct.pack(">BBBB", number, 0, result, 0) + wire.item(0x40, syntax))
    return body + wire.item(0x50, user)


MAX_LENGTH = wire.item(0x51, struct.pack(">I", 16384))


class Raw:
    """A socket that does to each connection what a test says: `serve(self, connection)`."""

    def __init__(self, serve, port=0):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.serve, self.connections = serve, 0
        self.data, self.longest = bytearray(), 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(30)
            with connection:
                try:
                    self.serve(self, connection)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Wakes the thread that accepts, which would keep the port.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    @property
    def peer(self):
        return f"RAW@127.0.0.1:{self.port}"

    def read(self, connection):
        """One PDU: its type and its body."""
        kind, _, length = struct.unpack(">BBI", exactly(connection, 6))
        return kind, exactly(connection, length)

    def accept(self, connection, user=MAX_LENGTH, pick=lambda syntaxes: True):
        """Hears the proposal and accepts it; the contexts that were proposed."""
        kind, body = self.read(connection)
        assert kind == wire.ASSOCIATE_RQ
        proposed, at = [], 68
        while at < len(body):
            item, _, length = struct.unpack_from(">BBH", body, at)
            if item == 0x20:
                value, inner, uids = body[at + 4 : at + 4 + length], 4, []
                while inner < len(value):
                    size = struct.unpack_from(">H", value, inner + 2)[0]
                    uids.append(value[inner + 4 : inner + 4 + size].decode())
                    inner += 4 + size
                proposed.append((value[0], uids[0], uids[1:]))
            at += 4 + length
        contexts = [(number, 0 if pick(syntaxes) else 4, syntaxes[0]) for number, _, syntaxes in proposed]
        connection.sendall(wire.pdu(wire.ASSOCIATE_AC, accept_body(contexts, user)))
        return proposed

    def message(self, connection):
        """The command set of one C-STORE or C-ECHO, its data set in `data`; None for a release."""
        command, data_is_due, in_command = b"", None, True
        self.data = bytearray()
        while True:
            kind, body = self.read(connection)
            self.longest = max(self.longest, len(body))
            if kind == wire.RELEASE_RQ:
                connection.sendall(wire.pdu(wire.RELEASE_RP, bytes(4)))
                return None
            at = 0
            while at < len(body):
                length, self.context, header = struct.unpack_from(">IBB", body, at)
                if header & 1:
                    command += body[at + 6 : at + 4 + length]
                else:
                    self.data += body[at + 6 : at + 4 + length]
                at += 4 + length
                if header == 3:
                    found = wire.read_command(command)
                    in_command, data_is_due = False, found[0x800] != b"\1\1"
                if not in_command and (header == 2 or not data_is_due):
                    return found

    def respond(self, connection, request, status=0, **changes):
        elements = {0x2: request[0x2].decode(), 0x100: struct.unpack("<H", request[0x100])[0] | 0x8000,
                    0x120: struct.unpack("<H", request[0x110])[0], 0x800: 0x101, 0x900: status} | changes.get("also", {})  # fmt: skip
        command = wire.command(elements)
        connection.sendall(wire.pdu(wire.P_DATA, struct.pack(">IBB", len(command) + 2, self.context, 3) + command))


def exactly(connection, count):
    parts = bytearray()
    while len(parts) < count:
        got = connection.recv(count - len(parts))
        if not got:
            raise ConnectionError
        parts += got
    return bytes(parts)
