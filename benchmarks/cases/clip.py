"""CLIP extraction: the stage against one crop after the other, and against the bare encoder."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import open_clip
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from benchmarks.harness import Benchmark, Sample
from benchmarks.naive.clip import naive_extraction
from ovs3d.device import encoder_batch, encoder_workers, resolve_device, to_device
from ovs3d.features.clip import ClipEncoder, load_clip
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.extract_clip import extract_clip, scene_windows
from ovs3d.features.pipeline import in_order
from ovs3d.features.store import FeatureStore
from ovs3d.files import digest
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import Photos, load_photo, open_photos

SEED = 0
IMAGES = Path("data/raw/demo/images")
IN_MEMORY = 4
"""Batches of ready inputs that the bare encoder gets in turn."""
COMPARED = 128
"""Windows on which the cosine to float32 is measured."""


@dataclass(frozen=True)
class Inputs:
    """What both forms get; the folder holds what had to be written for it."""

    photos: Photos
    params: ClipFeaturesParams
    folder: TemporaryDirectory[str]


def demo() -> Inputs:
    """The first photos of the demo, with its model."""
    params = load_scene_params(Path("params.yaml"), "demo").stages.clip_features
    photos = open_photos(IMAGES)
    return Inputs(replace(photos, paths=photos.paths[:2]), params, TemporaryDirectory())


def paper() -> Inputs:
    """Two photos of 12 megapixels and a full-size ViT-B/16 with random weights, few windows."""
    folder = TemporaryDirectory()
    images = Path(folder.name) / "images"
    images.mkdir()
    for path in open_photos(IMAGES).paths[:2]:
        Image.open(path).resize((4032, 3024), Image.Resampling.BICUBIC).save(images / path.name)
    torch.manual_seed(SEED)
    weights = Path(folder.name) / "weights.pt"
    torch.save(open_clip.create_model("ViT-B-16").state_dict(), weights)
    params = load_scene_params(Path("params.yaml"), "demo").stages.clip_features
    changes = {"model": "ViT-B-16", "weights": str(weights), "downscale": 8, "batch": 16}
    few = {"window_divisors": (5.0,), "strides_per_window": 1.0}
    return Inputs(open_photos(images), params.model_copy(update=changes | few), folder)


def ours(inputs: Inputs) -> Sample:
    """The stage after its model is loaded, and the bare encoder on the same windows."""
    out = Path(inputs.folder.name) / "clip.zarr"
    device = resolve_device("auto")
    report = extract_clip(inputs.photos, inputs.params, SEED, device, out)
    store = FeatureStore.open(out)
    embeddings = torch.cat([torch.from_numpy(store.embeddings(view)) for view in store.views])
    bare, distance = bare_seconds(inputs, device)
    notes = {
        "windows": float(len(embeddings)),
        "bare_encoder_s": bare,
        "stage_over_bare": report.seconds / bare,
        "cosine_distance_to_float32": distance,
    }
    return Sample(report.seconds, {"embeddings": embeddings.float()}, notes)


def naive(inputs: Inputs) -> Sample:
    """Pillow and open_clip's preprocessing, crop after crop."""
    encoder = load_clip(inputs.params.model, inputs.params.weights, resolve_device("auto"))
    work = [(path, boxes_of(inputs, path)) for path in inputs.photos.paths]
    start = time.perf_counter()
    embeddings = [naive_extraction(encoder, *view, inputs.params.batch) for view in work]
    return Sample(time.perf_counter() - start, {"embeddings": torch.cat(embeddings)})


def bare_seconds(inputs: Inputs, device: torch.device) -> tuple[float, float]:
    """Return seconds of the encoder on ready inputs, and its cosine distance to float32."""
    encoder = load_clip(inputs.params.model, inputs.params.weights, device)
    precision, seconds = encoder.precision, 0.0
    with encoder_workers(device) as workers:
        batch = encoder_batch(inputs.params.batch, device)
        for path in inputs.photos.paths:
            boxes = boxes_of(inputs, path)
            # Ready inputs of a whole view would be most of the memory that is measured.
            ready = prepared(encoder, path, boxes[: IN_MEMORY * batch], batch)
            lengths = [len(part) for part in torch.split(boxes, batch)]
            parts = [ready[i % len(ready)][:length] for i, length in enumerate(lengths)]
            start = time.perf_counter()
            for vectors in in_order(
                lambda part: encoder.embed(part, precision), parts, workers, workers
            ):
                last = vectors
            last.cpu()  # what a GPU has queued is not done before
            seconds += time.perf_counter() - start
    few = torch.cat(ready)[:COMPARED]
    cosines = cosine_similarity(encoder.embed(few, precision), encoder.embed(few, torch.float32))
    return seconds, 1 - float(cosines.min())


def prepared(encoder: ClipEncoder, path: Path, boxes: Tensor, batch: int) -> list[Tensor]:
    """Return the windows of a photo as batches of the encoder's input."""
    photo = to_device(load_photo(path, 1), encoder.mean.device)
    return [encoder.prepare(photo, part) for part in torch.split(boxes, batch)]


def boxes_of(inputs: Inputs, path: Path) -> Tensor:
    """Return the windows of a photo in photo pixels."""
    downscale = inputs.params.downscale
    size = (inputs.photos.width // downscale, inputs.photos.height // downscale)
    boxes = scene_windows(size, inputs.params, SEED, digest(path))
    return torch.from_numpy(boxes).long() * downscale


BENCHMARKS = (
    Benchmark(
        name="clip_extraction",
        shapes="2 demo photos, 6588 windows of 64 x 64, the demo's CLIP, whole stage after loading",
        goal="stage at most 1.15 x bare encoder",
        setup=demo,
        naive=naive,
        ours=ours,
        repeats=3,
    ),
    Benchmark(
        name="clip_extraction_paper",
        shapes="2 photos of 4032 x 3024, scale s/5 without overlap, ViT-B/16 at 224",
        goal="stage at most 1.15 x bare encoder",
        setup=paper,
        naive=naive,
        ours=ours,
        repeats=1,
    ),
)
