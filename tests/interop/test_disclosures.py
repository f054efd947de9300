"""Whom the trail names when somebody searched (issue 7, part 10): the studies in a narrow answer, by QIDO-RS, the pages and C-FIND,
so that they are in the list of disclosures; of searches at large only that there were such."""

import csv
import io

import pytest
import requests
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND

from harness import made, people, ups, wait, web
from harness.people import bearer

FEW = 20


class Archive:
    def __init__(self, start):
        self.server = start()
        self.studies = {}
        for number in range(FEW + 1):
            ds = made.instance(PatientID=f"P{number}", PatientName=f"Found^{'Few' if number < FEW else 'More'}", StudyDate=f"202601{number + 1:02}")
            self.studies[f"P{number}"] = ds.StudyInstanceUID
            assert web.stow(self.server, [made.file(ds)]).status_code == 200
        people.add_user(self.server, "vera", "viewer")
        people.closed(self.server)
        self.headers = bearer(people.token(self.server, "vera")[1])

    def search(self, path="/studies", **params):
        answer = requests.get(f"{self.server.web}{path}", params=params, headers=self.headers, timeout=30)
        assert answer.status_code in (200, 204), answer.text
        return answer.json() if answer.content else []

    def disclosed(self, patient):
        """Rows of the list and what is said beside it."""
        done = people.shell(self.server, "audit disclosures", "--patient-id", patient)
        assert done.returncode == 0, done.stderr
        rows = [row for row in csv.DictReader(io.StringIO(done.stdout)) if row["who"] == "vera" or row["who"] == "FINDER"]
        return [(row["who"], row["detail"]) for row in rows], done.stderr


@pytest.fixture
def archive(start):
    return Archive(start)


def test_a_narrow_search_names_the_studies_it_told_of(archive):
    rows, beside = archive.disclosed("P3")
    assert rows == [] and "besides" not in beside
    assert len(archive.search(PatientID="P3")) == 1
    rows, beside = archive.disclosed("P3")
    assert rows == [("vera", "/dicom-web/studies?PatientID=P3")] and "besides" not in beside
    assert archive.disclosed("P4")[0] == []
    # What found nothing told of nobody.
    assert archive.search(PatientID="P3", ModalitiesInStudy="US") == []
    assert len(archive.disclosed("P3")[0]) == 1
    # At the other levels too, and just as many as may be named.
    study = archive.studies["P5"]
    assert len(archive.search("/series", PatientID="P5")) == 1 and len(archive.search("/instances", PatientID="P5")) == 1
    assert len(archive.search(f"/studies/{study}/series")) == 1
    assert len(archive.search(PatientName="Found^Few", limit=100)) == FEW
    details = [detail for _, detail in archive.disclosed("P5")[0]]
    assert len(details) == 4 and all(part in " ".join(details) for part in ("/series?", "/instances?", f"/studies/{study}/series", "Found"))
    # The page of studies.
    session = requests.Session()
    form = {"name": "vera", "passcode": people.PASSCODE}
    assert session.post(f"{archive.server.url}/sign-in", data=form, timeout=30).status_code == 200
    assert "P7" in session.get(f"{archive.server.url}/?id=P7", timeout=30).text
    assert ("vera", "/?id=P7") in archive.disclosed("P7")[0]
    assert people.shell(archive.server, "audit verify").returncode == 0


def test_the_other_studies_of_a_patient_are_told_of_alike(archive):
    """The quick look and the form of a case tell dates and descriptions of them."""
    server = archive.server
    people.add_user(server, "rita", "requester")
    people.add_user(server, "sam", "sender")
    sam = requests.Session()
    sam.headers.update(bearer(people.token(server, "sam")[1]))
    studies = [archive.studies["P3"]]
    for _ in range(2):
        ds = made.instance(PatientID="P3")
        assert web.stow(server, [made.file(ds)], session=sam).status_code == 200
        studies.append(ds.StudyInstanceUID)
    one, *others = studies
    for name, page in (("vera", "look"), ("rita", "case")):
        headers = bearer(people.token(server, name)[1])
        text = requests.get(f"{server.url}/studies/{one}/{page}", headers=headers, timeout=30).text
        assert all(other in text for other in others)
        [row] = [row for row in people.trail(server) if row["who"] == name and row["detail"] == f"/studies/{one}/{page}"]
        assert sorted(row["studies"].split()) == sorted(others) and row["object"] == "search"
        # Who has no others has none in the trail.
        assert requests.get(f"{server.url}/studies/{archive.studies['P4']}/{page}", headers=headers, timeout=30).status_code == 200
        assert not [row for row in people.trail(server) if row["detail"] == f"/studies/{archive.studies['P4']}/{page}"]


