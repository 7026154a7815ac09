"""Case: from a wake until a real OpenClaw Gateway has accepted its run."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

import bench_callers
import bench_gateway
import bench_host
from bench_agents import Turns
from bench_client import post, wake
from bench_gateway import Asker, Tap
from bench_rows import Case, ms, ratios, row

from raftsup.sim.openclaw import Gateway

#: The first ones find pages and paths cold, and sessions not made.
_WARM_UP = 3
_ACCOUNT = "tapped"
#: Seconds after a Gateway's boot was first seen in which the runner looks before each run whether
#: the Gateway resumes the session: a request more.
_WATCH = 60.0


@dataclass
class Took:
    """Seconds, one each wake."""

    from_post: list[float] = field(default_factory=list)
    from_answer: list[float] = field(default_factory=list)
    until_asked: list[float] = field(default_factory=list)
    #: From the request to "accepted", both at the tap.
    answer: list[float] = field(default_factory=list)
    #: A bare client, from before its request to "accepted".
    bare: list[float] = field(default_factory=list)


@contextlib.contextmanager
def prepared(folder: Path, gateway: Gateway):
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(bench_gateway.loop())
        tap = stack.enter_context(bench_gateway.tap(run, gateway.url))
        asker = stack.enter_context(bench_gateway.client(run, tap.url, gateway.token))
        plans = {_ACCOUNT: bench_host.Plan(bench_gateway.agent(tap.url))}
        environ = bench_gateway.environ(gateway)
        host = stack.enter_context(bench_host.running(folder, plans, **environ))
        host.until_ready(list(plans))
        host.until(host.all_available, "a connection to the Gateway")
        since = time.monotonic()
        turns = stack.enter_context(contextlib.closing(Turns(host.state.dispatcher_socket)))
        yield lambda rounds: _wakes(host, turns, tap, asker, rounds), since


def _wakes(host: bench_host.Host, turns: Turns, tap: Tap, bare: Asker, rounds: int) -> Took:
    took = Took()
    endpoint = host.endpoint(_ACCOUNT)
    for number in range(rounds + _WARM_UP):
        posted = time.monotonic()
        answered = posted + post(*endpoint, wake())
        seen = tap.next(bench_gateway.session(_ACCOUNT))
        turns.until_done(_ACCOUNT)
        asked, _ = bare(bench_callers.TEXT)
        bare_seen = tap.next(bench_gateway.session(bench_gateway.BARE))
        if number >= _WARM_UP:
            took.from_post.append(seen.accepted - posted)
            took.from_answer.append(seen.accepted - answered)
            took.until_asked.append(seen.asked - posted)
            took.answer.append(seen.accepted - seen.asked)
            took.bare.append(bare_seen.accepted - asked)
    return took
