"""What Alertmanager's generated configuration and `verify` agree on: its fixed receivers, and each channel's test."""

FAILURES, HEARTBEAT = "failures", "heartbeat"
"""The receivers that every generated configuration has."""

TEST_ALERT = "ai_monitoring_test"
"""The alert by which `verify` proves that messages reach a channel."""

TEST_RECEIVER = "test:"
"""Before a channel's name, the receiver of its test alerts. No channel's own name can hold the colon."""

TEST_TITLE = "A test: alerts reach this channel."
TEST_MESSAGE = "Sent by ai-operation-exporter verify. There is nothing to do."

TRY_SECONDS = 30
"""How long Alertmanager tries to deliver a test: `group_interval` of its route. A message given up is not retried."""
