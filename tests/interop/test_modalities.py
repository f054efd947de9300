"""The table of whom we know, `[dicom] modalities`: who is let in from where, and for what (PS3.8 Tables 9-18, 9-21;
conformance.md §8, 202)."""

import pytest
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind as FIND,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelGet as GET,
    StudyRootQueryRetrieveInformationModelMove as MOVE,
    Verification,
)

from harness import made, part10, web
from harness.committing import Requester, asking, reference
from harness.moving import move
from harness.receiver import Scripted
from harness.retrieve import identifier
from harness.server import free_port, run
from harness.wire import EXPLICIT, IMPLICIT, VERIFICATION, Association, Refused, item

UNKNOWN, WRONG_CALLED = (1, 1, 3), (1, 1, 7)
ROWS = [
    "ALL = all", "CT 1 = store from 127.0.0.1", "WS = find get from 10.0.0.0/8 127.0.0.0/8 ::1", "AFAR = all from 10.0.0.0/8",
    "RESEARCHER = find to RESEARCH | SECOND", "NOTHING =", "GETTER = get", "MOVER = move", "COMMITTER = commit",
]  # fmt: skip


@pytest.fixture(scope="module")
def strict(start_module):
    return start_module(config={"dicom": {"modalities": ROWS, "called_ae_titles": ["RESEARCH", "SECOND"]}})


def refusal(server, calling, called="OVERREAD"):
    try:
        with Association(server.dicom_address, [(VERIFICATION, [IMPLICIT])], calling=calling, called=called) as peer:
            assert peer.echo() == 0
    except Refused as refused:
        return refused.triple
    return None


def test_a202_who_is_let_in(strict):
    for calling, called, expected in [
        ("ALL", "OVERREAD", None), ("ALL", "SECOND", None), ("ALL", "NOBODY", WRONG_CALLED), ("CT 1", "OVERREAD", None),
        ("WS", "OVERREAD", None), ("NOTHING", "OVERREAD", None), ("STRANGER", "OVERREAD", UNKNOWN), ("ct 1", "OVERREAD", UNKNOWN),
        ("AFAR", "OVERREAD", UNKNOWN), ("RESEARCHER", "RESEARCH", None), ("RESEARCHER", "SECOND", None),
        ("RESEARCHER", "OVERREAD", WRONG_CALLED),
    ]:  # fmt: skip
        assert refusal(strict, calling, called) == expected, (calling, called)


def results(server, calling, contexts, **request):
    with Association(server.dicom_address, [(c, [EXPLICIT]) for c in contexts], calling=calling, **request) as peer:
        return [peer.results[2 * n + 1] for n in range(len(contexts))]


def test_a_missing_right_rejects_the_context(strict):
    contexts = [
        Verification, CTImageStorage, "1.2.826.0.1.3680043.10.9999.5", FIND, PatientRootQueryRetrieveInformationModelFind, GET, MOVE,
        StorageCommitmentPushModel,
    ]  # fmt: skip
    for calling, expected in [
        ("ALL", [0, 0, 0, 0, 0, 0, 0, 0]), ("CT 1", [0, 0, 0, 1, 1, 1, 1, 1]), ("WS", [0, 1, 1, 0, 0, 0, 1, 1]),
        ("NOTHING", [0, 1, 1, 1, 1, 1, 1, 1]), ("GETTER", [0, 1, 1, 1, 1, 0, 1, 1]), ("MOVER", [0, 1, 1, 1, 1, 1, 0, 1]),
        ("COMMITTER", [0, 1, 1, 1, 1, 1, 1, 0]),
    ]:  # fmt: skip
        assert results(strict, calling, contexts) == expected, calling
    assert "presentation contexts rejected: no right to them" in strict.log()
    # What nobody may is not a matter of rights.
    assert results(strict, "NOTHING", ["1.2.840.10008.5.1.4.31"]) == [3]


def roles(sop_class, scu, scp):
    return item(0x54, len(sop_class).to_bytes(2, "big") + sop_class.encode() + bytes([scu, scp]))


def test_who_may_get_may_not_store(strict):
    """C-GET needs storage contexts; those of a peer without `store` lead one way only."""
    ds = made.instance()
    body = made.encode(ds)
    contexts = [(GET, [EXPLICIT]), (made.CT, [EXPLICIT])]
    request = {"calling": "GETTER", "extra_user_items": roles(made.CT, 1, 1)}
    with Association(strict.dicom_address, contexts, **request) as peer:
        assert peer.results == {1: 0, 3: 0}
        assert peer.user_items[0x54][-2:] == bytes([0, 1])
        assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, body) == 0x0124
    assert web.qido(strict, "/instances", {"SOPInstanceUID": str(ds.SOPInstanceUID)}) == []
    with Association(strict.dicom_address, contexts, calling="CT 1", extra_user_items=roles(made.CT, 1, 1)) as peer:
        assert peer.results == {1: 1, 3: 0}
        assert peer.user_items[0x54][-2:] == bytes([1, 0])
        assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, body) == 0


