"""Grants (issue 7, part 4), through public doors: what was given is there, to the reader and the programs they use, and
nothing else is, whichever resource is asked."""

import pytest
import requests
import websocket

from harness import made, people, ups, web
from harness.granting import HOUR_MS, PDF, Office, image, now_ms, opened, report, stored

DICOM = web.DICOM
ZIP = "application/zip"
ALIKE = "This link opens nothing"


class House(Office):
    """An office with two studies: one with images and reports, one of somebody else."""

    def __init__(self, server):
        super().__init__(server)
        self.study, self.other = made.uid(), image(made.uid(), PatientID="OTHER")
        self.images = [image(self.study, InstanceNumber=n) for n in (1, 2)]
        self.images[1].SeriesInstanceUID = self.images[0].SeriesInstanceUID
        self.reports = [report(self.study), report(self.study, PDF)]
        # The first report came first.
        assert self.store(self.reports[0], *self.images, self.reports[1], self.other).status_code == 200

    def below(self, instance=None):
        instance = instance or self.images[0]
        return web.instance_path(instance.StudyInstanceUID, instance.SeriesInstanceUID, instance.SOPInstanceUID)


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module())


def status(house, session, path, accept="*/*"):
    url = path if path.startswith("http") else house.server.web + path
    return session.get(url, headers={"Accept": accept}, allow_redirects=False, timeout=60).status_code


def search(house, session, path, **parameters):
    answer = session.get(house.server.web + path, params=parameters, headers={"Accept": web.JSON}, timeout=60)
    assert answer.status_code in (200, 204), answer.text
    return answer.json() if answer.status_code == 200 else []


def uids(rows, tag):
    return {web.value(row, tag) for row in rows}


def test_a_link_shows_what_was_given_and_nothing_else(house):
    number, link = house.give(house.study, label="Dr. Elsewhere")
    # A program that reads mail looks at it: that opens nothing.
    for _ in range(3):
        looked = requests.get(link, timeout=30)
        assert looked.status_code == 200 and "Set-Cookie" not in looked.headers and "PIN" not in looked.text
        assert looked.headers["X-Robots-Tag"].startswith("noindex")
    session, answer = opened(link)
    assert answer.status_code == 303 and "HttpOnly" in answer.headers["Set-Cookie"]
    assert uids(search(house, session, "/studies"), "0020000D") == {house.study}
    assert search(house, session, "/studies", PatientID="OTHER") == []
    assert len(search(house, session, "/instances")) == 4
    unknown = made.uid()
    for path in ("", "/series", "/instances", "/metadata", "/rendered", "/thumbnail", "/bulkdata", "/pixeldata"):
        other = status(house, session, f"/studies/{house.other.StudyInstanceUID}{path}")
        assert other == status(house, session, f"/studies/{unknown}{path}"), path
        assert other in (204, 404), path
    me = session.get(f"{house.server.url}/api/v1/session", timeout=30).json()
    assert (me["name"], me["by"], me["roles"]) == (f"link {number}", "link", ["reader"])
    assert status(house, session, f"{house.server.url}/api/v1/grants?case={house.case()}") == 403
    assert stored(house.server, session, image(made.uid())).status_code == 403
    # The page of the study, and a way out.
    assert status(house, session, f"{house.server.url}/studies/{house.study}") == 200
    assert status(house, session, f"{house.server.url}/studies/{house.other.StudyInstanceUID}") == 404
    out = session.post(f"{house.server.url}/sign-out", headers={"Origin": house.server.url}, allow_redirects=False, timeout=30)
    assert out.status_code == 303
    assert status(house, session, "/studies") == 401


