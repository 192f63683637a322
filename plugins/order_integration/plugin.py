"""What Airflow loads of this package. Kept to a name: an import at the top here slows every task down."""

from airflow.plugins_manager import AirflowPlugin


class OrderIntegrationPlugin(AirflowPlugin):
    """Order flows between sales channels and Omnitron."""

    name = "order_integration"
