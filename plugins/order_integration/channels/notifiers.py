"""Who is told of an alarm: Airflow notifiers, as the channel file names them."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

# A notifier takes these from an Airflow connection; the channel file is no place for them.
SECRETS = frozenset({"password", "passwd", "token", "secret", "api_key", "integration_key", "webhook_token"})


class NotifierConfig(BaseModel):
    """A notifier's class and its keyword arguments; it is imported when there is something to tell."""

    model_config = ConfigDict(extra="allow", frozen=True)

    notifier: str = Field(pattern=r"^([A-Za-z_]\w*\.)+[A-Za-z_]\w*$")

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        if found := sorted(SECRETS & self.arguments.keys()):
            raise ValueError(f"{found[0]}: put it into an Airflow connection, and give the notifier its id")
        return self

    @property
    def arguments(self) -> dict[str, Any]:
        """What its class is called with."""
        return dict(self.model_extra or {})


def readable(value: object) -> tuple[NotifierConfig, ...]:
    """Who is to hear of a channel whose entry is wrong elsewhere; nobody where this is what is wrong."""
    try:
        return TypeAdapter(tuple[NotifierConfig, ...]).validate_python(value)
    except ValidationError:
        return ()