def test_a_reader_sees_all_that_was_given_to_them(house):
    people.add_user(house.server, "dr.both", "reader")
    headers = people.bearer(people.token(house.server, "dr.both")[1])
    session = requests.Session()
    session.headers.update(headers)
    assert search(house, session, "/studies") == []
    first, _ = house.give(house.study, to="account", account="Dr.Both")
    house.give(house.other.StudyInstanceUID, to="account", account="dr.both", case=house.open_case(house.study))
    both = {house.study, house.other.StudyInstanceUID}
    assert uids(search(house, session, "/studies"), "0020000D") == both
    # Signed in with a passcode it is the same.
    browser = requests.Session()
    body = {"name": "dr.both", "passcode": people.PASSCODE}
    assert browser.post(f"{house.server.url}/api/v1/session", json=body, timeout=60).status_code == 200
    assert uids(search(house, browser, "/studies"), "0020000D") == both
    assert house.api("DELETE", f"/grants/{first}").status_code == 204
    for who in (session, browser):
        assert uids(search(house, who, "/studies"), "0020000D") == {house.other.StudyInstanceUID}
        assert status(house, who, f"/studies/{house.study}/metadata") == 404
    assert house.ask(house.study, to="account", account="nobody").status_code == 404


def test_links_that_open_nothing_are_alike(house):
    future, past = now_ms() + HOUR_MS, now_ms() - HOUR_MS
    revoked, revoked_link = house.give(house.study)
    session, _ = opened(revoked_link)
    assert status(house, session, f"/studies/{house.study}/metadata") == 200
    assert house.api("DELETE", f"/grants/{revoked}").status_code == 204
    # The session that began by it ends with it.
    assert status(house, session, f"/studies/{house.study}/metadata") == 401
    assert house.api("DELETE", f"/grants/{revoked}").status_code == 404
    links = {
        "unknown": f"{house.server.url}/l/{'A' * 43}",
        "malformed": f"{house.server.url}/l/x",
        "revoked": revoked_link,
        "not good yet": house.give(house.study, not_before_ms=future, expires_ms=future + HOUR_MS)[1],
        "expired": house.give(house.study, not_before_ms=past - HOUR_MS, expires_ms=past)[1],
        "used up": house.give(house.study, opens_max=1)[1],
    }
    used = opened(links["used up"])
    assert used[1].status_code == 303
    answers = set()
    for name, link in links.items():
        looked, (_, pressed) = requests.get(link, timeout=30), opened(link)
        for answer in (looked, pressed):
            assert answer.status_code == 404 and ALIKE in answer.text, name
            assert "Set-Cookie" not in answer.headers, name
            # What was asked for is all that differs: the way to the page in another language.
            token = link.rsplit("/", 1)[1]
            answers.add(answer.text.replace(f"then=%2Fl%2F{token}\"", ""))
    assert len(answers) == 1
    # Who has opened it while it could be goes on.
    assert status(house, used[0], f"/studies/{house.study}/metadata") == 200
    kept = {row["id"]: row for row in house.api("GET", f"/grants?case={house.case()}").json()["grants"]}
    assert kept[revoked]["revoked_ms"] and not kept[revoked]["is_good"]
    assert all("link" not in row and "pin" not in row for row in kept.values())


def test_a_page_of_another_site_opens_no_link(house):
    _, link = house.give(house.study)
    answer = requests.post(link, headers={"Origin": "https://evil.example"}, allow_redirects=False, timeout=30)
    assert answer.status_code == 403


def test_wrong_pins_lock_a_link(start):
    house = House(start(config={"access": {"pin_tries_max": 3}}))
    number, link = house.give(house.study, pin="2718")
    assert "PIN" in requests.get(link, timeout=30).text
    assert opened(link)[1].status_code == 403
    assert opened(link, pin="2718")[1].status_code == 303
    # A right one forgives the wrong ones before it.
    for guess in ("0000", "0001", "0002"):
        answer = opened(link, pin=guess)[1]
        assert answer.status_code == 403 and "the PIN is wrong" in answer.text
    for pin in ("0003", "2718"):
        locked = opened(link, pin=pin)[1]
        assert locked.status_code == 404 and ALIKE in locked.text
    assert house.api("GET", f"/grants?case={house.case()}").json()["grants"][0]["wrong_pins"] == 3
    said = [row["detail"] for row in people.trail(house.server) if row["who"] == f"link {number}"]
    assert said.count("a wrong PIN") == 3 and any("locked" in text for text in said), said
    done = people.shell(house.server, "audit verify")
    assert done.returncode == 0, done.stderr
    # Whoever tries links from one network waits, whatever they try.
    for _ in range(40):
        answer = opened(f"{house.server.url}/l/{'B' * 43}")[1]
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) >= 1
            return
        assert answer.status_code == 404
    pytest.fail("nobody had to wait")


