"""The pocket model against transformers over a page of plain English: top-1 agreement and logits.

Needs the pocket model on this computer (`make setup` fetches it); a real model, so what the tiny random
ones cannot show: with decided distributions, how often does rounding change the likeliest token?
"""

import numpy as np
import pytest
import torch
from transformers import GptOssForCausalLM

from ossia.errors import ModelNotFoundError
from ossia.hub.sources import locate
from ossia.model.batch import single_sequence
from ossia.model.checkpoint import open_checkpoint
from ossia.model.kv_cache import BLOCK, KVCache, kv_kind
from ossia.model.transformer import Transformer
from ossia.model.weights import load_weights
from ossia.settings import load_settings
from ossia.tokenizer import load_checkpoint_tokenizer

PAGE = """\
Bread is older than writing. Long before anyone kept accounts of grain, people ground wild barley between
stones, mixed the flour with water, and baked the paste on hot rocks beside the fire. The first loaves
were flat and hard, and they kept well on a journey. Nobody knows who first left the dough standing
overnight, but the discovery must have been made many times: in warm weather, flour and water begin to
bubble on their own, because wild yeasts live on the husks of the grain. The dough rises, the crumb
becomes light, and the bread tastes faintly sour.

For thousands of years bakers kept a piece of each day's dough to start the next. They did not know that
it was alive. When microscopes were good enough to show the small round cells in brewer's foam, most
scientists took them for crystals. It was only in the nineteenth century that careful experiments showed
that sugar turns into alcohol and gas when yeast grows, and that it stops when the yeast is killed by
boiling.

The gas is what lifts the loaf. Wheat flour holds it better than any other, since two of its proteins
join when they are wetted and kneaded, and form long elastic sheets. A baker who stretches a piece of
dough thin enough to see light through it is testing how well those sheets have formed. Too little
kneading and the bubbles break; too much, in a machine, and the sheets tear.

Salt slows the yeast and tightens the dough. Heat does the rest. In the first minutes in the oven the
loaf swells quickly, as the gas expands and the water near the surface turns to steam. Then the starch
sets, the yeast dies, and the crust dries and browns. If the oven is filled with steam at the beginning,
the skin stays soft for longer, the loaf opens further, and the crust becomes thin and crisp. That is why
bakers throw water on the floor of the oven, and why a loaf baked in a closed iron pot at home comes so
close to theirs.

A fresh loaf should be left alone for an hour. The crumb is still setting, and a knife would press it
into paste. By the next morning the crust has softened, because water has moved outwards from the middle,
and by the third day the starch has begun to harden again. Warming a slice undoes this for a little
while, which is the whole secret of toast.
"""

LEAST_AGREEMENT = {"f32": 0.995, "bf16": 0.95, "q8": 0.90}


@pytest.fixture(scope="module")
def folder():
    try:
        return locate("pocket", load_settings()).path
    except ModelNotFoundError:
        pytest.skip("the pocket model is not on this computer (ossia pull pocket)")


@pytest.fixture(scope="module")
def ids(folder):
    return load_checkpoint_tokenizer(folder).encode(PAGE)


@pytest.fixture(scope="module")
def theirs(folder, ids):
    model = GptOssForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    )
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


@pytest.mark.parametrize("numerics", ["f32", "bf16", "q8"])
def test_top_1_agreement_over_a_page(folder, ids, theirs, numerics, capsys):
    checkpoint = open_checkpoint(folder)
    c, blocks = checkpoint.config, -(-len(ids) // BLOCK)
    kv = KVCache(c, kv_kind(numerics), blocks, blocks)
    model = Transformer(c, load_weights(checkpoint, c, numerics), kv, numerics, len(ids), 1, blocks)
    ours = model.forward(single_sequence(ids, all_logits=True))
    agreement = float(np.mean(ours.argmax(1) == theirs.argmax(1)))
    error = np.abs(ours - theirs)
    with capsys.disabled():
        print(
            f"\n  pocket, {numerics}: top-1 equal {agreement:.2%} of {len(ids)} positions, max logit error "
            f"{error.max():.2e}, rms {np.sqrt((error**2).mean()):.2e} (logits' rms {theirs.std():.2f})"
        )
    assert agreement >= LEAST_AGREEMENT[numerics]
