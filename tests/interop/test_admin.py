"""The pages of an administrator (issue 8), and the JSON API behind them: what was held back is shown beside what is stored
and decided while the server runs; a destination that is down is seen and tried again."""

import html
import re

import pytest
import requests

from harness import made, part10, people, wait, web
from harness.browser import Browser
from harness.server import Server, free_port


def versions(study=None):
    """Two instances of one UID."""
    first = made.instance(study=study, PatientName="Stored^Sam", StudyDescription="As stored")
    second = made.instance(
        study=first.StudyInstanceUID, series=first.SeriesInstanceUID, sop=first.SOPInstanceUID, PatientName="Stored^Sam",
        StudyDescription="<b>As held back</b>", InstanceNumber=99,
    )  # fmt: skip
    return first, second


class House:
    def __init__(self, server):
        self.server = server
        people.add_user(server, "root", "administrator")
        people.closed(server)
        self.root = requests.Session()
        self.root.headers.update(people.bearer(people.token(server, "root")[1]))

    def hold(self):
        """(what is stored, what is held back, its number)"""
        first, second = versions()
        assert web.stow(self.server, [made.file(first)], session=self.root).status_code == 200
        web.stow(self.server, [made.file(second)], session=self.root)
        listed = self.api("GET", "").json()["quarantine"]
        numbers = [row["number"] for row in listed if row["sop_instance_uid"] == first.SOPInstanceUID]
        assert len(numbers) == 1, listed
        return first, second, numbers[0]

    def api(self, method, path, session=None, **keywords):
        return (session or self.root).request(method, f"{self.server.url}/api/v1/quarantine{path}", timeout=30, **keywords)

    def stored(self, ds):
        path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
        answer = self.root.get(self.server.web + path, headers={"Accept": web.AS_STORED}, timeout=30)
        return part10.data_set(web.file_of(answer))

    def trail(self, ds):
        return [row for row in people.trail(self.server) if str(ds.StudyInstanceUID) in row["studies"]]


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module())


def test_what_was_held_back_is_shown_beside_what_is_stored(house):
    first, _, number = house.hold()
    told = house.api("GET", f"/{number}").json()
    assert (told["reason"], told["study_instance_uid"]) == ("duplicate", first.StudyInstanceUID)
    differing = {row["path"]: (row["stored"]["Value"], row["held_back"]["Value"]) for row in told["differences"]}
    assert differing["00081030"] == (["As stored"], ["<b>As held back</b>"])
    assert differing["00200013"] == ([first.InstanceNumber], [99])
    assert any(row["detail"] == "quarantine" and row["who"] == "root" for row in house.trail(first))


def test_it_is_stored_while_the_server_runs_and_that_can_be_undone(house):
    first, second, number = house.hold()
    answer = house.api("POST", f"/{number}/accept")
    assert (answer.status_code, answer.json()["another_is_held_in_its_place"]) == (200, True)
    assert house.stored(first) == made.encode(second)
    (displaced,) = [row for row in house.api("GET", "").json()["quarantine"] if row["sop_instance_uid"] == first.SOPInstanceUID]
    assert (displaced["reason"], displaced["number"] != number) == ("displaced", True)
    assert house.api("POST", f"/{displaced['number']}/accept").status_code == 200
    assert house.stored(first) == made.encode(first)
    assert sum(row["detail"] == "quarantine: accepted" for row in house.trail(first)) == 2


