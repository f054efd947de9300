"""STOW-RS (PS3.18 §10.5): outcomes, status codes and reasons (conformance.md §8, 130–154)."""

import http.client
import io
import socket

import pytest
import requests
from concurrent.futures import ThreadPoolExecutor
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.uid import UID_dictionary, ImplicitVRLittleEndian

from harness import made, part10, web
from harness.syntaxes import body_in


def post(server, content_type, body, path="/studies", **headers):
    return requests.post(server.web + path, data=body, headers={"Content-Type": content_type, "Accept": web.JSON} | headers, timeout=60)


def count(server, study):
    rows = web.qido(server, "/studies", {"StudyInstanceUID": str(study)})
    return web.value(rows[0], "00201208") if rows else 0


def test_a130_one_instance(server):
    ds = made.instance()
    response = web.stow(server, [made.file(ds)])
    assert response.status_code == 200 and response.headers["content-type"].startswith(web.JSON)
    stored, failed, others = web.outcome(response)
    assert stored == {ds.SOPInstanceUID: None} and not failed and not others
    result = response.json()
    for url, vr in ((result["00081190"], "UR"), (result["00081199"]["Value"][0]["00081190"], "UR")):
        assert url["vr"] == vr
        assert web.get(server, url["Value"][0], web.AS_STORED).status_code == 200
    assert result["00081199"]["Value"][0]["00081150"]["Value"] == [made.CT]


def test_a131_three_instances_of_two_studies(server):
    study = made.uid()
    objects = [made.instance(study=study), made.instance(study=study), made.instance()]
    response = web.stow(server, map(made.file, objects))
    assert response.status_code == 200
    assert set(web.outcome(response)[0]) == {ds.SOPInstanceUID for ds in objects}
    assert "Value" not in response.json().get("00081190", {}), "no one study can be named"
    assert (count(server, study), count(server, objects[2].StudyInstanceUID)) == (2, 1)


def test_a132_another_study_than_the_url_says(server):
    right, wrong = made.instance(), made.instance()
    study = right.StudyInstanceUID
    response = web.stow(server, [made.file(wrong)], study=study)
    assert response.status_code == 409
    assert web.outcome(response)[1] == {wrong.SOPInstanceUID: 0xA901}
    response = web.stow(server, [made.file(right), made.file(wrong)], study=study)
    assert response.status_code == 202
    stored, failed, _ = web.outcome(response)
    assert set(stored) == {right.SOPInstanceUID} and set(failed) == {wrong.SOPInstanceUID}
    assert count(server, wrong.StudyInstanceUID) == 0


def test_a133_good_and_bad_together(server):
    good, cut = made.instance(), made.instance()
    response = web.stow(server, [made.file(cut)[:-20], made.file(good), b"no dicom at all"])
    assert response.status_code == 202
    stored, failed, others = web.outcome(response)
    assert set(stored) == {good.SOPInstanceUID}
    assert failed == {cut.SOPInstanceUID: 0xC000} and others == [0xC000]


def test_a134_all_bad_and_no_multipart_at_all(server):
    response = web.stow(server, [made.file(made.instance())[:-20]])
    assert response.status_code == 409 and not web.outcome(response)[0]
    response = post(server, 'multipart/related; type="application/dicom"; boundary=x', b"this is no multipart body")
    assert response.status_code == 400 and response.text
    response = post(server, 'multipart/related; type="application/dicom"; boundary=x', b"")
    assert response.status_code == 400


def test_a135_wrong_content_types(server):
    content_type, body = web.multipart([made.file(made.instance())])
    assert post(server, "text/plain", body).status_code == 415
    assert post(server, "multipart/form-data; boundary=x", body).status_code == 415
    assert post(server, 'multipart/related; type="application/dicom"', body).status_code == 400
    assert post(server, 'multipart/related; type="image/png"; boundary=x', body).status_code == 415
    assert requests.post(server.web + "/studies", data=body, headers={"Accept": web.JSON}).status_code == 415


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(500), b"PK\x03\x04" + bytes(200)], ids=["empty", "jpeg", "zip"])
def test_a136_a_part_without_identity(server, content):
    response = web.stow(server, [content])
    assert response.status_code == 409
    stored, failed, others = web.outcome(response)
    assert not stored and not failed and others == [0xC000]


def test_a137_an_unknown_class_is_kept(server):
    ds = made.instance(SOPClassUID="1.2.826.0.1.3680043.10.9999.500")
    assert web.stow(server, [made.file(ds)]).status_code == 200


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("problem", ["absent", "empty", "letters", "leading zero"])
def test_a138_identity_is_needed(server, keyword, problem):
    ds = made.instance()
    good = str(ds[keyword].value)
    data = made.file(ds)
    if problem in ("absent", "empty"):
        setattr(ds, keyword, "") if problem == "empty" else delattr(ds, keyword)
        data = made.wrap(made.encode(ds), made.CT, made.uid())
    else:
        bad = "x" * len(good) if problem == "letters" else "1.02" + good[4:]
        data = data.replace(good.encode(), bad.encode())
    response = web.stow(server, [data])
    assert response.status_code == 409, response.text
    _, failed, others = web.outcome(response)
    assert [*failed.values(), *others] == [0xA900]


