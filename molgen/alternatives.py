"""Alternatives among which the key ``kind`` of a section selects; classes of one's own join them (:func:`molgen.register`)."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Alternatives:
    """Annotation of a setting that is one of several dataclasses, looked up by kind whenever a section is read.

    Args:
        union: those that ship.
        method: that a class of one's own needs to be one of them; "" where none may.
        default: kind of a section without one; "" where it has to be given.

    Attributes:
        known: the classes by kind.
    """

    def __init__(self, union: Any, method: str = "", default: str = ""):
        self.method, self.default = method, default
        self.known = {kind_of(part): part for part in get_args(union)}

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def read(self, section: Any) -> Any:
        """The dataclass that a section describes."""
        kind = section.get("kind", self.default) if isinstance(section, Mapping) else ""
        if isinstance(kind, str) and kind in self.known:
            keys = [item.name for item in fields(self.known[kind])]
            if stray := next((str(key) for key in section if key not in keys), ""):
                raise PydanticCustomError("key_unknown", "unknown key", {"key": stray, "known": keys})
            return adapter(self.known[kind]).validate_python({**section, "kind": kind})
        if not kind:
            raise PydanticCustomError("kind_missing", "expected the key 'kind'")
        own = "; one of your own is registered by `molgen --import FILE COMMAND ...` or molgen.register" if self.method else ""
        raise PydanticCustomError("kind_unknown", f"expected one of {', '.join(self.known)}, got {kind!r}{own}")

    def add(self, part: Any) -> None:
        """Lets a class join; one of the same name that joined before gives way.

        Raises:
            ValueError: it has no kind, or that of another.
        """
        kind, name = kind_of(part), (part.__module__, part.__qualname__)
        others = {key: one for key, one in self.known.items() if (one.__module__, one.__qualname__) != name}
        if kind in others:
            raise ValueError(f"{part.__name__}: the kind {kind!r} is taken; choose another")
        self.known = {**others, kind: part}


def kind_of(part: Any) -> str:
    """The kind that selects a dataclass.

    Raises:
        ValueError: it has none.
    """
    found = next((item for item in fields(part) if item.name == "kind"), None)
    if found is None or found.default is MISSING or get_args(get_type_hints(part)["kind"]) != (found.default,):
        raise ValueError(f'{part.__name__}: expected a field such as kind: Literal["mine"] = "mine"')
    return str(found.default)


def choices(hint: Any) -> list[Any]:
    """The dataclasses that a setting of this type, with its annotations, may be."""
    known = [item.known.values() for item in getattr(hint, "__metadata__", ()) if isinstance(item, Alternatives)]
    return [hint] if is_dataclass(hint) else [part for parts in known for part in parts]


@cache
def adapter(part: Any) -> Any:
    """Validator of a dataclass in which unknown keys are errors."""
    part.__pydantic_config__ = ConfigDict(extra="forbid")
    return TypeAdapter(part)
