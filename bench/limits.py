"""What the machine itself can do, measured between the servers' runs: files that are appended to and synced, new files that are
synced, and SQLite without a server around it."""
import os
import shutil
import subprocess
import tempfile
import time


def append_synced(folder, size, count, per_sync=1):
    """Blobs a second that one open file takes when it is synced after every `per_sync` of them."""
    blob = os.urandom(size)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = os.open(os.path.join(place, "log"), os.O_CREAT | os.O_WRONLY)
        start = time.perf_counter()
        for number in range(count):
            written = os.write(file, blob)
            if written != size:
                raise OSError(f"{written} of {size} bytes written")
            if (number + 1) % per_sync == 0:
                os.fdatasync(file)
        seconds = time.perf_counter() - start
        os.close(file)
    return {"per_s": count / seconds, "seconds": seconds}


def new_files_synced(folder, size, count):
    """Blobs a second when each is a new file that is synced."""
    blob = os.urandom(size)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        start = time.perf_counter()
        for number in range(count):
            file = os.open(os.path.join(place, str(number)), os.O_CREAT | os.O_WRONLY)
            os.write(file, blob)
            os.fdatasync(file)
            os.close(file)
        seconds = time.perf_counter() - start
    return {"per_s": count / seconds, "seconds": seconds}


def sqlite(folder, program):
    """(exact lookups a second, pages of 50 a second) of the C program."""
    place = tempfile.mkdtemp(dir=folder)
    try:
        ran = subprocess.run([program, os.path.join(place, "t.sqlite")], capture_output=True, text=True, check=True)
    finally:
        shutil.rmtree(place)
    return tuple(map(float, ran.stdout.split()))
