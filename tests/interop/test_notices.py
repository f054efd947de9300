"""Notices (issue 7, part 11) through public doors: a webhook in Python that verifies each call with an HMAC of its own, aiosmtpd for
mail, the JSON API and STOW-RS for what happens, kill -9 for what must not be lost."""

import json
import re
import threading
import time

import pytest
import requests

from harness import made, people, wait, web
from harness.certificates import Authority
from harness.notices import SECRET, Mailbox, Nobody, Receiver, passcode_is
from harness.people import bearer

IMPRESSION = {"findings": "Höhenminderung L1.", "impression": "Fracture of L1.", "confidence": "high"}
DIFFERS = {"agreement": "major-discrepancy", "significance": "likely", "management": "more-conservative", "stage": "unchanged"}
PATIENT = "Geheim^Gerda"
ADDRESSES = {name: f"{name}@example.org" for name in ("rita", "anna", "bert", "root")}


class House:
    """A server with a study and people, and notices as a test wants them."""

    def __init__(self, start, tmp_path, url=None, *, hooks=None, **notices):
        (tmp_path / "secret").write_text(SECRET + "\n")
        hooks = hooks if hooks is not None else {"chat": url} if url else {}
        config = {
            "notices": {"webhooks": [f"{name} = {url} secret-file {tmp_path / 'secret'}" for name, url in hooks.items()], "retry_s": 1} | notices,
            "http": {"public_url": "https://pacs.example.org/overread"},
        }
        self.server = start(config=config)
        self.study = made.uid()
        self.patient = {"PatientName": PATIENT, "PatientID": "GEHEIM-1"}
        self.store(*made.study(2, study=self.study, **self.patient))
        roles = {"root": "administrator", "rita": "requester", "anna": "reader", "bert": "reader"}
        self.tokens = {}
        for name, role in roles.items():
            done = self.shell(f"user add {name} --role {role} --email {ADDRESSES[name]}", stdin=people.PASSCODE + "\n")
            assert done.returncode == 0, done.stderr
            self.tokens[name] = people.token(self.server, name)[1]
        for name in ("anna", "bert"):
            assert self.shell(f"case pools {name} neuro").returncode == 0
        people.closed(self.server)

    def shell(self, command, *args, stdin=None):
        return people.shell(self.server, command, *args, stdin=stdin)

    def store(self, *objects):
        session = requests.Session()
        session.headers.update(bearer(getattr(self, "tokens", {}).get("root", "")) if hasattr(self, "tokens") else {})
        assert web.stow(self.server, [made.file(ds) for ds in objects], session=session).status_code == 200

    def ask(self, method, path, who, body=None):
        return requests.request(method, f"{self.server.url}/api/v1/cases{path}", json=body, headers=bearer(self.tokens[who]), timeout=60)

    def act(self, number, word, who, body=None, status=200):
        answer = self.ask("POST", f"/{number}/{word}", who, body)
        assert answer.status_code == status, (word, who, answer.status_code, answer.text)
        return answer.json()

    def open(self, *readers, **fields):
        readers = [{"pool": name} if name == "neuro" else {"account": name} for name in readers or ("anna",)]
        body = {"study_instance_uid": self.study, "question": "Is it a fracture of Gerda?", "subspecialty": "neuro", "needs_complete": False,
                "blinded": True, "first_report": {"text": "Geheimer Befund."}, "readers": readers}  # fmt: skip
        answer = self.ask("POST", "", "rita", body | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()["number"]

    def sign(self, number, who="anna"):
        self.act(number, "claim", who)
        self.act(number, "commit", who, IMPRESSION)
        return self.act(number, "sign", who, DIFFERS)

    def listed(self, *flags):
        done = self.shell("notices list --json", *flags)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def pause(self, destination):
        """Why nothing goes to a destination at present, or None."""
        [found] = [listed for listed in self.listed()["destinations"] if listed["destination"] == destination]
        return found["pause"] and found["pause"]["reason"]

    def is_paused(self, destination="chat"):
        return self.metrics(destination).get("paused") == 1

    def metrics(self, destination="chat"):
        text = requests.get(f"{self.server.url}/metrics", headers=bearer(self.tokens["root"]), timeout=30).text
        found = re.findall(rf'^overread_notices_(\w+)\{{destination="{destination}"\}} (\d+)$', text, re.MULTILINE)
        return {what: int(value) for what, value in found}


def came(receiver, number, *events, seconds=20):
    """Waits until these, and no others, have come of a case, in this order."""
    expected = [f"case.{event}" for event in events]
    try:
        wait.until(lambda: len(receiver.events(number)) >= len(expected), "all have come", seconds)
    except AssertionError:
        raise AssertionError(f"{receiver.events(number)} instead of {expected}") from None
    assert receiver.events(number) == expected


def test_a_case_is_told_from_opening_to_a_late_image(start, tmp_path):
    with Receiver() as hook, Mailbox() as mail:
        house = House(start, tmp_path, hook.url, email_server=mail.server, email_tls="off", email_from="overread@example.org")
        number = house.open("anna", needs_complete=True, due="2099-01-31T12:00:00Z")
        came(hook, number, "opened")
        house.act(number, "complete", "rita")
        came(hook, number, "opened", "assigned")
        house.sign(number)
        story = ["opened", "assigned", "claimed", "signed", "answered"]
        came(hook, number, *story)
        opinion = house.ask("GET", f"/{number}", "rita").json()["opinions"][0]["id"]
        # A wrong answer is refused, and nobody hears of it.
        body = {"corrects": opinion, "reason": "", "impression": IMPRESSION, "comparison": DIFFERS}
        house.act(number, "correct", "anna", body, status=400)
        house.act(number, "withdraw", "rita", status=409)
        house.act(number, "correct", "anna", body | {"reason": "wrong level"})
        house.act(number, "adjudicate", "rita", {"opinions": [opinion + 1], "reader": {"account": "bert"}})
        story += ["corrected", "adjudication_asked"]
        came(hook, number, *story)
        house.store(made.instance(study=house.study, **house.patient))
        story += ["images_changed"]
        came(hook, number, *story)
        # Which case, what and when; nothing of the patient, the question, the report or the opinion.
        assert len({call["id"] for call in hook.calls}) == len(hook.calls) == len(story)
        told = b"".join(call["raw"] for call in hook.calls)
        for text in ("Geheim", "GEHEIM", "Gerda", "fracture", "Fracture", "discrepancy", SECRET):
            assert text.encode() not in told, text
        states = [call["data"]["state"] for call in hook.taken]
        assert states == ["open", "open", "in-review", "answered", "answered", "answered", "in-review", "in-review"]
        revisions = [call["data"]["revision"] for call in hook.taken]
        assert revisions == sorted(revisions)
        assigned = hook.taken[1]
        assert assigned["data"] == {
            "number": number, "revision": 2, "state": "open", "study_instance_uid": house.study, "due": "2099-01-31T12:00:00.000Z",
            "task": {"place": 1, "asked": {"account": "anna"}}, "url": f"https://pacs.example.org/overread/cases/{number}",
        }  # fmt: skip
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", assigned["timestamp"])
        assert assigned["headers"]["content-type"] == "application/json" and assigned["path"] == "/hook?of=overread"
        # Mail goes to those whom it concerns.
        case = f"Case {number}: "
        wait.until(lambda: len(mail.mails) == 6, "all mails have come", 20)
        assert mail.to(ADDRESSES["anna"]) == [case + "you are asked to read it", case + "images have changed since an opinion was signed"]
        assert mail.to(ADDRESSES["bert"]) == [case + "you are asked to judge between opinions"]
        assert mail.to(ADDRESSES["rita"]) == [case + what for what in (
            "it was answered", "an opinion was corrected", "images have changed since an opinion was signed")]  # fmt: skip
        for message, envelope in zip(mail.mails, mail.envelopes):
            assert envelope.mail_from == message["From"] == "overread@example.org" and envelope.rcpt_tos == [message["To"]]
            assert message["Auto-Submitted"] == "auto-generated" and message.get_content_type() == "text/plain"
            text = message.get_content()
            assert f"https://pacs.example.org/overread/cases/{number}" in text
            assert not re.search("geheim|gerda|fracture", envelope.content.decode(), re.IGNORECASE)
        assert len({message["Message-ID"] for message in mail.mails}) == 6
        # What was delivered is counted, and can be looked at.
        done = {"waiting": 0, "failed": 0, "paused": 0}
        for name, count in {"chat": 8, "email": 6}.items():
            wait.until(lambda: house.metrics(name) == done | {"delivered_total": count}, "all are counted")
        assert house.listed()["notices"] == [] and len(house.listed("--all")["notices"]) == 14
        assert "delivered" in house.shell("notices list --all").stdout
        # Logs name neither people nor secrets.
        log = house.server.log()
        assert not re.search("geheim|gerda|@example.org|" + SECRET[6:20].replace("+", "."), log, re.IGNORECASE)


def test_every_end_of_a_case_is_told(start, tmp_path):
    with Receiver() as hook, Mailbox() as mail:
        house = House(start, tmp_path, hook.url, email_server=mail.server, email_tls="off", email_from="overread@example.org")
        number = house.open("anna", "neuro")
        # Who has given it back before the mail went is not asked any more: one step after the other.
        came(hook, number, "opened", "assigned", "assigned")
        house.act(number, "claim", "anna")
        house.act(number, "give-back", "anna", {"reason": "away"})
        house.act(number, "claim", "bert")
        house.act(number, "withdraw", "rita")
        came(hook, number, "opened", "assigned", "assigned", "claimed", "given_back", "claimed", "withdrawn")
        assert [call["data"]["task"] and call["data"]["task"]["asked"] for call in hook.taken] == [
            None, {"account": "anna"}, {"pool": "neuro"}, {"account": "anna"}, {"account": "anna"}, {"pool": "neuro"}, None]  # fmt: skip
        case = f"Case {number}: "
        wait.until(lambda: len(mail.mails) == 5, "all mails have come", 20)
        asked = case + "you are asked to read it"
        # Once as herself and once as one of the pool: these are two tasks.
        assert mail.to(ADDRESSES["anna"]).count(asked) == 2
        assert sorted(mail.to(ADDRESSES["bert"])) == sorted([asked, case + "no answer is wanted any more"])
        assert mail.to(ADDRESSES["rita"]) == [case + "a reader has given it back unanswered"]

        # One whose task ends alone hears of it, and the case goes on.
        goes_on = house.open("anna", "bert")
        came(hook, goes_on, "opened", "assigned", "assigned")
        assert house.ask("POST", f"/{goes_on}/tasks/2/end", "rita").status_code == 200
        house.sign(goes_on)
        came(hook, goes_on, "opened", "assigned", "assigned", "task_ended", "claimed", "signed", "answered")
        [ended] = [call["data"]["task"] for call in hook.taken if call["type"] == "case.task_ended"]
        assert ended == {"place": 2, "asked": {"account": "bert"}}
        case = f"Case {goes_on}: "
        wait.until(lambda: case + "it was answered" in mail.to(ADDRESSES["rita"]), "all mails have come", 20)
        told = [subject for subject in mail.to(ADDRESSES["bert"]) if subject.startswith(case)]
        assert told == [case + "you are asked to read it", case + "a request to you was taken back"]
        assert not any("taken back" in subject for subject in mail.to(ADDRESSES["anna"]))

        # Who was let go hears no more when the case ends; whose task ends with it does.
        withdrawn = house.open("anna", "bert")
        came(hook, withdrawn, "opened", "assigned", "assigned")
        assert house.ask("POST", f"/{withdrawn}/tasks/2/end", "rita").status_code == 200
        house.act(withdrawn, "withdraw", "rita")
        came(hook, withdrawn, "opened", "assigned", "assigned", "task_ended", "withdrawn")
        case = f"Case {withdrawn}: "
        ended = case + "no answer is wanted any more"
        wait.until(lambda: ended in mail.to(ADDRESSES["anna"]), "all mails have come", 20)
        later = house.open("bert")
        wait.until(lambda: f"Case {later}: you are asked to read it" in mail.to(ADDRESSES["bert"]), "what was queued after it", 20)
        told = [subject for subject in mail.to(ADDRESSES["bert"]) if subject.startswith(case)]
        assert told == [case + "you are asked to read it", case + "a request to you was taken back"]

        answered = house.open("anna")
        house.sign(answered)
        house.act(answered, "close", "rita")
        came(hook, answered, "opened", "assigned", "claimed", "signed", "answered", "closed")


def test_time_is_told_once(start, tmp_path):
    with Receiver() as hook, Mailbox() as mail:
        house = House(start, tmp_path, hook.url, email_server=mail.server, email_tls="off", email_from="overread@example.org", due_soon_h=1)
        now = time.time()
        moment = lambda s: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + s))  # noqa: E731
        # Due within the hour when it is opened: who is asked knows that.
        number = house.open("anna", due=moment(10), expires=moment(20))
        # Hardly more than an hour ahead: soon comes in a moment, but not before it is opened.
        later = house.open("anna", due=moment(3615))
        came(hook, number, "opened", "assigned", "overdue", "expired", seconds=40)
        came(hook, later, "opened", "assigned", "due_soon", seconds=30)
        case = f"Case {number}: "
        wait.until(lambda: len(mail.mails) == 7, "all mails have come", 20)
        ends = [case + "the answer is overdue", case + "it has expired unanswered"]
        assert mail.to(ADDRESSES["rita"]) == ends
        assert [text for text in mail.to(ADDRESSES["anna"]) if text.startswith(case)] == [case + "you are asked to read it", *ends]
        assert f"Case {later}: the answer is wanted soon" in mail.to(ADDRESSES["anna"])
        # Nor again after a restart.
        house.server.restart()
        house.act(later, "withdraw", "rita")
        came(hook, later, "opened", "assigned", "due_soon", "withdrawn")
        assert hook.events(number).count("case.overdue") == 1


