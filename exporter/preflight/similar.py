"""Find the known name that an informal one stands for: `gemini-2.0-flash` for `gemini_flash`."""

import re
from collections.abc import Mapping
from difflib import SequenceMatcher

_TOKEN = re.compile(r"[a-z]+|[0-9]+")
_LEAST_RATIO = 0.75


def candidates(loose: str, known: Mapping[str, float]) -> list[str]:
    """Known names that the informal one may stand for, the most similar first.

    `known` has the time each was last used: of two equally similar, the one used last comes first.
    """
    scored = [(_score(loose, name), used, name) for name, used in known.items()]
    return [name for score, _, name in sorted(scored, reverse=True) if score > 0]


def _score(loose: str, name: str) -> float:
    ours, theirs = _TOKEN.findall(loose.lower()), _TOKEN.findall(name.lower())
    ratio = SequenceMatcher(None, "".join(ours), "".join(theirs)).ratio()
    if ours and ours == theirs:
        return 4
    if not ours or not theirs:
        return 0
    if set(ours) <= set(theirs):
        return 2 + ratio
    if set(theirs) <= set(ours):
        return 1 + ratio
    # another version is another model, however alike the names
    numbers = {token for token in ours if token.isdigit()}, {token for token in theirs if token.isdigit()}
    if ratio >= _LEAST_RATIO and (numbers[0] <= numbers[1] or numbers[1] <= numbers[0]):
        return ratio
    return 0
