"""Storage Commitment (PS3.18 §13, Annex J; conformance.md §1.6 and §8, 160)."""

import json
import sqlite3
import xml.etree.ElementTree as ET

import pytest
import requests
from pydicom.dataset import Dataset

from harness import made, web

MR = "1.2.840.10008.5.1.4.1.1.4"
NO_SUCH, CONFLICT, UNREADABLE = 0x0112, 0x0119, 0x0110
NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def reference(sop, sop_class=made.CT):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop
    return item


def asking(*items):
    ds = Dataset()
    ds.ReferencedSOPSequence = list(items)
    return ds


def commit(server, ds, transaction=None, **headers):
    """POST as pydicom writes DICOM JSON."""
    body = ds if isinstance(ds, (bytes, str)) else ds.to_json()
    url = f"{server.web}/commitment-requests/{transaction or made.uid()}"
    return requests.post(url, data=body, headers={"Content-Type": web.JSON, "Accept": web.JSON} | headers, timeout=60)


def told(response):
    """(committed {instance: class}, failed {instance: reason}) as pydicom reads it."""
    assert response.status_code == 200, response.text
    ds = Dataset.from_json(response.text)
    committed = {i.ReferencedSOPInstanceUID: i.ReferencedSOPClassUID for i in ds.get("ReferencedSOPSequence", [])}
    failed = {i.ReferencedSOPInstanceUID: i.FailureReason for i in ds.get("FailedSOPSequence", [])}
    return committed, failed


def store(server, *objects):
    assert web.stow(server, [made.file(ds) for ds in objects]).status_code == 200


def test_a160_what_is_held_is_committed_and_the_rest_has_a_reason(server):
    objects = made.study(3)
    store(server, *objects)
    unknown = made.uid()
    one, two, three = (ds.SOPInstanceUID for ds in objects)
    transaction = made.uid()
    response = commit(server, asking(reference(one), reference(unknown), reference(two, MR), reference(three), reference(one)), transaction)
    assert response.headers["content-type"].startswith(web.JSON)
    assert told(response) == ({one: made.CT, three: made.CT}, {unknown: NO_SUCH, two: CONFLICT})
    assert len(Dataset.from_json(response.text).ReferencedSOPSequence) == 2, "each once"
    again = requests.get(f"{server.web}/commitment-requests/{transaction}", headers={"Accept": web.JSON}, timeout=60)
    assert told(again) == told(response)
    assert commit(server, asking(reference(one)), transaction).status_code == 409
    assert told(requests.get(f"{server.web}/commitment-requests/{transaction}", headers={"Accept": web.JSON}, timeout=60)) == told(response)


def test_a160_all_good_and_all_bad_leave_the_other_sequence_out(server):
    ds = made.instance()
    store(server, ds)
    good = commit(server, asking(reference(ds.SOPInstanceUID))).json()
    assert set(good) == {"00081199"}
    bad = commit(server, asking(reference(made.uid()))).json()
    assert set(bad) == {"00081198"}


def test_a160_a_study_is_committed_as_a_tree(server):
    study = made.uid()
    objects = [*made.study(2, study=study), made.instance(study=study)]
    store(server, *objects)
    ds, item, nowhere = Dataset(), Dataset(), Dataset()
    item.StudyInstanceUID, nowhere.StudyInstanceUID = study, made.uid()
    ds.ReferencedStudySequence = [item, nowhere]
    answer = Dataset.from_json(commit(server, ds).text)
    assert "ReferencedSOPSequence" not in answer and "FailedSOPSequence" not in answer
    (held,) = answer.ReferencedStudySequence
    assert held.StudyInstanceUID == study
    found = {
        (series.SeriesInstanceUID, by_class.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID)
        for series in held.ReferencedSeriesSequence
        for by_class in series.ReferencedInstancesBySOPClassSequence
        for one in by_class.ReferencedInstanceSequence
    }
    assert found == {(o.SeriesInstanceUID, o.SOPClassUID, o.SOPInstanceUID) for o in objects}
    (failed,) = answer.FailedStudySequence
    assert (failed.StudyInstanceUID, failed.FailureReason) == (nowhere.StudyInstanceUID, NO_SUCH)

    series = Dataset()
    series.SeriesInstanceUID = objects[2].SeriesInstanceUID
    item.ReferencedSeriesSequence = [series]
    ds.ReferencedStudySequence = [item]
    answer = Dataset.from_json(commit(server, ds).text)
    (held,) = answer.ReferencedStudySequence
    assert [s.SeriesInstanceUID for s in held.ReferencedSeriesSequence] == [objects[2].SeriesInstanceUID]


def test_a160_what_was_removed_or_is_held_back_is_not_committed(server):
    ds = made.instance()
    store(server, ds)
    assert requests.delete(f"{server.web}/studies/{ds.StudyInstanceUID}", timeout=60).status_code == 204
    assert told(commit(server, asking(reference(ds.SOPInstanceUID)))) == ({}, {ds.SOPInstanceUID: NO_SUCH})


