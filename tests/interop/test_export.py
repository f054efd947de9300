"""`overread export`: a medium that others read (PS3.10 §8, PS3.3 Annex F), from pydicom's and DCMTK's side."""

import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.fileset import _FOUR_LEVEL_SOP_CLASSES, DIRECTORY_RECORDERS, FileSet, is_conformant_file_id

from harness import corpus, made, part10
from harness.server import Server

SR = "1.2.840.10008.5.1.4.1.1.88.11"
PRIVATE_CLASS = "1.3.12.2.1107.5.9.1"
# Sequences of type 1C.
NOT_COPIED = {"SpecificCharacterSet", "ContentSequence", "ReferencedSeriesSequence", "BlendingSequence"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The corpus in an archive, as far as one archive can hold it."""
    folder = tmp_path_factory.mktemp("export")
    server = Server(folder / "data", config={"ingest": {"patient_conflict": "accept"}})
    done = server.cli("import", *[case.path for case in corpus.layers()[0]])
    assert done.returncode == 0, done.stdout + done.stderr
    return server


@pytest.fixture(scope="module", params=["folder", "zip"])
def medium(request, archive, tmp_path_factory):
    """All of it exported; the root of the medium."""
    folder = tmp_path_factory.mktemp("medium")
    return export(archive, sorted({case.uids[0] for case in corpus.layers()[0]}), folder, request.param)


def export(archive, studies, folder, kind, code=0):
    root = folder / "medium"
    to = folder / "medium.zip" if kind == "zip" else root
    done = archive.cli("export", *studies, "--to", to)
    assert done.returncode == code, done.stdout + done.stderr
    if kind == "zip":
        with zipfile.ZipFile(to) as file:
            assert file.testzip() is None
            file.extractall(root)
    return root


def import_made(tmp_path, objects):
    server = Server(tmp_path / "data")
    paths = []
    for n, ds in enumerate(objects):
        paths.append(tmp_path / f"{n}.dcm")
        paths[-1].write_bytes(made.file(ds))
    done = server.cli("import", *paths)
    assert done.returncode == 0, done.stdout + done.stderr
    return server


def load(root):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FileSet(root / "DICOMDIR")


def test_pydicom_finds_every_instance_as_it_came(medium):
    cases = {case.uids[2]: case for case in corpus.layers()[0]}
    instances = list(load(medium))
    assert sorted(i.SOPInstanceUID for i in instances) == sorted(cases)
    for instance in instances:
        case = cases[instance.SOPInstanceUID]
        data = Path(instance.path).read_bytes()
        assert part10.data_set(data) == case.body, case.name
        assert (instance.SOPClassUID, instance.TransferSyntaxUID) == (case.sop_class, part10.transfer_syntax(data)), case.name
    files = {str(p.relative_to(medium)) for p in medium.rglob("*") if p.is_file()}
    referred = {str(Path(i.path).relative_to(medium.resolve())) for i in instances}
    assert files == referred | {"DICOMDIR"}


def test_names_are_of_every_medium_and_tell_nothing(medium):
    for path in medium.rglob("*"):
        assert is_conformant_file_id(path.relative_to(medium)), path


@pytest.mark.filterwarnings("ignore")
def test_records_hold_what_pydicom_would_put_there(medium):
    """For every object that is complete enough for pydicom to make records of."""
    cases = {case.uids[2]: case for case in corpus.layers()[0]}
    compared = 0
    for instance in load(medium):
        case = cases[instance.SOPInstanceUID]
        try:
            theirs = list(FileSet()._recordify(dcmread(case.path, force=True)))
        except ValueError as error:
            assert "missing" in str(error) or "empty" in str(error), (case.name, error)
            continue
        ours = [node._record for node in (*reversed(instance.node.ancestors), instance.node)]
        assert [r.DirectoryRecordType for r in ours] == [r.DirectoryRecordType for r in theirs], case.name
        assert instance.node._record.get("InstanceNumber") == theirs[-1].get("InstanceNumber"), case.name
        for mine, their in zip(ours, theirs):
            missing = {e.keyword for e in their if e.tag.group != 4 and e.tag not in mine} - NOT_COPIED
            assert not missing, (case.name, missing)
        compared += 1
    assert compared > 100


@pytest.mark.filterwarnings("ignore")
def test_every_sop_class_gets_its_record_type(tmp_path):
    """The classes that pydicom lists, each in an object that lacks all that a record needs."""
    types = {str(uid): kind for uid, kind in _FOUR_LEVEL_SOP_CLASSES.items()}
    objects = [made.instance(study="1.2.3", SOPClassUID=uid, PixelData=None, InstanceNumber=None) for uid in types]
    root = export(import_made(tmp_path, objects), ["1.2.3"], tmp_path, "folder")
    instances = list(load(root))
    assert {i.SOPClassUID: i.node._record.DirectoryRecordType for i in instances} == types
    for instance in instances:
        record = instance.node._record
        if "ConceptNameCodeSequence" in record:
            assert record.DirectoryRecordType in ("SR DOCUMENT", "KEY OBJECT DOC"), "a code cannot be made up"
            continue
        DIRECTORY_RECORDERS[record.DirectoryRecordType](record)


def test_every_record_has_what_it_must_have(medium):
    """pydicom's own recorders (the tables of PS3.3 §F.5) accept each record as their source."""
    ds = dcmread(medium / "DICOMDIR")
    assert ds.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.1.3.10"
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert ds.FileSetConsistencyFlag == 0
    for record in ds.DirectoryRecordSequence:
        assert record.SpecificCharacterSet == "ISO_IR 192" and record.RecordInUseFlag == 0xFFFF
        if record.DirectoryRecordType in DIRECTORY_RECORDERS:
            DIRECTORY_RECORDERS[record.DirectoryRecordType](record)


def test_dcmtk_follows_the_offsets(medium, tmp_path):
    """dcmmkdir builds the tree from the offsets, adds a file and writes it all anew."""
    root = tmp_path / "copy"
    shutil.copytree(medium, root)
    done = subprocess.run(["dcmdump", "+L", root / "DICOMDIR"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    before = sorted(i.SOPInstanceUID for i in load(root))
    extra = made.instance(InstanceNumber=1)
    (root / "EXTRA").write_bytes(made.file(extra))
    command = ["dcmmkdir", "--append", "+id", root, "+D", root / "DICOMDIR", "-W", "-Nxc", "EXTRA"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    after = sorted(i.SOPInstanceUID for i in load(root))
    assert after == sorted([*before, str(extra.SOPInstanceUID)])


def test_an_export_comes_back_as_already_there(archive, tmp_path):
    studies = sorted({case.uids[0] for case in corpus.layers()[0]})
    export(archive, studies, tmp_path, "zip")
    for source in (tmp_path / "medium.zip", tmp_path / "medium"):
        done = archive.cli("import", source)
        lines = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines()[:3])
        assert done.returncode == 0 and lines["stored"] == lines["refused"] == "0", done.stdout + done.stderr
        assert int(lines["already there"]) == len(corpus.layers()[0]), done.stdout


def test_patients_studies_and_series_are_told_apart(tmp_path):
    """Two studies of one patient, one of a namesake under another issuer, two without an ID."""
    patient = {"PatientID": "P1", "PatientName": "Äbel^Ö=漢字"}
    one = made.study(2, **patient)
    two = [made.instance(study=made.ROOT + "2", SeriesNumber=n, **patient) for n in (1, 2)]
    other = made.study(1, IssuerOfPatientID="ELSEWHERE", **patient)
    empty = dict.fromkeys(("PatientID", "StudyDate", "StudyTime", "StudyID"), "")
    bare = [made.instance(SeriesNumber=None, InstanceNumber=None, **empty) for _ in range(2)]
    server = import_made(tmp_path, [*one, *two, *other, *bare])
    studies = [x.StudyInstanceUID for x in (one[0], other[0], bare[0], two[0], bare[1], one[0])]
    root = export(server, studies, tmp_path, "folder")
    ds = dcmread(root / "DICOMDIR")
    kinds = [record.DirectoryRecordType for record in ds.DirectoryRecordSequence]
    assert (kinds.count("PATIENT"), kinds.count("STUDY"), kinds.count("SERIES"), kinds.count("IMAGE")) == (4, 5, 6, 7)
    patients = [record for record in ds.DirectoryRecordSequence if record.DirectoryRecordType == "PATIENT"]
    assert str(patients[0].PatientName) == "Äbel^Ö=漢字" and len({p.PatientID for p in patients if p.PatientID.startswith("NO_ID")}) == 2
    assert sorted(i.SOPInstanceUID for i in load(root)) == sorted(str(x.SOPInstanceUID) for x in [*one, *two, *other, *bare])
    two_uids = {i.StudyInstanceUID for i in load(root).find(PatientID="P1")}
    assert two_uids == {str(one[0].StudyInstanceUID), str(two[0].StudyInstanceUID), str(other[0].StudyInstanceUID)}


def test_what_no_record_type_is_meant_for_is_private(tmp_path):
    ds = made.instance(SOPClassUID=PRIVATE_CLASS, Rows=None, Columns=None, PixelData=None)
    report = made.instance(SOPClassUID=SR, Modality="SR", Rows=None, Columns=None, PixelData=None)
    root = export(import_made(tmp_path, [ds, report]), [ds.StudyInstanceUID, report.StudyInstanceUID], tmp_path, "zip")
    records = {i.SOPInstanceUID: i.node._record for i in load(root)}
    assert records[str(ds.SOPInstanceUID)].DirectoryRecordType == "PRIVATE"
    assert records[str(ds.SOPInstanceUID)].PrivateRecordUID
    record = records[str(report.SOPInstanceUID)]
    assert (record.DirectoryRecordType, record.CompletionFlag, record.VerificationFlag) == ("SR DOCUMENT", "PARTIAL", "UNVERIFIED")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_exit_codes(tmp_path, kind):
    ds = made.instance()
    server = import_made(tmp_path, [ds])
    (tmp_path / "a").mkdir()
    root = export(server, [ds.StudyInstanceUID, "1.2.3.4"], tmp_path / "a", kind, code=3)
    assert [i.SOPInstanceUID for i in load(root)] == [str(ds.SOPInstanceUID)]
    to = tmp_path / ("none.zip" if kind == "zip" else "none")
    done = server.cli("export", "1.2.3.4", "--to", to)
    assert done.returncode == 1 and "1.2.3.4" in done.stderr and "nothing" in done.stderr
    assert not to.exists() and not list(tmp_path.rglob("*.part"))
    assert server.cli("export", "not-a-uid", "--to", to).returncode == 2


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_fails_leaves_nothing_behind(tmp_path, kind):
    """One of two blobs is gone: no medium that looks whole."""
    objects = [made.instance(study="1.2.3", rows=1500, columns=1500) for _ in range(2)]
    server = import_made(tmp_path, objects)
    lost = str(objects[1].SOPInstanceUID).encode()
    for path in (server.data_dir / "blobs").rglob("*"):
        if path.is_file() and lost in path.read_bytes():
            path.unlink()
    to = tmp_path / "out" / ("medium.zip" if kind == "zip" else "medium")
    to.parent.mkdir()
    done = server.cli("export", "1.2.3", "--to", to)
    assert done.returncode == 1 and done.stderr, done.stdout
    assert not [path for path in to.parent.rglob("*") if path.is_file()]


def test_two_media_do_not_mix(tmp_path):
    first, second = made.instance(), made.instance()
    server = import_made(tmp_path, [first, second])
    root = export(server, [first.StudyInstanceUID], tmp_path, "folder")
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    done = server.cli("export", second.StudyInstanceUID, "--to", root)
    assert done.returncode == 1 and "DICOMDIR" in done.stderr
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before


def test_export_reads_beside_a_running_server(tmp_path):
    ds = made.instance()
    server = import_made(tmp_path, [ds])
    with server:
        root = export(server, [ds.StudyInstanceUID], tmp_path, "folder")
    assert len(load(root)) == 1
