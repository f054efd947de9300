"""The power goes, not only the process: what the index had not synced is lost, the blobs were. A start gives
every whole blob its row again (issue 6: no figure bought with safety; conformance.md §8, 150).

Power loss is what a kill leaves, less the end of the write-ahead log, and with a deleted blob back in its place."""

import random

import pytest
import requests

from harness import made, part10, wait, web
from harness.server import Server
from harness.wire import EXPLICIT, Association
from test_crash import Senders, assert_nothing_was_lost


def started(tmp_path, **ingest):
    """A server whose index is folded into one file, so that its log holds only what comes now."""
    server = Server(tmp_path / "data", config={"ingest": {"buffer_bytes_max": 65536} | ingest}).start()
    assert web.stow(server, [made.file(made.instance())]).status_code == 200
    assert server.stop() == 0
    return server.start()


def log(server):
    return server.data_dir / "index.sqlite-wal"


def cut(server, length):
    server.kill()
    truncate(server, length)


def truncate(server, length):
    with log(server).open("r+b") as file:
        file.truncate(length)


def as_stored(server, ds):
    return web.get(server, web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID), web.AS_STORED)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kept", [0, 0.2, 0.7, 1], ids=["nothing", "a-fifth", "most", "all"])
@pytest.mark.parametrize("rows", [16, 400], ids=["small", "large"])
def test_a150_what_was_acknowledged_outlives_the_log(tmp_path, rows, kept):
    chance = random.Random(rows)
    server = Server(tmp_path / "data", config={"ingest": {"buffer_bytes_max": 65536}}).start()
    assert server.stop() == 0
    server.start()
    senders = Senders(server, 4, rows)
    wait.until(lambda: len(senders.acknowledged) > 40, "enough is stored")
    server.kill()
    senders.stop()
    size = log(server).stat().st_size
    truncate(server, int(size * kept) and chance.randrange(int(size * kept * 0.9), int(size * kept) + 1))
    try:
        assert_nothing_was_lost(server, senders)
    finally:
        server.stop()


def test_where_it_came_from_is_known_again(tmp_path):
    server = started(tmp_path)
    ds = made.instance()
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])], calling="CT_ROOM") as peer:
        assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) == 0
        cut(server, 0)
        peer.release = lambda: None
    server.start()
    assert part10.data_set(web.file_of(as_stored(server, ds))) == made.encode(ds)
    assert web.stow(server, [made.file(ds)]).status_code == 200, "the same bytes again are already stored"
    assert "adopted=1" in server.log(), server.log()


def test_what_was_removed_stays_removed_although_its_bytes_come_back(tmp_path):
    server = started(tmp_path)
    removed, after = made.instance(), made.instance()
    assert web.stow(server, [made.file(removed)]).status_code == 200
    segments = list((server.data_dir / "blobs" / "files").rglob("*.seg"))
    before = {path: path.read_bytes() for path in segments}
    assert requests.delete(f"{server.web}/studies/{removed.StudyInstanceUID}", timeout=20).status_code == 204
    length = log(server).stat().st_size
    assert web.stow(server, [made.file(after)]).status_code == 200
    cut(server, length)
    for path, content in before.items():
        with path.open("r+b") as file:
            file.write(content)
    server.start()
    assert as_stored(server, removed).status_code == 410
    assert part10.data_set(web.file_of(as_stored(server, after))) == made.encode(after)
    assert server.stop() == 0
    done = server.cli("check --deep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(removed.SOPInstanceUID).encode() not in b"".join(path.read_bytes() for path in before if path.exists())


def test_the_last_of_two_versions_stays_the_last(tmp_path):
    server = started(tmp_path, duplicate="replace")
    first = made.instance()
    second = made.instance()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "PatientName"):
        setattr(second, keyword, getattr(first, keyword))
    second.InstanceNumber = 77
    assert web.stow(server, [made.file(first)]).status_code == 200
    segments = list((server.data_dir / "blobs" / "files").rglob("*.seg"))
    before = {path: path.read_bytes() for path in segments}
    assert web.stow(server, [made.file(second)]).status_code == 200
    cut(server, log(server).stat().st_size)
    for path, content in before.items():
        with path.open("r+b") as file:
            file.write(content)
    server.start()
    assert part10.data_set(web.file_of(as_stored(server, first))) == made.encode(second)


def test_a_torn_blob_is_no_instance(tmp_path):
    server = started(tmp_path)
    whole, torn = made.instance(), made.instance()
    assert web.stow(server, [made.file(whole)]).status_code == 200
    assert web.stow(server, [made.file(torn)]).status_code == 200
    cut(server, 0)
    (path,) = [p for p in (server.data_dir / "blobs" / "files").rglob("*.seg") if str(torn.SOPInstanceUID).encode() in p.read_bytes()]
    content = path.read_bytes()
    at = content.index(str(torn.SOPInstanceUID).encode())
    path.write_bytes(content[: at + 8] + bytes(8) + content[at + 16 :])
    server.start()
    assert as_stored(server, whole).status_code == 200
    assert as_stored(server, torn).status_code == 404
    assert str(torn.StudyInstanceUID).encode() not in path.read_bytes()
