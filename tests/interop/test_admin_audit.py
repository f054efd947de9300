"""The audit trail as administrators search it (issue 7, part 10; issue 8): by the JSON API, the pages and the shell, held against
the trail as `overread audit export` and sqlite3 have it; the list of disclosures of a patient, whole as CSV."""

import csv
import datetime
import io
import sqlite3

import pytest
import requests

from harness import made, people, web
from harness.browser import Browser
from harness.forms import Visitor, read
from harness.people import PASSCODE, bearer, shell
from test_admin_people import looked_at

MARKUP = "<img src=x onerror=alert(1)>"


class House:
    """Two patients; of the first a study was removed; carl looked at some of it."""

    def __init__(self, server):
        self.server = server
        self.gone = made.instance(PatientID="P1", PatientName="Patient^One")
        self.kept = made.instance(PatientID="P1", PatientName="Patient^One")
        self.other = made.instance(PatientID="P2", PatientName="Patient^Two")
        assert web.stow(server, [made.file(ds) for ds in (self.gone, self.kept, self.other)]).status_code == 200
        people.add_user(server, "root", "administrator")
        people.closed(server)
        self.root = Visitor(server, "root")
        people.add_user(server, "carl", "viewer")
        self.carl = bearer(people.token(server, "carl")[1])
        for ds in (self.gone, self.kept, self.other):
            assert self.look(ds) == 200
        assert requests.get(f"{server.web}/studies", params={"PatientID": "P1"}, headers=self.carl, timeout=30).status_code == 200
        assert requests.get(f"{server.web}/studies", params={"PatientName": MARKUP}, headers=self.carl, timeout=30).status_code == 204
        path = f"{server.web}/studies/{self.gone.StudyInstanceUID}"
        assert self.root.session.delete(path, timeout=30).status_code == 204

    def look(self, ds):
        return requests.get(f"{self.server.web}/studies/{ds.StudyInstanceUID}/metadata", headers=self.carl, timeout=30).status_code

    def trail(self):
        """The oracle: every row, as it is exported. (The export itself is the last of them.)"""
        return people.trail(self.server)

    def search(self, limit=None, **params):
        """All rows that are found, page by page; the newest first."""
        rows, before, pages = [], None, 0
        while True:
            answer = self.root.api("GET", "/audit", params=params | ({"before": before} if before else {}))
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert len(told["rows"]) <= 100
            rows, before, pages = rows + told["rows"], told["before"], pages + 1
            if before is None or (limit and pages == limit):
                return rows

    def disclosures(self, **params):
        rows, after = [], 0
        while after is not None:
            answer = self.root.api("GET", "/audit/disclosures", params=params | {"after": after})
            assert answer.status_code == 200, answer.text
            rows, after = rows + answer.json()["disclosures"], answer.json()["after"]
        return rows

    def flood(self, count, **columns):
        """So many rows more, as sqlite3 writes them: the chain is not for these tests."""
        ledger = sqlite3.connect(self.server.data_dir / "ledger.sqlite", timeout=30)
        row = {"at_ms": 0, "event": "110112", "event_type": "", "action": "E", "outcome": 0, "who": "flood", "means": "", "address": "",
               "patient_id": "", "object": "", "detail": "", "digest": bytes(32)} | columns  # fmt: skip
        with ledger:
            [(last,)] = ledger.execute("SELECT max(id) FROM audit").fetchall()
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            values = ((last + n, *row.values()) for n in range(1, count + 1))
            ledger.executemany(f"INSERT INTO audit (id, {names}) VALUES (?, {marks})", values)
            ledger.execute("UPDATE audit_head SET id = ?", (last + count,))
        ledger.close()


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module())


def ids(rows):
    return [int(row["id"]) for row in rows]


def expected(house, condition):
    """Numbers of the rows of the oracle, the newest first."""
    rows = [row for row in house.trail() if condition(row)]
    return ids(sorted(rows, key=lambda row: (datetime.datetime.fromisoformat(row["time"]), int(row["id"])), reverse=True))


