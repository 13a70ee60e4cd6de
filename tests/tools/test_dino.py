import numpy as np
import torch

from tests.tools.pictures import APPLE, WALL, two_halves
from tools.models.dino_auc import cell_entities, enlarge, pair_cosines
from tools.models.dino_training import group_weights
from tools.models.dino_views import View, draw_views, look_up
from tools.models.runs import Draw


def test_cells_across_a_border_belong_to_nobody() -> None:
    entity_map = two_halves().entity_map.copy()
    entity_map[:, 80:84] = APPLE.index
    cells = cell_entities(entity_map)
    assert cells[:, :10].tolist() == [[APPLE.index] * 10] * 15
    assert (cells[:, 10] == 0).all()
    assert (cells[:, 11:] == WALL.index).all()


def test_enlarging_keeps_the_entities_in_their_halves() -> None:
    photo, entity_map = enlarge(two_halves(), 320)
    assert photo.shape == (3, 240, 320)
    assert (entity_map[:, :160] == APPLE.index).all()
    assert (entity_map[:, 160:] == WALL.index).all()


def test_pairs_of_perfect_tokens_have_cosine_one_exactly_where_the_entity_is_the_same() -> None:
    cells = cell_entities(two_halves().entity_map)
    tokens = torch.eye(3)[torch.from_numpy(cells).long()]
    cosines, same = pair_cosines(tokens, cells, 500, np.random.default_rng(0))
    assert 0 < same.sum() < 500
    np.testing.assert_array_equal(cosines == 1, same)


def test_views_of_a_step_depend_on_seed_and_step_alone() -> None:
    pictures = [two_halves(480, 360)]
    first, again = (draw_views(pictures, 2, Draw.of(3, 7)) for _ in range(2))
    other = draw_views(pictures, 2, Draw.of(3, 8))
    assert torch.equal(first[0][0].images, again[0][0].images)
    assert not torch.equal(first[0][0].boxes, other[0][0].boxes)


def test_looking_up_places_in_a_mirrored_view_finds_the_same_places() -> None:
    # The map holds the x of each place, so that what is read must equal where it was read.
    mirrored = View(torch.zeros(1, 3, 32, 32), torch.tensor([[40.0, 0.0, 8.0, 32.0]]))
    upright = View(torch.zeros(1, 3, 32, 32), torch.tensor([[12.0, 4.0, 36.0, 28.0]]))
    places = upright.token_places()
    values, inside = look_up(mirrored.token_places(), mirrored, places)
    assert inside.all()
    torch.testing.assert_close(values, places)


def test_tokens_listen_to_like_and_near_ones() -> None:
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])[None]
    weights = group_weights(features, 2, 0.1)[0]
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert weights[0, 1] > 0.4 > weights[0, 2]
