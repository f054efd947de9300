"""The power goes while studies are being forwarded: after the next start every destination has every instance
once, with the very bytes, and the queue is empty.

strace kills the server with SIGKILL at its N-th call of the named system call, on whichever thread; or it is
killed at random moments while studies arrive."""

import contextlib
import random
import subprocess
import threading
import time

import pytest
import requests

from harness import forward, made, part10, wait
from harness.forward import config, counts, drained, held, listed
from harness.receiver import Scripted, Storescp
from harness.server import Server, free_port
from test_crash import wait_attached

# Connecting, proposing, sending an instance and the next ones, hearing answers, noting them: the writes of the
# index and their sync. Calls are counted on each thread by itself.
BY_DICOM = [("connect", 1), ("sendto", 1), ("sendto", 2), ("sendto", 5), ("sendto", 9), ("recvfrom", 1), ("recvfrom", 2), ("recvfrom", 4),
            ("pwrite64", 1), ("pwrite64", 2), ("pwrite64", 5), ("pwrite64", 9), ("fsync", 1), ("fsync", 2)]  # fmt: skip
BY_WEB = [("connect", 1), ("sendto", 1), ("sendto", 2), ("recvfrom", 1), ("pwrite64", 1), ("pwrite64", 3), ("pwrite64", 6), ("fsync", 1), ("fsync", 2)]
STEPS = [pytest.param(kind, call, n, id=f"{kind}-{call}-{n}") for kind, steps in (("dicom", BY_DICOM), ("web", BY_WEB)) for call, n in steps]


@contextlib.contextmanager
def killed_at(pid, folder, call, number):
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(folder / "trace"), "-p", str(pid), "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_attached(pid, tracer)
        yield
    finally:
        tracer.terminate()
        tracer.wait()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("kind", "call", "number"), STEPS)
def test_killed_at_a_system_call(tmp_path, kind, call, number):
    twin = Server(tmp_path / "twin", config={"dicom": {"ae_title": "TWIN"}}, ports=(free_port(), free_port()))
    destination = f"TWIN@127.0.0.1:{twin.fixed_ports[1]}" if kind == "dicom" else f"http://127.0.0.1:{twin.fixed_ports[0]}/dicom-web"
    server = Server(tmp_path / "data", config=config(f"-> {destination}", retry_s=600)).start()
    try:
        sent = forward.store(server, *made.study(24))
        # Nobody is there yet, so that nothing goes by itself.
        wait.until(lambda: counts(server)[destination]["paused"], "the destination is known to be down")
        with twin, killed_at(server.pid, tmp_path, call, number):
            assert server.cli("forward retry --all").returncode == 0
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(10)
            assert server.process.poll() is not None, f"forwarding never made its call number {number} of {call}: the table of steps is out of date"
            server.start()
            assert drained(server)[destination] | {"sent_total": 0} == {"unstable": 0, "due": 0, "failed": 0, "paused": 0, "sent_total": 0}
            assert listed(server)["studies"] == []
            assert held(twin) == sent
        assert server.stop() == 0
        done = server.cli("check --deep")
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        if server.process is not None:
            server.kill()


class Strict(Scripted):
    """Refuses what it has already (0111), as some archives do."""

    def __init__(self):
        self.has = set()
        super().__init__(self.once)

    def once(self, number, event):
        uid = str(event.request.AffectedSOPInstanceUID)
        with self.lock:
            is_new = uid not in self.has
            self.has.add(uid)
        return 0 if is_new else 0x0111


class Sender(threading.Thread):
    """Stores study after study and keeps what was acknowledged, whenever there is a server."""

    def __init__(self, server, dice):
        super().__init__()
        self.server, self.dice = server, dice
        self.acknowledged, self.is_over = {}, threading.Event()

    def run(self):
        while not self.is_over.is_set():
            objects = made.study(self.dice.randint(1, 6), rows=self.dice.choice([4, 60, 400]))
            with contextlib.suppress(OSError, AssertionError, requests.RequestException):
                self.acknowledged |= forward.stow(self.server, *objects)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_while_studies_arrive_and_go_on(tmp_path, seed):
    dice = random.Random(seed)
    with Server(tmp_path / "twin", config={"dicom": {"ae_title": "TWIN"}}) as twin, Storescp(tmp_path / "scp", "+B") as scp, Strict() as strict:
        peers = [f"scp = {scp.peer}", f"twin = TWIN@127.0.0.1:{twin.ports[1]}", f"strict = {strict.peer}"]
        # The twin by C-STORE and by STOW-RS: both are told that it has it.
        rules = ["-> scp", "-> twin", f"-> {twin.web}", "-> strict"]
        server = Server(tmp_path / "data", config=config(*rules, peers=peers), ports=(free_port(), free_port())).start()
        sender = Sender(server, dice)
        sender.start()
        try:
            for _ in range(8):
                # A random moment is the point here.
                time.sleep(dice.uniform(0.3, 2.5))
                server.kill()
                server.start()
        finally:
            sender.is_over.set()
            sender.join()
        now = drained(server, 90)
        ours = held(server)
        assert all(c["failed"] == 0 for c in now.values())
        assert sender.acknowledged.items() <= ours.items() and len(ours) > 50
        assert held(twin) == ours
        assert {uid: part10.data_set(data) for uid, data in scp.files().items()} == ours
        # What was acknowledged and not noted is sent again: the few that were under way at a kill.
        assert {uid: data for uid, _, data in strict.events} == ours
        assert len(strict.events) == len(ours) and len(strict.requests) - len(ours) <= 8 * 64
        assert server.stop() == 0
