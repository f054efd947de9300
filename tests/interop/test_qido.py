"""QIDO-RS (PS3.18 §10.6): resources, attributes, matching, paging (conformance.md §8, 96–129)."""

import random

import pytest

from harness import made, matching, web
from harness.qido import item

STUDY_DEFAULT = (
    "00080020 00080030 00080050 00080056 00080061 00080090 00080201 00081190 00100010 00100020 00100030 00100040 0020000D 00200010 "
    "00201206 00201208"
).split()
SERIES_DEFAULT = "00080060 00080201 0008103E 00081190 0020000E 00200011 00201209 00400244 00400245 00400275".split()
INSTANCE_DEFAULT = "00080016 00080018 00080056 00080201 00081190 00083002 00200013 00280008 00280010 00280011 00280100".split()
NAMES = ["Doe^John", "DOE^Jane", "Müller^Jörg", "Smith^Anna^B", "Smithers^Zoë", "Yamada^Tarou=山田^太郎=やまだ^たろう", "O'Neil^Pat_1", "Ärzte^100%"]


class Population:
    """Some hundreds of made instances, and the server that got them."""

    def __init__(self, server):
        chance = random.Random(20261124)
        self.server, self.instances = server, []
        for n in range(150):
            study = made.uid()
            shared = dict(
                study=study, PatientName=chance.choice(NAMES), PatientID=f"PAT-{n % 60:03d}",
                PatientBirthDate=chance.choice(["19500101", "19770707", "20011231"]), PatientSex=chance.choice("MFO"),
                StudyDate=f"2026{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}",
                StudyTime=chance.choice(["080000", "1015", "223000.5", "235959.999999", "101500", "000000"]),
                AccessionNumber=chance.choice(["", f"A{n}", f"A_{n % 7}", f"a{n}"]), StudyID=f"S{n % 9}",
                StudyDescription=chance.choice(["CT Thorax", "ct thorax", "MR Kopf", "50% off", "Knie_links"]),
                ReferringPhysicianName=chance.choice(["House^Gregory", "Wilson^James", ""]),
            )  # fmt: skip
            # The patient of a Patient ID is always the same person: no conflict is wanted here.
            shared["PatientName"] = NAMES[(n % 60) % len(NAMES)]
            shared["PatientBirthDate"] = ["19500101", "19770707", "20011231"][(n % 60) % 3]
            shared["PatientSex"] = "MFO"[(n % 60) % 3]
            for e in range(chance.randint(1, 3)):
                series = made.uid()
                level = dict(
                    series=series, Modality=chance.choice(["CT", "MR", "PT", "US", "SR"]), SeriesNumber=chance.choice([None, e + 1, 40 - e]),
                    SeriesDescription=chance.choice(["axial", "coronal", ""]), BodyPartExamined=chance.choice(["CHEST", "KNEE"]),
                    PerformedProcedureStepStartDate=chance.choice(["20260101", "20260615"]),
                    PerformedProcedureStepStartTime=chance.choice(["0900", "103000"]),
                    RequestAttributesSequence=[
                        item(ScheduledProcedureStepID=f"SPS{chance.randint(1, 4)}", RequestedProcedureID=f"RP{chance.randint(1, 4)}")
                        for _ in range(chance.randint(0, 3))
                    ],
                )  # fmt: skip
                for i in range(chance.randint(1, 3)):
                    self.instances.append(made.instance(**shared, **level, InstanceNumber=chance.choice([i + 1, 10 - i, 7])))
        for at in range(0, len(self.instances), 50):
            response = web.stow(server, map(made.file, self.instances[at : at + 50]))
            assert response.status_code == 200, response.text

        # What was sent, as plain text: pydicom's own access is slow where all is looked at a thousand times.
        self.records = [record(ds) for ds in self.instances]
        self.modalities = {}
        for one in self.records:
            self.modalities.setdefault(one["StudyInstanceUID"], set()).add(one["Modality"])

    def expected(self, level, judge):
        """UIDs of the answers of a level, given a predicate over the records of its instances."""
        key = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}[level]
        return {one[key] for one in self.records if judge(one)}


def record(ds):
    values = {element.keyword: str(element.value) for element in ds if element.VR not in ("SQ", "OW") and element.value is not None}
    values["items"] = [(i.ScheduledProcedureStepID, i.RequestedProcedureID) for i in ds.get("RequestAttributesSequence", [])]
    return values


