"""``raftsup-sim-raft``: the ``raft`` command as the true CLI (0.0.24) behaves.

Each command imports what it needs when it runs: an agent starts this program several times a
turn.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from raftsup.sim import profiles
from raftsup.sim.profiles import Profile, ProfileError

if TYPE_CHECKING:
    from raftsup.sim.agent_api import AgentApi

VERSION = "0.0.24-sim"


class CliError(Exception):
    """Ends the command with 1 and ``Error: …``, ``Code: …`` on stderr."""

    def __init__(self, code: str, message: str, *more: str) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="raft", description="A simulator of the Raft CLI, for tests and demos of raftsup."
    )
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("--profile", default=os.environ.get("RAFT_PROFILE"))
    nouns = parser.add_subparsers(dest="noun", required=True)

    agent = nouns.add_parser("agent").add_subparsers(dest="verb", required=True)
    bridge = agent.add_parser("bridge")
    bridge.add_argument("--wake-adapter", required=True)
    bridge.add_argument("--wake-channel-endpoint", required=True)
    bridge.add_argument("--expected-agent", default=os.environ.get("RAFT_EXPECTED_AGENT_ID"))
    bridge.add_argument("--json", action="store_true")

    message = nouns.add_parser("message").add_subparsers(dest="verb", required=True)
    check = message.add_parser("check", help="print what is unread, then acknowledge it")
    check.add_argument("--json", action="store_true", help="one object a line")
    send = message.add_parser("send", help="send what comes on standard input")
    send.add_argument("--target", required=True)

    auth = nouns.add_parser("auth").add_subparsers(dest="verb", required=True)
    auth.add_parser("whoami")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    try:
        return _run(args, os.environ)
    except CliError as error:
        lines = [f"Error: {error}", f"Code: {error.code}", *error.more]
        sys.stderr.write("\n".join(lines) + "\n")
    except ProfileError as error:
        sys.stderr.write(f"Error: {error}\nCode: {error.code}\n")
    return 1


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    profile = _profile(args, environ)
    match args.noun, args.verb:
        case "agent", "bridge":
            from raftsup.sim import bridge_main

            return bridge_main.run(args, profile, profile.path.parent, environ)
        case "message", "check":
            return _with_api(profile, lambda api: _check(api, args.json))
        case "message", "send":
            text = sys.stdin.buffer.read().decode("utf-8", "replace")
            body = {"target": args.target, "body": text}
            return _with_api(profile, lambda api: api.post("/messages", body))
        case _:
            return _whoami(profile)


def _profile(args: argparse.Namespace, environ: Mapping[str, str]) -> Profile:
    """Raises ``CliError`` and ``ProfileError``."""
    if not args.profile:
        raise CliError("PROFILE_REQUIRED", "name a profile: raft --profile <name> …")
    managed = [n for n in environ if n.startswith(("SLOCK_AGENT_", "RAFT_AGENT_"))]
    if managed:
        raise CliError(
            "PROFILE_MANAGED_CONTEXT_CONFLICT",
            f"--profile cannot be used where {managed[0]} is set: this is a managed agent",
        )
    return profiles.read(args.profile, environ)


def _with_api(profile: Profile, act: Callable[[AgentApi], object]) -> int:
    from raftsup.sim import wire
    from raftsup.sim.agent_api import AgentApi, Rejected, Trouble

    try:
        act(AgentApi(profile))
    except Rejected as error:
        raise CliError(error.code, str(error)) from error
    except (Trouble, wire.WireError, ValueError) as error:
        raise CliError("SERVER_UNREACHABLE", str(error)) from error
    return 0


def _check(api: AgentApi, as_json: bool) -> None:
    """Print first, acknowledge after: what is lost in between comes again."""
    batch = api.get("/events", ack="cursor")
    while batch["events"]:
        for event in batch["events"]:
            told = json.dumps(event) if as_json else _for_people(event)
            # UTF-8 whatever the locale: what cannot be printed would come again for ever.
            sys.stdout.buffer.write(told.encode("utf-8", "replace") + b"\n")
        sys.stdout.buffer.flush()
        batch = api.get("/events", ack="cursor", since=batch["cursor"])


def _for_people(event: Mapping[str, object]) -> str:
    return f"[{event['target']}] {event['from']}: {event['text']}"


def _whoami(profile: Profile) -> int:
    """What the profile says; no network, and never the key [commands/auth/whoami.ts]."""
    data = {
        "agentId": profile.agent_id,
        "serverUrl": profile.server_url,
        "serverId": profile.server_id,
        "clientMode": "self-hosted-runner",
        "secretSource": "profile-credential-file",
        "profileSlug": profile.name,
        "profileCredentialPath": str(profile.path),
    }
    print(json.dumps({"ok": True, "data": data}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
