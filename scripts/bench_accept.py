"""Cases: what a wake costs until it is accepted, alone, again, and with eight accounts at once."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_bare
import bench_host
from bench_client import post, wake
from bench_rows import Case, Row, medians, ms, quantile, ratios, row

from raftsup.dispatcher import control_client as dispatcher
from raftsup.dispatcher.scheduler import ALL

#: Durable accept over (bare endpoint and fdatasync) is to be at most this.
AIM = 2.5
ACCOUNTS = 8
#: Seconds from the word to the senders until they begin, all at once.
_HEAD_START = 0.05


@dataclass(frozen=True)
class Size:
    rounds: int
    posts: int


def measure(folder: Path, alone: Size, together: Size) -> list[Case]:
    """The three cases, on one host whose turns are paused: an accept rings its doorbell, and no
    turn that it starts is on the processor when the next one is measured.
    """
    names = [f"a{number}" for number in range(ACCOUNTS)]
    with bench_host.running(folder, dict.fromkeys(names, bench_host.Plan())) as host:
        host.until_ready(names)
        dispatcher.request(host.state.dispatcher_socket, "pause", lane=ALL)
        endpoints = [host.endpoint(name) for name in names]
        return [
            *_one_account(folder / "page", endpoints[0], alone),
            _many_accounts(endpoints, together),
        ]


def _one_account(page: Path, endpoint: tuple[int, str], size: Size) -> Iterator[Case]:
    took: dict[str, list[list[float]]] = {}
    disk = bench_bare.Disk(page)
    with bench_bare.endpoint("intake") as intake, bench_bare.endpoint("gthread") as gthread:
        for _ in range(size.rounds):
            for name, values in _round(disk, intake, gthread, endpoint, size.posts).items():
                took.setdefault(name, []).append(values)
    disk.close()
    of = {name: medians(rounds) for name, rounds in took.items()}
    flat = {name: [v for values in rounds for v in values] for name, rounds in took.items()}
    floor = [a + b for a, b in zip(of["intake"], of["disk"], strict=True)]
    plain = [a + b for a, b in zip(of["gthread"], of["disk"], strict=True)]
    yield Case(
        f"1. A wake's accept, durable: {size.rounds} rounds of {size.posts}, interleaved",
        "from before the connect to the whole answer; one sender, one account; ratios by round",
        (
            ms("write and fdatasync of one page", flat["disk"]),
            ms("bare Falcon endpoint, our worker class", flat["intake"]),
            ms("bare Falcon endpoint, gunicorn's gthread", flat["gthread"]),
            ms("accept", flat["accept"]),
            ms("accept, p99", flat["accept"], share=0.99),
            row("accept / (bare endpoint + fdatasync)", ratios(of["accept"], floor), "x", aim=AIM),
            row("accept / (bare gthread + fdatasync)", ratios(of["accept"], plain), "x"),
            row("accept / bare endpoint", ratios(of["accept"], of["intake"]), "x"),
            row("accept / fdatasync", ratios(of["accept"], of["disk"]), "x"),
        ),
    )
    yield Case(
        "2. A duplicate's accept, in the same rounds",
        "it is answered from the ledger and counted there, durably; it owes no turn",
        (
            ms("same delivery again (eventId)", flat["delivery"]),
            ms("same message, its turn still queued (messageId)", flat["message"]),
            row("same delivery / accept", ratios(of["delivery"], of["accept"]), "x"),
            row("same message / accept", ratios(of["message"], of["accept"]), "x"),
        ),
    )


def _round(
    disk: bench_bare.Disk, intake: int, gthread: int, endpoint: tuple[int, str], posts: int
) -> dict[str, list[float]]:
    port, token = endpoint
    message, event = (f"{name}_{time.monotonic_ns()}" for name in ("message", "event"))
    post(port, token, wake(message, event))  # what the duplicates repeat
    subjects: dict[str, Callable[[], float]] = {
        "disk": disk.write,
        "intake": lambda: post(intake, token, wake()),
        "gthread": lambda: post(gthread, token, wake()),
        "accept": lambda: post(port, token, wake()),
        "delivery": lambda: post(port, token, wake(event=event)),
        "message": lambda: post(port, token, wake(message)),
    }
    took: dict[str, list[float]] = {name: [] for name in subjects}
    order = list(subjects)
    for _ in range(posts):
        for name in order:
            took[name].append(subjects[name]())
        # Whatever one subject leaves behind meets each of the others in turn.
        order.append(order.pop(0))
    return took


def _many_accounts(endpoints: list[tuple[int, str]], size: Size) -> Case:
    alone: list[list[float]] = []
    together: list[list[float]] = []
    rates: list[tuple[float, float]] = []
    with contextlib.ExitStack() as stack:
        senders = [stack.enter_context(_sender()) for _ in endpoints]
        pairs = list(zip(senders, endpoints, strict=True))
        for number in range(size.rounds):
            took, rate = _send(pairs[number % len(pairs) :][:1], size.posts)
            alone.append(took)
            took, rate_together = _send(pairs, size.posts)
            together.append(took)
            rates.append((rate, rate_together))
    one, eight = ([v for values in rounds for v in values] for rounds in (alone, together))
    rows: tuple[Row, ...] = (
        ms("accept, one account at a time", one),
        ms(f"accept, {ACCOUNTS} accounts at once", eight),
        ms(f"accept, {ACCOUNTS} accounts at once, p99", eight, share=0.99),
        row("p50, at once / alone", ratios(medians(together), medians(alone)), "x"),
        row(
            "p99, at once / alone",
            ratios([quantile(v, 0.99) for v in together], [quantile(v, 0.99) for v in alone]),
            "x",
        ),
        row("accepts a second, one account", [a for a, _ in rates], "/s"),
        row(f"accepts a second, {ACCOUNTS} accounts at once", [b for _, b in rates], "/s"),
        row("accepts a second, at once / alone", [b / a for a, b in rates], "x"),
    )
    return Case(
        f"3. Accept with {ACCOUNTS} accounts at once: {size.rounds} rounds of {size.posts} each",
        f"{ACCOUNTS} workers and a sending process for each, each sending as fast as it is"
        " answered; all share the processors and one disk",
        rows,
    )


@contextlib.contextmanager
def _sender() -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("bench_client.py")
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _send(
    pairs: list[tuple[subprocess.Popen[str], tuple[int, str]]], posts: int
) -> tuple[list[float], float]:
    """Every POST's seconds, and the POSTs a second of all senders together."""
    begin = time.monotonic() + _HEAD_START
    for sender, (port, token) in pairs:
        assert sender.stdin is not None
        sender.stdin.write(json.dumps([port, token, posts, begin]) + "\n")
        sender.stdin.flush()
    answers: list[dict[str, Any]] = []
    for sender, _ in pairs:
        assert sender.stdout is not None
        answers.append(json.loads(sender.stdout.readline()))
    ended = max(answer["ended"] for answer in answers)
    took = [value for answer in answers for value in answer["took"]]
    return took, len(took) / (ended - begin)
