"""What is odd: an hour of an operation against the same hours before. Pure: no clock, no database."""
