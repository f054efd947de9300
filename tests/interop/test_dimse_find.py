"""C-FIND as DCMTK, pynetdicom and a raw socket meet it (PS3.4 §C.4.1; conformance.md §8, 212–218)."""

import random
import re
import struct
import subprocess
import time

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind as PATIENT_ROOT,
    PatientStudyOnlyQueryRetrieveInformationModelFind as PATIENT_STUDY_ONLY,
    StudyRootQueryRetrieveInformationModelFind as STUDY_ROOT,
)

from harness import made, qido, web
from harness.retrieve import cancel, even, exchange, identifier, request, responses
from harness.wire import ABORT, EXPLICIT, IMPLICIT, P_DATA, Aborted, Association, Closed, command, item
from test_qido import Population, combined, random_key

BIG = "1.2.840.10008.1.2.2"
LEVELS = {"studies": ("STUDY", "StudyInstanceUID"), "series": ("SERIES", "SeriesInstanceUID"), "instances": ("IMAGE", "SOPInstanceUID")}


@pytest.fixture(scope="module")
def people(start_module):
    return Population(start_module())


class Peer:
    """A pynetdicom SCU."""

    def __init__(self, server, model=STUDY_ROOT, syntaxes=None, extended=None):
        self.model = model
        ae = AE(ae_title="FINDER")
        ae.add_requested_context(model, syntaxes or [EXPLICIT, IMPLICIT])
        items = []
        if extended is not None:
            negotiation = SOPClassExtendedNegotiation()
            negotiation.sop_class_uid, negotiation.service_class_application_information = model, extended
            items = [negotiation]
        self.association = ae.associate(*server.dicom_address, ae_title="OVERREAD", ext_neg=items)
        assert self.association.is_established

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.association.release()

    def find(self, ds):
        """(final status, [(pending status, identifier)])."""
        answers, last = [], None
        for status, found in self.association.send_c_find(ds, self.model):
            if status.Status in (0xFF00, 0xFF01):
                assert last is None, "a pending response after the last"
                answers.append((status.Status, found))
            else:
                assert found is None, "the last response has no identifier"
                last = status.Status
        return last, answers


def find(server, ds, model=STUDY_ROOT, **keywords):
    with Peer(server, model, **keywords) as peer:
        return peer.find(ds)


def test_a212_only_what_was_asked_for_comes_back(people):
    some = people.instances[0]
    asked = identifier("STUDY", StudyInstanceUID=str(some.StudyInstanceUID), PatientName="", StudyDate="", NumberOfStudyRelatedInstances=None, ModalitiesInStudy="")  # fmt: skip
    last, answers = find(people.server, asked)
    assert last == 0 and [status for status, _ in answers] == [0xFF00]
    found = answers[0][1]
    mine = [i for i in people.instances if i.StudyInstanceUID == some.StudyInstanceUID]
    assert {e.keyword for e in found} - {"SpecificCharacterSet"} == {
        "QueryRetrieveLevel", "RetrieveAETitle", "StudyInstanceUID", "PatientName", "StudyDate", "NumberOfStudyRelatedInstances", "ModalitiesInStudy",
    }  # fmt: skip
    assert (found.QueryRetrieveLevel, found.RetrieveAETitle) == ("STUDY", "OVERREAD")
    assert (found.PatientName, found.StudyDate) == (some.PatientName, some.StudyDate)
    assert found.NumberOfStudyRelatedInstances == len(mine)
    modalities = found.ModalitiesInStudy
    assert set([modalities] if isinstance(modalities, str) else modalities) == {i.Modality for i in mine}