def test_a139_the_same_bytes_twice(server):
    ds = made.instance()
    for _ in range(2):
        response = web.stow(server, [made.file(ds)])
        assert response.status_code == 200
    assert count(server, ds.StudyInstanceUID) == 1


def test_the_same_instance_twice_in_one_request(server):
    ds = made.instance()
    assert web.stow(server, [made.file(ds)] * 3).status_code == 200
    assert count(server, ds.StudyInstanceUID) == 1


def test_a9_a10_types_and_boundaries_of_every_spelling(server):
    for boundary in ("plain", "with spaces in it", "'()+_,-./:=?", "a" * 70, "=_=9f:1", "----WebKitFormBoundary7MA4YWxk"):
        _, body = web.multipart([made.file(made.instance())], boundary=boundary)
        for content_type in (
            f'multipart/related; type="application/dicom"; boundary="{boundary}"',
            f"multipart/related; type=application/dicom; boundary=\"{boundary}\"",
            f"Multipart/Related; Boundary=\"{boundary}\"; Type=\"application/dicom\"",
        ):  # fmt: skip
            assert post(server, content_type, body).status_code == 200, content_type
    _, body = web.multipart([made.file(made.instance())], boundary="plain")
    assert post(server, "multipart/related;type=application/dicom;boundary=plain", body).status_code == 200


def test_preamble_and_epilogue_of_the_multipart_body_are_passed_over(server):
    ds = made.instance()
    content_type, body = web.multipart([made.file(ds)])
    assert post(server, content_type, b"to whom it may concern\r\n" + body + b"yours sincerely").status_code == 200


def test_boundary_like_bytes_inside_an_object(server):
    content = (b"\r\n--wall\r\n--wal\r\n--wall-\n--wall--x\r-" * 50)[:1024]
    ds = made.instance(rows=16, columns=32, pixels=content)
    _, body = web.multipart([made.file(ds)], boundary="wall-of-china")
    assert post(server, 'multipart/related; type="application/dicom"; boundary="wall-of-china"', body).status_code == 200
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == made.encode(ds)


def test_a_single_object_without_multipart(server):
    """Decision D9: application/dicom alone is taken too."""
    ds = made.instance()
    assert post(server, "application/dicom", made.file(ds)).status_code == 200
    assert count(server, ds.StudyInstanceUID) == 1


def test_a151_chunked_bodies(server):
    ds = made.instance(rows=200, columns=200)
    content_type, body = web.multipart([made.file(ds)])

    def pieces():
        for at in range(0, len(body), 777):
            yield body[at : at + 777]

    assert post(server, content_type, pieces()).status_code == 200
    assert count(server, ds.StudyInstanceUID) == 1


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a151_a_body_that_is_cut_leaves_nothing_of_its_last_part(server, kept):
    whole, cut = made.instance(), made.instance(rows=100, columns=100)
    content_type, body = web.multipart([made.file(whole), made.file(cut)])
    start_of_cut = body.index(made.file(cut)[:400])
    at = int(start_of_cut + kept * (len(body) - start_of_cut))
    with socket.create_connection(server.http_address, timeout=10) as s:
        head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAccept: application/dicom+json\r\nContent-Type: {content_type}\r\n"
        try:
            s.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:at])
            s.shutdown(socket.SHUT_WR)
            while s.recv(4096):
                pass
        except OSError:
            pass  # it hung up first
    assert count(server, cut.StudyInstanceUID) == 0
    assert web.stow(server, [made.file(cut)]).status_code == 200


def test_a_body_that_ends_without_its_closing_delimiter(server):
    ds = made.instance()
    content_type, body = web.multipart([made.file(ds)])
    response = post(server, content_type, body[: body.rindex(b"\r\n--")])
    assert response.status_code == 400
    assert count(server, ds.StudyInstanceUID) == 0


def test_a_terabyte_announced_is_not_allocated(server):
    before = server.memory_peak_bytes()
    connection = http.client.HTTPConnection(*server.http_address, timeout=10)
    connection.putrequest("POST", "/dicom-web/studies")
    for name, value in (("Content-Type", 'multipart/related; type="application/dicom"; boundary=x'), ("Content-Length", str(1 << 40))):
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(b"--x\r\nContent-Type: application/dicom\r\n\r\n" + bytes(1000))
    connection.close()
    assert web.stow(server, [made.file(made.instance())]).status_code == 200
    assert server.memory_peak_bytes() - before < 64 << 20


