"""Forwarding rules: what arrives goes on to DCMTK, Orthanc (C-STORE and STOW-RS), pynetdicom, another Overread
and a scripted DICOMweb server, once, byte for byte; and what happens when a destination does not play along.
The power goes in test_forwarding_crash.py."""

import io
import json
import re
import shutil
import subprocess
import threading
import time

import pytest
import requests
from pydicom import dcmread

from harness import corpus, forward, made, part10, wait, web
from harness.forward import WebPeer, config, counts, drained, held, listed, stored
from harness.receiver import Raw, Scripted, Storescp, is_listening
from harness.server import Server, free_port
from harness.wire import EXPLICIT
from test_clients import Orthanc

SR = "1.2.840.10008.5.1.4.1.1.88.11"


def report(study):
    absent = dict.fromkeys(["PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
                            "SamplesPerPixel", "PhotometricInterpretation"])  # fmt: skip
    return made.instance(study=study, SOPClassUID=SR, Modality="SR", **absent)


def data_sets(files):
    return {uid: part10.data_set(data) for uid, data in files.items()}


# What goes where


def test_each_study_goes_where_its_rules_say(start):
    peers = {name: WebPeer() for name in "abcdefg"}
    rules = {
        "a": "from CT1 via dimse",
        "b": "where Modality = CT\\MR and BodyPartExamined = CH*",
        "c": "via stow",
        "d": "where StudyDescription = *nee and *ip* and InstitutionName != Elsewhere",
        "e": "",
        "f": f"where SOPClassUID = {SR}",
        "g": 'where StationName = "" and Modality = MR',
    }
    server = start(config=config(*(f"{rule} -> {name}" for name, rule in rules.items()), destinations=[f"{n} = {p.url}" for n, p in peers.items()]))
    chest = made.study(2, BodyPartExamined="CHEST")
    knee = [made.instance(Modality="MR", BodyPartExamined="KNEE", StudyDescription="Left Knee and Hip, old", InstitutionName="Haus am See")]
    other = [made.instance(Modality="MR", StudyDescription="knee and hip", InstitutionName="Elsewhere", StationName="MR1")]
    # Its image has no body part: it goes with the report that a rule wants, and the other way round.
    mixed = [made.instance(Modality="CT", BodyPartExamined="HEAD", StationName="CT9")]
    mixed.append(report(mixed[0].StudyInstanceUID))
    forward.store(server, *chest, calling="CT1")
    forward.store(server, *knee, calling="MR1")
    forward.stow(server, *other)
    forward.store(server, mixed[0], calling="CT2")
    forward.store(server, mixed[1], calling="WORKSTATION")
    drained(server, e=6)
    wanted = {"a": chest, "b": chest, "c": other, "d": knee, "e": chest + knee + other + mixed, "f": mixed, "g": knee}
    for name, objects in wanted.items():
        assert data_sets(peers[name].files) == {ds.SOPInstanceUID: made.encode(ds) for ds in objects}, rules[name]
    # Each instance was sent once, each study in a request of its own.
    for name, peer in peers.items():
        sent = [uid for _, uids, _ in peer.requests for uid in uids]
        assert len(sent) == len(set(sent)) == len(wanted[name])
        peer.__exit__()


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (["Modality = CT -> a"], 'forward.rules: the rule "Modality = CT -> a" begins with'),
        (["where Modality = CT"], "must be CONDITIONS -> DESTINATION"),
        (["where Colour = red -> SCP@127.0.0.1:1"], "names an attribute that no rule can look at"),
        (["via fax -> SCP@127.0.0.1:1"], "knows the doors"),
        (["-> nowhere"], "no name of dicom.peers or forward.destinations"),
        (["-> https://me:secret@a.example/"], "without ?, # and password"),
        (["-> OVERREAD@127.0.0.1:{dicom}"], "would send to ourselves"),
        (["-> ANYTHING@localhost:{dicom}"], "would send to ourselves"),
        (["-> http://127.0.0.1:{http}/dicom-web"], "would send to ourselves"),
        (["-> ANYTHING@localhost:{secure} tls"], "would send to ourselves"),
    ],
)
def test_a_rule_that_cannot_be_is_told_at_the_start(tmp_path, rules, told):
    server = Server(tmp_path / "data", config=config())
    http, dicom, secure = free_port(), free_port(), free_port()
    server.config["forward"]["rules"] = [rule.format(http=http, dicom=dicom, secure=secure) for rule in rules]
    server.config |= {"http": {"listen": f"127.0.0.1:{http}"}}
    # The rules are looked at before these files.
    files = {"tls_certificate": "nowhere.pem", "tls_trusted_certificates": "nowhere.pem"}
    server.config["dicom"] |= {"listen": f"127.0.0.1:{dicom}", "tls_listen": f"127.0.0.1:{secure}"} | files
    ran = server.cli("serve")
    assert ran.returncode == 1 and told in ran.stderr, ran.stderr
    assert "secret@" not in ran.stderr or rules[0] in ran.stderr


