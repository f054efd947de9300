"""QIDO-RS beyond the required keys: fuzzy names, empty and multiple values, attributes outside the index,
private ones, those inside sequences (PS3.18 §8.3.4, PS3.4 §C.2.2.2; conformance.md §8, 96–129)."""

import pytest
from pydicom.dataset import Dataset

from harness import made, web
from harness.qido import item


def stored(server, *instances):
    response = web.stow(server, map(made.file, instances))
    assert response.status_code == 200, response.text
    return instances


def found(server, path, within, **params):
    """The UIDs of the answers, within a patient made for the test."""
    tag = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}[path.rsplit("/", 1)[1]]
    return {web.value(row, tag) for row in web.qido(server, path, within | params)}


def patient():
    return {"PatientID": made.uid()[-16:]}


@pytest.mark.parametrize(
    ("name", "key", "matches"),
    [
        ("Meyer^Anna", "meier", True), ("Meyer^Anna", "Anna Mayr", True), ("Meyer^Anna", "Meier^Otto", False),
        ("Müller^Jörg", "Mueller", True), ("Müller^Jörg", "georg muller", True), ("Smith^John^Q", "Schmidt", True),
        ("Smith^John^Q", "jon, smyth", True), ("Smith^John^Q", "Smith^Jane^R", False), ("Katharina^Li", "catherine lee", True),
        ("Li^Bo", "Lu", False), ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎", True), ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ヤマダ", True),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山", False), ("Hong^Gildong=洪^吉洞=홍^길동", "홍길동", True), ("O'Neill^Pat", "oneil", True),
        ("Iwanow^Juri", "Ivanoff Yuri", True), ("Иванов^Юрий", "иванов", True), ("Иванов^Юрий", "Ivanov", False),
    ],
)  # fmt: skip
def test_a119_names_are_found_by_sound(server, name, key, matches):
    within = patient()
    stored(server, made.instance(PatientName=name, **within))
    assert bool(found(server, "/studies", within, PatientName=key, fuzzymatching="true")) == matches
    assert not found(server, "/studies", within, PatientName=key, fuzzymatching="false"), "not the whole name"
    fuzzy = web.get(server, "/studies", web.JSON, params=within | {"PatientName": key, "fuzzymatching": "true"})
    assert "Warning" not in fuzzy.headers


def test_a119_what_ohif_sends_is_a_wildcard_still(server):
    within = patient()
    stored(server, made.instance(PatientName="Doe^John", **within), made.instance(PatientName="Doe^John", **within))
    assert len(found(server, "/studies", within, PatientName="*ohn*", fuzzymatching="true")) == 2
    assert not found(server, "/studies", within, PatientName="*onn*", fuzzymatching="true")
    assert len(found(server, "/studies", within, ReferringPhysicianName="Rita Refer", fuzzymatching="true")) == 2


def test_a120_empty_values_of_every_kind(server):
    within = patient()
    full = made.instance(PatientComments="told", ImageType=["ORIGINAL"], SliceThickness="1", **within)
    full.RequestAttributesSequence = [item(ScheduledProcedureStepID="A", RequestedProcedureID="")]
    full.OtherPatientIDsSequence = [item(PatientID="X")]
    bare = made.instance(PatientComments="", SliceThickness=None, StudyDate="", StudyTime=None, ReferringPhysicianName="", StudyID=None, **within)
    stored(server, full, bare)
    for keyword in ("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "PatientComments", "SliceThickness", "RequestAttributesSequence",
                    "OtherPatientIDsSequence", "ImageType", "RequestAttributesSequence.ScheduledProcedureStepID"):  # fmt: skip
        params = within | {keyword: '""', "emptyvaluematching": "true"}
        rows = web.qido(server, "/instances", params)
        assert [web.value(r, "00080018") for r in rows] == [bare.SOPInstanceUID], keyword
    rows = web.qido(server, "/instances", within | {"RequestAttributesSequence.RequestedProcedureID": '""', "emptyvaluematching": "true"})
    assert len(rows) == 2, "no item is an item without the attribute"
    literal = web.get(server, "/studies", web.JSON, params=within | {"AccessionNumber": '""'})
    assert literal.status_code == 204, "without the parameter it is a value"


