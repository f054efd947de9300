"""The draft of a reader, who has several pages of one case open, each of which saves: by two clients of the API, and in tabs of
Chromium with the form of the case, without its script (test_reading.py has it with), and the quick look. Nothing that was typed
or marked on one is undone by another."""

import concurrent.futures
import json
import re
import sqlite3

import numpy
import pytest
import requests

from harness import made, people, web
from harness.browser import Browser
from harness.granting import HOUR_MS, Office, now_ms
from harness.looking import Look

IMPRESSION = {"findings": "Höhenminderung L1.", "impression": "Fracture of L1.", "confidence": "high"}


@pytest.fixture(scope="module")
def server(start_module):
    server = start_module()
    server.office = Office(server)
    for name, role in (("rita", "requester"), ("anna", "reader")):
        people.add_user(server, name, role)
    for name in ("rita", "anna"):
        setattr(server, name, requests.Session())
        getattr(server, name).headers.update(people.bearer(people.token(server, name)[1]))
    server.root = requests.Session()
    server.root.headers.update(server.office.headers)
    return server


class Asked:
    """A case about a study of five images, asked of one reader."""

    def __init__(self, server, **reader):
        self.server = server
        self.study, self.series = made.uid(), made.uid()
        cells = numpy.arange(64, dtype="<u2").reshape(8, 8)
        images = [
            made.instance(rows=8, columns=8, pixels=cells.tobytes(), study=self.study, series=self.series, InstanceNumber=number) for number in range(1, 6)
        ]
        self.names = [f"{self.study}/{self.series}/{ds.SOPInstanceUID}" for ds in images]
        assert web.stow(server, [made.file(ds) for ds in images], session=server.root).status_code == 200
        self.api = f"{server.url}/api/v1/cases"
        body = {"study_instance_uid": self.study, "question": "?", "subspecialty": "any", "needs_complete": False, "readers": [reader or {"account": "anna"}]}
        asked = server.rita.post(self.api, json=body, timeout=60)
        assert asked.status_code == 201, asked.text
        self.number = asked.json()["number"]
        self.draft = f"{self.api}/{self.number}/draft"

    def claimed(self):
        assert self.server.anna.post(f"{self.api}/{self.number}/claim", timeout=60).status_code == 200
        return self


def put(asked, body, tag=None):
    headers = {} if tag is None else {"If-Match": tag}
    return asked.server.anna.put(asked.draft, json=body, headers=headers, timeout=60)


def get(asked):
    return asked.server.anna.get(asked.draft, timeout=60)


def test_only_the_draft_that_was_read_is_replaced(server):
    asked = Asked(server).claimed()
    empty = get(asked)
    assert empty.status_code == 204
    nothing = empty.headers["ETag"]
    assert nothing.startswith('"') and nothing.endswith('"')
    first = put(asked, {"a": 1}, nothing)
    assert first.status_code == 204 and first.headers["ETag"] != nothing
    one = get(asked)
    assert (one.json(), one.headers["ETag"]) == ({"a": 1}, first.headers["ETag"])
    for tag in (nothing, '"1"', '""'):
        refused = put(asked, {"a": 2}, tag)
        assert refused.status_code == 412 and refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["status"] == 412 and refused.json()["detail"]
    for tag in ("1", "W/1", f"{nothing}, {first.headers['ETag']}"):
        assert put(asked, {"a": 2}, tag).status_code == 400
    assert get(asked).json() == {"a": 1}
    # As proxies that compress leave a tag (nginx, Apache).
    assert put(asked, {"a": 2}, f"W/{nothing}").status_code == 412
    for tag in (f"W/{first.headers['ETag']}", first.headers["ETag"][:-1] + '-gzip"'):
        assert put(asked, {"a": 1}, tag).status_code == 204
    second = put(asked, {"a": 2}, first.headers["ETag"])
    assert second.status_code == 204 and second.headers["ETag"] not in (nothing, first.headers["ETag"])
    # Who does not say what they have read replaces whichever there is.
    assert put(asked, {"a": 3}).status_code == put(asked, {"a": 4}, "*").status_code == 204
    assert get(asked).json() == {"a": 4}


