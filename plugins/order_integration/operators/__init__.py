"""The flows' steps as Airflow operators; thin."""
