"""One running `overread serve`: started on free ports, waited for, stopped, looked into."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import requests

REPOSITORY = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("OVERREAD_BINARY", REPOSITORY / "target/debug/overread"))
AE_TITLE = "OVERREAD"
START_S = 60


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*args, env=None, timeout=120, binary=BINARY):
    """Runs one command of the program to its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OVERREAD_")} | {"RUST_BACKTRACE": "0"}
    return subprocess.run(
        [str(binary), *map(str, args)], env=environment | (env or {}), capture_output=True, text=True, timeout=timeout
    )


def toml(sections):
    """`{"ingest": {"duplicate": "replace"}}` as a configuration file. JSON scalars are TOML scalars."""
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


class Server:
    """`overread serve` on a data directory. Use as a context manager: leaving it stops the server
    gracefully and insists on exit code 0."""

    def __init__(self, data_dir, *, config=None, flags=(), env=None, wrapper=(), command="serve", start_s=START_S, ports=None):
        self.data_dir = Path(data_dir)
        self.config = config or {}
        self.flags = list(flags)
        self.env = env or {}
        self.wrapper = list(wrapper)
        self.command = command
        self.start_s = start_s
        self.process = None
        self.log_path = self.data_dir.parent / f"{self.data_dir.name}.log"
        # (HTTP, DICOM), when somebody must know them before it starts.
        self.fixed_ports = ports
        self.ports = None

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, _value, _trace):
        if self.process is None:
            return
        code = self.stop()
        if kind is None:
            assert code == 0, f"exit code {code} after SIGTERM\n{self.log()[-1500:]}"

    def start(self, wait=True):
        self.ports = self.fixed_ports or (free_port(), free_port())
        config_path = self.data_dir.parent / f"{self.data_dir.name}.toml"
        config_path.write_text(toml(self.config))
        command = [
            *self.wrapper, str(BINARY), self.command, "--config", str(config_path), "--data-dir", str(self.data_dir),
            "--http", f"127.0.0.1:{self.ports[0]}", "--dicom", f"127.0.0.1:{self.ports[1]}", *self.flags,
        ]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OVERREAD_")} | {"RUST_BACKTRACE": "0"} | self.env
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        end = time.monotonic() + self.start_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}\n{self.log()[-1500:]}")
            try:
                if requests.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"not ready after {self.start_s} s\n{self.log()[-1500:]}")

    def stop(self, with_signal=signal.SIGTERM, timeout=30):
        """Sends a signal and gives the exit code; a server that does not go is killed and that is told."""
        process, self.process = self.process, None
        if process is None:
            return None
        if process.poll() is None:
            # Behind a wrapper (strace) the signal belongs to the server, its child.
            pid = child_of(process.pid) if self.wrapper else process.pid
            try:
                os.kill(pid or process.pid, with_signal)
            except ProcessLookupError:
                pass
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise RuntimeError(f"the server did not stop in {timeout} s\n{self.log()[-1500:]}") from None

    def kill(self):
        """The power goes."""
        process, self.process = self.process, None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def restart(self):
        code = self.stop()
        assert code == 0, code
        return self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def web(self):
        """The DICOMweb root."""
        return f"{self.url}/dicom-web"

    @property
    def http_address(self):
        return ("127.0.0.1", self.ports[0])

    @property
    def dicom_address(self):
        return ("127.0.0.1", self.ports[1])

    @property
    def pid(self):
        return (child_of(self.process.pid) if self.wrapper else None) or self.process.pid

    def memory_peak_bytes(self):
        """VmHWM: the most memory the process ever held resident."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmHWM")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def cli(self, command, *args, timeout=120):
        """Another command of the program on this data directory."""
        config_path = self.data_dir.parent / f"{self.data_dir.name}.toml"
        config_path.write_text(toml(self.config))
        words = command.split() if isinstance(command, str) else list(command)
        return run(*words, "--config", config_path, "--data-dir", self.data_dir, *args, timeout=timeout, env=self.env)

    def forget(self):
        shutil.rmtree(self.data_dir, ignore_errors=True)


def child_of(pid):
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return None
    return int(children[0]) if children else None
