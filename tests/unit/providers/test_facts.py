"""All of a provider lies in its folder: what the rest knows of one goes through its facts."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.cluster.orders import _from_text, _to_text
from provision.core.model import ClusterIdentity, CreateRequest
from provision.core.paths import PROJECT
from provision.core.spec import NodeGroup, Packages, ProviderSettings
from provision.providers import CLASSES
from provision.providers.ec2.config import Ec2Settings
from provision.providers.existing.config import ExistingSettings, HostModel
from provision.providers.facts import facts_of
from provision.providers.local.config import LocalBlock
from provision.providers.softlayer.config import SoftLayerSettings

PACKAGE = PROJECT / "provision"
ALLOWED = {
    "providers/__init__.py": "the one line of each provider, and the default one",
    "core/spec.py": "`local` is a kind of object store, too",
    "config/object_store.py": "`local` is a kind of object store, too",
    "providers/softlayer/config.py": "`local` is a kind of disk there",
}


def literals(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and node.value in CLASSES:
            yield str(node.value)


def test_no_provider_is_named_outside_its_folder() -> None:
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        own = place.parts[1] if place.parts[0] == "providers" and len(place.parts) > 2 else ""
        named = set(literals(path)) - {own}
        assert not named or str(place) in ALLOWED, f"{place} names {named}; ask facts_of(...) instead"


def test_facts_and_inventory_need_no_library_of_a_cloud_nor_of_ssh() -> None:
    """The inventory is made with them, which Ansible asks for with every command."""
    slow = ("boto3", "botocore", "SoftLayer", "paramiko", "cryptography", "asyncio")
    code = (
        "import sys, provision.cluster.inventory, provision.config.load;"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CLASSES)
def test_each_provider_says_how_it_ends(name: str) -> None:
    facts = facts_of(name)
    assert (facts.name, facts.deadlines.boot > 0) == (name, True)
    assert facts.at_end and facts.when_stopped
    assert isinstance(facts.settings(), ProviderSettings)
    assert set(facts.group.model_fields) <= set(facts.settings.model_fields)


@pytest.mark.parametrize(
    ("provider", "settings"),
    [
        ("local", LocalBlock(subnet="10.77.5.0/24")),
        ("ec2", Ec2Settings(instance_type=("t3.small",), spot=True, max_price=0.1 + 0.2, tags={"a": "b"})),
        ("softlayer", SoftLayerSettings(blockDevices=[{"device": "0", "diskImage": {"capacity": 100}}])),
        ("existing", ExistingSettings(hosts=(HostModel(address="192.0.2.1", user="me"),))),
    ],
)
def test_a_request_is_restored_exactly(provider: str, settings: ProviderSettings) -> None:
    group = NodeGroup(
        "gpu", provider, 2, 4, 7.5, 100, settings, packages=Packages(("tree",), ("x==1",)), setup="/s.sh"
    )
    identity = ClusterIdentity("retina", "0123abcd")
    request = CreateRequest(identity, group, ("retina-gpu-1",), "t", "#cloud-config\n", "key", {"a": "b"})
    text = _to_text(request, "bootstrap")
    assert _from_text(text) == request
    assert _to_text(_from_text(text), "bootstrap") == text
