"""Object stores: S3, Swift, a folder, and the way to each."""
