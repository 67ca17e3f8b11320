"""Bringing a data set in as described: what lies here is sent, the rest is a job of the cluster."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from muster_node import sets as layout
from muster_node.ingest.request import KEYS, LIST, REQUEST, TABLE
from provision.core import terminal
from provision.core.errors import DatasetError, NotReady
from provision.core.spec import ClusterSpec
from provision.data import sets
from provision.data.description import DescriptionModel, to_request
from provision.data.fingerprint import require_unchanged
from provision.data.stores.open import open_store
from provision.jobs import runs
from provision.jobs.queue import Queue, Sink
from provision.state.folder import State

JOB = "ingest"


@dataclass(frozen=True)
class Shipment:
    """What is submitted: files (path here, name there) and secrets."""

    files: tuple[tuple[Path, str], ...]
    secrets: Mapping[str, str]


def bring(
    spec: ClusterSpec,
    state: State,
    queue: Queue,
    described: DescriptionModel,
    file: Path,
    *,
    given: Mapping[str, str] | None = None,
    deadline: float = 0,
    follow: bool = True,
    sink: Sink | None = None,
    say: Callable[[str], None] = terminal.say,
) -> str:
    """Bring a data set in; return the run that does it, '' when it was sent from here. Raises MusterError.

    Args:
        spec: the cluster's config.
        state: of the cluster.
        queue: of its jobs.
        described: the data set.
        file: the description, beside which relative paths begin.
        given: the variables of the vault.
        deadline: when the machines end, in seconds since the epoch; 0 = never by themselves.
        follow: wait for the run's end and fetch its report.
        sink: gets the log; default: standard output.
        say: gets one-line messages.
    """
    if described.source.folder:
        done = send_folder(spec, state, described, file, say)
        for note in done.notes:
            say(note)
        say(f"{described.name}: {done.images} images are in the object store")
        return ""
    with ExitStack() as stack:
        ship = shipment(described, file, given or {}, stack)
        return runs.submit(
            queue,
            JOB,
            deadline=deadline,
            files=ship.files,
            secrets=ship.secrets,
            follow=follow,
            sink=sink,
            say=say,
        )


def send_folder(
    spec: ClusterSpec, state: State, described: DescriptionModel, file: Path, say: Callable[[str], None]
) -> sets.Uploaded:
    """Send a folder of this computer to the object store, with what is said of it. Raises MusterError.

    What is there of another source under this name is left as it is, and a DatasetError.

    Args:
        spec: the cluster's config.
        state: of the cluster.
        described: the description.
        file: it was read from, beside which relative paths begin.
        say: gets a line now and then.
    """
    folder = file.parent / Path(described.source.folder).expanduser()
    labels = described.labels.file
    if labels and not (folder / labels).is_file() and (file.parent / labels).is_file():
        labels = str((file.parent / labels).resolve())
    about = {"kind": described.kind, "multi_label": described.multi_label}
    keys = [key(described.name) for key in (layout.labels_key, layout.source_key, layout.description_key)]
    with open_store(spec, state) as store:
        there = {item.key for item in store.objects(f"{described.name}/raw/") if item.key in keys}
        if {*keys[:2]} <= there:  # whole already: images of another source would come in between
            sent = json.loads(store.get(keys[1]))
            require_unchanged(described.name, folder, labels, sent, multi_label=described.multi_label)
        store.put(keys[2], json.dumps(about).encode())
    dataset = replace(spec.dataset, multi_label=described.multi_label, on_bad_labels=described.on_bad_labels)
    return sets.source_to_store(replace(spec, dataset=dataset), state, described.name, folder, labels, say)


def shipment(described: DescriptionModel, file: Path, given: Mapping[str, str], stack: ExitStack) -> Shipment:
    """Return what the job `ingest` gets. Raises DatasetError: a file is not there; NotReady: no keys.

    Args:
        described: the description.
        file: it was read from.
        given: the variables of the vault.
        stack: keeps what is made for it.
    """
    beside = file.parent / Path(described.labels.file).expanduser()
    labels_beside = bool(described.labels.file) and beside.is_file()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    (folder / REQUEST).write_text(
        to_request(described, labels_beside=labels_beside).to_json(), encoding="utf-8"
    )
    files = [(folder / REQUEST, REQUEST)]
    if labels_beside:
        files.append((beside, TABLE))
    urls = described.source.urls
    if urls and not urls.list.startswith(("http://", "https://")):
        listed = file.parent / Path(urls.list).expanduser()
        if not listed.is_file():
            raise DatasetError(
                where=str(listed), what="there is no such list of images", remedy="See source.urls"
            )
        files.append((listed, LIST))
    return Shipment(tuple(files), _secrets(described, given))


def secret_names(described: DescriptionModel) -> tuple[str, ...]:
    """Return the vault's variables with the keys of another store: access key and secret key."""
    container = described.source.container
    return tuple(f"{container.keys}_{part}" for part in ("access_key", "secret_key")) if container else ()


def _secrets(described: DescriptionModel, given: Mapping[str, str]) -> dict[str, str]:
    names = secret_names(described)
    values = [given.get(name, "") for name in names]
    if not all(values):
        raise NotReady(
            where=described.name,
            what="there are no keys for the container",
            remedy=f"Put {' and '.join(names)} into group_vars/all/vault.yml",
        )
    return dict(zip(KEYS, values, strict=False))
