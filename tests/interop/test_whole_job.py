"""A second opinion from start to end in the browser (issue 8), by three people who each do all of their job there: a study is
dropped onto the page, looked at in the quick look and in OHIF, asked about beside the picture of its series, read blind by
keyboard, printed, and found in the record. On a desk and on a telephone; axe-core judges every page on the way."""

import base64
import subprocess
from datetime import UTC, datetime, timedelta

import numpy
import pytest
import requests
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from harness import made, people, wait, web
from harness.browser import Browser
from harness.looking import Look
from harness.ohif import Ohif, until
from harness.server import REPOSITORY

VIEWER = REPOSITORY / "tests/.cache/overread-viewer"
FIRST_REPORT = "No fracture, says the first reader."
FINDINGS = "Der Wirbelkörper L1 hat ein Drittel seiner Höhe verloren.\nNo retropulsion. 19 mm < 20 mm."
IMPRESSION = "Compression fracture of L1."
ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
SLICES, MISSING = 12, 6


def slices(patient):
    """A series of axial slices, 5 mm apart, of which one did not come along."""
    study, series = made.uid(), made.uid()
    down, across = numpy.mgrid[:64, :64]
    found = []
    for place in range(SLICES):
        cells = (((down - 32) ** 2 + (across - 32) ** 2) * 0.4 + 40 * place).astype("<u2")
        ds = made.instance(
            study=study, series=series, InstanceNumber=place + 1, rows=64, columns=64, pixels=cells.tobytes(),
            PatientName=f"Beispiel^{patient}", PatientID=patient, StudyDescription="CT of the spine", SeriesDescription="Axial",
            ImagePositionPatient=[0, 0, 5 * place], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[1, 1], SliceThickness=5,
        )  # fmt: skip
        found.append(ds)
    del found[MISSING]
    return found


@pytest.fixture(scope="module")
def house(start_module):
    subprocess.run([REPOSITORY / "scripts/install-viewer", VIEWER], check=True, timeout=200)
    server = start_module(config={"viewer": {"dir": str(VIEWER)}})
    for name, role in (("root", "administrator"), ("rita", "requester"), ("anna", "reader")):
        people.add_user(server, name, role)
    people.closed(server)
    return server


class Desk:
    """Somebody at a browser of their own."""

    def __init__(self, server, browser, name, width):
        self.server, self.name, self.width = server, name, width
        self.browser = browser
        self.page = self.tab()
        self.page.call("goto", f"{server.url}/sign-in")
        self.judge("sign-in")
        self.page.call("fill", "input[name=name]", name)
        self.page.call("fill", "input[name=passcode]", people.PASSCODE)
        self.press("main button", "!location.pathname.includes('sign-in')")

    def tab(self):
        page = self.browser.open()
        page.call("setViewportSize", {"width": self.width, "height": 900 if self.width > 600 else 844})
        return page

    def goto(self, path):
        self.page.call("goto", self.server.url + path)

    def press(self, button, then):
        """Presses a button and waits for what comes of it."""
        self.page.click(button)
        self.page.until(f"document.readyState === 'complete' && ({then})", then)

    def key(self, *keys):
        for key in keys:
            self.page.call("keyboard.press", key)

    def judge(self, name, page=None):
        page = page or self.page
        page.screenshot(f"job-{self.width}-{self.name}-{name}")
        assert page.complaints() == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= self.width, name


def text(page, selector):
    return page.evaluate(f"document.querySelector({selector!r})?.innerText ?? ''")


def upload(desk, images, folder):
    folder.mkdir()
    for place, ds in enumerate(images):
        (folder / f"IM{place:04}").write_bytes(made.file(ds))
    page = desk.page
    desk.goto("/")
    page.click("a:has-text('Upload files')")
    page.see("#upload")
    page.call("drop", "#upload", [str(folder)])
    page.until("document.querySelector('#sending').dataset.state === 'done'", "all is sent")
    assert f"{len(images)} arrived, 0 here already, 0 not taken" in text(page, "#sending")
    desk.judge("uploaded")


