"""Training of the extractor: images → packs → batches of views → losses → weights."""