def test_a_rule_over_tls_needs_somebody_to_trust(tmp_path):
    server = Server(tmp_path / "data", config=config("-> SCP@192.0.2.1:2762 tls"))
    ran = server.cli("serve")
    assert ran.returncode == 1 and "goes over TLS: that needs dicom.tls_trusted_certificates" in ran.stderr, ran.stderr


def test_secrets_are_not_sent_in_the_clear(tmp_path):
    server = Server(tmp_path / "data", config=config(destinations=["cloud = http://192.0.2.1/dicom-web bearer-file /run/token"]))
    ran = server.cli("serve")
    assert ran.returncode == 1 and "use https://" in ran.stderr


def test_a_study_goes_when_nothing_has_come_for_a_while_and_later_arrivals_go_alone(start):
    times = []
    with WebPeer(lambda number, files, headers: times.append(time.monotonic())) as peer:
        server = start(config=config(f"-> {peer.url}", stable_s=2))
        objects = made.study(3)
        for ds in objects:
            last = time.monotonic()
            forward.stow(server, ds)
        [study] = listed(server)["studies"]
        assert (study["state"], study["waiting"], study["sent"], len(study["instances"])) == ("not stable", 3, 0, 3)
        assert counts(server)[peer.url] == {"unstable": 3, "due": 0, "failed": 0, "paused": 0, "sent_total": 0}
        drained(server)
        assert len(times) == 1 and times[0] - last >= 1.9
        assert sorted(peer.requests[0][1]) == sorted(ds.SOPInstanceUID for ds in objects)
        late = made.instance(study=objects[0].StudyInstanceUID)
        forward.stow(server, late)
        # The same bytes once more are nothing new.
        forward.stow(server, objects[0])
        drained(server, **{peer.url: 4})
        assert [uids for _, uids, _ in peer.requests[1:]] == [[late.SOPInstanceUID]]
        [study] = listed(server, "--all")["studies"]
        assert (study["state"], study["waiting"], study["sent"]) == ("sent", 0, 4)
        assert listed(server)["studies"] == []


# Real destinations, byte for byte


def kinds():
    """Objects in many transfer syntaxes, a large one among them."""
    files = [c.data for c in corpus.storable()][:40]
    return [f for f in files if part10.transfer_syntax(f) in made.TRANSFER_SYNTAXES] + [made.file(made.instance(rows=700, columns=700))]


