from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.core.errors import NotReady
from provision.core.files import private_folder
from provision.core.paths import own_folder
from provision.state.folder import State
from provision.state.lease import Lease


def test_a_private_folder_is_made_and_kept(tmp_path: Path) -> None:
    for _ in range(2):
        assert private_folder(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_one_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert private_folder(tmp_path).stat().st_mode & 0o777 == 0o700


def test_one_that_others_may_read_stays_open_but_nobody_may_write(tmp_path: Path) -> None:
    path = private_folder(tmp_path / "cache", readable=True)
    path.chmod(0o755)
    assert private_folder(path, readable=True).stat().st_mode & 0o777 == 0o755
    path.chmod(0o775)
    with pytest.raises(NotReady, match="others can write in it"):
        private_folder(path, readable=True)


def link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to("elsewhere")


def open_to_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (link, "it is a link. Remove it"),
        (lambda path: path.symlink_to("nothing"), "File exists"),
        (Path.touch, "File exists"),
        (open_to_all, "others can write in it. When all that is in it is yours: chmod 700 "),
    ],
)
@pytest.mark.parametrize(
    "use", [private_folder, lambda path: State(path).make_folder(), lambda path: Lease(path).take()]
)
def test_what_others_may_have_made_is_refused(
    tmp_path: Path, make: Callable[[Path], None], why: str, use: Callable[[Path], object]
) -> None:
    path = tmp_path / "mine"
    make(path)
    with pytest.raises(NotReady) as caught:
        use(path)
    assert why in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_somebody_elses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.geteuid()
    monkeypatch.setattr("provision.core.files.os.geteuid", lambda: mine + 1)
    with pytest.raises(NotReady, match=f"it belongs to user {mine}"):
        private_folder(tmp_path)


@pytest.mark.parametrize("home", ["", "/dev/null", "/proc/nothing", None])
def test_without_a_home_there_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home is None:  # and a number that is no user's
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("os.getuid", lambda: 987_654_321)
    else:
        monkeypatch.setenv("HOME", home)
    assert own_folder() == runtime / "muster"
