"""A STOW-RS client (PS3.18 §10.5): whole requests are made before the clock starts, each client is a process of its own."""
import http.client
import json
import resource
import socket
import time

from .upper_layer import read, run_all, summed

BOUNDARY = b"BOUNDARYboundary1234567890"


def request(port, path, files):
    parts = [b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n" + read(file) + b"\r\n" for file in files]
    body = b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"
    head = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/dicom+json\r\n"
            f'Content-Type: multipart/related; type="application/dicom"; boundary={BOUNDARY.decode()}\r\n'
            f"Content-Length: {len(body)}\r\n\r\n")
    return head.encode(), body, len(files)


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), 600)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def exchange(port, connection, head, body):
    """(connection, status, body of the answer); a connection that the server closed between requests is made anew."""
    for is_last in (False, True):
        try:
            connection.sendall(head)
            connection.sendall(body)
            response = http.client.HTTPResponse(connection, method="POST")
            response.begin()
            answer = response.read()
            break
        except (ConnectionError, http.client.BadStatusLine):
            if is_last:
                raise
            connection = connect(port)
    if response.will_close:
        connection.close()
        connection = connect(port)
    return connection, response.status, answer


def post(port, path, files, per_request, barrier, answers):
    """One client; puts what `upper_layer.send` puts."""
    try:
        requests = [request(port, path, files[start:start + per_request]) for start in range(0, len(files), per_request)]
        connection = connect(port)
        barrier.wait()
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        sent, refused, latencies = 0, 0, []
        for head, body, count in requests:
            begun = time.perf_counter()
            connection, status, answer = exchange(port, connection, head, body)
            latencies.append(time.perf_counter() - begun)
            sent += len(body)
            refused += count if status != 200 else not_stored(answer)
        end, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        answers.put((start, end, len(files), sent, refused, cpu, latencies, None))
    except BaseException as error:
        barrier.abort()
        answers.put((0, 0, 0, 0, len(files), 0, [], repr(error)))


def not_stored(answer):
    """How many instances the Failed SOP Sequence names (PS3.18 Annex I)."""
    return len((json.loads(answer).get("00081198") or {}).get("Value") or [])


def stow(port, path, files, clients=1, per_request=50):
    blocks = [files[k * len(files) // clients:(k + 1) * len(files) // clients] for k in range(clients)]
    return summed(run_all(post, [(port, path, block, per_request) for block in blocks]))
