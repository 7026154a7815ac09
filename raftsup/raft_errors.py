"""What the Raft CLI says when it cannot: its error codes, what each means, and what to type.

Source: RAFT_PROTOCOL, "Profiles and identity", "Starting the bridge", "What it says, and when"
[core/errors.ts, auth/env.ts, commands/agent/login.ts, commands/agent/bridge.ts]. Every error of the
CLI ends it with 1 and stands on standard error as labelled lines.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from raftsup import terminal


@dataclass(frozen=True)
class Who:
    """The profile that a command was about, and the CLI that ran it."""

    profile: str
    command: Sequence[str] = ("raft",)
    agent_id: str | None = None
    server: str | None = None
    #: What a typed command begins with (``raft_home.prefix``).
    prefix: str = ""

    @property
    def raft(self) -> str:
        return f"{self.prefix}{shlex.join(self.command)}"

    @property
    def login(self) -> str:
        """The command that signs the profile in, to be pasted as it is: what is not known is asked
        for by setup.
        """
        if not (self.server and self.agent_id):
            which = f" --profile {shlex.quote(self.profile)}" if self.profile else ""
            return f"raftsup setup{which}"
        words = ("--server", self.server, "--agent", self.agent_id, "--profile-slug", self.profile)
        return f"{self.raft} agent login {shlex.join(words)}"

    @property
    def agents(self) -> str:
        """The command that shows the ids of agents; setup offers them, too."""
        if not self.server:
            return "raftsup setup"
        return f"{self.raft} agent list --server {shlex.quote(self.server)}"

    @property
    def whoami(self) -> str:
        return f"{self.raft} --profile {shlex.quote(self.profile)} auth whoami"


@dataclass(frozen=True)
class Known:
    """What an error code means. ``fix`` may name ``{login}``, ``{whoami}``, ``{agents}`` and
    ``{profile}``; "" where nothing is to be done.
    """

    means: str
    fix: str = ""
    #: Only a person can end it: what runs into it again tries slowly.
    lasting: bool = False
    #: A new credential ends it.
    credential: bool = False


_LOGIN = "sign in: `{login}`"
_AGAIN = "sign in again: `{login}`"
_UPDATE = "update the Raft CLI (`npm i -g @botiverse/raft@latest`), then `raftsup restart`"
_ITSELF = "it is tried again by itself"

CODES: Mapping[str, Known] = MappingProxyType(
    {
        # profiles
        "PROFILE_FILE_UNREADABLE": Known(
            "profile {profile} is not signed in here", _LOGIN, lasting=True, credential=True
        ),
        "PROFILE_FILE_INVALID": Known(
            "the credential of profile {profile} is damaged", _AGAIN, lasting=True, credential=True
        ),
        "PROFILE_ENV_CONFLICT": Known(
            "two variables of the environment name different profiles",
            "unset SLOCK_PROFILE and SLOCK_PROFILE_DIR where the host is started, then"
            " `raftsup restart`",
            lasting=True,
        ),
        "PROFILE_MANAGED_CONTEXT_CONFLICT": Known(
            "the environment is that of an agent which Raft itself manages",
            "unset SLOCK_CLI_TRANSPORT_DIR and SLOCK_AGENT_* where the host is started, then"
            " `raftsup restart`",
            lasting=True,
        ),
        "MISSING_AGENT_ID": Known(
            "no profile is selected", "give the account a profile in the config", lasting=True
        ),
        # the bridge's start
        "BRIDGE_REQUIRES_PROFILE": Known(
            "a bridge needs a profile that is signed in", _LOGIN, lasting=True, credential=True
        ),
        "BRIDGE_EXPECTED_AGENT_REQUIRED": Known(
            "the CLI wants to be told whose bridge this is",
            "set this account's agentId (`{whoami}` shows it)",
            lasting=True,
        ),
        "BRIDGE_IDENTITY_MISMATCH": Known(
            "this account's agentId is not the agent behind its profile",
            "compare it with `{whoami}`",
            lasting=True,
            credential=True,
        ),
        "BRIDGE_ALREADY_RUNNING": Known(
            "another bridge holds the profile's lock",
            "stop the other bridge of profile {profile}",
            lasting=True,
        ),
        "INVALID_ARG": Known(
            "the Raft CLI does not know a flag that it was given: it is another version than"
            " raftsup knows",
            _UPDATE,
            lasting=True,
        ),
        # the bridge's loop
        "BRIDGE_WAKE_HINTS_FAILED": Known(
            "Raft refuses this credential: it was revoked or has expired, or may not do this",
            _AGAIN,
            lasting=True,
            credential=True,
        ),
        "BRIDGE_WAKE_STREAM_FAILED": Known(
            "Raft refuses this credential: it was revoked or has expired, or may not do this",
            f"{_AGAIN}; if that changes nothing, {_UPDATE}",
            lasting=True,
            credential=True,
        ),
        "delegated_legacy_route_unsupported": Known(
            "this connection is of a kind that the installed Raft CLI does not know",
            _UPDATE,
            lasting=True,
            credential=True,
        ),
        "SCOPE_DENIED": Known(
            "the credential may not do this",
            "have a person look at the agent's scopes in Raft",
            lasting=True,
            credential=True,
        ),
        "SERVER_5XX": Known("Raft answers with an error of its own", _ITSELF),
        "CHECK_FAILED": Known(
            "Raft could not be reached at the wrong moment: a restart of its server ends bridges",
            _ITSELF,
        ),
        "INVALID_JSON_RESPONSE": Known(
            "what answers is not Raft as this CLI knows it: a proxy between, a newer Raft, or an"
            " app's event that nobody has read",
            f"{_ITSELF}; if it lasts, `raftsup turn run` with the account's name has its agent read"
            f" its inbox; else {_UPDATE}",
        ),
        "INTERNAL_BUG": Known(
            "an error within the Raft CLI",
            f"{_ITSELF}; if it lasts, `raftsup doctor` looks for a damaged file of the bridge's",
        ),
        # signing in
        "INVALID_AGENT_TOKEN": Known(
            "the token is none, or Raft does not take it",
            "copy it anew from the agent's External Agent page in Raft",
        ),
        "AGENT_TOKEN_REQUIRED": Known(
            "no token was given", "paste it when asked, or give it on standard input"
        ),
        "CREDENTIAL_CHECK_FAILED": Known(
            "Raft could not be asked about the token", "check the server's URL and the network"
        ),
        "AGENT_IDENTITY_MISMATCH": Known(
            "the token is of another agent", "give that agent's id, or this agent's token"
        ),
        "PROFILE_ALREADY_EXISTS": Known(
            "the profile's name is taken by another agent or server",
            "choose another profile name (--profile-slug)",
        ),
        "INVALID_AGENT_ID": Known(
            "that is no agent id",
            "`{agents}` shows the ids (it asks for an approval in the browser)",
        ),
        # an agent's turn
        "MISSING_CONTENT": Known(
            "a message without text", "the text goes to the command's standard input"
        ),
        "SEND_HELD_AS_DRAFT": Known(
            "the message was held: new ones came that the agent has not seen",
            "nothing was sent; the agent follows what the command printed",
        ),
    }
)

_LABEL = re.compile(r"^\s*(Error|Code|Next action): ?(.*?)\s*$", re.MULTILINE)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,63}")
#: Wherever it stands: today at the end of the line with the next action.
_LOCK = re.compile(r"(?:^|\s)Lock: *(?P<path>/.*?bridge\.lock)\s*$", re.MULTILINE)
_SENTENCE = 200


@dataclass(frozen=True)
class Said:
    """An error as the CLI prints it; "" and None for what it did not say."""

    message: str = ""
    code: str = ""
    next_action: str = ""
    lock: Path | None = None


def parse(stderr: str) -> Said:
    """The last error on standard error."""
    labels: dict[str, str] = {}
    for label, value in _LABEL.findall(stderr):
        if label == "Error":
            labels.clear()
        labels[label] = value
    code = labels.get("Code", "")
    locks = [found["path"] for found in _LOCK.finditer(stderr)]
    return Said(
        plain(labels.get("Error", "")),
        code if _CODE.fullmatch(code) else "",
        plain(labels.get("Next action", "")),
        Path(locks[-1]) if locks else None,
    )


def plain(text: str) -> str:
    """A sentence of the CLI's, or of the server's in it: one printable line of bounded length."""
    return terminal.plain(text, _SENTENCE)


def known(code: str, message: str = "") -> Known | None:
    """What is known of an error; a code of the server's may stand in the message alone."""
    in_message = next((c for c in CODES if c.islower() and c in message), None)
    return CODES.get(in_message or code)


#: In the server's words, which alone a bridge gives of a request beside its stream [the server's
#: middleware/auth.ts, routes/internalAgentApi.ts].
_REFUSAL = re.compile(r"credential|no longer exists|HTTP 40[13]\b", re.IGNORECASE)


def is_refusal(message: str) -> bool:
    """Whether a server's words are those of a credential that it does not take."""
    return _REFUSAL.search(message) is not None


def advice(code: str, who: Who, message: str = "") -> tuple[str, str]:
    """What an error means and what to do about it; "" for what is not known."""
    found = known(code, message)
    if found is None:
        return "", ""
    words = {
        "profile": who.profile,
        "agents": who.agents,
        "login": who.login,
        "whoami": who.whoami,
    }
    return found.means.format_map(words), found.fix.format_map(words)
