"""People with accounts and tokens, made at the shell beside a running server, and the audit trail as it is exported."""

import csv
import io
import os
import re
import subprocess

import requests

from harness import wait
from harness.server import BINARY

PASSCODE = "correct horse battery staple"


def shell(server, command, *args, stdin=None):
    """A command beside the running server; its passcode, if it asks for one, comes from a pipe."""
    config_path = server.data_dir.parent / f"{server.data_dir.name}.toml"
    words = [str(BINARY), *command.split(), "--config", str(config_path), "--data-dir", str(server.data_dir), *map(str, args)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OVERREAD_")}
    return subprocess.run(words, input=stdin, env=environment, capture_output=True, text=True, timeout=60)


def add_user(server, name, roles, passcode=PASSCODE):
    done = shell(server, f"user add {name} --role {roles}", stdin=passcode + "\n")
    assert done.returncode == 0, done.stderr


def token(server, name, *args):
    done = shell(server, f"token issue {name}", *args)
    assert done.returncode == 0, done.stderr
    number = int(re.match(r"token (\d+), good until", done.stderr).group(1))
    return number, done.stdout.strip()


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def closed(server):
    """Waits until the server has seen its first account."""
    wait.until(lambda: requests.get(f"{server.web}/studies", timeout=10).status_code == 401, "the web asks who comes")


def trail(server):
    """The rows of the trail, as CSV has them."""
    done = shell(server, "audit export --format csv")
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))
