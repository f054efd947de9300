"""The list of studies and the page of a study: with requests, as whoever has no scripts; with Chromium, as everybody else.
What lists hold is asked of QIDO-RS too, what tags say of pydicom."""

import html
import io
import re
import unicodedata
import zipfile
from functools import partial

import pydicom
import pytest
import requests

from harness import made, people, wait, web
from harness.browser import Browser
from harness.granting import Office, report

ROWS = "[...document.querySelectorAll('#list tr[data-study]')].map((row) => row.dataset.study)"
WIDTHS = [1280, 390]


def session(token):
    one = requests.Session()
    one.headers.update(people.bearer(token))
    return one


class House:
    """A server with an administrator, a viewer and a requester."""

    def __init__(self, start, **keywords):
        self.server = start(**keywords)
        self.tokens = {}
        for name, role in {"root": "administrator", "vera": "viewer", "rita": "requester"}.items():
            people.add_user(self.server, name, role)
            self.tokens[name] = people.token(self.server, name)[1]
        people.closed(self.server)
        self.root = session(self.tokens["root"])

    def store(self, *objects):
        answer = web.stow(self.server, [made.file(ds) for ds in objects], session=self.root)
        assert answer.status_code == 200, answer.text

    def page(self, path, who="root", status=200, **keywords):
        answer = requests.get(f"{self.server.url}{path}", headers=people.bearer(self.tokens[who]) | keywords, timeout=30)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        return answer

    def listed(self, path, who="root"):
        return studies_of(self.page(path, who).text)

    def sign_in(self, page, name="root"):
        page.call("goto", f"{self.server.url}/sign-in")
        page.call("fill", "input[name=name]", name)
        page.call("fill", "input[name=passcode]", people.PASSCODE)
        page.click("main button")
        page.until("!location.pathname.includes('sign-in')", "it lets in")


def studies_of(text):
    return re.findall(r'<tr data-study="([\d.]+)"', text)


@pytest.fixture(scope="module")
def house(start_module):
    return House(partial(start_module))


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path) as browser:
        yield browser


def tags_path(ds):
    return f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}/tags"


# The list


@pytest.fixture(scope="module")
def known(house):
    """Studies whose answers are known."""
    wanted = {}
    for place, (name, patient, modality) in enumerate([("Quill^Ada", "QL-10", "MR"), ("Quill^Ben", "QL-11", "CT"), ("Quorn^Cy", "QL-2", "CT")]):
        ds = made.instance(PatientName=name, PatientID=patient, Modality=modality, StudyDate=f"2031010{place + 1}", AccessionNumber=f"QA{place}")
        house.store(ds)
        wanted[name] = ds.StudyInstanceUID
    return wanted


def test_the_form_finds_what_begins_so(house, known):
    ada, ben, cy = known.values()
    for query, wanted in [
        ("name=qu", [cy, ben, ada]),
        ("name=quill", [ben, ada]),
        ("id=QL-1", [ben, ada]),
        ("id=QL-10", [ada]),
        ("id=QL-1%3F", [ben, ada]),
        ("id=QL", [cy, ben, ada]),
        ("accession=QA", [cy, ben, ada]),
        ("name=qu&modality=c", [cy, ben]),
        ("name=qu&from=2031-01-02", [cy, ben]),
        ("name=qu&to=2031-01-01", [ada]),
        ("name=quxx", []),
    ]:
        assert house.listed(f"/?{query}") == wanted, query
    rows = web.value
    found = house.root.get(f"{house.server.web}/studies?PatientName=Qu*", timeout=30).json()
    assert [rows(row, "0020000D") for row in found] == [cy, ben, ada]


def test_who_has_the_list_already_is_told_so(house, known):
    first = house.page("/?name=qu")
    tag = first.headers["ETag"]
    # All of it has just arrived: until that is no longer so, and nothing else happens, it is the same.
    assert first.text.count(">arriving<") == 3
    same = house.page("/?name=qu", status=304, **{"If-None-Match": tag})
    assert same.content == b"" and same.headers["ETag"] == tag
    assert house.page("/?name=qui", **{"If-None-Match": tag}).headers["ETag"] != tag
    assert house.page("/?name=qu", "vera", **{"If-None-Match": tag}).headers["ETag"] != tag
    house.store(made.instance(PatientID="ELSEWHERE"))
    other = house.page("/?name=qu", **{"If-None-Match": tag})
    assert other.headers["ETag"] != tag and studies_of(other.text) == studies_of(first.text)


