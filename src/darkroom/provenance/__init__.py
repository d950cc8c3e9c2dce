"""Who says that a picture was generated: a signed claim in it, as Content Credentials (C2PA)."""
