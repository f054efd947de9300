"""C-MOVE as DCMTK, Orthanc, pynetdicom and a raw socket meet it (PS3.4 §C.4.2; conformance.md §8, 219–222, 224)."""

import io
import random
import struct
import subprocess
import threading
import time
from fcntl import ioctl
from termios import FIONREAD

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelMove as PATIENT_ROOT,
    PatientStudyOnlyQueryRetrieveInformationModelMove as PATIENT_STUDY_ONLY,
    StudyRootQueryRetrieveInformationModelMove as STUDY_ROOT,
)

from harness import corpus, made, part10, wait, web
from harness.archives import Orthanc
from harness.moving import Mover, move
from harness.receiver import Raw, Scripted, Storescp
from harness.retrieve import identifier
from harness.sending import a_study, kept
from harness.server import free_port
from harness.wire import ABORT, EXPLICIT, IMPLICIT, RELEASE_RQ, Aborted, Closed

JPEG_LOSSLESS, JPEG_LS, J2K = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
SUCCESS = 0x0000


class Archive:
    """A server and the ports of the destinations that it knows."""

    def __init__(self, start, **dicom):
        titles = ["SCRIPTED", "STORESCP", "RAW", "NOBODY", "ORTHANC", "MOVER"]
        self.ports = {title: free_port() for title in titles}
        peers = [f"{title}@127.0.0.1:{port}" for title, port in self.ports.items()]
        self.server = start(config={"dicom": {"peers": peers, "send_retries": 0, **dicom}})

    def scripted(self, *arguments, **keywords):
        return Scripted(*arguments, port=self.ports["SCRIPTED"], **keywords)

    def raw(self, serve):
        return Raw(serve, port=self.ports["RAW"])


@pytest.fixture(scope="module")
def archive(start_module):
    return Archive(start_module)


@pytest.fixture
def server(archive):
    return archive.server


@pytest.fixture(scope="module")
def stored(archive):
    """Two studies of one patient, the first of two series, and a study of another patient."""
    first = made.study(5, PatientID="MOVE-1")
    first += made.study(2, PatientID="MOVE-1", study=first[0].StudyInstanceUID)
    second = made.study(3, PatientID="MOVE-1")
    other = made.study(1, PatientID="MOVE-2")
    assert web.stow(archive.server, map(made.file, first + second + other)).status_code == 200
    return first, second, other


def of_study(uid):
    return identifier("STUDY", StudyInstanceUID=uid)


def uids(instances):
    return sorted(str(i.SOPInstanceUID) for i in instances)


def test_a220_a_study_arrives_as_it_is_stored_and_is_counted(archive, stored):
    first, _, _ = stored
    with archive.scripted() as peer:
        responses = move(archive.server, of_study(first[0].StudyInstanceUID), "SCRIPTED")
    assert {uid: data for uid, _, data in peer.events} == {str(i.SOPInstanceUID): made.encode(i) for i in first}
    # A pending response after every sub-operation; the last has none remaining.
    assert [r[:5] for r in responses[:-1]] == [(0xFF00, 7 - n, n, 0, 0) for n in range(1, 8)]
    assert responses[-1] == (SUCCESS, None, 7, 0, 0, None)
    # PS3.7 §9.1.1.1.6 and §9.1.1.1.7: on whose behalf.
    originators = {(r.MoveOriginatorApplicationEntityTitle, r.MoveOriginatorMessageID) for r in peer.requests}
    assert originators == {("MOVER", 1)}
    assert peer.associations == 1


