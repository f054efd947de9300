"""Starts, watches and stops the servers of servers.toml, one data folder each, on free ports of this machine only."""
import glob
import grp
import os
import platform
import pwd
import shutil
import signal
import socket
import subprocess
import time
import tomllib

from . import processes
from .web import fetch

HERE = os.path.dirname(os.path.abspath(__file__))
START_SECONDS_MAX = 300
MACHINE = platform.machine()
LIBRARIES = f"/usr/lib/{MACHINE}-linux-gnu"
LOADERS = {"x86_64": f"{LIBRARIES}/ld-linux-x86-64.so.2", "aarch64": f"{LIBRARIES}/ld-linux-aarch64.so.1"}
running = []


def definitions():
    with open(os.path.join(HERE, "servers.toml"), "rb") as f:
        found = tomllib.load(f)
    return {name: {**found.get(one.get("like"), {}), **one} for name, one in found.items()}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def filled(text, keys):
    for key, value in keys.items():
        text = text.replace("{" + key + "}", str(value))
    return text


class Server:
    """One server that is started now and then. `folder` is for its configuration, its log and data that nobody keeps."""

    def __init__(self, name, folder, programs):
        """`programs`: where {overread}, {orthanc} and {postgres} are."""
        self.name, self.definition = name, definitions()[name]
        self.folder = os.path.join(folder, name)
        self.data = os.path.join(self.folder, "data")
        self.keys = dict(programs, work=self.folder, loader=LOADERS.get(MACHINE, ""), libraries=LIBRARIES,
                         user=pwd.getpwuid(os.getuid()).pw_name, group=grp.getgrgid(os.getgid()).gr_name)
        self.main = self.beside = None

    def command(self, words):
        return [filled(word, self.keys) for word in words]

    def spawn(self, words, log):
        env = {key: value for key, value in os.environ.items() if not key.startswith("OVERREAD_")}
        env.update({key: filled(value, self.keys) for key, value in self.definition.get("env", {}).items()})
        with open(os.path.join(self.folder, log), "ab") as f:
            return subprocess.Popen(self.command(words), stdout=f, stderr=f, stdin=subprocess.DEVNULL, env=env, cwd=self.folder,
                                    start_new_session=True)

    def start(self, data=None):
        """Starts on an empty data folder, or on `data`, which is kept. Returns the seconds until it is ready."""
        if self.main:
            raise RuntimeError(f"{self.name} is running")
        self.data = data or os.path.join(self.folder, "data")
        if not data:
            shutil.rmtree(self.data, ignore_errors=True)
        os.makedirs(self.folder, exist_ok=True)
        self.keys.update(data=self.data, dicom=free_port(), http=free_port(), postgres_port=free_port())
        if not os.path.exists(self.data):
            os.makedirs(self.data)
            for words in self.definition.get("prepare", []):
                subprocess.run(self.command(words), check=True, stdout=subprocess.DEVNULL)
        self.configure()
        running.append(self)
        if "beside" in self.definition:
            self.beside = self.spawn(self.definition["beside"], "beside.log")
            self.wait(self.beside, time.perf_counter(), lambda: subprocess.run(
                self.command(self.definition["beside_ready"]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0)
        begun = time.perf_counter()
        self.main = self.spawn(self.definition["start"], "server.log")
        self.wait(self.main, begun, self.is_ready)
        return time.perf_counter() - begun

    def configure(self):
        if "config" not in self.definition:
            return
        with open(os.path.join(HERE, self.definition["config"])) as f:
            text = f.read()
        is_postgres = "beside" in self.definition
        plugins = ", ".join(f'"{plugin}"' for plugin in self.command(self.definition.get("plugins", [])))
        for key, value in dict(self.keys, plugins=plugins, postgres=str(is_postgres).lower()).items():
            text = text.replace(f"@{key}@", str(value))
        with open(os.path.join(self.folder, "config"), "w") as f:
            f.write(text)

    def wait(self, process, begun, is_ready):
        while not is_ready():
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at its start: {self.last_words()}")
            if time.perf_counter() - begun > START_SECONDS_MAX:
                raise RuntimeError(f"{self.name} is not ready after {START_SECONDS_MAX} s")
            time.sleep(.005)

    def is_ready(self):
        try:
            if "aet" in self.definition:
                socket.create_connection(("127.0.0.1", self.dicom), 1).close()
            return "ready" not in self.definition or fetch(self.http, self.definition["ready"])["status"] < 500
        except (OSError, EOFError):
            return False

    def last_words(self):
        with open(os.path.join(self.folder, "server.log"), errors="replace") as f:
            return " ".join(f.read()[-300:].split())

    @property
    def dicom(self):
        return self.keys["dicom"]

    @property
    def http(self):
        return self.keys["http"]

    @property
    def aet(self):
        return self.definition["aet"]

    @property
    def root(self):
        """Below what the DICOMweb resources are."""
        return self.definition["dicomweb"]

    def stop(self):
        """Ends it as its operator would, and waits until it is gone."""
        for process, how in [(self.main, signal.SIGTERM), (self.beside, signal.SIGINT)]:
            if process and process.poll() is None:
                process.send_signal(how)
                try:
                    process.wait(120)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process:
                self.end_group(process.pid)
        self.main = self.beside = None
        if self in running:
            running.remove(self)

    @staticmethod
    def end_group(group):
        """What a server leaves behind of its own, such as the child of a fork for each association."""
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            pass

    def processes(self):
        alive = [process.pid for process in (self.main, self.beside) if process and process.poll() is None]
        return [pid for process in alive for pid in processes.tree(process)]

    def cpu_seconds(self):
        return sum(map(processes.cpu_seconds, self.processes()))

    def memory(self):
        return sum(map(processes.memory, self.processes()))

    def high_water(self):
        return processes.high_water(self.main.pid)

    def reset_high_water(self):
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/clear_refs", "w") as f:
                    f.write("5")
            except OSError:
                pass

    def disk_bytes(self):
        """What the data folder takes, in whole blocks, counting of each file the smaller of its length and what is allocated
        (neither holes nor what is only reserved)."""
        total = 0
        for path in glob.glob(os.path.join(glob.escape(self.data), "**"), recursive=True, include_hidden=True):
            found = os.lstat(path)
            if not os.path.isdir(path):
                total += min(whole_blocks(found.st_size), found.st_blocks * 512)
        return total


def whole_blocks(length):
    return -(-length // 4096) * 4096


def stop_all():
    for server in list(running):
        server.stop()
