"""SSH to many machines at once, every host key pinned before the first byte is believed.

A new machine is first reached with the bootstrap host key of its create call. Over that connection its own
key is read and pinned, then the bootstrap key is removed from the machine; then only its own key counts.
"""

from __future__ import annotations

import logging
import re
import shlex
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import paramiko

from provision.core.errors import CommandFailed, HostKeyMismatch, MusterError, Unreachable
from provision.core.names import JOB_USER
from provision.core.names import LOGIN_USER as USER
from provision.core.wait import until
from provision.ssh.run import failure, jump_command
from provision.state.folder import State, Target

logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False

_OWN_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
_FORGET_BOOTSTRAP = (
    "sudo rm -f /etc/ssh/ssh_host_ecdsa_key /etc/ssh/ssh_host_ecdsa_key.pub "
    "/etc/ssh/sshd_config.d/11-muster-bootstrap.conf && sudo systemctl reload ssh.service"
)
_NAME = (
    "sudo sh -c 'echo {name} > /etc/hostname && hostname {name} && "
    '{{ grep -qw {name} /etc/hosts || echo "127.0.1.1 {name}" >> /etc/hosts; }}\''
)
"""Where all machines of a call get the same user-data, only their names' order tells them apart."""
_ED25519 = re.compile(r"(ssh-ed25519) ([A-Za-z0-9+/]{68})")
_PORT = 22
_TCP_S = 1.0
_HANDSHAKE_S = 15.0
_CONNECT_S = 15.0
_THREADS = 64


@dataclass(frozen=True)
class Result:
    """A command's result on one machine."""

    name: str
    status: int
    stdout: str
    stderr: str


def connect(
    target: Target,
    key_file: Path,
    *,
    user: str = USER,
    deadline_s: float,
    first_boot: bool = False,
    stop: Callable[[], None] = lambda: None,
) -> paramiko.Transport:
    """Return an authenticated connection, waiting until the machine answers.

    Args:
        target: the machine and the host key that it must show.
        key_file: the private key to log in with.
        user: who to log in as.
        deadline_s: seconds to wait.
        first_boot: another host key is waited out: cloud-init may not have put its own there yet.
        stop: called before every attempt; may raise to end the waiting.

    Raises:
        HostKeyMismatch: it showed another host key.
        Unreachable: it did not answer, or did not let us in, before the deadline.
    """
    key = paramiko.Ed25519Key.from_private_key_file(str(key_file))
    reason = "no answer"
    other_key = False

    def attempt() -> paramiko.Transport | None:
        nonlocal reason, other_key
        stop()
        try:
            return _open(target, key, user)
        except HostKeyMismatch:
            if not first_boot:
                raise
            other_key = True
            return None
        except (OSError, EOFError, paramiko.SSHException) as error:
            reason, other_key = _words(error), False
            return None

    transport = until(attempt, deadline_s=deadline_s, interval_s=0.05, growth=1.02, longest_s=2)
    if transport is None and other_key:
        raise HostKeyMismatch(
            machine=target.name,
            what=f"{target.address} shows another host key than its first boot's; nothing was sent to it",
            remedy="Its image probably runs no cloud-init: see its console. Else who is in between?",
        )
    if transport is None:
        raise Unreachable(
            machines=[target.name],
            what=f"not reachable by SSH at {target.address} after {deadline_s:g} s ({reason})",
            remedy="Run the same command again; if it stays so, look at the machine's console",
        )
    return transport


def execute(transport: paramiko.Transport, command: str, *, timeout_s: float) -> tuple[int, str, str]:
    """Run a shell command; return its exit status, standard output and standard error.

    Raises:
        TimeoutError: it wrote nothing and did not end for `timeout_s` seconds.
        OSError, EOFError, SSHException: the connection broke.
    """
    with closing(transport.open_session(timeout=_HANDSHAKE_S)) as channel, ThreadPoolExecutor(1) as other:
        channel.settimeout(timeout_s)
        channel.exec_command(command)
        errors = other.submit(lambda: channel.makefile_stderr("rb").read())
        output = channel.makefile("rb").read()
        return (
            channel.recv_exit_status(),
            output.decode("utf-8", "replace"),
            errors.result().decode("utf-8", "replace"),
        )


def pin_own_key(
    target: Target,
    key_file: Path,
    *,
    deadline_s: float,
    pinned: Callable[[str], None],
    stop: Callable[[], None] = lambda: None,
) -> str:
    """Reach a new machine with its bootstrap key, name it, pin its own key, remove the bootstrap key.

    `pinned` is called with the own key, `ssh-ed25519 BASE64`, and must have recorded it when it returns; only
    then is the bootstrap key removed. Returns the own key.

    Raises:
        HostKeyMismatch, Unreachable, CommandFailed.
    """
    end = time.monotonic() + deadline_s
    transport = connect(target, key_file, deadline_s=deadline_s, first_boot=True, stop=stop)
    try:
        take_name = _NAME.format(name=shlex.quote(target.name))
        status, output, errors = _execute(transport, target.name, f"cat {_OWN_KEY} && {take_name}")
        match = _ED25519.match(output)
        if status or not match:
            raise CommandFailed(
                where=target.name,
                what=f"its own host key cannot be read, or its name not be set: {errors.strip()[-200:]}",
                remedy="Look at cloud-init's log on the machine's console",
                status=status,
            )
        own = f"{match[1]} {match[2]}"
        pinned(own)
        forget_bootstrap(transport, target.name)
    finally:
        transport.close()
    check(replace(target, host_key=own), key_file, deadline_s=max(5.0, end - time.monotonic()), stop=stop)
    return own


