"""The sections of the page about speed: each function measures and returns one, in Markdown."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tifffile
import torch
from timing import ROOT, in_fresh_process, medians, table, texture
from torch import nn
from unet2015 import TILE as TILE_OF_2015
from unet2015 import ValidUNet

import unet_helpers as uh
from unet_helpers.inference.tiles import OVERLAP, TILE, predict
from unet_helpers.networks.engine import precision, run
from unet_helpers.networks.unet import UNet
from unet_helpers.preprocessing.slices import Prepared

# By it the package is told in which precision to compute.
PRECISION = "UNET_HELPERS_PRECISION"

# Tiles of the network of 2015 that cover 512 x 512 px.
TILES_OF_2015 = 4

# px a side: larger images are measured by ``segment_large`` alone, since the result in memory fills
# gigabytes; and smaller ones by ``segment`` alone.
LARGEST_IN_MEMORY = 8192
SMALLEST_ON_DISK = 2048

# px: side of the image that is compared in tiles.
TILED_SIDE = 1792

SEGMENT_IN_MEMORY = """
import numpy as np, unet_helpers as uh
sample = uh.read_image(uh.sample("fluorescence")).pixels
pixels = np.tile(sample, ({side} // 512, {side} // 512))
result = uh.segment(pixels, "em_membranes", progress=False)
"""

SEGMENT_ON_DISK = """
import unet_helpers as uh
uh.segment_large({path!r}, "em_membranes", {out!r}, progress=False)
"""


@dataclass(frozen=True)
class Computation:
    """What a network can be computed with."""

    # On the page.
    name: str
    engine: str
    precision: str


# Those of the packages that are missing are left out.
COMPUTATIONS = (
    Computation("torch", "torch", "float32"),
    Computation("torch, bfloat16", "torch", "bfloat16"),
    Computation("OpenVINO", "openvino", "float32"),
    Computation("OpenVINO, bfloat16", "openvino", "bfloat16"),
    Computation("OpenVINO, int8", "int8", "float32"),
    Computation("OpenVINO, int8 and bfloat16", "int8", "bfloat16"),
)

# That of this processor, before it is set to float32.
NATIVE_PRECISION = precision()


def is_possible(computation: Computation, card: str) -> bool:
    """Tell whether a card can be computed so on this machine."""
    if computation.precision not in ("float32", NATIVE_PRECISION):
        return False
    if computation.precision == "bfloat16" and not uh.MODELS[card].bfloat16:
        return False
    if computation.engine == "torch":
        return True
    if computation.engine == "int8" and not uh.MODELS[card].int8_ranges:
        return False
    return find_spec("openvino") is not None


def computed(card: str, call: Callable[[UNet], object]) -> dict[str, Callable[[], None]]:
    """Return calls with the card's network, by the name of what it is computed with."""
    calls = {}
    for computation in COMPUTATIONS:
        if is_possible(computation, card):
            model = uh.load_model(card, engine=computation.engine)
            calls[computation.name] = partial(call_in, computation.precision, call, model)
    return calls


def call_in(chosen: str, call: Callable[[UNet], object], model: UNet) -> None:
    """Call with the model in the precision chosen."""
    os.environ[PRECISION] = chosen
    call(model)
    os.environ[PRECISION] = "float32"


def whole_path() -> str:
    """Time ``segment`` of 512 x 512 px by each card's defaults, and the pass of 2015."""
    # Textures of noise would be taken for background, and not be computed at all.
    grey = corner_of_sample("fluorescence.png")
    images = {
        "em_membranes": grey,
        "lungs": grey,
        "chest": grey,
        "brain_flair": grey,
        "nuclei": corner_of_sample("fluorescence.png"),
        "nuclei_he": corner_of_sample("ihc.png"),
    }

    network_of_2015 = ValidUNet().eval()
    tile = torch.rand(1, 1, TILE_OF_2015, TILE_OF_2015)
    calls: dict[str, Callable[[], object]] = {"2015": partial(network_of_2015, tile)}
    for card, image in images.items():
        segment = partial(segment_image, image)
        for name, call in computed(card, segment).items():
            calls[f"{card}, {name}"] = call

    seconds = medians(calls, repeats=5)
    seconds_of_2015 = TILES_OF_2015 * seconds.pop("2015")
    rows = [
        [name, f"{1000 * spent:.0f} ms", f"{seconds_of_2015 / spent:.1f}"]
        for name, spent in seconds.items()
    ]
    words = (
        "The 2015 network's own overlap-tile pass, four tiles of 572 px in and 388 out: "
        f"{seconds_of_2015:.2f} s.\n\n"
    )
    head = ["card, engine", "`segment`, 512 × 512", "times as fast as the 2015 pass"]
    return words + table(head, rows)


def corner_of_sample(name: str) -> np.ndarray:
    """Return the top left 512 x 512 px of a sample."""
    return uh.read_image(ROOT / "sample_images" / name).pixels[:512, :512]


def segment_image(image: np.ndarray, model: UNet) -> uh.Segmentation:
    """Segment an image without a bar."""
    return uh.segment(image, model, progress=False)


def one_pass(side: int) -> str:
    """Time the network alone."""
    model = uh.load_model("lungs")
    x = torch.rand(1, 1, side, side).contiguous(memory_format=torch.channels_last)
    trained = UNet(1, 1).eval()

    calls: dict[str, Callable[[], object]] = {"torch, as trained": partial(trained, x)}
    calls |= computed("lungs", partial(run, x=x))
    if find_spec("onnxruntime") and find_spec("onnxscript"):
        calls["ONNX Runtime"] = pass_of_onnx_runtime(model, x)

    seconds = medians(calls)
    operations = 2 * multiplications(trained, side)
    rate_of_sgemm = operations_a_second_of_sgemm()
    rows = []
    for name, spent in seconds.items():
        ratio = seconds["torch"] / spent
        share = operations / spent / rate_of_sgemm
        rows.append([name, f"{1000 * spent:.0f} ms", f"{ratio:.2f}", f"{share:.0%}"])

    head = [f"one pass, {side} × {side}", "time", "as fast as torch", "of the rate of sgemm"]
    return table(head, rows)


def pass_of_onnx_runtime(model: UNet, x: torch.Tensor) -> Callable[[], object]:
    """Export a network, and return a call that computes it by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = uh.export_onnx(model, Path(folder) / "network.onnx")
        session = onnxruntime.InferenceSession(path, options)
    return partial(session.run, None, {"image": x.contiguous().numpy()})


def operations_a_second_of_sgemm() -> float:
    """Measure how fast this machine multiplies matrices in single precision."""
    a = torch.rand(1024, 1024)
    b = torch.rand(1024, 1024)
    seconds = medians({"sgemm": partial(torch.matmul, a, b)})["sgemm"]
    return 2 * 1024**3 / seconds


def multiplications(model: UNet, side: int) -> int:
    """Count the multiplications in all convolutions of one pass."""
    counts = []

    def count(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: object, output: torch.Tensor) -> None:
        values_of_kernel = layer.weight.shape[0]
        if isinstance(layer, nn.Conv2d):
            values_of_kernel = layer.weight[0].numel()
        counts.append(values_of_kernel * output[0].numel())

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    with torch.inference_mode():
        model(torch.zeros(1, model.in_channels, side, side))
    for hook in hooks:
        hook.remove()
    return sum(counts)


def against_monai() -> str:
    """Time tiles with Gaussian weights, and MONAI's."""
    if not find_spec("monai"):
        return "MONAI is not installed.\n"
    from monai.inferers import sliding_window_inference

    pixels = texture(TILED_SIDE, TILED_SIDE)
    out = np.zeros((1, *pixels.shape), np.float32)
    prepared = Prepared(pixels, offset=0, gain=1 / 255)
    ours = computed("lungs", partial(predict, prepared=prepared, out=out))
    calls: dict[str, Callable[[], object]] = {f"ours, {name}": call for name, call in ours.items()}

    calls["MONAI, torch"] = partial(
        sliding_window_inference,
        inputs=torch.from_numpy(pixels)[None, None].float() / 255,
        roi_size=TILE,
        sw_batch_size=1,
        predictor=uh.load_model("lungs", engine="torch"),
        overlap=OVERLAP / TILE,
        mode="gaussian",
    )

    seconds = medians(calls, repeats=3)
    rows = [
        [name, f"{spent:.2f} s", f"{seconds['MONAI, torch'] / spent:.2f}"]
        for name, spent in seconds.items()
    ]
    size = f"{TILED_SIDE} × {TILED_SIDE}"
    head = [f"tiles of {TILE} px, {OVERLAP} shared, {size}", "time", "as fast as MONAI"]
    return table(head, rows)


def growth(sides: Sequence[int]) -> str:
    """Time images in memory, and larger tiled files that are read and answered piece by piece."""
    base = in_fresh_process("import unet_helpers; unet_helpers.UNet")
    rows = []
    for side in sides:
        if side <= LARGEST_IN_MEMORY:
            rows.append(row_of_growth(side, "segment", SEGMENT_IN_MEMORY.format(side=side)))
        if side >= SMALLEST_ON_DISK:
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/large.tif"
                pixels = np.tile(corner_of_sample("fluorescence.png"), (side // 512, side // 512))
                tifffile.imwrite(path, pixels, tile=(512, 512))
                code = SEGMENT_ON_DISK.format(path=path, out=f"{folder}/out")
                rows.append(row_of_growth(side, "segment_large", code))

    words = (
        f"The package alone, with torch, takes {base.memory:.0f} MiB. A result in memory holds 4 "
        "bytes a pixel and class; `segment_large` also tells the objects apart, and writes them."
        "\n\n"
    )
    return words + table(["image", "by", "time", "a pixel", "peak memory"], rows)


def row_of_growth(side: int, name: str, code: str) -> list[str]:
    """Run the code for an image of that side, and return its row of the table."""
    cost = in_fresh_process(code)
    return [
        f"{side} × {side}",
        f"`{name}`",
        f"{cost.seconds:.1f} s",
        f"{1e9 * cost.seconds / side**2:.0f} ns",
        f"{cost.memory:.0f} MiB",
    ]


def starts() -> str:
    """Time fresh processes."""
    codes = {
        "import torch": "import torch",
        "import unet_helpers": "import unet_helpers",
        "a first answer (fluorescence.png)": (
            "import unet_helpers as uh; uh.segment('sample_images/fluorescence.png', 'nuclei')"
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(3):
        for name, code in codes.items():
            times[name].append(in_fresh_process(code).seconds)

    rows = [[name, f"{statistics.median(spent):.2f} s"] for name, spent in times.items()]
    return table(["a fresh process", "time"], rows)


def samples() -> str:
    """Time samples from the image to its objects."""
    cards = {"retina.jpg": "retinal_vessels", "ihc.png": "nuclei_he", "fluorescence.png": "nuclei"}
    rows = []
    for name, card in cards.items():
        path = ROOT / "sample_images" / name
        if not path.exists():
            continue

        image = uh.read_image(path)
        find_objects = partial(objects_of, image, uh.load_model(card))
        spent = medians({name: find_objects}, repeats=3)[name]
        size = " × ".join(map(str, image.spatial_shape))
        megapixels = np.prod(image.spatial_shape) / 1e6
        rows.append([f"`{name}`", card, size, f"{spent:.2f} s", f"{spent / megapixels:.2f} s"])
    return table(["sample", "card", "size", "image to objects", "a megapixel"], rows)


def objects_of(image: uh.MedicalImage, model: UNet) -> np.ndarray:
    """Segment an image, and tell its objects apart."""
    return uh.segment(image, model, progress=False).objects


def workers(count: int = 200) -> str:
    """Time many small images by one and by two processes."""
    seconds = {}
    small = corner_of_sample("fluorescence.png")[:256, :256]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            np.save(Path(folder) / f"{number}.npy", small)
        paths = sorted(Path(folder).glob("*.npy"))
        for processes in (1, 2):
            seconds[processes] = seconds_by_processes(processes, paths)

    rows = [
        [processes, f"{spent:.1f} s", f"{seconds[1] / spent:.2f}"]
        for processes, spent in seconds.items()
    ]
    words = f"workers, one thread each, {count} images of 256 × 256"
    return table([words, "time", "times as fast as one"], rows)


def seconds_by_processes(processes: int, paths: Sequence[Path]) -> float:
    """Time the images by so many processes, once these have started."""
    # Not forked: threads of the parent would be missing there.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, torch.set_num_threads, (1,)) as executor:
        # Until each process has imported all and compiled its network.
        list(executor.map(one_of_many, paths[: 2 * processes]))

        started = time.perf_counter()
        list(executor.map(one_of_many, paths))
        return time.perf_counter() - started


def one_of_many(path: Path) -> int:
    """Segment an image by one thread; the number of pixels found."""
    torch.set_num_threads(1)
    model = uh.load_model("em_membranes")
    return int(uh.segment(path, model, progress=False).labels.sum())
