"""One HTML page without any reference outside itself: tables, plots and a gallery with an interactive viewer.

The page carries a content security policy that forbids every connection, so that it cannot load anything even by mistake. The viewer is
3Dmol.js (Rego and Koes 2015, 10.1093/bioinformatics/btu829; BSD-3-Clause), whose licence the page contains.
"""

import re
from html import escape
from importlib.resources import files
from pathlib import Path

from molgen import __version__
from molgen.evaluate.run import Evaluation
from molgen.evaluate.score import Scores
from molgen.evaluate.summary import Summary
from molgen.evaluate.tables import GROUPS, Column, Group, request_groups
from molgen.files import atomic_path, encodable
from molgen.report.figures import distribution_plots, request_plots
from molgen.report.gallery import gallery_data

HEADLINE = {
    "p2s_stable": "stable, strict (P2s)",
    "valid_unique": "valid and unique",
    "valid_unique_novel": "valid, unique and novel",
    "p1_stable": "stable by distances (P1)",
    "bond_lengths_w1": "bond lengths, W1",
    "mmff_drop": "MMFF94 energy drop",
}
"""Figures at the top of a report, with their captions."""
CHECK_NAMES = {
    "record": "Record",
    "p2s": "Stability, strict (P2s)",
    "valid": "Validity",
    "p1": "Stability by distances (P1)",
    "p1_valid": "Validity by distances (P1)",
    "p2": "Stability, lenient (P2)",
    "geometry": "Geometry",
    "perception": "Bonds from the geometry",
    "posebusters": "PoseBusters",
    "mmff": "MMFF94 relaxation",
    "xtb": "GFN2-xTB properties",
    "xtb_relax": "GFN2-xTB relaxation",
    "homo_b3lyp": "HOMO by network",
}
"""Headings of the counted reasons, in the order in which they are shown."""

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; worker-src blob:"


def evaluation_page(evaluation: Evaluation) -> str:
    """The report of one file."""
    samples = evaluation.samples
    rows = [row for row in (evaluation.real, samples) if row is not None]
    facts = [f"{samples.records:,} records", f"{samples.asked:,} asked for", f"scored in {samples.seconds:.0f} s"]
    facts += [f"{name}: {value}" for name, value in samples.run.items()]
    groups = [group for group in (*GROUPS, *request_groups(samples)) if group.shown([samples])]
    tables = "".join(f"<h3>{escape(group.title)}</h3>{_table(group, rows, evaluation.real)}" for group in groups)
    sections = [
        _headline(samples, evaluation.real),
        _section("Figures", tables + glossary(groups)),
        _section("Requested and measured", request_plots(evaluation)),
        _section("Why checks failed", _reasons(samples)),
        _section("Distributions", distribution_plots([evaluation.tally], evaluation.reference)),
    ]
    kept = evaluation.tally.kept
    shown = f"The first {len(kept):,} of {samples.records:,} records." if len(kept) < samples.records else "All records."
    return _page(f"Evaluation of {samples.name}", facts, samples.notes, "".join(sections), kept, shown)


def gallery_page(name: str, kept: list[Scores], more: bool) -> str:
    """The gallery alone; ``more`` says that the file has further records."""
    broken = sum(scores.molecule is None for scores in kept)
    notes = [f"{broken} of the first {len(kept)} records hold no molecule and are not shown"] if broken else []
    shown = f"The first {len(kept):,} records of the file; it has more." if more else "All records."
    return _page(name, [f"{len(kept):,} records"], notes, "", kept, shown)


def comparison_page(title: str, facts: list[str], notes: list[str], tables: list[tuple[Group, str]], plots: str) -> str:
    """Several files beside each other; tables as (group, HTML)."""
    content = "".join(f"<h3>{escape(group.title)}</h3>{table}" for group, table in tables) + glossary([group for group, _ in tables])
    return _page(title, facts, notes, _section("Figures", content) + _section("Distributions", plots), [], "")


