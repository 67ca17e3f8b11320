"""What filters a cluster's public ports: one security group, bound in the order, that lets SSH in.

It is bound to public ports alone: IBM's own services and the cluster's machines come in by the private ones,
which stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from provision.core.errors import NotReady, ProviderError
from provision.core.model import ClusterIdentity
from provision.core.wait import until
from provision.providers.softlayer import identity
from provision.providers.softlayer.client import Api, Raw
from provision.providers.softlayer.failures import NAME, ApiError, Kind

UNUSED_S, POLL_S = 180.0, 3.0
"""Seconds until a group is free of guests that were just cancelled, and between two attempts to delete it."""
_MASK = (
    "mask[id,name,rules[id,direction,ethertype,protocol,portRangeMin,portRangeMax,remoteIp,remoteGroupId]]"
)
_SERVICE = "Network_SecurityGroup"
_SSH = 22
_OUT: tuple[Raw, ...] = tuple({"direction": "egress", "ethertype": kind} for kind in ("IPv4", "IPv6"))
"""A group without rules lets nothing out either."""


def name_of(cluster: ClusterIdentity) -> str:
    """Return the name of a cluster's security group."""
    return f"muster-{cluster.name}-{cluster.id}"


def ensure(api: Api, cluster: ClusterIdentity, ssh_from: Sequence[str]) -> int:
    """Return the id of the cluster's group, made where there is none; it lets SSH in from these networks."""
    found = _all(api, cluster)
    if not found:
        wanted = {"name": name_of(cluster), "description": f"SSH of the Muster cluster {cluster.name}"}
        try:
            found = [api.call(_SERVICE, "createObject", wanted, repeatable=False)]
        except ApiError as error:
            if error.kind is not Kind.UNCLEAR or not (found := _all(api, cluster)):
                raise
    group = found[0]
    _add(api, cluster, group, [*_OUT, *map(_ssh, ssh_from)])
    return int(group["id"])


def require_permission(api: Api) -> None:
    """Raise NotReady when this user may not even look at security groups; ApiError: no answer."""
    try:
        api.pages("Account", "getSecurityGroups", mask="mask[id]", query=identity.security_groups("muster"))
    except ApiError as error:
        if error.kind is not Kind.REFUSED:
            raise
        raise NotReady(
            where="SoftLayer",
            what=f"security groups, which filter public ports, are refused ({error.what})",
            remedy="Give the user MANAGE_SECURITY_GROUPS, or set softlayer.security_group: false",
        ) from error


def allow(
    api: Api, cluster: ClusterIdentity, networks: Sequence[str], *, only: bool, keep: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Let networks reach SSH, and `only` these and what to `keep`; return those added and those withdrawn."""
    added: list[str] = []
    withdrawn: list[str] = []
    for group in _all(api, cluster):
        there = [rule for rule in _rules(group) if _lets_ssh_in(rule)]
        added += [_network(rule) for rule in _lacking(group, [_ssh(one) for one in networks])]
        _add(api, cluster, group, [_ssh(one) for one in dict.fromkeys(networks)])
        gone = [rule for rule in there if _network(rule) not in (*networks, *keep)] if only else []
        _remove(api, group, gone)
        withdrawn += [_network(rule) or "everywhere" for rule in gone]
    return list(dict.fromkeys(added)), list(dict.fromkeys(withdrawn))


def admit_master(api: Api, cluster: ClusterIdentity, networks: Sequence[str], gone: Sequence[str]) -> None:
    """Let a master that is elsewhere reach SSH from networks, and not any more from those `gone`."""
    for group in _all(api, cluster):
        _add(api, cluster, group, [_ssh(one) for one in networks])
        ours = [_plain(_ssh(one)) for one in gone]
        _remove(api, group, [rule for rule in _rules(group) if _plain(rule) in ours])


def remove(api: Api, cluster: ClusterIdentity) -> list[str]:
    """Delete the cluster's group once no guest has it; again is harmless. Returns what there was."""
    groups = _all(api, cluster)
    refusal: ApiError | None = None

    def deleted(group: Raw) -> bool:
        nonlocal refusal
        try:
            api.call(_SERVICE, "deleteObject", id=int(group["id"]))
        except ApiError as error:
            refusal = error
            return error.kind is Kind.MISSING
        return True

    for group in groups:
        if not until(lambda: deleted(group), deadline_s=UNUSED_S, interval_s=POLL_S):  # noqa: B023  at once
            raise ProviderError(
                provider=NAME,
                where=name_of(cluster),
                what=f"security group {group['id']} cannot be deleted ({refusal.what if refusal else ''})",
                remedy="Take it off servers of your own, then run destroy_cluster.yml again",
            )
    return [f"security group {name_of(cluster)}"] if groups else []


def _all(api: Api, cluster: ClusterIdentity) -> list[Raw]:
    """Return the groups of the cluster's name: more than one when a call to make it got no answer."""
    query = identity.security_groups(name_of(cluster))
    return api.pages("Account", "getSecurityGroups", mask=_MASK, query=query)


def _add(api: Api, cluster: ClusterIdentity, group: Raw, rules: Sequence[Raw]) -> None:
    """Add those rules that a group lacks, none twice."""
    missing = _lacking(group, rules)
    if not missing:
        return
    try:
        api.call(_SERVICE, "addRules", missing, id=int(group["id"]), repeatable=False)
    except ApiError as error:
        now = next((each for each in _all(api, cluster) if each["id"] == group["id"]), group)
        if error.kind is not Kind.UNCLEAR or _lacking(now, rules):
            raise


def _remove(api: Api, group: Raw, rules: Sequence[Raw]) -> None:
    if rules:
        api.call(_SERVICE, "removeRules", [int(rule["id"]) for rule in rules], id=int(group["id"]))


def _lacking(group: Raw, rules: Sequence[Raw]) -> list[Raw]:
    there = [_plain(rule) for rule in _rules(group)]
    return [rule for rule in rules if _plain(rule) not in there]


def _rules(group: Raw) -> list[Raw]:
    return group.get("rules") or []


def _plain(rule: Raw) -> tuple[Any, ...]:
    """Return what tells a rule from others; the API writes what is not set in several ways."""
    ports = [int(rule[key]) if rule.get(key) else None for key in ("portRangeMin", "portRangeMax")]
    words = [str(rule.get(key) or "").lower() for key in ("direction", "ethertype", "protocol")]
    return (*words, _network(rule), *ports)


def _lets_ssh_in(rule: Raw) -> bool:
    """Return whether a rule lets networks reach SSH, whoever wrote it; others are not ours to take away."""
    if rule.get("direction") != "ingress" or rule.get("remoteGroupId"):
        return False
    first, last = (int(rule.get(key) or port) for key, port in (("portRangeMin", 0), ("portRangeMax", 65535)))
    protocol = str(rule.get("protocol") or "tcp").lower()
    return protocol == "tcp" and first <= _SSH <= last


def _network(rule: Raw) -> str:
    """Return where a rule lets in from ('' = everywhere); one address is a network, too."""
    text = str(rule.get("remoteIp") or "")
    return str(ip_network(text, strict=False)) if text else ""


def _ssh(network: str) -> Raw:
    return {
        "direction": "ingress",
        "ethertype": "IPv6" if ":" in network else "IPv4",
        "protocol": "tcp",
        "portRangeMin": _SSH,
        "portRangeMax": _SSH,
        "remoteIp": network,
    }
