"""What requesters do when a case does not go as it should (issue 7, parts 1 and 4): end the task of a reader who does not answer, ask
another, see the links of a case and take them back; by API, pages and shell, told to workstations by the workitem."""

import re

import pytest
import requests
from pydicom.dataset import Dataset

from harness import made, people, ups
from harness.granting import now_ms
from harness.people import bearer
from test_cases import DIFFERS, IMPRESSION, House

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module)


def browser(house, name):
    session = requests.Session()
    form = {"name": name, "passcode": people.PASSCODE}
    assert session.post(f"{house.server.url}/sign-in", data=form, timeout=30).status_code == 200
    # As browsers say with each form.
    session.headers["Origin"] = house.server.url
    return session


def end(house, number, task, who, status=200, **headers):
    answer = house.ask("POST", f"/{number}/tasks/{task}/end", who, **headers)
    assert answer.status_code == status, (who, answer.status_code, answer.text)
    return answer.json()


def states(case):
    return [task["state"] for task in case["tasks"]]


def sees(house, who):
    """Whether a reader finds the study of the cases."""
    params = {"StudyInstanceUID": house.study}
    answer = requests.get(f"{house.server.web}/studies", params=params, headers=bearer(house.tokens[who]), timeout=30)
    assert answer.status_code in (200, 204)
    return bool(answer.content and answer.json())


def reason(house, workitem):
    kept = Dataset.from_json(house.ups("GET", f"/workitems/{workitem}").text)
    progress = kept.ProcedureStepProgressInformationSequence[0]
    return kept.ProcedureStepState, progress.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue


def test_the_case_goes_on_without_a_reader_who_does_not_answer(start):
    house = House(start)
    number = house.open(readers=[{"account": "anna"}, {"account": "carl"}, {"pool": "neuro"}])
    anna, carl, pool = (house.workitem(number, place) for place in range(3))
    house.act(number, "claim", "carl")
    house.act(number, "commit", "carl", IMPRESSION)
    assert sees(house, "carl") and "end" in house.show(number)["may"] and "end" not in house.show(number, "carl")["may"]

    # Nobody but who asked, and an administrator.
    for who, status in (("carl", 403), ("bert", 403), ("rosa", 404)):
        end(house, number, 2, who, status)
    end(house, number, 9, "rita", 404)
    for task in ("0", "x", "-1", "99999999999"):
        end(house, number, task, "rita", 404)
    end(house, number, 2, "rita", 412, **{"If-Match": '"1"'})
    case = end(house, number, 2, "rita")
    assert (case["state"], states(case)) == ("open", ["waiting", "ended", "waiting"]), "nobody of the others has begun"
    assert reason(house, carl) == ("CANCELED", "110500")
    assert not sees(house, "carl")
    for word, body in (("sign", DIFFERS), ("commit", IMPRESSION), ("give-back", None), ("claim", None)):
        house.act(number, word, "carl", body, status=409)
    end(house, number, 2, "rita", 409)

    # The others answer, and the pool is waited for until it is ended too.
    house.signed(number, "anna")
    assert house.show(number)["state"] == "in-review"
    case = end(house, number, 3, "root")
    assert (case["state"], states(case)) == ("answered", ["signed", "ended", "ended"])
    assert house.state(pool) == "CANCELED" and house.state(anna) == "COMPLETED"
    end(house, number, 1, "rita", 409)
    told = [(row["who"], row["detail"]) for row in house.trail(number) if "ended" in row["detail"] and row["outcome"] == "0"]
    assert told == [("rita", "task 2: ended, carl is no longer waited for"), ("root", "task 3: ended, pool neuro is no longer waited for")]
    assert house.shell("audit verify").returncode == 0
    assert house.act(number, "close", "rita")["state"] == "closed"


def test_another_is_asked_when_nobody_is_left(house):
    number = house.open(readers=[{"account": "anna"}])
    assert end(house, number, 1, "rita")["state"] == "open"
    case = house.act(number, "assign", "rita", {"reader": {"account": "bert"}})
    assert states(case) == ["ended", "waiting"]
    # Who was ended may be asked again, at the shell too.
    assert house.shell("case ask", number, "--reader", "anna").returncode == 0
    assert house.shell("case ask", number, "--reader", "anna").returncode == 1
    assert house.shell("case ask", number).returncode == 2
    assert states(house.show(number)) == ["ended", "waiting", "waiting"]
    done = house.shell(f"case end {number} 2")
    assert done.returncode == 0 and "is open" in done.stdout
    assert house.shell(f"case end {number} 2").returncode == 1
    assert house.signed(number, "anna")["state"] == "answered"


def test_a_workstation_is_asked_to_stop_and_changes_nothing(house):
    number = house.open(readers=[{"account": "carl"}, {"account": "anna"}])
    item, transaction = house.workitem(number), made.uid()
    claim = Dataset()
    claim.ProcedureStepState, claim.TransactionUID = "IN PROGRESS", transaction
    assert house.ups("PUT", f"/workitems/{item}/state", claim).status_code == 200
    assert house.show(number)["tasks"][0]["is_at_workstation"]
    assert states(end(house, number, 1, "rita"))[0] == "ended"
    house.signed(number, "anna")
    assert house.state(item) == "IN PROGRESS", "what a workstation has claimed, it alone ends"
    assert house.ups("POST", f"/workitems/{item}", ups.performed(), {"transaction-uid": transaction}).status_code == 200
    claim.ProcedureStepState = "COMPLETED"
    assert house.ups("PUT", f"/workitems/{item}/state", claim).status_code == 200
    case = house.show(number)
    assert (case["state"], states(case)) == ("answered", ["ended", "signed"])


