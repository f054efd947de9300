"""Waiting for something that will be seen, instead of sleeping for as long as it usually takes."""

import time


def until(condition, what, seconds=15):
    """Waits until `condition()` is true; that it never is, is a failure named `what`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)
