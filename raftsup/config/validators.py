"""Kinds of values: how each is read and how it may be written.

A check takes a value, its place and the collector of errors. It returns what the config holds, or
``INVALID`` after it has reported why not. Its JSON Schema refuses nothing that the check accepts.
Text from outside of the file (``ExternalText``) may stand for a number or a truth value: variables
and flags can hold nothing but text.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from raftsup.config.errors import ErrorCollector, ExternalText, Location, kind, quoted, shown

Read = Callable[[object, Location, ErrorCollector], Any]
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    read: Read
    schema: Schema
    #: How the file has a value: a default of so many seconds as "10m".
    write: Callable[[Any], object] = lambda value: value

    def __call__(self, value: object, place: Location, errors: ErrorCollector) -> Any:
        return self.read(value, place, errors)

    def says(self, description: str) -> Check:
        """The same, with a word to people who write it."""
        return replace(self, schema={**self.schema, "description": description})

    def defaults(self, value: object) -> Check:
        """The same, with what holds where it is not written."""
        return replace(self, schema={**self.schema, "default": self.write(value)})


def takes(schema: Schema) -> Callable[[Read], Check]:
    return lambda read: Check(read, schema)


#: A text that is taken from the environment may come to anything.
VARIABLE: Final = {"type": "string", "pattern": r"\$\{"}


def or_variable(*schemas: Schema) -> Schema:
    return {"anyOf": [*schemas, VARIABLE]}


def line_of(pattern: str) -> Schema:
    """A text that is trimmed, matches ``pattern`` or is blank; or holds a variable."""
    return {"type": "string", "pattern": rf"^\s*({pattern})?\s*$|{VARIABLE['pattern']}"}


#: Stands for a value whose problem is already reported.
INVALID: Final = object()

MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
BYTES: Final = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
#: Deadlines beyond this overflow the timers of some systems.
LONGEST: Final = 3650 * 86_400.0

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_DURATION = re.compile(rf"{_NUMBER}\s*({'|'.join(MILLISECONDS)})")
_SIZE = re.compile(rf"{_NUMBER}\s*({'|'.join(BYTES)})")
_BARE_NUMBER = re.compile(_NUMBER)
_FINGERPRINT = re.compile(r"(?:sha256:)?((?:[0-9A-Fa-f]{2}:?){32})")


def parse_duration(text: str) -> float | None:
    """Seconds of ``"24h"``, ``"1.5s"``, ``"500ms"``; None if it is not a duration."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    return float(Decimal(match[1]) * MILLISECONDS[match[2]] / 1000)