TAG_OF = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}


@pytest.fixture(scope="module")
def people(start_module):
    return Population(start_module())


def random_key(chance, people):
    """(level it belongs to, parameters, predicate)."""
    some = chance.choice(people.instances)

    def attribute(level, keyword, pattern, judge):
        # Only stars: universal matching, of what has no value too (PS3.4 §C.2.2.2.3).
        is_universal = set(pattern) <= {"*"}
        return level, {keyword: pattern}, lambda one: is_universal or (one.get(keyword, "") != "" and judge(pattern, one[keyword]))

    def wild(value):
        value = str(value)
        cut = chance.randint(0, len(value))
        return chance.choice([value, value[:cut] + "*", "*" + value[cut:], value[:cut] + "?" + value[cut + 1 :], f"*{value[cut:cut + 2]}*"])

    def day():
        return f"2026{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"

    first, last = sorted([day(), day()])
    date = chance.choice([some.StudyDate, f"{first}-{last}", f"-{last}", f"{first}-"])
    time = chance.choice([some.StudyTime, "10", "1015", "08-12", "-1200", "2230-", "101500-223000"])
    match chance.randrange(14):
        case 0:
            return attribute("studies", "PatientName", wild(chance.choice([some.PatientName, str(some.PatientName).upper(), "muller*", "*taro*", "山田*"])), matching.name)  # fmt: skip
        case 1:
            return attribute("studies", "PatientID", wild(some.PatientID), matching.text)
        case 2:
            return attribute("studies", "StudyDate", date, matching.date)
        case 3:
            return attribute("studies", "StudyTime", time, matching.time)
        case 4:
            return attribute("studies", "AccessionNumber", wild(some.AccessionNumber or "A_*"), matching.text)
        case 5:
            return attribute("studies", "StudyDescription", wild(some.StudyDescription), matching.text)
        case 6:
            wanted = chance.choice(["CT", "MR", "XX", "P*", "?R"])
            return "studies", {"ModalitiesInStudy": wanted}, lambda one: any(matching.glob(wanted, m) for m in people.modalities[one["StudyInstanceUID"]])  # fmt: skip
        case 7:
            return attribute("series", "Modality", chance.choice(["CT", "MR", "C*"]), matching.text)
        case 8:
            return attribute("series", "SeriesNumber", str(chance.choice([1, 2, 40, 39])), lambda p, v: int(p) == int(v))
        case 9:
            return attribute("series", "PerformedProcedureStepStartDate", chance.choice(["20260101", "20260201-", "-20260615"]), matching.date)
        case 10:
            step, procedure = f"SPS{chance.randint(1, 4)}", f"RP{chance.randint(1, 4)}"
            keys = {"RequestAttributesSequence.ScheduledProcedureStepID": step, "00400275.00401001": procedure}
            if chance.random() < 0.4:
                del keys["00400275.00401001"]
                procedure = None
            return "series", keys, lambda one: any(i[0] == step and procedure in (None, i[1]) for i in one["items"])
        case 11:
            return attribute("instances", "InstanceNumber", str(chance.choice([1, 7, 10])), lambda p, v: int(p) == int(v))
        case 12:
            uids = {str(chance.choice(people.instances).StudyInstanceUID) for _ in range(3)}
            return "studies", {"StudyInstanceUID": ",".join(uids)}, lambda one: one["StudyInstanceUID"] in uids
        case _:
            uids = {str(chance.choice(people.instances).SOPInstanceUID) for _ in range(3)}
            return "instances", {"SOPInstanceUID": ",".join(uids)}, lambda one: one["SOPInstanceUID"] in uids


def combined(parameters):
    return "StudyDate" in parameters and "StudyTime" in parameters


