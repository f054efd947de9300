"""Data sets as DICOM JSON and as the Native DICOM Model: what we write, judged by pydicom, DCMTK and
Python's own XML parser."""

import base64
import gzip
import itertools
import json
import math
import re
import struct
import subprocess

import pytest
import requests
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from harness import corpus, made, native, oracle, web

XML_PART = "application/dicom+xml"
XML = f'multipart/related; type="{XML_PART}"'


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
        wanted = keyword_for_tag(int(tag, 16)) if creator is None else None
        assert not wanted or int(tag[3], 16) % 2 == 1 or keyword == wanted, tag


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
    if member["vr"] == "PN" and all(value is None for value in values):
        return {key: value for key, value in member.items() if key != "Value"}
    return {**member, "Value": values}


def plain_value(vr, value):
    if isinstance(value, dict):
        # Components that are empty at the end say nothing (PS3.5 §6.2.1.1), and XML cannot hold them.
        groups = {group: plain_value(vr, text).rstrip("^") for group, text in value.items()}
        return {group: text for group, text in groups.items() if text} or None
    if isinstance(value, str):
        if vr in native.NUMBERS:
            try:
                return float(value)
            except ValueError:
                pass
        return "".join("\N{REPLACEMENT CHARACTER}" if ord(c) < 32 and c not in "\t\r\n" else c for c in value)
    return value


def test_xml_of_the_corpus_is_what_dcm2xml_writes(archives, case, tmp_path):
    path = tmp_path / "file.dcm"
    path.write_bytes(case.data)
    done = subprocess.run(["dcm2xml", "-nat", "+Xn", "+M", "+Eb", "+U8", str(path)], capture_output=True, timeout=60)
    if done.returncode != 0 or b"premature end of stream" in done.stderr:
        assert any(reason in done.stderr for reason in DCMTK_CANNOT), done.stderr
        return
    _, body = document(server_of(archives, case), web.instance_path(*case.uids) + "/metadata")
    found = list(against_dcmtk(readable(native.members(done.stdout)), readable(native.members(body))))
    if b"Cannot write private creator" in done.stderr:
        # Nobody reserved the block: it drops the number all the same, and so shows another attribute.
        found = [place for place in found if not place.startswith("7001")]
    if case.name in ("charset_files/chrX1.dcm", "charset_files/chrX2.dcm"):
        # It repeats the second group of a name when an equals sign ends it.
        found = [place for place in found if not place.startswith("00100010")]
    assert found == []


def readable(members):
    """Without (0008,0005), which DCMTK adds to all, and binary values, whose words it turns round."""
    return {
        tag: {**member, "Value": [readable(item) for item in member.get("Value", [])]} if member["vr"] == "SQ" else member
        for tag, member in members.items()
        if tag != "00080005" and member["vr"] not in oracle.BINARY
    }


# Why DCMTK 3.6.7 cannot show a file, as it says itself.
DCMTK_CANNOT = (
    b"InlineBinary encoding not supported for compressed pixel data",
    b"is not supported by the utilized character set conversion library",
    b"Cannot select source character set",
    b"premature end of stream",
)
# It turns words of two bytes round where pixels have four (as pydicom has it, too: see the oracle).
DCMTK_TURNS_WORDS = {"test_files/rtdose_expb.dcm", "test_files/rtdose_expb_1frame.dcm"}


def test_json_of_the_corpus_is_what_dcm2json_writes(archives, case, tmp_path):
    path = tmp_path / "file.dcm"
    path.write_bytes(case.data)
    done = subprocess.run(["dcm2json", str(path)], capture_output=True, timeout=60)
    if done.returncode != 0:
        assert any(reason in done.stderr for reason in DCMTK_CANNOT), done.stderr
        return
    ours = web.get(server_of(archives, case), web.instance_path(*case.uids) + "/metadata", web.JSON).json()[0]
    found = list(against_dcmtk(json.loads(done.stdout), ours))
    assert found == (["7FE00010 OW bytes differ"] if case.name in DCMTK_TURNS_WORDS else [])


