"""The matching rules of PS3.4 §C.2.2.2 in a few lines of Python, to judge searches by.

Written from the standard and CONFORMANCE.md, over the data sets that were sent, not over answers."""

import re
import unicodedata


def fold(text):
    """Names match without case and accents."""
    plain = unicodedata.normalize("NFKD", str(text))
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold().rstrip("^ ")


def glob(pattern, text):
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def name(pattern, value):
    """Any one group of the name fits."""
    groups = [fold(group) for group in str(value).split("=") if group]
    pattern = fold(pattern)
    return any(glob(pattern, group) for group in groups)


def text(pattern, value):
    return any(glob(pattern, one.strip()) for one in str(value).split("\\"))


def span(value, width, lowest, highest):
    """A partial time as its first and last moment."""
    digits = value.replace(".", "")
    return digits + lowest[len(digits) : width], digits + highest[len(digits) : width]


def moment_range(pattern, value, width, lowest, highest):
    first, dash, last = pattern.partition("-")
    if not dash:
        last = first
    at = span(str(value), width, lowest, highest)[0]
    return (not first or span(first, width, lowest, highest)[0] <= at) and (not last or at <= span(last, width, lowest, highest)[1])


def date(pattern, value):
    return moment_range(pattern, value, 8, "00010101", "99991231")


def time(pattern, value):
    return moment_range(pattern, value, 12, "000000000000", "235959999999")
