"""Inboxes: a link by which somebody without an account brings images, papers and photographs, before there is a case; what
they see of it, what becomes of their papers, and how the requester opens a case on it. Judged by pydicom, DCMTK, dicom3tools
and Pillow."""

import copy
import http.client
import io
import json
import re
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import numpy
import pytest
import requests
from PIL import Image
from pydicom import dcmread

from harness import brought, described, made, people, web
from harness.granting import HOUR_MS, PDF, Office, now_ms, opened, stored
from harness.server import free_port
from harness.wait import until

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


class House(Office):
    def __init__(self, server):
        super().__init__(server)
        for name, roles in (("dr.asks", "requester"), ("dr.other", "requester"), ("scanner", "sender"), ("dr.looks", "viewer")):
            people.add_user(server, name, roles)
        self.asks, self.other, self.sender, self.viewer = (
            people.bearer(people.token(server, name)[1]) for name in ("dr.asks", "dr.other", "scanner", "dr.looks")
        )

    def inbox(self, headers=None, **changes):
        """(number, link) of a new inbox without a case."""
        body = {"to": "inbox", "expires_ms": now_ms() + HOUR_MS, "label": "Anna"} | changes
        answer = self.api("POST", "/grants", json=body, headers=headers or self.asks)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"], answer.json()["link"]

    def holder(self, **changes):
        number, link = self.inbox(**changes)
        session, answer = opened(link)
        assert answer.headers["Location"] == f"{self.server.url}/inbox"
        return number, session

    def upload(self, session, *files, path="/api/v1/uploads", **fields):
        parts = [("files", (name, content)) for name, content in files]
        return session.post(self.server.url + path, files=parts, data=fields, timeout=120)

    def told(self, session, *files, **fields):
        answer = self.upload(session, *files, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def arrived(self, session):
        answer = session.get(f"{self.server.url}/api/v1/inbox", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["arrived"]

    def objects(self, study):
        """What is held of a study, as pydicom reads it."""
        answer = requests.get(f"{self.server.web}/studies/{study}", headers=self.headers | {"Accept": web.AS_STORED}, timeout=60)
        assert answer.status_code == 200, answer.text
        return [dcmread(io.BytesIO(content)) for _, content in web.parts_of(answer)]


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module())


def counts(told):
    return tuple(told[name] for name in ("stored", "already_stored", "refused", "skipped"))


def judged(ds, tmp_path):
    """dciodvfy finds no error; the path of the file."""
    path = tmp_path / f"{ds.SOPInstanceUID}.dcm"
    ds.save_as(path, enforce_file_format=True)
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    assert not errors, errors
    return path


def test_an_inbox_needs_no_case_and_gets_one(house):
    number, session = house.holder(question="Is it broken?", context="Fell on 3 May.")
    came = brought.slices(4, PatientName="Meier^Anna", PatientID="A-1")
    assert counts(house.told(session, ("disc.zip", brought.zipped(brought.disc(came))))) == (4, 0, 0, 6)
    study = came[0].StudyInstanceUID

    # Its maker and the administrator see it, nobody else.
    for who in (house.asks, house.headers):
        listed = house.api("GET", "/inboxes", headers=who).json()["inboxes"]
        assert number in [inbox["id"] for inbox in listed]
        one = house.api("GET", f"/inboxes/{number}", headers=who).json()
        assert (one["case"], one["question"], one["made_by"]) == (None, "Is it broken?", "dr.asks")
        assert [(s["study_instance_uid"], s["patient_name"], s["instances"]) for s in one["arrived"]] == [(study, "Meier^Anna", 4)]
    assert number not in [inbox["id"] for inbox in house.api("GET", "/inboxes", headers=house.other).json()["inboxes"]]
    for method, path, body in (("GET", f"/inboxes/{number}", None), ("PUT", f"/inboxes/{number}/case", {"case": 1}), ("DELETE", f"/grants/{number}", None)):
        assert house.api(method, path, json=body, headers=house.other).status_code == 404, path
        assert house.api(method, path, json=body, headers=house.viewer).status_code == 403, path
    assert house.api("GET", "/inboxes", headers=house.viewer).status_code == 403

    # The form is begun with what the inbox was made for; sent, it ties the inbox to its case.
    page = requests.get(f"{house.server.url}/studies/{study}/case?inbox={number}", headers=house.asks, timeout=30).text
    assert "Is it broken?" in page and "Fell on 3 May." in page and f'name="inbox" value="{number}"' in page
    other = requests.get(f"{house.server.url}/studies/{study}/case?inbox={number}", headers=house.other, timeout=30).text
    assert "Is it broken?" not in other and 'name="inbox"' not in other
    form = {"question": "Is it broken?", "subspecialty": "any", "urgency": "routine", "inbox": number}
    answer = requests.post(f"{house.server.url}/studies/{study}/case", data=form, headers=house.asks, timeout=30, allow_redirects=False)
    assert answer.status_code == 303, answer.text
    case = int(answer.headers["Location"].rsplit("/", 1)[1])
    assert house.api("GET", f"/inboxes/{number}", headers=house.asks).json()["case"] == case
    grants = house.api("GET", f"/grants?case={case}", headers=house.asks).json()["grants"]
    assert [grant["id"] for grant in grants] == [number]
    # It is tied once. What comes later still comes.
    again = house.open_case(study, headers=house.asks)
    assert house.api("PUT", f"/inboxes/{number}/case", json={"case": again}, headers=house.asks).status_code == 404
    assert counts(house.told(session, ("late", made.file(made.instance(study=study, PatientName="Meier^Anna", PatientID="A-1"))))) == (1, 0, 0, 0)
    rows = [row for row in people.trail(house.server) if f"inbox {number}" in row["detail"] or row["object"] == f"grant {number}"]
    assert any("opened of what came by the inbox" in row["detail"] for row in rows)


def test_a_case_is_tied_by_the_api(house):
    number, session = house.holder()
    mine = brought.slices(1)
    house.told(session, ("a", made.file(mine[0])))
    foreign = made.instance()
    assert house.store(foreign).status_code == 200
    elsewhere = house.open_case(foreign.StudyInstanceUID, headers=house.asks)
    assert house.api("PUT", f"/inboxes/{number}/case", json={"case": elsewhere}, headers=house.asks).status_code == 400
    case = house.open_case(mine[0].StudyInstanceUID, headers=house.asks)
    assert house.api("PUT", f"/inboxes/{number}/case", json={"case": case}, headers=house.asks).status_code == 204
    assert house.api("DELETE", f"/grants/{number}", headers=house.asks).status_code == 204
    assert session.get(f"{house.server.url}/api/v1/inbox", timeout=30).status_code == 401


def test_what_others_add_to_a_study_is_not_there_for_the_holder(house):
    """Whoever names the UID of a study before it comes here learns nothing of it when it does."""
    _, session = house.holder()
    bait = made.instance(PatientName="Anna", PatientID="A-2")
    assert counts(house.told(session, ("bait", made.file(bait)))) == (1, 0, 0, 0)
    study = bait.StudyInstanceUID
    before = house.arrived(session)
    series = made.uid()
    real = [made.instance(study=study, series=series, PatientName="Anna", PatientID="A-2", SeriesDescription="SECRET") for _ in range(3)]
    real.append(made.instance(study=study, series=bait.SeriesInstanceUID, PatientName="Anna", PatientID="A-2"))
    assert house.store(*real).status_code == 200
    assert house.arrived(session) == before and before[0]["instances"] == 1
    page = session.get(f"{house.server.url}/inbox", timeout=30).text
    assert "SECRET" not in page and "1 image" in page and "4 images" not in page
    for path in (f"/studies/{study}", "/studies", f"/studies/{study}/series", f"/studies/{study}/instances", f"/studies/{study}/metadata"):
        answer = session.get(house.server.web + path, headers={"Accept": web.JSON}, timeout=30)
        assert answer.status_code == 403, path


def test_an_inbox_leads_nowhere_else(house):
    number, session = house.holder()
    foreign = made.instance()
    assert house.store(foreign).status_code == 200
    study = foreign.StudyInstanceUID
    refused = [("GET", "/cases"), ("GET", "/inboxes"), ("GET", f"/inboxes/{number}"), ("GET", f"/studies/{study}"), ("GET", "/statistics"),
               ("GET", "/sending"), ("GET", f"/studies/{study}/evidence"), ("GET", f"/studies/{study}/case"), ("GET", "/api/v1/inboxes"),
               ("GET", f"/api/v1/studies/{study}/evidence"), ("GET", "/api/v1/cases"), ("POST", "/api/v1/grants")]  # fmt: skip
    for method, path in refused:
        answer = session.request(method, house.server.url + path, json={} if method == "POST" else None, timeout=30)
        assert answer.status_code in (403, 404), (path, answer.status_code)
        assert str(study) not in answer.text
    assert session.get(f"{house.server.url}/upload", timeout=30).status_code == 404
    front = session.get(f"{house.server.url}/", timeout=30)
    assert front.url.endswith("/inbox") and front.status_code == 200
    # Neither by papers: a study of somebody else is no place for them.
    told = house.told(session, ("a.pdf", brought.PDF), study=study)
    assert counts(told) == (0, 0, 1, 0) and "whose it is" in told["files"][0]["why"]
    # Nor does the page of the holder tell anything to others.
    assert requests.get(f"{house.server.url}/api/v1/inbox", headers=house.asks, timeout=30).status_code == 404
    assert requests.get(f"{house.server.url}/inbox", headers=house.asks, timeout=30).status_code == 404
    assert requests.post(f"{house.server.url}/api/v1/uploads", files={"f": b"x"}, timeout=30).status_code == 401
    assert requests.post(f"{house.server.url}/api/v1/uploads", files={"f": b"x"}, headers=house.viewer, timeout=30).status_code == 403


def test_what_a_disc_holds_and_whether_it_looks_complete(house):
    _, session = house.holder()
    whole, gap = brought.slices(6), brought.slices(6)
    missing = gap.pop(3)
    assert counts(house.told(session, *[(str(n), made.file(ds)) for n, ds in enumerate(whole + gap)])) == (11, 0, 0, 0)
    found = {study["study_instance_uid"]: study for study in house.arrived(session)}
    assert found[whole[0].StudyInstanceUID]["looks_complete"] is True
    series = found[whole[0].StudyInstanceUID]["series"]
    assert [(s["modality"], s["instances"], s["images"]) for s in series] == [("CT", 6, 6)]
    lacking = found[gap[0].StudyInstanceUID]
    assert lacking["looks_complete"] is False
    assert {m["kind"]: m["count"] for m in lacking["series"][0]["missing"]} == {"missing-numbers": 1, "missing-slices": 1}
    page = session.get(f"{house.server.url}/inbox", timeout=30).text
    assert "looks complete" in page and "some images seem to be missing" in page
    # Sent again nothing is there twice, and what was missing mends it.
    told = house.told(session, *[(str(n), made.file(ds)) for n, ds in enumerate([*gap, missing])])
    assert counts(told) == (1, 5, 0, 0)
    assert all(study["looks_complete"] for study in house.arrived(session))


def test_the_form_works_without_scripts(house):
    number, session = house.holder()
    page = session.get(f"{house.server.url}/inbox", timeout=30)
    assert 'enctype="multipart/form-data"' in page.text and "Nothing has arrived yet." in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "default-src 'none'" in policy and "unsafe" not in policy
    module = re.search(r'<script type="module" src="([^"]+)">', page.text).group(1)
    script = requests.get(f"{house.server.url}/{module}", timeout=30)
    assert script.headers["Content-Type"].startswith("text/javascript") and script.headers["X-Content-Type-Options"] == "nosniff"
    came = brought.slices(2, SeriesDescription="<b>Thorax</b>")
    files = [("IM<1>", made.file(came[0])), ("IM2", made.file(came[1])), ("<x>.exe", b"MZ")]
    answer = house.upload(session, *files, path="/inbox")
    assert answer.status_code == 200
    assert "2 stored, 0 here already, 0 not taken, 1 not needed." in answer.text
    assert "&lt;x&gt;.exe" in answer.text and "&lt;b&gt;Thorax&lt;/b&gt;" in answer.text and "<b>Thorax" not in answer.text
    done = session.post(f"{house.server.url}/inbox/finished", timeout=30)
    assert done.url.endswith("/inbox") and "Thank you." in done.text
    one = house.api("GET", f"/inboxes/{number}", headers=house.asks).json()
    assert one["finished_ms"] >= one["arrived"][0]["last_received_ms"]
    house.told(session, ("more", made.file(made.instance(study=came[0].StudyInstanceUID))))
    assert "More has arrived since" in session.get(f"{house.server.url}/inbox", timeout=30).text
    # A page of somebody else sends nothing.
    session.headers["Origin"] = "https://evil.example"
    assert house.upload(session, *files, path="/inbox").status_code == 403
    assert session.post(f"{house.server.url}/inbox/finished", timeout=30).status_code == 403


def test_a_pdf_becomes_a_document_of_the_study(house, tmp_path):
    _, session = house.holder()
    came = brought.slices(2, PatientName="Müller^Jürgen", PatientID="P-1", StudyDescription="Thorax")
    study = came[0].StudyInstanceUID
    told = house.told(session, ("Befund ä.pdf", brought.PDF), *[(str(n), made.file(ds)) for n, ds in enumerate(came)])
    # The paper came first; it waited for the images.
    assert counts(told) == (3, 0, 0, 0) and told["studies"] == [study]
    [ds] = [ds for ds in house.objects(study) if ds.SOPClassUID == PDF]
    assert (ds.PatientName, ds.PatientID, ds.PatientBirthDate) == ("Müller^Jürgen", "P-1", "19700102")
    assert (ds.StudyInstanceUID, ds.AccessionNumber, ds.DocumentTitle) == (study, came[0].AccessionNumber, "Befund ä")
    assert ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength] == brought.PDF
    path = judged(ds, tmp_path)
    subprocess.run(["dcm2pdf", str(path), str(tmp_path / "out.pdf")], check=True, timeout=60)
    assert (tmp_path / "out.pdf").read_bytes() == brought.PDF
    # Once, however often it is sent.
    assert counts(house.told(session, ("again.pdf", brought.PDF))) == (0, 1, 0, 0)
    assert len(house.objects(study)) == 3
    assert house.arrived(session)[0]["papers"] == 1


