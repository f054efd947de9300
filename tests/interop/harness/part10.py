"""Where the data set begins in a file (PS3.10 §7), found by pydicom so that nothing of ours is its own judge."""

import io

from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom import dcmread


def split(data):
    """(File Meta Information, bytes of the data set) of a file, whole or lacking its beginning."""
    stream = io.BytesIO(data)
    read_preamble(stream, True)
    meta = _read_file_meta_info(stream)
    return meta, data[stream.tell() :]


def data_set(data):
    return split(data)[1]


def transfer_syntax(data):
    """As the File Meta says, else as pydicom guesses."""
    meta, _ = split(data)
    if "TransferSyntaxUID" in meta:
        return str(meta.TransferSyntaxUID)
    implicit, little = dcmread(io.BytesIO(data), force=True).original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"
