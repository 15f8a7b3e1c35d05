"""One HTML page without any reference outside itself: tables, plots and a gallery with an interactive viewer.

The page carries a content security policy that forbids every connection, so that it cannot load anything even by mistake. The viewer is
3Dmol.js (Rego and Koes 2015, 10.1093/bioinformatics/btu829; BSD-3-Clause), whose licence the page contains.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from molgen import __version__
from molgen.counting import counted
from molgen.evaluate.compare import Difference, groups_of, untested
from molgen.evaluate.run import Evaluation
from molgen.evaluate.score import Scores
from molgen.evaluate.summary import Summary
from molgen.evaluate.tables import GROUPS, Column, Group
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
    "agreement": "Bonds fit geometry",
    "posebusters": "PoseBusters",
    "mmff": "MMFF94 relaxation",
    "xtb": "GFN2-xTB properties",
    "xtb_relax": "GFN2-xTB relaxation",
    "homo_b3lyp": "HOMO by network",
}
"""Headings of the counted reasons, in the order in which they are shown."""

Differences = Mapping[tuple[int, str], Difference]
"""By place of the file and name of the figure."""
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; worker-src blob:"


def evaluation_page(evaluation: Evaluation) -> str:
    """The report of one file."""
    samples = evaluation.samples
    facts = [counted(samples.records, "record"), f"{samples.asked:,} asked for", f"scored in {samples.seconds:.0f} s"]
    facts += [f"{name}: {value}" for name, value in samples.run.items()]
    sections = [
        _headline(samples, evaluation.real),
        section("Figures", tables(groups_of([samples]), [samples], evaluation.real)),
        section("Requested and measured", request_plots(evaluation)),
        section("Why checks failed", _reasons(samples)),
        section("Distributions", distribution_plots([(samples.name, evaluation.tally)], evaluation.reference)),
    ]
    kept = evaluation.tally.kept
    shown = f"The first {len(kept):,} of {counted(samples.records, 'record')}." if len(kept) < samples.records else "All records."
    return _page(f"Evaluation of {samples.name}", facts, samples.notes, "".join(sections), kept, shown)


def gallery_page(name: str, kept: list[Scores], more: bool) -> str:
    """The gallery alone; ``more`` says that the file has further records."""
    broken = sum(scores.molecule is None for scores in kept)
    which = f"{broken} of the first {len(kept)} records" if len(kept) > 1 else "the first record"
    notes = [f"{which} {'holds no molecule and is' if broken == 1 else 'hold no molecule and are'} not shown"] if broken else []
    first = f"first {len(kept):,} records" if len(kept) > 1 else "first record"
    shown = f"The {first} of the file; it has more." if more else "All records."
    return _page(name, [counted(len(kept), "record")], notes, "", kept, shown)


def comparison_page(evaluations: Sequence[Evaluation], differences: Differences) -> str:
    """Files beside each other, compared with the first, their distributions overlaid."""
    summaries = [evaluation.samples for evaluation in evaluations]
    facts = [f"compared with {summaries[0].name}", "▲ better, ▼ worse, ◆ different: p < 0.05, adjusted by Holm for all comparisons"]
    notes = [f"{summary.name}: {note}" for summary in summaries for note in summary.notes]
    notes += untested(summaries, differences, groups_of(summaries))
    plots = distribution_plots([(one.samples.name, one.tally) for one in evaluations], evaluations[0].reference)
    figures = tables(groups_of(summaries), summaries, evaluations[0].real, differences)
    title = "Comparison of " + ", ".join(summary.name for summary in summaries)
    return _page(title, facts, notes, section("Figures", figures) + section("Distributions", plots), [], "")


def tables(
    groups: Iterable[Group], samples: Sequence[Summary], real: Summary | None, differences: Differences = MappingProxyType({})
) -> str:
    """HTML of all tables that have a figure of the samples, and what their columns mean; differences are marked."""
    shown = [group for group in groups if group.shown(samples)]
    content = "".join(f"<h3>{escape(group.title)}</h3>{_table(group, samples, real, differences)}" for group in shown)
    return content + _glossary(shown)


def _glossary(groups: list[Group]) -> str:
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


def _table(group: Group, samples: Sequence[Summary], real: Summary | None, differences: Differences) -> str:
    columns, body = group.shown(samples), ""
    head = "".join(f'<th scope="col" title="{escape(column.meaning)}">{escape(column.heading)}</th>' for column in columns)
    for place, label, row in group.rows(samples, real):
        cells = "".join(f"<td>{_cell(column, row)}{_mark(differences.get((place, column.name)), column)}</td>" for column in columns)
        name = f"{escape(label)} ({row.records:,}) {group.origin(row)}".rstrip()
        body += f'<tr><th scope="row">{name}</th>{cells}</tr>'
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(column: Column, row: Summary) -> str:
    """Value and interval as HTML."""
    value, interval = column.parts(row)
    return f"<b>{value}</b><br><small>{interval}</small>" if interval else f"<b>{value}</b>"


def _mark(difference: Difference | None, column: Column) -> str:
    """A sign with the p-value for a significant difference."""
    if difference is None or not difference.significant:
        return ""
    sign, kind = {True: ("▲", "better"), False: ("▼", "worse"), None: ("◆", "different")}[difference.better]
    digits = column.digits + (2 if column.unit == "%" else 0)
    return f' <span class="{kind}" title="difference {difference.value:+.{digits}f}, p = {difference.p:.2g}">{sign}</span>'


def _headline(samples: Summary, real: Summary | None) -> str:
    """The figures that matter most, large, with those of real molecules below them."""
    columns = {column.name: column for group in GROUPS for column in group.columns}
    boxes = []
    for name, caption in HEADLINE.items():
        column = columns[name]
        value, interval = column.parts(samples)
        if value == "-":
            continue
        beside = column.parts(real)[0] if real else "-"
        real_value = f" · real {beside}" if beside != "-" else ""
        boxes.append(f"<div><b>{value}</b> {escape(column.unit)}<br>{escape(caption)}<br><small>{interval}{real_value}</small></div>")
    return f'<div class="headline">{"".join(boxes)}</div>'


def _reasons(summary: Summary) -> str:
    parts = []
    order = list(CHECK_NAMES)
    for check, counts in sorted(summary.reasons.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)):
        rows = "".join(f"<li><b>{count:,}</b> {escape(reason)}</li>" for reason, count in list(counts.items())[:12])
        more = f"<li>and {len(counts) - 12} more reasons</li>" if len(counts) > 12 else ""
        parts.append(f"<div><h3>{escape(CHECK_NAMES.get(check, check.replace('_', ' ')))}</h3><ul>{rows}{more}</ul></div>")
    return f'<div class="reasons">{"".join(parts)}</div>' if parts else ""


def section(title: str, content: str) -> str:
    """A part of a page, "" without content."""
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
    explained = "<p>Brackets hold 95 % intervals, exact ones of shares and resampled ones of all else.</p>" if intervals else ""
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
