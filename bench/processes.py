"""What a server costs while it works: CPU time and resident memory of its processes, from /proc."""
import os
import re
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")


def read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}") as f:
            return f.read()
    except OSError:
        return ""


def stat(pid):
    """The fields of /proc/PID/stat from `state` on; none when the process is gone."""
    return read(pid, "stat").rpartition(")")[2].split()


def tree(pid):
    """A process and all that came of it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := stat(name)):
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_seconds(pid):
    fields = stat(pid)
    return sum(map(int, fields[11:15])) / TICKS if fields else 0.0


def memory(pid):
    fields = read(pid, "statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def high_water(pid):
    found = re.search(r"VmHWM:\s+(\d+)", read(pid, "status"))
    return int(found[1]) * 1024 if found else 0


class Meter:
    """What the server spends in a with-block: `rec` has server_cpu_s, before_MB, peak_MB, wall_s.

    The peak is the larger of the sum over all processes, sampled, and the main process's own high-water mark, which no
    sampling misses."""

    def __init__(self, server, period=.1):
        self.server, self.period, self.rec = server, period, {}

    def __enter__(self):
        self.server.reset_high_water()
        self.before = self.peak = self.server.memory()
        self.done = threading.Event()
        self.sampler = threading.Thread(target=self.sample, daemon=True)
        self.sampler.start()
        self.cpu, self.start = self.server.cpu_seconds(), time.perf_counter()
        return self

    def sample(self):
        while not self.done.wait(self.period):
            self.peak = max(self.peak, self.server.memory())

    def __exit__(self, *_):
        wall, cpu = time.perf_counter() - self.start, self.server.cpu_seconds() - self.cpu
        self.done.set()
        self.sampler.join()
        peak = max(self.peak, self.server.memory(), self.server.high_water())
        self.rec = {"server_cpu_s": cpu, "before_MB": self.before / 1e6, "peak_MB": peak / 1e6, "wall_s": wall}
