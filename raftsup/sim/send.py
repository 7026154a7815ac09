"""``raft message send``: a message, or the draft that a held one left.

A send that the server holds says what was said meanwhile and ends with 1; its text is a draft then,
which the agent sends as it is (``--send-draft``) or sends anew. Source: RAFT_PROTOCOL, "What the
server gives the bridge and the CLI" [commands/message/send.ts, commands/freshness/_format.ts].
Threads, attachments, mentions and the isolation of reviewers are not doubled.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Mapping
from typing import Any

from raftsup.sim import cli_errors, js, wire
from raftsup.sim.agent_api import AgentApi, ApiAnswer
from raftsup.sim.cli_errors import CliError
from raftsup.sim.local_state import LocalState
from raftsup.sim.messages import out
from raftsup.sim.profiles import Profile
from raftsup.sim.usage import Given

_HEREDOC = "RAFTMSG"
#: ``--send-draft`` looks so long for what must not come on standard input.
_LOOK = 1.0
_PREVIEW = 160
_NOT_DOUBLED = ("attachment_id", "mention", "reviewer_isolation")


def send(given: Given, profile: Callable[[], Profile], environ: Mapping[str, str]) -> int:
    """Raises ``CliError``, which says whether a draft is kept."""
    attempt = _Attempt(given, profile, environ)
    try:
        return attempt.run()
    except CliError as error:
        if error.code != "SEND_HELD_AS_DRAFT":
            error.labels += (f"Draft saved: {'yes' if attempt.drafted else 'no'}",)
        raise


class _Attempt:
    def __init__(
        self, given: Given, profile: Callable[[], Profile], environ: Mapping[str, str]
    ) -> None:
        self._given, self._profile, self._environ = given, profile, environ
        self.target = (given.target or "").strip()
        self.drafted = False

    def run(self) -> int:
        # Before the profile: what is wrong with the content is said first.
        text = _content(self._given, self.target)
        profile = self._profile()
        self._state = LocalState(self._environ, profile.agent_id)
        draft = self._state.draft(self.target)
        if text is None:
            if draft is None:
                raise CliError(
                    "SEND_DRAFT_NOT_FOUND",
                    "No saved draft exists for this target.\n"
                    "To create or update a draft, send message content normally:\n"
                    + _heredoc(self.target, "message body"),
                )
            text, self.drafted = str(draft["content"]), True
        elif draft is not None and str(draft["content"]).strip():
            sys.stderr.write(
                f"Warning: replacing an unsent draft for {self.target}.\n"
                "One draft is kept per target, so the previous body is now discarded.\n"
                f"Discarded draft (last copy):\n{str(draft['content']).strip()[:400]}\n"
            )
        body = self._body(text, draft or {})
        if not self._given.send_draft:
            self._state.keep(self.target, body)
            self.drafted = True
        return self._took(_ask(profile, body), body)

    def _body(self, text: str, draft: Mapping[str, Any]) -> dict[str, Any]:
        held = int(draft.get("reholdCount") or 0)
        body: dict[str, Any] = {
            "target": self.target,
            "content": text,
            "draftReholdCount": held,
        }
        seen = draft.get("seenUpToSeq")
        seen = self._state.seen(self.target) if seen is None else seen
        if seen is not None:
            body["seenUpToSeq"] = seen
        if self._given.send_draft:
            return body | {"sendDraft": True} | ({"continueAnyway": True} if self._anyway else {})
        return body | {"draftReplacedExisting": held > 0}

    @property
    def _anyway(self) -> bool:
        return bool(self._given.anyway)

    def _took(self, answer: ApiAnswer, body: dict[str, Any]) -> int:
        if not answer.ok:
            code = "SERVER_5XX" if answer.status >= 500 else "SEND_FAILED"
            raise CliError(code, answer.error or f"HTTP {answer.status}")
        data = answer.data if isinstance(answer.data, dict) else {}
        state = data.get("state")
        if state == "held":
            raise self._held(data, body)
        if state != "sent":
            told = js.dumps(state) if isinstance(state, str) else "undefined"
            raise CliError(
                "INVALID_JSON_RESPONSE",
                f"Agent API messageSend returned unsupported state {told}",
            )
        self._state.forget(self.target)
        named = str(data["messageId"])
        thread = self.target if ":" in self.target else f"{self.target}:{named[:8]}"
        out(
            js.dumps(data) + "\n"
            if self._given.json
            else f"Message sent to {self.target}. Message ID: {named} (to reply in this message's"
            f' thread, use target "{thread}")\n'
        )
        return 0

    def _held(self, data: Mapping[str, Any], body: dict[str, Any]) -> CliError:
        seen = data.get("seenUpToSeq")
        if isinstance(seen, int) and seen > 0:
            self._state.saw(self.target, seen)
            body["seenUpToSeq"] = seen
        body["draftReholdCount"] += 1
        self._state.keep(self.target, body)
        error = CliError(
            "SEND_HELD_AS_DRAFT",
            "Message held as draft; no target delivery occurred.",
            labels=("Retryable: no",),
        )
        if self._given.json:
            error.details, error.effect = {"held": data}, "draft_saved"
            error.next_action = (
                "Review the held context, then update the draft or send the current draft"
                " unchanged."
            )
        else:
            out(_told_held(self.target, data))
        return error


def _ask(profile: Profile, body: Mapping[str, Any]) -> ApiAnswer:
    try:
        return AgentApi(profile).post("/v2/send", body)
    except wire.WireError as error:
        failed = cli_errors.unanswered("messageSendV2", repeatable=False)
        failed.next_action = (
            "Delivery state is UNKNOWN: the send failed after the draft was saved, so the message"
            " may or may not have been committed. Do not resend on this evidence."
        )
        raise failed from error


# -- what is to be sent


def _content(given: Given, target: str) -> str | None:
    """None for the saved draft. Raises ``CliError``."""
    if not target:
        raise CliError("INVALID_ARG", "--target is required")
    for name in _NOT_DOUBLED:
        if getattr(given, name):
            raise CliError("NOT_SIMULATED", f"--{name.replace('_', '-')} is not simulated.")
    if given.operands:
        raise CliError(
            "POSITIONAL_CONTENT_UNSUPPORTED",
            "Message content must be provided on stdin, not as positional arguments.\nUse:\n"
            + _heredoc("#channel", "message body"),
        )
    if given.content is not None:
        raise CliError(
            "CONTENT_FLAG_UNSUPPORTED",
            "--content is no longer supported. Pipe message content to stdin.\nUse:\n"
            "  printf 'hello' | raft message send --target \"#channel\"",
        )
    if given.anyway and not given.send_draft:
        raise CliError(
            "SEND_DRAFT_ANYWAY_REQUIRES_SEND_DRAFT",
            "--anyway can only be used together with --send-draft.",
        )
    if given.send_draft:
        _refuse_content(target)
        return None
    closed = sys.stdin is None or sys.stdin.isatty()
    text = "" if closed else sys.stdin.buffer.read().decode("utf-8", "replace")
    if not text.strip():
        raise CliError(
            "MISSING_CONTENT",
            "No message content received on stdin.\n"
            "Use a heredoc or pipe content into raft message send:\n"
            + _heredoc("#channel", "message body"),
        )
    return text


def _refuse_content(target: str) -> None:
    """A draft is sent as it is. Raises ``CliError``."""
    if sys.stdin is None or sys.stdin.isatty():
        return
    if not select.select([sys.stdin], [], [], _LOOK)[0]:
        sys.stderr.write(
            f"No stdin bytes were detected within {_LOOK * 1000:g}ms; the stored draft will now be"
            " sent.\n"
        )
    elif os.read(sys.stdin.fileno(), 1):
        raise CliError(
            "SEND_DRAFT_STDIN_UNSUPPORTED",
            "--send-draft sends the current saved draft and does not accept stdin.\n"
            "To update the draft, send the revised content normally without --send-draft:\n"
            + _heredoc(target, "revised message"),
        )


def _heredoc(target: str, text: str) -> str:
    return f"  raft message send --target \"{target}\" <<'{_HEREDOC}'\n  {text}\n  {_HEREDOC}"


def _told_held(target: str, data: Mapping[str, Any]) -> str:
    messages = data.get("heldMessages") or []
    count = int(data.get("newMessageCount") or 0)
    shown = data.get("shownMessageCount", len(messages))
    lines = [
        f"Held — {count} unread message{'' if count == 1 else 's'} in {target}. Your message has"
        " been saved as a draft.",
        "",
    ]
    shown_from = data.get("firstShownSeq")
    if (left_out := int(data.get("omittedMessageCount") or 0)) and shown_from is not None:
        lines.append(
            f"  ├ ⋯ {left_out} earlier message{'' if left_out == 1 else 's'} skipped in this"
            f' notice. Older exist: raft message read --target "{target}" --before'
            f" {shown_from}. ⋯"
        )
    if messages:
        lines += [f"  ├ Latest {shown} {'─' * 28}", *map(_preview, messages)]
    lines += [
        f'  └ Previews are truncated. Full text: raft message read --target "{target}"',
        "",
        "After reviewing the current state of this conversation, choose one path.",
        "To update the draft, send revised content normally:",
        _heredoc(target, "revised message"),
        "To send the current draft unchanged:",
        f'  raft message send --send-draft --target "{target}"',
        "  (this sends the stored copy — do not use it if you meant to change the content)",
        "You can also choose not to send anything.",
    ]
    if data.get("continueAnywaySuggested"):
        lines += [
            "If repeated updates keep blocking the same draft and this is still the right reply,"
            " you may use:",
            f'  raft message send --send-draft --anyway --target "{target}"',
        ]
    return "\n".join(lines) + "\n"


def _preview(message: Mapping[str, Any]) -> str:
    text = " ".join(str(message.get("content") or "").split())
    more = f"…⟨{len(text) - _PREVIEW} more chars⟩" if len(text) > _PREVIEW else ""
    at = str(message.get("createdAt") or "")[11:16]
    who = " ".join(word for word in (f"@{message.get('senderName')}", at) if word)
    return f"  │ {who}  {text[:_PREVIEW]}{more}"