def test_a101_a217_hundreds_of_queries_find_what_the_standard_says(people):
    chance = random.Random(7)
    rank = {"studies": 0, "series": 1, "instances": 2}
    whole = {level: [web.value(r, TAG_OF[level]) for r in web.qido_all(people.server, f"/{level}")] for level in rank}
    tried = hits = 0
    wrong = []
    while tried < 400:
        parameters, judges, deepest = {}, [], 0
        for _ in range(chance.choice([1, 1, 2, 3])):
            level, keys, judge = random_key(chance, people)
            if any(k in parameters for k in keys):
                continue
            parameters |= keys
            judges.append(judge)
            deepest = max(deepest, rank[level])
        if combined(parameters):
            continue  # one interval, see test_a107
        level = chance.choice([name for name, r in rank.items() if r >= deepest])
        tried += 1
        expected = people.expected(level, lambda one, judges=judges: all(judge(one) for judge in judges))
        hits += bool(expected)
        rows = [web.value(r, TAG_OF[level]) for r in web.qido_all(people.server, f"/{level}", parameters)]
        if set(rows) != expected or len(rows) != len(expected):
            wrong.append((level, parameters, f"missing {len(expected - set(rows))}, too many {len(set(rows) - expected)}"))
        elif rows != [u for u in whole[level] if u in expected]:
            wrong.append((level, parameters, "another order than that of the whole list"))
        elif len(rows) > 1:
            size = chance.randint(len(rows) // 6 + 1, len(rows))
            paged = [web.value(r, TAG_OF[level]) for r in web.qido_all(people.server, f"/{level}", parameters, page=size)]
            if paged != rows:
                wrong.append((level, parameters, f"pages of {size} are not the whole"))
    assert wrong == []
    assert hits > 150, "queries that find nothing prove little"


def test_a96_all_six_resources(people):
    ds = people.instances[0]
    s, e = ds.StudyInstanceUID, ds.SeriesInstanceUID
    count = {
        "/studies": len({d.StudyInstanceUID for d in people.instances}),
        "/series": len({d.SeriesInstanceUID for d in people.instances}),
        "/instances": len(people.instances),
        f"/studies/{s}/series": len({d.SeriesInstanceUID for d in people.instances if d.StudyInstanceUID == s}),
        f"/studies/{s}/instances": len([d for d in people.instances if d.StudyInstanceUID == s]),
        f"/studies/{s}/series/{e}/instances": len([d for d in people.instances if d.SeriesInstanceUID == e]),
    }
    for path, number in count.items():
        assert len(web.qido_all(people.server, path)) == number, path


def full_instance():
    return made.instance(
        TimezoneOffsetFromUTC="+0100", SeriesDescription="axial", PerformedProcedureStepStartDate="20260102",
        PerformedProcedureStepStartTime="101112", NumberOfFrames=1, StudyDescription="not asked for", BodyPartExamined="HEAD",
        RequestAttributesSequence=[item(ScheduledProcedureStepID="SPS1", RequestedProcedureID="RP1")],
    )  # fmt: skip


def test_a97_a98_a99_exactly_the_attributes_of_the_tables(server):
    ds = full_instance()
    web.stow(server, [made.file(ds)])
    s, e = ds.StudyInstanceUID, ds.SeriesInstanceUID
    study, series, instance = set(STUDY_DEFAULT), set(SERIES_DEFAULT), set(INSTANCE_DEFAULT)
    by = {"StudyInstanceUID": s}
    inside = {"0020000D"}
    charset = {"00080005"}
    for path, params, required, allowed in [
        ("/studies", by, study, study),
        (f"/studies/{s}/series", {}, series, series | inside),
        ("/series", by, series | study, series | study),
        (f"/studies/{s}/series/{e}/instances", {}, instance, instance | inside | {"0020000E"}),
        (f"/studies/{s}/instances", {}, instance | series, instance | series | inside),
        ("/instances", by, instance | series | study, instance | series | study),
    ]:
        row = web.qido(server, path, params)[0]
        optional = {"00083002", "00080056", "00080201"}
        assert required - set(row) - optional == set(), path
        assert set(row) - allowed - charset - optional == set(), path
        assert list(row) == sorted(row), "ascending order"
        assert all(set(member) <= {"vr", "Value"} for member in row.values())


def test_a100_nothing_found_is_204(people):
    response = web.get(people.server, "/studies", web.JSON, params={"PatientID": "NOBODY"})
    assert (response.status_code, response.content) == (204, b"")


def test_a102_keywords_and_tags_are_the_same(people):
    ds = people.instances[0]
    for keyword, tag in [("PatientID", "00100020"), ("StudyInstanceUID", "0020000D"), ("PatientName", "00100010"), ("PatientID", "00100020")]:
        value = str(ds[keyword].value)
        assert web.qido(people.server, "/studies", {keyword: value}) == web.qido(people.server, "/studies", {tag: value})
    lower = web.get(people.server, "/studies", web.JSON, params={"0020000d": str(ds.StudyInstanceUID)})
    assert lower.status_code == 200 and len(lower.json()) == 1


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("smi*", True), ("SM?TH*", True), ("*^ANNA*", True), ("smith^anna^b", True), ("Smith", False), ("*nn*", True), ("Smith^Ann", False),
        ("*", True), ("", True), ("Sm_th*", False), ("%", False), ("Smith^Anna^B^^", True), ("Smíth^Änna^B", True),
    ],
)  # fmt: skip
def test_a103_names(server, pattern, found):
    ds = made.instance(PatientName="Smith^Anna^B")
    web.stow(server, [made.file(ds)])
    rows = web.qido(server, "/studies", {"StudyInstanceUID": ds.StudyInstanceUID, "PatientName": pattern})
    assert bool(rows) == found


