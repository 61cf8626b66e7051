"""Lists and durations as text for people."""

from collections.abc import Collection


def listing(names: Collection[str], most: int = 12) -> str:
    """Names in order for people: the first few, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more


def span_text(seconds: float) -> str:
    """About how long: `40 s`, `3 min`, `2.0 h`, `7 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} days"
