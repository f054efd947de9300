"""A second opinion from start to end (issue 7), through public doors only: what a modality pushes is asked about, read blind
by somebody with a link and a browser, answered, found again by other programs and in OHIF, counted, and flagged when an image comes
late. What OHIF shows before is in test_viewer_scope.py."""

import re
import subprocess

import pydicom
import pytest
import requests
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO

from harness import made, people, wait, web
from harness.browser import Browser
from harness.granting import HOUR_MS, image, now_ms, report
from harness.moving import move
from harness.ohif import Ohif
from harness.receiver import Storescp
from harness.server import REPOSITORY

VIEWER = REPOSITORY / "tests/.cache/overread-viewer"
FIRST_REPORT = "No fracture was seen by the first reader."
BELOW = ["", "/series", "/instances", "/metadata", "/rendered", "/thumbnail", "/bulkdata", "/pixeldata"]


def push(server, folder, *objects):
    """As a modality does it: DCMTK's storescu."""
    folder.mkdir()
    files = []
    for number, ds in enumerate(objects):
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(made.file(ds))
    done = subprocess.run(
        ["storescu", "-aec", "OVERREAD", "127.0.0.1", str(server.ports[1]), *map(str, files)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def signed_in(server, name):
    session = requests.Session()
    session.headers.update(people.bearer(people.token(server, name)[1]))
    return session


def get(tab, path, accept="*/*"):
    """What the browser gets of a path, by fetch: its status and text. Our pages forbid it to scripts: it is for a tab without."""
    script = f"""fetch({path!r}, {{headers: {{Accept: {accept!r}}}}}).then(async r => [r.status, await r.text()])"""
    return tab.evaluate(script)


@pytest.fixture(scope="module")
def house(start_module, tmp_path_factory):
    folder = tmp_path_factory.mktemp("story")
    with Storescp(folder / "pacs", "+B") as pacs:
        subprocess.run([REPOSITORY / "scripts/install-viewer", VIEWER], check=True, timeout=200)
        server = start_module(config={"dicom": {"peers": [f"there = {pacs.peer}"]}, "viewer": {"dir": str(VIEWER)}})
        yield server, pacs, folder


def test_the_whole_story(house, tmp_path):
    server, pacs, folder = house
    study, before, other = made.uid(), made.uid(), made.uid()
    common = {"PatientID": "STORY", "PatientName": "Story^Sam"}
    series = made.uid()
    images = [image(study, series=series, InstanceNumber=n, **common) for n in (1, 2, 3)]
    prior = image(before, StudyDate="20250102", **common)
    stranger = image(other, PatientID="STRANGER", PatientName="Stranger^Secret")
    first = report(study, **common)
    push(server, folder / "push", *images, prior, stranger, first)

    people.add_user(server, "root", "administrator")
    people.closed(server)
    people.add_user(server, "rita", "requester")
    rita, root = signed_in(server, "rita"), signed_in(server, "root")
    api = f"{server.url}/api/v1"

    # The requester asks, with the prior and the first report, to be read blind.
    asked = rita.post(f"{api}/cases", json={
        "study_instance_uid": study, "priors": [before], "question": "Is there a fracture?", "body_part": "SPINE",
        "subspecialty": "spine", "urgency": "urgent", "blinded": True, "readers": [{"pool": "spine"}],
        "first_report": {"text": FIRST_REPORT, "instances": [
            {"series_instance_uid": first.SeriesInstanceUID, "sop_instance_uid": first.SOPInstanceUID}]},
    }, timeout=60)  # fmt: skip
    assert asked.status_code == 201, asked.text
    number = asked.json()["number"]
    case = f"{api}/cases/{number}"
    evidence = rita.get(f"{api}/studies/{study}/evidence", timeout=60).json()
    assert [s["images"] for s in evidence["series"] if s["images"]] == [3]
    assert rita.post(f"{case}/complete", timeout=60).status_code == 200
    body = {"case": number, "to": "reader", "pin": "2468", "label": "Dr. Dora Else", "expires_ms": now_ms() + HOUR_MS}
    given = rita.post(f"{api}/grants", json=body, timeout=60)
    assert given.status_code == 201, given.text
    link = given.json()["link"]

    with Browser(tmp_path) as browser:
        tab = browser.open()
        tab.call("goto", link)
        tab.call("fill", "input[name=pin]", "2468")
        tab.click("main button")
        tab.see("h1:has-text('Case')")
        tab.screenshot("story-1-asked")
        assert FIRST_REPORT not in tab.evaluate("document.body.textContent")

        # Nothing else can be listed or fetched, whichever resource is asked.
        probe = browser.open()
        probe.call("goto", f"{server.url}/healthz")
        listed = probe.evaluate("fetch('/dicom-web/studies').then(async r => (await r.json()).map(s => s['0020000D'].Value[0]))")
        assert set(listed) == {study, before}
        for path in BELOW:
            unknown = get(probe, f"/dicom-web/studies/{made.uid()}{path}")
            assert get(probe, f"/dicom-web/studies/{other}{path}") == unknown, path
        for path in ["/dicom-web/instances", "/dicom-web/series", "/dicom-web/studies?PatientID=STRANGER"]:
            status, text = get(probe, path)
            assert "STRANGER" not in text and other not in text and first.SOPInstanceUID not in text, path
        assert get(probe, f"/studies/{other}")[0] == 404
        for path in ["/api/v1/statistics", f"/api/v1/grants?case={number}", "/metrics", "/sending"]:
            assert get(probe, path)[0] == 403, path
        # The first report is not there either: not by name, nor counted.
        below = f"/dicom-web/studies/{study}/series/{first.SeriesInstanceUID}"
        for path in ["/instances", "/metadata", "/rendered"]:
            assert get(probe, below + path)[0] in (204, 404), path
        assert get(probe, f"{below}/instances/{first.SOPInstanceUID}/metadata")[0] == 404
        counted = probe.evaluate(f"fetch('/dicom-web/studies?StudyInstanceUID={study}').then(async r => (await r.json())[0])")
        assert (web.value(counted, "00201208"), web.value(counted, "00201206"), counted["00080061"]["Value"]) == (3, 1, ["CT"])

        # Take it, look, mark an image, commit: then the first report opens.
        tab.click("button:has-text('Take the case')")
        tab.see("textarea[name=findings]")
        tab.click("a:has-text('Images')")
        tab.see("figure img")
        tab.click("button:has-text('Key image')")
        tab.see("figure img")
        tab.click("a:has-text('← Case')")
        tab.see("input[name=key_image]")
        tab.call("fill", "textarea[name=findings]", "The body of L1 has lost a third of its height.\nNo retropulsion. Größe: 19 mm.")
        tab.call("fill", "textarea[name=impression]", "Compression fracture of L1.")
        tab.call("fill", "textarea[name=recommendation]", "Brace; no surgery.")
        tab.click("input[name=confidence][value=high]")
        tab.screenshot("story-2-reading")
        tab.click("button:has-text('Commit')")
        tab.see("input[name=agreement]")
        assert FIRST_REPORT in tab.evaluate("document.body.textContent")
        assert get(probe, f"{below}/instances/{first.SOPInstanceUID}/metadata")[0] == 200
        tab.click("input[name=agreement][value=major-discrepancy]")
        tab.click("input[name=significance][value=likely]")
        tab.click("input[name=management][value=more-conservative]")
        tab.call("fill", "textarea[name=comment]", "The first reading missed it.")
        tab.screenshot("story-3-comparing")
        tab.click("form[action$='/sign'] button:has-text('Sign')")
        tab.see("h2:has-text('Opinion of')")
        tab.screenshot("story-4-signed")
        tab.call("setViewportSize", {"width": 390, "height": 844})
        tab.screenshot("story-5-signed-small")
        assert not [fault for fault in tab.faults() if "/cases" in str(fault)]

    shown = rita.get(case, timeout=60).json()
    assert (shown["state"], shown["opinions"][0]["comparison"]["agreement"]) == ("in-review", "major-discrepancy")
    asked = {"WorklistLabel": "SECOND-OPINION*", "includefield": "all"}
    workitems = rita.get(f"{server.web}/workitems", params=asked, timeout=60).json()
    # The task of the link is done; that of the pool still waits.
    assert sorted(web.value(item, "00741000") for item in workitems) == ["COMPLETED", "SCHEDULED"]

    # The opinion is in the record: three documents, sound to other programs.
    def documents():
        rows = rita.get(f"{server.web}/studies/{study}/instances", params={"includefield": "all"}, timeout=60).json()
        kinds = {web.value(row, "00080016"): row for row in rows}
        return {k: v for k, v in kinds.items() if web.value(v, "0008103E") and "opinion" in web.value(v, "0008103E").lower()}

    wait.until(lambda: len(documents()) == 3, "the opinion is in the record", 60)
    for kind, row in documents().items():
        path = web.instance_path(study, web.value(row, "0020000E"), web.value(row, "00080018"))
        answer = rita.get(server.web + path, headers={"Accept": "application/dicom"}, timeout=60)
        assert answer.status_code == 200
        file = tmp_path / f"{kind}.dcm"
        file.write_bytes(answer.content)
        ds = pydicom.dcmread(DicomBytesIO(answer.content))
        assert (ds.PatientID, str(ds.PatientName), ds.StudyInstanceUID) == ("STORY", "Story^Sam", study)
        judged = subprocess.run(["dciodvfy", "-filename", str(file)], capture_output=True, text=True, timeout=60)
        assert not re.findall(r"^.*\bError\b.*$", judged.stderr + judged.stdout, re.M), (kind, judged.stderr)
        if kind.endswith(".88.22"):
            assert str(ds.VerifyingObserverSequence[0].VerifyingObserverName).startswith("Dr. Dora Else")
            html = subprocess.run(["dsr2html", str(file)], capture_output=True, text=True, timeout=60)
            assert html.returncode == 0 and "Compression fracture of L1." in html.stdout, html.stderr
    # The reader sees them in OHIF, beside the images and the first report.
    words = [web.value(row, "0008103E") for row in documents().values()]
    (tmp_path / "later").mkdir()
    with Browser(tmp_path / "later") as browser:
        tab = browser.open()
        tab.call("goto", link)
        tab.call("fill", "input[name=pin]", "2468")
        tab.click("main button")
        tab.see("h1:has-text('Case')")
        Ohif(tab, server).goto(f"viewer?StudyInstanceUIDs={study}")
        listed = "document.querySelector('[data-cy=\"studyBrowser-panel\"]')?.textContent ?? ''"
        for word in words:
            tab.until(f"({listed}).includes({word!r})", f"{word} in OHIF")
        tab.screenshot("story-6-viewer")
    # Another archive fetches them by C-MOVE.
    ds = Dataset()
    ds.QueryRetrieveLevel, ds.StudyInstanceUID = "STUDY", study
    move(server, ds, pacs.peer.split("@")[0])
    wait.until(lambda: len(pacs.files()) >= 7, "the study has come with its opinion", 60)

    # Of so few nothing is told; who may not, hears nothing.
    assert rita.get(f"{api}/statistics", timeout=60).status_code == 403
    counted = root.get(f"{api}/statistics", timeout=60).json()
    assert counted["total"] is None and counted["published"]

    # All is as it was signed, until an image comes late.
    verified = rita.get(f"{case}/verify", timeout=60).json()["opinions"][0]
    assert verified["is_intact"] and not verified["images_changed_since"]
    push(server, folder / "late", image(study, series=series, InstanceNumber=4, **common))
    verified = rita.get(f"{case}/verify", timeout=60).json()["opinions"][0]
    assert verified["is_intact"] and verified["images_changed_since"] and verified["arrived"]["count"] == 1
    assert rita.get(case, timeout=60).json()["images_changed_since"]
    done = people.shell(server, f"case verify {number}")
    assert "arrived" in done.stdout + done.stderr, done

    # The trail is whole, and tells who read what.
    done = people.shell(server, "audit verify")
    assert done.returncode == 0, done.stdout + done.stderr
    trail = people.trail(server)
    read = [row for row in trail if row["who"].startswith("link ") and study in row["studies"]]
    assert read and any("opinion signed" in row["detail"] for row in trail)
