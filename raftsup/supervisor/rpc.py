"""supervisor's XML-RPC interface, so that ``update`` touches one account at a time.

All accounts are one group, ``accounts``, which makes ``supervisorctl status``, ``restart
accounts:support``, ``restart accounts:*`` and ``tail -f`` work as they stand. But supervisor
updates whole groups. So ``reloadConfig`` names the *processes* that changed
(``accounts:support``), and what ``supervisorctl update`` then does with such a name is done to
that process.

``applyConfig`` does the same in the parent itself, whose jobs wait for one another (``reload``);
that is what ``raftsup reload`` asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from raftsup.dispatcher import main as dispatcher
from raftsup.supervisor import groups
from raftsup.supervisor._compat import (
    STOPPED_STATES,
    BaseInterface,
    Faults,
    RPCError,
    SupervisorStates,
    for_each,
    isNotRunning,
    isRunning,
    split_namespec,
)


def make_interface(supervisord: Any) -> Interface:
    """The factory that ``supervisord.conf`` names."""
    return Interface(supervisord)


class Interface(BaseInterface):
    def reloadConfig(self) -> list[list[list[str]]]:
        if self.supervisord.reloads.busy():
            raise RPCError(Faults.FAILED, "a reload is under way; say it again in a moment")
        super().reloadConfig()  # raises CANT_REREAD with the config's own error
        # The dispatcher learns of agents, lanes and limits without a restart.
        self.supervisord.reloads.tell_dispatcher()
        added, changed, removed = groups.difference(
            [group.config for group in self.supervisord.process_groups.values()],
            self.supervisord.options.process_group_configs,
        )
        return [[added, changed, removed]]

    def getProcessInfo(self, name: str) -> dict[str, Any]:
        """supervisor's, with the deaths that nobody asked for since the host began."""
        return {**super().getProcessInfo(name), "restarts": self._one(name)[1].restarts}

    def _update(self, text: str) -> None:
        if self.supervisord.options.mood < SupervisorStates.RUNNING:
            raise RPCError(Faults.SHUTDOWN_STATE, self.supervisord.ending())
        super()._update(text)

    def applyConfig(self) -> int:
        """Have the config file applied; a number for ``applyProgress``."""
        self._update("applyConfig")
        number: int = self.supervisord.reloads.ask()
        return number

    def applyProgress(self, number: int) -> str:
        """How far it is: JSON, see ``reload_job.Progress``. Answers also while the host stops."""
        return self._json(self.supervisord.reloads.progress(number))

    def configPlan(self) -> str:
        """What ``applyConfig`` would do now: JSON, see ``reload.Plan``."""
        return self._json(self.supervisord.reloads.plan())

    def configState(self) -> str:
        """How the running config stands to its file: JSON, see ``reload.ConfigState``."""
        return self._json(self.supervisord.reloads.state())

    def drain(self, timeout: float) -> bool:
        """Accept and start nothing more, wait ``timeout`` seconds (below 0: as long as it takes)
        for the running turns, end. Said again it sets another time.
        """
        if not self.supervisord.drain.on:
            self._update("drain")
        self.supervisord.drain.begin(None if timeout < 0 else timeout)
        return True

    def sendProcessStdin(self, name: str, chars: str) -> bool:
        """Refused. What a program of ours reads there comes from its parent alone
        (``dispatcher.config_pipe``): a word typed into ``supervisorctl fg`` would spoil it.
        """
        raise RPCError(Faults.NO_FILE, f"{name} takes no input")

    @staticmethod
    def _json(answer: object) -> str:
        return orjson.dumps(answer).decode()

    def addProcessGroup(self, name: str) -> bool:
        self._update("addProcessGroup")
        for wanted in self.supervisord.options.process_group_configs:
            for program in wanted.process_configs:
                if groups.spec(wanted, program) == name:
                    return self._add(wanted, program, name)
        raise RPCError(Faults.BAD_NAME, name)

    def _add(self, wanted: Any, program: Any, name: str) -> bool:
        group = self.supervisord.process_groups[wanted.name]
        if program.name in group.processes:
            raise RPCError(Faults.ALREADY_ADDED, name)
        groups.join(group, program)
        return True

    def removeProcessGroup(self, name: str) -> bool:
        self._update("removeProcessGroup")
        _, process = self._one(name)
        if process.group.config.name == dispatcher.PROGRAM:
            # What reloads and drains speak to; a stopped one they can do without.
            raise RPCError(Faults.FAILED, f"{name} is part of the host: it can only be stopped")
        if process.get_state() not in STOPPED_STATES:
            raise RPCError(Faults.STILL_RUNNING, name)
        groups.leave(process)
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
        return for_each(self, [self._one(name)], condition, act, wait=wait)

    def _one(self, name: str) -> tuple[Any, Any]:
        group, process = self._getGroupAndProcess(name)
        if process is None:
            group_name = split_namespec(name)[0]
            raise RPCError(Faults.BAD_NAME, f"{name}: say {group_name}:<account>")
        return group, process
