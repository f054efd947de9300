"""Tasks of pools at a workstation that is signed in as a reader (issue 7, part 3): UPS-RS finds, claims and finishes what the
same reader could take on our pages, and nothing else."""

import concurrent.futures
import json

import pytest
import requests
from pydicom.dataset import Dataset

from harness import made, people, ups
from harness.people import bearer
from test_cases import DIFFERS, IMPRESSION, House


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module)


def asked(house, who, method, path, ds=None, **params):
    return ups.send(method, house.server, path, ds, params, **bearer(house.tokens[who]))


def found(house, who, **params):
    answer = asked(house, who, "GET", "/workitems", limit=1000, **params)
    assert answer.status_code in (200, 204), answer.text
    return {row["00080018"]["Value"][0] for row in answer.json()} if answer.content else set()


def change(house, who, uid, state, transaction):
    ds = Dataset()
    ds.ProcedureStepState, ds.TransactionUID = state, transaction
    return asked(house, who, "PUT", f"/workitems/{uid}/state", ds)


def instances(house, who):
    """What a reader finds of the study, or nothing."""
    url = f"{house.server.web}/studies/{house.study}/instances"
    answer = requests.get(url, headers=bearer(house.tokens[who]), timeout=30)
    return {row["00080018"]["Value"][0] for row in answer.json()} if answer.content and answer.status_code == 200 else set()


def sees(house, who, uid):
    listed = uid in found(house, who)
    answer = asked(house, who, "GET", f"/workitems/{uid}")
    assert answer.status_code == (200 if listed else 404), (who, answer.status_code)
    return listed


def could_take(house, who, number):
    """What the other door says."""
    listed = [case["number"] for case in house.ask("GET", "?pool=true&limit=200", who).json()["cases"]]
    return number in listed


def test_a_workstation_finds_claims_and_finishes_a_task_of_its_pool(house):
    number = house.open(readers=[{"pool": "neuro"}])
    uid = house.workitem(number)
    for who in ("anna", "bert", "carl"):
        assert sees(house, who, uid) == could_take(house, who, number) == (who != "carl"), who
    assert uid in found(house, "bert", ProcedureStepState="SCHEDULED", WorklistLabel="SECOND-OPINION/neuro")
    # To be looked at and claimed; nobody's to be changed or canceled, and no images before the claim.
    update = Dataset()
    update.WorklistLabel = "MINE"
    assert asked(house, "bert", "POST", f"/workitems/{uid}", update).status_code == 400
    assert asked(house, "bert", "POST", f"/workitems/{uid}/cancelrequest").status_code == 400
    assert house.state(uid) == "SCHEDULED" and instances(house, "bert") == set()
    for method, path in (("POST", f"/workitems/{uid}"), ("POST", f"/workitems/{uid}/cancelrequest")):
        assert asked(house, "carl", method, path, update).status_code == 404
    assert change(house, "carl", uid, "IN PROGRESS", made.uid()).status_code == 404

    # With the claim it is theirs, at once: the images too, without the reports that they are to read blind.
    transaction = made.uid()
    assert change(house, "bert", uid, "IN PROGRESS", transaction).status_code == 200
    assert instances(house, "bert") == {image.SOPInstanceUID for image in house.images}
    assert sees(house, "bert", uid) and not sees(house, "anna", uid) and not sees(house, "carl", uid)
    assert change(house, "anna", uid, "IN PROGRESS", made.uid()).status_code == 404
    assert house.ask("POST", f"/{number}/claim", "anna").status_code == 404
    case = house.show(number, "bert")
    [task] = case["tasks"]
    assert (task["state"], task["reader"], task["is_at_workstation"], case["is_blind"]) == ("claimed", "bert", False, True)
    [row] = [row for row in house.trail(number) if "claimed by" in row["detail"]]
    assert row["detail"] == "task 1: claimed by bert" and house.shell("audit verify").returncode == 0
    # Whoever held it from the start holds it now: what our pages do ends at the workstation too.
    house.act(number, "claim", "bert")
    house.act(number, "commit", "bert", IMPRESSION)
    assert house.report.SOPInstanceUID in instances(house, "bert")
    assert house.act(number, "sign", "bert", DIFFERS)["state"] == "answered"
    assert house.state(uid) == "COMPLETED"
    assert change(house, "bert", uid, "COMPLETED", transaction).status_code in (200, 409)


def test_a_task_is_finished_at_the_workstation(house):
    number = house.open(readers=[{"pool": "neuro"}])
    uid, transaction = house.workitem(number), made.uid()
    assert change(house, "anna", uid, "IN PROGRESS", transaction).status_code == 200
    assert asked(house, "anna", "POST", f"/workitems/{uid}", ups.performed(), **{"transaction-uid": transaction}).status_code == 200
    assert change(house, "anna", uid, "COMPLETED", transaction).status_code == 200
    case = house.show(number)
    assert (case["state"], case["tasks"][0]["state"], case["tasks"][0]["reader"]) == ("answered", "elsewhere", "anna")


