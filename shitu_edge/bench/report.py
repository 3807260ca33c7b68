"""A result as tables for the terminal and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from ..drawing.page import Table
from .run import STAGES, Result
from .statistics import Quantile, Summary, summarize
from .sweep import Axis
from .trial import Outcome
from .verdict import Verdict

_MIB = 1 << 20


def tables(result: Result) -> list[Table]:
    """Return the tables of a result."""
    return [_latency(result), _machine_use(result)]


def sweep_tables(swept: Sequence[Axis]) -> list[Table]:
    """Return a table per axis."""
    return [outcome_table(f"By {axis.name}", axis.name, axis.outcomes) for axis in swept]


def outcome_table(title: str, heading: str, outcomes: Sequence[Outcome]) -> Table:
    """Return a table with a row per outcome."""
    refused = any(outcome.ms is None for outcome in outcomes)
    rows = []
    for outcome in outcomes:
        if outcome.ms is None:
            row = (outcome.what, *("",) * (len(STAGES) + 2), outcome.refused or "")
        else:
            stages = outcome.stages_ms or {}
            figures = (*(f"{stages[name]:.2f}" for name in STAGES), f"{outcome.ms.p50.value:.1f}")
            row = (outcome.what, *figures, f"{outcome.ms.p95.value:.1f}", "")
        rows.append(row if refused else row[:-1])
    headings = (heading, *STAGES, "p50", "p95", *([""] if refused else []))
    return Table(title, headings, tuple(rows))


def facts(result: Result) -> dict[str, str]:
    """Return the conditions of a result, by name."""
    environment, made_by = result.environment, result.made_by
    cpu = environment.cpu
    sizes = ", ".join(f"{width} × {height}" for width, height in result.sizes[:3])
    return {
        "CPU": f"{cpu.model}, {cpu.physical_cores} cores ({' '.join(cpu.features)})",
        "versions": ", ".join(f"{name} {number}" for name, number in environment.versions.items()),
        "bundle": f"{made_by['bundle']} ({made_by['bundle_digest'][:12]})",
        "detector": _network(made_by["detector"]),
        "extractor": _network(made_by["extractor"]),
        "images": f"{result.images} of {sizes}{', ...' if len(result.sizes) > 3 else ''}",
        "boxes per image": f"{statistics.mean(result.boxes):.1f} looked up",
        "gallery": f"{result.gallery_items} items, "
        + (f"search: {result.search.how}" if result.search else "nothing to search"),
    }


def markdown(result: Result, verdict: Verdict | None, swept: Sequence[Axis] = ()) -> str:
    """Return the whole report as Markdown."""
    lines = ["# shitu-edge bench", ""]
    lines += [f"- {name}: {value}" for name, value in facts(result).items()]
    lines += [f"- **{warning}**" for warning in result.environment.warnings()]
    lines.append("")
    for table in [*tables(result), *sweep_tables(swept)]:
        lines += table.markdown()
    if verdict:
        lines += ["## Verdict", "", *verdict_lines(verdict)]
    return "\n".join(lines).rstrip() + "\n"


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return the verdict and the remedies, a line each."""
    doubt = "" if verdict.sure else " (within the error of this few images: raise --count)"
    if verdict.met:
        return [f"within the budget of {verdict.budget_ms:g} ms at p95{doubt}"]
    lines = [f"over the budget of {verdict.budget_ms:g} ms at p95{doubt}; {verdict.blame} takes most of it"]
    for remedy in verdict.remedies:
        verb = "enough" if remedy.enough else "not enough"
        lines.append(f"  {remedy.what}: p50 {remedy.ms.p50.value:.1f}, p95 {remedy.ms.p95.value:.1f} ms, {verb}")
    if not any(remedy.enough for remedy in verdict.remedies):
        lines.append("  nothing tried is enough: take a smaller network or input, or a faster machine")
    return lines


def _latency(result: Result) -> Table:
    rows = [(name, *_milliseconds(summary)) for name, summary in result.summaries().items()]
    if result.search:
        rows.append(("search alone, per query", *_milliseconds(result.search.ms)))
    rate, due = result.at_rate
    rows.append((f"at {rate:.1f} images/s, since due", *_milliseconds(summarize(due))))
    return Table("Milliseconds per image", ("", "p50", "p95", "p99", "max", "p95, 95 % confidence"), tuple(rows))


def _machine_use(result: Result) -> Table:
    latency, memory = result.latency, result.memory
    rows = [
        (
            "highest throughput",
            f"{result.per_second:.1f} images/s with {result.callers} caller{'s' if result.callers > 1 else ''}",
        ),
        ("processor time per image", f"{latency.cpu_ms:.1f} ms"),
        ("first image after opening", f"{latency.first_ms:.1f} ms"),
        ("memory, resident and peak", f"{_size(memory.resident)}, {_size(memory.peak)}"),
        ("processor while idle", f"{100 * result.idle_cpu:.2f} % of a core"),
    ]
    if result.search:
        found = f"{result.search.recall_at_1:.3f} of the nearest, {result.search.recall_at_10:.3f} of the nearest ten"
        rows.append(("search against exact", found))
    for name, cold in result.cold.items():
        rows.append((f"fresh process, {name}", f"answers after {cold.answer_ms / 1e3:.2f} s"))
    return Table("The machine", ("", ""), tuple(rows))


def _milliseconds(summary: Summary) -> Sequence[str]:
    values = (summary.p50.value, summary.p95.value, summary.p99.value, summary.max)
    return (*(f"{value:.2f}" for value in values), _interval(summary.p95))


def _interval(quantile: Quantile) -> str:
    ends = ["?" if end is None else f"{end:.2f}" for end in (quantile.low, quantile.high)]
    return " to ".join(ends)


def _network(info: dict[str, Any]) -> str:
    fallback = f" ({info['fallback']})" if info["fallback"] else ""
    return f"{info['engine']} {info['version']}, {info['precision']}, {info['threads']} threads{fallback}"


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{count / _MIB:.0f} MiB"
