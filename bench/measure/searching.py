"""QIDO-RS (PS3.18 §10.6) over 20,000 studies, loaded through the front door, and over 1,000,000, made straight into the index.

How many results each query has to give is counted in the manifests of the studies, so that no speed comes from a wrong answer.
"""
import json
import random
from urllib.parse import quote

from ..house import OURS
from ..limits import sqlite
from ..web import fetch, wrk
from . import million
from .resources import JSON

SETS = ["ct300", "idx1k", "idx20k"]
PAGE = 50
# Queries of the shared harness, asked of everybody.
QUERIES = ["patient id", "study uid", "accession", "name prefix", "name suffix", "date range", "date range, 2nd page", "first page",
           "page at 900", "name and date", "series of study", "instances of series"]
# Asked of us only: what costs most where an index is large.
HARD = ["no such patient", "no such name", "no such name part", "page at 18,000"]
DEEPEST = "page at 900,000"
MILLION = "overread, 1,000,000"


def run(house, works):
    """A work is a query and how many ask it at once; "at 1,000,000" before it includes the large archive."""
    large = [work.removeprefix("at 1,000,000 ") for work in works if work.startswith("at 1,000,000 ")]
    plain = [work for work in works if not work.startswith("at 1,000,000 ")]
    servers = house.servers(OURS, "orthanc", "orthanc-debian-12", "orthanc-postgres")
    giant = None
    if large:
        giant = million.start(house, MILLION)
        if giant is None:
            large = []
    if not plain:
        servers = servers[:1]
    try:
        for server in servers:
            house.loaded(server, SETS)
        asked = {server.shown: queries(known(house), house, server, "small") for server in servers}
        if giant:
            asked[giant.shown] = queries(million.sample(giant), house, giant, "large")
        for work in dict.fromkeys(plain + large):
            query, _, connections = work.rpartition(" ")
            here = [server for server in servers if server.name == OURS or (work in plain and connections == "1" and query in QUERIES)]
            here = [] if query == DEEPEST else here
            for repetition, server in house.turns(here + ([giant] if giant and work in large else [])):
                figures = ask(house, server, *asked[server.shown][query], int(connections))
                house.note("search", work, server.shown, repetition, figures)
        if plain and "sqlite_rate" in house.programs:
            for repetition in range(house.repetitions):
                lookups, pages = sqlite(house.work, house.programs["sqlite_rate"])
                house.note("search", "lookup", "sqlite", repetition, {"per_s": lookups})
                house.note("search", "page", "sqlite", repetition, {"per_s": pages})
    finally:
        for server in servers + ([giant] if giant else []):
            server.stop()


def known(house):
    """All studies of the small archive, once each."""
    return list({study["StudyInstanceUID"]: study for name in SETS for study in house.manifest(name)}.values())


def queries(studies, house, server, size):
    """query -> (paths, results that the first path has to give, or None: at least one)."""
    rng = random.Random(7)
    picked = rng.sample(studies, min(200, len(studies)))
    base = f"{server.root}/studies?"
    years = [(rng.randint(2015, 2023), rng.randint(1, 9)) for _ in range(50)]
    ranges = [(f"{year}{month:02d}01", f"{year}{month + 2:02d}28") for year, month in years]
    dated = [f"StudyDate={first}-{last}" for first, last in ranges]
    ct = house.manifest("ct300")[0]
    in_series = f"{server.root}/studies/{ct['StudyInstanceUID']}/series/{ct['series'][0]['SeriesInstanceUID']}/instances"

    def count(holds):
        # The large archive is known by a sample only.
        return sum(map(holds, studies)) if size == "small" else None

    def page(found, offset=0):
        return PAGE if found is None else max(0, min(PAGE, found - offset))

    def first_range(study):
        return ranges[0][0] <= study["StudyDate"] <= ranges[0][1]

    def is_smith(study):
        return study["PatientName"].startswith("SMITH")

    def same(key):
        return count(lambda study: study[key] == picked[0][key])

    every = count(lambda study: True)
    limit = f"&limit={PAGE}"
    return {
        "patient id": ([base + "PatientID=" + quote(study["PatientID"]) for study in picked], same("PatientID")),
        "study uid": ([base + "StudyInstanceUID=" + study["StudyInstanceUID"] for study in picked], 1),
        "accession": ([base + "AccessionNumber=" + quote(study["AccessionNumber"]) for study in picked], same("AccessionNumber")),
        "name prefix": ([base + "PatientName=SMITH*" + limit], page(count(is_smith))),
        "name suffix": ([base + "PatientName=*SON*" + limit], page(count(lambda study: "SON" in study["PatientName"]))),
        "date range": ([base + date + limit for date in dated], page(count(first_range))),
        "date range, 2nd page": ([base + date + limit + f"&offset={PAGE}" for date in dated], page(count(first_range), PAGE)),
        "first page": ([base + f"limit={PAGE}"], page(every)),
        "page at 900": ([base + f"limit={PAGE}&offset=900"], page(every, 900)),
        "page at 18,000": ([base + f"limit={PAGE}&offset=18000"], page(every, 18000)),
        DEEPEST: ([base + f"limit={PAGE}&offset=900000"], page(every, 900000)),
        "name and date": ([base + "PatientName=SMITH*&" + date + limit for date in dated],
                          page(count(lambda study: is_smith(study) and first_range(study))) if size == "small" else None),
        "series of study": ([f"{server.root}/studies/{study['StudyInstanceUID']}/series" for study in picked], None),
        "instances of series": ([in_series], len(ct["series"][0]["instances"])),
        "no such patient": ([base + "PatientID=NOBODY"], 0),
        "no such name": ([base + "PatientName=QQXZ*"], 0),
        "no such name part": ([base + "PatientName=*QQXZ*"], 0),
    }


def ask(house, server, paths, expected, connections):
    answer = fetch(server.http, paths[0], JSON, keep=True)
    if answer["status"] not in (200, 204):
        return {"error": f"HTTP {answer['status']}"}
    count = len(json.loads(answer["body"])) if answer["body"] else 0
    if count != expected if expected is not None else count < 1:
        return {"error": f"{count} results in place of {'some' if expected is None else expected}"}
    return {**house.measured(server, wrk, server.http, paths, JSON, connections, house.seconds), "results": count}
