"""For random grants and random requests no response holds a UID, a name or a byte from outside the scope, and a study
outside answers as one that was never here (issue 7, "How it will be judged"). Seeds are fixed: what fails, fails again."""

import io
import random
import re
import zipfile

import pytest
import requests

from pydicom.dataset import Dataset

from harness import made, people, ups, web
from harness.granting import PDF, SR, Office, image, pixels, report

STUDIES = 6
SCOPES = 6
REQUESTS = 110
ACCEPTED = [
    "*/*", web.JSON, web.DICOM, web.AS_STORED, web.OCTETS, "application/zip", "image/jpeg", "image/png", "application/dicom+xml",
    "text/html", "application/pdf", 'multipart/related; type="image/jpeg"', 'multipart/related; type="application/dicom+xml"',
]  # fmt: skip
KEYS = {
    "PatientName": "NAME", "PatientID": "PID", "StudyDescription": "DESC", "ModalitiesInStudy": None, "SeriesDescription": "SER",
    "AccessionNumber": "ACC",
}  # fmt: skip


class World:
    """Studies of a few patients, in which every word and every pixel tells where it comes from."""

    def __init__(self, office):
        dice = random.Random(1)
        self.objects = []
        for number in range(STUDIES):
            study, patient = made.uid(), number // 2
            kinds = ["image", "image", SR, PDF] if number else [SR]
            dice.shuffle(kinds)
            series = [made.uid() for _ in range(3)]
            for place, kind in enumerate(kinds):
                words = {
                    "PatientName": f"NAME{number}X{place}^P", "PatientID": f"PID{patient}", "StudyDescription": f"DESC{number}X{place}",
                    "AccessionNumber": f"ACC{number}X{place}", "StudyID": f"SID{number}X{place}", "ReferringPhysicianName": f"REF{number}X{place}",
                    "SeriesDescription": f"SER{number}X{place}", "InstitutionName": f"INST{number}X{place}", "series": dice.choice(series),
                }  # fmt: skip
                ds = image(study, **words) if kind == "image" else report(study, kind, **words)
                self.objects.append((ds, kind != "image", list(words.values())[:-1]))
        for ds, _, _ in self.objects:
            # One by one: the order is what "first" means.
            assert office.store(ds).status_code == 200
        self.studies = sorted({str(ds.StudyInstanceUID) for ds, _, _ in self.objects})
        self.workitems = [made for number, study in enumerate(self.studies) for made in self.tasks(office, number, study)]

    def tasks(self, office, number, study):
        """Workitems of a study, as (UID, study, kind, words): for anybody, naming a report, and for somebody else."""
        for kind in ("anybody", "report", "other"):
            uid, stem = made.uid(), f"{number}X{kind}"
            words = {"WorklistLabel": f"LABEL{stem}", "ProcedureStepLabel": f"STEP{stem}", "PatientName": f"TASK{stem}^P"}
            ds = ups.workitem(StudyInstanceUID=study, **words)
            if kind == "report":
                ds.InputInformationSequence = [naming(next(ds for ds, is_report, _ in self.objects if is_report and ds.StudyInstanceUID == study))]
            if kind == "other":
                words["performer"] = f"reader.{number}"
                ds.ScheduledHumanPerformersSequence = [ups.performer(words["performer"])]
            answer = ups.send("POST", office.server, "/workitems", ds, {"workitem": uid}, **office.headers)
            assert answer.status_code == 201, answer.text
            yield uid, study, kind, list(words.values())

    def seen(self, views):
        """The objects that a scope shows."""
        return [ds for ds, is_report, _ in self.objects if shows(views, ds, is_report)]

    def hidden(self, views):
        """Texts and bytes that no answer may hold."""
        words, shown = set(), set()
        for ds, is_report, said in self.objects:
            own = {str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID), str(ds.StudyInstanceUID), *said}
            (shown if shows(views, ds, is_report) else words).update(own)
        for uid, study, kind, said in self.workitems:
            # It names its study, of which a blind reader may see nothing else.
            (shown if has(views, study, kind) else words).update({uid, study, *said})
        texts = [word.encode() for word in words - shown]
        dark = [ds for ds, is_report, _ in self.objects if not shows(views, ds, is_report)]
        return texts + [pixels(str(ds.SOPInstanceUID)) for ds in dark]


def shows(views, ds, is_report):
    view = views.get(str(ds.StudyInstanceUID))
    return view == "whole" or (view == "without-reports" and not is_report)


def has(views, study, kind):
    """Whether a reader who was given this has a workitem."""
    return kind != "other" and (views.get(study) == "whole" or (kind == "anybody" and study in views))


def naming(ds):
    """An item of the input that names one instance."""
    reference, item = Dataset(), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    item.StudyInstanceUID, item.SeriesInstanceUID, item.ReferencedSOPSequence = ds.StudyInstanceUID, ds.SeriesInstanceUID, [reference]
    return item


