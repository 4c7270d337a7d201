"""A shard is one part of several."""

import pytest

from voxlate.errors import UsageError
from voxlate.jobs.shards import parse_shard, shard_of


def test_a_shard_is_written_as_part_of_how_many():
    assert parse_shard("3/16") == (3, 16)
    for text in ("0/4", "5/4", "1", "a/b", "1/0", "-1/3"):
        with pytest.raises(UsageError, match="SHARD"):
            parse_shard(text)
    assert {shard_of(f"case{n}", 4) for n in range(100)} == {1, 2, 3, 4}