def test_to_look_at_is_not_to_download(house):
    document = house.below(house.reports[1])
    looked = ["/metadata", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010"]
    whole = [
        (f"/studies/{house.study}", DICOM), (house.below(), DICOM), (house.below(), "application/dicom"),
        (f"/studies/{house.study}", ZIP), (f"/studies/{house.study}/bulkdata", "*/*"), (f"/studies/{house.study}/pixeldata", "*/*"),
        (f"{document}/bulkdata/00420011", "*/*"), (house.below(), web.OCTETS),
    ]  # fmt: skip
    image = house.images[0]
    wado = f"{house.server.url}/wado?requestType=WADO&studyUID={house.study}&seriesUID={image.SeriesInstanceUID}&objectUID={image.SOPInstanceUID}"
    _, viewer = house.session(house.study)
    _, taker = house.session(house.study, right="download")
    for session in (viewer, taker):
        for path in looked:
            assert status(house, session, house.below() + path) == 200, path
        assert status(house, session, wado + "&contentType=image/jpeg") == 200
    for path, accept in whole:
        refused = viewer.get(house.server.web + path, headers={"Accept": accept}, timeout=60)
        assert refused.status_code == 403 and "looked at" in refused.text, (path, accept)
        assert status(house, taker, path, accept) == 200, (path, accept)
    assert status(house, viewer, wado + "&contentType=application/dicom") == 403
    assert status(house, taker, wado + "&contentType=application/dicom") == 200
    # A study that was not given is no more forbidden than one that is not there.
    for uid in (house.other.StudyInstanceUID, made.uid()):
        assert status(house, viewer, f"/studies/{uid}", DICOM) == 404


def test_a_blind_reader_never_meets_a_report(house):
    _, blind = house.session(blind=[house.study], right="download")
    _, seeing = house.session(house.study, right="download")
    row = search(house, blind, "/studies", includefield="all")[0]
    number = lambda tag: int(web.value(row, tag))  # noqa: E731
    assert (number("00201206"), number("00201208")) == (1, 2)
    assert row["00080061"]["Value"] == ["CT"] and row["00080062"]["Value"] == [made.CT]
    for found in ({"ModalitiesInStudy": "SR"}, {"SOPClassesInStudy": PDF}):
        assert search(house, blind, "/studies", **found) == []
        assert len(search(house, seeing, "/studies", **found)) == 1
    assert len(search(house, blind, "/series")) == 1 and len(search(house, blind, "/instances")) == 2
    metadata = f"{house.server.web}/studies/{house.study}/metadata"
    before = blind.get(metadata, timeout=60)
    assert uids(before.json(), "00080018") == {ds.SOPInstanceUID for ds in house.images}
    assert len(seeing.get(metadata, timeout=60).json()) == 4
    for hidden in house.reports:
        series = f"/studies/{house.study}/series/{hidden.SeriesInstanceUID}"
        for path in (series, f"{series}/metadata", house.below(hidden), f"{house.below(hidden)}/metadata", f"{house.below(hidden)}/rendered"):
            assert status(house, blind, path) == status(house, blind, path.replace(str(hidden.SeriesInstanceUID), made.uid())), path
            assert status(house, blind, path) == 404, path
    parts = web.parts_of(blind.get(f"{house.server.web}/studies/{house.study}", headers={"Accept": DICOM}, timeout=60))
    assert len(parts) == 2
    # Another report comes: to the blind reader nothing has changed.
    assert house.store(report(house.study)).status_code == 200
    again = blind.get(metadata, headers={"If-None-Match": before.headers["ETag"]}, timeout=60)
    assert again.status_code == 304
    assert len(seeing.get(metadata, timeout=60).json()) == 5
    # Two grants of one study, one of them blind: it stays blind.
    people.add_user(house.server, "dr.blind", "reader")
    token = requests.Session()
    token.headers.update(people.bearer(people.token(house.server, "dr.blind")[1]))
    house.give(house.study, to="account", account="dr.blind", case=house.open_case(house.study))
    house.give(blind=[house.study], to="account", account="dr.blind", right="download")
    assert len(search(house, token, "/instances")) == 2
    # So it does by a token that names the study.
    narrow = requests.Session()
    narrow.headers.update(people.bearer(people.token(house.server, "dr.blind", "--study", house.study)[1]))
    assert len(search(house, narrow, "/instances")) == 2
    assert status(house, narrow, house.below(house.reports[0]) + "/metadata") == 404


def test_a_token_makes_no_more_of_what_was_given_to_be_looked_at(house):
    people.add_user(house.server, "dr.looks", "reader")
    house.give(house.study, to="account", account="dr.looks", right="view")
    narrow = requests.Session()
    narrow.headers.update(people.bearer(people.token(house.server, "dr.looks", "--study", house.study)[1]))
    assert status(house, narrow, house.below() + "/rendered") == 200
    assert status(house, narrow, f"/studies/{house.study}", DICOM) == 403


def test_workitems_of_what_was_given(house):
    def reference(ds):
        item = ups.Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        return item

    def input_of(*objects):
        item = ups.Dataset()
        item.TypeOfInstances = "DICOM"
        item.StudyInstanceUID, item.SeriesInstanceUID = objects[0].StudyInstanceUID, objects[0].SeriesInstanceUID
        item.ReferencedSOPSequence = [reference(ds) for ds in objects]
        return item

    def create(**attributes):
        uid = made.uid()
        body = ups.workitem(**attributes).to_json_dict(bulk_data_threshold=10_000_000)
        headers = house.headers | {"Content-Type": web.JSON}
        answer = requests.post(f"{house.server.web}/workitems?{uid}", json=[body], headers=headers, timeout=30)
        assert answer.status_code == 201, answer.text
        return uid

    read = create(StudyInstanceUID=house.study, InputInformationSequence=[input_of(*house.images)])
    first = create(StudyInstanceUID=house.study, InputInformationSequence=[input_of(house.reports[0])])
    other = create(StudyInstanceUID=house.other.StudyInstanceUID)
    blind, all_of_it = requests.Session(), requests.Session()
    for session, name, given in ((blind, "w.blind", {"blind": [house.study]}), (all_of_it, "w.all", {})):
        people.add_user(house.server, name, "reader")
        house.give(*([] if given else [house.study]), to="account", account=name, **given)
        session.headers.update(people.bearer(people.token(house.server, name)[1]))
    for session, mine in ((blind, {read}), (all_of_it, {read, first})):
        assert uids(search(house, session, "/workitems"), "00080018") == mine
        for uid in (read, first, other, made.uid()):
            assert status(house, session, f"/workitems/{uid}", web.JSON) == (200 if uid in mine else 404)
    # A link to look at studies has no task: it finds none, claims nothing, and cancels nothing.
    number, seeing = house.session(house.study)
    for path in ("/workitems", f"/workitems/{read}"):
        assert status(house, seeing, path, web.JSON) == 403
    for method, path in (("PUT", f"/workitems/{read}/state"), ("POST", f"/workitems/{read}"), ("POST", f"/workitems/{read}/cancelrequest")):
        headers = {"Content-Type": web.JSON, "Origin": house.server.url}
        answer = seeing.request(method, house.server.web + path, json=[{}], headers=headers, timeout=30)
        assert answer.status_code == 403, (method, path, answer.status_code)
    # No events of somebody else either.
    address = house.server.url.replace("http", "ws") + "/ws/subscribers/WORKSTATION"
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in seeing.cookies)
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(address, cookie=cookies, origin=house.server.url, timeout=20)
    assert refused.value.status_code == 403
    assert house.api("DELETE", f"/grants/{number}").status_code == 204
    assert status(house, seeing, f"/workitems/{read}", web.JSON) == 401


