"""Second opinions (issue 7, parts 1, 3, 5 and 6) through public doors: the JSON API with requests outside, the shell, UPS-RS as
a workstation speaks it, STOW-RS for what arrives late, and sqlite3 for who tampers."""

import concurrent.futures
import json
import sqlite3

import pytest
import requests
from pydicom.dataset import Dataset

from harness import made, people, ups, wait, web
from harness.people import bearer

SR = "1.2.840.10008.5.1.4.1.1.88.11"
IMPRESSION = {"findings": "Höhenminderung L1.", "impression": "Fracture of L1.", "confidence": "high"}
DIFFERS = {"agreement": "major-discrepancy", "significance": "likely", "management": "more-conservative", "stage": "unchanged"}
POSTS = ["complete", "assign", "claim", "give-back", "commit", "sign", "correct", "adjudicate", "withdraw", "close"]


class House:
    """A server with a study of two images and a report, a prior, and people."""

    def __init__(self, start):
        self.server = start()
        self.study, self.prior = made.uid(), made.uid()
        self.images = made.study(2, study=self.study)
        self.report = made.instance(study=self.study, SOPClassUID=SR, Modality="SR")
        older = made.instance(study=self.prior)
        assert web.stow(self.server, [made.file(ds) for ds in [*self.images, self.report, older]]).status_code == 200
        roles = {"root": "administrator", "rita": "requester", "rosa": "requester", "vera": "viewer"}
        roles |= dict.fromkeys(("anna", "bert", "carl"), "reader")
        self.tokens = {}
        for name, role in roles.items():
            people.add_user(self.server, name, role)
            self.tokens[name] = people.token(self.server, name)[1]
        for name in ("anna", "bert"):
            assert people.shell(self.server, f"case pools {name} neuro").returncode == 0
        people.closed(self.server)

    def ask(self, method, path, who, body=None, **headers):
        headers = bearer(self.tokens[who]) | headers
        url = f"{self.server.url}/api/v1/cases{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=60)

    def act(self, number, word, who, body=None, status=200, **headers):
        answer = self.ask("POST", f"/{number}/{word}", who, body, **headers)
        assert answer.status_code == status, (word, who, answer.status_code, answer.text)
        if status >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["status"] == status and answer.json()["detail"]
            assert "Fracture" not in answer.text and self.study not in answer.text
        return answer.json() if answer.content else None

    def show(self, number, who="rita"):
        answer = self.ask("GET", f"/{number}", who)
        assert answer.status_code == 200, (who, answer.status_code, answer.text)
        assert answer.headers["ETag"] == f'"{answer.json()["revision"]}"'
        return answer.json()

    def open(self, who="rita", status=201, **fields):
        body = {
            "study_instance_uid": self.study,
            "priors": [self.prior],
            "question": "Is it a fracture?\nOf which level?",
            "subspecialty": "neuro",
            "body_part": "SPINE",
            "blinded": True,
            "needs_complete": False,
            "first_report": {"text": "No fracture."},
            "readers": [{"account": "anna"}],
        } | fields
        answer = self.ask("POST", "", who, body)
        assert answer.status_code == status, (answer.status_code, answer.text)
        if status != 201:
            return answer
        assert answer.headers["Location"].endswith(f"/api/v1/cases/{answer.json()['number']}")
        return answer.json()["number"]

    def signed(self, number, who):
        self.act(number, "claim", who)
        self.act(number, "commit", who, IMPRESSION)
        return self.act(number, "sign", who, DIFFERS)

    def workitem(self, number, place=0):
        return self.show(number, "root")["tasks"][place]["workitem"]

    def ups(self, method, path, ds=None, params=None):
        return ups.send(method, self.server, path, ds, params, **bearer(self.tokens["root"]))

    def state(self, workitem):
        return Dataset.from_json(self.ups("GET", f"/workitems/{workitem}").text).ProcedureStepState

    def store(self, ds):
        session = requests.Session()
        session.headers.update(bearer(self.tokens["root"]))
        assert web.stow(self.server, [made.file(ds)], session=session).status_code == 200

    def shell(self, command, *args):
        return people.shell(self.server, command, *args)

    def trail(self, number):
        return [row for row in people.trail(self.server) if row["object"] == f"case {number}"]


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module)