def test_who_sees_some_is_not_told_that_something_happens(house, known):
    office = Office(house.server, people.bearer(house.tokens["root"]))
    ada = known["Quill^Ada"]
    _, guest = office.session(ada)
    answer = guest.get(f"{house.server.url}/", timeout=30)
    assert studies_of(answer.text) == [ada] and "ETag" not in answer.headers
    assert "in the archive" not in answer.text


def test_a_study_is_no_longer_arriving_after_half_a_minute(house):
    ds = made.instance(PatientID="LATE-1")
    house.store(ds)
    first = house.page("/?id=LATE-1")
    assert ">arriving<" in first.text
    again = {"If-None-Match": first.headers["ETag"]}

    def is_over():
        answer = requests.get(f"{house.server.url}/?id=LATE-1", headers=people.bearer(house.tokens["root"]) | again, timeout=30)
        assert answer.status_code in (200, 304)
        # Nothing was stored meanwhile: a new answer is one without the sign, never another with it.
        return answer.status_code == 200 and ">arriving<" not in answer.text

    wait.until(is_over, "it has arrived", 60)


@pytest.mark.parametrize("width", WIDTHS)
def test_typing_filters_the_list(house, known, browser, width):
    page = browser.open()
    page.call("setViewportSize", {"width": width, "height": 900})
    house.sign_in(page)
    page.call("goto", f"{house.server.url}/")
    page.evaluate("void (globalThis.kept = document.querySelector('form.filter'))")
    page.click("input[name=name]")
    page.call("keyboard.type", "quill")
    page.until(f"JSON.stringify({ROWS}) === JSON.stringify({[known['Quill^Ben'], known['Quill^Ada']]})", "both are listed")
    page.until("location.search === '?name=quill'", "the address says so")
    assert page.evaluate("document.activeElement.name") == "name", "the focus stays"
    assert page.evaluate("globalThis.kept === document.querySelector('form.filter')"), "the page was not left"
    assert page.evaluate("document.querySelector('.spoken').textContent") == "Studies 1–2 of 2."
    assert page.evaluate("document.querySelector('.spoken').getAttribute('role')") == "status"
    assert not page.evaluate("document.querySelector('.clear').hidden")
    page.call("keyboard.type", "zzz")
    page.until("document.querySelector('#list .empty') !== null", "nothing matches")
    page.until("document.querySelector('.spoken').textContent === 'No study matches.'", "it is said")
    page.until("location.search === '?name=quillzzz'", "the last key is asked")
    asked = [r for r in page.requests() if "?name=" in r["url"]]
    assert len(asked) <= 8, "once a key at most"
    page.call("reload")
    assert page.evaluate("document.querySelector('input[name=name]').value") == "quillzzz"
    page.click(".clear")
    page.see("tr[data-study]")
    assert page.evaluate("document.querySelector('.clear').hidden")
    # What was given up for a newer question is no fault.
    assert [fault for fault in page.faults() if "ERR_ABORTED" not in fault] == []


