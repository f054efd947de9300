"""C-MOVE as a requestor: pynetdicom for what goes well, a socket for what has to happen at one moment."""

from struct import unpack_from

from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_ROOT

from . import made
from .retrieve import cancel, us
from .wire import EXPLICIT, P_DATA, Association, command

KINDS = ("Remaining", "Completed", "Failed", "Warning")


def move(server, ds, destination, model=STUDY_ROOT, calling="MOVER"):
    """The responses: (status, remaining, completed, failed, warning, failed UIDs)."""
    ae = AE(ae_title=calling)
    ae.dimse_timeout = 60
    ae.add_requested_context(model, [EXPLICIT])
    association = ae.associate(*server.dicom_address, ae_title="OVERREAD")
    assert association.is_established
    responses = []
    for status, found in association.send_c_move(ds, destination, model):
        failed = found.get("FailedSOPInstanceUIDList") if found else None
        failed = [failed] if isinstance(failed, str) else failed
        responses.append((status.Status, *(status.get(f"NumberOf{kind}Suboperations") for kind in KINDS), failed and sorted(failed)))
    association.release()
    return responses


class Mover(Association):
    """A requestor, byte by byte."""

    def __init__(self, server, **keywords):
        super().__init__(server.dicom_address, [(STUDY_ROOT, [EXPLICIT])], calling="MOVER", **keywords)

    def ask(self, study, destination, message=1):
        keys = made.element(8, 0x52, "CS", b"STUDY ") + made.element(0x20, 0xD, "UI", study.encode() + b"\0" * (len(study) % 2))
        title = destination + " " * (len(destination) % 2)
        self.send_fragments(1, command({0x2: STUDY_ROOT, 0x100: 0x21, 0x110: message, 0x600: title, 0x700: 0, 0x800: 1}), True)
        self.send_fragments(1, keys, False)

    def cancel(self, message=1):
        self.send_fragments(1, cancel(message), True)

    def response(self):
        """The next one: (status, remaining, completed, failed, warning)."""
        said, data_is_due = b"", None
        while data_is_due is not False:
            kind, body = self.read_pdu()
            assert kind == P_DATA, kind
            at = 0
            while at < len(body):
                length, _, header = unpack_from(">IBB", body, at)
                if header & 1:
                    said += body[at + 6 : at + 4 + length]
                at += 4 + length
                if header & 2:
                    data_is_due = bool(header & 1) and us(said, 0x800) != 0x101
        return tuple(us(said, element) for element in (0x900, 0x1020, 0x1021, 0x1022, 0x1023))

    def last(self):
        """The last response."""
        while (response := self.response())[0] == 0xFF00:
            pass
        return response