def test_the_story_from_opening_to_a_late_image(start):
    house = House(start)
    number = house.open(needs_complete=True, urgency="stat", due="2099-01-31T12:00:00Z",
                        first_report={"text": "No fracture.", "instances": [{"series_instance_uid": house.report.SeriesInstanceUID,
                                                                           "sop_instance_uid": house.report.SOPInstanceUID}]})
    case = house.show(number)
    assert (case["state"], case["has_gone_out"], case["priority"]) == ("open", False, "HIGH")
    assert case["expires"].startswith("2099-02-14") and case["first_report"]["instances"][0]["sop_class_uid"] == SR
    # Before a human says that it is complete, neither its reader nor a workstation knows of it.
    workitem = case["tasks"][0]["workitem"]
    assert house.ask("GET", f"/{number}", "anna").status_code == 404
    assert house.ups("GET", f"/workitems/{workitem}").status_code == 404
    house.act(number, "complete", "rita")
    kept = Dataset.from_json(house.ups("GET", f"/workitems/{workitem}").text)
    assert (kept.ScheduledProcedureStepPriority, kept.WorklistLabel) == ("HIGH", "SECOND-OPINION/neuro")
    assert kept.ProcedureStepLabel == "Second opinion: SPINE" and kept.ScheduledWorkitemCodeSequence[0].CodeValue == "110005"
    assert kept.ExpectedCompletionDateTime.startswith("20990131120000")
    assert kept.ScheduledHumanPerformersSequence[0].HumanPerformerCodeSequence[0].CodeValue == "anna"
    assert kept.CommentsOnTheScheduledProcedureStep.startswith("Is it a fracture?\r\n") and "TransactionUID" not in kept
    assert kept.ReferencedRequestSequence[0].AccessionNumber == house.images[0].AccessionNumber
    named = [ref.ReferencedSOPInstanceUID for item in kept.InputInformationSequence for ref in item.ReferencedSOPSequence]
    assert house.report.SOPInstanceUID not in named and len(named) == 3
    assert {item.StudyInstanceUID for item in kept.InputInformationSequence} == {house.study, house.prior}
    assert kept.InputInformationSequence[0].DICOMRetrievalSequence[0].RetrieveAETitle == "OVERREAD"

    # Blind: neither the first report nor what others said, until the impression is committed.
    claimed = house.act(number, "claim", "anna")
    assert (claimed["state"], claimed["tasks"][0]["reader"], house.state(workitem)) == ("in-review", "anna", "IN PROGRESS")
    assert claimed["is_blind"] and claimed["first_report"] is None and "No fracture" not in json.dumps(claimed)
    draft = {"impression": "Fr", "anything": [1]}
    assert house.ask("GET", f"/{number}/draft", "anna").status_code == 204
    assert house.ask("PUT", f"/{number}/draft", "anna", draft).status_code == 204
    assert house.ask("GET", f"/{number}/draft", "anna").json() == draft
    house.act(number, "sign", "anna", DIFFERS, status=409)
    key_image = {"study_instance_uid": house.study, "series_instance_uid": house.images[0].SeriesInstanceUID,
                 "sop_instance_uid": house.images[0].SOPInstanceUID, "frames": [1], "note": "L1"}
    committed = house.act(number, "commit", "anna", IMPRESSION | {"key_images": [key_image]})
    assert not committed["is_blind"] and committed["first_report"]["text"] == "No fracture."
    assert committed["commitment"]["impression"]["key_images"] == [key_image]
    house.act(number, "commit", "anna", IMPRESSION, status=409)
    house.act(number, "sign", "anna", {}, status=400)
    house.act(number, "sign", "anna", {"agreement": "major-discrepancy"}, status=400)
    signed = house.act(number, "sign", "anna", DIFFERS)
    assert (signed["state"], house.state(workitem)) == ("answered", "COMPLETED")
    [opinion] = house.show(number)["opinions"]
    assert (opinion["comparison"]["agreement"], opinion["reader"], opinion["version"]) == ("major-discrepancy", "anna", 1)
    assert opinion["impression"]["impression"] == "Fracture of L1." and opinion["manifest"]["instances"] == 4

    # What was seen is proven, beside the server too.
    done = house.shell(f"case verify {number}")
    assert done.returncode == 0 and "4 of 4 instances unchanged, 0 changed, 0 removed, 0 arrived" in done.stdout, done.stdout
    [verified] = house.ask("GET", f"/{number}/verify", "rita").json()["opinions"]
    assert verified["is_intact"] and not verified["images_changed_since"]

    # A correction names what it corrects; the version before it stays.
    body = {"corrects": opinion["id"], "reason": "wrong level", "impression": IMPRESSION | {"impression": "Fracture of L2."}, "comparison": DIFFERS}
    house.act(number, "correct", "anna", body | {"reason": ""}, status=400)
    house.act(number, "correct", "anna", body)
    house.act(number, "correct", "anna", body, status=409)
    versions = [(o["version"], o["corrects"], o["impression"]["impression"], o["is_newest"]) for o in house.show(number)["opinions"]]
    assert versions == [(1, None, "Fracture of L1.", False), (2, opinion["id"], "Fracture of L2.", True)]
    assert house.act(number, "close", "rita")["state"] == "closed"

    # A late image flags it, everywhere.
    assert not house.show(number)["images_changed_since"]
    late = made.instance(study=house.study)
    house.store(late)
    assert house.show(number)["images_changed_since"]
    [listed] = house.ask("GET", "?mine=true", "rita").json()["cases"]
    assert listed["images_changed_since"]
    for verified in house.ask("GET", f"/{number}/verify", "rita").json()["opinions"]:
        assert verified["is_intact"] and [i["sop_instance_uid"] for i in verified["arrived"]["instances"]] == [late.SOPInstanceUID]
    done = house.shell(f"case verify {number} --json")
    assert done.returncode == 3 and json.loads(done.stdout)[0]["arrived"] == [late.SOPInstanceUID]
    assert "IMAGES HAVE CHANGED" in house.shell(f"case show {number}").stdout

    # All of it is in the trail, whose chain holds.
    told = [row["detail"] for row in house.trail(number) if row["outcome"] == "0"]
    for detail in ("opened; asks anna", "complete enough to be read", "task 1: claimed by anna", "task 1: impression committed", "closed"):
        assert told.count(detail) == 1, (detail, told)
    assert sum("opinion signed" in detail for detail in told) == 2
    assert house.shell("audit verify").returncode == 0

    # Somebody who alters an opinion in the file is found out.
    with sqlite3.connect(house.server.data_dir / "ledger.sqlite") as ledger:
        with pytest.raises(sqlite3.IntegrityError):
            ledger.execute("UPDATE opinion SET body = replace(body, 'L1', 'L5')")
        ledger.execute("DROP TRIGGER opinion_stays")
        ledger.execute("UPDATE opinion SET body = replace(body, 'L1', 'L5') WHERE version = 1")
    done = house.shell(f"case verify {number}")
    assert done.returncode == 1 and "NO: the opinion is as it was signed" in done.stdout


