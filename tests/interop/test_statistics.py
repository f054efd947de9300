"""Statistics of signed opinions (issue 7, part 8) as JSON, CSV, page and shell: times to an answer by month with numpy as oracle,
small groups, the size below which nothing is told, and that what is kept in mind is never old."""

import csv
import io
import re
import sqlite3
from datetime import datetime, timezone
from functools import partial

import numpy
import pytest
import requests

from harness import made, people
from harness.people import bearer
from harness.server import run
from test_cases import DIFFERS, IMPRESSION, House

HOUR = 3_600_000
MONTHS = {"2026-01": [1, 2, 30, 4.5, 100], "2026-02": [7, 7, 8, 9], "2026-04": [5, 400, 6], "2026-05": [1, 2]}


class Clinic(House):
    def __init__(self, start, group_size_min):
        super().__init__(partial(start, config={"statistics": {"group_size_min": group_size_min}}))

    def answered(self, who="anna"):
        number = self.open(readers=[{"account": who}], priors=[], blinded=False)
        self.act(number, "claim", who)
        self.act(number, "commit", who, IMPRESSION)
        self.act(number, "sign", who, DIFFERS)
        return number

    def statistics(self, **parameters):
        answer = requests.get(f"{self.server.url}/api/v1/statistics", params=parameters, headers=bearer(self.tokens["root"]), timeout=60)
        assert answer.status_code == 200, answer.text
        return answer

    def table(self, by):
        return {group["name"]: group for group in self.statistics().json()["by"][by]["groups"]}

    def page(self):
        browser = requests.Session()
        form = {"name": "root", "passcode": people.PASSCODE}
        assert browser.post(f"{self.server.url}/sign-in", data=form, timeout=30).status_code == 200
        return browser.get(f"{self.server.url}/statistics", timeout=30).text


def test_time_to_the_answer_by_month_is_what_numpy_says(start):
    clinic = Clinic(start, 3)
    answered = [(month, hours, clinic.answered()) for month, all_hours in MONTHS.items() for hours in all_hours]
    clinic.server.stop()
    # As if they had been asked and answered then.
    with sqlite3.connect(clinic.server.data_dir / "ledger.sqlite") as ledger:
        for month, hours, number in answered:
            end = int(datetime.fromisoformat(f"{month}-01T00:00:00").replace(tzinfo=timezone.utc).timestamp() * 1000) + 3
            ledger.execute("UPDATE task SET signed_ms = ? WHERE case_number = ?", (end, number))
            ledger.execute("UPDATE second_case SET opened_ms = ?, completed_ms = NULL WHERE number = ?", (end - int(hours * HOUR), number))
    clinic.server.start()

    # Two in May would be the difference to the total, so that the next smallest is not told either: together they are five.
    told = clinic.table("month")
    assert list(told) == ["2026-01", "2026-02"]
    assert clinic.statistics().json()["by"]["month"]["suppressed"] == 2
    rows = {row["group"]: row for row in csv.DictReader(io.StringIO(clinic.statistics(format="csv").text)) if row["by"] == "month"}
    assert list(rows) == list(told)
    for month, group in told.items():
        median, ninth = numpy.quantile(MONTHS[month], [0.5, 0.9])
        assert group["verdicts"] == group["turnaround"]["verdicts"] == len(MONTHS[month])
        for found in (group["turnaround"]["median_h"], float(rows[month]["turnaround_median_h"])):
            assert found == pytest.approx(median, abs=1e-6)
        for found in (group["turnaround"]["percentile_90_h"], float(rows[month]["turnaround_percentile_90_h"])):
            assert found == pytest.approx(ninth, abs=1e-6)
    everything = [hours for all_hours in MONTHS.values() for hours in all_hours]
    total = clinic.statistics().json()["total"]
    assert total["verdicts"] == len(everything)
    assert total["turnaround"]["percentile_90_h"] == pytest.approx(numpy.quantile(everything, 0.9), abs=1e-6)

    page = clinic.page()
    chart = page[page.index("Time to the answer by month") :].split("</section>")[0]
    assert chart.count("<svg") == 2 and "2026-01" in chart and "2026-04" not in chart and "2026-05" not in page
    assert "4.5 h" in chart and "3.0 days" in chart, "the median, and numpy's 72 h"
    assert "2 months with few answers are not told of" in chart
    shown = clinic.shell("stats").stdout
    assert "month 2026-02: 4" in shown and "median 7.5 h, nine of ten within 8.7 h" in shown and "2026-05" not in shown