def against_dcmtk(theirs, ours, where=""):
    for tag in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get(tag), ours.get(tag)
        if a is None or b is None:
            yield f"{where}{tag} {'only ours' if a is None else 'only theirs'}"
        elif a["vr"] != b["vr"]:
            yield f"{where}{tag} vr {a['vr']} {b['vr']}"
        elif a["vr"] == "SQ":
            one, other = a.get("Value", []), b.get("Value", [])
            if len(one) != len(other):
                yield f"{where}{tag} items {len(one)} {len(other)}"
            for number, (x, y) in enumerate(zip(one, other)):
                yield from against_dcmtk(x, y, f"{where}{tag}/{number}/")
        elif "InlineBinary" in a:
            got = base64.b64decode(b["InlineBinary"]) if "InlineBinary" in b else fetch(b["BulkDataURI"])
            if got != base64.b64decode(a["InlineBinary"]):
                yield f"{where}{tag} {a['vr']} bytes differ"
        elif "BulkDataURI" in b:
            if not numbers_in(a, fetch(b["BulkDataURI"])):
                yield f"{where}{tag} {a['vr']} bulk data differ"
        elif not same(a, b):
            yield f"{where}{tag} {a['vr']} {str(a)[:90]} {str(b)[:90]}"


def numbers_in(member, data):
    form = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}[member["vr"]]
    return list(struct.unpack(f"<{len(data) // struct.calcsize(form)}{form}", data)) == member["Value"]


def same(theirs, ours):
    vr = theirs["vr"]
    one, other = theirs.get("Value", []), ours.get("Value", [])
    if vr == "PN":
        # It leaves empty components at the end of a name out (PS3.5 §6.2.1.1 allows either).
        other = [{group: text.rstrip("^") for group, text in (name or {}).items() if text.rstrip("^")} for name in other]
        one = [{group: text for group, text in (name or {}).items() if text} for name in one]
        one = one if any(one) else []
        other = other if any(other) else []
    return len(one) == len(other) and all(same_one(vr, a, b) for a, b in zip(one, other))


def same_one(vr, a, b):
    if vr == "FD":
        # It shows sixteen digits in XML.
        return math.isclose(a, b, rel_tol=1e-15)
    if vr == "FL":
        # It shows single precision, and no minus before a zero.
        return struct.pack("<f", a + 0.0) == struct.pack("<f", b + 0.0)
    if vr in native.NUMBERS and a is not None and b is not None and a != b:
        return float(a) == float(b)
    return a == b


# --- What is asked for, and what comes -------------------------------------------------------------


@pytest.fixture(scope="module")
def study(server):
    """Three instances in two series of one study."""
    uid, series = made.uid(), made.uid()
    objects = [made.instance(study=uid, series=s, PatientName="Müller^Jürgen=山田^太郎") for s in (series, series, made.uid())]
    for ds in objects:
        put(server, ds)
    return objects


def shown(response):
    """The data sets of an answer in either notation."""
    if response.headers["content-type"].startswith("multipart/"):
        return [native.members(body) for _, body in web.parts_of(response)]
    return response.json()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ('application/dicom+json;q=0.2, multipart/related; type="application/dicom+xml";q=0.9', "multipart/related"),
        ("application/dicom+json;q=0.9, multipart/related; type=application/dicom+xml;q=0.2", "application/dicom+json"),
        ("multipart/related; type=application/dicom+xml", "multipart/related"),
        ("Multipart/Related; TYPE=Application/Dicom+XML; boundary=**", "multipart/related"),
        ('multipart/related; type="application/dicom+xml";q=0, application/*', "application/dicom+json"),
        ("*/*;q=0.1, application/dicom+json;q=0, application/json;q=0", "multipart/related"),
        ("application/dicom+json;q=0", None),
        ('multipart/related; type="application/dicom+xml";q=0', None),
        ("application/dicom+xml", None),
    ],
)
def test_a007_a008_the_notation_that_is_wanted_more(server, study, accept, kind):
    path = f"/studies/{study[0].StudyInstanceUID}"
    for resource in (path + "/metadata", "/studies?StudyInstanceUID=" + study[0].StudyInstanceUID):
        response = web.get(server, resource, accept)
        assert response.status_code == (200 if kind else 406), resource
        assert response.headers["content-type"].startswith(kind or ""), resource
        assert "accept" in response.headers.get("vary", "").lower() or not kind


