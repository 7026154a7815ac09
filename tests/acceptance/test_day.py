"""An operator's first day, typed into a terminal: from nothing to a service and back."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pexpect
import pytest

from raftsup import exit_codes
from raftsup.ops.service import detect
from tests.integration.host import AGENT, RAFT, RAFTSUP, Host, running, wait_for

PROMPT = "day [$?]> "
PROMPTED = r"day \[(\d+)\]> "
RAFT_CLI = f"""#!/bin/sh
exec {shlex.join(RAFT)} "$@"
"""
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$KEPT/calls"
"""
#: Seconds beyond which a person who waits for a reply has been disturbed, on any machine.
DISTURBED = 5.0


@dataclass
class Terminal:
    """A shell in a terminal of its own, and somebody who types."""

    child: pexpect.spawn

    def type(self, line: str, code: int = exit_codes.OK) -> str:
        """Type a command and wait for its end; what it printed."""
        self.child.sendline(line)
        return self.prompted(line, code)

    def prompted(self, line: str, code: int = exit_codes.OK) -> str:
        self.child.expect(PROMPTED)
        said = str(self.child.before).replace("\r\n", "\n")
        assert int(self.child.match.group(1)) == code, f"{line}\n{said}"
        return said

    def answer(self, *lines: tuple[str, str]) -> None:
        for question, answer in lines:
            self.child.expect_exact(question)
            self.child.sendline(answer)

    def until(self, line: str, word: str, code: int = exit_codes.OK) -> str:
        """Type it again and again until it says ``word``; what it printed then."""

        def look() -> str:
            self.child.sendline(line)
            self.child.expect(PROMPTED)
            said = str(self.child.before).replace("\r\n", "\n")
            return said if word in said and int(self.child.match.group(1)) == code else ""

        return wait_for(look, what=f"{word!r} from {line}")


@dataclass
class Newcomer:
    host: Host

    @property
    def bin(self) -> Path:
        return self.host.root / "bin"

    @property
    def kept(self) -> Path:
        return self.host.root / "kept"

    def token(self, agent: str) -> str:
        """What the agent's External Agent page in Raft shows."""
        return self.host.raft.workspace.find(agent).token

    def login(self, agent: str) -> str:
        return (
            f"raft agent login --server {self.host.raft.url} --agent agent-{agent}"
            f" --profile-slug {agent}"
        )

    def sign_in(self, terminal: Terminal, agent: str) -> None:
        terminal.child.sendline(self.login(agent))
        terminal.answer(("Agent token", self.token(agent)))
        assert "state: authorized" in terminal.prompted("raft agent login")

    def prepare(self) -> None:
        """No config, and no profile at all."""
        self.host.config_path.unlink()
        shutil.rmtree(self.host.profiles)
        for folder in (self.bin, self.kept):
            folder.mkdir()
        programs = {
            "raftsup": f'#!/bin/sh\nexec {shlex.join(RAFTSUP)} "$@"\n',
            "raft": RAFT_CLI,
            "systemctl": SYSTEMCTL,
        }
        for name, text in programs.items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    @contextmanager
    def terminal(self) -> Iterator[Terminal]:
        env = {
            **self.host.environ(),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.host.root),
            "XDG_CONFIG_HOME": str(self.host.root / "config"),
            "XDG_RUNTIME_DIR": str(self.host.root),
            "KEPT": str(self.kept),
            "TERM": "dumb",
            "RAFT_SIM_CLI": "raft",
            "PS1": PROMPT,
        }
        child = pexpect.spawn(
            "bash", ["--norc", "--noprofile", "--noediting"], env=env, encoding="utf-8",
            timeout=20, dimensions=(50, 250), echo=False,
        )  # fmt: skip
        try:
            child.expect(PROMPTED)
            yield Terminal(child)
        finally:
            child.close(force=True)


