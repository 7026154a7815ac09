"""Case: from a wake until a real OpenClaw Gateway has accepted its run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bench_callers
import bench_gateway
import bench_host
from bench_client import post, wake
from bench_gateway import BARE, Asker, Tap
from bench_host import Turns
from bench_overhead import WARM_UP
from bench_rows import Case, ms, ratios, row

from tests.support.openclaw.gateway import Gateway

_ACCOUNT = "tapped"
#: Seconds of rest before each run: when one has ended its Gateway is not done with it yet.
_REST = 0.1


@dataclass
class Took:
    """Seconds, one each wake."""

    from_post: list[float] = field(default_factory=list)
    from_answer: list[float] = field(default_factory=list)
    #: From before the POST until the run was asked for.
    until_asked: list[float] = field(default_factory=list)
    #: From then until it was accepted.
    accepting: list[float] = field(default_factory=list)
    #: The bare client, from before its request until it was accepted.
    bare: list[float] = field(default_factory=list)
    #: From turn.started to turn.done, and the bare client's run to its end.
    turn: list[float] = field(default_factory=list)
    bare_turn: list[float] = field(default_factory=list)


@contextlib.contextmanager
def connected(folder: Path, gateway: Gateway) -> Iterator[Callable[[int], Took]]:
    """A host that is connected to the Gateway; what is given sends it so many wakes."""
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(bench_gateway.loop())
        tap = stack.enter_context(bench_gateway.tap(run, gateway.url))
        bare = stack.enter_context(bench_gateway.client(run, tap.url, gateway.token))
        plans = {_ACCOUNT: bench_host.Plan(bench_gateway.agent(tap.url))}
        environ = bench_gateway.environ(gateway)
        host = stack.enter_context(bench_host.running(folder, plans, **environ))
        host.until_ready(list(plans))
        host.until_available(list(plans))

        def measure(wakes: int) -> Took:
            with contextlib.closing(Turns(host.state.dispatcher_socket)) as turns:
                return _wakes(host, turns, tap, bare, wakes)

        yield measure


def _wakes(host: bench_host.Host, turns: Turns, tap: Tap, bare: Asker, wakes: int) -> Took:
    took, cold = Took(), Took()
    endpoint = host.endpoint(_ACCOUNT)
    for number in range(wakes + WARM_UP):
        into = took if number >= WARM_UP else cold
        time.sleep(_REST)
        posted = time.monotonic()
        answered = posted + post(*endpoint, wake())
        seen = tap.next(bench_gateway.session(_ACCOUNT))
        into.from_post.append(seen.accepted - posted)
        into.from_answer.append(seen.accepted - answered)
        into.until_asked.append(seen.asked - posted)
        into.accepting.append(seen.accepted - seen.asked)
        into.turn.append(turns.until_done(_ACCOUNT))
        time.sleep(_REST)
        asked, whole = bare(bench_callers.TEXT)
        into.bare.append(tap.next(bench_gateway.session(BARE)).accepted - asked)
        into.bare_turn.append(whole)
    return took


def case(took: Took) -> Case:
    return Case(
        f"7. Wake to accepted by a real OpenClaw Gateway: {len(took.bare)} wakes, interleaved with"
        " a bare client",
        "until its answer 'accepted' has come to a tap, which raftsup and the bare aiohttp client"
        " both go through; one connection each, kept; the model answers at once",
        (
            ms("from the 202, p50", took.from_answer),
            ms("from before the POST, p50", took.from_post),
            ms("from before the POST, p90", took.from_post, share=0.9),
            ms("of it: until the Gateway is asked", took.until_asked),
            ms("of it: until it has accepted", took.accepting),
            ms("bare client: from its request to accepted", took.bare),
            row("from the 202 / bare client", ratios(took.from_answer, took.bare), "x"),
            row("from before the POST / bare client", ratios(took.from_post, took.bare), "x"),
        ),
    )
