"""Keys and certificates, made by openssl when a test wants them."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


def openssl(*words, data=None):
    done = subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass(frozen=True)
class Credentials:
    """A certificate and its private key, PEM."""

    certificate: Path
    key: Path

    def context(self, trusted=None, *, server=False, versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)):
        """What Python's ssl meets a peer with; the client trusts who `trusted` (a file) issued."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version, context.maximum_version = versions
        context.load_cert_chain(self.certificate, self.key)
        if trusted:
            context.load_verify_locations(trusted)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Authority:
    """Issues certificates into `folder`."""

    def __init__(self, folder, name="Authority"):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.itself = self_signed(folder, name, is_authority=True)

    @property
    def certificate(self):
        return self.itself.certificate

    def issue(self, name, *, names="DNS:localhost,IP:127.0.0.1", by=None, kind="ec", days=30):
        by = by or self.itself
        request, certificate, extensions = (self.folder / f"{name}.{end}" for end in ("csr", "pem", "cnf"))
        key = new_key(self.folder / f"{name}.key", kind)
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        extensions.write_text(f"basicConstraints=CA:FALSE\nsubjectAltName={names}\n")
        openssl("x509", "-req", "-in", request, "-CA", by.certificate, "-CAkey", by.key, "-CAcreateserial", "-days", days, "-extfile",
                extensions, "-out", certificate)  # fmt: skip
        return Credentials(certificate, key)

    def client(self, trusted=None, **issued):
        """An SSLContext with a certificate of this authority, which trusts it too."""
        return self.issue("client", **issued).context(trusted or self.certificate)

    def nobody(self, version=None):
        """An SSLContext that shows no certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.certificate)
        if version:
            context.minimum_version = context.maximum_version = version
        return context


def new_key(path, kind="ec"):
    algorithm = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    openssl("genpkey", "-algorithm", *algorithm, "-out", path)
    path.chmod(0o600)
    return path


def self_signed(folder, name, *, is_authority=False, names="DNS:localhost,IP:127.0.0.1"):
    folder.mkdir(exist_ok=True)
    key, certificate = new_key(folder / f"{name}.key"), folder / f"{name}.pem"
    openssl("req", "-x509", "-key", key, "-subj", f"/CN={name}", "-days", 30, "-out", certificate, "-addext", f"subjectAltName={names}",
            "-addext", f"basicConstraints=critical,CA:{str(is_authority).upper()}")  # fmt: skip
    return Credentials(certificate, key)


def joined(path, *files):
    """The certificates of several files in one."""
    path.write_bytes(b"".join(Path(file).read_bytes() for file in files))
    return path
