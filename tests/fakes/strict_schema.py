"""What the Responses API accepts as an answer schema in strict mode."""

from __future__ import annotations

from typing import Any

UNSUPPORTED = ("oneOf", "allOf", "not", "if", "patternProperties", "dependentRequired")


def strict_schema_fault(schema: Any, where: str = "schema") -> str | None:
    """Find what strict mode refuses: objects left open, properties not required."""
    if isinstance(schema, list):
        found = (strict_schema_fault(item, where) for item in schema)
        return next(filter(None, found), None)
    if not isinstance(schema, dict):
        return None
    if where == "schema" and schema.get("type") != "object":
        return "the root must be an object"
    for word in UNSUPPORTED:
        if word in schema:
            return f"{where}: '{word}' is not permitted"
    properties = schema.get("properties", {})
    if "properties" in schema or schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return f"{where}: 'additionalProperties' is required to be supplied and to be false"
        if set(schema.get("required", ())) != set(properties):
            return f"{where}: 'required' must name every key in properties"
    children = {**properties, **schema.get("$defs", {})}
    children |= {word: schema[word] for word in ("items", "anyOf") if word in schema}
    found = (strict_schema_fault(child, f"{where}.{name}") for name, child in children.items())
    return next(filter(None, found), None)
