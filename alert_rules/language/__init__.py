"""What people write: alerts.yaml and channels.yaml, read and checked."""