def test_the_accept_parameter_takes_xml(server, study):
    path = f"/studies/{study[0].StudyInstanceUID}/metadata"
    response = requests.get(server.web + path, params={"accept": XML.replace(" ", "")}, headers={"Accept": "*/*"}, timeout=60)
    assert response.headers["content-type"].startswith("multipart/related") and len(shown(response)) == 3


def test_a094_metadata_as_xml_is_a_part_for_each_instance(server, study):
    uid = study[0].StudyInstanceUID
    for path, count in (
        (f"/studies/{uid}", 3),
        (f"/studies/{uid}/series/{study[0].SeriesInstanceUID}", 2),
        (web.instance_path(uid, study[2].SeriesInstanceUID, study[2].SOPInstanceUID), 1),
    ):
        response = web.get(server, path + "/metadata", XML)
        parts = web.parts_of(response)
        assert len(parts) == count
        as_json = web.get(server, path + "/metadata", web.JSON).json()
        for (headers, body), wanted in zip(parts, as_json):
            assert unlike(wanted, native.members(body)) == []
            assert requests.get(headers["content-location"], headers={"Accept": web.JSON}, timeout=60).json() == [wanted]
            bulk = native.members(body)["7FE00010"]["BulkDataURI"]
            assert bulk == wanted["7FE00010"]["BulkDataURI"] and len(fetch(bulk)) == 32


def test_xml_has_an_entity_tag_of_its_own_and_is_coded(server, study):
    path = f"/studies/{study[0].StudyInstanceUID}/metadata"
    first, json_one = web.get(server, path, XML), web.get(server, path, web.JSON)
    tag = first.headers["etag"]
    assert tag != json_one.headers["etag"] and web.get(server, path, XML).content == first.content
    again = web.get(server, path, XML, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert web.get(server, path, web.JSON, headers={"If-None-Match": tag}).status_code == 200
    packed = requests.get(server.web + path, headers={"Accept": XML, "Accept-Encoding": "gzip"}, stream=True, timeout=60)
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.raw.read()) == first.content


@pytest.mark.parametrize("resource", ["/studies", "/studies/{}/series", "/studies/{}/instances", "/series", "/instances"])
def test_a127_searches_as_xml_are_a_part_for_each_result(server, study, resource):
    uid = study[0].StudyInstanceUID
    path = resource.format(uid) + f"?StudyInstanceUID={uid}&includefield=all" * ("{}" not in resource)
    found, wanted = web.get(server, path, XML), web.get(server, path, web.JSON)
    assert found.status_code == 200
    results = shown(found)
    assert len(results) == len(wanted.json()) > 0
    for one, other in zip(wanted.json(), results):
        assert unlike(one, other) == []
    assert all(headers["content-type"] == "application/dicom+xml" for headers, _ in web.parts_of(found))


def test_a127_nothing_found_is_204_as_xml_too(server):
    response = web.get(server, "/studies?PatientID=NOBODY-AT-ALL", XML)
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("accept", ["application/dicom+xml", XML, web.JSON, None])
def test_a152_the_answer_to_a_store_in_either_notation(server, accept):
    good, bad = made.instance(), made.instance(StudyInstanceUID=None)
    content_type, body = web.multipart([made.file(good), made.file(bad)])
    headers = {"Content-Type": content_type, "Accept": accept}
    response = requests.post(server.web + "/studies", data=body, headers=headers, timeout=60)
    assert response.status_code == 202
    kind = response.headers["content-type"]
    if accept == "application/dicom+xml":
        assert kind == accept
        answer = native.members(response.content)
    elif accept == XML:
        (answer,) = shown(response)
    else:
        assert kind == web.JSON
        answer = response.json()
    (stored,), (failed,) = answer["00081199"]["Value"], answer["00081198"]["Value"]
    assert stored["00081155"]["Value"] == [good.SOPInstanceUID] and failed["00081155"]["Value"] == [bad.SOPInstanceUID]
    assert stored["00081190"]["Value"][0].endswith(good.SOPInstanceUID) and failed["00081197"]["Value"] == [0xA900]


