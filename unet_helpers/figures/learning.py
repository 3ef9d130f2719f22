"""``LearningHistory``: how the answer on an image changes while ``fine_tune`` learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from ..errors import ArgumentError
from ..images.read import read_image
from ..inference.segment import segment
from ..networks.unet import UNet
from ..palette import BLUE, GREEN, VERMILION
from ..results.metrics import dice
from ..results.segmentation import Segmentation
from .frames import Frame, framed, mark, page_of_frames, webp
from .layout import panels
from .show import painted_errors

if TYPE_CHECKING:
    import pandas as pd

    from ..images.read import ImageSource
    from ..training.fit import CurvePoint

# Height of the page in a notebook, in px.
HEIGHT = 660

# A line at each point of the curve, grey, so that the curves stay the foreground.
LINE_COLOR = "#595959"

# The loss has settled if, over the last quarter of the curve, it falls by no more than this share
# of what it fell by in all.
SETTLED_SHARE = 0.05


@dataclass(frozen=True)
class Moment:
    """What is kept of one check of the training."""

    step: int
    loss: float  # mean over the steps since the check before
    dice_learnt: float  # on the images that are being learnt
    dice_unseen: float  # on the image of the history
    picture: bytes  # its hits, misses and false alarms, a WebP file


class LearningHistory:
    """The answers of a network on one image at each point of its learning curve.

    Its ``add`` is for ``fine_tune(..., at_check=history.add)``. As the last line of a notebook's
    cell it is a page with a slider over the learning curve. Of each answer only a picture of some
    kB is kept, and no network.

    Parameters
    ----------
    image : path, array or MedicalImage
        A single image that the network does not learn from.
    truth : numpy.ndarray
        Its true labels, with the image's shape; 0 is background.

    Raises
    ------
    ArgumentError
        The shapes of image and truth are not the same.

    Examples
    --------
    >>> import numpy as np
    >>> import unet_helpers as uh
    >>> image = np.full((64, 64), 40, np.uint8)
    >>> image[16:48, 16:48] = 200
    >>> history = uh.LearningHistory(image, truth=image > 100)
    >>> network = uh.fine_tune(
    ...     "nuclei",
    ...     [image.T],
    ...     [image.T > 100],
    ...     classes=["square"],
    ...     size=64,
    ...     steps=16,
    ...     at_check=history.add,
    ... )
    >>> list(history.table().columns)
    ['step', 'loss', 'Dice, learnt', 'Dice, unseen']
    >>> len(history.table())
    8
    """

    def __init__(self, image: ImageSource, truth: np.ndarray) -> None:
        self.image = read_image(image)
        self.truth = np.asarray(truth)
        if self.truth.shape != self.image.spatial_shape:
            raise ArgumentError(
                f"The truth has the shape {self.truth.shape}, "
                f"but the image has {self.image.spatial_shape}."
            )
        self.moments: list[Moment] = []

    def add(self, network: UNet, point: CurvePoint) -> None:
        """Keep the answer of the network at a point of its learning curve."""
        answer = segment(self.image, network, progress=False)
        moment = Moment(
            step=point.step,
            loss=point.loss,
            dice_learnt=point.validation_dice,
            dice_unseen=dice(self.truth, answer.labels),
            picture=self.picture_of(answer),
        )
        self.moments.append(moment)

    def picture_of(self, answer: Segmentation) -> bytes:
        """Draw hits, misses and false alarms."""
        return webp(painted_errors(answer, self.truth, answer.busiest_slice()))

    def table(self) -> pd.DataFrame:
        """Return the learning curve: step, loss, and Dice on learnt images and on the unseen."""
        import pandas as pd

        rows = [(m.step, m.loss, m.dice_learnt, m.dice_unseen) for m in self.moments]
        return pd.DataFrame(rows, columns=["step", "loss", "Dice, learnt", "Dice, unseen"])

    def sentence(self) -> str:
        """Say in a sentence how the learning went, and whether the loss has settled."""
        if not self.moments:
            return "Nothing was learnt yet."
        first, last = self.moments[0], self.moments[-1]
        rise = (
            f"From step {first.step} to step {last.step} the Dice on the unseen image went from "
            f"{first.dice_unseen:.2f} to {last.dice_unseen:.2f}"
        )
        if self.has_settled():
            return f"{rise}, and the loss has settled."
        return f"{rise}; the loss has not settled: more steps may teach it more."

    def has_settled(self) -> bool:
        """Return whether the loss hardly fell any more over the last quarter of the curve."""
        losses = [moment.loss for moment in self.moments]
        quarter = max(1, len(losses) // 4)
        if len(losses) <= quarter:
            return False
        fall = losses[0] - min(losses)
        late_fall = losses[-1 - quarter] - losses[-1]
        return fall > 0 and abs(late_fall) <= SETTLED_SHARE * fall

    def page(self) -> str:
        """Return the HTML page: the curve, and the answer at the step of the slider."""
        frames = [self.frame_of(number) for number in range(len(self.moments))]
        return page_of_frames(
            "The answer on an unseen image while the network learns",
            self.curve(),
            description=f"The learning curve. {self.sentence()}",
            frames=frames,
        )

    def frame_of(self, number: int) -> Frame:
        """Return the frame of a moment."""
        moment = self.moments[number]
        scores = f"Dice {moment.dice_unseen:.2f} here, {moment.dice_learnt:.2f} on what it learns"
        return Frame(
            title=f"After step {moment.step}",
            text=f"{scores}; loss {moment.loss:.2f}. In the picture green is found and true, "
            "light blue is missed, orange is a false alarm.",
            picture=moment.picture,
            description=f"Answer after step {moment.step}, {scores}",
            parts=(f"step{number}",),
        )

    def curve(self) -> Figure:
        """Draw the learning curve, in which the points of each moment are a part."""
        table = self.table()
        figure, axes = panels(1, 1, (6.4, 4.6))
        ax = axes[0, 0]
        ax.set_axis_on()
        colors = {"loss": VERMILION, "Dice, learnt": BLUE, "Dice, unseen": GREEN}
        for name, color in colors.items():
            ax.plot(table["step"], table[name], color=color, label=name.capitalize())
            for number, (step, value) in enumerate(zip(table["step"], table[name], strict=True)):
                ax.plot(step, value, "o", ms=9, color=color, gid=mark(f"step{number}"))
        for number, step in enumerate(table["step"]):
            line = ax.axvline(step, color=LINE_COLOR, lw=0.5)
            line.set_gid(mark(f"step{number}"))

        highest = max(1.0, *table["loss"])
        ax.set(xlabel="Step", ylim=(0, 1.05 * highest), title="The learning curve")
        ax.legend(loc="best")
        return figure

    def _repr_html_(self) -> str:
        """Show the page in a notebook."""
        if not self.moments:
            return f"<p>{self.sentence()}</p>"
        return str(framed(self.page(), f"Learning curve of {self.image.name}", HEIGHT).data)
