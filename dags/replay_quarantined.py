"""Records of the quarantine are tried again, after what was wrong with them has been mended.

Trigger it with the form: which flow, and which records (one key, all of a reason, or all). **select** finds and counts
them → **approve** waits for a person's yes, unless it is a single key → **replay** parks them → **run** runs the flow's
DAG for what is parked alone, without a window, and waits for it → **report** says in a table what became of each:
passed, failed again and why, gone, or cancelled at the channel. The same is on the command line:
`python -m order_integration.quarantine`.

Each record is read from the channel again, as it is now. What was cancelled there while it waited is closed and not
created. Until a record has passed it stays in quarantine, whatever happens here.

#### When it fails

* **select**: the form is not complete, or the key does not wait; its last line says which. *Skipped*: there is nothing
  of that kind. Nothing was changed.
* **approve** is *awaiting input* until somebody answers it (*Required actions* in the UI), for 20 hours at most. A no,
  or no answer, ends the run green, and nothing was changed.
* **replay**: the staging area can't be written. Clear it.
* **run** waits while the flow's DAG is paused, or other runs of it are under way: unpause it. It is green also where
  the flow's run is red; that run's own log says why.
* **report**: records that were not tried are still parked, and the flow's next run begins with them. Nothing is lost.
"""

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

from order_integration.operators.flow_dag import by_hand, channels_of
from order_integration.operators.replay import ApproveReplay, ParkForReplay, ReportReplay, SelectQuarantined, form

FLOW = "replay_quarantined"
LONGEST_ANSWER = timedelta(hours=20)  # a run ends after 24
RUNS_AT_ONCE = 8  # one that waits for an answer keeps no other from being asked, or a single key from being tried
POLL = 10  # seconds between two looks at the flow's run

for channel in channels_of(FLOW):
    with DAG(**{**by_hand(FLOW, channel, __doc__ or ""), "max_active_runs": RUNS_AT_ONCE}, params=form()):
        common = {"flow": FLOW, "channel": channel.name}

        select = SelectQuarantined(task_id="select", **common)
        approve = ApproveReplay(
            task_id="approve",
            subject="{{ ti.xcom_pull(task_ids='select')['subject'] }}",
            body="{{ ti.xcom_pull(task_ids='select')['text'] }}",
            defaults=ApproveReplay.REJECT,
            response_timeout=LONGEST_ANSWER,
        )
        replay = ParkForReplay(task_id="replay", **common)
        run = TriggerDagRunOperator(
            task_id="run",
            trigger_dag_id=f"{{{{ params.flow }}}}__{channel.name}",
            conf={"waiting_only": True},
            logical_date=None,  # one of the schedule's slots would be occupied by it
            run_after=None,  # at once
            wait_for_completion=True,
            deferrable=True,
            poke_interval=POLL,
            allowed_states=["success", "failed"],  # of a red run, too, is to be said what became of the records
            failed_states=[],
        )
        report = ReportReplay(task_id="report", **common)

        select >> approve >> replay >> run >> report
