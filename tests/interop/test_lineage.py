"""A start removes what its index does not name: so it must be the right index, or one that takes all of it in."""

import shutil

import pytest

from harness import made, web
from harness.server import Server


@pytest.fixture
def archive(tmp_path):
    """An archive of one image, an older copy of its index, then a second image."""
    server = Server(tmp_path / "data")
    for n in range(2):
        path = tmp_path / f"{n}.dcm"
        path.write_bytes(made.file(made.instance()))
        assert server.cli("import", path).returncode == 0
        if n == 0:
            shutil.copy(tmp_path / "data" / "index.sqlite", tmp_path / "older.sqlite")
    return server


def blob_bytes(folder):
    return {path: path.read_bytes() for path in (folder / "blobs" / "files").rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", ["another", "older"])
def test_a_strange_index_removes_nothing(archive, tmp_path, what):
    data, right = tmp_path / "data", tmp_path / "right.sqlite"
    before = blob_bytes(data)
    shutil.move(data / "index.sqlite", right)
    if what == "older":
        shutil.copy(tmp_path / "older.sqlite", data / "index.sqlite")
    refused = archive.cli("check", "--repair")
    assert refused.returncode == 1 and what in refused.stderr and "lineage" in refused.stderr, refused.stderr
    assert blob_bytes(data) == before

    for leftover in data.glob("index.sqlite*"):
        leftover.unlink()
    shutil.move(right, data / "index.sqlite")
    healed = archive.cli("check", "--repair", "--deep")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert "problems                      0" in healed.stdout


def test_one_may_insist(archive, tmp_path):
    data = tmp_path / "data"
    (data / "index.sqlite").unlink()
    (data / "lineage").unlink()
    before = blob_bytes(data)
    done = archive.cli("check", "--repair", "--deep")
    assert done.returncode == 0, done.stderr
    assert "problems                      0" in done.stdout
    assert blob_bytes(data) == before, "what the new index did not name was taken in, not removed"
    archive.start()
    assert len(web.qido_all(archive, "/instances")) == 2
    assert archive.stop() == 0
