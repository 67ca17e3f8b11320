"""Playbooks by Ansible itself, whatever the user's settings are."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.commands import playbooks

FOREIGN = {
    "PYTHONPATH": "/nowhere",
    "PYTHONHOME": "/nowhere",
    "LC_ALL": "de_DE.ISO-8859-1",
    "ANSIBLE_CONFIG": "/dev/null",
    "ANSIBLE_ROLES_PATH": "/nowhere",
    "ANSIBLE_INVENTORY_ENABLED": "yaml,ini",
    "ANSIBLE_STRATEGY": "mitogen_linear",
    "ANSIBLE_STDOUT_CALLBACK": "json",
    "ANSIBLE_CALLBACKS_ENABLED": "timer",
    "ANSIBLE_FORKS": "1",
    "ANSIBLE_BECOME_ASK_PASS": "True",
    "ANSIBLE_RUN_TAGS": "foo",
    "ANSIBLE_VAULT_PASSWORD_FILE": "",
}


@pytest.mark.parametrize("to_stderr", [False, True])
def test_ansible_starts_whatever_the_users_settings_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], to_stderr: bool
) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    config = tmp_path / "ü.yml"
    config.write_text("plugin: cluster\ncluster: pond\nnodes: 3\n", encoding="utf-8")
    assert playbooks.play(["verify.yml"], config, {}, output_to_stderr=to_stderr) != 0
    said = capfd.readouterr()
    shown, free = (said.err, said.out) if to_stderr else (said.out, said.err)
    assert "pond is not started. Run start_cluster.yml, then main.yml" in shown
    assert free == ""  # nothing was asked, and standard output is a result's alone
