"""The systemd unit of an instance. ``conf/raftsup.service`` is what this writes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from raftsup.ops.service.spec import Described, Scope

#: The first words of a unit that is ours to change and to remove.
MARKER = "Written by `raftsup install`"

_TEMPLATE = """\
# {marker}, which also brings it up to date (--force).
# What is yours to change stays apart from it: systemctl {user}edit {unit}

[Unit]
Description=raftsup: host of Raft external agents
{network}# Retried for ever, each RestartSec: an agent's host should not stay down over a bad night.
StartLimitIntervalSec=0

[Service]
# Ready once its dispatcher and endpoints answer (those that can, 15 s at most).
Type=notify
NotifyAccess=main
TimeoutStartSec=60
# The parent's main loop proves itself alive; the parent watches its programs the same way.
WatchdogSec=60
ExecStart={command} up
ExecReload={command} reload
WorkingDirectory=~
{run_as}# As the shell of `raftsup install` had them: where `raft`, `node` and the agents are found.
{environment}
# What the config takes as ${{NAME}}: NAME='value' lines, mode 0600. May be absent.
EnvironmentFile=-{secrets}

# A clean end (raftsup stop, drain) was asked for and stays.
Restart=on-failure
RestartSec=5
# Usage, already running, bad config, bad state folder: starting again fixes none of them.
RestartPreventExitStatus=2 5 6 7

# The parent alone is told to stop: it lets running turns drain (turns.drain). What is left
# after the budget is killed, all of it.
KillMode=mixed
TimeoutStopSec={stop}
# One turn that runs out of memory must not end the host.
OOMPolicy=continue
# Pipes and sockets of some hundred accounts.
LimitNOFILE=65536

# What agents can do without. Off (systemctl {user}edit {unit}) for one that calls sudo or
# another setuid program:
NoNewPrivileges=true
# For one that sets the setgid bit, like `git init --shared`:
RestrictSUIDSGID=true
LockPersonality=true
RestrictRealtime=true
{hardening}# Left out, since agents need it: ProtectHome and ProtectSystem=strict (they edit files),
# PrivateTmp (they share /tmp with you), MemoryDenyWriteExecute (node compiles at run time),
# RestrictNamespaces, ProtectKernelTunables, ProtectControlGroups and PrivateDevices (their own
# sandboxes and containers: bwrap, podman), SystemCallFilter (debuggers), ProcSubset (raftsup
# looks at processes).

[Install]
WantedBy={target}
"""

_NETWORK = """\
After=network-online.target
Wants=network-online.target
"""
_HARDENING = """\
# /usr, /boot and /etc are read-only; homes, /srv, /opt and /var are not.
ProtectSystem=full
"""
_PLAIN = re.compile(r"[\w@%+=:,./-]+")


def text(service: Described) -> str:
    """The unit. Raises ``ValueError`` for a path that a unit cannot hold."""
    user = service.scope is Scope.USER
    return _TEMPLATE.format(
        marker=MARKER,
        unit=service.unit,
        user="--user " if user else "",
        network="" if user else _NETWORK,
        command=_command(service.command),
        run_as="" if user else f"User={_escaped(service.user)}\n",
        environment="\n".join(
            f"Environment={_word(f'{name}={value}')}" for name, value in service.variables().items()
        ),
        # systemd takes it for a pattern, and a file that none matches for absent.
        secrets=_escaped(re.sub(r"([*?\[\\])", r"\\\1", str(service.secrets))),
        stop=service.stop,
        hardening="" if user else _HARDENING,
        target="default.target" if user else "multi-user.target",
    )


def variable(unit: str, name: str, home: str) -> str | None:
    """What a unit's text sets ``name`` to; ``home``: what %h in it stands for."""
    found = re.search(rf'^Environment="?{name}=((?:\\.|[^"\n])*)"?$', unit, re.MULTILINE)
    if found is None:
        return None
    value = re.sub(r"\\(.)", r"\1", found[1])
    return re.sub("%[%h]", lambda match: "%" if match[0] == "%%" else home, value)


def _command(words: Sequence[str]) -> str:
    program, *rest = words
    if set(program) & set("\"'\\"):
        raise ValueError(f"{program} cannot stand in a unit: systemd takes no quotes in a program")
    # In arguments $ begins a variable; in the program's own path it does not.
    return " ".join([_word(program), *(_word(word.replace("$", "$$")) for word in rest)])


def _word(word: str) -> str:
    escaped = _escaped(word)
    if _PLAIN.fullmatch(escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} cannot stand in a unit: it has unprintable characters")
    return text.replace("%", "%%")
