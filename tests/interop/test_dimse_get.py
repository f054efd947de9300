"""C-GET as DCMTK, pynetdicom and a raw socket meet it (PS3.4 §C.4.3; conformance.md §8, 223, and 220–224 as they
hold for C-GET)."""

import random
import struct
import subprocess

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelGet as PATIENT_ROOT,
    SecondaryCaptureImageStorage,
    StudyRootQueryRetrieveInformationModelFind as STUDY_FIND,
    StudyRootQueryRetrieveInformationModelGet as STUDY_ROOT,
)

from harness import made, part10, web
from harness.retrieve import cancel, identifier, us
from harness.wire import EXPLICIT, IMPLICIT, P_DATA, Aborted, Association, Closed, command, item, read_command

J2K = "1.2.840.10008.1.2.4.90"
JPEG_LS = "1.2.840.10008.1.2.4.80"
BIG = "1.2.840.10008.1.2.2"


class Store(list):
    """Data sets as they came, and how to answer."""

    def __init__(self, statuses=()):
        self.statuses = list(statuses)

    def take(self, event):
        self.append((event.request.AffectedSOPInstanceUID, event.context.transfer_syntax, event.request.DataSet.getvalue()))
        return self.statuses.pop(0) if self.statuses else 0x0000


def get(server, ds, model=STUDY_ROOT, contexts=((CTImageStorage, (EXPLICIT,)),), statuses=(), roles=True):
    """(responses, what was stored): a response is (status, remaining, completed, failed, warning, failed UIDs)."""
    ae = AE(ae_title="GETTER")
    ae.add_requested_context(model, [EXPLICIT])
    for abstract, syntaxes in contexts:
        ae.add_requested_context(abstract, list(syntaxes))
    role = [build_role(abstract, scp_role=True) for abstract in {a for a, _ in contexts}] if roles else []
    store = Store(statuses)
    association = ae.associate(*server.dicom_address, ae_title="OVERREAD", ext_neg=role, evt_handlers=[(evt.EVT_C_STORE, store.take)])
    assert association.is_established
    responses = []
    for status, found in association.send_c_get(ds, model):
        failed = found.get("FailedSOPInstanceUIDList") if found else None
        failed = [failed] if isinstance(failed, str) else failed
        numbers = [status.get(f"NumberOf{kind}Suboperations") for kind in ("Remaining", "Completed", "Failed", "Warning")]
        responses.append((status.Status, *numbers, failed))
    association.release()
    return responses, store


def plain(ds):
    return made.encode(ds)


@pytest.fixture(scope="module")
def stored(server):
    """Two studies of one patient, the first of two series, and a study of another patient."""
    first = made.study(5, PatientID="GET-1")
    first += made.study(2, PatientID="GET-1", study=first[0].StudyInstanceUID)
    second = made.study(3, PatientID="GET-1")
    other = made.study(1, PatientID="GET-2")
    assert web.stow(server, map(made.file, first + second + other)).status_code == 200
    return first, second, other


def uids(instances):
    return {str(i.SOPInstanceUID) for i in instances}


def test_a223_everything_comes_as_it_was_stored(server, stored):
    first, second, _ = stored
    responses, store = get(server, identifier("STUDY", StudyInstanceUID=first[0].StudyInstanceUID))
    assert {uid: data for uid, _, data in store} == {str(i.SOPInstanceUID): plain(i) for i in first}
    # Pending counters after every sub-operation, consistent; the last has none remaining.
    assert [r[:5] for r in responses[:-1]] == [(0xFF00, 7 - n, n, 0, 0) for n in range(1, 8)]
    assert responses[-1] == (0x0000, None, 7, 0, 0, None)


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_a222_every_level_and_lists_of_uids(server, stored, level):
    first, second, _ = stored
    study, series = str(first[0].StudyInstanceUID), sorted({str(i.SeriesInstanceUID) for i in first})
    keys, expected = {
        "PATIENT": (dict(PatientID="GET-1"), first + second),
        "STUDY": (dict(PatientID="GET-1", StudyInstanceUID=[study, str(second[0].StudyInstanceUID)]), first + second),
        "SERIES": (dict(PatientID="GET-1", StudyInstanceUID=study, SeriesInstanceUID=series), first),
        "IMAGE": (dict(PatientID="GET-1", StudyInstanceUID=study, SeriesInstanceUID=first[0].SeriesInstanceUID,
                       SOPInstanceUID=[str(i.SOPInstanceUID) for i in first[1:4]]), first[1:4]),
    }[level]  # fmt: skip
    responses, store = get(server, identifier(level, **keys), PATIENT_ROOT)
    assert responses[-1][:3] == (0x0000, None, len(expected))
    assert sorted(uid for uid, *_ in store) == sorted(uids(expected))