@pytest.mark.parametrize("model", [PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY])
@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_a222_every_level_and_lists_of_uids(archive, stored, level, model):
    first, second, _ = stored
    study, series = str(first[0].StudyInstanceUID), sorted({str(i.SeriesInstanceUID) for i in first})
    keys, expected = {
        "PATIENT": (dict(), first + second),
        "STUDY": (dict(StudyInstanceUID=[study, str(second[0].StudyInstanceUID)]), first + second),
        "SERIES": (dict(StudyInstanceUID=study, SeriesInstanceUID=series), first),
        "IMAGE": (dict(StudyInstanceUID=study, SeriesInstanceUID=first[0].SeriesInstanceUID,
                       SOPInstanceUID=[str(i.SOPInstanceUID) for i in first[1:4]]), first[1:4]),
    }[level]  # fmt: skip
    if model != STUDY_ROOT:
        keys["PatientID"] = "MOVE-1"
    with archive.scripted() as peer:
        responses = move(archive.server, identifier(level, **keys), "SCRIPTED", model)
    has_level = {PATIENT_ROOT: True, STUDY_ROOT: level != "PATIENT", PATIENT_STUDY_ONLY: level in ("PATIENT", "STUDY")}[model]
    if has_level:
        assert responses[-1] == (SUCCESS, None, len(expected), 0, 0, None)
        assert sorted(peer.acknowledged) == uids(expected)
    else:
        assert [r[0] for r in responses] == [0xA900] and peer.requests == []


def test_a219_an_unknown_destination(archive, stored):
    study = of_study(stored[0][0].StudyInstanceUID)
    # Neither ourselves nor the caller is known unless the table says so.
    for title in ["STRANGER", "OVERREAD", "CALLER", "scripted"]:
        assert move(archive.server, study, title, calling="CALLER") == [(0xA801, None, None, None, None, None)], title
    with Mover(archive.server) as peer:
        peer.ask(str(stored[0][0].StudyInstanceUID), "   ")
        assert peer.response()[0] == 0xA801
        peer.ask(str(stored[0][0].StudyInstanceUID), "ALSO\\STRANGE")
        assert peer.response()[0] == 0xA801


def test_nothing_found_is_a_success_of_nothing_and_calls_nobody(archive, stored):
    first, second, _ = stored
    for asked in [
        of_study("1.2.3.4.5.6"),
        identifier("SERIES", StudyInstanceUID=first[0].StudyInstanceUID, SeriesInstanceUID=second[0].SeriesInstanceUID),
    ]:
        assert move(archive.server, asked, "NOBODY") == [(SUCCESS, None, 0, 0, 0, None)]


def test_an_identifier_that_does_not_fit_its_model(server, stored):
    study = str(stored[0][0].StudyInstanceUID)
    for model, asked in [
        (STUDY_ROOT, identifier("", PatientID="MOVE-1")),
        (STUDY_ROOT, identifier("STUDY", StudyInstanceUID="")),
        (STUDY_ROOT, identifier("STUDY", StudyInstanceUID="*")),
        (STUDY_ROOT, identifier("SERIES", SeriesInstanceUID="1.2")),
        (STUDY_ROOT, identifier("IMAGE", StudyInstanceUID=study, SOPInstanceUID="1.2")),
        (PATIENT_ROOT, identifier("PATIENT", PatientID="MOVE*")),
        (PATIENT_ROOT, identifier("STUDY", StudyInstanceUID=study)),
    ]:
        responses = move(server, asked, "SCRIPTED", model)
        assert [r[0] for r in responses] == [0xA900], asked


@pytest.mark.parametrize("seed", range(6))
def test_a220_generated_outcomes_are_counted_as_the_destination_counts_them(archive, seed):
    chance = random.Random(seed)
    objects = made.study(12, PatientID=f"MOVE-{seed}")
    # Some of a class that the destination does not take.
    strange = chance.sample(objects, chance.choice([0, 3]))
    for ds in strange:
        ds.SOPClassUID = made.SECONDARY_CAPTURE
    assert web.stow(archive.server, map(made.file, objects)).status_code == 200
    weights = chance.choice([(10, 1, 1, 1), (1, 1, 1, 1), (0, 1, 0, 0), (0, 0, 1, 1), (1, 0, 0, 0)])
    said = {}

    def answer(number, event):
        status = chance.choices([0x0000, 0xB000, 0xC123, 0xA700], weights)[0]
        said[str(event.request.AffectedSOPInstanceUID)] = status
        return status

    with archive.scripted(answer, contexts=[made.CT]) as peer:
        responses = move(archive.server, of_study(objects[0].StudyInstanceUID), "SCRIPTED")
    # Every one was tried once: the destination's own account.
    assert sorted(said) == sorted(str(r.AffectedSOPInstanceUID) for r in peer.requests) == uids(o for o in objects if o not in strange)
    completed, warned = (sum(status == wanted for status in said.values()) for wanted in (0x0000, 0xB000))
    failed = sorted([uid for uid, status in said.items() if status in (0xC123, 0xA700)] + uids(strange))
    status, remaining, *counted, failed_uids = responses[-1]
    assert (remaining, *counted) == (None, completed, len(failed), warned)
    assert (failed_uids or []) == failed
    assert status == (0xA702 if len(failed) == 12 else SUCCESS if completed == 12 else 0xB000)
    for number, (status, remaining, *counted, _) in enumerate(responses[:-1], 1):
        assert (status, remaining, sum(counted)) == (0xFF00, 12 - number, number)
        assert all(a <= b for a, b in zip(responses[number - 1][2:5], responses[number][2:5]))


