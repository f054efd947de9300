"""Every page that links lead to, for each who comes: axe-core finds nothing wrong in it (WCAG 2.2 AA), no script complains,
nothing is loaded from elsewhere, nothing hangs over the side of a telephone, and a list is small. Screenshots are left in
target/screenshots."""

import re
from collections import Counter
from functools import partial
from urllib.parse import urljoin, urlsplit

import pytest
from test_cases import House

from harness import brought, made, people, wait, web
from harness.browser import Browser
from harness.granting import HOUR_MS, now_ms
from harness.server import free_port

UIDS_AND_NUMBERS = re.compile(r"(?<=/)(\d+(\.\d+)+|\d+|l/[^/]+)(?=/|$)")
LINKS = "[...document.querySelectorAll('a[href]')].map((a) => [a.getAttribute('href'), a.hasAttribute('download')])"
# Bytes of the first list, its scripts and pictures included (issue 8).
LIST_BYTES_MAX = 300_000


class Clinic(House):
    """Something of everything that pages show."""

    def __init__(self, start):
        super().__init__(partial(start, config={"dicom": {"peers": [f"there = THERE@127.0.0.1:{free_port()}"]}}))
        self.number = self.open(readers=[{"account": "anna"}, {"pool": "neuro"}], due="2099-01-31T12:00:00Z")
        self.signed(self.number, "anna")
        self.waiting = self.open(readers=[{"account": "anna"}], urgency="stat")
        self.act(self.waiting, "claim", "anna")
        late = made.instance(study=self.study, InstanceNumber=77)
        self.store(late)
        session = web.requests.Session()
        session.headers.update(self.bearer("root"))
        other = made.instance(study=late.StudyInstanceUID, series=late.SeriesInstanceUID, sop=late.SOPInstanceUID, InstanceNumber=78)
        web.stow(self.server, [made.file(other)], session=session)

    def bearer(self, name):
        return people.bearer(self.tokens[name])

    def link(self, **body):
        body = {"expires_ms": now_ms() + HOUR_MS, "label": "Dr. Else"} | body
        answer = web.requests.post(f"{self.server.url}/api/v1/grants", json=body, headers=self.bearer("root"), timeout=30)
        assert answer.status_code == 201, answer.text
        return answer.json()["link"]


@pytest.fixture(scope="module")
def clinic(start_module):
    return Clinic(start_module)


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path) as browser:
        yield browser


def sign_in(page, clinic, name):
    page.call("goto", f"{clinic.server.url}/sign-in")
    page.call("fill", "input[name=name]", name)
    page.call("fill", "input[name=passcode]", people.PASSCODE)
    page.click("main button")
    page.until("!location.pathname.includes('sign-in')", "it lets in")


