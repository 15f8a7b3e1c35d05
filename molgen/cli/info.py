"""``molgen info``: what this installation has, or what a folder holds.

Reads only the small files of a folder (statistics.json, card.yaml, config.yaml, training.npy), never its arrays or weights.
"""

import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from molgen import __version__
from molgen.cli.domains import kind_of_data, kind_of_model
from molgen.cli.progress import track
from molgen.errors import InputError
from molgen.files import exists, require_regular
from molgen.models import find_model, models_that_ship
from molgen.molecules.formats import LISTS, file_format
from molgen.trees import Unreadable, parse_json, parse_yaml, read_text

Row = tuple[str, str]
"""A name and what is printed behind it."""


@click.command()
@click.argument("path", required=False)
def command(path: str | None) -> None:
    """Describe this installation, or PATH: a prepared data set, a run, a model, or a file of molecules or shapes."""
    place = None if path is None else _find(path)
    rows = _installation() if place is None else _file(place) if place.is_file() else _folder(place)
    for name, value in list(rows):  # all or nothing: an error leaves no half description behind
        click.echo(f"{name + ':':<16} {value}".rstrip())


def _installation() -> Iterator[Row]:
    """Versions, device and the models that ship."""
    import torch

    yield "molgen", __version__
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "torch", f"{torch.__version__}, {torch.get_num_threads()} CPU threads"
    yield "device", f"cuda, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "cpu"
    yield "rdkit", version("rdkit")
    models = models_that_ship()
    if not models:
        yield "models", "none ship with this installation"
    for name, folder in models.items():
        card = _card(folder)
        yield f"model {name}", str(card.get("description", "")).strip() or str(folder)
        for figure, value in _flat(card.get("figures") or {}):
            yield f"  {figure}", value


def _find(path: str) -> Path:
    """Resolves a file or folder, or the name of a model that ships."""
    folder = Path(path)
    if folder.is_dir():
        return folder
    if (model := find_model(path, hidden=True)) is not None:
        return model
    if exists(folder):
        require_regular(folder)
        return folder
    raise InputError(f"{path}: neither a file nor a folder nor a model that ships ({', '.join(models_that_ship()) or 'none do'})")


def _folder(folder: Path) -> Iterator[Row]:
    """Chooses the description by what lies in the folder."""
    from molgen.known import Known
    from molgen.shapes.recognise import find_all, holds_shapes

    splits = [folder / name for name in ("train", "valid", "test") if (folder / name / "statistics.json").is_file()]
    if (folder / "statistics.json").is_file() and any((folder / name).is_file() for name in ("positions.npy", "points.npy")):
        yield from _dataset(folder)
    elif splits:
        for split in splits:
            yield "split", split.name
            yield from _dataset(split)
    elif (folder / "config.yaml").is_file() or (folder / "card.yaml").is_file():
        yield "folder", str(folder)
        checkpoints = sorted(str(path.parent.relative_to(folder)) for path in folder.glob("**/*.safetensors"))
        yield "weights", ", ".join(dict.fromkeys(checkpoints)) or "none yet"
        if (known := Known.load(folder)) is not None:
            yield "trained on", f"{len(known):,} different molecules"
        yield from _abilities(folder)
        for name in ("card.yaml", "config.yaml"):
            if (folder / name).is_file():
                yield from ((f"{name.removesuffix('.yaml')} {key}", value) for key, value in _flat(_yaml(folder / name)))
    elif holds_shapes(folder):
        files = find_all(folder)
        yield "folder", str(folder)
        yield "shapes", ", ".join(f"{suffix} {count:,}" for suffix, count in Counter(path.suffix.lower() for path in files).most_common())
        classes = Counter(path.relative_to(folder).parts[0] for path in files if path.parent != folder)
        if classes:
            yield "classes", ", ".join(f"{name} {count:,}" for name, count in sorted(classes.items()))
    else:
        from molgen.molecules.text import joined

        if command := joined(folder):
            raise InputError(f"{folder}: is a folder of files of molecules; give one of them, or join them by `{command}`")
        raise InputError(f"{folder}: has neither statistics.json, card.yaml nor config.yaml; give a data set, a run or a checkpoint")


def _abilities(folder: Path) -> Iterator[Row]:
    """What a model or an estimator knows and can be asked for."""
    if not all((folder / name).is_file() for name in ("config.yaml", "statistics.json")):
        return
    statistics, config = _parse(folder / "statistics.json", parse_json), _yaml(folder / "config.yaml")
    try:
        names = config["data"]["conditions"]
        if statistics["domain"] == "shape":
            yield "classes", ", ".join(statistics["categories"])
        else:
            sizes = [int(size) for size in statistics["sizes"]]
            charges = " ".join(f"{charge:+d}" for charge in statistics["charges"])
            yield "knows", f"{' '.join(map(_symbol, statistics['elements']))}, charges {charges}"
            yield "atoms", f"{min(sizes)} to {max(sizes)} a molecule"
        for label in statistics["labels"]:
            if label["name"] in names:
                yield f"property {label['name']}", f"{label['min']:.4g} to {label['max']:.4g} {label['unit'] or ''}"
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{folder}: config.yaml and statistics.json are not those of a model ({error}); make it again") from error


