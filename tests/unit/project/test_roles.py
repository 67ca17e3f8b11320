"""A role's argument specs say what its defaults say."""

from pathlib import Path

import pytest
import yaml

from muster_node import sets
from provision.core.paths import PROJECT

ROLES = sorted((PROJECT / "roles").iterdir())


def options(role: Path) -> list[tuple[str, str, dict]]:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    return [
        (entry, name, option)
        for entry, spec in specs.items()
        for name, option in (spec.get("options") or {}).items()
    ]


def defaults(role: Path) -> dict:
    path = role / "defaults" / "main.yml"
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_specs_equal_defaults(role):
    known = defaults(role)
    specified = options(role)
    assert {name for _, name, _ in specified} == set(known)
    differ = [
        f"{entry}: {name}"
        for entry, name, option in specified
        if option.get("default") != known[name] and not str(known[name]).startswith("{{")
    ]
    assert differ == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_names_begin_with_the_role(role):
    assert [name for name in defaults(role) if not name.startswith(f"{role.name}_")] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_entry_point_is_specified(role):
    entries = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    tasks = {path.stem for path in (role / "tasks").glob("*.yml")}
    assert set(entries) <= tasks


@pytest.mark.parametrize(
    ("left", "formatted"),
    [
        (
            ["VERSION", "seen_txid", "fsimage.ckpt_0000000000000000000", "fsimage_0000000000000000000.md5"],
            False,
        ),
        (["VERSION", "fsimage_0000000000000000000"], True),
        (["VERSION", "fsimage_0000000000000001234", "fsimage_0000000000000001234.md5"], True),
    ],
)
def test_a_namenode_counts_as_formatted_once_it_has_an_image(
    left: list[str], formatted: bool, tmp_path: Path
) -> None:
    tasks = yaml.safe_load((ROLES[0].parent / "hdfs/tasks/service.yml").read_text())
    pattern = Path(tasks[0]["ansible.builtin.command"]["creates"]).name
    for name in left:
        (tmp_path / name).touch()
    assert bool(list(tmp_path.glob(pattern))) is formatted


def test_the_sizes_of_pictures_are_those_of_the_library() -> None:
    (size,) = [
        option
        for _, name, option in options(ROLES[0].parent / "dataset")
        if name == "dataset_image_size" and "choices" in option
    ][:1]
    assert (tuple(size["choices"]), size["default"]) == (sets.SIZES, sets.DEFAULT_SIZE)
    words = (ROLES[0].parents[1] / "docs" / "config.md").read_text()
    assert f"{', '.join(map(str, sets.SIZES[:-1]))} or {sets.SIZES[-1]}; default" in words


def test_roles_hold_no_python_and_no_link() -> None:
    files = [path for role in ROLES for path in role.rglob("*") if path.is_file() or path.is_symlink()]
    assert [path for path in files if path.is_symlink() or path.suffix == ".py"] == []
    first = {path: path.read_text().partition("\n")[0] for path in files}
    assert [path for path in files if first[path].startswith("#!") and "python" in first[path]] == [
        ROLES[0].parent / "jobs" / "templates" / "muster-job.j2",
        ROLES[0].parent / "node" / "templates" / "launcher.j2",
    ]


def test_nothing_on_nodes_bends_the_path_of_imports() -> None:
    root = ROLES[0].parents[1]
    found = [
        path for name in ("node", "jobs", "roles") for path in (root / name).rglob("*") if path.is_file()
    ]
    texts = {path: path.read_text(errors="replace") for path in found if "__pycache__" not in path.parts}
    assert [path for path, text in texts.items() if "sys.path" in text] == []
