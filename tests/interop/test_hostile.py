"""Bad input (issue 2, "Bad input gets"): a clear error, nothing half-stored, the server still serving others."""

import contextlib
import hashlib
import os
import random
import shutil
import socket
import struct
import subprocess
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from pydicom.dataset import Dataset

from harness import corpus, made, part10, wait, web
from harness.wire import EXPLICIT, P_DATA, Aborted, Association, Closed, pdu

MB = 1 << 20
GB = 1 << 30


def still_serving(server):
    ds = made.instance()
    assert web.stow(server, [made.file(ds)]).status_code == 200
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == made.encode(ds)


def nothing_of(server, ds):
    return web.qido(server, "/instances", {"SOPInstanceUID": str(ds.SOPInstanceUID)}) == []


def body_around(hostile, ds=None):
    """A data set whose last element is hostile; the pixels are left out."""
    ds = ds or made.instance()
    del ds.PixelData
    return ds, made.encode(ds) + hostile


def refused_everywhere(server, ds, body):
    response = web.stow(server, [made.wrap(body, made.CT, ds.SOPInstanceUID)])
    assert response.status_code == 409, response.text
    reasons = [*web.outcome(response)[1].values(), *web.outcome(response)[2]]
    assert reasons and reasons[0] >> 12 in (0xA, 0xC)
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
        status = peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, body)
    assert status >> 12 in (0xA, 0xC), f"{status:04X}"
    assert nothing_of(server, ds)
    still_serving(server)


def nested(depth, is_defined=False):
    if is_defined:
        inner = b""
        for _ in range(depth):
            inner = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, len(inner) + 8) + struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        return inner
    opening = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return opening * depth + (struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)) * depth


@pytest.mark.parametrize("depth", [65, 10_000])
@pytest.mark.parametrize("is_defined", [False, True], ids=["undefined", "defined"])
def test_a238_deep_nesting_is_refused(server, depth, is_defined):
    refused_everywhere(server, *body_around(nested(depth, is_defined)))


def test_nesting_within_the_limit_is_kept(server):
    ds, body = body_around(nested(60))
    assert web.stow(server, [made.wrap(body, made.CT, ds.SOPInstanceUID)]).status_code == 200
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    assert web.get(server, path + "/metadata", web.JSON).status_code == 200


def element(vr, length, tag=(0x7FE0, 0x0010)):
    return struct.pack("<HH2sHI", *tag, vr, 0, length)


@pytest.mark.parametrize(
    "hostile",
    [
        element(b"OW", 0xFFFFFFFE), element(b"OW", 100) + bytes(50), element(b"UT", 0x7FFFFFFF), element(b"SQ", 1000, (0x0040, 0xA730)) + bytes(20),
        struct.pack("<HH2sH", 0x7FE0, 0x0010, b"US", 0xFFFF) + b"ab",
        element(b"OB", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFF0) + bytes(10),
        element(b"OB", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0), b"\xff\xfe", struct.pack("<HH", 0x7FE0, 0x0010) + b"OW",
        element(b"SQ", 0xFFFFFFFF, (0x0040, 0xA730)) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF),
    ],
    ids=["4 GB", "half there", "2 GB text", "sequence past the end", "short US", "fragment past the end", "no end of fragments",
         "two bytes", "half a head", "never closed"],
)  # fmt: skip
def test_wrong_lengths_are_refused(server, hostile):
    refused_everywhere(server, *body_around(hostile))


def test_an_item_longer_than_its_sequence_is_kept_as_it_came(server):
    """The sequence says where it ends; readers differ on whether its item may disagree."""
    ds, body = body_around(element(b"SQ", 8, (0x0040, 0xA730)) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFF0))
    response = web.stow(server, [made.wrap(body, made.CT, ds.SOPInstanceUID)])
    assert response.status_code == 200, response.text
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == body
    assert web.get(server, path + "/metadata", web.JSON).json()[0]["0040A730"]["vr"] == "SQ"
    still_serving(server)


