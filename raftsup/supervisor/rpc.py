"""supervisor's XML-RPC interface, so that ``update`` touches one account at a time.

All accounts are one group, ``accounts``, which makes ``supervisorctl status``, ``restart
accounts:support``, ``restart accounts:*`` and ``tail -f`` work as they stand. But supervisor
updates whole groups. So ``reloadConfig`` names the *processes* that changed
(``accounts:support``), and what ``supervisorctl update`` then does with such a name is done to
that process.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from supervisor.options import make_namespec, split_namespec
from supervisor.rpcinterface import (
    SupervisorNamespaceRPCInterface,
    isNotRunning,
    isRunning,
    make_allfunc,
)
from supervisor.states import STOPPED_STATES
from supervisor.xmlrpc import Faults, RPCError


def make_interface(supervisord: Any) -> Interface:
    """The factory that ``supervisord.conf`` names."""
    return Interface(supervisord)


def difference(running: Any, wanted: Any) -> tuple[list[str], list[str], list[str]]:
    """Namespecs added, changed and removed between two sets of group configs."""
    old = {_spec(group, program): program for group in running for program in group.process_configs}
    new = {_spec(group, program): program for group in wanted for program in group.process_configs}
    return (
        [name for name in new if name not in old],
        [name for name in new if name in old and new[name] != old[name]],
        [name for name in old if name not in new],
    )


def _spec(group: Any, program: Any) -> str:
    return str(make_namespec(group.name, program.name))


class Interface(SupervisorNamespaceRPCInterface):
    def reloadConfig(self) -> list[list[list[str]]]:
        super().reloadConfig()  # raises CANT_REREAD with the config's own error
        added, changed, removed = difference(
            [group.config for group in self.supervisord.process_groups.values()],
            self.supervisord.options.process_group_configs,
        )
        # The dispatcher learns of agents, lanes and limits without a restart.
        for process in self.supervisord.process_groups["dispatcher"].processes.values():
            if process.pid:
                process.signal(signal.SIGHUP)
        return [[added, changed, removed]]

    def addProcessGroup(self, name: str) -> bool:
        self._update("addProcessGroup")
        for wanted in self.supervisord.options.process_group_configs:
            for program in wanted.process_configs:
                if _spec(wanted, program) == name:
                    return self._add(wanted, program, name)
        raise RPCError(Faults.BAD_NAME, name)

    def _add(self, wanted: Any, program: Any, name: str) -> bool:
        group = self.supervisord.process_groups[wanted.name]
        if program.name in group.processes:
            raise RPCError(Faults.ALREADY_ADDED, name)
        group.config.process_configs.append(program)
        group.processes[program.name] = program.make_process(group)
        return True

    def removeProcessGroup(self, name: str) -> bool:
        self._update("removeProcessGroup")
        group, process = self._one(name)
        if process.get_state() not in STOPPED_STATES:
            raise RPCError(Faults.STILL_RUNNING, name)
        group.config.process_configs.remove(process.config)
        del group.processes[process.config.name]
        return True

    def startProcessGroup(self, name: str, wait: bool = True) -> Any:
        if ":" not in name:
            return super().startProcessGroup(name, wait)
        return self._with_one("startProcessGroup", name, isNotRunning, self.startProcess, wait)

    def stopProcessGroup(self, name: str, wait: bool = True) -> Any:
        if ":" not in name:
            return super().stopProcessGroup(name, wait)
        return self._with_one("stopProcessGroup", name, isRunning, self.stopProcess, wait)

    def _with_one(
        self, call: str, name: str, condition: Callable[..., bool], act: Any, wait: bool
    ) -> Any:
        self._update(call)
        deferred = make_allfunc([self._one(name)], condition, act, wait=wait)
        deferred.delay = 0.05
        deferred.rpcinterface = self
        return deferred

    def _one(self, name: str) -> tuple[Any, Any]:
        group, process = self._getGroupAndProcess(name)
        if process is None:
            group_name = split_namespec(name)[0]
            raise RPCError(Faults.BAD_NAME, f"{name}: say {group_name}:<account>")
        return group, process
