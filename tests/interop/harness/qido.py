"""What the tests of searches share."""

from pydicom.dataset import Dataset


def item(**attributes):
    """An item of a sequence."""
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds
