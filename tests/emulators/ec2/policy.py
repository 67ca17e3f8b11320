"""IAM for the emulator: the policy of docs/ec2.md, evaluated for each call with the tags that the resource has then.

As at AWS, who may not act on a thing without a tag may not act on one that does not exist either, and is told so
rather than that there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from provision.core.paths import PROJECT

Context = Mapping[str, list[str]]
ARN, SHARED_ARN = "arn:aws:ec2:eu-west-1:123456789012", "arn:aws:ec2:eu-west-1:"
"""Of what an account has; of what may be shared: images and snapshots."""
SHARED = ("image", "snapshot")
MAKES = ("CopyImage", "CreateSecurityGroup", "ImportKeyPair", "RunInstances")
KINDS = {
    "i-": "instance",
    "sg-": "security-group",
    "key-": "key-pair",
    "vol-": "volume",
    "ami-": "image",
    "snap-": "snapshot",
}


@cache
def documented() -> list[dict[str, Any]]:
    """Return the statements of the policy in docs/ec2.md."""
    page = (PROJECT / "docs" / "ec2.md").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(page.split("```json")[1].split("```")[0])["Statement"]
    return found


@dataclass(frozen=True)
class Question:
    """May `action` (`ec2:StopInstances`) act on `resource` (an ARN), of which `known` is true?"""

    action: str
    resource: str
    known: Context = field(default_factory=dict)

    def permitted(self) -> bool:
        """Return whether a statement allows it; the policy denies nothing by name."""
        return any(self._allowed(statement) for statement in documented())

    def _allowed(self, statement: Mapping[str, Any]) -> bool:
        return (
            statement["Effect"] == "Allow"
            and self.action in statement["Action"]
            and any(fnmatchcase(self.resource, pattern) for pattern in _listed(statement["Resource"]))
            and all(
                holds(operator, wanted, self.known)
                for operator, wanted in statement.get("Condition", {}).items()
            )
        )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def holds(operator: str, wanted: Mapping[str, Any], known: Context) -> bool:
    """Evaluate one operator of a condition, as IAM does."""
    for key, value in wanted.items():
        values = _listed(value)
        found = known.get(key, [])
        if operator == "Null":
            right = (not found) == (values == ["true"])
        elif operator == "StringEquals":
            right = any(one in values for one in found)
        elif operator == "ForAllValues:StringLike":
            right = all(any(fnmatchcase(one, pattern) for pattern in values) for one in found)
        else:
            raise AssertionError(f"unknown operator {operator}")
        if not right:
            return False
    return True


def questions(told: Mapping[str, str], backend: Any) -> Iterator[Question]:
    """Yield what a call of EC2's API must be permitted. `backend`: moto's, of the call's region."""
    action = f"ec2:{told['Action']}"
    written = keys_of(told, r"TagSpecification\.\d+\.Tag\.\d+\.Key")
    if written:
        yield Question(
            "ec2:CreateTags", f"{ARN}:any/new", {"aws:TagKeys": written, "ec2:CreateAction": [told["Action"]]}
        )
    if action == "ec2:CreateImage":  # of an instance, see below; and of that it makes these
        yield from (Question(action, f"{SHARED_ARN}:{kind}/new") for kind in SHARED)
    keys = keys_of(told, r"Tag\.\d+\.Key")
    for resource in acted_on(told):
        own = tags_of(resource, backend)
        known: dict[str, list[str]] = {f"aws:ResourceTag/{key}": [value] for key, value in own.items()}
        if action == "ec2:ModifyInstanceAttribute":
            known["ec2:Attribute"] = [key.partition(".")[0] for key in told if key.endswith(".Value")]
        yield Question(action, arn(resource), {**known, **({"aws:TagKeys": keys} if keys else {})})


def acted_on(told: Mapping[str, str]) -> list[str]:
    """Return the ids (of a key pair: the name) of what a call acts on; [""] when it is nothing that exists."""
    if told["Action"].startswith("Describe") or told["Action"] in MAKES:
        return [""]
    pattern = r"(InstanceId(\.\d+)?|GroupId|KeyName|ResourceId\.\d+|ImageId|SnapshotId)"
    return [value for key, value in told.items() if re.fullmatch(pattern, key)] or [""]


def arn(resource: str) -> str:
    """Return the ARN of what has this id."""
    kind = next((kind for prefix, kind in KINDS.items() if resource.startswith(prefix)), "key-pair")
    return f"{SHARED_ARN if kind in SHARED else ARN}:{kind}/{resource}"


def tags_of(resource: str, backend: Any) -> dict[str, str]:
    """Return the tags that a resource has now, none when it does not exist."""
    pair = backend.key_pairs.get(resource)
    there = {
        "ami-": backend.amis,
        "snap-": backend.snapshots,
        "sg-": groups_of(backend),
    }  # moto keeps their tags
    if any(resource.startswith(kind) and resource not in known for kind, known in there.items()):
        return {}
    return dict(backend.tags.get(pair.id if pair else resource, {}))


def groups_of(backend: Any) -> set[str]:
    """Return the ids of the security groups that there are."""
    return {own for groups in backend.groups.values() for own in groups}


def keys_of(told: Mapping[str, str], pattern: str) -> list[str]:
    return [value for key, value in told.items() if re.fullmatch(pattern, key)]
