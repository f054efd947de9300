"""C-STORE and STOW-RS into an empty archive, beside what DCMTK and the bare disk take in the same minutes."""
import os

from ..house import OURS
from ..limits import append_synced, new_files_synced
from ..servers import whole_blocks
from ..stow import stow
from ..upper_layer import store

SMALL, LARGE = 4_700, 538_000
# work -> (set, associations or clients, servers, limits of the disk)
C_STORE = {
    "ct 1": ("ct", 1, [OURS, "orthanc", "orthanc-debian-12", "storescp"], LARGE),
    "ct 4": ("ct", 4, [OURS, "orthanc", "orthanc-debian-12", "storescp"], None),
    "5 KB 1": ("tiny", 1, [OURS, "orthanc", "orthanc-debian-12", "storescp"], SMALL),
    "5 KB 4": ("tiny", 4, [OURS, "orthanc", "orthanc-debian-12", "storescp"], None),
}
STOW = {
    "ct 1": ("ct", 1, [OURS, "orthanc", "orthanc-debian-12"], LARGE),
    "ct 4": ("ct", 4, [OURS, "orthanc", "orthanc-debian-12"], None),
}


def run(house, works):
    for repetition in range(house.repetitions):
        for work in works:
            way, _, name = work.partition(" ")
            set_name, at_once, names, limit = (STOW if way == "stow" else C_STORE)[name]
            servers = house.servers(*names)
            for server in servers if repetition % 2 == 0 else servers[::-1]:
                house.note(way, work, server.name, repetition, into_empty(house, server, way, set_name, at_once))
            if way == "stow" and "storescp" in house.peers:
                # The goal names it, although it knows C-STORE only.
                server = house.server("storescp")
                house.note(way, work, server.name, repetition, into_empty(house, server, "store", set_name, at_once))
            if limit:
                disk(house, way, work, repetition, limit)


def into_empty(house, server, way, set_name, at_once):
    files = house.files(set_name)
    os.sync()
    # Once to see what an empty archive takes, when all of it is on the disk.
    server.start()
    server.stop()
    empty = server.disk_bytes()
    server.start(server.data)
    idle = server.memory()
    if way == "stow":
        figures = house.measured(server, stow, server.http, f"{server.root}/studies", files, at_once)
    else:
        figures = house.measured(server, store, server.dicom, server.aet, files, at_once)
    after = server.memory()
    server.stop()
    if "error" not in figures:
        sent = sum(whole_blocks(os.path.getsize(file)) for file in files)
        figures.update(
            idle_MB=idle / 1e6, after_MB=after / 1e6, cpu_s_per_1000=figures["server_cpu_s"] / len(files) * 1000,
            # All that the folder takes besides what the files themselves take as such: index, prepared metadata, whatever the layout is.
            index_bytes=(server.disk_bytes() - empty - sent) / len(files))
    return figures


def disk(house, way, work, repetition, size):
    count = 40 if house.is_smoke else 1000 if size == SMALL else 300
    house.note(way, work, "append", repetition, append_synced(house.work, size, count))
    house.note(way, work, "append, 50 a sync", repetition, append_synced(house.work, size, count, 50))
    house.note(way, work, "new files", repetition, new_files_synced(house.work, size, count))