def test_a152_the_answer_is_one_object_and_other_types_get_406(server):
    content_type, body = web.multipart([made.file(made.instance())])
    assert isinstance(post(server, content_type, body).json(), dict)
    assert post(server, content_type, body, Accept="image/png").status_code == 406
    assert post(server, content_type, body, Accept="application/json").status_code == 200


@pytest.mark.parametrize("syntax", made.TRANSFER_SYNTAXES)
def test_a153_every_transfer_syntax_is_taken_and_given_back_bit_by_bit(server, syntax):
    ds = made.instance(SOPClassUID=made.SECONDARY_CAPTURE, frames=2, rows=8, columns=8)
    body = body_in(ds, syntax)
    assert web.stow(server, [made.wrap(body, ds.SOPClassUID, ds.SOPInstanceUID, syntax)]).status_code == 200
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    back = web.file_of(web.get(server, path, web.AS_STORED))
    assert part10.transfer_syntax(back) == syntax and part10.data_set(back) == body
    read = dcmread(io.BytesIO(back))
    assert (read.SOPInstanceUID, read.PixelData) == (ds.SOPInstanceUID, ds.PixelData)


def test_a153_jpip_and_what_carries_no_object_are_refused_with_c122(server):
    """Every transfer syntax that pydicom knows beside those taken."""
    known = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    others = known - set(made.TRANSFER_SYNTAXES)
    jpip = {f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205)}
    assert jpip <= others
    for syntax in sorted(others) + ["1.2.3.4"]:
        ds = made.instance(PixelData=None, PixelDataProviderURL="http://elsewhere.example/jpip")
        response = web.stow(server, [made.wrap(made.encode(ds), made.CT, ds.SOPInstanceUID, syntax)])
        assert response.status_code == 409, syntax
        _, failed, nameless = web.outcome(response)
        assert [*failed.values(), *nameless] == [0xC122], syntax
        assert count(server, ds.StudyInstanceUID) == 0


def test_a154_private_attributes_and_unknown_vrs_are_kept(server):
    ds = made.instance()
    block = ds.private_block(0x0099, "OVERREAD TEST", create=True)
    block.add_new(1, "LO", "private words")
    block.add_new(2, "UN", b"\x01\x02\x03\x04")
    block.add_new(3, "FD", 1.5)
    assert web.stow(server, [made.file(ds)]).status_code == 200
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    metadata = web.get(server, path + "/metadata", web.JSON).json()[0]
    assert metadata["00990010"] == {"vr": "LO", "Value": ["OVERREAD TEST"]}
    assert metadata["00991001"] == {"vr": "LO", "Value": ["private words"]}
    assert metadata["00991002"] == {"vr": "UN", "InlineBinary": "AQIDBA=="}
    assert metadata["00991003"] == {"vr": "FD", "Value": [1.5]}
    assert part10.data_set(web.file_of(web.get(server, path, web.AS_STORED))) == made.encode(ds)


def test_the_preamble_is_zeroed(server):
    ds = made.instance()
    assert web.stow(server, [made.file(ds, preamble=b"MZ" + b"\x90" * 126)]).status_code == 200
    path = web.instance_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    assert web.file_of(web.get(server, path, web.AS_STORED))[:132] == bytes(128) + b"DICM"


@pytest.mark.parametrize("dress", ["no preamble", "no file meta", "implicit without file meta"])
def test_objects_without_their_beginning_are_kept(server, dress):
    ds = made.instance()
    data = made.file(ds)
    match dress:
        case "no preamble":
            data = data[132:]
        case "no file meta":
            data = made.encode(ds)
        case "implicit without file meta":
            data = made.encode(ds, ImplicitVRLittleEndian)
    assert web.stow(server, [data]).status_code == 200
    assert count(server, ds.StudyInstanceUID) == 1


def test_many_uploads_at_once(server):
    study = made.study(120)
    with ThreadPoolExecutor(24) as pool:
        codes = list(pool.map(lambda ds: web.stow(server, [made.file(ds)]).status_code, study))
    assert set(codes) == {200}
    assert count(server, study[0].StudyInstanceUID) == 120


def test_dicomweb_client_reads_the_outcome(server):
    ds = made.instance()
    ds.file_meta = part10.split(made.file(ds))[0]
    answer = DICOMwebClient(server.web).store_instances([ds])
    assert [str(i.ReferencedSOPInstanceUID) for i in answer.ReferencedSOPSequence] == [ds.SOPInstanceUID]


def test_a20_malformed_study_in_the_url(server):
    content_type, body = web.multipart([made.file(made.instance())])
    for study in ("01.2", "1." + "2" * 64, "abc", "1..2", "1.2."):
        assert post(server, content_type, body, path=f"/studies/{study}").status_code == 400, study
