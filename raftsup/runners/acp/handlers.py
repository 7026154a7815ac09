"""What an ACP agent may say to us and ask of us: updates of the turn, and permission.

Files and terminals were not offered to it, so asking for them is answered as unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acp.exceptions import RequestError
from acp.meta import CLIENT_METHODS
from acp.schema import AllowedOutcome, DeniedOutcome, RequestPermissionResponse

from raftsup.log import say
from raftsup.runners.acp.permissions import Policy, decide
from raftsup.runners.acp.updates import Watch
from raftsup.turn import Turn

LOG = logging.getLogger("raftsup.runners")


@dataclass
class Prompted:
    """The turn that the agent works on."""

    turn: Turn
    session: str
    watch: Watch
    #: It was asked to stop: no permission is given any more.
    stopping: bool = False


class Client:
    """The handler of an agent's requests and notifications."""

    def __init__(self, policy: Policy, lane: str) -> None:
        self._policy, self._lane = policy, lane
        #: None between turns, and while the history of a session is told again.
        self.prompted: Prompted | None = None

    async def __call__(self, method: str, params: Any, is_notification: bool) -> Any:
        told: Mapping[str, Any] = params if isinstance(params, Mapping) else {}
        if is_notification:
            if method == CLIENT_METHODS["session_update"]:
                self._update(told)
            return None  # what else an agent announces is not for us
        if method == CLIENT_METHODS["session_request_permission"]:
            return self._permission(told)
        raise RequestError.method_not_found(method)

    def _update(self, told: Mapping[str, Any]) -> None:
        at, update = self.prompted, told.get("update")
        if at is not None and told.get("sessionId") == at.session and isinstance(update, Mapping):
            at.watch.update(update)

    def _permission(self, told: Mapping[str, Any]) -> RequestPermissionResponse:
        at, call = self.prompted, told.get("toolCall")
        cancelled = RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        # A client that cancelled answers what is still asked in this way (ACP, "Prompt turn").
        if at is None or at.stopping or told.get("sessionId") != at.session:
            return cancelled
        kind = at.watch.tool(call if isinstance(call, Mapping) else {})
        answer = decide(self._policy, kind, _options(told.get("options")))
        facts = {
            "turn": at.turn.id,
            "account": at.turn.account,
            "lane": self._lane,
            "tool": kind,
            "answer": "allowed" if answer.allowed else "denied",
        }
        if answer.allowed:
            LOG.info(say("acp.permission", **facts))
        else:
            LOG.warning(say("acp.permission", **facts, hint="agent.permissions decides this"))
        if answer.option is None:
            return cancelled
        chosen = AllowedOutcome(outcome="selected", option_id=answer.option)
        return RequestPermissionResponse(outcome=chosen)


def _options(told: Any) -> list[tuple[str, str]]:
    return [
        (str(option.get("kind")), option["optionId"])
        for option in (told if isinstance(told, list) else ())
        if isinstance(option, Mapping) and isinstance(option.get("optionId"), str)
    ]
