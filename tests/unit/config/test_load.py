"""Every bad input gives one line with file, key, what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from provision.config.load import load_config, require_dataset
from provision.core.errors import ConfigError
from provision.core.spec import Duration, Preparation
from provision.providers.ec2.config import Ec2Block, Ec2Settings
from provision.providers.softlayer.config import SoftLayerSettings

GOOD = """
plugin: cluster
cluster: retina
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, extra: dict | None = None, name: str = "retina.yml"):
    path = Path.cwd() / name
    path.write_text(dedent(text))
    return load_config(path, extra)


def line(text: str, extra: dict | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, extra)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_smallest_config() -> None:
    spec = load(GOOD)
    assert (spec.name, spec.provider, spec.nodes, spec.nodes_given) == ("retina", "local", 3, False)
    assert [(group.name, group.count) for group in spec.groups] == [("master", 1), ("worker", None)]
    assert spec.object_store.name == "default"
    assert spec.dataset.source == "digits"


def test_groups_in_file_order_after_the_master() -> None:
    spec = load(GOOD + "groups: {gpu: {count: 2}, worker: {cores: 4}, master: {memory_gb: 4}}")
    assert [group.name for group in spec.groups] == ["master", "gpu", "worker"]
    assert spec.group("worker").cores == 4
    assert spec.group("master").memory_gb == 4.0


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ("nods: 3", "retina.yml: nods: unknown key. Did you mean `nodes`?"),
        ("features: [trackin]", "retina.yml: features: is 'trackin'. Known: tracking, notebook, launcher"),
        ("zebra: 3", "retina.yml: zebra: unknown key. Known here: access, allow_from, "),
        ("groups: {worker: {core: 3}}", "retina.yml: groups.worker.core: unknown key. Did you mean `cores`?"),
        ("packages: {atp: [tree]}", "retina.yml: packages.atp: unknown key. Did you mean `apt`?"),
        ("local: {subnets: x}", "retina.yml: local.subnets: unknown key. Did you mean `subnet`?"),
        ("nodes: three", "retina.yml: nodes: must be a whole number, not 'three'. Correct the value"),
        ("nodes: 2.5", "retina.yml: nodes: must be a whole number, not 2.5. Correct the value"),
        ("nodes: yes", "retina.yml: nodes: must be a whole number, not True. Correct the value"),
        ("nodes: 0", "retina.yml: nodes: must be at least 1, not 0. Correct the value"),
        ("nodes: -1", "retina.yml: nodes: must be at least 1, not -1. Correct the value"),
        ("groups: {worker: {cores: two}}", "retina.yml: groups.worker.cores: must be a whole number, not 'two'"),
        ("groups: {worker: {memory_gb: lots}}", "retina.yml: groups.worker.memory_gb: must be a number, not 'lots'"),
        ("groups: {worker: {memory_gb: 0.2}}", "retina.yml: groups.worker.memory_gb: must be at least 1"),
        ("groups: [master]", "retina.yml: groups: must be a mapping of names to values, not ['master']"),
        ("groups: {worker: 3}", "retina.yml: groups.worker: must be a mapping of keys to values, not 3"),
        ("groups: {worker: {count: 3}}", "retina.yml: groups: the group worker takes no `count`. Set `nodes`"),
        ("groups: {master: {count: 2}}", "retina.yml: groups: there is exactly one master. Leave its `count` out"),
        ("groups: {gpu: {cores: 2}}", "retina.yml: groups: the group 'gpu' has no `count`. Say how many"),
        ("groups: {datanode: {count: 1}}", "retina.yml: groups: the group name 'datanode' is reserved."),
        ("groups: {My-Group: {count: 1}}", "retina.yml: groups: 'My-Group' cannot be the name of a group."),
        ("provider: azure", "retina.yml: provider: unknown provider 'azure'. Known: local"),
        ("groups: {worker: {provider: ecc2}}", "retina.yml: groups.worker.provider: unknown provider 'ecc2'."),
        ("packages: {apt: tree}", "retina.yml: packages.apt: must be a list, not 'tree'"),
        ("packages: {apt: ['a; rm -rf /']}", "retina.yml: packages.apt: 'a; rm -rf /' is no Debian package name"),
        ("packages: {pip: ['--index-url=x']}", "retina.yml: packages.pip: '--index-url=x' is no Python requirement"),
        ("setup: nowhere.sh", "retina.yml: setup: there is no file 'nowhere.sh'. Looked in "),
        ("groups: {gpu: {count: 1, setup: no.sh}}", "retina.yml: groups.gpu.setup: there is no file 'no.sh'."),
        ("access: {katie: hello}", "retina.yml: access: no SSH public key for katie."),
        ("access: {root: hello}", "retina.yml: access: 'root' cannot be a user's name here."),
        ("access: {al: '-----BEGIN OPENSSH PRIVATE KEY-----'}", "retina.yml: access: that is the private key of al."),
        ("object_store: {kind: ftp}", "retina.yml: object_store.kind: unknown kind of object store 'ftp'. Known: "),
        ("object_store: {name: My_Store}", "retina.yml: object_store.name: 'My_Store' cannot be the name of a store."),
        ("object_store: {container: x}", "retina.yml: object_store.container: 'x' cannot be a container."),
        ("dataset: {source: 3}", "retina.yml: dataset.source: must be text, not 3"),
        ("dataset: {sizes: [17]}", "retina.yml: dataset.sizes: no pictures of 17 pixels a side are made. Use 16,"),
        ("dataset: {label: l.csv}", "retina.yml: dataset.label: unknown key. Did you mean `labels`?"),
        ("dataset: {on_bad_labels: skip}", "retina.yml: dataset.on_bad_labels: is 'skip'. Known: stop, drop"),
        ("dataset: {multi_label: 1}", "retina.yml: dataset.multi_label: must be true or false, not 1"),
        ("dataset: {balance: equal}", "retina.yml: dataset.balance: is 'equal'. Known: none, weights, subsample"),
        ("dataset: {sample: 0}", "retina.yml: dataset.sample: must be more than 0"),
        ("dataset: {sample: 5}", "retina.yml: dataset.sample: must be at most 1"),
        ("dataset: {subject: '(.+'}", "retina.yml: dataset.subject: '(.+' is no pattern: missing ), unterminated"),
        ("dataset: {subject: 'x'}", "retina.yml: dataset.subject: 'x' has no group in parentheses. Write it like '(.+)_("),
        ("dataset: {subject: '(a+)+'}", "retina.yml: dataset.subject: '(a+)+' takes more than 2 s to compare: repeat"),
        ("local: {subnet: 8.8.8.0/24}", "retina.yml: local.subnet: '8.8.8.0/24' is no private network."),
        ("local: {subnet: 10.77.300.0/24}", "retina.yml: local.subnet: '10.77.300.0/24' is no subnet of 256 addresses."),
        ("ttl: soon", "retina.yml: ttl: 'soon' is no duration. Write it like 90m, 8h or 2d"),
        ("deadlines: {boot: 0}", "retina.yml: deadlines.boot: must be more than 0"),
        ("nodes: 3\nnodes: 4", "retina.yml: 'nodes' is given twice, in lines 4 and 5 (line 5). Remove one of them"),
        ("groups: {gpu: {count: 1}, gpu: {count: 2}}", "retina.yml: 'gpu' is given twice, in lines 4 and 4"),
        ("groups: {", "retina.yml: "),
        ("setup: !!python/object:os.system x", "retina.yml: could not determine a constructor"),
    ],
)  # fmt: skip
def test_one_line(addition: str, said: str) -> None:
    assert line(GOOD + addition).startswith(said)


