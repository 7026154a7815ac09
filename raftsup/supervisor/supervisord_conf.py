"""The ``supervisord.conf`` of a state folder: what supervisord and supervisorctl agree on."""

from __future__ import annotations

import configparser
import os
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path

from raftsup import files
from raftsup.paths import StateDir

_TEMPLATE = """\
; Written by raftsup at each start: changes here are lost. The programs come from the raftsup
; config. For use with supervisorctl:  supervisorctl -c {conf} status
[supervisord]
identifier = raftsup
logfile = {logs}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 2
pidfile = {root}/supervisord.pid
childlogdir = {logs}
nocleanup = true
nodaemon = true
minfds = {files}
umask = 077
{user}
[unix_http_server]
file = {socket}
chmod = 0600
username = raftsup
password = {password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = raftsup.supervisor.rpc:make_interface

[supervisorctl]
serverurl = unix://{socket}
username = raftsup
password = {password}
"""


@dataclass(frozen=True)
class Access:
    """How to reach a running parent."""

    url: str
    username: str
    password: str


def write(state: StateDir, accounts: int) -> Path:
    """Write the file (0600) with a new password; its path."""
    root = os.getuid() == 0
    text = _TEMPLATE.format(
        conf=state.supervisord_conf,
        root=_escaped(state.root),
        logs=_escaped(state.logs),
        socket=_escaped(state.supervisor_socket),
        # Pipes, log and socket of each account, with room for a reload that adds some.
        files=max(1024, 16 * accounts),
        password=secrets.token_hex(16),
        # Else supervisor warns at each start that it was not told to stay root.
        user=f"user = {pwd.getpwuid(0).pw_name}" if root else "",
    )
    files.replace(state.supervisord_conf, os.fsencode(text))
    return state.supervisord_conf


def access(state: StateDir) -> Access | None:
    """How to reach the parent of ``state``; None if none has been started there, or the file was
    spoilt since: the next start writes it anew.
    """
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    try:
        if not parser.read(state.supervisord_conf):
            return None
        section = parser["supervisorctl"]
        url = section["serverurl"].replace("%%", "%")
        return Access(url, section["username"], section["password"])
    except (configparser.Error, KeyError, UnicodeDecodeError):
        return None


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")
