"""What the ledger takes from the configuration."""

import math
from zoneinfo import ZoneInfo

from exporter.config import Classification, Config
from exporter.ledger.model import LedgerSettings

FEW_SERIES = 20
"""With a smaller `max_series` every pair is admitted as it comes: whoever sets so few knows all names."""


def settings_for(config: Config, classification: Classification) -> LedgerSettings:
    """What the ledger takes from the configuration, under a classification that may be an older one."""
    return LedgerSettings(
        window=math.ceil(config.open_window_seconds),
        horizon=int(config.horizon),
        max_series=classification.max_series,
        zero_hold=math.ceil(config.zero_hold),
        zone=ZoneInfo(classification.budget_time_zone),
        # the other half is for what comes again: a burst of names must not take all series for ever
        ample=-(-classification.max_series // 2) if classification.max_series >= FEW_SERIES else None,
        groups=classification.log_columns.has_groups,
    )
