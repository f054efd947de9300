"""DICOM over TLS as DCMTK, pynetdicom, OpenSSL and Python's ssl meet it, both ways (PS3.15 §B.12; conformance.md §8, 227).
Certificates are made by openssl for each run."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest
from pydicom import dcmread
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelGet, Verification

from harness import made, part10, wait, web
from harness.certificates import Authority, joined, openssl, self_signed
from harness.receiver import Scripted, Storescp
from harness.retrieve import identifier
from harness.sending import a_study, counted, send
from harness.server import free_port, run
from harness.wire import (
    ABORT, ASSOCIATE_AC, EXPLICIT, IMPLICIT, P_DATA, RELEASE_RQ, VERIFICATION, Aborted, Association, Closed, associate_rq, command, pdu,
    read_command,
)  # fmt: skip

ECHO = [(VERIFICATION, [IMPLICIT])]
CT_EXPLICIT = [(made.CT, [EXPLICIT])]
ALERT = 0x15


class Secure:
    """A server with a TLS port, and the authority that it trusts."""

    def __init__(self, start, folder, remote="require", kind="ec", trusted=None, authority=None, **dicom):
        self.authority = authority or Authority(folder / "authority")
        self.identity = self.authority.issue("server", kind=kind)
        self.port = free_port()
        self.trusted = trusted or self.authority.certificate
        dicom = {
            "tls_listen": f"127.0.0.1:{self.port}", "tls_certificate": str(self.identity.certificate),
            "tls_private_key": str(self.identity.key), "tls_trusted_certificates": str(self.trusted),
            "tls_remote_certificate": remote,
        } | dicom  # fmt: skip
        self.server = start(config={"dicom": dicom})
        self.address = ("127.0.0.1", self.port)

    def echo(self, context, **request):
        with Association(self.address, ECHO, tls=context, **request) as peer:
            return peer.echo(), peer.socket.version()

    def dcmtk(self, command, *words):
        client = self.authority.issue("dcmtk")
        return subprocess.run(
            [command, "+tls", client.key, client.certificate, "+cf", self.authority.certificate, "-aec", "OVERREAD", "127.0.0.1",
             str(self.port), *map(str, words)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def is_refused(self, context, **request):
        """Whether the server lets nobody in who comes with this."""
        try:
            self.echo(context, timeout=10, **request)
        except (ssl.SSLError, ConnectionError, Closed):
            return True
        return False

    def said(self, words):
        wait.until(lambda: words in self.server.log(), words)


@pytest.fixture(scope="module")
def secure(start_module, tmp_path_factory):
    """Peers have to show a certificate."""
    return Secure(start_module, tmp_path_factory.mktemp("secure"))


# As SCP


def test_dcmtk_over_tls(secure, tmp_path):
    done = secure.dcmtk("echoscu")
    assert done.returncode == 0, done.stderr
    ds = made.instance(rows=300, columns=400)
    (tmp_path / "ct.dcm").write_bytes(made.file(ds))
    done = secure.dcmtk("storescu", tmp_path / "ct.dcm")
    assert done.returncode == 0, done.stderr
    response = web.get(secure.server, web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID), web.AS_STORED)
    assert part10.data_set(web.file_of(response)) == made.encode(ds)
    key = f"StudyInstanceUID={ds.StudyInstanceUID}"
    done = secure.dcmtk("findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", key, "-k", "StudyDate", "-X", "-od", tmp_path)
    assert done.returncode == 0, done.stderr
    assert dcmread(tmp_path / "rsp0001.dcm", force=True).StudyDate == "20260102"


def test_pynetdicom_over_tls(secure):
    ae = AE()
    ae.add_requested_context(Verification)
    ae.add_requested_context(CTImageStorage, EXPLICIT)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    got = []

    def take(event):
        got.append(event.request.DataSet.getvalue())
        return 0x0000

    association = ae.associate(
        *secure.address, ae_title="OVERREAD", tls_args=(secure.authority.client(), "localhost"), evt_handlers=[(evt.EVT_C_STORE, take)],
        ext_neg=[build_role(CTImageStorage, scu_role=True, scp_role=True)],
    )  # fmt: skip
    assert association.is_established
    assert association.send_c_echo().Status == 0
    objects = made.study(3, rows=200, columns=200)
    for ds in objects:
        ds.file_meta = part10.split(made.file(ds))[0]
        assert association.send_c_store(ds).Status == 0
    wanted = identifier("STUDY", StudyInstanceUID=objects[0].StudyInstanceUID)
    statuses = [status.Status for status, _ in association.send_c_get(wanted, StudyRootQueryRetrieveInformationModelGet)]
    assert statuses == [0xFF00] * 3 + [0x0000]
    association.release()
    assert sorted(got) == sorted(made.encode(ds) for ds in objects)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a227_tls_1_2_and_1_3(start, tmp_path, version, kind):
    secure = Secure(start, tmp_path, kind=kind)
    client = secure.authority.issue("client", kind=kind)
    context = client.context(secure.authority.certificate, versions=(version, version))
    assert secure.echo(context) == (0, version.name.replace("_", "."))


def s_client(port, *words):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *words], input=b"", capture_output=True, timeout=30)
    text = (done.stdout + done.stderr).decode(errors="replace")
    found = re.search(r"New, (\S+), Cipher is (\S+)", text)
    return (found.group(1), found.group(2)) if found and found.group(2) != "(NONE)" else None, text


def test_a227_nothing_older_than_tls_1_2_and_only_good_suites(start, tmp_path):
    port = Secure(start, tmp_path, remote="off", kind="rsa").port
    for version in ("-tls1", "-tls1_1"):
        agreed, text = s_client(port, version, "-cipher", "ALL:@SECLEVEL=0")
        assert agreed is None and ("alert protocol version" in text or "alert handshake failure" in text), text
    assert s_client(port, "-tls1_3")[0][0] == "TLSv1.3"
    for suite in ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"):
        assert s_client(port, "-tls1_2", "-cipher", suite)[0][1] == suite
    for suite in ("AES256-GCM-SHA384", "AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256", "NULL-SHA256"):
        agreed, text = s_client(port, "-tls1_2", "-cipher", suite + ":@SECLEVEL=0")
        assert agreed is None and "handshake failure" in text, (suite, text)
    # The best that both can.
    assert s_client(port)[0][0] == "TLSv1.3"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a227_a_client_certificate_is_required(secure, tmp_path, version):
    assert secure.is_refused(secure.authority.nobody(version))
    stranger = Authority(tmp_path / "stranger", "Stranger").issue("client")
    assert secure.is_refused(stranger.context(secure.authority.certificate, versions=(version, version)))
    good = secure.authority.issue("client")
    assert secure.echo(good.context(secure.authority.certificate, versions=(version, version)))[0] == 0
    secure.said("no TLS: peer sent no certificates")


def test_a_client_certificate_is_requested(start, tmp_path):
    secure = Secure(start, tmp_path, remote="request")
    assert secure.echo(secure.authority.nobody())[0] == 0
    assert secure.echo(secure.authority.client())[0] == 0
    stranger = Authority(tmp_path / "stranger", "Stranger").issue("client")
    assert secure.is_refused(stranger.context(secure.authority.certificate))


def test_certificates_of_their_own_making(start, tmp_path):
    """One that stands in the file is taken as it is, and makes nobody else known."""
    known, unknown = self_signed(tmp_path, "known"), self_signed(tmp_path, "unknown")
    other = Authority(tmp_path / "other").issue("leaf")
    trusted = joined(tmp_path / "trusted.pem", known.certificate, other.certificate)
    secure = Secure(start, tmp_path, trusted=trusted)
    ours = secure.authority.certificate
    assert secure.echo(known.context(ours))[0] == 0
    assert secure.echo(other.context(ours))[0] == 0
    assert secure.is_refused(unknown.context(ours))
    assert secure.is_refused(secure.authority.client())
    assert secure.is_refused(secure.authority.issue("forged", by=known).context(ours))
    assert secure.is_refused(secure.authority.issue("forged2", by=other).context(ours))


# What goes wrong


def test_garbage_and_plain_dicom_on_the_tls_port(secure):
    for garbage in (associate_rq(ECHO), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(300), b"\xff" * 300, b"\x16\x03\x01\xff\xff" + bytes(400)):
        with socket.create_connection(secure.address, timeout=10) as s:
            answer = b""
            try:
                s.sendall(garbage)
                s.shutdown(socket.SHUT_WR)
                while chunk := s.recv(4096):
                    answer += chunk
            except OSError:
                pass  # it hung up first
        assert answer[:1] in (b"", bytes([ALERT])), answer[:20]
    secure.said("no TLS, on the port for TLS")
    assert secure.echo(secure.authority.client())[0] == 0


def test_tls_on_the_plain_port(secure):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Association(secure.server.dicom_address, ECHO, tls=secure.authority.client(), timeout=10)
    secure.said("TLS, on the port without TLS")
    with socket.create_connection(secure.server.dicom_address, timeout=10) as s:
        s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert s.recv(10) == pdu(ABORT, bytes([0, 0, 2, 1]))


def test_a_handshake_that_stalls_costs_nobody_else_anything(start, tmp_path):
    secure = Secure(start, tmp_path, artim_timeout_s=2)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = secure.authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    hello = outgoing.read()
    stalled = [(said, socket.create_connection(secure.address, timeout=20)) for said in (b"", hello[:7], hello)]
    begun = time.monotonic()
    for said, s in stalled:
        s.sendall(said)
    assert secure.echo(secure.authority.client())[0] == 0
    assert time.monotonic() - begun < 2, "nobody waits for them"
    for _, s in stalled:
        while s.recv(65536):
            pass
        assert 1 < time.monotonic() - begun < 12
        s.close()


def test_a_handshake_that_dribbles_has_an_end(start, tmp_path):
    secure = Secure(start, tmp_path, artim_timeout_s=1)
    with socket.create_connection(secure.address, timeout=20) as s:
        begun = time.monotonic()
        with pytest.raises(OSError):
            s.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc")
            while time.monotonic() - begun < 20:
                s.sendall(b"\0")
                time.sleep(0.05)
        assert time.monotonic() - begun < 10


class Dribbled:
    """TLS by hand, so that its records can be cut anywhere."""

    def __init__(self, context, address):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.socket = socket.create_connection(address, timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.work(self.tls.do_handshake)

    def work(self, deed, *arguments):
        while True:
            try:
                done = deed(*arguments)
                self.socket.sendall(self.outgoing.read())
                return done
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                got = self.socket.recv(65536)
                self.incoming.write(got) if got else self.incoming.write_eof()

    def say(self, data, step):
        """`data` encrypted, `step` bytes of it a packet."""
        self.tls.write(data)
        records = self.outgoing.read()
        for at in range(0, len(records), step):
            self.socket.sendall(records[at : at + step])

    def hear(self, count):
        heard = b""
        while len(heard) < count:
            heard += self.work(self.tls.read, count - len(heard))
        return heard


def test_records_may_be_cut_anywhere(secure):
    ds = made.instance(rows=100, columns=100)
    file = made.encode(ds)
    peer = Dribbled(secure.authority.client(), secure.address)
    peer.say(associate_rq(CT_EXPLICIT), 1)
    head = peer.hear(6)
    assert head[0] == ASSOCIATE_AC
    peer.hear(int.from_bytes(head[2:], "big"))

    def pdv(header, data):
        return pdu(P_DATA, (len(data) + 2).to_bytes(4, "big") + bytes([1, header]) + data)

    told = command({0x2: made.CT, 0x100: 1, 0x110: 7, 0x700: 0, 0x800: 0, 0x1000: str(ds.SOPInstanceUID)})
    peer.say(pdv(3, told) + pdv(0, file[:7]), 3)
    for at in range(7, len(file), 4000):
        piece = file[at : at + 4000]
        peer.say(pdv(2 if at + 4000 >= len(file) else 0, piece), 997)
    head = peer.hear(6)
    answer = peer.hear(int.from_bytes(head[2:], "big"))
    assert read_command(answer[6:])[0x900] == b"\0\0"
    peer.say(pdu(RELEASE_RQ, bytes(4)), 1)
    assert peer.hear(10)[0] == 6
    # It says close_notify, as OpenSSL wants it.
    assert peer.work(peer.tls.read, 1) == b""
    peer.socket.close()
    response = web.get(secure.server, web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID), web.AS_STORED)
    assert part10.data_set(web.file_of(response)) == file


def test_a_record_that_dribbles_does_not_outlive_artim(start, tmp_path):
    secure = Secure(start, tmp_path, artim_timeout_s=1)
    peer = Dribbled(secure.authority.client(), secure.address)
    peer.tls.write(associate_rq([(c, [EXPLICIT]) for c in [made.CT] * 100]))
    record, begun = peer.outgoing.read(), time.monotonic()
    assert len(record) > 5000
    with pytest.raises(OSError):
        for at in range(len(record)):
            peer.socket.sendall(record[at : at + 1])
            time.sleep(0.01)
    assert time.monotonic() - begun < 10
    peer.socket.close()


def test_a_record_that_was_tampered_with_ends_the_connection(secure):
    peer = Dribbled(secure.authority.client(), secure.address)
    peer.say(associate_rq(ECHO), 4096)
    head = peer.hear(6)
    peer.hear(int.from_bytes(head[2:], "big"))
    peer.tls.write(pdu(RELEASE_RQ, bytes(4)))
    record = bytearray(peer.outgoing.read())
    record[-1] ^= 1
    peer.socket.sendall(record)
    with pytest.raises(ssl.SSLError, match="bad record mac"):
        peer.hear(10)
    peer.socket.close()


def test_silence_over_tls_is_aborted_with_a_word(start, tmp_path):
    secure = Secure(start, tmp_path, idle_timeout_s=1)
    peer = Association(secure.address, ECHO, tls=secure.authority.client(), timeout=10)
    with pytest.raises(Aborted) as aborted:
        peer.read_pdu()
    assert aborted.value.pair == (0, 0)
    peer.socket.close()


def test_a_stop_ends_associations_over_tls(start, tmp_path):
    secure = Secure(start, tmp_path)
    peer = Association(secure.address, ECHO, tls=secure.authority.client(), timeout=10)
    waiting = socket.create_connection(secure.address, timeout=10)
    begun = time.monotonic()
    assert secure.server.stop() == 0
    assert time.monotonic() - begun < 10
    with pytest.raises((Aborted, Closed)):
        peer.read_pdu()
    waiting.close()


# New certificates


def serial(context, address):
    with socket.create_connection(address, timeout=10) as s, context.wrap_socket(s, server_hostname="localhost") as tls:
        return tls.getpeercert()["serialNumber"]


def test_sighup_brings_new_certificates_and_drops_nobody(start, tmp_path):
    secure = Secure(start, tmp_path)
    client = secure.authority.client()
    ours = joined(tmp_path / "ours.pem", secure.authority.certificate)
    old = serial(client, secure.address)

    def hang_up(words):
        before = secure.server.log().count(words)
        secure.server.process.send_signal(signal.SIGHUP)
        wait.until(lambda: secure.server.log().count(words) > before, words)

    with Association(secure.address, ECHO, tls=client) as peer:
        assert peer.echo() == 0
        fresh = secure.authority.issue("fresh", kind="rsa")
        shutil.copy(fresh.certificate, secure.identity.certificate)
        # A certificate whose key is another one's.
        hang_up("the old ones stay in force")
        assert serial(client, secure.address) == old
        shutil.copy(fresh.key, secure.identity.key)
        hang_up("certificates are read again")
        new = serial(client, secure.address)
        assert new != old
        for bad in (b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n", b"\xff" * 100):
            secure.identity.certificate.write_bytes(bad)
            hang_up("the old ones stay in force")
            assert serial(client, secure.address) == new
        secure.identity.certificate.unlink()
        hang_up("the old ones stay in force")
        assert serial(client, secure.address) == new
        assert peer.echo() == 0, "who was there before is still there"
        # Whom we trust is read again too.
        shutil.copy(fresh.certificate, secure.identity.certificate)
        other = Authority(tmp_path / "other")
        secure.trusted.write_bytes(other.certificate.read_bytes())
        hang_up("certificates are read again")
        assert secure.is_refused(client)
        assert secure.echo(other.issue("client").context(ours))[0] == 0
        assert peer.echo() == 0
    log = secure.server.log()
    assert "dicom.tls_certificate (" in log and "No such file" in log
    assert "BEGIN" not in log


def test_what_cannot_be_used_ends_the_start_with_its_key(tmp_path):
    authority = Authority(tmp_path / "authority")
    ours, other = authority.issue("ours"), authority.issue("other")
    text, locked = tmp_path / "text.pem", tmp_path / "locked.key"
    text.write_text("nothing\n")
    openssl("pkey", "-in", ours.key, "-aes128", "-passout", "pass:secret", "-out", locked)
    good = {
        "OVERREAD_DICOM__TLS_CERTIFICATE": str(ours.certificate), "OVERREAD_DICOM__TLS_PRIVATE_KEY": str(ours.key),
        "OVERREAD_DICOM__TLS_TRUSTED_CERTIFICATES": str(authority.certificate), "OVERREAD_DICOM__TLS_LISTEN": f"127.0.0.1:{free_port()}",
        "OVERREAD_HTTP__LISTEN": "127.0.0.1:0", "OVERREAD_DICOM__LISTEN": "127.0.0.1:0", "OVERREAD_SERVER__DATA_DIR": str(tmp_path / "data"),
    }  # fmt: skip
    for changed, told in [
        ({"TLS_CERTIFICATE": str(tmp_path / "absent")}, "dicom.tls_certificate ("),
        ({"TLS_CERTIFICATE": str(text)}, "holds no certificate"),
        ({"TLS_PRIVATE_KEY": str(text)}, "holds no private key"),
        ({"TLS_PRIVATE_KEY": str(locked)}, "is encrypted"),
        ({"TLS_PRIVATE_KEY": str(other.key)}, "dicom.tls_certificate ("),
        ({"TLS_TRUSTED_CERTIFICATES": ""}, "dicom.tls_remote_certificate: \"require\" needs dicom.tls_trusted_certificates"),
        ({"TLS_TRUSTED_CERTIFICATES": str(text)}, "dicom.tls_trusted_certificates ("),
        ({"TLS_REMOTE_CERTIFICATE": "perhaps"}, "dicom.tls_remote_certificate: must be"),
        ({"TLS_CERTIFICATE": ""}, "dicom.tls_private_key: needs dicom.tls_certificate"),
        ({"TLS_LISTEN": "elsewhere"}, "dicom.tls_listen: must be ADDRESS:PORT"),
        ({"TLS_LISTEN": "0.0.0.0:0", "TLS_REMOTE_CERTIFICATE": "request"}, "dicom.tls_listen: 0.0.0.0:0 can be reached from other machines"),
        ({"PEERS": "X@h:1 tls", "TLS_TRUSTED_CERTIFICATES": "", "TLS_REMOTE_CERTIFICATE": "off"}, "dicom.peers: X is called over TLS"),
    ]:  # fmt: skip
        done = run("serve", env=good | {f"OVERREAD_DICOM__{key}": value for key, value in changed.items()}, timeout=30)
        assert done.returncode == 1 and told in done.stderr, (changed, done.stderr)


@pytest.mark.parametrize(("kind", "words"), [("rsa", ["rsa", "-traditional"]), ("ec", ["ec"])])
def test_keys_may_be_of_the_older_forms(start, tmp_path, kind, words):
    """PKCS #1 and SEC 1; openssl's `genpkey` makes PKCS #8."""
    authority, old = Authority(tmp_path / "authority"), tmp_path / "old.key"
    ours = authority.issue("ours", kind=kind)
    openssl(*words, "-in", ours.key, "-out", old)
    assert old.read_bytes().startswith(b"-----BEGIN %s PRIVATE KEY" % kind.upper().encode())
    secure = Secure(start, tmp_path, authority=authority, tls_certificate=str(ours.certificate), tls_private_key=str(old))
    assert secure.echo(authority.client())[0] == 0


