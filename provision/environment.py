"""What `./muster` runs before anything is installed: Debian packages and `.venv`. Standard library only.

Safe to run twice at once (the second waits) and to interrupt (the next starts over): a set-up counts
only with its stamp, which is written last and removed first.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from provision.core.errors import one_line
from provision.core.paths import misread
from provision.core.progress import waiting

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
APT_LOCK_S = 300
STAMPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "base": ("muster-stamp", ("requirements.txt", "pyproject.toml")),
    "dev": ("muster-stamp-dev", ("requirements.txt", "requirements-dev.txt", "pyproject.toml")),
}
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "no-index": "UV_NO_INDEX",
    "proxy": "ALL_PROXY",
}


class SetupError(Exception):
    """Set-up cannot go on; the text says why and what to do, in one line."""


class NoRightError(SetupError):
    """An administrator must do something first."""


def say(text: str) -> None:
    """Print one line about the set-up on standard error (standard output belongs to the command)."""
    sys.stderr.write(f"muster: {text}\n")
    sys.stderr.flush()


def run(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, lock: Sequence[int] = ()
) -> str:
    """Run `command`, return what it printed. Raises SetupError with its last lines when it fails.

    `lock`: open files that the command holds on to, so that the next set-up waits for it in any case.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        status = subprocess.run(
            command, env=env, check=False, pass_fds=lock,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        ).returncode  # fmt: skip
        log.seek(0)
        output = log.read()
    if status:
        last = " / ".join([line.strip() for line in output.splitlines() if line.strip()][-3:])
        raise SetupError(f"{shlex.join(map(str, command))} failed with status {status}: {last}")
    return output


def apt_command(packages: Sequence[str]) -> str:
    """Return the command that a user with the right to would type."""
    prefix = "" if os.geteuid() == 0 else "sudo "
    return f"{prefix}apt-get update && {prefix}apt-get install --no-install-recommends {' '.join(packages)}"


def right_to_install(packages: Sequence[str]) -> list[str]:
    """Return what stands before apt's commands. Raises SetupError: there is no apt, or no right to use it."""
    if not shutil.which("apt-get"):
        raise SetupError(
            f"missing: {' '.join(packages)} (Debian's names); install them with this system's package manager"
        )
    prefix: list[str] = []
    if os.geteuid() != 0:
        asked = ["sudo", "-n", "true"]
        if not shutil.which("sudo") or subprocess.run(asked, capture_output=True, check=False).returncode:
            raise NoRightError(
                f"missing Debian packages and no right to install them; run: {apt_command(packages)}"
            )
        prefix = ["sudo", "-n"]
    return prefix


def install_packages(packages: Sequence[str], vain: Event | None = None) -> None:
    """Install Debian packages with apt, after saying so. Raises SetupError: no right to, or apt failed.

    Args:
        packages: Debian's names.
        vain: when it is set nobody needs them any more, and another apt is no longer waited for.
    """
    prefix = right_to_install(packages)
    say(f"installing Debian packages: {' '.join(packages)}")
    settings = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
    apt = [*prefix, *settings, "apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={APT_LOCK_S}"]
    with waiting("Debian packages"):
        update(apt, vain or Event())
        run([*apt, "install", "--no-install-recommends", *packages])


def update(apt: Sequence[str], vain: Event) -> None:
    """Fetch the package lists; while another apt has them, as on a computer that has just booted, wait.

    Its own time-out is for the lock on packages alone. Raises SetupError, which names the other one, at last.
    """
    end = time.monotonic() + APT_LOCK_S
    while True:
        try:
            run([*apt, "update"])
        except SetupError as error:
            if "Could not get lock" not in str(error) or time.monotonic() > end or vain.wait(1):
                raise
        else:
            return


def pip_settings(python: Path) -> dict[str, str]:
    """Return the user's pip settings (file and environment) as uv's environment variables."""
    settings: dict[str, str] = {}
    for line in run([python, "-m", "pip", "config", "list"]).splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        if name not in PIP_TO_UV or section not in ("global", "install", ":env:"):
            continue
        words = " ".join(value.strip("'\"").replace("\\n", " ").split())
        if name in ("find-links", "trusted-host"):
            words = words.replace(" ", ",")
        settings[PIP_TO_UV[name]] = words
    return settings


def make_venv(lock: Sequence[int] = ()) -> Path:
    """Make `.venv` anew unless it is complete or only out of date; return its Python."""
    python = VENV / "bin" / "python"
    complete = made_here() and python.exists()
    for name, _ in STAMPS.values():
        (VENV / name).unlink(missing_ok=True)
    if not complete:
        with waiting("Python environment .venv"):
            run([sys.executable, "-m", "venv", "--clear", VENV], lock=lock)
    return python


def install_requirements(python: Path, *, dev: bool, lock: Sequence[int] = ()) -> None:
    """Install what is locked, and the project itself (editable), with uv, or with pip where uv cannot."""
    requirements = ROOT / ("requirements-dev.txt" if dev else "requirements.txt")
    # A lock is complete, and has what builds the project itself: nothing is fetched that has no hash.
    wanted: list[list[str | Path]] = [
        ["--require-hashes", "-r", requirements],
        ["--no-build-isolation", "-e", ROOT],
    ]
    say(f"installing Python packages into .venv: those of {requirements.name}, and Muster itself")
    install(python, wanted, lock)


