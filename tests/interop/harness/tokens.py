"""JSON Web Tokens (RFC 7519) as other programs sign them: HS256 by Python's hmac, RS256 and ES256 by openssl."""

import base64
import hashlib
import hmac
import json
import time

from .certificates import openssl


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def public(path, key):
    """The public half of a key, PEM."""
    path.write_bytes(openssl("pkey", "-in", key, "-pubout"))
    return path


def claims(**changes):
    """Good ones, for an audience "overread"; `None` leaves one out."""
    whole = {"sub": "anna", "aud": "overread", "exp": time.time() + 600} | changes
    return {name: value for name, value in whole.items() if value is not None}


def signed(algorithm, key, body, header=None):
    """`key` is a secret, or the file of a private key."""
    head = {"typ": "JWT", "alg": algorithm} | (header or {})
    message = b64(json.dumps(head).encode()) + b"." + b64(body if isinstance(body, bytes) else json.dumps(body).encode())
    return message + b"." + b64(signature(algorithm, key, message))


def signature(algorithm, key, message):
    if algorithm == "none":
        return b""
    if algorithm == "HS256":
        return hmac.new(key, message, hashlib.sha256).digest()
    made = openssl("dgst", "-sha256", "-sign", key, data=message)
    return made if algorithm == "RS256" else fixed(made)


def fixed(der):
    """A signature of ECDSA as JWS has it (RFC 7518 §3.4): r and s, 32 bytes each, out of DER."""
    at, numbers = 2, []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(der[at + 2 : at + 2 + length].lstrip(b"\0").rjust(32, b"\0"))
        at += 2 + length
    return b"".join(numbers)