def test_what_is_not_there_is_a_success_of_nothing(server, stored):
    first, second, _ = stored
    responses, store = get(server, identifier("STUDY", StudyInstanceUID="1.2.3.4.5.6"))
    assert (responses, store) == ([(0x0000, None, 0, 0, 0, None)], [])
    # A series of another study is none of this one.
    asked = identifier("SERIES", StudyInstanceUID=first[0].StudyInstanceUID, SeriesInstanceUID=second[0].SeriesInstanceUID)
    assert get(server, asked)[0][-1][:3] == (0x0000, None, 0)


def test_an_identifier_that_does_not_fit_its_model(server, stored):
    study = str(stored[0][0].StudyInstanceUID)
    for model, asked in [
        (STUDY_ROOT, Dataset()),
        (STUDY_ROOT, identifier("PATIENT", PatientID="GET-1")),
        (STUDY_ROOT, identifier("STUDY", StudyInstanceUID="")),
        (STUDY_ROOT, identifier("SERIES", SeriesInstanceUID="1.2")),
        (STUDY_ROOT, identifier("IMAGE", StudyInstanceUID=study, SOPInstanceUID="1.2")),
        (PATIENT_ROOT, identifier("PATIENT", PatientID="GET*")),
        (PATIENT_ROOT, identifier("STUDY", StudyInstanceUID=study)),
    ]:
        if not asked:
            asked.PatientID = "GET-1"
        responses, store = get(server, asked, model)
        assert [r[0] for r in responses] == [0xA900] and store == [], asked


def test_a223_without_a_role_everything_fails(server, stored):
    _, second, _ = stored
    responses, store = get(server, identifier("STUDY", StudyInstanceUID=second[0].StudyInstanceUID), roles=False)
    assert store == []
    status, remaining, completed, failed, warning, failed_uids = responses[-1]
    assert (status, remaining, completed, failed, warning) == (0xA702, None, 0, 3, 0)
    assert set(failed_uids) == uids(second)


def test_a220_mixed_outcomes_are_counted(server):
    instances = made.study(4, PatientID="GET-3")
    # One of a class for which no context was accepted, and of the others one refused and one with a warning.
    instances[0].SOPClassUID = made.SECONDARY_CAPTURE
    assert web.stow(server, map(made.file, instances)).status_code == 200
    responses, store = get(
        server, identifier("STUDY", StudyInstanceUID=instances[0].StudyInstanceUID), statuses=[0x0000, 0xA700, 0xB000]
    )
    assert [uid for uid, *_ in store] == [str(i.SOPInstanceUID) for i in instances[1:]]
    assert [r[1:5] for r in responses] == [(3, 0, 1, 0), (2, 1, 1, 0), (1, 1, 2, 0), (0, 1, 2, 1), (None, 1, 2, 1)]
    assert responses[-1][0] == 0xB000
    assert set(responses[-1][5]) == {str(instances[0].SOPInstanceUID), str(instances[2].SOPInstanceUID)}


@pytest.mark.parametrize("seed", range(6))
def test_a220_generated_outcomes_are_counted_as_the_requestor_counts_them(server, seed):
    chance = random.Random(seed)
    objects = made.study(12)
    strange = chance.sample(objects, chance.choice([0, 0, 3]))
    for ds in strange:
        ds.SOPClassUID = made.SECONDARY_CAPTURE
    assert web.stow(server, map(made.file, objects)).status_code == 200
    weights = chance.choice([(10, 1, 1, 1), (1, 1, 1, 1), (0, 1, 0, 0), (0, 0, 1, 1), (1, 0, 0, 0)])
    statuses = chance.choices([0x0000, 0xB000, 0xC123, 0xA700], weights, k=12)
    responses, store = get(server, identifier("STUDY", StudyInstanceUID=objects[0].StudyInstanceUID), statuses=statuses)
    said = {str(uid): status for (uid, *_), status in zip(store, statuses)}
    assert set(said) == uids(ds for ds in objects if ds not in strange) and len(store) == len(said)
    completed, warned = (sum(status == wanted for status in said.values()) for wanted in (0x0000, 0xB000))
    failed = sorted([uid for uid, status in said.items() if status in (0xC123, 0xA700)] + list(uids(strange)))
    status, remaining, *counted, failed_uids = responses[-1]
    assert (remaining, *counted) == (None, completed, len(failed), warned)
    assert sorted(failed_uids or []) == failed
    assert status == (0xA702 if len(failed) == 12 else 0x0000 if completed == 12 else 0xB000)
    for number, (status, remaining, *counted, _) in enumerate(responses[:-1], 1):
        assert (status, remaining, sum(counted)) == (0xFF00, 12 - number, number)


