"""From records to verdicts: the median of each figure, its ratio, and whether the goal is met.

A goal counts only when everything it rests on was measured and nothing failed: one failed repetition and it is `failed`, because
the median of the others is not the figure of a server that works.
"""
import dataclasses
import enum
import math
import operator
import statistics

SENSES = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
# Below so many requests a 99th percentile is the figure of a few.
P99_REQUESTS_MIN = 200


class Outcome(enum.Enum):
    MET = "met"
    MISSED = "missed"
    FAILED = "failed"
    NOT_MEASURED = "not measured"


@dataclasses.dataclass(frozen=True)
class Spread:
    """A figure over all repetitions."""
    values: tuple
    error: str | None = None
    # Nothing failed, but there is too little to say anything.
    is_thin: bool = False

    @property
    def median(self):
        return statistics.median(self.values)


@dataclasses.dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    ours: Spread | None = None
    beside: Spread | None = None
    # Ours, or its ratio to what is beside it: what is held against the limit.
    value: float | None = None
    why: str = ""


def spread(records, figure):
    """The values of a figure; None when there is no record of it at all."""
    found = [record for record in records if record["work"] == figure.work and record["server"] == figure.server]
    if not found:
        return None
    errors = [record["error"] for record in found if "error" in record]
    if errors:
        return Spread((), f"{figure.server}: {errors[0]}")
    values = [record.get(figure.metric) for record in found]
    if any(not isinstance(value, (int, float)) or not math.isfinite(value) for value in values):
        return Spread((), f"{figure.server}: no {figure.metric} in some repetition")
    if figure.metric == "p99_ms" and min(record.get("requests", 0) for record in found) < P99_REQUESTS_MIN:
        return Spread((), f"{figure.server}: too few requests for a p99", is_thin=True)
    return Spread(tuple(values))


def judge(goal, records):
    ours = spread(records, goal.figure)
    beside = spread(records, goal.beside) if goal.beside else None
    bad = sorted((one for one in (ours, beside) if one and one.error), key=lambda one: one.is_thin)
    if bad:
        return Verdict(Outcome.NOT_MEASURED if bad[0].is_thin else Outcome.FAILED, why=bad[0].error)
    if ours is None or (goal.beside and beside is None):
        missing = goal.figure if ours is None else goal.beside
        return Verdict(Outcome.NOT_MEASURED, ours, beside, why=f"{missing.server} was not measured")
    if goal.beside and len(ours.values) != len(beside.values):
        return Verdict(Outcome.FAILED, ours, beside, why="not measured equally often")
    value = ours.median
    if beside:
        if beside.median <= 0:
            return Verdict(Outcome.FAILED, ours, beside, why=f"{goal.beside.server}: nothing to compare with")
        value /= beside.median
    return Verdict(Outcome.MET if SENSES[goal.sense](value, goal.limit) else Outcome.MISSED, ours, beside, value)
