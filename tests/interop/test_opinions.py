"""Opinions as files of the record (conformance.md §8, 240-245), judged by other people's programs.

The files are those that the Rust tests of `dicom::opinion` leave in OVERREAD_OPINIONS: scripts/test sets it, and runs them
first."""

import html
import io
import os
import re
import subprocess
from pathlib import Path

import highdicom
import pytest
from pydicom import dcmread
from pydicom.sr import _cid_dict, _concepts_dict

from harness import made, web

FOLDER = Path(os.environ.get("OVERREAD_OPINIONS", Path(__file__).parents[2] / "target/opinions"))
NAMES = ["first", "corrected", "hostile", "worldly"]
KINDS = {"sr": "1.2.840.10008.5.1.4.1.1.88.22", "pdf": "1.2.840.10008.5.1.4.1.1.104.1", "ko": "1.2.840.10008.5.1.4.1.1.88.59"}
FILES = [(name, kind) for name in NAMES for kind in KINDS if (name, kind) != ("corrected", "ko")]
SECTIONS = ["Request", "History", "Previous Findings", "Findings", "Impressions", "Conclusions", "Recommendations", "Key Images"]
STUDY = "1.2.826.0.1.3680043.10.9999.700"
EVIDENCE = {f"{STUDY}.1.1", f"{STUDY}.1.2", f"{STUDY}.1.3", f"{STUDY}.2.1"}
PRIORS = {f"{STUDY}.9.1.1", f"{STUDY}.9.1.2"}


def path(name, kind):
    file = FOLDER / f"{name}.{kind}.dcm"
    assert file.exists(), f"{file}: run scripts/test, or OVERREAD_OPINIONS={FOLDER} cargo test --lib -- dicom::opinion"
    return file


def read(name, kind):
    return dcmread(path(name, kind))


def run(*command, codes=(0,)):
    done = subprocess.run(command, capture_output=True, timeout=60)
    text = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    assert done.returncode in codes, (command, text)
    return text


def code(item):
    return item.get("CodeValue", item.get("LongCodeValue")), item.CodingSchemeDesignator


def cid(number):
    """(value, scheme) of every code of a context group, by pydicom's tables."""
    group = _cid_dict.cid_concepts[number]
    return {
        (value, scheme)
        for scheme, keywords in group.items()
        for keyword in keywords
        for value, (_, groups) in _concepts_dict.concepts[scheme][keyword].items()
        if number in groups
    }


def walk(items):
    for item in items:
        yield item
        yield from walk(item.get("ContentSequence", []))


def named(sequence):
    """The instances of a hierarchical reference, each once."""
    uids = [sop.ReferencedSOPInstanceUID for study in sequence for series in study.ReferencedSeriesSequence for sop in series.ReferencedSOPSequence]
    assert len(uids) == len(set(uids))
    return set(uids)


def headings(ds):
    return [item.ConceptNameCodeSequence[0].CodeMeaning for item in ds.ContentSequence if item.ValueType == "CONTAINER"]


def images(ds):
    """The study that an opinion was given on: the instances that its evidence names."""
    for at, reference in enumerate(ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence):
        for sop in reference.ReferencedSOPSequence:
            multi = sop.ReferencedSOPClassUID != made.CT
            more = {"NumberOfFrames": 3, "Modality": "OT", "ConversionType": "WSD"} if multi else {}
            yield made.instance(study=ds.StudyInstanceUID, series=reference.SeriesInstanceUID, sop=sop.ReferencedSOPInstanceUID, frames=3 if multi else None,
                                SOPClassUID=sop.ReferencedSOPClassUID, AccessionNumber="ACC700", SeriesNumber=at + 1, StudyDescription="CT of the chest", **more)  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_a240_validators_find_no_error(name, kind):
    text = run("dciodvfy", path(name, kind), codes=(0, 1))
    assert [line for line in text.splitlines() if line.startswith("Error")] == []
    ds = read(name, kind)
    assert ds.SOPClassUID == KINDS[kind] and ds.Modality == {"sr": "SR", "pdf": "DOC", "ko": "KO"}[kind]
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    limits = {"LO": 64, "SH": 16, "CS": 16, "IS": 12, "PN": 64}
    for element in ds.iterall():
        if element.VR in limits and element.value:
            assert element.VM == 1 or element.keyword == "ReferencedFrameNumber", element
            for part in str(element.value).split("=") if element.VR == "PN" else [str(element.value)]:
                assert element.VM > 1 or len(part) <= limits[element.VR], element
        if element.VR in ("UT", "ST", "LO", "SH", "PN") and element.value:
            assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", str(element.value)), element


