"""User Identity Negotiation as pynetdicom and a raw socket meet it (PS3.7 §D.3.3.7; conformance.md §8, 207)."""

import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import CTImageStorage, Verification

from harness import made, tokens, wait
from harness.certificates import Authority, new_key
from harness.server import BINARY, free_port, run
from harness.wire import EXPLICIT, IMPLICIT, VERIFICATION, Association, Refused, item

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
# By argon2-cffi 25.1.0, of "Grüße".
HASH = "$argon2id$v=19$m=8,t=1,p=1$QjOHxs0H05UZSzVc2umiYA$HbinS8Mb0qduSplzuuPEDWRWS0GWx/GGrMTK/aZXtEA"
PASSCODE = "Grüße".encode()
USERS = f"# users\nanna:{HASH}\nreader:{HASH}:find\nct 1::store\n"
SECRET = b"a secret that is long enough for SHA-256"
BAD, LATER = (1, 2, 1), (2, 3, 1)


def place(folder, users=USERS, key=SECRET, **dicom):
    """Settings with a file of users and a key for tokens."""
    (folder / "users").write_text(users)
    (folder / "users").chmod(0o600)
    if isinstance(key, bytes):
        (folder / "key").write_bytes(key)
        key = folder / "key"
    return {"dicom": {"user_identity": "require", "users": str(folder / "users"), "jwt_key": str(key), "jwt_audience": "overread"} | dicom}


@pytest.fixture(scope="module")
def demanding(start_module, tmp_path_factory):
    return start_module(config=place(tmp_path_factory.mktemp("users")))


def identity(kind, primary, secondary=b"", answer=True):
    """The sub-item 58H."""
    fields = [len(primary).to_bytes(2, "big") + primary, len(secondary).to_bytes(2, "big") + secondary]
    return item(0x58, bytes([kind, int(answer)]) + b"".join(fields))


def associate(server, *identities, contexts=((VERIFICATION, [IMPLICIT]),)):
    return Association(server.dicom_address, list(contexts), extra_user_items=b"".join(identities))


def verdict(server, *identities):
    """None when let in, else how it was rejected."""
    try:
        with associate(server, *identities) as peer:
            assert peer.echo() == 0
    except Refused as refused:
        return refused.triple
    return None


def by_pynetdicom(server, kind, primary, secondary=b"", answer=True):
    ae = AE()
    ae.add_requested_context(Verification)
    claimed = UserIdentityNegotiation()
    claimed.user_identity_type, claimed.primary_field, claimed.positive_response_requested = kind, primary, answer
    if secondary:
        claimed.secondary_field = secondary
    return ae.associate(*server.dicom_address, ae_title="OVERREAD", ext_neg=[claimed])


def test_a207_pynetdicom_with_a_passcode(demanding):
    association = by_pynetdicom(demanding, 2, b"anna", PASSCODE)
    assert association.is_established and association.send_c_echo().Status == 0
    answers = [i for i in association.acceptor.user_information if type(i).__name__ == "UserIdentityNegotiation"]
    assert [answer.server_response for answer in answers] == [b""]
    association.release()
    association = by_pynetdicom(demanding, 2, b"anna", PASSCODE, answer=False)
    assert association.is_established and association.acceptor.user_identity is None
    association.release()
    assert not by_pynetdicom(demanding, 2, b"anna", b"wrong").is_established


def test_a207_pynetdicom_with_a_token(demanding):
    association = by_pynetdicom(demanding, 5, tokens.signed("HS256", SECRET, tokens.claims()))
    assert association.is_established and association.send_c_echo().Status == 0
    assert association.acceptor.user_identity.server_response == b""
    association.release()
    assert not by_pynetdicom(demanding, 5, tokens.signed("HS256", b"x" * 32, tokens.claims())).is_established


def test_a207_the_answer_has_its_item(demanding):
    with associate(demanding, identity(1, b"ct 1")) as peer:
        assert peer.user_items[0x59] == b"\0\0"
    with associate(demanding, identity(1, b"ct 1", answer=False)) as peer:
        assert 0x59 not in peer.user_items


