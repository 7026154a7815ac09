"""Bare callers of instant agents: what a turn costs where nothing is between caller and agent.

A caller is a function that takes one turn and gives back the seconds that it took.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench_host import PATIENCE
from bench_rows import BenchError

from raftsup.turn import notice

Caller = Callable[[], float]
TEXT = notice(["raft"], "bench")
COMMAND = ("true",)
ACP = (sys.executable, str(Path(__file__).with_name("bench_acp_agent.py")))
MODEL = "mock"


def command() -> float:
    began = time.monotonic()
    done = subprocess.run(
        COMMAND, input=TEXT.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    took = time.monotonic() - began
    if done.returncode:
        raise BenchError(f"{COMMAND[0]} ended with {done.returncode}")
    return took


@contextlib.contextmanager
def acp() -> Iterator[Caller]:
    """An agent that is started once, with one session."""
    numbers = itertools.count()
    pipe = subprocess.PIPE
    with subprocess.Popen(ACP, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        into, out = process.stdin, process.stdout

        def ask(method: str, **params: Any) -> None:
            number = next(numbers)
            frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            into.write(json.dumps(frame) + "\n")
            while answer := json.loads(out.readline() or "null"):
                if answer.get("id") == number:
                    return
            raise BenchError("the bench's ACP agent has ended")

        def turn() -> float:
            began = time.monotonic()
            prompt = [{"type": "text", "text": TEXT}]
            ask("session/prompt", sessionId="bench", prompt=prompt)
            return time.monotonic() - began

        ask("initialize", protocolVersion=1, clientCapabilities={})
        ask("session/new", cwd="/", mcpServers=[])
        yield turn


def openai(base_url: str) -> Caller:
    """A new connection for each turn, as the runner has it."""
    parts = urlsplit(base_url)
    body = {
        "model": MODEL,
        "user": "bench",
        "stream": False,
        "messages": [{"role": "user", "content": TEXT}],
    }

    def turn() -> float:
        began = time.monotonic()
        connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
        with contextlib.closing(connection):
            headers = {"content-type": "application/json"}
            connection.request("POST", f"{parts.path}/chat/completions", json.dumps(body), headers)
            answer = connection.getresponse()
            answer.read()
        took = time.monotonic() - began
        if answer.status != 200:
            raise BenchError(f"the bench's own endpoint answered {answer.status}")
        return took

    return turn