def test_of_many_at_once_one_replaces_it(server):
    asked = Asked(server).claimed()
    tag = get(asked).headers["ETag"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: (number, put(asked, {"a": number}, tag).status_code), range(8)))
    [kept] = [number for number, status in answers if status == 204]
    assert sorted(status for _, status in answers) == [204] + [412] * 7
    assert get(asked).json() == {"a": kept}


def test_what_is_committed_or_signed_is_of_the_draft_that_was_read(server):
    asked = Asked(server).claimed()
    one, two = asked.names[:2]
    first = put(asked, {"key_images": [one]}).headers["ETag"]
    second = put(asked, {"key_images": [one, two]}, first).headers["ETag"]

    def act(word, body, tag):
        return server.anna.post(f"{asked.api}/{asked.number}/{word}", json=body, headers={"If-Match": tag}, timeout=60)

    def state():
        return server.anna.get(f"{asked.api}/{asked.number}", timeout=60).json()["tasks"][0]["state"]

    stale = act("commit", IMPRESSION, first)
    assert stale.status_code == 412 and stale.headers["Content-Type"] == "application/problem+json" and "draft" in stale.json()["detail"]
    for tag in ("x", '"x"', f"{first}, {second}", second[:-2] + '"'):
        assert act("commit", IMPRESSION, tag).status_code == 400, tag
    assert state() == "claimed"
    assert act("withdraw", None, second).status_code == 400
    assert act("commit", IMPRESSION, f"W/{second}").status_code == 200 and state() == "committed"
    # What is marked now would be in nothing that is ever said; texts are kept.
    for images, tag in (([one], second), ([one], None), ([*asked.names], "*")):
        refused = put(asked, {"key_images": images}, tag)
        assert refused.status_code == 409 and "committed" in refused.json()["detail"], refused.text
    form = {"key_image": asked.names[2]}
    assert server.anna.post(f"{server.url}/cases/{asked.number}/mark", data=form, headers={"Origin": server.url}, timeout=60).status_code == 409
    third = put(asked, {"key_images": [two, one], "comment": "None."}, second)
    assert third.status_code == 204 and get(asked).json()["comment"] == "None."
    assert act("sign", {"comment": "None."}, second).status_code == 412 and state() == "committed"
    assert act("sign", {"comment": "None."}, third.headers["ETag"]).status_code == 200 and state() == "signed"
    assert put(asked, {"comment": "More."}).status_code == 409


def test_key_images_are_marked_from_the_claim_to_the_commitment(server):
    asked = Asked(server)
    one = asked.names[0]

    def offered():
        look = server.anna.get(f"{server.url}/studies/{asked.study}/look?case={asked.number}", timeout=60)
        assert look.status_code == 200
        return f'data-case="{asked.number}"' in look.text

    def marked():
        form = {"key_image": one}
        page = server.anna.post(f"{server.url}/cases/{asked.number}/mark", data=form, headers={"Origin": server.url}, timeout=60, allow_redirects=False)
        return page.status_code == 303, put(asked, {"key_images": [one]}).status_code == 204

    assert not offered() and marked() == (False, False)
    asked.claimed()
    assert offered() and marked() == (True, True)
    assert server.anna.post(f"{asked.api}/{asked.number}/commit", json=IMPRESSION, timeout=60).status_code == 200
    assert not offered() and marked()[0] is False and put(asked, {"key_images": asked.names}).status_code == 409
    assert server.anna.post(f"{asked.api}/{asked.number}/sign", json={}, timeout=60).status_code == 200
    assert not offered() and marked() == (False, False)


def fields(page):
    """What the form of a page sends."""
    hidden = re.findall(r'<input type="hidden" name="(impression_read|shown_image)" value="([^"]*)"', page)
    ticked = re.findall(r'<input type="checkbox" name="key_image" value="([^"]*)" checked', page)
    return [*IMPRESSION.items(), *hidden, *(("key_image", name) for name in ticked)]


