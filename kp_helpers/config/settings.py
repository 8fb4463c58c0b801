"""What all settings have in common: frozen, strict, and wrong ones named in one sentence."""

import difflib
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
_as_tuple = BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
Names = Annotated[tuple[str, ...], _as_tuple]
Levels = Annotated[tuple[Index, ...], Field(min_length=1), _as_tuple]


class ConfigError(ValueError):
    """A setting that cannot be: the sentence names the field, what was found and what was expected."""


class Settings(BaseModel):
    """A frozen group of settings: strict types, no unknown keys, defaults included."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    def __init__(self, **values):
        known = type(self).model_fields
        for key in values:
            if key not in known:
                nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
                raise ConfigError(f"{type(self).__name__} has no setting {key!r}; the nearest is {nearest!r}")
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_sentence(type(self).__name__, error)) from None

    def replace(self, **changes) -> Self:
        """The same settings with some changed, checked again."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})


def _sentence(group: str, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    place = ".".join([group, *map(str, first["loc"])])
    return f"{place} is {first['input']!r}: {message}" if first["loc"] else f"{place}: {message}"
