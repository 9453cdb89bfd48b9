"""The list of models."""

import httpx2
from asking import asking
from puppet import NAME, final


def test_models_are_listed_and_found_by_their_names():
    with asking(final("Yes.")) as asker:
        listed = httpx2.get(f"{asker.url}/v1/models").json()
        found = httpx2.get(f"{asker.url}/v1/models/{NAME}").json()
        quoted = httpx2.get(f"{asker.url}/v1/models/{NAME.replace('/', '%2F')}").json()
        missing = httpx2.get(f"{asker.url}/v1/models/no/such/model")
    assert listed["object"] == "list"
    assert listed["data"] == [found]
    assert found == quoted
    assert found["id"] == NAME
    assert found["object"] == "model"
    assert found["owned_by"] == "openai"
    assert isinstance(found["created"], int)
    assert found["context_length"] == 131_072
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "model_not_found"
