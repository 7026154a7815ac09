"""Activity from the dispatcher's socket to the bridge, and to the dot in the simulated Raft."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raftsup import report
from raftsup.backoff import Backoff
from raftsup.dispatcher.control_socket import Server
from raftsup.worker.activity.hooks import Report
from raftsup.worker.activity.subscriber import CAPACITY, Feed, Queue
from tests.integration.endpoint_child import start
from tests.integration.host import AGENT, Host, running, wait_for
from tests.processes import until


class CountingServer(Server):
    connections = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await super()._serve(reader, writer)


class FakeDispatcher:
    """A true socket server whose turns are ours to make up. It can go down and come again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.running: list[dict[str, Any]] = []
        self.subscriptions = 0
        self.up()

    @property
    def connections(self) -> int:
        return self._server.connections

    def up(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)))
        self._thread.start()
        assert ready.wait(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._server = CountingServer(lambda: None)
        self._server.verbs["status"] = self._status
        listening = await self._server.listen(self.path)
        ready.set()
        await self._over.wait()
        listening.close()

    def _status(self, _: object) -> dict[str, Any]:
        self.subscriptions += 1
        return {"pid": 1, "running": list(self.running)}

    def publish(self, name: str, turn: int = 17, account: str = "a", **more: object) -> None:
        event = {"event": name, "at": time.time(), "turn": turn, "account": account,
                 "attempt": 1, "reason": "secret", **more}  # fmt: skip
        self._loop.call_soon_threadsafe(self._server.publish, event)

    def end(self) -> None:
        if self._thread.is_alive():
            assert self._over is not None
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(10)
            self.path.unlink(missing_ok=True)


@pytest.fixture
def dispatcher(tmp_path: Path) -> Iterator[FakeDispatcher]:
    made = FakeDispatcher(tmp_path / "d.sock")
    yield made
    made.end()


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def feed(dispatcher: FakeDispatcher, queue: Queue) -> Feed:
    """The feed of the account ``a``; ``told`` runs it."""
    return Feed(dispatcher.path, "a", "session-1", queue.put, threading.Event(), Backoff(0.05, 0.1))


@pytest.fixture
def told(
    dispatcher: FakeDispatcher, feed: Feed, queue: Queue
) -> Iterator[Callable[[int], list[dict[str, Any]]]]:
    """What the feed has told so far, once there are so many events."""
    said = list[dict[str, Any]]()
    thread = threading.Thread(target=feed.run)
    thread.start()

    def wait(many: int) -> list[dict[str, Any]]:
        until(lambda: said.extend(queue.drain(50)[0]) or len(said) >= many)
        assert len(said) == many
        return said

    yield wait
    feed.stopping.set()
    dispatcher.end()
    thread.join(10)
    assert not thread.is_alive()


def brief(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["hookEventName"], event["status"]) for event in events]


Tell = Callable[[int], list[dict[str, Any]]]


def test_a_turn_is_told_step_by_step_and_other_accounts_turns_are_not(
    dispatcher: FakeDispatcher, told: Tell
) -> None:
    told(1)
    dispatcher.publish("turn.started", turn=16, account="b")
    dispatcher.publish("turn.started")
    dispatcher.publish("turn.step", kind="tool_started", tool="execute")
    dispatcher.publish("turn.step", kind="tool_ended", tool="execute", failed=False)
    dispatcher.publish("turn.done")
    events = told(5)
    assert brief(events) == [
        ("SessionStart", "online"),
        ("UserPromptSubmit", "thinking"),
        ("PreToolUse", "working"),
        ("PostToolUse", "thinking"),
        ("Stop", "online"),
    ]
    assert {event["sessionId"] for event in events} == {"session-1"}
    assert len({event["eventId"] for event in events}) == 5
    times = [event["occurredAt"] for event in events]
    assert times == sorted(set(times))
    assert "secret" not in json.dumps(events)