def test_what_is_not_taken_is_tried_again_and_the_case_waits_behind_it(start, tmp_path):
    bad = set()

    def answer(_, call):
        return 500 if call["data"]["number"] in bad and call["type"] == "case.opened" else 200

    with Receiver(answer) as hook:
        house = House(start, tmp_path, hook.url)
        bad.add(1)
        first, second = house.open("anna"), house.open("bert")
        assert first == 1
        came(hook, second, "opened", "assigned")
        wait.until(lambda: len([call for call in hook.calls if call["data"]["number"] == first]) >= 2, "it is tried again")
        assert hook.events(first) == []
        [waiting] = [notice for notice in house.listed()["notices"] if notice["reason"]]
        assert (waiting["state"], waiting["reason"], waiting["case"]) == ("waiting", "it answers HTTP 500", first)
        bad.clear()
        came(hook, first, "opened", "assigned")
        # Each attempt has the id of its notice: who has had it knows it again.
        attempts = {call["id"] for call in hook.calls if call["data"]["number"] == first and call["type"] == "case.opened"}
        assert len(attempts) == 1


def test_who_is_down_gets_all_in_order_later(start, tmp_path):
    with Nobody() as nobody:
        house = House(start, tmp_path, f"http://127.0.0.1:{nobody.port}/hook")
        number = house.open("anna")
        house.sign(number)
        wait.until(house.is_paused, "it is noticed")
        assert house.metrics()["waiting"] >= 1
        [chat] = house.listed()["destinations"]
        assert chat["pause"]["reason"].startswith("no connection") and not chat["pause"]["gone"]
        with Receiver(port=nobody.port) as hook:
            came(hook, number, "opened", "assigned", "claimed", "signed", "answered", seconds=40)
            wait.until(lambda: house.metrics()["paused"] == 0, "it can be reached again")
            assert len(hook.calls) == 5


