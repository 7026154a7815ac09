"""``raftsup up --dev``: a throwaway instance on a simulated Raft, in folders that go with it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from raftsup import files
from raftsup.paths import StateDirError
from raftsup.proc import lockfile, reexec
from raftsup.proc.linux import die_with_parent, reset_signals
from raftsup.sim.server import running_workspace
from raftsup.sim.timers import SHORT, SHORT_KEEPALIVE

ACCOUNTS = ("support", "engineering")
RAFT = [sys.executable, "-m", "raftsup.sim.raft_cli"]
#: What a person who knows the true Raft should be told.
SHORT_TIMERS = (
    "its timers are short: what the true Raft CLI does within 25 s it does within half a second"
)
_LOCK = "dev.lock"


def simulated(accounts: Sequence[str]) -> str:
    """The config of a host on the simulated Raft."""
    tree = {
        "channels": {
            "raft": {
                "command": RAFT,
                "accounts": {
                    name: {"profile": name, "agentId": f"agent-{name}"} for name in accounts
                },
            }
        },
        "turns": {
            "agent": {"kind": "command", "command": [sys.executable, "-m", "raftsup.sim.agent"]}
        },
    }
    return json.dumps(tree, indent=2)


@contextmanager
def folders(folder: Path) -> Iterator[None]:
    """``folder``, empty and private, for as long as it is needed.

    Raises ``flock.Held`` while another one runs, ``StateDirError`` where it is not ours.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    # In a folder that all may write to, the name could be anybody's.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StateDirError(f"{folder} is not a private folder of this user: remove it")
    lock = lockfile.take(folder / _LOCK)
    try:
        _empty(folder)  # what one that was killed has left
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name == _LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def simulator(folder: Path) -> Iterator[str]:
    """A simulated Raft for the accounts, and the config for it; its URL."""
    with running_workspace(ACCOUNTS, folder / "raft", keepalive=SHORT_KEEPALIVE) as raft:
        (folder / "raftsup.json5").write_text(simulated(ACCOUNTS))
        left = {"RAFT_HOME": str(folder / "raft"), "RAFT_SIM_CLI": shlex.join(RAFT), **SHORT}
        files.replace(folder / "environment.json", orjson.dumps(left))
        yield raft.url


def host(environ: Mapping[str, str], words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start ``raftsup up <words>``, which ends with this process. Main thread only."""
    parent = os.getpid()

    def prepare() -> None:
        # The caller holds signals back while this one starts; the host must hear them.
        reset_signals(before_exec=True)
        die_with_parent(parent)

    return subprocess.Popen(
        reexec.argv("raftsup", "up", *words),
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        # Ctrl-C is this process's to hear; it then stops the host.
        start_new_session=True,
        preexec_fn=prepare,
    )
