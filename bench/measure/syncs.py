"""How often each server asks the disk to sync while it stores: what its promise is made of. Not timed: strace watches."""
import os
import signal
import subprocess

from ..house import OURS
from ..upper_layer import store

CALLS = ("fsync", "fdatasync", "sync_file_range", "sync", "syncfs", "msync")


def run(house, works):
    for work in works:
        for server in house.servers(OURS, "orthanc", "orthanc-debian-12", "storescp"):
            files = (house.files("tiny")[:100] + house.files("ct")[:20])
            server.start()
            house.note("syncs", work, server.name, 0, watched(server, files, 1 if work.endswith("1") else 4))
            server.stop()


def watched(server, files, associations):
    log = os.path.join(server.folder, "syncs")
    # -f: what is started or forked later is watched too.
    pids = [word for pid in server.processes() for word in ("-p", str(pid))]
    watcher = subprocess.Popen(["strace", "-c", "-f", "-e", "trace=" + ",".join(CALLS), "-o", log, *pids], stderr=subprocess.PIPE, text=True)
    watcher.stderr.readline()  # "Process N attached"
    try:
        stored = store(server.dicom, server.aet, files, associations)
    finally:
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=60)
    if "error" in stored:
        return stored
    counts = {}
    with open(log) as f:
        for line in f:
            words = line.split()
            if len(words) >= 5 and words[-1] in CALLS:
                counts[words[-1]] = int(words[3])
    return {"calls": counts, "syncs_per_instance": sum(counts.values()) / len(files)}