def test_a212_dcmtk_finds(people, tmp_path):
    some = people.instances[3]
    host, port = people.server.dicom_address
    done = subprocess.run(
        ["findscu", "-S", "-X", "-aec", "OVERREAD", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={some.StudyInstanceUID}",
         "-k", "PatientID", "-k", "RequestAttributesSequence", host, str(port)],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (answer,) = tmp_path.glob("rsp*.dcm")
    assert dcmread(answer, force=True).PatientID == some.PatientID


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_answers_are_in_the_transfer_syntax_of_the_context(people, syntax):
    some = people.instances[5]
    asked = identifier("IMAGE", StudyInstanceUID=some.StudyInstanceUID, SeriesInstanceUID=some.SeriesInstanceUID,
                       SOPInstanceUID=some.SOPInstanceUID, Rows=None, RequestAttributesSequence=[], PatientName="")  # fmt: skip
    last, answers = find(people.server, asked, syntaxes=[syntax])
    assert (last, len(answers)) == (0, 1)
    found = answers[0][1]
    assert (found.Rows, found.PatientName) == (some.Rows, some.PatientName)
    assert [i.RequestedProcedureID for i in found.RequestAttributesSequence] == [i.RequestedProcedureID for i in some.RequestAttributesSequence]


def test_a213_what_is_not_supported_is_said_and_absent(people):
    some = people.instances[0]
    for unsupported in [dict(SliceThickness=""), dict(RetrieveURL=""), dict(NumberOfSeriesRelatedInstances=None)]:
        asked = identifier("STUDY", StudyInstanceUID=some.StudyInstanceUID, PatientID="", **unsupported)
        last, answers = find(people.server, asked)
        assert last == 0 and [status for status, _ in answers] == [0xFF01], unsupported
        assert next(iter(unsupported)) not in answers[0][1]
    # What no object has is supported: it has no value.
    last, answers = find(people.server, identifier("STUDY", StudyInstanceUID=some.StudyInstanceUID, PatientComments=""))
    assert [status for status, _ in answers] == [0xFF00] and answers[0][1]["PatientComments"].is_empty


def test_a214_an_identifier_that_does_not_fit_its_model(people):
    some = people.instances[0]
    study, series = str(some.StudyInstanceUID), str(some.SeriesInstanceUID)
    without_level = Dataset()
    without_level.PatientID = ""
    for model, asked in [
        (STUDY_ROOT, without_level),
        (STUDY_ROOT, identifier("")),
        (STUDY_ROOT, identifier("FRAME")),
        (STUDY_ROOT, identifier("PATIENT", PatientID="")),
        (STUDY_ROOT, identifier("SERIES", SeriesInstanceUID="")),
        (STUDY_ROOT, identifier("SERIES", StudyInstanceUID="", SeriesInstanceUID="")),
        (STUDY_ROOT, identifier("SERIES", StudyInstanceUID=[study, series], SeriesInstanceUID="")),
        (STUDY_ROOT, identifier("IMAGE", StudyInstanceUID=study, SOPInstanceUID="")),
        (PATIENT_ROOT, identifier("STUDY", StudyInstanceUID="")),
        (PATIENT_ROOT, identifier("STUDY", PatientID="PAT*", StudyInstanceUID="")),
        (PATIENT_STUDY_ONLY, identifier("SERIES", PatientID=some.PatientID, StudyInstanceUID=study)),
    ]:
        assert find(people.server, asked, model) == (0xA900, []), asked
    assert find(people.server, identifier("STUDY", StudyDate="20261301"))[0] & 0xF000 == 0xC000


def test_the_levels_of_each_model(people):
    some = people.instances[0]
    mine = [i for i in people.instances if i.PatientID == some.PatientID]
    studies = {i.StudyInstanceUID for i in mine}
    for model in (PATIENT_ROOT, PATIENT_STUDY_ONLY):
        last, answers = find(people.server, identifier("PATIENT", PatientID=some.PatientID, PatientName="", NumberOfPatientRelatedStudies=None, PatientComments=""), model)  # fmt: skip
        assert (last, len(answers)) == (0, 1)
        assert answers[0][1].NumberOfPatientRelatedStudies == len(studies)
        last, answers = find(people.server, identifier("STUDY", PatientID=some.PatientID, StudyInstanceUID=""), model)
        assert (last, {found.StudyInstanceUID for _, found in answers}) == (0, studies)
    asked = identifier("SERIES", PatientID=some.PatientID, StudyInstanceUID=some.StudyInstanceUID, SeriesInstanceUID="", Modality="")
    last, answers = find(people.server, asked, PATIENT_ROOT)
    here = [i for i in people.instances if i.StudyInstanceUID == some.StudyInstanceUID]
    assert {(f.SeriesInstanceUID, f.Modality) for _, f in answers} == {(i.SeriesInstanceUID, i.Modality) for i in here}
    asked = identifier("IMAGE", PatientID=some.PatientID, StudyInstanceUID=some.StudyInstanceUID, SeriesInstanceUID=some.SeriesInstanceUID, SOPInstanceUID="")  # fmt: skip
    last, answers = find(people.server, asked, PATIENT_ROOT)
    assert {f.SOPInstanceUID for _, f in answers} == {i.SOPInstanceUID for i in here if i.SeriesInstanceUID == some.SeriesInstanceUID}


def test_a217_c_find_and_qido_find_the_same(people):
    chance = random.Random(217)
    rank = {"studies": 0, "series": 1, "instances": 2}
    tried = hits = 0
    wrong = []
    relational = item(0x56, struct.pack(">H", len(STUDY_ROOT)) + STUDY_ROOT.encode() + b"\x01")
    # Not pynetdicom: its reactor may eat the first response when one search follows another at once.
    with Association(people.server.dicom_address, [(STUDY_ROOT, [EXPLICIT])], extra_user_items=relational) as peer:
        while tried < 80:
            parameters, deepest = {}, 0
            for _ in range(chance.choice([1, 1, 2, 3])):
                level, keys, _judge = random_key(chance, people)
                if not any(k in parameters for k in keys):
                    parameters |= keys
                    deepest = max(deepest, rank[level])
            if combined(parameters):
                continue  # in the baseline two keys, in QIDO-RS one interval: below
            level = chance.choice([name for name, r in rank.items() if r >= deepest])
            tried += 1
            name, key = LEVELS[level]
            tag = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}[level]
            expected = [web.value(row, tag) for row in web.qido_all(people.server, f"/{level}", parameters)]
            asked = identifier(name, **{key: ""})
            for keyword, value in parameters.items():
                put(asked, keyword, value)
            statuses, found = exchange(peer, made.encode(asked))
            hits += bool(expected)
            if statuses != [0xFF00] * len(expected) + [0] or [str(ds[key].value) for ds in found] != expected:
                wrong.append((level, parameters, statuses[-1], len(found), len(expected)))
    assert wrong == []
    assert hits > 40, "queries that find nothing prove little"


