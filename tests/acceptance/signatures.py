"""The failure signatures of the pages whose promises raftsup keeps: as the page has each, what
raftsup says, and the test that provokes it (``test_signatures.py`` looks whether there is one).

Of OpenClaw's Gateway runbook: "common failure signatures", "safety guarantees", and what it says in
passing of several instances, services and reloads. Of its Raft channel page: "troubleshooting", and
what "how it works" refuses.
"""

from __future__ import annotations

from typing import NamedTuple


class Signature(NamedTuple):
    page: str
    #: As the page has it.
    told: str
    #: What raftsup says; "…" stands for what differs. The test looks for these very words.
    says: str
    #: Below ``tests``; in brackets the case of a parametrized one.
    test: str


_HERE = "acceptance.test_signatures:test_what_the_pages_know_and_raftsup_does_not_is_refused"
_STATUS = "acceptance.test_signatures_host:test_status_says_what_an_account_lacks_and_what_to_do"
_DOCTOR = "acceptance.test_signatures_host:test_the_doctor_finds_it_with_what_fixes_it"
_WAKE = (
    "acceptance.test_signatures_host"
    ":test_what_is_no_wake_is_refused_in_words_that_the_logs_have_as_well"
)
_WORKER = "integration.test_worker:"
_DOCTORS = "integration.test_doctor:"

