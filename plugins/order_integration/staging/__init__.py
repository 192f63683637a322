"""What one task hands to the next, what waits, and which batch requests are ours: files under one fsspec URL.

People's data is in here and nowhere else, so a local staging folder is readable by its owner only. Files are NDJSON,
compressed. Each attempt of a task writes into a folder of its own and publishes its URL; nothing half written is read.

::

    <staging>/runs/<channel>/<flow>/<run>/<task>-<map index>-<try>/*.ndjson.gz
    <staging>/quarantine/<channel>/<flow>/<key>.json     records that can't be used as they are, one file a key;
                                                         what waits no longer is in its folder `closed/`
    <staging>/parked/<channel>/<flow>/<key>.json         records that wait for something, one file a key
    <staging>/batches/<channel>/<flow>/<pk>.json         batch requests of ours that have not ended yet
    <staging>/links/<channel>/<flow>/<run>….json         links that have to be written
    <staging>/begun/<channel>/<flow>/<key>.json          writes that may have been carried out, one file a key
    <staging>/submissions/<channel>/<flow>/….json        what was sent to a channel, and not said to Omnitron yet
    <staging>/made/<channel>/<flow>/<pk>.json            which key an object was made of
    <staging>/said/<channel>/<flow>/<key>.json           what the channel said last of an object, one file a key
    <staging>/alarms/<channel>/<flow>/<window>/<kind>.json   alarms that were told; those that are not yet everywhere
                                                         are in the flow's folder `owed/`
    <staging>/fresh/<channel>/<flow>.json                how far a flow is settled, and what watching it found
    <staging>/reports/<channel>/<flow>/<time>-<run>.ndjson   what a run found out, for people to look up
"""

from order_integration.staging.alarms import Alarm, AlarmBook, AlarmKind
from order_integration.staging.area import URL_VARIABLE, Folder, Staging, key_digest
from order_integration.staging.notes import Begun, Fresh, OpenBatches, OwedLinks, Said
from order_integration.staging.reports import ReportFiles
from order_integration.staging.waiting import ASKED, OPEN, REPLAYED, TOLD, Ended, Places, Waiting, moment_of

__all__ = [
    "ASKED",
    "OPEN",
    "REPLAYED",
    "TOLD",
    "URL_VARIABLE",
    "Alarm",
    "AlarmBook",
    "AlarmKind",
    "Begun",
    "Ended",
    "Folder",
    "Fresh",
    "OpenBatches",
    "OwedLinks",
    "Places",
    "ReportFiles",
    "Said",
    "Staging",
    "Waiting",
    "key_digest",
    "moment_of",
]
