"""Removal (PS3.18 Table 8.5-1, an extension besides): 204, then 410, and everything agrees (conformance.md §8,
32, 123, 155-157)."""

import os
import re
import subprocess
import threading

import pytest
import requests

from harness import made, part10, web
from harness.server import BINARY, Server, free_port

BELOW_INSTANCE = ["", "/metadata", "/frames/1", "/bulkdata/7FE00010", "/bulkdata", "/pixeldata", "/rendered", "/thumbnail", "/frames/1/rendered", "/frames/1/thumbnail"]
BELOW_EACH = ["", "/metadata", "/bulkdata", "/pixeldata", "/rendered", "/thumbnail"]


def paths(ds):
    study = f"/studies/{ds.StudyInstanceUID}"
    series = f"{study}/series/{ds.SeriesInstanceUID}"
    return study, series, f"{series}/instances/{ds.SOPInstanceUID}"


def delete(server, path):
    return requests.delete(server.web + path, timeout=60)


def status(server, path, accept="*/*"):
    return web.get(server, path, accept).status_code


def store(server, *objects):
    assert web.stow(server, [made.file(ds) for ds in objects]).status_code == 200


def counts(server, study):
    rows = [row for row in web.qido_all(server, "/studies") if web.value(row, "0020000D") == study]
    return [(web.value(row, "00201206"), web.value(row, "00201208")) for row in rows]


def two_series():
    study = made.uid()
    first = made.study(2, study=study, rows=64, columns=64)
    return study, [*first, made.instance(study=study, Modality="MR", rows=64, columns=64)]


def test_a123_a155_instance_then_series_then_study(server):
    study, objects = two_series()
    store(server, *objects)
    (study_path, series_path, one), (_, _, two), (_, other_series, three) = map(paths, objects)
    assert counts(server, study) == [(2, 3)]

    answer = delete(server, one)
    assert (answer.status_code, answer.content) == (204, b"")
    assert counts(server, study) == [(2, 2)]
    assert status(server, one, web.AS_STORED) == 410
    assert len(web.parts_of(web.get(server, study_path, web.AS_STORED))) == 2
    assert [web.value(r, "00080018") for r in web.qido_all(server, f"{series_path}/instances")] == [objects[1].SOPInstanceUID]
    assert status(server, series_path, web.AS_STORED) == 200

    assert delete(server, two).status_code == 204, "the last of its series"
    assert counts(server, study) == [(1, 1)]
    assert status(server, series_path, web.AS_STORED) == 410
    row = next(r for r in web.qido_all(server, "/studies") if web.value(r, "0020000D") == study)
    assert row["00080061"]["Value"] == ["MR"], "Modalities in Study follows"

    assert delete(server, other_series).status_code == 204, "the last of its study"
    assert counts(server, study) == []
    for path in (study_path, other_series, three):
        assert status(server, path, web.AS_STORED) == 410, path
    assert web.get(server, f"/studies?StudyInstanceUID={study}").status_code == 204
    assert web.get(server, f"{study_path}/series").status_code == 204


@pytest.mark.parametrize("level", range(3), ids=["study", "series", "instance"])
def test_a032_what_was_removed_is_410_on_every_resource(server, level):
    _, objects = two_series()
    store(server, *objects)
    here = paths(objects[0])
    before = {path: status(server, here[2] + path) for path in BELOW_INSTANCE}
    assert set(before.values()) == {200}, before
    assert delete(server, here[level]).status_code == 204
    for deeper in range(level, 3):
        for below in BELOW_EACH:
            assert status(server, here[deeper] + below) == 410, (deeper, below)
    for below in BELOW_INSTANCE:
        assert status(server, here[2] + below) == 410, below
    assert status(server, here[level], "application/zip") == 410
    head = requests.head(server.web + here[2] + "/metadata", headers={"Accept": web.JSON}, timeout=60)
    assert head.status_code == 410
    gone = web.get(server, here[level] + "/metadata", web.JSON)
    assert gone.headers["content-type"].startswith("text/plain") and "removed" in gone.text
    assert delete(server, here[level]).status_code == 410, "a second time"
    if level == 2:
        assert status(server, here[1], web.AS_STORED) == 200, "the rest of the study lives"
        assert status(server, paths(objects[1])[2], web.AS_STORED) == 200