def arrived(house, session):
    """What the holder of an inbox is told of what came: instances of each study."""
    answer = session.get(f"{house.server.url}/api/v1/inbox", timeout=30)
    assert answer.status_code == 200, answer.text
    return {study["study_instance_uid"]: study["instances"] for study in answer.json()["arrived"]}


def test_an_inbox_takes_new_studies_and_shows_those(house):
    case = house.open_case(house.study)
    number, link = house.give(to="inbox", case=case)
    session, answer = opened(link)
    assert answer.status_code == 303
    mine = made.uid()
    came = [image(mine, PatientID="PAT"), image(mine, PatientID="PAT")]
    assert arrived(house, session) == {}
    assert stored(house.server, session, *came).status_code == 200
    assert stored(house.server, session, image(mine, PatientID="PAT")).status_code == 200
    assert arrived(house, session) == {mine: 3}
    grants = house.api("GET", f"/grants?case={case}").json()["grants"]
    assert [study["study_instance_uid"] for study in grants[0]["studies"]] == [mine]
    # It shows that they came, and not the studies themselves; neither anything else.
    for path in ("/studies", "/instances", f"/studies/{mine}", f"/studies/{mine}/metadata", f"/studies/{mine}/rendered", "/workitems"):
        assert status(house, session, path) == 403, path
    assert status(house, session, f"{house.server.url}/studies/{mine}") == 403
    assert status(house, session, "/commitment-requests/1.2.3") == 404
    # Who knows the UID of another study, or of an object of one, adds nothing to it and does not see it.
    new = made.uid()
    for intruder in (image(house.study), made.instance(study=new, sop=house.images[0].SOPInstanceUID), house.images[0]):
        answer = stored(house.server, session, intruder)
        _, failed, _ = web.outcome(answer)
        assert failed == {intruder.SOPInstanceUID: 0x0124}, answer.text
    assert arrived(house, session) == {mine: 3}
    headers = house.headers | {"Accept": web.JSON}
    count = requests.get(f"{house.server.web}/studies/{house.study}/instances", headers=headers, timeout=30)
    assert house.images[0].SOPInstanceUID in uids(count.json(), "00080018")
    assert house.api("DELETE", f"/grants/{number}").status_code == 204
    assert stored(house.server, session, image(mine, PatientID="PAT")).status_code == 401


