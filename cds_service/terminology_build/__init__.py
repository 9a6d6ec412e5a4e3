"""Renews the drug table and the drug value sets of the knowledge base from code lists and RxNorm releases."""
