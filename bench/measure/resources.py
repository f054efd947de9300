"""The DICOMweb resources that are asked for (PS3.18 §10.4), by set."""
import random

OCTETS = 'multipart/related; type="application/octet-stream"'
ANY_OCTETS = OCTETS + "; transfer-syntax=*"
DICOM = 'multipart/related; type="application/dicom"'
JSON = "application/dicom+json"
JPEG = "image/jpeg"


def study(house, server, name, place=0):
    return f"{server.root}/studies/{house.manifest(name)[place]['StudyInstanceUID']}"


def series(house, server, name, place=0):
    return f"{study(house, server, name, place)}/series/{house.manifest(name)[place]['series'][0]['SeriesInstanceUID']}"


def instances(house, server, name, place=0):
    """All instances of the first series, in an order that no read-ahead guesses."""
    uids = [uid for uid, _ in house.manifest(name)[place]["series"][0]["instances"]]
    random.Random(3).shuffle(uids)
    return [f"{series(house, server, name, place)}/instances/{uid}" for uid in uids]


def first_instance(house, server, name):
    uid = house.manifest(name)[0]["series"][0]["instances"][0][0]
    return f"{series(house, server, name)}/instances/{uid}"


def every_instance(house, server, name):
    """The instances of every study of a set."""
    return [one for place in range(len(house.manifest(name))) for one in instances(house, server, name, place)]


def frames_of(house, name):
    """How many frames the instances of a set have."""
    return {"us": 60, "big": 1000, "smoke_us": 4, "smoke_big": 20}[house.set(name)]
