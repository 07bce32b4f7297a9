"""The page about a success classifier: one HTML file with everything in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.types import Image
from robot_rl.evaluation.audit import Audit, disagreement, precision_recall, reliability, roc
from robot_rl.evaluation.charts import Chart, Series, draw
from robot_rl.evaluation.report_sections import charts
from robot_rl.rewards.calibrate import expected_error
from robot_rl.rewards.evaluate import ClipResult, Rate
from robot_rl.rewards.spans import NO, YES
from robot_rl.vision.preprocess import resized

GALLERY = 20
TIMELINES = 6
THUMBNAILS = 7


def write_page(audit: Audit, path: Path) -> Path:
    """Write the page.

    Raises:
        DataError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render_page(audit), encoding="utf-8")
    except OSError as e:
        raise DataError(f"cannot write the page {path}: {e.strerror or e}") from e
    return path


def render_page(audit: Audit) -> str:
    """The page as text."""
    style = files("robot_rl.evaluation").joinpath("report.css").read_text(encoding="utf-8")
    script = files("robot_rl.evaluation").joinpath("report.js").read_text(encoding="utf-8")
    body = "".join(
        (
            _header(audit),
            _verdict(audit),
            _cards(audit),
            charts("Frames", map(draw, _curves(audit))),
            _section("Kinds of situation", _buckets(audit)),
            _section("Broken and disturbed cameras", _probes(audit)),
            charts("Episodes", _timelines(audit)),
            _section("Most convincing frames that show no success", _gallery(audit, wanted=NO)),
            _section("Least convincing frames of success", _gallery(audit, wanted=YES)),
            _section("About the model", _card(audit)),
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(audit.info.task)}: audit of a success classifier</title><style>{style}</style></head>"
        f"<body><main>{body}</main><script>{script}</script></body></html>\n"
    )


def _header(audit: Audit) -> str:
    info = audit.info
    details = f"{info.kind}, version {info.version}, {', '.join(info.cameras)}, checksum {info.checksum}"
    return (
        f'<header><div class="eyebrow">robot_rl audit of a success classifier</div><h1>{escape(info.task)}</h1>'
        f'<p class="sub">{escape(details)}</p></header>'
    )


def _verdict(audit: Audit) -> str:
    complaints = audit.complaints
    tone = "poor" if complaints else "good"
    sentence = "It must not reward a robot as it is." if complaints else "It keeps every limit."
    items = "".join(f"<p>{escape(c)}</p>" for c in complaints)
    return f'<section class="verdict {tone}"><div><strong>{sentence}</strong>{items}</div></section>'


def _cards(audit: Audit) -> str:
    e = audit.evaluation
    p, success, _ = e.frames
    fine, amber, red = audit.drift
    delays = e.delays
    rates = [
        ("False positives", e.fpr, "of frames without success"),
        ("Recall", e.recall, "of frames of success"),
        ("Ended too early", e.false_ends, "of episodes, under the gate"),
        ("Missed", e.missed, "of successful episodes, under the gate"),
        ("Views disagree", disagreement(e), "of frames"),
    ]
    cards = [_rate_card(*row) for row in rates]
    plain = [
        ("Delay", f"{np.median(delays):.0f} frames" if delays else "none", f"median; most {max(delays, default=0)}"),
        ("Area under the curve", f"{e.auc:.4f}", f"{len(p)} frames of {len(e.results)} episodes"),
        ("Calibration error", f"{expected_error(p, success):.3f}", f"Brier score {np.mean((p - success) ** 2):.3f}"),
        ("Cameras", f"{fine / max(fine + amber + red, 1):.0%} fine", f"{amber} frames amber, {red} red"),
    ]
    cards += [
        f'<div class="card"><span class="name">{name}</span><b>{escape(value)}</b><span>{escape(note)}</span></div>'
        for name, value, note in plain
    ]
    return f'<section class="cards">{"".join(cards)}</section>'


