"""The settings of every session with PostgreSQL: plain values, which a function without a driver reads as well."""

# The encoding in which all text travels; the server converts from and to the encoding of its database.
ENCODING = "utf8"
# Timeouts come first, so that nothing else runs under somebody else's. The values are PostgreSQL's own defaults, but
# for UTC, the locale C, and row_security: a policy that hides rows is an error.
SETTINGS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    # How values are written.
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "xmlbinary": "base64",
    "quote_all_identifiers": "off",
    # How text is read.
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "array_nulls": "on",
    "xmloption": "content",
    # What a statement means.
    "row_security": "off",
    "transform_null_equals": "off",
}
# Older servers do not know these settings.
SINCE = {"transaction_timeout": 17}
