"""Whom the server knows of the DICOM network, whether they answer, and how it is itself (issue 8): the pages of administrators
beside the configuration, pynetdicom and bare sockets as peers."""

import datetime
import socket
import sqlite3
import threading

import pytest
import requests
from pynetdicom import AE, evt

from harness import made, people, wait, web
from harness.browser import Browser
from harness.forms import Visitor, read
from harness.notices import Mailbox
from harness.people import PASSCODE, bearer
from harness.server import Server, free_port, run
from test_admin_people import looked_at
from test_notices import ADDRESSES, House

VERIFICATION = "1.2.840.10008.1.1"


class Peer:
    """A pynetdicom AE that answers C-ECHO, and counts."""

    def __init__(self, status=0x0000):
        self.asked = []

        def answer(event):
            self.asked.append(event.assoc.requestor.ae_title)
            return status

        ae = AE("THERE")
        ae.add_supported_context(VERIFICATION)
        self.server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, answer)])
        self.port = self.server.socket.getsockname()[1]


@pytest.fixture
def peers():
    """One that answers, one that answers with a failure, one that says nothing; a port where nobody is."""
    good, bad = Peer(), Peer(0x0122)
    silent = socket.create_server(("127.0.0.1", 0))
    silent.settimeout(30)
    yield good, bad, silent, free_port()
    for peer in (good, bad):
        peer.server.shutdown()
    silent.close()


def configured(good, bad, silent, nobody, **more):
    dicom = {
        "ae_title": "ARCHIVE",
        "idle_timeout_s": 3,
        "modalities": ["CT 1 = store from 10.0.0.5 10.1.0.0/16", "WS = find move get", "* ="],
        "calling_ae_titles": ["FRIEND", "WS"],
        "peers": [f"good = THERE@127.0.0.1:{good.port}", f"bad = THERE@127.0.0.1:{bad.port}", f"<i>silent</i> = X@127.0.0.1:{silent.getsockname()[1]}",
                  f"NOBODY@127.0.0.1:{nobody}"],
    }  # fmt: skip
    rules = ["-> web", "where Modality = XX -> good", f"where Modality = XX -> ONWARD@127.0.0.1:{good.port}"]
    forward = {"destinations": [f"web = http://127.0.0.1:{nobody}/dicom-web"], "rules": rules}
    return {"dicom": dicom, "forward": forward} | more


def ask(visitor, name):
    """What the page says after the button beside a name was pressed."""
    answer = visitor.session.post(f"{visitor.server.url}/admin/network", data={"peer": name}, timeout=60)
    assert answer.status_code == 200, (name, answer.status_code, answer.text)
    return read(answer.text.split('role="status">')[1].split("</p>")[0])[1]


def test_whom_we_know_is_shown_and_asked(start, peers):
    good, bad, silent, nobody = peers
    server = start(config=configured(*peers))
    anybody = Visitor(server)
    page = anybody.get("/admin/network")
    assert page.status_code == 200 and "<i>silent" not in page.text
    text = read(page.text)[1]
    for row in (
        "CT 1 store 10.0.0.5, 10.1.0.0/16 by any title of ours", "WS find, move, get anywhere", "anybody else nothing but C-ECHO anywhere",
        "FRIEND store, find, move, get, commit anywhere", f"good THERE@127.0.0.1:{good.port}", f"NOBODY NOBODY@127.0.0.1:{nobody}",
        f"web http://127.0.0.1:{nobody}/dicom-web/studies by STOW-RS", "Our AE title ARCHIVE", f"127.0.0.1:{server.ports[1]}",
    ):  # fmt: skip
        assert row in text, (row, text)
    said = ask(anybody, "good")
    assert said.startswith(f"THERE@127.0.0.1:{good.port} answers in ") and "PYNETDICOM" in said
    assert good.asked == ["ARCHIVE"] and "answers in" in ask(anybody, f"ONWARD@127.0.0.1:{good.port}") and good.asked == ["ARCHIVE"] * 2
    assert ask(anybody, "bad") == f"THERE@127.0.0.1:{bad.port} answers with status 0122H"
    assert "does not answer" in ask(anybody, "NOBODY")
    # By the button of the page.
    assert "answers in" in anybody.send("/admin/network", "Ask good").text
    # Whoever types another address is not obeyed.
    good.asked.clear()
    for name in (f"THERE@127.0.0.1:{good.port}", "web", "THERE", "", "x" * 2000):
        answer = anybody.session.post(f"{server.url}/admin/network", data={"peer": name}, timeout=60)
        assert answer.status_code == 404, name
    assert anybody.session.post(f"{server.url}/admin/network", data={"peer": "x" * 10_000_000}, timeout=60).status_code == 413
    assert good.asked == []


