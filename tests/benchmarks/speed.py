"""How fast it is: ``python tests/benchmarks/speed.py [--write docs/SPEED.md] [--sizes 512 2048 8192]``.

All is measured twice, one run after the other (images of more than 4096 px a side once): where the figures differ, both
stand. Each ratio is of medians measured in turns within one run, warmed up; memory and cold starts are those of fresh
processes. All is computed in single precision but for rows that say otherwise. Needs an idle machine. OpenVINO, ONNX
Runtime and MONAI are compared with where they are installed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from itertools import zip_longest
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tifffile
import torch
from torch import nn

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

import unet_helpers as uh
from unet_helpers.inference.tiles import OVERLAP, TILE, predict
from unet_helpers.networks.engine import precision, run
from unet_helpers.networks.unet import UNet
from unet_helpers.preprocessing.slices import Prepared

REPEATS = 7
# what a network can be computed with: its name on the page, the engine and the precision
WAYS = [("torch", "torch", "float32"), ("torch, bfloat16", "torch", "bfloat16")]
if find_spec("openvino"):
    WAYS += [("OpenVINO", "openvino", "float32"), ("OpenVINO, bfloat16", "openvino", "bfloat16")]
    WAYS += [
        ("OpenVINO, int8", "int8", "float32"),
        ("OpenVINO, int8 and bfloat16", "int8", "bfloat16"),
    ]
WAYS = [way for way in WAYS if way[2] in ("float32", precision())]
FRESH = """
import json, time
started = time.perf_counter()
{code}
spent = time.perf_counter() - started
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss has the parent's, too
print(json.dumps([spent, int(peak.split()[1]) / 1024]))
"""


class Valid(nn.Module):
    """The network of Ronneberger et al. 2015, figure 1: valid convolutions, 64 to 1024 features, 572 to 388 px."""

    def __init__(self):
        super().__init__()
        widths = [1, 64, 128, 256, 512, 1024]
        self.down = nn.ModuleList(self.pair(a, b) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, 2) for n in (512, 256, 128, 64))
        self.joined = nn.ModuleList(self.pair(2 * n, n) for n in (512, 256, 128, 64))
        self.last = nn.Conv2d(64, 2, 1)

    @staticmethod
    def pair(a: int, b: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(a, b, 3), nn.ReLU(inplace=True), nn.Conv2d(b, b, 3), nn.ReLU(inplace=True)
        )

    def forward(self, x):
        kept = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for up, block, skip in zip(self.up, self.joined, kept[-2::-1]):
            x = up(x)
            cut = (skip.shape[-1] - x.shape[-1]) // 2
            x = block(
                torch.cat((skip[..., cut : cut + x.shape[-2], cut : cut + x.shape[-1]], x), 1)
            )
        return self.last(x)


def computed(card: str, call: Callable) -> dict[str, Callable]:
    """By the name of the way: ``call(model)``, the model computed in that way."""

    def way(model, chosen: str) -> Callable:
        def timed():
            os.environ["UNET_HELPERS_PRECISION"] = chosen
            call(model)
            os.environ["UNET_HELPERS_PRECISION"] = "float32"

        return timed

    known = [w for w in WAYS if w[1] != "int8" or uh.MODELS[card].int8_ranges]
    return {name: way(uh.load_model(card, engine=engine), chosen) for name, engine, chosen in known}


def medians(ways: dict[str, Callable], repeats: int = REPEATS) -> dict[str, float]:
    """Seconds of each, taken in turns."""
    spent = {name: [] for name in ways}
    with torch.inference_mode():
        for _ in range(repeats + 1):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                spent[name].append(time.perf_counter() - started)
    return {name: statistics.median(times[1:]) for name, times in spent.items()}


def fresh(code: str) -> tuple[float, float]:
    """Seconds and peak memory (MiB) of code in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", FRESH.format(code=code)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def texture(height: int, width: int) -> np.ndarray:
    """An 8-bit image with something at every scale, the same each time."""
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(60, 200, (height // 8, width // 8)), np.ones((8, 8))).astype(
        np.uint8
    )


def table(head: list[str], rows: list[list]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def whole_path() -> str:
    """``segment`` of 512 x 512 px by each card's defaults against the overlap-tile pass of 2015."""
    valid, tile, grey = Valid().eval(), torch.rand(1, 1, 572, 572), texture(512, 512)
    images = {"em_membranes": grey, "lungs": grey, "brain_flair": grey} | {
        card: uh.read_image(ROOT / "sample_images" / name).pixels[:512, :512]
        for card, name in (("nuclei", "fluorescence.png"), ("nuclei_he", "ihc.png"))
    }
    ways: dict[str, Callable] = {"2015": lambda: valid(tile)}  # one of its four tiles
    for card, image in images.items():
        several = computed(
            card, lambda model, image=image: uh.segment(image, model, progress=False)
        )
        ways |= {f"{card}, {name}": way for name, way in several.items()}
    found = medians(ways, 5)
    paper = 4 * found.pop("2015")
    rows = [
        [name, f"{1000 * spent:.0f} ms", f"{paper / spent:.1f}"] for name, spent in found.items()
    ]
    words = f"The 2015 network's own overlap-tile pass, four tiles of 572 px in and 388 out: {paper:.2f} s.\n\n"
    return words + table(
        ["card, engine", "`segment`, 512 × 512", "times as fast as the 2015 pass"], rows
    )


def one_pass(side: int) -> str:
    """The network alone."""
    model = uh.load_model("em_membranes")
    x = torch.rand(1, 1, side, side).contiguous(memory_format=torch.channels_last)
    trained = UNet(1, 1).eval()
    ways = {"torch, as trained": lambda: trained(x)} | computed(
        "em_membranes", lambda model: run(model, x)
    )
    if find_spec("onnxruntime") and find_spec("onnxscript"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        with tempfile.TemporaryDirectory() as folder:
            path = uh.export_onnx(model, Path(folder) / "network.onnx")
            session = onnxruntime.InferenceSession(path, options)
        array = x.contiguous().numpy()
        ways["ONNX Runtime"] = lambda: session.run(None, {"image": array})
    found = medians(ways)
    operations = 2 * sum(multiplications(trained, side))
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    sgemm = 2 * 1024**3 / medians({"sgemm": lambda: a @ b})["sgemm"]
    rows = [
        [n, f"{1000 * t:.0f} ms", f"{found['torch'] / t:.2f}", f"{operations / t / sgemm:.0%}"]
        for n, t in found.items()
    ]
    return table(
        [f"one pass, {side} × {side}", "time", "as fast as torch", "of the rate of sgemm"], rows
    )


def multiplications(model: nn.Module, side: int) -> list[int]:
    counts, hooks = [], []

    def count(layer, inputs, output):
        kernel = layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else layer.weight.shape[0]
        counts.append(kernel * output[0].numel())

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            hooks.append(layer.register_forward_hook(count))
    with torch.inference_mode():
        model(torch.zeros(1, model.in_channels, side, side))
    for hook in hooks:
        hook.remove()
    return counts


def against_monai() -> str:
    if not find_spec("monai"):
        return "MONAI is not installed.\n"
    from monai.inferers import sliding_window_inference

    pixels, plain = texture(1792, 1792), uh.load_model("em_membranes", engine="torch")
    x, out = (
        torch.from_numpy(pixels)[None, None].float() / 255,
        np.zeros((1, *pixels.shape), np.float32),
    )
    ours = computed("em_membranes", lambda model: predict(model, Prepared(pixels, 0, 1 / 255), out))
    ways = {f"ours, {name}": way for name, way in ours.items()}
    ways["MONAI, torch"] = lambda: sliding_window_inference(
        x, TILE, 1, plain, overlap=OVERLAP / TILE, mode="gaussian"
    )
    found = medians(ways, 3)
    rows = [
        [name, f"{spent:.2f} s", f"{found['MONAI, torch'] / spent:.2f}"]
        for name, spent in found.items()
    ]
    return table(
        [f"tiles of {TILE} px, {OVERLAP} shared, 1792 × 1792", "time", "as fast as MONAI"], rows
    )


def growth(sizes: list[int]) -> str:
    """Of images in memory, and from 2048 px on also of tiled files that are read and answered piece by piece."""
    code = """
import numpy as np, unet_helpers as uh
pixels = np.tile(np.kron(np.random.default_rng(0).integers(60, 200, (32, 32)), np.ones((8, 8))).astype(np.uint8),
                 ({n} // 256, {n} // 256))
result = uh.segment(pixels, "em_membranes", progress=False)
"""
    on_disk = """
import unet_helpers as uh
uh.segment_large({path!r}, "em_membranes", {out!r}, progress=False)
"""
    base = fresh("import unet_helpers")[1]
    rows = []
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            ways = (
                {"segment": code.format(n=n)} if n <= 8192 else {}
            )  # of larger ones the result fills gigabytes
            if n >= 2048:
                pixels = np.tile(texture(256, 256), (n // 256, n // 256))
                tifffile.imwrite(f"{folder}/large.tif", pixels, tile=(512, 512))
                ways["segment_large"] = on_disk.format(
                    path=f"{folder}/large.tif", out=f"{folder}/out"
                )
            for name, way in ways.items():
                spent, memory = fresh(way)
                rows.append(
                    [
                        f"{n} × {n}",
                        f"`{name}`",
                        f"{spent:.1f} s",
                        f"{1e9 * spent / n**2:.0f} ns",
                        f"{memory:.0f} MiB",
                    ]
                )
    words = (
        f"`import unet_helpers` alone takes {base:.0f} MiB. A result in memory holds 4 bytes a pixel and class; "
        "`segment_large` also tells the objects apart, and writes them.\n\n"
    )
    return words + table(["image", "by", "time", "a pixel", "peak memory"], rows)


def starts() -> str:
    times = {"import torch": [], "import unet_helpers": [], "a first answer (fluorescence.png)": []}
    codes = [
        "import torch",
        "import unet_helpers",
        "import unet_helpers as uh; uh.segment('sample_images/fluorescence.png', 'nuclei')",
    ]
    for _ in range(3):
        for name, code in zip(times, codes):
            times[name].append(fresh(code)[0])
    return table(
        ["a fresh process", "time"],
        [[n, f"{statistics.median(t):.2f} s"] for n, t in times.items()],
    )


def samples() -> str:
    shown = {"retina.jpg": "retinal_vessels", "ihc.png": "nuclei_he", "fluorescence.png": "nuclei"}
    rows = []
    for name, card in shown.items():
        path, model = ROOT / "sample_images" / name, uh.load_model(card)
        if not path.exists():
            continue
        image = uh.read_image(path)
        spent = medians({"it": lambda: uh.segment(image, model, progress=False).objects}, 3)["it"]
        area = np.prod(image.spatial_shape) / 1e6
        rows.append(
            [
                f"`{name}`",
                card,
                " × ".join(map(str, image.spatial_shape)),
                f"{spent:.2f} s",
                f"{spent / area:.2f} s",
            ]
        )
    return table(["sample", "card", "size", "image to objects", "a megapixel"], rows)


def one_of_many(path: Path) -> int:
    torch.set_num_threads(1)
    return int(uh.segment(path, uh.load_model("em_membranes"), progress=False).labels.sum())


def workers(count: int = 200) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            np.save(Path(folder) / f"{i}.npy", texture(256, 256))
        paths, found = sorted(Path(folder).glob("*.npy")), {}
        for n in (1, 2):
            with ProcessPoolExecutor(
                n, get_context("spawn"), torch.set_num_threads, (1,)
            ) as executor:  # no forks
                list(executor.map(one_of_many, paths[: 2 * n]))  # started, imported
                started = time.perf_counter()
                list(executor.map(one_of_many, paths))
                found[n] = time.perf_counter() - started
    rows = [[n, f"{spent:.1f} s", f"{found[1] / spent:.2f}"] for n, spent in found.items()]
    return table(
        [f"workers, one thread each, {count} images of 256 × 256", "time", "times as fast as one"],
        rows,
    )


def both(first: str, second: str) -> str:
    """A page with the figures of two runs: where a cell, or a figure in a sentence, differs, both stand."""
    lines = []
    for line, again in zip_longest(first.splitlines(), second.splitlines(), fillvalue=""):
        split = " | " if line.startswith("|") else " "
        pairs = zip_longest(line.split(split), (again or line).split(split), fillvalue="")
        lines.append(split.join(a if a == b else f"{a.removesuffix(' |')}; {b}" for a, b in pairs))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="the page; without it, it is printed")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2048, 8192])
    chosen = parser.parse_args()
    os.environ["UNET_HELPERS_PRECISION"] = "float32"
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    names = ("torch", "openvino", "onnxruntime", "monai", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names if find_spec(name))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    processor = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        processor = next(
            line.split(": ")[1]
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        )
    page = [
        "# Speed",
        "",
        f"Made by `python tests/benchmarks/speed.py --sizes {' '.join(map(str, chosen.sizes))} --write docs/SPEED.md` "
        f"on {date.today()}, commit {commit.strip()}: "
        f"{processor}, {torch.get_num_threads()} threads; {versions}. Single precision (float32) where a row says "
        "nothing else, OpenVINO where none is named. Figures of two runs, one after "
        "the other"
        + "; images of more than 4096 px a side once" * (max(chosen.sizes) > 4096)
        + ".",
    ]
    parts = {
        "An image of 512 × 512": whole_path,
        "One pass of the network": lambda: one_pass(512),
        "Small images": lambda: one_pass(256),
        "Tiles": against_monai,
        "Larger images": lambda: growth(chosen.sizes),
        "Starting": starts,
        "The samples": samples,
        "Many images": workers,
    }
    runs = []
    for number in (1, 2):
        runs.append([])
        for title, part in parts.items():
            print(title, number, "...", file=sys.stderr, flush=True)
            runs[-1].append(part())
        chosen.sizes = [size for size in chosen.sizes if size <= 4096]
    for title, first, second in zip(parts, *runs):
        page += ["", f"## {title}", "", both(first, second)]
    text = "\n".join(page) + "\n"
    print(text)
    if chosen.write:
        chosen.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
