"""Accounts, tokens and the audit trail (issue 7, parts 9 and 10; conformance.md §8, 228-230), through public doors:
requests and pynetdicom outside, sqlite3 to tamper, xml.etree and csv to read what is exported."""

import csv
import http.client
import io
import json
import re
import socket
import sqlite3
import time
import xml.etree.ElementTree as ET

import pytest
import requests
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_ROOT_GET

from harness import made, wait, web
from harness.browser import Browser
from harness.granting import Office, opened
from harness.people import PASSCODE, add_user, bearer, closed, shell, token, trail
from harness.server import Server, run
from harness.wire import EXPLICIT, Association

HTML = {"Accept": "text/html"}
BELOW_STUDY = ["", "/series", "/instances", "/metadata", "/rendered", "/thumbnail", "/bulkdata", "/pixeldata"]


def store(server, *objects, headers=None):
    session = requests.Session()
    session.headers.update(headers or {})
    return web.stow(server, [made.file(ds) for ds in objects], session=session)


def status(server, path, headers=None, method="GET"):
    url = path if path.startswith("http") else server.url + path
    return requests.request(method, url, headers={"Accept": "*/*"} | (headers or {}), allow_redirects=False, timeout=60).status_code


@pytest.fixture(scope="module")
def guarded(start_module):
    """A server with two studies and its accounts: (server, tokens by role, studies)."""
    server = start_module()
    seen, other = made.instance(PatientID="SEEN"), made.instance(PatientID="OTHER")
    assert store(server, seen, other).status_code == 200
    add_user(server, "root", "administrator")
    closed(server)
    tokens = {"administrator": token(server, "root")[1]}
    for role in ("sender", "requester", "reader", "viewer"):
        add_user(server, f"a.{role}", role)
        tokens[role] = token(server, f"a.{role}")[1]
    tokens["narrow"] = token(server, "a.reader", "--study", seen.StudyInstanceUID)[1]
    return server, tokens, (seen, other)


def test_nobody_signs_in_until_there_is_an_account(start):
    server = start()
    assert store(server, made.instance()).status_code == 200
    assert status(server, "/") == 200
    answer = requests.get(f"{server.url}/api/v1/session", timeout=10).json()
    assert (answer["name"], answer["by"], answer["csrf_token"]) == ("anonymous", "nothing", None)
    done = shell(server, "user add root --role administrator", stdin="short\n")
    assert done.returncode == 1 and "12 characters" in done.stderr
    assert status(server, "/") == 200
    add_user(server, "root", "administrator")
    closed(server)
    done = shell(server, "user add root --role viewer", stdin=PASSCODE + "\n")
    assert done.returncode == 1 and "already" in done.stderr
    assert shell(server, "user add x --role boss", stdin=PASSCODE + "\n").returncode == 2
    assert re.search(r"root +administrator +yes", shell(server, "user list").stdout)
    # It stays closed after a restart.
    server.restart()
    assert status(server, "/dicom-web/studies") == 401


def test_other_addresses_need_an_account(tmp_path):
    # Whoever has no account yet is told how to make one.
    done = run("serve", "--data-dir", tmp_path / "d", "--http", "0.0.0.0:0", "--dicom", "127.0.0.1:0", timeout=20)
    assert done.returncode == 1 and "overread user add" in done.stderr, done.stderr
    assert not (tmp_path / "d").exists()


def test_a228_without_a_good_token_nothing_is_given(guarded):
    server, _, (seen, _) = guarded
    paths = [f"/dicom-web/studies/{seen.StudyInstanceUID}{below}" for below in BELOW_STUDY]
    paths += ["/dicom-web/studies", "/dicom-web/series", "/dicom-web/instances", "/metrics", "/sending", "/viewer/app-config.js"]
    paths += ["/wado?requestType=WADO", f"/studies/{seen.StudyInstanceUID}", "/", "/dicom-web", "/dicom-web/commitment-requests/1.2.3", "/nowhere"]
    wrong = "ovrd_" + "A" * 43
    for headers in ({}, bearer(wrong), bearer("x"), {"Authorization": "Basic cm9vdDp4"}, {"Authorization": "Digest x"}, {"Cookie": "overread_session=" + "A" * 43}):
        for path in paths:
            response = requests.get(server.url + path, headers={"Accept": "*/*"} | headers, allow_redirects=False, timeout=30)
            assert response.status_code == 401, (path, headers, response.status_code)
            assert "Bearer" in response.headers["WWW-Authenticate"]
            assert str(seen.StudyInstanceUID) not in response.text
    for method in ("POST", "DELETE", "PUT", "OPTIONS"):
        assert status(server, f"/dicom-web/studies/{seen.StudyInstanceUID}", method=method) == 401
    assert store(server, made.instance(), headers=bearer(wrong)).status_code == 401
    for path in ("/healthz", "/readyz", "/sign-in", "/assets/pages.css"):
        assert status(server, path) == 200, path


