"""A Gateway and a fake model that a person starts and stops: ``scripts/openclaw-env``."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
from pathlib import Path

from tests.support.openclaw.gateway import (
    STOP,
    Gateway,
    GatewayError,
    end_marked,
    marked,
    running_pid,
    spawn,
    wait_until,
    write_private,
)
from tests.support.openclaw.gateway_config import MARK, Place


def start(installed: Path, root: Path) -> str:
    """Start both; what to do with them, for the person who did. Raises ``GatewayError``."""
    place = Place(root)
    if marked(root):
        raise GatewayError(f"a Gateway runs on {root} already; stop it with: {_stop(root)}")
    with contextlib.suppress(FileNotFoundError):
        if any(root.iterdir()) and not place.config.exists():
            raise GatewayError(f"{root} holds other things; name a new or an empty folder")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    port, token = _before(place)
    try:
        gateway = Gateway(installed, root, _model(root), port=port, token=token)
        gateway.start()
    except BaseException:
        end_marked(root)
        raise
    raft_home = os.environ.get("RAFT_HOME") or "the Gateway's own home; set it and start again"
    return (
        f"An OpenClaw Gateway listens on {gateway.url}, pid {gateway.pid}.\n"
        f"Its token:   {place.token}\n"
        f"Its log:     {place.log}\n"
        f"RAFT_HOME of its agents: {raft_home}\n"
        f"In raftsup's config:\n"
        f'  turns: {{ agent: {{ kind: "openclaw", url: "{gateway.url}", agentId: "main",\n'
        '                     token: "${OPENCLAW_GATEWAY_TOKEN}" } }\n'
        "In the shell that starts raftsup:\n"
        f'  export OPENCLAW_GATEWAY_TOKEN="$(cat {shlex.quote(str(place.token))})"\n'
        f"Stop it:     {_stop(root)}"
    )


def stop(root: Path) -> str:
    """Raises ``GatewayError``."""
    place = Place(root)
    if not marked(root):
        return f"Nothing runs on {root}."
    if pid := running_pid(root, place.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(GatewayError):
            wait_until(lambda: not running_pid(root, place.pid), STOP, "")
    end_marked(root)
    return f"Nothing runs on {root} any more."


def _before(place: Place) -> tuple[int, str]:
    """Port and token of an earlier start, so that what was written down stays true."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
        gateway = json.loads(place.config.read_text())["gateway"]
        return int(gateway["port"]), str(gateway["auth"]["token"])
    return 0, ""


def _model(root: Path) -> str:
    """Start a model that outlives us; its URL."""
    log = root / "model.log"
    write_private(log, "")
    env = {**os.environ, MARK: str(root), "PYTHONPATH": str(Path(__file__).parents[3])}
    spawn([sys.executable, "-m", "tests.support.openclaw.model"], env, log, root)
    wait_until(log.read_text, STOP, f"the model did not start; see {log}")
    return log.read_text().split()[-1]


def _stop(root: Path) -> str:
    return f"{shlex.quote(sys.argv[0])} stop {shlex.quote(str(root))}"
