"""The programs of pynetdicom as its users run them: echoscu, storescu, findscu, getscu, movescu with a storage SCP of its own, and
storescp as our peer."""

import subprocess
import sys

from pydicom import dcmread

from harness import made, wait
from harness.forward import held
from harness.receiver import is_listening
from harness.sending import a_study, counted, send
from harness.server import free_port


def app(name, server, *words, folder=None):
    place = map(str, [*server.dicom_address, "-aec", "OVERREAD", *words])
    done = subprocess.run([sys.executable, "-m", "pynetdicom", name, *place, "-v"], capture_output=True, text=True, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def pixels(folder):
    """By SOP Instance UID, of every file in a folder."""
    return {str(ds.SOPInstanceUID): ds.PixelData for ds in map(dcmread, folder.iterdir())}


def test_echo_and_store(server, tmp_path):
    assert "Received Echo Response (Status: 0x0000 - Success)" in app("echoscu", server)
    objects = {str(ds.SOPInstanceUID): ds for ds in made.study(3, rows=60, columns=60)}
    for uid, ds in objects.items():
        (tmp_path / f"{uid}.dcm").write_bytes(made.file(ds))
    said = app("storescu", server, tmp_path, "-cx", "-r")
    assert said.count("Received Store Response (Status: 0x0000 - Success)") == 3, said
    kept = held(server)
    assert {uid: kept[uid] for uid in objects} == {uid: made.encode(ds) for uid, ds in objects.items()}


def test_find_and_get(server, tmp_path):
    study, objects = a_study(server, 4, PatientID="APPS-1", rows=60, columns=60)
    words = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", "-k", "NumberOfStudyRelatedInstances="]
    app("findscu", server, "-S", *words, "-w", folder=tmp_path)
    [found] = tmp_path.iterdir()
    assert dcmread(found, force=True).NumberOfStudyRelatedInstances == 4
    folder = tmp_path / "got"
    for model, key in [("-S", f"StudyInstanceUID={study}"), ("-P", "PatientID=APPS-1"), ("-O", "PatientID=APPS-1")]:
        level = "STUDY" if model == "-S" else "PATIENT"
        app("getscu", server, model, "-k", f"QueryRetrieveLevel={level}", "-k", key, "-od", folder)
        assert pixels(folder) == {uid: ds.PixelData for uid, ds in objects.items()}, model
        [path.unlink() for path in folder.iterdir()]


def test_move_to_itself(start, tmp_path):
    port = free_port()
    server = start(config={"dicom": {"peers": [f"STORESCP@127.0.0.1:{port}"]}})
    study, objects = a_study(server, 4, rows=60, columns=60)
    words = ["--store", "--store-port", port, "-aem", "STORESCP", "-od", tmp_path / "moved"]
    said = app("movescu", server, "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", *words)
    assert "Result: 0x0000 (Success)\nI: Sub-Operations Remaining: 0, Completed: 4, Failed: 0, Warning: 0" in said, said
    assert pixels(tmp_path / "moved") == {uid: ds.PixelData for uid, ds in objects.items()}


def test_storescp_is_sent_a_study(server, tmp_path):
    study, objects = a_study(server, 4, rows=60, columns=60)
    port = free_port()
    words = [sys.executable, "-m", "pynetdicom", "storescp", str(port), "-od", str(tmp_path / "scp"), "-ba", "127.0.0.1"]
    scp = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait.until(lambda: is_listening(port), "storescp listens")
        assert counted(send(server, f"STORESCP@127.0.0.1:{port}", study), "sent") == 4
    finally:
        scp.kill()
        scp.wait()
    assert pixels(tmp_path / "scp") == {uid: ds.PixelData for uid, ds in objects.items()}
