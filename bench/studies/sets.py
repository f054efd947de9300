"""The sets of studies by name, made once and kept: a folder of files and a manifest beside it."""
import dataclasses
import json
import multiprocessing
import os
import shutil


@dataclasses.dataclass(frozen=True)
class Set:
    name: str
    modality: str
    studies: int = 1
    series: int = 1
    instances: int = 1
    rows: int = 0
    columns: int = 0
    frames: int = 0
    is_small: bool = False
    is_jpeg: bool = True
    seed: int = 1


SETS = {made.name: made for made in [
    # What is stored: 600 CT slices of 538 KB; 2,000 instances of 5 KB.
    Set("ct", "CT", studies=4, instances=150),
    Set("tiny", "MIX", studies=400, instances=5, is_small=True),
    # What is retrieved.
    Set("ct300", "CT", instances=300),
    Set("ct1000", "CT", series=2, instances=1000),
    Set("dx", "DX", studies=4, instances=2),
    Set("us", "US", studies=2, instances=3),
    Set("big", "ECT", frames=1000),
    # What is searched: 1,000 studies of 5 and 19,000 of 1.
    Set("idx1k", "MIX", studies=1000, instances=5, is_small=True),
    Set("idx20k", "MIX", studies=19000, is_small=True),
    # For --smoke: a few of each.
    Set("smoke_ct", "CT", instances=12, rows=128, columns=128),
    Set("smoke_tiny", "MIX", studies=24, instances=2, is_small=True),
    Set("smoke_us", "US", frames=4, rows=120, columns=160),
    Set("smoke_big", "ECT", frames=20, rows=128, columns=128),
]}


class Studies:
    """The sets in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.manifests = {}

    def make(self, *sets):
        """Makes what is missing; a set counts when its manifest, which is written last, is there."""
        for one in sets:
            one = SETS[one] if isinstance(one, str) else one
            manifest = os.path.join(self.folder, one.name + ".json")
            if os.path.exists(manifest):
                continue
            # Here because it wants numpy, which whoever only reads the help may not have.
            from .study import write_study
            print(f"making {one.name}: {one.studies} studies of {one.instances}", flush=True)
            shutil.rmtree(os.path.join(self.folder, one.name), ignore_errors=True)
            os.makedirs(self.folder, exist_ok=True)
            jobs = [(one, number, self.folder) for number in range(one.studies)]
            with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
                made = pool.map(write_study, jobs, chunksize=max(1, len(jobs) // 64))
            with open(manifest + ".new", "w") as f:
                json.dump({"set": dataclasses.asdict(one), "studies": made}, f)
            os.rename(manifest + ".new", manifest)

    def of(self, name):
        """The studies of a set, as its manifest has them."""
        if name not in self.manifests:
            with open(os.path.join(self.folder, name + ".json")) as f:
                self.manifests[name] = json.load(f)["studies"]
        return self.manifests[name]

    def files(self, name):
        return [os.path.join(self.folder, file) for study in self.of(name) for series in study["series"]
                for _, file in series["instances"]]

    def bytes(self, name):
        return sum(os.path.getsize(file) for file in self.files(name))