def test_events_of_one_moment_still_have_an_order_that_raft_can_see(
    dispatcher: FakeDispatcher, told: Tell
) -> None:
    told(1)
    for name in ("turn.started", "turn.done"):
        dispatcher.publish(name, at=time.time() // 1 + 60)
    first, second = told(3)[1:]
    assert first["occurredAt"] < second["occurredAt"]


def test_a_new_dispatcher_is_subscribed_to_and_the_dot_does_not_stay_on_thinking(
    dispatcher: FakeDispatcher, told: Tell
) -> None:
    told(1)
    dispatcher.publish("turn.started")
    told(2)
    dispatcher.end()
    dispatcher.up()
    assert brief(told(3))[-1] == ("Stop", "online")
    dispatcher.publish("turn.started", attempt=2)
    assert brief(told(4))[-1] == ("UserPromptSubmit", "thinking")


def test_a_turn_that_went_on_without_the_dispatcher_is_not_told_anew(
    dispatcher: FakeDispatcher, told: Tell
) -> None:
    told(1)
    dispatcher.publish("turn.started")
    told(2)
    dispatcher.end()
    dispatcher.running = [{"turn": 17, "account": "a", "attempt": 1, "startedAt": 1.0}]
    dispatcher.up()
    until(lambda: dispatcher.subscriptions == 2)
    dispatcher.publish("turn.done")
    assert brief(told(3))[-1] == ("Stop", "online")


def test_a_dispatcher_that_stays_away_is_told(dispatcher: FakeDispatcher, told: Tell) -> None:
    told(1)
    dispatcher.publish("turn.started")
    told(2)
    dispatcher.end()
    event = told(3)[-1]
    assert (event["status"], event["errorClass"]) == ("error", "dispatcher_down")
    dispatcher.up()
    assert brief(told(4))[-1] == ("SessionStart", "online")


RUN = (17, 1)


def test_what_hooks_report_is_told_with_the_agents_state_in_one_order_with_the_rest(
    dispatcher: FakeDispatcher, feed: Feed, told: Tell
) -> None:
    told(1)
    dispatcher.publish("turn.started")
    told(2)
    assert feed.running() == [RUN]
    feed.hook(RUN, Report("SessionStart"))
    feed.hook(RUN, Report("PreToolUse", "Bash", event_id="mine-1"))
    feed.hook(RUN, Report("PostToolUse", "Bash", took=0.25))
    feed.hook(RUN, Report("PreToolUse", "Read", at=1.0))
    feed.hook(RUN, Report("PostToolUseFailure", "Read", failed=True, error_class="E404"))
    feed.hook(RUN, Report("Stop"))
    told(6)
    dispatcher.publish("turn.done")
    events = told(7)
    assert brief(events[2:]) == [
        ("PreToolUse", "working"),
        ("PostToolUse", "thinking"),
        ("PreToolUse", "working"),
        ("PostToolUseFailure", "thinking"),
        ("Stop", "online"),
    ]
    assert events[2]["eventId"] == "mine-1"
    assert len({event["eventId"] for event in events}) == len(events)
    assert [event.get("toolName") for event in events[2:]] == ["Bash", "Bash", "Read", "Read", None]
    assert events[3]["durationMs"] == 250
    assert events[5]["errorClass"] == "E404"
    assert {event["sessionId"] for event in events} == {"session-1"}
    times = [event["occurredAt"] for event in events]
    assert times == sorted(set(times))


def test_what_hooks_report_of_an_attempt_that_does_not_run_is_told_to_nobody(
    dispatcher: FakeDispatcher, feed: Feed, told: Tell
) -> None:
    told(1)
    feed.hook(RUN, Report("PreToolUse", "Bash"))
    dispatcher.publish("turn.started")
    told(2)
    feed.hook((17, 2), Report("PreToolUse", "Bash"))
    dispatcher.publish("turn.done")
    assert brief(told(3))[-1] == ("Stop", "online")
    feed.hook(RUN, Report("PreToolUse", "Bash"))
    assert feed.running() == []
    assert len(told(3)) == 3


def test_a_flood_of_reports_costs_the_oldest_and_the_end_of_the_turn_is_still_told(
    dispatcher: FakeDispatcher, feed: Feed, queue: Queue, told: Tell
) -> None:
    told(1)
    dispatcher.publish("turn.started")
    told(2)

    def flood() -> None:
        for _ in range(CAPACITY):
            feed.hook(RUN, Report("PreToolUse", "x"))

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dispatcher.publish("turn.done")
    until(lambda: not feed.running())
    events, dropped = queue.drain(CAPACITY * 4)
    assert (len(events), dropped) == (CAPACITY, 3 * CAPACITY + 1)
    assert brief(events)[-1] == ("Stop", "online")
    times = [event["occurredAt"] for event in events]
    assert times == sorted(set(times))


def test_lines_that_make_no_sense_are_survived(dispatcher: FakeDispatcher, told: Tell) -> None:
    told(1)
    odds: list[dict[str, object]] = [
        {"event": []}, {"turn": None}, {"running": {}}, {"ok": False, "error": "no"},
    ]  # fmt: skip
    for odd in odds:
        dispatcher._loop.call_soon_threadsafe(dispatcher._server.publish, odd)
    until(lambda: dispatcher.subscriptions == 2)
    dispatcher.publish("turn.started")
    assert brief(told(2))[-1] == ("UserPromptSubmit", "thinking")


def test_the_drain_hands_out_at_most_as_many_as_asked_each_once_and_counts_drops(
    tmp_path: Path,
) -> None:
    with start(tmp_path, env={"ACTIVITY": "260"}) as child:

        def drain(query: str) -> tuple[list[int], int]:
            answer = child.ask("GET", f"/activity/drain{query}")
            assert (answer.status, answer.json["schema"]) == (200, "raft-activity-drain.v1")
            return [event["eventId"] for event in answer.json["events"]], answer.json["dropped"]

        assert child.ask("GET", "/activity/drain", token=None).status == 401
        assert child.ask("GET", "/activity/drain?max=0").status == 400
        assert drain("?max=2") == ([4, 5], 4)
        assert drain("") == (list(range(6, 56)), 0)
        assert drain("?max=1000") == (list(range(56, 260)), 0)
        assert drain("?max=1000") == ([], 0)


@pytest.fixture
def host() -> Iterator[Host]:
    with running(["support", "sales"]) as host:
        yield host


@pytest.mark.parametrize("activity", ["off", "turns"])
def test_only_a_worker_that_is_to_tell_its_turns_listens_to_the_dispatcher(
    host: Host, activity: str
) -> None:
    host.configure({"support": {"activity": activity} if activity == "turns" else {}})
    host.state.prepare()
    dispatcher = FakeDispatcher(host.state.dispatcher_socket)
    try:
        host.start("worker", "support")

        def listening() -> bool:
            said = report.read(host.state.report("support")) or {}
            return said.get("bridge", {}).get("state") == "listening"

        wait_for(listening, what=f"a listening bridge ({host.said()})")
        if activity == "turns":
            until(lambda: dispatcher.subscriptions == 1)
        assert dispatcher.connections == dispatcher.subscriptions
    finally:
        dispatcher.end()


def test_the_agents_dot_in_raft_is_true_and_without_the_setting_nothing_is_told(
    host: Host,
) -> None:
    host.configure({"support": {"activity": "turns"}, "sales": {}})
    host.up()
    host.ready()
    # The worker may have come up before the dispatcher: it must listen before there is a turn.
    wait_for(lambda: "support" in host.raft.workspace.dots(), what="the first look in Raft")
    host.raft.workspace.post("support", "hello")
    host.raft.workspace.post("sales", "good day")
    host.answered("hello", "good day")

    def reported() -> list[tuple[str, str]]:
        records = host.raft.workspace.activity()
        assert {record["agent"] for record in records} <= {"agent-support"}
        return brief([record["event"] for record in records])

    turn = [("UserPromptSubmit", "thinking"), ("Stop", "online")]
    wait_for(lambda: reported()[-2:] == turn, what="the turn's end in Raft")
    assert host.raft.workspace.dots()["support"].status == "online"
    assert "hello" not in json.dumps(host.raft.workspace.activity())


#: An agent whose hook tells of a tool, as Claude Code's would, and which then takes its turn.
HOOKED_AGENT = r"""
import json, os, subprocess, sys, urllib.error, urllib.request
import psutil

notes, secret = sys.argv[1], sys.argv[2]
url, token = os.environ["RAFTSUP_ACTIVITY_URL"], os.environ["RAFTSUP_ACTIVITY_TOKEN"]

def post(event, token=token):
    request = urllib.request.Request(url, json.dumps(event).encode())
    request.add_header("x-raft-bridge-token", token)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(request, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code

def event(hook, **more):
    return {"schema": "raft-activity.v1", "hookEventName": hook, **more}

answers = [
    post(event("PreToolUse", toolName="Bash")),
    post(event("PreToolUse", toolName="Bash", toolInput=secret)),
    post(event("PreToolUse", toolName=secret + " " + secret)),
    post(event("PreToolUse", toolName="Read"), token="x" * len(token)),
    post(event("PostToolUse", toolName="Bash", durationMs=40)),
]
argvs = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
shown = sum(token in " ".join(argv) for argv in argvs)
with open(notes, "a") as file:
    print(json.dumps([answers, url, token, shown]), file=file)
sys.exit(subprocess.call([sys.executable, "-m", "raftsup.sim.agent"]))
"""


def test_a_commands_hook_shows_its_tools_in_raft_by_name_only(host: Host) -> None:
    notes = host.root / "notes"
    agent = {**AGENT, "command": [sys.executable, "-c", HOOKED_AGENT, str(notes), "the-plan"]}
    host.configure({"support": {"activity": "turns", "agent": agent}, "sales": {}})
    host.up()
    host.ready()
    wait_for(lambda: "support" in host.raft.workspace.dots(), what="the first look in Raft")
    host.raft.workspace.post("support", "hello")
    host.answered("hello")

    def reported() -> list[dict[str, Any]]:
        return [record["event"] for record in host.raft.workspace.activity()]

    turn = ["UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"]
    wait_for(lambda: [e["hookEventName"] for e in reported()][-4:] == turn, what="the turn in Raft")
    told = reported()[-4:]
    assert [e.get("toolName") for e in told] == [None, "Bash", "Bash", None]
    assert [e["status"] for e in told] == ["thinking", "working", "thinking", "online"]
    assert told[2]["durationMs"] == 40

    answers, url, token, shown = json.loads(notes.read_text())
    assert answers == [202, 400, 400, 401, 202]
    assert url == host.account("support")["endpoint"]["url"].replace("/wake", "/activity")
    said = host.said()
    assert (token in said, shown) == (False, 0)
    files = [path for path in host.state.root.rglob("*") if path.is_file()]
    assert not [path for path in files if token.encode() in path.read_bytes()]
    assert "the-plan" not in json.dumps(host.raft.workspace.activity()) + said
    # Over with its attempt; the next one has another.
    assert _posted(url, token) == 401
    host.raft.workspace.post("support", "again")
    host.answered("again")
    second = json.loads(notes.read_text().splitlines()[1])
    assert second[:2] == [answers, url]
    assert second[2] != token


#: An agent whose worker is restarted in the middle of its turn.
LEFT_AGENT = r"""
import os, socket, subprocess, sys, time

notes, go = sys.argv[1:]
address = os.environ["RAFTSUP_ACTIVITY_URL"].split("/")[2].split(":")
open(notes, "w").write("begun")
while not os.path.exists(go):
    time.sleep(0.01)
begin = time.monotonic()
try:
    socket.create_connection(address, timeout=5).close()
    said = "taken"
except ConnectionRefusedError:
    said = "refused"
open(notes, "w").write(f"{said} {time.monotonic() - begin < 1}")
sys.exit(subprocess.call([sys.executable, "-m", "raftsup.sim.agent"]))
"""


def test_a_worker_restarted_under_a_turn_fails_its_hooks_at_once_and_not_the_turn(
    host: Host,
) -> None:
    notes, go = host.root / "notes", host.root / "go"
    agent = {**AGENT, "command": [sys.executable, "-c", LEFT_AGENT, str(notes), str(go)]}
    host.configure({"support": {"activity": "turns", "agent": agent}})
    host.up()
    host.ready()
    host.raft.workspace.post("support", "hello")
    wait_for(lambda: notes.exists() and notes.read_text() == "begun", what="the turn's begin")
    before = host.account("support")["endpoint"]["pid"]
    left = host.state.hooks("support").read_text()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: host.state.hooks("support").read_text() != left, what="a new worker")
    go.touch()
    host.answered("hello")
    assert notes.read_text() == "refused True"


def test_where_no_activity_is_told_an_agent_has_nothing_to_report_to(host: Host) -> None:
    notes = host.root / "notes"
    code = "import os; open(%r, 'w').write(repr([n for n in os.environ if 'ACTIVITY' in n]))"
    agent = {**AGENT, "command": [sys.executable, "-c", code % str(notes)]}
    host.configure({"support": {"agent": agent}})
    host.up()
    host.ready()
    host.raft.workspace.post("support", "hello")
    wait_for(lambda: notes.exists() and notes.read_text(), what="the agent's notes")
    assert notes.read_text() == "[]"
    assert not host.state.hooks("support").exists()


def _posted(url: str, token: str) -> int:
    body = json.dumps({"schema": "raft-activity.v1", "hookEventName": "Stop"}).encode()
    request = urllib.request.Request(url, body, {"x-raft-bridge-token": token})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)
