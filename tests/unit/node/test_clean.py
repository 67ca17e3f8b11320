"""What is taken from a machine before an image is made of it, in a root of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster_node import clean
from provision.core.paths import PROJECT

SECRET = (
    "etc/ssh/ssh_host_ed25519_key", "etc/muster/last-calls.json", "etc/muster/authorized_keys/muster",
    "etc/pip.conf", "etc/ssh/sshd_config.d/08-muster-keys.conf", "home/muster/.ssh/authorized_keys", "root/.ssh/id_ed25519", "var/lib/cloud/instance/user-data.txt",
    "home/hadoop/.bash_history", "var/log/cloud-init-output.log",
)  # fmt: skip
"""Secrets, and what holds some."""
OTHERS = (
    "etc/muster/deadline", "etc/systemd/system/timers.target.wants/muster-ttl.timer",
    "etc/systemd/system/muster-ttl.timer.d/deadline.conf", "var/lib/systemd/random-seed",
)  # fmt: skip
STAYS = (
    "opt/muster/recipe",
    "opt/spark/spark.jar",
    "etc/systemd/system/muster-firewall.service",
    "usr/bin/python3",
)
LIVES = ("run/systemd/private/socket", "tmp/socket", "etc/resolv.conf", "etc/hosts")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (*SECRET, *OTHERS, *STAYS, *LIVES, "etc/machine-id"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("0123456789abcdef")
    return tmp_path


def there(root: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (root / name).exists()]


def test_a_running_machine_keeps_what_it_needs_to_the_end(root: Path) -> None:
    assert clean.main(["now"], root) == 0
    assert there(root, (*SECRET, *OTHERS)) == []
    assert there(root, (*STAYS, *LIVES)) == [*STAYS, *LIVES]
    assert (root / "etc/machine-id").read_text() == "", (
        "a machine that boots with none and a read-only root fails"
    )


def test_the_changes_of_a_machine_that_is_off_keep_nothing(root: Path) -> None:
    clean.clean(root)
    assert there(root, (*SECRET, *OTHERS, *LIVES, "etc/machine-id")) == []
    assert there(root, STAYS) == list(STAYS)


@pytest.mark.parametrize("name", [*clean.CONFIGURED, clean.OWNED])
def test_no_image_is_made_of_a_machine_that_has_secrets_elsewhere_too(
    root: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).touch()
    assert clean.main(["now"], root) == 1
    assert there(root, SECRET) == list(SECRET)
    said = capsys.readouterr().err
    assert "right after start_cluster.yml" in said or "owner's" in said


def test_nothing_is_done_by_mistake(root: Path) -> None:
    assert clean.main([], root) == 2
    assert there(root, SECRET) == list(SECRET)


def test_no_link_leads_out_of_the_root(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / ".ssh").mkdir()
    (root / "home" / "guest").symlink_to(elsewhere)
    clean.clean(root)
    assert (elsewhere / ".ssh").is_dir()


def test_the_page_about_images_made_by_hand_says_so() -> None:
    text = " ".join((PROJECT / "docs/softlayer.md").read_text(encoding="utf-8").split())
    assert "muster-clean now" in text and "main.yml has finished" not in text
    assert "right after" in text and "before" in text