def test_a_certificate_and_its_key_may_be_in_one_file(start, tmp_path):
    authority = Authority(tmp_path / "authority")
    ours = authority.issue("one")
    both = joined(tmp_path / "both.pem", ours.key, ours.certificate)
    secure = Secure(start, tmp_path, remote="off", authority=authority, tls_certificate=str(both), tls_private_key="")
    assert secure.echo(authority.nobody())[0] == 0
    secure.said("everybody on this machine can read or change this file")


# As SCU


def trusting(start, authority, **dicom):
    ours = authority.issue("ours")
    return start(config={"dicom": {
        "tls_listen": "", "tls_certificate": str(ours.certificate), "tls_private_key": str(ours.key),
        "tls_trusted_certificates": str(authority.certificate),
    } | dicom})  # fmt: skip


def test_storescp_of_dcmtk_over_tls(start, tmp_path):
    authority = Authority(tmp_path / "authority")
    scp = authority.issue("scp")
    server = trusting(start, authority)
    study, objects = a_study(server, 5, rows=200, columns=300)
    with Storescp(tmp_path / "files", "+B", "+tls", scp.key, scp.certificate, "+cf", authority.certificate) as peer:
        assert "OFFIS_DCMTK" in server.cli("echo", peer.peer + " tls").stdout
        assert counted(send(server, peer.peer + " tls", study), "sent") == 5
        files = peer.files()
        # Without TLS it does not hear us.
        assert server.cli("echo", peer.peer, "--timeout", 5).returncode == 1
    assert {uid: part10.data_set(files[uid]) for uid in files} == {uid: made.encode(ds) for uid, ds in objects.items()}