def test_a_refresh_does_not_forget_what_was_typed(house, browser):
    page = browser.open()
    house.sign_in(page)
    page.call("goto", f"{house.server.url}/")
    # Two letters wait for the third; in that moment somebody comes back to the page, and it looks what is new.
    page.evaluate("""(() => {
        const field = document.querySelector('input[name=name]');
        field.value = 'qu';
        field.dispatchEvent(new Event('input', { bubbles: true }));
        document.dispatchEvent(new Event('visibilitychange'));
    })()""")
    page.until("location.search === '?name=qu'", "what was typed is asked", 15)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_arrives_comes_into_the_list(house, browser, width):
    patient = f"LIVE-{width}"
    page = browser.open()
    page.call("setViewportSize", {"width": width, "height": 900})
    house.sign_in(page)
    page.call("goto", f"{house.server.url}/?id={patient}")
    page.see("#list .empty")
    ds = made.instance(PatientID=patient)
    house.store(ds)
    page.until(f"JSON.stringify({ROWS}) === JSON.stringify(['{ds.StudyInstanceUID}'])", "it is listed", 20)
    assert page.evaluate("document.querySelector('#list .chip').textContent") == "arriving"
    assert page.evaluate("document.querySelector('.spoken').textContent") == "1 new study."
    page.call("focus", "#list tbody .patient a")
    page.screenshot(f"studies-arriving-{width}")
    house.store(made.instance(study=ds.StudyInstanceUID, series=ds.SeriesInstanceUID, PatientID=patient))
    page.until("document.querySelector('#list td.count[data-label=Images]').textContent === '2'", "it is counted", 20)
    assert page.evaluate("document.activeElement.getAttribute('href')") == f"studies/{ds.StudyInstanceUID}", "the focus stays"
    assert page.faults() == []


def test_nothing_is_asked_while_nobody_looks(house, browser):
    page = browser.open()
    house.sign_in(page)
    page.call("goto", f"{house.server.url}/?id=HIDDEN")
    hide = "Object.defineProperty(document, 'visibilityState', {value: '%s', configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hide % "hidden")
    before = len(page.requests())
    house.store(made.instance(PatientID="HIDDEN"))
    # Longer than it waits when somebody looks; then it asks at once.
    page.call("waitForTimeout", 6000)
    assert len(page.requests()) == before
    page.evaluate(hide % "visible")
    page.until(f"{ROWS}.length === 1", "it looks again", 3)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_study_unfolds_in_the_list(house, browser, width):
    patient = f"FOLD-{width}"
    objects = made.study(2, PatientID=patient, SeriesDescription="<b>one</b>", rows=64, columns=64)
    study = objects[0].StudyInstanceUID
    objects.append(made.instance(study=study, PatientID=patient, SeriesNumber=2, Modality="MR", rows=64, columns=64))
    house.store(*objects, report(study, PatientID=patient, SeriesNumber=3))
    page = browser.open()
    page.call("setViewportSize", {"width": width, "height": 900})
    house.sign_in(page)
    page.call("goto", f"{house.server.url}/?id={patient}")
    page.see("button.unfold")
    assert page.evaluate("document.querySelector('button.unfold').getAttribute('aria-expanded')") == "false"
    page.call("focus", "button.unfold")
    page.call("keyboard.press", "Enter")
    page.see(".one-series")
    titles = page.evaluate("[...document.querySelectorAll('.one-series > div > a')].map((one) => one.textContent)")
    assert titles == ["CT · <b>one</b>", "MR", "SR"]
    page.until("[...document.querySelectorAll('.one-series img')].slice(0, 2).every((one) => one.naturalWidth > 0)", "pictures")
    page.click(".one-series summary")
    page.see(".one-series .unfolded a")
    links = page.evaluate("[...document.querySelectorAll('.one-series .unfolded a')].map((one) => one.getAttribute('href'))")
    first, second, _ = objects
    assert [link for link in links if link.endswith("/tags")] == [tags_path(ds)[1:] for ds in (first, second)]
    page.screenshot(f"studies-unfolded-{width}")
    assert page.complaints() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is open stays open when the list is made anew.
    house.store(made.instance(study=study, series=objects[2].SeriesInstanceUID, PatientID=patient, SeriesNumber=2, Modality="MR"))
    page.until("document.querySelector('#list td.count[data-label=Images]').textContent === '5'", "it is counted", 20)
    assert page.evaluate("document.querySelectorAll('.one-series .unfolded a').length") == len(links)
    assert page.evaluate("document.querySelector('button.unfold').getAttribute('aria-expanded')") == "true"
    page.click("button.unfold")
    assert page.evaluate("document.querySelector('.one-series')") is None
    assert page.faults() == []


# Its order


