"""Every file that pydicom ships, through every door: kept or refused for a stated reason, given
back as it came, described as pydicom reads it (issue 2, "How it will be judged").

Each layer of the corpus (see `harness.corpus`) goes into four archives: by STOW-RS, by `import`,
by C-STORE of the very bytes, and by DCMTK's storescu, whose own re-encoding is what counts there.
"""

import io
import json
import re
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.encaps import generate_frames
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid

from harness import corpus, made, oracle, part10, web
from harness.server import AE_TITLE, Server
from harness.wire import EXPLICIT, Association

DOORS = ("stow", "import", "wire", "storescu")
# What storescu has to be told so that it proposes the syntax of a compressed file.
STORESCU_OPTION = {
    "1.2.840.10008.1.2.4.50": "-xy", "1.2.840.10008.1.2.4.51": "-xx", "1.2.840.10008.1.2.4.57": "-xs",
    "1.2.840.10008.1.2.4.70": "-xs", "1.2.840.10008.1.2.4.80": "-xt", "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv", "1.2.840.10008.1.2.4.91": "-xw", "1.2.840.10008.1.2.5": "-xr",
    "1.2.840.10008.1.2.1.99": "-xd", "1.2.840.10008.1.2.2": "-xb", "1.2.840.10008.1.2": "-xi",
}  # fmt: skip

# What DCMTK 3.6.7 itself cannot send, the reasons as it prints them.
STORESCU_CANNOT = {
    "test_files/SC_rgb_jpeg.dcm": "missing SOP class (or instance) in file",  # a private sequence in disorder
    "test_files/rtdose_rle.dcm": "missing SOP class (or instance) in file",  # pixel data of odd length
    "test_files/rtdose_rle_1frame.dcm": "missing SOP class (or instance) in file",
    "data_store/explicit_VR-UN.dcm": "missing SOP class (or instance) in file",
}

# What pydicom cannot write, so that dicomweb-client never gets to send it.
PYDICOM_CANNOT_WRITE = {"test_files/SC_rgb_jpeg.dcm": "encoding without a string argument"}  # (0008,0008) is binary

# Why `import` says it refused (nothing for what is no DICOM or a DICOMDIR: they are passed over and counted).
TOLD = {
    corpus.NO_STUDY: r"StudyInstanceUID is missing",
    corpus.NO_UIDS: r"SOPClassUID is missing",
    corpus.CUT: r"the data set is cut off at byte \d+",
    corpus.MALFORMED: r"SOPInstanceUID is malformed",
}
# C-STORE (CONFORMANCE.md, "C-STORE status"). What is no DICOM is read as the elements that were announced, and ends too early.
STATUS = {corpus.NO_STUDY: 0xC004, corpus.NO_UIDS: 0xC004, corpus.CUT: 0xC001, corpus.MALFORMED: 0x0117, corpus.NO_DICOM: 0xC001}
# STOW-RS failure reasons (CONFORMANCE.md, "Store").
REASON = {
    corpus.NO_STUDY: 0xA900, corpus.NO_UIDS: 0xA900, corpus.CUT: 0xC000, corpus.MALFORMED: 0xA900, corpus.NO_DICOM: 0xC000,
    corpus.DIRECTORY: 0xA900,
}  # fmt: skip


class Capture:
    """A peer that takes everything and keeps the bytes: what storescu really sends."""

    def __init__(self):
        self.bytes = {}
        self.last = None
        ae = AE(ae_title="CAPTURE")
        ae.maximum_pdu_size = 0
        # Retired, and so unknown to pynetdicom, but in the corpus.
        register_uid("1.2.840.10008.5.1.4.1.1.6", "UltrasoundImageStorageRetired", StorageServiceClass)
        syntaxes = [UID(u) for u in (*STORESCU_OPTION, "1.2.840.10008.1.2.1")]
        for case in corpus.cases():
            if case.refusal is None:
                ae.add_supported_context(case.sop_class, syntaxes)
        self.server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.take)])
        self.address = self.server.socket.getsockname()

    def take(self, event):
        self.last = (str(event.context.transfer_syntax), event.request.DataSet.getvalue())
        return 0x0000

    def send(self, case):
        """What storescu sends for a file, `None` when it cannot, and what it says."""
        with _sending:
            self.last = None
            done = storescu(self.address, "CAPTURE", case)
            return self.last, done.stdout + done.stderr


