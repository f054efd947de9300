"""Whom we call of ourselves, over TLS: destinations of C-MOVE and of rules, requesters of storage commitment (PS3.15 §B.12, PS3.4
§C.4.2, Annexes B and J), with DCMTK, Orthanc, pynetdicom and another Overread."""

import json
import shutil
import signal

import pytest

from harness import forward, made, part10, wait, web
from harness.archives import Orthanc
from harness.certificates import Authority
from harness.committing import Requester, asking, reference
from harness.forward import drained, held
from harness.moving import move
from harness.receiver import Scripted, Storescp
from harness.retrieve import identifier
from harness.sending import a_study, counted, send
from harness.server import free_port


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


def ours(authority, name="ours", **dicom):
    """The keys of `dicom` of somebody whose certificate this authority has issued, without a TLS port unless told."""
    identity = authority.issue(name)
    return {
        "tls_listen": "", "tls_certificate": str(identity.certificate), "tls_private_key": str(identity.key),
        "tls_trusted_certificates": str(authority.certificate),
    } | dicom  # fmt: skip


def as_encoded(objects):
    return {uid: made.encode(ds) for uid, ds in objects.items()}


def test_a_move_to_dcmtk_and_to_pynetdicom(start, tmp_path, authority):
    scp = authority.issue("scp")
    tls = ["+tls", scp.key, scp.certificate, "+cf", authority.certificate]
    with Storescp(tmp_path / "files", "+B", *tls) as dcmtk, Scripted(tls=scp.context(authority.certificate, server=True)) as pynetdicom:
        peers = [f"{dcmtk.peer} tls", f"{pynetdicom.peer} tls", f"PLAIN@127.0.0.1:{dcmtk.port}"]
        server = start(config={"dicom": ours(authority, peers=peers, send_retries=0)})
        study, objects = a_study(server, 6, rows=200, columns=300)
        wanted = identifier("STUDY", StudyInstanceUID=study)
        for title in ("STORESCP", "SCRIPTED"):
            assert move(server, wanted, title)[-1] == (0x0000, None, 6, 0, 0, None), title
        # Without TLS it does not hear us, and that is counted.
        assert move(server, wanted, "PLAIN")[-1] == (0xA702, None, 0, 6, 0, sorted(objects))
        files = dcmtk.files()
    assert {uid: part10.data_set(file) for uid, file in files.items()} == as_encoded(objects)
    assert {uid: data for uid, _, data in pynetdicom.events} == as_encoded(objects)


def test_a_rule_leads_to_a_peer_that_is_trusted_later(start, tmp_path, authority):
    """Its certificate is nobody's we trust: nothing is told it, and nothing is lost. Then it has a better one."""
    stranger, port = Authority(tmp_path / "stranger", "Stranger"), free_port()
    peer = f"SCRIPTED@127.0.0.1:{port} tls"
    with Scripted(port=port, tls=stranger.issue("scp").context(server=True)) as scp:
        settings = forward.config("-> archive", peers=[f"archive = {peer}"], dicom=ours(authority))
        server = start(config=settings)
        objects = made.study(4, rows=100, columns=100)
        sent = forward.store(server, *objects)
        wait.until(lambda: "no TLS: invalid peer certificate: UnknownIssuer" in json.dumps(forward.listed(server)), "it is told", 30)
        assert scp.requests == []
    with Scripted(port=port, tls=authority.issue("scp").context(authority.certificate, server=True)) as scp:
        drained(server, archive=4)
    assert {uid: data for uid, _, data in scp.events} == sent and len(scp.requests) == 4


def test_a_rule_leads_to_another_of_us_through_a_kill(start, authority):
    port = free_port()
    far = start(config={"dicom": ours(authority, "far", ae_title="FAR", tls_listen=f"127.0.0.1:{port}", modalities=["OVERREAD = store"])})
    settings = forward.config("-> far", peers=[f"far = FAR@127.0.0.1:{port} tls=localhost"], dicom=ours(authority, "near"))
    near = start(config=settings)
    sent = forward.store(near, *made.study(40, rows=200, columns=200))
    wait.until(lambda: web.qido(far, "/instances"), "some have arrived", 30)
    near.kill()
    near.start()
    drained(near)
    assert held(far) == sent


class Two:
    """Two of ours that know each other over TLS, and let in nobody else."""

    def __init__(self, start, authority):
        ports = {"NEAR": free_port(), "FAR": free_port()}

        def one(title, other):
            rows = [f"{other} = all from 127.0.0.0/8"]
            peers = [f"{other.lower()} = {other}@127.0.0.1:{ports[other]} tls"]
            own = ours(authority, title, ae_title=title, tls_listen=f"127.0.0.1:{ports[title]}", modalities=rows, peers=peers)
            return start(config={"dicom": own})

        self.near, self.far = one("NEAR", "FAR"), one("FAR", "NEAR")