class Crowd:
    """A server of its own with 130 studies, and Python's idea of how they follow each other."""

    NAMES = ["Åberg^Zoe", "aberg^Anna", "ABERG^Berta", "Doe Smith^Ann", "DOE^Jane", "doe^jane", "Éclair^Y", "Eclair^X", "Strauß^E", "STRAUSS^F", "Иванов^И", "^Nobody", "", None]
    IDS = ["B2", "b1", "A10", "A9", "10", "9", "", None]
    DATES = ["20310105", "20310101", "", "20310103", "20310102"]

    def __init__(self, start):
        self.house = House(start)
        self.all = []
        self.store(130)

    def store(self, count):
        new = []
        for number in range(len(self.all), len(self.all) + count):
            name, patient, date = self.NAMES[number * 5 % 14], self.IDS[number * 3 % 8], self.DATES[number * 7 % 5]
            new.append(made.instance(PatientName=name, PatientID=patient, StudyDate=date, Modality="MR" if number % 3 else "CT"))
        self.house.store(*new)
        self.all += new

    def wanted(self, word, those=None):
        """Study Instance UIDs in an order, by what pydicom says of the objects that were sent."""
        way = word.removeprefix("-")
        down = word.startswith("-")
        arrived = {ds.StudyInstanceUID: place for place, ds in enumerate(self.all)}

        def moment(ds):
            return (ds.StudyDate, ds.StudyTime, arrived[ds.StudyInstanceUID])

        def name(ds):
            text = unicodedata.normalize("NFKD", str(ds.get("PatientName") or "").casefold())
            parts = "".join(c for c in text if not unicodedata.combining(c)).split("^")
            return parts if any(parts) else None

        keys = {"date": lambda ds: moment(ds) if ds.StudyDate else None, "arrived": lambda ds: arrived[ds.StudyInstanceUID],
                "name": name, "id": lambda ds: ds.get("PatientID") or None}  # fmt: skip
        key = keys[way]
        # Python's sort keeps what is equal as it was, whichever way it goes: newest first.
        newest = sorted(those if those is not None else self.all, key=moment, reverse=way in ("name", "id") or down)
        have = sorted((ds for ds in newest if key(ds) is not None), key=key, reverse=down)
        lack = [ds for ds in newest if key(ds) is None]
        if way == "id":
            lack.sort(key=lambda ds: ds.get("PatientID") is None)
        return [ds.StudyInstanceUID for ds in have + lack]

    def pages(self, path, between=lambda: None):
        """The studies of a page and of all that its links lead to."""
        found = []
        while path:
            text = self.house.page(path).text
            found.append(studies_of(text))
            link = re.search(r'<a rel="next" href="\./([^"]*)"', text)
            path = link and "/" + html.unescape(link.group(1))
            between()
        return found


@pytest.fixture(scope="module")
def crowd(start_module):
    return Crowd(partial(start_module))


SORTS = [f"{sign}{word}" for word in ("date", "name", "id", "arrived") for sign in ("", "-")]


@pytest.mark.parametrize("word", SORTS)
def test_the_list_comes_in_any_order_page_by_page(crowd, word):
    wanted = crowd.wanted(word)
    pages = crowd.pages(f"/?sort={word}")
    assert [uid for page in pages for uid in page] == wanted
    assert [len(page) for page in pages[:-1]] == [50] * (len(pages) - 1)
    ct = crowd.wanted(word, [ds for ds in crowd.all if ds.Modality == "CT"])
    assert [uid for page in crowd.pages(f"/?modality=ct&sort={word}") for uid in page] == ct
    late = crowd.wanted(word, [ds for ds in crowd.all if "20310102" <= ds.StudyDate <= "20310103"])
    assert [uid for page in crowd.pages(f"/?sort={word}&from=2031-01-02&to=2031-01-03") for uid in page] == late
    # Back again.
    last = crowd.house.page(f"/?sort={word}&offset=100&after={pages[1][-1]}").text
    back = html.unescape(re.search(r'<a rel="prev" href="\.([^"]*)"', last).group(1))
    assert crowd.house.listed(back) == pages[1]


def test_newest_first_is_the_order_when_nothing_else_is_said(crowd):
    wanted = crowd.wanted("-date")
    for path in ("/", "/?sort=-date", "/?sort=nonsense", "/?sort="):
        assert crowd.house.listed(path) == wanted[:50], path


