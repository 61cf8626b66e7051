"""What all sections of the configuration file have in common."""

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A mapping in the file: frozen, without unknown settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_section(cls, value: object) -> object:
        # "web:" with every line below it commented out is how people write "the defaults".
        return {} if value is None else value
