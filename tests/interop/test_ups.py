"""Workitems (PS3.18 §11, PS3.4 Annex CC; conformance.md §3 and §8, 171 to 188, 197 to 200)."""

import concurrent.futures
import xml.etree.ElementTree as ET

import pytest
import requests
from pydicom.dataset import Dataset

from harness import made, ups, web

NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def warning(response):
    return response.headers.get("Warning", "")


def test_a171_what_is_created_comes_back_with_what_the_server_fills_in(server):
    uid, ds = made.uid(), ups.workitem(PatientName="Müller^Jörg", WorklistLabel="")
    response = ups.send("POST", server, "/workitems", ds, {"workitem": uid})
    assert response.status_code == 201
    location = response.headers["Location"]
    assert location == response.headers["Content-Location"] == f"{server.web}/workitems/{uid}"
    kept = Dataset.from_json(requests.get(location, headers={"Accept": web.JSON}, timeout=60).text)
    assert "TransactionUID" not in kept
    assert (kept.SOPClassUID, kept.SOPInstanceUID) == (ups.PUSH, uid)
    assert kept.ScheduledProcedureStepModificationDateTime and kept.WorklistLabel
    for element in ds:
        if element.keyword not in ("TransactionUID", "WorklistLabel"):
            assert kept[element.tag] == element, element.keyword
    assert not warning(response), "nothing had to be modified"


def test_a171_what_may_be_empty_and_is_missing_is_added_with_a_warning(server):
    uid, ds = made.uid(), ups.workitem(AdmissionID=None, InputInformationSequence=None)
    response = ups.send("POST", server, "/workitems", ds, {"workitem": uid})
    assert response.status_code == 201 and "created with modifications" in warning(response)
    kept = ups.retrieve(server, uid)
    assert "AdmissionID" in kept and "InputInformationSequence" in kept


@pytest.mark.parametrize(
    "attributes",
    [
        {"ProcedureStepState": "IN PROGRESS"},
        {"ProcedureStepState": "COMPLETED"},
        {"ProcedureStepState": None},
        {"ProcedureStepLabel": None},
        {"ProcedureStepLabel": ""},
        {"ScheduledProcedureStepPriority": None},
        {"ScheduledProcedureStepPriority": "URGENT"},
        {"ScheduledProcedureStepStartDateTime": None},
        {"InputReadinessState": None},
        {"InputReadinessState": "MAYBE"},
        {"TransactionUID": "1.2.3"},
        {"SOPClassUID": made.CT},
        {"SOPInstanceUID": "1.2.3"},
        {"StudyInstanceUID": "1.2.03"},
        {"ScheduledWorkitemCodeSequence": [ups.code("1"), ups.code("2")]},
        {"UnifiedProcedureStepPerformedProcedureSequence": [Dataset()]},
    ],
    ids=lambda attributes: "-".join(f"{k}" for k in attributes),
)
def test_a172_what_a_new_workitem_may_not_be_is_refused(server, attributes):
    uid = made.uid()
    response = ups.send("POST", server, "/workitems", ups.workitem(**attributes), {"workitem": uid})
    assert response.status_code == 400, response.text
    assert response.text.strip() and "MADE-1" not in response.text
    assert ups.send("GET", server, f"/workitems/{uid}").status_code == 404


def test_a172_bodies_that_are_none(server):
    uid = {"workitem": made.uid()}

    def post(body, **headers):
        return ups.send("POST", server, "/workitems", body, uid, **headers).status_code

    assert post("{") == 400
    assert post("[]") == 400
    assert post(b"\xff") == 400
    assert post("{}", **{"Content-Type": "text/plain"}) == 415
    assert post(" " * (2 * 1024 * 1024 + 1)) == 413
    bulk = '{"00420011":{"vr":"OB","BulkDataURI":"http://127.0.0.1/x"},' + ups.workitem().to_json()[1:]
    assert post(bulk) == 400
    nested = '{"00081140":{"vr":"SQ","Value":[' * 200 + "{}" + "]}}" * 200
    assert post(nested) == 400


