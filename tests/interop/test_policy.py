"""Duplicates and patient conflicts (issue 2, point 2): nothing overwritten silently, nothing dropped silently."""

import copy
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import made, part10, web
from harness.wire import EXPLICIT, Association

DOORS = ("stow", "dimse", "import")


def send(server, ds, door="stow", tmp_path=None):
    """What the sender is told: "stored", "warned", or "failed"."""
    if door == "stow":
        response = web.stow(server, [made.file(ds)])
        stored, failed, _ = web.outcome(response)
        if failed:
            return "failed"
        return "warned" if any(stored.values()) else "stored"
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
        status = peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds))
    return "stored" if status == 0 else ("warned" if status >> 12 == 0xB else "failed")


def held(server, ds):
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    response = web.get(server, path, web.AS_STORED)
    return part10.data_set(web.file_of(response)) if response.status_code == 200 else None


def twin(ds, **changes):
    other = copy.deepcopy(ds)
    for keyword, value in changes.items():
        setattr(other, keyword, value)
    return other


def quarantine(server, *words):
    """A quarantine command beside the stopped server."""
    return server.cli(["quarantine", words[0]], *words[1:])


def entries(server):
    """The listed numbers."""
    done = quarantine(server, "list")
    assert done.returncode == 0, done.stderr
    return [int(n) for n in re.findall(r"(?m)^\s*#?(\d+)\s", done.stdout)], done.stdout


@pytest.mark.parametrize("door", ["stow", "dimse"])
def test_a139_other_bytes_under_a_known_uid_are_held_back(start, door):
    server = start()
    first = made.instance()
    assert send(server, first) == "stored"
    assert send(server, twin(first, PatientComments="changed"), door) == "failed"
    assert held(server, first) == made.encode(first)
    assert web.value(web.qido(server, "/studies")[0], "00201208") == 1
    # Sent again and again, it is held back once.
    send(server, twin(first, PatientComments="changed"), door)
    server.stop()
    numbers, text = entries(server)
    assert len(numbers) == 1 and str(first.SOPInstanceUID) in text
    shown = quarantine(server, "show", numbers[0])
    assert shown.returncode == 0 and ("00104000" in shown.stdout or "PatientComments" in shown.stdout), shown.stdout