@pytest.mark.parametrize("name", ["Retina", "retina_1", "1st", "-x", "x-", "a" * 31, "re tina", "retina.x"])
def test_cluster_name_must_be_a_host_name(name: str) -> None:
    said = line(f"plugin: cluster\ncluster: '{name}'")
    assert said.startswith(f"retina.yml: cluster: {name!r} cannot be part of a host name. Use a-z")


def test_machine_names_have_a_limit() -> None:
    said = line("plugin: cluster\ncluster: " + "a" * 28 + "\ngroups: {very_long_group: {count: 1}}")
    assert "names of more than 41 characters. Choose a shorter name" in said


def test_num_nodes_keeps_the_limit_of_machine_names() -> None:
    text = "plugin: cluster\ncluster: " + "a" * 30 + "\ngroups: {worker: {cores: 1}, gpu_1234: {count: 1}}"
    assert load(text).nodes == 3
    assert load(text, {"NUM_NODES": 9}).nodes == 9
    assert line(text, {"NUM_NODES": 10}).startswith("-e NUM_NODES=10: ")
    assert load(GOOD, {"NUM_NODES": 1000}).nodes == 1000, "the memory check says how many fit"


def test_missing_and_foreign_files() -> None:
    assert line("plugin: cluster") == "retina.yml: cluster: is missing. Add `cluster: …`"
    assert line("plugin: amazon\ncluster: x").startswith(
        "retina.yml: plugin: is 'amazon'. Write `plugin: cluster`"
    )
    assert line("- a\n- b").startswith("retina.yml: a config file is a mapping")
    assert line("").startswith("retina.yml: a config file is a mapping")
    assert line("a: " + "[" * 20_000).startswith("retina.yml: lists in lists in lists")
    with pytest.raises(
        ConfigError, match=r"^no\.yml: this config file does not exist\. Give an existing one"
    ):
        load_config(Path("no.yml"))