def test_nothing_is_lost_when_the_power_goes(start, tmp_path):
    held, go_on = threading.Event(), threading.Event()

    def answer(number, _call):
        if number == 1:
            # The server is killed while it waits for this answer.
            held.set()
            go_on.wait(30)
            return None
        return 200

    with Receiver(answer) as hook:
        house = House(start, tmp_path, hook.url)
        number = house.open("anna")
        assert held.wait(20)
        # A refused change, and one whose answer nobody has heard.
        house.act(number, "close", "rita", status=409)
        house.act(number, "claim", "anna")
        house.server.kill()
        go_on.set()
        house.server.start()
        came(hook, number, "opened", "assigned", "claimed")
        # The first was sent twice, as the same.
        assert hook.calls[0]["id"] == hook.calls[1]["id"] == hook.taken[0]["id"] and len(hook.calls) == 4
        # Killed right after a change, again and again: each is told, and what comes twice is the same.
        done = []
        for who, word in [("anna", "give-back"), ("rita", "withdraw")]:
            if word == "give-back":
                house.act(number, word, who, {"reason": "away"})
            else:
                house.act(number, word, who)
            house.server.kill()
            done.append(word)
            house.server.start()
        story = [f"case.{event}" for event in ("opened", "assigned", "claimed", "given_back", "withdrawn")]
        wait.until(lambda: "case.withdrawn" in hook.events(number), "all have come", 20)
        # At least once: what was taken, and not noted when the power went, comes again under its id.
        assert [call["type"] for call in {call["id"]: call for call in hook.taken}.values()] == story
        # What the trail has, the queue has: neither without the other.
        trail = [row["detail"] for row in people.trail(house.server) if row["object"] == f"case {number}" and row["outcome"] == "0"]
        assert sum("withdrawn" in detail for detail in trail) == 1 and sum("given back" in detail for detail in trail) == 1
        assert house.shell("audit verify").returncode == 0