def test_dcmtk_and_another_overread_get_the_very_bytes(start, tmp_path):
    other = start(config={"dicom": {"ae_title": "OTHER"}})
    web_twin = start(config={"dicom": {"ae_title": "TWIN"}})
    with Storescp(tmp_path / "scp", "+B", "+xa") as scp:
        peers = [f"dcmtk = {scp.peer}", f"other = OTHER@127.0.0.1:{other.ports[1]}"]
        server = start(config=config("-> dcmtk", "-> other", f"-> {web_twin.web}", peers=peers))
        kept, _, _ = web.outcome(web.stow(server, kinds()))
        assert len(kept) > 20
        drained(server, other=len(kept), dcmtk=1)
        now = counts(server)
        # storescp does not know every transfer syntax: what it got is right, and the rest is told.
        got = data_sets(scp.files())
    ours = held(server)
    assert set(ours) == set(kept) and held(other) == ours and held(web_twin) == ours
    assert now["other"]["sent_total"] == now[web_twin.web]["sent_total"] == len(kept)
    same = [uid for uid in got if got[uid] == ours[uid]]
    assert len(got) + now["dcmtk"]["failed"] + now["dcmtk"]["due"] == len(kept) and len(same) > 10


def test_orthanc_gets_a_study_by_c_store_and_by_stow_rs(start, tmp_path):
    source = start()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    by_web = Orthanc(tmp_path / "a", source)
    http, dicom = free_port(), free_port()
    settings = {"StorageDirectory": str(tmp_path / "b/db"), "IndexDirectory": str(tmp_path / "b/db"), "HttpPort": http, "DicomPort": dicom,
                "DicomAet": "ORTHANC", "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": []}  # fmt: skip
    (tmp_path / "b/orthanc.json").write_text(json.dumps(settings))
    with open(tmp_path / "b/log", "wb") as log:
        by_dicom = subprocess.Popen(["Orthanc", tmp_path / "b/orthanc.json"], stdout=log, stderr=log)
    try:
        wait.until(lambda: is_listening(http) and is_listening(dicom), "Orthanc listens", 60)
        destinations = [f"web = {by_web.url}/dicom-web"]
        server = start(config=config("-> web", "where Modality = CT -> orthanc", destinations=destinations, peers=[f"orthanc = ORTHANC@127.0.0.1:{dicom}"]))
        objects = made.study(60, rows=60, columns=60, PatientName="Müller^Zoë")
        objects.append(made.instance(study=objects[0].StudyInstanceUID, rows=1000, columns=1000))
        for ds in objects:
            ds.add_new(0x00091001, "UN", b"private!")
        sent = forward.store(server, *objects)
        drained(server, web=61, orthanc=61)
        for url in (by_web.url, f"http://127.0.0.1:{http}"):
            back = {}
            for one in requests.get(f"{url}/instances", timeout=30).json():
                file = requests.get(f"{url}/instances/{one}/file", timeout=30).content
                back[str(dcmread(io.BytesIO(file)).SOPInstanceUID)] = part10.data_set(file)
            assert back == sent
    finally:
        by_dicom.terminate()
        by_dicom.wait(30)
        by_web.stop()
        for folder in ("a", "b"):
            shutil.rmtree(tmp_path / folder / "db", ignore_errors=True)


def test_a_large_object_takes_little_memory(start):
    other = start(config={"dicom": {"ae_title": "OTHER"}})
    server = start(config=config(f"-> {other.web}", "-> other", peers=[f"other = OTHER@127.0.0.1:{other.ports[1]}"]))
    ds = made.instance(rows=8000, columns=8000)
    sent = forward.store(server, ds)
    before = server.memory_peak_bytes()
    drained(server, other=1, **{other.web: 1})
    assert server.memory_peak_bytes() - before < 40 << 20
    assert held(other) == sent


# Loops


def test_what_came_from_a_destination_is_not_sent_back(start):
    ports = {name: free_port() for name in "ab"}
    a = Pair(start, "A", f"B@127.0.0.1:{ports['b']}", ports["a"])
    b = Pair(start, "B", f"A@127.0.0.1:{ports['a']}", ports["b"])
    sent = forward.store(a.server, *made.study(3), called="A")
    drained(a.server, peer=3)
    # B has a rule for everything: what A sent there is not even queued.
    assert counts(b.server) == {}
    more = forward.store(b.server, *made.study(2), called="B")
    drained(b.server, peer=2)
    assert held(a.server) == held(b.server) == sent | more
    assert (counts(a.server)["peer"]["sent_total"], counts(b.server)["peer"]["sent_total"]) == (3, 2)


