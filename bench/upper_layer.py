"""A C-STORE sender that costs little (PS3.8 §9.3): every PDU is made before the clock starts, each association is a process of
its own, sends an instance in one write and waits for its response before the next. Stored bytes go out as they are.

It has none of the comfort of a real modality on purpose: DCMTK's storescu would be the limit of a fast server.
"""
import itertools
import multiprocessing
import os
import resource
import socket
import struct
import time

IMPLEMENTATION = b"1.2.826.0.1.3680043.10.9999.1"
MAX_PDU = 131072


def file_meta(file):
    """SOP class, SOP instance, transfer syntax, and where the data set begins (PS3.10 §7.1)."""
    if file[128:132] != b"DICM":
        raise ValueError("not a DICOM file")
    place, end = 144, 144 + struct.unpack_from("<I", file, 140)[0]
    values = {}
    while place < end:
        number = struct.unpack_from("<H", file, place + 2)[0]
        if file[place + 4:place + 6] in (b"OB", b"UN"):
            start, length = place + 12, struct.unpack_from("<I", file, place + 8)[0]
        else:
            start, length = place + 8, struct.unpack_from("<H", file, place + 6)[0]
        values[number] = bytes(file[start:start + length])
        place = start + length
    text = [values[number].rstrip(b"\0").decode() for number in (2, 3, 0x10)]
    return (*text, end)


def command(elements):
    """A command set (PS3.7 §6.3.1)."""
    body = b""
    for number, value in elements:
        value += bytes(len(value) % 2)
        body += struct.pack("<HHI", 0, number, len(value)) + value
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def us(value):
    return struct.pack("<H", value)


def read_command(body):
    place, values = 0, {}
    while place + 8 <= len(body):
        _, number, length = struct.unpack_from("<HHI", body, place)
        values[number] = body[place + 8:place + 8 + length]
        place += 8 + length
    return values


class Association:
    """An association as its requestor."""

    def __init__(self, port, called, calling, contexts):
        """`contexts`: (abstract syntax, transfer syntax) of each presentation context."""
        self.socket = socket.create_connection(("127.0.0.1", port), 300)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        asked = {2 * place + 1: context for place, context in enumerate(contexts)}
        self.socket.sendall(self.request(called, calling, asked))
        kind, body = self.pdu()
        if kind != 2:
            raise RuntimeError(f"the association was refused: PDU {kind}")
        self.contexts, self.peer_max = self.accepted(body, asked)

    @staticmethod
    def request(called, calling, asked):
        def item(kind, value):
            return struct.pack(">BBH", kind, 0, len(value)) + value
        body = struct.pack(">HH", 1, 0) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
        body += item(0x10, b"1.2.840.10008.3.1.1.1")
        for number, (abstract, transfer) in asked.items():
            body += item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract.encode()) + item(0x40, transfer.encode()))
        user = item(0x51, struct.pack(">I", MAX_PDU)) + item(0x52, IMPLEMENTATION) + item(0x55, b"BENCHGEN_1")
        body += item(0x50, user)
        return struct.pack(">BBI", 1, 0, len(body)) + body

    @staticmethod
    def accepted(body, asked):
        contexts, peer_max, place = {}, 16384, 68
        while place < len(body):
            kind, _, length = struct.unpack_from(">BBH", body, place)
            value = body[place + 4:place + 4 + length]
            if kind == 0x21 and value[2] == 0:
                contexts[asked[value[0]]] = value[0]
            if kind == 0x50:
                inner = 0
                while inner < len(value):
                    sub, _, size = struct.unpack_from(">BBH", value, inner)
                    if sub == 0x51:
                        peer_max = struct.unpack_from(">I", value, inner + 4)[0] or 1 << 20
                    inner += 4 + size
            place += 4 + length
        return contexts, min(peer_max, 1 << 20)

    def need(self, length):
        while len(self.buffer) < length:
            received = self.socket.recv(262144)
            if not received:
                raise EOFError("the peer has closed the connection")
            self.buffer += received

    def pdu(self):
        self.need(6)
        kind, _, length = struct.unpack_from(">BBI", self.buffer)
        self.need(6 + length)
        body, self.buffer = self.buffer[6:6 + length], self.buffer[6 + length:]
        return kind, body

    def fragments(self, context, message, is_command):
        """A message as P-DATA-TF PDUs of one PDV each."""
        step, view, place, made = self.peer_max - 6, memoryview(message), 0, []
        while place < len(view):
            end = min(place + step, len(view))
            flags = (1 if is_command else 0) | (2 if end == len(view) else 0)
            made += [struct.pack(">BBIIBB", 4, 0, end - place + 6, end - place + 2, context, flags), view[place:end]]
            place = end
        return made

    def store_request(self, number, file):
        """The bytes of one C-STORE (PS3.7 §9.3.1)."""
        sop_class, sop_instance, transfer, start = file_meta(file)
        context = self.contexts.get((sop_class, transfer))
        if context is None:
            raise RuntimeError(f"{sop_class} in {transfer} was not accepted")
        asked = command([(2, sop_class.encode()), (0x100, us(1)), (0x110, us(number % 65535 + 1)), (0x700, us(0)),
                         (0x800, us(0)), (0x1000, sop_instance.encode())])
        return b"".join(self.fragments(context, asked, True) + self.fragments(context, memoryview(file)[start:], False))

    def status(self):
        """The status of the next response, which has no data set."""
        received = b""
        while True:
            kind, body = self.pdu()
            if kind != 4:
                raise EOFError(f"PDU {kind} in place of a response")
            place = 0
            while place < len(body):
                length, _, flags = struct.unpack_from(">IBB", body, place)
                received += body[place + 6:place + 4 + length]
                place += 4 + length
                if flags & 2:
                    return struct.unpack("<H", read_command(received)[0x900])[0]

    def release(self):
        try:
            self.socket.sendall(struct.pack(">BBI", 5, 0, 4) + bytes(4))
            self.pdu()
        except (OSError, EOFError):
            pass
        self.socket.close()