@pytest.mark.parametrize("times", range(3))
def test_every_mark_that_was_kept_is_committed(server, times):
    """One tab marks image after image while the form of another is committed, and sent again until it shows all there is."""
    asked = Asked(server).claimed()
    page, kept = f"{server.url}/cases/{asked.number}", []

    def mark(name):
        while True:
            there = get(asked)
            draft = there.json() if there.content else {}
            answer = put(asked, draft | {"key_images": [*draft.get("key_images", []), name]}, there.headers["ETag"])
            if answer.status_code != 412:
                assert answer.status_code in (204, 409), answer.text
                return kept.append(name) if answer.status_code == 204 else None

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        marking = pool.submit(lambda: [mark(name) for name in asked.names])
        shown = server.anna.get(page, timeout=60).text
        for _ in range(20):
            answer = server.anna.post(f"{page}/commit", data=fields(shown), headers={"Origin": server.url}, timeout=60)
            shown = answer.text
            if answer.status_code == 200:
                break
            assert answer.status_code == 409 and 'role="alert"' in shown and IMPRESSION["findings"] in shown
        marking.result()
    assert "How does it compare?" in shown
    case = server.anna.get(f"{asked.api}/{asked.number}", timeout=60).json()
    images = [image["sop_instance_uid"] for image in case["commitment"]["impression"]["key_images"]]
    assert images == [name.split("/")[2] for name in kept]


def test_key_images_of_another_kind_are_refused(server):
    asked = Asked(server).claimed()
    one = asked.names[0]
    body = {"key_images": [one, f"{one}/1"], "theirs": 1}
    assert put(asked, body).status_code == 204
    for odd in ([{"sop_instance_uid": "1.2"}], [5], [None], [one, "none"], ["1.2/1.3"], ["1.2/1.3/1.4/x"], ["1.2/1.3/1.4/1/1"], {"a": 1}, "none", 5):
        refused = put(asked, {"key_images": odd})
        assert refused.status_code == 400 and refused.json()["detail"].startswith("key_images"), odd
    assert get(asked).json() == body
    # What lies there from before, or was written beside us, stays; nothing of its kind comes to it.
    odd = {"sop_instance_uid": "1.2"}
    write(server, asked, body | {"key_images": [odd, one]})
    assert put(asked, {"key_images": [odd]}).status_code == 204
    assert put(asked, {"key_images": [odd, {"sop_instance_uid": "1.3"}]}).status_code == 400


def write(server, asked, body):
    """Another program has written into the draft that there is, past our doors."""
    ledger = sqlite3.connect(server.data_dir / "ledger.sqlite", timeout=30)
    with ledger:
        sql = "UPDATE draft SET body = ? WHERE task IN (SELECT id FROM task WHERE case_number = ?)"
        assert ledger.execute(sql, (json.dumps(body), asked.number)).rowcount == 1
    ledger.close()


def test_a_form_that_is_too_long_is_given_back_or_refused_on_a_page(server):
    asked = Asked(server).claimed()
    page = f"{server.url}/cases/{asked.number}"
    headers = {"Origin": server.url, "Accept": "text/html"}
    # Browsers send three bytes for each of these. The longest draft is 256 KiB.
    long = "ü" * 80_000
    assert server.anna.post(f"{page}/draft", data={"findings": long}, headers=headers, timeout=60).status_code == 200
    assert get(asked).json()["findings"] == long
    longer = "ü" * 500_000
    answer = server.anna.post(f"{page}/commit", data={"findings": longer, "impression": "Ä."}, headers=headers, timeout=60)
    assert answer.status_code == 400 and 'role="alert">draft is longer than' in answer.text and longer in answer.text
    assert get(asked).json()["findings"] == long
    too_long = {"findings": "x" * 4_200_000}
    for who, path in (
        ("anna", f"/cases/{asked.number}/draft"),
        ("anna", f"/cases/{asked.number}/commit"),
        ("rita", f"/cases/{asked.number}/share"),
        ("rita", f"/cases/{asked.number}/withdraw"),
        ("rita", f"/studies/{asked.study}/case"),
    ):
        answer = getattr(server, who).post(server.url + path, data=too_long, headers=headers, timeout=60)
        assert answer.status_code == 413 and "longer than 4 MiB" in answer.text, (path, answer.status_code)
        assert "<h1>" in answer.text and "<nav" in answer.text and answer.headers["Content-Type"].startswith("text/html")
    assert get(asked).json()["findings"] == long