def test_roles_change_for_whoever_is_signed_in_already(start):
    server = start()
    seen = made.instance()
    assert store(server, seen).status_code == 200
    study = f"/dicom-web/studies/{seen.StudyInstanceUID}/metadata"
    add_user(server, "root", "administrator")
    add_user(server, "carl", "viewer")
    closed(server)
    number, text = token(server, "carl")
    browser = requests.Session()
    begun = browser.post(f"{server.url}/api/v1/session", json={"name": "carl", "passcode": PASSCODE}, timeout=30)
    assert begun.status_code in (200, 201), begun.text
    ask = lambda path: browser.get(server.url + path, timeout=30).status_code  # noqa: E731
    mine = lambda: browser.get(f"{server.url}/api/v1/session", timeout=30).json()["roles"]  # noqa: E731
    assert (ask(study), ask("/metrics"), status(server, study, bearer(text))) == (200, 403, 200)

    def change(words, code=0):
        done = shell(server, f"user set {words}")
        assert done.returncode == code, done.stderr
        return done.stderr

    # What is taken is taken at the next request, from the session and from what was issued before.
    change("carl --roles reader")
    assert (mine(), ask(study), status(server, study, bearer(text))) == (["reader"], 404, 403)
    # What is given is there at once for the session; a token has never more than it was issued with.
    change("carl --roles administrator,viewer")
    assert (mine(), ask(study), ask("/metrics")) == (["administrator", "viewer"], 200, 200)
    assert (status(server, study, bearer(text)), status(server, "/metrics", bearer(text))) == (200, 403)
    # One of two may go, the last may not: also when another is there who is not let in.
    change("root --roles viewer")
    assert "last administrator" in change("carl --roles viewer", 1)
    change("root --role administrator")
    assert shell(server, "user disable root").returncode == 0
    assert "last administrator" in change("carl --roles reader", 1)
    assert (mine(), ask("/metrics")) == (["administrator", "viewer"], 200)
    # Addresses are listed, and one that could break a line is none.
    change("carl --email carl@example.org")
    assert re.search(r"carl +administrator viewer +yes .* carl@example.org", shell(server, "user list").stdout)
    accounts = {account["name"]: account for account in json.loads(shell(server, "user list --json").stdout)}
    assert (accounts["carl"]["email"], accounts["carl"]["roles"], accounts["root"]["email"]) == ("carl@example.org", ["administrator", "viewer"], None)
    for wrong in ("carl", "a@b", "a@example.org,b@example.org"):
        change(f"carl --email {wrong}", 2)
    change("carl --no-email")
    for words, code in [("carl", 1), ("nobody --roles viewer", 1), ("carl --roles boss", 2), ("carl --roles ,", 1), ("carl --no-email --email a@example.org", 2)]:
        change(words, code)
    told = [row["detail"] for row in trail(server) if row["object"] == "account carl" and row["outcome"] == "0"]
    assert [detail for detail in told if "roles are" in detail] == ["roles are reader", "roles are administrator viewer"]
    assert [detail for detail in told if "e-mail" in detail] == ["another e-mail address", "no e-mail address"]
    assert not any("example.org" in detail for detail in told)
    assert shell(server, "audit verify").returncode == 0


def test_people_are_led_to_the_page_and_programs_are_not(guarded):
    server, _, _ = guarded
    response = requests.get(f"{server.url}/studies/1.2.3?series=1.2", headers=HTML, allow_redirects=False, timeout=10)
    assert response.status_code == 303
    assert response.headers["Location"] == f"{server.url}/sign-in?then=/studies/1.2.3%3Fseries%3D1.2"
    assert status(server, "/dicom-web/studies", HTML) == 401


def test_a_token_comes_as_bearer_or_basic(guarded):
    server, tokens, _ = guarded
    good = tokens["viewer"]
    assert status(server, "/dicom-web/studies", bearer(good)) == 200
    url = f"{server.web}/studies"
    assert requests.get(url, auth=("a.viewer", good), timeout=10).status_code == 200
    assert requests.get(url, auth=("root", good), timeout=10).status_code == 401
    answer = requests.get(f"{server.url}/api/v1/session", headers=bearer(good), timeout=10).json()
    assert (answer["name"], answer["by"], answer["roles"]) == ("a.viewer", "token", ["viewer"])
    assert answer["rights"] == ["find", "retrieve"]


def test_a_token_of_an_administrator_may_do_less(guarded):
    server, _, (seen, _) = guarded
    number, text = token(server, "root", "--role", "viewer")
    study = f"/dicom-web/studies/{seen.StudyInstanceUID}"
    assert status(server, f"{study}/metadata", bearer(text)) == 200
    assert status(server, "/metrics", bearer(text)) == status(server, study, bearer(text), "DELETE") == 403
    assert store(server, made.instance(), headers=bearer(text)).status_code == 403
    assert re.search(rf"(?m)^{number} +root +viewer +all +good", shell(server, "token list").stdout)


