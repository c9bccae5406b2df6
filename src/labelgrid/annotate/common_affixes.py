"""Matches labels with images whose names differ by folders, or by a common prefix and suffix.

Both are found from the names: no list says what tools append to them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from labelgrid.formats.naming import stem

#: What `match_names` tries, as part of a sentence.
TRIED = (
    "with its folders and without them, and without one prefix or suffix of all images and one of "
    "all labels"
)
#: A name is cut between words and numbers, never inside one: '10001' holds no '0001'.
_TOKEN = re.compile(r"\d+|[A-Z]?[^\W\dA-Z_]+|[A-Z]+(?![^\W\dA-Z_])|[A-Z]|[\W_]", re.DOTALL)
#: The most tokens of a prefix or suffix.
_LONGEST = 16
#: About as many labels a prefix and suffix are tried on first.
_SAMPLES = 3


@dataclass(frozen=True)
class NameMatch:
    """The image of each label, by the label's name, and how the names were matched."""

    images: Mapping[str, str]
    how: str


class _Affixes(NamedTuple):
    """What the last parts of the names of all images, and of all labels, begin and end with."""

    image_prefix: str = ""
    image_suffix: str = ""
    label_prefix: str = ""
    label_suffix: str = ""


@dataclass(frozen=True)
class _Trial:
    """A way to turn a label's name into the name of an image, and the images by names."""

    affixes: _Affixes
    flat: bool
    by_name: Mapping[str, Sequence[str]]

    def image_of(self, label: str) -> str:
        """The only image that the label's name can mean; empty: none, or several."""
        affixes = self.affixes
        folder, slash, name = label.rpartition("/")
        end = len(name) - len(affixes.label_suffix)
        core = name[len(affixes.label_prefix) : end]
        if not re.search(r"[^\W_]", core):
            return ""
        image_name = f"{folder}{slash}{affixes.image_prefix}{core}{affixes.image_suffix}"
        images = self.by_name.get(image_name, ())
        if len(images) != 1:
            return ""
        return images[0]

    def match(self, labels: Iterable[str]) -> dict[str, str]:
        images = {label: self.image_of(label) for label in labels}
        return {label: image for label, image in images.items() if image}

    def text(self) -> str:
        a = self.affixes
        parts = []
        if self.flat:
            parts.append("without folders")
        pairs = [(a.image_prefix, a.label_prefix), (a.image_suffix, a.label_suffix)]
        for pair in pairs:
            names = [repr(name) for name in pair if name]
            if names:
                parts.append(f"without {' and '.join(names)}")
        return f"names matched {', '.join(parts)}"


def match_names(labels: Sequence[str], images: Sequence[str]) -> NameMatch | None:
    """Match labels with images if all names differ in the same way.

    All labels, or most of them, share a prefix and a suffix, and all images share another prefix
    and suffix; or the labels lie in one folder and the names of their images are unique. No two
    labels match the same image.

    Args:
        labels: names of label files without extension, below the folder of their task.
        images: the ids of all images.

    Returns:
        The images that were found, and how. Where names can be matched in two ways, no image, and
        what both are. None: there is no way.

    Example:
        >>> found = match_names(["mask_0001", "mask_0002"], ["image_0001.jpg", "image_0002.jpg"])
        >>> found.images["mask_0001"], found.how
        ('image_0001.jpg', "names matched without 'image_' and 'mask_'")
    """
    matches = []
    for trial in _trials(labels, images):
        if not trial.match(labels[:: max(1, len(labels) // _SAMPLES)]):
            continue
        matched = trial.match(labels)
        is_one_to_one = len(set(matched.values())) == len(matched)
        if 2 * len(matched) > len(labels) and is_one_to_one:
            matches.append(NameMatch(matched, trial.text()))
    if not matches:
        return None
    most = max(len(match.images) for match in matches)
    best = [match for match in matches if len(match.images) == most]
    for other in best[1:]:
        if other.images != best[0].images:
            return NameMatch({}, _two_ways(best[0], other))
    return min(best, key=lambda match: len(match.how))


def _two_ways(first: NameMatch, second: NameMatch) -> str:
    pairs = [(label, second.images.get(label, "")) for label in first.images]
    label, other = next(pair for pair in pairs if pair[1] != first.images[pair[0]])
    could = " or ".join(f"'{name}'" for name in (first.images[label], other) if name)
    return f"'{label}' could be of {could}: {first.how}, or {second.how}."


def _trials(labels: Sequence[str], images: Sequence[str]) -> Iterator[_Trial]:
    by_path = defaultdict(list)
    by_last = defaultdict(list)
    for image_id in images:
        name = stem(image_id)
        by_path[name].append(image_id)
        by_last[name.rpartition("/")[2]].append(image_id)
    affixes = list(_affixes([label.rpartition("/")[2] for label in labels], list(by_last)))
    yield from (_Trial(affix, False, by_path) for affix in affixes)
    if not any("/" in label for label in labels):
        yield from (_Trial(affix, True, by_last) for affix in affixes)


def _affixes(labels: Sequence[str], images: Sequence[str]) -> Iterator[_Affixes]:
    label_tokens = [_TOKEN.findall(name) for name in labels]
    image_tokens = [_TOKEN.findall(name) for name in images]
    prefixes = list(_pairs(_common_start(image_tokens), _common_start(label_tokens)))
    for tokens in (*label_tokens, *image_tokens):
        tokens.reverse()
    suffixes = list(_pairs(_common_start(image_tokens), _common_start(label_tokens)))
    for prefix, suffix in product(prefixes, suffixes):
        image_suffix, label_suffix = ("".join(reversed(tokens)) for tokens in suffix)
        yield _Affixes("".join(prefix[0]), image_suffix, "".join(prefix[1]), label_suffix)


def _common_start(names: Sequence[Sequence[str]]) -> list[str]:
    if not names:
        return []
    common = list(names[0][:_LONGEST])
    for tokens in names:
        length = 0
        for one, other in zip(common, tokens, strict=False):
            if one != other:
                break
            length += 1
        del common[length:]
    return common


def _pairs(
    image: Sequence[str], label: Sequence[str]
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """The parts to take off the images' and the labels' names, counted from their outer end.

    A separator beside a part, which both have, goes with it.
    """
    for i, k in product(range(len(image) + 1), range(len(label) + 1)):
        has_more_in_common = i and k and image[i - 1] == label[k - 1]
        if not has_more_in_common and _name_no_other_set(image[:i], label[:k]):
            following = list(image[i : i + 1])
            is_separator = following == list(label[k : k + 1]) and not "".join(following).isalnum()
            further = int(bool(i and k and following) and is_separator)
            yield image[: i + further], label[: k + further]


def _name_no_other_set(image: Sequence[str], label: Sequence[str]) -> bool:
    """Whether numbers in two affixes allow the same photographs.

    The labels of `cam2_0001` are not those of `cam1_0001`; the 8 of `leftImg8bit` says nothing.
    """
    of_image = _numbers(image)
    of_label = _numbers(label)
    words = of_image.keys() & of_label.keys()
    is_same = all(of_image[word] == of_label[word] for word in words)
    return is_same and of_image.get("") == of_label.get("")


def _numbers(tokens: Sequence[str]) -> dict[str, list[str]]:
    """The numbers beside each word; numbers beside none are under ""."""
    numbers = defaultdict(list)
    for index, token in enumerate(tokens):
        if token.isdecimal():
            around = [*tokens[max(0, index - 1) : index], *tokens[index + 1 : index + 2]]
            words = [other for other in around if other.isalpha()] or [""]
            for word in words:
                numbers[word].append(token)
    return dict(numbers)