@dataclass
class Load:
    """People who each talk to one agent: the next word when the last one is answered."""

    host: Host
    agents: tuple[str, ...]
    #: Seconds from each message to its reply, by agent.
    waits: dict[str, list[float]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        self.waits = {agent: [] for agent in self.agents}
        with ThreadPoolExecutor(len(self.agents)) as pool:
            talks = [pool.submit(self._talk, agent) for agent in self.agents]
            try:
                yield
            finally:
                self._over.set()
        for talk in talks:
            talk.result()

    def _talk(self, agent: str) -> None:
        raft = self.host.raft.workspace
        while not self._over.is_set():
            message = raft.post(agent, f"word {len(self.waits[agent])} for {agent}")
            reply = wait_for(
                lambda text=f"echo: {message.text}": next(
                    (r for r in raft.replies() if r.text == text), None
                )
            )
            self.waits[agent].append(reply.sent_at - message.sent_at)

    def more(self, count: int) -> dict[str, list[float]]:
        """Wait for so many more replies of each; the waits for them and all since."""
        before = {agent: len(waits) for agent, waits in self.waits.items()}
        wait_for(lambda: all(len(w) >= before[a] + count for a, w in self.waits.items()))
        return {agent: waits[before[agent] :] for agent, waits in self.waits.items()}


@pytest.fixture
def newcomer() -> Iterator[Newcomer]:
    with running(("support", "sales", "desk", "heir")) as host:
        one = Newcomer(host)
        one.prepare()
        yield one


def test_a_newcomer_gets_through_the_day(newcomer: Newcomer) -> None:
    with newcomer.terminal() as terminal:
        sets_it_up(newcomer, terminal)
        has_it_answer(newcomer, terminal)
        adds_an_account_under_load(newcomer, terminal)
        signs_in_again(newcomer, terminal)
        writes_the_right_agent(newcomer, terminal)
        watches_the_logs(newcomer)
        breaks_the_file(newcomer, terminal)
        drains(newcomer, terminal)
        has_a_service(newcomer, terminal)


def sets_it_up(newcomer: Newcomer, terminal: Terminal) -> None:
    terminal.child.sendline("raftsup setup")
    terminal.answer(
        ("Sign one in now [Y/n]: ", ""),
        ("Raft server [https://app.raft.build]: ", newcomer.host.raft.url),
        ("Agent id", "agent-support"),
        ("Profile name", "support"),
        ("Agent token", newcomer.token("support")),
        ("the agent agent-support at http", ""),
        ("Account id [support]: ", ""),
        ("Number [1]: ", "1"),
        ("Its command line", shlex.join(AGENT["command"])),
        ("Its folder", ""),
        ("Environment variables it needs", "RAFT_SIM_CLI"),
        ("Another account [y/N]: ", "y"),
        ("Profile (number or name)", "+"),
        ("Raft server", ""),
        ("Agent id", "agent-sales"),
        ("Profile name", "sales"),
        ("Agent token", newcomer.token("sales")),
        ("Is that the one [Y/n]: ", ""),
        ("Account id [sales]: ", ""),
        ("the same as the other accounts (command)", ""),
        ("Another account [y/N]: ", ""),
        ("Write it [Y/n]: ", ""),
    )
    assert "raftsup up -d && raftsup status" in terminal.prompted("raftsup setup")
    assert "agent" in terminal.type("raftsup config check --live")


def has_it_answer(newcomer: Newcomer, terminal: Terminal) -> None:
    terminal.type("raftsup up -d")
    newcomer.host.ready()
    said = terminal.type("raftsup status")
    assert re.search(r"support +ready", said) and re.search(r"sales +ready", said), said
    newcomer.host.raft.workspace.post("support", "good morning")
    newcomer.host.answered("good morning")


def adds_an_account_under_load(newcomer: Newcomer, terminal: Terminal) -> None:
    host = newcomer.host
    load = Load(host, ("support", "sales"))
    pids = processes(host, load.agents)
    accepted = {name: host.account(name)["wakes"]["accepted"] for name in load.agents}
    with load.going_on():
        before = load.more(3)
        newcomer.sign_in(terminal, "desk")
        counted = {agent: len(waits) for agent, waits in load.waits.items()}
        assert "desk" in terminal.type("raftsup account add desk --profile desk")
        host.ready("desk")
        load.more(1)
        during = {agent: waits[counted[agent] :] for agent, waits in load.waits.items()}
    host.raft.workspace.post("desk", "are you new here")
    host.answered("are you new here")
    assert processes(host, load.agents) == pids, "the others were not touched"
    for agent, waits in load.waits.items():
        assert max(during[agent]) < 5 * median(before[agent]) + DISTURBED
        # Each word was one wake and got one reply: none was lost, none came twice.
        now = host.account(agent)["wakes"]
        assert now["accepted"] - accepted[agent] == len(waits)
        assert now["rejected"] == 0
    said = Counter(reply.text for reply in host.raft.workspace.replies())
    assert set(said.values()) == {1}


def processes(host: Host, names: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    found = {name: host.account(name) for name in names}
    return {name: (a["endpoint"]["pid"], a["bridge"]["pid"]) for name, a in found.items()}


def signs_in_again(newcomer: Newcomer, terminal: Terminal) -> None:
    host = newcomer.host
    host.raft.workspace.renew_token("sales")
    terminal.until("raftsup status", "Invalid agent credential", exit_codes.NOT_READY)
    command = fixing(terminal)
    assert command == newcomer.login("sales")
    terminal.child.sendline(command)
    terminal.answer(("Agent token", newcomer.token("sales")))
    assert "state: authorized" in terminal.prompted(command)
    host.ready()  # nobody restarts anything
    host.raft.workspace.post("sales", "are you back")
    host.answered("are you back")
    assert "all is well" in terminal.type("raftsup doctor")


def writes_the_right_agent(newcomer: Newcomer, terminal: Terminal) -> None:
    """The profile is signed in as another agent than the config says."""
    host = newcomer.host
    host.raft.write_profile(host.root, "heir", "desk")
    terminal.type("raftsup ctl restart desk")
    terminal.until("raftsup status", "BRIDGE_IDENTITY_MISMATCH", exit_codes.NOT_READY)
    command = fixing(terminal)
    assert command.startswith("raftsup setup --account desk --profile desk --agent-id ")
    terminal.type(command)
    host.ready()
    assert "all is well" in terminal.type("raftsup doctor")
    host.raft.workspace.post("heir", "you are another one")
    host.answered("you are another one")


def fixing(terminal: Terminal) -> str:
    """What the doctor says to do about the first thing that fails."""
    said = terminal.type("raftsup doctor", exit_codes.UNWELL)
    told = re.search(r"^fail .*?\bfix:  (.*?)$", said, re.MULTILINE | re.DOTALL)
    assert told, said
    return told[1]


def watches_the_logs(newcomer: Newcomer) -> None:
    with newcomer.terminal() as window:
        window.child.sendline("raftsup logs support --follow -n 500")
        window.child.expect_exact("action=bridge.started")
        newcomer.host.raft.workspace.post("support", "do you log me")
        newcomer.host.answered("do you log me")
        turn = newcomer.host.account("support")["turns"]["last"]["turn"]
        for action in ("wake.accepted", "turn.done"):
            window.child.expect(rf"action={re.escape(action)} turn={turn}\b")
        window.child.sendcontrol("c")
        window.prompted("raftsup logs", 130)
        assert "do you log me" not in window.type(f"raftsup logs --turn {turn}")


def breaks_the_file(newcomer: Newcomer, terminal: Terminal) -> None:
    path = newcomer.host.config_path
    good = path.read_text()
    path.write_text(good.replace("agentId", "agentld", 1))
    terminal.until("raftsup status", "refused: the running config is kept")
    assert "agentld" in terminal.type("raftsup reload", exit_codes.CONFIG)
    path.write_text(good)
    wait_for(lambda: "refused" not in terminal.type("raftsup status"))
    terminal.type("raftsup reload")


def drains(newcomer: Newcomer, terminal: Terminal) -> None:
    terminal.type("raftsup drain")
    shell = str(terminal.child.pid)
    wait_for(lambda: all(line.split()[0] == shell for line in newcomer.host.left()))
    terminal.type("raftsup status", exit_codes.NOT_READY)


def has_a_service(newcomer: Newcomer, terminal: Terminal) -> None:
    if detect.manager_here() is not detect.Manager.SYSTEMD:
        return
    assert "raftsup start" in terminal.type("raftsup install")
    unit = newcomer.host.root / "config" / "systemd" / "user" / "raftsup.service"
    if shutil.which("systemd-analyze"):
        terminal.type(f"systemd-analyze verify --user {unit}")
    terminal.type("raftsup uninstall")
    assert not unit.exists()
    assert newcomer.host.config_path.exists()
    asked = (newcomer.kept / "calls").read_text().splitlines()
    assert "--user enable raftsup.service" in asked
    assert "--user disable --now raftsup.service" in asked
