"""What the service manager is told, and that it arrives."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from raftsup.ops.lifecycle import needs_signal
from raftsup.ops.service.control import Unit
from raftsup.supervisor import sd_notify
from raftsup.supervisor.sd_notify import READY_TIMEOUT_S, Phase, Sent, Snapshot, messages


def look(*waiting: str, phase: Phase = Phase.RUNNING) -> Snapshot:
    return Snapshot(phase, 3, waiting)


def said(looks: Sequence[tuple[float, Snapshot]], watchdog: float = 0.0) -> list[list[str]]:
    sent, all_lines = Sent(begun=0.0), []
    for now, seen in looks:
        lines, sent = messages(seen, sent, now, watchdog)
        all_lines.append(lines)
    return all_lines


def test_ready_is_said_once_and_only_when_every_program_is_up() -> None:
    lines = said([(0.1, look("accounts:sales")), (0.2, look()), (0.3, look())])
    assert lines == [
        ["STATUS=2 of 3 programs are up; not accounts:sales"],
        ["READY=1", "STATUS=all 3 programs are up"],
        [],
    ]


def test_one_account_that_hangs_holds_the_others_up_only_so_long() -> None:
    hung = look("accounts:sales")
    (first, second) = said([(READY_TIMEOUT_S, hung), (READY_TIMEOUT_S + 0.1, hung)])
    assert "READY=1" not in first
    assert "READY=1" in second


def test_a_program_that_fails_later_is_told_and_is_no_second_ready() -> None:
    lines = said([(1, look()), (2, look("dispatcher"))])
    assert lines[1] == ["STATUS=2 of 3 programs are up; not dispatcher"]


@pytest.mark.parametrize(
    ("phase", "word"), [(Phase.STOPPING, "STOPPING=1"), (Phase.RESTARTING, "RELOADING=1")]
)
def test_a_way_down_is_said_once_and_a_host_on_it_is_never_ready(phase: Phase, word: str) -> None:
    lines = said([(1, look(phase=phase)), (READY_TIMEOUT_S + 1, look(phase=phase))])
    assert word in lines[0]
    assert not {word, "READY=1"} & set(lines[1])


def test_the_watchdog_is_petted_in_time_and_not_at_each_look() -> None:
    lines = said([(t / 10, look()) for t in range(100)], watchdog=2.0)
    pets = [t / 10 for t, words in enumerate(lines) if "WATCHDOG=1" in words]
    gaps = [b - a for a, b in itertools.pairwise(pets)]
    assert max(gaps) < 1.0
    assert len(pets) < 25
    assert not any("WATCHDOG=1" in words for words in said([(1, look())]))


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_message_arrives_as_one_datagram(kind: str, tmp_path: Path) -> None:
    name = str(tmp_path / "n") if kind == "path" else f"@raftsup-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name.replace("@", "\0", 1))
        ear.settimeout(5)
        to = sd_notify.listener({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2500000"}, 7)
        assert to.watchdog == 2.5
        to.tell("READY=1", "STATUS=well")
        assert ear.recv(100) == b"READY=1\nSTATUS=well"


def test_nobody_listens_and_nothing_happens(tmp_path: Path) -> None:
    for address in ("", "nonsense", str(tmp_path / "gone")):
        sd_notify.listener({"NOTIFY_SOCKET": address}, 7).tell("READY=1")


def test_a_watchdog_of_another_process_is_not_ours_to_pet() -> None:
    environ = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "8"}
    assert sd_notify.listener(environ, 7).watchdog == 0.0
    assert sd_notify.listener(environ, 8).watchdog == 1.0


@pytest.mark.parametrize(
    ("unit", "signal"),
    [
        (None, True),  # no manager, or it does not answer
        (Unit(17, False), False),  # its manager tells it
        (Unit(17, True), True),  # a second stop
        (Unit(18, False), True),  # the manager's is another
        (Unit(0, False), True),
        (Unit(None, False), False),  # launchd does not say, but it has done it
    ],
)
def test_a_host_is_told_to_stop_once_by_each_stop(unit: Unit | None, signal: bool) -> None:
    assert needs_signal(17, unit) is signal
