"""``raftsup sim``: serve a workspace to try the host against, and talk to it."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raftsup.sim import profiles, wire
from raftsup.sim.faults import KINDS
from raftsup.sim.profiles import Profile, ProfileError
from raftsup.sim.server import KEEPALIVE, RunningWorkspace
from raftsup.sim.timers import SHORT, SHORT_KEEPALIVE
from raftsup.sim.workspace import Workspace

DEFAULT_PORT = 8790
DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"

EXAMPLES = "raftsup sim --agent support"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 picks a free one")
    parser.add_argument(
        "--agent", action="append", metavar="NAME", help="default: support and engineering"
    )
    parser.add_argument(
        "--raft-home", type=Path, help="where profiles are made (default: ~/.raft-sim)"
    )
    parser.add_argument(
        "--keepalive", type=float, metavar="SECONDS",
        help="how often the server says that it lives (default 25, as the true one)",
    )  # fmt: skip
    parser.add_argument(
        "--short", action="store_true",
        help="short timers, as the demo has them (default: those of the true CLI)",
    )  # fmt: skip
    parser.add_argument(
        "--cli", choices=["0.0.24", "next"], default="0.0.24",
        help="which Raft CLI's server to be; next: what is known of newer ones",
    )  # fmt: skip
    verbs = parser.add_subparsers(dest="sim_verb", metavar="send|messages|dots|token|fault")
    send = _verb(
        verbs,
        "send",
        "say something to an agent, as a person",
        'raftsup sim send --to support "hello"',
    )
    send.add_argument("--to", required=True, metavar="AGENT")
    send.add_argument("--target", default="#general")
    send.add_argument("--app", metavar="NAME", help="as an event of that app's, not as a person")
    send.add_argument("text")
    messages = _verb(verbs, "messages", "print what was said, as JSON", "raftsup sim messages")
    dots = _verb(
        verbs, "dots", "print what each agent was last seen to do, as JSON", "raftsup sim dots"
    )
    token = _verb(
        verbs,
        "token",
        "give an agent another token, and revoke the one that it had; a simulator that is started"
        " again knows only what the profiles have",
        "raftsup sim token support",
    )
    token.add_argument("token_agent", metavar="AGENT")
    fault = _verb(
        verbs,
        "fault",
        "make something go wrong, or right again",
        "raftsup sim fault drop --count 1",
    )
    fault.add_argument("kind", choices=[*KINDS, "clear"])
    fault.add_argument("--agent", dest="fault_agent", metavar="AGENT")
    fault.add_argument("--count", type=int)
    fault.add_argument("--seconds", type=float)
    fault.add_argument("--status", type=int)
    fault.add_argument("--route", help="only requests of paths that begin so")
    fault.add_argument("--spec", help="for bridge: die, exit:N, hang, freeze, noise; @SECONDS")
    for verb in (send, messages, dots, token, fault):
        told = f"of a simulator with another --port (default {DEFAULT_URL})"
        verb.add_argument("--url", default=DEFAULT_URL, help=told)


def _verb(verbs: Any, name: str, text: str, example: str) -> Any:
    return verbs.add_parser(
        name, help=text, description=text, epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    match args.sim_verb:
        case None:
            raft_home = args.raft_home or Path.home() / ".raft-sim"
            names = args.agent or ["support", "engineering"]
            keepalive = args.keepalive or (SHORT_KEEPALIVE if args.short else KEEPALIVE)
            return serve(names, raft_home, args.port, keepalive, next=args.cli == "next",
                         short=args.short)  # fmt: skip
        case "send":
            body = {"to": args.to, "text": args.text, "target": args.target, "app": args.app}
            return _tell(args.url, "POST", "/sim/messages", body)
        case "messages":
            return _tell(args.url, "GET", "/sim/messages")
        case "dots":
            return _tell(args.url, "GET", "/sim/dots")
        case "token":
            return _tell(args.url, "POST", "/sim/tokens", {"agent": args.token_agent})
    if args.kind == "clear":
        return _tell(args.url, "DELETE", "/sim/faults")
    fault = {
        "kind": args.kind,
        "agent": args.fault_agent,
        "count": args.count,
        "seconds": args.seconds,
        "status": args.status,
        "spec": args.spec,
        "route": args.route,
    }
    given = {k: v for k, v in fault.items() if v is not None}
    return _tell(args.url, "POST", "/sim/faults", given)


def serve(
    agents: list[str],
    raft_home: Path,
    port: int = 0,
    keepalive: float = KEEPALIVE,
    *,
    next: bool = False,
    short: bool = False,
    ready: Callable[[RunningWorkspace], None] | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C. Main thread only. ``ready`` is called once it listens."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    # A bridge remembers the last seq it saw: a new workspace must not start below it.
    workspace = Workspace(first_seq=int(time.time()))
    try:
        running = RunningWorkspace(workspace, port=port, keepalive=keepalive, next=next)
    except OSError as error:
        sys.stderr.write(f"port {port}: {error.strerror}; choose another with --port\n")
        return 1
    try:
        for name in agents:
            _join(running, raft_home, name)
        if ready is not None:
            ready(running)
        else:
            print(instructions(running, raft_home, short), flush=True)
        ended.wait()
    except ProfileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        running.close()
    return 0


def _join(running: RunningWorkspace, raft_home: Path, name: str) -> None:
    """An agent that has a profile keeps its credential, so that its bridge goes on."""
    try:
        old: Profile | None = profiles.read(name, {"RAFT_HOME": str(raft_home)})
    except ProfileError:
        old = None
    running.workspace.add_agent(name, old and old.agent_id, old and old.token)
    running.write_profile(raft_home, name)


def instructions(running: RunningWorkspace, raft_home: Path, short: bool = False) -> str:
    """What to do next, for the person who started it."""
    agents = running.workspace.agents()
    # By full path: neither the host's PATH nor an agent's need have this environment's programs.
    raft = [sys.executable, "-m", "raftsup.sim.raft_cli"]
    agent = {
        "kind": "command",
        "command": [sys.executable, "-m", "raftsup.sim.agent"],
        "env": {"RAFT_SIM_CLI": shlex.join(raft)},
    }
    accounts = ",\n".join(
        f'    {json.dumps(a.name)}: {{ profile: "{a.name}", agentId: "{a.id}" }}' for a in agents
    )
    exports = {"RAFT_HOME": str(raft_home.absolute())}
    exports |= {"RAFT_SIM_CLI_MODE": "next"} if running.next else {}
    exports |= SHORT if short else {}
    listed = "".join(f"  export {name}={shlex.quote(value)}\n" for name, value in exports.items())
    pace = (
        "Its timers are short: what the true Raft does within 25 s it does within half a second."
        if short
        else "Its timers are the true ones: a message that was not read comes again within 25 s."
        " `raftsup sim --short` has short ones."
    )
    return (
        f"A Raft workspace listens on {running.url}\n{pace}\n\n"
        f"In the shell that starts the host:\n{listed}\n"
        "In its config:\n"
        f"  channels: {{ raft: {{ command: {json.dumps(raft)}, accounts: {{\n{accounts}\n"
        "  } } },\n"
        f"  turns: {{ agent: {json.dumps(agent)} }}\n\n"
        "Then say something, see what became of it, break something:\n"
        f'  raftsup sim send --url {running.url} --to {agents[0].name} "hello"\n'
        f"  raftsup sim messages --url {running.url}\n"
        f"  raftsup sim fault --url {running.url} drop\n"
        f"  raftsup sim token --url {running.url} {agents[0].name}\n\n"
        "Ctrl-C ends it."
    )


def _tell(url: str, method: str, path: str, body: dict[str, Any] | None = None) -> int:
    """One call of the control API; prints the answer."""
    data = b"" if body is None else json.dumps(body).encode()
    try:
        answer = wire.Peer(url).request(method, path, {}, data)
    except (wire.WireError, ValueError) as error:
        sys.stderr.write(f"{url}: {error}; is `raftsup sim` running there?\n")
        return 1
    if answer.status != 200:
        sys.stderr.write(f"{answer.body.decode('utf-8', 'replace')}\n")
        return 1
    print(json.dumps(json.loads(answer.body), indent=2))
    return 0
