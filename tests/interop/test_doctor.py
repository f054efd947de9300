"""`overread doctor`: against our own server, against Orthanc, and against a relay that spoils one thing of
what our server says, each of which must be found and named."""

import json
import re
import shutil
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness import corpus, made, web
from harness.server import free_port, run
from test_clients import Orthanc

SECRET = "Bearer 0a1b2c3d4e5f-geheim"
NAME, ID, ACCESSION = "Geheimrat^Gustav", "ID-7-GEHEIM", "ACC-GEHEIM-9"


def objects():
    """A study of each kind that matters to viewers, all of them uncompressed."""
    patient = {"PatientName": NAME, "PatientID": ID, "AccessionNumber": ACCESSION, "StudyDescription": "Thorax Geheimsache"}
    # Bulk: long enough to be given by its URI.
    ct = made.study(3, rows=64, columns=64, StudyDate="20260301", **patient)
    for ds in ct:
        ds.add_new(0x00420011, "OB", bytes(range(256)) * 40)
    loop = made.instance(rows=16, columns=20, frames=5, Modality="US", SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", StudyDate="20260302", **patient)
    pdf = made.instance(
        Modality="DOC", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", StudyDate="20260303", PixelData=None, Rows=None, Columns=None,
        BitsAllocated=None, MIMETypeOfEncapsulatedDocument="application/pdf", EncapsulatedDocument=b"%PDF-1.4\n" + bytes(20_000) + b"%%EOF\n", **patient,
    )  # fmt: skip
    return [*ct, loop, pdf]


@pytest.fixture(scope="module")
def filled(start_module):
    server = start_module()
    for ds in objects():
        assert web.stow(server, [made.file(ds)]).status_code == 200
    return server


def doctor(*arguments, **keywords):
    done = run("doctor", *arguments, **keywords)
    assert not done.stderr, done.stderr
    return done


def examine(*arguments, **keywords):
    """Exit code, report, and the codes of its findings with the worst place of each."""
    done = doctor(*arguments, "--json", **keywords)
    report = json.loads(done.stdout)
    codes = {}
    for step in report["steps"]:
        for finding in step["findings"]:
            codes.setdefault(finding["code"], finding | {"step": step["title"]})
    return done.returncode, report, codes


def broken(codes):
    return {code: (f["step"], f["asked"], f["came"]) for code, f in codes.items() if f["level"] == "broken"}


def test_nothing_is_wrong_with_our_own_server(filled):
    code, report, codes = examine(filled.web, "--studies", 50)
    assert (code, codes) == (0, {}), codes
    assert (report["level"], report["studies"], report["series"], report["instances"]) == ("ok", 3, 3, 3)
    assert report["kinds"] == ["CT image", "DOC document", "US multi-frame image"]
    assert set(report["viewers"].values()) == {"ok"} and len(report["viewers"]) == 5
    asked = {step["title"] for step in report["steps"]}
    assert {"last frame", "rendered document", "document by its BulkDataURI", "WADO-URI", "head of metadata"} <= asked
    text = doctor(filled.web)
    assert text.returncode == 0 and "nothing wrong" in text.stdout and "\x1b" not in text.stdout
    assert re.search(r"(?m)^  ok +OHIF", text.stdout), text.stdout


def test_real_files_break_no_viewer(start):
    """The corpus, whose compressed images are not drawn, which is a warning, and whose files are odd."""
    server = start()
    small = [case for case in corpus.layers()[0] if case.path.stat().st_size < 300_000]
    for case in small[::3]:
        assert web.stow(server, [case.path.read_bytes()]).status_code in (200, 202, 409), case.name
    code, report, codes = examine(server.web, "--studies", 20, timeout=200)
    assert code in (0, 3) and not broken(codes), broken(codes)
    assert report["instances"] > 5


def test_the_default_is_our_own_root(filled):
    listen = f"127.0.0.1:{filled.ports[0]}"
    code, report, _ = examine(env={"OVERREAD_HTTP__LISTEN": listen})
    assert code == 0 and report["url"] == f"http://{listen}/dicom-web"


def test_a_study_can_be_named(filled):
    study = web.value(web.qido(filled, "/studies", {"ModalitiesInStudy": "US"})[0], "0020000D")
    code, report, _ = examine(filled.web, "--study", study)
    assert code == 0 and report["kinds"] == ["US multi-frame image"]
    code, _, codes = examine(filled.web, "--study", "1.2.3.4")
    assert code == 1 and set(codes) == {"study-not-found"}


def test_orthanc_is_examined(filled, tmp_path):
    peer = Orthanc(tmp_path, filled)
    try:
        for ds in objects():
            peer.post("/instances", made.file(ds))
        code, report, codes = examine(peer.url + "/dicom-web")
    finally:
        peer.stop()
        shutil.rmtree(tmp_path / "db", ignore_errors=True)
    assert report["studies"] == 3 and "CT image" in report["kinds"]
    # True of the version in Debian 12 (plugin 1.7): it has no thumbnails (until 1.19), and */* is no type of frames for it.
    assert code == 3 and {"thumbnail-missing", "frame-any-refused"} <= set(codes), codes
    assert codes["thumbnail-missing"]["came"].startswith("404"), codes
    assert report["viewers"]["Weasis"] == "ok", codes


def test_usage_and_a_server_that_is_not_there():
    for wrong in (["ftp://a/b"], ["http://me:geheim@127.0.0.1/"], ["http://127.0.0.1/", "--header", "geheim"], ["http://127.0.0.1/", "--origin", "x"]):
        done = run("doctor", *wrong)
        assert done.returncode == 2 and "geheim" not in done.stdout + done.stderr, done
    code, report, codes = examine(f"http://127.0.0.1:{free_port()}/dicom-web")
    assert code == 1 and set(codes) == {"unreachable"} and report["requests"] == 1
    assert run("doctor", "--help").returncode == 0 and "3 warnings only" in run("doctor", "--help").stdout


def test_an_empty_archive_is_a_warning(start):
    code, _, codes = examine(start().web)
    assert code == 3 and set(codes) == {"no-studies"}


def test_storing_leaves_nothing_behind(start):
    server = start()
    code, report, codes = examine(server.web, "--write")
    assert code == 3 and set(codes) == {"no-studies"}, codes
    assert [s["title"] for s in report["steps"] if s["chapter"] == "Storing"] == ["store", "what was stored is found", "what was stored is removed"]
    assert web.qido(server, "/studies") == []
    kept = start(config={"http": {"allow_delete": "never"}})
    _, _, codes = examine(kept.web, "--write")
    assert codes["left-behind"]["level"] == "note" and not broken(codes)
    rows = web.qido(kept, "/studies")
    assert [web.value(r, "00100020") for r in rows] == ["OVERREAD-DOCTOR"]
    assert web.value(rows[0], "0020000D") in codes["left-behind"]["asked"]


def test_other_origins(start):
    server = start(config={"http": {"allowed_origins": ["https://viewer.example.org"]}})
    web.stow(server, [made.file(made.instance())])
    code, _, codes = examine(server.web, "--origin", "https://viewer.example.org")
    assert (code, codes) == (0, {}), codes
    code, _, codes = examine(server.web, "--origin", "https://evil.example.org")
    assert code == 1 and set(broken(codes)) == {"cors-preflight", "cors-answer"}


# --- A relay that spoils one thing ----------------------------------------------------------------


class Relay:
    """Stands before a server and hands on what it says, after `spoil(handler, path, answer)` has had it. The spoiler may change the
    answer, or send something itself and give None."""

    def __init__(self, server, spoil, has_host=True):
        relay = self
        self.seen, self.closing = [], threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                relay.seen.append((self.command, self.path, dict(self.headers)))
                inner = HTTPConnection(*server.http_address, timeout=30)
                headers = {k: v for k, v in self.headers.items() if has_host or k.lower() != "host"}
                inner.request(self.command, self.path, headers=headers)
                response = inner.getresponse()
                kept = {k: v for k, v in response.getheaders() if k.lower() not in ("content-length", "transfer-encoding", "connection", "date")}
                answer = Answer(response.status, kept, response.read())
                inner.close()
                answer = spoil(self, self.path, answer)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_HEAD = do_OPTIONS = serve

            def log_message(self, *_):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.thread = threading.Thread(target=self.httpd.serve_forever)
        self.thread.start()

    @property
    def web(self):
        return f"http://127.0.0.1:{self.httpd.server_port}/dicom-web"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.httpd.shutdown()
        self.thread.join()
        self.httpd.server_close()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def says(self, datasets):
        self.body = json.dumps(datasets).encode()
        return self


def plain(handler, path, answer):
    return answer


def on(pattern, change):
    """Spoils the answers to paths that match. They come uncompressed, so that they can be spoiled."""

    def spoil(handler, path, answer):
        if answer.headers.get("content-encoding") == "gzip":
            import gzip

            answer.body = gzip.decompress(answer.body)
            del answer.headers["content-encoding"]
        return change(handler, answer) if re.search(pattern, path) else answer

    return spoil


def each_dataset(change):
    def spoil(_, answer):
        datasets = answer.json
        for ds in datasets:
            change(ds)
        return answer.says(datasets)

    return spoil


def replaced(old, new):
    def spoil(_, answer):
        answer.body = answer.body.replace(old, new)
        return answer

    return spoil


def status(code, headers=None, body=b""):
    return lambda _handler, _answer: Answer(code, headers or {}, body)


def endless(handler, _answer):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/dicom+json")
    handler.send_header("Connection", "close")
    handler.end_headers()
    try:
        handler.wfile.write(b"[")
        while True:
            handler.wfile.write(b"{}, " * 16384)
    except OSError:
        return None


def dribble(handler, _answer):
    """A byte now and then, until the client has had enough."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/dicom+json")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    pause = threading.Event()
    try:
        for _ in range(1000):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            pause.wait(0.02)
    except OSError:
        pass
    return None


STUDIES, SERIES, SERIES_METADATA, FRAME = r"/studies\?", r"/series(\?|$)", r"/series/[0-9.]+/metadata", r"/frames/"


def cut_in_half(_, answer):
    answer.body = answer.body[: len(answer.body) // 2]
    return answer


def torn(handler, answer):
    """Promises more than it gives."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/dicom+json")
    handler.send_header("Content-Length", str(len(answer.body) + 1000))
    handler.end_headers()
    handler.wfile.write(answer.body)
    return None