def test_two_files_of_one_folder_cannot_share_a_name() -> None:
    load(GOOD, name="other.yml")
    assert line(GOOD).startswith("retina.yml: cluster: other.yml beside it is a cluster named 'retina' too.")


@pytest.mark.parametrize("value", [5, "5", " 5 ", "+5"])
def test_num_nodes(value: object) -> None:
    spec = load(GOOD, {"NUM_NODES": value})
    assert (spec.nodes, spec.nodes_given) == (5, True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "-e NUM_NODES=0: a cluster has at least 1 node, not 0. Say for example -e NUM_NODES=3;"),
        ("-1", "-e NUM_NODES=-1: a cluster has at least 1 node, not -1."),
        ("abc", "-e NUM_NODES=abc: the number of nodes is not a whole number: 'abc'."),
        ("3.0", "-e NUM_NODES=3.0: the number of nodes is not a whole number: '3.0'."),
        ("", "-e NUM_NODES=: the number of nodes is not a whole number: ''."),
        (True, "-e NUM_NODES=True: the number of nodes is not a whole number: 'True'."),
        (1001, "-e NUM_NODES=1001: nodes: must be at most 1000"),
        ([3], "-e NUM_NODES=[3]: the number of nodes is not a whole number: '[3]'."),
    ],
)
def test_bad_num_nodes(value: object, said: str) -> None:
    assert line(GOOD, {"NUM_NODES": value}).startswith(said)


def test_paths_are_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "setup.sh").write_text("true")
    (tmp_path / "My Eyes").mkdir()
    spec = load(GOOD + "setup: setup.sh\ndataset: {source: My Eyes, labels: l.csv}")
    assert spec.setup == str(tmp_path / "setup.sh")
    assert spec.dataset.source == str(tmp_path / "My Eyes")
    assert spec.dataset.name == "my-eyes"
    assert spec.dataset.labels == "l.csv"
    assert spec.dataset.sizes == () and spec.dataset.preparation.channels == 3
    spec = load(
        GOOD + "dataset: {sizes: [64, 16, 64], formats: [parquet], channels: rgb, kind: eye, masters: true}"
    )
    assert spec.dataset.sizes == (16, 64)
    assert spec.dataset.preparation == Preparation(kind="eye", masters=True, formats=("parquet",), channels=3)


def test_access_takes_public_keys() -> None:
    key = "ssh-ed25519 " + "A" * 68 + " katie@desk"
    assert load(GOOD + f"access: {{katie: {key}}}").access == {"katie": key}


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        (
            "provider: ec2\ngroups: {worker: {flavor: B1_2X8X100}}",
            "groups.worker.flavor: a key of groups at softlayer, and this group is at ec2. Take it out",
        ),
        (
            "provider: softlayer\ngroups: {gpu: {count: 0, spot: true}}",
            "groups.gpu.spot: a key of groups at ec2, and this group is at softlayer. Take it out",
        ),
        (
            "groups: {master: {hosts: [{address: 192.0.2.1}]}}",
            "groups.master.hosts: a key of groups at existing, and this group is at local. Take it out",
        ),
        (
            "provider: ec2\ngroups: {worker: {instance_typ: t3.small}}",
            "groups.worker.instance_typ: unknown key. Did you mean `instance_type`?",
        ),
        (
            "groups: {worker: {instance_typ: t3.small}}",
            "groups.worker.instance_typ: unknown key. Did you mean `instance_type`, a key of groups at ec2?",
        ),
        (
            "groups: {gpu: {count: 1, provider: existing, datacenter: dal13}}",
            "groups.gpu.datacenter: a key of groups at softlayer, and this group is at existing. Take it out",
        ),
        (
            "provider: softlayer\ngroups: {worker: {provider: ec2, instance_type: 3}}",
            "groups.worker.instance_type: must be a list, not 3",
        ),
        (
            "groups: {worker: {provider: [ec2]}}",
            "groups.worker.provider: must be text, not ['ec2']. Correct the value",
        ),
        ("existing: {hosts: []}", "existing: unknown key. Known here: "),
    ],
)
def test_keys_that_belong_to_another_provider(addition: str, said: str) -> None:
    assert line(GOOD + addition).startswith(f"retina.yml: {said}")


