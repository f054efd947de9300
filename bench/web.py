"""HTTP clients: one that fetches an answer and times it, and wrk, which asks as fast as it is answered."""
import json
import os
import re
import resource
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def fetch(port, path, accept="*/*", keep=False, timeout=600):
    """One GET on a connection of its own: {status, first_ms, ms, bytes, body}. `first_ms` is until the first byte of the
    body, `bytes` what came after the header, `body` the content without chunk heads when it is kept."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = time.perf_counter()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                raise EOFError("the server closed the connection before the header was whole")
            received += piece
        head, _, rest = received.partition(b"\r\n\r\n")
        count, pieces = len(rest), [rest]
        first = time.perf_counter() - start if count else None
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        wanted = int(length[1]) if length else None
        buffer = memoryview(bytearray(1 << 20))
        while wanted is None or count < wanted:
            got = connection.recv_into(buffer)
            if not got:
                break
            first = first or time.perf_counter() - start
            count += got
            if keep:
                pieces.append(bytes(buffer[:got]))
        end = time.perf_counter() - start
    if wanted is not None and count != wanted:
        raise EOFError(f"{count} of {wanted} bytes")
    body = None
    if keep:
        body = b"".join(pieces)
        if re.search(rb"(?i)transfer-encoding: *chunked", head):
            body = unchunked(body)
    status = int(re.match(rb"HTTP/1\.[01] (\d+)", head)[1])
    return {"status": status, "first_ms": (first or end) * 1e3, "ms": end * 1e3, "bytes": count, "body": body}


def unchunked(body):
    """The content of a chunked body (RFC 9112 §7.1)."""
    pieces, place = [], 0
    while True:
        line = body.find(b"\r\n", place)
        if line < 0:
            raise EOFError("a chunked body without its end")
        size = int(body[place:line].split(b";")[0], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(body[line + 2:line + 2 + size])
        place = line + 4 + size


def wrk(port, paths, accept, connections, seconds):
    """Asks for the paths in turn over so many connections: rates, quantiles, and how many requests failed."""
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as file:
        file.write("\n".join(paths) + "\n")
        file.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "300s", "--latency", "-s",
             os.path.join(HERE, "paths.lua"), f"http://127.0.0.1:{port}"],
            env=dict(os.environ, BENCH_PATHS=file.name, BENCH_ACCEPT=accept), capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = re.search(r"^JSON(\{.*\})", ran.stdout, re.M)
    if not printed:
        return {"error": "wrk: " + (ran.stdout + ran.stderr)[-200:]}
    answer = json.loads(printed[1])
    answer["client_cpu_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if answer["failed"]:
        answer = {"error": f"{answer['failed']} of {answer['requests']} requests failed"}
    elif not answer["requests"]:
        # Slower than the window: one answer says how slow.
        one = fetch(port, paths[0], accept)
        if one["status"] != 200:
            return {"error": f"HTTP {one['status']}"}
        answer = {"requests": 1, "per_s": 1e3 / one["ms"], "MB_s": one["bytes"] / one["ms"] / 1e3, "p50_ms": one["ms"]}
    return answer