def test_a173_the_uid_stands_in_any_of_four_places(server):
    for form in ("workitem={}", "AffectedSOPInstanceUID={}", "{}"):
        uid = made.uid()
        response = ups.send("POST", server, f"/workitems?{form.format(uid)}", ups.workitem())
        assert response.headers["Location"].endswith(uid), form
        again = ups.send("POST", server, f"/workitems?{form.format(uid)}", ups.workitem())
        assert again.status_code == 409 and "already exists" in warning(again)
    uid = made.uid()
    assert ups.send("POST", server, "/workitems", ups.workitem(SOPInstanceUID=uid)).headers["Location"].endswith(uid)
    for bad in ("", f"?workitem={made.uid()}", "?workitem=x"):
        ds = ups.workitem(SOPInstanceUID=made.uid()) if "1." in bad else ups.workitem()
        assert ups.send("POST", server, f"/workitems{bad}", ds).status_code == 400, bad


def test_a174_search_by_what_the_standard_requires(server):
    label, study = f"L{made.uid()[-10:]}", made.uid()
    one = ups.create(
        server,
        WorklistLabel=label,
        ScheduledHumanPerformersSequence=[ups.performer("anna"), ups.performer("boris")],
        ReferencedRequestSequence=[ups.request_item(study, "ACC-1")],
    )
    two = ups.create(
        server,
        WorklistLabel=label,
        ScheduledWorkitemCodeSequence=[ups.code("110007", "DCM", "Report Verification")],
        ReferencedRequestSequence=[ups.request_item(made.uid(), "ACC-2")],
        ScheduledProcedureStepStartDateTime="20260301",
    )
    ups.claim(server, two)
    of_label = {"WorklistLabel": label}
    for params, expected in [
        ({}, [one, two]),
        ({"ProcedureStepState": "SCHEDULED"}, [one]),
        ({"00741000": "IN PROGRESS"}, [two]),
        ({"ProcedureStepState": "SCHEDULED,IN PROGRESS"}, [one, two]),
        ({"ScheduledHumanPerformersSequence.HumanPerformerCodeSequence.CodeValue": "boris"}, [one]),
        ({"00404034.00404009.00080100": "carla"}, []),
        ({"ScheduledWorkitemCodeSequence.CodeValue": "110007"}, [two]),
        ({"ReferencedRequestSequence.AccessionNumber": "ACC-1"}, [one]),
        ({"0040A370.0020000D": study}, [one]),
        ({"ScheduledProcedureStepStartDateTime": "20260101-20260131"}, [one]),
        ({"ScheduledProcedureStepStartDateTime": "20260201-"}, [two]),
        ({"PatientName": "maker*"}, [one, two]),
        ({"PatientID": "MADE-1"}, [one, two]),
        ({"PatientID": "MADE-2"}, []),
        ({"SOPInstanceUID": f"{one},{made.uid()}"}, [one]),
        ({"limit": 1}, [one]),
        ({"limit": 1, "offset": 1}, [two]),
    ]:
        assert ups.uids(ups.search(server, of_label | params)) == expected, params
    page = ups.send("GET", server, "/workitems", params=of_label | {"limit": 1})
    assert "There are 1 additional results" in warning(page)


def test_a174_what_stands_in_an_answer_and_what_is_refused(server):
    uid = ups.create(server)
    transaction = ups.claim(server, uid)
    [row] = ups.search(server, {"SOPInstanceUID": uid})
    assert row.ProcedureStepState == "IN PROGRESS" and "TransactionUID" not in row
    assert "ScheduledProcessingParametersSequence" not in row
    [row] = ups.search(server, {"SOPInstanceUID": uid, "includefield": "ScheduledProcessingParametersSequence"})
    assert "ScheduledProcessingParametersSequence" in row
    [row] = ups.search(server, {"SOPInstanceUID": uid, "includefield": "all"})
    assert row == ups.retrieve(server, uid)
    asked = ups.send("GET", server, "/workitems", params={"SOPInstanceUID": uid, "TransactionUID": transaction})
    assert asked.status_code == 200 and "ignored" in warning(asked) and transaction not in asked.text
    for bad in ({"limit": "x"}, {"ScheduledProcedureStepStartDateTime": "x"}, {"SOPInstanceUID": "x"}):
        assert ups.send("GET", server, "/workitems", params=bad).status_code == 400, bad
    assert requests.get(f"{server.web}/workitems/{uid}", headers={"Accept": None}, timeout=60).status_code == 406


