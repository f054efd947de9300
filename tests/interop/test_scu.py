"""The client side of DIMSE: `overread echo` and `overread send` to DCMTK, Orthanc and pynetdicom. What a peer keeps is
compared with what was given to our archive. What goes wrong on the way is in test_scu_faults.py."""

import io
import struct
import zlib

import pytest
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless
from pynetdicom import AllStoragePresentationContexts

from harness import corpus, made, part10, web, wire
from harness.archives import Dcmqrscp, Orthanc
from harness.receiver import Raw, Scripted, Storescp
from harness.sending import a_study, counted, kept, send
from harness.server import free_port

IMPLICIT, EXPLICIT = str(ImplicitVRLittleEndian), str(ExplicitVRLittleEndian)
DEFLATED, LOSSLESS_JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70"


# C-ECHO


def test_echo_tells_who_answers_and_why_not(server, tmp_path):
    with Storescp(tmp_path / "scp", "--ignore") as scp, Scripted(require_called_aet=True, maximum_associations=1) as scripted:
        told = server.cli("echo", scp.peer).stdout
        assert told.startswith(scp.peer + " answers") and "OFFIS_DCMTK" in told
        assert server.cli("echo", f"OVERREAD@127.0.0.1:{server.ports[1]}").returncode == 0
        wrong = server.cli("echo", f"WRONG@127.0.0.1:{scripted.port}")
        assert (wrong.returncode, "called AE title not recognized" in wrong.stderr) == (1, True), wrong.stderr
        scripted.ae.require_calling_aet = ["FRIEND"]
        stranger = server.cli("echo", scripted.peer, "--calling-ae", "FOE")
        assert (stranger.returncode, "calling AE title not recognized" in stranger.stderr) == (1, True)
        assert server.cli("echo", scripted.peer, "--calling-ae", "FRIEND").returncode == 0
    refused = server.cli("echo", f"X@127.0.0.1:{free_port()}")
    assert (refused.returncode, "cannot connect" in refused.stderr) == (1, True)
    for usage in (["NOBODY"], ["X@y"], ["X@y:0"], ["TOO_LONG_FOR_A_TITLE@y:1"], []):
        assert server.cli("echo", *usage).returncode == 2, usage


def test_peers_have_names(start, tmp_path):
    with Storescp(tmp_path / "scp", "+B") as scp:
        server = start(config={"dicom": {"peers": [f"archive = {scp.peer}"]}})
        assert server.cli("echo", "archive").returncode == 0
        study, objects = a_study(server, 1)
        send(server, "archive", study)
        assert set(scp.files()) == set(objects)


# As stored, and in what the peer takes


def test_every_kind_of_object_arrives_as_it_is_stored(server):
    """Every transfer syntax, odd objects of the corpora: the very bytes of the data set."""
    files = [case.data for case in corpus.storable()][:60]
    stored, _, _ = web.outcome(web.stow(server, files))
    files = [f for f in files if part10.transfer_syntax(f) in made.TRANSFER_SYNTAXES]
    by_uid = {}
    for data in files:
        ds = dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
        if str(ds.get("SOPInstanceUID", "")) in stored:
            by_uid.setdefault(str(ds.SOPInstanceUID), (str(ds.StudyInstanceUID), str(ds.SOPClassUID), []))[2].append(part10.data_set(data))
    assert len(by_uid) > 20
    with Scripted(contexts=sorted({sop_class for _, sop_class, _ in by_uid.values()})) as peer:
        studies = sorted({study for study, _, _ in by_uid.values()})
        send(server, peer.peer, *studies, "--associations", 3, timeout=300)
        arrived = {uid: data for uid, _, data in peer.events}
        assert len(arrived) == len(peer.events)
        for uid, (_, _, candidates) in by_uid.items():
            assert arrived[uid] in candidates, uid


def test_storescp_of_dcmtk_keeps_the_same_bytes(server, tmp_path):
    study, objects = a_study(server, 5, rows=200, columns=300)
    with Storescp(tmp_path / "scp", "+B", "-pdu", "4096") as scp:
        assert counted(send(server, scp.peer, study), "sent") == 5
        files = scp.files()
    assert {uid: part10.data_set(files[uid]) for uid in files} == {uid: made.encode(ds) for uid, ds in objects.items()}


def test_a_peer_that_takes_implicit_vr_only(server, tmp_path):
    """pydicom writes the same elements in Implicit VR; compressed, deflated and big endian objects are told to it too."""
    item = made.instance()
    plain = made.instance(ReferencedImageSequence=[item], rows=64, columns=64)
    plain.add_new(0x00091001, "FD", 1.5)
    rle = made.instance(rows=64, columns=64)
    pixels, syntax = rle.PixelData, RLELossless
    rle.file_meta = FileMetaDataset()
    rle.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    rle.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
    files = [made.file(plain), made.file(rle, syntax)]
    deflate = zlib.compressobj(wbits=-15)
    deflated = made.instance()
    body = deflate.compress(made.encode(deflated)) + deflate.flush()
    files.append(made.wrap(body, made.CT, str(deflated.SOPInstanceUID), DEFLATED))
    with Storescp(tmp_path / "scp", "+xi", "+B") as scp:
        text = send(server, scp.peer, *kept(server, *files))
        assert counted(text, "sent") == 3
        for uid, data in scp.files().items():
            assert part10.transfer_syntax(data) == IMPLICIT
            back = dcmread(io.BytesIO(data))
            ds = {plain.SOPInstanceUID: plain, rle.SOPInstanceUID: rle, deflated.SOPInstanceUID: deflated}[uid]
            assert back.PixelData == (pixels if ds is rle else ds.PixelData)
            for element in ds:
                if element.tag not in (0x7FE00010, 0x00091001):
                    assert back[element.tag].value == element.value, element
        back = dcmread(io.BytesIO(scp.files()[plain.SOPInstanceUID]))
        assert struct.unpack("<d", back[0x00091001].value)[0] == 1.5