def test_nobody_gives_what_they_do_not_see(house):
    people.add_user(house.server, "dr.asks", "requester")
    people.add_user(house.server, "dr.reads", "reader")
    narrow = people.bearer(people.token(house.server, "dr.asks", "--study", house.study)[1])
    reader = people.bearer(people.token(house.server, "dr.reads", "--study", house.study)[1])
    case = house.open_case(house.study, headers=narrow)
    number = house.ask(house.study, headers=narrow, case=case).json()["id"]
    assert house.ask(house.other.StudyInstanceUID, headers=narrow, case=case).status_code == 404
    assert house.ask(made.uid()).status_code == 404
    assert house.ask(house.study, headers=reader).status_code == 403
    assert house.api("POST", "/grants", headers={}, json={}).status_code == 401
    hidden, _ = house.give(house.other.StudyInstanceUID, case=case)
    told = house.api("GET", f"/grants?case={case}", headers=narrow).json()["grants"]
    assert [row["id"] for row in told] == [number]
    assert house.api("DELETE", f"/grants/{hidden}", headers=narrow).status_code == 404
    assert house.api("DELETE", f"/grants/{number}", headers=narrow).status_code == 204
    for wrong in (
        {"case": 0}, {"to": "everybody"}, {"studies": []}, {"expires_ms": 1}, {"expires_ms": now_ms() + 400 * 24 * HOUR_MS},
        {"opens_max": 0}, {"pin": "1"}, {"pin": "x" * 65}, {"right": "all"}, {"label": "a\nb"}, {"label": "x" * 200},
        {"to": "inbox"}, {"to": "account"}, {"nonsense": 1}, {"studies": [{"study_instance_uid": "1..2"}]},
        {"studies": [{"study_instance_uid": house.study, "view": "half"}]}, {"to": "account", "account": "root", "opens_max": 2},
    ):  # fmt: skip
        answer = house.ask(house.study, **wrong)
        assert answer.status_code == 400, (wrong, answer.status_code)
    assert house.api("GET", "/grants").status_code == 400
    rows = [row for row in people.trail(house.server) if row["object"] == f"case {case}" and row["event"] == "Security Alert"]
    assert len(rows) == 3 and all(row["who"] in ("root", "dr.asks") for row in rows)


