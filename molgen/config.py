"""Experiments as text: one YAML file and dotted overrides.

Unknown keys, wrong types and wrong kinds are errors with the dotted name of the key. There is no inheritance between files and no
interpolation.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import ValidationError

from molgen.errors import InputError, nearest
from molgen.experiment import Experiment, adapter, texts
from molgen.files import shipped


def parse_override(text: str) -> tuple[list[str], Any]:
    """Splits ``a.b=value``; the value is YAML, or text as it is where the setting is one; InputError without a key or an equals sign."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise InputError(f"expected an override KEY=VALUE such as train.max_steps=1000, got {text!r}")
    name = name.strip()
    if name in texts():
        return name.split("."), _expanded(value.strip())  # such as 2024, on, and times, which YAML takes for base-60 numbers
    try:
        parsed = yaml.safe_load(value) if value else ""
    except yaml.YAMLError:
        parsed = value
    return name.split("."), _number(parsed, name)


def _number(value: Any, name: str = "") -> Any:
    """YAML 1.1 reads ``1e-3`` as text; people mean a number, but in a setting of `texts`, of which most are paths."""
    if isinstance(value, dict):
        return {key: _number(item, f"{name}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, str):
        if name in texts():
            return _expanded(value)
        try:
            return float(value) if "e" in value.lower() else value
        except ValueError:
            return value
    return value


def _expanded(text: str) -> str:
    """A path that begins with ``~`` from the home folder on, which shells leave as it is behind an equals sign; another text as it is."""
    return os.path.expanduser(text)  # noqa: PTH111  pathlib would change other texts, such as ./run


def _explain(error: ValidationError, raw: Any, origin: str) -> InputError:
    first = error.errors()[0]
    name = _dotted(first["loc"], raw)
    if first["type"] == "union_tag_not_found":
        return InputError(f"{origin}: {name}: expected the key 'kind', got {first['input']!r}; give {name}.kind as well")
    if first["type"] == "union_tag_invalid":
        tag, expected = first["ctx"]["tag"], first["ctx"]["expected_tags"].replace("'", "")
        own = (
            "; one of your own is registered by `molgen --import FILE COMMAND ...` or molgen.register"
            if name in ("model", "sampler", "sampler.grid", "fields.pos")
            else ""
        )
        return InputError(f"{origin}: {name}.kind: expected one of {expected}, got {tag!r}{own}")
    if first["type"] == "tuple_type":
        return InputError(f"{origin}: {name}: expected a list such as [a,b], got {first['input']!r}")
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return InputError(f"{origin}: unknown key {name!r}{_suggest(name)}")
    return InputError(f"{origin}: {name}: {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}")


def _dotted(location: Sequence[str | int], raw: Any) -> str:
    """Dotted name of a key as it is written; pydantic puts the kind of an alternative before its keys."""
    parts, entered = [], True
    for part in location:
        if entered and isinstance(raw, dict) and part == raw.get("kind"):
            entered = False  # what follows may be a key of the same name
            continue
        parts.append(str(part))
        raw, entered = raw.get(part) if isinstance(raw, dict) else None, True
    return ".".join(parts)


def _keys(kind: Any, prefix: str = "") -> list[str]:
    names = []
    for item in fields(kind):
        names.append(prefix + item.name)
        value = getattr(kind, item.name, None)
        if is_dataclass(value):
            names += _keys(value, f"{prefix}{item.name}.")
    return names


def _suggest(name: str) -> str:
    close = nearest(name, _keys(Experiment()), 1)
    return f"; did you mean {close[0]!r}?" if close and close[0] != name else ""


def load_experiment(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Reads an experiment from YAML and applies dotted overrides such as ``train.max_steps=1000``.

    Args:
        path: a file, or the name of a configuration that ships, such as ``qm9_small``.
        overrides: settings.

    Raises:
        InputError: with the file, the dotted key and what was expected.
    """
    if isinstance(overrides, str):
        raise InputError(f"overrides: expected a list, got {overrides!r}; write [{overrides!r}]")
    sections = apply_overrides(read_sections(_find(path), "no such configuration file"), overrides)
    try:
        return build_experiment(sections, str(path))
    except InputError as error:
        words = str(error).partition("; did you mean")[0]
        keys = [text.partition("=")[0] for text in overrides]
        found = [key in words for key in keys] + [f" {key.rpartition('.')[0]}:" in words for key in keys]  # or the section that it is in
        blamed = overrides[found.index(True) % len(overrides)] if True in found else None
        raise error if blamed is None else InputError(str(error).replace(str(path), blamed, 1)) from None


def _find(path: str | Path) -> Path:
    """A configuration file, by path or by the name of one that ships.

    Raises:
        InputError: naming those that ship.
    """
    path = Path(path)
    names = {file.stem: file for file in sorted(shipped("configs").glob("*.yaml"))}
    if path.is_file():
        return path
    if path.stem in names and path.parent.name in ("", "configs"):
        return names[path.stem]
    raise InputError(f"{path}: no such configuration file, nor one that ships ({', '.join(names)})")


def apply_overrides(sections: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Sections of an experiment with dotted overrides.

    A section whose ``kind`` is overridden by another begins anew, with the defaults of that kind and the other overrides.

    Raises:
        InputError: an override that is not KEY=VALUE, or whose key leads into a value.
    """
    raw: dict[str, Any] = _number(sections)
    parsed = [(text, *parse_override(text)) for text in overrides]
    for text, keys, value in sorted(parsed, key=lambda one: one[1][-1] != "kind"):
        node = raw
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise InputError(f"override {text!r}: {key!r} is a value, not a section")
        if keys[-1] == "kind" and node.get("kind", value) != value:
            node.clear()
        node[keys[-1]] = value
    return raw


def read_sections(path: str | Path, missing: str, fix: str = "") -> dict[str, Any]:
    """Reads a YAML file whose top level is a mapping.

    Raises:
        InputError: with the file and what is wrong; ``missing`` says what a missing file means, ``fix`` what helps against other content.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: {missing}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected a mapping of sections, got {type(raw).__name__}{fix}")
    return raw


def build_experiment(raw: dict[str, Any], origin: str) -> Experiment:
    """Validates a nested mapping.

    Raises:
        InputError: with the origin, the dotted key and what was expected.
    """
    for name, kind in (("fields", "molecule"), ("objective", "diffusion")):
        section = raw.get(name)
        if isinstance(section, dict) and "kind" not in section:
            raw = {**raw, name: {"kind": kind, **section}}
    try:
        return adapter().validate_python(raw)
    except ValidationError as error:
        raise _explain(error, raw, origin) from None


def dump_experiment(experiment: Experiment) -> str:
    """Complete YAML of an experiment: every key, also those left at their default.

    Raises:
        InputError: a value that is not allowed, or a part of a class that no ``kind`` stands for and that would be read as another.
    """
    tree = adapter().dump_python(experiment, mode="json", warnings=False)
    for name, section in tree.items():
        own, again = getattr(experiment, name), None
        try:
            again = getattr(build_experiment({name: section}, ""), name)
        except InputError as error:
            hint = get_type_hints(Experiment)[name]
            if type(own) in (get_args(hint) or (hint,)):
                raise InputError(str(error).removeprefix(": ")) from None
        if again != own:
            lost = f"{name}: {type(own).__name__} cannot be written into config.yaml, from which runs go on and models are loaded"
            raise InputError(f"{lost}; register it (molgen.register), with a kind of its own")
    return yaml.safe_dump(tree, sort_keys=False, width=120)
