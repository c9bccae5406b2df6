"""A person audits labels among which some were exchanged, withdraws those that are named, and is done."""

import json
from pathlib import Path

from tests.e2e.commands import done, refused
from tests.support import make_dataset


def test_exchanged_labels_are_named_and_can_be_withdrawn(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "made", n=24, size=(120, 160), tasks=("semseg", "depth"))
    one, other = (made.label(made.names[number], "semseg") for number in (4, 15))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    flat = tmp_path / "flat"
    classes = tmp_path / "classes.txt"
    classes.write_text("wall\nfloor\nbox\nball\n")
    done(
        "init",
        flat,
        "--images",
        made.images,
        "--task",
        f"semseg:classes={classes}",
        "--task",
        "depth",
    )
    refused(flat, "audit", flat)  # nothing to audit
    done("import", flat, made.labels)

    audited = json.loads(done("audit", flat, "--json").out)
    assert len(audited["labels"]) == 48 and audited["unread"] == []
    doubtful = [
        label for label in audited["labels"] if label["doubt"] and label["task"] == "semseg"
    ]
    assert {label["image"] for label in doubtful[:2]} == {made.names[4], made.names[15]}
    assert Path(audited["table"]) == flat / "audit.csv" and Path(audited["sheet"]).is_file()
    printed = done("audit", flat).out
    assert "do not follow the image's edges" in printed and str(flat / "audit.png") in printed
    assert f"labelgrid import {flat} FIXED --replace" in printed.replace("\n", " ")

    for label in doubtful[:2]:
        done("unlabel", flat, f"{label['image']}:semseg")
    rest = json.loads(done("audit", flat, "--json").out)["labels"]
    assert len(rest) == 46
    assert json.loads(done("verify", flat, "--json").out)["faults"] == []
    assert "leaves nothing to learn from" in refused(flat, "audit", flat, "--folds", "1", code=2)