def test_a092_private_attributes_name_their_creators(server):
    ds = made.instance()
    ds.add_new(0x00090010, "LO", "ACME & <Sons>")
    ds.add_new(0x00090042, "LO", "OTHER")
    ds.add_new(0x00091001, "LO", "one")
    ds.add_new(0x00094201, "US", [1, 2])
    ds.add_new(0x000B1001, "LO", "without a creator")
    item = Dataset()
    item.add_new(0x00090011, "LO", "OTHER")
    item.add_new(0x00091101, "DS", "1.50")
    ds.add_new(0x00091002, "SQ", [item])
    _, body = document(server, put(server, ds) + "/metadata")
    rows = [row for row in native.keywords(body) if row[0].startswith(("0009", "000B"))]
    assert rows == [
        ("00090010", None, None), ("00090042", None, None), ("00090001", None, "ACME & <Sons>"), ("00090002", None, "ACME & <Sons>"),
        ("00090001", None, "OTHER"), ("000B1001", None, None),
    ]  # fmt: skip
    got = native.members(body)
    assert got["00094201"] == {"vr": "US", "Value": [1, 2]}
    assert got["00091002"]["Value"][0]["00091101"] == {"vr": "DS", "Value": [1.5]}


def test_a091_text_that_xml_must_escape(server):
    ds = made.instance(StudyDescription='<a & "b">', PatientComments="  one\r\n\ttwo ]]> \f", PatientName="A^B^C^D^E=^山=p")
    _, body = document(server, put(server, ds) + "/metadata")
    got = native.members(body)
    assert got["00081030"]["Value"] == ['<a & "b">']
    assert got["00104000"]["Value"] == ["  one\r\n\ttwo ]]> \N{REPLACEMENT CHARACTER}"]
    assert got["00100010"]["Value"] == [{"Alphabetic": "A^B^C^D^E", "Ideographic": "^山", "Phonetic": "p"}]


@pytest.mark.parametrize(("vr", "tag", "width"), [("OF", 0x0040A20F, 4), ("OD", 0x00720073, 8), ("OL", 0x00660040, 4), ("OV", 0x00720081, 8), ("OW", 0x00281201, 2)])
def test_a095_binary_values_are_little_endian_whatever_their_source(server, vr, tag, width):
    little = bytes(range(16))
    big = b"".join(little[i : i + width][::-1] for i in range(0, 16, width))
    ds = made.instance()
    del ds.PixelData
    body = big_endian(ds, made.element(tag >> 16, tag & 0xFFFF, vr, big, order=">"))
    file = made.wrap(body, ds.SOPClassUID, ds.SOPInstanceUID, "1.2.840.10008.1.2.2")
    assert web.stow(server, [file]).status_code == 200
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    key = f"{tag:08X}"
    _, xml = document(server, path + "/metadata")
    for got in (web.get(server, path + "/metadata", web.JSON).json()[0], native.members(xml)):
        assert got[key] == {"vr": vr, "InlineBinary": base64.b64encode(little).decode()}


def big_endian(ds, extra):
    """The data set in Explicit VR Big Endian with one more element, by its tag."""
    elements = [(struct.unpack(">HH", extra[:4]), extra)]
    for element in ds:
        value = element.value
        if element.VR == "US":
            data = struct.pack(">H", value)
        else:
            data = str(value).encode()
            data += (b"\0" if element.VR == "UI" else b" ") * (len(data) % 2)
        encoded = made.element(element.tag.group, element.tag.element, element.VR, data, order=">")
        elements.append(((element.tag.group, element.tag.element), encoded))
    return b"".join(data for _, data in sorted(elements))


