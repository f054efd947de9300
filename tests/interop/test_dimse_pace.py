"""Nobody waits for a delayed acknowledgement (RFC 1122 §4.2.3.2; 40 ms on Linux), though DCMTK writes a PDU in two pieces: whoever
waits for each answer before it asks again would, each time."""

import subprocess
import time

from harness import made, web
from harness.receiver import Storescp
from harness.sending import a_study, counted, send

DELAY_S, COUNT = 0.04, 200


class Pace:
    """Ends sooner than delays alone would take: half of them."""

    def __enter__(self):
        self.begun = time.monotonic()

    def __exit__(self, kind, *_):
        if kind is None:
            took = time.monotonic() - self.begun
            assert took < COUNT * DELAY_S / 2, f"{took:.2f} s for {COUNT} answers"


def dcmtk(command, server, *words):
    done = subprocess.run([command, *words, "-aec", "OVERREAD", *map(str, server.dicom_address)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_echoes(server):
    with Pace():
        dcmtk("echoscu", server, "--repeat", str(COUNT))


def test_what_is_found(server):
    for _ in range(COUNT // 50):
        web.stow(server, [made.file(made.instance(PatientID="PACE")) for _ in range(50)])
    with Pace():
        dcmtk("findscu", server, "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=PACE", "-k", "StudyInstanceUID")


def test_what_is_got(server, tmp_path):
    study, _ = a_study(server, COUNT)
    with Pace():
        dcmtk("getscu", server, "-S", "-od", tmp_path, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
    assert len(list(tmp_path.iterdir())) == COUNT


def test_what_is_sent(server, tmp_path):
    study, _ = a_study(server, COUNT)
    with Storescp(tmp_path / "scp") as scp, Pace():
        assert counted(send(server, scp.peer, study, "--associations", 1), "sent") == COUNT