def _rate_card(name: str, rate: Rate, note: str) -> str:
    low, high = rate.bounds
    value = f"{rate.value:.1%}" if rate.n else "none"
    bar = f'<div class="range"><i style="left:{low:.1%};width:{high - low:.1%}"></i></div>' if rate.n else ""
    text = f"{rate.hits} of {rate.n} {note}; {low:.1%} to {high:.1%}"
    return f'<div class="card"><span class="name">{name}</span><b>{value}</b>{bar}<span>{escape(text)}</span></div>'


def _curves(audit: Audit) -> list[Chart]:
    e = audit.evaluation
    fpr, recall = roc(e)
    found, precision = precision_recall(e)
    served = Series(
        "served threshold",
        np.array([e.fpr.value]),
        np.array([e.recall.value]),
        dots=True,
        low=np.array([e.recall.bounds[0]]),
        high=np.array([e.recall.bounds[1]]),
        color=2,
    )
    points = reliability(e)
    promised = np.array([at for at, _ in points])
    happened = Series(
        "observed",
        promised,
        np.array([r.value for _, r in points]),
        dots=True,
        low=np.array([r.bounds[0] for _, r in points]),
        high=np.array([r.bounds[1] for _, r in points]),
        color=3,
    )
    diagonal = Series("perfect", np.array([0.0, 1.0]), np.array([0.0, 1.0]), dashed=True, color=1)
    bars = "Bars: 95 % Clopper-Pearson; frames of one episode are alike, so that they are optimistic."
    return [
        Chart("Receiver operating characteristic", "false-positive rate", "recall",
              (Series("all thresholds", fpr, recall), served), percent=True, note=bars),
        Chart("Precision and recall", "recall", "precision", (Series("thresholds", found, precision),), percent=True),
        Chart("Reliability", "probability that it gives", "share of successes", (happened, diagonal), percent=True,
              note=bars),
    ]  # fmt: skip


def _buckets(audit: Audit) -> str:
    e = audit.evaluation
    rows = [("success (recall)", e.recall), *e.by_bucket.items()]
    body = "".join(
        f'<tr><td>{escape(kind)}</td><td class="num">{rate.hits} of {rate.n}</td>'
        f'<td class="num">{rate.value:.1%}</td><td class="num">{rate.bounds[0]:.1%} to {rate.bounds[1]:.1%}</td></tr>'
        for kind, rate in rows
        if rate.n
    )
    head = '<th>situation</th><th class="num">called success</th><th class="num">rate</th><th class="num">95 %</th>'
    confusion = (
        f"At the threshold {e.threshold:.3f}: {e.recall.hits} successes seen, {e.recall.n - e.recall.hits} missed, "
        f"{e.fpr.hits} false, {e.fpr.n - e.fpr.hits} rightly refused."
    )
    return f'<div class="panel"><table><tr>{head}</tr>{body}</table><p class="note">{confusion}</p></div>'


def _probes(audit: Audit) -> str:
    head = (
        '<th>disturbance</th><th class="num">networks fooled</th><th class="num">served, watch included</th>'
        '<th class="num">episodes ended too early</th>'
    )
    body = "".join(
        f'<tr><td>{escape(p.name)}</td><td class="num">{p.fooled.value:.1%}</td><td class="num">{p.served.value:.1%}'
        f'</td><td class="num">{p.ended.hits} of {p.ended.n}</td></tr>'
        for p in audit.probes
    )
    note = "Shares of frames that show no success. The watch over the cameras makes the model abstain."
    return f'<div class="panel"><table><tr>{head}</tr>{body}</table><p class="note">{note}</p></div>'


