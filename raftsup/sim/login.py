"""``raft agent login``, its ``status``, ``start`` and ``wait``, and ``agent list``.

What a person does in a browser the simulated server does at once, unless its fault ``unapproved``
holds. Source: RAFT_PROTOCOL, "Profiles and identity" [commands/agent/login.ts, list.ts, _format.ts,
agentLogin/deviceAuthClient.ts].
"""

from __future__ import annotations

import json
import re
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from raftsup.sim import cli_errors, js, profiles, wire
from raftsup.sim.agent_api import PREFIX, ApiAnswer, read
from raftsup.sim.cli_errors import CliError
from raftsup.sim.profiles import Profile, ProfileError
from raftsup.sim.usage import Given

_TOKEN = re.compile(r"sk_agent_[A-Za-z0-9_-]+")
_MOST = 4096
#: Of the check of a new token alone; no other request has a deadline.
_CHECK_SECONDS = 15.0
#: ``login wait`` and ``agent list`` ask so often (RAFT_SIM_LOGIN_POLL), and so long.
_POLL, _WAIT = 5.0, 15 * 60.0
_UNCHANGED = "The profile was not changed."
_DEVICE = {
    "device_login_disabled": "Device login is not enabled on this Raft server. Ask an admin to set"
    " SLOCK_DEVICE_LOGIN_ENABLED=true.",
    "device_code_required": "Internal CLI bug: device_code was missing from the poll request.",
    "user_code_required": "Internal CLI bug: user_code was missing from the approve request.",
    "authorization_pending": "Still waiting for you to approve the login on the web page.",
    "device_code_consumed": "This login code has already been used. Run `raft agent login` again.",
    "expired_token": "The login code expired. Run `raft agent login` again to start a new flow.",
    "access_denied": "You denied the login request in the web approval page.",
    "device_code_invalid": "Unknown / malformed device code. Run `raft agent login` again to start"
    " a fresh flow.",
}


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

    def command(self, action: str, more: str = "") -> str:
        slug = f" --profile-slug {self.slug}" if self.slug != self.agent else ""
        words = f"raft agent login {action} --server {self.server} --agent {self.agent}"
        return f"{words}{more}{slug}"


def run(given: Given, environ: Mapping[str, str]) -> int:
    """Raises ``CliError``."""
    if not (given.server or "").strip():
        raise CliError("INVALID_ARG", "--server is required")
    # The server names an interval for ``list``; here it is the same.
    poll = float(environ.get("RAFT_SIM_LOGIN_POLL") or _POLL)
    if given.command == ("agent", "list"):
        return _list(given.server, poll)
    place = _place(given, environ)
    match given.command[2:]:
        case ["status"]:
            return _status(place)
        case ["start"]:
            return _start(place)
        case ["wait"]:
            if not (given.device_code or "").strip():
                raise CliError(
                    "INVALID_ARG",
                    "--device-code is required (the value printed by `raft agent login start`).",
                )
            return _wait(place, given.device_code, poll)
    return _login(place)


def _place(given: Given, environ: Mapping[str, str]) -> _Place:
    agent = (given.agent or "").strip()
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
            f"Run `raft agent list --server {given.server}` to see valid agent ids, then rerun"
            " login with --agent <id>.",
        )
    slug = given.agent if given.profile_slug is None else given.profile_slug
    if given.profile_dir is not None:
        return _Place(given.server, given.agent, slug, Path(given.profile_dir))
    try:
        folder = profiles.profile_dir(slug, environ)
    except ProfileError as error:
        # Here, unlike where a profile is used, nobody of the true CLI's catches it.
        raise cli_errors.internal(str(error)) from error
    return _Place(given.server, given.agent, slug, folder)


# -- login


def _login(place: _Place) -> int:
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
    token = _read_token()
    return _persist(place, token, _verified(place, token))


