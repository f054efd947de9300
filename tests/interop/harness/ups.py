"""Workitems as pydicom data sets, the requests of UPS-RS, and its event channel read by websocket-client."""

import json

import requests
import websocket
from pydicom.dataset import Dataset

from harness import made, web

GLOBAL = "1.2.840.10008.5.1.4.34.5"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
PUSH = "1.2.840.10008.5.1.4.34.6.1"
XML = "application/dicom+xml"
EVENT_S = 20


def code(value, scheme="99OVERREAD", meaning=None):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning or value
    return item


def performer(name):
    item = Dataset()
    item.HumanPerformerCodeSequence = [code(name)]
    item.HumanPerformerName = f"{name}^Dr"
    item.HumanPerformerOrganization = "Clinic"
    return item


def request_item(study, accession):
    item = Dataset()
    item.StudyInstanceUID, item.AccessionNumber = study, accession
    item.RequestedProcedureID, item.RequestedProcedureDescription = "RP1", "Second opinion"
    return item


def workitem(**attributes):
    """A whole one: every attribute of type 1 and 2. `None` leaves an attribute out."""
    ds = Dataset()
    ds.TransactionUID = None
    ds.ProcedureStepState = "SCHEDULED"
    ds.ScheduledProcedureStepPriority = "MEDIUM"
    ds.ProcedureStepLabel = "Second opinion: CT chest"
    ds.WorklistLabel = "SECOND-OPINION"
    ds.ScheduledProcedureStepStartDateTime = "20260102101500"
    ds.InputReadinessState = "READY"
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = "Maker^Test", "MADE-1", ""
    ds.PatientBirthDate, ds.PatientSex = "19700102", "O"
    ds.AdmissionID, ds.AdmittingDiagnosesDescription = "", ""
    ds.StudyInstanceUID = made.uid()
    ds.CommentsOnTheScheduledProcedureStep = "Is the nodule new?"
    ds.ScheduledWorkitemCodeSequence = [code("110005", "DCM", "Interpretation")]
    for keyword in (
        "AdmittingDiagnosesCodeSequence IssuerOfPatientIDQualifiersSequence OtherPatientIDsSequence IssuerOfAdmissionIDSequence "
        "InputInformationSequence ScheduledStationNameCodeSequence ScheduledStationClassCodeSequence "
        "ScheduledStationGeographicLocationCodeSequence ScheduledHumanPerformersSequence ReferencedRequestSequence "
        "ProcedureStepProgressInformationSequence ScheduledProcessingParametersSequence "
        "UnifiedProcedureStepPerformedProcedureSequence"
    ).split():
        setattr(ds, keyword, [])
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def performed(*outputs):
    """An update with what COMPLETED needs; the outputs are items of the Output Information Sequence."""
    done = Dataset()
    done.PerformedStationNameCodeSequence = [code("WS1")]
    done.PerformedWorkitemCodeSequence = [code("110005", "DCM", "Interpretation")]
    done.PerformedProcedureStepStartDateTime = "20260102110000"
    done.PerformedProcedureStepEndDateTime = "20260102113000"
    done.OutputInformationSequence = list(outputs)
    update = Dataset()
    update.UnifiedProcedureStepPerformedProcedureSequence = [done]
    return update


def discontinued():
    """An update with the reason that CANCELED needs."""
    why = Dataset()
    why.ProcedureStepDiscontinuationReasonCodeSequence = [code("110513", "DCM", "Discontinued for unspecified reason")]
    update = Dataset()
    update.ProcedureStepProgressInformationSequence = [why]
    return update


def send(method, server, path, ds=None, params=None, **headers):
    headers = {"Accept": web.JSON} | headers
    body = None
    if ds is not None:
        body = ds if isinstance(ds, (bytes, str)) else ds.to_json()
        headers = {"Content-Type": web.JSON} | headers
    return requests.request(method, f"{server.web}{path}", data=body, params=params, headers=headers, timeout=60)


def create(server, ds=None, uid=None, **attributes):
    """The UID of a new workitem."""
    uid = uid or made.uid()
    response = send("POST", server, "/workitems", ds or workitem(**attributes), {"workitem": uid})
    assert response.status_code == 201, (response.status_code, response.text)
    return uid


def retrieve(server, uid):
    response = send("GET", server, f"/workitems/{uid}")
    assert response.status_code == 200, (response.status_code, response.text)
    return Dataset.from_json(response.text)


def state(server, uid):
    return retrieve(server, uid).ProcedureStepState


def change(server, uid, to, transaction=None):
    ds = Dataset()
    ds.ProcedureStepState = to
    if transaction is not None:
        ds.TransactionUID = transaction
    return send("PUT", server, f"/workitems/{uid}/state", ds)


def update(server, uid, ds, transaction=None):
    return send("POST", server, f"/workitems/{uid}", ds, {"transaction-uid": transaction} if transaction else None)


def claim(server, uid):
    transaction = made.uid()
    response = change(server, uid, "IN PROGRESS", transaction)
    assert response.status_code == 200, (response.status_code, response.text)
    return transaction


def complete(server, uid, transaction, *outputs):
    assert update(server, uid, performed(*outputs), transaction).status_code == 200
    return change(server, uid, "COMPLETED", transaction)


def search(server, params):
    response = send("GET", server, "/workitems", params=params)
    if response.status_code == 204:
        return []
    assert response.status_code == 200, (response.status_code, response.text)
    return [Dataset.from_json(row) for row in response.json()]


def uids(rows):
    return [row.SOPInstanceUID for row in rows]


def subscribe(server, uid, ae, **params):
    return send("POST", server, f"/workitems/{uid}/subscribers/{ae}", params=params)


def unsubscribe(server, uid, ae):
    return send("DELETE", server, f"/workitems/{uid}/subscribers/{ae}")


class Channel:
    """An event channel, opened at the address that a subscription names."""

    def __init__(self, url, **options):
        self.socket = websocket.create_connection(url, timeout=EVENT_S, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def event(self):
        """The next report."""
        text = self.socket.recv()
        if not text:
            raise websocket.WebSocketConnectionClosedException("a close frame came")
        return Event(json.loads(text))

    def farewell(self):
        """The code of the close frame that comes next."""
        frame = self.socket.recv_frame()
        assert frame.opcode == websocket.ABNF.OPCODE_CLOSE, frame.opcode
        return int.from_bytes(frame.data[:2], "big")

    def events(self, count):
        return [self.event() for _ in range(count)]


class Event:
    """A report as pydicom reads it; the elements of group 0000, which no data set has, by name."""

    def __init__(self, raw):
        self.raw = raw
        self.sop_class = raw["00000002"]["Value"][0]
        self.uid = raw["00001000"]["Value"][0]
        self.kind = raw["00001002"]["Value"][0]
        self.ds = Dataset.from_json({tag: value for tag, value in raw.items() if not tag.startswith("0000")})

    @property
    def state(self):
        return self.ds.get("ProcedureStepState")

    def __repr__(self):
        return f"Event({self.kind}, {self.uid}, {self.state})"


def open_channel(response):
    assert response.status_code == 201, (response.status_code, response.text)
    return Channel(response.headers["Content-Location"])