def some_path(dice, world):
    """Below `/dicom-web`, or (rarely) outside of it: (whether outside, path)."""
    ds, _, _ = dice.choice(world.objects)
    if dice.random() < 0.25:
        study = dice.choice([str(ds.StudyInstanceUID)] * 4 + [made.uid()])
        series, sop = ds.SeriesInstanceUID, ds.SOPInstanceUID
        uri = f"/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={sop}"
        kinds = ("application/dicom", "image/jpeg", "image/png", "text/html", "application/pdf")
        return True, dice.choice(
            [uri, f"{uri}&contentType={dice.choice(kinds)}", f"/studies/{study}", f"/studies/{study}?series={series}", f"/studies/{study}/evidence"]
            + [f"/api/v1/studies/{study}/evidence", "/", f"/picture/studies/{study}/series/{series}/instances/{sop}/frames/1"]
        )
    if dice.random() < 0.2:
        uid, *_ = dice.choice(world.workitems)
        return False, dice.choice(["/workitems", f"/workitems/{uid}"])
    return False, some_resource(dice, world)


def some_resource(dice, world):
    ds, _, _ = dice.choice(world.objects)
    study = dice.choice([str(ds.StudyInstanceUID)] * 4 + [made.uid(), dice.choice(world.studies)])
    series = f"/studies/{study}/series/{ds.SeriesInstanceUID}"
    place = f"{series}/instances/{ds.SOPInstanceUID}"
    return dice.choice(
        ["/studies", "/series", "/instances"]
        + [f"/studies/{study}{below}" for below in ("", "/series", "/instances", "/metadata", "/rendered", "/thumbnail", "/bulkdata", "/pixeldata")]
        + [f"{series}{below}" for below in ("", "/instances", "/metadata", "/rendered", "/thumbnail", "/bulkdata", "/pixeldata")]
        + [f"{place}{below}" for below in ("", "/metadata", "/rendered", "/thumbnail", "/frames/1", "/frames/1/rendered", "/frames/1/thumbnail")]
        + [f"{place}/bulkdata/{path}" for path in ("7FE00010", "00420011")]
    )


