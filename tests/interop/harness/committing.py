"""Storage Commitment Push Model (PS3.4 Annex J) as pynetdicom speaks it, in both roles."""

import queue
import threading

from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from . import made
from .server import free_port

INSTANCE = "1.2.840.10008.1.20.1.1"
NO_SUCH, CONFLICT = 0x0112, 0x0119


def reference(sop, sop_class=made.CT, reason=None):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop
    if reason is not None:
        item.FailureReason = reason
    return item


def asking(*items, transaction=None):
    ds = Dataset()
    ds.TransactionUID = transaction or made.uid()
    ds.ReferencedSOPSequence = list(items)
    return ds


class Report:
    """An N-EVENT-REPORT that came."""

    def __init__(self, event, door):
        ds = event.event_information
        self.door, self.type, self.transaction = door, event.event_type, str(ds.TransactionUID)
        self.instance = str(event.request.AffectedSOPInstanceUID)
        self.committed = {str(i.ReferencedSOPInstanceUID): str(i.ReferencedSOPClassUID) for i in ds.get("ReferencedSOPSequence", [])}
        self.failed = {str(i.ReferencedSOPInstanceUID): i.FailureReason for i in ds.get("FailedSOPSequence", [])}
        self.keywords = {element.keyword for element in ds}
        self.calling, self.called = str(event.assoc.requestor.ae_title), str(event.assoc.acceptor.ae_title)
        self.role = [event.assoc.acceptor.role_selection, event.assoc.requestor.role_selection]


class Requester:
    """Asks for commitment, and hears reports on its own association or, listening, on others."""

    def __init__(self, title="ASKER", status=lambda number: 0x0000):
        self.title, self.port, self.server = title, free_port(), None
        self.reports, self.heard, self.status, self.count = queue.Queue(), {}, status, 0
        self.ae = AE(ae_title=title)
        self.ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        self.ae.add_supported_context(Verification)

    @property
    def peer(self):
        return f"{self.title}@127.0.0.1:{self.port}"

    def hear(self, event, door):
        self.count += 1
        status = self.status(self.count)
        if status == 0:
            self.heard[event.assoc] = Report(event, door)
        return status, None

    def answered(self, event):
        """Told to the test when the answer is on its way: pynetdicom hangs when it is to release before."""
        if event.assoc in self.heard and type(event.message).__name__ == "N_EVENT_REPORT_RSP":
            self.reports.put(self.heard.pop(event.assoc))

    def listen(self, tls=None):
        handlers = [(evt.EVT_N_EVENT_REPORT, self.hear, ["other"]), (evt.EVT_DIMSE_SENT, self.answered)]
        self.server = self.ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=tls)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.shutdown()

    def associate(self, server, called="OVERREAD"):
        ae = AE(ae_title=self.title)
        ae.add_requested_context(StorageCommitmentPushModel)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
        handlers = [(evt.EVT_N_EVENT_REPORT, self.hear, ["same"]), (evt.EVT_DIMSE_SENT, self.answered)]
        association = ae.associate(*server.dicom_address, ae_title=called, evt_handlers=handlers)
        assert association.is_established
        return association

    def ask(self, association, ds, *, action=1, instance=INSTANCE):
        status, _ = association.send_n_action(ds, action, StorageCommitmentPushModel, instance)
        return status.Status

    def report(self, timeout=20):
        return self.reports.get(timeout=timeout)


class Committer:
    """A destination with storage commitment. `judge(instances)` gives {instance: reason} of what fails; the report goes on the
    same association ("same"), on one to `address` ("other"), or nowhere (None)."""

    def __init__(self, how, judge=lambda instances: {}, address=None, accept=0x0000, **settings):
        self.how, self.judge, self.address, self.accept = how, judge, address, accept
        self.port, self.asked, self.answers, self.threads = free_port(), [], [], []
        self.ae = AE(ae_title="COMMITTER")
        for context in AllStoragePresentationContexts:
            self.ae.add_supported_context(context.abstract_syntax, made.TRANSFER_SYNTAXES)
        self.ae.add_supported_context(StorageCommitmentPushModel)
        handlers = [(evt.EVT_C_STORE, lambda event: 0x0000), (evt.EVT_N_ACTION, self.act)]
        self.server = self.ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    @property
    def peer(self):
        return f"COMMITTER@127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join(30)
        self.server.shutdown()

    def act(self, event):
        ds = event.action_information
        self.asked.append(ds)
        if self.accept == 0 and self.how:
            thread = threading.Thread(target=self.tell, args=(event.assoc, ds))
            self.threads.append(thread)
            thread.start()
        return self.accept, None

    def tell(self, association, asked):
        instances = {str(i.ReferencedSOPInstanceUID): str(i.ReferencedSOPClassUID) for i in asked.ReferencedSOPSequence}
        failed = self.judge(list(instances))
        ds = Dataset()
        ds.TransactionUID = asked.TransactionUID
        if good := [reference(i, c) for i, c in instances.items() if i not in failed]:
            ds.ReferencedSOPSequence = good
        if failed:
            ds.FailedSOPSequence = [reference(i, instances.get(i, made.CT), reason) for i, reason in failed.items()]
        if self.how == "other":
            ae = AE(ae_title="COMMITTER")
            ae.add_requested_context(StorageCommitmentPushModel)
            association = ae.associate(*self.address, ae_title="OVERREAD", ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)])
            assert association.is_established
        status, _ = association.send_n_event_report(ds, 2 if failed else 1, StorageCommitmentPushModel, INSTANCE)
        self.answers.append(status.get("Status"))
        if self.how == "other":
            association.release()
