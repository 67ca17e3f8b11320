"""A computer in memory that can be killed: the provider, the stores and the network outlive the killed process."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from provision.cluster.cluster import Cluster
from provision.cluster.store import StoreLink
from provision.cluster.view import ClusterView
from provision.core import files
from provision.core.errors import MusterError, Unreachable
from provision.core.model import ClusterIdentity, CreateRequest, Machine, NodeState, Plan, Price
from provision.core.spec import ClusterSpec, DatasetSpec, NodeGroup, ObjectStoreSpec, Packages
from provision.images.recipe import Recipe
from provision.jobs.queue import Queue, queue_of
from provision.providers.base import Machines, Provider, Texts
from provision.providers.facts import facts_of
from provision.ssh.pinning import Reach
from provision.state.folder import State, Store, Target
from provision.state.journal import Journal
from tests.fakes.queue import record

OWN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43


class KilledError(BaseException):
    """The process was killed here; like SIGKILL, nothing of the program may catch it."""


@dataclass
class Clock:
    """Counts the moments at which a process can be killed, and kills it at one of them."""

    kill_at: int = 0
    now: int = 0
    dead: bool = False
    seen: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tick(self, what: str) -> None:
        with self.lock:
            self.now += 1
            self.seen.append(what)
            if self.dead or self.now == self.kill_at:
                self.dead = True
                raise KilledError(what)

    def restart(self, kill_at: int = 0) -> None:
        self.kill_at, self.now, self.dead = kill_at, 0, False
        self.seen.clear()


@dataclass
class World:
    """What exists outside of the process."""

    clock: Clock = field(default_factory=Clock)
    machines: dict[str, Machine] = field(default_factory=dict)
    users_of_store: dict[str, set[str]] = field(default_factory=dict)
    has_bootstrap: set[str] = field(default_factory=set)
    unreachable: set[str] = field(default_factory=set)
    refuse_create: MusterError | None = None
    orders: list[str] = field(default_factory=list)
    armed: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    """The last command that each machine was given as root."""
    to_copy: list[object] = field(default_factory=list)
    """What the master answers when it is asked what HDFS has still to copy, in turn; then, a block once."""
    jobs: list[str] = field(default_factory=list)
    """Runs of jobs on the master."""
    asked: list[tuple[str, ...]] = field(default_factory=list)
    """Questions to the master's queue of jobs."""
    silent: bool = False
    """True when the master does not answer."""
    hourly: float | None = None
    """What a machine costs; None = nobody is paid."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def names(self) -> list[str]:
        return sorted(machine.name for machine in self.machines.values())


class FakeProvider(Provider):
    name: ClassVar[str] = "local"

    def __init__(self, world: World, spec: ClusterSpec) -> None:
        super().__init__(spec, Path("/none"))
        self.world = world

    @property
    def paid(self) -> bool:
        return self.world.hourly is not None

    def label(self, cluster: ClusterIdentity, labels: Mapping[str, Mapping[str, str]]) -> None:
        self.world.clock.tick("label")
        for provider_id, more in labels.items():
            machine = self.world.machines[provider_id]
            self.world.machines[provider_id] = replace(machine, labels={**machine.labels, **more})

    def everything(self) -> Machines:
        return [
            replace(m, labels={**m.labels, "cluster": "retina", "cluster_id": m.labels["cluster"]})
            for m in self.world.machines.values()
        ]

    def price(self, group: NodeGroup) -> Price | None:
        return None if self.world.hourly is None else Price(self.world.hourly, "a fair price")

    def check_ready(self, spec: ClusterSpec, plan: Plan) -> list[str]:
        self.world.clock.tick("check_ready")
        return []

    def list(self, cluster: ClusterIdentity) -> Machines:
        self.world.clock.tick("list")
        return [m for m in self.world.machines.values() if m.labels["cluster"] == cluster.id]

    def create(self, request: CreateRequest) -> Machines:
        world = self.world
        world.clock.tick("create: before")
        if world.refuse_create:
            raise world.refuse_create
        made = {m.name: m for m in world.machines.values() if m.token == request.token}
        for name in request.names:
            if name not in made:
                number = next(world.numbers)
                world.orders.append(name)
                made[name] = world.machines[f"i-{number}"] = Machine(
                    provider_id=f"i-{number}",
                    name=name,
                    group=request.group.name,
                    state=NodeState.RUNNING,
                    address=f"10.0.0.{number}",
                    ssh_address=f"10.0.0.{number}",
                    created=0.0,
                    token=request.token,
                    image=request.image,
                    labels={**request.labels, "cluster": request.cluster.id},
                )
                world.has_bootstrap.add(f"i-{number}")
            world.clock.tick(f"create: made {name}")
        return list(made.values())

    def start(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        for machine in machines:
            self.world.clock.tick(f"start {machine.name}")
            self.set_state(machine, NodeState.RUNNING)

    def stop(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        for machine in machines:
            self.world.clock.tick(f"stop {machine.name}")
            self.set_state(machine, NodeState.STOPPED)

    def reshape(self, cluster: ClusterIdentity, group: NodeGroup, machines: Sequence[Machine]) -> None:
        for machine in machines:
            self.world.clock.tick(f"reshape {machine.name}")
            now = self.world.machines[machine.provider_id]
            assert now.state is NodeState.STOPPED, "machines that run keep what they have"
            labels = {**now.labels, **group.shape_labels}
            self.world.machines[machine.provider_id] = replace(now, labels=labels)

    def set_state(self, machine: Machine, state: NodeState) -> None:
        now = self.world.machines[machine.provider_id]
        self.world.machines[machine.provider_id] = replace(now, state=state)

    def delete(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> Texts:
        self.world.clock.tick("delete: before")
        for machine in machines:
            self.world.machines[machine.provider_id] = replace(machine, state=NodeState.DELETING)
            self.world.clock.tick(f"delete: half {machine.name}")
            del self.world.machines[machine.provider_id]
            self.world.clock.tick(f"delete: done {machine.name}")
        return []


@dataclass
class FakeReach(Reach):
    world: World

    def _find(self, target: Target) -> Machine | None:
        self.world.clock.tick(f"ssh {target.name}")
        if target.name in self.world.unreachable:
            raise Unreachable(
                machines=[target.name], what="not reachable by SSH after 60 s", remedy="Look at it"
            )
        return next((m for m in self.world.machines.values() if m.address == target.address), None)

    def pin_own_key(
        self, target: Target, key_file: Path, *, deadline_s: float, pinned: Any, stop: Any
    ) -> str:
        machine = self._find(target)
        assert machine is not None
        assert key_file.is_file()
        assert machine.provider_id in self.world.has_bootstrap, "its bootstrap key is gone: nobody can get in"
        pinned(OWN)
        self.world.clock.tick("bootstrap key: before")
        self.world.has_bootstrap.discard(machine.provider_id)
        self.world.clock.tick("bootstrap key: removed")
        return OWN

    def check(
        self, target: Target, key_file: Path, *, deadline_s: float, unfinished: bool, stop: Any
    ) -> None:
        machine = self._find(target)
        assert target.host_key == OWN
        if machine is not None and unfinished:
            self.world.has_bootstrap.discard(machine.provider_id)

    def close_shared(self, state: State) -> None:
        pass

    def run_as_root(self, state: State, names: Sequence[str], command: str) -> dict[str, str]:
        failed = {}
        for name in names:
            self.world.clock.tick(f"tell {name}")
            if name in self.world.unreachable:
                failed[name] = "no answer"
            else:
                self.world.armed[name] = command.rsplit(maxsplit=1)[-1]
                self.world.commands[name] = command
        return failed

    def ask_as_root(self, state: State, target: Target, script: str, *, timeout_s: float) -> str:
        name = target.name
        self.world.clock.tick(f"ask {name}")
        assert target.host_key == OWN
        self.world.commands[name] = script
        if name in self.world.unreachable:
            raise Unreachable(machines=[name], what="no answer", remedy="Look at it")
        if self.world.to_copy:
            return json.dumps(self.world.to_copy.pop(0))
        leaving = re.findall(r'''"leaving": \["([^"]*)"''', script)
        return json.dumps({"left": dict.fromkeys(leaving, 1) if '"begin"' in script else {}})


@dataclass(frozen=True)
class FakeQueue(Queue):
    """The queue of the master in `world`: its jobs run; without any nobody may ask it."""

    world: World | None = None

    def ask(self, *words: str, timeout_s: float | None = None) -> Any:
        assert self.world is not None
        assert timeout_s is not None and timeout_s <= 10, "a silent master would be waited for"
        self.world.asked.append(words)
        if self.world.silent:
            raise Unreachable(machines=[self.master], what=f"no answer within {timeout_s:g} s")
        return [record(run, state="running") for run in self.world.jobs]


class FakeStores(StoreLink):
    def __init__(self, world: World) -> None:
        super().__init__(no_image)
        self.world = world

    def check(self, spec: ClusterSpec, state: State) -> list[str]:
        self.world.clock.tick("store: checked")
        return []

    def prepare(self, spec: ClusterSpec) -> str:
        return "store-image"

    def open(
        self, spec: ClusterSpec, identity: ClusterIdentity, state: State, *, image: str, login_key: str
    ) -> Store | None:
        if spec.object_store.kind != "local":
            return None
        if spec.object_store.name not in state.journal.read().stores:
            state.journal.store(spec.object_store.name)
        self.world.clock.tick("store: before")
        self.world.users_of_store.setdefault(spec.object_store.name, set()).add(identity.id)
        self.world.clock.tick("store: opened")
        return Store(spec.object_store.name, "10.1.0.10", OWN, image)

    def close(self, name: str, identity: ClusterIdentity) -> None:
        self.world.clock.tick("store: closing")
        self.world.users_of_store.get(name, set()).discard(identity.id)
        self.world.clock.tick("store: closed")


class SilentReporter:
    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def phase(self, name: str, detail: str = "") -> Iterator[None]:
        yield

    def say(self, text: str) -> None:
        self.lines.append(text)


def group(name: str, count: int | None = None, *, provider: str = "local", **more: Any) -> NodeGroup:
    """A group; its settings are the defaults of its provider."""
    return NodeGroup(**{"name": name, "provider": provider, "count": count, "cores": 2, "memory_gb": 2.0,
                        "data_disk_gb": 10, "settings": facts_of(provider).settings()} | more)  # fmt: skip


def spec(
    nodes: int = 3,
    *,
    gpu: int = 0,
    given: bool = True,
    path: Path = Path("/none/retina.yml"),
    **more: Any,
) -> ClusterSpec:
    groups = [group("master", 1, memory_gb=3.0), group("worker")] + ([group("gpu", gpu)] if gpu else [])
    return ClusterSpec(
        name="retina",
        provider="local",
        nodes=nodes,
        groups=tuple(groups),
        object_store=ObjectStoreSpec(),
        dataset=DatasetSpec(),
        packages=Packages(),
        setup="",
        access={},
        path=path,
        nodes_given=given,
        **more,
    )


def machine(name: str, state: NodeState = NodeState.RUNNING, *, group: str = "", id: str = "") -> Machine:
    group = group or name.split("-")[1]
    return Machine(id or f"i-{name}", name, group, state, "10.0.0.9", "10.0.0.9", 0.0, "t")


def silent_queue(state: State, root: Path) -> Queue:
    """The queue of a master that does not answer."""
    return FakeQueue(**vars(queue_of(state, root)), world=World(silent=True))


def no_image(_: Recipe) -> str:
    return ""


def cluster(
    world: World,
    root: Path,
    nodes: int = 3,
    *,
    config: ClusterSpec | None = None,
    provider: type[FakeProvider] = FakeProvider,
    **more: Any,
) -> Cluster:
    """A new process's view: everything but the world and the disk is made anew."""
    view = ClusterView(
        config or spec(nodes, path=root / "retina.yml", **more),
        root=root,
        provider=lambda _name, spec, _notes: provider(world, spec),
        queue=lambda state, root: FakeQueue(**vars(queue_of(state, root)), world=world),
    )
    return Cluster(
        view,
        reporter=SilentReporter(),
        reach=FakeReach(world),
        stores=FakeStores(world),
        bake=lambda _: "image",
    )


