"""OHIF as its users know it: studies, thumbnails, viewports. Where what is on the screen must be known to the
pixel, its cornerstone is asked, which it leaves in `window`."""

import base64
import json
import re

import numpy

from . import wait

CANVAS = ".cornerstone-canvas"

# What a viewport shows: which image, and the numbers it draws from (rescaled when the image says so).
SHOWN = """(() => {
    const viewport = cornerstone.getRenderingEngines()[0].getViewports()[%d];
    const image = viewport.getCornerstoneImage();
    const data = image.voxelManager?.getScalarData?.() ?? image.getPixelData();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    let text = '';
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return {
        id: image.imageId, rows: image.rows, columns: image.columns, type: data.constructor.name,
        scaled: Boolean(image.preScale?.scaled), data: btoa(text),
        window: image.windowCenter === undefined ? null : [[].concat(image.windowCenter)[0], [].concat(image.windowWidth)[0]],
    };
})()"""

VIEWPORTS = "cornerstone.getRenderingEngines().flatMap((engine) => engine.getViewports())"
ARRAYS = {
    "Uint8Array": "u1", "Uint8ClampedArray": "u1", "Int8Array": "i1", "Uint16Array": "<u2", "Int16Array": "<i2", "Float32Array": "<f4",
}  # fmt: skip


class Ohif:
    """A tab with the viewer of `server` in it."""

    def __init__(self, page, server):
        self.page = page
        self.server = server
        # Faults that are not ours, as (pattern, why).
        self.forgiven = []

    def skip_tour(self):
        """For this profile the tour through the buttons was shown: no veil over what is looked at."""
        self.goto("app-config.js")
        self.page.evaluate("localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))")

    def goto(self, path):
        self.page.call("goto", f"{self.server.url}/viewer/{path}")

    def open_study(self, study, mode="viewer"):
        """A study with its first image drawn and its series listed."""
        self.goto(f"{mode}?StudyInstanceUIDs={study}")
        if mode == "viewer":
            self.drawn()

    def drawn(self, what="an image"):
        """Waits until the first viewport has an image and shows more than one grey."""
        self.page.until(f"window.cornerstone && {VIEWPORTS}[0]?.getCornerstoneImage?.()", f"{what} in the viewport")
        until(lambda: is_drawn(self.page.picture(CANVAS)), f"{what} drawn")

    def series(self, description):
        """Double click on a series of the study browser."""
        self.page.call("dblclick", f'[data-cy="studyBrowser-panel"] >> text="{description}"')

    def show(self, description, series_uid):
        """The series in the first viewport."""
        self.series(description)
        self.page.until(f"{VIEWPORTS}[0]?.getCornerstoneImage?.()?.imageId.includes({json.dumps(series_uid)})", f"{description} shown")
        self.drawn(description)

    def shown(self, viewport=0):
        """(image, numbers as an array of rows and columns, whether they are rescaled)."""
        told = self.page.evaluate(SHOWN % viewport)
        numbers = numpy.frombuffer(base64.b64decode(told["data"]), ARRAYS[told["type"]])
        shape = (told["rows"], told["columns"])
        if numbers.size > shape[0] * shape[1]:
            shape = (*shape, numbers.size // (shape[0] * shape[1]))
        return told["id"], numbers.reshape(shape), told["scaled"]

    def instance_shown(self, viewport=0):
        """(SOP Instance UID, frame number) of what a viewport shows."""
        image = self.page.evaluate(f"{VIEWPORTS}[{viewport}].getCurrentImageId()")
        return re.search(r"/instances/([0-9.]+)/frames/([0-9]+)", image).groups()

    def places(self, points):
        """Where (column, row) of the image is on the page."""
        return self.page.evaluate(f"""(() => {{
            const viewport = {VIEWPORTS}[0];
            const box = viewport.canvas.getBoundingClientRect();
            return {json.dumps(points)}.map((point) => {{
                const world = cornerstone.utilities.imageToWorldCoords(viewport.getCurrentImageId(), point);
                const [x, y] = viewport.worldToCanvas(world);
                return [box.x + x, box.y + y];
            }});
        }})()""")

    def thumbnails(self):
        """How many thumbnails are pictures."""
        return self.page.evaluate(
            "[...document.querySelectorAll('[data-cy=\"studyBrowser-panel\"] img')].filter((i) => i.naturalWidth > 1).length"
        )

    def judge(self):
        """Insists that nothing failed and that nobody else was asked."""
        faults = [fault for fault in self.page.faults() if not any(re.search(pattern, fault) for pattern, _ in self.forgiven)]
        assert not faults, "\n".join(faults)
        asked = {request["url"].split("/")[2] for request in self.page.requests() if request["url"].startswith("http")}
        assert asked <= {self.server.url.split("/")[2]}, asked


def until(condition, what):
    """Two busy cores draw slowly."""
    wait.until(condition, what, 60)


def is_drawn(picture):
    """Whether there is an image rather than an empty viewport: several greys that are no text on black."""
    grey = picture.mean(axis=2)
    return grey.std() > 8 and len(numpy.unique(grey.astype(int))) > 16


def windowed(values, center, width):
    """PS3.3 §C.11.2.1.2.1, onto 0 to 255."""
    grey = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    return numpy.clip(grey, 0, 255)
