"""Random templates for template_oracle.py: expressions over a few variables, and statements around them."""
import random

from template_cases import CONTEXT

LITERALS = ["0", "1", "-3", "7", "2.5", "-0.5", "1e3", "true", "false", "none", "'abc'", "'A b,c'", "''", "'%s'", "'é😀'", "[]",
            "[1, 2, 3]", "['x', 'Y']", "(1, 'a')", "{'a': 1, 'b': [2]}", "{}"]
NAMES = [name for name in CONTEXT] + ["missing", "loop", "v0", "v1", "v2", "ns"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "and", "or"]
ATTRIBUTES = ["a", "name", "k", "items()", "keys()", "values()", "upper()", "lower()", "title()", "strip()", "split()", "split(',')",
              "get('a')", "get('q', 5)", "count('a')", "index(1)", "replace('a', 'bb')", "startswith('a')", "find('b')", "0", "copy()",
              "append(1)", "pop()", "splitlines()", "isdigit()", "join(['a', 'b'])", "format(1, a=2)", "isupper()", "rsplit('b', 1)", "l", "tags"]
FILTERS = ["abs", "upper", "lower", "title", "capitalize", "trim", "length", "first", "last", "list", "string", "int", "float", "round",
           "round(1)", "sum", "sort", "sort(reverse=true)", "unique|list", "reverse|list", "join(',')", "min", "max", "default('d')", "d(1, true)",
           "tojson", "tojson(indent=1)", "replace('a', 'x')", "dictsort", "items|list",
           "map('string')|list", "map('upper')|join", "select|list", "select('string')|list", "reject('number')|list", "map(attribute='name')|list",
           "selectattr('name')|list", "map(attribute='age', default=0)|list", "indent(2)",
           "format(1)", "count", "map('length')|list"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "odd", "even",
         "divisibleby 2", "true", "false", "lower", "upper", "in [1, 'a', none]", "eq 1", "gt 1", "callable", "sameas none"]
