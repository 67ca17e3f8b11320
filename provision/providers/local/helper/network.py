"""A subnet, a bridge and one nft table per cluster; nothing of anybody else's is touched."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from .errors import HelperError
from .registry import POOL, Network
from .system import run, say


def choose(taken: Iterable[IPv4Network], wish: str = "") -> str:
    """A free /24, or the wished one.

    Args:
        taken: what this computer routes to or has an address in.
        wish: the subnet from the config; empty for the first free one of 10.77.0.0/16.

    Raises:
        HelperError: the wished one, or all of them, are in use.
    """
    used = [network for network in taken if network.prefixlen > 0]
    if wish:
        clash = next((n for n in used if n.overlaps(IPv4Network(wish))), None)
        if clash:
            raise HelperError(
                f"subnet {wish} is in use on this computer ({clash}); choose another under `local: subnet:`",
                kind="not_ready",
            )
        return wish
    for candidate in list(POOL.subnets(new_prefix=24))[1:]:
        if not any(candidate.overlaps(network) for network in used):
            return str(candidate)
    raise HelperError(f"no free /24 is left in {POOL}; set `local: subnet:` in the config", kind="not_ready")


def host_networks() -> list[IPv4Network]:
    """What this computer has addresses in or routes to, the default route excepted."""
    found = []
    for route in json.loads(run(["ip", "-4", "-j", "route", "show", "table", "all"]).stdout or "[]"):
        destination = str(route.get("dst", ""))
        if destination not in ("", "default") and route.get("type", "unicast") in ("unicast", "local"):
            found.append(IPv4Network(destination, strict=False))
    return found


def up(network: Network) -> None:
    """Make bridge, address, forwarding and rules; harmless when they are there."""
    bridge = network.bridge
    if not is_up(network):
        run(
            [
                "ip",
                "link",
                "add",
                bridge,
                "address",
                f"02:{_mac(network.id)}",
                "type",
                "bridge",
                "forward_delay",
                "0",
            ]
        )
    run(["ip", "-batch", "-"], stdin=(
        f"link set {bridge} alias muster-{network.name}\n"
        f"addr replace {network.gateway}/24 dev {bridge}\n"
        f"link set {bridge} up\n"
    ))  # fmt: skip
    _sysctl("net/ipv4/ip_forward", 1)
    run(["nft", "-f", "-"], stdin=(
        f"table ip {network.table} {{}}\n"
        f"delete table ip {network.table}\n"
        f"table ip {network.table} {{\n"
        f" chain postrouting {{ type nat hook postrouting priority srcnat; policy accept;\n"
        f'  ip saddr {network.subnet} ip daddr != {POOL} oifname != "{bridge}" masquerade\n'
        f" }}\n}}\n"
    ))  # fmt: skip
    _admit(network)


def is_up(network: Network) -> bool:
    """Whether the bridge exists."""
    return Path(f"/sys/class/net/{network.bridge}").exists()


def down(network: Network) -> None:
    """Remove what `up` made, and confirm.

    Raises:
        HelperError: the bridge is still there.
    """
    _withdraw(network.table)
    run(["nft", "-f", "-"], stdin=f"table ip {network.table} {{}}\ndelete table ip {network.table}\n")
    if is_up(network):
        run(["ip", "link", "del", network.bridge], check=False)
    if is_up(network):
        raise HelperError(f"bridge {network.bridge} cannot be removed; see `ip link show {network.bridge}`")


def _mac(network_id: str) -> str:
    return ":".join(["4d", *(network_id[i : i + 2] for i in (0, 2, 4, 6))])


def _sysctl(name: str, at_least: int) -> None:
    path = Path("/proc/sys", name)
    if int(path.read_text()) < at_least:
        path.write_text(str(at_least))
        say(f"set {name.replace('/', '.')} to {at_least} on this computer")


def _forward_chains() -> list[dict[str, Any]]:
    """Chains that see forwarded packets; Docker and ufw make such that drop them by default."""
    entries = json.loads(run(["nft", "-j", "list", "chains"]).stdout or "{}").get("nftables", [])
    chains = [entry["chain"] for entry in entries if "chain" in entry]
    return [chain for chain in chains if chain.get("hook") == "forward" and chain["family"] in ("ip", "inet")]


def _tagged(chain: dict[str, Any], tag: str) -> list[int]:
    listing = run(["nft", "-j", "list", "chain", chain["family"], chain["table"], chain["name"]]).stdout
    rules = [entry["rule"] for entry in json.loads(listing)["nftables"] if "rule" in entry]
    return [int(rule["handle"]) for rule in rules if rule.get("comment") == tag]


def _admit(network: Network) -> None:
    for chain in _forward_chains():
        if chain.get("policy") != "drop" or _tagged(chain, network.table):
            continue
        where = f"{chain['family']} {chain['table']} {chain['name']}"
        run(["nft", "-f", "-"], stdin="".join(
            f'insert rule {where} {match} accept comment "{network.table}"\n'
            for match in (
                f'iifname "{network.bridge}"',
                f'oifname "{network.bridge}" ct state established,related',
                f'oifname "{network.bridge}" ip saddr {POOL}',
            )
        ))  # fmt: skip
        say(f"forwarding is dropped by {where}: admitted {network.subnet} (rules tagged {network.table})")


def _withdraw(tag: str) -> None:
    for chain in _forward_chains():  # also those that drop no more: the rules outlived that
        for handle in _tagged(chain, tag):
            run(
                [
                    "nft",
                    "delete",
                    "rule",
                    chain["family"],
                    chain["table"],
                    chain["name"],
                    "handle",
                    str(handle),
                ]
            )


def room_for_nodes(count: int) -> None:
    """Raise the limit of inotify instances: a booted node takes about seven, the usual limit is 128."""
    _sysctl("fs/inotify/max_user_instances", min(65536, 128 + 16 * count))
