"""Reports, documents and videos at `/rendered` (PS3.18 §10.4.1.1.3; conformance.md §8, 73)."""

import html
import io
import json
import re
from xml.etree import ElementTree

import pytest
import requests
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from harness import derived, made, oracle, web

PDF_CLASS = "1.2.840.10008.5.1.4.1.1.104.1"
VIDEO_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.4.1"
SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.33"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def put(server, ds, syntax=None):
    data = made.file(ds) if syntax is None else made.wrap(made.encode(ds), ds.SOPClassUID, ds.SOPInstanceUID, syntax)
    response = web.stow(server, [data])
    assert response.status_code == 200, response.text
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def texts_of(item):
    """What a reader must find, in document order, by pydicom's reading of the content tree."""
    if "ConceptNameCodeSequence" in item:
        yield item.ConceptNameCodeSequence[0].CodeMeaning
    if "TextValue" in item:
        yield item.TextValue
    if "ConceptCodeSequence" in item and item.ConceptCodeSequence:
        yield item.ConceptCodeSequence[0].CodeMeaning
    if item.get("MeasuredValueSequence"):
        yield str(item.MeasuredValueSequence[0].NumericValue)
    for reference in item.get("ReferencedSOPSequence", []):
        yield reference.ReferencedSOPInstanceUID
    for child in item.get("ContentSequence", []):
        yield from texts_of(child)


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


def in_order(texts, page):
    page, at = squeezed(page), 0
    for text in texts:
        found = page.find(squeezed(text), at)
        assert found >= 0, f"{text!r} does not follow in {page[at:at + 300]!r}"
        at = found + len(squeezed(text))


@pytest.fixture(scope="module")
def report(server):
    data = open(get_testdata_file("test-SR.dcm"), "rb").read()
    assert web.stow(server, [data]).status_code == 200
    ds = dcmread(io.BytesIO(data))
    ds.path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    return ds


