"""The config's tree: every key that may be written, and what it may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from raftsup.config.agent_kinds import argv
from raftsup.config.agents import agent
from raftsup.config.model import Dedupe, LedgerSettings, Supervisor, Turns
from raftsup.config.validators import (
    LONGEST,
    Check,
    boolean,
    choice,
    duration,
    mapping,
    named,
    object_of,
    size,
    snake,
    whole,
    word,
)
from raftsup.raft_names import wrong_agent_id, wrong_profile

_MOMENT = 0.001
_MANY = 10**9


@dataclass(frozen=True)
class Section:
    """A group of scalar settings. Flags and the environment can set each of them."""

    #: The frozen dataclass that holds them; it has the defaults.
    model: type[Any]
    settings: dict[str, Check]

    def __post_init__(self) -> None:
        defaults = self.model()
        for key, check in self.settings.items():
            self.settings[key] = check.defaults(getattr(defaults, snake(key)))


SECTIONS: Final = {
    "turns": Section(
        Turns,
        {
            "concurrency": whole(1, 10_000).says("turns at one time, over all lanes"),
            "timeout": duration(_MOMENT).says(
                "a longer attempt is ended, with all of its processes"
            ),
            "attempts": whole(1, 1000).says("a turn is marked failed after this many failures"),
            "coalesce": choice("none", "queued").says(
                "with queued, wakes that come while a turn is queued share it"
            ),
            "drain": duration(0).says("how long a stop waits for running turns"),
            "keep": whole(0, _MANY).says("ended turns kept to look at, of each account"),
            "keepFor": duration(0).says("how long they are kept"),
            "transcript": size(1 << 10, 1 << 30).says(
                "bytes kept of what an attempt prints; the middle of more is dropped"
            ),
            "pause": duration(_MOMENT).says("first pause of a lane whose turns keep failing"),
            "maxPause": duration(_MOMENT).says("its longest pause"),
        },
    ),
    "dedupe": Section(
        Dedupe,
        {
            "ttl": duration(_MOMENT).says("how long a delivery is remembered"),
            "maxEntries": whole(1, _MANY).says("deliveries remembered, of each account"),
        },
    ),
    "ledger": Section(
        LedgerSettings,
        {"mapSize": size(1 << 20, 1 << 40).says("the most that the ledger may grow to")},
    ),
    "supervisor": Section(
        Supervisor,
        {
            "reload": choice("off", "hot", "restart", "hybrid").says(
                "what an edit of the file does by itself"
            ),
            # Shorter, and a busy machine would look like a hung program.
            "watchdog": duration(4.0, LONGEST).says("a program silent for so long is restarted"),
            "bridgeSilence": duration(1.0, LONGEST).says(
                "a bridge silent for so long is degraded; a healthy one speaks every 25 s"
            ),
            "bridgeRestart": duration(1.0, LONGEST).says(
                "a bridge silent for so long is restarted"
            ),
        },
    ),
}

#: What an account has; at the top of ``channels.raft`` it is the account ``default``.
ACCOUNT: Final[dict[str, Check]] = {
    "name": word.says("for people"),
    "enabled": boolean.says("whether it runs; one that does not is listed").defaults(True),
    "configWrites": boolean.says("OpenClaw's: taken, so that its files can be pasted, and ignored"),
    "profile": named(wrong_profile).says("the Raft CLI's profile; no two accounts share one"),
    "agentId": named(wrong_agent_id).says("the agent's id in Raft, as `raft auth whoami` tells"),
    "agent": agent.says(
        "who takes its turns, in place of turns.agent; without a kind: that, changed"
    ),
    "lane": word.says(
        "accounts that name the same lane take turns one at a time; without it, its id"
    ),
    "command": argv('["raft"]')
    .says("the Raft CLI, as the start of a command line")
    .defaults(["raft"]),
    "activity": choice("off", "turns")
    .says("with turns, Raft shows the agent as busy, and with which tool; never content")
    .defaults("off"),
}

CHANNEL: Final[dict[str, Check]] = {
    **ACCOUNT,
    "defaultAccount": word.says("the account that is meant where none is named"),
    "accounts": mapping(object_of(ACCOUNT)),
}

#: OpenClaw's keys that have no place here, and what to do instead.
_ADDRESS: Final = (
    "every endpoint listens on 127.0.0.1, at a port that the system picks: take it out"
)
_FOREIGN: Final = {
    "gateway": "raftsup has no bind, port or mode of its own; `raftsup setup --from-openclaw` takes"
    ' over what it needs of a Gateway: turns.agent, with kind: "openclaw", its url and its token',
}

ROOT: Final = object_of(
    {
        "channels": object_of(
            {"raft": object_of(CHANNEL, dict.fromkeys(("bind", "host", "port"), _ADDRESS))}
        ),
        **{name: object_of(section.settings) for name, section in SECTIONS.items()},
        "turns": object_of(
            {
                **SECTIONS["turns"].settings,
                "agent": agent.says("takes the turns of accounts that have no agent of their own"),
            }
        ),
    },
    _FOREIGN,
)


def variable(section: str, key: str) -> str:
    """The environment variable of a setting: ``RAFTSUP_TURNS_KEEP_FOR``."""
    return f"RAFTSUP_{section}_{snake(key)}".upper()


def document() -> dict[str, Any]:
    """The whole as JSON Schema, for editors. It takes whatever the loader takes; what it cannot say
    (two accounts on one profile, an address that is not loopback) the loader refuses.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "raftsup.json5",
        **ROOT.schema,
    }
