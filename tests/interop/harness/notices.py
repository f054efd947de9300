"""What a test of notices needs: a receiver of webhooks that verifies each call with the standard library's HMAC, and a mail
server that keeps what it is handed."""

import asyncio
import base64
import email
import email.policy
import hashlib
import hmac
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

# The key that is in the text of a secret (Standard Webhooks 1.0, "Signature scheme").
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
# How old a call may be that receivers take.
TOLERANCE_S = 300


def verified(headers, body, key=KEY):
    """Whether a call is signed: `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body with full stops between."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    is_now = abs(time.time() - int(headers["webhook-timestamp"])) < TOLERANCE_S
    given = [signature.split(",", 1) for signature in headers["webhook-signature"].split(" ")]
    return is_now and any(version == "v1" and hmac.compare_digest(expected, value) for version, value in given)


class Receiver:
    """A webhook with a script: `answer(number, call)` gives the status for the call of this number, from 1, or (status,
    headers), or (status, headers, seconds) to send the head a byte at a time with so many between, or None to break the
    connection. Every call is verified; `calls` has those that came, `taken` those answered with 2xx."""

    def __init__(self, answer=lambda number, call: 204, port=0, key=KEY):
        self.answer, self.key, self.calls, self.taken, self.unsigned = answer, key, [], [], []
        receiver, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not verified(self.headers, body, receiver.key):
                    receiver.unsigned.append(body)
                call = json.loads(body) | {"id": self.headers["webhook-id"], "path": self.path, "raw": body, "headers": self.headers}
                with lock:
                    receiver.calls.append(call)
                    number = len(receiver.calls)
                answer = receiver.answer(number, call)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, gap_s = (*answer, 0)[:3] if isinstance(answer, tuple) else (answer, {}, 0)
                if gap_s:
                    head = f"HTTP/1.1 {status} OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                    try:
                        for byte in head.encode():
                            self.wfile.write(bytes([byte]))
                            time.sleep(gap_s)
                    except OSError:
                        pass
                    self.close_connection = True
                    return
                if 200 <= status < 300:
                    receiver.taken.append(call)
                self.send_response(status)
                for name, value in ({"Content-Length": "0"} | headers).items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook?of=overread"

    def events(self, number=None):
        """What was taken, in order: of one case, or of all."""
        return [call["type"] for call in self.taken if number in (None, call["data"]["number"])]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        assert not self.unsigned, "a call was not signed"


class Nobody:
    """A port of this machine at which nobody listens, and which nobody else is given meanwhile. A [`Receiver`] may take it."""

    def __enter__(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.socket.close()


class Mailbox:
    """A mail server: keeps what it is handed; `answer(step, address)` gives another reply than 250 OK, or None: to EHLO (and
    the name), MAIL (who from), RCPT (who to) and DATA (who to)."""

    def __init__(self, answer=lambda step, address: None, **options):
        self.mails, self.envelopes, self.sessions, self.answer = [], [], [], answer
        self.controller = OnAnyPort(self, hostname="127.0.0.1", port=0, **options)
        self.controller.start()

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):
        session.host_name = hostname
        reply = self.answer("EHLO", hostname)
        return [reply] if reply else responses

    async def handle_MAIL(self, _server, _session, envelope: Envelope, address, options):
        reply = self.answer("MAIL", address)
        if reply:
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server, _session, envelope: Envelope, address, options):
        reply = self.answer("RCPT", address)
        if reply:
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server, session, envelope: Envelope):
        reply = self.answer("DATA", envelope.rcpt_tos[0])
        if reply:
            return reply
        self.envelopes.append(envelope)
        self.sessions.append((session.ssl is not None, session.authenticated))
        # Last: this is what is waited for.
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"

    def to(self, address):
        """The subjects of the mails to an address, in order."""
        return [str(mail["Subject"]) for mail in self.mails if mail["To"] == address]

    @property
    def server(self):
        return f"127.0.0.1:{self.controller.server.sockets[0].getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.controller.stop()


class OnAnyPort(Controller):
    """A controller whose port is known when it listens."""

    def _trigger_server(self):
        # Its own look at the port that it was given, which is none.
        host, port = self.server.sockets[0].getsockname()[:2]
        with socket.create_connection((host, port), 5):
            pass


def passcode_is(user, passcode):
    """An authenticator that knows one user."""

    def check(_server, _session, _envelope, _mechanism, data):
        is_right = (data.login, data.password) == (user.encode(), passcode.encode())
        # What is not handled here is answered with 535.
        return AuthResult(success=is_right, handled=False)

    return check
