"""`muster-role-credentials`: fetch the credentials of this machine's own role for the programs of `hadoop`.

The role is an EC2 instance profile. Runs as root, the only user who may ask the metadata service (its
version 2).
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from muster_node import files
from muster_node.stores.base import ROLE, SETTINGS

SERVICE = "http://169.254.169.254"
TARGET = SETTINGS.with_name(ROLE)
PROFILE = "store.credentials"
"""Beside it: the same as Amazon's own tools have it, for Java's clients."""
ROLES = "/latest/meta-data/iam/security-credentials/"


def ask(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> str:
    """Return an answer's text. Raises OSError."""
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))  # noqa: S310  always http
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        return str(answer.read().decode())


def fetch(service: str) -> dict[str, str]:
    """Return the credentials as the store's settings name them. Raises OSError, ValueError, KeyError."""
    token = ask(f"{service}/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    let_in = {"X-aws-ec2-metadata-token": token}
    role = ask(f"{service}{ROLES}", headers=let_in).split()[0]
    known = json.loads(ask(f"{service}{ROLES}{role}", headers=let_in))
    return {
        "access_key": known["AccessKeyId"],
        "secret_key": known["SecretAccessKey"],
        "session_token": known["Token"],
    }


def main(service: str = SERVICE, target: Path = TARGET, group: str = "hadoop") -> int:
    """Write the files."""
    try:
        known = fetch(service)
    except (OSError, ValueError, KeyError, IndexError) as error:
        text = f"this machine has no role that could use the object store ({error})"
        print(f"muster-role-credentials: {text}", file=sys.stderr)
        return 1
    files.write(target, json.dumps(known), mode=0o640, group=group)
    profile = (
        f"[default]\naws_access_key_id = {known['access_key']}\n"
        f"aws_secret_access_key = {known['secret_key']}\naws_session_token = {known['session_token']}\n"
    )
    files.write(target.with_name(PROFILE), profile, mode=0o640, group=group)
    return 0