class Reader:
    """Somebody with a link and a browser, who has taken the case and sees its form."""

    def __init__(self, server, own):
        self.server, self.own = server, own
        self.asked = Asked(server, pool="any")
        self.expires_ms = now_ms() + HOUR_MS
        given = server.office.api("POST", "/grants", json={"case": self.asked.number, "to": "reader", "label": "Dr. Dora Else", "expires_ms": self.expires_ms})
        assert given.status_code == 201, given.text
        self.link = given.json()["link"]
        self.case = f"{server.url}/cases/{self.asked.number}"
        self.tab = own.open()
        self.tab.call("goto", self.link)
        self.tab.click("main button")
        self.tab.click("button:has-text('Take the case')")
        self.tab.see("textarea[name=findings]")

    def form(self, has_scripts=False):
        """The form once more, in another tab."""
        tab = self.own.open()
        tab.call("devtools", "Emulation.setScriptExecutionDisabled", {"value": not has_scripts})
        tab.call("goto", self.case)
        tab.see("textarea[name=findings]")
        return tab

    def look(self):
        look = Look(self.own.open(), self.server)
        look.open(self.asked.study, case=self.asked.number)
        return look

    def draft(self, tab=None):
        script = f"fetch('{self.asked.draft}', {{ cache: 'no-store' }}).then((answer) => answer.json())"
        return (tab or self.probe()).evaluate(script)

    def probe(self):
        """Pages of lists forbid scripts to ask for anything; the quick look does not."""
        if not hasattr(self, "asking"):
            self.asking = self.look().page
        return self.asking


@pytest.fixture()
def reader(server, tmp_path):
    with Browser(tmp_path) as own:
        yield Reader(server, own)


def ticked(tab):
    return tab.evaluate("[...document.querySelectorAll('input[name=key_image]')].filter((e) => e.checked).map((e) => e.value)")


def typed(tab, name="findings"):
    return tab.evaluate(f"document.querySelector('textarea[name={name}]').value")


def send(tab, button):
    """Presses a button of the form and waits for the page after it."""
    tab.evaluate("document.body.dataset.before = 'yes'")
    tab.click(f"button:text-is('{button}')")
    tab.until("document.readyState === 'complete' && !document.body.dataset.before", f"the page after {button}")


def mark(look, says="Marked as key image"):
    # What it said of the mark before is not taken for an answer.
    look.page.evaluate("document.querySelector('output').textContent = ''")
    look.press("k")
    look.page.until(f"document.querySelector('output').textContent.includes('{says}')", says)


def alert(tab):
    return tab.evaluate("document.querySelector('[role=alert]')?.textContent ?? ''")


def test_what_was_marked_in_another_tab_stays_when_the_form_is_saved(reader):
    one, two, three = reader.asked.names[:3]
    look = reader.look()
    mark(look)
    look.press("ArrowDown")
    look.at(2)
    form = reader.form()
    assert ticked(form) == [one]
    mark(look)
    form.call("fill", "textarea[name=findings]", "A line.\nAnother.")
    send(form, "Save draft")
    assert (ticked(form), typed(form), alert(form)) == ([one, two], "A line.\nAnother.", "")
    # And what is taken out on the form does not come back by the quick look, which still shows it.
    form.call("uncheck", f"input[name=key_image][value='{one}']")
    send(form, "Save draft")
    assert ticked(form) == [two]
    look.press("ArrowDown")
    look.at(3)
    mark(look)
    draft = reader.draft(look.page)
    assert draft["key_images"] == [two, three] and draft["findings"] == "A line.\nAnother."
    # Unmarked there it is not kept here, though this form has it ticked.
    form.call("goto", reader.case)
    look.press("k")
    look.page.until("!document.querySelector('.key-mark').textContent", "unmarked")
    form.call("fill", "textarea[name=impression]", "Nothing.")
    send(form, "Save draft")
    assert (ticked(form), typed(form, "impression")) == ([two], "Nothing.")


