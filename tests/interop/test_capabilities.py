"""Retrieve Capabilities (PS3.18 §8.9, Annex H; conformance.md §8, 158, 159)."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import requests

from harness import made, ups, web

WADL = "application/vnd.sun.wadl+xml"
NS = "{http://wadl.dev.java.net/2009/02}"

# Table H-1, the Studies Service: what each resource must, at least, have.
STUDIES = {
    "studies": {"GET", "POST"},
    "studies/{}": {"GET", "POST"},
    "studies/{}/series": {"GET"},
    "studies/{}/instances": {"GET"},
    "studies/{}/series/{}": {"GET"},
    "studies/{}/series/{}/instances": {"GET"},
    "studies/{}/series/{}/instances/{}": {"GET"},
    "studies/{}/series/{}/instances/{}/frames/{}": {"GET"},
    "series": {"GET"},
    "instances": {"GET"},
} | {f"{level}/{what}": {"GET"} for what in ("metadata", "bulkdata", "pixeldata", "rendered", "thumbnail")
     for level in ("studies/{}", "studies/{}/series/{}", "studies/{}/series/{}/instances/{}")}  # fmt: skip


def options(server, path="", accept=WADL, **headers):
    if accept is not None:
        headers["Accept"] = accept
    request = requests.Request("OPTIONS", server.web + path, headers=headers).prepare()
    if accept is None:
        request.headers.pop("Accept", None)
    with requests.Session() as session:
        session.headers.clear()
        return session.send(request, timeout=60)


def resources(element, above=""):
    """(path, resource element) of every resource below an element."""
    for child in element.findall(f"{NS}resource"):
        path = f"{above}/{child.get('path')}".lstrip("/")
        yield path, child
        yield from resources(child, path)


def tree(response):
    application = ET.fromstring(response.content)
    assert application.tag == f"{NS}application"
    (top,) = application.findall(f"{NS}resources")
    return top.get("base"), {path: r for path, r in resources(top) if r.find(f"{NS}method") is not None}


def methods(resource):
    return {method.get("name") for method in resource.findall(f"{NS}method")}


def nameless(path):
    return re.sub(r"{[^}]*}", "{}", path)


@pytest.mark.parametrize("path", ["", "/"])
@pytest.mark.parametrize("accept", [WADL, "*/*", None])
def test_a158_the_root_is_described_as_wadl(server, path, accept):
    response = options(server, path, accept)
    assert response.status_code == 200 and response.headers["content-type"].startswith(WADL)
    base, found = tree(response)
    assert base == server.web
    listed = {nameless(p): methods(r) for p, r in found.items()}
    for resource, expected in STUDIES.items():
        assert expected <= listed.get(resource, set()), resource
    assert {"GET", "POST"} <= listed["commitment-requests/{}"]
    assert "DELETE" in listed["studies/{}"]


def test_a158_every_resource_of_the_table_and_no_other(server):
    source = (Path(__file__).parents[2] / "src/dicomweb/routes.rs").read_text()
    constants = dict(re.findall(r'const (STUDY|SERIES|INSTANCE): &str = "([^"]+)"', source))
    table = source.partition("ROUTES: &[Route]")[2].partition("\n];")[0]
    written = {constants.get(p, p.strip('"')) for p in re.findall(r'route\((\w+|"[^"]+"),', table)}
    _, found = tree(options(server))
    expected = {p.strip("/").replace("{path:.+}", "{path}") for p in written}
    assert set(found) == expected


def fill(path, ds):
    values = {"study": ds.StudyInstanceUID, "series": ds.SeriesInstanceUID, "instance": ds.SOPInstanceUID, "frames": "1", "path": "7FE00010"}
    return "/" + re.sub(r"{(\w+)}", lambda m: str(values.get(m[1], "")), path)


def test_a158_what_is_listed_is_given(server):
    """Every GET of the document, in every representation that it names."""
    ds = made.instance(rows=64, columns=64)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    transaction = made.uid()
    reference = {"00081150": {"vr": "UI", "Value": [made.CT]}, "00081155": {"vr": "UI", "Value": [str(ds.SOPInstanceUID)]}}
    posted = requests.post(f"{server.web}/commitment-requests/{transaction}", json={"00081199": {"vr": "SQ", "Value": [reference]}}, timeout=60)
    assert posted.status_code == 200
    workitem = ups.create(server)
    _, found = tree(options(server))
    tried = 0
    for path, resource in found.items():
        for method in resource.findall(f"{NS}method[@name='GET']"):
            for response in method.findall(f"{NS}response"):
                for media in (r.get("mediaType") for r in response.findall(f"{NS}representation")):
                    if media.startswith("text/"):
                        continue  # of reports
                    url = fill(path, ds).replace("/commitment-requests/", f"/commitment-requests/{transaction}").replace("/workitems/", f"/workitems/{workitem}")
                    answer = web.get(server, url, media)
                    assert answer.status_code == int(response.get("status")), (path, media, answer.text[:200])
                    assert answer.headers["content-type"].split(";")[0] == media.split(";")[0], (path, media)
                    tried += 1
    assert tried > 30


def test_a158_search_parameters_are_those_of_the_level(server):
    _, found = tree(options(server))

    def names(path):
        method = found[path].find(f"{NS}method[@name='GET']")
        return {p.get("name") for p in method.findall(f"{NS}request/{NS}param[@style='query']")}

    study, instances = names("studies"), names("studies/{study}/series/{series}/instances")
    assert {"limit", "offset", "includefield", "fuzzymatching", "orderby", "PatientName", "PatientID", "StudyDate", "ModalitiesInStudy"} <= study
    assert "SOPInstanceUID" not in study and "SeriesNumber" not in study
    assert {"SOPInstanceUID", "InstanceNumber", "limit"} <= instances and not {"PatientName", "SeriesNumber", "orderby"} & instances
    assert "RequestAttributesSequence.ScheduledProcedureStepID" in names("series")


def test_a159_the_same_as_json(server):
    response = options(server, accept="application/json")
    assert response.status_code == 200 and response.headers["content-type"].startswith("application/json")
    top = response.json()["application"]["resources"]
    assert top["base"] == server.web

    def walk(resource_list, above=""):
        for resource in resource_list:
            path = f"{above}/{resource['path']}".lstrip("/")
            if resource["method"]:
                yield path, {m["name"] for m in resource["method"]}
            yield from walk(resource["resource"], path)

    _, as_xml = tree(options(server))
    assert dict(walk(top["resource"])) == {path: methods(r) for path, r in as_xml.items()}


def test_a159_a_resource_describes_itself_and_what_is_below(server):
    path = "/studies/1.2/series/1.3"
    _, found = tree(options(server, path))
    assert found and all(p.startswith("studies/{study}/series/{series}") for p in found)
    assert "studies/{study}/series/{series}/metadata" in found
    plain = options(server, path, None)
    assert plain.status_code == 204 and set(plain.headers["allow"].split(", ")) == {"GET", "HEAD", "DELETE", "OPTIONS"}
    for resource, expected in (("/studies", "GET, HEAD, POST, OPTIONS"), ("/series", "GET, HEAD, OPTIONS"), ("/commitment-requests/1.2", "GET, HEAD, POST, OPTIONS")):
        assert options(server, resource, "*/*").headers["allow"] == expected
    assert requests.get(server.web, timeout=60).status_code == 405
    assert options(server, accept="text/html").status_code == 406


def test_a159_preflights_are_answered_as_before(start):
    server = start(config={"http": {"allowed_origins": ["https://viewer.example.org"]}})
    headers = {"Origin": "https://viewer.example.org", "Access-Control-Request-Method": "DELETE"}
    for path in ("", "/studies", "/studies/1.2"):
        answer = options(server, path, None, **headers)
        assert answer.status_code == 204 and answer.headers["access-control-allow-origin"] == "https://viewer.example.org", path
        assert "DELETE" in answer.headers["access-control-allow-methods"]
    plain = options(server, "", WADL, Origin="https://viewer.example.org")
    assert plain.status_code == 200 and plain.headers["access-control-allow-origin"] == "https://viewer.example.org"


def test_a158_base_and_removal_follow_the_configuration(start):
    server = start(config={"http": {"public_url": "https://pacs.example.org/over&read", "allow_delete": "never"}})
    base, found = tree(options(server))
    assert base == "https://pacs.example.org/over&read/dicom-web"
    assert {path for path, r in found.items() if "DELETE" in methods(r)} == {"workitems/{workitem}/subscribers/{aet}"}
    assert not any("reject" in path for path in found)