def test_a_token_is_kept_by_nobody(guarded):
    server, tokens, _ = guarded
    kept = b"".join(path.read_bytes() for path in server.data_dir.glob("ledger.sqlite*"))
    assert not any(text[5:].encode() in kept or text.encode() in kept for text in tokens.values())
    assert PASSCODE.encode() not in kept and b"$argon2id$" in kept
    assert all((path.stat().st_mode & 0o777) == 0o600 for path in server.data_dir.glob("ledger.sqlite*"))
    assert not any(text in server.log() for text in tokens.values())


def test_rights_are_those_of_the_role(guarded):
    server, tokens, (seen, _) = guarded
    study = f"/dicom-web/studies/{seen.StudyInstanceUID}"
    expected = {
        "administrator": (200, 200, 200, 200),
        "requester": (200, 200, 200, 403),
        "viewer": (200, 200, 403, 403),
        "sender": (403, 403, 200, 403),
        "reader": (204, 404, 403, 403),
    }
    for role, (find, retrieve, stow, metrics) in expected.items():
        headers = bearer(tokens[role])
        found = (
            status(server, "/dicom-web/studies", headers),
            status(server, f"{study}/metadata", headers),
            store(server, made.instance(), headers=headers).status_code,
            status(server, "/metrics", headers),
        )
        assert found == (find, retrieve, stow, metrics), role
    for role in ("requester", "viewer", "sender", "reader"):
        assert status(server, study, bearer(tokens[role]), "DELETE") == 403, role


def test_a229_a_narrow_token_finds_its_study_and_nothing_else(guarded):
    server, tokens, (seen, other) = guarded
    headers = bearer(tokens["narrow"])
    rows = requests.get(f"{server.web}/studies", headers=headers, timeout=10).json()
    assert [web.value(row, "0020000D") for row in rows] == [str(seen.StudyInstanceUID)]
    for level in ("series", "instances"):
        rows = requests.get(f"{server.web}/{level}", headers=headers, timeout=10).json()
        assert {web.value(row, "0020000D") for row in rows} == {str(seen.StudyInstanceUID)}
    for ds, good in ((seen, True), (other, False)):
        study = f"/dicom-web/studies/{ds.StudyInstanceUID}"
        instance = f"{study}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
        assert status(server, f"{study}/metadata", headers) == (200 if good else 404)
        for path in (instance, f"{instance}/frames/1", f"{instance}/rendered", f"{instance}/thumbnail", f"{instance}/bulkdata/7FE00010"):
            assert (status(server, path, headers) == 200) == good, path
        for below in BELOW_STUDY:
            answered = requests.get(server.url + study + below, headers={"Accept": "*/*"} | headers, timeout=30)
            # A search within a study that is not theirs finds nothing; all else is not found.
            assert good or answered.status_code == 404 or answered.content == b"", (below, answered.status_code)
            assert good or (str(ds.SOPInstanceUID) not in answered.text and "OTHER" not in answered.text)
        uri = f"/wado?requestType=WADO&studyUID={ds.StudyInstanceUID}&seriesUID={ds.SeriesInstanceUID}&objectUID={ds.SOPInstanceUID}&contentType=application/dicom"
        assert status(server, uri, headers) == (200 if good else 404)
        assert status(server, f"/studies/{ds.StudyInstanceUID}", headers) == (200 if good else 404)
    unknown = status(server, f"/dicom-web/studies/{made.uid()}/metadata", headers)
    assert unknown == 404
    page = requests.get(server.url + "/", headers=headers, timeout=10).text
    assert "SEEN" in page and "OTHER" not in page and "in the archive" not in page
    assert store(server, made.instance(), headers=headers).status_code == 403


def test_tokens_end(guarded):
    server, _, _ = guarded
    number, text = token(server, "a.viewer", "--label", "of a test")
    assert status(server, "/dicom-web/studies", bearer(text)) == 200
    assert shell(server, f"token revoke {number}").returncode == 0
    assert status(server, "/dicom-web/studies", bearer(text)) == 401
    assert shell(server, f"token revoke {number}").returncode == 1
    listed = json.loads(shell(server, "token list --json").stdout)
    assert [(row["label"], row["state"]) for row in listed if row["id"] == number] == [("of a test", "revoked")]
    _, text = token(server, "a.viewer")
    assert shell(server, "user disable a.viewer").returncode == 0
    assert status(server, "/dicom-web/studies", bearer(text)) == 401
    assert shell(server, "user enable a.viewer").returncode == 0
    assert status(server, "/dicom-web/studies", bearer(text)) == 200
    assert shell(server, "token issue a.viewer --role administrator").returncode == 1
    assert shell(server, "token issue nobody").returncode == 1


