"""The one model of a server that has no other: asked for by any of its names."""

import pytest
from puppet import NAME, Puppet, model_of

from ossia.errors import ModelNotFoundError
from ossia.server.models.fixed import FixedModel


@pytest.mark.parametrize("name", [None, "", NAME, "gpt-oss:20b", "gpt-oss-20b"])
def test_any_of_its_names_means_it(name: str | None) -> None:
    assert FixedModel(model_of(Puppet(str))).resolve(name) == NAME


def test_another_model_is_refused_with_the_one_there_is() -> None:
    with pytest.raises(ModelNotFoundError) as refusal:
        FixedModel(model_of(Puppet(str))).resolve("gpt-oss:120b")
    assert refusal.value.limit == [NAME]
