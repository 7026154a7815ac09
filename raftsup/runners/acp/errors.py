"""What went wrong with an ACP agent, in words for an operator. Never the agent's own text: an
error's message may quote what it read, so that goes to the turn's transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raftsup.errors import RaftsupError
from raftsup.terminal import plain
from raftsup.turn import Outcome, OutcomeKind

AUTH_REQUIRED = -32000
NOT_FOUND = -32002

#: Codes of JSON-RPC 2.0, and those that ACP adds (``ErrorCode`` of its schema).
_ERRORS = {
    -32700: "it could not parse the message",
    -32600: "it takes the request for invalid",
    -32601: "it does not know the method",
    -32602: "it does not take the parameters",
    -32603: "an internal error",
    AUTH_REQUIRED: "it asks for a login",
    NOT_FOUND: "it does not find what was named",
}

#: How a prompt ended (``StopReason`` of the schema), where nobody asked the agent to stop.
_STOPS = {
    "end_turn": Outcome(OutcomeKind.SUCCEEDED),
    "cancelled": Outcome(
        OutcomeKind.FAILED, "the agent says that the turn was cancelled; raftsup did not ask for it"
    ),
    "max_tokens": Outcome(
        OutcomeKind.FAILED, "the agent stopped at its model's token limit (max_tokens)"
    ),
    "max_turn_requests": Outcome(
        OutcomeKind.FAILED,
        "the agent stopped at its limit of model requests in one turn (max_turn_requests)",
    ),
    "refusal": Outcome(OutcomeKind.FAILED, "the agent refused to go on (refusal)"),
}


class AgentTrouble(RaftsupError):
    """Why an agent could not do what was asked of it; the text is for an operator."""

    def __init__(self, text: str, *, code: int | None = None, detail: str = "") -> None:
        super().__init__(text)
        #: The code of the error that the agent answered with.
        self.code = code
        #: The agent's own words: for the transcript alone.
        self.detail = detail


class AgentGone(AgentTrouble):
    """The agent's process has ended; nothing of it runs any more."""


class CannotStart(AgentGone):
    """There never was a process: nothing of it ran."""


@dataclass(frozen=True)
class Login:
    """A way to log in that an agent announces."""

    id: str
    name: str
    hint: str = ""
    #: Environment variables that hold the key, where that is the way.
    variables: tuple[str, ...] = field(default=())


def stopped(reason: str) -> Outcome:
    return _STOPS.get(
        reason, Outcome(OutcomeKind.FAILED, "the agent ended the turn for a reason unknown here")
    )


def error_text(method: str, code: int) -> str:
    what = _ERRORS.get(code, "its own words are in the transcript")
    return f"the agent answered {method} with error {code}: {what}"


def login_text(logins: Sequence[Login]) -> str:
    """How to log in, for an agent that announced ``logins``."""
    if not logins:
        return (
            "log in on this host as the user that raftsup runs as, in the way of that agent;"
            " it announces none itself"
        )
    return (
        "log in on this host as the user that raftsup runs as; the agent announces: "
        + "; ".join(_login(login) for login in logins)
    )


def _login(login: Login) -> str:
    how = f"set {', '.join(login.variables)} in agent.env" if login.variables else login.hint
    return f"{login.name} ({login.id})" + (f": {how}" if how else "")


def logins_of(methods: Sequence[Mapping[str, Any]]) -> tuple[Login, ...]:
    """The ``authMethods`` of an answer to ``initialize``, cut to what fits a line."""
    return tuple(
        Login(
            plain(str(method.get("id", "")), 40),
            plain(str(method.get("name", "")), 40),
            plain(str(method.get("description") or ""), 120),
            tuple(plain(str(var.get("name", "")), 60) for var in (method.get("vars") or ())[:5]),
        )
        for method in methods[:10]
    )