def test_pynetdicom_gets_with_the_right_to(strict):
    ds = made.instance()
    assert web.stow(strict, [made.file(ds)]).status_code == 200
    wanted = identifier("STUDY", StudyInstanceUID=ds.StudyInstanceUID)
    for calling in ("GETTER", "WS", "ALL"):
        ae = AE(ae_title=calling)
        ae.add_requested_context(GET)
        ae.add_requested_context(CTImageStorage, EXPLICIT)
        association = ae.associate(
            *strict.dicom_address, ae_title="OVERREAD", ext_neg=[build_role(CTImageStorage, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, lambda _: 0x0000)],
        )  # fmt: skip
        assert association.is_established
        assert [status.Status for status, _ in association.send_c_get(wanted, GET)] == [0xFF00, 0x0000]
        association.release()


def test_who_may_move_and_who_may_ask_for_commitment(start):
    """The destination of a move is called and calls nobody: it needs no row."""
    with Scripted() as destination, Requester("COMMITTER") as committer:
        rows = ["MOVER = move", "COMMITTER = commit"]
        server = start(config={"dicom": {"modalities": rows, "peers": [destination.peer]}})
        ds = made.instance()
        assert web.stow(server, [made.file(ds)]).status_code == 200
        wanted = identifier("STUDY", StudyInstanceUID=ds.StudyInstanceUID)
        assert move(server, wanted, "SCRIPTED", calling="MOVER")[-1] == (0x0000, None, 1, 0, 0, None)
        assert destination.acknowledged == [str(ds.SOPInstanceUID)]
        association = committer.associate(server)
        assert committer.ask(association, asking(reference(ds.SOPInstanceUID))) == 0
        assert set(committer.report().committed) == {str(ds.SOPInstanceUID)}
        association.release()


def test_a_star_is_for_whoever_has_no_row(start):
    server = start(config={"dicom": {"modalities": ["* = store from 127.0.0.1", "WS = find"], "calling_ae_titles": ["FRIEND"]}})
    contexts = [CTImageStorage, FIND]
    assert results(server, "ANYBODY", contexts) == [0, 1]
    assert results(server, "WS", contexts) == [1, 0]
    assert results(server, "FRIEND", contexts) == [0, 0], "calling_ae_titles are let in for everything"


def test_the_short_list_goes_on_beside_the_table(start):
    server = start(config={"dicom": {"modalities": ["CT1 = store"], "calling_ae_titles": ["FRIEND", "CT1"]}})
    assert results(server, "FRIEND", [CTImageStorage, FIND]) == [0, 0]
    assert results(server, "CT1", [CTImageStorage, FIND]) == [0, 1], "the row counts"
    assert refusal(server, "OTHER") == UNKNOWN


def test_a_table_ends_the_welcome_of_everybody(start):
    """`calling_ae_titles = ["*"]` is the default: who writes a table means it."""
    server = start(config={"dicom": {"modalities": ["CT1 = store"]}})
    assert refusal(server, "CT1") is None
    assert refusal(server, "OTHER") == UNKNOWN


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("CT1", 'the entry "CT1" is no "TITLE = RIGHTS from HOSTS to CALLED"'),
        ("CT1 = stor", 'has the right "stor", which there is not; there are store, find, move, get, commit and all'),
        ("CT1 = store from ct1.example.org", 'has the host "ct1.example.org"'),
        ("CT1 = store from 10.0.0.1/8", 'has the host "10.0.0.1/8"'),
        ("CT1 = store to ELSEWHERE", "ELSEWHERE is neither dicom.ae_title nor one of dicom.called_ae_titles"),
        ("A_TITLE_THAT_IS_TOO_LONG = store", "longer than 16 characters"),
    ],
)
def test_a_slip_in_the_table_ends_the_start(tmp_path, row, told):
    environment = {
        "OVERREAD_DICOM__MODALITIES": row, "OVERREAD_SERVER__DATA_DIR": str(tmp_path / "data"),
        "OVERREAD_HTTP__LISTEN": f"127.0.0.1:{free_port()}", "OVERREAD_DICOM__LISTEN": f"127.0.0.1:{free_port()}",
    }  # fmt: skip
    done = run("serve", env=environment, timeout=30)
    assert done.returncode == 1 and "dicom.modalities: " in done.stderr and told in done.stderr, done.stderr


def test_what_is_stored_under_a_right_is_stored(strict):
    ds = made.instance()
    with Association(strict.dicom_address, [(made.CT, [EXPLICIT])], calling="CT 1") as peer:
        assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) == 0
    response = web.get(strict, web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID), web.AS_STORED)
    assert part10.data_set(web.file_of(response)) == made.encode(ds)
