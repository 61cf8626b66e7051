"""How a day goes, compared with what its hours usually cost: a factor that what is left of it is scaled by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exporter.medians import weighted_median

HALF_LIFE = 5 * 3600.0
"""Seconds after which an hour of the day counts half for how the day goes."""

_CAP = 3.0
"""For how the day goes, an hour counts as so many times the usual at most."""

_SURE = 3.0
"""Standard errors by which a day must be off before it counts as another kind of day."""


@dataclass(frozen=True)
class Prior:
    """What is known before the day begins.

    `level` is how recent days went, and `spread` how much days differ from that. Units of an hour scatter with a
    variance of `noise` times what is usual.
    """

    level: float
    spread: float
    noise: float


@dataclass(frozen=True)
class Pace:
    """What has been seen of a day until a moment: weighted sums of units, of what is usual, and of the variance.

    `typical` is the median of the hours' factors: an hour of a loop does not make a day of it.
    """

    prior: Prior
    at: float
    spent: float = 0.0
    usual: float = 0.0
    variance: float = 0.0
    typical: float | None = None

    def after(self, until: float, units: float, usual: float) -> "Pace":
        """The pace once a stretch up to `until` has been seen, which has `units` where `usual` ones were expected."""
        kept = 0.5 ** ((until - self.at) / HALF_LIFE)
        typical = max(self.prior.level, self.typical or 0.0)
        most = _CAP * (typical * usual + math.sqrt(self.prior.noise * usual))
        return replace(
            self,
            at=until,
            spent=kept * self.spent + min(max(0.0, units), most),
            usual=kept * self.usual + usual,
            variance=kept * kept * self.variance + self.prior.noise * usual,
        )

    @property
    def factor(self) -> float:
        """How many times what is usual the rest of the day will have.

        What was seen counts by how sure it is, compared with how much days differ. A day that is surely far off is
        another kind of day: then what was seen counts alone.
        """
        if self.usual <= 0:
            return self.prior.level
        seen = self.spent / self.usual
        error = self.variance / self.usual**2
        spread = max(self.prior.spread**2, (seen - self.prior.level) ** 2 - _SURE**2 * error)
        trust = spread / (spread + error) if spread + error else 1.0
        return self.prior.level + trust * (seen - self.prior.level)


def typical_factor(hours: Sequence[tuple[float, float]]) -> float | None:
    """The median of the factors of hours, each of (units, usual units), weighted by what is usual and by age."""
    weighted = [
        (units / usual, usual * 0.5 ** ((len(hours) - number) * 3600 / HALF_LIFE))
        for number, (units, usual) in enumerate(hours)
        if usual > 0
    ]
    return weighted_median(weighted)
