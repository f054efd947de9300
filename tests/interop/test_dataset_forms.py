"""Data sets as DICOM JSON and as the Native DICOM Model: what we write, judged by pydicom, DCMTK and
Python's own XML parser."""

import base64
import gzip
import json
import math
import struct
import subprocess

import pytest
import requests
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from harness import corpus, made, native, oracle, web

XML = 'multipart/related; type="application/dicom+xml"'


@pytest.fixture(scope="module")
def archives(start_module):
    """One server for each layer of the corpus."""
    servers = []
    for layer in corpus.layers():
        server = start_module()
        for case in layer:
            assert web.stow(server, [case.data]).status_code == 200, case.name
        servers.append(server)
    return servers


@pytest.fixture(params=corpus.storable(), ids=lambda case: case.name)
def case(request):
    return request.param


def server_of(archives, case):
    return next(s for s, layer in zip(archives, corpus.layers()) if case in layer)


def document(server, path):
    """The one document of an answer."""
    response = web.get(server, path, XML)
    assert response.status_code == 200, response.text
    ((headers, body),) = web.parts_of(response)
    assert headers["content-type"] == "application/dicom+xml"
    return headers, body


def fetch(uri):
    response = requests.get(uri, headers={"Accept": "application/octet-stream; transfer-syntax=*, */*;q=0.1"}, timeout=60)
    assert response.status_code == 200, uri
    return response.content


def put(server, ds):
    response = web.stow(server, [made.file(ds)])
    assert response.status_code == 200, response.text
    return web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def test_a091_a092_xml_of_the_corpus_is_what_pydicom_derives(archives, case):
    server = server_of(archives, case)
    _, body = document(server, web.instance_path(*case.uids) + "/metadata")
    shown = native.members(body)
    as_json = web.get(server, web.instance_path(*case.uids) + "/metadata", web.JSON).json()[0]
    assert unlike(as_json, shown) == []
    assert oracle.differences(case.data, shown, fetch) == []
    for tag, keyword, creator in native.keywords(body):
        assert creator is not None or keyword is None or keyword_for_tag(int(tag, 16)) in (keyword, ""), tag


def unlike(wanted, got, where=""):
    """Where the data set of a document is not the one of the JSON, but for what XML cannot hold."""
    found = [f"{where}{tag}" for tag in wanted.keys() ^ got.keys()]
    for tag in wanted.keys() & got.keys():
        a, b = wanted[tag], got[tag]
        if a["vr"] == b["vr"] == "SQ" and len(a.get("Value", [])) == len(b.get("Value", [])):
            for number, (one, other) in enumerate(zip(a.get("Value", []), b.get("Value", []))):
                found += unlike(one, other, f"{where}{tag}/{number}/")
        elif plain(a) != plain(b):
            found.append(f"{where}{tag}: {plain(a)} {plain(b)}")
    return found


def plain(member):
    values = [plain_value(member["vr"], value) for value in member.get("Value", [])]
    return {**member, "Value": values} if "Value" in member else member


def plain_value(vr, value):
    if isinstance(value, dict):
        return {group: plain_value(vr, text).rstrip("^") for group, text in value.items()}
    if isinstance(value, str):
        if vr in native.NUMBERS:
            try:
                return float(value)
            except ValueError:
                pass
        return "".join("\N{REPLACEMENT CHARACTER}" if ord(c) < 32 and c not in "\t\r\n" else c for c in value)
    return value
