"""What lies on this computer goes along or is sent; all else is left to the nodes."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from muster_node.ingest.request import Request
from provision.config.load import load_config
from provision.core.errors import DatasetError, NotReady
from provision.data import ingest
from provision.data.description import load
from provision.data.ingest import secret_names, send_folder, shipment
from provision.state.folder import State
from tests.unit.data.test_sets import Memory


def described(folder: Path, source: str, more: str = ""):
    file = folder / "set.yml"
    file.write_text(f"name: eyes\nsource: {source}\n{more}")
    return load(file), file


def shipped(folder: Path, source: str, more: str = "", given=None):
    with ExitStack() as stack:
        made = shipment(*described(folder, source, more), given or {}, stack)
        return {name: path.read_bytes() for path, name in made.files}, made.secrets


ARCHIVE = "{archives: [{parts: [https://h.example/a.zip]}]}"


def test_labels_beside_go_along(tmp_path):
    (tmp_path / "l.csv").write_text("image,level\n")
    files, secrets = shipped(tmp_path, ARCHIVE, "labels: {file: l.csv}")
    assert files["labels.csv"] == b"image,level\n" and secrets == {}
    assert Request.from_json(files["description.json"]).labels.inside == ""


def test_labels_elsewhere_are_left_to_nodes(tmp_path):
    files, _ = shipped(tmp_path, ARCHIVE, "labels: {file: in/l.csv}")
    assert set(files) == {"description.json"}
    assert Request.from_json(files["description.json"]).labels.inside == "in/l.csv"
    files, _ = shipped(tmp_path, ARCHIVE, "labels: {file: 'https://h.example/l.csv'}")
    assert Request.from_json(files["description.json"]).labels.where == "https://h.example/l.csv"


def test_a_list_of_this_computer_goes_along(tmp_path):
    with pytest.raises(DatasetError, match=r"train\.json: there is no such list"):
        shipped(tmp_path, "{urls: {list: ./train.json}}")
    (tmp_path / "train.json").write_text("[]")
    files, _ = shipped(tmp_path, "{urls: {list: ./train.json}}")
    assert files["list.json"] == b"[]"


def test_keys_of_another_store_come_from_the_vault(tmp_path):
    source = "{container: {kind: s3, endpoint: 'https://s3.example', container: eyes, keys: other}}"
    with pytest.raises(
        NotReady, match=r"other_access_key and other_secret_key into group_vars/all/vault\.yml"
    ):
        shipped(tmp_path, source)
    assert secret_names(described(tmp_path, source)[0]) == ("other_access_key", "other_secret_key")
    files, secrets = shipped(tmp_path, source, given={"other_access_key": "me", "other_secret_key": "hush"})
    assert sorted(secrets.values()) == ["hush", "me"]
    assert b"hush" not in files["description.json"]


def test_a_folder_is_sent_from_here(tmp_path, monkeypatch):
    folder = tmp_path / "eyes"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "l.csv").write_text("image,level\na,1\nb,0\n")
    store = Memory()

    @contextmanager
    def opened(*_args):
        yield store

    monkeypatch.setattr(ingest, "open_store", opened)
    monkeypatch.setattr(ingest.sets, "open_store", opened)
    described_as, file = described(tmp_path, "{folder: eyes}", "kind: eye\nlabels: {file: l.csv}")
    (tmp_path / "c.yml").write_text("plugin: cluster\ncluster: c\n")
    spec, state = load_config(tmp_path / "c.yml", {}), State(tmp_path / "state")
    done = send_folder(spec, state, described_as, file, lambda _: None)
    assert done.images == 2
    assert json.loads(store.get("eyes/raw/description.json"))["kind"] == "eye"
    assert send_folder(spec, state, described_as, file, lambda _: None).sent == 0
    for source in ({"images": 7, "files": "x", "labels": "y"}, {"images": 2, "files": "x", "labels": "y"}):
        store.put("eyes/raw/source.json", json.dumps(source).encode())
        before = dict(store.content)
        with pytest.raises(DatasetError, match=r"is not what was sent .* as eyes"):
            send_folder(spec, state, described_as, file, lambda _: None)
        assert store.content == before, "images of two sources never lie in one data set"