SPOILT = {
    "empty ModalitiesInStudy": (on(STUDIES, each_dataset(lambda ds: ds.update({"00080061": {"vr": "CS"}}))), "modalities-empty"),
    "no number of instances": (on(STUDIES, each_dataset(lambda ds: ds.pop("00201208"))), "instance-count-missing"),
    "series without their study": (on(SERIES, each_dataset(lambda ds: ds.pop("0020000D"))), "uid-missing"),
    "null for an empty text": (on(STUDIES, each_dataset(lambda ds: ds.update({"00081030": {"vr": "LO", "Value": [None]}}))), "null-value"),
    "filters that are ignored": (on(r"ModalitiesInStudy=", lambda _, a: a.says(a.json + [{"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00080061": {"vr": "CS", "Value": ["XA"]}, "00201208": {"vr": "IS", "Value": [1]}}])), "filter-ignored"),
    "filters that find nothing": (on(r"PatientName=", lambda _, a: a.says([])), "filter-misses"),
    "an unsupported filter": (on(r"StudyDate=", status(400)), "filter-refused"),
    "metadata cut short": (on(SERIES_METADATA, cut_in_half), "not-json"),
    "metadata broken off": (on(SERIES_METADATA, torn), "broke-off"),
    "a page of metadata": (on(SERIES_METADATA, lambda _, a: a.says(a.json[1:])), "metadata-count"),
    "a subset of tags": (on(SERIES_METADATA, each_dataset(lambda ds: ds.pop("00280010", None))), "metadata-subset"),
    "BulkDataURI elsewhere": (on(SERIES_METADATA, each_dataset(lambda ds: ds.update({"00420011": {"vr": "OB", "BulkDataURI": "http://10.0.0.5:8042/x"}}))), "bulk-elsewhere"),
    "unreadable bulk data": (on(r"/bulkdata/|/bulk/", status(406)), "bulk-unreadable"),
    "500 on metadata": (on(SERIES_METADATA, status(500)), "server-error"),
    "500 on the list": (on(STUDIES, status(500)), "server-error"),
    "a login page": (on(STUDIES, status(200, {"Content-Type": "text/html"}, b"<html>Please log in, Geheimrat</html>")), "not-json"),
    "no JSON array": (on(STUDIES, status(200, {"Content-Type": "application/json"}, b'{"error": "Geheimrat"}')), "not-an-array"),
    "401": (on(STUDIES, status(401)), "unauthorized"),
    "an endless body": (on(STUDIES, endless), "too-long"),
    "a slow dribble": (on(STUDIES, dribble), "timed-out"),
    "a redirect elsewhere": (on(STUDIES, status(302, {"Location": "http://login.example.org/?for=Geheimrat"})), "redirected-elsewhere"),
    "a part without transfer syntax": (on(FRAME, replaced(b"; transfer-syntax=1.2.840.10008.1.2.1\r\n", b"\r\n")), "part-without-transfer-syntax"),
    "a part in another spelling": (on(FRAME, replaced(b"Content-Type:", b"content-type:")), "part-content-type"),
    "no line break before the end": (on(FRAME, lambda _, a: Answer(a.status, a.headers, re.sub(rb"\r\n(--[^\r\n]+--)", rb"\1", a.body))), "part-boundary-line-break"),
    "a frame cut short": (on(FRAME, lambda _, a: Answer(a.status, a.headers, a.body[:-600])), "part-boundary"),
    "a wrong label": (on(FRAME, replaced(b"transfer-syntax=1.2.840.10008.1.2.1\r\n", b"transfer-syntax=1.2.840.10008.1.2.4.70\r\n")), "frame-code"),
    "no thumbnails": (on(r"/thumbnail", status(404)), "thumbnail-missing"),
    "a picture that is none": (on(r"/rendered\?viewport", status(200, {"Content-Type": "image/jpeg"}, b"<html>")), "not-a-picture"),
    "no files": (on(r"/instances/[0-9.]+$", status(406)), "file-refused"),
    "no WADO-URI": (on(r"^/wado", status(404)), "wado-uri-missing"),
}  # fmt: skip