SIGNATURES = [
    # The runbook: common failure signatures.
    Signature("runbook", "refusing to bind gateway ... without auth", "no bind, port or mode",
              f"{_HERE}[gateway.bind]"),
    Signature("runbook", "refusing to bind gateway ... without auth", "listens on 127.0.0.1",
              f"{_HERE}[--bind]"),
    Signature("runbook", "refusing to bind gateway ... without auth", "(nothing: it is loopback)",
              "acceptance.test_signatures_host"
              ":test_wherever_the_environment_points_everything_listens_on_loopback"),
    Signature("runbook", "refusing to bind gateway ... without auth",
              "would send the key in the clear", f"{_HERE}[a Gateway elsewhere]"),
    Signature("runbook", "another gateway instance is already listening", "pid {first.pid}…--force",
              "integration.test_parent:test_a_second_host_on_the_folder_is_refused_and_told_who_runs"),
    Signature("runbook", "EADDRINUSE", "no port to choose", f"{_HERE}[--port]"),
    Signature("runbook", "EADDRINUSE", "(nothing: it starts)",
              "integration.test_parent:test_an_open_state_folder_is_closed_and_a_dead_hosts"
              "_leftovers_are_no_obstacle"),
    Signature("runbook", "Gateway start blocked: set gateway.mode=local",
              "no bind, port or mode", f"{_HERE}[gateway.mode]"),
    Signature("runbook", "Gateway start blocked (a config that is not there)",
              "there is no config file", f"{_HERE}[no file]"),
    Signature("runbook", "Gateway start blocked (a config that is damaged)",
              "close what is still open", f"{_HERE}[cut off]"),
    Signature("runbook", "unauthorized during connect", "AUTH_TOKEN_MISMATCH…gateway.auth.token",
              f"{_STATUS}[token]"),
    Signature("runbook", "unauthorized during connect", "AUTH_TOKEN_MISMATCH…gateway.auth.token",
              "acceptance.test_openclaw:test_a_wrong_token_is_told_and_what_was_owed_meanwhile"
              "_runs_once_it_is_fixed"),
    Signature("runbook", "unauthorized during connect (a secret that is not set)",
              "NO_SUCH_TOKEN is not set", f"{_HERE}[no secret]"),
    Signature("runbook", "unauthorized during connect (a secret's file)",
              "cannot read", f"{_HERE}[no key file]"),
    Signature("runbook", "unauthorized during connect (the control socket)",
              "may not speak to this dispatcher",
              "integration.test_dispatcher_socket:test_another_user_is_refused_and_told_so"),
    # The runbook: safety guarantees.
    Signature("runbook", "clients fail fast when the Gateway is away", "it cannot be reached",
              f"{_STATUS}[away]"),
    Signature("runbook", "clients fail fast when the Gateway is away", "cannot be reached",
              "acceptance.test_openclaw:test_a_gateway_that_is_down_is_told_and_what_was_owed"
              "_meanwhile_runs_when_it_comes"),
    Signature("runbook", "clients fail fast when the Gateway is away", "raftsup up",
              "integration.test_commands:test_commands_that_need_a_host_say_that_none_runs"),
    Signature("runbook", "an invalid first frame is refused and closed", "error",
              "integration.test_dispatcher_socket:test_a_request_that_makes_no_sense_is_answered"
              "_and_the_next_one_is_heard"),
    Signature("runbook", "an invalid first frame is refused and closed", "400",
              "integration.test_intake:test_garbage_is_400"),
    Signature("runbook", "shutdown is told before the socket closes", "503",
              f"{_WORKER}test_at_sigterm_it_refuses_wakes_ends_the_bridge_and_only_then_closes"),
    Signature("runbook", "events are not replayed: refresh after a gap", "hung_up_on",
              "integration.test_dispatcher_socket:test_a_subscriber_that_never_reads_is_dropped"
              "_and_delays_nobody"),
    # The runbook, in passing.
    Signature("runbook", "the CLI falls back to a summary of the config",
              "no host runs here: this is what the config says",
              "integration.test_status_probe:test_without_a_host_the_config_is_shown_and_what_can"
              "_be_tried_is"),
    Signature("runbook", "Other gateway-like services detected (best effort)",
              "orphaned bridge…raftsup stop --state-dir",
              "integration.test_status_watch:test_deep_finds_other_hosts_folders_services_and"
              "_orphaned_bridges"),
    Signature("runbook", "multiple reachable gateways", "below another raftsup…stop the other host",
              f"{_DOCTOR}[shared]"),
    Signature("runbook", "a service that drifted from its config",
              "raftsup install --force && raftsup restart",
              f"{_DOCTORS}test_a_service_that_differs_from_the_config_is_told_and_installed_anew"),
    Signature("runbook", "no second service for the same instance", "raftsup uninstall",
              "integration.test_service:test_one_state_folder_gets_no_second_service_under"
              "_another_name"),
    Signature("runbook", "the service manager refuses", "systemctl --user start…raftsup up -d",
              "integration.test_service:test_a_manager_that_cannot_be_reached_is_told_of_with_what"
              "_to_type"),
    Signature("runbook", "a change that is not applied live", "`raftsup reload` applies it",
              "integration.test_reload:test_each_mode_does_by_itself_what_it_may_and_tells_the_rest"),
    Signature("runbook", "a config that is broken while it runs",
              "refused: the running config is kept",
              "integration.test_reload:test_a_broken_file_is_refused_until_it_is_fixed_and_read"
              "_by_nobody"),
    Signature("runbook", "a service that ends with its user's login", "loginctl enable-linger",
              "acceptance.test_signatures:test_a_service_that_would_end_with_its_users_login_is_told"),
    Signature("runbook", "it is not healthy", "not running: no host…accounts ready; sales is",
              "integration.test_care:test_health_is_one_line_and_a_code_before_while_and_after_a"
              "_host_runs"),
    Signature("runbook", "a channel that is not ready, by a live probe",
              "did not answer within 1 s…no program no-such-agent",
              "integration.test_status_probe:test_each_step_that_fails_is_named_beside_its_account"
              "_and_the_others_pass"),
    # The channel page: the Raft CLI is missing.
    Signature("channel", "the Raft CLI is missing",
              "no Raft CLI 'raft-of-test' on this shell's PATH…npm i -g @botiverse/raft",
              f"{_DOCTORS}test_a_cli_that_is_not_on_the_hosts_path_is_told_and_is_found_once_it_is"
              "_installed"),
    Signature("channel", "the Raft CLI is missing", "npm i -g @botiverse/raft",
              "integration.test_commands:test_a_missing_cli_degrades_just_its_account_and_says"
              "_what_to_do"),
    # The channel page: the bridge exits at once.
    Signature("channel", "the bridge exits: not signed in", "PROFILE_FILE_UNREADABLE…agent login",
              f"{_DOCTORS}test_a_profile_that_is_not_signed_in_and_one_of_another_agent_are_told"
              "_and_fixed"),
    Signature("channel", "the bridge exits: signed in as another agent",
              "BRIDGE_IDENTITY_MISMATCH",
              f"{_DOCTORS}test_a_profile_that_is_not_signed_in_and_one_of_another_agent_are_told"
              "_and_fixed"),
    Signature("channel", "the bridge exits: no agent is expected",
              "BRIDGE_EXPECTED_AGENT_REQUIRED…set this account's agentId", f"{_STATUS}[noid]"),
    Signature("channel", "the bridge exits: the credential is revoked",
              "BRIDGE_WAKE_STREAM_FAILED…sign in again", f"{_STATUS}[revoked]"),
    Signature("channel", "the bridge exits: it runs already", "another bridge of profile",
              f"{_STATUS}[shared]"),
    Signature("channel", "the bridge exits: it runs already", "pid {other.pid}",
              f"{_DOCTORS}test_a_second_bridge_of_a_profile_is_told_with_its_pid"),
    Signature("channel", "the bridge exits: a stale lock",
              "is another program by now…raftsup doctor --fix",
              f"{_DOCTORS}test_a_stale_lock_is_told_and_removed_and_one_of_a_living_bridge_is_kept"),
    Signature("channel", "the bridge exits: by a fault of its own",
              "bridge exited with 1 (INTERNAL_BUG)…Unexpected error", f"{_STATUS}[dies]"),
    Signature("channel", "the bridge exits: managed variables", "(nothing: no child has them)",
              "acceptance.test_signatures_host:test_managed_variables_of_the_shell_keep_no_bridge"
              "_from_running"),
    Signature("channel", "run the bridge by hand to see its diagnostics",
              "action=bridge.said",
              "acceptance.test_signatures_host:test_the_clis_own_words_are_in_the_logs"),
    Signature("channel", "Raft is away", "the bridge lost Raft…tries again by itself",
              f"{_STATUS}[deaf]"),
    # The channel page: a wake arrives, and no reply is sent.
    Signature("channel", "a wake arrives, no reply is sent", "(the turn's transcript)",
              "acceptance.test_signatures_host:test_a_turn_that_sent_no_reply_is_done_and_what_its"
              "_agent_said_is_in_its_transcript"),
    Signature("channel", "a wake arrives, no reply is sent", "only Raft knows", f"{_DOCTOR}[mute]"),
    Signature("channel", "the agent cannot run the Raft CLI", "cannot find…take PATH out",
              f"{_DOCTORS}test_of_an_agent_that_never_calls_the_cli_is_told_what_can_be_seen_and"
              "_what_not"),
    # The channel page: configuration, and what the endpoint takes.
    Signature("channel", "no profile, and no RAFT_PROFILE", "no Raft CLI profile…RAFT_PROFILE",
              f"{_STATUS}[default]"),
    Signature("channel", "two accounts on one profile", "the same Raft CLI profile as",
              f"{_HERE}[one profile twice]"),
    Signature("channel", "two accounts that are one external agent", "accounts a, b",
              "unit.test_doctor:test_two_accounts_that_are_one_agent_are_told"),
    Signature("channel", "the channel has no account", "there is no account",
              f"{_HERE}[no account]"),
    Signature("channel", "only authenticated wakes",
              "only the bridge that this worker started has it", f"{_WAKE}[no token]"),
    Signature("channel", "only from the local bridge", "the Host header must be this",
              f"{_WAKE}[another host]"),
    Signature("channel", "only content-free wakes", "a wake must be content-free",
              f"{_WAKE}[content]"),
    Signature("channel", "one of eventId, attemptId, ... is required",
              "no identity: one of eventId", f"{_WAKE}[no identity]"),
    Signature("channel", "retried wakes are duplicates, across restarts too",
              "action=wake.duplicate",
              "acceptance.test_signatures_host:test_a_wake_that_comes_again_after_a_restart_is_told"
              "_as_a_duplicate"),
]  # fmt: skip
