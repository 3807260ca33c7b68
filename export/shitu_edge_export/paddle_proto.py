"""Paddle's `ProgramDesc`, the content of a `.pdmodel`, without Paddle.

Only the fields that are read or changed here are declared (numbers from Paddle's `framework.proto`); protobuf carries
all others along.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ProgramDesc": {"blocks": (1, "BlockDesc*")},
    "BlockDesc": {
        "idx": (1, "int32!"),
        "parent_idx": (2, "int32!"),
        "vars": (3, "VarDesc*"),
        "ops": (4, "OpDesc*"),
    },
    "OpDesc": {"inputs": (1, "Slot*"), "outputs": (2, "Slot*"), "type": (3, "string!"), "attrs": (4, "Attr*")},
    "Slot": {"parameter": (1, "string!"), "arguments": (2, "string*")},
    "Attr": {
        "name": (1, "string!"),
        "type": (2, "int32!"),
        "i": (3, "int32"),
        "f": (4, "float"),
        "s": (5, "string"),
        "ints": (6, "int32*"),
        "floats": (7, "float*"),
        "strings": (8, "string*"),
        "b": (10, "bool"),
        "bools": (11, "bool*"),
        "block_idx": (12, "int32"),
        "l": (13, "int64"),
        "blocks_idx": (14, "int32*"),
        "longs": (15, "int64*"),
        "float64s": (16, "double*"),
        "var_name": (17, "string"),
        "vars_name": (18, "string*"),
        "float64": (19, "double"),
    },
    "VarDesc": {"name": (1, "string!"), "type": (2, "VarType!"), "persistable": (3, "bool")},
    "VarType": {"type": (1, "int32!"), "dense_tensor": (3, "DenseTensorDesc")},
    "DenseTensorDesc": {"tensor": (1, "TensorDesc!")},
    "TensorDesc": {"data_type": (1, "int32!"), "dims": (2, "int64*")},
}
ATTRIBUTE_FIELDS = (
    *("i", "f", "s", "ints", "floats", "strings", "b", "bools", "block_idx", "l", "blocks_idx", "longs"),
    *("float64s", "var_name", "vars_name", "float64"),
)
"""By the number of `AttrType`."""
DTYPES = {
    0: "bool",
    1: "int16",
    2: "int32",
    3: "int64",
    4: "float16",
    5: "float32",
    6: "float64",
    20: "uint8",
    21: "int8",
    22: "bfloat16",
}  # `VarType.Type` of what a tensor holds
DENSE_TENSOR = 7
"""`VarType.Type` of a tensor; feeds, fetches, arrays and scopes have others."""


def _compile() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="shitu_edge_export/paddle.proto", package="shitu_edge_export")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            plain = kind.rstrip("*!")
            label = {"*": _FIELD.LABEL_REPEATED, "!": _FIELD.LABEL_REQUIRED}.get(kind[-1], _FIELD.LABEL_OPTIONAL)
            field = message.field.add(name=field_name, number=number, label=label)
            if plain in _MESSAGES:
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{file.package}.{plain}"
            else:
                field.type = _FIELD.Type.Value(f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()  # a pool of its own: Paddle may declare its own beside it
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _compile()
ProgramDesc = _CLASSES["ProgramDesc"]
TensorDesc = _CLASSES["TensorDesc"]