def test_what_a_command_opens_without_a_server_is_told_at_its_start(start, tmp_path):
    with Receiver() as hook:
        house = House(start, tmp_path, hook.url)
        assert house.server.stop() == 0
        done = house.shell("case open", house.study, "--question", "Is it?", "--subspecialty", "neuro", "--reader", "anna", "--complete")
        assert done.returncode == 0, done.stderr
        assert hook.calls == []
        house.server.start()
        came(hook, None, "opened", "assigned")


def test_it_is_given_up_after_a_time_and_seen(start, tmp_path):
    is_mended = threading.Event()
    with Receiver(lambda *_: 200 if is_mended.is_set() else 500) as hook:
        house = House(start, tmp_path, hook.url, give_up_s=1)
        number = house.open("anna")
        wait.until(lambda: house.metrics().get("failed") == 2, "both are given up", 40)
        listed = house.listed()["notices"]
        assert [(notice["event"], notice["state"], notice["attempts"] >= 3) for notice in listed] == [
            ("case.opened", "failed", True), ("case.assigned", "failed", True)]  # fmt: skip
        assert "given up: see overread notices list" in house.server.log()
        assert "failed" in house.shell("notices list").stdout
        is_mended.set()
        assert "2 notices" in house.shell("notices retry --all").stdout
        came(hook, number, "opened", "assigned")
        wait.until(lambda: house.listed()["notices"] == [], "it is noted that they have come")
        is_mended.clear()
        house.act(number, "withdraw", "rita")
        wait.until(lambda: house.metrics().get("failed") == 1, "it is given up", 40)
        assert "0 notices" in house.shell("notices forget --case 99").stdout
        assert "1 notices" in house.shell(f"notices forget --case {number}").stdout
        assert house.metrics()["failed"] == 0 and house.listed()["notices"] == []
        assert any("notices to anybody forgotten" in row["detail"] for row in people.trail(house.server))
        assert house.shell("notices forget").returncode == 2


