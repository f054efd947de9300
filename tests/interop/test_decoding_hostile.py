"""Codestreams that are broken or lie (issue 2, "Bad input gets"): 406 or a cut connection, never wrong bytes under
200, never a dead server, memory bounded; and readers that leave or come a hundred at once."""

import random
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from harness import codestreams, corpus, made, pixels, wait, web
from harness.pixels import BASELINE, EXPLICIT, HTJ2K, J2K, JPEG_LS, JXL, LOSSLESS_SV1, RLE, put

MB = 1 << 20
OCTETS = "application/octet-stream"


def first_frame(name):
    ds = corpus.by_name(name).dataset
    return next(iter(pixels.generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames") or 1))))


# A good codestream of each family, and the shape of it.
GOOD = {
    BASELINE: ("test_files/SC_rgb_jpeg_dcmtk.dcm", dict(rows=100, columns=100, samples=3, photometric="YBR_FULL")),
    LOSSLESS_SV1: ("test_files/SC_rgb_jpeg_gdcm.dcm", dict(rows=100, columns=100, samples=3)),
    JPEG_LS: ("test_files/MR_small_jpeg_ls_lossless.dcm", dict(rows=64, columns=64, allocated=16)),
    J2K: ("test_files/MR_small_jp2klossless.dcm", dict(rows=64, columns=64, allocated=16)),
    RLE: ("test_files/MR_small_RLE.dcm", dict(rows=64, columns=64, allocated=16)),
    HTJ2K: (codestreams.HTJ2K_GRAY, dict(rows=16, columns=24, allocated=16, stored=12)),
    JXL: (codestreams.JXL_RGB, dict(rows=16, columns=24, samples=3)),
}


def good(syntax):
    stream, shape = GOOD[syntax]
    return (first_frame(stream) if isinstance(stream, str) else stream), shape


def stored(server, stream, syntax, shape, **attributes):
    rows, columns = shape["rows"], shape["columns"]
    # The pixels that `image` would make are not wanted, and may be of any size.
    ds = pixels.image(rows, columns, **{k: v for k, v in shape.items() if k not in ("rows", "columns")}, pixels=b"\0\0", **attributes)
    return put(server, pixels.compressed(ds, stream if isinstance(stream, list) else [stream], syntax))


def answer(server, path, accept):
    """"refused", "cut", or the bytes."""
    try:
        response = requests.get(server.web + path, headers={"Accept": accept}, timeout=60)
    except (requests.exceptions.ChunkedEncodingError, requests.ConnectionError):
        return "cut"
    assert response.status_code in (200, 404, 406, 413), (response.status_code, response.text[:200])
    return response.content if response.status_code == 200 else "refused"


def answers(server, path):
    """Of all that needs the pixels."""
    asked = [("", pixels.named(EXPLICIT)), ("/frames/1", OCTETS), ("/rendered", "image/png"), ("/thumbnail", "*/*")]
    return [answer(server, path + resource, accept) for resource, accept in asked]


def still_serving(server):
    data, shape = good(J2K)
    path = stored(server, data, J2K, shape)
    assert len(answer(server, path + "/frames/1", OCTETS)) == 64 * 64 * 2
    assert "panicked" not in server.log()


@pytest.mark.parametrize("syntax", GOOD)
def test_a_cut_codestream_is_never_passed_off_as_a_whole_one(server, syntax):
    stream, shape = good(syntax)
    assert all(isinstance(given, bytes) for given in answers(server, stored(server, stream, syntax, shape)))
    for part in (0, 1, 8, len(stream) // 4, len(stream) // 2, len(stream) * 3 // 4):
        path = stored(server, stream[:part] or b"\0\0", syntax, shape)
        assert set(answers(server, path)) <= {"refused", "cut"}, (syntax, part, len(stream))
    still_serving(server)


@pytest.mark.parametrize("syntax", GOOD)
def test_flipped_bytes_and_garbage_cost_their_own_request(server, syntax):
    chance = random.Random(syntax)
    stream, shape = good(syntax)
    length = shape["rows"] * shape["columns"] * shape.get("samples", 1) * shape.get("allocated", 8) // 8
    hostile = [bytes(chance.randrange(256) for _ in range(600)), stream[: len(stream) // 2] * 3]
    for _ in range(20):
        broken = bytearray(stream)
        for _ in range(chance.choice([1, 2, 20])):
            # Every second time among the headers.
            broken[chance.randrange(chance.choice([60, len(broken)]))] = chance.randrange(256)
        hostile.append(bytes(broken))
    for broken in hostile:
        path = stored(server, broken, syntax, shape)
        whole, frame, *pictures = answers(server, path)
        # A codestream without checksums may decode to other samples: to as many, or not at all.
        assert frame in ("refused", "cut") or len(frame) == length
        assert isinstance(whole, bytes) == isinstance(frame, bytes)
        assert all(isinstance(picture, bytes) for picture in pictures) == isinstance(frame, bytes)
    still_serving(server)


def dimensions(syntax, stream, rows, columns):
    """The codestream with other numbers in its header."""
    at, form, values = {
        BASELINE: (lambda s: s.index(b"\xff\xc0") + 5, ">HH", (rows, columns)),
        LOSSLESS_SV1: (lambda s: s.index(b"\xff\xc3") + 5, ">HH", (rows, columns)),
        JPEG_LS: (lambda s: s.index(b"\xff\xf7") + 5, ">HH", (rows, columns)),
        J2K: (lambda s: s.index(b"\xff\x51") + 6, ">II", (columns, rows)),
        HTJ2K: (lambda s: s.index(b"\xff\x51") + 6, ">II", (columns, rows)),
    }[syntax]
    at = at(stream)
    new = bytearray(stream)
    new[at : at + struct.calcsize(form)] = struct.pack(form, *values)
    if syntax in (J2K, HTJ2K):
        # One tile, as large as the image.
        new[at + 16 : at + 24] = struct.pack(">II", columns, rows)
    return bytes(new)


def test_headers_that_lie_in_little_memory(start):
    server = start()
    still_serving(server)
    before = server.memory_peak_bytes()
    for syntax in (BASELINE, LOSSLESS_SV1, JPEG_LS, J2K, HTJ2K):
        stream, shape = good(syntax)
        for rows, columns in ((65535, 65535), (shape["rows"] + 1, shape["columns"]), (1, 1), (0, 0), (8000, 4000)):
            lie = dimensions(syntax, stream, rows, columns)
            assert set(answers(server, stored(server, lie, syntax, shape))) == {"refused"}, (syntax, rows)
            if rows and columns:
                # The data set lies with it (one row more may be as many blocks), then alone.
                for told in (lie, stream) if rows > 1000 else (stream,):
                    path = stored(server, told, syntax, shape | {"rows": rows, "columns": columns})
                    assert set(answers(server, path)) <= {"refused", "cut"}, (syntax, rows, columns)
    # A frame of 64 MB is held whole when both say so, and no more than a few of them.
    assert server.memory_peak_bytes() - before < 400 * MB
    still_serving(server)


def test_more_samples_or_bits_than_the_data_set_says(server):
    for syntax, other in ((BASELINE, {"samples": 1, "photometric": "MONOCHROME2"}), (LOSSLESS_SV1, {"samples": 1}),
                          (JPEG_LS, {"allocated": 8}), (J2K, {"allocated": 8}), (J2K, {"samples": 3}), (JXL, {"samples": 1})):  # fmt: skip
        stream, shape = good(syntax)
        assert set(answers(server, stored(server, stream, syntax, shape | other))) == {"refused"}, (syntax, other)


def test_fewer_fragments_than_frames(server):
    stream, shape = good(J2K)
    for count, fragments in ((3, [stream]), (3, [stream] * 2), (1000, [stream] * 2)):
        path = stored(server, fragments, J2K, shape, frames=count)
        assert answer(server, path, pixels.named(EXPLICIT)) in ("refused", "cut")
        assert answer(server, path, pixels.named(RLE)) in ("refused", "cut")
        assert answer(server, f"{path}/frames/{count + 1}", OCTETS) == "refused"
        assert web.get(server, path, web.AS_STORED).status_code == 200
    still_serving(server)


def test_a_broken_frame_among_good_ones_ends_the_answer(server):
    stream, shape = good(J2K)
    path = stored(server, [stream, stream[:600], stream], J2K, shape, frames=3)
    assert answer(server, path, pixels.named(EXPLICIT)) in ("refused", "cut")
    assert answer(server, path + "/frames/1,2,3", web.OCTETS.replace("; transfer-syntax=*", "")) in ("refused", "cut")
    assert [len(answer(server, f"{path}/frames/{n}", OCTETS)) for n in (1, 3)] == [8192, 8192]
    assert answer(server, path + "/frames/2", OCTETS) == "refused"
    still_serving(server)


def busy_seconds(server):
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_work_ends_when_the_reader_has_left(start):
    server = start()
    stream, shape = good(J2K)
    path = stored(server, [stream] * 2000, J2K, shape, frames=2000)
    for _ in range(4):
        with socket.create_connection(server.http_address) as peer:
            request = f"GET /dicom-web{path} HTTP/1.1\r\nHost: x\r\nAccept: {pixels.named(EXPLICIT)}\r\n\r\n"
            peer.sendall(request.encode())
            assert peer.recv(1000).startswith(b"HTTP/1.1 200")

    def is_idle():
        before = busy_seconds(server)
        time.sleep(0.2)
        return busy_seconds(server) - before < 0.03

    wait.until(is_idle, "nobody is served any more", 5)
    still_serving(server)


def test_a_hundred_at_once_are_answered_or_told_to_come_again(server):
    stream, shape = good(J2K)
    path = stored(server, stream, J2K, shape)
    expected = pixels.ask(server, path, EXPLICIT)

    def one(number):
        if number % 2:
            response = web.get(server, path, pixels.named(EXPLICIT), timeout=120)
            return response, lambda: web.file_of(response) == expected
        response = web.get(server, f"{path}/rendered?viewport={20 + number},{20 + number}", "image/png", timeout=120)
        return response, lambda: response.content.startswith(b"\x89PNG")

    with ThreadPoolExecutor(100) as pool:
        served = 0
        for response, is_right in pool.map(one, range(100)):
            if response.status_code == 503:
                assert int(response.headers["retry-after"]) > 0
            else:
                assert response.status_code == 200 and is_right()
                served += 1
    assert served > 0
    still_serving(server)
