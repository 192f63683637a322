"""What waits in the triggerer; nothing in here may block."""
