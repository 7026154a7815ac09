"""`raftsup setup --from-openclaw` with the config of a real Gateway that runs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from raftsup import exit_codes
from tests.acceptance.openclaw import OpenClaw
from tests.integration.host import RAFT, running


def test_a_gateways_own_config_becomes_ours_and_its_agent_is_found(
    openclaw: OpenClaw, tmp_path: Path
) -> None:
    place = openclaw.gateway.place
    theirs = json.loads(place.config.read_text())
    theirs["channels"] = {
        "raft": {"enabled": True, "accounts": {"support": {"profile": "support"}}}
    }
    theirs["bindings"] = [
        {"agentId": "support", "match": {"channel": "raft", "accountId": "support"}}
    ]
    copy = tmp_path / "openclaw.json"
    copy.write_text(json.dumps(theirs))
    with running(["support"]) as host:
        host.config_path.unlink()
        words = ["--from-openclaw", str(copy), "--command", shlex.join(RAFT), "--yes"]
        done = host.run("setup", *words)
        assert done.returncode == exit_codes.OK, done.stdout + done.stderr
        assert "it lets this host in" in done.stdout and "has the agent support" in done.stdout
        token = place.token.read_text().strip()
        assert token not in host.config_path.read_text() + done.stdout + done.stderr
        checked = host.run("config", "check", "--live", OPENCLAW_GATEWAY_TOKEN=token)
        assert checked.returncode == exit_codes.OK, checked.stdout + checked.stderr
