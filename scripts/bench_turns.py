"""Cases: from a wake to the first act of its turn's process, and the same beside two accounts in
trouble.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bench_host
from bench_client import check, post, request, wake, whole
from bench_rows import BenchError, Case, medians, ms, quantile, ratios, row

START_AIM = 10.0
_QUEUED = 10


@dataclass
class Took:
    """Seconds, one each wake."""

    accept: list[float] = field(default_factory=list)
    from_post: list[float] = field(default_factory=list)
    from_answer: list[float] = field(default_factory=list)
    #: The same agent, started by the bench itself.
    bare: list[float] = field(default_factory=list)


class Ear:
    """Hears, in one thread with one clock, the answers, the agents and the dispatcher."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "began"
        os.mkfifo(self.path, 0o600)
        # Open for writing as well: else it would end whenever no agent has it open.
        self._fifo = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self._events: socket.socket | None = None
        self._rest = b""

    def agent(self, then: str = ":") -> tuple[str, ...]:
        """A command whose first act is to say its account's name."""
        script = f'echo "$RAFTSUP_ACCOUNT" > "{self.path}"; {then}'
        return ("/bin/sh", "-c", script)

    def subscribe(self, dispatcher: Path) -> None:
        self._events = socket.socket(socket.AF_UNIX)
        self._events.settimeout(bench_host.PATIENCE)
        self._events.connect(str(dispatcher))
        self._events.sendall(b'{"verb":"subscribe"}\n')
        self._events.recv(4096)
        self._events.setblocking(False)

    def close(self) -> None:
        os.close(self._fifo)
        if self._events is not None:
            self._events.close()

    def bare(self, account: str) -> float:
        """Seconds to the agent's first act if nothing is between it and the bench."""
        began = time.monotonic()
        with subprocess.Popen(self.agent(), env={"RAFTSUP_ACCOUNT": account}):
            return self._follow(None, account)["began"] - began

    def send(self, endpoint: tuple[int, str], account: str) -> tuple[float, float, float]:
        """One wake, followed to its turn's end. Seconds from before the connect to the answer,
        to the turn's first act, and from the one to the other.
        """
        data = request(*endpoint, wake())
        posted = time.monotonic()
        with socket.create_connection(("127.0.0.1", endpoint[0]), bench_host.PATIENCE) as sock:
            sock.sendall(data)
            at = self._follow(sock, account)
        answered, began = at["answered"], at["began"]
        return answered - posted, began - posted, began - answered

    def until_began(self, account: str) -> None:
        self._follow(None, account)

    def _follow(self, sock: socket.socket | None, account: str) -> dict[str, float]:
        """When what was awaited came: ``began``, and with a socket ``answered`` and ``done``."""
        awaited = {"began"} | ({"answered", "done"} if sock else set())
        at: dict[str, float] = {}
        answer = b""
        deadline = time.monotonic() + bench_host.PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self._fifo, selectors.EVENT_READ)
            if self._events is not None:
                selector.register(self._events, selectors.EVENT_READ)
            if sock is not None:
                selector.register(sock, selectors.EVENT_READ)
            while awaited - set(at):
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                now = time.monotonic()
                if not ready:
                    raise BenchError(f"{account}: not {', '.join(sorted(awaited - set(at)))}")
                for key, _ in ready:
                    if key.fileobj is sock and sock is not None:
                        answer += sock.recv(65536)
                        if whole(answer):
                            check(answer)
                            at["answered"] = now
                            selector.unregister(sock)
                    elif key.fd == self._fifo:
                        if account.encode() in os.read(self._fifo, 4096).split():
                            at["began"] = now
                    elif self._done(account):
                        at["done"] = now
        return at

    def _done(self, account: str) -> bool:
        assert self._events is not None
        *lines, self._rest = (self._rest + self._events.recv(65536)).split(b"\n")
        events = [json.loads(line) for line in lines]
        return any(e.get("event") == "turn.done" and e["account"] == account for e in events)


def _plan(argv: tuple[str, ...]) -> bench_host.Plan:
    return bench_host.Plan(bench_host.command(*argv))