def test_multiple_values_are_all_in_the_attribute(server):
    within = patient()
    study = made.uid()
    ct, pt = made.instance(study=study, Modality="CT", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], **within), made.instance(study=study, Modality="PT", **within)
    mr = made.instance(Modality="MR", ImageType=["DERIVED", "PRIMARY"], OtherPatientNames=["Doe^J", "Roe^R"], **within)
    stored(server, ct, pt, mr)
    both = {"multiplevaluematching": "true"}
    assert found(server, "/studies", within, ModalitiesInStudy="PT,CT", **both) == {study}
    assert found(server, "/studies", within, ModalitiesInStudy="PT\\CT", **both) == {study}
    assert not found(server, "/studies", within, ModalitiesInStudy="MR,CT", **both)
    assert found(server, "/studies", within, ModalitiesInStudy="MR,CT") == {study, mr.StudyInstanceUID}, "OHIF lists alternatives"
    assert found(server, "/instances", within, ImageType="AXIAL,ORIGINAL", **both) == {ct.SOPInstanceUID}
    assert found(server, "/instances", within, ImageType="PRIMARY", **both) == {ct.SOPInstanceUID, mr.SOPInstanceUID}
    assert found(server, "/studies", within, OtherPatientNames="roe^r,doe^j", **both) == {mr.StudyInstanceUID}
    assert found(server, "/studies", within, StudyInstanceUID=f"{study},{mr.StudyInstanceUID}", **both) == {study, mr.StudyInstanceUID}, "a list of UIDs"
    for query in ("PatientSex=M,F", "PatientID=A%5CB", "ImageType=A,B", "ModalitiesInStudy=C*,MR&multiplevaluematching=true",
                  "StudyDate=20260101,20260102&multiplevaluematching=true", "InstanceNumber=1,2&multiplevaluematching=true"):  # fmt: skip
        response = web.get(server, f"/instances?{query}", web.JSON)
        assert response.status_code == 400, query


def private(block, value, creator="Acme", **attributes):
    ds = made.instance(**attributes)
    ds.add_new((0x0023, block), "LO", creator)
    ds.add_new((0x0023, block << 8 | 0x01), "LO", value)
    ds.add_new((0x0023, block << 8 | 0x02), "DA", "20260105")
    return ds


def test_a115_private_attributes_match_and_return_with_their_creator(server):
    within = patient()
    one, other_block, other_creator = private(0x10, "x", **within), private(0x11, "x", **within), private(0x10, "x", creator="Umbrella", **within)
    stored(server, one, other_block, other_creator)
    response = web.get(server, "/instances", web.JSON, params=within | {"00230010": "Acme", "00231001": "x"})
    assert {web.value(r, "00080018") for r in response.json()} == {one.SOPInstanceUID, other_block.SOPInstanceUID}
    assert "Warning" not in response.headers
    for row in response.json():
        block = "10" if web.value(row, "00080018") == one.SOPInstanceUID else "11"
        assert row[f"002300{block}"] == {"vr": "LO", "Value": ["Acme"]} and row[f"0023{block}01"] == {"vr": "LO", "Value": ["x"]}
        assert list(row) == sorted(row)
    for value, count in (("y", 0), ("?", 2), ("X", 0)):
        assert len(web.qido(server, "/instances", within | {"00230010": "Acme", "00231001": value})) == count
    assert len(web.qido(server, "/instances", within | {"00230010": "Acme", "00231002": "20260101-20260131"})) == 2
    asked = web.qido(server, "/instances", within | {"00230010": "Umbrella", "includefield": "00231001"})
    assert sorted("00231001" in row for row in asked) == [False, False, True]
    orphan = web.get(server, "/instances", web.JSON, params=within | {"00231001": "y"})
    assert len(orphan.json()) == 3 and "needs its private creator" in orphan.headers["Warning"]
    alone = web.get(server, "/instances", web.JSON, params=within | {"00230010": "Acme"})
    assert len(alone.json()) == 3 and "Warning" in alone.headers


def test_private_attributes_of_unknown_vr_match_as_text(server):
    within = patient()
    ds = private(0x10, "x", **within)
    response = web.stow(server, [made.file(ds, made.ImplicitVRLittleEndian)])
    assert response.status_code == 200
    assert len(web.qido(server, "/instances", within | {"00230010": "Acme", "00231001": "x"})) == 1
    assert web.qido(server, "/instances", within | {"00230010": "Acme", "00231001": "y"}) == []


def coded(value, scheme):
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning="m")


