"""What raftsup takes from inside supervisor and gunicorn is still there, and still looks the same.

Each of these packages may change its internals with any version. A failure here says what moved;
who leans on it is ``raftsup.supervisor._compat``, and ``raftsup.worker.http_server``.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import gunicorn.config
import gunicorn.http.wsgi
import pytest
import supervisor.loggers
import supervisor.options
import supervisor.poller
import supervisor.process
import supervisor.rpcinterface
import supervisor.supervisord
import supervisor.xmlrpc
from gunicorn.http import RequestParser, errors
from gunicorn.http.message import Request
from gunicorn.sock import create_sockets
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import PollableMethodQueue, TConn, ThreadWorker
from supervisor.options import ProcessConfig, ProcessGroupConfig, ServerOptions
from supervisor.process import ProcessGroup, Subprocess
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.states import RUNNING_STATES, STOPPED_STATES, ProcessStates, SupervisorStates
from supervisor.supervisord import Supervisor

import raftsup
from raftsup.supervisor import _compat
from raftsup.worker import http_server

#: What we override or call, with its parameters.
SIGNATURES: list[tuple[Any, str]] = [
    (Supervisor.__init__, "(self, options)"),
    (Supervisor.main, "(self)"),
    (Supervisor.tick, "(self, now=None)"),
    (Supervisor.ordered_stop_groups_phase_1, "(self)"),
    (Supervisor.ordered_stop_groups_phase_2, "(self)"),
    (ServerOptions.__init__, "(self)"),
    (ServerOptions.realize, "(self, *arg, **kw)"),
    (ServerOptions.process_groups_from_parser, "(self, parser)"),
    (ServerOptions.get_signal, "(self)"),
    (ServerOptions.close_httpservers, "(self)"),
    (ServerOptions.close_logger, "(self)"),
    (ServerOptions.setpgrp, "(self)"),
    (ProcessConfig.__init__, "(self, options, **params)"),
    (ProcessConfig.make_process, "(self, group=None)"),
    (ProcessGroupConfig.__init__, "(self, options, name, priority, process_configs)"),
    (ProcessGroup.stop_all, "(self)"),
    (ProcessGroup.get_unstopped_processes, "(self)"),
    (Subprocess.__init__, "(self, config)"),
    (Subprocess.get_execv_args, "(self)"),
    (Subprocess.spawn, "(self)"),
    (Subprocess._spawn_as_child, "(self, filename, argv)"),
    (Subprocess._prepare_child_fds, "(self)"),
    (Subprocess.finish, "(self, pid, sts)"),
    (Subprocess.change_state, "(self, new_state, expected=True)"),
    (Subprocess.stop, "(self)"),
    (Subprocess.write, "(self, chars)"),
    (Subprocess.get_state, "(self)"),
    (SupervisorNamespaceRPCInterface.__init__, "(self, supervisord)"),
    (SupervisorNamespaceRPCInterface._update, "(self, text)"),
    (SupervisorNamespaceRPCInterface.reloadConfig, "(self)"),
    (SupervisorNamespaceRPCInterface.addProcessGroup, "(self, name)"),
    (SupervisorNamespaceRPCInterface.removeProcessGroup, "(self, name)"),
    (SupervisorNamespaceRPCInterface.startProcess, "(self, name, wait=True)"),
    (SupervisorNamespaceRPCInterface.stopProcess, "(self, name, wait=True)"),
    (SupervisorNamespaceRPCInterface.startProcessGroup, "(self, name, wait=True)"),
    (SupervisorNamespaceRPCInterface.stopProcessGroup, "(self, name, wait=True)"),
    (SupervisorNamespaceRPCInterface.sendProcessStdin, "(self, name, chars)"),
    (SupervisorNamespaceRPCInterface._getGroupAndProcess, "(self, name)"),
    (supervisor.rpcinterface.make_allfunc, "(processes, predicate, func, **extra_kwargs)"),
    (supervisor.rpcinterface.isRunning, "(process)"),
    (supervisor.rpcinterface.isNotRunning, "(process)"),
    (supervisor.options.make_namespec, "(group_name, process_name)"),
    (supervisor.options.split_namespec, "(namespec)"),
    (supervisor.options.decode_wait_status, "(sts)"),
    (supervisor.poller.PollPoller.poll, "(self, timeout)"),
    (supervisor.poller.KQueuePoller.poll, "(self, timeout)"),
    (supervisor.loggers.Handler.handleError, "(self)"),
    (
        supervisor.xmlrpc.SupervisorTransport.__init__,
        "(self, username=None, password=None, serverurl=None)",
    ),
    (supervisor.xmlrpc.RPCError.__init__, "(self, code, extra=None)"),
    (Worker.__init__, "(self, age, ppid, sockets, app, timeout, cfg, log)"),
    (Worker.init_signals, "(self)"),
    (Worker.handle_error, "(self, req, client, addr, exc)"),
    (ThreadWorker.__init__, "(self, *args, **kwargs)"),
    (ThreadWorker.init_process, "(self)"),
    (ThreadWorker.accept, "(self, listener)"),
    (ThreadWorker.wait_for_and_dispatch_events, "(self, timeout)"),
    (ThreadWorker.murder_pending, "(self)"),
    (ThreadWorker.enqueue_req, "(self, conn)"),
    (ThreadWorker.handle_request, "(self, req, conn)"),
    (ThreadWorker.finish_request, "(self, conn, fs)"),
    (ThreadWorker.handle_exit, "(self, sig, frame)"),
    (PollableMethodQueue.defer, "(self, callback, *args)"),
    (TConn.__init__, "(self, cfg, sock, client, server)"),
    (TConn.close, "(self, graceful=False)"),
    (RequestParser.__init__, "(self, cfg, source, source_addr)"),
    (create_sockets, "(conf, log, fds=None)"),
]

#: Who must call what, or look at it: an override that nobody calls any more does nothing.
USES: list[tuple[Any, set[str]]] = [
    (
        Supervisor.runforever,
        {
            "ordered_stop_groups_phase_1", "ordered_stop_groups_phase_2", "tick", "poller", "poll",
            "mood", "test", "stopping", "stop_groups", "ExitNow", "transition",
        },
    ),
    (Supervisor.run, {"process_group_configs", "setsignals", "openhttpservers", "nodaemon"}),
    (Supervisor.main, {"first", "make_logger"}),
    (Supervisor.handle_signal, {"get_signal", "mood"}),
    (ServerOptions.read_config, {"process_groups_from_parser", "process_group_configs"}),
    (SupervisorNamespaceRPCInterface.reloadConfig, {"_update", "process_config"}),
    (ProcessGroupConfig.make_group, {"ProcessGroup"}),
    (Subprocess.spawn, {"get_execv_args", "make_dispatchers", "fork", "_spawn_as_child"}),
    (Subprocess.finish, {"killing", "laststart", "laststop", "pid", "pipes"}),
    (Subprocess.transition, {"delay", "laststart", "spawn", "kill"}),
    (Subprocess.kill, {"stopwaitsecs", "delay", "killasgroup"}),
    (supervisor.xmlrpc.SupervisorTransport.request, {"_get_connection", "connection"}),
    (Worker.init_process, {"init_signals", "load_wsgi", "post_worker_init", "run"}),
    (Worker.load_wsgi, {"app", "wsgi"}),
    (
        ThreadWorker.run,
        {
            "alive", "wait_for_and_dispatch_events", "murder_pending", "set_accept_enabled",
            "nr_conns", "is_parent_alive", "graceful_timeout",
        },
    ),
    (ThreadWorker.set_accept_enabled, {"sockets", "poller", "register", "accept", "setblocking"}),
    (ThreadWorker.enqueue_req, {"tpool", "handle"}),
    (ThreadWorker.handle, {"initialized", "parser", "handle_request", "handle_error"}),
    (ThreadWorker.handle_exit, {"alive", "method_queue"}),
    (ThreadWorker.__init__, {"nr_conns", "poller", "method_queue"}),
    (TConn.__init__, {"sock", "client", "parser", "initialized"}),
    (gunicorn.http.wsgi.create, {"_expected_100_continue"}),
]  # fmt: skip


def named(code: Any) -> set[str]:
    """The names in a function's code and in that of the functions within it."""
    within = [const for const in code.co_consts if inspect.iscode(const)]
    names = {*code.co_names, *code.co_varnames, *code.co_freevars}
    return names.union(*map(named, within))


