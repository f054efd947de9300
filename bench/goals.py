"""The table of goals, as data: which row holds which goals, and what has to be measured to judge them.

A goal compares a figure of ours with one of somebody else, or of ours under other conditions, or with a number. Nothing else
in the benchmark knows what good is.
"""
import dataclasses

from .house import OURS
from .measure import after_ingest, large, million, mixed, retrieving, searching, storing, syncs, typing


@dataclasses.dataclass(frozen=True)
class Figure:
    """A metric of a work of a server."""
    work: str
    metric: str
    server: str = OURS


@dataclasses.dataclass(frozen=True)
class Goal:
    """`figure`, or its ratio to `beside`, is in the `sense` of `limit`."""
    name: str
    figure: Figure
    sense: str
    limit: float
    beside: Figure | None = None
    unit: str = ""
    # A peer that takes part only when it is asked for.
    is_optional: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table; `needs` are (measurement, its works)."""
    key: str
    title: str
    goals: list
    needs: list


def times(name, work, limit, server, metric="per_s", sense=">=", beside_work=None, **more):
    """Ours is so many times the figure of a peer, at the same work."""
    return Goal(name, Figure(work, metric), sense, limit, Figure(beside_work or work, metric, server), **more)


def bound(name, work, metric, limit, unit, sense="<="):
    return Goal(name, Figure(work, metric), sense, limit, unit=unit)


def against_nginx(name, work, limit):
    return times(name, work, limit, "nginx")


def flat(name, work, than):
    return Goal(name, Figure(work, "peak_MB"), "<=", 1.25, Figure(than, "peak_MB"))


def searches(query):
    """What is asked of one query over 20,000 studies."""
    return [
        times(f"{query}, beside Orthanc", f"{query} 1", 100, "orthanc"),
        times(f"{query}, beside Orthanc on PostgreSQL", f"{query} 1", 20, "orthanc-postgres", is_optional=True),
        bound(f"{query}, p99 of 8 clients", f"{query} 8", "p99_ms", 10, "ms", "<"),
    ]


def at_a_million(query):
    return Goal(f"{query}, p50 beside 20,000", Figure(f"{query} 1", "p50_ms", searching.MILLION), "<=", 2, Figure(f"{query} 1", "p50_ms"))


LARGE_ARCHIVE = searching.QUERIES + searching.HARD
ROWS = [
    Row("ct1", "C-STORE CT 538 KB, 1 association", [
        times("beside Orthanc", "store ct 1", 5, "orthanc"),
        times("beside storescp, which syncs nothing", "store ct 1", 1, "storescp", sense=">"),
        times("beside an append, synced each time", "store ct 1", .8, "append"),
    ], [(storing, ["store ct 1"])]),
    Row("ct4", "the same, 4 associations", [
        times("beside Orthanc", "store ct 4", 6, "orthanc"),
        times("beside storescp, which syncs nothing", "store ct 4", 1, "storescp", sense=">"),
    ], [(storing, ["store ct 4"])]),
    Row("small", "C-STORE 5 KB", [
        times("1 association, beside Orthanc", "store 5 KB 1", 8, "orthanc"),
        times("4 associations, beside Orthanc", "store 5 KB 4", 20, "orthanc"),
    ], [(storing, ["store 5 KB 1", "store 5 KB 4"])]),
    Row("grown", "rate at 1,000,000 instances in the index", [
        Goal(f"{n}, beside the empty index", Figure(f"5 KB {k} on top of 1,000,000", "per_s"), ">=", .9, Figure(f"5 KB {k} into none", "per_s"))
        for k, n in [(1, "1 association"), (4, "4 associations")]
    ], [(million, ["5 KB 1", "5 KB 4"])]),
    Row("cost", "what storing costs", [
        bound("CPU for 1,000 CT", "store ct 1", "cpu_s_per_1000", .7, "s"),
        bound("memory at 4 associations", "store ct 4", "peak_MB", 64, "MB"),
        bound("memory idle", "store ct 1", "idle_MB", 25, "MB"),
    ], [(storing, ["store ct 1", "store ct 4"])]),
    Row("stow", "STOW-RS, CT, 50 a request", [
        times("1 client, beside Orthanc", "stow ct 1", 5, "orthanc"),
        times("1 client, beside storescp (C-STORE)", "stow ct 1", 1, "storescp", sense=">"),
        times("1 client, beside an append, synced each time", "stow ct 1", .8, "append"),
        times("4 clients, beside Orthanc", "stow ct 4", 6, "orthanc"),
        times("4 clients, beside storescp (C-STORE)", "stow ct 4", 1, "storescp", sense=">"),
    ], [(storing, ["stow ct 1", "stow ct 4"])]),
    Row("large", "an instance of 524 MB, 1,000 frames, stored, then its first frame", [
        bound("memory", "large", "peak_MB", 64, "MB"),
        bound("the first frame, whole", "large", "frame_ms", 5, "ms", "<"),
    ], [(large, ["large"])]),
    Row("index", "index, prepared metadata included", [
        bound("bytes an instance (CT)", "store ct 1", "index_bytes", 2500, "B"),
    ], [(storing, ["store ct 1"])]),
    Row("search", "QIDO-RS at 20,000 studies", [goal for query in searching.QUERIES for goal in searches(query)],
        [(searching, [f"{query} {k}" for query in searching.QUERIES for k in (1, 8)])]),
    Row("million", "QIDO-RS at 1,000,000 studies", [at_a_million(query) for query in LARGE_ARCHIVE],
        [(searching, [f"at 1,000,000 {query} 1" for query in [*LARGE_ARCHIVE, searching.DEEPEST]])]),
    Row("series-metadata", "metadata of a series of 300 CT", [
        against_nginx("1 client, beside nginx", "metadata series 1", .8),
        against_nginx("4 clients, beside nginx", "metadata series 4", .8),
        Goal("the first answer after ingest, beside the second", Figure("metadata", "first_ms"), "<=", 1.2, Figure("metadata", "second_ms")),
    ], [(retrieving, ["metadata series 1", "metadata series 4"]), (after_ingest, ["metadata"])]),
    Row("metadata", "metadata of one instance; of a study of 1,000", [
        against_nginx("an instance, 1 client, beside nginx", "metadata instance 1", .4),
        against_nginx("an instance, 8 clients, beside nginx", "metadata instance 8", .4),
        bound("a study, first byte", "metadata study 1", "first_ms", 5, "ms", "<"),
        against_nginx("a study, beside nginx", "metadata study 1", .8),
    ], [(retrieving, ["metadata instance 1", "metadata instance 8", "metadata study 1"])]),
    Row("frames", "frames", [
        against_nginx("CT, 1 client, beside nginx", "frame ct 1", .7),
        against_nginx("CT, 8 clients, beside nginx", "frame ct 8", .7),
        against_nginx("US (JPEG), 1 client, beside nginx", "frame us 1", .7),
        against_nginx("US (JPEG), 8 clients, beside nginx", "frame us 8", .7),
        against_nginx("of 1,000 in one instance, beside nginx", "frame big 1", .7),
        flat("memory at 8 clients, beside 1", "frame ct 8", "frame ct 1"),
    ], [(retrieving, ["frame ct 1", "frame ct 8", "frame us 1", "frame us 8", "frame big 1"])]),
    Row("bulk", "as stored", [
        against_nginx("a series of 300, beside nginx", "series 1", .8),
        against_nginx("a study of 1,000, beside nginx", "study 1", .8),
        against_nginx("an instance of 524 MB, beside nginx", "large instance 1", .6),
        *[bound(f"memory, {name}", work, "peak_MB", 96, "MB")
          for name, work in [("series", "series 1"), ("study", "study 1"), ("instance", "large instance 1")]],
    ], [(retrieving, ["series 1", "study 1", "large instance 1"])]),
    Row("rendered", "rendered", [
        *[times(f"{name}, fresh, beside Orthanc", f"fresh rendered {key} 1", 4, "orthanc")
          for name, key in [("CT", "ct"), ("DX", "dx"), ("US frame", "us")]],
        *[against_nginx(f"{name}, cached, beside nginx", f"rendered {key} 1", .5)
          for name, key in [("CT", "ct"), ("DX", "dx"), ("US frame", "us")]],
    ], [(retrieving, [f"{fresh}rendered {key} 1" for key in ("ct", "dx", "us") for fresh in ("fresh ", "")])]),
    Row("start", "start with 1,000,000 studies", [
        bound("ready", "start", "ready_s", 1, "s", "<"),
        bound("memory", "start", "peak_MB", 64, "MB"),
    ], [(million, ["start"])]),
    Row("mixed", "reads while 4 associations store, beside none", [
        Goal(f"p99 of {name}", Figure(f"{work}, storing", "p99_ms"), "<=", 3, Figure(f"{work}, idle", "p99_ms"))
        for name, work in [("QIDO-RS", "search"), ("frames", "frame")]
    ], [(mixed, ["search", "frame"])]),
    Row("typing", "the list of studies in a browser, 100,000 studies", [
        bound("the first list", "first list", "list_ms", 1000, "ms", "<"),
        bound("its bytes", "first list", "list_kB", 300, "kB", "<"),
        bound("from a key in a filter to its list", "keys", "key_ms", 100, "ms"),
    ], [(typing, ["first list", "keys"])]),
    Row("syncs", "sync calls an instance (100 of 5 KB, 20 CT), not a goal", [], [(syncs, ["syncs 1", "syncs 4"])]),
]


def measurements(rows):
    """[(measurement, its works)] of these rows, each once, in the order of the table."""
    found = {}
    for row in rows:
        for module, works in row.needs:
            found.setdefault(module, []).extend(work for work in works if work not in found.get(module, []))
    return list(found.items())
