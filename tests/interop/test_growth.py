"""A study that grows after somebody said that it is complete says so (issue 7, part 2): by C-STORE from a modality, by STOW-RS,
DELETE and replacement, to requester, reader and whoever sits at the shell; and tells who reads blind nothing of reports."""

import functools
import io

import pytest
import requests
from pydicom import dcmread
from pynetdicom import AE

from harness import made, people, wait, web
from harness.people import bearer
from test_cases import DIFFERS, IMPRESSION, SR, House

NOTHING = {"arrived": 0, "replaced": 0, "removed": 0}


def c_store(server, *objects, title):
    ae = AE(title)
    for ds in objects:
        ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    host, port = server.dicom_address
    association = ae.associate(host, port, ae_title="OVERREAD")
    assert association.is_established
    for ds in objects:
        assert association.send_c_store(ds).Status == 0
    association.release()


def sent(*objects):
    """As pynetdicom sends them."""
    return [dcmread(io.BytesIO(made.file(ds))) for ds in objects]


class Ward(House):
    def __init__(self, start):
        super().__init__(functools.partial(start, config={"ingest": {"duplicate": "replace"}}))

    def since(self, number, who="rita"):
        since = self.show(number, who)["since_complete"]
        [listed] = [case for case in self.ask("GET", "?limit=200", who).json()["cases"] if case["number"] == number]
        assert listed["state"] not in ("open", "in-review") or listed["since_complete"] == since
        return since

    def counts(self, number, who="rita"):
        since = self.since(number, who)
        return since and {name: since[name] for name in NOTHING}

    def remove(self, study, ds):
        path = f"/studies/{study}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
        assert requests.delete(f"{self.server.web}{path}", headers=bearer(self.tokens["root"]), timeout=30).status_code == 204

    def page(self, number, who):
        browser = requests.Session()
        form = {"name": who, "passcode": people.PASSCODE}
        assert browser.post(f"{self.server.url}/sign-in", data=form, timeout=30).status_code == 200
        return browser.get(f"{self.server.url}/cases/{number}", timeout=30).text


@pytest.fixture
def ward(start):
    return Ward(start)


def test_images_that_come_after_the_word_are_told_until_it_is_said_again(ward):
    number = ward.open(needs_complete=True)
    ward.store(made.instance(study=ward.study))
    assert ward.since(number) is None, "nobody has said that it is complete"
    said = ward.act(number, "complete", "rita")
    assert ward.since(number) is None and said["confirmed"] is None
    before = (said["revision"], said["completed"])

    c_store(ward.server, *sent(made.instance(study=ward.study)), title="MR-1")
    c_store(ward.server, *sent(made.instance(study=ward.study)), title="MR-2")
    for who in ("rita", "root", "anna"):
        assert ward.counts(number, who) == NOTHING | {"arrived": 2}, who
        last = ward.since(number, who)["last"]
        assert last["sender"] == "MR-2" and last["at"] > said["completed"]["at"]
        page = ward.page(number, who)
        assert "2 images arrived after it was said to be complete" in page and "MR-2" in page
        assert ("complete as it is now" in page) == (who != "anna")
    shown = ward.shell(f"case show {number}").stdout
    assert "SINCE IT WAS SAID TO BE COMPLETE: 2 images arrived, the last on" in shown and "from MR-2" in shown

    # Said again, it is meant of what is there now: in the trail, with what was new.
    again = ward.act(number, "complete", "rita")
    assert again["since_complete"] is None and again["completed"] == before[1] and again["confirmed"]["by"] == "rita"
    assert again["revision"] == before[0] + 1 == ward.act(number, "complete", "rita")["revision"], "said a third time it changes nothing"
    [row] = [row for row in ward.trail(number) if "as it is now" in row["detail"]]
    assert (row["who"], row["detail"]) == ("rita", "complete enough to be read as it is now: 2 images arrived since that was said")
    assert ward.page(number, "anna").count("after it was said to be complete") == 0
    ward.act(number, "complete", "anna", status=403)

    # Also while somebody reads; the shell says it as well.
    ward.act(number, "claim", "anna")
    ward.store(made.instance(study=ward.study))
    assert ward.counts(number, "anna") == NOTHING | {"arrived": 1} and ward.since(number)["last"]["sender"] == "root"
    assert ward.shell(f"case complete {number}").returncode == 0
    assert ward.since(number) is None and ward.since(number, "anna") is None
    assert ward.shell("audit verify").returncode == 0
    # What is answered is told, and not asked about any more.
    ward.act(number, "commit", "anna", IMPRESSION)
    ward.act(number, "sign", "anna", DIFFERS)
    ward.store(made.instance(study=ward.study))
    assert ward.counts(number) == NOTHING | {"arrived": 1} and ward.show(number)["images_changed_since"]
    ward.act(number, "complete", "rita", status=409)