def put(asked, keyword, value):
    names = {"00400275": "RequestAttributesSequence", "00401001": "RequestedProcedureID"}
    path = [names.get(part, part) for part in keyword.split(".")]
    if "InstanceUID" in path[-1]:
        value = value.split(",")
    for sequence in path[:-1]:
        if sequence not in asked:
            setattr(asked, sequence, [Dataset()])
        asked = asked[sequence][0]
    asked.SpecificCharacterSet = "ISO_IR 192"
    setattr(asked, path[-1], value)


def test_extended_negotiation_is_answered_and_obeyed(start):
    server = start()
    first = made.instance(StudyDate="20260105", StudyTime="230000", PatientName="Meyer^Anna")
    second = made.instance(StudyDate="20260106", StudyTime="010000", PatientName="Mayr^Anna", AccessionNumber="", PatientID="MADE-2")
    assert web.stow(server, [made.file(first), made.file(second)]).status_code == 200

    def found(offered, **keys):
        with Peer(server, extended=offered) as peer:
            last, answers = peer.find(identifier("STUDY", StudyInstanceUID="", **keys))
            assert last == 0
            granted = peer.association.acceptor.sop_class_extended.get(STUDY_ROOT)
            return granted, {answer.StudyInstanceUID for _, answer in answers}

    one, two = {first.StudyInstanceUID}, {second.StudyInstanceUID}
    # One interval, from ten in the evening to the end of the next day, or the late hours of each day.
    late = dict(StudyDate="20260105-20260106", StudyTime="220000-235959")
    assert found(b"\x01\x01", **late) == (b"\x01\x01", one | two)
    assert found(None, **late) == (None, one)
    assert found(b"\x00\x00\x01\x01\x01", PatientName="MEIER") == (b"\x00\x00\x01\x00\x00", one | two)
    assert found(b"\x00\x00\x00", PatientName="MEIER") == (b"\x00\x00\x00", set())
    assert found(b"\x00" * 5 + b"\x01\x01", AccessionNumber='""') == (b"\x00" * 5 + b"\x01\x01", two)