@pytest.mark.parametrize(
    ("function", "signature"), SIGNATURES, ids=lambda value: getattr(value, "__qualname__", "")
)
def test_what_we_override_and_call_takes_what_it_took(function: Any, signature: str) -> None:
    found = str(inspect.signature(function))
    where = f"{function.__module__}.{function.__qualname__}"
    assert found == signature, f"{where}{signature} is now {where}{found}"


@pytest.mark.parametrize(
    ("function", "names"), USES, ids=lambda value: getattr(value, "__qualname__", "")
)
def test_what_we_override_and_set_is_still_looked_at(function: Any, names: set[str]) -> None:
    gone = sorted(names - named(function.__code__))
    where = f"{function.__module__}.{function.__qualname__}"
    assert not gone, f"{where} no longer uses {', '.join(gone)}"


@pytest.mark.parametrize(
    ("ours", "made"),
    [
        (_compat.BaseProcess, lambda: Subprocess(None)),
        (_compat.BaseOptions, ServerOptions),
        (_compat.BaseParent, lambda: Supervisor(None)),
        (_compat.BaseInterface, lambda: SupervisorNamespaceRPCInterface(None)),
        (_compat.Group, lambda: ProcessGroup(ProcessGroupConfig(None, "g", 1, []))),
        (_compat.GroupConfig, lambda: ProcessGroupConfig(None, "g", 1, [])),
    ],
)
def test_every_attribute_that_we_declare_exists(ours: type, made: Any) -> None:
    it = made()
    # The log exists once it is opened.
    gone = [name for name in ours.__annotations__ if not hasattr(it, name) and name != "logger"]
    assert not gone, f"{type(it).__module__}.{type(it).__name__} has no {', '.join(gone)}"


