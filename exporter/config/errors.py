"""What is said about a configuration that cannot be used."""

import re

from pydantic_core import PydanticCustomError

from exporter.errors import UserError

_SHOWN_LENGTH = 60
_SECRET_MARKS = ("://", "@", "passw", "pwd", "secret", "token")
_CONNECTION_STRING = re.compile(r"\w\s*=[^;]*;|;[^;]*\w\s*=")


class ConfigError(UserError):
    """Everything that is wrong with the configuration."""


def setting_error(hint: str, *setting: str) -> PydanticCustomError:
    """The error a validator raises: what to write instead, and which setting below the validated one it is about."""
    # Braces are the template's own syntax, hence the text goes in as a value.
    return PydanticCustomError("setting", "{hint}", {"hint": hint, "setting": setting})


def shown(value: object) -> str:
    """How a value from the file is quoted back: shortened, on one line, and not at all if it may hold a secret."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value} (a number)"
        case str() if any(mark in value.lower() for mark in _SECRET_MARKS) or _CONNECTION_STRING.search(value):
            return "a text (not shown)"
        case str():
            text = value if len(value) <= _SHOWN_LENGTH else value[:_SHOWN_LENGTH] + "…"
            return repr(text)
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"