@pytest.mark.parametrize(("key", "found"), [("L_KE%", True), ("LIKE%", False), ("L?KE%", True), ("L_KE*", True), ("L%", False), ("l_ke%", False)])
def test_a104_underscore_and_percent_are_no_wildcards(server, key, found):
    ds = made.instance(PatientID="L_KE%")
    web.stow(server, [made.file(ds)])
    rows = web.qido(server, "/studies", {"StudyInstanceUID": ds.StudyInstanceUID, "PatientID": key})
    assert bool(rows) == found


@pytest.mark.parametrize("bad", ["20261301", "2026", "20260230", "x", "20260101-20251231", "20260101-x", "-", "2026*"])
def test_a105_malformed_dates_are_400(people, bad):
    response = web.get(people.server, "/studies", web.JSON, params={"StudyDate": bad})
    assert response.status_code == 400 and response.text


@pytest.mark.parametrize(
    ("date", "found"),
    [("20260704", True), ("20260701-20260731", True), ("-20260704", True), ("20260704-", True), ("20260705-", False), ("-20260703", False), ("20260704-20260704", True)],
)  # fmt: skip
def test_a105_study_date_ranges(server, date, found):
    ds = made.instance(StudyDate="20260704")
    web.stow(server, [made.file(ds)])
    assert bool(web.qido(server, "/studies", {"StudyInstanceUID": ds.StudyInstanceUID, "StudyDate": date})) == found


@pytest.mark.parametrize(
    ("time", "found"),
    [("2230", True), ("223000", True), ("22", True), ("223001", False), ("2229-2231", True), ("2230-2230", True), ("-2229", False), ("223000.000000", True)],
)  # fmt: skip
def test_a106_times_match_by_meaning(server, time, found):
    ds = made.instance(StudyTime="223000")
    web.stow(server, [made.file(ds)])
    assert bool(web.qido(server, "/studies", {"StudyInstanceUID": ds.StudyInstanceUID, "StudyTime": time})) == found


def test_a107_date_and_time_together_are_one_interval(server):
    study = {}
    for name, date, time in [("before", "20060705", "0900"), ("early", "20060705", "2300"), ("mid", "20060706", "0300"), ("late", "20060707", "1700"), ("after", "20060707", "1900")]:  # fmt: skip
        ds = made.instance(StudyDate=date, StudyTime=time, PatientID="INTERVAL")
        study[str(ds.StudyInstanceUID)] = name
        web.stow(server, [made.file(ds)])
    rows = web.qido(server, "/studies", {"PatientID": "INTERVAL", "StudyDate": "20060705-20060707", "StudyTime": "1000-1800"})
    assert {study[web.value(r, "0020000D")] for r in rows} == {"early", "mid", "late"}


def test_a108_modalities_in_study(server):
    study = made.uid()
    web.stow(server, [made.file(made.instance(study=study, Modality=m)) for m in ("CT", "PT", "CT")])
    for wanted in ("CT", "PT"):
        rows = web.qido(server, "/studies", {"StudyInstanceUID": study, "ModalitiesInStudy": wanted})
        assert sorted(rows[0]["00080061"]["Value"]) == ["CT", "PT"]
    assert web.qido(server, "/studies", {"StudyInstanceUID": study, "ModalitiesInStudy": "MR"}) == []


def test_modalities_in_study_is_never_present_without_a_value(server):
    """OHIF's study list dies of an empty one."""
    ds = made.instance(Modality=None)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    row = web.qido(server, "/studies", {"StudyInstanceUID": ds.StudyInstanceUID})[0]
    assert "00080061" not in row or row["00080061"].get("Value")


