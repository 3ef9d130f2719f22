"""``Doubt``: a warning after which the answer's accuracy is not predicted."""


class Doubt(str):
    """A warning that the answer may mean little: the expected Dice is withheld, with this reason.

    It is a string, and stands among the other warnings: of a wrong kind of image, of an image that
    shows nothing, or of an answer that is anatomically impossible.
    """

    __slots__ = ()


class Unlikeness(Doubt):
    """A doubt because the statistics of the image are unlike those of the training images.

    It is dropped if the answer turns out to be as good as is usual: images of another laboratory
    have unusual statistics, too.
    """

    __slots__ = ()