def test_a175_the_second_claim_is_refused(server):
    uid = ups.create(server)
    assert ups.change(server, uid, "IN PROGRESS").status_code == 400
    transaction = ups.claim(server, uid)
    second = ups.change(server, uid, "IN PROGRESS", made.uid())
    assert second.status_code == 400 and "Transaction UID is incorrect" in warning(second)
    again = ups.change(server, uid, "IN PROGRESS", transaction)
    assert again.status_code == 409 and "already IN PROGRESS" in warning(again)
    assert transaction not in again.text + second.text + str(again.headers) + server.log()


def test_a176_of_parallel_claims_exactly_one_wins(server):
    for _ in range(10):
        uid = ups.create(server)
        claims = [made.uid() for _ in range(8)]
        with concurrent.futures.ThreadPoolExecutor(len(claims)) as pool:
            answers = list(pool.map(lambda claim: ups.change(server, uid, "IN PROGRESS", claim).status_code, claims))
        assert sorted(answers) == [200] + [400] * 7
        winner = claims[answers.index(200)]
        accepted = [c for c in claims if ups.update(server, uid, ups.performed(), c).status_code == 200]
        assert accepted == [winner]


def test_a177_a178_states_are_not_skipped_and_not_gone_back_to(server):
    uid = ups.create(server)
    for to in ("COMPLETED", "CANCELED"):
        response = ups.change(server, uid, to, made.uid())
        assert response.status_code == 409 and "not yet IN PROGRESS" in warning(response)
    assert ups.change(server, uid, "SCHEDULED", made.uid()).status_code == 409
    transaction = ups.claim(server, uid)
    back = ups.change(server, uid, "SCHEDULED", transaction)
    assert back.status_code == 409 and "may only become SCHEDULED when it is created" in warning(back)
    for bad in ("DONE", ""):
        assert ups.change(server, uid, bad, transaction).status_code == 400
    assert ups.change(server, made.uid(), "IN PROGRESS", made.uid()).status_code == 404
    assert ups.state(server, uid) == "IN PROGRESS"


def test_a179_a180_updates_need_what_the_state_asks_for(server):
    uid = ups.create(server)
    update = Dataset()
    update.WorklistLabel = "MOVED"
    assert ups.update(server, uid, update, made.uid()).status_code == 400
    assert ups.update(server, uid, update).status_code == 200
    assert ups.retrieve(server, uid).WorklistLabel == "MOVED"
    transaction = ups.claim(server, uid)
    update.WorklistLabel = "AGAIN"
    before = ups.retrieve(server, uid)
    missing, wrong = ups.update(server, uid, update), ups.update(server, uid, update, made.uid())
    assert missing.status_code == 400 and "missing" in warning(missing)
    assert wrong.status_code == 400 and "incorrect" in warning(wrong)
    assert ups.retrieve(server, uid) == before
    for form in ("transaction-uid={}", "Transaction-uid={}", "transaction={}", "{}"):
        response = ups.send("POST", server, f"/workitems/{uid}?{form.format(transaction)}", update)
        assert response.status_code == 200, form
    update.TransactionUID = transaction
    assert ups.send("POST", server, f"/workitems/{uid}", update).status_code == 200
    assert ups.update(server, uid, update, made.uid()).status_code == 400, "two that differ"
    kept = ups.retrieve(server, uid)
    assert kept.WorklistLabel == "AGAIN" and "TransactionUID" not in kept