def glossary(groups: list[Group]) -> str:
    """What the columns of tables mean, as a list that opens on demand."""
    rows = "".join(
        f'<tr><th scope="row">{escape(column.heading)}</th><td>{escape(column.meaning)} <small>({escape(group.title)})</small></td></tr>'
        for group in groups
        for column in group.columns
        if column.meaning
    )
    return (
        f'<details class="glossary"><summary>What the columns mean</summary><table><tbody>{rows}</tbody></table></details>' if rows else ""
    )


def write_page(path: Path, page: str) -> None:
    """Writes a page, complete or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(encodable(page), encoding="utf-8")


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
    rows = [row for row in rows if row is not real or any(column.name in row.figures for column in columns)]
    named = [(f"real: {row.name} ({row.records:,})" if row is real else f"{row.name} ({row.records:,})", row) for row in rows]
    return table(columns, [(name, [cell(column, row) for column in columns]) for name, row in named])


def _headline(samples: Summary, real: Summary | None) -> str:
    """The figures that matter most, large, with those of real molecules below them."""
    columns = {column.name: column for group in GROUPS for column in group.columns}
    boxes = []
    for name, caption in HEADLINE.items():
        text = columns[name].text(samples.figures.get(name))
        if text == "-":
            continue
        value, _, interval = text.partition(" ")
        unit, beside = escape(columns[name].unit), columns[name].text(real.figures.get(name)).partition(" ")[0] if real else "-"
        real_value = f" · real {beside}" if beside != "-" else ""
        boxes.append(f"<div><b>{value}</b> {unit}<br>{escape(caption)}<br><small>{interval}{real_value}</small></div>")
    return f'<div class="headline">{"".join(boxes)}</div>'


def _reasons(summary: Summary) -> str:
    parts = []
    order = list(CHECK_NAMES)
    for check, counts in sorted(summary.reasons.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)):
        rows = "".join(f"<li><b>{count:,}</b> {escape(reason)}</li>" for reason, count in list(counts.items())[:12])
        more = f"<li>and {len(counts) - 12} more reasons</li>" if len(counts) > 12 else ""
        parts.append(f"<div><h3>{escape(CHECK_NAMES.get(check, check.replace('_', ' ')))}</h3><ul>{rows}{more}</ul></div>")
    return f'<div class="reasons">{"".join(parts)}</div>' if parts else ""


def _section(title: str, content: str) -> str:
    return f'<section id="{_anchor(title)}"><h2>{escape(title)}</h2>{content}</section>' if content else ""


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _page(title: str, facts: list[str], notes: list[str], sections: str, kept: list[Scores], shown: str) -> str:
    gallery = ""
    if kept:
        gallery = asset("gallery.html").replace("{{shown}}", shown)
        gallery += f'<script type="application/json" id="molecules">{gallery_data(kept)}</script>'
        gallery += f"<script>{asset('3Dmol-min.js')}</script><script>{asset('gallery.js')}</script>"
        gallery += f"<details><summary>Licence of the viewer 3Dmol.js</summary><pre>{escape(asset('3Dmol-LICENSE.txt'))}</pre></details>"
    return document(title, facts, notes, sections + gallery, intervals=bool(sections))


def document(title: str, facts: list[str], notes: list[str], content: str, *, intervals: bool) -> str:
    """A whole page around content that is already HTML; ``intervals`` says that its tables hold some."""
    remarks = "".join(f"<p class='note'>{escape(note)}</p>" for note in notes)
    explained = "<p>Brackets hold 95 % bootstrap intervals.</p>" if intervals else ""
    head = (
        f'<meta charset="utf-8"><title>{escape(title)}</title><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{asset('page.css')}</style>"
    )
    found = re.findall('<section id="([^"]*)"[^>]*>\\s*<h2>([^<]*)</h2>', content)
    links = "".join(f'<a href="#{anchor}">{heading}</a>' for anchor, heading in found)
    navigation = f"<nav>{links}</nav>" if len(found) > 1 else ""
    top = f"<h1>{escape(title)}</h1><p>{escape(' · '.join(facts))} · molgen {__version__}</p>{remarks}{explained}{navigation}"
    body = f"<header>{top}</header><main>{content}</main>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def asset(name: str) -> str:
    """Text of a file that ships with the report."""
    return files("molgen.report").joinpath("assets", name).read_text(encoding="utf-8")