def install(python: Path, wanted: Sequence[Sequence[str | Path]], lock: Sequence[int] = ()) -> None:
    """Install exactly what each of `wanted`, pip's words, names: with uv, or with pip where uv cannot."""
    with waiting("Python packages"):
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            uv = VENV / "bin" / "uv"
            if not uv.exists():
                run([*pip, "--require-hashes", "-r", ROOT / "requirements-installer.txt"], lock=lock)
            environment = {"UV_SYSTEM_CERTS": "1", **os.environ, **pip_settings(python)}
            for words in wanted:
                command = [uv, "pip", "install", "--quiet", "--python", python, "--no-deps", *words]
                run(command, env=environment, lock=lock)
        except SetupError as error:
            say(f"uv could not ({error}); trying pip")
            for words in wanted:
                run([*pip, "--no-deps", *words], lock=lock)


def made_from(files: Sequence[str]) -> str:
    """Return what a set-up from these files is stamped with, in the launcher's own words."""
    done = subprocess.run(["cksum", *files], cwd=ROOT, capture_output=True, check=True)
    sums = done.stdout.decode("utf-8")
    return f"{ROOT} {sums}"


def made_here() -> bool:
    """Return whether `.venv` was once complete, and in this place, which its scripts and packages name."""
    try:
        first = (VENV / STAMPS["base"][0]).read_text(encoding="utf-8").partition("\n")[0]
    except OSError:
        return False
    return first.rsplit(" ", 3)[0] == str(ROOT)  # behind it: checksum, size and name of the first file


def stamp(kind: str) -> None:
    """Record what the set-up was made from."""
    name, files = STAMPS[kind]
    temporary = VENV / f"{name}.new"
    temporary.write_text(made_from(files), encoding="utf-8")
    temporary.replace(VENV / name)


def stamped(kind: str) -> bool:
    """Return whether the set-up `kind` is complete and up to date (another run may just have made it)."""
    name, files = STAMPS[kind]
    try:
        return (VENV / name).read_text(encoding="utf-8") == made_from(files)
    except OSError:
        return False


def set_up(packages: Sequence[str], kinds: Sequence[str], lock: int, *, optional_packages: bool) -> None:
    """Do what is missing. Raises SetupError."""
    if why := misread(ROOT):
        raise SetupError(
            f"{one_line(str(ROOT))}: {why}, which programs would misread; rename it or move the project"
        )
    packages = list(packages)
    if "base" in kinds and not _brings_pip():  # else apt and .venv go beside each other
        plain = Path(sys.executable).name in ("python", "python3")
        python = "python3" if plain else f"python3.{sys.version_info[1]}"
        install_packages([f"{python}-venv", *packages])
        packages = []
    if packages and not optional_packages:
        right_to_install(packages)  # who has none hears it at once
    with ThreadPoolExecutor(max_workers=1) as pool:
        vain = Event()
        installing = pool.submit(install_packages, packages, vain) if packages else None
        missing = [kind for kind in kinds if not stamped(kind)]
        try:
            if missing:
                install_requirements(make_venv([lock]), dev="dev" in missing, lock=[lock])
                for kind in ("base", *(["dev"] if "dev" in missing else [])):
                    stamp(kind)
        except BaseException:
            vain.set()
            raise
        try:
            if installing:
                installing.result()
        except SetupError as error:
            if not optional_packages:
                raise
            say(str(error))


def and_local_machines() -> str:
    """Return what else an administrator must do for local machines, as the rest of the same command line.

    The provider stands above this module: its program is run, not imported.
    """
    command = [sys.executable, "-Es", "-m", "provision.providers.local.permission"]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    return f" && {asked.stdout}" if asked.stdout.startswith("sudo ") else ""


def _brings_pip() -> bool:
    """Return whether a virtual environment gets its pip; Debian has that in a package of its own."""
    command = [sys.executable, "-Ic", "import ensurepip"]
    return not subprocess.run(command, capture_output=True, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up what the launcher found missing. Exit status: 0 done, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="muster")
    parser.add_argument("--base", action="store_true")
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--optional-packages", action="store_true")
    parser.add_argument("--local", action="store_true")
    parser.add_argument("packages", nargs="*")
    wanted = parser.parse_args(arguments)
    kinds = [kind for kind in ("base", "dev") if getattr(wanted, kind)]
    try:
        with (ROOT / ".venv.lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with waiting("another ./muster is setting up; waiting for it"):
                    fcntl.flock(lock, fcntl.LOCK_EX)
            set_up(wanted.packages, kinds, lock.fileno(), optional_packages=wanted.optional_packages)
    except KeyboardInterrupt:
        say("interrupted; the next ./muster starts the set-up over")
        return 130
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        more = and_local_machines() if wanted.local and isinstance(error, NoRightError) else ""
        say(f"set-up failed: {error}{more}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
