"""The worklist `/cases`: what is due is seen and comes first, every view says how many it has, and what others open or change
comes into it while it is looked at. Cases are made by the API; the clock of what is overdue is the ledger's own column."""

import re
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest
import requests
from test_cases import House
from test_pages import judge, sign_in

from harness import people
from harness.browser import Browser

ROWS = "[...document.querySelectorAll('#worklist tr[data-case]')]"


class Ward(House):
    """Five cases: never due, due in a week, due tomorrow, overdue since yesterday, answered and due yesterday."""

    def __init__(self, start):
        super().__init__(start)
        self.never = self.open()
        self.week = self.open(due=self.at(days=7))
        self.tomorrow = self.open(due=self.at(hours=30), readers=[{"pool": "neuro"}])
        self.overdue = self.open(due=self.at(days=1))
        self.answered = self.open(due=self.at(days=2))
        self.signed(self.answered, "anna")
        ledger = sqlite3.connect(self.server.data_dir / "ledger.sqlite", timeout=30)
        with ledger:
            for number in (self.overdue, self.answered):
                ledger.execute("UPDATE second_case SET due_ms = due_ms - ? WHERE number = ?", (int(timedelta(days=3).total_seconds() * 1000), number))
        ledger.close()

    @staticmethod
    def at(**when):
        return (datetime.now(UTC) + timedelta(minutes=10, **when)).isoformat(timespec="seconds").replace("+00:00", "Z")


@pytest.fixture(scope="module")
def ward(start_module):
    return Ward(start_module)


@pytest.fixture
def page(ward, tmp_path):
    with Browser(tmp_path) as browser:
        page = browser.open()
        sign_in(page, ward, "anna")
        yield page


def shown(page):
    return page.evaluate(f"{ROWS}.map((row) => Number(row.dataset.case))")


def goto(page, ward, query=""):
    page.call("goto", f"{ward.server.url}/cases{query}")
    return shown(page)


def counts(page):
    links = page.evaluate("[...document.querySelectorAll('.views a')].map((a) => [a.firstChild.textContent.trim(), a.querySelector('.chip')?.textContent])")
    return {name: int(count) for name, count in links if count is not None}


def due(page, number):
    return page.evaluate(f"document.querySelector('tr[data-case=\"{number}\"] .due').innerText").replace("\n", " ")


