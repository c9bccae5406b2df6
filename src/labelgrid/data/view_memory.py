"""Remembers views of images with their labels, so that a training places each once."""

from dataclasses import dataclass, field

from labelgrid.data.batch import Item

#: Of which view of which image.
ViewKey = tuple[str, int]


@dataclass
class ViewMemory:
    """Views that stay the same, by image and number.

    A process that reads ahead remembers its own, as long as it lives.

    Args:
        limit: the most bytes of all; further ones are not remembered.
    """

    limit: int = 2**28
    _size: int = field(default=0, init=False)
    _views: dict[ViewKey, Item] = field(default_factory=dict, init=False)

    def recall(self, key: ViewKey) -> Item | None:
        """A view; None if it is not remembered."""
        return self._views.get(key)

    def remember(self, key: ViewKey, view: Item) -> None:
        """Remember a view, unless the limit is reached."""
        if self._size + view.nbytes <= self.limit:
            self._size += view.nbytes
            self._views[key] = view
