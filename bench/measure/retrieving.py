"""WADO-RS, warm: metadata, frames, whole files, pictures; beside nginx, which serves as files the bodies that we answered.

A work is the name of a resource and how many ask for it at once: "frame ct 8".
"""
import os
import random
import shutil
import statistics
import time

from ..house import OURS
from ..web import fetch, wrk
from .resources import ANY_OCTETS, DICOM, JPEG, JSON, OCTETS, every_instance, first_instance, frames_of, instances, series, study

SETS = ["ct300", "ct1000", "us", "dx", "big"]
# Orthanc makes its metadata cache once a study has been stable for StableAge (60 s).
SETTLE_SECONDS = 70


def frames(house, server, name, count, suffix=""):
    numbers = random.Random(3).sample(range(1, frames_of(house, name) + 1), min(count, frames_of(house, name)))
    return [f"{first_instance(house, server, name)}/frames/{number}{suffix}" for number in numbers]


def each(suffix, of=instances):
    return lambda house, server, name: [one + suffix for one in of(house, server, name)]


def one(of):
    return lambda house, server, name: [of(house, server, name)]


# Resource -> (Accept, set, its paths, asked for by: wrk or one fetch after another).
RESOURCES = {
    "metadata series": (JSON, "ct300", lambda *a: [series(*a) + "/metadata"], "wrk"),
    "metadata study": (JSON, "ct1000", lambda *a: [study(*a) + "/metadata"], "fetch"),
    "metadata instance": (JSON, "ct300", each("/metadata"), "wrk"),
    "frame ct": (OCTETS, "ct300", each("/frames/1"), "wrk"),
    "frame us": (ANY_OCTETS, "us", lambda house, server, name: frames(house, server, name, 60), "wrk"),
    "frame big": (OCTETS, "big", lambda house, server, name: frames(house, server, name, 50), "wrk"),
    "series": (DICOM, "ct300", one(series), "fetch"),
    "study": (DICOM, "ct1000", one(study), "fetch"),
    "large instance": (DICOM, "big", one(first_instance), "fetch"),
    "rendered ct": (JPEG, "ct300", each("/rendered"), "wrk"),
    "rendered dx": (JPEG, "dx", each("/rendered", every_instance), "wrk"),
    "rendered us": (JPEG, "us", lambda house, server, name: frames(house, server, name, 60, "/rendered"), "wrk"),
}
# A fetched answer is large: so many of them are one measurement, of which the median counts.
FETCHES = 3
# More pictures than anybody draws in one measurement, so that none is asked for twice.
FRESH_PICTURES = 20_000


def run(house, works):
    servers = house.servers(OURS, "orthanc", "orthanc-debian-12")
    is_loaded_before = all(os.path.exists(os.path.join(house.kept, f"{s.name}-{'-'.join(map(house.set, SETS))}.loaded"))
                           for s in servers[1:])
    for server in servers:
        house.loaded(server, SETS)
    if not is_loaded_before:
        print(f"{SETTLE_SECONDS} s for Orthanc to make its metadata cache", flush=True)
        time.sleep(SETTLE_SECONDS)
    nginx = house.server("nginx") if "nginx" in house.peers else None
    if nginx:
        folder = os.path.join(house.work, "answers")
        for resource in dict.fromkeys(resource_of(work) for work in works if not is_fresh(work)):
            keep_answers(house, servers[0], resource, folder)
        nginx.start(folder)
    try:
        for work in works:
            for repetition, server in house.turns(servers + ([nginx] if nginx and not is_fresh(work) else [])):
                figures = measure(house, server, work, repetition)
                house.note("retrieve", work, server.name, repetition, figures)
    finally:
        for server in servers + ([nginx] if nginx else []):
            server.stop()
        shutil.rmtree(os.path.join(house.work, "answers"), ignore_errors=True)


def resource_of(work):
    return work.removeprefix("fresh ").rpartition(" ")[0]


def is_fresh(work):
    return work.startswith("fresh ")


def file_name(resource, place):
    return f"{resource.replace(' ', '-')}.{place:04d}"


def keep_answers(house, server, resource, folder):
    accept, name, paths, _ = RESOURCES[resource]
    os.makedirs(folder, exist_ok=True)
    for place, path in enumerate(paths(house, server, name)):
        answer = fetch(server.http, path, accept, keep=True)
        if answer["status"] != 200:
            raise RuntimeError(f"{resource}: {server.name} answers {answer['status']} {answer['body'][:200]!r}")
        with open(os.path.join(folder, file_name(resource, place)), "wb") as f:
            f.write(answer["body"])


def measure(house, server, work, repetition):
    accept, name, paths, way = RESOURCES[resource_of(work)]
    if server.name == "nginx":
        count = len(paths(house, server, name))
        wanted = ["/" + file_name(resource_of(work), place) for place in range(count)]
    else:
        wanted = paths(house, server, name)
    if is_fresh(work):
        wanted = never_drawn(wanted)
    connections = int(work.rpartition(" ")[2])
    if way == "fetch":
        return house.measured(server, fetches, server.http, wanted[0], accept)
    first = fetch(server.http, wanted[-1], accept)
    if first["status"] != 200:
        return {"error": f"HTTP {first['status']}"}
    figures = house.measured(server, wrk, server.http, wanted, accept, connections, house.seconds)
    if is_fresh(work) and figures.get("requests", 0) >= len(wanted):
        return {"error": "pictures were asked for twice"}
    return figures


def never_drawn(paths):
    """The same pictures, each through a window that nobody asked for before: numbered by the tenth of a millisecond, which is
    faster than anybody draws."""
    begin = time.time_ns() // 100_000 % 10 ** 10
    numbers = range(begin, begin + FRESH_PICTURES)
    windows = [f"window={900 + number % 10 ** 6 / 1e4:.4f},{400 + number // 10 ** 6 / 1e3:.3f},linear" for number in numbers]
    return [f"{paths[place % len(paths)]}?{window}" for place, window in enumerate(windows)]


def fetches(port, path, accept):
    """An answer several times, on a new connection each: the median, and the time to its first byte."""
    answers = []
    for _ in range(FETCHES):
        answer = fetch(port, path, accept)
        if answer["status"] != 200:
            return {"error": f"HTTP {answer['status']}"}
        answers.append(answer)
    milliseconds = statistics.median(answer["ms"] for answer in answers)
    size = answers[0]["bytes"]
    return {"requests": len(answers), "per_s": 1e3 / milliseconds, "MB_s": size / milliseconds / 1e3, "p50_ms": milliseconds,
            "first_ms": statistics.median(answer["first_ms"] for answer in answers), "bytes": size}
