"""``raftsup status --deep``: what else of raftsup is on this machine. Best effort: it sees what
this user may see, and folders only where one is usually made.

Nothing found is a fault in itself: several instances are fine if they share neither state folder
nor profile. So each finding has a hint for whoever did not mean it to be there.
"""

from __future__ import annotations

import itertools
import shlex
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from raftsup import paths
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, good
from raftsup.ops.checks.processes import Process
from raftsup.ops.service import detect as services
from raftsup.ops.service.spec import Scope, instance_words
from raftsup.paths import StateDir, xdg
from raftsup.proc import lockfile

_ENDPOINT = "--wake-channel-endpoint"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: What packages and other tools use besides the folders that `raftsup install` writes to.
_UNIT_FOLDERS = {
    Scope.USER: ("/etc/systemd/user", "/usr/lib/systemd/user"),
    Scope.SYSTEM: ("/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/system"),
}


def others(scene: Scene) -> Iterator[Finding]:
    """All that was found besides the scene's instance."""
    installed = _services()
    folders = _folders(scene.environ, scene.processes)
    folders |= {s.state for s in installed if s.state is not None}
    yield from _instances(folders, scene.state)
    yield from (_service(s) for s in installed if s.state != scene.state.root)
    yield from orphans(scene.processes, _listens)


def other(
    kind: str, what: str, hint: str, pid: int | None = None, path: str | None = None
) -> Finding:
    """``hint``: what to type if it is not meant to be there."""
    facts = {"kind": kind, "what": what, "hint": hint, "pid": pid, "path": path}
    return replace(good(f"{kind}: {what}"), advice=hint, facts=facts)


def orphans(processes: Mapping[int, Process], listens: Callable[[str], bool]) -> Iterator[Finding]:
    """Processes of ours whose owner is gone, and bridges whose endpoint is.

    A bridge that answers to a living endpoint is somebody's, perhaps an OpenClaw's.
    """
    for pid, process in sorted(processes.items()):
        parent = processes.get(process.parent)
        words = " ".join(process.argv)
        if words.startswith("raftsup: "):
            above = " ".join(parent.argv) if parent is not None else ""
            if "raftsup" not in above and "supervisord" not in above:
                yield other("orphan", f"pid {pid}, {words!r}: its owner is gone", _kill(pid), pid)
            continue
        url = _endpoint_of(process.argv)
        started_by_another = parent is not None and _endpoint_of(parent.argv) is not None
        if url is not None and not started_by_another and not listens(url):
            what = f"pid {pid}, profile {_profile_of(process.argv)}: nothing listens at {url}"
            yield other("orphaned bridge", what, _kill(pid), pid)


def _endpoint_of(argv: Sequence[str]) -> str | None:
    """Where a bridge sends its wakes; None for a command line that is no bridge."""
    pairs = list(itertools.pairwise(argv))
    if ("agent", "bridge") not in pairs:
        return None
    return next((value for name, value in pairs if name == _ENDPOINT), None)


def _profile_of(argv: Sequence[str]) -> str:
    return next((b for a, b in itertools.pairwise(argv) if a == "--profile"), "unknown")


def _kill(pid: int) -> str:
    return f"it should have ended by itself; `kill {pid}`, and `kill -KILL {pid}` if it stays"


def _listens(url: str) -> bool:
    try:
        parts = urlsplit(url)
        if parts.hostname not in _LOOPBACK:
            return True  # anybody can have such a command line: it sends us nowhere
        socket.create_connection((parts.hostname, parts.port or 80), timeout=1.0).close()
    except (OSError, ValueError):
        return False
    return True


def _folders(environ: Mapping[str, str], processes: Mapping[int, Process]) -> set[Path]:
    base = xdg(environ, "XDG_STATE_HOME", ".local/state")
    found = {
        folder
        for folder in [*base.glob("raftsup*"), paths.throwaway(environ) / "state"]
        if (folder / "ledger").is_dir() or (folder / "raftsup.lock").exists()
    }
    for pid, process in processes.items():
        # The parent alone has it open; its children are named otherwise.
        if "up" in process.argv and any("raftsup" in word for word in process.argv):
            found |= {folder for folder in [folder_of(pid)] if folder is not None}
    return found


def folder_of(pid: int) -> Path | None:
    """The state folder that a host keeps locked; None for another process."""
    try:
        files = [Path(file.path) for file in psutil.Process(pid).open_files()]
    except psutil.Error:
        return None
    return next((file.parent for file in files if file.name == "raftsup.lock"), None)


def _instances(folders: set[Path], state: StateDir) -> Iterator[Finding]:
    here = state.root.resolve()
    for folder in sorted({folder.resolve() for folder in folders} - {here}):
        quoted, pid = shlex.quote(str(folder)), lockfile.holder(folder / "raftsup.lock")
        path = str(folder)
        if pid is not None:
            hint = f"`raftsup stop --state-dir {quoted}` ends it"
            yield other("host", f"runs on {folder}, pid {pid}", hint, pid, path)
        elif folder.is_dir():
            hint = (
                f"`raftsup status --state-dir {quoted}` shows what it still owes;"
                f" `rm -r {quoted}` forgets it"
            )
            yield other("state folder", f"{folder}, no host runs on it", hint, None, path)


def _services() -> list[services.Installed]:
    known = list(services.everything())
    if services.manager_here() is services.Manager.SYSTEMD:
        seen = {service.path.resolve() for service in known}
        for scope, folders in _UNIT_FOLDERS.items():
            for path in itertools.chain(
                *(sorted(Path(f).glob("raftsup*.service")) for f in folders)
            ):
                place = services.Place(services.Manager.SYSTEMD, scope, path.stem, path)
                service = services.read(place, Path.home())
                if service is not None and path.resolve() not in seen:
                    seen.add(path.resolve())
                    known.append(service)
    return known


def _service(service: services.Installed) -> Finding:
    scope, path = service.scope, service.path
    folder = f"for {service.state}" if service.state else "naming no state folder"
    what = f"{path} ({scope}), {folder}"
    if service.ours:
        words = ["raftsup", *instance_words(service.unit), "uninstall", f"--{scope}"]
        return other("service", what, f"`{shlex.join(words)}` removes it", None, str(path))
    if service.manager is services.Manager.LAUNCHD:
        hint = f"`launchctl unload {shlex.quote(str(path))}`, then remove the file"
    else:
        user = " --user" if scope is Scope.USER else ""
        hint = f"`systemctl{user} disable --now {service.unit}`, then remove the file"
    return other("service", what, hint, None, str(path))
