"""A real Label Studio server: what is sent is there once, whole or refused, and what is answered comes back."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.annotate.label_studio_client import Client, connect
from labelgrid.annotate.label_studio_images import LocalFiles, Uploads
from labelgrid.annotate.label_studio_server import LabelStudioServer, Sent
from labelgrid.basics.errors import ServerError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.formats.label_studio_runs import encode
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from tests import servers
from tests.e2e.commands import done, refused, said, typed
from tests.servers import Server
from tests.support import CLASSES, Made, make_dataset

COVERS = [
    "labelgrid.annotate.tools.label_studio",
    "labelgrid.annotate.label_studio_images",
    "labelgrid.annotate.label_studio_server",
    "labelgrid.project.tool_server",
]
pytestmark = pytest.mark.timeout(900)  # the first start migrates

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="wall"/><Label value="hat"/></BrushLabels>
<PolygonLabels name="polygon" toName="image"><Label value="wall"/><Label value="hat"/></PolygonLabels>
</View>"""
#: The server takes it.
NONSENSE = "<View><Foo/></View>"
NAMES = ("a 1#é.jpg", "0001.jpg")
PAGE_OF_TWO = {"fields": "all", "resolve_uri": "false", "page_size": 2}
SIZE = {"original_width": 64, "original_height": 48, "image_rotation": 0}
#: Any bytes are run lengths for the server.
RUNS = [0, 0, 48, 0, 57, 0, 1, 2, 3]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not servers.is_installed():
        pytest.skip("Label Studio is not installed: run ./dev label-studio")
    with servers.label_studio(tmp_path_factory.mktemp("label-studio")) as running:
        yield running


@pytest.fixture(scope="module")
def personal(server: Server) -> str:
    """The only personal access token that the user may have."""
    return servers.personal_token(server)


@pytest.fixture(scope="module")
def images(server: Server) -> Path:
    """A folder with two images, from which the server may serve."""
    made = make_dataset(server.files / "made", n=2, tasks=())
    for old, new in zip(made.names, NAMES, strict=True):
        (made.images / old).rename(made.images / new)
    return made.images


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server.url, servers.TOKEN)


def region(runs: Sequence[int] = RUNS, label: str = "wall", tag: str = "brush") -> dict[str, Any]:
    value = {"format": "rle", "rle": list(runs), "brushlabels": [label]}
    return (
        {"id": "r1", "type": "brushlabels", "from_name": tag, "to_name": "image"}
        | SIZE
        | {"value": value}
    )


def polygon() -> dict[str, Any]:
    value = {"points": [[10, 10], [50, 10], [50, 50.5]], "polygonlabels": ["hat"], "closed": True}
    return (
        {"id": "r2", "type": "polygonlabels", "from_name": "polygon", "to_name": "image"}
        | SIZE
        | {"value": value}
    )


def task(number: int, *regions: dict[str, Any]) -> dict[str, Any]:
    data = {"image": NAMES[number % 2], "request_id": f"r1-{number:04d}", "score": number / 7}
    predictions = []
    if regions:
        predictions = [{"model_version": "round 1", "score": 0.25, "result": list(regions)}]
    return {"data": data, "predictions": predictions}


class Place:
    """A project of this test on the server."""

    def __init__(self, client: Client, images: Path, owner: str) -> None:
        self.client = client
        self.images = images
        self.owner = owner
        self.server = LabelStudioServer(client)
        self.project = self.server.find_or_create_project(owner, f"semseg of {owner}", CONFIG)

    def send(self, *tasks: dict[str, Any]) -> Sent:
        files = {name: self.images / name for name in NAMES}
        uploads = Uploads(self.client, self.project, files)
        return self.server.send_tasks(self.project, tasks, uploads.url, Silent())

    def stored(self) -> list[Any]:
        query = {"project": self.project, "fields": "all", "page_size": 500}
        return list(self.client.get("/api/tasks", query)["tasks"])

    def answer(self, number: int, **answer: object) -> None:
        self.client.send("POST", f"/api/tasks/{self.stored()[number]['id']}/annotations/", answer)


