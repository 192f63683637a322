"""Airflow connections become the core's clients."""
