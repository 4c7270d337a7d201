import pytest

from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import AdversarialSettings, Stage, TrainingSettings
from voxlate.training.schedule import learning_rate, share_of_peak, stage_position


def staged(recipe: Recipe, *stages: Stage, **settings) -> Recipe:
    training = recipe.training.model_copy(update={"steps": None, "warmup": 0, **settings})
    return recipe.model_copy(
        update={"stages": stages, "training": training, "adversarial": AdversarialSettings(weight=1.0)}
    )


def test_the_cosine_warms_up_and_falls_to_a_hundredth():
    settings = TrainingSettings(warmup=10)
    shares = [share_of_peak(settings, "cosine", done, 100) for done in (0, 9, 10, 55, 100)]
    assert shares == pytest.approx([0.1, 1.0, 1.0, 0.505, 0.01])


def test_the_tail_of_pix2pix_stays_for_half_and_falls_to_zero():
    settings = TrainingSettings(warmup=0)
    shares = [share_of_peak(settings, "linear_tail", done, 200) for done in (0, 100, 150, 199, 200)]
    assert shares == pytest.approx([1, 1, 0.5, 0.01, 0])


def test_a_constant_rate_stays_after_its_warm_up():
    settings = TrainingSettings(warmup=4)
    assert [share_of_peak(settings, "constant", done, 9) for done in (0, 3, 8)] == [0.25, 1, 1]


def test_each_step_belongs_to_one_stage_and_stages_have_rates_of_their_own(recipe):
    first, second = Stage(steps=3, schedule="constant"), Stage(steps=2, trains="both", learning_rate=0.5)
    plan = staged(recipe, first, second, learning_rate=2.0)
    positions = [stage_position(plan, done) for done in range(plan.steps)]
    assert [(each.index, each.done) for each in positions] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert [each.is_first for each in positions] == [True, False, False, True, False]
    assert [each.is_last for each in positions] == [False, False, True, False, True]
    assert [learning_rate(plan, done) for done in range(4)] == [2.0, 2.0, 2.0, 0.5]
    assert learning_rate(plan, 4) < 0.5
    with pytest.raises(IndexError):
        stage_position(plan, 5)


def test_a_recipe_without_stages_is_one_that_trains_all_there_is(recipe):
    assert [(stage.steps, stage.trains) for stage in recipe.plan] == [(12, "generator")]
    with_discriminator = recipe.model_copy(update={"adversarial": AdversarialSettings()})
    assert with_discriminator.plan[0].trains == "both"