def test_a207_what_is_no_good_is_rejected_for_good(start, tmp_path):
    server = start(config=place(tmp_path))
    assert verdict(server) == BAD, "somebody has to be somebody"
    for what in [
        identity(2, b"anna", b"wrong"), identity(2, b"anna", b""), identity(2, b"nobody", PASSCODE), identity(2, b"anna", b"x" * 2000),
        identity(2, b"", PASSCODE), identity(2, b"\xff\xfe", PASSCODE), identity(2, b"a" * 60000, PASSCODE), identity(1, b"anna"),
        identity(1, b"nobody"), identity(2, b"ct 1", b""), identity(5, b""), identity(5, b"..."), identity(3, b"a ticket"),
        identity(4, b"<Assertion/>"), identity(9, b"of tomorrow"),
    ]:  # fmt: skip
        assert verdict(server, what) == BAD, what
        assert verdict(server, identity(2, b"anna", PASSCODE)) is None, "being right makes up for being wrong"
    assert verdict(server, identity(1, b"ct 1"), identity(1, b"ct 1")) == BAD, "one at most"
    log = server.log()
    for words in ("unknown user, or wrong passcode", "Kerberos is not supported", "SAML is not supported", "no user identity", "user=\"anna\""):
        assert words in log, words
    for secret in ("wrong\"", "nobody", "Grüße", "Assertion", "ticket", HASH, "xxxx"):
        assert secret not in log, secret


def test_nobody_has_to_be_somebody_when_it_is_optional(start, tmp_path):
    server = start(config=place(tmp_path, user_identity="optional"))
    assert verdict(server) is None
    assert verdict(server, identity(2, b"anna", PASSCODE)) is None
    assert verdict(server, identity(2, b"anna", b"wrong")) == BAD


def test_identities_are_read_past_when_it_is_off(start, tmp_path):
    server = start(config=place(tmp_path, user_identity="off"))
    with associate(server, identity(2, b"anna", b"wrong")) as peer:
        assert peer.echo() == 0 and 0x59 not in peer.user_items


def test_a_user_has_the_rights_of_both(start, tmp_path):
    server = start(config=place(tmp_path, modalities=["INTEROP = store find", "GETTER = get"]))
    contexts = [(made.CT, [EXPLICIT]), (FIND, [IMPLICIT]), (VERIFICATION, [IMPLICIT])]
    token = tokens.signed("HS256", SECRET, tokens.claims(scope="openid store email"))
    nothing = tokens.signed("HS256", SECRET, tokens.claims(scope="openid"))
    for claimed, expected in [
        (identity(2, b"anna", PASSCODE), [0, 0, 0]), (identity(2, b"reader", PASSCODE), [1, 0, 0]), (identity(1, b"ct 1"), [0, 1, 0]),
        (identity(5, token), [0, 1, 0]), (identity(5, nothing), [1, 1, 0]),
    ]:  # fmt: skip
        with associate(server, claimed, contexts=contexts) as peer:
            assert [peer.results[n] for n in (1, 3, 5)] == expected
    with Association(server.dicom_address, contexts, calling="GETTER", extra_user_items=identity(2, b"anna", PASSCODE)) as peer:
        assert [peer.results[n] for n in (1, 3, 5)] == [1, 1, 0]


def test_an_identity_and_asynchronous_operations_are_both_answered(demanding):
    with associate(demanding, identity(2, b"anna", PASSCODE), item(0x53, b"\0\x05\0\1")) as peer:
        assert (peer.user_items[0x53], peer.user_items[0x59]) == (b"\0\x05\0\1", b"\0\0")
        assert peer.echo() == 0


# Tokens


