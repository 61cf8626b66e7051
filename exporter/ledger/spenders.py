"""Who spends: users and, beside them, groups of calls such as teams or projects. Money in ledger units.

A mapping of spenders holds both: a user by their label, a group by its label behind a mark that no label has. What is
read, kept and replaced slice by slice is the same for both, and a log without groups pays nothing for them. Only the
sums of days, and who is shown, are kept apart.
"""

from collections.abc import Mapping

_MARK = "\x1f"
"""Labels have blanks in the place of control characters."""


def group_key(label: str) -> str:
    """What a group is among spenders."""
    return _MARK + label


def is_group(name: str) -> bool:
    """Whether a name among spenders is a group's."""
    return name.startswith(_MARK)


def group_label(name: str) -> str:
    """The label of a name for which `is_group`."""
    return name[len(_MARK) :]


def users_of(spenders: Mapping[str, int]) -> dict[str, int]:
    """The users among spenders."""
    return {name: units for name, units in spenders.items() if not is_group(name)}


def groups_of(spenders: Mapping[str, int]) -> dict[str, int]:
    """The groups among spenders, by their labels."""
    return {group_label(name): units for name, units in spenders.items() if is_group(name)}
