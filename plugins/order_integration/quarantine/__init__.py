"""The quarantine on the command line: `python -m order_integration.quarantine --help`. Works without Airflow.

Only a replay that is not left to the next run needs it: `airflow dags trigger`, in a process of its own.
"""
