"""The machine and the programs, as they are said beside the figures."""
import os
import platform
import re
import subprocess

from .servers import definitions


def output(*command):
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (ran.stdout + ran.stderr).strip()


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def described(house, names):
    """Lines of Markdown."""
    model = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo"))
    system = re.search(r'PRETTY_NAME="(.*)"', read("/etc/os-release"))
    disk = output("findmnt", "-no", "FSTYPE,OPTIONS", "-T", house.work)
    commit = output("git", "rev-parse", "--short", "HEAD") + (" with changes" if output("git", "status", "--porcelain", "-uno") else "")
    lines = [
        f"- {os.cpu_count()} × {model[1] if model else platform.machine()}, {int(memory[1]) / 2 ** 20 if memory else 0:.0f} GiB, "
        f"{system[1] if system else platform.system()}, Linux {platform.release()}; data on {disk or 'an unknown file system'}; load before: "
        f"{' '.join(f'{load:.2f}' for load in os.getloadavg())}",
        f"- commit {commit}; {house.repetitions} repetition{'s' if house.repetitions > 1 else ''}, {house.seconds} s each for what is asked again and again",
    ]
    versions = {"nginx": output("nginx", "-v"), "storescp": output("storescp", "--version").split("\n")[0], "wrk": output("wrk", "-v").split("\n")[0]}
    known = definitions()
    for name in names:
        server = known[name]
        version = re.search(r"v?\d+\.\d+(\.\d+)?", versions.get(name, ""))
        promise = f": {server['durability']}" if "durability" in server else ""
        lines.append(f"- `{name}`: {server['label']}{f' ({version[0]})' if version else ''}{promise}")
    lines.append("- loopback only; every HTTP load by wrk with one thread, every C-STORE and STOW-RS by a sender whose PDUs and bodies are made before the clock starts; TCP_NODELAY everywhere")
    return lines
