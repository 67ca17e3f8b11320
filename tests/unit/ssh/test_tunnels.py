"""Ports of this computer that are forwarded."""

from __future__ import annotations

import socket

from provision.ssh.tunnels import free_ports


def test_a_wished_port_is_taken_when_it_is_free() -> None:
    (free,) = free_ports(1)
    assert free_ports(1, [free]) == [free]


def test_one_that_somebody_has_becomes_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (found,) = free_ports(1, [port])
        assert found != port


def test_all_are_different() -> None:
    assert len(set(free_ports(7))) == 7
