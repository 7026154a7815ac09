"""The demo's agent: ``python -m raftsup.sim.agent`` reads its inbox and echoes each message.

It may be killed at any moment. ``message check`` writes straight into the journal; then each entry
without an answer is answered, and marked after the answer is sent. Killed between the two, it
answers twice: late, never silent. Before it answers it reads what was said there (``message read``,
also into the journal): what it has not read holds its answer back, and a hold acknowledges what
it shows, which so would never come again. What the CLI 0.0.24 has from the server and not yet
written when it is killed, is lost: that server acknowledges as it answers. With a newer CLI
(``RAFT_SIM_CLI_MODE=next``), which acknowledges what it has printed, nothing is. Its run log tells
when two runs overlapped, which a host must never let happen.

Environment: ``RAFT_PROFILE`` (whose inbox), ``RAFT_SIM_CLI`` (the ``raft`` command),
``RAFT_SIM_AGENT_DIR`` (where journal and run log lie; default beside the profile),
``RAFT_SIM_AGENT_SECONDS`` (time to think), ``RAFT_SIM_AGENT_EXIT`` (code to end with),
``RAFT_SIM_AGENT_HANG`` (never end).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from raftsup.sim import messages, profiles
from raftsup.sim.messages import Line

JOURNAL = "journal"
ANSWERED = "answered"
RUNS = "runs.jsonl"
#: What the last ``message send`` printed.
SAID = "said"


class CommandFailed(Exception):
    """The ``raft`` command did not end with 0."""


def unanswered(journal: str, answered: str) -> list[Line]:
    """Entries that have no answer yet, each message once, in order. An app waits for none."""
    done = {line.split()[0] for line in answered.splitlines() if line}
    owed = [line for line in messages.parse(journal) if line.id not in done]
    return [line for line in owed if not line.target.startswith("agent-event:")]


def main() -> int:
    environ = os.environ
    if not sys.stdin.isatty():
        # That a notice came is all there is to know.
        sys.stdin.buffer.read()
    folder = agent_dir(environ)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _alone(folder):
        _log(folder, "overlap", environ)
    _log(folder, "begin", environ)
    while environ.get("RAFT_SIM_AGENT_HANG"):
        time.sleep(3600)
    time.sleep(float(environ.get("RAFT_SIM_AGENT_SECONDS") or 0))
    cli = [*shlex.split(environ.get("RAFT_SIM_CLI") or "raftsup-sim-raft"), "--profile"]
    cli.append(environ["RAFT_PROFILE"])
    try:
        _take_turn(folder, cli)
    except CommandFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _log(folder, "end", environ)
    return int(environ.get("RAFT_SIM_AGENT_EXIT") or 0)


def agent_dir(environ: Mapping[str, str]) -> Path:
    if chosen := environ.get("RAFT_SIM_AGENT_DIR"):
        return Path(chosen)
    return profiles.profile_dir(environ["RAFT_PROFILE"], environ) / "agent"


def _alone(folder: Path) -> bool:
    """Whether nothing of another run of this agent is left.

    The lock's descriptor is inherited by all that this run starts and is never closed here.
    """
    descriptor = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _take_turn(folder: Path, cli: list[str]) -> None:
    # A torn line of a killed predecessor must not swallow the first new one.
    _note(folder, b"\n")
    _read(folder, [*cli, "message", "check"])
    looked: set[str] = set()
    while owed := _owed(folder):
        target = owed[0].target
        if target not in looked:
            looked.add(target)
            _read(folder, [*cli, "message", "read", "--target", target])
            continue
        entry = owed[0]
        reply = f"echo: {entry.text}".encode()
        _answer(folder, cli, target, reply)
        with _appending(folder / ANSWERED) as marks:
            marks.write(f"{entry.id} {os.environ.get('RAFTSUP_TURN', '')}\n".encode())


def _owed(folder: Path) -> list[Line]:
    answered = folder / ANSWERED
    done = answered.read_text() if answered.exists() else ""
    journal = (folder / JOURNAL).read_text(encoding="utf-8", errors="replace")
    return unanswered(journal, done)


def _note(folder: Path, data: bytes) -> None:
    with _appending(folder / JOURNAL) as out:
        out.write(data)


def _read(folder: Path, argv: list[str]) -> None:
    """Raises ``CommandFailed``."""
    with _appending(folder / JOURNAL) as out:
        _call(argv, stdout=out.fileno())


def _answer(folder: Path, cli: list[str], target: str, reply: bytes) -> None:
    """Send it. What is held is sent as it is, one of the ways that the CLI then prints, once what
    held it is in the journal.

    Raises ``CommandFailed``.
    """
    send = [*cli, "message", "send", "--target", target]
    said = folder / SAID
    while True:
        with os.fdopen(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            try:
                _call(send, stdout=out.fileno(), stdin=reply)
                return
            except CommandFailed:
                if not said.read_bytes().startswith(b"Held "):
                    raise
        _read(folder, [*cli, "message", "read", "--target", target])
        send, reply = [*cli, "message", "send", "--target", target, "--send-draft"], b""


def _call(argv: list[str], stdout: int | None = None, stdin: bytes = b"") -> None:
    """Run to the end. ``posix_spawn`` alone: importing ``subprocess`` costs more than it saves.

    Raises ``CommandFailed``.
    """
    reading, writing = os.pipe()
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, reading, 0)]
    if stdout is not None:
        actions.append((os.POSIX_SPAWN_DUP2, stdout, 1))
    try:
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    except OSError as error:
        raise CommandFailed(f"{argv[0]} cannot be started: {error.strerror}") from error
    finally:
        os.close(reading)
    # A command that ends before it has read tells why with its exit code.
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as body:
        body.write(stdin)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != 0:
        verb = next(word for word in ("check", "read", "send") if word in argv)
        raise CommandFailed(f"raft message {verb} ended with {code}")


def _log(folder: Path, what: str, environ: Mapping[str, str]) -> None:
    run = {
        "event": what,
        "turn": environ.get("RAFTSUP_TURN", ""),
        "attempt": environ.get("RAFTSUP_ATTEMPT", ""),
        "pid": os.getpid(),
        "at": time.time(),
    }
    with _appending(folder / RUNS) as out:
        out.write(json.dumps(run).encode() + b"\n")


def _appending(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


if __name__ == "__main__":
    sys.exit(main())
