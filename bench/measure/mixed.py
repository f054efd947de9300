"""How long searches and frames take while four associations store as fast as they can, and while nobody does."""
import multiprocessing
import time

from ..house import OURS
from ..upper_layer import keep_storing, store
from ..web import wrk
from .resources import JSON, OCTETS, instances

ASSOCIATIONS = 4


def run(house, works):
    for repetition in range(house.repetitions):
        server = house.server(OURS)
        server.start()
        for name in ("ct300", "idx1k"):
            stored = store(server.dicom, server.aet, house.files(name))
            if "error" in stored:
                raise RuntimeError(stored["error"])
        for work in works:
            if work == "search":
                paths = [f"{server.root}/studies?PatientID={one['PatientID']}" for one in house.manifest("idx1k")[:200]]
                asked = (server.http, paths, JSON, 1, house.seconds)
            else:
                asked = (server.http, [one + "/frames/1" for one in instances(house, server, "ct300")], OCTETS, 1, house.seconds)
            house.note("mixed", work + ", idle", server.name, repetition, house.measured(server, wrk, *asked))
            house.note("mixed", work + ", storing", server.name, repetition, house.measured(server, while_storing, house, server, asked))
        server.stop()


def while_storing(house, server, asked):
    context = multiprocessing.get_context("fork")
    until, stored = context.Event(), context.Array("q", ASSOCIATIONS)
    files, seed = house.files("ct")[:40], time.time_ns() // 10 ** 6 % 10 ** 7
    senders = [context.Process(target=keep_storing, args=(k, server.dicom, server.aet, files, seed, until, stored), daemon=True)
               for k in range(ASSOCIATIONS)]
    for sender in senders:
        sender.start()
    try:
        while min(stored) == 0:
            time.sleep(.01)
        before, start = sum(stored), time.perf_counter()
        figures = wrk(*asked)
        count, seconds = sum(stored) - before, time.perf_counter() - start
    finally:
        until.set()
        for sender in senders:
            sender.join(60)
    if min(stored) < 0:
        return {"error": "a sender failed"}
    return {**figures, "stored_per_s": count / seconds}
