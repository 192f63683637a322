"""Order flows between sales channels and Akinon's Omnitron."""
