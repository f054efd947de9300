"""Everybody gives themselves another passcode, by the page of their account and by the JSON API: the one of now is asked for
and throttled, the other sessions end, this one and the tokens stay, the trail tells of it. Expected is what signing in says."""

import pytest
import requests

from harness import made, people, web
from harness.browser import Browser
from harness.forms import Visitor, read
from harness.granting import HOUR_MS, now_ms
from harness.people import PASSCODE, bearer
from test_admin_people import looked_at

OTHER = "another horse, another staple"
THIRD = "no horse at all, two staples"
ELSEWHERE = {"Origin": "http://elsewhere.example"}


class House:
    def __init__(self, server):
        self.server = server
        self.study = made.instance()
        assert web.stow(server, [made.file(self.study)]).status_code == 200
        people.add_user(server, "root", "administrator")
        people.closed(server)

    def make(self, name, roles="viewer"):
        people.add_user(self.server, name, roles)
        return Visitor(self.server, name)

    def signs_in(self, name, passcode):
        answer = requests.post(f"{self.server.url}/api/v1/session", json={"name": name, "passcode": passcode}, timeout=60)
        return answer.status_code == 200

    def told(self, name):
        rows = [row for row in people.trail(self.server) if row["object"] == f"account {name}"]
        return [(row["who"], row["means"], row["outcome"], row["detail"]) for row in rows][1:]


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module())


def is_in(visitor):
    return visitor.session.get(f"{visitor.server.url}/api/v1/session", timeout=30).status_code == 200


def post(visitor, now, new, again=None, **headers):
    form = {"now": now, "passcode": new, "again": new if again is None else again}
    return visitor.session.post(f"{visitor.server.url}/account", data=form, headers=headers, allow_redirects=False, timeout=60)


def put(visitor, now, new, **headers):
    body = {"now": now, "new": new}
    token = visitor.session.get(f"{visitor.server.url}/api/v1/session", timeout=30).json()["csrf_token"]
    return visitor.session.put(f"{visitor.server.url}/api/v1/session/passcode", json=body, headers={"X-CSRF-Token": token} | headers, timeout=60)


@pytest.mark.parametrize("way", [post, put])
def test_another_passcode_ends_the_other_sessions_and_nothing_else(house, way):
    name = f"anna.{way.__name__}"
    here = house.make(name, "viewer,reader")
    there, token = Visitor(house.server, name), people.token(house.server, name)[1]
    bystander = Visitor(house.server, "root")
    answer = way(here, PASSCODE, OTHER)
    assert answer.status_code == {post: 303, put: 204}[way], answer.text
    assert is_in(here) and not is_in(there) and is_in(bystander)
    assert requests.get(f"{house.server.web}/studies", headers=bearer(token), timeout=30).status_code == 200
    assert house.signs_in(name, OTHER) and not house.signs_in(name, PASSCODE)
    assert house.told(name)[-1] == (name, "session", "0", "another passcode, by its owner")
    # And back again, in the session that stayed.
    assert way(here, OTHER, PASSCODE).status_code == answer.status_code
    assert is_in(here) and house.signs_in(name, PASSCODE)


def test_the_page_says_who_has_signed_in_and_that_it_is_done(house):
    visitor = house.make("bert", "sender,viewer")
    page = visitor.get("/account").text
    assert "bert" in read(page)[1] and "sender viewer" in page
    assert 'href="account"' in visitor.get("/").text
    answer = post(visitor, PASSCODE, OTHER)
    assert answer.headers["Location"] == f"{house.server.url}/account?changed"
    assert 'role="status"' in visitor.get("/account?changed").text


@pytest.mark.parametrize("way", [post, put])
def test_what_is_refused_changes_nothing(house, way):
    name = f"carl.{way.__name__}"
    here = house.make(name)
    there = Visitor(house.server, name)
    for now, new, status, why in [
        (OTHER, THIRD, 403, "the passcode of now is wrong"),
        ("", THIRD, 403, "the passcode of now is wrong"),
        (PASSCODE, "too short", 400, "shorter than 12 characters"),
        (PASSCODE, "x" * 1025, 400, "longer than 1024 bytes"),
    ]:
        answer = way(here, now, new)
        assert answer.status_code == status and why in answer.text, (answer.status_code, answer.text)
    assert way(here, PASSCODE, THIRD, **ELSEWHERE).status_code == 403
    assert way(here, PASSCODE, THIRD, Origin="null").status_code == 403
    assert is_in(here) and is_in(there) and house.signs_in(name, PASSCODE)
    assert [row[2:] for row in house.told(name)] == [("4", "another passcode: the one of now is wrong")] * 2