@pytest.fixture
def place(client: Client, images: Path, request: pytest.FixtureRequest) -> Place:
    return Place(client, images, request.node.name)


def test_a_task_is_stored_with_its_image_and_both_kinds_of_regions(place: Place) -> None:
    sent = [task(0, region(), polygon()), task(1)]
    assert place.send(*sent) == Sent(new=2, already_there=0)
    first, second = place.stored()
    assert first["predictions"][0]["result"] == [region(), polygon()]
    assert first["predictions"][0]["score"] == 0.25
    assert second["predictions"] == []
    for stored, name in zip((first, second), NAMES, strict=True):
        assert place.client.download(stored["data"]["image"]) == (place.images / name).read_bytes()


def test_sent_again_nothing_is_there_twice(place: Place) -> None:
    sent = [task(number, region()) for number in range(3)]
    place.send(*sent[:2])
    before = place.stored()
    assert place.send(*sent) == Sent(new=1, already_there=2)
    assert [each["id"] for each in place.stored()[:2]] == [each["id"] for each in before]
    assert [len(each["predictions"]) for each in place.stored()] == [1, 1, 1]
    uploads = place.client.get(f"/api/projects/{place.project}/file-uploads", {"all": "true"})
    assert len(uploads) == 2
    again = place.server.find_or_create_project(place.owner, "another title", CONFIG)
    assert again == place.project


def test_a_task_without_its_predictions_gets_them_when_it_is_sent_again(place: Place) -> None:
    place.send(task(0))
    assert place.send(task(0, region())) == Sent(new=0, already_there=1)
    assert place.stored()[0]["predictions"][0]["result"] == [region()]


KILLED = """
import itertools, os, sys
from labelgrid.annotate import label_studio_server as module
from labelgrid.annotate.label_studio_client import Client
from tests.e2e import test_label_studio as tests

def kills(self, call, *rest, calls=itertools.count()):
    answer = real(self, call, *rest)
    if call.method != "GET" and next(calls) == int(sys.argv[4]):
        os.kill(os.getpid(), 9)
    return answer

real = Client._repeated
Client._repeated = kills
module._BATCH = 2
url, images, owner = sys.argv[1:4]
place = tests.Place(Client(url, tests.servers.TOKEN), tests.Path(images), owner)
place.send(*(tests.task(number, tests.region()) for number in range(5)))
"""


def test_killed_after_any_change_and_sent_again_nothing_is_there_twice(
    client: Client, images: Path, server: Server
) -> None:
    owner = "killed"
    ends = []
    for call in (0, 1, 2, 3, 4, 5, 6):
        words = [sys.executable, "-c", KILLED, server.url, str(images), owner, str(call % 3)]
        ends.append(subprocess.run(words, check=False, cwd=Path(__file__).parents[2]).returncode)
    assert ends[0] == -signal.SIGKILL
    place = Place(client, images, owner)
    place.send(*(task(number, region()) for number in range(5)))
    assert place.server.projects(owner) == {owner: place.project}
    assert [each["data"]["request_id"] for each in place.stored()] == [
        f"r1-{number:04d}" for number in range(5)
    ]
    assert [len(each["predictions"]) for each in place.stored()] == [1] * 5


def test_answers_and_skips_come_back_with_their_time(place: Place) -> None:
    place.send(*(task(number, region()) for number in range(5)))
    place.answer(0, result=[region([9, 9])], lead_time=33.5)
    place.answer(1, result=[polygon()], lead_time=2.0)
    place.answer(2, result=[], was_cancelled=True, lead_time=1.5)
    place.answer(3, result=[], lead_time=4.0)
    answered = list(place.server.fetch_tasks(place.project))
    assert [each["data"]["request_id"] for each in answered] == [
        f"r1-{number:04d}" for number in range(4)
    ]
    found = [each["annotations"][0] for each in answered]
    assert [each["result"] for each in found] == [[region([9, 9])], [polygon()], [], []]
    assert [each["was_cancelled"] for each in found] == [False, False, True, False]
    assert [each["lead_time"] for each in found] == [33.5, 2.0, 1.5, 4.0]


