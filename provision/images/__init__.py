"""What images are made from: recipes, and the artifacts under the lock."""
