"""README's table of speeds, from the results that `shitu-edge bench -o` stored in `benchmarks/results`.

    python -m benchmarks.table [--write]

Prints the table, or writes it between its marks in README.md. `tests/test_readme.py` fails if they differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shitu_edge.bench.compare import load_result

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- python -m benchmarks.table --write -->", "<!-- end of the table -->"
HEADINGS = ("bundle", "precision", "photo", "boxes", "gallery", "p50 ms", "p95 ms", "search p99 ms", "resident", "cold")
_MIB = 1 << 20
_WIDEST = {"avx512_vnni": "with AVX-512 and VNNI", "avx512f": "with AVX-512", "avx2": "with AVX2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put it into README.md")
    args = parser.parse_args()
    if args.write:
        README.write_text(with_table(README.read_text(encoding="utf-8"), table()), encoding="utf-8")
    else:
        print(table())


def table() -> str:
    """Return the table of all stored results, by their files' names."""
    results = [load_result(path) for path in sorted(RESULTS.glob("*.json"))]
    machines = sorted({_processor(result["environment"]["cpu"]) for result in results})
    lines = [f"| {' | '.join(HEADINGS)} |", f"| {' | '.join('---' for _ in HEADINGS)} |"]
    lines += [f"| {' | '.join(_row(result))} |" for result in results]
    return "\n".join([*lines, "", f"{', '.join(machines)}, {_cores(results)} cores."]) if results else ""


def with_table(text: str, table: str) -> str:
    """Return a text with the table between its marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def _row(result: Mapping[str, Any]) -> tuple[str, ...]:
    made_by, total, search = result["made_by"], result["summaries_ms"]["total"], result["search"]
    detector, extractor = made_by["detector"]["precision"], made_by["extractor"]["precision"]
    width, height = result["sizes"][0]
    cold = result["cold"].get("with cache")
    return (
        made_by["bundle"],
        detector if detector == extractor else f"{detector} + {extractor}",
        f"{width} × {height}",
        f"{max(result['boxes'])}",
        f"{result['gallery_items']}",
        f"{total['p50']['value']:.0f}",
        f"{total['p95']['value']:.0f}",
        f"{search['ms']['p99']['value']:.1f}" if search else "",
        f"{result['memory']['resident'] / _MIB:.0f} MiB",
        f"{cold['answer_ms'] / 1e3:.1f} s" if cold else "",
    )


def _processor(cpu: Mapping[str, Any]) -> str:
    """Return a processor's name with its widest instructions, on which the speed of INT8 depends."""
    widest = next((name for feature, name in _WIDEST.items() if feature in cpu["features"]), "")
    return f"{cpu['model']} {widest}".rstrip()


def _cores(results: list[dict[str, Any]]) -> str:
    return ", ".join(sorted({str(result["environment"]["cpu"]["physical_cores"]) for result in results}))


if __name__ == "__main__":
    main()
