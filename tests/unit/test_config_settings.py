from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.config.errors import ConfigError
from raftsup.config.load import load
from raftsup.config.model import Dedupe, LedgerSettings, Supervisor, Turns
from raftsup.config.schema import SECTIONS, variable
from raftsup.config.validators import parse_duration, parse_size, snake, write_duration, write_size
from tests.unit.config_trees import AGENT, config, config_text, problems

CHANNELS = {"raft": {"profile": "p", "agent": AGENT}}
MISSPELT = [("turns.concurency", "turns.concurrency"), ("dedupe.max_entries", "dedupe.maxEntries")]


@given(st.integers(0, 10 * 365 * 86_400_000))
def test_durations_round_trip_to_the_millisecond(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(write_duration(seconds)) == seconds


@given(st.integers(0, 1 << 49))
def test_a_size_that_was_written_is_read_as_the_same(size: int) -> None:
    assert parse_size(write_size(size)) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("24h", 86400), ("10m", 600), ("90s", 90), ("500ms", 0.5), ("7d", 604800), ("1.5 s", 1.5),
     ("10", None), ("-1s", None), ("1h30m", None), ("\u0661s", None), ("1M", None), ("", None)],
)  # fmt: skip
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("256KiB", 262144), ("1GiB", 1 << 30), ("64MB", 64_000_000), ("1.5KiB", 1536),
     ("10B", 10), ("10", None), ("1.0001KiB", None), ("1 gib", None)],
)  # fmt: skip
def test_a_size_is_a_number_with_a_unit(text: str, size: int | None) -> None:
    assert parse_size(text) == size


def section(name: str, values: dict[str, Any]) -> Any:
    return getattr(config({"channels": CHANNELS, name: values}), name)


def test_without_settings_the_defaults_of_the_model_hold() -> None:
    held = config({"channels": CHANNELS})
    assert (held.turns, held.dedupe, held.ledger, held.supervisor) == (
        Turns(), Dedupe(), LedgerSettings(), Supervisor(),
    )  # fmt: skip


@pytest.mark.parametrize("name", SECTIONS)
def test_every_field_of_the_model_is_a_setting_and_takes_its_own_default(name: str) -> None:
    fields = asdict(SECTIONS[name].model())
    values = {key: fields[snake(key)] for key in SECTIONS[name].settings}
    assert {snake(key) for key in values} == set(fields)
    assert section(name, values) == SECTIONS[name].model()


def test_settings_are_read_in_their_units() -> None:
    assert section("turns", {"timeout": "2m", "keepFor": 5, "transcript": "4KiB"}) == Turns(
        timeout=120.0, keep_for=5.0, transcript=4096
    )
    assert section("ledger", {"mapSize": "64MB"}) == LedgerSettings(64_000_000)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("turns.concurrency", 0), ("turns.concurrency", 1.5), ("turns.concurrency", True),
        ("turns.concurrency", "4"), ("turns.concurrency", 10**400), ("turns.attempts", 0),
        ("turns.timeout", 0), ("turns.timeout", "0s"), ("turns.timeout", -1),
        ("turns.timeout", "soon"), ("turns.timeout", None), ("turns.timeout", math.inf),
        ("turns.timeout", math.nan), ("turns.timeout", 10**400), ("turns.drain", -1),
        ("turns.coalesce", "all"), ("turns.coalesce", 1), ("turns.keep", -1),
        ("turns.transcript", "1B"), ("turns.transcript", math.nan), ("turns.pause", 0),
        ("dedupe.ttl", 0), ("dedupe.maxEntries", 0), ("ledger.mapSize", 1),
        ("supervisor.watchdog", "1ms"), ("supervisor.reload", "cold"),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_an_error_that_says_what_is_allowed(
    path: str, value: object
) -> None:
    name, key = path.split(".")
    found = problems({"channels": CHANNELS, name: {key: value}})
    assert list(found) == [path]
    assert "write " in found[path]


