"""The form of an opinion in Chromium with its script: it saves by itself, says so, takes in what other pages have saved, and loses
nothing when connection or session go away; keys that do not get in the way of who types. Without the script: test_drafts.py."""

import re

import pytest
from test_drafts import Reader, mark, server, ticked, typed, write  # noqa: F401

from harness import people
from harness.browser import Browser

STATE = "document.querySelector('#reading .saved')"
OFFLINE = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


@pytest.fixture()
def reader(server, tmp_path):  # noqa: F811
    with Browser(tmp_path) as own:
        yield Reader(server, own)


@pytest.fixture()
def form(reader):
    return reader.form(has_scripts=True)


def state(tab):
    return tab.evaluate(f"{STATE}.textContent")


def says(tab, words):
    tab.until(f"{STATE}.textContent.includes({words!r})", words)


def is_saved(tab):
    """All that stands in the form is: a clock says so, of a moment after now."""
    tab.until(f"/^saved [0-9]{{1,2}}:[0-9]{{2}}/.test({STATE}.textContent)", "saved")


def fill(tab, text, name="findings"):
    tab.call("fill", f"textarea[name={name}]", text)


def saves(reader, tab, text, name="findings"):
    fill(tab, text, name)
    tab.until("true", "the page lives")
    kept(reader, text, name)


def kept(reader, text, name="findings"):
    """Waits until the draft has it."""
    script = f"fetch('{reader.asked.draft}', {{ cache: 'no-store' }}).then((a) => a.status === 200 ? a.json() : {{}}).then((d) => (d.{name} ?? '') === {text!r})"
    reader.probe().until(script, f"{text} is in the draft")


def clash(tab):
    return tab.evaluate("[...document.querySelectorAll('.clash .said')].map((e) => e.textContent)")


def judged(tab, name):
    found = []
    for width in (1280, 390):
        tab.call("setViewportSize", {"width": width, "height": 900})
        for scheme in ("light", "dark"):
            tab.call("emulateMedia", {"colorScheme": scheme})
            found += [f"{width} {scheme}: {line}" for line in tab.complaints()]
            tab.screenshot(f"{name}-{width}-{scheme}")
        if tab.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"hangs over at {width}")
    tab.call("emulateMedia", {"colorScheme": "light"})
    assert not found, "\n".join(found)


def test_what_is_typed_is_saved_by_itself(reader, form):
    assert form.evaluate(f"[{STATE}.getAttribute('role'), {STATE}.textContent]") == ["status", ""]
    fill(form, "A line.\nÄnother <b>.")
    is_saved(form)
    form.call("check", "input[name=confidence][value=high]")
    kept(reader, "high", "confidence")
    assert reader.draft() == {"findings": "A line.\nÄnother <b>.", "confidence": "high"}
    judged(form, "reading-saved")
    form.call("reload")
    form.see("textarea[name=findings]")
    assert typed(form) == "A line.\nÄnother <b>." and form.evaluate("document.querySelector('input[value=high]').checked")
    # Who leaves by a link, leaves nothing behind.
    fill(form, "Last word.", "recommendation")
    form.click("a.quick")
    form.until("location.pathname.endsWith('/look')", "the quick look")
    kept(reader, "Last word.", "recommendation")
    assert form.faults() == []


def test_what_another_page_has_marked_comes_into_the_form(reader, form):
    one, two = reader.asked.names[:2]
    look = reader.look()
    mark(look)
    fill(form, "Much.")
    kept(reader, "Much.")
    form.until(f"document.querySelectorAll('input[name=key_image]').length === 1 && {STATE}.textContent.includes('another page')", "the mark")
    assert ticked(form) == [one] and reader.draft()["key_images"] == [one]
    form.call("uncheck", "input[name=key_image]")
    look.press("ArrowDown")
    look.at(2)
    form.until(f"fetch('{reader.asked.draft}', {{ cache: 'no-store' }}).then((a) => a.json()).then((d) => d.key_images.length === 0)", "unmarked")
    mark(look)
    fill(form, "Much more.")
    kept(reader, "Much more.")
    assert ticked(form) == [two] and reader.draft()["key_images"] == [two]