def test_a221_all_failed_is_a_failure(archive, stored):
    first, _, _ = stored
    study = of_study(first[0].StudyInstanceUID)
    # Nobody listens; who listens rejects; who accepts takes none of it.
    assert move(archive.server, study, "NOBODY")[-1] == (0xA702, None, 0, 7, 0, uids(first))
    with archive.scripted(require_calling_aet=["FRIEND"]):
        assert move(archive.server, study, "SCRIPTED")[-1] == (0xA702, None, 0, 7, 0, uids(first))
    with archive.scripted(contexts=[made.SECONDARY_CAPTURE]) as peer:
        assert move(archive.server, study, "SCRIPTED")[-1] == (0xA702, None, 0, 7, 0, uids(first))
    assert peer.requests == []


def test_a221_cancelled_while_the_destination_hangs(archive):
    study, objects = a_study(archive.server, 10)
    over = threading.Event()
    with archive.scripted(lambda number, event: over.wait(60) and 0 if number == 3 else 0) as peer:
        with Mover(archive.server) as mover:
            mover.ask(study, "SCRIPTED", message=7)
            assert mover.response() == (0xFF00, 9, 1, 0, 0)
            assert mover.response() == (0xFF00, 8, 2, 0, 0)
            mover.cancel(99)
            mover.cancel(7)
            # Nobody knows of the third; it is not said to be stored.
            assert mover.last() == (0xFE00, 8, 2, 0, 0)
            assert len(peer.requests) == 3
            # The association goes on.
            mover.ask("1.2.3.4.5", "SCRIPTED", message=8)
            assert mover.response() == (SUCCESS, None, 0, 0, 0)
        over.set()


@pytest.mark.parametrize("how", ["no answer", "no byte taken"])
def test_a221_cancelled_while_the_destination_is_silent_from_the_first(archive, how):
    """It takes the connection, and never answers the association request; or answers it, and takes nothing of an object that is
    larger than what the network keeps for it."""
    study, objects = a_study(archive.server, 3, rows=3000, columns=4000)
    called, over = threading.Event(), threading.Event()

    def silence(raw, connection):
        raw.read(connection) if how == "no answer" else raw.accept(connection)
        if how == "no byte taken":
            # Until what has come and is not read grows no more for a second.
            unread = [-1]
            while unread[-20:] != [unread[-1]] * 20 or unread[-1] <= 0:
                unread.append(struct.unpack("i", ioctl(connection, FIONREAD, bytes(4)))[0])
                time.sleep(0.05)
        called.set()
        over.wait(60)

    with archive.raw(silence), Mover(archive.server) as mover:
        mover.ask(study, "RAW")
        assert called.wait(30)
        begun = time.monotonic()
        mover.cancel()
        assert mover.last() == (0xFE00, 3, 0, 0, 0)
        # dicom.idle_timeout_s, for which its answer would be awaited, is 120.
        assert time.monotonic() - begun < 20
        over.set()