def test_who_has_no_part_in_a_case_learns_nothing(house):
    number = house.open()
    unknown = house.ask("GET", "/999999", "bert")
    for who in ("bert", "carl", "rosa"):
        answers = [house.ask("GET", f"/{number}", who), house.ask("GET", f"/{number}/draft", who), house.ask("GET", f"/{number}/verify", who)]
        answers += [house.ask("PUT", f"/{number}/draft", who, {})]
        bodies = {"commit": IMPRESSION, "sign": DIFFERS, "assign": {"reader": {"account": "bert"}}}
        bodies["correct"] = {"corrects": 1, "reason": "x", "impression": IMPRESSION}
        bodies["adjudicate"] = {"opinions": [1], "reader": {"pool": "neuro"}}
        answers += [house.ask("POST", f"/{number}/{word}", who, bodies.get(word)) for word in POSTS]
        for answer in answers:
            assert (answer.status_code, answer.json()) == (404, unknown.json()), (who, answer.url)
        assert all(case["number"] != number for case in house.ask("GET", "", who).json()["cases"])
    for method, path in [("GET", ""), ("GET", f"/{number}"), ("POST", f"/{number}/claim")]:
        assert house.ask(method, path, "vera").status_code == 403
        assert requests.request(method, f"{house.server.url}/api/v1/cases{path}", timeout=30).status_code == 401
    assert house.show(number)["state"] == "open", "nothing was changed"
    # Those who see it have their part and no other.
    for who in ("rita", "root"):
        for word in ("claim", "give-back"):
            house.act(number, word, who, status=403)
        house.act(number, "commit", who, IMPRESSION, status=403)
        house.act(number, "sign", who, DIFFERS, status=403)
    for word in ("complete", "withdraw", "close"):
        house.act(number, word, "anna", status=403)
    refused = [row for row in house.trail(number) if row["outcome"] == "4"]
    assert {row["who"] for row in refused} == {"rita", "root", "anna"}
    assert any(row["detail"].startswith("claim refused") for row in refused)