def test_who_is_gone_is_called_no_more(start, tmp_path):
    is_back, are_queued = threading.Event(), threading.Event()

    def answer(*_):
        # Only what is queued by then fails.
        are_queued.wait(15)
        return 200 if is_back.is_set() else 410

    with Receiver(answer) as gone, Receiver() as other:
        house = House(start, tmp_path, hooks={"gone": gone.url, "other": other.url})
        first = house.open("anna")
        came(other, first, "opened", "assigned")
        are_queued.set()
        wait.until(lambda: house.metrics("gone").get("failed") == 2, "all have failed")
        second = house.open("anna")
        came(other, second, "opened", "assigned")
        house.server.restart()
        assert len(gone.calls) == 1 and "wants nothing any more" in house.shell("notices list").stdout
        is_back.set()
        assert house.shell("notices retry --to gone").returncode == 0
        came(gone, first, "opened", "assigned")
        assert gone.events(second) == []
        house.act(second, "withdraw", "rita")
        came(gone, second, "withdrawn")


def test_a_receiver_may_be_hostile(start, tmp_path):
    """What it leads to is not followed, and what it says is not read."""
    trap = Receiver()
    answers = {
        1: (307, {"Location": trap.url}),
        2: (200, {"Content-Length": str(1 << 40)}),
        3: (503, {"Retry-After": "1"}),
        4: (503, {"X": "y" * 60_000}),
    }
    with trap, Receiver(lambda number, _: answers.get(number, 200)) as hook:
        house = House(start, tmp_path, hook.url)
        number = house.open("anna")
        wait.until(lambda: len(hook.calls) >= 4, "it is called again", 40)
        came(hook, number, "opened", "assigned", seconds=40)
        assert trap.calls == []
        # The endless body of the second was an answer all the same; its head said so.
        assert [call["type"] for call in hook.calls[:3]] == ["case.opened", "case.opened", "case.assigned"]
        assert house.server.memory_peak_bytes() < 400 << 20