class Pair:
    """One of two servers with a rule for everything."""

    def __init__(self, start, title, peer, port):
        settings = config("-> peer", peers=[f"peer = {peer}"], dicom={"ae_title": title})
        self.server = start(config=settings, ports=(free_port(), port))


def test_the_web_tells_no_titles_and_still_there_is_no_loop(start):
    ports = [free_port(), free_port()]
    pair = [start(config=config(f"-> http://127.0.0.1:{other}/dicom-web"), ports=(own, free_port())) for own, other in (ports, ports[::-1])]
    sent = forward.stow(pair[0], *made.study(3))
    to_b, to_a = (f"http://127.0.0.1:{port}/dicom-web" for port in (ports[1], ports[0]))
    drained(pair[0], **{to_b: 3})
    # It goes back once, is known there, and that is the end of it.
    drained(pair[1], **{to_a: 3})
    assert forward.is_idle(pair[0]) and counts(pair[0])[to_b]["sent_total"] == 3
    assert held(pair[0]) == held(pair[1]) == sent


# Destinations that do not play along


def test_a_destination_that_is_down_gets_everything_when_it_is_up(start, tmp_path):
    port, web_port = free_port(), free_port()
    server = start(config=config("-> scp", f"-> http://127.0.0.1:{web_port}/dicom-web", peers=[f"scp = SCP@127.0.0.1:{port}"]))
    objects = made.study(5)
    sent = forward.store(server, *objects)
    wait.until(lambda: all(c["paused"] for c in counts(server).values()), "both are known to be down")
    told = listed(server)
    for destination in told["destinations"]:
        assert "refused" in destination["pause"]["reason"].lower() and destination["due"] == 5, destination
    # A restart does not forget it.
    assert server.stop() == 0
    with Storescp(tmp_path / "scp", "+B", port=port) as scp, WebPeer(port=web_port) as peer:
        server.start()
        drained(server, scp=5)
        assert data_sets(scp.files()) == data_sets(peer.files) == sent
        assert all(c["paused"] == 0 for c in counts(server).values())


def test_a_slow_destination_holds_up_nobody(start, tmp_path):
    def swallow(raw, connection):
        raw.accept(connection)
        while connection.recv(65536):
            pass

    with Raw(swallow) as slow, Storescp(tmp_path / "scp", "+B") as scp:
        server = start(config=config("-> slow", "-> scp", peers=[f"slow = {slow.peer}", f"scp = {scp.peer}"]))
        sent = forward.store(server, *made.study(4))
        wait.until(lambda: slow.connections, "the slow one is being sent to")
        wait.until(lambda: data_sets(scp.files()) == sent, "the other has it all")
        assert counts(server)["slow"]["due"] == 4
        # And the server stops in its time all the same.
        begun = time.monotonic()
        assert server.stop() == 0 and time.monotonic() - begun < 20
        server.start()
        assert counts(server)["slow"]["due"] == 4 and counts(server)["scp"]["sent_total"] == 4