def test_what_is_asked_for_is_found(house):
    gone, kept = str(house.gone.StudyInstanceUID), str(house.kept.StudyInstanceUID)
    of_p1 = {gone, kept}
    for params, condition in (
        ({"who": "carl"}, lambda row: row["who"] == "carl"),
        ({"who": "car"}, lambda row: False),
        ({"who": "root", "event": "110105"}, lambda row: row["who"] == "root" and row["event"] == "DICOM Study Deleted"),
        ({"event": "110113"}, lambda row: row["event"] == "Security Alert"),
        ({"study": kept}, lambda row: kept in row["studies"].split()),
        ({"study": [kept, gone], "who": "carl"}, lambda row: of_p1 & set(row["studies"].split()) and row["who"] == "carl"),
        ({"to": "2020-01-01"}, lambda row: False),
        ({"from": "2999-01-01T00:00:00Z"}, lambda row: False),
    ):
        found = house.search(**params)
        # What this very looking wrote came later.
        assert ids(found) == [number for number in expected(house, condition) if number <= max(ids(found), default=0)], params
        assert bool(found) == any(condition(row) for row in house.trail()), params
    rows = house.search(who="carl", study=kept)
    [exported] = [row for row in house.trail() if int(row["id"]) == rows[0]["id"]]
    told = rows[0] | {"id": str(rows[0]["id"]), "type": rows[0]["type"] or "", "outcome": str(rows[0]["outcome"]), "studies": " ".join(rows[0]["studies"])}
    assert {name: told[name] for name in exported} == exported
    # Between two moments, the edges with it.
    times = [row["time"] for row in sorted(house.trail(), key=lambda row: int(row["id"]))]
    found = house.search(**{"from": times[3], "to": times[6]})
    assert set(ids(found)) >= {4, 5, 6, 7} and all(times[3] <= row["time"] <= times[6] for row in found)
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    assert house.search(**{"from": today, "to": today, "who": "carl"}) == house.search(who="carl")


def test_of_a_patient_all_is_found_also_what_was_removed(house):
    found = house.search(patient_id="P1")
    studies = {study for row in found for study in row["studies"]}
    assert {str(house.gone.StudyInstanceUID), str(house.kept.StudyInstanceUID)} <= studies
    assert str(house.other.StudyInstanceUID) not in studies
    # Patterns are none.
    for pattern in ("P*", "P?", "p1", "%"):
        # But for what says that it was looked for.
        assert {row["event"] for row in house.search(patient_id=pattern)} <= {"Audit Log Used"}, pattern


def test_the_shell_finds_the_same(house):
    for flags, params in (
        (["--who", "carl"], {"who": "carl"}),
        (["--event", "query"], {"event": "110112"}),
        (["--patient-id", "P1", "--who", "carl"], {"patient_id": "P1", "who": "carl"}),
    ):
        done = shell(house.server, "audit search", *flags)
        assert done.returncode == 0, done.stderr
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert ids(rows) == ids(house.search(**params)) and rows
    done = shell(house.server, "audit search", "--limit", "2")
    assert done.returncode == 3 and len(list(csv.DictReader(io.StringIO(done.stdout)))) == 2
    assert shell(house.server, "audit search", "--from", "yesterday").returncode == 2


