"""What cannot become one cluster is refused before anything is made, in words that say why."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from provision.cluster.open import open_cluster
from provision.config.load import ConfigError, load_config
from provision.core.errors import PlanRefused
from provision.planning.sites import refusals
from tests.fakes.provider import SilentReporter

MIXED = """
plugin: cluster
cluster: retina
provider: softlayer
nodes: 2
groups:
  gpu: {count: 1, provider: ec2, instance_type: g5.xlarge}
object_store: {kind: s3}
"""
HOSTS = """
plugin: cluster
cluster: retina
provider: existing
nodes: 2
groups:
  master: {memory_gb: 3, hosts: [{address: 192.0.2.1}]}
  worker: {hosts: [{address: 192.0.2.2}]}
object_store: {kind: none}
"""


@pytest.fixture
def spec(tmp_path: Path):
    def load(text: str):
        path = tmp_path / "retina.yml"
        path.write_text(dedent(text))
        return load_config(path)

    return load


def test_what_fits(spec) -> None:
    assert refusals(spec(MIXED)) == ()
    assert refusals(spec(HOSTS)) == ()
    assert refusals(spec(MIXED.replace("count: 1", "count: 0").replace("kind: s3", "kind: none"))) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MIXED.replace("gpu: {count: 1,", "worker: {"), "private networks do not meet"),
        (MIXED.replace("kind: s3", "kind: local"), "object store on this computer cannot be reached"),
        (MIXED.replace("kind: s3", "kind: none"), "groups.gpu at ec2 reaches no HDFS"),
        (MIXED.replace("kind: s3", "kind: s3, credentials: role"), "no role that opens the object store"),
        (HOSTS.replace("nodes: 2", "nodes: 3"), "groups.worker has 1 hosts and needs 2"),
        (HOSTS.replace("192.0.2.2", "192.0.2.1"), "192.0.2.1 stands twice"),
    ],
)
def test_what_does_not_fit(text: str, said: str, spec) -> None:
    assert said in "; ".join(refusals(spec(text)))


FLAVOR = "groups:\n  master: {flavor: B1_1X2X25}\n"
SMALL = "2 GB of memory are too few for its daemons and one executor; give its group at least 3"


@pytest.mark.parametrize(
    "text",
    [
        "plugin: cluster\ncluster: retina\ngroups: {master: {memory_gb: 2}}",
        "plugin: cluster\ncluster: retina\ngroups: {master: {cores: 4}}",
        MIXED.replace("groups:\n", FLAVOR),
        HOSTS.replace("memory_gb: 3", "cores: 2"),
        MIXED.replace("groups:\n", "softlayer: {maxMemory: 2048}\ngroups:\n"),
    ],
)
def test_too_little_memory_is_refused_by_the_file(text: str, spec) -> None:
    with pytest.raises(ConfigError) as error:
        spec(text)
    assert str(error.value).endswith(f"retina.yml: groups.master: {SMALL}")


def test_too_little_memory_is_refused_before_the_order(spec, tmp_path: Path) -> None:
    """The file alone has no workers; the size that was wished last has."""
    alone = spec("plugin: cluster\ncluster: retina\nnodes: 1\ngroups: {worker: {memory_gb: 1}}")
    assert refusals(alone) == ()
    words = "groups.worker: 1 GB of memory are too few for its daemons and one executor"
    assert refusals(alone.sized(2))[0].startswith(words)
    cluster = open_cluster(alone.sized(2), root=tmp_path, reporter=SilentReporter())
    with pytest.raises(PlanRefused, match=words):
        cluster.ensure()
    assert cluster.view.plan().refuse
    assert not cluster.state.folder.exists()


def test_memory_that_only_the_provider_knows_is_no_matter_of_the_file(spec) -> None:
    assert not refusals(spec(MIXED.replace("provider: softlayer", "provider: ec2")))
    assert not refusals(spec(MIXED.replace("groups:\n", FLAVOR.replace("B1_1X2X25", "M1_OTHER"))))


def test_ec2_regions_are_networks_of_their_own(spec) -> None:
    text = MIXED.replace("provider: softlayer", "provider: ec2\nec2: {region: eu-west-1}")
    assert refusals(spec(text)) == ()
    worker = text.replace("groups:\n", "groups:\n  worker: {region: us-east-1}\n")
    assert "groups.worker is at ec2:us-east-1 and the master at ec2:eu-west-1" in refusals(spec(worker))[0]


def test_nothing_is_made_of_what_does_not_fit(spec, tmp_path: Path) -> None:
    wished = spec(HOSTS.replace("nodes: 2", "nodes: 3"))
    cluster = open_cluster(wished, root=tmp_path, reporter=SilentReporter())
    with pytest.raises(PlanRefused, match="needs 2"):
        cluster.ensure()
    assert not cluster.state.folder.exists()


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("{user: me}", "groups.master.hosts.0.address: is missing"),
        ("{address: 192.0.2.1, users: me}", "groups.master.hosts.0.users: unknown key. Did you mean `user`?"),
        ("{address: 192.0.2.1, user: hadoop}", "'hadoop' is an account of the cluster's own"),
        ("{address: 192.0.2.1, host_key: ssh-rsa AAAA}", "groups.master.hosts.0.host_key: is no host key"),
        ("{address: 192.0.2.1, data_device: sdb}", "'sdb' is no disk"),
    ],
)
def test_hosts_in_the_config_file(host: str, said: str, spec) -> None:
    with pytest.raises(ConfigError) as error:
        spec(HOSTS.replace("{address: 192.0.2.1}", host))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{kind: swift}", "a Swift store needs its endpoint"),
        ("{kind: local, endpoint: 'http://x'}", "kind local has no endpoint"),
        ("{kind: s3, endpoint: x.example.org}", "'x.example.org' is no address of a store"),
        ("{kind: s3, endpoint: 'https://me:pw@example.org'}", "is no address of a store"),
        ("{kind: ftp}", "unknown kind of object store 'ftp'. Known: local, none, s3, swift, folder"),
        ("{kind: folder}", "a store of kind folder, and no other, has a path"),
        ("{kind: s3, path: /data}", "a store of kind folder, and no other, has a path"),
        ("{kind: swift, endpoint: 'https://x/auth/v1.0', credentials: role}", "only a store of kind s3"),
    ],
)
def test_stores_in_the_config_file(block: str, said: str, spec) -> None:
    with pytest.raises(ConfigError) as error:
        spec(MIXED.replace("{kind: s3}", block))
    assert said in str(error.value)
