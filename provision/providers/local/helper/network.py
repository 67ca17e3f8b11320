"""A subnet, a bridge and one nft table per cluster; nothing of anybody else's is touched."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path

from . import forwarding
from .errors import HelperError
from .registry import BRIDGE, POOL, Network
from .system import run, sysctl

BRIDGES = f"{BRIDGE}*"  # those of all networks; between them there is no masquerading
SSH, DNS = 22, 53
LINK_LOCAL = "169.254.0.0/16"  # where clouds answer for their machines


def choose(taken: Iterable[IPv4Network], wish: str = "") -> str:
    """A free /24, or the wished one.

    A wider route, such as a VPN's, is no conflict: the narrower one wins, and hides 256 addresses of it.

    Args:
        taken: what this computer routes to as narrowly as that, or has an address in.
        wish: the subnet from the config; empty for the first free one of 10.77.0.0/16.

    Raises:
        HelperError: the wished one, or all of them, are in use.
    """
    used = list(taken)
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
    raise HelperError(
        f"no free /24 is left in {POOL}; set `local: subnet:` in the config, such as 192.168.77.0/24",
        kind="not_ready",
    )


def host_networks() -> list[IPv4Network]:
    """What this computer has addresses in, or routes to by itself and as narrowly as a cluster would."""
    found = []
    for route in json.loads(run(["ip", "-4", "-j", "route", "show", "table", "all"]).stdout or "[]"):
        destination = str(route.get("dst", ""))
        if destination not in ("", "default") and route.get("type", "unicast") in ("unicast", "local"):
            network = IPv4Network(destination, strict=False)
            if network.prefixlen >= 24 or route.get("protocol") == "kernel":
                found.append(network)
    return found


def up(network: Network, clients: Iterable[str] | None = None) -> None:
    """Make bridge, address, forwarding and rules; harmless when they are there.

    Args:
        network: whose.
        clients: of an object store's, the subnets that may ask it.
    """
    bridge = network.bridge
    if not is_up(network):
        mac = f"02:{_mac(network.id)}"
        run(["ip", "link", "add", bridge, "address", mac, "type", "bridge", "forward_delay", "0"])
    _without_ipv6(bridge)
    run(["ip", "-batch", "-"], stdin=(
        f"link set {bridge} alias muster-{network.name}\n"
        f"addr replace {network.gateway}/24 dev {bridge}\n"
        f"link set {bridge} up\n"
    ))  # fmt: skip
    forwarding.on()
    run(["nft", "-f", "-"], stdin=_table(network, clients))
    forwarding.admit(network)


def _without_ipv6(bridge: str) -> None:
    """Let this computer neither send nor take IPv6 there, for which there are no rules."""
    switch = Path("/proc/sys/net/ipv6/conf", bridge, "disable_ipv6")
    if switch.exists():
        switch.write_text("1")


def _table(network: Network, clients: Iterable[str] | None) -> str:
    """The rules of one network: out into the world, and of this computer only what nodes need."""
    bridge, ports = network.bridge, ", ".join(map(str, sorted({DNS, *network.host_ports})))
    asked = ""
    if clients is not None:
        allowed = ", ".join(sorted(clients))
        others = f" ip saddr != {{ {allowed} }}" if allowed else ""
        asked = (
            " chain clients { type filter hook forward priority filter; policy accept;\n"
            f'  oifname "{bridge}" ct state new{others} drop\n }}\n'
        )
    return (
        f"table ip {network.table} {{}}\n"
        f"delete table ip {network.table}\n"
        f"table ip {network.table} {{\n"
        " chain postrouting { type nat hook postrouting priority srcnat; policy accept;\n"
        f'  ip saddr {network.subnet} oifname != "{BRIDGES}" masquerade\n }}\n'
        # What this computer serves on all its addresses is not meant for nodes,
        " chain input { type filter hook input priority filter; policy accept;\n"
        f'  iifname "{bridge}" ct state new meta l4proto {{ tcp, udp }} th dport != {{ {ports} }} drop\n }}\n'
        # also where a container serves it, ...
        " chain published { type filter hook forward priority filter; policy accept;\n"
        f'  iifname "{bridge}" ct state new ct status dnat meta l4proto {{ tcp, udp }}'
        f" ct original proto-dst != {{ {ports} }} drop\n }}\n"
        # and what a cloud tells this computer, its passwords among it, is none of theirs; ...
        " chain metadata { type filter hook forward priority filter; policy accept;\n"
        f'  iifname "{bridge}" ip daddr {LINK_LOCAL} meta l4proto {{ tcp, udp }}'
        f" th dport != {DNS} drop\n }}\n"
        # ... nor nodes' services for this computer's other users.
        " chain output { type filter hook output priority filter; policy accept;\n"
        f'  oifname "{bridge}" ct state new meta l4proto {{ tcp, udp }} th dport != {SSH} drop\n }}\n'
        f"{asked}}}\n"
    )


def is_up(network: Network) -> bool:
    """Whether the bridge exists."""
    return Path(f"/sys/class/net/{network.bridge}").exists()


def down(network: Network) -> None:
    """Remove what `up` made, and confirm.

    Raises:
        HelperError: the bridge is still there.
    """
    forwarding.withdraw(network.table)
    run(["nft", "-f", "-"], stdin=f"table ip {network.table} {{}}\ndelete table ip {network.table}\n")
    if is_up(network):
        run(["ip", "link", "del", network.bridge], check=False)
    if is_up(network):
        raise HelperError(f"bridge {network.bridge} cannot be removed; see `ip link show {network.bridge}`")
    if not any(Path("/sys/class/net").glob(BRIDGE + 8 * "[0-9a-f]")):
        forwarding.off()


def _mac(network_id: str) -> str:
    return ":".join(["4d", *(network_id[i : i + 2] for i in (0, 2, 4, 6))])


def faults(network: Network) -> list[str]:
    """What keeps packets of a network that is up from going where they should, in words."""
    found = [f"{where} drops packets of {network.subnet}" for where in forwarding.closed(network.table)]
    if run(["nft", "list", "table", "ip", network.table], check=False).returncode:
        found.append(f"the rules of {network.subnet} are gone")
    if not forwarding.is_on():
        found.append("net.ipv4.ip_forward is 0")
    return found


def room_for_nodes(count: int) -> None:
    """Raise the limit of inotify instances: a booted node takes about seven, the usual limit is 128."""
    sysctl("fs/inotify/max_user_instances", min(65536, 128 + 16 * count))