def test_what_another_program_keeps_among_the_key_images_stays(reader, form):
    one, odd = reader.asked.names[0], {"sop_instance_uid": "1.2"}
    fill(form, "Much.")
    kept(reader, "Much.")
    write(reader.server, reader.asked, {"findings": "Much.", "key_images": [one, odd]})
    fill(form, "Much more.")
    kept(reader, "Much more.")
    assert ticked(form) == [one] and reader.draft()["key_images"] == [one, odd]
    form.call("uncheck", "input[name=key_image]")
    form.until(f"fetch('{reader.asked.draft}', {{ cache: 'no-store' }}).then((a) => a.json()).then((d) => d.key_images.length === 1)", "unmarked")
    assert reader.draft()["key_images"] == [odd]


def test_nothing_is_committed_that_came_in_at_the_last_moment(reader, form):
    fill(form, "Much.")
    fill(form, "Fracture.", "impression")
    form.call("check", "input[name=confidence][value=high]")
    kept(reader, "high", "confidence")
    is_saved(form)
    mark(reader.look())
    form.click("button:text-is('Commit')")
    form.until("document.body.innerText.includes('look at it')", "it is not sent")
    case = reader.server.rita.get(f"{reader.asked.api}/{reader.asked.number}", timeout=60).json()
    assert "committed" not in [task["state"] for task in case["tasks"]]
    assert ticked(form) == reader.asked.names[:1] and typed(form) == "Much."


def test_what_was_typed_at_two_places_is_for_its_writer_to_decide(reader, form):
    other = reader.form(has_scripts=True)
    saves(reader, form, "One <b>.")
    fill(other, "Two.")
    fill(other, "Same.", "impression")
    says(other, "not saved: written on another page too")
    assert clash(other) == ["One <b>."] and typed(other) == "Two."
    # What nobody else has typed is saved all the same.
    kept(reader, "Same.", "impression")
    assert reader.draft()["findings"] == "One <b>."
    judged(other, "reading-clash")
    other.click("button:text-is('Commit')")
    other.until("document.activeElement.textContent === 'Keep what I wrote here'", "it asks instead")
    other.click("button:text-is('Keep what I wrote here')")
    is_saved(other)
    assert clash(other) == [] and reader.draft()["findings"] == "Two."
    assert other.evaluate("document.activeElement.name") == "findings"
    fill(form, "Three.")
    says(form, "not saved")
    assert clash(form) == ["Two."]
    form.click("button:text-is('Take what is saved')")
    is_saved(form)
    assert (typed(form), typed(form, "impression"), reader.draft()["findings"]) == ("Two.", "Same.", "Two.")


def test_a_refused_form_asks_too(reader, form):
    """It was sent without scripts; its page has them."""
    saves(reader, form, "One.")
    other = reader.form()
    saves(reader, form, "Two.")
    fill(other, "Three.")
    other.call("devtools", "Emulation.setScriptExecutionDisabled", {"value": False})
    other.evaluate("document.body.dataset.before = 'yes'")
    other.click("button:text-is('Save draft')")
    other.until("!document.body.dataset.before && document.querySelectorAll('.clash').length === 1", "it asks")
    assert (clash(other), typed(other), reader.draft()["findings"]) == (["Two."], "Three.", "Two.")
    other.click("button:text-is('Keep what I wrote here')")
    kept(reader, "Three.")


def test_nothing_is_lost_without_a_connection(reader, form):
    saves(reader, form, "Before.")
    is_saved(form)
    form.call("devtools", "Network.enable", {})
    form.call("devtools", "Network.emulateNetworkConditions", OFFLINE | {"offline": True})
    fill(form, "On the train.")
    says(form, "not saved: there is no connection")
    judged(form, "reading-offline")
    form.call("devtools", "Network.emulateNetworkConditions", OFFLINE | {"offline": False})
    kept(reader, "On the train.")
    is_saved(form)
    assert typed(form) == "On the train."
    # So it is when the server is in trouble for a while.
    form.call("answers", "**/draft", [503, 500])
    fill(form, "Behind a proxy.")
    says(form, "not saved: the server cannot")
    kept(reader, "Behind a proxy.")
    # Chromium calls answers that were made up for it broken off.
    strange = [fault for fault in form.faults() if not re.search(r"ERR_INTERNET_DISCONNECTED|50[03]|PUT \S+/draft net::ERR_ABORTED", fault)]
    assert strange == []


