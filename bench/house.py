"""What every measurement needs: where things are, who takes part, how often and how long, and where figures are written."""
import dataclasses
import fcntl
import json
import os
import shutil
import time

from .processes import Meter
from .servers import Server
from .studies.sets import Studies
from .upper_layer import store

OURS = "overread"
# What stands for each set in a smoke run.
SMOKE_SETS = {"ct": "smoke_ct", "tiny": "smoke_tiny", "ct300": "smoke_ct", "ct1000": "smoke_ct", "us": "smoke_us", "dx": "smoke_ct",
              "big": "smoke_big", "idx1k": "smoke_tiny", "idx20k": "smoke_tiny"}


@dataclasses.dataclass
class House:
    """`folder` is kept between runs: what was made, what was loaded into peers, what was measured."""
    folder: str
    programs: dict
    peers: list
    repetitions: int
    seconds: int
    is_smoke: bool = False
    generator: list | None = None

    def __post_init__(self):
        self.work = os.path.join(self.folder, "work")
        self.kept = os.path.join(self.folder, "kept")
        self.records = os.path.join(self.folder, "smoke.jsonl" if self.is_smoke else "records.jsonl")
        self.studies = Studies(os.path.join(self.folder, "data"))

    def take(self):
        """Makes the folder ours until this process ends; what another run has left in `work` goes."""
        os.makedirs(self.kept, exist_ok=True)
        self.lock = open(os.path.join(self.folder, "lock"), "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"another benchmark runs in {self.folder}") from None
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)

    def set(self, name):
        """The name of the set that stands for `name`, which is made when it is not there."""
        name = SMOKE_SETS[name] if self.is_smoke else name
        self.studies.make(name)
        return name

    def files(self, name):
        return self.studies.files(self.set(name))

    def manifest(self, name):
        return self.studies.of(self.set(name))

    def server(self, name, shown=None):
        """A server that is not started yet; `shown` tells two of a kind apart."""
        server = Server(name, os.path.join(self.work, shown or name), self.programs)
        server.shown = shown or name
        return server

    def servers(self, *names):
        """Ours and those of these that take part."""
        return [self.server(name) for name in names if name in (OURS, *self.peers)]

    def turns(self, servers):
        """(repetition, server), alternating; who is first changes, so that nobody always follows the same."""
        for repetition in range(self.repetitions):
            for server in servers if repetition % 2 == 0 else servers[::-1]:
                yield repetition, server

    def loaded(self, server, sets):
        """Starts a server that has these sets. A peer's folder is kept from run to run, because peers load slowly; ours is made
        anew by the build that is measured."""
        data = None if server.name == OURS else os.path.join(self.kept, f"{server.name}-{'-'.join(self.set(s) for s in sets)}")
        done = f"{data}.loaded"
        if data and os.path.exists(done):
            print(f"{server.name}: loaded in an earlier run ({time.strftime('%F', time.localtime(os.path.getmtime(done)))})", flush=True)
            return server.start(data)
        if data:
            shutil.rmtree(data, ignore_errors=True)
        seconds = server.start(data)
        for name in sets:
            files = self.files(name)
            for start in range(0, len(files), 5000):
                # Large files are read as they go, small ones are sent from memory by four.
                is_large = os.path.getsize(files[0]) > 1 << 20
                stored = store(server.dicom, server.aet, files[start:start + 5000], 1 if is_large else 4, not is_large)
                if "error" in stored:
                    raise RuntimeError(f"{server.name} did not take {name}: {stored['error']}")
            print(f"{server.name}: {len(files)} instances of {name} loaded", flush=True)
        if data:
            open(done, "w").close()
        return seconds

    def note(self, row, work, server, repetition, figures):
        """Writes down one measurement and shows it."""
        record = {"row": row, "work": work, "server": server, "repetition": repetition, "load1": os.getloadavg()[0], **figures}
        with open(self.records, "a") as f:
            f.write(json.dumps(record) + "\n")
        if "error" in figures:
            shown = f"FAILED: {figures['error']}"
        else:
            shown = " ".join(f"{key}={value:.4g}" for key, value in figures.items() if isinstance(value, float))
        print(f"{row} · {work} · {server} · {repetition + 1}/{self.repetitions}: {shown}", flush=True)

    def measured(self, server, work, *arguments):
        """Runs `work` and adds what the server spent meanwhile. What goes wrong becomes an error of the record."""
        try:
            with Meter(server) as meter:
                figures = work(*arguments)
        except (OSError, EOFError, RuntimeError, ValueError) as error:
            return {"error": repr(error)}
        return {**figures, **meter.rec}