def test_compressed_objects_go_compressed_or_decoded(server, tmp_path):
    file = next(c.data for c in corpus.storable() if part10.transfer_syntax(c.data) == LOSSLESS_JPEG)
    ds = dcmread(io.BytesIO(file))
    [study] = kept(server, file)
    for number, (options, syntax) in enumerate([(["+xs"], LOSSLESS_JPEG), ([], EXPLICIT)]):
        with Storescp(tmp_path / f"scp{number}", "+B", *options) as scp:
            send(server, scp.peer, study, "--series", ds.SeriesInstanceUID, "--instance", ds.SOPInstanceUID)
            [data] = scp.files().values()
        assert part10.transfer_syntax(data) == syntax
        if syntax == LOSSLESS_JPEG:
            assert part10.data_set(data) == part10.data_set(file)
        else:
            assert (dcmread(io.BytesIO(data)).pixel_array == ds.pixel_array).all()


def test_encoded_without_loss_for_a_peer_that_takes_nothing_else(server):
    study, objects = a_study(server, 2, rows=32, columns=32)
    with Scripted(syntaxes=[str(JPEGLSLossless)]) as peer:
        send(server, peer.peer, study)
        for uid, syntax, data in peer.events:
            back = dcmread(io.BytesIO(made.wrap(data, made.CT, uid, syntax)))
            assert syntax == JPEGLSLossless and back.pixel_array.astype("<u2").tobytes() == objects[uid].PixelData


def test_what_cannot_be_made_is_told_and_the_rest_arrives(server):
    video = made.instance(rows=16, columns=16, frames=1)
    video.PixelData = encapsulate([bytes(64)])
    video["PixelData"].VR, video["PixelData"].is_undefined_length = "OB", True
    report = made.instance(study=video.StudyInstanceUID, SOPClassUID=made.SECONDARY_CAPTURE)
    plain = made.instance(study=video.StudyInstanceUID)
    [study] = kept(server, made.file(video, "1.2.840.10008.1.2.4.102"), made.file(plain), made.file(report))
    with Scripted(syntaxes=[IMPLICIT, EXPLICIT], contexts=[made.CT]) as peer:
        text = send(server, peer.peer, study, code=3)
        assert (counted(text, "sent"), counted(text, "failed"), peer.acknowledged) == (1, 2, [plain.SOPInstanceUID])
    assert f"failed {video.SOPInstanceUID}: the peer does not take MPEG-4" in text
    assert f"failed {report.SOPInstanceUID}: the peer takes no such objects (abstract syntax not supported)" in text
    with Scripted(contexts=[made.SECONDARY_CAPTURE]) as peer:
        send(server, peer.peer, study, "--series", plain.SeriesInstanceUID, code=1)


@pytest.mark.parametrize("limit", [8, 64, 4097, 0])
def test_no_pdu_is_longer_than_the_peer_takes(server, limit):
    study, objects = a_study(server, 2)
    heard = {}

    def serve(raw, connection):
        raw.accept(connection, wire.item(0x51, struct.pack(">I", limit)))
        while (request := raw.message(connection)) is not None:
            heard[request[0x1000].decode().rstrip("\0")] = bytes(raw.data)
            raw.respond(connection, request)

    with Raw(serve) as raw:
        send(server, raw.peer, study, "--associations", 1)
    assert heard == {uid: made.encode(ds) for uid, ds in objects.items()}
    assert raw.longest <= (limit or 1 << 17)


def test_more_contexts_than_one_association_holds(server):
    """Thirty classes in three to five syntaxes each, and an association holds 128."""
    classes = sorted(str(c.abstract_syntax) for c in AllStoragePresentationContexts)[:30]
    study = made.uid()
    objects = [made.instance(study=study, SOPClassUID=c) for c in classes]
    kept(server, *(made.file(ds) for ds in objects))
    with Scripted(contexts=classes) as peer:
        assert counted(send(server, peer.peer, study, "--associations", 1), "sent") == 30
        assert sorted(peer.acknowledged) == sorted(ds.SOPInstanceUID for ds in objects)
        assert peer.associations == 2


def test_dcmqrscp_of_dcmtk_takes_a_study(server, tmp_path):
    study, objects = a_study(server, 4)
    with Dcmqrscp(tmp_path / "qr") as qr:
        assert server.cli("echo", qr.peer).returncode == 0
        send(server, qr.peer, study, retries=1)
        files = [dcmread(path) for path in qr.paths()]
    assert {str(ds.SOPInstanceUID): ds.PixelData for ds in files} == {uid: ds.PixelData for uid, ds in objects.items()}


def test_orthanc_takes_a_study(server, tmp_path):
    study, objects = a_study(server, 4, PatientName="Müller^Zoë")
    with Orthanc(tmp_path / "orthanc") as orthanc:
        assert "ORTHANC@" in server.cli("echo", orthanc.peer).stdout
        assert counted(send(server, orthanc.peer, study), "sent") == 4
        back = [dcmread(io.BytesIO(f)) for f in orthanc.files()]
    assert {str(ds.SOPInstanceUID): ds.PixelData for ds in back} == {uid: ds.PixelData for uid, ds in objects.items()}