def contexts_of(files):
    found = {}
    for file in files:
        with open(file, "rb") as f:
            sop_class, _, transfer, _ = file_meta(f.read(1024))
        found[sop_class, transfer] = True
    return list(found)


def read(file):
    with open(file, "rb") as f:
        return f.read()


def send(worker, port, called, files, is_prepared, barrier, answers):
    """One association: puts (start, end, instances, bytes, not stored, CPU seconds, latencies, error) into `answers`."""
    try:
        association = Association(port, called, f"BENCH{worker}", contexts_of(files))
        encode = lambda place: association.store_request(place, read(files[place]))
        requests = [encode(place) for place in range(len(files))] if is_prepared else map(encode, range(len(files)))
        barrier.wait()
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        sent, refused, latencies = 0, 0, []
        for request in requests:
            begun = time.perf_counter()
            association.socket.sendall(request)
            sent += len(request)
            refused += association.status() != 0
            latencies.append(time.perf_counter() - begun)
        end, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        association.release()
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        answers.put((start, end, len(files), sent, refused, cpu, latencies, None))
    except BaseException as error:
        barrier.abort()
        answers.put((0, 0, 0, 0, len(files), 0, [], repr(error)))


def store(port, called, files, associations=1, is_prepared=True):
    """Stores the files over so many associations, each with studies of its own, and says how fast it went.

    `is_prepared`: all is in memory before the clock starts. Otherwise each file is read as it is sent."""
    blocks = [files[k * len(files) // associations:(k + 1) * len(files) // associations] for k in range(associations)]
    return summed(run_all(send, [(k, port, called, block, is_prepared) for k, block in enumerate(blocks)]))


def run_all(work, jobs):
    """Runs each job in a process of its own; all begin their measured part together."""
    context = multiprocessing.get_context("fork")
    answers, barrier = context.Queue(), context.Barrier(len(jobs))
    workers = [context.Process(target=work, args=(*job, barrier, answers), daemon=True) for job in jobs]
    for worker in workers:
        worker.start()
    results = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    return results


def summed(results):
    """What all senders together did. Whatever failed is told, so that no rate is believed that left work undone."""
    errors = [result[7] for result in results if result[7]]
    good = [result for result in results if not result[7]]
    failed = sum(result[4] for result in results)
    if not good or errors or failed:
        return {"error": f"{failed} not stored; {errors[:2]}"}
    seconds = max(result[1] for result in good) - min(result[0] for result in good)
    latencies = sorted(latency for result in good for latency in result[6])
    instances, sent = sum(result[2] for result in good), sum(result[3] for result in good)
    return {
        "instances": instances, "bytes": sent, "seconds": seconds, "per_s": instances / seconds, "MB_s": sent / seconds / 1e6,
        "p50_ms": latencies[len(latencies) // 2] * 1e3, "p99_ms": latencies[int(len(latencies) * .99)] * 1e3,
        "sender_cpu_s": sum(result[5] for result in good),
    }


def renamed(file, series):
    """The same instance under other UIDs, as long as its own: study and series get `series`, the instance too."""
    study, of_series, instance = (uid_at(file, tag) for tag in (b"\x20\0\x0d\0UI", b"\x20\0\x0e\0UI", b"\x08\0\x18\0UI"))
    for uid in {study, of_series, instance, file_meta(file)[1].encode()}:
        file = file.replace(uid, uid[:-7] + b"%07d" % series)
    return file


def uid_at(file, head):
    """The value of the first element with this head."""
    place = file.index(head) + len(head)
    length = struct.unpack_from("<H", file, place)[0]
    return file[place + 2:place + 2 + length].rstrip(b"\0")


def keep_storing(worker, port, called, files, seed, until, stored):
    """Stores the files again and again under new UIDs until `until` is set; counts into `stored`, or leaves -1 there."""
    try:
        held = [read(file) for file in files]
        association = Association(port, called, f"BENCH{worker}", contexts_of(files))
        for turn in itertools.count():
            for place, file in enumerate(held):
                if until.is_set():
                    association.release()
                    return
                request = association.store_request(place, renamed(file, (seed + worker * 1000 + turn) % 10 ** 7))
                association.socket.sendall(request)
                if association.status() != 0:
                    raise RuntimeError("not stored")
                stored[worker] += 1
    except BaseException:
        stored[worker] = -1
        os._exit(1)
