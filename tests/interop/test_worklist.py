"""The worklist `/cases`: what is due is seen and comes first, every view says how many it has, and what others open or change
comes into it while it is looked at. Cases are made by the API; the clock of what is overdue is the ledger's own column."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
import requests
from test_cases import House
from test_pages import judge, sign_in

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
    # In another language it is another list.
    for language, title in (("de", "Fälle"), ("hi", "मामले")):
        spoken = requests.get(url, headers=headers | {"If-None-Match": tag, "Accept-Language": language}, timeout=60)
        assert (spoken.status_code, spoken.headers["ETag"] == tag) == (200, False) and f"<h1>{title}</h1>" in spoken.content.decode()
        kept = requests.get(url, headers=headers | {"If-None-Match": spoken.headers["ETag"], "Accept-Language": language}, timeout=60)
        assert kept.status_code == 304


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
