"""What was made of objects is used again as long as they are the same."""

from collections.abc import Callable
from operator import is_
from typing import TypeVar

T = TypeVar("T")


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
