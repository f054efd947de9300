"""Headless Chromium, driven through browser/driver.mjs (Playwright), and how its pages are judged: by what they drew
and by what they complained of."""

import base64
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy
from PIL import Image

from .server import REPOSITORY

DRIVER = Path(__file__).parents[1] / "browser/driver.mjs"
SCREENSHOTS = REPOSITORY / "target/screenshots"


class Failed(Exception):
    """The browser could not do what it was told."""


class Browser:
    """One Chromium with a new profile in `folder`. Leaving the context closes it."""

    def __init__(self, folder):
        executable = shutil.which("chromium")
        assert executable, "Debian's chromium is not installed: run scripts/test"
        self.errors = open(folder / "browser.log", "w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            ["node", DRIVER, executable, folder / "profile"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
        )  # fmt: skip
        self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.errors.close()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise Failed(f"the driver ended: {self.errors.read()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["value"]

    def call(self, page, call, *args):
        self.process.stdin.write(json.dumps({"page": page, "call": call, "args": args}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def open(self):
        return Page(self, self.call(None, "open"))


class Page:
    """A tab. Methods that are not here are those of Playwright's Page: `page.call("mouse.wheel", 0, 100)`."""

    def __init__(self, browser, number):
        self.browser = browser
        self.number = number

    def call(self, call, *args):
        return self.browser.call(self.number, call, *args)

    def until(self, expression, what, seconds=60):
        """Waits until a JavaScript expression is true."""
        try:
            self.call("until", expression, seconds * 1000)
        except Failed as error:
            self.screenshot("not-" + "".join(c if c.isalnum() else "-" for c in what))
            raise AssertionError(f"not within {seconds} s: {what}; {self.faults()}; {error}") from None

    def see(self, selector, seconds=60):
        """Waits until an element is visible."""
        try:
            self.call("waitForSelector", selector, {"timeout": seconds * 1000})
        except Failed as error:
            self.screenshot("not-seen")
            raise AssertionError(f"not seen: {selector}; {self.faults()}; {error}") from None

    def evaluate(self, expression):
        return self.call("evaluate", expression)

    def click(self, selector, **options):
        return self.call("click", selector, options)

    def faults(self):
        """Failed requests, requests with a status of 400 and more, error messages, exceptions."""
        return self.call("faults")

    def requests(self):
        return self.call("requests")

    def complaints(self):
        """What axe-core finds wrong in the page as it stands (WCAG 2.2 AA and best practice), a line for each element."""
        return self.call("judge")

    def screenshot(self, name):
        """Kept in target/screenshots for whoever wants to see."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        png = base64.b64decode(self.call("screenshot"))
        (SCREENSHOTS / f"{name}.png").write_bytes(png)
        return Image.open(io.BytesIO(png)).convert("RGB")

    def picture(self, selector):
        """What an element shows, as an array of rows, columns and colours."""
        box = self.evaluate(f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                            " return {x: b.x, y: b.y, width: b.width, height: b.height} })()")  # fmt: skip
        png = base64.b64decode(self.call("screenshot", {"clip": box}))
        return numpy.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def close(self):
        self.call("close")