def test_who_says_nothing_is_not_waited_for_long(start, peers):
    server = start(config=configured(*peers))
    said = []
    waiting = threading.Thread(target=lambda: said.append(ask(Visitor(server), "<i>silent</i>")))
    begun = datetime.datetime.now()
    waiting.start()
    # One at a time is asked: while this one is, nobody else is.
    called, _ = peers[2].accept()
    assert requests.post(f"{server.url}/admin/network", data={"peer": "good"}, timeout=60).status_code == 503
    waiting.join(60)
    called.close()
    assert "does not answer" in said[0] and peers[0].asked == []
    assert (datetime.datetime.now() - begun).total_seconds() < 20
    assert "answers in" in ask(Visitor(server), "good")


def test_nobody_else_sees_or_asks(start, peers):
    good = peers[0]
    server = start(config=configured(*peers))
    people.add_user(server, "root", "administrator")
    people.closed(server)
    for role in ("sender", "requester", "reader", "viewer"):
        people.add_user(server, f"n.{role}", role)
        visitor = Visitor(server, f"n.{role}")
        for answer in (visitor.get("/admin/network"), visitor.session.post(f"{server.url}/admin/network", data={"peer": "good"}, timeout=30)):
            assert answer.status_code == 403 and "THERE" not in answer.text, role
    root = Visitor(server, "root")
    for headers in ({"Origin": "http://elsewhere.example"}, {"Origin": "null"}):
        assert root.session.post(f"{server.url}/admin/network", data={"peer": "good"}, headers=headers, timeout=30).status_code == 403
    narrow = bearer(people.token(server, "root", "--study", "1.2.3")[1])
    assert requests.get(f"{server.url}/admin/network", headers=narrow, timeout=30).status_code == 403
    assert requests.post(f"{server.url}/admin/network", data={"peer": "good"}, timeout=30).status_code == 401
    assert good.asked == []
    assert "answers in" in ask(root, "good")


def test_without_a_table_everybody_may(start):
    text = read(Visitor(start()).get("/admin/network").text)[1]
    assert "anybody else store, find, move, get, commit anywhere" in text and "Nobody ( dicom.peers )" in text


def health(visitor):
    """{what: (well or look, how)}, as the page has it."""
    rows = visitor.get("/admin").text.split("<h2>Health</h2>")[1].split("</table>")[0].split("<tr>")[1:]
    told = [read(row.replace("</th>", "|").replace("</td>", "|"))[1].split("|") for row in rows]
    return {what.strip(): (state.strip(), how.strip()) for what, state, how, *_ in told}


def api_health(visitor):
    """The same, as the API has it, and the rest of what it tells."""
    answer = visitor.api("GET", "/health")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return {one["what"]: (one["state"], " ".join(said["sentence"] for said in one["said"])) for one in told["findings"]}, told


def agrees(visitor):
    """Whether the API tells what the page tells, but for the moment of asking."""
    page, (api, _) = health(visitor), api_health(visitor)
    plain = {what.lower(): (state, how.replace(" :", ":")) for what, (state, how) in page.items() if what != "Clock"}
    return plain == {what: told for what, told in api.items() if what != "clock"} and len(page) == len(api)


def test_a_server_that_is_well_says_so(start):
    server = start()
    people.add_user(server, "root", "administrator")
    people.closed(server)
    told = health(Visitor(server, "root"))
    assert {state for state, _ in told.values()} == {"well"}, told
    assert list(told) == ["Version", "Sign-in", "Disk", "Index", "Ledger", "Clock"]
    version = run("--version").stdout.split()[-1]
    assert told["Version"][1] == f"Overread {version}"
    api, rest = api_health(Visitor(server, "root"))
    assert list(api) == ["version", "sign-in", "disk", "index", "ledger", "clock"] and rest["state"] == "well"
    assert rest["stored"] == {"patients": 0, "studies": 0, "series": 0, "instances": 0, "bytes": 0, "held_back": 0}
    assert rest["forwarding"] == {"destinations": [], "waiting": []}
    assert abs(datetime.datetime.fromisoformat(rest["at"]).timestamp() - datetime.datetime.now().timestamp()) < 60


def test_health_is_for_administrators(start):
    server = start()
    for name, role in (("root", "administrator"), ("vera", "viewer"), ("rita", "requester")):
        people.add_user(server, name, role)
    people.closed(server)
    assert Visitor(server, "vera").api("GET", "/health").status_code == 403
    assert Visitor(server, "rita").api("GET", "/health").status_code == 403
    assert requests.get(f"{server.url}/api/v1/health", timeout=30).status_code == 401
    narrow = people.token(server, "root", "--study", "1.2.3")[1]
    assert requests.get(f"{server.url}/api/v1/health", headers=bearer(narrow), timeout=30).status_code == 403
    whole = people.token(server, "root")[1]
    assert requests.get(f"{server.url}/api/v1/health", headers=bearer(whole), timeout=30).json()["state"] == "well"


