"""Behind a reverse proxy, as it is run in hospitals: a real nginx with TLS, HTTP/2 and a path prefix
in front (conformance.md §8, 12, 20, 122)."""

import json
import subprocess

import pytest
import requests

from harness import made, wait, web
from harness.server import free_port

PREFIX = "/hospital/pacs"

CONF = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    server_name localhost;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    client_max_body_size 0;
    location {prefix}/ {{
      proxy_pass http://127.0.0.1:{inner}/;
      proxy_http_version 1.1;
      proxy_request_buffering off; proxy_buffering off;
      {headers}
    }}
  }}
}}
"""

X_FORWARDED = """proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Prefix {prefix};"""
FORWARDED = """proxy_set_header Forwarded 'for=192.0.2.7;proto=https;host="$http_host"';
      proxy_set_header X-Forwarded-Prefix {prefix};"""
NOTHING = ""


class Proxy:
    """nginx in front of a server; ends with the test."""

    def __init__(self, folder, inner, port, headers):
        self.url, self.certificate = f"https://localhost:{port}{PREFIX}", folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem", "-out", self.certificate,
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
            check=True, capture_output=True,
        )  # fmt: skip
        conf = folder / "nginx.conf"
        conf.write_text(CONF.format(folder=folder, port=port, inner=inner, prefix=PREFIX, headers=headers.format(prefix=PREFIX)))
        self.process = subprocess.Popen(["nginx", "-p", folder, "-c", conf], stderr=subprocess.DEVNULL)
        wait.until(self.answers, "nginx answers")

    def answers(self):
        assert self.process.poll() is None, "nginx ended"
        try:
            return self.get("/healthz").ok
        except requests.ConnectionError:
            return False

    def get(self, path, accept="*/*", **keywords):
        url = path if path.startswith("https:") else self.url + path
        return requests.get(url, headers={"Accept": accept} | keywords.pop("headers", {}), verify=self.certificate, timeout=30, **keywords)

    def stow(self, ds):
        content_type, body = web.multipart([made.file(ds)])
        headers = {"Content-Type": content_type, "Accept": web.JSON}
        return requests.post(f"{self.url}/dicom-web/studies", data=body, headers=headers, verify=self.certificate, timeout=30)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def proxied(start, tmp_path):
    proxies = []

    def begin(headers, config):
        port = free_port()
        config = {key: value.format(port=port) if isinstance(value, str) else value for key, value in config.items()}
        server = start(config={"http": config})
        proxies.append(Proxy(tmp_path, server.ports[0], port, headers))
        return proxies[-1]

    yield begin
    for proxy in proxies:
        proxy.stop()


@pytest.mark.parametrize(
    ("headers", "config"),
    [
        (NOTHING, {"public_url": "https://localhost:{port}" + PREFIX}),
        (X_FORWARDED, {"trusted_proxies": ["127.0.0.1"]}),
        (FORWARDED, {"trusted_proxies": ["127.0.0.1"]}),
    ],
    ids=["public_url", "x_forwarded", "forwarded"],
)
def test_a012_a122_every_url_leads_back_through_the_proxy(proxied, headers, config):
    proxy = proxied(headers, config)
    base = proxy.url + "/dicom-web/"
    ds = made.instance(rows=64, columns=64)
    ds.add_new(0x00420011, "OB", b"%PDF" + bytes(9000))
    stored = proxy.stow(ds)
    assert stored.status_code == 200, stored.text
    answer = stored.json()
    urls = [answer["00081190"]["Value"][0], answer["00081199"]["Value"][0]["00081190"]["Value"][0]]

    for path in ("studies", f"studies/{ds.StudyInstanceUID}/series", f"studies/{ds.StudyInstanceUID}/instances"):
        urls += [row["00081190"]["Value"][0] for row in proxy.get(f"/dicom-web/{path}", web.JSON).json()]
    instance = base + f"studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    assert urls[1] == instance and urls[-1] == instance

    metadata = proxy.get(instance + "/metadata", web.JSON)
    bulk = metadata.json()[0]["00420011"]["BulkDataURI"]
    assert bulk.startswith(instance)
    value = proxy.get(bulk, "application/octet-stream")
    assert value.content == bytes(ds[0x00420011].value)
    part = proxy.get(bulk, "application/octet-stream", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PDF")

    for url in urls:
        assert url.startswith(base), url
        response = proxy.get(url, web.AS_STORED)
        assert response.status_code == 200, url
        for head, _ in web.parts_of(response):
            assert head["content-location"].startswith(base)
    frames = web.parts_of(proxy.get(instance + "/frames/1", web.OCTETS))
    assert frames[0][0]["content-location"] == instance + "/frames/1"
    assert frames[0][1] == ds.PixelData


def test_a_stranger_is_not_believed(start):
    server = start()
    ds = made.instance()
    assert web.stow(server, [made.file(ds)]).status_code == 200
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example;proto=https"}
    for path in ("/studies", f"/studies/{ds.StudyInstanceUID}/metadata"):
        assert "evil" not in web.get(server, path, web.JSON, headers=headers).text


def test_a020_http_2_gives_the_same_bytes(proxied, tmp_path):
    """HTTP/2 is spoken by the proxy; many streams at once over one connection give what HTTP/1.1 gives."""
    proxy = proxied(X_FORWARDED, {"trusted_proxies": ["127.0.0.1"]})
    ds = made.instance(rows=32, columns=32, frames=12)
    assert proxy.stow(ds).status_code == 200
    instance = f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    paths = [f"{instance}/frames/{n}" for n in range(1, 13)] + [instance + "/metadata", "/dicom-web/studies"]
    accept = "application/octet-stream, application/dicom+json"
    command = ["curl", "--silent", "--http2", "--cacert", proxy.certificate, "--parallel", "--parallel-max", "14", "-H", f"Accept: {accept}"]
    command += ["--write-out", "%{http_version} %{http_code}\n"]
    for number, path in enumerate(paths):
        command += ["-o", tmp_path / f"{number}.out", proxy.url + path]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[:-1] == ["2 200"] * len(paths)
    for number, path in enumerate(paths):
        assert (tmp_path / f"{number}.out").read_bytes() == proxy.get(path, accept).content, path
    assert json.loads((tmp_path / "12.out").read_bytes())[0]["00280008"]["Value"] == [12]
