"""The role `nvidia` where the kernel is another one or the driver sees no GPU: each is one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from provision.core.paths import PROJECT


def play(folder: Path, part: str, program: str, hosts: Mapping[str, str]) -> dict[str, str]:
    """Run a part of the role on hosts where `program` does what the test says; return why each failed."""
    for host, does in hosts.items():
        fake = folder / host / program
        fake.parent.mkdir()
        fake.write_text(f"#!/bin/sh\n{does}\n")
        fake.chmod(0o755)
    path = {"PATH": f"{folder}/{{{{ inventory_hostname }}}}:{os.environ['PATH']}"}
    role = {"name": "nvidia", "tasks_from": part}
    tasks = [{"ansible.builtin.import_role": role, "vars": {"nvidia_gpus": 2}}]
    book = folder / "play.yml"
    book.write_text(
        yaml.safe_dump([{"hosts": "all", "gather_facts": False, "environment": path, "tasks": tasks}])
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", f"{','.join(hosts)},", book,
         "-e", "ansible_connection=local", "-e", f"ansible_python_interpreter={sys.executable}"],
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(folder)},
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("fatal: ")]
    assert len(failed) == len(hosts)
    return {host: line for host in hosts for line in failed if line.startswith(f"fatal: [{host}]: {host}")}


def test_a_driver_that_does_not_see_the_gpus(tmp_path: Path) -> None:
    did = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    hosts = {
        "gpu-1": "echo No devices were found; exit 6",
        "gpu-2": f'echo "{did}"; exit 9',
        "gpu-3": "echo 'GPU 0: NVIDIA A10G (UUID: GPU-1)'",
        "gpu-4": "exit 127",
    }
    told = play(tmp_path, "configure", "nvidia-smi", hosts)
    for host, seen in {
        "gpu-1": "0 (No devices were found)",
        "gpu-2": f"0 ({did})",
        "gpu-3": "1 (GPU 0: NVIDIA A10G (UUID: GPU-1))",
        "gpu-4": "0 (nvidia-smi is missing, or says nothing)",
    }.items():
        assert f"{host}: its type has 2 GPU(s), NVIDIA's driver sees {seen}. `journalctl -k" in told[host]


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this computer has NVIDIA's driver")
def test_a_driver_that_is_not_installed(tmp_path: Path) -> None:
    told = play(tmp_path, "configure", "nothing", {"gpu-1": ""})["gpu-1"]
    assert "2 GPU(s), NVIDIA's driver sees 0 (nvidia-smi is missing, or says nothing)" in told


def test_a_kernel_for_which_no_driver_can_be_made(tmp_path: Path) -> None:
    kernels = {"a": "6.8.0-1024-aws", "b": "6.1.0-40-cloud-amd64", "c": "6.12.48+deb13-cloud-arm64"}
    told = play(tmp_path, "install", "uname", {host: f"echo {kernel}" for host, kernel in kernels.items()})
    for host, kernel in kernels.items():
        assert f"{host} runs the kernel {kernel}, which is none of Debian 13's for amd64" in told[host]
        assert "leave `image` out" in told[host]