def sign_in(server, name, passcode, then="/", session=None):
    data = {"name": name, "passcode": passcode, "then": then}
    return (session or requests).post(f"{server.url}/sign-in", data=data, allow_redirects=False, timeout=30)


def test_a_session_begins_on_the_page_and_ends(guarded):
    server, _, (seen, _) = guarded
    browser = requests.Session()
    refused = sign_in(server, "a.requester", "wrong", session=browser)
    assert refused.status_code == 401 and "wrong" in refused.text and not browser.cookies
    entered = sign_in(server, "A.Requester", PASSCODE, "/studies/1.2", browser)
    assert (entered.status_code, entered.headers["Location"]) == (303, f"{server.url}/studies/1.2")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    page = browser.get(server.url + "/", timeout=10)
    assert page.status_code == 200 and "a.requester" in page.text
    assert browser.get(f"{server.web}/studies/{seen.StudyInstanceUID}/metadata", timeout=10).status_code == 200
    assert sign_in(server, "a.requester", PASSCODE, "//evil.example").headers["Location"] == f"{server.url}/"

    # What changes something has to come from our own pages.
    study = f"{server.web}/studies"
    content_type, body = web.multipart([made.file(made.instance())])
    headers = {"Content-Type": content_type, "Accept": web.JSON}
    post = lambda more: browser.post(study, data=body, headers=headers | more, timeout=30).status_code  # noqa: E731
    assert post({}) == 403
    assert post({"Origin": "https://evil.example"}) == 403
    assert post({"Origin": "null"}) == 403
    assert post({"Sec-Fetch-Site": "cross-site"}) == 403
    assert post({"X-CSRF-Token": "x"}) == 403
    session = browser.get(f"{server.url}/api/v1/session", timeout=10).json()
    assert session["by"] == "session" and "no-store" in browser.get(f"{server.url}/api/v1/session", timeout=10).headers["Cache-Control"]
    for good in ({"X-CSRF-Token": session["csrf_token"]}, {"Origin": server.url}, {"Sec-Fetch-Site": "same-origin"}):
        assert post(good) == 200, good
    out = browser.post(f"{server.url}/sign-out", headers={"Origin": server.url}, allow_redirects=False, timeout=10)
    assert out.status_code == 303 and "Max-Age=0" in out.headers["Set-Cookie"]
    kept = {"Cookie": cookie.split(";")[0]}
    assert status(server, "/dicom-web/studies", kept) == 401


def test_the_api_signs_in_and_out(guarded):
    server, _, _ = guarded
    url = f"{server.url}/api/v1/session"
    entered = requests.post(url, json={"name": "a.viewer", "passcode": PASSCODE}, timeout=30)
    assert entered.status_code == 200, entered.text
    jar, csrf = entered.cookies, entered.json()["csrf_token"]
    assert requests.get(url, cookies=jar, timeout=10).json()["name"] == "a.viewer"
    assert requests.delete(url, cookies=jar, timeout=10).status_code == 403
    assert requests.delete(url, cookies=jar, headers={"X-CSRF-Token": csrf}, timeout=10).status_code == 204
    assert requests.get(url, cookies=jar, timeout=10).status_code == 401
    for body in ({"name": "a.viewer", "passcode": "wrong"}, {"name": "nobody", "passcode": PASSCODE}):
        refused = requests.post(url, json=body, timeout=30)
        assert (refused.status_code, "Set-Cookie" in refused.headers) == (401, False)
    assert requests.post(url, data=b"{", timeout=10).status_code == 400
    foreign = requests.post(url, json={"name": "a.viewer", "passcode": PASSCODE}, headers={"Origin": "https://evil.example"}, timeout=10)
    assert foreign.status_code == 403


def test_another_passcode_ends_the_sessions(guarded):
    server, _, _ = guarded
    entered = sign_in(server, "a.sender", PASSCODE)
    kept = {"Cookie": entered.headers["Set-Cookie"].split(";")[0]}
    assert status(server, "/api/v1/session", kept) == 200
    other = "another correct horse"
    assert shell(server, "user password a.sender", stdin=other + "\n").returncode == 0
    assert status(server, "/api/v1/session", kept) == 401
    assert sign_in(server, "a.sender", PASSCODE).status_code == 401
    assert sign_in(server, "a.sender", other).status_code == 303


def test_guessing_is_slowed_down(start):
    server = start()
    add_user(server, "root", "administrator")
    closed(server)
    for name in ("root", "nobody"):
        codes = []
        for _ in range(12):
            response = sign_in(server, name, "wrong")
            codes.append(response.status_code)
            if response.status_code == 429:
                assert int(response.headers["Retry-After"]) >= 1
                break
        assert codes == [401] * 6 + [429], (name, codes)
        # The right one has to wait too.
        assert sign_in(server, name, PASSCODE).status_code == 429