# Saves as another page does it, between what the quick look has read and what it saves.
BETWEEN = """(() => {
    const real = window.fetch;
    window.statuses = [];
    let others = %(times)s;
    window.fetch = async (url, options = {}) => {
        if (options.method !== 'PUT') return real(url, options);
        if (others > 0) {
            others -= 1;
            const draft = { findings: `Typed elsewhere, ${others} to come.`, key_images: [%(image)s] };
            const saved = await real(url, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(draft) });
            if (saved.status !== 204) throw new Error(`the other page: ${saved.status}`);
        }
        const response = await real(url, options);
        window.statuses.push(response.status);
        return response;
    };
})()"""


@pytest.mark.parametrize(("times", "statuses"), [(1, [412, 204]), (3, [412] * 3 + [204]), (9, [412] * 5)])
def test_the_quick_look_repeats_its_one_change(reader, times, statuses):
    one, two = reader.asked.names[:2]
    look = reader.look()
    look.page.evaluate(BETWEEN % {"times": times, "image": json.dumps(two)})
    is_kept = statuses[-1] == 204
    mark(look, "Marked as key image" if is_kept else "The mark was not kept")
    assert look.page.evaluate("window.statuses") == statuses
    draft = reader.draft(look.page)
    assert draft == {"findings": f"Typed elsewhere, {times - len(statuses) + is_kept} to come.", "key_images": [two, one] if is_kept else [two]}
    assert bool(look.text("key-mark")) == is_kept
    if is_kept:
        # What came with the draft is shown too.
        look.press("ArrowDown")
        look.at(2)
        assert look.text("key-mark")


def test_the_same_mark_from_two_tabs_is_one(reader):
    one = reader.asked.names[0]
    first, second = reader.look(), reader.look()
    mark(first)
    # There it is not shown yet: who presses now wants it marked.
    mark(second)
    assert reader.draft(first.page)["key_images"] == [one]
    look = reader.look()
    assert look.text("key-mark")
    mark(look, "No key image any more")
    mark(first, "No key image any more")
    assert reader.draft(first.page)["key_images"] == []


def test_nothing_is_committed_that_the_form_has_not_shown(reader):
    form, look = reader.form(), reader.look()
    form.call("fill", "textarea[name=findings]", IMPRESSION["findings"])
    form.call("fill", "textarea[name=impression]", IMPRESSION["impression"])
    form.call("check", "input[name=confidence][value=high]")
    mark(look)
    send(form, "Commit")
    assert "look at it" in alert(form) and ticked(form) == reader.asked.names[:1]
    assert (typed(form), typed(form, "impression")) == (IMPRESSION["findings"], IMPRESSION["impression"])
    assert not [fault for fault in form.faults() if "409" not in fault]
    form.screenshot("draft-grown")
    send(form, "Commit")
    form.see("h2:has-text('How does it compare?')")
    case = reader.server.rita.get(f"{reader.asked.api}/{reader.asked.number}", timeout=60).json()
    assert [task["state"] for task in case["tasks"]].count("committed") == 1
    assert [figure.split("/frames")[0] for figure in form.evaluate("[...document.querySelectorAll('figure a')].map((e) => e.href.split('/picture/')[1])")] == [
        "studies/{}/series/{}/instances/{}".format(*reader.asked.names[0].split("/"))
    ]
    # The second form leaves what the first has kept.
    form.call("fill", "textarea[name=comment]", "None.")
    send(form, "Save draft")
    draft = reader.draft(look.page)
    assert (draft["comment"], draft["findings"], draft["key_images"]) == ("None.", IMPRESSION["findings"], reader.asked.names[:1])


