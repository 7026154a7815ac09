"""supervisord's settings: from its own file, and its programs from the raftsup config."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from raftsup.config.errors import ConfigError, Problem
from raftsup.config.model import Config
from raftsup.paths import StateDir
from raftsup.supervisor import active_accounts, config_diff, programs
from raftsup.supervisor._compat import BaseOptions

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Options(BaseOptions):
    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        state: StateDir,
        environ: Mapping[str, str],
        umask: int,
    ) -> None:
        super().__init__()
        #: ``raftsup``: the config in force.
        self.raftsup, self._load, self.state = config, load, state
        self.environ = environ
        self.stop_requests = 0
        self._terminal = os.isatty(0)
        self._umask, self._fresh = umask, True

    def process_groups_from_parser(self, parser: Any) -> list[Any]:
        if not self._fresh:  # at the first reading the config was read a moment ago
            try:
                wanted = self.load()
            except ConfigError as error:
                raise ValueError(str(error)) from error
            self.noted(wanted)
            self.raftsup = config_diff.merged(self.raftsup, wanted, config_diff.BY_HAND)
        self._fresh = False
        active_accounts.write(self.state, self.raftsup, self.environ)
        return self.groups_of(self.raftsup)

    def load(self) -> Config:
        """The config as it is written now. Raises ``ConfigError``."""
        wanted, before = self._load(), self.raftsup.path
        if wanted.path is None and before is not None:
            # RAFT_PROFILE alone would do for a start. Here it would end every account but one.
            hint = "put it back; or say `raftsup restart`, if RAFT_PROFILE is to be all"
            raise ConfigError([Problem(str(before), "the config file is gone", hint)])
        return wanted

    def noted(self, file: Config) -> None:
        """The file was read and is good. The parent puts whoever wants to know in its place."""

    def use(self, config: Config) -> None:
        """Have ``config`` in force; whoever runs goes on as it is."""
        self.raftsup = config
        self.process_group_configs = self.groups_of(config)
        try:
            active_accounts.write(self.state, config, self.environ)
        except OSError as error:  # a full disk: ``status`` then shows what was before
            self.logger.error(f"the roster cannot be written: {error}")

    def groups_of(self, config: Config) -> list[Any]:
        """The programs of a host with this config."""
        return programs.groups(
            self, config, self.state, lambda: self.raftsup, self.environ, self._umask
        )

    def get_signal(self) -> int | None:
        number: int | None = super().get_signal()
        if number == signal.SIGHUP and self._terminal:
            # The terminal of a host in the foreground was closed: that is its end, not a restart.
            number = signal.SIGTERM
        self.stop_requests += number in _STOP_SIGNALS
        return number

    def stopped_at_last(self) -> bool:
        """Whether a stop came after the main loop had ended, which nobody has heard.

        From here on one ends this process, which runs nothing any more; and a SIGHUP is no end:
        its restart is under way. The next image inherits that, until it hears signals itself.
        """
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL if self._terminal else signal.SIG_IGN)
        return any(number in _STOP_SIGNALS for number in iter(self.get_signal, None))
