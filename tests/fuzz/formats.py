"""The formats: a sound source of each, the file of it that is damaged, and how."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
import yaml
from hypothesis import strategies as st
from PIL import Image

from ovs3d.poses.colmap_model import Lens, build_model
from tests.closure import ROOT
from tests.fuzz.damage import ODD_VALUES, Edit, bytes_edits, json_edits, line_edits

WIDTH, HEIGHT, PHOTOS = 80, 64, 4
LABELS = ("red box", "wall")
_KEYS = (
    *("camera_model", "is_fisheye", "k1", "k2", "k3", "k4", "p1", "w", "h", "fl_x", "fl_y", "cx"),
    *("camera_angle_x", "file_path", "transform_matrix", "frames", "mask_path", "ply_file_path"),
    *("applied_transform", "train_filenames", "test_filenames", "ftheta_p1", "latlong"),
)


@dataclass(frozen=True)
class Format:
    """One kind of input.

    Attributes:
        write: writes a sound source into an empty folder.
        files: of the source, one of which is damaged.
        edits: how.
    """

    write: Callable[[Path], None]
    files: Sequence[str]
    edits: st.SearchStrategy[Edit]


def poses() -> list[np.ndarray]:
    """Return camera to world, OpenCV axes, `[3, 4]` each."""
    return [
        np.concatenate([np.eye(3), [[0.1 * view], [0.0], [0.0]]], axis=1) for view in range(PHOTOS)
    ]


def write_photos(folder: Path) -> None:
    images = folder / "images"
    images.mkdir(parents=True)
    for view in range(PHOTOS):
        pixels = np.random.default_rng(view).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{view:03d}.png")


def write_transforms(folder: Path) -> None:
    write_photos(folder)
    frames = [
        {
            "file_path": f"images/{view:03d}.png",
            "transform_matrix": [*(pose * [1, -1, -1, 1]).tolist(), [0, 0, 0, 1]],
        }
        for view, pose in enumerate(poses())
    ]
    lens = {"w": WIDTH, "h": HEIGHT, "fl_x": 90.0, "fl_y": 90.0, "cx": 40.0, "cy": 32.0, "k1": 0.01}
    content = {"camera_model": "OPENCV", **lens, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(content))


def write_llff(folder: Path) -> None:
    write_photos(folder)
    rows = [
        [*np.concatenate([pose, [[HEIGHT], [WIDTH], [90.0]]], axis=1).ravel(), 1.0, 9.0]
        for pose in poses()
    ]
    np.save(folder / "poses_bounds.npy", np.array(rows))


def colmap_model() -> pycolmap.Reconstruction:
    lens = Lens("OPENCV", (90.0, 90.0, 40.0, 32.0, 0.01, 0.0, 0.0, 0.0), WIDTH, HEIGHT)
    names = [f"{view:03d}.png" for view in range(PHOTOS)]
    model = build_model(names, [lens] * PHOTOS, poses())
    for image in model.images.values():
        image.points2D = pycolmap.Point2DList([pycolmap.Point2D(np.array([20.0, 30.0]))] * 3)
    for point in range(3):
        track = pycolmap.Track()
        for image_id in model.images:
            track.add_element(image_id, point)
        model.add_point3D(np.array([0.1 * point, 0.0, 3.0]), track, np.zeros(3, np.uint8))
    return model


def write_colmap(folder: Path, text: bool) -> None:
    write_photos(folder)
    sparse = folder / "sparse/0"
    sparse.mkdir(parents=True)
    model = colmap_model()
    (model.write_text if text else model.write_binary)(sparse)


def write_masks(folder: Path) -> None:
    write_photos(folder)
    segmentations = folder / "segmentations"
    for view in (1, 3):
        (segmentations / f"{view:02d}").mkdir(parents=True)
        for number, label in enumerate(LABELS):
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[:, number * 40 : number * 40 + 40] = 255
            Image.fromarray(mask).save(segmentations / f"{view:02d}" / f"{label}.png")
    (segmentations / "classes.txt").write_text("\n".join(LABELS) + "\n")


def write_labels(folder: Path) -> None:
    write_photos(folder)
    (folder / "segmentations").mkdir()
    (folder / "segmentations/classes.txt").write_text("red box\nmug = blue mug | a cup\nwall\n")


def write_params(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["scenes"] = {"scene": {**content["scenes"]["demo"], "distill": {"iterations": 7}}}
    keys = ("seed", "device", "split", "scenes", "tiny")
    small = {key: content[key] for key in keys if key in content}
    # JSON is YAML, is read faster, and its values can be found and changed.
    (folder / "params.yaml").write_text(json.dumps({**content, **small}))


@st.composite
def other_pictures(draw: st.DrawFn) -> Edit:
    """Put a picture of another mode, size or format in the place of one."""
    mode = draw(st.sampled_from(["1", "L", "P", "LA", "RGB", "RGBA", "I;16", "CMYK", "F", "I"]))
    size = draw(
        st.sampled_from([(WIDTH, HEIGHT), (40, 32), (41, 32), (HEIGHT, WIDTH), (1, 1), (800, 640)])
    )
    kind = draw(st.sampled_from(["PNG", "PNG", "TIFF", "JPEG", "GIF", "WEBP"]))
    level = draw(st.integers(0, 255))

    def edit(_: bytes) -> bytes:
        out = io.BytesIO()
        picture = Image.linear_gradient("L").resize(size).point(lambda value: max(value, level))
        try:
            picture.convert(mode).save(out, kind)
        except (OSError, ValueError):
            picture.save(out, kind)
        return out.getvalue()

    return edit


@st.composite
def other_arrays(draw: st.DrawFn) -> Edit:
    """Put another array in the place of one, or other values into it."""
    kinds = ["f8", "f4", "i8", "u1", "c16", "U3", "O", "?", "V8"]
    kind = draw(st.sampled_from(kinds))
    shape = draw(st.sampled_from([(), (17,), (4, 17), (3, 17), (0, 17), (4, 3, 5), (4, 15)]))
    values = draw(st.lists(st.tuples(st.integers(0, 67), st.floats()), max_size=5))

    def edit(content: bytes) -> bytes:
        out = io.BytesIO()
        if shape == (4, 17) and kind in ("f8", "f4", "i8"):
            array = np.load(io.BytesIO(content))
            with np.errstate(all="ignore"):
                for place, value in values:
                    array.flat[place] = value
                array = array.astype(kind)
        else:
            array = np.zeros(shape, kind)
        np.save(out, array, allow_pickle=True)
        return out.getvalue()

    return edit


@dataclass(frozen=True)
class _Replaced:
    """Puts other bytes, so many times, in the place of all."""

    new: bytes
    times: int = 1

    def __call__(self, _: bytes) -> bytes:
        return self.new * self.times


def replaced(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[Edit]:
    """Put other bytes in the place of all."""
    return values.map(_Replaced)


_NESTED: st.SearchStrategy[Edit] = st.sampled_from(
    [
        *(_Replaced(b"[", 100_000), _Replaced(b'{"frames":', 50_000)),
        *(_Replaced(b"\xef\xbb\xbf{}"), _Replaced(b"null"), _Replaced(b"")),
    ]
)
_TEXTS = st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass"))
_YAML = ODD_VALUES.map(lambda value: json.dumps({"scenes": {"scene": value}}).encode())

FORMATS: dict[str, Format] = {
    "transforms.json": Format(
        write_transforms,
        ["transforms.json"],
        st.one_of(json_edits(_KEYS), json_edits(_KEYS), bytes_edits(), _NESTED),
    ),
    "poses_bounds.npy": Format(
        write_llff, ["poses_bounds.npy"], st.one_of(other_arrays(), bytes_edits())
    ),
    "COLMAP text": Format(
        lambda folder: write_colmap(folder, text=True),
        [f"sparse/0/{name}.txt" for name in ("cameras", "images", "points3D", "images")],
        st.one_of(line_edits(), line_edits(), bytes_edits()),
    ),
    "COLMAP binary": Format(
        lambda folder: write_colmap(folder, text=False),
        [f"sparse/0/{name}.bin" for name in ("cameras", "images", "points3D")],
        bytes_edits(),
    ),
    "masks": Format(
        write_masks,
        ["segmentations/01/wall.png", "segmentations/03/red box.png"],
        st.one_of(other_pictures(), bytes_edits()),
    ),
    "classes.txt": Format(
        write_labels,
        ["segmentations/classes.txt"],
        st.one_of(line_edits(), bytes_edits(), replaced(_TEXTS), replaced(st.binary())),
    ),
    "params.yaml": Format(
        write_params,
        ["params.yaml"],
        st.one_of(
            json_edits(("preset", "test_views", "distill", "downscale", "weights", "seed")),
            bytes_edits(),
            replaced(_YAML),
            replaced(_TEXTS),
        ),
    ),
}