def test_a109_lists_of_uids(people):
    uids = sorted({str(ds.StudyInstanceUID) for ds in people.instances})[:3]
    for text in (",".join(uids), "\\".join(uids)):
        assert sorted(web.value(r, "0020000D") for r in web.qido(people.server, "/studies", {"StudyInstanceUID": text})) == uids


def test_a110_a111_sequence_items(server):
    sequence = [item(ScheduledProcedureStepID="A", RequestedProcedureID="1"), item(ScheduledProcedureStepID="B", RequestedProcedureID="2")]
    ds = made.instance(RequestAttributesSequence=sequence)
    web.stow(server, [made.file(ds)])
    for step, procedure, found in [("B", None, True), ("B", "2", True), ("B", "1", False), ("A", "1", True), ("C", None, False)]:
        params = {"StudyInstanceUID": ds.StudyInstanceUID, "RequestAttributesSequence.ScheduledProcedureStepID": step}
        if procedure:
            params["00400275.00401001"] = procedure
        rows = web.qido(server, "/series", params)
        assert bool(rows) == found, (step, procedure)
        if rows:
            assert len(rows[0]["00400275"]["Value"]) == 2, "the whole sequence is returned"


def test_a112_a113_a114_includefield(server):
    ds = full_instance()
    web.stow(server, [made.file(ds)])
    by = [("StudyInstanceUID", str(ds.StudyInstanceUID))]
    comma = web.qido(server, "/studies", by + [("includefield", "StudyDescription,PatientAge")])
    repeated = web.qido(server, "/studies", by + [("includefield", "00081030"), ("includefield", "PatientAge")])
    assert comma == repeated and web.value(comma[0], "00081030") == "not asked for"
    assert web.get(server, "/studies", web.JSON, params=by + [("includefield", "NoSuchKeyword")]).status_code == 200
    encoded = web.get(server, f"/studies?StudyInstanceUID={ds.StudyInstanceUID}&includefield=00081030%2C00101010", web.JSON)
    assert web.value(encoded.json()[0], "00081030") == "not asked for"
    everything = web.qido(server, "/studies", by + [("includefield", "all")])[0]
    assert web.value(everything, "00081030") == "not asked for"
    for row in (everything, web.qido(server, "/studies", by + [("includefield", "SeriesDescription,00180015")])[0]):
        assert not {"0008103E", "00180015", "00080018"} & set(row), "no series attributes at study level"
    series = web.qido(server, "/series", by + [("includefield", "BodyPartExamined"), ("includefield", "StudyDescription")])[0]
    assert web.value(series, "00180015") == "HEAD" and web.value(series, "00081030") == "not asked for"
    assert web.get(server, "/studies", web.JSON, params=by + [("includefield", "all"), ("includefield", "PatientAge")]).status_code == 200


def test_match_attributes_are_returned(server):
    ds = full_instance()
    web.stow(server, [made.file(ds)])
    row = web.qido(server, "/studies", {"StudyInstanceUID": ds.StudyInstanceUID, "StudyDescription": "not*"})[0]
    assert web.value(row, "00081030") == "not asked for"


def test_a115_private_attributes_belong_to_instances(people):
    response = web.get(people.server, "/studies", web.JSON, params={"00230010": "Acme", "00231001": "x"})
    # Ignored, so nothing is narrowed, and the answer says so (CONFORMANCE.md, "Matching").
    assert response.status_code == 200 and len(response.json()) == 150
    assert response.headers["Warning"].startswith("299 ")


def test_a116_a117_a118_limit_and_offset(server):
    patient = made.uid()[-16:]
    web.stow(server, [made.file(made.instance(PatientID=patient)) for _ in range(5)])
    first = web.get(server, "/studies", web.JSON, params={"PatientID": patient, "limit": 2})
    assert len(first.json()) == 2
    assert first.headers["Warning"].startswith("299 ") and "There are 3 additional results that can be requested" in first.headers["Warning"]
    pages = [web.value(r, "0020000D") for offset in (0, 2, 4) for r in web.qido(server, "/studies", {"PatientID": patient, "limit": 2, "offset": offset})]
    assert len(pages) == len(set(pages)) == 5
    assert pages == [web.value(r, "0020000D") for r in web.qido(server, "/studies", {"PatientID": patient})]
    assert "Warning" not in web.get(server, "/studies", web.JSON, params={"PatientID": patient}).headers
    assert web.qido(server, "/studies", {"PatientID": patient, "offset": 5}) == []
    assert web.qido(server, "/studies", {"PatientID": patient, "limit": 0}) == []
    for bad in ({"limit": "-1"}, {"limit": "x"}, {"offset": "-1"}, {"offset": "x"}, {"limit": "1.5"}):
        assert web.get(server, "/studies", web.JSON, params=bad).status_code == 400, bad
    assert web.get(server, "/studies", web.JSON, params={"PatientID": patient, "limit": str(10**12)}).status_code == 200


