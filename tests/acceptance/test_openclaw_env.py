"""The real Gateway, the fake model and the simulator's Raft work together, without raftsup's host:
what the acceptance tests of the runners stand on.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup.sim import wire
from raftsup.sim.server import RunningWorkspace, running_workspace
from raftsup.turn import notice
from tests.acceptance.openclaw import SCRIPT, OpenClaw
from tests.integration.sim_bridge import RAFT
from tests.processes import alive, until
from tests.support.openclaw.gateway import GatewayError, marked


@pytest.fixture
def raft(openclaw: OpenClaw, tmp_path: Path) -> Iterator[RunningWorkspace]:
    with running_workspace(["support", "sales"], tmp_path) as workspace:
        openclaw.use(tmp_path / "profiles")
        yield workspace


def wake(openclaw: OpenClaw, profile: str, agent: str = "main") -> wire.Answer:
    """One turn by the Gateway's own HTTP endpoint; ``profile`` names the session too."""
    said = [{"role": "user", "content": notice(RAFT, profile)}]
    body = {"model": f"openclaw/{agent}", "user": profile, "messages": said}
    headers = {
        "authorization": f"Bearer {openclaw.gateway.token}",
        "content-type": "application/json",
    }
    peer = wire.Peer(openclaw.gateway.base_url)
    return peer.request("POST", "/v1/chat/completions", headers, json.dumps(body).encode(), 60)


def answers(raft: RunningWorkspace) -> list[str]:
    return [reply.text for reply in raft.workspace.replies()]


def test_the_real_agent_answers_a_message_with_the_raft_command(
    openclaw: OpenClaw, raft: RunningWorkspace
) -> None:
    text = 'it\'s $HOME, `ls` and "it"\n%s ü €'
    raft.workspace.post("support", text, target="#the-room's-own")
    assert wake(openclaw, "support").status == 200
    assert answers(raft) == [f"echo: {text}"]
    assert raft.workspace.replies()[0].target == "#the-room's-own"
    assert [(run["how"], run["calls"]) for run in openclaw.runs("support")] == [("finished", 4)]


def test_two_agents_take_turns_at_once_and_each_answers_for_its_own_profile(
    openclaw: OpenClaw, raft: RunningWorkspace
) -> None:
    openclaw.model.behave(hang=True)
    for name in ("support", "sales"):
        raft.workspace.post(name, f"to {name}")
    turns = [
        threading.Thread(target=wake, args=(openclaw, name, agent))
        for name, agent in (("support", "support"), ("sales", "main"))
    ]
    for turn in turns:
        turn.start()
    until(lambda: len(openclaw.model.told()["in_flight"]) == 2)
    openclaw.model.behave()
    for turn in turns:
        turn.join(60)
    openclaw.never_two_at_once()
    assert sorted(answers(raft)) == ["echo: to sales", "echo: to support"]


def test_the_gateway_passes_a_refusal_of_the_model_on(
    openclaw: OpenClaw, raft: RunningWorkspace
) -> None:
    openclaw.model.behave(status=401)
    raft.workspace.post("sales", "hello")
    assert wake(openclaw, "sales", "troubled").status >= 400
    assert {run["how"] for run in openclaw.runs("sales")} == {"status 401"}
    assert answers(raft) == []


def test_a_run_that_a_killed_gateway_left_is_resumed_by_it_and_answers_what_was_read(
    openclaw: OpenClaw, raft: RunningWorkspace
) -> None:
    """The journal holds what was read: here the run is killed after ``message check``."""
    raft.workspace.post("support", "read and then killed")
    openclaw.model.behave(delay=1)

    def ask() -> None:
        with pytest.raises(wire.WireError):
            wake(openclaw, "support")

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: raft.workspace.messages()[0]["read_at"])
    openclaw.model.behave(hang=True)
    until(lambda: openclaw.model.told()["calls"] == 2)
    with pytest.raises(GatewayError, match="already"):
        openclaw.start()
    openclaw.kill()
    asking.join(20)
    openclaw.model.behave()
    openclaw.start()
    until(lambda: answers(raft), 30)
    until(lambda: openclaw.runs("support")[-1]["how"] == "finished")
    first, second = openclaw.runs("support")
    assert (first["how"], first["resumed"], second["resumed"]) == ("dropped", False, True)
    assert (first["calls"], second["calls"]) == (2, 4)
    assert answers(raft) == ["echo: read and then killed"]
    openclaw.never_two_at_once()


def test_a_person_starts_a_gateway_and_stops_it_whole(tmp_path: Path) -> None:
    folder = tmp_path / "by-hand"

    def run(verb: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "RAFT_HOME": str(tmp_path)}
        return subprocess.run([SCRIPT, verb, folder], capture_output=True, text=True, env=env)

    try:
        started = run("start")
        assert started.returncode == 0, started.stderr
        assert str(folder / "token") in started.stdout
        pid = int((folder / "gateway.pid").read_text())
        assert alive(pid)
        again = run("start")
        assert again.returncode == 1 and "already" in again.stderr
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    finally:
        stopped = run("stop")
    assert stopped.returncode == 0, stopped.stderr
    until(lambda: not alive(pid))
    assert not marked(folder)