def test_it_is_compared_with_what_is_stored_now(house):
    """Of three versions the second was stored meanwhile: the third stands beside that, and in the end the second beside the third."""
    first, second, number = house.hold()
    third = made.instance(
        study=first.StudyInstanceUID, series=first.SeriesInstanceUID, sop=first.SOPInstanceUID, PatientName="Stored^Sam",
        StudyDescription="The third",
    )  # fmt: skip
    web.stow(house.server, [made.file(third)], session=house.root)

    def held(reason):
        rows = house.api("GET", "").json()["quarantine"]
        return [row["number"] for row in rows if row["sop_instance_uid"] == first.SOPInstanceUID and row["reason"] == reason]

    def described(number):
        """(stored, held back), as the API and the page have it."""
        told = house.api("GET", f"/{number}").json()
        rows = {row["path"]: row for row in told["differences"]}
        pair = [rows["00081030"][side]["Value"][0] for side in ("stored", "held_back")]
        page = house.root.get(f"{house.server.url}/admin/quarantine/{number}", timeout=30).text
        assert [page.index(html.escape(word)) for word in pair] == sorted(page.index(html.escape(word)) for word in pair)
        return pair

    (other,) = [found for found in held("duplicate") if found != number]
    assert described(other) == ["As stored", "The third"]
    assert house.api("POST", f"/{number}/accept").status_code == 200
    assert described(other) == ["<b>As held back</b>", "The third"]
    assert house.api("POST", f"/{other}/accept").status_code == 200
    assert sorted(described(number)[1] for number in held("displaced")) == ["<b>As held back</b>", "As stored"]
    assert {described(number)[0] for number in held("displaced")} == {"The third"}
    # Nothing is left that it could differ from.
    assert house.root.delete(f"{house.server.web}/studies/{first.StudyInstanceUID}", timeout=30).status_code == 204
    for number in held("displaced"):
        told = house.api("GET", f"/{number}").json()
        assert (told["stored"], told["differences"]) == (None, [])
        assert "Nothing is stored" in house.root.get(f"{house.server.url}/admin/quarantine/{number}", timeout=30).text


def test_a_uid_of_another_study_is_told_of_both(house):
    """What comes under the UID of another patient's image shows that patient, who hears of it in the trail."""
    first = made.instance(PatientID="ONE", PatientName="One^Uno")
    second = made.instance(sop=first.SOPInstanceUID, PatientID="TWO", PatientName="Two^Duo")
    for ds in (first, second):
        web.stow(house.server, [made.file(ds)], session=house.root)
    (number,) = [r["number"] for r in house.api("GET", "").json()["quarantine"] if r["sop_instance_uid"] == first.SOPInstanceUID]
    told = house.api("GET", f"/{number}").json()
    assert told["study_instance_uid"] == second.StudyInstanceUID and told["stored"]["study_instance_uid"] == first.StudyInstanceUID
    assert house.api("POST", f"/{number}/accept").status_code == 200
    for ds in (first, second):
        details = [row["detail"] for row in house.trail(ds) if str(first.SOPInstanceUID) in row["object"]]
        assert details == ["quarantine", "quarantine: accepted"], details


def test_it_is_removed_for_good(house):
    first, _, number = house.hold()
    assert house.api("POST", f"/{number}/reject").status_code == 204
    assert house.api("GET", f"/{number}").status_code == 404
    for word in ("accept", "reject"):
        assert house.api("POST", f"/{number}/{word}").status_code == 404
    assert house.stored(first) == made.encode(first)
    assert any(row["detail"] == "quarantine: rejected" for row in house.trail(first))


def test_nobody_else_sees_or_decides(house):
    first, _, number = house.hold()
    for role in ("sender", "requester", "reader", "viewer"):
        people.add_user(house.server, f"q.{role}", role)
        session = requests.Session()
        session.headers.update(people.bearer(people.token(house.server, f"q.{role}")[1]))
        for method, path in (("GET", ""), ("GET", f"/{number}"), ("POST", f"/{number}/accept"), ("POST", f"/{number}/reject")):
            assert house.api(method, path, session).status_code == 403, (role, path)
        for path in ("/admin", "/admin/quarantine", f"/admin/quarantine/{number}"):
            assert session.get(house.server.url + path, timeout=30).status_code == 403, (role, path)
        assert session.post(f"{house.server.url}/admin/quarantine/{number}", data={"word": "reject", "sure": "1"}, timeout=30).status_code == 403
    # Nor does an administrator with a token for some studies.
    narrow = requests.Session()
    narrow.headers.update(people.bearer(people.token(house.server, "root", "--study", first.StudyInstanceUID)[1]))
    assert narrow.get(f"{house.server.url}/admin", timeout=30).status_code == 403
    retry = narrow.post(f"{house.server.url}/admin/forwarding/retry", data={"destination": "x"}, timeout=30)
    assert (retry.status_code, house.api("GET", f"/{number}", narrow).status_code) == (403, 404)
    assert requests.get(f"{house.server.url}/admin", allow_redirects=False, timeout=30).status_code in (303, 401)
    foreign = {"Origin": "http://elsewhere.example"}
    assert house.api("POST", f"/{number}/reject", headers=foreign).status_code == 403
    form = house.root.post(f"{house.server.url}/admin/quarantine/{number}", data={"word": "reject", "sure": "1"}, headers=foreign, timeout=30)
    assert form.status_code == 403
    for bad in ({"word": "perhaps"}, {"word": "reject"}, {}, {"word": "x" * 5000}):
        assert house.root.post(f"{house.server.url}/admin/quarantine/{number}", data=bad, timeout=30).status_code in (400, 413)
    for path in ("?after=x", "?before=1"):
        assert house.api("GET", path).status_code == 400
    assert house.api("GET", "/x").status_code == 404
    assert house.api("GET", f"/{number}").status_code == 200
    assert house.stored(first) == made.encode(first)


