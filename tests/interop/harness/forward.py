"""What a test of forwarding needs: what the server says of its queue, and a DICOMweb server that answers as a
test says."""

import json
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from . import made, part10, wait, web
from .wire import EXPLICIT, Association


def config(*rules, stable_s=1, retry_s=1, peers=(), dicom=(), ingest=(), **forward):
    """A configuration that does not keep a test waiting."""
    return {
        "dicom": {"peers": list(peers), "send_retries": 0} | dict(dicom),
        "forward": {"rules": list(rules), "stable_s": stable_s, "retry_s": retry_s} | forward,
        "ingest": dict(ingest),
    }


def counts(server):
    """{destination: {what: number}} of /metrics."""
    found = {}
    text = requests.get(f"{server.url}/metrics", timeout=30).text
    for what, destination, value in re.findall(r'^overread_forward_(\w+)\{destination="(.*)"\} (\d+)$', text, re.MULTILINE):
        found.setdefault(destination, {})[what] = int(value)
    return found


def is_idle(server):
    return all(c["unstable"] + c["due"] == 0 for c in counts(server).values())


def drained(server, seconds=40, **sent):
    """Waits until nothing is queued any more (what has failed apart), and so much was sent where a test says so."""

    def is_so():
        now = counts(server)
        return is_idle(server) and all(now.get(d, {}).get("sent_total", 0) >= n for d, n in sent.items())

    try:
        wait.until(is_so, "the queue is empty", seconds)
    except AssertionError:
        raise AssertionError(f"{counts(server)}\n{server.log()[-3000:]}") from None
    return counts(server)


def listed(server, *flags):
    ran = server.cli("forward list --json", *flags)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def store(server, *objects, calling="MODALITY", called="OVERREAD"):
    """C-STORE of objects; gives the bytes of their data sets by UID."""
    contexts = [(sop_class, [EXPLICIT]) for sop_class in sorted({str(ds.SOPClassUID) for ds in objects})]
    sent = {}
    with Association(server.dicom_address, contexts, calling=calling, called=called) as peer:
        for ds in objects:
            sent[str(ds.SOPInstanceUID)] = body = made.encode(ds)
            assert peer.store(str(ds.SOPClassUID), str(ds.SOPInstanceUID), EXPLICIT, body) == 0
    return sent


def stow(server, *objects):
    """STOW-RS of objects; gives the bytes of their data sets by UID."""
    assert web.stow(server, [made.file(ds) for ds in objects]).status_code == 200
    return {str(ds.SOPInstanceUID): made.encode(ds) for ds in objects}


def held(server):
    """The data set of everything that one of our servers holds, by SOP Instance UID; none comes twice."""
    found = {}
    for row in web.qido_all(server, "/instances"):
        uid = web.value(row, "00080018")
        assert uid not in found, "an instance is there twice"
        path = web.instance_path(web.value(row, "0020000D"), web.value(row, "0020000E"), uid)
        found[uid] = part10.data_set(web.file_of(web.get(server, path, web.AS_STORED)))
    return found


class WebPeer:
    """A DICOMweb server with a script: `answer(number, {uid: file}, headers)` gives (status, headers, body) to the
    request of this number, from 1, or None for "200, all stored"; a status of None breaks the connection."""

    def __init__(self, answer=lambda number, files, headers: None, port=0, unwilling=None, tls=None):
        """`unwilling` is the status with which an announced body is refused before it comes; `tls` (certificate, key)."""
        self.scheme = "https" if tls else "http"
        self.requests, self.files, self.answer, self.turned_away = [], {}, answer, 0
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_expect_100(self):
                if unwilling is None:
                    return super().handle_expect_100()
                peer.turned_away += 1
                self.send_response(unwilling)
                self.send_header("Content-Length", "0")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                return False

            def do_POST(self):
                body = peer.read(self)
                parts = [content for _, content in web.split_parts(self.headers["Content-Type"], body)]
                files = {str(part10.split(file)[0].MediaStorageSOPInstanceUID): file for file in parts}
                peer.requests.append((self.path, list(files), self.headers))
                status, headers, text = peer.answer(len(peer.requests), files, self.headers) or (200, {}, stored(files))
                if status is None:
                    self.close_connection = True
                    return
                if status in (200, 202) and text and "Content-Type" not in headers:
                    refused = {i["00081155"]["Value"][0] for i in json.loads(text).get("00081198", {}).get("Value", [])}
                    peer.files |= {uid: file for uid, file in files.items() if uid not in refused}
                self.send_response(status)
                for name, value in ({"Content-Type": web.JSON} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            # The handshake belongs to the thread of its connection.
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def read(self, handler):
        if handler.headers.get("Transfer-Encoding", "") == "chunked":
            body = b""
            while size := int(handler.rfile.readline(), 16):
                body += handler.rfile.read(size)
                handler.rfile.readline()
            handler.rfile.readline()
            return body
        return handler.rfile.read(int(handler.headers["Content-Length"]))

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}/dicom-web"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def stored(files, refused=()):
    """A Store response (PS3.18 §10.5.3.2) as bytes; `refused` is {uid: failure reason}."""

    def items(uids):
        return [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in uids]

    answer = {"00081199": {"vr": "SQ", "Value": items(uid for uid in files if uid not in refused)}}
    if refused:
        answer["00081198"] = {"vr": "SQ", "Value": items(refused)}
        for item, reason in zip(answer["00081198"]["Value"], refused.values()):
            item["00081197"] = {"vr": "US", "Value": [reason]}
    return json.dumps(answer).encode()
