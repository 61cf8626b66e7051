"""Names as labels show them: cleaned once, and before anything is looked up by them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from exporter.config import Classification, clean_label
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN
from exporter.ledger.users import OTHER_USERS

READ_LENGTH = 1024
"""Characters of a name that are read, or bytes where the database counts those: more than a label has."""


def user_name(text: str | None) -> str:
    """The user's label. A user who is called as a label that stands for several users is shown in double quotes."""
    name = clean_label(text, "")
    if not name:
        return UNATTRIBUTED
    return f'"{name}"' if name.strip('"') in (OTHER_USERS, UNATTRIBUTED) else name


def operation_name(operation_id: str | None, operation_type: str | None) -> str:
    """The operation's label: its id, or its type where the id has nothing that can be seen."""
    return clean_label(operation_id, "") or clean_label(operation_type, UNKNOWN)


def model_name(aliases: Mapping[str, str], text: str | None, missing: str = UNKNOWN) -> str:
    """The model's label: what the text, once cleaned, stands for by `aliases`, whose keys are clean."""
    name = clean_label(text, missing)
    return aliases.get(name, name)


def clean_aliases(aliases: Mapping[str, str]) -> dict[str, str]:
    """The aliases of the configuration, as labels."""
    return {clean_label(loose, ""): clean_label(name, "") for loose, name in aliases.items()}


@dataclass(frozen=True)
class ModelRules:
    """What the settings say of a model, by the name that the log has for it."""

    rules: Classification

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Names in the log to the names that they stand for."""
        return clean_aliases(self.rules.aliases)

    @cached_property
    def _timeouts(self) -> Mapping[str, float]:
        return {clean_label(name, ""): seconds for name, seconds in self.rules.timeouts.items()}

    @cached_property
    def _free(self) -> frozenset[str]:
        return frozenset(clean_label(name, "") for name in self.rules.free)

    def label(self, text: str | None) -> str:
        """The model's label."""
        return model_name(self.aliases, text)

    def timeout(self, text: str | None) -> float:
        """The model's timeout in seconds; that of the very name comes before that of the name it stands for."""
        # a state of an earlier version may name both
        name = clean_label(text, UNKNOWN)
        known = self._timeouts.get(name)
        return known if known is not None else self._timeouts.get(self.label(text), self.rules.default_timeout)

    def is_free(self, text: str | None) -> bool:
        """Whether its calls cost nothing."""
        return clean_label(text, UNKNOWN) in self._free or self.label(text) in self._free


def timeout_steps(rules: Classification) -> list[float]:
    """All timeouts that any model has, in seconds, each once, rising."""
    return sorted({rules.default_timeout, *rules.timeouts.values()})
