"""What schemathesis may not hold against an answer: refusals of values that no JSON Schema can tell from good ones."""

import re

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

# The code and the detail of the refusal, and why openapi.yaml cannot say it.
REFUSALS = [
    ("invalid_jid", r".", "stringprep (RFC 3454) is tables of characters, and rules on their order"),
    ("invalid_field", r"^(The|Nothing is left of the) (domain|resource) ", "a domain alone and a resource are prepared by stringprep too"),
    ("invalid_field", r"^Must be a range of addresses", "which texts with colons are addresses of IPv6"),
    ("invalid_field", r"^This (must be a URL such as|must begin with https|must not hold a user name|has a port|has a colon)", "what is a URL, and whether http is allowed"),
    ("invalid_field", r"^The address is not a public one", "which addresses are public"),
    ("invalid_field", r"^This is not a cursor of this list\.", "cursors are sealed, so that they cannot be made up"),
    ("invalid_field", r"^Line \d+, column \d+: ", "a condition is a program in CEL"),
    ("invalid_field", r"^(Unknown language tag |This must be a BCP 47 tag )", "whether a language's subtags are registered"),
    ("invalid_field", r"^The language of .* is given twice", "en-US and en-us are two keys and one language"),
    ("invalid_field", r"^This is not the id of a (session|device) of this account\.", "whose id it is"),
    ("invalid_field", r"^This account has no such device\.", "whose id it is"),
    ("invalid_field", r"^This must be the id that the client sends, .* 128 bytes at most", "JSON Schema counts characters"),
    ("invalid_field", r"^(This is no token of this account|This token has expired)\.", "tokens of grants are sealed, too"),
    ("invalid_field", r"^This must be in the future\.", "what time it is"),
    ("invalid_field", r"^(This must be later than since|This must be in the past, or|These are more than .* steps|This is more than .* days before)", "how far two parameters are apart"),
    ("invalid_field", r"^This account is given already", "an account in both lists, or written in two ways"),
    ("invalid_field", r" is a group; a group has platforms only\.", "a name in one place that is a key in another"),
]

# What is there after its DELETE, and why.
STAYS = {
    "/v1/sessions/{id}": "it is kicked, and shown as ended from then on",
    "/v1/kicks/{id}": "it is cancelled, and shows how far it came",
    "/v1/rules/default": "every field of it is unset",
    "/v1/accounts/{jid}": "the account's clients log in again, and so it is on record again",
    "/v1/accounts/{jid}/devices/{id}": "the device logs in again, and has the same id",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if isinstance(failure, RejectedPositiveData):
        if "application/problem+json" not in response.headers.get("content-type", []):
            return True
        problem = response.json()
        return not any(problem.get("code") == code and re.search(detail, problem.get("detail", "")) for code, detail, _ in REFUSALS)
    if isinstance(failure, UseAfterFree):
        return case.operation.path not in STAYS
    return True
