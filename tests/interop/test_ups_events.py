"""Subscriptions and the event channel (PS3.18 §8.10, §11.10 to §11.13, PS3.4 §CC.2.3, §CC.2.4; conformance.md §8, 189 to 196)."""

import sqlite3

import pytest
import requests
import websocket
from pydicom.dataset import Dataset

from harness import made, ups, web


def title():
    """An AE title of nobody else's."""
    return f"T{made.uid()[-12:].replace('.', '')}"


def test_a189_a_subscription_names_the_channel_and_reports_at_once(server):
    uid, ae = ups.create(server), title()
    response = ups.subscribe(server, uid, ae)
    assert response.status_code == 201
    url = response.headers["Content-Location"]
    assert url == f"ws://127.0.0.1:{server.ports[0]}/ws/subscribers/{ae}"
    with ups.Channel(url) as channel:
        event = channel.event()
        assert (event.kind, event.uid, event.state) == (1, uid, "SCHEDULED")
        # Opened before it subscribes, it is told too; and whichever name of the resource it uses.
        ups.subscribe(server, uid, ae)
        assert channel.event().uid == uid
    for path in ("/subscribers/", "/ws/subscribers/"):
        alias = server.web.replace("http", "ws") + path + ae
        with ups.Channel(alias) as channel:
            ups.subscribe(server, uid, ae)
            assert channel.event().uid == uid
    for bad, status in [(made.uid(), 404), ("x", 400)]:
        assert ups.subscribe(server, bad, ae).status_code == status
    assert ups.subscribe(server, uid, "A" * 17).status_code == 400
    assert ups.subscribe(server, uid, ae, deletionlock="perhaps").status_code == 400


def test_a190_a_global_subscription_with_lock_reports_all_there_are(start):
    server = start()
    there = [ups.create(server) for _ in range(3)]
    ups.claim(server, there[1])
    with ups.open_channel(ups.subscribe(server, ups.GLOBAL, "ALL", deletionlock="true")) as channel:
        told = {event.uid: event.state for event in channel.events(3)}
        assert told == dict(zip(there, ["SCHEDULED", "IN PROGRESS", "SCHEDULED"], strict=True))
        new = ups.create(server)
        assert (channel.event().uid, ups.state(server, new)) == (new, "SCHEDULED")
        ups.claim(server, new)
        assert channel.event().state == "IN PROGRESS"
    # Without lock nothing is told but what is new.
    with ups.open_channel(ups.subscribe(server, ups.GLOBAL, "LATER")) as channel:
        newest = ups.create(server)
        assert channel.event().uid == newest
        ups.claim(server, there[0])
        assert (channel.event().uid, ups.state(server, there[0])) == (there[0], "IN PROGRESS")


def test_a191_a_filter_takes_in_what_matches(server):
    label, ae = f"L{made.uid()[-10:]}", title()
    response = ups.subscribe(server, ups.FILTERED, ae, filter=f"WorklistLabel={label},ScheduledProcedureStepPriority=HIGH")
    with ups.open_channel(response) as channel:
        ups.create(server, WorklistLabel=label)
        ups.create(server, ScheduledProcedureStepPriority="HIGH")
        matching = ups.create(server, WorklistLabel=label, ScheduledProcedureStepPriority="HIGH")
        assert channel.event().uid == matching
    for uid, params in [
        (ups.FILTERED, {}),
        (ups.FILTERED, {"filter": "NoSuchAttribute=1"}),
        (ups.FILTERED, {"filter": "TransactionUID=1.2"}),
        (ups.FILTERED, {"filter": "SOPInstanceUID=x"}),
        (ups.GLOBAL, {"filter": f"WorklistLabel={label}"}),
    ]:
        assert ups.subscribe(server, uid, ae, **params).status_code == 400, params


