"""The user-data of every machine, on every provider."""

from __future__ import annotations

from provision.core.names import LOGIN_USER as USER
from provision.core.templates import render
from provision.planning.term import GRACE_S, LEAD_S
from provision.ssh.keys import BootstrapKey


def user_data(*, login_key: str, bootstrap: BootstrapKey, deadline: float = 0, shared: bool = False) -> str:
    """Return a node's cloud-config; it holds no secret but the single-use bootstrap key.

    Args:
        login_key: the public key that may log in.
        bootstrap: the host key of the first connection.
        deadline: when the machine ends, in seconds since the epoch; 0 = never by itself.
        shared: the machine is its owner's. Its SSH stays as it is, and it never ends by itself.
    """
    if shared:
        return _node(login_key, None, 0, shared=True)
    return _node(login_key, bootstrap, int(deadline))


def store_user_data() -> str:
    """Return the cloud-config of an object store's machine; host key and logins come from its disk."""
    return _node("", None, 0)


def _node(login_key: str, bootstrap: BootstrapKey | None, deadline: int, *, shared: bool = False) -> str:
    return render(
        "user-data.yml.j2",
        user=USER,
        login_key=login_key,
        bootstrap=bootstrap,
        deadline=deadline,
        lead_s=LEAD_S,
        grace_s=GRACE_S,
        shared=shared,
    )