def test_a_session_that_is_not_used_ends(start):
    server = start(config={"access": {"sign_in": "required", "session_idle_s": 60, "session_max_s": 60}})
    assert status(server, "/dicom-web/studies") == 401
    add_user(server, "root", "administrator")
    entered = sign_in(server, "root", PASSCODE)
    kept = {"Cookie": entered.headers["Set-Cookie"].split(";")[0]}
    assert status(server, "/dicom-web/studies", kept) == 204
    # Time goes by in the ledger.
    ledger = sqlite3.connect(server.data_dir / "ledger.sqlite")
    ledger.execute("UPDATE session SET seen_ms = seen_ms - 61000")
    ledger.commit()
    ledger.close()
    assert status(server, "/dicom-web/studies", kept) == 401


def test_behind_tls_the_cookie_is_for_tls(start):
    server = start(config={"http": {"public_url": "https://pacs.example.org/overread"}})
    add_user(server, "root", "administrator")
    closed(server)
    entered = sign_in(server, "root", PASSCODE, "/studies/1.2")
    assert entered.headers["Location"] == "https://pacs.example.org/overread/studies/1.2"
    cookie = entered.headers["Set-Cookie"]
    assert cookie.startswith("__Host-overread_session=") and "; Secure" in cookie and "Path=/" in cookie
    assert status(server, "/dicom-web/studies", {"Cookie": cookie.split(";")[0]}) == 204


def test_a230_what_is_done_is_in_the_trail(guarded):
    server, tokens, (seen, other) = guarded
    study = str(seen.StudyInstanceUID)
    new = made.instance(PatientID="GONE")
    assert store(server, new, headers=bearer(tokens["requester"])).status_code == 200
    assert status(server, "/dicom-web/studies?PatientID=NOBODY", bearer(tokens["requester"])) == 204
    for _ in range(3):
        assert status(server, f"/dicom-web/studies/{study}/metadata", bearer(tokens["requester"])) == 200
    assert status(server, f"/dicom-web/studies/{new.StudyInstanceUID}", bearer(tokens["administrator"]), "DELETE") == 204
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
        sent = made.instance()
        assert peer.store(made.CT, str(sent.SOPInstanceUID), EXPLICIT, made.encode(sent)) == 0

    def has(event, **wanted):
        rows = [row for row in trail(server) if row["event"] == event]
        return [row for row in rows if all(value in row[key] for key, value in wanted.items())]

    assert has("DICOM Instances Transferred", who="a.requester", studies=str(new.StudyInstanceUID), action="C", outcome="0", address="127.0.0.1")
    assert has("Query", who="a.requester", detail="PatientID=NOBODY", means="token")
    # Once for each way in that it was seen by.
    accessed = has("DICOM Instances Accessed", who="a.requester", studies=study, outcome="0")
    assert sorted(row["means"].split(" ")[0] for row in accessed) == ["session", "token"]
    assert has("DICOM Study Deleted", who="root", studies=str(new.StudyInstanceUID), action="D", outcome="0")
    assert has("User Authentication", type="Login", outcome="4")
    assert has("User Authentication", type="Login", outcome="0", who="a.requester", means="session")
    assert has("User Authentication", type="Logout", who="a.requester")
    assert has("Security Alert", type="User security Attributes Changed", object="account a.reader")
    assert has("Security Alert", type="Use of Restricted Function", who="a.sender", detail="find")
    assert has("Application Activity", type="Application Start")
    assert has("Audit Log Used", means="shell")
    wait.until(lambda: has("DICOM Instances Transferred", means="association", studies=str(sent.StudyInstanceUID), action="C"), "the association is told")
    # Outside the scope, tried.
    assert status(server, f"/dicom-web/studies/{other.StudyInstanceUID}/metadata", bearer(tokens["narrow"])) == 404
    assert has("DICOM Instances Accessed", who="a.reader", studies=str(other.StudyInstanceUID), outcome="4")


def test_the_trail_goes_out_as_audit_messages_and_disclosures(guarded):
    server, tokens, (seen, other) = guarded
    assert status(server, f"/dicom-web/studies/{seen.StudyInstanceUID}/metadata", bearer(tokens["administrator"])) == 200
    assert status(server, f"/dicom-web/studies/{other.StudyInstanceUID}/metadata", bearer(tokens["administrator"])) == 200
    done = shell(server, "audit export")
    assert done.returncode == 0, done.stderr
    messages = ET.fromstring(done.stdout).findall("AuditMessage")
    rows = trail(server)
    # Each export adds a row of its own.
    assert len(rows) == len(messages) + 1
    for message, row in zip(messages, rows):
        event = message.find("EventIdentification/EventID")
        assert (event.get("originalText"), event.get("codeSystemName")) == (row["event"], "DCM")
        assert message.find("EventIdentification").get("EventDateTime") == row["time"]
        assert message.find("ActiveParticipant").get("UserID") == row["who"]
        assert message.find("AuditSourceIdentification").get("AuditSourceID") == "OVERREAD"
        studies = [
            thing.get("ParticipantObjectID")
            for thing in message.findall("ParticipantObjectIdentification")
            if thing.find("ParticipantObjectIDTypeCode").get("csd-code") == "110180"
        ]
        assert studies == row["studies"].split()
    done = shell(server, "audit disclosures --patient-id SEEN")
    assert done.returncode == 0, done.stderr
    told = list(csv.DictReader(io.StringIO(done.stdout)))
    assert any(row["who"] == "root" for row in told)
    assert all(str(seen.StudyInstanceUID) in row["studies"] for row in told)
    assert not any(row["event"] == "Security Alert" for row in told)