def test_studies_that_the_requester_may_not_see(house):
    narrow = people.token(house.server, "rita", "--study", house.study)[1]
    house.tokens["narrow"] = narrow
    number = house.open()
    assert house.ask("GET", f"/{number}", "narrow").status_code == 404, "its prior is outside"
    assert house.open("narrow", 404).json()["detail"] == "not found"
    alone = house.open("narrow", priors=[])
    assert house.ask("GET", f"/{alone}", "narrow").status_code == 200
    assert [case["number"] for case in house.ask("GET", "", "narrow").json()["cases"]] == [alone]
    house.open(study_instance_uid=made.uid(), status=404)
    house.open(priors=[made.uid()], status=404)
    house.open("anna", status=404)
    house.open("vera", status=403)


def test_what_cannot_be_read_is_refused(house):
    for fields in (
        {"question": " "},
        {"question": "x" * 2049},
        {"question": "a\x1b[2J"},
        {"study_instance_uid": "1..2"},
        {"priors": [house.study]},
        {"subspecialty": "no such word!"},
        {"urgency": "soon"},
        {"due": "tomorrow"},
        {"due": "2001-01-01T00:00:00Z"},
        {"due": "2099-01-02T00:00:00Z", "expires": "2099-01-01T00:00:00Z"},
        {"readers": []},
        {"readers": [{"account": "vera"}]},
        {"readers": [{"account": "nobody"}]},
        {"readers": [{"account": "anna"}, {"account": "anna"}]},
        {"readers": [{"account": "anna", "pool": "neuro"}]},
        {"readers": [{"pool": "neuro"}] * 21},
        {"unknown": 1},
        {"first_report": {"instances": [{"series_instance_uid": "1.2", "sop_instance_uid": "1.3"}]}},
    ):
        answer = house.open(status=409 if len(fields.get("readers", [])) == 21 else 400, **fields)
        assert house.study not in answer.text
    url = f"{house.server.url}/api/v1/cases"
    headers = bearer(house.tokens["rita"])
    assert requests.post(url, data="{", headers=headers | {"Content-Type": "application/json"}, timeout=30).status_code == 400
    assert requests.post(url, data="{}", headers=headers | {"Content-Type": "text/plain"}, timeout=30).status_code == 415
    large = b'{"question": "' + b"x" * (600 * 1024) + b'"}'
    assert requests.post(url, data=large, headers=headers | {"Content-Type": "application/json"}, timeout=30).status_code == 413
    assert requests.post(url, data="[" * 100_000, headers=headers | {"Content-Type": "application/json"}, timeout=30).status_code == 400
    number = house.open()
    for path in ("/x", "/-1", "/0", f"/{number}/nothing", "/99999999999999999999"):
        assert house.ask("GET" if "nothing" not in path else "POST", path, "rita").status_code == 404, path
    for query in ("?x=1", "?limit=0", "?state=Open", "?mine=maybe"):
        assert house.ask("GET", query, "rita").status_code == 400, query
    # As proxies that compress leave a tag, it is still that of another revision.
    for tag, status in (('"99"', 412), ('W/"99"', 412), ('"99-gzip"', 412), ("99", 400), ('"x"', 400), ('"9", "8"', 400), ("*", 200)):
        house.act(number, "withdraw", "rita", status=status, **{"If-Match": tag})


