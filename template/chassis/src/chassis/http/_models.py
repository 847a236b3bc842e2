"""The base class of request bodies, and types for their fields."""

import re
from typing import Annotated, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MAX_UNKNOWN_FIELDS = 100


def _refuse_unstorable(text: str) -> str:
    """Refuse what `text` of PostgreSQL cannot store: NUL and unpaired surrogates."""
    if re.search("[\x00\ud800-\udfff]", text):
        raise ValueError("Contains characters that cannot be stored")
    return text


def _integral(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Accepts 1.0 for 1: in JSON Schema both are integers. Put it last, or the document lacks the limits of the number:
# `Annotated[int, Field(strict=True, ge=1), IntegralFloat]`.
IntegralFloat = BeforeValidator(_integral)

type Text = Annotated[str, AfterValidator(_refuse_unstorable), Field(json_schema_extra={"pattern": "^[^\\x00]*$"})]


class Body(BaseModel):
    """A request body, which refuses unknown fields, NaN and infinite numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def refuse_many(cls, data: object) -> object:
        """Refuse far too many fields at once: each unknown field would be an error of its own."""
        if isinstance(data, dict):
            count = len(cast("dict[object, object]", data))
            if count > len(cls.model_fields) + MAX_UNKNOWN_FIELDS:
                raise ValueError("Too many fields")
        return data
