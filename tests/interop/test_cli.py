"""The shell's door (interface.md): exit codes, configuration, ownership, import, query, check."""

import html
import io
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.parse
import zipfile
from pathlib import Path

import numpy
import pytest
from PIL import Image

from harness import corpus, made, part10, wait, web
from harness.server import BINARY, REPOSITORY, Server, free_port, run
from harness.wire import IMPLICIT, VERIFICATION, Association, Refused


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


def counts(done):
    """What `import` says it did."""
    return {what: int(count) for what, count in re.findall(r"(?m)^(stored|already there|refused|skipped) +(\d+)\b", done.stdout)}


def test_usage_errors_are_2():
    for words in (["nosuch"], [], ["serve", "--nosuch"], ["import"], ["check", "--nosuch"]):
        assert run(*words).returncode == 2, words
    assert run("--help").returncode == 0 and run("--version").returncode == 0


def test_failures_are_1(tmp_path):
    server = archive(tmp_path)
    done = server.cli("import", tmp_path / "does-not-exist")
    assert done.returncode == 1 and "does-not-exist" in done.stderr and not done.stdout


def test_an_unknown_key_is_named_with_the_nearest(tmp_path):
    (tmp_path / "c.toml").write_text("[ingest]\nduplicat = 'replace'\n")
    done = run("check", "--config", tmp_path / "c.toml", "--data-dir", tmp_path / "d")
    assert done.returncode == 1 and "duplicat" in done.stderr and "ingest.duplicate" in done.stderr, done.stderr
    done = run("check", "--data-dir", tmp_path / "d", env={"OVERREAD_HTTP__LISTN": "127.0.0.1:1"})
    assert done.returncode == 1 and "OVERREAD_HTTP__LISTEN" in done.stderr, done.stderr
    (tmp_path / "c.toml").write_text("[ingest]\nduplicate = 'sometimes'\n")
    done = run("check", "--config", tmp_path / "c.toml", "--data-dir", tmp_path / "d")
    assert done.returncode == 1 and "duplicate" in done.stderr and "keep-first" in done.stderr, done.stderr


def test_precedence_of_file_environment_and_flags(tmp_path):
    with Server(tmp_path / "data", config={"dicom": {"ae_title": "FROMFILE"}, "http": {"results_max": 2}},
                env={"OVERREAD_DICOM__AE_TITLE": "FROMENV"}, flags=["--ae-title", "FROMFLAG"]) as server:  # fmt: skip
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
    assert done.returncode == 1 and "allow_anonymous" in done.stderr, done.stderr
    done = run("serve", "--data-dir", tmp_path / "d", "--http", f"127.0.0.1:{free_port()}", "--dicom", f"0.0.0.0:{free_port()}", timeout=20)
    assert done.returncode == 1 and "allow_anonymous" in done.stderr, done.stderr
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
    assert counts(done) == {"stored": 12, "already there": 0, "refused": 0, "skipped": 3}
    assert re.search(r"(?m)^skipped +3 .*not DICOM: 3", done.stdout), done.stdout
    assert stored(server) == 12
    done = server.cli("import", folder)
    assert done.returncode == 0, "repeating is harmless"
    assert counts(done) == {"stored": 0, "already there": 12, "refused": 0, "skipped": 3}
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
        assert done.returncode == 0, done.stdout + done.stderr
        assert counts(done)["stored"] == stored(server) == instances


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
    assert done.returncode == 3 and "cut" in done.stdout, done.stdout + done.stderr


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
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts(done) == {"stored": 3, "already there": 0, "refused": 0, "skipped": 1}
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
    assert done.returncode == 3 and counts(done)["refused"] == 1 and "object_bytes_max" in done.stdout, done.stdout + done.stderr
    assert stored(server) == 0


