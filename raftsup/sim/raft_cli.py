"""``raftsup-sim-raft``: the ``raft`` command as the true CLI behaves.

It is a double of CLI 0.0.24; with ``RAFT_SIM_CLI_MODE=next`` of what is known of newer ones. Of the
true one's many commands it has those that a host, its operator and its agents meet. Source:
RAFT_PROTOCOL [auth/env.ts, main.ts, commands/].

Each command imports what it needs when it runs: an agent starts this program several times a
turn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from raftsup.sim import cli_errors, js, profiles, usage
from raftsup.sim.cli_errors import CliError
from raftsup.sim.profiles import Profile, ProfileError
from raftsup.sim.usage import Given

VERSION = "Raft CLI: 0.0.24-sim"
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


def main(argv: list[str] | None = None) -> int:
    try:
        return _run(usage.parse(sys.argv[1:] if argv is None else argv, VERSION), os.environ)
    except usage.Told as told:
        print(told)
        return 0
    except CliError as error:
        cli_errors.complain(error)
    return 1


def _run(given: Given, environ: Mapping[str, str]) -> int:
    next = environ.get(MODE) == "next"
    match given.command:
        case "agent", "bridge":
            from raftsup.sim import bridge_main

            return bridge_main.run(given, selected(given, environ), environ, next)
        case "agent", *_:
            from raftsup.sim import login

            return login.run(given, environ)
        case "message", "send":
            from raftsup.sim import send

            return send.send(given, lambda: selected(given, environ), environ)
        case "message", "check":
            from raftsup.sim import messages

            return messages.check(selected(given, environ), next)
        case "message", "read":
            from raftsup.sim import read

            return read.read(given, lambda: selected(given, environ), environ)
        case "manual", "get":
            from raftsup.sim import manual

            return manual.get(given, lambda: selected(given, environ))
        case _:
            return _whoami(selected(given, environ), next)


def selected(given: Given, environ: Mapping[str, str]) -> Profile:
    """The profile that a command is to use [auth/env.ts]. Raises ``CliError``."""
    # The flag is the variable, set for this one command.
    canonical = given.profile or environ.get("RAFT_PROFILE")
    alias = environ.get("SLOCK_PROFILE")
    if canonical and alias and canonical != alias:
        raise cli_errors.bootstrap(
            "PROFILE_ENV_CONFLICT",
            f"RAFT_PROFILE={canonical} and SLOCK_PROFILE={alias} disagree; unset one (RAFT_PROFILE"
            " is canonical, SLOCK_PROFILE is a deprecation alias).",
        )
    # As the true one: a variable that is set and empty counts.
    slug = alias if canonical is None else canonical
    if not slug:
        raise _nobody(environ)
    launched = all(
        environ.get(n) for n in ("SLOCK_AGENT_LAUNCH_DIR", "SLOCK_AGENT_ID", "SLOCK_SERVER_URL")
    )
    if environ.get("SLOCK_CLI_TRANSPORT_DIR") or launched:
        raise cli_errors.bootstrap(
            "PROFILE_MANAGED_CONTEXT_CONFLICT",
            f"RAFT_PROFILE={slug} cannot select a different identity inside a managed Raft"  # noqa: S608
            " runtime. Remove RAFT_PROFILE/SLOCK_PROFILE from shell startup files and restart the"
            " runtime; the managed wrapper identity was not replaced.",
        )
    if ignored := [name for name in _RAW if environ.get(name)]:
        sys.stderr.write(
            f"raft: RAFT_PROFILE={slug} active; ignoring {', '.join(ignored)} from env.\n"
        )
    try:
        return profiles.read(slug, environ)
    except ProfileError as error:
        raise cli_errors.bootstrap(error.code, str(error)) from error


def _nobody(environ: Mapping[str, str]) -> CliError:
    """Without a profile it is the CLI of an agent of Raft's own daemon, which is not doubled."""
    for name, code in (
        ("SLOCK_AGENT_ID", "MISSING_AGENT_ID"),
        ("SLOCK_SERVER_URL", "MISSING_SERVER_URL"),
    ):
        if not environ.get(name):
            return cli_errors.bootstrap(code, f"{name} is required")
    if any(environ.get(name) for name in _RAW if "PROXY" in name):
        return CliError("NOT_SIMULATED", "an agent of Raft's own daemon is not simulated.")
    if any(environ.get(name) for name in _RAW if "TOKEN" in name):
        return cli_errors.bootstrap(
            "LEGACY_MACHINE_UNSUPPORTED",
            "SLOCK_AGENT_TOKEN_FILE/SLOCK_AGENT_TOKEN machine-token bootstrap is no longer"
            " supported by this CLI. Upgrade or restart the daemon so it injects"
            " SLOCK_AGENT_PROXY_URL plus SLOCK_AGENT_PROXY_TOKEN_FILE, or use RAFT_PROFILE with a"
            " credential from `raft agent login`.",
        )
    return cli_errors.bootstrap(
        "MISSING_TOKEN",
        "Neither SLOCK_AGENT_PROXY_TOKEN_FILE nor SLOCK_AGENT_PROXY_TOKEN is set. The daemon should"
        " inject proxy credentials when spawning the agent process, or use RAFT_PROFILE with a"
        " credential from `raft agent login`.",
    )


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
    print(js.dumps({"ok": trouble is None, "data": data}))
    if trouble is not None:
        raise trouble
    return 0


if __name__ == "__main__":
    sys.exit(main())