def test_a156_unknown_is_404_and_malformed_400(server):
    study, objects = two_series()
    store(server, *objects)
    (study_path, series_path, one), (_, _, _), (_, other_series, _) = map(paths, objects)
    crossed = f"{other_series}/instances/{objects[0].SOPInstanceUID}"
    unknown = [f"/studies/{made.uid()}", f"{study_path}/series/{made.uid()}", f"{series_path}/instances/{made.uid()}", crossed]
    for path in unknown:
        assert delete(server, path).status_code == 404, path
    assert delete(server, "/studies/1.02").status_code == 400
    assert delete(server, study_path + "/metadata").status_code == 405
    assert delete(server, "/studies").status_code == 405
    assert counts(server, study) == [(2, 3)], "and nothing went"
    assert delete(server, study_path).status_code == 204
    # What never was in a removed study was never removed.
    assert status(server, f"{series_path}/instances/{made.uid()}", web.AS_STORED) == 404
    assert status(server, f"{study_path}/series/{made.uid()}", web.AS_STORED) == 404


def test_a156_forbidden_when_switched_off(start):
    server = start(config={"http": {"allow_delete": "never"}})
    ds = made.instance()
    store(server, ds)
    study, series, one = paths(ds)
    for path in (study, series, one):
        refused = delete(server, path)
        assert refused.status_code == 403 and "allow_delete" in refused.text
    assert requests.post(f"{server.web}{series}/reject/113001%5EDCM", timeout=60).status_code == 403
    assert status(server, one, web.AS_STORED) == 200


