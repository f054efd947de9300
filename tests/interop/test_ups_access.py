"""Workitems and their events among people with accounts (issue 7, parts 3, 4 and 9): who may do what, what stays hidden from
whom, and that a channel ends with the right to it."""

import csv
import io
import json
import sqlite3

import pytest
import requests
import websocket
from pydicom.dataset import Dataset

from harness import granting, made, people, ups, web

POLICY = 1008


@pytest.fixture(scope="module")
def house(start_module):
    """(server, headers by role, the study that the narrow reader was given)."""
    server = start_module()
    people.add_user(server, "root", "administrator")
    people.closed(server)
    headers, study = {"administrator": people.bearer(people.token(server, "root")[1])}, made.uid()
    for role in ("requester", "reader", "viewer", "sender"):
        people.add_user(server, f"a.{role}", role)
        headers[role] = people.bearer(people.token(server, f"a.{role}")[1])
    headers["narrow"] = people.bearer(people.token(server, "a.reader", "--study", study)[1])
    return server, headers, study


def of_study(study, **attributes):
    return ups.workitem(StudyInstanceUID=None, ReferencedRequestSequence=[ups.request_item(study, "A")], **attributes)


def create(house, study):
    server, headers, _ = house
    uid = made.uid()
    response = ups.send("POST", server, "/workitems", of_study(study), {"workitem": uid}, **headers["requester"])
    assert response.status_code == 201, response.text
    return uid


def asked(house, role, method, path, ds=None, **params):
    server, headers, _ = house
    return ups.send(method, server, path, ds, params, **headers[role])


def claim(house, role, uid, transaction):
    ds = Dataset()
    ds.ProcedureStepState, ds.TransactionUID = "IN PROGRESS", transaction
    return asked(house, role, "PUT", f"/workitems/{uid}/state", ds)


def channel(house, role, ae, **options):
    server, headers, _ = house
    header = [f"{name}: {value}" for name, value in headers[role].items()]
    return ups.Channel(server.url.replace("http", "ws") + f"/ws/subscribers/{ae}", header=header, **options)


def test_what_each_role_may_do_with_workitems(house):
    """Search, create, update, claim, ask to cancel, subscribe globally."""
    _, _, study = house
    expected = {
        "administrator": (200, 201, 200, 200, 202, 201),
        "requester": (200, 201, 403, 403, 202, 201),
        # The events of somebody else's AE title are not for who may only look.
        "viewer": (200, 403, 403, 403, 403, 403),
        "sender": (403, 403, 403, 403, 403, 403),
        # Nothing was given to them.
        "reader": (204, 403, 404, 404, 404, 403),
    }
    create(house, study)
    for role, wanted in expected.items():
        ours, theirs, other = (create(house, study) for _ in range(3))
        update = Dataset()
        update.WorklistLabel = "MOVED"
        answers = [
            asked(house, role, "GET", "/workitems", limit=1),
            asked(house, role, "POST", "/workitems", of_study(study), workitem=made.uid()),
            asked(house, role, "POST", f"/workitems/{ours}", update),
            claim(house, role, theirs, made.uid()),
            asked(house, role, "POST", f"/workitems/{other}/cancelrequest"),
            asked(house, role, "POST", f"/workitems/{ups.GLOBAL}/subscribers/{role.upper()}"),
        ]
        assert tuple(answer.status_code for answer in answers) == wanted, role
        if wanted[5] == 201:
            assert asked(house, role, "DELETE", f"/workitems/{ups.GLOBAL}/subscribers/{role.upper()}").status_code == 200


def test_who_may_only_look_watches_under_their_own_title(house):
    _, _, study = house
    uid = create(house, study)
    for target in (uid, ups.GLOBAL):
        assert asked(house, "viewer", "POST", f"/workitems/{target}/subscribers/A.VIEWER").status_code == 201
        assert asked(house, "viewer", "POST", f"/workitems/{target}/subscribers/B.VIEWER").status_code == 403
        assert asked(house, "requester", "POST", f"/workitems/{target}/subscribers/B.VIEWER").status_code == 201
        assert asked(house, "viewer", "DELETE", f"/workitems/{target}/subscribers/B.VIEWER").status_code == 403
    assert asked(house, "viewer", "POST", f"/workitems/{ups.GLOBAL}/subscribers/B.VIEWER/suspend").status_code == 403
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        channel(house, "viewer", "B.VIEWER")
    assert refused.value.status_code == 403
    with channel(house, "viewer", "A.VIEWER") as events:
        assert events.event().uid == uid
    for role, ae in (("viewer", "A.VIEWER"), ("requester", "B.VIEWER")):
        assert asked(house, role, "DELETE", f"/workitems/{ups.GLOBAL}/subscribers/{ae}").status_code == 200


