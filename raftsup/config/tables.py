"""Checks of objects and lists, built from the checks of what is in them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from raftsup.config.errors import Place, Report, kind, quoted
from raftsup.config.validators import INVALID, Check, takes


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """A hint for an unknown key: the nearest known one, else all of them."""
    by_squeezed = {_squeezed(name): name for name in known}
    near = difflib.get_close_matches(_squeezed(key), by_squeezed, n=1)
    if near:
        return f"did you mean {quoted(by_squeezed[near[0]])}?"
    return f"known here: {', '.join(sorted(by_squeezed.values())) or 'none'}"


def _squeezed(key: str) -> str:
    """Without what people mix up: ``keep_for``, ``keep-for`` and ``KeepFor`` are one."""
    return key.replace("_", "").replace("-", "").lower()


def table(fields: Mapping[str, Check], foreign: Mapping[str, str] = MappingProxyType({})) -> Check:
    """An object with no other keys than ``fields``. Gives a dict of those that hold.

    ``foreign``: what to do instead about keys that people bring along from elsewhere.
    """
    properties = {key: check.schema for key, check in fields.items()}

    @takes({"type": "object", "properties": properties, "additionalProperties": False})
    def check(value: object, place: Place, report: Report) -> Any:
        if not isinstance(value, dict):
            report.add(place, f"{kind(value)} is not allowed here", "write an object: {...}")
            return INVALID
        for key in value:
            if key not in fields:
                hint = foreign.get(key) or did_you_mean(key, fields)
                report.add(place.at(key), "unknown key", hint)
        return _checked({k: (v, fields[k]) for k, v in value.items() if k in fields},
                        place, report)  # fmt: skip

    return check


def mapping(of: Check) -> Check:
    """An object with keys of the reader's own choice."""

    @takes({"type": "object", "additionalProperties": of.schema})
    def check(value: object, place: Place, report: Report) -> Any:
        if not isinstance(value, dict):
            report.add(place, f"{kind(value)} is not allowed here", "write an object: {...}")
            return INVALID
        return _checked({k: (v, of) for k, v in value.items()}, place, report)

    return check


def _checked(
    entries: Mapping[str, tuple[object, Check]], place: Place, report: Report
) -> dict[str, Any]:
    held = {}
    for key, (value, check) in entries.items():
        if value is INVALID:
            continue
        checked = check(value, place.at(key), report)
        if checked is not INVALID:
            held[key] = checked
    return held


def some(of: Check, example: str) -> Check:
    """A list of at least one. Gives a tuple, or ``INVALID`` if any entry is."""

    @takes({"type": "array", "items": of.schema, "minItems": 1})
    def check(value: object, place: Place, report: Report) -> Any:
        if not isinstance(value, list) or not value:
            what = "an empty list" if value == [] else kind(value)
            report.add(place, f"{what} is not allowed here", f"write a list like {example}")
            return INVALID
        checked = tuple(
            INVALID if item is INVALID else of(item, place.at(index), report)
            for index, item in enumerate(value)
        )
        return INVALID if INVALID in checked else checked

    return check