def test_what_is_due_is_seen_and_comes_first(ward, page):
    all_of_them = [ward.never, ward.week, ward.tomorrow, ward.overdue, ward.answered]
    assert goto(page, ward) == sorted(all_of_them, reverse=True)
    assert counts(page) == {"Current": 5, "Mine": 4, "My pools": 1, "Due": 3, "Overdue": 1, "All": 5}
    assert due(page, ward.never) == ""
    assert due(page, ward.week).startswith("due in 7 days ") and due(page, ward.tomorrow).startswith("due in 30 hours ")
    assert due(page, ward.overdue).startswith("overdue: 47 hours ago ") or due(page, ward.overdue).startswith("overdue: 2 days ago ")
    # Who was answered is not waited for any more.
    assert "due" not in due(page, ward.answered) and due(page, ward.answered)
    rows = sqlite3.connect(f"file:{ward.server.data_dir}/ledger.sqlite?mode=ro", uri=True).execute("SELECT number, due_ms FROM second_case WHERE due_ms IS NOT NULL")
    for number, due_ms in rows.fetchall():
        assert datetime.fromtimestamp(due_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") in due(page, number)
    assert page.evaluate("[...document.querySelectorAll('tr.overdue')].map((row) => Number(row.dataset.case))") == [ward.overdue]
    page.click("th a:text-is('Due')")
    page.until("document.querySelector('th[aria-sort=ascending]')", "sorted by due")
    by_due = [ward.overdue, ward.answered, ward.tomorrow, ward.week, ward.never]
    assert shown(page) == by_due
    assert goto(page, ward, "?view=due") == [ward.overdue, ward.tomorrow, ward.week]
    assert goto(page, ward, "?view=overdue") == [ward.overdue]
    assert goto(page, ward, "?view=pool") == [ward.tomorrow]
    assert goto(page, ward, "?view=mine&sort=due") == [number for number in by_due if number != ward.tomorrow]
    found = judge(page, "worklist")
    goto(page, ward, "?view=due")
    found += judge(page, "worklist-due")
    assert not found, "\n".join(found)
    assert page.faults() == []


def test_what_others_open_comes_by_itself(ward, page):
    goto(page, ward)
    before = shown(page)
    page.call("focus", f"tr[data-case='{ward.never}'] td.patient a")
    page.evaluate("document.body.dataset.before = 'yes'")
    number = ward.open(question="Come <b>late</b>?")
    page.until(f"{ROWS}.some((row) => row.dataset.case === '{number}')", "the new case", 40)
    assert shown(page) == [number, *before]
    assert page.evaluate("document.querySelector('#news').textContent") == f"New: case {number}."
    assert page.evaluate("[document.querySelector('#news').getAttribute('role'), document.body.dataset.before]") == ["status", "yes"]
    assert page.evaluate(f"document.activeElement.closest('tr')?.dataset.case === '{ward.never}'")
    assert counts(page)["Current"] == len(before) + 1
    page.screenshot("worklist-news")
    ward.act(number, "claim", "anna")
    page.until(f"document.querySelector('#news').textContent === 'Changed: case {number}.'", "the changed case", 40)
    ward.act(number, "withdraw", "rita")
    page.until(f"document.querySelector('#news').textContent === 'No longer here: case {number}.'", "the case that has gone", 40)
    assert shown(page) == before and page.faults() == []


def test_a_list_that_is_as_it_was_is_not_sent_again(ward):
    url = f"{ward.server.url}/cases"
    headers = {"Authorization": f"Bearer {ward.tokens['anna']}"}
    first = requests.get(url, headers=headers, timeout=60)
    tag = first.headers["ETag"]
    again = requests.get(url, headers=headers | {"If-None-Match": tag}, timeout=60)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    other = requests.get(f"{url}?view=mine", headers=headers | {"If-None-Match": tag}, timeout=60)
    assert other.status_code == 200 and other.headers["ETag"] != tag


def test_a_page_ends_where_the_next_begins(ward, page):
    """By due date, where many have the same."""
    moment = ward.at(days=30)
    numbers = [ward.open(due=moment) for _ in range(60)]
    first = goto(page, ward, "?view=due")
    page.click("a[rel=next]")
    page.until(f"{ROWS}[0].dataset.case !== '{first[0]}'", "the next page")
    assert first[:3] == [ward.overdue, ward.tomorrow, ward.week]
    assert first[3:] + shown(page) == numbers
    assert counts(page)["Due"] == 63


def copied(house, number, count):
    """As many cases more as one, each about a study of its own, with a workitem for its task; written past our doors."""
    ledger = sqlite3.connect(house.server.data_dir / "ledger.sqlite", timeout=30)
    names = {table: [row[1] for row in ledger.execute(f"PRAGMA table_info({table})")] for table in ("second_case", "task", "workitem")}

    def copy(table, where, key, **new):
        columns = [name for name in names[table] if name != "id"]
        picked = [f":{name}" if name in new else name for name in columns]
        ledger.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(picked)} FROM {table} WHERE {where} = :key", new | {"key": key})

    with ledger:
        [(workitem,)] = ledger.execute("SELECT workitem FROM task WHERE case_number = ?", (number,))
        for other in range(100_001, 100_001 + count):
            uid = f"2.25.9{other}"
            copy("second_case", "number", number, number=other, study_instance_uid=f"2.25.7{other}")
            copy("task", "case_number", number, case_number=other, workitem=uid)
            copy("workitem", "uid", workitem, uid=uid)
    ledger.close()


def test_a_reader_of_thousands_of_cases_waits_no_longer_than_others(start):
    house = House(start)
    number = house.open(priors=[])
    house.workitem(number)
    house.server.stop()
    copied(house, number, 6000)
    house.server.start()

    class Visitor:
        def __init__(self, name):
            self.session = requests.Session()
            form = {"name": name, "passcode": people.PASSCODE}
            assert self.session.post(f"{house.server.url}/sign-in", data=form, timeout=120).status_code == 200

        def cases(self, query=""):
            page = self.session.get(f"{house.server.url}/cases{query}", timeout=120)
            assert page.status_code == 200
            return [int(found) for found in re.findall(r'data-case="(\d+)"', page.text)], page.text

        def seconds(self, query=""):
            def once():
                begun = time.perf_counter()
                self.cases(query)
                return time.perf_counter() - begun

            return min(once() for _ in range(5))

    anna, root = Visitor("anna"), Visitor("root")
    newest = list(range(106_000, 105_950, -1))
    shown, text = anna.cases()
    assert shown == newest and text.count(">999+<") == 3, "current, mine and all; none is due, and the pool has none"
    for query, expected in (("?view=mine&before=105000", range(104_999, 104_949, -1)), ("?sort=due", [number, *range(100_001, 100_050)])):
        assert anna.cases(query)[0] == list(expected), query
    for query in ("", "?view=mine", "?sort=due", "?view=all&before=103000"):
        took, others = anna.seconds(query), root.seconds(query)
        assert took < 6 * others + 0.1, (query, took, others)
    # What changes of one of them is seen at once.
    study = f"2.25.7{newest[0]}"
    assert house.ask("GET", f"/{newest[0]}", "anna").status_code == 200
    assert study in [case["study_instance_uid"] for case in house.ask("GET", "?limit=5", "anna").json()["cases"]]
    house.act(newest[0], "withdraw", "rita")
    assert anna.cases()[0] == newest[1:] + [newest[-1] - 1]
    new = house.open(priors=[])
    assert anna.cases()[0][0] == new == root.cases()[0][0]