def test_a_reader_has_not_what_somebody_else_was_asked(house):
    server, headers, study = house
    mine, theirs, pool = made.uid(), made.uid(), create(house, study)
    for uid, name in ((mine, "a.reader"), (theirs, "b.reader")):
        ds = of_study(study, ScheduledHumanPerformersSequence=[ups.performer(name)])
        assert asked(house, "requester", "POST", "/workitems", ds, workitem=uid).status_code == 201
    listed = asked(house, "narrow", "GET", "/workitems", includefield="all", limit=1000).text
    assert mine in listed and pool in listed and theirs not in listed and "b.reader" not in listed
    update = Dataset()
    update.WorklistLabel = "TAKEN"
    for uid in (theirs, made.uid()):
        for answer in (
            asked(house, "narrow", "GET", f"/workitems/{uid}"),
            asked(house, "narrow", "POST", f"/workitems/{uid}", update),
            claim(house, "narrow", uid, made.uid()),
            asked(house, "narrow", "POST", f"/workitems/{uid}/cancelrequest"),
            asked(house, "narrow", "POST", f"/workitems/{uid}/subscribers/A.READER"),
        ):
            assert (answer.status_code, theirs in answer.text) == (404, False), answer.text
    # Whoever runs the archive subscribes the reader's AE title to both: one of them is told.
    for uid in (theirs, mine):
        assert asked(house, "administrator", "POST", f"/workitems/{uid}/subscribers/A.READER").status_code == 201
    with channel(house, "narrow", "A.READER") as events:
        assert events.event().uid == mine
        for uid in (theirs, mine):
            assert claim(house, "administrator" if uid == theirs else "narrow", uid, made.uid()).status_code == 200
        event = events.event()
        assert (event.uid, event.state) == (mine, "IN PROGRESS")
    for uid in (theirs, mine):
        assert asked(house, "administrator", "DELETE", f"/workitems/{uid}/subscribers/A.READER").status_code == 200


def test_a_link_has_the_task_of_its_reader_only(house):
    """The holder of a link is asked as `link N`."""
    server, headers, _ = house
    ds = granting.image(made.uid())
    study, office = ds.StudyInstanceUID, granting.Office(server, headers["administrator"])
    assert office.store(ds).status_code == 200
    number = office.open_case(study)
    assert office.api("POST", f"/cases/{number}/complete").status_code == 200
    given = office.ask(to="reader", case=number)
    assert given.status_code == 201, given.text
    session, answer = granting.opened(given.json()["link"])
    assert answer.status_code == 303
    listed = {"headers": {"Accept": web.JSON}, "timeout": 30}
    before = [web.value(row, "00080018") for row in session.get(f"{server.web}/workitems", **listed).json()]
    items = {}
    for name in (f"link {given.json()['id']}", "link 0", "a.reader"):
        items[name] = made.uid()
        ds = of_study(study, ScheduledHumanPerformersSequence=[ups.performer(name)])
        assert asked(house, "requester", "POST", "/workitems", ds, workitem=items[name]).status_code == 201
    mine, *others = items.values()
    found = session.get(f"{server.web}/workitems", **listed).json()
    assert sorted(web.value(row, "00080018") for row in found) == sorted([*before, mine])
    _, looking = office.session(study)
    assert looking.get(f"{server.web}/studies/{study}/instances", **listed).status_code == 200
    assert looking.get(f"{server.web}/workitems", **listed).status_code == 403
    for uid in (mine, *others):
        ds = Dataset()
        ds.ProcedureStepState, ds.TransactionUID = "IN PROGRESS", made.uid()
        sent = {"Content-Type": web.JSON, "Accept": web.JSON}
        good = uid == mine
        assert session.get(f"{server.web}/workitems/{uid}", headers={"Accept": web.JSON}, timeout=30).status_code == (200 if good else 404)
        claimed = session.put(f"{server.web}/workitems/{uid}/state", data=ds.to_json(), headers=sent, timeout=30)
        assert claimed.status_code == (200 if good else 404), claimed.text


