"""``raft manual get``: a topic of the server's manual.

Source: RAFT_PROTOCOL, "What the server gives the bridge and the CLI" [commands/knowledge/get.ts,
commands/knowledge/context.ts].
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from raftsup.sim import cli_errors, wire
from raftsup.sim.agent_api import AgentApi
from raftsup.sim.cli_errors import CliError
from raftsup.sim.profiles import Profile
from raftsup.sim.usage import Given

_LEAST, _MOST = 12, 500
_WHAT_FOR = {
    "intent": "Retry with --intent: describe the user's ultimate goal in Raft, not the topic.",
    "reason": "Retry with --reason: describe why the Manual is needed now.",
}
_SAFETY = "Don't include secrets, credentials, private URLs, or raw message content."
#: What the server says in its own words.
_CODES = (
    "INVALID_JSON_RESPONSE",
    "SCOPE_DENIED",
    "unsupported_capability",
    *(
        f"knowledge_{what}"
        for what in ("agent_missing", "internal_error", "not_found", "source_invalid")
    ),
    *(f"knowledge_{what}_invalid" for what in ("intent", "reason", "topic", "trace_id", "turn_id")),
)
_INDEX = (
    'raft manual get index --intent "Learn available Raft workflows" --reason "Need the topic'
    ' catalog before answering"'
)


def get(given: Given, profile: Callable[[], Profile]) -> int:
    """Raises ``CliError``."""
    wrong = {field: why for field in _WHAT_FOR if (why := _wrong(field, getattr(given, field)))}
    if len(wrong) == len(_WHAT_FOR):
        raise CliError(
            "KNOWLEDGE_CONTEXT_INVALID",
            f"Both Manual context fields are invalid: {'; '.join(wrong.values())}",
            " ".join((*_WHAT_FOR.values(), _SAFETY)),
        )
    for field, why in wrong.items():
        raise CliError(f"knowledge_{field}_invalid", why, f"{_WHAT_FOR[field]} {_SAFETY}")
    told = {field: getattr(given, field).strip() for field in _WHAT_FOR}
    try:
        answer = AgentApi(profile()).get("/knowledge", topic=given.operands[0], **told)
    except wire.WireError as error:
        raise cli_errors.unanswered("knowledgeGet", repeatable=True) from error
    if not answer.ok:
        known = answer.code if answer.code in _CODES else None
        code = known or ("SERVER_5XX" if answer.status >= 500 else "KNOWLEDGE_GET_FAILED")
        refused = CliError(code, answer.error or f"HTTP {answer.status}")
        if code == "knowledge_not_found":
            refused.next_action = (
                "No topic matched. Retry with a close topic id, keeping your --intent/--reason. To"
                f" browse all topics, run:\n{_INDEX}"
            )
        raise refused
    if not isinstance(answer.data, dict) or answer.data.get("ok") is not True:
        raise CliError("KNOWLEDGE_GET_FAILED", "Server returned an unexpected response shape")
    text = str(answer.data["content"])
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    return 0


def _wrong(field: str, text: str | None) -> str | None:
    if not text:
        return f"{field} is required"
    if len(text.strip()) < _LEAST:
        return f"{field} must be at least {_LEAST} characters"
    return f"{field} must be at most {_MOST} characters" if len(text.strip()) > _MOST else None