def test_who_says_nothing_or_little_is_left_in_time_and_holds_up_nobody(start, tmp_path):
    go_on = threading.Event()

    def silent(number, _call):
        if number > 1:
            return 200
        # Far longer than a call may take.
        go_on.wait(120)
        return None

    def dribbles(number, _call):
        return (200, {"X": "y" * 60}, 1) if number == 1 else 200

    with Receiver(silent) as mute, Receiver(dribbles) as slow, Receiver() as other:
        house = House(start, tmp_path, hooks={"mute": mute.url, "slow": slow.url, "other": other.url})
        begun = time.monotonic()
        first = house.open("anna")
        wait.until(lambda: mute.calls and slow.calls, "both were called")
        # Others go on meanwhile.
        came(other, first, "opened", "assigned")
        second = house.open("bert")
        came(other, second, "opened", "assigned")
        assert len(mute.calls) == len(slow.calls) == 1
        assert house.metrics("mute") == house.metrics("slow") == {"waiting": 4, "failed": 0, "paused": 0, "delivered_total": 0}
        for name in ("mute", "slow"):
            wait.until(lambda: house.metrics(name)["delivered_total"] == 4, "it is left, and called again", 40)
        assert time.monotonic() - begun > 20
        assert len(re.findall("no answer in time", house.server.log())) == 2
        for hook in (mute, slow):
            assert hook.calls[0]["id"] == hook.calls[1]["id"]
            assert hook.events(second) == ["case.opened", "case.assigned"]
        go_on.set()


def test_what_waits_for_a_receiver_that_is_configured_no_more_is_given_up(start, tmp_path):
    with Nobody() as nobody, Receiver() as other:
        house = House(start, tmp_path, hooks={"gone": f"http://127.0.0.1:{nobody.port}/", "other": other.url}, give_up_s=86400)
        number = house.open("anna")
        came(other, number, "opened", "assigned")
        wait.until(lambda: house.is_paused("gone"), "it is noticed")
        assert house.metrics("gone")["waiting"] == 2
        settings = house.server.config["notices"]
        settings["webhooks"] = [text for text in settings["webhooks"] if text.startswith("other")]
        # As long as it could come back, it waits; what is tidied first is tidied at the start.
        house.server.restart()
        house.act(number, "claim", "anna")
        came(other, number, "opened", "assigned", "claimed")
        assert house.metrics("gone")["waiting"] == 2
        settings["give_up_s"] = 1
        house.server.restart()
        # (A minute later, should this have taken less than a second.)
        wait.until(lambda: house.metrics("gone").get("failed") == 2, "it is given up", 90)
        assert {notice["reason"] for notice in house.listed()["notices"]} == {"it is not configured any more"}
        house.act(number, "withdraw", "rita")
        came(other, number, "opened", "assigned", "claimed", "withdrawn")


