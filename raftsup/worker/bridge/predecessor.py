"""The bridge of a dead worker that outlived it, because a signal had stopped its shim."""

from __future__ import annotations

import contextlib

import psutil


def end(account: str, bridge: int | None) -> int | None:
    """Kill the shim of the account's last bridge (a pid, by that worker's report) and the bridge,
    if the shim is there still; its pid, or None. Two bridges would have one profile.
    """
    killed = None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(bridge or 0)
        shim = process.parent()
        if shim is not None and shim.cmdline()[:1] == [f"raftsup: bridge of {account}"]:
            shim.kill()
            killed = shim.pid
            process.kill()
    return killed