def test_a221_cancelled_between_two_sub_operations(archive):
    study, objects = a_study(archive.server, 40)
    cancelled = threading.Event()

    def answer(number, event):
        if number == 4:
            cancelled.wait(30)
        return 0xC000 if number == 2 else 0

    with archive.scripted(answer) as peer, Mover(archive.server) as mover:
        mover.ask(study, "SCRIPTED")
        assert [mover.response()[1:] for _ in range(3)] == [(39, 1, 0, 0), (38, 1, 1, 0), (37, 2, 1, 0)]
        mover.cancel()
        cancelled.set()
        status, remaining, completed, failed, warning = mover.last()
        # What was under way is finished, and next to nothing follows.
        assert (status, failed, warning) == (0xFE00, 1, 0)
        assert completed + failed == len(peer.requests) == 40 - remaining
        assert 4 <= len(peer.requests) <= 40


def test_a_cancel_that_comes_with_the_request(archive):
    study, objects = a_study(archive.server, 5)
    with archive.scripted() as peer, Mover(archive.server) as mover:
        send = mover.socket.sendall
        together = bytearray()
        mover.socket = type("Joined", (), {"sendall": together.extend, "recv": mover.socket.recv, "close": mover.socket.close})
        mover.ask(study, "SCRIPTED")
        mover.cancel()
        send(together)
        mover.socket.sendall = send
        status, remaining, completed, *_ = mover.last()
        assert status == 0xFE00 and remaining + completed == 5 and completed == len(peer.requests)