def test_what_a_destination_refuses_is_kept_told_and_tried_again_when_somebody_asks(start):
    bad, mended = set(), threading.Event()
    with Scripted(lambda number, event: 0xC000 if str(event.request.AffectedSOPInstanceUID) in bad and not mended.is_set() else 0) as peer:
        server = start(config=config("-> peer", peers=[f"peer = {peer.peer}"], attempts=2))
        objects = made.study(4)
        bad.add(objects[1].SOPInstanceUID)
        forward.store(server, *objects)
        wait.until(lambda: counts(server).get("peer", {}).get("failed"), "it is given up", 30)
        now = counts(server)["peer"]
        assert (now["sent_total"], now["failed"], now["due"]) == (3, 1, 0)
        [study] = listed(server)["studies"]
        [instance] = study["instances"]
        assert (study["state"], instance["SOPInstanceUID"], instance["attempts"]) == ("failed", objects[1].SOPInstanceUID, 2)
        assert instance["reason"].startswith("C000H cannot understand")
        assert [str(r.AffectedSOPInstanceUID) for r in peer.requests].count(objects[1].SOPInstanceUID) == 2
        assert "given up" in server.log()
        table = server.cli("forward list").stdout
        assert re.search(rf"^{objects[0].StudyInstanceUID} +peer +failed +0 +1 +3 +C000H cannot understand", table, re.MULTILINE), table
        # Failed things survive a restart, and wait for somebody to ask.
        assert server.restart() and counts(server)["peer"]["failed"] == 1
        mended.set()
        for words, count in ((["--to", "nobody"], 0), (["--study", made.uid()], 0), (["--study", study["StudyInstanceUID"]], 1)):
            ran = server.cli("forward retry", *words)
            assert (ran.returncode, ran.stdout) == (0, f"{count} instances are tried again\n"), ran.stderr
        drained(server, peer=4)
        assert sorted(peer.acknowledged) == sorted(ds.SOPInstanceUID for ds in objects)


def test_out_of_resources_is_tried_again(start):
    with Scripted(lambda number, event: 0xA700 if number <= 3 else 0) as peer:
        server = start(config=config("-> peer", peers=[f"peer = {peer.peer}"]))
        objects = made.study(3)
        forward.store(server, *objects)
        drained(server, peer=3)
        assert sorted(peer.acknowledged) == sorted(ds.SOPInstanceUID for ds in objects)


def test_a_warning_is_an_end_of_it_and_a_duplicate_is_not(start):
    """Whoever has another object of this UID has not got ours: somebody must look."""
    answers = {1: 0xB000, 2: 0, 3: 0x0111}
    with Scripted(lambda number, event: answers.get(number, 0x0111)) as peer:
        server = start(config=config("-> peer", peers=[f"peer = {peer.peer}"], attempts=2))
        forward.store(server, *made.study(3))
        wait.until(lambda: counts(server).get("peer", {}).get("failed"), "it is given up", 30)
        assert counts(server)["peer"] | {"paused": 0} == {"unstable": 0, "due": 0, "failed": 1, "paused": 0, "sent_total": 2}
        assert len(peer.requests) == 4
        assert listed(server)["studies"][0]["instances"][0]["reason"].startswith("0111H duplicate SOP instance")


def test_a_duplicate_of_what_may_have_been_sent_is_an_end_of_it(start):
    """A strict destination that takes an instance and breaks off before it says so."""
    broken, has = threading.Event(), set()

    def answer(number, files, headers):
        if not broken.is_set():
            broken.set()
            has.update(files)
            return None, None, None
        return 409, {}, stored([], {uid: 0x0111 for uid in files})

    with WebPeer(answer) as peer:
        server = start(config=config(f"-> {peer.url}"))
        forward.stow(server, *made.study(2))
        assert drained(server, **{peer.url: 2})[peer.url]["failed"] == 0
        assert len(has) == 2 and len(peer.requests) == 3


def test_what_was_never_sent_is_no_reason_to_believe_a_duplicate(start):
    """The destination was down; what it has under this UID when it is up is not from us."""
    port = free_port()
    server = start(config=config("-> peer", peers=[f"peer = SCRIPTED@127.0.0.1:{port}"], attempts=2))
    forward.store(server, made.instance())
    wait.until(lambda: counts(server).get("peer", {}).get("paused"), "it cannot be reached")
    with Scripted(lambda number, event: 0x0111, port=port):
        wait.until(lambda: counts(server)["peer"]["failed"], "it is given up", 30)
        assert counts(server)["peer"]["sent_total"] == 0


