"""Bytes under their own hash, on local disk or in any object store."""

from libs.blobs.store import BlobInfo, BlobStore

__all__ = ["BlobInfo", "BlobStore"]
