"""``molgen predict``: what the estimators of a model say about given molecules, and how well."""

import math
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from molgen.cli.constraining import refuse_input, tell_changes
from molgen.cli.progress import track
from molgen.cli.reasons import tell_left_out
from molgen.counting import counted
from molgen.errors import InputError
from molgen.molecules.formats import file_format
from molgen.tags import DEVIATION, PREDICTED

if TYPE_CHECKING:
    from molgen.evaluate.data import Source
    from molgen.molecules.given import Changes, Record
    from molgen.molecules.molecule import Molecule
    from molgen.sample import Model
    from molgen.sample.prediction import Estimate

TOGETHER = 256
"""Molecules read at once."""


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--estimator", "estimators", multiple=True, type=click.Path(), metavar="RUN", help="Run of `molgen train estimator`; repeatable."
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write: .sdf, .xyz, .csv or .tsv, each also with .gz.")
@click.option("--largest-fragment", is_flag=True, help="Take the largest fragment of every molecule, not salts; it keeps its charge.")
@click.option("--device", help="torch device; default the GPU if there is one.")
def command(model: str, file: Path, estimators: tuple[str, ...], out: Path | None, largest_fragment: bool, device: str | None) -> None:
    """Predict properties of the molecules of FILE by the estimators of MODEL.

    FILE is SDF, XYZ, a prepared data set, or a list of SMILES (.smi, .csv, .tsv), of which conformers are made, as of flat drawings.
    Hydrogens that a file lacks are added. Records of --out carry `predicted_NAME` and its standard deviation `deviation_NAME`. Where FILE
    knows a property, the predictions are compared with it; molecules that the estimator was trained on do not count. Records that cannot
    be read are named and left out; in a table (.csv, .tsv) they have a row without predictions.
    """
    from molgen.agreement import Agreement
    from molgen.evaluate.data import open_source
    from molgen.molecules.export import open_writer
    from molgen.molecules.given import Changes
    from molgen.molecules.measure import number_of
    from molgen.sample import load

    source = open_source(file, "valid", lists=True)
    if out is not None:
        refuse_input(out, file)
        if file_format(out) == "smi":
            raise InputError(f"{out}: SMILES files carry no properties; use .sdf, .xyz, .csv or .tsv")
    network = load(model, device, estimators)
    if not network.checkpoint.estimators:
        raise InputError(f"{model}: has no estimator; train one by `molgen train estimator` and give it by --estimator")
    members = [member for one in network.checkpoint.estimators for member in one.members.values()]
    found = {member.name: Agreement(member.unit, member.mean) for member in members}
    largest = min(max(one.statistics.sizes) for one in network.checkpoint.estimators)
    began, left_out, seen, count, large, changes = time.perf_counter(), list[str](), 0, 0, 0, Changes(source.name)
    with open_writer(out) if out is not None else nullcontext() as writer:
        numbered = enumerate(track(_records(source, network, largest_fragment), "predict", source.count()), 1)
        while some := list(islice(numbered, TOGETHER)):
            read = [(record, _molecule(record, number, source.name, network, largest_fragment, changes)) for number, record in some]
            told = iter(network.predict([molecule for _, molecule in read if not isinstance(molecule, str)]))
            for record, molecule in read:
                changes.isotopes += record.isotopes and not isinstance(molecule, str)
                if isinstance(molecule, str):
                    left_out.append(molecule)
                    if writer is not None:
                        writer.skip(record.written, record.properties)
                    continue
                estimates = next(told)
                known = {name: value for name in found if not math.isnan(value := number_of(molecule, name))}
                trained = _trained_on(molecule, network, known)
                for name, (value, deviation) in estimates.items():
                    found[name].add(value, deviation, math.nan if name in trained else known.get(name, math.nan))
                seen, count, large = seen + bool(trained), count + 1, large + (len(molecule) > largest)
                if writer is not None:
                    writer.write(replace(molecule, properties={**molecule.properties, **_tags(estimates)}), record.smiles)
        if not count:
            raise InputError(f"{file}: no molecule that {model} can read ({left_out[0] if left_out else 'it is empty'}); check the file")
    apart = f", {seen} of them trained on, which do not count below" * bool(seen)
    click.echo(f"{out or file}: {counted(count, 'molecule')}{apart}, {time.perf_counter() - began:.1f} s")
    for name, agreement in reversed(found.items()):  # those of the given estimators first
        click.echo(f"  {name}: {agreement.line()}")
    if large:
        click.echo(f"  {large} have more than the {largest} atoms of what was learned from: predictions and deviations mean little there")
    tell_changes(changes)
    tell_left_out(left_out)


def _records(source: "Source", network: "Model", largest: bool) -> "Iterator[Record]":
    """All records of a file in order."""
    from molgen.molecules.given import Record
    from molgen.molecules.listed import records_in
    from molgen.molecules.molecule import Molecule
    from molgen.molecules.vocabulary import Vocabulary

    statistics: Any = network.checkpoint.statistics
    if source.folder is None:
        yield from records_in(source.path, source.format, Vocabulary.of(statistics), largest)
    else:
        yield from (Record(item, item.properties) for item in source.items() if isinstance(item, Molecule))


def _molecule(record: "Record", number: int, file: str, network: "Model", largest: bool, changes: "Changes") -> "Molecule | str":
    """What the model reads of a record, or which record it is and what is wrong with it."""
    from molgen.molecules.bonds import bonded
    from molgen.molecules.listed import told
    from molgen.molecules.molecule import Molecule
    from molgen.molecules.reading import whole

    statistics: Any = network.checkpoint.statistics
    try:
        if isinstance(record.found, str):
            return told(f"{file} record {number}", record.title, record.smiles, record.found)
        if isinstance(record.found, Molecule):
            record = replace(record, found=bonded(record.found))
        return whole(record, told(f"{file} record {number}", record.title, record.smiles, ""), changes, statistics, largest)
    except InputError as error:
        return str(error)
    except ValueError as error:
        return told(f"{file} record {number}", record.title, record.smiles, str(error))


def _trained_on(molecule: "Molecule", network: "Model", names: "Collection[str]") -> set[str]:
    """Those of the properties whose estimator has the molecule in its training data, as far as it says what these are."""
    from molgen.known import fingerprint
    from molgen.molecules.metrics.validity import validity

    if not names:
        return set()
    own = fingerprint(str(validity(molecule)["smiles"]))
    taught = [one for one in network.checkpoint.estimators if one.known is not None and own in one.known]
    return {name for one in taught for name in one.names if name in names}


def _tags(estimates: "Mapping[str, Estimate]") -> dict[str, float]:
    """Tags of a record with these predictions."""
    tags = {f"{PREDICTED}{name}": value for name, (value, _) in estimates.items()}
    tags |= {f"{DEVIATION}{name}": deviation for name, (_, deviation) in estimates.items()}
    return {name: float(f"{value:.6g}") for name, value in tags.items()}
