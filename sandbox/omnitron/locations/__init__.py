"""Countries, cities, townships and districts, derived from public data."""
