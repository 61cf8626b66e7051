"""Which series get a place of their own, and what the others are folded into."""

from collections.abc import Iterable

from exporter.ledger.model import OTHER, Admission, Series


class Places:
    """The admitted series and those that a plan adds.

    At most `limit` pairs are admitted, in the order in which they are asked for; what has a place keeps it. All others
    share `OTHER`, which is admitted beside them when it is first needed.
    """

    def __init__(self, admitted: dict[Series, Admission], limit: int, born: int | None) -> None:
        self._admitted = admitted
        self._limit = limit
        self._born = born
        self._taken = len(admitted) - (OTHER in admitted)
        self.added: dict[Series, Admission] = {}
        self._operations = {series.operation for series in admitted}
        self._models = {series.model for series in admitted}

    def place(self, series: Series) -> Series:
        """The labels under which the series is kept."""
        if series in self._admitted or series in self.added:
            return series
        if series != OTHER and self._taken < self._limit:
            self._taken += 1
            return self._add(series)
        if OTHER in self._admitted or OTHER in self.added:
            return OTHER
        return self._add(OTHER)

    def place_all(self, wanted: Iterable[Series]) -> None:
        """Admit as many of these as there is room for, without making use of `OTHER`."""
        for series in wanted:
            if self._taken < self._limit:
                self.place(series)

    def operation(self, name: str) -> str:
        """The label for an operation: its name where some series bears it."""
        return name if name in self._operations else OTHER.operation

    def model(self, name: str) -> str:
        """The label for a model: its name where some series bears it."""
        return name if name in self._models else OTHER.model

    def _add(self, series: Series) -> Series:
        self.added[series] = Admission(len(self._admitted) + len(self.added), self._born)
        self._operations.add(series.operation)
        self._models.add(series.model)
        return series
