"""The middle: one module a flow, plain functions, no Airflow."""
