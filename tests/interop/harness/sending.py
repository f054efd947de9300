"""`overread send` as a test runs it: objects into our archive, out to a peer, and what the program says."""

import io

from pydicom import dcmread

from . import made, web


def kept(server, *files):
    """Stores files and gives the Study Instance UIDs."""
    response = web.stow(server, files)
    assert response.status_code == 200, response.text
    return sorted({str(dcmread(io.BytesIO(f), stop_before_pixels=True).StudyInstanceUID) for f in files})


def a_study(server, count, **attributes):
    """Objects of one study that our server holds, by SOP Instance UID, and the study's UID."""
    objects = made.study(count, **attributes)
    [study] = kept(server, *(made.file(ds) for ds in objects))
    return study, {ds.SOPInstanceUID: ds for ds in objects}


def send(server, peer, *words, retries=0, code=0, timeout=120):
    """Runs `overread send` beside the server; gives its words."""
    ran = server.cli("send", peer, *words, "--retries", retries, timeout=timeout)
    assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout + ran.stderr


def counted(text, what):
    for line in text.splitlines():
        if line.startswith(what + "  "):
            return int(line[len(what) :])
    return 0
