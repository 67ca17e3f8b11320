"""A role's argument specs say what its defaults say."""

import base64
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from muster_node import sets
from muster_node.proofs.firewall import CHAIN
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
    folder = ROLES[0].parent / "hdfs"
    whole = yaml.safe_load((folder / "vars/main.yml").read_text())["__hdfs_units"]["format"]["creates"]
    assert f"ConditionPathExistsGlob=!{whole}\n" in (folder / "files/hdfs-format.service").read_text()
    pattern = Path(whole).name
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
    first = {path: path.read_bytes().partition(b"\n")[0].decode(errors="replace") for path in files}
    assert [path for path in files if first[path].startswith("#!") and "python" in first[path]] == [
        ROLES[0].parent / "jobs" / "templates" / "muster-job.j2",
        ROLES[0].parent / "node" / "templates" / "launcher-with-libraries.j2",
        ROLES[0].parent / "node" / "templates" / "launcher.j2",
    ]


def test_nothing_on_nodes_bends_the_path_of_imports() -> None:
    root = ROLES[0].parents[1]
    found = [
        path for name in ("node", "jobs", "roles") for path in (root / name).rglob("*") if path.is_file()
    ]
    texts = {path: path.read_text(errors="replace") for path in found if "__pycache__" not in path.parts}
    assert [path for path, text in texts.items() if "sys.path" in text] == []


def test_the_users_packages_are_looked_up_before_anything_is_installed() -> None:
    (play,) = yaml.safe_load((PROJECT / "playbooks/image/install.yml").read_text())
    tasks = [part for task in play["tasks"] for part in task.get("block", [task])]
    included = [
        task["ansible.builtin.include_role"] for task in tasks if "ansible.builtin.include_role" in task
    ]
    assert [role["tasks_from"] for role in included] == [
        *("system", "needed", "lookup", "install"),  # what services need
        *("archives", "install", "archived", "custom", "install"),  # then jobs, the user's, features
    ]
    given = {task["name"]: task.get("vars", {}) for task in tasks}
    asked, installed = (known for known in given.values() if known)
    assert asked.items() <= installed.items()
    looked = yaml.safe_load((PROJECT / "roles/base/tasks/lookup.yml").read_text())
    assert all("ansible.builtin.apt" not in task or task.get("check_mode") for task in looked)


def test_the_first_steps_on_a_new_machine() -> None:
    """The system, then what an earlier run has done; then the first boot and what everything else presupposes."""
    (play,) = yaml.safe_load((PROJECT / "playbooks/image/install.yml").read_text())
    assert play["tasks"][0]["ansible.builtin.include_role"] == {"name": "base", "tasks_from": "system"}
    assert play["module_defaults"] == {"ansible.builtin.apt": {"lock_timeout": 300}}
    assert play["vars"]["base_needed"] == "{{ node_recipe.needed }}"
    first = yaml.safe_load((PROJECT / "roles/base/tasks/needed.yml").read_text())
    timers, boot, told, apt, firewall, shut = first
    assert timers["when"] == "not base_shared", "a host of the user's own keeps its upgrades"
    assert boot["ansible.builtin.command"]["argv"][2:] == [
        "/usr/bin/cloud-init",
        "status",
        "--wait",
        "--long",
    ]
    assert "rc in [0, 2]" in told["ansible.builtin.assert"]["that"]
    assert apt["ansible.builtin.apt"]["update_cache"] is True
    assert firewall["muster_units"]["wait"] is True
    assert shut["ansible.builtin.command"]["removes"] == "/run/muster-shut"
    tasks = [path.read_text() for path in (PROJECT / "roles").glob("*/tasks/*.yml")]
    assert not [text for text in tasks if "lock_timeout" in text], "one place says how long"


def test_services_start_before_what_only_jobs_need_is_installed() -> None:
    plays = yaml.safe_load((PROJECT / "playbooks/main.yml").read_text())
    order = [(play["ansible.builtin.import_playbook"], play.get("vars", {})) for play in plays]
    assert order[1:4] == [
        ("image/install.yml", {"install_first": True}),
        ("services.yml", {}),
        ("image/install.yml", {}),
    ]
    assert order[-1][0] == "verify.yml", "it waits for all of it"


