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


@pytest.fixture
def started(start):
    """Starts a server whose index is folded into one file, so that its log holds only what comes now."""

    def begin(**ingest):
        server = start(config={"ingest": {"buffer_bytes_max": 65536} | ingest})
        assert web.stow(server, [made.file(made.instance())]).status_code == 200
        assert server.stop() == 0
        assert not log(server).exists()
        return server.start()

    return begin


def log(server):
    return server.data_dir / "index.sqlite-wal"


def committed(server):
    """How long the log is once all that was stored is committed, which whoever searches makes it."""
    assert requests.get(f"{server.web}/studies?limit=1", timeout=20).status_code == 200
    return log(server).stat().st_size


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
    # Its log holds only what comes now.
    assert not log(server).exists()
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


def bring_back(before):
    """Puts the former bytes of blob files in their place, as if what was punched since had not been."""
    for path, content in before.items():
        with path.open("r+b") as file:
            # What was made ready ahead was zeros then, and is something else by now.
            file.write(content.rstrip(b"\0"))


def segments(server):
    return {path: path.read_bytes() for path in (server.data_dir / "blobs" / "files").rglob("*.seg")}


def another_version(ds):
    """Other bytes under the same UIDs."""
    other = made.instance()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "PatientName"):
        setattr(other, keyword, getattr(ds, keyword))
    other.InstanceNumber = 77
    return other


def test_where_it_came_from_is_known_again(started):
    """A duplicate that is held back tells its sender, here from the note beside its blob."""
    server = started()
    first = made.instance()
    assert web.stow(server, [made.file(first)]).status_code == 200
    length = committed(server)
    second = another_version(first)
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])], calling="CT_ROOM") as peer:
        assert peer.store(made.CT, str(second.SOPInstanceUID), EXPLICIT, made.encode(second)) == 0x0111
        cut(server, length)
        peer.release = lambda: None
    assert "CT_ROOM" not in server.cli("quarantine list").stdout
    server.start()
    assert "adopted=1" in server.log(), server.log()
    assert part10.data_set(web.file_of(as_stored(server, first))) == made.encode(first)
    assert server.stop() == 0
    assert "CT_ROOM" in server.cli("quarantine list").stdout


def test_what_was_removed_stays_removed_although_its_bytes_come_back(started):
    server = started()
    removed, after = made.instance(), made.instance()
    assert web.stow(server, [made.file(removed)]).status_code == 200
    before = segments(server)
    assert requests.delete(f"{server.web}/studies/{removed.StudyInstanceUID}", timeout=20).status_code == 204
    length = committed(server)
    assert web.stow(server, [made.file(after)]).status_code == 200
    cut(server, length)
    bring_back(before)
    server.start()
    assert as_stored(server, removed).status_code == 410
    assert part10.data_set(web.file_of(as_stored(server, after))) == made.encode(after)
    assert server.stop() == 0
    done = server.cli("check --deep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not any(str(removed.SOPInstanceUID).encode() in content for content in segments(server).values())


def test_the_last_of_two_versions_stays_the_last(started):
    server = started(duplicate="replace")
    first = made.instance()
    second = another_version(first)
    assert web.stow(server, [made.file(first)]).status_code == 200
    before = segments(server)
    assert web.stow(server, [made.file(second)]).status_code == 200
    cut(server, committed(server))
    bring_back(before)
    server.start()
    assert part10.data_set(web.file_of(as_stored(server, first))) == made.encode(second)


def test_a_replacement_is_made_again(started):
    """The index has only the first version: the second takes its place once more."""
    server = started(duplicate="replace")
    first = made.instance()
    assert web.stow(server, [made.file(first)]).status_code == 200
    length = committed(server)
    before = segments(server)
    second = another_version(first)
    assert web.stow(server, [made.file(second)]).status_code == 200
    cut(server, length)
    bring_back(before)
    server.start()
    assert part10.data_set(web.file_of(as_stored(server, first))) == made.encode(second)
    assert server.stop() == 0
    done = server.cli("check --deep")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_came_twice_and_was_removed_stays_removed(started):
    """The second copy of an instance was given up before its study went; its bytes come back."""
    server = started()
    ds = made.instance()
    assert web.stow(server, [made.file(ds)]).status_code == 200
    ((path, content),) = [(p, c) for p, c in segments(server).items() if str(ds.SOPInstanceUID).encode() in c]
    length = int.from_bytes(content[4096 + 8 : 4096 + 16], "little")
    end = 4096 + -(-(256 + length) // 8) * 8
    assert content[4096:4100] == b"OVRB" and not content[end:].strip(b"\0"), "the one record of this file"
    assert web.stow(server, [made.file(ds)]).status_code == 200
    assert requests.delete(f"{server.web}/studies/{ds.StudyInstanceUID}", timeout=20).status_code == 204
    server.kill()
    with path.open("r+b") as file:
        file.seek(end)
        file.write(content[4096:end])
    server.start()
    assert as_stored(server, ds).status_code == 410
    assert not any(str(ds.SOPInstanceUID).encode() in content for content in segments(server).values())


def test_a_torn_blob_is_no_instance(started):
    server = started()
    whole, torn = made.instance(), made.instance()
    assert web.stow(server, [made.file(whole)]).status_code == 200
    assert web.stow(server, [made.file(torn)]).status_code == 200
    cut(server, 0)
    ((path, content),) = [(p, c) for p, c in segments(server).items() if str(torn.SOPInstanceUID).encode() in c]
    at = content.index(str(torn.SOPInstanceUID).encode())
    path.write_bytes(content[: at + 8] + bytes(8) + content[at + 16 :])
    server.start()
    assert as_stored(server, whole).status_code == 200
    assert as_stored(server, torn).status_code == 404
    assert str(torn.StudyInstanceUID).encode() not in path.read_bytes()