@pytest.mark.parametrize("kept", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT, J2K, JPEG_LS, "1.2.840.10008.1.2.5"])
def test_a224_given_in_the_transfer_syntax_that_was_accepted(server, kept, wanted):
    pixels = b"".join(struct.pack("<H", (x * 7 + y) % 4096) for y in range(16) for x in range(16))
    ds = made.instance(PatientID="GET-4", rows=16, columns=16, pixels=pixels)
    assert web.stow(server, [made.file(ds, kept)]).status_code == 200
    responses, store = get(server, identifier("STUDY", StudyInstanceUID=ds.StudyInstanceUID), contexts=[(CTImageStorage, [wanted])])
    assert responses[-1][:4] == (0x0000, None, 1, 0)
    ((_, syntax, data),) = store
    assert syntax == wanted
    if wanted == kept:
        assert data == made.encode(ds, kept)
    got = dcmread(DicomBytesIO(made.wrap(data, CTImageStorage, str(ds.SOPInstanceUID), wanted)))
    assert got.pixel_array.astype("<u2").tobytes() == pixels
    for element in ds:
        if element.keyword != "PixelData":
            assert got[element.tag] == element, element.keyword


def test_a224_a_compressed_one_is_decoded_and_goes_as_it_is_where_it_may(server):
    pixels = b"".join(struct.pack("<H", (x * y) % 4096) for y in range(16) for x in range(16))
    ds = made.instance(PatientID="GET-5", rows=16, columns=16, pixels=pixels)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    asked = identifier("STUDY", StudyInstanceUID=ds.StudyInstanceUID)
    ((_, _, encoded),) = get(server, asked, contexts=[(CTImageStorage, [JPEG_LS])])[1]
    # Kept compressed under a new name, it comes back byte for byte, or decoded.
    other = dcmread(DicomBytesIO(made.wrap(encoded, CTImageStorage, str(ds.SOPInstanceUID), JPEG_LS)))
    other.SOPInstanceUID, other.StudyInstanceUID, other.SeriesInstanceUID = made.uid(), made.uid(), made.uid()
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_dataset(stream, other)
    kept = stream.getvalue()
    assert web.stow(server, [made.wrap(kept, CTImageStorage, str(other.SOPInstanceUID), JPEG_LS)]).status_code == 200
    asked = identifier("STUDY", StudyInstanceUID=other.StudyInstanceUID)
    two = [(CTImageStorage, [IMPLICIT]), (CTImageStorage, [JPEG_LS])]
    ((_, syntax, data),) = get(server, asked, contexts=two)[1]
    assert (syntax, data) == (JPEG_LS, kept)
    ((_, syntax, data),) = get(server, asked, contexts=two[:1])[1]
    assert syntax == IMPLICIT
    decoded = dcmread(DicomBytesIO(made.wrap(data, CTImageStorage, str(other.SOPInstanceUID), IMPLICIT)))
    assert decoded.pixel_array.astype("<u2").tobytes() == pixels
    # Lossless JPEG is not encoded here: it fails, and says so.
    responses, store = get(server, asked, contexts=[(CTImageStorage, ["1.2.840.10008.1.2.4.70"])])
    assert (responses[-1][:4], store) == ((0xA702, None, 0, 1), [])