def test_accepting_a_duplicate_puts_it_in_place_and_keeps_the_displaced(start):
    server = start()
    first = made.instance()
    second = twin(first, PatientComments="changed")
    send(server, first)
    send(server, second)
    server.stop()
    numbers, _ = entries(server)
    done = quarantine(server, "accept", numbers[0])
    assert done.returncode == 0, done.stderr
    left, text = entries(server)
    assert len(left) == 1, f"the displaced one is kept, not dropped: {text}"
    server.start()
    assert held(server, second) == made.encode(second)
    assert web.value(web.qido(server, "/studies")[0], "00201208") == 1
    path = web.instance_path(first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
    assert web.value(web.get(server, path + "/metadata", web.JSON).json()[0], "00104000") == "changed"
    server.stop()
    assert server.cli("check --deep").returncode == 0


def test_rejecting_a_duplicate_forgets_it(start):
    server = start()
    first = made.instance()
    send(server, first)
    send(server, twin(first, PatientComments="changed"))
    server.stop()
    numbers, _ = entries(server)
    assert quarantine(server, "reject", numbers[0]).returncode == 0
    assert entries(server)[0] == []
    assert quarantine(server, "reject", numbers[0]).returncode == 1
    assert server.cli("check --deep").returncode == 0
    server.start()
    assert held(server, first) == made.encode(first)


def test_keep_first_refuses_the_newcomer(start):
    server = start(config={"ingest": {"duplicate": "keep-first"}})
    first = made.instance()
    send(server, first)
    response = web.stow(server, [made.file(twin(first, PatientComments="changed"))])
    assert response.status_code == 409
    assert web.outcome(response)[1] == {first.SOPInstanceUID: 0x0111}
    assert held(server, first) == made.encode(first)
    assert send(server, twin(first, PatientComments="changed"), "dimse") == "failed"
    server.stop()
    assert entries(server)[0] == []


@pytest.mark.parametrize("door", ["stow", "dimse"])
def test_replace_takes_the_newcomer(start, door):
    server = start(config={"ingest": {"duplicate": "replace"}})
    first = made.instance(StudyDescription="old")
    second = twin(first, StudyDescription="new", InstanceNumber=77)
    send(server, first)
    assert send(server, second, door) == "stored"
    assert held(server, second) == made.encode(second)
    rows = web.qido(server, "/instances", {"InstanceNumber": 77})
    assert len(rows) == 1
    assert web.value(web.qido(server, "/studies")[0], "00201208") == 1
    server.stop()
    assert entries(server)[0] == []
    assert server.cli("check --deep").returncode == 0


def test_replace_may_move_an_instance_to_another_study(start):
    server = start(config={"ingest": {"duplicate": "replace"}})
    first = made.instance()
    moved = twin(first, StudyInstanceUID=made.uid(), SeriesInstanceUID=made.uid())
    send(server, first)
    send(server, moved)
    studies = [web.value(row, "0020000D") for row in web.qido(server, "/studies")]
    assert studies == [moved.StudyInstanceUID], "the emptied study is gone"
    assert held(server, first) is None and held(server, moved) == made.encode(moved)


@pytest.mark.parametrize("door", ["stow", "dimse"])
def test_a_study_under_another_patient_is_held_back(start, door):
    server = start()
    first = made.instance(PatientID="P-ONE", PatientName="First^Person")
    other = made.instance(study=first.StudyInstanceUID, PatientID="P-TWO", PatientName="Second^Person")
    send(server, first)
    assert send(server, other, door) == "failed"
    assert held(server, other) is None
    rows = web.qido(server, "/studies")
    assert len(rows) == 1 and web.value(rows[0], "00100020") == "P-ONE" and web.value(rows[0], "00201208") == 1
    assert web.qido(server, "/studies", {"PatientID": "P-TWO"}) == []
    server.stop()
    numbers, _ = entries(server)
    assert len(numbers) == 1
    assert quarantine(server, "accept", numbers[0]).returncode == 0
    assert entries(server)[0] == []
    server.start()
    assert held(server, other) == made.encode(other)
    rows = web.qido(server, "/studies")
    assert len(rows) == 1 and web.value(rows[0], "00100020") == "P-ONE" and web.value(rows[0], "00201208") == 2


def test_patient_conflicts_can_be_let_through(start):
    server = start(config={"ingest": {"patient_conflict": "accept"}})
    first = made.instance(PatientID="P-ONE", PatientName="First^Person")
    other = made.instance(study=first.StudyInstanceUID, PatientID="P-TWO", PatientName="Second^Person")
    send(server, first)
    assert send(server, other) == "stored"
    assert held(server, other) == made.encode(other), "stored as sent"
    rows = web.qido(server, "/studies")
    assert len(rows) == 1, "one study, listed once"
    assert web.value(rows[0], "00100020") == "P-ONE" and web.value(rows[0], "00201208") == 2
    server.stop()
    done = quarantine(server, "list")
    assert str(other.SOPInstanceUID) in done.stdout or str(first.StudyInstanceUID) in done.stdout, f"the conflict is listed: {done.stdout}"


@pytest.mark.parametrize(
    "spelling",
    [
        {"PatientName": "MAKER^TEST"}, {"PatientName": "Maker^Test^"}, {"PatientName": "Mäker^Test"}, {"PatientID": "MADE-1 "},
        {"PatientName": "Maker^Test=メーカー"}, {"PatientBirthDate": ""}, {"PatientSex": ""},
    ],
    ids=["case", "caret", "accent", "padding", "another group", "no birth date", "no sex"],
)  # fmt: skip
def test_spelling_is_no_conflict(server, spelling):
    first = made.instance()
    other = made.instance(study=first.StudyInstanceUID, **spelling)
    assert send(server, first) == "stored"
    assert send(server, other) == "stored"
    assert held(server, other) == made.encode(other)


def test_two_patients_with_one_name_are_two(server):
    objects = [made.instance(PatientID=f"TWIN-{n}", PatientName="Same^Name") for n in range(2)]
    assert [send(server, ds) for ds in objects] == ["stored", "stored"]


def test_racing_senders_with_different_bytes_under_one_uid(start):
    server = start()
    first = made.instance()
    versions = [twin(first, PatientComments=f"version {n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda p: send(server, p[1], DOORS[p[0] % 2]), enumerate(versions)))
    assert told.count("stored") == 1, told
    assert held(server, first) == made.encode(versions[told.index("stored")])
    server.stop()
    assert len(entries(server)[0]) == 7
    assert server.cli("check --deep").returncode == 0


def test_import_holds_back_too(start, tmp_path):
    server = start()
    first = made.instance()
    send(server, first)
    server.stop()
    (tmp_path / "other.dcm").write_bytes(made.file(twin(first, PatientComments="changed")))
    done = server.cli("import", tmp_path / "other.dcm")
    assert done.returncode == 0 and re.search(r"(?m)^quarantined +1\b", done.stdout), done.stdout + done.stderr
    assert len(entries(server)[0]) == 1


def test_quarantined_blobs_survive_a_restart_and_a_check(start):
    server = start()
    first = made.instance(rows=64, columns=64)
    send(server, first)
    send(server, twin(first, PatientComments="changed"))
    server.restart()
    server.stop()
    done = server.cli("check --deep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(entries(server)[0]) == 1


def test_show_says_where_it_came_from(start, tmp_path):
    server = start()
    first = made.instance()
    send(server, first)
    send(server, twin(first, PatientComments="by web"))
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])], calling="SCANNER7") as peer:
        peer.store(made.CT, str(first.SOPInstanceUID), EXPLICIT, made.encode(twin(first, PatientComments="by wire")))
    server.stop()
    (tmp_path / "other.dcm").write_bytes(made.file(twin(first, PatientComments="by hand")))
    assert server.cli("import", tmp_path / "other.dcm").returncode == 0
    origins = {}
    for number in entries(server)[0]:
        shown = quarantine(server, "show", number).stdout
        origins[re.search(r"by (?:web|wire|hand)", shown)[0]] = re.search(r"(?m)^from +(.*)$", shown)[1]
    assert origins.keys() == {"by web", "by wire", "by hand"}
    assert re.fullmatch(r"STOW-RS anonymous 127\.0\.0\.1(:\d+)?", origins["by web"])
    assert re.fullmatch(r"C-STORE SCANNER7 127\.0\.0\.1(:\d+)?", origins["by wire"])
    assert re.fullmatch(rf"import uid {os.getuid()}.*", origins["by hand"])


@pytest.mark.parametrize("conflict", ["duplicate", "patient"])
def test_a_conflict_over_the_web_leaves_one_line_in_the_log(start, conflict):
    server = start()
    first = made.instance(PatientID="LOG-4711", PatientName="Logsberg^Ludmilla")
    changes = {"PatientComments": "peinlich"}
    if conflict == "patient":
        changes |= {"SOPInstanceUID": made.uid(), "PatientID": "LOG-4712", "PatientName": "Andersson^Agda"}
    other = twin(first, **changes)
    assert (send(server, first), send(server, other)) == ("stored", "failed")
    server.stop()
    lines = [line for line in server.log().splitlines() if str(other.SOPInstanceUID) in line]
    assert len(lines) == 1 and " WARN " in lines[0], lines
    for secret in ("LOG-4711", "LOG-4712", "Logsberg", "Andersson", "peinlich"):
        assert secret not in server.log()