def test_a_duplicate_of_what_was_lost_on_the_way_is_an_end_of_it(start):
    """A strict peer that takes an instance and breaks off before it says so, and is asked again at once."""
    has = []

    def answer(number, event):
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid in has:
            return 0x0111
        has.append(uid)
        event.assoc.abort()
        return 0

    with Scripted(answer) as peer:
        server = start(config=config("-> peer", peers=[f"peer = {peer.peer}"], attempts=1, dicom={"send_retries": 3}))
        sent = forward.store(server, *made.study(2))
        assert drained(server, peer=2)["peer"]["failed"] == 0
        assert sorted(has) == sorted(sent) and len(peer.requests) == 4


def test_a_page_for_people_is_no_answer_to_a_store(start):
    """A portal that wants a login says 200 to everything."""
    page = b"<!doctype html><title>Log in</title>"
    with WebPeer(lambda number, files, headers: (200, {"Content-Type": "text/html"}, page)) as peer:
        server = start(config=config(f"-> {peer.url}", attempts=2))
        forward.stow(server, made.instance())
        wait.until(lambda: counts(server).get(peer.url, {}).get("failed"), "it is given up", 30)
        assert counts(server)[peer.url]["sent_total"] == 0
        assert listed(server)["studies"][0]["instances"][0]["reason"] == "it answers HTTP 200 and does not tell of it"


def test_what_takes_the_place_of_another_goes_again(start):
    with WebPeer() as peer:
        server = start(config=config(f"-> {peer.url}", ingest={"duplicate": "replace"}))
        ds = made.instance()
        forward.stow(server, ds)
        drained(server, **{peer.url: 1})
        ds.InstitutionName = "Corrected"
        sent = forward.stow(server, ds)
        drained(server, **{peer.url: 2})
        assert data_sets(peer.files) == sent
        # One that says it has it already has not got this one.
        peer.answer = lambda number, files, headers: (409, {}, stored(files, {uid: 0x0111 for uid in files}))
        ds.InstitutionName = "Corrected again"
        forward.stow(server, ds)
        wait.until(lambda: len(peer.requests) >= 3 and listed(server)["studies"][0]["state"] == "tried again", "it is not taken for done")
        assert "0111H" in listed(server)["studies"][0]["instances"][0]["reason"]


def test_what_is_removed_is_not_sent(start):
    with WebPeer() as peer:
        server = start(config=config(f"-> {peer.url}", stable_s=3))
        gone, stays = made.study(2), made.study(2)
        forward.stow(server, *gone)
        sent = forward.stow(server, *stays)
        assert requests.delete(f"{server.web}/studies/{gone[0].StudyInstanceUID}", timeout=30).status_code in (200, 204)
        assert [s["StudyInstanceUID"] for s in listed(server)["studies"]] == [stays[0].StudyInstanceUID]
        drained(server, **{peer.url: 2})
        assert data_sets(peer.files) == sent


def test_what_is_dropped_is_not_sent_and_what_comes_later_is(start):
    with WebPeer() as peer:
        server = start(config=config(f"-> {peer.url}", stable_s=3))
        objects = made.study(2)
        forward.stow(server, *objects)
        assert server.cli("forward drop", "--study", objects[0].StudyInstanceUID).stdout == "2 instances are not sent any more\n"
        assert listed(server)["studies"] == []
        sent = forward.stow(server, made.instance(study=objects[0].StudyInstanceUID))
        drained(server, **{peer.url: 1})
        assert data_sets(peer.files) == sent


def test_what_import_brings_goes_on_when_the_server_runs(tmp_path):
    with WebPeer() as peer:
        server = Server(tmp_path / "data", config=config(f"via import -> {peer.url}"))
        objects = made.study(3)
        for number, ds in enumerate(objects):
            (tmp_path / f"{number}.dcm").write_bytes(made.file(ds))
        assert server.cli("import", *tmp_path.glob("*.dcm")).returncode == 0
        assert listed(server)["destinations"][0]["due"] + listed(server)["destinations"][0]["notStable"] == 3
        with server:
            drained(server, **{peer.url: 3})
        assert data_sets(peer.files) == {ds.SOPInstanceUID: made.encode(ds) for ds in objects}


# STOW-RS in detail


