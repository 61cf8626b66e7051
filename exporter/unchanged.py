"""What has not changed is the same object again, and what was made of it is used again."""

from collections.abc import Callable
from operator import is_
from typing import Any, TypeVar

T = TypeVar("T")


class SameAgain:
    """Gives the value of before of the same name instead of one that equals it. For one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __call__(self, name: str, value: T) -> T:
        """The value, or the one of before; neither may change."""
        known: T | None = self._known.get(name)
        if known is not None and known == value:
            return known
        self._known[name] = value
        return value


def kept_while_the_same(make: Callable[..., T]) -> Callable[..., T]:
    """The function, which gives what it made last where each argument is the same object as it was then.

    For functions of objects that never change. May be called from any thread: at worst, the same is made twice.
    """
    last: tuple[tuple[object, ...], T] | None = None

    def made(*parts: object) -> T:
        nonlocal last
        known = last
        if known is None or len(known[0]) != len(parts) or not all(map(is_, known[0], parts)):
            known = last = parts, make(*parts)
        return known[1]

    return made