def test_who_signs_in_again_goes_on(reader, form):
    saves(reader, form, "Before.")
    probe = reader.probe()
    link = reader.server.office.api("POST", "/grants", json={
        "case": reader.asked.number, "to": "reader", "label": "Dr. Else Other", "expires_ms": reader.expires_ms}).json()["link"]  # fmt: skip
    assert probe.evaluate("fetch('/api/v1/session', { method: 'DELETE' }).then((a) => a.status)") == 204
    fill(form, "After.")
    says(form, "not saved: you are signed out")
    # Somebody else, who reads the same case, is not given what was typed here.
    other = reader.own.open()
    other.call("goto", link)
    other.click("main button")
    other.see("h1:has-text('Case')")
    says(form, "not saved: somebody else is signed in")
    judged(form, "reading-signed-out")
    assert typed(form) == "After."
    other.call("goto", reader.link)
    other.click("main button")
    other.see("textarea[name=findings]")
    kept(reader, "After.")
    is_saved(form)


def test_a_case_that_was_taken_away_keeps_what_was_typed(reader, form):
    saves(reader, form, "Before.")
    assert reader.server.rita.post(f"{reader.asked.api}/{reader.asked.number}/withdraw", timeout=60).status_code == 200
    fill(form, "After.")
    says(form, "not saved:")
    assert typed(form) == "After."


def committed(reader):
    case = reader.server.rita.get(f"{reader.asked.api}/{reader.asked.number}", timeout=60).json()
    return "committed" in [task["state"] for task in case["tasks"]]


def test_keys_do_the_job_and_leave_who_types_alone(reader, form):
    press = lambda *keys: [form.call("keyboard.press", key) for key in keys]  # noqa: E731
    confidence = "document.querySelector('input[name=confidence]:checked')?.value ?? ''"
    form.click("textarea[name=findings]")
    form.call("keyboard.type", "n1? psq")
    assert typed(form) == "n1? psq" and form.evaluate(confidence) == "" and not form.evaluate("Boolean(document.querySelector('dialog'))")
    press("Alt+ArrowDown")
    assert form.evaluate("document.activeElement.name") == "impression"
    press("Alt+ArrowDown", "Alt+ArrowDown")
    assert form.evaluate("document.activeElement.name") == "confidence"
    press("2")
    assert form.evaluate(confidence) == "moderate"
    press("4")
    assert form.evaluate(confidence) == "moderate"
    press("p")
    assert form.evaluate("document.activeElement.name") == "recommendation"
    press("Alt+ArrowDown", "?")
    form.see("dialog[open] h2")
    judged(form, "reading-keys")
    assert "Alt + ↓" in form.evaluate("document.querySelector('dialog').innerText")
    form.call("uncheck", "dialog input[name=single-keys]")
    press("Escape")
    form.until("!document.querySelector('dialog')", "closed")
    press("1", "n", "?")
    assert form.evaluate(confidence) == "moderate" and not form.evaluate("Boolean(document.querySelector('dialog'))")
    # It stays off, and can be turned on again by the mouse.
    kept(reader, "moderate", "confidence")
    form.call("reload")
    form.see("textarea[name=findings]")
    form.call("focus", "input[name=confidence][value=low]")
    press("3")
    assert form.evaluate(confidence) == "moderate"
    form.click("button:text-is('Keyboard shortcuts')")
    form.call("check", "dialog input[name=single-keys]")
    press("Escape")
    form.until("!document.querySelector('dialog')", "closed")
    form.call("focus", "input[name=confidence][value=low]")
    press("3")
    assert form.evaluate(confidence) == "high"
    # What is not filled in is not asked about; what is, is asked first.
    press("Control+Enter")
    assert form.evaluate("document.querySelector('dialog')?.innerText ?? ''") == ""
    assert form.evaluate("document.activeElement.name") == "impression"
    form.call("keyboard.type", "Fracture.")
    press("Control+Enter")
    form.see("dialog[open]")
    assert "final" in form.evaluate("document.querySelector('dialog').innerText")
    judged(form, "reading-sure")
    press("Escape")
    form.until("!document.querySelector('dialog')", "closed")
    assert not committed(reader) and form.evaluate("document.activeElement.name") == "impression"
    press("Control+Enter")
    form.see("dialog[open]")
    press("Enter")
    form.see("h2:has-text('How does it compare?')")
    assert committed(reader)


@pytest.mark.parametrize("status", [503, 200])
def test_who_cannot_save_can_sign_out(reader, form, status):
    """Whatever answers in the place of the server; it is asked a few times, not again and again."""
    form.call("answers", "**/draft", [status] * 100)
    fill(form, "Typed and not saved.")
    says(form, "not saved")
    asked = len(form.requests())
    form.click("button:has-text('Sign out')")
    form.until("location.pathname.includes('sign-in')", "signed out")
    assert len(form.requests()) - asked < 20
