"""Reaching machines: pinned host keys, connections, tunnels, who may log in."""