# --- What is read ---------------------------------------------------------------------------------

EVERY_VR = {
    "00080054": {"vr": "AE", "Value": ["ONE", "TWO"]},
    "00101010": {"vr": "AS", "Value": ["042Y"]},
    "00280009": {"vr": "AT", "Value": ["00181063", "FFFEE000"]},
    "00080008": {"vr": "CS", "Value": ["A", None, "B"]},
    "00080022": {"vr": "DA", "Value": ["20260102"]},
    "00180050": {"vr": "DS", "Value": [1.5]},
    "00200037": {"vr": "DS", "Value": [1, -0.000001, "1.0000000000000000001", 0.1, 2e-7, 100000]},
    "0008002A": {"vr": "DT", "Value": ["20260102101112.123456+0100"]},
    "00720074": {"vr": "FD", "Value": [0.1, 1e300, -5e-324]},
    "00720076": {"vr": "FL", "Value": [0.5, -3.4028234663852886e38]},
    "00200013": {"vr": "IS", "Value": [-2147483648]},
    "00081030": {"vr": "LO", "Value": ["Ωμέγα Жук 山田 \U0001f600"]},
    "00324000": {"vr": "LT", "Value": ["  a\\b\r\n\tc"]},
    "00420011": {"vr": "OB", "InlineBinary": "AAECAw=="},
    "00720073": {"vr": "OD", "InlineBinary": "AAAAAAAA8D8="},
    "0040A20F": {"vr": "OF", "InlineBinary": "AACAPw=="},
    "00660040": {"vr": "OL", "InlineBinary": "AQAAAA=="},
    "00720081": {"vr": "OV", "InlineBinary": "AQAAAAAAAAA="},
    "00281201": {"vr": "OW", "InlineBinary": "AQACAA=="},
    "00101001": {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": "山^田", "Phonetic": "や"}, None, {"Phonetic": "p"}]},
    "00080050": {"vr": "SH", "Value": ["x"]},
    "00720078": {"vr": "UL", "Value": [4294967295]},
    "0072007C": {"vr": "SL", "Value": [-2147483648, 7]},
    "0072007E": {"vr": "SS", "Value": [-32768]},
    "00081140": {"vr": "SQ", "Value": [{}, {"00081115": {"vr": "SQ", "Value": [{"00080008": {"vr": "CS"}}]}}]},
    "00081115": {"vr": "SQ"},
    "00080081": {"vr": "ST", "Value": ["Straße 1"]},
    "00720082": {"vr": "SV", "Value": ["-9223372036854775808", 5]},
    "00080031": {"vr": "TM", "Value": ["101112.5"]},
    "00080119": {"vr": "UC", "Value": ["a", "b"]},
    "00081195": {"vr": "UI", "Value": ["1.2.3"]},
    "00091001": {"vr": "UN", "InlineBinary": "AAEC/w=="},
    "00090010": {"vr": "LO", "Value": ["ACME"]},
    "00081190": {"vr": "UR", "Value": ["http://example.org/a?b=c"]},
    "0072007A": {"vr": "US", "Value": [0, 65535]},
    "00720083": {"vr": "UV", "Value": ["18446744073709551615", 1]},
    "0040A160": {"vr": "UT", "Value": ["long \\ text"]},
}


def posted(server, payload, bulk=(), kind=web.JSON):
    """The answer to a store of one data set: JSON as members, XML as bytes."""
    content = payload if isinstance(payload, bytes) else json.dumps([payload]).encode()
    parts = [f"Content-Type: {kind}\r\n\r\n".encode() + content]
    parts += [f"Content-Type: application/octet-stream\r\nContent-Location: {uri}\r\n\r\n".encode() + data for uri, data in bulk]
    body = b"".join(b"--overread-forms\r\n" + part + b"\r\n" for part in parts) + b"--overread-forms--\r\n"
    headers = {"Content-Type": f'multipart/related; type="{kind}"; boundary=overread-forms', "Accept": web.JSON}
    return requests.post(server.web + "/studies", data=body, headers=headers, timeout=60)


def identity(**others):
    """What a data set must have to be an instance; a class without pixels."""
    sop_class = "1.2.840.10008.5.1.4.1.1.66"  # Raw Data
    uids = {"00080016": sop_class, "00080018": made.uid(), "0020000D": made.uid(), "0020000E": made.uid()}
    found = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}
    found["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return dict(sorted((found | others).items()))


def path_of(payload):
    return web.instance_path(*(payload[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")))


def test_a093_every_vr_comes_back_as_it_was_sent(server):
    payload = identity(**EVERY_VR)
    assert {member["vr"] for member in payload.values()} == oracle.TEXT_ONE | oracle.TEXT_MANY | oracle.NUMBERS | oracle.DECIMAL | oracle.BINARY | {"AT", "PN", "SQ"}
    assert posted(server, payload).status_code == 200
    got = web.get(server, path_of(payload) + "/metadata", web.JSON).json()[0]
    assert got == payload and list(got) == list(payload)
    _, body = document(server, path_of(payload) + "/metadata")
    again = body.replace(payload["00080018"]["Value"][0].encode(), (second := made.uid()).encode())
    assert posted(server, again, kind=XML_PART).status_code == 200
    payload["00080018"]["Value"] = [second]
    assert web.get(server, path_of(payload) + "/metadata", web.JSON).json() == [payload]


def test_a093_what_was_made_is_what_pydicom_reads(server):
    payload = identity(**EVERY_VR)
    assert posted(server, payload).status_code == 200
    back = web.file_of(web.get(server, path_of(payload), web.AS_STORED))
    assert oracle.differences(back, payload, fetch) == []


# Files whose metadata and bulk data make no image: what is made here has to be sound.
NO_IMAGE = {
    "test_files/MR_small_padded.dcm": "its rows, columns, samples and frames",  # four bytes behind the pixels
    "test_files/badVR.dcm": "NumberOfFrames is malformed",  # "1A"
}


@pytest.fixture(scope="module")
def copies(start_module):
    """For each notation one empty server for each layer of the corpus."""
    return {kind: [start_module() for _ in corpus.layers()] for kind in (web.JSON, XML_PART)}


@pytest.mark.parametrize("kind", [web.JSON, XML_PART])
def test_a093_the_corpus_sent_on_as_metadata_and_bulk_data(archives, copies, case, kind):
    """What is shown of a file makes the same data set in another archive; encapsulated pixels apart."""
    server = server_of(archives, case)
    copy = copies[kind][archives.index(server)]
    path = web.instance_path(*case.uids) + "/metadata"
    wanted = web.get(server, path, web.JSON).json()[0]
    payload = wanted if kind == web.JSON else document(server, path)[1]
    if is_encapsulated(case):
        del wanted["7FE00010"]
        if kind == XML_PART:
            payload = re.sub(rb'<DicomAttribute tag="7FE00010".*?</DicomAttribute>', b"", payload, flags=re.DOTALL)
    response = posted(copy, payload, [(uri, fetch(uri)) for uri in bulk_uris(wanted)], kind)
    if case.name in NO_IMAGE:
        assert response.status_code == 409 and NO_IMAGE[case.name] in response.headers["warning"]
        return
    assert response.status_code == 200, (response.text, response.headers)
    assert list(against_sent(wanted, web.get(copy, path, web.JSON).json()[0])) == []


def is_encapsulated(case):
    return "PixelData" in case.dataset and case.dataset["PixelData"].is_undefined_length


def bulk_uris(members):
    for member in members.values():
        if "BulkDataURI" in member:
            yield member["BulkDataURI"]
        for value in member.get("Value", []):
            if member["vr"] == "SQ":
                yield from bulk_uris(value)


def against_sent(sent, got, where=""):
    for tag in sorted(sent.keys() | got.keys()):
        a, b = sent.get(tag), got.get(tag)
        if tag == "7FE00010" and a and b:
            # Up to eight bits a sample OB and OW are the same bytes (PS3.5 §A.2).
            a, b = {**a, "vr": "OW"}, {**b, "vr": "OW"}
        if a is None or b is None or a["vr"] != b["vr"]:
            yield f"{where}{tag} {str(a)[:80]} {str(b)[:80]}"
        elif a["vr"] == "SQ":
            one, other = a.get("Value", []), b.get("Value", [])
            if len(one) != len(other):
                yield f"{where}{tag} items {len(one)} {len(other)}"
            for number, (x, y) in enumerate(zip(one, other)):
                yield from against_sent(x, y, f"{where}{tag}/{number}/")
        elif "BulkDataURI" in a:
            if fetch(a["BulkDataURI"]) != fetch(b["BulkDataURI"]):
                yield f"{where}{tag} bulk data differ"
        elif plain(a) != plain(b):
            yield f"{where}{tag} {str(a)[:80]} {str(b)[:80]}"


def test_a145_groups_of_files_and_messages_are_left_out(server):
    for kind in (web.JSON, XML_PART):
        meta = {"00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.50"]}, "00080000": {"vr": "UL", "Value": [4]}}
        payload = identity(**meta)
        if kind == XML_PART:
            attributes = "".join(
                f'<DicomAttribute tag="{tag}" vr="{m["vr"]}"><Value number="1">{m["Value"][0]}</Value></DicomAttribute>'
                for tag, m in payload.items()
            )
            model = f'<NativeDicomModel xmlns="{native.NAMESPACE}" xml:space="preserve">{attributes}</NativeDicomModel>'.encode()
        response = posted(server, payload if kind == web.JSON else model, kind=kind)
        assert response.status_code == 200, response.text
        got = web.get(server, path_of(payload) + "/metadata", web.JSON).json()[0]
        assert got == {tag: member for tag, member in payload.items() if tag not in meta}
        file = web.file_of(web.get(server, path_of(payload), web.AS_STORED))
        assert file.count(bytes.fromhex("02001000") + b"UI") == 1 and b"1.2.4.50" not in file


BAD_JSON = [
    b"", b"[", b"nonsense", b"[1]", b'[{"00100010":5}]', b'[{"00280010":{"vr":"US","Value":["512"]}}]',
    b'[{"00100020":{"vr":"LO","Value":["SECRET\\\\X"]}}]', b'[{"00100020":{"vr":"LO"},"00100020":{"vr":"LO"}}]',
    b"[" * 100_000, b'{"00081140":{"vr":"SQ","Value":[' * 10_000, b'[{"FFFEE000":{"vr":"LO"}}]', b'[{"00089998":{"Value":["SECRET"]}}]',
]  # fmt: skip
BAD_XML = [
    b"", b"<", b"<a/>", b"<NativeDicomModel>", b"<NativeDicomModel><x/></NativeDicomModel>", b"<a>" * 100_000,
    b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><NativeDicomModel/>',
    b'<!DOCTYPE a [<!ENTITY a "SECRET"><!ENTITY b "&a;&a;&a;&a;">]><NativeDicomModel>&b;</NativeDicomModel>',
    b'<NativeDicomModel><DicomAttribute tag="00280010" vr="US"><Value number="1">SECRET</Value></DicomAttribute></NativeDicomModel>',
    b'<NativeDicomModel><DicomAttribute tag="00080008" vr="CS"><Value number="4000000000">A</Value></DicomAttribute></NativeDicomModel>',
    b"<NativeDicomModel>" + b'<DicomAttribute tag="00081140" vr="SQ"><Item number="1">' * 10_000,
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(web.JSON, t) for t in BAD_JSON] + [(XML_PART, t) for t in BAD_XML], ids=itertools.count())
def test_hostile_payloads_are_refused_and_say_nothing_of_their_values(server, kind, text):
    response = posted(server, text, kind=kind)
    assert response.status_code in (400, 409), response.text
    assert "SECRET" not in response.text + str(response.headers)
    assert web.get(server, "/studies", web.JSON).status_code in (200, 204)