def test_a181_an_update_cannot_change_what_is_fixed(server):
    uid = ups.create(server)
    before = ups.retrieve(server, uid)
    for keyword, value in [
        ("ProcedureStepState", "COMPLETED"),
        ("ProcedureStepState", "SCHEDULED"),
        ("PatientID", "OTHER"),
        ("PatientName", "Other^Name"),
        ("SOPClassUID", made.CT),
        ("SOPInstanceUID", made.uid()),
        ("ReferencedRequestSequence", [ups.request_item(made.uid(), "X")]),
        ("ProcedureStepLabel", ""),
    ]:
        update = Dataset()
        update.WorklistLabel = "CHANGED"
        setattr(update, keyword, value)
        response = ups.update(server, uid, update)
        assert response.status_code == 400 and "OTHER" not in response.text, keyword
    assert ups.retrieve(server, uid) == before


def test_a182_a183_a184_completing(server):
    uid = ups.create(server)
    transaction = ups.claim(server, uid)
    early = ups.change(server, uid, "COMPLETED", transaction)
    assert early.status_code == 409 and "PerformedProcedureSequence" in warning(early)
    assert ups.state(server, uid) == "IN PROGRESS"
    assert ups.complete(server, uid, transaction).status_code == 200
    assert ups.state(server, uid) == "COMPLETED"
    late = ups.update(server, uid, ups.performed(), transaction)
    assert late.status_code == 400 and "may no longer be updated" in warning(late)
    again = ups.change(server, uid, "COMPLETED", transaction)
    assert again.status_code == 200 and "already in the requested state of COMPLETED" in warning(again)
    assert ups.change(server, uid, "CANCELED", transaction).status_code == 409
    asked = ups.send("POST", server, f"/workitems/{uid}/cancelrequest")
    assert asked.status_code == 409 and "already COMPLETED" in warning(asked)


def test_a185_the_owner_cancels(server):
    uid = ups.create(server)
    transaction = ups.claim(server, uid)
    assert ups.change(server, uid, "CANCELED", transaction).status_code == 409, "no reason yet"
    assert ups.update(server, uid, ups.discontinued(), transaction).status_code == 200
    assert ups.change(server, uid, "CANCELED", transaction).status_code == 200
    [progress] = ups.retrieve(server, uid).ProcedureStepProgressInformationSequence
    assert progress.ProcedureStepCancellationDateTime
    assert progress.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"
    again = ups.change(server, uid, "CANCELED", transaction)
    assert again.status_code == 200 and "already in the requested state of CANCELED" in warning(again)


def test_a186_a_scheduled_workitem_is_canceled_on_request(server):
    uid = ups.create(server)
    channel = ups.open_channel(ups.subscribe(server, uid, "A186"))
    with channel:
        assert channel.event().state == "SCHEDULED"
        request = Dataset()
        request.ReasonForCancellation = "asked twice"
        response = ups.send("POST", server, f"/workitems/{uid}/cancelrequest", request)
        assert response.status_code == 202
        assert [(event.kind, event.state) for event in channel.events(2)] == [(1, "IN PROGRESS"), (1, "CANCELED")]
    [progress] = ups.retrieve(server, uid).ProcedureStepProgressInformationSequence
    assert progress.ReasonForCancellation == "asked twice" and progress.ProcedureStepCancellationDateTime
    assert progress.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"