@pytest.mark.parametrize("charset, encoding", [("ISO_IR 192", "utf-8"), ("ISO_IR 100", "latin-1")])
def test_a216_character_sets_of_keys_and_answers(start, charset, encoding):
    server = start()
    stored = [made.instance(PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 192"),
              made.instance(PatientName="Müller^Zoë=山田", PatientID="MADE-2", SpecificCharacterSet="ISO_IR 192")]  # fmt: skip
    assert web.stow(server, map(made.file, stored)).status_code == 200
    with Association(server.dicom_address, [(STUDY_ROOT, [EXPLICIT])]) as peer:
        keys = made.element(8, 5, "CS", charset.encode()) + made.element(8, 0x52, "CS", b"STUDY ")
        keys += made.element(0x10, 0x10, "PN", even("MÜLLER^*".encode(encoding))) + made.element(0x20, 0xD, "UI", b"")
        statuses, found = exchange(peer, keys)
    assert statuses == [0xFF00, 0xFF00, 0]
    answers = {str(ds.PatientName): ds.SpecificCharacterSet for ds in found}
    # What fits into the character set of the request stays in it.
    assert answers == {"Müller^Jörg": charset, "Müller^Zoë=山田": "ISO_IR 192"}


ALL_STUDIES = made.element(8, 0x52, "CS", b"STUDY ") + made.element(0x20, 0xD, "UI", b"")


def test_a215_a_cancelled_search_ends(people):
    count = len({i.StudyInstanceUID for i in people.instances})
    with Association(people.server.dicom_address, [(STUDY_ROOT, [EXPLICIT])]) as peer:
        # Cancelled before the first answer: the C-CANCEL follows the request at once.
        request(peer, ALL_STUDIES, message=7)
        peer.send_fragments(1, cancel(7), True)
        statuses = [status for status, _ in responses(peer)]
        assert statuses[-1] in (0xFE00, 0)
        assert len(statuses) <= count + 1
        # A C-CANCEL of something else changes nothing; one that comes too late gets no answer.
        request(peer, ALL_STUDIES, message=8)
        peer.send_fragments(1, cancel(99), True)
        statuses = [status for status, _ in responses(peer)]
        assert statuses == [0xFF00] * count + [0]
        peer.send_fragments(1, cancel(8), True)
        statuses, found = exchange(peer, ALL_STUDIES)
        assert (statuses[-1], len(found)) == (0, count)


def test_a215_request_and_cancel_in_one_write_end_before_the_first_answer(people):
    with Association(people.server.dicom_address, [(STUDY_ROOT, [EXPLICIT])]) as peer:
        ask = command({0x2: STUDY_ROOT, 0x100: 0x20, 0x110: 5, 0x700: 0, 0x800: 1})
        pdv = [(1, 3, ask), (1, 2, ALL_STUDIES), (1, 3, cancel(5))]
        body = b"".join(struct.pack(">IBB", len(data) + 2, context, header) + data for context, header, data in pdv)
        peer.socket.sendall(struct.pack(">BBI", P_DATA, 0, len(body)) + body)
        assert [status for status, _ in responses(peer)] == [0xFE00]


def nested(depth):
    keys = made.element(0x10, 0x20, "LO", b"")
    for _ in range(depth):
        keys = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + keys + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        keys = struct.pack("<HH2sHI", 0x40, 0x275, b"SQ", 0, 0xFFFFFFFF) + keys + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return keys


HOSTILE = {
    "nested 10,000 deep": ALL_STUDIES + nested(10_000),
    "a million UIDs": made.element(8, 0x52, "CS", b"STUDY ") + struct.pack("<HH2sHI", 0x20, 0xD, b"UN", 0, 5_999_999 + 1) + b"1.2.3\\" * 1_000_000,
    "2000 UIDs": made.element(8, 0x52, "CS", b"STUDY ") + made.element(0x20, 0xD, "UI", b"1.2.34\\" * 2000),
    "cut in a header": ALL_STUDIES[:-3],
    "a length that lies": made.element(8, 0x52, "CS", b"STUDY ") + struct.pack("<HH2sH", 0x20, 0xD, b"UI", 60000) + b"1.2 ",
    "a length of 4 GiB": made.element(8, 0x52, "CS", b"STUDY ") + struct.pack("<HH2sHI", 0x8, 0x6, b"OB", 0, 0xFFFFFFF0),
    "no data set": random.Random(1).randbytes(5000),
    "5000 keys": ALL_STUDIES + b"".join(made.element(0x41, 0x1000 + n, "LO", b"") for n in range(5000)),
    "an attribute twice": made.element(8, 0x52, "CS", b"STUDY ") * 2,
    "pixel data": ALL_STUDIES + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_identifier_costs_nobody_anything(people, what):
    with Association(people.server.dicom_address, [(STUDY_ROOT, [EXPLICIT])]) as peer:
        began = time.monotonic()
        statuses, found = exchange(peer, HOSTILE[what])
        assert time.monotonic() - began < 20
        assert len(statuses) == 1 and statuses[0] & 0xF000 in (0xA000, 0xC000), statuses
        # The same association goes on, and so does everybody else.
        assert exchange(peer, ALL_STUDIES)[0][-1] == 0
    assert find(people.server, identifier("STUDY", PatientID="nobody"))[0] == 0


def test_a_request_in_the_middle_of_answers_ends_the_association(people):
    peer = Association(people.server.dicom_address, [(STUDY_ROOT, [EXPLICIT])])
    # In one write, so that the second is there before the first is answered.
    asks = [command({0x2: STUDY_ROOT, 0x100: 0x20, 0x110: n, 0x700: 0, 0x800: 1}) for n in (1, 2)]
    body = b"".join(struct.pack(">IBB", len(d) + 2, 1, header) + d for ask in asks for header, d in ((3, ask), (2, ALL_STUDIES)))
    peer.socket.sendall(struct.pack(">BBI", P_DATA, 0, len(body)) + body)
    with pytest.raises((Aborted, Closed, ConnectionError)):
        while True:
            kind, _ = peer.read_pdu()
            assert kind in (P_DATA, ABORT)
            list(responses(peer))
    peer.socket.close()
    assert find(people.server, identifier("STUDY", PatientID="nobody"))[0] == 0


def test_no_patient_data_in_the_log(people):
    secret = "Unfindable^Secret"
    assert find(people.server, identifier("STUDY", PatientName=secret, StudyDate="20269999"))[0] & 0xF000 == 0xC000
    assert not re.search("Unfindable|20269999", people.server.log_path.read_text())


def test_sequences_are_matched_and_told_in_part(people):
    some = next(i for i in people.instances if i.RequestAttributesSequence)
    step = some.RequestAttributesSequence[0].ScheduledProcedureStepID
    asked = identifier("SERIES", StudyInstanceUID=some.StudyInstanceUID, SeriesInstanceUID="",
                       RequestAttributesSequence=[qido.item(ScheduledProcedureStepID=step)])  # fmt: skip
    last, answers = find(people.server, asked)
    expected = {i.SeriesInstanceUID for i in people.instances if i.StudyInstanceUID == some.StudyInstanceUID
                and any(r.ScheduledProcedureStepID == step for r in i.RequestAttributesSequence)}  # fmt: skip
    assert (last, {found.SeriesInstanceUID for _, found in answers}) == (0, expected)
    for _, found in answers:
        assert all([e.keyword for e in inner] == ["ScheduledProcedureStepID"] for inner in found.RequestAttributesSequence)


def test_a218_an_empty_value_is_found_by_an_empty_key_only(start):
    """Decided otherwise than PS3.4 §C.2.2.1.2 (CONFORMANCE.md), and alike at both doors."""
    server = start()
    nobody, somebody = made.instance(PatientName="", AccessionNumber=""), made.instance(PatientID="MADE-2", PatientName="Some^Body")
    assert web.stow(server, [made.file(nobody), made.file(somebody)]).status_code == 200
    both = {nobody.StudyInstanceUID, somebody.StudyInstanceUID}
    for keys, expected in [
        ({"PatientName": "Some*"}, {somebody.StudyInstanceUID}), ({"PatientName": "Other"}, set()), ({"PatientName": "*"}, both),
        ({"PatientName": ""}, both), ({"AccessionNumber": "A7"}, set()), ({"AccessionNumber": ""}, both),
    ]:  # fmt: skip
        last, answers = find(server, identifier("STUDY", StudyInstanceUID="", **keys))
        assert (last, {found.StudyInstanceUID for _, found in answers}) == (0, expected), keys
        assert {study["0020000D"]["Value"][0] for study in web.qido_all(server, "/studies", keys)} == expected, keys
