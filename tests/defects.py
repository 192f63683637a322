"""What the existing client of the same interface gets wrong, in our words: ids, severities, one line each.

A test that fails if we had such a defect carries `@pytest.mark.defect("ID")`; `tests/test_defects.py` sees to it that
every one of severity A or B has a test, or a reason in `NOT_APPLICABLE`.

A: orders or cancels are lost or doubled, or a flow stands still. B: wrong data, or a wrong result. C: robustness,
security, speed. D: minor.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    severity: str
    what: str


def _read(table: str) -> dict[str, Defect]:
    rows = (line.split(maxsplit=2) for line in table.strip().splitlines())
    return {number: Defect(severity, what) for number, severity, what in rows}


DEFECTS = _read("""
D1 A a fresh install can't be imported: it wants classes that its library does not have
D2 C settings are read while modules are imported, so that nothing can be imported without them
D3 C one setting of the HTTP pool is read from the other's variable, and stays a text
D4 D an error's text is lost where it was given by name
B1 A after an exception the batch request stays open, and its content type is locked until somebody mends it by hand
B2 A one order that the channel refused leaves the batch request of all open
B3 A the batch request of cancels is never ended
B4 A one customer or carrier that fails turns the whole batch request into a failure
B5 A the second record that fails kills the flow, because the batch request has failed already
B6 A asking about feeds takes a list for one batch request and dies: nothing asynchronous ever ends
B7 A a feed is never told to be under way, and a feed that the channel forgot is waited for without end
B8 B the connector is always told to answer at once
B9 B a connector's answer without reports kills the flow after the commit
B10 B what a check of feeds has to report goes nowhere
B11 B only the first ten open batch requests are looked at
B12 B that a batch request has ended differently than wanted is swallowed
B13 B one item that Omnitron refuses ends the whole flow
B14 B a batch request ends with the last object only; the others stay under way for ever
B15 C one lock is held for as long as a whole import takes
B16 B "nothing to do" is recorded as a failure
B17 B a data class shares one list among all its objects and takes ids of the channel for numbers
O1 A one buyer or carrier that can't be used makes all later orders of the run unlinked for ever
O2 A an order that was created and not linked is skipped by every later run instead of being linked
O3 B an order that is skipped sends the objects of the order before it once more
O4 A exact decimals can't be sent
O5 A creating something is repeated blindly after an answer was lost: doubled orders
O6 A the setting that says how a customer is found switches the look-up off
O7 A an address that is there already is not recognised in every form of that answer, and the order is dropped
O8 A an optional text that is explicitly nothing drops the order
O9 A what the guide's own example returns kills the flow
O10 A one bad record ends the reading, and all later ones are lost
O11 B the estimated delivery is filled with the delivery
O12 B an item's invoice number and date are not sent
O13 B where the order was placed from is always the same text
O14 B the order's date is sent in local time without a zone
O15 B a customer is always active
O16 B a country that is not known is not reported as an address problem
O17 B what should handle bad addresses and orders is never reached
O18 B order numbers and ids are cut in silence
O19 A an item without an id in its free data leaves its order created and unlinked
O20 B free data is changed in place, and an id in it replaces the channel's
O21 B product ids with commas or that are no texts are not found; an ambiguous product is not noticed
O22 C the whole list of carriers is read for every order
O23 C the same address is resolved and sent twice
O24 B a city of another country is taken
O25 B slips of the program around customers are swallowed, and orders vanish
O26 B a filter that the server ignores makes every order count as there already
U1 A the channel's order number is compared with its order id: every order counts as not sent
U2 B a link's remote id is overwritten with what the answer happens to hold
U3 B what the channel refused is recorded as the integration's own failure
U4 B nothing under way is an exception instead of an end
U5 C orders go to the channel without their items
U6 C one page of orders is sent in a run, however many are due
U7 D results are matched in quadratic time
U8 B an item without a link fails all
C1 A nothing is ever cancelled: one report is expected, a list comes
C2 A a cancel of an order that is not there loses all cancels after it
C3 B that the shipping is paid back, and the invoice of it, are dropped
C4 B a reason that is not mapped is sent as none
C5 B a reason for an item that is not cancelled loses the cancel
C6 B several units of one id are all cancelled, whatever was asked
C7 B what Omnitron answered to a cancel is thrown away
I1 A an item update that names its order's number never finds the item
I2 B of several items with one id only the first is updated
I3 B an unknown item is passed over in silence
I4 B no field can be cleared, or set to nothing
I5 B the items that were updated are not linked to their batch request
K1 B a reason that is not mapped becomes some fixed reason
K2 B data is changed in place, so that a second try sends something else
K3 C the sample leaves out a field that is required
K4 A a second run opens the same request once more
P1 A any mapping of reasons kills the flow after the commit, or is split into letters
P2 B a reason that is not mapped is told to the channel as some fixed reason
P3 A an error is returned as if it was data, and sent
P4 B a request that the channel refused counts as told
P5 A one request that fails stops all, and the batch request stays open
P6 C two look-ups a request
L1 A successful log-ins are counted and lock the app out; wrong passwords are tried without limit
L2 C every call with a dead token logs in by itself
L3 A two hosts or users share one token
L4 C the shared counter is changed by two at once
L5 C the token is kept in the open, without an end
L6 B a log-in server that fails is not understood
L7 C one client for all accounts and threads
S1 A errors and expired tokens are handled on the first page only
S2 C "too many calls" is not tried again
S3 B a refusal that is not JSON hides its cause
S4 A no call has a time-out
S5 C a dead server is called ten times over minutes
S6 D the caller's parameters are changed in place
G1 C reports and logs hold people's data and credentials
G2 B a report that could not be written is forgotten
G3 B two runs of one task at once double orders
G4 B a channel that sleeps ends the run as if all was well
G5 B the channel's settings can't be published
G6 B shipping information can't be sent at all
G7 D samples read what nobody fills
G8 D codes of reports have three forms
""")

NOT_APPLICABLE = {
    "G6": "there is no such command here: shipping goes to the channel with the order's update, not to Omnitron",
}
