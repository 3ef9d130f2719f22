"""More than ten thousand made-up files and arrays (Hypothesis): an answer or an own error."""

from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from helpers.canonical import from_canonical, to_canonical
from helpers.files import FILES
from helpers.networks import make_network
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import unet_helpers as uh
from unet_helpers.images.stack import from_stack, to_stack
from unet_helpers.results.save import write_like

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TRIED = Counter()
SINGLE = [case for case in FILES if case.name not in ("scan", "a.hdr", "a.img")]
STARTS = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"GIF89a",
    b"BM",
    b"RIFF\x20\0\0\0WEBP",
    b"II*\0",
    b"MM\0*",
    b"II+\0\x08\0\0\0",
    b"\x1f\x8b\x08\0",
    b"\x5c\x01\0\0",
    b"\x1c\x02\0\0n+2\0\r\n\x1a\n",
    b"\0" * 128 + b"DICM",
    b"\x93NUMPY\x01\0",
    b"PK\x03\x04",
]
KINDS = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "g", ">u2", ">f4"]
NETWORKS = [
    make_network(features=2, depth=1, **options)
    for options in (
        {"percentiles": (1, 99)},
        {"axes": (0, 1, 2)},
        {"out_channels": 3, "in_channels": 3},
        {"intensities": "local", "scale": "field of view", "size": 20, "sigma": 3},
        {"intensities": "head", "scale": "square", "size": 16},
    )
]


def tries(count: int):
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def whole(folder):
    """The bytes of a valid file of every format."""
    content_by_id = {}
    for case in SINGLE:
        case.write(folder / case.name)
        content_by_id[case.id] = (folder / case.name).read_bytes()
    return content_by_id


def read_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        image = uh.read_image(path)
    except uh.UNetHelpersError as error:
        message = str(error)
        assert path.name in message
        TRIED["refused"] += 1
        return
    TRIED["read"] += 1
    assert image.pixels.size
    assert image.pixels.dtype.name in (
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "int8",
        "int16",
        "int32",
        "int64",
        "float32",
        "float64",
    )
    assert image.channels in (1, 3)
    assert len(image.spatial_shape) == len(image.axes.rstrip("C"))
    assert image.spacing is None or min(image.spacing) > 0


@tries(2500)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=900))
def test_random_bytes(start, rest, folder):
    TRIED["random bytes"] += 1
    read_or_refused(folder / "random.bin", start + rest)


WAYS = st.sampled_from(["set", "set", "cut", "double", "ones"])
EDITS = st.lists(
    st.tuples(st.floats(0, 1), WAYS, st.binary(min_size=1, max_size=6)), min_size=1, max_size=6
)


@tries(5000)
@given(case=st.sampled_from(SINGLE), edits=EDITS, near=st.sampled_from([80, 400, 10**9]))
def test_mutated_files(case, edits, near, whole, folder):
    """Bytes changed, left out, doubled or set to 255, in the header or anywhere."""
    TRIED["mutated files"] += 1
    content = bytearray(whole[case.id])
    for where, what, data in edits:
        at = int(where * min(near, len(content)))
        old = content[at : at + len(data)]
        content[at : at + len(data)] = {
            "set": data,
            "cut": b"",
            "double": old * 2,
            "ones": b"\xff" * len(data),
        }[what]
    read_or_refused(folder / f"mutated{Path(case.name).suffix}", bytes(content))