def test_only_who_is_in_charge_of_a_case_gives_in_it(house):
    people.add_user(house.server, "dr.mine", "requester")
    people.add_user(house.server, "dr.theirs", "requester")
    mine, theirs = (people.bearer(people.token(house.server, name)[1]) for name in ("dr.mine", "dr.theirs"))
    narrow = people.bearer(people.token(house.server, "dr.mine", "--study", house.study)[1])
    case = house.open_case(house.study, headers=mine)
    assert house.api("POST", f"/cases/{case}/complete", headers=mine).status_code == 200
    number, _ = house.give(house.study, headers=mine, case=case)
    # Neither in a case of somebody else nor in one that is not there.
    for who, elsewhere in ((theirs, case), (mine, 999_999), (house.headers, 999_999)):
        for to, studies in (("link", [house.study]), ("reader", []), ("inbox", [])):
            assert house.ask(*studies, to=to, headers=who, case=elsewhere).status_code == 404, (to, elsewhere)
        assert house.api("GET", f"/grants?case={elsewhere}", headers=who).status_code == 404
    assert house.api("DELETE", f"/grants/{number}", headers=theirs).status_code == 404
    # Who stores nothing opens no inbox.
    assert house.ask(to="inbox", headers=narrow, case=case).status_code == 403
    inbox, _ = house.give(to="inbox", headers=mine, case=case)
    # What names no study is known to whoever is in charge.
    reader, link = house.give(to="reader", headers=mine, case=case)
    assert opened(link)[1].headers["Location"].endswith(f"/cases/{case}")
    for who in (mine, narrow, house.headers):
        told = house.api("GET", f"/grants?case={case}", headers=who).json()["grants"]
        assert [row["id"] for row in told] == [number, inbox, reader]
    assert house.api("DELETE", f"/grants/{reader}", headers=theirs).status_code == 404
    assert opened(link)[1].status_code == 303
    assert house.api("DELETE", f"/grants/{reader}", headers=narrow).status_code == 204
    assert opened(link)[1].status_code == 404
    assert house.api("DELETE", f"/grants/{inbox}", headers=narrow).status_code == 204


def test_where_nobody_signs_in_nothing_is_given(start):
    server = start()
    study = image(made.uid())
    assert stored(server, requests, study).status_code == 200
    asked = {"study_instance_uid": study.StudyInstanceUID, "question": "?", "subspecialty": "any", "readers": [{"pool": "any"}]}
    case = requests.post(f"{server.url}/api/v1/cases", json=asked, timeout=30).json()["number"]
    body = {"case": case, "to": "link", "studies": [{"study_instance_uid": study.StudyInstanceUID}], "expires_ms": now_ms() + HOUR_MS}
    answer = requests.post(f"{server.url}/api/v1/grants", json=body, timeout=30)
    assert answer.status_code == 409 and "account" in answer.text


def test_what_is_held_is_held_after_a_restart(start):
    office = House(start())
    _, link = office.give(blind=[office.study], opens_max=1)
    session, _ = opened(link)
    office.server.restart()
    assert opened(link.replace(link.split("/l/")[0], office.server.url))[1].status_code == 404
    session.cookies.clear_expired_cookies()
    cookie = next(iter(session.cookies)).value
    answer = requests.get(f"{office.server.web}/instances", cookies={"overread_session": cookie}, headers={"Accept": web.JSON}, timeout=30)
    assert len(answer.json()) == 2


