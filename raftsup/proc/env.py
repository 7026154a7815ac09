"""The clean environment that bridges and turns start from: what a CLI needs, and no secret.

An account's settings add to it by name. Everything else of the operator's environment (keys of
other agents, tokens, supervisor's own variables) stays out.
"""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TERM",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
        "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        # Where the Raft CLI has its profiles (RAFT_PROTOCOL, "Profiles and identity").
        "RAFT_HOME",
        "SLOCK_HOME",
        "RAFT_PROFILE_DIR",
        "SLOCK_PROFILE_DIR",
    ]
)
#: Locale settings, and the timers of the simulator's ``raft`` (the true one ignores them).
_PREFIXES = ("LC_", "RAFT_SIM_")
_PROXIES = tuple(name for name in _NAMES if name.lower().endswith("s_proxy")
                 or name.lower() in ("http_proxy", "all_proxy"))  # fmt: skip
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def clean_env(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of ``environ`` that children may see.

    What selects a profile (``RAFT_PROFILE``, ``SLOCK_PROFILE``) is left out with the rest: beside
    ``--profile`` it would be a conflict to the Raft CLI. So are a managed agent's variables
    (``SLOCK_*``), with which it refuses ``--profile``. Where there is a proxy, loopback is not
    asked for through it.
    """
    kept = {k: v for k, v in environ.items() if k in _NAMES or k.startswith(_PREFIXES)}
    if not any(kept.get(name) for name in _PROXIES):
        return kept
    # A bridge's wakes must not go to a proxy, whatever the operator's list says.
    # Some programs read the one, some the other: both say all.
    listed = ",".join(kept.get(name, "") for name in ("no_proxy", "NO_PROXY"))
    hosts = [host.strip() for host in listed.split(",") if host.strip()]
    whole = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))
    return {**kept, "NO_PROXY": whole, "no_proxy": whole}