def test_the_store_response_decides_for_each_instance(start):
    """PS3.18 Table 10.5.3-1: 202 and 409 with both lists; what is in neither is not taken for stored."""
    objects = made.study(4)
    uids = [ds.SOPInstanceUID for ds in objects]

    def answer(number, files, headers):
        if number > 1:
            return None
        return 202, {}, stored([uids[0], uids[1]], {uids[2]: 0xA900})

    with WebPeer(answer) as peer:
        server = start(config=config(f"-> {peer.url}"))
        forward.stow(server, *objects)
        drained(server, **{peer.url: 4})
        assert sorted(peer.requests[0][1]) == sorted(uids)
        assert sorted(uid for _, sent, _ in peer.requests[1:] for uid in sent) == sorted(uids[2:])
        assert all(path == "/dicom-web/studies" for path, _, _ in peer.requests)


def test_a_refused_transfer_syntax_goes_in_explicit_vr(start):
    compressed = next(c.data for c in corpus.storable() if part10.transfer_syntax(c.data) == "1.2.840.10008.1.2.4.70")
    uid = str(dcmread(io.BytesIO(compressed)).SOPInstanceUID)

    def answer(number, files, headers):
        syntaxes = {u: part10.transfer_syntax(f) for u, f in files.items()}
        return 409 if any(s != EXPLICIT for s in syntaxes.values()) else 200, {}, stored(files, {u: 0xC122 for u, s in syntaxes.items() if s != EXPLICIT})

    with WebPeer(answer) as peer:
        server = start(config=config(f"-> {peer.url}"))
        assert web.stow(server, [compressed]).status_code == 200
        drained(server, **{peer.url: 1})
        assert len(peer.requests) == 2 and (dcmread(io.BytesIO(peer.files[uid])).pixel_array == dcmread(io.BytesIO(compressed)).pixel_array).all()


def test_busy_servers_are_left_alone_for_as_long_as_they_ask(start):
    times = []

    def answer(number, files, headers):
        times.append(time.monotonic())
        return (503, {"Retry-After": "3"}, b"") if number == 1 else None

    with WebPeer(answer) as peer:
        server = start(config=config(f"-> {peer.url}"))
        forward.stow(server, made.instance())
        drained(server, **{peer.url: 1})
        assert len(times) == 2 and times[1] - times[0] > 2.9


@pytest.mark.parametrize("status", [401, 404, 301, 502])
def test_a_server_that_does_not_let_us_in_is_told_of_and_nothing_is_given_up(start, status):
    closed = threading.Event()
    with WebPeer(lambda number, files, headers: None if closed.is_set() else (status, {"Location": "http://192.0.2.1/"}, b"no")) as peer:
        server = start(config=config(f"-> {peer.url}", attempts=1))
        sent = forward.stow(server, *made.study(2))
        wait.until(lambda: len(peer.requests) >= 2, "it was tried twice")
        [destination] = listed(server)["destinations"]
        assert destination["pause"]["reason"] == f"it answers HTTP {status}" and destination["failed"] == 0
        closed.set()
        drained(server, **{peer.url: 2})
        assert data_sets(peer.files) == sent


def test_one_instance_that_breaks_a_request_does_not_keep_the_others(start):
    poison = made.instance()
    others = made.study(3, study=poison.StudyInstanceUID)

    def answer(number, files, headers):
        return (500, {}, b"") if poison.SOPInstanceUID in files else None

    with WebPeer(answer) as peer:
        server = start(config=config(f"-> {peer.url}", attempts=2))
        forward.stow(server, poison, *others)
        wait.until(lambda: counts(server).get(peer.url, {}).get("failed"), "it is given up", 30)
        assert set(peer.files) == {ds.SOPInstanceUID for ds in others}
        now = counts(server)[peer.url]
        assert (now["sent_total"], now["failed"], now["due"]) == (3, 1, 0)