def storescu(address, called, case):
    options = [STORESCU_OPTION[case.transfer_syntax]] if case.transfer_syntax in STORESCU_OPTION else ["-xe"]
    return subprocess.run(
        ["storescu", "-aec", called, "-R", *options, address[0], str(address[1]), str(case.path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


class Archive:
    """What one server holds of one layer after one door."""

    def __init__(self, door, server, layer):
        self.door = door
        self.complaints = {}
        self.sent = {}
        self.unsent = {}
        getattr(self, f"through_{door}")(server, layer)
        self.observe(server, layer)

    def through_stow(self, server, layer):
        for case in layer:
            response = web.stow(server, [case.data])
            if response.status_code != 200:
                self.complaints[case.name] = f"STOW-RS {response.status_code} {response.text[:300]}"
            self.sent[case.name] = (case.transfer_syntax, case.body)

    def through_import(self, server, layer):
        """One run for the first file of every study, one for the second and so on: a study and a series
        keep what came first, and within one run files come in any order."""
        assert server.stop() == 0
        rounds, seen = [], Counter()
        for case in layer:
            if seen[case.uids[0]] == len(rounds):
                rounds.append([])
            rounds[seen[case.uids[0]]].append(case)
            seen[case.uids[0]] += 1
        for together in rounds:
            done = server.cli("import", *[case.path for case in together])
            for case in together:
                if done.returncode != 0:
                    self.complaints[case.name] = f"import ended with {done.returncode}: {done.stdout[-400:]} {done.stderr[-400:]}"
                self.sent[case.name] = (case.transfer_syntax, case.body)
        server.start()

    def through_wire(self, server, layer):
        for case in layer:
            with Association(server.dicom_address, [(case.sop_class, [case.transfer_syntax])]) as peer:
                status = peer.store(case.sop_class, case.uids[2], case.transfer_syntax, case.body)
            if status != 0:
                self.complaints[case.name] = f"C-STORE status {status:04X}"
            self.sent[case.name] = (case.transfer_syntax, case.body)

    def through_storescu(self, server, layer):
        for case in layer:
            sent, said = capture().send(case)
            if sent is None:
                self.unsent[case.name] = said
                continue
            self.sent[case.name] = sent
            done = storescu(server.dicom_address, AE_TITLE, case)
            if done.returncode != 0:
                self.complaints[case.name] = f"storescu: {done.stdout} {done.stderr}"

    def observe(self, server, layer):
        """Everything a client can see, with this server's own address taken out."""
        self.metadata, self.files, self.bulk, self.frames, self.rows = {}, {}, {}, {}, {}
        session = requests.Session()
        for case in layer:
            if case.name not in self.sent or case.name in self.complaints:
                continue
            path = server.web + web.instance_path(*case.uids)
            answer = session.get(path + "/metadata", headers={"Accept": web.JSON})
            self.metadata[case.name] = answer.text.replace(server.web, "{base}") if answer.ok else f"HTTP {answer.status_code}"
            answer = session.get(path, headers={"Accept": web.AS_STORED})
            self.files[case.name] = web.file_of(answer) if answer.ok else None
            for uri in bulk_uris(self.metadata[case.name]):
                answer = session.get(
                    uri.replace("{base}", server.web), headers={"Accept": "application/octet-stream; transfer-syntax=*, */*;q=0.1"}
                )
                self.bulk[uri] = answer.content if answer.ok else f"HTTP {answer.status_code} {answer.text[:200]}".encode()
            self.frames[case.name] = self.observe_frames(session, path, case)
        for level in ("studies", "series", "instances"):
            params = {"includefield": "all"}
            rows = web.qido_all(server, f"/{level}", params)
            self.rows[level] = sorted(json.dumps(row, sort_keys=True).replace(server.web, "{base}") for row in rows)

    @staticmethod
    def observe_frames(session, path, case):
        wanted = expected_frames(case)
        if wanted is None:
            return None
        numbers = ",".join(str(n + 1) for n in range(len(wanted)))
        answer = session.get(f"{path}/frames/{numbers}", headers={"Accept": web.OCTETS})
        if not answer.ok:
            return f"HTTP {answer.status_code} {answer.text[:200]}"
        return [body for _, body in web.parts_of(answer)]


def bulk_uris(metadata):
    """Every BulkDataURI in it but that of encapsulated pixel data, whose frames are compared instead."""
    found = []

    def look(value):
        if isinstance(value, dict):
            if "BulkDataURI" in value:
                found.append(value["BulkDataURI"])
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    if metadata.startswith("["):
        look(json.loads(metadata))
    return found


def expected_frames(case):
    """The frames as pydicom cuts them: little endian, one frame's bits from the first bit of a byte."""
    ds = case.dataset
    if "PixelData" not in ds or not ds.PixelData or "Rows" not in ds:
        return None
    try:
        frames = int(ds.get("NumberOfFrames") or 1)
    except ValueError:
        return None  # badVR.dcm: "1A" frames, which pydicom does not cut either
    if ds["PixelData"].is_undefined_length:
        return list(generate_frames(ds.PixelData, number_of_frames=frames))
    pixels = bytes(ds.PixelData)
    if ds.original_encoding[1] is False:
        pixels = oracle.swapped(pixels, oracle.pixel_bytes(ds))
    samples = 2 if ds.PhotometricInterpretation == "YBR_FULL_422" else ds.SamplesPerPixel
    bits = ds.Rows * ds.Columns * samples * ds.BitsAllocated
    if bits % 8 == 0:
        size = bits // 8
        return [pixels[n * size : (n + 1) * size] for n in range(frames)]
    whole = int.from_bytes(pixels, "little")
    return [((whole >> (n * bits)) & ((1 << bits) - 1)).to_bytes((bits + 7) // 8, "little") for n in range(frames)]


_capture = None
_lock = threading.Lock()
_sending = threading.Lock()


def capture():
    global _capture
    with _lock:
        _capture = _capture or Capture()
    return _capture


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Per layer and door, what an archive shows. Built once; servers are gone when tests look."""
    folder = tmp_path_factory.mktemp("corpus")

    def build(job):
        number, door, layer = job
        with Server(folder / f"{door}{number}") as server:
            archive = Archive(door, server, layer)
            archive.log_text = server.log()
        server.forget()
        return (number, door), archive

    jobs = [(n, door, layer) for n, layer in enumerate(corpus.layers()) for door in DOORS]
    with ThreadPoolExecutor(4) as pool:
        yield dict(pool.map(build, jobs))
    if _capture:
        _capture.server.shutdown()


@pytest.fixture(params=corpus.storable(), ids=lambda case: case.name)
def case(request):
    return request.param


def of_case(archives, case, door):
    number = next(n for n, layer in enumerate(corpus.layers()) if case in layer)
    return archives[number, door]


@pytest.mark.timeout(600)
def test_is_stored_through_every_door(archives, case):
    for door in DOORS:
        complaint = of_case(archives, case, door).complaints.get(case.name)
        assert complaint is None, f"{door}: {complaint}"


def test_a24_a25_what_comes_back_as_stored_is_what_came(archives, case):
    for door in DOORS:
        archive = of_case(archives, case, door)
        if case.name not in archive.sent:
            assert door == "storescu" and case.name in STORESCU_CANNOT
            continue
        got = archive.files[case.name]
        assert got is not None, f"{door}: not retrieved"
        syntax, body = archive.sent[case.name]
        meta, data_set = part10.split(got)
        assert data_set == body, f"{door}: {len(data_set)} bytes came back, {len(body)} were sent"
        assert str(meta.TransferSyntaxUID) == syntax, door


def test_storescu_sent_all_but_what_dcmtk_cannot_read(archives):
    unsent = {}
    for (number, door), archive in archives.items():
        if door == "storescu":
            unsent |= {case.name: archive.unsent[case.name] for case in corpus.layers()[number] if case.name not in archive.sent}
    assert unsent.keys() == STORESCU_CANNOT.keys()
    for name, said in unsent.items():
        assert STORESCU_CANNOT[name] in said, name


def test_a47_file_meta_says_what_the_data_set_is(archives, case):
    got = of_case(archives, case, "stow").files[case.name]
    meta, _ = part10.split(got)
    assert got[:128] == bytes(128) and got[128:132] == b"DICM"
    assert (meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID) == (case.uids[2], case.sop_class)
    assert meta.FileMetaInformationGroupLength > 0 and meta.ImplementationClassUID


def test_metadata_is_what_pydicom_derives(archives, case):
    archive = of_case(archives, case, "stow")
    objects = json.loads(archive.metadata[case.name])
    assert len(objects) == 1
    assert oracle.differences(case.data, objects[0], archive.bulk.__getitem__) == []


def test_each_frame_is_what_pydicom_extracts(archives, case):
    wanted = expected_frames(case)
    if wanted is None:
        return
    got = of_case(archives, case, "stow").frames[case.name]
    assert not isinstance(got, str), got
    assert [len(f) for f in got] == [len(f) for f in wanted]
    assert got == wanted


def test_three_doors_leave_the_same_archive(archives, case):
    first, *others = (of_case(archives, case, door) for door in ("stow", "import", "wire"))
    for other in others:
        assert other.metadata.get(case.name) == first.metadata[case.name], other.door
        assert other.files.get(case.name) == first.files[case.name], other.door
        assert other.frames.get(case.name) == first.frames[case.name], other.door


@pytest.mark.parametrize("number", range(len(corpus.layers())))
def test_three_doors_leave_the_same_index(archives, number):
    first, *others = (archives[number, door] for door in ("stow", "import", "wire"))
    assert len(first.rows["instances"]) == len(corpus.layers()[number])
    for other in others:
        for level, rows in first.rows.items():
            assert other.rows[level] == rows, (other.door, level)


def test_a239_logs_hold_no_patient(archives):
    for (number, door), archive in archives.items():
        for text in corpus.patient_texts():
            assert text not in archive.log_text, f"layer {number}, {door}"


@pytest.mark.parametrize("refused", corpus.refused(), ids=lambda case: case.name)
def test_is_refused_for_a_stated_reason(server, refused):
    before = len(web.qido_all(server, "/instances"))
    response = web.stow(server, [refused.data])
    assert response.status_code == 409, f"{refused.refusal}: {response.status_code} {response.text[:300]}"
    stored, failed, others = web.outcome(response)
    reasons = [*failed.values(), *others]
    assert not stored and len(reasons) == 1
    assert reasons[0] == REASON[refused.refusal], f"{reasons[0]:04X}: {refused.refusal}"
    assert len(web.qido_all(server, "/instances")) == before


@pytest.mark.parametrize("refused", [c for c in corpus.refused() if c.refusal in STATUS], ids=lambda case: case.name)
def test_c_store_refuses_with_the_status_of_the_reason(server, refused):
    before = len(web.qido_all(server, "/instances"))
    sop_class, sop, syntax, body = made.CT, made.uid(), EXPLICIT, refused.data
    if refused.refusal != corpus.NO_DICOM:
        meta, body = part10.split(refused.data)
        syntax = refused.transfer_syntax
        sop_class = str(refused.dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or made.CT)
        sop = str(refused.dataset.get("SOPInstanceUID") or meta.get("MediaStorageSOPInstanceUID") or sop)
    with Association(server.dicom_address, [(sop_class, [syntax])]) as peer:
        status = peer.store(sop_class, sop, syntax, body)
    assert status == STATUS[refused.refusal], f"{status:04X}: {refused.refusal}"
    assert len(web.qido_all(server, "/instances")) == before


def test_import_refuses_each_for_its_reason(start):
    server = start()
    assert server.stop() == 0
    # A file of the name DICOMDIR stands for its whole medium (test_cli.py).
    refused = [case for case in corpus.refused() if case.path.name != "DICOMDIR"]
    done = server.cli("import", *[case.path for case in refused])
    assert done.returncode == 3, (done.stdout, done.stderr)
    told = dict(re.findall(r"(?m)^refused (.*?): (.*)$", done.stdout))
    expected = {str(case.path): TOLD[case.refusal] for case in refused if case.refusal in TOLD}
    assert told.keys() == expected.keys()
    for path, reason in expected.items():
        assert re.fullmatch(reason, told[path]), (path, told[path])
    counts = {what: int(count) for what, count in re.findall(r"(?m)^(stored|already there|refused|skipped) +(\d+)\b", done.stdout)}
    assert counts == {"stored": 0, "already there": 0, "refused": len(expected), "skipped": len(refused) - len(expected)}
    server.start()
    assert web.qido(server, "/instances") == []


def test_import_tells_the_refused_from_what_is_no_dicom(start):
    server = start()
    assert server.stop() == 0
    done = server.cli("import", *[case.path for case in corpus.refused() if case.refusal == corpus.NO_DICOM])
    assert done.returncode == 0, (done.stdout, done.stderr)
    truncated = corpus.by_name("test_files/rtplan_truncated.dcm")
    done = server.cli("import", truncated.path, corpus.by_name("test_files/CT_small.dcm").path)
    assert done.returncode == 3, (done.stdout, done.stderr)
    server.start()
    assert len(web.qido_all(server, "/instances")) == 1


@pytest.mark.parametrize("number", range(len(corpus.layers())))
def test_dicomweb_client_stores_and_retrieves_the_corpus(start, number):
    """The client that researchers use, with its own idea of every header."""
    server = start()
    client = DICOMwebClient(server.web)
    cannot, stored = {}, []
    for case in corpus.layers()[number]:
        try:
            pydicom.dcmwrite(io.BytesIO(), case.dataset)
        except TypeError as error:
            cannot[case.name] = str(error)
            continue
        answer = client.store_instances([case.dataset])
        assert [i.ReferencedSOPInstanceUID for i in answer.ReferencedSOPSequence] == [case.uids[2]], case.name
        assert "FailedSOPSequence" not in answer, case.name
        stored.append(case)
        got = client.retrieve_instance(*case.uids, media_types=(("application/dicom", "*"),))
        assert (got.SOPInstanceUID, got.StudyInstanceUID) == (case.uids[2], case.uids[0]), case.name
        metadata = client.retrieve_instance_metadata(*case.uids)
        assert metadata["00080018"]["Value"] == [case.uids[2]], case.name
    expected = {case.name for case in corpus.layers()[number]} & PYDICOM_CANNOT_WRITE.keys()
    assert cannot.keys() == expected
    for name, error in cannot.items():
        assert PYDICOM_CANNOT_WRITE[name] in error
    studies = client.search_for_studies()
    assert {s["0020000D"]["Value"][0] for s in studies} == {case.uids[0] for case in stored}
