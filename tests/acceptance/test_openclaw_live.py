"""``config check --live`` and ``turn run`` with a real OpenClaw Gateway."""

from __future__ import annotations

from typing import Any

from raftsup import exit_codes
from tests.acceptance.openclaw import OpenClaw
from tests.integration.host import Host, running


def checked(host: Host, agent: dict[str, Any], **env: str) -> tuple[int, str]:
    """The exit code and what is said of the agent."""
    host.configure({"support": {}}, turns={"agent": agent})
    done = host.run("config", "check", "--live", **env)
    assert not done.stderr
    return done.returncode, done.stdout.partition("agent openclaw, for support:\n")[2]


def test_a_gateway_is_tried_without_a_model_call_and_what_is_wrong_is_said(
    openclaw: OpenClaw,
) -> None:
    url, token = openclaw.gateway.url, openclaw.gateway.token
    tokenless = {"kind": "openclaw", "url": url, "agentId": "main"}
    with running(["support"]) as host:
        openclaw.use(host.profiles)
        lets_in = f"  good  the Gateway {url}: version 20"
        code, said = checked(host, openclaw.agent())
        assert code == exit_codes.OK
        assert said.startswith(lets_in)
        assert said.endswith(", and it lets this host in\n  good  it has the agent main\n")
        # The token may come from where the check is run.
        assert checked(host, tokenless, OPENCLAW_GATEWAY_TOKEN=token) == (exit_codes.OK, said)

        code, said = checked(host, openclaw.agent(agentId="nobody"))
        assert code == exit_codes.NOT_READY and said.startswith(lets_in)
        assert "  FAIL  it has no agent 'nobody': set agentId to one of main" in said

        code, said = checked(host, openclaw.agent(token="wrong-token"))
        assert code == exit_codes.NOT_READY and "it does not take this token" in said
        assert "wrong-token" not in said

        code, said = checked(host, tokenless)
        assert code == exit_codes.NOT_READY and "it wants a token; set the agent's token" in said
        assert openclaw.model.told()["runs"] == []


def test_a_turn_by_hand_is_run_by_the_gateways_agent_and_its_text_is_in_the_transcript(
    openclaw: OpenClaw,
) -> None:
    with running(["support"]) as host:
        openclaw.use(host.profiles)
        host.configure({"support": {}}, turns={"agent": openclaw.agent()})
        host.up()
        host.ready()
        done = host.run("turn", "run", "support")
        assert done.returncode == exit_codes.OK, done.stdout + done.stderr
        assert "turn 1 of support: done, attempt 1\n" in done.stdout
        assert len(openclaw.runs("support")) == 1
        said = host.run("turn", "show", "1", "--transcript").stdout
        assert said == host.state.transcript(1, 1).read_text() and said.strip()
