"""What the parent's XML-RPC interface refuses to an operator, for the host's own sake."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.xmlrpc import RPCError

from raftsup.supervisor.rpc import Interface


def parent(group: str, name: str) -> Any:
    """A host with one program, which is stopped."""
    made = SimpleNamespace(config=SimpleNamespace(name=group, process_configs=[]), processes={})
    process = SimpleNamespace(config=SimpleNamespace(name=name), group=made)
    process.get_state = lambda: ProcessStates.STOPPED
    made.processes[name] = process
    made.config.process_configs.append(process.config)
    return SimpleNamespace(
        options=SimpleNamespace(mood=SupervisorStates.RUNNING), process_groups={group: made}
    )


def test_nobody_but_the_parent_writes_into_a_programs_pipe() -> None:
    # supervisorctl's `fg` sends what is typed; half a letter would make the dispatcher deaf.
    with pytest.raises(RPCError, match="takes no input"):
        Interface(None).sendProcessStdin("dispatcher", "hello\n")


def test_an_account_can_be_removed_and_the_dispatcher_cannot() -> None:
    # A reload and a drain would look for it in vain.
    host = parent("dispatcher", "dispatcher")
    with pytest.raises(RPCError, match="part of the host"):
        Interface(host).removeProcessGroup("dispatcher")
    assert host.process_groups["dispatcher"].processes
    host = parent("accounts", "dispatcher")
    assert Interface(host).removeProcessGroup("accounts:dispatcher")
    assert not host.process_groups["accounts"].processes
