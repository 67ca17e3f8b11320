#!/usr/bin/python3
"""Fetch the credentials of this machine's own role (an EC2 instance profile) for the programs of `hadoop`.

Runs as root, the only user who may ask the metadata service (its version 2). Usage:
muster-role-credentials [SERVICE]; the file appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

SERVICE = "http://169.254.169.254"
TARGET = Path("/etc/muster/store-role.json")
ROLES = "/latest/meta-data/iam/security-credentials/"


def ask(url: str, method: str = "GET", **headers: str) -> str:
    """Return an answer's text. Raises OSError."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)  # noqa: S310  always http
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        return answer.read().decode()


def fetch(service: str) -> dict[str, str]:
    """Return the role's credentials, as the store's settings name them. Raises OSError, ValueError, KeyError."""
    token = ask(f"{service}/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    role = ask(f"{service}{ROLES}", X_aws_ec2_metadata_token=token).split()[0]
    known = json.loads(ask(f"{service}{ROLES}{role}", X_aws_ec2_metadata_token=token))
    return {
        "access_key": known["AccessKeyId"],
        "secret_key": known["SecretAccessKey"],
        "session_token": known["Token"],
    }


def main() -> None:
    """Write the file."""
    try:
        known = fetch(sys.argv[1] if len(sys.argv) > 1 else SERVICE)
    except (OSError, ValueError, KeyError, IndexError) as error:
        sys.exit(f"muster-role-credentials: this machine has no role that could use the object store ({error})")
    fresh = TARGET.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w") as file:
        json.dump(known, file)
    shutil.chown(fresh, "root", "hadoop")
    fresh.replace(TARGET)


if __name__ == "__main__":
    main()