def test_the_chain_verifies_and_tampering_is_found(start, tmp_path):
    server = start()
    add_user(server, "root", "administrator")
    closed(server)
    text = token(server, "root")[1]
    assert status(server, "/dicom-web/studies", bearer(text)) == 204
    done = shell(server, "audit verify")
    assert done.returncode == 0, done.stderr
    rows, point = re.fullmatch(r"(\d+) rows, unbroken; the end is (\S+)\n", done.stdout).groups()
    assert int(rows) >= 4
    assert shell(server, "user set root --email root@example.org").returncode == 0
    assert shell(server, f"audit verify --holds {point}").returncode == 0
    wrong = point[:-1] + ("0" if point[-1] != "0" else "1")
    assert shell(server, f"audit verify --holds {wrong}").returncode == 1
    server.stop()
    path = server.data_dir / "ledger.sqlite"
    sound = sqlite3.connect(path)
    for sql in (
        "UPDATE audit SET who = 'somebody else' WHERE id = 2",
        "UPDATE audit SET outcome = 4 WHERE id = 3",
        "DELETE FROM audit WHERE id = 2",
        "DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)",
        "UPDATE audit_head SET id = id - 1",
        "INSERT INTO audit_study VALUES (2, 0, '1.2.3')",
    ):
        altered = tmp_path / "altered"
        altered.mkdir()
        copy = sqlite3.connect(altered / "ledger.sqlite")
        sound.backup(copy)
        copy.execute(sql)
        copy.commit()
        copy.close()
        done = run("audit", "verify", "--data-dir", altered)
        assert done.returncode == 1 and "audit trail" in done.stderr, (sql, done.stdout, done.stderr)
        for left in altered.iterdir():
            left.unlink()
        altered.rmdir()
    sound.close()
    server.start()


def test_an_import_is_one_row(tmp_path):
    """A whole run, one that repeats it with something that is cut off, and one of nothing."""
    server = Server(tmp_path / "data")
    media, one, other = tmp_path / "media", made.instance(), made.instance()
    media.mkdir()
    for number, ds in enumerate((one, other)):
        (media / f"{number}.dcm").write_bytes(made.file(ds))
    assert server.cli("import", media).returncode == 0
    (media / "2.dcm").write_bytes(made.file(made.instance())[:-10])
    assert server.cli("import", media).returncode == 3
    rows = [row for row in trail(server) if row["event"] == "Import"]
    assert [(row["detail"], row["action"], row["outcome"], row["means"]) for row in rows] == [
        ("2 stored", "C", "0", "shell"),
        ("0 stored, 2 already there, 1 refused", "C", "4", "shell"),
    ]
    assert set(rows[0]["studies"].split()) == {str(one.StudyInstanceUID), str(other.StudyInstanceUID)}
    assert rows[1]["studies"] == ""


def test_who_takes_an_image_and_says_nothing_is_in_the_trail(start):
    server = start()
    ds = made.instance()
    assert store(server, ds).status_code == 200
    ae = AE(ae_title="GRABBER")
    ae.add_requested_context(STUDY_ROOT_GET, [EXPLICIT])
    ae.add_requested_context(made.CT, [EXPLICIT])
    taken = []

    def take(event):
        taken.append(event.request.DataSet.getvalue())
        event.assoc.abort()
        return 0x0000

    association = ae.associate(
        *server.dicom_address, ae_title="OVERREAD", ext_neg=[build_role(made.CT, scp_role=True)], evt_handlers=[(evt.EVT_C_STORE, take)]
    )
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", str(ds.StudyInstanceUID)
    for _ in association.send_c_get(asked, STUDY_ROOT_GET):
        pass
    assert taken and taken[0]
    told = lambda: [r for r in trail(server) if r["who"] == "GRABBER" and str(ds.StudyInstanceUID) in r["studies"]]  # noqa: E731
    wait.until(told, "the study is named")
    assert [(row["action"], row["outcome"]) for row in told()] == [("R", "4")]


