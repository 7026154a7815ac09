"""``raftsup-sim-raft``: the ``raft`` command as the true CLI behaves.

It is a double of CLI 0.0.24; with ``RAFT_SIM_CLI_MODE=next`` of what is known of newer ones. Of the
true one's many commands it has those that a host, its operator and its agents meet. Source:
RAFT_PROTOCOL [auth/env.ts, commands/].

Each command imports what it needs when it runs: an agent starts this program several times a
turn.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from raftsup.sim import cli_errors, profiles
from raftsup.sim.cli_errors import CliError
from raftsup.sim.profiles import Profile, ProfileError

VERSION = "0.0.24-sim"
MODE = "RAFT_SIM_CLI_MODE"
#: What a profile makes of no account: with one, each is ignored with a word on standard error.
_RAW = (
    "SLOCK_AGENT_ID",
    "SLOCK_SERVER_URL",
    "SLOCK_SERVER_ID",
    "SLOCK_AGENT_PROXY_URL",
    "SLOCK_AGENT_PROXY_TOKEN",
    "SLOCK_AGENT_PROXY_TOKEN_FILE",
    "SLOCK_AGENT_TOKEN_FILE",
    "SLOCK_AGENT_TOKEN",
)


#: [commands/agent/bridge.ts], [commands/agent/login.ts]
_BRIDGE_FLAGS = (
    *("expected-agent", "state-dir", "adapter-instance", "runtime-session"),
    *("poll-interval-ms", "limit", "activity-drain-limit"),
    *("wake-adapter", "wake-channel-endpoint", "wake-channel-token"),
    *("activity-channel-endpoint", "activity-channel-token"),
)
_LOGIN_FLAGS = ("server", "agent", "client-name", "profile-slug", "profile-dir")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CliError("INVALID_ARG", message)


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="raft",
        description="A simulator of the Raft CLI, for tests and demos of raftsup.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("-p", "--profile", metavar="SLUG")
    nouns = parser.add_subparsers(dest="noun", required=True)

    agent = nouns.add_parser("agent", allow_abbrev=False).add_subparsers(dest="verb", required=True)
    bridge = agent.add_parser("bridge", allow_abbrev=False)
    bridge.add_argument("--json", action="store_true", help="one event a line on stdout")
    bridge.add_argument("--once", action="store_true", help="one pass, then exit")
    for flag in _BRIDGE_FLAGS:
        bridge.add_argument(f"--{flag}")
    login = agent.add_parser("login", allow_abbrev=False)
    _login_flags(login)
    # An action's own parser has them again: they are taken on either side of its name.
    actions = login.add_subparsers(dest="action")
    for name in ("status", "start", "wait"):
        action = actions.add_parser(name, allow_abbrev=False)
        _login_flags(action, default=argparse.SUPPRESS)
        if name == "wait":
            action.add_argument("--device-code")
    listing = agent.add_parser("list", allow_abbrev=False)
    listing.add_argument("--server")
    listing.add_argument("--client-name")

    message = nouns.add_parser("message", allow_abbrev=False)
    verbs = message.add_subparsers(dest="verb", required=True)
    verbs.add_parser("check", help="print what is unread", allow_abbrev=False)
    send = verbs.add_parser("send", help="send what comes on standard input", allow_abbrev=False)
    send.add_argument("content", nargs="*")
    send.add_argument("--target")
    send.add_argument("--send-draft", action="store_true")
    send.add_argument("--anyway", action="store_true")
    send.add_argument("--json", action="store_true")
    send.add_argument("--content", dest="content_flag")

    auth = nouns.add_parser("auth", allow_abbrev=False).add_subparsers(dest="verb", required=True)
    auth.add_parser("whoami", allow_abbrev=False)
    manual = nouns.add_parser("manual", allow_abbrev=False)
    get = manual.add_subparsers(dest="verb", required=True).add_parser("get", allow_abbrev=False)
    get.add_argument("topic")
    get.add_argument("--intent")
    get.add_argument("--reason")
    return parser


def _login_flags(parser: argparse.ArgumentParser, default: Any = None) -> None:
    for flag in _LOGIN_FLAGS:
        parser.add_argument(f"--{flag}", default=default)


def main(argv: list[str] | None = None) -> int:
    try:
        return _run(build_parser().parse_args(argv), os.environ)
    except CliError as error:
        cli_errors.complain(error)
    except ProfileError as error:
        cli_errors.complain(CliError(error.code, str(error)))
    return 1


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    next = environ.get(MODE) == "next"
    if args.noun == "agent" and args.verb != "bridge":
        from raftsup.sim import login

        return login.run(args, environ)
    if (args.noun, args.verb) == ("message", "send"):
        from raftsup.sim import messages

        # Before the profile: what is wrong with the content is said first [send.ts].
        text = messages.content(args, sys.stdin)
        return messages.send(_profile(args, environ), args, text)
    profile = _profile(args, environ)
    match args.noun, args.verb:
        case "agent", "bridge":
            from raftsup.sim import bridge_main

            return bridge_main.run(args, profile, environ, next)
        case "message", "check":
            from raftsup.sim import messages

            return messages.check(profile, next)
        case "manual", "get":
            return _manual(args)
        case _:
            return _whoami(profile, next)


def _profile(args: argparse.Namespace, environ: Mapping[str, str]) -> Profile:
    """The profile that is selected [auth/env.ts]. Raises ``CliError`` and ``ProfileError``."""
    # The flag is the variable, set for this one command.
    canonical = args.profile or environ.get("RAFT_PROFILE")
    alias = environ.get("SLOCK_PROFILE")
    if canonical and alias and canonical != alias:
        raise CliError(
            "PROFILE_ENV_CONFLICT",
            f"RAFT_PROFILE={canonical} and SLOCK_PROFILE={alias} disagree; unset one (RAFT_PROFILE"
            " is canonical, SLOCK_PROFILE is a deprecation alias).",
        )
    slug = canonical or alias
    if not slug:
        raise CliError("MISSING_AGENT_ID", "SLOCK_AGENT_ID is required")
    launched = all(
        environ.get(n) for n in ("SLOCK_AGENT_LAUNCH_DIR", "SLOCK_AGENT_ID", "SLOCK_SERVER_URL")
    )
    if environ.get("SLOCK_CLI_TRANSPORT_DIR") or launched:
        raise CliError(
            "PROFILE_MANAGED_CONTEXT_CONFLICT",
            f"RAFT_PROFILE={slug} cannot take another identity inside a managed Raft"
            " runtime. Remove RAFT_PROFILE/SLOCK_PROFILE from shell startup files and restart the"
            " runtime; the managed wrapper identity was not replaced.",
        )
    if ignored := [name for name in _RAW if environ.get(name)]:
        sys.stderr.write(
            f"raft: RAFT_PROFILE={slug} active; ignoring {', '.join(ignored)} from env.\n"
        )
    return profiles.read(slug, environ)


def _whoami(profile: Profile, next: bool) -> int:
    """What the profile says, never the key; a newer CLI asks the server [auth/whoami.ts]."""
    data: dict[str, Any] = {
        "agentId": profile.agent_id,
        "serverUrl": profile.server_url,
        "serverId": profile.server_id,
        "clientMode": "self-hosted-runner",
        "secretSource": "profile-credential-file",
        "profileSlug": profile.name,
        "profileCredentialPath": str(profile.path),
    }
    trouble = None
    if next:
        from raftsup.sim import login

        trouble = login.check(profile)
    print(json.dumps({"ok": trouble is None, "data": data}))
    if trouble is not None:
        raise trouble
    return 0


def _manual(args: argparse.Namespace) -> int:
    """[commands/knowledge/get.ts]: an intent and a reason are needed."""
    for name in ("intent", "reason"):
        text = getattr(args, name) or ""
        if not 12 <= len(text.strip()) <= 500:
            raise CliError(
                f"knowledge_{name}_invalid",
                f"--{name} is required: 12 to 500 characters.",
            )
    if args.topic != "raft-cli-overview":
        raise CliError("knowledge_not_found", f"No manual topic {args.topic}.")
    print(
        "# Raft CLI overview (simulated)\n\n"
        "raft message check                     what is new\n"
        "raft message send --target '#channel'  the text goes to standard input\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