@pytest.mark.parametrize(("allow", "expected"), [("loopback", 403), ("always", 204)])
def test_a156_strangers_may_not_unless_told_so(tmp_path, allow, expected):
    """A server that others can reach."""
    server = Server(tmp_path / "data", config={"http": {"allow_delete": allow}})
    port = server_port = free_port()
    process = subprocess.Popen(
        [str(BINARY), "serve", "--data-dir", str(tmp_path / "data"), "--http", f"0.0.0.0:{port}", "--dicom", f"127.0.0.1:{free_port()}",
         "--allow-anonymous"],
        env=os.environ | {"OVERREAD_HTTP__ALLOW_DELETE": allow}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        server.ports, server.process = (server_port, 0), process
        server.wait_ready()
        ds = made.instance()
        store(server, ds)
        assert delete(server, paths(ds)[0]).status_code == expected
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_a156_a_removal_is_in_the_log_without_patient_data(start):
    server = start()
    ds = made.instance(PatientName="Secret^Name", PatientID="SECRET-ID")
    store(server, ds)
    assert delete(server, paths(ds)[0]).status_code == 204
    line = next(line for line in server.log().splitlines() if "study removed" in line)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert str(ds.StudyInstanceUID) in plain and "127.0.0.1" in plain and "DELETE" in plain
    assert "SECRET" not in server.log().upper()


@pytest.mark.parametrize("code", ["113001^DCM", "113037^DCM", "113038^DCM", "113039^DCM"])
def test_a155_reject_as_ohif_asks_for_it(server, code):
    study, objects = two_series()
    store(server, *objects)
    series = paths(objects[0])[1]
    quoted = code.replace("^", "%5E")
    answer = requests.post(f"{server.web}{series}/reject/{quoted}", timeout=60)
    assert (answer.status_code, answer.content) == (204, b"")
    assert status(server, series, web.AS_STORED) == 410
    assert counts(server, study) == [(1, 1)]
    assert requests.post(f"{server.web}{series}/reject/{quoted}", timeout=60).status_code == 410
    assert requests.post(f"{server.web}/studies/{made.uid()}/reject/{quoted}", timeout=60).status_code == 404
    assert requests.post(f"{server.web}/studies/{study}/reject/{quoted}", timeout=60).status_code == 204
    assert counts(server, study) == []


def test_a156_pages_of_other_sites_may_not(start):
    """A browser posts for any page without asking first (no preflight); it says whose page it is."""
    server = start(config={"http": {"allowed_origins": ["https://viewer.example.org"]}})
    own = [server.url, f"https://127.0.0.1:{server.ports[0]}", "https://viewer.example.org"]
    for origin, expected in [("https://evil.example.org", 403), ("null", 403), ("http://127.0.0.1:1", 403), *((o, 204) for o in own)]:
        for send, path in ((requests.delete, ""), (requests.post, "/reject/113001%5EDCM")):
            ds = made.instance()
            store(server, ds)
            answer = send(server.web + paths(ds)[1] + path, headers={"Origin": origin}, timeout=60)
            assert answer.status_code == expected, (origin, path)
            assert status(server, paths(ds)[1], web.AS_STORED) == (200 if expected == 403 else 410)


def test_an_unknown_rejection_code_removes_nothing(server):
    ds = made.instance()
    store(server, ds)
    for code in ("113002%5EDCM", "113001", "113001%5ELOCAL", "x"):
        assert requests.post(f"{server.web}{paths(ds)[1]}/reject/{code}", timeout=60).status_code == 400, code
    assert status(server, paths(ds)[2], web.AS_STORED) == 200


def test_a157_stored_again_after_removal_it_is_there_again(server):
    _, objects = two_series()
    store(server, *objects)
    study_path, series_path, one = paths(objects[0])
    assert delete(server, study_path).status_code == 204
    store(server, objects[0])
    for path in (study_path, series_path, one):
        assert len(web.parts_of(web.get(server, path, web.AS_STORED))) == 1, path
    assert part10.data_set(web.file_of(web.get(server, one, web.AS_STORED))) == made.encode(objects[0])
    for path in (paths(objects[1])[2], *paths(objects[2])[1:]):
        assert status(server, path, web.AS_STORED) == 410, "what did not come again"
    # Other bytes under the same UIDs are no duplicate any more.
    assert delete(server, one).status_code == 204
    objects[0].PatientComments = "scanned anew"
    store(server, objects[0])
    assert part10.data_set(web.file_of(web.get(server, one, web.AS_STORED))) == made.encode(objects[0])


def test_what_is_in_quarantine_stays_there(start):
    server = start()
    ds = made.instance()
    store(server, ds)
    ds.PatientComments = "other bytes"
    assert web.stow(server, [made.file(ds)]).status_code == 409, "held back"
    assert delete(server, paths(ds)[0]).status_code == 204
    assert server.stop() == 0
    listed = server.cli("quarantine list")
    assert str(ds.SOPInstanceUID) in listed.stdout
    number = re.search(r"(?m)^\s*(\d+)\s", listed.stdout)[1]
    assert server.cli("quarantine accept", number).returncode == 0
    server.start()
    assert part10.data_set(web.file_of(web.get(server, paths(ds)[2], web.AS_STORED))) == made.encode(ds)


def test_the_space_comes_back_and_the_archive_agrees(start):
    server = start(config={"ingest": {"buffer_bytes_max": 65536}})
    kept = made.study(3, rows=100, columns=100)
    gone = made.study(20, rows=100, columns=100) + made.study(2, rows=400, columns=400)
    store(server, *kept, *gone)

    def allocated():
        return sum(p.stat().st_blocks * 512 for p in (server.data_dir / "blobs" / "files").rglob("*") if p.is_file())

    before = allocated()
    for study in {ds.StudyInstanceUID for ds in gone}:
        assert delete(server, f"/studies/{study}").status_code == 204
    assert before - allocated() > 20 * 20000 + 2 * 320000 - 100_000
    for ds in kept:
        assert part10.data_set(web.file_of(web.get(server, paths(ds)[2], web.AS_STORED))) == made.encode(ds)
    server.restart()
    assert status(server, paths(gone[0])[0], web.AS_STORED) == 410, "after a restart too"
    assert server.stop() == 0
    done = server.cli("check --deep")
    assert done.returncode == 0 and re.search(r"problems +0", done.stdout), done.stdout


def test_a_response_that_began_is_whole_or_cut_never_wrong(start):
    server = start()
    objects = made.study(60, rows=512, columns=256)
    store(server, *objects)
    study_path = paths(objects[0])[0]
    sent = {str(ds.SOPInstanceUID): made.encode(ds) for ds in objects}
    results, began = [], threading.Barrier(5)

    def read():
        with requests.get(server.web + study_path, headers={"Accept": web.AS_STORED}, stream=True, timeout=60) as response:
            assert response.status_code == 200
            body = response.raw.read(65536)
            began.wait(60)
            try:
                while piece := response.raw.read(65536):
                    body += piece
            except (requests.RequestException, OSError, Exception) as cut:
                assert "IncompleteRead" in repr(cut) or "Connection" in repr(cut) or "Protocol" in repr(cut), cut
            results.append((response.headers["content-type"], int(response.headers["content-length"]), body))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    began.wait(60)
    assert delete(server, study_path).status_code == 204
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for content_type, length, body in results:
        boundary = web.header_parameter(content_type, "boundary").encode()
        pieces = body.split(b"--" + boundary)[1:]
        whole = pieces if len(body) == length else pieces[:-1]
        for piece in whole:
            if piece.startswith(b"--"):
                continue
            file = piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            data_set = part10.data_set(file)
            assert data_set in sent.values(), "bytes that nobody sent"
        # What came of the last file is its beginning.
        if len(body) != length and pieces:
            rest = pieces[-1].partition(b"\r\n\r\n")[2]
            marker = rest.find(b"DICM")
            if marker >= 0 and len(rest) > 1000:
                assert any(rest[-400:] in whole_set for whole_set in sent.values())


def test_overread_remove(tmp_path):
    server = Server(tmp_path / "data")
    _, objects = two_series()
    with server:
        store(server, *objects)
        refused = server.cli("remove", objects[0].StudyInstanceUID)
        assert refused.returncode == 1 and str(server.pid) in refused.stderr, refused.stderr
        assert status(server, paths(objects[0])[0], web.AS_STORED) == 200
    done = server.cli("remove", objects[0].StudyInstanceUID)
    assert done.returncode == 0 and re.search(r"removed 3 instances, \d+ bytes", done.stdout), done.stdout + done.stderr
    again = server.cli("remove", objects[0].StudyInstanceUID)
    assert again.returncode == 1 and "removed before" in again.stderr
    unknown = server.cli("remove", made.uid())
    assert unknown.returncode == 1 and "no study" in unknown.stderr
    for words in (["remove"], ["remove", "1.02"], ["remove", "not-a-uid"]):
        assert server.cli(words).returncode == 2, words
    with server:
        assert status(server, paths(objects[0])[0], web.AS_STORED) == 410
        assert web.qido_all(server, "/studies") == []


def test_removals_and_stores_at_once_leave_one_truth(start):
    server = start()
    study = made.uid()
    objects = made.study(24, study=study)
    stop = threading.Event()
    odd = []

    def remover():
        while not stop.is_set():
            code = delete(server, f"/studies/{study}").status_code
            if code not in (204, 404, 410):
                odd.append(code)

    thread = threading.Thread(target=remover)
    thread.start()
    for _ in range(6):
        for ds in objects:
            code = web.stow(server, [made.file(ds)]).status_code
            if code != 200:
                odd.append(code)
    stop.set()
    thread.join()
    assert odd == []
    rows = web.qido_all(server, f"/studies/{study}/instances")
    for ds in objects:
        here = paths(ds)[2]
        listed = any(web.value(row, "00080018") == ds.SOPInstanceUID for row in rows)
        assert status(server, here, web.AS_STORED) == (200 if listed else 410)
    assert server.stop() == 0
    assert server.cli("check --deep").returncode == 0
