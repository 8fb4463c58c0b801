"""The CSV of labels: its columns, and the sentence for each wrong row."""

import math

import pytest

from kp_helpers.data import DataError
from kp_helpers.data.labels import read_table


def written(tmp_path, text: str):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


def test_the_short_form_needs_four_columns(tmp_path):
    names, (first, second), left_out = read_table(
        written(tmp_path, "image,keypoint,x,y\na.jpg,head,1.5,2\nb.jpg,head,,\na.jpg,foot,3,4\n")
    )
    assert names == ("head", "foot") and left_out == {}
    assert (first.image, first.points) == ("a.jpg", {"head": (1.5, 2), "foot": (3, 4)})
    assert (second.image, second.person, second.box, second.hidden) == ("b.jpg", 0, None, frozenset())
    assert all(map(math.isnan, second.points["head"]))


def test_people_boxes_and_hidden_points(tmp_path):
    header = "image,person,keypoint,x,y,visible,x0,y0,x1,y1\n"
    rows = "a.jpg,0,head,1,2,1,0,0,9,8\na.jpg,1,head,3,4,0,,,,\n"
    _, (first, second), _ = read_table(written(tmp_path, header + rows))
    assert (first.person, first.box, first.hidden) == (0, (0, 0, 9, 8), frozenset())
    assert (second.person, second.box, second.hidden) == (1, None, {"head"})


SHORT = "image,keypoint,x,y\n"
FULL = "image,keypoint,x,y,person,visible,x0,y0,x1,y1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,keypoint,x\na.jpg,head,1\n", "row 2: has no y, expected it"),
        ("image,keypoint,x,y,visble\n", "column 'visble' is unknown, did you mean 'visible'"),
        (SHORT + "a.jpg,head,one,2\n", "row 2: x is 'one': Input should be a valid number"),
        (SHORT + "a.jpg,head,1\n", "row 2: y is None: Input should be a valid number"),
        (SHORT + "a.jpg,head,1,2,3\n", "row 2: a value beyond the columns is .*'3'"),
        (
            FULL + "a.jpg,head,1,2,-1,1,,,,\n",
            "row 2: person is '-1': Input should be greater than",
        ),
        (
            FULL + "a.jpg,head,1,2,0,perhaps,,,,\n",
            "row 2: visible is 'perhaps': Input should be a valid",
        ),
        (FULL + "a.jpg,head,1,2,0,1,1,1,,\n", r"row 2: box\[2\] is '': Input should be a valid number"),
        (FULL + "a.jpg,head,1,2,0,1,5,5,1,1\n", "person 0 in a.jpg: box is .*, expected a box with a width"),
        (SHORT + "../a.jpg,head,1,2\n", "row 2: image is '../a.jpg', expected the path"),
        (SHORT + "a.jpg,head,1,2\n" * 2, "row 3: 'head' of person 0 in a.jpg a second time"),
        (FULL + "a.jpg,b,1,2,0,1,,,,\na.jpg,c,1,2,0,1,0,0,5,5\n", "person 0 in a.jpg has 2 boxes"),
        (
            "image,keypoint,x,y,upright\na.jpg,b,1,2,0\na.jpg,c,1,2,1\n",
            "person 0 in a.jpg has 2 values of upright",
        ),
        ('image,keypoint,x,y\n"a.jpg,head,1,2\n', "is no CSV in UTF-8"),
    ],
)
def test_a_wrong_table_is_named_with_its_row(text, message, tmp_path):
    with pytest.raises(DataError, match=f"labels.csv: {message}"):
        read_table(written(tmp_path, text))


def test_bytes_that_are_no_text_and_no_file_are_named(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"image,keypoint,x,y\n\xff\xfe\n")
    with pytest.raises(DataError, match="labels.csv: is no CSV in UTF-8"):
        read_table(tmp_path / "labels.csv")
    with pytest.raises(DataError, match="none.csv: cannot be read"):
        read_table(tmp_path / "none.csv")