def test_names_that_were_made_to_mean_us_get_nothing(start):
    """DNS rebinding: while nobody has to sign in, a page of any site could read us under a name of its own."""
    server = start()
    assert store(server, made.instance()).status_code == 200
    port = server.ports[0]
    for host in (f"evil.example:{port}", "evil.example", "EVIL.EXAMPLE."):
        for path in ("/", "/dicom-web/studies", "/api/v1/session"):
            answered = requests.get(server.url + path, headers={"Host": host}, timeout=10)
            assert answered.status_code == 421, (host, path)
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "pacs"):
        assert status(server, "/dicom-web/studies", {"Host": host}) == 200, host


def test_other_origins_sign_nobody_in_even_when_they_may_ask(start):
    """Somebody else's page must not have a reader work under an account of its own."""
    server = start(config={"http": {"allowed_origins": ["https://viewer.example.org", "https://evil.example"]}})
    add_user(server, "root", "administrator")
    closed(server)
    form = {"name": "root", "passcode": PASSCODE}
    office = Office(server, root=token(server, "root")[1])
    ds = made.instance()
    assert office.store(ds).status_code == 200
    _, link = office.give(ds.StudyInstanceUID)
    for origin in ("https://evil.example", "null"):
        headers = {"Origin": origin}
        entered = [
            requests.post(f"{server.url}/sign-in", data=form, headers=headers, allow_redirects=False, timeout=30),
            requests.post(f"{server.url}/api/v1/session", json=form, headers=headers, timeout=30),
            requests.post(link, headers=headers, allow_redirects=False, timeout=30),
        ]
        assert [(e.status_code, "Set-Cookie" in e.headers) for e in entered] == [(403, False)] * 3
    assert opened(link)[1].status_code == 303
    cookie = {"Cookie": sign_in(server, "root", PASSCODE).headers["Set-Cookie"].split(";")[0]}
    answer = requests.get(f"{server.web}/studies", headers=cookie | {"Origin": "https://evil.example"}, timeout=10)
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_addresses_that_anybody_may_claim_do_not_spread_the_guesses(start):
    """X-Forwarded-For counts from a trusted proxy only, and of it the last address."""
    for config, spread in (({}, "192.0.2.{}"), ({"http": {"trusted_proxies": ["127.0.0.1"]}}, "192.0.2.{}, 198.51.100.7")):
        server = start(config=config)
        add_user(server, "root", "administrator")
        closed(server)
        codes = []
        for number in range(30):
            data = {"name": f"nobody{number}", "passcode": "wrong"}
            headers = {"X-Forwarded-For": spread.format(number)}
            codes.append(requests.post(f"{server.url}/sign-in", data=data, headers=headers, timeout=30).status_code)
        assert codes[:20] == [401] * 20 and 429 in codes[20:22]
        addresses = {row["address"] for row in trail(server) if row["event"] == "User Authentication"}
        assert addresses == ({"198.51.100.7"} if config else {"127.0.0.1"})


def test_behind_a_proxy_of_rfc_7239_its_word_counts(start):
    """Forwarded from a trusted proxy: the last element; a caller's X-Forwarded-For, which such a proxy leaves as it came, does not."""
    server = start(config={"http": {"trusted_proxies": ["127.0.0.1"]}})
    add_user(server, "root", "administrator")
    closed(server)
    headers = {"X-Forwarded-For": "192.0.2.66", "Forwarded": 'for=192.0.2.1, for="[2001:db8::7]:4711";proto=http'}
    data = {"name": "root", "passcode": "wrong"}
    assert requests.post(f"{server.url}/sign-in", data=data, headers=headers, timeout=30).status_code == 401
    assert [row["address"] for row in trail(server) if row["event"] == "User Authentication"] == ["2001:db8::7"]


def raw(server, head, pieces=()):
    """What a caller hears who sends a head, and then pieces of a body."""
    with socket.create_connection(server.http_address, timeout=30) as peer:
        peer.sendall(head)
        for piece in pieces:
            peer.sendall(piece)
        heard = b""
        while b"\r\n\r\n" not in heard:
            more = peer.recv(4096)
            assert more, heard
            heard += more
        return int(heard.split(b" ")[1])


def test_doors_for_anybody_read_little_and_not_for_ever(start):
    server = start(config={"http": {"body_idle_timeout_s": 1}})
    add_user(server, "root", "administrator")
    closed(server)
    for path, kind in (("/sign-in", "application/x-www-form-urlencoded"), ("/l/" + "A" * 43, "application/x-www-form-urlencoded"), ("/api/v1/session", "application/json")):
        head = f"POST {path} HTTP/1.1\r\nHost: {server.url.split('/')[2]}\r\nContent-Type: {kind}\r\n"
        # Refused before it comes, by its length; and as soon as it is too long.
        assert raw(server, f"{head}Content-Length: 20000\r\n\r\n".encode()) == 413, path
        chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
        assert raw(server, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), [chunk] * 3) == 413, path
        # What stops coming is not waited for.
        began = time.monotonic()
        assert raw(server, f"{head}Content-Length: 100\r\n\r\n".encode(), [b"a"]) == 408, path
        assert time.monotonic() - began < 20
    # The largest that makes sense is read.
    data = {"name": "root", "passcode": "\x01" * 1024, "then": "/" + "%" * 2000}
    assert requests.post(f"{server.url}/sign-in", data=data, timeout=30).status_code == 401


