"""Laws of asking several plug-ins what a path is."""

from pathlib import Path

from labelgrid.basics.recognition import Recognition, recognitions


class Says:
    """A plug-in with one answer."""

    def __init__(self, answer: Recognition | None) -> None:
        self.answer = answer

    def recognise(self, _path: Path) -> Recognition | None:
        return self.answer


def test_the_surest_comes_first_and_who_cannot_tell_is_left_out() -> None:
    unsure = Recognition("a folder", 0.1)
    sure = Recognition("a request", 1.0)
    plug_ins = {"a": Says(unsure), "b": Says(None), "c": Says(sure), "without": object()}
    answers = recognitions(plug_ins, Path("answer"))
    assert list(answers.items()) == [("c", sure), ("a", unsure)]