@pytest.mark.parametrize("word", ["name", "-id", "-arrived", "-date"])
def test_no_study_is_lost_or_told_twice_while_others_arrive(crowd, word):
    before = crowd.wanted(word)
    told = [uid for page in crowd.pages(f"/?sort={word}", lambda: crowd.store(1)) for uid in page]
    assert len(set(told)) == len(told)
    assert [uid for uid in told if uid in before] == before


def test_programs_ask_for_an_order_too(crowd):
    def found(query, status=200):
        answer = crowd.house.root.get(f"{crowd.house.server.web}/studies?{query}", timeout=30)
        assert answer.status_code == status, (query, answer.text)
        return [web.value(row, "0020000D") for row in answer.json()] if status == 200 else answer.text

    for order, word in [
        ("StudyDate", "date"), ("-StudyDate,-StudyTime", "-date"), ("PatientName", "name"), ("-00100010", "-name"),
        ("PatientID,-StudyDate", "id"), ("-PatientID", "-id"),
    ]:  # fmt: skip
        wanted = crowd.wanted(word)
        assert found(f"orderby={order}") == wanted, order
        assert found(f"orderby={order}&limit=7&offset=90") == wanted[90:97], order
    for order in ("PatientSex", "PatientName,StudyDate", "StudyTime", "", "PatientName&orderby=PatientID"):
        assert "orderby" in found(f"orderby={order}", 400), order
    series = crowd.house.root.get(f"{crowd.house.server.web}/series?orderby=SeriesNumber&limit=1", timeout=30)
    assert series.status_code == 200 and "orderby" in series.headers["Warning"]


def sorted_by(page):
    return page.evaluate("[...document.querySelectorAll('th[aria-sort]')].map((one) => `${one.className} ${one.getAttribute('aria-sort')}`)")


@pytest.mark.parametrize("width", WIDTHS)
def test_heads_of_the_columns_order_the_list(crowd, browser, width):
    house = crowd.house
    page = browser.open()
    page.call("setViewportSize", {"width": width, "height": 900})
    house.sign_in(page)
    page.call("goto", f"{house.server.url}/?modality=ct")
    ct = [ds for ds in crowd.all if ds.Modality == "CT"]

    def shows(word, sort):
        wanted = crowd.wanted(word, ct)[:50]
        page.until(f"JSON.stringify({ROWS}) === JSON.stringify({wanted})", f"in the order {word}")
        assert sorted_by(page) == [sort]
        assert page.evaluate("document.querySelector('input[name=modality]').value") == "ct", "the filter is kept"

    shows("-date", "date descending")
    page.click(".orders a:has-text('Patient')")
    page.until("location.search === '?modality=ct&sort=name'", "the address says so")
    shows("name", "patient ascending")
    page.screenshot(f"studies-by-name-{width}")
    assert page.complaints() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.call("focus", ".orders a[aria-current]")
    page.call("keyboard.press", "Enter")
    page.until("location.search === '?modality=ct&sort=-name'", "once more turns it")
    shows("-name", "patient descending")
    page.call("focus", ".orders a:has-text('ID')")
    page.call("keyboard.press", "Enter")
    page.until("location.search === '?modality=ct&sort=id'", "by ID")
    shows("id", "patient ascending")
    page.click(".orders a:has-text('Arrived')")
    page.until("location.search === '?modality=ct&sort=-arrived'", "what came last on top")
    shows("-arrived", "date descending")
    # Typing keeps the order, and so does what arrives meanwhile.
    page.click("input[name=name]")
    page.call("keyboard.type", "doe")
    page.until("location.search === '?name=doe&modality=ct&sort=-arrived'", "the address has all")
    does = [ds for ds in ct if "doe" in str(ds.get("PatientName") or "").lower()]
    page.until(f"JSON.stringify({ROWS}) === JSON.stringify({crowd.wanted('-arrived', does)})", "those of that name")
    late = made.instance(PatientName="Doe^Late", PatientID="Z", StudyDate="20300101")
    house.store(late)
    crowd.all.append(late)
    page.until(f"{ROWS}[0] === '{late.StudyInstanceUID}'", "the new one is on top", 20)
    assert page.evaluate("document.querySelector('.spoken').textContent") == "1 new study."
    assert not page.evaluate("document.querySelector('.clear').hidden")
    page.call("fill", "input[name=name]", "")
    page.call("fill", "input[name=modality]", "")
    page.until("location.search === '?sort=-arrived' && document.querySelector('.clear').hidden", "nothing is left to clear")
    assert [fault for fault in page.faults() if "ERR_ABORTED" not in fault] == []


