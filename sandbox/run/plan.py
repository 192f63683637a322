"""What the marketplace's run reads: always the same day of the same marketplace."""

from datetime import UTC, datetime, timedelta

SEED = 1923
RATE = 12.0  # orders an hour
BAD = 6.0  # percent: with this rate each of the 18 bad kinds comes once in 24 hours
START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(days=1)
