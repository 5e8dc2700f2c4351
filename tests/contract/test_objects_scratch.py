"""What S3 alone does: files of any size, and folders that are removed as a whole."""

import os
from pathlib import Path

from tests.support.s3 import S3
from tidemark.objects.s3 import S3Objects

# More than boto3 puts at once.
LONG_BYTES = 9_000_000


def test_a_file_is_put_in_parts_and_goes_with_its_folder(s3: S3, tmp_path: Path) -> None:
    bucket, file = s3.create_bucket(), tmp_path / "file"
    objects = S3Objects(bucket, "lake")
    file.write_bytes(os.urandom(LONG_BYTES))
    objects.put_new("scratches/1", b"")

    objects.upload("scratch/1/file", file)

    assert objects.get("scratch/1/file") == file.read_bytes()
    assert any("uploadId=" in each for each in s3.requests())
    assert objects.remove_folder("scratch/1") == 1
    assert [each.key for each in objects.list()] == ["scratches/1"]
