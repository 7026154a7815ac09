"""Completion and manual page: in the shells themselves, as far as they are here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raftsup.cli._parser import parser
from raftsup.cli.main import main
from raftsup.ops import shell

CONFIG = """{ channels: { raft: { accounts: {
    support: { profile: "s", agent: { kind: "command", command: ["cat"] } },
    sales: { profile: "t", agent: { kind: "command", command: ["cat"] } } } } } }"""


def bash(script: str, line: str, env: dict[str, str]) -> set[str]:
    """What bash offers for the last word of ``line``."""
    asked = f"""
        source "$1"
        words=({line})
        [[ "$2" == *" " ]] && words+=("")
        COMP_WORDS=("${{words[@]}}") COMP_CWORD=$((${{#words[@]}} - 1)) COMP_LINE="$2"
        function=$(complete -p raftsup | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        COMPREPLY=()
        "$function" raftsup "${{words[COMP_CWORD]}}" ""
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", asked, "bash", script, line],
        env=env, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_commands_options_actions_and_accounts(tmp_path: Path) -> None:
    script = tmp_path / "raftsup"
    script.write_text(shell.completion(parser(whole=True), "bash"))
    (tmp_path / "config.json5").write_text(CONFIG)
    program = tmp_path / "bin" / "raftsup"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m raftsup "$@"\n')
    program.chmod(0o755)
    env = {
        "PATH": f"{program.parent}:{os.defpath}",
        "HOME": str(tmp_path),
        "RAFTSUP_CONFIG_PATH": str(tmp_path / "config.json5"),
        # Found however the tests find it.
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    assert bash(str(script), "raftsup st", env) == {"start", "stop", "status"}
    assert "--transcript" in bash(str(script), "raftsup turn show --", env)
    assert {"list", "show"} <= bash(str(script), "raftsup turn ", env)
    assert {"check", "schema"} <= bash(str(script), "raftsup config ", env)
    assert bash(str(script), "raftsup turn run s", env) == {"support", "sales"}


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_can_read(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(shell.completion(parser(whole=True), name))
    assert "raftsup completion accounts" in script.read_text()
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    subprocess.run([name, "-n", str(script)], check=True, timeout=30)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_install_writes_it_where_the_shell_looks(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert main(["completion", name, "--install"]) == 0
    path = shell.completion_path(name, {}, tmp_path)
    assert path.read_text() == shell.completion(parser(whole=True), name)
    said = capsys.readouterr().out
    assert str(path) in said
    assert ("fpath" in said) is (name == "zsh")


def test_the_accounts_of_a_host_that_is_not_set_up_are_none_and_no_complaint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAFTSUP_CONFIG_PATH", str(tmp_path / "none.json5"))
    monkeypatch.setenv("RAFTSUP_STATE_DIR", str(tmp_path / "s"))
    assert main(["completion", "accounts"]) == 0
    out, err = capsys.readouterr()
    assert (out.strip(), err) == ("", "")


def test_the_manual_page_has_every_command_and_its_examples(tmp_path: Path) -> None:
    page = shell.manual(parser(whole=True), "1.2.3")
    assert "raftsup 1.2.3" in page
    if shutil.which("man") is None:
        pytest.skip("no man here")
    file = tmp_path / "raftsup.1"
    file.write_text(page)
    shown = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", str(file)],
        env={**os.environ, "MANWIDTH": "120", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"},
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    text = " ".join(shown.split())
    for words, _ in shell.parsers(parser(whole=True)):
        assert words in text
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"):
        assert heading in shown
    assert "raftsup turn show 17 --transcript" in text
    assert "exit codes:" in text
