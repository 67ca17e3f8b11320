"""What is written into a node's root before its first boot: seed, network, name, and what the host trusts."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from muster_node.packaging import NO_FSYNC

from . import validate
from .errors import HelperError
from .registry import POOL, Network, Node
from .system import run

CA_SOURCE = Path("/usr/local/share/ca-certificates")
CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
MOUNT_POINTS = ("data", "srv/node", "var/cache/muster/artifacts")
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
PROXY_KEYS = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
PORT = re.compile(r"(?<=[/@=,\s])(?:localhost|127\.\d+\.\d+\.\d+):(\d{1,5})(?=[/\s\";]|$)")
LOOPBACK = re.compile(r"(?<=[/@=,\s])(?:localhost|127\.\d+\.\d+\.\d+)(?=[:/\s]|$)")


@dataclass(frozen=True)
class Seed:
    """What a machine is told at its first boot: user-data, and (path, content, mode) of further files."""

    user_data: str
    files: tuple[tuple[str, str, int], ...] = ()
    builder: bool = False


BUILDER = {
    "etc/dpkg/dpkg.cfg.d/90-muster-builder": NO_FSYNC,
    "etc/apt/apt.conf.d/90-muster-builder": 'Acquire::Retries "3";\nDPkg::Lock::Timeout "60";\n',
}


@contextlib.contextmanager
def _folder(root: Path, name: str) -> Iterator[int]:
    """A folder of the node, made when missing, as a descriptor.

    Step by step, never through a symbolic link: the node could lead us out with one, also while we look.

    Raises:
        HelperError: something on the way is no folder.
    """
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in Path(name).parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=here)
            try:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            except OSError:
                raise HelperError(
                    f"{part} of {name} in {root} is no folder; the image is not usable", kind="refused"
                ) from None
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def put(root: Path, name: str, content: str | bytes, mode: int = 0o644) -> None:
    """Replace a file of a node, atomically; see `_folder` for links.

    Raises:
        HelperError: something on the way is no folder.
    """
    parent, _, last = name.rpartition("/")
    with _folder(root, parent) as folder:
        fresh = f".{last}.{os.getpid()}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(fresh, flags, mode, dir_fd=folder), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content.encode() if isinstance(content, str) else content)
        os.rename(fresh, last, src_dir_fd=folder, dst_dir_fd=folder)


def read(root: Path, name: str, limit: int = 16 * 1024**2) -> bytes:
    """Read a regular file of a node.

    Args:
        root: the node's.
        name: of the file, below it; see `_folder` for links.
        limit: the most bytes that it may have.

    Raises:
        HelperError: it is something else, or too large.
    """
    parent, _, last = name.rpartition("/")
    with _folder(root, parent) as folder:
        try:
            descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError as error:
            raise HelperError(f"{name} in {root} cannot be read: {error.strerror}", kind="refused") from None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
                raise HelperError(
                    f"{name} in {root} is no usual file; the image is not usable", kind="refused"
                )
            return file.read()


def prepare(node: Node, network: Network, root: Path, seed: Seed, inherit: dict[str, Any]) -> None:
    """Fill a freshly mounted root; call it as the node's root (`idmap.as_root_of`).

    Args:
        node: the node.
        network: its cluster's network.
        root: where its overlay is mounted.
        seed: first-boot data and further files.
        inherit: `pip` and `proxy`, the caller's settings.
    """
    for point in MOUNT_POINTS:  # systemd-nspawn itself may make nothing in a tree that is not its user's
        with _folder(root, point):
            pass
    put(root, "etc/hostname", f"{node.name}\n")
    put(root, "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    put(root, "etc/hosts", f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{node.address} {node.name}\n")
    put(root, "etc/systemd/network/10-host0.network", (
        "[Match]\nName=host0\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        f"Address={node.address}/24\nGateway={network.gateway}\n"
    ))  # fmt: skip
    put(root, "etc/resolv.conf", resolvers())
    for name in ("etc/.updated", "var/.updated"):  # newer than /usr: nothing to catch up with at boot
        put(root, name, "")
    put(
        root,
        "var/lib/cloud/seed/nocloud/meta-data",
        f"instance-id: {node.unit}\nlocal-hostname: {node.name}\n",
    )
    put(root, "var/lib/cloud/seed/nocloud/user-data", seed.user_data, 0o600)
    for name, content, mode in seed.files:
        put(root, name, content, mode)
    for name, content in BUILDER.items() if seed.builder else ():
        put(root, name, content)
    inherit_settings(root, network, inherit)


def inherit_settings(root: Path, network: Network, inherit: dict[str, Any]) -> None:
    """Give the node the host's extra certificates and the caller's proxy, apt and pip settings."""
    extra = extra_certificates()
    for name, certificate in extra.items():
        put(root, f"usr/local/share/ca-certificates/{name}", certificate)
    if extra:
        bundle = read(root, CA_BUNDLE)
        missing = [c for c in extra.values() if c.strip() not in bundle]
        put(root, CA_BUNDLE, b"".join([bundle, *(c.rstrip() + b"\n" for c in missing)]))
    pip = {key: value for key, value in settings(inherit.get("pip"), PIP_KEYS, network).items() if value}
    if extra:
        pip["cert"] = f"/{CA_BUNDLE}"
    if pip:
        lines = [f"{key} = {value}" for key, value in pip.items()]
        put(root, "etc/pip.conf", "\n".join(["[global]", *lines, ""]))
    if apt := apt_proxy():
        put(root, "etc/apt/apt.conf.d/80-muster-proxy", reachable(apt, network))
    proxy = settings(inherit.get("proxy"), PROXY_KEYS, network)
    if proxy:
        proxy["no_proxy"] = ",".join(
            filter(None, [inherit["proxy"].get("no_proxy", ""), "localhost", str(POOL), network.subnet])
        )
        lines = [f'{case}="{value}"' for key, value in proxy.items() for case in (key, key.upper())]
        put(root, "etc/environment", "\n".join([*lines, ""]))


def settings(value: object, known: tuple[str, ...], network: Network) -> dict[str, str]:
    """The known settings of a mapping, one line each, loopback addresses replaced by the bridge's."""
    found = {}
    for key, one in validate.mapping(value, "inherited settings").items():
        if key in known:
            text = validate.text(one, key, 2000)
            if re.search(r'[\x00-\x08\x0b-\x1f"\\]', text):
                raise HelperError(
                    f"the setting {key} contains characters that are not allowed", kind="refused"
                )
            found[key] = reachable(" ".join(text.split()), network)
    return found


