"""Asking the Raft CLI: is it there, whose agent is a profile; and signing one in."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psutil

from raftsup import raft_errors, raft_home
from raftsup.errors import RaftsupError
from raftsup.proc.env import clean_env
from raftsup.raft_errors import Who
from raftsup.terminal import plain

#: Seconds for one question; some ask Raft itself.
TIMEOUT_S = 30.0


class CliTrouble(RaftsupError):
    """The CLI is missing, or did not do it; the message says why and what to do."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        #: The CLI's own error code, where it gave one.
        self.code = code


@dataclass(frozen=True)
class Whoami:
    agent_id: str
    server: str
    #: Why Raft could not be asked whether that is still so; "" where it was, or nobody asks.
    unconfirmed: str = ""
    #: What Raft has against its credential; "" where it takes it, or nobody asks.
    refused: str = ""


@dataclass(frozen=True)
class Listed:
    """An agent that somebody may sign in as."""

    id: str
    name: str


def located(command: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """The program that ``command`` starts, with its whole path; None if there is none."""
    return shutil.which(command[0], path=environ.get("PATH", os.defpath))


def whoami(
    command: Sequence[str],
    profile: str,
    environ: Mapping[str, str],
    timeout: float = TIMEOUT_S,
) -> Whoami:
    """Whose agent ``profile`` is: ``raft --profile P auth whoami``. Raises ``CliTrouble``.

    ``timeout``: in seconds.
    """
    who = who_of(command, profile, environ)
    done = _run(command, ("--profile", profile, "auth", "whoami"), environ, timeout, who.whoami)
    answer = _object(done.stdout.decode("utf-8", "replace"))
    # The CLI nests what it says below ``data`` [commands/auth/whoami.ts]; others may not.
    nested = answer.get("data")
    said = nested if isinstance(nested, dict) else answer
    agent_id = said.get("agentId")
    told = isinstance(agent_id, str) and agent_id.strip() and agent_id.strip().isprintable()
    # A newer CLI asks Raft, and where it cannot says so, and still whose profile it is.
    if done.returncode != 0 and not (told and answer.get("ok") is False):
        raise _trouble(f"`{who.whoami}`", done, who)
    if not told:
        raise CliTrouble(f"`{who.whoami}` told no agentId; is the profile that of an agent?")
    doubt = _trouble("it", done, who) if done.returncode != 0 else ""
    server = _line(str(said.get("serverUrl", "an unnamed server")))
    return Whoami(str(agent_id).strip(), server, str(doubt))


def confirmed(
    command: Sequence[str],
    profile: str,
    environ: Mapping[str, str],
    timeout: float = TIMEOUT_S,
) -> Whoami:
    """``whoami``, and whether Raft still takes the credential: the CLI itself may look at the file
    alone. Raises ``CliTrouble``.
    """
    found = whoami(command, profile, environ, timeout)
    match standing(who_of(command, profile, environ), environ, timeout):
        case "expired":
            return replace(found, refused="it was revoked or has expired")
        case "mismatch":
            return replace(found, refused="it is another agent's, or another server's")
        case "unverified" if not found.unconfirmed:
            return replace(found, unconfirmed="it gave no answer")
    return found


def who_of(command: Sequence[str], profile: str, environ: Mapping[str, str]) -> Who:
    """A profile, with what its credential says; one that has none is at the others' server. Its
    commands are for the shell that this process was started in.
    """
    prefix = raft_home.prefix(environ, os.environ)
    found = raft_home.read(profile, environ)
    if found is not None:
        return Who(profile, command, found.agent_id, found.server_url, prefix)
    return Who(profile, command, server=raft_home.usual_server(environ), prefix=prefix)


def standing(who: Who, environ: Mapping[str, str], timeout: float = TIMEOUT_S) -> str:
    """What ``raft agent login status`` says of the profile: ``usable``, ``missing``, ``expired``,
    ``mismatch``, ``invalid``, ``unverified``; "" where it says nothing that we know. Raises
    ``CliTrouble`` where the agent id is none.
    """
    words = ("agent", "login", "status", *_login_flags(who))
    try:
        done = _run(who.command, words, environ, timeout, f"{who.raft} agent login status")
    except CliTrouble:
        return ""
    trouble = _trouble(f"`{who.login}`", done, who)
    if trouble.code == "INVALID_AGENT_ID":
        raise trouble
    first = done.stdout.decode("utf-8", "replace").partition("\n")[0]
    return first.removeprefix("state: ").strip() if first.startswith("state: ") else ""


def login(who: Who, token: str, environ: Mapping[str, str]) -> None:
    """Sign a profile in: ``raft agent login``, the token on its standard input and nowhere else.

    Raises ``CliTrouble``.
    """
    words = ("agent", "login", *_login_flags(who))
    done = _run(who.command, words, environ, TIMEOUT_S, who.login, f"{token}\n".encode())
    if done.returncode != 0:
        raise _trouble(f"`{who.login}`", done, who)


def _login_flags(who: Who) -> tuple[str, ...]:
    return (
        *("--server", who.server or "", "--agent", who.agent_id or ""),
        *("--profile-slug", who.profile),
    )


def agents(command: Sequence[str], server: str, environ: Mapping[str, str]) -> list[Listed]:
    """The agents that a person may sign in as: ``raft agent list``, which shows on the terminal
    where the browser is to approve it, and waits for that. Raises ``CliTrouble``.
    """
    argv = [*command, "agent", "list", "--server", server]
    shown = f"`{shlex.join(argv)}`"
    if located(command, environ) is None:
        raise CliTrouble(missing(command))
    try:
        # Its words are for the person, as is its standard input: Enter opens the browser.
        done = subprocess.run(argv, env=clean_env(environ), stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError) as error:
        raise CliTrouble(f"{shown} cannot be run: {error}") from None
    data = _object(done.stdout.decode("utf-8", "replace")).get("data")
    listed = data.get("agents") if isinstance(data, dict) else None
    if done.returncode != 0 or not isinstance(listed, list):
        raise CliTrouble(f"{shown} ended with {done.returncode}; write the agent's id by hand")
    return [
        Listed(_line(str(one["id"])), _line(str(one.get("name", ""))))
        for one in listed
        if isinstance(one, dict) and one.get("id")
    ]


def _run(
    command: Sequence[str],
    words: Sequence[str],
    environ: Mapping[str, str],
    timeout: float,
    shown: str,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """Raises ``CliTrouble`` where it gives no answer."""
    if located(command, environ) is None:
        raise CliTrouble(missing(command))
    try:
        return ask([*command, *words], environ, timeout, stdin)
    except subprocess.TimeoutExpired:
        raise CliTrouble(f"`{shown}` gave no answer in {timeout:g} s; try it by hand") from None
    except (OSError, ValueError) as error:
        raise CliTrouble(f"`{shown}` cannot be run: {error}") from None


def _trouble(shown: str, done: subprocess.CompletedProcess[bytes], who: Who) -> CliTrouble:
    """What the CLI said, in its words, and what to do about it."""
    said = raft_errors.parse(done.stderr.decode("utf-8", "replace"))
    words = said.message or _said(done.stderr or done.stdout) or f"it ended with {done.returncode}"
    code = f" ({said.code})" if said.code else ""
    means, fix = raft_errors.advice(said.code, who, said.message)
    text = "; ".join(filter(None, (f"{shown} failed: {words}{code}", means, fix)))
    return CliTrouble(text, said.code)


def ask(
    argv: Sequence[str], environ: Mapping[str, str], timeout: float, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run ``argv`` to its end, ``stdin`` on its standard input. Raises
    ``subprocess.TimeoutExpired`` after ``timeout`` seconds, ``OSError``, ``ValueError``; nothing
    that it started as a child is left then.
    """
    with subprocess.Popen(
        argv, env=clean_env(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(stdin, timeout=timeout)
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
    where, name = "on the PATH", "name its path"
    if "/" in command[0]:
        where, name = "that can be started", "correct its path"
    return (
        f"there is no Raft CLI {command[0]!r} {where}; install it with"
        f" `npm i -g @botiverse/raft`, or {name}: `command` in the config, --command of"
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
