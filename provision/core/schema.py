"""What all models of the config file share: strict types, one-line findings, common kinds of values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from provision.core.spec import Duration, ProviderSettings


class Model(BaseModel):
    """A mapping of the config file; unknown keys are errors and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SettingsModel(Model, ProviderSettings):
    """What only one provider reads of the config file; each has models made of this one in its own folder."""

    model_config = ConfigDict(frozen=True)

    def as_json(self) -> dict[str, Any]:
        """See `ProviderSettings.as_json`."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the settings that `as_json` was asked of. Raises ValidationError."""
        return cls.model_validate_json(json.dumps(data))


def wrong(what: str, remedy: str = "") -> PydanticCustomError:
    """Return a validation error that `config.explain.explain` shows as it is."""
    return PydanticCustomError("muster", "{what}", {"what": what, "remedy": remedy})


def _duration(text: str) -> str:
    try:
        return str(Duration(text))
    except ValueError as error:
        raise wrong(str(error), "Write it like 90m, 8h or 2d") from None


Span = Annotated[str, AfterValidator(_duration)]
"""A span of time such as `8h`; '' is none. See `Duration`."""


def listed(value: Any) -> Any:  # noqa: ANN401  (whatever the file holds)
    """Return a list of the file as what a frozen model holds, one text as the only one of a list."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Alternatives = Annotated[tuple[str, ...], BeforeValidator(listed)]
"""One value or a list of alternatives that are tried in this order."""