def some_parameters(dice, world):
    parameters = {}
    if dice.random() < 0.5:
        key, stem = dice.choice(list(KEYS.items()))
        number = dice.randrange(STUDIES)
        value = dice.choice(["CT", "SR", "DOC", "*R"]) if stem is None else dice.choice([f"{stem}{number}X*", f"{stem}*", f"*{number}X1*"])
        parameters[key] = value
    if dice.random() < 0.3:
        ds, _, _ = dice.choice(world.objects)
        key = dice.choice(["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
        parameters[key] = str(getattr(ds, key))
    if dice.random() < 0.5:
        parameters["includefield"] = "all"
    if dice.random() < 0.3:
        parameters |= {"limit": dice.randrange(1, 4), "offset": dice.randrange(3)}
    return parameters


def everything(answer):
    """Headers and body, of archives what is packed in them too."""
    text = repr(sorted(answer.headers.items())).encode() + answer.content
    if answer.content[:2] == b"PK":
        packed = zipfile.ZipFile(io.BytesIO(answer.content))
        text += b"".join(packed.read(name) for name in packed.namelist())
    return text


def ask(server, session, path, parameters, accept, is_outside=False):
    base = server.url if is_outside else server.web
    return session.get(base + path, params=parameters, headers={"Accept": accept}, timeout=60)


def some_task_parameters(dice):
    parameters = {}
    if dice.random() < 0.5:
        parameters["WorklistLabel"] = dice.choice(["LABEL*", "*report", "*other", "LABEL1*"])
    if dice.random() < 0.5:
        parameters["includefield"] = "all"
    if dice.random() < 0.3:
        parameters |= {"limit": dice.randrange(1, 4), "offset": dice.randrange(3)}
    return parameters


@pytest.fixture(scope="module")
def office(start_module):
    office = Office(start_module())
    office.world = World(office)
    return office


def test_whoever_may_see_all_of_it_is_told_what_is_looked_for_here(office):
    """The checks below would see a leak: each word and each pixel comes back to an administrator."""
    world, session = office.world, requests.Session()
    session.headers.update(office.headers)
    paths = [(path, {"includefield": "all"}, web.JSON) for path in ("/instances", "/workitems")]
    paths += [(f"/studies/{study}", {}, web.AS_STORED) for study in world.studies]
    told = b"".join(everything(ask(office.server, session, *asked)) for asked in paths)
    packed = everything(ask(office.server, session, f"/studies/{world.studies[0]}", {}, "application/zip"))
    hidden = world.hidden({})
    is_image = {pixels(str(ds.SOPInstanceUID)): not is_report for ds, is_report, _ in world.objects}
    assert [word for word in hidden if word not in told and is_image.get(word, True)] == []
    assert world.studies[0].encode() in packed


@pytest.mark.parametrize("seed", range(SCOPES))
def test_no_answer_holds_anything_from_outside(office, seed):
    dice, world = random.Random(100 + seed), office.world
    views = {study: dice.choice(["whole", "without-reports"]) for study in world.studies if dice.random() < 0.6}
    views = views or {world.studies[0]: "without-reports"}
    named = {
        "studies": [study for study, view in views.items() if view == "whole"],
        "blind": [study for study, view in views.items() if view != "whole"],
    }
    right = dice.choice(["view", "download"])
    _, link_session = office.session(*named["studies"], blind=named["blind"], right=right)
    # The same by several grants of an account, and a token of it.
    people.add_user(office.server, f"dr.{seed}", "reader")
    for study, view in views.items():
        blind = [study] if view != "whole" else []
        office.give(*([] if blind else [study]), blind=blind, to="account", account=f"dr.{seed}", right=right)
    token_session = requests.Session()
    token_session.headers.update(people.bearer(people.token(office.server, f"dr.{seed}")[1]))

    hidden = world.hidden(views)
    for turn in range(REQUESTS):
        session = (link_session, token_session)[turn % 2]
        (is_outside, path), accept = some_path(dice, world), dice.choice(ACCEPTED)
        parameters = some_parameters(dice, world) if re.search(r"/(studies|series|instances)$", path) else {}
        if path.startswith("/workitems"):
            parameters = some_task_parameters(dice) if path == "/workitems" else {}
            accept = dice.choice([web.JSON, "*/*", 'multipart/related; type="application/dicom+xml"'])
        answer = ask(office.server, session, path, parameters, accept, is_outside)
        assert answer.status_code < 500, (path, accept, answer.text)
        asked = (path + repr(parameters)).encode()
        told = everything(answer)
        leaked = [word for word in hidden if word in told and word not in asked]
        assert not leaked, (seed, turn, path, parameters, accept, leaked)
    # All that is inside is found, and counted.
    for session in (link_session, token_session):
        seen = world.seen(views)
        for path, tag, keyword in (
            ("/studies", "0020000D", "StudyInstanceUID"), ("/series", "0020000E", "SeriesInstanceUID"), ("/instances", "00080018", "SOPInstanceUID"),
        ):  # fmt: skip
            answer = ask(office.server, session, path, {}, web.JSON)
            rows = answer.json() if answer.status_code == 200 else []
            assert sorted(web.value(row, tag) for row in rows) == sorted({str(ds[keyword].value) for ds in seen})
        answer = ask(office.server, session, "/workitems", {}, web.JSON)
        # A link to look at studies has no task.
        assert answer.status_code == (403 if session is link_session else 200)
        rows = answer.json() if answer.status_code == 200 else []
        tasks = [uid for uid, study, kind, _ in world.workitems if has(views, study, kind) and session is token_session]
        assert sorted(web.value(row, "00080018") for row in rows) == sorted(tasks)
        rows = ask(office.server, session, "/studies", {"includefield": "all"}, web.JSON)
        for row in rows.json() if rows.status_code == 200 else []:
            own = [ds for ds in seen if ds.StudyInstanceUID == row["0020000D"]["Value"][0]]
            assert row["00201208"]["Value"] == [len(own)]
            assert row["00201206"]["Value"] == [len({ds.SeriesInstanceUID for ds in own})]
            assert row["00080062"]["Value"] == sorted({str(ds.SOPClassUID) for ds in own})
            # What the first object that is there says.
            assert row["00081030"]["Value"] == [own[0].StudyDescription]


@pytest.mark.parametrize("seed", range(2))
def test_a_study_outside_answers_as_one_that_never_was(office, seed):
    dice, world = random.Random(200 + seed), office.world
    inside, outside = dice.sample(world.studies, 2)
    _, session = office.session(*([inside] if seed else []), blind=[] if seed else [inside])
    for ds, _, _ in world.objects:
        if ds.StudyInstanceUID != outside:
            continue
        place = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
        series = place.split("/instances/")[0]
        study = series.split("/series/")[0]
        below = ("", "/metadata", "/rendered", "/thumbnail", "/bulkdata", "/pixeldata")
        paths = [start + end for start in (study, series, place) for end in below]
        paths += [f"{study}/series", f"{study}/instances", f"{series}/instances", f"{place}/frames/1", f"{place}/frames/1/rendered"]
        paths += [f"{place}/bulkdata/7FE00010"]
        never = {str(uid): made.uid() for uid in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)}
        for path in paths:
            unknown = path
            for known, other in never.items():
                unknown = unknown.replace(known, other)
            for accept in ("*/*", web.JSON, web.DICOM, "image/jpeg"):
                there, nowhere = (ask(office.server, session, p, {}, accept) for p in (path, unknown))
                assert (there.status_code, there.text) == (nowhere.status_code, nowhere.text), (path, accept)
                told, known = ({k: v for k, v in a.headers.items() if k.lower() != "date"} for a in (there, nowhere))
                assert told == known, (path, accept)
                assert there.status_code in (204, 404, 406), (path, accept, there.status_code)