def test_of_many_claims_at_once_one_wins(house):
    for _ in range(5):
        number = house.open(readers=[{"pool": "neuro"}])
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(house.ask, "POST", f"/{number}/claim", who) for who in ("anna", "bert", "anna", "bert")]
            codes = {who: [] for who in ("anna", "bert")}
            for who, answer in zip(("anna", "bert", "anna", "bert"), asked):
                codes[who].append(answer.result().status_code)
        [task] = house.show(number)["tasks"]
        loser = "bert" if task["reader"] == "anna" else "anna"
        assert 200 in codes[task["reader"]] and set(codes[loser]) <= {404, 409}, codes
        assert house.state(task["workitem"]) == "IN PROGRESS"


def test_a_workstation_claims_and_completes(house):
    number = house.open(readers=[{"pool": "neuro"}, {"account": "carl"}])
    first, second = house.workitem(number), house.workitem(number, 1)
    transaction = made.uid()
    claim = Dataset()
    claim.ProcedureStepState, claim.TransactionUID = "IN PROGRESS", transaction
    assert house.ups("PUT", f"/workitems/{first}/state", claim).status_code == 200
    # Our pages know it at once, and do not take it away.
    task = house.show(number)["tasks"][0]
    assert (task["state"], task["is_at_workstation"], task["reader"]) == ("claimed", True, None)
    assert house.ask("POST", f"/{number}/claim", "anna").status_code == 404, "it waits for nobody any more"
    update = house.ups("POST", f"/workitems/{first}", ups.performed(), {"transaction-uid": transaction})
    assert update.status_code == 200
    claim.ProcedureStepState = "COMPLETED"
    assert house.ups("PUT", f"/workitems/{first}/state", claim).status_code == 200
    assert house.show(number)["tasks"][0]["state"] == "elsewhere"
    # One that is claimed on our pages cannot be taken at a workstation.
    house.act(number, "claim", "carl")
    claim.ProcedureStepState, claim.TransactionUID = "IN PROGRESS", made.uid()
    assert house.ups("PUT", f"/workitems/{second}/state", claim).status_code == 400
    house.act(number, "give-back", "carl", {"reason": "not my field"}, status=200)
    assert house.state(second) == "CANCELED"
    assert house.show(number)["state"] == "answered"
    # Seen by nobody, it is taken over all the same.
    other = house.open(readers=[{"account": "carl"}])
    item = house.workitem(other)
    assert house.ups("POST", f"/workitems/{item}/cancelrequest").status_code == 202

    def is_noted():
        with sqlite3.connect(f"file:{house.server.data_dir}/ledger.sqlite?mode=ro", uri=True) as ledger:
            return ledger.execute("SELECT state FROM task WHERE workitem = ?", (item,)).fetchone() == ("given-back",)

    wait.until(is_noted, "the canceled workitem is noted")


