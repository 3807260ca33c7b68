"""Training of the extractor: pictures → packs → batches of views → losses → weights."""
