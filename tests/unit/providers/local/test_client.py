"""The caller's side: errors it makes of answers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provision.core.errors import NotReady, ProviderError
from provision.core.spec import ObjectStoreSpec
from provision.planning.plan import make_plan
from provision.providers import load
from provision.providers.local import client, permission
from tests.fakes.provider import spec


def fake_helper(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(client, "_command", lambda: [sys.executable, "-c", program])


def test_unknown_providers_are_refused_in_one_line() -> None:
    with pytest.raises(NotReady, match="no provider 'azure'"):
        load("azure", spec(), Path("/none"))


def test_not_ready_and_other_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_helper(monkeypatch, 'print(\'{"error": "no room", "kind": "not_ready"}\')')
    with pytest.raises(NotReady, match="no room"):
        client.call("create", {})
    fake_helper(monkeypatch, 'print(\'{"error": "oh", "kind": "failed"}\')')
    with pytest.raises(ProviderError, match="oh"):
        client.call("create", {})


def test_progress_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_helper(
        monkeypatch, 'import sys; sys.stderr.write(\'{"say": "building"}\\n\'); print(\'{"ok": [1]}\')'
    )
    told: list[str] = []
    assert client.call("image-base", say=told.append) == [1]
    assert told == ["building"]


def test_a_helper_that_dies_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_helper(monkeypatch, "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ProviderError, match="ended without an answer to delete"):
        client.call("delete", {})


def test_without_root_the_exact_command_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(permission, "INSTALLED", tmp_path / "muster-local")
    monkeypatch.setattr(permission, "own_folder", lambda: tmp_path)

    def refuse(*args: object, **kwargs: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], 1, b"", b"sudo: a password is required")

    monkeypatch.setattr(client.subprocess, "run", refuse)
    with pytest.raises(NotReady) as caught:
        client.call("list", {})
    assert "sudo install -D -o root -m 0755" in str(caught.value)
    assert f" ALL=(root) NOPASSWD: {tmp_path}/muster-local" in str(caught.value)
    assert "Whoever may run the helper is in practice root on this computer. " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.sys, "platform", "darwin")
    with pytest.raises(NotReady, match="need Linux"):
        client.call("list", {})


def test_root_runs_the_helper_as_it_lies_here() -> None:
    done = subprocess.run(
        [*client.direct(), "nonsense"], input="{}", capture_output=True, text=True, check=False
    )
    assert "unknown verb" in done.stdout, done.stderr


def test_settings_of_this_user_are_handed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.delenv("https_proxy", raising=False)
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://index/%%40\nunknown = 1\n"
    )
    monkeypatch.setenv("PIP_TRUSTED_HOST", "index")
    found = client.inherited()
    assert found["proxy"]["https_proxy"] == "http://proxy:3128"
    assert found["pip"]["trusted-host"] == "index"
    assert found["pip"]["index-url"].startswith("https://index/")
    assert "unknown" not in found["pip"]


@pytest.mark.parametrize(("kind", "said"), [("local", {"name": "default", "memory_gb": 1.5}), ("none", None)])
def test_the_preflight_knows_of_the_store(
    monkeypatch: pytest.MonkeyPatch, kind: str, said: dict[str, object] | None
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(client, "call", lambda verb, request: asked.append(request))
    wished = replace(spec(), object_store=ObjectStoreSpec(kind=kind))
    load("local", wished, Path("/none")).check_ready(wished, make_plan(wished, []))
    assert asked[0].get("store") == said
