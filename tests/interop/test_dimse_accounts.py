"""Accounts on the DICOM network (issue 7, part 9): whoever shows the name of an account and one of its API tokens by User
Identity Negotiation (PS3.7 §D.3.3.7) sees by C-FIND, C-GET and C-MOVE what that token shows on the web, and no more."""

import io

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import (
    BasicTextSRStorage,
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelFind as PATIENT_FIND,
    StudyRootQueryRetrieveInformationModelFind as FIND,
    StudyRootQueryRetrieveInformationModelGet as GET,
    StudyRootQueryRetrieveInformationModelMove as MOVE,
    StorageCommitmentPushModel as COMMITMENT,
    StorageCommitmentPushModelInstance as COMMITMENT_INSTANCE,
)

from harness import made, people, wait
from harness.granting import SR, Office, image, report
from harness.receiver import Storescp
from harness.wire import EXPLICIT

NOT_AUTHORIZED = 0x0124


class Station:
    """A workstation whose user shows a token."""

    def __init__(self, server, name, token, title="STATION"):
        self.stored = []
        ae = AE(ae_title=title)
        for context in (FIND, PATIENT_FIND, GET, MOVE, COMMITMENT, CTImageStorage, BasicTextSRStorage):
            ae.add_requested_context(context, [EXPLICIT])
        claimed = UserIdentityNegotiation()
        claimed.user_identity_type, claimed.primary_field, claimed.secondary_field = 2, name.encode(), token.encode()
        claimed.positive_response_requested = True
        roles = [build_role(abstract, scu_role=True, scp_role=True) for abstract in (CTImageStorage, BasicTextSRStorage)]
        handlers = [(evt.EVT_C_STORE, self.take)]
        self.association = ae.associate(*server.dicom_address, ae_title="OVERREAD", ext_neg=[claimed, *roles], evt_handlers=handlers)

    def __enter__(self):
        assert self.association.is_established
        return self

    def __exit__(self, *_):
        self.association.release()

    def take(self, event):
        self.stored.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    def find(self, level, model=FIND, **keys):
        """(statuses, rows)"""
        answers = list(self.association.send_c_find(asked(level, **keys), model))
        return [status.Status for status, _ in answers], [row for _, row in answers if row]

    def get(self, study):
        """(last status, the UIDs of what came)"""
        self.stored = []
        answers = list(self.association.send_c_get(asked("STUDY", StudyInstanceUID=study), GET))
        return answers[-1][0].Status, sorted(self.stored)

    def move(self, study, destination):
        answers = list(self.association.send_c_move(asked("STUDY", StudyInstanceUID=study), destination, MOVE))
        status = answers[-1][0]
        return status.Status, status.get("NumberOfCompletedSuboperations", 0)

    def commit(self, ds):
        """Asks for storage commitment."""
        asked, item = Dataset(), Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        asked.TransactionUID, asked.ReferencedSOPSequence = made.uid(), [item]
        return self.association.send_n_action(asked, 1, COMMITMENT, COMMITMENT_INSTANCE)[0].Status

    def store(self, ds):
        return self.association.send_c_store(dcmread(io.BytesIO(made.file(ds)))).Status


def asked(level, **keys):
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    return ds


class House(Office):
    """Three studies of one patient, with an image and a report each, and a machine that takes what is moved."""

    def __init__(self, server, pacs):
        super().__init__(server)
        self.pacs = pacs
        self.studies = {}
        for name in ("blind", "whole", "other"):
            study = made.uid()
            objects = image(study, PatientID="P1", StudyDescription=name), report(study, SR, PatientID="P1", StudyDescription=name)
            assert self.store(*objects).status_code == 200
            self.studies[name] = (study, *objects)

    def reader(self, name, right="download"):
        """The token of a new reader, to whom two of the studies are given."""
        people.add_user(self.server, name, "reader")
        self.give(self.studies["whole"][0], blind=[self.studies["blind"][0]], to="account", account=name, right=right)
        return people.token(self.server, name)


@pytest.fixture(scope="module")
def house(start_module, tmp_path_factory):
    with Storescp(tmp_path_factory.mktemp("pacs"), "+B") as pacs:
        config = {"dicom": {"user_identity": "require", "peers": [f"there = {pacs.peer}", f"far = FAR@127.0.0.2:{pacs.port}"]}}
        yield House(start_module(config=config), pacs)


def test_a_reader_finds_what_was_given(house):
    blind, whole, other = (house.studies[name][0] for name in ("blind", "whole", "other"))
    with Station(house.server, "dr.find", house.reader("dr.find")[1]) as station:
        _, rows = station.find("STUDY", PatientID="P1", StudyInstanceUID="", ModalitiesInStudy="", NumberOfStudyRelatedInstances="")
        told = {row.StudyInstanceUID: (row.ModalitiesInStudy, row.NumberOfStudyRelatedInstances) for row in rows}
        # Of what is read blind, no report: not in a count, nor in the modalities.
        assert told == {blind: ("CT", 1), whole: (["CT", "SR"], 2)}
        for level, keys in (("SERIES", {"SeriesInstanceUID": ""}), ("IMAGE", {"SeriesInstanceUID": house.studies["other"][1].SeriesInstanceUID})):
            assert station.find(level, StudyInstanceUID=other, SOPInstanceUID="", **keys)[1] == []
        _, rows = station.find("SERIES", StudyInstanceUID=blind, SeriesInstanceUID="", Modality="")
        assert [row.Modality for row in rows] == ["CT"]
        _, rows = station.find("PATIENT", model=PATIENT_FIND, PatientID="P1", NumberOfPatientRelatedStudies="")
        assert [row.NumberOfPatientRelatedStudies for row in rows] == [2]