def test_what_may_be_done_in_each_state(house):
    """Every act in every state by whoever has the part for it: what is forbidden is 409 and changes nothing."""
    allowed = {
        "open": {"complete", "assign", "claim", "give-back", "withdraw"},
        "in-review": {"complete", "assign", "claim", "give-back", "commit", "withdraw"},
        "answered": {"correct", "adjudicate", "close"},
        "closed": {"correct"},
        "withdrawn": set(),
    }
    part = {word: "anna" if word in ("claim", "give-back", "commit", "sign", "correct") else "rita" for word in POSTS}
    for state, words in allowed.items():
        for word in POSTS:
            number = house.open()
            if state == "in-review":
                house.act(number, "claim", "anna")
            elif state in ("answered", "closed"):
                house.signed(number, "anna")
            if state in ("closed", "withdrawn"):
                house.act(number, "close" if state == "closed" else "withdraw", "rita")
            before = house.show(number)
            assert before["state"] == state
            opinion = before["opinions"][0]["id"] if before["opinions"] else 1
            body = {
                "commit": IMPRESSION,
                "sign": DIFFERS,
                "assign": {"reader": {"account": "carl"}},
                "correct": {"corrects": opinion, "reason": "x", "impression": IMPRESSION, "comparison": DIFFERS},
                "adjudicate": {"opinions": [opinion], "reader": {"account": "carl"}},
            }.get(word)
            answer = house.ask("POST", f"/{number}/{word}", part[word], body)
            if word in words:
                assert answer.status_code in (200, 204), (state, word, answer.text)
            else:
                expected = (400, 409) if word == "adjudicate" else (409,)
                assert answer.status_code in expected, (state, word, answer.status_code, answer.text)
                after = house.show(number)
                assert (after["state"], after["revision"]) == (before["state"], before["revision"])


def test_two_readers_are_blind_to_each_other_and_a_third_judges(house):
    number = house.open(readers=[{"account": "anna"}, {"account": "bert"}])
    house.signed(number, "anna")
    blind = house.act(number, "claim", "bert")
    assert blind["opinions"] == [] and len(blind["tasks"]) == 1
    house.act(number, "commit", "bert", IMPRESSION)
    assert len(house.show(number, "bert")["opinions"]) == 1
    house.act(number, "sign", "bert", {"agreement": "agree"})
    one, other = (opinion["id"] for opinion in house.show(number)["opinions"])
    for opinions, reader, status in (([other], "carl", 409), ([one, one], "carl", 400), ([one, other], "anna", 400), ([one, 10**9], "carl", 400)):
        house.act(number, "adjudicate", "rita", {"opinions": opinions, "reader": {"account": reader}}, status=status)
    case = house.act(number, "adjudicate", "rita", {"opinions": [one, other], "reader": {"account": "carl"}})
    assert (case["state"], case["tasks"][2]["adjudicates"]) == ("in-review", [one, other])
    seen = house.act(number, "claim", "carl")
    assert not seen["is_blind"] and [opinion["id"] for opinion in seen["opinions"]] == [one, other]


def test_lists_have_pages_and_filters(house):
    mine = [house.open("rosa", readers=[{"account": "carl"}], due=f"2099-01-0{day}T00:00:00Z") for day in range(1, 5)]
    numbers = lambda query, who="rosa": [case["number"] for case in house.ask("GET", query, who).json()["cases"]]
    assert numbers("?limit=200") == mine[::-1]
    page = house.ask("GET", "?limit=3", "rosa").json()
    assert [case["number"] for case in page["cases"]] == mine[:0:-1] and page["next"] == mine[1]
    assert numbers(f"?limit=3&before={page['next']}") == mine[:1]
    assert numbers("?due_before=2099-01-03T00:00:00Z") == [mine[1], mine[0]]
    assert numbers("?overdue=true") == []
    house.act(mine[0], "withdraw", "rosa")
    assert numbers("?state=withdrawn") == mine[:1] and numbers("?state=open,in-review") == mine[:0:-1]
    assert set(mine[1:]) <= set(numbers("?mine=true&limit=200", "carl"))
    waiting = house.open("rosa", readers=[{"pool": "neuro"}])
    assert waiting in numbers("?pool=true&limit=200", "bert") and waiting not in numbers("?limit=200", "carl")
    assert numbers(f"?study_instance_uid={house.prior}&limit=1") == [waiting]