def test_a_group_may_have_the_keys_of_its_own_provider() -> None:
    spec = load(
        GOOD
        + """
provider: ec2
ec2: {region: eu-west-1, root_disk_gb: 40, subnet: subnet-1}
softlayer: {datacenter: dal13}
groups:
  worker: {instance_type: t3.small, region: us-east-1}
  gpu: {count: 1, provider: softlayer, flavor: B1_2X8X100}
"""
    )
    worker, gpu = Ec2Settings.of(spec.group("worker")), SoftLayerSettings.of(spec.group("gpu"))
    assert (worker.region, worker.instance_type, worker.root_disk_gb) == ("us-east-1", ("t3.small",), 40)
    assert worker.subnet == ("subnet-1",)
    assert (gpu.flavor, gpu.datacenter) == ("B1_2X8X100", ("dal13",))
    assert spec.block(Ec2Block).region == "eu-west-1"
    assert spec.object_store.region == "eu-west-1"
    with pytest.raises(TypeError, match=r"groups.gpu has SoftLayerSettings, not Ec2Settings"):
        Ec2Settings.of(spec.group("gpu"))


def test_a_block_of_a_provider_that_no_group_is_at_may_stay() -> None:
    """It is kept while groups are switched, and a store at Amazon has its region from there."""
    assert load(GOOD + "ec2: {region: eu-west-1}").block(Ec2Block).region == "eu-west-1"


def test_blank_key_means_default() -> None:
    assert load(GOOD + "setup:\nnodes:\n").nodes == 3


def test_ttl() -> None:
    assert [Duration(text).minutes for text in ("", "90m", "8h", "2d")] == [0, 90, 480, 2880]
    assert load(GOOD + "ttl: 8h").ttl == Duration("8h")


def test_a_data_set_that_is_not_there_is_refused_when_a_cluster_is_made(tmp_path: Path) -> None:
    spec = load(GOOD + "dataset: {source: no/such}")
    with pytest.raises(ConfigError) as caught:
        require_dataset(spec)
    missing = str(tmp_path / "no" / "such")
    assert str(caught.value).startswith(f"retina.yml: dataset.source: there is no folder {missing!r}. Name")
    (tmp_path / "no" / "such").mkdir(parents=True)
    require_dataset(spec)
    require_dataset(load(GOOD))


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("{source: eyes, name: digits}", "digits"),
        ("{source: my/Digits}", "digits"),
        ("{source: my/fashion-mnist}", "fashion-mnist"),
    ],
)
def test_a_folder_is_not_called_like_a_built_in_set(dataset: str, name: str) -> None:
    told = line(GOOD + f"dataset: {dataset}")
    assert told.startswith(f"retina.yml: dataset.name: {name!r} is the name of")


def test_fashion_mnist_is_grey_and_needs_no_folder() -> None:
    for dataset in ("{source: fashion-mnist}", "{name: fashion-mnist}"):
        spec = load(GOOD + f"dataset: {dataset}")
        require_dataset(spec)
        assert (spec.dataset.source, spec.dataset.name) == ("fashion-mnist", "fashion-mnist")
        assert spec.dataset.preparation.channels == 1


def test_a_data_set_with_a_name_alone_is_what_ingest_has_brought_in(tmp_path):
    def source(dataset: str) -> str:
        file = tmp_path / "c.yml"
        file.write_text(f"plugin: cluster\ncluster: c\ndataset: {dataset}\n")
        spec = load_config(file, {})
        require_dataset(spec)
        return spec.dataset.source

    assert (source("{}"), source("{name: digits}"), source("{name: retina}")) == ("digits", "digits", "")