def _file(path: Path) -> Iterator[Row]:
    """Counts what a file of molecules or shapes holds."""
    if path.name in ("card.yaml", "config.yaml", "statistics.json"):
        raise InputError(f"{path}: is a file of a folder; give the folder")
    if kind_of_data(str(path)) == "shape":
        from molgen.shapes.reading import described

        yield "file", str(path)
        yield from described(path)
        return
    from molgen.checkpoint import load_statistics
    from molgen.molecules.listed import records_in
    from molgen.molecules.overview import Overview
    from molgen.molecules.vocabulary import Vocabulary

    if path.suffix in (".yaml", ".yml"):
        raise InputError(f"{path}: is a configuration, which is text; give a model, a data set or a file of molecules or shapes")
    format = file_format(path)
    models: dict[str, Any] = {name: load_statistics(name) for name in models_that_ship() if kind_of_model(name) == "molecule"}
    overview = Overview(format in LISTS, {name: Vocabulary.of(statistics) for name, statistics in models.items()})
    for record in track(records_in(path, format), "info", None):
        overview.see(record)
    yield "file", f"{path} ({format}, {path.stat().st_size:,} bytes)"
    yield from overview.rows()


def _dataset(folder: Path) -> Iterator[Row]:
    """Counts, sizes, classes and labels of a prepared data set."""
    path = folder / "statistics.json"
    statistics = _parse(path, parse_json)
    try:
        yield "data set", str(folder)
        yield "domain", str(statistics["domain"])
        yield from (_shapes if statistics["domain"] == "shape" else _molecules)(statistics)
        for label in statistics["labels"]:
            spread = f"mean {label['mean']:.4g}, standard deviation {label['std']:.4g}, {label['min']:.4g} to {label['max']:.4g}"
            yield f"label {label['name']}", f"{label['count']:,} known, {spread} {label['unit'] or ''}"
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        what = f"{type(error).__name__} {error}"
        raise InputError(f"{path}: not the statistics of a prepared data set ({what}); prepare the data again") from error
    card = _card(folder)
    for key in ("source", "licence", "rejected", "molgen"):
        if card.get(key):
            yield from _flat({key: card[key]})


def _molecules(statistics: dict[str, Any]) -> Iterator[Row]:
    sizes = sorted((int(size), int(count)) for size, count in statistics["sizes"].items())
    yield "molecules", f"{statistics['num_molecules']:,}"
    yield "atoms", f"{statistics['num_atoms']:,}, {sizes[0][0]} to {sizes[-1][0]} a molecule, median {_median(sizes)}"
    yield "elements", _shares(statistics["elements"], statistics["atom_marginal"], _symbol)
    yield "charges", _shares(statistics["charges"], statistics["charge_marginal"], "{:+d}".format)
    yield "bonds", _shares(("none", "single", "double", "triple"), statistics["bond_marginal"], str)
    yield "coordinates", f"standard deviation {statistics['coordinate_std']:.3f} Å"


def _shapes(statistics: dict[str, Any]) -> Iterator[Row]:
    counts = zip(statistics["categories"], statistics["category_counts"], strict=True)
    yield "shapes", f"{statistics['num_shapes']:,} of {statistics['num_points']:,} points"
    yield "classes", ", ".join(f"{name} {count:,}" for name, count in counts)
    up = f", up {statistics['up']}" if statistics["up"] else ""
    yield "coordinates", f"standard deviation {statistics['coordinate_std']:.3f}, normalised by {statistics['normalisation']}{up}"


def _median(sizes: list[tuple[int, int]]) -> int:
    """The size of the middle molecule of a histogram sorted by size."""
    left = sum(count for _, count in sizes) / 2
    for size, count in sizes:
        left -= count
        if left <= 0:
            return size
    return sizes[-1][0]


def _shares(names: Any, shares: list[float], text: Callable[[Any], str]) -> str:
    """Classes with their frequencies in per cent."""
    return ", ".join(f"{text(name)} {100 * share:.3g} %" for name, share in zip(names, shares, strict=True))


def _symbol(number: int) -> str:
    """The symbol of an element, from the table that the metrics use."""
    from molgen.molecules.metrics.elements import SYMBOLS

    return SYMBOLS[number]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """Rows of a nested mapping, keys joined by dots."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list):
            yield name, ", ".join(str(item) for item in value)
        else:
            yield name, f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())


def _card(folder: Path) -> dict[str, Any]:
    """The card of a folder; empty if there is none."""
    path = folder / "card.yaml"
    return _yaml(path) if path.is_file() else {}


def _yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML file without running anything that it may contain."""
    return _parse(path, parse_yaml)


def _parse(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    """Reads a mapping from a text file.

    Raises:
        InputError: the text cannot be parsed or holds no mapping.
    """
    try:
        tree = parse(read_text(path))
    except Unreadable as error:
        raise InputError(f"{path}: cannot be read ({error}); make it again") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path}: expected a mapping, found {type(tree).__name__}; make it again")
    return tree
