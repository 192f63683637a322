"""The sales-channel side."""
