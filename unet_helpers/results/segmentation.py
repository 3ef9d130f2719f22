"""``Segmentation``: the result of ``segment``, to be displayed, measured and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks.view import View
from ..images.image import MedicalImage
from ..networks.cards import ModelCard
from .answer import Answer

if TYPE_CHECKING:
    import pandas as pd

    from ..checks.expected_dice import ExpectedDice
    from .assessment import Assessment
    from .by_hand import ByHand


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation(Answer):
    """The answer of a network for one image, in the image's own shape and order.

    Parameters
    ----------
    image : MedicalImage
        The image that was segmented.
    card : ModelCard
        The card of the network.
    probabilities : numpy.ndarray
        (K, *spatial) float32. K = 1: of the structure. K > 1: of background and the card's classes;
        of the classes alone if they overlap.
    threshold : float
        Pixels whose probability of foreground reaches this, 0 to 1, are foreground.
    zoom : float
        Working px per image px, at which the network saw the image.
    flips : int
        Number of turned and mirrored copies averaged (test-time augmentation).
    weights_sha256 : str
        SHA-256 of the weights' file; empty if there is no file.
    warnings : tuple of str
        Doubts about the image or the answer.
    spread : numpy.ndarray or None
        (*spatial) standard deviation over the copies; None of one copy, or of a very large image.
    places : dict
        For localised structures: the voxel (z, y, x) of the middle as displayed, by name.
    measured : View or None
        Measurements of the image that were already made.
    asked : dict or None
        Options given to ``segment`` with a file; None for an image in memory.
    by_hand : ByHand or None
        What a person painted or corrected (see `Painter`).

    Examples
    --------
    >>> import unet_helpers as uh
    >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
    >>> result.card.name, result.labels.shape
    ('nuclei', (512, 512))
    >>> int(result.objects.max()) == len(result.measure())
    True
    >>> value, low, high = result.expected_dice
    >>> low < 0.95 < value, result.assessment.comment
    (True, 'as is usual for nuclei')
    """

    image: MedicalImage
    card: ModelCard
    probabilities: np.ndarray
    threshold: float
    zoom: float = 1.0
    flips: int = 1
    weights_sha256: str = ""
    warnings: tuple[str, ...] = ()
    spread: np.ndarray | None = None
    places: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    measured: View | None = None
    asked: Mapping[str, Any] | None = None
    by_hand: ByHand | None = None

    @cached_property
    def view(self) -> View:
        """Measurements of the image, such as its field of view, each made at most once."""
        if self.measured is not None and self.measured.image.pixels is self.image.pixels:
            return self.measured
        return View(self.image)

    @cached_property
    def expected_dice(self) -> ExpectedDice | None:
        """The expected Dice of this answer, and an interval that holds the Dice in 9 of 10 cases.

        None if it is withheld: `expected_dice_reason` says why.
        """
        from ..checks.expected_dice import expected_dice

        if self.expected_dice_reason:
            return None
        return expected_dice(self.view, self.card, self.foreground, self.labels > 0, self.places)

    @cached_property
    def expected_dice_reason(self) -> str:
        """Why the expected Dice is withheld; '' if it is given."""
        from .assessment import reason_for_no_estimate

        return reason_for_no_estimate(self)

    @cached_property
    def assessment(self) -> Assessment:
        """How good this answer probably is: a sentence, a colour and a level."""
        from .assessment import assess

        return assess(self)

    def explain(self) -> str:
        """Return why the answer is empty, full or unusual, and what to try.

        Returns
        -------
        str
            One or more sentences; '' if the answer is not unusual.

        Examples
        --------
        >>> import unet_helpers as uh
        >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
        >>> result.explain()
        ''
        """
        from .explanation import explain

        return explain(self)

    def overlay(
        self, index: int | None = None, alpha: float | None = None, contours: bool = True
    ) -> np.ndarray:
        """Paint each class in its colour over a slice, and outline every object in full colour.

        Parameters
        ----------
        index : int, optional
            The slice as displayed, from 0; by default the one with most of the structure.
        alpha : float, optional
            Opacity of the colours, 0 to 1; 0.35 by default, and 0.9 for vessels.
        contours : bool
            Whether to outline the objects.

        Returns
        -------
        numpy.ndarray
            uint8, (H, W, 3); at most 1600 px on the longer side.

        Examples
        --------
        >>> import unet_helpers as uh
        >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
        >>> result.overlay().shape
        (512, 512, 3)
        """
        from .painting import paint_result

        return paint_result(self, index, alpha, contours)

    def measure(self) -> pd.DataFrame:
        """Measure each object: its size, shape, position, and the intensity of the image there.

        Returns
        -------
        pandas.DataFrame
            One row per object, in px, and in µm or mm if the spacing is known. Measured in 2D for
            single images, movies of single images and cards whose objects are slices, else in 3D.

        Examples
        --------
        >>> import unet_helpers as uh
        >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
        >>> list(result.measure())[:3]
        ['object', 'area_px', 'centroid_y_px']
        """
        return self._measurements.copy()

    @cached_property
    def _measurements(self) -> pd.DataFrame:
        """The table of `measure`, which summary, files and report use too."""
        from .measurements import measure

        return measure(self)

    def summary(self) -> dict[str, tuple[float, str]]:
        """Return the result in a few named numbers.

        Returns
        -------
        dict
            (value, unit) by name: the number of objects and their sizes, or the length and width of
            vessels, and the expected Dice if that is known.

        Examples
        --------
        >>> import unet_helpers as uh
        >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
        >>> list(result.summary())
        ['objects', 'median area', 'total area', 'expected Dice']
        """
        from .measurements import summary

        return summary(self)

    def export(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the result for another program, in the format of the path's ending.

        Parameters
        ----------
        path : str or pathlib.Path
            Ends in .geojson or .annotations.geojson (QuPath), .roi.zip or .objects.tif (ImageJ),
            .ome.zarr (napari and others), .seg.nrrd (3D Slicer), .nii.gz (ITK-SNAP and others),
            .dcm (a DICOM segmentation of DICOM slices), .coco.json or .yolo.txt (to train other
            networks) or .csv; ``~`` is the home folder.
        overwrite : bool
            Whether an existing file may be replaced.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        SaveError
            The ending is another one, the file exists and ``overwrite`` is False (before anything
            is computed), or the file cannot be written.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import unet_helpers as uh
        >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
        >>> with TemporaryDirectory() as folder:
        ...     result.export(f"{folder}/nuclei.geojson").name
        'nuclei.geojson'
        """
        from .exports import export

        return export(self, path, overwrite)

    def report(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write one HTML file that shows this result offline, with a slider for the threshold.

        Parameters
        ----------
        path : str or pathlib.Path
            The file; ``~`` is the home folder.
        overwrite : bool
            Whether an existing file may be replaced.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        SaveError
            The file exists and ``overwrite`` is False (before anything is computed), or it cannot
            be written.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import unet_helpers as uh
        >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
        >>> with TemporaryDirectory() as folder:
        ...     result.report(f"{folder}/nuclei.html").name
        'nuclei.html'
        """
        from .report import write_report

        return write_report(self, path, overwrite)

    def save(
        self, folder: str | Path, *, formats: tuple[str, ...] = (), overwrite: bool = False
    ) -> dict[str, Path]:
        """Write mask, labels, objects, overlay, measurements and a manifest to a folder.

        A result of the same image, network and settings is kept; missing ``formats`` are added.

        Parameters
        ----------
        folder : str or pathlib.Path
            It is made if it does not exist; ``~`` is the home folder.
        formats : tuple of str
            Endings of additional files for other programs, as in `export`; '.html' for the report.
        overwrite : bool
            Whether files of an earlier result of this image and network may be replaced.

        Returns
        -------
        dict
            The paths by kind: 'labels', 'objects', 'overlay', 'measurements' and 'manifest'; 'mask'
            for 2D images; a mask of each class if classes overlap, such as 'mask_heart'; and each
            of ``formats``.

        Raises
        ------
        SaveError
            A format is unknown, the folder holds another result of this name and ``overwrite`` is
            False (both before anything is computed), or it cannot be written. Nothing is written.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import unet_helpers as uh
        >>> result = uh.segment(uh.sample("fluorescence"), "nuclei", progress=False)
        >>> with TemporaryDirectory() as folder:
        ...     result.save(folder)["mask"].name
        'fluorescence_nuclei_mask.png'
        """
        from .save import save

        return save(self, folder, formats, overwrite)

    def __repr__(self) -> str:
        from .display import describe

        return describe(self)

    def _ipython_display_(self) -> None:
        """Show the picture in a notebook's cell, with warnings and notes as text below."""
        from .display import display_result

        display_result(self)

    def _repr_png_(self) -> bytes:
        """Return the overlay with the assessment below, a PNG file that a notebook's cell shows."""
        from .caption import captioned_png

        return captioned_png(self)