def test_a_reader_gets_what_was_given(house):
    with Station(house.server, "DR.GET", house.reader("dr.get")[1]) as station:
        for name, places in (("blind", [1]), ("whole", [1, 2]), ("other", [])):
            study, *objects = house.studies[name]
            expected = sorted(str(objects[place - 1].SOPInstanceUID) for place in places)
            assert station.get(study) == (0x0000, expected), name
    # To itself; to others only who may send on the web too, and nobody else hears which there are.
    pacs = house.pacs.peer.split("@")[0]
    with Station(house.server, "dr.get", people.token(house.server, "dr.get")[1], title=pacs) as station:
        before = len(house.pacs.files())
        sent = [station.move(house.studies[name][0], pacs) for name in ("blind", "whole", "other")]
        assert sent == [(0x0000, 1), (0x0000, 2), (0x0000, 0)]
        assert len(house.pacs.files()) == before + 3
    # A title is what anybody may say of themselves: another machine is not the caller.
    with Station(house.server, "dr.get", people.token(house.server, "dr.get")[1], title="FAR") as station:
        assert station.move(house.studies["whole"][0], "FAR")[0] == NOT_AUTHORIZED
    with Station(house.server, "dr.get", people.token(house.server, "dr.get")[1]) as station:
        for destination in (pacs, "NOWHERE"):
            assert station.move(house.studies["whole"][0], destination)[0] == NOT_AUTHORIZED
    people.add_user(house.server, "re.quest", "requester")
    with Station(house.server, "re.quest", people.token(house.server, "re.quest")[1]) as station:
        assert station.move(house.studies["other"][0], pacs) == (0x0000, 2)
        assert station.move(house.studies["other"][0], "NOWHERE")[0] == 0xA801


def test_what_was_given_to_look_at_is_found_and_not_taken(house):
    with Station(house.server, "dr.look", house.reader("dr.look", right="view")[1]) as station:
        assert len(station.find("STUDY", StudyInstanceUID="")[1]) == 2
        for name in ("blind", "whole"):
            assert station.get(house.studies[name][0]) == (0x0000, [])


def test_rights_end_while_an_association_lasts(house):
    number, text = house.reader("dr.ends")
    study = house.studies["whole"][0]
    with Station(house.server, "dr.ends", text) as station:
        assert len(station.get(study)[1]) == 2
        people.shell(house.server, f"token revoke {number}")
        assert station.get(study) == (NOT_AUTHORIZED, [])
        assert station.find("STUDY", StudyInstanceUID="") == ([NOT_AUTHORIZED], [])
        assert station.move(study, house.pacs.peer.split("@")[0])[0] == NOT_AUTHORIZED
    assert not Station(house.server, "dr.ends", text).association.is_established


def test_each_role_does_its_part(house):
    study, ct, _ = house.studies["other"]
    people.add_user(house.server, "ct.room", "sender")
    with Station(house.server, "ct.room", people.token(house.server, "ct.room")[1]) as station:
        assert station.find("STUDY", StudyInstanceUID="")[0] == [NOT_AUTHORIZED]
        assert station.get(study) == (NOT_AUTHORIZED, [])
        assert station.store(image(made.uid())) == 0x0000
    people.add_user(house.server, "v.iewer", "viewer")
    with Station(house.server, "v.iewer", people.token(house.server, "v.iewer")[1]) as station:
        assert len(station.get(study)[1]) == 2
        assert station.store(image(made.uid())) == NOT_AUTHORIZED
        assert station.move(study, house.pacs.peer.split("@")[0])[0] == NOT_AUTHORIZED
        assert station.commit(ct) == NOT_AUTHORIZED
    narrow = people.token(house.server, "ct.room", "--study", study)[1]
    with Station(house.server, "ct.room", narrow) as station:
        # What comes could be of any study.
        assert station.store(image(study)) == NOT_AUTHORIZED
    with Station(house.server, "ct.room", people.token(house.server, "ct.room")[1]) as station:
        assert station.commit(ct) == 0x0000


def test_the_name_goes_with_the_token(house):
    _, text = house.reader("dr.name")
    people.add_user(house.server, "dr.else", "reader")
    for name, token in (("dr.else", text), ("nobody", text), ("dr.name", text[:-1] + "x"), ("dr.name", people.PASSCODE)):
        assert not Station(house.server, name, token).association.is_established, name
    assert text not in house.server.log()


def test_the_trail_names_the_account(house):
    study = house.studies["whole"][0]
    number, text = house.reader("dr.trail")
    with Station(house.server, "dr.trail", text) as station:
        assert len(station.get(study)[1]) == 2
        assert station.store(image(made.uid())) == NOT_AUTHORIZED
    means = f"token {number}, association of STATION"

    def told(what):
        return any(what(row) for row in people.trail(house.server) if (row["who"], row["means"]) == ("dr.trail", means))

    # The association has gone before it is written.
    wait.until(lambda: told(lambda row: study in row["studies"]), "the trail names the account")
    assert told(lambda row: "not among the rights" in row["detail"] and row["outcome"] != "success")
