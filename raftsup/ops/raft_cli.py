"""Asking the Raft CLI: is it there, which profiles has it, whose agent is one."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from raftsup.childenv import clean_env
from raftsup.ops.plain import plain

#: Seconds for one question; ``whoami`` asks Raft itself.
PATIENCE = 30.0


class CliTrouble(Exception):
    """The CLI is missing or did not answer; the message says why and what to do."""


@dataclass(frozen=True)
class Whoami:
    agent_id: str
    server: str


def located(command: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """The program that ``command`` starts, with its whole path; None if there is none."""
    return shutil.which(command[0], path=environ.get("PATH", os.defpath))


def whoami(
    command: Sequence[str],
    profile: str,
    environ: Mapping[str, str],
    patience: float | None = None,
) -> Whoami:
    """Whose agent ``profile`` is: ``raft --profile P auth whoami``. Raises ``CliTrouble``.

    ``patience``: seconds; None: ``PATIENCE``.
    """
    patience = PATIENCE if patience is None else patience
    if located(command, environ) is None:
        raise CliTrouble(missing(command))
    raft = shlex.join([*command, "--profile", profile])
    shown = f"`{raft} auth whoami`"
    try:
        done = ask([*command, "--profile", profile, "auth", "whoami"], environ, patience)
    except subprocess.TimeoutExpired:
        raise CliTrouble(f"{shown} gave no answer in {patience:g} s; try it by hand") from None
    except (OSError, ValueError) as error:
        raise CliTrouble(f"{shown} cannot be run: {error}") from None
    if done.returncode != 0:
        said = _said(done.stderr or done.stdout) or f"it ended with {done.returncode}"
        raise CliTrouble(f"{shown} failed: {said}; sign in with `{raft} auth login`")
    answer = _object(done.stdout.decode("utf-8", "replace"))
    # The CLI nests what it says below ``data`` [commands/auth/whoami.ts]; others may not.
    nested = answer.get("data")
    answer = nested if isinstance(nested, dict) else answer
    agent_id = answer.get("agentId")
    if not isinstance(agent_id, str) or not agent_id.strip().isprintable() or not agent_id.strip():
        raise CliTrouble(f"{shown} told no agentId; is the profile associated with an agent?")
    return Whoami(agent_id.strip(), _line(str(answer.get("serverUrl", "an unnamed server"))))


def ask(
    argv: Sequence[str], environ: Mapping[str, str], patience: float
) -> subprocess.CompletedProcess[bytes]:
    """Run ``argv`` to its end. Raises ``subprocess.TimeoutExpired`` after ``patience`` seconds,
    ``OSError``, ``ValueError``; nothing that it started as a child is left then.
    """
    with subprocess.Popen(
        argv, env=clean_env(environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=patience)
        except BaseException:
            _end(process.pid)
            raise
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def _end(pid: int) -> None:
    # The CLI may be a script around another program, which would stay. Not a group of its own to
    # be killed whole: Ctrl-C would not reach that.
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in (*top.children(recursive=True), top):
            with contextlib.suppress(psutil.Error):
                process.kill()


def missing(command: Sequence[str]) -> str:
    return (
        f"there is no Raft CLI {command[0]!r} on the PATH; install it with"
        " `npm i -g @botiverse/raft`, or name its path: `command` in the config, --command of"
        " `raftsup setup`"
    )


def _object(text: str) -> dict[str, Any]:
    """The JSON object in what was printed, also behind a line of something else."""
    begin = text.find("{")
    try:
        found = json.JSONDecoder().raw_decode(text, begin)[0] if begin >= 0 else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _said(output: bytes) -> str:
    """The CLI's own words in one line."""
    lines = output.decode("utf-8", "replace").split("\n")
    return _line(", ".join(line.strip() for line in lines if line.strip()))


def _line(text: str) -> str:
    return plain(text)[:300]