def test_a118_a_limit_above_the_maximum_is_clamped(start):
    server = start(config={"http": {"results_max": 3}})
    web.stow(server, [made.file(made.instance()) for _ in range(5)])
    for params in ({}, {"limit": 4}, {"limit": 100}):
        response = web.get(server, "/studies", web.JSON, params=params)
        assert len(response.json()) == 3
        assert "There are 2 additional results that can be requested" in response.headers["Warning"]


def test_studies_come_newest_first(people):
    dates = [web.value(row, "00080020") for row in web.qido_all(people.server, "/studies")]
    assert dates == sorted(dates, reverse=True)


def test_a119_fuzzymatching_leaves_wildcards_wildcards(people):
    for pattern in ("Smith*", "*mit*", "*"):
        plain = web.get(people.server, "/studies", web.JSON, params={"PatientName": pattern})
        fuzzy = web.get(people.server, "/studies", web.JSON, params={"PatientName": pattern, "fuzzymatching": "true"})
        assert fuzzy.status_code == 200 and "Warning" not in fuzzy.headers
        assert fuzzy.json() == plain.json()
    assert web.get(people.server, "/studies", web.JSON, params={"fuzzymatching": "perhaps"}).status_code == 400


def test_a120_empty_values(server):
    patient = made.uid()[-16:]
    empty, full = made.instance(PatientID=patient, AccessionNumber=""), made.instance(PatientID=patient)
    absent = made.instance(PatientID=patient, AccessionNumber=None)
    web.stow(server, map(made.file, (empty, full, absent)))
    response = web.get(server, "/studies", web.JSON, params={"PatientID": patient, "AccessionNumber": '""', "emptyvaluematching": "true"})
    assert {web.value(r, "0020000D") for r in response.json()} == {empty.StudyInstanceUID, absent.StudyInstanceUID}


def test_a121_a_repeated_attribute_is_400(people):
    for query in ("PatientID=1&PatientID=2", "PatientID=1&00100020=2", "limit=1&limit=2"):
        assert web.get(people.server, f"/studies?{query}", web.JSON).status_code == 400, query


def test_a13_unknown_parameters_and_empty_keys_are_ignored(people):
    for query in ("x", "nosuch=1", "&x=", "=", "&&", "patientid=1"):
        response = web.get(people.server, f"/studies?limit=1&{query}", web.JSON)
        assert response.status_code == 200, query


def test_a19_percent_encoding_is_decoded_once(server):
    ds = made.instance(PatientID="a%2Cb=c&d e+f", PatientName="Ümläut^Zoë")
    web.stow(server, [made.file(ds)])
    base = f"/studies?StudyInstanceUID={ds.StudyInstanceUID}&"
    assert len(web.get(server, base + "PatientID=a%252Cb%3Dc%26d%20e%2Bf", web.JSON).json()) == 1
    assert web.get(server, base + "PatientName=%C3%9Cml%C3%A4ut%5EZo%C3%AB", web.JSON).status_code == 200
    assert web.get(server, base + "PatientName=%C3%9Cml%2A", web.JSON).status_code == 200
    assert web.get(server, base + "PatientName=%FF%FE", web.JSON).status_code == 400
    assert web.get(server, base + "PatientName=%zz", web.JSON).status_code == 204


def test_a122_retrieve_url(server):
    ds = made.instance()
    web.stow(server, [made.file(ds)])
    for path in ("/studies", "/series", "/instances"):
        row = web.qido(server, path, {"StudyInstanceUID": ds.StudyInstanceUID})[0]
        assert row["00081190"]["vr"] == "UR"
        url = row["00081190"]["Value"][0]
        assert url.startswith(server.web)
        assert web.get(server, url, web.AS_STORED).status_code == 200
    headers = {"Forwarded": "host=evil.example;proto=https", "X-Forwarded-Host": "evil.example"}
    assert "evil" not in web.get(server, "/studies", web.JSON, headers=headers).text, "no trusted proxy is configured"