def test_a_relay_that_spoils_nothing_is_as_good_as_the_server(filled):
    with Relay(filled, plain) as relay:
        code, report, codes = examine(relay.web, "--header", f"Authorization: {SECRET}")
    assert (code, codes) == (0, {}), codes
    assert len(relay.seen) == report["requests"]
    assert {headers.get("authorization") for _, _, headers in relay.seen} == {SECRET}
    accepts = {headers["accept"] for _, path, headers in relay.seen if "/frames/1" in path}
    assert "multipart/related; type=application/octet-stream; transfer-syntax=*" in accepts, accepts
    assert any("includefield=00081030%2C00080060%2C00080090%2C00100030" in path for _, path, _ in relay.seen)


@pytest.mark.parametrize("what", SPOILT)
def test_each_wrong_is_found_and_named(filled, what):
    spoil, code = SPOILT[what]
    study = web.value(web.qido(filled, "/studies", {"ModalitiesInStudy": "CT"})[0], "0020000D")
    # An endless body ends at its limit, anything else long before this time; the dribble takes all of it.
    timeout = 1 if what == "a slow dribble" else 60
    with Relay(filled, spoil) as relay:
        done = run("doctor", relay.web, "--study", study, "--timeout", timeout, "--json", env={"OVERREAD_DOCTOR_AUTHORIZATION": SECRET})
    report = json.loads(done.stdout)
    found = {f["code"]: f for step in report["steps"] for f in step["findings"]}
    assert code in found, (what, found)
    assert done.returncode == {"broken": 1, "warning": 3, "note": 0}[report["level"]] and report["level"] != "ok"
    assert {headers.get("authorization") for _, _, headers in relay.seen} == {SECRET}
    silent(done)