def test_secrets_come_from_their_files_and_are_told_nobody(start, tmp_path):
    token, basic = tmp_path / "token", tmp_path / "basic"
    token.write_text("abc.def-geheim\n")
    basic.write_text("Aladdin:open sesame\n")
    with WebPeer() as a, WebPeer() as b:
        server = start(config=config("-> a", "-> b", destinations=[f"a = {a.url} bearer-file {token}", f"b = {b.url}/ basic-file {basic}"]))
        forward.stow(server, made.instance())
        drained(server, a=1, b=1)
        assert a.requests[0][2]["Authorization"] == "Bearer abc.def-geheim"
        assert b.requests[0][2]["Authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        token.unlink()
        forward.stow(server, made.instance())
        wait.until(lambda: counts(server)["a"]["paused"], "there is no secret")
        [reason] = [d["pause"]["reason"] for d in listed(server)["destinations"] if d["pause"]]
        assert "secret cannot be read" in reason and str(token) not in reason
        token.write_text("new")
        drained(server, a=2, b=2)
        assert a.requests[-1][2]["Authorization"] == "Bearer new"
        assert not re.search("geheim|sesame|QWxhZ|" + re.escape("Maker^Test"), server.log())


def test_a_certificate_that_nobody_vouches_for_gets_nothing(start, tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=archive",
         "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True,
    )  # fmt: skip
    with WebPeer(tls=(certificate, key)) as peer:
        server = start(config=config(f"-> {peer.url}"))
        sent = forward.stow(server, *made.study(2))
        wait.until(lambda: counts(server).get(peer.url, {}).get("paused"), "it is not trusted")
        assert listed(server)["destinations"][0]["pause"]["reason"].startswith("TLS failed")
        assert peer.requests == []
        # Its owner is, from now on.
        assert server.stop() == 0
        server.env = {"SSL_CERT_FILE": str(certificate)}
        server.start()
        drained(server, **{peer.url: 2})
        assert data_sets(peer.files) == sent


def test_a_large_body_is_announced_first(start):
    """A server that refuses it says so before it comes (RFC 9110 §10.1.1)."""
    with WebPeer() as peer:
        server = start(config=config(f"-> {peer.url}"))
        small, large = made.instance(), made.instance(rows=1000, columns=1000)
        forward.stow(server, small)
        sent = forward.stow(server, large)
        drained(server, **{peer.url: 2})
        expects = {uids[0]: headers.get("Expect") for _, uids, headers in peer.requests}
        assert expects == {small.SOPInstanceUID: None, large.SOPInstanceUID: "100-continue"}
        assert part10.data_set(peer.files[large.SOPInstanceUID]) == sent[large.SOPInstanceUID]


def test_many_instances_go_in_several_requests(start):
    with WebPeer() as peer:
        server = start(config=config(f"-> {peer.url}"))
        sent = forward.stow(server, *made.study(120))
        drained(server, **{peer.url: 120})
        assert data_sets(peer.files) == sent
        assert max(len(uids) for _, uids, _ in peer.requests) == 50 and len(peer.requests) == 3


def test_a_body_that_is_not_wanted_is_not_sent(start):
    with WebPeer(unwilling=413) as peer:
        server = start(config=config(f"-> {peer.url}", attempts=2))
        small, large = made.instance(), made.instance(rows=1000, columns=1000)
        sent = forward.stow(server, small)
        forward.stow(server, large)
        wait.until(lambda: counts(server).get(peer.url, {}).get("failed"), "it is given up", 30)
        assert data_sets(peer.files) == sent and peer.turned_away == 2
        assert counts(server)[peer.url]["paused"] == 0
        assert listed(server)["studies"][0]["instances"][0]["reason"] == "it answers HTTP 413"


def test_a_server_that_cannot_be_asked_first_is_not(start):
    with WebPeer(unwilling=417) as peer:
        server = start(config=config(f"-> {peer.url}"))
        sent = forward.stow(server, made.instance(rows=1000, columns=1000))
        drained(server, **{peer.url: 1})
        assert data_sets(peer.files) == sent and peer.turned_away == 1