def test_the_shell_opens_and_the_server_makes_the_workitem(house):
    done = house.shell("case open", house.study, "--prior", house.prior, "--question", "Neu?", "--subspecialty", "neuro", "--complete",
                       "--pool", "neuro", "--requester", "rita", "--blinded", "--due", "2099-01-31T12:00:00Z")
    assert done.returncode == 0, done.stderr
    number = int(done.stdout)
    item = house.show(number)["tasks"][0]["workitem"]
    wait.until(lambda: house.ups("GET", f"/workitems/{item}").status_code == 200, "the server makes the workitem")
    shown = house.shell(f"case show {number}").stdout
    assert "Neu?" in shown and "pool neuro: waiting" in shown
    rows = json.loads(house.shell("case list --json").stdout)
    assert [row["requester"] for row in rows if row["number"] == number] == ["rita"]
    assert f"{number} " in house.shell("case list --state open").stdout
    assert house.shell(f"case close {number}").returncode == 1
    assert "withdrawn" in house.shell(f"case withdraw {number}").stdout
    wait.until(lambda: house.state(item) == "CANCELED", "the server cancels the workitem")
    assert house.shell("case open", made.uid(), "--question", "x", "--subspecialty", "neuro", "--pool", "neuro").returncode == 1
    assert house.shell("case verify 999999").returncode == 1
    assert house.shell("case pools nobody neuro").returncode == 1


def test_a_killed_server_goes_on_where_it_was(start):
    house = House(start)
    number = house.open()
    house.act(number, "claim", "anna")
    house.act(number, "commit", "anna", IMPRESSION)
    # As if it had been killed between the signature and the workitem: the workitem is still in progress.
    item = house.workitem(number)
    house.server.kill()
    ledger = sqlite3.connect(house.server.data_dir / "ledger.sqlite")
    with ledger:
        ledger.execute("UPDATE task SET state = 'signed', signed_ms = 1 WHERE workitem = ?", (item,))
    ledger.close()
    house.server.start()
    wait.until(lambda: house.state(item) == "COMPLETED", "the workitem is completed")


def test_a_session_needs_its_token_and_pages_of_others_change_nothing(house):
    browser = requests.Session()
    data = {"name": "rita", "passcode": people.PASSCODE}
    assert browser.post(f"{house.server.url}/api/v1/session", json=data, timeout=30).status_code == 200
    number = house.open()
    url = f"{house.server.url}/api/v1/cases/{number}"
    assert browser.get(url, timeout=30).status_code == 200
    assert browser.post(f"{url}/withdraw", timeout=30).status_code == 403
    evil = {"Origin": "https://evil.example"}
    assert browser.post(f"{url}/withdraw", headers=evil, timeout=30).status_code == 403
    token = browser.get(f"{house.server.url}/api/v1/session", timeout=30).json()["csrf_token"]
    assert browser.post(f"{url}/withdraw", headers={"X-CSRF-Token": token}, timeout=30).status_code == 200


def test_without_accounts_anybody_is_of_every_pool(start):
    server = start()
    ds = made.instance()
    assert web.stow(server, [made.file(ds)]).status_code == 200
    url = f"{server.url}/api/v1/cases"
    body = {"study_instance_uid": ds.StudyInstanceUID, "question": "?", "subspecialty": "chest", "needs_complete": False, "readers": [{"pool": "chest"}]}
    answer = requests.post(url, json=body, timeout=30)
    assert answer.status_code == 201 and "claim" in answer.json()["may"]
    assert requests.post(f"{url}/1/claim", headers={"Origin": "https://evil.example"}, timeout=30).status_code == 403
    for word, body in (("claim", None), ("commit", IMPRESSION), ("sign", {"management": "none"})):
        assert requests.post(f"{url}/1/{word}", json=body, timeout=30).status_code == 200, word
    case = requests.get(f"{url}/1", timeout=30).json()
    assert case["state"] == "answered" and case["opinions"][0]["reader"] == "anonymous"
    document = requests.get(f"{server.url}/api/v1/openapi.json", timeout=30).json()
    assert document["openapi"].startswith("3.1") and "/api/v1/cases/{number}/sign" in document["paths"]