def _read_token() -> str:
    """One line of standard input, hidden where a person types it. Raises ``CliError``."""
    if sys.stdin is None:
        line = ""
    elif sys.stdin.isatty():
        line = _typed("Agent token (input hidden): ")
    else:
        line = sys.stdin.readline(_MOST + 2)
    token = line.strip()
    if not _TOKEN.fullmatch(token) or len(token) > _MOST:
        raise CliError(
            "INVALID_AGENT_TOKEN",
            "Enter a valid agent token from the External Agent setup page.",
        )
    return token


def _typed(prompt: str) -> str:
    """A line of the terminal on standard input, without echo; "" after Ctrl-C."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    silent = termios.tcgetattr(terminal)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
    # Only now: what is typed on seeing it must not be shown.
    sys.stderr.write(prompt)
    sys.stderr.flush()
    try:
        return sys.stdin.readline()
    except KeyboardInterrupt:
        return ""
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        sys.stderr.write("\n")


def _verified(place: _Place, token: str) -> dict[str, Any]:
    """Whose the token is. Raises ``CliError``."""
    answer = _ask(place.server, "GET", f"{PREFIX}/", token, timeout=_CHECK_SECONDS)
    if answer is None:
        raise CliError(
            "CREDENTIAL_CHECK_FAILED", f"Could not verify the token with this server. {_UNCHANGED}"
        )
    if not 200 <= answer.status < 300:
        refused = answer.status in (401, 403)
        raise CliError(
            "INVALID_AGENT_TOKEN" if refused else "CREDENTIAL_CHECK_FAILED",
            f"The server did not accept the token. {_UNCHANGED}",
        )
    found = answer.data if isinstance(answer.data, dict) else {}
    scopes = found.get("scopes")
    whole = (
        all(isinstance(found.get(k), str) for k in ("agentId", "agentName"))
        and all(isinstance(found.get(k), str) and found[k] for k in ("serverId", "credentialId"))
        and isinstance(scopes, list)
        and all(isinstance(scope, str) for scope in scopes)
    )
    if not whole:
        raise CliError(
            "CREDENTIAL_CHECK_FAILED",
            f"The server returned an invalid identity response. {_UNCHANGED}",
        )
    if found["agentId"] != place.agent:
        raise CliError(
            "AGENT_IDENTITY_MISMATCH", f"This token belongs to a different agent. {_UNCHANGED}"
        )
    return found


def _persist(place: _Place, token: str, found: Mapping[str, Any]) -> int:
    profile = Profile(
        place.slug,
        found["agentId"],
        place.server,
        token,
        found["serverId"],
        str(found.get("agentName") or ""),
        str(found.get("credentialId") or ""),
        tuple(found.get("scopes") or ()),
    )
    profiles.write(place.folder, profile)
    manual = (
        'raft manual get raft-cli-overview --intent "Get productive on Raft as a new agent"'
        ' --reason "Just logged in, need the CLI basics"'
    )
    print(
        "state: authorized\n"
        f"Logged in as '{profile.agent_name}' on {place.server}. Credential saved to"
        f" {place.credential}.\n"
        "Next (if you are the human operator): start your agent with"
        f" RAFT_PROFILE={place.slug} in its environment, and let the agent run `{manual}` to learn"
        " the Raft CLI.\n"
        f"Next (if you are the agent): run `{manual}`, then use `raft --profile {place.slug} …`"
        " for all commands."
    )
    return 0


def judge(place: _Place) -> Outcome:
    """What the credential that is there is worth to a login as ``place``."""
    try:
        raw = json.loads(place.credential.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return Outcome.INVALID
    raw = raw if isinstance(raw, dict) else {}
    agent, key, server, server_id = (
        raw[k] if isinstance(raw.get(k), str) else ""
        for k in ("agentId", "apiKey", "serverUrl", "serverId")
    )
    if agent and agent != place.agent:
        return Outcome.MISMATCH
    if server and server.rstrip("/") != place.server.rstrip("/"):
        return Outcome.MISMATCH
    if not (agent and key and server):
        return Outcome.INVALID
    answer = _ask(place.server, "GET", f"{PREFIX}/", key)
    if answer is not None and answer.status in (401, 403):
        return Outcome.EXPIRED
    if answer is None or not answer.ok or not isinstance(answer.data, dict):
        return Outcome.UNVERIFIED
    same = answer.data.get("agentId") == agent and (
        not server_id or answer.data.get("serverId") == server_id
    )
    return Outcome.USABLE if same else Outcome.MISMATCH


def check(profile: Profile) -> CliError | None:
    """What a newer CLI finds when it asks the server who this is; None where all is well."""
    answer = _ask(profile.server_url, "GET", f"{PREFIX}/", profile.token)
    if answer is None:
        return CliError("CHECK_FAILED", "Could not reach the server to verify this profile.")
    if not answer.ok:
        return CliError("CHECK_FAILED", answer.error or f"HTTP {answer.status}")
    return None


def _ask(
    server: str,
    method: str,
    path: str,
    token: str = "",
    body: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> ApiAnswer | None:
    """None where there is no answer."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    data = b"" if body is None else js.dumps(body).encode()
    if body is not None:
        headers["content-type"] = "application/json"
    try:
        peer = wire.Peer(server.rstrip("/"))
        # Unlike every other command it keeps the path that the URL has.
        below = f"{peer.path.rstrip('/')}{path}"
        answer = peer.request(method, below, headers, data, timeout)
    except (wire.WireError, ValueError, OSError):
        return None
    return read(answer.status, answer.headers, answer.body)