def test_a224_what_is_stored_compressed_goes_as_it_is_or_decoded(archive):
    """Real compressed images of others; the pixels are pydicom's."""
    cases = {}
    for case in corpus.storable():
        syntax = part10.transfer_syntax(case.data)
        if syntax in (JPEG_LOSSLESS, J2K, JPEG_LS) and syntax not in cases:
            cases[syntax] = dcmread(io.BytesIO(case.data)), case.data
    assert len(cases) >= 2
    for syntax, (ds, data) in cases.items():
        [study] = kept(archive.server, data)
        asked = identifier("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=ds.SeriesInstanceUID, SOPInstanceUID=ds.SOPInstanceUID)
        for taken in ([syntax, IMPLICIT], [EXPLICIT], [IMPLICIT]):
            with archive.scripted(syntaxes=taken, contexts=[ds.SOPClassUID]) as peer:
                assert move(archive.server, asked, "SCRIPTED")[-1] == (SUCCESS, None, 1, 0, 0, None)
            [(uid, got, sent)] = peer.events
            assert got == taken[0]
            if got == syntax:
                assert sent == part10.data_set(data)
            else:
                back = dcmread(io.BytesIO(made.wrap(sent, str(ds.SOPClassUID), uid, got)))
                assert (back.pixel_array == ds.pixel_array).all(), (syntax, got)


def test_a224_encoded_where_nothing_else_is_taken_and_counted_where_it_cannot_be(archive):
    pixels = b"".join(struct.pack("<H", (x * 7 + y) % 4096) for y in range(16) for x in range(16))
    plain = made.instance(rows=16, columns=16, pixels=pixels)
    document = made.instance(study=plain.StudyInstanceUID, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    for keyword in ("Rows", "Columns", "PixelData", "SamplesPerPixel", "PhotometricInterpretation"):
        delattr(document, keyword)
    kept(archive.server, made.file(plain), made.file(document))
    with archive.scripted(syntaxes=[JPEG_LS], contexts=[made.CT, document.SOPClassUID]) as peer:
        responses = move(archive.server, of_study(plain.StudyInstanceUID), "SCRIPTED")
    assert responses[-1] == (0xB000, None, 1, 1, 0, [str(document.SOPInstanceUID)])
    [(uid, syntax, data)] = peer.events
    back = dcmread(io.BytesIO(made.wrap(data, made.CT, uid, syntax)))
    assert syntax == JPEG_LS and back.pixel_array.astype("<u2").tobytes() == pixels


@pytest.mark.parametrize("how", ["abort", "close"])
def test_a_destination_that_drops_the_association_is_called_again(start, how):
    archive = Archive(start, send_retries=2)
    study, objects = a_study(archive.server, 8)

    def answer(number, event):
        if number in (3, 6):
            event.assoc.dul.socket.socket.close() if how == "close" else event.assoc.abort()
            return 0xFFFF
        return 0

    with archive.scripted(answer) as peer:
        assert move(archive.server, of_study(study), "SCRIPTED")[-1] == (SUCCESS, None, 8, 0, 0, None)
        assert sorted(peer.acknowledged) == sorted(objects)


def test_a_destination_that_hangs_is_given_up_and_the_requestor_hears_us_meanwhile(start):
    archive = Archive(start, idle_timeout_s=5)
    study, objects = a_study(archive.server, 2)

    def silence(raw, connection):
        raw.accept(connection)
        while connection.recv(1 << 16):
            pass

    with archive.raw(silence), Mover(archive.server) as mover:
        mover.ask(study, "RAW")
        assert mover.response() == (0xFF00, 2, 0, 0, 0)
        assert mover.last() == (0xA702, None, 0, 2, 0)


@pytest.mark.parametrize("how", ["abort", "close", "release"])
def test_a_requestor_that_leaves_ends_the_move(archive, how):
    study, objects = a_study(archive.server, 30)
    count, last = [], []

    def serve(raw, connection):
        raw.accept(connection)
        while len(count) < 3:
            request = raw.message(connection)
            count.append(request[0x1000])
            if len(count) < 3:
                raw.respond(connection, request)
        # The third gets no answer: what comes next is not a fourth.
        last.append(raw.read(connection)[0])

    with archive.raw(serve):
        mover = Mover(archive.server)
        mover.ask(study, "RAW")
        mover.response(), mover.response()
        wait.until(lambda: len(count) == 3, "the third is sent")
        before = archive.server.log().count("association ended")
        if how == "abort":
            mover.abort()
        elif how == "close":
            mover.socket.close()
        else:
            mover.socket.sendall(struct.pack(">BBII", RELEASE_RQ, 0, 4, 0))
        wait.until(lambda: archive.server.log().count("association ended") > before, "the association ends")
        wait.until(lambda: last == [ABORT], "the destination hears that it is over")
    if how == "release":
        with pytest.raises((Aborted, Closed, AssertionError)):
            mover.last()
        mover.socket.close()


def test_only_so_many_moves_at_once(start):
    archive = Archive(start, moves_max=1)
    study, objects = a_study(archive.server, 2)
    first, over = threading.Event(), threading.Event()

    def answer(number, event):
        first.set()
        return 0 if over.wait(30) else 0xFFFF

    with archive.scripted(answer), Mover(archive.server) as one, Mover(archive.server) as two:
        one.ask(study, "SCRIPTED")
        assert first.wait(30)
        two.ask(study, "SCRIPTED")
        assert two.response()[0] == 0xA702
        over.set()
        assert one.last() == (SUCCESS, None, 2, 0, 0)
        two.ask(study, "SCRIPTED")
        assert two.last() == (SUCCESS, None, 2, 0, 0)


def test_a_stop_in_the_middle_of_a_move(start):
    archive = Archive(start)
    study, objects = a_study(archive.server, 5)
    first, over = threading.Event(), threading.Event()

    def answer(number, event):
        first.set()
        return 0 if over.wait(60) else 0xFFFF

    with archive.scripted(answer), Mover(archive.server) as mover:
        mover.ask(study, "SCRIPTED")
        assert first.wait(30)
        assert archive.server.stop() == 0
        with pytest.raises(Aborted):
            mover.last()
        over.set()
        mover.release = lambda: None


def test_everybody_can_move_to_everybody_at_once(archive):
    """Eight requestors, one destination: each gets its own, with its own originator."""
    studies = [a_study(archive.server, 4) for _ in range(8)]
    results = [None] * 8

    def ask(number):
        results[number] = move(archive.server, of_study(studies[number][0]), "SCRIPTED", calling=f"MOVER{number}")

    with archive.scripted(maximum_associations=20) as peer:
        threads = [threading.Thread(target=ask, args=[n]) for n in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    assert [r[-1] for r in results] == [(SUCCESS, None, 4, 0, 0, None)] * 8
    expected = {(uid, f"MOVER{n}") for n, (_, objects) in enumerate(studies) for uid in objects}
    assert {(str(r.AffectedSOPInstanceUID), r.MoveOriginatorApplicationEntityTitle) for r in peer.requests} == expected


def test_a_destination_may_be_ourselves_if_the_table_says_so(start, monkeypatch):
    """It comes back, is here already, and is counted."""
    port = free_port()
    ports = iter([free_port(), port])
    monkeypatch.setattr("harness.server.free_port", lambda: next(ports))
    server = start(config={"dicom": {"peers": [f"OVERREAD@127.0.0.1:{port}"]}})
    study, objects = a_study(server, 3)
    assert move(server, of_study(study), "OVERREAD")[-1] == (SUCCESS, None, 3, 0, 0, None)


def test_movescu_of_dcmtk_receives_what_it_asks_for(archive, stored, tmp_path):
    first, _, _ = stored
    host, port = archive.server.dicom_address
    done = subprocess.run(
        ["movescu", "-v", "-S", "-B", "-aet", "MOVER", "-aem", "MOVER", "-aec", "OVERREAD", "+P", str(archive.ports["MOVER"]), "-od", str(tmp_path),
         "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={first[0].StudyInstanceUID}", host, str(port)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    got = {dcmread(path).SOPInstanceUID: part10.data_set(path.read_bytes()) for path in tmp_path.iterdir()}
    assert got == {i.SOPInstanceUID: made.encode(i) for i in first}


def test_movescu_of_dcmtk_has_storescp_receive_and_cancels(archive, stored, tmp_path):
    first, _, _ = stored
    host, port = archive.server.dicom_address
    ask = ["movescu", "-d", "-S", "-aem", "STORESCP", "-aec", "OVERREAD", "-k", "QueryRetrieveLevel=STUDY",
           "-k", f"StudyInstanceUID={first[0].StudyInstanceUID}"]  # fmt: skip
    with Storescp(tmp_path / "scp", "+B", port=archive.ports["STORESCP"]) as scp:
        done = subprocess.run([*ask, host, str(port)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert {uid: part10.data_set(data) for uid, data in scp.files().items()} == {i.SOPInstanceUID: made.encode(i) for i in first}
        done = subprocess.run([*ask, "--cancel", "1", host, str(port)], capture_output=True, text=True, timeout=60)
        assert "FE00" in (done.stdout + done.stderr).upper(), done.stderr[-2000:]


@pytest.mark.parametrize("level", ["Study", "Series"])
def test_orthanc_queries_us_and_retrieves_by_c_move(archive, stored, tmp_path, level):
    first, _, _ = stored
    study = str(first[0].StudyInstanceUID)
    ours = {"overread": ("OVERREAD", archive.server.ports[1])}
    with Orthanc(tmp_path / "orthanc", ours, (free_port(), archive.ports["ORTHANC"])) as orthanc:
        found = orthanc.post("/modalities/overread/query", {"Level": level, "Query": {"StudyInstanceUID": study}})
        answers = orthanc.get(f"/queries/{found['ID']}/answers").json()
        assert len(answers) == {"Study": 1, "Series": 2}[level]
        for answer in answers:
            done = orthanc.post(f"/queries/{found['ID']}/answers/{answer}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
            assert "Query" in done
        got = {str(dcmread(io.BytesIO(f)).SOPInstanceUID): part10.data_set(f) for f in orthanc.files()}
    assert got == {str(i.SOPInstanceUID): made.encode(i) for i in first}


def test_the_log_names_no_patient(archive):
    study, objects = a_study(archive.server, 2, PatientName="Unmoved^Secret", PatientID="SECRET-7")
    assert move(archive.server, of_study(study), "NOBODY")[-1][0] == 0xA702
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.PatientID = "PATIENT", "SECRET-7"
    assert move(archive.server, asked, "NOBODY", PATIENT_ROOT)[-1][0] == 0xA702
    assert "NOBODY" in archive.server.log() and "SECRET-7" not in archive.server.log() and "Unmoved" not in archive.server.log()
