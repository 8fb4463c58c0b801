"""The two stages in which tokens are learned: `BaseTokens` and `AppendedTokens`, and the `Run` of either.

A stage says where its tokens start, which losses a step has, and what the tokens are in the end; a run is
Adam on them. No weight of the diffusion model changes.
"""

from kp_helpers.stages.appended import AppendedTokens
from kp_helpers.stages.base import BaseTokens
from kp_helpers.stages.linear import linear_fit
from kp_helpers.stages.readout_cache import ReadoutCache
from kp_helpers.stages.run import OptimisationError, Run, finished, learn, metadata
from kp_helpers.stages.selection import select_tokens
from kp_helpers.stages.states import StepRecord, clear
