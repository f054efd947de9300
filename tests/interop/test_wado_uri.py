"""The URI Service (PS3.18 §9; conformance.md §8, 161–170)."""

import io

import numpy
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

from harness import made, part10, web

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
J2K = "1.2.840.10008.1.2.4.90"
#: What OHIF's loader sends along, whatever it asks for (ohif-requests.md).
OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"


class Shelf:
    def __init__(self, server):
        self.server = server
        rows, columns = 40, 60
        ramp = numpy.arange(rows * columns, dtype="<u2").reshape(rows, columns) % 4096
        self.ct = made.instance(rows=rows, columns=columns, pixels=ramp.tobytes(), PatientName="Uri^Ulla")
        self.ramp = ramp.astype(float)
        self.cine = made.instance(rows=8, columns=8, frames=3, pixels=b"".join(bytes([n, 0]) * 64 for n in (0, 100, 200)), WindowCenter=100, WindowWidth=201)
        self.implicit = made.instance(rows=8, columns=8)
        data = made.file(self.implicit, IMPLICIT)
        j2k = open(get_testdata_file("693_J2KR.dcm"), "rb").read()
        self.j2k = dcmread(io.BytesIO(j2k))
        sr = open(get_testdata_file("test-SR.dcm"), "rb").read()
        self.sr = dcmread(io.BytesIO(sr))
        response = web.stow(server, [made.file(self.ct), made.file(self.cine), data, j2k, sr])
        assert response.status_code == 200, response.text

    def get(self, ds=None, accept="*/*", leave=(), **parameters):
        ds = self.ct if ds is None else ds
        query = {"requestType": "WADO", "studyUID": ds.StudyInstanceUID, "seriesUID": ds.SeriesInstanceUID, "objectUID": ds.SOPInstanceUID}
        query = {key: value for key, value in (query | parameters).items() if key not in leave}
        return web.get(self.server, self.server.url + "/wado", accept, params=query)

    def picture(self, *args, **keywords):
        response = self.get(*args, **keywords)
        assert response.status_code == 200, response.text
        return Image.open(io.BytesIO(response.content))


@pytest.fixture(scope="module")
def shelf(server):
    return Shelf(server)


def test_a161_part_10(shelf):
    response = shelf.get(contentType="application/dicom")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/dicom")
    assert part10.transfer_syntax(response.content) == EXPLICIT
    assert dcmread(io.BytesIO(response.content)).PixelData == shelf.ct.PixelData
    assert "/wado?" in response.headers["content-location"]
    made_explicit = shelf.get(shelf.implicit, contentType="application/dicom")
    assert part10.transfer_syntax(made_explicit.content) == EXPLICIT
    assert dcmread(io.BytesIO(made_explicit.content)).PatientName == shelf.implicit.PatientName


def test_as_ohif_asks(shelf):
    for ds in (shelf.ct, shelf.j2k, shelf.implicit):
        response = shelf.get(ds, accept=OHIF, contentType="application/dicom", transferSyntax="*")
        assert (response.status_code, response.headers["content-type"]) == (200, "application/dicom")
    assert part10.transfer_syntax(response.content) == IMPLICIT


def test_a162_a_picture_by_default(shelf):
    for accept in ("*/*", "image/*", "text/html,image/avif,image/webp,*/*;q=0.8"):
        response = shelf.get(accept=accept)
        assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg"), accept
        assert Image.open(io.BytesIO(response.content)).size == (60, 40)
    assert shelf.get(contentType="image/png").headers["content-type"] == "image/png"
    assert shelf.get(accept="application/dicom").headers["content-type"] == "application/dicom"


@pytest.mark.parametrize("name", ["requestType", "studyUID", "seriesUID", "objectUID"])
def test_a163_what_is_required(shelf, name):
    assert shelf.get(leave=[name]).status_code == 400
    assert shelf.get(**{name: "wado"}).status_code == 400
    assert shelf.get(**{name: ""}).status_code == 400


def test_unknown_404_and_other_methods(shelf):
    assert shelf.get(objectUID="1.2.3").status_code == 404
    assert shelf.get(seriesUID="1.2.3").status_code == 404
    import requests

    assert requests.post(shelf.server.url + "/wado", timeout=10).status_code == 405
    assert "GET" in requests.options(shelf.server.url + "/wado", timeout=10).headers["allow"]
    assert requests.head(shelf.server.url + "/wado", timeout=10).status_code == 400