def test_import_can_be_interrupted_and_repeated(tmp_path):
    place, total = tmp_path / "many", 5000
    place.mkdir()
    template = made.instance(sop=f"{made.ROOT}8.10000")
    data = made.file(template)
    for n in range(total):
        (place / f"{n}.dcm").write_bytes(data.replace(b".8.10000", b".8.%d" % (10000 + n)))
    server = archive(tmp_path)
    command = [BINARY, "import", "--data-dir", server.data_dir, place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait.until(lambda: str(template.StudyInstanceUID) in server.cli("query").stdout, "something is stored")
        os.kill(process.pid, signal.SIGINT)
        said, complaint = process.communicate(timeout=30)
    assert process.returncode == 3, said + complaint
    assert re.search(r"(?m)^interrupted", said), said
    before = int(re.search(r"(?m)^stored +(\d+)", said)[1])
    assert 0 < before < total
    done = server.cli("import", place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts(done) == {"stored": total - before, "already there": before, "refused": 0, "skipped": 0}
    assert stored(server) == total
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
    assert server.cli("query", "--study-date", "nonsense").returncode == 2


def test_what_only_reads_works_beside_a_running_server(server, tmp_path):
    ds = made.instance(PatientID="LIVE-1")
    held_back = made.instance(sop=ds.SOPInstanceUID)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    assert web.stow(server, [made.file(held_back)]).status_code == 409
    for words, said in (
        (["query", "--patient-id", "LIVE-1"], "LIVE-1"), (["check"], "problems"), (["check", "--deep"], "problems"),
        (["quarantine", "list"], str(ds.SOPInstanceUID)), (["quarantine", "show", "1"], str(ds.SOPInstanceUID)),
        (["export", str(ds.StudyInstanceUID), "--to", str(tmp_path / "out")], "1 image"),
    ):  # fmt: skip
        done = server.cli(words)
        assert done.returncode == 0 and said in done.stdout, (words, done.stdout, done.stderr)
    exported = [p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file() and p.name != "DICOMDIR"]
    assert any(made.encode(ds) in data for data in exported)


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


# As src/demo names them; each in a character set of its own (PS3.3 §C.12.1.1.2).
DEMO_NAMES = {
    "Müller^Jürgen": "ISO_IR 100", "Yamada^Tarou=山田^太郎=やまだ^たろう": "\\ISO 2022 IR 87", "Wang^XiaoDong=王^小东": "GB18030",
    "Иванова^Мария^Петровна": "ISO_IR 144", "Παπαδοπούλου^Ελένη": "ISO_IR 192",
}  # fmt: skip


@pytest.mark.timeout(480)
def test_demo_starts_with_studies_and_finds_them_again(tmp_path):
    seen = []
    for _ in range(2):
        server = Server(tmp_path / "demo", start_s=180)
        server.ports = (free_port(), free_port())
        server.process = subprocess.Popen(
            [BINARY, "demo", "--data-dir", server.data_dir, "--http", f"127.0.0.1:{server.ports[0]}", "--dicom", f"127.0.0.1:{server.ports[1]}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        server.wait_ready()
        rows = web.qido(server, "/studies")
        seen.append({web.value(r, "0020000D"): web.value(r, "00201208") for r in rows})
        assert len(rows) >= 6
        assert {m for r in rows for m in r["00080061"]["Value"]} >= {"CT", "MR", "CR", "US", "PT"}
        names_are_found(server)
        pages_show_pictures(server, len(rows))
        server.process.send_signal(signal.SIGINT)
        said = server.process.communicate(timeout=30)[0]
        assert server.process.returncode == 0 and f"127.0.0.1:{server.ports[0]}" in said
    assert seen[0] == seen[1]


def names_are_found(server):
    for name, charset in DEMO_NAMES.items():
        groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=False))
        for part in groups.values():
            found = web.qido(server, "/studies", {"PatientName": part})
            assert found and all(row["00100010"]["Value"] == [groups] for row in found), part
        row = web.qido(server, "/instances", {"PatientName": name.split("=")[0], "limit": 1})[0]
        uids = [web.value(row, tag) for tag in ("0020000D", "0020000E", "00080018")]
        sent = part10.data_set(web.file_of(web.get(server, web.instance_path(*uids), web.AS_STORED)))
        assert charset.encode() in sent[:200], f"{name} was not sent in {charset}"


def pages_show_pictures(server, studies):
    """From the first page to every study, and on it every picture: no blank ones."""
    first = web.get(server, server.url + "/", "text/html")
    assert first.status_code == 200
    for name in DEMO_NAMES:
        for group in name.split("="):
            assert all(part in first.text for part in group.split("^")), group
    links = {urllib.parse.urljoin(first.url, html.unescape(u)) for u in re.findall(r'href="([^"?]*studies/[0-9.]+)"', first.text)}
    assert len(links) == studies
    for link in links:
        page = web.get(server, link, "text/html")
        assert page.status_code == 200
        pictures = re.findall(r'<img src="([^"]*/frames/[^"]*)"', page.text)
        assert pictures, link
        for source in pictures:
            picture = web.get(server, urllib.parse.urljoin(link, html.unescape(source)), "image/*")
            assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png"), source
            pixels = numpy.asarray(Image.open(io.BytesIO(picture.content)))
            assert pixels.min() < pixels.max(), f"{source} shows nothing"


def test_the_conformance_statement_is_printed():
    """The file in the repository and the program's own tables are one (the words are the file's)."""
    printed = run("conformance")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout == (REPOSITORY / "CONFORMANCE.md").read_text()
    for syntax in ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.8.1"):
        assert f"| {syntax} |" in printed.stdout