@pytest.mark.parametrize("path", ["cancelrequest", "cancelrequest/WARD7"])
def test_a187_the_performer_is_told_of_the_request(server, path):
    uid = ups.create(server)
    ups.claim(server, uid)
    nobody = ups.send("POST", server, f"/workitems/{uid}/{path}")
    assert nobody.status_code == 409 and "cannot be contacted" in warning(nobody)
    with ups.open_channel(ups.subscribe(server, uid, "A187")) as channel:
        assert channel.event().state == "IN PROGRESS"
        request = Dataset()
        request.ReasonForCancellation, request.ContactDisplayName = "wrong side", "Ward"
        request.ContactURI = "tel:+49"
        request.ProcedureStepDiscontinuationReasonCodeSequence = [ups.code("110514", "DCM", "Incorrect worklist entry selected")]
        assert ups.send("POST", server, f"/workitems/{uid}/{path}", request).status_code == 202
        event = channel.event()
        assert event.kind == 2
        assert event.ds.RequestingAE == ("WARD7" if path.endswith("WARD7") else "ANONYMOUS")
        for element in request:
            assert event.ds[element.tag] == element
    assert ups.state(server, uid) == "IN PROGRESS"


def test_a188_canceling_again_and_canceling_nothing(server):
    uid = ups.create(server)
    with ups.open_channel(ups.subscribe(server, uid, "A188")) as channel:
        channel.event()
        assert ups.send("POST", server, f"/workitems/{uid}/cancelrequest").status_code == 202
        channel.events(2)
        again = ups.send("POST", server, f"/workitems/{uid}/cancelrequest")
        assert again.status_code == 202 and "already in the requested state of CANCELED" in warning(again)
        # A subscription sends a report at once: when that is the next one, the request sent none.
        ups.subscribe(server, uid, "A188")
        assert (channel.event().kind, channel.socket.connected) == (1, True)
    assert ups.send("POST", server, f"/workitems/{made.uid()}/cancelrequest").status_code == 404


def test_a197_xml_goes_in_and_out(server):
    new = [made.uid(), made.uid()]
    native = ET.Element("NativeDicomModel", {"xmlns": NATIVE[1:-1]})

    def add(tag, vr, *values):
        attribute = ET.SubElement(native, "DicomAttribute", {"tag": tag, "vr": vr})
        for number, value in enumerate(values, 1):
            ET.SubElement(attribute, "Value", {"number": str(number)}).text = value

    for tag, vr, value in [
        ("00100020", "LO", "XML-1"), ("00404005", "DT", "20260102"), ("00404041", "CS", "READY"), ("00741000", "CS", "SCHEDULED"),
        ("00741200", "CS", "HIGH"), ("00741202", "LO", "Ärzte"), ("00741204", "LO", "from XML"),
    ]:  # fmt: skip
        add(tag, vr, value)
    document = ET.tostring(native, encoding="utf-8")
    content_type, multipart = web.multipart([document], part_type=ups.XML)
    for uid, (kind, body) in zip(new, [(ups.XML, document), (content_type, multipart)]):
        response = ups.send("POST", server, f"/workitems?{uid}", body, **{"Content-Type": kind})
        assert response.status_code == 201, response.text
        assert ups.retrieve(server, uid).WorklistLabel == "Ärzte"
    for accept in (ups.XML, f'multipart/related; type="{ups.XML}"'):
        response = ups.send("GET", server, f"/workitems/{new[0]}", Accept=accept)
        text = response.content if accept == ups.XML else web.parts_of(response)[0][1]
        root = ET.fromstring(text)
        keywords = {a.get("keyword"): [v.text for v in a.iter(f"{NATIVE}Value")] for a in root.findall(f"{NATIVE}DicomAttribute")}
        assert keywords["ProcedureStepLabel"] == ["from XML"] and "TransactionUID" not in keywords
    rows = ups.send("GET", server, "/workitems", params={"PatientID": "XML-1"}, Accept=f'multipart/related; type="{ups.XML}"')
    assert len(web.parts_of(rows)) == 2


