"""``raftsup sim`` as a newcomer uses it: what it prints is all that a host needs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup import exits
from tests.conftest import Serve
from tests.integration.host import RAFTSUP, wait_for


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short: the state folder holds Unix sockets.
    with tempfile.TemporaryDirectory(prefix="rs-") as folder:
        yield Path(folder)


def test_a_host_set_up_as_the_simulator_says_answers_a_message(folder: Path, serve: Serve) -> None:
    # As the README's installation has it: no program of this environment is on the PATH.
    ours = ("RAFT", "SLOCK_", "SUPERVISOR_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    env["PATH"] = "/usr/bin:/bin"
    raft_home = folder / "a home with a space"
    said = serve(
        [*RAFTSUP, "sim", "--port", "0", "--keepalive", "0.5", "--raft-home", str(raft_home)],
        env,
        "Ctrl-C ends it",
    ).read_text()

    printed = re.search(r"export RAFT_HOME=(.+)", said)
    config = re.search(r"In its config:\n(.+?)\n\n", said, re.DOTALL)
    url = re.search(r"listens on (http://\S+)", said)
    assert printed and config and url, said
    (folder / "c.json5").write_text("{" + config[1] + "}")
    env |= {
        "RAFT_HOME": shlex.split(printed[1])[0],
        "RAFTSUP_CONFIG_PATH": str(folder / "c.json5"),
        "RAFTSUP_STATE_DIR": str(folder / "s"),
    }
    serve([*RAFTSUP, "up"], env, "success: dispatcher entered RUNNING")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RAFTSUP, *words], env=env, capture_output=True, text=True, timeout=60, check=False
        )

    wait_for(lambda: run("status").returncode == exits.OK, what="a ready host")
    sent = run("sim", "send", "--to", "support", "--url", url[1], "hello")
    assert sent.returncode == 0, sent.stderr

    def replies() -> list[str]:
        return [
            r["text"] for r in json.loads(run("sim", "messages", "--url", url[1]).stdout)["replies"]
        ]

    wait_for(lambda: replies() == ["echo: hello"], what="the reply")
    assert run("stop").returncode == exits.OK
    assert run("sim", "fault", "drop", "--url", url[1]).returncode == 0
