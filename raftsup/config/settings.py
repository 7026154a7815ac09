"""Scalar settings: flag before environment before file before default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raftsup.config.errors import ErrorCollector, ExternalText, Location, quoted
from raftsup.config.schema import SECTIONS, variable
from raftsup.config.validators import INVALID, Check, did_you_mean, snake, write_duration


@dataclass(frozen=True)
class Setting:
    """One value that is not the default, with the place to name if it does not fit."""

    value: Any
    place: Location


Settings = dict[tuple[str, str], Setting]


def collect(
    tree: Mapping[str, Any],
    file: Location,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
    errors: ErrorCollector,
) -> Settings:
    """What the file (``tree``, already checked), the environment and the flags set."""
    settings: Settings = {}
    paths = {
        f"{name}.{key}": (name, key, check)
        for name, section in SECTIONS.items()
        for key, check in section.settings.items()
    }
    for name, key, check in paths.values():
        if key in tree.get(name, {}):
            settings[name, key] = Setting(tree[name][key], file.at(name, key))
        written = environ.get(variable(name, key), "")
        if written.strip():
            place = Location(f"{variable(name, key)} in the environment")
            _take(settings, (name, key), check, written, place, errors)
    for path, written in flags.items():
        flag = f"{path}={written}"
        place = Location(f"--set {flag if flag.isprintable() else quoted(flag)}")
        if path in paths:
            name, key, check = paths[path]
            _take(settings, (name, key), check, written, place, errors)
        else:
            errors.add(place, f"there is no setting {quoted(path)}", did_you_mean(path, paths))
    for section, shorter, longer in _ORDERED:
        _check_order(settings, section, shorter, longer, errors)
    return settings


def _take(
    settings: Settings,
    key: tuple[str, str],
    check: Check,
    written: str,
    place: Location,
    errors: ErrorCollector,
) -> None:
    value = check(ExternalText(written, written), place, errors)
    if value is not INVALID:
        settings[key] = Setting(value, place)


#: The rules between two settings of a section: the first is not longer than the second.
_ORDERED = (("turns", "pause", "maxPause"), ("supervisor", "bridgeSilence", "bridgeRestart"))
#: Of these a default gives way: it is a first delay, which the longest bounds.
_GIVES_WAY = {("turns", "pause")}


def _check_order(
    settings: Settings, section: str, shorter: str, longer: str, errors: ErrorCollector
) -> None:
    first, second = settings.get((section, shorter)), settings.get((section, longer))
    if first is None and (section, shorter) in _GIVES_WAY:
        return
    model = SECTIONS[section].model()
    low = first.value if first else getattr(model, snake(shorter))
    high = second.value if second else getattr(model, snake(longer))
    culprit = first or second
    if culprit is not None and low > high:
        one, other = f"{section}.{shorter}", f"{section}.{longer}"
        errors.add(
            culprit.place,
            f"{one} ({write_duration(low)}) is longer than {other} ({write_duration(high)})",
            f"make {one} shorter or {other} longer",
        )


def build(section: str, settings: Settings) -> Any:
    """The section's frozen dataclass, with defaults where nothing was set."""
    return SECTIONS[section].model(
        **{snake(key): s.value for (name, key), s in settings.items() if name == section}
    )
