"""``raftsup logs``: one stream out of many files that grow, rotate and come anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervisor.loggers import RotatingFileHandler

from raftsup import exit_codes
from raftsup.dispatcher.control_client import request
from raftsup.ops.logs import format, reader
from raftsup.ops.logs.reader import Tail
from raftsup.ops.logs.record import Record, Wanted, source_of
from raftsup.paths import StateDir
from raftsup.terminal import escaped
from tests.integration.host import RAFTSUP, Host, running, wait_for
from tests.processes import until

SMALL = """
import sys
from raftsup.supervisor import programs, supervisord_conf as conf
programs._LOG_BYTES = 4000
conf._TEMPLATE = conf._TEMPLATE.replace("logfile_maxbytes = 5MB", "logfile_maxbytes = 300")
from raftsup.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def line(second: int, text: str, program: str = "support") -> str:
    return f"2026-11-21T08:{second // 60:02d}:{second % 60:02d}.000Z INFO {program} {text}\n"


def state_with(folder: Path, **files: str) -> StateDir:
    state = StateDir(folder)
    state.prepare()
    for name, text in files.items():
        (state.logs / f"{name.replace('__', '-')}.log").write_text(text)
    return state


def texts(records: list[Record]) -> str:
    return "".join(format.as_text(record, colour=False) for record in records)


