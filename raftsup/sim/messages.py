"""``raft message check`` and ``message send``: an agent's inbox and its answers.

Source: RAFT_PROTOCOL, "What the server gives the bridge and the CLI" [commands/message/check.ts,
_inbox.ts, _format.ts, send.ts, commands/freshness/_format.ts].
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from raftsup.sim import wire
from raftsup.sim.agent_api import AgentApi, ApiAnswer
from raftsup.sim.cli_errors import CliError
from raftsup.sim.profiles import Profile

_HEREDOC = "RAFTMSG"
_MOST_ROUNDS = 50
_DRAFTS = "drafts.json"
#: A message's line: where it was said, its id's first eight characters, when, by whom.
_LINE = re.compile(
    r"\[target=(?P<target>[^ ]+) msg=(?P<id>[^ ]+) time=[^ ]+ type=\w+\] "
    r"@(?P<sender>[^:]*): (?P<text>.*)"
)


class Line(NamedTuple):
    """A message as ``check`` printed it."""

    target: str
    #: Its id's first eight characters: all that is printed of it.
    id: str
    sender: str
    text: str


def parse(printed: str) -> list[Line]:
    """The messages in what ``check`` printed, once or often: each once, as it was printed last.

    A text may go on over lines; one that looks like a message's first line is taken for one, as by
    any reader of this format. A first line that was cut short (its writer was killed) is none.
    """
    found: dict[str, Line] = {}
    last = ""
    for line in printed.split("\n"):
        if match := _LINE.fullmatch(line):
            last = match["id"]
            found[last] = Line(match["target"], last, match["sender"], match["text"])
        elif line.startswith("[target="):
            last = ""
        elif last and line not in _STATUS:
            found[last] = found[last]._replace(text=f"{found[last].text}\n{line}")
    return [line._replace(text=line.text.rstrip("\n")) for line in found.values()]


NO_MESSAGES = "No new inbox messages."
_STATUS = (
    NO_MESSAGES,
    "No more new inbox messages.",
    "More messages are pending. Run `raft message check` again.",
)


def line_of(event: Mapping[str, Any]) -> str:
    """A message's line, as the CLI prints it."""
    kind, name = event.get("channel_type"), event.get("channel_name")
    target = f"dm:@{name}" if kind == "dm" else f"#{name}"
    return (
        f"[target={target} msg={str(event.get('message_id'))[:8]} time={event.get('timestamp')}"
        f" type={event.get('sender_type')}] @{event.get('sender_name')}: {event.get('content')}"
    )


# -- check


def check(profile: Profile, next: bool) -> int:
    """Print all that is unread. The server has acknowledged it by its answer; a newer CLI does so
    by the next pull, with the cursor of what it has printed. Raises ``CliError``.
    """
    api = _api(profile)
    events: list[dict[str, Any]] = []
    query: dict[str, object] = {"ack": "cursor"} if next else {"since": "latest"}
    more = False
    for _ in range(_MOST_ROUNDS):
        answer = _asked(lambda: api.get("/events", **query))
        if not answer.ok:
            if events:
                more = True
                break
            code = "SERVER_5XX" if answer.status >= 500 else "CHECK_FAILED"
            raise CliError(code, answer.error or f"HTTP {answer.status}")
        batch, more = answer.data["events"], bool(answer.data.get("has_more"))
        events += batch
        if next:
            _print(batch)
            query["since"] = answer.data["last_seen_seq"]
        if not batch or not (more or next):
            break
    if not next:
        _print(events)
    status = _STATUS[2] if more else _STATUS[1] if events else ""
    _out(f"\n{status}\n" if events else f"{NO_MESSAGES}\n")
    return 0


def _print(events: list[dict[str, Any]]) -> None:
    _out("".join(line_of(event) + "\n" for event in events))


def _out(text: str) -> None:
    # UTF-8 whatever the locale.
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


# -- send


def content(args: argparse.Namespace, stdin: TextIO) -> str | None:
    """What is to be sent; None for the saved draft. Raises ``CliError``."""
    if args.content:
        raise CliError(
            "POSITIONAL_CONTENT_UNSUPPORTED",
            "Message content must be provided on stdin, not as positional arguments.",
        )
    if args.content_flag is not None:
        raise CliError(
            "CONTENT_FLAG_UNSUPPORTED",
            "--content is no longer supported. Pipe message content to stdin.",
        )
    if args.anyway and not args.send_draft:
        raise CliError(
            "SEND_DRAFT_ANYWAY_REQUIRES_SEND_DRAFT",
            "--anyway can only be used together with --send-draft.",
        )
    if not args.target:
        raise CliError("INVALID_ARG", "--target is required")
    if args.send_draft:
        return None
    text = "" if stdin.isatty() else stdin.buffer.read().decode("utf-8", "replace")
    if not text.strip():
        raise CliError(
            "MISSING_CONTENT",
            "No message content received on stdin.\n"
            "Use a heredoc or pipe content into raft message send:\n"
            f"  raft message send --target \"#channel\" <<'{_HEREDOC}'\n"
            f"  message body\n  {_HEREDOC}",
        )
    return text