def test_a_task_is_ended_on_the_page(house):
    number = house.open(readers=[{"account": "anna"}, {"account": "bert"}])
    house.signed(number, "anna")
    rita = browser(house, "rita")
    page = rita.get(f"{house.server.url}/cases/{number}", timeout=30).text
    assert f'action="{number}/tasks/2/end"' in page and f"{number}/tasks/1/end" not in page
    assert "/end" not in browser(house, "bert").get(f"{house.server.url}/cases/{number}", timeout=30).text
    url = f"{house.server.url}/cases/{number}/tasks/2/end"
    assert rita.post(url, headers={"Origin": "https://evil.example"}, timeout=30).status_code == 403
    assert browser(house, "bert").post(url, timeout=30).status_code == 403
    assert house.show(number)["state"] == "in-review"
    answer = rita.post(url, timeout=30)
    assert answer.status_code == 200 and answer.url.endswith(f"/cases/{number}") and "answered" in answer.text
    refused = rita.post(url, timeout=30)
    assert refused.status_code == 409 and "role=\"alert\"" in refused.text


def share(house, number, **changes):
    body = {"case": number, "to": "reader", "studies": [], "expires_ms": now_ms() + HOUR_MS, "label": "Dr. Ünal"} | changes
    answer = requests.post(f"{house.server.url}/api/v1/grants", json=body, headers=bearer(house.tokens["rita"]), timeout=30)
    assert answer.status_code == 201, answer.text
    return answer.json()


def opened(link):
    """A browser that has followed a link, and pressed its button."""
    session = requests.Session()
    answer = session.post(link, timeout=30)
    assert answer.status_code == 200, answer.status_code
    return session


def test_links_are_seen_and_taken_back(house):
    number = house.open(readers=[{"account": "anna"}])
    given = share(house, number)
    studies = [{"study_instance_uid": house.study, "view": "whole"}]
    look = share(house, number, to="link", studies=studies, label="Maria's <son>", opens_max=2)
    account = share(house, number, to="account", account="carl", studies=studies, label="")
    rita = browser(house, "rita")
    url = f"{house.server.url}/cases/{number}"
    section = lambda text: text[text.index("Links and grants") :].split("</section>")[0]
    text = section(rita.get(url, timeout=30).text)
    assert text.count("<li>") == 3 and text.count("never opened") == 2 and "Maria&#39;s &lt;son&gt;" in text
    # The task of a reader with a link is told in the words that the link was made with.
    assert f"Dr. Ünal (link {given['id']})" in rita.get(url, timeout=30).text

    reader, friend = opened(given["link"]), opened(look["link"])
    opened(look["link"])
    params = {"StudyInstanceUID": house.study}
    assert len(friend.get(f"{house.server.web}/studies", params=params, timeout=30).json()) == 1
    assert reader.get(url, timeout=30).status_code == 200
    text = section(rita.get(url, timeout=30).text)
    assert "opened once, last 20" in text and "opened 2 times, last 20" in text and "opened as often as it may be" in text
    listed = requests.get(f"{house.server.url}/api/v1/grants?case={number}", headers=bearer(house.tokens["rita"]), timeout=30).json()["grants"]
    assert [(grant["opens"], grant["opened_ms"] is None) for grant in listed] == [(1, False), (2, False), (0, True)]
    shown = house.shell(f"case links {number}").stdout
    assert re.search(rf"^{look['id']} +link +Maria's <son> +view +opened as often as it may be .* 2 of 2 ", shown, re.M), shown
    assert re.search(rf"^{account['id']} +account +carl ", shown, re.M) and "Dr. Ünal" in shown

    # Nobody else sees or takes them back.
    assert "Links and grants" not in browser(house, "anna").get(url, timeout=30).text
    for who, status in (("anna", 403), ("rosa", 404)):
        assert browser(house, who).post(f"{url}/links/{look['id']}/revoke", timeout=30).status_code == status
    other = house.open(readers=[{"account": "anna"}])
    assert rita.post(f"{house.server.url}/cases/{other}/links/{look['id']}/revoke", timeout=30).status_code == 404, "of another case"
    assert rita.post(f"{url}/links/{look['id']}/revoke", headers={"Origin": "https://evil.example"}, timeout=30).status_code == 403
    assert friend.get(f"{house.server.web}/studies", params=params, timeout=30).status_code == 200

    answer = rita.post(f"{url}/links/{look['id']}/revoke", timeout=30)
    assert answer.url == url and "taken back" in section(answer.text)
    assert friend.get(f"{house.server.web}/studies", params=params, timeout=30).status_code == 401
    assert rita.post(f"{url}/links/{look['id']}/revoke", timeout=30).status_code == 404, "once"
    # Of a reader at the shell; what they were asked is still open then, and ended by itself.
    assert house.shell(f"case revoke {other} {given['id']}").returncode == 1
    assert house.shell(f"case revoke {number} {given['id']}").returncode == 0
    assert reader.get(f"{url}", timeout=30).status_code == 401
    assert states(house.show(number)) == ["waiting", "waiting"]
    assert states(end(house, number, 2, "rita")) == ["waiting", "ended"]
    # They are there to be seen, and taken back, when the case is over.
    house.act(number, "withdraw", "rita")
    text = section(rita.get(url, timeout=30).text)
    assert text.count("taken back") == 2 and text.count("/revoke") == 1
    assert rita.post(f"{url}/links/{account['id']}/revoke", timeout=30).status_code == 200
    told = [row["detail"] for row in house.trail(number) if "taken back" in row["detail"]]
    assert told == [f"grant {grant['id']} taken back" for grant in (look, given, account)]
    assert house.shell("audit verify").returncode == 0