def test_a_hexadecimal_number_of_thousands_of_digits_is_only_out_of_bounds() -> None:
    # Python refuses to print it in decimal.
    with pytest.raises(ConfigError, match="a huge number"):
        config_text("{turns: {keep: 0x" + "f" * 5000 + "}}")


def test_the_first_pause_is_not_longer_than_the_longest() -> None:
    assert (
        "turns.maxPause (5m)"
        in problems({"channels": CHANNELS, "turns": {"pause": "6m"}})["turns.pause"]
    )
    assert section("turns", {"pause": "6m", "maxPause": "6m"}).pause == 360
    # A longest pause below the default of the first is no mistake of anybody's: it bounds it.
    assert section("turns", {"maxPause": "1s"}).max_pause == 1.0


def test_a_flag_comes_before_the_environment_before_the_file_before_the_default() -> None:
    tree = {"channels": CHANNELS, "turns": {"concurrency": 5, "attempts": 5, "keep": 5}}
    environ = {"RAFTSUP_TURNS_CONCURRENCY": "6", "RAFTSUP_TURNS_ATTEMPTS": "6"}
    turns = config(tree, environ, {"turns.concurrency": "7"}).turns
    assert (turns.concurrency, turns.attempts, turns.keep, turns.timeout) == (7, 6, 5, 600.0)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_can_be_set_by_the_environment_and_by_a_flag(name: str) -> None:
    fields = asdict(SECTIONS[name].model())
    written = {key: str(fields[snake(key)]) for key in SECTIONS[name].settings}
    environ = {variable(name, key): text for key, text in written.items()}
    flags = {f"{name}.{key}": text for key, text in written.items()}
    for held in (
        config({"channels": CHANNELS}, environ),
        config({"channels": CHANNELS}, {}, flags),
    ):
        assert getattr(held, name) == SECTIONS[name].model()


def test_variables_are_named_after_the_settings() -> None:
    environ = {"RAFTSUP_TURNS_KEEP_FOR": "3d", "RAFTSUP_DEDUPE_MAX_ENTRIES": "9"}
    held = config({"channels": CHANNELS}, environ)
    assert (held.turns.keep_for, held.dedupe.max_entries) == (259200.0, 9)


def test_an_error_in_the_environment_or_a_flag_names_the_variable_or_the_flag() -> None:
    found = problems(
        {"channels": CHANNELS}, {"RAFTSUP_TURNS_TIMEOUT": "x"}, {"turns.concurrency": "0"}
    )
    assert set(found) == {"RAFTSUP_TURNS_TIMEOUT in the environment", "--set turns.concurrency=0"}


def test_unknown_or_blank_variables_are_not_errors() -> None:
    environ = {"RAFTSUP_TURN": "1", "RAFTSUP_OTHER": "x", "RAFTSUP_TURNS_KEEP": " "}
    assert config({"channels": CHANNELS}, environ).turns == Turns()


@pytest.mark.parametrize(("path", "meant"), MISSPELT)
def test_an_unknown_flag_setting_is_an_error_with_a_guess(path: str, meant: str) -> None:
    found = problems({"channels": CHANNELS}, {}, {path: "1"})
    assert f'did you mean "{meant}"?' in found[f"--set {path}=1"]


def test_a_number_may_come_from_a_variable_in_the_file() -> None:
    tree = json.loads('{"turns": {"concurrency": "${N}"}}') | {"channels": CHANNELS}
    assert config(tree, {"N": "8"}).turns.concurrency == 8


def test_a_number_from_outside_may_have_any_space_around_it(tmp_path: Path) -> None:
    file = tmp_path / "c.json5"
    file.write_text('{channels:{raft:{profile:"p",agent:{kind:"command",command:["a"]}}}}')
    assert load(file, {}, {"turns.keep": " 7\x1f"}).turns.keep == 7