SUBSCRIPTS = ["0", "1", "-1", "'a'", "'name'", ":2", "1:", "::-1", "-2:", "::2", "none", "1.0", "true", "5"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, choices):
        return self.random.choice(choices)

    def typed(self, kind, depth):
        """An expression that is likely of one type, so that much of what is generated runs."""
        if depth <= 0:
            return self.pick({"number": ["n", "neg", "f", "1", "2.5", "xs[0]", "true"], "text": ["s", "name", "uni", "'a,b'", "words[1]", "html", "lines"],
                              "list": ["xs", "words", "[1, 'a']", "d.values()|list", "users", "floats"]}[kind])
        inner = lambda other=kind: self.typed(other, depth - 1)  # noqa: E731
        if kind == "number":
            return self.pick([f"({inner()} {self.pick(['+', '-', '*', '/', '//', '%'])} {inner()})", f"{inner('list')}|length", f"{inner('text')}|length",
                              f"({inner()} {self.pick(['<', '==', '>='])} {inner()})", f"{inner()}|{self.pick(['abs', 'round', 'round(1)', 'int', 'float'])}",
                              f"({inner('text')}).{self.pick(['find', 'count', 'rfind'])}({inner('text')})", f"({inner()} if {inner()} else {inner()})"])
        if kind == "text":
            return self.pick([f"({inner()} + {inner()})", f"({inner()} ~ {inner('number')})", f"({inner()} ~ {inner('list')})", f"({inner()})[{self.pick(SUBSCRIPTS[5:10])}]",
                              f"({inner()}).{self.pick(['upper()', 'title()', 'strip()', 'capitalize()', 'lower()'])}",
                              f"({inner()}).replace({inner()}, {inner()})", f"{inner('list')}|join({inner()})", f"{inner('list')}|tojson", f"{inner()}|tojson(ensure_ascii=true)",
                              f"'%s|%r|%5s' % ({inner()}, {inner('list')}, {inner('number')})", f"'{{}}-{{!r:>9}}'.format({inner('number')}, {inner()})", f"'%7.2f' % {inner('number')}",
                              f"{inner()}|{self.pick(['upper', 'title', 'trim', 'indent', 'capitalize', 'lower', 'length|string'])}"])
        return self.pick([f"[{inner('number')}, {inner('text')}]", f"({inner()} + {inner()})", f"({inner('text')}).split({inner('text')})", f"({inner('text')}).splitlines()",
                          f"{inner()}|{self.pick(['list', 'reverse|list', 'first|list', 'unique|list'])}",
                          f"{inner()}|map('{self.pick(['string', 'upper', 'length', 'default'])}')|list", f"{inner()}|select('{self.pick(['string', 'number', 'defined'])}')|list",
                          f"({inner()})[{self.pick(SUBSCRIPTS[5:10])}]", f"{inner()}|map('string')|sort", f"({inner('text')}).rsplit({inner('text')})"])

    def expression(self, depth):
        if self.random.random() < 0.6:
            return self.typed(self.pick(["number", "text", "list"]), depth)
        kind = self.random.random()
        if depth <= 0 or kind < 0.12:
            return self.pick(LITERALS) if self.random.random() < 0.35 else self.pick(NAMES)
        inner = lambda: self.expression(depth - 1)  # noqa: E731
        if kind < 0.34:
            operator = self.pick(BINARY)
            right = inner()
            if operator in ("**", "*"):  # keeps numbers and texts small
                right = self.pick(["0", "1", "2", "3", "-1", "0.5"])
            return f"({inner()} {operator} {right})"
        if kind < 0.50:
            return f"{inner()}|{self.pick(FILTERS)}"
        if kind < 0.62:
            return f"{self.name_or_group(inner())}.{self.pick(ATTRIBUTES)}"
        if kind < 0.70:
            return f"{self.name_or_group(self.pick(NAMES))}[{self.pick(SUBSCRIPTS)}]"
        if kind < 0.78:
            return f"({inner()} is {self.pick(['', 'not '])}{self.pick(TESTS)})"
        if kind < 0.84:
            return f"({inner()} if {inner()} else {inner()})"
        if kind < 0.88:
            return f"({self.pick(['not ', '-', '+'])}{inner()})"
        if kind < 0.92:
            return f"[{inner()}, {inner()}]"
        if kind < 0.95:
            return "{" + f"{self.pick(['1', chr(39) + 'k' + chr(39), inner()])}: {inner()}" + "}"
        if kind < 0.97:
            return f"({inner()} < {inner()} <= {inner()})"
        return f"range({self.pick(['3', 'n', inner()])})"

    @staticmethod
    def name_or_group(text):
        return text if text.isidentifier() else f"({text})"

    def gap(self):
        return self.pick(["", "", " ", "\n", "\n  ", "x", " y\n"])

    def tag(self, text):
        return f"{{%{self.pick(['', '', '-', '+'])} {text} {self.pick(['', '', '-', '+'])}%}}"

    def body(self, depth):
        return self.gap() + "".join(self.statement(depth) + self.gap() for _ in range(self.random.randint(1, 3)))

    def variable(self):
        return self.pick(["v0", "v1", "v2", "name", "n"])

    def statement(self, depth):
        kind = self.random.random()
        size = self.random.randint(1, 3)
        if depth <= 0 or kind < 0.3:
            return f"{{{{{self.pick(['', '-'])} {self.expression(size)} {self.pick(['', '-'])}}}}}"
        if kind < 0.42:
            return self.tag(f"set {self.variable()} = {self.expression(size)}")
        if kind < 0.48:
            return self.tag(f"set {self.variable()}") + self.body(depth - 1) + self.tag("endset")
        if kind < 0.62:
            middle = self.tag(f"elif {self.expression(1)}") + self.body(depth - 1) if self.random.random() < 0.3 else ""
            last = self.tag("else") + self.body(depth - 1) if self.random.random() < 0.5 else ""
            return self.tag(f"if {self.expression(size)}") + self.body(depth - 1) + middle + last + self.tag("endif")
        if kind < 0.8:
            source = self.pick(["xs", "words", "users", "d", "d.items()", "nested", "range(3)", "xs|map('string')", "s", self.expression(1)])
            target = self.pick(["v0", "v1", "v2", "v0, v1"])
            test = self.pick(["", "", "", f" if {self.expression(1)}"])
            jump = self.pick(["", "", "", self.tag("if loop.index == 2") + self.tag(self.pick(["break", "continue"])) + self.tag("endif")])
            loop = self.pick(["", "", "{{ loop.index }}{{ loop.last }}", "{{ loop.previtem }}{{ loop.nextitem }}", "{{ loop.length }}"])
            last = self.tag("else") + self.body(depth - 1) if self.random.random() < 0.2 else ""
            return self.tag(f"for {target} in {source}{test}") + loop + jump + self.body(depth - 1) + last + self.tag("endfor")
        if kind < 0.86:
            name = self.pick(["m0", "m1"])
            call = self.pick([f"{{{{ {name}() }}}}", f"{{{{ {name}({self.expression(1)}) }}}}", self.tag(f"call {name}()") + self.body(0) + self.tag("endcall")])
            caller = self.pick(["", "{{ caller() if caller }}"])
            return self.tag(f"macro {name}({self.pick(['', 'v0', 'v0=1, v1=v0'])})") + caller + self.body(depth - 1) + self.tag("endmacro") + call
        if kind < 0.9:
            return self.tag(f"with {self.variable()} = {self.expression(1)}") + self.body(depth - 1) + self.tag("endwith")
        if kind < 0.94:
            return self.tag(f"filter {self.pick(['upper', 'trim', 'title', 'indent(1)'])}") + self.body(depth - 1) + self.tag("endfilter")
        if kind < 0.97:
            return self.tag(f"set ns.x = {self.expression(1)}") + "{{ ns.x }}"
        return self.pick(["{# c #}", "{#- c -#}", self.tag("raw") + "{{ r }}" + self.tag("endraw").replace("+", "")])


def jobs(count, seed):
    for i in range(count):
        generator = Generator(f"{seed}/{i}")
        if i % 2:
            template = "{{ " + generator.expression(generator.random.randint(1, 4)) + " }}"
        else:
            template = "{% set ns = namespace(x=1) %}" + generator.body(generator.random.randint(1, 3))
        yield f"random {seed}/{i}", template, CONTEXT
