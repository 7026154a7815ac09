"""Message content, and secrets of the operator's, the agents' and the bridges', stay where they
belong: in no log, no argument and no file of the host's.
"""

from __future__ import annotations

import contextlib
import os

import psutil

from tests.integration.host import AGENT, OPERATORS_SECRET, running, wait_for

MARKER = "the-quick-brown-marker"
AGENTS_KEY = "agents-own-key"


def test_content_and_secrets_are_in_no_file_and_no_argument_of_the_host() -> None:
    with running(("support", "sales")) as host:
        agent = {**AGENT, "env": {**AGENT["env"], "AGENT_KEY": AGENTS_KEY}}
        host.configure({"support": {"agent": agent}, "sales": {}})
        host.up()
        host.ready()
        texts = [f"{MARKER} {number}" for number in range(4)]
        for number, text in enumerate(texts):
            host.raft.workspace.post(("support", "sales")[number % 2], text)
        host.answered(*texts)

        tokens = _environ_values(host.watch(), "RAFT_CHANNEL_TOKEN")
        assert len(tokens) == 2, "each bridge has a token of its own"
        assert all(len(bytes.fromhex(token)) == 32 for token in tokens)
        hidden = [MARKER, OPERATORS_SECRET, AGENTS_KEY, *tokens]
        for process in host.watch():
            with contextlib.suppress(psutil.Error):
                shown = " ".join(process.cmdline())
                assert not [secret for secret in hidden if secret in shown], shown
        assert host.run("stop").returncode == 0
        host.gone()

        files = [path for path in host.state.root.rglob("*") if path.is_file()]
        assert len(files) > 10
        for path in files:
            data = path.read_bytes()
            found = [secret for secret in hidden if secret.encode() in data]
            assert not found, f"{path} holds {found}"
            assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"


def test_what_an_agent_writes_has_the_operators_umask() -> None:
    with running(("support",)) as host:
        written = host.root / "umask"
        agent = {"kind": "command", "command": ["sh", "-c", f"umask > {written}"]}
        host.configure({"support": {"agent": agent}})
        before = os.umask(0o027)
        try:
            host.up()
        finally:
            os.umask(before)
        host.ready()
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: written.exists() and written.read_text())
        assert written.read_text() == "0027\n"


def _environ_values(processes: set[psutil.Process], name: str) -> set[str]:
    values = set()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if value := process.environ().get(name):
                values.add(value)
    return values
