"""A model behind an address, asked over real sockets: what it answers counts, what is no answer does not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.rewards.labeler_cache import AnswerCache
from robot_rl.rewards.labeler_http import Endpoint, HttpLabeler
from robot_rl.rewards.labeler_session import judge
from robot_rl.rewards.labelers import Budget, Enough
from robot_rl.rewards.preferences import Answer, Pair
from tests.rewards.chat_server import ChatServer, Reply, brighter, chat_server, completion, grey_clip, show

PAIR = Pair(grey_clip(10), grey_clip(200))
YES = '{"better": 1}'


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def labeler(server: ChatServer, tmp_path: Path, *, budget: Budget | None = None, **more: Any) -> HttpLabeler:
    endpoint = Endpoint(server.url, "tiny", **{"backoff_s": 0.001, "timeout_s": 20.0, **more})
    return HttpLabeler(endpoint, AnswerCache(tmp_path / "cache.jsonl"), budget or Budget())


def ask_once(reply: Reply, tmp_path: Path, **more: Any) -> Answer:
    with chat_server(lambda request: reply) as server:
        return labeler(server, tmp_path, retries=0, **more).ask(show(PAIR))


def test_both_orders_agree_on_what_is_seen(tmp_path: Path) -> None:
    with chat_server(brighter) as server:
        budget = Budget(usd_per_million_in=1.0, usd_per_million_out=10.0)
        answer = judge(labeler(server, tmp_path, budget=budget), show(PAIR))
        assert (answer.outcome, answer.p_second, answer.calls) == ("second", 1.0, 2)
        assert (answer.tokens_in, answer.tokens_out) == (200, 20)
        assert budget.spent_usd == pytest.approx(200e-6 + 200e-6)
        turned = judge(labeler(server, tmp_path), show(Pair(PAIR.second, PAIR.first)))
        assert turned.outcome == "first"
    request = server.requests[0]
    assert request["temperature"] == 0
    assert request["model"] == "tiny"
    assert "make it bright" in request["messages"][0]["content"][0]["text"]
    assert "Authorization" not in server.headers[0]


def test_a_habit_for_a_place_is_no_preference(tmp_path: Path) -> None:
    with chat_server(lambda request: completion('{"better": 0}')) as server:
        answer = judge(labeler(server, tmp_path), show(PAIR))
    assert (answer.outcome, answer.p_second) == ("inconsistent", None)
    assert answer.why.startswith("the first in both orders")


def test_neither_is_an_answer(tmp_path: Path) -> None:
    with chat_server(lambda request: completion('{"better": -1}')) as server:
        answer = judge(labeler(server, tmp_path), show(PAIR))
    assert (answer.outcome, answer.p_second) == ("equal", 0.5)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (completion("I'm sorry, I can't help with that."), "refused"),
        (completion(None, message={"refusal": "not allowed"}), "refused"),
        (completion("", finish_reason="content_filter"), "refused"),
        (completion(YES, finish_reason="content_filter"), "refused"),
        (completion("The second one, clearly."), "nonsense"),
        (completion('{"better": 2}'), "nonsense"),
        (completion('{"better": true}'), "nonsense"),
        (completion('{"better": "1"}'), "nonsense"),
        (completion('{"better": null}'), "nonsense"),
        (completion('{"best": 1}'), "nonsense"),
        (completion('{"better": 1'), "nonsense"),
        (completion(None), "nonsense"),
        (b"<html>not json", "nonsense"),
        (b"[]", "nonsense"),
        (b'{"choices": []}', "nonsense"),
        (b'{"choices": [{"message": {"content": 1}}]}', "nonsense"),
        ((400, {"error": "bad request"}), "error"),
        ((500, {"error": "out of memory"}), "error"),
        ((429, {"error": "slow down"}), "error"),
        ((302, {"go": "elsewhere"}), "error"),
    ],
)
def test_what_is_no_answer_is_never_a_preference(reply: Reply, outcome: str, tmp_path: Path) -> None:
    answer = ask_once(reply, tmp_path)
    assert (answer.outcome, answer.p_second) == (outcome, None)
    assert not (tmp_path / "cache.jsonl").exists()


def test_silence_is_a_time_out(tmp_path: Path) -> None:
    answer = ask_once(None, tmp_path, timeout_s=0.1)
    assert (answer.outcome, answer.p_second, answer.calls) == ("timeout", None, 1)
    assert "0.1 s" in answer.why


def test_nobody_there(tmp_path: Path) -> None:
    with chat_server(brighter) as server:
        gone = labeler(server, tmp_path, retries=1)
    answer = gone.ask(show(PAIR))
    assert (answer.outcome, answer.calls) == ("error", 2)
    assert server.url in answer.why


def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    replies: Iterator[Reply] = iter([(429, "wait"), (500, "oops"), (503, "busy"), completion(YES)])
    with chat_server(lambda request: next(replies)) as server:
        answer = labeler(server, tmp_path).ask(show(PAIR))
    assert (answer.outcome, answer.calls) == ("second", 4)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_closed_door_ends_everything(status: int, tmp_path: Path) -> None:
    with chat_server(lambda request: (status, "no")) as server:
        with pytest.raises(DeviceError, match=f"HTTP {status}.*check --base-url"):
            labeler(server, tmp_path).ask(show(PAIR))
        assert len(server.requests) == 1


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    with chat_server(brighter) as server:
        first = judge(labeler(server, tmp_path), show(PAIR))
        again = judge(labeler(server, tmp_path), show(PAIR))
        assert len(server.requests) == 2
        assert (again.outcome, again.p_second, again.calls, again.tokens_in) == (first.outcome, 1.0, 0, 0)
        judge(labeler(server, tmp_path), show(Pair(grey_clip(10), grey_clip(201))))
        assert len(server.requests) == 4


def test_a_cut_cache_costs_a_call_and_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cache.jsonl"
    cache = AnswerCache(path)
    cache.put("a", Answer("first", 0.0))
    with path.open("ab") as file:
        file.write(b'{"key": "b", "ans')
    cache = AnswerCache(path)
    assert len(cache) == 1
    cache.put("c", Answer("second", 1.0))
    assert AnswerCache(path).get("c") == Answer("second", 1.0)


def likely(digit: str, p_one: float) -> dict[str, Any]:
    def entry(token: str, p: float) -> dict[str, Any]:
        return {"token": token, "logprob": math.log(p)}

    tops = [entry("1", p_one), entry("0", 1 - p_one), entry("-", 1e-9)]
    return {"content": [{"token": t} for t in ('{"', "better", '":', " ")] + [{"token": digit, "top_logprobs": tops}]}


def test_probabilities_make_it_soft(tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> Reply:
        assert request["logprobs"] is True
        second = brighter(request)[1]["choices"][0]["message"]["content"].count('"better": 1')
        return completion(f'{{"better": {second}}}', logprobs=likely(str(second), 0.7 if second else 0.1))

    with chat_server(answer) as server:
        assert judge(labeler(server, tmp_path), show(PAIR)).p_second == pytest.approx((0.7 + 0.9) / 2)


def test_probabilities_that_contradict_the_answer_are_passed_over(tmp_path: Path) -> None:
    assert ask_once(completion(YES, logprobs=likely("1", 0.2)), tmp_path).p_second == 1.0


def test_a_server_without_probabilities_is_asked_without(tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> Reply:
        return (400, "logprobs is not supported") if "logprobs" in request else brighter(request)

    with chat_server(answer) as server:
        assert judge(labeler(server, tmp_path), show(PAIR)).outcome == "second"
        assert ["logprobs" in r for r in server.requests] == [True, False, False]


def test_the_budget_is_kept(tmp_path: Path) -> None:
    with chat_server(lambda request: (500, "oops")) as server:
        with pytest.raises(Enough, match="budget of 3 calls"):
            labeler(server, tmp_path, budget=Budget(calls=3), retries=10).ask(show(PAIR))
        assert len(server.requests) == 3
    with chat_server(brighter) as server:
        paid = labeler(server, tmp_path, budget=Budget(usd=0.01, usd_per_million_in=100.0))
        paid.ask(show(PAIR))
        with pytest.raises(Enough, match=r"budget of 0\.01 USD"):
            paid.ask(show(PAIR).swapped())


def test_the_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    with chat_server(brighter) as server:
        answer = labeler(server, tmp_path, key_variable="MY_KEY").ask(show(PAIR))
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "secret" not in (tmp_path / "cache.jsonl").read_text() + repr(answer)


def test_pictures_stay_here_unless_their_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    far = "https://api.example.com/v1"
    with pytest.raises(ConfigError, match="allow it with --send-pictures-to api.example.com"):
        Endpoint(far, "m")
    with pytest.raises(ConfigError, match="--send-pictures-to"):
        Endpoint(far, "m", send_pictures_to="example.com")
    Endpoint(far, "m", send_pictures_to="api.example.com")
    for near in ("http://localhost:8000/v1", "http://127.0.0.1/v1", "http://[::1]:1/v1"):
        Endpoint(near, "m")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with pytest.raises(ConfigError, match="unencrypted"):
        Endpoint("http://box.lan/v1", "m", send_pictures_to="box.lan")


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://localhost", "http://user:key@localhost/v1", "http:///v1"])
def test_addresses_are_checked(url: str) -> None:
    with pytest.raises(ConfigError, match="the address of a labeler"):
        Endpoint(url, "m")


def test_several_pictures_a_clip_are_shown_in_order(tmp_path: Path) -> None:
    from robot_rl.rewards.preferences import Clip
    from tests.rewards.chat_server import brightness

    pair = Pair(Clip("grey", (1, 2, 3)), Clip("grey", (7, 8, 9)))
    with chat_server(lambda request: completion(YES)) as server:
        labeler(server, tmp_path).ask(show(pair))
    assert brightness(server.requests[0]) == [1, 2, 3, 7, 8, 9]