def ports_here(inherit: dict[str, Any]) -> list[int]:
    """The ports of this computer's loopback which the caller's proxy and index, and apt's proxy, are on."""
    kinds = [validate.mapping(kind, "inherited settings") for kind in inherit.values()]
    said = [apt_proxy(), *(str(value) for kind in kinds for value in kind.values())]
    return sorted({int(port) for text in said for port in PORT.findall(text)} & set(range(1, 65536)))


def reachable(text: str, network: Network) -> str:
    """A proxy or index on this computer's loopback is, seen from a node, on the bridge."""
    return LOOPBACK.sub(network.gateway, text)


@cache
def extra_certificates() -> dict[str, bytes]:
    """Certificates which this computer trusts beyond the usual ones; file name -> content."""
    found = {}
    for path in sorted(CA_SOURCE.rglob("*.crt")) if CA_SOURCE.is_dir() else []:
        if stat.S_ISREG(path.stat().st_mode):
            found[re.sub(r"[^A-Za-z0-9._-]", "_", path.name)] = path.read_bytes()
    return found


@cache
def resolvers() -> str:
    """A resolv.conf that works from outside this computer's loopback."""
    for candidate in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        path = Path(candidate)
        if path.exists():
            lines = [
                line
                for line in path.read_text().splitlines()
                if re.match(r"\s*(nameserver|search|domain)", line)
            ]
            if any(re.match(r"\s*nameserver\s+(?!127\.|::1)", line) for line in lines):
                return "\n".join([*(line for line in lines if not re.search(r"\s127\.", line)), ""])
    return ""


@cache
def apt_proxy() -> str:
    """This computer's proxy settings of apt, as apt.conf lines; empty without apt or without a proxy."""
    if not Path("/usr/bin/apt-config").exists():
        return ""
    dump = run(["apt-config", "dump", "--no-empty", "Acquire"]).stdout.splitlines()
    wanted = re.compile(r"Acquire::(http|https|ftp)::(proxy|Proxy)(::[\w.-]+)? ")
    return "".join(f"{line}\n" for line in dump if wanted.match(line))
