"""Each assertion about the Studies Service, the Worklist Service, DIMSE and opinions has a test that bears its number, or a decision in
CONFORMANCE.md: a number that is nowhere fails here."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NUMBERS = {*range(1, 161), *range(171, 201), *range(201, 228), *range(240, 246)}


def numbers_of_tests():
    """`test_a023_…`, `test_a35_a36_…`, `test_a78_to_a90_…`."""
    numbers = set()
    for path in sorted((REPOSITORY / "tests/interop").glob("test_*.py")):
        for name in re.findall(r"^\s*def (test_\w+)", path.read_text(), re.MULTILINE):
            for first, last in re.findall(r"_a(\d{1,3})_to_a(\d{1,3})(?=_|$)", name):
                numbers.update(range(int(first), int(last) + 1))
            numbers.update(int(number) for number in re.findall(r"_a(\d{1,3})(?=_|$)", name))
    return numbers


def numbers_decided():
    """The first column of the table under "Assertions decided otherwise"."""
    text = (REPOSITORY / "CONFORMANCE.md").read_text()
    section = text.partition("## Assertions decided otherwise")[2].partition("\n## ")[0]
    return {int(number) for number in re.findall(r"^\| (\d{1,3}) \| \S", section, re.MULTILINE)}


def test_every_assertion_is_tested_or_decided():
    missing = sorted(NUMBERS - numbers_of_tests() - numbers_decided())
    assert not missing, f"neither tested nor decided: {missing}"