@contextmanager
def following(state: StateDir, *words: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """``raftsup logs --follow``, and the file of what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        with out.open("w") as file:
            process = subprocess.Popen(
                [*RAFTSUP, "logs", "-f", *words, "--state-dir", str(state.root)],
                stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        try:
            yield process, out
        finally:
            process.kill()
            process.wait()


PIECES = st.one_of(st.binary(max_size=40), st.text("ab\n", max_size=9).map(str.encode))
STEPS = st.lists(st.one_of(PIECES, PIECES, st.just("read")), max_size=40)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_is_written_and_rotated_is_read_once_and_in_order(steps: list[object]) -> None:
    source = source_of("x.log")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.log"
        handler = RotatingFileHandler(str(path), maxBytes=8, backupCount=50)
        handler.setFormat("%(message)s")
        tail, written, told = Tail(path, source), b"", ""
        for step in [*steps, b"\n", "read"]:
            if isinstance(step, bytes):
                handler.stream.write(step)
                handler.stream.flush()
                handler.doRollover()
                written += step
            else:
                told += texts(tail.read())
        tail.close()
        handler.close()
        raw = written.decode(errors="replace").split("\n")[:-1]
        # What is split between two pieces is decoded when its line is whole.
        assert written.endswith(b"\n")
        plain = "".join(escaped(text) + "\n" for text in raw)
        assert told == plain
        state = state_with(Path(folder) / "s")
        for file in Path(folder).glob("x.log*"):
            file.rename(state.logs / file.name)
        assert texts(reader.last(state, Wanted(), None)) == plain


def test_programs_are_merged_in_time_order_over_rotated_files(tmp_path: Path) -> None:
    state = state_with(
        tmp_path / "s",
        accounts__support=line(2, "b") + "Traceback\n" + line(5, "e"),
        dispatcher=line(1, "a", "dispatcher") + line(4, "d", "dispatcher"),
    )
    (state.logs / "accounts-support.log").rename(state.logs / "accounts-support.log.1")
    (state.logs / "accounts-support.log").write_text(line(6, "f"))
    found = reader.last(state, Wanted(), None)
    assert [record.message for record in found] == ["a", "b", "d", "e", "f"]
    assert found[1].more == ("Traceback",)
    assert [r.message for r in reader.last(state, Wanted(), 2)] == ["e", "f"]
    since = Wanted(since="2026-11-21T08:00:05.000Z")
    assert [r.message for r in reader.last(state, since, None)] == ["e", "f"]


def test_the_last_lines_of_a_big_log_cost_one_look_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = "".join(line(n % 3600, f"action=a n={n}") for n in range(50_000))
    state = state_with(tmp_path / "s", dispatcher=big, accounts__support=big)
    read: list[int] = []
    pread = os.pread
    monkeypatch.setattr("os.pread", lambda *a: read.append(a[1]) or pread(*a))
    assert [r.fields["n"] for r in reader.last(state, Wanted(account="support"), 2)] == [
        "49998",
        "49999",
    ]
    assert len(read) < 4


def test_a_follower_shows_what_comes_and_new_accounts_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    state = state_with(
        tmp_path / "s", accounts__support="".join(line(n, f"{n}.") for n in range(9))
    )
    with following(state, "--lines", "2") as (process, out):
        until(lambda: "7." in out.read_text() and "8." in out.read_text())
        assert "6." not in out.read_text()
        log = state.logs / "accounts-support.log"
        with log.open("a") as file:
            file.write(line(10, "half")[:-3])
        log.rename(f"{log}.1")
        log.write_text(line(10, "half")[-3:] + line(11, "whole"))
        (state.logs / "accounts-new.log").write_text(line(12, "hello", "new"))
        until(lambda: "hello" in out.read_text())
        assert out.read_text().endswith(
            line(10, "half") + line(11, "whole") + line(12, "hello", "new")
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert "Traceback" not in out.read_text()


@pytest.mark.parametrize("words", [["--follow", "-n", "1"], ["-n", "5000"]])
def test_a_reader_that_goes_ends_it_with_0_and_without_a_word(
    tmp_path: Path, words: list[str]
) -> None:
    state = state_with(tmp_path / "s", dispatcher=line(1, "x" * 200, "dispatcher") * 5000)
    process = subprocess.Popen(
        [*RAFTSUP, "logs", *words, "--state-dir", str(state.root)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stderr
    assert process.stdout.readline()
    process.stdout.close()
    # Nothing new is written: it must notice by itself.
    assert process.wait(10) == exit_codes.OK
    assert process.stderr.read() == ""
    process.stderr.close()


def test_what_cannot_be_shown_is_told_in_words(tmp_path: Path) -> None:
    def told(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [*RAFTSUP, "logs", *words], capture_output=True, text=True, check=False
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    code, text = told("--state-dir", str(tmp_path / "nowhere"))
    assert code == exit_codes.STATE_DIR and "no host has run on this state folder" in text
    state = state_with(tmp_path / "s", accounts__support=line(1, "a"))
    code, text = told("nobody", "--state-dir", str(state.root))
    assert code == exit_codes.FAILED and "no account nobody" in text and "support" in text
    code, text = told("--since", "yesterday", "--state-dir", str(state.root))
    assert code == exit_codes.USAGE and "10m" in text


def test_a_wakes_way_is_followed_by_its_turn_from_the_post_to_the_outcome() -> None:
    with running(("support", "sales")) as host:
        host.up()
        host.ready()
        host.raft.workspace.post("sales", "hello")
        host.answered("hello")
        host.raft.workspace.post("support", "hi")
        host.answered("hi")
        wait_for(lambda: host.account("support")["turns"]["done"] == 1)

        started = _printed(host, "support")
        actions = [record.get("action") for record in started]
        assert actions.index("bridge.started") < actions.index("wake.accepted")
        turn = next(r["turn"] for r in started if r.get("action") == "wake.accepted")
        way = _printed(host, "--turn", turn)
        assert [(r["program"], r["action"]) for r in way] == [
            ("support", "wake.accepted"),
            ("dispatcher", "turn.started"),
            ("dispatcher", "turn.done"),
        ]
        assert {r["account"] for r in way} == {"support"}
        assert "action=turn.done" in host.run("logs", "--turn", turn).stdout
        assert host.run("stop").returncode == 0
        assert _printed(host, "--turn", turn) == way, "also without a host"


def test_logs_are_bounded_and_a_follower_sees_each_line_through_rotations() -> None:
    with running(("support",)) as host:
        host.start("up", "--quiet", argv=[sys.executable, "-c", SMALL])
        host.ready()
        with following(host.state, "--json") as (_, out):
            until(lambda: "dispatcher.ready" in out.read_text())
            request(host.state.dispatcher_socket, "pause", lane="support")
            owed: list[str] = []
            while len(owed) < 80:
                for _ in range(20):
                    turn = request(host.state.dispatcher_socket, "run", account="support")["turn"]
                    request(host.state.dispatcher_socket, "cancel", turn=turn)
                    owed.append(str(turn))
                # What is rotated away before anyone looks is gone: no more than the files hold.
                until(lambda: out.read_text().count("turn.cancelled") == len(owed))
            shown = [json.loads(text) for text in out.read_text().splitlines()]
        for action in ("turn.owed", "turn.cancelled"):
            assert [r["turn"] for r in shown if r.get("action") == action] == owed
        until(lambda: (host.state.logs / "supervisord.log.1").exists())
        names = {path.name for path in host.state.logs.iterdir()}
        assert {"dispatcher.log.1", "dispatcher.log.2", "supervisord.log.1"} <= names
        assert not [name for name in names if name.endswith((".3", ".4"))], names
        for path in host.state.logs.iterdir():
            limit = 300 if path.name.startswith("supervisord") else 4000
            # A piece of output is written whole before the file is turned over.
            assert path.stat().st_size < limit + 4096, path


def _printed(host: Host, *words: str) -> list[dict[str, str]]:
    done = host.run("logs", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(text) for text in done.stdout.splitlines()]