# Tags


def rich():
    """An object with what is hard to show."""
    ds = made.instance(PatientName="Yamada^Tarou=山田^太郎", PatientID="TAGS-1", ImageComments="long " * 200, StudyDescription="<script>alert(1)</script>")
    item = pydicom.Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = made.CT, "1.2.3.4"
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "121320", "DCM", "Uncompressed predecessor"
    item.PurposeOfReferenceCodeSequence = [code]
    ds.SourceImageSequence = [item, pydicom.Dataset()]
    block = ds.private_block(0x0011, "ACME 1", create=True)
    block.add_new(1, "LO", "theirs")
    ds.add_new(0x00282000, "OB", bytes(range(100)))
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.add_new(0x00281050, "DS", ["40", "-12.5"])
    return ds


@pytest.fixture(scope="module")
def tagged(house):
    ds = rich()
    house.store(ds)
    return ds


def lines_of(text):
    """(indentation, tag, name, VR, value) of each line of the page; items have a number as name."""
    lines = []
    for row in re.findall(r"<tr><td.*?</tr>", text):
        indent = int(re.search(r"in-(\d)", row).group(1))
        cells = [html.unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        lines.append((indent, *cells))
    return lines


def expected(ds, depth=0):
    """The same of pydicom's reading."""
    for element in ds:
        if element.tag == 0x00080005:
            continue
        tag = f"({element.tag.group:04X},{element.tag.elem:04X})"
        if element.tag.is_private:
            name = "private creator" if element.tag.is_private_creator else f"private: {element.private_creator}"
        else:
            name = element.keyword
        if element.VR == "SQ":
            yield depth, tag, name, "SQ", f"{len(element.value)} item{'s' if len(element.value) != 1 else ''}"
            for number, item in enumerate(element.value, 1):
                yield depth + 1, f"item {number}"
                yield from expected(item, depth + 1)
            continue
        value = element.value
        if isinstance(value, bytes):
            shown = "bulk data" if element.tag == 0x7FE00010 else f"{len(value)} bytes"
        elif element.VR in ("DS", "IS"):
            shown = "\\".join(f"{float(one):g}" for one in (value if element.VM > 1 else [value]))
        else:
            text = "\\".join(map(str, value)) if element.VM > 1 else str(value)
            text = text.rstrip() if element.VR not in ("UT", "LT", "ST") else text.rstrip(" ")
            shown = text if len(text) <= 200 else f"{text[:200]}… {len(text)} characters"
        yield depth, tag, name, element.VR, shown or "empty"


def test_tags_are_those_that_pydicom_reads(house, tagged):
    text = house.page(tags_path(tagged)).text
    read = pydicom.dcmread(io.BytesIO(made.file(tagged)))
    found = [line for line in lines_of(text) if line[1] != "(0008,0005)"]
    assert found == list(expected(read))
    assert "<script>alert" not in text
    bulk = re.search(r'<a href="([^"]*)" download>bulk data', text).group(1)
    got = house.page(requests.compat.urljoin(f"{house.server.url}{tags_path(tagged)}", bulk).removeprefix(house.server.url), Accept=web.OCTETS)
    assert web.parts_of(got)[0][1].startswith(bytes(tagged.PixelData))


def test_tags_are_searched_without_scripts(house, tagged):
    path = tags_path(tagged)
    for word, names in [
        ("yamada", ["PatientName"]),
        ("00100010", ["PatientName"]),
        ("(0010,0010)", ["PatientName"]),
        ("predecessor", ["SourceImageSequence", "PurposeOfReferenceCodeSequence", "CodeMeaning"]),
        ("acme", ["private creator", "private: ACME 1"]),
        ("nothing at all", []),
    ]:
        text = house.page(f"{path}?q={requests.utils.quote(word)}").text
        assert [line[2] for line in lines_of(text) if len(line) == 5] == names, word
        assert f'value="{word}"' in text
    house.page(f"{path}?q={'a' * 300}", status=400)


def test_tags_are_shown_to_who_may_see_them(house, tagged):
    path = tags_path(tagged)
    assert requests.get(f"{house.server.url}{path}", headers={"Accept": "*/*"}, timeout=30).status_code == 401
    house.page(path, "vera")
    assert any(row["who"] == "vera" and tagged.StudyInstanceUID in row["studies"] for row in people.trail(house.server))
    office = Office(house.server, people.bearer(house.tokens["root"]))
    other = made.instance(PatientID="TAGS-2")
    paper = report(other.StudyInstanceUID, PatientID="TAGS-2")
    house.store(other, paper)
    _, guest = office.session(other.StudyInstanceUID)
    assert guest.get(f"{house.server.url}{tags_path(other)}", timeout=30).status_code == 200
    assert guest.get(f"{house.server.url}{path}", timeout=30).status_code == 404
    _, blind = office.session(blind=[other.StudyInstanceUID])
    assert blind.get(f"{house.server.url}{tags_path(other)}", timeout=30).status_code == 200
    assert blind.get(f"{house.server.url}{tags_path(paper)}", timeout=30).status_code == 404
    for wrong in (path.replace(tagged.SOPInstanceUID, "1.2.3"), path.replace(tagged.SOPInstanceUID, "x")):
        house.page(wrong, status=404)


@pytest.mark.parametrize("width", WIDTHS)
def test_tags_are_filtered_while_somebody_types(house, tagged, browser, width):
    page = browser.open()
    page.call("setViewportSize", {"width": width, "height": 900})
    house.sign_in(page)
    page.call("goto", f"{house.server.url}/studies/{tagged.StudyInstanceUID}")
    page.screenshot(f"study-{width}")
    page.click("figcaption a:has-text('tags')")
    page.see("table.tags")
    page.screenshot(f"tags-{width}")
    page.click("input[name=q]")
    page.call("keyboard.type", "predecessor")
    page.until("document.querySelectorAll('table.tags tbody tr').length === 5", "the sequence, its items, and what was found")
    page.screenshot(f"tags-found-{width}")
    assert page.evaluate("document.querySelector('.spoken').textContent") == "5 lines."
    assert page.evaluate("document.activeElement.name") == "q"
    assert page.complaints() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [fault for fault in page.faults() if "ERR_ABORTED" not in fault] == []


# ZIP, and removal


def test_a_study_is_taken_along_as_a_zip(house):
    objects = made.study(3, PatientID="ZIP-1")
    house.store(*objects)
    study = objects[0].StudyInstanceUID
    text = house.page(f"/studies/{study}").text
    link = re.search(r'href="\.\.(/[^"]*)" download>Download \(ZIP\)', text).group(1)
    held = zipfile.ZipFile(io.BytesIO(house.page(html.unescape(link)).content))
    read = [pydicom.dcmread(io.BytesIO(held.read(name))) for name in held.namelist() if name != "DICOMDIR"]
    assert {ds.SOPInstanceUID for ds in read} == {ds.SOPInstanceUID for ds in objects}
    _, guest = Office(house.server, people.bearer(house.tokens["root"])).session(study)
    assert "Download (ZIP)" not in guest.get(f"{house.server.url}/studies/{study}", timeout=30).text


def form_of(house, study):
    text = house.page(f"/studies/{study}/remove").text
    return text, {"version": re.search(r'name="version" value="(\d+)"', text).group(1)}


def post(house, study, form, who="root", **headers):
    headers = people.bearer(house.tokens[who]) | {"Accept": "text/html"} | headers
    return requests.post(f"{house.server.url}/studies/{study}/remove", data=form, headers=headers, timeout=30)


@pytest.mark.parametrize(("patient", "word"), [("GONE-1", "GONE-1"), (None, "DELETE")], ids=["of a patient", "of nobody"])
def test_a_study_is_removed_by_who_types_whose_it_is(house, patient, word):
    objects = made.study(2, PatientID=patient, SeriesDescription="<i>first</i>")
    study = objects[0].StudyInstanceUID
    objects.append(made.instance(study=study, PatientID=patient, Modality="MR"))
    house.store(*objects)
    assert f'href="{study}/remove"' in house.page(f"/studies/{study}").text
    text, form = form_of(house, study)
    assert "3 objects in 2 series" in text and "&lt;i&gt;first&lt;/i&gt;" in text
    here = f"{house.server.web}/studies/{study}/metadata"
    for wrong in ("", "delete", word[:-1], word + "x", word.lower()):
        answer = post(house, study, form | {"word": wrong})
        assert answer.status_code == 400 and "Nothing was removed" in answer.text
    assert post(house, study, {"word": word}).status_code == 409
    assert house.root.get(here, timeout=30).status_code == 200
    assert not [row for row in people.trail(house.server) if study in row["studies"] and "removed" in row["detail"]]

    answer = post(house, study, form | {"word": f" {word} "})
    assert answer.status_code == 200 and "3 objects" in answer.text
    assert house.root.get(here, timeout=30).status_code == 410
    house.page(f"/studies/{study}", status=404)
    row = next(row for row in people.trail(house.server) if study in row["studies"] and "removed" in row["detail"])
    assert (row["who"], row["detail"]) == ("root", "removed on its page")
    assert people.shell(house.server, "audit verify").returncode == 0
    assert post(house, study, form | {"word": word}).status_code == 404


def test_what_was_not_shown_is_not_removed(house):
    ds = made.instance(PatientID="GONE-2")
    study = ds.StudyInstanceUID
    house.store(ds)
    _, form = form_of(house, study)
    house.store(made.instance(study=study, PatientID="GONE-2"))
    answer = post(house, study, form | {"word": "GONE-2"})
    assert answer.status_code == 409 and "has changed" in answer.text and "2 objects in 2 series" in answer.text
    assert house.root.get(f"{house.server.web}/studies/{study}/metadata", timeout=30).status_code == 200


def test_who_may_not_remove_does_not(house, start):
    ds = made.instance(PatientID="GONE-3")
    study = ds.StudyInstanceUID
    house.store(ds)
    _, form = form_of(house, study)
    form["word"] = "GONE-3"
    for who in ("vera", "rita"):
        assert "/remove" not in house.page(f"/studies/{study}", who).text
        house.page(f"/studies/{study}/remove", who, status=403)
        assert post(house, study, form, who).status_code == 403
    assert post(house, study, form, Origin="https://elsewhere.example").status_code == 403
    assert house.root.get(f"{house.server.web}/studies/{study}/metadata", timeout=30).status_code == 200
    kept = House(start, config={"http": {"allow_delete": "never"}})
    kept.store(ds)
    assert "/remove" not in kept.page(f"/studies/{study}").text
    kept.page(f"/studies/{study}/remove", status=403)
    assert post(kept, study, form).status_code == 403


@pytest.mark.parametrize("width", WIDTHS)
def test_in_the_browser_a_study_is_removed(house, browser, width):
    patient = f"GONE-{width}"
    ds = made.instance(PatientID=patient)
    house.store(ds)
    page = browser.open()
    page.call("setViewportSize", {"width": width, "height": 900})
    house.sign_in(page)
    page.call("goto", f"{house.server.url}/studies/{ds.StudyInstanceUID}")
    page.click(".open a:has-text('Remove')")
    page.see("h1:has-text('Remove this study?')")
    page.call("fill", "input[name=word]", "GONE")
    page.click("button.danger")
    page.see("[role=alert]")
    page.screenshot(f"remove-{width}")
    assert page.complaints() == []
    page.call("fill", "input[name=word]", patient)
    page.click("button.danger")
    page.see("h1:has-text('Removed')")
    page.click(".back a")
    page.see("h1:has-text('Studies')")
    assert house.listed(f"/?id={patient}") == []
    assert [fault for fault in page.faults() if not fault.startswith(("status: 400", "console: Failed to load resource"))] == []
