"""The programs of supervisor's groups: which differ, one that joins its group, one that leaves.

All accounts are one group, and one program is the least that a change touches; supervisor itself
knows only how to add and remove whole groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raftsup.supervisor._compat import Group, GroupConfig, make_namespec


def spec(group: GroupConfig, program: Any) -> str:
    """What supervisorctl calls a program: ``accounts:support``."""
    return str(make_namespec(group.name, program.name))


def programs_of(groups: Iterable[GroupConfig]) -> dict[str, Any]:
    """The programs of group configs, by their ``spec``."""
    return {spec(group, program): program for group in groups for program in group.process_configs}


def difference(
    running: Iterable[GroupConfig], wanted: Iterable[GroupConfig]
) -> tuple[list[str], list[str], list[str]]:
    """Programs added, changed and removed between two sets of group configs."""
    old, new = programs_of(running), programs_of(wanted)
    return (
        [name for name in new if name not in old],
        [name for name in new if name in old and new[name] != old[name]],
        [name for name in old if name not in new],
    )


def join(group: Group, program: Any) -> Any:
    """The program's new process in the running ``group``, whose loop starts it."""
    group.config.process_configs.append(program)
    process = group.processes[program.name] = program.make_process(group)
    return process


def leave(process: Any) -> None:
    """Take a process that has ended out of its group."""
    process.group.config.process_configs.remove(process.config)
    del process.group.processes[process.config.name]
