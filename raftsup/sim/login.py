"""``raft agent login``, ``login status`` and ``agent list``: a profile is signed in.

The browser flow (``login start``, ``login wait``, and the approval that ``agent list`` waits for)
is answered by the simulated server, which approves at once. Source: RAFT_PROTOCOL, "Profiles and
identity" [commands/agent/login.ts, list.ts, _format.ts].
"""

from __future__ import annotations

import argparse
import getpass
import json
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from raftsup.sim import profiles, wire
from raftsup.sim.agent_api import PREFIX, ApiAnswer, read
from raftsup.sim.cli_errors import CliError
from raftsup.sim.profiles import Profile

_TOKEN = re.compile(r"sk_agent_[A-Za-z0-9_-]+")
_MOST = 4096
_CHECK_SECONDS = 15.0


class Outcome(StrEnum):
    """What an existing credential is worth."""

    USABLE = "already_logged_in"
    MISMATCH = "mismatch"
    EXPIRED = "expired"
    UNVERIFIED = "unverified"
    INVALID = "invalid"


class _Place(NamedTuple):
    server: str
    agent: str
    slug: str
    folder: Path

    @property
    def credential(self) -> Path:
        return self.folder / profiles.FILE


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Raises ``CliError`` and ``ProfileError``."""
    if not (args.server or "").strip():
        raise CliError("INVALID_ARG", "--server is required")
    if args.verb == "list":
        return _list(args.server)
    place = _place(args, environ)
    match args.action:
        case "status":
            return _status(place)
        case "start":
            return _start(place)
        case "wait":
            if not (args.device_code or "").strip():
                raise CliError("INVALID_ARG", "--device-code is required.")
            return _wait(place, args.device_code)
    if place.credential.exists():
        match judge(place):
            case Outcome.USABLE:
                print(
                    f"state: already_logged_in\nProfile '{place.slug}' is already logged in and"
                    " its credential is valid. No action needed.\n"
                    f"Next: use `raft --profile {place.slug} …` to act as this agent."
                )
                return 0
            case Outcome.MISMATCH:
                raise CliError(
                    "PROFILE_ALREADY_EXISTS",
                    f"Profile '{place.slug}' is already bound to a different agent or server at"
                    f" {place.credential}.",
                    "Use a different `--profile-slug <slug>` to save another agent's token.",
                )
            case Outcome.UNVERIFIED:
                raise CliError(
                    "CREDENTIAL_CHECK_FAILED",
                    f"Could not verify the existing credential for profile '{place.slug}' because"
                    " the server is unreachable.",
                    "The existing credential may still be valid. Retry when the server is"
                    " reachable.",
                )
        sys.stderr.write(
            f"Existing credential for profile '{place.slug}' is no longer valid. Provide a"
            " replacement agent token.\n"
        )
    return _save(place, _read_token())


def _place(args: argparse.Namespace, environ: Mapping[str, str]) -> _Place:
    agent = (args.agent or "").strip()
    if not agent:
        raise CliError("INVALID_AGENT_ID", "--agent must not be empty.")
    wrong = None
    if agent.startswith("@"):
        wrong = "an agent id (an opaque server-issued identifier), not an @handle."
    elif agent.startswith("#"):
        wrong = "an agent id, not a #channel name."
    elif "/" in agent:
        wrong = "an agent id, not a URL or path."
    if wrong is not None:
        raise CliError(
            "INVALID_AGENT_ID",
            f"--agent expects {wrong}",
            f"Run `raft agent list --server {args.server}` to see valid agent ids, then rerun"
            " login with --agent <id>.",
        )
    slug = args.profile_slug or args.agent
    folder = Path(args.profile_dir) if args.profile_dir else profiles.profile_dir(slug, environ)
    return _Place(args.server, args.agent, slug, folder)


def _read_token() -> str:
    """One line of standard input, hidden where a person types it. Raises ``CliError``."""
    if sys.stdin.isatty():
        token = getpass.getpass("Agent token (input hidden): ", sys.stderr).strip()
    else:
        token = sys.stdin.readline(_MOST + 2).strip()
    if not _TOKEN.fullmatch(token) or len(token) > _MOST:
        raise CliError(
            "INVALID_AGENT_TOKEN",
            "Enter a valid agent token from the External Agent setup page.",
        )
    return token


def _save(place: _Place, token: str) -> int:
    unchanged = "The profile was not changed."
    answer = _identity(place.server, token)
    if answer is None:
        raise CliError(
            "CREDENTIAL_CHECK_FAILED", f"Could not verify the token with this server. {unchanged}"
        )
    if not 200 <= answer.status < 300:
        refused = answer.status in (401, 403)
        raise CliError(
            "INVALID_AGENT_TOKEN" if refused else "CREDENTIAL_CHECK_FAILED",
            f"The server did not accept the token. {unchanged}",
        )
    found = answer.data if isinstance(answer.data, dict) else {}
    if not all(isinstance(found.get(k), str) for k in ("agentId", "agentName", "serverId")):
        raise CliError(
            "CREDENTIAL_CHECK_FAILED",
            f"The server returned an invalid identity response. {unchanged}",
        )
    if found["agentId"] != place.agent:
        raise CliError(
            "AGENT_IDENTITY_MISMATCH", f"This token belongs to a different agent. {unchanged}"
        )
    return _persist(place, token, found)


def _persist(place: _Place, token: str, found: Mapping[str, Any]) -> int:
    profile = Profile(
        place.slug,
        found["agentId"],
        place.server,
        token,
        found["serverId"],
        found["agentName"],
        str(found.get("credentialId") or ""),
        tuple(found.get("scopes") or ()),
    )
    profiles.write(place.folder, profile)
    print(
        "state: authorized\n"
        f"Logged in as '{profile.agent_name}' on {place.server}. Credential saved to"
        f" {place.credential}.\n"
        "Next (if you are the human operator): start your agent with"
        f" RAFT_PROFILE={place.slug} in its environment.\n"
        f"Next (if you are the agent): use `raft --profile {place.slug} …` for all commands."
    )
    return 0


def judge(place: _Place) -> Outcome:
    """What the credential that is there is worth to a login as ``place``."""
    try:
        raw = json.loads(place.credential.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return Outcome.INVALID
    raw = raw if isinstance(raw, dict) else {}
    agent, key, server = (raw.get(k) or "" for k in ("agentId", "apiKey", "serverUrl"))
    if agent and agent != place.agent:
        return Outcome.MISMATCH
    if server and server.rstrip("/") != place.server.rstrip("/"):
        return Outcome.MISMATCH
    if not (agent and key and server):
        return Outcome.INVALID
    answer = _identity(server, key)
    if answer is None or (answer.status not in (401, 403) and not answer.ok):
        return Outcome.UNVERIFIED
    if answer.status in (401, 403):
        return Outcome.EXPIRED
    same = isinstance(answer.data, dict) and answer.data.get("agentId") == agent
    return Outcome.USABLE if same else Outcome.MISMATCH


def check(profile: Profile) -> CliError | None:
    """What a newer CLI finds when it asks the server who this is; None where all is well."""
    answer = _identity(profile.server_url, profile.token)
    if answer is None:
        return CliError("CHECK_FAILED", "Could not reach the server to verify this profile.")
    if not answer.ok:
        return CliError("CHECK_FAILED", answer.error or f"HTTP {answer.status}")
    return None


def _identity(server: str, token: str) -> ApiAnswer | None:
    """Whose the token is, as the server says; None where it cannot be asked."""
    return _ask(server, "GET", f"{PREFIX}/", token)


def _ask(
    server: str, method: str, path: str, token: str, body: Mapping[str, Any] | None = None
) -> ApiAnswer | None:
    headers = {"authorization": f"Bearer {token}"}
    data = b"" if body is None else json.dumps(body).encode()
    try:
        peer = wire.Peer(server.rstrip("/"))
        answer = peer.request(method, path, headers, data, _CHECK_SECONDS)
    except (wire.WireError, ValueError, OSError):
        return None
    return read(answer.status, answer.headers, answer.body)


# -- status, and the browser's part


def _status(place: _Place) -> int:
    slug = place.slug
    login = f"raft agent login start --server {place.server} --agent {place.agent}"
    if place.slug != place.agent:
        login += f" --profile-slug {slug}"
    if not place.credential.exists():
        print(
            f"state: missing\nNo credential for profile '{slug}' at {place.credential}.\n"
            f"Next: run `{login}` to log in."
        )
        return 0
    print(
        {
            Outcome.USABLE: f"state: usable\nProfile '{slug}' is logged in and the credential is"
            f" valid. No action needed.\nNext: use `raft --profile {slug} …` to act as this agent.",
            Outcome.EXPIRED: f"state: expired\nThe credential for profile '{slug}' is no longer"
            f" valid (revoked or expired on the server).\nNext: run `{login}` to re-login.",
            Outcome.MISMATCH: f"state: mismatch\nProfile '{slug}' is bound to a different agent or"
            " server than requested.\nNext: re-check --agent / --server, or use a different"
            " `--profile-slug <slug>`.",
            Outcome.INVALID: f"state: invalid\nThe credential file for profile '{slug}' is"
            f" malformed or missing required fields ({place.credential}).\n"
            f"Next: run `{login}` to re-login.",
            Outcome.UNVERIFIED: "state: unverified\nCould not reach the server to verify profile"
            f" '{slug}' (network or server error). The credential may still be valid — do not"
            " assume it is invalid.\n"
            "Next: retry `raft agent login status` when connectivity is restored.",
        }[judge(place)]
    )
    return 0


def _start(place: _Place) -> int:
    code = _device_code(place.server)
    slug = f" --profile-slug {place.slug}" if place.slug != place.agent else ""
    print(
        "state: pending_human_action\n"
        f"Login started for profile '{place.slug}'. Ask the user to approve in a browser:\n"
        f"  Browser authorization URL (code pre-filled): {place.server}/device?code={code}\n"
        "  Code expires in ~15m.\n"
        f"Next: after the user approves, run `raft agent login wait --server {place.server}"
        f" --agent {place.agent} --device-code {code}{slug}` to finish."
    )
    return 0


def _wait(place: _Place, code: str) -> int:
    session = _session(place.server, code)
    answer = _ask(place.server, "POST", f"/api/agents/{place.agent}/credentials", session, {})
    if answer is None or not answer.ok:
        code = (answer and answer.code) or "mint_failed"
        why = (answer and answer.error) or "Failed to mint agent credential."
        raise CliError(code, why)
    return _persist(place, str(answer.data["apiKey"]), answer.data)


def _list(server: str) -> int:
    """The agents that the person who approves may manage [list.ts]."""
    code = _device_code(server)
    sys.stderr.write(
        f"Open this browser authorization URL: {server}/device?code={code}\n"
        "  Code is pre-filled. Approve the login in the browser; this command will continue"
        " automatically.\n  Expires in ~15m.\n"
    )
    answer = _ask(server, "GET", "/api/agents/manageable", _session(server, code))
    if answer is None or not answer.ok:
        raise CliError("list_failed", "Failed to list manageable agents.")
    print(json.dumps(answer.data))
    return 0


def _device_code(server: str) -> str:
    answer = _ask(server, "POST", "/api/auth/device/code", "", {})
    if answer is None or not answer.ok:
        raise CliError("device_login_failed", f"Could not start a login at {server}.")
    return str(answer.data["deviceCode"])


def _session(server: str, code: str) -> str:
    answer = _ask(server, "POST", "/api/auth/device/token", "", {"deviceCode": code})
    if answer is None or not answer.ok:
        raise CliError("expired_token", "The device code has expired; start the login anew.")
    return str(answer.data["accessToken"])
