"""From the arrays that a learner publishes to the policy that acts with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from robot_rl.core.protocols import Policy
from robot_rl.policies.edit import MARK, EditPolicy
from robot_rl.policies.gaussian import GaussianPolicy


def published_policy(params: Mapping[str, npt.NDArray[Any]], version: int) -> Policy:
    """The policy that these arrays are of.

    Raises:
        DataError: an array is missing, of the wrong shape, or not finite.
    """
    return (EditPolicy if MARK in params else GaussianPolicy).from_params(params, version)
