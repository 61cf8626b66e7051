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


@dataclass(frozen=True)
class Names:
    """The labels of names, and what the settings say of a model, by the name that the log has for it.

    A state of an earlier version is read by that version's labels until it has been converted: its counters have them.
    """

    classification: Classification

    @property
    def _are_cleaned_late(self) -> bool:
        return self.classification.names == 1

    def user(self, text: str | None) -> str:
        """The user's label."""
        return clean_label(text, UNATTRIBUTED) if self._are_cleaned_late else user_name(text)

    def operation(self, operation_id: str | None, operation_type: str | None) -> str:
        """The operation's label."""
        if self._are_cleaned_late:
            return clean_label(operation_id or operation_type, UNKNOWN)
        return operation_name(operation_id, operation_type)

    def model(self, text: str | None) -> str:
        """The model's label."""
        name = self._key(text)
        return clean_label(self.aliases.get(name, name), UNKNOWN)

    def timeout(self, text: str | None) -> float:
        """The model's timeout in seconds; that of the very name comes before that of the name it stands for."""
        name = self._key(text)
        # a state of an earlier version may name both
        known = self._timeouts.get(name)
        return (
            known
            if known is not None
            else self._timeouts.get(self.aliases.get(name, name), self.classification.default_timeout)
        )

    def is_free(self, text: str | None) -> bool:
        """Whether its calls cost nothing."""
        name = self._key(text)
        return name in self._free or self.aliases.get(name, name) in self._free

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Names in the log to the names that they stand for."""
        return {self._spelled(loose): self._spelled(name) for loose, name in self.classification.aliases.items()}

    @cached_property
    def _timeouts(self) -> Mapping[str, float]:
        return {self._spelled(name): seconds for name, seconds in self.classification.timeouts.items()}

    @cached_property
    def _free(self) -> frozenset[str]:
        return frozenset(map(self._spelled, self.classification.free))

    def _spelled(self, name: str) -> str:
        return name if self._are_cleaned_late else clean_label(name, "")

    def _key(self, text: str | None) -> str:
        """What a model is looked up by."""
        if self._are_cleaned_late:
            return text or ""
        return clean_label(text, UNKNOWN)


def timeout_steps(classification: Classification) -> list[float]:
    """All timeouts that any model has, in seconds, each once, rising."""
    return sorted({classification.default_timeout, *classification.timeouts.values()})
