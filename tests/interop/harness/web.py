"""DICOMweb as bytes: multipart bodies both ways, and the few requests every test makes."""

import itertools

import requests

DICOM = 'multipart/related; type="application/dicom"'
AS_STORED = DICOM + "; transfer-syntax=*"
OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
JSON = "application/dicom+json"
DICOM_PART = "application/dicom"

_boundaries = itertools.count(1)


def header_parameter(header, name):
    """A parameter of a header value, quoted or not."""
    for piece in header.split(";")[1:]:
        key, _, value = piece.strip().partition("=")
        if key.lower() == name:
            return value.strip().strip('"')
    return None


def split_parts(content_type, body):
    """(headers, bytes) of every part of a multipart body; insists on a closing delimiter."""
    assert content_type.lower().startswith("multipart/related"), content_type
    boundary = header_parameter(content_type, "boundary").encode()
    delimiter = b"\r\n--" + boundary
    pieces = (b"\r\n" + body).split(delimiter)
    assert pieces[-1].startswith(b"--"), "no closing delimiter"
    parts = []
    for piece in pieces[1:-1]:
        head, found, content = piece.partition(b"\r\n\r\n")
        assert found, "a part without a blank line"
        headers = {}
        for line in head.decode().split("\r\n"):
            if line.strip():
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
        if "content-length" in headers:
            assert int(headers["content-length"]) == len(content), "Content-Length of a part"
        parts.append((headers, content))
    return parts


def parts_of(response):
    return split_parts(response.headers["content-type"], response.content)


def multipart(parts, *, part_type=DICOM_PART, boundary=None):
    """(Content-Type, body) of a STOW-RS request (PS3.18 §10.5)."""
    boundary = boundary or f"overread-{next(_boundaries)}"
    body = b"".join(
        b"--" + boundary.encode() + b"\r\nContent-Type: " + part_type.encode() + b"\r\n\r\n" + part + b"\r\n" for part in parts
    )
    quoted = f'"{boundary}"' if any(c in boundary for c in "()<>@,;:/[]?= ") else boundary
    return f'multipart/related; type="{part_type}"; boundary={quoted}', body + b"--" + boundary.encode() + b"--\r\n"


def stow(server, parts, study=None, session=requests, **keywords):
    content_type, body = multipart(parts, **keywords)
    url = f"{server.web}/studies" + (f"/{study}" if study else "")
    return session.post(url, data=body, headers={"Content-Type": content_type, "Accept": JSON}, timeout=120)


def outcome(response):
    """(stored {uid: warning or None}, failed {uid: reason}, reasons of parts without identity)."""
    result = response.json()
    assert isinstance(result, dict), "the answer to STOW-RS is one object"

    def number(item, tag):
        return item[tag]["Value"][0] if tag in item else None

    stored = {i["00081155"]["Value"][0]: number(i, "00081196") for i in result.get("00081199", {}).get("Value", [])}
    failed = {i["00081155"]["Value"][0]: number(i, "00081197") for i in result.get("00081198", {}).get("Value", [])}
    others = [number(i, "00081197") for i in result.get("0008119A", {}).get("Value", [])]
    return stored, failed, others


def get(server, path, accept=None, **keywords):
    headers = dict(keywords.pop("headers", {}))
    if accept is not None:
        headers["Accept"] = accept
    url = path if path.startswith("http") else server.web + path
    return requests.get(url, headers=headers, timeout=keywords.pop("timeout", 60), **keywords)


def qido(server, path, params=None):
    """The answers of a search; an empty one is 204."""
    response = get(server, path, JSON, params=params)
    if response.status_code == 204:
        assert response.content == b""
        return []
    assert response.status_code == 200, (response.status_code, response.text)
    return response.json()


def qido_all(server, path, params=None, page=500):
    """Every match, page by page, through limit and offset."""
    rows = []
    while True:
        more = qido(server, path, dict(params or {}) | {"limit": page, "offset": len(rows)})
        rows += more
        if len(more) < page:
            return rows


def instance_path(study, series, instance):
    return f"/studies/{study}/series/{series}/instances/{instance}"


def value(row, tag, place=0):
    """One value of an attribute in DICOM JSON, `None` when absent or empty."""
    values = row.get(tag, {}).get("Value", [])
    return values[place] if place < len(values) else None


def file_of(response):
    """The one Part 10 file of a retrieve."""
    assert response.status_code == 200, (response.status_code, response.text[:300])
    parts = parts_of(response)
    assert len(parts) == 1
    return parts[0][1]
