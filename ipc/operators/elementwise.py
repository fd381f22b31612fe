"""Element-wise arithmetic and functions."""

from __future__ import annotations

from ipc.descriptors import ANY, COMMON, FLOATS, SIGNED_INTEGERS
from ipc.operators._families import binary, unary

add = binary("add", ANY, "a + b", required=COMMON)
sub = binary("sub", ANY, "a - b", required=COMMON)
mul = binary("mul", ANY, "a * b", required=COMMON)
div = binary("div", ANY, "a / b; integers truncate toward zero, and a division by zero gives 0", required=COMMON)
max = binary("max", ANY, "the greater of a and b", required=COMMON)
min = binary("min", ANY, "the lesser of a and b", required=COMMON)
pow = binary("pow", ANY, "a ** b", required=COMMON)

abs = unary("abs", FLOATS | SIGNED_INTEGERS, "|x|", required=COMMON)
ceil = unary("ceil", FLOATS, "the least integer >= x")
cos = unary("cos", FLOATS, "cos(x)")
erf = unary("erf", FLOATS, "the error function of x")
exp = unary("exp", FLOATS, "e ** x")
floor = unary("floor", FLOATS, "the greatest integer <= x")
identity = unary("identity", ANY, "x, as another operand", required=COMMON)
log = unary("log", FLOATS, "the natural logarithm of x")
neg = unary("neg", FLOATS | SIGNED_INTEGERS, "-x", required=COMMON)
reciprocal = unary("reciprocal", FLOATS, "1 / x")
round_even = unary("round_even", FLOATS, "the nearest integer, halves to the even one")
sign = unary("sign", FLOATS | SIGNED_INTEGERS, "1 where x > 0, -1 where x < 0, else 0, NaN included", required=COMMON)
sin = unary("sin", FLOATS, "sin(x)")
sqrt = unary("sqrt", FLOATS, "the square root of x")
tan = unary("tan", FLOATS, "tan(x)")
