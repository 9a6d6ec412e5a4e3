"""Pure medicine: facts in, assessment out. No FHIR, no CDS Hooks, no clock, no input or output."""
