"""One cluster of a test: its config file, its state, and the commands that a user would type."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import testinfra
import yaml
from testinfra.host import Host

from provision.core.paths import PROJECT
from provision.ssh.run import BATCH, ssh_command
from tests.names import MARK

BINARIES = Path(sys.executable).parent
RECAP = re.compile(
    r"^\S+\s*: ok=\d+\s+changed=(?P<changed>\d+)\s+unreachable=",
    re.MULTILINE,
)
RUN = re.compile(r"\b[a-z0-9_][\w.-]*-\d{8}-\d{6}-[0-9a-f]{4}\b")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Run:
    """A command that has ended."""

    command: str
    status: int
    output: str
    seconds: float
    answer: str = ""
    """Standard output alone."""

    def ok(self) -> Run:
        """Assert that it succeeded; return it."""
        assert self.status == 0, self.report()
        return self

    def refused(self, pattern: str) -> Run:
        """Assert that it failed and that one single line says why; return it."""
        assert self.status != 0, f"this should have failed:\n{self.report()}"
        assert "Traceback" not in self.output, self.report()
        assert "Origin: " not in self.output, f"more than a line: {self.report()}"
        assert any(re.search(pattern, line) for line in self.output.splitlines()), (
            f"no line says {pattern!r}\n{self.report()}"
        )
        return self

    @property
    def changed(self) -> int:
        """How many tasks changed something, over all hosts."""
        found = [int(match["changed"]) for match in RECAP.finditer(self.output)]
        assert found, f"no recap\n{self.report()}"
        return sum(found)

    def json(self) -> Any:
        """Return the answer of a `--json` command."""
        try:
            return json.loads(self.answer)
        except ValueError:
            raise AssertionError(f"no JSON on standard output\n{self.report()}") from None

    def report(self, lines: int = 60) -> str:
        """Return what a person needs to see when this went wrong."""
        tail = "\n".join(self.output.splitlines()[-lines:])
        return f"$ {self.command}\n{tail}\n=> status {self.status} after {self.seconds:.1f} s"


class Lab:
    """A cluster in the making. Nothing happens until a command is run; `close` takes everything away."""

    def __init__(self, folder: Path, store: str, *, nodes: int = 3, name: str = "", **keys: Any) -> None:
        self.name = name or f"{MARK}{secrets.token_hex(2)}"
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / f"{self.name}.yml"
        self.nodes = nodes
        self.store = store
        self.runs: set[str] = set()
        self.keys: dict[str, Any] = {
            "plugin": "cluster",
            "cluster": self.name,
            "provider": "local",
            "nodes": nodes,
            "groups": {
                "master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 20},
                "worker": {"cores": 2, "memory_gb": 2, "data_disk_gb": 20},
            },
            "object_store": {"name": store},
            "dataset": {"source": "digits"},
            **keys,
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.write()

    def write(self, **keys: Any) -> None:
        """Write the config file, with some keys changed."""
        self.keys |= keys
        self.config.write_text(yaml.safe_dump(self.keys, sort_keys=False))

    @property
    def state_dir(self) -> Path:
        """The cluster's own state folder."""
        return self.state / self.name

    @property
    def master(self) -> str:
        """The name of the master."""
        return f"{self.name}-master"

    def worker(self, number: int) -> str:
        """The name of a worker, from 1."""
        return f"{self.name}-worker-{number}"

    @property
    def names(self) -> list[str]:
        """The names of the machines as the config file wants them."""
        return [self.master, *(self.worker(number) for number in range(1, self.nodes))]

    def drop_results(self) -> None:
        """Remove what runs of this cluster have brought home."""
        for run in self.runs:
            shutil.rmtree(PROJECT / "results" / run, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """Return the environment of the commands."""
        own = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("ANSIBLE_", "MUSTER_", "PYTEST_"))
        }
        return own | {
            "MUSTER_STATE": str(self.state),
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
        }

    def command(self, playbook: str, *arguments: str) -> list[str]:
        """Return the command line of a playbook."""
        return ["ansible-playbook", "-i", str(self.config), playbook, *arguments]

    def playbook(
        self, playbook: str, *arguments: str, timeout: float = 900, before: tuple[str, ...] = ()
    ) -> Run:
        """Run a playbook to its end; `before` is a command that starts it, such as unshare."""
        return self.run([*before, *self.command(playbook, *arguments)], timeout=timeout)

    def muster(self, *arguments: str, timeout: float = 900) -> Run:
        """Run `./muster -i FILE …`."""
        return self.run([str(PROJECT / "muster"), "-i", str(self.config), *arguments], timeout=timeout)

    def run(
        self,
        command: list[str],
        *,
        timeout: float = 900,
        cwd: Path = PROJECT,
        settings: Mapping[str, str] | None = None,
    ) -> Run:
        """Run a command of the user's to its end, in another folder and with settings added if wished."""
        begin = time.monotonic()
        log = self.folder / "log"
        with log.open("ab") as errors:
            position = errors.tell()
            errors.write(f"\n$ {' '.join(command)}\n".encode())
            errors.flush()
            try:
                done = subprocess.run(
                    command,
                    cwd=cwd,
                    env=self.environment() | dict(settings or {}),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    timeout=timeout,
                    check=False,
                )
                answer, status = done.stdout, done.returncode
            except subprocess.TimeoutExpired as late:
                answer, status = late.stdout or b"", 124
            errors.write(answer)
        text = COLOUR.sub("", log.read_bytes()[position:].decode(errors="replace"))
        self.runs.update(RUN.findall(text))
        return Run(
            " ".join(command),
            status,
            text,
            time.monotonic() - begin,
            COLOUR.sub("", answer.decode(errors="replace")),
        )

    def start(self, playbook: str, *arguments: str) -> Started:
        """Start a playbook in a process group of its own, to be killed or waited for."""
        return Started(self, self.command(playbook, *arguments))

    def kill_after(
        self, condition: Callable[[], bool], playbook: str, *arguments: str, group: bool = True
    ) -> bool:
        """Start a playbook and kill -9 it once `condition` holds; return False when it had ended before.

        `group` kills the whole process group, else only ansible-playbook itself.
        """
        started = self.start(playbook, *arguments)
        while started.process.poll() is None and not condition():
            time.sleep(0.01)
        running = started.process.poll() is None
        started.kill(group=group)
        return running

    def up(self, size: int = 16, *arguments: str) -> None:
        """Bring it all up: machines, services, data."""
        self.playbook("start_cluster.yml", *arguments).ok()
        self.playbook("main.yml", "-e", f"IMAGE_SIZE={size}", *arguments).ok()

    def destroy(self) -> Run:
        """Delete the machines, whatever runs on them."""
        return self.playbook("destroy_cluster.yml", "-e", "FORCE=true", timeout=180)

    def node(self, name: str, user: str = "hadoop", *, sudo: bool = False) -> Host:
        """Return a machine, over the ssh_config that the cluster has written (with sudo: as user muster)."""
        who = "muster" if sudo else user
        return testinfra.get_host(
            f"ssh://{who}@{name}", ssh_config=str(self.state_dir / "ssh_config"), sudo=sudo, timeout=10
        )

    def ssh(self, name: str, script: str, user: str = "hadoop", *, timeout: float = 300) -> Run:
        """Run a shell script on a machine, as in a login of the user."""
        command = ssh_command(
            self.state_dir.resolve() / "ssh_config", name, script, options=(*BATCH, "-l", user)
        )
        return self.run(command, timeout=timeout)

    def status(self) -> dict[str, Any]:
        """Return `./muster status --json`."""
        return dict(self.muster("status", "--json", timeout=60).ok().json())

    def machines(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the computer's own registry of this cluster's machines, by name."""
        return {
            node["name"]: node
            for node in registry()["nodes"].values()
            if node["name"].startswith(f"{self.name}-")
        }


class Started:
    """A playbook that runs."""

    def __init__(self, lab: Lab, command: list[str]) -> None:
        self.command = command
        self.log = lab.folder / f"log-{secrets.token_hex(2)}"
        self.begin = time.monotonic()
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=lab.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self, text: str) -> bool:
        """Whether it has printed `text`."""
        return text in self.log.read_text(errors="replace")

    def kill(self, *, group: bool) -> None:
        """Kill it with SIGKILL."""
        if self.process.poll() is None:
            (os.killpg if group else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, timeout: float = 900) -> Run:
        """Wait until it has ended."""
        status = self.process.wait(timeout)
        text = COLOUR.sub("", self.log.read_text(errors="replace"))
        return Run(" ".join(self.command), status, text, time.monotonic() - self.begin, text)


def registry() -> dict[str, Any]:
    """Return the truth about local machines on this computer."""
    try:
        found = json.loads(Path("/var/lib/muster/registry.json").read_text())
    except FileNotFoundError:
        found = {}
    return {"nodes": {}, "networks": {}, "stores": {}} | found


def eventually(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until `condition` gives something true, and return that; fail after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        last: Any
        try:
            last = condition()
        except AssertionError as error:
            last, why = None, str(error)
        else:
            why = repr(last)
        if last:
            return last
        assert time.monotonic() < end, f"after {seconds} s still not {what}: {why}"
        time.sleep(0.25)