def test_in_the_browser_an_administrator_decides(house, tmp_path):
    first, second, number = house.hold()
    with Browser(tmp_path) as browser:
        tab = browser.open()
        tab.call("goto", f"{house.server.url}/sign-in")
        tab.call("fill", "input[name=name]", "root")
        tab.call("fill", "input[name=passcode]", people.PASSCODE)
        tab.click("main button")
        tab.click("a:has-text('Administration')")
        tab.see("h1:has-text('Administration')")
        tab.screenshot("admin-1")
        tab.click("a:has-text('Quarantine')")
        tab.see("h1:has-text('Quarantine')")
        for width, name in ((1280, "wide"), (390, "narrow")):
            tab.call("setViewportSize", {"width": width, "height": 844})
            tab.screenshot(f"admin-2-{name}")
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        tab.click(f"a[href='quarantine/{number}']")
        tab.see("h1:has-text('Held back')")
        shown = tab.evaluate("document.querySelector('main').textContent")
        assert "As stored" in shown and "<b>As held back</b>" in shown and "StudyDescription" in shown
        tab.screenshot("admin-3-narrow")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        tab.call("setViewportSize", {"width": 1280, "height": 844})
        tab.screenshot("admin-3-wide")
        tab.click("button:has-text('Store this one')")
        tab.see("h1:has-text('Quarantine')")
        assert not tab.faults()
    assert house.stored(first) == made.encode(second)


def test_a_destination_that_is_down_is_seen_and_tried_again(start, tmp_path):
    """By itself it would be an hour: the study has gone minutes after somebody says so."""
    port = free_port()
    forward = {"destinations": [f"away = http://127.0.0.1:{port}/dicom-web"], "rules": ["-> away"], "stable_s": 1, "retry_s": 3600}
    server = start(config={"forward": forward})
    ds = made.instance()
    assert web.stow(server, [made.file(ds)]).status_code == 200

    def page():
        return requests.get(f"{server.url}/admin", timeout=30).text

    wait.until(lambda: "not before" in page(), "the pause is shown", 60)
    text = page()
    assert "away" in text and f"studies/{ds.StudyInstanceUID}" in text and "Try again now" in text
    assert re.search(r"<dt>Studies</dt><dd>1</dd>", text)
    retry = f"{server.url}/admin/forwarding/retry"
    assert requests.post(retry, data={}, timeout=30).status_code == 400
    assert requests.post(retry, data={"destination": "nowhere"}, timeout=30).status_code == 404
    there = Server(tmp_path / "there", ports=(port, free_port())).start()
    try:
        assert web.qido(there, "/studies") == []
        answer = requests.post(retry, data={"destination": "away"}, allow_redirects=False, timeout=30)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{server.url}/admin")
        wait.until(lambda: len(web.qido(there, "/studies")) == 1, "the study has gone", 60)
    finally:
        assert there.stop() == 0
    told = [row for row in people.trail(server) if row["object"] == "destination away"]
    assert [row["detail"] for row in told] == ["what failed is tried again"]
