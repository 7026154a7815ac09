"""The Raft CLI as the host's children find it, and the node that it or an agent runs on."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from raftsup import raft_home
from raftsup.config.model import AcpAgent, CommandAgent
from raftsup.ops import raft_cli
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, fail, good, warning
from raftsup.terminal import plain

#: What the bridge's rules in this package were measured with.
MEASURED = (0, 0, 24)
_TIMEOUT_S = 10.0
_HEAD = 4096
_NUMBERS = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def cli(scene: Scene) -> Iterator[Finding]:
    for command in dict.fromkeys(account.command for account in scene.accounts):
        those = (account.id for account in scene.accounts if account.command == command)
        program = raft_cli.located(command, scene.env)
        if program is None:
            elsewhere = raft_cli.located(command, scene.environ)
            yield missing(command[0], scene.whose, elsewhere).of(*those)
            continue
        said = _said([*command, "--version"], scene.env, scene.limit)
        yield judge_version(shlex.join([program, *command[1:]]), said).of(*those)


def missing(program: str, whose: str, elsewhere: str | None) -> Finding:
    """``whose``: PATH it is not on; ``elsewhere``: where this shell finds it."""
    why = "no bridge can be started: no account takes a wake"
    if "/" in program:
        return fail(f"there is no Raft CLI {program!r} that this user may run", why,
                   advice="correct command below channels.raft in the config")  # fmt: skip
    what = f"there is no Raft CLI {program!r} on {whose} PATH"
    if elsewhere:
        path = orjson.dumps(elsewhere).decode()
        return fail(what, why, "raftsup restart", advice="from this shell, which finds it (a"
                   " service: `raftsup install --force` first); or write command:"
                   f" [{path}] below channels.raft")  # fmt: skip
    return fail(what, why, "npm i -g @botiverse/raft",
               advice="check with `raft --help`, then restart the host")  # fmt: skip


def judge_version(program: str, said: str | None) -> Finding:
    """``said``: what ``--version`` printed; None if that failed."""
    found = _NUMBERS.search(said or "")
    if said is None or found is None:
        return fail(f"{program} --version tells no version", "it may not be the Raft CLI",
                   f"{program} --help")  # fmt: skip
    if tuple(map(int, found.groups())) < MEASURED:
        wanted = ".".join(map(str, MEASURED))
        return warning(f"{program} is version {found[0]}, older than {wanted}",
                       "raftsup was not tried with it: its bridge may act differently",
                       "npm i -g @botiverse/raft@latest")  # fmt: skip
    return good(f"{program}, version {said}", brief=said)


def home(scene: Scene) -> Iterator[Finding]:
    """Where the profiles lie. What can be no folder at all is told of with the config."""
    theirs, yours = raft_home.place(scene.env), raft_home.place(scene.environ)
    whose = "the host's" if scene.pid else scene.whose
    if told := raft_home.difference(theirs, yours, whose):
        words = raft_home.prefix(scene.env, scene.environ)
        yield warning(told, "`raft agent login`, typed here as it is, signs in where the host does"
                      " not look", f"export {words}".rstrip(),
                      advice="raftsup's own commands look where the host does")  # fmt: skip
    if told := raft_home.missing(scene.env):
        yield warning(told, "no bridge can be started", advice="correct it where the host is"
                      " started, or sign the profiles in there")  # fmt: skip
    else:
        yield good(f"profiles are looked for in {theirs.single or f'{theirs.home}/profiles'}")


def node(scene: Scene) -> Iterator[Finding]:
    """One finding for each program that node runs."""
    programs: dict[tuple[str, ...], Mapping[str, str]] = {}
    for account in scene.accounts:
        programs.setdefault(account.command, scene.env)
        if isinstance(account.agent, CommandAgent | AcpAgent):
            programs.setdefault(account.agent.command, {**scene.env, **account.agent.env})
    scripts = [(node_script(command, env), env) for command, env in programs.items()]
    for script, env in scripts:
        if script is not None:
            version = _said(["node", "--version"], env)
            yield judge_node(str(script), wanted_node(script), version)
    if scripts and not any(script for script, _ in scripts):
        yield good("neither the Raft CLI nor an agent is a script of node's")


def node_script(command: Sequence[str], env: Mapping[str, str]) -> Path | None:
    """The file that node runs for ``command``; None if that is another program."""
    found = raft_cli.located(command, env)
    if found is None:
        return None
    if Path(found).name == "node":
        script = next((word for word in command[1:] if not word.startswith("-")), None)
        return Path(script).resolve() if script else None
    try:
        with Path(found).open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    first = head.partition(b"\n")[0]
    # pnpm and npm put a shell script in between.
    shim = first.startswith(b"#!") and b"exec node" in head
    is_script = first.startswith(b"#!") and re.search(rb"\bnode\b", first) is not None
    return Path(found).resolve() if is_script or shim else None


def wanted_node(script: Path) -> str | None:
    """What the script's package says of node (``engines.node``); None if it says nothing."""
    for folder in script.parents:
        try:
            package = orjson.loads((folder / "package.json").read_bytes())
            wanted = package["engines"]["node"]
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            continue
        return wanted if isinstance(wanted, str) else None
    return None


def judge_node(program: str, wanted: str | None, version: str | None) -> Finding:
    """``wanted``: a range of npm's; ``version``: what ``node --version`` printed, None: no node."""
    if version is None:
        return fail(f"{program} runs on node, and there is none on its PATH",
                   "it cannot be started",
                   advice=f"install node {wanted or ''}".strip())  # fmt: skip
    if wanted is None or _satisfies(version, wanted):
        return good(f"{program}: node {version}")
    return fail(f"{program} wants node {wanted}, its PATH has {version}",
               "it may end at once, or act oddly", advice=f"install node {wanted}, first on that"
               " PATH")  # fmt: skip


def _satisfies(version: str, wanted: str) -> bool:
    # npm's ranges have a grammar of their own.
    from semantic_version import NpmSpec, Version  # type: ignore[import-untyped]

    try:
        return bool(NpmSpec(wanted).match(Version(version.lstrip("v"))))
    except ValueError:
        return True  # not for us to judge


def _said(argv: Sequence[str], env: Mapping[str, str], limit: float | None = None) -> str | None:
    """The first line that a program prints; None if it fails."""
    try:
        done = raft_cli.ask(argv, env, limit or _TIMEOUT_S)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.decode("utf-8", "replace").split("\n")
    line = plain(lines[0], 60)
    return line if done.returncode == 0 and line else None
