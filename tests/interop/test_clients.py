"""Foreign DICOMweb clients store, search and retrieve: dicomweb-client of npm (the one under OHIF) with
dcmjs, and Orthanc with its DICOMweb plugin. dicomweb-client of Python has its tests beside each service."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import requests
from PIL import Image
from pydicom import dcmread

from harness import made, part10, wait, web
from harness.server import free_port

CLIENTS = Path(__file__).parent / "clients"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_the_client_of_browsers_stores_searches_and_retrieves(server, tmp_path):
    objects = made.study(4, rows=32, columns=24, PatientName="Müller^Zoë")
    objects[0].add_new(0x00420011, "OB", bytes(range(256)) * 40)
    files = []
    for number, ds in enumerate(objects):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(made.file(ds))
    ran = subprocess.run(["node", CLIENTS / "run.mjs", server.web, *files], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)

    ds = objects[0]
    assert told["uids"]["sopInstanceUID"] == ds.SOPInstanceUID
    assert [row["0020000D"]["Value"] for row in told["studies"]] == [[ds.StudyInstanceUID]]
    assert told["studies"][0]["00100010"]["Value"] == [{"Alphabetic": "Müller^Zoë"}]
    assert [row["0020000E"]["Value"] for row in told["series"]] == [[ds.SeriesInstanceUID]]
    assert {row["00080018"]["Value"][0] for row in told["instances"]} == {o.SOPInstanceUID for o in objects}
    assert told["metadata"]["00280010"]["Value"] == [32]
    assert (told["seriesMetadata"], told["studyMetadata"], told["studyCount"], told["seriesCount"]) == (4, 4, 4, 4)
    assert told["patientName"] == "Müller^Zoë"
    assert told["frame"] == sha256(ds.PixelData)
    assert Image.open(io.BytesIO(base64.b64decode(told["rendered"]))).size == (24, 32)
    assert told["bulk"] == {"tag": "00420011", "sha256": sha256(bytes(range(256)) * 40)}
    assert told["instance"] == sha256(web.file_of(web.get(server, web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID), web.AS_STORED)))


class Orthanc:
    """An Orthanc that knows our server as `overread`."""

    def __init__(self, folder, server):
        self.port = free_port()
        settings = {
            "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": self.port, "DicomServerEnabled": False,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Servers": {"overread": {"Url": server.web + "/", "HasDelete": True}}},
        }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self.log = folder / "orthanc.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=log, stderr=log)
        wait.until(self.answers, "Orthanc answers", 30)

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            return requests.get(self.url + "/system", timeout=5).ok
        except requests.ConnectionError:
            return False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def post(self, path, body, **keywords):
        data = body if isinstance(body, bytes) else json.dumps(body)
        response = requests.post(self.url + path, data=data, timeout=60, **keywords)
        assert response.ok, (path, response.status_code, response.text, self.log.read_text()[-2000:])
        return response.json()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def orthanc(server, tmp_path):
    peer = Orthanc(tmp_path, server)
    yield peer
    peer.stop()
    shutil.rmtree(tmp_path / "db", ignore_errors=True)


def test_orthanc_stores_searches_and_retrieves(server, orthanc):
    objects = made.study(5, rows=40, columns=40, PatientName="Orthanc^Otto")
    study = objects[0].StudyInstanceUID
    ids = [orthanc.post("/instances", made.file(ds))["ID"] for ds in objects]
    parent = requests.get(f"{orthanc.url}/instances/{ids[0]}/study", timeout=10).json()["ID"]

    # STOW-RS: Orthanc → us.
    orthanc.post("/dicom-web/servers/overread/stow", {"Resources": [parent], "Synchronous": True})
    rows = web.qido(server, "/instances", {"StudyInstanceUID": study})
    assert {row["00080018"]["Value"][0] for row in rows} == {ds.SOPInstanceUID for ds in objects}

    # QIDO-RS and metadata through Orthanc.
    found = orthanc.post("/dicom-web/servers/overread/qido", {"Uri": "/studies", "Arguments": {"00100010": "Orthanc*", "0020000D": study}})
    assert len(found) == 1 and study in json.dumps(found)
    answer = requests.post(
        f"{orthanc.url}/dicom-web/servers/overread/get", timeout=30,
        data=json.dumps({"Uri": f"/studies/{study}/metadata", "HttpHeaders": {"Accept": web.JSON}}),
    )  # fmt: skip
    assert answer.ok and len(answer.json()) == 5

    # WADO-RS: us → an Orthanc that has lost the study.
    assert requests.delete(f"{orthanc.url}/studies/{parent}", timeout=30).ok
    orthanc.post("/dicom-web/servers/overread/retrieve", {"Resources": [{"Study": study}], "Synchronous": True})
    back = requests.get(f"{orthanc.url}/instances", timeout=10).json()
    assert len(back) == 5
    pixels = {ds.SOPInstanceUID: ds.PixelData for ds in objects}
    for one in back:
        file = requests.get(f"{orthanc.url}/instances/{one}/file", timeout=10).content
        ds = dcmread(io.BytesIO(file))
        assert ds.PixelData == pixels.pop(ds.SOPInstanceUID)
        assert part10.transfer_syntax(file) == "1.2.840.10008.1.2.1"
    assert not pixels
