"""Which instance types with a GPU can compute: those that Debian 13's own driver and PyTorch's wheels drive.

Debian 13 has NVIDIA's driver 550.163.01, whose proprietary kernel module drives chips from Maxwell to Hopper,
and CUDA up to 12.4, for which the wheels of PyTorch are built that GPU nodes get.

Sources: NVIDIA's supported-gpus.json, in Debian's package nvidia-driver (it leaves out the T4, which is in
the release notes of the data-center driver of the same version); its Fabric Manager User Guide (what NVSwitch
needs); DescribeInstanceTypes (which chip a type has); "NVIDIA drivers for your Amazon EC2 instance" in
Amazon's user guide (fractional GPUs need a GRID driver).
"""

from __future__ import annotations

from collections.abc import Mapping

DRIVEN: Mapping[str, str] = {
    "g4dn": "T4",
    "g5": "A10G",
    "g6": "L4",
    "g6e": "L40S",
    "gr6": "L4",
    "p3": "V100",
    "p3dn": "V100",
}
"""Family of instance types -> chip."""

_BLACKWELL = "NVIDIA's driver 570 or newer, and Debian 13 has 550"
_NVSWITCH = "NVIDIA's Fabric Manager for its NVSwitch, which Debian 13 does not have"
_SHARE = "NVIDIA's licensed GRID driver for a share of a GPU, which Debian 13 does not have"
_ARM = "a PyTorch for CUDA on arm64, which is not published for this chip"

NEEDS: Mapping[str, str] = {
    "g5g": _ARM,
    "g6f": _SHARE,
    "gr6f": _SHARE,
    "g7": _BLACKWELL,
    "g7e": _BLACKWELL,
    "p4d": _NVSWITCH,
    "p4de": _NVSWITCH,
    "p5": _NVSWITCH,
    "p5e": _NVSWITCH,
    "p5en": _NVSWITCH,
    "p6-b200": _BLACKWELL,
    "p6-b300": _BLACKWELL,
    "p6e-gb200": _BLACKWELL,
}
"""Family of other types with a GPU of NVIDIA's -> what it needs."""


def has_gpu(kind: str) -> bool:
    """Return whether a type is known to have a GPU of NVIDIA's."""
    return any(_family(kind) in families for families in (DRIVEN, NEEDS))


def why_not(kind: str) -> str:
    """Return why the GPU of a type, which has one, cannot compute here; '' when it can."""
    family = _family(kind)
    if family in DRIVEN:
        return ""
    if family in NEEDS:
        return f"the GPU of {kind} needs {NEEDS[family]}"
    return f"{kind} is not among the types whose GPU is known to work with NVIDIA's driver in Debian 13"


def _family(kind: str) -> str:
    return kind.partition(".")[0]
