"""Pages for people without an account speak their language, as their browser asks or as they choose; what they say is what the
catalogues have, in the page and in its module. Screenshots are left in target/screenshots."""

import json
import re

import pydicom
import pytest
import requests
from pydicom._uid_dict import UID_dictionary
from test_inbox import House
from test_pages import Clinic, sign_in, walk

from harness import brought, people
from harness.browser import Browser
from harness.server import REPOSITORY

TAGS = ["de", "fr", "es", "hi"]
AREAS = [json.loads(path.read_text()) for path in sorted((REPOSITORY / "web/texts").glob("*.json"))]
CATALOGUES = {tag: {english: said[tag] for area in AREAS for english, said in area.items()} for tag in TAGS}
# Every text that a person or a screen reader meets.
TEXTS = """(() => {
    const found = [document.title];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) found.push(walker.currentNode.data.trim());
    for (const one of document.querySelectorAll('[aria-label]')) found.push(one.getAttribute('aria-label'));
    return found.filter(Boolean);
})()"""


# All that a person or a screen reader meets but what is data: names, UIDs, what others wrote.
SAID = """(() => {
    const data = 'bdi, code, pre, kbd, time, textarea, script, style, noscript, .languages, main [lang=en]';
    const found = [[document.title, 'title']];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const { data: text, parentElement } = walker.currentNode;
        if (!parentElement.closest(data)) found.push([text.trim(), parentElement.tagName]);
    }
    for (const name of ['aria-label', 'title', 'alt', 'placeholder']) {
        for (const one of document.querySelectorAll(`[${name}]`)) {
            if (!one.closest(data)) found.push([one.getAttribute(name), name]);
        }
    }
    return found.filter(([text]) => text);
})()"""
LATIN = re.compile(r"[A-Za-z]{3,}")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


@pytest.fixture(scope="module")
def house(start_module):
    return House(start_module())


@pytest.fixture(scope="module")
def clinic(start_module):
    return Clinic(start_module)


def get(url, **headers):
    return requests.get(url, headers=headers, timeout=30)


def is_english(tag, text):
    """Whether a text is one that the catalogue says otherwise."""
    catalogue = CATALOGUES[tag]
    patterns = [(re.escape(english), said) for english, said in catalogue.items() if english != said]
    for pattern, said in patterns:
        pattern = re.sub(r"\\{\w+\\}", ".+", pattern)
        if re.fullmatch(pattern, text) and not re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(said)), text):
            return True
    return False