def send(profile: Profile, args: argparse.Namespace, text: str | None) -> int:
    """Raises ``CliError``."""
    drafts = _Drafts(profile.path.parent / _DRAFTS)
    draft = drafts.get(args.target)
    if text is None:
        if draft is None:
            raise CliError("SEND_DRAFT_NOT_FOUND", "No saved draft exists for this target.")
        text = str(draft["content"])
    held_before = int(draft["reholdCount"]) if draft else 0
    body: dict[str, Any] = {
        "target": args.target,
        "content": text,
        "draftReholdCount": held_before,
    }
    if args.send_draft:
        body |= {"sendDraft": True, **({"continueAnyway": True} if args.anyway else {})}
    else:
        body["draftReplacedExisting"] = held_before > 0
        drafts.keep(args.target, text, held_before)
    answer = _asked(lambda: _api(profile).post("/v2/send", body))
    if not answer.ok:
        code = "SERVER_5XX" if answer.status >= 500 else "SEND_FAILED"
        raise CliError(code, answer.error or f"HTTP {answer.status}")
    state = answer.data.get("state") if isinstance(answer.data, dict) else None
    if state == "held":
        drafts.keep(args.target, text, held_before + 1)
        _out(_held(args.target, answer.data))
        raise CliError(
            "SEND_HELD_AS_DRAFT",
            "Message held as draft; no target delivery occurred.",
            labels=("Retryable: no",),
        )
    if state != "sent":
        raise CliError("INVALID_JSON_RESPONSE", f"unsupported state {state!r}")
    drafts.forget(args.target)
    named = str(answer.data["messageId"])
    thread = args.target if ":" in args.target else f"{args.target}:{named[:8]}"
    _out(
        json.dumps(answer.data) + "\n"
        if args.json
        else f"Message sent to {args.target}. Message ID: {named} (to reply in this message's"
        f' thread, use target "{thread}")\n'
    )
    return 0


def _held(target: str, data: Mapping[str, Any]) -> str:
    messages = data.get("heldMessages") or []
    count = len(messages)
    lines = [
        f"Held — {count} unread message{'' if count == 1 else 's'} in {target}. Your message has"
        " been saved as a draft.",
        "",
        f"  ├ Latest {count} {'─' * 28}",
        *(f"  │ @{m.get('sender_name')}  {str(m.get('content'))[:160]}" for m in messages),
        f'  └ Previews are truncated. Full text: raft message read --target "{target}"',
        "",
        "After reviewing the current state of this conversation, choose one path.",
        "To update the draft, send revised content normally:",
        f"  raft message send --target \"{target}\" <<'{_HEREDOC}'",
        "  revised message",
        f"  {_HEREDOC}",
        "To send the current draft unchanged:",
        f'  raft message send --send-draft --target "{target}"',
        "You can also choose not to send anything.",
    ]
    return "\n".join(lines) + "\n"


class _Drafts:
    """What was not delivered, by target."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _all(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            raw = json.loads(self._path.read_text(encoding="utf-8"))
            return raw if isinstance(raw, dict) else {}
        return {}

    def get(self, target: str) -> dict[str, Any] | None:
        return self._all().get(target)

    def keep(self, target: str, text: str, held: int) -> None:
        self._write({**self._all(), target: {"content": text, "reholdCount": held}})

    def forget(self, target: str) -> None:
        drafts = self._all()
        if drafts.pop(target, None) is not None:
            self._write(drafts)

    def _write(self, drafts: Mapping[str, Any]) -> None:
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(drafts, out)
        fresh.replace(self._path)


def _api(profile: Profile) -> AgentApi:
    try:
        return AgentApi(profile)
    except ValueError as error:
        raise CliError("INTERNAL_BUG", f"Unexpected error: {error}") from error


def _asked(ask: Any) -> ApiAnswer:
    try:
        answer: ApiAnswer = ask()
    except wire.WireError as error:
        # What the true one's HTTP client throws, nothing catches [core/errors.ts].
        raise CliError("INTERNAL_BUG", "Unexpected error: fetch failed") from error
    return answer