# -- status


def _status(place: _Place) -> int:
    slug = place.slug
    if not place.credential.exists():
        print(
            f"state: missing\nNo credential for profile '{slug}' at {place.credential}.\n"
            f"Next: run `{place.command('start')}` to log in."
        )
        return 0
    again = f"Next: run `{place.command('start')}` to re-login."
    print(
        {
            Outcome.USABLE: f"state: usable\nProfile '{slug}' is logged in and the credential is"
            f" valid. No action needed.\nNext: use `raft --profile {slug} …` to act as this agent.",
            Outcome.EXPIRED: f"state: expired\nThe credential for profile '{slug}' is no longer"
            f" valid (revoked or expired on the server).\n{again}",
            Outcome.MISMATCH: f"state: mismatch\nProfile '{slug}' is bound to a different agent or"
            " server than requested.\nNext: re-check --agent / --server, or use a different"
            " `--profile-slug <slug>`.",
            Outcome.INVALID: f"state: invalid\nThe credential file for profile '{slug}' is"
            f" malformed or missing required fields ({place.credential}).\n{again}",
            Outcome.UNVERIFIED: "state: unverified\nCould not reach the server to verify profile"
            f" '{slug}' (network or server error). The credential may still be valid — do not"
            " assume it is invalid.\n"
            "Next: retry `raft agent login status` when connectivity is restored.",
        }[judge(place)]
    )
    return 0


# -- the browser's part


class _Handoff(NamedTuple):
    code: str
    url: str
    minutes: int


def _start(place: _Place) -> int:
    handoff = _authorize(place.server)
    wait = place.command("wait", f" --device-code {handoff.code}")
    print(
        "state: pending_human_action\n"
        f"Login started for profile '{place.slug}'. Ask the user to approve in a browser:\n"
        f"  Browser authorization URL (code pre-filled): {handoff.url}\n"
        f"  Code expires in ~{handoff.minutes}m.\n"
        f"Next: after the user approves, run `{wait}` to finish."
    )
    return 0


def _wait(place: _Place, code: str, poll: float) -> int:
    session = _session(place.server, code, poll, _WAIT)
    answer = _ask(place.server, "POST", f"/api/agents/{place.agent}/credentials", session, {})
    if answer is None:
        raise cli_errors.internal("fetch failed")
    if not answer.ok:
        raise _mint_error(answer, place.server)
    fields = ("apiKey", "agentId", "serverId")
    minted = _whole(answer, "mint_response_invalid", "Server mint", fields)
    return _persist(place, str(minted["apiKey"]), minted)


