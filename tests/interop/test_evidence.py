"""Whether a study is complete (issue 7, part 2): series made with pydicom, sent through public doors, and the same asked of
numpy and statistics, which know nothing of our code."""

import io
import statistics

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit

from harness import made, wait, web
from harness.wire import EXPLICIT, Association
from test_access import add_user, bearer, closed, shell, store, token, trail

MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
PET = "1.2.840.10008.5.1.4.1.1.128"
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
AXIAL = (1, 0, 0, 0, 1, 0)


def turned(degrees):
    """Rows along x, columns turned about it."""
    angle = np.radians(degrees)
    return (1, 0, 0, 0, np.cos(angle), np.sin(angle))


def normal_of(orientation):
    return np.cross(orientation[:3], orientation[3:])


def decimal(values):
    """Values that fit into DS: 16 characters."""
    return [f"{float(value):.8g}" for value in values]


def series_of(positions, orientation=AXIAL, thickness=2, numbers=None, study=None, **attributes):
    """Slices of one series at these positions."""
    study, series = study or made.uid(), made.uid()
    numbers = numbers or range(1, len(positions) + 1)
    return [
        made.instance(
            study=study, series=series, InstanceNumber=number, ImagePositionPatient=decimal(position),
            ImageOrientationPatient=decimal(orientation), SliceThickness=thickness, **attributes,
        )
        for number, position in zip(numbers, positions)
    ]  # fmt: skip


def expected(objects):
    """A stack as numpy and statistics see it: positions, usual distance, missing, irregular, lean."""
    orientation = np.array(objects[0].ImageOrientationPatient, float)
    places = np.array([ds.ImagePositionPatient for ds in objects], float)
    along = places @ normal_of(orientation)
    order = np.argsort(along)
    along, places = along[order], places[order]
    distances = np.diff(along)
    distances = distances[distances > 0.01]
    usual = statistics.median_low(distances)
    steps = np.maximum(np.round(distances / usual), 1)
    tolerance = max(0.05 * usual, min(0.1, 0.25 * usual))
    line = places[-1] - places[0]
    aside = np.linalg.norm(np.cross(line, normal_of(orientation)))
    return {
        "positions": along[np.concatenate([[True], np.diff(along) > 0.01])],
        "spacing": usual,
        "missing": int((steps - 1).sum()),
        "irregular": int((np.abs(distances - steps * usual) > tolerance * 1.000001).sum()),
        "lean": float(np.degrees(np.arctan2(aside, line @ normal_of(orientation)))),
    }


