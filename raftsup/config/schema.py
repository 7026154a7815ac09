"""The config's tree: every key that may be written, and what it may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from raftsup.config.agent_kinds import argv
from raftsup.config.agents import agent
from raftsup.config.model import LedgerSettings, Supervisor, Turns
from raftsup.config.tables import mapping, table
from raftsup.config.validators import (
    LONGEST,
    Check,
    boolean,
    choice,
    duration,
    size,
    snake,
    whole,
    word,
)
from raftsup.wake import Dedupe

_MOMENT = 0.001
_MANY = 10**9


@dataclass(frozen=True)
class Section:
    """A group of scalar settings. Flags and the environment can set each of them."""

    #: The frozen dataclass that holds them; it has the defaults.
    model: type[Any]
    settings: dict[str, Check]


SECTIONS: Final = {
    "turns": Section(
        Turns,
        {
            "concurrency": whole(1, 10_000),
            "timeout": duration(_MOMENT),
            "attempts": whole(1, 1000),
            "coalesce": choice("none", "queued"),
            "drain": duration(0),
            "keep": whole(0, _MANY),
            "keepFor": duration(0),
            "transcript": size(1 << 10, 1 << 30),
            "pause": duration(_MOMENT),
            "maxPause": duration(_MOMENT),
        },
    ),
    "dedupe": Section(Dedupe, {"ttl": duration(_MOMENT), "maxEntries": whole(1, _MANY)}),
    "ledger": Section(LedgerSettings, {"mapSize": size(1 << 20, 1 << 40)}),
    "supervisor": Section(
        Supervisor,
        {
            "reload": choice("off", "hot", "restart", "hybrid"),
            # Shorter, and a busy machine would look like a hung program.
            "watchdog": duration(4.0, LONGEST),
            "bridgeSilence": duration(1.0, LONGEST),
            "bridgeRestart": duration(1.0, LONGEST),
        },
    ),
}

#: What an account has; at the top of ``channels.raft`` it is the account ``default``.
ACCOUNT: Final[dict[str, Check]] = {
    "name": word,
    "enabled": boolean,
    "configWrites": boolean,  # OpenClaw's: taken, so that its files can be pasted, and ignored
    "profile": word,
    "agentId": word,
    "agent": agent,
    "lane": word,
    "command": argv('["raft"]'),
    "activity": choice("off", "turns"),
}

CHANNEL: Final[dict[str, Check]] = {
    **ACCOUNT,
    "defaultAccount": word,
    "accounts": mapping(table(ACCOUNT)),
}

#: OpenClaw's keys that have no place here, and what to do instead.
_ADDRESS: Final = (
    "every endpoint listens on 127.0.0.1, at a port that the system picks: take it out"
)
_FOREIGN: Final = {
    "gateway": "raftsup has no bind, port or mode of its own; `raftsup setup --from-openclaw` takes"
    ' over what it needs of a Gateway: turns.agent, with kind: "openclaw", its url and its token',
}

ROOT: Final = table(
    {
        "channels": table(
            {"raft": table(CHANNEL, dict.fromkeys(("bind", "host", "port"), _ADDRESS))}
        ),
        **{name: table(section.settings) for name, section in SECTIONS.items()},
        "turns": table({**SECTIONS["turns"].settings, "agent": agent}),
    },
    _FOREIGN,
)


def variable(section: str, key: str) -> str:
    """The environment variable of a setting: ``RAFTSUP_TURNS_KEEP_FOR``."""
    return f"RAFTSUP_{section}_{snake(key)}".upper()