def test_a_search_at_large_names_nobody_and_is_told_of(archive):
    assert len(archive.search(limit=100)) == FEW + 1
    rows, beside = archive.disclosed("P3")
    assert rows == []
    assert beside.startswith("besides, 1 rows of the trail, from 20") and "more than 20 studies" in beside
    # A page of it that is short tells of few.
    assert len(archive.search(limit=2)) == 2
    told = people.trail(archive.server)
    [named] = [row for row in told if row["who"] == "vera" and row["detail"].endswith("limit=2")]
    assert len(named["studies"].split()) == 2
    [broad] = [row for row in told if row["object"] == "search that told of more than 20 studies"]
    assert broad["studies"] == "" and broad["who"] == "vera"


def test_searches_at_large_are_counted_as_they_are_told(archive):
    """What a list of disclosures says beside its rows costs the same however many there were."""
    server = archive.server
    people.add_user(server, "root", "administrator")
    root = bearer(people.token(server, "root")[1])

    def said():
        answer = requests.get(f"{server.url}/api/v1/audit/disclosures?patient_id=P3", headers=root, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["broad_searches"]

    def told():
        at_large = [row for row in people.trail(server) if row["object"] == "search that told of more than 20 studies"]
        return at_large and {"rows": len(at_large), "first": at_large[0]["time"], "last": at_large[-1]["time"]}

    assert said() is None and not told()
    for limit in (100, 101, 102):
        assert len(archive.search(limit=limit)) == FEW + 1
        assert said() == told()
    assert said()["rows"] == 3
    server.restart()
    assert len(archive.search(limit=103)) == FEW + 1
    assert said() == told() and said()["rows"] == 4
    assert people.shell(server, "audit verify").returncode == 0


def test_c_find_is_told_of_alike(archive):
    ae = AE("FINDER")
    ae.add_requested_context(FIND)
    host, port = archive.server.dicom_address
    association = ae.associate(host, port, ae_title="OVERREAD")
    assert association.is_established
    for patient, count in (("P3", 1), ("P4", 1), ("", FEW + 1)):
        keys = Dataset()
        keys.QueryRetrieveLevel, keys.PatientID, keys.StudyInstanceUID = "STUDY", patient, ""
        statuses = [status.get("Status") for status, _ in association.send_c_find(keys, FIND)]
        assert statuses == [0xFF00] * count + [0x0000], patient
    association.release()

    def is_told():
        return any(row["who"] == "FINDER" for row in people.trail(archive.server))

    wait.until(is_told, "what was searched for is in the trail")
    for patient in ("P3", "P4"):
        rows, beside = archive.disclosed(patient)
        assert rows == [("FINDER", "2 C-FIND requests")] and "besides, 1 rows" in beside
    assert archive.disclosed("P5")[0] == []


def test_a_search_among_workitems_names_the_studies_it_told_of(archive):
    """They say whose the study is."""
    for patient in ("P1", "P2"):
        ds = ups.workitem(StudyInstanceUID=archive.studies[patient], PatientID=patient, PatientName="Found^Few")
        people.add_user(archive.server, f"root.{patient.lower()}", "administrator")
        root = bearer(people.token(archive.server, f"root.{patient.lower()}")[1])
        assert ups.send("POST", archive.server, "/workitems", ds, {"workitem": made.uid()}, **root).status_code == 201
    assert archive.disclosed("P1")[0] == []
    found = archive.search("/workitems", PatientID="P1", includefield="all")
    assert [row["00100020"]["Value"] for row in found] == [["P1"]]
    assert archive.disclosed("P1")[0] == [("vera", "/dicom-web/workitems?PatientID=P1&includefield=all")]
    assert archive.disclosed("P2")[0] == []