@pytest.mark.parametrize(("algorithm", "kind"), [("RS256", "rsa"), ("ES256", "ec")])
def test_tokens_of_public_keys(start, tmp_path, algorithm, kind):
    old, new, other = (new_key(tmp_path / name, kind) for name in ("old", "new", "other"))
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(tokens.public(tmp_path / "pub", key).read_bytes() for key in (old, new)))
    server = start(config=place(tmp_path, key=both))

    def check(*words):
        return verdict(server, identity(5, tokens.signed(*words)))

    for key in (old, new):
        assert check(algorithm, key, tokens.claims()) is None
    assert check(algorithm, other, tokens.claims()) == BAD
    # The public key as a secret: the oldest trick.
    for secret in (both.read_bytes(), tokens.public(tmp_path / "pub", old).read_bytes()):
        assert check("HS256", secret, tokens.claims()) == BAD
        forged = tokens.signed("HS256", secret, tokens.claims(), {"alg": algorithm})
        assert verdict(server, identity(5, forged)) == BAD
    assert check("none", None, tokens.claims()) == BAD
    good = tokens.signed(algorithm, old, tokens.claims())
    head, body, sign = good.split(b".")
    for spoiled in (good[:-3], good + b"AAAA", head + b"." + tokens.b64(b'{"sub":"root"}') + b"." + sign, head + b".." + sign, good + b".x"):
        assert verdict(server, identity(5, spoiled)) == BAD


def test_claims_are_weighed(demanding):
    now = time.time()
    for changes, expected in [
        ({}, None), ({"exp": now - 3600}, BAD), ({"exp": now - 5}, None), ({"exp": None}, BAD), ({"exp": "soon"}, BAD),
        ({"nbf": now + 3600}, BAD), ({"nbf": now - 3600}, None), ({"nbf": now + 5}, None), ({"aud": "another"}, BAD), ({"aud": None}, BAD),
        ({"aud": ["another", "overread"]}, None), ({"aud": []}, BAD), ({"aud": 7}, BAD), ({"sub": None}, None), ({"sub": "x" * 500}, None),
        ({"sub": "a\nb"}, None),
    ]:  # fmt: skip
        token = tokens.signed("HS256", SECRET, tokens.claims(**changes))
        assert verdict(demanding, identity(5, token)) == expected, changes
    assert verdict(demanding, identity(5, tokens.signed("HS256", SECRET, tokens.claims(), {"crit": ["exp"]}))) == BAD
    assert verdict(demanding, identity(5, tokens.signed("HS256", SECRET, b"[]"))) == BAD
    assert verdict(demanding, identity(5, tokens.signed("HS256", SECRET, b'{"exp":9e9,"exp":9e9,"aud":"overread"}'))) == BAD
    deep = b'{"exp":9e9,"aud":"overread","x":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert verdict(demanding, identity(5, tokens.signed("HS256", SECRET, deep))) is None, "what nobody asks for is passed over"
    assert verdict(demanding, identity(5, tokens.signed("HS256", SECRET, tokens.claims(x="y" * 20000)))) == BAD
    assert "a\nb" not in demanding.log()


# Passcodes


def test_guessing_has_an_end_and_tokens_go_on(start, tmp_path):
    server = start(config=place(tmp_path))
    verdicts = [verdict(server, identity(2, b"anna", b"guess%d" % n)) for n in range(12)]
    assert verdicts == [BAD] * 10 + [LATER] * 2
    assert verdict(server, identity(2, b"anna", PASSCODE)) == LATER, "for a minute nothing is checked"
    assert verdict(server, identity(5, tokens.signed("HS256", SECRET, tokens.claims()))) is None
    assert "too many wrong passcodes from this host" in server.log()


def test_dear_hashes_are_made_one_at_a_time(start, tmp_path):
    """19 MiB each: twenty-four together would take half a gigabyte."""
    line = subprocess.run([BINARY, "user", "hash", "dear"], input="secret\n", capture_output=True, text=True, check=True, timeout=60).stdout
    server = start(config=place(tmp_path, users=line))
    before = server.memory_peak_bytes()
    with ThreadPoolExecutor(24) as pool:
        verdicts = list(pool.map(lambda _: verdict(server, identity(2, b"dear", b"secret")), range(24)))
    assert set(verdicts) == {None}
    assert server.memory_peak_bytes() - before < 64 << 20


