"""``raftsup turn`` on a running host, as an operator uses it."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raftsup import exit_codes
from tests.integration.host import RAFTSUP, Host, running, wait_for
from tests.processes import alive

#: Where an agent could be and none is: bound, not listening.
CLOSED = socket.socket()
CLOSED.bind(("127.0.0.1", 0))
NOBODY = f"ws://127.0.0.1:{CLOSED.getsockname()[1]}"
TOKEN = "the-gateways-token"


def shell(script: str) -> dict[str, Any]:
    return {"agent": {"kind": "command", "command": ["sh", "-c", script], "env": {}}}


ACCOUNTS: dict[str, dict[str, Any]] = {
    "support": {},
    "fails": shell(r"printf '\033[31mtry %s' $RAFTSUP_ATTEMPT; exit 3"),
    "hangs": shell("exec sleep 600"),
    "second": shell('test "$RAFTSUP_ATTEMPT" = 2 || exec sleep 600'),
    "away": {"agent": {"kind": "openclaw", "url": NOBODY, "token": TOKEN}},
    "off": {"enabled": False},
}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with running(tuple(ACCOUNTS)) as host:
        host.configure(ACCOUNTS, turns={"attempts": 2, "pause": "100ms", "maxPause": "100ms"})
        host.up()
        host.ready("support", "fails", "hangs", "second")
        yield host


def owed(host: Host, account: str) -> int:
    """Owe a turn by hand and do not wait; its number."""
    done = host.run("turn", "run", account, "--no-wait")
    assert done.returncode == exit_codes.OK, done.stderr
    turn = int(done.stdout.split()[1])
    assert done.stdout == f"turn {turn} of {account} is queued; `raftsup turn show {turn}`\n"
    return turn


def record(host: Host, turn: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.run("turn", "show", str(turn), "--json").stdout)
    return found


@contextmanager
def waiting(host: Host, account: str) -> Iterator[tuple[subprocess.Popen[str], Path, int]]:
    """``raftsup turn run`` that waits; its process, the file of its output, the turn."""
    process = host.start("turn", "run", account)
    log = host.root / f"{len(host.started) - 1}.log"
    wait_for(lambda: log.read_text().count("\n"), what="the first line")
    turn = int(log.read_text().split()[1])
    try:
        yield process, log, turn
    finally:
        host.run("turn", "cancel", str(turn))
        process.wait(20)


def test_a_turn_by_hand_is_followed_to_its_end_and_told_whole(host: Host) -> None:
    done = host.run("turn", "run", "SUPPORT")
    assert (done.returncode, done.stderr) == (exit_codes.OK, "")
    lines = done.stdout.splitlines()
    turn = lines[0].split()[1]
    assert f"turn {turn} of support: done, attempt 1" in lines
    told = lines[lines.index(f"turn {turn} of support: done, attempt 1") + 1 :]
    assert told[:3] == [f"turn        {turn}", "account     support", "state       done"]
    assert told[3].endswith(", to an operator")
    assert told[-1].startswith(f"transcript  {host.state.transcript(int(turn), 1)} (")


def test_a_turn_by_hand_that_fails_ends_the_command_with_1_and_says_why(
    host: Host,
) -> None:
    done = host.run("turn", "run", "fails")
    assert done.returncode == exit_codes.FAILED
    turn = done.stdout.split()[1]
    assert f"turn {turn} of fails: failed, attempt 2: the agent exited with 3\n" in done.stdout
    assert "failed      2 attempts\nreason      the agent exited with 3\n" in done.stdout


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ("nobody", "no account 'nobody'; there are support, fails, hangs, second, away, off"),
        ("off", "account off does not run: enabled: false in the config"),
    ],
)
def test_an_account_that_cannot_run_is_refused_with_the_reason(
    host: Host, account: str, words: str
) -> None:
    done = host.run("turn", "run", account)
    assert (done.returncode, done.stdout, done.stderr) == (
        exit_codes.FAILED,
        "",
        f"raftsup: {words}\n",
    )


def test_a_turn_that_waits_for_a_paused_lane_says_so_and_ends_after_it(host: Host) -> None:
    done = host.run("pause", "support")
    assert (done.returncode, done.stderr) == (0, "")
    assert "`raftsup resume support` ends it" in done.stdout
    assert "`raftsup resume support` ends that" in host.account("support")["reason"]
    with waiting(host, "support") as (process, log, turn):
        held = "queued: lane support is paused by an operator"
        wait_for(lambda: f"turn {turn} of support: {held}" in log.read_text())
        assert held in host.run("turn", "show", str(turn)).stdout
        done = host.run("resume", "SUPPORT")
        assert (done.returncode, done.stdout) == (0, "support: turns are started again\n")
        assert process.wait(20) == exit_codes.OK
        assert log.read_text().count(held) == 1


def test_a_turn_whose_agent_is_away_says_so_and_leaves_no_token_anywhere(host: Host) -> None:
    with waiting(host, "away") as (process, log, turn):
        why = f"the Gateway {NOBODY}: it cannot be reached: Connection refused"
        wait_for(lambda: f"queued: {why}" in log.read_text())
        shown = host.run("turn", "show", str(turn)).stdout
        assert f"state       queued: {why}\n" in shown
        account = host.account("away")
        assert account["state"] == "degraded"
        assert account["reason"] == f"{why}: wakes are accepted, none is run"
        done = host.run("turn", "cancel", str(turn))
        assert (done.returncode, done.stdout) == (exit_codes.OK, f"turn {turn} is cancelled\n")
        assert process.wait(20) == exit_codes.FAILED
        assert f"turn {turn} of away: cancelled: cancelled by an operator\n" in log.read_text()
    assert TOKEN not in host.said() + host.run("status").stdout


def test_a_running_turn_is_cancelled_and_its_process_is_gone(host: Host) -> None:
    with waiting(host, "hangs") as (process, log, turn):
        wait_for(lambda: f"turn {turn} of hangs: running, attempt 1\n" in log.read_text())
        second = owed(host, "hangs")
        waits = f"queued: turn {turn} of its lane runs"
        assert waits in host.run("turn", "show", str(second)).stdout
        done = host.run("turn", "cancel", str(second))
        assert (done.returncode, done.stdout) == (exit_codes.OK, f"turn {second} is cancelled\n")
        agents = [p.pid for p in host.watch() if p.is_running() and p.cmdline()[:1] == ["sleep"]]
        assert agents
        done = host.run("turn", "cancel", str(turn))
        assert done.returncode == exit_codes.OK
        assert done.stdout in (f"turn {turn} is being cancelled\n", f"turn {turn} is cancelled\n")
        assert process.wait(20) == exit_codes.FAILED
        assert f"turn {turn} of hangs: cancelled, attempt 1:" in log.read_text()
        wait_for(lambda: not any(alive(pid) for pid in agents))
    assert record(host, second)["attempt"] == 0, "it never began"


def test_what_cannot_be_cancelled_or_retried_is_refused_in_words_that_help(host: Host) -> None:
    turn = host.run("turn", "run", "support").stdout.split()[1]
    for words, told in [
        (("cancel", turn), f"turn {turn} has ended already: it is done"),
        (("retry", turn), "`raftsup turn run support` starts a new one"),
        (("cancel", "9999"), "there is no turn 9999"),
        (("retry", "9999"), "there is no turn 9999"),
        (("dismiss", turn), f"turn {turn} is done: only one that failed"),
        (("dismiss", "9999"), "there is no turn 9999"),
        (("show", "9999"), "there is no turn 9999"),
        (("show", "-1"), "there is no turn -1"),
    ]:
        done = host.run("turn", *words)
        assert (done.returncode, done.stdout) == (exit_codes.FAILED, ""), words
        assert told in done.stderr and "Traceback" not in done.stderr


def test_several_are_told_of_each_for_itself_and_none_is_a_usage_error(host: Host) -> None:
    turn = host.run("turn", "run", "fails").stdout.split()[1]
    done = host.run("turn", "dismiss", "9999", turn)
    assert done.returncode == exit_codes.FAILED and "there is no turn 9999" in done.stderr
    assert done.stdout == f"turn {turn} is dismissed; `raftsup turn retry {turn}` takes that back\n"
    assert record(host, int(turn))["state"] == "cancelled"
    for words in ((), (turn, "--failed", "fails")):
        done = host.run("turn", "dismiss", *words)
        assert done.returncode == exit_codes.USAGE
        assert "name turns, or an account with --failed" in done.stderr
    for verb in ("pause", "resume"):
        done = host.run(verb, "nobody")
        assert done.returncode == exit_codes.FAILED
        assert "no account nobody; there are support, fails" in done.stderr
    assert host.run("pause").stdout.startswith("support, fails, hangs, second, away")
    assert "every lane is paused" in host.account("support")["reason"]
    assert host.run("resume").returncode == exit_codes.OK
    host.ready("support")


def test_a_failed_turn_is_owed_again_with_attempts_of_its_own(host: Host) -> None:
    turn = host.run("turn", "run", "fails").stdout.split()[1]
    done = host.run("turn", "retry", turn)
    assert (done.returncode, done.stdout) == (
        exit_codes.OK, f"turn {turn} is queued again; `raftsup turn show {turn}`\n",
    )  # fmt: skip
    wait_for(lambda: record(host, int(turn))["state"] == "failed")
    after = record(host, int(turn))
    assert (after["attempt"], after["failures"]) == (4, 2)
    assert [found["attempt"] for found in after["transcripts"]] == [1, 2, 3, 4]


def test_transcripts_are_printed_as_they_are_each_under_its_attempt(host: Host) -> None:
    turn = host.run("turn", "run", "fails").stdout.split()[1]
    done = host.run("turn", "show", turn, "--transcript")
    assert done.returncode == exit_codes.OK
    assert done.stdout == (
        "== attempt 1\n\x1b[31mtry 1\n== attempt 2\n\x1b[31mtry 2\n"
    )  # fmt: skip


def test_a_transcript_cannot_command_the_operators_terminal(host: Host) -> None:
    turn = host.run("turn", "run", "fails").stdout.split()[1]
    master, slave = pty.openpty()
    done = subprocess.run([*RAFTSUP, "turn", "show", turn, "--transcript"], env=host.environ(),
                          stdout=slave, stderr=slave, stdin=slave, timeout=60)  # fmt: skip
    os.close(slave)
    shown = os.read(master, 65536)
    os.close(master)
    assert done.returncode == exit_codes.OK
    assert b"\\x1b[31mtry 1" in shown and b"\x1b" not in shown


def test_a_turn_without_a_transcript_says_so_apart_from_the_output(host: Host) -> None:
    turn = owed(host, "away")
    done = host.run("turn", "show", str(turn), "--transcript")
    assert (done.returncode, done.stdout) == (exit_codes.OK, "")
    assert done.stderr == f"turn {turn} has no transcript: no attempt was begun\n"
    assert host.run("turn", "cancel", str(turn)).returncode == exit_codes.OK


def test_the_list_is_newest_first_and_can_be_narrowed(host: Host) -> None:
    first = int(host.run("turn", "run", "support").stdout.split()[1])
    other = int(host.run("turn", "run", "fails").stdout.split()[1])
    last = int(host.run("turn", "run", "support").stdout.split()[1])

    def listed(*words: str) -> list[int]:
        lines = host.run("turn", "list", *words).stdout.splitlines()
        found = json.loads(host.run("turn", "list", *words, "--json").stdout)
        assert [turn["turn"] for turn in found] == [int(line.split()[0]) for line in lines]
        return [turn["turn"] for turn in found]

    assert listed("--limit", "3") == [last, other, first]
    assert listed("support", "--limit", "2") == [last, first]
    assert listed("SUPPORT", "--limit", "1") == [last]
    everything = listed()
    assert everything == sorted(everything, reverse=True)
    none = host.run("turn", "list", "off")
    assert (none.returncode, none.stdout) == (exit_codes.OK, "")
    assert none.stderr == "no turns of account off yet\n"
    assert host.run("turn", "list", "off", "--json").stdout == "[]\n"
    nobody = host.run("turn", "list", "nobody")
    assert (nobody.returncode, nobody.stdout) == (exit_codes.FAILED, "")
    assert "no account nobody; there are away, fails, hangs, off" in nobody.stderr
    for wrong in ("0", "-1", "many"):
        assert host.run("turn", "list", "--limit", wrong).returncode == exit_codes.USAGE


def test_the_json_of_a_turn_has_the_words_of_status_and_its_transcripts(host: Host) -> None:
    turn = int(host.run("turn", "run", "support").stdout.split()[1])
    (listed,) = json.loads(host.run("turn", "list", "--limit", "1", "--json").stdout)
    assert list(listed) == [
        "turn", "account", "state", "source", "attempt", "failures", "interruptions", "owedAt",
        "startedAt", "endedAt", "reason", "handle",
    ]  # fmt: skip
    shown = record(host, turn)
    path = host.state.transcript(turn, 1)
    assert shown.pop("transcripts") == [
        {"attempt": 1, "path": str(path), "bytes": path.stat().st_size}
    ]
    assert shown == listed
    assert (listed["turn"], listed["state"], listed["source"]) == (turn, "done", "operator")
    assert listed["owedAt"] <= listed["startedAt"] <= listed["endedAt"]


def test_a_reader_that_has_seen_enough_is_no_error(host: Host) -> None:
    host.run("turn", "run", "support")
    read, write = os.pipe()
    os.close(read)
    for words in (("list",), ("list", "--json"), ("show", "1"), ("show", "1", "--json")):
        done = subprocess.run(
            [*RAFTSUP, "turn", *words], env=host.environ(), stdin=subprocess.DEVNULL,
            stdout=write, stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (exit_codes.OK, b""), words
    os.close(write)


def test_ctrl_c_leaves_the_turn_going_and_says_how_to_end_it(host: Host) -> None:
    with waiting(host, "hangs") as (process, log, turn):
        wait_for(lambda: f"turn {turn} of hangs: running" in log.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert f"turn {turn} goes on; `raftsup turn cancel {turn}` ends it" in log.read_text()
        assert "Traceback" not in log.read_text()
        assert record(host, turn)["state"] == "running"


def test_a_turn_is_followed_across_the_death_of_the_dispatcher_to_its_true_end(host: Host) -> None:
    with waiting(host, "second") as (process, log, turn):
        wait_for(lambda: f"turn {turn} of second: running, attempt 1\n" in log.read_text())
        os.kill(host.status()["dispatcher"]["pid"], signal.SIGKILL)
        assert process.wait(30) == exit_codes.OK
        told = log.read_text()
        assert f"turn {turn} of second: done, attempt 2\n" in told
        assert "interrupted 1 time\n" in told
    host.ready("support", "fails", "hangs", "second")


def test_without_a_host_each_command_says_so() -> None:
    with running(("support",)) as host:
        for words in (("run", "support"), ("cancel", "1"), ("retry", "1"), ("dismiss", "1")):
            done = host.run("turn", *words)
            assert (done.returncode, done.stdout) == (exit_codes.NOT_RUNNING, ""), words
            assert "no dispatcher answers" in done.stderr
            assert "`raftsup up` starts a host" in done.stderr
        for look in (("list",), ("show", "1")):
            done = host.run("turn", *look)
            assert (done.returncode, done.stdout) == (exit_codes.FAILED, "")
            assert "no ledger here; `raftsup up` makes one" in done.stderr
        assert not host.state.root.exists(), "a look changes nothing"


def test_turn_run_outlives_a_stop_of_the_host_and_says_what_it_waits_for() -> None:
    with running(("support",)) as host:
        host.configure({"support": ACCOUNTS["second"]}, turns={"drain": "100ms"})
        host.up()
        host.ready()
        with waiting(host, "support") as (process, log, turn):
            wait_for(lambda: "running, attempt 1" in log.read_text())
            assert host.run("stop").returncode == exit_codes.OK
            held = "no dispatcher answers; the turn is kept until one does"
            wait_for(
                lambda: f"turn {turn} of support: queued, attempt 1: {held}" in log.read_text()
            )
            host.up()
            assert process.wait(30) == exit_codes.OK
            assert f"turn {turn} of support: done, attempt 2\n" in log.read_text()


def test_logs_without_a_record_say_so(host: Host) -> None:
    logged = host.run("logs", "--turn", "99999")
    assert not logged.stdout and "no record" in logged.stderr
