"""What an operator can say about an episode, on whatever device: names of `TeleopState.buttons`."""

from __future__ import annotations

SUCCESS = "success"
"""The task is done: the episode ends as terminated, with the reward of success."""
FAILURE = "failure"
"""The task cannot be done any more: the episode ends as terminated, without it."""
ABORT = "abort"
"""Begin anew: the episode ends as truncated and is kept."""
DISCARD = "discard"
"""As `ABORT`, and the episode is not to be learnt from."""
DISCARDED = "discarded"
"""`StepRecord.stop_reason` of such an episode."""
VETOED = "vetoed"
"""`StepRecord.stop_reason` of an episode that a classifier ended as a success, until a person said `FAILURE`."""
PAUSE = "pause"
"""Stand still; the next press goes on."""
END = "end"
"""End the session after this episode's last good step."""
READY = "ready"
"""What the program asked a person to do is done: go on."""
MARKS = (SUCCESS, FAILURE, ABORT, DISCARD, PAUSE, END, READY)