def test_every_cut_of_a_file_is_refused(server):
    """Truncated anywhere but between two elements, where nobody can tell: never a crash, never half an object."""
    ds = made.instance()
    data = made.file(ds)
    ends, at = set(), len(data) - len(made.encode(ds))
    for one in ds:
        ends.add(at)
        alone = Dataset()
        alone.add(one)
        at += len(made.encode(alone))
    assert at == len(data)
    for at in range(0, len(data), 3):
        if at not in ends:
            response = web.stow(server, [data[:at]])
            assert response.status_code == 409, (at, response.status_code)
    assert nothing_of(server, ds)
    still_serving(server)


def test_flipped_bytes_never_bring_the_server_down(server):
    chance = random.Random(3)
    files = [corpus.by_name(n).data for n in (
        "test_files/CT_small.dcm", "test_files/MR_small_RLE.dcm", "test_files/UN_sequence.dcm", "test_files/rtplan.dcm", "test_files/image_dfl.dcm",
        "test_files/ExplVR_BigEnd.dcm", "charset_files/chrH32.dcm", "test_files/reportsi.dcm",
    )]  # fmt: skip

    def flip(_):
        data = bytearray(chance.choice(files))
        for _ in range(chance.choice([1, 3, 30])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        response = web.stow(server, [bytes(data)])
        assert response.status_code in (200, 202, 409), response.text
        return response

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(flip, range(400)))
    still_serving(server)
    assert "panicked" not in server.log()
    for row in web.qido_all(server, "/instances"):
        path = web.instance_path(*(web.value(row, t) for t in ("0020000D", "0020000E", "00080018")))
        assert web.get(server, path + "/metadata", web.JSON).status_code == 200
        assert web.get(server, path, web.AS_STORED).status_code == 200


