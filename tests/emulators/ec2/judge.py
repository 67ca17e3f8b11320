"""Holds every answer of the emulator against botocore's description of AWS's answers.

boto3 passes over whatever it does not know, so an invented element, a wrong type or a state that AWS does not have would
go unnoticed: the emulator would answer what no cloud does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from botocore.client import BaseClient
from botocore.validate import validate_parameters

REST = ("requestId", "RequestId", "ResponseMetadata")


def complaints(model: Any, http: Any, parsed: dict[str, Any]) -> list[str]:
    """Return what is wrong with an answer of an operation.

    Args:
        model: botocore's of the operation.
        http: the answer as it came.
        parsed: what botocore has made of it.
    """
    if http.status_code >= 300 or model.output_shape is None:
        return []
    told = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
    validate_parameters(told, model.output_shape)  # raises ParamValidationError, which names what is wrong
    found = list(wrong_words(told, model.output_shape))
    if model.service_model.protocol == "ec2":
        found += unknown(ElementTree.fromstring(http.content), model.output_shape)  # noqa: S314  (of our own emulator)
    return [f"{model.name}: {one}" for one in found]


def unknown(element: ElementTree.Element, shape: Any) -> Iterator[str]:
    """Yield the names of elements that AWS's answer does not have."""
    if shape.type_name == "structure":
        known = {one.serialization.get("name", name): one for name, one in shape.members.items()}
        for child in element:
            tag = child.tag.rpartition("}")[2]
            if tag in known:
                yield from unknown(child, known[tag])
            elif tag not in REST:
                yield f"no element {tag} in {shape.name}"
    elif shape.type_name == "list":
        for child in element:
            yield from unknown(child, shape.member)


def wrong_words(value: Any, shape: Any) -> Iterator[str]:
    """Yield words where AWS has a list of words that are possible."""
    if shape.type_name == "structure":
        for name, one in value.items():
            yield from wrong_words(one, shape.members[name])
    elif shape.type_name == "list":
        for one in value:
            yield from wrong_words(one, shape.member)
    elif shape.type_name == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{value!r} is no {shape.name}"


def install(monkeypatch: Any) -> None:
    """Let every client judge the answers that it gets."""
    real = vars(BaseClient)["_make_request"]

    def judged(client: Any, model: Any, request: Any, context: Any) -> Any:
        http, parsed = real(client, model, request, context)
        found = complaints(model, http, parsed)
        assert not found, found
        return http, parsed

    monkeypatch.setattr(BaseClient, "_make_request", judged)