def test_of_a_claim_on_each_side_one_wins(house):
    for _ in range(5):
        number = house.open(readers=[{"pool": "neuro"}])
        uid = house.workitem(number)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            there = pool.submit(change, house, "anna", uid, "IN PROGRESS", made.uid())
            here = pool.submit(house.ask, "POST", f"/{number}/claim", "bert")
            codes = there.result().status_code, here.result().status_code
        reader = house.show(number)["tasks"][0]["reader"]
        assert [code == 200 for code in codes] == [reader == "anna", reader == "bert"], (codes, reader)
        assert bool(instances(house, reader))
        house.act(number, "withdraw", "rita")


def test_both_doors_offer_the_same(house):
    """Who has read in the case, whose token names other studies, who has left the pool, what has ended: not theirs at either door."""
    number = house.open(readers=[{"account": "anna"}, {"pool": "neuro"}, {"pool": "chest"}])
    named, neuro, chest = (house.workitem(number, place) for place in range(3))
    assert {uid for uid in (named, neuro, chest) if sees(house, "anna", uid)} == {named, neuro}
    assert {uid for uid in (named, neuro, chest) if sees(house, "bert", uid)} == {neuro}
    assert not any(sees(house, "carl", uid) for uid in (named, neuro, chest))
    # Two opinions of one reader are one: who has claimed by name has nothing of the pool any more, and sees the study all the same.
    house.act(number, "claim", "anna")
    assert instances(house, "anna") and sees(house, "anna", named) and not sees(house, "anna", neuro) and not sees(house, "anna", chest)
    # At either door the claim of another task is refused.
    assert change(house, "anna", neuro, "IN PROGRESS", made.uid()).status_code == 404
    tokens = {"narrow": house.study, "wide": house.prior}
    both = people.token(house.server, "bert", "--study", house.study, "--study", house.prior)[1]
    for name, study in tokens.items():
        house.tokens[name] = people.token(house.server, "bert", "--study", study)[1]
        assert not sees(house, name, neuro) and house.ask("GET", f"/{number}", name).status_code == 404
    house.tokens["both"] = both
    assert sees(house, "both", neuro) and house.ask("GET", f"/{number}", "both").status_code == 200
    # Pools are asked for anew each time.
    assert house.shell("case pools carl chest").returncode == 0
    assert sees(house, "carl", chest) and not sees(house, "carl", neuro)
    assert house.shell("case pools carl").returncode == 0
    assert not sees(house, "carl", chest)
    # What has not gone out, or is over.
    waiting = house.open(readers=[{"pool": "neuro"}], needs_complete=True)
    assert not sees(house, "bert", house.workitem(waiting))
    house.act(waiting, "complete", "rita")
    assert sees(house, "bert", house.workitem(waiting))
    assert house.ask("POST", f"/{waiting}/tasks/1/end", "rita").status_code == 200
    assert not sees(house, "bert", house.workitem(waiting))
    house.act(number, "withdraw", "rita")
    assert not sees(house, "bert", neuro)
    # Nothing of a case that is not theirs stands in any answer.
    assert house.study not in json.dumps(asked(house, "carl", "GET", "/workitems", includefield="all", limit=1000).text)


def test_who_sees_the_reports_takes_nothing_to_read_blind_at_either_door(house):
    """Whatever they have signed in with: another role of their account has shown them the reports."""
    people.add_user(house.server, "wide", "reader,viewer")
    assert house.shell("case pools wide neuro").returncode == 0
    house.tokens["wide"] = people.token(house.server, "wide")[1]
    house.tokens["wide.reader"] = people.token(house.server, "wide", "--role", "reader")[1]
    blind, open_ = house.open(readers=[{"pool": "neuro"}]), house.open(readers=[{"pool": "neuro"}], blinded=False)
    for who in ("wide", "wide.reader"):
        assert change(house, who, house.workitem(blind), "IN PROGRESS", made.uid()).status_code == 404, who
        house.act(blind, "claim", who, status=409)
    assert not sees(house, "wide.reader", house.workitem(blind)) and sees(house, "wide.reader", house.workitem(open_))
    assert house.show(blind)["tasks"][0]["state"] == "waiting" and house.state(house.workitem(blind)) == "SCHEDULED"
    assert change(house, "wide.reader", house.workitem(open_), "IN PROGRESS", made.uid()).status_code == 200
    # The role may have come after the question.
    people.add_user(house.server, "grows", "reader")
    house.tokens["grows"] = people.token(house.server, "grows")[1]
    named = house.open(readers=[{"account": "grows"}])
    assert sees(house, "grows", house.workitem(named))
    assert house.shell("user set grows --roles reader,viewer").returncode == 0
    reading = people.token(house.server, "grows", "--role", "reader")[1]
    house.tokens["grows"] = reading
    assert change(house, "grows", house.workitem(named), "IN PROGRESS", made.uid()).status_code == 404
    house.act(named, "claim", "grows", status=409)


def test_one_transaction_uid_for_two_tasks_claims_both(house):
    """A workstation chooses it: nothing says that it may not be the same."""
    numbers, transaction = [house.open(readers=[{"pool": "neuro"}]) for _ in range(2)], made.uid()
    for number in numbers:
        assert change(house, "bert", house.workitem(number), "IN PROGRESS", transaction).status_code == 200
        [task] = house.show(number)["tasks"]
        assert (task["state"], task["reader"]) == ("claimed", "bert")
        assert sees(house, "bert", house.workitem(number)) and instances(house, "bert")
    assert house.act(numbers[1], "commit", "bert", IMPRESSION)