def test_a110_a111_any_sequence_matches_in_one_item(server):
    within = patient()
    ds = made.instance(**within)
    ds.AnatomicRegionSequence = [coded("A", "SCT"), coded("B", "DCM")]
    ds.OtherPatientIDsSequence = [item(PatientID="1", IssuerOfPatientID="X"), item(PatientID="2", IssuerOfPatientID="Y")]
    ds.RequestAttributesSequence = [item(ScheduledProcedureStepID="S1", RequestedProcedureDescription="one"), item(ScheduledProcedureStepID="S2", RequestedProcedureDescription="two")]  # fmt: skip
    step = Dataset()
    step.ReferencedPerformedProcedureStepSequence = [item(ReferencedSOPInstanceUID="1.2.3")]
    ds.ReferencedInstanceSequence = [step]
    stored(server, ds)
    for params, count in [
        ({"AnatomicRegionSequence.CodeValue": "B"}, 1),
        ({"00082218.00080100": "B", "AnatomicRegionSequence.CodingSchemeDesignator": "DCM"}, 1),
        ({"00082218.00080100": "A", "00082218.00080102": "DCM"}, 0),
        ({"OtherPatientIDsSequence.PatientID": "2", "00101002.00100021": "?"}, 1),
        ({"OtherPatientIDsSequence.PatientID": "2", "00101002.00100021": "X"}, 0),
        ({"RequestAttributesSequence.ScheduledProcedureStepID": "S2", "00400275.00321060": "t*"}, 1),
        ({"RequestAttributesSequence.ScheduledProcedureStepID": "S1", "00400275.00321060": "t*"}, 0),
        ({"0008114A.00081111.00081155": "1.2.3"}, 1),
        ({"0008114A.00081111.00081155": "1.2.4"}, 0),
        ({"0008114A.00081111.00081155": ""}, 1),
    ]:
        rows = web.qido(server, "/instances", within | params)
        assert len(rows) == count, params
        for name in params if rows else ():
            root = name.partition(".")[0]
            tag = {"AnatomicRegionSequence": "00082218", "OtherPatientIDsSequence": "00101002", "RequestAttributesSequence": "00400275"}.get(root, root)
            assert rows[0][tag]["vr"] == "SQ" and rows[0][tag]["Value"], "the sequence comes back whole"
    studies = web.qido(server, "/studies", within | {"OtherPatientIDsSequence.PatientID": "2"})
    assert len(studies) == 1 and len(studies[0]["00101002"]["Value"]) == 2, "it is the patient's, so a study has it"


def test_a114_attributes_outside_the_index_come_at_their_own_level(server):
    within = patient()
    ds = made.instance(PatientComments="P", AdditionalPatientHistory="S", DeviceSerialNumber="E", SliceThickness="2.5", **within)
    ds.AnatomicRegionSequence = [coded("A", "SCT")]
    stored(server, ds)
    tags = {"PatientComments": "00104000", "AdditionalPatientHistory": "001021B0", "DeviceSerialNumber": "00181000", "SliceThickness": "00180050",
            "AnatomicRegionSequence.CodeValue": "00082218"}  # fmt: skip
    for path, names in [("/studies", list(tags)[:2]), ("/series", list(tags)[:3]), ("/instances", list(tags))]:
        row = web.qido(server, path, within | {"includefield": ",".join(tags)})[0]
        assert {tag for tag in tags.values() if tag in row} == {tags[name] for name in names}, path
        everything = web.qido(server, path, within | {"includefield": "all"})[0]
        assert {tag for tag in tags.values() if tag in everything} == {tags[name] for name in names}, path
        for name in names[: len(names) if path != "/instances" else 4]:
            value = str(ds[name].value)
            assert len(web.qido(server, path, within | {name: value})) == 1, (path, name)
            assert web.qido(server, path, within | {name: "9"}) == [], (path, name)
    for path, name in [("/studies", "DeviceSerialNumber"), ("/series", "SliceThickness"), ("/studies", "SliceThickness")]:
        response = web.get(server, path, web.JSON, params=within | {name: "9"})
        assert len(response.json()) == 1 and "belongs to a lower level" in response.headers["Warning"], (path, name)


def test_a113_all_at_instance_level_is_the_whole_data_set(server):
    within = patient()
    ds = private(0x10, "x", PatientComments="P", SliceThickness="2.5", **within)
    stored(server, ds)
    metadata = web.get(server, f"/studies/{ds.StudyInstanceUID}/metadata", web.JSON).json()[0]
    row = web.qido(server, "/instances", within | {"includefield": "all"})[0]
    assert set(metadata) <= set(row)
    for tag, member in metadata.items():
        assert row[tag] == member, tag
    assert list(row) == sorted(row)


@pytest.mark.parametrize("name", ["PixelData", "00020010", "00080000", "00201206", "InstanceAvailability", "TimezoneOffsetFromUTC"])
def test_what_cannot_be_matched_is_ignored_with_a_warning(server, name):
    within = patient()
    stored(server, made.instance(**within))
    response = web.get(server, "/instances", web.JSON, params=within | {name: "1"})
    assert response.status_code == 200 and len(response.json()) == 1
    assert response.headers["Warning"].startswith("299 ") and "was ignored" in response.headers["Warning"]


def test_a124_a_timezone_in_the_query_is_told_to_change_nothing(server):
    within = patient()
    stored(server, made.instance(StudyDate="20260704", StudyTime="2330", **within))
    params = within | {"StudyDate": "20260704", "TimezoneOffsetFromUTC": "+0500"}
    response = web.get(server, "/studies", web.JSON, params=params)
    assert len(response.json()) == 1 and "dates and times are compared as stored" in response.headers["Warning"]