@pytest.mark.parametrize("what", ["a login page", "a redirect elsewhere", "metadata cut short"])
def test_the_text_for_people_says_what_where_and_why(filled, what):
    spoil, code = SPOILT[what]
    with Relay(filled, spoil) as relay:
        done = run("doctor", relay.web, "--header", f"Authorization: {SECRET}")
    assert done.returncode == 1 and done.stderr == ""
    lines = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("      ")]
    assert {"asked", "Accept", "came", "would", "hint", code} <= set(lines), done.stdout
    assert re.search(r"(?m)^  broken +OHIF 3.13$", done.stdout), done.stdout
    silent(done)


def silent(done):
    """Nothing of the patient, nothing of the credentials."""
    for secret in (SECRET, NAME, NAME.split("^")[0], ID, ACCESSION, "Geheimsache", "20260301"):
        assert secret not in done.stdout + done.stderr, secret


def test_a_proxy_that_hides_the_host_is_found(filled):
    """Every URL of the server then leads to its inner address, as with an nginx that was not told otherwise."""
    with Relay(filled, plain, has_host=False) as relay:
        code, _, codes = examine(relay.web)
    assert code == 1 and {"bulk-elsewhere", "retrieve-url-elsewhere"} <= set(codes), codes
    assert f"127.0.0.1:{filled.ports[0]}" in codes["bulk-elsewhere"]["came"]


def test_uncompressed_metadata_is_a_warning(filled, start):
    server = start()
    for ds in made.study(60):
        web.stow(server, [made.file(ds)])
    with Relay(server, on("nothing", plain)) as relay:
        code, _, codes = examine(relay.web)
    assert code == 3 and set(codes) == {"no-gzip"}, codes
