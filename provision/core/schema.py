"""What all models of the config file share: strict types, one-line findings, common kinds of values."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

_DURATION = re.compile(r"([1-9][0-9]*)(m|h|d)")


class Model(BaseModel):
    """A mapping of the config file; unknown keys are errors and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True)


def wrong(what: str, remedy: str = "") -> PydanticCustomError:
    """Return a validation error that `config_errors.explain` shows as it is."""
    return PydanticCustomError("muster", "{what}", {"what": what, "remedy": remedy})


def duration(value: str) -> str:
    """Return `value`. Raises when it is neither empty nor a duration such as `90m`."""
    if value and not _DURATION.fullmatch(value):
        raise wrong(f"{value!r} is no duration", "Write it like 90m, 8h or 2d")
    return value


def minutes(text: str) -> int:
    """Return a duration such as `8h` in minutes; '' is 0."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * {"m": 1, "h": 60, "d": 1440}[match[2]] if match else 0


def _listed(value: Any) -> Any:  # noqa: ANN401  (whatever the file holds)
    return [value] if isinstance(value, str) else value


Alternatives = Annotated[list[str], BeforeValidator(_listed)]
"""One value or a list of alternatives that are tried in this order."""