def test_a_deflated_bomb_is_bounded(start):
    """A gigabyte of zeros in a megabyte of Deflated Explicit VR (PS3.5 §A.5)."""
    server = start(config={"ingest": {"object_bytes_max": 200 * MB}})
    ds = made.instance()
    del ds.PixelData
    size = 1 << 30
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(made.encode(ds) + element(b"OW", size))
    for _ in range(size // MB):
        packed += packer.compress(bytes(MB))
    packed += packer.flush()
    begun = time.monotonic()
    response = web.stow(server, [made.wrap(packed, made.CT, ds.SOPInstanceUID, "1.2.840.10008.1.2.1.99")])
    assert response.status_code == 413, response.text
    assert web.outcome(response)[1].keys() == {str(ds.SOPInstanceUID)}, "the object itself was reached"
    assert time.monotonic() - begun < 30
    assert server.memory_peak_bytes() < 256 * MB
    assert nothing_of(server, ds)
    still_serving(server)


def test_a_million_empty_items_are_refused_or_kept_in_bounds(start):
    server = start()
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 2_000_000
    ds, body = body_around(element(b"SQ", len(items), (0x0040, 0xA730)) + items)
    response = web.stow(server, [made.wrap(body, made.CT, ds.SOPInstanceUID)])
    assert response.status_code == 200, response.text
    assert server.memory_peak_bytes() < 400 * MB
    still_serving(server)


def test_a_jpeg_renamed_dcm(server, tmp_path):
    jpeg = b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + bytes(i % 251 for i in range(20000))
    response = web.stow(server, [jpeg])
    assert response.status_code == 409 and web.outcome(response)[2]
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
        assert peer.store(made.CT, made.uid(), EXPLICIT, jpeg) == 0xC001


def test_http_headers_and_lines_are_bounded(server):
    for request in (
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 500_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n",
    ):  # fmt: skip
        with socket.create_connection(server.http_address, timeout=10) as s:
            try:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                s.recv(1000)
            except OSError:
                pass  # it hung up first
    still_serving(server)


def test_a_web_sender_that_stalls_is_let_go(start):
    server = start(config={"http": {"body_idle_timeout_s": 3, "uploads_max": 2}})
    ds = made.instance(rows=100, columns=100)
    content_type, body = web.multipart([made.file(ds)])
    stalled = []
    for _ in range(2):
        s = socket.create_connection(server.http_address, timeout=15)
        head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        s.sendall(head.encode() + body[:5000])
        stalled.append(s)
    wait.until(lambda: "\noverread_uploads 2\n" in requests.get(server.url + "/metrics", timeout=5).text, "both places are taken")
    response = web.stow(server, [made.file(made.instance())])
    assert response.status_code == 503 and int(response.headers["Retry-After"]) > 0, response.text
    for s in stalled:
        while s.recv(4096):
            pass
        s.close()
    assert nothing_of(server, ds)
    still_serving(server)


def test_slow_readers_hold_no_memory(start):
    server = start()
    ds = made.instance(rows=2000, columns=2000, pixels=os.urandom(8_000_000))
    assert web.stow(server, [made.file(ds)]).status_code == 200
    before = server.memory_peak_bytes()
    sockets = []
    for _ in range(40):
        s = socket.create_connection(server.http_address)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(f"GET /dicom-web/studies/{ds.StudyInstanceUID} HTTP/1.1\r\nHost: x\r\nAccept: {web.AS_STORED}\r\n\r\n".encode())
        sockets.append(s)
    for s in sockets:
        s.settimeout(15)
        assert s.recv(1, socket.MSG_PEEK), "its answer has begun"
    still_serving(server)
    assert server.memory_peak_bytes() - before < 100 * MB
    for s in sockets:
        s.close()


# --- Large things -----------------------------------------------------------------------------------


def large_stream(ds, size, digest):
    """A multipart body with one instance of `size` bytes of pixels, never in memory at once.
    `digest` is fed with the data set."""
    yield b"--wall\r\nContent-Type: application/dicom\r\n\r\n"
    yield made.wrap(b"", made.CT, ds.SOPInstanceUID, "1.2.840.10008.1.2.4.90")
    for piece in large_data_set(ds, size):
        digest.update(piece)
        yield piece
    yield b"\r\n--wall--\r\n"


def large_data_set(ds, size):
    del ds.PixelData
    # 4 GB fit one value; more needs fragments (PS3.5 §A.4).
    fragment = 1 << 30
    # Every block is another, so that one in the wrong place shows.
    block, number = bytearray(bytes(range(256)) * 4096), 0
    yield made.encode(ds) + element(b"OB", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    while size:
        piece = min(size, fragment)
        size -= piece
        yield struct.pack("<HHI", 0xFFFE, 0xE000, piece)
        for _ in range(piece // len(block)):
            block[:8] = struct.pack("<Q", number)
            number += 1
            yield bytes(block)
    yield struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@pytest.mark.timeout(300)
def test_a_5_gb_instance_streams_through_in_bounded_memory(start, tmp_path):
    size = 1 << 30 if os.environ.get("INTEROP_LARGE") == "1GB" else 5 << 30
    free = shutil.disk_usage(tmp_path).free
    if free < size + GB:
        pytest.fail(f"this test stores {size // GB} GB and {tmp_path} has {free // GB} GB free; INTEROP_LARGE=1GB makes it smaller")
    server = start()
    ds = made.instance()
    sent, got_back = hashlib.sha256(), hashlib.sha256()
    response = requests.post(
        f"{server.web}/studies", data=large_stream(ds, size, sent), timeout=200,
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=wall', "Accept": web.JSON},
    )  # fmt: skip
    assert response.status_code == 200, response.text
    assert server.memory_peak_bytes() < 200 * MB, f"{server.memory_peak_bytes() >> 20} MB resident at the peak"
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    total, head = 0, b""
    with requests.get(server.web + path, headers={"Accept": "application/dicom; transfer-syntax=*"}, stream=True, timeout=100) as got:
        assert got.status_code == 200
        for chunk in got.iter_content(4 * MB):
            if not total:
                head = chunk[: len(chunk) - len(part10.data_set(chunk))]
                chunk = chunk[len(head) :]
            got_back.update(chunk)
            total += len(chunk)
    assert total > size
    assert got_back.hexdigest() == sent.hexdigest(), "the data set came back with other bytes"
    assert server.memory_peak_bytes() < 200 * MB, f"{server.memory_peak_bytes() >> 20} MB resident at the peak"


@pytest.mark.timeout(240)
def test_a49_a_study_of_10_000_instances_comes_back_in_bounded_memory(start):
    server = start()
    study, series = made.uid(), made.uid()
    template = made.instance(study=study, series=series, rows=32, columns=32, sop="1.2.826.0.1.3680043.10.9999.7.10000")
    body, place = made.encode(template), str(template.SOPInstanceUID).encode()

    def send(numbers):
        with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
            for n in numbers:
                sop = f"1.2.826.0.1.3680043.10.9999.7.{10000 + n}"
                assert peer.store(made.CT, sop, EXPLICIT, body.replace(place, sop.encode())) == 0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, [range(at, at + 625) for at in range(0, 10_000, 625)]))
    before = server.memory_peak_bytes()
    with requests.get(f"{server.web}/studies/{study}", headers={"Accept": web.AS_STORED}, stream=True, timeout=100) as got:
        content = b"".join(got.iter_content(MB))
        parts = web.split_parts(got.headers["content-type"], content)
    assert len(parts) == 10_000
    assert len({headers["content-location"] for headers, _ in parts}) == 10_000
    assert server.memory_peak_bytes() - before < 64 * MB
    metadata = web.get(server, f"/studies/{study}/metadata", web.JSON).json()
    assert len(metadata) == 10_000
    assert server.memory_peak_bytes() < 300 * MB
    assert web.value(web.qido(server, "/studies")[0], "00201208") == 10_000


# --- A full disk ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MB: mounted by root, by sudo, or in a user namespace of our own, which is
    seen from here through /proc. Where none of them may, that is a failure, not a skip."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "overread-test", str(place)]
    complaints = []
    for root in ([],) if os.geteuid() == 0 else (["sudo", "-n"],):
        try:
            done = subprocess.run([*root, *mount], capture_output=True, text=True)
        except FileNotFoundError as error:
            complaints.append(str(error))
            continue
        if done.returncode == 0:
            yield place
            subprocess.run([*root, "umount", "-l", str(place)], check=True)
            return
        complaints.append(done.stderr.strip())
    # Ends when its standard input does.
    command = ["unshare", "-Urm", "sh", "-c", '"$@" && echo mounted && exec cat', "sh", *mount]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as namespace:
        if namespace.stdout.readline() == "mounted\n":
            yield Path(f"/proc/{namespace.pid}/root{place}")
            namespace.stdin.close()
            return
        complaints.append(namespace.stderr.read().strip())
    pytest.fail("the full disk test mounts a tmpfs: run it as root, with passwordless sudo, or where users may make "
                f"namespaces ({'; '.join(complaints)})")  # fmt: skip


def test_a149_a_full_disk_is_told_before_it_is_full(start, small_disk):
    server = start(data_dir=small_disk / "data", config={"ingest": {"free_bytes_min": 8 * MB}})
    kept, refused = [], None
    for _ in range(80):
        ds = made.instance(rows=700, columns=700, pixels=os.urandom(980_000))
        response = web.stow(server, [made.file(ds)])
        if response.status_code != 200:
            refused = response
            break
        kept.append(ds)
        if len(kept) == 1:
            assert shutil.disk_usage(small_disk).used < 4 * MB, "nothing is taken ahead of what arrives"
    assert refused is not None and 20 < len(kept) < 64
    assert refused.status_code == 507, f"{refused.status_code}: {refused.text}"
    if refused.headers["content-type"].startswith(web.JSON):
        assert next(iter(web.outcome(refused)[1].values()), 0xA700) >> 8 == 0xA7
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
        # STOW-RS says how much will come, and was refused for want of that; C-STORE says nothing, and needs the limit itself.
        (small_disk / "ballast").write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - 8 * MB + 4096)))
        assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) == 0xA700
    assert shutil.disk_usage(small_disk).free > 4 * MB, "before it is full"
    assert requests.get(server.url + "/readyz", timeout=5).status_code == 503, "not ready to store"
    assert requests.get(server.url + "/healthz", timeout=5).status_code == 200
    for ds in kept[::7]:
        path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
        assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == made.encode(ds)
    assert len(web.qido_all(server, "/instances")) == len(kept)