@pytest.mark.parametrize("button", ["Save draft", "Commit"])
def test_what_was_typed_at_two_places_is_for_its_writer_to_decide(reader, button):
    first, second, look = reader.form(), reader.form(), reader.look()
    for tab, text in ((first, "One <b>."), (second, "Two.")):
        tab.call("fill", "textarea[name=findings]", text)
        tab.call("fill", "textarea[name=impression]", "Same.")
        tab.call("check", "input[name=confidence][value=high]")
    send(first, "Save draft")
    mark(look)
    send(second, button)
    assert "not saved yet" in alert(second) and (typed(second), ticked(second)) == ("Two.", reader.asked.names[:1])
    saved = second.evaluate("document.querySelector('section[aria-label=\"What is saved\"]').innerText")
    assert "One <b>." in saved and "Same." not in saved
    assert reader.draft(look.page)["findings"] == "One <b>."
    for width in (1280, 390):
        second.call("setViewportSize", {"width": width, "height": 900})
        second.screenshot(f"draft-clash-{width}")
        assert second.evaluate("document.documentElement.scrollWidth <= innerWidth")
    send(second, button)
    assert alert(second) == "" and reader.draft(look.page)["findings"] == "Two."
    assert ("How does it compare?" in second.evaluate("document.body.innerText")) == (button == "Commit")


def test_what_cannot_be_saved_is_not_lost(reader):
    """A key image that is none, as another program may have written it into the draft; beside it one that no form shows."""
    form = reader.form()
    form.call("fill", "textarea[name=findings]", "A beginning.")
    send(form, "Save draft")
    odd = {"sop_instance_uid": "1.2"}
    write(reader.server, reader.asked, {"key_images": ["none", odd], "theirs": {"a": [1]}, "comment": 5})
    form.call("goto", reader.case)
    form.call("fill", "textarea[name=findings]", "Much.")
    send(form, "Save draft")
    assert alert(form).startswith("key_images") and typed(form) == "Much." and ticked(form) == ["none"]
    form.call("uncheck", "input[name=key_image][value=none]")
    send(form, "Save draft")
    draft = reader.draft()
    assert (draft["findings"], draft["key_images"], draft["theirs"], draft["comment"]) == ("Much.", [odd], {"a": [1]}, 5)


def test_what_was_typed_for_a_task_that_was_given_back_is_shown(reader):
    form, other = reader.form(), reader.form()
    form.call("fill", "textarea[name=findings]", "Much <i>.")
    other.click("button:text-is('Give the case back')")
    other.until("!document.querySelector('textarea[name=findings]')", "given back")
    send(form, "Save draft")
    assert alert(form) and not form.evaluate("Boolean(document.querySelector('textarea[name=findings]'))")
    assert "Much <i>." in form.evaluate("document.querySelector('section[aria-label=\"What you typed, which is not saved\"]').innerText")


def test_what_was_typed_comes_back_when_the_ledger_takes_nothing(server):
    """Another process holds it for longer than the server waits."""
    asked = Asked(server).claimed()
    page = f"{server.url}/cases/{asked.number}"
    assert server.anna.get(page, timeout=60).status_code == 200
    form = {"findings": "Much <i>, and typed for an hour.", "impression": "Ä."}
    ledger = sqlite3.connect(server.data_dir / "ledger.sqlite", isolation_level=None)
    ledger.execute("BEGIN IMMEDIATE")
    try:
        answer = server.anna.post(f"{page}/draft", data=form, headers={"Origin": server.url}, timeout=120)
    finally:
        ledger.execute("ROLLBACK")
        ledger.close()
    assert answer.status_code == 503 and 'role="alert"' in answer.text
    assert "Much &lt;i&gt;, and typed for an hour." in answer.text and "Ä." in answer.text
    assert get(asked).status_code == 204
    # Then it is kept.
    assert server.anna.post(f"{page}/draft", data=form, headers={"Origin": server.url}, timeout=60).status_code == 200
    assert get(asked).json()["impression"] == "Ä."