def _mint_error(answer: ApiAnswer, server: str) -> CliError:
    code = answer.code or f"mint_failed_{answer.status}"
    match code:
        case "device_login_disabled":
            return _device_error(code)
        case "agent_missing":
            return CliError(
                code,
                "Agent id is not known on this server, or the user you approved with isn't a member"
                " of the agent's server.",
                f"Run `raft agent list --server {server}` to see manageable agents, then rerun"
                " login with --agent <id>.",
            )
        case "insufficient_role":
            return CliError(
                code,
                "The user you approved with has neither `issueAgentCredentials` on the agent's"
                " server nor human-creator authority for this agent, so they can't mint agent"
                " credentials.",
                "Approve with the human user who created this agent, or ask a server owner or admin"
                " for access that includes `issueAgentCredentials`, then rerun login.",
            )
        case "scopes_invalid" | "scopes_empty" | "name_invalid":
            return CliError(
                code,
                "Invalid request body for the agent credential mint. Re-run with default flags.",
            )
    told = f"Failed to mint agent credential (status {answer.status})."
    # Where it said nothing, its answer is the status alone.
    said = answer.error if answer.error != f"HTTP {answer.status}" else None
    return CliError(code, said or told)


def _list(server: str, poll: float) -> int:
    """The agents that the person who approves may manage [list.ts]."""
    handoff = _authorize(server)
    sys.stderr.write(
        f"Open this browser authorization URL: {handoff.url}\n"
        "  Code is pre-filled. Approve the login in the browser; this command will continue"
        f" automatically.\n  Expires in ~{handoff.minutes}m.\n"
    )
    sys.stderr.flush()
    session = _session(server, handoff.code, poll, handoff.minutes * 60)
    answer = _ask(server, "GET", "/api/agents/manageable", session)
    if answer is None:
        raise cli_errors.internal("fetch failed")
    if not answer.ok:
        code = answer.code or f"list_failed_{answer.status}"
        raise CliError(code, answer.error or "Failed to list manageable agents.")
    data = dict(answer.data["data"])
    data["suggested_next_action"] = (
        "Ask the user which agent to bind to this machine, then run `raft agent login --server"
        f" {server} --agent <id>` with the selected agent id."
        if data["agents"]
        else "No agents exist on your servers yet. Ask the user to create an agent first (via web"
        " UI), then rerun `raft agent list`."
    )
    print(js.dumps({"ok": True, "data": data}))
    return 0


def _authorize(server: str) -> _Handoff:
    answer = _ask(server, "POST", "/api/auth/device/authorize", body={})
    if answer is None:
        raise cli_errors.internal("fetch failed")
    if not answer.ok:
        raise _device_error(answer.code or "authorize_failed")
    fields = ("deviceCode", "userCode", "verificationUri")
    told = _whole(answer, "authorize_response_invalid", "Server's authorize", fields)
    url = str(told.get("verificationUriComplete") or told["verificationUri"])
    return _Handoff(
        told["deviceCode"],
        url if url.startswith("http") else f"{server.rstrip('/')}{url}",
        int(told.get("expiresIn", 600)) // 60,
    )


def _session(server: str, code: str, poll: float, patience: float) -> str:
    """Wait for the approval; trouble on the way to the server is waited out."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        answer = _ask(server, "POST", "/api/auth/device/token", body={"deviceCode": code})
        if answer is not None and answer.ok:
            fields = ("accessToken", "refreshToken", "userId")
            told = _whole(answer, "token_response_invalid", "Server's token", fields)
            return str(told["accessToken"])
        if answer is not None and answer.code != "authorization_pending":
            raise _device_error(answer.code or "token_failed")
        time.sleep(poll)
    raise _device_error("expired_token")


def _whole(answer: ApiAnswer, code: str, whose: str, fields: Sequence[str]) -> dict[str, Any]:
    """The answer's object. Raises ``CliError`` where one of ``fields`` is missing or empty."""
    told = answer.data if isinstance(answer.data, dict) else {}
    if not all(told.get(field) for field in fields):
        raise CliError(code, f"{whose} response was missing {' / '.join(fields)}.")
    return told


def _device_error(code: str) -> CliError:
    return CliError(code, _DEVICE.get(code, f"Device login failed (code: {code})."))