@st.composite
def pixels(draw, longest=20, dims=(1, 2, 2, 2, 3, 3, 4, 5)):
    """Numbers of any kind and shape: noise over the whole range, few values, NaN and infinity."""
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    kind = np.dtype(draw(st.sampled_from(KINDS)))
    shape = [draw(st.integers(1, longest)) for _ in range(draw(st.sampled_from(dims)))]
    if len(shape) > 2 and draw(st.booleans()):
        shape[-1] = draw(st.sampled_from([1, 2, 3, 4]))
    shape[:-3] = [min(n, 4) for n in shape[:-3]]
    values = random.bytes(int(np.prod(shape)) * kind.itemsize)
    values = (
        np.frombuffer(values, kind).reshape(shape)
        if kind.kind in "ui"
        else random.random(shape).astype(kind)
    )
    spread = draw(st.sampled_from(["all", "all", "few", "constant"]))
    if spread != "all":
        values = values[
            random.integers(0, min(len(values), 2 if spread == "few" else 1), len(values))
        ]
    if kind.kind == "f":
        values = values * draw(st.sampled_from([kind.type(1), kind.type(1000), np.finfo(kind).max]))
        odd = draw(st.sampled_from([[], [], [np.nan], [np.inf, -np.inf, np.nan], [np.inf]]))
        for value in odd:
            values[random.random(shape) < draw(st.sampled_from([0.1, 1]))] = value
    return values


@tries(500)
@given(
    values=pixels(),
    network=st.sampled_from(NETWORKS),
    threshold=st.floats(0, 1),
    count=st.integers(0),
)
def test_any_array_is_segmented_and_saved_or_refused(
    values, network, threshold, count, tmp_path_factory
):
    TRIED["arrays segmented"] += 1
    assume(values.ndim < 5 or values.size < 2000)
    try:
        image = uh.read_image(values)
    except uh.ImageError:
        return
    result = uh.segment(image, network, threshold=threshold, progress=False)
    assert result.labels.shape == image.spatial_shape
    assert result.labels.max() <= len(network.card.classes)
    assert np.isfinite(result.probabilities).all()
    assert result.probabilities.min() >= 0
    assert result.probabilities.max() <= 1 + 1e-6
    paths = result.save(tmp_path_factory.mktemp("saved"))
    np.testing.assert_array_equal(np.load(paths["labels"]), result.labels)
    np.testing.assert_array_equal(np.load(paths["objects"]), result.objects)
    assert repr(image)
    assert result.explain() is not None


@tries(700)
@given(values=pixels(9, (2, 3)), page=st.none() | st.integers(-1, 9), big=st.booleans())
def test_arrays_come_back_from_npy_npz_and_tiff(values, page, big, folder):
    TRIED["files written"] += 1
    ours = uh.read_image(values).pixels
    np.save(folder / "a.npy", values)
    np.savez(folder / "a.npz", values)
    for name in ("a.npy", "a.npz"):
        np.testing.assert_array_equal(uh.read_image(folder / name).pixels, ours)
    if values.dtype.str[1:] in ("g", "f16", "b1"):
        return
    tifffile.imwrite(folder / "a.tif", values, photometric="minisblack", bigtiff=big, metadata=None)
    pages = tifffile.imread(folder / "a.tif").astype(ours.dtype)
    try:
        image = uh.read_image(folder / "a.tif", page=page)
    except uh.ImageError:
        assert page is not None
        return
    assert np.isin(np.nan_to_num(image.pixels), np.nan_to_num(pages)).all()


@tries(600)
@given(
    data=st.data(),
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    channel=st.integers(0, 4),
)
def test_tiff_axes_in_any_order(data, sizes, channel, folder):
    """Time, depth and one channel are left, in that order; nothing is turned or mixed."""
    TRIED["tiff axes"] += 1
    from unet_helpers.images.axes import StoredPixels, arrange
    from unet_helpers.images.options import ReadOptions

    letters = "".join(data.draw(st.permutations("YX" + "ZCT"[: len(sizes) - 2])))
    values = np.arange(np.prod(sizes)).reshape(sizes)
    size = dict(zip(letters, sizes))
    has_channel = channel < size.get("C", 0)
    options = ReadOptions(channel=channel if has_channel else None)
    image = arrange(StoredPixels(values, letters, spacing={}), options, folder)
    wanted = [a for a in "TZYX" if size.get(a, 1) > 1 or a in "YX"]
    rest = [a for a in letters if a not in wanted]
    picked = tuple((options.channel or 0) if a == "C" else 0 for a in rest)
    expected = values.transpose([letters.index(a) for a in [*rest, *wanted]])[picked]
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.axes == "".join(wanted)


STEPS = st.floats(1e-4, 1e4, allow_nan=False)