@pytest.mark.parametrize("tag", TAGS)
def test_who_brings_images_is_spoken_to_in_their_language(house, tmp_path, tag):
    said = CATALOGUES[tag]
    _, link = house.inbox()
    files = {"disc.zip": brought.zipped(brought.disc(brought.slices(4))), "letter.pdf": brought.PDF, "notes.txt": b"nothing", "damaged.zip": b"PK\3\4" + bytes(50)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with Browser(tmp_path) as browser:
        page = browser.open()
        page.call("setExtraHTTPHeaders", {"Accept-Language": f"nl, {tag}-XX;q=0.9, en;q=0.5"})
        page.call("goto", link)
        assert page.evaluate("document.documentElement.lang") == tag
        assert page.evaluate("document.querySelector('main button').textContent") == said["Begin"]
        page.click("main button")
        page.see("#upload")
        page.call("setInputFiles", "input[name=files]", [str(tmp_path / name) for name in files])
        page.click("#upload button")
        page.until("document.querySelector('#sending').dataset.state === 'done'", "all is sent")
        page.until(f"document.querySelector('#arrived').textContent.includes({said['looks complete']!r})", "what arrived is told")
        page.click("#sending summary")
        texts = page.evaluate(TEXTS)
        assert said["What has arrived"] in texts and said["Send"] in texts and said["All files"] in texts
        assert any(said["neither images nor a document: not needed"] in text for text in texts)
        assert any(text.startswith(": " + said["cannot be read"]) for text in texts), texts
        assert not [text for text in texts if is_english(tag, text.removeprefix(": "))]
        for width in (1280, 390):
            page.call("setViewportSize", {"width": width, "height": 900})
            page.screenshot(f"language-{tag}-{width}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.complaints() == []
        page.click("#finish button")
        page.see("#finish [role=status]")
        assert said["Thank you. Whoever asked you has been told that everything was sent. You may close this page, or send more."] in page.evaluate(TEXTS)
        # They choose another one, and it stays.
        page.click(".languages a[hreflang=en]")
        page.see("h1:has-text('Send your images')")
        page.call("goto", f"{house.server.url}/inbox")
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.faults() == []


def test_a_language_is_chosen_by_a_cookie_and_leads_nowhere_else(house):
    url = house.server.url
    for then, place in [("/sign-in", "/sign-in"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/l/x", "/l/x")]:
        answer = requests.get(f"{url}/language/fr", params={"then": then}, timeout=30, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, url + place)
        assert answer.headers["Set-Cookie"].startswith("overread_language=fr;")
    assert requests.get(f"{url}/language/xx", timeout=30, allow_redirects=False).status_code == 404
    for headers, tag in [({}, "en"), ({"Accept-Language": "es"}, "es"), ({"Accept-Language": "es", "Cookie": "overread_language=hi"}, "hi"), ({"Cookie": "overread_language=<b>"}, "en")]:
        text = get(f"{url}/sign-in", **headers).text
        assert f'<html lang="{tag}"' in text, headers
        assert (CATALOGUES[tag]["Passcode"] if tag != "en" else "Passcode") in text


def test_what_is_wrong_is_said_in_the_language_too(house):
    _, link = house.inbox()
    answer = get(link[:-5] + "AAAAA", **{"Accept-Language": "de"})
    assert answer.status_code == 404 and CATALOGUES["de"]["This link opens nothing"] in answer.text
    form = {"name": "root", "passcode": "not this one at all"}
    answer = requests.post(f"{house.server.url}/sign-in", data=form, headers={"Accept-Language": "fr"}, timeout=30)
    assert answer.status_code == 401 and CATALOGUES["fr"]["the name or the passcode is wrong"] in answer.text


def words_of(value):
    """The words of all texts of an answer; names of members are none."""
    if isinstance(value, dict):
        return set().union(*map(words_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(words_of, value))
    return set(LATIN.findall(value)) if isinstance(value, str) else set()


def words_of_data(clinic):
    """What pages show as it is: what images and people say, and the standard's own words."""
    paths = ["api/v1/cases", f"api/v1/cases/{clinic.number}", f"api/v1/cases/{clinic.waiting}", "api/v1/users", "api/v1/tokens", "api/v1/quarantine",
             "dicom-web/studies?includefield=all", "dicom-web/series?includefield=all", "dicom-web/instances?includefield=all"]  # fmt: skip
    answers = [requests.get(f"{clinic.server.url}/{path}", headers=clinic.bearer("root"), timeout=30) for path in paths]
    assert all(answer.status_code == 200 for answer in answers), [answer.status_code for answer in answers]
    kept = set().union(*(LATIN.findall(said) for said in CATALOGUES["hi"].values()))
    # Keywords of attributes and names of classes; how the trail and the configuration call things.
    kept |= set(pydicom.datadict.keyword_dict).union(*(LATIN.findall(name) for name, *_ in UID_dictionary.values()))
    kept |= {"OVERREAD", "there", "THERE", "server", "session", "shell", "token", "store", "find", "move", "get", "commit"}
    return kept.union(*(words_of(answer.json()) for answer in answers))


@pytest.mark.parametrize("name", ["root", "rita", "anna"])
def test_no_page_leaves_a_word_in_english(clinic, tmp_path, name):
    """A page in Hindi has no Latin letters but those of data, so whatever nobody translated stands out."""

    def judge(page, kind):
        assert page.evaluate("document.documentElement.lang") == "hi", kind
        return [(kind, where, text) for text, where in page.evaluate(SAID)]

    with Browser(tmp_path) as browser:
        page = browser.open()
        page.call("setExtraHTTPHeaders", {"Accept-Language": "hi"})
        sign_in(page, clinic, name)
        kinds, found = walk(page, clinic, f"hi-{name}", f"{clinic.server.url}/cases/{clinic.waiting}", judge)
    assert len(kinds) > 3
    # What was stored meanwhile is data too.
    data = words_of_data(clinic)
    english = {f"{kind}: {where}: {text}" for kind, where, text in found if set(LATIN.findall(DIGEST.sub("", text))) - data}
    assert not english, "\n".join(sorted(english))
