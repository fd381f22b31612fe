"""What the GPU process says to a message: accepted, refused with an `Error` reply, or a bad message.

A bad message is one that a correct renderer could never send. It ends the session; the reason and the path of the
offending field are logged, counted and told to the host.
"""

from __future__ import annotations

import enum


class BadMessageReason(enum.StrEnum):
    """Why a message is bad, one reason per check. The names cross the wire and stay stable."""

    # Form: found while decoding
    MALFORMED = "malformed"  # not a message of that type
    UNKNOWN_FIELD = "unknown_field"
    NOT_CANONICAL = "not_canonical"  # a singular field twice, a padded number, an explicit default
    MISSING_FIELD = "missing_field"
    UNKNOWN_ENUM_VALUE = "unknown_enum_value"
    INVALID_TOKEN = "invalid_token"  # not 16 bytes
    INVALID_DESCRIPTOR = "invalid_descriptor"
    UNKNOWN_OPERATOR = "unknown_operator"
    UNKNOWN_SLOT = "unknown_slot"
    DUPLICATE_SLOT = "duplicate_slot"
    MISSING_SLOT = "missing_slot"
    SLOT_FORM = "slot_form"  # a list where one operand belongs, or the other way round
    UNKNOWN_ATTRIBUTE = "unknown_attribute"
    DUPLICATE_ATTRIBUTE = "duplicate_attribute"
    MISSING_ATTRIBUTE = "missing_attribute"
    ATTRIBUTE_FORM = "attribute_form"
    ATTRIBUTE_VALUE = "attribute_value"  # of the right form, but no value that a conversion can return
    OPERATION_PARTS = "operation_parts"  # more slots and attributes than any operator has
    OPERAND_OUT_OF_RANGE = "operand_out_of_range"
    OPERAND_KIND = "operand_kind"

    # Graphs
    NO_OPERANDS = "no_operands"
    NO_OPERATIONS = "no_operations"
    NO_OUTPUTS = "no_outputs"
    EMPTY_NAME = "empty_name"
    DUPLICATE_NAME = "duplicate_name"
    DUPLICATE_OPERAND = "duplicate_operand"  # an operand that is an input, or a constant, twice
    UNSUPPORTED_INPUT = "unsupported_input"
    UNSUPPORTED_CONSTANT = "unsupported_constant"
    UNSUPPORTED_OUTPUT = "unsupported_output"
    OPERAND_NOT_YET_PRODUCED = "operand_not_yet_produced"
    OPERAND_PRODUCED_TWICE = "operand_produced_twice"
    OUTPUT_IS_NOT_PRODUCED = "output_is_not_produced"
    UNUSED_INPUT = "unused_input"
    UNUSED_CONSTANT = "unused_constant"
    ATTRIBUTE_NOT_CAST = "attribute_not_cast"
    OPERATOR_RULE = "operator_rule"  # the field names the rule
    OUTPUT_COUNT = "output_count"
    OUTPUT_DESCRIPTOR = "output_descriptor"  # differs from what the operator infers
    GRAPH_SIZE = "graph_size"  # pieces that do not add up to the declared total

    # Constants and regions
    UNKNOWN_REGION = "unknown_region"
    DUPLICATE_REGION = "duplicate_region"
    REGION_KIND = "region_kind"  # not a memfd
    REGION_SEALS = "region_seals"
    REGION_SIZE = "region_size"
    REGION_SPARSE = "region_sparse"  # holes, which reading would fill at our expense
    REGION_BOUNDS = "region_bounds"
    REGION_FLOOD = "region_flood"
    CONSTANT_DESCRIPTOR = "constant_descriptor"  # differs from its constant tensor's
    UNALIGNED_CONSTANT = "unaligned_constant"

    # Objects
    UNKNOWN_CONTEXT = "unknown_context"
    UNKNOWN_TENSOR = "unknown_tensor"
    UNKNOWN_GRAPH = "unknown_graph"
    UNKNOWN_BINDING = "unknown_binding"
    DUPLICATE_TIMELINE = "duplicate_timeline"
    NOT_A_CONSTANT_TENSOR = "not_a_constant_tensor"

    # Commands
    SEQUENCE = "sequence"  # numbers that do not grow by one
    BATCH_SIZE = "batch_size"
    RING_CURSOR = "ring_cursor"  # more commands published than a ring holds, or less than before
    RING_COMMAND = "ring_command"  # of no known kind, or with something where nothing belongs
    WRONG_CARRIER = "wrong_carrier"  # a call that only contexts of another carrier take
    SLOT_NUMBER = "slot_number"  # of a slot that the tensor doesn't have
    BINDING_ID = "binding_id"
    CONSTANT_TENSOR = "constant_tensor"  # written, read, bound
    NOT_READABLE = "not_readable"
    NOT_WRITABLE = "not_writable"
    WRITE_LENGTH = "write_length"
    WRITE_FORM = "write_form"  # bytes where the carrier shares memory, or none where it does not
    DUPLICATE_TENSOR = "duplicate_tensor"
    BINDING_NAMES = "binding_names"
    BINDING_DESCRIPTOR = "binding_descriptor"

    # The session's socket
    PROTOCOL_VERSION = "protocol_version"
    UNEXPECTED_MESSAGE = "unexpected_message"


class BadMessage(Exception):  # noqa: N818 - a verdict
    """A message that a correct peer could never send.

    Attributes:
        reason: the broken check.
        field: path of the offending field: `operations[3].slots[0]`.
    """

    def __init__(self, reason: BadMessageReason, field: str) -> None:
        super().__init__(f"{reason.value}: {field}")
        self.reason = reason
        self.field = field
