"""One HTML page without any reference outside itself: tables, plots and a gallery with an interactive viewer.

The page carries a content security policy that forbids every connection, so that it cannot load anything even by mistake. The viewer is
3Dmol.js (Rego and Koes 2015, 10.1093/bioinformatics/btu829; BSD-3-Clause), whose licence the page contains.
"""

from html import escape
from importlib.resources import files
from pathlib import Path

from molgen import __version__
from molgen.evaluate.run import Evaluation
from molgen.evaluate.score import Scores
from molgen.evaluate.summary import Summary
from molgen.evaluate.tables import GROUPS, Column, Group, request_groups
from molgen.files import atomic_path
from molgen.report.figures import distribution_plots, request_plots
from molgen.report.gallery import gallery_data

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; worker-src blob:"


def evaluation_page(evaluation: Evaluation) -> str:
    """The report of one file."""
    samples = evaluation.samples
    rows = [row for row in (evaluation.real, samples) if row is not None]
    facts = [f"{samples.records:,} records", f"{samples.asked:,} asked for", f"scored in {samples.seconds:.0f} s"]
    facts += [f"{name}: {value}" for name, value in samples.run.items()]
    sections = [
        _section(group.title, _table(group, rows, evaluation.real))
        for group in (*GROUPS, *request_groups(samples))
        if group.shown([samples])
    ]
    sections.append(_section("Requested and measured", request_plots(evaluation)))
    sections.append(_section("Why checks failed", _reasons(samples)))
    sections.append(_section("Distributions", distribution_plots([evaluation.tally], evaluation.reference)))
    return _page(f"Evaluation of {samples.name}", facts, samples.notes, "".join(sections), evaluation.tally.kept, samples.records)


def gallery_page(name: str, kept: list[Scores], records: int) -> str:
    """The gallery alone."""
    broken = sum(scores.molecule is None for scores in kept)
    notes = [f"{broken} of the first {len(kept)} records hold no molecule and are not shown"] if broken else []
    return _page(name, [f"{records:,} records"], notes, "", kept, records)


def comparison_page(title: str, facts: list[str], notes: list[str], tables: list[tuple[str, str]], plots: str) -> str:
    """Several files beside each other; tables as (title, HTML)."""
    sections = "".join(_section(heading, table) for heading, table in tables) + _section("Distributions", plots)
    return _page(title, facts, notes, sections, [], 0)


def write_page(path: Path, page: str) -> None:
    """Writes a page, complete or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def table(headings: list[Column], rows: list[tuple[str, list[str]]]) -> str:
    """HTML of a table with cells that are already HTML."""
    head = "".join(f'<th scope="col" title="{escape(column.meaning)}">{escape(column.heading)}</th>' for column in headings)
    body = "".join(f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for name, cells in rows)
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(column: Column, summary: Summary) -> str:
    """Value and interval as HTML."""
    value, _, interval = column.text(summary.figures.get(column.name)).partition(" ")
    return f"<b>{value}</b><br><small>{interval}</small>" if interval else f"<b>{value}</b>"


def _table(group: Group, rows: list[Summary], real: Summary | None) -> str:
    columns = group.shown([row for row in rows if row is not real])
    named = [(f"real: {row.name} ({row.records:,})" if row is real else f"{row.name} ({row.records:,})", row) for row in rows]
    return table(columns, [(name, [cell(column, row) for column in columns]) for name, row in named])


def _reasons(summary: Summary) -> str:
    parts = []
    for check, counts in summary.reasons.items():
        rows = "".join(f"<li><b>{count:,}</b> {escape(reason)}</li>" for reason, count in list(counts.items())[:12])
        more = f"<li>and {len(counts) - 12} more reasons</li>" if len(counts) > 12 else ""
        parts.append(f"<div><h3>{escape(check.replace('_', ' '))}</h3><ul>{rows}{more}</ul></div>")
    return f'<div class="reasons">{"".join(parts)}</div>' if parts else ""


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _page(title: str, facts: list[str], notes: list[str], sections: str, kept: list[Scores], records: int) -> str:
    remarks = "".join(f"<p class='note'>{escape(note)}</p>" for note in notes)
    intervals = "<p>Brackets hold 95 % bootstrap intervals.</p>" if sections else ""
    gallery = ""
    if kept:
        shown = f"The first {len(kept):,} of {records:,} records." if len(kept) < records else "All records."
        gallery = asset("gallery.html").replace("{{shown}}", shown)
        gallery += f'<script type="application/json" id="molecules">{gallery_data(kept)}</script>'
        gallery += f"<script>{asset('3Dmol-min.js')}</script><script>{asset('gallery.js')}</script>"
        gallery += f"<details><summary>Licence of the viewer 3Dmol.js</summary><pre>{escape(asset('3Dmol-LICENSE.txt'))}</pre></details>"
    head = (
        f'<meta charset="utf-8"><title>{escape(title)}</title><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{asset('page.css')}</style>"
    )
    top = f"<h1>{escape(title)}</h1><p>{escape(' · '.join(facts))} · molgen {__version__}</p>{remarks}{intervals}"
    body = f"<header>{top}</header><main>{sections}{gallery}</main>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def asset(name: str) -> str:
    """Text of a file that ships with the report."""
    return files("molgen.report").joinpath("assets", name).read_text(encoding="utf-8")
