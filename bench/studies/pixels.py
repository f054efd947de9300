"""Pixels that weigh and compress like pictures: a body with lungs under noise, a fan of ultrasound speckle."""
import io
import struct

import numpy as np

NOISE = {"CT": 22, "ECT": 22, "MR": 14, "PT": 35}


def pixels(random, modality, rows, columns, frames, number, of):
    """The frames of instance `number` of `of` in its study."""
    y, x = np.mgrid[-1:1:rows * 1j, -1:1:columns * 1j].astype(np.float32)
    if modality == "US":
        return ultrasound(random, x, y, frames)
    phase = number / max(of, 1)
    image = np.zeros((rows, columns), np.float32)
    body = (x / .85) ** 2 + (y / (.6 + .1 * np.sin(3 * phase))) ** 2 < 1
    image[body] = 1040
    for side in (-1, 1):
        image[((x - side * .38) / (.27 + .05 * np.cos(4 * phase))) ** 2 + ((y + .05) / .4) ** 2 < 1] = 180
    image[(x / .1) ** 2 + ((y - .42) / .1) ** 2 < 1] = 1700
    image += 60 * np.sin(7 * x + 5 * phase) * np.cos(5 * y) * body
    made = []
    for _ in range(frames):
        noise = random.standard_normal((rows, columns), dtype=np.float32) * NOISE.get(modality, 9)
        made.append(np.clip(image + noise, 0, 4095).astype("<u2"))
    return np.stack(made) if frames > 1 else made[0]


def ultrasound(random, x, y, frames):
    rows, columns = x.shape
    made = np.empty((frames, rows, columns, 3), np.uint8)
    fan = (np.hypot(x, y + 1) < 1.8) & (np.abs(x) < (y + 1.15))
    for frame in range(frames):
        speckle = random.rayleigh(28, (rows, columns)).astype(np.float32)
        gray = speckle * (1.2 + np.sin(8 * np.hypot(x, y + 1) + frame * .2)) * fan
        made[frame] = np.clip(gray, 0, 255).astype(np.uint8)[..., None]
        made[frame, 10:30, 10:200] = (255, 200, 0)
    return made


def small(random, modality, rows, columns, frames):
    """Noise of a few hundred bytes, for the sets that are about headers."""
    if modality == "US":
        return random.bytes(rows * columns * 3 * frames)
    return random.integers(0, 4095, rows * columns * frames, dtype=np.uint16).astype("<u2").tobytes()


def jpeg(frames):
    """Each frame as JPEG baseline, to an even length."""
    from PIL import Image
    made = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=90, subsampling=0)
        made.append(file.getvalue() + bytes(len(file.getvalue()) % 2))
    return made


def encapsulated(frames):
    """Pixel data of one fragment a frame, with a Basic Offset Table (PS3.5 §A.4)."""
    offsets, offset = [], 0
    for frame in frames:
        offsets.append(offset)
        offset += 8 + len(frame)
    parts = [struct.pack("<HHHHI", 0x7FE0, 0x0010, 0x424F, 0, 0xFFFFFFFF),
             struct.pack("<HHI", 0xFFFE, 0xE000, 4 * len(offsets)), struct.pack(f"<{len(offsets)}I", *offsets)]
    parts += [struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame for frame in frames]
    return b"".join(parts) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
