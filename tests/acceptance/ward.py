"""A host whose accounts are each ill in a way of their own, for ``test_signatures_host.py``."""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.acceptance.gateways import Gateways
from tests.integration.fake_gateway import TOKEN, FakeGateway
from tests.integration.host import AGENT, RAFT, Host, running, wait_for

ALL = ("well", "default", "noid", "revoked", "dies", "deaf", "shared", "token", "away", "mute")
#: What an agent that calls no Raft CLI prints: nobody else gets to read it.
TALK = "dear-person-all-is-done"
#: Reads its inbox, so that Raft has nothing to send again, and answers nobody.
TALKER = {
    "kind": "command",
    "command": ["sh", "-c", f"{shlex.join(RAFT)} --profile mute message check >&2; echo {TALK}"],
}
WRONG = "not-the-gateways-token"
#: Seconds: that many programs at once take a busy machine a while.
LONG = 60.0
#: By account, what `status` says beside it once it has been looked at for a while.
STATUS = {
    "default": ("channels.raft.accounts.default.profile: no Raft CLI profile", "RAFT_PROFILE"),
    "noid": ("BRIDGE_EXPECTED_AGENT_REQUIRED", "set this account's agentId"),
    "revoked": (
        "(BRIDGE_WAKE_STREAM_FAILED)",
        '"Invalid agent credential"',
        "sign in again: `",
        "--agent agent-revoked --profile-slug revoked`",
    ),
    "dies": ("bridge exited with 1 (INTERNAL_BUG)", '"Unexpected error: terminated"'),
    "deaf": ("the bridge lost Raft (SERVER_5XX: injected)", "tries again by itself"),
    "shared": ("another bridge of profile shared runs: pid ", "next try at"),
    "token": ("AUTH_TOKEN_MISMATCH", "gateway.auth.token", "wakes are accepted, none is run"),
    "away": ("it cannot be reached: Connection refused", "wakes are accepted, none is run"),
}


@dataclass(frozen=True)
class Ward:
    """The host, and what it said of itself before anything was fixed."""

    host: Host
    gateways: Gateways
    #: The Gateway that wants another token, and the one that does not run.
    strict: FakeGateway
    asleep: FakeGateway
    #: By account, the reason that `status --json` gave.
    reasons: dict[str, str]
    status: subprocess.CompletedProcess[str]
    doctor: subprocess.CompletedProcess[str]

    @property
    def findings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.doctor.stdout)["findings"]
        return found


def configure(host: Host, strict: FakeGateway, asleep: FakeGateway, *, fixed: bool) -> None:
    def gateway(fake: FakeGateway, token: str) -> dict[str, Any]:
        return {"kind": "openclaw", "url": f"ws://127.0.0.1:{fake.port}", "token": token}

    nothing: dict[str, Any] = {}
    host.configure(
        {
            "well": {},
            "default": nothing if fixed else {"profile": ""},
            "noid": nothing if fixed else {"agentId": ""},
            "revoked": {},
            "dies": {},
            "deaf": {},
            "shared": {},
            "token": {"agent": gateway(strict, TOKEN if fixed else WRONG)},
            "away": {"agent": gateway(asleep, TOKEN)},
            "mute": {"agent": AGENT if fixed else TALKER},
        }
    )


@contextlib.contextmanager
def admitted() -> Iterator[Ward]:
    """The host, up, with all of it told and nothing fixed."""
    with running(ALL) as host, Gateways.served() as gateways, held_port() as port:
        strict, asleep = FakeGateway(), FakeGateway()
        gateways.start(strict)
        asleep.port = port
        second_instance(host)
        configure(host, strict, asleep, fixed=False)
        host.raft.fault("revoke", agent="revoked")
        host.raft.fault("bridge", agent="dies", spec="die")
        host.raft.fault("error", agent="deaf")
        # A service's or a shell's leftovers: none of it is the host's.
        host.up(SLOCK_AGENT_ID="a", RAFT_AGENT_ID="b", PORT="80", OPENCLAW_GATEWAY_BIND="lan",
                OPENCLAW_GATEWAY_PORT="18789", WEB_CONCURRENCY="4")  # fmt: skip
        ready(host, "well", "mute")
        host.raft.workspace.post("mute", "are you there?")
        wait_for(lambda: host.account("mute")["turns"]["done"], LONG)
        reasons = gathered(host)
        host.watch()
        yield Ward(host, gateways, strict, asleep, reasons, host.run("status"),
                   host.run("doctor", "--json"))  # fmt: skip


def ready(host: Host, *names: str) -> None:
    """Wait until these accounts are (none: all)."""
    with host._told():
        wait_for(
            lambda: all(host.account(name)["state"] == "ready" for name in names or ALL),
            LONG,
            what="an account that is well",
        )


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port where nobody answers, and that nobody else is given meanwhile."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def second_instance(host: Host) -> None:
    """Another host, with a state folder of its own, that has the profile ``shared``."""
    host.configure({"shared": {}})
    file = host.root / "other.json5"
    host.config_path.rename(file)
    host.start("up", "--state-dir", str(host.root / "o"), "--config", str(file))
    lock = host.profiles / "shared/agent-comms-core/agent-shared/default/bridge.lock"
    wait_for(lambda: lock.exists() and lock.read_text(), LONG, what="the other host's bridge")


def gathered(host: Host) -> dict[str, str]:
    """By account, the first reason that says all that it is to say; the last one, if none does.
    A bridge that is tried again says something else for a moment.
    """
    found: dict[str, str] = {}
    last: dict[str, str] = {}

    def look() -> bool:
        for account in host.status()["accounts"]:
            name, last[name] = account["account"], account["reason"]
            if all(word in last[name] for word in STATUS.get(name, ())):
                found.setdefault(name, last[name])
        return found.keys() >= STATUS.keys()

    with contextlib.suppress(AssertionError):  # each account has a test of its own
        wait_for(look, LONG)
    return last | found
