"""The page of an inbox and /upload in Chromium: a disc dropped as a folder, an archive, a letter and a photograph, over a
connection that breaks; at the end everything is here once. What is stopped goes on, and what cannot be read, now or later, is
told. At 1280 and 390 px. Screenshots are left in target/screenshots."""

import pytest
import requests
from test_inbox import House

from harness import brought, made, web
from harness.browser import Browser
from harness.granting import PDF, opened
from harness.server import free_port

SLICES = 120
SIDE = 256


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module(ports=(free_port(), free_port())))


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path) as browser:
        yield browser


@pytest.fixture
def disc(tmp_path):
    """(where the files are, objects on the disc, objects in the archive)."""
    root = tmp_path / "brought"
    images = brought.slices(SLICES, rows=SIDE, columns=SIDE, PatientName="Meier^Anna", PatientID="D-1", SeriesDescription="Thorax")
    for path, content in brought.disc(images).items():
        (root / "CD" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "CD" / path).write_bytes(content)
    zipped = brought.slices(5, PatientName="Meier^Anna", PatientID="D-1")
    files = {"disc.zip": brought.zipped(brought.disc(zipped)), "letter.pdf": brought.PDF, "photo.jpg": brought.jpeg(brought.scene(480, 640))}
    for name, content in files.items():
        (root / name).write_bytes(content)
    return root, images, zipped


