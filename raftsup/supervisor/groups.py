"""The programs of supervisor's groups: which differ, one that joins its group, one that leaves.

All accounts are one group, and one program is the least that a change touches; supervisor itself
knows only how to add and remove whole groups.
"""

from __future__ import annotations

from typing import Any

from supervisor.options import make_namespec


def spec(group: Any, program: Any) -> str:
    """What supervisorctl calls a program: ``accounts:support``."""
    return str(make_namespec(group.name, program.name))


def difference(running: Any, wanted: Any) -> tuple[list[str], list[str], list[str]]:
    """Programs added, changed and removed between two sets of group configs."""
    old = {spec(group, program): program for group in running for program in group.process_configs}
    new = {spec(group, program): program for group in wanted for program in group.process_configs}
    return (
        [name for name in new if name not in old],
        [name for name in new if name in old and new[name] != old[name]],
        [name for name in old if name not in new],
    )


def join(group: Any, program: Any) -> Any:
    """The program's new process in the running ``group``, whose loop starts it."""
    group.config.process_configs.append(program)
    process = group.processes[program.name] = program.make_process(group)
    return process


def leave(process: Any) -> None:
    """Take a process that has ended out of its group."""
    process.group.config.process_configs.remove(process.config)
    del process.group.processes[process.config.name]
