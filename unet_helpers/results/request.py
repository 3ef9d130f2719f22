"""What a result was asked for. An earlier result on disk is known by it, and not made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

if TYPE_CHECKING:
    from .segmentation import Segmentation

# Parts of a request that are sums over many bytes, which a message does not print.
SUMS = {
    "weights": "the weights",
    "pixels": "the pixels, or the options with which they were read",
    "by_hand": "what was drawn by hand",
}


def request_record(
    weights: str, threshold: float, flips: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a result is asked for, in the types that JSON has.

    ``weights`` is a SHA-256, ``options`` are those of ``segment``; None is an option not given.
    """
    given = {name: value for name, value in options.items() if value is not None}
    record = {
        **given,
        # Weights without a file get a random id, so that they never equal those of a later call.
        "weights": weights or uuid4().hex,
        "threshold": threshold,
        "flips": flips,
    }
    return json.loads(json.dumps(record, default=lambda value: np.asarray(value).tolist()))


def request_of(result: Segmentation) -> dict[str, Any]:
    """Return what was asked for; of an image that was in memory, its pixels are compared."""
    options = result.asked
    if options is None:
        options = {"zoom": round(result.zoom, 6), "pixels": sha256_of_pixels(result)}
    if result.by_hand is not None:
        options = {**options, "by_hand": result.by_hand.sha256()}
    return request_record(result.weights_sha256, result.threshold, result.flips, options)


def sha256_of_pixels(result: Segmentation) -> str:
    """Return the SHA-256 of the pixels, as they were read."""
    return hashlib.sha256(result.image.pixels.tobytes()).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest; empty if the file is truncated or another program's."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError):
        return {}


def difference(
    manifest: Mapping[str, Any], asked: Mapping[str, Any], input_sha256: str | None
) -> str:
    """Say how an earlier result was made otherwise than it is asked for now; '' if it was not.

    ``input_sha256`` is None for inputs that are not compared, such as folders.
    """
    if not isinstance(manifest.get("asked"), dict):
        return "from another file or with other settings"
    if input_sha256 is not None and manifest.get("input_sha256") != input_sha256:
        return "from another file"

    # Earlier versions wrote the threshold and the flips only beside the request.
    resolved = {name: manifest[name] for name in ("threshold", "flips") if name in manifest}
    earlier = {**resolved, **manifest["asked"]}
    changes = []
    for name in sorted({*earlier, *asked}):
        then, now = earlier.get(name), asked.get(name)
        if then == now:
            continue
        if name in SUMS:
            changes.append(SUMS[name])
        else:
            changes.append(f"{name} {in_words(then)}, now {in_words(now)}")
    if not changes:
        return ""
    return f"with other settings ({'; '.join(changes)})"


def in_words(value: Any) -> str:
    """Write the value of an option; None is one that was not given."""
    return "not given" if value is None else str(value)
