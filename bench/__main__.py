"""The command line of scripts/bench, once everything is installed and built."""
import argparse
import json
import os
import signal
import sys
import time
import traceback

from . import machine, table
from .goals import ROWS, measurements
from .house import OURS, House
from .measure import searching
from .servers import stop_all
from .verdict import Outcome

PEERS = ["orthanc", "storescp", "nginx"]
# A smoke run shows that everything works, beside nothing that has to be installed for it.
SMOKE_ROWS = ["ct1", "ct4", "stow", "large", "index", "search", "series-metadata", "metadata", "frames", "bulk", "rendered", "mixed"]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Overread beside its peers: the table of goals.",
                                     epilog="Rows: " + ", ".join(row.key for row in ROWS))
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these rows; all without")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="how long one run of wrk takes")
    parser.add_argument("--quick", action="store_true", help="once, 2 seconds: figures to look at, not to keep")
    parser.add_argument("--smoke", action="store_true", help="tiny data, no Orthanc: whether it all works")
    parser.add_argument("--with-postgres", action="store_true", help="Orthanc on PostgreSQL too, for searches")
    parser.add_argument("--with-debian-12", action="store_true", help="the Orthanc of Debian 12 too")
    parser.add_argument("--without-peers", action="store_true", help="nobody but ourselves")
    parser.add_argument("--binary", help="the build of Overread that is measured; without, a release build of what is here")
    parser.add_argument("--folder", default=os.environ.get("BENCH_FOLDER", "target/bench"), help="data and what is kept between runs: some 12 GB (%(default)s)")
    parser.add_argument("--table", action="store_true", help="measures nothing: prints the table of what the last run has written")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--programs", type=json.loads, default={}, help=argparse.SUPPRESS)
    parser.add_argument("--generator", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    unknown = set(asked.rows) - {row.key for row in ROWS}
    if unknown:
        parser.error(f"no such row: {' '.join(sorted(unknown))}")
    if asked.repetitions < 1 or asked.seconds < 1:
        parser.error("at least one repetition of one second")
    return asked


def house_of(asked):
    peers = [] if asked.without_peers else PEERS + ["orthanc-postgres"] * asked.with_postgres + ["orthanc-debian-12"] * asked.with_debian_12
    programs = dict(asked.programs, overread=os.path.abspath(asked.binary or "target/release/overread"))
    if asked.smoke:
        peers = ["nginx"]
    return House(os.path.abspath(asked.folder), programs, peers, 1 if asked.quick or asked.smoke else asked.repetitions,
                 1 if asked.smoke else 2 if asked.quick else asked.seconds, asked.smoke, asked.generator)


def main():
    asked = arguments()
    if asked.check:
        return 0
    rows = [row for row in ROWS if row.key in asked.rows or not asked.rows]
    if asked.smoke:
        rows = [row for row in rows if row.key in SMOKE_ROWS]
    owner = os.getpid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Senders are forks of this process: they only go.
        signal.signal(number, lambda *_: sys.exit(130) if os.getpid() == owner else os._exit(1))
    house = house_of(asked)
    if not asked.table:
        measure(house, rows)
    if not os.path.exists(house.records):
        sys.exit("nothing was measured yet")
    with open(house.records) as f:
        head, *records = map(json.loads, f)
    if asked.table and not asked.rows:
        rows = [row for row in ROWS if row.key in head["rows"]]
    text, counts = report(head, rows, records)
    with open(os.path.join(house.folder, "smoke.md" if asked.smoke else "table.md"), "w") as f:
        f.write(text)
    # Whoever reads only the beginning may go.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    print("\n" + text)
    # A goal that is missed is news; a measurement that failed is a fault.
    return 1 if counts[Outcome.FAILED] or any("error" in record for record in records) else 0


def measure(house, rows):
    house.take()
    if os.path.exists(house.records):
        os.replace(house.records, house.records + ".before")
    with open(house.records, "w") as f:
        about = machine.described(house, [OURS, *house.peers])
        f.write(json.dumps({"about": about, "rows": [row.key for row in rows], "repetitions": house.repetitions, "is_smoke": house.is_smoke,
                            "begun": time.strftime("%F %H:%M UTC", time.gmtime())}) + "\n")
    for module, works in measurements(rows):
        try:
            module.run(house, thinned(module, works) if house.is_smoke else works)
        except Exception as error:  # One measurement that cannot be made does not cost the others of an hour.
            traceback.print_exc()
            for work in works:
                house.note(module.__name__.rpartition(".")[2], work, OURS, 0, {"error": repr(error)})
        finally:
            stop_all()


def thinned(module, works):
    """Of the works some of each kind: for one client, every third search, no picture that is like another."""
    single = [work for work in works if not work.endswith((" 4", " 8", "rendered dx 1"))]
    return single[::3] if module is searching else single


def report(head, rows, records):
    goals, counts = table.goals(rows, records)
    kind = "A smoke run: whether it works; its figures mean nothing." if head["is_smoke"] else (
        f"A quick run: {head['repetitions']} in place of five repetitions." if head["repetitions"] < 5 else "")
    summary = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)
    parts = [f"Measured {head['begun']}. {kind}".strip(), "\n".join(head["about"]), f"Goals: {summary or 'none'}.", goals.rstrip(),
             "All that was measured (medians):", table.details(records).rstrip()]
    return "\n\n".join(parts) + "\n", counts


if __name__ == "__main__":
    sys.exit(main())
