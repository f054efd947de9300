"""Accounts and tokens by the pages of an administrator and the JSON API behind them (issue 8): what they change the shell
lists, sqlite3 finds in the ledger, and whoever signs in notices at once. Pages without scripts, and in Chromium."""

import csv
import io
import json
import os
import re
import socket
import sqlite3
import threading

import pytest
import requests

from harness import made, people, web
from harness.browser import Browser
from harness.forms import Visitor, read
from harness.people import PASSCODE, bearer

OTHER = "another horse, another staple"
ROLES = ("administrator", "sender", "requester", "reader", "viewer")


class House:
    """A server with an administrator, and two studies."""

    def __init__(self, server):
        self.server = server
        self.studies = [made.instance(), made.instance()]
        assert web.stow(server, [made.file(ds) for ds in self.studies]).status_code == 200
        people.add_user(server, "root", "administrator")
        people.closed(server)
        self.root = Visitor(server, "root")

    def listed(self, name):
        """An account as the shell lists it."""
        rows = json.loads(people.shell(self.server, "user list --json").stdout)
        return next((row for row in rows if row["name"] == name), None)

    def tokens(self, name):
        rows = json.loads(people.shell(self.server, f"token list --user {name} --json").stdout)
        return {row["id"]: row for row in rows}

    def query(self, sql, *values):
        ledger = sqlite3.connect(f"file:{self.server.data_dir}/ledger.sqlite?mode=ro", uri=True)
        try:
            return ledger.execute(sql, values).fetchall()
        finally:
            ledger.close()

    def told(self, thing):
        """Who did what to an account or a token, as the trail has it."""
        return [(row["who"], row["means"], row["detail"]) for row in people.trail(self.server) if row["object"] == thing]

    def make(self, name, *roles, passcode=PASSCODE, **fields):
        answer = self.root.api("POST", "/users", json={"name": name, "passcode": passcode, "roles": roles, **fields})
        assert answer.status_code == 201, answer.text
        return answer

    def issue(self, name, **fields):
        answer = self.root.api("POST", "/tokens", json={"account": name, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def signs_in(self, name, passcode=PASSCODE):
        answer = requests.post(f"{self.server.url}/api/v1/session", json={"name": name, "passcode": passcode}, timeout=60)
        return answer.status_code == 200

    def state(self):
        """All that could have been changed."""
        return self.query("SELECT name, roles, passcode, is_enabled, email FROM account ORDER BY name"), self.query(
            "SELECT id, revoked_ms FROM token ORDER BY id"
        )

    def status(self, path, text):
        return requests.get(self.server.url + path, headers=bearer(text), allow_redirects=False, timeout=30).status_code


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module())


def test_an_account_is_made_by_the_api_and_signs_in(house):
    assert not house.signs_in("anna")
    answer = house.make("Anna", "reader", "viewer", email="anna@example.org")
    assert answer.headers["Location"] == f"{house.server.url}/api/v1/users/anna"
    told = answer.json()
    assert told == house.listed("anna") == house.root.api("GET", "/users/anna").json()
    assert (told["name"], told["roles"], told["enabled"]) == ("anna", ["reader", "viewer"], True)
    assert told["email"] == "anna@example.org"
    assert house.signs_in("anna") and not house.signs_in("anna", OTHER)
    [(kept,)] = house.query("SELECT passcode FROM account WHERE name = 'anna'")
    assert kept.startswith("$argon2id$") and PASSCODE not in kept
    assert house.told("account anna") == [("root", "session", "made, reader viewer")]
    # Once.
    again = house.root.api("POST", "/users", json={"name": "anna", "passcode": OTHER, "roles": ["viewer"]})
    assert (again.status_code, again.headers["Content-Type"]) == (409, "application/problem+json")
    assert house.signs_in("anna") and len(house.told("account anna")) == 1


def test_what_is_changed_counts_at_once(house):
    house.make("carl", "viewer")
    visitor, issued = Visitor(house.server, "carl"), house.issue("carl")
    number, text = issued["id"], issued["token"]
    study = f"/dicom-web/studies/{house.studies[0].StudyInstanceUID}/metadata"

    def seen():
        """By the session, and by the token."""
        return visitor.session.get(house.server.url + study, timeout=30).status_code, house.status(study, text)

    def change(status=200, **fields):
        answer = house.root.api("PATCH", "/users/carl", json=fields)
        assert answer.status_code == status, answer.text
        return answer.json()

    assert seen() == (200, 200)
    assert change(roles=["sender"])["roles"] == ["sender"] == house.listed("carl")["roles"]
    assert seen() == (403, 403)
    assert change(roles=["viewer"], email="c@example.org")["email"] == "c@example.org" == house.listed("carl")["email"]
    assert seen() == (200, 200)
    # What is not named stays; null takes an address away.
    assert change(roles=["viewer", "reader"])["email"] == "c@example.org"
    assert change(email=None)["email"] is None and house.listed("carl")["email"] is None
    assert change(enabled=False)["enabled"] is False and house.listed("carl")["enabled"] is False
    assert seen() == (401, 401) and not house.signs_in("carl")
    assert house.query("SELECT count(*) FROM session JOIN account ON account.id = session.account WHERE name = 'carl'") == [(0,)]
    change(enabled=True)
    # The session has ended for good.
    assert seen() == (401, 200) and house.signs_in("carl")
    visitor = Visitor(house.server, "carl")
    assert seen() == (200, 200)
    assert house.root.api("PUT", "/users/carl/passcode", json={"passcode": OTHER}).status_code == 204
    assert seen() == (401, 200) and not house.signs_in("carl") and house.signs_in("carl", OTHER)
    assert [what for _, _, what in house.told("account carl")] == [
        "made, viewer", f"token {number} was issued, viewer", "roles are sender", "roles are viewer; another e-mail address",
        "roles are reader viewer", "no e-mail address", "disabled", "enabled", "another passcode",
    ]  # fmt: skip
    assert people.shell(house.server, "audit verify").returncode == 0


def test_the_last_administrator_stays_at_every_door(start):
    house = House(start())
    root = house.root
    house.make("anna", "administrator")
    house.make("bert", "viewer")
    assert root.api("PATCH", "/users/anna", json={"enabled": False}).status_code == 200
    before = house.state(), len(people.trail(house.server))
    # anna is one, but is not let in.
    for fields in ({"enabled": False}, {"roles": ["viewer"]}, {"enabled": False, "roles": ["administrator"]}, {"roles": ["reader"], "email": "r@example.org"}):
        answer = root.api("PATCH", "/users/root", json=fields)
        assert (answer.status_code, answer.json()["detail"]) == (409, "this is the last administrator"), fields
    for command in ("user disable root", "user set root --roles viewer"):
        done = people.shell(house.server, command)
        assert done.returncode == 1 and "last administrator" in done.stderr, command
    answer = root.send("/admin/users/root", "Disable this account")
    assert answer.status_code == 409 and "this is the last administrator" in read(answer.text)[1]
    answer = root.send("/admin/users/root", "Save", role=["viewer"])
    assert answer.status_code == 409 and "this is the last administrator" in read(answer.text)[1]
    assert (house.state(), len(people.trail(house.server)) - 1) == before, "but for the listing itself"
    # With another one who is let in they may go.
    assert root.api("PATCH", "/users/anna", json={"enabled": True}).status_code == 200
    assert root.send("/admin/users/root", "Disable this account").url == f"{house.server.url}/sign-in?then=/"
    assert house.listed("root")["enabled"] is False
    assert people.shell(house.server, "user disable anna").returncode == 1


@pytest.mark.parametrize("loss, status", [({"enabled": False}, 401), ({"roles": ["viewer"]}, 403)])
def test_who_was_an_administrator_when_they_began_is_asked_again_when_they_have_said_it(house, loss, status):
    name = f"slow{status}"
    house.make(name, "administrator", "viewer")
    headers = bearer(house.issue(name)["token"])
    body = json.dumps({"name": f"late{status}", "passcode": PASSCODE, "roles": ["administrator"]}).encode()
    host, port = house.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        head = f"POST /api/v1/users HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {headers['Authorization']}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        slow.sendall(head.encode())
        # It is being answered: who asks was let in.
        assert slow.recv(1000).startswith(b"HTTP/1.1 100")
        slow.sendall(body[:10])
        assert house.root.api("PATCH", f"/users/{name}", json=loss).status_code == 200
        slow.sendall(body[10:])
        assert slow.recv(1000).startswith(f"HTTP/1.1 {status}".encode())
    assert house.listed(f"late{status}") is None


def test_a_form_that_is_old_gives_no_role_back(house):
    house.make("bob", "administrator", "viewer")
    page = house.root.session.get(f"{house.server.url}/admin/users/bob", timeout=30).text
    shown = re.search(r'name="shown_roles" value="([^"]*)"', page).group(1)
    assert house.root.api("PATCH", "/users/bob", json={"roles": ["viewer"]}).status_code == 200
    headers = {"Origin": house.server.url}
    form = {"deed": "change", "shown_roles": shown, "role": ["administrator", "viewer"], "email": "bob@example.org"}
    answer = house.root.session.post(f"{house.server.url}/admin/users/bob", data=form, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    assert (house.listed("bob")["roles"], house.listed("bob")["email"]) == (["viewer"], "bob@example.org")
    # Who wants another one than was shown is told.
    answer = house.root.session.post(f"{house.server.url}/admin/users/bob", data=form | {"role": ["reader"]}, headers=headers, timeout=30)
    assert answer.status_code == 400 and "meanwhile" in answer.text
    assert house.listed("bob")["roles"] == ["viewer"]


def test_of_two_who_end_each_other_one_stays(start):
    house = House(start())
    house.make("anna", "administrator")
    people_by_name = {"root": house.root, "anna": Visitor(house.server, "anna")}
    for _ in range(5):
        gate, statuses = threading.Barrier(2), {}

        def end(who, whom):
            gate.wait()
            statuses[who] = people_by_name[who].api("PATCH", f"/users/{whom}", json={"enabled": False}).status_code

        threads = [threading.Thread(target=end, args=pair) for pair in (("root", "anna"), ("anna", "root"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        enabled = [name for name in ("root", "anna") if house.listed(name)["enabled"]]
        # The other one came too late: their session had ended, or they had been the last.
        assert len(enabled) == 1 and statuses[enabled[0]] == 200, statuses
        assert sorted(statuses.values())[1] in (401, 409), statuses
        [other] = set(people_by_name) - set(enabled)
        assert people.shell(house.server, f"user enable {other}").returncode == 0
        people_by_name[other] = Visitor(house.server, other)


def test_a_token_is_shown_once_and_is_as_narrow_as_it_says(house):
    house.make("dora", "viewer", "sender")
    seen, other = (str(ds.StudyInstanceUID) for ds in house.studies)
    issued = house.issue("dora", roles=["viewer"], studies=[seen], label="for <b>Weasis</b>", days=7)
    text = issued["token"]
    assert house.status(f"/dicom-web/studies/{seen}/metadata", text) == 200
    assert house.status(f"/dicom-web/studies/{other}/metadata", text) == 404
    assert house.status("/admin", text) == 403
    row = house.tokens("dora")[issued["id"]]
    assert (row["roles"], row["studies"], row["label"], row["state"]) == (["viewer"], [seen], "for <b>Weasis</b>", "good")
    [listed] = [row for row in house.root.api("GET", "/tokens?account=dora").json()["tokens"] if row["id"] == issued["id"]]
    assert listed == row and row["expires"] == issued["expires"]
    [(issued_ms, expires_ms)] = house.query("SELECT issued_ms, expires_ms FROM token WHERE id = ?", issued["id"])
    assert expires_ms - issued_ms == 7 * 86_400_000
    # It is kept nowhere: not in the lists, not on the pages, not in the ledger.
    for path in ("/api/v1/tokens", "/admin/tokens", "/admin/users/dora"):
        page = house.root.session.get(house.server.url + path, timeout=30).text
        assert "for &lt;b&gt;Weasis&lt;/b&gt;" in page or "for <b>Weasis</b>" in json.dumps(page)
        assert text not in page and text[5:] not in page
        assert path.startswith("/api") or "<b>Weasis" not in page
    for file in house.server.data_dir.glob("ledger.sqlite*"):
        assert text.encode() not in file.read_bytes() and text[5:].encode() not in file.read_bytes()
    assert house.root.api("DELETE", f"/tokens/{issued['id']}").status_code == 204
    assert house.status(f"/dicom-web/studies/{seen}/metadata", text) == 401
    assert house.root.api("DELETE", f"/tokens/{issued['id']}").status_code == 404
    assert house.tokens("dora")[issued["id"]]["state"] == "revoked"
    assert house.told(f"token {issued['id']}") == [("root", "session", "revoked")]
    [row] = [row for row in people.trail(house.server) if row["detail"] == f"token {issued['id']} was issued, viewer" and row["object"] == "account dora"]
    assert row["studies"] == seen
    # Without a word it has all roles of its account, for 90 days.
    number = house.issue("dora")["id"]
    row = house.tokens("dora")[number]
    assert (row["roles"], row["studies"]) == (["sender", "viewer"], None)
    # A session issued it.
    assert row["issued_by"] == {"who": "root", "token": None}


def test_what_a_stolen_token_did_is_found_and_goes_with_it(house):
    def by(token, method, path, status, **body):
        url = f"{house.server.url}/api/v1{path}"
        answer = requests.request(method, url, json=body or None, headers=bearer(token["token"]), timeout=60)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def good(*tokens):
        return [house.status("/api/v1/session", token["token"]) == 200 for token in tokens]

    stolen, other = house.issue("root"), house.issue("root")
    mine = f"token {stolen['id']}"
    by(stolen, "POST", "/users", 201, name="petra", passcode=PASSCODE, roles=["viewer"])
    by(stolen, "PATCH", "/users/petra", 200, roles=["sender"])
    child = by(stolen, "POST", "/tokens", 201, account="root")
    grandchild = by(child, "POST", "/tokens", 201, account="petra")
    assert good(stolen, child, other) == [True, True, True]

    # Who issued what, at both doors alike.
    listed = {row["id"]: row for row in house.root.api("GET", "/tokens").json()["tokens"]}
    for token, issuer in ((stolen, None), (other, None), (child, stolen), (grandchild, child)):
        issued_by = {"who": "root", "token": issuer and issuer["id"]}
        assert listed[token["id"]]["issued_by"] == issued_by
        assert house.tokens(listed[token["id"]]["account"])[token["id"]]["issued_by"] == issued_by
    number = people.token(house.server, "petra")[0]
    assert house.tokens("petra")[number]["issued_by"] == {"who": f"uid {os.getuid()}", "token": None}
    assert re.search(rf"(?m)^{child['id']} .* root, {mine} *$", people.shell(house.server, "token list").stdout)

    # All that it did is in the trail under its number, and found there.
    did = [
        ("account petra", "made, viewer"), ("account petra", "roles are sender"), ("account root", f"token {child['id']} was issued, administrator"),
    ]  # fmt: skip
    rows = [row for row in people.trail(house.server) if row["means"] == mine]
    assert [(row["object"], row["detail"]) for row in rows if row["event"] == "Security Alert"] == did
    found = house.root.api("GET", f"/audit?means=token%20{stolen['id']}").json()["rows"]
    assert [str(row["id"]) for row in found] == [row["id"] for row in reversed(rows)]
    found = csv.DictReader(io.StringIO(people.shell(house.server, "audit search", "--means", mine, "--event", "110113").stdout))
    assert [(row["object"], row["detail"]) for row in found] == did[::-1]

    # It goes alone, unless more is wanted; what it issued can go later.
    for query in ("issued=maybe", "issued", "all=true"):
        assert house.root.api("DELETE", f"/tokens/{stolen['id']}?{query}").status_code == 400, query
    assert house.root.api("DELETE", f"/tokens/{stolen['id']}?issued=false").status_code == 204
    assert good(stolen, child, other) == [False, True, True]
    assert house.root.api("DELETE", f"/tokens/{stolen['id']}").status_code == 404
    answer = house.root.api("DELETE", f"/tokens/{stolen['id']}?issued=true")
    assert (answer.status_code, answer.json()) == (200, {"revoked": [child["id"], grandchild["id"]]})
    assert good(child, other) == [False, True]
    assert house.status("/api/v1/session", grandchild["token"]) == 401
    assert house.root.api("DELETE", f"/tokens/{stolen['id']}?issued=true").status_code == 404
    assert house.told(mine) == [("root", "session", "revoked")]
    for token in (child, grandchild):
        assert house.told(f"token {token['id']}") == [("root", "session", f"revoked with {mine}, which it was issued by")]
    # The same at the shell.
    child = by(other, "POST", "/tokens", 201, account="root")
    done = people.shell(house.server, f"token revoke {other['id']} --issued")
    assert (done.returncode, done.stdout.split()) == (0, [str(other["id"]), str(child["id"])]), done.stderr
    assert good(other, child) == [False, False]
    assert people.shell(house.server, f"token revoke {other['id']} --issued").returncode != 0
    assert people.shell(house.server, "audit verify").returncode == 0


def test_what_makes_no_sense_is_refused_and_changes_nothing(house):
    house.make("emil", "viewer")
    before = house.state()
    new = {"name": "x", "passcode": PASSCODE, "roles": ["viewer"]}
    refused = [
        ("POST", "/users", new | {"name": "<b>x</b>"}, 400),
        ("POST", "/users", new | {"name": "anonymous"}, 400),
        ("POST", "/users", new | {"name": "a" * 65}, 400),
        ("POST", "/users", new | {"name": "x\n"}, 400),
        ("POST", "/users", new | {"passcode": "short"}, 400),
        ("POST", "/users", new | {"passcode": "x" * 1025}, 400),
        ("POST", "/users", new | {"roles": []}, 400),
        ("POST", "/users", new | {"roles": ["boss"]}, 400),
        ("POST", "/users", new | {"roles": "viewer"}, 400),
        ("POST", "/users", new | {"email": "x@example.org\r\nBcc: eve@example.org"}, 400),
        ("POST", "/users", new | {"is_root": True}, 400),
        ("POST", "/users", {"name": "x"}, 400),
        ("POST", "/users", [], 400),
        ("POST", "/users", new | {"email": "x" * 10_000}, 413),
        ("POST", "/tokens", {"account": "emil", "studies": []}, 400),
        ("PATCH", "/users/emil", {}, 400),
        ("PATCH", "/users/emil", {"roles": []}, 400),
        ("PATCH", "/users/emil", {"roles": None, "name": "y"}, 400),
        ("PATCH", "/users/emil", {"enabled": "no"}, 400),
        ("PATCH", "/users/emil", {"email": ""}, 400),
        ("PATCH", "/users/nobody", {"enabled": False}, 404),
        ("PATCH", "/users/<b>", {"enabled": False}, 404),
        ("PUT", "/users/emil/passcode", {"passcode": ""}, 400),
        ("PUT", "/users/nobody/passcode", {"passcode": PASSCODE}, 404),
        ("POST", "/tokens", {"account": "nobody"}, 404),
        ("POST", "/tokens", {"account": "emil", "roles": ["administrator"]}, 400),
        ("POST", "/tokens", {"account": "emil", "roles": []}, 400),
        ("POST", "/tokens", {"account": "emil", "studies": ["1.2.x"]}, 400),
        ("POST", "/tokens", {"account": "emil", "studies": [f"1.2.{n}" for n in range(1001)]}, 400),
        ("POST", "/tokens", {"account": "emil", "days": 0}, 400),
        ("POST", "/tokens", {"account": "emil", "days": 3651}, 400),
        ("POST", "/tokens", {"account": "emil", "days": 2**63 - 1}, 400),
        ("POST", "/tokens", {"account": "emil", "label": "x" * 129}, 400),
        ("POST", "/tokens", {"account": "emil", "label": "a\nb"}, 400),
        ("POST", "/tokens", {"account": "emil", "label": "x" * 200_000}, 413),
        ("DELETE", "/tokens/999999", None, 404),
        ("DELETE", "/tokens/x", None, 404),
        ("GET", "/users?order=name", None, 400),
        ("GET", "/tokens?before=x", None, 400),
        ("GET", "/users/nobody", None, 404),
    ]
    for method, path, body, status in refused:
        answer = house.root.api(method, path, **({"json": body} if body is not None else {}))
        assert answer.status_code == status, (method, path, str(body)[:80], answer.status_code, answer.text)
        assert answer.headers["Content-Type"] == "application/problem+json" and "eve@" not in answer.text
    for raw in (b"", b"{", b"\xff", b"[" * 8000, b'{"name": "x", "name": "y"}'):
        answer = house.root.api("POST", "/users", data=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, raw[:20]
    assert house.root.api("POST", "/users", data=new).status_code == 415
    assert house.state() == before


def everything(house, name):
    """Each page and resource, as (method, path, body)."""
    pages = ["/admin", "/admin/users", f"/admin/users/{name}", "/admin/tokens", "/api/v1/users", f"/api/v1/users/{name}", "/api/v1/tokens"]
    yield from (("GET", path, {}) for path in pages)
    passcodes = {"passcode": OTHER, "again": OTHER}
    yield "POST", "/admin/users", {"data": {"name": "mallory", "role": "administrator", **passcodes}}
    for deed, fields in (("change", {"role": "administrator"}), ("passcode", passcodes), ("disable", {}), ("issue", {"days": "1"}), ("", {})):
        yield "POST", f"/admin/users/{name}", {"data": {"deed": deed} | fields}
    yield "POST", "/admin/tokens", {"data": {"account": name, "days": "1"}}
    number = house.issue(name)["id"]
    yield "POST", f"/admin/tokens/{number}/revoke", {"data": {}}
    yield "POST", "/api/v1/users", {"json": {"name": "mallory", "passcode": OTHER, "roles": ["administrator"]}}
    yield "PATCH", f"/api/v1/users/{name}", {"json": {"roles": ["administrator"]}}
    yield "PUT", f"/api/v1/users/{name}/passcode", {"json": {"passcode": OTHER}}
    yield "POST", "/api/v1/tokens", {"json": {"account": name}}
    yield "DELETE", f"/api/v1/tokens/{number}", {}


def test_nobody_else_sees_or_changes(house):
    house.make("victim", "viewer")
    tried = list(everything(house, "victim"))
    visitors = {role: Visitor(house.server, f"p.{role}") for role in ROLES[1:] if house.make(f"p.{role}", role)}
    narrow = Visitor(house.server)
    narrow.session.headers.update(bearer(house.issue("root", studies=["1.2.3"])["token"]))
    lesser = Visitor(house.server)
    lesser.session.headers.update(bearer(house.issue("root", roles=["viewer"])["token"]))
    before = house.state()
    for who, visitor in {**visitors, "narrow": narrow, "lesser": lesser}.items():
        for method, path, body in tried:
            answer = visitor.session.request(method, house.server.url + path, allow_redirects=False, timeout=30, **body)
            assert answer.status_code == 403, (who, method, path, answer.status_code)
            assert "victim" not in answer.text
    for method, path, body in tried:
        answer = requests.request(method, house.server.url + path, allow_redirects=False, timeout=30, **body)
        assert answer.status_code == 401, (method, path)
    # A page of another site, by the browser of an administrator.
    for origin in ("http://elsewhere.example", "null", "http://127.0.0.1.elsewhere.example"):
        for method, path, body in tried:
            if method != "GET":
                answer = house.root.session.request(method, house.server.url + path, headers={"Origin": origin}, timeout=30, **body)
                assert answer.status_code == 403, (origin, path)
    # Nor by a token, which no other page has but by mistake.
    program = bearer(house.issue("root")["token"]) | {"Origin": "http://elsewhere.example"}
    after_issuing = house.state()
    for method, path, body in tried:
        if method != "GET":
            answer = requests.request(method, house.server.url + path, headers=program, timeout=30, **body)
            assert answer.status_code == 403, path
    assert house.state() == after_issuing and house.state()[0] == before[0]


@pytest.mark.parametrize("config", [None, {"access": {"sign_in": "off"}}])
def test_where_nobody_signs_in_nothing_is_changed(start, config):
    server = start(config=config)
    anybody = Visitor(server)
    if config:
        people.add_user(server, "anna", "viewer")
        people.token(server, "anna")
    count = lambda: len(json.loads(people.shell(server, "user list --json").stdout))  # noqa: E731
    before = count() if config else 0
    for path in ("/admin", "/admin/users", "/admin/tokens"):
        answer = anybody.get(path)
        assert answer.status_code == 200
        assert path == "/admin" or "overread user add NAME --role administrator" in answer.text
        assert not [form for form in read(answer.text)[0] if form.method == "POST"]
    assert anybody.api("GET", "/users").status_code == 200
    for method, path, body in (
        ("POST", "/users", {"name": "mallory", "passcode": PASSCODE, "roles": ["administrator"]}),
        ("PATCH", "/users/anna", {"roles": ["administrator"]}),
        ("PUT", "/users/anna/passcode", {"passcode": PASSCODE}),
        ("POST", "/tokens", {"account": "anna"}),
        ("DELETE", "/tokens/1", None),
    ):
        answer = anybody.api(method, path, **({"json": body} if body else {}))
        assert (answer.status_code, "at the shell" in answer.text) == (409, True), (path, answer.text)
    form = {"name": "mallory", "role": "administrator", "passcode": PASSCODE, "again": PASSCODE}
    assert anybody.session.post(f"{server.url}/admin/users", data=form, timeout=30).status_code == 409
    if config:
        assert count() == before
        assert [row["state"] for row in json.loads(people.shell(server, "token list --json").stdout)] == ["good"]
    assert requests.get(f"{server.web}/studies", timeout=30).status_code in (200, 204), "it is open as before"


def test_the_whole_job_without_scripts(house):
    root = house.root
    # What is wrong is told above the form, which keeps what was typed, but for passcodes.
    wrong = root.send("/admin/users", "Make the account", name="Frida <b>", email="f@example.org", role=["reader"], passcode=PASSCODE, again=PASSCODE)
    assert wrong.status_code == 400
    forms, text = read(wrong.text)
    assert "a name is 1 to 64 of a-z" in text and "<b>" not in wrong.text.split("<main>")[1].replace("<b>root</b>", "")
    kept = dict((name, value) for name, value, kind, _ in forms[-1].fields if kind in ("text", "email", "password"))
    assert kept == {"name": "Frida <b>", "email": "f@example.org", "passcode": "", "again": ""}
    assert [value for name, value, _, is_set in forms[-1].fields if name == "role" and is_set] == ["reader"]
    wrong = root.send("/admin/users", "Make the account", name="frida", role=["reader"], passcode=PASSCODE, again=OTHER)
    assert wrong.status_code == 400 and "two different passcodes" in read(wrong.text)[1]
    assert house.listed("frida") is None

    page = root.send("/admin/users", "Make the account", name="Frida+1@x", email="f@example.org", role=["reader"], passcode=PASSCODE, again=PASSCODE)
    assert page.status_code == 200 and page.url == f"{house.server.url}/admin/users/frida%2B1%40x"
    assert "f@example.org" in page.text and house.signs_in("frida+1@x")
    here = page.url
    assert here.removeprefix(f"{house.server.url}/admin/") in root.get("/admin/users").text
    page = root.send(here, "Save", role=["reader", "viewer"], email="")
    assert page.url == here and (house.listed("frida+1@x")["roles"], house.listed("frida+1@x")["email"]) == (["reader", "viewer"], None)
    # Saved again as it is, nothing has changed and nothing is told.
    rows = len(house.told("account frida+1@x"))
    assert root.send(here, "Save").url == here and len(house.told("account frida+1@x")) == rows
    wrong = root.send(here, "Save", role=[])
    assert wrong.status_code == 400 and "without a role" in read(wrong.text)[1]
    root.send(here, "Set the passcode", passcode=OTHER, again=OTHER)
    assert house.signs_in("frida+1@x", OTHER) and not house.signs_in("frida+1@x")
    assert "disabled" in read(root.send(here, "Disable this account").text)[1]
    assert not house.signs_in("frida+1@x", OTHER)
    root.send(here, "Enable this account")
    assert house.signs_in("frida+1@x", OTHER)

    study = str(house.studies[0].StudyInstanceUID)
    shown = root.send(here, "Issue the token", label="a program", days="3", role=["viewer"], studies=f"{study}\r\n{study}\n")
    assert shown.status_code == 200
    text = shown.text.split('<p class="secret">')[1].split("<")[0]
    assert text.startswith("ovrd_") and house.status(f"/dicom-web/studies/{study}/metadata", text) == 200
    assert text not in root.get(here).text
    [(number, row)] = house.tokens("frida+1@x").items()
    assert (row["studies"], row["roles"], row["label"]) == ([study], ["viewer"], "a program")
    # The form offers no role that the account has not, and who sends one all the same is refused.
    forged = root.session.post(here, data={"deed": "issue", "days": "3", "role": "administrator"}, timeout=30)
    assert forged.status_code == 400 and "no role that its account has not" in read(forged.text)[1]
    assert root.send(here, f"Revoke token {number}").url == here
    assert house.tokens("frida+1@x")[number]["state"] == "revoked"
    assert house.status(f"/dicom-web/studies/{study}/metadata", text) == 401
    # From the list of all: back to it.
    shown = root.send("/admin/tokens", "Issue the token", account="frida+1@x", days="1")
    assert 'class="secret"' in shown.text
    number = max(house.tokens("frida+1@x"))
    assert root.send("/admin/tokens", f"Revoke token {number}").url == f"{house.server.url}/admin/tokens"
    for fields in ({"account": "nobody"}, {"account": "a b"}, {"account": "frida+1@x", "days": "x"}, {"account": "frida+1@x", "studies": "1.2.x"}):
        wrong = root.send("/admin/tokens", "Issue the token", **fields)
        assert wrong.status_code == 400 and 'role="alert"' in wrong.text, fields
    for path in ("/admin/users/nobody", "/admin/users/a%20b", "/admin/users/%3Cb%3E", "/admin/users/%FF"):
        assert root.get(path).status_code == 404, path


def test_a_form_of_ten_megabytes_is_not_read(house):
    for path in ("/admin/users", "/admin/users/root", "/admin/tokens", "/admin/tokens/1/revoke"):
        for data in (b"name=" + b"x" * 10_000_000, (b"y" * 1_000_000 for _ in range(10))):
            try:
                status = house.root.session.post(f"{house.server.url}{path}", data=data, timeout=60).status_code
            except requests.ConnectionError:
                # It was turned away while it was sent.
                continue
            assert status == 413, path
    many = "&".join(["role=viewer"] * 600)
    assert house.root.session.post(f"{house.server.url}/admin/users", data=many, timeout=60).status_code == 400
    assert house.root.get("/admin/users").status_code == 200


def test_long_lists_have_pages(start):
    server = start()
    house = House(server)
    ledger = sqlite3.connect(server.data_dir / "ledger.sqlite", timeout=30)
    with ledger:
        rows = [(f"n{number:04}", "viewer", "$x", 1, 1, "") for number in range(1200)]
        ledger.executemany("INSERT INTO account (name, roles, passcode, is_enabled, created_ms, email) VALUES (?, ?, ?, ?, ?, ?)", rows)
        [(account,)] = ledger.execute("SELECT id FROM account WHERE name = 'n0000'").fetchall()
        tokens = [(number.to_bytes(32, "big"), account, str(number), "viewer", 0, 1, 2) for number in range(1, 1101)]
        ledger.executemany("INSERT INTO token (digest, account, label, roles, is_limited, issued_ms, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?)", tokens)
    ledger.close()
    names, after = [], ""
    while after is not None:
        told = house.root.api("GET", "/users", params={"after": after}).json()
        assert len(told["users"]) <= 500
        names += [user["name"] for user in told["users"]]
        after = told["after"]
    assert names == sorted([row[0] for row in rows] + ["root"])
    numbers, before = [], None
    while True:
        told = house.root.api("GET", "/tokens", params={"before": before} if before else {}).json()
        numbers += [row["id"] for row in told["tokens"]]
        before = told["before"]
        if before is None:
            break
    assert numbers == sorted(numbers, reverse=True) and len(numbers) == 1100
    found = house.root.api("GET", "/users", params={"part": "119"}).json()
    assert [user["name"] for user in found["users"]] == [row[0] for row in rows if "119" in row[0]]
    # The pages go on as well.
    text = house.root.get("/admin/users?part=n").text
    assert "n0099" in text and "n0100" not in text and "after=n0099" in text
    assert "n0100" in house.root.get("/admin/users?part=n&after=n0099").text
    assert "1051" in house.root.get("/admin/tokens").text and "before=1051" in house.root.get("/admin/tokens").text


def looked_at(tab, name):
    """How it looks, wide and narrow, light and dark; axe-core finds nothing, and nothing hangs over the side."""
    found = []
    for width in (1280, 390):
        tab.call("setViewportSize", {"width": width, "height": 900})
        for scheme in ("light", "dark"):
            tab.call("emulateMedia", {"colorScheme": scheme})
            found += [f"{name} {width} {scheme}: {line}" for line in tab.complaints()]
            tab.screenshot(f"{name}-{width}-{scheme}")
        hanging = tab.evaluate("document.documentElement.scrollWidth") - width
        found += [f"{name} {width}: hangs over by {hanging} px"] if hanging > 0 else []
    tab.call("emulateMedia", {"colorScheme": "light"})
    assert not found, "\n".join(found)


def test_in_the_browser_an_administrator_lets_people_in(house, tmp_path):
    house.make("olga.with.a.long.name@clinic.example.org", "requester", "reader", email="olga.with.a.long.name@clinic.example.org")
    with Browser(tmp_path) as browser:
        tab = browser.open()
        tab.call("goto", f"{house.server.url}/sign-in")
        tab.call("fill", "input[name=name]", "root")
        tab.call("fill", "input[name=passcode]", PASSCODE)
        tab.click("main button")
        tab.click("a:has-text('Administration')")
        tab.click("nav a:has-text('Accounts')")
        tab.see("h1:has-text('Accounts')")
        looked_at(tab, "people-accounts")
        tab.call("fill", "input[name=name]", "gina")
        tab.call("fill", "input[name=email]", "gina@example.org")
        tab.click("label:has-text('requester')")
        tab.call("fill", "input[name=passcode]", PASSCODE)
        tab.call("fill", "input[name=again]", PASSCODE)
        tab.click("button:has-text('Make the account')")
        tab.see("h1:has-text('gina')")
        looked_at(tab, "people-account")
        assert house.listed("gina")["roles"] == ["requester"] and house.signs_in("gina")
        tab.call("fill", "input[name=label]", "the workstation in room 3")
        tab.click("button:has-text('Issue the token')")
        tab.see(".secret")
        text = tab.evaluate("document.querySelector('.secret').textContent")
        assert house.status("/dicom-web/studies", text) == 200
        looked_at(tab, "people-token-shown")
        tab.click("nav a:has-text('Tokens')")
        tab.see("h1:has-text('API tokens')")
        looked_at(tab, "people-tokens")
        tab.call("setViewportSize", {"width": 390, "height": 900})
        [number] = house.tokens("gina")
        tab.click(f"button[aria-label='Revoke token {number}']")
        tab.until(f"!document.querySelector(\"button[aria-label='Revoke token {number}']\")", "it is revoked")
        assert house.status("/dicom-web/studies", text) == 401
        tab.call("goto", f"{house.server.url}/admin/users/gina")
        tab.click("button:has-text('Disable this account')")
        tab.see(".chip.warn:has-text('disabled')")
        looked_at(tab, "people-disabled")
        assert not house.signs_in("gina")
        assert not tab.faults()