def make_disk_mortal(monkeypatch: Any, clock: Clock) -> None:
    """Let the process be killed around every journal record (also half-way), file and removal."""
    append, write, remove, reset = Journal._append, files.write, State.remove, State.reset
    rmtree = shutil.rmtree
    monkeypatch.setattr("os.fsync", lambda _: None)

    def mortal(
        kind: str, real: Callable[..., Any], torn: Callable[..., None] | None = None
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            clock.tick(f"{kind}: before")
            if torn is not None:
                try:
                    clock.tick(f"{kind}: half")
                except KilledError:
                    torn(*args)
                    raise
            result = real(*args, **kwargs)
            clock.tick(f"{kind}: after")
            return result

        return call

    def torn_record(journal: Journal, record: dict[str, Any]) -> None:
        if journal.exists():
            with journal._lock, journal.path.open("ab") as stream:
                stream.write(b'{"kind":"cl')

    monkeypatch.setattr(Journal, "_append", mortal("journal", append, torn_record))
    monkeypatch.setattr(files, "write", mortal("file", write))
    monkeypatch.setattr("provision.state.folder.shutil.rmtree", mortal("rmtree", rmtree))
    monkeypatch.setattr(State, "remove", mortal("remove", remove))
    monkeypatch.setattr(State, "reset", mortal("reset", reset))