def test_the_firewall_and_the_data_disk_are_waited_for() -> None:
    tasks = yaml.safe_load((PROJECT / "roles/base/tasks/configure.yml").read_text())
    (units,) = [task["muster_files"] for task in tasks if "units" in task["muster_files"]]
    assert [unit["name"] for unit in units["units"]] == ["muster-firewall", "muster-data-disk"]
    assert units["units"][0]["proof"] == ["/usr/sbin/nft", "list", "chain", *CHAIN], "as verify looks"
    assert units["wait"] is True


def test_what_few_machines_have_costs_the_others_one_skipped_task() -> None:
    """Each is a process for each machine, in every start."""
    plays = yaml.safe_load((PROJECT / "playbooks/create.yml").read_text())
    tasks = [
        task for play in plays for task in play.get("tasks", ()) if "node_recipe" in str(task.get("when"))
    ]
    assert tasks
    assert not [task["name"] for task in tasks if "ansible.builtin.import_role" in task]


@pytest.mark.parametrize(
    ("addresses", "begins"),
    [
        (
            ["10.77.1.5"],
            'restrict,from="10.77.1.5",command="/opt/muster/bin/muster-runs wire" ssh-ed25519 AAAA',
        ),
        (["198.51.100.4/32", "192.0.2.0/24"], 'restrict,from="198.51.100.4/32,192.0.2.0/24",command='),
        ([], "\n"),
    ],
)
def test_the_queues_key_is_taken_from_where_the_master_is_seen(addresses: list[str], begins: str) -> None:
    """An empty list of addresses would be no limit."""
    known = yaml.safe_load((PROJECT / "roles/jobs/vars/main.yml").read_text())
    (entry,) = [one for one in known["__jobs_taker"] if one["dest"].endswith("/hadoop.queue")]
    words = {name: trust_as_template(text) for name, text in known.items() if isinstance(text, str)}
    given = {
        **words,
        "jobs_master_addresses": addresses,
        "__jobs_public_key": "ssh-ed25519 AAAA muster-queue",
    }
    templar = Templar(loader=DataLoader(), variables=given)
    assert templar.template(trust_as_template(entry["content"])).startswith(begins)


RELEASES = {
    "trixie": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_CODENAME=trixie\nID=debian\n',
    "bookworm": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n',
    "noble": 'PRETTY_NAME="Ubuntu 24.04 LTS"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n',
    "sid": 'PRETTY_NAME="Debian GNU/Linux forky/sid"\nID=debian\n',
    "nobody's": 'PRETTY_NAME="Built by hand"\n',
}


@pytest.mark.parametrize("name", list(RELEASES))
def test_a_machine_with_another_system_is_refused_in_one_line(name: str) -> None:
    _, refusal = yaml.safe_load((PROJECT / "roles/base/tasks/system.yml").read_text())
    given = {"base_suite": "trixie", "inventory_hostname": "retina-worker-1"}
    given["__base_release"] = {"content": base64.b64encode(RELEASES[name].encode()).decode()}
    given["__base_system"] = trust_as_template(refusal["vars"]["__base_system"])
    templar = Templar(loader=DataLoader(), variables=given)
    conditions = [
        templar.evaluate_conditional(trust_as_template(each))
        for each in refusal["ansible.builtin.assert"]["that"]
    ]
    assert all(conditions) is (name == "trixie")
    said = templar.template(trust_as_template(refusal["ansible.builtin.assert"]["fail_msg"]))
    assert said.startswith(f"retina-worker-1 runs {RELEASES[name].split(chr(34))[1]}; ")
    assert "\n" not in said


@pytest.mark.parametrize("command", ["hdfs/files/hdfs", "spark/files/spark-command"])
def test_commands_read_names_of_files_as_utf8_whatever_the_session_says(command: str, tmp_path: Path) -> None:
    text = (PROJECT / "roles" / command).read_text()
    program = tmp_path / "spark-shell"
    program.write_text(re.sub(r"exec (/usr/bin/java|/opt/spark/bin/\S+)", "exec /usr/bin/env #", text))
    done = subprocess.run(
        ["sh", program, "dfs"], env={"LC_ALL": "C"}, capture_output=True, text=True, check=True
    )
    assert "LC_ALL=C.UTF-8" in done.stdout.splitlines()


def test_hdfs_says_how_s3_is_written() -> None:
    program = PROJECT / "roles/hdfs/files/hdfs"
    done = subprocess.run(
        ["sh", program, "dfs", "-ls", "s3://muster/"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("hdfs: s3:// is not offered here; write s3a://CONTAINER/KEY")
