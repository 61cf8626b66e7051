"""Which scenario catches which mutant, noted: it runs first. A note that is missing or out of date only takes time.

`python -m tests.alerts.test_mutations` adds the notes that are missing.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from hashlib import sha256

from tests.support import ROOT
from tests.support.mutations import Mutant

NOTES = ROOT / "tests" / "alerts" / "caught.json"
"""The scenarios by name; of each, the keys of the mutants that it catches."""

Notes = Mapping[str, Set[str]]
"""The names of scenarios by the key of a mutant."""


def key(mutant: Mutant) -> str:
    """A short name for a mutant. A few share one."""
    return sha256(str(mutant).encode()).hexdigest()[:6]


def noted() -> Notes:
    """What is noted."""
    found: dict[str, set[str]] = defaultdict(set)
    for scenario, keys in json.loads(NOTES.read_text()).items():
        for one in keys.split():
            found[one].add(scenario)
    return found


def note(caught: Iterable[tuple[Mutant, str]]) -> None:
    """Write mutants with the names of the scenarios that have caught them."""
    keys: dict[str, set[str]] = defaultdict(set)
    for mutant, scenario in caught:
        keys[scenario].add(key(mutant))
    written = {scenario: " ".join(sorted(keys[scenario])) for scenario in sorted(keys)}
    NOTES.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")
