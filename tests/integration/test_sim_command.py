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

from raftsup import exit_codes
from tests.conftest import Serve
from tests.integration.host import RAFTSUP, wait_for


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short: the state folder holds Unix sockets.
    with tempfile.TemporaryDirectory(prefix="rs-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("cli", ["0.0.24", "next"])
def test_a_host_set_up_as_the_simulator_says_answers_a_message(
    folder: Path, serve: Serve, cli: str
) -> None:
    # As the README's installation has it: no program of this environment is on the PATH.
    ours = ("RAFT", "SLOCK_", "SUPERVISOR_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    env["PATH"] = "/usr/bin:/bin"
    raft_home = folder / "a home with a space"
    said = serve(
        [*RAFTSUP, "sim", "--port", "0", "--short", "--cli", cli, "--raft-home", str(raft_home)],
        env,
        "Ctrl-C ends it",
    ).read_text()

    exports = {
        name: shlex.split(value)[0] for name, value in re.findall(r"export (\w+)=(.+)", said)
    }
    assert exports["RAFT_HOME"] == str(raft_home)
    assert exports.get("RAFT_SIM_CLI_MODE") == ("next" if cli == "next" else None)
    config = re.search(r"In its config:\n(.+?)\n\n", said, re.DOTALL)
    url = re.search(r"listens on (http://\S+)", said)
    assert config and url, said
    (folder / "c.json5").write_text("{" + config[1] + "}")
    env |= {
        **exports,
        "RAFTSUP_CONFIG_PATH": str(folder / "c.json5"),
        "RAFTSUP_STATE_DIR": str(folder / "s"),
    }
    serve([*RAFTSUP, "up"], env, "success: dispatcher entered RUNNING")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RAFTSUP, *words], env=env, capture_output=True, text=True, timeout=60, check=False
        )

    wait_for(lambda: run("status").returncode == exit_codes.OK, what="a ready host")
    sent = run("sim", "send", "--to", "support", "--url", url[1], "hello")
    assert sent.returncode == 0, sent.stderr

    def replies() -> list[str]:
        return [
            r["text"] for r in json.loads(run("sim", "messages", "--url", url[1]).stdout)["replies"]
        ]

    wait_for(lambda: replies() == ["echo: hello"], what="the reply")
    assert run("stop").returncode == exit_codes.OK
    assert run("sim", "fault", "drop", "--url", url[1]).returncode == 0