def test_a192_a_lock_keeps_what_is_done_until_it_is_given_up(start):
    server = start()
    uid = ups.create(server)
    assert ups.subscribe(server, uid, "KEEP", deletionlock="true").status_code == 201
    assert ups.complete(server, uid, ups.claim(server, uid)).status_code == 200
    server.restart()
    assert ups.state(server, uid) == "COMPLETED"
    locks = "SELECT has_lock FROM subscription"
    assert sqlite3.connect(server.data_dir / "ledger.sqlite").execute(locks).fetchall() == [(1,)]
    # Locked or not: subscribing again without the lock gives it up.
    assert ups.subscribe(server, uid, "KEEP", deletionlock="false").status_code == 201
    assert sqlite3.connect(server.data_dir / "ledger.sqlite").execute(locks).fetchall() == [(0,)]
    assert ups.unsubscribe(server, uid, "KEEP").status_code == 200
    assert ups.state(server, uid) == "COMPLETED", "what was done stays known"


def test_a193_unsubscribing_and_suspending(server):
    ae, other = title(), ups.create(server)
    with ups.open_channel(ups.subscribe(server, ups.GLOBAL, ae)) as channel:
        held, given_up = ups.create(server), ups.create(server)
        assert [event.uid for event in channel.events(2)] == [held, given_up]
        assert ups.unsubscribe(server, given_up, ae).status_code == 200
        assert ups.unsubscribe(server, given_up, ae).status_code == 404
        ups.claim(server, given_up)
        suspended = ups.send("POST", server, f"/workitems/{ups.GLOBAL}/subscribers/{ae}/suspend")
        assert suspended.status_code == 200
        again = ups.send("POST", server, f"/workitems/{ups.GLOBAL}/subscribers/{ae}/suspend")
        assert again.status_code == 404
        ups.create(server)
        ups.claim(server, held)
        event = channel.event()
        assert (event.uid, event.state) == (held, "IN PROGRESS"), "what it had it keeps, what is new it is not told"
        assert ups.unsubscribe(server, ups.GLOBAL, ae).status_code == 200
        assert ups.unsubscribe(server, ups.GLOBAL, ae).status_code == 404
        assert ups.unsubscribe(server, held, ae).status_code == 404
        ups.send("POST", server, f"/workitems/{other}/cancelrequest")
        ups.subscribe(server, other, ae)
        event = channel.event()
        assert (event.uid, event.state) == (other, "CANCELED"), "in between nothing was sent"
    assert ups.send("POST", server, f"/workitems/{other}/subscribers/{ae}/suspend").status_code == 404


def test_a194_assignments_progress_and_readiness_are_told(server):
    uid, ae = ups.create(server), title()
    with ups.open_channel(ups.subscribe(server, uid, ae)) as channel:
        channel.event()
        transaction = ups.claim(server, uid)
        channel.event()
        update = Dataset()
        update.ScheduledHumanPerformersSequence = [ups.performer("anna")]
        update.ScheduledStationNameCodeSequence = [ups.code("WS7")]
        ups.update(server, uid, update, transaction)
        event = channel.event()
        assert event.kind == 5
        assert event.ds.HumanPerformerCodeSequence[0].CodeValue == "anna"
        assert event.ds.ScheduledStationNameCodeSequence[0].CodeValue == "WS7"
        assert event.ds.HumanPerformerOrganization == "Clinic"
        progress = Dataset()
        progress.ProcedureStepProgress, progress.ProcedureStepProgressDescription = "50", "half"
        update = Dataset()
        update.ProcedureStepProgressInformationSequence = [progress]
        ups.update(server, uid, update, transaction)
        event = channel.event()
        assert (event.kind, event.ds.ProcedureStepProgressInformationSequence[0].ProcedureStepProgress) == (3, 50)
        update = Dataset()
        update.InputReadinessState = "UNAVAILABLE"
        ups.update(server, uid, update, transaction)
        event = channel.event()
        assert (event.kind, event.ds.InputReadinessState) == (1, "UNAVAILABLE")
    with ups.open_channel(ups.subscribe(server, ups.GLOBAL, ae)) as channel:
        ups.create(server, ScheduledHumanPerformersSequence=[ups.performer("boris")])
        assert [event.kind for event in channel.events(2)] == [1, 5]
    ups.unsubscribe(server, ups.GLOBAL, ae)


