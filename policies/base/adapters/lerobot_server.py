"""Serves a LeRobot checkpoint as base policy; run by the Python of an environment that has ``lerobot``.

    /path/to/lerobot/env/bin/python lerobot_server.py CHECKPOINT [--host 127.0.0.1] [--port 8765] [--device cpu]

`robot_rl.policies.base.adapters.lerobot_base` starts this file; it may as well be copied to another machine, since it
imports nothing but lerobot, PyTorch, numpy, safetensors and the standard library. Its protocol is that of ``wire.py``.

CHECKPOINT is a folder as `lerobot-train` writes them: ``config.json``, ``model.safetensors``, the processors
``policy_preprocessor.json`` and ``policy_postprocessor.json`` with their state files, and the card ``robot_rl.json``.
A question goes through the preprocessor, `predict_action_chunk` and the postprocessor, as in LeRobot's own policy
server. The first line written to standard output is ``{"url": ...}`` or ``{"error": ...}``.

Policies with randomness of their own are made decoders of the noise: it is handed over where they take any, and it
seeds PyTorch's generator for whatever else they draw.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import inspect
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

SCHEMA = 1
KEY_VARIABLE = "ROBOT_RL_BASE_KEY"
MIN_KEY = 16
MAX_BODY_BYTES = 2**28
CARD = "robot_rl.json"
ACTION_NAMES = ["x", "y", "z", "rx", "ry", "rz", "gripper"]
# These hand keyword arguments on to a sampler that takes the noise; their own signature does not say so.
TAKE_NOISE = {"pi0", "pi05"}


class Refused(Exception):
    """The question does not fit the policy; answered with status 400."""


class LerobotPolicy:
    """A checkpoint, asked in our terms.

    Args:
        folder: of the checkpoint.
        device: for PyTorch.
    """

    def __init__(self, folder: Path, device: str) -> None:
        # By name, because neither type checkers nor the robot's own environment know them.
        policies, configs = import_module("lerobot.policies"), import_module("lerobot.configs")
        self.np, self.torch = import_module("numpy"), import_module("torch")
        tensors = import_module("safetensors.numpy")
        self.load, self.save = tensors.load, tensors.save
        self.card: dict[str, Any] = json.loads((folder / CARD).read_text())
        config = configs.PreTrainedConfig.from_pretrained(folder)
        config.device = device
        policy_class = policies.get_policy_class(config.type)
        self.policy = policy_class.from_pretrained(folder, config=config)
        on_device = {"device_processor": {"device": device}}
        self.before, self.after = policies.make_pre_post_processors(
            config,
            pretrained_path=str(folder),
            preprocessor_overrides=on_device,
            postprocessor_overrides={"device_processor": {"device": "cpu"}},
        )
        self.device, self.config = device, config
        takes = inspect.signature(self.policy.predict_action_chunk).parameters
        self.takes_noise = "noise" in takes or config.type in TAKE_NOISE
        self.checksum = _checksum(folder)
        self._check_features()

    def info(self) -> dict[str, Any]:
        """As ``GET /info`` answers."""
        card = self.card
        cameras = {name: entry["shape"] for name, entry in card["cameras"].items()}
        same = {k: card[k] for k in ("name", "horizon", "observations", "noise_shape", "hz", "state_checksum")}
        return {"schema": SCHEMA, **same, "checksum": self.checksum, "cameras": cameras}

    def try_out(self) -> None:
        """Ask once, with zeros, so that a card that does not fit says so before a robot moves."""
        np, card = self.np, self.card
        pictures = {
            f"image.{n}": np.zeros((card["observations"], *c["shape"]), np.uint8) for n, c in card["cameras"].items()
        }
        size = sum(part["size"] for part in card["state"])
        state = np.zeros((card["observations"], size), np.float32)
        noise = np.zeros((1, *card["noise_shape"]), np.float32)
        self.propose({"state": state, "noise": noise, **pictures})

    def propose(self, asked: dict[str, Any]) -> Any:
        """Our actions ``float32[proposals, horizon, 7]`` for arrays as ``POST /propose`` takes them.

        Raises:
            Refused: they do not fit.
        """
        self._check(asked)
        batch, noises = self.before(self._batch(asked)), asked["noise"]
        if not noises.size:
            return self.np.repeat(self._plan(batch, noises[0])[None], len(noises), axis=0)
        # One after the other, because what a policy draws by itself must depend on one row of noise alone.
        return self.np.stack([self._plan(batch, noise) for noise in noises])

    def _plan(self, batch: dict[str, Any], noise: Any) -> Any:
        torch = self.torch
        seed = hashlib.sha256(noise.tobytes()).digest()
        torch.manual_seed(int.from_bytes(seed[:7], "little"))
        given = {}
        if self.takes_noise and noise.size:
            given["noise"] = torch.from_numpy(noise.copy())[None].to(self.device)
        self.policy.reset()
        with torch.inference_mode():
            chunk = self.policy.predict_action_chunk(dict(batch), **given)
            steps = [self.after(chunk[:, i]) for i in range(min(chunk.shape[1], self.card["horizon"]))]
        theirs = torch.stack(steps, dim=1)[0].to("cpu", torch.float32).numpy()
        return self._ours(theirs)

    def _ours(self, theirs: Any) -> Any:
        np, action, horizon = self.np, self.card["action"], self.card["horizon"]
        dims = ACTION_NAMES if action == "ours" else action["dims"]
        scale = [1.0] * len(ACTION_NAMES) if action == "ours" else action["scale"]
        if theirs.shape != (horizon, len(dims)):
            planned = f"the policy plans {theirs.shape[0]} steps of {theirs.shape[1]} numbers"
            raise ValueError(f"{planned}, its card says {horizon} of {len(dims)}: correct horizon or action in {CARD}")
        if not np.isfinite(theirs).all():
            raise ValueError("the policy's actions are not finite")
        out = np.zeros((horizon, len(ACTION_NAMES)), np.float32)
        out[:, [ACTION_NAMES.index(name) for name in dims]] = np.clip(theirs / np.asarray(scale, np.float32), -1, 1)
        return out

    def _batch(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One row of LeRobot's inputs: with a time axis if the policy looks at more than one observation."""
        torch, card = self.torch, self.card
        where, at = {}, 0
        for part in card["state"]:
            where[part["name"]] = slice(at, at + part["size"])
            at += part["size"]
        batch: dict[str, Any] = {"task": card["task"]} if card["task"] else {}
        for name, parts in card["inputs"].items():
            rows = self.np.concatenate([asked["state"][:, where[p]] for p in parts], axis=1)
            batch[name] = torch.from_numpy(rows)
        for camera, entry in card["cameras"].items():
            pictures = torch.from_numpy(asked[f"image.{camera}"].copy())
            batch[entry["input"]] = pictures.permute(0, 3, 1, 2).to(torch.float32) / 255
        alone = self.config.n_obs_steps == 1
        return {k: v if isinstance(v, str) else (v if alone else v[None]) for k, v in batch.items()}

    def _check(self, asked: dict[str, Any]) -> None:
        np, card = self.np, self.card
        steps, size = card["observations"], sum(part["size"] for part in card["state"])
        proposals = asked["noise"].shape[0] if "noise" in asked and asked["noise"].ndim else 0
        expected = {"state": (np.float32, (steps, size)), "noise": (np.float32, (proposals, *card["noise_shape"]))}
        for camera, entry in card["cameras"].items():
            expected[f"image.{camera}"] = (np.uint8, (steps, *entry["shape"]))
        if set(asked) != set(expected) or not 1 <= proposals <= 1024:
            raise Refused(f"a question with {sorted(asked)} for {proposals} proposals, expected {sorted(expected)}")
        for name, (dtype, shape) in expected.items():
            array = asked[name]
            if array.dtype != dtype or array.shape != shape:
                raise Refused(f"{name} is {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(shape)}")
            if dtype is np.float32 and not np.isfinite(array).all():
                raise Refused(f"{name} is not finite")

    def _check_features(self) -> None:
        card, config = self.card, self.config
        named = {*card["inputs"], *(entry["input"] for entry in card["cameras"].values())}
        wanted = set(config.input_features or {})
        if named != wanted:
            raise ValueError(f"the policy takes {sorted(wanted)}, its card gives {sorted(named)}: correct {CARD}")
        if card["observations"] != config.n_obs_steps:
            raise ValueError(f"the policy looks at {config.n_obs_steps} observations, not {card['observations']}")


