"""Files of interrupted runs: where they are, what they hold, and whether the same command made them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molgen.errors import InputError
from molgen.files import destination, encodable
from molgen.tags import FOUND, MEASURED, PREDICTED

if TYPE_CHECKING:
    from molgen.tags import Value


def left_by(out: Path, kind: str, resume: bool) -> Path | None:
    """The file that a run goes on from, if there is one: the part that an interrupted one left of `out`, or else `out` itself.

    Args:
        out: file to write.
        kind: its format; a part of one that runs cannot go on from is worth nothing and does not keep a run from its beginning.
        resume: whether to go on.

    Raises:
        InputError: there is a part and nobody asked to go on with it, or another command is writing it.
    """
    from molgen.molecules.export import claim, left_of, partial_path
    from molgen.molecules.records import READERS

    part = partial_path(out)
    if part.exists():
        claim(destination(out)).give_up()
    if part.exists() and kind in READERS and not resume:
        raise InputError(f"{part}: left by an interrupted run; go on with --resume, or remove it")
    return left_of(out) if resume else None


def records_left(
    path: Path | None, kind: str, expect: "Callable[[Mapping[str, Any]], Mapping[str, Value] | None]"
) -> Iterator[Mapping[str, Any]]:
    """The tags of each record of the file, one after the other; a record cut in half is left out.

    Args:
        path: what :func:`left_by` found; there are no records without a file.
        kind: its format, `sdf` or `xyz`.
        expect: the tags that this run would give the record with these tags; None if it makes no such record.

    Raises:
        InputError: if the file was made with another request or model, or by something else.
    """
    from molgen.molecules.export import complete_records
    from molgen.molecules.records import TAGS
    from molgen.molecules.values import as_value

    for number, text in enumerate(complete_records(path, kind) if path else (), 1):
        tags = TAGS[kind](text.splitlines())
        own = expect(tags) if isinstance(tags.get("index"), int) else None
        if own is None:
            raise InputError(f"{path}: record {number} is not from this command; leave --resume away or give another --out")
        expected = {name: plain_text(as_value(str(value))) for name, value in own.items()}
        found = {
            name: plain_text(value) for name, value in tags.items() if name not in FOUND and not name.startswith((MEASURED, PREDICTED))
        }
        if other := [name for name in (expected | found) if name != "title" and found.get(name) != expected.get(name)]:
            raise InputError(
                f"{path}: made with {_listed(found, other)}, not {_listed(expected, other)}; resume with the same, or remove the file"
            )
        yield tags


def refuse_fewer(path: Path | None, kept: int, num: int) -> None:
    """Refuses to go on towards fewer records than are there, none of which is thrown away.

    Raises:
        InputError: there are more than ``num``.
    """
    if kept > num:
        raise InputError(f"{path}: holds {kept} records, more than --num {num}; ask for at least {kept}, or take the first of that file")


def plain_text(value: object) -> str:
    """A value as text without runs of blanks, which not every format keeps, and as files can hold it."""
    return " ".join(encodable(str(value)).split())


def _listed(values: Mapping[str, str], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {values[name]}" if name in values else f"no {name}" for name in names)
