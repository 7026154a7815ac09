"""``raft message read``: what was said at a target, and how it is printed.

Only this command, and what a held send shows, counts as read when a message is sent: ``check`` does
not. Source: commands/message/read.ts, _format.ts, commands/_target.ts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raftsup.sim import cli_errors, wire
from raftsup.sim.agent_api import AgentApi, ApiAnswer
from raftsup.sim.cli_errors import CliError
from raftsup.sim.local_state import LocalState
from raftsup.sim.messages import out, time_of
from raftsup.sim.numbers import positive
from raftsup.sim.profiles import Profile
from raftsup.sim.usage import Given

_ANCHORS = ("before", "after", "around")
_THREAD = re.compile(r"(#[^:]+|dm:@[^:]+):[0-9a-fA-F]{8}")


def read(given: Given, profile: Callable[[], Profile], environ: Mapping[str, str]) -> int:
    """Raises ``CliError``."""
    target = _target(given)
    limit = positive(given.limit, "limit", f"--limit must be a positive integer; got {given.limit}")
    asked = {name: text for name in _ANCHORS if (text := (getattr(given, name) or "").strip())}
    mine = profile()
    query = {"channel": target, **asked, **({"limit": limit} if limit else {})}
    try:
        answer = AgentApi(mine).get("/history", **query)
    except wire.WireError as error:
        raise cli_errors.unanswered("historyRead", repeatable=True) from error
    if not answer.ok:
        raise _refused(answer)
    if not answer.data:
        raise CliError(
            "INVALID_JSON_RESPONSE", "Agent API historyRead returned an empty response body"
        )
    out(f"{window(target, answer.data, asked)}\n")
    if given.around is None:
        seqs = [one["seq"] for one in answer.data.get("messages") or ()]
        LocalState(environ, mine.agent_id).saw(target, max(seqs, default=None))
    return 0


def _target(given: Given) -> str:
    target, legacy = ((text or "").strip() for text in (given.target, given.channel))
    if target and legacy and target != legacy:
        raise CliError(
            "INVALID_ARG",
            "--target and legacy --channel must refer to the same target when both are provided",
        )
    if not (target or legacy):
        raise CliError(
            "INVALID_ARG",
            "--target is required (legacy --channel is accepted during the transition)",
        )
    return target or legacy


def _refused(answer: ApiAnswer) -> CliError:
    code = answer.code or ("SERVER_5XX" if answer.status >= 500 else "READ_FAILED")
    error = CliError(code, answer.error or f"HTTP {answer.status}")
    if code == "AMBIGUOUS_ID":
        error.next_action = "Use the full message UUID instead of the 8-character short id."
    return error


def window(target: str, data: Mapping[str, Any], asked: Mapping[str, str]) -> str:
    """A page of history, as the CLI prints it."""
    found: Sequence[Mapping[str, Any]] = data.get("messages") or ()
    if not found:
        return "No messages in this channel."
    first, last, count = found[0]["seq"], found[-1]["seq"], len(found)
    head = [
        f"Read window: {count} returned, seq {first if first == last else f'{first}-{last}'},"
        f" oldest to newest. {_cursor('Older', data.get('has_older'), 'before', first)}"
        f" {_cursor('Newer', data.get('has_newer'), 'after', last)}"
    ]
    if "around" in asked:
        head.append(f"Around: {asked['around']}.")
    if (cursor := data.get("last_read_seq") or 0) > 0 and not asked:
        head.append(
            f"Server unread cursor before this read: seq {cursor}. Use raft message read --target"
            f' "{target}" --after {cursor} to browse newer messages.'
        )
    lines = [_line(target, one, n, count) for n, one in enumerate(found, 1)]
    return "\n".join([*head, "", *lines, "", f"End of window: {count}/{count} shown."])


def _cursor(label: str, exists: object, flag: str, seq: int) -> str:
    return f"{label} exist: --{flag} {seq}." if exists else f"No {label.lower()}."


def _line(target: str, one: Mapping[str, Any], n: int, count: int) -> str:
    parts = [
        f"{n}/{count}",
        f"seq={one['seq']}",
        f"msg={one['id']}",
        f"time={time_of(one.get('createdAt'))}",
        f"type={one['senderType']}",
    ]
    if not _THREAD.fullmatch(target):
        parts.append(f"replyTarget={target}:{one['id'][:8]}")
    return f"[{' '.join(parts)}] @{one.get('senderName') or 'unknown'}: {one.get('content') or ''}"
