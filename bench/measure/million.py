"""An archive of 1,000,000 studies, made straight into the index by our generator and kept from run to run: its start, and what
it costs to store on top of it."""
import hashlib
import json
import os
import random
import shutil
import subprocess
import time

from ..house import OURS
from ..studies.sets import SETS, Set
from ..upper_layer import store
from ..web import fetch
from .resources import JSON

STUDIES = 1_000_000
SAMPLE = 200
ATTRIBUTES = {"StudyInstanceUID": "0020000D", "PatientID": "00100020", "AccessionNumber": "00080050", "StudyDate": "00080020"}


def folder(house, studies=STUDIES):
    """The data folder of a large archive; None, and a word why, when it cannot be made."""
    data = os.path.join(house.kept, f"overread-{studies}")
    state = data + ".made"
    # One that was made beside another build may be laid out in another way.
    with open(house.programs["overread"], "rb") as f:
        stamp = hashlib.file_digest(f, "sha256").hexdigest()
    if os.path.exists(state):
        with open(state) as f:
            if f.read() == stamp:
                return data
    if house.generator is None:
        print(f"SKIPPED: the archive of {studies:,} studies, because this commit has no generator for it", flush=True)
        return None
    shutil.rmtree(data, ignore_errors=True)
    print(f"making {studies:,} studies", flush=True)
    start = time.perf_counter()
    subprocess.run([word.format(data=data, studies=studies) for word in house.generator], check=True)
    print(f"made in {time.perf_counter() - start:.0f} s", flush=True)
    with open(state, "w") as f:
        f.write(stamp)
    return data


def start(house, shown):
    """A server on the large archive, which has the series of 300 too; or None."""
    data = folder(house)
    if data is None:
        return None
    server = house.server(OURS, shown)
    server.start(data)
    stored = store(server.dicom, server.aet, house.files("ct300"))
    if "error" in stored:
        server.stop()
        raise RuntimeError(stored["error"])
    return server


def sample(server):
    """Studies from all over the large archive, as a manifest has them."""
    found, rng = [], random.Random(5)
    while len(found) < SAMPLE:
        offset = rng.randrange(STUDIES * 9 // 10)
        answer = fetch(server.http, f"{server.root}/studies?limit=10&offset={offset}&includefield=AccessionNumber", JSON, keep=True)
        if answer["status"] != 200:
            raise RuntimeError(f"HTTP {answer['status']} for the page at {offset}")
        for study in json.loads(answer["body"]):
            found.append({name: (study.get(tag, {}).get("Value") or [""])[0] for name, tag in ATTRIBUTES.items()} | {"PatientName": ""})
    return [study for study in found if study["PatientID"] and study["AccessionNumber"]]


def run(house, works):
    """"start", and "5 KB 1" and "5 KB 4", each also into an empty archive in turn."""
    data = folder(house)
    if data is None:
        return
    for work in works:
        for repetition in range(house.repetitions):
            if work == "start":
                house.note("million", work, OURS, repetition, started(house, data))
                continue
            # Studies of their own for each run: what is there already would not be stored.
            own = Set(f"grown{time.time_ns() // 10 ** 9}", "MIX", studies=SETS["tiny"].studies, instances=SETS["tiny"].instances,
                      is_small=True, seed=time.time_ns() % 10 ** 9)
            house.studies.make(own)
            files = house.studies.files(own.name)
            for where in (None, data) if repetition % 2 == 0 else (data, None):
                server = house.server(OURS)
                server.start(where)
                figures = house.measured(server, store, server.dicom, server.aet, files, int(work.rpartition(" ")[2]))
                server.stop()
                house.note("million", f"{work} {'on top of 1,000,000' if where else 'into none'}", OURS, repetition, figures)
            shutil.rmtree(os.path.join(house.studies.folder, own.name))
            os.remove(os.path.join(house.studies.folder, own.name + ".json"))


def started(house, data):
    server = house.server(OURS)
    seconds = server.start(data)
    figures = {"ready_s": seconds, "peak_MB": max(server.high_water(), server.memory()) / 1e6}
    server.stop()
    return figures
