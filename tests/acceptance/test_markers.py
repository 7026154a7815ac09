"""What is planted in messages, keys and tokens is found in no file and in no command's words."""

from __future__ import annotations

import contextlib
import http.client
import sys
from urllib.parse import urlsplit

import psutil
import pytest

from tests.integration.host import AGENT, OPERATORS_SECRET, Host, running, wait_for

BODY = "marker-of-a-message"
REFUSED = "marker-of-a-wake-with-content"
AGENTS_KEY = "marker-of-an-agents-key"
GATEWAY_TOKEN = "marker-of-the-gateways-token"
#: Prints what it must not, and fails: the reason of its failure goes to ledger and logs.
TATTLER = "import os, sys; print(os.environ['AGENT_KEY']); sys.exit(os.environ['AGENT_KEY'])"
#: What an operator looks at. A transcript holds what the agent itself has printed.
LOOKS = (
    "status", "status --json", "logs", "logs --json", "logs support", "logs --turn 1",
    "config check", "config check --json", "turn list", "turn list --json", "turn show 1",
    "turn show 1 --json", "ctl status", "ctl tail accounts:support", "ctl tail dispatcher",
)  # fmt: skip


def test_no_marker_is_in_any_file_or_in_what_commands_print(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", GATEWAY_TOKEN)
    with running(("support", "sales", "desk")) as host:
        env = {**AGENT["env"], "AGENT_KEY": AGENTS_KEY}
        gateway = {"kind": "openclaw", "url": "ws://127.0.0.1:9", "agentId": "main"}
        host.configure(
            {
                "support": {"agent": {**AGENT, "env": env}},
                "sales": {
                    "agent": {**AGENT, "command": [sys.executable, "-c", TATTLER], "env": env}
                },
                "desk": {"agent": {**gateway, "token": "${OPENCLAW_GATEWAY_TOKEN}"}},
            },
            turns={"attempts": 2, "pause": "100ms"},
        )
        host.up()
        host.ready("support", "sales")
        for account in ("support", "sales", "desk"):
            host.raft.workspace.post(account, f"{BODY} for {account}")
        host.answered(f"{BODY} for support")
        wait_for(lambda: host.account("sales")["turns"]["failed"] == 1)
        wait_for(lambda: host.account("desk")["turns"]["queued"] == 1)
        tokens = bridge_tokens(host)
        assert len(tokens) == 3
        hidden = [BODY, REFUSED, AGENTS_KEY, GATEWAY_TOKEN, OPERATORS_SECRET, *tokens]
        for token in tokens:
            assert offer(host, token) in (400, 401, 403)

        for words in LOOKS:
            done = host.run(*words.split())
            said = done.stdout + done.stderr
            assert said and not [m for m in hidden if m in said], (words, said)
        assert "action=endpoint.refused status=400" in host.run("logs", "support").stdout
        assert host.run("stop").returncode == 0
        host.gone()
        texts = {path: path.read_bytes() for path in host.state.root.rglob("*") if path.is_file()}
        printed = [path for path in texts if path.parent == host.state.turns]
        transcripts = [texts.pop(path) for path in printed]
        assert any(AGENTS_KEY.encode() in said for said in transcripts), "nothing was planted"
        assert not [said for said in transcripts if GATEWAY_TOKEN.encode() in said]
        assert {"data.mdb", "dispatcher.log", "supervisord.log"} <= {path.name for path in texts}
        for path, data in texts.items():
            assert not [marker for marker in hidden if marker.encode() in data], path
        # What the foreground host has printed, too.
        assert not [marker for marker in hidden if marker in host.said()]


def bridge_tokens(host: Host) -> list[str]:
    found = set()
    for process in host.watch():
        with contextlib.suppress(psutil.Error):
            found.add(process.environ().get("RAFT_CHANNEL_TOKEN", ""))
    return sorted(found - {""})


def offer(host: Host, token: str) -> int:
    """A wake that carries content, markers wherever a request has room for them; the status."""
    address = urlsplit(host.account("support")["endpoint"]["url"])
    connection = http.client.HTTPConnection(address.netloc, timeout=10)
    body = f'{{"eventId": "{REFUSED}", "content": "{REFUSED}", "{REFUSED}": 1}}'
    headers = {"x-raft-bridge-token": token, "x-other": REFUSED, "content-type": "application/json"}
    with contextlib.closing(connection):
        connection.request("POST", f"/wake?{REFUSED}={token}", body, headers)
        return connection.getresponse().status
