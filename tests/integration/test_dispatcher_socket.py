"""The dispatcher's socket and signals, on a real dispatcher process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from raftsup import exit_codes
from raftsup.config.model import Config
from raftsup.dispatcher import control_socket as server_module
from raftsup.dispatcher import main as dispatcher_main
from raftsup.dispatcher.control_client import DispatcherDown, DispatcherRefused, Doorbell, request
from raftsup.dispatcher.control_socket import MAX_BACKLOG, MAX_LINE, Server
from raftsup.proc import lockfile
from raftsup.turn import State
from raftsup.wake import Wake
from tests.integration.dispatcher_child import House
from tests.processes import until

AGENT = "import sys, time; sys.stdin.read(); print('begun', flush=True); time.sleep({seconds})"


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A dispatcher whose agents hang until they are ended."""
    agent = [sys.executable, "-c", AGENT.format(seconds=600)]
    house = House(tmp_path_factory.mktemp("d"), agent, {"drain": "100ms"})
    house.ready()
    yield house
    house.close()


def ask(house: House, verb: str, **fields: Any) -> dict[str, Any]:
    return request(house.state.dispatcher_socket, verb, **fields)


def say(house: House, *lines: bytes) -> list[dict[str, Any]]:
    """The answers to ``lines``, sent at once, until the dispatcher hangs up."""
    with house.connect() as connection:
        connection.sendall(b"".join(lines))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answers:
            return [orjson.loads(line) for line in answers]


def status_line() -> bytes:
    return b'{"verb":"status"}\n'


