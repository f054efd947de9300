"""The power goes at every step of ingest: whoever was told "stored" finds it, and nothing is left over
(issue 2, point 2; conformance.md §8, 150).

strace kills the server with SIGKILL when one of its threads makes its N-th call of the named system call,
while clients store."""

import contextlib
import os
import random
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests

from harness import made, part10, wait, web
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
    stored = []
    for row in web.qido_all(server, "/instances"):
        uid = web.value(row, "00080018")
        path = web.instance_path(web.value(row, "0020000D"), web.value(row, "0020000E"), uid)
        assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == senders.sent[uid], "listed, but not what was sent"
        stored.append(senders.sent[uid])
    study_counts = sum(web.value(r, "00201208") for r in web.qido_all(server, "/studies"))
    assert study_counts == len(web.qido_all(server, "/instances"))
    assert server.stop() == 0
    done = server.cli("check --deep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_no_orphan(server, sum(len(body) + 1024 for body in stored))
    server.start()
    ds = made.instance()
    assert web.stow(server, [made.file(ds)]).status_code == 200, "the archive goes on"


def assert_no_orphan(server, named_bytes):
    """What lies on the disk is what the index names, but for heads and the odd block (of 4 KB) between."""
    files = [p for p in (server.data_dir / "blobs").rglob("*") if p.is_file()]
    allocated = sum(p.stat().st_blocks * 512 for p in files)
    assert allocated <= named_bytes + (64 << 10) + 8192 * len(files), f"{allocated} bytes on the disk, {named_bytes} in the index"


def kill_at(folder, call, number, rows):
    """Stores until strace kills the server at its `number`-th `call` after start-up."""
    server = Server(folder / "data", config={"ingest": {"buffer_bytes_max": 65536}}).start()
    first = made.instance()
    web.stow(server, [made.file(first)])  # the schema and the first files exist
    web.qido_all(server, "/instances")  # and it is committed: nothing more is written for it
    pid = server.pid
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(folder / "trace"), "-p", str(pid), "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_attached(pid, tracer)
        senders = Senders(server, 4, rows)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(10)
        died = server.process.poll() is not None
        senders.stop()
        senders.sent[str(first.SOPInstanceUID)] = made.encode(first)
    finally:
        server.kill()
        tracer.terminate()
        tracer.wait()
    return server, senders, died


def wait_attached(pid, tracer):
    """Until strace sits on every thread."""

    def is_traced():
        assert tracer.poll() is None, tracer.stderr.read()
        try:
            threads = [status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status")]
        except (FileNotFoundError, ProcessLookupError):
            return False  # a thread went while we looked
        return all(re.search(r"^TracerPid:\t[1-9]", status, re.MULTILINE) for status in threads)

    wait.until(is_traced, "strace sits on every thread")


# The calls by which bytes and names become durable, for objects that wait in memory and for those
# that wait in a staging file: create, write, publish, sync blob, sync directory, write and sync the
# index, answer.
SMALL = [("pwritev", 1), ("pwritev", 3), ("fdatasync", 1), ("fdatasync", 3), ("pwrite64", 1), ("pwrite64", 9), ("pwrite64", 40),
         ("sendto", 2), ("sendto", 5)]  # fmt: skip
LARGE = [("openat", 1), ("openat", 4), ("pwritev", 1), ("pwritev", 4), ("pwritev", 9), ("rename,renameat,renameat2", 1), ("fdatasync", 1),
         ("fdatasync", 2), ("fsync", 1), ("fsync", 2), ("fsync", 3), ("pwrite64", 1), ("pwrite64", 40)]  # fmt: skip
STEPS = [pytest.param(call, n, rows, id=f"{size}-{call.split(',')[0]}-{n}")
         for size, rows, steps in (("small", 16, SMALL), ("large", 400, LARGE)) for call, n in steps]  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("call", "number", "rows"), STEPS)
def test_a150_killed_at_a_system_call(tmp_path, call, number, rows):
    server, senders, died = kill_at(tmp_path, call, number, rows)
    assert died, f"ingest never made its call number {number} of {call}: the table of steps is out of date"
    try:
        assert_nothing_was_lost(server, senders)
    finally:
        server.stop()


@pytest.mark.parametrize("rows", [16, 400], ids=["small", "large"])
def test_everything_is_synced_before_the_sender_is_told(tmp_path, rows):
    """kill -9 leaves the page cache alone; a power cut does not. So the order of calls is looked at too."""
    with Server(tmp_path / "data", config={"ingest": {"buffer_bytes_max": 65536}}) as server:
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-y", "-s", "16", "-o", str(tmp_path / "trace"), "-p", str(server.pid),
             "-e", "trace=openat,pwrite64,pwritev,fdatasync,fsync,rename,renameat,renameat2,sendto"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_attached(server.pid, tracer)
        with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
            for _ in range(2):
                ds = made.instance(rows=rows, columns=rows)
                assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) == 0
        tracer.terminate()
        tracer.wait()
    unsynced, answers = {}, 0
    for call, rest in completed_calls(tmp_path / "trace"):
        file = re.search(r"<(/[^>]*)>", rest)
        path = file[1] if file else ""
        match call:
            case "pwrite64" | "pwritev" if "/blobs/" in path:
                unsynced[path] = call
            case "pwrite64" | "pwritev" if path.endswith("-wal"):
                # What the log loses the blobs tell again (test_power_loss.py): they are there before it.
                assert unsynced == {}, "the index is ahead of its blobs"
            case "openat" if "O_CREAT" in rest and "/blobs/files/" in rest:
                unsynced[os.path.dirname(re.search(r'"([^"]*)"', rest)[1])] = call
            case "rename" | "renameat" | "renameat2":
                old, new = re.findall(r'"([^"]*)"', rest)
                if old in unsynced:
                    unsynced[new] = unsynced.pop(old)
                unsynced[os.path.dirname(new)] = call
            case "fdatasync" | "fsync":
                unsynced.pop(path, None)
                # A renamed file is still known to strace by the name under which it was opened.
                if "/staging/" in path:
                    unsynced = {k: v for k, v in unsynced.items() if os.path.basename(k).split(".")[0] != os.path.basename(path)}
            case "sendto" if '"\\4\\0' in rest:
                answers += 1
                assert unsynced == {}, "the sender is told while this is not on the disk"
    assert answers == 2


