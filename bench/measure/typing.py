"""The list of studies as its reader has it, in Chromium, over 100,000 studies: how long until it is there, and from a key in a
filter until the list that it asks for is shown. Somebody is signed in, so that each answer stands in the audit trail."""
import subprocess
import time

from ..house import OURS
from ..page import Page
from . import million

STUDIES = 100_000
# Typed once for each of so many studies from all over the archive.
WORDS = 12
# Somebody who types fast: seconds from key to key, at least.
KEY_SECONDS = .15
PASSCODE = "correct horse battery staple"
# What is typed into which field: all of it, or its first letters.
FIELDS = {"PatientName": ("name", 8), "PatientID": ("id", 10)}
# From a key until the list of its answer is drawn.
WATCH = """(() => {
    const told = document.querySelector('form ~ .spoken');
    globalThis.keys = [];
    let at = null;
    document.addEventListener('input', () => { at = performance.now(); }, true);
    new MutationObserver(() => {
        if (at === null) return;
        const begun = at;
        at = null;
        requestAnimationFrame(() => { setTimeout(() => keys.push(performance.now() - begun)); });
    }).observe(told, { childList: true });
})()"""
FIRST = """(() => {
    const [page] = performance.getEntriesByType('navigation');
    const all = [page, ...performance.getEntriesByType('resource')];
    return { list_ms: page.domContentLoadedEventEnd - page.startTime, list_kB: all.reduce((sum, one) => sum + one.transferSize, 0) / 1000 };
})()"""


def run(house, works):
    """"first list" and "keys"."""
    data = million.folder(house, STUDIES)
    if data is None:
        return
    # An account from an earlier run has the same passcode.
    adding = [house.programs["overread"], "user", "add", "bench", "--role", "administrator", "--data-dir", data]
    subprocess.run(adding, input=PASSCODE + "\n", text=True, capture_output=True, check=False)
    for repetition in range(house.repetitions):
        server = house.server(OURS)
        server.start(data)
        with Page() as page:
            root = f"http://127.0.0.1:{server.http}"
            page.call("goto", f"{root}/sign-in")
            page.call("fill", "input[name=name]", "bench")
            page.call("fill", "input[name=passcode]", PASSCODE)
            page.call("click", "main button")
            page.until("document.querySelectorAll('#list tr[data-study]').length > 20")
            for work in works:
                measure = first if work == "first list" else typed
                house.note("typing", work, OURS, repetition, house.measured(server, measure, page, root))
        server.stop()


def first(page, root):
    page.call("goto", f"{root}/")
    return page.evaluate(FIRST)


def typed(page, root):
    page.call("goto", f"{root}/")
    page.evaluate(WATCH)
    times = []
    for place in range(WORDS):
        offset = (place * 7919 + 13) % (STUDIES * 9 // 10)
        url = f"/dicom-web/studies?limit=1&offset={offset}"
        [study] = page.evaluate(f"fetch('{url}', {{ headers: {{ Accept: 'application/dicom+json' }} }}).then((answer) => answer.json())")
        for keyword, (name, length) in FIELDS.items():
            field = f"form input[name={name}]"
            value = study[{"PatientName": "00100010", "PatientID": "00100020"}[keyword]]["Value"][0]
            for key in (value["Alphabetic"] if isinstance(value, dict) else value)[:length]:
                before = page.evaluate("keys.length")
                begun = time.perf_counter()
                page.call("type", field, key)
                page.until(f"keys.length > {before}")
                time.sleep(max(0, KEY_SECONDS - (time.perf_counter() - begun)))
            times += page.evaluate("keys.splice(0)")
            before = page.evaluate("keys.length")
            page.call("fill", field, "")
            page.until(f"keys.length > {before}")
            page.evaluate("keys.splice(0)")
    times.sort()
    return {"key_ms": times[len(times) // 2], "p90_ms": times[len(times) * 9 // 10], "keys": len(times)}
