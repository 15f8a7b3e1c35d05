"""The page of a comparison: one table for each group of figures, distributions overlaid."""

from molgen.evaluate.compare import Difference, groups_of
from molgen.evaluate.run import Evaluation
from molgen.evaluate.tables import Column
from molgen.report.figures import distribution_plots
from molgen.report.page import cell, comparison_page, table


def comparison(evaluations: list[Evaluation], differences: dict[tuple[int, str], Difference]) -> str:
    """HTML of a comparison of all files with the first."""
    summaries = [evaluation.samples for evaluation in evaluations]
    real = evaluations[0].real
    tables = []
    for group in groups_of(summaries):
        columns = group.shown(summaries)
        if not columns:
            continue
        rows = [(f"real: {real.name} ({real.records:,})", [cell(column, real) for column in columns])] if real else []
        for number, summary in enumerate(summaries):
            cells = [cell(column, summary) + _mark(differences.get((number, column.name)), column) for column in columns]
            rows.append((f"{summary.name} ({summary.records:,})", cells))
        tables.append((group, table(columns, rows)))
    for evaluation, summary in zip(evaluations, summaries, strict=True):
        evaluation.tally.name = summary.name
    facts = [f"compared with {summaries[0].name}", "▲ better, ▼ worse, ◆ different: p < 0.05, adjusted by Holm for all comparisons"]
    notes = [f"{summary.name}: {note}" for summary in summaries for note in summary.notes]
    plots = distribution_plots([evaluation.tally for evaluation in evaluations], evaluations[0].reference)
    return comparison_page("Comparison of " + ", ".join(summary.name for summary in summaries), facts, notes, tables, plots)


def _mark(difference: Difference | None, column: Column) -> str:
    """A sign with the p-value for a significant difference."""
    if difference is None or not difference.p < 0.05:
        return ""
    sign, kind = {True: ("▲", "better"), False: ("▼", "worse"), None: ("◆", "different")}[difference.better]
    digits = column.digits + (2 if column.unit == "%" else 0)
    return f' <span class="{kind}" title="difference {difference.value:+.{digits}f}, p = {difference.p:.2g}">{sign}</span>'
