"""What the owners of the code systems want to be said wherever their codes stand (see NOTICE)."""

from collections.abc import Mapping

from cds_service.knowledge.terminology import ATC, ICD_10_CM, LOINC, RXNORM, SNOMED_CT

NOTICES: Mapping[str, str] = {
    LOINC: (
        "This material contains content from LOINC (http://loinc.org). LOINC is copyright Regenstrief "
        "Institute, Inc. and the LOINC Committee and is available at no cost under the license at "
        "http://loinc.org/license. LOINC is a registered US trademark of Regenstrief Institute, Inc."
    ),
    SNOMED_CT: "SNOMED CT is copyright SNOMED International; its use needs an affiliate licence.",
    ICD_10_CM: "ICD-10-CM: US National Center for Health Statistics; release of April 1, 2026.",
    RXNORM: (
        "This product uses publicly available data courtesy of the U.S. National Library of Medicine (NLM), "
        "National Institutes of Health, Department of Health and Human Services; NLM is not responsible for "
        "the product and does not endorse or recommend this or any other product."
    ),
    ATC: "ATC codes: WHO Collaborating Centre for Drug Statistics Methodology; codes only, without names.",
}