def test_disclosures_are_those_of_the_shell(house):
    done = shell(house.server, "audit disclosures", "--patient-id", "P1")
    assert done.returncode == 0, done.stderr
    listed = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["who"] for row in listed} >= {"carl"}
    assert ids(house.disclosures(patient_id="P1")) == ids(listed)
    answer = house.root.api("GET", "/audit/disclosures", params={"patient_id": "P1", "format": "csv"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="overread-disclosures.csv"'
    assert answer.text == done.stdout.replace("\n", "\r\n") or list(csv.DictReader(io.StringIO(answer.text))) == listed
    study = str(house.kept.StudyInstanceUID)
    assert all(study in row["studies"] for row in house.disclosures(study=study)) and house.disclosures(study=study)
    assert house.disclosures(patient_id="NOBODY") == []


def test_a_question_about_two_patients_makes_them_no_one_person(start):
    house = House(start())
    other = str(house.other.StudyInstanceUID)
    before = ids(house.disclosures(patient_id="P1"))
    assert any(other in row["studies"] for row in house.search(patient_id="P1", study=other))
    assert ids(house.disclosures(patient_id="P1")) == before
    done = shell(house.server, "audit disclosures", "--patient-id", "P1")
    assert done.returncode == 0 and other not in done.stdout


def test_who_looks_is_in_the_trail(house):
    study = str(house.other.StudyInstanceUID)
    house.search(study=study, who="nobody.in.particular")
    house.disclosures(study=study)
    used = [row for row in house.trail() if row["event"] == "Audit Log Used" and row["who"] == "root" and study in row["studies"].split()]
    assert [row["detail"] for row in used] == ["searched: who=nobody.in.particular", "disclosures listed"]
    house.search(patient_id="P1", event="110112")
    [row] = [row for row in house.trail() if row["detail"] == "searched: event=Query" and row["patient_id"] == "P1"]
    assert str(house.gone.StudyInstanceUID) in row["studies"].split()
    # That the trail was used is no disclosure of the patient.
    assert not [row for row in house.disclosures(study=study) if row["event"] == "Audit Log Used"]
    assert shell(house.server, "audit verify").returncode == 0


def test_what_makes_no_sense_is_refused(house):
    for path in (
        "/audit?whom=carl", "/audit?event=Query", "/audit?event=110120", "/audit?study=1.2.x", "/audit?from=yesterday", "/audit?to=2026-02-30",
        "/audit?before=x", "/audit?before=1", "/audit?before=1.99999999999999999999", "/audit/disclosures", "/audit/disclosures?patient_id=%20",
        "/audit/disclosures?study=x", "/audit/disclosures?patient_id=P1&format=xml", "/audit/disclosures?patient_id=P1&after=-1",
        "/audit?" + "&".join(f"study=1.2.{n}" for n in range(101)), "/audit?who=%FF",
    ):  # fmt: skip
        answer = house.root.api("GET", path)
        assert answer.status_code == 400, (path, answer.status_code, answer.text)
    for path in ("/admin/audit?event=x&who=%3Cb%3E", "/admin/audit/disclosures?study=%3Cb%3E"):
        page = house.root.get(path)
        assert page.status_code == 400 and 'role="alert"' in page.text and "<b>" not in page.text.replace("<b>root</b>", "")
    # What is asked about nobody is no question yet.
    assert house.root.get("/admin/audit/disclosures").status_code == 200


def test_nobody_else_looks(house):
    for role in ("sender", "requester", "reader", "viewer"):
        people.add_user(house.server, f"a.{role}", role)
    visitors = [Visitor(house.server, f"a.{role}") for role in ("sender", "requester", "reader", "viewer")]
    narrow = Visitor(house.server)
    narrow.session.headers.update(bearer(people.token(house.server, "root", "--study", house.kept.StudyInstanceUID)[1]))
    for path in ("/api/v1/audit", "/api/v1/audit/disclosures?patient_id=P1", "/api/v1/audit/disclosures?patient_id=P1&format=csv",
                 "/admin/audit", "/admin/audit/disclosures?patient_id=P1"):  # fmt: skip
        for visitor in (*visitors, narrow):
            answer = visitor.session.get(house.server.url + path, timeout=30)
            assert answer.status_code == 403 and "carl" not in answer.text, path
        assert requests.get(house.server.url + path, timeout=30).status_code == 401


def test_a_row_that_was_altered_is_told_of(start):
    house = House(start())
    ledger = sqlite3.connect(house.server.data_dir / "ledger.sqlite", timeout=30)
    with ledger:
        ledger.execute("UPDATE audit SET event = 'nonsense' WHERE id = 2")
    ledger.close()
    answer = house.root.api("GET", "/audit")
    assert (answer.status_code, answer.json()["detail"]) == (500, "row 2 of the audit trail was altered")


def test_a_long_trail_is_searched_within_bounds(start):
    """200,000 rows of others lie over what carl did: who is asked for is found at once, what has no index page by page."""
    house = House(start())
    carls = ids(house.search(who="carl"))
    assert carls
    now_ms = int(datetime.datetime.now().timestamp() * 1000)
    house.flood(200_000, at_ms=now_ms)
    begun = datetime.datetime.now()
    assert ids(house.search(who="carl")) == carls
    assert (datetime.datetime.now() - begun).total_seconds() < 5
    # flood searched, and was never refused: all of its rows are looked at, and no more at once than that.
    assert house.search(who="flood", event="110113") == []
    first = house.root.api("GET", "/audit", params={"who": "flood", "event": "110113"}).json()
    assert first["rows"] == [] and first["before"] is not None
    found = house.search(limit=3, event="110112")
    assert len(found) == 300 and len(set(ids(found))) == 300 and ids(found) == sorted(ids(found), reverse=True)
    page = read(house.root.get("/admin/audit?who=flood&event=110113").text)[1]
    assert "Not among what was looked through so far." in page and "Older" in page


def test_a_long_list_of_disclosures_comes_whole(start):
    house = House(start())
    house.flood(20_000, at_ms=1_000, patient_id="P1", event="110103", action="R", who="flood")
    answer = house.root.api("GET", "/audit/disclosures", params={"patient_id": "P1", "format": "csv"}, stream=True)
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert sum(row["who"] == "flood" for row in rows) == 20_000
    assert ids(rows) == sorted(ids(rows)) == ids(house.disclosures(patient_id="P1"))


def test_what_others_wrote_is_text(start):
    house = House(start())
    house.flood(1, at_ms=1, event="110103", action="R", **dict.fromkeys(("who", "means", "address", "patient_id", "object", "detail"), MARKUP))
    escaped = MARKUP.replace("<", "&lt;").replace(">", "&gt;")
    for path, params in (("/admin/audit", {"who": MARKUP}), ("/admin/audit", {"patient_id": MARKUP}), ("/admin/audit/disclosures", {"patient_id": MARKUP})):
        page = house.root.session.get(house.server.url + path, params=params, timeout=30).text
        assert "<img src=x" not in page and page.count(escaped) >= 7, path
    assert house.search(who=MARKUP)[0]["detail"] == MARKUP


def test_pages_without_scripts(house):
    page = house.root.get("/admin/audit?who=carl")
    assert page.status_code == 200
    text = read(page.text)[1]
    assert "carl" in text and "DICOM Instances Accessed" in text and str(house.kept.StudyInstanceUID) in text
    form = next(form for form in read(page.text)[0] if "Search" in form.buttons)
    assert ("who", "carl") in form.data({})
    page = house.root.send("/admin/audit?who=carl", "Search", patient_id="P2", who="")
    assert str(house.other.StudyInstanceUID) in page.text and str(house.kept.StudyInstanceUID) not in page.text
    page = house.root.send("/admin/audit/disclosures", "List", patient_id="P1")
    assert str(house.gone.StudyInstanceUID) in page.text
    path = "../../api/v1/audit/disclosures?patient_id=P1&amp;study=&amp;format=csv"
    assert path in page.text
    listed = house.root.get("/api/v1/audit/disclosures?patient_id=P1&study=&format=csv")
    assert ids(csv.DictReader(io.StringIO(listed.text))) == ids(house.disclosures(patient_id="P1"))
    head = shell(house.server, "audit verify").stdout.split()[-1]
    assert shell(house.server, "audit verify", "--holds", head).returncode == 0
    shown = house.root.get("/admin/audit?who=nobody").text.split('<span class="uid">')[-1].split("<")[0]
    assert shell(house.server, "audit verify", "--holds", shown).returncode == 0


def test_in_the_browser_an_administrator_looks(house, tmp_path):
    with Browser(tmp_path) as browser:
        tab = browser.open()
        tab.call("goto", f"{house.server.url}/sign-in")
        tab.call("fill", "input[name=name]", "root")
        tab.call("fill", "input[name=passcode]", PASSCODE)
        tab.click("main button")
        tab.click("a:has-text('Administration')")
        tab.click("nav a:has-text('Audit trail')")
        tab.see("h1:has-text('Audit trail')")
        looked_at(tab, "audit")
        tab.call("fill", "input[name=who]", "carl")
        tab.call("selectOption", "select[name=event]", "110103")
        tab.click("button:has-text('Search')")
        tab.until("[...document.querySelectorAll('tbody td:nth-child(2) bdi')].every(e => e.textContent === 'carl')", "carl only")
        looked_at(tab, "audit-of-carl")
        tab.call("fill", "input[name=patient_id]", "P1")
        tab.click("button:has-text('Search')")
        tab.until("location.search.includes('patient_id=P1')", "P1 was asked for")
        tab.click("a:has-text('List disclosures')")
        tab.see("h1:has-text('Disclosures')")
        assert str(house.gone.StudyInstanceUID) in tab.evaluate("document.querySelector('main').textContent")
        looked_at(tab, "disclosures")
        assert not tab.faults()