@contextlib.contextmanager
def _host(folder: Path, trouble: bool) -> Iterator[tuple[bench_host.Host, Ear]]:
    """A host with the account ``calm``; with ``trouble`` also one whose turn hangs, with more
    wakes queued behind it, and one whose bridge dies every second.
    """
    folder.mkdir(mode=0o700)
    ear = Ear(folder)
    plans = {"calm": _plan(ear.agent())}
    if trouble:
        plans["hangs"] = _plan(ear.agent(then="exec sleep 60"))
        plans["dies"] = bench_host.Plan(bridge="dying")
    with contextlib.closing(ear), bench_host.running(folder / "h", plans) as host:
        host.until_ready(["calm", "hangs"] if trouble else ["calm"])
        if trouble:
            for _ in range(_QUEUED):
                post(*host.endpoint("hangs"), wake())
            ear.until_began("hangs")
            host.until(
                lambda: bool(host.report("dies").get("bridge", {}).get("lastExit")),
                "the first death of the dying bridge",
            )
        ear.subscribe(host.state.dispatcher_socket)
        yield host, ear


def _wakes(folder: Path, trouble: bool, count: int) -> Took:
    took = Took()
    with _host(folder, trouble) as (host, ear):
        endpoint = host.endpoint("calm")
        for number in range(count + 2):
            accept, from_post, from_answer = ear.send(endpoint, "calm")
            bare = ear.bare("calm")
            if number >= 2:  # the first ones find pages and paths cold
                took.accept.append(accept)
                took.from_post.append(from_post)
                took.from_answer.append(from_answer)
                took.bare.append(bare)
    return took


def measure(folder: Path, rounds: int, wakes: int) -> list[Case]:
    """Rounds alternate between a host with one account and one with trouble beside it."""
    folder.mkdir(mode=0o700)
    quiet, beside = [], []
    for number in range(rounds):
        quiet.append(_wakes(folder / f"q{number}", False, wakes))
        beside.append(_wakes(folder / f"t{number}", True, wakes))
    return [_start_case(quiet), _isolation_case(quiet, beside)]


def _start_case(quiet: list[Took]) -> Case:
    from_answer = [v for took in quiet for v in took.from_answer]
    from_post = [v for took in quiet for v in took.from_post]
    over = [a - b for took in quiet for a, b in zip(took.from_post, took.bare, strict=True)]
    return Case(
        f"4. Wake to turn start: {len(quiet)} hosts, {len(quiet[0].bare)} wakes each",
        "until the turn's process, a /bin/sh, has done its first act, a line into a pipe that the"
        " bench reads: claim, two forks and an exec, and the shell's own start are counted",
        (
            ms("from the 202, p50", from_answer, aim=START_AIM),
            ms("from the 202, p99", from_answer, share=0.99),
            ms("from before the POST, p50", from_post, aim=START_AIM),
            ms("from before the POST, p99", from_post, share=0.99),
            ms("the same shell started by the bench itself", [v for t in quiet for v in t.bare]),
            ms("what raftsup adds to it, from before the POST", over),
        ),
    )


def _isolation_case(quiet: list[Took], beside: list[Took]) -> Case:
    rows = []
    for name, of in (("accept", "accept"), ("POST to turn start", "from_post")):
        alone, among = ([getattr(took, of) for took in side] for side in (quiet, beside))
        for side, rounds in (("alone", alone), ("beside trouble", among)):
            flat = [v for values in rounds for v in values]
            rows += [
                ms(f"{name}, {side}, p50", flat),
                ms(f"{name}, {side}, p99", flat, share=0.99),
            ]
        tails = [[quantile(v, 0.99) for v in rounds] for rounds in (among, alone)]
        rows += [
            row(f"{name}, beside / alone, p50", ratios(medians(among), medians(alone)), "x"),
            row(f"{name}, beside / alone, p99", ratios(*tails), "x"),
        ]
    return Case(
        "6. Isolation: one turn hangs, one bridge dies every second, the third account is measured",
        f"as case 4; beside a hung turn with {_QUEUED - 1} wakes queued behind it; rounds"
        " alternate between a host with trouble and one with the measured account alone",
        tuple(rows),
    )
