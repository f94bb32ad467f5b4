"""What every part of the results document is: a frozen piece of it, with the conditions that it was measured under."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A piece of the document: frozen, and nothing in it that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Conditions(Part):
    """When, where and how a part was measured."""

    date: datetime
    machine: str = Field(description="`tidegate.devices.hardware()`.")
    command: str
    versions: dict[str, str] = Field(description="Package to version, of both sides.")
    model: str = Field(description="Bundle, version and how it runs.")
    texts: int = Field(description="How many different texts went round.")
