"""Say what each role may do, as a table in Markdown: `terraform show -json | python infra/policies.py`.

It reads what was applied and not the configuration, so the table also shows what Terraform added or left out.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEADER = "| role | concern | actions | resources |\n|---|---|---|---|"
# In the order in which data flows. Any other role comes after these.
ROLES = ("ingest", "transform", "load", "compact", "state-machine", "run-schedule", "compact-schedule")

ACCOUNT = re.compile(r"\b[0-9]{12}\b")
REGION = re.compile(r"^arn:[^:]*:[^:]*:([a-z0-9-]+):")
# What Terraform and then Secrets Manager add to the name of a secret.
SUFFIX = re.compile(r"-[0-9a-f]{26}-[A-Za-z0-9]{6}$")


def policy_table(state: Mapping[str, Any]) -> str:
    """Make the table.

    Args:
        state: what `terraform show -json` prints of a state.

    Returns:
        A row for each statement, with placeholders for account, region and random suffixes.
    """
    policies = [each for each in _resources(state["values"]["root_module"]) if each["type"] == "aws_iam_role_policy"]
    rows = sorted(
        (row for policy in policies for row in _rows(policy)), key=lambda row: (_place(row[0]), row[0], row[1])
    )
    text = "\n".join([HEADER, *(f"| {' | '.join(row)} |" for row in rows)])
    return _with_placeholders(text, _regions(policies))


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _rows(policy: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    role, _, concern = policy["index"].partition("/")
    for statement in _statements(policy):
        actions = _code(_list(statement["Action"]))
        resources = _code(SUFFIX.sub("-<suffix>", each) for each in _list(statement["Resource"]))
        if statement["Effect"] == "Deny":
            actions = f"never {actions}"
        if "Condition" in statement:
            resources += f" where {_code([json.dumps(statement['Condition'])])}"
        yield role, concern, actions, resources


def _statements(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    statements: list[Mapping[str, Any]] = json.loads(policy["values"]["policy"])["Statement"]
    return statements


def _list(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _code(texts: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(f"`{each}`" for each in texts)


def _place(role: str) -> int:
    return ROLES.index(role) if role in ROLES else len(ROLES)


def _regions(policies: Sequence[Mapping[str, Any]]) -> set[str]:
    resources = (each for policy in policies for found in _statements(policy) for each in _list(found["Resource"]))
    return {match[1] for resource in resources if (match := REGION.match(resource))}


def _with_placeholders(text: str, regions: set[str]) -> str:
    for region in regions:
        text = text.replace(region, "<region>")
    return ACCOUNT.sub("<account>", text)


if __name__ == "__main__":
    sys.stdout.write(policy_table(json.load(sys.stdin)) + "\n")