def test_each_verb_does_what_its_table_says(house: House) -> None:
    running = house.owe("a", "event_0")
    queued = house.owe("a", "event_1")
    until(lambda: house.ledger.get(running).state is State.RUNNING)
    status = ask(house, "status")
    assert status["pid"] == house.children[0].pid
    assert [(item["turn"], item["account"]) for item in status["running"]] == [(running, "a")]
    until(lambda: ask(house, "status")["waiting"] == {"a": 1})
    assert (status["draining"], status["recovering"], status["held"]) == (False, [], {})

    assert ask(house, "pause", lane="b") == {"lane": "b", "paused": True}
    assert ask(house, "status")["lanes"]["b"]["paused"]
    assert ask(house, "resume", lane="b") == {"lane": "b", "paused": False}
    assert ask(house, "pause") == {"lane": "*", "paused": True}
    assert ask(house, "cancel", turn=queued) == {"turn": queued}
    assert ask(house, "cancel", turn=running) == {"turn": running}
    until(lambda: house.ledger.get(running).state is State.CANCELLED)
    assert ask(house, "retry", turn=queued) == {"turn": queued}
    assert house.ledger.get(queued).state is State.QUEUED
    assert ask(house, "resume") == {"lane": "*", "paused": False}
    until(lambda: house.ledger.get(queued).state is State.RUNNING)
    assert ask(house, "reload") == {}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"not json", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (b"[1,2]", "unknown verb; there are cancel, dismiss, doorbell, pause"),
        (b'"status"', "unknown verb"),
        (b"null", "unknown verb"),
        (b"{}", "unknown verb"),
        (b'{"verb":["status"]}', "unknown verb"),
        (b'{"verb":"explode"}', "unknown verb"),
        (b'{"verb":"pause","lane":"nobody"}', "no lane 'nobody'; there are *, a, b"),
        (b'{"verb":"pause","lane":[]}', "no lane []"),
        (b'{"verb":"pause","lane":null}', "no lane None"),
        (b'{"verb":"cancel"}', '"turn" must be a turn\'s number'),
        (b'{"verb":"cancel","turn":"1"}', '"turn" must be'),
        (b'{"verb":"cancel","turn":true}', '"turn" must be'),
        (b'{"verb":"cancel","turn":-1}', '"turn" must be'),
        (b'{"verb":"cancel","turn":99}', "there is no turn 99"),
        (b'{"verb":"retry","turn":18446744073709551615}', "there is no turn"),
        (b'{"verb":"retry","turn":18446744073709551616}', '"turn" must be'),
    ],
)
def test_a_request_that_makes_no_sense_is_answered_and_the_next_one_is_heard(
    shared: House, line: bytes, error: str
) -> None:
    refused, status = say(shared, line + b"\n", status_line())
    assert refused["ok"] is False
    assert error in refused["error"]
    assert status["ok"] is True


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One dispatcher for tests that change nothing."""
    house = House(tmp_path_factory.mktemp("d"), ["true"])
    house.ready()
    yield house
    assert "Traceback" not in house.log
    house.close()


def test_a_line_that_is_too_long_is_hung_up_on_and_nobody_else(shared: House) -> None:
    with shared.connect() as other, shared.connect() as connection:
        try:
            connection.sendall(b'{"verb":"' + b"x" * 2 * MAX_LINE)
            assert connection.recv(99) == b""
        except ConnectionError:
            pass  # hung up before all of it was sent
        other.sendall(status_line())
        assert other.recv(1 << 16).startswith(b'{"ok":true')


def test_a_doorbell_gets_no_answer(shared: House) -> None:
    (only,) = say(shared, b'{"verb":"doorbell"}\n', status_line())
    assert "pid" in only


def test_the_socket_is_its_owners_alone(shared: House) -> None:
    assert stat.S_IMODE(shared.state.dispatcher_socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(shared.state.root.stat().st_mode) == 0o700


def test_a_refusal_and_an_absence_are_told_apart(shared: House, tmp_path: Path) -> None:
    with pytest.raises(DispatcherRefused, match="there is no turn 99"):
        ask(shared, "cancel", turn=99)
    with pytest.raises(DispatcherDown, match="No such file"):
        request(tmp_path / "none.sock", "status")


def test_a_doorbell_without_a_dispatcher_is_no_error_and_rings_the_next_one(house: House) -> None:
    bell = Doorbell(house.state.dispatcher_socket)
    bell.ring()
    first = house.children[0]
    first.kill()
    first.wait()
    bell.ring()
    house.ready()
    with house.connect() as connection, connection.makefile("rwb") as stream:
        stream.write(b'{"verb":"subscribe"}\n')
        stream.flush()
        stream.readline()
        house.ledger.accept(
            "a", Wake("e", None), now=0.0, limits=dispatcher_dedupe(), coalesce=False
        )
        bell.ring()
        assert orjson.loads(stream.readline())["event"] == "turn.started"


def dispatcher_dedupe() -> Any:
    return Config(None, ()).dedupe


def test_a_subscriber_hears_of_every_turn(house: House) -> None:
    with house.connect() as connection, connection.makefile("rwb") as stream:
        stream.write(b'{"verb":"subscribe"}\n')
        stream.flush()
        assert orjson.loads(stream.readline()) == {"ok": True}
        turn = house.owe("b", "event_0")
        started = orjson.loads(stream.readline())
        ask(house, "cancel", turn=turn)
        ended = orjson.loads(stream.readline())
    assert (started["event"], ended["event"]) == ("turn.started", "turn.cancelled")
    assert (started["turn"], started["account"], started["attempt"]) == (turn, "b", 1)


def hung_up_on(connection: socket.socket) -> bool:
    """Read what is left; whether the other end closed (a time-out raises)."""
    connection.settimeout(10)
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


# -- in this process, where the other end can be made up


def on_server(tmp_path: Path, story: Any) -> None:
    async def run() -> None:
        server = Server(lambda: None)
        listening = await server.listen(tmp_path / "x.sock")
        try:
            await asyncio.wait_for(story(server, str(tmp_path / "x.sock")), 20)
        finally:
            listening.close()

    asyncio.run(run())


async def subscribed(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    writer.write(b'{"verb":"subscribe"}\n')
    assert orjson.loads(await reader.readline()) == {"ok": True}
    return reader, writer


def test_a_subscriber_that_never_reads_is_dropped_and_delays_nobody(tmp_path: Path) -> None:
    async def story(server: Server, path: str) -> None:
        deaf = socket.socket(socket.AF_UNIX)
        deaf.connect(path)
        deaf.sendall(b'{"verb":"subscribe"}\n')
        reader, writer = await subscribed(path)
        while len(server._subscribers) < 2:
            await asyncio.sleep(0.001)
        event: dict[str, object] = {"event": "x" * 1000}
        for n in range(3 * MAX_BACKLOG // 1000):
            server.publish({**event, "n": n})
            assert orjson.loads(await reader.readline())["n"] == n
        assert len(server._subscribers) == 1
        assert await asyncio.to_thread(hung_up_on, deaf)
        deaf.close()
        writer.close()

    on_server(tmp_path, story)


def test_another_user_is_refused_and_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "peer_uid", lambda _: os.getuid() + 1)

    async def story(server: Server, path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        answer = orjson.loads(await reader.readline())
        assert answer == {
            "ok": False,
            "error": f"uid {os.getuid() + 1} may not speak to this dispatcher",
        }
        assert await reader.read() == b""
        writer.close()

    on_server(tmp_path, story)


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert server_module.peer_uid(here) == os.getuid()


# -- the process


def test_a_second_dispatcher_on_the_same_folder_is_refused(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(None, ())
    code = dispatcher_main.run(config, lambda: config, house.state, {}, predecessor_s=0.0)
    assert code == exit_codes.ALREADY_RUNNING
    assert str(house.children[0].pid) in caplog.text
    assert ask(house, "status")["pid"] == house.children[0].pid


def test_a_dispatcher_takes_the_place_of_one_that_was_killed(house: House) -> None:
    first = house.children[0]
    first.kill()
    first.wait()
    assert house.state.dispatcher_socket.exists()
    second = house.ready()
    assert ask(house, "status")["pid"] == second.pid
    assert lockfile.holder(house.state.root / "dispatcher.lock") == second.pid


def test_sighup_reads_the_config_again(house: House) -> None:
    house.configure("a", concurrency=9)
    house.children[0].send_signal(signal.SIGHUP)
    until(lambda: ask(house, "status")["concurrency"] == 9)


@pytest.mark.parametrize("by", ["signal", "verb"])
def test_a_broken_config_is_refused_with_its_place_and_the_old_one_stays(
    house: House, by: str
) -> None:
    house.configure("a", "b", concurrency=-1)
    if by == "signal":
        house.children[0].send_signal(signal.SIGHUP)
        until(lambda: "action=config.refused" in house.log)
        assert "turns.concurrency" in house.log
    else:
        with pytest.raises(DispatcherRefused, match=r"turns\.concurrency"):
            ask(house, "reload")
    assert ask(house, "status")["concurrency"] == 4
    assert ask(house, "pause", lane="b")["paused"]


def test_sigterm_drains_and_leaves_no_socket(house: House) -> None:
    turn = house.owe("a", "event_0")
    transcript = house.state.transcript(turn, 1)
    until(lambda: transcript.exists() and transcript.read_text() == "begun\n")
    child = house.children[0]
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == exit_codes.OK
    assert not house.state.dispatcher_socket.exists()
    assert house.ledger.get(turn).state is State.QUEUED
    last = [json.dumps(line) for line in house.log.splitlines()][-1]
    assert "dispatcher.stopped" in last


def test_one_that_dies_between_a_call_and_its_question_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "d.sock"))
        server.listen()

        class Slow(socket.socket):
            def connect(self, address: Any) -> None:
                super().connect(address)
                server.accept()[0].close()

        monkeypatch.setattr("raftsup.dispatcher.control_client.socket.socket", Slow)
        with pytest.raises(DispatcherDown):
            request(tmp_path / "d.sock", "status")