def test_a160_what_cannot_be_read_is_not_committed(start):
    server = start(config={"ingest": {"buffer_bytes_max": 4096}})
    whole, broken = (made.instance(rows=200, columns=200) for _ in range(2))
    before = set((server.data_dir / "blobs" / "files").rglob("*"))
    store(server, broken)
    (file,) = [p for p in set((server.data_dir / "blobs" / "files").rglob("*")) - before if p.is_file()]
    store(server, whole)
    with open(file, "r+b") as blob:
        blob.truncate(1000)
    committed, failed = told(commit(server, asking(reference(whole.SOPInstanceUID), reference(broken.SOPInstanceUID))))
    assert set(committed) == {whole.SOPInstanceUID} and failed == {broken.SOPInstanceUID: UNREADABLE}


def test_a160_as_xml(server):
    ds = made.instance()
    store(server, ds)
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'
        '<DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence"><Item number="1">'
        f'<DicomAttribute tag="00081150" vr="UI" keyword="ReferencedSOPClassUID"><Value number="1">{made.CT}</Value></DicomAttribute>'
        f'<DicomAttribute tag="00081155" vr="UI" keyword="ReferencedSOPInstanceUID"><Value number="1">{ds.SOPInstanceUID}</Value></DicomAttribute>'
        "</Item></DicomAttribute></NativeDicomModel>"
    )
    response = commit(server, body, **{"Content-Type": "application/dicom+xml", "Accept": "application/dicom+xml"})
    assert response.status_code == 200 and response.headers["content-type"].startswith("application/dicom+xml")
    model = ET.fromstring(response.content)
    (sequence,) = model.findall(f"{NATIVE}DicomAttribute")
    assert sequence.get("tag") == "00081199"
    values = [v.text for v in sequence.iter(f"{NATIVE}Value")]
    assert values == [made.CT, str(ds.SOPInstanceUID)]


def test_a160_bad_requests(server):
    good = asking(reference(made.uid()))
    bad = {
        "nothing": "", "no JSON": "{", "an array of two": "[{},{}]", "no sequence": "{}", "another sequence": '{"00081198":{"vr":"SQ","Value":[{}]}}',
        "an empty sequence": '{"00081199":{"vr":"SQ"}}', "an item without UIDs": '{"00081199":{"vr":"SQ","Value":[{}]}}',
        "a malformed UID": asking(reference("1.2.3")).to_json().replace("1.2.3", "1.02.3"),
        "deep": '{"00081199":{"vr":"SQ","Value":[' * 5000,
    }  # fmt: skip
    for what, body in bad.items():
        transaction = made.uid()
        assert commit(server, body, transaction).status_code == 400, what
        missing = requests.get(f"{server.web}/commitment-requests/{transaction}", headers={"Accept": web.JSON}, timeout=60)
        assert missing.status_code == 404, "a bad request uses no transaction UID"
    assert commit(server, good, "1.02").status_code == 400
    assert commit(server, good, "not-a-uid").status_code == 400
    for kind in ("text/plain", "multipart/related; type=application/dicom", ""):
        assert commit(server, good, **{"Content-Type": kind}).status_code == 415, kind
    assert commit(server, good, Accept="image/png").status_code == 406
    url = f"{server.web}/commitment-requests/{made.uid()}"
    assert requests.put(url, data="{}", timeout=60).status_code == 405


def test_a160_too_large(server):
    with pytest.raises((requests.ConnectionError, AssertionError)):
        response = commit(server, " " * (17 << 20))
        assert response.status_code != 413, "as it should be"
        raise AssertionError(response.status_code)
    many = {"00081199": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2"]}, "00081155": {"vr": "UI", "Value": [f"1.3.{n}"]}} for n in range(50_001)]}}
    assert commit(server, json.dumps(many)).status_code == 413


def test_a160_the_answer_is_durable_then_gone_then_forgotten(start):
    server = start(config={"http": {"commitment_keep_days": 2}})
    ds = made.instance()
    store(server, ds)
    transaction = made.uid()
    url = f"/commitment-requests/{transaction}"
    first = told(commit(server, asking(reference(ds.SOPInstanceUID)), transaction))
    server.kill()
    server.start()
    assert told(web.get(server, url, web.JSON)) == first, "after the power went"

    def age(days):
        assert server.stop() == 0
        with sqlite3.connect(server.data_dir / "index.sqlite") as index:
            index.execute("UPDATE commitment SET answered_at_ms = answered_at_ms - ? WHERE transaction_uid = ?", (days * 86_400_000, transaction))
        index.close()
        server.start()

    age(3)
    assert web.get(server, url, web.JSON).status_code == 410
    assert commit(server, asking(reference(ds.SOPInstanceUID)), transaction).status_code == 409
    commit(server, asking(reference(ds.SOPInstanceUID)))
    assert web.get(server, url, web.JSON).status_code == 410, "after the answer was dropped too"
    age(2)
    commit(server, asking(reference(ds.SOPInstanceUID)))
    assert web.get(server, url, web.JSON).status_code == 404
    assert told(commit(server, asking(reference(ds.SOPInstanceUID)), transaction)) == first
