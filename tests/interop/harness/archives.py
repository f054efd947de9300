"""Other archives: Orthanc, and dcmqrscp of DCMTK, each with the modalities that a test tells it."""

import json
import subprocess

import requests

from . import wait
from .receiver import is_listening
from .server import free_port


class Orthanc:
    """`modalities` is a dict of names: (AE title, port)."""

    def __init__(self, folder, modalities=(), ports=None, **settings):
        self.http, self.port = ports or (free_port(), free_port())
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.settings = {
            "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": self.http, "DicomPort": self.port,
            "DicomAet": "ORTHANC", "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [],
            "DicomModalities": {name: [title, "127.0.0.1", port] for name, (title, port) in dict(modalities).items()}, **settings,
        }  # fmt: skip

    def __enter__(self):
        (self.folder / "orthanc.json").write_text(json.dumps(self.settings))
        with open(self.folder / "orthanc.log", "wb") as log:
            self.process = subprocess.Popen(["Orthanc", self.folder / "orthanc.json"], stdout=log, stderr=log)
        wait.until(lambda: is_listening(self.http) and is_listening(self.port), "Orthanc listens", 60)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)

    @property
    def peer(self):
        return f"ORTHANC@127.0.0.1:{self.port}"

    def get(self, path):
        response = requests.get(f"http://127.0.0.1:{self.http}{path}", timeout=60)
        response.raise_for_status()
        return response

    def post(self, path, body):
        data = body if isinstance(body, bytes) else json.dumps(body)
        response = requests.post(f"http://127.0.0.1:{self.http}{path}", data=data, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()

    def files(self):
        """Every file that it keeps."""
        return [self.get(f"/instances/{one}/file").content for one in self.get("/instances").json()]


class Dcmqrscp:
    """dcmqrscp; `hosts` is a dict of AE titles and ports that it may move to."""

    def __init__(self, folder, hosts=(), *options):
        self.port, self.folder = free_port(), folder
        self.store = folder / "store"
        self.store.mkdir(parents=True)
        names = [f"h{n} = ({title}, 127.0.0.1, {port})" for n, (title, port) in enumerate(dict(hosts).items())]
        (folder / "qr.cfg").write_text(
            f"NetworkTCPPort = {self.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\n" + "\n".join(names) +
            f"\nHostTable END\nVendorTable BEGIN\nVendorTable END\nAETable BEGIN\nQR {self.store} RW (9, 1024mb) ANY\nAETable END\n"
        )  # fmt: skip
        self.options = options

    def __enter__(self):
        with open(self.folder / "qr.log", "wb") as log:
            self.process = subprocess.Popen(["dcmqrscp", "-v", *self.options, "-c", self.folder / "qr.cfg"], stdout=log, stderr=log)
        wait.until(lambda: is_listening(self.port), "dcmqrscp listens")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    @property
    def peer(self):
        return f"QR@127.0.0.1:{self.port}"

    def paths(self):
        return [path for path in self.store.iterdir() if path.name != "index.dat"]
