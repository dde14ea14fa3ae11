"""`sosie swap` on photos, videos and folders: what a user finds afterwards."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
from PIL import Image


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)


def video_frames(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max(axis=2)


def test_a_photo_changes_in_its_face_and_nowhere_else(sosie, hopper_path, small_path, tmp_path):
    output = tmp_path / "out.png"
    result = sosie("swap", "-s", hopper_path, "-t", small_path, "-o", output)
    assert result.code == 0, result.err
    assert result.err == ""
    assert result.out.startswith(f"{output}: 1 face swapped in ")
    changed = difference(pixels(output), pixels(small_path))
    rows, columns = np.nonzero(changed)
    assert np.count_nonzero(changed > 8) > 1500
    assert rows.min() > 20
    assert rows.max() < 230
    assert columns.min() > 60
    assert columns.max() < 240
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_the_json_report_of_a_photo(sosie, hopper_path, small_path, tmp_path):
    output = tmp_path / "out.png"
    result = sosie("swap", "-s", hopper_path, "-t", small_path, "-o", output, "--json")
    assert result.code == 0, result.err
    report = result.json
    assert report["target"] == str(small_path)
    assert report["output"] == str(output)
    assert report["method"] == "graft"
    assert (report["frames"], report["swapped_frames"], report["face_count"]) == (1, 1, 1)
    (face,) = report["faces"]
    x0, y0, x1, y1 = face["box"]
    assert 90 < x0 < x1 < 220
    assert 40 < y0 < y1 < 200
    assert face["source"] == 0
    assert set(face["pose"]) == {"yaw", "pitch", "roll"}
    assert report["seconds"]["total"] > 0


def test_options_reach_the_swap(sosie, hopper_path, small_path, tmp_path):
    for name, options in (("none", ["--color", "none"]), ("light", ["--blend", "alpha"])):
        output = tmp_path / f"{name}.png"
        assert sosie("swap", "-s", hopper_path, "-t", small_path, "-o", output, *options).code == 0
    assert difference(pixels(tmp_path / "none.png"), pixels(tmp_path / "light.png")).max() > 8


def test_processors_act_in_their_order_and_are_told(sosie, hopper_path, small_path, tmp_path):
    output = tmp_path / "out.png"
    common = ("swap", "-s", hopper_path, "-t", small_path, "-o", output, "--method", "mesh")
    result = sosie(*common, "--processor", "sharpen:0.5", "--processor", "sharpen")
    assert result.code == 0, result.err
    told = "processed by sharpen:0.5 (license: Apache-2.0), sharpen (license: Apache-2.0)"
    assert told in result.out
    refused = sosie(*common, "--overwrite", "--processor", "shapren")
    assert refused.code == 2
    assert "Unknown processor 'shapren'" in refused.err
    assert "did you mean 'sharpen'" in refused.err


def test_several_sources_after_one_flag(sosie, hopper_path, small_path, video_path, tmp_path):
    """The portrait itself is the nearer in pose, so that it is the one taken."""
    output = tmp_path / "out.mp4"
    result = sosie(
        "swap",
        "-s",
        hopper_path,
        small_path,
        "-t",
        small_path,
        "-o",
        tmp_path / "out.png",
        "--json",
    )
    assert result.code == 0, result.err
    assert result.json["faces"][0]["source"] == 1
    assert not output.exists()


def test_a_video_is_swapped_in_every_frame(sosie, hopper_path, video_path, tmp_path):
    output = tmp_path / "out.mp4"
    result = sosie("swap", "-s", hopper_path, "-t", video_path, "-o", output, "--json")
    assert result.code == 0, result.err
    assert result.err == ""
    report = result.json
    assert (report["frames"], report["swapped_frames"], report["tracks"]) == (12, 12, 1)
    assert report["skipped"] == []
    assert report["fps"] > 0
    before, after = video_frames(video_path), video_frames(output)
    assert len(after) == 12
    for old, new in zip(before, after, strict=True):
        face = difference(old, new)[80:160, 90:160]
        assert face.mean() > 8


def test_a_part_of_a_video_by_timecodes(sosie, hopper_path, video_path, tmp_path):
    output = tmp_path / "part.mkv"
    times = ["--start", "0:00.12", "--end", "00:00:00.32"]
    result = sosie("swap", "-s", hopper_path, "-t", video_path, "-o", output, *times)
    assert result.code == 0, result.err
    assert "5 of 5 frames swapped" in result.out
    assert len(video_frames(output)) == 5


def test_a_folder_with_good_and_bad_files(
    sosie, hopper_path, small_path, video_path, scenery, tmp_path
):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(small_path.read_bytes())
    (folder / "b.mp4").write_bytes(video_path.read_bytes())
    (folder / "c.jpg").write_bytes(b"no picture at all")
    Image.fromarray(scenery).save(folder / "d.png")
    (folder / "notes.txt").write_text("notes")
    output = tmp_path / "results" / "today"
    result = sosie("swap", "-s", hopper_path, "-t", folder, "-o", output, "--json")
    assert result.code == 1
    report = result.json
    assert [done["output"] for done in report["swapped"]] == [
        str(output / "a.png"),
        str(output / "b.mp4"),
    ]
    codes = {failure["target"]: failure["exit_code"] for failure in report["failed"]}
    assert codes == {str(folder / "c.jpg"): 1, str(folder / "d.png"): 3}
    assert report["ignored"] == [str(folder / "notes.txt")]
    assert report["exit_code"] == 1
    assert sorted(path.name for path in output.iterdir()) == ["a.png", "b.mp4"]
    assert result.err.count("sosie: ") == 2


def test_a_folder_where_only_faces_are_missing_is_exit_code_3(
    sosie, hopper_path, small_path, scenery, tmp_path
):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(small_path.read_bytes())
    Image.fromarray(scenery).save(folder / "b.png")
    result = sosie("swap", "-s", hopper_path, "-t", folder, "-o", tmp_path / "out")
    assert result.code == 3
    assert "1 of 2 swapped" in result.out


def test_several_targets_and_patterns_that_no_shell_expanded(
    sosie, hopper_path, small_path, small, tmp_path
):
    shots = tmp_path / "shots"
    for name in ("b.png", "a.jpg", "inner/c.png"):
        (shots / name).parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(small).save(shots / name)
    output = tmp_path / "out"
    given = ["-s", hopper_path, "--method", "mesh", "-o", output, "--overwrite"]
    for targets in ([shots / "a.jpg", shots / "b.png"], [shots / "[ab].*"]):
        result = sosie("swap", "-t", *targets, *given)
        assert result.code == 0, result.err
        assert "2 of 2 swapped" in result.out
        assert sorted(path.name for path in output.iterdir()) == ["a.jpg", "b.png"]
    result = sosie("swap", "-t", shots, *given)
    assert "folders inside, not looked into (give them as targets too): inner" in result.out
    assert sosie("swap", "-t", shots, *given, "--json").json["skipped_folders"] == [
        str(shots / "inner")
    ]
    source = tmp_path / "me*.jpg"
    result = sosie("swap", "-s", source, "-t", shots / "a.jpg", "-o", tmp_path / "x.png")
    assert (result.code, result.err) == (1, f"sosie: No file fits {source}; check the pattern.\n")


def test_the_license_of_a_file_that_the_user_brought_is_told_once(
    sosie, hopper_path, small_path, tmp_path
):
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    square = [1, 3, 256, 256]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, square)
        for name in ("target", "source", "output")
    ]
    node = onnx.helper.make_node("Max", ["target", "source"], ["output"])
    graph = onnx.helper.make_graph([node], "made", values[:2], values[2:])
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = tmp_path / "theirs.onnx"
    model.write_bytes(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    )
    twin = tmp_path / "twin.png"
    twin.write_bytes(small_path.read_bytes())
    command = ["swap", "-s", hopper_path, "-t", small_path, twin, "-o", tmp_path / "out"]
    command += ["--method", "onnx", "--model", model, "--interface", "uniface_256", "--overwrite"]
    result = sosie(*command)
    assert result.code == 0, result.err
    assert result.out.count(f"license of the weights in {model}: unknown") == 1
    reports = sosie(*command, "--json").json["swapped"]
    assert [report["license"] for report in reports] == ["unknown", "unknown"]
    result = sosie("swap", "-s", hopper_path, "-t", small_path, "-o", tmp_path / "own.png")
    assert "license of the weights" not in result.out


def test_overwrite_replaces_and_its_absence_does_not(sosie, hopper_path, small_path, tmp_path):
    output = tmp_path / "out.png"
    output.write_text("mine")
    command = ["swap", "-s", hopper_path, "-t", small_path, "-o", output]
    result = sosie(*command)
    assert result.code == 1
    assert "--overwrite" in result.err
    assert output.read_text() == "mine"
    assert sosie(*command, "--overwrite").code == 0
    assert pixels(output).shape == (288, 288, 3)


def test_python_takes_the_options_that_the_command_line_takes(
    sosie, hopper_path, small_path, tmp_path
):
    import sosie as package

    output = tmp_path / "out.png"
    arguments = ["--blend", "alpha", "--color", "match", "--shape", "0.5"]
    assert sosie("swap", "-s", hopper_path, "-t", small_path, "-o", output, *arguments).code == 0
    options = package.SwapOptions.from_dict(
        json.loads('{"blend": "alpha", "color": "match", "shape": 0.5}')
    )
    result = package.swap_image(hopper_path, small_path, options)
    np.testing.assert_array_equal(result.image, pixels(output))


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif"])
def test_the_extension_decides_the_format(sosie, hopper_path, small_path, tmp_path, suffix):
    output = tmp_path / f"out{suffix}"
    assert sosie("swap", "-s", hopper_path, "-t", small_path, "-o", output).code == 0
    with Image.open(output) as picture:
        assert picture.format in {".jpg": "JPEG", ".webp": "WEBP", ".tif": "TIFF"}[suffix]


def test_a_note_that_was_told_before_the_work_is_not_told_again(
    sosie, hopper_path, video_path, tmp_path
):
    result = sosie("swap", "-s", hopper_path, "-t", video_path, "-o", tmp_path / "out.gif")
    assert result.code == 0
    assert "note: GIF shows 256 colors" in result.err
    assert (result.out + result.err).count("GIF shows 256 colors") == 1
