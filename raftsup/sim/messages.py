"""``raft message check``: an agent's inbox, and how its messages are printed and read back.

Source: RAFT_PROTOCOL, "What the server gives the bridge and the CLI" [commands/message/check.ts,
_inbox.ts, _format.ts].
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from raftsup.sim import cli_errors, wire
from raftsup.sim.agent_api import AgentApi, ApiAnswer
from raftsup.sim.cli_errors import CliError
from raftsup.sim.profiles import Profile

_MOST_ROUNDS = 50
#: Newer CLIs set it before the further lines of a text, so that none can look like a message's
#: first line [shared: agentMessageText.ts].
_FURTHER = "  │ "
_SEPARATOR = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
#: A message's line: where it was said, its id's first eight characters, when, by whom.
_LINE = re.compile(
    r"\[target=(?P<target>[^ ]+) msg=(?P<id>[^ ]+) time=[^ ]+( [^ ]+)? type=\w+\] "
    r"@(?P<sender>[^:]*): (?P<text>.*)"
)
#: The same of ``read``. Where it was said stands before the id, in what a reply would name.
_READ = re.compile(
    r"\[\d+/\d+ seq=\d+ msg=(?P<id>[^ ]{8})[^ ]* time=[^ ]+ [^ ]+ type=(?P<type>\w+)"
    r" replyTarget=(?P<target>[^ ]+):[^ :]+\] @(?P<sender>[^:]*): (?P<text>.*)"
)
_WINDOW = re.compile(r"(Read window: \d+ returned, |End of window: \d+/\d+ shown\.$)")


class Line(NamedTuple):
    """A message as ``check`` or ``read`` printed it."""

    target: str
    #: Its id's first eight characters: all that is printed of it.
    id: str
    sender: str
    text: str


def parse(printed: str) -> list[Line]:
    """What people said in what ``check`` and ``read`` printed, once or often: each message once,
    as it was printed last.

    A text may go on over lines; of CLI 0.0.24, one that looks like a message's first line is taken
    for one, as by any reader of its format. A first line that was cut short (its writer was
    killed) is none.
    """
    found: dict[str, Line] = {}
    last = ""
    for line in printed.split("\n"):
        if match := _LINE.fullmatch(line) or _READ.fullmatch(line):
            last = "" if match.groupdict().get("type") == "agent" else match["id"]
            if last:
                found[last] = Line(match["target"], last, match["sender"], match["text"])
        elif line.startswith("[target=") or _WINDOW.match(line):
            last = ""
        elif last and line not in _STATUS:
            text = f"{found[last].text}\n{line.removeprefix(_FURTHER)}"
            found[last] = found[last]._replace(text=text)
    return [line._replace(text=line.text.rstrip("\n")) for line in found.values()]


NO_MESSAGES = "No new inbox messages."
_STATUS = (
    NO_MESSAGES,
    "No more new inbox messages.",
    "More messages are pending. Run `raft message check` again.",
)


def time_of(timestamp: object) -> str:
    """``2026-04-21 06:30:00Z`` of a time in ISO 8601."""
    text = str(timestamp or "-")
    return f"{text[:10]} {text[11:19]}Z" if text[10:11] == "T" else text


def line_of(event: Mapping[str, Any], next: bool = False) -> str:
    """A message's line, as the CLI prints it."""
    text = str(event.get("content"))
    if next:
        text = _SEPARATOR.sub(lambda found: found[0] + _FURTHER, text)
    if app := event.get("third_party_event"):
        return (
            f"[target=agent-event:{app['id'][:8]} msg={str(event.get('message_id'))[:8]}"
            f" time={time_of(event.get('timestamp'))} type=third_party_app] @{app['client_id']} —"
            f" {app['client_name']}: kind={app['kind']}; payload_hash={app['payload_hash']}\n{text}"
        )
    kind, name = event.get("channel_type"), event.get("channel_name")
    target = f"dm:@{name}" if kind == "dm" else f"#{name}"
    return (
        f"[target={target} msg={str(event.get('message_id'))[:8]}"
        f" time={time_of(event.get('timestamp'))} type={event.get('sender_type')}]"
        f" @{event.get('sender_name')}: {text}"
    )


# -- check


def check(profile: Profile, next: bool) -> int:
    """Print all that is unread. The server has acknowledged it by its answer: 0.0.24 prints when it
    has all of it, and what it could not print is lost. A newer CLI acknowledges by the next pull,
    with the cursor of what it has printed. Raises ``CliError``.
    """
    query: dict[str, object] = {"ack": "cursor"} if next else {"since": "latest"}
    events: list[dict[str, Any]] = []
    more = False
    try:
        api = AgentApi(profile)
        for _ in range(_MOST_ROUNDS):
            answer = api.get("/events", **query)
            if not answer.ok and events:
                more = True
                break
            batch, more = _batch(answer), bool((answer.data or {}).get("has_more"))
            events += batch
            if next:
                out("".join(f"{line_of(event, next)}\n" for event in batch))
                query["since"] = answer.data["last_seen_seq"]
            if not batch or not (more or next):
                break
    except wire.WireError as error:
        raise cli_errors.unanswered("events", repeatable=True) from error
    if not events:
        out(f"{NO_MESSAGES}\n")
        return 0
    lines = [] if next else [line_of(event) for event in sorted(events, key=_by_seq)]
    out("".join(f"{line}\n" for line in (*lines, _STATUS[2] if more else _STATUS[1])))
    return 0


def _batch(answer: ApiAnswer) -> list[dict[str, Any]]:
    if not answer.ok:
        code = "SERVER_5XX" if answer.status >= 500 else "CHECK_FAILED"
        raise CliError(code, answer.error or f"HTTP {answer.status}")
    found = answer.data.get("events") if isinstance(answer.data, dict) else None
    if not isinstance(found, list):
        raise CliError("INVALID_JSON_RESPONSE", "Agent API events returned no events")
    return found


def _by_seq(event: Mapping[str, Any]) -> float:
    seq = event.get("seq")
    return seq if isinstance(seq, int) and seq > 0 else float("inf")


def out(text: str) -> None:
    # UTF-8 whatever the locale.
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
