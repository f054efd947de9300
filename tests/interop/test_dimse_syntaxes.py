"""Every transfer syntax of the table, from and to DCMTK, pynetdicom and Orthanc: the very bytes of the data set. What a peer does
not know is named."""

import io
import subprocess

import pytest
from pydicom import dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as GET

from harness import made, part10, web
from harness.archives import Orthanc
from harness.moving import move
from harness.receiver import Scripted, Storescp
from harness.retrieve import identifier
from harness.sending import counted, kept, send
from harness.syntaxes import NATIVE, Each

# Of the 39, in 3.6.7.
UNKNOWN_TO_DCMTK = {
    "1.2.840.10008.1.2." + suffix
    for suffix in "1.98 4.100.1 4.101.1 4.102.1 4.103.1 4.104.1 4.105.1 4.106.1 4.110 4.111 4.112 4.201 4.202 4.203 8.1".split()
}
KNOWN_TO_DCMTK = [syntax for syntax in made.TRANSFER_SYNTAXES if syntax not in UNKNOWN_TO_DCMTK]


def is_same(sent, back):
    """Byte for byte; what is not compressed, in any such transfer syntax, as peers like to send it."""
    if part10.data_set(sent) == part10.data_set(back):
        return part10.transfer_syntax(sent) == part10.transfer_syntax(back)
    if not {part10.transfer_syntax(sent), part10.transfer_syntax(back)} <= set(NATIVE):
        return False
    sent, back = dcmread(io.BytesIO(sent)), dcmread(io.BytesIO(back))
    pixels = (sent.pixel_array == back.pixel_array).all()
    del sent.PixelData, back.PixelData
    return pixels and sent == back


def arrived(files, each):
    """The transfer syntaxes of what has arrived, which is what was sent."""
    back = {uid: file for uid, file in files.items() if uid in each.files}
    assert [each.syntaxes[uid] for uid, file in back.items() if not is_same(each.files[uid], file)] == []
    return {each.syntaxes[uid] for uid in back}


def kept_by(server, study):
    """The files of a study that our server holds."""
    files = [file for _, file in web.parts_of(web.get(server, f"/studies/{study}", web.AS_STORED))]
    return {str(part10.split(file)[0].MediaStorageSOPInstanceUID): file for file in files}


def test_pynetdicom_sends_each(server, tmp_path, monkeypatch):
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    each = Each()
    ae = AE()
    for syntax in made.TRANSFER_SYNTAXES:
        ae.add_requested_context(made.SECONDARY_CAPTURE, UID(syntax))
    association = ae.associate(*server.dicom_address, ae_title="OVERREAD")
    assert association.is_established
    for uid, file in each.files.items():
        path = tmp_path / uid
        path.write_bytes(file)
        assert association.send_c_store(path).Status == 0, each.syntaxes[uid]
    association.release()
    back = kept_by(server, each.study)
    assert {uid: (part10.transfer_syntax(f), part10.data_set(f)) for uid, f in back.items()} == {
        uid: (each.syntaxes[uid], each.bodies[uid]) for uid in each.files
    }


def test_pynetdicom_is_sent_and_moved_and_gets_each(start):
    each = Each()
    with Scripted() as peer:
        server = start(config={"dicom": {"peers": [peer.peer]}})
        kept(server, *each.files.values())
        assert counted(send(server, peer.peer, each.study), "sent") == 39
        assert {uid: (syntax, data) for uid, syntax, data in peer.events} == {u: (each.syntaxes[u], each.bodies[u]) for u in each.files}
        peer.events.clear()
        wanted = identifier("STUDY", StudyInstanceUID=each.study)
        assert move(server, wanted, "SCRIPTED")[-1] == (0x0000, None, 39, 0, 0, None)
        assert {uid: (syntax, data) for uid, syntax, data in peer.events} == {u: (each.syntaxes[u], each.bodies[u]) for u in each.files}
    got = {}

    def take(event):
        got[str(event.request.AffectedSOPInstanceUID)] = (event.context.transfer_syntax, event.request.DataSet.getvalue())
        return 0x0000

    ae = AE()
    ae.add_requested_context(GET)
    for syntax in made.TRANSFER_SYNTAXES:
        ae.add_requested_context(made.SECONDARY_CAPTURE, UID(syntax))
    role = build_role(made.SECONDARY_CAPTURE, scp_role=True)
    association = ae.associate(*server.dicom_address, ae_title="OVERREAD", ext_neg=[role], evt_handlers=[(evt.EVT_C_STORE, take)])
    assert [status.Status for status, _ in association.send_c_get(wanted, GET)] == [0xFF00] * 39 + [0x0000]
    association.release()
    assert got == {uid: (each.syntaxes[uid], each.bodies[uid]) for uid in each.files}


def test_dcmtk_sends_each_that_it_knows(server, tmp_path):
    each = Each(KNOWN_TO_DCMTK)
    for uid, file in each.files.items():
        (tmp_path / f"{uid}.dcm").write_bytes(file)
    words = ["dcmsend", "-v", "-dn", "-aec", "OVERREAD", *map(str, server.dicom_address), "+sd", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert arrived(kept_by(server, each.study), each) == set(KNOWN_TO_DCMTK)


@pytest.mark.parametrize(
    ("option", "syntax"),
    [("-xi", ImplicitVRLittleEndian), ("-xe", ExplicitVRLittleEndian), ("-xb", ExplicitVRBigEndian), ("-xd", DeflatedExplicitVRLittleEndian)],
)
def test_dcmtk_sends_what_is_not_compressed_as_it_is(server, tmp_path, option, syntax):
    each = Each([syntax])
    [(uid, file)] = each.files.items()
    (tmp_path / "it.dcm").write_bytes(file)
    words = ["storescu", option, "-aec", "OVERREAD", *map(str, server.dicom_address), tmp_path / "it.dcm"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    back = kept_by(server, each.study)
    assert arrived(back, each) == {syntax} and part10.transfer_syntax(back[uid]) == syntax


def test_dcmtk_is_sent_each_that_it_knows(server, tmp_path):
    each = Each()
    kept(server, *each.files.values())
    with Storescp(tmp_path / "scp", "+xa", "+B") as scp:
        said = send(server, scp.peer, each.study, code=3)
        files = scp.files()
    # storescp takes no JPEG lossless but of the first prediction, nor Part 2 of JPEG 2000, whatever its library knows.
    expected = set(KNOWN_TO_DCMTK) - {"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"}
    assert arrived(files, each) == expected
    # The others would have to be decoded, which nobody can: told, one by one.
    assert counted(said, "failed") == 39 - len(expected)


def test_orthanc_is_sent_each_that_it_knows_and_sends_it_back(start, tmp_path):
    """Its DCMTK knows the same."""
    each = Each()
    near, far = start(), start()
    kept(near, *each.files.values())
    settings = {"DicomAlwaysAllowStore": True, "AcceptedTransferSyntaxes": ["1.2.840.10008.1.*"]}
    with Orthanc(tmp_path / "orthanc", {"far": ("OVERREAD", far.ports[1])}, **settings) as orthanc:
        said = send(near, orthanc.peer, each.study, code=3)
        files = {str(part10.split(file)[0].MediaStorageSOPInstanceUID): file for file in orthanc.files()}
        assert arrived(files, each) == set(KNOWN_TO_DCMTK)
        assert counted(said, "failed") == len(UNKNOWN_TO_DCMTK)
        [study] = orthanc.get("/studies").json()
        orthanc.post("/modalities/far/store", {"Resources": [study], "Synchronous": True})
    assert arrived(kept_by(far, each.study), each) == set(KNOWN_TO_DCMTK)
