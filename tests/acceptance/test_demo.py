"""The README's first command, without the virtual environment that it sets up."""

from __future__ import annotations

import subprocess
import sys


def test_the_demo_shows_each_messages_way_and_that_nothing_was_lost_or_run_twice() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "raftsup", "demo", "--messages", "9"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    # One that an earlier turn has read before its own wake came has no wake to show.
    ways = [line for line in demo.stdout.splitlines() if " message -> " in line]
    assert len(ways) == 9 and all("-> reply" in way for way in ways)
    assert any("-> wake" in way for way in ways)
    assert "its timers are short" in demo.stdout
    assert "SIGKILL to the bridge of support" in demo.stdout
    assert "SIGKILL to the worker of engineering" in demo.stdout
    assert "nothing was lost, nothing was run twice" in demo.stdout
    assert demo.stderr == ""
