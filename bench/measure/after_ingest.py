"""The first answers after a study was stored, when no cache is warm: metadata of its series, twice."""
from ..house import OURS
from ..upper_layer import store
from ..web import fetch
from .resources import JSON, series


def run(house, works):
    for work in works:
        for repetition, server in house.turns(house.servers(OURS, "orthanc", "orthanc-debian-12")):
            server.start()
            stored = store(server.dicom, server.aet, house.files("ct300"))
            figures = stored if "error" in stored else house.measured(server, twice, server.http, series(house, server, "ct300") + "/metadata")
            server.stop()
            house.note("after ingest", work, server.name, repetition, figures)


def twice(port, path):
    answers = [fetch(port, path, JSON) for _ in range(2)]
    if any(answer["status"] != 200 for answer in answers):
        return {"error": f"HTTP {[answer['status'] for answer in answers]}"}
    return {"first_ms": answers[0]["ms"], "second_ms": answers[1]["ms"]}