def completed_calls(trace):
    """(name, arguments) of each call in the order in which they ended; an answer counts where it begins."""
    pending = {}
    for line in trace.read_text(errors="replace").splitlines():
        thread, _, text = line.partition(" ")
        text = text.strip()
        resumed = re.match(r"<\.\.\. (\w+) resumed>", text)
        if resumed:
            if thread in pending:
                yield resumed[1], pending.pop(thread)
            continue
        call = re.match(r"(\w+)\((.*)", text)
        if not call:
            continue
        if text.endswith("<unfinished ...>") and call[1] != "sendto":
            pending[thread] = call[2]
        else:
            yield call[1], call[2]


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


# The calls by which a removal becomes durable: its row in the audit trail, the note in the manifest, the index, the space
# that comes back.
REMOVAL = [("pwrite64", 1), ("pwrite64", 3), ("pwrite64", 9), ("pwrite64", 17), ("pwrite64", 25), ("fdatasync", 1), ("fdatasync", 2), ("fsync", 1), ("fallocate", 1), ("unlink,unlinkat", 1)]  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("call", "number"), [pytest.param(c, n, id=f"{c.split(',')[0]}-{n}") for c, n in REMOVAL])
def test_a150_a155_killed_while_removing(tmp_path, call, number):
    """Studies go one after the other, small objects and large ones; each is there whole or 410 whole afterwards."""
    server = Server(tmp_path / "data", config={"ingest": {"buffer_bytes_max": 65536}}).start()
    studies = [made.study(3, rows=16, columns=16) + made.study(1, rows=400, columns=400) for _ in range(6)]
    for objects in studies:
        for ds in objects:
            ds.StudyInstanceUID = objects[0].StudyInstanceUID
        assert web.stow(server, [made.file(ds) for ds in objects]).status_code == 200
    # Whoever searches makes the index commit: the calls that are counted are those of the removal.
    assert len(web.qido_all(server, "/studies")) == len(studies)
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-p", str(server.pid), "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    told_gone = []
    try:
        wait_attached(server.pid, tracer)
        with contextlib.suppress(*GONE):
            for objects in studies:
                uid = objects[0].StudyInstanceUID
                assert requests.delete(f"{server.web}/studies/{uid}", timeout=20).status_code == 204
                told_gone.append(uid)
        died = server.process.poll() is not None or wait_dead(server)
    finally:
        server.kill()
        tracer.terminate()
        tracer.wait()
    assert died, f"removal never made its call number {number} of {call}: the table of steps is out of date"
    server.start()
    try:
        living = []
        for objects in studies:
            uid = objects[0].StudyInstanceUID
            codes = {web.get(server, web.instance_path(uid, ds.SeriesInstanceUID, ds.SOPInstanceUID), web.AS_STORED).status_code for ds in objects}
            assert codes in ({200}, {410}), "half a study"
            if uid in told_gone:
                assert codes == {410}, "told to be gone, and there again"
            if codes == {200}:
                living += objects
        for ds in living:
            path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
            assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == made.encode(ds)
        assert sum(web.value(r, "00201208") for r in web.qido_all(server, "/studies")) == len(living)
        assert server.stop() == 0
        done = server.cli("check --deep")
        assert done.returncode == 0, done.stdout + done.stderr
        assert_no_orphan(server, sum(len(made.encode(ds)) + 1024 for ds in living))
    finally:
        server.stop()


def wait_dead(server):
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(10)
    return server.process.poll() is not None
