"""The table of goals as Markdown, row by row, and what else was measured below it."""
from .verdict import Outcome, judge

# The figure that says most of a record, by what is in it, with its unit.
MAIN = [("syncs_per_instance", ""), ("ready_s", "s"), ("frame_ms", "ms"), ("key_ms", "ms"), ("list_ms", "ms"), ("per_s", "/s"), ("first_ms", "ms")]
DETAILS = [("MB_s", "MB/s"), ("p50_ms", "ms p50"), ("p90_ms", "ms p90"), ("p99_ms", "ms p99"), ("list_kB", "kB"), ("cpu_s_per_1000", "CPU s/1000"), ("peak_MB", "MB peak"),
           ("first_ms", "ms first"), ("second_ms", "ms second"), ("stored_per_s", "stored/s"), ("index_bytes", "B index"), ("results", "results")]


def number(value):
    if value is None:
        return "-"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= .095 else f"{value:.3f}"


def ranged(found, unit=""):
    """A median, and the least and the greatest when they are apart."""
    if found is None or not found.values:
        return "-"
    text = number(found.median) + (f" {unit}" if unit else "")
    least, greatest = min(found.values), max(found.values)
    if least > 0 and greatest / least > 1.2:
        text += f" ({number(least)}–{number(greatest)})"
    return text


def limit_of(goal):
    sign = {">=": "≥", "<=": "≤"}.get(goal.sense, goal.sense)
    return f"{sign} {number(goal.limit)}" + (f" {goal.unit}" if goal.unit else "×")


def unit_of(metric):
    return {"per_s": "/s", "p50_ms": "ms", "p99_ms": "ms", "first_ms": "ms", "second_ms": "ms", "peak_MB": "MB"}.get(metric, "")


def goal_line(row, goal, verdict):
    unit = goal.unit or unit_of(goal.figure.metric)
    ours, beside = ranged(verdict.ours, unit), ranged(verdict.beside, unit) if goal.beside else ""
    value = "" if not goal.beside else "-" if verdict.value is None else f"{number(verdict.value)}×"
    outcome = {Outcome.MET: "yes", Outcome.MISSED: "**no**"}.get(verdict.outcome, f"{verdict.outcome.value}: {verdict.why}")
    return f"| {row} | {goal.name} | {ours} | {beside} | {value} | {limit_of(goal)} | {outcome} |"


def goals(rows, records):
    """(Markdown, how many goals have which outcome)."""
    lines = ["| work | figure | ours | beside it | ratio | goal | met |", "|---|---|---:|---:|---:|---:|---|"]
    counts = dict.fromkeys(Outcome, 0)
    for row in rows:
        title = row.title
        for goal in row.goals:
            verdict = judge(goal, records)
            if verdict.outcome is Outcome.NOT_MEASURED and goal.is_optional:
                continue
            counts[verdict.outcome] += 1
            lines.append(goal_line(title, goal, verdict))
            title = ""
    return "\n".join(lines) + "\n", counts


def details(records):
    """Every work of every server, medians."""
    lines = ["| work | server | median | | failed |", "|---|---|---:|---|---|"]
    groups = {}
    for record in records:
        groups.setdefault((record["row"], record["work"], record["server"]), []).append(record)
    for (row, work, server), found in groups.items():
        good = [record for record in found if "error" not in record]
        main = next(((key, unit) for key, unit in MAIN if good and isinstance(good[0].get(key), (int, float))), None)
        shown = f"{number(median(good, main[0]))} {main[1]}".strip() if main else "-"
        more = ", ".join(f"{number(median(good, key))} {unit}" for key, unit in DETAILS
                         if good and (main is None or key != main[0]) and isinstance(good[0].get(key), (int, float)))
        failed = f"{len(found) - len(good)} of {len(found)}" if len(good) < len(found) else ""
        name = work if work.startswith(row) else f"{row}: {work}"
        lines.append(f"| {name} | {server} | {shown} | {more} | {failed} |")
    return "\n".join(lines) + "\n"


def median(records, key):
    values = sorted(record[key] for record in records if isinstance(record.get(key), (int, float)))
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2 if values else None
