"""The user-data of every machine, on every provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from muster_node.packaging import BYTECODE, EXCLUDES, NO_FSYNC, NOT_COMPILED
from provision.core.names import JOB_USER
from provision.core.names import LOGIN_USER as USER
from provision.core.networks import merged
from provision.core.templates import render
from provision.planning.term import GRACE_S, LEAD_S
from provision.ssh import access, firewall

if TYPE_CHECKING:
    from provision.ssh.keys import BootstrapKey

TUNING = "/etc/ssh/sshd_config.d/12-muster-tuning.conf"
"""On machines that are not their owner's: what sshd would do without, as far as it knows it."""


def user_data(
    *,
    login_key: str,
    bootstrap: BootstrapKey,
    deadline: float = 0,
    shared: bool = False,
    ssh_from: Sequence[str] = (),
) -> str:
    """Return a node's cloud-config; it holds no secret but the single-use bootstrap key.

    Args:
        login_key: the public key that may log in.
        bootstrap: the host key of the first connection.
        deadline: when the machine ends, in seconds since the epoch; 0 = never by itself.
        shared: the machine is its owner's. Its SSH stays as it is but for our accounts, and it never ends by
            itself.
        ssh_from: networks from which its own firewall lets SSH in; () = from everywhere.
    """
    if shared:
        return _node(login_key, None, 0, ssh_from, shared=True)
    return _node(login_key, bootstrap, int(deadline), ssh_from)


def store_user_data() -> str:
    """Return the cloud-config of an object store's machine; host key and logins come from its disk."""
    return _node("", None, 0, ())


def _node(
    login_key: str,
    bootstrap: BootstrapKey | None,
    deadline: int,
    ssh_from: Sequence[str],
    *,
    shared: bool = False,
) -> str:
    return render(
        "user-data.yml.j2",
        user=USER,
        job_user=JOB_USER,
        login_key=login_key,
        bootstrap=bootstrap,
        deadline=deadline,
        lead_s=LEAD_S,
        grace_s=GRACE_S,
        shared=shared,
        allow=firewall.rule(ssh_from),
        ssh_from=merged(ssh_from),
        keys=access.KEYS,
        sshd_file=access.SSHD,
        tuning=TUNING,
        sshd_rules=access.sshd_rules(shared=shared),
        allow_file=firewall.PATH,
        dpkg=EXCLUDES + NO_FSYNC,
        bytecode=BYTECODE,
        not_compiled=NOT_COMPILED,
    )
