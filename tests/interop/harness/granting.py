"""Grants given by the JSON API, links opened as a browser does, and studies with reports to be hidden."""

import hashlib
import time

import requests

from harness import made, people, web

SR = "1.2.840.10008.5.1.4.1.1.88.11"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
OF_PIXELS = (
    "PixelData Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation SamplesPerPixel PhotometricInterpretation"
).split()  # fmt: skip
HOUR_MS = 3_600_000
# Too long to stand in the metadata.
PAPER = b"%PDF-1.4 a report that nobody may see yet\n" + b"% nothing\n" * 1000 + b"%%EOF\n"


def now_ms():
    return int(time.time() * 1000)


def report(study, sop_class=SR, **attributes):
    """An object that shows how a study was read before."""
    nothing = dict.fromkeys(OF_PIXELS)
    ds = made.instance(study=study, **(nothing | {"SOPClassUID": sop_class, "Modality": "SR"} | attributes))
    if sop_class == PDF:
        ds.Modality = "DOC"
        ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
        ds.add_new(0x00420011, "OB", PAPER + b"\0" * (len(PAPER) % 2))
    return ds


def pixels(uid):
    """32 bytes that stand in no other object."""
    return hashlib.sha256(uid.encode()).digest()


def image(study, **attributes):
    sop = made.uid()
    return made.instance(study=study, sop=sop, pixels=pixels(sop), **attributes)


class Office:
    """A server with an administrator, who gives."""

    def __init__(self, server, root=None):
        """`root` is the token of an administrator whom there is already, or the headers with it."""
        self.server = server
        if root is None:
            people.add_user(server, "root", "administrator")
            people.closed(server)
            root = people.token(server, "root")[1]
        self.headers = root if isinstance(root, dict) else people.bearer(root)
        self.number = None

    def api(self, method, path, **keywords):
        headers = keywords.pop("headers", self.headers)
        return requests.request(method, f"{self.server.url}/api/v1{path}", headers=headers, timeout=30, **keywords)

    def open_case(self, study, headers=None):
        """The number of a new case, which has not gone out: nobody reads it yet."""
        body = {"study_instance_uid": str(study), "question": "?", "subspecialty": "any", "readers": [{"pool": "any"}]}
        answer = self.api("POST", "/cases", json=body, headers=headers or self.headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["number"]

    def case(self):
        """The administrator's case, of a study that is here."""
        if self.number is None:
            rows = requests.get(f"{self.server.web}/studies", headers=self.headers, timeout=30).json()
            self.number = self.open_case(web.value(rows[0], "0020000D"))
        return self.number

    def ask(self, *studies, to="link", blind=(), headers=None, **changes):
        """The answer to a request to give."""
        named = [{"study_instance_uid": str(uid)} for uid in studies]
        named += [{"study_instance_uid": str(uid), "view": "without-reports"} for uid in blind]
        body = {"case": self.case(), "to": to, "studies": named, "not_before_ms": now_ms() - HOUR_MS, "expires_ms": now_ms() + HOUR_MS}
        body |= changes
        return self.api("POST", "/grants", json=body, headers=headers or self.headers)

    def give(self, *studies, **keywords):
        """(number, link) of what was given."""
        answer = self.ask(*studies, **keywords)
        assert answer.status_code == 201, answer.text
        told = answer.json()
        assert answer.headers["Location"].endswith(f"/api/v1/grants/{told['id']}")
        return told["id"], told["link"]

    def session(self, *studies, **keywords):
        """(number, session) of a link that has been opened."""
        number, link = self.give(*studies, **keywords)
        session, answer = opened(link, pin=keywords.get("pin"))
        assert answer.status_code == 303, answer.text
        return number, session

    def store(self, *objects):
        session = requests.Session()
        session.headers.update(self.headers)
        return stored(self.server, session, *objects)


def stored(server, session, *objects):
    return web.stow(server, [made.file(ds) for ds in objects], session=session)


def opened(link, pin=None):
    """A new browser that opens a link: (session, answer)."""
    session = requests.Session()
    # As a browser says on pages of ours.
    session.headers["Origin"] = "/".join(link.split("/")[:3])
    data = {} if pin is None else {"pin": pin}
    answer = session.post(link, data=data, allow_redirects=False, timeout=60)
    return session, answer