def test_what_is_not_well_is_told_in_words(start, tmp_path):
    down = free_port()
    forward = {"destinations": [f"away = http://127.0.0.1:{down}/dicom-web"], "rules": ["-> away"], "stable_s": 1, "retry_s": 3600}
    server = start(config={"forward": forward})
    first = made.instance()
    assert web.stow(server, [made.file(first)]).status_code == 200
    second = made.instance(study=first.StudyInstanceUID, series=first.SeriesInstanceUID, sop=first.SOPInstanceUID, StudyDescription="other")
    web.stow(server, [made.file(second)])
    anybody = Visitor(server)
    wait.until(lambda: health(anybody)["Forwarding"][0] == "look", "the pause is shown", 60)
    told = health(anybody)
    assert told["Sign-in"] == ("look", "Nobody has to sign in: whoever reaches this server sees and changes everything.")
    assert told["Index"][0] == "look" and "One instance is held back" in told["Index"][1]
    assert told["Forwarding"][1].startswith("away :") and "It waits:" in told["Forwarding"][1]
    assert told["Disk"][0] == "well" and "are free" in told["Disk"][1] and told["Clock"][0] == "well"
    wait.until(lambda: agrees(anybody), "the API tells what the page tells", 60)
    api, rest = api_health(anybody)
    assert rest["state"] == "look" and {what for what, (state, _) in api.items() if state == "look"} == {"sign-in", "index", "forwarding"}
    codes = {one["what"]: [said["code"] for said in one["said"]] for one in rest["findings"]}
    assert codes["index"] == ["answers", "held-back"] and codes["forwarding"] == ["waits"] and codes["disk"] == ["taken-in", "free"]
    assert (rest["stored"]["instances"], rest["stored"]["held_back"]) == (1, 1)
    [away] = rest["forwarding"]["destinations"]
    assert away["name"] == "away" and (away["due"], away["sent"]) == (1, 0) and away["pause"]["reason"]
    [waiting] = rest["forwarding"]["waiting"]
    assert (waiting["study_instance_uid"], waiting["destination"], waiting["waiting"]) == (first.StudyInstanceUID, "away", 1)
    # A row of tomorrow: the clock has gone back since.
    later_ms = int((datetime.datetime.now().timestamp() + 86_400) * 1000)
    ledger = sqlite3.connect(server.data_dir / "ledger.sqlite", timeout=30)
    with ledger:
        ledger.execute("UPDATE audit SET at_ms = ? WHERE id = (SELECT max(id) FROM audit)", (later_ms,))
    assert health(anybody)["Clock"][0] == "look" and "set back" in health(anybody)["Clock"][1]
    with ledger:
        ledger.execute("UPDATE audit SET event = 'nonsense' WHERE id = (SELECT max(id) FROM audit)")
    ledger.close()
    state, how = health(anybody)["Ledger"]
    assert state == "look" and "of the audit trail was altered" in how


def test_a_full_disk_is_told(tmp_path):
    server = Server(tmp_path / "full", config={"ingest": {"free_bytes_min": 2**49}}).start(wait=False)
    try:

        def is_alive():
            try:
                return requests.get(f"{server.url}/healthz", timeout=2).status_code == 200
            except requests.ConnectionError:
                return False

        wait.until(is_alive, "it lives", 60)
        state, how = health(Visitor(server))["Disk"]
        assert state == "look" and how.startswith("Nothing is taken in: ") and "are free" in how
    finally:
        assert server.stop() == 0


def test_notices_that_fail_are_told(start, tmp_path):
    with Mailbox(lambda *asked: "550 no such user" if asked == ("RCPT", ADDRESSES["anna"]) else None) as mail:
        house = House(start, tmp_path, email_server=mail.server, email_tls="off", email_from="overread@example.org")
        root = Visitor(house.server)
        root.session.headers.update(bearer(house.tokens["root"]))
        house.open("anna")
        wait.until(lambda: house.metrics("email").get("failed") == 1, "it has failed")
        state, how = health(root)["Notices"]
        assert state == "look" and "email : 1 failed. The last: the mail server answers 550." == how


def test_in_the_browser_an_administrator_sees_how_it_is(start, peers, tmp_path):
    server = start(config=configured(*peers))
    people.add_user(server, "root", "administrator")
    people.closed(server)
    with Browser(tmp_path) as browser:
        tab = browser.open()
        tab.call("goto", f"{server.url}/sign-in?then=/admin")
        tab.call("fill", "input[name=name]", "root")
        tab.call("fill", "input[name=passcode]", PASSCODE)
        tab.click("main button")
        tab.see("h2:has-text('Health')")
        looked_at(tab, "admin-health")
        tab.click("nav a:has-text('DICOM network')")
        tab.see("h1:has-text('DICOM network')")
        looked_at(tab, "network")
        tab.click("button[aria-label='Ask good']")
        tab.see("[role=status]:has-text('answers in')")
        looked_at(tab, "network-asked")
        assert not tab.faults()
