"""The main job: stand-ins, Airflow and one flow, run for real and checked from outside."""
