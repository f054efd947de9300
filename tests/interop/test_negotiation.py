"""What all resources share: media types, character sets, parameters, errors (conformance.md §8, 1–20;
those that need one resource only stand in the test file of that resource)."""

import subprocess

import pytest
import requests

from harness import made, web


@pytest.fixture(scope="module")
def ct(server):
    """A stored CT of one frame: its path."""
    ds = made.instance(rows=16, columns=16, PatientName="Geheim^Gerda")
    assert web.stow(server, [made.file(ds)]).status_code == 200
    ds.path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    return ds


@pytest.mark.parametrize("boundary", ["simple", "a'()+_,-./:=?b", "with space inside", "x" * 70])
def test_a010_boundaries_of_requests(server, boundary):
    """RFC 2046 §5.1.1: all characters a boundary may hold, quoted; without quotes where a token may."""
    ds = made.instance()
    response = web.stow(server, [made.file(ds)], boundary=boundary)
    assert response.status_code == 200, response.text
    assert web.outcome(response)[0] == {ds.SOPInstanceUID: None}


def test_a010_unquoted_boundary_that_should_be_quoted(server):
    """`type=application/dicom` and a boundary with `=` stand unquoted in what real clients send."""
    ds = made.instance()
    _, body = web.multipart([made.file(ds)], boundary="==odd==")
    headers = {"Content-Type": "multipart/related; type=application/dicom; boundary===odd==", "Accept": web.JSON}
    response = requests.post(f"{server.web}/studies", data=body, headers=headers, timeout=30)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", ["/studies", "{ct}/metadata", "{ct}", "{ct}/frames/1"])
def test_a013_unknown_parameters_are_ignored(server, ct, path):
    path = path.format(ct=ct.path)
    plain = web.get(server, path, "*/*")
    more = web.get(server, path, "*/*", params={"nosuch": "1", "x-vendor": "a,b"})
    assert plain.status_code == more.status_code == 200
    assert more.headers["content-type"].split(";")[0] == plain.headers["content-type"].split(";")[0]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/studies", "limit=x"), ("/studies", "offset=-1"), ("/studies", "StudyDate=20261301"), ("/studies", "fuzzymatching=perhaps"),
        ("/studies", "StudyInstanceUID=1.02"), ("{ct}/metadata", "accept=*/*"), ("{ct}", "accept=image/*"),
    ],
)  # fmt: skip
def test_a014_known_parameters_with_bad_values_400(server, ct, path, query):
    response = web.get(server, f"{path.format(ct=ct.path)}?{query}", "*/*")
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/plain") and len(response.text) > 10


def test_a017_charset(server, ct):
    path = f"{ct.path}/metadata"
    for query, header, status in [
        ("utf-8", None, 200), ("UTF-8", None, 200), ("no-such-set", None, 200), ("iso-8859-1", None, 406),
        (None, "utf-8", 200), (None, "iso-8859-1, utf-8;q=0.2", 200), (None, "iso-8859-1, *;q=0.1", 200), (None, "iso-8859-1", 406),
        ("utf-8", "iso-8859-1", 200),
    ]:  # fmt: skip
        for resource in (path, "/studies"):
            response = web.get(
                server, resource, web.JSON, params={"charset": query} if query else None, headers={"Accept-Charset": header} if header else {}
            )
            assert response.status_code == status, (resource, query, header, response.text[:200])
            if status == 406:
                assert "UTF-8" in response.text


def test_a019_values_are_decoded_once(server):
    """`%3D`, `%2C`, `%26`, `%25` and `%23` in a value stand for themselves."""
    odd = "A=B&C#D%2C+E"
    ds = made.instance(StudyID="x", AccessionNumber="a&b=c%26#1", StudyDescription=odd)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    for key, value in (("AccessionNumber", "a&b=c%26#1"), ("StudyDescription", odd)):
        found = web.qido(server, "/studies", {key: value, "StudyInstanceUID": ds.StudyInstanceUID})
        assert len(found) == 1, key
        twice = requests.compat.quote(value)
        assert web.qido(server, "/studies", {key: twice, "StudyInstanceUID": ds.StudyInstanceUID}) == []


@pytest.mark.parametrize("uid", ["01.2", "1..2", "1.2.", ".1.2", "1." + "2" * 64, "abc", "1.2.-3", "%31.2%00", "1.2 "])
def test_a020_malformed_uids_400(server, uid):
    for path in (f"/studies/{uid}", f"/studies/{uid}/metadata", f"/studies/1.2/series/{uid}/metadata", f"/studies/1.2/series/1.3/instances/{uid}/frames/1"):
        response = web.get(server, path, "*/*")
        assert response.status_code == 400, path


def test_406_says_what_is_on_offer(server, ct):
    for path, word in (
        ("/studies", "application/dicom+json"), (f"{ct.path}/metadata", "application/dicom+json"), (ct.path, "application/dicom"),
        (f"{ct.path}/frames/1", "application/octet-stream"),
    ):  # fmt: skip
        response = web.get(server, path, "application/x-nothing")
        assert response.status_code == 406 and word in response.text, (path, response.text)


def test_brotli_gives_the_same_text(server, ct):
    """gzip and zstd: test_wado.py. curl decodes br."""
    plain = web.get(server, f"{ct.path}/metadata", web.JSON, headers={"Accept-Encoding": "identity"})
    command = ["curl", "-s", "--compressed", "-D", "-", "-H", "Accept-Encoding: br", "-H", f"Accept: {web.JSON}"]
    got = subprocess.run([*command, f"{server.web}{ct.path}/metadata"], capture_output=True, timeout=30).stdout
    head, _, text = got.partition(b"\r\n\r\n")
    assert b"content-encoding: br" in head.lower()
    assert text == plain.content