def _timelines(audit: Audit) -> Iterator[str]:
    """Probability over time of some episodes: those that went wrong first, then of both kinds in turn."""
    results = audit.evaluation.results
    wrong = [r for r in results if r.false_end or r.missed]
    fine = [r for r in results if r not in wrong]
    yes, no = [r for r in fine if r.true_from is not None], [r for r in fine if r.true_from is None]
    turns = [r for pair in zip(yes, no, strict=False) for r in pair]
    for result in [*wrong, *turns][:TIMELINES]:
        yield _timeline(result, audit)


def _timeline(result: ClipResult, audit: Audit) -> str:
    clip = result.clip
    series = [
        Series(camera, clip.t_s, p, color=k % 5 + 1) for k, (camera, p) in enumerate(sorted(result.views.items()))
    ]
    truth = np.where(clip.success >= 0, clip.success, np.nan).astype(np.float64)
    series.append(Series("shows success", clip.t_s, truth, dashed=True, color=6))
    what = "ended too early" if result.false_end else "missed" if result.missed else "right"
    said = "" if result.fired is None else f", the gate says success at {clip.t_s[result.fired]:.1f} s"
    title = f"{clip.episode_id}: {what}{said}"
    chart = draw(Chart(title, "time (s)", "probability", tuple(series), percent=True))
    frames = np.linspace(0, len(clip.t_s) - 1, THUMBNAILS).astype(int)
    camera = next(iter(audit.info.cameras))
    strip = "".join(_picture(clip.images[camera][k], f"{clip.t_s[k]:.1f} s") for k in frames)
    return f'<div>{chart}<div class="stills" style="grid-template-columns:repeat({THUMBNAILS},1fr)">{strip}</div></div>'


def _gallery(audit: Audit, *, wanted: int) -> str:
    """The frames about which the model is most wrong, or least right, one an episode first."""
    found = []
    for result in audit.evaluation.results:
        rows = np.flatnonzero(result.clip.success == wanted)
        if rows.size:
            order = rows[np.argsort(result.p[rows] if wanted == YES else -result.p[rows], kind="stable")]
            found += [(rank, float(result.p[k]), result, int(k)) for rank, k in enumerate(order[:GALLERY:5])]
    found.sort(key=lambda row: (row[1] if wanted == YES else -row[1], row[0]))
    pictures = "".join(
        _picture(
            np.concatenate([_seen(audit, result.clip.images[c][k], c) for c in audit.info.cameras], axis=1),
            f"{p:.2f} {result.clip.bucket[k]}, frame {k}",
        )
        for _, p, result, k in found[:GALLERY]
    )
    if not pictures:
        return '<p class="empty">None.</p>'
    return f'<div class="stills" style="grid-template-columns:repeat(auto-fill,minmax(150px,1fr))">{pictures}</div>'


def _seen(audit: Audit, image: Image, camera: str) -> Image:
    """What the networks see, large enough for people."""
    small = resized(image, audit.info.cameras[camera].preprocess)[0].astype(np.uint8)
    return np.asarray(small.repeat(2, axis=0).repeat(2, axis=1))


def _picture(image: Image, caption: str) -> str:
    from PIL import Image as Picture

    buffer = io.BytesIO()
    Picture.fromarray(image).save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/jpeg;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _card(audit: Audit) -> str:
    info, gate = audit.info, audit.info.gate
    required = [f"{b.low:g} ≤ {b.reading} ≤ {b.high:g}" for b in gate.require]
    facts: Sequence[tuple[str, str]] = [
        (
            "gate",
            f"{gate.k_on} looks in a row at {gate.on:.3f} or more; taken back by {gate.k_off} below {gate.off:.3f}",
        ),
        ("requires", "; ".join(required) or "nothing of the robot's readings"),
        *((c, f"{i.shape[0]} x {i.shape[1]}, seen as {i.preprocess.to_dict()}") for c, i in info.cameras.items()),
        *((str(name), str(value)) for name, value in info.card.items() if name != "episodes"),
        ("settings", str(dict(info.settings))),
    ]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f'<div class="panel"><dl>{rows}</dl></div>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"