def test_what_is_kept_in_mind_is_never_old(start):
    clinic = Clinic(start, 3)
    for _ in range(3):
        clinic.answered()
    assert clinic.table("modality")["CT"]["verdicts"] == 3
    assert clinic.statistics().content == clinic.statistics().content
    # A fourth, and a correction of it, which counts in its place.
    number = clinic.answered("bert")
    assert clinic.statistics().json()["total"]["agreement"]["major-discrepancy"] == 4
    [opinion] = clinic.show(number)["opinions"]
    body = {"corrects": opinion["id"], "reason": "misread", "impression": IMPRESSION, "comparison": {"agreement": "agree"}}
    clinic.act(number, "correct", "bert", body)
    total = clinic.statistics().json()["total"]
    assert (total["verdicts"], total["agreement"]["agree"], total["agreement"]["major-discrepancy"]) == (4, 1, 3)
    # The study becomes one of two modalities, which the next opinion shows at the latest; then it is gone.
    clinic.store(made.instance(study=clinic.study, Modality="MR"))
    clinic.answered()
    assert clinic.table("modality")["CT/MR"]["verdicts"] == 5 and list(clinic.table("sender")) == ["anonymous"]
    requests.delete(f"{clinic.server.web}/studies/{clinic.study}", headers=bearer(clinic.tokens["root"]), timeout=30).raise_for_status()
    clinic.server.restart()
    assert list(clinic.table("modality")) == [""] and clinic.table("modality")[""]["verdicts"] == 5


def test_a_judgement_between_opinions_is_no_verdict_on_a_first_report(start):
    clinic = Clinic(start, 3)
    for _ in range(2):
        clinic.answered()
    number = clinic.open(readers=[{"account": "anna"}, {"account": "bert"}], blinded=False)
    for who in ("anna", "bert"):
        clinic.signed(number, who)
    one, other = (opinion["id"] for opinion in clinic.show(number)["opinions"])
    before = clinic.statistics().json()["total"]
    clinic.act(number, "adjudicate", "rita", {"opinions": [one, other], "reader": {"account": "carl"}})
    clinic.act(number, "claim", "carl")
    clinic.act(number, "commit", "carl", IMPRESSION)
    clinic.act(number, "sign", "carl", {"agreement": "agree"})
    assert clinic.statistics().json()["total"] == before and before["verdicts"] == 4


def test_the_size_below_which_nothing_is_told(start, tmp_path):
    clinic = Clinic(start, 4)
    for _ in range(3):
        clinic.answered()
    assert clinic.statistics().json()["total"] is None and clinic.statistics().json()["group_min"] == 4
    assert "fewer than 4 signed opinions" in clinic.page() and "fewer than 4" in clinic.shell("stats").stdout
    assert "statistics.group_size_min" in clinic.server.log(), "who tells of few is warned"
    clinic.answered()
    assert clinic.statistics().json()["total"]["verdicts"] == 4
    for number in (2, 0, -1):
        config = tmp_path / "small.toml"
        config.write_text(f"[statistics]\ngroup_size_min = {number}\n")
        refused = run("serve", "--config", config, "--data-dir", tmp_path / "other")
        assert refused.returncode != 0 and "statistics.group_size_min" in refused.stderr


def test_every_published_number_has_a_source(start):
    server = start()
    published = requests.get(f"{server.url}/api/v1/statistics", timeout=30).json()["published"]
    page = requests.get(f"{server.url}/statistics", timeout=30).text
    assert len(published) >= 8
    for rate in published:
        # The address of where it was read is what can be followed; a DOI stands there when it was read there.
        assert rate["source"] and re.search(r"\b(19|20)\d\d;\d+", rate["source"]), rate
        assert rate["url"].startswith("https://") and rate["url"] in page
        assert f"{rate['share'] * 100:g} %" in page
