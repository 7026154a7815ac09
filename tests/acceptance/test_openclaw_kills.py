"""Every message has one answer, whoever of the dispatcher and a real Gateway is killed."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from raftsup.dispatcher import control_client
from raftsup.turn import ENDED, State, Turn
from tests.acceptance.openclaw import STUCK, OpenClaw, gateway
from tests.acceptance.openclaw_host import (
    all_ended,
    answered,
    host_of,
    turns_of,
)
from tests.integration.host import Host, wait_for

SEED = int(os.environ.get("RAFTSUP_SEED", "20261121"))
#: By account, which of the Gateway's agents; two share one, each in a session of its own.
ACCOUNTS = {"support": "support", "sales": "main", "engineering": "main"}
MESSAGES = 15
#: Who is killed in the middle of a run, one time after the other. A killed Gateway costs half a
#: minute: it is killed once, with RAFTSUP_LONG=1 twice.
PLAN: tuple[tuple[str, ...], ...] = (("dispatcher",), ("dispatcher", "gateway"), ("dispatcher",))
if os.environ.get("RAFTSUP_LONG"):
    PLAN = (("dispatcher",), ("gateway",), *PLAN)


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
            with contextlib.suppress(control_client.DispatcherDown):
                return control_client.request(self.host.state.dispatcher_socket, verb)
            return None

        return wait_for(answer, what="the dispatcher's answer") or {}

    def judge(self, ended: list[Turn]) -> None:
        planned = Counter(victim for victims in PLAN for victim in victims)
        assert all(self.killed[victim] >= count for victim, count in planned.items())
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
        unsent = sum("dispatcher died" in reason for reason in again)
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