def test_a240_the_entities_agree_with_the_images(tmp_path):
    for at, ds in enumerate(images(read("first", "sr"))):
        (tmp_path / f"{at}.dcm").write_bytes(made.file(ds))
    files = [path(name, kind) for name, kind in FILES if name != "hostile"] + sorted(tmp_path.iterdir())
    lines = run("dcentvfy", *files).splitlines()
    # It counts the Accession Number of PDFs and secondary captures to their series.
    known = re.compile(r"Warning - .* Element=<AccessionNumber> IE <(Series> versus <Study|Study> versus <Series)>")
    assert [line for line in lines if not known.match(line)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a240_the_tree_follows_tid_2000(name):
    ds = read(name, "sr")
    assert (ds.ContentTemplateSequence[0].MappingResource, ds.ContentTemplateSequence[0].TemplateIdentifier) == ("DCMR", "2000")
    assert code(ds.ConceptNameCodeSequence[0]) == ("47040-1", "LN")
    order = [("121058", "DCM"), ("122142", "DCM"), ("123014", "DCM"), ("121049", "DCM"), ("121005", "DCM"), ("121008", "DCM"), ("121009", "DCM"),
             ("121011", "DCM"), ("121018", "DCM"), ("121020", "DCM"), ("121021", "DCM"), ("121022", "DCM")]  # fmt: skip
    context = [code(item.ConceptNameCodeSequence[0]) for item in ds.ContentSequence if item.ValueType != "CONTAINER"]
    assert context == [row for row in order if row in context]
    assert {("121049", "DCM"), ("121005", "DCM"), ("121008", "DCM")} <= set(context), "rows that are mandatory"
    sections = [item for item in ds.ContentSequence if item.ValueType == "CONTAINER"]
    assert list(ds.ContentSequence)[-len(sections) :] == sections
    allowed, elements, purposes = cid(7001), cid(7002), cid(7003)
    for section in sections:
        assert code(section.ConceptNameCodeSequence[0]) in allowed
        for item in walk(section.ContentSequence):
            concept = code(item.ConceptNameCodeSequence[0])
            assert concept in (purposes if item.ValueType == "IMAGE" else elements) or concept[1] == "99OVERREAD"
            assert item.RelationshipType in ("CONTAINS", "INFERRED FROM") and item.ValueType in ("TEXT", "CODE", "IMAGE")
    # Checks what may hang on what in an Enhanced SR.
    highdicom.sr.EnhancedSR.from_dataset(ds)


def test_a240_what_was_written_is_in_it():
    ds = read("first", "sr")
    assert headings(ds) == SECTIONS
    texts = [item.TextValue for item in walk(ds.ContentSequence) if item.ValueType == "TEXT"]
    for text in ("Is the nodule in the right upper lobe new?", "Requested by Dr. Rita Refer, Village Practice", "Cough for six weeks.\r\nSmoker, 30 pack years.",
                 "Spiculated nodule of 14 mm in the right upper lobe.\r\n\r\nNo pleural effusion.", "PET/CT, then biopsy.", "The nodule", "The nodule was there a year before, and smaller."):  # fmt: skip
        assert text in texts
    world = [item.TextValue for item in walk(read("worldly", "sr").ContentSequence) if item.ValueType == "TEXT"]
    assert any("दाएँ ऊपरी लोब में गाँठ है।" in text and "\U0001fac1" in text for text in world) and "右肺上叶结节，考虑恶性。" in world


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tool", ["dsrdump", "dsr2html"])
def test_a240_dcmtk_shows_every_section(name, tool):
    text = run(tool, "+U8", path(name, "sr")) if tool == "dsr2html" else run(tool, path(name, "sr"))
    assert not re.search(r"^E: ", text, re.MULTILINE), text
    at = 0
    for heading in headings(read(name, "sr")):
        at = text.index(heading, at) + 1
    if (name, "ko") in FILES:
        assert not re.search(r"^E: ", run(tool, path(name, "ko")), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a241_evidence_is_what_was_read(name):
    ds = read(name, "sr")
    current, other = named(ds.CurrentRequestedProcedureEvidenceSequence), named(ds.get("PertinentOtherEvidenceSequence", []))
    assert (current, other) == (EVIDENCE, set() if name == "corrected" else PRIORS)
    assert {study.StudyInstanceUID for study in ds.CurrentRequestedProcedureEvidenceSequence} == {STUDY}
    cited = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in walk(ds.ContentSequence) if item.ValueType == "IMAGE"}
    assert cited <= current | other and len(cited) == {"corrected": 0, "worldly": 1}.get(name, 3)
    sources = {item.ReferencedSOPInstanceUID for item in read(name, "pdf").SourceInstanceSequence}
    assert sources == current | other | {ds.SOPInstanceUID}


def test_a241_key_images_are_those_of_the_study():
    ds = read("first", "ko")
    assert code(ds.ConceptNameCodeSequence[0]) in cid(7010) and ds.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    pictures = [item.ReferencedSOPSequence[0] for item in ds.ContentSequence if item.ValueType == "IMAGE"]
    uids = [sop.ReferencedSOPInstanceUID for sop in pictures]
    assert uids == [f"{STUDY}.1.2", f"{STUDY}.2.1"] and named(ds.CurrentRequestedProcedureEvidenceSequence) == set(uids)
    # An image of one frame has no frame numbers.
    assert "ReferencedFrameNumber" not in pictures[0] and list(pictures[1].ReferencedFrameNumber) == [1, 3]
    [text] = [item for item in ds.ContentSequence if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS"]
    assert code(text.ConceptNameCodeSequence[0]) == ("113012", "DCM") and "1. The nodule" in text.TextValue


def test_a241_what_is_no_image_is_pointed_at_too():
    report, selection = read("worldly", "sr"), read("worldly", "ko")
    rows = [item for item in selection.ContentSequence if "ReferencedSOPSequence" in item]
    assert [(item.ValueType, item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in rows] == [("WAVEFORM", f"{STUDY}.1.2"), ("COMPOSITE", f"{STUDY}.2.1")]
    texts = [item.TextValue for item in walk(report.ContentSequence) if item.ValueType == "TEXT"]
    assert f"The nodule\r\n12-lead ECG Waveform Storage {STUDY}.1.2" in texts and f"Encapsulated PDF Storage {STUDY}.2.1" in texts


def test_a242_a_correction_names_what_it_corrects():
    first, later = read("first", "sr"), read("corrected", "sr")
    assert "PredecessorDocumentsSequence" not in first and "Addendum" not in headings(first)
    [addendum] = [item for item in later.ContentSequence if code(item.ConceptNameCodeSequence[0]) == ("55107-7", "LN")]
    assert addendum.ContentSequence[0].TextValue == "The prior came only after the first version."
    replaced = {first.SOPInstanceUID, read("first", "pdf").SOPInstanceUID}
    assert named(later.PredecessorDocumentsSequence) == replaced
    assert named(read("corrected", "pdf").PredecessorDocumentsSequence) == replaced
    for ds in (first, later):
        assert (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag) == ("COMPLETE", "VERIFIED", "FINAL")
        [verifier] = ds.VerifyingObserverSequence
        assert (verifier.VerifyingObserverName, verifier.VerifyingOrganization) == ("Müller^Anna^^Dr", "Institute of Chest Radiology")
        assert verifier.VerificationDateTime == "20261128095657+0100"
        assert ds.AuthorObserverSequence[0].PersonName == "Müller^Anna^^Dr"
        assert ds.ReferencedRequestSequence[0].AccessionNumber == "ACC700"
    draft = read("hostile", "sr")
    assert (draft.VerificationFlag, draft.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY") and "VerifyingObserverSequence" not in draft


@pytest.mark.parametrize(("name", "standard", "grade"), [("first", "122776", "MAJOR"), ("corrected", "122775", "AGREE"), ("hostile", None, None)])
def test_a244_agreement_is_coded(name, standard, grade):
    answers = {code(item.ConceptNameCodeSequence[0]): code(item.ConceptCodeSequence[0]) for item in walk(read(name, "sr").ContentSequence)
               if item.ValueType == "CODE" and item.RelationshipType == "CONTAINS"}  # fmt: skip
    assert answers.get(("121077", "DCM")) == (standard and (standard, "DCM"))
    assert answers.get(("AGREEMENT", "99OVERREAD")) == (grade and (grade, "99OVERREAD"))


def pdf_of(name, tmp_path):
    ds = read(name, "pdf")
    assert ds.MIMETypeOfEncapsulatedDocument == "application/pdf" and ds.BurnedInAnnotation == "YES"
    file = tmp_path / f"{name}.pdf"
    file.write_bytes(ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength])
    return file


@pytest.mark.parametrize("name", NAMES)
def test_the_pdf_is_sound_and_its_text_comes_out(name, tmp_path):
    file = pdf_of(name, tmp_path)
    pages = int(re.search(r"^Pages:\s+(\d+)$", run("pdfinfo", file), re.MULTILINE)[1])
    text = run("pdftotext", "-layout", file, "-")
    assert "Syntax Error" not in text and re.findall(r"Page (\d+) of (\d+)", text) == [(str(at), str(pages)) for at in range(1, pages + 1)]
    fonts = run("pdffonts", file).splitlines()[2:]
    assert fonts and all(re.search(r"Identity-H\s+yes yes yes", font) for font in fonts), "embedded, cut, and with a map to Unicode"
    assert run("pdftoppm", "-r", "20", file, tmp_path / "page") == ""
    assert len(list(tmp_path.glob("page*"))) == pages


def test_the_pdf_says_it_all(tmp_path):
    text = " ".join(run("pdftotext", "-layout", pdf_of("first", tmp_path), "-").split())
    for words in ("Patient Maker, Test Patient ID MADE-1", "Study CT of the chest Study date 2026-01-02 10:11", "Accession number ACC700", "Final, version 1",
                  "Question Is the nodule in the right upper lobe new?", "Smoker, 30 pack years.", "No pleural effusion.", "Impression New nodule, suspicious of malignancy.",
                  "Recommendation PET/CT, then biopsy.", "Agreement with first reading Major discrepancy", "Effect on stage T1b instead of benign", "Comment The nodule was there a year before, and smaller.",
                  "1. series 1, image 2: The nodule", "2. series 2, image 1, frames 1, 3", "of another study: The same place a year before",
                  "Signed by Müller, Anna, Institute of Chest Radiology", "2026-11-28 09:56 UTC+01:00", "Read: 4 instances in 2 series",
                  "5f2c" * 16):  # fmt: skip
        assert words in text, words
    assert "not complete" not in text
    later = run("pdftotext", "-layout", pdf_of("corrected", tmp_path), "-")
    assert "Final, version 2" in later and "takes the place of the earlier one" in later and "adjudication" in later and "The prior came only after the first version." in later


def test_the_pdf_prints_many_scripts_and_says_what_it_cannot(tmp_path):
    text = run("pdftotext", "-layout", pdf_of("worldly", tmp_path), "-")
    for words in ("Zażółć gęślą jaźń", "Đặng Thị Ngọc: phổi phải", "Οζίδιο στον δεξιό πνεύμονα", "Узел в правом лёгком", "右上葉に結節あり。", "右肺上叶见结节",
                  "우상엽에 결절이 있다", "העליונה", "العلوي", "山田"):  # fmt: skip
        assert words in text, words
    # Vowel signs stand before their letters on paper, so that whole words of these come out only in part.
    for letter in "กดदलডনநக":
        assert letter in text, letter
    assert "This print is not complete" in text and "U+0F42" in text and "U+1FAC1" in text and "U+0926" not in text
    # Boxes, but their text comes out.
    assert "གློ་བ" in text and "\U0001fac1" in text


def test_the_pdf_prints_long_texts_whole(tmp_path):
    text = run("pdftotext", "-layout", pdf_of("hostile", tmp_path), "-")
    assert sum(len(line) for line in text.split() if set(line) == {"x"}) == 50_000
    # The question, and the reason why the reader cannot judge.
    assert len(re.findall(r"\bwords\b", text)) >= 4000
    assert "<script>alert(1)</script>" in text


@pytest.fixture(scope="module")
def archived(server):
    """The study, and everything that was said of it but what is hostile."""
    ds = read("first", "sr")
    parts = [made.file(image) for image in images(ds)]
    parts += [path(name, kind).read_bytes() for name, kind in FILES]
    answer = web.stow(server, parts, study=ds.StudyInstanceUID)
    assert answer.status_code == 200, answer.text
    return server


def test_a243_searches_find_it_and_pages_show_it(archived):
    ds = read("first", "sr")
    found = web.qido(archived, f"/studies/{STUDY}/instances", {"ConceptNameCodeSequence.CodeValue": "47040-1", "Modality": "SR"})
    assert {web.value(row, "00080018") for row in found} == {read(name, "sr").SOPInstanceUID for name in NAMES}
    place = web.instance_path(STUDY, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    page = web.get(archived, place + "/rendered", "text/html").text
    page = html.unescape(re.sub(r"<[^>]*>", " ", page[page.index("<body") :]))
    at = 0
    for heading in SECTIONS:
        at = page.index(heading, at) + 1
    for words in ("Disagreement with prior findings", "Major discrepancy", "No pleural effusion.", "VERIFIED", "Müller, Anna"):
        assert words in page, words
    hostile = read("hostile", "sr")
    page = web.get(archived, web.instance_path(STUDY, hostile.SeriesInstanceUID, hostile.SOPInstanceUID) + "/rendered", "text/html").text
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page and "x" * 50_000 in page


def test_a243_the_pdf_is_given_as_it_is(archived):
    ds = read("first", "pdf")
    answer = web.get(archived, web.instance_path(STUDY, ds.SeriesInstanceUID, ds.SOPInstanceUID) + "/rendered", "application/pdf")
    assert (answer.status_code, answer.content) == (200, ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength])


def test_a245_they_lie_in_the_study_in_series_of_their_own(archived):
    [study] = web.qido(archived, "/studies", {"StudyInstanceUID": STUDY, "includefield": "all"})
    assert set(study["00080061"]["Value"]) == {"CT", "OT", "SR", "DOC", "KO"}
    assert study["00100020"]["Value"] == ["MADE-1"]
    series = web.qido(archived, f"/studies/{STUDY}/series", {"includefield": "all"})
    own = {web.value(row, "0020000E"): (web.value(row, "00080060"), row["00201209"]["Value"]) for row in series}
    for name, kind in FILES:
        ds = read(name, kind)
        assert own[ds.SeriesInstanceUID] == (ds.Modality, [1])
    stored = dcmread(io.BytesIO(web.file_of(web.get(archived, web.instance_path(STUDY, read("first", "sr").SeriesInstanceUID, read("first", "sr").SOPInstanceUID), web.AS_STORED))))
    assert stored == read("first", "sr")