def evidence_of(server, objects, headers=None):
    study = objects[0].StudyInstanceUID
    response = requests.get(f"{server.url}/api/v1/studies/{study}/evidence", headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def looked_at(server, objects):
    """Stores objects of one series and gives (the study's evidence, the series')."""
    assert web.stow(server, [made.file(ds) for ds in objects]).status_code == 200
    study = evidence_of(server, objects)
    [series] = study["series"]
    return study, series


def found(evidence):
    return {finding["kind"]: finding["count"] for finding in evidence["findings"]}


def same_stack(ours, objects):
    theirs = expected(objects)
    assert np.allclose([at for at, _ in ours["positions"]], theirs["positions"], atol=1e-5)
    assert ours["spacing_mm"] == pytest.approx(theirs["spacing"], abs=1e-5)
    assert (ours["missing"], ours["irregular"]) == (theirs["missing"], theirs["irregular"])
    assert ours["lean_degrees"] == pytest.approx(theirs["lean"], abs=1e-3)
    assert np.allclose(ours["normal"], normal_of(np.array(objects[0].ImageOrientationPatient, float)), atol=1e-6)
    return theirs


def test_a_whole_series_has_nothing_to_look_at(server):
    objects = series_of([(-100, -100, 2 * n) for n in range(30)])
    study, series = looked_at(server, objects)
    assert (study["findings"], series["findings"]) == ([], [])
    assert (study["instances"], series["images"], series["frames"], series["looked_at"]) == (30, 30, 30, 30)
    [stack] = series["stacks"]
    same_stack(stack, objects)
    assert stack["between_slices_mm"] == pytest.approx(0) and stack["orientation"] == list(AXIAL)
    numbers = series["instance_numbers"]
    assert (numbers["first"], numbers["last"], numbers["missing"], numbers["missing_ranges"]) == (1, 30, 0, [])
    assert study["last_received"] == series["received"][0]["last"] and study["last_received"].endswith("Z")
    assert series["received"][0]["by"] == "stow" and series["received"][0]["instances"] == 30


def test_missing_slices_and_numbers_are_told_with_their_place(server):
    objects = series_of([(0, 0, 3 * n) for n in range(40)])
    for place in (31, 20, 19, 7):
        del objects[place]
    _, series = looked_at(server, objects)
    [stack] = series["stacks"]
    theirs = same_stack(stack, objects)
    assert theirs["missing"] == 4
    assert stack["gaps"] == [[18.0, 24.0, 1], [54.0, 63.0, 2], [90.0, 96.0, 1]]
    assert series["instance_numbers"]["missing_ranges"] == [[8, 8], [20, 21], [32, 32]]
    # 2 mm slices at 3 mm.
    assert found(series) == {"missing-numbers": 4, "missing-slices": 4, "space-between": 1}


def test_duplicate_numbers_and_positions(server):
    objects = series_of([(0, 0, 2 * n) for n in (0, 1, 2, 3, 3, 4, 5)], numbers=[1, 2, 3, 4, 4, 4, 6])
    _, series = looked_at(server, objects)
    assert series["instance_numbers"]["repeated"] == [[4, 3]]
    assert series["stacks"][0]["uneven_positions"] == [[6.0, 2]]
    assert found(series) == {"missing-numbers": 1, "duplicate-numbers": 2, "duplicate-positions": 1}


def test_phases_at_each_position_are_even_until_one_is_missing(server):
    objects = series_of([(0, 0, 2 * n) for _ in range(3) for n in range(8)])
    _, series = looked_at(server, objects)
    assert found(series) == {"repeated-positions": 3}
    fewer = series_of([(0, 0, 2 * n) for _ in range(3) for n in range(8)])[:-1]
    _, series = looked_at(server, fewer)
    assert found(series) == {"repeated-positions": 3, "uneven-positions": 1}
    assert series["stacks"][0]["uneven_positions"] == [[14.0, 2]]


def test_irregular_spacing_is_what_rounding_does_not_explain(server):
    heights = np.cumsum([0, 5, 5, 5, 5.6, 4.4, 5, 5, 7.5, 5])
    objects = series_of([(0, 0, z) for z in heights], thickness=5)
    _, series = looked_at(server, objects)
    theirs = same_stack(series["stacks"][0], objects)
    assert found(series) == {"missing-slices": theirs["missing"], "irregular-spacing": theirs["irregular"]}
    rounded = series_of([(0, 0, round(0.625 * n, 1)) for n in range(50)], thickness=0.625)
    _, series = looked_at(server, rounded)
    same_stack(series["stacks"][0], rounded)
    assert "irregular-spacing" not in found(series)


@pytest.mark.parametrize("seed", range(3))
def test_an_oblique_stack_has_the_true_distance(server, seed):
    chance = np.random.default_rng(seed)
    row, other = chance.normal(size=3), chance.normal(size=3)
    row /= np.linalg.norm(row)
    column = np.cross(row, other)
    column /= np.linalg.norm(column)
    step = chance.uniform(0.5, 6) * np.cross(row, column)
    begin = chance.uniform(-200, 200, size=3)
    keep = [n for n in range(25) if n not in (4, 11, 12)]
    objects = series_of([begin + n * step for n in keep], orientation=[*row, *column], SOPClassUID=MR, Modality="MR")
    chance.shuffle(objects)
    _, series = looked_at(server, objects)
    [stack] = series["stacks"]
    theirs = same_stack(stack, objects)
    assert theirs["missing"] == 3 and stack["spacing_mm"] == pytest.approx(np.linalg.norm(step), abs=1e-5)
    assert "leaning-stack" not in found(series)


def test_a_tilted_gantry_leans(server):
    objects = series_of([(0, 0, 4 * n) for n in range(10)], orientation=turned(20), thickness=4, GantryDetectorTilt=20)
    _, series = looked_at(server, objects)
    theirs = same_stack(series["stacks"][0], objects)
    assert theirs["lean"] == pytest.approx(20, abs=1e-3)
    assert theirs["spacing"] == pytest.approx(4 * np.cos(np.radians(20)), abs=1e-5)
    assert found(series) == {"leaning-stack": 1, "overlapping": 1}


def test_localizers_stand_apart_and_alone_they_are_no_study(server):
    study = made.uid()
    scout = dict(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    objects = [
        *series_of([(0, 0, 0), (0, 0, 30)], study=study, **scout),
        *series_of([(0, 0, 0)], orientation=(0, 1, 0, 0, 0, -1), study=study, numbers=[3], **scout),
    ]
    for ds in objects:
        ds.SeriesInstanceUID = objects[0].SeriesInstanceUID
    whole, series = looked_at(server, objects)
    assert found(whole) == {"localizers-only": 3} and found(series) == {}
    assert [(stack["is_localizer"], stack["slices"]) for stack in series["stacks"]] == [(True, 2), (True, 1)]
    more = series_of([(0, 0, 2 * n) for n in range(5)], study=study)
    more += series_of([(2 * n, 0, 0) for n in range(4)], orientation=(0, 1, 0, 0, 0, -1), study=study, numbers=range(6, 10))
    for ds in more:
        ds.SeriesInstanceUID = more[0].SeriesInstanceUID
    assert web.stow(server, [made.file(ds) for ds in more]).status_code == 200
    whole = evidence_of(server, objects)
    assert found(whole) == {} and whole["instances"] == 12
    [mixed] = [series for series in whole["series"] if series["instances"] == 9]
    assert found(mixed) == {"mixed-orientations": 2}


def group(**attributes):
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return Sequence([item])


def enhanced(positions, orientation):
    """An Enhanced MR image; orientation and thickness are shared, positions a frame's own."""
    ds = made.instance(SOPClassUID=ENHANCED_MR, Modality="MR", frames=len(positions), InstanceNumber=1)
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=decimal(orientation))
    shared.PixelMeasuresSequence = group(SliceThickness="3", PixelSpacing=["1", "1"])
    for position in positions:
        frame = Dataset()
        if position is not None:
            frame.PlanePositionSequence = group(ImagePositionPatient=decimal(position))
        frames.append(frame)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = Sequence([shared]), Sequence(frames)
    return ds


def test_frames_of_an_enhanced_image_are_slices(server):
    orientation = turned(35)
    step = 3 * normal_of(orientation)
    positions = [n * step for n in range(60) if n not in (10, 41, 42)]
    _, series = looked_at(server, [enhanced(positions, orientation)])
    flat = series_of(positions, orientation)
    [stack] = series["stacks"]
    assert same_stack(stack, flat)["missing"] == 3
    assert (series["instances"], series["images"], series["frames"], stack["slices"]) == (1, 1, 57, 57)
    assert (stack["thickness_mm"], found(series)) == (3.0, {"missing-slices": 3})
    # Shared orientation, and no position: half of a place is none.
    _, series = looked_at(server, [enhanced([(0, 0, 0), (0, 0, 3), None], AXIAL)])
    assert found(series) == {"malformed-geometry": 1}


def test_what_was_lost_is_told_with_its_ratio(server):
    stream = io.BytesIO()
    Image.fromarray((np.indices((16, 16)).sum(0) * 8).astype(np.uint8)).save(stream, "JPEG")
    study, series_uid = made.uid(), made.uid()

    def jpeg(number, **attributes):
        ds = made.instance(
            study=study, series=series_uid, InstanceNumber=number, rows=16, columns=16, pixels=encapsulate([stream.getvalue()]),
            BitsAllocated=8, BitsStored=8, HighBit=7, ImagePositionPatient=["0", "0", str(2 * number)],
            ImageOrientationPatient=decimal(AXIAL), SliceThickness="2", **attributes,
        )  # fmt: skip
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        return ds

    objects = [jpeg(1, LossyImageCompression="01", LossyImageCompressionRatio=["5", "2.5"]), jpeg(2)]
    files = [made.file(ds, JPEGBaseline8Bit) for ds in objects]
    # Decoded again, but what was lost stays so.
    decoded = made.instance(
        study=study, series=series_uid, InstanceNumber=3, BitsStored=8, ImagePositionPatient=["0", "0", "6"],
        ImageOrientationPatient=decimal(AXIAL), SliceThickness="2", LossyImageCompression="01",
        LossyImageCompressionRatio="40", BurnedInAnnotation="YES",
    )  # fmt: skip
    files.append(made.file(decoded))
    assert web.stow(server, files).status_code == 200
    [series] = evidence_of(server, objects)["series"]
    assert series["quality"]["lossy_ratio"] == pytest.approx(40)
    assert found(series) == {"lossy-compression": 3, "lossy-undeclared": 1, "eight-bit-only": 3, "burned-in-annotation": 1}


def test_captures_missing_geometry_and_reports(server):
    captures = made.study(3, SOPClassUID=made.SECONDARY_CAPTURE, Modality="OT")
    whole, series = looked_at(server, captures)
    assert found(whole) == found(series) == {"secondary-captures-only": 3}
    bare = made.study(4)
    bare[2].ImagePositionPatient, bare[2].ImageOrientationPatient = ["0", "0", "0"], ["1", "0", "0", "1", "0", "0"]
    _, series = looked_at(server, bare)
    assert found(series) == {"missing-geometry": 3, "malformed-geometry": 1}
    report = made.instance(SOPClassUID=BASIC_TEXT_SR, Modality="SR", Rows=None, Columns=None, PixelData=None, InstanceNumber=1)
    whole, series = looked_at(server, [report])
    assert (found(whole), found(series), series["stacks"]) == ({"no-images": 1}, {}, [])


def test_what_objects_declare_is_held_against_what_came(server):
    objects = series_of([(0, 0, 2 * n) for n in range(6)], NumberOfSeriesRelatedInstances=8, NumberOfStudyRelatedInstances=20)
    whole, series = looked_at(server, objects)
    assert (whole["declared_instances"], found(whole)) == (20, {"fewer-than-declared": 14})
    assert found(series) == {"fewer-than-declared": 2}
    objects = series_of([(0, 0, 2 * n) for n in range(6)], SOPClassUID=PET, Modality="PT", NumberOfSlices=10)
    _, series = looked_at(server, objects)
    assert found(series) == {"fewer-slices-than-declared": 4}


def test_absurd_values_are_survived(server):
    objects = series_of([(0, 0, 0), (0, 0, 9e5), (0, 0, 1e30), (0, 0, 2), (0, 0, 4)], thickness=-3, numbers=[2147483647, -2147483648, 0, 1, 2])
    _, series = looked_at(server, objects)
    assert series["instance_numbers"]["missing"] == 2**32 - 1 - 4
    assert series["frames_with_malformed_geometry"] == 1 and series["stacks"][0]["thickness_mm"] is None
    assert series["stacks"][0]["missing"] == round((9e5 - 4) / 2) - 1


def test_who_sent_what_is_told(server):
    objects = series_of([(0, 0, 2 * n) for n in range(4)])
    for ds, ae_title in zip(objects, ["FIRST", "FIRST", "SECOND", "SECOND"]):
        with Association(server.dicom_address, [(made.CT, [EXPLICIT])], calling=ae_title) as association:
            assert association.store(made.CT, ds.SOPInstanceUID, EXPLICIT, made.encode(ds)) == 0
    [series] = evidence_of(server, objects)["series"]
    told = [(sender["by"], sender["sender"], sender["instances"]) for sender in series["received"]]
    assert told == [("dimse", "SECOND", 2), ("dimse", "FIRST", 2)]


def test_a_long_series_is_answered_from_the_index(server):
    """2,000 slices: none of their bytes is read, so that it takes far less than a second even in a debug build."""
    objects = series_of([(0, 0, 0.5 * n) for n in range(2000)], thickness=0.5)
    for at in range(0, 2000, 500):
        assert web.stow(server, [made.file(ds) for ds in objects[at : at + 500]]).status_code == 200
    [series] = evidence_of(server, objects)["series"]
    assert (series["looked_at"], series["findings"]) == (2000, [])
    same_stack(series["stacks"][0], objects)


def test_a_shell_tells_the_same(server):
    objects = series_of([(0, 0, 3 * n) for n in range(10) if n != 4], thickness=3, SeriesDescription="Thorax \x1b[2J", numbers=[1, 2, 3, 4, 6, 7, 8, 9, 10])
    looked_at(server, objects)
    done = server.cli("evidence", objects[0].StudyInstanceUID)
    assert done.returncode == 0, done.stderr
    for text in ["9 instances", "Instance Numbers 1 to 10, missing 5", "1 missing between 9.00 and 15.00 mm", "WARNING: 1 slices missing", "STOW-RS"]:
        assert text in done.stdout, (text, done.stdout)
    assert "\x1b" not in done.stdout
    assert server.cli("evidence", made.uid()).returncode == 1
    assert server.cli("evidence", "no-uid").returncode != 0


def test_only_what_somebody_may_see_is_told(start):
    server = start()
    seen, other = made.instance(PatientID="SEEN"), made.instance(PatientID="OTHER")
    assert store(server, seen, other).status_code == 200
    add_user(server, "root", "administrator")
    closed(server)
    add_user(server, "rita", "reader")
    add_user(server, "sam", "sender")
    path = "/api/v1/studies/{}/evidence"

    def status(ds, headers=None):
        return requests.get(server.url + path.format(ds.StudyInstanceUID), headers=headers, timeout=30)

    assert status(seen).status_code == 401
    _, narrow = token(server, "root", "--study", seen.StudyInstanceUID)
    assert status(seen, bearer(narrow)).status_code == 200
    outside, unknown = status(other, bearer(narrow)), status(made.instance(), bearer(narrow))
    assert (outside.status_code, outside.text) == (unknown.status_code, unknown.text) == (404, "not found\n")
    assert status(seen, bearer(token(server, "rita")[1])).status_code == 404
    assert status(seen, bearer(token(server, "sam")[1])).status_code == 403
    malformed = requests.get(server.url + path.format("1..2"), headers=bearer(narrow), timeout=30)
    assert malformed.status_code == 400
    told = [row for row in trail(server) if row.get("object") == "evidence"]
    assert {seen.StudyInstanceUID, other.StudyInstanceUID} <= {row["studies"] for row in told}
