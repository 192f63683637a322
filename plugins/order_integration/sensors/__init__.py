"""Steps that wait for the other side."""