def drawn(page, name):
    """How it looks, wide and narrow, light and dark; nothing hangs over the side."""
    for width in (1280, 390):
        page.call("setViewportSize", {"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.call("emulateMedia", {"colorScheme": scheme})
            page.screenshot(f"{name}-{width}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
    page.call("emulateMedia", {"colorScheme": "light"})


def is_done(page, seconds=120):
    page.until("document.querySelector('#sending').dataset.state === 'done'", "all is sent", seconds)
    return page.evaluate("document.querySelector('#sending p').textContent")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_disc_comes_whole_over_a_broken_connection(house, browser, disc, width):
    root, images, zipped = disc
    number, link = house.inbox(label="Anna Meier")
    page = browser.open()
    page.call("setViewportSize", {"width": width, "height": 900})
    page.call("goto", link)
    page.click("main button")
    page.see("#upload")
    page.call("selectOption", "select[name=photographs]", "image")
    page.call("throttle", 4_000_000)
    page.call("drop", "#upload", [str(root / "CD"), str(root / "disc.zip"), str(root / "letter.pdf"), str(root / "photo.jpg")])
    page.until("/ [1-9][0-9]* arrived/.test(document.querySelector('#sending p').textContent)", "something has arrived")
    page.screenshot(f"inbox-sending-{width}")
    house.server.kill()
    page.until("document.querySelector('#sending [role=status]').textContent.includes('connection is lost')", "the page says so")
    page.screenshot(f"inbox-lost-{width}")
    house.server.start()
    page.call("throttle", -1)
    text = is_done(page)
    # 5 files of the viewer and the DICOMDIR on the disc, and again in the archive.
    assert f"{SLICES + 5 + 2} arrived, 0 here already, 0 not taken, 12 not needed" in text, text
    page.until("document.querySelector('#arrived').textContent.includes('looks complete')", "the page shows what arrived")
    for study, count in ((images[0].StudyInstanceUID, SLICES), (zipped[0].StudyInstanceUID, 5)):
        held = [ds for ds in house.objects(study) if ds.Modality == "CT"]
        assert len(held) == count and len({ds.SOPInstanceUID for ds in held}) == count
    papers = [ds for study in (images, zipped) for ds in house.objects(study[0].StudyInstanceUID) if ds.Modality != "CT"]
    assert sorted(ds.SOPClassUID == PDF for ds in papers) == [False, True]
    assert {ds.PatientID for ds in papers} == {"D-1"}
    drawn(page, f"inbox-arrived-{width}")
    page.click("#finish button")
    page.see("#finish [role=status]")
    one = house.api("GET", f"/inboxes/{number}", headers=house.asks).json()
    assert one["finished_ms"] and sum(study["instances"] for study in one["arrived"]) == SLICES + 5 + 2
    # Nothing but what was cut off went wrong.
    lost = ("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_SOCKET", "ERR_NETWORK")
    assert all(any(word in fault for word in lost) for fault in page.faults()), page.faults()
    assert all(request["url"].startswith(house.server.url) for request in page.requests())


def entered(house, browser):
    """The page of a new inbox."""
    _, link = house.inbox()
    page = browser.open()
    page.call("goto", link)
    page.click("main button")
    page.see("#upload")
    return page


def written(folder, files):
    """Their paths, in this order."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in files]


def choose(page, paths):
    page.call("setInputFiles", "input[name=files]", paths)
    page.click("#upload button")


def is_stopped(page):
    page.until("document.querySelector('#sending').dataset.state === 'stopped'", "it is stopped")
    assert "not let in" in page.evaluate("document.querySelector('#sending [role=status]').textContent")


def remarks(page):
    return page.evaluate("[...document.querySelectorAll('#sending details li')].map((line) => line.textContent)")


def test_what_had_no_answer_when_it_stopped_goes_on(house, browser, tmp_path):
    """Two requests: one has to wait, the other is not let in."""
    page = entered(house, browser)
    images = brought.slices(250)
    paths = written(tmp_path / "disc", {f"IM{place}": made.file(ds) for place, ds in enumerate(images)})
    page.call("answers", "**/studies", [503, 401])
    choose(page, paths)
    is_stopped(page)
    page.click("#sending button")
    text = is_done(page)
    assert text.startswith("250 of 250 files") and "250 arrived, 0 here already, 0 not taken" in text, text
    assert len(house.objects(images[0].StudyInstanceUID)) == 250


def test_what_cannot_be_read_any_more_is_told_and_the_rest_arrives(house, browser, tmp_path):
    page = entered(house, browser)
    images = brought.slices(40)
    zipped = brought.zipped(brought.disc(brought.slices(2)))
    paths = written(tmp_path / "disc", {f"IM{place}": made.file(ds) for place, ds in enumerate(images)} | {"disc.zip": zipped})
    for pattern in ("**/studies", "**/api/v1/uploads"):
        page.call("answers", pattern, [401])
    choose(page, paths)
    is_stopped(page)
    # Two are gone, one has another length than when it was chosen.
    for name in ("IM7", "disc.zip"):
        (tmp_path / "disc" / name).unlink()
    (tmp_path / "disc/IM8").write_bytes(b"DICM")
    page.click("#sending button")
    text = is_done(page)
    assert text.startswith("41 of 41 files") and "38 arrived, 0 here already, 3 not taken" in text, text
    assert sorted(remarks(page)) == ["IM7: cannot be read", "IM8: cannot be read", "disc.zip: cannot be read"]
    assert page.evaluate("document.querySelector('#sending progress').value") == 1
    assert len(house.objects(images[0].StudyInstanceUID)) == 38


def test_a_copy_is_here_when_its_image_has_arrived_and_not_before(house, browser, tmp_path):
    page = entered(house, browser)
    image, other = brought.slices(2)
    good, bad = made.file(image), made.file(other)[:500]
    # The same image three times, the first of them damaged; and one that is damaged only.
    paths = written(tmp_path / "disc", {"SCRATCHED": good[:500], "GOOD": good, "COPY": good, "DAMAGED": bad})
    choose(page, paths)
    text = is_done(page)
    assert "1 arrived, 1 here already, 2 not taken" in text, text
    listed = remarks(page)
    assert "COPY: the same image twice" in listed and not any(line.startswith("GOOD") for line in listed), listed
    # What was refused and is chosen again is sent again.
    choose(page, paths[3:])
    page.until("/ 3 not taken/.test(document.querySelector('#sending p').textContent)", "it is refused again")
    paths = written(tmp_path / "mended", {"DAMAGED": made.file(other)})
    choose(page, paths)
    page.until("/ 2 arrived, 1 here already, 3 not/.test(document.querySelector('#sending p').textContent)", "it has arrived")
    choose(page, paths)
    page.until("/ 2 arrived, 2 here already, 3 not/.test(document.querySelector('#sending p').textContent)", "it is here")
    assert {ds.SOPInstanceUID for ds in house.objects(image.StudyInstanceUID)} == {image.SOPInstanceUID, other.SOPInstanceUID}


def test_an_archive_that_was_stopped_still_goes_before_papers(house, browser, tmp_path):
    """A letter without a name belongs to the images in the archive."""
    page = entered(house, browser)
    images = brought.slices(3, PatientName="Weber^Ida", PatientID="D-5")
    paths = written(tmp_path / "disc", {"letter.pdf": brought.PDF, "disc.zip": brought.zipped(brought.disc(images))})
    page.call("answers", "**/api/v1/uploads", [401])
    choose(page, paths)
    is_stopped(page)
    page.click("#sending button")
    text = is_done(page)
    assert "4 arrived, 0 here already, 0 not taken" in text, text
    assert {ds.Modality for ds in house.objects(images[0].StudyInstanceUID)} == {"CT", "DOC"}


def test_a_paper_that_is_sent_again_still_waits_for_images(house, browser):
    """As the server answers when it had no time for it; meanwhile images are on their way."""
    page = entered(house, browser)
    found = page.evaluate("""(async () => {
        const folder = document.querySelector('script[type=module]').src.replace('upload.js', '');
        const { Sending } = await import(folder + 'sending.js');
        const sending = new Sending({ changed: () => {} });
        sending.add({ file: new File(['%PDF-'], 'letter.pdf'), name: 'letter.pdf' }, { kind: 'paper' });
        sending.answered(sending.next(), { status: 200, text: '{"is_to_be_repeated": true}' });
        sending.add({ file: new File(['DICM'], 'IM1'), name: 'IM1' }, { kind: 'object', uid: '1.2' });
        const [batch, none] = [sending.next(), sending.jobs.add('the batch') && sending.next()];
        sending.jobs.clear();
        return [batch, none, sending.next()].map((job) => job?.items.map(({ name }) => name));
    })()""")
    assert found == [["IM1"], None, ["letter.pdf"]]


def test_what_is_dropped_and_cannot_be_read_is_told(house, browser, tmp_path):
    page = entered(house, browser)
    [image] = brought.slices(1)
    root = tmp_path / "CD"
    root.mkdir()
    written(root / "DICOM", {"GOOD": made.file(image), "SCRATCHED": made.file(image)})
    written(root / "BROKEN", {"UNSEEN": made.file(image)})
    # Root can read all that is written here: the browser answers as for a disc whose directory is scratched.
    page.evaluate("""(() => {
        const cannot = (give, fail) => fail(new DOMException('', 'NotReadableError'));
        const scratched = (entry) => {
            if (entry.name === 'SCRATCHED') entry.file = cannot;
            if (entry.isDirectory) {
                const reader = entry.createReader();
                const read = (give, fail) => reader.readEntries((some) => give(some.map(scratched)), fail);
                entry.createReader = () => ({ readEntries: entry.name === 'BROKEN' ? cannot : read });
            }
            return entry;
        };
        const { webkitGetAsEntry } = DataTransferItem.prototype;
        DataTransferItem.prototype.webkitGetAsEntry = function () { return scratched(webkitGetAsEntry.call(this)); };
    })()""")
    page.call("drop", "#upload", [str(root)])
    text = is_done(page)
    assert "1 arrived, 0 here already, 2 not taken" in text, text
    assert sorted(remarks(page)) == ["CD/BROKEN/: cannot be read", "CD/DICOM/SCRATCHED: cannot be read"]


def test_what_is_more_than_can_be_chosen_is_told(house, browser):
    """The walk over more files than a test can write: entries and files made in the page."""
    page = entered(house, browser)
    found = page.evaluate("""(async () => {
        const folder = document.querySelector('script[type=module]').src.replace('upload.js', '');
        const [{ chosen, dropped, told }, { Sending }] = await Promise.all(['files.js', 'sending.js'].map((name) => import(folder + name)));
        const names = (count) => Array.from({ length: count }, (_, place) => `IM${place}`);
        const disc = (count) => {
            const entries = names(count).map((name) => ({ isFile: true, fullPath: `/CD/${name}`, file: (give) => give({ name }) }));
            const reader = { readEntries: (give) => give(entries.splice(0, 1000)) };
            const folder = { isDirectory: true, fullPath: '/CD', createReader: () => reader };
            return { items: [{ webkitGetAsEntry: () => folder }] };
        };
        const left = [];
        for (const items of [chosen(names(200_003).map((name) => ({ name }))), await dropped(disc(200_003)), await dropped(disc(300_000))]) {
            const sending = new Sending({ changed: () => {} });
            for (const item of items.filter(({ file }) => !file)) sending.add(item, await told(item));
            const { counts, named } = sending;
            left.push([items.length - named.length, counts.refused, named.slice(0, 3).map(({ name }) => name), [...new Set(named.map(({ why }) => why))]]);
        }
        return left;
    })()""")
    why = ["more than can be chosen at once: choose it again, with fewer"]
    assert found[0] == [200_000, 3, ["IM200000", "IM200001", "IM200002"], why]
    assert found[1] == [200_000, 3, ["CD/IM0", "CD/IM1", "CD/IM2"], why]
    # A folder is read no further than it takes to know that it is too much: it stands for what is in it.
    assert found[2] == [199_999, 1002, ["CD/", "CD/IM0", "CD/IM1"], why]


def test_files_are_chosen_and_what_is_refused_is_mended(house, browser):
    """A photograph that comes before any image needs a name."""
    number, link = house.inbox()
    page = browser.open()
    page.call("goto", link)
    page.click("main button")
    page.see("#upload")
    drawn(page, "inbox-empty")
    page.call("setViewportSize", {"width": 390, "height": 900})
    [image] = brought.slices(1, PatientName="Schmidt^Eva", PatientID="D-2")
    folder = house.server.data_dir.parent / "chosen"
    folder.mkdir(exist_ok=True)
    for name, content in (("letter.jpg", brought.jpeg(brought.scene(), orientation=6)), ("image.dcm", made.file(image)), ("notes.txt", b"hello")):
        (folder / name).write_bytes(content)
    page.call("setInputFiles", "input[name=files]", [str(folder / "letter.jpg")])
    page.click("#upload button")
    assert "1 not taken" in is_done(page)
    page.until("document.querySelector('#sending details').textContent.includes('whose it is')", "why")
    page.call("fill", "input[name=family_name]", "Schmidt")
    page.call("fill", "input[name=given_name]", "Eva")
    page.call("fill", "input[name=birth_date]", "1950-05-05")
    page.call("setInputFiles", "input[name=files]", [str(folder / name) for name in ("letter.jpg", "image.dcm", "notes.txt")])
    page.click("#upload button")
    page.until("/2 arrived/.test(document.querySelector('#sending p').textContent)", "both have arrived")
    page.until("document.querySelectorAll('#arrived h3').length === 1", "they are one study")
    page.evaluate("document.querySelector('#sending details').open = true")
    drawn(page, "inbox-chosen")
    assert page.faults() == []
    one = house.api("GET", f"/inboxes/{number}", headers=house.asks).json()
    assert [(study["instances"], study["papers"], study["patient_name"]) for study in one["arrived"]] == [(2, 1, "Schmidt^Eva")]
    # A photograph of a letter is a document.
    assert {ds.Modality for ds in house.objects(image.StudyInstanceUID)} == {"CT", "DOC"}


def test_whoever_may_store_uploads_a_folder(house, browser, tmp_path):
    came = brought.slices(30)
    for path, content in brought.disc(came).items():
        (tmp_path / "CD" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "CD" / path).write_bytes(content)
    # An image that is damaged, one twice, one of another patient in a study that is here.
    (tmp_path / "CD/DICOM/DAMAGED").write_bytes(made.file(made.instance())[:500])
    (tmp_path / "CD/DICOM/TWICE").write_bytes(made.file(came[1]))
    (tmp_path / "CD/DICOM/OTHER").write_bytes(made.file(made.instance(study=came[0].StudyInstanceUID, PatientID="ANOTHER", PatientName="Else^Some")))
    page = browser.open()
    page.call("setExtraHTTPHeaders", house.headers)
    page.call("goto", f"{house.server.url}/")
    page.click("a[href=upload]")
    page.see("#upload")
    drawn(page, "upload-empty")
    page.call("setViewportSize", {"width": 1280, "height": 900})
    page.call("setInputFiles", "input[name=folder]", str(tmp_path / "CD"))
    page.click("#upload button")
    text = is_done(page)
    assert "30 arrived, 1 here already, 2 not taken, 6 not needed" in text, text
    listed = page.evaluate("document.querySelector('#sending details').textContent")
    assert "the same image twice" in listed and "another patient" in listed and "VIEWER.EXE" in listed
    assert "CD/manual.pdf: belongs to the disc's viewer" in listed
    page.evaluate("document.querySelector('#sending details').open = true")
    drawn(page, "upload-done")
    found = requests.get(f"{house.server.web}/studies/{came[0].StudyInstanceUID}/instances", headers=house.headers | {"Accept": web.JSON}, timeout=30)
    assert len(found.json()) == 30


def test_the_requester_makes_an_inbox_and_opens_a_case_of_it(house, browser):
    page = browser.open()
    page.call("setExtraHTTPHeaders", house.asks)
    page.call("goto", f"{house.server.url}/cases")
    page.click("a[href=inboxes]")
    page.call("fill", "input[name=label]", "Bert Bauer")
    page.call("fill", "textarea[name=question]", "Does the fracture need surgery?")
    page.click("form.card button")
    page.see(".secret")
    drawn(page, "inboxes-made")
    link = page.evaluate("document.querySelector('.secret').textContent")
    session, answer = opened(link)
    assert answer.status_code == 303
    gap = brought.slices(6, PatientName="Bauer^Bert", PatientID="B-1", StudyDescription="Knie")
    gap.pop(2)
    assert house.told(session, ("cd.zip", brought.zipped(brought.disc(gap))), ("letter.pdf", brought.PDF))["stored"] == 6
    session.post(f"{house.server.url}/inbox/finished", timeout=30)
    page.call("goto", f"{house.server.url}/inboxes")
    page.click("td.patient a")
    page.see("h1:has-text('Bert Bauer')")
    drawn(page, "inboxes-one")
    page.click("a:has-text('Open a case on this study')")
    assert page.evaluate("document.querySelector('textarea[name=question]').value") == "Does the fracture need surgery?"
    assert page.evaluate("document.querySelector('input[name=blinded]').checked") is True
    page.call("fill", "input[name=subspecialty]", "knee")
    page.click("form.card button")
    page.see("h1:has-text('Case')")
    number = int(page.call("url").rsplit("/", 1)[1])
    [inbox] = [inbox for inbox in house.api("GET", "/inboxes", headers=house.asks).json()["inboxes"] if inbox["label"] == "Bert Bauer"]
    assert inbox["case"] == number and inbox["finished_ms"]
    assert page.faults() == []