@pytest.mark.parametrize("method, path", [("POST", "/workitems"), ("PUT", "/workitems/{}/state"), ("DELETE", "/studies/{}")])
def test_who_is_refused_is_not_read(house, method, path):
    """The body of a request that is not allowed is left, so the connection ends with the answer."""
    refused = asked(house, "viewer", method, path.format(made.uid()), ups.workitem())
    assert (refused.status_code, refused.headers.get("Connection")) == (403, "close")


def test_a_reader_has_the_workitems_of_what_was_given_and_no_others(house):
    _, _, study = house
    given, hidden = create(house, study), create(house, made.uid())
    listed = asked(house, "narrow", "GET", "/workitems", limit=1000).text
    assert given in listed and hidden not in listed
    for uid, good in ((given, True), (hidden, False), (made.uid(), False)):
        assert asked(house, "narrow", "GET", f"/workitems/{uid}").status_code == (200 if good else 404)
        assert claim(house, "narrow", uid, made.uid()).status_code == (200 if good else 404)
        refused = asked(house, "narrow", "POST", f"/workitems/{uid}/cancelrequest/SOMEBODY")
        assert refused.status_code in (403, 404)
    # A claim by somebody else is refused as such, and a study that is not theirs cannot be handed over.
    assert claim(house, "administrator", given, made.uid()).status_code == 400


def test_a_reader_declines(house):
    _, _, study = house
    uid, hidden = create(house, study), create(house, made.uid())
    assert asked(house, "narrow", "POST", f"/workitems/{hidden}/cancelrequest").status_code == 404
    assert asked(house, "narrow", "POST", f"/workitems/{uid}/cancelrequest").status_code == 202
    kept = Dataset.from_json(asked(house, "requester", "GET", f"/workitems/{uid}").text)
    assert kept.ProcedureStepState == "CANCELED"


def test_who_sees_some_studies_subscribes_for_themselves_only(house):
    _, _, study = house
    uid, hidden = create(house, study), create(house, made.uid())
    path = f"/workitems/{uid}/subscribers"
    assert asked(house, "narrow", "POST", f"{path}/B.READER").status_code == 403
    assert asked(house, "narrow", "POST", f"/workitems/{ups.GLOBAL}/subscribers/A.READER").status_code == 403
    assert asked(house, "narrow", "POST", f"/workitems/{hidden}/subscribers/A.READER").status_code == 404
    assert asked(house, "narrow", "POST", f"{path}/A.READER").status_code == 201
    for role, ae in (("narrow", "B.READER"), ("reader", "A.READER"), ("sender", "A.SENDER")):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            channel(house, role, ae)
        assert refused.value.status_code == 403, role
    with channel(house, "narrow", "A.READER") as events:
        assert (events.event().uid, claim(house, "narrow", uid, made.uid()).status_code) == (uid, 200)
        assert events.event().state == "IN PROGRESS"
    assert asked(house, "narrow", "DELETE", f"{path}/A.READER").status_code == 200


def test_a_channel_tells_nothing_of_what_its_reader_may_not_see(house):
    """Whoever runs the archive subscribes the reader's AE title to everything."""
    _, _, study = house
    assert asked(house, "administrator", "POST", f"/workitems/{ups.GLOBAL}/subscribers/A.READER").status_code == 201
    with channel(house, "narrow", "A.READER") as events:
        hidden, given = create(house, made.uid()), create(house, study)
        event = events.event()
        assert event.uid == given and hidden not in json.dumps(event.raw)
    assert asked(house, "administrator", "DELETE", f"/workitems/{ups.GLOBAL}/subscribers/A.READER").status_code == 200


def test_a_workitem_that_cannot_be_read_holds_up_no_event_of_others(house):
    """Somebody has altered a row: whoever may see some studies only is told of the others, and goes on to be."""
    server, _, study = house
    path = f"/workitems/{ups.GLOBAL}/subscribers/A.READER"
    assert asked(house, "administrator", "POST", path).status_code == 201
    first, broken, last = (create(house, study) for _ in range(3))
    ledger = sqlite3.connect(server.data_dir / "ledger.sqlite", timeout=30)
    with ledger:
        ledger.execute("UPDATE workitem SET state = 'NONE' WHERE uid = ?", (broken,))
    with channel(house, "narrow", "A.READER") as events:
        assert [event.uid for event in events.events(2)] == [first, last]
        later = create(house, study)
        assert events.event().uid == later
    # Nor does it hold up who looks for them, or wants to be told of all.
    found = asked(house, "administrator", "GET", "/workitems", limit=1000).json()
    told = server.log()
    assert "passed over" in told and "Maker" not in told and "MADE-1" not in told
    assert {first, last, later} <= {row["00080018"]["Value"][0] for row in found}
    assert asked(house, "administrator", "GET", f"/workitems/{broken}").status_code == 500
    assert asked(house, "administrator", "POST", path, deletionlock="true").status_code == 201
    with ledger:
        ledger.execute("UPDATE workitem SET state = 'SCHEDULED' WHERE uid = ?", (broken,))
    ledger.close()
    assert asked(house, "administrator", "DELETE", path).status_code == 200