class Server(ThreadingHTTPServer):
    """One question at a time is answered."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], policy: LerobotPolicy, key: str) -> None:
        self.policy, self.key, self.answering = policy, key, threading.Lock()
        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked is gone; anything else is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """``GET /info`` and ``POST /propose``."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """``/info``."""
        self._handle("GET", b"")

    def do_POST(self) -> None:
        """``/propose``."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._answer(400, _error(f"a body of {length[:20] or 'unknown'} bytes"), "")
        else:
            self._handle("POST", self.rfile.read(int(length)))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each question."""

    def _handle(self, method: str, body: bytes) -> None:
        path, signature = "/" + self.path.rpartition("/")[2], ""
        nonce, meant, given = (self.headers.get(n, "") for n in ("X-Nonce", "X-Base-Checksum", "X-Signature"))
        if self.server.key:
            signature = _sign(self.server.key, *(s.encode() for s in (method, path, nonce, meant)), body)
            if not nonce or not hmac.compare_digest(signature.encode(), given.encode()):
                self.close_connection = True
                self._answer(401, _error("the question is not signed with the server's key"), "")
                return
        self._answer(*self._reply(method, path, meant, body), signature)

    def _reply(self, method: str, path: str, meant: str, body: bytes) -> tuple[int, bytes]:
        policy = self.server.policy
        if (method, path) == ("GET", "/info"):
            return 200, json.dumps(policy.info()).encode()
        if (method, path) != ("POST", "/propose"):
            return 404, _error(f"no such address as {self.path[:100]}")
        if meant != policy.checksum:
            return 409, _error(f"this is {policy.checksum}, not {meant[:64]}")
        try:
            asked = policy.load(body)
        except Exception as e:  # whatever that library says of bytes that are none of its own
            return 400, _error(f"not safetensors: {e}")
        try:
            with self.server.answering:
                return 200, policy.save({"actions": policy.propose(asked)})
        except Refused as e:
            return 400, _error(str(e))
        except Exception as e:
            return 500, _error(f"{type(e).__name__} {e}")

    def _answer(self, status: int, body: bytes, signature: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if signature:
            self.send_header("X-Signature", _sign(self.server.key, signature.encode(), str(status).encode(), body))
        self.end_headers()
        self.wfile.write(body)


def main() -> int:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="Serve a LeRobot checkpoint as base policy.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--watch-stdin", action="store_true", help="end when standard input is closed")
    arguments = parser.parse_args()
    say, sys.stdout = sys.stdout, sys.stderr  # what libraries print is none of ours
    if arguments.watch_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    key = os.environ.get(KEY_VARIABLE, "")
    try:
        if arguments.host not in ("127.0.0.1", "::1", "localhost") and len(key) < MIN_KEY:
            raise ValueError(f"{arguments.host} is open to others: set {KEY_VARIABLE} to at least {MIN_KEY} characters")
        policy = LerobotPolicy(arguments.checkpoint, arguments.device)
        policy.try_out()
        server = Server((arguments.host, arguments.port), policy, key)
    except Exception as e:
        say.write(json.dumps({"error": f"{type(e).__name__} {e}"}) + "\n")
        return 2
    say.write(json.dumps({"url": f"http://{arguments.host}:{server.server_address[1]}"}) + "\n")
    say.flush()
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        return 130
    return 0


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)  # also while a checkpoint is being loaded


def _checksum(folder: Path) -> str:
    """Of everything in the folder that changes answers: weights, configuration, processors and card."""
    digest = hashlib.sha256()
    for path in sorted((*folder.glob("*.json"), *folder.glob("*.safetensors"))):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _sign(key: str, *parts: bytes) -> str:
    message = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def _error(sentence: str) -> bytes:
    return json.dumps({"error": " ".join(sentence.split())[:500]}).encode()


if __name__ == "__main__":
    sys.exit(main())
