"""OHIF in the scope of a reader (issue 7, points 4 and 5): it opens the study that is asked about and its priors, and
neither its own search for the patient's other studies nor its study list finds anything else. What was reported before is
there once the reader has committed; the signed opinion is there in the end."""

import subprocess

import pytest
import requests
from pydicom import dcmread

from harness import corpus, made, people, wait, web
from harness.browser import Browser
from harness.granting import HOUR_MS, Office, now_ms
from harness.ohif import VIEWPORTS, Ohif, until
from harness.server import REPOSITORY

VIEWER = REPOSITORY / "tests/.cache/overread-viewer"
PATIENT = {"PatientID": "SCOPED", "PatientName": "Scope^Sam", "PatientBirthDate": "19600102", "PatientSex": "O"}
BROWSED = "document.querySelector('[data-cy=\"studyBrowser-panel\"]')?.textContent ?? ''"


def pictured(study, words, date):
    """A CT image that is worth looking at."""
    ds = dcmread(corpus.by_name("test_files/CT_small.dcm").path)
    for keyword, value in PATIENT.items():
        setattr(ds, keyword, value)
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, made.uid(), made.uid()
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyDescription, ds.SeriesDescription, ds.StudyDate = words, f"{words} images", date
    return ds


def told(ds, words):
    """A report of the first reader."""
    nothing = dict.fromkeys(("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"))
    return made.instance(
        study=ds.StudyInstanceUID, Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", SeriesDescription=words,
        SeriesNumber=90, StudyDate=ds.StudyDate, SamplesPerPixel=None, PhotometricInterpretation=None, **nothing, **PATIENT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def house(start_module):
    subprocess.run([REPOSITORY / "scripts/install-viewer", VIEWER], check=True, timeout=200)
    server = start_module(config={"viewer": {"dir": str(VIEWER)}})
    return Office(server)


def test_the_viewer_shows_the_case_and_nothing_else(house, tmp_path):
    server = house.server
    current, prior, other = (pictured(made.uid(), words, date) for words, date in (("Asked", "20261101"), ("Before", "20250101"), ("Unasked", "20240101")))
    report = told(current, "First words")
    for ds in (current, prior, other):
        assert house.store(ds).status_code == 200
    assert house.store(report).status_code == 200
    study = current.StudyInstanceUID
    asked = house.api("POST", "/cases", json={
        "study_instance_uid": study, "priors": [prior.StudyInstanceUID], "question": "?", "subspecialty": "any", "blinded": True,
        "readers": [{"pool": "any"}],
        "first_report": {"instances": [{"series_instance_uid": report.SeriesInstanceUID, "sop_instance_uid": report.SOPInstanceUID}]},
    })  # fmt: skip
    assert asked.status_code == 201, asked.text
    number = asked.json()["number"]
    assert house.api("POST", f"/cases/{number}/complete").status_code == 200
    given = house.api("POST", "/grants", json={"case": number, "to": "reader", "label": "Dr. Narrow", "expires_ms": now_ms() + HOUR_MS})
    assert given.status_code == 201, given.text
    with Browser(tmp_path) as browser:
        # The holder of the link opens the viewer from the page of the case.
        first, tab = browser.open(), browser.open()
        tab.call("goto", given.json()["link"])
        tab.click("main button")
        tab.see("h1:has-text('Case')")
        Ohif(first, server).skip_tour()
        ohif = Ohif(tab, server)
        tab.call("goto", f"{server.url}/cases/{number}")
        tab.click("text='All of them in the viewer'")
        ohif.drawn()
        until(lambda: all(words in tab.evaluate(BROWSED) for words in ("Asked", "Before")), "both studies listed")
        until(lambda: any("/studies?" in r["url"] and "SCOPED" in r["url"] for r in tab.requests()), "other studies of the patient are looked for")
        tab.screenshot("scope-1-viewer")
        assert ohif.shown()[1].shape == (current.Rows, current.Columns)
        until(lambda: ohif.thumbnails() >= 1, "thumbnails are pictures")
        ohif.goto("")
        tab.until("document.body.innerText.includes('Asked') && document.body.innerText.includes('Before')", "the study list")
        tab.screenshot("scope-2-list")
        said = tab.evaluate("document.body.textContent")
        assert "Unasked" not in said and "First words" not in said
        ohif.open_study(study)
        tab.until(f"{BROWSED}.includes('Asked images')", "the series of the study")
        assert "First words" not in tab.evaluate(BROWSED) and "SR" not in tab.evaluate(BROWSED)
        # Who names another study is not told that there is one: as of a study that never was.
        answers = {}
        for uid in (other.StudyInstanceUID, made.uid()):
            ohif.goto(f"viewer?StudyInstanceUIDs={uid}")
            tab.until("document.body.innerText.includes('not available')", "an answer")
            assert not tab.evaluate(f"window.cornerstone ? {VIEWPORTS}.some(v => v.getCornerstoneImage?.()) : false")
            answers[uid] = tab.evaluate("document.body.innerText").replace(uid, "UID")
        assert len(set(answers.values())) == 1, answers
        ohif.judge()

        # Committed, the first report opens, in the viewer too.
        tab.call("goto", f"{server.url}/cases/{number}")
        tab.click("button:has-text('Take the case')")
        tab.see("textarea[name=findings]")
        tab.call("fill", "textarea[name=findings]", "Nothing.")
        tab.call("fill", "textarea[name=impression]", "No finding.")
        tab.click("input[name=confidence][value=high]")
        tab.click("button:has-text('Commit')")
        tab.see("input[name=agreement]")
        ohif.open_study(study)
        tab.until(f"{BROWSED}.includes('First words')", "the first report is listed")
        tab.call("goto", f"{server.url}/cases/{number}")
        for name, value in (("agreement", "agree"), ("significance", "none"), ("management", "none")):
            tab.click(f"input[name={name}][value={value}]")
        tab.click("form[action$='/sign'] button:has-text('Sign')")
        tab.see("h2:has-text('Opinion of')")
        session = requests.Session()
        session.headers.update(house.headers)

        def documents():
            rows = session.get(f"{server.web}/studies/{study}/series", params={"includefield": "0008103E"}, timeout=60).json()
            return [web.value(row, "0008103E") for row in rows if "opinion" in (web.value(row, "0008103E") or "").lower()]

        wait.until(lambda: len(documents()) >= 2, "the opinion is in the record", 60)
        ohif.open_study(study)
        tab.until(f"{documents()!r}.every(words => {BROWSED}.includes(words))", "the opinion is listed")
        tab.screenshot("scope-3-opinion")
