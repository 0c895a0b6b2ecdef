"""Charts that actors contribute to a run's report, and the report itself: one self-contained HTML page."""

from __future__ import annotations

import base64
import html
import re
from typing import TYPE_CHECKING, Any, Final, Literal, final

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SVG_HEAD: Final = re.compile(rb"<\?xml.*?\?>|<!DOCTYPE[^>]*>", re.DOTALL)


@final
class Chart(Struct, frozen=True):
    """A picture or table for the report.

    Attributes:
        title: What it shows.
        caption: How to read it, a sentence or two.
        picture: An SVG or PNG file's content, or None.
        form: Which of the two the picture is.
        rows: A table: the first row is its head.
    """

    title: str
    caption: str = ""
    picture: bytes | None = None
    form: Literal["svg", "png"] = "svg"
    rows: tuple[tuple[str, ...], ...] = field(default=())


@final
class Report(Struct, frozen=True):
    """What a finished run tells.

    Attributes:
        title: Name of the scenario.
        summary: What the scenario is about.
        passed: Whether all expectations hold.
        facts: Seed, ticks, digest and the like, in order.
        figures: The scenario's own figures by actor and name.
        expectations: (figure, what was expected, what came, whether it holds).
        charts: Pictures and tables as HTML, made by `render_chart`.
        troubles: What could not be told, as sentences.
    """

    title: str
    summary: str
    passed: bool
    facts: Mapping[str, str]
    figures: Mapping[str, Any]
    expectations: Sequence[tuple[str, str, str, bool]]
    charts: Iterable[str]
    troubles: Sequence[str] = ()


def render(report: Report) -> str:
    """Return the report as one HTML page that needs nothing else."""
    verdict = "passed" if report.passed else "failed"
    sections = [
        f"<header><h1>{_text(report.title)}</h1><p class='summary'>{_text(report.summary)}</p></header>",
        _table("Run", [("", ""), *report.facts.items()]),
    ]
    if report.expectations:
        rows = [(name, want, got, "yes" if holds else "NO") for name, want, got, holds in report.expectations]
        sections.append(_table(f"Expectations: {verdict}", [("figure", "expected", "got", "holds"), *rows]))
    if report.figures:
        rows_of_figures = [(name, _number(value)) for name, value in report.figures.items()]
        sections.append(_table("Figures", [("figure", "value"), *rows_of_figures]))
    if report.troubles:
        sections.append(_table("What could not be told", [("", ""), *(("", each) for each in report.troubles)]))
    sections += report.charts
    return _PAGE.format(title=_text(report.title), verdict=verdict, body="\n".join(sections))


def render_chart(path: str, chart: Chart) -> str:
    """Return a chart of the actor at `path` as HTML."""
    parts = [f"<section><h2>{_text(chart.title)} <small>{_text(path)}</small></h2>"]
    if chart.picture is not None and chart.form == "svg":
        parts.append(f"<figure>{_SVG_HEAD.sub(b'', chart.picture).decode()}</figure>")
    elif chart.picture is not None:
        data = base64.b64encode(chart.picture).decode()
        parts.append(f"<figure><img alt='{_text(chart.title)}' src='data:image/png;base64,{data}'></figure>")
    if chart.rows:
        parts.append(_rows(chart.rows))
    if chart.caption:
        parts.append(f"<p class='caption'>{_text(chart.caption)}</p>")
    return "\n".join([*parts, "</section>"])


def _table(title: str, rows: Sequence[Sequence[str]]) -> str:
    return f"<section><h2>{_text(title)}</h2>{_rows(rows)}</section>"


def _rows(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["<table>"]
    if any(head):
        lines.append("<tr>" + "".join(f"<th>{_text(cell)}</th>" for cell in head) + "</tr>")
    lines += ["<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return "\n".join([*lines, "</table>"])


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: {verdict}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --soft: #8882; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.7rem; margin: 0; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
h2 small {{ font-weight: normal; opacity: .6; }} .summary, .caption {{ opacity: .8; max-width: 46rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
td, th {{ border-bottom: 1px solid var(--line); padding: .2rem .9rem .2rem 0; text-align: left; }}
figure {{ margin: 0; background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .5rem; }}
figure svg, figure img {{ display: block; max-width: 100%; height: auto; margin: auto; }}
td:nth-child(2) {{ font-family: ui-monospace, monospace; overflow-wrap: anywhere; }}
</style></head>
<body>
{body}
</body></html>
"""