def test_a195_a_restart_is_told_and_subscriptions_survive_it(start):
    server = start()
    uid = ups.create(server)
    url = ups.subscribe(server, uid, "WARM").headers["Content-Location"]
    with ups.Channel(url) as channel:
        channel.event()
        assert server.stop() == 0
        event = channel.event()
        assert (event.kind, event.ds.SCPStatus) == (4, "GOING DOWN")
        assert channel.farewell() == 1001
    server.start()
    with ups.Channel(url.replace(url.split("/")[2], f"127.0.0.1:{server.ports[0]}")) as channel:
        event = channel.event()
        told = (event.kind, event.uid, event.ds.SCPStatus, event.ds.SubscriptionListStatus, event.ds.UnifiedProcedureStepListStatus)
        assert told == (4, ups.GLOBAL, "RESTARTED", "WARM START", "WARM START")
        ups.claim(server, uid)
        assert channel.event().state == "IN PROGRESS"


def test_a195_a_kill_loses_neither_workitems_nor_subscriptions(start):
    server = start()
    uid = ups.create(server)
    ups.subscribe(server, uid, "KILLED")
    transaction = ups.claim(server, uid)
    server.kill()
    server.start()
    assert ups.state(server, uid) == "IN PROGRESS"
    assert ups.change(server, uid, "IN PROGRESS", made.uid()).status_code == 400
    assert ups.complete(server, uid, transaction).status_code == 200


def test_a196_reports_are_dicom_json_of_the_push_class(server):
    uid, ae = ups.create(server), title()
    with ups.open_channel(ups.subscribe(server, uid, ae)) as channel:
        event = channel.event()
    assert event.sop_class == ups.PUSH
    assert list(event.raw) == sorted(event.raw)
    vrs = {tag: member["vr"] for tag, member in event.raw.items()}
    assert vrs == {"00000002": "UI", "00000110": "US", "00001000": "UI", "00001002": "US", "00404041": "CS", "00741000": "CS"}


def test_a196_one_connection_for_each_ae_title_and_the_later_has_it(server):
    uid, ae = ups.create(server), title()
    url = ups.subscribe(server, uid, ae).headers["Content-Location"]
    with ups.Channel(url) as first:
        first.event()
        with ups.Channel(url) as second:
            with pytest.raises(websocket.WebSocketConnectionClosedException):
                first.event()
            ups.claim(server, uid)
            assert second.event().state == "IN PROGRESS"


def test_a196_what_is_no_websocket_or_comes_from_another_site_is_refused(server):
    ae = title()
    url = f"{server.url}/ws/subscribers/{ae}"
    assert requests.get(url, timeout=60).status_code == 400
    assert requests.post(url, timeout=60).status_code == 405
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        ups.Channel(url.replace("http", "ws"), origin="https://evil.example")
    assert refused.value.status_code == 403
    uid = ups.create(server)
    forged = requests.post(f"{server.web}/workitems/{uid}/cancelrequest", headers={"Origin": "https://evil.example"}, timeout=60)
    assert forged.status_code == 403 and ups.state(server, uid) == "SCHEDULED"


def test_a196_a_channel_outlives_what_its_reader_sends(server):
    uid, ae = ups.create(server), title()
    with ups.open_channel(ups.subscribe(server, uid, ae)) as channel:
        channel.event()
        channel.socket.send("what is this?")
        channel.socket.ping(b"still there?")
        ups.claim(server, uid)
        assert channel.event().state == "IN PROGRESS"
        channel.socket.send("x" * 100_000)
        with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
            channel.event()
    assert web.get(server, "/studies", web.JSON, params={"limit": 1}).status_code in (200, 204)


def test_a193_each_change_is_in_the_audit_trail(start):
    server = start()
    uid = ups.create(server)
    transaction = ups.claim(server, uid)
    ups.change(server, uid, "IN PROGRESS", made.uid())
    ups.subscribe(server, uid, "WATCH")
    rows = sqlite3.connect(server.data_dir / "ledger.sqlite").execute("SELECT event, action, outcome, object, detail FROM audit ORDER BY id")
    rows = [row for row in rows.fetchall() if row[0] == "110111"]
    assert [(row[1], row[2]) for row in rows] == [("C", 0), ("U", 0), ("U", 4), ("C", 0)]
    assert rows[0][3] == f"workitem {uid}" and rows[3][3] == "subscriber WATCH"
    assert not any(transaction in str(row) for row in rows)
