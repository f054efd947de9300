"""The quick look as its users know it, and what its pictures must show: greys by pydicom, which reads the same files."""

import base64
import re
import warnings

import numpy
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.processing import apply_windowing

PIXELS = """(() => {
    const canvas = document.querySelectorAll('.pane canvas')[%d];
    const { width, height } = canvas;
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
    let text = '';
    for (let at = 0; at < data.length; at += 32768) text += String.fromCharCode(...data.subarray(at, at + 32768));
    return { width, height, data: btoa(text) };
})()"""


class Look:
    """A tab with the quick look in it."""

    def __init__(self, page, server):
        self.page = page
        self.server = server
        # What is not wanted any more is broken off. Besides these, the faults that a test makes on purpose, as patterns.
        self.forgiven = [r"^failed: GET \S+/frames/\d+ net::ERR_ABORTED$"]

    def open(self, study, panes=1, **query):
        words = "&".join(f"{name}={value}" for name, value in query.items())
        self.page.call("goto", f"{self.server.url}/studies/{study}/look" + (f"?{words}" if words else ""))
        self.page.until(f"document.querySelectorAll('.pane').length === {panes}", "panes")
        for pane in range(panes):
            self.ready(pane)

    def ready(self, pane=0, state="ready"):
        self.page.until(f"document.querySelectorAll('.pane')[{pane}].dataset.state === '{state}'", f"pane {pane} is {state}")
        self.drawn()

    def drawn(self):
        """Lets the browser draw what it has been told."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def shown(self, pane=0):
        """Which picture of the stack is shown, from 1."""
        return int(self.page.evaluate(f"document.querySelectorAll('.pane')[{pane}].dataset.shown"))

    def at(self, place, pane=0):
        """Waits until it is this one."""
        self.page.until(f"document.querySelectorAll('.pane')[{pane}].dataset.shown === '{place}'", f"image {place} in pane {pane}")
        self.ready(pane)

    def text(self, name, pane=0):
        """What stands on a pane: patient, where, tones, notes, message, key-mark."""
        return self.page.evaluate(f"document.querySelectorAll('.pane')[{pane}].querySelector('.{name}').textContent")

    def edges(self, pane=0):
        sides = ("left", "right", "top", "bottom")
        return "".join(self.page.evaluate(f"document.querySelectorAll('.pane')[{pane}].querySelector('.edge.{side}').textContent") for side in sides)

    def scale(self, pane=0):
        """The words of the bar, and how long it is; nothing when there is none."""
        return self.page.evaluate(f"(() => {{ const s = document.querySelectorAll('.pane')[{pane}].querySelector('.scale');"
                                  " return s.hidden ? null : [s.textContent, s.querySelector('i').getBoundingClientRect().width] })()")  # fmt: skip

    def press(self, *keys):
        for key in keys:
            self.page.call("keyboard.press", key)
        self.drawn()

    def canvas(self, pane=0):
        told = self.page.evaluate(PIXELS % pane)
        pixels = numpy.frombuffer(base64.b64decode(told["data"]), "u1").reshape(told["height"], told["width"], 4)
        assert (pixels[..., 3] == 255).all()
        return pixels[..., :3].astype(int)

    def pixels(self, rows, columns, pane=0):
        """The picture at 1:1 as far as it is in the pane, and which rows and columns these are."""
        self.press("0")
        shown = self.canvas(pane)
        height, width = shown.shape[:2]
        # In the middle, on whole pixels.
        top, left = ((here - there + 1) // 2 for here, there in ((height, rows), (width, columns)))
        down, across = slice(max(-top, 0), min(height - top, rows)), slice(max(-left, 0), min(width - left, columns))
        return shown[down.start + top : down.stop + top, across.start + left : across.stop + left], (down, across)

    def box(self, pane=0):
        return self.page.evaluate(f"(() => {{ const b = document.querySelectorAll('.stage')[{pane}].getBoundingClientRect();"
                                  " return { x: b.x, y: b.y, width: b.width, height: b.height } })()")  # fmt: skip

    def middle(self, pane=0):
        box = self.box(pane)
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, right, down, pane=0, button="left"):
        x, y = self.middle(pane)
        self.page.call("mouse.move", x, y)
        self.page.call("mouse.down", {"button": button})
        for part in (0.25, 0.5, 1):
            self.page.call("mouse.move", x + right * part, y + down * part)
        self.drawn()
        self.page.call("mouse.up", {"button": button})
        self.drawn()

    def tool(self, name):
        self.page.click(f"#bar button:text-is('{name}')")

    def window(self, pane=0):
        """Width and center as they stand there."""
        found = re.search(r"W (-?[\d.]+) L (-?[\d.]+)", self.text("tones", pane))
        assert found, self.text("tones", pane)
        return float(found.group(1)), float(found.group(2))

    def judge(self):
        faults = [fault for fault in self.page.faults() if not any(re.search(pattern, fault) for pattern in self.forgiven)]
        assert not faults, faults


def spread(values, lowest, highest):
    return (values - lowest) / (highest - lowest) * 255


def greys(ds, frame=None, window=None):
    """The greys, 0 to 255, that an image must be shown with: what it says itself, or under (center, width, function)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = ds.pixel_array if frame is None else ds.pixel_array[frame]
        values = apply_modality_lut(stored, ds).astype(float)
        if window:
            made = windowed(values, *window)
        elif "VOILUTSequence" in ds:
            bits = ds.VOILUTSequence[0].LUTDescriptor[2]
            made = spread(apply_voi_lut(values.astype(int), ds).astype(float), 0, 2**bits - 1)
        elif "WindowWidth" in ds:
            # pydicom spreads over all values that the bits can have.
            ends = numpy.array([values.min(), values.max()])
            made = apply_windowing(values, ds)
            signed = ds.PixelRepresentation == 1
            ends = numpy.array([-(2 ** (ds.BitsStored - 1)), 2 ** (ds.BitsStored - 1) - 1] if signed else [0, 2**ds.BitsStored - 1], float)
            ends = ends * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
            made = spread(made, *ends)
        else:
            padding = ds.get("PixelPaddingValue")
            counted = values if padding is None else values[stored != padding]
            made = spread(values, counted.min(), max(counted.max(), counted.min() + 1e-6)).clip(0, 255)
    return 255 - made if ds.PhotometricInterpretation == "MONOCHROME1" else made


def windowed(x, center, width, function="LINEAR"):
    """PS3.3 §C.11.2.1.2 and §C.11.2.1.3, word by word, from 0 to 255."""
    if function == "SIGMOID":
        return 255 / (1 + numpy.exp(-4 * (x - center) / width))
    if function == "LINEAR_EXACT":
        return numpy.select([x <= center - width / 2, x > center + width / 2], [0.0, 255.0], ((x - center) / width + 0.5) * 255)
    below, above = x <= center - 0.5 - (width - 1) / 2, x > center - 0.5 + (width - 1) / 2
    return numpy.select([below, above], [0.0, 255.0], ((x - (center - 0.5)) / max(width - 1, 1e-9) + 0.5) * 255)


def palette(ds):
    """The colors of a palette image, 0 to 255."""
    colors = apply_color_lut(ds.pixel_array, ds)
    return colors >> 8 if colors.dtype == numpy.uint16 else colors