def forget_bootstrap(transport: paramiko.Transport, name: str) -> None:
    """Remove the bootstrap host key from a machine; again is harmless. Raises CommandFailed."""
    status, _, errors = _execute(transport, name, _FORGET_BOOTSTRAP)
    if status:
        raise CommandFailed(
            where=name,
            what=f"the bootstrap host key cannot be removed: {errors.strip()[-200:]}",
            remedy="Run the same command again",
            status=status,
        )


def check(
    target: Target,
    key_file: Path,
    *,
    deadline_s: float,
    unfinished: bool = False,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Reach a machine with its own pinned key; `unfinished`: its bootstrap key may still be there, remove it.

    Raises:
        HostKeyMismatch, Unreachable, CommandFailed.
    """
    transport = connect(target, key_file, deadline_s=deadline_s, stop=stop)
    try:
        if unfinished:
            forget_bootstrap(transport, target.name)
    finally:
        transport.close()


def run_on_all(
    state_dir: Path,
    names: Sequence[str],
    command: str,
    *,
    user: str = JOB_USER,
    timeout_s: float = 600,
    report: Callable[[Result], None] = lambda _: None,
) -> dict[str, Result]:
    """Run a shell command on many machines at once; results come in the order of `names`.

    A machine that cannot be reached has status 255 and the reason as its standard error, as with ssh.
    `report` is called with each result as it comes, from the thread that has it.
    """
    state = State(state_dir)
    targets = state.targets()

    def one(name: str) -> Result:
        try:
            done = _run(targets[name], state.key_file, command, user=user, timeout_s=timeout_s)
            result = Result(name, *done)
        except KeyError:
            result = Result(name, 255, "", "its host key is not known; run start_cluster.yml\n")
        except TimeoutError:
            result = Result(name, 255, "", f"no end after {timeout_s:g} s\n")
        except (MusterError, OSError, EOFError, paramiko.SSHException) as error:
            result = Result(name, 255, "", f"{_words(error)}\n")
        report(result)
        return result

    with ThreadPoolExecutor(max_workers=max(1, min(_THREADS, len(names)))) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def answer(target: Target, key_file: Path, command: str, *, timeout_s: float) -> str:
    """Run a shell command on a machine; return what it prints.

    Raises:
        HostKeyMismatch, Unreachable: there was no connection.
        CommandFailed: it failed, or took too long.
    """
    try:
        status, output, errors = _run(target, key_file, command, user=USER, timeout_s=timeout_s)
    except TimeoutError:
        raise CommandFailed(where=target.name, what=f"no answer within {timeout_s:g} s") from None
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(machines=[target.name], what=_words(error)) from error
    if status:
        raise failure(target.name, status, errors)
    return output


def _run(
    target: Target, key_file: Path, command: str, *, user: str, timeout_s: float
) -> tuple[int, str, str]:
    """Connect and run one command; see `connect` and `execute`."""
    with closing(connect(target, key_file, user=user, deadline_s=_CONNECT_S)) as transport:
        return execute(transport, command, timeout_s=timeout_s)


def _execute(transport: paramiko.Transport, name: str, command: str) -> tuple[int, str, str]:
    """Run a short command. Raises Unreachable when the connection breaks."""
    try:
        return execute(transport, command, timeout_s=_HANDSHAKE_S)
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(
            machines=[name],
            what=f"the SSH connection broke ({_words(error)})",
            remedy="Run the same command again",
        ) from error


def _open(target: Target, key: paramiko.Ed25519Key, user: str) -> paramiko.Transport:
    """Connect once. Raises OSError, EOFError, SSHException, HostKeyMismatch."""
    link = _link(target)
    try:
        transport = paramiko.Transport(link)
    except BaseException:
        link.close()
        raise
    try:
        kind, _, wanted = target.host_key.partition(" ")
        transport.get_security_options().key_types = (kind,)
        transport.banner_timeout = _HANDSHAKE_S
        transport.auth_timeout = _HANDSHAKE_S
        transport.start_client(timeout=_HANDSHAKE_S)
        shown = transport.get_remote_server_key()
        if shown.get_name() != kind or shown.get_base64() != wanted:
            raise HostKeyMismatch(
                machine=target.name,
                what=f"{target.address} shows a host key that is not the pinned one; nothing was sent to it",
                remedy="Find out whether somebody is in between or the machine was replaced before going on",
            )
        transport.auth_publickey(user, key)
    except BaseException:
        transport.close()
        raise
    return transport


def _link(target: Target) -> socket.socket | paramiko.ProxyCommand:
    """Return a connection to a machine's SSH server. Raises OSError, SSHException."""
    if not target.jump:
        return socket.create_connection((target.address, _PORT), timeout=_TCP_S)
    command = jump_command(target.jump).replace("%h", target.address).replace("%p", str(_PORT))
    return paramiko.ProxyCommand(command)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