def look_at(desk, images):
    """In the quick look, then in OHIF: the very numbers that were sent."""
    study = images[0].StudyInstanceUID
    page = desk.page
    desk.goto(f"/studies/{study}")
    desk.judge("study")
    look = Look(desk.tab(), desk.server)
    look.open(study)
    assert "Beispiel" in look.text("patient") and look.canvas().std() > 5
    desk.judge("look", look.page)
    look.judge()
    look.page.close()
    Ohif(desk.tab(), desk.server).skip_tour()
    ohif = Ohif(desk.tab(), desk.server)
    ohif.open_study(study)
    sent = {ds.SOPInstanceUID: numpy.frombuffer(ds.PixelData, "<u2").reshape(64, 64) for ds in images}
    until(lambda: ohif.instance_shown()[0] in sent, "an image of it")
    _, numbers, _ = ohif.shown()
    ds = sent[ohif.instance_shown()[0]]
    slope = images[0].get("RescaleSlope", 1), images[0].get("RescaleIntercept", 0)
    assert numpy.allclose(numbers, ds) or numpy.allclose(numbers, ds * float(slope[0]) + float(slope[1]))
    ohif.page.screenshot(f"job-{desk.width}-{desk.name}-ohif")
    ohif.judge()
    ohif.page.close()
    assert page.faults() == []


def ask(desk, study):
    """Opens the case beside what has arrived; gives its number."""
    page = desk.page
    desk.goto(f"/studies/{study}")
    desk.press("a:has-text('Ask for a second opinion')", "document.querySelector('#arrived .strip')")
    drawn = page.evaluate("document.querySelector('#arrived .strip').getAttribute('aria-label')")
    assert drawn == f"{SLICES - 1} slices over {5 * (SLICES - 1)} mm, 1 missing"
    assert page.evaluate("document.querySelectorAll('#arrived .strip .gap').length") == 1
    form, arrived = (page.evaluate(f"(({{ x, y, right, bottom }}) => [x, y, right, bottom])(document.querySelector('{s}').getBoundingClientRect())") for s in ("form.card", "#arrived"))
    assert arrived[0] >= form[2] and arrived[1] < form[3] if desk.width > 600 else arrived[1] >= form[3]
    desk.judge("asking")
    page.call("fill", "textarea[name=question]", "Is there a fracture?")
    page.call("fill", "input[name=subspecialty]", "spine")
    page.call("fill", "input[name=readers]", "anna")
    page.call("fill", "input[name=due]", (datetime.now(UTC) + timedelta(days=5)).date().isoformat())
    page.call("fill", "textarea[name=first_report]", FIRST_REPORT)
    page.call("check", "input[name=complete]")
    desk.press("button:has-text('Open the case')", "/cases\\/[0-9]+$/.test(location.pathname)")
    desk.judge("asked")
    assert page.faults() == []
    return int(page.evaluate("location.pathname").split("/")[-1])


def read(desk, number, images):
    """Takes the case from the worklist, reads it blind, commits, compares and signs: from the first word on by keyboard."""
    page = desk.page
    desk.goto("/cases")
    desk.judge("worklist")
    assert "due in" in text(page, f"tr[data-case='{number}']")
    desk.press(f"tr[data-case='{number}'] td.patient a", f"location.pathname.endsWith('/cases/{number}')")
    desk.press("button:has-text('Take the case')", "document.querySelector('#reading')")
    assert FIRST_REPORT not in page.evaluate("document.body.innerText")
    page.call("focus", "textarea[name=findings]")
    page.call("keyboard.type", FINDINGS)
    page.until("document.querySelector('#reading .saved').textContent.startsWith('saved')", "it is saved by itself")
    page.call("reload")
    assert page.evaluate("document.querySelector('textarea[name=findings]').value") == FINDINGS
    page.call("focus", "textarea[name=findings]")
    desk.key("Alt+ArrowDown")
    page.call("keyboard.type", IMPRESSION)
    desk.key("Alt+ArrowDown", "Alt+ArrowDown", "3")
    desk.judge("reading")
    # The key image is marked where the images are, and comes into the form.
    look = Look(desk.tab(), desk.server)
    look.open(images[0].StudyInstanceUID, case=number)
    look.press("k")
    look.page.until("document.querySelector('output').textContent.includes('Marked as key image')", "marked")
    desk.judge("marking", look.page)
    look.judge()
    look.page.close()
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.until("document.querySelectorAll('input[name=key_image]:checked').length === 1", "the key image is in the form")
    marked = page.evaluate("document.querySelector('input[name=key_image]').value").split("/")[2]
    assert marked in {ds.SOPInstanceUID for ds in images}
    desk.key("Control+Enter")
    page.see("dialog[open]")
    desk.judge("committing")
    desk.key("Enter")
    page.see("h2:has-text('How does it compare?')")
    assert FIRST_REPORT in page.evaluate("document.body.innerText")
    desk.key("1")
    desk.key("Control+Enter")
    desk.judge("signing")
    page.see("dialog[open]")
    desk.key("Enter")
    page.see("h2:has-text('Opinion of')")
    desk.judge("signed")
    assert page.faults() == []
    return marked