def test_a149_a_disk_that_fills_up_under_an_object_leaves_nothing_half_stored(start, small_disk):
    """The limit that should prevent it is set to nothing: the disk itself says no."""
    server = start(data_dir=small_disk / "data", config={"ingest": {"free_bytes_min": 0, "buffer_bytes_max": 65536}})
    first = made.instance(rows=100, columns=100)
    assert web.stow(server, [made.file(first)]).status_code == 200
    large = made.instance(rows=6000, columns=6000, pixels=os.urandom(72_000_000))
    response = web.stow(server, [made.file(large)])
    assert response.status_code == 507, response.text
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
        assert peer.store(made.CT, str(large.SOPInstanceUID), EXPLICIT, made.encode(large)) == 0xA700
    assert nothing_of(server, large)
    path = web.instance_path(first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
    assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == made.encode(first)
    # The space of the refused object was given back.
    still_serving(server)
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    assert web.get(server, "/studies", web.JSON).status_code == 200, "reads go on"
    web.stow(server, [made.file(made.instance(rows=300, columns=300))])
    (small_disk / "ballast").unlink()
    still_serving(server)
    server.stop()
    assert server.cli("check --deep").returncode == 0


# --- The log ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["info", "debug"])
def test_a239_logs_hold_identifiers_and_no_patient(start, level):
    server = start(config={"log": {"level": level, "format": "json"}})
    secrets = {"PatientName": "Geheimrat^Gundula", "PatientID": "SECRET-4711", "AccessionNumber": "VERTRAULICH8", "StudyDescription": "Peinliches"}
    ds = made.instance(**secrets)
    cut = made.instance(**secrets)
    web.stow(server, [made.file(ds), made.file(cut)[:-30]])
    conflict = made.instance(study=ds.StudyInstanceUID, **secrets | {"PatientID": "SECRET-QX12"})
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
        peer.store(made.CT, str(conflict.SOPInstanceUID), EXPLICIT, made.encode(conflict))
        peer.store(made.CT, made.uid(), EXPLICIT, made.encode(ds)[:200])
    for key, value in secrets.items():
        web.get(server, "/studies", web.JSON, params={key: value})
        web.get(server, "/studies", web.JSON, params={"StudyDate": value})
        web.get(server, f"/studies/{value}", web.AS_STORED)
    server.stop()
    log = server.log()
    for value in [*secrets.values(), "Geheimrat", "SECRET", "QX12"]:
        assert value not in log, value
    for refused in (cut, conflict):
        assert str(refused.SOPInstanceUID) in log, "identifiers are what a log is for"


def test_data_in_pieces_of_one_byte_with_pauses(server):
    """A peer behind a bad line: every byte its own packet."""
    ds = made.instance(rows=2, columns=2)
    body = made.encode(ds)
    with Association(server.dicom_address, [(made.CT, [EXPLICIT])]) as peer:
        peer.store_request(1, made.CT, str(ds.SOPInstanceUID))
        for byte in pdu(P_DATA, struct.pack(">IBB", len(body) + 2, 1, 2) + body):
            peer.socket.sendall(bytes([byte]))
        assert peer.store_response() == 0


def bytes_below(folder):
    """What the files of a folder take on the disk; they may go while we look."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512 if path.is_file() else 0
    return total


def test_an_aborting_crowd_leaves_no_staging_files(start):
    server = start(config={"ingest": {"buffer_bytes_max": 65536}})
    ds = made.instance(rows=600, columns=600)
    body = made.encode(ds)
    for _ in range(20):
        peer = Association(server.dicom_address, [(made.CT, [EXPLICIT])])
        peer.store_request(1, made.CT, str(ds.SOPInstanceUID))
        try:
            for at in range(0, 400_000, 16000):
                piece = body[at : at + 16000]
                peer.socket.sendall(pdu(P_DATA, struct.pack(">IBB", len(piece) + 2, 1, 0) + piece))
            peer.abort()
        except (OSError, Aborted, Closed):
            pass
    blobs = server.data_dir / "blobs"
    wait.until(lambda: bytes_below(blobs) < 8 * MB, "the staging files of the aborted are gone")
    assert nothing_of(server, ds)
    server.stop()
    assert server.cli("check --deep").returncode == 0
