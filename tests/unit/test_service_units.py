"""What service managers are given: the unit, the property list, and what is in them."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.config.errors import ConfigError
from raftsup.config.load import load
from raftsup.ops.service import control, detect, install, launchd, spec, systemd
from raftsup.ops.service.control import Verb
from raftsup.ops.service.detect import Manager, Place
from raftsup.ops.service.spec import Described, Scope, describe, search_path

HOME = "/home/you"
#: The installation that README.rst describes, of a user whose home is HOME.
SHIPPED = Described(
    unit="raftsup",
    scope=Scope.USER,
    user="you",
    command=(f"{HOME}/.local/bin/raftsup",),
    config=Path(f"{HOME}/.config/raftsup/raftsup.json5"),
    state=Path(f"{HOME}/.local/state/raftsup"),
    environment={},
    path=f"{HOME}/.local/bin:/usr/local/bin:/usr/bin:/bin",
    stop=90,
)
CONFIG = """{ channels: { raft: { profile: "p", agentId: "a", command: ["no-such-raft"],
    agent: { kind: "command", command: ["cat"], env: { KEY: "${AGENT_KEY}" } } } },
    turns: { drain: "100s" } }"""


def test_the_shipped_unit_is_the_one_that_install_writes() -> None:
    shipped = Path(__file__).parents[2] / "conf" / "raftsup.service"
    assert shipped.read_text() == systemd.text(SHIPPED).replace(HOME, "%h")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("scope", list(Scope))
def test_systemd_finds_nothing_wrong_with_a_unit(scope: Scope, tmp_path: Path) -> None:
    program = tmp_path / "a strange 50% $HOME" / "raftsup"
    program.parent.mkdir()
    shutil.copy("/bin/true", program)
    service = replace(
        SHIPPED, scope=scope, user="root", command=(str(program),), path=f'/a "b":{os.defpath}'
    )
    unit = tmp_path / "raftsup.service"
    unit.write_text(systemd.text(service))
    words = ["systemd-analyze", "verify", *(["--user"] if scope is Scope.USER else []), str(unit)]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=30, check=False)
    # Of other units of this machine it may complain.
    ours = [line for line in done.stderr.splitlines() if "raftsup" in line]
    assert (ours, done.returncode) == ([], 0), done.stderr


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"])))
def test_a_units_variable_is_read_back_as_it_was_written(value: str) -> None:
    service = replace(SHIPPED, environment={"RAFT_PROFILE": value})
    try:
        text = systemd.text(service)
    except ValueError:
        assert not value.isprintable()
        return
    assert systemd.variable(text, "RAFT_PROFILE", HOME) == value


def test_a_units_placeholder_for_the_home_folder_is_read_as_that_folder() -> None:
    text = systemd.text(SHIPPED).replace(HOME, "%h")
    assert systemd.variable(text, "RAFTSUP_STATE_DIR", "/h") == "/h/.local/state/raftsup"


def test_a_path_that_would_break_a_units_line_is_refused() -> None:
    with pytest.raises(ValueError, match="unprintable"):
        systemd.text(replace(SHIPPED, state=Path("/a\nExecStartPre=/bin/evil")))


def test_a_pattern_in_a_folders_name_does_not_hide_the_file_of_secrets() -> None:
    text = systemd.text(replace(SHIPPED, config=Path("/a [b]*\\/raftsup.json5")))
    assert "\nEnvironmentFile=-/a \\[b]\\*\\\\/raftsup.env\n" in text


def test_the_next_word_starts_this_service_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def word(service: Described) -> str:
        at = detect.place(Manager.SYSTEMD, service.scope, service.unit, Path(HOME))
        return install.next_word(service, at)

    monkeypatch.setenv("RAFTSUP_STATE_DIR", str(SHIPPED.state))
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert word(SHIPPED) == "raftsup start"
    assert word(replace(SHIPPED, unit="raftsup-a")) == "raftsup --name a start"
    assert word(replace(SHIPPED, state=Path("/s t"))) == "raftsup start --state-dir '/s t'"
    # Of another user: root's own `raftsup start` would look into root's folders.
    system = replace(SHIPPED, scope=Scope.SYSTEM, user="nobody")
    assert word(system) == "systemctl start raftsup.service"
    monkeypatch.setenv("SUDO_USER", "you")
    assert word(system) == "sudo systemctl start raftsup.service"


def test_the_system_unit_names_its_user_and_the_users_unit_does_not() -> None:
    system = systemd.text(replace(SHIPPED, scope=Scope.SYSTEM))
    assert "\nUser=you\n" in system
    assert "WantedBy=multi-user.target" in system
    assert "\nUser=" not in systemd.text(SHIPPED)


def test_the_property_list_says_the_same_to_launchd() -> None:
    service = replace(SHIPPED, unit="raftsup-staging", config=Path("/a b/raftsup.json5"))
    text = launchd.text(service)
    tree = plistlib.loads(text.encode())
    assert tree["Label"] == "raftsup-staging"
    assert tree["EnvironmentVariables"] == service.variables()
    assert tree["ExitTimeOut"] == 90
    assert tree["KeepAlive"] == {"SuccessfulExit": False}
    assert "UserName" not in tree
    assert systemd.MARKER in text
    assert launchd.variable(text, "RAFTSUP_STATE_DIR") == str(service.state)
    system = plistlib.loads(launchd.text(replace(service, scope=Scope.SYSTEM)).encode())
    assert system["UserName"] == "you"


def test_launchds_shell_starts_the_host_with_the_secrets_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "it's a"
    folder.mkdir()
    program = folder / "raftsup"
    program.write_text('#!/bin/sh\necho "$AGENT_KEY, $*"\n')
    program.chmod(0o755)
    service = replace(SHIPPED, command=(str(program),), config=folder / "raftsup.json5")
    words = plistlib.loads(launchd.text(service).encode())["ProgramArguments"]
    assert subprocess.run(words, capture_output=True, check=True).stdout == b", up --quiet\n"
    service.secrets.write_text("# mine\nAGENT_KEY='a b'\n")
    assert subprocess.run(words, capture_output=True, check=True).stdout == b"a b, up --quiet\n"
    assert spec.read_secrets(service.secrets) == {"AGENT_KEY": "a b"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    config = tmp_path / ".config" / "raftsup" / "raftsup.json5"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    return {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "AGENT_KEY": "secret-of-this-shell"}


def told(environ: dict[str, str]) -> tuple[Described, str]:
    service, notes = describe(environ, load, Scope.USER, "you")
    return service, "\n".join(notes)


def test_a_stop_gets_the_drain_and_time_to_end_what_outlasts_it(environ: dict[str, str]) -> None:
    assert told(environ)[0].stop > 100


def test_what_the_service_will_lack_is_said_though_this_shell_has_it(
    environ: dict[str, str],
) -> None:
    service, notes = told(environ | {"RAFTSUP_TURNS_TIMEOUT": "5m"})
    assert "AGENT_KEY" in notes
    assert "RAFTSUP_TURNS_TIMEOUT" in notes
    assert "no-such-raft is not found" in notes
    assert "secret-of-this-shell" not in systemd.text(service) + notes
    service.secrets.write_text("AGENT_KEY=k\nRAFTSUP_TURNS_TIMEOUT=5m\n")
    assert "variable" not in told(environ)[1] and "AGENT_KEY" not in told(environ)[1]


def test_the_gateways_token_is_missed_where_only_this_shell_has_it(
    environ: dict[str, str],
) -> None:
    config = Path(environ["HOME"], ".config/raftsup/raftsup.json5")
    config.write_text("""{
      channels: { raft: { accounts: { support: { profile: "p", agentId: "a" } } } },
      turns: { agent: { kind: "openclaw", url: "ws://127.0.0.1:18789" } },
    }""")
    shell = environ | {"OPENCLAW_GATEWAY_TOKEN": "secret-of-this-shell"}
    service, notes = told(shell)
    assert "OPENCLAW_GATEWAY_TOKEN is set in this shell and not in the service" in notes
    assert "secret-of-this-shell" not in systemd.text(service) + notes
    service.secrets.write_text("OPENCLAW_GATEWAY_TOKEN='t'\n")
    assert "OPENCLAW_GATEWAY_TOKEN" not in told(shell)[1]


def test_a_config_that_would_not_start_is_not_installed(environ: dict[str, str]) -> None:
    config = Path(environ["HOME"], ".config/raftsup/raftsup.json5")
    config.write_text(CONFIG.replace("drain", "dran"))
    with pytest.raises(ConfigError, match="dran"):
        told(environ)


def test_a_named_instance_has_folders_and_a_unit_of_its_own(environ: dict[str, str]) -> None:
    home = Path(environ["HOME"])
    (home / ".config" / "raftsup").rename(home / ".config" / "raftsup-staging")
    service, _ = told(environ | {"RAFTSUP_NAME": "staging"})
    assert service.unit == "raftsup-staging"
    assert service.state == home / ".local" / "state" / "raftsup-staging"
    assert service.secrets == home / ".config" / "raftsup-staging" / "raftsup.env"


def test_the_search_path_keeps_only_what_outlives_this_login(tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    link = runtime / "shell_1" / "bin"
    link.parent.mkdir(parents=True)
    # As node's version managers do it: a link for each shell.
    link.symlink_to("/usr/bin")
    passing = runtime / "real"
    passing.mkdir()
    path = f"{link}:relative:/no/such/folder::{passing}:/bin:/bin"
    kept, notes = search_path(path, {"XDG_RUNTIME_DIR": str(runtime)})
    assert kept == f"{Path('/usr/bin').resolve()}:/bin"
    assert len(notes) == 1 and str(passing) in notes[0]


def test_a_service_belongs_to_the_instance_whose_state_folder_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(detect, "system_units", lambda: tmp_path / "system")
    monkeypatch.setattr(detect, "manager_here", lambda: Manager.SYSTEMD)
    states = {}
    for scope, unit in ((Scope.USER, "raftsup"), (Scope.SYSTEM, "raftsup-staging")):
        place = detect.place(Manager.SYSTEMD, scope, unit, tmp_path)
        service = replace(SHIPPED, unit=unit, scope=scope, state=tmp_path / unit)
        place.path.parent.mkdir(parents=True)
        place.path.write_text(systemd.text(service))
        states[unit] = detect.of(service.state, tmp_path)
    assert {unit: s and (s.scope, s.ours) for unit, s in states.items()} == {
        "raftsup": (Scope.USER, True),
        "raftsup-staging": (Scope.SYSTEM, True),
    }
    assert detect.of(tmp_path / "another", tmp_path) is None


def test_what_is_asked_of_each_manager() -> None:
    unit = Place(Manager.SYSTEMD, Scope.SYSTEM, "raftsup", Path("/u"))
    plist = Place(Manager.LAUNCHD, Scope.USER, "raftsup", Path("/p"))
    assert control.commands(unit, Verb.ENABLE, 1) == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "raftsup.service"],
    ]
    assert control.commands(replace(unit, scope=Scope.USER), Verb.STOP, 1) == [
        ["systemctl", "--user", "stop", "--no-block", "raftsup.service"]
    ]
    assert control.commands(plist, Verb.START, 501) == [["launchctl", "bootstrap", "gui/501", "/p"]]
    assert control.commands(plist, Verb.STOP, 501) == [["launchctl", "bootout", "gui/501/raftsup"]]
