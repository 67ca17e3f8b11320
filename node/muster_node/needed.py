"""What every machine of a cluster has before anything of ours is installed on it.

Debian's official images have only some of it. The provider `local` builds its base system with it, `existing`
installs it where it is missing, and elsewhere it is the first step of the installation.
"""

from __future__ import annotations

NEEDED = {
    "/usr/sbin/nft": "nftables", "/usr/bin/setfacl": "acl", "/usr/bin/sudo": "sudo", "/usr/bin/curl": "curl",
    "/usr/bin/rsync": "rsync", "/usr/bin/ps": "procps", "/usr/sbin/mkfs.ext4": "e2fsprogs",
    "/usr/bin/zstd": "zstd", "/usr/lib/python3/dist-packages/apt": "python3-apt",
    "/usr/lib/python3*/ensurepip": "python3-venv", "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}  # fmt: skip
"""What shows that a package is there (a glob) -> the package."""
