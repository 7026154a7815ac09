"""A dispatcher that is killed in the middle of a turn loses nothing and runs nothing twice."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from raftsup.dispatcher.control_client import request
from raftsup.turn import State
from tests.integration.dispatcher_child import House
from tests.processes import alive, until

#: Notes its beginning and which of the pids that were noted before still live. Its first attempt
#: at turn 1 starts a child in a session of its own and hangs.
AGENT = """
import json, os, subprocess, sys, time
import psutil
notes, turn, attempt = sys.argv[1], os.environ["RAFTSUP_TURN"], os.environ["RAFTSUP_ATTEMPT"]
def living(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
before = [json.loads(line) for line in open(notes)] if os.path.exists(notes) else []
found = [pid for note in before for pid in note["pids"] if living(pid)]
pids = [os.getpid()]
if (turn, attempt) == ("1", "1"):
    pids.append(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
with open(notes, "a") as file:
    note = {"turn": int(turn), "attempt": int(attempt), "pids": pids, "found": found}
    file.write(json.dumps(note) + "\\n")
if len(pids) > 1:
    time.sleep(600)
"""


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("r")
    house = House(folder, [sys.executable, "-c", AGENT, str(folder / "notes")])
    yield house
    house.close()


def notes(house: House) -> list[dict[str, object]]:
    path: Path = house.folder / "notes"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def hung(house: House) -> list[int]:
    """The pids of turn 1's first attempt, once it hangs."""
    until(lambda: notes(house))
    pids = notes(house)[0]["pids"]
    assert isinstance(pids, list)
    return pids


@pytest.mark.parametrize("shim_too", [False, True])
def test_a_killed_dispatchers_turn_is_gone_before_it_runs_again(
    house: House, shim_too: bool
) -> None:
    first = house.ready()
    turns = [house.owe("a", f"event_{n}") for n in range(3)]
    pids = hung(house)
    shim = psutil.Process(pids[0]).ppid()
    # Stopped first, so that neither sees the other's death in time to do anything about it.
    victims = [first.pid, shim] if shim_too else [first.pid]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in victims:
            os.kill(pid, number)
    first.wait()

    house.ready()
    until(lambda: house.ledger.get(turns[-1]).state is State.DONE)
    assert [(note["turn"], note["attempt"]) for note in notes(house)] == [
        (1, 1), (1, 2), (2, 1), (3, 1)
    ]  # fmt: skip
    assert [note["found"] for note in notes(house)] == [[], [], [], []]
    assert not any(alive(pid) for pid in [*pids, shim])
    turn = house.ledger.get(1)
    assert (turn.state, turn.attempt, turn.interruptions, turn.failures) == (State.DONE, 2, 1, 0)


def test_a_turn_that_ended_is_not_run_again_after_a_kill(house: House) -> None:
    first = house.ready()
    house.owe("b", "event_0")  # turn 1 hangs in b's lane
    turn = house.owe("a", "event_1")
    until(lambda: house.ledger.get(turn).state is State.DONE)
    first.kill()
    first.wait()
    house.ready()
    until(lambda: house.ledger.get(1).state is State.DONE)
    assert [note["turn"] for note in notes(house)].count(turn) == 1


def test_a_stop_asks_running_turns_to_end_and_owes_them_again(house: House) -> None:
    house.configure("a", drain="100ms")
    first = house.ready()
    house.owe("a", "event_0")
    pids = hung(house)
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert not any(alive(pid) for pid in pids)
    turn = house.ledger.get(1)
    assert (turn.state, turn.interruptions) == (State.QUEUED, 1)
    assert not house.state.dispatcher_socket.exists()


def test_a_second_stop_does_not_wait_for_running_turns(house: House) -> None:
    house.configure("a", drain="10m")
    first = house.ready()
    house.owe("a", "event_0")
    hung(house)
    first.send_signal(signal.SIGTERM)
    until(lambda: "action=drain.waiting" in house.log)
    assert request(house.state.dispatcher_socket, "status")["draining"]
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert house.ledger.get(1).state is State.QUEUED


def test_a_shim_that_a_signal_stopped_holds_no_lane_up_after_its_dispatcher(house: House) -> None:
    first = house.ready()
    turns = [house.owe("a", f"event_{n}") for n in range(2)]
    pids = hung(house)
    above = psutil.Process(pids[0]).parent()
    assert above is not None
    above.suspend()
    first.kill()
    first.wait()
    house.ready()
    until(lambda: all(house.ledger.get(turn).state is State.DONE for turn in turns), 30.0)
    assert [note["found"] for note in notes(house)[1:]] == [[], []]
    assert not any(alive(pid) for pid in [*pids, above.pid])
