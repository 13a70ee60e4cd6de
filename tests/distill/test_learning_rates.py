"""Learning rates of the two phases (Sec. A.3)."""

from benchmarks.synthetic import Sizes, make_distiller, make_scene
from ovs3d.distill.train import Distiller
from tests.distill.params import distill_params


def rates(distiller: Distiller) -> dict[str, float]:
    """Return module -> its learning rate."""
    names = {id(parameter): name for name, parameter in distiller.model.named_parameters()}
    return {
        ".".join(names[id(parameter)].split(".")[:2]): group["lr"]
        for group in distiller.optimizer.param_groups
        for parameter in group["params"]
    }


def test_joint_phase_fine_tunes_slower_only_what_was_reconstructed() -> None:
    sizes = Sizes(photo=(96, 72), views=2, grid=16, shading="ray", labels=4, dim=16, token_dim=8)
    params = distill_params(batch=64).model_copy(
        update={
            "lr_volumes": 0.4,
            "lr_heads": 0.3,
            "lr_volumes_joint": 0.2,
            "lr_heads_joint": 0.1,
        }
    )
    distiller = make_distiller(make_scene(sizes, params), params)
    distilled = {"selection.volume": 0.4, "selection.basis": 0.3}
    first = rates(distiller)
    assert {name: lr for name, lr in first.items() if "head" not in name} == distilled
    assert set(first.values()) == {0.4, 0.3}
    distiller.start_joint_phase()
    reconstructed = {"field.appearance": 0.2, "field.basis": 0.1, "field.rgb": 0.1}
    assert rates(distiller) == {**first, **reconstructed}