def test_few_wait_for_the_hash_of_a_passcode(start):
    """A hash is dear on purpose: whoever makes many accounts at once is told to come again, and holds no thread."""
    server = start()
    add_user(server, "root", "administrator")
    closed(server)
    headers = bearer(token(server, "root")[1]) | {"Content-Type": "application/json"}
    names = [f"many.{place}" for place in range(80)]
    waiting = []
    for name in names:
        body = json.dumps({"name": name, "passcode": PASSCODE, "roles": ["viewer"]}).encode()
        connection = http.client.HTTPConnection(*server.http_address, timeout=60)
        connection.putrequest("POST", "/api/v1/users")
        for header in (headers | {"Content-Length": str(len(body))}).items():
            connection.putheader(*header)
        connection.endheaders()
        connection.send(body[:-1])
        waiting.append((connection, body[-1:]))
    # All of them are whole at once.
    for connection, rest in waiting:
        connection.send(rest)
    answers = []
    for connection, _ in waiting:
        answer = connection.getresponse()
        answers.append((answer.status, answer.headers["Retry-After"], answer.read()))
        connection.close()
    made_now = [name for name, (code, *_) in zip(names, answers, strict=True) if code == 201]
    refused = [answer for answer in answers if answer[0] != 201]
    assert len(made_now) >= 16 and refused
    assert all(code == 503 and int(wait_s) > 0 and b"too many passcodes" in text for code, wait_s, text in refused), refused
    listed = [row["name"] for row in json.loads(shell(server, "user list --json").stdout)]
    assert sorted(listed) == sorted([*made_now, "root"])
    # Nobody's place is lost.
    answer = requests.post(f"{server.url}/api/v1/users", json={"name": "later", "passcode": PASSCODE, "roles": ["viewer"]}, headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text


def test_who_is_not_let_in_is_named_when_they_said_who_they_are(start):
    server = start(config={"dicom": {"calling_ae_titles": ["KNOWN"]}})
    ae = AE(ae_title="INTRUDER")
    ae.add_requested_context(made.CT, [EXPLICIT])
    assert ae.associate(*server.dicom_address, ae_title="OVERREAD").is_rejected
    told = lambda: [row for row in trail(server) if row["type"] == "Node Authentication"]  # noqa: E731
    wait.until(told, "the refusal is told")
    assert [row["who"] for row in told()] == ["INTRUDER"]


def test_what_was_removed_is_found_by_its_patient(start):
    server = start()
    gone, kept = made.instance(PatientID="LEFT"), made.instance(PatientID="STAYS")
    assert store(server, gone, kept).status_code == 200
    add_user(server, "root", "administrator")
    closed(server)
    headers = bearer(token(server, "root")[1])
    path = f"/dicom-web/studies/{gone.StudyInstanceUID}"
    assert status(server, f"{path}/metadata", headers) == 200
    assert status(server, f"/dicom-web/studies/{kept.StudyInstanceUID}/metadata", headers) == 200
    assert status(server, path, headers, "DELETE") == 204
    assert [row["patient_id"] for row in trail(server) if row["event"] == "DICOM Study Deleted"] == ["LEFT"]
    done = shell(server, "audit disclosures --patient-id LEFT")
    assert done.returncode == 0, done.stderr
    told = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["event"], row["studies"]) for row in told] == [("DICOM Instances Accessed", str(gone.StudyInstanceUID))]


def test_in_the_browser_one_signs_in_and_out(start, tmp_path):
    server = start()
    ds = made.instance(PatientName="Seen^By")
    assert store(server, ds).status_code == 200
    add_user(server, "root", "administrator")
    closed(server)
    with Browser(tmp_path) as browser:
        page = browser.open()
        page.call("goto", f"{server.url}/studies/{ds.StudyInstanceUID}")
        page.see("form.sign-in")
        for passcode in ("wrong", PASSCODE):
            page.call("fill", "input[name=name]", "root")
            page.call("fill", "input[name=passcode]", passcode)
            page.click("form.sign-in button")
            page.see("[role=alert]" if passcode == "wrong" else "img")
        assert page.evaluate("location.pathname") == f"/studies/{ds.StudyInstanceUID}"
        assert page.evaluate("document.cookie") == ""
        page.call("goto", server.url)
        page.see("form.badge")
        page.click("form.badge button")
        page.see("form.sign-in")
        page.call("goto", server.url)
        page.see("form.sign-in")
        refused = [fault for fault in page.faults() if "401" not in str(fault)]
        assert not refused, refused