def test_a_process_begins_as_it_did() -> None:
    new = Subprocess(None)
    begins = {
        "state": ProcessStates.STOPPED, "pid": 0, "laststart": 0, "laststop": 0, "delay": 0,
        "backoff": 0, "killing": False, "spawnerr": None,
    }  # fmt: skip
    found = {name: getattr(new, name) for name in begins}
    assert found == begins, "supervisor.process.Subprocess begins otherwise"


def test_a_program_takes_the_settings_that_we_give_it() -> None:
    streams = {
        f"{stream}_{key}"
        for stream in ("stdout", "stderr")
        for key in (
            "logfile", "capture_maxbytes", "events_enabled", "syslog", "logfile_backups",
            "logfile_maxbytes",
        )
    }  # fmt: skip
    given = {
        *streams, "name", "uid", "command", "directory", "umask", "priority", "autostart",
        "autorestart", "startsecs", "startretries", "stopsignal", "stopwaitsecs", "stopasgroup",
        "killasgroup", "exitcodes", "redirect_stderr",
    }  # fmt: skip
    assert set(ProcessConfig.req_param_names) == given, "see raftsup.supervisor.programs"
    assert set(ProcessConfig.optional_param_names) == {"environment", "serverurl"}


def test_the_states_are_ordered_and_grouped_as_we_compare_them() -> None:
    states = SupervisorStates
    assert states.SHUTDOWN < states.RESTARTING < states.RUNNING < states.FATAL
    assert set(RUNNING_STATES) == {
        ProcessStates.RUNNING, ProcessStates.BACKOFF, ProcessStates.STARTING,
    }  # fmt: skip
    assert set(STOPPED_STATES) == {
        ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.FATAL, ProcessStates.UNKNOWN,
    }  # fmt: skip


def test_every_setting_of_gunicorn_that_we_set_exists() -> None:
    known = {setting.name for setting in gunicorn.config.KNOWN_SETTINGS}
    gone = {*http_server.SETTINGS, "graceful_timeout", "post_worker_init"} - known
    assert not gone, f"gunicorn has no setting {', '.join(sorted(gone))}"


@pytest.mark.parametrize(
    ("setting", "default"),
    [
        # Each would change who ends this process, what it serves, or what it tells whom.
        ("max_requests", 0), ("reload", False), ("http_protocols", ["h1"]), ("protocol", "http"),
        ("proxy_protocol", "off"), ("worker_tmp_dir", None), ("worker_connections", 1000),
        ("env", {}),
    ],
)  # fmt: skip
def test_gunicorns_defaults_that_we_lean_on_are_what_they_were(setting: str, default: Any) -> None:
    found = getattr(gunicorn.config.Config(), setting)
    assert found == default, f"gunicorn's default of {setting} is now {found!r}, not {default!r}"


def test_gunicorns_parser_refuses_with_the_classes_that_we_answer() -> None:
    special = (
        errors.LimitRequestLine, errors.LimitRequestHeaders, errors.ExpectationFailed,
        errors.UnsupportedTransferCoding,
    )  # fmt: skip
    assert all(issubclass(kind, errors.ParseException) for kind in special)
    assert Request._expected_100_continue is False


@pytest.mark.parametrize(
    ("package", "modules"),
    [
        ("gunicorn", {"worker/http_server.py"}),
        # supervisorctl itself, which is no internal.
        ("supervisor", {"supervisor/_compat.py", "cli/ctl.py"}),
    ],
)
def test_one_module_stands_before_each_foreign_package(package: str, modules: set[str]) -> None:
    root = Path(raftsup.__file__).parent
    users = {
        str(source.relative_to(root))
        for source in root.rglob("*.py")
        if re.search(rf"^\s*(from|import) {package}\b", source.read_text(), re.MULTILINE)
    }
    assert users == modules