def test_more_answers_than_a_page_come_back_once_each(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.send(*(task(number) for number in range(5)))
    monkeypatch.setattr("labelgrid.annotate.label_studio_server._PAGE", PAGE_OF_TWO)
    assert list(place.server.fetch_tasks(place.project)) == []
    for number in (0, 1, 2, 4):
        place.answer(number, result=[region()])
    answered = list(place.server.fetch_tasks(place.project))
    assert [each["data"]["request_id"][-1] for each in answered] == ["0", "1", "2", "4"]


def test_tasks_are_shown_best_first(place: Place) -> None:
    place.send(task(0), task(2), task(1))
    for _ in range(2):
        place.server.order_by(place.project, "score")
    views = place.client.get("/api/dm/views/", {"project": place.project})
    assert [view["data"]["title"] for view in views] == ["best first"]
    shown = place.client.get("/api/tasks", {"view": views[0]["id"], "project": place.project})
    assert [each["data"]["request_id"][-1] for each in shown["tasks"]] == ["2", "1", "0"]


def test_an_annotator_begins_with_the_predictions(place: Place) -> None:
    place.send(task(0, region()))
    found = place.client.get(f"/api/projects/{place.project}/")
    assert (found["model_version"], found["show_collab_predictions"]) == ("round 1", True)


def test_a_prediction_that_the_server_drops_is_refused_by_name(place: Place) -> None:
    bad = task(1, region(label="no such class"))
    with pytest.raises(
        ServerError, match=r"did not store the predictions.*: r1-0001. It took 0 of 1"
    ):
        place.send(bad)


def test_a_task_that_somebody_changed_is_refused_by_name(place: Place) -> None:
    place.send(task(0), task(1))
    there = place.stored()[1]
    data = {**there["data"], "score": 5}
    place.client.send("PATCH", f"/api/tasks/{there['id']}/", {"data": data})
    with pytest.raises(ServerError, match="did not store the tasks as they were sent: r1-0001"):
        place.send(task(0), task(1))


def test_two_tasks_of_one_request_are_named(place: Place) -> None:
    place.send(task(0))
    body = [{"data": place.stored()[0]["data"]}]
    place.client.send("POST", f"/api/projects/{place.project}/import", body)
    with pytest.raises(ServerError, match="two tasks of the request r1-0000"):
        place.send(task(0))


def test_a_configuration_that_labels_nothing_is_refused(client: Client) -> None:
    with pytest.raises(ServerError, match="labels of its configuration"):
        LabelStudioServer(client).find_or_create_project("nonsense", "nonsense", NONSENSE)


def test_a_new_class_is_added_to_the_project(client: Client) -> None:
    server = LabelStudioServer(client)
    before = CONFIG.replace('<Label value="hat"/>', "")
    project = server.find_or_create_project("classes", "classes", before)
    assert server.find_or_create_project("classes", "classes", CONFIG) == project
    found = client.get(f"/api/projects/{project}/")["parsed_label_config"]
    assert found["brush"]["labels"] == ["wall", "hat"]


def test_a_project_is_found_by_its_description_whatever_its_title(client: Client) -> None:
    server = LabelStudioServer(client)
    long = "one title " * 9
    mine, other = (
        server.find_or_create_project(f"owner {name}", long, CONFIG) for name in ("mine", "other")
    )
    assert mine != other
    client.send("PATCH", f"/api/projects/{mine}/", {"title": "by hand"})
    assert server.find_or_create_project("owner mine", long, CONFIG) == mine
    assert server.projects("owner ") == {"owner mine": mine, "owner other": other}


def test_the_server_serves_the_images_of_its_own_machine(place: Place, server: Server) -> None:
    for _ in range(2):
        local = LocalFiles(place.client, place.project, place.images, server.files)
        place.server.send_tasks(place.project, [task(0), task(1)], local.url, Silent())
    storages = place.client.get("/api/storages/localfiles/", {"project": place.project})
    assert len(storages) == 1
    for stored, name in zip(place.stored(), NAMES, strict=True):
        assert place.client.download(stored["data"]["image"]) == (place.images / name).read_bytes()


def test_images_that_the_server_may_not_serve_are_refused(
    place: Place, tmp_path: Path, server: Server
) -> None:
    with pytest.raises(UsageError, match="The images are not below"):
        LocalFiles(place.client, place.project, tmp_path, server.files)
    with pytest.raises(ServerError, match="must be a subdirectory of"):
        LocalFiles(place.client, place.project, tmp_path, tmp_path.parent)


def test_a_personal_token_is_exchanged_and_again_when_it_ends(
    server: Server, personal: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(personal + "\n")
    client = connect(server.url, tmp_path / "token")
    assert client.get("/api/projects/")["results"] is not None
    first = client._access
    client._access = first[:-3] + "abc"  # as one that ended
    client.get("/api/projects/")
    second = client._access
    client._access_since -= 241
    client.get("/api/projects/")
    assert len({first, second, client._access}) == 3


def test_a_wrong_token_is_refused_and_not_shown(server: Server) -> None:
    personal = ".".join(["eyJhbGciOiJIUzI1NiJ9", "eyJhIjoxfQ", "x" * 43])
    for token in ("f" * 40, personal):
        with pytest.raises(ServerError, match="does not accept the token") as caught:
            Client(server.url, token).get("/api/projects/")
        assert token not in str(caught.value)
        assert caught.value.status == 401


def test_what_is_not_there_is_named(client: Client) -> None:
    with pytest.raises(ServerError, match=r"refuses GET /api/tasks \(HTTP 404"):
        list(LabelStudioServer(client).fetch_tasks(10**6))


def brushes(path: Path) -> list[dict[str, Any]]:
    """Regions that draw a made label: one for each class."""
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert values is not None
    height, width = values.shape
    regions = []
    for number, name in enumerate(CLASSES):
        runs = list(encode(values == number))
        drawn = region(runs, name, "semseg-brush")
        regions.append(drawn | {"id": name, "original_width": width, "original_height": height})
    return regions


REASON = {
    "type": "textarea",
    "from_name": "reason",
    "to_name": "image",
    "value": {"text": ["too dark"]},
}
WHOLE = [[0, 0], [100, 0], [100, 100], [0, 100]]


def test_a_round_goes_to_the_server_is_answered_there_and_comes_back(
    project: Callable[[str], Path], data: Made, place: Place, personal: str, tmp_path: Path
) -> None:
    flat = project("fitted")
    done("query", flat, "--budget", 15)
    (tmp_path / "token").write_text(personal)
    there = ["--url", place.client.url, "--token-file", tmp_path / "token"]
    export = ["export", flat, "--to", "label-studio", "--task", "semseg", *there]
    sent = done(*export).out
    assert re.search(r"\((\d+) semseg, .*with the model's prediction\): \1 new\.", sent), sent
    assert ": 0 new." in done(*export).out

    ((_, number),) = place.server.projects("labelgrid ").items()
    query = {"project": number, "fields": "all", "page_size": 100}
    tasks = place.client.get("/api/tasks", query)["tasks"]
    assert all(task["predictions"][0]["result"] for task in tasks)
    polygons = polygon()
    polygons |= {"from_name": "semseg-brush", "original_width": 64, "original_height": 32}
    polygons["value"] = {"points": WHOLE, "polygonlabels": ["floor"], "closed": True}
    images = [task["data"]["image_id"] for task in tasks]
    answers: list[dict[str, Any]] = [
        {"result": brushes(data.label(images[0], "semseg")), "lead_time": 12.5},
        {"result": [polygons], "lead_time": 3.0},
        {"result": [REASON], "was_cancelled": True, "lead_time": 1.5},
        {"result": [], "lead_time": 4.0},
    ]
    for task, answer in zip(tasks, answers, strict=False):
        place.client.send("POST", f"/api/tasks/{task['id']}/annotations/", answer)

    words = ["import", flat, "--from", "label-studio", *there, "--rest", "wall", "--accept"]
    assert done(*words).out.startswith("semseg: 3 new, 1 skipped; 4 of 4 classes; ")
    with ProjectFolder.open(flat) as opened:
        cells = opened.store.find(Cell(image, "semseg") for image in images)
        rows = [cells[Cell(image, "semseg")] for image in images]
        assert [row.seconds for row in rows[:4]] == [12.5, 3.0, None, 4.0]
        assert {row.annotator for row in rows[:2]} == {"1"}
        assert [row.state.name for row in rows[2:5]] == ["SKIPPED", "LABELLED", "REQUESTED"]
        assert opened.store.history(rows[2].cell)[-1].move.why == "too dark"
        task = opened.tasks()["semseg"]
        labels = [task.read(opened.inside(rows[index].path)) for index in (0, 1, 3)]
        made = task.read(data.label(images[0], "semseg"))
        assert (labels[0].value == made.value)[made.valid].all()
        assert [set(np.unique(label.value)) for label in labels[1:]] == [{1}, {0}]
        events = len(list(opened.store.events()))
    assert "4 unchanged" in done(*words).out
    with ProjectFolder.open(flat) as opened:
        assert len(list(opened.store.events())) == events


def test_a_server_that_is_down_or_no_label_studio_is_said(
    project: Callable[[str], Path], tmp_path: Path
) -> None:
    flat = project("asked")
    (tmp_path / "token").write_text(servers.TOKEN)
    there = ["--url", "http://127.0.0.1:9", "--token-file", tmp_path / "token"]
    for words in (
        ["export", "--task=semseg", "--to=label-studio"],
        ["import", "--from=label-studio"],
    ):
        message = refused(flat, words[0], flat, *words[1:], *there)
        assert message.startswith("The server cannot be reached: ")
        assert servers.TOKEN not in message


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["import", "--from", "label-studio"], "An import is of LABELS, or of a server"),
        (["import", "labels", "--url", "http://x", "--token-file", "t"], "An import is of LABELS"),
        (["import", "--url", "http://x"], "--url needs --token-file"),
        (["export", "--token-file", "t"], "--token-file is for a server"),
        (["export", "--local-files", "."], "--local-files is for a server"),
        (["export", "--url", "http://x", "--token-file", "t"], "'folder' has no server"),
        (["import", "--url", "http://x", "--token-file", "t"], "'folder' has no server"),
        (
            ["export", "--to", "label-studio", "--task", "semseg", "--url", "http://x"],
            "--url needs --token-file",
        ),
        (
            [
                "export",
                "--to",
                "label-studio",
                "--task",
                "depth",
                "--url",
                "http://x",
                "--token-file",
                "t",
            ],
            "Labels of depth cannot be drawn",
        ),
        (
            [
                "export",
                "--to",
                "label_studio",
                "--task",
                "semseg",
                "--url",
                "x",
                "--token-file",
                "t",
            ],
            "The token cannot be read",
        ),
    ],
)
def test_wrong_words_about_a_server_are_refused(
    project: Callable[[str], Path], words: list[str], fault: str
) -> None:
    flat = project("asked")
    result = typed(words[0], flat, *words[1:])
    assert result.code in (1, 2)
    assert fault in said(result.err)