def test_user_hash_makes_lines(tmp_path, start):
    def user_hash(*words, text="secret\n"):
        return subprocess.run([BINARY, "user", "hash", *words], input=text, capture_output=True, text=True, timeout=60)

    lines = [user_hash("bob").stdout, user_hash("eve", "--rights", "find get", text="other").stdout]
    assert lines[0].startswith("bob:$argon2id$v=19$m=19456,t=2,p=1$") and lines[1].endswith(":find get\n")
    assert "secret" not in lines[0]
    for words, text in [(["a:b"], "x"), (["bob", "--rights", "fly"], "x"), (["bob"], ""), (["bob"], "x" * 1100), ([""], "x"), (["#b"], "x")]:
        done = user_hash(*words, text=text)
        assert (done.returncode, done.stdout) == (1, ""), words
    server = start(config=place(tmp_path, users="".join(lines)))
    assert verdict(server, identity(2, b"bob", b"secret")) is None
    assert verdict(server, identity(2, b"eve", b"other")) is None
    assert verdict(server, identity(2, b"eve", b"secret")) == BAD


# The files


def test_sighup_brings_new_users(start, tmp_path):
    server = start(config=place(tmp_path))

    def hang_up(words):
        before = server.log().count(words)
        server.process.send_signal(signal.SIGHUP)
        wait.until(lambda: server.log().count(words) > before, words)

    assert verdict(server, identity(2, b"anna", PASSCODE)) is None
    (tmp_path / "users").write_text(USERS.replace("anna", "bob"))
    hang_up("users are read again")
    assert verdict(server, identity(2, b"anna", PASSCODE)) == BAD
    assert verdict(server, identity(2, b"bob", PASSCODE)) is None
    (tmp_path / "users").write_text("bob:in the clear\n")
    hang_up("the old ones stay in force")
    assert verdict(server, identity(2, b"bob", PASSCODE)) is None
    assert "in the clear" not in server.log() and "line 1 has a hash that is no hash" in server.log()


def test_what_cannot_be_used_ends_the_start(tmp_path):
    key = new_key(tmp_path / "private")
    good = place(tmp_path)["dicom"]
    for changed, told in [
        ({"users": str(tmp_path / "absent")}, "dicom.users ("), ({"jwt_key": str(key)}, "holds a private key"),
        ({"jwt_key": str(Authority(tmp_path / "ca").certificate)}, "holds no public key"), ({"jwt_key": str(tmp_path / "short")}, "too short"),
        ({"jwt_key": str(tmp_path / "set")}, "in another form"), ({"jwt_key": str(tmp_path / "der")}, "in another form"),
        ({"jwt_audience": ""}, "dicom.jwt_audience: is empty"),
        ({"user_identity": "perhaps"}, "dicom.user_identity: must be"),
    ]:  # fmt: skip
        (tmp_path / "short").write_bytes(b"short")
        (tmp_path / "set").write_bytes(b'{"keys": [{"kty": "RSA", "e": "AQAB", "n": "' + b"x" * 300 + b'"}]}\n')
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER", "-out", tmp_path / "der"], check=True)
        environment = {f"OVERREAD_DICOM__{name.upper()}": value for name, value in (good | changed).items()} | {
            "OVERREAD_SERVER__DATA_DIR": str(tmp_path / "data"), "OVERREAD_HTTP__LISTEN": f"127.0.0.1:{free_port()}",
            "OVERREAD_DICOM__LISTEN": f"127.0.0.1:{free_port()}",
        }  # fmt: skip
        done = run("serve", env=environment, timeout=30)
        assert done.returncode == 1 and told in done.stderr, (changed, done.stderr)


def test_stores_go_on_while_somebody_guesses(start, tmp_path):
    server = start(config=place(tmp_path))
    stop = threading.Event()

    def guess():
        while not stop.is_set():
            verdict(server, identity(2, b"anna", b"guess"))

    with ThreadPoolExecutor(4) as pool:
        guesses = [pool.submit(guess) for _ in range(4)]
        try:
            for _ in range(5):
                ds = made.instance()
                with associate(server, identity(1, b"ct 1"), contexts=[(CTImageStorage, [EXPLICIT])]) as peer:
                    assert peer.store(made.CT, str(ds.SOPInstanceUID), EXPLICIT, made.encode(ds)) == 0
        finally:
            stop.set()
        assert [g.result() for g in guesses] == [None] * 4