@tries(600)
@given(
    data=st.data(),
    shape=st.lists(st.integers(1, 7), min_size=2, max_size=3),
    kind=st.sampled_from(["u1", "i4"]),
)
def test_writers_come_back(data, shape, kind, folder):
    """PNG, OME-TIFF or NIfTI as the image asks for; values, shape and spacing."""
    TRIED["labels written"] += 1
    top = data.draw(st.sampled_from([1, 3, 255] + [65535, 65536, 2**31 - 1] * (kind == "i4")))
    values = np.random.default_rng(data.draw(st.integers(0, 999))).integers(
        0, top, shape, kind, endpoint=True
    )
    spacing = data.draw(st.none() | st.tuples(*[STEPS] * len(shape)))
    affine = (
        data.draw(st.sampled_from([None, np.diag([2.0, 3, 4, 1])])) if len(shape) == 3 else None
    )
    image = uh.MedicalImage(values, "ZYX"[-len(shape) :], spacing, affine, path=folder / "a.dcm")
    saved = uh.read_image(write_like(image, values, folder / "saved"))
    shown = saved.pixels.T if affine is not None else saved.pixels
    np.testing.assert_array_equal(shown.reshape(values.shape), values)
    if shown.shape == values.shape and affine is None:
        assert saved.spacing == (spacing and pytest.approx(spacing, rel=1e-6))


NUMBERS = st.sampled_from([0, 1, -1, 0.5, 2, -3, 1e-9, 1e9, np.nan, np.inf])
MATRICES = st.one_of(
    st.permutations([0, 1, 2]).map(lambda p: np.eye(3)[p]),
    st.lists(
        st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3), min_size=3, max_size=3
    ).map(np.array),
    st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=3, max_size=3).map(np.array),
)


@tries(500)
@given(
    values=pixels(6, (2, 3, 4, 5)),
    matrix=MATRICES,
    codes=st.tuples(*[st.integers(0, 5)] * 2),
    zooms=st.tuples(*[NUMBERS] * 3),
    unit=st.sampled_from([0, 1, 2, 3, 7]),
    two=st.booleans(),
)
def test_nifti_files_however_odd_their_header(
    values, matrix, codes, zooms, unit, two, folder, tmp_path_factory
):
    """Read as nibabel does, there and back through every orientation, segmented and saved."""
    TRIED["nifti headers"] += 1
    assume(values.dtype.str[1:] in ("u1", "u2", "i2", "i4", "f4", "f8"))
    kind = nib.Nifti2Header if two else nib.Nifti1Header
    header = kind()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    header["pixdim"][1:4], header["xyzt_units"] = zooms, unit
    header["qform_code"], header["sform_code"] = codes
    header["srow_x"][:3], header["srow_y"][:3], header["srow_z"][:3] = matrix
    header["vox_offset"], header["magic"] = (544, b"n+2") if two else (352, b"n+1")
    (folder / "odd.nii").write_bytes(
        header.binaryblock + b"\0" * 4 + values.astype(header.get_data_dtype()).tobytes("F")
    )
    try:
        image = uh.read_image(folder / "odd.nii")
    except uh.ImageError:
        return
    np.testing.assert_array_equal(
        image.pixels.squeeze(), values[(..., *[0] * (values.ndim - 3))].squeeze()
    )
    np.testing.assert_array_equal(from_canonical(image, to_canonical(image).pixels), image.pixels)
    np.testing.assert_array_equal(from_stack(image, to_stack(image).pixels[None])[0], image.pixels)
    result = uh.segment(image, NETWORKS[1], progress=False)
    saved = uh.read_image(result.save(tmp_path_factory.mktemp("nifti"))["labels"])
    np.testing.assert_array_equal(saved.pixels, result.labels)
    np.testing.assert_allclose(saved.affine, image.affine, rtol=1e-4, atol=1e-4)


def test_more_than_ten_thousand_were_tried():
    """Runs last; shown with -s."""
    print(dict(TRIED))
    everything = sum(count for what, count in TRIED.items() if what not in ("read", "refused"))
    assert everything >= 10_000 or len(TRIED) < 9, TRIED