@pytest.mark.parametrize("subsampling", [1, 2])
def test_a_jpeg_keeps_its_codestream_and_nothing_else(house, tmp_path, subsampling):
    _, session = house.holder()
    [image] = brought.slices(1)
    photo = brought.jpeg(brought.scene(), subsampling=subsampling)
    assert counts(house.told(session, ("image", made.file(image)), ("photo.jpg", photo), photographs="image")) == (2, 0, 0, 0)
    [ds] = [ds for ds in house.objects(image.StudyInstanceUID) if ds.SOPClassUID == SECONDARY_CAPTURE]
    assert ds.file_meta.TransferSyntaxUID == JPEG_BASELINE
    assert ds.PhotometricInterpretation == "YBR_FULL_422"
    assert (ds.Rows, ds.Columns, ds.LossyImageCompression, ds.PatientID) == (48, 64, "01", image.PatientID)
    assert b"SECRET" in photo and b"SECRET" not in ds.PixelData and b"Exif" not in ds.PixelData
    path = judged(ds, tmp_path)
    # DCMTK decodes what the dataset says it is, Pillow what was photographed.
    subprocess.run(["dcmj2pnm", "--write-png", str(path), str(tmp_path / "out.png")], check=True, timeout=60)
    seen = numpy.asarray(Image.open(tmp_path / "out.png").convert("RGB")).astype(int)
    expected = numpy.asarray(Image.open(io.BytesIO(photo)).convert("RGB")).astype(int)
    assert numpy.abs(seen - expected).max() <= 6
    text = subprocess.run(["dcmdump", str(path)], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "=JPEGBaseline" in text and "SecondaryCaptureImageStorage" in text


@pytest.mark.parametrize("kind", ["turned", "progressive", "full", "grey", "png", "png-16", "png-alpha"])
def test_other_pictures_are_decoded_the_right_way_up(house, tmp_path, kind):
    _, session = house.holder()
    [image] = brought.slices(1)
    pixels = brought.scene()
    if kind == "turned":
        photo = brought.jpeg(pixels, orientation=6, subsampling=0)
        expected = numpy.rot90(pixels, -1)
    elif kind == "progressive":
        photo, expected = brought.jpeg(pixels, progressive=True, subsampling=0), pixels
    elif kind == "full":
        # PS3.5 §8.2.1 knows baseline JPEG with half the chroma.
        photo, expected = brought.jpeg(pixels, subsampling=0), pixels
    elif kind == "grey":
        expected = pixels[..., 0]
        photo = brought.jpeg(expected, orientation=3, subsampling=0)
        expected = expected[::-1, ::-1]
    elif kind == "png":
        photo, expected = brought.png(pixels), pixels
    elif kind == "png-16":
        expected = pixels[..., 0].astype(numpy.uint16) * 257
        photo = brought.png(expected)
    else:
        photo, expected = brought.png(numpy.dstack([pixels, numpy.full(pixels.shape[:2], 255, numpy.uint8)])), pixels
    assert counts(house.told(session, ("image", made.file(image)), ("photo", photo), photographs="image")) == (2, 0, 0, 0)
    [ds] = [ds for ds in house.objects(image.StudyInstanceUID) if ds.SOPClassUID == SECONDARY_CAPTURE]
    judged(ds, tmp_path)
    seen = ds.pixel_array
    assert seen.shape == expected.shape and ds.PhotometricInterpretation == ("RGB" if expected.ndim == 3 else "MONOCHROME2")
    assert numpy.abs(seen.astype(int) - expected.astype(int)).max() <= (0 if "png" in kind else 6)
    assert ds.LossyImageCompression == ("00" if "png" in kind else "01")


@pytest.mark.parametrize("kind", ["jpeg", "turned", "mirrored", "png"])
def test_a_photograph_of_a_letter_is_a_document(house, tmp_path, kind):
    _, session = house.holder()
    [image] = brought.slices(1)
    pixels = brought.scene()
    photo, expected = {
        "jpeg": (brought.jpeg(pixels, progressive=True), pixels), "turned": (brought.jpeg(pixels, orientation=6), numpy.rot90(pixels, -1)),
        "mirrored": (brought.jpeg(pixels, orientation=2, subsampling=0), pixels[:, ::-1]), "png": (brought.png(pixels), pixels),
    }[kind]  # fmt: skip
    assert counts(house.told(session, ("image", made.file(image)), ("letter.jpg", photo), photographs="paper")) == (2, 0, 0, 0)
    study = image.StudyInstanceUID
    [ds] = [ds for ds in house.objects(study) if ds.SOPClassUID != image.SOPClassUID]
    assert (ds.SOPClassUID, ds.Modality, ds.DocumentTitle) == (PDF, "DOC", "letter")
    subprocess.run(["dcm2pdf", str(judged(ds, tmp_path)), str(tmp_path / "out.pdf")], check=True, timeout=60)
    assert b"SECRET" not in (tmp_path / "out.pdf").read_bytes()
    done = subprocess.run(["pdftoppm", "-png", "-scale-to", str(max(expected.shape)), str(tmp_path / "out.pdf"), str(tmp_path / "page")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    [page] = tmp_path.glob("page*.png")
    seen = numpy.asarray(Image.open(page).convert("RGB")).astype(int)
    # Drawn at its own size, give or take the resampling of a pixel.
    assert seen.shape == expected.shape and numpy.abs(seen - expected.astype(int)).mean() < 6
    # Who reads blind knows nothing of it.
    _, blind = house.session(blind=[study])
    held = blind.get(f"{house.server.web}/studies/{study}/instances", headers={"Accept": web.JSON}, timeout=30).json()
    assert [web.value(row, "00080018") for row in held] == [image.SOPInstanceUID]


def test_a_photograph_of_which_nothing_is_said_is_a_document(house):
    """A letter that was taken for an image would be seen by who reads blind."""
    _, session = house.holder()
    [image] = brought.slices(1)
    study = image.StudyInstanceUID
    assert counts(house.told(session, ("image", made.file(image)), ("a.jpg", brought.jpeg(brought.scene())))) == (2, 0, 0, 0)
    for word in ("", "images", "Image", "photo"):
        told = house.told(session, ("b.png", brought.png(brought.scene())), photographs=word)
        assert counts(told) == (0, 0, 1, 0) and '"image" or "paper"' in told["files"][0]["why"], (word, told)
    # Whatever was said before or behind the files; images are taken all the same.
    [more] = brought.slices(1)
    told = house.told(session, ("image", made.file(more)), ("b.png", brought.png(brought.scene())), photographs="scan")
    assert counts(told) == (1, 0, 1, 0)
    assert {ds.SOPClassUID for ds in house.objects(study)} == {image.SOPClassUID, PDF}


def test_pictures_of_a_disc_take_no_place_of_a_letter(house):
    """However many they are, and however late the directory says that they are of a disc."""
    _, session = house.holder()
    came = brought.slices(1)
    study = came[0].StudyInstanceUID
    disc = brought.disc(came)
    assert counts(house.told(session, ("IM", disc["DICOM/IM0000"]))) == (1, 0, 0, 0)
    pictures = {f"ALBUM/{place:02}.png": brought.png(brought.scene(10 + place, 32)) for place in range(60)}
    told = house.told(session, *pictures.items(), ("june.pdf", brought.PDF + b"% of June"), ("ALBUM/DICOMDIR", disc["DICOMDIR"]))
    assert counts(told) == (1, 0, 0, 61), told
    told = house.told(session, *pictures.items())
    assert counts(told)[2] == 10 and {file["why"] for file in told["files"] if file["fate"] == "refused"} == {"too many documents at once"}
    # What was here already is told of as what came.
    told = house.told(session, ("june.pdf", brought.PDF + b"% of June"))
    assert counts(told) == (0, 1, 0, 0) and told["studies"] == [study]


def test_papers_of_a_discs_viewer_are_left_out(house):
    _, session = house.holder()
    came = brought.slices(2)
    study = came[0].StudyInstanceUID
    why = "belongs to the disc's viewer; send it by itself if it is wanted"
    disc = brought.disc(came)
    # Wherever the directory stands; a picture before it, one behind it.
    turned = {"first.jpg": brought.jpeg(brought.scene())} | dict(reversed(disc.items()))
    for name, files, expected in (("cd.zip", disc, (2, 0, 0, 6)), ("turned.zip", turned, (0, 2, 0, 7))):
        told = house.told(session, (name, brought.zipped(files)))
        assert counts(told) == expected, told
        left = {file["name"] for file in told["files"] if file["why"] == why}
        pictures = {f"{name}: {path}" for path in files if path.endswith((".png", ".pdf", ".jpg"))}
        assert left == pictures and all(file["fate"] == "skipped" for file in told["files"])
    # Beside the disc lies what its sender put there.
    files = {f"CD/{path}": content for path, content in disc.items()} | {"report.pdf": brought.PDF + b"% of March", "CD.png": brought.png(brought.scene(9))}
    told = house.told(session, ("mine.zip", brought.zipped(files)))
    assert counts(told) == (2, 2, 0, 6), told
    # So it is with a folder; with single files, whoever chose them wants them.
    folder = {f"CD/{path}": content for path, content in turned.items()} | {"by-hand.zip": brought.zipped({"letter.pdf": brought.PDF + b"% of April"})}
    told = house.told(session, *folder.items())
    assert counts(told) == (1, 2, 0, 7), told
    assert {file["name"] for file in told["files"] if file["why"] == why} == {"CD/first.jpg", "CD/HELP/logo.png", "CD/manual.pdf"}
    told = house.told(session, ("DICOMDIR", disc["DICOMDIR"]), ("May.pdf", brought.PDF + b"% of May"))
    assert counts(told) == (1, 0, 0, 1), told
    # An archive without one, and files beside a disc, are what their sender wants to send.
    papers = {"letter.pdf": brought.PDF, "DICOM/IM0": disc["DICOM/IM0000"]}
    told = house.told(session, ("again.zip", brought.zipped(disc)), ("by-hand.zip", brought.zipped(papers)), ("scan.png", brought.png(brought.scene())))
    assert counts(told) == (2, 3, 0, 6), told
    assert sorted(str(ds.DocumentTitle) for ds in house.objects(study) if ds.SOPClassUID == PDF) == ["CD", "May", "letter", "letter", "report", "scan"]


def test_an_upload_ends_with_its_last_paper(start):
    """Whoever sends pictures that are slow to decode has one of the places for uploads until they are here."""
    house = House(start(config={"http": {"uploads_max": 1}}))
    _, session = house.holder()
    pictures = [brought.png(numpy.roll(brought.scene(3000, 3000), place, axis=0)) for place in range(6)]
    [image] = brought.slices(1)
    study = image.StudyInstanceUID
    files = [("files", ("image", made.file(image))), *[("files", (f"{n}.png", picture)) for n, picture in enumerate(pictures)]]
    form = session.prepare_request(requests.Request("POST", f"{house.server.url}/api/v1/uploads", files=files))
    part = form.body.index(b"0.png")
    found = f"{house.server.web}/studies/{study}/instances"
    with closing(http.client.HTTPConnection(form.url.split("/")[2], timeout=120)) as connection:
        connection.putrequest("POST", form.path_url)
        for header in form.headers.items():
            connection.putheader(*header)
        connection.endheaders()
        connection.send(form.body[:part])
        until(lambda: requests.get(found, headers=house.headers | {"Accept": web.JSON}, timeout=30).status_code == 200, "it has the place")
        assert house.upload(session, ("x", b"x")).status_code == 503
        connection.send(form.body[part:])
        until(lambda: house.upload(session, ("x", b"x")).status_code == 200, "the place is free", 60)
        assert len(house.objects(study)) == 1 + len(pictures)
        answer = connection.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["stored"] == 1 + len(pictures)


def test_the_holder_chooses_the_study_of_papers(house):
    _, session = house.holder()
    first, second = brought.slices(1), brought.slices(1)
    house.told(session, ("1", made.file(first[0])))
    house.told(session, ("2", made.file(second[0])))
    page = session.get(f"{house.server.url}/inbox", timeout=30).text
    assert set(re.findall(r'<option value="([0-9.]+)"', page)) == {first[0].StudyInstanceUID, second[0].StudyInstanceUID}
    told = house.told(session, ("a.pdf", brought.PDF), study=first[0].StudyInstanceUID)
    assert told["studies"] == [first[0].StudyInstanceUID]
    # Without a choice it is the one that came last.
    told = house.told(session, ("b.pdf", brought.PDF + b"% another\n"))
    assert told["studies"] == [first[0].StudyInstanceUID]


def test_papers_alone_make_a_study_of_the_patient(house, tmp_path):
    _, known = house.holder(patient={"name": "Meier^Anna", "id": "A-9", "birth_date": "19700131"})
    told = house.told(known, ("a.pdf", brought.PDF), ("b.jpg", brought.jpeg(brought.scene())), photographs="image")
    assert counts(told) == (2, 0, 0, 0) and len(told["studies"]) == 1
    objects = house.objects(told["studies"][0])
    assert {(str(ds.PatientName), ds.PatientID, ds.PatientBirthDate) for ds in objects} == {("Meier^Anna", "A-9", "19700131")}
    for ds in objects:
        judged(ds, tmp_path)
    # Later papers go along.
    more = house.told(known, ("c.pdf", brought.PDF + b"% more\n"))
    assert more["studies"] == told["studies"]
    assert sorted(int(ds.InstanceNumber) for ds in house.objects(told["studies"][0]) if ds.SOPClassUID == PDF) == [1, 2]

    _, asked = house.holder()
    assert 'name="family_name"' in asked.get(f"{house.server.url}/inbox", timeout=30).text
    refused = house.told(asked, ("a.pdf", brought.PDF), family_name="Meier")
    assert counts(refused) == (0, 0, 1, 0)
    # Nor is a study made of a patient whom DICOM cannot name.
    for wrong, why in (
        ({"birth_date": "99999999"}, "birth date"), ({"birth_date": "1981-02-29"}, "birth date"), ({"family_name": "x" * 65}, "64 characters"),
        ({"family_name": "x" * 60, "given_name": "y" * 60}, "64 characters"), ({"family_name": "", "given_name": "Bert"}, "whose it is"),
    ):  # fmt: skip
        refused = house.told(asked, ("a.pdf", brought.PDF), **({"family_name": "Meier", "birth_date": "1980-02-29"} | wrong))
        assert counts(refused) == (0, 0, 1, 0) and why in refused["files"][0]["why"], (wrong, refused)
    assert house.arrived(asked) == []
    told = house.told(asked, ("a.pdf", brought.PDF), family_name="Meier", given_name="Bert", birth_date="1980-02-29")
    [ds] = house.objects(told["studies"][0])
    assert (ds.PatientName, ds.PatientBirthDate, ds.PatientID) == ("Meier^Bert", "19800229", "")


def sharing(content, count):
    """An archive of so many files more than one, all of them the same bytes of it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first", content)
        for place in range(count):
            entry = copy.copy(archive.filelist[0])
            entry.filename = f"again{place}"
            archive.filelist.append(entry)
    return stream.getvalue()


def test_hostile_files_are_refused_and_named(house):
    _, session = house.holder()
    [image] = brought.slices(1)
    good = ("image", made.file(image))
    nested = brought.zipped({"inner.zip": brought.zipped({"x": made.file(made.instance())})})
    bomb = brought.zipped({"image": made.file(made.instance()) + bytes(300 << 20)})
    huge = bytearray(brought.png(brought.scene()))
    huge[16:24] = b"\x00\x01\x00\x00\x00\x01\x00\x00"
    cut = brought.jpeg(brought.scene())[:600]
    damaged = made.file(made.instance())[:400]
    traversal = brought.zipped({"../../../etc/passwd": made.file(made.instance()), "/abs": b"MZ"})
    shared = sharing(made.file(made.instance()), 3)
    for name, content, expected in (
        ("nested.zip", nested, (1, 0, 1, 0)), ("cut.zip", nested[:200], (0, 1, 1, 0)), ("huge.png", bytes(huge), (0, 1, 1, 0)),
        ("cut.jpg", cut, (0, 1, 1, 0)), ("damaged", damaged, (0, 1, 1, 0)), ("empty", b"", (0, 1, 0, 0)), ("text.txt", b"hello", (0, 1, 0, 1)),
        ("zeros.zip", brought.zipped({"zeros": bytes(300 << 20)}), (0, 1, 0, 1)), ("not.pdf", b"%PD", (0, 1, 0, 1)), ("trav.zip", traversal, (1, 1, 0, 1)), ("shared.zip", shared, (1, 1, 3, 0)), ("bomb.zip", bomb, (0, 1, 1, 0)),
    ):  # fmt: skip
        told = house.told(session, good, (name, content))
        assert counts(told) == expected, (name, told)
        assert all(name in file["name"] for file in told["files"]), told
    assert "inflates to more" in told["files"][-1]["why"]  # of bomb.zip, the last
    log = house.server.log()
    assert "passwd" not in log and "panicked" not in log
    # A form that breaks off keeps what came whole, and says so.
    boundary = "b"
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{n}"\r\n\r\n'.encode() + made.file(made.instance()) + b"\r\n"
        for n in range(2)
    )[:-100]
    answer = session.post(f"{house.server.url}/api/v1/uploads", data=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert counts(answer.json()) == (1, 0, 1, 0) and answer.json()["is_to_be_repeated"] is True
    for content_type, status in (("text/plain", 415), ("multipart/form-data", 415), ("multipart/form-data; boundary=c", 400)):
        answer = session.post(f"{house.server.url}/api/v1/uploads", data=body, headers={"Content-Type": content_type}, timeout=60)
        assert answer.status_code == status, content_type


def test_the_sender_uploads_and_sees_nothing(house):
    session = requests.Session()
    session.headers.update(house.sender)
    came = brought.slices(3)
    told = house.told(session, ("cd.zip", brought.zipped(brought.disc(came), zipfile.ZIP_STORED)), ("a.pdf", brought.PDF), study=came[0].StudyInstanceUID)
    # Whoever sees no study has no papers go to one.
    assert counts(told) == (3, 0, 1, 6)
    assert session.get(f"{house.server.url}/", timeout=30).url.endswith("/upload")
    root = requests.Session()
    root.headers.update(house.headers)
    told = house.told(root, ("a.pdf", brought.PDF), ("b.png", brought.png(brought.scene())), study=came[0].StudyInstanceUID)
    assert counts(told) == (2, 0, 0, 0)
    assert {ds.PatientID for ds in house.objects(came[0].StudyInstanceUID)} == {came[0].PatientID}
    answer = house.upload(root, ("again", made.file(came[0])), path="/upload")
    assert "0 stored, 1 here already" in answer.text
    assert "upload" in root.get(f"{house.server.url}/", timeout=30).text
    looking = requests.get(f"{house.server.url}/", headers=house.viewer, timeout=30).text
    assert 'href="upload"' not in looking
    assert requests.get(f"{house.server.url}/upload", headers=house.viewer, timeout=30).status_code == 403
    stored_rows = [row for row in people.trail(house.server) if row["who"] == "scanner" and row["event"] == "DICOM Instances Transferred"]
    assert any(came[0].StudyInstanceUID in row["studies"] for row in stored_rows), stored_rows


def test_what_is_asked_for_an_inbox_has_to_make_sense(house):
    for wrong in (
        {"patient": {"birth_date": "1970-01-01"}}, {"patient": {"birth_date": "99999999"}}, {"patient": {"name": "x" * 65}}, {"patient": {"name": "a\\b"}}, {"patient": {"sex": "F"}}, {"question": "x" * 3000},
        {"case": 0}, {"case": -1}, {"studies": [{"study_instance_uid": "1.2"}]}, {"to": "link"}, {"context": "\u0007"},
    ):  # fmt: skip
        body = {"to": "inbox", "expires_ms": now_ms() + HOUR_MS} | wrong
        assert house.api("POST", "/grants", json=body, headers=house.asks).status_code == 400, wrong
    body = {"to": "inbox", "expires_ms": now_ms() + HOUR_MS}
    assert house.api("POST", "/grants", json=body, headers=house.viewer).status_code == 403
    assert house.api("POST", "/grants", json=body, headers=house.sender).status_code == 403
    # The page makes one too, and shows its link once.
    form = {"days": "3", "given_name": "Anna", "birth_date": "1970-02-29"}
    page = requests.post(f"{house.server.url}/inboxes", data=form, headers=house.asks, timeout=30)
    assert page.status_code == 400 and "a birth date is a day" in page.text
    page = requests.post(f"{house.server.url}/inboxes", data=form | {"birth_date": "1970-01-31"}, headers=house.asks, timeout=30)
    assert page.status_code == 200
    # A given name is no family name.
    assert house.api("GET", "/inboxes", headers=house.asks).json()["inboxes"][0]["patient"] == {"name": "^Anna", "id": "", "birth_date": "19700131"}
    form = {"label": "Bert <b>", "days": "3", "question": "?", "family_name": "Meier", "birth_date": "1970-01-31"}
    page = requests.post(f"{house.server.url}/inboxes", data=form, headers=house.asks, timeout=30)
    link = re.search(r'class="secret">([^<]+)<', page.text).group(1)
    assert "Bert &lt;b&gt;" in page.text
    session, answer = opened(link)
    assert answer.status_code == 303
    shown = requests.get(link, timeout=30).text
    assert "Send your images" in shown
    assert link not in requests.get(f"{house.server.url}/inboxes", headers=house.asks, timeout=30).text
    number = house.api("GET", "/inboxes", headers=house.asks).json()["inboxes"][0]["id"]
    assert requests.post(f"{house.server.url}/inboxes/{number}/close", headers=house.other, timeout=30).status_code == 404
    closed = requests.post(f"{house.server.url}/inboxes/{number}/close", headers=house.asks, timeout=30)
    assert closed.status_code == 200 and "closed" in closed.text
    assert session.get(f"{house.server.url}/inbox", timeout=30, allow_redirects=False).status_code in (303, 401)
    assert stored(house.server, session, made.instance()).status_code == 401


FULL = "the inbox is full: ask whoever sent you the link for another one"


def kept(house, session, number):
    """How much came by an inbox, which its holder and its maker are told alike; and how much may."""
    own = session.get(f"{house.server.url}/api/v1/inbox", timeout=30).json()
    [listed] = [one for one in house.api("GET", "/inboxes", headers=house.asks).json()["inboxes"] if one["id"] == number]
    one = house.api("GET", f"/inboxes/{number}", headers=house.asks).json()
    assert own["bytes"] == listed["bytes"] == one["bytes"] and own["bytes_max"] == listed["bytes_max"] == one["bytes_max"]
    return own["bytes"], own["bytes_max"]


def test_an_inbox_is_full_once_and_for_all(start):
    files = [made.file(made.instance(rows=150, columns=150, study="1.2.3")) for _ in range(8)]
    # Three go in, four do not; nor does what is meant for a paper.
    limit = sum(map(len, files[:3])) + 20_000
    house = House(start(config={"access": {"inbox_bytes_max": limit}}, ports=(free_port(), free_port())))
    number, session = house.holder()
    assert kept(house, session, number) == (0, limit)
    assert counts(house.told(session, ("a", files[0]), ("b", files[1]))) == (2, 0, 0, 0)
    came = len(files[0]) + len(files[1])
    assert kept(house, session, number) == (came, limit)
    # What is here already takes nothing, nor does what is no image.
    assert counts(house.told(session, ("a", files[0]), ("b", files[1]), ("text", b"x" * 30_000))) == (0, 2, 0, 1)
    assert kept(house, session, number) == (came, limit)
    house.server.kill()
    house.server.start()
    assert kept(house, session, number) == (came, limit)

    told = house.told(session, ("c", files[2]), ("d", files[3]))
    assert counts(told) == (1, 0, 1, 0) and told["is_to_be_repeated"] is False
    assert told["files"] == [{"name": "d", "fate": "refused", "why": FULL}]
    came += len(files[2])
    assert kept(house, session, number) == (came, limit)
    # By every other way in.
    packed = brought.zipped({"e": files[4]})
    assert len(packed) < 20_000 < len(files[4])
    letter = brought.PDF + b"% more\n" * 4000
    for name, content in (("e.zip", packed), ("letter.pdf", letter)):
        told = house.told(session, (name, content))
        assert counts(told) == (0, 0, 1, 0) and told["files"][0]["why"] == FULL and name in told["files"][0]["name"], told
    ds = made.instance(rows=150, columns=150, study="1.2.3")
    answer = stored(house.server, session, ds)
    assert answer.status_code == 409 and web.outcome(answer) == ({}, {ds.SOPInstanceUID: 0xA700}, [])
    assert FULL in answer.headers["Warning"]
    small = made.instance(study="1.2.3")
    answer = stored(house.server, session, ds, small)
    assert answer.status_code == 202 and web.outcome(answer) == ({small.SOPInstanceUID: None}, {ds.SOPInstanceUID: 0xA700}, [])
    came += len(made.file(small))
    assert kept(house, session, number) == (came, limit)
    small = made.instance(study="1.2.3")
    parts = [described.in_json(described.metadata_of(small), described.metadata_of(ds, PixelData="bulk"))]
    parts.append((described.OCTET_PART, "bulk", ds.PixelData))
    kind = f'multipart/related; type="{described.JSON_PART}"; boundary=b'
    answer = session.post(f"{house.server.web}/studies", data=described.body_of(parts, "b"), headers={"Content-Type": kind, "Accept": web.JSON}, timeout=60)
    assert answer.status_code == 202, answer.text
    assert web.outcome(answer) == ({small.SOPInstanceUID: None}, {ds.SOPInstanceUID: 0xA700}, [])
    # What cannot fit by its length alone is not read.
    huge = bytes(limit)
    answer = house.upload(session, ("huge", huge))
    assert (answer.status_code, answer.text.strip()) == (413, FULL)
    answer = session.post(f"{house.server.web}/studies", data=huge, headers={"Content-Type": "application/dicom", "Accept": web.JSON}, timeout=60)
    assert (answer.status_code, answer.text.strip()) == (413, FULL)
    assert FULL in answer.headers["Warning"]
    # The trail says so, once; and it is this inbox alone.
    rows = [row for row in people.trail(house.server) if "the inbox is full" in row["detail"]]
    assert [(row["event"], row["outcome"], row["means"]) for row in rows] == [("Security Alert", "4", f"inbox {number}")], rows
    other, another = house.holder()
    assert counts(house.told(another, ("x", made.file(made.instance(rows=150, columns=150))))) == (1, 0, 0, 0)
    assert kept(house, another, other)[0] > 0
    sender = requests.Session()
    sender.headers.update(house.sender)
    assert stored(house.server, sender, *[made.instance(rows=150, columns=150) for _ in range(4)]).status_code == 200


def test_requests_at_once_bring_no_more_than_one(start):
    study = made.uid()
    each = len(made.file(made.instance(rows=90, columns=90)))
    # All that one of them sends is no more than what its length alone is refused for.
    assert 3 * each < 60_000
    limit = each * 7 // 2
    house = House(start(config={"access": {"inbox_bytes_max": limit}}))
    number, session = house.holder()
    begin = Barrier(4)

    def bring(by_stow):
        objects = [made.instance(rows=90, columns=90, study=study) for _ in range(3)]
        begin.wait(30)
        if by_stow:
            there, failed, others = web.outcome(stored(house.server, session, *objects))
            assert set(failed.values()) <= {0xA700} and not others
            return [len(made.file(ds)) for ds in objects if ds.SOPInstanceUID in there]
        told = house.told(session, *[(str(ds.SOPInstanceUID), made.file(ds)) for ds in objects])
        refused = {file["name"]: file["why"] for file in told["files"]}
        assert set(refused.values()) <= {FULL}
        return [len(made.file(ds)) for ds in objects if ds.SOPInstanceUID not in refused]

    with ThreadPoolExecutor(4) as threads:
        brought_by = list(threads.map(bring, (True, False, True, False)))
    lengths = [length for lengths in brought_by for length in lengths]
    assert 1 <= len(lengths) <= 3
    assert kept(house, session, number) == (sum(lengths), limit)
    assert len(house.objects(study)) == len(lengths)
    # What they held and did not keep is free again.
    left = 3 - len(lengths)
    more = [made.file(made.instance(rows=90, columns=90, study=study)) for _ in range(4)]
    told = [counts(house.told(session, (str(place), content))) for place, content in enumerate(more)]
    assert told == [(1, 0, 0, 0)] * left + [(0, 0, 1, 0)] * (4 - left)