def test_a198_a_second_opinion_from_request_to_report(server):
    study = made.study(2)
    assert web.stow(server, [made.file(ds) for ds in study]).status_code == 200
    first = study[0]
    read_this = Dataset()
    read_this.TypeOfInstances, read_this.StudyInstanceUID = "DICOM", first.StudyInstanceUID
    read_this.SeriesInstanceUID = first.SeriesInstanceUID
    read_this.ReferencedSOPSequence = []
    for ds in study:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        read_this.ReferencedSOPSequence.append(item)
    uid = ups.create(
        server,
        StudyInstanceUID=first.StudyInstanceUID,
        InputInformationSequence=[read_this],
        ScheduledHumanPerformersSequence=[ups.performer("anna")],
    )
    mine = {"ScheduledHumanPerformersSequence.HumanPerformerCodeSequence.CodeValue": "anna", "SOPInstanceUID": uid}
    [found] = ups.search(server, mine)
    [source] = found.InputInformationSequence
    for reference in source.ReferencedSOPSequence:
        path = web.instance_path(source.StudyInstanceUID, source.SeriesInstanceUID, reference.ReferencedSOPInstanceUID)
        assert web.get(server, path, web.AS_STORED).status_code == 200
    transaction = ups.claim(server, uid)
    report = made.instance(
        study=first.StudyInstanceUID, Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Rows=None, Columns=None,
        SamplesPerPixel=None, PhotometricInterpretation=None, BitsAllocated=None, BitsStored=None, HighBit=None,
        PixelRepresentation=None, PixelData=None, CompletionFlag="COMPLETE", VerificationFlag="UNVERIFIED", ValueType="CONTAINER",
        ContinuityOfContent="SEPARATE", ContentDate="20260102", ContentTime="113000",
        ConceptNameCodeSequence=[ups.code("18782-3", "LN", "Radiology Study observation")],
    )  # fmt: skip
    assert web.stow(server, [made.file(report)]).status_code == 200
    output = Dataset()
    output.TypeOfInstances, output.StudyInstanceUID = "DICOM", report.StudyInstanceUID
    output.SeriesInstanceUID = report.SeriesInstanceUID
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = report.SOPClassUID, report.SOPInstanceUID
    output.ReferencedSOPSequence = [item]
    assert ups.complete(server, uid, transaction, output).status_code == 200
    [done] = ups.retrieve(server, uid).UnifiedProcedureStepPerformedProcedureSequence
    [out] = done.OutputInformationSequence
    [reference] = out.ReferencedSOPSequence
    path = web.instance_path(out.StudyInstanceUID, out.SeriesInstanceUID, reference.ReferencedSOPInstanceUID)
    assert report.SOPInstanceUID.encode() in web.file_of(web.get(server, path, web.AS_STORED))


def test_a199_a_workitem_is_ready_when_its_last_instance_is_here(server):
    one, two = made.study(2)
    source = Dataset()
    source.TypeOfInstances, source.StudyInstanceUID, source.SeriesInstanceUID = "DICOM", one.StudyInstanceUID, one.SeriesInstanceUID
    source.ReferencedSOPSequence = []
    for ds in (one, two):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        source.ReferencedSOPSequence.append(item)
    assert web.stow(server, [made.file(one)]).status_code == 200
    uid = ups.create(server, InputReadinessState="INCOMPLETE", InputInformationSequence=[source])
    with ups.open_channel(ups.subscribe(server, uid, "A199")) as channel:
        assert channel.event().ds.InputReadinessState == "INCOMPLETE"
        assert web.stow(server, [made.file(two)]).status_code == 200
        event = channel.event()
        assert (event.kind, event.ds.InputReadinessState, event.state) == (1, "READY", "SCHEDULED")
    assert ups.retrieve(server, uid).InputReadinessState == "READY"


def test_a171_methods_and_capabilities_are_told(server):
    uid = ups.create(server)
    allow = requests.options(f"{server.web}/workitems/{uid}/state", timeout=60).headers["Allow"]
    assert allow == "PUT, OPTIONS"
    wrong = requests.get(f"{server.web}/workitems/{uid}/state", headers={"Accept": "*/*"}, timeout=60)
    assert wrong.status_code == 405 and wrong.headers["Allow"] == allow
    capabilities = requests.options(server.web, headers={"Accept": "application/json"}, timeout=60).text
    assert '"workitems"' in capabilities and '"cancelrequest"' in capabilities
