"""Which instance a command line is about: flag, environment, default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raftsup import exit_codes
from raftsup.cli._parser import parser
from raftsup.cli.context import choose_instance, chosen_by
from raftsup.cli.main import main
from raftsup.ops.command_hints import addressed
from raftsup.paths import StateDirError, default_config_path, default_state_dir, throwaway

HOME = {"HOME": "/h"}


def chosen(words: str, **environ: str) -> dict[str, str]:
    found = {**HOME, **environ}
    choose_instance(parser().parse_args(words.split()), found)
    return found


def test_a_name_chooses_both_folders() -> None:
    environ = chosen("--name staging status")
    assert default_state_dir(environ) == Path("/h/.local/state/raftsup-staging")
    assert default_config_path(environ) == Path("/h/.config/raftsup-staging/raftsup.json5")


def test_the_flag_counts_for_more_than_the_environment_and_that_for_more_than_the_default() -> None:
    other = {"RAFTSUP_STATE_DIR": "/other", "RAFTSUP_CONFIG_PATH": "/other.json5"}
    assert default_state_dir(chosen("status", **other, RAFTSUP_NAME="b")) == Path("/other")
    assert default_state_dir(chosen("status", RAFTSUP_NAME="b")).name == "raftsup-b"
    flagged = chosen("--name staging status", **other, RAFTSUP_NAME="b")
    assert default_state_dir(flagged).name == "raftsup-staging"
    assert default_config_path(flagged).parent.name == "raftsup-staging"
    assert default_state_dir(chosen("status")).name == "raftsup"


@pytest.mark.parametrize("name", ["../x", "a b", "-x", "a" * 33, "a/b", "%h", ".."])
def test_a_name_that_could_be_another_place_is_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([f"--name={name}", "status"])
    assert "letters" in capsys.readouterr().err
    with pytest.raises(StateDirError, match="letters"):
        default_state_dir({**HOME, "RAFTSUP_NAME": name})


@pytest.mark.parametrize("words", ["--dev status", "up --dev", "--dev up"])
def test_the_throwaway_instance_is_addressed_on_either_side(words: str, tmp_path: Path) -> None:
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path), "RAFTSUP_STATE_DIR": "/other"}
    environ = chosen(words, **runtime)
    assert default_state_dir(environ) == tmp_path / "raftsup-dev" / "state"
    assert throwaway({"XDG_RUNTIME_DIR": "/gone"}).name.startswith("raftsup-dev-")


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        ("setup", "raftsup up -d && raftsup status"),
        ("--name a setup", "raftsup --name a up -d && raftsup --name a status"),
        ("setup --config /c", "RAFTSUP_CONFIG_PATH=/c raftsup up -d"
         " && RAFTSUP_CONFIG_PATH=/c raftsup status"),
        ("--name a setup --config /c", "RAFTSUP_NAME=a RAFTSUP_CONFIG_PATH=/c raftsup up -d"
         " && RAFTSUP_NAME=a RAFTSUP_CONFIG_PATH=/c raftsup status"),
        ("--dev account list", "raftsup --dev up -d && raftsup --dev status"),
    ],
)  # fmt: skip
def test_the_next_command_is_about_the_instance_of_this_one(words: str, typed: str) -> None:
    chosen = chosen_by(parser().parse_args(words.split()))
    said = addressed("Next:\n  raftsup up -d && raftsup status", *chosen)
    assert said == f"Next:\n  {typed}"


def test_a_typed_name_and_file_mean_that_file_and_not_the_names_own() -> None:
    environ = chosen("status", RAFTSUP_NAME="a", RAFTSUP_CONFIG_PATH="/c")
    assert default_config_path(environ) == Path("/c")
    assert default_state_dir(environ).name == "raftsup-a"


@pytest.mark.parametrize("command", ["setup", "install", "start", "restart"])
def test_a_throwaway_instance_is_not_set_up_and_no_service(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAFTSUP_STATE_DIR", "RAFTSUP_CONFIG_PATH"):
        monkeypatch.setenv(name, "/nowhere")
    assert main(["--dev", command]) == exit_codes.USAGE
    assert "the throwaway instance" in capsys.readouterr().err


def test_a_throwaway_instance_has_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--dev", "--name", "x", "status"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "staging", "health"], "`raftsup --name staging up`"),
        (["health"], "`raftsup up`"),
        (["--name", "staging", "reload"], "`raftsup --name staging up`"),
        (["--dev", "status"], "`raftsup --dev up`"),
        (["reload", "--state-dir", "/no/where"], "`RAFTSUP_STATE_DIR=/no/where raftsup up`"),
    ],
)
def test_what_is_suggested_is_about_the_instance_that_was_asked_for(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in os.environ if name.startswith(("RAFT", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("RAFTSUP_NAME", "RAFTSUP_STATE_DIR", "RAFTSUP_CONFIG_PATH"):
        monkeypatch.setenv(name, "")  # the command line sets them, for this process
    assert main(words) == exit_codes.NOT_RUNNING
    told = capsys.readouterr()
    assert said in told.out + told.err