def test_what_is_removed_or_replaced_and_what_happens_to_a_prior_is_told(ward):
    number = ward.open(needs_complete=False)
    first, second = ward.images
    ward.remove(ward.study, first)
    assert ward.since(number) == NOTHING | {"removed": 1, "last": None}
    second.ImageComments = "another window"
    ward.store(second)
    assert ward.counts(number) == NOTHING | {"removed": 1, "replaced": 1}
    ward.store(made.instance(study=ward.prior))
    assert ward.counts(number) == {"arrived": 1, "replaced": 1, "removed": 1}
    assert "1 image arrived, 1 was replaced, 1 was removed" in ward.page(number, "rita")
    # What comes back as it was is as if it had not gone.
    ward.store(first)
    assert ward.counts(number) == NOTHING | {"arrived": 1, "replaced": 1}
    # The same from an archive whose index was made again from its blobs.
    ward.server.stop()
    for leftover in [*ward.server.data_dir.glob("index.sqlite*"), ward.server.data_dir / "lineage"]:
        leftover.unlink()
    ward.server.start()
    assert ward.counts(number) == NOTHING | {"arrived": 1, "replaced": 1}
    ward.act(number, "complete", "rita")
    assert ward.since(number) is None
    # A study that is no longer here at all.
    requests.delete(f"{ward.server.web}/studies/{ward.prior}", headers=bearer(ward.tokens["root"]), timeout=30).raise_for_status()
    assert ward.counts(number) == NOTHING | {"removed": 2}


def test_who_reads_blind_hears_nothing_of_reports(ward):
    number = ward.open(readers=[{"account": "anna"}, {"pool": "neuro"}])
    quiet = ward.show(number, "anna")
    late = made.instance(study=ward.study, SOPClassUID=SR, Modality="SR")
    ward.store(late)
    ward.remove(ward.study, ward.report)
    assert ward.counts(number) == NOTHING | {"arrived": 1, "removed": 1}
    for who in ("anna", "bert"):
        assert ward.since(number, who) is None and "complete as it is now" not in ward.page(number, who)
    assert ward.show(number, "anna") == quiet
    # That it was said again, because of a report, is no news to them either.
    ward.act(number, "complete", "rita")
    told = ward.show(number, "anna")
    assert told["confirmed"] is None and told["since_complete"] is None
    assert {name: value for name, value in told.items() if name not in ("revision", "changed")} == {
        name: value for name, value in quiet.items() if name not in ("revision", "changed")
    }
    # Images they hear of, with the last of those; after the impression of everything.
    c_store(ward.server, *sent(made.instance(study=ward.study)), title="CT-7")
    ward.store(made.instance(study=ward.study, SOPClassUID=SR, Modality="SR"))
    assert ward.counts(number) == NOTHING | {"arrived": 2} and ward.since(number)["last"]["sender"] == "root"
    ward.act(number, "claim", "anna")
    for who in ("anna", "bert"):
        assert ward.counts(number, who) == NOTHING | {"arrived": 1} and ward.since(number, who)["last"]["sender"] == "CT-7"
    ward.act(number, "commit", "anna", IMPRESSION)
    assert ward.counts(number, "anna") == NOTHING | {"arrived": 2}
    assert ward.counts(number, "bert") == NOTHING | {"arrived": 1}


def test_our_own_documents_are_no_growth(ward):
    other = ward.open(readers=[{"account": "bert"}], blinded=False)
    number = ward.open(readers=[{"account": "anna"}, {"account": "carl"}], blinded=False)
    ward.signed(number, "anna")

    def documents():
        url = f"{ward.server.web}/studies/{ward.study}/instances"
        return len(requests.get(url, headers=bearer(ward.tokens["root"]), timeout=30).json()) == 5

    wait.until(documents, "a report and a print of the opinion are in the study")
    for case in (number, other):
        assert ward.since(case) is None, case
    # Nor are they missed when they go.
    ward.store(made.instance(study=ward.study))
    assert ward.counts(other) == NOTHING | {"arrived": 1}
    ward.act(other, "complete", "rita")
    rows = requests.get(f"{ward.server.web}/studies/{ward.study}/instances?Modality=SR", headers=bearer(ward.tokens["root"]), timeout=30).json()
    ours = [row for row in rows if web.value(row, "00080018") != ward.report.SOPInstanceUID]
    assert ours
    for row in ours:
        path = f"/studies/{ward.study}/series/{web.value(row, '0020000E')}/instances/{web.value(row, '00080018')}"
        assert requests.delete(f"{ward.server.web}{path}", headers=bearer(ward.tokens["root"]), timeout=30).status_code == 204
    assert ward.since(other) is None


def test_saying_it_again_leaves_how_long_an_answer_took(ward):
    """Turnaround is from the first word; another one, later than the answer, does not make it unknown."""
    number = ward.open(readers=[{"account": "anna"}, {"account": "bert"}], needs_complete=True)
    first = ward.act(number, "complete", "rita")["completed"]
    ward.signed(number, "anna")
    ward.store(made.instance(study=ward.study))
    again = ward.act(number, "complete", "rita")
    assert again["completed"] == first and again["confirmed"]["at"] > first["at"]
