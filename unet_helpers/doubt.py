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
    have unusual statistics, too. It is also dropped if the image is usual at the zoom at which the
    network saw it, which is known only then.
    """

    __slots__ = ()


class OtherKind(Unlikeness):
    """A doubt because the statistics are those of another kind of image.

    It is dropped only if the image is usual at the zoom at which the network saw it.
    """

    __slots__ = ()