@pytest.mark.parametrize(("accept", "essence"), [("text/html", "text/html"), ("*/*", "text/html"), (BROWSER, "text/html"), ("text/plain", "text/plain"), ("text/*;q=0.5, text/plain", "text/plain")])
def test_a073_reports_as_text(server, report, accept, essence):
    response = web.get(server, report.path + "/rendered", accept)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == f"{essence}; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"] and "sandbox" in response.headers["content-security-policy"]
    page = response.content.decode("utf-8")
    if essence == "text/html":
        assert page.startswith("<!DOCTYPE html>")
        page = html.unescape(re.sub(r"<[^>]*>", " ", page[page.index("<body") :]))
    texts = list(texts_of(report))
    assert len(texts) > 20
    in_order(texts, page)
    again = web.get(server, report.path + "/rendered", accept, headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304


def test_a073_reports_as_xml(server, report):
    response = web.get(server, report.path + "/rendered", "text/xml")
    assert response.status_code == 200, response.text
    root = ElementTree.fromstring(response.content)
    name = root.find("./{*}DicomAttribute[@keyword='SOPInstanceUID']/{*}Value")
    assert name.text == report.SOPInstanceUID


def test_a073_nothing_in_a_report_is_markup(server):
    evil = "<script>alert(document.domain)</script><img src=x onerror=alert(1)> & \"quoted\" '"
    child = Dataset()
    child.RelationshipType, child.ValueType, child.TextValue = "CONTAINS", "TEXT", evil
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "<b>Finding</b>"
    child.ConceptNameCodeSequence = Sequence([code])
    ds = made.instance(SOPClassUID=SR_CLASS, Modality="SR", PatientName="<i>Evil</i>^Eve", Rows=None, Columns=None, PixelData=None, ValueType="CONTAINER",
                       ContentSequence=Sequence([child]), ConceptNameCodeSequence=Sequence([code]))  # fmt: skip
    path = put(server, ds)
    page = web.get(server, path + "/rendered", "text/html").text
    assert not re.search(r"<(script|img|i|b)\b", page[page.index("<body") :])
    assert evil in html.unescape(page)
    assert evil in web.get(server, path + "/rendered", "text/plain").text


def test_a_report_is_not_shown_as_a_picture(server, report):
    response = web.get(server, report.path + "/rendered", "image/jpeg")
    assert response.status_code == 406 and "text/html" in response.text
    assert web.get(server, report.path + "/rendered", "text/html, application/dicom").status_code == 400


@pytest.mark.parametrize("size", [333, 70_001])
def test_documents_are_given_as_they_are(server, size):
    """Short ones stand in the metadata, long ones are bulk data; neither keeps its padding."""
    document = b"%PDF-1.4\n" + bytes(range(1, 256)) * 300
    document = document[:size]
    ds = made.instance(SOPClassUID=PDF_CLASS, Modality="DOC", Rows=None, Columns=None, PixelData=None, MIMETypeOfEncapsulatedDocument="application/pdf",
                       EncapsulatedDocumentLength=size)  # fmt: skip
    ds.EncapsulatedDocument = document
    path = put(server, ds) + "/rendered"
    for accept in ("application/pdf", "*/*", BROWSER):
        response = web.get(server, path, accept)
        assert (response.status_code, response.headers["content-type"], response.content) == (200, "application/pdf", document), accept
    part = web.get(server, path, "application/pdf", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, document[100:200])
    refused = web.get(server, path, "image/png")
    assert refused.status_code == 406 and "application/pdf" in refused.text


def test_videos_are_given_by_ranges(server):
    video = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 1200 + b"end"
    ds = made.instance(SOPClassUID=VIDEO_CLASS, Modality="XC", NumberOfFrames=25)
    ds.PixelData = encapsulate([video + b"\0" * (len(video) % 2)], has_bot=False)
    ds["PixelData"].is_undefined_length, ds["PixelData"].VR = True, "OB"
    path = put(server, ds, "1.2.840.10008.1.2.4.102") + "/rendered"
    whole = web.get(server, path, "*/*")
    assert (whole.status_code, whole.headers["content-type"], whole.headers["accept-ranges"]) == (200, "video/mp4", "bytes")
    assert whole.content.rstrip(b"\0") == video
    for first, last in ((0, 1), (4, 7), (100_000, 200_000), (len(video) - 3, len(video) - 1)):
        part = web.get(server, path, "video/mp4", headers={"Range": f"bytes={first}-{last}"})
        assert (part.status_code, part.content) == (206, video[first : last + 1])
    assert web.get(server, path, "video/*", headers={"Range": "bytes=99999999-"}).status_code == 416
    assert web.get(server, path, "image/jpeg").status_code == 406


def test_a_video_is_told_by_its_metadata_and_a_sign(server):
    ds = made.instance(SOPClassUID=VIDEO_CLASS, Modality="XC", NumberOfFrames=25)
    ds.PixelData = encapsulate([b"\0\0\0\x18ftypmp42"], has_bot=False)
    ds["PixelData"].is_undefined_length, ds["PixelData"].VR = True, "OB"
    path = put(server, ds, "1.2.840.10008.1.2.4.102")
    assert oracle.differences(made.file(ds, "1.2.840.10008.1.2.4.102"), web.get(server, path + "/metadata", web.JSON).json()[0], None) == []
    series = path.partition("/instances")[0]
    for at in (path, series, series.partition("/series")[0]):
        answer = web.get(server, at + "/thumbnail", "image/jpeg", params={"viewport": "256,200"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        picture = Image.open(io.BytesIO(answer.content))
        low, high = picture.getextrema()
        assert picture.size == (200, 200) and high - low > 100
    again = web.get(server, path + "/thumbnail", "image/png", params={"viewport": "9,9"})
    assert Image.open(io.BytesIO(again.content)).size == (9, 9)
    known = web.get(server, path + "/thumbnail", "image/png", params={"viewport": "9,9"}, headers={"If-None-Match": again.headers["etag"]})
    assert known.status_code == 304


def test_what_tells_a_video_does_not_come_back_into_it(server, tmp_path):
    """Our own metadata and bulk data, stored again elsewhere, are the same object: (0008,3002) is none of its attributes."""
    ds = derived.video(made.instance(), tmp_path, "Bronchoscopy")
    video = (tmp_path / "video.mp4").read_bytes()
    path = put(server, ds, derived.MPEG4_HIGH_4_1)
    [metadata] = web.get(server, path + "/metadata", web.JSON).json()
    metadata["00080018"]["Value"] = [made.uid()]
    metadata["7FE00010"]["BulkDataURI"] = "video"
    body = b"".join(
        f"--x\r\nContent-Type: {media}\r\nContent-Location: {location}\r\n\r\n".encode() + content + b"\r\n"
        for media, location, content in (
            ("application/dicom+json", "metadata", json.dumps([metadata]).encode()),
            ('video/mp4; transfer-syntax="1.2.840.10008.1.2.4.102"', "video", video),
        )
    )
    content_type = 'multipart/related; type="application/dicom+json"; boundary=x'
    answer = requests.post(f"{server.web}/studies", data=body + b"--x--\r\n", headers={"Content-Type": content_type, "Accept": web.JSON}, timeout=30)
    assert answer.status_code == 200, answer.text
    again = path.rpartition("/")[0] + "/" + metadata["00080018"]["Value"][0]
    back = dcmread(io.BytesIO(web.file_of(web.get(server, again, web.AS_STORED))))
    assert back.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.102"
    assert "AvailableTransferSyntaxUID" not in back and back.PatientName == ds.PatientName