def test_a_secret_is_changed_without_a_gap(start, tmp_path):
    import base64

    other = base64.b64decode("c2l4dHktZm91ciBieXRlcyBhcmUgdGhlIG1vc3QhISE=")
    with Receiver() as old, Receiver(key=other) as new:
        house = House(start, tmp_path, hooks={"old": old.url, "new": new.url})
        (tmp_path / "secret").write_text(f"whsec_{base64.b64encode(other).decode()}\n{SECRET}\n")
        number = house.open("anna")
        for hook in (old, new):
            came(hook, number, "opened", "assigned")
        (tmp_path / "secret").write_text("whsec_short\n")
        house.act(number, "withdraw", "rita")
        for name in ("old", "new"):
            wait.until(lambda: house.is_paused(name), "nothing goes unsigned")
            assert "whsec_" in house.pause(name)
        assert "short" not in house.server.log()
        (tmp_path / "secret").write_text(f"whsec_{base64.b64encode(other).decode()}\n{SECRET}\n")
        for hook in (old, new):
            came(hook, number, "opened", "assigned", "withdrawn")
    done = house.shell("notices secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=\n", done.stdout)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("way", ["starttls", "implicit"])
def test_mail_goes_over_tls_with_a_passcode(start, tmp_path, authority, way):
    context = authority.issue(f"mail-{way}").context(server=True)
    (tmp_path / "passcode").write_text("sesame open\n")
    options = {"authenticator": passcode_is("overread", "sesame open"), "auth_required": True}
    options |= {"tls_context": context, "require_starttls": True} if way == "starttls" else {"ssl_context": context, "auth_require_tls": False}
    with Mailbox(**options) as mail:
        notices = {"email_server": mail.server, "email_tls": way, "email_from": "overread@example.org", "email_user": "overread",
                   "email_passcode": str(tmp_path / "passcode"), "email_trusted_certificates": str(authority.certificate)}  # fmt: skip
        house = House(start, tmp_path, **notices)
        number = house.open("anna")
        wait.until(lambda: mail.mails, "the mail has come", 20)
        assert mail.to(ADDRESSES["anna"]) == [f"Case {number}: you are asked to read it"]
        # (Of TLS from the start the session knows nothing; without it there would be none.)
        assert mail.sessions == [(way == "starttls", True)]
        # A passcode that is wrong, or a certificate of nobody we trust: nothing is sent, and it says why.
        (tmp_path / "passcode").write_text("wrong\n")
        house.act(number, "withdraw", "rita")
        wait.until(lambda: house.is_paused("email"), "it is noticed")
        assert "535" in house.pause("email")
        (tmp_path / "passcode").write_text("sesame open\n")
        wait.until(lambda: len(mail.mails) == 2, "the mail has come", 30)
        log = house.server.log()
        assert "sesame" not in log and "wrong" not in log


def test_mail_is_not_handed_to_a_stranger(start, tmp_path, authority):
    stranger = Authority(tmp_path / "strangers", "Stranger")
    with Mailbox(tls_context=stranger.issue("mail").context(server=True), require_starttls=True) as mail:
        notices = {"email_server": mail.server, "email_tls": "starttls", "email_from": "overread@example.org",
                   "email_trusted_certificates": str(authority.certificate)}  # fmt: skip
        house = House(start, tmp_path, **notices)
        house.open("anna")
        wait.until(lambda: house.is_paused("email"), "it is noticed")
        assert "TLS" in house.pause("email") and mail.mails == []
    # Nor to a server that has no TLS at all.
    with Mailbox() as mail:
        house = House(start, tmp_path, email_server=mail.server, email_tls="starttls", email_from="overread@example.org")
        house.open("anna")
        wait.until(lambda: house.is_paused("email"), "it is noticed")
        assert "STARTTLS" in house.pause("email") and mail.mails == []