def printed(desk, number, folder):
    """The sheet of paper, as words."""
    page = desk.page
    desk.goto(f"/cases/{number}")
    desk.press("a:has-text('Print')", "location.pathname.endsWith('/print')")
    desk.judge("print")
    # Its picture is on it too.
    page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager' })")
    page.until("[...document.querySelectorAll('figure img')].every((image) => image.naturalWidth > 1)", "the key image")
    sheet = folder / "opinion.pdf"
    sheet.write_bytes(base64.b64decode(page.call("pdf", {"format": "A4"})))
    assert page.faults() == []
    done = subprocess.run(["pdftotext", "-layout", str(sheet), "-"], capture_output=True, text=True, timeout=60, check=True)
    images = subprocess.run(["pdfimages", "-list", str(sheet)], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, len(images.stdout.splitlines()) - 2


@pytest.mark.parametrize("width", [1280, 390])
def test_a_study_is_uploaded_read_answered_and_printed(house, tmp_path, width):
    server = house
    patient = f"JOB-{width}"
    images = slices(patient)
    study = images[0].StudyInstanceUID
    for name in ("root", "rita", "anna"):
        (tmp_path / name).mkdir()
    with Browser(tmp_path / "root") as browser:
        desk = Desk(server, browser, "root", width)
        upload(desk, images, tmp_path / "disc")
        assert desk.page.faults() == []
    with Browser(tmp_path / "rita") as browser:
        desk = Desk(server, browser, "rita", width)
        look_at(desk, images)
        number = ask(desk, study)
    with Browser(tmp_path / "anna") as browser:
        marked = read(Desk(server, browser, "anna", width), number, images)

    # The requester has it on paper, and the record has it too.
    (tmp_path / "later").mkdir()
    with Browser(tmp_path / "later") as browser:
        words, pictures = printed(Desk(server, browser, "rita", width), number, tmp_path)
    flat = " ".join(words.split())
    for expected in (IMPRESSION, *FINDINGS.split("\n"), "Is there a fracture?", f"Beispiel, {patient}", study, "anna", "agree"):
        assert expected in flat, (expected, words)
    assert "Signed in as" not in flat and pictures >= 1
    session = requests.Session()
    session.headers.update(people.bearer(people.token(server, "rita")[1]))
    wait.until(lambda: documents(server, session, study), "the opinion is in the record", 60)
    [report] = documents(server, session, study)
    said = [item.TextValue for item in items(report) if "TextValue" in item]
    assert any(IMPRESSION in text for text in said) and any(FINDINGS.split("\n")[0] in text for text in said), said
    named = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items(report) if "ReferencedSOPSequence" in item}
    assert marked in named, named
    assert (report.PatientID, report.StudyInstanceUID, report.VerificationFlag) == (patient, study, "VERIFIED")


def documents(server, session, study):
    """The reports of a study, read by pydicom."""
    rows = session.get(f"{server.web}/studies/{study}/instances", params={"includefield": "all"}, timeout=60).json()
    found = []
    for row in rows:
        if web.value(row, "00080016") != ENHANCED_SR:
            continue
        path = web.instance_path(study, web.value(row, "0020000E"), web.value(row, "00080018"))
        answer = session.get(server.web + path, headers={"Accept": "application/dicom"}, timeout=60)
        assert answer.status_code == 200
        found.append(dcmread(DicomBytesIO(answer.content)))
    return found


def items(ds):
    """All content items below one."""
    waiting = list(ds.ContentSequence)
    while waiting:
        item = waiting.pop()
        yield item
        waiting.extend(item.get("ContentSequence", []))