def test_a164_transfer_syntax(shelf):
    for syntax, status in (("*", 200), (EXPLICIT, 200), ("nonsense", 400), (f"{EXPLICIT},{J2K}", 400), (f"{EXPLICIT}\\{J2K}", 400), ("1.2.840.10008.1.2.4.57", 406), ("1.2.3.4", 406)):
        assert shelf.get(contentType="application/dicom", transferSyntax=syntax).status_code == status, syntax
    stored = shelf.get(shelf.j2k, contentType="application/dicom", transferSyntax=J2K)
    assert (stored.status_code, part10.transfer_syntax(stored.content)) == (200, J2K)


def test_a165_frame_number(shelf):
    greys = []
    for number in (1, 2, 3):
        picture = shelf.picture(shelf.cine, contentType="image/png", frameNumber=number)
        greys.append(picture.convert("L").getpixel((4, 4)))
    # Window 100/201 (PS3.3 C.11.2.1.2.1): 0, 100, 200 become 0, 127.5 and 255.
    assert all(abs(got - want) <= 1 for got, want in zip(greys, (0, 127.5, 255))), greys
    for number in ("0", "4", "-1", "x", ""):
        assert shelf.get(shelf.cine, frameNumber=number).status_code == 400, number
    assert shelf.get(frameNumber="1").status_code == 400


def test_a166_window(shelf):
    for parameters in ({"windowCenter": 40}, {"windowWidth": 400}, {"windowCenter": "a", "windowWidth": 1}, {"windowCenter": 1, "windowWidth": 0}):
        assert shelf.get(**parameters).status_code == 400, parameters
    assert shelf.get(contentType="application/dicom", windowCenter=40, windowWidth=400).status_code == 400
    got = numpy.asarray(shelf.picture(contentType="image/png", windowCenter=1200, windowWidth=1000).convert("L")).astype(float)
    wanted = numpy.clip(((shelf.ramp - 1199.5) / 999 + 0.5) * 255, 0, 255)
    assert numpy.abs(got - wanted).max() <= 1


def test_a167_region(shelf):
    assert shelf.picture(region="0.25,0.25,0.75,0.75").size == (30, 20)
    whole = shelf.picture(contentType="image/png", windowCenter=1200, windowWidth=2400).convert("L")
    part = shelf.picture(contentType="image/png", windowCenter=1200, windowWidth=2400, region="0.5,0,1,0.5").convert("L")
    assert part.tobytes() == whole.crop((30, 0, 60, 20)).tobytes()
    for bad in ("0,0,1", "0,0,1,1,1", "0.5,0,0.5,1", "0,0,1.5,1", "a,b,c,d", "-1,0,1,1"):
        assert shelf.get(region=bad).status_code == 400, bad


def test_a168_rows_and_columns(shelf):
    assert shelf.picture(rows=100, columns=100).size == (100, 67)
    assert shelf.picture(rows=20, columns=100).size == (30, 20)
    assert shelf.picture(columns=30).size == (30, 20)
    for bad in ({"rows": 0}, {"columns": -5}, {"rows": "x"}, {"rows": 100_000_000}):
        assert shelf.get(**bad).status_code == 400, bad


def test_a169_what_is_not_done_is_said(shelf):
    assert shelf.get(contentType="application/dicom", anonymize="no").status_code == 400
    assert shelf.get(contentType="application/dicom", anonymize="yes").status_code == 501
    # States are applied (test_presentation.py); one that is not here is no picture of something else.
    assert shelf.get(presentationUID="1.2", presentationSeriesUID="1.3").status_code == 404


def test_a170_content_type_has_no_such_parameters(shelf):
    for bad in (f"application/dicom;transfer-syntax={EXPLICIT}", "text/html;charset=utf-8", "nonsense"):
        assert shelf.get(contentType=bad).status_code == 400, bad
    assert shelf.get(contentType="video/mp4").status_code == 406


def test_reports_as_html_and_text(shelf):
    page = shelf.get(shelf.sr)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = shelf.get(shelf.sr, contentType="text/plain")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    title = shelf.sr.ConceptNameCodeSequence[0].CodeMeaning
    assert title in page.text and title in text.text
    assert shelf.get(shelf.sr, contentType="image/jpeg").status_code == 406
    assert shelf.get(shelf.sr, contentType="text/html", charset="iso-8859-1").status_code == 406
    assert part10.transfer_syntax(shelf.get(shelf.sr, contentType="application/dicom").content) == EXPLICIT


def test_quality(shelf):
    sizes = [len(shelf.get(imageQuality=quality).content) for quality in (10, 90)]
    assert sizes[0] < sizes[1]
    for bad in ("0", "101", "x"):
        assert shelf.get(imageQuality=bad).status_code == 400
