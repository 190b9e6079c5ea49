"""From single runs to medians and spreads, and to a table for people or in Markdown."""

from __future__ import annotations

import statistics

CPU_PARTS = ("worker_cpu_s_per_1000", "store_cpu_s_per_1000", "orchestrator_cpu_s_per_1000")


def summaries(runs: list[dict]) -> dict[str, dict[str, dict]]:
    """Contestant → workload → figure → median, min, max and number of runs."""
    grouped: dict[str, dict[str, list[dict]]] = {}
    for run in runs:
        grouped.setdefault(run["contestant"], {}).setdefault(run["workload"], []).append(run["figures"])
    return {
        name: {workload: summary(figures) for workload, figures in by_workload.items()}
        for name, by_workload in grouped.items()
    }


def summary(figures: list[dict]) -> dict:
    cpu = [sum(one.get(part, 0) for part in CPU_PARTS) for one in figures]
    named = {key: [one[key] for one in figures] for key in figures[0]}
    return {
        key: {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
            "runs": len(values),
        }
        for key, values in {**named, "cpu_s_per_1000": cpu}.items()
        if any(values)
    }


def rate(cell: dict | None) -> str:
    if not cell:
        return "–"
    value = cell["steps_per_s"]
    return f"{thousands(value['median'])} ({thousands(value['min'])}–{thousands(value['max'])})"


def thousands(value: float) -> str:
    """Three significant digits: the runs differ by more than the fourth says."""
    digits = max(0, len(str(int(value))) - 3)
    return f"{round(value, -digits):,.0f}".replace(",", " ")


def latency(cell: dict | None) -> str:
    if not cell:
        return "–"
    parts = []
    for key in ("p50_ms", "p99_ms"):
        value = cell[key]
        parts.append(f"{value['median']:.2f} ({value['min']:.2f}–{value['max']:.2f})")
    return " / ".join(parts)


def cpu(cell: dict | None) -> str:
    if not cell or "cpu_s_per_1000" not in cell:
        return "–"
    return f"{cell['cpu_s_per_1000']['median']:.2f}"


def settings_text(facts: dict) -> str:
    told = named(facts.get("settings", {}))
    return f"{told}. {facts['tuning']}" if told else facts["tuning"]


def named(settings: dict) -> str:
    plain = [f"{name} {value}" for name, value in settings.items() if not isinstance(value, dict)]
    special = [f"; {name}: {named(value)}" for name, value in settings.items() if isinstance(value, dict)]
    return ", ".join(plain) + "".join(special)


FIGURES = (
    ("chain4, steps/s", lambda cells: rate(cells.get("chain4"))),
    ("fanout, steps/s", lambda cells: rate(cells.get("fanout"))),
    ("latency p50 / p99, ms", lambda cells: latency(cells.get("latency"))),
    ("CPU, s per 1 000 steps of chain4", lambda cells: cpu(cells.get("chain4"))),
)


def markdown(document: dict) -> str:
    """One table with everything; beneath it the machine and what the figures are."""
    head = ["", "store", *(title for title, _ in FIGURES), "what is durable", "tuned"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, facts in document["contestants"].items():
        cells = document["summary"].get(name, {})
        row = [f"{facts['title']} {facts['version']}", facts["store"], *(show(cells) for _, show in FIGURES)]
        lines.append("| " + " | ".join([*row, facts["durable"], settings_text(facts)]) + " |")
    return "\n".join([*lines, "", *notes(document)])


def notes(document: dict) -> list[str]:
    runs = max((run["run"] for run in document["runs"]), default=0)
    times = "1 run" if runs == 1 else f"{runs} runs"
    lines = [f"{times} each, one after another in turns: median (lowest–highest). {document['at']}."]
    lines += [f"{line}." for line in document["machine"]]
    for name, facts in document["contestants"].items():
        if facts.get("lacks"):
            lines.append(f"{facts['title']} has no fanout: {facts['lacks']}.")
    # The first line of each; the rest is the driver's log.
    lines += [f"Failed: {failure.splitlines()[0]}" for failure in document["failures"]]
    return lines


def plain(document: dict) -> str:
    """Figures in columns; the prose below them, one paragraph per contestant."""
    rows = [["", *(title for title, _ in FIGURES)]]
    for name, facts in document["contestants"].items():
        cells = document["summary"].get(name, {})
        rows.append([f"{facts['title']} {facts['version']}", *(show(cells) for _, show in FIGURES)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    for facts in document["contestants"].values():
        lines += ["", f"{facts['title']}: {facts['store']}", f"  durable: {facts['durable']}"]
        lines.append(f"  tuned:   {settings_text(facts)}")
    return "\n".join([*lines, "", *notes(document)])