def test_what_is_no_form_and_no_body_is_refused(house):
    here = house.make("cleo")
    answer = post(here, PASSCODE, THIRD, again=OTHER)
    assert answer.status_code == 400 and "two different passcodes" in answer.text
    form = {"now": "x" * 20_000, "passcode": THIRD, "again": THIRD}
    assert here.session.post(f"{house.server.url}/account", data=form, timeout=30).status_code == 413
    headers = {"Origin": house.server.url}
    for body in ({}, {"now": PASSCODE}, {"now": PASSCODE, "new": THIRD, "name": "root"}, {"now": 1, "new": THIRD}, []):
        answer = here.session.put(f"{house.server.url}/api/v1/session/passcode", json=body, headers=headers, timeout=30)
        assert answer.status_code == 400, body
    assert house.signs_in("cleo", PASSCODE)


def test_who_guesses_in_a_session_waits_as_at_the_door(start):
    house = House(start())
    here = house.make("dora")
    codes = [post(here, f"guess number {number}", THIRD).status_code for number in range(7)]
    assert codes == [403] * 6 + [429]
    answer = post(here, PASSCODE, THIRD)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1 and "too many failures" in answer.text
    assert put(here, PASSCODE, THIRD).status_code == 429
    # It is the same throttle: nor does the right one open the door now.
    answer = requests.post(f"{house.server.url}/api/v1/session", json={"name": "dora", "passcode": PASSCODE}, timeout=30)
    assert answer.status_code == 429 and is_in(here)
    assert any(row["detail"] == "too many failures to sign in" and row["who"] == "dora" for row in people.trail(house.server))


def test_who_has_no_account_has_no_such_page(house):
    url = house.server.url
    root = Visitor(house.server, "root")
    token = people.token(house.server, "root")[1]
    study = str(house.study.StudyInstanceUID)
    case = {"study_instance_uid": study, "question": "?", "subspecialty": "any", "readers": [{"pool": "any"}]}
    number = requests.post(f"{url}/api/v1/cases", json=case, headers=bearer(token), timeout=30).json()["number"]
    grant = {"case": number, "to": "link", "studies": [{"study_instance_uid": study}], "expires_ms": now_ms() + HOUR_MS}
    answer = requests.post(f"{url}/api/v1/grants", json=grant, headers=bearer(token), timeout=30)
    assert answer.status_code == 201, answer.text
    guest = requests.Session()
    assert guest.post(answer.json()["link"], timeout=30).status_code == 200
    form = {"now": PASSCODE, "passcode": THIRD, "again": THIRD}
    body = {"now": PASSCODE, "new": THIRD}
    assert guest.get(f"{url}/account", timeout=30).status_code == 404
    assert "account" not in guest.get(f"{url}/", timeout=30).text.split("</header>")[0].split("<header")[1]
    assert guest.post(f"{url}/account", data=form, headers={"Origin": url}, timeout=30).status_code == 404
    assert guest.put(f"{url}/api/v1/session/passcode", json=body, headers={"Origin": url}, timeout=30).status_code == 403
    # Nor has a token, nor has nobody.
    assert requests.get(f"{url}/account", headers=bearer(token), timeout=30).status_code == 404
    assert requests.put(f"{url}/api/v1/session/passcode", json=body, headers=bearer(token), timeout=30).status_code == 403
    assert requests.get(f"{url}/account", timeout=30, allow_redirects=False).status_code in (303, 401)
    assert requests.put(f"{url}/api/v1/session/passcode", json=body, timeout=30).status_code == 401
    assert is_in(root) and house.signs_in("root", PASSCODE)


def test_where_nobody_has_to_sign_in_nobody_has_a_passcode(start):
    server = start()
    assert requests.get(f"{server.url}/account", timeout=30).status_code == 404
    answer = requests.put(f"{server.url}/api/v1/session/passcode", json={"now": "", "new": THIRD}, timeout=30)
    assert answer.status_code == 403


def test_in_the_browser_somebody_changes_their_passcode(house, tmp_path):
    people.add_user(house.server, "emma", "viewer")
    with Browser(tmp_path) as browser:
        tab = browser.open()
        tab.call("goto", f"{house.server.url}/sign-in")
        tab.call("fill", "input[name=name]", "emma")
        tab.call("fill", "input[name=passcode]", PASSCODE)
        tab.click("main button")
        tab.click(".badge a")
        tab.see("h1:has-text('Your account')")
        looked_at(tab, "account")

        def change(now, new):
            for field, text in (("now", now), ("passcode", new), ("again", new)):
                tab.call("fill", f"input[name={field}]", text)
            tab.click("main form button")

        change(OTHER, THIRD)
        tab.see("[role=alert]:has-text('wrong')")
        looked_at(tab, "account-refused")
        assert tab.evaluate("[...document.querySelectorAll('main input')].every((field) => !field.value)")
        change(PASSCODE, OTHER)
        tab.see("[role=status]:has-text('another passcode')")
        looked_at(tab, "account-changed")
        tab.click(".badge button")
        tab.see("input[name=passcode]")
    assert house.signs_in("emma", OTHER)