def test_pynetdicom_over_tls_as_our_peer(start, tmp_path):
    authority = Authority(tmp_path / "authority")
    context = authority.issue("scp", names="DNS:pacs.example.org").context(authority.certificate, server=True)
    with Scripted(tls=context) as peer:
        server = trusting(start, authority, peers=[f"pacs = {peer.peer} tls=pacs.example.org"])
        assert server.cli("echo", "pacs").returncode == 0
        study, objects = a_study(server, 3, rows=100, columns=100)
        assert counted(send(server, "pacs", study), "sent") == 3
        assert sorted(peer.acknowledged) == sorted(objects)
        wrong = server.cli("echo", peer.peer + " tls")
        assert (wrong.returncode, "no TLS: " in wrong.stderr, "not valid for" in wrong.stderr) == (1, True, True), wrong.stderr


def test_whom_we_do_not_trust_hears_nothing(start, tmp_path):
    authority, stranger = Authority(tmp_path / "authority"), Authority(tmp_path / "stranger", "Stranger")
    own = self_signed(tmp_path, "own")
    trusted = joined(tmp_path / "trusted.pem", authority.certificate, own.certificate)
    server = trusting(start, authority, tls_trusted_certificates=str(trusted))

    def echo(credentials, name="", **options):
        with Scripted(tls=credentials.context(server=True, **options)) as peer:
            done = server.cli("echo", f"{peer.peer} tls{name}", "--timeout", 10)
            assert done.returncode in (0, 1)
            return done.stderr

    assert echo(authority.issue("scp")) == ""
    assert echo(own) == ""
    assert "not valid for" in echo(own, "=elsewhere.example.org")
    assert "UnknownIssuer" in echo(stranger.issue("scp"))
    assert "UnknownIssuer" in echo(self_signed(tmp_path, "other"))
    # A peer that wants a certificate of another authority.
    assert "no TLS: received fatal alert" in echo(authority.issue("scp2"), trusted=stranger.certificate)


def test_a_peer_without_tls_is_told(start, tmp_path):
    server = trusting(start, Authority(tmp_path / "authority"))
    done = server.cli("echo", f"OVERREAD@127.0.0.1:{server.ports[1]} tls", "--timeout", 10)
    assert (done.returncode, "no TLS: the peer answers without it" in done.stderr) == (1, True), done.stderr


def test_a_peer_with_tls_only_is_told(secure):
    done = secure.server.cli("echo", f"OVERREAD@127.0.0.1:{secure.port}", "--timeout", 10)
    assert (done.returncode, 'no TLS: the peer wants it (" tls" after its address)' in done.stderr) == (1, True), done.stderr


def test_nothing_to_trust_by_is_told(start):
    server = start()
    done = server.cli("echo", "X@127.0.0.1:1 tls")
    assert done.returncode == 1
    assert "no TLS: dicom.tls_trusted_certificates is not set" in done.stderr
