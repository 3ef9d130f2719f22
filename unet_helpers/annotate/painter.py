"""``Painter``: teach a new structure by strokes, or correct a segmentation, without a browser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks.view import View
from ..errors import ArgumentError
from ..images.image import MedicalImage
from ..images.read import read_image
from ..networks.cards import ModelCard
from ..networks.load import save_model
from ..networks.unet import UNet
from ..results.segmentation import Segmentation
from . import learning
from .correcting import Correcting
from .strokes import (
    BACKGROUND,
    USUAL_WIDTH,
    Stroke,
    fingerprint_of,
    points_of,
    read_strokes,
    write_strokes,
)
from .teaching import FILTERS, Earlier, Teaching, choose_network, without_unused_network

if TYPE_CHECKING:
    import pandas as pd


class Painter:
    """Strokes on an image that teach a structure, or corrections of a segmentation.

    On an image, each stroke names a class, or ``"background"``. A small classifier learns from all
    strokes; it reads the maps of a U-Net that knows such images, and simple filters. What is
    painted always stands. On a segmentation, nothing is predicted anew: objects are removed, split,
    joined and added, and strokes add and take away.

    Parameters
    ----------
    image : path, numpy.ndarray, MedicalImage or Segmentation
        A single image, an input of ``read_image``; or a segmentation of one.
    model : str, Path, ModelCard or UNet, optional
        The network whose maps are read; ``"filters"``: none. By default the nearest card that fits
        by its out-of-distribution score, and filters alone if none fits.
    classes : sequence of str, optional
        Names of the new classes; strokes can add more.

    Raises
    ------
    ArgumentError
        It is a stack, or an argument does not fit.
    ImageError, ModelError
        The image or the network cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = np.random.default_rng(0).normal(40, 5, (64, 64))
    >>> image[16:48, 16:48] += 100
    >>> painter = uh.Painter(image)
    >>> painter.stroke([(30, 20), (30, 40)], "square")
    >>> painter.stroke([(5, 5), (5, 60)], "background")
    >>> result = painter.result()
    >>> bool(uh.dice(image > 90, result.labels) > 0.8)
    True
    """

    def __init__(
        self,
        image: Any,
        model: str | Path | ModelCard | UNet | None = None,
        *,
        classes: Sequence[str] = (),
        _earlier: Sequence[Earlier] = (),
    ) -> None:
        self._strokes: list[Stroke] = []
        self._undone: list[Stroke] = []
        self._network: UNet | None = None
        self._work: Teaching | Correcting

        if isinstance(image, Segmentation):
            check_single(image.image.spatial_axes)
            if model is not None or classes:
                raise ArgumentError(
                    "A segmentation is corrected with its own classes, without a model: give its "
                    "image to teach other ones."
                )
            self._work = Correcting(image)
            return

        view = View(read_image(image))
        check_single(view.image.spatial_axes)
        if isinstance(classes, str) or BACKGROUND in classes:
            raise ArgumentError(f"classes={classes!r}: give a list of names without background.")
        self._work = Teaching(view, classes, choose_network(view, model), _earlier)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, background first."""
        return self._work.classes

    @property
    def image(self) -> MedicalImage:
        """The image that is painted on."""
        return self._work.image

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        height, width = self.image.spatial_shape
        return height, width

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        """All actions that were not undone, in their order."""
        return tuple(self._strokes)

    def stroke(self, points: Any, name: str, width: float = USUAL_WIDTH) -> None:
        """Paint a stroke of a class.

        Parameters
        ----------
        points : sequence of tuple
            (row, column) in px of the image.
        name : str
            The class, or ``"background"``, which takes away.
        width : float
            px.
        """
        if not isinstance(name, str) or not name:
            raise ArgumentError(f"name={name!r}: give the name of a class.")
        self.do(Stroke("stroke", points_of(points), name, width).within(self.shape))

    def erase(self, points: Any, width: float = USUAL_WIDTH) -> None:
        """Take back what was painted along a stroke, so that it is not known by hand any more.

        Parameters
        ----------
        points : sequence of tuple
            (row, column) in px of the image.
        width : float
            px.
        """
        self.do(Stroke("erase", points_of(points), width=width))

    def remove(self, point: Any) -> None:
        """Remove the object at a point.

        Parameters
        ----------
        point : tuple
            (row, column) in px of the image, on the object or within 5 px of it.
        """
        self.do(Stroke("remove", points_of(point)))

    def split(self, points: Any, width: float = USUAL_WIDTH) -> None:
        """Split the object that a stroke crosses, where the network is least sure near the stroke.

        Parameters
        ----------
        points : sequence of tuple
            (row, column) in px of the image, from rim to rim.
        width : float
            px: how far from the stroke the boundary may be found, on both sides together.
        """
        self.do(Stroke("split", points_of(points), width=width))

    def join(self, points: Any, width: float = USUAL_WIDTH) -> None:
        """Join all objects that a stroke touches.

        Parameters
        ----------
        points : sequence of tuple
            (row, column) in px of the image, from one object to another.
        width : float
            px: width of what is filled between them.
        """
        self.do(Stroke("join", points_of(points), width=width))

    def ring(self, points: Any, name: str = "") -> None:
        """Add an object inside a closed ring.

        Parameters
        ----------
        points : sequence of tuple
            (row, column) of three or more corners, in px of the image.
        name : str
            Its class; by default the first one.
        """
        self.do(Stroke("ring", points_of(points), name))

    def do(self, stroke: Stroke) -> None:
        """Carry out an action, or nothing if it raises an error.

        Parameters
        ----------
        stroke : Stroke
            The action.
        """
        self._work.do(stroke)
        self._strokes.append(stroke)
        self._undone.clear()
        self._network = None

    def undo(self) -> bool:
        """Undo the last action.

        Returns
        -------
        bool
            False if there is none.
        """
        if not self._work.history.undo():
            return False
        self._undone.append(self._strokes.pop())
        self._forget_what_was_learnt()
        return True

    def redo(self) -> bool:
        """Do again what was undone last.

        Returns
        -------
        bool
            False if there is nothing.
        """
        if not self._work.history.redo():
            return False
        self._strokes.append(self._undone.pop())
        self._forget_what_was_learnt()
        return True

    def _forget_what_was_learnt(self) -> None:
        self._network = None
        self._work.forget_fit()

    def result(self) -> Segmentation:
        """Return the answer as it is now.

        Returns
        -------
        Segmentation
            It can be measured, saved and exported like any other. Its manifest says what was done
            by hand.
        """
        return self._work.result(self._strokes)

    def mask(self) -> np.ndarray:
        """Return the mask that ``fine_tune`` learns from.

        Returns
        -------
        numpy.ndarray
            (H, W) uint8. On an image: the painted classes, 255 where nothing was painted. On a
            segmentation: its corrected labels.
        """
        return self._work.mask()

    def fine_tune(self, model: str | Path | ModelCard | UNet | None = None, **options: Any) -> UNet:
        """Train a network on what was painted, on this image and on earlier ones.

        Parameters
        ----------
        model : str, Path, ModelCard or UNet, optional
            The network to start from; by default the one whose maps are read, or ``"nuclei"``.
        **options
            Those of ``fine_tune``, such as ``steps``, ``minutes``, ``size`` or ``save_to``.

        Returns
        -------
        UNet
            The network. ``save`` saves it until the next stroke.
        """
        self._network = learning.fine_tune(self._work, model, options)
        return self._network

    def next_image(self, image: Any) -> Painter:
        """Return a painter for another image; its classifier keeps all strokes.

        Parameters
        ----------
        image : path, numpy.ndarray or MedicalImage
            A single image, grey or in colour as this one.
        """
        work = self._taught()
        image = read_image(image)
        learning.check_channels(work, image)
        model = FILTERS if work.network is None else work.network
        return Painter(image, model, classes=work.classes[1:], _earlier=work.as_earlier())

    def suggest_next(self, images: Iterable[Any]) -> int:
        """Find the image whose answer is least sure, which is the best one to paint next.

        Parameters
        ----------
        images : iterable of path, numpy.ndarray or MedicalImage
            Single images.

        Returns
        -------
        int
            Its position, from 0.
        """
        return learning.suggest_next(self._taught(), images)

    def learning_curve(self, images: Sequence[Any], masks: Sequence[Any]) -> pd.DataFrame:
        """Measure the Dice on images set aside after each stroke: it says when to stop.

        Parameters
        ----------
        images, masks : sequence
            As for ``fine_tune``; the masks say the classes by 1, 2, ... as ``classes`` does.

        Returns
        -------
        pandas.DataFrame
            The number of strokes, and the Dice: the mean over classes and images.
        """
        return learning.learning_curve(self._taught(), self._strokes, images, masks)

    def save(self, path: str | Path) -> None:
        """Save what was learnt for ``segment``, ``segment_folder`` and the command line.

        It is the network of ``fine_tune`` if nothing was painted since, else the classifier with
        the network whose maps it reads. An existing file is replaced.

        Parameters
        ----------
        path : str or pathlib.Path
            The file; its name ends with ``.safetensors``.
        """
        if self._network is not None:
            save_model(self._network, path)
            return
        save_model(without_unused_network(self._taught().fitted_or_error()), path)

    def save_strokes(self, path: str | Path) -> None:
        """Save all actions as JSON; an existing file is replaced.

        Parameters
        ----------
        path : str or pathlib.Path
            The file; ``~`` is the home folder.
        """
        write_strokes(Path(path).expanduser(), self._strokes, {"painted_on": self.fingerprint()})

    def load_strokes(self, path: str | Path) -> int:
        """Carry out the actions of a file of ``save_strokes``.

        Parameters
        ----------
        path : str or pathlib.Path
            The file; ``~`` is the home folder.

        Returns
        -------
        int
            The number of actions.

        Raises
        ------
        ArgumentError
            The strokes were painted on another image or segmentation.
        """
        path = Path(path).expanduser()
        strokes, about = read_strokes(path)
        if about.get("painted_on") != self.fingerprint():
            raise ArgumentError(f"{path}: these strokes were painted on something else.")
        for stroke in strokes:
            self.do(stroke)
        return len(strokes)

    def fingerprint(self) -> str:
        """Return a short sum over what is painted on.

        Returns
        -------
        str
            12 hexadecimal digits.
        """
        return fingerprint_of(self.image.pixels, self._work.painted_on)

    def _taught(self) -> Teaching:
        if isinstance(self._work, Teaching):
            return self._work
        raise ArgumentError("A corrected segmentation teaches no classifier: paint on its image.")


def check_single(axes: str) -> None:
    """Raise ArgumentError for a stack."""
    if axes != "YX":
        raise ArgumentError("Only single images can be painted: give one slice of the stack.")