def test_mail_goes_to_those_who_still_have_an_address_and_a_part(start, tmp_path):
    answers = {("RCPT", ADDRESSES["bert"]): "550 no such user"}
    with Mailbox(lambda *asked: answers.get(asked)) as mail:
        house = House(start, tmp_path, email_server=mail.server, email_tls="off", email_from="overread@example.org")
        number = house.open("neuro")
        # Who is not there is given up at once; it holds up nobody.
        wait.until(lambda: house.metrics("email").get("failed") == 1, "it has failed")
        wait.until(lambda: mail.to(ADDRESSES["anna"]), "the other has come")
        [failed] = house.listed()["notices"]
        assert (failed["account"], failed["reason"]) == ("bert", "the mail server answers 550")
        assert house.shell("user set anna --no-email").returncode == 0
        assert house.shell("user set bert --email bert.new@example.org").returncode == 0
        assert house.shell("notices retry --to email").returncode == 0
        wait.until(lambda: mail.to("bert.new@example.org") == [f"Case {number}: you are asked to read it"], "to where he is now")
        # No address, not a reader any more, not let in: none of them hears of the next one.
        assert house.shell("user disable bert").returncode == 0
        assert house.shell("user set rita --email rita@example.org --roles requester,reader").returncode == 0
        assert house.shell("case pools rita neuro").returncode == 0
        house.open("neuro")
        wait.until(lambda: len(mail.to(ADDRESSES["rita"])) == 1, "who is of the pool now")
        assert len(mail.to(ADDRESSES["anna"])) == 1 and len(mail.mails) == 3


@pytest.mark.parametrize(("step", "code"), [("EHLO", 550), ("MAIL", 553), ("DATA", 550)])
def test_what_a_mail_server_says_of_us_is_not_said_of_whom_it_is_for(start, tmp_path, step, code):
    """A server that blocks us, or does not like a mail, knows everybody all the same: nothing has failed for good."""
    is_mended = threading.Event()
    with Mailbox(lambda at, _: f"{code} blocked" if at == step and not is_mended.is_set() else None) as mail:
        house = House(start, tmp_path, email_server=mail.server, email_tls="off", email_from="overread@example.org")
        number = house.open("anna", "bert")
        if step == "DATA":
            refused = ["the mail server answers 550"] * 2
            wait.until(lambda: [notice["reason"] for notice in house.listed()["notices"]] == refused, "each is refused")
            assert house.pause("email") is None and house.metrics("email")["waiting"] == 2
        else:
            # The server is left alone after the first.
            wait.until(lambda: house.is_paused("email"), "it is noticed")
            assert house.pause("email") == f"the mail server answers {code}"
        assert house.metrics("email")["failed"] == 0 and mail.mails == []
        is_mended.set()
        wait.until(lambda: len(mail.mails) == 2, "both mails have come", 30)
        for who in ("anna", "bert"):
            assert mail.to(ADDRESSES[who]) == [f"Case {number}: you are asked to read it"]


def test_settings_that_give_away_are_refused(start, tmp_path):
    from harness.server import run

    refused = {
        "OVERREAD_NOTICES__WEBHOOKS": "a = http://192.0.2.1/ secret-file s",
        "OVERREAD_NOTICES__EMAIL_USER": "x",
    }
    for name, value in refused.items():
        done = run("serve", "--data-dir", tmp_path / "d", env={name: value}, timeout=20)
        assert done.returncode == 1 and "notices." in done.stderr, done.stderr
    mail = {"OVERREAD_NOTICES__EMAIL_SERVER": "mail.example.org", "OVERREAD_NOTICES__EMAIL_FROM": "a@example.org", "OVERREAD_NOTICES__EMAIL_TLS": "off"}
    done = run("serve", "--data-dir", tmp_path / "d", env=mail, timeout=20)
    assert done.returncode == 1 and "this machine" in done.stderr, done.stderr
    done = run("user", "add", "x", "--role", "viewer", "--email", "x@example.org\nBcc: y@example.org", "--data-dir", tmp_path / "d", timeout=20)
    assert done.returncode == 2 and "address" in done.stderr


def test_nothing_is_kept_where_nobody_is_told(start, tmp_path):
    house = House(start, tmp_path)
    house.open("anna")
    house.server.restart()
    assert house.listed("--all") == {"destinations": [], "notices": []}
    assert house.metrics() == {}
