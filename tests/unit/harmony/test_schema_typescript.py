"""The full mode before TypeScript's own parser and checker (npm's `typescript`, fetched for the test)."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ossia.harmony.messages import TextInput, ToolNamespace, ToolSpec
from ossia.harmony.schema import render_namespace

from .schema_cases import NASTY, parameters

pytestmark = pytest.mark.outside

_PARSE = """
const ts = require('typescript'), wrong = [];
JSON.parse(require('fs').readFileSync(0, 'utf8')).forEach((text, i) => {
  const file = ts.createSourceFile('x.ts', text, ts.ScriptTarget.Latest, true);
  const whole = file.statements.length === 1 && ts.isModuleDeclaration(file.statements[0]);
  if (file.parseDiagnostics.length || !whole) wrong.push([i, file.parseDiagnostics.map(d => d.messageText)]);
});
console.log(JSON.stringify(wrong));
"""
_CHECK = """
const ts = require('typescript'), source = require('fs').readFileSync(0, 'utf8');
const host = ts.createCompilerHost({}), given = host.getSourceFile;
const parsed = ts.createSourceFile('x.ts', source, 99, true);
host.getSourceFile = (name, level) => name === 'x.ts' ? parsed : given.call(host, name, level);
const program = ts.createProgram(['x.ts'], {noEmit: true, strict: true, target: 99}, host);
const file = program.getSourceFile('x.ts');
const at = d => file.getLineAndCharacterOfPosition(d.start).line;
console.log(JSON.stringify(program.getSemanticDiagnostics(file).map(at)));
"""
STRING, NUMBER = {"type": "string"}, {"type": "number"}
NODE = {
    "properties": {"v": NUMBER, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
    "required": ["v"],
}
L_ONLY = {"properties": {"l": NUMBER}, "required": ["l"]}
MEANINGS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    # a property's schema, values it admits, values it does not
    ({"enum": ["x", 1, None]}, ["x", 1, None], ["y", 2, True]),
    ({"const": 'q"\n\u2028\\'}, ['q"\n\u2028\\'], ["q"]),
    ({"type": ["string", "null"], "enum": ["x", None]}, ["x", None], ["y", 1]),
    ({"type": "array", "items": {"enum": ["x", "y"]}}, [[], ["x", "y", "x"]], ["x", ["z"]]),
    ({"type": "array", "items": {"oneOf": [STRING, NUMBER]}}, [[1, "x"]], [[True], "x"]),
    ({"type": "array", "items": {"type": "string", "nullable": True}}, [[None, "x"]], [None, [1]]),
    ({"prefixItems": [STRING, NUMBER]}, [["x", 1]], [["x"], [1, "x"], ["x", 1, 2]]),
    ({"prefixItems": [STRING], "items": NUMBER}, [["x"], ["x", 1, 2]], [[1], ["x", "y"]]),
    ({"prefixItems": [STRING, NUMBER], "minItems": 1}, [["x"], ["x", 1]], [[]]),
    ({"type": "object", "additionalProperties": NUMBER}, [{}, {"a-b": 1}], [{"k": "x"}, 1]),
    ({"properties": {"a-b": STRING}, "required": ["a-b"]}, [{"a-b": "x"}], [{}, {"a-b": 1}]),
    ({"anyOf": [STRING, {"type": "array", "items": STRING}]}, ["x", ["x"]], [1, [1]]),
    ({"oneOf": [STRING, NUMBER], "nullable": True}, ["x", 1, None], [True]),
    ({"$ref": "#/$defs/Node"}, [{"v": 1}, {"v": 1, "next": {"v": 2}}], [{}, {"v": 1, "next": 3}]),
    ({"allOf": [{"$ref": "#/$defs/Node"}, {"required": ["w"]}]}, [{"v": 1, "w": 2}], [{"v": 1}, {"w": 2}]),
    ({"properties": {"v": NUMBER}, "allOf": [{"required": ["v"]}]}, [{"v": 1}], [{}]),
    (
        {"properties": {"k": STRING}, "oneOf": [{"required": ["k"]}, L_ONLY]},
        [{"k": "x"}, {"l": 1}],
        [{}, {"l": "x"}],
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which node finds `typescript`."""
    folder = tmp_path_factory.mktemp("typescript")
    subprocess.run(["npm", "install", "--silent", "--prefix", str(folder), "typescript@5"], check=True)
    return folder


def run(script: str, text: str, folder: Path) -> Any:
    command = ["node", "-e", script]
    done = subprocess.run(command, input=text.encode(), cwd=folder, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_two_thousand_namespaces_are_typescript(node: Path) -> None:
    texts: list[str] = []
    for seed in range(2000):
        rng = random.Random(seed)
        tools = [
            ToolSpec(f"tool_{i}", rng.choice(NASTY), parameters(rng)) for i in range(rng.randrange(1, 4))
        ]
        tools += [ToolSpec("text", rng.choice(NASTY), text_input=TextInput(regex=rng.choice(NASTY)))]
        text = render_namespace(ToolNamespace("functions", rng.choice(NASTY), tuple(tools)), "full")
        texts.append(text.split("\n", 2)[2])
    assert run(_PARSE, json.dumps(texts), node) == []


def test_types_admit_what_the_schemas_admit(node: Path) -> None:
    lines, refused = ["declare const any: any;"], []
    for i, (prop, good, bad) in enumerate(MEANINGS):
        schema = {"type": "object", "properties": {"a": prop}, "required": ["a"], "$defs": {"Node": NODE}}
        text = render_namespace(ToolNamespace(f"n{i}", "", (ToolSpec("f", "", schema),)), "full")
        lines += text.replace("\ntype f", "\nexport type f").split("\n")[2:]
        lines.append(f"declare function f{i}(a: Parameters<n{i}.f>[0]['a']): void;")
        lines += [f"f{i}({json.dumps(value)});" for value in good]
        refused += range(len(lines), len(lines) + len(bad))
        lines += [f"f{i}({json.dumps(value)});" for value in bad]
    assert sorted(set(run(_CHECK, "\n".join(lines), node))) == refused