def test_a122_retrieve_url_behind_a_proxy(start):
    ds = made.instance()
    server = start(config={"http": {"trusted_proxies": ["127.0.0.1"]}})
    web.stow(server, [made.file(ds)])
    answer = web.get(server, "/studies", web.JSON, headers={"X-Forwarded-Host": "pacs.example.org", "X-Forwarded-Proto": "https"})
    assert web.value(answer.json()[0], "00081190") == f"https://pacs.example.org/dicom-web/studies/{ds.StudyInstanceUID}"
    server = start(config={"http": {"public_url": "https://other.example.org/overread"}})
    web.stow(server, [made.file(ds)])
    answer = web.get(server, "/studies", web.JSON)
    assert web.value(answer.json()[0], "00081190") == f"https://other.example.org/overread/dicom-web/studies/{ds.StudyInstanceUID}"


def test_a123_counts_follow(server):
    study = made.uid()
    for number in range(1, 4):
        web.stow(server, [made.file(made.instance(study=study))])
        row = web.qido(server, "/studies", {"StudyInstanceUID": study})[0]
        assert (web.value(row, "00201206"), web.value(row, "00201208")) == (number, number)
    assert {web.value(r, "00201209") for r in web.qido(server, f"/studies/{study}/series")} == {1}


@pytest.mark.parametrize(
    ("charset", "name", "query"),
    [
        ("ISO_IR 100", "Buc^Jérôme", "buc^jerome"), ("ISO_IR 144", "Люкceмбypг", "люкc*"), ("ISO_IR 126", "Διονυσιος", "ΔΙΟΝ*"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "山田*"), ("GB18030", "Wang^XiaoDong=王^小东", "王^小东"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "홍*"), ("ISO_IR 192", "Wang^XiaoDong=王^小東", "*小東"),
    ],
)  # fmt: skip
def test_a125_names_of_every_character_set_are_found(server, charset, name, query):
    ds = made.instance(SpecificCharacterSet=charset, PatientName=name)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    rows = web.qido(server, "/studies", {"StudyInstanceUID": ds.StudyInstanceUID, "PatientName": query})
    assert len(rows) == 1
    groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("=")))
    assert rows[0]["00100010"]["Value"] == [groups]


def test_a126_availability(people):
    assert {web.value(r, "00080056") for r in web.qido_all(people.server, "/studies")} <= {"ONLINE", None}
    assert all("00080056" not in r or r["00080056"].get("Value") for r in web.qido_all(people.server, "/instances"))


@pytest.mark.parametrize("text", ["' OR 1=1 --", '"; DROP TABLE study; --', "a' AND 'a'='a", "NEAR(", '"', "*\"*", "AND", "x:y*"])
def test_a128_sql_and_fts_syntax_is_just_text(people, text):
    for keyword in ("PatientID", "PatientName", "StudyDescription", "AccessionNumber"):
        response = web.get(people.server, "/studies", web.JSON, params={keyword: text})
        assert response.status_code == 204, (keyword, response.status_code)
    assert len(web.qido_all(people.server, "/studies")) == 150


def test_a129_the_study_keeps_what_came_first(server):
    first, second = made.instance(StudyDescription="first"), None
    second = made.instance(study=first.StudyInstanceUID, StudyDescription="second")
    web.stow(server, [made.file(first)])
    web.stow(server, [made.file(second)])
    rows = web.qido(server, "/studies", {"StudyInstanceUID": first.StudyInstanceUID, "includefield": "StudyDescription"})
    assert len(rows) == 1 and web.value(rows[0], "00081030") == "first"


def test_an_attribute_of_a_deeper_level_cannot_narrow_studies(people):
    response = web.get(people.server, "/studies", web.JSON, params={"InstanceNumber": "1"})
    assert response.status_code == 200 and len(response.json()) == 150
    assert response.headers["Warning"].startswith("299 ")


@pytest.mark.parametrize("uid", ["01.2", "1." + "2" * 64, "abc", "1..2", "1.2."])
def test_a20_malformed_uids_are_400(people, uid):
    assert web.get(people.server, "/studies", web.JSON, params={"StudyInstanceUID": uid}).status_code == 400
    assert web.get(people.server, f"/studies/{uid}/series", web.JSON).status_code == 400
