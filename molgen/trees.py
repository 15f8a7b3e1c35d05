"""Small files of settings and figures, YAML or JSON, as trees of plain values; nothing that is written there can run code or take long.

References of YAML (``*name``) to lists and mappings are refused: a file of some hundred bytes can stand for more than memory holds by them.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml


class Unreadable(ValueError):
    """Text that makes no tree; says why, in one line."""


class Loader(yaml.SafeLoader):
    """Reads YAML without references but those to single values."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node.

        Raises:
            yaml.YAMLError: it is a reference to a list or mapping, or not YAML.
        """
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            if isinstance(self.anchors.get(event.anchor), yaml.ScalarNode):
                return super().compose_node(parent, index)
            raise yaml.composer.ComposerError(None, None, f"*{event.anchor} stands for another value; write that out", event.start_mark)
        return super().compose_node(parent, index)


class Dumper(yaml.SafeDumper):
    """Writes YAML without references: what is in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Nothing is referred to."""
        return True


def yaml_text(tree: Any) -> str:
    """The YAML of a tree, in the order of its keys."""
    return yaml.dump(tree, Dumper=Dumper, sort_keys=False, width=120, allow_unicode=True)


def parse_yaml(text: str, loader: type = Loader) -> Any:
    """The tree of a YAML text.

    Raises:
        Unreadable: it has none.
    """
    return deepcopy(_yaml(text, loader))


@lru_cache(64)  # models and their parts are loaded again and again, and the parser takes a tenth of a second for the settings of each
def _yaml(text: str, loader: Any) -> Any:
    return _parse(text, lambda content: yaml.load(content, loader))


def parse_json(text: str) -> Any:
    """The tree of a JSON text.

    Raises:
        Unreadable: it has none.
    """
    return _parse(text, json.loads)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        Unreadable: it is not UTF-8.
        OSError: it cannot be opened.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8 text") from None


def _parse(text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as error:  # also of values such as dates
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        said = getattr(error, "problem", None) or " ".join(str(error).split())
        raise Unreadable(f"{type(error).__name__}: {said}{line}") from None
