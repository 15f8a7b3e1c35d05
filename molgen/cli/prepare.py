"""`molgen prepare`: files of molecules or shapes -> a packed data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.domains import ByDomain, kind_of_data
from molgen.cli.options import listed
from molgen.cli.preparing import preparation_options, report_records, split_name
from molgen.cli.progress import progress_bar, shown
from molgen.cli.stopping import apart
from molgen.counting import counted
from molgen.errors import InputError

if TYPE_CHECKING:
    from molgen.molecules.prepare import Labels, Source, Summary
    from molgen.packing import Split


@click.command(
    cls=ByDomain,
    others={"shape": "molgen.cli.prepare_shapes"},
    kind_of=kind_of_data,
    short_help="Turn molecule files or meshes into a packed data set.",
)
@click.argument("source")
@preparation_options(official="QM9: 100,000 / 17,748 / 13,083", drawn="conformers")
@click.option(
    "--label",
    "names",
    multiple=True,
    callback=listed,
    help="Label from SD tags, CSV columns or XYZ comments; repeatable. Commas separate names, except in double quotes.",
)
@click.option(
    "--compute", "computed", multiple=True, callback=listed, help="Label to compute: logp, qed, tpsa, mw, sa, heavy, ...; repeatable."
)
@click.option("--csv", "table", type=click.Path(path_type=Path), help="Table (.csv, .tsv, also .gz) with labels of the records.")
@click.option("--csv-key", help="Its column with the name of the record, or with the SD tag of that name (default: the first column).")
@click.option("--require-labels", is_flag=True, help="Stop at the first record without a label instead of dropping it.")
@click.option("--allow-missing", is_flag=True, help="Keep records without a label; training ignores what is missing.")
@click.option(
    "--unit",
    "units",
    multiple=True,
    help="Unit of a label in the files, NAME=kcal/mol; of properties that molgen measures converted; repeatable.",
)
@click.option("--no-hydrogens", is_flag=True, help="Drop all hydrogen atoms.")
@click.option("--add-hydrogens", is_flag=True, help="Place hydrogens that records lack at idealised positions.")
@click.option("--largest-fragment", is_flag=True, help="Keep the largest fragment of every record, without salts and solvents.")
@click.option("--for", "model", metavar="MODEL", help="Reject molecules that this model, such as leads, cannot represent.")
def command(
    source: str,
    out: Path,
    division: str | None,
    root: Path | None,
    licence: str,
    workers: int | None,
    seed: int,
    names: tuple[str, ...],
    computed: tuple[str, ...],
    table: Path | None,
    csv_key: str | None,
    require_labels: bool,
    allow_missing: bool,
    units: tuple[str, ...],
    no_hydrogens: bool,
    add_hydrogens: bool,
    largest_fragment: bool,
    model: str | None,
) -> None:
    """Turn SOURCE into one packed data set with its statistics and a card.

    Molecules: an .sdf, .sdf.gz or .mol file, an .xyz file or a folder of them (bonds are perceived), a list of SMILES
    (.smi, or .csv and .tsv with a column 'smiles', or one whose name contains that; conformers are made), or the word qm9.

    Shapes: a folder of meshes (.off, .obj, .ply, .stl, .glb) or clouds (.npy, .npz, .ply; the class is the name of the folder), an
    .npz or .npy file of point clouds, or one of the words procedural (furniture, vessels, vehicles), modelnet and shapenet.

    Records that cannot be used are counted by reason. Finished work is kept in OUT.partial until the data set is complete:
    after Ctrl-C the same command continues where it stopped.
    """
    if no_hydrogens and add_hydrogens:
        raise click.UsageError("--no-hydrogens and --add-hydrogens exclude each other")
    if require_labels and allow_missing:
        raise click.UsageError("--require-labels and --allow-missing exclude each other")
    from molgen.molecules.prepare import open_source, prepare
    from molgen.molecules.prepare.fit import Fit
    from molgen.workers import available_cores

    fit = None
    if model is not None:
        from molgen.checkpoint import load_statistics

        fit = Fit.of(model, load_statistics(model))
    opened = open_source(source, root, seed)
    labels = _labels(names, computed, table, csv_key, allow_missing, _units(opened, units, names))
    workers = workers or available_cores()
    with progress_bar("molecules") as bar, apart(workers == 1):
        summary = prepare(
            opened,
            out,
            labels,
            hydrogens=not no_hydrogens,
            complete=add_hydrogens,
            largest=largest_fragment,
            fit=fit,
            require_labels=require_labels,
            split=_split(opened, division, seed),
            split_name=split_name(division, seed),
            licence=licence or ("CC0-1.0" if source == "qm9" else ""),
            workers=workers,
            progress=shown(bar),
        )
    _report(summary, out, labels)


def _labels(
    names: tuple[str, ...], computed: tuple[str, ...], table: Path | None, key: str | None, allow_missing: bool, units: dict[str, str]
) -> "Labels":
    from molgen.molecules.prepare import Labels, read_table

    if key and table is None:
        raise click.UsageError("--csv-key needs --csv FILE")
    return Labels(names, computed, read_table(table, key, names) if table is not None else None, allow_missing, units)


def _split(source: "Source", division: str | None, seed: int) -> "Split":
    from molgen.molecules.prepare.qm9 import Qm9, official_split
    from molgen.packing import by_fraction, by_record, whole

    if division is None:
        return whole
    if division != "official":
        return by_fraction(division, seed)
    if not isinstance(source, Qm9):
        raise InputError("--split official: only the source qm9 has an official split; give fractions such as 0.8,0.1,0.1")
    return by_record(official_split(source.records, source.excluded))


def _units(source: "Source", given: tuple[str, ...], names: tuple[str, ...]) -> dict[str, str]:
    from molgen.molecules.prepare.qm9 import Qm9, units

    found = {name: unit for name, unit in units().items() if name in names} if isinstance(source, Qm9) else {}
    for text in given:
        name, equals, unit = text.partition("=")
        if not (name and equals):
            raise InputError(f"--unit {text}: expected NAME=UNIT, such as gap=eV")
        if name in found:
            raise InputError(f"--unit {text}: {name} is known to be in {found[name]}; leave it out")
        found[name] = unit
    return found


def _report(summary: "Summary", out: Path, labels: "Labels") -> None:
    report_records(summary, out, summary.fixes)
    if summary.isotopes:
        click.echo(f"  isotope labels of {counted(summary.isotopes, 'molecule')} are not kept")
    if summary.ions:
        said = "training on them needs fields.valence=0, and samples that are ions come with --keep-invalid alone (docs/finetuning.md)"
        click.echo(f"  {counted(summary.ions, 'molecule')} with a total charge: {said}")
    for name, count in summary.replaced.items():
        if count and labels.table is not None:
            records = counted(count, "record")
            click.echo(f"  label {name}: the values of {labels.table.path} are taken for {records} with a tag of that name")
    for (name, (count, spread)), (_, unit) in zip(summary.conflicts.items(), labels.columns_with_units, strict=False):
        if count:
            apart = f"{spread:.4g} {unit}".rstrip()
            click.echo(f"  label {name}: {counted(count, 'molecule')} more than once, stereo aside, with values up to {apart} apart")
    for part, found in summary.statistics.items():
        sizes = [int(size) for size in found["sizes"]]
        molecules = counted(found["num_molecules"], "molecule")
        click.echo(
            f"  {part or 'all'}: {molecules}{_repeats(summary, part)} of {min(sizes)} to {max(sizes)} atoms, "
            f"elements {' '.join(_symbols(found['elements']))}, charges {' '.join(f'{charge:+d}' for charge in found['charges'])}"
        )
        for label in found["labels"]:
            unit = f" {label['unit']}" if label["unit"] else ""
            click.echo(f"    {label['name']}: {label['mean']:.4g} ± {label['std']:.4g}{unit} ({counted(label['count'], 'value')})")
    for label in next(iter(summary.statistics.values()))["labels"]:
        for line in _doubts(label, labels.units.get(label["name"], "")):
            click.echo(f"molgen: warning: {line}", err=True)


def _doubts(label: "Mapping[str, Any]", told: str) -> list[str]:
    """What is strange about a label, by its statistics and the unit that it was converted from."""
    from molgen.molecules.units import doubt

    name, count = label["name"], label["count"]
    if not count:
        return [f"label {name}: no molecule has it; check its name"]
    found = [doubt(name, label["mean"], told)]
    if label["min"] == label["max"]:
        alone = "one molecule alone has it" if count == 1 else f"all molecules that have it have {label['mean']:.4g}"
        found.append(f"label {name}: {alone}; no model can learn it, check the values or leave it out")
    return [line for line in found if line]


def _repeats(summary: "Summary", part: str) -> str:
    """How many molecules are different, where some are not, and how many the first part has as well, where some are."""
    different, first = summary.different[part], next(iter(summary.statistics))
    said = [f"{different} different"] if different < summary.statistics[part]["num_molecules"] else []
    said += [f"{summary.shared[part]} of them also in {first}"] if summary.shared[part] else []
    return f" ({', '.join(said)})" if said else ""


def _symbols(numbers: list[int]) -> list[str]:
    from molgen.molecules.metrics.elements import SYMBOLS

    return [SYMBOLS[number] for number in numbers]
