"""What is written into a node's root before its first boot: seed, network, name, and what the host trusts."""

from __future__ import annotations

import re
import stat
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from . import validate
from .errors import HelperError
from .registry import POOL, Network, Node
from .system import run, write

CA_SOURCE = Path("/usr/local/share/ca-certificates")
CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
PROXY_KEYS = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
LOOPBACK = re.compile(r"(?<=[/@=,\s])(?:localhost|127\.\d+\.\d+\.\d+)(?=[:/\s]|$)")


@dataclass(frozen=True)
class Seed:
    """What a machine is told at its first boot: user-data, and (path, content, mode) of further files."""

    user_data: str
    files: tuple[tuple[str, str, int], ...] = ()
    builder: bool = False


BUILDER = {
    "etc/dpkg/dpkg.cfg.d/90-muster-builder": "force-unsafe-io\n",
    "etc/apt/apt.conf.d/90-muster-builder": 'Acquire::Retries "3";\nDPkg::Lock::Timeout "60";\n',
}


def put(root: Path, name: str, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file of the node; never through a symbolic link, which could lead out of it.

    Raises:
        HelperError: a parent is a link.
    """
    path = root
    for part in Path(name).parts[:-1]:
        path = path / part
        if path.is_symlink():
            raise HelperError(f"{path} is a symbolic link; the image is not usable", kind="refused")
        if not path.exists():
            path.mkdir(mode=0o755)
    write(root / name, content, mode)


def prepare(node: Node, network: Network, root: Path, seed: Seed, inherit: dict[str, Any]) -> None:
    """Fill a freshly mounted root.

    Args:
        node: the node.
        network: its cluster's network.
        root: where its overlay is mounted.
        seed: first-boot data and further files.
        inherit: `pip` and `proxy`, the caller's settings.
    """
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
        bundle = (root / CA_BUNDLE).read_bytes()
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
            filter(None, [inherit["proxy"].get("no_proxy", ""), "localhost", str(POOL)])
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