def test_dcmtk_gets_a_study_byte_for_byte(server, stored, tmp_path):
    first, _, _ = stored
    host, port = server.dicom_address
    done = subprocess.run(
        ["getscu", "-S", "-B", "-aec", "OVERREAD", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY",
         "-k", f"StudyInstanceUID={first[0].StudyInstanceUID}", host, str(port)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    got = {dcmread(path).SOPInstanceUID: part10.data_set(path.read_bytes()) for path in tmp_path.iterdir()}
    assert got == {i.SOPInstanceUID: plain(i) for i in first}


def role(abstract, scu, scp):
    return item(0x54, struct.pack(">H", len(abstract)) + abstract.encode() + bytes([scu, scp]))


class Getter(Association):
    """A requestor that is SCP too, byte by byte."""

    def __init__(self, server, **keywords):
        contexts = [(STUDY_ROOT, [EXPLICIT]), (made.CT, [EXPLICIT])]
        super().__init__(server.dicom_address, contexts, extra_user_items=role(made.CT, 0, 1), **keywords)

    def ask(self, study, message=1):
        keys = made.element(8, 0x52, "CS", b"STUDY ") + made.element(0x20, 0xD, "UI", study.encode() + b"\0" * (len(study) % 2))
        self.send_fragments(1, command({0x2: STUDY_ROOT, 0x100: 0x10, 0x110: message, 0x700: 0, 0x800: 1}), True)
        self.send_fragments(1, keys, False)

    def whole(self):
        """The next message: (command set, data set or None)."""
        sets = {True: b"", False: b""}
        wants_data = False
        while True:
            kind, body = self.read_pdu()
            assert kind == P_DATA, kind
            at = 0
            while at < len(body):
                length, _, header = struct.unpack_from(">IBB", body, at)
                sets[bool(header & 1)] += body[at + 6 : at + 4 + length]
                at += 4 + length
                if header & 2 and header & 1:
                    wants_data = us(sets[True], 0x800) != 0x101
                if header & 2 and (not header & 1 or not wants_data):
                    return sets[True], sets[False] if wants_data else None

    def stored(self, request, status=0):
        uid = read_command(request)[0x1000].decode().rstrip("\0")
        message = us(request, 0x110)
        self.send_fragments(3, command({0x2: made.CT, 0x100: 0x8001, 0x120: message, 0x800: 0x101, 0x900: status, 0x1000: uid}), True)


def test_the_role_is_granted_where_c_get_was_proposed(server):
    with Getter(server) as peer:
        assert peer.user_items[0x54] == role(made.CT, 0, 1)[4:]
    with Association(server.dicom_address, [(STUDY_FIND, [EXPLICIT]), (made.CT, [EXPLICIT])], extra_user_items=role(made.CT, 1, 1)) as peer:
        assert peer.user_items[0x54] == role(made.CT, 1, 0)[4:]


def test_a221_cancel_between_sub_operations(server, stored):
    first, _, _ = stored
    with Getter(server) as peer:
        peer.ask(str(first[0].StudyInstanceUID), message=4)
        for _ in range(2):
            request, data = peer.whole()
            assert us(request, 0x100) == 1 and data
            if _ == 1:
                peer.send_fragments(1, cancel(4), True)
            peer.stored(request)
            response, _data = peer.whole()
            assert us(response, 0x900) == 0xFF00
        last, data = peer.whole()
        assert [us(last, e) for e in (0x900, 0x1020, 0x1021, 0x1022, 0x1023)] == [0xFE00, 5, 2, 0, 0]
        assert data is None
        # The association goes on.
        peer.ask("1.2.3.4.5", message=5)
        assert us(peer.whole()[0], 0x900) == 0


@pytest.mark.parametrize("max_pdu", [128, 4096, 1 << 20, 0])
def test_a205_no_pdu_is_longer_than_the_peer_takes(server, max_pdu):
    ds = made.instance(PatientID="GET-6", rows=512, columns=512)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    with Getter(server, max_pdu=max_pdu) as peer:
        peer.max_pdu_seen = 0
        peer.ask(str(ds.StudyInstanceUID))
        request, data = peer.whole()
        assert data == plain(ds)
        assert peer.max_pdu_seen <= (max_pdu or 1 << 17)
        peer.stored(request)
        assert us(peer.whole()[0], 0x900) == 0xFF00
        assert us(peer.whole()[0], 0x900) == 0x0000


def test_an_answer_to_something_else_ends_the_association_only(server, stored):
    _, second, _ = stored
    for wrong in ["message", "release", "abort", "request"]:
        peer = Getter(server)
        peer.ask(str(second[0].StudyInstanceUID))
        request, _ = peer.whole()
        if wrong == "message":
            peer.send_fragments(3, command({0x2: made.CT, 0x100: 0x8001, 0x120: 999, 0x800: 0x101, 0x900: 0}), True)
        elif wrong == "request":
            peer.ask(str(second[0].StudyInstanceUID), message=9)
        elif wrong == "release":
            peer.socket.sendall(struct.pack(">BBII", 5, 0, 4, 0))
        else:
            peer.socket.sendall(struct.pack(">BBIBBBB", 7, 0, 4, 0, 0, 0, 0))
        with pytest.raises((Aborted, Closed, AssertionError, ConnectionError)):
            while True:
                peer.whole()
        peer.socket.close()
    assert get(server, identifier("STUDY", StudyInstanceUID=second[0].StudyInstanceUID))[0][-1][0] == 0


def test_memory_stays_bounded_while_a_large_instance_goes_out(start):
    server = start()
    ds = made.instance(rows=4096, columns=4096, frames=4)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    responses, store = get(server, identifier("STUDY", StudyInstanceUID=ds.StudyInstanceUID), contexts=[(CTImageStorage, [IMPLICIT])])
    assert responses[-1][0] == 0 and store[0][2] == made.encode(ds, IMPLICIT)
    status = open(f"/proc/{server.process.pid}/status").read()
    peak_kb = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    assert peak_kb < 100_000, f"{peak_kb} KiB for an object of {len(ds.PixelData)} bytes"