def parse_size(text: str) -> int | None:
    """Bytes of ``"256KiB"``, ``"64MB"``; None if it is not a whole number of bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    size = Decimal(match[1]) * BYTES[match[2]]
    return int(size) if size == size.to_integral_value() else None


def write_duration(seconds: float) -> str:
    """The shortest text for a duration, to the millisecond."""
    milliseconds = round(seconds * 1000)
    unit = next(u for u in ("d", "h", "m", "s", "ms") if milliseconds % MILLISECONDS[u] == 0)
    return "0s" if milliseconds == 0 else f"{milliseconds // MILLISECONDS[unit]}{unit}"


def write_size(size: int) -> str:
    """The shortest text for a number of bytes."""
    unit = next(u for u in ("TiB", "GiB", "MiB", "KiB", "B") if size % BYTES[u] == 0)
    return "0B" if size == 0 else f"{size // BYTES[unit]}{unit}"


def _number(value: object) -> int | float | None:
    """A finite number, or text from outside that is one."""
    # What strip() takes for space is more than int() does.
    text = value.strip() if isinstance(value, ExternalText) else ""
    if _BARE_NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _bounded(
    read: Callable[[object], float | None],
    low: float,
    high: float,
    allowed: str,
    schema: Schema,
    advice: Callable[[object], str] = lambda value: "",
) -> Check:
    @takes(schema)
    def check(value: object, place: Location, errors: ErrorCollector) -> Any:
        number = read(value)
        # Compared before any conversion: an integer can be too large for a float.
        if number is None or not low <= number <= high:
            errors.add(place, f"{shown(value)} is not allowed here",
                       f"write {allowed}{advice(value)}")  # fmt: skip
            return INVALID
        return number

    return check


def _unquoted(value: object) -> str:
    """What a reader who put a number or a truth value in quotes needs to hear."""
    in_quotes = isinstance(value, str) and not isinstance(value, ExternalText)
    return ", without quotes" if in_quotes else ""


def whole(low: int, high: int) -> Check:
    """A whole number from ``low`` to ``high``."""

    def read(value: object) -> int | None:
        number = _number(value)
        return int(number) if number is not None and number == math.floor(number) else None

    schema = or_variable({"type": "integer", "minimum": low, "maximum": high})
    return _bounded(read, low, high, f"a whole number from {low} to {high}", schema, _unquoted)


def duration(low: float, high: float = LONGEST) -> Check:
    """Seconds, or a text with a unit; ``low`` and ``high`` are seconds."""

    def read(value: object) -> float | None:
        number = parse_duration(value) if isinstance(value, str) else None
        if number is None:
            number = _number(value)
        return float(number) if number is not None and abs(number) <= LONGEST else None

    check = _bounded(
        read, low, high,
        f'seconds as a number, or a text like "90s" (units: {", ".join(MILLISECONDS)}),'
        f' from "{write_duration(low)}" to "{write_duration(high)}"',
        or_variable({"type": "number", "minimum": low, "maximum": high}, _with_unit(MILLISECONDS)),
    )  # fmt: skip
    return replace(check, write=write_duration)


def size(low: int, high: int) -> Check:
    """Bytes, or a text with a unit; ``low`` and ``high`` are bytes."""

    def read(value: object) -> int | None:
        number: int | float | None = parse_size(value) if isinstance(value, str) else None
        if number is None:
            number = _number(value)
        return int(number) if number is not None and number == math.floor(number) else None

    check = _bounded(
        read, low, high,
        'bytes as a number, or a text like "256KiB" (units: B, kB, MB, GB, TB, KiB, MiB, GiB,'
        f' TiB), from "{write_size(low)}" to "{write_size(high)}"',
        or_variable({"type": "integer", "minimum": low, "maximum": high}, _with_unit(BYTES)),
    )  # fmt: skip
    return replace(check, write=write_size)


def _with_unit(units: Iterable[str]) -> Schema:
    number = r"[0-9]{1,15}(\.[0-9]{1,9})?"
    return {"type": "string", "pattern": rf"^\s*{number}\s*({'|'.join(units)})\s*$"}


def choice(*words: str) -> Check:
    """One of ``words``."""
    spaced = {"type": "string", "pattern": rf"^\s+({'|'.join(words)})\s*$|^({'|'.join(words)})\s+$"}

    @takes(or_variable({"enum": list(words)}, spaced))
    def check(value: object, place: Location, errors: ErrorCollector) -> Any:
        if isinstance(value, str) and value.strip() in words:
            return str(value.strip())
        allowed = ", ".join(f'"{word}"' for word in words)
        errors.add(place, f"{shown(value)} is not known here", f"write one of {allowed}")
        return INVALID

    return check


@takes(or_variable({"type": "boolean"}))
def boolean(value: object, place: Location, errors: ErrorCollector) -> Any:
    if isinstance(value, ExternalText):
        value = {"true": True, "false": False}.get(value.strip(), value)
    if isinstance(value, bool):
        return value
    errors.add(
        place, f"{shown(value)} is not allowed here", f"write true or false{_unquoted(value)}"
    )
    return INVALID


@takes({"type": "string"})
def text(value: object, place: Location, errors: ErrorCollector) -> Any:
    """Any text that a process can be given: in its argv or its environment."""
    if not isinstance(value, str):
        errors.add(place, f"{kind(value)} is not allowed here", "write a text in quotes")
        return INVALID
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        errors.add(
            place,
            "the text has a NUL character or half a character (a lone surrogate) in it",
            "write text that a command line can carry",
        )
        return INVALID
    return value


@takes({"type": "string"})
def word(value: object, place: Location, errors: ErrorCollector) -> Any:
    """One line of text, trimmed. A blank one counts as unset: None."""
    checked = text(value, place, errors)
    if checked is INVALID:
        return INVALID
    trimmed = checked.trimmed() if isinstance(checked, ExternalText) else checked.strip()
    if not trimmed:
        return None
    if any(ord(c) < 0x20 or ord(c) == 0x7F or c in "\x85\u2028\u2029" for c in trimmed):
        errors.add(place, "the text has a line break or control character in it",
                   "write one line of plain text")  # fmt: skip
        return INVALID
    return trimmed


def named(wrong: Callable[[str], str | None]) -> Check:
    """A word that ``wrong`` has nothing against; it gives the reason, without the value."""

    @takes({"type": "string"})
    def check(value: object, place: Location, errors: ErrorCollector) -> Any:
        checked = word.read(value, place, errors)
        if checked is INVALID or checked is None or (reason := wrong(checked)) is None:
            return checked
        errors.add(place, reason, "`raftsup setup` asks for it, and tries it")
        return INVALID

    return check


def url(plain: str, secure: str, example: str) -> Check:
    """A URL of either scheme; ``plain`` only on loopback, since a key travels over it."""

    scheme = "".join(f"[{c}{c.upper()}]" for c in plain)

    @takes({**line_of(rf"{scheme}[sS]?://[^@?#]+"), "examples": [example]})
    def check(value: object, place: Location, errors: ErrorCollector) -> Any:
        address = word(value, place, errors)
        if address is INVALID or address is None:
            return address
        if "@" in address or "?" in address or "#" in address:
            # Not shown: what stands there may be a key.
            errors.add(place, 'a name, a password or a key stands in the address, or a "?" or "#"',
                       f'write one like "{example}", and a key as a setting of its own',
                       )  # fmt: skip
            return INVALID
        try:
            parts = urlsplit(address)
            host = parts.hostname or ""
            good = parts.scheme in (plain, secure) and host and parts.port != 0
        except ValueError:
            good = False
        if not good or " " in address:
            errors.add(place, f"{shown(value)} is not a {plain}:// or {secure}:// address",
                       f'write one like "{example}"')  # fmt: skip
            return INVALID
        if parts.scheme == plain and not is_loopback(host):
            errors.add(place, f"{plain}:// would send the key in the clear to {_host(value, host)}",
                       f"write {secure}://, or reach it by a tunnel on 127.0.0.1")  # fmt: skip
            return INVALID
        return address

    return check


def _host(value: object, host: str) -> str:
    # A host out of a ${VAR} is shown as it is written.
    return quoted(host) if type(value) is str else shown(value)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


@takes(line_of(_FINGERPRINT.pattern))
def fingerprint(value: object, place: Location, errors: ErrorCollector) -> Any:
    """The SHA-256 of a certificate, as 64 small hex digits."""
    given = word(value, place, errors)
    if given is INVALID or given is None:
        return given
    match = _FINGERPRINT.fullmatch(given)
    if match is None:
        errors.add(place, f"{shown(value)} is not a SHA-256 fingerprint",
                   "write the 64 hex digits of the certificate's SHA-256")  # fmt: skip
        return INVALID
    return match[1].replace(":", "").lower()


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


def object_of(
    fields: Mapping[str, Check], foreign: Mapping[str, str] = MappingProxyType({})
) -> Check:
    """An object with no other keys than ``fields``. Gives a dict of those that hold.

    ``foreign``: what to do instead about keys that people bring along from elsewhere.
    """
    properties = {key: check.schema for key, check in fields.items()}

    @takes({"type": "object", "properties": properties, "additionalProperties": False})
    def check(value: object, place: Location, errors: ErrorCollector) -> Any:
        if not isinstance(value, dict):
            errors.add(place, f"{kind(value)} is not allowed here", "write an object: {...}")
            return INVALID
        for key in value:
            if key not in fields:
                hint = foreign.get(key) or did_you_mean(key, fields)
                errors.add(place.at(key), "unknown key", hint)
        return _checked({k: (v, fields[k]) for k, v in value.items() if k in fields},
                        place, errors)  # fmt: skip

    return check


def mapping(of: Check) -> Check:
    """An object with keys of the reader's own choice."""

    @takes({"type": "object", "additionalProperties": of.schema})
    def check(value: object, place: Location, errors: ErrorCollector) -> Any:
        if not isinstance(value, dict):
            errors.add(place, f"{kind(value)} is not allowed here", "write an object: {...}")
            return INVALID
        return _checked({k: (v, of) for k, v in value.items()}, place, errors)

    return check


def _checked(
    entries: Mapping[str, tuple[object, Check]], place: Location, errors: ErrorCollector
) -> dict[str, Any]:
    held = {}
    for key, (value, check) in entries.items():
        if value is INVALID:
            continue
        checked = check(value, place.at(key), errors)
        if checked is not INVALID:
            held[key] = checked
    return held


def list_of(of: Check, example: str) -> Check:
    """A list of at least one. Gives a tuple, or ``INVALID`` if any entry is."""

    @takes({"type": "array", "items": of.schema, "minItems": 1})
    def check(value: object, place: Location, errors: ErrorCollector) -> Any:
        if not isinstance(value, list) or not value:
            what = "an empty list" if value == [] else kind(value)
            errors.add(place, f"{what} is not allowed here", f"write a list like {example}")
            return INVALID
        checked = tuple(
            INVALID if item is INVALID else of(item, place.at(index), errors)
            for index, item in enumerate(value)
        )
        return INVALID if INVALID in checked else checked

    return check


def snake(key: str) -> str:
    """``keepFor`` as a dataclass has it: ``keep_for``."""
    return re.sub(r"([A-Z])", r"_\1", key).lower()


def camel(name: str) -> str:
    """``keep_for`` as the file has it: ``keepFor``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
