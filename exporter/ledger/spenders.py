"""Who spends: users, and groups of calls such as teams or projects. Money in ledger units.

A mapping of spenders holds both: a user by their label, a group by its label with a prefix that no label has. Both are
read, kept and replaced slice by slice in the same way, and a log without groups pays nothing for them. Only the sums of
days, and who is shown, are kept apart.
"""

from collections.abc import Mapping

_PREFIX = "\x1f"
"""No label has it: labels have blanks in place of control characters."""


def group_key(label: str) -> str:
    """The key of a group among spenders."""
    return _PREFIX + label


def is_group(name: str) -> bool:
    """Whether a key among spenders is a group's."""
    return name.startswith(_PREFIX)


def group_label(name: str) -> str:
    """The label of a key for which `is_group` is true."""
    return name[len(_PREFIX) :]


def users_of(spenders: Mapping[str, int]) -> dict[str, int]:
    """The users among spenders."""
    return {name: units for name, units in spenders.items() if not is_group(name)}


def groups_of(spenders: Mapping[str, int]) -> dict[str, int]:
    """The groups among spenders, by their labels."""
    return {group_label(name): units for name, units in spenders.items() if is_group(name)}
