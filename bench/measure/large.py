"""An instance of 524 MB and 1,000 frames: what storing it takes, and how soon its first frame comes."""
from ..house import OURS
from ..processes import Meter
from ..upper_layer import store
from ..web import fetch
from .resources import OCTETS, first_instance


def run(house, works):
    for work in works:
        for repetition, server in house.turns(house.servers(OURS, "orthanc", "orthanc-debian-12")):
            server.start()
            figures = house.measured(server, store, server.dicom, server.aet, house.files("big"), 1, False)
            if "error" not in figures:
                with Meter(server) as meter:
                    frame = fetch(server.http, first_instance(house, server, "big") + "/frames/1", OCTETS)
                figures.update(frame_ms=frame["ms"], frame_first_ms=frame["first_ms"],
                               peak_MB=max(figures["peak_MB"], meter.rec["peak_MB"]))
                if frame["status"] != 200:
                    figures = {"error": f"HTTP {frame['status']}"}
            server.stop()
            house.note("large", work, server.name, repetition, figures)
