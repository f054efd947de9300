"""“Send to” on the pages: a study goes from its page to a peer of `dicom.peers`, and `/sending` tells how far it is."""

import re
import threading

import pytest
import requests

from harness import people, wait
from harness.browser import Browser
from harness.receiver import Raw, Scripted, Storescp
from harness.sending import a_study
from harness.server import free_port


def page(server, path):
    response = requests.get(f"{server.url}{path}", timeout=30)
    assert response.status_code == 200, response.text
    return response.text


def post(server, path, form=None, **headers):
    return requests.post(f"{server.url}{path}", data=form, headers=headers, allow_redirects=False, timeout=30)


def rows(server):
    """The list: UID, title, peer and words of each row, the newest first; tags left out."""
    cells = re.findall(r'<tr><td><a href="studies/(.*?)">(.*?)</a></td><td>(.*?)</td><td>(.*?)</td>', page(server, "/sending"))
    return [tuple(" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in row) for row in cells]


def ended(server):
    """The words of the newest, once it has ended."""
    wait.until(lambda: not rows(server)[0][3].startswith(("on its way", "stopping")), "it has ended", 60)
    return rows(server)[0][3]


@pytest.fixture
def sender(start):
    """A server that knows a peer by name, which each test makes."""
    return lambda *peers, **dicom: start(config={"dicom": {"peers": list(peers), "send_retries": 0, **dicom}})


def test_in_the_browser_it_is_a_choice_and_a_click(sender, tmp_path):
    with Storescp(tmp_path / "scp", "+B") as scp, Browser(tmp_path) as browser:
        server = sender(f"The <b>archive</b> = {scp.peer}", "OTHER@127.0.0.1:104")
        study, objects = a_study(server, 5)
        tab = browser.open()
        tab.call("goto", f"{server.url}/studies/{study}")
        tab.see("form.send")
        tab.screenshot("send-to-form")
        assert tab.evaluate("[...document.querySelectorAll('form.send option')].map(o => o.textContent)") == ["The <b>archive</b>", "OTHER"]
        tab.click("form.send button")
        tab.see("h1:has-text('Sending')")
        tab.see("td:has-text('sent: 5 of 5')")
        tab.screenshot("send-to-list")
        assert not tab.faults()
        assert set(scp.files()) == set(objects)
        assert rows(server) == [(study, "Maker, Test 2026-01-02", "The &lt;b&gt;archive&lt;/b&gt;", "sent: 5 of 5")]


def test_what_was_not_taken_says_why(sender):
    answers = {2: 0xC001, 3: 0xB000}
    with Scripted(lambda number, _: answers.get(number, 0)) as scp:
        server = sender(f"there = {scp.peer}", f"nowhere = X@127.0.0.1:{free_port()}", send_associations=1)
        study, _ = a_study(server, 4)
        assert post(server, f"/studies/{study}/send", {"peer": "there"}).headers["Location"] == "../../sending"
        assert re.match(r"sent in part: 3 of 4, 1 with a warning, 1 failed C001H", ended(server))
        assert post(server, f"/studies/{study}/send", {"peer": "nowhere"}).status_code == 303
        assert re.match(r"not sent: 0 of 4, 4 failed .*cannot connect", ended(server))
        assert [peer for _, _, peer, _ in rows(server)] == ["nowhere", "there"]


def test_who_may_not_and_what_is_not_there(sender, tmp_path):
    with Storescp(tmp_path / "scp") as scp:
        server = sender(f"there = {scp.peer}")
        study, _ = a_study(server, 1)
        form = {"peer": "there"}
        for path, form, headers, status in [
            (f"/studies/{study}/send", form, {"Origin": "https://elsewhere.example"}, 403),
            (f"/studies/{study}/send", form, {"Origin": "null"}, 403),
            (f"/studies/{study}/send", {"peer": "nobody"}, {}, 400),
            (f"/studies/{study}/send", {"peer": scp.peer}, {}, 400),
            (f"/studies/{study}/send", {}, {}, 400),
            (f"/studies/{study}/send", b"\xff\xfe", {}, 400),
            ("/studies/1.2.3.4/send", form, {}, 404),
            ("/studies/rubbish/send", form, {}, 404),
            ("/sending/1/stop", None, {}, 404),
        ]:
            assert post(server, path, form, **headers).status_code == status, path
        assert requests.get(f"{server.url}/studies/{study}/send", timeout=30).status_code == 405
        assert rows(server) == [] and "Nothing has been sent" in page(server, "/sending")
        assert scp.files() == {}


def test_each_sending_is_in_the_trail(sender):
    server = sender(*(f"{name} = {name}@127.0.0.1:{free_port()}" for name in ("NEAR", "FAR")))
    study, _ = a_study(server, 1)
    people.add_user(server, "root", "administrator")
    people.closed(server)
    headers = people.bearer(people.token(server, "root")[1])
    # To look at it again is no news; to send it again is, and so is another peer.
    for peer in ("NEAR", "NEAR", "FAR"):
        assert post(server, f"/studies/{study}/send", {"peer": peer}, **headers).status_code == 303
    told = [row for row in people.trail(server) if row["event"] == "DICOM Instances Transferred" and row["who"] == "root"]
    assert [(row["object"], row["studies"]) for row in told] == [("peer NEAR", study), ("peer NEAR", study), ("peer FAR", study)]


def test_without_peers_there_is_no_form(server):
    study, _ = a_study(server, 1)
    assert "<form" not in page(server, f"/studies/{study}")


def test_it_can_be_stopped_and_waits_for_nobody(sender):
    """Four studies wait for a peer that says nothing; a fifth is told to come later, and whoever stops one is heard."""
    may_end = threading.Event()

    def silent(raw, connection):
        raw.accept(connection)
        may_end.wait(60)

    peers = [Raw(silent) for _ in range(4)]
    try:
        server = sender(*(f"P{n} = {raw.peer}" for n, raw in enumerate(peers)))
        study, _ = a_study(server, 1)
        for number in range(4):
            assert post(server, f"/studies/{study}/send", {"peer": f"P{number}"}).status_code == 303
        assert len(rows(server)) == 4 and "Refresh" in requests.get(f"{server.url}/sending", timeout=30).headers
        full = post(server, f"/studies/{study}/send", {"peer": "P0"})
        assert (full.status_code, "Retry-After" in full.headers) == (503, True)
        assert post(server, "/sending/4/stop", Origin="https://elsewhere.example").status_code == 403
        assert post(server, "/sending/4/stop").status_code == 303
        assert ended(server).startswith("not sent: 0 of 1")
        assert post(server, f"/studies/{study}/send", {"peer": "P3"}).status_code == 303
        # A stop of the server does not wait for them.
        server.stop()
    finally:
        may_end.set()
        for raw in peers:
            raw.__exit__()
