"""How a frame must look: the formulas of PS3.3 §C.11 in numpy, colors and tables by pydicom."""

import numpy
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

# Segmentations and doses are drawn in colors of ours: test_derived_pictures.py judges them.
IN_COLORS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.2")


def shade(x, center, width, function="linear"):
    """PS3.3 §C.11.2.1.2 and §C.11.2.1.3, from 0 to 255."""
    x = numpy.asarray(x, dtype=float)
    if function == "linear":
        y = ((x - (center - 0.5)) / max(width - 1, 1e-9) + 0.5) * 255
        y = numpy.where(x <= center - 0.5 - (width - 1) / 2, 0, y)
        return numpy.where(x > center - 0.5 + (width - 1) / 2, 255, y)
    if function == "linear-exact":
        return numpy.clip(((x - center) / width + 0.5) * 255, 0, 255)
    return 255 / (1 + numpy.exp(numpy.clip(-4 * (x - center) / width, -700, 700)))


def is_square(ds):
    """Whether pixels are as wide as high, so that a picture is as large as the frame."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        if ds.get(keyword):
            down, across = map(float, ds[keyword].value)
            if down > 0 and across > 0:
                return abs(down / across - 1) < 1e-6
    return True


def expected_picture(ds):
    """What pydicom makes of the first frame, 0 to 255; `None` when it does not draw it either."""
    stored = ds.pixel_array
    if int(ds.get("NumberOfFrames") or 1) > 1:
        stored = stored[0]
    kind = ds.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        colors = apply_color_lut(stored, ds)
        return colors / numpy.iinfo(colors.dtype).max * 255
    if ds.SamplesPerPixel == 3:
        # pydicom gives colors as RGB.
        return stored / (2.0**ds.BitsStored - 1) * 255
    if ds.BitsStored == 1:
        return stored * 255.0
    values = numpy.asarray(apply_modality_lut(stored, ds), dtype=float)
    if "VOILUTSequence" in ds and len(ds.VOILUTSequence):
        shown = apply_voi_lut(apply_modality_lut(stored, ds), ds) / (2.0 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1) * 255
    elif ds.get("WindowCenter") not in (None, "") and ds.get("WindowWidth"):
        first = lambda v: float(v[0] if isinstance(v, (MultiValue, list)) else v)  # noqa: E731
        function = str(ds.get("VOILUTFunction", "LINEAR")).lower().replace("_", "-")
        shown = shade(values, first(ds.WindowCenter), first(ds.WindowWidth), function)
    else:
        counted = values
        if "PixelPaddingValue" in ds:
            counted = values[stored != ds.PixelPaddingValue]
        low, high = (counted.min(), counted.max()) if counted.size else (0.0, 0.0)
        shown = (values - low) / max(high - low, 1e-9) * 255
    shown = numpy.clip(shown, 0, 255)
    return 255 - shown if kind == "MONOCHROME1" else shown
