"""One headless Chromium, driven through tests/interop/browser/driver.mjs."""
import json
import os
import shutil
import subprocess
import tempfile

DRIVER = os.path.join(os.path.dirname(__file__), "../tests/interop/browser/driver.mjs")


class Page:
    """One page of a Chromium with a new profile; leaving the context ends it."""

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix="bench-chromium")
        executable = shutil.which("chromium")
        if executable is None or shutil.which("node") is None:
            raise RuntimeError("chromium or node is not installed")
        self.process = subprocess.Popen(["node", DRIVER, executable, self.profile], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()
        self.number = None
        self.number = self.call("open")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, call, *args):
        """A call of Playwright's Page, or one of the driver's own."""
        self.process.stdin.write(json.dumps({"page": self.number, "call": call, "args": args}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def evaluate(self, expression):
        return self.call("evaluate", expression)

    def until(self, expression):
        self.call("until", expression, 30_000)

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the driver of the browser ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]
