"""What every form of the process reward promises, for any progress a model might answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.rewards.process import BOUND, Shaping, check_bound, earned, helped, reachable, shape, smooth, worst
from robot_rl.rewards.process_config import ProcessConfig, anneal

BOUNDED = ("potential", "clip", "delta", "min_form", "softmin")
PHI = st.integers(1, 60).flatmap(lambda n: arrays(np.float64, n + 1, elements=st.floats(0.0, 1.0)))
ANY_FORM = st.sampled_from(BOUNDED)
GAMMA = st.sampled_from([0.0, 0.5, 0.9, 0.97, 1.0])


def discounted(values: np.ndarray, gamma: float) -> float:
    return float(sum(gamma**t * float(v) for t, v in enumerate(values)))


@given(PHI, GAMMA, st.booleans())
def test_potential_telescopes(phi: np.ndarray, gamma: float, terminated: bool) -> None:
    """To its first and last value; nothing remains of a terminal state, all of it of a cut one."""
    values = shape(phi, Shaping("potential", gamma), terminated=terminated, success=terminated)
    end = 0.0 if terminated else gamma ** len(values) * phi[-1]
    assert discounted(values, gamma) == pytest.approx(end - phi[0], abs=1e-4)


@given(PHI, GAMMA, st.booleans(), st.integers(1, 5), st.data())
def test_potential_telescopes_over_windows(
    phi: np.ndarray, gamma: float, terminated: bool, n_step: int, data: st.DataObject
) -> None:
    """A window of n steps shifts by the potential at its start and after it, whatever lies between."""
    values = shape(phi, Shaping("potential", gamma), terminated=terminated, success=terminated)
    start = data.draw(st.integers(0, len(values) - 1))
    window = values[start : start + n_step]
    ended = start + len(window) == len(values)
    end = 0.0 if ended and terminated else gamma ** len(window) * phi[start + len(window)]
    assert discounted(window, gamma) == pytest.approx(end - phi[start], abs=1e-4)


@given(PHI, ANY_FORM, GAMMA, st.booleans(), st.integers(1, 3))
def test_an_episode_pays_no_more_than_the_bound(
    phi: np.ndarray, form: str, gamma: float, success: bool, frames: int
) -> None:
    how = Shaping(form, gamma, frames)  # type: ignore[arg-type]
    values = shape(phi, how, terminated=success, success=success)
    assert values.shape == (len(phi) - 1,) and values.dtype == np.float32
    check_bound(values, how)
    low, high = reachable(how)
    for t in range(len(values)):
        assert low - 1e-4 <= discounted(values[t:], gamma) <= high + 1e-4


@given(PHI, st.booleans(), st.integers(0, 59), st.floats(0.0, 1.0))
def test_min_form_ignores_peaks(phi: np.ndarray, success: bool, at: int, height: float) -> None:
    """Raising one score before the end, however far, changes nothing of what is paid in all."""
    how = Shaping("min_form")
    spiked = phi.copy()
    spiked[at % (len(phi) - 1)] = max(height, spiked[at % (len(phi) - 1)])
    plain, more = (shape(p, how, terminated=success, success=success) for p in (phi, spiked))
    assert (plain >= 0.0).all() and (more >= 0.0).all()
    if success:
        assert plain.sum() == pytest.approx(phi[-1] - phi.min(), abs=1e-4)
        # a peak at the start can only hide that progress began below it
        assert more.sum() <= plain.sum() + 1e-4


def test_min_form_pays_nothing_for_a_peak_that_is_not_kept() -> None:
    phi = [0.2, 0.2, 1.0, 0.2, 0.2]
    assert not shape(phi, Shaping("min_form"), terminated=False, success=False).any()


def test_min_form_holds_a_failure_below_and_pays_nothing_at_its_end() -> None:
    phi = [0.0, 0.5, 1.0, 1.0]
    assert shape(phi, Shaping("min_form"), terminated=False, success=False) == pytest.approx([0.5, 0.4, 0.0])
    assert shape(phi, Shaping("min_form"), terminated=True, success=True) == pytest.approx([0.5, 0.5, 0.0])


@pytest.mark.parametrize("form", BOUNDED)
def test_going_back_and_forth_earns_nothing(form: str) -> None:
    """However often, it pays no more than going there and back once."""
    how = Shaping(form)  # type: ignore[arg-type]
    once, often = (shape([0.3, *[0.9, 0.3] * times], how, terminated=False, success=False).sum() for times in (1, 100))
    assert often <= once + 1e-4


@pytest.mark.parametrize("form", BOUNDED)
def test_loitering_where_the_score_is_high_pays_no_more_the_longer_it_lasts(form: str) -> None:
    how = Shaping(form)  # type: ignore[arg-type]
    short, long = (shape([0.0, *[0.85] * n], how, terminated=False, success=False).sum() for n in (5, 500))
    assert long <= short + 1e-5
    naive = Shaping("naive_sum")
    assert shape([0.0, *[0.85] * 500], naive, terminated=False, success=False).sum() == pytest.approx(425.0)


@given(arrays(np.float64, st.integers(2, 40), elements=st.floats(0.0, 1.0)))
def test_softmin_weights_are_normalised_before_they_are_applied(phi: np.ndarray) -> None:
    """So the sum is a weighted mean of the scores: between the worst and the best of them, near the worst."""
    scores = 2.0 * phi[1:] - 1.0
    total = float(shape(phi, Shaping("softmin", temperature=0.01), terminated=False, success=False).sum())
    assert scores.min() - 1e-4 <= total <= scores.min() + 0.01 * np.log(len(scores)) + 1e-4


def test_delta_sums_to_the_score_of_the_step_it_is_summed_from() -> None:
    phi = np.array([0.0, 0.2, 0.7, 0.4])
    values = shape(phi, Shaping("delta"), terminated=False, success=False)
    assert np.cumsum(values[::-1])[::-1] == pytest.approx(phi[1:], abs=1e-6)


def test_clip_charges_bad_steps_alone_and_not_for_ever() -> None:
    values = shape([0.9, 0.9, 0.1, 0.6], Shaping("clip"), terminated=False, success=False)
    assert values == pytest.approx([0.0, -0.04, 0.0])
    long = shape([0.0] * 1000, Shaping("clip"), terminated=False, success=False)
    assert long.sum() == pytest.approx(-BOUND) and not long[100:].any()


def test_no_form_pays_nothing() -> None:
    assert not shape([0.0, 1.0], Shaping("none"), terminated=True, success=True).any()


@pytest.mark.parametrize("phi", [[], [0.0, np.nan], [[0.1, 0.2]], [np.inf, 0.0]])
def test_garbage_is_refused(phi: list[float]) -> None:
    with pytest.raises(DataError, match="T \\+ 1 finite scores"):
        shape(phi, Shaping("potential"), terminated=False, success=False)


def test_an_episode_without_steps_has_no_rewards() -> None:
    assert shape([0.4], Shaping("min_form"), terminated=False, success=False).shape == (0,)


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(0.0, 1.0)), st.integers(1, 3))
def test_smoothing_stays_between_what_was_seen(phi: np.ndarray, frames: int) -> None:
    out = smooth(phi, frames)
    assert out[0] == phi[0]
    assert (out >= np.minimum.accumulate(phi) - 1e-9).all() and (out <= np.maximum.accumulate(phi) + 1e-9).all()
    if frames == 1:
        assert np.array_equal(out, phi)


def test_smoothing_is_short() -> None:
    with pytest.raises(DataError, match="1 to 3 frames, got 4"):
        smooth([0.0], 4)


def test_the_worst_member_speaks() -> None:
    assert worst([[0.1, 0.9], [0.5, 0.2]]).tolist() == [0.1, 0.2]


def test_help_is_masked_while_it_lasts_and_after() -> None:
    mask = helped([False, True, True, False, False, False, True], 2)
    assert mask.tolist() == [False, True, True, True, True, False, True]
    assert helped([False] * 3, 5).tolist() == [False] * 3


@given(PHI, ANY_FORM, st.data())
def test_masking_cannot_break_the_bound(phi: np.ndarray, form: str, data: st.DataObject) -> None:
    how = Shaping(form)  # type: ignore[arg-type]
    values = shape(phi, how, terminated=False, success=False)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    kept = earned(values, mask, how)
    check_bound(kept, how)
    assert not kept[mask].any()
    if not mask.any():
        assert np.array_equal(kept, values)


def test_raising_again_what_others_let_fall_is_not_paid_each_time() -> None:
    """The policy raises the score ten times; in between an operator lets it fall, which is not its fault."""
    how = Shaping("potential", 1.0)
    values = shape([0.0, *[1.0, 0.0] * 10], how, terminated=False, success=False)
    mask = np.array([False, True] * 10)
    assert values[~mask].sum() == pytest.approx(10.0)
    assert earned(values, mask, how).sum() == pytest.approx(1.0)


def test_what_exceeds_the_bound_is_not_stored() -> None:
    with pytest.raises(DataError, match=r"sums to 1\.200, expected at most 1"):
        check_bound(np.full(4, 0.3, np.float32), Shaping("delta"))
    with pytest.raises(DataError, match="not finite"):
        check_bound(np.full(4, np.nan, np.float32), Shaping("delta"))


def test_the_farmed_form_is_refused_unless_it_is_meant() -> None:
    with pytest.raises(ConfigError, match="loitering"):
        ProcessConfig(form="naive_sum")
    assert ProcessConfig(form="naive_sum", allow_naive_sum=True).on


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_weight_falls_with_success(above: float, a: float, b: float) -> None:
    config = ProcessConfig(anneal_above=above)
    low, high = sorted((a, b))
    assert 0.0 <= anneal(config, high) <= anneal(config, low) <= 1.0
    assert anneal(config, above) == 1.0
    if above + 0.2 <= 1.0:
        assert anneal(config, min(1.0, above + 0.21)) == 0.0