def test_a_channel_ends_with_the_token(house):
    server, headers, study = house
    number, text = people.token(server, "a.reader", "--study", study)
    headers["passing"] = people.bearer(text)
    uid = create(house, study)
    assert asked(house, "passing", "POST", f"/workitems/{uid}/subscribers/A.READER").status_code == 201
    with channel(house, "passing", "A.READER") as events:
        assert events.event().state == "SCHEDULED"
        assert people.shell(server, f"token revoke {number}").returncode == 0
        # What was asked less than a second ago is not asked again: told of another one then.
        for _ in range(100):
            other = create(house, study)
            path = f"/workitems/{other}/subscribers/A.READER"
            assert asked(house, "administrator", "POST", path).status_code == 201
            frame = events.socket.recv_frame()
            if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
                break
        assert int.from_bytes(frame.data[:2], "big") == POLICY
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        channel(house, "passing", "A.READER")
    assert refused.value.status_code == 401


def test_a_session_opens_a_channel_from_our_own_pages_only(house):
    server, _, study = house
    session = requests.Session()
    form = {"name": "a.requester", "passcode": people.PASSCODE}
    assert session.post(f"{server.url}/sign-in", data=form, allow_redirects=False, timeout=30).status_code == 303
    cookie = "; ".join(f"{c.name}={c.value}" for c in session.cookies)
    url = server.url.replace("http", "ws") + "/ws/subscribers/A.REQUESTER"
    for options in ({"origin": "https://evil.example"}, {"suppress_origin": True}):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            ups.Channel(url, cookie=cookie, **options)
        assert refused.value.status_code == 403, options
    create(house, study)
    with ups.Channel(url, cookie=cookie, origin=server.url) as events:
        mine = create(house, study)
        path = f"{server.web}/workitems/{mine}/subscribers/A.REQUESTER"
        assert session.post(path, headers={"Origin": server.url, "Accept": web.JSON}, timeout=30).status_code == 201
        assert events.event().uid == mine


def test_what_is_done_with_workitems_is_in_the_trail(house):
    server, _, study = house
    uid, transaction = create(house, study), made.uid()
    assert claim(house, "narrow", uid, transaction).status_code == 200
    assert asked(house, "viewer", "GET", f"/workitems/{uid}").status_code == 200
    assert asked(house, "viewer", "POST", f"/workitems/{uid}/cancelrequest").status_code == 403
    rows = people.trail(server)
    made_by = [(row["who"], row["action"], row["outcome"]) for row in rows if row["object"] == f"workitem {uid}"]
    assert made_by == [("a.requester", "C", "0"), ("a.reader", "U", "0"), ("a.viewer", "R", "0")]
    [looked] = [row for row in rows if row["object"] == f"workitem {uid}" and row["action"] == "R"]
    assert (looked["who"], looked["patient_id"], uid in looked["detail"]) == ("a.viewer", "MADE-1", True)
    told = people.shell(server, f"audit disclosures --study {study}")
    assert any(row["who"] == "a.viewer" and uid in row["detail"] for row in csv.DictReader(io.StringIO(told.stdout)))
    again = asked(house, "viewer", "GET", f"/workitems/{made.uid()}")
    assert again.status_code == 404
    assert all(study in row["studies"] for row in rows if row["object"] == f"workitem {uid}")
    assert any(row["who"] == "a.viewer" and row["type"] == "Use of Restricted Function" and row["detail"] == "cancel" for row in rows)
    assert any(row["who"] == "a.reader" and "/ws/subscribers/B.READER" in row["detail"] and row["outcome"] == "4" for row in rows)
    kept = sqlite3.connect(server.data_dir / "ledger.sqlite").execute("SELECT * FROM audit").fetchall()
    assert not any(transaction in str(row) for row in kept)
