"""Reports as tables for people: on a terminal, and as Markdown for the README."""

from __future__ import annotations

from typing import Any

Report = dict[str, Any]

# Sizes of a run, not measurements; a reader of the table finds the settings above it.
HIDDEN = ("steps", "seconds")
SETTINGS = (
    "tasks",
    "samples",
    "worker",
    "workers",
    "capacity",
    "batch_size",
    "runs",
    "rate",
    "minutes",
    "sessions",
)


def number(value: float) -> str:
    """Four significant digits or all before the point, thousands set apart."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 100 else 1
    text = f"{value:.{digits}f}"
    return text if float(text) != 0 else f"{value:.1g}"


def figure(value: dict[str, float]) -> str:
    """median (least – greatest), or the value alone where there was one run."""
    if value["min"] == value["max"]:
        return number(value["median"])
    return f"{number(value['median'])} ({number(value['min'])} – {number(value['max'])})"


def cases_of(report: Report) -> dict[str, dict[str, Any]]:
    return report.get("cases") or {"": report.get("results", {})}


def settings_of(report: Report) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {report[name]}" for name in SETTINGS if report.get(name) is not None
    )


def environment_lines(environment: dict[str, Any]) -> list[str]:
    return [f"{name}: {value}" for name, value in environment.items()]


def text(report: Report, line: str) -> str:
    """One workload for the terminal."""
    lines = [f"\n{report['workload']}: {line}", f"  ({settings_of(report)})"]
    for name, case in cases_of(report).items():
        if name:
            lines.append(f"  {name}")
        for key, value in case.items():
            if key not in HIDDEN:
                lines.append(f"    {key:32} {figure(value)}")
    lines += [f"  {note}" for note in report.get("notes", [])]
    return "\n".join(lines)


# The columns of the table of everything that runs under load: (heading, figures that share a cell).
COLUMNS = (
    ("steps/s", ("steps_per_s",)),
    ("× floor: rate / WAL", ("product_to_floor", "wal_to_floor")),
    ("tasks/s", ("tasks_per_s",)),
    ("submit → complete p50 / p95 / p99, ms", ("task_p50_ms", "task_p95_ms", "task_p99_ms")),
    ("result → next step p50 / p95 / p99, ms", ("next_step_p50_ms", "next_step_p95_ms", "next_step_p99_ms")),
    (
        "CPU ms per step: orchestrator / PostgreSQL / workers",
        ("orchestrator_cpu_ms_per_step", "postgres_cpu_ms_per_step", "workers_cpu_ms_per_step"),
    ),
    ("steps per turn", ("steps_per_turn",)),
    ("commits / round trips per step", ("commits_per_step", "round_trips_per_step")),
    ("WAL bytes / rows per step", ("wal_bytes_per_step", "rows_written_per_step")),
    ("peak MB: orchestrator", ("orchestrator_peak_mb",)),
)
TABLED = {name for _heading, names in COLUMNS for name in names}


def is_loaded(case: dict[str, Any]) -> bool:
    return {"steps_per_s", "wal_bytes_per_step"} <= set(case)


def markdown(reports: list[Report], lines: dict[str, str]) -> str:
    """The README's tables: the environment, one of all that runs under load, a row each, and one for each
    workload that measures something else."""
    parts = []
    if reports:
        parts.append("\n".join(f"- {line}" for line in environment_lines(reports[0]["environment"])))
    rows = [_loaded_row(report, name, case) for report in reports for name, case in cases_of(report).items()]
    loaded = [row for row in rows if row]
    if loaded:
        parts.append(_table(["workload", *(heading for heading, _names in COLUMNS)], loaded))
    parts += [text for report in reports if (text := _own_table(report, lines))]
    return "\n\n".join(parts) + "\n"


def _loaded_row(report: Report, name: str, case: dict[str, Any]) -> list[str]:
    if not is_loaded(case):
        return []
    title = f"**{report['workload']}**{' ' + name if name else ''}"
    title += f" ({settings_of(report)})" if settings_of(report) else ""
    cells = [title]
    for _heading, names in COLUMNS:
        # One figure alone is shown with its spread.
        show = figure if names == ("steps_per_s",) else lambda value: number(value["median"])
        shown = [show(case[key]) if key in case else "–" for key in names]
        cells.append(" / ".join(shown) if set(shown) != {"–"} else "")
    return cells


def _own_table(report: Report, lines: dict[str, str]) -> str:
    """What the table of loads has no column for: figures in rows, cases in columns."""
    cases = cases_of(report)
    names = dict.fromkeys(key for case in cases.values() for key in case if key not in HIDDEN)
    left = [name for name in names if name not in TABLED or not any(map(is_loaded, cases.values()))]
    # The floor's own figures stand in its rows.
    left = [name for name in left if not name.startswith(("floor_", "lane_backend"))]
    notes = "".join(f"\n\n{note}" for note in report.get("notes", []))
    if not left:
        return ""
    title = f"**{report['workload']}**: {lines.get(report['workload'], '')} ({settings_of(report)})"
    rows = [
        [f"`{key}`", *(figure(case[key]) if key in case else "" for case in cases.values())] for key in left
    ]
    header = ["figure", *(name or "median (least – greatest)" for name in cases)]
    return f"{title}\n\n{_table(header, rows)}{notes}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
