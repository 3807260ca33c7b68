"""A report as one HTML file: facts, tables and plots, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse } th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top }
td + td { font-variant-numeric: tabular-nums } tr + tr { border-top: 1px solid #e4e4e4 }
svg { width: 100%; max-width: 46rem; font: 12px system-ui, sans-serif }
.verdict { padding: .6rem 1rem; white-space: pre-wrap; background: #e8f4ea } .missed, .warning { background: #fbe9e7 }
.warning { padding: .3rem 1rem }
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A title, headings and rows of text."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> Iterator[str]:
        """Yield the lines of a Markdown table."""
        yield f"## {self.title}"
        yield ""
        yield f"| {' | '.join(self.headings)} |"
        yield f"| {' | '.join('---' for _ in self.headings)} |"
        for row in self.rows:
            yield f"| {' | '.join(row)} |"
        yield ""


def document(title: str, parts: Iterable[str]) -> str:
    """Return a page of parts that are HTML already."""
    yielded = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>",
    ]
    return "\n".join([*yielded, *parts, "</html>\n"])


def facts_html(named: Mapping[str, str]) -> str:
    """Return names and values as a table without headings."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in named.items())
    return f"<table>{rows}</table>"


def table_html(table: Table) -> Iterator[str]:
    """Yield the lines of a table under its title."""
    yield f"<h2>{escape(table.title)}</h2><table>"
    yield f"<tr>{''.join(f'<th>{escape(heading)}</th>' for heading in table.headings)}</tr>"
    for row in table.rows:
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
    yield "</table>"
