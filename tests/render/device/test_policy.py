"""Which mode a model is to have: by what is needed, and by what happened before."""

from darkroom.render.device.mode import BLOCK, IN_FILE, MODEL, ON_DEVICE, RESIDENT, Budget, Footprint
from darkroom.render.device.policy import Need, RanOut, choose, covers, first_mode

GB = 10**9
CARD = Budget("cuda", free=24 * GB, total=24 * GB, host_free=64 * GB)
RAN_OUT = RanOut("resident: CUDA out of memory", highest=MODEL)


def need(computing: int, offload: str = "auto", *, merges: bool = False) -> Need:
    """Of 8 GB of weights, and so many GB for its largest picture."""
    footprint = Footprint(8 * GB, GB, GB, vae=GB, rewriting=GB, computing=computing * GB, coding=GB, touched=8 * GB)
    return Need({None: footprint}, None, offload, merges)


def test_without_a_past_it_is_the_first_that_fits() -> None:
    assert choose(need(2), CARD, None).mode == RESIDENT
    assert choose(need(15), CARD, None).mode == BLOCK


def test_where_memory_ran_out_it_is_one_step_down_or_what_is_wished_for_below() -> None:
    assert choose(need(2), CARD, RAN_OUT).reason == (
        "model: after memory ran out (resident: CUDA out of memory); estimate 10.0 GB, 24.0 GB of 24.0 GB free"
    )
    modes = {offload: first_mode(offload, RAN_OUT) for offload in ("auto", "none", "model", "block")}
    assert modes == {"auto": MODEL, "none": MODEL, "model": MODEL, "block": BLOCK}
    assert [first_mode(offload, None) for offload in ("auto", "none", "block")] == [RESIDENT, RESIDENT, BLOCK]


def test_a_copy_of_weights_is_the_first_to_go_where_memory_ran_out() -> None:
    with_copy = choose(need(2, merges=True), CARD, None)
    assert (with_copy.mode, with_copy.copy) == (RESIDENT, ON_DEVICE)
    without = choose(need(2, merges=True), CARD, RanOut.of(with_copy, "resident: no more"))
    assert (without.mode, without.copy) == (RESIDENT, IN_FILE)
    assert RanOut.of(without, "resident: no more").highest == MODEL


def test_a_plan_covers_what_is_merged_if_it_was_made_for_that() -> None:
    plain, merged = (choose(need(2, merges=merges), CARD, None) for merges in (False, True))
    assert not covers(plain, need(2, merges=True))
    assert covers(merged, need(2, merges=True))
    assert covers(merged, need(2))


def test_a_plan_covers_smaller_pictures_under_the_same_wish() -> None:
    plan = choose(need(4), CARD, None)
    assert covers(plan, need(4))
    assert covers(plan, need(2))
    assert not covers(plan, need(5))
    assert not covers(plan, need(4, offload="none"))
