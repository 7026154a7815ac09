"""What the fake model says next: pure functions over the conversation that it is sent.

It plays an agent that does what the notice tells it. It reads (``message check``, straight into
a journal, so that what is acknowledged is in the journal), answers each entry of the journal that
has no answer, and reads again, until nothing is left. An answer: what was said there is read
(``message read``, into the journal as well, since what is unread holds an answer back and is then
acknowledged), the answer sent (``message send``; held, once more), and marked. All
that it knows is in the conversation and in that journal: a run may be killed at any moment, and
the next one goes on. Killed between an answer and its mark, it answers twice: late, never silent.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raftsup.sim.messages import Line
from raftsup.sim.messages import parse as messages_of

#: One message of an OpenAI-style conversation.
Message = Mapping[str, Any]
TOOL = "exec"
#: At most so many answers at once: each is a process.
BATCH = 4
DONE = "Nothing is left to answer."
IDLE = "Nobody asked me to read anything."
FAILED = "A command failed; I stop here."
#: What the Gateway says to an agent whose turn it resumes after its own restart. Where the turn
#: had not got as far as an answer, the old notice stands before it in the same message.
_RESUMED = "Your previous turn was interrupted by a gateway restart"
_FAILED_MARK = "raft: the command failed"
#: Of the messages in the second file those whose mark is not in the first, with all their lines.
_UNANSWERED = (
    "FILENAME == ARGV[1] { done[$1]; next } "
    "/^\\[target=/ { show = /^\\[target=[^ ]+ msg=[^ ]+ time=[^ ]+( [^ ]+)? type=[a-z]+\\] @/"
    " && !($2 in done) } show"
)
#: What people said in a window of history, as ``message check`` prints it.
_AS_CHECKED = (
    "/^(Read window|End of window): / { show = 0 } "
    '/^\\[[0-9]+\\/[0-9]+ seq=[0-9]+ msg=/ { show = $6 == "type=human"; '
    'sub(/^\\[[^ ]+ seq=[0-9]+ msg=/, ""); id = substr($0, 1, 8); sub(/^[^ ]+ /, ""); '
    'sub(/ replyTarget=[^ ]+\\] @/, "] @"); $0 = "[target=" ENVIRON["TARGET"] " msg=" id " " $0 } '
    "show"
)


@dataclass(frozen=True)
class Reply:
    """What the model answers: commands to run, or if there is none, its last word."""

    commands: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Where:
    """The run that a call belongs to. A new run adds a message of the user to its session."""

    profile: str
    #: Messages of the user so far.
    asked: int
    #: Whether a Gateway resumes the session by itself: nobody sent a notice.
    resumed: bool


def reply(messages: Sequence[Message], tools: Sequence[str] = (TOOL,)) -> Reply:
    """The next answer. Without the tool ``exec`` it is asked for something else than a turn."""
    cli = _cli(messages)
    if cli is None or TOOL not in tools:
        return Reply(text=IDLE)
    asked, results = _last_step(messages)
    if any(_FAILED_MARK in result for result in results):
        return Reply(text=FAILED)
    check = check_command(cli)
    if asked != (check,):
        return Reply((check,))
    if owed := messages_of("\n".join(results)):
        return Reply(tuple(send_command(cli, entry) for entry in owed[:BATCH]))
    return Reply(text=DONE)


def where(messages: Sequence[Message]) -> Where | None:
    """None where the conversation holds no notice."""
    cli = _cli(messages)
    if cli is None:
        return None
    users = [m for m in messages if m.get("role") == "user"]
    resumed = _RESUMED in _text(users[-1]) or _told(_text(users[-1])) is None
    return Where(_profile(cli), len(users), resumed)


def check_command(cli: str) -> str:
    """Reads into the journal, and prints what of it has no answer, as it was printed.

    An empty line first: a torn one of a killed predecessor must not swallow the first new one.
    """
    return (
        f"umask 077; d={_folder(cli)}; "
        '{ mkdir -p "$d" && echo >> "$d/journal" && touch "$d/answered" && '
        f'{cli} message check >> "$d/journal" && '
        f'awk {shlex.quote(_UNANSWERED)} "$d/answered" "$d/journal"; }} '
        f"|| echo {shlex.quote(_FAILED_MARK)}"
    )


def send_command(cli: str, entry: Line) -> str:
    """Answers one message, then marks it."""
    target, folder = shlex.quote(entry.target), _folder(cli)
    look = (
        f"{cli} message read --target {target} | "
        f"TARGET={target} awk {shlex.quote(_AS_CHECKED)} >> {folder}/journal"
    )
    send = f"{cli} message send --target {target}"
    return (
        f"umask 077; {look} && "
        f"{{ printf %s {shlex.quote(f'echo: {entry.text}')} | {send} > /dev/null || "
        f"{{ {look} && {send} --send-draft < /dev/null > /dev/null; }}; }} && "
        f"printf '%s\\n' {shlex.quote(f'msg={entry.id}')} >> {folder}/answered "
        f"|| echo {shlex.quote(_FAILED_MARK)}"
    )


def _cli(messages: Sequence[Message]) -> str | None:
    """The Raft command, shell-quoted as the last notice has it."""
    for message in reversed(messages):
        if message.get("role") == "user" and (cli := _told(_text(message))):
            return cli
    return None


def _told(text: str) -> str | None:
    told = None
    for line in text.splitlines():
        begin, found, rest = line.partition("Read them:")
        if found and not begin.strip() and rest.rstrip().endswith(" message check"):
            told = rest.strip().removesuffix(" message check")
    return told


def _profile(cli: str) -> str:
    words = shlex.split(cli)
    return words[words.index("--profile") + 1] if "--profile" in words[:-1] else ""


def _folder(cli: str) -> str:
    """Beside the profile, as a word of the shell."""
    profile = shlex.quote(_profile(cli))
    return f'"${{RAFT_HOME:-$HOME/.slock}}"/profiles/{profile}/openclaw'


def _last_step(messages: Sequence[Message]) -> tuple[tuple[str, ...], list[str]]:
    """The commands of this run's last answer and what came of them; none where it begins."""
    results: list[str] = []
    for message in reversed(messages):
        match message.get("role"):
            case "tool":
                results.insert(0, _text(message))
            case "assistant" if message.get("tool_calls"):
                return tuple(_command(call) for call in message["tool_calls"]), results
            case "user":
                break
    return (), []


def _command(call: Mapping[str, Any]) -> str:
    try:
        return str(json.loads(call["function"]["arguments"])["command"])
    except (ValueError, TypeError, KeyError):
        return ""


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    return content if isinstance(content, str) else ""