def judge(page, name):
    """What is wrong with a page, in both widths and colours."""
    found = []
    for width in (1280, 390):
        page.call("setViewportSize", {"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.call("emulateMedia", {"colorScheme": scheme})
            found += [f"{name} {width} {scheme}: {line}" for line in page.complaints()]
            page.screenshot(f"page-{name}-{width}-{scheme}")
        hanging = page.evaluate("document.documentElement.scrollWidth") - width
        if hanging > 0:
            found.append(f"{name} {width}: hangs over by {hanging} px")
    page.call("emulateMedia", {"colorScheme": "light"})
    return found


def walk(page, clinic, who, first, judge=judge):
    """Follows links from a page; two pages of each kind, as cases look different in different states. (kinds, complaints)"""
    waiting, seen, kinds, found = [first], set(), Counter(), []
    while waiting:
        url = waiting.pop(0)
        path = urlsplit(url).path
        kind = UIDS_AND_NUMBERS.sub("*", path)
        if path in seen or kinds[kind] == 2:
            continue
        seen.add(path)
        kinds[kind] += 1
        page.call("goto", url)
        found += judge(page, f"{who}{kind.replace('/', '-').replace('*', 'x')}-{kinds[kind]}")
        for href, is_download in page.evaluate(LINKS):
            link = urljoin(url, href)
            leads_out = is_download or urlsplit(link).netloc != urlsplit(clinic.server.url).netloc
            if not leads_out and not re.match(r"/(dicom-web|api|assets|picture|viewer|language)/", urlsplit(link).path):
                waiting.append(link)
    return set(kinds), found


def is_quiet(page, clinic):
    # The list asks for itself again and again: left in that moment, it gives that up.
    left = f"failed: GET {clinic.server.url}/ net::ERR_ABORTED"
    assert [fault for fault in page.faults() if fault != left] == []
    strange = [r["url"] for r in page.requests() if not r["url"].startswith((clinic.server.url, "data:", "blob:"))]
    assert strange == []


def test_an_administrator_sees_no_page_that_axe_complains_of(clinic, browser):
    page = browser.open()
    sign_in(page, clinic, "root")
    kinds, found = walk(page, clinic, "root", f"{clinic.server.url}/")
    wanted = {"/", "/studies/*", "/studies/*/look", "/studies/*/case", "/studies/*/evidence", "/cases", "/cases/*", "/cases/*/print",
              "/statistics", "/upload", "/inboxes", "/admin", "/admin/quarantine", "/admin/quarantine/*", "/sending",
              "/admin/users", "/admin/users/anna", "/admin/tokens", "/admin/audit", "/admin/audit/disclosures", "/admin/network",
              "/studies/*/remove", "/studies/*/series/*/instances/*/tags"}  # fmt: skip
    assert kinds >= wanted, wanted - kinds
    assert not found, "\n".join(found)
    is_quiet(page, clinic)


def test_a_reader_sees_no_page_that_axe_complains_of(clinic, browser):
    page = browser.open()
    sign_in(page, clinic, "anna")
    kinds, found = walk(page, clinic, "anna", f"{clinic.server.url}/cases/{clinic.waiting}")
    assert kinds >= {"/cases", "/cases/*", "/studies/*", "/studies/*/look"}, kinds
    assert not found, "\n".join(found)
    is_quiet(page, clinic)


def test_who_has_a_link_sees_no_page_that_axe_complains_of(clinic, browser):
    page = browser.open()
    link = clinic.link(case=clinic.number, to="reader", pin="2468")
    page.call("goto", link)
    found = judge(page, "link-way-in")
    page.call("fill", "input[name=pin]", "2468")
    page.click("main button")
    page.see("h1:has-text('Case')")
    kinds, more = walk(page, clinic, "link", f"{clinic.server.url}/cases/{clinic.number}")
    assert kinds >= {"/cases", "/cases/*", "/studies/*", "/studies/*/look"}, kinds
    assert not found + more, "\n".join(found + more)
    is_quiet(page, clinic)


def test_who_brings_images_sees_no_page_that_axe_complains_of(clinic, browser, tmp_path):
    page = browser.open()
    link = clinic.link(to="inbox")
    page.call("goto", link)
    found = judge(page, "inbox-way-in")
    page.click("main button")
    page.see("#upload")
    found += judge(page, "inbox-empty")
    disc = tmp_path / "disc.zip"
    disc.write_bytes(brought.zipped(brought.disc(brought.slices(5))))
    (tmp_path / "notes.txt").write_text("not an image")
    page.call("setInputFiles", "input[name=files]", [str(disc), str(tmp_path / "notes.txt")])
    page.click("#upload button")
    page.until("document.querySelector('#sending').dataset.state === 'done'", "all is sent")
    page.click("#sending summary")
    found += judge(page, "inbox-sent")
    page.click("#finish button")
    page.see("#finish [role=status]")
    found += judge(page, "inbox-finished")
    assert not found, "\n".join(found)
    is_quiet(page, clinic)


def test_who_is_not_let_in_is_told_on_a_page_like_others(clinic, browser):
    page = browser.open()
    found = []
    for name, path in (("nobody", "/sign-in"), ("nothing", "/l/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), ("asked", "/cases/1")):
        page.call("goto", clinic.server.url + path)
        found += judge(page, name)
    sign_in(page, clinic, "anna")
    for name, path in (("missing", f"/studies/{made.uid()}"), ("refused", "/admin")):
        page.call("goto", clinic.server.url + path)
        assert page.evaluate("document.querySelector('main h1').textContent")
        found += judge(page, name)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("kind", ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*", "application/json", None])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path, status",
    [("/admin", 403), ("/studies/1.2.3", 404), ("/nowhere/at/all", 404), ("/?name=%FF", 400), ("/api/v1/nothing", 404), ("/dicom-web/x", 404)],
)
def test_what_is_wrong_is_a_page_for_people_and_a_sentence_for_programs(clinic, path, status, method, kind):
    answer = web.requests.request(method, clinic.server.url + path, headers=clinic.bearer("anna") | {"Accept": kind}, timeout=30)
    assert answer.status_code == status
    is_page = kind is not None and kind.startswith("text/html") and not path.startswith(("/api", "/dicom-web"))
    assert answer.headers["Content-Type"].startswith("text/html") == is_page
    assert ("Content-Security-Policy" in answer.headers) == is_page
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if method == "HEAD":
        plain = web.requests.get(clinic.server.url + path, headers=clinic.bearer("anna") | {"Accept": kind}, timeout=30)
        assert answer.content == b"" and answer.headers["Content-Length"] == plain.headers["Content-Length"]
    elif is_page:
        assert answer.text.count("<h1>") == 1 and "anna" not in answer.text and 'role="alert"' in answer.text


def test_a_form_that_is_refused_ends_its_connection_and_says_why(clinic):
    """From another site, with a body that nobody reads."""
    for kind in ("text/html", "*/*"):
        headers = clinic.bearer("anna") | {"Accept": kind, "Origin": "https://evil.example"}
        answer = web.requests.post(f"{clinic.server.url}/upload", data=b"x" * 100_000, headers=headers, timeout=30)
        assert answer.status_code == 403 and answer.headers["Connection"] == "close"
        assert ("<h1>" in answer.text) == (kind == "text/html")


@pytest.mark.parametrize("path", ["/", "/cases"])
def test_a_list_that_nobody_looks_at_keeps_no_session_alive(clinic, browser, path):
    """By the clock of the page: it asks while somebody is there, and again when they come back."""
    page = browser.open()
    sign_in(page, clinic, "root")
    page.call("clock.install")
    page.call("goto", clinic.server.url + path)

    def asked():
        return sum(request["url"] == clinic.server.url + path for request in page.requests())

    before = asked()
    page.call("clock.runFor", 16_000)
    wait.until(lambda: asked() > before, "it asks")
    page.call("clock.fastForward", 11 * 60_000)
    page.call("clock.runFor", 60_000)
    before = asked()
    page.call("clock.runFor", 120_000)
    assert asked() == before
    page.call("mouse.move", 100, 100)
    wait.until(lambda: asked() > before, "it asks again")


def test_the_first_list_is_small(clinic, browser):
    """200 studies more than one page holds."""
    session = web.requests.Session()
    session.headers.update(clinic.bearer("root"))
    for place in range(8):
        assert web.stow(clinic.server, [made.file(made.instance(PatientID=f"{place}-{n}")) for n in range(25)], session=session).status_code == 200
    page = browser.open()
    sign_in(page, clinic, "root")
    page.call("goto", f"{clinic.server.url}/sign-in")
    # What the browser kept of the way in does not count as nothing.
    page.call("goto", f"{clinic.server.url}/")
    page.see("table tbody tr")
    bytes_of = "performance.getEntriesByType('%s').reduce((sum, entry) => sum + entry.encodedBodySize, 0)"
    total = page.evaluate(f"{bytes_of % 'navigation'} + {bytes_of % 'resource'}")
    assert 5_000 < total < LIST_BYTES_MAX
