"""What an agent is told when it asks whether it may use a tool: the account's policy, pure.

The kinds and the options' kinds are those of the Agent Client Protocol (``ToolKind`` and
``PermissionOptionKind`` of its schema, version 1). A tool's kind is the agent's own word for what
it is about to do: the policy trusts the agent that far and no farther than its user's rights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Policy = Literal["allow", "deny"] | tuple[str, ...]

KINDS = frozenset(
    {
        "read",
        "edit",
        "delete",
        "move",
        "search",
        "execute",
        "think",
        "fetch",
        "switch_mode",
        "other",
    }
)
#: Which of the offered options is taken, best first. Once is safer than always: an option for
#: always may be remembered by the agent beyond a change of the policy.
_PREFERRED = {
    True: ("allow_once", "allow_always"),
    False: ("reject_once", "reject_always"),
}


@dataclass(frozen=True)
class Answer:
    allowed: bool
    #: The id of the option to select; None: none of them says it, so the request is cancelled.
    option: str | None


def kind_of(told: object) -> str:
    """A tool's kind as one of ``KINDS``. What is no kind of the protocol's may be content."""
    return told if isinstance(told, str) and told in KINDS else "other"


def decide(policy: Policy, kind: str, options: Iterable[tuple[str, str]]) -> Answer:
    """Answer a request for a tool of ``kind``. ``options``: pairs of an option's kind and id."""
    allowed = policy == "allow" if isinstance(policy, str) else kind in policy
    first: dict[str, str] = {}
    for option_kind, option_id in options:
        first.setdefault(option_kind, option_id)
    chosen = next((first[name] for name in _PREFERRED[allowed] if name in first), None)
    return Answer(allowed and chosen is not None, chosen)
