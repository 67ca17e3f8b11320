"""Who may log in on a cluster's machines: the people of `access`, and the checkouts that work on it.

The keys are in files of root's. In a home they would belong to whoever works there: a job could add its own.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from provision.core.errors import ConfigError
from provision.core.names import JOB_USER, LOGIN_USER, STORE_HOST
from provision.state.folder import State

USERS = (LOGIN_USER, JOB_USER)
"""Accounts that every key opens: the one that may become root, and the one that jobs belong to."""

KEYS = "/etc/muster/authorized_keys"
"""Folder on machines with a file of keys for each account. User-data makes it, the role base keeps it.

Where the queue of jobs may have runs, its own key is in `hadoop.queue` (role jobs).
"""
SSHD = "/etc/ssh/sshd_config.d/08-muster-keys.conf"
"""On every machine: what makes sshd look there and nowhere else. Before it only the store's own is read."""
_RULES = (
    f"AuthorizedKeysFile {KEYS}/%u {KEYS}/%u.queue",
    "AuthorizedKeysCommand none",
    "TrustedUserCAKeys none",
    "ExposeAuthInfo yes",  # the queue of jobs records whose key has sent a run
)
_END_SESSIONS = "/opt/muster/bin/muster-sessions"
_WITHIN_S = 60.0


def sshd_rules(*, shared: bool) -> str:
    """Return the content of SSHD; `shared`: the machine is its owner's, whose accounts stay as they are."""
    ours = f"Match User {','.join(USERS)}"
    lines = [ours, *(f"  {rule}" for rule in _RULES)] if shared else _RULES
    return "".join(f"{line}\n" for line in lines)


def bare(key: str) -> str:
    """Return a public key without its comment: `TYPE BASE64`."""
    return " ".join(key.split()[:2])


def own_key(state: State) -> str:
    """Return the public key that this checkout logs in with; '' before there is one."""
    path = state.key_file.with_suffix(".pub")
    return bare(path.read_text(encoding="utf-8")) if path.is_file() else ""


def control_comment(cluster: str) -> str:
    """Return the comment by which a checkout's own key is known on the machines."""
    return f"muster-{cluster}"


def login_keys(state: State, access: Mapping[str, str]) -> list[str]:
    """Return the lines of `authorized_keys` on every machine: checkouts first, then people."""
    people = {bare(key): name for name, key in access.items()}
    own = state.key_file.with_suffix(".pub")
    checkouts: dict[str, None] = {}  # a set in order
    for path in (own, state.control_keys):
        if path.is_file():
            checkouts |= dict.fromkeys(map(bare, path.read_text(encoding="utf-8").splitlines()))
    comment = control_comment(state.cluster)
    lines = [f"{key} {comment}" for key in checkouts if key and key not in people]
    return lines + [f"{key} access:{name}" for key, name in people.items()]


def script(lines: Iterable[str]) -> str:
    """Return what makes `lines` the keys of a machine, and ends the sessions that others have opened."""
    text = shlex.quote("".join(f"{line}\n" for line in lines))
    return "\n".join(
        [
            "set -e",
            f"[ -e {SSHD} ] || {{ echo 'an older version made it: run start_cluster.yml' >&2; exit 1; }}",
            f"for user in {' '.join(USERS)}; do",
            f"  printf %s {text} | sudo install -m 0644 /dev/stdin {KEYS}/.new",
            f'  sudo mv {KEYS}/.new "{KEYS}/$user"',
            "done",
            f"[ ! -x {_END_SESSIONS} ] || sudo {_END_SESSIONS}",
        ]
    )


def apply(state: State, access: Mapping[str, str]) -> dict[str, str]:
    """Write the keys on all machines, end what others have opened; return what went wrong, by machine."""
    from provision.ssh import connection  # paramiko takes its time, and the inventory needs only the lines

    text = script(login_keys(state, access))
    names = [name for name in state.targets() if name != STORE_HOST]
    results = connection.run_on_all(state.folder, names, text, user=LOGIN_USER, timeout_s=_WITHIN_S)
    return {
        name: result.stderr.strip().splitlines()[-1] if result.stderr.strip() else f"status {result.status}"
        for name, result in results.items()
        if result.status
    }


def fingerprint(key: str) -> str:
    """Return a public key's fingerprint as sshd logs it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def read_key(given: str) -> str:
    """Return a public key that was given as text or as the name of its file. Raises ConfigError."""
    path = Path(given).expanduser()
    if " " in given.strip() or not path.is_file():
        return given.strip()
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    if "PRIVATE KEY" in text:
        raise ConfigError(file=path, what="this is a private key", remedy=f"Give the public one, {path}.pub")
    return text
