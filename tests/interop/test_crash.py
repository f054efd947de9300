"""The power goes at every step of ingest: whoever was told "stored" finds it, and nothing is left over
(issue 2, point 2; conformance.md §8, 150).

strace kills the server with SIGKILL at its N-th call of the named system call, while clients store."""

import random
import re
import subprocess
import threading
import time

import pytest
import requests

from harness import made, part10, web
from harness.server import Server
from harness.wire import EXPLICIT, Aborted, Association, Closed

GONE = (OSError, Aborted, Closed, AssertionError, requests.RequestException, EOFError)


class Senders:
    """Clients that store without end and write down what they were told."""

    def __init__(self, server, count, rows):
        self.server, self.rows = server, rows
        self.acknowledged, self.sent = {}, {}
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def objects(self):
        study = made.uid()
        while not self.stopping.is_set():
            ds = made.instance(study=study, rows=self.rows, columns=self.rows)
            body = made.encode(ds)
            with self.lock:
                self.sent[str(ds.SOPInstanceUID)] = body
            yield ds, body

    def told(self, ds, body):
        with self.lock:
            self.acknowledged[str(ds.SOPInstanceUID)] = (web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID), body)

    def run(self, number):
        try:
            if number % 2:
                for ds, body in self.objects():
                    if web.stow(self.server, [made.wrap(body, made.CT, ds.SOPInstanceUID)]).status_code == 200:
                        self.told(ds, body)
            else:
                with Association(self.server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
                    for ds, body in self.objects():
                        if peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, body) == 0:
                            self.told(ds, body)
        except GONE:
            pass

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def assert_nothing_was_lost(server, senders):
    """After the next start: every acknowledged instance with its bytes, no orphan, a clean deep check."""
    server.wrapper = []
    server.start()
    for path, body in senders.acknowledged.values():
        response = web.get(server, path, web.AS_STORED)
        assert response.status_code == 200, "an acknowledged instance is gone"
        assert part10.data_set(web.file_of(response)) == body
    for row in web.qido_all(server, "/instances"):
        uid = web.value(row, "00080018")
        path = web.instance_path(web.value(row, "0020000D"), web.value(row, "0020000E"), uid)
        assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == senders.sent[uid], "listed, but not what was sent"
    study_counts = sum(web.value(r, "00201208") for r in web.qido_all(server, "/studies"))
    assert study_counts == len(web.qido_all(server, "/instances"))
    assert server.stop() == 0
    done = server.cli("check --deep")
    assert done.returncode == 0, done.stdout + done.stderr
    unnamed = re.search(r"bytes of no blob\s+(\d+)", done.stdout)
    assert unnamed and int(unnamed[1]) == 0, f"an orphan remains:\n{done.stdout}"
    server.start()
    ds = made.instance()
    assert web.stow(server, [made.file(ds)]).status_code == 200, "the archive goes on"


def kill_at(folder, call, number, rows):
    """Stores until strace kills the server at its `number`-th `call` after start-up."""
    server = Server(folder / "data", config={"ingest": {"buffer_bytes_max": 65536}}).start()
    first = made.instance()
    web.stow(server, [made.file(first)])  # the schema and the first files exist
    pid = server.pid
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(folder / "trace"), "-p", str(pid), "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_attached(pid, tracer)
        senders = Senders(server, 4, rows)
        end = time.monotonic() + 4
        while server.process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        senders.stop()
        senders.sent[str(first.SOPInstanceUID)] = made.encode(first)
    finally:
        server.kill()
        tracer.terminate()
        tracer.wait()
    return server, senders


def wait_attached(pid, tracer):
    """Until strace sits on every thread."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        assert tracer.poll() is None, tracer.stderr.read()
        with open(f"/proc/{pid}/status") as status:
            if any(line.startswith("TracerPid") and line.split()[1] != "0" for line in status):
                time.sleep(0.1)
                return
        time.sleep(0.01)
    raise RuntimeError("strace did not attach")


# The calls by which bytes and names become durable, on the blobs and on the index alike.
STEPS = [(call, n) for call, numbers in {
    "fdatasync": (1, 2, 3, 5, 8), "fsync": (1, 2), "pwrite64": (1, 2, 3, 5, 9, 20), "write": (40,), "rename,renameat,renameat2": (1,),
    "linkat,link": (1,), "pwritev,pwritev2,writev": (2, 5), "fallocate": (1,), "unlink,unlinkat": (1,), "openat": (2, 4), "ftruncate": (1,), "sync_file_range": (1,),
}.items() for n in numbers]  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("rows", [16, 400], ids=["small", "large"])
@pytest.mark.parametrize(("call", "number"), STEPS, ids=lambda v: str(v).split(",")[0])
def test_a150_killed_at_a_system_call(tmp_path, call, number, rows):
    # A call that ingest never makes ends in a kill after a while: sound all the same.
    server, senders = kill_at(tmp_path, call, number, rows)
    try:
        assert_nothing_was_lost(server, senders)
    finally:
        server.stop()


@pytest.mark.timeout(180)
def test_a150_killed_again_and_again_at_any_moment(tmp_path):
    chance = random.Random(5)
    server = Server(tmp_path / "data", config={"ingest": {"buffer_bytes_max": 65536}})
    acknowledged, sent = {}, {}
    for _ in range(8):
        server.start()
        senders = Senders(server, 4, chance.choice([16, 64, 300]))
        time.sleep(chance.uniform(0.05, 0.8))
        server.kill()
        senders.stop()
        acknowledged |= senders.acknowledged
        sent |= senders.sent
    senders.acknowledged, senders.sent = acknowledged, sent
    assert len(acknowledged) > 50, "too little was stored to prove anything"
    try:
        assert_nothing_was_lost(server, senders)
    finally:
        server.stop()


def test_a208_acknowledged_over_dimse_survives_a_kill_at_once(start):
    server = start()
    ds = made.instance()
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
        assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) == 0
        server.kill()
        peer.release = lambda: None
    server.start()
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == made.encode(ds)