def test_two_of_us_find_send_commit_move_and_get(start, authority):
    two = Two(start, authority)
    study, objects = a_study(two.near, 5, PatientID="TLS-1")
    # The report is awaited on the association of the request.
    said = send(two.near, "far", study, "--commit")
    assert counted(said, "sent") == counted(said, "committed") == 5, said
    assert held(two.far) == as_encoded(objects)
    there, more = a_study(two.far, 3, PatientID="TLS-2")
    found = two.near.cli("find far --json")
    assert found.returncode == 0 and study in found.stdout and there in found.stdout, found.stderr
    moved = two.near.cli("move far", there)
    assert moved.returncode == 0, moved.stderr
    assert held(two.near) == as_encoded(objects | more)
    last, others = a_study(two.far, 2, PatientID="TLS-3")
    assert two.near.stop() == 0
    got = two.near.cli("move far --get", last)
    assert got.returncode == 0, got.stderr
    two.near.start()
    assert held(two.near) == as_encoded(objects | more | others)


def test_a_report_is_told_over_tls(start, authority):
    with Requester() as asker:
        server = start(config={"dicom": ours(authority, peers=[f"{asker.peer} tls"])})
        study, objects = a_study(server, 2)
        asker.listen(authority.issue("asker").context(authority.certificate, server=True))
        unknown = made.uid()
        association = asker.associate(server)
        assert asker.ask(association, asking(*map(reference, objects), reference(unknown))) == 0
        association.abort()
        report = asker.report()
    assert (report.door, report.type, set(report.committed), set(report.failed)) == ("other", 2, set(objects), {unknown})


def test_orthanc_both_ways(start, tmp_path, authority):
    """As it is called, and as it calls, queries and has sent to it."""
    port, orthanc = free_port(), authority.issue("orthanc")
    ports = (free_port(), free_port())
    server = start(config={"dicom": ours(
        authority, tls_listen=f"127.0.0.1:{port}", peers=[f"ORTHANC@127.0.0.1:{ports[1]} tls"], modalities=["ORTHANC = all"],
    )})  # fmt: skip
    study, objects = a_study(server, 4)
    tls = {
        "DicomTlsEnabled": True, "DicomTlsCertificate": str(orthanc.certificate), "DicomTlsPrivateKey": str(orthanc.key),
        "DicomTlsTrustedCertificates": str(authority.certificate), "DicomAlwaysAllowStore": True, "DicomCheckModalityHost": False,
        "DicomModalities": {"us": {"AET": "OVERREAD", "Host": "127.0.0.1", "Port": port, "UseDicomTls": True}},
    }  # fmt: skip
    with Orthanc(tmp_path / "orthanc", ports=ports, **tls) as other:
        assert server.cli("echo ORTHANC").returncode == 0
        other.post("/modalities/us/echo", {})
        query = other.post("/modalities/us/query", {"Level": "Study", "Query": {"StudyInstanceUID": study}})
        other.post(f"/queries/{query['ID']}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
        assert {part10.split(file)[0].MediaStorageSOPInstanceUID: part10.data_set(file) for file in other.files()} == as_encoded(objects)
        theirs = made.study(3)
        for ds in theirs:
            other.post("/instances", made.file(ds))
        [ours_there] = [s for s in other.get("/studies?expand").json() if s["MainDicomTags"]["StudyInstanceUID"] == theirs[0].StudyInstanceUID]
        other.post("/modalities/us/store", {"Resources": [ours_there["ID"]], "Synchronous": True})
    assert {uid for uid in held(server)} == {str(ds.SOPInstanceUID) for ds in theirs} | set(objects)


def test_sighup_ends_nobody_who_only_calls_over_tls(start, tmp_path, authority):
    scp, stranger = authority.issue("scp"), Authority(tmp_path / "stranger", "Stranger")
    with Scripted(tls=scp.context(server=True)) as peer:
        trusted = tmp_path / "trusted.pem"
        shutil.copy(stranger.certificate, trusted)
        dicom = {"tls_listen": "", "tls_trusted_certificates": str(trusted), "peers": [f"{peer.peer} tls"], "send_retries": 0}
        server = start(config={"dicom": dicom})
        study, objects = a_study(server, 2)
        wanted = identifier("STUDY", StudyInstanceUID=study)
        assert move(server, wanted, "SCRIPTED")[-1] == (0xA702, None, 0, 2, 0, sorted(objects))
        shutil.copy(authority.certificate, trusted)
        server.process.send_signal(signal.SIGHUP)
        wait.until(lambda: "nothing to read again" in server.log(), "the signal is heard")
        assert move(server, wanted, "SCRIPTED")[-1] == (0x0000, None, 2, 0, 0, None)
        assert server.stop() == 0
