"""Experiments as text: one YAML file and dotted overrides.

Unknown keys, wrong types and wrong kinds are errors with the dotted name of the key. There is no inheritance between files and no
interpolation.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import ValidationError

from molgen.alternatives import adapter, choices
from molgen.errors import InputError, nearest
from molgen.experiment import Experiment, texts
from molgen.files import shipped
from molgen.trees import Dumper, Loader, Unreadable, parse_yaml, read_text
from molgen.written import Written


class _Loader(Loader):
    """Reads ``1e-3`` as a number, as YAML 1.2 does and 1.1 does not."""


class _Dumper(Dumper):
    """Puts such a text into quotes."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"), list("-+.0123456789"))


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Written:
    """A number with its text, which a setting that is any text takes instead, such as a folder called 1e3."""
    number = Written(loader.construct_yaml_float(node))
    number.text = node.value
    return number


_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Dumper.add_multi_representer(float, lambda dumper, value: dumper.represent_float(float(value)))  # such as those of numpy


def parse_override(text: str) -> tuple[list[str], Any]:
    """Splits ``a.b=value``; the value is YAML, or text as it is where the setting is one; InputError without a key or an equals sign."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise InputError(f"expected an override KEY=VALUE such as train.max_steps=1000, got {text!r}")
    name = name.strip()
    if name in texts():
        return name.split("."), value.strip()  # such as 2024, on, and times, which YAML takes for base-60 numbers
    try:
        return name.split("."), parse_yaml(value, _Loader) if value else ""
    except Unreadable:
        return name.split("."), value


def _expanded(value: Any, paths: set[str], name: str = "") -> Any:
    """Settings of `texts`, of which most are paths, with ``~`` as the home folder: shells leave it as it is behind an equals sign."""
    if isinstance(value, dict):
        return {key: _expanded(item, paths, f"{name}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, paths, name) for item in value]
    if isinstance(value, Written):
        value = value.text if name in paths else float(value)
    # pathlib would change other texts, such as ./run
    return os.path.expanduser(value) if isinstance(value, str) and name in paths else value  # noqa: PTH111


def _explain(error: ValidationError, origin: str, overrides: Sequence[str]) -> InputError:
    """The first error in one line; the origin is the override that is to blame, if one is."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "kind_unknown":
        name += ".kind"
    if first["type"] == "key_unknown":
        key, known = first["ctx"]["key"], first["ctx"]["known"]
        fix = next((f"did you mean '{name}.{close}'?" for close in nearest(key, known, 1)), f"known are {', '.join(known)}")
        name += f".{key}"
        return InputError(f"{_blamed(name, overrides) or origin}: unknown key {name!r}; {fix}")
    origin = _blamed(name, overrides) or origin
    if first["type"] == "kind_unknown":
        return InputError(f"{origin}: {name}: {first['msg']}")
    if first["type"] == "kind_missing":
        return InputError(f"{origin}: {name}: expected the key 'kind', got {first['input']!r}; give {name}.kind as well")
    if first["type"] == "tuple_type":
        return InputError(f"{origin}: {name}: expected a list such as [a,b], got {first['input']!r}")
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return InputError(f"{origin}: unknown key {name!r}{_suggest(name)}")
    if first["type"] == "value_error":  # of a constructor
        return InputError(f"{origin}: {name}: {first['ctx']['error']}")
    return InputError(f"{origin}: {name}: {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}")


def _blamed(name: str, overrides: Sequence[str]) -> str:
    """The last override that gave this setting, or the section around it, or else one of the settings in it; "" if none did."""
    keys = {text.partition("=")[0].strip(): text for text in overrides}
    around = [key for key in keys if f"{name}.".startswith(f"{key}.")]
    inside = [key for key in keys if key.rpartition(".")[0] == name]
    return keys[max(around, key=len)] if around else keys[inside[-1]] if inside else ""


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
    return build_experiment(sections, str(path), overrides)


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
    raw = copy.deepcopy(sections)
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
        raw = parse_yaml(read_text(Path(path)), _Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: {missing}") from None
    except Unreadable as error:
        raise InputError(f"{path}: not YAML that can be read ({error}){fix}") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected a mapping of sections, got {type(raw).__name__}{fix}")
    return raw


def build_experiment(raw: dict[str, Any], origin: str, overrides: Sequence[str] = ()) -> Experiment:
    """Validates a nested mapping from this origin, with these overrides in it.

    Raises:
        InputError: with the origin or the override, the dotted key and what was expected.
    """
    return _validated(_expanded(raw, texts()), origin, overrides)


def _validated(raw: dict[str, Any], origin: str, overrides: Sequence[str] = ()) -> Experiment:
    try:
        return adapter(Experiment).validate_python(raw)
    except ValidationError as error:
        raise _explain(error, origin, overrides) from None


def change_sampler(experiment: Experiment, settings: Sequence[str]) -> Any:
    """The sampler of an experiment with settings such as ``gamma=0.8`` or ``kind=ddim``.

    Raises:
        InputError: naming the setting and what was expected.
    """
    for text in settings:
        if "=" not in text:
            raise InputError(f"--sampler {text}: expected KEY=VALUE such as gamma=0.8")
    overrides = [f"sampler.{text}" for text in settings]
    sections = apply_overrides({"sampler": asdict(experiment.sampler)}, overrides)
    return build_experiment(sections, "--sampler", overrides).sampler


def dump_experiment(experiment: Experiment) -> str:
    """Complete YAML of an experiment: every key, also those left at their default.

    Raises:
        InputError: a value that is not allowed, or a part of a class that no ``kind`` stands for and that would be read as another.
    """
    tree = asdict(experiment)
    for name, section in tree.items():
        own, again = getattr(experiment, name), None
        try:
            again = getattr(_validated({name: section}, ""), name)
        except InputError as error:
            if type(own) in choices(get_type_hints(Experiment, include_extras=True)[name]):
                raise InputError(str(error).removeprefix(": ")) from None
        if again != own:
            lost = f"{name}: {type(own).__name__} cannot be written into config.yaml, from which runs go on and models are loaded"
            fix = (
                "set it in a callback, see docs/extending.md"
                if name == "objective"
                else "register it (molgen.register), with a kind of its own"
            )
            raise InputError(f"{lost}; {fix}")
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=120)
