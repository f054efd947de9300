"""The shell's door (interface.md): exit codes, configuration, ownership, import, query, check."""

import json
import shutil
import signal
import socket
import time
import zipfile
from pathlib import Path

import pytest

from harness import corpus, made, web
from harness.server import Server, free_port, run


@pytest.fixture
def folder(tmp_path):
    """Twelve objects in nested folders, with and without extension, and things that are no DICOM."""
    place = tmp_path / "media"
    for n, ds in enumerate(made.study(12)):
        path = place / f"a{n % 3}" / (f"IM{n:04d}" if n % 2 else f"image {n}.dcm")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.file(ds))
    (place / "README.txt").write_text("no DICOM")
    (place / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (place / "empty").write_bytes(b"")
    return place


def archive(tmp_path, **config):
    server = Server(tmp_path / "data", config=config)
    server.data_dir.parent.mkdir(exist_ok=True)
    return server


def stored(server):
    with server:
        return len(web.qido_all(server, "/instances"))


def test_usage_errors_are_2():
    for words in (["nosuch"], [], ["serve", "--nosuch"], ["import"], ["check", "--nosuch"]):
        assert run(*words).returncode == 2, words
    assert run("--help").returncode == 0 and run("--version").returncode == 0


def test_failures_are_1(tmp_path):
    server = archive(tmp_path)
    done = server.cli("import", tmp_path / "does-not-exist")
    assert done.returncode in (1, 3) and done.stderr


def test_an_unknown_key_is_named_with_the_nearest(tmp_path):
    (tmp_path / "c.toml").write_text("[ingest]\nduplicat = 'replace'\n")
    done = run("check", "--config", tmp_path / "c.toml", "--data-dir", tmp_path / "d")
    assert done.returncode in (1, 2) and "duplicat" in done.stderr and "ingest.duplicate" in done.stderr, done.stderr
    done = run("check", "--data-dir", tmp_path / "d", env={"OVERREAD_HTTP__LISTN": "127.0.0.1:1"})
    assert done.returncode in (1, 2) and "OVERREAD_HTTP__LISTEN" in done.stderr, done.stderr
    (tmp_path / "c.toml").write_text("[ingest]\nduplicate = 'sometimes'\n")
    done = run("check", "--config", tmp_path / "c.toml", "--data-dir", tmp_path / "d")
    assert done.returncode in (1, 2) and "duplicate" in done.stderr and "keep-first" in done.stderr, done.stderr


def test_precedence_of_file_environment_and_flags(tmp_path):
    with Server(tmp_path / "data", config={"dicom": {"ae_title": "FROMFILE"}, "http": {"results_max": 2}},
                env={"OVERREAD_DICOM__AE_TITLE": "FROMENV"}, flags=["--ae-title", "FROMFLAG"]) as server:  # fmt: skip
        from harness.wire import IMPLICIT, VERIFICATION, Association, Refused

        with Association(server.dicom_address, [(VERIFICATION, [IMPLICIT])], called="FROMFLAG") as peer:
            assert peer.echo() == 0
        for title in ("FROMENV", "FROMFILE", "OVERREAD"):
            with pytest.raises(Refused):
                Association(server.dicom_address, [(VERIFICATION, [IMPLICIT])], called=title)


def test_a_second_owner_is_refused_with_the_pid(tmp_path):
    with Server(tmp_path / "data") as server:
        done = run("serve", "--data-dir", server.data_dir, "--http", f"127.0.0.1:{free_port()}", "--dicom", f"127.0.0.1:{free_port()}", timeout=20)
        assert done.returncode == 1 and str(server.pid) in done.stderr, done.stderr
        done = server.cli("import", tmp_path)
        assert done.returncode == 1 and str(server.pid) in done.stderr, done.stderr
        assert web.stow(server, [made.file(made.instance())]).status_code == 200


def test_other_addresses_need_a_login_or_an_explicit_word(tmp_path):
    done = run("serve", "--data-dir", tmp_path / "d", "--http", f"0.0.0.0:{free_port()}", "--dicom", f"127.0.0.1:{free_port()}", timeout=20)
    assert done.returncode in (1, 2) and "allow_anonymous" in done.stderr, done.stderr
    done = run("serve", "--data-dir", tmp_path / "d", "--http", f"127.0.0.1:{free_port()}", "--dicom", f"0.0.0.0:{free_port()}", timeout=20)
    assert done.returncode in (1, 2) and "allow_anonymous" in done.stderr, done.stderr
    # The explicit word is obeyed (the test stays on the loopback network).
    with Server(tmp_path / "d", config={"http": {"allow_anonymous": True}}) as server:
        assert web.get(server, "/studies", web.JSON).status_code == 204


def test_a_taken_port_is_a_clear_failure(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for flags in (("--http", address, "--dicom", f"127.0.0.1:{free_port()}"), ("--dicom", address, "--http", f"127.0.0.1:{free_port()}")):
            done = run("serve", "--data-dir", tmp_path / "d", *flags, timeout=20)
            assert done.returncode == 1 and address in done.stderr, done.stderr


def test_sigint_and_sigterm_stop_with_0(tmp_path):
    for word in (signal.SIGINT, signal.SIGTERM):
        server = Server(tmp_path / "data").start()
        assert server.stop(word) == 0


def test_stop_does_not_wait_for_idle_peers(tmp_path):
    server = Server(tmp_path / "data").start()
    idle = [socket.create_connection(server.http_address), socket.create_connection(server.dicom_address)]
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 15
    for s in idle:
        s.close()


def test_import_takes_folders_and_skips_what_is_no_dicom(tmp_path, folder):
    server = archive(tmp_path)
    done = server.cli("import", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12" in done.stdout + done.stderr and "3" in done.stdout + done.stderr
    assert stored(server) == 12
    done = server.cli("import", folder)
    assert done.returncode == 0, "repeating is harmless"
    assert stored(server) == 12


def test_import_takes_zip(tmp_path, folder):
    server = archive(tmp_path)
    with zipfile.ZipFile(tmp_path / "media.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for path in folder.rglob("*"):
            z.write(path, path.relative_to(folder))
    done = server.cli("import", tmp_path / "media.zip")
    assert done.returncode == 0, done.stdout + done.stderr
    assert stored(server) == 12


def test_import_takes_dicomdir_media(tmp_path):
    media = tmp_path / "disc"
    shutil.copytree(corpus.ROOTS["test_files"] / "dicomdirtests", media)
    instances = len({c.uids[2] for c in corpus.storable() if "dicomdirtests" in c.name})
    for target in (media, media / "DICOMDIR"):
        server = archive(tmp_path / target.name)
        done = server.cli("import", target)
        assert done.returncode in (0, 3), done.stdout + done.stderr
        if target.is_dir():
            assert stored(server) == instances
        else:
            assert stored(server) > 0


def test_import_tells_why_it_refused(tmp_path):
    server = archive(tmp_path)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(made.file(made.instance())[:-10])
    good = tmp_path / "good.dcm"
    good.write_bytes(made.file(made.instance()))
    done = server.cli("import", cut, good)
    said = done.stdout + done.stderr
    assert done.returncode == 3 and "cut" in said, said
    assert stored(server) == 1
    done = server.cli("import", cut)
    assert done.returncode in (1, 3)


def test_import_survives_zip_bombs_and_wicked_names(tmp_path):
    server = archive(tmp_path)
    good = made.file(made.instance())
    with zipfile.ZipFile(tmp_path / "wicked.zip", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("bomb.dcm", bytes(300 << 20))  # 300 MB of zeros in 300 KB
        z.writestr("../../../../tmp/overread-escaped.dcm", good)
        z.writestr("/absolute.dcm", made.file(made.instance()))
        preamble = made.file(made.instance(rows=4096, columns=4096, pixels=bytes(4096 * 4096 * 2)))
        z.writestr("large-but-honest.dcm", preamble)
    begun = time.monotonic()
    done = server.cli("import", tmp_path / "wicked.zip")
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert time.monotonic() - begun < 60
    assert not Path("/tmp/overread-escaped.dcm").exists()
    assert stored(server) == 3
    blobs = sum(p.stat().st_blocks * 512 for p in (tmp_path / "data").rglob("*") if p.is_file())
    assert blobs < 150 << 20, "the bomb was not kept"


def test_import_bounds_a_bomb_that_looks_like_dicom(tmp_path):
    """A 2 GB element of zeros in a 2 MB archive, over the configured limit of an object."""
    server = archive(tmp_path, ingest={"object_bytes_max": 50 << 20})
    ds = made.instance()
    del ds.PixelData
    size = 512 << 20
    head = made.file(ds) + b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as z, z.open("bomb.dcm", "w", force_zip64=True) as member:
        member.write(head)
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    done = server.cli("import", tmp_path / "bomb.zip")
    assert done.returncode in (1, 3), done.stdout + done.stderr
    assert stored(server) == 0


def test_import_can_be_interrupted_and_repeated(tmp_path):
    import os
    import subprocess

    from harness.server import BINARY

    place = tmp_path / "many"
    place.mkdir()
    for n, ds in enumerate(made.study(400)):
        (place / f"{n}.dcm").write_bytes(made.file(ds))
    server = archive(tmp_path)
    process = subprocess.Popen([BINARY, "import", "--data-dir", server.data_dir, place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    done = server.cli("import", place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stored(server) == 400
    assert server.cli("check --deep").returncode == 0


def test_query_prints_a_table_and_json(tmp_path):
    server = archive(tmp_path)
    ds = made.instance(PatientID="Q-1", PatientName="Query^Anna", StudyDate="20260305", Modality="MR", AccessionNumber="QACC")
    other = made.instance(PatientID="Q-2", StudyDate="20250101")
    for n, o in enumerate((ds, other)):
        (tmp_path / f"{n}.dcm").write_bytes(made.file(o))
    assert server.cli("import", tmp_path / "0.dcm", tmp_path / "1.dcm").returncode == 0
    for flags in (
        ["--patient-id", "Q-1"], ["--patient-name", "query*"], ["--study-date", "20260101-20261231"], ["--modality", "MR"],
        ["--accession", "QACC"],
    ):  # fmt: skip
        done = server.cli("query", *flags)
        assert done.returncode == 0 and "Q-1" in done.stdout and "Q-2" not in done.stdout, (flags, done.stdout, done.stderr)
        answer = json.loads(server.cli("query", *flags, "--json").stdout)
        assert str(ds.StudyInstanceUID) in json.dumps(answer) and str(other.StudyInstanceUID) not in json.dumps(answer)
    assert len([line for line in server.cli("query", "--limit", "1").stdout.splitlines() if "Q-" in line]) == 1
    assert server.cli("query", "--study-date", "nonsense").returncode in (1, 2)


def test_query_works_beside_a_running_server(server):
    web.stow(server, [made.file(made.instance(PatientID="LIVE-1"))])
    done = server.cli("query", "--patient-id", "LIVE-1")
    if done.returncode != 0:
        assert str(server.pid) in done.stderr, "else it is refused with the owner's pid"
    else:
        assert "LIVE-1" in done.stdout


def test_check_finds_a_damaged_blob(start):
    server = start()
    small, large = made.instance(), made.instance(rows=1500, columns=1500)
    for ds in (small, large):
        assert web.stow(server, [made.file(ds)]).status_code == 200
    server.stop()
    assert server.cli("check --deep").returncode == 0
    for ds in (small, large):
        found = [(p, p.read_bytes()) for p in (server.data_dir / "blobs").rglob("*") if p.is_file()]
        path, data = next((p, d) for p, d in found if str(ds.SOPInstanceUID).encode() in d)
        at = data.rindex(bytes(ds.PixelData)[-32:]) + 5
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        done = server.cli("check --deep")
        assert done.returncode == 3 and str(ds.SOPInstanceUID) in done.stdout, done.stdout + done.stderr
        path.write_bytes(data)
    assert server.cli("check --deep").returncode == 0


def test_check_finds_a_missing_blob(start):
    server = start()
    ds = made.instance(rows=1500, columns=1500)
    web.stow(server, [made.file(ds)])
    server.stop()
    for path in (server.data_dir / "blobs").rglob("*"):
        if path.is_file() and str(ds.SOPInstanceUID).encode() in path.read_bytes():
            path.unlink()
    done = server.cli("check")
    assert done.returncode == 3 and str(ds.SOPInstanceUID) in done.stdout, done.stdout + done.stderr
    server.start()
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    assert web.get(server, path, web.AS_STORED).status_code in (404, 500, 503)
    assert web.get(server, "/studies", web.JSON).status_code == 200


def test_an_older_program_refuses_a_newer_directory(start):
    import sqlite3

    server = start()
    server.stop()
    with sqlite3.connect(server.data_dir / "index.sqlite") as index:
        version = index.execute("PRAGMA user_version").fetchone()[0]
        assert version > 0, "the format has a version"
        index.execute(f"PRAGMA user_version = {version + 1000}")
    before = (server.data_dir / "index.sqlite").read_bytes()
    done = server.cli("serve", "--http", f"127.0.0.1:{free_port()}", "--dicom", f"127.0.0.1:{free_port()}", timeout=20)
    assert done.returncode == 1 and "newer" in done.stderr, done.stderr
    assert (server.data_dir / "index.sqlite").read_bytes() == before
    with sqlite3.connect(server.data_dir / "index.sqlite") as index:
        index.execute(f"PRAGMA user_version = {version}")


@pytest.mark.timeout(120)
def test_demo_starts_with_studies_and_finds_them_again(tmp_path):
    counts = []
    for _ in range(2):
        import subprocess

        from harness.server import BINARY

        ports = (free_port(), free_port())
        process = subprocess.Popen(
            [BINARY, "demo", "--data-dir", tmp_path / "demo", "--http", f"127.0.0.1:{ports[0]}", "--dicom", f"127.0.0.1:{ports[1]}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        server = Server(tmp_path / "demo")
        server.process, server.ports = process, ports
        server.wait_ready()
        end = time.monotonic() + 60
        while time.monotonic() < end and len(web.qido(server, "/studies")) < 6:
            time.sleep(0.2)
        time.sleep(0.5)
        rows = web.qido(server, "/studies")
        counts.append((len(rows), sum(web.value(r, "00201208") for r in rows)))
        assert {m for r in rows for m in r["00080061"]["Value"]} >= {"CT", "MR", "CR", "US", "PT"}
        page = web.get(server, server.url + "/", "text/html").text
        assert "<html" in page.lower()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[0]
        assert process.returncode == 0 and f"127.0.0.1:{ports[0]}" in said
    assert counts[0] == counts[1]
