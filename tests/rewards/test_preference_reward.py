"""From recordings over preferences to a reward and relabels: with real files, networks and commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_rl.cli.main import main
from robot_rl.core.errors import DataError
from robot_rl.data.episode_log import read_episode
from robot_rl.data.relabels import apply_relabels, read_relabels
from robot_rl.rewards.cnn import logits
from robot_rl.rewards.labeler_oracle import OracleLabeler
from robot_rl.rewards.labeler_session import label_pairs
from robot_rl.rewards.model_file import load_reward_model, read_info
from robot_rl.rewards.preference_frames import Recordings, recorded_score
from robot_rl.rewards.preference_model import accuracy, held_pairs
from robot_rl.rewards.preferences import Answer, Clip, Labelled, Pair, PreferenceStore
from robot_rl.rewards.relabel import How, relabel
from tests.rewards.chat_server import brighter, chat_server
from tests.rewards.recordings import record, record_many

torch = pytest.importorskip("torch")
from robot_rl.rewards.bradley_terry import Comparisons, PreferenceFit, fit_ensemble  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return record_many(tmp_path_factory.mktemp("data") / "episodes", 12)


@pytest.fixture(scope="module")
def prefs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prefs") / "p"
    command = ["label-prefs", str(data), "--out", str(out), "--labeler", "oracle", "--score", "potential"]
    assert main([*command, "--goal", "the square is on the right", "--pairs", "160", "--error-rate", "0.1"]) == 0
    return out


@pytest.fixture(scope="module")
def model(data: Path, prefs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "m"
    fit = ["--fit.updates", "120", "--fit.members", "2"]
    assert main(["reward", "prefs", str(prefs), str(data), "--out", str(out), "--size", "16", *fit]) == 0
    return out


def test_the_networks_compute_what_serves_without_torch() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 17, 20, 3)).astype(np.float32)
    clips = np.arange(6).reshape(3, 2, 1)
    data = Comparisons({"a": x}, clips, np.array([1.0, 0.0, 1.0], np.float32))
    from robot_rl.rewards.cnn_torch import export, view_network

    torch.manual_seed(0)
    net = view_network(x.shape[1:])
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits({f"p/{k}": v for k, v in export(net).items()}, "p/", x), expected, atol=1e-5)
    once = fit_ensemble(data, PreferenceFit(updates=3, batch=2, members=2))
    again = fit_ensemble(data, PreferenceFit(updates=3, batch=2, members=2))
    assert all(np.array_equal(once[k], again[k]) for k in once)
    assert not np.array_equal(once["a/0/conv0.weight"], once["a/1/conv0.weight"])


def test_a_known_ranking_comes_back_from_noisy_labels() -> None:
    """A fifth of the labels is wrong; the order of the rewards is that of what made them."""
    rng = np.random.default_rng(1)
    worth = rng.uniform(-2, 2, 60)
    x = np.zeros((60, 1, 1, 4), np.float32)
    x[:, 0, 0, 0] = worth
    x[:, 0, 0, 1:] = rng.normal(size=(60, 3))
    clips = rng.integers(0, 60, (500, 2, 1))
    clips = clips[clips[:, 0, 0] != clips[:, 1, 0]]
    second = worth[clips[:, 1, 0]] > worth[clips[:, 0, 0]]
    labels = (second ^ (rng.random(len(second)) < 0.2)).astype(np.float32)
    data = Comparisons({"a": x}, clips, labels, pictures=False)
    arrays = fit_ensemble(data, PreferenceFit(members=1, updates=200, smoothing=0.2))
    reward = logits(arrays, "a/0/", x)
    order = np.corrcoef(np.argsort(np.argsort(reward)), np.argsort(np.argsort(worth)))[0, 1]
    assert order > 0.95
    flipped = Comparisons({"a": x}, clips, 1 - labels, pictures=False)
    assert np.corrcoef(logits(fit_ensemble(flipped, PreferenceFit(members=1)), "a/0/", x), worth)[0, 1] < -0.8


def test_ties_alone_teach_nothing() -> None:
    with pytest.raises(DataError, match="no preference to learn"):
        Comparisons({"a": np.zeros((2, 1, 1, 1), np.float32)}, np.array([[[0], [1]]]), np.array([0.5], np.float32))


def test_pairs_that_are_held_out_share_an_episode_with_none_that_are_not_theirs() -> None:
    pairs = [Labelled(Pair(Clip(f"e{i % 7}", (1,)), Clip(f"e{(i * 3 + 1) % 7}", (2,))), Answer("first", 0.0), "x", 0)
             for i in range(30)]  # fmt: skip
    held = held_pairs(pairs, 0.3, 0)
    trained = {c.episode_id for x, h in zip(pairs, held, strict=True) if not h for c in (x.pair.first, x.pair.second)}
    assert 0 < held.sum() < 30
    assert all(
        {x.pair.first.episode_id, x.pair.second.episode_id} - trained for x, h in zip(pairs, held, strict=True) if h
    )


def test_accuracy_has_an_interval() -> None:
    facts = accuracy(np.array([1.0, -1.0, 1.0, 1.0]), np.array([1.0, 0.0, 0.0, 0.5]))
    assert (facts["pairs"], facts["accuracy"]) == (3, pytest.approx(2 / 3))
    assert 0.2 < facts["low"] < 0.6 < 0.9 < facts["high"] < 1.0  # Wilson 1927: 0.208 to 0.939
    assert accuracy(np.zeros(1), np.array([0.5])) == {"pairs": 0}


def test_recordings_give_pictures_and_scores(data: Path) -> None:
    recordings = Recordings([data])
    assert recordings.cameras == ("side", "wrist")
    pictures = recordings.pictures(Clip("test-0", (0, 12)))
    records = read_episode(data / "0000.mcap").records
    np.testing.assert_array_equal(pictures["side"][0], records[0].obs.images["side"])
    np.testing.assert_array_equal(pictures["wrist"][1], records[-1].final_obs.images["wrist"])  # type: ignore[union-attr]
    assert recorded_score(records, 12, "return") == 1.0 > recorded_score(records, 3, "return") > 0.5
    assert recorded_score(records, 12, "potential") == pytest.approx(2.0)
    failed = read_episode(data / "0001.mcap").records
    assert recorded_score(failed, 12, "return") == 0.0
    with pytest.raises(DataError, match="has 12 steps"):
        recordings.pictures(Clip("test-0", (13,)))
    with pytest.raises(DataError, match="not among the 12 recordings"):
        recordings.pictures(Clip("elsewhere", (0,)))
    with pytest.raises(DataError, match="did you mean 'side'"):
        Recordings([data], ["sid"])
    with pytest.raises(DataError, match="did you mean 'return'"):
        recordings.scorer("retur")


def test_labels_err_as_told_and_the_reward_sees_through_it(prefs: Path, model: Path) -> None:
    store = PreferenceStore(prefs)
    assert len(store.usable()) + sum(x.answer.outcome == "equal" and not x.pair.gold for x in store.labelled) == 160
    card = read_info(model).card
    assert card["labelers"] == ["oracle:0.1"]
    assert card["held_out"]["pairs"] > 10
    assert card["held_out"]["accuracy"] > 0.75  # of labels of which a tenth is wrong
    scorer = load_reward_model(model)
    rng = np.random.default_rng(99)
    from tests.rewards.recordings import scene

    seen = [scene(at, rng) for at in range(0, 17, 2)]
    images = {"side": np.stack(seen), "wrist": np.stack(seen)[:, :12]}
    p = scorer.score(images)
    np.testing.assert_array_equal(p["side"], p["wrist"])
    assert np.corrcoef(p["side"], np.arange(9))[0, 1] > 0.9
    assert scorer.info.gate.on == 1.0 > p["side"].max()


def test_relabelling_leaves_the_logs_and_pays_for_arriving(
    data: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (data / "0000.mcap").read_bytes()
    command = ["reward", "relabel", str(data), "--model", str(model), "--name", "prefs"]
    assert main([*command, "--dry-run"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert not (data / "relabels").exists()
    assert main(command) == 0
    assert "a success ends higher than another episode" in capsys.readouterr().out
    assert (data / "0000.mcap").read_bytes() == before
    relabels = read_relabels(data, "prefs")
    assert (relabels.component, relabels.model) == ("process", read_info(model).checksum)
    assert len(relabels.values) == 12
    good, bad = (apply_relabels(read_episode(data / f"{n:04d}.mcap").records, relabels) for n in (0, 1))
    assert good[-1].rewards["process"] > bad[-1].rewards["process"]
    assert all(-1 < r.rewards["process"] < 0 for r in (*good, *bad))


def test_every_way_of_process_is_bounded(data: Path, model: Path) -> None:
    scorer = load_reward_model(model)
    files = [data / "0000.mcap", data / "0001.mcap"]
    p = relabel(scorer, files, How("progress"))
    np.testing.assert_allclose(p[0].values, p[0].p[1:], atol=1e-6)
    for way in ("potential", "min_form", "delta"):
        assert all(abs(float(r.values.sum())) <= 1.1 for r in relabel(scorer, files, How("process", way)))  # type: ignore[arg-type]
    value = relabel(scorer, files, How("process", "value"))
    np.testing.assert_allclose(value[0].values, 2 * p[0].p[1:] - 1, atol=1e-6)
    judged = relabel(scorer, files, How("success"))
    assert not any(r.values.any() for r in judged)  # its gate never opens


def test_an_ensemble_chooses_the_next_pairs(data: Path, prefs: Path, model: Path, tmp_path: Path) -> None:
    command = ["label-prefs", str(data), "--out", str(tmp_path / "p"), "--labeler", "oracle", "--score", "potential"]
    assert main([*command, "--goal", "right", "--pairs", "10", "--reward", str(model), "--gold", "0"]) == 0
    assert len(PreferenceStore(tmp_path / "p").labelled) == 10
    assert main([*command, "--pairs", "15", "--gold", "0"]) == 0  # goes on; the goal is known
    assert len({x.pair.id for x in PreferenceStore(tmp_path / "p").labelled}) == 15


def test_a_server_labels_recordings(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p"
    with chat_server(brighter) as server:
        command = ["label-prefs", str(data), "--out", str(out), "--labeler", "openai", "--base-url", server.url]
        more = ["--model", "m", "--pairs", "6", "--max-calls", "8", "--parallel", "1", "--gold", "0"]
        assert main([*command, *more, "--goal", "the square is on the right"]) == 1
        said = capsys.readouterr().out
        assert "stopped: the budget of 8 calls is spent" in said
        assert "disagreements" in said
        assert len(PreferenceStore(out).labelled) == 4
        assert main([*command, *more]) == 0
        assert len(PreferenceStore(out).settled()) == 6
    assert "Goal: the square is on the right" in (out / "disagreements.html").read_text()


def test_what_cannot_be_is_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "p")]
    assert main(["label-prefs", str(data), *out, "--labeler", "oracle"]) == 2
    assert "what is the goal?" in capsys.readouterr().err
    assert main(["label-prefs", str(data), *out, "--labeler", "openai", "--goal", "g", "--model", "m",
                 "--base-url", "https://far.example/v1"]) == 2  # fmt: skip
    assert "--send-pictures-to far.example" in capsys.readouterr().err
    assert main(["reward", "prefs", str(tmp_path / "none"), str(data), *out]) == 2
    assert "holds no preferences" in capsys.readouterr().err
    assert main(["reward", "relabel", str(data), "--model", str(tmp_path), "--name", "x"]) == 2
    assert "no reward model" in capsys.readouterr().err


def test_a_folder_of_one_success_and_ties(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    record(folder, 0, success=True)
    recordings = Recordings([folder])
    pair = Pair(Clip("test-0", (0,)), Clip("test-0", (12,)))
    from robot_rl.rewards.preference_model import train_preferences
    from robot_rl.rewards.preferences import Question
    from robot_rl.vision.preprocess import PreprocessSpec

    store = PreferenceStore(tmp_path / "p", Question("g", ("side",)))
    oracle = OracleLabeler(recordings.scorer("return"))
    label_pairs([pair], oracle, store, lambda p: recordings.show(p, store.question))
    info, _ = train_preferences(
        store.usable(), recordings, spec=PreprocessSpec(16), fit=PreferenceFit(members=1, updates=2, batch=2)
    )
    assert info.card["held_out"] == {"pairs": 0}
